#include "wire/json.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/str.h"

/* Where in the document a value is, for the texts: "initiator.port", "reports[3].type". The root of
 * a document has no key. */
struct path {
	const struct path *parent;
	const char *key;
};

#define PATH_BYTES_MAX 256

/* jansson itself goes 2048 deep before it refuses, on our stack: counted before it starts. */
static bool depth_allowed(const uint8_t *bytes, size_t count)
{
	size_t depth = 0;
	bool in_string = false;

	for (size_t i = 0; i < count; i++) {
		if (in_string) {
			if (bytes[i] == '\\') {
				i++;
			} else if (bytes[i] == '"') {
				in_string = false;
			}
		} else if (bytes[i] == '"') {
			in_string = true;
		} else if (bytes[i] == '{' || bytes[i] == '[') {
			if (++depth > JSON_DEPTH_MAX) {
				return false;
			}
		} else if ((bytes[i] == '}' || bytes[i] == ']') && depth > 0) {
			depth--;
		}
	}
	return true;
}

/* In our own words: jansson's would repeat the peer's text, which may hold anything. */
static const char *parse_error(const json_error_t *error)
{
	switch (json_error_code(error)) {
	case json_error_premature_end_of_input:
		return "the document ends too early";
	case json_error_end_of_input_expected:
		return "something stands behind the end of the document";
	case json_error_invalid_utf8:
		return "the text is not UTF-8";
	case json_error_null_character:
	case json_error_null_byte_in_key:
		return "the character U+0000 is not allowed";
	case json_error_duplicate_key:
		return "the key is already there";
	case json_error_numeric_overflow:
		return "the number is too large";
	default:
		return "this is not JSON";
	}
}

int json_parse(const void *bytes, size_t count, json_t **ret_value, struct err *err)
{
	json_error_t error;
	json_t *value;

	if (count > JSON_BYTES_MAX) {
		return err_set(err, 1, "the document has more than %d bytes", JSON_BYTES_MAX);
	}
	if (!depth_allowed(bytes, count)) {
		return err_set(err, 1, "the document is more than %d levels deep", JSON_DEPTH_MAX);
	}
	value = json_loadb(bytes, count, JSON_REJECT_DUPLICATES, &error);
	if (!value) {
		assert_always(json_error_code(&error) != json_error_out_of_memory);
		return err_set(err, 1, "line %d, column %d: %s", error.line, error.column,
		        parse_error(&error));
	}
	*ret_value = value;
	return 0;
}

static int add_dumped(const char *bytes, size_t count, void *context)
{
	buf_add(context, bytes, count);
	return 0;
}

void json_print(const json_t *value, struct buf *out)
{
	int r = json_dump_callback(
	        value, add_dumped, out, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);

	assert_always(r == 0); /* only out of memory or a tree that contains itself */
}

/* A key may be a peer's own: it is cut, and what could end the line is made harmless. */
static void print_path(const struct path *path, struct buf *out)
{
	if (path->parent) {
		print_path(path->parent, out);
	}
	if (out->count > 0 && path->key) {
		buf_add_text(out, ".");
	}
	for (size_t i = 0; path->key && path->key[i] && i < NAME_BYTES_MAX; i++) {
		unsigned char byte = (unsigned char)path->key[i];

		buf_add_u8(out, byte < 0x20 || byte == 0x7f ? '?' : byte);
	}
}

/* Puts the path in front of the text that is there. */
static int wrong_at(const struct path *path, struct err *err)
{
	AUTO_BUF struct buf text = BUF(PATH_BYTES_MAX);

	print_path(path, &text);
	return text.count > 0 ? err_wrap(err, 1, "%s", buf_text(&text)) : 1;
}

/* Characters that end or turn a line: C0, DEL, C1, line and paragraph separators, and the
 * directional controls that make a text look like another (U+202A to 202E, U+2066 to 2069). */
static bool one_line(const char *text)
{
	const unsigned char *at = (const unsigned char *)text;

	for (; *at; at++) {
		if (*at < 0x20 || *at == 0x7f || (*at == 0xc2 && at[1] < 0xa0)) {
			return false;
		}
		if (*at == 0xe2 && ((at[1] == 0x80 && at[2] >= 0xa8 && at[2] <= 0xae) ||
		                           (at[1] == 0x81 && at[2] >= 0xa6 && at[2] <= 0xa9))) {
			return false;
		}
	}
	return true;
}

static uint64_t field_max(const struct json_field *field)
{
	if (field->max != 0) {
		return field->max;
	}
	return field->type == FIELD_COUNT ? INT64_MAX : JSON_BYTES_MAX;
}

static int read_name(
        const struct json_field *field, const json_t *value, void *place, struct err *err)
{
	const char *text = json_string_value(value);

	if (!text || !name_valid(text)) {
		return err_set(err, 1,
		        "must be a name: lower-case letters, digits and hyphens, from a letter on, "
		        "at most %d",
		        NAME_BYTES_MAX);
	}
	memcpy(place, text, strlen(text) + 1);
	return 0;
}

static int read_id(
        const struct json_field *field, const json_t *value, void *place, struct err *err)
{
	const char *text = json_string_value(value);

	if (!text || !id_valid(text)) {
		return err_set(err, 1, "must be an id of %d characters", ID_BYTES_MAX);
	}
	memcpy(((struct id *)place)->text, text, ID_BYTES_MAX + 1);
	return 0;
}

static int read_text(
        const struct json_field *field, const json_t *value, void *place, struct err *err)
{
	const char *text = json_string_value(value);

	assert_always(field->max > 0);
	if (!text || json_string_length(value) < field->min ||
	        json_string_length(value) > field->max || !one_line(text)) {
		return err_set(err, 1, "must be one line of text of %ju to %ju bytes",
		        (uintmax_t)field->min, (uintmax_t)field->max);
	}
	memcpy(place, text, json_string_length(value) + 1);
	return 0;
}

static int read_string(
        const struct json_field *field, const json_t *value, void *place, struct err *err)
{
	if (!json_is_string(value) || json_string_length(value) < field->min ||
	        json_string_length(value) > field_max(field)) {
		return err_set(err, 1, "must be a text of %ju to %ju bytes", (uintmax_t)field->min,
		        (uintmax_t)field_max(field));
	}
	*(const char **)place = json_string_value(value);
	return 0;
}

static int read_hex(
        const struct json_field *field, const json_t *value, void *place, struct err *err)
{
	const char *text = json_string_value(value);
	size_t count = text ? json_string_length(value) : 0;

	assert_always(field->max > 0);
	if (!text || count < field->min || count > field->max || count % 2 != 0 ||
	        strspn(text, "0123456789abcdef") != count) {
		return err_set(err, 1,
		        "must be %ju to %ju lower-case hex digits, an even number of them",
		        (uintmax_t)field->min, (uintmax_t)field->max);
	}
	memcpy(place, text, count + 1);
	return 0;
}

static int read_count(
        const struct json_field *field, const json_t *value, void *place, struct err *err)
{
	json_int_t number = json_integer_value(value);

	if (!json_is_integer(value) || number < 0 || (uint64_t)number < field->min ||
	        (uint64_t)number > field_max(field)) {
		return err_set(err, 1, "must be a whole number from %ju to %ju",
		        (uintmax_t)field->min, (uintmax_t)field_max(field));
	}
	*(uint64_t *)place = (uint64_t)number;
	return 0;
}

static int read_time(
        const struct json_field *field, const json_t *value, void *place, struct err *err)
{
	const char *text = json_string_value(value);

	if (!text || time_parse(text, place) != 0) {
		return err_set(err, 1, "must be a time in UTC such as 2026-11-20T09:30:00.000Z");
	}
	return 0;
}

static int read_bool(
        const struct json_field *field, const json_t *value, void *place, struct err *err)
{
	if (!json_is_boolean(value)) {
		return err_set(err, 1, "must be true or false");
	}
	*(bool *)place = json_is_true(value);
	return 0;
}

static int read_choice(
        const struct json_field *field, const json_t *value, void *place, struct err *err)
{
	const char *text = json_string_value(value);
	AUTO_BUF struct buf list = BUF(ERR_TEXT_BYTES_MAX / 2);

	for (int i = 0; field->choices[i]; i++) {
		if (text && strcmp(text, field->choices[i]) == 0) {
			*(int *)place = i;
			return 0;
		}
		buf_add_format(&list, "%s%s", i > 0 ? ", " : "", field->choices[i]);
	}
	return err_set(err, 1, "must be one of: %s", buf_text(&list));
}

static int read_base64(
        const struct json_field *field, const json_t *value, void *place, struct err *err)
{
	const char *text = json_string_value(value);
	struct buf *out = place;

	buf_clear(out);
	*out = BUF(field_max(field));
	if (!text || base64_parse(text, json_string_length(value), out) != 0 ||
	        out->count < field->min) {
		return err_set(err, 1, "must be base64 of %ju to %ju bytes", (uintmax_t)field->min,
		        (uintmax_t)field_max(field));
	}
	return 0;
}

static int read_list(
        const struct json_field *field, const json_t *value, void *place, struct err *err)
{
	if (!json_is_array(value) || json_array_size(value) < field->min ||
	        json_array_size(value) > field_max(field)) {
		return err_set(err, 1, "must be a list of %ju to %ju items", (uintmax_t)field->min,
		        (uintmax_t)field_max(field));
	}
	*(const json_t **)place = value;
	return 0;
}

static int read_any(
        const struct json_field *field, const json_t *value, void *place, struct err *err)
{
	*(const json_t **)place = value;
	return 0;
}

typedef int field_reader(
        const struct json_field *field, const json_t *value, void *place, struct err *err);

static field_reader *const readers[] = {
	[FIELD_NAME] = read_name,
	[FIELD_ID] = read_id,
	[FIELD_TEXT] = read_text,
	[FIELD_STRING] = read_string,
	[FIELD_HEX] = read_hex,
	[FIELD_COUNT] = read_count,
	[FIELD_TIME] = read_time,
	[FIELD_BOOL] = read_bool,
	[FIELD_CHOICE] = read_choice,
	[FIELD_BASE64] = read_base64,
	[FIELD_OBJECT] = NULL, /* read_object() */
	[FIELD_LIST] = read_list,
	[FIELD_ANY] = read_any,
};

static int read_object(const json_t *object, const struct json_field *fields, void *target,
        const struct path *path, struct err *err);

static int read_field(const struct json_field *field, const json_t *value, void *target,
        const struct path *path, struct err *err)
{
	void *place = (uint8_t *)target + field->offset;
	struct path member = { path, field->key };

	if (!value) {
		if (!field->required) {
			return 0;
		}
		err_set(err, 1, "is missing");
		return wrong_at(&member, err);
	}
	if (field->nullable && json_is_null(value)) {
		return 0;
	}
	if (field->type == FIELD_OBJECT) {
		return read_object(value, field->fields, place, &member, err);
	}
	return readers[field->type](field, value, place, err) == 0 ? 0 : wrong_at(&member, err);
}

static int read_object(const json_t *object, const struct json_field *fields, void *target,
        const struct path *path, struct err *err)
{
	const char *key;
	json_t *value;

	if (!json_is_object(object)) {
		err_set(err, 1, "must be an object");
		return wrong_at(path, err);
	}
	json_object_foreach((json_t *)object, key, value)
	{
		const struct json_field *field = fields;

		while (field->key && strcmp(field->key, key) != 0) {
			field++;
		}
		if (!field->key) {
			struct path member = { path, key };

			err_set(err, 1, "there is no such field");
			return wrong_at(&member, err);
		}
	}
	for (const struct json_field *field = fields; field->key; field++) {
		int r = read_field(field, json_object_get(object, field->key), target, path, err);

		if (r != 0) {
			return r;
		}
	}
	return 0;
}

static int read_top(const json_t *object, const struct json_field *fields, void *target,
        const char *key, struct err *err)
{
	struct path path = { NULL, key };
	int r = read_object(object, fields, target, &path, err);

	if (r != 0) {
		json_fields_clear(fields, target);
	}
	return r;
}

int json_fields(
        const json_t *object, const struct json_field *fields, void *target, struct err *err)
{
	return read_top(object, fields, target, NULL, err);
}

int json_read(const void *bytes, size_t count, const struct json_field *fields, void *target,
        json_t **ret_object, struct err *err)
{
	AUTO_JSON json_t *object = NULL;
	int r;

	r = json_parse(bytes, count, &object, err);
	if (r != 0) {
		return r;
	}
	r = json_fields(object, fields, target, err);
	if (r == 0 && ret_object) {
		*ret_object = TAKE(object);
	}
	return r;
}

void json_fields_clear(const struct json_field *fields, void *target)
{
	for (const struct json_field *field = fields; field->key; field++) {
		void *place = (uint8_t *)target + field->offset;

		if (field->type == FIELD_BASE64) {
			buf_clear(place);
		} else if (field->type == FIELD_OBJECT) {
			json_fields_clear(field->fields, place);
		}
	}
}

int json_item_fields(const json_t *list, const char *key, size_t index,
        const struct json_field *fields, void *target, struct err *err)
{
	const json_t *item = json_array_get(list, index);
	char path[PATH_BYTES_MAX];

	assert_always(item != NULL);
	snprintf(path, sizeof(path), "%s[%zu]", key, index);
	return read_top(item, fields, target, path, err);
}

int json_item_string(const json_t *list, const char *key, size_t index, size_t bytes_max,
        const char **ret_text, struct err *err)
{
	const json_t *item = json_array_get(list, index);

	assert_always(item != NULL);
	if (!json_is_string(item) || json_string_length(item) < 1 ||
	        json_string_length(item) > bytes_max) {
		return err_set(
		        err, 1, "%s[%zu]: must be a text of 1 to %zu bytes", key, index, bytes_max);
	}
	*ret_text = json_string_value(item);
	return 0;
}
