/*
 * A growing buffer with a maximum that is set when it is made (style 7), and reading and writing
 * cursors with a sticky error, so that a parser checks once at its end.
 *
 * All integers on the wire are big endian.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"

struct buf {
	uint8_t *bytes; /* always followed by a zero byte once anything was written */
	size_t count;
	size_t room;
	size_t count_max;
	bool overflowed; /* sticky: a write went past count_max and was left out whole */
};

#define BUF(max) ((struct buf){ .count_max = (max) })
#define AUTO_BUF __attribute__((cleanup(buf_clear), unused))

/* Frees the memory; the buffer can be used again. */
void buf_clear(struct buf *buf);

/* Empties it and keeps the memory. */
void buf_reset(struct buf *buf);

/* Removes `count` bytes from the front. */
void buf_drop(struct buf *buf, size_t count);

void buf_add(struct buf *buf, const void *bytes, size_t count);
void buf_add_text(struct buf *buf, const char *text);
void buf_add_format(struct buf *buf, const char *format, ...) printf_like(2, 3);
void buf_add_u8(struct buf *buf, uint8_t value);
void buf_add_u16(struct buf *buf, uint16_t value);
void buf_add_u32(struct buf *buf, uint32_t value);
void buf_add_u64(struct buf *buf, uint64_t value);
/* u32 length, then the bytes. */
void buf_add_block(struct buf *buf, const void *bytes, size_t count);

/* Room for at least `count` more bytes at bytes + count, or NULL if that is past the maximum.
 * The caller adds what it used to buf->count. */
uint8_t *buf_reserve(struct buf *buf, size_t count);

/* The bytes as a string; "" when empty. Borrowed. */
const char *buf_text(const struct buf *buf);

/* Hands the bytes on as an owned, zero-terminated string and leaves the buffer empty. */
char *buf_take_text(struct buf *buf);

struct cursor {
	const uint8_t *bytes;
	size_t count;
	size_t at;
	bool broken; /* sticky: something was read past the end */
};

#define CURSOR(data, data_count) ((struct cursor){ .bytes = (data), .count = (data_count) })

uint8_t cursor_u8(struct cursor *cursor);
uint16_t cursor_u16(struct cursor *cursor);
uint32_t cursor_u32(struct cursor *cursor);
uint64_t cursor_u64(struct cursor *cursor);
/* Borrowed bytes, or NULL (and broken) when there are not that many. */
const uint8_t *cursor_take(struct cursor *cursor, size_t count);
/* The counterpart of buf_add_block. */
const uint8_t *cursor_block(struct cursor *cursor, size_t *ret_count);
size_t cursor_left(const struct cursor *cursor);
/* True when nothing was read past the end and nothing is left over. */
bool cursor_done(const struct cursor *cursor);
