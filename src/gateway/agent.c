/*
 * Process agent: the only one of the gateway that talks to the network.
 *
 * It holds the link to the center, enrols for a service certificate, relays the center's events to
 * priv, ships the journal, watches the ledger, and serves the local socket. It opens nothing: what
 * it relays, priv checks; what it decides itself is only ever to shut. It reaches the token through
 * the token process and runs as an ordinary user.
 *
 * Sandbox: an ordinary user without a capability; may connect and use its sockets, write below its
 * own state directory, read what the resolver reads, and execute nothing. The PIN and the pinned
 * root are read before.
 */
#include "gateway/agent.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "base/sandbox.h"
#include "gateway/message.h"
#include "wire/json.h"

#define PRIV_RETRY_MSEC 50
#define STOP_READ_MSEC 20 /* for what priv said last */
#define STOP_MSEC 1000    /* for the last reports */
#define PIN_BYTES_MAX 256

static const char *const state_names[] = { "no-token", "no-device-certificate", "enrolling",
	"connecting", "online" };

const char *agent_state_name(enum agent_state state)
{
	return state_names[state];
}

void agent_state_set(struct agent *agent, enum agent_state state, const char *format, ...)
{
	char text[ERR_TEXT_BYTES_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (state != agent->state || strcmp(text, agent->state_text) != 0) {
		log_info("%s: %s", state_names[state], text);
	}
	agent->state = state;
	memcpy(agent->state_text, text, sizeof(text));
}

int agent_send(struct agent *agent, uint16_t type, uint32_t tag, const struct buf *payload)
{
	if (!agent->priv) {
		return 1;
	}
	if (channel_send(agent->priv, type, tag, payload->bytes, payload->count) != 0) {
		log_error("priv does not listen");
		return 1;
	}
	return 0;
}

void agent_note(struct agent *agent, const char *kind, const char *subject, const char *text)
{
	AUTO_BUF struct buf payload = BUF(JOURNAL_RECORD_BYTES_MAX);

	buf_add_block(&payload, kind, strlen(kind));
	buf_add_block(&payload, subject, strlen(subject));
	buf_add_block(&payload, text, strlen(text));
	if (agent_send(agent, MESSAGE_NOTE, 0, &payload) != 0) {
		log_warning("not recorded: %s %s: %s", kind, subject, text);
	}
}

int agent_cut(struct agent *agent, const char *id, const char *reason)
{
	AUTO_BUF struct buf payload = BUF(JOURNAL_RECORD_BYTES_MAX);

	buf_add_block(&payload, id, strlen(id));
	buf_add_block(&payload, "local", strlen("local"));
	buf_add_block(&payload, reason, strlen(reason));
	return agent_send(agent, MESSAGE_CUT, 0, &payload);
}

static int take_journal_newest(struct agent *agent, struct cursor *cursor)
{
	uint64_t newest = cursor_u64(cursor), oldest = cursor_u64(cursor);

	if (!cursor_done(cursor)) {
		return 1;
	}
	agent_journal_grew(agent, newest, oldest);
	return 0;
}

static int on_priv_message(
        void *context, uint16_t type, uint32_t tag, const uint8_t *payload, size_t payload_bytes)
{
	struct agent *agent = context;
	struct cursor cursor = CURSOR(payload, payload_bytes);
	const uint8_t *text;
	size_t count;

	switch (type) {
	case MESSAGE_REPORT:
		text = cursor_block(&cursor, &count);
		if (cursor_done(&cursor)) {
			agent_report(agent, (const char *)text, count, tag == 1);
		}
		return 0;
	case MESSAGE_JOURNAL:
		agent_journal_take(agent, payload, payload_bytes);
		return 0;
	case MESSAGE_JOURNAL_NEWEST:
		return take_journal_newest(agent, &cursor);
	case MESSAGE_STATUS_REPLY:
		text = cursor_block(&cursor, &count);
		if (cursor_done(&cursor)) {
			agent_local_status(agent, tag, (const char *)text, count);
		}
		return 0;
	case MESSAGE_TRAFFIC:
		text = cursor_block(&cursor, &count);
		if (cursor_done(&cursor)) {
			agent_traffic_ask(agent, tag, (const char *)text, count);
		}
		return 0;
	default:
		return 1;
	}
}

static void on_priv_closed(void *context)
{
	struct agent *agent = context;

	log_warning("priv is gone; what is open stays until its lease ends");
	agent->priv = channel_free(agent->priv);
	agent->journal_busy = agent->priv_told = false;
	agent_local_lost(
	        agent, true, "the privileged process ended; it is started again within seconds");
	loop_timer_set(agent->priv_timer, PRIV_RETRY_MSEC);
}

/* priv starts on its own and may start again at any time. What it has to know it is told anew. */
static void connect_priv(void *context)
{
	struct agent *agent = context;
	AUTO_STRING char *path = gateway_run_path(agent->config, GATEWAY_PRIV_SOCKET);
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || text_copy(address.sun_path, sizeof(address.sun_path), path) != 0 ||
	        connect(fd, (void *)&address, sizeof(address)) < 0) {
		if (fd >= 0) {
			close(fd);
		}
		loop_timer_set(agent->priv_timer, PRIV_RETRY_MSEC);
		return;
	}
	if (channel_new(agent->loop, fd, on_priv_message, on_priv_closed, agent, &agent->priv) <
	        0) {
		loop_timer_set(agent->priv_timer, PRIV_RETRY_MSEC);
		return;
	}
	/* A new priv knows nothing of what the center wants now: a new stream says everything. */
	agent_link_stop(agent);
	loop_timer_set(agent->token_timer, 0);
}

static int open_token(struct agent *agent, struct err *err)
{
	char pin[PIN_BYTES_MAX];
	int r;

	r = file_read_secret(agent->config->token_pin_file, pin, sizeof(pin), err);
	if (r == 0) {
		r = token_new(
		        GATEWAY_PKCS11_CLIENT, agent->config->token_label, pin, &agent->token);
	}
	mem_wipe(pin, sizeof(pin));
	return r;
}

static int open_trust(struct agent *agent, struct err *err)
{
	AUTO_BUF struct buf text = BUF(2 * CERT_DER_BYTES_MAX);

	/* Only to know the center by its certificate; what the center sends is priv's to believe.
	 */
	agent->verifier = verifier_new((struct verify_rules){ 0 });
	if (file_read(agent->config->trust_root, &text, err) != 0 ||
	        cert_parse(text.bytes, text.count, &agent->root, err) != 0 ||
	        verifier_add_root(agent->verifier, agent->root, err) != 0) {
		return err_wrap(err, GATEWAY_EXIT_CONFIG, "%s", agent->config->trust_root);
	}
	return 0;
}

static int become_user(const struct agent *agent, struct err *err)
{
	const struct passwd *user = getpwnam(agent->config->user);
	pid_t parent = getppid();

	if (!user) {
		return err_set(err, 1, "there is no user \"%s\"", agent->config->user);
	}
	if (geteuid() != 0) {
		return 0;
	}
	/* While that is still allowed: nothing that this process may start can have a capability.
	 */
	for (int capability = 0; prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0; capability++) {
	}
	if (setgroups(0, NULL) < 0 || setresgid(user->pw_gid, user->pw_gid, user->pw_gid) < 0 ||
	        setresuid(user->pw_uid, user->pw_uid, user->pw_uid) < 0 ||
	        /* Becoming another user takes back that main's death is ours (prctl(2)). */
	        prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) {
		return err_set(
		        err, 1, "cannot become %s: %s", agent->config->user, strerror(errno));
	}
	if (getppid() != parent) {
		return err_set(err, 1, "main has ended meanwhile");
	}
	return 0;
}

/* What the listed sets have not: looking up a name is done in a child (loop/resolve.h), which
 * executes nothing. */
static const char *const own_calls[] = { "clone", "clone3", "fork", "wait4", "kill", "pipe2",
	"dup2", "close_range", "set_tid_address", NULL };

static int enter_sandbox(const struct agent *agent, struct err *err)
{
	AUTO_STRING char *state = gateway_state_path(agent->config, "agent");
	const struct sandbox_path paths[] = {
		{ state, SANDBOX_READ | SANDBOX_WRITE },
		/* the resolver */
		{ "/usr/lib", SANDBOX_READ },
		{ "/lib", SANDBOX_READ },
		{ "/etc/ld.so.cache", SANDBOX_READ },
		{ "/etc/resolv.conf", SANDBOX_READ },
		{ "/etc/hosts", SANDBOX_READ },
		{ "/etc/host.conf", SANDBOX_READ },
		{ "/etc/nsswitch.conf", SANDBOX_READ },
		{ "/etc/gai.conf", SANDBOX_READ },
		{ "/etc/services", SANDBOX_READ },
		{ "/run/systemd/resolve", SANDBOX_READ },
		/* p11-kit's client */
		{ "/etc/pkcs11", SANDBOX_READ },
		{ "/usr/share/p11-kit", SANDBOX_READ },
		{ "/dev/urandom", SANDBOX_READ },
		{ "/dev/null", SANDBOX_READ | SANDBOX_WRITE },
		{ 0 },
	};
	static const char *const *const calls[] = { sandbox_calls_base, sandbox_calls_files,
		sandbox_calls_sockets, sandbox_calls_network, own_calls, NULL };
	static const int families[] = { AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, 0 };

	return sandbox_enter(
	        &(struct sandbox){ .calls = calls, .paths = paths, .families = families }, err);
}

static void on_signal(void *context, int signal)
{
	struct agent *agent = context;

	/* The end of connections that priv shut a moment ago is still to be told to the center.
	 * What it said of them may not have been read yet. */
	if (signal == SIGTERM) {
		loop_timer_set(agent->stop_timer, STOP_READ_MSEC);
		return;
	}
	loop_stop(agent->loop, GATEWAY_EXIT_RESTART);
}

static void on_stop_timer(void *context)
{
	struct agent *agent = context;

	if (!agent->stopping && agent_reports_wait(agent)) {
		agent->stopping = true;
		loop_timer_set(agent->stop_timer, STOP_MSEC);
		return;
	}

	loop_stop(agent->loop, GATEWAY_EXIT_RESTART);
}

static int open_all(struct agent *agent, struct err *err)
{
	if (open_token(agent, err) != 0 || open_trust(agent, err) != 0) {
		return GATEWAY_EXIT_CONFIG;
	}
	if (agent_local_open(agent, err) != 0 || become_user(agent, err) != 0 ||
	        enter_sandbox(agent, err) < 0) {
		return 1;
	}
	return 0;
}

static void close_all(struct agent *agent)
{
	agent_local_close(agent);
	agent_link_free(agent);
	http_client_free(agent->enrol);
	channel_free(agent->priv);
	loop_timer_free(agent->priv_timer);
	loop_timer_free(agent->stop_timer);
	loop_timer_free(agent->token_timer);
	cert_free(agent->service);
	cert_free(agent->device);
	cert_free(agent->root);
	token_key_free(agent->service_key);
	token_key_free(agent->device_key);
	token_key_free(agent->new_key);
	token_free(agent->token);
	verifier_free(agent->verifier);
	free(agent->checkpoint);
	free(agent->checkpoint_next);
	free(agent->verifier_keys);
	loop_free(agent->loop);
}

int gateway_agent_main(const struct gateway_process *process)
{
	struct agent agent = {
		.config = process->config, .dataplane = process->dataplane, .local_fd = -1
	};
	struct err err = { 0 };
	int status;

	signal(SIGPIPE, SIG_IGN);
	json_object_seed(0); /* reads /dev/urandom, which the sandbox shuts */
	if (sandbox_prepare(&err) < 0 || loop_new(&agent.loop) < 0 ||
	        loop_signal(agent.loop, SIGTERM, on_signal, &agent) < 0 ||
	        loop_signal(agent.loop, SIGHUP, on_signal, &agent) < 0) {
		log_error("cannot start: %s", err.text);
		return 1;
	}
	agent.priv_timer = loop_timer_new(agent.loop, connect_priv, &agent);
	agent.stop_timer = loop_timer_new(agent.loop, on_stop_timer, &agent);
	agent.token_timer = loop_timer_new(agent.loop, agent_token_look, &agent);
	agent_link_new(&agent);
	status = open_all(&agent, &err);
	if (status != 0) {
		log_error("%s", err.text);
		close_all(&agent);
		return status;
	}
	agent_ledger_open(&agent);
	loop_timer_set(agent.priv_timer, 0);
	status = loop_run(agent.loop);
	close_all(&agent);
	return status < 0 ? 1 : status;
}
