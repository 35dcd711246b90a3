#include "loop/resolve.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "loop/socket.h"

/* What the child writes into the pipe in one piece (less than PIPE_BUF, so whole or not at all). */
struct answer {
	size_t count;
	char reason[128];
	struct sockaddr_storage addresses[RESOLVE_ADDRESSES_MAX];
};

struct resolve {
	int fd; /* of the pipe; -1 for a numeric address */
	pid_t pid;
	struct loop_fd *watch;
	struct loop_timer *timer;
	resolve_handler *handler;
	void *context;
	struct answer answer;
};

struct resolve *resolve_cancel(struct resolve *resolve)
{
	if (!resolve) {
		return NULL;
	}
	loop_unwatch(resolve->watch);
	loop_timer_free(resolve->timer);
	if (resolve->fd >= 0) {
		close(resolve->fd);
	}
	if (resolve->pid > 0) {
		kill(resolve->pid, SIGKILL);
		waitpid(resolve->pid, NULL, 0); /* It is dead or dying: no waiting to speak of. */
	}
	free(resolve);
	return NULL;
}

static void finish(struct resolve *resolve)
{
	resolve_handler *handler = resolve->handler;
	void *context = resolve->context;
	struct answer answer = resolve->answer;

	resolve_cancel(resolve);
	handler(context, answer.addresses, answer.count, answer.reason);
}

static void on_answer(void *context, uint32_t events)
{
	struct resolve *resolve = context;
	struct answer answer;

	if (read(resolve->fd, &answer, sizeof(answer)) == sizeof(answer) &&
	        answer.count <= RESOLVE_ADDRESSES_MAX) {
		resolve->answer = answer;
		resolve->answer.reason[sizeof(answer.reason) - 1] = '\0';
	} else {
		snprintf(resolve->answer.reason, sizeof(resolve->answer.reason),
		        "the resolver process failed");
	}
	finish(resolve);
}

static void on_timer(void *context)
{
	struct resolve *resolve = context;

	if (resolve->fd >= 0) {
		snprintf(resolve->answer.reason, sizeof(resolve->answer.reason),
		        "the name server does not answer");
	}
	finish(resolve);
}

static _Noreturn void child(int fd, const char *host, uint16_t port)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list = NULL;
	struct answer answer = { 0 };
	sigset_t none;
	int r;

	/* The parent's connections must not live on in here. */
	if (dup2(fd, 3) < 0 || close_range(4, ~0U, 0) < 0) {
		_exit(1);
	}
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	r = getaddrinfo(host, NULL, &hints, &list);
	if (r != 0) {
		snprintf(answer.reason, sizeof(answer.reason), "%s", gai_strerror(r));
	}
	for (struct addrinfo *entry = list; entry && answer.count < RESOLVE_ADDRESSES_MAX;
	        entry = entry->ai_next) {
		struct sockaddr_storage *address = &answer.addresses[answer.count];

		if (entry->ai_family == AF_INET) {
			memcpy(address, entry->ai_addr, sizeof(struct sockaddr_in));
			((struct sockaddr_in *)address)->sin_port = htons(port);
			answer.count++;
		} else if (entry->ai_family == AF_INET6) {
			memcpy(address, entry->ai_addr, sizeof(struct sockaddr_in6));
			((struct sockaddr_in6 *)address)->sin6_port = htons(port);
			answer.count++;
		}
	}
	_exit(write(3, &answer, sizeof(answer)) == sizeof(answer) ? 0 : 1);
}

static int start_child(struct resolve *resolve, struct loop *loop, const char *host, uint16_t port)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0) {
		return FAULT(-errno);
	}
	resolve->fd = fds[0];
	resolve->pid = fork();
	if (resolve->pid == 0) {
		child(fds[1], host, port);
	}
	close(fds[1]);
	if (resolve->pid < 0) {
		return FAULT(-errno);
	}
	return loop_watch(loop, resolve->fd, EPOLLIN, on_answer, resolve, &resolve->watch);
}

int resolve_start(struct loop *loop, const char *host, uint16_t port, int deadline_msec,
        resolve_handler *handler, void *context, struct resolve **ret_resolve)
{
	struct resolve *resolve = mem_new(1, sizeof(*resolve));
	int r;

	*resolve = (struct resolve){ .fd = -1, .handler = handler, .context = context };
	resolve->timer = loop_timer_new(loop, on_timer, resolve);
	if (socket_address_parse(host, port, &resolve->answer.addresses[0]) == 0) {
		resolve->answer.count = 1;
		loop_timer_set(resolve->timer, 0);
		*ret_resolve = resolve;
		return 0;
	}
	r = start_child(resolve, loop, host, port);
	if (r < 0) {
		resolve_cancel(resolve);
		return FAULT(r);
	}
	loop_timer_set(resolve->timer, deadline_msec);
	*ret_resolve = resolve;
	return 0;
}
