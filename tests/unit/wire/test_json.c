#include "../check.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/str.h"
#include "wire/json.h"

struct inner {
	uint64_t port;
	struct buf key;
};

struct sample {
	char name[NAME_BYTES_MAX + 1];
	struct id id;
	char title[9];
	const char *note;
	char serial[9];
	uint64_t count;
	int64_t at;
	bool loud;
	int colour;
	struct buf key;
	struct inner inner;
	json_t *items, *any;
};

static const char *const colours[] = { "red", "green", NULL };

static const struct json_field inner_fields[] = {
	{ JSON_FIELD("port", FIELD_COUNT, struct inner, port), .required = true, .max = 65535 },
	{ JSON_FIELD("key", FIELD_BASE64, struct inner, key), .max = 4 },
	{ 0 },
};

static const struct json_field fields[] = {
	{ JSON_FIELD("name", FIELD_NAME, struct sample, name), .required = true },
	{ JSON_FIELD("id", FIELD_ID, struct sample, id) },
	{ JSON_FIELD("title", FIELD_TEXT, struct sample, title), .min = 2, .max = 8 },
	{ JSON_FIELD("note", FIELD_STRING, struct sample, note), .max = 8, .nullable = true },
	{ JSON_FIELD("serial", FIELD_HEX, struct sample, serial), .min = 2, .max = 8 },
	{ JSON_FIELD("count", FIELD_COUNT, struct sample, count), .min = 1 },
	{ JSON_FIELD("at", FIELD_TIME, struct sample, at) },
	{ JSON_FIELD("loud", FIELD_BOOL, struct sample, loud) },
	{ JSON_FIELD("colour", FIELD_CHOICE, struct sample, colour), .choices = colours },
	{ JSON_FIELD("key", FIELD_BASE64, struct sample, key), .min = 1, .max = 4 },
	{ JSON_FIELD("inner", FIELD_OBJECT, struct sample, inner), .fields = inner_fields },
	{ JSON_FIELD("items", FIELD_LIST, struct sample, items), .max = 2 },
	{ JSON_FIELD("any", FIELD_ANY, struct sample, any) },
	{ 0 },
};

TEST(documents_that_are_not_strict_are_refused)
{
	static const struct {
		const char *text, *refused; /* NULL: accepted */
	} rows[] = {
		{ "{}", NULL },
		{ "[]", NULL },
		{ " {\"a\":[1,true,null,\"x\"]}\n", NULL },
		{ "", "line 1, column 0: the document ends too early" },
		{ "1", "line 1, column 1: this is not JSON" },
		{ "{\"a\":1,\"a\":2}", "line 1, column 10: the key is already there" },
		{ "{\"a\":{\"b\":1,\"b\":1}}", "line 1, column 15: the key is already there" },
		{ "{\"a\":1,\"\\u0061\":2}", "line 1, column 15: the key is already there" },
		{ "{}{}", "line 1, column 3: something stands behind the end of the document" },
		{ "{} x", "line 1, column 4: something stands behind the end of the document" },
		{ "{\"a\":\"\xff\"}", "line 1, column 6: the text is not UTF-8" },
		{ "{\"a\":\"\xc0\xaf\"}", "line 1, column 6: the text is not UTF-8" },
		{ "{\"a\":\"\\u0000\"}", "line 1, column 13: the character U+0000 is not allowed" },
		{ "{\"a\":\"\\ud800\"}", "line 1, column 13: this is not JSON" },
		{ "{\"a\":01}", "line 1, column 6: this is not JSON" },
		{ "{\"a\":NaN}", "line 1, column 8: this is not JSON" },
		{ "{\"a\":1,}", "line 1, column 8: this is not JSON" },
		{ "{'a':1}", "line 1, column 2: this is not JSON" },
		{ "{\"a\":99999999999999999999}", "line 1, column 25: the number is too large" },
		{ "{\"a\":1 /* c */}", "line 1, column 8: this is not JSON" },
	};

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		AUTO_JSON json_t *value = NULL;
		struct err err = { "" };
		int r = json_parse(rows[i].text, strlen(rows[i].text), &value, &err);

		printf("# %zu: %s\n", i, err.text);
		CHECK(r == (rows[i].refused ? 1 : 0));
		CHECK_TEXT(err.text, rows[i].refused ? rows[i].refused : "");
	}
}

TEST(depth_and_size_have_a_limit)
{
	AUTO_BUF struct buf text = BUF(2 * JSON_BYTES_MAX);
	AUTO_JSON json_t *value = NULL;
	struct err err = { "" };

	for (int i = 0; i < JSON_DEPTH_MAX; i++) {
		buf_add_text(&text, "[");
	}
	for (int i = 0; i < JSON_DEPTH_MAX; i++) {
		buf_add_text(&text, "]");
	}
	CHECK(json_parse(text.bytes, text.count, &value, &err) == 0);
	json_decref(TAKE(value));
	buf_reset(&text);
	for (int i = 0; i < 100000; i++) {
		buf_add_text(&text, "[");
	}
	CHECK(json_parse(text.bytes, text.count, &value, &err) == 1);
	CHECK_TEXT(err.text, "the document is more than 32 levels deep");
	/* Brackets inside a string do not nest. */
	CHECK(json_parse("[\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[[[\"]", 44, &value, &err) ==
	        0);
	json_decref(TAKE(value));
	buf_reset(&text);
	buf_add_text(&text, "[\"");
	while (text.count < JSON_BYTES_MAX) {
		buf_add_text(&text, "xxxxxxxxxxxxxxxx");
	}
	buf_add_text(&text, "\"]");
	CHECK(json_parse(text.bytes, text.count, &value, &err) == 1);
	CHECK_TEXT(err.text, "the document has more than 1048576 bytes");
}

static int read_sample(const char *text, struct sample *sample, json_t **ret, struct err *err)
{
	*sample = (struct sample){ .colour = -1 };
	*err = (struct err){ "" };
	return json_read(text, strlen(text), fields, sample, ret, err);
}

TEST(every_type_of_field_is_read)
{
	AUTO_JSON json_t *object = NULL;
	struct sample sample;
	const char *item;
	struct err err;

	CHECK(read_sample(
	              "{\"name\":\"ct\",\"id\":\"01JD0000000000000000000000\",\"title\":\"病院\","
	              "\"note\":\"a\\nb\",\"serial\":\"0a\",\"count\":9223372036854775807,"
	              "\"at\":\"1970-01-01T00:00:01Z\",\"loud\":true,\"colour\":\"green\","
	              "\"key\":\"AQI=\",\"inner\":{\"port\":0,\"key\":\"\"},\"items\":[\"x\",1],"
	              "\"any\":null}",
	              &sample, &object, &err) == 0);
	CHECK_TEXT(sample.name, "ct");
	CHECK_TEXT(sample.id.text, "01JD0000000000000000000000");
	CHECK_TEXT(sample.title, "病院");
	CHECK_TEXT(sample.note, "a\nb");
	CHECK_TEXT(sample.serial, "0a");
	CHECK(sample.count == INT64_MAX && sample.at == 1000000 && sample.loud);
	CHECK(sample.colour == 1 && sample.key.count == 2 && sample.key.bytes[1] == 2);
	CHECK(sample.inner.port == 0 && json_is_null(sample.any));
	CHECK(json_item_string(sample.items, "items", 0, 8, &item, &err) == 0);
	CHECK_TEXT(item, "x");
	CHECK(json_item_string(sample.items, "items", 1, 8, &item, &err) == 1);
	CHECK_TEXT(err.text, "items[1]: must be a text of 1 to 8 bytes");
	json_fields_clear(fields, &sample);
}

TEST(what_is_left_out_stays_as_it_was)
{
	struct sample sample;
	struct err err;

	CHECK(read_sample("{\"name\":\"ct\",\"note\":null}", &sample, NULL, &err) == 0);
	CHECK(sample.colour == -1 && sample.note == NULL && sample.inner.port == 0);
}

TEST(a_wrong_field_is_named)
{
	static const struct {
		const char *text, *refused;
	} rows[] = {
		{ "[]", "must be an object" },
		{ "{}", "name: is missing" },
		{ "{\"name\":null}",
		        "name: must be a name: lower-case letters, digits and hyphens, from a "
		        "letter on, at most 63" },
		{ "{\"name\":\"ct\",\"inner\":{}}", "inner.port: is missing" },
		{ "{\"name\":\"ct\",\"inner\":{\"port\":65536}}",
		        "inner.port: must be a whole number from 0 to 65535" },
		{ "{\"name\":\"ct\",\"inner\":{\"port\":1,\"key\":\"AQIDBAU=\"}}",
		        "inner.key: must be base64 of 0 to 4 bytes" },
		{ "{\"name\":\"ct\",\"inner\":{\"port\":1,\"x\":2}}",
		        "inner.x: there is no such field" },
		{ "{\"name\":\"ct\",\"inner\":3}", "inner: must be an object" },
		{ "{\"name\":\"ct\",\"Name\":\"ct\"}", "Name: there is no such field" },
		{ "{\"name\":\"ct\",\"a\\u001b[31m\":1}", "a?[31m: there is no such field" },
		{ "{\"name\":\"ct\",\"title\":\"x\"}",
		        "title: must be one line of text of 2 to 8 bytes" },
		{ "{\"name\":\"ct\",\"title\":\"123456789\"}",
		        "title: must be one line of text of 2 to 8 bytes" },
		{ "{\"name\":\"ct\",\"title\":\"a\\u0085b\"}",
		        "title: must be one line of text of 2 to 8 bytes" },
		{ "{\"name\":\"ct\",\"title\":\"a\\u2028b\"}",
		        "title: must be one line of text of 2 to 8 bytes" },
		{ "{\"name\":\"ct\",\"note\":\"123456789\"}",
		        "note: must be a text of 0 to 8 bytes" },
		{ "{\"name\":\"ct\",\"count\":0}",
		        "count: must be a whole number from 1 to 9223372036854775807" },
		{ "{\"name\":\"ct\",\"count\":1.0}",
		        "count: must be a whole number from 1 to 9223372036854775807" },
		{ "{\"name\":\"ct\",\"at\":\"2026-11-20 09:30:00Z\"}",
		        "at: must be a time in UTC such as 2026-11-20T09:30:00.000Z" },
		{ "{\"name\":\"ct\",\"loud\":1}", "loud: must be true or false" },
		{ "{\"name\":\"ct\",\"colour\":\"blue\"}", "colour: must be one of: red, green" },
		{ "{\"name\":\"ct\",\"key\":\"\"}", "key: must be base64 of 1 to 4 bytes" },
		{ "{\"name\":\"ct\",\"key\":\"AQI\"}", "key: must be base64 of 1 to 4 bytes" },
		{ "{\"name\":\"ct\",\"items\":[1,2,3]}", "items: must be a list of 0 to 2 items" },
		{ "{\"name\":\"ct\",\"items\":{}}", "items: must be a list of 0 to 2 items" },
	};
	struct sample sample;
	struct err err;

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		printf("# %s\n", rows[i].text);
		CHECK(read_sample(rows[i].text, &sample, NULL, &err) == 1);
		CHECK_TEXT(err.text, rows[i].refused);
		CHECK(sample.key.bytes == NULL && sample.inner.key.bytes == NULL);
	}
}

TEST(an_item_of_a_list_is_named_by_its_place)
{
	AUTO_JSON json_t *list = json_pack("[{s:i}, {s:s}, i]", "port", 1, "port", "x", 2);
	struct inner inner = { 0 };
	struct err err;

	CHECK(json_item_fields(list, "reports", 0, inner_fields, &inner, &err) == 0);
	CHECK(inner.port == 1);
	CHECK(json_item_fields(list, "reports", 1, inner_fields, &inner, &err) == 1);
	CHECK_TEXT(err.text, "reports[1].port: must be a whole number from 0 to 65535");
	CHECK(json_item_fields(list, "reports", 2, inner_fields, &inner, &err) == 1);
	CHECK_TEXT(err.text, "reports[2]: must be an object");
}

TEST(print_is_canonical)
{
	static const char text[] =
	        " { \"b\" : [ 1 , { \"z\":\"\\u75c5\", \"a\":\"\\/\\u0001\" } ], \"a\":null}";
	AUTO_JSON json_t *value = NULL;
	AUTO_BUF struct buf out = BUF(256), small = BUF(4);
	struct err err = { "" };

	CHECK(json_parse(text, sizeof(text) - 1, &value, &err) == 0);
	json_print(value, &out);
	CHECK_TEXT(buf_text(&out), "{\"a\":null,\"b\":[1,{\"a\":\"/\\u0001\",\"z\":\"病\"}]}");
	json_print(value, &small);
	CHECK(small.overflowed);
}

TEST_MAIN()
