#include "center/message.h"

#include <string.h>

#include "base/str.h"

const char *listener_name(enum listener listener)
{
	static const char *const names[LISTENER_COUNT] = { "device", "enrol", "operator", "public",
		"metrics" };

	return listener < LISTENER_COUNT ? names[listener] : "";
}

static void add_text(struct buf *out, const char *text)
{
	text = text ? text : "";
	buf_add_block(out, text, strlen(text) + 1);
}

/* A text that ends where its block ends, or "" (and a broken cursor). */
static const char *take_text(struct cursor *cursor)
{
	size_t count = 0;
	const uint8_t *bytes = cursor_block(cursor, &count);

	if (!bytes || count == 0 || memchr(bytes, '\0', count) != bytes + count - 1) {
		cursor->broken = true;
		return "";
	}
	return (const char *)bytes;
}

void request_pack(const struct request *request, struct buf *out)
{
	buf_add_u8(out, (uint8_t)request->listener);
	add_text(out, request->method);
	add_text(out, request->path);
	buf_add_u8(out, (uint8_t)request->query_count);
	for (size_t i = 0; i < request->query_count; i++) {
		add_text(out, request->query[i].name);
		add_text(out, request->query[i].value);
	}
	add_text(out, request->authorization);
	add_text(out, request->content_type);
	add_text(out, request->device_information);
	add_text(out, request->peer_address);
	buf_add_u16(out, request->peer_port);
	buf_add_u8(out, (uint8_t)request->chain_count);
	for (size_t i = 0; i < request->chain_count; i++) {
		buf_add_block(out, request->chain[i].der, request->chain[i].bytes);
	}
	buf_add_block(out, request->body, request->body_bytes);
}

int request_unpack(const uint8_t *bytes, size_t count, struct request *ret_request)
{
	struct cursor cursor = CURSOR(bytes, count);
	struct request request = { 0 };

	request.listener = (enum listener)cursor_u8(&cursor);
	request.method = take_text(&cursor);
	request.path = take_text(&cursor);
	request.query_count = cursor_u8(&cursor);
	if (request.listener >= LISTENER_COUNT || request.query_count > HTTP_QUERY_COUNT_MAX) {
		return 1;
	}
	for (size_t i = 0; i < request.query_count; i++) {
		request.query[i].name = take_text(&cursor);
		request.query[i].value = take_text(&cursor);
	}
	request.authorization = take_text(&cursor);
	request.content_type = take_text(&cursor);
	request.device_information = take_text(&cursor);
	request.peer_address = take_text(&cursor);
	request.peer_port = cursor_u16(&cursor);
	request.chain_count = cursor_u8(&cursor);
	if (request.chain_count > CERT_CHAIN_COUNT_MAX) {
		return 1;
	}
	for (size_t i = 0; i < request.chain_count; i++) {
		request.chain[i].der = cursor_block(&cursor, &request.chain[i].bytes);
	}
	request.body = cursor_block(&cursor, &request.body_bytes);
	if (!cursor_done(&cursor)) {
		return 1;
	}
	*ret_request = request;
	return 0;
}

const char *request_query(const struct request *request, const char *name)
{
	for (size_t i = 0; i < request->query_count; i++) {
		if (text_equal(request->query[i].name, name)) {
			return request->query[i].value;
		}
	}
	return NULL;
}

void answer_pack(const struct answer *answer, struct buf *out)
{
	buf_add_u16(out, answer->status);
	add_text(out, answer->content_type);
	buf_add_u8(out, (uint8_t)answer->field_count);
	for (size_t i = 0; i < answer->field_count; i++) {
		add_text(out, answer->fields[i].name);
		add_text(out, answer->fields[i].value);
	}
	buf_add_block(out, answer->body, answer->body_bytes);
}

int answer_unpack(const uint8_t *bytes, size_t count, struct answer *ret_answer)
{
	struct cursor cursor = CURSOR(bytes, count);
	struct answer answer = { 0 };

	answer.status = cursor_u16(&cursor);
	answer.content_type = take_text(&cursor);
	answer.field_count = cursor_u8(&cursor);
	if (answer.field_count > ANSWER_FIELDS_MAX) {
		return 1;
	}
	for (size_t i = 0; i < answer.field_count; i++) {
		answer.fields[i].name = take_text(&cursor);
		answer.fields[i].value = take_text(&cursor);
	}
	answer.body = cursor_block(&cursor, &answer.body_bytes);
	if (!cursor_done(&cursor) || answer.status < 200 || answer.status > 599) {
		return 1;
	}
	*ret_answer = answer;
	return 0;
}
