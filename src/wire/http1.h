/*
 * HTTP/1.1 messages (RFC 9112): bytes to structs, for both ends. No I/O.
 *
 * llhttp does the parsing. In front of it stand checks of our own that look at every line of the
 * head as it becomes complete, because 8.1.0 lets through what smuggling is made of (attack A21): a
 * space before the colon, folded lines, bare line feeds, repeated Host. What is refused and why
 * does not depend on how the bytes were cut into reads.
 *
 * Refused (status of the answer in brackets):
 *   a line that does not end in CR LF, control bytes, folded lines, field names that are no token,
 *   Content-Length beside Transfer-Encoding, or twice, or not a number; a transfer coding other
 *   than "chunked"; chunk extensions and trailers; Host missing or twice; a singleton field twice;
 *   %00, broken escapes, "." and ".." in the path; the absolute and authority forms of the target
 *   (we are never a proxy); a query parameter given twice [400]; a body too long [413]; a request
 *   line too long [414]; an expectation other than 100-continue [417]; too many or too long header
 *   fields [431]; methods we never serve [501]; versions other than 1.1, and 1.0 where allowed
 * [505].
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/limits.h"
#include "base/mem.h"

enum http1_kind { HTTP1_REQUEST, HTTP1_RESPONSE };

struct http1_limits {
	size_t body_bytes_max;
	bool version_10; /* HTTP/1.0 is understood as well (old OCSP clients speak it) */
};

struct http1_field {
	const char *name, *value; /* as sent, white space around the value removed */
};

/* A parsed message. Every pointer is owned by the parser and valid until http1_free(). */
struct http1_message {
	const char *method; /* request: GET HEAD POST PUT DELETE PATCH OPTIONS */
	const char *target; /* request: as sent */
	const char *path;   /* request: without the query, percent-decoded */
	struct http1_field query[HTTP_QUERY_COUNT_MAX]; /* request: decoded ("+" is a space) */
	size_t query_count;
	int status; /* response */
	int minor_version;
	struct http1_field fields[HTTP_HEADER_COUNT_MAX];
	size_t field_count;
	const uint8_t *body; /* followed by a zero byte; NULL when empty */
	size_t body_bytes;
	bool keep_alive;       /* the sender lets the connection go on */
	bool expects_continue; /* request: wants "100 Continue" before it sends the body */
};

struct http1_refusal {
	int status;
	char detail[160]; /* names the field or the part that is wrong; printable ASCII */
};

struct http1;

struct http1 *http1_new(enum http1_kind kind, const struct http1_limits *limits);
struct http1 *http1_free(struct http1 *parser);
AUTO_DEFINE(http1)

enum http1_outcome {
	HTTP1_DONE = 0,    /* the message is whole */
	HTTP1_MORE = 1,    /* all bytes were used, more are needed */
	HTTP1_HEAD = 2,    /* told once, when the head is complete; feed the rest to go on */
	HTTP1_REFUSED = 3, /* http1_refused() says why; the connection is to be closed */
};

/* Takes bytes of one message. `ret_used` says how many; what is left belongs to the next message
 * (or, after HTTP1_HEAD, to the body). Never a fault. */
enum http1_outcome http1_feed(
        struct http1 *parser, const uint8_t *bytes, size_t count, size_t *ret_used) must_use;

/* The peer closed its side. HTTP1_DONE: that ended a body which lasts until the end of the
 * connection. HTTP1_MORE: nothing of a message had come. HTTP1_REFUSED: it was cut short. */
enum http1_outcome http1_end(struct http1 *parser) must_use;

/* The head's part is valid from HTTP1_HEAD on, the body from HTTP1_DONE on. */
const struct http1_message *http1_message(const struct http1 *parser);
const struct http1_refusal *http1_refused(const struct http1 *parser);

/* True once a byte of a message was taken. */
bool http1_begun(const struct http1 *parser);

/* Before the first byte: this is the answer to a HEAD request and has no body. */
void http1_expect_no_body(struct http1 *parser);

/* After HTTP1_HEAD: hand the body's pieces to `handler` instead of collecting them; no limit then
 * applies to their sum. A handler that returns anything but 0 ends the message as refused. */
typedef int http1_body_handler(void *context, const uint8_t *bytes, size_t count);
void http1_body_to(struct http1 *parser, http1_body_handler *handler, void *context);

/* The value of a header field, by any case; NULL when it is not there. */
const char *http1_field(const struct http1_message *message, const char *name);
/* The value of a query parameter; NULL when it is not there. */
const char *http1_query(const struct http1_message *message, const char *name);

/* The reason phrase of a status (RFC 9110 15), "Unknown" for one that we never send. */
const char *http1_reason(int status);

/* True for text that may stand in a header field we send: no control byte but tab. */
bool http1_value_valid(const char *text);

/* True for text that may be a request target: begins with "/", URI characters only. */
bool http1_target_valid(const char *text);
