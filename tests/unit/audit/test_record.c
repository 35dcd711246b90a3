#include "../check.h"

#include <jansson.h>
#include <stdlib.h>

#include "audit/record.h"
#include "base/mem.h"

TEST(a_record_is_canonical)
{
	AUTO_BUF struct buf out = BUF(4096);
	struct record *record = record_begin("connection.granted", 1763631000250000);
	struct record_head head;

	record_actor(record, "person", "suzuki");
	record_subject(record, "01KAGE");
	record_text(record, "class", "remote-maintenance");
	record_open(record, "initiator");
	record_text(record, "site", "device-maker");
	record_number(record, "port", 104);
	record_close(record);
	record_flag(record, "approved", true);
	record_bytes(record, "seal", "\1\2", 2);
	record_texts(record, "groups", (const char *const[]){ "b", "a" }, 2);
	record_text(record, "nothing", NULL);
	record_time(record, "until", 1763634600000000);
	CHECK(record_end(record, &out) == 0);
	CHECK_TEXT(buf_text(&out),
	        "{\"actor\":{\"name\":\"suzuki\",\"type\":\"person\"},\"data\":{\"approved\":true,"
	        "\"class\":\"remote-maintenance\",\"groups\":[\"b\",\"a\"],"
	        "\"initiator\":{\"port\":104,\"site\":\"device-maker\"},\"nothing\":null,\"seal\":"
	        "\"AQI=\","
	        "\"until\":\"2025-11-20T10:30:00.000Z\"},\"kind\":\"connection.granted\","
	        "\"subject\":\"01KAGE\","
	        "\"time\":\"2025-11-20T09:30:00.250Z\",\"v\":1}");
	CHECK(record_check(out.bytes, out.count, &head, NULL) == 0);
	CHECK(head.time_usec == 1763631000250000 &&
	        head.kind == record_kind_find("connection.granted"));
}

TEST(hostile_text_stays_one_text)
{
	AUTO_BUF struct buf out = BUF(4096);
	struct record *record = record_begin("request.refused", 0);
	struct record_head head;

	record_text(record, "said",
	        "\"}\r\n{\"v\":1\x1b[2J\x7f \xff\xc0\x80 \xe6\x82\xa3\xe8\x80\x85\\");
	CHECK(record_end(record, &out) == 0);
	CHECK(!memchr(out.bytes, '\n', out.count) && !memchr(out.bytes, 0x1b, out.count));
	CHECK(strstr(buf_text(&out), "\\\"}\\r\\n{\\\"v\\\":1\\u001B[2J\x7f \\\\xFF\\\\xC0\\\\x80 "
	                             "\xe6\x82\xa3\xe8\x80\x85\\\\"));
	CHECK(record_check(out.bytes, out.count, &head, NULL) == 0);
}

TEST(a_record_that_is_too_long_is_refused_whole)
{
	AUTO_BUF struct buf out = BUF(100000), small = BUF(64);
	AUTO_STRING char *text = mem_new(70000, 1);
	struct record *record = record_begin("request.refused", 0);

	memset(text, 'a', 69999);
	record_text(record, "said", text);
	CHECK(record_end(record, &out) == 1 && out.count == 0);
	CHECK(record_end(record_begin("disk.full", 0), &small) == 1 && small.count == 0);
}

TEST(procedure_a_to_l_is_in_the_catalogue_in_order)
{
	char step = 'a';

	for (const struct record_kind *kind = record_kinds; kind->name; kind++) {
		size_t count = strlen(kind->sentence);

		if (kind->step) {
			CHECK(kind->step == step);
			step++;
		}
		CHECK(strchr(kind->name, '.') && count > 10 && kind->sentence[count - 1] == '.');
		CHECK(record_kind_find(kind->name) == kind);
	}
	CHECK(step == 'l' + 1);
	CHECK(!record_kind_find("connection.imagined"));
}

#define RECORD(data)                                                                               \
	"{\"actor\":{},\"data\":" data ",\"kind\":\"disk.full\",\"subject\":\"\","                 \
	"\"time\":\"2026-11-20T09:30:00.000Z\",\"v\":1}"

/* The reader accepts exactly what the JSON library makes of what it reads. */
static bool library_accepts(const char *text)
{
	AUTO_STRING char *again = NULL;
	json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);

	again = root ? json_dumps(root, JSON_SORT_KEYS | JSON_COMPACT) : NULL;
	json_decref(root);
	return again && strcmp(again, text) == 0;
}

TEST(only_the_one_spelling_is_read)
{
	static const struct {
		const char *text;
		bool good;
	} cases[] = {
		{ RECORD("{}"), true },
		{ RECORD("{\"a\":[1,-2,{},[],true,false,null,\"\"],\"b\":9223372036854775807}"),
		        true },
		{ RECORD("{\"a\":-9223372036854775808}"), true },
		{ RECORD("{\"a\":\"\\u0001\\b\\f\\n\\r\\t\\\\\\\"/\xc3\xa9\xf0\x9f\x98\x80\"}"),
		        true },
		{ RECORD("{\"a\":\"\\u001F\"}"), true },
		{ RECORD("{\"a\":1,\"aa\":2,\"b\":3}"), true },
		{ RECORD("{ }"), false },
		{ RECORD("{\"b\":1,\"a\":2}"), false },
		{ RECORD("{\"a\":1,\"a\":2}"), false },
		{ RECORD("{\"aa\":1,\"a\":2}"), false },
		{ RECORD("{\"a\":1.5}"), false },
		{ RECORD("{\"a\":1e3}"), false },
		{ RECORD("{\"a\":01}"), false },
		{ RECORD("{\"a\":-0}"), false },
		{ RECORD("{\"a\":9223372036854775808}"), false },
		{ RECORD("{\"a\":-9223372036854775809}"), false },
		{ RECORD("{\"a\":\"\\u001f\"}"), false },
		{ RECORD("{\"a\":\"\\u000A\"}"), false },
		{ RECORD("{\"a\":\"\\u0041\"}"), false },
		{ RECORD("{\"a\":\"\\/\"}"), false },
		{ RECORD("{\"a\":\"\xff\"}"), false },
		{ RECORD("{\"a\":\"\x01\"}"), false },
		{ RECORD("{\"a\":1,}"), false },
		{ RECORD("{\"a\":[1,]}"), false },
		{ RECORD("{\"a\":}"), false },
		{ RECORD("{\"a\"}"), false },
		{ RECORD("{\"a\":tru}"), false },
		{ RECORD("{}") " ", false },
		{ "", false },
	};

	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct record_head head;
		size_t count = strlen(cases[i].text);
		bool good = record_check(cases[i].text, count, &head, NULL) == 0;

		CHECK(good == cases[i].good);
		CHECK(!good || library_accepts(cases[i].text));
		for (size_t cut = 0; cut < count; cut++) {
			CHECK(record_check(cases[i].text, cut, &head, NULL) == RECORD_MALFORMED ||
			        !good);
		}
	}
}

TEST(unknown_kinds_and_false_heads_are_told_apart)
{
	static const char unknown[] =
	        "{\"actor\":{},\"data\":{},\"kind\":\"disk.eaten\",\"subject\":\"\","
	        "\"time\":\"2026-11-20T09:30:00.000Z\",\"v\":1}";
	static const char *const bad[] = {
		"{\"actor\":{},\"data\":{},\"kind\":\"disk.full\",\"subject\":\"\","
		"\"time\":\"2026-11-20T09:30:00Z\",\"v\":1}",
		"{\"actor\":{},\"data\":{},\"kind\":\"disk.full\",\"subject\":\"\","
		"\"time\":\"2026-02-30T09:30:00.000Z\",\"v\":1}",
		"{\"actor\":{},\"data\":{},\"kind\":\"disk.full\",\"subject\":\"\","
		"\"time\":\"2026-11-20T09:30:00.000Z\",\"v\":2}",
		"{\"actor\":[],\"data\":{},\"kind\":\"disk.full\",\"subject\":\"\","
		"\"time\":\"2026-11-20T09:30:00.000Z\",\"v\":1}",
		"{\"data\":{},\"kind\":\"disk.full\",\"subject\":\"\",\"time\":\"2026-11-20T09:30:"
		"00.000Z\",\"v\":1}",
	};
	struct record_head head;

	CHECK(record_check(unknown, strlen(unknown), &head, NULL) == RECORD_UNKNOWN &&
	        head.time_usec > 0);
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
		CHECK(record_check(bad[i], strlen(bad[i]), &head, NULL) == RECORD_MALFORMED);
	}
}

TEST_MAIN()
