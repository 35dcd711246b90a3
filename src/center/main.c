/*
 * sekisho-center: the provider's connection center.
 *
 * This process starts the others and joins them: it makes a socket pair for each, hands one
 * end to the process and the other to core, and starts again what died. It holds no key, opens no
 * port and reads nothing from a peer.
 *
 * May touch: its configuration, its children, which inherit what it may: so it gives up new
 * privileges and core dumps here, and each child puts up its own walls. May not and does not: open
 * a socket to anybody, read a key.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "center/core.h"
#include "center/process.h"
#include "center/routes.h"
#include "loop/process.h"

#define CONFIG_DEFAULT "/etc/sekisho/center.conf"
#define RESTART_MSEC 300      /* after a death; a process must be back within 3 s (R9) */
#define RESTART_MSEC_MAX 2500 /* when it dies again and again */
#define RESTART_STEADY_USEC (10 * USEC_PER_SEC)

enum child_kind { CHILD_CORE, CHILD_SIGNER, CHILD_FRONT, CHILD_MAIL };

struct child {
	struct main_state *state;
	enum child_kind kind;
	unsigned index;
	struct process *process;
	struct loop_timer *timer;
	int64_t started_usec;
	int64_t wait_msec;
};

struct main_state {
	const struct process_arguments *arguments;
	struct center_config config;
	char executable[PATH_MAX];
	struct loop *loop;
	struct child core, signer, mail, fronts[FRONTS_MAX];
	int control; /* to core; -1 while there is none */
	struct loop_fd *control_watch;
	bool stopping;
};

static const char *child_name(const struct child *child)
{
	static const char *const names[] = { "core", "signer", "front", "mail" };

	return names[child->kind];
}

static void start_child(struct child *child);

static void on_restart(void *context)
{
	start_child(context);
}

static bool all_ended(const struct main_state *state)
{
	bool ended = !state->core.process && !state->signer.process && !state->mail.process;

	for (unsigned i = 0; i < state->config.fronts; i++) {
		ended = ended && !state->fronts[i].process;
	}
	return ended;
}

/* Signer and fronts talk to one core; when it is gone they end by themselves and are started again
 * after it. */
static void on_ended(void *context, struct process *process, int status)
{
	struct child *child = context;
	struct main_state *state = child->state;
	bool steady = clock_monotonic_usec() - child->started_usec > RESTART_STEADY_USEC;

	child->process = process_free(process);
	if (child->kind == CHILD_CORE && state->control >= 0) {
		state->control_watch = loop_unwatch(state->control_watch);
		close(state->control);
		state->control = -1;
	}
	if (state->stopping) {
		if (child->kind == CHILD_CORE && state->signer.process) {
			process_stop(state->signer.process); /* it ends by itself, or is killed */
		}
		if (all_ended(state)) {
			loop_stop(state->loop, 0);
		}
		return;
	}
	child->wait_msec = steady || child->wait_msec == 0 ? RESTART_MSEC : 2 * child->wait_msec;
	if (child->wait_msec > RESTART_MSEC_MAX) {
		child->wait_msec = RESTART_MSEC_MAX;
	}
	log_error("%s %u ended (status %d): it starts again in %lld ms", child_name(child),
	        child->index, status, (long long)child->wait_msec);
	loop_timer_set(child->timer, child->wait_msec);
}

static int start_process(struct child *child, int fd)
{
	struct main_state *state = child->state;
	char index[16];
	AUTO_STRING char *conf = NULL;
	const char *const argv[] = { state->executable, "--process", child_name(child), "--index",
		index, "--config", state->arguments->config_path,
		state->arguments->first_token ? "--first-token" : NULL,
		state->arguments->first_token, NULL };
	const char *environment[3] = { "PATH=/usr/bin:/bin", NULL, NULL };
	struct process_plan plan = { .name = child_name(child),
		.argv = argv,
		.environment = environment,
		.fds = { fd },
		.fd_count = 1 };
	const char *softhsm = child->kind == CHILD_SIGNER  ? state->config.ca_token.softhsm_conf
	                      : child->kind == CHILD_FRONT ? state->config.tls_token.softhsm_conf
	                                                   : NULL;

	snprintf(index, sizeof(index), "%u", child->index);
	if (softhsm) {
		conf = mem_format("SOFTHSM2_CONF=%s", softhsm);
		environment[1] = conf;
	}
	child->started_usec = clock_monotonic_usec();
	return process_start(state->loop, &plan, on_ended, child, &child->process);
}

/* Core says that the signer does not answer: a process that hangs does not end by itself (F29). */
static void on_control(void *context, uint32_t events)
{
	struct main_state *state = context;
	char word;

	if (recv(state->control, &word, 1, MSG_DONTWAIT) != 1) {
		/* Core is about to be reported as ended. */
		state->control_watch = loop_unwatch(state->control_watch);
		return;
	}
	if (word == CONTROL_SIGNER && state->signer.process) {
		log_error("the signer does not answer: it is ended");
		process_signal(state->signer.process, SIGKILL);
	}
}

static int start_core(struct child *child)
{
	struct main_state *state = child->state;
	int pair[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		return FAULT(-errno);
	}
	r = start_process(child, pair[1]);
	close(pair[1]);
	if (r < 0) {
		close(pair[0]);
		return r;
	}
	state->control = pair[0];
	return loop_watch(state->loop, pair[0], EPOLLIN, on_control, state, &state->control_watch);
}

static int start_and_join(struct child *child)
{
	struct main_state *state = child->state;
	int pair[2], r;

	if (state->control < 0) {
		return FAULT(-ENOTCONN);
	}
	if (channel_pair(pair) < 0) {
		return FAULT(-errno);
	}
	r = start_process(child, pair[1]);
	if (r == 0) {
		r = control_send(state->control,
		        child->kind == CHILD_SIGNER ? CONTROL_SIGNER
		        : child->kind == CHILD_MAIL ? CONTROL_MAIL
		                                    : CONTROL_FRONT,
		        child->index, pair[0]);
	}
	close(pair[0]);
	close(pair[1]);
	return r;
}

static void start_child(struct child *child)
{
	int r = child->kind == CHILD_CORE ? start_core(child) : start_and_join(child);

	/* A child that was started but not joined sees the end of its channel and ends. */
	if (r < 0 && !child->process) {
		loop_timer_set(child->timer, RESTART_MSEC);
	}
}

static void on_reload(void *context, int signal)
{
	struct main_state *state = context;
	struct center_config config = { 0 };
	struct err err = { 0 };

	if (center_config_read(state->arguments->config_path, &config, &err) != 0) {
		log_error("the old configuration stays: %s", err.text);
		return;
	}
	center_config_clear(&config);
	process_signal(state->core.process, SIGHUP);
	if (state->mail.process) {
		process_signal(state->mail.process, SIGHUP); /* which ends it: it starts anew */
	}
	for (unsigned i = 0; i < state->config.fronts; i++) {
		if (state->fronts[i].process) {
			process_signal(state->fronts[i].process, SIGHUP);
		}
	}
}

static void stop_child(struct child *child)
{
	loop_timer_stop(child->timer);
	if (child->process) {
		process_stop(child->process);
	}
}

/* Fronts first, so that nothing more comes in; then core, which still needs the signer for its last
 * checkpoint. The signer ends with core. */
static void on_stop(void *context, int signal)
{
	struct main_state *state = context;

	state->stopping = true;
	for (unsigned i = 0; i < state->config.fronts; i++) {
		stop_child(&state->fronts[i]);
	}
	stop_child(&state->core);
	loop_timer_stop(state->signer.timer);
	loop_timer_stop(state->mail.timer);
	if (all_ended(state)) {
		loop_stop(state->loop, 0);
	}
}

static void child_init(
        struct child *child, struct main_state *state, enum child_kind kind, unsigned index)
{
	*child = (struct child){ .state = state, .kind = kind, .index = index };
	child->timer = loop_timer_new(state->loop, on_restart, child);
}

static int start_all(struct main_state *state)
{
	int r = loop_new(&state->loop);

	if (r == 0) {
		r = loop_signal(state->loop, SIGTERM, on_stop, state);
	}
	if (r == 0) {
		r = loop_signal(state->loop, SIGINT, on_stop, state);
	}
	if (r == 0) {
		r = loop_signal(state->loop, SIGHUP, on_reload, state);
	}
	if (r < 0) {
		return r;
	}
	child_init(&state->core, state, CHILD_CORE, 0);
	child_init(&state->signer, state, CHILD_SIGNER, 0);
	child_init(&state->mail, state, CHILD_MAIL, 0);
	start_child(&state->core);
	start_child(&state->signer);
	if (state->config.mail_server) {
		start_child(&state->mail);
	}
	for (unsigned i = 0; i < state->config.fronts; i++) {
		child_init(&state->fronts[i], state, CHILD_FRONT, i);
		start_child(&state->fronts[i]);
	}
	return 0;
}

static int parent_main(const struct process_arguments *arguments)
{
	/* Static, as it lives as long as the process: at the end only what is lost leaks. */
	static struct main_state state = { .control = -1 };
	ssize_t count = readlink("/proc/self/exe", state.executable, sizeof(state.executable) - 1);
	struct err err = { 0 };
	int r;

	state.arguments = arguments;
	if (count <= 0 || sandbox_prepare(&err) < 0 ||
	        process_configure(arguments, "main", &state.config) != 0) {
		return 1;
	}
	signal(SIGPIPE, SIG_IGN);
	r = start_all(&state);
	if (r < 0) {
		log_error("cannot start: %s", strerror(-r));
		return 1;
	}
	r = loop_run(state.loop);
	for (unsigned i = 0; i < state.config.fronts; i++) {
		process_free(state.fronts[i].process);
	}
	process_free(state.core.process);
	process_free(state.signer.process);
	process_free(state.mail.process);
	log_info("the center ended");
	return r;
}

static int check_main(const char *path)
{
	struct center_config config = { 0 };
	struct err err = { 0 };

	if (center_config_read(path, &config, &err) != 0) {
		fprintf(stderr, "sekisho-center: %s\n", err.text);
		return 1;
	}
	printf("%s is good\n", path);
	center_config_clear(&config);
	return 0;
}

static const char usage[] =
        "usage: sekisho-center [-c FILE] [-d] [-n] [--first-token FILE]\n"
        "       sekisho-center --sample | --openapi | --version | --help\n"
        "\n"
        "  -c, --config FILE       the configuration (" CONFIG_DEFAULT ")\n"
        "  -d, --foreground        stay in the foreground (this is always so)\n"
        "  -n, --check             check the configuration and end\n"
        "      --first-token FILE  write the first operator token there at the first start\n"
        "      --sample            print a sample configuration\n"
        "      --openapi           print the interface as OpenAPI 3.1\n"
        "\n"
        "SIGHUP reads configuration and certificates again, SIGTERM ends.\n";

enum {
	OPTION_FIRST_TOKEN = 256,
	OPTION_SAMPLE,
	OPTION_OPENAPI,
	OPTION_PROCESS,
	OPTION_INDEX,
	OPTION_VERSION
};

static const struct option options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "foreground", no_argument, NULL, 'd' },
	{ "check", no_argument, NULL, 'n' },
	{ "help", no_argument, NULL, 'h' },
	{ "first-token", required_argument, NULL, OPTION_FIRST_TOKEN },
	{ "sample", no_argument, NULL, OPTION_SAMPLE },
	{ "openapi", no_argument, NULL, OPTION_OPENAPI },
	{ "version", no_argument, NULL, OPTION_VERSION },
	/* For main itself, which starts its own program again. */
	{ "process", required_argument, NULL, OPTION_PROCESS },
	{ "index", required_argument, NULL, OPTION_INDEX },
	{ 0 },
};

static int run_process(const char *name, const struct process_arguments *arguments)
{
	if (text_equal(name, "core")) {
		return core_main(arguments);
	}
	if (text_equal(name, "signer")) {
		return signer_main(arguments);
	}
	if (text_equal(name, "front")) {
		return front_main(arguments);
	}
	if (text_equal(name, "mail")) {
		return mail_main(arguments);
	}
	fprintf(stderr, "sekisho-center: there is no process \"%s\"\n", name);
	return 2;
}

int main(int argc, char **argv)
{
	static struct process_arguments arguments = { .config_path = CONFIG_DEFAULT };
	const char *process = NULL;
	bool check = false;
	uint64_t index;
	int option;

	while ((option = getopt_long(argc, argv, "c:dnh", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			arguments.config_path = optarg;
			break;
		case 'd':
			break;
		case 'n':
			check = true;
			break;
		case OPTION_FIRST_TOKEN:
			arguments.first_token = optarg;
			break;
		case OPTION_SAMPLE:
			config_print_sample(center_config_keys);
			return 0;
		case OPTION_OPENAPI:
			routes_print_openapi();
			return 0;
		case OPTION_VERSION:
			printf("sekisho-center %s\n", SEKISHO_VERSION);
			return 0;
		case OPTION_PROCESS:
			process = optarg;
			break;
		case OPTION_INDEX:
			if (unsigned_parse(optarg, FRONTS_MAX - 1, &index) != 0) {
				return 2;
			}
			arguments.index = (unsigned)index;
			break;
		case 'h':
			printf("%s", usage);
			return 0;
		default:
			fprintf(stderr, "%s", usage);
			return 2;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "%s", usage);
		return 2;
	}
	if (process) {
		return run_process(process, &arguments);
	}
	return check ? check_main(arguments.config_path) : parent_main(&arguments);
}
