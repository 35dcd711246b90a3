/*
 * Shared by http_server.c (listeners, limits, deadlines) and http_connection.c (the life of one
 * connection). Nobody else includes it.
 *
 *  accept ─▶ HANDSHAKE ─▶ READING ─▶ WAITING ─▶ WRITING ─▶ READING …
 *                            │          │          └─▶ LINGERING ─▶ closed
 *                            │          └─▶ STREAMING ─▶ closed
 *                            └─(refused)─▶ WRITING
 *
 * Each deadline class of a listener is a list in order of time, because all its members have the
 * same length: entering and leaving cost O(1), and one timer serves all of them.
 */
#pragma once

#include <sys/queue.h>

#include "base/buf.h"
#include "loop/http_server.h"

enum http_state {
	HTTP_HANDSHAKE,
	HTTP_READING,
	HTTP_WAITING,
	HTTP_WRITING,
	HTTP_STREAMING,
	HTTP_LINGERING,
};

enum http_class {
	HTTP_DEADLINE_HANDSHAKE,
	HTTP_DEADLINE_HEADER,
	HTTP_DEADLINE_BODY,
	HTTP_DEADLINE_IDLE,
	HTTP_DEADLINE_WRITE,
	HTTP_DEADLINE_LINGER,
	HTTP_DEADLINE_COUNT,
	HTTP_DEADLINE_NONE = HTTP_DEADLINE_COUNT,
};

TAILQ_HEAD(http_connections, http_connection);

/* A peer address (an IPv6 /64) and how many connections it has. */
struct http_peer {
	uint8_t key[16];
	size_t connections;
	struct http_peer *next;
};

/* One request, from its first byte to its answer. */
struct http_exchange {
	struct http_connection *connection;
	struct http1 *parser;
	struct http_request request;
	http_gone_handler *gone;
	void *gone_context;
	bool head_done, handed;
};

struct http_stream {
	struct http_connection *connection;
	http_gone_handler *closed;
	void *context;
};

struct http_connection {
	struct http_listener *listener;
	struct tls_stream stream;
	struct loop_fd *watch;
	uint32_t watched;
	enum http_state state;
	bool dead, pumping, close_after, linger;
	enum http_class class;
	int64_t due_usec;
	TAILQ_ENTRY(http_connection) timed, all;
	struct http_peer *peer;
	struct socket_text peer_text, local_text;
	struct tls_chain *chain;
	struct http_exchange *exchange;
	struct http_stream *events;
	struct buf in;  /* bytes of the next request that came with the last one */
	struct buf out; /* what the peer does not take yet, from out_at on */
	size_t out_at, out_progress;
	size_t lingered_bytes;
	void *context;
	void (*release)(void *context);
};

#define HTTP_PEER_BUCKETS 4096

struct http_listener {
	struct http_server *server;
	struct http_listener *next;
	struct http_listener_options options;
	int fd;
	struct loop_fd *watch;
	bool paused;
	size_t connections, handshakes;
	struct http_connections deadlines[HTTP_DEADLINE_COUNT];
	int deadline_msec[HTTP_DEADLINE_COUNT];
	struct loop_timer *timer;
	int64_t timer_due_usec; /* 0 while off */
	uint64_t peer_key;
	struct http_peer *peers[HTTP_PEER_BUCKETS];
};

struct http_server {
	struct loop *loop;
	http_handler *handler;
	http_refused_handler *refused;
	void *context;
	struct http_listener *listeners;
	struct http_connections connections;
	struct http_connection *visit_next;
	bool visiting;
	struct http_connections dead; /* freed when no callback can name them any more */
	struct loop_timer *bury;
	uint64_t handshake_round;
	int handshake_steps;
	struct http_counts counts;
	struct buf out;            /* replies are composed here */
	uint8_t scratch[16 << 10]; /* one TLS record */
};

/* http_server.c */
void http_deadline_set(struct http_connection *connection, enum http_class class);
void http_handshake_ended(struct http_connection *connection);
void http_listener_forget(struct http_connection *connection);
bool http_handshake_allowed(struct http_server *server);
void http_refused_tell(const struct http_connection *connection, const char *text);

/* http_connection.c */
int http_connection_new(struct http_listener *listener, int fd, struct http_peer *peer,
        const struct sockaddr_storage *address);
void http_connection_late(struct http_connection *connection);
