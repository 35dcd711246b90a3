/*
 * Front: the center's only process with a network. It ends TLS, reads HTTP, and hands every whole
 * request to core; it knows no rule and keeps no state but who waits for what.
 *
 * May touch: its listening sockets and what comes from them, its channel to core, the token with
 * the server key. May not: open other sockets, the database, the keys of any CA, start programs.
 *
 * A front that is taken over can lie to core about requests, so core trusts none of its words but
 * the certificate chain of a peer, which it verifies itself; a taken front could replay a chain it
 * saw, which is why what a gateway may do is only ever about itself (A38).
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <signal.h>

#include "audit/hash.h"
#include "base/clock.h"
#include "base/log.h"
#include "center/front_tls.h"
#include "center/message.h"
#include "center/process.h"
#include "center/refusals.h"
#include "loop/channel.h"
#include "loop/http_server.h"
#include "wire/sse.h"

#define SLOT_BITS 20
#define SLOT_COUNT_MAX (1U << SLOT_BITS)
#define HEARTBEAT_MSEC 10000 /* protocol.md 3, hello */

/* One exchange or stream that core may speak of. */
struct slot {
	struct front *front;
	uint32_t tag; /* generation and number; 0 while free */
	uint32_t generation;
	struct http_exchange *exchange;
	struct http_stream *stream;
	struct buf body; /* parts of an answer that is not whole yet */
	struct slot *next_free;
};

struct front {
	const struct process_arguments *arguments;
	struct center_config config;
	struct loop *loop;
	struct channel *core;
	struct http_server *server;
	struct http_listener *listeners[LISTENER_COUNT];
	struct front_tls *tls;
	struct loop_timer *heartbeat;
	struct refusals *refusals;
	struct slot **slots;
	size_t slot_count, slot_room;
	struct slot *free_slots;
};

static struct slot *slot_new(struct front *front)
{
	struct slot *slot = front->free_slots;

	if (slot) {
		front->free_slots = slot->next_free;
	} else {
		if (front->slot_count + 1 >= SLOT_COUNT_MAX) {
			return NULL;
		}
		if (front->slot_count == front->slot_room) {
			front->slot_room = front->slot_room ? 2 * front->slot_room : 64;
			front->slots =
			        mem_resize(front->slots, front->slot_room, sizeof(struct slot *));
		}
		slot = mem_new(1, sizeof(*slot));
		slot->front = front;
		slot->tag = (uint32_t)front->slot_count;
		front->slots[front->slot_count++] = slot;
	}
	slot->generation = (slot->generation + 1) & ((1U << (32 - SLOT_BITS)) - 1);
	slot->tag = (slot->tag & (SLOT_COUNT_MAX - 1)) | slot->generation << SLOT_BITS;
	slot->body = BUF(HTTP_RESPONSE_BODY_BYTES_MAX);
	return slot;
}

static void slot_give_up(struct slot *slot)
{
	slot->exchange = NULL;
	slot->stream = NULL;
	buf_clear(&slot->body);
	slot->next_free = slot->front->free_slots;
	slot->front->free_slots = slot;
}

/* NULL when the peer left before core knew. */
static struct slot *slot_find(struct front *front, uint32_t tag)
{
	uint32_t number = tag & (SLOT_COUNT_MAX - 1);
	struct slot *slot = number < front->slot_count ? front->slots[number] : NULL;

	return slot && slot->tag == tag && (slot->exchange || slot->stream) ? slot : NULL;
}

static void tell_core(
        struct front *front, enum message_type type, uint32_t tag, const struct buf *payload)
{
	if (channel_send(front->core, type, tag, payload ? payload->bytes : NULL,
	            payload ? payload->count : 0) != 0) {
		log_error("core takes no more messages");
		loop_stop(front->loop, 1);
	}
}

static void on_gone(void *context)
{
	struct slot *slot = context;

	tell_core(slot->front, MESSAGE_GONE, slot->tag, NULL);
	slot_give_up(slot);
}

static const char *field(const struct http1_message *message, const char *name)
{
	const char *value = http1_field(message, name);

	return value ? value : "";
}

static void on_request(
        void *context, struct http_exchange *exchange, const struct http_request *http)
{
	struct front *front = context;
	const struct http1_message *message = http->message;
	AUTO_BUF struct buf payload = BUF(MESSAGE_BYTES_MAX - 16);
	struct request request = { .listener = (enum listener)http->tag,
		.method = message->method,
		.path = message->path,
		.query_count = message->query_count,
		.authorization = field(message, "Authorization"),
		.content_type = field(message, "Content-Type"),
		.device_information = field(message, "Sekisho-Device-Information"),
		.peer_address = http->peer->address,
		.peer_port = http->peer->port,
		.body = message->body,
		.body_bytes = message->body_bytes };
	struct slot *slot;

	for (size_t i = 0; i < message->query_count; i++) {
		request.query[i] =
		        (struct request_field){ message->query[i].name, message->query[i].value };
	}
	for (size_t i = 0; http->chain && i < http->chain->count && i < CERT_CHAIN_COUNT_MAX; i++) {
		request.chain[request.chain_count++] =
		        (struct request_certificate){ http->chain->certificates[i].der,
			        http->chain->certificates[i].bytes };
	}
	if (request.chain_count > 0 && !http_connection_context(http->connection)) {
		struct hash leaf = hash_of(request.chain[0].der, request.chain[0].bytes);

		http_connection_set_context(http->connection, mem_copy(&leaf, sizeof(leaf)), free);
	}
	request_pack(&request, &payload);
	slot = payload.overflowed ? NULL : slot_new(front);
	if (!slot) {
		http_reply_problem(
		        exchange, 503, NULL, NULL, "the center has too much to do: ask again");
		return;
	}
	slot->exchange = exchange;
	http_exchange_on_gone(exchange, on_gone, slot);
	tell_core(front, MESSAGE_REQUEST, slot->tag, &payload);
}

static int take_answer(struct slot *slot, const uint8_t *bytes, size_t count)
{
	struct http_reply reply = { 0 };
	struct answer answer;

	if (answer_unpack(bytes, count, &answer) != 0) {
		return 1;
	}
	buf_add(&slot->body, answer.body, answer.body_bytes);
	reply.status = answer.status;
	reply.content_type = *answer.content_type ? answer.content_type : NULL;
	for (size_t i = 0; i < answer.field_count; i++) {
		reply.fields[i] =
		        (struct http1_field){ answer.fields[i].name, answer.fields[i].value };
	}
	reply.body = slot->body.bytes;
	reply.body_bytes = slot->body.count;
	http_reply(slot->exchange, &reply);
	slot_give_up(slot);
	return 0;
}

static void send_event(struct slot *slot, const uint8_t *bytes, size_t count)
{
	if (http_stream_send(slot->stream, bytes, count) != 0) {
		on_gone(slot);
	}
}

static void broadcast(struct front *front, const uint8_t *bytes, size_t count)
{
	for (size_t i = 0; i < front->slot_count; i++) {
		if (front->slots[i]->stream) {
			send_event(front->slots[i], bytes, count);
		}
	}
}

static void drop_certificate(void *context, struct http_connection *connection)
{
	const struct hash *leaf = http_connection_context(connection);

	if (leaf && hash_equal(leaf, context)) {
		http_connection_close(connection);
	}
}

static int take_for_slot(struct slot *slot, uint16_t type, const uint8_t *payload, size_t count)
{
	switch (type) {
	case MESSAGE_PART:
		buf_add(&slot->body, payload, count);
		return slot->exchange ? 0 : 1;
	case MESSAGE_ANSWER:
		return slot->exchange ? take_answer(slot, payload, count) : 1;
	case MESSAGE_STREAM:
		if (!slot->exchange) {
			return 1;
		}
		slot->stream =
		        http_stream_start(slot->exchange, "text/event-stream", on_gone, slot);
		slot->exchange = NULL;
		if (!slot->stream) {
			on_gone(slot);
		}
		return 0;
	case MESSAGE_EVENT:
		if (!slot->stream) {
			return 1;
		}
		send_event(slot, payload, count);
		return 0;
	case MESSAGE_END:
		if (!slot->stream) {
			return 1;
		}
		http_stream_close(slot->stream);
		slot_give_up(slot);
		return 0;
	}
	return 1;
}

static int on_core(
        void *context, uint16_t type, uint32_t tag, const uint8_t *payload, size_t payload_bytes)
{
	struct front *front = context;
	struct slot *slot;

	if (type == MESSAGE_BROADCAST) {
		broadcast(front, payload, payload_bytes);
		return 0;
	}
	if (type == MESSAGE_DROP) {
		struct hash leaf;

		if (payload_bytes != sizeof(leaf)) {
			return 1;
		}
		memcpy(&leaf, payload, sizeof(leaf));
		http_server_each(front->server, drop_certificate, &leaf);
		return 0;
	}
	slot = slot_find(front, tag);
	return slot ? take_for_slot(slot, type, payload, payload_bytes) : 0;
}

static void on_core_closed(void *context)
{
	struct front *front = context;

	log_error("core is gone");
	loop_stop(front->loop, 1);
}

static void pack_refusal(
        struct buf *out, int listener, const char *address, const char *text, uint64_t count)
{
	buf_add_u8(out, (uint8_t)listener);
	buf_add_u64(out, count);
	buf_add_block(out, address, strlen(address) + 1);
	buf_add_block(out, text, strlen(text) + 1);
}

/* A flood of bad handshakes must not become a flood of messages, so the counting starts here. */
static void on_refused(void *context, int tag, const struct socket_text *peer, const char *text)
{
	struct front *front = context;
	AUTO_BUF struct buf payload = BUF(1024);

	if (refusals_count(front->refusals, peer->address, clock_monotonic_usec())) {
		pack_refusal(&payload, tag, peer->address, text, 0);
		tell_core(front, MESSAGE_REFUSED, 0, &payload);
	}
}

static void flush_refusal(void *context, const char *source, uint64_t count)
{
	AUTO_BUF struct buf payload = BUF(1024);

	pack_refusal(&payload, LISTENER_COUNT - 1, source, "further handshakes", count);
	tell_core(context, MESSAGE_REFUSED, 0, &payload);
}

static void on_heartbeat(void *context)
{
	struct front *front = context;
	AUTO_BUF struct buf beat = BUF(64);

	sse_print_comment(&beat, "");
	broadcast(front, beat.bytes, beat.count);
	refusals_flush(front->refusals, clock_monotonic_usec(), false, flush_refusal, front);
	loop_timer_set(front->heartbeat, HEARTBEAT_MSEC);
}

static int make_context(struct front *front, enum listener listener, SSL_CTX **ret, struct err *err)
{
	static const struct tls_policy policies[LISTENER_COUNT] = {
		[LISTENER_DEVICE] = { .peer = TLS_PEER_REQUIRED },
		[LISTENER_ENROL] = { .peer = TLS_PEER_OPTIONAL, .version_12 = true },
		[LISTENER_OPERATOR] = { .peer = TLS_PEER_OPTIONAL },
	};
	int r = front_tls_context(front->tls, listener, ret, err);

	return r == 0 ? tls_policy_apply(*ret, &policies[listener], err) : r;
}

static int listen_one(
        struct front *front, enum listener listener, const char *text, struct err *err)
{
	struct http_listener_options options = { .fd = -1, .tag = (int)listener };
	char address[64];
	int r;

	if (center_config_address(text, address, sizeof(address), &options.port) != 0) {
		return err_set(err, 1, "\"%s\" is not ADDRESS:PORT", text);
	}
	options.address = address;
	options.version_10 = listener == LISTENER_PUBLIC || listener == LISTENER_METRICS;
	if (listener == LISTENER_DEVICE || listener == LISTENER_ENROL) {
		options.connections_per_peer_max = HTTP_GATEWAY_CONNECTIONS_PER_PEER_MAX;
	}
	if (listener <= LISTENER_OPERATOR) {
		r = make_context(front, listener, &options.tls, err);
		if (r != 0) {
			return r;
		}
	}
	r = http_server_listen(front->server, &options, &front->listeners[listener], err);
	front_tls_context_free(options.tls);
	return r;
}

static int listen_all(struct front *front, struct err *err)
{
	const char *const addresses[LISTENER_COUNT] = { front->config.listen_device,
		front->config.listen_enrol, front->config.listen_operator,
		front->config.listen_public, front->config.listen_metrics };
	int r = http_server_new(front->loop, on_request, front, &front->server);

	if (r == 0) {
		http_server_on_refused(front->server, on_refused);
	}
	for (size_t i = 0; r == 0 && i < LISTENER_COUNT; i++) {
		r = listen_one(front, (enum listener)i, addresses[i], err);
		if (r != 0) {
			err_wrap(err, r, "listener %s", listener_name((enum listener)i));
		}
	}
	return r;
}

/* New connections get the new certificates; streams stay on the old ones. */
static void on_reload(void *context, int signal)
{
	struct front *front = context;
	struct center_config config = { 0 };
	struct err err = { 0 };
	SSL_CTX *contexts[LISTENER_COUNT] = { 0 };
	int r;

	if (process_configure(front->arguments, "front", &config) != 0) {
		log_error("the old configuration stays");
		return;
	}
	r = front_tls_reload(front->tls, &config, &err);
	for (size_t i = 0; r == 0 && i <= LISTENER_OPERATOR; i++) {
		r = make_context(front, (enum listener)i, &contexts[i], &err);
	}
	for (size_t i = 0; i <= LISTENER_OPERATOR; i++) {
		if (r == 0) {
			http_server_swap_tls(front->listeners[i], contexts[i]);
		}
		front_tls_context_free(contexts[i]);
	}
	if (r != 0) {
		log_error("the old certificates stay: %s", err.text);
	} else {
		log_info("new certificates are in use");
	}
	center_config_clear(&config);
}

static void on_stop(void *context, int signal)
{
	loop_stop(((struct front *)context)->loop, 0);
}

static int enter_sandbox(struct front *front, struct err *err)
{
	static const char *const *const calls[] = { sandbox_calls_base, sandbox_calls_files,
		sandbox_calls_sockets, NULL };

	return sandbox_enter(
	        &(struct sandbox){ .calls = calls,
	                .paths = process_paths(front->arguments, &front->config, true, false) },
	        err);
}

static int start(struct front *front, struct err *err)
{
	int r = front_tls_open(&front->config, &front->tls, err);

	if (r == 0) {
		r = loop_new(&front->loop);
	}
	if (r == 0) {
		r = listen_all(front, err);
	}
	if (r == 0) {
		r = channel_new(front->loop, PROCESS_CHANNEL_FD, on_core, on_core_closed, front,
		        &front->core);
	}
	if (r == 0) {
		r = loop_signal(front->loop, SIGHUP, on_reload, front);
	}
	if (r == 0) {
		r = loop_signal(front->loop, SIGTERM, on_stop, front);
	}
	if (r == 0) {
		r = enter_sandbox(front, err);
	}
	return r;
}

int front_main(const struct process_arguments *arguments)
{
	/* Static, as it lives as long as the process: at the end only what is lost leaks. */
	static struct front front;
	struct err err = { 0 };
	int r;

	front.arguments = arguments;
	if (sandbox_prepare(&err) < 0 ||
	        process_configure(arguments, "front", &front.config) != 0) {
		return 1;
	}
	front.refusals = refusals_new();
	r = start(&front, &err);
	if (r != 0) {
		log_error("front cannot start: %s",
		        *err.text ? err.text : strerror(r < 0 ? -r : EINVAL));
		return 1;
	}
	front.heartbeat = loop_timer_new(front.loop, on_heartbeat, &front);
	loop_timer_set(front.heartbeat, HEARTBEAT_MSEC);
	log_info("front %u serves", arguments->index);
	return loop_run(front.loop);
}
