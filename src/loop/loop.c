/*
 * Sources are freed only after the round of events that may still name them, so a callback can
 * remove any source without leaving a stale pointer in the batch epoll gave us.
 */
#include "loop/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

#define EVENTS_PER_ROUND 64
#define SIGNAL_COUNT 65

struct loop_fd {
	struct loop *loop;
	int fd;
	loop_fd_handler *handler;
	void *context;
	uint32_t events;
	bool dead;
	struct loop_fd *next_dead;
};

struct loop_timer {
	struct loop *loop;
	loop_timer_handler *handler;
	void *context;
	int64_t due_usec;
	size_t place; /* index in the heap + 1; 0 while off */
};

struct child {
	struct loop *loop;
	pid_t pid;
	int pidfd;
	struct loop_fd *watch;
	loop_child_handler *handler;
	void *context;
};

struct loop {
	int epoll_fd, signal_fd;
	struct loop_fd *signal_watch;
	sigset_t signals;
	struct {
		loop_signal_handler *handler;
		void *context;
	} signal_handlers[SIGNAL_COUNT];
	struct loop_timer **heap;
	size_t heap_count, heap_room;
	struct loop_fd *dead;
	uint64_t round;
	bool stopped;
	int code;
};

int loop_new(struct loop **ret_loop)
{
	struct loop *loop = mem_new(1, sizeof(*loop));

	loop->signal_fd = -1;
	sigemptyset(&loop->signals);
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0) {
		int fault = -errno;

		free(loop);
		return FAULT(fault);
	}
	*ret_loop = loop;
	return 0;
}

static void free_dead(struct loop *loop)
{
	while (loop->dead) {
		struct loop_fd *watch = loop->dead;

		loop->dead = watch->next_dead;
		free(watch);
	}
}

struct loop *loop_free(struct loop *loop)
{
	if (!loop) {
		return NULL;
	}
	loop_unwatch(loop->signal_watch);
	free_dead(loop);
	if (loop->signal_fd >= 0) {
		close(loop->signal_fd);
	}
	close(loop->epoll_fd);
	free(loop->heap);
	free(loop);
	return NULL;
}

void loop_stop(struct loop *loop, int code)
{
	loop->stopped = true;
	loop->code = code;
}

uint64_t loop_round(const struct loop *loop)
{
	return loop->round;
}

int loop_watch(struct loop *loop, int fd, uint32_t events, loop_fd_handler *handler, void *context,
        struct loop_fd **ret_watch)
{
	struct loop_fd *watch = mem_new(1, sizeof(*watch));
	struct epoll_event event = { .events = events, .data.ptr = watch };

	*watch = (struct loop_fd){
		.loop = loop, .fd = fd, .handler = handler, .context = context, .events = events
	};
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
		int fault = -errno;

		free(watch);
		return FAULT(fault);
	}
	*ret_watch = watch;
	return 0;
}

void loop_watch_events(struct loop_fd *watch, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = watch };

	if (watch->events == events) {
		return;
	}
	watch->events = events;
	assert_always(epoll_ctl(watch->loop->epoll_fd, EPOLL_CTL_MOD, watch->fd, &event) == 0);
}

struct loop_fd *loop_unwatch(struct loop_fd *watch)
{
	if (!watch) {
		return NULL;
	}
	assert_always(!watch->dead);
	epoll_ctl(watch->loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
	watch->dead = true;
	watch->next_dead = watch->loop->dead;
	watch->loop->dead = watch;
	return NULL;
}

/* The heap: a timer's parent is never due later than the timer. */
static void heap_put(struct loop *loop, size_t place, struct loop_timer *timer)
{
	loop->heap[place - 1] = timer;
	timer->place = place;
}

static void heap_settle(struct loop *loop, struct loop_timer *timer)
{
	size_t place = timer->place;

	while (place > 1 && loop->heap[place / 2 - 1]->due_usec > timer->due_usec) {
		heap_put(loop, place, loop->heap[place / 2 - 1]);
		place /= 2;
	}
	for (;;) {
		size_t child = 2 * place;

		if (child < loop->heap_count &&
		        loop->heap[child]->due_usec < loop->heap[child - 1]->due_usec) {
			child++;
		}
		if (child > loop->heap_count ||
		        loop->heap[child - 1]->due_usec >= timer->due_usec) {
			break;
		}
		heap_put(loop, place, loop->heap[child - 1]);
		place = child;
	}
	heap_put(loop, place, timer);
}

struct loop_timer *loop_timer_new(struct loop *loop, loop_timer_handler *handler, void *context)
{
	struct loop_timer *timer = mem_new(1, sizeof(*timer));

	*timer = (struct loop_timer){ .loop = loop, .handler = handler, .context = context };
	return timer;
}

struct loop_timer *loop_timer_free(struct loop_timer *timer)
{
	if (timer) {
		loop_timer_stop(timer);
		free(timer);
	}
	return NULL;
}

void loop_timer_stop(struct loop_timer *timer)
{
	struct loop *loop = timer->loop;
	struct loop_timer *last;

	if (timer->place == 0) {
		return;
	}
	last = loop->heap[--loop->heap_count];
	if (last != timer) {
		heap_put(loop, timer->place, last);
		heap_settle(loop, last);
	}
	timer->place = 0;
}

void loop_timer_set(struct loop_timer *timer, int64_t after_msec)
{
	struct loop *loop = timer->loop;

	timer->due_usec =
	        clock_monotonic_usec() + (after_msec > 0 ? after_msec : 0) * USEC_PER_MSEC;
	if (timer->place == 0) {
		if (loop->heap_count == loop->heap_room) {
			loop->heap_room = loop->heap_room ? 2 * loop->heap_room : 16;
			loop->heap = mem_resize(
			        loop->heap, loop->heap_room, sizeof(struct loop_timer *));
		}
		loop->heap_count++;
		heap_put(loop, loop->heap_count, timer);
	}
	heap_settle(loop, timer);
}

static void run_due_timers(struct loop *loop)
{
	int64_t now = clock_monotonic_usec();

	/* A handler that sets its timer to "now" waits for the next round, so sockets get their
	 * turn. */
	while (!loop->stopped && loop->heap_count > 0 && loop->heap[0]->due_usec <= now) {
		struct loop_timer *timer = loop->heap[0];

		loop_timer_stop(timer);
		timer->handler(timer->context);
	}
}

static int wait_msec(const struct loop *loop)
{
	int64_t left;

	if (loop->heap_count == 0) {
		return -1;
	}
	left = loop->heap[0]->due_usec - clock_monotonic_usec();
	if (left <= 0) {
		return 0;
	}
	left = (left + USEC_PER_MSEC - 1) / USEC_PER_MSEC;
	return left > 60000 ? 60000 : (int)left;
}

int loop_run(struct loop *loop)
{
	struct epoll_event events[EVENTS_PER_ROUND];

	loop->stopped = false;
	while (!loop->stopped) {
		int count = epoll_wait(loop->epoll_fd, events, EVENTS_PER_ROUND, wait_msec(loop));

		if (count < 0 && errno != EINTR) {
			return FAULT(-errno);
		}
		loop->round++;
		for (int i = 0; i < count && !loop->stopped; i++) {
			struct loop_fd *watch = events[i].data.ptr;

			if (!watch->dead) {
				watch->handler(watch->context, events[i].events);
			}
		}
		run_due_timers(loop);
		free_dead(loop);
	}
	return loop->code;
}

static void take_signals(void *context, uint32_t events)
{
	struct loop *loop = context;
	struct signalfd_siginfo info;

	while (read(loop->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo < SIGNAL_COUNT &&
		        loop->signal_handlers[info.ssi_signo].handler) {
			loop->signal_handlers[info.ssi_signo].handler(
			        loop->signal_handlers[info.ssi_signo].context, (int)info.ssi_signo);
		}
	}
}

int loop_signal(struct loop *loop, int signal, loop_signal_handler *handler, void *context)
{
	int fd;

	assert_always(signal > 0 && signal < SIGNAL_COUNT);
	sigaddset(&loop->signals, signal);
	if (sigprocmask(SIG_BLOCK, &loop->signals, NULL) < 0) {
		return FAULT(-errno);
	}
	fd = signalfd(loop->signal_fd, &loop->signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0) {
		return FAULT(-errno);
	}
	loop->signal_handlers[signal].handler = handler;
	loop->signal_handlers[signal].context = context;
	if (loop->signal_fd < 0) {
		loop->signal_fd = fd;
		return loop_watch(loop, fd, EPOLLIN, take_signals, loop, &loop->signal_watch);
	}
	return 0;
}

static void child_ended(void *context, uint32_t events)
{
	struct child *child = context;
	int status = 0;

	if (waitpid(child->pid, &status, WNOHANG) == 0) {
		return;
	}
	loop_unwatch(child->watch);
	close(child->pidfd);
	child->handler(child->context, child->pid, status);
	free(child);
}

int loop_child(struct loop *loop, pid_t pid, loop_child_handler *handler, void *context)
{
	struct child *child = mem_new(1, sizeof(*child));
	int r;

	*child = (struct child){ .loop = loop, .pid = pid, .handler = handler, .context = context };
	child->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (child->pidfd < 0) {
		r = -errno;
		free(child);
		return FAULT(r);
	}
	fcntl(child->pidfd, F_SETFD, FD_CLOEXEC);
	r = loop_watch(loop, child->pidfd, EPOLLIN, child_ended, child, &child->watch);
	if (r < 0) {
		close(child->pidfd);
		free(child);
		return FAULT(r);
	}
	return 0;
}
