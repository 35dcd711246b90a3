/* TCP sockets: addresses as text, listening, connecting. All are non-blocking and close-on-exec. */
#pragma once

#include <stdint.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/err.h"

struct socket_text {
	char address[INET6_ADDRSTRLEN]; /* without brackets; an IPv4-mapped address as IPv4 */
	uint16_t port;
};

struct socket_text socket_text(const struct sockaddr_storage *address);

/* The two ends of a connected socket; empty text where it has none. */
struct socket_text socket_local(int fd);
struct socket_text socket_peer(int fd);

/* A numeric address ("::" is both families). Outcome 1: not a numeric address. */
int socket_address_parse(
        const char *address, uint16_t port, struct sockaddr_storage *ret_address) must_use;

/* Binds and listens, with SO_REUSEPORT so that each worker has a queue of its own. Port 0 lets the
 * kernel choose. Outcome 1: not a numeric address. */
int socket_listen(const char *address, uint16_t port, int *ret_fd, struct err *err) must_use;

/* Starts to connect; writable when that is decided. `source` may be NULL (any). Outcome 1: `source`
 * is not a numeric address. */
int socket_connect(
        const struct sockaddr_storage *address, const char *source, int *ret_fd) must_use;

/* The error that a connect ended with: 0 or a negative errno. */
int socket_error(int fd);

/* No delay of small writes, and a dead peer is noticed: keep-alive probes after `idle_sec` of
 * silence, unanswered data or probes for `silence_msec` end the connection (TCP_USER_TIMEOUT). */
void socket_tune(int fd, int idle_sec, int silence_msec);
