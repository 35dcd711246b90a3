/*
 * HTTP/1.1 requests and responses. Oracles: however the bytes are cut into reads, the verdict, its
 * text, the message and where it ended are the same (no smuggling by timing); what was accepted
 * holds what the header promises.
 *
 * Input: one byte of options, two of the first cut, one of the step after it, then the bytes.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/str.h"
#include "wire/http1.h"

#define require(condition)                                                                         \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

struct verdict {
	enum http1_outcome outcome;
	size_t used;
	struct http1 *parser;
};

static struct verdict parse(enum http1_kind kind, const struct http1_limits *limits,
        const uint8_t *bytes, size_t count, size_t first, size_t step)
{
	struct verdict verdict = { HTTP1_MORE, 0, http1_new(kind, limits) };
	size_t end = first < count ? first : count;
	bool head = false;

	for (;;) {
		size_t used, room = end - verdict.used;
		/* A copy of just these bytes, so that reading past them is seen. */
		uint8_t *piece = mem_new(room + (room == 0), 1);

		memcpy(piece, bytes + verdict.used, room);
		verdict.outcome = http1_feed(verdict.parser, piece, room, &used);
		free(piece);
		require(used <= room);
		verdict.used += used;
		if (verdict.outcome == HTTP1_HEAD) {
			require(!head);
			head = true;
		} else if (verdict.outcome == HTTP1_MORE) {
			require(verdict.used == end);
			if (end == count) {
				verdict.outcome = http1_end(verdict.parser);
				return verdict;
			}
			end = count - end > step ? end + step : count;
		} else {
			return verdict;
		}
	}
}

static void print(struct buf *out, const struct verdict *verdict)
{
	const struct http1_message *message = http1_message(verdict->parser);

	buf_add_format(out, "%d ", verdict->outcome);
	if (verdict->outcome == HTTP1_REFUSED) {
		buf_add_format(out, "%d %s", http1_refused(verdict->parser)->status,
		        http1_refused(verdict->parser)->detail);
		return;
	}
	if (verdict->outcome != HTTP1_DONE) {
		return;
	}
	buf_add_format(out, "%zu %d %d %d %d\n", verdict->used, message->status,
	        message->minor_version, message->keep_alive, message->expects_continue);
	if (message->method) {
		buf_add_format(out, "%s %s %s\n", message->method, message->target, message->path);
	}
	for (size_t i = 0; i < message->query_count; i++) {
		buf_add_format(out, "?%s=%s\n", message->query[i].name, message->query[i].value);
	}
	for (size_t i = 0; i < message->field_count; i++) {
		buf_add_format(out, "%s: %s\n", message->fields[i].name, message->fields[i].value);
	}
	buf_add(out, message->body, message->body_bytes);
}

static size_t fields_named(const struct http1_message *message, const char *name)
{
	size_t count = 0;

	for (size_t i = 0; i < message->field_count; i++) {
		count += strcasecmp(message->fields[i].name, name) == 0;
	}
	return count;
}

static void check_promises(enum http1_kind kind, const struct http1_limits *limits,
        const struct http1_message *message)
{
	const char *length = http1_field(message, "content-length");

	require(fields_named(message, "content-length") <= 1);
	require(fields_named(message, "transfer-encoding") <= 1);
	require(!length || !http1_field(message, "transfer-encoding"));
	require(message->body_bytes <= limits->body_bytes_max);
	for (size_t i = 0; i < message->field_count; i++) {
		require(message->fields[i].name[0] && http1_value_valid(message->fields[i].value));
		require(!strpbrk(message->fields[i].name, " \t:"));
	}
	if (kind == HTTP1_REQUEST) {
		require(fields_named(message, "host") == 1 || message->minor_version == 0);
		require(message->path[0] == '/' || text_equal(message->path, "*"));
		require(http1_value_valid(message->path) && !strstr(message->path, "/../"));
		require(!length || strtoull(length, NULL, 10) == message->body_bytes);
		require(http1_field(message, "transfer-encoding") || length ||
		        message->body_bytes == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http1_limits limits = { .body_bytes_max = 256 };
	AUTO_BUF struct buf whole_text = BUF(1 << 20);
	AUTO_BUF struct buf cut_text = BUF(1 << 20);
	AUTO_BUF struct buf byte_text = BUF(1 << 20);
	struct verdict whole, cut, byte;
	enum http1_kind kind;

	if (size < 4) {
		return 0;
	}
	kind = data[0] & 1 ? HTTP1_RESPONSE : HTTP1_REQUEST;
	limits.version_10 = data[0] & 2;
	whole = parse(kind, &limits, data + 4, size - 4, size, 1);
	cut = parse(
	        kind, &limits, data + 4, size - 4, (size_t)data[1] << 8 | data[2], data[3] + 1U);
	byte = parse(kind, &limits, data + 4, size - 4, 1, 1);
	print(&whole_text, &whole);
	print(&cut_text, &cut);
	print(&byte_text, &byte);
	require(text_equal(buf_text(&whole_text), buf_text(&cut_text)));
	require(text_equal(buf_text(&whole_text), buf_text(&byte_text)));
	require(whole_text.count == cut_text.count && whole_text.count == byte_text.count);
	if (whole.outcome == HTTP1_DONE) {
		check_promises(kind, &limits, http1_message(whole.parser));
	}
	http1_free(whole.parser);
	http1_free(cut.parser);
	http1_free(byte.parser);
	return 0;
}
