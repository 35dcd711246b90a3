/*
 * The inside of a compiled site policy, for the files site_policy*.c and the tests in it.
 *
 * Names are numbers, rules lie in one array in the order of the text, and a hash table leads from
 * (direction, own host, other site, other host) to a chain of rules. "Every host" is a number of
 * its own, and a rule for a set is in the chain of each host of it, so a question looks at four
 * chains at most.
 */
#pragma once

#include <stdbool.h>

#include "base/limits.h"
#include "policy/hours.h"
#include "policy/index.h"
#include "policy/site_policy.h"

/* Numbers of names take 20 bits in a key; a text of POLICY_TEXT_BYTES_MAX has fewer names. */
#define NUMBER_BITS 20
#define EVERY_HOST ((1U << NUMBER_BITS) - 1)
_Static_assert(POLICY_TEXT_BYTES_MAX / 2 < EVERY_HOST, "names of a policy are numbered in 20 bits");

/* Where a rule says nothing (protocol.md 2.2). */
#define REVIEW_SEC_DEFAULT (24 * 3600)

struct site_policy_host {
	uint32_t name;
	struct address address, service;
	uint8_t zone;
	bool changeover;
};

struct site_policy_set {
	uint32_t name;
	uint32_t members, member_count; /* hosts by position, in the policy's members */
};

struct site_policy_approver {
	uint32_t name;
	uint32_t spki; /* a name index holds the texts of the keys too */
};

struct site_policy_rule {
	uint32_t name;
	uint32_t own_host, peer_site, peer_host; /* names: a host, a set, or EVERY_HOST */
	uint32_t set;                            /* position of the set, or INDEX_NONE */
	uint32_t ports;                          /* first of port_count in the policy's ranges */
	uint32_t hours;                          /* name, or INDEX_NONE: any hour */
	uint32_t duration_sec;                   /* 0: nothing said */
	uint32_t review_sec, idle_sec;           /* 0: nothing said */
	uint16_t lease_sec, concurrency;         /* 0: nothing said */
	uint8_t port_count, class, protocol;     /* class of a refuse: 0 is every one */
	uint8_t approval, factor;                /* enum policy_approval_word, policy_factor */
	bool outbound;                           /* from an own host */
	bool refuse, outage, posture_current;
};

/* One rule in one chain. */
struct site_policy_link {
	uint32_t rule, next; /* next: link of the same chain, or INDEX_NONE */
};

struct site_policy_test {
	unsigned line;
	bool permit;
	uint32_t sites[2], hosts[2]; /* names: from, to */
	enum service_class class;
	enum protocol protocol;
	uint16_t port;
	bool timed, approved, emergency, posture_current;
	int64_t at; /* with timed: a wall time */
	enum policy_factor factor;
	enum service_class beside; /* or NONE */
};

/* What a look-up reads comes first. */
struct site_policy {
	char site[NAME_BYTES_MAX + 1];
	struct name_index names;
	struct pair_index chains;       /* key to the first link */
	struct pair_index host_by_name; /* number of the name to position */
	struct site_policy_host *hosts;
	struct site_policy_link *links;
	struct site_policy_rule *rules;
	struct port_range *ranges;
	uint32_t
	        chain_kinds; /* set of 1 << chain_kind() that there are: the others are not tried */
	uint64_t version;
	size_t host_count;
	struct hours hours;
	struct site_policy_set *sets;
	uint32_t *members;
	struct site_policy_approver *approvers;
	struct site_policy_test *tests;
	size_t set_count, approver_count, rule_count, link_count, range_count;
	size_t member_count, test_count;
	bool packed; /* all arrays lie behind the structure, in its own block */
	bool zone_said;
	/* While it is read. */
	size_t host_room, set_room, approver_room, rule_room, link_room, range_room, member_room;
	size_t test_room, span_room, holiday_room;
	struct pair_index set_by_name, rule_by_name; /* number of the name to position */
};

/* The part of it that a look-up reads. */
#define CACHE_LINE_BYTES 64
#define HOT_BYTES 256
_Static_assert(offsetof(struct site_policy, version) <= HOT_BYTES, "what a look-up reads is first");

static inline uint64_t site_policy_key(
        bool outbound, uint32_t own_host, uint32_t peer_site, uint32_t peer_host)
{
	return (uint64_t)outbound << (3 * NUMBER_BITS) | (uint64_t)own_host << (2 * NUMBER_BITS) |
	       (uint64_t)peer_site << NUMBER_BITS | peer_host;
}

/* Whether a chain is for every own host (1), every host of the other site (2), or both (3). */
static inline unsigned chain_kind(uint32_t own_host, uint32_t peer_host)
{
	return (own_host == EVERY_HOST) + 2U * (peer_host == EVERY_HOST);
}

/* What `class` means where a rule says nothing of approval and factor. */
static inline uint8_t site_policy_approval_default(enum service_class class)
{
	return class == SERVICE_REMOTE_MAINTENANCE ? APPROVAL_REQUIRED : APPROVAL_STANDING;
}

static inline uint8_t site_policy_factor_default(enum service_class class)
{
	return class == SERVICE_REMOTE_MAINTENANCE ? FACTOR_TWO : FACTOR_ONE;
}

/* Whether a rule is for this own host (by position); names are not looked at. */
bool site_policy_rule_has_host(
        const struct site_policy *policy, const struct site_policy_rule *rule, uint32_t position);
