/*
 * A PKCS#11 token: the only place where private keys of this system live (DESIGN 5, B9).
 *
 * A private key is made inside the token (sensitive, not extractable) and never leaves it; there is
 * no file key anywhere, not even as a fall-back. The module is called directly rather than through
 * an OpenSSL engine, because an engine cannot get over the death of a token forwarder
 * (p11-kit-remote) and this can: when the module reports that its device or session is gone, the
 * module is finalized, initialized, logged in to and the call made once more.
 *
 * A PIN that was refused is never tried again: cards lock after a few wrong ones. The handle
 * remembers the refusal and makes no second login; a token that says that its last try is next, or
 * that it is locked, is not tried at all.
 *
 * Conventions of CKA_ID and CKA_LABEL:
 *     gateway   01        tier 1, the device key and certificate
 *               10 to ff  tier 2, one per service provider, label = name of the provider
 *     others    label says what it is for ("grant", "checkpoint", "device-ca", …), any id
 * Data objects (CKO_DATA, e.g. the device information) are found by their label.
 *
 * A process opens its tokens after its last fork(): PKCS#11 sessions do not survive one. Opening a
 * token makes the process ignore SIGPIPE if it had no handler for it, since a forwarder that died
 * would otherwise end the process.
 *
 * Outcomes, the same for every function here that can reach the token. Faults (< 0) are what the
 * module could not do for another reason, with text.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct evp_pkey_st;
struct token;
struct token_key;

enum token_outcome {
	TOKEN_MISSING = 1,     /* the module cannot be loaded, or has no token with this label */
	TOKEN_PIN_WRONG = 2,   /* refused, now or earlier by this handle; nothing is tried again */
	TOKEN_PIN_LOCKED = 3,  /* the token says locked, or that its final try is next */
	TOKEN_NOT_FOUND = 4,   /* no such key or object */
	TOKEN_EXISTS = 5,      /* there is a key with this id or label already */
	TOKEN_NOT_OFFERED = 6, /* the token has no mechanism for this key type or signature */
};

#define TOKEN_ID_DEVICE 0x01
#define TOKEN_ID_SERVICE_FIRST 0x10
#define TOKEN_ID_SERVICE_LAST 0xff

#define TOKEN_LABEL_BYTES_MAX 63

enum token_key_type {
	TOKEN_KEY_EC_P256, /* the default */
	TOKEN_KEY_EC_P384,
	TOKEN_KEY_RSA_2048,
	TOKEN_KEY_RSA_3072,
	TOKEN_KEY_ED25519,
};

/* "ec-p256", "ec-p384", "rsa-2048", "rsa-3072", "ed25519". */
const char *token_key_type_name(enum token_key_type type);
/* Outcome 1: no such type. */
int token_key_type_parse(const char *name, enum token_key_type *ret_type) must_use;

/* Makes a handle; reaches nothing yet. `pin` is copied and wiped by token_free() (it is needed
 * again when a forwarder comes back). `pin` NULL: no login, only public objects can be read. */
int token_new(const char *module_path, const char *label, const char *pin,
        struct token **ret_token) must_use;
struct token *token_free(struct token *token);
AUTO_DEFINE(token)

/* Loads the module, finds the token by its label and logs in. Nothing happens if that is done
 * already. May be called again after TOKEN_MISSING; after TOKEN_PIN_WRONG it answers the same
 * without asking the token. Every function below opens a token that is not open. */
int token_open(struct token *token, struct err *err) must_use;

const char *token_label(const struct token *token);

/* How often C_Login was called and how often the module had to be started again; for metrics and
 * for the tests of the promise above. */
unsigned token_login_count(const struct token *token);
unsigned token_recovery_count(const struct token *token);

/* What one CKA_ID holds. */
struct token_slot {
	uint8_t id[16];
	size_t id_bytes;
	char label[TOKEN_LABEL_BYTES_MAX + 1]; /* of the private key, else of the certificate */
	bool has_key;
	bool has_certificate;
};

#define TOKEN_SLOTS_MAX 256

/* Lists keys and certificates by CKA_ID, in order of id. The caller frees `*ret_slots` with free().
 * Objects beyond TOKEN_SLOTS_MAX slots are a fault, not cut off. */
int token_list(struct token *token, struct token_slot **ret_slots, size_t *ret_count,
        struct err *err) must_use;

/* The lowest tier 2 id that holds nothing. TOKEN_NOT_FOUND: all are taken. */
int token_free_service_id(struct token *token, uint8_t *ret_id, struct err *err) must_use;

/* Finds a private key with its public half. A label that two keys carry is a fault (ambiguous).
 * The token must outlive the key. */
int token_key_find(
        struct token *token, uint8_t id, struct token_key **ret_key, struct err *err) must_use;
int token_key_find_label(struct token *token, const char *label, struct token_key **ret_key,
        struct err *err) must_use;

/* Makes a key pair in the token: private, sensitive, not extractable, for signing only.
 * TOKEN_EXISTS if the id is taken. */
int token_key_generate(struct token *token, enum token_key_type type, uint8_t id, const char *label,
        struct token_key **ret_key, struct err *err) must_use;

/* The same for a key that others encrypt for: EC only (else TOKEN_NOT_OFFERED). It can derive and,
 * for the proof of possession in its request, sign. */
int token_key_generate_agreement(struct token *token, enum token_key_type type, uint8_t id,
        const char *label, struct token_key **ret_key, struct err *err) must_use;

struct token_key *token_key_free(struct token_key *key);
AUTO_DEFINE(token_key)

enum token_key_type token_key_type(const struct token_key *key);
const char *token_key_label(const struct token_key *key);

/* DER SubjectPublicKeyInfo. Borrowed. */
const uint8_t *token_key_spki(const struct token_key *key, size_t *ret_count);

enum token_digest { TOKEN_SHA256, TOKEN_SHA384, TOKEN_SHA512 };

/* Signs a digest that the caller made (ECDSA, RSA). EC: r and s, each as long as the curve's order
 * (the form of JWS and PKCS#11). RSA: PKCS#1 v1.5 with DigestInfo. Ed25519 keys: TOKEN_NOT_OFFERED.
 */
int token_sign_digest(struct token_key *key, enum token_digest digest, const uint8_t *bytes,
        struct buf *out, struct err *err) must_use;

/* RSA-PSS over a digest, salt as long as the digest, MGF1 with the same hash. */
int token_sign_digest_pss(struct token_key *key, enum token_digest digest, const uint8_t *bytes,
        struct buf *out, struct err *err) must_use;

/* Hashes and signs as X.509 does for this key: P-256 with SHA-256, P-384 with SHA-384, RSA PKCS#1
 * v1.5 with SHA-256, Ed25519 as it is. EC signatures come as the DER ECDSA-Sig-Value (RFC 3279). */
int token_sign(struct token_key *key, const void *bytes, size_t count, struct buf *out,
        struct err *err) must_use;

/* The shared secret of an EC key and a peer's public point (ECDH, SP 800-56A 5.7.1.2: the x
 * coordinate), as long as the curve's field, added to `out`. `point` is uncompressed and was
 * checked to be on the curve (key_parse()). TOKEN_NOT_OFFERED: no EC key, or one that may not
 * derive. */
int token_agree(struct token_key *key, const uint8_t *point, size_t count, struct buf *out,
        struct err *err) must_use;

/* The key as an OpenSSL key whose private operations happen in the token, for SSL_CTX, CMS and what
 * else wants one. EC and RSA; TOKEN_NOT_OFFERED for Ed25519. Borrowed: lives as long as `key`,
 * which must outlive every use OpenSSL makes of it. */
int token_key_pkey(struct token_key *key, struct evp_pkey_st **ret_pkey, struct err *err) must_use;

/* Certificates (DER, by id) and data objects (by label). Putting replaces what was there; for a
 * certificate the new one is in place before the old one goes. Getting: TOKEN_NOT_FOUND. */
int token_certificate_put(struct token *token, uint8_t id, const char *label, const uint8_t *der,
        size_t count, struct err *err) must_use;
int token_certificate_get(
        struct token *token, uint8_t id, struct buf *der, struct err *err) must_use;
int token_data_put(struct token *token, const char *label, const void *bytes, size_t count,
        struct err *err) must_use;
int token_data_get(
        struct token *token, const char *label, struct buf *bytes, struct err *err) must_use;

/* Destroys every object of one id: key pair and certificate (B5). TOKEN_NOT_FOUND: it held none. */
int token_delete(struct token *token, uint8_t id, struct err *err) must_use;
/* TOKEN_NOT_FOUND: there is no such data object. */
int token_data_delete(struct token *token, const char *label, struct err *err) must_use;
