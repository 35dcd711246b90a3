/*
 * sekisho-gateway: the router at a site's one access point.
 *
 * Process main starts the others and starts again whichever ends. It reads its configuration and
 * nothing else: no peer, no socket, no message. It stays root, because charon and priv are started
 * so, but keeps of root's rights only what they need and what starting takes (KEPT_CAPABILITIES):
 * it can load no module, trace no process and mount nothing. priv and agent are another program
 * (worker.c), so that nothing that reads a peer's bytes, and no OpenSSL, is in the one that is
 * root.
 *
 *     main ─┬─ token         the token, for agent           no capability
 *           ├─ token-charon  the token, for charon          no capability
 *           ├─ charon        IKEv2
 *           ├─ priv          filter, charon, journal        CAP_NET_ADMIN, no network, no key
 *           └─ agent         link to the center, local socket   an ordinary user
 */
#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <libgen.h>
#include <linux/capability.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "base/str.h"
#include "gateway/charon_config.h"
#include "gateway/process.h"
#include "loop/process.h"

#define WORKER_PROGRAM "sekisho-gateway-worker" /* beside this program */

#define RESTART_MSEC_MIN 100
#define RESTART_MSEC_MAX 3000
#define STEADY_USEC (10 * USEC_PER_SEC) /* a process that lived this long starts anew at once */
#define SOCKET_POLL_MSEC 10
#define WATCH_MSEC 500
#define CHARON_SETTLE_USEC (150 * USEC_PER_MSEC) /* for its first look at the token */
#define CHARON_WAIT_USEC (3 * USEC_PER_SEC)      /* then the agent starts without it */
#define TOKEN_QUIET_USEC (2 * USEC_PER_SEC)      /* for the last remotes, when stopping */

#define BIT(capability) (1ULL << (capability))
/* priv and charon: the network; charon's sockets. Starting: another user, the sandbox, its
 * directories and sockets. Ending: signals to another user's process. */
#define KEPT_CAPABILITIES                                                                          \
	(BIT(CAP_NET_ADMIN) | BIT(CAP_NET_RAW) | BIT(CAP_NET_BIND_SERVICE) | BIT(CAP_SETUID) |     \
	        BIT(CAP_SETGID) | BIT(CAP_SETPCAP) | BIT(CAP_CHOWN) | BIT(CAP_FOWNER) |            \
	        BIT(CAP_DAC_OVERRIDE) | BIT(CAP_KILL))

enum child_kind { CHILD_TOKEN, CHILD_TOKEN_CHARON, CHILD_PRIV, CHILD_AGENT, CHILD_COUNT };

struct main;

struct child {
	struct main *main;
	enum child_kind kind;
	struct process *process;
	struct loop_timer *restart;
	int64_t started_usec, restart_msec;
};

struct main {
	struct loop *loop;
	struct gateway_config config;
	const char *config_path;
	char *worker; /* path of the program that priv and agent are */
	struct dataplane_choice plane;
	gid_t agent_group;
	struct child children[CHILD_COUNT];
	struct process *charon;
	int64_t charon_started_usec, charon_restart_msec;
	bool charon_has_token;             /* its own p11-kit-remote was seen alive */
	int64_t started_usec, remote_usec; /* of the others; when that was seen first, 0: not yet */
	int64_t quiet_by; /* when stopping: until then the tokens' last clients may end by
	                     themselves */
	struct loop_timer *charon_timer, *watch_timer, *ready_timer;
	bool stopping, started, agent_started;
};

static const char *const child_names[] = { GATEWAY_TOKEN_AGENT, GATEWAY_TOKEN_CHARON, "priv",
	"agent" };

static void start_child(struct child *child);
static void start_charon(void *context);

static bool nothing_runs(const struct main *main)
{
	for (int i = 0; i < CHILD_COUNT; i++) {
		if (main->children[i].process) {
			return false;
		}
	}
	return !main->charon;
}

/* Whether a process that serves a token has a child: p11-kit's remote, one a client. */
static bool remote_runs(const struct main *main, enum child_kind kind)
{
	AUTO_BUF struct buf text = BUF(4096);
	AUTO_STRING char *path = NULL;
	pid_t pid;

	if (!main->children[kind].process) {
		return false;
	}
	pid = process_pid(main->children[kind].process);
	path = mem_format("/proc/%d/task/%d/children", (int)pid, (int)pid);
	return file_read(path, &text, NULL) == 0 && text.count > 0;
}

/* Ending goes from the inside out: priv shuts every connection, agent tells the center of it, then
 * the rest. */
static void stop_next(struct main *main)
{
	static const enum child_kind order[] = { CHILD_PRIV, CHILD_AGENT };

	for (size_t i = 0; i < ARRAY_COUNT(order); i++) {
		if (main->children[order[i]].process) {
			process_stop(main->children[order[i]].process);
			return;
		}
	}
	if (main->charon) {
		process_stop(main->charon);
		return;
	}
	/* A remote of a client that has just ended may be in the middle of a login, which SoftHSM
	 * writes into the token's file: killed there, the file is no token any more. */
	if (main->quiet_by == 0) {
		main->quiet_by = clock_monotonic_usec() + TOKEN_QUIET_USEC;
	}
	if ((remote_runs(main, CHILD_TOKEN) || remote_runs(main, CHILD_TOKEN_CHARON)) &&
	        clock_monotonic_usec() < main->quiet_by) {
		loop_timer_set(main->ready_timer, SOCKET_POLL_MSEC);
		return;
	}
	for (int i = 0; i < CHILD_COUNT; i++) {
		if (main->children[i].process) {
			process_stop(main->children[i].process);
		}
	}
	if (nothing_runs(main)) {
		loop_stop(main->loop, 0);
	}
}

/* At once what ran steadily; what ends again and again waits twice as long each time. */
static int64_t next_wait(int64_t last_msec, int64_t started_usec)
{
	int64_t msec = 2 * last_msec;

	if (clock_monotonic_usec() - started_usec > STEADY_USEC) {
		return RESTART_MSEC_MIN;
	}
	return msec < RESTART_MSEC_MAX ? msec : RESTART_MSEC_MAX;
}

static void child_ended(void *context, struct process *process, int status)
{
	struct child *child = context;
	struct main *main = child->main;

	child->process = process_free(process);
	if (main->stopping) {
		stop_next(main);
		return;
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == GATEWAY_EXIT_CONFIG) {
		log_error("%s cannot run with %s; not started again until the configuration is "
		          "reloaded",
		        child_names[child->kind], main->config_path);
		return;
	}
	log_warning("%s ended (%s %d); starting it again", child_names[child->kind],
	        WIFSIGNALED(status) ? "signal" : "status",
	        WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	if (child->kind == CHILD_TOKEN_CHARON && main->charon) {
		process_signal(main->charon, SIGKILL); /* its keys went with the token process */
	}
	child->restart_msec = next_wait(child->restart_msec, child->started_usec);
	loop_timer_set(child->restart, child->restart_msec);
}

static void start_child(struct child *child)
{
	struct main *main = child->main;
	AUTO_STRING char *server = mem_format("P11_KIT_SERVER_ADDRESS=unix:path=%s/%s.socket",
	        main->config.run_dir, GATEWAY_TOKEN_AGENT);
	bool token = child->kind == CHILD_TOKEN || child->kind == CHILD_TOKEN_CHARON;
	const char *const argv[] = { token ? "/proc/self/exe" : main->worker, "--process",
		child_names[child->kind], "--config", main->config_path,
		token ? NULL : "--dataplane", dataplane_name(main->plane.dataplane), NULL };
	const char *const environment[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", server, NULL };
	struct process_plan plan = {
		.name = child_names[child->kind], .argv = argv, .environment = environment
	};

	child->started_usec = clock_monotonic_usec();
	if (process_start(main->loop, &plan, child_ended, child, &child->process) < 0) {
		log_error("cannot start %s", child_names[child->kind]);
		loop_timer_set(child->restart, RESTART_MSEC_MAX);
	}
}

static void restart_child(void *context)
{
	struct child *child = context;

	if (!child->main->stopping && !child->process) {
		start_child(child);
	}
}

static void charon_ended(void *context, struct process *process, int status)
{
	struct main *main = context;

	main->charon = process_free(process);
	main->charon_has_token = false;
	if (main->stopping) {
		stop_next(main);
		return;
	}
	log_warning("charon ended (%s %d); starting it again",
	        WIFSIGNALED(status) ? "signal" : "status",
	        WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	main->charon_restart_msec = next_wait(main->charon_restart_msec, main->charon_started_usec);
	loop_timer_set(main->charon_timer, main->charon_restart_msec);
}

static bool token_socket_there(const struct main *main, const char *name, bool for_agent)
{
	AUTO_STRING char *path = mem_format("%s/%s.socket", main->config.run_dir, name);
	struct stat status;

	if (stat(path, &status) < 0 || !S_ISSOCK(status.st_mode)) {
		return false;
	}
	if (for_agent && (chown(path, 0, main->agent_group) < 0 || chmod(path, 0770) < 0)) {
		log_error("cannot give %s to the agent: %s", path, strerror(errno));
	}
	return true;
}

static void start_charon(void *context)
{
	struct main *main = context;
	AUTO_STRING char *directory = gateway_run_path(&main->config, "charon");
	AUTO_STRING char *server =
	        mem_format("unix:path=%s/%s.socket", main->config.run_dir, GATEWAY_TOKEN_CHARON);
	struct charon_config config = { .directory = directory,
		.userspace_esp = main->plane.dataplane == DATAPLANE_USERSPACE,
		.pkcs11_module = GATEWAY_PKCS11_CLIENT,
		.pkcs11_server = server,
		.ignored_interface = GATEWAY_BRIDGE,
		.program = main->config.charon };
	struct err err = { 0 };

	if (main->stopping || main->charon) {
		return;
	}
	if (!token_socket_there(main, GATEWAY_TOKEN_CHARON, false)) {
		loop_timer_set(main->charon_timer, SOCKET_POLL_MSEC);
		return;
	}
	main->charon_started_usec = clock_monotonic_usec();
	if (charon_spawn(main->loop, &config, charon_ended, main, &main->charon, &err) != 0) {
		log_error("cannot start charon: %s", err.text);
		main->charon = NULL;
		loop_timer_set(main->charon_timer, RESTART_MSEC_MAX);
	}
}

/* charon cannot get over the loss of its token's process: it has to be a new charon. */
static void watch_charon(void *context)
{
	struct main *main = context;
	bool runs = remote_runs(main, CHILD_TOKEN_CHARON);

	if (main->stopping) {
		return;
	}
	if (main->charon && main->charon_has_token && !runs) {
		log_warning(
		        "the process that serves charon's token is gone; charon is started again");
		main->charon_has_token = false;
		process_signal(main->charon, SIGKILL);
	} else if (main->charon && runs) {
		main->charon_has_token = true;
	}
	loop_timer_set(main->watch_timer, WATCH_MSEC);
}

/* A token that was plugged in late, or that another process was writing to at that moment. */
static void on_charon_blind(void *context, int signal)
{
	struct main *main = context;

	if (main->charon && !main->stopping) {
		log_warning("charon does not find its key in the token; it is started again");
		process_signal(main->charon, SIGKILL);
	}
}

/* SoftHSM reads a token's file when a process begins to use it, and sees no token there while
 * another process logs in, because that writes the file. charon would never look again, so the
 * agent, which logs in at once, waits until charon has had its look. */
static bool agent_may_start(struct main *main)
{
	int64_t now = clock_monotonic_usec();

	if (main->remote_usec == 0 && remote_runs(main, CHILD_TOKEN_CHARON)) {
		main->remote_usec = now;
	}
	return (main->remote_usec != 0 && now - main->remote_usec >= CHARON_SETTLE_USEC) ||
	       now - main->started_usec >= CHARON_WAIT_USEC;
}

/* The others start when both tokens are served. */
static void start_when_ready(void *context)
{
	struct main *main = context;

	if (main->stopping) {
		stop_next(main);
		return;
	}
	if (!token_socket_there(main, GATEWAY_TOKEN_AGENT, true)) {
		loop_timer_set(main->ready_timer, SOCKET_POLL_MSEC);
		return;
	}
	if (!main->started) {
		main->started = true;
		start_charon(main);
		main->started_usec = clock_monotonic_usec();
		start_child(&main->children[CHILD_PRIV]);
	}
	if (!main->agent_started && agent_may_start(main)) {
		main->agent_started = true;
		start_child(&main->children[CHILD_AGENT]);
	}
	/* A token process that was started again made a new socket. */
	loop_timer_set(main->ready_timer, main->agent_started ? WATCH_MSEC : SOCKET_POLL_MSEC);
}

static void on_stop(void *context, int signal)
{
	struct main *main = context;

	if (!main->stopping) {
		main->stopping = true;
		log_info("stopping: every connection is shut");
		stop_next(main);
	}
}

/* Where the other program is: looked up once, as an upgrade may put another in our place. */
static int find_worker(struct main *main, struct err *err)
{
	char path[4096];
	ssize_t count = readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (count <= 0) {
		return err_set(err, 1, "cannot tell where this program is: %s", strerror(errno));
	}
	path[count] = '\0';
	main->worker = mem_format("%s/" WORKER_PROGRAM, dirname(path));
	if (access(main->worker, X_OK) < 0) {
		return err_set(err, 1,
		        "cannot run %s: %s. It belongs to this program; install both.",
		        main->worker, strerror(errno));
	}
	return 0;
}

static int make_directories(struct main *main, struct err *err)
{
	AUTO_STRING char *priv = gateway_state_path(&main->config, "priv");
	AUTO_STRING char *agent = gateway_state_path(&main->config, "agent");
	const struct passwd *user = getpwnam(main->config.user);

	if (!user) {
		return err_set(err, 1, "%s: user: there is no user \"%s\"", main->config_path,
		        main->config.user);
	}
	main->agent_group = user->pw_gid;
	if (directory_make(main->config.run_dir, 0755, err) < 0 ||
	        directory_make(main->config.state_dir, 0755, err) < 0 ||
	        directory_make(priv, 0700, err) < 0 || directory_make(agent, 0700, err) < 0) {
		return 1;
	}
	if (chown(agent, user->pw_uid, user->pw_gid) < 0) {
		return err_set(err, 1, "cannot give %s to %s: %s", agent, main->config.user,
		        strerror(errno));
	}
	return 0;
}

static bool same_token(const struct gateway_config *left, const struct gateway_config *right)
{
	return text_equal(left->token_module, right->token_module) &&
	       text_equal(left->token_label, right->token_label) &&
	       text_equal(left->token_config, right->token_config) &&
	       text_equal(left->token_pin_file, right->token_pin_file);
}

/* The processes read the new file by starting again; leases stay in the kernel meanwhile. */
static void on_reload(void *context, int signal)
{
	struct main *main = context;
	struct gateway_config fresh = { 0 };
	struct err err = { 0 };

	if (gateway_config_read(main->config_path, &fresh, &err) != 0) {
		log_error("the configuration stays as it was: %s", err.text);
		gateway_config_clear(&fresh);
		return;
	}
	if (!same_token(&main->config, &fresh)) {
		log_warning("another token is configured: its processes and charon start again");
		for (int kind = CHILD_TOKEN; kind <= CHILD_TOKEN_CHARON; kind++) {
			if (main->children[kind].process) {
				process_stop(main->children[kind].process);
			}
		}
	}
	gateway_config_clear(&main->config);
	main->config = fresh;
	if (make_directories(main, &err) != 0) {
		log_error("%s", err.text);
	}
	for (int kind = CHILD_PRIV; kind <= CHILD_AGENT; kind++) {
		if (main->children[kind].process) {
			process_signal(main->children[kind].process, SIGHUP);
		} else {
			start_child(&main->children[kind]);
		}
	}
}

static int run_main(struct main *main)
{
	enum dataplane wanted;
	struct err err = { 0 };
	int r;

	if (dataplane_parse(main->config.dataplane, &wanted) != 0 ||
	        dataplane_choose(wanted, &main->plane, &err) != 0 ||
	        make_directories(main, &err) != 0 || find_worker(main, &err) != 0) {
		log_error("%s", err.text);
		return 1;
	}
	log_info("data plane: %s", main->plane.why);
	r = loop_new(&main->loop);
	if (r < 0 || loop_signal(main->loop, SIGTERM, on_stop, main) < 0 ||
	        loop_signal(main->loop, SIGINT, on_stop, main) < 0 ||
	        loop_signal(main->loop, SIGHUP, on_reload, main) < 0 ||
	        loop_signal(main->loop, GATEWAY_SIGNAL_CHARON, on_charon_blind, main) < 0) {
		log_error("cannot make the event loop");
		return 1;
	}
	if (sandbox_drop_capabilities(KEPT_CAPABILITIES, &err) < 0) {
		log_error("%s", err.text);
		return 1;
	}
	main->charon_restart_msec = RESTART_MSEC_MIN;
	main->charon_timer = loop_timer_new(main->loop, start_charon, main);
	main->watch_timer = loop_timer_new(main->loop, watch_charon, main);
	main->ready_timer = loop_timer_new(main->loop, start_when_ready, main);
	for (int kind = 0; kind < CHILD_COUNT; kind++) {
		main->children[kind] = (struct child){
			.main = main, .kind = kind, .restart_msec = RESTART_MSEC_MIN
		};
		main->children[kind].restart =
		        loop_timer_new(main->loop, restart_child, &main->children[kind]);
	}
	start_child(&main->children[CHILD_TOKEN]);
	start_child(&main->children[CHILD_TOKEN_CHARON]);
	loop_timer_set(main->ready_timer, SOCKET_POLL_MSEC);
	loop_timer_set(main->watch_timer, WATCH_MSEC);
	return loop_run(main->loop) == 0 ? 0 : 1;
}

static int usage(FILE *out, int status)
{
	fputs("Usage: sekisho-gateway [-c FILE] [-n]\n"
	      "\n"
	      "The router at a site's one access point: holds the link to the provider's center,\n"
	      "checks every grant against the site's own signed policy, and opens and shuts.\n"
	      "\n"
	      "  -c, --config FILE  configuration (default /etc/sekisho/gateway.conf)\n"
	      "  -n, --check        check the configuration and end\n"
	      "      --sample       print a sample configuration with every key\n"
	      "  -V, --version      print the version\n"
	      "  -h, --help         print this\n"
	      "\n"
	      "SIGHUP reads the configuration anew without dropping connections; SIGTERM shuts "
	      "every\n"
	      "connection and ends. The command `sekisho gateway status` shows what is going on.\n",
	        out);
	return status;
}

int main(int argc, char **argv)
{
	static const struct option options[] = { { "config", required_argument, NULL, 'c' },
		{ "check", no_argument, NULL, 'n' }, { "sample", no_argument, NULL, 's' },
		{ "version", no_argument, NULL, 'V' }, { "help", no_argument, NULL, 'h' },
		{ "process", required_argument, NULL, 'p' }, { 0 } };
	/* Static, as it lives as long as the process: at the end only what is lost leaks. */
	static struct main main = { .config_path = "/etc/sekisho/gateway.conf" };
	const char *token = NULL;
	struct err err = { 0 };
	bool check = false;
	int option, status;

	mem_give_back();
	while ((option = getopt_long(argc, argv, "c:nVh", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			main.config_path = optarg;
			break;
		case 'n':
			check = true;
			break;
		case 's':
			config_print_sample(gateway_config_keys);
			return 0;
		case 'V':
			puts("sekisho-gateway " SEKISHO_VERSION);
			return 0;
		case 'h':
			return usage(stdout, 0);
		case 'p':
			token = optarg;
			break;
		default:
			return usage(stderr, 2);
		}
	}
	if (gateway_config_read(main.config_path, &main.config, &err) != 0) {
		fprintf(stderr, "sekisho-gateway: %s\n", err.text);
		return GATEWAY_EXIT_CONFIG;
	}
	if (check) {
		printf("%s is well-formed\n", main.config_path);
		return 0;
	}
	if (token) {
		return text_starts(token, GATEWAY_TOKEN_AGENT)
		               ? gateway_token_main(&main.config, token)
		               : GATEWAY_EXIT_CONFIG;
	}
	log_open("main", gateway_log_level(&main.config));
	status = run_main(&main);
	gateway_config_clear(&main.config);
	return status;
}
