/* Listeners, the limits on peers, and deadlines. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "loop/http_private.h"

#define ACCEPTS_PER_EVENT 64
#define PAUSE_MSEC 100 /* no descriptors left: look again after this */

static void bury_dead(void *context)
{
	struct http_server *server = context;
	struct http_connection *connection;

	while ((connection = TAILQ_FIRST(&server->dead))) {
		TAILQ_REMOVE(&server->dead, connection, all);
		free(connection);
	}
}

int http_server_new(
        struct loop *loop, http_handler *handler, void *context, struct http_server **ret_server)
{
	struct http_server *server = mem_new(1, sizeof(*server));

	/* A write to a peer that left is an error of that write, never the end of the process. */
	signal(SIGPIPE, SIG_IGN);
	server->loop = loop;
	server->handler = handler;
	server->context = context;
	TAILQ_INIT(&server->connections);
	TAILQ_INIT(&server->dead);
	server->bury = loop_timer_new(loop, bury_dead, server);
	server->out = BUF(HTTP_RESPONSE_BODY_BYTES_MAX + (64 << 10));
	*ret_server = server;
	return 0;
}

static void listener_free(struct http_listener *listener)
{
	http_listener_stop(listener);
	loop_timer_free(listener->timer);
	SSL_CTX_free(listener->options.tls);
	free(listener);
}

struct http_server *http_server_free(struct http_server *server)
{
	if (!server) {
		return NULL;
	}
	while (!TAILQ_EMPTY(&server->connections)) {
		http_connection_close(TAILQ_FIRST(&server->connections));
	}
	while (server->listeners) {
		struct http_listener *listener = server->listeners;

		server->listeners = listener->next;
		listener_free(listener);
	}
	bury_dead(server);
	loop_timer_free(server->bury);
	buf_clear(&server->out);
	free(server);
	return NULL;
}

void http_server_on_refused(struct http_server *server, http_refused_handler *handler)
{
	server->refused = handler;
}

const struct http_counts *http_server_counts(const struct http_server *server)
{
	return &server->counts;
}

void http_refused_tell(const struct http_connection *connection, const char *text)
{
	const struct http_server *server = connection->listener->server;

	if (server->refused) {
		server->refused(server->context, connection->listener->options.tag,
		        &connection->peer_text, text);
	}
}

/* Peers. */

static void peer_key(const struct sockaddr_storage *address, uint8_t key[16])
{
	memset(key, 0, 16);
	if (address->ss_family == AF_INET) {
		memcpy(key + 12, &((const struct sockaddr_in *)address)->sin_addr, 4);
	} else {
		const struct in6_addr *in6 = &((const struct sockaddr_in6 *)address)->sin6_addr;

		/* A subscriber has a /64 of IPv6 to itself, so that is one peer; IPv4 in IPv6 is
		 * IPv4. */
		if (IN6_IS_ADDR_V4MAPPED(in6)) {
			memcpy(key + 12, in6->s6_addr + 12, 4);
		} else {
			memcpy(key, in6->s6_addr, 8);
		}
	}
}

/* Keyed, so that a peer cannot choose addresses that fall together. */
static size_t peer_bucket(const struct http_listener *listener, const uint8_t key[16])
{
	uint64_t high, low;

	memcpy(&high, key, 8);
	memcpy(&low, key + 8, 8);
	for (int i = 0; i < 2; i++) {
		high = (high ^ low ^ listener->peer_key) * 0x9e3779b97f4a7c15ULL;
		low ^= high >> 29;
	}
	return (size_t)((high ^ high >> 32) % HTTP_PEER_BUCKETS);
}

static struct http_peer *peer_get(
        struct http_listener *listener, const struct sockaddr_storage *address)
{
	struct http_peer **bucket, *peer;
	uint8_t key[16];

	peer_key(address, key);
	bucket = &listener->peers[peer_bucket(listener, key)];
	for (peer = *bucket; peer; peer = peer->next) {
		if (memcmp(peer->key, key, sizeof(key)) == 0) {
			return peer;
		}
	}
	peer = mem_new(1, sizeof(*peer));
	memcpy(peer->key, key, sizeof(key));
	peer->next = *bucket;
	*bucket = peer;
	return peer;
}

static void peer_put(struct http_listener *listener, struct http_peer *peer)
{
	struct http_peer **place = &listener->peers[peer_bucket(listener, peer->key)];

	if (peer->connections > 0) {
		return;
	}
	while (*place != peer) {
		place = &(*place)->next;
	}
	*place = peer->next;
	free(peer);
}

/* Deadlines. */

static void timer_want(struct http_listener *listener, int64_t due_usec)
{
	if (listener->timer_due_usec == 0 || due_usec < listener->timer_due_usec) {
		int64_t left = due_usec - clock_monotonic_usec();

		listener->timer_due_usec = due_usec;
		loop_timer_set(listener->timer, left > 0 ? (left + 999) / 1000 : 0);
	}
}

void http_deadline_set(struct http_connection *connection, enum http_class class)
{
	struct http_listener *listener = connection->listener;

	if (connection->class != HTTP_DEADLINE_NONE) {
		TAILQ_REMOVE(&listener->deadlines[connection->class], connection, timed);
	}
	connection->class = class;
	if (class == HTTP_DEADLINE_NONE) {
		return;
	}
	connection->due_usec =
	        clock_monotonic_usec() + listener->deadline_msec[class] * USEC_PER_MSEC;
	TAILQ_INSERT_TAIL(&listener->deadlines[class], connection, timed);
	timer_want(listener, connection->due_usec);
}

static void resume(struct http_listener *listener)
{
	if (listener->paused && listener->watch) {
		listener->paused = false;
		loop_watch_events(listener->watch, EPOLLIN);
	}
}

static void pause_accepting(struct http_listener *listener, int64_t until_usec)
{
	listener->paused = true;
	loop_watch_events(listener->watch, 0);
	timer_want(listener, until_usec);
}

/* When the oldest handshake may be sacrificed for a new one, 0 if there is none. */
static int64_t evict_usec(const struct http_listener *listener)
{
	const struct http_connection *oldest =
	        TAILQ_FIRST(&listener->deadlines[HTTP_DEADLINE_HANDSHAKE]);

	return oldest ? oldest->due_usec +
	                        (HTTP_HANDSHAKE_EVICT_MSEC -
	                                listener->deadline_msec[HTTP_DEADLINE_HANDSHAKE]) *
	                                USEC_PER_MSEC
	              : 0;
}

static void on_timer(void *context)
{
	struct http_listener *listener = context;
	int64_t now = clock_monotonic_usec(), next = 0;

	listener->timer_due_usec = 0;
	for (int class = 0; class < HTTP_DEADLINE_COUNT; class ++) {
		struct http_connection *first;

		while ((first = TAILQ_FIRST(&listener->deadlines[class])) &&
		        first->due_usec <= now) {
			http_connection_late(first);
		}
		if (first && (next == 0 || first->due_usec < next)) {
			next = first->due_usec;
		}
	}
	resume(listener);
	if (next > 0) {
		timer_want(listener, next);
	}
}

/* Accepting. */

void http_handshake_ended(struct http_connection *connection)
{
	connection->listener->handshakes--;
	resume(connection->listener);
}

bool http_handshake_allowed(struct http_server *server)
{
	if (server->handshake_round != loop_round(server->loop)) {
		server->handshake_round = loop_round(server->loop);
		server->handshake_steps = 0;
	}
	return server->handshake_steps++ < HTTP_HANDSHAKES_PER_ROUND_MAX;
}

/* Makes room for one more handshake. False: accepting is paused. */
static bool room_for_handshake(struct http_listener *listener)
{
	int64_t evict;

	if (!listener->options.tls || listener->handshakes < listener->options.handshakes_max) {
		return true;
	}
	evict = evict_usec(listener);
	if (evict > clock_monotonic_usec()) {
		pause_accepting(listener, evict);
		return false;
	}
	/* Whoever needs this long while others wait is most likely not going to finish. */
	listener->server->counts.handshakes_evicted++;
	http_connection_close(TAILQ_FIRST(&listener->deadlines[HTTP_DEADLINE_HANDSHAKE]));
	return true;
}

static bool room_for_connection(struct http_listener *listener)
{
	struct http_connection *idle = TAILQ_FIRST(&listener->deadlines[HTTP_DEADLINE_IDLE]);

	if (listener->connections >= listener->options.connections_max && idle) {
		http_connection_close(idle);
	}
	return listener->connections < listener->options.connections_max;
}

static void take_connection(
        struct http_listener *listener, int fd, const struct sockaddr_storage *address)
{
	struct http_server *server = listener->server;
	struct http_peer *peer;

	server->counts.accepted++;
	if (!room_for_connection(listener)) {
		server->counts.over_connections_max++;
		close(fd);
		return;
	}
	peer = peer_get(listener, address);
	if (peer->connections >= listener->options.connections_per_peer_max) {
		server->counts.over_peer_max++;
		close(fd);
		return;
	}
	peer->connections++;
	if (http_connection_new(listener, fd, peer, address) < 0) {
		peer->connections--;
		peer_put(listener, peer);
	}
}

static void on_accept(void *context, uint32_t events)
{
	struct http_listener *listener = context;

	for (int i = 0; i < ACCEPTS_PER_EVENT && listener->watch && !listener->paused; i++) {
		struct sockaddr_storage address = { 0 };
		socklen_t bytes = sizeof(address);
		int fd;

		if (!room_for_handshake(listener)) {
			return;
		}
		fd = accept4(listener->fd, (struct sockaddr *)&address, &bytes,
		        SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			take_connection(listener, fd, &address);
		} else if (errno == EAGAIN) {
			return;
		} else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
		           errno == ENOMEM) {
			pause_accepting(
			        listener, clock_monotonic_usec() + PAUSE_MSEC * USEC_PER_MSEC);
			return;
		}
	}
}

/* What a connection gives back when it ends; called by http_connection_close(). */
void http_listener_forget(struct http_connection *connection)
{
	struct http_listener *listener = connection->listener;
	struct http_server *server = listener->server;

	http_deadline_set(connection, HTTP_DEADLINE_NONE);
	listener->connections--;
	server->counts.connections--;
	if (connection->state == HTTP_HANDSHAKE) {
		http_handshake_ended(connection);
	}
	connection->peer->connections--;
	peer_put(listener, connection->peer);
	if (server->visit_next == connection) {
		server->visit_next = TAILQ_NEXT(connection, all);
	}
	TAILQ_REMOVE(&server->connections, connection, all);
	if (TAILQ_EMPTY(&server->dead)) {
		loop_timer_set(server->bury, 0);
	}
	TAILQ_INSERT_TAIL(&server->dead, connection, all);
	resume(listener);
}

static int pick(int wanted, int otherwise)
{
	return wanted > 0 ? wanted : otherwise;
}

static size_t pick_size(size_t wanted, size_t otherwise)
{
	return wanted > 0 ? wanted : otherwise;
}

static struct http_listener *listener_new(
        struct http_server *server, const struct http_listener_options *options)
{
	struct http_listener *listener = mem_new(1, sizeof(*listener));
	struct http_listener_options *own = &listener->options;

	*own = *options;
	own->address = NULL;
	own->body_bytes_max = pick_size(own->body_bytes_max, HTTP_BODY_BYTES_MAX);
	own->stream_queue_bytes_max =
	        pick_size(own->stream_queue_bytes_max, HTTP_STREAM_QUEUE_BYTES_MAX);
	own->connections_max = pick_size(own->connections_max, HTTP_CONNECTIONS_MAX);
	own->connections_per_peer_max =
	        pick_size(own->connections_per_peer_max, HTTP_CONNECTIONS_PER_PEER_MAX);
	own->handshakes_max = pick_size(own->handshakes_max, HTTP_HANDSHAKES_MAX);
	listener->deadline_msec[HTTP_DEADLINE_HANDSHAKE] =
	        pick(own->handshake_msec, HTTP_HANDSHAKE_DEADLINE_MSEC);
	listener->deadline_msec[HTTP_DEADLINE_HEADER] =
	        pick(own->header_msec, HTTP_HEADER_DEADLINE_MSEC);
	listener->deadline_msec[HTTP_DEADLINE_BODY] = pick(own->body_msec, HTTP_BODY_DEADLINE_MSEC);
	listener->deadline_msec[HTTP_DEADLINE_IDLE] = pick(own->idle_msec, HTTP_IDLE_DEADLINE_MSEC);
	listener->deadline_msec[HTTP_DEADLINE_WRITE] =
	        pick(own->write_msec, HTTP_BODY_DEADLINE_MSEC);
	listener->deadline_msec[HTTP_DEADLINE_LINGER] = HTTP_LINGER_MSEC;
	for (int class = 0; class < HTTP_DEADLINE_COUNT; class ++) {
		TAILQ_INIT(&listener->deadlines[class]);
	}
	random_fill(&listener->peer_key, sizeof(listener->peer_key));
	if (own->tls) {
		SSL_CTX_up_ref(own->tls);
	}
	listener->server = server;
	listener->fd = own->fd;
	listener->timer = loop_timer_new(server->loop, on_timer, listener);
	return listener;
}

int http_server_listen(struct http_server *server, const struct http_listener_options *options,
        struct http_listener **ret_listener, struct err *err)
{
	struct http_listener *listener = listener_new(server, options);
	int r = 0;

	if (listener->fd < 0) {
		r = socket_listen(options->address, options->port, &listener->fd, err);
	}
	if (r == 0) {
		r = loop_watch(
		        server->loop, listener->fd, EPOLLIN, on_accept, listener, &listener->watch);
	}
	if (r != 0) {
		listener_free(listener);
		return r < 0 ? FAULT(r) : r;
	}
	listener->next = server->listeners;
	server->listeners = listener;
	*ret_listener = listener;
	return 0;
}

void http_listener_stop(struct http_listener *listener)
{
	listener->watch = loop_unwatch(listener->watch);
	if (listener->fd >= 0) {
		close(listener->fd);
		listener->fd = -1;
	}
}

uint16_t http_listener_port(const struct http_listener *listener)
{
	return listener->fd >= 0 ? socket_local(listener->fd).port : 0;
}

void http_server_swap_tls(struct http_listener *listener, SSL_CTX *tls)
{
	assert_always(tls && listener->options.tls);
	SSL_CTX_up_ref(tls);
	SSL_CTX_free(listener->options.tls);
	listener->options.tls = tls;
}

void http_server_each(struct http_server *server, http_visitor *visitor, void *context)
{
	struct http_connection *connection = TAILQ_FIRST(&server->connections);

	assert_always(!server->visiting);
	server->visiting = true;
	while (connection) {
		server->visit_next = TAILQ_NEXT(connection, all);
		visitor(context, connection);
		connection = server->visit_next;
	}
	server->visit_next = NULL;
	server->visiting = false;
}
