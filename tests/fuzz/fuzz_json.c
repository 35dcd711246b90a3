/*
 * Any bytes as a document. What is accepted must be within the limits, and printing it must be a
 * fixed point: the printed form is accepted and prints to the same bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "wire/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct target {
	char text[9], hex[9];
	const char *string;
	uint64_t count;
	struct buf key;
	json_t *list;
};

static const struct json_field fields[] = {
	{ JSON_FIELD("text", FIELD_TEXT, struct target, text), .max = 8 },
	{ JSON_FIELD("hex", FIELD_HEX, struct target, hex), .max = 8 },
	{ JSON_FIELD("string", FIELD_STRING, struct target, string), .max = 8 },
	{ JSON_FIELD("count", FIELD_COUNT, struct target, count), .min = 2, .max = 7 },
	{ JSON_FIELD("key", FIELD_BASE64, struct target, key), .max = 8 },
	{ JSON_FIELD("list", FIELD_LIST, struct target, list), .max = 3 },
	{ 0 },
};

static size_t depth(const json_t *value)
{
	size_t deepest = 0, index;
	const char *key;
	json_t *item;

	if (json_is_array(value)) {
		json_array_foreach((json_t *)value, index, item)
		{
			size_t below = depth(item);

			deepest = below > deepest ? below : deepest;
		}
		return deepest + 1;
	}
	if (json_is_object(value)) {
		json_object_foreach((json_t *)value, key, item)
		{
			size_t below = depth(item);

			deepest = below > deepest ? below : deepest;
		}
		return deepest + 1;
	}
	return 0;
}

static void check_fields(const json_t *value)
{
	struct target target = { 0 };
	struct err err = { "" };

	if (json_fields(value, fields, &target, &err) != 0) {
		assert_always(
		        err.text[0] != '\0' && !strchr(err.text, '\n') && target.key.bytes == NULL);
		return;
	}
	assert_always(strlen(target.text) <= 8 && strlen(target.hex) % 2 == 0);
	assert_always(target.count == 0 || (target.count >= 2 && target.count <= 7));
	assert_always(target.key.count <= 8 && (!target.list || json_array_size(target.list) <= 3));
	json_fields_clear(fields, &target);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_BUF struct buf once = BUF(16 << 20), twice = BUF(16 << 20);
	AUTO_JSON json_t *value = NULL, *again = NULL;
	struct err err = { "" };

	if (json_parse(data, size, &value, &err) != 0) {
		assert_always(value == NULL && err.text[0] != '\0');
		return 0;
	}
	assert_always(depth(value) <= JSON_DEPTH_MAX);
	check_fields(value);
	json_print(value, &once);
	if (once.count <= JSON_BYTES_MAX) {
		assert_always(json_parse(once.bytes, once.count, &again, &err) == 0);
		json_print(again, &twice);
		assert_always(once.count == twice.count &&
		              memcmp(once.bytes, twice.bytes, once.count) == 0);
	}
	return 0;
}
