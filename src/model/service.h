/* What of a host may be reached: a protocol and a set of ports. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* The values are IANA protocol numbers. `icmp` between IPv6 addresses is ICMPv6 (58). */
enum protocol {
	PROTOCOL_NONE = 0,
	PROTOCOL_ICMP = 1,
	PROTOCOL_TCP = 6,
	PROTOCOL_UDP = 17,
};

/* "tcp", "udp" or "icmp". Outcome 1: another. */
int protocol_parse(const char *text, enum protocol *ret_protocol) must_use;
const char *protocol_name(enum protocol protocol); /* "" for any other value */

/* True when the port goes with the protocol: 0 with icmp, 1 to 65535 with tcp and udp. */
bool protocol_port_valid(enum protocol protocol, uint16_t port);

struct port_range {
	uint16_t first, last;
};

/* More ranges than a rule that a person can still read needs. */
#define PORT_RANGES_MAX 16

/* Sorted, apart from each other: no two ranges touch. */
struct port_set {
	size_t count;
	struct port_range ranges[PORT_RANGES_MAX];
};

/* "104", "104,11112", "5000-5010": 1 to 65535 each, in any order, merged where they touch.
 * Outcome 1: not such a list, or a range that ends before it starts. */
int port_set_parse(const char *text, struct port_set *ret_set) must_use;
void port_set_print(const struct port_range *ranges, size_t count, struct buf *out);
bool port_set_contains(const struct port_range *ranges, size_t count, uint16_t port);
