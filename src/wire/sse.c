#include "wire/sse.h"

#include <string.h>

#include "base/str.h"

struct sse {
	sse_handler *handler;
	void *context;
	struct buf line, data, name, last_id;
	bool after_cr; /* the line feed of a CR LF may still come */
	bool first_line_done;
	bool has_data;
	int ended;
};

struct sse *sse_new(size_t event_bytes_max, sse_handler *handler, void *context)
{
	struct sse *sse = mem_new(1, sizeof(*sse));

	*sse = (struct sse){ .handler = handler,
		.context = context,
		.line = BUF(event_bytes_max),
		.data = BUF(event_bytes_max),
		.name = BUF(event_bytes_max),
		.last_id = BUF(event_bytes_max) };
	return sse;
}

struct sse *sse_free(struct sse *sse)
{
	if (sse) {
		buf_clear(&sse->line);
		buf_clear(&sse->data);
		buf_clear(&sse->name);
		buf_clear(&sse->last_id);
		free(sse);
	}
	return NULL;
}

static int tell(struct sse *sse, const char *name, const char *data, size_t data_bytes)
{
	struct sse_event event = { .name = name,
		.data = data,
		.data_bytes = data_bytes,
		.last_id = buf_text(&sse->last_id) };

	return sse->handler(sse->context, &event) == 0 ? 0 : 2;
}

static int dispatch(struct sse *sse)
{
	int r = 0;

	if (sse->has_data) {
		r = tell(sse, sse->name.count > 0 ? buf_text(&sse->name) : "message",
		        buf_text(&sse->data), sse->data.count);
	}
	buf_reset(&sse->data);
	buf_reset(&sse->name);
	sse->has_data = false;
	return r;
}

static bool field_is(const struct sse *sse, size_t count, const char *name)
{
	return strlen(name) == count && memcmp(sse->line.bytes, name, count) == 0;
}

static int take_field(struct sse *sse)
{
	const char *text = buf_text(&sse->line);
	const char *colon = memchr(text, ':', sse->line.count);
	size_t name = colon ? (size_t)(colon - text) : sse->line.count;
	size_t value = colon ? name + 1 : name;

	value += value < sse->line.count && text[value] == ' ';
	if (name == 0) {
		return tell(sse, NULL, text + value, sse->line.count - value);
	}
	if (field_is(sse, name, "data")) {
		if (sse->has_data) {
			buf_add_u8(&sse->data, '\n');
		}
		buf_add(&sse->data, text + value, sse->line.count - value);
		sse->has_data = true;
	} else if (field_is(sse, name, "event")) {
		buf_reset(&sse->name);
		buf_add(&sse->name, text + value, sse->line.count - value);
	} else if (field_is(sse, name, "id") &&
	           !memchr(text + value, '\0', sse->line.count - value)) {
		buf_reset(&sse->last_id);
		buf_add(&sse->last_id, text + value, sse->line.count - value);
	}
	return sse->data.overflowed ? 1 : 0;
}

static int take_line(struct sse *sse)
{
	int r;

	if (!sse->first_line_done && sse->line.count >= 3 &&
	        memcmp(sse->line.bytes, "\xef\xbb\xbf", 3) == 0) {
		buf_drop(&sse->line, 3);
	}
	sse->first_line_done = true;
	r = sse->line.count == 0 ? dispatch(sse) : take_field(sse);
	buf_reset(&sse->line);
	return r;
}

int sse_feed(struct sse *sse, const uint8_t *bytes, size_t count)
{
	size_t at = 0;

	while (sse->ended == 0 && at < count) {
		const uint8_t *from = bytes + at, *feed, *carriage;
		size_t piece;

		if (sse->after_cr && *from == '\n') {
			sse->after_cr = false;
			at++;
			continue;
		}
		sse->after_cr = false;
		feed = memchr(from, '\n', count - at);
		piece = feed ? (size_t)(feed - from) : count - at;
		carriage = memchr(from, '\r', piece);
		if (carriage) {
			piece = (size_t)(carriage - from);
		}
		buf_add(&sse->line, from, piece);
		at += piece;
		if (sse->line.overflowed) {
			sse->ended = 1;
		} else if (carriage || feed) {
			sse->after_cr = carriage != NULL;
			at++;
			sse->ended = take_line(sse);
		}
	}
	return sse->ended;
}

void sse_print(
        struct buf *out, const char *name, const char *id, const char *data, size_t data_bytes)
{
	size_t at = 0;

	if (name) {
		buf_add_format(out, "event: %s\n", name);
	}
	if (id) {
		buf_add_format(out, "id: %s\n", id);
	}
	for (;;) {
		size_t line = at;

		while (line < data_bytes && data[line] != '\n' && data[line] != '\r') {
			line++;
		}
		buf_add_text(out, "data: ");
		buf_add(out, data + at, line - at);
		buf_add_u8(out, '\n');
		if (line == data_bytes) {
			break;
		}
		at = line + 1;
		if (data[line] == '\r' && at < data_bytes && data[at] == '\n') {
			at++;
		}
	}
	buf_add_u8(out, '\n');
}

void sse_print_comment(struct buf *out, const char *text)
{
	buf_add_format(out, ": %s\n\n", text);
}
