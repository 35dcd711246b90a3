/*
 * The head is gathered in one block and looked at line by line as the lines become complete; llhttp
 * gets it in one piece, so its spans point into the block and nothing is copied twice. The body
 * goes straight through llhttp. Field texts are ended in place after llhttp has seen the block.
 */
#include "wire/http1.h"

#include <llhttp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/str.h"

/* The request line holds method, target and version; a longer one has a target that is too long. */
#define FIRST_LINE_BYTES_MAX (HTTP_TARGET_BYTES_MAX + 32)

enum stage { STAGE_HEAD, STAGE_BODY, STAGE_DONE, STAGE_REFUSED };

struct span {
	size_t at, count;
};

struct http1 {
	llhttp_t llhttp;
	enum http1_kind kind;
	struct http1_limits limits;
	enum stage stage;
	bool no_body;
	bool headers_complete, message_complete;
	bool body_overflowed, body_rejected;
	struct buf head;
	size_t line_at;
	size_t line_count;
	struct span first[3]; /* of the first line */
	struct span names[HTTP_HEADER_COUNT_MAX], values[HTTP_HEADER_COUNT_MAX];
	bool has_length, chunked;
	uint64_t length;
	char *decoded; /* path and query, each text ended by a zero byte */
	struct buf body;
	http1_body_handler *body_handler;
	void *body_context;
	uint8_t tail[4]; /* the last bytes of the body's framing */
	struct http1_message message;
	struct http1_refusal refusal;
};

/* Which bytes may stand in a token (RFC 9110 5.6.2), in a field value, and in a target. */
enum { TOKEN = 1, VALUE = 2, TARGET = 4, WORD = TOKEN | VALUE | TARGET };

static const uint8_t classes[256] = {
	['\t'] = VALUE,
	[' '] = VALUE,
	['!'] = WORD,
	['"'] = VALUE,
	['#'] = TOKEN | VALUE,
	['$' ... '\''] = WORD,
	['(' ... ')'] = VALUE | TARGET,
	['*' ... '+'] = WORD,
	[','] = VALUE | TARGET,
	['-' ... '.'] = WORD,
	['/'] = VALUE | TARGET,
	['0' ... '9'] = WORD,
	[':' ... ';'] = VALUE | TARGET,
	['<'] = VALUE,
	['='] = VALUE | TARGET,
	['>'] = VALUE,
	['?' ... '@'] = VALUE | TARGET,
	['A' ... 'Z'] = WORD,
	['['] = VALUE | TARGET,
	['\\'] = VALUE,
	[']'] = VALUE | TARGET,
	['^'] = TOKEN | VALUE,
	['_'] = WORD,
	['`'] = TOKEN | VALUE,
	['a' ... 'z'] = WORD,
	['{'] = VALUE,
	['|'] = TOKEN | VALUE,
	['}'] = VALUE,
	['~'] = WORD,
	[0x80 ... 0xff] = VALUE,
};

/* How many bytes at the front are of the class. */
static size_t class_run(const uint8_t *bytes, size_t count, uint8_t class)
{
	size_t run = 0;

	while (run < count && (classes[bytes[run]] & class)) {
		run++;
	}
	return run;
}

static enum http1_outcome refuse(struct http1 *parser, int status, const char *format, ...)
        printf_like(3, 4);

static enum http1_outcome refuse(struct http1 *parser, int status, const char *format, ...)
{
	va_list args;

	parser->stage = STAGE_REFUSED;
	parser->refusal.status = status;
	va_start(args, format);
	vsnprintf(parser->refusal.detail, sizeof(parser->refusal.detail), format, args);
	va_end(args);
	return HTTP1_REFUSED;
}

/* llhttp's callbacks. */

static int on_headers_complete(llhttp_t *llhttp)
{
	struct http1 *parser = llhttp->data;

	parser->headers_complete = true;
	parser->message.keep_alive = llhttp_should_keep_alive(llhttp) != 0;
	llhttp->upgrade = 0; /* Upgrades are ignored, as RFC 9110 7.8 allows. */
	if (parser->kind == HTTP1_RESPONSE &&
	        (llhttp->status_code < 200 || llhttp->status_code == 204 ||
	                llhttp->status_code == 304)) {
		parser->no_body = true; /* Whatever Content-Length says (RFC 9112 6.3). */
	}
	return parser->no_body ? 1 : 0;
}

static int on_message_complete(llhttp_t *llhttp)
{
	struct http1 *parser = llhttp->data;

	parser->message_complete = true;
	return HPE_PAUSED;
}

static int on_header_field(llhttp_t *llhttp, const char *at, size_t count)
{
	struct http1 *parser = llhttp->data;

	if (parser->headers_complete) {
		return -1; /* a trailer */
	}
	return 0;
}

static int on_chunk_extension(llhttp_t *llhttp, const char *at, size_t count)
{
	return -1;
}

static int on_body(llhttp_t *llhttp, const char *at, size_t count)
{
	struct http1 *parser = llhttp->data;

	if (parser->body_handler) {
		int r = parser->body_handler(parser->body_context, (const uint8_t *)at, count);

		parser->body_rejected = r != 0;
		return r == 0 ? 0 : -1;
	}
	buf_add(&parser->body, at, count);
	parser->body_overflowed = parser->body.overflowed;
	return parser->body_overflowed ? -1 : 0;
}

static const llhttp_settings_t llhttp_settings = {
	.on_header_field = on_header_field,
	.on_headers_complete = on_headers_complete,
	.on_body = on_body,
	.on_message_complete = on_message_complete,
	.on_chunk_extension_name = on_chunk_extension,
	.on_chunk_extension_value = on_chunk_extension,
};

struct http1 *http1_new(enum http1_kind kind, const struct http1_limits *limits)
{
	struct http1 *parser = mem_new(1, sizeof(*parser));

	assert_always(limits->body_bytes_max > 0);
	parser->kind = kind;
	parser->limits = *limits;
	parser->head = BUF(HTTP_HEADER_BYTES_MAX);
	parser->body = BUF(limits->body_bytes_max);
	llhttp_init(&parser->llhttp, kind == HTTP1_REQUEST ? HTTP_REQUEST : HTTP_RESPONSE,
	        &llhttp_settings);
	parser->llhttp.data = parser;
	return parser;
}

struct http1 *http1_free(struct http1 *parser)
{
	if (parser) {
		buf_clear(&parser->head);
		buf_clear(&parser->body);
		free(parser->decoded);
		free(parser);
	}
	return NULL;
}

const struct http1_message *http1_message(const struct http1 *parser)
{
	return &parser->message;
}

const struct http1_refusal *http1_refused(const struct http1 *parser)
{
	return &parser->refusal;
}

bool http1_begun(const struct http1 *parser)
{
	return parser->head.count > 0;
}

void http1_expect_no_body(struct http1 *parser)
{
	parser->no_body = true;
}

void http1_body_to(struct http1 *parser, http1_body_handler *handler, void *context)
{
	parser->body_handler = handler;
	parser->body_context = context;
}

/* "HTTP/1.1" and its like. Returns the minor version, -1 for other versions, -2 for no version. */
static int version_parse(const uint8_t *text, size_t count)
{
	if (count != 8 || memcmp(text, "HTTP/", 5) != 0 || text[5] < '0' || text[5] > '9' ||
	        text[6] != '.' || text[7] < '0' || text[7] > '9') {
		return -2;
	}
	return text[5] == '1' && text[7] <= '1' ? text[7] - '0' : -1;
}

static enum http1_outcome check_version(struct http1 *parser, const uint8_t *text, size_t count)
{
	int minor = version_parse(text, count);

	if (minor == -2) {
		return refuse(parser, 400, "the first line is not one of HTTP");
	}
	if (minor < 0 || (minor == 0 && !parser->limits.version_10)) {
		return refuse(parser, 505, "version %.*s is not served, only HTTP/1.1", (int)count,
		        (const char *)text);
	}
	parser->message.minor_version = minor;
	return HTTP1_DONE;
}

static bool method_served(const uint8_t *text, size_t count)
{
	static const char *const served[] = { "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH",
		"OPTIONS" };

	for (size_t i = 0; i < ARRAY_COUNT(served); i++) {
		if (strlen(served[i]) == count && memcmp(served[i], text, count) == 0) {
			return true;
		}
	}
	return false;
}

static enum http1_outcome check_request_line(
        struct http1 *parser, const uint8_t *line, size_t count)
{
	size_t method = class_run(line, count, TOKEN), target, version_at;

	if (method == 0 || method >= count || line[method] != ' ') {
		return refuse(parser, 400, "the request line has no method");
	}
	target = class_run(line + method + 1, count - method - 1, TARGET);
	version_at = method + 1 + target + 1;
	if (target == 0 || version_at >= count || line[version_at - 1] != ' ') {
		return refuse(
		        parser, 400, "the request target holds a byte that is not allowed there");
	}
	if (check_version(parser, line + version_at, count - version_at) != HTTP1_DONE) {
		return HTTP1_REFUSED;
	}
	if (!method_served(line, method)) {
		return refuse(parser, 501, "this method is not served");
	}
	if (target > HTTP_TARGET_BYTES_MAX) {
		return refuse(parser, 414, "the request target is longer than %d bytes",
		        HTTP_TARGET_BYTES_MAX);
	}
	parser->first[0] = (struct span){ parser->line_at, method };
	parser->first[1] = (struct span){ parser->line_at + method + 1, target };
	return HTTP1_DONE;
}

/* HTTP/1.1 SP 3DIGIT SP reason (RFC 9112 4; the space and the reason are left out by some). */
static enum http1_outcome check_status_line(struct http1 *parser, const uint8_t *line, size_t count)
{
	if (count < 12 || line[8] != ' ' || (count > 12 && line[12] != ' ')) {
		return refuse(parser, 400, "the status line is not one of HTTP");
	}
	if (check_version(parser, line, 8) != HTTP1_DONE) {
		return HTTP1_REFUSED;
	}
	for (int i = 9; i < 12; i++) {
		if (line[i] < '0' || line[i] > '9') {
			return refuse(parser, 400, "the status is not a number");
		}
		parser->message.status = 10 * parser->message.status + (line[i] - '0');
	}
	if (parser->message.status < 100 || parser->message.status > 599 ||
	        parser->message.status == 101) {
		return refuse(
		        parser, 400, "status %d is none that we asked for", parser->message.status);
	}
	if (class_run(line + 12, count - 12, VALUE) != count - 12) {
		return refuse(parser, 400, "the status line holds a control byte");
	}
	return HTTP1_DONE;
}

static enum http1_outcome check_field_line(struct http1 *parser, const uint8_t *line, size_t count)
{
	size_t name = class_run(line, count, TOKEN), from, to;

	if (line[0] == ' ' || line[0] == '\t') {
		return refuse(parser, 400, "folded header lines are not allowed");
	}
	if (name == 0 || name == count) {
		return refuse(parser, 400, "a header line has no name and colon");
	}
	if (line[name] != ':') {
		return refuse(parser, 400,
		        "header field %.*s: a byte that is not allowed stands before the colon",
		        name > 60 ? 60 : (int)name, (const char *)line);
	}
	from = name + 1;
	if (class_run(line + from, count - from, VALUE) != count - from) {
		return refuse(parser, 400, "header field %.*s: control bytes are not allowed",
		        name > 60 ? 60 : (int)name, (const char *)line);
	}
	if (parser->message.field_count == HTTP_HEADER_COUNT_MAX) {
		return refuse(parser, 431, "more than %d header fields", HTTP_HEADER_COUNT_MAX);
	}
	to = count;
	while (from < to && (line[from] == ' ' || line[from] == '\t')) {
		from++;
	}
	while (to > from && (line[to - 1] == ' ' || line[to - 1] == '\t')) {
		to--;
	}
	parser->names[parser->message.field_count] = (struct span){ parser->line_at, name };
	parser->values[parser->message.field_count] =
	        (struct span){ parser->line_at + from, to - from };
	parser->message.field_count++;
	return HTTP1_DONE;
}

/* One whole line, at line_at to the end of the block. HTTP1_HEAD: the empty one. */
static enum http1_outcome check_line(struct http1 *parser)
{
	const uint8_t *line = parser->head.bytes + parser->line_at;
	size_t count = parser->head.count - parser->line_at;
	enum http1_outcome outcome;

	if (count < 2 || line[count - 2] != '\r') {
		return refuse(parser, 400, "a line of the head ends in a bare line feed");
	}
	count -= 2;
	if (parser->line_count > 0 && count == 0) {
		return HTTP1_HEAD;
	}
	if (parser->line_count > 0) {
		outcome = check_field_line(parser, line, count);
	} else if (parser->kind == HTTP1_REQUEST) {
		outcome = check_request_line(parser, line, count);
	} else {
		outcome = check_status_line(parser, line, count);
	}
	parser->line_count++;
	parser->line_at = parser->head.count;
	return outcome;
}

static bool name_is(const struct http1 *parser, size_t field, const char *name)
{
	struct span span = parser->names[field];

	return strlen(name) == span.count &&
	       strncasecmp((const char *)parser->head.bytes + span.at, name, span.count) == 0;
}

static bool host_valid(const char *text, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (!(classes[(uint8_t)text[i]] & TARGET) || strchr("/?@,;%&=", text[i])) {
			return false;
		}
	}
	return count > 0;
}

static enum http1_outcome check_field_meaning(struct http1 *parser, size_t field)
{
	const char *text = (const char *)parser->head.bytes + parser->values[field].at;
	size_t count = parser->values[field].count;

	if (name_is(parser, field, "host")) {
		if (!host_valid(text, count)) {
			return refuse(parser, 400, "header field Host: not a host name");
		}
	} else if (name_is(parser, field, "content-length")) {
		/* 15 digits are more than any limit of ours and less than any integer's. */
		if (count == 0 || count > 15) {
			return refuse(parser, 400, "header field Content-Length: not a number");
		}
		for (size_t i = 0; i < count; i++) {
			if (text[i] < '0' || text[i] > '9') {
				return refuse(
				        parser, 400, "header field Content-Length: not a number");
			}
			parser->length = 10 * parser->length + (uint64_t)(text[i] - '0');
		}
		parser->has_length = true;
	} else if (name_is(parser, field, "transfer-encoding")) {
		if (count != 7 || strncasecmp(text, "chunked", 7) != 0) {
			return refuse(parser, 400,
			        "header field Transfer-Encoding: only chunked is understood");
		}
		parser->chunked = true;
	} else if (parser->kind == HTTP1_REQUEST && name_is(parser, field, "expect")) {
		if (count != 12 || strncasecmp(text, "100-continue", 12) != 0) {
			return refuse(parser, 417,
			        "header field Expect: only 100-continue is understood");
		}
		parser->message.expects_continue = true;
	}
	return HTTP1_DONE;
}

static enum http1_outcome check_fields(struct http1 *parser)
{
	/* Two of these would let two readers of the same bytes understand two things. */
	static const char *const singletons[] = { "host", "content-length", "transfer-encoding",
		"content-type", "authorization", "expect", "location", "retry-after" };
	size_t counts[ARRAY_COUNT(singletons)] = { 0 };

	for (size_t i = 0; i < parser->message.field_count; i++) {
		for (size_t s = 0; s < ARRAY_COUNT(singletons); s++) {
			if (name_is(parser, i, singletons[s]) && ++counts[s] > 1) {
				return refuse(parser, 400, "header field %s is given twice",
				        singletons[s]);
			}
		}
		if (check_field_meaning(parser, i) != HTTP1_DONE) {
			return HTTP1_REFUSED;
		}
	}
	if (parser->has_length && parser->chunked) {
		return refuse(
		        parser, 400, "Content-Length and Transfer-Encoding are given together");
	}
	if (parser->chunked && parser->message.minor_version == 0) {
		return refuse(parser, 400, "header field Transfer-Encoding: not in HTTP/1.0");
	}
	if (parser->kind == HTTP1_REQUEST && parser->message.minor_version > 0 && counts[0] == 0) {
		return refuse(parser, 400, "header field Host is missing");
	}
	return HTTP1_DONE;
}

static int hex_digit(char digit)
{
	if (digit >= '0' && digit <= '9') {
		return digit - '0';
	}
	if (digit >= 'a' && digit <= 'f') {
		return digit - 'a' + 10;
	}
	return digit >= 'A' && digit <= 'F' ? digit - 'A' + 10 : -1;
}

/* Percent-decodes into `*out` and moves it past the closing zero byte. Outcome 1: a broken escape,
 * or one that stands for a control byte. */
static int decode(const char *text, size_t count, bool plus_is_space, char **out)
{
	for (size_t i = 0; i < count; i++) {
		char byte = text[i];

		if (byte == '%') {
			int high = count - i > 2 ? hex_digit(text[i + 1]) : -1;
			int low = count - i > 2 ? hex_digit(text[i + 2]) : -1;

			if (high < 0 || low < 0 || high * 16 + low < 0x20 ||
			        high * 16 + low == 0x7f) {
				return 1;
			}
			byte = (char)(high * 16 + low);
			i += 2;
		} else if (byte == '+' && plus_is_space) {
			byte = ' ';
		}
		*(*out)++ = byte;
	}
	*(*out)++ = '\0';
	return 0;
}

static bool has_dot_segment(const char *path)
{
	for (const char *segment = path; segment; segment = strchr(segment, '/')) {
		size_t count;

		segment += *segment == '/';
		count = strcspn(segment, "/");
		if ((count == 1 && segment[0] == '.') ||
		        (count == 2 && !memcmp(segment, "..", 2))) {
			return true;
		}
	}
	return false;
}

static enum http1_outcome parse_query(struct http1 *parser, const char *text, char *out)
{
	struct http1_message *message = &parser->message;

	while (*text) {
		size_t count = strcspn(text, "&"), name = strcspn(text, "=&");
		struct http1_field *field = &message->query[message->query_count];
		size_t value = name < count ? name + 1 : count;

		if (count > 0) {
			if (message->query_count == HTTP_QUERY_COUNT_MAX) {
				return refuse(parser, 400, "more than %d query parameters",
				        HTTP_QUERY_COUNT_MAX);
			}
			field->name = out;
			if (decode(text, name, true, &out) > 0) {
				return refuse(parser, 400, "the query holds a bad percent escape");
			}
			field->value = out;
			if (decode(text + value, count - value, true, &out) > 0) {
				return refuse(parser, 400, "the query holds a bad percent escape");
			}
			if (http1_query(message, field->name)) {
				return refuse(parser, 400, "a query parameter is given twice");
			}
			message->query_count++;
		}
		text += count;
		text += *text == '&';
	}
	return HTTP1_DONE;
}

static enum http1_outcome parse_target(struct http1 *parser)
{
	struct http1_message *message = &parser->message;
	size_t path = strcspn(message->target, "?"), whole = strlen(message->target);
	char *out;

	if (message->target[0] != '/' && strcmp(message->target, "*") != 0) {
		return refuse(parser, 400, "the request target does not begin with a slash");
	}
	/* Decoding never grows; each text gets a closing zero byte. */
	parser->decoded = mem_new(whole + 1 + 2 * HTTP_QUERY_COUNT_MAX, 1);
	out = parser->decoded;
	message->path = out;
	if (decode(message->target, path, false, &out) > 0) {
		return refuse(parser, 400, "the path holds a bad percent escape");
	}
	if (has_dot_segment(message->path)) {
		return refuse(parser, 400, "the path holds a dot segment");
	}
	return parse_query(parser, message->target + path + (path < whole), out);
}

/* Ends the texts in place and points the message at them. */
static void point_message(struct http1 *parser)
{
	struct http1_message *message = &parser->message;
	char *head = (char *)parser->head.bytes;

	for (size_t i = 0; i < message->field_count; i++) {
		head[parser->names[i].at + parser->names[i].count] = '\0';
		head[parser->values[i].at + parser->values[i].count] = '\0';
		message->fields[i] = (struct http1_field){ head + parser->names[i].at,
			head + parser->values[i].at };
	}
	if (parser->kind == HTTP1_REQUEST) {
		head[parser->first[0].at + parser->first[0].count] = '\0';
		head[parser->first[1].at + parser->first[1].count] = '\0';
		message->method = head + parser->first[0].at;
		message->target = head + parser->first[1].at;
	}
}

static enum http1_outcome finish_head(struct http1 *parser)
{
	llhttp_errno_t error;

	if (check_fields(parser) != HTTP1_DONE) {
		return HTTP1_REFUSED;
	}
	if (parser->has_length && parser->length > parser->limits.body_bytes_max &&
	        !parser->no_body) {
		return refuse(parser, 413, "header field Content-Length: more than %zu bytes",
		        parser->limits.body_bytes_max);
	}
	error = llhttp_execute(
	        &parser->llhttp, (const char *)parser->head.bytes, parser->head.count);
	if (error != HPE_OK && !(error == HPE_PAUSED && parser->message_complete)) {
		const char *reason = llhttp_get_error_reason(&parser->llhttp);

		return refuse(parser, 400, "%s", reason ? reason : llhttp_errno_name(error));
	}
	/* The two readings of the head must be one. */
	if (!parser->headers_complete ||
	        (!parser->message_complete &&
	                (((parser->llhttp.flags & F_CHUNKED) != 0) != parser->chunked ||
	                        (parser->has_length &&
	                                parser->llhttp.content_length != parser->length)))) {
		return refuse(parser, 400, "the length of the body is not clear");
	}
	parser->message.keep_alive &= parser->message.minor_version > 0;
	point_message(parser);
	if (parser->kind == HTTP1_REQUEST && parse_target(parser) != HTTP1_DONE) {
		return HTTP1_REFUSED;
	}
	parser->stage = parser->message_complete ? STAGE_DONE : STAGE_BODY;
	return HTTP1_HEAD;
}

static enum http1_outcome feed_head(
        struct http1 *parser, const uint8_t *bytes, size_t count, size_t *ret_used)
{
	while (*ret_used < count) {
		const uint8_t *from = bytes + *ret_used;
		const uint8_t *end = memchr(from, '\n', count - *ret_used);
		size_t piece = end ? (size_t)(end - from) + 1 : count - *ret_used;
		enum http1_outcome outcome;

		if (parser->line_count == 0 && parser->head.count + piece > FIRST_LINE_BYTES_MAX) {
			return refuse(parser, parser->kind == HTTP1_REQUEST ? 414 : 400,
			        "the first line is longer than %d bytes", FIRST_LINE_BYTES_MAX);
		}
		buf_add(&parser->head, from, piece);
		if (parser->head.overflowed) {
			return refuse(parser, 431, "the header fields are longer than %d bytes",
			        HTTP_HEADER_BYTES_MAX);
		}
		*ret_used += piece;
		if (!end) {
			break;
		}
		outcome = check_line(parser);
		if (outcome == HTTP1_HEAD) {
			return finish_head(parser);
		}
		if (outcome != HTTP1_DONE) {
			return outcome;
		}
	}
	return HTTP1_MORE;
}

static void keep_tail(struct http1 *parser, const uint8_t *bytes, size_t count)
{
	size_t fresh = count < sizeof(parser->tail) ? count : sizeof(parser->tail);

	memmove(parser->tail, parser->tail + fresh, sizeof(parser->tail) - fresh);
	memcpy(parser->tail + sizeof(parser->tail) - fresh, bytes + count - fresh, fresh);
}

static enum http1_outcome body_refused(struct http1 *parser)
{
	if (parser->body_overflowed) {
		return refuse(parser, 413, "the body is longer than %zu bytes",
		        parser->limits.body_bytes_max);
	}
	if (parser->body_rejected) {
		return refuse(parser, 400, "the receiver of the body refused it");
	}
	/* llhttp's own reason depends on where the bytes were cut. */
	return refuse(
	        parser, 400, "the chunks of the body are broken, or have extensions or trailers");
}

static enum http1_outcome feed_body(
        struct http1 *parser, const uint8_t *bytes, size_t count, size_t *ret_used)
{
	llhttp_errno_t error;
	size_t used = count;

	if (count == 0) {
		return HTTP1_MORE;
	}
	error = llhttp_execute(&parser->llhttp, (const char *)bytes, count);
	if (error == HPE_PAUSED && parser->message_complete) {
		used = (size_t)((const uint8_t *)llhttp_get_error_pos(&parser->llhttp) - bytes);
	} else if (error != HPE_OK) {
		return body_refused(parser);
	}
	*ret_used += used;
	if (parser->chunked) {
		keep_tail(parser, bytes, used);
	}
	if (!parser->message_complete) {
		return HTTP1_MORE;
	}
	/* llhttp takes a bare line feed for the very last line of a chunked body. */
	if (parser->chunked && memcmp(parser->tail, "\r\n\r\n", 4) != 0) {
		return refuse(parser, 400, "the chunked body ends in a bare line feed");
	}
	parser->stage = STAGE_DONE;
	return HTTP1_DONE;
}

static enum http1_outcome done(struct http1 *parser)
{
	parser->message.body = parser->body.count > 0 ? parser->body.bytes : NULL;
	parser->message.body_bytes = parser->body.count;
	return HTTP1_DONE;
}

enum http1_outcome http1_feed(
        struct http1 *parser, const uint8_t *bytes, size_t count, size_t *ret_used)
{
	*ret_used = 0;
	switch (parser->stage) {
	case STAGE_HEAD:
		return feed_head(parser, bytes, count, ret_used);
	case STAGE_BODY: {
		enum http1_outcome outcome = feed_body(parser, bytes, count, ret_used);

		return outcome == HTTP1_DONE ? done(parser) : outcome;
	}
	case STAGE_DONE:
		return done(parser);
	case STAGE_REFUSED:
		break;
	}
	return HTTP1_REFUSED;
}

enum http1_outcome http1_end(struct http1 *parser)
{
	if (parser->stage == STAGE_REFUSED) {
		return HTTP1_REFUSED;
	}
	if (parser->stage == STAGE_DONE) {
		return done(parser);
	}
	if (!http1_begun(parser)) {
		return HTTP1_MORE;
	}
	if (parser->stage == STAGE_BODY) {
		llhttp_errno_t error = llhttp_finish(&parser->llhttp);

		if ((error == HPE_OK || error == HPE_PAUSED) && parser->message_complete) {
			parser->stage = STAGE_DONE;
			return done(parser);
		}
	}
	return refuse(parser, 400, "the message was cut short");
}

const char *http1_field(const struct http1_message *message, const char *name)
{
	for (size_t i = 0; i < message->field_count; i++) {
		if (strcasecmp(message->fields[i].name, name) == 0) {
			return message->fields[i].value;
		}
	}
	return NULL;
}

const char *http1_query(const struct http1_message *message, const char *name)
{
	for (size_t i = 0; i < message->query_count; i++) {
		if (strcmp(message->query[i].name, name) == 0) {
			return message->query[i].value;
		}
	}
	return NULL;
}

bool http1_value_valid(const char *text)
{
	size_t count = strlen(text);

	return class_run((const uint8_t *)text, count, VALUE) == count;
}

bool http1_target_valid(const char *text)
{
	size_t count = strlen(text);

	return text[0] == '/' && count <= HTTP_TARGET_BYTES_MAX &&
	       class_run((const uint8_t *)text, count, TARGET) == count;
}
