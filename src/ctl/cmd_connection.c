/* Connections, asked of the center. */
#include "ctl/nouns.h"

#include <time.h>

#include "base/clock.h"
#include "base/str.h"
#include "ctl/api.h"
#include "ctl/connection.h"

#define WAIT_FIRST_MSEC 50 /* a connection is up in some hundred milliseconds on a good day */
#define WAIT_MOST_MSEC 1000

/* The body of a request; NULL with a usage error. The caller owns it. */
static int request_body(struct ctl *ctl, json_t **ret_body)
{
	struct policy_request request;
	int r = connection_request_of(ctl, &request);

	if (r != CTL_OK) {
		return r;
	}
	*ret_body = json_pack("{s:s, s:s, s:s, s:s, s:i}", "from", ctl_text(ctl, "from"), "to",
	        ctl_text(ctl, "to"), "class", ctl_text(ctl, "class"), "protocol",
	        ctl_text(ctl, "protocol"), "port", (int)request.port);
	if (*ret_body && ctl_text(ctl, "person")) {
		json_object_set_new(*ret_body, "person", json_string(ctl_text(ctl, "person")));
	}
	if (!*ret_body) {
		return ctl_fail(ctl, CTL_USAGE, "--person: not UTF-8");
	}
	if (request.duration_sec > 0) {
		json_object_set_new(*ret_body, "duration_sec", json_integer(request.duration_sec));
	}
	return CTL_OK;
}

static void pause_msec(int64_t msec)
{
	struct timespec time = { .tv_sec = msec / 1000, .tv_nsec = msec % 1000 * 1000000 };

	nanosleep(&time, NULL);
}

/* Looks again and again until the connection is up or over. */
static int wait_up(struct ctl *ctl, const char *id)
{
	AUTO_STRING char *path = mem_format("/connections/%s", id);
	int64_t end = clock_monotonic_usec() + ctl_seconds(ctl, "wait") * USEC_PER_SEC;
	int64_t step = WAIT_FIRST_MSEC;
	AUTO_STRING char *last = NULL;

	for (;;) {
		AUTO_JSON json_t *answer = NULL;
		const char *state, *reason;
		int r = api_get(ctl, path, &answer);

		if (r != CTL_OK) {
			return r;
		}
		state = json_string_value(json_object_get(answer, "state"));
		reason = json_string_value(json_object_get(answer, "reason"));
		if (state && !text_equal(state, last)) {
			ctl_progress("%s: %s", id, state);
			free(last);
			last = mem_string(state);
		}
		json_decref(ctl->result);
		ctl->result = json_incref(answer);
		if (text_equal(state, "up")) {
			return CTL_OK;
		}
		if (text_equal(state, "closed") || text_equal(state, "closing")) {
			return ctl_fail(ctl, CTL_REFUSED, "connection %s did not come up: %s", id,
			        reason && *reason ? reason : state);
		}
		if (clock_monotonic_usec() >= end) {
			return ctl_fail(ctl, CTL_UNREACHABLE,
			        "connection %s is still %s; \"sekisho connection show %s\" tells "
			        "how it goes on",
			        id, state ? state : "unknown", id);
		}
		pause_msec(step);
		step = step * 2 < WAIT_MOST_MSEC ? step * 2 : WAIT_MOST_MSEC;
	}
}

static int run_request(struct ctl *ctl)
{
	AUTO_JSON json_t *body = NULL;
	AUTO_STRING char *id = NULL;
	int r = request_body(ctl, &body);

	if (r == CTL_OK) {
		r = api_post(ctl, "/connections", body, &ctl->result);
	}
	if (r != CTL_OK || ctl_flag(ctl, "no-wait")) {
		return r;
	}
	id = mem_string(json_string_value(json_object_get(ctl->result, "id")));
	if (!id || !id_valid(id)) {
		return ctl_fail(ctl, CTL_UNREACHABLE, "the center's answer holds no id");
	}
	return wait_up(ctl, id);
}

static int run_explain(struct ctl *ctl)
{
	AUTO_JSON json_t *body = NULL;
	int r = request_body(ctl, &body);

	if (r == CTL_OK) {
		r = api_post(ctl, "/explain", body, &ctl->result);
	}
	if (r == CTL_OK &&
	        !text_equal(json_string_value(json_object_get(ctl->result, "verdict")), "permit")) {
		r = ctl_fail(ctl, CTL_REFUSED, "this connection would be denied");
	}
	return r;
}

static int run_list(struct ctl *ctl)
{
	return api_list(ctl, "/connections");
}

static int run_show(struct ctl *ctl)
{
	AUTO_STRING char *path = mem_format("/connections/%s", ctl_text(ctl, "ID"));

	return api_show(ctl, path);
}

static int run_cut(struct ctl *ctl)
{
	AUTO_STRING char *path = mem_format("/connections/%s/cut", ctl_text(ctl, "ID"));
	json_t *body = json_pack("{s:s}", "reason", ctl_text(ctl, "reason"));

	return body ? api_do(ctl, path, body) : ctl_fail(ctl, CTL_USAGE, "--reason: not UTF-8");
}

static const struct option request_options[] = {
	CONNECTION_OPTIONS,
	{ OPTION("person", OPTION_TEXT),
	        "who asks; without it the person who is logged in, or nobody" },
	{ OPTION("wait", OPTION_DURATION), "how long is waited for the connection to be up", NULL,
	        "60s", .min = 1, .max = 3600 },
	{ OPTION("no-wait", OPTION_FLAG), "return as soon as the request is granted" },
	{ 0 },
};
static const struct option explain_options[] = {
	CONNECTION_OPTIONS,
	{ OPTION("person", OPTION_TEXT), "who would ask" },
	{ 0 },
};
static const struct option id_options[] = {
	{ OPTION("ID", OPTION_ID), "the connection", .required = true, .operand = true },
	{ 0 },
};
static const struct option cut_options[] = {
	{ OPTION("ID", OPTION_ID), "the connection", .required = true, .operand = true },
	{ OPTION("reason", OPTION_TEXT), "why; it is recorded", NULL, "ended by an operator" },
	{ 0 },
};

static const struct command connection_commands[] = {
	{ "request", "Asks for a connection from host to host and waits until it is up.",
	        GROUP_CENTER, request_options, run_request },
	{ "list", "Lists connections, newest first.", GROUP_CENTER | GROUP_PAGE, NULL, run_list },
	{ "show", "Shows one connection.", GROUP_CENTER, id_options, run_show },
	{ "explain", "Says what would be decided about a request, and why, without asking for it.",
	        GROUP_CENTER, explain_options, run_explain },
	{ "cut", "Ends a connection now.", GROUP_CENTER, cut_options, run_cut },
	{ 0 },
};
const struct noun noun_connection = { "connection", "connections from host to host",
	connection_commands };
