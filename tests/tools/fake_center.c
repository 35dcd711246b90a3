/*
 * fake_center CONFIG: a center that was taken over. It has the real center's TLS identity (from the
 * center's own configuration and token) and speaks the device interface (protocol.md 3), but
 * decides nothing: what the gateways get is what comes in by standard input, one event a line,
 *
 *     GATEWAY EVENT DATA          ("*" for every gateway)
 *     GATEWAY end                 closes its stream
 *
 * and what they say goes out by standard output, one line each:
 *
 *     listening
 *     stream GATEWAY QUERY        its stream is open
 *     report GATEWAY BODY         answered with 200
 *     journal GATEWAY BODY        acknowledged whole
 *     other GATEWAY METHOD PATH   answered with 404
 */
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "center/front_tls.h"
#include "loop/http_server.h"
#include "pki/cert.h"
#include "wire/json.h"
#include "wire/sse.h"

#define GATEWAYS_MAX 16
#define LINE_BYTES_MAX (1 << 20)
#define HEARTBEAT_MSEC 10000

struct seat {
	struct fake *fake;
	char gateway[NAME_BYTES_MAX + 1];
	struct http_stream *stream;
};

struct fake {
	struct loop *loop;
	struct http_server *server;
	struct loop_timer *heartbeat;
	struct seat seats[GATEWAYS_MAX];
	struct buf in;
};

/* The name in the certificate; the handshake has verified it. */
static int name_of(const struct http_request *request, char name[NAME_BYTES_MAX + 1])
{
	AUTO(cert) struct cert *cert = NULL;
	char provider[NAME_BYTES_MAX + 1];
	struct err err = { 0 };

	return !request->chain || request->chain->count == 0 ||
	       cert_parse(request->chain->certificates[0].der,
	               request->chain->certificates[0].bytes, &cert, &err) != 0 ||
	       cert_identity(cert, name, provider) != 0;
}

static struct seat *seat_of(struct fake *fake, const char *gateway)
{
	for (size_t i = 0; i < GATEWAYS_MAX; i++) {
		struct seat *seat = &fake->seats[i];

		if (!seat->gateway[0]) {
			seat->fake = fake;
			snprintf(seat->gateway, sizeof(seat->gateway), "%s", gateway);
		}
		if (text_equal(seat->gateway, gateway)) {
			return seat;
		}
	}
	return NULL;
}

static void on_gone(void *context)
{
	((struct seat *)context)->stream = NULL;
}

static void send_bytes(struct seat *seat, const struct buf *bytes)
{
	if (seat->stream && http_stream_send(seat->stream, bytes->bytes, bytes->count) != 0) {
		seat->stream = NULL;
	}
}

static void reply_json(struct http_exchange *exchange, const json_t *json)
{
	AUTO_BUF struct buf body = BUF(4096);
	struct http_reply reply = { .status = 200, .content_type = "application/json" };

	json_print(json, &body);
	reply.body = body.bytes;
	reply.body_bytes = body.count;
	http_reply(exchange, &reply);
}

static void take_journal(struct http_exchange *exchange, const struct http1_message *message)
{
	AUTO_JSON json_t *body = NULL, *answer = NULL;
	struct err err = { 0 };

	if (json_parse(message->body, message->body_bytes, &body, &err) != 0) {
		http_reply_problem(exchange, 400, NULL, NULL, err.text);
		return;
	}
	answer = json_pack("{s:I,s:i}", "acknowledged",
	        json_integer_value(json_object_get(body, "first")) +
	                (json_int_t)json_array_size(json_object_get(body, "records")) - 1,
	        "leaf", 0);
	reply_json(exchange, answer);
}

static void on_request(
        void *context, struct http_exchange *exchange, const struct http_request *request)
{
	const struct http1_message *message = request->message;
	const char *body = message->body ? (const char *)message->body : "";
	char name[NAME_BYTES_MAX + 1];
	AUTO_JSON json_t *nothing = json_object();
	struct seat *seat;

	if (name_of(request, name) != 0) {
		http_reply_problem(exchange, 403, NULL, NULL, "not a gateway");
		return;
	}
	seat = seat_of(context, name);
	if (text_equal(message->path, "/device/v1/stream") && seat) {
		if (seat->stream) {
			http_stream_close(seat->stream);
		}
		printf("stream %s %s\n", name, message->target);
		seat->stream = http_stream_start(exchange, "text/event-stream", on_gone, seat);
	} else if (text_equal(message->path, "/device/v1/report")) {
		printf("report %s %.*s\n", name, (int)message->body_bytes, body);
		reply_json(exchange, nothing);
	} else if (text_equal(message->path, "/device/v1/journal")) {
		printf("journal %s %.*s\n", name, (int)message->body_bytes, body);
		take_journal(exchange, message);
	} else {
		printf("other %s %s %s\n", name, message->method, message->path);
		http_reply_problem(exchange, 404, NULL, NULL, "this center knows nothing");
	}
	fflush(stdout);
}

static void take_line(struct fake *fake, char *line)
{
	char *event = strchr(line, ' '), *data;
	AUTO_BUF struct buf bytes = BUF(LINE_BYTES_MAX + 1024);

	if (!event) {
		return;
	}
	*event++ = '\0';
	data = strchr(event, ' ');
	if (data) {
		*data++ = '\0';
		sse_print(&bytes, event, NULL, data, strlen(data));
	}
	for (size_t i = 0; i < GATEWAYS_MAX; i++) {
		struct seat *seat = &fake->seats[i];

		if (!seat->stream || (!text_equal(line, "*") && !text_equal(line, seat->gateway))) {
			continue;
		}
		if (data) {
			send_bytes(seat, &bytes);
		} else {
			http_stream_close(TAKE(seat->stream));
		}
	}
}

static void on_input(void *context, uint32_t events)
{
	struct fake *fake = context;
	uint8_t *room = buf_reserve(&fake->in, 65536), *end;
	ssize_t got = room ? read(STDIN_FILENO, room, 65536) : 0;

	if (got <= 0) {
		loop_stop(fake->loop, 0);
		return;
	}
	fake->in.count += (size_t)got;
	while ((end = memchr(fake->in.bytes, '\n', fake->in.count))) {
		size_t count = (size_t)(end - fake->in.bytes) + 1;

		*end = '\0';
		take_line(fake, (char *)fake->in.bytes);
		buf_drop(&fake->in, count);
	}
}

static void on_heartbeat(void *context)
{
	struct fake *fake = context;
	AUTO_BUF struct buf beat = BUF(64);

	sse_print_comment(&beat, "");
	for (size_t i = 0; i < GATEWAYS_MAX; i++) {
		send_bytes(&fake->seats[i], &beat);
	}
	loop_timer_set(fake->heartbeat, HEARTBEAT_MSEC);
}

static int start(struct fake *fake, const struct center_config *config, struct front_tls *tls,
        struct err *err)
{
	struct http_listener_options options = { .fd = -1, .tag = LISTENER_DEVICE };
	struct http_listener *listener;
	struct loop_fd *watch;
	char address[64];
	int r = center_config_address(
	        config->listen_device, address, sizeof(address), &options.port);

	options.address = address;
	if (r == 0) {
		r = front_tls_context(tls, LISTENER_DEVICE, &options.tls, err);
	}
	if (r == 0) {
		r = tls_policy_apply(
		        options.tls, &(struct tls_policy){ .peer = TLS_PEER_REQUIRED }, err);
	}
	if (r == 0) {
		r = http_server_new(fake->loop, on_request, fake, &fake->server);
	}
	if (r == 0) {
		r = http_server_listen(fake->server, &options, &listener, err);
	}
	if (r == 0) {
		r = loop_watch(fake->loop, STDIN_FILENO, EPOLLIN, on_input, fake, &watch);
	}
	front_tls_context_free(options.tls);
	return r;
}

int main(int argc, char **argv)
{
	struct fake fake = { .in = BUF(2 * LINE_BYTES_MAX) };
	struct center_config config = { 0 };
	AUTO(front_tls) struct front_tls *tls = NULL;
	struct err err = { 0 };
	int r;

	if (argc != 2) {
		fprintf(stderr, "usage: fake_center CONFIG\n");
		return 2;
	}
	r = center_config_read(argv[1], &config, &err);
	if (r == 0 && config.tls_token.softhsm_conf) {
		setenv("SOFTHSM2_CONF", config.tls_token.softhsm_conf, 1);
	}
	if (r == 0) {
		r = front_tls_open(&config, &tls, &err);
	}
	if (r == 0) {
		r = loop_new(&fake.loop);
	}
	if (r == 0) {
		r = start(&fake, &config, tls, &err);
	}
	if (r != 0) {
		fprintf(stderr, "fake_center: %s\n", err.text);
		return 1;
	}
	fake.heartbeat = loop_timer_new(fake.loop, on_heartbeat, &fake);
	loop_timer_set(fake.heartbeat, HEARTBEAT_MSEC);
	printf("listening\n");
	fflush(stdout);
	r = loop_run(fake.loop);
	loop_timer_free(fake.heartbeat);
	http_server_free(fake.server);
	loop_free(fake.loop);
	buf_clear(&fake.in);
	center_config_clear(&config);
	return r;
}
