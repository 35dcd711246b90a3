/*
 * The VICI wire format: how charon, strongSwan's IKE daemon, is spoken to (its README.md in
 * src/libcharon/plugins/vici is the definition). Bytes in, bytes out; no I/O.
 *
 * A packet is   u32 length | u8 type | for named types: u8 length, name | message
 * and a message is a tree of sections, key/values and lists.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/limits.h"

#define VICI_NAME_BYTES_MAX 255 /* the length is a u8 */

enum vici_packet_type {
	VICI_COMMAND = 0,         /* named; to charon */
	VICI_RESPONSE = 1,        /* the answer to a command */
	VICI_COMMAND_UNKNOWN = 2, /* charon has no such command */
	VICI_REGISTER = 3,        /* named; asks for an event */
	VICI_UNREGISTER = 4,      /* named */
	VICI_EVENT_CONFIRM = 5,   /* register or unregister was done */
	VICI_EVENT_UNKNOWN = 6,   /* charon has no such event */
	VICI_EVENT = 7,           /* named; an event */
};

/*
 * Writing. A broken rule of the format (a name or value that is too long, deeper than
 * VICI_DEPTH_MAX) or a full buffer marks the writer broken; sections left open are our own mistake
 * and asserted. Everything written is appended to `out`.
 */
struct vici_writer {
	struct buf *out;
	size_t start;
	unsigned depth;
	bool in_list;
	bool broken;
};

/* Starts a packet; `name` is for the named types, else NULL. */
struct vici_writer vici_packet_start(struct buf *out, enum vici_packet_type type, const char *name);
void vici_section_start(struct vici_writer *writer, const char *name);
void vici_section_end(struct vici_writer *writer);
void vici_value(struct vici_writer *writer, const char *name, const void *bytes, size_t count);
void vici_text(struct vici_writer *writer, const char *name, const char *text);
void vici_format(struct vici_writer *writer, const char *name, const char *format, ...)
        printf_like(3, 4);
void vici_list_start(struct vici_writer *writer, const char *name);
void vici_item(struct vici_writer *writer, const void *bytes, size_t count);
void vici_item_text(struct vici_writer *writer, const char *text);
void vici_list_end(struct vici_writer *writer);
/* A list of one text. */
void vici_list_text(struct vici_writer *writer, const char *name, const char *text);
/* Fills in the length. Outcome 1: the writer is broken; `out` is as it was before the packet. */
int vici_packet_end(struct vici_writer *writer) must_use;

struct vici_packet {
	enum vici_packet_type type;
	char name[VICI_NAME_BYTES_MAX + 1]; /* "" for types without a name */
	const uint8_t *message;             /* borrowed */
	size_t message_bytes;
};

/* Takes one packet from the front of `bytes`. Outcome 1: not all of it is here yet; outcome 2: not
 * a packet (longer than VICI_MESSAGE_BYTES_MAX, type, name). `ret_used` is what it took. */
int vici_packet_parse(const uint8_t *bytes, size_t count, struct vici_packet *ret_packet,
        size_t *ret_used) must_use;

/* Reading a message, element by element. */
enum vici_element_type {
	VICI_SECTION_START = 1,
	VICI_SECTION_END = 2,
	VICI_KEY_VALUE = 3,
	VICI_LIST_START = 4,
	VICI_LIST_ITEM = 5,
	VICI_LIST_END = 6,
};

struct vici_element {
	enum vici_element_type type;
	char name[VICI_NAME_BYTES_MAX +
	          1];         /* of a section, key or list; for an item, of its list */
	const uint8_t *value; /* of a key/value or item; borrowed */
	size_t value_bytes;
};

struct vici_reader {
	struct cursor cursor;
	unsigned depth; /* of sections open after the element that was read last */
	bool in_list;
	char list[VICI_NAME_BYTES_MAX + 1];
};

#define VICI_READER(message, message_bytes)                                                        \
	((struct vici_reader){ .cursor = CURSOR((message), (message_bytes)) })

/* Outcome 1: the end of a whole message; outcome 2: not a message (nesting, lengths, types). */
int vici_read(struct vici_reader *reader, struct vici_element *ret_element) must_use;

/* Copies the value of the top-level key `name` as text. Outcome 1: the message is malformed, there
 * is no such key, the value does not fit or holds control characters. */
int vici_find(const uint8_t *message, size_t message_bytes, const char *name, char *out,
        size_t out_bytes) must_use;

/* The element's value as text, with the same conditions (attack A36). */
int vici_value_text(const struct vici_element *element, char *out, size_t out_bytes) must_use;
/* The element's value as an unsigned decimal. Outcome 1: it is none. */
int vici_value_unsigned(const struct vici_element *element, uint64_t *ret_value) must_use;
