#include "pki/signing.h"

void signing_add_algorithm(struct buf *out, enum token_key_type type)
{
	size_t mark = der_open(out, DER_SEQUENCE);

	switch (type) {
	case TOKEN_KEY_EC_P256:
		der_add_oid(out, OID_ECDSA_SHA256);
		break;
	case TOKEN_KEY_EC_P384:
		der_add_oid(out, OID_ECDSA_SHA384);
		break;
	case TOKEN_KEY_RSA_2048:
	case TOKEN_KEY_RSA_3072:
		der_add_oid(out, OID_RSA_SHA256);
		der_add(out, DER_NULL, NULL, 0);
		break;
	case TOKEN_KEY_ED25519:
		der_add_oid(out, OID_ED25519);
		break;
	}
	der_close(out, mark);
}

int signing_wrap(
        struct token_key *key, const uint8_t *tbs, size_t count, struct buf *out, struct err *err)
{
	AUTO_BUF struct buf signature = BUF(1024);
	size_t mark;
	int r;

	r = token_sign(key, tbs, count, &signature, err);
	if (r != 0) {
		return r;
	}
	mark = der_open(out, DER_SEQUENCE);
	buf_add(out, tbs, count);
	signing_add_algorithm(out, token_key_type(key));
	der_add_bits(out, signature.bytes, signature.count);
	der_close(out, mark);
	return 0;
}

bool signing_split(const uint8_t *bytes, size_t count, struct signing *ret)
{
	struct der in = DER(bytes, count), outer;

	if (!der_canonical(bytes, count)) {
		return false;
	}
	outer = der_take(&in, DER_SEQUENCE);
	der_take_whole(&outer, DER_SEQUENCE, &ret->tbs);
	der_take_whole(&outer, DER_SEQUENCE, &ret->algorithm);
	ret->signature = der_take_bits(&outer);
	return der_end(&outer) && der_end(&in);
}

int signing_verify(const struct signing *signing, const struct key *key)
{
	return key_verify_x509(key, signing->algorithm.at, signing->algorithm.left, signing->tbs.at,
	        signing->tbs.left, signing->signature.at, signing->signature.left);
}
