/*
 * Process agent: the local socket (protocol.md 7), for the command `sekisho gateway …` on this box.
 * One JSON object a line, one answer a line, one after the other. Only root may connect. What shuts
 * never needs the center.
 */
#include "gateway/agent.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "gateway/message.h"
#include "wire/json.h"

#define LINE_BYTES_MAX 16384
#define LOCALS_MAX 16
#define REQUEST_DEADLINE_MSEC 20000

struct local {
	struct agent *agent;
	struct local *next;
	int fd;
	struct loop_fd *watch;
	struct buf in, out;
	uint32_t tag; /* of the question that is with priv; 0: none */
	bool waiting; /* for the center: closing must not free this under the answer's feet */
	bool closed;
};

static uint32_t next_tag; /* the one given last; never 0 */

static void local_free(struct local *local)
{
	struct local **at = &local->agent->locals;

	while (*at != local) {
		at = &(*at)->next;
	}
	*at = local->next;
	buf_clear(&local->in);
	buf_clear(&local->out);
	free(local);
}

static void local_close(struct local *local)
{
	if (!local->closed) {
		local->closed = true;
		loop_unwatch(local->watch);
		close(local->fd);
	}
	if (!local->waiting) {
		local_free(local);
	}
}

/* Never waits for the asker: what the socket does not take goes when there is room. */
static void flush(struct local *local)
{
	ssize_t sent;

	while (!local->closed && local->out.count > 0) {
		sent = send(
		        local->fd, local->out.bytes, local->out.count, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent < 0 && errno == EINTR) {
			continue;
		}
		if (sent < 0 && errno != EAGAIN) {
			buf_reset(&local->out); /* it went away: reading tells */
		}
		if (sent <= 0) {
			break;
		}
		buf_drop(&local->out, (size_t)sent);
	}
	if (!local->closed) {
		loop_watch_events(
		        local->watch, local->out.count > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN);
	}
}

static void answer(struct local *local, const json_t *object)
{
	if (local->closed) {
		return;
	}
	json_print(object, &local->out);
	buf_add_text(&local->out, "\n");
	flush(local);
}

static void answer_error(struct local *local, const char *text)
{
	AUTO_JSON json_t *object = json_pack("{s:b,s:s}", "ok", 0, "error", text);

	answer(local, object);
}

static void take_lines(struct local *local);

/* --- status: priv's part and ours --- */

static void ask_status(struct local *local)
{
	struct buf nothing = BUF(1);

	if (!local->agent->priv) {
		answer_error(local, "the privileged process is not running; it is started again "
		                    "within seconds");
		return;
	}
	next_tag = next_tag == UINT32_MAX ? 1 : next_tag + 1;
	if (agent_send(local->agent, MESSAGE_STATUS, next_tag, &nothing) != 0) {
		answer_error(local, "the privileged process does not answer now");
		return;
	}
	local->tag = next_tag;
}

static json_t *certificate_status(const struct agent *agent)
{
	if (!agent->service) {
		return json_null();
	}
	return json_pack("{s:s,s:s,s:s}", "serial", cert_serial(agent->service), "identity",
	        cert_dns_name(agent->service, 0), "not_after",
	        time_print(cert_not_after_usec(agent->service)).text);
}

static struct local *find_asker(struct agent *agent, uint32_t tag)
{
	for (struct local *local = agent->locals; local && tag != 0; local = local->next) {
		if (local->tag == tag) {
			return local;
		}
	}
	return NULL;
}

void agent_local_status(struct agent *agent, uint32_t tag, const char *text, size_t count)
{
	struct local *local = find_asker(agent, tag);
	AUTO_JSON json_t *status = NULL;

	if (!local) {
		return; /* it left */
	}
	local->tag = 0;
	if (json_parse(text, count, &status, NULL) != 0 || !json_is_object(status)) {
		answer_error(local, "the privileged process's answer cannot be read");
		take_lines(local);
		return;
	}
	json_object_set_new(status, "ok", json_true());
	json_object_set_new(status, "state", json_string(agent_state_name(agent->state)));
	json_object_set_new(status, "state_text", json_string(agent->state_text));
	json_object_set_new(status, "provider", json_string(agent->config->provider));
	json_object_set_new(status, "center", json_string(agent->config->center));
	json_object_set_new(status, "certificate", certificate_status(agent));
	json_object_set_new(
	        status, "checkpoint_size", json_integer((json_int_t)agent->checkpoint_size));
	answer(local, status);
	take_lines(local);
}

/* --- connect: asked of the center --- */

static void answer_connect(struct local *local, const struct http_response *response)
{
	AUTO_JSON json_t *object = NULL;

	if (response->fault < 0) {
		answer_error(local, response->reason);
		return;
	}
	if (!response->message->body ||
	        json_parse(response->message->body, response->message->body_bytes, &object, NULL) !=
	                0 ||
	        !json_is_object(object)) {
		answer_error(local, "the center's answer cannot be read");
		return;
	}
	/* 200: the same connection is there already. */
	if (response->message->status == 201 || response->message->status == 200) {
		json_object_set_new(object, "ok", json_true());
	} else {
		const char *detail = json_string_value(json_object_get(object, "detail"));

		json_object_set_new(object, "error", json_string(detail ? detail : "refused"));
		json_object_set_new(object, "ok", json_false());
	}
	answer(local, object);
}

static void on_answered(void *context, const struct http_response *response)
{
	struct local *local = context;

	local->waiting = false;
	if (local->closed) {
		local_free(local);
		return;
	}
	answer_connect(local, response);
	take_lines(local);
}

struct connect {
	char from[NAME_BYTES_MAX + 1], to[HOST_REF_BYTES_MAX + 1], class[NAME_BYTES_MAX + 1];
	char protocol[8], duration[16], person[PERSON_BYTES_MAX + 1];
	char code[16], terminal[ADDRESS_TEXT_BYTES_MAX];
	uint64_t port;
	const char *command;
};

static const struct json_field connect_fields[] = {
	{ JSON_FIELD("command", FIELD_STRING, struct connect, command), .required = true,
	        .max = 16 },
	{ JSON_FIELD("from", FIELD_TEXT, struct connect, from), .required = true, .min = 1,
	        .max = NAME_BYTES_MAX },
	{ JSON_FIELD("to", FIELD_TEXT, struct connect, to), .required = true, .min = 1,
	        .max = HOST_REF_BYTES_MAX },
	{ JSON_FIELD("class", FIELD_TEXT, struct connect, class), .required = true, .min = 1,
	        .max = NAME_BYTES_MAX },
	{ JSON_FIELD("protocol", FIELD_TEXT, struct connect, protocol), .required = true, .min = 1,
	        .max = 7 },
	{ JSON_FIELD("port", FIELD_COUNT, struct connect, port), .max = 65535 },
	{ JSON_FIELD("duration", FIELD_TEXT, struct connect, duration), .min = 1, .max = 15 },
	/* "": the gateway itself asks. The center decides whether nobody, one or two factors are
	 * enough. */
	{ JSON_FIELD("person", FIELD_TEXT, struct connect, person), .max = PERSON_BYTES_MAX },
	{ JSON_FIELD("code", FIELD_TEXT, struct connect, code), .max = 15 },
	{ JSON_FIELD("terminal", FIELD_TEXT, struct connect, terminal),
	        .max = ADDRESS_TEXT_BYTES_MAX - 1 },
	{ 0 },
};

static void ask_connect(struct local *local, const json_t *line)
{
	struct agent *agent = local->agent;
	struct connect connect = { 0 };
	struct http_client_request request = { .method = "POST",
		.path = "/device/v1/connections",
		.content_type = "application/json",
		.deadline_msec = REQUEST_DEADLINE_MSEC,
		.handler = on_answered,
		.context = local };
	AUTO_BUF struct buf body = BUF(LINE_BYTES_MAX);
	AUTO_JSON json_t *object = NULL;
	struct err err = { 0 };
	int64_t sec = 0;

	if (json_fields(line, connect_fields, &connect, &err) != 0) {
		answer_error(local, err.text);
		return;
	}
	if (connect.duration[0] && duration_parse(connect.duration, &sec) != 0) {
		answer_error(local, "duration: must be such as 30m or 2h");
		return;
	}
	if (agent->state != AGENT_ONLINE || !agent->calls) {
		answer_error(local, agent->state_text);
		return;
	}
	object = json_pack("{s:s,s:s,s:s,s:s,s:I,s:s,s:s,s:s}", "from", connect.from, "to",
	        connect.to, "class", connect.class, "protocol", connect.protocol, "port",
	        (json_int_t)connect.port, "person", connect.person, "code", connect.code,
	        "terminal", connect.terminal);
	if (sec > 0) {
		json_object_set_new(object, "duration_sec", json_integer(sec));
	}
	json_print(object, &body);
	request.body = body.bytes;
	request.body_bytes = body.count;
	if (http_client_request(agent->calls, &request) != 0) {
		answer_error(local, "too many requests wait for the center");
		return;
	}
	local->waiting = true;
}

/* --- cut: never asks the center --- */

static void cut(struct local *local, const json_t *line, bool one)
{
	const char *id = json_string_value(json_object_get(line, "id"));

	if (one && !id) {
		answer_error(local,
		        "id: is missing (which connection; `sekisho gateway status` lists them)");
		return;
	}
	if (id && !id_valid(id)) {
		answer_error(local, "id: is not a connection's id");
		return;
	}
	if (!local->agent->priv) {
		answer_error(local,
		        "the privileged process is not running; leases run out by themselves");
		return;
	}
	if (agent_cut(local->agent, id ? id : "",
	            one ? "ended at the gateway" : "cut at the gateway") != 0) {
		answer_error(local, "the privileged process does not listen now: try again");
		return;
	}
	/* priv takes messages in their order: when it answers this, the packet filter is shut. */
	ask_status(local);
}

static void take_line(struct local *local, const char *text, size_t count)
{
	AUTO_JSON json_t *line = NULL;
	struct err err = { 0 };
	const char *command;

	if (json_parse(text, count, &line, &err) != 0) {
		answer_error(local, err.text);
		return;
	}
	command = json_string_value(json_object_get(line, "command"));
	if (text_equal(command, "status")) {
		ask_status(local);
	} else if (text_equal(command, "connect")) {
		ask_connect(local, line);
	} else if (text_equal(command, "disconnect")) {
		cut(local, line, true);
	} else if (text_equal(command, "cut")) {
		cut(local, line, false);
	} else {
		answer_error(local, "command: must be status, connect, disconnect or cut");
	}
}

/* A line waits until the one before has its answer, and the asker has read it. */
static void take_lines(struct local *local)
{
	const uint8_t *end;

	while (!local->closed && !local->waiting && local->tag == 0 && local->out.count == 0 &&
	        local->in.count > 0 && (end = memchr(local->in.bytes, '\n', local->in.count))) {
		size_t count = (size_t)(end - local->in.bytes);

		take_line(local, (const char *)local->in.bytes, count);
		buf_drop(&local->in, count + 1);
	}
}

static void on_local(void *context, uint32_t events)
{
	struct local *local = context;
	uint8_t *room;
	ssize_t got;

	if (events & EPOLLOUT) {
		flush(local);
		take_lines(local);
	}
	if (!(events & ~(uint32_t)EPOLLOUT)) {
		return;
	}
	room = buf_reserve(&local->in, 4096);

	got = room ? recv(local->fd, room, 4096, MSG_DONTWAIT) : 0;
	if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
		return;
	}
	if (got <= 0) {
		local_close(local);
		return;
	}
	local->in.count += (size_t)got;
	take_lines(local);
}

void agent_local_lost(struct agent *agent, bool priv, const char *why)
{
	struct local *local = agent->locals;

	while (local) {
		bool lost = priv ? local->tag != 0 : local->waiting;

		if (!lost) {
			local = local->next;
			continue;
		}
		if (priv) {
			local->tag = 0;
		} else {
			local->waiting = false;
		}
		if (local->closed) {
			local_free(local);
		} else {
			answer_error(local, why);
			take_lines(local);
		}
		local = agent->locals; /* the list may be another one */
	}
}

static void on_connect(void *context, uint32_t events)
{
	struct agent *agent = context;
	int fd = accept4(agent->local_fd, NULL, NULL, SOCK_CLOEXEC);
	struct local *local;
	size_t count = 0;

	for (local = agent->locals; local; local = local->next) {
		count++;
	}
	if (fd < 0 || count >= LOCALS_MAX) {
		if (fd >= 0) {
			close(fd);
		}
		return;
	}
	local = mem_new(1, sizeof(*local));
	*local = (struct local){ .agent = agent,
		.next = agent->locals,
		.fd = fd,
		.in = BUF(LINE_BYTES_MAX),
		.out = BUF(MESSAGE_BYTES_MAX) };
	if (loop_watch(agent->loop, fd, EPOLLIN, on_local, local, &local->watch) < 0) {
		close(fd);
		free(local);
		return;
	}
	agent->locals = local;
}

int agent_local_open(struct agent *agent, struct err *err)
{
	AUTO_STRING char *path = gateway_run_path(agent->config, GATEWAY_LOCAL_SOCKET);
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	mode_t old;
	int r;

	if (text_copy(address.sun_path, sizeof(address.sun_path), path) != 0) {
		return err_set(err, 1, "run_dir: %s is too long for a socket", path);
	}
	unlink(path);
	agent->local_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	old = umask(0177);
	r = agent->local_fd < 0 ? -1 : bind(agent->local_fd, (void *)&address, sizeof(address));
	umask(old);
	if (r < 0 || listen(agent->local_fd, 8) < 0) {
		return err_set(err, 1, "cannot listen on %s: %s", path, strerror(errno));
	}
	return loop_watch(
	        agent->loop, agent->local_fd, EPOLLIN, on_connect, agent, &agent->local_watch);
}

void agent_local_close(struct agent *agent)
{
	while (agent->locals) {
		agent->locals->waiting = false;
		local_close(agent->locals);
	}
	agent->local_watch = loop_unwatch(agent->local_watch);
	if (agent->local_fd >= 0) {
		close(agent->local_fd);
	}
}
