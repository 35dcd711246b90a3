/*
 * Gateways: the one on this box through its local socket (protocol.md 7), and the list of all at
 * the center. What the socket is asked needs no center but for a new connection; a cut never does.
 */
#include "ctl/nouns.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/str.h"
#include "ctl/api.h"
#include "ctl/connection.h"

#define ANSWER_SEC_MAX 60

static int open_socket(struct ctl *ctl, int *ret_fd)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct timeval patience = { .tv_sec = ANSWER_SEC_MAX };
	const char *path = ctl->settings.socket;
	AUTO_FD int fd = -1;

	if (text_copy(address.sun_path, sizeof(address.sun_path), path) != 0) {
		return ctl_fail(ctl, CTL_USAGE, "--socket: %s is too long for a socket", path);
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		return ctl_fail(ctl, CTL_UNREACHABLE,
		        "the gateway does not answer at %s (%s): is it running, and is this its "
		        "administrator?",
		        path, strerror(errno));
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	*ret_fd = fd;
	fd = -1;
	return CTL_OK;
}

static int read_line(struct ctl *ctl, int fd, struct buf *line)
{
	while (line->count == 0 || line->bytes[line->count - 1] != '\n') {
		uint8_t *room = buf_reserve(line, 4096);
		ssize_t count = room ? recv(fd, room, 4096, 0) : 0;

		if (count <= 0) {
			return ctl_fail(ctl, CTL_UNREACHABLE, "the gateway did not answer: %s",
			        !room        ? "too long"
			        : count == 0 ? "it closed its socket"
			                     : strerror(errno));
		}
		line->count += (size_t)count;
	}
	return CTL_OK;
}

/* One question, one answer. Adopts `question`. */
static int ask(struct ctl *ctl, json_t *question)
{
	AUTO_JSON json_t *owned = question, *answer = NULL;
	AUTO_BUF struct buf out = BUF(JSON_BYTES_MAX), line = BUF(2 * JSON_BYTES_MAX);
	AUTO_FD int fd = -1;
	const char *error;
	int r = question ? open_socket(ctl, &fd)
	                 : ctl_fail(ctl, CTL_USAGE, "an option holds bytes that are not UTF-8");

	if (r != CTL_OK) {
		return r;
	}
	json_print(owned, &out);
	buf_add_text(&out, "\n");
	if (send(fd, out.bytes, out.count, MSG_NOSIGNAL) != (ssize_t)out.count) {
		return ctl_fail(
		        ctl, CTL_UNREACHABLE, "the gateway takes no question: %s", strerror(errno));
	}
	r = read_line(ctl, fd, &line);
	if (r != CTL_OK) {
		return r;
	}
	if (json_parse(line.bytes, line.count, &answer, &ctl->err) != 0) {
		return err_wrap(&ctl->err, CTL_UNREACHABLE, "the gateway's answer");
	}
	if (!json_is_true(json_object_get(answer, "ok"))) {
		error = json_string_value(json_object_get(answer, "error"));
		ctl->reason = json_incref(answer);
		return ctl_fail(ctl, CTL_REFUSED, "the gateway refused: %s",
		        error ? error : "no reason given");
	}
	json_object_del(answer, "ok");
	ctl->result = TAKE(answer);
	return CTL_OK;
}

static int run_status(struct ctl *ctl)
{
	return ask(ctl, json_pack("{s:s}", "command", "status"));
}

static int run_connect(struct ctl *ctl)
{
	const char *duration = ctl_text(ctl, "duration"), *protocol = ctl_text(ctl, "protocol");
	static const char *const more[] = { "person", "code", "terminal" };
	json_t *question = json_pack("{s:s, s:s, s:s, s:s, s:s, s:I}", "command", "connect", "from",
	        ctl_text(ctl, "from"), "to", ctl_text(ctl, "to"), "class", ctl_text(ctl, "class"),
	        "protocol", protocol, "port", (json_int_t)ctl_count(ctl, "port"));

	for (size_t i = 0; question && i < ARRAY_COUNT(more); i++) {
		if (ctl_text(ctl, more[i])) {
			json_object_set_new(question, more[i], json_string(ctl_text(ctl, more[i])));
		}
	}
	if (question && duration) {
		json_object_set_new(question, "duration", json_string(duration));
	}
	return ask(ctl, question);
}

static int run_disconnect(struct ctl *ctl)
{
	return ask(
	        ctl, json_pack("{s:s, s:s}", "command", "disconnect", "id", ctl_text(ctl, "ID")));
}

static int run_cut(struct ctl *ctl)
{
	const char *id = ctl_text(ctl, "ID");

	return ask(ctl, id ? json_pack("{s:s, s:s}", "command", "cut", "id", id)
	                   : json_pack("{s:s}", "command", "cut"));
}

static int run_list(struct ctl *ctl)
{
	return api_list(ctl, "/gateways");
}

static int run_journal(struct ctl *ctl)
{
	AUTO_STRING char *path = mem_format("/gateways/%s/journal", ctl_text(ctl, "GATEWAY"));

	return api_list(ctl, path);
}

static const struct option connect_options[] = {
	{ OPTION("from", OPTION_NAME), "the host behind this gateway that asks", .required = true },
	{ OPTION("to", OPTION_HOST), "the host that is asked", .required = true },
	{ OPTION("class", OPTION_NAME), "service class", "CLASS", .required = true },
	{ OPTION("protocol", OPTION_CHOICE), "protocol", "WORD", "tcp",
	        .choices = connection_protocols },
	{ OPTION("port", OPTION_COUNT), "port of the asked host; none with icmp", "PORT", .min = 1,
	        .max = 65535 },
	{ OPTION("duration", OPTION_DURATION), "how long; without it as long as is allowed",
	        .min = 1, .max = GRANT_SEC_MAX },
	{ OPTION("person", OPTION_TEXT), "who asks; without it the gateway itself" },
	{ OPTION("code", OPTION_TEXT), "the person's one-time code, where a rule wants two factors",
	        "CODE" },
	{ OPTION("terminal", OPTION_TEXT), "address of the terminal where the person sits",
	        "ADDRESS" },
	{ 0 },
};
static const struct option id_options[] = {
	{ OPTION("ID", OPTION_ID), "the connection", .required = true, .operand = true },
	{ 0 },
};
static const struct option cut_options[] = {
	{ OPTION("ID", OPTION_ID), "the connection; without it all of them", .operand = true },
	{ 0 },
};

static const struct option journal_options[] = {
	{ OPTION("GATEWAY", OPTION_NAME), "whose", .required = true, .operand = true },
	{ 0 },
};

static const struct command gateway_commands[] = {
	{ "status", "Shows the state of the gateway on this box.", GROUP_GATEWAY, NULL,
	        run_status },
	{ "connect", "Asks the center for a connection, as a host behind this gateway.",
	        GROUP_GATEWAY, connect_options, run_connect },
	{ "disconnect", "Ends one connection at this gateway.", GROUP_GATEWAY, id_options,
	        run_disconnect },
	{ "cut", "Shuts every connection at this gateway, or one, at once; needs no center.",
	        GROUP_GATEWAY, cut_options, run_cut },
	{ "list", "Lists the gateways that the center knows and their state.",
	        GROUP_CENTER | GROUP_PAGE, NULL, run_list },
	{ "journal", "Shows the journal of a gateway, as far as the center has it.",
	        GROUP_CENTER | GROUP_PAGE, journal_options, run_journal },
	{ 0 },
};
const struct noun noun_gateway = { "gateway", "the gateway on this box; all gateways at the center",
	gateway_commands };
