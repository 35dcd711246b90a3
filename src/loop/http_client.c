/*
 *  IDLE ─▶ RESOLVING ─▶ CONNECTING ─▶ HANDSHAKE ─▶ BUSY ─▶ READY ─▶ BUSY …
 *                            └─ next address ◀┘       └─▶ STREAM
 *
 * Every entry from the loop goes through enter() and leave(): a handler may free the client, and
 * the memory then lives until the outermost leave().
 */
#include "loop/http_client.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/queue.h>

#include "base/clock.h"
#include "base/str.h"
#include "loop/resolve.h"

#define KEEPALIVE_IDLE_SEC 4
#define READ_BYTES (16 << 10)
#define READS_PER_EVENT 64

enum state { IDLE, RESOLVING, CONNECTING, HANDSHAKE, BUSY, READY, STREAM };

struct request {
	TAILQ_ENTRY(request) entry;
	struct buf bytes;
	size_t body_bytes_max;
	int64_t due_usec;
	bool no_body;    /* HEAD */
	bool idempotent; /* may be sent again when a kept connection turns out dead */
	bool retried;
	http_response_handler *handler; /* of a stream: closed */
	void *context;
	bool is_stream;
	int silence_msec;
	void (*opened)(void *context);
	sse_handler *event;
	struct sse *sse;
};

struct http_client {
	struct loop *loop;
	char *host, *server_name, *source;
	uint16_t port;
	SSL_CTX *tls;
	enum state state;
	int depth;
	bool freed;
	TAILQ_HEAD(, request) queue;
	size_t queued;
	struct request *current;
	struct resolve *resolve;
	struct sockaddr_storage addresses[RESOLVE_ADDRESSES_MAX];
	size_t address_count, address_at;
	struct tls_stream stream;
	struct loop_fd *watch;
	uint32_t watched;
	struct loop_timer *deadline; /* of the request, or the stream's silence */
	struct loop_timer *step;     /* connecting to one address; idle connection */
	struct loop_timer *start;    /* begins what was asked for, from the loop */
	struct http1 *parser;
	size_t sent;
	bool reused, heard, write_failed;
	/* While the parser is at work it and its request may be concluded, but not be freed. */
	bool parsing;
	struct http1 *concluded_parser;
	struct request *concluded_request;
};

static void fail(struct http_client *client, int fault, const char *text);
static void try_address(struct http_client *client);

static struct request *request_free(struct request *request)
{
	if (request) {
		buf_clear(&request->bytes);
		sse_free(request->sse);
		free(request);
	}
	return NULL;
}

static void disconnect(struct http_client *client)
{
	client->watch = loop_unwatch(client->watch);
	if (client->stream.fd >= 0) {
		tls_stream_close(&client->stream);
	}
	client->resolve = resolve_cancel(client->resolve);
	loop_timer_stop(client->step);
	client->state = IDLE;
}

static void destroy(struct http_client *client)
{
	struct request *request;

	while ((request = TAILQ_FIRST(&client->queue))) {
		TAILQ_REMOVE(&client->queue, request, entry);
		request_free(request);
	}
	request_free(client->current);
	http1_free(client->parser);
	loop_timer_free(client->deadline);
	loop_timer_free(client->step);
	loop_timer_free(client->start);
	SSL_CTX_free(client->tls);
	free(client->host);
	free(client->server_name);
	free(client->source);
	free(client);
}

static void enter(struct http_client *client)
{
	client->depth++;
}

static void leave(struct http_client *client)
{
	if (--client->depth == 0 && client->freed) {
		destroy(client);
	}
}

struct http_client *http_client_free(struct http_client *client)
{
	if (client) {
		disconnect(client);
		loop_timer_stop(client->deadline);
		loop_timer_stop(client->start);
		client->freed = true;
		enter(client);
		leave(client);
	}
	return NULL;
}

struct socket_text http_client_local(const struct http_client *client)
{
	return client->stream.fd >= 0 ? socket_local(client->stream.fd)
	                              : (struct socket_text){ "", 0 };
}

struct socket_text http_client_peer(const struct http_client *client)
{
	return client->stream.fd >= 0 ? socket_peer(client->stream.fd)
	                              : (struct socket_text){ "", 0 };
}

void http_client_swap_tls(struct http_client *client, SSL_CTX *tls)
{
	assert_always(tls && client->tls);
	SSL_CTX_up_ref(tls);
	SSL_CTX_free(client->tls);
	client->tls = tls;
	if (client->state == READY) {
		disconnect(client);
	}
}

/* Ends the current request: hands on the answer or the fault, then the next one has its turn. */
static void conclude(struct http_client *client, int fault, const char *reason)
{
	struct request *request = TAKE(client->current);
	struct http1 *parser = TAKE(client->parser);
	struct http_response response = { .fault = fault,
		.reason = reason,
		.message = fault == 0 ? http1_message(parser) : NULL };

	loop_timer_stop(client->deadline);
	if (client->queued > 0) {
		loop_timer_set(client->start, 0);
	}
	if (request && !client->freed) {
		request->handler(request->context, &response);
	}
	if (client->parsing) {
		client->concluded_parser = parser;
		client->concluded_request = request;
		return;
	}
	http1_free(parser);
	request_free(request);
}

static void fail(struct http_client *client, int fault, const char *text)
{
	char reason[ERR_TEXT_BYTES_MAX];
	struct request *request = client->current;
	bool again = client->reused && !client->heard && request && request->idempotent &&
	             !request->retried && (fault == -ECONNRESET || fault == -EPIPE);

	disconnect(client);
	if (!request) {
		return;
	}
	if (again) {
		/* The server closed the kept connection while this request was on its way. */
		request->retried = true;
		client->parser = http1_free(client->parser);
		client->current = NULL;
		TAILQ_INSERT_HEAD(&client->queue, request, entry);
		client->queued++;
		loop_timer_set(client->start, 0);
		return;
	}
	snprintf(reason, sizeof(reason), "%s port %u: %s", client->host, client->port, text);
	conclude(client, fault, reason);
}

void http_client_close(struct http_client *client)
{
	enter(client);
	client->reused = false;
	fail(client, -ECANCELED, "closed on our side");
	leave(client);
}

/* Receiving. */

static bool field_begins(const struct http1_message *message, const char *name, const char *text)
{
	const char *value = http1_field(message, name);

	return value && strncasecmp(value, text, strlen(text)) == 0;
}

static void hear_silence(struct http_client *client)
{
	if (client->current && client->current->silence_msec > 0) {
		loop_timer_set(client->deadline, client->current->silence_msec);
	} else {
		loop_timer_stop(client->deadline);
	}
}

static int on_stream_body(void *context, const uint8_t *bytes, size_t count)
{
	struct http_client *client = context;
	int r = sse_feed(client->current->sse, bytes, count);

	if (r == 1) {
		fail(client, -EMSGSIZE, "an event is longer than is allowed");
	} else if (r == 2 && client->current && client->state == STREAM) {
		fail(client, -ECANCELED, "an event was refused on our side");
	}
	return r != 0 || client->state != STREAM;
}

/* The handler of events stands between, so that closing or freeing in it ends the parsing. */
static int on_event(void *context, const struct sse_event *event)
{
	struct http_client *client = context;
	int r = client->current->event(client->current->context, event);

	return r != 0 || client->freed || client->state != STREAM;
}

static void head_came(struct http_client *client)
{
	const struct http1_message *message = http1_message(client->parser);
	struct request *request = client->current;

	if (request->is_stream && message->status == 200 &&
	        field_begins(message, "content-type", "text/event-stream")) {
		client->state = STREAM;
		request->sse = sse_new(HTTP_EVENT_BYTES_MAX, on_event, client);
		http1_body_to(client->parser, on_stream_body, client);
		if (request->opened) {
			request->opened(request->context);
		}
	}
}

static void new_parser(struct http_client *client)
{
	struct http1_limits limits = { .body_bytes_max = client->current->body_bytes_max,
		.version_10 = true };

	http1_free(client->parser);
	client->parser = http1_new(HTTP1_RESPONSE, &limits);
	if (client->current->no_body) {
		http1_expect_no_body(client->parser);
	}
}

static void response_came(struct http_client *client, bool more_bytes)
{
	const struct http1_message *message = http1_message(client->parser);
	bool whole = client->sent == client->current->bytes.count && !client->write_failed;

	if (message->status < 200) {
		new_parser(client); /* "100 Continue" and its like come before the answer. */
		return;
	}
	if (client->state == STREAM) {
		fail(client, -EPIPE, "the stream was ended by the server");
		return;
	}
	if (message->keep_alive && whole && !more_bytes) {
		client->state = READY;
		client->reused = true;
		loop_timer_set(client->step, HTTP_CLIENT_IDLE_MSEC);
	} else {
		disconnect(client);
	}
	conclude(client, 0, "");
}

/* What HTTP made of it is over when the parser is gone or another one. */
static void take_bytes(struct http_client *client, const uint8_t *bytes, size_t count)
{
	size_t at = 0;

	client->heard = true;
	while (client->parser && !client->freed) {
		size_t used;
		enum http1_outcome outcome;

		client->parsing = true;
		outcome = http1_feed(client->parser, bytes + at, count - at, &used);
		client->parsing = false;
		at += used;
		client->concluded_parser = http1_free(client->concluded_parser);
		client->concluded_request = request_free(client->concluded_request);
		if (client->freed || !client->parser) {
			return; /* Closed in a handler. */
		}
		switch (outcome) {
		case HTTP1_HEAD:
			head_came(client);
			continue;
		case HTTP1_MORE:
			return;
		case HTTP1_REFUSED:
			fail(client,
			        http1_refused(client->parser)->status == 413 ? -EMSGSIZE : -EPROTO,
			        http1_refused(client->parser)->detail);
			return;
		case HTTP1_DONE:
			response_came(client, at < count);
			continue;
		}
	}
}

static void peer_ended(struct http_client *client, int fault, const char *text)
{
	/* A body that lasts until the end must be ended in order: a cut is no end (TLS tells them
	 * apart, plain connections cannot). */
	if (fault == 0 && client->parser && http1_end(client->parser) == HTTP1_DONE) {
		response_came(client, true);
		return;
	}
	fail(client, fault < 0 ? fault : -ECONNRESET,
	        fault < 0 ? text : "closed by the server before its answer was whole");
}

static void receive(struct http_client *client)
{
	uint8_t bytes[READ_BYTES];

	for (int i = 0; i < READS_PER_EVENT; i++) {
		struct err err = { "" };
		size_t count;
		int r = tls_stream_read(&client->stream, bytes, sizeof(bytes), &count, &err);

		if (r == TLS_WANT_READ || r == TLS_WANT_WRITE) {
			return;
		}
		if (r != TLS_DONE) {
			peer_ended(client, r < 0 ? r : 0, err.text);
			return;
		}
		if (!client->current) {
			disconnect(client); /* Bytes that answer nothing. */
			return;
		}
		take_bytes(client, bytes, count);
		if (client->freed || (client->state != BUSY && client->state != STREAM)) {
			return;
		}
		if (client->state == STREAM) {
			hear_silence(client);
		}
	}
}

/* Sending. */

static void watch_for(struct http_client *client, uint32_t events)
{
	if (client->watch && client->watched != events) {
		client->watched = events;
		loop_watch_events(client->watch, events);
	}
}

static void transmit(struct http_client *client)
{
	struct request *request = client->current;
	size_t sent;
	int r;

	if (!client->write_failed && client->sent < request->bytes.count) {
		r = tls_stream_write(&client->stream, request->bytes.bytes + client->sent,
		        request->bytes.count - client->sent, &sent, NULL);
		client->sent += sent;
		/* A server that refuses early says why before it closes: read on. */
		client->write_failed = r != TLS_DONE && r != TLS_WANT_WRITE && r != TLS_WANT_READ;
	}
	watch_for(client,
	        EPOLLIN | EPOLLRDHUP |
	                (client->sent < request->bytes.count && !client->write_failed ? EPOLLOUT
	                                                                              : 0));
}

static void begin(struct http_client *client)
{
	loop_timer_stop(client->step);
	client->state = BUSY;
	client->sent = 0;
	client->heard = client->write_failed = false;
	new_parser(client);
	transmit(client);
}

/* Connecting. */

static void next_address(struct http_client *client, int fault, const char *text)
{
	client->address_at++;
	if (client->address_at < client->address_count) {
		disconnect(client);
		try_address(client);
	} else {
		fail(client, fault, text);
	}
}

static void advance_handshake(struct http_client *client)
{
	struct err err = { "" };
	int r = tls_stream_handshake(&client->stream, &err);

	if (r == TLS_WANT_READ || r == TLS_WANT_WRITE) {
		watch_for(client, r == TLS_WANT_READ ? EPOLLIN : EPOLLOUT);
	} else if (r == TLS_DONE) {
		client->reused = false;
		begin(client);
	} else {
		next_address(client, r < 0 ? r : -ECONNRESET,
		        r < 0 ? err.text : "closed during the handshake");
	}
}

static void connected(struct http_client *client)
{
	int fd = client->stream.fd;
	int r = socket_error(fd);

	if (r < 0) {
		next_address(client, r, strerror(-r));
		return;
	}
	socket_tune(fd, KEEPALIVE_IDLE_SEC, HTTP_PEER_SILENCE_MSEC);
	r = tls_stream_connect(fd, client->tls, client->server_name, &client->stream);
	if (r < 0) {
		client->watch = loop_unwatch(client->watch);
		next_address(client, r, "TLS cannot be set up");
		return;
	}
	client->state = HANDSHAKE;
	advance_handshake(client);
}

static void on_events(void *context, uint32_t events)
{
	struct http_client *client = context;

	enter(client);
	switch (client->state) {
	case CONNECTING:
		connected(client);
		break;
	case HANDSHAKE:
		advance_handshake(client);
		break;
	case BUSY:
		if (events & EPOLLOUT) {
			transmit(client);
		}
		if (events & ~(uint32_t)EPOLLOUT) {
			receive(client);
		}
		break;
	case STREAM:
		receive(client);
		break;
	case READY:
		disconnect(client);
		break;
	case IDLE:
	case RESOLVING:
		break;
	}
	leave(client);
}

static void try_address(struct http_client *client)
{
	int fd, r = socket_connect(&client->addresses[client->address_at], client->source, &fd);

	if (r != 0) {
		next_address(client, r < 0 ? r : -EINVAL,
		        r < 0 ? strerror(-r) : "the source address is not an IP address");
		return;
	}
	client->stream = (struct tls_stream){ .fd = fd };
	client->watched = EPOLLOUT;
	r = loop_watch(client->loop, fd, client->watched, on_events, client, &client->watch);
	if (r < 0) {
		fail(client, r, strerror(-r));
		return;
	}
	client->state = CONNECTING;
	loop_timer_set(client->step, HTTP_CONNECT_DEADLINE_MSEC);
}

static void on_resolved(
        void *context, const struct sockaddr_storage *addresses, size_t count, const char *reason)
{
	struct http_client *client = context;

	enter(client);
	client->resolve = NULL;
	client->state = IDLE;
	if (count == 0) {
		fail(client, -EHOSTUNREACH, reason);
	} else {
		memcpy(client->addresses, addresses, count * sizeof(*addresses));
		client->address_count = count;
		client->address_at = 0;
		try_address(client);
	}
	leave(client);
}

static void on_start(void *context)
{
	struct http_client *client = context;
	struct request *request = TAILQ_FIRST(&client->queue);
	int64_t left;
	int r;

	if (client->current || !request) {
		return;
	}
	enter(client);
	TAILQ_REMOVE(&client->queue, request, entry);
	client->queued--;
	client->current = request;
	left = (request->due_usec - clock_monotonic_usec()) / USEC_PER_MSEC;
	if (left <= 0) {
		fail(client, -ETIMEDOUT, "no answer in time");
	} else {
		loop_timer_set(client->deadline, left);
		if (client->state == READY) {
			begin(client);
		} else {
			client->reused = false;
			r = resolve_start(client->loop, client->host, client->port,
			        HTTP_CONNECT_DEADLINE_MSEC, on_resolved, client, &client->resolve);
			if (r < 0) {
				fail(client, r, strerror(-r));
			} else {
				client->state = RESOLVING;
			}
		}
	}
	leave(client);
}

static void on_deadline(void *context)
{
	struct http_client *client = context;

	enter(client);
	fail(client, -ETIMEDOUT,
	        client->state == STREAM ? "nothing was heard on the stream for too long"
	                                : "no answer in time");
	leave(client);
}

static void on_step(void *context)
{
	struct http_client *client = context;

	enter(client);
	if (client->state == READY) {
		disconnect(client);
	} else {
		next_address(client, -ETIMEDOUT, "cannot be reached");
	}
	leave(client);
}

int http_client_new(struct loop *loop, const struct http_client_options *options,
        struct http_client **ret_client)
{
	struct http_client *client = mem_new(1, sizeof(*client));

	signal(SIGPIPE, SIG_IGN);
	client->loop = loop;
	client->host = mem_string(options->host);
	client->server_name =
	        mem_string(options->server_name ? options->server_name : options->host);
	client->source = mem_string(options->source);
	client->port = options->port;
	client->tls = options->tls;
	if (client->tls) {
		SSL_CTX_up_ref(client->tls);
	}
	client->stream.fd = -1;
	TAILQ_INIT(&client->queue);
	client->deadline = loop_timer_new(loop, on_deadline, client);
	client->step = loop_timer_new(loop, on_step, client);
	client->start = loop_timer_new(loop, on_start, client);
	*ret_client = client;
	return 0;
}

static bool fields_valid(const struct http1_field fields[HTTP_CLIENT_FIELDS_MAX])
{
	for (size_t i = 0; i < HTTP_CLIENT_FIELDS_MAX && fields[i].name; i++) {
		if (!http1_value_valid(fields[i].name) || !http1_value_valid(fields[i].value)) {
			return false;
		}
	}
	return true;
}

static void print_head(const struct http_client *client, struct buf *out, const char *method,
        const char *path, const struct http1_field fields[HTTP_CLIENT_FIELDS_MAX])
{
	bool six = strchr(client->host, ':') != NULL;

	buf_add_format(out, "%s %s HTTP/1.1\r\nHost: %s%s%s", method, path, six ? "[" : "",
	        client->host, six ? "]" : "");
	if (client->port != (client->tls ? 443 : 80)) {
		buf_add_format(out, ":%u", client->port);
	}
	buf_add_text(out, "\r\nUser-Agent: sekisho/" SEKISHO_VERSION "\r\n");
	for (size_t i = 0; i < HTTP_CLIENT_FIELDS_MAX && fields[i].name; i++) {
		buf_add_format(out, "%s: %s\r\n", fields[i].name, fields[i].value);
	}
}

static void enqueue(struct http_client *client, struct request *request, int deadline_msec)
{
	assert_always(deadline_msec > 0 && request->handler);
	request->due_usec = clock_monotonic_usec() + deadline_msec * USEC_PER_MSEC;
	TAILQ_INSERT_TAIL(&client->queue, request, entry);
	client->queued++;
	if (!client->current) {
		loop_timer_set(client->start, 0);
	}
}

static bool is_idempotent(const char *method)
{
	return strcmp(method, "POST") != 0 && strcmp(method, "PATCH") != 0;
}

int http_client_request(struct http_client *client, const struct http_client_request *request)
{
	struct request *own;
	struct request *first = client->current ? client->current : TAILQ_FIRST(&client->queue);

	if ((first && first->is_stream) || client->queued >= HTTP_CLIENT_QUEUE_COUNT_MAX) {
		return 1;
	}
	if (!http1_target_valid(request->path) || !fields_valid(request->fields) ||
	        (request->content_type && !http1_value_valid(request->content_type))) {
		return 2;
	}
	own = mem_new(1, sizeof(*own));
	own->bytes = BUF(request->body_bytes + 2 * HTTP_HEADER_BYTES_MAX);
	print_head(client, &own->bytes, request->method, request->path, request->fields);
	if (request->content_type) {
		buf_add_format(&own->bytes, "Content-Type: %s\r\n", request->content_type);
	}
	if (request->body_bytes > 0 || !is_idempotent(request->method) ||
	        strcmp(request->method, "PUT") == 0) {
		buf_add_format(&own->bytes, "Content-Length: %zu\r\n", request->body_bytes);
	}
	buf_add_text(&own->bytes, "\r\n");
	buf_add(&own->bytes, request->body, request->body_bytes);
	if (own->bytes.overflowed) {
		request_free(own);
		return 2;
	}
	own->no_body = strcmp(request->method, "HEAD") == 0;
	own->idempotent = is_idempotent(request->method);
	own->body_bytes_max = request->response_bytes_max ? request->response_bytes_max
	                                                  : HTTP_RESPONSE_BODY_BYTES_MAX;
	own->handler = request->handler;
	own->context = request->context;
	enqueue(client, own, request->deadline_msec);
	return 0;
}

int http_client_stream(struct http_client *client, const struct http_client_stream *stream)
{
	struct request *own;

	if (client->current || client->queued > 0) {
		return 1;
	}
	if (!http1_target_valid(stream->path) || !fields_valid(stream->fields)) {
		return 2;
	}
	own = mem_new(1, sizeof(*own));
	own->bytes = BUF(2 * HTTP_HEADER_BYTES_MAX);
	print_head(client, &own->bytes, "GET", stream->path, stream->fields);
	buf_add_text(&own->bytes, "Accept: text/event-stream\r\n\r\n");
	if (own->bytes.overflowed) {
		request_free(own);
		return 2;
	}
	own->is_stream = own->idempotent = true;
	own->body_bytes_max = HTTP_BODY_BYTES_MAX;
	own->silence_msec = stream->silence_msec;
	own->opened = stream->opened;
	own->event = stream->event;
	own->handler = stream->closed;
	own->context = stream->context;
	enqueue(client, own, stream->deadline_msec);
	return 0;
}
