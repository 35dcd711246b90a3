#include "audit/hash.h"

#include <openssl/evp.h>
#include <string.h>

#include "base/err.h"

/* One context for the whole process: looking the algorithm up again for every hash, which is what
 * EVP_Digest() does, takes longer than hashing a record (L9: 200,000 records a second). There are
 * no threads, and no hash is left half done between two calls. */
static EVP_MD_CTX *hash_context(void)
{
	static EVP_MD_CTX *context;

	if (!context) {
		EVP_MD *sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);

		context = EVP_MD_CTX_new();
		assert_always(sha256 && context && EVP_DigestInit_ex2(context, sha256, NULL) == 1);
		EVP_MD_free(sha256);
	}
	return context;
}

static EVP_MD_CTX *start(void)
{
	EVP_MD_CTX *context = hash_context();

	assert_always(EVP_DigestInit_ex2(context, NULL, NULL) == 1);
	return context;
}

static void add(EVP_MD_CTX *context, const void *bytes, size_t count)
{
	assert_always(EVP_DigestUpdate(context, bytes, count) == 1);
}

static struct hash finish(EVP_MD_CTX *context)
{
	struct hash hash;
	unsigned count = 0;

	assert_always(EVP_DigestFinal_ex(context, hash.bytes, &count) == 1 && count == HASH_BYTES);
	return hash;
}

struct hash hash_of(const void *bytes, size_t count)
{
	EVP_MD_CTX *context = start();

	add(context, bytes, count);
	return finish(context);
}

struct hash hash_leaf(const void *entry, size_t count)
{
	EVP_MD_CTX *context = start();

	add(context, "\0", 1);
	add(context, entry, count);
	return finish(context);
}

struct hash hash_node(const struct hash *left, const struct hash *right)
{
	uint8_t bytes[1 + 2 * HASH_BYTES];

	bytes[0] = 1;
	memcpy(bytes + 1, left->bytes, HASH_BYTES);
	memcpy(bytes + 1 + HASH_BYTES, right->bytes, HASH_BYTES);
	return hash_of(bytes, sizeof(bytes));
}

bool hash_equal(const struct hash *left, const struct hash *right)
{
	return memcmp(left->bytes, right->bytes, HASH_BYTES) == 0;
}
