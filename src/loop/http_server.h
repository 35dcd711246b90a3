/*
 * The HTTP/1.1 server of the center's front and the gateway's local page: plain or TLS, with
 * deadlines and a maximum for everything a peer can make us hold (attacks A21 to A23, L16).
 *
 * One request at a time on a connection. The handler answers at once or later through the exchange
 * it was given; a long-lived answer is a stream. Not for threads: all on one loop. SIGPIPE is
 * ignored for the process from http_server_new() on.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "loop/loop.h"
#include "loop/socket.h"
#include "loop/tls.h"
#include "wire/http1.h"

struct http_server;
struct http_listener;
struct http_connection;
struct http_exchange;
struct http_stream;

struct http_request {
	int tag; /* of the listener */
	/* Method, target, path, query, fields, body; look-ups with http1_field(), http1_query(). */
	const struct http1_message *message;
	const struct socket_text *peer, *local;
	/* The peer's certificates (own first) and OpenSSL's verdict; count 0 on plain connections
	 * and where the peer showed none. */
	const struct tls_chain *chain;
	struct http_connection *connection;
};

/* Called once a request is whole. The handler ends the exchange by exactly one of http_reply(),
 * http_reply_problem() and http_stream_start(), in the call or later. `request` and all it points
 * to are valid until then (or until the peer left). */
typedef void http_handler(
        void *context, struct http_exchange *exchange, const struct http_request *request);

int http_server_new(struct loop *loop, http_handler *handler, void *context,
        struct http_server **ret_server) must_use;
/* Closes everything; the owners of open exchanges and streams are told. Not from inside a handler.
 */
struct http_server *http_server_free(struct http_server *server);
AUTO_DEFINE(http_server)

/* For metrics and for the record: a peer that never got as far as a request. `text` says why. */
typedef void http_refused_handler(
        void *context, int tag, const struct socket_text *peer, const char *text);
void http_server_on_refused(struct http_server *server, http_refused_handler *handler);

struct http_counts {
	uint64_t accepted, handshakes, handshakes_failed, requests, requests_refused, deadlines,
	        over_peer_max, over_connections_max, handshakes_evicted, streams_dropped;
	uint64_t connections, streams; /* now */
};

const struct http_counts *http_server_counts(const struct http_server *server);

struct http_listener_options {
	int fd; /* bound and listening, non-blocking, adopted; or -1 to listen on address and port
	         */
	const char *address;
	uint16_t port; /* 0: chosen by the kernel */
	SSL_CTX *tls;  /* NULL: plain. A reference of its own is taken. */
	int tag;
	bool version_10; /* serve HTTP/1.0 as well, one request a connection */
	/* 0 takes the value of base/limits.h. */
	size_t body_bytes_max;
	size_t stream_queue_bytes_max;
	int handshake_msec, header_msec, body_msec, idle_msec, write_msec;
	size_t connections_max, connections_per_peer_max, handshakes_max;
};

/* Outcome 1: the address is not one. */
int http_server_listen(struct http_server *server, const struct http_listener_options *options,
        struct http_listener **ret_listener, struct err *err) must_use;

/* Stops accepting; connections live on. The listener stays valid until http_server_free(). */
void http_listener_stop(struct http_listener *listener);
uint16_t http_listener_port(const struct http_listener *listener);

/* New connections use `tls` from now on (a reference is taken); those that are open keep the old
 * one: who revokes a certificate closes them by http_server_each(). Not between plain and TLS. */
void http_server_swap_tls(struct http_listener *listener, SSL_CTX *tls);

/* A connection carries one pointer of the caller, such as the identity its certificate stands for.
 * `release` is called with it when it is replaced or the connection is closed; may be NULL. */
void http_connection_set_context(
        struct http_connection *connection, void *context, void (*release)(void *context));
void *http_connection_context(const struct http_connection *connection);

/* Visits every connection; the visitor may close any of them. Not nested. */
typedef void http_visitor(void *context, struct http_connection *connection);
void http_server_each(struct http_server *server, http_visitor *visitor, void *context);
/* Closes now. The owner of its open exchange or stream is told. */
void http_connection_close(struct http_connection *connection);

/* The peer left, or the connection was closed: the handle is gone and is not to be used again. */
typedef void http_gone_handler(void *context);
void http_exchange_on_gone(
        struct http_exchange *exchange, http_gone_handler *handler, void *context);

const struct http_request *http_exchange_request(const struct http_exchange *exchange);

#define HTTP_REPLY_FIELDS_MAX 12

struct http_reply {
	int status;
	const char *content_type; /* NULL only without a body */
	/* Further fields (Retry-After, Location, WWW-Authenticate …) up to the first without a
	 * name. The values hold no control bytes (http1_value_valid(); asserted). */
	struct http1_field fields[HTTP_REPLY_FIELDS_MAX];
	const void *body; /* at most HTTP_RESPONSE_BODY_BYTES_MAX (asserted) */
	size_t body_bytes;
	bool close; /* end the connection after it */
};

/* Ends the exchange; everything is copied or sent in the call. */
void http_reply(struct http_exchange *exchange, const struct http_reply *reply);

/* Ends the exchange with a problem (RFC 9457): type "/problems/<type_slug>", or "about:blank" when
 * that is NULL; `title` NULL takes the status's phrase; `detail` NULL leaves it out. */
void http_reply_problem(struct http_exchange *exchange, int status, const char *type_slug,
        const char *title, const char *detail);

/* The body of a problem, for who adds fields of his own to the reply. */
void http_problem_print(
        struct buf *out, int status, const char *type_slug, const char *title, const char *detail);

/* Ends the exchange with a long-lived body that lasts until the connection ends. `closed` is called
 * once when the peer leaves or the connection is closed by other means than the functions below.
 * Returns NULL (and calls nothing) when the peer is gone already. The request and the certificates
 * are freed: copy before. */
struct http_stream *http_stream_start(struct http_exchange *exchange, const char *content_type,
        http_gone_handler *closed, void *context) must_use;

/* Sends, or queues what the peer does not take yet. Outcome 1: more than the queue's maximum would
 * wait; outcome 2: the peer is gone. After an outcome the stream is closed, its handle is gone, and
 * `closed` is not called. */
int http_stream_send(struct http_stream *stream, const void *bytes, size_t count) must_use;

/* Closes from our side; `closed` is not called. */
void http_stream_close(struct http_stream *stream);
struct http_connection *http_stream_connection(const struct http_stream *stream);
