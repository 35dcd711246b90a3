#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void buf_clear(struct buf *buf)
{
	free(buf->bytes);
	*buf = BUF(buf->count_max);
}

void buf_reset(struct buf *buf)
{
	buf->count = 0;
	buf->overflowed = false;
	if (buf->bytes) {
		buf->bytes[0] = '\0';
	}
}

void buf_drop(struct buf *buf, size_t count)
{
	assert_always(count <= buf->count);
	if (count == 0) {
		return;
	}
	memmove(buf->bytes, buf->bytes + count, buf->count - count);
	buf->count -= count;
	buf->bytes[buf->count] = '\0';
}

uint8_t *buf_reserve(struct buf *buf, size_t count)
{
	assert_always(buf->count_max > 0);
	if (buf->overflowed || count > buf->count_max - buf->count) {
		buf->overflowed = true;
		return NULL;
	}
	if (buf->count + count + 1 > buf->room) {
		size_t room = buf->room ? buf->room : 64;

		while (room < buf->count + count + 1) {
			room *= 2;
		}
		if (room > buf->count_max + 1) {
			room = buf->count_max + 1;
		}
		buf->bytes = mem_resize(buf->bytes, room, 1);
		buf->room = room;
	}
	return buf->bytes + buf->count;
}

void buf_add(struct buf *buf, const void *bytes, size_t count)
{
	uint8_t *room = buf_reserve(buf, count);

	if (!room) {
		return;
	}
	if (count > 0) {
		memcpy(room, bytes, count);
	}
	buf->count += count;
	buf->bytes[buf->count] = '\0';
}

void buf_add_text(struct buf *buf, const char *text)
{
	buf_add(buf, text, strlen(text));
}

void buf_add_format(struct buf *buf, const char *format, ...)
{
	AUTO_STRING char *text = NULL;
	va_list args;
	int bytes;

	va_start(args, format);
	bytes = vasprintf(&text, format, args);
	va_end(args);
	assert_always(bytes >= 0);
	buf_add(buf, text, (size_t)bytes);
}

void buf_add_u8(struct buf *buf, uint8_t value)
{
	buf_add(buf, &value, 1);
}

void buf_add_u16(struct buf *buf, uint16_t value)
{
	buf_add(buf, (uint8_t[]){ (uint8_t)(value >> 8), (uint8_t)value }, 2);
}

void buf_add_u32(struct buf *buf, uint32_t value)
{
	buf_add_u16(buf, (uint16_t)(value >> 16));
	buf_add_u16(buf, (uint16_t)value);
}

void buf_add_u64(struct buf *buf, uint64_t value)
{
	buf_add_u32(buf, (uint32_t)(value >> 32));
	buf_add_u32(buf, (uint32_t)value);
}

void buf_add_block(struct buf *buf, const void *bytes, size_t count)
{
	assert_always(count <= UINT32_MAX);
	buf_add_u32(buf, (uint32_t)count);
	buf_add(buf, bytes, count);
}

const char *buf_text(const struct buf *buf)
{
	return buf->count > 0 ? (const char *)buf->bytes : "";
}

char *buf_take_text(struct buf *buf)
{
	char *text;

	if (buf->count == 0) {
		return mem_string("");
	}
	text = (char *)TAKE(buf->bytes);
	*buf = BUF(buf->count_max);
	return text;
}

const uint8_t *cursor_take(struct cursor *cursor, size_t count)
{
	const uint8_t *bytes;

	if (cursor->broken || count > cursor->count - cursor->at) {
		cursor->broken = true;
		return NULL;
	}
	bytes = cursor->bytes + cursor->at;
	cursor->at += count;
	return bytes;
}

static uint64_t cursor_unsigned(struct cursor *cursor, size_t count)
{
	const uint8_t *bytes = cursor_take(cursor, count);
	uint64_t value = 0;

	for (size_t i = 0; bytes && i < count; i++) {
		value = value << 8 | bytes[i];
	}
	return value;
}

uint8_t cursor_u8(struct cursor *cursor)
{
	return (uint8_t)cursor_unsigned(cursor, 1);
}

uint16_t cursor_u16(struct cursor *cursor)
{
	return (uint16_t)cursor_unsigned(cursor, 2);
}

uint32_t cursor_u32(struct cursor *cursor)
{
	return (uint32_t)cursor_unsigned(cursor, 4);
}

uint64_t cursor_u64(struct cursor *cursor)
{
	return cursor_unsigned(cursor, 8);
}

const uint8_t *cursor_block(struct cursor *cursor, size_t *ret_count)
{
	size_t count = cursor_u32(cursor);
	const uint8_t *bytes = cursor_take(cursor, count);

	*ret_count = bytes ? count : 0;
	return bytes;
}

size_t cursor_left(const struct cursor *cursor)
{
	return cursor->count - cursor->at;
}

bool cursor_done(const struct cursor *cursor)
{
	return !cursor->broken && cursor->at == cursor->count;
}
