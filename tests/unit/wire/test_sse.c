#include "../check.h"
#include "wire/sse.h"

static int add_event(void *context, const struct sse_event *event)
{
	struct buf *log = context;

	buf_add_format(log, "[%s|%s|%s]", event->name ? event->name : "(comment)", event->last_id,
	        event->data);
	return strcmp(event->data, "stop") == 0;
}

/* What comes out, when the text is fed in pieces of `step`. */
static int read_events(const char *text, size_t step, size_t max, struct buf *log)
{
	AUTO(sse) struct sse *sse = sse_new(max, add_event, log);
	size_t count = strlen(text);
	int r = 0;

	buf_reset(log);
	for (size_t at = 0; at < count && r == 0; at += step) {
		r = sse_feed(
		        sse, (const uint8_t *)text + at, count - at < step ? count - at : step);
	}
	return r;
}

TEST(sse_events_at_every_cut)
{
	static const struct {
		const char *text, *events;
	} rows[] = {
		{ "data: a\n\n", "[message||a]" },
		{ "event: grant\nid: 7\ndata: a\ndata: b\n\n: beat\n\ndata:c\n\n",
		        "[grant|7|a\nb][(comment)|7|beat][message|7|c]" },
		{ "data: a\r\ndata:  b\r\n\r\ndata\r\rignored\n\ndata: open end",
		        "[message||a\n b][message||]" },
		{ "event: none\n\nid: 3\n\ndata: x\n\n", "[message|3|x]" },
		{ "\xef\xbb\xbf"
		  "data: bom\n\nretry: 5\ndata: y\n\n",
		        "[message||bom][message||y]" },
		{ ":\n", "[(comment)||]" },
	};
	AUTO_BUF struct buf log = BUF(4096);

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		for (size_t step = 1; step < 20; step++) {
			CHECK(read_events(rows[i].text, step, 1000, &log) == 0);
			CHECK_TEXT(buf_text(&log), rows[i].events);
		}
	}
}

TEST(sse_ends)
{
	AUTO_BUF struct buf log = BUF(4096);

	CHECK(read_events("data: stop\n\ndata: more\n\n", 3, 100, &log) == 2);
	CHECK_TEXT(buf_text(&log), "[message||stop]");
	CHECK(read_events("data: 0123456789\n\n", 3, 10, &log) == 1);
	CHECK(read_events("data: 01\ndata: 23\ndata: 45\ndata: 67\n\n", 3, 10, &log) == 1);
	CHECK_TEXT(buf_text(&log), "");
}

TEST(sse_print_reads_back)
{
	AUTO_BUF struct buf text = BUF(4096);
	AUTO_BUF struct buf log = BUF(4096);

	sse_print(&text, "cut", "12", "one\ntwo\r\nthree\rfour\n", 20);
	sse_print_comment(&text, "beat");
	sse_print(&text, NULL, NULL, "", 0);
	CHECK(read_events(buf_text(&text), 5, 100, &log) == 0);
	CHECK_TEXT(
	        buf_text(&log), "[cut|12|one\ntwo\nthree\nfour\n][(comment)|12|beat][message|12|]");
}

TEST_MAIN()
