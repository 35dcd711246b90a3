#include "../check.h"

#include "base/str.h"
#include "ctl/output.h"

static const char *escaped(const char *text, enum escape how)
{
	static char kept[256];
	AUTO_BUF struct buf out = BUF(sizeof(kept) - 1);

	output_escape(&out, text, strlen(text), how);
	snprintf(kept, sizeof(kept), "%s", buf_text(&out));
	return kept;
}

TEST(control_bytes_never_pass)
{
	CHECK_TEXT(escaped("plain text", ESCAPE_LINE), "plain text");
	CHECK_TEXT(escaped("\x1b[2J\a\r\n\t\x7f", ESCAPE_LINE), "\\x1b[2J\\x07\\r\\n\\t\\x7f");
	CHECK_TEXT(escaped("one\ntwo\r\n", ESCAPE_LINES), "one\ntwo\\r\n");
	CHECK_TEXT(escaped("\xc2\x9b"
	                   "31m",
	                   ESCAPE_LINE),
	        "\\x9b31m"); /* CSI of C1, in UTF-8 */
}

TEST(characters_that_hide_or_turn_never_pass)
{
	CHECK_TEXT(escaped("a\xe2\x80\xae"
	                   "b",
	                   ESCAPE_LINE),
	        "a\\u202eb"); /* right-to-left override */
	CHECK_TEXT(escaped("a\xe2\x80\x8b"
	                   "b",
	                   ESCAPE_LINE),
	        "a\\u200bb"); /* no width */
	CHECK_TEXT(escaped("\xef\xbb\xbf", ESCAPE_LINE), "\\ufeff");
	CHECK_TEXT(escaped("a\xe2\x80\xa8"
	                   "b",
	                   ESCAPE_LINES),
	        "a\\u2028b");
	CHECK_TEXT(
	        escaped("\xf3\xa0\x81\x81", ESCAPE_JSON), "\\udb40\\udc41"); /* a tag character */
}

TEST(other_scripts_pass)
{
	CHECK_TEXT(escaped("関所の鈴木", ESCAPE_LINE), "関所の鈴木");
	CHECK_TEXT(escaped("Müller 😀", ESCAPE_LINE), "Müller 😀");
}

TEST(bytes_that_are_no_text_are_shown_as_bytes)
{
	CHECK_TEXT(escaped("\xff\xc3(", ESCAPE_LINE), "\\xff\\xc3(");
	CHECK_TEXT(
	        escaped("\xc0\x8a", ESCAPE_LINE), "\\xc0\\x8a"); /* a line feed in too many bytes */
	CHECK_TEXT(escaped("\xed\xa0\x80", ESCAPE_LINE),
	        "\\xed\\xa0\\x80"); /* half a surrogate pair */
	CHECK_TEXT(escaped("\xe9", ESCAPE_JSON), "\\ufffd");
}

TEST(json_is_the_same_value_after_escaping)
{
	AUTO_BUF struct buf out = BUF(4096);
	AUTO_JSON json_t *value = json_pack(
	        "{s:s, s:[i, b, n]}", "k\x7f", "\x1b\xe2\x80\xae\xc2\x85 \"\\ 関", "list", 7, 1);
	AUTO_JSON json_t *back = NULL;
	struct err err = { 0 };

	output_json(&out, value);
	for (size_t i = 0; i + 1 < out.count; i++) {
		CHECK(out.bytes[i] >= 0x20 && out.bytes[i] != 0x7f);
	}
	CHECK(!memmem(out.bytes, out.count, "\xe2\x80\xae", 3));
	CHECK(json_parse(out.bytes, out.count, &back, &err) == 0);
	CHECK(json_equal(value, back));
}

TEST(width_counts_columns)
{
	CHECK(output_width("abc") == 3);
	CHECK(output_width("関所") == 4);
	CHECK(output_width("ｱ") == 1);
	CHECK(output_width("") == 0);
}

TEST(results_are_lines_or_tables)
{
	AUTO_BUF struct buf out = BUF(4096);
	AUTO_JSON json_t *object = json_pack("{s:s, s:i, s:[s,s], s:b, s:n, s:{s:s}}", "name",
	        "a\nb", "version", 3, "roles", "one", "two", "up", 1, "next", "inner", "deep", "x");
	AUTO_JSON json_t *list = json_pack("{s:[{s:s,s:i},{s:s,s:i,s:s}], s:s}", "items", "site",
	        "関所", "n", 1, "site", "b", "n", 22, "more", "y", "next", "cursor");
	AUTO_JSON json_t *empty = json_pack("{s:[], s:n}", "items", "next");

	output_text(&out, object);
	CHECK_TEXT(buf_text(&out), "name     a\\nb\nversion  3\nroles    one, two\nup       yes\n"
	                           "next     -\ninner\n  deep  x\n");
	buf_reset(&out);
	output_text(&out, list);
	CHECK_TEXT(buf_text(&out),
	        "site  n   more\n関所  1   \nb     22  y\nthere is more: --after cursor\n");
	buf_reset(&out);
	output_text(&out, empty);
	CHECK_TEXT(buf_text(&out), "none\n");
}

TEST_MAIN()
