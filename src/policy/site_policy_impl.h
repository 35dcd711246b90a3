/*
 * The inside of a compiled site policy, for the files site_policy*.c and the tests in it.
 *
 * Names are numbers, rules lie in one array in the order of the text, and a hash table leads from
 * (direction, own host, other site, other host) to a chain of rules. "Every host" is a number of
 * its own, so a question looks at four chains at most.
 */
#pragma once

#include <stdbool.h>

#include "base/limits.h"
#include "policy/index.h"
#include "policy/site_policy.h"

/* Numbers of names take 20 bits in a key; a text of POLICY_TEXT_BYTES_MAX has fewer names. */
#define NUMBER_BITS 20
#define EVERY_HOST ((1U << NUMBER_BITS) - 1)
_Static_assert(POLICY_TEXT_BYTES_MAX / 2 < EVERY_HOST, "names of a policy are numbered in 20 bits");

struct site_policy_host {
	uint32_t name;
	struct address address, service;
};

struct site_policy_rule {
	uint32_t name;
	uint32_t own_host, peer_site, peer_host; /* hosts: or EVERY_HOST */
	uint32_t next;                           /* rule of the same chain, or INDEX_NONE */
	uint32_t ports;                          /* first of port_count in the policy's ranges */
	uint32_t duration_sec;                   /* 0: nothing said */
	uint16_t lease_sec;                      /* 0: nothing said */
	uint8_t port_count, class, protocol;
	bool outbound; /* from an own host */
};

struct site_policy_test {
	unsigned line;
	bool permit;
	uint32_t sites[2], hosts[2]; /* names: from, to */
	enum service_class class;
	enum protocol protocol;
	uint16_t port;
};

struct site_policy {
	char site[NAME_BYTES_MAX + 1];
	uint64_t version;
	struct name_index names;
	struct site_policy_host *hosts;
	struct site_policy_rule *rules;
	struct port_range *ranges;
	struct site_policy_test *tests;
	size_t host_count, rule_count, range_count, test_count;
	size_t host_room, rule_room, range_room, test_room;
	struct pair_index host_by_name; /* number of the name to position */
	struct pair_index rule_by_name;
	struct pair_index chains; /* key to the first rule */
};

static inline uint64_t site_policy_key(
        bool outbound, uint32_t own_host, uint32_t peer_site, uint32_t peer_host)
{
	return (uint64_t)outbound << (3 * NUMBER_BITS) | (uint64_t)own_host << (2 * NUMBER_BITS) |
	       (uint64_t)peer_site << NUMBER_BITS | peer_host;
}
