#include "center/exchange.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "center/ledger.h"
#include "center/live.h"
#include "policy/explain.h"
#include "center/routes.h"

static void send_answer(struct exchange *exchange, struct answer *answer)
{
	AUTO_BUF struct buf frame = BUF(MESSAGE_BYTES_MAX - 16);

	assert_always(!exchange->answered);
	exchange->answered = true;
	while (answer->body_bytes > ANSWER_BODY_BYTES_MAX) {
		core_send(exchange->center, exchange->front, MESSAGE_PART, exchange->tag,
		        answer->body, ANSWER_BODY_BYTES_MAX);
		answer->body += ANSWER_BODY_BYTES_MAX;
		answer->body_bytes -= ANSWER_BODY_BYTES_MAX;
	}
	answer_pack(answer, &frame);
	core_send(exchange->center, exchange->front, MESSAGE_ANSWER, exchange->tag, frame.bytes,
	        frame.count);
}

void answer_bytes(
        struct exchange *exchange, int status, const char *type, const void *bytes, size_t count)
{
	struct answer answer = {
		.status = (uint16_t)status, .content_type = type, .body = bytes, .body_bytes = count
	};

	send_answer(exchange, &answer);
}

void answer_base64(struct exchange *exchange, const char *type, const void *bytes, size_t count)
{
	AUTO_BUF struct buf line = BUF(ANSWER_BODY_BYTES_MAX);
	struct answer answer = { .status = 200, .content_type = type, .field_count = 1 };

	for (size_t i = 0; i < count; i++) {
		uint8_t byte = ((const uint8_t *)bytes)[i];

		if (byte != '\r' && byte != '\n') {
			buf_add_u8(&line, byte);
		}
	}
	answer.body = line.bytes;
	answer.body_bytes = line.count;
	answer.fields[0] = (struct request_field){ "Content-Transfer-Encoding", "base64" };
	send_answer(exchange, &answer);
}

static void answer_json_as(struct exchange *exchange, int status, const char *type, json_t *body)
{
	AUTO_BUF struct buf text = BUF(HTTP_RESPONSE_BODY_BYTES_MAX);

	json_print(body, &text);
	json_decref(body);
	assert_always(!text.overflowed);
	answer_bytes(exchange, status, type, text.bytes, text.count);
}

void answer_json(struct exchange *exchange, int status, json_t *body)
{
	answer_json_as(exchange, status, "application/json", body);
}

void answer_leaf(struct exchange *exchange, int status, uint64_t leaf, json_t *body)
{
	if (!body) {
		body = json_object();
	}
	json_object_set_new(body, "leaf", json_integer((json_int_t)leaf));
	answer_json(exchange, status, body);
}

void answer_later(struct exchange *exchange, unsigned retry_sec)
{
	AUTO_STRING char *seconds = mem_format("%u", retry_sec);
	struct answer answer = { .status = 202, .field_count = 1 };

	answer.fields[0] = (struct request_field){ "Retry-After", seconds };
	send_answer(exchange, &answer);
}

static const char *source_of(const struct exchange *exchange)
{
	if (*exchange->operator_name) {
		return exchange->operator_name;
	}
	return exchange->gateway ? exchange->gateway->name : exchange->request->peer_address;
}

static void record_refusal(struct exchange *exchange, int status, const char *text)
{
	struct center *center = exchange->center;
	struct record *record;

	center->counts.refusals++;
	if (!refusals_count(center->refusals, source_of(exchange), clock_monotonic_usec())) {
		return;
	}
	record = ledger_record(center,
	        exchange->route && exchange->route->refused ? exchange->route->refused
	                                                    : "request.refused",
	        NULL);
	record_text(record, "listener", listener_name(exchange->request->listener));
	record_text(record, "method", exchange->request->method);
	record_text(record, "path", exchange->request->path);
	record_text(record, "address", exchange->request->peer_address);
	record_number(record, "port", exchange->request->peer_port);
	record_number(record, "status", status);
	record_text(record, "reason", text);
	ledger_append(center, record);
}

static json_t *problem(int status, const char *detail)
{
	static const struct {
		int status;
		const char *title;
	} titles[] = { { 400, "Bad request" }, { 401, "Not known" }, { 403, "Not permitted" },
		{ 404, "Not found" }, { 405, "Not such a method" }, { 409, "Conflict" },
		{ 413, "Too large" }, { 415, "Not such a content" }, { 429, "Too many" },
		{ 500, "Failed" }, { 503, "Not able now" } };
	const char *title = "Refused";

	for (size_t i = 0; i < ARRAY_COUNT(titles); i++) {
		if (titles[i].status == status) {
			title = titles[i].title;
		}
	}
	return json_pack("{ss ss si ss}", "type", "about:blank", "title", title, "status", status,
	        "detail", detail);
}

void answer_problem(struct exchange *exchange, int status, const char *format, ...)
{
	char detail[ERR_TEXT_BYTES_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(detail, sizeof(detail), format, args);
	va_end(args);
	if (status >= 400 && status < 500) {
		record_refusal(exchange, status, detail);
	}
	answer_json_as(exchange, status, "application/problem+json", problem(status, detail));
}

void answer_problem_with(struct exchange *exchange, int status, const char *key, json_t *value,
        const char *format, ...)
{
	char detail[ERR_TEXT_BYTES_MAX];
	json_t *body;
	va_list args;

	va_start(args, format);
	vsnprintf(detail, sizeof(detail), format, args);
	va_end(args);
	if (status >= 400 && status < 500) {
		record_refusal(exchange, status, detail);
	}
	body = problem(status, detail);
	json_object_set_new(body, key, value);
	answer_json_as(exchange, status, "application/problem+json", body);
}

void answer_denied(struct exchange *exchange, const struct decision *decision,
        const struct policy_request *request)
{
	AUTO_BUF struct buf detail = BUF(ERR_TEXT_BYTES_MAX);
	enum policy_layer denied_by = decision_denied_by(decision);
	json_t *body;

	buf_add_text(&detail, "the connection is not permitted");
	if (denied_by < LAYER_COUNT) {
		buf_add_text(&detail, ": ");
		policy_reason_print(decision, denied_by, request, LANGUAGE_ENGLISH, &detail);
	}
	body = problem(403, buf_text(&detail));
	json_object_set_new(body, "layers", live_layers(decision, request));
	answer_json_as(exchange, 403, "application/problem+json", body);
}

void answer_stream(struct exchange *exchange)
{
	assert_always(!exchange->answered);
	exchange->answered = true;
	core_send(exchange->center, exchange->front, MESSAGE_STREAM, exchange->tag, NULL, 0);
}

int exchange_body(struct exchange *exchange, const struct json_field *fields, void *target)
{
	struct err err = { 0 };
	int r = json_read(
	        exchange->request->body, exchange->request->body_bytes, fields, target, NULL, &err);

	if (r != 0) {
		answer_problem(exchange, 400, "%s", err.text);
		return 1;
	}
	return 0;
}

int exchange_text(struct exchange *exchange, const char **ret_text, size_t *ret_count)
{
	const char *text = (const char *)exchange->request->body;
	size_t count = exchange->request->body_bytes;

	while (count > 0 && isspace((unsigned char)text[count - 1])) {
		count--;
	}
	while (count > 0 && isspace((unsigned char)*text)) {
		text++;
		count--;
	}
	if (count == 0 || count > JWS_BYTES_MAX) {
		answer_problem(exchange, 400, "the body must be one compact JWS");
		return 1;
	}
	*ret_text = text;
	*ret_count = count;
	return 0;
}

int exchange_number(struct exchange *exchange, const char *name, uint64_t initial, uint64_t max,
        uint64_t *ret_number)
{
	const char *text = request_query(exchange->request, name);

	*ret_number = initial;
	if (text && unsigned_parse(text, max, ret_number) != 0) {
		answer_problem(exchange, 400, "%s: must be a whole number from 0 to %llu", name,
		        (unsigned long long)max);
		return 1;
	}
	return 0;
}

int list_begin(struct exchange *exchange, struct list *ret_list)
{
	const char *after = request_query(exchange->request, "after");
	uint64_t limit;

	if (exchange_number(exchange, "limit", LIST_LIMIT_DEFAULT, LIST_LIMIT_MAX, &limit) != 0) {
		return 1;
	}
	*ret_list = (struct list){ .exchange = exchange,
		.after = after ? after : "",
		.limit = limit > 0 ? limit : 1,
		.items = json_array() };
	return 0;
}

void list_add(struct list *list, const char *key, json_t *item)
{
	json_array_append_new(list->items, item);
	snprintf(list->last, sizeof(list->last), "%s", key);
}

void list_end(struct list *list)
{
	json_t *body = json_object();
	bool full = json_array_size(list->items) >= list->limit;

	json_object_set_new(body, "items", list->items);
	json_object_set_new(body, "next", full ? json_string(list->last) : json_null());
	answer_json(list->exchange, 200, body);
}

struct token_text exchange_token_new(uint8_t ret_hash[STORE_HASH_BYTES])
{
	struct token_text token = { "sekisho_" };
	AUTO_BUF struct buf text = BUF(64);
	uint8_t secret[32];
	struct hash hash;

	random_fill(secret, sizeof(secret));
	base64url_add(&text, secret, sizeof(secret));
	snprintf(token.text + strlen(token.text), sizeof(token.text) - strlen(token.text), "%s",
	        buf_text(&text));
	hash = hash_of(token.text, strlen(token.text));
	memcpy(ret_hash, hash.bytes, STORE_HASH_BYTES);
	mem_wipe(secret, sizeof(secret));
	mem_wipe(text.bytes, text.room);
	return token;
}
