/*
 * A gateway's local socket, as whoever may open it uses it: any bytes, and then the end. Every line
 * gets exactly one answer, an object on a line of its own; what is asked of the center is a whole
 * request; what is cut is named by a well-formed id or is everything. Answers of the center come
 * late, some of them after the asker has left.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "gateway/agent.h"
#include "gateway/message.h"
#include "wire/json.h"

static int fake_request(const struct http_client_request *request);
#define http_client_request(client, request) fake_request(request)

#include "gateway/agent_local.c"

#define PENDING_MAX 32
#define ANSWER_BYTES_MAX (256 << 10)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
	http_response_handler *handler;
	void *context;
} pending[PENDING_MAX];
static size_t pending_count, asked_priv;
static uint32_t last_tag;

static int fake_request(const struct http_client_request *request)
{
	AUTO_JSON json_t *body = NULL;

	assert_always(json_parse(request->body, request->body_bytes, &body, NULL) == 0);
	assert_always(json_is_string(json_object_get(body, "from")) &&
	              json_is_string(json_object_get(body, "to")) &&
	              json_is_integer(json_object_get(body, "port")));
	if (pending_count == PENDING_MAX) {
		return 1;
	}
	pending[pending_count].handler = request->handler;
	pending[pending_count++].context = request->context;
	return 0;
}

int agent_send(struct agent *agent, uint16_t type, uint32_t tag, const struct buf *payload)
{
	assert_always(type == MESSAGE_STATUS && tag > last_tag && payload->count == 0);
	last_tag = tag;
	asked_priv++;
	return 0;
}

int agent_cut(struct agent *agent, const char *id, const char *reason)
{
	assert_always(*id == '\0' || id_valid(id));
	return 0;
}

const char *agent_state_name(enum agent_state state)
{
	return "online";
}

/* What is awaited from the center, or from priv, comes. */
static void answer_waiting(struct agent *agent, size_t round)
{
	static const char body[] = "{\"id\":\"01JD0000000000000000000000\",\"leaf\":7}";
	static const char status[] = "{\"connections\":[]}";
	struct http1_message message = { .status = round % 2 ? 403 : 201,
		.body = (const uint8_t *)body,
		.body_bytes = sizeof(body) - 1 };
	struct http_response response = { .message = &message };

	if (pending_count > 0) {
		if (round % 3 == 2) {
			response = (struct http_response){ .fault = -ETIMEDOUT,
				.reason = "no answer" };
		}
		pending_count--;
		pending[pending_count].handler(pending[pending_count].context, &response);
		return;
	}
	asked_priv = 0;
	agent_local_status(agent, last_tag, status, sizeof(status) - 1);
}

/* Reads what was answered; returns how many answers that is. */
static size_t read_answers(int fd)
{
	static char text[ANSWER_BYTES_MAX + 1];
	ssize_t got = recv(fd, text, ANSWER_BYTES_MAX, MSG_DONTWAIT);
	char *rest = text, *line;
	size_t count = 0;

	if (got <= 0) {
		return 0;
	}
	assert_always(got < ANSWER_BYTES_MAX && text[got - 1] == '\n');
	text[got - 1] = '\0';
	while ((line = strsep(&rest, "\n"))) {
		AUTO_JSON json_t *object = NULL;

		assert_always(json_parse(line, strlen(line), &object, NULL) == 0);
		assert_always(json_is_boolean(json_object_get(object, "ok")));
		assert_always(json_is_true(json_object_get(object, "ok")) ||
		              json_is_string(json_object_get(object, "error")));
		count++;
	}
	return count;
}

static size_t lines_of(const uint8_t *data, size_t size)
{
	size_t count = 0;

	for (size_t i = 0; i < size; i++) {
		count += data[i] == '\n';
	}
	return count;
}

static void ask(struct agent *agent, const uint8_t *data, size_t size, bool leave)
{
	int pair[2];
	struct local *local = mem_new(1, sizeof(*local));
	size_t answers, sent = 0;

	assert_always(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	*local = (struct local){ .agent = agent,
		.fd = pair[0],
		.in = BUF(LINE_BYTES_MAX),
		.out = BUF(MESSAGE_BYTES_MAX) };
	assert_always(
	        loop_watch(agent->loop, pair[0], EPOLLIN, on_local, local, &local->watch) == 0);
	agent->locals = local;
	while (sent < size) {
		size_t step = size - sent < 4096 ? size - sent : 4096;

		assert_always(send(pair[1], data + sent, step, MSG_NOSIGNAL) == (ssize_t)step);
		on_local(local, EPOLLIN);
		sent += step;
		if (!agent->locals || local->closed) {
			break; /* a line was too long */
		}
	}
	if (leave && agent->locals && !local->closed) {
		answers = read_answers(pair[1]);
		shutdown(pair[1], SHUT_RDWR);
		on_local(local, EPOLLIN | EPOLLHUP);
	} else if (agent->locals && !local->closed) {
		/* Each answer lets the next line be taken; cuts are answered in between. */
		for (size_t round = 0; pending_count > 0 || asked_priv > 0; round++) {
			assert_always(pending_count + asked_priv == 1);
			answer_waiting(agent, round);
		}
		answers = read_answers(pair[1]);
		assert_always(answers == lines_of(data, size));
		on_local(local, EPOLLIN);
		agent_local_close(agent);
	}
	while (pending_count > 0) {
		answer_waiting(agent, size);
	}
	assert_always(!agent->locals);
	close(pair[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char provider[] = "regional-vpn", center[] = "203.0.113.10";
	struct gateway_config config = { .provider = provider, .center = center };
	struct agent agent = { .config = &config,
		.state = AGENT_ONLINE,
		.local_fd = -1,
		.calls = (struct http_client *)&agent,
		.priv = (struct channel *)&agent };

	if (size < 1) {
		return 0;
	}
	pending_count = asked_priv = last_tag = 0;
	next_tag = 0;
	assert_always(loop_new(&agent.loop) == 0);
	ask(&agent, data + 1, size - 1, data[0] & 1);
	loop_free(agent.loop);
	return 0;
}
