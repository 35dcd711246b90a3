/*
 * Server-sent events (WHATWG HTML 9.2, text/event-stream): printing, and parsing bytes as they
 * come.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct sse;

struct sse_event {
	const char *name; /* "message" unless the sender named it; NULL for a comment (heartbeat) */
	const char *data; /* lines joined by \n; zero-terminated; a comment's text for a comment */
	size_t data_bytes;
	const char *last_id; /* the newest id on this stream, "" before the first */
};

/* Pointers are valid for the call. Returning anything but 0 ends the parsing. */
typedef int sse_handler(void *context, const struct sse_event *event);

struct sse *sse_new(size_t event_bytes_max, sse_handler *handler, void *context);
struct sse *sse_free(struct sse *sse);
AUTO_DEFINE(sse)

/* Takes bytes. Outcome 1: an event or line is longer than the maximum; outcome 2: the handler ended
 * it. After an outcome the parser takes nothing more. */
int sse_feed(struct sse *sse, const uint8_t *bytes, size_t count) must_use;

/* Adds one event to `out`. `name` and `id` may be NULL and hold no line ends; `data` may. */
void sse_print(
        struct buf *out, const char *name, const char *id, const char *data, size_t data_bytes);
/* A heartbeat. */
void sse_print_comment(struct buf *out, const char *text);
