/*
 * Fuzzes proofs: against the true size and root of a tree, nothing passes but the true leaf at its
 * index with the true proof, and nothing but the true earlier root with the true consistency proof.
 *
 * The input says a size, an index, and how the true proof is mangled.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "audit/merkle.h"
#include "base/buf.h"

#define SIZE_MAX_TESTED 80

static struct hash nodes[8][SIZE_MAX_TESTED];

static void require(bool condition)
{
	if (!condition) {
		abort();
	}
}

static int get(
        void *context, unsigned level, uint64_t index, struct hash *ret_hash, struct err *err)
{
	require(level < 8 && index < SIZE_MAX_TESTED);
	*ret_hash = nodes[level][index];
	return 0;
}

static int put(
        void *context, unsigned level, uint64_t index, const struct hash *hash, struct err *err)
{
	require(level < 8 && index < SIZE_MAX_TESTED);
	nodes[level][index] = *hash;
	return 0;
}

static const struct merkle_store store = { .get = get, .put = put };

static void grow(void)
{
	struct merkle_tree tree = { 0 };

	for (uint8_t i = 0; i < SIZE_MAX_TESTED; i++) {
		struct hash leaf = hash_leaf(&i, 1);

		require(merkle_append(&tree, &store, &leaf, NULL) == 0);
	}
}

/* Each step of the input changes, adds, removes or exchanges hashes; some are nodes of the tree. */
static void mangle(struct cursor *input, struct merkle_proof *proof)
{
	while (cursor_left(input) >= 3) {
		uint8_t what = cursor_u8(input), at = cursor_u8(input), value = cursor_u8(input);
		struct hash *hash = &proof->hashes[at % MERKLE_PROOF_COUNT_MAX];

		switch (what % 5) {
		case 0:
			hash->bytes[value % HASH_BYTES] ^= (uint8_t)(1 << what % 8);
			break;
		case 1:
			proof->count = value % (MERKLE_PROOF_COUNT_MAX + 2);
			break;
		case 2:
			*hash = nodes[what % 8][value % SIZE_MAX_TESTED];
			break;
		case 3:
			*hash = proof->hashes[value % MERKLE_PROOF_COUNT_MAX];
			break;
		default:
			*hash = hash_node(hash, &proof->hashes[value % MERKLE_PROOF_COUNT_MAX]);
		}
	}
}

static bool same(const struct merkle_proof *left, const struct merkle_proof *right)
{
	return left->count == right->count &&
	       memcmp(left->hashes, right->hashes, left->count * sizeof(left->hashes[0])) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool grown;
	struct cursor input = CURSOR(data, size);
	uint64_t count = 1 + cursor_u8(&input) % SIZE_MAX_TESTED, index = cursor_u8(&input) % count;
	uint64_t claimed = cursor_u8(&input) % (SIZE_MAX_TESTED + 1);
	uint8_t claimed_leaf = cursor_u8(&input) % SIZE_MAX_TESTED;
	struct merkle_head first = { .size = index }, second = { .size = count };
	struct merkle_proof proof = { 0 }, mangled;

	if (!grown) {
		grow();
		grown = true;
	}
	require(merkle_root_at(&store, count, &second.root, NULL) == 0);
	require(merkle_root_at(&store, index, &first.root, NULL) == 0);

	struct cursor again = input;

	require(merkle_prove_inclusion(&store, index, count, &proof, NULL) == 0);
	mangled = proof;
	mangle(&input, &mangled);
	require(merkle_check_inclusion(&nodes[0][index], index, count, &second.root, &proof));
	require(merkle_check_inclusion(&nodes[0][index], index, count, &second.root, &mangled) ==
	        same(&proof, &mangled));
	require(claimed == index ||
	        !merkle_check_inclusion(&nodes[0][index], claimed, count, &second.root, &mangled));
	require(claimed_leaf == index || !merkle_check_inclusion(&nodes[0][claimed_leaf], index,
	                                         count, &second.root, &mangled));

	memset(&proof, 0, sizeof(proof));
	require(merkle_prove_consistency(&store, index, count, &proof, NULL) == 0);
	mangled = proof;
	mangle(&again, &mangled);
	require(merkle_check_consistency(&first, &second, &proof));
	require(merkle_check_consistency(&first, &second, &mangled) == same(&proof, &mangled));
	if (claimed != index && claimed > 0) {
		/* Another size with this root: a false head, whatever the proof. */
		first.size = claimed;
		require(!merkle_check_consistency(&first, &second, &mangled));
	}
	return 0;
}
