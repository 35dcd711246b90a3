/*
 * The provider's policy (protocol.md 2.1): its address pool, the sites with their prefixes, the
 * service classes, and the groups within which a class may be used.
 *
 *     sekisho provider-policy 1
 *     provider NAME
 *     version N                                     from 1
 *     pool PREFIX                                   once or more
 *     site NAME prefix PREFIX…                      inside the pool, apart from all other sites
 *     class CLASS [duration D] [lease D] [approval standing|required] [factor one|two]
 *       [outage never|survive]                      default 24h, 60s, standing, one, survive
 *     exclude CLASS CLASS                           besides those of protocol.md 2.4
 *     group NAME sites NAME… classes CLASS…
 *     test permit|deny from SITE to SITE class CLASS
 *
 * The text is compiled into flat arrays and hash tables; a look-up allocates nothing and does not
 * depend on how many sites and groups there are.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/mem.h"
#include "model/address.h"
#include "model/service_class.h"
#include "policy/index.h"

struct provider_policy;

/* Syntax, references and overlaps. The text is not kept. Outcome 1: wrong; err says
 * "line 7, column 12: …" and what was expected there (columns count bytes from 1). */
int provider_policy_parse(const char *text, size_t count, struct provider_policy **ret_policy,
        struct err *err) must_use;
struct provider_policy *provider_policy_free(struct provider_policy *policy);
AUTO_DEFINE(provider_policy)

/* Adds the policy as text, one statement a line; parsing it gives the same policy. */
void provider_policy_print(const struct provider_policy *policy, struct buf *out);

/* What is asked before a policy becomes active: its version is above `active_version` (0 when
 * there is none), somebody may reach somebody (no lock-out), its tests pass. Any-to-any cannot be
 * written. Outcome 1: it may not become active, err says why. */
int provider_policy_check(
        const struct provider_policy *policy, uint64_t active_version, struct err *err) must_use;

const char *provider_policy_provider(const struct provider_policy *policy);
uint64_t provider_policy_version(const struct provider_policy *policy);
bool provider_policy_pool_contains(const struct provider_policy *policy, struct address address);

#define POLICY_PREFIXES_MAX 4

struct policy_site {
	const char *name; /* borrowed from the policy */
	size_t prefix_count;
	struct prefix prefixes[POLICY_PREFIXES_MAX];
};

size_t provider_policy_site_count(const struct provider_policy *policy);
/* Sites in the order of the text; index below the count. */
void provider_policy_site_at(
        const struct provider_policy *policy, size_t index, struct policy_site *ret_site);
/* Outcome 1: not in this policy. */
int provider_policy_site_get(const struct provider_policy *policy, const char *site,
        struct policy_site *ret_site) must_use;
/* False also for a site that is not in this policy. */
bool provider_policy_site_contains(
        const struct provider_policy *policy, const char *site, struct address address);

/* What a provider says of a class; sites can only tighten it. */
struct policy_class {
	int64_t duration_sec;
	uint32_t lease_sec;
	bool approval_required; /* at the site that is reached: no rule of it can be standing */
	bool factor_two;
	bool outage_never;
};

/* Outcome 1: the provider does not offer this class. */
int provider_policy_class_get(const struct provider_policy *policy, enum service_class class,
        struct policy_class *ret_class) must_use;

/* Whether two classes exclude each other (protocol.md 2.4): those of the law, and those of
 * `policy`, which may be NULL. The order of the two does not matter. */
bool policy_classes_exclude(
        const struct provider_policy *policy, enum service_class class, enum service_class other);

enum policy_group_match {
	POLICY_GROUP_NONE = 0,  /* no group has both sites */
	POLICY_GROUP_CLASSLESS, /* a group has both, but none of these has the class */
	POLICY_GROUP_FOUND,
};

/* The same look-ups for sites that were found before, for policy_decide(): positions, INDEX_NONE
 * for a site that is not there. The first two ask for the memory that the next one reads, and
 * change nothing. */
void provider_policy_want(const struct provider_policy *policy, const struct name_key *site);
void provider_policy_want_site(const struct provider_policy *policy, const struct name_key *site);
uint32_t provider_policy_position(
        const struct provider_policy *policy, const struct name_key *site);
bool provider_policy_contains_at(
        const struct provider_policy *policy, uint32_t site, const struct address *address);
enum policy_group_match provider_policy_group_at(const struct provider_policy *policy,
        uint32_t site, uint32_t other, enum service_class class, const char **ret_group);

/* The group that lets two sites have a connection of a class. *ret_group is borrowed, NULL for
 * POLICY_GROUP_NONE. */
enum policy_group_match provider_policy_group_find(const struct provider_policy *policy,
        const char *site, const char *other, enum service_class class, const char **ret_group);
