/*
 * Public keys: reading a SubjectPublicKeyInfo, what is too weak to be accepted (A04, A06), and
 * checking signatures by the algorithm names of X.509.
 *
 * Accepted: EC P-256 and P-384 (named curve, uncompressed point on the curve), RSA of 2048 to 4096
 * bits with exponent 65537, Ed25519. RSA moduli with small factors, with close primes (Fermat) or
 * with the fingerprint of CVE-2017-15361 are refused as known bad.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct evp_pkey_st;
struct key; /* a public key that passed the checks above */

/* SHA-256 of the DER SubjectPublicKeyInfo: the name of a key everywhere in this system. */
struct key_hash {
	uint8_t bytes[32];
};

struct key_hash key_hash_of(const uint8_t *spki, size_t count);
bool key_hash_equal(struct key_hash left, struct key_hash right);

#define KEY_SPKI_BYTES_MAX 600 /* RSA-4096 is 550 */
#define KEY_ID_TEXT_BYTES 43   /* base64url of 32 bytes */

struct key_id {
	char text[KEY_ID_TEXT_BYTES + 1];
};

/* base64url of the hash: the `kid` of seals, and how keys are shown and named in JSON. */
struct key_id key_hash_print(struct key_hash hash);

/* Outcome 1: not a key that is accepted; err says why. */
int key_parse(const uint8_t *spki, size_t count, struct key **ret_key, struct err *err) must_use;
/* The same from base64 (as in JSON documents). */
int key_parse_base64(const char *text, struct key **ret_key, struct err *err) must_use;
/* A second owner of the same key. */
struct key *key_copy(const struct key *key);
struct key *key_free(struct key *key);
AUTO_DEFINE(key)

const uint8_t *key_spki(const struct key *key, size_t *ret_count);
struct key_hash key_hash(const struct key *key);
struct key_id key_id(const struct key *key);
bool key_is_p256(const struct key *key);
/* Borrowed. */
struct evp_pkey_st *key_pkey(const struct key *key);

/* Checks a signature as X.509, CRLs and OCSP carry it; `algorithm` is the DER AlgorithmIdentifier.
 * SHA-1, MD5 and unknown algorithms are outcome 1 like a signature that does not fit. */
int key_verify_x509(const struct key *key, const uint8_t *algorithm, size_t algorithm_count,
        const uint8_t *bytes, size_t count, const uint8_t *signature,
        size_t signature_count) must_use;

/* ECDSA P-256 with SHA-256, signature as r and s of 32 bytes each (RFC 7518 3.4). Outcome 1: it
 * does not fit, or the key is not P-256. */
int key_verify_es256(const struct key *key, const void *bytes, size_t count,
        const uint8_t signature[64]) must_use;
