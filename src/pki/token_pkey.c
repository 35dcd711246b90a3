/*
 * The bridge to OpenSSL 3.0: a legacy EC or RSA key whose method signs in the token. OpenSSL treats
 * a key with a foreign method by its own code paths instead of its providers, which is what makes
 * the key work in SSL_CTX, X509_sign and CMS. A provider of our own would be the newer way; for two
 * operations it is ten times the code.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <string.h>

#include "pki/token_private.h"

/* The two methods and their slots: constant once made, one per process as OpenSSL wants them. */
static EC_KEY_METHOD *ec_method;
static RSA_METHOD *rsa_method;
static int ec_slot = -1, rsa_slot = -1;

static ECDSA_SIG *ec_sign(
        const unsigned char *digest, int count, const BIGNUM *inverse, const BIGNUM *r, EC_KEY *ec)
{
	struct token_key *key = EC_KEY_get_ex_data(ec, ec_slot);
	CK_MECHANISM mechanism = { .mechanism = CKM_ECDSA };
	AUTO_BUF struct buf raw = BUF(1024);
	BIGNUM *first, *second;
	ECDSA_SIG *signature;
	size_t half;

	if (!key || count < 0) {
		ERR_raise_data(ERR_LIB_EC, ERR_R_INTERNAL_ERROR, "the token key is gone");
		return NULL;
	}
	half = key->order_bytes;
	if (token_sign_raw(key, &mechanism, digest, (size_t)count < half ? (size_t)count : half,
	            &raw, NULL) != 0 ||
	        raw.count != 2 * half) {
		ERR_raise_data(ERR_LIB_EC, ERR_R_INTERNAL_ERROR, "the token does not sign");
		return NULL;
	}
	signature = ECDSA_SIG_new();
	first = BN_bin2bn(raw.bytes, (int)half, NULL);
	second = BN_bin2bn(raw.bytes + half, (int)half, NULL);
	assert_always(signature && first && second && ECDSA_SIG_set0(signature, first, second));
	return signature;
}

static int rsa_sign(int count, const unsigned char *from, unsigned char *to, RSA *rsa, int padding)
{
	struct token_key *key = RSA_get_ex_data(rsa, rsa_slot);
	/* OpenSSL pads PSS itself and wants the bare power, hence CKM_RSA_X_509. */
	CK_MECHANISM mechanism = {
		.mechanism = padding == RSA_PKCS1_PADDING ? CKM_RSA_PKCS : CKM_RSA_X_509,
	};
	AUTO_BUF struct buf raw = BUF(1024);

	if (!key || count < 0 || (padding != RSA_PKCS1_PADDING && padding != RSA_NO_PADDING) ||
	        token_sign_raw(key, &mechanism, from, (size_t)count, &raw, NULL) != 0 ||
	        raw.count != (size_t)RSA_size(rsa)) {
		ERR_raise_data(ERR_LIB_RSA, ERR_R_INTERNAL_ERROR, "the token does not sign");
		return -1;
	}
	memcpy(to, raw.bytes, raw.count);
	return (int)raw.count;
}

static void make_methods(void)
{
	int (*sign)(int, const unsigned char *, int, unsigned char *, unsigned int *,
	        const BIGNUM *, const BIGNUM *, EC_KEY *) = NULL;

	if (ec_method) {
		return;
	}
	ec_method = EC_KEY_METHOD_new(EC_KEY_OpenSSL());
	rsa_method = RSA_meth_dup(RSA_PKCS1_OpenSSL());
	ec_slot = EC_KEY_get_ex_new_index(0, NULL, NULL, NULL, NULL);
	rsa_slot = RSA_get_ex_new_index(0, NULL, NULL, NULL, NULL);
	assert_always(ec_method && rsa_method && ec_slot >= 0 && rsa_slot >= 0);
	EC_KEY_METHOD_get_sign(ec_method, &sign, NULL, NULL);
	EC_KEY_METHOD_set_sign(ec_method, sign, NULL, ec_sign);
	RSA_meth_set1_name(rsa_method, "PKCS#11 token");
	RSA_meth_set_priv_enc(rsa_method, rsa_sign);
}

static EVP_PKEY *bridge_ec(EVP_PKEY *public, struct token_key *key)
{
	EC_KEY *ec = EVP_PKEY_get1_EC_KEY(public);
	EVP_PKEY *pkey = EVP_PKEY_new();

	assert_always(ec && pkey);
	assert_always(EC_KEY_set_method(ec, ec_method) && EC_KEY_set_ex_data(ec, ec_slot, key) &&
	              EVP_PKEY_assign_EC_KEY(pkey, ec));
	return pkey;
}

static EVP_PKEY *bridge_rsa(EVP_PKEY *public, struct token_key *key)
{
	RSA *rsa = EVP_PKEY_get1_RSA(public);
	EVP_PKEY *pkey = EVP_PKEY_new();

	assert_always(rsa && pkey);
	assert_always(RSA_set_method(rsa, rsa_method) && RSA_set_ex_data(rsa, rsa_slot, key) &&
	              EVP_PKEY_assign_RSA(pkey, rsa));
	return pkey;
}

int token_key_pkey(struct token_key *key, EVP_PKEY **ret_pkey, struct err *err)
{
	const uint8_t *at = key->spki;
	EVP_PKEY *public;

	if (key->pkey) {
		*ret_pkey = key->pkey;
		return 0;
	}
	if (key->type == TOKEN_KEY_ED25519) {
		return err_set(
		        err, TOKEN_NOT_OFFERED, "an Ed25519 token key cannot be used for TLS");
	}
	make_methods();
	public = d2i_PUBKEY(NULL, &at, (long)key->spki_count);
	if (!public) {
		ERR_clear_error();
		return err_set(err, TOKEN_NOT_OFFERED, "the token's public key cannot be read");
	}
	key->pkey = EVP_PKEY_get_base_id(public) == EVP_PKEY_RSA ? bridge_rsa(public, key)
	                                                         : bridge_ec(public, key);
	EVP_PKEY_free(public);
	*ret_pkey = key->pkey;
	return 0;
}

void token_pkey_detach(struct token_key *key)
{
	if (!key->pkey) {
		return;
	}
	if (key->type == TOKEN_KEY_RSA_2048 || key->type == TOKEN_KEY_RSA_3072) {
		RSA_set_ex_data((RSA *)EVP_PKEY_get0_RSA(key->pkey), rsa_slot, NULL);
	} else {
		EC_KEY_set_ex_data((EC_KEY *)EVP_PKEY_get0_EC_KEY(key->pkey), ec_slot, NULL);
	}
	EVP_PKEY_free(key->pkey);
	key->pkey = NULL;
}
