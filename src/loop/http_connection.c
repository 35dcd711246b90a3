/*
 * The life of one connection: see the picture in http_private.h.
 *
 * http_connection_close() may happen inside any callback; the memory stays until the end of the
 * round, so after each call that may have closed it the code looks at `dead` and returns.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "loop/http_private.h"

#define REQUESTS_PER_EVENT 32           /* pipelined requests before others get their turn */
#define WRITE_PROGRESS_BYTES (64 << 10) /* taking this much earns a fresh write deadline */
#define KEEPALIVE_IDLE_SEC 60
#define SILENCE_MSEC 30000
#define COMPOSE_KEEP_BYTES (1 << 20) /* a larger composing buffer is given back */

static void pump(struct http_connection *connection, bool readable);

static void watch_for(struct http_connection *connection, uint32_t events)
{
	if (connection->watched != events) {
		connection->watched = events;
		loop_watch_events(connection->watch, events);
	}
}

static struct http_exchange *exchange_free(struct http_exchange *exchange)
{
	if (exchange) {
		exchange->connection->exchange = NULL;
		http1_free(exchange->parser);
		free(exchange);
	}
	return NULL;
}

void http_connection_set_context(
        struct http_connection *connection, void *context, void (*release)(void *context))
{
	void (*old_release)(void *) = connection->release;
	void *old = connection->context;

	connection->context = context;
	connection->release = release;
	if (old_release) {
		old_release(old);
	}
}

void *http_connection_context(const struct http_connection *connection)
{
	return connection->context;
}

void http_connection_close(struct http_connection *connection)
{
	struct http_exchange *exchange = connection->exchange;
	struct http_stream *events = connection->events;

	if (connection->dead) {
		return;
	}
	connection->dead = true;
	connection->watch = loop_unwatch(connection->watch);
	tls_stream_close(&connection->stream);
	http_listener_forget(connection);
	buf_clear(&connection->in);
	buf_clear(&connection->out);
	connection->events = NULL;
	if (events) {
		connection->listener->server->counts.streams--;
		if (events->closed) {
			events->closed(events->context);
		}
		free(events);
	}
	if (exchange) {
		if (exchange->handed && exchange->gone) {
			exchange->gone(exchange->gone_context);
		}
		exchange_free(exchange);
	}
	connection->chain = tls_chain_free(connection->chain);
	http_connection_set_context(connection, NULL, NULL);
}

/* Writing. */

static size_t waiting_bytes(const struct http_connection *connection)
{
	return connection->out.count - connection->out_at;
}

static void linger(struct http_connection *connection)
{
	tls_stream_end_writing(&connection->stream);
	connection->state = HTTP_LINGERING;
	http_deadline_set(connection, HTTP_DEADLINE_LINGER);
	watch_for(connection, EPOLLIN);
}

/* The answer is with the kernel: the next request, or the end. */
static void answered(struct http_connection *connection)
{
	if (connection->linger) {
		linger(connection);
	} else if (connection->close_after) {
		http_connection_close(connection);
	} else {
		connection->state = HTTP_READING;
		http_deadline_set(connection, HTTP_DEADLINE_IDLE);
		if (!connection->pumping) {
			pump(connection, false);
		}
	}
}

/* Sends what waits. False: the connection is closed. */
static bool flush_out(struct http_connection *connection)
{
	size_t sent;
	int r;

	r = tls_stream_write(&connection->stream, connection->out.bytes + connection->out_at,
	        waiting_bytes(connection), &sent, NULL);
	connection->out_at += sent;
	connection->out_progress += sent;
	if (r == TLS_DONE) {
		buf_clear(&connection->out);
		connection->out_at = connection->out_progress = 0;
		return true;
	}
	if (r != TLS_WANT_WRITE && r != TLS_WANT_READ) {
		http_connection_close(connection);
		return false;
	}
	if (connection->state == HTTP_READING) {
		/* "100 Continue": the body's deadline runs on. */
		watch_for(connection, EPOLLIN | EPOLLRDHUP | EPOLLOUT);
		return true;
	}
	if (connection->class != HTTP_DEADLINE_WRITE ||
	        connection->out_progress >= WRITE_PROGRESS_BYTES) {
		connection->out_progress = 0;
		http_deadline_set(connection, HTTP_DEADLINE_WRITE);
	}
	watch_for(connection, (connection->state == HTTP_STREAMING ? EPOLLIN | EPOLLRDHUP : 0) |
	                              (r == TLS_WANT_READ ? EPOLLIN : EPOLLOUT));
	return true;
}

/* Sends now, keeps the rest; `count_max` bounds what may wait. Outcome 1: it would be more than
 * that; outcome 2: the peer is gone and the connection closed. */
static int send_or_keep(
        struct http_connection *connection, const void *bytes, size_t count, size_t count_max)
{
	size_t sent = 0;
	int r = TLS_WANT_WRITE;

	if (waiting_bytes(connection) == 0) {
		r = tls_stream_write(&connection->stream, bytes, count, &sent, NULL);
		if (r == TLS_DONE) {
			return 0;
		}
		if (r != TLS_WANT_WRITE && r != TLS_WANT_READ) {
			http_connection_close(connection);
			return 2;
		}
	}
	if (waiting_bytes(connection) + count - sent > count_max) {
		return 1;
	}
	if (connection->out_at > connection->out.count / 2) {
		buf_drop(&connection->out, connection->out_at);
		connection->out_at = 0;
	}
	connection->out.count_max = 2 * count_max + 1;
	buf_add(&connection->out, (const uint8_t *)bytes + sent, count - sent);
	assert_always(!connection->out.overflowed);
	if (waiting_bytes(connection) == count - sent) {
		return flush_out(connection) ? 0 : 2;
	}
	return 0;
}

static void send_reply(struct http_connection *connection, const struct buf *reply)
{
	connection->state = HTTP_WRITING;
	if (send_or_keep(connection, reply->bytes, reply->count, reply->count_max) == 0 &&
	        waiting_bytes(connection) == 0) {
		answered(connection);
	}
}

/* Replies. */

static void print_reply_head(struct buf *out, const struct http_reply *reply, bool close)
{
	buf_add_format(out, "HTTP/1.1 %d %s\r\n", reply->status, http1_reason(reply->status));
	if (reply->content_type) {
		assert_always(http1_value_valid(reply->content_type));
		buf_add_format(out, "Content-Type: %s\r\n", reply->content_type);
	}
	if (reply->status != 204 && reply->status != 304) {
		buf_add_format(out, "Content-Length: %zu\r\n", reply->body_bytes);
	}
	for (size_t i = 0; i < HTTP_REPLY_FIELDS_MAX && reply->fields[i].name; i++) {
		assert_always(http1_value_valid(reply->fields[i].name));
		assert_always(http1_value_valid(reply->fields[i].value));
		buf_add_format(out, "%s: %s\r\n", reply->fields[i].name, reply->fields[i].value);
	}
	buf_add_text(out, close ? "Connection: close\r\n\r\n" : "\r\n");
}

static struct buf *compose(struct http_server *server)
{
	if (server->out.room > COMPOSE_KEEP_BYTES) {
		buf_clear(&server->out);
	}
	buf_reset(&server->out);
	return &server->out;
}

void http_reply(struct http_exchange *exchange, const struct http_reply *reply)
{
	struct http_connection *connection = exchange->connection;
	const struct http1_message *message = http1_message(exchange->parser);
	struct buf *out = compose(connection->listener->server);
	bool close = reply->close || !message->keep_alive;

	assert_always(connection->exchange == exchange);
	assert_always(reply->body_bytes <= HTTP_RESPONSE_BODY_BYTES_MAX);
	print_reply_head(out, reply, close);
	if (!message->method || strcmp(message->method, "HEAD") != 0) {
		buf_add(out, reply->body, reply->body_bytes);
	}
	assert_always(!out->overflowed);
	connection->close_after = close;
	exchange_free(exchange);
	send_reply(connection, out);
}

static void add_json_text(struct buf *out, const char *text)
{
	buf_add_u8(out, '"');
	for (; *text; text++) {
		uint8_t byte = (uint8_t)*text;

		if (byte < 0x20 || byte == 0x7f) {
			buf_add_format(out, "\\u%04x", byte);
		} else {
			if (byte == '"' || byte == '\\') {
				buf_add_u8(out, '\\');
			}
			buf_add_u8(out, byte);
		}
	}
	buf_add_u8(out, '"');
}

void http_problem_print(
        struct buf *out, int status, const char *type_slug, const char *title, const char *detail)
{
	if (type_slug) {
		buf_add_format(out, "{\"type\":\"/problems/%s\",\"title\":", type_slug);
	} else {
		buf_add_text(out, "{\"type\":\"about:blank\",\"title\":");
	}
	add_json_text(out, title ? title : http1_reason(status));
	buf_add_format(out, ",\"status\":%d", status);
	if (detail) {
		buf_add_text(out, ",\"detail\":");
		add_json_text(out, detail);
	}
	buf_add_u8(out, '}');
}

void http_reply_problem(struct http_exchange *exchange, int status, const char *type_slug,
        const char *title, const char *detail)
{
	AUTO_BUF struct buf body = BUF(HTTP_BODY_BYTES_MAX);

	http_problem_print(&body, status, type_slug, title, detail);
	http_reply(exchange, &(struct http_reply){ .status = status,
	                             .content_type = "application/problem+json",
	                             .body = buf_text(&body),
	                             .body_bytes = body.count });
}

/* Refuses what the peer sent; it gets a moment to read why, because closing with unread bytes would
 * reset the connection and take the answer with it. */
static void refuse(struct http_connection *connection, int status, const char *detail)
{
	AUTO_BUF struct buf body = BUF(4096);
	struct buf *out = compose(connection->listener->server);
	struct http_reply reply = { .status = status, .content_type = "application/problem+json" };

	connection->listener->server->counts.requests_refused++;
	http_refused_tell(connection, detail);
	http_problem_print(&body, status, NULL, NULL, detail);
	reply.body = buf_text(&body);
	reply.body_bytes = body.count;
	print_reply_head(out, &reply, true);
	buf_add(out, reply.body, reply.body_bytes);
	connection->close_after = connection->linger = true;
	exchange_free(connection->exchange);
	send_reply(connection, out);
}

void http_exchange_on_gone(
        struct http_exchange *exchange, http_gone_handler *handler, void *context)
{
	exchange->gone = handler;
	exchange->gone_context = context;
}

const struct http_request *http_exchange_request(const struct http_exchange *exchange)
{
	return &exchange->request;
}

/* Streams. */

struct http_stream *http_stream_start(struct http_exchange *exchange, const char *content_type,
        http_gone_handler *closed, void *context)
{
	struct http_connection *connection = exchange->connection;
	struct http_server *server = connection->listener->server;
	struct buf *out = compose(server);
	struct http_stream *events = mem_new(1, sizeof(*events));

	assert_always(connection->exchange == exchange);
	*events = (struct http_stream){
		.connection = connection, .closed = closed, .context = context
	};
	/* The body lasts as long as the connection, so that an event is the same bytes for all. */
	buf_add_format(out,
	        "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nCache-Control: no-store\r\n"
	        "X-Accel-Buffering: no\r\nConnection: close\r\n\r\n",
	        content_type);
	exchange_free(exchange);
	connection->chain = tls_chain_free(connection->chain);
	buf_clear(&connection->in);
	connection->state = HTTP_STREAMING;
	http_deadline_set(connection, HTTP_DEADLINE_NONE);
	watch_for(connection, EPOLLIN | EPOLLRDHUP);
	if (send_or_keep(connection, out->bytes, out->count, out->count) != 0) {
		http_connection_close(connection);
		free(events);
		return NULL;
	}
	connection->events = events;
	server->counts.streams++;
	return events;
}

void http_stream_close(struct http_stream *stream)
{
	stream->closed = NULL;
	http_connection_close(stream->connection);
}

int http_stream_send(struct http_stream *stream, const void *bytes, size_t count)
{
	struct http_connection *connection = stream->connection;
	struct http_listener *listener = connection->listener;
	http_gone_handler *closed = stream->closed;
	int r;

	stream->closed = NULL; /* The outcome tells it. */
	r = send_or_keep(connection, bytes, count, listener->options.stream_queue_bytes_max);
	if (r == 0) {
		stream->closed = closed;
	} else if (r == 1) {
		listener->server->counts.streams_dropped++;
		http_connection_close(connection);
	}
	return r;
}

struct http_connection *http_stream_connection(const struct http_stream *stream)
{
	return stream->connection;
}

/* Reading. */

static struct http_exchange *exchange_new(struct http_connection *connection)
{
	struct http_exchange *exchange = mem_new(1, sizeof(*exchange));
	struct http1_limits limits = { .body_bytes_max =
		                               connection->listener->options.body_bytes_max,
		.version_10 = connection->listener->options.version_10 };

	exchange->connection = connection;
	exchange->parser = http1_new(HTTP1_REQUEST, &limits);
	connection->exchange = exchange;
	return exchange;
}

/* The request is whole: hands it to the handler. */
static void hand_over(struct http_connection *connection)
{
	struct http_server *server = connection->listener->server;
	struct http_exchange *exchange = connection->exchange;

	if (!connection->chain && tls_chain_new(&connection->stream, &connection->chain) > 0) {
		refuse(connection, 400, "the certificate chain is longer than is allowed");
		return;
	}
	server->counts.requests++;
	connection->state = HTTP_WAITING;
	http_deadline_set(connection, HTTP_DEADLINE_NONE);
	exchange->handed = true;
	exchange->request = (struct http_request){ .tag = connection->listener->options.tag,
		.message = http1_message(exchange->parser),
		.peer = &connection->peer_text,
		.local = &connection->local_text,
		.chain = connection->chain,
		.connection = connection };
	server->handler(server->context, exchange, &exchange->request);
}

/* A head without its body: tells a peer that waits for it to go on, and starts the body's clock. */
static void await_body(struct http_connection *connection, bool body_began)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
	struct http_exchange *exchange = connection->exchange;

	if (exchange->head_done && connection->class != HTTP_DEADLINE_BODY) {
		http_deadline_set(connection, HTTP_DEADLINE_BODY);
		if (!body_began && http1_message(exchange->parser)->expects_continue &&
		        http1_message(exchange->parser)->minor_version > 0) {
			(void)!send_or_keep(connection, go_on, sizeof(go_on) - 1, 256);
		}
	}
}

/* Parses bytes up to the end of one request; what is left is kept. */
static void take_bytes(struct http_connection *connection, const uint8_t *bytes, size_t count)
{
	struct http_exchange *exchange = connection->exchange;
	size_t at = 0, head_end = 0;

	if (!exchange) {
		exchange = exchange_new(connection);
		/* The first request's clock runs since the handshake. */
		if (connection->class != HTTP_DEADLINE_HEADER) {
			http_deadline_set(connection, HTTP_DEADLINE_HEADER);
		}
	}
	for (;;) {
		size_t used;
		enum http1_outcome outcome =
		        http1_feed(exchange->parser, bytes + at, count - at, &used);

		at += used;
		switch (outcome) {
		case HTTP1_HEAD:
			exchange->head_done = true;
			head_end = at;
			continue;
		case HTTP1_MORE:
			await_body(connection, at > head_end);
			return;
		case HTTP1_REFUSED:
			refuse(connection, http1_refused(exchange->parser)->status,
			        http1_refused(exchange->parser)->detail);
			return;
		case HTTP1_DONE:
			/* One request's worth of bytes in advance is all we hold for a peer. */
			if (at < count) {
				buf_add(&connection->in, bytes + at, count - at);
			}
			hand_over(connection);
			return;
		}
	}
}

/* Bytes that were kept from the last read. Returns false when there are none. */
static bool take_kept(struct http_connection *connection)
{
	AUTO_BUF struct buf kept = connection->in;

	if (kept.count == 0) {
		return false;
	}
	connection->in = BUF(sizeof(connection->listener->server->scratch));
	take_bytes(connection, kept.bytes, kept.count);
	return true;
}

static void watch_for_reading(struct http_connection *connection, uint32_t more)
{
	watch_for(connection,
	        EPOLLRDHUP | EPOLLIN | more | (waiting_bytes(connection) > 0 ? EPOLLOUT : 0));
}

/* Reads once. Returns false when there is most likely nothing more to read now: less came than was
 * asked for (a TLS record is never longer, so nothing is left inside OpenSSL). */
static bool take_read(struct http_connection *connection)
{
	struct http_server *server = connection->listener->server;
	size_t count;
	int r = tls_stream_read(
	        &connection->stream, server->scratch, sizeof(server->scratch), &count, NULL);

	if (r == TLS_DONE) {
		watch_for_reading(connection, 0);
		take_bytes(connection, server->scratch, count);
		return count == sizeof(server->scratch);
	}
	if (r == TLS_WANT_READ || r == TLS_WANT_WRITE) {
		watch_for_reading(connection, r == TLS_WANT_WRITE ? EPOLLOUT : 0);
		return false;
	}
	http_connection_close(connection);
	return false;
}

/* Takes requests as long as they come and are answered at once; reads only when `readable`. */
static void pump(struct http_connection *connection, bool readable)
{
	connection->pumping = true;
	if (!readable) {
		watch_for_reading(connection, 0);
	}
	for (int i = 0; !connection->dead && connection->state == HTTP_READING; i++) {
		if (i == REQUESTS_PER_EVENT) {
			/* Writable is always true: the loop comes back after the others. */
			watch_for_reading(connection, EPOLLOUT);
			break;
		}
		if (take_kept(connection)) {
			continue;
		}
		if (!readable) {
			break;
		}
		readable = take_read(connection);
	}
	connection->pumping = false;
	if (!connection->dead && connection->state == HTTP_WAITING) {
		watch_for(connection, EPOLLRDHUP);
	}
}

/* Bytes on a connection that is to send none any more: events only flow down, and a peer that was
 * refused is only read so that it can read. */
static void discard(struct http_connection *connection)
{
	struct http_server *server = connection->listener->server;
	size_t count;
	int r;

	/* Once the good-bye was said TLS may refuse to read on: the bytes below it are what counts.
	 */
	if (connection->state == HTTP_LINGERING && connection->stream.ssl) {
		struct tls_stream plain = { .fd = connection->stream.fd };

		r = tls_stream_read(&plain, server->scratch, sizeof(server->scratch), &count, NULL);
	} else {
		r = tls_stream_read(&connection->stream, server->scratch, sizeof(server->scratch),
		        &count, NULL);
	}
	if (r == TLS_WANT_READ || r == TLS_WANT_WRITE) {
		return;
	}
	connection->lingered_bytes += count;
	if (r != TLS_DONE || connection->state == HTTP_STREAMING ||
	        connection->lingered_bytes > HTTP_LINGER_BYTES_MAX) {
		http_connection_close(connection);
	}
}

/* Events. */

static void handshake(struct http_connection *connection)
{
	struct http_server *server = connection->listener->server;
	struct err err = { "" };
	int r;

	if (connection->stream.ssl && !http_handshake_allowed(server)) {
		return; /* Still readable, so it is reported again. */
	}
	r = tls_stream_handshake(&connection->stream, &err);
	if (r == TLS_WANT_READ || r == TLS_WANT_WRITE) {
		watch_for(connection, r == TLS_WANT_READ ? EPOLLIN | EPOLLRDHUP : EPOLLOUT);
		return;
	}
	if (r != TLS_DONE) {
		server->counts.handshakes_failed++;
		http_refused_tell(connection, r < 0 ? err.text : "closed during the handshake");
		http_connection_close(connection);
		return;
	}
	server->counts.handshakes++;
	connection->state = HTTP_READING;
	http_handshake_ended(connection);
	http_deadline_set(connection, HTTP_DEADLINE_HEADER);
	pump(connection, true);
}

static void on_events(void *context, uint32_t events)
{
	struct http_connection *connection = context;

	switch (connection->state) {
	case HTTP_HANDSHAKE:
		handshake(connection);
		return;
	case HTTP_READING:
		if (waiting_bytes(connection) > 0 && !flush_out(connection)) {
			return;
		}
		pump(connection, true);
		return;
	case HTTP_WAITING:
		/* Only the peer's leaving is watched for. */
		http_connection_close(connection);
		return;
	case HTTP_WRITING:
		if (events & (EPOLLHUP | EPOLLERR)) {
			http_connection_close(connection);
		} else if (flush_out(connection) && waiting_bytes(connection) == 0) {
			answered(connection);
		}
		return;
	case HTTP_STREAMING:
		if (waiting_bytes(connection) > 0) {
			if (!flush_out(connection)) {
				return;
			}
			if (waiting_bytes(connection) == 0) {
				http_deadline_set(connection, HTTP_DEADLINE_NONE);
				watch_for(connection, EPOLLIN | EPOLLRDHUP);
			}
		}
		if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
			discard(connection);
		}
		return;
	case HTTP_LINGERING:
		discard(connection);
		return;
	}
}

void http_connection_late(struct http_connection *connection)
{
	connection->listener->server->counts.deadlines++;
	switch (connection->class) {
	case HTTP_DEADLINE_HANDSHAKE:
		connection->listener->server->counts.handshakes_failed++;
		http_refused_tell(connection, "the handshake took too long");
		break;
	case HTTP_DEADLINE_HEADER:
		if (connection->exchange) {
			refuse(connection, 408, "the header fields took too long");
			return;
		}
		break;
	case HTTP_DEADLINE_BODY:
		refuse(connection, 408, "the body took too long");
		return;
	case HTTP_DEADLINE_WRITE:
	case HTTP_DEADLINE_IDLE:
	case HTTP_DEADLINE_LINGER:
	case HTTP_DEADLINE_NONE:
		break;
	}
	http_connection_close(connection);
}

int http_connection_new(struct http_listener *listener, int fd, struct http_peer *peer,
        const struct sockaddr_storage *address)
{
	struct http_server *server = listener->server;
	struct http_connection *connection = mem_new(1, sizeof(*connection));
	int r;

	connection->listener = listener;
	connection->peer = peer;
	connection->peer_text = socket_text(address);
	connection->local_text = socket_local(fd);
	connection->class = HTTP_DEADLINE_NONE;
	connection->in = BUF(sizeof(server->scratch));
	connection->out = BUF(listener->options.stream_queue_bytes_max);
	connection->watched = EPOLLIN | EPOLLRDHUP;
	socket_tune(fd, KEEPALIVE_IDLE_SEC, SILENCE_MSEC);
	r = tls_stream_accept(fd, listener->options.tls, &connection->stream);
	if (r < 0) {
		free(connection);
		return FAULT(r);
	}
	r = loop_watch(
	        server->loop, fd, connection->watched, on_events, connection, &connection->watch);
	if (r < 0) {
		tls_stream_close(&connection->stream);
		free(connection);
		return FAULT(r);
	}
	TAILQ_INSERT_TAIL(&server->connections, connection, all);
	listener->connections++;
	server->counts.connections++;
	if (connection->stream.ssl) {
		listener->handshakes++;
		http_deadline_set(connection, HTTP_DEADLINE_HANDSHAKE);
	} else {
		connection->state = HTTP_READING;
		http_deadline_set(connection, HTTP_DEADLINE_HEADER);
	}
	return 0;
}
