#include "policy/diff.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "policy/policy_text.h"
#include "policy/provider_policy_impl.h"
#include "policy/site_policy_impl.h"

/* The two versions, and what was found. */
struct pair {
	const struct site_policy *old, *new;
	struct buf *out;
	struct policy_difference found;
};

enum sense { LESS = -1, OTHER, MORE };

/* "+ " and the line. */
static void add_line(struct buf *out, struct policy_difference *found, enum sense sense,
        const char *format, ...) printf_like(4, 5);

static void add_line(
        struct buf *out, struct policy_difference *found, enum sense sense, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	buf_add_format(out, "%c %s\n", sense == MORE ? '+' : sense == LESS ? '-' : '*', text);
	found->more += sense == MORE;
	found->less += sense == LESS;
	found->other += sense == OTHER;
}

/* More of it is more: 2 above 1. Equal numbers are no difference. */
static void compare_number(struct pair *pair, const char *rule, const char *what, int64_t old,
        int64_t new, bool seconds)
{
	AUTO_BUF struct buf before = BUF(64), after = BUF(64);

	if (old == new) {
		return;
	}
	if (seconds) {
		policy_duration_print(old, &before);
		policy_duration_print(new, &after);
	} else {
		buf_add_format(&before, "%jd", (intmax_t)old);
		buf_add_format(&after, "%jd", (intmax_t) new);
	}
	add_line(pair->out, &pair->found, new > old ? MORE : LESS, "rule %s: %s %s instead of %s",
	        rule, what, buf_text(&after), buf_text(&before));
}

/* --- rules of a site ----------------------------------------------------- */

static const char *name_of(const struct site_policy *policy, uint32_t number)
{
	return name_index_text(&policy->names, number);
}

static void add_side(const struct site_policy *policy, const struct site_policy_rule *rule,
        bool own, struct buf *out)
{
	uint32_t host = own ? rule->own_host : rule->peer_host;
	const char *site = own ? policy->site : name_of(policy, rule->peer_site);

	if (host == EVERY_HOST) {
		buf_add_format(out, "every host of %s", site);
	} else if (own && rule->set != INDEX_NONE) {
		const struct site_policy_set *set = &policy->sets[rule->set];

		buf_add_format(out, "the set %s (", name_of(policy, host));
		for (uint32_t i = 0; i < set->member_count; i++) {
			buf_add_format(out, "%s%s", i > 0 ? ", " : "",
			        name_of(policy,
			                policy->hosts[policy->members[set->members + i]].name));
		}
		buf_add_text(out, ")");
	} else {
		buf_add_format(
		        out, "%s%s%s", own ? "" : site, own ? "" : "/", name_of(policy, host));
	}
}

/* "device-maker/terminal may reach ct: remote-maintenance, tcp port 104". */
static void add_sentence(
        const struct site_policy *policy, const struct site_policy_rule *rule, struct buf *out)
{
	add_side(policy, rule, rule->outbound, out);
	buf_add_text(out, rule->refuse ? " may never reach " : " may reach ");
	add_side(policy, rule, !rule->outbound, out);
	if (rule->class != SERVICE_CLASS_NONE) {
		buf_add_format(out, ": %s", service_class_name((enum service_class)rule->class));
	}
	if (!rule->refuse) {
		buf_add_format(out, ", %s", protocol_name((enum protocol)rule->protocol));
	}
	if (rule->port_count > 0) {
		buf_add_text(out, " port ");
		port_set_print(policy->ranges + rule->ports, rule->port_count, out);
	}
}

static const struct site_policy_rule *find_rule(const struct site_policy *policy, const char *name)
{
	for (size_t i = 0; i < policy->rule_count; i++) {
		if (strcmp(name_of(policy, policy->rules[i].name), name) == 0) {
			return &policy->rules[i];
		}
	}
	return NULL;
}

/* Whether some port of `left` is not one of `right`. */
static bool has_other_ports(const struct site_policy *policy, const struct site_policy_rule *left,
        const struct site_policy *other, const struct site_policy_rule *right)
{
	for (size_t i = 0; i < left->port_count; i++) {
		struct port_range range = policy->ranges[left->ports + i];

		for (unsigned port = range.first; port <= range.last; port++) {
			if (!port_set_contains(other->ranges + right->ports, right->port_count,
			            (uint16_t)port)) {
				return true;
			}
		}
	}
	return false;
}

static void add_hours(const struct site_policy *policy, uint32_t name, struct buf *out)
{
	const char *comma = "";

	for (size_t i = 0; i < policy->hours.span_count; i++) {
		const struct hours_span *span = &policy->hours.spans[i];

		if (span->name != name) {
			continue;
		}
		buf_add_text(out, comma);
		hours_days_print(span->days, out);
		buf_add_text(out, " ");
		hours_minutes_print(span->from_min, span->length_min, out);
		buf_add_text(out, span->except_holidays ? " except holidays" : "");
		comma = ", ";
	}
}

static void compare_hours(struct pair *pair, const char *rule, const struct site_policy_rule *old,
        const struct site_policy_rule *new)
{
	AUTO_BUF struct buf before = BUF(1024), after = BUF(1024);

	if (old->hours == INDEX_NONE && new->hours == INDEX_NONE) {
		return;
	}
	add_hours(pair->old, old->hours, &before);
	add_hours(pair->new, new->hours, &after);
	if (new->hours == INDEX_NONE) {
		add_line(pair->out, &pair->found, MORE, "rule %s: at any hour instead of %s", rule,
		        buf_text(&before));
	} else if (old->hours == INDEX_NONE) {
		add_line(pair->out, &pair->found, LESS, "rule %s: only %s instead of any hour",
		        rule, buf_text(&after));
	} else if (strcmp(buf_text(&before), buf_text(&after)) != 0) {
		add_line(pair->out, &pair->found, OTHER, "rule %s: %s instead of %s", rule,
		        buf_text(&after), buf_text(&before));
	}
}

/* A word of which less is asked for is more: `strict` words have the higher number. */
static void compare_words(struct pair *pair, const char *rule, const char *what,
        const char *const *words, const unsigned values[2])
{
	if (values[0] != values[1]) {
		add_line(pair->out, &pair->found, values[1] < values[0] ? MORE : LESS,
		        "rule %s: %s %s instead of %s", rule, what, words[values[1]],
		        words[values[0]]);
	}
}

static int64_t or_most(uint32_t value, int64_t most)
{
	return value > 0 ? value : most;
}

static void compare_conditions(struct pair *pair, const char *rule,
        const struct site_policy_rule *old, const struct site_policy_rule *new)
{
	static const char *const approvals[] = { [APPROVAL_STANDING] = "standing",
		[APPROVAL_EMERGENCY] = "for emergencies",
		[APPROVAL_REQUIRED] = "required" };
	static const char *const factors[] = { "none", "one", "two" };
	static const char *const postures[] = { "any", "current" };
	static const char *const opens[] = { "first traffic or request", "request" };
	static const char *const outages[] = { "survived", "not survived" };

	compare_number(pair, rule, "duration", or_most(old->duration_sec, GRANT_SEC_MAX),
	        or_most(new->duration_sec, GRANT_SEC_MAX), true);
	compare_number(pair, rule, "lease", or_most(old->lease_sec, LEASE_SEC_MAX),
	        or_most(new->lease_sec, LEASE_SEC_MAX), true);
	compare_words(
	        pair, rule, "approval", approvals, (unsigned[]){ old->approval, new->approval });
	compare_number(pair, rule, "review within", or_most(old->review_sec, REVIEW_SEC_DEFAULT),
	        or_most(new->review_sec, REVIEW_SEC_DEFAULT), true);
	compare_hours(pair, rule, old, new);
	/* Without an idle limit it is the whole grant. */
	compare_number(pair, rule, "closed when idle for", or_most(old->idle_sec, GRANT_SEC_MAX),
	        or_most(new->idle_sec, GRANT_SEC_MAX), true);
	compare_number(pair, rule, "connections at a time",
	        or_most(old->concurrency, TUNNELS_PER_GATEWAY_MAX),
	        or_most(new->concurrency, TUNNELS_PER_GATEWAY_MAX), false);
	compare_words(pair, rule, "an outage of the center is", outages,
	        (unsigned[]){ !old->outage, !new->outage });
	compare_words(pair, rule, "factors", factors, (unsigned[]){ old->factor, new->factor });
	compare_words(pair, rule, "posture", postures,
	        (unsigned[]){ old->posture_current, new->posture_current });
	compare_words(pair, rule, "opens on", opens, (unsigned[]){ !old->traffic, !new->traffic });
}

static void compare_rules(struct pair *pair, const char *rule, const struct site_policy_rule *old,
        const struct site_policy_rule *new)
{
	AUTO_BUF struct buf before = BUF(1024), after = BUF(1024);
	bool added, removed;

	add_sentence(pair->old, old, &before);
	add_sentence(pair->new, new, &after);
	if (strcmp(buf_text(&before), buf_text(&after)) != 0) {
		bool same_pair = old->refuse == new->refuse && old->outbound == new->outbound &&
		                 old->class == new->class && old->protocol == new->protocol;
		enum sense sense = OTHER;

		added = has_other_ports(pair->new, new, pair->old, old);
		removed = has_other_ports(pair->old, old, pair->new, new);
		if (same_pair && added != removed) {
			sense = added ? MORE : LESS;
		}
		add_line(pair->out, &pair->found, sense, "rule %s: %s; before: %s", rule,
		        buf_text(&after), buf_text(&before));
	}
	if (!old->refuse && !new->refuse) {
		compare_conditions(pair, rule, old, new);
	}
}

/* A rule that only one of the two has. */
static void add_single(struct pair *pair, const struct site_policy *policy,
        const struct site_policy_rule *rule, bool is_new)
{
	AUTO_BUF struct buf sentence = BUF(1024);

	add_sentence(policy, rule, &sentence);
	add_line(pair->out, &pair->found, is_new != rule->refuse ? MORE : LESS, "rule %s is %s: %s",
	        name_of(policy, rule->name), is_new ? "new" : "gone", buf_text(&sentence));
}

/* --- what else a site's policy has --------------------------------------- */

static void describe_host(const struct policy_host *host, struct buf *out)
{
	static const char *const zones[] = { "no zone", "zone dmz", "zone sz", "zone hsz" };

	buf_add_format(out, "address %s, service address %s, ", address_print(host->address).text,
	        address_print(host->service).text);
	buf_add_format(out, "%s%s", zones[host->zone], host->changeover ? ", changeover" : "");
}

static void compare_hosts(struct pair *pair)
{
	struct policy_host old, new;

	for (size_t i = 0; i < pair->new->host_count; i++) {
		AUTO_BUF struct buf before = BUF(512), after = BUF(512);

		site_policy_host_at(pair->new, i, &new);
		describe_host(&new, &after);
		if (site_policy_host_get(pair->old, new.name, &old) != 0) {
			add_line(pair->out, &pair->found, OTHER, "host %s is new: %s", new.name,
			        buf_text(&after));
			continue;
		}
		describe_host(&old, &before);
		if (strcmp(buf_text(&before), buf_text(&after)) != 0) {
			add_line(pair->out, &pair->found, OTHER, "host %s: %s; before: %s",
			        new.name, buf_text(&after), buf_text(&before));
		}
	}
	for (size_t i = 0; i < pair->old->host_count; i++) {
		site_policy_host_at(pair->old, i, &old);
		if (site_policy_host_get(pair->new, old.name, &new) != 0) {
			add_line(pair->out, &pair->found, LESS, "host %s is gone", old.name);
		}
	}
}

static const char *find_approver(const struct site_policy *policy, const char *name)
{
	for (size_t i = 0; i < policy->approver_count; i++) {
		if (strcmp(name_of(policy, policy->approvers[i].name), name) == 0) {
			return name_of(policy, policy->approvers[i].spki);
		}
	}
	return NULL;
}

static void compare_approvers(struct pair *pair)
{
	for (size_t i = 0; i < pair->new->approver_count; i++) {
		const char *name = name_of(pair->new, pair->new->approvers[i].name);
		const char *old = find_approver(pair->old, name);

		if (!old) {
			add_line(pair->out, &pair->found, MORE, "%s may approve", name);
		} else if (strcmp(old, find_approver(pair->new, name)) != 0) {
			add_line(pair->out, &pair->found, OTHER, "approver %s has another key",
			        name);
		}
	}
	for (size_t i = 0; i < pair->old->approver_count; i++) {
		const char *name = name_of(pair->old, pair->old->approvers[i].name);

		if (!find_approver(pair->new, name)) {
			add_line(pair->out, &pair->found, LESS, "%s may no longer approve", name);
		}
	}
}

static void compare_calendar(struct pair *pair)
{
	const struct hours *old = &pair->old->hours, *new = &pair->new->hours;

	if (old->zone_sec != new->zone_sec) {
		AUTO_BUF struct buf before = BUF(32), after = BUF(32);

		hours_zone_print(old->zone_sec, &before);
		hours_zone_print(new->zone_sec, &after);
		add_line(pair->out, &pair->found, OTHER, "time-zone %s instead of %s",
		        buf_text(&after), buf_text(&before));
	}
	if (old->holiday_count != new->holiday_count ||
	        (old->holiday_count > 0 &&
	                memcmp(old->holidays, new->holidays,
	                        old->holiday_count * sizeof(*old->holidays)) != 0)) {
		add_line(pair->out, &pair->found, OTHER, "the holidays are others");
	}
}

struct policy_difference site_policy_diff(
        const struct site_policy *old, const struct site_policy *new, struct buf *out)
{
	struct pair pair = { old, new, out, { 0 } };

	for (size_t i = 0; i < new->rule_count; i++) {
		const char *name = name_of(new, new->rules[i].name);
		const struct site_policy_rule *before = find_rule(old, name);

		if (before) {
			compare_rules(&pair, name, before, &new->rules[i]);
		} else {
			add_single(&pair, new, &new->rules[i], true);
		}
	}
	for (size_t i = 0; i < old->rule_count; i++) {
		if (!find_rule(new, name_of(old, old->rules[i].name))) {
			add_single(&pair, old, &old->rules[i], false);
		}
	}
	compare_hosts(&pair);
	compare_approvers(&pair);
	compare_calendar(&pair);
	return pair.found;
}

/* --- the provider's ------------------------------------------------------ */

static void print_class(const struct provider_policy *policy, int class, struct buf *out)
{
	const struct provider_policy_class *offered = &policy->classes[class];

	policy_limits_print(offered->duration_sec > 0 ? offered->duration_sec : GRANT_SEC_MAX,
	        offered->lease_sec > 0 ? offered->lease_sec : LEASE_SEC_DEFAULT, out);
	buf_add_format(out, "%s%s%s", offered->approval_required ? " approval required" : "",
	        offered->factor_two ? " factor two" : "",
	        offered->outage_never ? " outage never" : "");
}

static void compare_classes(const struct provider_policy *old, const struct provider_policy *new,
        struct buf *out, struct policy_difference *found)
{
	for (int class = SERVICE_CLASS_NONE + 1; class < SERVICE_CLASS_COUNT; class ++) {
		AUTO_BUF struct buf before = BUF(128), after = BUF(128);
		const char *name = service_class_name((enum service_class) class);

		print_class(old, class, &before);
		print_class(new, class, &after);
		if (old->classes[class].offered != new->classes[class].offered) {
			add_line(out, found, new->classes[class].offered ? MORE : LESS,
			        "class %s is %s", name,
			        new->classes[class].offered ? "offered" : "no longer offered");
		} else if (new->classes[class].offered &&
		           strcmp(buf_text(&before), buf_text(&after)) != 0) {
			add_line(out, found, OTHER, "class %s:%s; before:%s", name,
			        buf_text(&after), buf_text(&before));
		}
		for (int other = class + 1; other < SERVICE_CLASS_COUNT; other++) {
			bool was = old->classes[class].excludes & 1U << other;
			bool is = new->classes[class].excludes & 1U << other;

			if (was != is) {
				add_line(out, found, is ? LESS : MORE, "%s and %s %s each other",
				        name, service_class_name((enum service_class)other),
				        is ? "exclude" : "no longer exclude");
			}
		}
	}
}

static bool group_has(const struct provider_policy *policy, uint32_t group, const char *site)
{
	uint32_t position = provider_policy_site_find(policy, site);
	const struct provider_policy_group *at = &policy->groups[group];

	for (uint32_t i = 0; i < at->member_count; i++) {
		if (policy->members[at->members + i] == position) {
			return true;
		}
	}
	return false;
}

/* What `left` has in a group and `right` has not. */
static void compare_members(const struct provider_policy *left, uint32_t at,
        const struct provider_policy *right, uint32_t other, enum sense sense, struct buf *out,
        struct policy_difference *found)
{
	const struct provider_policy_group *group = &left->groups[at];
	const char *name = name_index_text(&left->group_names, at);
	uint32_t classes = group->classes & ~right->groups[other].classes;

	for (uint32_t i = 0; i < group->member_count; i++) {
		const char *site =
		        name_index_text(&left->site_names, left->members[group->members + i]);

		if (!group_has(right, other, site)) {
			add_line(out, found, sense, "group %s %s site %s", name,
			        sense == MORE ? "has" : "no longer has", site);
		}
	}
	for (int class = SERVICE_CLASS_NONE + 1; class < SERVICE_CLASS_COUNT; class ++) {
		if (classes & 1U << class) {
			add_line(out, found, sense, "group %s %s class %s", name,
			        sense == MORE ? "has" : "no longer has",
			        service_class_name((enum service_class) class));
		}
	}
}

static void describe_site(const struct provider_policy *policy, const char *name, struct buf *out)
{
	struct policy_site site = { 0 };

	if (provider_policy_site_get(policy, name, &site) == 0) {
		for (size_t i = 0; i < site.prefix_count; i++) {
			buf_add_format(out, " %s", prefix_print(site.prefixes[i]).text);
		}
	}
}

static void compare_prefixes(const struct provider_policy *old, const struct provider_policy *new,
        struct buf *out, struct policy_difference *found)
{
	for (uint32_t i = 0; i < new->site_count; i++) {
		const char *name = name_index_text(&new->site_names, i);
		AUTO_BUF struct buf before = BUF(512), after = BUF(512);

		describe_site(old, name, &before);
		describe_site(new, name, &after);
		if (before.count > 0 && strcmp(buf_text(&before), buf_text(&after)) != 0) {
			add_line(out, found, OTHER, "site %s has the addresses%s; before:%s", name,
			        buf_text(&after), buf_text(&before));
		}
	}
}

static void compare_sites(const struct provider_policy *left, const struct provider_policy *right,
        enum sense sense, struct buf *out, struct policy_difference *found)
{
	for (uint32_t i = 0; i < left->site_count; i++) {
		const char *name = name_index_text(&left->site_names, i);

		if (provider_policy_site_find(right, name) == INDEX_NONE) {
			add_line(out, found, sense, "site %s is %s", name,
			        sense == MORE ? "new" : "gone");
		}
	}
}

struct policy_difference provider_policy_diff(
        const struct provider_policy *old, const struct provider_policy *new, struct buf *out)
{
	struct policy_difference found = { 0 };

	compare_classes(old, new, out, &found);
	compare_sites(new, old, MORE, out, &found);
	compare_sites(old, new, LESS, out, &found);
	compare_prefixes(old, new, out, &found);
	for (uint32_t i = 0; i < new->group_count; i++) {
		const char *name = name_index_text(&new->group_names, i);
		uint32_t other = name_index_find(&old->group_names, name);

		if (other == INDEX_NONE) {
			add_line(out, &found, MORE, "group %s is new, with %u sites", name,
			        new->groups[i].member_count);
			continue;
		}
		compare_members(new, i, old, other, MORE, out, &found);
		compare_members(old, other, new, i, LESS, out, &found);
	}
	for (uint32_t i = 0; i < old->group_count; i++) {
		const char *name = name_index_text(&old->group_names, i);

		if (name_index_find(&new->group_names, name) == INDEX_NONE) {
			add_line(out, &found, LESS, "group %s is gone", name);
		}
	}
	return found;
}
