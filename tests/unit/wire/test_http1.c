#include <stdlib.h>

#include "base/buf.h"
#include "../check.h"
#include "wire/http1.h"

static const struct http1_limits limits = { .body_bytes_max = 64 };
static const struct http1_limits limits_10 = { .body_bytes_max = 64, .version_10 = true };

/* Parses in pieces of `first`, then `step` bytes. The status of a refusal, 0 when whole, -1 when
 * more is wanted. `ret_left` counts what was not used. */
static int parse(struct http1 *parser, const char *text, size_t count, size_t first, size_t step,
        size_t *ret_left)
{
	size_t at = 0, end = first;

	while (at < count || end >= count) {
		size_t used;
		enum http1_outcome outcome;

		end = end > count ? count : end;
		outcome = http1_feed(parser, (const uint8_t *)text + at, end - at, &used);
		at += used;
		if (outcome == HTTP1_DONE) {
			*ret_left = count - at;
			return 0;
		}
		if (outcome == HTTP1_REFUSED) {
			return http1_refused(parser)->status;
		}
		if (outcome == HTTP1_MORE) {
			if (end == count) {
				return -1;
			}
			end += step;
		}
	}
	return -1;
}

static int parse_once(enum http1_kind kind, const struct http1_limits *with, const char *text,
        size_t count, size_t first, size_t step)
{
	AUTO(http1) struct http1 *parser = http1_new(kind, with);
	size_t left;

	return parse(parser, text, count, first, step, &left);
}

/* The verdict, if every way of cutting the bytes gives the same; -99 if not. */
static int verdict_sized(
        enum http1_kind kind, const struct http1_limits *with, const char *text, size_t count)
{
	int whole = parse_once(kind, with, text, count, count, 1);

	if (parse_once(kind, with, text, count, 1, 1) != whole) {
		return -99;
	}
	for (size_t cut = 1; cut < count && cut < 600; cut++) {
		if (parse_once(kind, with, text, count, cut, count) != whole) {
			return -99;
		}
	}
	return whole;
}

static int verdict(const char *text)
{
	return verdict_sized(HTTP1_REQUEST, &limits, text, strlen(text));
}

#define CHUNKED "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

static const struct {
	int status;
	const char *text;
} requests[] = {
	{ 0, "GET / HTTP/1.1\r\nHost: a\r\n\r\n" },
	{ 0, "GET /a?b=c HTTP/1.1\r\nHost: a.example:8443\r\nX-Empty:\r\n\r\n" },
	{ 0, "POST / HTTP/1.1\r\nhost: [::1]:80\r\ncontent-length: 3\r\n\r\nabc" },
	{ 0, CHUNKED "3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n" },
	{ 0, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n" },
	{ 0, "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n" },
	{ -1, "GET / HTTP/1.1\r\nHost: a\r\n" },
	{ -1, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nab" },
	/* What smuggling is made of. */
	{ 400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: "
	       "chunked\r\n\r\n"
	       "0\r\n\r\n" },
	{ 400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: "
	       "3\r\n\r\n"
	       "0\r\n\r\n" },
	{ 400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc" },
	{ 400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc" },
	{ 400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc" },
	{ 400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc" },
	{ 400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n" },
	{ 400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\nabc" },
	{ 400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n" },
	{ 400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551617\r\n\r\n" },
	{ 400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" },
	{ 400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" },
	{ 400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
	       "Transfer-Encoding: identity\r\n\r\n0\r\n\r\n" },
	{ 400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n" },
	{ 400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\x0b"
	       "chunked\r\n\r\n0\r\n\r\n" },
	{ 400, "GET / HTTP/1.1\r\nHost: a\r\nX-A : b\r\n\r\n" },
	{ 400, "GET / HTTP/1.1\r\nHost: a\r\nX-A: b\r\n c\r\n\r\n" },
	{ 400, "GET / HTTP/1.1\r\nHost: a\r\nX-A: b\r\n\tTransfer-Encoding: chunked\r\n\r\n" },
	{ 400, "GET / HTTP/1.1\r\n Host: a\r\n\r\n" },
	{ 400, "GET / HTTP/1.1\nHost: a\n\n" },
	{ 400, "GET / HTTP/1.1\r\nHost: a\n\r\n" },
	{ 400, "GET / HTTP/1.1\r\nHost: a\r\n\n" },
	{ 400, "GET / HTTP/1.1\r\nHost: a\r\nX: b\rc\r\n\r\n" },
	{ 400, "GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n" },
	{ 400, "GET / HTTP/1.1\r\nHost: a\r\nnothing\r\n\r\n" },
	{ 400, "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n" },
	{ 400, CHUNKED "3\nabc\r\n0\r\n\r\n" },
	{ 400, CHUNKED "3\r\nabc\n0\r\n\r\n" },
	{ 400, CHUNKED "3\r\nabcd\r\n0\r\n\r\n" },
	{ 400, CHUNKED "3\r\nabc\r\n0\r\n\n" },
	{ 400, CHUNKED "3\r\nabc\r\n0\n\n" },
	{ 400, CHUNKED "3;x=y\r\nabc\r\n0\r\n\r\n" },
	{ 400, CHUNKED "3;\r\nabc\r\n0\r\n\r\n" },
	{ 400, CHUNKED "3\r\nabc\r\n0\r\nX-Trailer: y\r\n\r\n" },
	{ 400, CHUNKED "-3\r\nabc\r\n0\r\n\r\n" },
	{ 400, CHUNKED "0x3\r\nabc\r\n0\r\n\r\n" },
	{ 400, CHUNKED "fffffffffffffffff\r\nabc\r\n0\r\n\r\n" },
	/* Host. */
	{ 400, "GET / HTTP/1.1\r\nAccept: a\r\n\r\n" },
	{ 400, "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n" },
	{ 400, "GET / HTTP/1.1\r\nHost:\r\n\r\n" },
	{ 400, "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n" },
	{ 400, "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n" },
	/* Other doubles. */
	{ 400, "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: x\r\nauthorization: y\r\n\r\n" },
	{ 417, "POST / HTTP/1.1\r\nHost: a\r\nExpect: money\r\nContent-Length: 1\r\n\r\na" },
	/* The request line. */
	{ 505, "GET / HTTP/1.0\r\nHost: a\r\n\r\n" },
	{ 505, "GET / HTTP/9.9\r\nHost: a\r\n\r\n" },
	{ 505, "GET / HTTP/0.9\r\nHost: a\r\n\r\n" },
	{ 505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" },
	{ 400, "GET /\r\n" },
	{ 400, "GET / HTTP/1.1 \r\nHost: a\r\n\r\n" },
	{ 400, "GET  / HTTP/1.1\r\nHost: a\r\n\r\n" },
	{ 400, "GET / http/1.1\r\nHost: a\r\n\r\n" },
	{ 400, "GET / ICE/1.1\r\nHost: a\r\n\r\n" },
	{ 400, "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n" },
	{ 501, "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n" },
	{ 501, "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n" },
	{ 501, "get / HTTP/1.1\r\nHost: a\r\n\r\n" },
	{ 400, "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n" },
	{ 400, "GET a HTTP/1.1\r\nHost: a\r\n\r\n" },
	{ 400, "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n" },
	{ 400, "GET /a\x80 HTTP/1.1\r\nHost: a\r\n\r\n" },
	{ 400, "GET /a%00 HTTP/1.1\r\nHost: a\r\n\r\n" },
	{ 400, "GET /a%0d%0aX HTTP/1.1\r\nHost: a\r\n\r\n" },
	{ 400, "GET /a%zz HTTP/1.1\r\nHost: a\r\n\r\n" },
	{ 400, "GET /a%4 HTTP/1.1\r\nHost: a\r\n\r\n" },
	{ 400, "GET /a% HTTP/1.1\r\nHost: a\r\n\r\n" },
	{ 400, "GET /a/../b HTTP/1.1\r\nHost: a\r\n\r\n" },
	{ 400, "GET /a/%2e%2E HTTP/1.1\r\nHost: a\r\n\r\n" },
	{ 400, "GET /%2e/a HTTP/1.1\r\nHost: a\r\n\r\n" },
	{ 400, "GET /a%2f..%2fb HTTP/1.1\r\nHost: a\r\n\r\n" },
	{ 400, "GET /?a=%00 HTTP/1.1\r\nHost: a\r\n\r\n" },
	{ 400, "GET /?a=1&a=2 HTTP/1.1\r\nHost: a\r\n\r\n" },
	{ 400, "GET /?a=1&%61=2 HTTP/1.1\r\nHost: a\r\n\r\n" },
	/* Bodies: 64 bytes are allowed in here. */
	{ 413, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 65\r\n\r\n" },
	{ 413, CHUNKED "20\r\n0123456789012345678901234567890b\r\n21\r\n012345678901234567890123456"
	               "7890bc" },
};

TEST(http1_verdicts_at_every_cut)
{
	for (size_t i = 0; i < ARRAY_COUNT(requests); i++) {
		int status = verdict(requests[i].text);

		if (status != requests[i].status) {
			printf("# row %zu: %d instead of %d: %s\n", i, status, requests[i].status,
			        requests[i].text);
		}
		CHECK(status == requests[i].status);
	}
}

TEST(http1_zero_bytes_are_refused)
{
	static const char name[] = "GET / HTTP/1.1\r\nHo\0st: a\r\n\r\n";
	static const char value[] = "GET / HTTP/1.1\r\nHost: a\r\nX: b\0c\r\n\r\n";

	CHECK(verdict_sized(HTTP1_REQUEST, &limits, name, sizeof(name) - 1) == 400);
	CHECK(verdict_sized(HTTP1_REQUEST, &limits, value, sizeof(value) - 1) == 400);
}

TEST(http1_limits_of_the_head)
{
	AUTO_BUF struct buf head = BUF(1 << 20);

	buf_add_text(&head, "GET /");
	for (int i = 0; i < HTTP_TARGET_BYTES_MAX - 1; i++) {
		buf_add_u8(&head, 'a');
	}
	buf_add_text(&head, " HTTP/1.1\r\nHost: a\r\n\r\n");
	CHECK(verdict(buf_text(&head)) == 0);
	buf_reset(&head);
	buf_add_text(&head, "GET /");
	for (int i = 0; i < HTTP_TARGET_BYTES_MAX; i++) {
		buf_add_u8(&head, 'a');
	}
	buf_add_text(&head, " HTTP/1.1\r\nHost: a\r\n\r\n");
	CHECK(verdict(buf_text(&head)) == 414);
	buf_reset(&head);
	buf_add_text(&head, "GET /");
	for (int i = 0; i < 20000; i++) {
		buf_add_u8(&head, 'a'); /* A line that does not end. */
	}
	CHECK(verdict(buf_text(&head)) == 414);

	buf_reset(&head);
	buf_add_text(&head, "GET / HTTP/1.1\r\nHost: a\r\n");
	for (int i = 1; i < HTTP_HEADER_COUNT_MAX; i++) {
		buf_add_format(&head, "X-%d: y\r\n", i);
	}
	buf_add_text(&head, "\r\n");
	CHECK(verdict(buf_text(&head)) == 0);
	head.count -= 2;
	buf_add_text(&head, "X: y\r\n\r\n");
	CHECK(verdict(buf_text(&head)) == 431);

	buf_reset(&head);
	buf_add_text(&head, "GET / HTTP/1.1\r\nHost: a\r\nX: ");
	for (int i = 0; i < HTTP_HEADER_BYTES_MAX; i++) {
		buf_add_u8(&head, 'a');
	}
	CHECK(verdict(buf_text(&head)) == 431);
}

TEST(http1_reads_a_request)
{
	static const char text[] = "POST /a%20b/c%2Fd?x=1%262+3&flag&name=%E6%8E%A5 HTTP/1.1\r\n"
	                           "Host: center.example\r\nX-Two:  spaced \t\r\nx-TWO: again\r\n"
	                           "Content-Length: 5\r\nExpect: 100-continue\r\n\r\nhelloGET";
	AUTO(http1) struct http1 *parser = http1_new(HTTP1_REQUEST, &limits);
	const struct http1_message *message = http1_message(parser);
	size_t left = 0;

	CHECK(parse(parser, text, sizeof(text) - 1, sizeof(text), 1, &left) == 0);
	CHECK(left == 3);
	CHECK_TEXT(message->method, "POST");
	CHECK_TEXT(message->target, "/a%20b/c%2Fd?x=1%262+3&flag&name=%E6%8E%A5");
	CHECK_TEXT(message->path, "/a b/c/d");
	CHECK_TEXT(http1_query(message, "x"), "1&2 3");
	CHECK_TEXT(http1_query(message, "flag"), "");
	CHECK_TEXT(http1_query(message, "name"), "接");
	CHECK(http1_query(message, "y") == NULL);
	CHECK_TEXT(http1_field(message, "HOST"), "center.example");
	CHECK_TEXT(http1_field(message, "x-two"), "spaced");
	CHECK(http1_field(message, "x-three") == NULL);
	CHECK(message->field_count == 5 && message->keep_alive && message->expects_continue);
	CHECK(message->body_bytes == 5 && memcmp(message->body, "hello", 5) == 0);
}

TEST(http1_keep_alive)
{
	static const struct {
		bool keep;
		const char *text;
	} rows[] = {
		{ true, "GET / HTTP/1.1\r\nHost: a\r\n\r\n" },
		{ false, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" },
		{ false, "GET / HTTP/1.1\r\nHost: a\r\nConnection: TE, Close\r\n\r\n" },
		{ false, "GET / HTTP/1.0\r\n\r\n" },
		{ false, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" },
	};

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		AUTO(http1) struct http1 *parser = http1_new(HTTP1_REQUEST, &limits_10);
		size_t left;

		CHECK(parse(parser, rows[i].text, strlen(rows[i].text), 1, 7, &left) == 0);
		CHECK(http1_message(parser)->keep_alive == rows[i].keep);
	}
}

static int response_verdict(const char *text)
{
	return verdict_sized(HTTP1_RESPONSE, &limits_10, text, strlen(text));
}

TEST(http1_responses)
{
	CHECK(response_verdict("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") == 0);
	CHECK(response_verdict("HTTP/1.1 204 No Content\r\n\r\n") == 0);
	CHECK(response_verdict("HTTP/1.1 304\r\nContent-Length: 9\r\n\r\n") == 0);
	CHECK(response_verdict("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	                       "2\r\nok\r\n0\r\n\r\n") == 0);
	CHECK(response_verdict("HTTP/1.1 200 OK\r\n\r\nuntil the end") == -1);
	CHECK(response_verdict("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
	                       "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n") == 400);
	CHECK(response_verdict("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
	                       "Content-Length: 3\r\n\r\n") == 400);
	CHECK(response_verdict("HTTP/1.1 20 OK\r\n\r\n") == 400);
	CHECK(response_verdict("HTTP/1.1 999 OK\r\n\r\n") == 400);
	CHECK(response_verdict("HTTP/1.1 101 Upgrade\r\n\r\n") == 400);
	CHECK(response_verdict("HTTP/2.0 200 OK\r\n\r\n") == 505);
	CHECK(response_verdict("SSH-2.0-OpenSSH_9.2\r\n") == 400);
	CHECK(response_verdict("HTTP/1.1 200 OK\r\nContent-Length: 65\r\n\r\n") == 413);
}

TEST(http1_end_of_connection)
{
	static const char until_end[] = "HTTP/1.1 200 OK\r\n\r\nuntil the end";
	static const char cut[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc";
	AUTO(http1) struct http1 *whole = http1_new(HTTP1_RESPONSE, &limits);
	AUTO(http1) struct http1 *short_one = http1_new(HTTP1_RESPONSE, &limits);
	AUTO(http1) struct http1 *none = http1_new(HTTP1_RESPONSE, &limits);
	size_t left;

	CHECK(parse(whole, until_end, sizeof(until_end) - 1, 5, 5, &left) == -1);
	CHECK(http1_end(whole) == HTTP1_DONE);
	CHECK(http1_message(whole)->body_bytes == strlen("until the end"));
	CHECK(!http1_message(whole)->keep_alive);
	CHECK(parse(short_one, cut, sizeof(cut) - 1, 5, 5, &left) == -1);
	CHECK(http1_end(short_one) == HTTP1_REFUSED);
	CHECK(http1_end(none) == HTTP1_MORE);
}

TEST(http1_answers_to_head_have_no_body)
{
	static const char text[] = "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n";
	AUTO(http1) struct http1 *parser = http1_new(HTTP1_RESPONSE, &limits);
	size_t left;

	http1_expect_no_body(parser);
	CHECK(parse(parser, text, sizeof(text) - 1, 9, 9, &left) == 0);
	CHECK(http1_message(parser)->body_bytes == 0);
}

TEST(http1_values_and_targets_to_send)
{
	CHECK(http1_value_valid("a b\tc"));
	CHECK(!http1_value_valid("a\r\nX: y"));
	CHECK(!http1_value_valid("a\nb"));
	CHECK(http1_target_valid("/api/v1/sites?x=%20"));
	CHECK(!http1_target_valid("api"));
	CHECK(!http1_target_valid("/a b"));
	CHECK(!http1_target_valid("/a\r\nHost: b"));
}

TEST_MAIN()
