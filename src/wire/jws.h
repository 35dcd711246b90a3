/*
 * The compact serialization of JSON Web Signatures (RFC 7515 7.1) in the one form this system uses:
 * the header is, byte for byte, {"alg":"ES256","kid":"<43 base64url>","typ":"<typ>"}. Only bytes
 * here; keys and signatures are pki/seal.h.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/limits.h"

#define JWS_KID_BYTES 43
#define JWS_TYP_BYTES_MAX 32
#define JWS_SIGNATURE_BYTES 64

struct jws {
	char kid[JWS_KID_BYTES + 1];
	char typ[JWS_TYP_BYTES_MAX + 1];
	size_t signed_count; /* the signature is over the first so many characters of the text */
	uint8_t signature[JWS_SIGNATURE_BYTES];
};

/* Splits `text`; adds the payload to `payload`. Outcome 1: not in our form, longer than
 * JWS_BYTES_MAX, or the payload does not fit. */
int jws_split(const char *text, size_t count, struct jws *ret_jws, struct buf *payload) must_use;

/* Adds header and payload, that is, the characters to be signed. `kid` is JWS_KID_BYTES of
 * base64url, `typ` lower-case letters, digits and hyphens, at most JWS_TYP_BYTES_MAX: our own
 * mistake if not. */
void jws_print_signed(
        const char *kid, const char *typ, const void *payload, size_t count, struct buf *out);
/* Adds the signature to them. */
void jws_print_signature(const uint8_t signature[JWS_SIGNATURE_BYTES], struct buf *out);
