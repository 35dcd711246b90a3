/*
 * The event loop of every process: one level-triggered epoll, timers, signals, children.
 *
 * One loop, one thread. A callback may add and remove any source, its own included. What runs is
 * ordered: signals and descriptors as epoll reports them, then due timers in order of their time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/mem.h"

struct loop;
struct loop_fd;
struct loop_timer;

int loop_new(struct loop **ret_loop) must_use;
struct loop *loop_free(struct loop *loop);
AUTO_DEFINE(loop)

/* Runs until loop_stop(); returns the code given there, or a fault. */
int loop_run(struct loop *loop) must_use;
void loop_stop(struct loop *loop, int code);

/* Counts the rounds: a source that bounds its work per round compares it. */
uint64_t loop_round(const struct loop *loop);

/* Watches `fd` for `events` (EPOLLIN, EPOLLOUT; errors and hang-ups are always reported). The
 * descriptor stays the caller's. */
typedef void loop_fd_handler(void *context, uint32_t events);
int loop_watch(struct loop *loop, int fd, uint32_t events, loop_fd_handler *handler, void *context,
        struct loop_fd **ret_watch) must_use;
void loop_watch_events(struct loop_fd *watch, uint32_t events);
struct loop_fd *loop_unwatch(struct loop_fd *watch);

/* A timer that is off until loop_timer_set(). One shot: set it again in the handler to repeat. */
typedef void loop_timer_handler(void *context);
struct loop_timer *loop_timer_new(struct loop *loop, loop_timer_handler *handler, void *context);
struct loop_timer *loop_timer_free(struct loop_timer *timer);
void loop_timer_set(struct loop_timer *timer, int64_t after_msec);
void loop_timer_stop(struct loop_timer *timer);

/* Takes over a signal (blocked for the whole process from now on). */
typedef void loop_signal_handler(void *context, int signal);
int loop_signal(
        struct loop *loop, int signal, loop_signal_handler *handler, void *context) must_use;

/* Calls `handler` once with the wait status when child `pid` has ended. */
typedef void loop_child_handler(void *context, pid_t pid, int status);
int loop_child(struct loop *loop, pid_t pid, loop_child_handler *handler, void *context) must_use;
