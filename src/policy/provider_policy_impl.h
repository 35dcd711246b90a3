/*
 * The inside of a compiled provider policy, for the files provider_policy*.c and the tests in it.
 *
 * Sites and groups are numbered in the order of the text, each by an index of names of its own. A
 * site has the sorted list of its groups: two sites meet in one of the site with fewer that the
 * other's list has. A look-up reads a slot of the index, the name, and one cache line of the site,
 * which has its first prefix and, as nearly every site, its whole list of groups.
 *
 * Memory: 64 bytes a site and 32 to 64 a slot of it, 28 a prefix, 8 a member of a group.
 */
#pragma once

#include <stdbool.h>

#include "base/limits.h"
#include "base/mem.h"
#include "policy/index.h"
#include "policy/provider_policy.h"

/* A provider has one pool for each family, and seldom another after it grew. */
#define POLICY_POOLS_MAX 16

/* So many of a site's groups stand in the site itself. */
#define SITE_GROUPS_NEAR 7

struct provider_policy_site {
	uint32_t prefixes; /* first of prefix_count in the policy's prefixes */
	uint32_t groups;   /* first of group_count in the policy's site_groups */
	uint32_t group_count;
	uint32_t last_group; /* while it is read: 1 + the last group that has it */
	uint32_t near_groups[SITE_GROUPS_NEAR];
	struct prefix prefix; /* the first one */
	uint8_t prefix_count;
};
_Static_assert(sizeof(struct provider_policy_site) == CACHE_LINE_BYTES, "a site is one line");

struct provider_policy_prefix {
	struct prefix prefix;
	uint32_t site;
	unsigned line, column;
};

struct provider_policy_group {
	uint32_t members; /* first of member_count in the policy's members */
	uint32_t member_count;
	uint32_t classes; /* set of 1 << enum service_class */
};

struct provider_policy_class {
	bool offered;
	bool approval_required, factor_two, outage_never;
	uint32_t duration_sec, lease_sec; /* 0: nothing said */
	uint32_t excludes;                /* set of 1 << enum service_class: `exclude`, both ways */
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
	struct name_index site_names, group_names; /* numbers are positions */
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
};

/* Position of a site, or INDEX_NONE. */
uint32_t provider_policy_site_find(const struct provider_policy *policy, const char *site);
