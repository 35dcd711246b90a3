/*
 * The inside of a compiled provider policy, for the files provider_policy*.c and the tests in it.
 *
 * A group is a number with a set of classes. A site has the list of its groups in the order of the
 * text, and (site, group) is in a hash table: two sites meet in a group of the one with fewer.
 */
#pragma once

#include <stdbool.h>

#include "base/limits.h"
#include "policy/index.h"
#include "policy/provider_policy.h"

/* A provider has one pool for each family, and seldom another after it grew. */
#define POLICY_POOLS_MAX 16

struct provider_policy_site {
	uint32_t name;
	uint32_t prefixes; /* first of prefix_count in the policy's prefixes */
	uint32_t prefix_count;
	uint32_t groups; /* first of group_count in the policy's site_groups */
	uint32_t group_count;
};

struct provider_policy_prefix {
	struct prefix prefix;
	uint32_t site;
	unsigned line, column;
};

struct provider_policy_group {
	uint32_t name;
	uint32_t members; /* first of member_count in the policy's members */
	uint32_t member_count;
	uint32_t classes; /* set of 1 << enum service_class */
};

struct provider_policy_class {
	bool offered;
	uint32_t duration_sec, lease_sec; /* 0: nothing said */
};

struct provider_policy_test {
	unsigned line;
	bool permit;
	uint32_t from, to; /* sites by position */
	enum service_class class;
};

struct provider_policy {
	char provider[NAME_BYTES_MAX + 1];
	uint64_t version;
	struct name_index names;
	struct prefix pools[POLICY_POOLS_MAX];
	size_t pool_count;
	struct provider_policy_class classes[SERVICE_CLASS_COUNT];
	struct provider_policy_site *sites;
	struct provider_policy_prefix *prefixes; /* in the order of the text */
	struct provider_policy_group *groups;
	uint32_t *members;     /* sites by position, group after group */
	uint32_t *site_groups; /* groups by position, site after site */
	struct provider_policy_test *tests;
	size_t site_count, prefix_count, group_count, member_count, test_count;
	size_t site_room, prefix_room, group_room, member_room, test_room;
	struct pair_index site_by_name, group_by_name; /* number of the name to position */
	struct pair_index memberships;                 /* (site, group) */
};

static inline uint64_t provider_policy_key(uint32_t site, uint32_t group)
{
	return (uint64_t)site << 32 | group;
}

/* Position of a site, or INDEX_NONE. */
uint32_t provider_policy_site_find(const struct provider_policy *policy, const char *site);
