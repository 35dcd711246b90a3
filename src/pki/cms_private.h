/* What the files of CMS share. */
#pragma once

#include "pki/cms.h"
#include "pki/der.h"

#define GCM_NONCE_BYTES 12
#define GCM_TAG_BYTES 16
#define WRAP_MORE_BYTES 8 /* a wrapped key is longer by this (RFC 3394) */
#define AGREED_BYTES_MAX 48
#define CMS_KEY_BYTES_MAX 32

/* The curve and the point of an EC key. False: not EC. */
struct cms_point {
	enum oid curve;
	const uint8_t *bytes; /* borrowed: uncompressed */
	size_t count;
};
bool cms_point_of(const uint8_t *spki, size_t count, struct cms_point *ret_point);
/* A SubjectPublicKeyInfo around a point. */
void cms_point_wrap(struct buf *out, enum oid curve, const uint8_t *point, size_t count);

/* The key that wraps, from what was agreed (RFC 5753 7.2, X9.63): `wrap` is the AlgorithmIdentifier
 * as it stands in the message. */
void cms_key_derive(const struct cms_agreement *agreement, const uint8_t *agreed,
        size_t agreed_bytes, uint8_t out[CMS_KEY_BYTES_MAX]);

/* RFC 3394. Outcome 1: it does not come apart. */
void cms_key_wrap(const uint8_t *wrapping, const uint8_t key[CMS_KEY_BYTES_MAX], uint8_t *out);
int cms_key_unwrap(const uint8_t *wrapping, size_t wrapping_bytes, const uint8_t *wrapped,
        size_t count, uint8_t out[CMS_KEY_BYTES_MAX]) must_use;

/* IssuerAndSerialNumber, and the serial as in a certificate. */
void cms_add_issuer_serial(struct buf *out, const struct cert *cert);
/* Whether the content of an IssuerAndSerialNumber is of this certificate. */
bool cms_is_issuer_serial(struct der in, const struct cert *cert);
