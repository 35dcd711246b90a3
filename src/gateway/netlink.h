/*
 * A netlink socket that asks the kernel and reads its answer, and one that listens to
 * notifications. Only what the kernel itself sent is ever looked at.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* Larger than any datagram: dumps come in parts of at most 32 KiB. */
#define NETLINK_READ_BYTES (64 << 10)

struct netlink {
	int fd; /* -1: closed */
	uint32_t port;
	uint32_t sequence; /* of the next request */
};

#define NETLINK_CLOSED ((struct netlink){ .fd = -1 })

/* `family` is NETLINK_NETFILTER, _ROUTE or _XFRM. A socket for asking waits at most 5 s for an
 * answer; one for listening does not wait and gets a large receive buffer. */
int netlink_open(int family, bool listens, struct netlink *ret) must_use;
/* The socket also gets the notifications of this group. */
int netlink_join(struct netlink *netlink, unsigned group) must_use;
void netlink_close(struct netlink *netlink);

int netlink_send(struct netlink *netlink, const void *bytes, size_t count) must_use;

/* Reads one datagram into `in` (aligned, NETLINK_READ_BYTES). Outcome 1: nothing is there (on a
 * listening socket); outcome 2: notifications were lost. */
int netlink_receive(struct netlink *netlink, struct buf *in) must_use;

/* Sends one request of rtnetlink or xfrm that asks for an ack and waits for it. Returns the
 * kernel's answer: 0 or a negative errno. */
int netlink_ask(
        struct netlink *netlink, const void *bytes, size_t count, uint32_t sequence) must_use;
