/*
 * Server-sent events. Oracles: the same events however the bytes are cut; an event printed again
 * and read back is the same event.
 *
 * Input: one byte of the step, then the bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "wire/sse.h"

#define EVENT_BYTES_MAX 512

static void require(bool condition)
{
	if (!condition) {
		abort();
	}
}

static int collect(void *context, const struct sse_event *event)
{
	struct buf *events = context;

	require(event->data[event->data_bytes] == '\0');
	require(event->data_bytes <= EVENT_BYTES_MAX);
	buf_add_block(
	        events, event->name ? event->name : "", event->name ? strlen(event->name) : 0);
	buf_add_block(events, event->last_id, strlen(event->last_id));
	buf_add_block(events, event->data, event->data_bytes);
	return 0;
}

static int feed(const uint8_t *bytes, size_t count, size_t step, struct buf *events)
{
	AUTO(sse) struct sse *sse = sse_new(EVENT_BYTES_MAX, collect, events);
	int r = 0;

	for (size_t at = 0; at < count && r == 0; at += step) {
		size_t piece = count - at < step ? count - at : step;
		uint8_t *copy = mem_copy(bytes + at, piece);

		r = sse_feed(sse, copy, piece);
		free(copy);
	}
	return r;
}

/* `events` as collected, printed and read again. */
static void check_print(const struct buf *events)
{
	struct cursor cursor = CURSOR(events->bytes, events->count);

	while (cursor_left(&cursor) > 0) {
		AUTO_BUF struct buf text = BUF(1 << 20);
		AUTO_BUF struct buf again = BUF(1 << 20);
		size_t name_bytes, id_bytes, data_bytes, at = cursor.at;
		const char *name = (const char *)cursor_block(&cursor, &name_bytes);
		const char *id = (const char *)cursor_block(&cursor, &id_bytes);
		const char *data = (const char *)cursor_block(&cursor, &data_bytes);
		AUTO_STRING char *name_text = mem_format("%.*s", (int)name_bytes, name);
		AUTO_STRING char *id_text = mem_format("%.*s", (int)id_bytes, id);

		if (name_bytes == 0) {
			continue; /* a comment */
		}
		sse_print(&text, name_text, id_text, data, data_bytes);
		if (feed(text.bytes, text.count, text.count, &again) == 0) {
			require(again.count == cursor.at - at);
			require(memcmp(again.bytes, events->bytes + at, again.count) == 0);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_BUF struct buf whole = BUF(1 << 20);
	AUTO_BUF struct buf cut = BUF(1 << 20);
	int r;

	if (size < 2 || size > 4096) {
		return 0;
	}
	r = feed(data + 1, size - 1, size - 1, &whole);
	require(feed(data + 1, size - 1, data[0] % 16 + 1U, &cut) == r);
	require(whole.count == cut.count);
	require(whole.count == 0 || memcmp(whole.bytes, cut.bytes, whole.count) == 0);
	check_print(&whole);
	return 0;
}
