#include "loop/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

#define BACKLOG 4096 /* a reconnect storm waits here (net.core.somaxconn is 4096) */

struct socket_text socket_text(const struct sockaddr_storage *address)
{
	struct socket_text text = { .address = "" };

	if (address->ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)address;

		inet_ntop(AF_INET, &in->sin_addr, text.address, sizeof(text.address));
		text.port = ntohs(in->sin_port);
	} else if (address->ss_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;

		if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
			inet_ntop(AF_INET, in6->sin6_addr.s6_addr + 12, text.address,
			        sizeof(text.address));
		} else {
			inet_ntop(AF_INET6, &in6->sin6_addr, text.address, sizeof(text.address));
		}
		text.port = ntohs(in6->sin6_port);
	}
	return text;
}

struct socket_text socket_local(int fd)
{
	struct sockaddr_storage address = { 0 };
	socklen_t bytes = sizeof(address);

	getsockname(fd, (struct sockaddr *)&address, &bytes);
	return socket_text(&address);
}

struct socket_text socket_peer(int fd)
{
	struct sockaddr_storage address = { 0 };
	socklen_t bytes = sizeof(address);

	getpeername(fd, (struct sockaddr *)&address, &bytes);
	return socket_text(&address);
}

int socket_address_parse(const char *address, uint16_t port, struct sockaddr_storage *ret_address)
{
	struct sockaddr_in *in = (struct sockaddr_in *)ret_address;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret_address;

	memset(ret_address, 0, sizeof(*ret_address));
	if (inet_pton(AF_INET, address, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		return 0;
	}
	if (inet_pton(AF_INET6, address, &in6->sin6_addr) == 1) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(port);
		return 0;
	}
	return 1;
}

static socklen_t address_bytes(const struct sockaddr_storage *address)
{
	return address->ss_family == AF_INET ? sizeof(struct sockaddr_in)
	                                     : sizeof(struct sockaddr_in6);
}

int socket_listen(const char *address, uint16_t port, int *ret_fd, struct err *err)
{
	struct sockaddr_storage storage;
	AUTO_FD int fd = -1;
	int on = 1;

	if (socket_address_parse(address, port, &storage) > 0) {
		return err_set(err, 1, "\"%s\" is not an IP address to listen on", address);
	}
	fd = socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0 ||
	        bind(fd, (struct sockaddr *)&storage, address_bytes(&storage)) < 0 ||
	        listen(fd, BACKLOG) < 0) {
		int fault = -errno;

		err_set(err, fault, "cannot listen on %s port %u: %s", address, port,
		        strerror(-fault));
		return FAULT(fault);
	}
	*ret_fd = fd;
	fd = -1;
	return 0;
}

int socket_connect(const struct sockaddr_storage *address, const char *source, int *ret_fd)
{
	struct sockaddr_storage from;
	AUTO_FD int fd = -1;

	if (source && socket_address_parse(source, 0, &from) > 0) {
		return 1;
	}
	fd = socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		return FAULT(-errno);
	}
	if (source && bind(fd, (struct sockaddr *)&from, address_bytes(&from)) < 0) {
		return FAULT(-errno);
	}
	if (connect(fd, (const struct sockaddr *)address, address_bytes(address)) < 0 &&
	        errno != EINPROGRESS) {
		return FAULT(-errno);
	}
	*ret_fd = fd;
	fd = -1;
	return 0;
}

int socket_error(int fd)
{
	int error = 0;
	socklen_t bytes = sizeof(error);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &bytes) < 0) {
		return -errno;
	}
	return -error;
}

void socket_tune(int fd, int idle_sec, int silence_msec)
{
	int on = 1, interval_sec = 3, probes = 3;
	unsigned silence = (unsigned)silence_msec;

	/* Each is an improvement only: a socket that refuses one of them still works. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_sec, sizeof(idle_sec));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_sec, sizeof(interval_sec));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &silence, sizeof(silence));
}
