#include "../check.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/file.h"
#include "base/log.h"
#include "base/str.h"

TEST(names_are_dns_labels)
{
	CHECK(name_valid("core-hospital"));
	CHECK(!name_valid(""));
	CHECK(!name_valid("-a"));
	CHECK(!name_valid("a-"));
	CHECK(!name_valid("Core"));
	CHECK(!name_valid("a/b"));
	CHECK(!name_valid("a\nb"));
	CHECK(!name_valid("0a"));
}

TEST(base64url_is_strict)
{
	AUTO_BUF struct buf out = BUF(64);

	base64url_add(&out, "\xff\xfe\xfd", 3);
	CHECK_TEXT(buf_text(&out), "__79");
	buf_reset(&out);
	CHECK(base64url_parse("__79", 4, &out) == 0 && out.count == 3);
	CHECK(base64url_parse("_", 1, &out) == 1);
	CHECK(base64url_parse("_x", 2, &out) == 1); /* padding bits are not zero */
	CHECK(base64url_parse("ab==", 4, &out) == 1);
	CHECK(base64_parse("ab", 2, &out) == 1);
}

TEST(buffer_keeps_its_maximum)
{
	AUTO_BUF struct buf buf = BUF(4);

	buf_add_text(&buf, "abcd");
	CHECK(!buf.overflowed);
	buf_add_text(&buf, "e");
	CHECK(buf.overflowed && buf.count == 4);
	CHECK_TEXT(buf_text(&buf), "abcd");
}

TEST(cursor_error_sticks)
{
	struct cursor cursor = CURSOR((const uint8_t *)"\0\1\2", 3);

	CHECK(cursor_u16(&cursor) == 1);
	CHECK(cursor_u16(&cursor) == 0 && cursor.broken);
	CHECK(cursor_u8(&cursor) == 0 && !cursor_done(&cursor));
}

TEST(times_round_trip)
{
	int64_t usec;

	CHECK(time_parse("2026-11-20T09:30:00.250Z", &usec) == 0);
	CHECK_TEXT(time_print(usec).text, "2026-11-20T09:30:00.250Z");
	CHECK(time_parse("2026-02-30T00:00:00Z", &usec) == 1);
	CHECK(time_parse("2026-11-20 09:30:00Z", &usec) == 1);
	CHECK(time_parse("2026-11-20T09:30:00+09:00", &usec) == 1);
	CHECK(time_parse("2026-11-20T09:30:00.Z", &usec) == 1);
	CHECK(duration_parse("2h", &usec) == 0 && usec == 7200);
	CHECK(duration_parse("2", &usec) == 1);
	CHECK(duration_parse("-2h", &usec) == 1);
	CHECK(duration_parse("999999999999h", &usec) == 1);
}

TEST(unsigned_numbers_are_exact)
{
	uint64_t value;

	CHECK(unsigned_parse("65535", 65535, &value) == 0 && value == 65535);
	CHECK(unsigned_parse("65536", 65535, &value) == 1);
	CHECK(unsigned_parse("9", 5, &value) == 1);
	CHECK(unsigned_parse("07", 10, &value) == 1);
	CHECK(unsigned_parse("18446744073709551616", UINT64_MAX, &value) == 1);
	CHECK(unsigned_parse("", 10, &value) == 1);
}

struct sample {
	char *name;
	uint64_t port;
	int64_t wait_sec;
	bool loud;
};

static const struct config_key sample_keys[] = {
	{ "", "name", CONFIG_NAME, offsetof(struct sample, name), NULL, true, 0, 0, "The name." },
	{ "net", "port", CONFIG_COUNT, offsetof(struct sample, port), "8443", false, 1, 65535,
	        "Port." },
	{ "net", "wait", CONFIG_DURATION, offsetof(struct sample, wait_sec), "30s", false, 1, 60,
	        "Wait." },
	{ "net", "loud", CONFIG_BOOL, offsetof(struct sample, loud), "no", false, 0, 0, "Loud." },
	{ 0 },
};

static int read_config(const char *text, struct sample *sample, struct err *err)
{
	char path[] = "/tmp/sekisho-config-XXXXXX";
	int fd = mkstemp(path);
	int r;

	CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
	r = config_read(path, sample_keys, sample, err);
	unlink(path);
	return r;
}

TEST(configuration_errors_name_file_line_and_key)
{
	struct sample sample = { 0 };
	struct err err = { 0 };

	CHECK(read_config("name = a\n# c\n[net]\nport = 1\nloud = yes\n", &sample, &err) == 0);
	CHECK(sample.port == 1 && sample.wait_sec == 30 && sample.loud);
	config_clear(sample_keys, &sample);
	CHECK(read_config("name = a\n[net]\nport = 70000\n", &sample, &err) == 1);
	CHECK(strstr(err.text, ":3: port: must be a whole number from 1 to 65535") != NULL);
	config_clear(sample_keys, &sample);
	CHECK(read_config("name = a\ncolour = red\n", &sample, &err) == 1);
	CHECK(strstr(err.text, ":2: colour: there is no such key") != NULL);
	config_clear(sample_keys, &sample);
	CHECK(read_config("[net]\n", &sample, &err) == 1 &&
	        strstr(err.text, "name: is missing") != NULL);
	config_clear(sample_keys, &sample);
	CHECK(read_config("name = a\nname = b\n", &sample, &err) == 1);
	config_clear(sample_keys, &sample);
	CHECK(read_config("name = a\n[nett]\n", &sample, &err) == 1);
	config_clear(sample_keys, &sample);
}

TEST(the_newest_error_is_kept_and_bounded)
{
	AUTO_BUF struct buf text = BUF(1024);
	int64_t when = -1, before = clock_wall_usec();
	const char *last = log_last_error(&when);

	CHECK_TEXT(last, "");
	CHECK(when == 0);
	log_warning("not an error");
	CHECK_TEXT(log_last_error(&when), "");
	log_error("the disk \"%s\" is full", "a");
	CHECK_TEXT(log_last_error(&when), "the disk \"a\" is full");
	CHECK(when >= before);
	/* Cut between two characters: three bytes each, after one of one byte. */
	buf_add(&text, "x", 1);
	for (int i = 0; i < 200; i++) {
		buf_add(&text, "\u95a2", 3);
	}
	log_error("%s", buf_text(&text));
	last = log_last_error(&when);
	CHECK(strlen(last) == 1 + (LOG_LAST_BYTES_MAX - 2) / 3 * 3);
	CHECK(memcmp(last, text.bytes, strlen(last)) == 0);
}

TEST_MAIN()
