/*
 * DER (X.690 10): a reader that takes nothing but canonical encodings, and a writer.
 *
 * This is what the certificate profile is checked with, so that the check does not share its parser
 * with the library that made or will use the certificate (Z04).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "pki/oid.h"

enum der_tag {
	DER_BOOLEAN = 0x01,
	DER_INTEGER = 0x02,
	DER_BIT_STRING = 0x03,
	DER_OCTET_STRING = 0x04,
	DER_NULL = 0x05,
	DER_OID = 0x06,
	DER_ENUMERATED = 0x0a,
	DER_UTF8_STRING = 0x0c,
	DER_PRINTABLE_STRING = 0x13,
	DER_IA5_STRING = 0x16,
	DER_UTC_TIME = 0x17,
	DER_GENERALIZED_TIME = 0x18,
	DER_SEQUENCE = 0x30,
	DER_SET = 0x31,
};

#define DER_CONTEXT(number) (0x80 | (number))      /* implicit primitive, or GeneralName */
#define DER_CONTEXT_MADE(number) (0xa0 | (number)) /* constructed */

#define DER_DEPTH_MAX 16 /* a certificate's deepest part, a distribution point, is at 9 */

/* A piece of DER that is read from the front. */
struct der {
	const uint8_t *at;
	size_t left;
	bool broken; /* sticky: something expected was not there */
};

#define DER(bytes, count) ((struct der){ .at = (bytes), .left = (count) })

/* Whether the whole is one canonical DER value: minimal definite lengths, minimal integers,
 * booleans of 0 or 255, bit strings with zero padding, sets in order, at most DER_DEPTH_MAX deep,
 * nothing behind it. */
bool der_canonical(const uint8_t *bytes, size_t count);

/* The tag of the next value, 0 at the end. */
uint8_t der_peek(const struct der *in);
bool der_end(const struct der *in); /* nothing left and nothing broken */
/* Takes the next value, which must have this tag, and returns its content; `ret_whole` (may be
 * NULL) gets it with tag and length. Broken: an empty broken content. */
struct der der_take(struct der *in, uint8_t tag);
struct der der_take_whole(struct der *in, uint8_t tag, struct der *ret_whole);
/* The next value of any tag, as a whole. */
struct der der_take_any(struct der *in);
/* Takes it if it is next; otherwise nothing happens and false. */
bool der_try(struct der *in, uint8_t tag, struct der *ret_content);
enum oid der_take_oid(struct der *in);
/* A non-negative INTEGER that fits. */
uint64_t der_take_u64(struct der *in);
/* The bytes of a non-negative INTEGER without leading zero byte. */
struct der der_take_unsigned(struct der *in);
/* UTCTime or GeneralizedTime as RFC 5280 4.1.2.5 has them (which one is right for the year is
 * checked). Seconds since 1970. */
int64_t der_take_time(struct der *in);
/* A BIT STRING without unused bits. */
struct der der_take_bits(struct der *in);
bool der_equal(struct der left, struct der right);

/* Writing. der_open() returns a mark for the der_close() that fills in the length. */
size_t der_open(struct buf *out, uint8_t tag);
void der_close(struct buf *out, size_t mark);
void der_add(struct buf *out, uint8_t tag, const void *bytes, size_t count);
void der_add_text(struct buf *out, uint8_t tag, const char *text);
void der_add_oid(struct buf *out, enum oid oid);
void der_add_u64(struct buf *out, uint64_t value);
void der_add_unsigned(struct buf *out, const uint8_t *bytes, size_t count);
void der_add_bool(struct buf *out, bool value);
void der_add_bits(struct buf *out, const void *bytes, size_t count);
void der_add_time(struct buf *out, int64_t seconds);
void der_add_generalized_time(struct buf *out, int64_t seconds); /* OCSP has only these */

/* DER of exactly one PEM block with this label (white space around it is allowed), or `bytes`
 * themselves when they are no PEM. Outcome 1: neither. */
int der_from_pem(const void *bytes, size_t count, const char *label, struct buf *out) must_use;
void der_print_pem(const uint8_t *bytes, size_t count, const char *label, struct buf *out);
