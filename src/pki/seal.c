#include "pki/seal.h"

#include <errno.h>
#include <openssl/sha.h>
#include <string.h>

#include "base/str.h"
#include "wire/jws.h"

int seal_sign(struct token_key *key, const char *typ, const void *payload, size_t count,
        struct buf *out, struct err *err)
{
	AUTO_BUF struct buf text = BUF(JWS_BYTES_MAX), signature = BUF(1024);
	uint8_t digest[SHA256_DIGEST_LENGTH];
	const uint8_t *spki;
	size_t spki_count;
	int r;

	if (token_key_type(key) != TOKEN_KEY_EC_P256) {
		return err_set(err, TOKEN_NOT_OFFERED,
		        "documents are sealed with P-256 keys; this one is %s",
		        token_key_type_name(token_key_type(key)));
	}
	spki = token_key_spki(key, &spki_count);
	jws_print_signed(
	        key_hash_print(key_hash_of(spki, spki_count)).text, typ, payload, count, &text);
	if (text.overflowed || text.count + 1 + 86 > JWS_BYTES_MAX) {
		return err_set(
		        err, -EFBIG, "a document of %zu bytes is too long to be sealed", count);
	}
	SHA256(text.bytes, text.count, digest);
	r = token_sign_digest(key, TOKEN_SHA256, digest, &signature, err);
	if (r != 0) {
		return r;
	}
	if (signature.count != JWS_SIGNATURE_BYTES) {
		return err_set(
		        err, -EIO, "the token made a signature of %zu bytes", signature.count);
	}
	jws_print_signature(signature.bytes, &text);
	buf_add(out, text.bytes, text.count);
	return out->overflowed ? err_set(err, -EFBIG, "a sealed document of %zu bytes does not fit",
	                                 text.count)
	                       : 0;
}

static int split(const char *text, size_t count, const char *typ, struct jws *ret_jws,
        struct buf *payload, struct err *err)
{
	if (jws_split(text, count, ret_jws, payload) != 0) {
		return err_set(
		        err, SEAL_MALFORMED, "not a sealed document (compact JWS with ES256)");
	}
	if (strcmp(ret_jws->typ, typ) != 0) {
		return err_set(
		        err, SEAL_WRONG_TYPE, "sealed as \"%s\", not as \"%s\"", ret_jws->typ, typ);
	}
	return 0;
}

int seal_open(const char *text, size_t count, const char *typ, const struct key *const *keys,
        size_t key_count, struct buf *payload, const struct key **ret_key, struct err *err)
{
	AUTO_BUF struct buf inside = BUF(payload->count_max);
	struct jws jws;
	int r;

	r = split(text, count, typ, &jws, &inside, err);
	if (r != 0) {
		return r;
	}
	for (size_t i = 0; i < key_count; i++) {
		if (strcmp(key_id(keys[i]).text, jws.kid) != 0) {
			continue;
		}
		if (key_verify_es256(keys[i], text, jws.signed_count, jws.signature) != 0) {
			return err_set(
			        err, SEAL_FORGED, "the signature by key %s does not fit", jws.kid);
		}
		buf_add(payload, buf_text(&inside), inside.count);
		if (payload->overflowed) {
			return err_set(err, SEAL_MALFORMED, "the sealed document is too long");
		}
		if (ret_key) {
			*ret_key = keys[i];
		}
		return 0;
	}
	return err_set(err, SEAL_UNKNOWN_KEY, "sealed by key %s, which may not seal a \"%s\" here",
	        jws.kid, typ);
}

int seal_peek(const char *text, size_t count, const char *typ, struct buf *payload,
        struct key_id *ret_key, struct err *err)
{
	struct jws jws;
	int r = split(text, count, typ, &jws, payload, err);

	if (r == 0 && ret_key) {
		memcpy(ret_key->text, jws.kid, sizeof(ret_key->text));
	}
	return r;
}
