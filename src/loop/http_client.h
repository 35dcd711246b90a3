/*
 * The HTTP/1.1 client of the gateway agent and the command line: one connection to one server,
 * plain or TLS, kept alive between requests; one request in flight, the others wait their turn.
 *
 * Nothing blocks the loop, the resolving of names included. No handler is called from inside the
 * function that started it. Any handler may free the client. SIGPIPE is ignored for the process
 * from http_client_new() on.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "loop/loop.h"
#include "loop/socket.h"
#include "loop/tls.h"
#include "wire/http1.h"
#include "wire/sse.h"

struct http_client;

struct http_client_options {
	const char *host; /* a name or an address */
	uint16_t port;
	SSL_CTX *tls;            /* NULL: plain. A reference of its own is taken. */
	const char *server_name; /* what the server's certificate must be for; NULL: host */
	const char *source;      /* numeric address to connect from; NULL: any */
};

/* The texts are copied. */
int http_client_new(struct loop *loop, const struct http_client_options *options,
        struct http_client **ret_client) must_use;
/* Closes; handlers of what was open are not called. */
struct http_client *http_client_free(struct http_client *client);
AUTO_DEFINE(http_client)

/* New connections use `tls` (a reference is taken); an idle one is closed. */
void http_client_swap_tls(struct http_client *client, SSL_CTX *tls);

/* The connection's ends; empty text and port 0 while there is none. */
struct socket_text http_client_local(const struct http_client *client);
struct socket_text http_client_peer(const struct http_client *client);

struct http_response {
	/* 0: answered, `message` is the answer. Else why there is none: -ETIMEDOUT, -ECONNREFUSED,
	 * -ECONNRESET, -EHOSTUNREACH (name not resolved), -EACCES (a certificate was refused, by
	 * either side), -EPROTO (TLS or HTTP broken), -EMSGSIZE … */
	int fault;
	const char *reason;                  /* in words, with host and port; "" when answered */
	const struct http1_message *message; /* status, fields, body; NULL with a fault */
};

/* `response` is valid for the call. */
typedef void http_response_handler(void *context, const struct http_response *response);

#define HTTP_CLIENT_FIELDS_MAX 12

struct http_client_request {
	const char *method, *path; /* path: with its query, already escaped */
	struct http1_field fields[HTTP_CLIENT_FIELDS_MAX]; /* up to the first without a name */
	const char *content_type;
	const void *body;
	size_t body_bytes;
	int deadline_msec;              /* from now to the answer, the waiting included */
	size_t response_bytes_max;      /* 0: HTTP_RESPONSE_BODY_BYTES_MAX */
	http_response_handler *handler; /* called exactly once */
	void *context;
};

/* Everything is copied. Outcome 1: the queue is full, or a stream is open on this client; outcome
 * 2: the path or a field holds bytes that may not be sent. */
int http_client_request(
        struct http_client *client, const struct http_client_request *request) must_use;

struct http_client_stream {
	const char *path;
	struct http1_field fields[HTTP_CLIENT_FIELDS_MAX];
	int deadline_msec; /* to the start of the stream */
	int silence_msec; /* nothing heard for so long (no event, no heartbeat) ends it; 0: no limit
	                   */
	void (*opened)(void *context); /* the server agreed; may be NULL */
	sse_handler *event;            /* heartbeats too: event name NULL */
	/* Called exactly once: `fault` < 0 as above (-EPIPE: the server ended the stream), or 0 and
	 * the answer of a server that did not start a stream. */
	http_response_handler *closed;
	void *context;
};

/* Asks for a stream of server-sent events; the client serves nothing else while it is open.
 * Outcomes as above (1 also when requests are waiting). */
int http_client_stream(
        struct http_client *client, const struct http_client_stream *stream) must_use;

/* Closes the connection. What is in flight, a stream included, ends with -ECANCELED. */
void http_client_close(struct http_client *client);

/* For the command line: one request, and waiting for its answer. */
struct http_result {
	int status;
	char *content_type, *location, *retry_after, *authenticate; /* NULL where not sent */
	struct buf body;
};

/* Faults as in http_response, with text. Outcome 2 as above. `request.handler` is not used. */
int http_call(const struct http_client_options *options, const struct http_client_request *request,
        struct http_result *ret_result, struct err *err) must_use;
void http_result_clear(struct http_result *result);
