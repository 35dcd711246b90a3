/* The HTTP server and client against each other and against rude peers, over loopback. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "../check.h"
#include "certs.h"
#include "loop/http_client.h"
#include "loop/http_server.h"

#define PLAIN_TAG 1
#define TLS_TAG 2
#define BIG_BYTES (8 << 20) /* more than the kernel holds for a peer that does not read */

/* One world for each test: a loop, a server with what its handler saw, and clients. */
struct world {
	struct loop *loop;
	struct loop_timer *timer;
	struct http_server *server;
	struct http_listener *listener;
	int requests, gone, stream_closed, refused, released;
	struct http_exchange *held;
	struct http_stream *stream;
	struct buf log;
	char refused_text[200];
};

static struct world world;
static struct identity ca, other_ca, server_identity, client_identity, foreign_identity;

static void stop_loop(void *context)
{
	loop_stop(world.loop, 0);
}

/* Lets the loop run for a while; loop_stop() ends it early. */
static void run_for(int msec)
{
	loop_timer_set(world.timer, msec);
	if (loop_run(world.loop) != 0) {
		abort();
	}
}

static void count_gone(void *context)
{
	(*(int *)context)++;
}

static void count_release(void *context)
{
	world.released++;
}

static void reply_text(struct http_exchange *exchange, const char *text)
{
	http_reply(exchange, &(struct http_reply){ .status = 200,
	                             .content_type = "text/plain",
	                             .body = text,
	                             .body_bytes = strlen(text) });
}

static void describe(struct http_exchange *exchange, const struct http_request *request)
{
	AUTO_BUF struct buf text = BUF(4096);
	const char *query = http1_query(request->message, "x");

	buf_add_format(&text,
	        "%s %s x=%s tag=%d peer=%s chain=%zu verify=%ld body=", request->message->method,
	        request->message->path, query ? query : "", request->tag, request->peer->address,
	        request->chain->count, request->chain->verify_result);
	buf_add(&text, request->message->body, request->message->body_bytes);
	reply_text(exchange, buf_text(&text));
}

static void serve(void *context, struct http_exchange *exchange, const struct http_request *request)
{
	const char *path = request->message->path;

	world.requests++;
	if (text_equal(path, "/hold")) {
		world.held = exchange;
		http_exchange_on_gone(exchange, count_gone, &world.gone);
	} else if (text_equal(path, "/events")) {
		http_connection_set_context(request->connection, &world, count_release);
		world.stream = http_stream_start(
		        exchange, "text/event-stream", count_gone, &world.stream_closed);
	} else if (text_equal(path, "/problem")) {
		http_reply_problem(exchange, 409, "site-exists", "Site exists", "name: \"a\\b\"\n");
	} else if (text_equal(path, "/close")) {
		http_reply(exchange, &(struct http_reply){ .status = 204, .close = true });
	} else if (text_equal(path, "/later")) {
		http_reply(exchange,
		        &(struct http_reply){ .status = 202,
		                .fields = { { "Retry-After", "30" }, { "Location", "/later" } } });
	} else if (text_equal(path, "/big")) {
		char *big = mem_new(BIG_BYTES, 1);

		memset(big, 'b', BIG_BYTES);
		http_reply(exchange, &(struct http_reply){ .status = 200,
		                             .content_type = "application/octet-stream",
		                             .body = big,
		                             .body_bytes = BIG_BYTES });
		free(big);
	} else {
		describe(exchange, request);
	}
}

static void note_refused(void *context, int tag, const struct socket_text *peer, const char *text)
{
	world.refused++;
	snprintf(world.refused_text, sizeof(world.refused_text), "%s", text);
}

static const struct tls_policy both_sides = { .peer = TLS_PEER_REQUIRED };

/* `options` sets what differs; fd, address, port and tag are filled in. */
static void world_open(struct http_listener_options options, bool tls)
{
	world = (struct world){ .log = BUF(1 << 20) };
	options.fd = -1;
	options.address = "127.0.0.1";
	options.tag = tls ? TLS_TAG : PLAIN_TAG;
	if (tls && !ca.key) {
		ca = identity_new("ca", NULL);
		other_ca = identity_new("ca", NULL);
		server_identity = identity_new("center", &ca);
		client_identity = identity_new("gateway", &ca);
		foreign_identity = identity_new("gateway", &other_ca);
	}
	if (tls && !options.tls) {
		options.tls = context_new(true, &server_identity, &ca, &both_sides);
	} else if (tls) {
		SSL_CTX_up_ref(options.tls);
	}
	if (loop_new(&world.loop) != 0 ||
	        http_server_new(world.loop, serve, NULL, &world.server) != 0 ||
	        http_server_listen(world.server, &options, &world.listener, NULL) != 0) {
		abort();
	}
	http_server_on_refused(world.server, note_refused);
	world.timer = loop_timer_new(world.loop, stop_loop, NULL);
	SSL_CTX_free(options.tls);
}

static void world_close(void)
{
	http_server_free(world.server);
	loop_timer_free(world.timer);
	loop_free(world.loop);
	buf_clear(&world.log);
}

/* Runs until a stream has been started since the last time, at most a second. */
static bool await_stream(void)
{
	int64_t until = clock_monotonic_usec() + USEC_PER_SEC;

	world.stream = NULL;
	while (!world.stream && clock_monotonic_usec() < until) {
		run_for(2);
	}
	return world.stream != NULL;
}

/* Runs until a counter has reached a value, at most a second. */
static bool await_count(const int *counter, int value)
{
	int64_t until = clock_monotonic_usec() + USEC_PER_SEC;

	while (*counter < value && clock_monotonic_usec() < until) {
		run_for(2);
	}
	return *counter == value;
}

/* Raw peers. */

static int dial(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons(http_listener_port(world.listener)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
		abort();
	}
	return fd;
}

static void say(int fd, const char *text)
{
	size_t count = strlen(text);

	while (count > 0) {
		ssize_t sent = send(fd, text, count, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent > 0) {
			text += sent;
			count -= (size_t)sent;
		} else if (errno == EAGAIN) {
			run_for(2);
		} else {
			return; /* The server has had enough. */
		}
	}
}

/* Runs the loop until the peer has read `want` or an end, at most 600 ms. True at an end. */
static bool hear(int fd, struct buf *heard, const char *want)
{
	int64_t until = clock_monotonic_usec() + 600 * USEC_PER_MSEC;

	while (clock_monotonic_usec() < until) {
		ssize_t got;

		run_for(2);
		do {
			uint8_t *room = buf_reserve(heard, 65536);

			got = recv(fd, room, 65536, MSG_DONTWAIT);
			if (got > 0) {
				heard->count += (size_t)got;
				heard->bytes[heard->count] = '\0';
			}
		} while (got > 0);
		if (got == 0 || (got < 0 && errno != EAGAIN)) {
			return true;
		}
		if (want && heard->count > 0 && strstr(buf_text(heard), want)) {
			return false;
		}
	}
	return false;
}

static size_t count_of(const char *text, const char *what)
{
	size_t count = 0;

	while ((text = strstr(text, what))) {
		count++;
		text += strlen(what);
	}
	return count;
}

/* What a raw peer gets for `text`; the connection must then have been ended if `ends`. */
static bool ask(const char *text, const char *want, bool ends)
{
	AUTO_BUF struct buf heard = BUF(8 << 20);
	AUTO_FD int fd = dial();
	bool ended;

	say(fd, text);
	ended = hear(fd, &heard, ends ? NULL : want);
	if (!strstr(buf_text(&heard), want) || ended != ends) {
		printf("# ended %d, heard: %s\n", ended, buf_text(&heard));
		return false;
	}
	return true;
}

TEST(http_serves_plain_requests)
{
	world_open((struct http_listener_options){ 0 }, false);
	CHECK(ask("GET /a%20b?x=1%2B1 HTTP/1.1\r\nHost: a\r\n\r\n",
	        "GET /a b x=1+1 tag=1 peer=127.0.0.1 chain=0 verify=0 body=", false));
	CHECK(ask("POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
	          "2\r\nde\r\n0\r\n\r\n",
	        "body=abcde", false));
	CHECK(ask("GET /close HTTP/1.1\r\nHost: a\r\n\r\n",
	        "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n", true));
	CHECK(ask("GET /later HTTP/1.1\r\nHost: a\r\n\r\n",
	        "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nRetry-After: 30\r\n"
	        "Location: /later\r\n\r\n",
	        false));
	CHECK(ask("HEAD /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
	        "Connection: close\r\n\r\n", true));
	world_close();
}

TEST(http_problem_is_rfc9457)
{
	world_open((struct http_listener_options){ 0 }, false);
	CHECK(ask("GET /problem HTTP/1.1\r\nHost: a\r\n\r\n",
	        "{\"type\":\"/problems/site-exists\",\"title\":\"Site exists\",\"status\":409,"
	        "\"detail\":\"name: \\\"a\\\\b\\\"\\u000a\"}",
	        false));
	CHECK(world.requests == 1);
	world_close();
}

TEST(http_pipelined_requests_are_answered_in_order)
{
	AUTO_BUF struct buf text = BUF(1 << 20), heard = BUF(8 << 20);
	int fd;

	world_open((struct http_listener_options){ 0 }, false);
	for (int i = 0; i < 100; i++) {
		buf_add_format(&text, "GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", i);
	}
	buf_add_text(&text,
	        "GET /hold HTTP/1.1\r\nHost: a\r\n\r\nGET /after HTTP/1.1\r\nHost: a\r\n\r\n");
	fd = dial();
	say(fd, buf_text(&text));
	(void)hear(fd, &heard, "GET /99 ");
	CHECK(count_of(buf_text(&heard), "HTTP/1.1 200 OK") == 100);
	CHECK(strstr(buf_text(&heard), "GET /98 ") < strstr(buf_text(&heard), "GET /99 "));
	run_for(10);
	/* The held one is open: what came behind it waits. */
	CHECK(world.held && world.requests == 101);
	reply_text(world.held, "let go");
	(void)hear(fd, &heard, "GET /after ");
	CHECK(strstr(buf_text(&heard), "let go") < strstr(buf_text(&heard), "GET /after "));
	CHECK(world.requests == 102 && world.gone == 0);
	close(fd);
	world_close();
}

TEST(http_refusals_name_the_reason_and_close)
{
	AUTO_BUF struct buf large = BUF(1 << 20);

	world_open((struct http_listener_options){ .body_bytes_max = 1000 }, false);
	CHECK(ask("GET / HTTP/1.1\r\n\r\n", "\"detail\":\"header field Host is missing\"", true));
	CHECK(ask("GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 400 Bad Request", true));
	CHECK(ask("GET / HTTP/1.0\r\n\r\n", "HTTP/1.1 505 HTTP Version Not Supported", true));
	CHECK(ask("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\"status\":505", true));
	CHECK(ask("\x16\x03\x01\x02\n", "\"status\":400", true));
	CHECK(ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: "
	          "chunked\r\n\r\n",
	        "\"detail\":\"Content-Length and Transfer-Encoding are given together\"", true));
	/* The peer is in the middle of sending: it must still get to read why. */
	buf_add_text(&large, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
	for (int i = 0; i < 100000; i++) {
		buf_add_u8(&large, 'x');
	}
	CHECK(ask(buf_text(&large), "HTTP/1.1 413 Content Too Large", true));
	buf_reset(&large);
	buf_add_text(&large, "GET / HTTP/1.1\r\nHost: a\r\nX: ");
	for (int i = 0; i < 50000; i++) {
		buf_add_u8(&large, 'x');
	}
	CHECK(ask(buf_text(&large), "HTTP/1.1 431 Request Header Fields Too Large", true));
	CHECK(world.requests == 0);
	CHECK(http_server_counts(world.server)->requests_refused == 8 && world.refused == 8);
	world_close();
}

TEST(http_version_10_where_allowed)
{
	world_open((struct http_listener_options){ .version_10 = true }, false);
	CHECK(ask("POST /ocsp HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc", "body=abc", true));
	world_close();
}

TEST(http_continue_is_sent_when_the_body_waits)
{
	AUTO_BUF struct buf heard = BUF(1 << 20);
	int fd;

	world_open((struct http_listener_options){ 0 }, false);
	fd = dial();
	say(fd, "POST /e HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
	(void)hear(fd, &heard, "\r\n\r\n");
	CHECK_TEXT(buf_text(&heard), "HTTP/1.1 100 Continue\r\n\r\n");
	say(fd, "abc");
	(void)hear(fd, &heard, "body=abc");
	CHECK(strstr(buf_text(&heard), "body=abc"));
	close(fd);
	world_close();
}

TEST(http_deadlines)
{
	static const struct {
		const char *text, *drip, *want;
	} rows[] = {
		{ "", "", NULL },                                            /* never a byte */
		{ "GET / HTTP/1.1\r\nHost: a\r\nX: ", "y", "HTTP/1.1 408" }, /* slowloris */
		{ "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n", "z",
		        "HTTP/1.1 408" },
		{ "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "", "HTTP/1.1 200" }, /* idle */
	};

	world_open(
	        (struct http_listener_options){
	                .header_msec = 60, .body_msec = 60, .idle_msec = 60 },
	        false);
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		AUTO_BUF struct buf heard = BUF(1 << 20);
		AUTO_FD int fd = dial();
		int64_t began = clock_monotonic_usec(), took;
		struct pollfd ended = { .fd = fd, .events = POLLIN | POLLRDHUP };

		say(fd, rows[i].text);
		do {
			say(fd, rows[i].drip);
			run_for(15);
		} while (poll(&ended, 1, 0) >= 0 && !(ended.revents & (POLLRDHUP | POLLHUP)) &&
		         clock_monotonic_usec() - began < 500 * USEC_PER_MSEC);
		took = (clock_monotonic_usec() - began) / USEC_PER_MSEC;
		CHECK(took >= 55 && took < 400);
		(void)hear(fd, &heard, NULL);
		CHECK(!rows[i].want == (heard.count == 0));
		CHECK(!rows[i].want || strstr(buf_text(&heard), rows[i].want));
	}
	CHECK(http_server_counts(world.server)->deadlines >= 4);
	world_close();
}

TEST(http_slow_reader_of_a_reply_is_dropped)
{
	AUTO_FD int fd = -1;
	int64_t began = clock_monotonic_usec();

	world_open((struct http_listener_options){ .write_msec = 60 }, false);
	fd = dial();
	say(fd, "GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
	while (http_server_counts(world.server)->deadlines == 0 &&
	        clock_monotonic_usec() - began < 600 * USEC_PER_MSEC) {
		run_for(10);
	}
	CHECK(world.requests == 1 && http_server_counts(world.server)->deadlines == 1);
	run_for(5);
	CHECK(http_server_counts(world.server)->connections == 0);
	world_close();
}

TEST(http_large_reply_arrives_whole)
{
	AUTO_BUF struct buf heard = BUF(2 * BIG_BYTES);
	AUTO_FD int fd = -1;
	int64_t began = clock_monotonic_usec();

	world_open((struct http_listener_options){ 0 }, false);
	fd = dial();
	say(fd, "GET /big HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
	while (!hear(fd, &heard, NULL) && clock_monotonic_usec() - began < 2 * USEC_PER_SEC) {
	}
	CHECK(heard.count > BIG_BYTES && heard.bytes[heard.count - 1] == 'b');
	CHECK(count_of(buf_text(&heard), "Content-Length: 8388608") == 1);
	world_close();
}

TEST(http_peer_that_leaves_is_told)
{
	int fd;

	world_open((struct http_listener_options){ 0 }, false);
	fd = dial();
	say(fd, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
	run_for(20);
	CHECK(world.held && world.gone == 0);
	close(fd);
	CHECK(await_count(&world.gone, 1));
	fd = dial();
	say(fd, "GET /events HTTP/1.1\r\nHost: a\r\n\r\n");
	CHECK(await_stream() && world.stream_closed == 0);
	close(fd);
	CHECK(await_count(&world.stream_closed, 1) && world.released == 1);
	/* In the middle of a request, and before one. */
	fd = dial();
	say(fd, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
	run_for(10);
	close(fd);
	close(dial());
	run_for(20);
	CHECK(http_server_counts(world.server)->connections == 0);
	CHECK(world.requests == 2);
	world_close();
}

TEST(http_stream_back_pressure)
{
	AUTO_FD int fd = -1;
	static char event[8192];
	int sent = 0, r;

	memset(event, 'e', sizeof(event));
	world_open((struct http_listener_options){ .stream_queue_bytes_max = 64 << 10 }, false);
	fd = dial();
	say(fd, "GET /events HTTP/1.1\r\nHost: a\r\n\r\n");
	CHECK(await_stream());
	/* The peer reads nothing: the kernel takes some, then the queue, then it is over. */
	while ((r = http_stream_send(world.stream, event, sizeof(event))) == 0 && sent < 100000) {
		sent++;
	}
	CHECK(r == 1 && world.stream_closed == 0);
	CHECK(http_server_counts(world.server)->streams_dropped == 1);
	CHECK(http_server_counts(world.server)->streams == 0);
	run_for(5);
	CHECK(http_server_counts(world.server)->connections == 0);
	world_close();
}

TEST(http_stream_queue_drains)
{
	AUTO_BUF struct buf heard = BUF(32 << 20);
	AUTO_FD int fd = -1;
	static char event[8192];
	size_t sent = 0;
	int64_t began;

	memset(event, 'e', sizeof(event));
	world_open((struct http_listener_options){ .stream_queue_bytes_max = 1 << 20 }, false);
	fd = dial();
	say(fd, "GET /events HTTP/1.1\r\nHost: a\r\n\r\n");
	(void)hear(fd, &heard, "\r\n\r\n");
	buf_reset(&heard);
	/* More than the kernel takes at once, so that the last of it is in our queue. */
	for (int i = 0; i < 600; i++) {
		if (i % 100 == 0) {
			(void)hear(fd, &heard, "e");
		}
		CHECK(http_stream_send(world.stream, event, sizeof(event)) == 0);
		sent += sizeof(event);
	}
	began = clock_monotonic_usec();
	while (heard.count < sent && clock_monotonic_usec() - began < USEC_PER_SEC) {
		(void)hear(fd, &heard, "e");
	}
	CHECK(heard.count == sent);
	http_stream_close(world.stream);
	CHECK(hear(fd, &heard, NULL) && world.stream_closed == 0);
	world_close();
}

TEST(http_maximum_of_connections_and_of_one_peer)
{
	int fds[4];
	char byte;

	world_open((struct http_listener_options){ .connections_per_peer_max = 3 }, false);
	for (int i = 0; i < 4; i++) {
		fds[i] = dial();
		run_for(5);
	}
	CHECK(http_server_counts(world.server)->over_peer_max == 1);
	CHECK(recv(fds[3], &byte, 1, MSG_DONTWAIT) == 0);
	CHECK(http_server_counts(world.server)->connections == 3);
	for (int i = 0; i < 4; i++) {
		close(fds[i]);
	}
	run_for(5);
	/* Who left makes room. */
	CHECK(ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200", false));
	world_close();

	world_open((struct http_listener_options){ .connections_max = 2 }, false);
	for (int i = 0; i < 3; i++) {
		fds[i] = dial();
		say(fds[i], "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
		run_for(10);
	}
	/* The oldest idle connection gave way to the third. */
	CHECK(world.requests == 3 && http_server_counts(world.server)->connections == 2);
	for (int i = 0; i < 3; i++) {
		close(fds[i]);
	}
	world_close();
}

/* Our client. */

struct heard {
	int count, fault, status;
	char reason[300], body[4096], type[100];
	struct http_client *free_in_handler;
};

static void note_response(void *context, const struct http_response *response)
{
	struct heard *heard = context;

	heard->count++;
	heard->fault = response->fault;
	snprintf(heard->reason, sizeof(heard->reason), "%s", response->reason);
	if (response->message) {
		const char *type = http1_field(response->message, "content-type");

		heard->status = response->message->status;
		snprintf(heard->type, sizeof(heard->type), "%s", type ? type : "");
		snprintf(heard->body, sizeof(heard->body), "%.*s",
		        (int)response->message->body_bytes,
		        response->message->body ? (const char *)response->message->body : "");
	}
	http_client_free(heard->free_in_handler);
	loop_stop(world.loop, 0);
}

static struct http_client *client_open(SSL_CTX *tls, const char *host)
{
	struct http_client *client = NULL;
	struct http_client_options options = {
		.host = host, .port = http_listener_port(world.listener), .tls = tls
	};

	if (http_client_new(world.loop, &options, &client) != 0) {
		abort();
	}
	return client;
}

static struct heard get(struct http_client *client, const char *path)
{
	struct heard heard = { 0 };

	if (http_client_request(client, &(struct http_client_request){ .method = "GET",
	                                        .path = path,
	                                        .deadline_msec = 1000,
	                                        .handler = note_response,
	                                        .context = &heard }) != 0) {
		abort();
	}
	run_for(1500);
	return heard;
}

TEST(http_client_keeps_the_connection)
{
	struct http_client *client;
	struct heard heard, second = { 0 };
	uint16_t port;

	world_open((struct http_listener_options){ 0 }, false);
	client = client_open(NULL, "localhost");
	heard = get(client, "/a?x=7");
	CHECK(heard.count == 1 && heard.fault == 0 && heard.status == 200);
	CHECK_TEXT(heard.body, "GET /a x=7 tag=1 peer=127.0.0.1 chain=0 verify=0 body=");
	port = http_client_local(client).port;
	CHECK(port != 0);
	CHECK(http_client_peer(client).port == http_listener_port(world.listener));
	CHECK_TEXT(http_client_peer(client).address, "127.0.0.1");
	CHECK(http_client_request(client, &(struct http_client_request){ .method = "POST",
	                                          .path = "/b",
	                                          .content_type = "text/plain",
	                                          .body = "payload",
	                                          .body_bytes = 7,
	                                          .fields = { { "X-A", "b" } },
	                                          .deadline_msec = 1000,
	                                          .handler = note_response,
	                                          .context = &second }) == 0);
	run_for(1500);
	CHECK(second.count == 1 && second.status == 200 && strstr(second.body, "body=payload"));
	CHECK(http_client_local(client).port == port);
	CHECK(http_server_counts(world.server)->accepted == 1);
	/* After an answer that closes, a new one is made. */
	heard = get(client, "/close");
	CHECK(heard.status == 204 && http_client_local(client).port == 0);
	heard = get(client, "/big");
	CHECK(heard.status == 200 && strlen(heard.body) == sizeof(heard.body) - 1);
	CHECK(http_server_counts(world.server)->accepted == 2);
	http_client_free(client);
	world_close();
}

TEST(http_client_queues_and_bounds)
{
	struct http_client *client;
	static struct heard heards[HTTP_CLIENT_QUEUE_COUNT_MAX + 1];
	struct http_client_request request = {
		.method = "GET", .path = "/q", .deadline_msec = 1000, .handler = note_response
	};
	int64_t began = clock_monotonic_usec();

	memset(heards, 0, sizeof(heards));
	world_open((struct http_listener_options){ 0 }, false);
	client = client_open(NULL, "127.0.0.1");
	for (int i = 0; i < HTTP_CLIENT_QUEUE_COUNT_MAX; i++) {
		request.context = &heards[i];
		CHECK(http_client_request(client, &request) == 0);
	}
	CHECK(http_client_request(client, &request) == 1);
	while (heards[HTTP_CLIENT_QUEUE_COUNT_MAX - 1].count == 0 &&
	        clock_monotonic_usec() - began < USEC_PER_SEC) {
		run_for(20);
	}
	for (int i = 0; i < HTTP_CLIENT_QUEUE_COUNT_MAX; i++) {
		CHECK(heards[i].count == 1 && heards[i].status == 200);
	}
	CHECK(http_server_counts(world.server)->accepted == 1);
	request.path = "/a b";
	CHECK(http_client_request(client, &request) == 2);
	request.path = "/a";
	request.fields[0] = (struct http1_field){ "X", "a\r\nY: b" };
	CHECK(http_client_request(client, &request) == 2);
	http_client_free(client);
	world_close();
}

TEST(http_client_faults)
{
	struct http_client *client;
	struct heard heard = { 0 };
	struct http_client_request request = { .method = "GET",
		.path = "/hold",
		.deadline_msec = 50,
		.handler = note_response,
		.context = &heard };
	uint16_t port;

	world_open((struct http_listener_options){ 0 }, false);
	port = http_listener_port(world.listener);
	client = client_open(NULL, "127.0.0.1");
	CHECK(http_client_request(client, &request) == 0);
	run_for(500);
	CHECK(heard.count == 1 && heard.fault == -ETIMEDOUT);
	CHECK(strstr(heard.reason, "127.0.0.1 port ") && strstr(heard.reason, "no answer in time"));
	CHECK(await_count(&world.gone, 1));
	/* Freed while waiting: nobody is called. */
	heard = (struct heard){ 0 };
	request.deadline_msec = 500;
	CHECK(http_client_request(client, &request) == 0);
	run_for(20);
	client = http_client_free(client);
	run_for(20);
	CHECK(heard.count == 0 && world.gone == 2);
	/* Freed in its own handler. */
	client = client_open(NULL, "127.0.0.1");
	heard.free_in_handler = client;
	request.path = "/x";
	CHECK(http_client_request(client, &request) == 0);
	run_for(500);
	CHECK(heard.count == 1 && heard.status == 200);
	/* Nobody listens. */
	heard = (struct heard){ 0 };
	client = client_open(NULL, "127.0.0.1");
	http_listener_stop(world.listener);
	CHECK(port != 0);
	CHECK(http_client_request(client, &request) == 0);
	run_for(500);
	CHECK(heard.count == 1 && heard.fault == -ECONNREFUSED);
	http_client_free(client);
	world_close();
}

/* A server that closes the kept connection just as the next request is sent. */
TEST(http_client_asks_again_on_a_dead_kept_connection)
{
	struct http_client *client;
	struct heard heard;

	world_open((struct http_listener_options){ .idle_msec = 40 }, false);
	client = client_open(NULL, "127.0.0.1");
	CHECK(get(client, "/1").status == 200);
	/* The server's deadline passes without our loop looking at the client's socket in between.
	 */
	usleep(60000);
	heard = get(client, "/2");
	CHECK(heard.count == 1 && heard.status == 200);
	CHECK(http_server_counts(world.server)->accepted == 2);
	http_client_free(client);
	world_close();
}

static int note_event(void *context, const struct sse_event *event)
{
	buf_add_format(&world.log, "[%s|%s|%s]", event->name ? event->name : "beat", event->last_id,
	        event->data);
	if (text_equal(event->data, "free")) {
		http_client_free(context);
	} else if (text_equal(event->data, "close")) {
		http_client_close(context);
	}
	return text_equal(event->data, "refuse");
}

static struct heard stream_end;

static void note_stream_end(void *context, const struct http_response *response)
{
	note_response(&stream_end, response);
}

static int stream_open(struct http_client *client, const char *path, int silence_msec)
{
	stream_end = (struct heard){ 0 };
	return http_client_stream(client, &(struct http_client_stream){ .path = path,
	                                          .deadline_msec = 500,
	                                          .silence_msec = silence_msec,
	                                          .event = note_event,
	                                          .closed = note_stream_end,
	                                          .context = client });
}

static void stream_send(const char *name, const char *id, const char *data)
{
	AUTO_BUF struct buf text = BUF(4096);

	sse_print(&text, name, id, data, strlen(data));
	if (http_stream_send(world.stream, text.bytes, text.count) != 0) {
		abort();
	}
}

TEST(http_client_reads_a_stream)
{
	struct http_client *client;
	struct http_client_request request = {
		.method = "GET", .path = "/", .deadline_msec = 100, .handler = note_response
	};

	world_open((struct http_listener_options){ .idle_msec = 40, .header_msec = 40 }, false);
	client = client_open(NULL, "127.0.0.1");
	CHECK(stream_open(client, "/events", 0) == 0);
	CHECK(http_client_request(client, &request) == 1);
	CHECK(await_stream());
	run_for(100); /* longer than every deadline of the listener */
	CHECK(stream_end.count == 0);
	stream_send("grant", "5", "line one\nline two");
	CHECK(http_stream_send(world.stream, ": beat\n\n", 8) == 0);
	run_for(20);
	CHECK_TEXT(buf_text(&world.log), "[grant|5|line one\nline two][beat|5|beat]");
	http_stream_close(world.stream);
	run_for(100);
	CHECK(stream_end.count == 1 && stream_end.fault == -EPIPE);
	/* No stream: the answer is told. */
	CHECK(stream_open(client, "/problem", 0) == 0);
	run_for(200);
	CHECK(stream_end.count == 1 && stream_end.fault == 0 && stream_end.status == 409);
	/* Silence. */
	CHECK(stream_open(client, "/events", 50) == 0);
	run_for(400);
	CHECK(stream_end.count == 1 && stream_end.fault == -ETIMEDOUT);
	run_for(20);
	CHECK(world.stream_closed == 1);
	http_client_free(client);
	world_close();
}

TEST(http_client_may_go_away_in_an_event)
{
	static const struct {
		const char *data;
		int fault;
	} rows[] = { { "close", -ECANCELED }, { "refuse", -ECANCELED }, { "free", 0 } };
	struct http_client *client;

	world_open((struct http_listener_options){ 0 }, false);
	client = client_open(NULL, "127.0.0.1");
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		buf_reset(&world.log);
		CHECK(stream_open(client, "/events", 0) == 0);
		CHECK(await_stream());
		stream_send(NULL, NULL, rows[i].data);
		stream_send(NULL, NULL, "after");
		/* Its end stops the loop before the server has seen it, so the loop runs twice. */
		run_for(20);
		run_for(20);
		CHECK(stream_end.count == (rows[i].fault != 0) &&
		        stream_end.fault == rows[i].fault);
		CHECK(!strstr(buf_text(&world.log), "after"));
		CHECK(await_count(&world.stream_closed, (int)i + 1));
	}
	world_close();
}

/* TLS. */

static SSL_CTX *client_context(const struct identity *own, const struct identity *trusted)
{
	return context_new(false, own, trusted, &both_sides);
}

TEST(http_tls_both_sides_show_certificates)
{
	struct http_client *client;
	SSL_CTX *tls;
	struct heard heard;

	world_open((struct http_listener_options){ 0 }, true);
	tls = client_context(&client_identity, &ca);
	client = client_open(tls, "localhost");
	heard = get(client, "/t?x=9");
	CHECK_TEXT(heard.reason, "");
	CHECK_TEXT(heard.body, "GET /t x=9 tag=2 peer=127.0.0.1 chain=2 verify=0 body=");
	heard = get(client, "/big");
	CHECK(heard.status == 200);
	CHECK(http_server_counts(world.server)->handshakes == 1);
	http_client_free(client);
	client = client_open(tls, "127.0.0.1"); /* by the address in the certificate */
	CHECK(get(client, "/").status == 200);
	http_client_free(client);
	SSL_CTX_free(tls);
	world_close();
}

/* Tries one client context; the answer must be a certificate refused, and no byte of HTTP read. */
static bool refused_with(SSL_CTX *tls, const char *name)
{
	struct http_client *client = NULL;
	struct http_client_options options = { .host = "127.0.0.1",
		.port = http_listener_port(world.listener),
		.tls = tls,
		.server_name = name };
	struct heard heard;

	if (http_client_new(world.loop, &options, &client) != 0) {
		abort();
	}
	heard = get(client, "/secret");
	http_client_free(client);
	SSL_CTX_free(tls);
	run_for(10);
	if (heard.count != 1 || heard.fault != -EACCES || world.requests != 0) {
		printf("# %d %d %s\n", heard.count, heard.fault, heard.reason);
		return false;
	}
	return true;
}

TEST(http_tls_refuses_strangers_before_http)
{
	world_open((struct http_listener_options){ 0 }, true);
	CHECK(refused_with(client_context(NULL, &ca), NULL)); /* no certificate */
	CHECK(world.refused == 1);
	CHECK(refused_with(client_context(&foreign_identity, &ca), NULL)); /* of another CA */
	CHECK(world.refused == 2 && strstr(world.refused_text, "refused"));
	CHECK(refused_with(
	        client_context(&client_identity, &other_ca), NULL)); /* a foreign server */
	CHECK(refused_with(client_context(&client_identity, &ca), "elsewhere.example"));
	CHECK(http_server_counts(world.server)->requests == 0);
	world_close();
}

TEST(http_tls_optional_certificate)
{
	static const struct tls_policy optional = { .peer = TLS_PEER_OPTIONAL };
	struct http_listener_options options = { 0 };
	struct http_client *client;
	SSL_CTX *without;

	world_open((struct http_listener_options){ 0 }, true); /* makes the identities */
	world_close();
	options.tls = context_new(true, &server_identity, &ca, &optional);
	world_open(options, true);
	CHECK(refused_with(client_context(&foreign_identity, &ca), NULL));
	without = client_context(NULL, &ca);
	client = client_open(without, "localhost");
	CHECK(strstr(get(client, "/").body, "chain=0"));
	http_client_free(client);
	SSL_CTX_free(without);
	SSL_CTX_free(options.tls);
	world_close();
}

static struct heard get_with_versions(SSL_CTX *tls, int version)
{
	struct http_client *client;
	struct heard heard;

	SSL_CTX_set_min_proto_version(tls, version);
	SSL_CTX_set_max_proto_version(tls, version);
	client = client_open(tls, "localhost");
	heard = get(client, "/");
	http_client_free(client);
	SSL_CTX_free(tls);
	return heard;
}

TEST(http_tls_versions)
{
	static const struct tls_policy old_too = { .peer = TLS_PEER_REQUIRED, .version_12 = true };
	struct http_listener_options options = { 0 };
	struct heard heard;

	world_open((struct http_listener_options){ 0 }, true);
	heard = get_with_versions(client_context(&client_identity, &ca), TLS1_2_VERSION);
	CHECK(heard.fault == -EPROTO && world.requests == 0);
	world_close();
	options.tls = context_new(true, &server_identity, &ca, &old_too);
	world_open(options, true);
	CHECK(get_with_versions(client_context(&client_identity, &ca), TLS1_2_VERSION).status ==
	        200);
	CHECK(get_with_versions(client_context(&client_identity, &ca), TLS1_3_VERSION).status ==
	        200);
	heard = get_with_versions(client_context(&client_identity, &ca), TLS1_1_VERSION);
	CHECK(heard.fault < 0 && world.requests == 2);
	SSL_CTX_free(options.tls);
	world_close();
}

TEST(http_tls_stalled_handshakes)
{
	int fds[5];

	world_open(
	        (struct http_listener_options){ .handshake_msec = 80, .handshakes_max = 3 }, true);
	for (int i = 0; i < 5; i++) {
		fds[i] = dial();
	}
	run_for(30);
	/* Three are in flight, the others wait in the kernel's queue. */
	CHECK(http_server_counts(world.server)->connections == 3);
	run_for(90);
	CHECK(http_server_counts(world.server)->handshakes_failed == 3);
	CHECK(http_server_counts(world.server)->connections == 2);
	CHECK_TEXT(world.refused_text, "the handshake took too long");
	for (int i = 0; i < 5; i++) {
		close(fds[i]);
	}
	world_close();
}

static void close_with_context(void *context, struct http_connection *connection)
{
	if (http_connection_context(connection) == context) {
		http_connection_close(connection);
	}
}

TEST(http_tls_reload_keeps_the_stream)
{
	struct http_client *stream, *client;
	SSL_CTX *tls, *fresh, *fresh_client;
	struct heard heard;

	world_open((struct http_listener_options){ 0 }, true);
	tls = client_context(&client_identity, &ca);
	stream = client_open(tls, "localhost");
	CHECK(stream_open(stream, "/events", 0) == 0);
	CHECK(await_stream());
	/* From now on only the other CA is trusted, and the server is another one, too. */
	fresh = context_new(true, &foreign_identity, &other_ca, &both_sides);
	http_server_swap_tls(world.listener, fresh);
	SSL_CTX_free(fresh);
	stream_send("still", NULL, "here");
	run_for(20);
	CHECK_TEXT(buf_text(&world.log), "[still||here]");
	client = client_open(tls, "localhost");
	heard = get(client, "/old");
	CHECK(heard.fault == -EACCES && world.requests == 1);
	fresh_client = client_context(&foreign_identity, &other_ca);
	http_client_swap_tls(client, fresh_client);
	CHECK(get(client, "/new").status == 200);
	/* A revocation closes by the caller's key, and only that. */
	http_server_each(world.server, close_with_context, &world);
	CHECK(world.stream_closed == 1 && world.released == 1);
	run_for(20);
	CHECK(stream_end.count == 1 && http_server_counts(world.server)->connections == 1);
	http_client_free(client);
	http_client_free(stream);
	SSL_CTX_free(tls);
	SSL_CTX_free(fresh_client);
	world_close();
}

TEST(http_tls_stream_back_pressure)
{
	struct http_client *client;
	SSL_CTX *tls;
	static char event[8192];
	int r = 0;

	memset(event, 'x', sizeof(event));
	world_open((struct http_listener_options){ .stream_queue_bytes_max = 64 << 10 }, true);
	tls = client_context(&client_identity, &ca);
	client = client_open(tls, "localhost");
	CHECK(stream_open(client, "/events", 0) == 0);
	CHECK(await_stream());
	for (int i = 0; i < 100000 && r == 0; i++) { /* The client's loop has no turn to read. */
		r = http_stream_send(world.stream, event, sizeof(event));
	}
	CHECK(r == 1 && world.stream_closed == 0);
	run_for(50);
	CHECK(stream_end.count == 1 && stream_end.fault < 0);
	http_client_free(client);
	SSL_CTX_free(tls);
	world_close();
}

TEST(http_call_blocks_until_answered)
{
	struct http_client_options options = { .host = "127.0.0.1" };
	struct http_client_request request = {
		.method = "GET", .path = "/later", .deadline_msec = 500
	};
	struct http_result result;
	struct err err = { "" };
	pid_t child;
	int r;

	world_open((struct http_listener_options){ 0 }, false);
	options.port = http_listener_port(world.listener);
	child = fork();
	if (child == 0) {
		run_for(400);
		_exit(0);
	}
	r = http_call(&options, &request, &result, &err);
	CHECK(r == 0 && result.status == 202);
	CHECK_TEXT(result.retry_after, "30");
	CHECK_TEXT(result.location, "/later");
	CHECK(result.content_type == NULL);
	http_result_clear(&result);
	request.path = "not a path";
	CHECK(http_call(&options, &request, &result, &err) == 2);
	request.path = "/";
	options.host = "no-such-name.invalid";
	CHECK(http_call(&options, &request, &result, &err) < 0 && strstr(err.text, "no-such-name"));
	waitpid(child, NULL, 0);
	world_close();
}

TEST_MAIN()
