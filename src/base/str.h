/* Text: names, ids, hex and base64. Everything here is pure but id_new(). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/limits.h"

/* A name: lower-case letters, digits and hyphens, starting with a letter, ending with a letter or
 * digit, 1 to NAME_BYTES_MAX. It can stand in a certificate, an IKE identity, a VICI section, a
 * file name and a log line as it is; this is what makes injection through names impossible (A19).
 */
bool name_valid(const char *text);

struct id {
	char text[ID_BYTES_MAX + 1];
};

/* A new id: 48 bits of milliseconds and 80 random bits in Crockford base 32 (as ULID does), so ids
 * sort by time and cannot be guessed. */
struct id id_new(int64_t wall_usec);
bool id_valid(const char *text);

/* Fills with random bytes from the kernel; a failure ends the process (F42). */
void random_fill(void *bytes, size_t count);

/* Lower-case hex. `out` has room for 2 * count + 1. */
void hex_print(const uint8_t *bytes, size_t count, char *out);
/* Exactly `count` bytes. Outcome 1: not that many hex digits. */
int hex_parse(const char *text, uint8_t *out, size_t count) must_use;

/* base64 with padding (RFC 4648 4), and base64url without (RFC 4648 5). */
void base64_add(struct buf *out, const void *bytes, size_t count);
void base64url_add(struct buf *out, const void *bytes, size_t count);
/* Strict: no white space, canonical padding bits. Outcome 1: not such text, or too much for out. */
int base64_parse(const char *text, size_t count, struct buf *out) must_use;
int base64url_parse(const char *text, size_t count, struct buf *out) must_use;

/* Compares in constant time. */
bool bytes_equal(const void *left, const void *right, size_t count);

/* For tables in memory, never stored: equal texts have equal hashes. Who does not know the seed
 * cannot choose texts that collide. */
uint64_t text_hash(const char *text, size_t count, uint64_t seed);

bool text_equal(const char *left, const char *right); /* NULL equals NULL only */
bool text_starts(const char *text, const char *prefix);

/* Reads an unsigned decimal without sign or leading zeros. Outcome 1: not one, or above max. */
int unsigned_parse(const char *text, uint64_t max, uint64_t *ret_value) must_use;

/* Copies into a fixed field. Outcome 1: it does not fit (nothing is written). */
int text_copy(char *out, size_t out_bytes, const char *text) must_use;
