/*
 * The inside of a compiled site policy, for the files site_policy*.c and the tests in it.
 *
 * Names are numbers and rules lie in one array in the order of the text. One hash table
 * (site_policy_look.c) leads from the name of an own host to that host, and from (direction, own
 * host, other site, other host) to a chain of rules. "Every host" has a hash of its own on either
 * side, and a rule for a set is in the chain of every own host, where it is asked for its set: so a
 * rule is in one chain, and a question looks at four chains at most. What it costs: one look-up for
 * each kind of chain that the policy has, and the rules of these chains; how many rules there are
 * otherwise does not matter.
 *
 * Memory: 64 bytes a rule, 8 a slot (one and a third to two and two thirds for each host and rule),
 * 48 a host, and the texts; the structure itself has half a kilobyte.
 */
#pragma once

#include <stdbool.h>

#include "base/limits.h"
#include "policy/hours.h"
#include "policy/index.h"
#include "policy/site_policy.h"

/* In place of the number of a name. */
#define EVERY_HOST (INDEX_NONE - 1)

/* Where a rule says nothing (protocol.md 2.2). */
#define REVIEW_SEC_DEFAULT (24 * 3600)

struct site_policy_host {
	uint32_t name;
	uint32_t label; /* the name again: its offset in the pool */
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

/* So many port ranges of a rule stand in the rule itself. */
#define PORT_RANGES_NEAR 2

/* No rule: the end of a chain. */
#define RULE_NONE UINT16_MAX
_Static_assert(POLICY_RULES_MAX < RULE_NONE, "rules are numbered in 16 bits");

/* One cache line: all that a decision asks of a rule. */
struct site_policy_rule {
	uint32_t name, label;                    /* label: the offset of the name in the pool */
	uint32_t own_host, peer_site, peer_host; /* names: a host, a set, or EVERY_HOST */
	uint32_t set;                            /* position of the set, or INDEX_NONE */
	uint32_t ports;                          /* first of port_count in the policy's ranges */
	uint32_t hours;                          /* name, or INDEX_NONE: any hour */
	uint32_t duration_sec;                   /* 0: nothing said */
	uint32_t review_sec, idle_sec;           /* 0: nothing said */
	uint16_t lease_sec, concurrency;         /* 0: nothing said */
	uint16_t next;                           /* position of another one of its chain */
	uint8_t port_count, class, protocol;     /* class of a refuse: 0 is every one */
	uint8_t approval, factor;                /* enum policy_approval_word, policy_factor */
	bool outbound : 1;                       /* from an own host */
	bool refuse : 1, outage : 1, posture_current : 1;
	bool traffic : 1;                                /* a first packet opens it, too */
	struct port_range near_ranges[PORT_RANGES_NEAR]; /* the first of its ranges once more */
};
_Static_assert(sizeof(struct site_policy_rule) == CACHE_LINE_BYTES, "a rule is one line");

struct site_policy_test {
	unsigned line;
	bool permit;
	uint32_t sites[2], hosts[2]; /* names: from, to */
	enum service_class class;
	enum protocol protocol;
	uint16_t port;
	bool timed, approved, emergency, posture_current, traffic;
	int64_t at; /* with timed: a wall time */
	enum policy_factor factor;
	enum service_class beside; /* or NONE */
};

/* One way from a hash to a host or to the first rule of a chain. */
struct site_policy_slot {
	uint64_t tag : 28;    /* of the hash */
	uint64_t number : 14; /* position of a host, or host_count and that of a rule */
	uint64_t text : 22;   /* offset in the pool of what is compared; 0 is free */
};
_Static_assert(sizeof(struct site_policy_slot) == 8, "eight slots are a line");
_Static_assert(POLICY_HOSTS_MAX + POLICY_RULES_MAX < 1 << 14, "hosts and rules have numbers");
/* A name and its zero take no more than the name and its blank; the text of a rule's peer once
 * more. */
_Static_assert(2 * POLICY_TEXT_BYTES_MAX < 1 << 22, "texts have offsets");

/* What a look-up reads comes first. */
struct site_policy {
	char site[NAME_BYTES_MAX + 1];
	struct site_policy_slot *slots;
	struct site_policy_rule *rules;
	struct site_policy_host *hosts;
	const char *pool; /* of the names */
	size_t host_count;
	uint32_t slot_mask;
	uint32_t chain_kinds; /* set of 1 << (chain_kind() + CHAIN_KINDS if outbound) there are */
	uint64_t version;
	struct port_range *ranges;
	struct hours hours;
	uint8_t *set_hosts;      /* bits: set after set, each host that is in it */
	struct name_index names; /* its slots are only there while the text is read */
	struct site_policy_set *sets;
	uint32_t *members;
	struct site_policy_approver *approvers;
	struct site_policy_test *tests;
	size_t set_count, approver_count, rule_count, range_count;
	size_t member_count, test_count;
	bool packed; /* all arrays lie behind the structure, in its own block */
	bool zone_said;
	/* While it is read. */
	size_t host_room, set_room, approver_room, rule_room, range_room, member_room;
	size_t test_room, span_room, holiday_room;
	struct pair_index host_by_name, set_by_name, rule_by_name; /* number to position */
};

/* The part of it that a look-up reads. The slots lie right behind the structure: so many of them
 * are fetched with it, before their number is known, which are all where there are few rules. */
#define HOT_BYTES 192
#define SLOTS_FETCHED 32
#define SLOTS_MIN 8 /* a line */
#define SITE_POLICY_BYTES                                                                          \
	((sizeof(struct site_policy) + CACHE_LINE_BYTES - 1) / CACHE_LINE_BYTES * CACHE_LINE_BYTES)
_Static_assert(offsetof(struct site_policy, names) <= HOT_BYTES, "what is read is first");

/* Whether a chain is for every own host or a set of them, and for every host of the other site. */
#define CHAIN_EVERY_OWN 1U
#define CHAIN_EVERY_PEER 2U

static inline unsigned chain_kind(const struct site_policy_rule *rule)
{
	return (rule->own_host == EVERY_HOST || rule->set != INDEX_NONE ? CHAIN_EVERY_OWN : 0) |
	       (rule->peer_host == EVERY_HOST ? CHAIN_EVERY_PEER : 0);
}

/* What the bits of a set of hosts take. */
static inline size_t set_row_bytes(size_t host_count)
{
	return (host_count + 7) / 8;
}

/* Makes the table of a policy whose text was read. */
void site_policy_table_make(struct site_policy *policy);

/* Position of an own host, or INDEX_NONE. */
uint32_t site_policy_position(const struct site_policy *policy, const struct name_key *host);

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
