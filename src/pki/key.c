#include "pki/key.h"

#include <errno.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <string.h>

#include "base/str.h"
#include "pki/der.h"

#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 4096 /* above this, verifying is a way to make us slow (A04) */

struct key {
	unsigned owners;
	uint8_t *spki;
	size_t spki_count;
	struct key_hash hash;
	EVP_PKEY *pkey;
	bool is_p256;
};

struct key_hash key_hash_of(const uint8_t *spki, size_t count)
{
	struct key_hash hash;

	SHA256(spki, count, hash.bytes);
	return hash;
}

bool key_hash_equal(struct key_hash left, struct key_hash right)
{
	return memcmp(left.bytes, right.bytes, sizeof(left.bytes)) == 0;
}

struct key_id key_hash_print(struct key_hash hash)
{
	AUTO_BUF struct buf text = BUF(KEY_ID_TEXT_BYTES);
	struct key_id id;

	base64url_add(&text, hash.bytes, sizeof(hash.bytes));
	assert_always(text.count == KEY_ID_TEXT_BYTES);
	memcpy(id.text, buf_text(&text), KEY_ID_TEXT_BYTES + 1);
	return id;
}

/* The fingerprint of CVE-2017-15361: the modulus of such a key is, modulo each of these primes, a
 * power of 65537. A good key passes all with a chance of less than 2^-27. */
static bool is_roca(const BIGNUM *modulus)
{
	static const int primes[] = { 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59,
		61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109, 113, 127, 131, 137, 139, 149,
		151, 157, 163, 167 };

	for (size_t i = 0; i < ARRAY_COUNT(primes); i++) {
		int rest = (int)BN_mod_word(modulus, (BN_ULONG)primes[i]);
		int power = 1;
		bool found = false;

		for (int step = 0; step < primes[i] && !found; step++) {
			found = power == rest;
			power = power * 65537 % primes[i];
		}
		if (!found) {
			return false;
		}
	}
	return true;
}

static bool has_small_factor(const BIGNUM *modulus)
{
	for (BN_ULONG odd = 3; odd < 1000; odd += 2) {
		if (BN_mod_word(modulus, odd) == 0) {
			return true;
		}
	}
	return false;
}

/* The whole square root, by Newton's method from above. */
static void square_root(BIGNUM *root, const BIGNUM *number, BN_CTX *context)
{
	BIGNUM *next = BN_CTX_get(context);

	if (BN_is_zero(number)) {
		BN_zero(root);
		return;
	}
	assert_always(
	        next && BN_set_word(root, 0) && BN_set_bit(root, (BN_num_bits(number) + 1) / 2));
	for (;;) {
		assert_always(BN_div(next, NULL, number, root, context) &&
		              BN_add(next, next, root) && BN_rshift1(next, next));
		if (BN_cmp(next, root) >= 0) {
			return;
		}
		assert_always(BN_copy(root, next) != NULL);
	}
}

/* Fermat's factoring finds primes that lie close together in a few steps (CVE-2022-26320). */
static bool has_close_primes(const BIGNUM *modulus)
{
	BN_CTX *context = BN_CTX_new();
	BIGNUM *sum, *rest, *root, *square;
	bool found = false;

	assert_always(context != NULL);
	BN_CTX_start(context);
	sum = BN_CTX_get(context);
	rest = BN_CTX_get(context);
	root = BN_CTX_get(context);
	square = BN_CTX_get(context);
	assert_always(square != NULL);
	square_root(sum, modulus, context);
	assert_always(BN_add_word(sum, 1));
	for (int step = 0; step < 20 && !found; step++) {
		assert_always(BN_sqr(square, sum, context) && BN_sub(rest, square, modulus));
		if (!BN_is_negative(rest)) {
			BN_CTX_start(context);
			square_root(root, rest, context);
			BN_CTX_end(context);
			assert_always(BN_sqr(square, root, context));
			found = BN_cmp(square, rest) == 0;
		}
		assert_always(BN_add_word(sum, 1));
	}
	BN_CTX_end(context);
	BN_CTX_free(context);
	return found;
}

static int check_rsa(const EVP_PKEY *pkey, struct err *err)
{
	BIGNUM *modulus = NULL, *exponent = NULL;
	int bits = EVP_PKEY_get_bits(pkey);
	int r = 0;

	if (bits < RSA_BITS_MIN || bits > RSA_BITS_MAX) {
		return err_set(err, 1, "an RSA key of %d bits: %d to %d are accepted", bits,
		        RSA_BITS_MIN, RSA_BITS_MAX);
	}
	if (!EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_N, &modulus) ||
	        !EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_E, &exponent)) {
		r = err_set(err, 1, "an RSA key that cannot be read");
	} else if (!BN_is_word(exponent, 65537)) {
		r = err_set(err, 1, "an RSA key with an exponent other than 65537");
	} else if (!BN_is_odd(modulus) || has_small_factor(modulus)) {
		r = err_set(err, 1, "an RSA key with a small factor");
	} else if (is_roca(modulus)) {
		r = err_set(err, 1, "an RSA key made by the weak generator of CVE-2017-15361");
	} else if (has_close_primes(modulus)) {
		r = err_set(err, 1, "an RSA key whose primes lie close together");
	}
	BN_free(modulus);
	BN_free(exponent);
	return r;
}

/* The algorithm part must be one of ours to the byte: a named curve, an uncompressed point. */
static int check_form(const uint8_t *spki, size_t count, struct err *err)
{
	struct der in = DER(spki, count), outer = der_take(&in, DER_SEQUENCE);
	struct der algorithm = der_take(&outer, DER_SEQUENCE);
	enum oid oid = der_take_oid(&algorithm), curve;
	struct der bits = der_take_bits(&outer);

	if (!der_canonical(spki, count) || !der_end(&in) || !der_end(&outer)) {
		return err_set(err, 1, "not a public key in canonical DER");
	}
	switch (oid) {
	case OID_EC_PUBLIC_KEY:
		curve = der_take_oid(&algorithm);
		if (!der_end(&algorithm) || (curve != OID_CURVE_P256 && curve != OID_CURVE_P384)) {
			return err_set(err, 1, "an elliptic curve other than P-256 and P-384");
		}
		if (bits.left != (curve == OID_CURVE_P256 ? 65u : 97u) || bits.at[0] != 4) {
			return err_set(err, 1, "an elliptic curve point that is not uncompressed");
		}
		return 0;
	case OID_RSA:
		if (der_take(&algorithm, DER_NULL).broken || !der_end(&algorithm)) {
			return err_set(err, 1, "an RSA key with parameters");
		}
		return 0;
	case OID_ED25519:
		if (!der_end(&algorithm) || bits.left != 32) {
			return err_set(err, 1, "an Ed25519 key of another form");
		}
		return 0;
	default:
		return err_set(err, 1, "a public key that is neither EC, RSA nor Ed25519");
	}
}

int key_parse(const uint8_t *spki, size_t count, struct key **ret_key, struct err *err)
{
	AUTO(key) struct key *key = NULL;
	const uint8_t *at = spki;
	int r;

	if (count > KEY_SPKI_BYTES_MAX) {
		return err_set(err, 1, "a public key of %zu bytes: at most %d are accepted", count,
		        KEY_SPKI_BYTES_MAX);
	}
	r = check_form(spki, count, err);
	if (r != 0) {
		return r;
	}
	key = mem_new(1, sizeof(*key));
	key->owners = 1;
	key->pkey = d2i_PUBKEY(NULL, &at, (long)count);
	if (!key->pkey || at != spki + count) {
		ERR_clear_error();
		return err_set(
		        err, 1, "a public key that is not a point of its curve or cannot be read");
	}
	if (EVP_PKEY_get_base_id(key->pkey) == EVP_PKEY_RSA) {
		r = check_rsa(key->pkey, err);
		if (r != 0) {
			return r;
		}
	}
	key->is_p256 = EVP_PKEY_get_base_id(key->pkey) == EVP_PKEY_EC &&
	               EVP_PKEY_get_bits(key->pkey) == 256;
	key->spki = mem_copy(spki, count);
	key->spki_count = count;
	key->hash = key_hash_of(spki, count);
	*ret_key = TAKE(key);
	return 0;
}

int key_parse_base64(const char *text, struct key **ret_key, struct err *err)
{
	AUTO_BUF struct buf spki = BUF(KEY_SPKI_BYTES_MAX);

	if (base64_parse(text, strlen(text), &spki) != 0) {
		return err_set(err, 1, "a public key that is not base64, or too long");
	}
	return key_parse((const uint8_t *)buf_text(&spki), spki.count, ret_key, err);
}

struct key *key_copy(const struct key *key)
{
	struct key *same = (struct key *)key; /* the count of owners is not part of its value */

	same->owners++;
	return same;
}

struct key *key_free(struct key *key)
{
	if (key && --key->owners == 0) {
		EVP_PKEY_free(key->pkey);
		free(key->spki);
		free(key);
	}
	return NULL;
}

const uint8_t *key_spki(const struct key *key, size_t *ret_count)
{
	*ret_count = key->spki_count;
	return key->spki;
}

struct key_hash key_hash(const struct key *key)
{
	return key->hash;
}

struct key_id key_id(const struct key *key)
{
	return key_hash_print(key->hash);
}

bool key_is_p256(const struct key *key)
{
	return key->is_p256;
}

EVP_PKEY *key_pkey(const struct key *key)
{
	return key->pkey;
}

/* The hash of a signature algorithm; NULL with `*ret_known` for Ed25519, which has none. RSA
 * carries a NULL as parameter, the others nothing (RFC 4055 5, RFC 5758 3.2, RFC 8410 3). */
static const EVP_MD *algorithm_digest(struct der in, int *ret_type)
{
	struct der outer = der_take(&in, DER_SEQUENCE);
	enum oid oid = der_take_oid(&outer);
	bool is_rsa = oid == OID_RSA_SHA256 || oid == OID_RSA_SHA384 || oid == OID_RSA_SHA512;

	*ret_type = 0;
	if (is_rsa) {
		der_take(&outer, DER_NULL);
	}
	if (!der_end(&outer) || !der_end(&in)) {
		return NULL;
	}
	switch (oid) {
	case OID_RSA_SHA256:
	case OID_ECDSA_SHA256:
		*ret_type = is_rsa ? EVP_PKEY_RSA : EVP_PKEY_EC;
		return EVP_sha256();
	case OID_RSA_SHA384:
	case OID_ECDSA_SHA384:
		*ret_type = is_rsa ? EVP_PKEY_RSA : EVP_PKEY_EC;
		return EVP_sha384();
	case OID_RSA_SHA512:
	case OID_ECDSA_SHA512:
		*ret_type = is_rsa ? EVP_PKEY_RSA : EVP_PKEY_EC;
		return EVP_sha512();
	case OID_ED25519:
		*ret_type = EVP_PKEY_ED25519;
		return NULL;
	default:
		return NULL;
	}
}

static int verify(const struct key *key, const EVP_MD *digest, const void *bytes, size_t count,
        const uint8_t *signature, size_t signature_count)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	int ok;

	assert_always(context != NULL);
	ok = EVP_DigestVerifyInit(context, NULL, digest, NULL, key->pkey) == 1 &&
	     EVP_DigestVerify(context, signature, signature_count, bytes, count) == 1;
	EVP_MD_CTX_free(context);
	ERR_clear_error();
	return ok ? 0 : 1;
}

int key_verify_x509(const struct key *key, const uint8_t *algorithm, size_t algorithm_count,
        const uint8_t *bytes, size_t count, const uint8_t *signature, size_t signature_count)
{
	int type;
	const EVP_MD *digest = algorithm_digest(DER(algorithm, algorithm_count), &type);

	if (type == 0 || type != EVP_PKEY_get_base_id(key->pkey)) {
		return 1;
	}
	return verify(key, digest, bytes, count, signature, signature_count);
}

int key_verify_es256(
        const struct key *key, const void *bytes, size_t count, const uint8_t signature[64])
{
	AUTO_BUF struct buf der = BUF(80);
	size_t mark;

	if (!key->is_p256) {
		return 1;
	}
	mark = der_open(&der, DER_SEQUENCE);
	der_add_unsigned(&der, signature, 32);
	der_add_unsigned(&der, signature + 32, 32);
	der_close(&der, mark);
	return verify(key, EVP_sha256(), bytes, count, der.bytes, der.count);
}
