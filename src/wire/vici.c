/*
 * Reader and writer share one rule of nesting: key/values and sections may stand anywhere but in a
 * list, items only in a list, and lists do not nest.
 */
#include "wire/vici.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"

#define LENGTH_BYTES 4
#define VALUE_BYTES_MAX 0xffff /* the length is a u16 */

static bool has_name(enum vici_packet_type type)
{
	return type == VICI_COMMAND || type == VICI_REGISTER || type == VICI_UNREGISTER ||
	       type == VICI_EVENT;
}

static void put_name(struct vici_writer *writer, const char *name)
{
	size_t count = strlen(name);

	if (count == 0 || count > VICI_NAME_BYTES_MAX) {
		writer->broken = true;
		return;
	}
	buf_add_u8(writer->out, (uint8_t)count);
	buf_add(writer->out, name, count);
}

static void put_element(struct vici_writer *writer, enum vici_element_type type, const char *name)
{
	assert_always(writer->in_list == (type == VICI_LIST_ITEM || type == VICI_LIST_END));
	buf_add_u8(writer->out, (uint8_t)type);
	if (name) {
		put_name(writer, name);
	}
}

static void put_bytes(struct vici_writer *writer, const void *bytes, size_t count)
{
	if (count > VALUE_BYTES_MAX) {
		writer->broken = true;
		return;
	}
	buf_add_u16(writer->out, (uint16_t)count);
	buf_add(writer->out, bytes, count);
}

struct vici_writer vici_packet_start(struct buf *out, enum vici_packet_type type, const char *name)
{
	struct vici_writer writer = { .out = out, .start = out->count };

	assert_always((name != NULL) == has_name(type));
	buf_add_u32(out, 0);
	buf_add_u8(out, (uint8_t)type);
	if (name) {
		put_name(&writer, name);
	}
	return writer;
}

void vici_section_start(struct vici_writer *writer, const char *name)
{
	put_element(writer, VICI_SECTION_START, name);
	if (++writer->depth > VICI_DEPTH_MAX) {
		writer->broken = true;
	}
}

void vici_section_end(struct vici_writer *writer)
{
	assert_always(writer->depth > 0);
	put_element(writer, VICI_SECTION_END, NULL);
	writer->depth--;
}

void vici_value(struct vici_writer *writer, const char *name, const void *bytes, size_t count)
{
	put_element(writer, VICI_KEY_VALUE, name);
	put_bytes(writer, bytes, count);
}

void vici_text(struct vici_writer *writer, const char *name, const char *text)
{
	vici_value(writer, name, text, strlen(text));
}

void vici_format(struct vici_writer *writer, const char *name, const char *format, ...)
{
	char text[256];
	va_list args;
	int count;

	va_start(args, format);
	count = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (count < 0 || (size_t)count >= sizeof(text)) {
		writer->broken = true;
		return;
	}
	vici_text(writer, name, text);
}

void vici_list_start(struct vici_writer *writer, const char *name)
{
	put_element(writer, VICI_LIST_START, name);
	writer->in_list = true;
}

void vici_item(struct vici_writer *writer, const void *bytes, size_t count)
{
	put_element(writer, VICI_LIST_ITEM, NULL);
	put_bytes(writer, bytes, count);
}

void vici_item_text(struct vici_writer *writer, const char *text)
{
	vici_item(writer, text, strlen(text));
}

void vici_list_end(struct vici_writer *writer)
{
	put_element(writer, VICI_LIST_END, NULL);
	writer->in_list = false;
}

void vici_list_text(struct vici_writer *writer, const char *name, const char *text)
{
	vici_list_start(writer, name);
	vici_item_text(writer, text);
	vici_list_end(writer);
}

int vici_packet_end(struct vici_writer *writer)
{
	struct buf *out = writer->out;
	size_t count;

	assert_always(writer->depth == 0 && !writer->in_list);
	count = out->count - writer->start;
	if (writer->broken || out->overflowed || count > LENGTH_BYTES + VICI_MESSAGE_BYTES_MAX) {
		out->count = writer->start;
		return 1;
	}
	count -= LENGTH_BYTES;
	for (int i = 0; i < LENGTH_BYTES; i++) {
		out->bytes[writer->start + (size_t)i] = (uint8_t)(count >> (8 * (3 - i)));
	}
	return 0;
}

/* A name: not empty, no control characters, so that it can be printed as it is. */
static int take_name(struct cursor *cursor, char out[VICI_NAME_BYTES_MAX + 1])
{
	size_t count = cursor_u8(cursor);
	const uint8_t *bytes = cursor_take(cursor, count);

	if (!bytes || count == 0) {
		return 1;
	}
	for (size_t i = 0; i < count; i++) {
		if (bytes[i] < 0x20 || bytes[i] == 0x7f) {
			return 1;
		}
	}
	memcpy(out, bytes, count);
	out[count] = '\0';
	return 0;
}

int vici_packet_parse(
        const uint8_t *bytes, size_t count, struct vici_packet *ret_packet, size_t *ret_used)
{
	struct cursor head = CURSOR(bytes, count), cursor;
	uint32_t length;
	uint8_t type;

	if (count < LENGTH_BYTES) {
		return 1;
	}
	length = cursor_u32(&head);
	if (length == 0 || length > VICI_MESSAGE_BYTES_MAX) {
		return 2;
	}
	if (cursor_left(&head) < length) {
		return 1;
	}
	cursor = CURSOR(bytes + LENGTH_BYTES, length);
	type = cursor_u8(&cursor);
	if (type > VICI_EVENT) {
		return 2;
	}
	ret_packet->type = (enum vici_packet_type)type;
	ret_packet->name[0] = '\0';
	if (has_name(ret_packet->type) && take_name(&cursor, ret_packet->name) != 0) {
		return 2;
	}
	ret_packet->message = bytes + LENGTH_BYTES + cursor.at;
	ret_packet->message_bytes = cursor_left(&cursor);
	*ret_used = LENGTH_BYTES + length;
	return 0;
}

static int take_value(struct vici_reader *reader, struct vici_element *element)
{
	size_t count = cursor_u16(&reader->cursor);

	element->value = cursor_take(&reader->cursor, count);
	element->value_bytes = count;
	return element->value ? 0 : 2;
}

static int read_in_list(struct vici_reader *reader, struct vici_element *element)
{
	memcpy(element->name, reader->list, sizeof(element->name));
	if (element->type == VICI_LIST_ITEM) {
		return take_value(reader, element);
	}
	reader->in_list = false;
	return element->type == VICI_LIST_END ? 0 : 2;
}

int vici_read(struct vici_reader *reader, struct vici_element *ret_element)
{
	struct vici_element *element = ret_element;

	if (reader->cursor.broken) {
		return 2;
	}
	if (cursor_left(&reader->cursor) == 0) {
		return reader->depth == 0 && !reader->in_list ? 1 : 2;
	}
	element->type = (enum vici_element_type)cursor_u8(&reader->cursor);
	element->name[0] = '\0';
	element->value = NULL;
	element->value_bytes = 0;
	if (reader->in_list) {
		return read_in_list(reader, element);
	}
	if (element->type == VICI_SECTION_END) {
		return reader->depth-- > 0 ? 0 : 2;
	}
	if (element->type != VICI_SECTION_START && element->type != VICI_KEY_VALUE &&
	        element->type != VICI_LIST_START) {
		return 2;
	}
	if (take_name(&reader->cursor, element->name) != 0) {
		return 2;
	}
	if (element->type == VICI_KEY_VALUE) {
		return take_value(reader, element);
	}
	if (element->type == VICI_LIST_START) {
		reader->in_list = true;
		memcpy(reader->list, element->name, sizeof(reader->list));
		return 0;
	}
	return ++reader->depth <= VICI_DEPTH_MAX ? 0 : 2;
}

int vici_value_text(const struct vici_element *element, char *out, size_t out_bytes)
{
	if (!element->value || element->value_bytes >= out_bytes) {
		return 1;
	}
	for (size_t i = 0; i < element->value_bytes; i++) {
		if (element->value[i] < 0x20 || element->value[i] == 0x7f) {
			return 1;
		}
	}
	memcpy(out, element->value, element->value_bytes);
	out[element->value_bytes] = '\0';
	return 0;
}

int vici_value_unsigned(const struct vici_element *element, uint64_t *ret_value)
{
	char text[24];

	return vici_value_text(element, text, sizeof(text)) == 0
	               ? unsigned_parse(text, UINT64_MAX, ret_value)
	               : 1;
}

int vici_find(
        const uint8_t *message, size_t message_bytes, const char *name, char *out, size_t out_bytes)
{
	struct vici_reader reader = VICI_READER(message, message_bytes);
	struct vici_element element, found = { 0 };
	int r;

	while ((r = vici_read(&reader, &element)) == 0) {
		if (reader.depth == 0 && element.type == VICI_KEY_VALUE && !found.value &&
		        strcmp(element.name, name) == 0) {
			found = element;
		}
	}
	return r == 1 ? vici_value_text(&found, out, out_bytes) : 1;
}
