/*
 * Strict JSON (RFC 8259) over jansson: everything that comes from a peer or out of a seal is read
 * through here.
 *
 * Refused: more than JSON_BYTES_MAX or JSON_DEPTH_MAX, a repeated key, bytes that are not UTF-8,
 * the character U+0000, anything behind the value, a value that is neither object nor array.
 * Members are read by a table of fields; a key that is not in the table, a missing one or a value
 * of another kind is refused with a text that names the field's path:
 * "initiator.port: must be a whole number from 0 to 65535".
 *
 * The tree is jansson's json_t; what is not here (json_object_foreach, json_pack, json_incref) is
 * used as it is.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define AUTO_JSON __attribute__((cleanup(json_cleanup), unused))

static inline void json_cleanup(json_t **value)
{
	json_decref(*value);
}

/* Outcome 1: not such JSON; err says where ("line 1, column 9: …"). The caller owns *ret_value. */
int json_parse(const void *bytes, size_t count, json_t **ret_value, struct err *err) must_use;

/* Adds the canonical form: keys sorted by their bytes, no blanks, UTF-8 as it is. Equal trees give
 * equal bytes. Tells by out->overflowed when the buffer's maximum was too small. */
void json_print(const json_t *value, struct buf *out);

enum field_type {
	FIELD_NAME,   /* char[NAME_BYTES_MAX + 1], name_valid() */
	FIELD_ID,     /* struct id, id_valid() */
	FIELD_TEXT,   /* char[max + 1]: one line of min to max bytes without control characters */
	FIELD_STRING, /* const char *, borrowed from the tree: min to max bytes, lines allowed */
	FIELD_HEX,    /* char[max + 1]: min to max lower-case hex digits, an even number */
	FIELD_COUNT,  /* uint64_t: min to max */
	FIELD_TIME,   /* int64_t, microseconds of wall time (RFC 3339 in UTC) */
	FIELD_BOOL,   /* bool */
	FIELD_CHOICE, /* int: the position of the text in `choices` (ended by NULL) */
	FIELD_BASE64, /* struct buf, owned by the target: min to max decoded bytes */
	FIELD_OBJECT, /* a structure at `offset`, read by the table `fields` */
	FIELD_LIST,   /* json_t *, borrowed: an array of min to max items; see json_item_…() */
	FIELD_ANY,    /* json_t *, borrowed: any value (also null) */
};

/* One member. An optional field that is missing (or null where `nullable`) leaves its place in the
 * target as it was; callers zero the target, or set their default, before. */
struct json_field {
	const char *key;
	enum field_type type;
	size_t offset;
	bool required;
	uint64_t min;
	uint64_t max; /* 0: 2^63-1 for counts, JSON_BYTES_MAX for strings, base64 and lists; has to
	                 be given for FIELD_TEXT and FIELD_HEX, whose place it sizes */
	const struct json_field *fields; /* FIELD_OBJECT */
	const char *const *choices;      /* FIELD_CHOICE */
	bool nullable;
};

/* The first half of a row; the rest is named, so that a row says only what it needs:
 *     { JSON_FIELD("port", FIELD_COUNT, struct request, port), .required = true, .max = 65535 }, */
#define JSON_FIELD(field_key, field_type, structure, member)                                       \
	.key = (field_key), .type = (field_type), .offset = offsetof(structure, member)

/* Reads the members of `object` into `target` by the table `fields`, ended by a row with key NULL.
 * Outcome 1: refused, err names the path and what was expected; what was already allocated is
 * freed again. Borrowed values live as long as `object`. */
int json_fields(const json_t *object, const struct json_field *fields, void *target,
        struct err *err) must_use;

/* json_parse() of a document that must be an object, and json_fields() of it. *ret_object keeps the
 * borrowed values alive and is the caller's; it may be NULL when the table borrows nothing. */
int json_read(const void *bytes, size_t count, const struct json_field *fields, void *target,
        json_t **ret_object, struct err *err) must_use;

/* Frees what FIELD_BASE64 fields hold in `target`. */
void json_fields_clear(const struct json_field *fields, void *target);

/* The same for item `index` of the list that was read as field `key` ("reports[3].type: …"). The
 * index must be below json_array_size(list). */
int json_item_fields(const json_t *list, const char *key, size_t index,
        const struct json_field *fields, void *target, struct err *err) must_use;

/* Item `index` as a borrowed string of 1 to `bytes_max` bytes. Outcome 1 as above. */
int json_item_string(const json_t *list, const char *key, size_t index, size_t bytes_max,
        const char **ret_text, struct err *err) must_use;
