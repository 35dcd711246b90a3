/* Keys in a token: finding, making, signing. */
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <string.h>

#include "base/str.h"
#include "pki/der.h"
#include "pki/token_private.h"

static const CK_BBOOL yes = CK_TRUE, no = CK_FALSE;

#define ATTRIBUTE(attribute_type, object)                                                          \
	{                                                                                          \
		.type = (attribute_type), .pValue = (void *)&(object),                             \
		.ulValueLen = sizeof(object)                                                       \
	}
#define ATTRIBUTE_BYTES(attribute_type, bytes, count)                                              \
	{                                                                                          \
		.type = (attribute_type), .pValue = (void *)(bytes), .ulValueLen = (count)         \
	}

static const char *const type_names[] = {
	[TOKEN_KEY_EC_P256] = "ec-p256",
	[TOKEN_KEY_EC_P384] = "ec-p384",
	[TOKEN_KEY_RSA_2048] = "rsa-2048",
	[TOKEN_KEY_RSA_3072] = "rsa-3072",
	[TOKEN_KEY_ED25519] = "ed25519",
};

const char *token_key_type_name(enum token_key_type type)
{
	return type_names[type];
}

int token_key_type_parse(const char *name, enum token_key_type *ret_type)
{
	for (size_t i = 0; i < ARRAY_COUNT(type_names); i++) {
		if (strcmp(name, type_names[i]) == 0) {
			*ret_type = (enum token_key_type)i;
			return 0;
		}
	}
	return 1;
}

static void add_curve(struct buf *out, enum token_key_type type)
{
	der_add_oid(out, type == TOKEN_KEY_EC_P256   ? OID_CURVE_P256
	                 : type == TOKEN_KEY_EC_P384 ? OID_CURVE_P384
	                                             : OID_ED25519);
}

/* SubjectPublicKeyInfo of an EC or Edwards key. `params` and `point` are as the token has them. */
static CK_RV build_ec_spki(
        struct token_key *key, const struct buf *params, const struct buf *point, struct buf *spki)
{
	struct der in = DER(params->bytes, params->count);
	enum oid curve = der_take_oid(&in);
	struct der wrapped = DER(point->bytes, point->count), raw;
	size_t outer, inner;

	switch (curve) {
	case OID_CURVE_P256:
		key->type = TOKEN_KEY_EC_P256;
		key->order_bytes = 32;
		break;
	case OID_CURVE_P384:
		key->type = TOKEN_KEY_EC_P384;
		key->order_bytes = 48;
		break;
	case OID_ED25519:
		key->type = TOKEN_KEY_ED25519;
		key->order_bytes = 32;
		break;
	default:
		return CKR_OURS_NOT_OFFERED;
	}
	/* PKCS#11 says OCTET STRING; some tokens give the bare point. */
	raw = der_take(&wrapped, DER_OCTET_STRING);
	if (!der_end(&wrapped)) {
		raw = DER(point->bytes, point->count);
	}
	outer = der_open(spki, DER_SEQUENCE);
	inner = der_open(spki, DER_SEQUENCE);
	if (curve != OID_ED25519) {
		der_add_oid(spki, OID_EC_PUBLIC_KEY);
	}
	der_add_oid(spki, curve);
	der_close(spki, inner);
	der_add_bits(spki, raw.at, raw.left);
	der_close(spki, outer);
	return CKR_OK;
}

static CK_RV build_rsa_spki(struct token_key *key, const struct buf *modulus,
        const struct buf *exponent, struct buf *spki)
{
	AUTO_BUF struct buf numbers = BUF(2048);
	size_t mark = der_open(&numbers, DER_SEQUENCE), outer;
	size_t lead = modulus->count > 0 && modulus->bytes[0] == 0;

	der_add_unsigned(&numbers, modulus->bytes, modulus->count);
	der_add_unsigned(&numbers, exponent->bytes, exponent->count);
	der_close(&numbers, mark);
	key->order_bytes = modulus->count - lead;
	key->type = key->order_bytes >= 384 ? TOKEN_KEY_RSA_3072 : TOKEN_KEY_RSA_2048;
	outer = der_open(spki, DER_SEQUENCE);
	mark = der_open(spki, DER_SEQUENCE);
	der_add_oid(spki, OID_RSA);
	der_add(spki, DER_NULL, NULL, 0);
	der_close(spki, mark);
	der_add_bits(spki, numbers.bytes, numbers.count);
	der_close(spki, outer);
	return CKR_OK;
}

/* Reads the public half from the public key object with the same id. */
static CK_RV read_public(struct token *token, struct token_key *key, CK_KEY_TYPE type)
{
	CK_OBJECT_CLASS class = CKO_PUBLIC_KEY;
	CK_ATTRIBUTE template[] = { ATTRIBUTE(CKA_CLASS, class), ATTRIBUTE(CKA_KEY_TYPE, type),
		ATTRIBUTE_BYTES(CKA_ID, key->id, key->id_bytes) };
	AUTO_BUF struct buf first = BUF(2048), second = BUF(2048), spki = BUF(2048);
	bool is_rsa = type == CKK_RSA;
	CK_OBJECT_HANDLE object;
	CK_ULONG count;
	CK_RV rv;

	rv = token_objects(token, template, ARRAY_COUNT(template), &object, 1, &count);
	if (rv == CKR_OURS_TOO_LARGE) {
		return CKR_OURS_AMBIGUOUS;
	}
	if (rv != CKR_OK || count == 0) {
		return rv != CKR_OK ? rv : CKR_OURS_NOT_FOUND;
	}
	rv = token_attribute(token, object, is_rsa ? CKA_MODULUS : CKA_EC_PARAMS, &first);
	if (rv == CKR_OK) {
		rv = token_attribute(
		        token, object, is_rsa ? CKA_PUBLIC_EXPONENT : CKA_EC_POINT, &second);
	}
	if (rv != CKR_OK) {
		return rv;
	}
	if (first.count == 0 || second.count == 0) {
		return CKR_OURS_NOT_FOUND;
	}
	rv = is_rsa ? build_rsa_spki(key, &first, &second, &spki)
	            : build_ec_spki(key, &first, &second, &spki);
	if (rv == CKR_OK) {
		free(key->spki);
		key->spki = mem_copy(spki.bytes, spki.count);
		key->spki_count = spki.count;
	}
	return rv;
}

static CK_RV find_private(struct token *token, struct token_key *key, bool by_label)
{
	CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
	CK_ATTRIBUTE by_id_template[] = { ATTRIBUTE(CKA_CLASS, class),
		ATTRIBUTE_BYTES(CKA_ID, key->id, key->id_bytes) };
	CK_ATTRIBUTE by_label_template[] = { ATTRIBUTE(CKA_CLASS, class),
		ATTRIBUTE_BYTES(CKA_LABEL, key->label, strlen(key->label)) };
	CK_ULONG count;
	CK_RV rv;

	rv = token_objects(
	        token, by_label ? by_label_template : by_id_template, 2, &key->handle, 1, &count);
	if (rv == CKR_OURS_TOO_LARGE) {
		return CKR_OURS_AMBIGUOUS;
	}
	if (rv == CKR_OK && count == 0) {
		rv = CKR_OURS_NOT_FOUND;
	}
	if (rv == CKR_OK) {
		key->generation = token->generation;
	}
	return rv;
}

struct find {
	struct token_key *key;
	bool by_label;
};

static CK_RV find_work(struct token *token, void *context)
{
	struct find *find = context;
	struct token_key *key = find->key;
	AUTO_BUF struct buf id = BUF(TOKEN_ID_BYTES_MAX), label = BUF(TOKEN_LABEL_BYTES_MAX);
	AUTO_BUF struct buf type = BUF(sizeof(CK_KEY_TYPE));
	CK_KEY_TYPE key_type;
	CK_RV rv;

	rv = find_private(token, key, find->by_label);
	if (rv == CKR_OK) {
		rv = token_attribute(token, key->handle, CKA_ID, &id);
	}
	if (rv == CKR_OK) {
		rv = token_attribute(token, key->handle, CKA_LABEL, &label);
	}
	if (rv == CKR_OK) {
		rv = token_attribute(token, key->handle, CKA_KEY_TYPE, &type);
	}
	if (rv != CKR_OK) {
		return rv;
	}
	if (type.count != sizeof(key_type)) {
		return CKR_OURS_NOT_OFFERED;
	}
	memcpy(&key_type, type.bytes, sizeof(key_type));
	if (key_type != CKK_RSA && key_type != CKK_EC && key_type != CKK_EC_EDWARDS) {
		return CKR_OURS_NOT_OFFERED;
	}
	memcpy(key->id, id.bytes ? id.bytes : (const uint8_t *)"", id.count);
	key->id_bytes = id.count;
	memcpy(key->label, buf_text(&label), label.count);
	key->label[label.count] = '\0';
	return read_public(token, key, key_type);
}

int token_key_find(struct token *token, uint8_t id, struct token_key **ret_key, struct err *err)
{
	AUTO(token_key) struct token_key *key = mem_new(1, sizeof(*key));
	struct find find = { .key = key };
	char what[16];
	int r;

	snprintf(what, sizeof(what), "key %02x", id);
	key->token = token;
	key->id[0] = id;
	key->id_bytes = 1;
	r = token_do(token, find_work, &find, what, err);
	if (r != 0) {
		return r;
	}
	*ret_key = TAKE(key);
	return 0;
}

int token_key_find_label(
        struct token *token, const char *label, struct token_key **ret_key, struct err *err)
{
	AUTO(token_key) struct token_key *key = mem_new(1, sizeof(*key));
	struct find find = { .key = key, .by_label = true };
	AUTO_STRING char *what = mem_format("key \"%s\"", label);
	int r;

	key->token = token;
	if (text_copy(key->label, sizeof(key->label), label) != 0) {
		return err_set(err, TOKEN_NOT_FOUND, "%s: the label is too long", what);
	}
	r = token_do(token, find_work, &find, what, err);
	if (r != 0) {
		return r;
	}
	*ret_key = TAKE(key);
	return 0;
}

struct generate {
	enum token_key_type type;
	uint8_t id;
	const char *label;
	bool agrees;
};

static CK_RV generate_pair(struct token *token, const struct generate *generate)
{
	bool is_rsa = generate->type == TOKEN_KEY_RSA_2048 || generate->type == TOKEN_KEY_RSA_3072;
	AUTO_BUF struct buf curve = BUF(32);
	CK_ULONG bits = generate->type == TOKEN_KEY_RSA_3072 ? 3072 : 2048;
	CK_MECHANISM mechanism = { .mechanism = is_rsa ? CKM_RSA_PKCS_KEY_PAIR_GEN
		                                : generate->type == TOKEN_KEY_ED25519
		                                        ? CKM_EC_EDWARDS_KEY_PAIR_GEN
		                                        : CKM_EC_KEY_PAIR_GEN };
	CK_ATTRIBUTE private[10] = {
		ATTRIBUTE(CKA_TOKEN, yes),
		ATTRIBUTE(CKA_PRIVATE, yes),
		ATTRIBUTE(CKA_SENSITIVE, yes),
		ATTRIBUTE(CKA_EXTRACTABLE, no),
		ATTRIBUTE(CKA_SIGN, yes),
		ATTRIBUTE(CKA_DECRYPT, no),
		ATTRIBUTE(CKA_UNWRAP, no),
		ATTRIBUTE_BYTES(CKA_ID, &generate->id, 1),
		ATTRIBUTE_BYTES(CKA_LABEL, generate->label, strlen(generate->label)),
		ATTRIBUTE(CKA_DERIVE, yes),
	};
	CK_ATTRIBUTE public[8] = {
		ATTRIBUTE(CKA_TOKEN, yes),
		ATTRIBUTE(CKA_PRIVATE, no),
		ATTRIBUTE(CKA_VERIFY, yes),
		ATTRIBUTE_BYTES(CKA_ID, &generate->id, 1),
		ATTRIBUTE_BYTES(CKA_LABEL, generate->label, strlen(generate->label)),
	};
	CK_ULONG count = 5;
	CK_OBJECT_HANDLE public_handle, private_handle;

	if (is_rsa) {
		public[count++] = (CK_ATTRIBUTE)ATTRIBUTE(CKA_MODULUS_BITS, bits);
		public[count++] = (CK_ATTRIBUTE)ATTRIBUTE_BYTES(CKA_PUBLIC_EXPONENT, "\1\0\1", 3);
	} else {
		add_curve(&curve, generate->type);
		public[count++] =
		        (CK_ATTRIBUTE)ATTRIBUTE_BYTES(CKA_EC_PARAMS, curve.bytes, curve.count);
	}
	return token->module->call->C_GenerateKeyPair(token->session, &mechanism, public, count,
	        private, ARRAY_COUNT(private) - !generate->agrees, &public_handle, &private_handle);
}

static CK_RV generate_work(struct token *token, void *context)
{
	struct generate *generate = context;
	CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
	CK_ATTRIBUTE template[] = { ATTRIBUTE(CKA_CLASS, class),
		ATTRIBUTE_BYTES(CKA_ID, &generate->id, 1) };
	CK_OBJECT_HANDLE object;
	CK_ULONG count;
	CK_RV rv;

	rv = token_objects(token, template, ARRAY_COUNT(template), &object, 1, &count);
	if (rv == CKR_OURS_TOO_LARGE || (rv == CKR_OK && count > 0)) {
		return CKR_OURS_EXISTS;
	}
	return rv != CKR_OK ? rv : generate_pair(token, generate);
}

static int key_generate(struct token *token, const struct generate *wanted,
        struct token_key **ret_key, struct err *err)
{
	struct generate generate = *wanted;
	AUTO_STRING char *what =
	        mem_format("making key %02x (%s)", wanted->id, token_key_type_name(wanted->type));
	int r;

	if (strlen(wanted->label) > TOKEN_LABEL_BYTES_MAX) {
		return err_set(err, -EINVAL, "%s: the label is longer than %d", what,
		        TOKEN_LABEL_BYTES_MAX);
	}
	r = token_do(token, generate_work, &generate, what, err);
	return r != 0 ? r : token_key_find(token, wanted->id, ret_key, err);
}

int token_key_generate(struct token *token, enum token_key_type type, uint8_t id, const char *label,
        struct token_key **ret_key, struct err *err)
{
	return key_generate(token, &(struct generate){ type, id, label, false }, ret_key, err);
}

int token_key_generate_agreement(struct token *token, enum token_key_type type, uint8_t id,
        const char *label, struct token_key **ret_key, struct err *err)
{
	if (type != TOKEN_KEY_EC_P256 && type != TOKEN_KEY_EC_P384) {
		return err_set(err, TOKEN_NOT_OFFERED,
		        "keys are agreed on with ec-p256 or ec-p384, not with %s",
		        token_key_type_name(type));
	}
	return key_generate(token, &(struct generate){ type, id, label, true }, ret_key, err);
}

struct token_key *token_key_free(struct token_key *key)
{
	if (key) {
		token_pkey_detach(key);
		free(key->spki);
		free(key);
	}
	return NULL;
}

enum token_key_type token_key_type(const struct token_key *key)
{
	return key->type;
}

const char *token_key_label(const struct token_key *key)
{
	return key->label;
}

const uint8_t *token_key_spki(const struct token_key *key, size_t *ret_count)
{
	*ret_count = key->spki_count;
	return key->spki;
}

struct sign {
	struct token_key *key;
	CK_MECHANISM *mechanism;
	const uint8_t *bytes;
	size_t count;
	struct buf *out;
};

static CK_RV sign_work(struct token *token, void *context)
{
	struct sign *sign = context;
	CK_FUNCTION_LIST *call = token->module->call;
	CK_ULONG room = 1024;
	uint8_t *signature = buf_reserve(sign->out, room);
	CK_RV rv = CKR_OK;

	if (!signature) {
		return CKR_OURS_TOO_LARGE;
	}
	if (sign->key->generation != token->generation) {
		rv = find_private(token, sign->key, sign->key->id_bytes == 0);
	}
	if (rv == CKR_OK) {
		rv = call->C_SignInit(token->session, sign->mechanism, sign->key->handle);
	}
	if (rv == CKR_OK) {
		rv = call->C_Sign(
		        token->session, (CK_BYTE *)sign->bytes, sign->count, signature, &room);
	}
	if (rv == CKR_OK) {
		sign->out->count += room;
		sign->out->bytes[sign->out->count] = '\0';
	}
	return rv;
}

int token_sign_raw(struct token_key *key, CK_MECHANISM *mechanism, const uint8_t *bytes,
        size_t count, struct buf *out, struct err *err)
{
	struct sign sign = { key, mechanism, bytes, count, out };

	return token_do(key->token, sign_work, &sign, "signing", err);
}

static const struct {
	size_t bytes;
	enum oid oid;
	CK_MECHANISM_TYPE hash;
	CK_RSA_PKCS_MGF_TYPE mask;
} digests[] = {
	[TOKEN_SHA256] = { 32, OID_SHA256, CKM_SHA256, CKG_MGF1_SHA256 },
	[TOKEN_SHA384] = { 48, OID_SHA384, CKM_SHA384, CKG_MGF1_SHA384 },
	[TOKEN_SHA512] = { 64, OID_SHA512, CKM_SHA512, CKG_MGF1_SHA512 },
};

static bool is_rsa_key(const struct token_key *key)
{
	return key->type == TOKEN_KEY_RSA_2048 || key->type == TOKEN_KEY_RSA_3072;
}

int token_sign_digest(struct token_key *key, enum token_digest digest, const uint8_t *bytes,
        struct buf *out, struct err *err)
{
	CK_MECHANISM mechanism = { .mechanism = is_rsa_key(key) ? CKM_RSA_PKCS : CKM_ECDSA };
	AUTO_BUF struct buf info = BUF(128);
	size_t count = digests[digest].bytes, outer, inner;

	if (key->type == TOKEN_KEY_ED25519) {
		return err_set(err, TOKEN_NOT_OFFERED, "an Ed25519 key does not sign digests");
	}
	if (!is_rsa_key(key)) {
		/* A digest longer than the order is cut to its length (FIPS 186-5 6.4.1); not every
		 * token does that itself. */
		return token_sign_raw(key, &mechanism, bytes,
		        count < key->order_bytes ? count : key->order_bytes, out, err);
	}
	outer = der_open(&info, DER_SEQUENCE); /* DigestInfo, RFC 8017 9.2 */
	inner = der_open(&info, DER_SEQUENCE);
	der_add_oid(&info, digests[digest].oid);
	der_add(&info, DER_NULL, NULL, 0);
	der_close(&info, inner);
	der_add(&info, DER_OCTET_STRING, bytes, count);
	der_close(&info, outer);
	return token_sign_raw(key, &mechanism, info.bytes, info.count, out, err);
}

int token_sign_digest_pss(struct token_key *key, enum token_digest digest, const uint8_t *bytes,
        struct buf *out, struct err *err)
{
	CK_RSA_PKCS_PSS_PARAMS params = {
		.hashAlg = digests[digest].hash,
		.mgf = digests[digest].mask,
		.sLen = digests[digest].bytes,
	};
	CK_MECHANISM mechanism = { CKM_RSA_PKCS_PSS, &params, sizeof(params) };

	if (!is_rsa_key(key)) {
		return err_set(err, TOKEN_NOT_OFFERED, "RSA-PSS needs an RSA key");
	}
	return token_sign_raw(key, &mechanism, bytes, digests[digest].bytes, out, err);
}

int token_sign(
        struct token_key *key, const void *bytes, size_t count, struct buf *out, struct err *err)
{
	bool is_384 = key->type == TOKEN_KEY_EC_P384;
	uint8_t digest[SHA384_DIGEST_LENGTH];
	AUTO_BUF struct buf raw = BUF(1024);
	CK_MECHANISM eddsa = { .mechanism = CKM_EDDSA };
	size_t mark;
	int r;

	if (key->type == TOKEN_KEY_ED25519) {
		return token_sign_raw(key, &eddsa, bytes, count, out, err);
	}
	if (is_384) {
		SHA384(bytes, count, digest);
	} else {
		SHA256(bytes, count, digest);
	}
	r = token_sign_digest(key, is_384 ? TOKEN_SHA384 : TOKEN_SHA256, digest,
	        is_rsa_key(key) ? out : &raw, err);
	if (r != 0 || is_rsa_key(key)) {
		return r;
	}
	if (raw.count != 2 * key->order_bytes) {
		return err_set(err, -EIO, "the token made a signature of %zu bytes", raw.count);
	}
	mark = der_open(out, DER_SEQUENCE);
	der_add_unsigned(out, raw.bytes, key->order_bytes);
	der_add_unsigned(out, raw.bytes + key->order_bytes, key->order_bytes);
	der_close(out, mark);
	return 0;
}

struct agree {
	struct token_key *key;
	const uint8_t *point;
	size_t count;
	struct buf *out;
};

static CK_RV agree_work(struct token *token, void *context)
{
	struct agree *agree = context;
	CK_FUNCTION_LIST *call = token->module->call;
	CK_ECDH1_DERIVE_PARAMS params = { .kdf = CKD_NULL,
		.ulPublicDataLen = agree->count,
		.pPublicData = (CK_BYTE *)agree->point };
	CK_MECHANISM mechanism = { CKM_ECDH1_DERIVE, &params, sizeof(params) };
	CK_OBJECT_CLASS class = CKO_SECRET_KEY;
	CK_KEY_TYPE type = CKK_GENERIC_SECRET;
	CK_ULONG bytes = agree->key->order_bytes;
	/* The secret is needed outside: the key derivation of RFC 5753 is no mechanism of PKCS#11.
	 * It is of this one message, and lives in the session only. */
	CK_ATTRIBUTE template[] = {
		ATTRIBUTE(CKA_CLASS, class),
		ATTRIBUTE(CKA_KEY_TYPE, type),
		ATTRIBUTE(CKA_TOKEN, no),
		ATTRIBUTE(CKA_SENSITIVE, no),
		ATTRIBUTE(CKA_EXTRACTABLE, yes),
		ATTRIBUTE(CKA_VALUE_LEN, bytes),
	};
	CK_OBJECT_HANDLE secret;
	CK_RV rv = CKR_OK;

	buf_reset(agree->out);
	if (agree->key->generation != token->generation) {
		rv = find_private(token, agree->key, agree->key->id_bytes == 0);
	}
	if (rv == CKR_OK) {
		rv = call->C_DeriveKey(token->session, &mechanism, agree->key->handle, template,
		        ARRAY_COUNT(template), &secret);
	}
	if (rv == CKR_OK) {
		rv = token_attribute(token, secret, CKA_VALUE, agree->out);
		call->C_DestroyObject(token->session, secret);
	}
	return rv;
}

int token_agree(
        struct token_key *key, const uint8_t *point, size_t count, struct buf *out, struct err *err)
{
	AUTO_BUF struct buf secret = BUF(TOKEN_ATTRIBUTE_BYTES_MAX);
	struct agree agree = { key, point, count, &secret };
	int r;

	if (key->type != TOKEN_KEY_EC_P256 && key->type != TOKEN_KEY_EC_P384) {
		return err_set(err, TOKEN_NOT_OFFERED, "a key of type %s agrees on nothing",
		        token_key_type_name(key->type));
	}
	r = token_do(key->token, agree_work, &agree, "agreeing on a key", err);
	if (r == 0 && secret.count != key->order_bytes) {
		r = err_set(err, -EIO, "the token made a secret of %zu bytes", secret.count);
	}
	if (r == 0) {
		buf_add(out, secret.bytes, secret.count);
	}
	if (secret.bytes) {
		mem_wipe(secret.bytes, secret.count);
	}
	return r;
}
