/*
 * A program's child processes: started with just the descriptors they need, told when they end,
 * stopped with patience and then without.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "loop/loop.h"

#define PROCESS_FDS_MAX 8
#define PROCESS_STOP_MSEC 3000 /* from SIGTERM to SIGKILL */

struct process_plan {
	const char *name;               /* for the log; borrowed for the call */
	const char *const *argv;        /* argv[0] is the path; ended by NULL */
	const char *const *environment; /* whole "KEY=VALUE" list, ended by NULL; NULL: inherit */
	int fds[PROCESS_FDS_MAX];       /* become 3, 4, … in the child; still the caller's */
	size_t fd_count;
};

struct process;

/* `status` is the wait status. The process object is still there and may be freed in here. */
typedef void process_ended(void *context, struct process *process, int status);

/* Forks and executes. The child gets default signals, no other descriptor than 0 to 2 and its own,
 * is a process group of its own, and dies with its parent. */
int process_start(struct loop *loop, const struct process_plan *plan, process_ended *ended,
        void *context, struct process **ret_process) must_use;

pid_t process_pid(const struct process *process); /* 0 once it has ended */
const char *process_name(const struct process *process);

/* Asks it to end, and kills it after PROCESS_STOP_MSEC; `ended` tells when it is gone. */
void process_stop(struct process *process);

/* Sends a signal to a running process. */
void process_signal(struct process *process, int signal);

/* Forgets it. A process that still runs is killed and waited for. */
struct process *process_free(struct process *process);
