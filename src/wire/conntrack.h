/*
 * Conntrack over netlink: the kernel's own record of flows, which is the gateway's flow log, and
 * cutting flows by mark. Bytes in, bytes out; no socket here.
 *
 * Counters are there only with nf_conntrack_acct=1, times only with nf_conntrack_timestamp=1, and
 * an event of a new flow may lack both. The kernel uses an id again at once after a flow ended: a
 * flow is known by id and start together.
 */
#pragma once

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "wire/ip.h"

enum conntrack_kind {
	CONNTRACK_NEW,
	CONNTRACK_UPDATE, /* also an entry of a list */
	CONNTRACK_DESTROY,
	CONNTRACK_ACK,   /* .error: 0 or a negative errno */
	CONNTRACK_DONE,  /* the end of a list */
	CONNTRACK_OTHER, /* not an IP flow, or not conntrack */
};

struct conntrack_tuple {
	struct ip source, destination;
	uint8_t protocol;
	uint16_t source_port; /* host order; for ICMP the echo id */
	uint16_t port;        /* host order; for ICMP type << 8 | code */
};

struct conntrack_flow {
	enum conntrack_kind kind;
	int error;
	uint32_t sequence;
	struct conntrack_tuple original, reply;
	uint32_t mark; /* the connection's number; 0: none of ours */
	uint32_t id;
	uint64_t packets_out, bytes_out; /* original direction */
	uint64_t packets_in, bytes_in;   /* reply direction */
	int64_t start_usec, stop_usec;   /* wall clock; 0 unknown */
};

/* Deletes every flow with `mark`, which must not be 0: without a mark the kernel would delete all.
 */
void conntrack_cut_encode(struct buf *out, uint32_t mark, uint32_t sequence);
/* Asks for all flows with `mark`; 0 for all flows. */
void conntrack_list_encode(struct buf *out, uint32_t mark, uint32_t sequence);

/* One message at a time from the front of `bytes` (4-byte aligned). Outcome 1: nothing more;
 * outcome 2: malformed, the rest is not to be used. */
int conntrack_next(const uint8_t **bytes, size_t *count, struct conntrack_flow *ret) must_use;
