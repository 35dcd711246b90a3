#include "loop/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"

#define FIRST_FD 3
#define PARKED_FD 64 /* above every target, while descriptors change places */

struct process {
	struct loop *loop;
	char *name;
	pid_t pid;
	struct loop_timer *kill_timer;
	process_ended *ended;
	void *context;
	struct watch *watch;
};

/* What the loop holds on to: outlives the process object, so that freeing that is always allowed.
 */
struct watch {
	struct process *process;
};

static void child_ended(void *context, pid_t pid, int status)
{
	struct watch *watch = context;
	struct process *process = watch->process;

	free(watch);
	if (!process) {
		return;
	}
	process->watch = NULL;
	process->pid = 0;
	loop_timer_stop(process->kill_timer);
	process->ended(process->context, process, status);
}

static void kill_now(void *context)
{
	struct process *process = context;

	if (process->pid > 0) {
		kill(process->pid, SIGKILL);
	}
}

_Noreturn static void run_child(const struct process_plan *plan, pid_t parent)
{
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent) {
		_exit(127);
	}
	/* A group of its own: what is meant for the parent (Ctrl-C, a signal to its group) does not
	 * end the child in the middle of something; the parent ends its children in its own order.
	 */
	setpgid(0, 0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	for (size_t i = 0; i < plan->fd_count; i++) {
		if (dup2(plan->fds[i], PARKED_FD + (int)i) < 0) {
			_exit(127);
		}
	}
	for (size_t i = 0; i < plan->fd_count; i++) {
		if (dup2(PARKED_FD + (int)i, FIRST_FD + (int)i) < 0) {
			_exit(127);
		}
	}
	syscall(SYS_close_range, FIRST_FD + (unsigned)plan->fd_count, ~0U, 0);
	if (plan->environment) {
		execve(plan->argv[0], (char *const *)plan->argv, (char *const *)plan->environment);
	} else {
		execv(plan->argv[0], (char *const *)plan->argv);
	}
	_exit(127);
}

int process_start(struct loop *loop, const struct process_plan *plan, process_ended *ended,
        void *context, struct process **ret_process)
{
	struct process *process;
	pid_t parent = getpid(), pid;
	int r;

	assert_always(plan->fd_count <= PROCESS_FDS_MAX);
	pid = fork();
	if (pid < 0) {
		return FAULT(-errno);
	}
	if (pid == 0) {
		run_child(plan, parent);
	}
	process = mem_new(1, sizeof(*process));
	*process = (struct process){ .loop = loop,
		.name = mem_string(plan->name),
		.pid = pid,
		.ended = ended,
		.context = context,
		.watch = mem_new(1, sizeof(struct watch)) };
	process->watch->process = process;
	process->kill_timer = loop_timer_new(loop, kill_now, process);
	r = loop_child(loop, pid, child_ended, process->watch);
	if (r < 0) {
		free(TAKE(process->watch));
		process_free(process);
		return FAULT(r);
	}
	log_info("%s started as process %d", process->name, (int)pid);
	*ret_process = process;
	return 0;
}

pid_t process_pid(const struct process *process)
{
	return process->pid;
}

const char *process_name(const struct process *process)
{
	return process->name;
}

void process_signal(struct process *process, int signal)
{
	if (process->pid > 0) {
		kill(process->pid, signal);
	}
}

void process_stop(struct process *process)
{
	if (process->pid > 0) {
		kill(process->pid, SIGTERM);
		loop_timer_set(process->kill_timer, PROCESS_STOP_MSEC);
	}
}

struct process *process_free(struct process *process)
{
	if (!process) {
		return NULL;
	}
	if (process->pid > 0) {
		kill(process->pid, SIGKILL);
		if (!process->watch) {
			waitpid(process->pid, NULL, 0);
		}
	}
	if (process->watch) {
		process->watch->process = NULL; /* the loop reaps it and frees the watch */
	}
	loop_timer_free(process->kill_timer);
	free(process->name);
	free(process);
	return NULL;
}
