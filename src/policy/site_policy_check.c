/* What is asked of a policy before it becomes active: that it opens neither all nor nothing. */
#include <string.h>

#include "policy/policy_test.h"
#include "policy/site_policy_impl.h"

/* --- any-to-any ---------------------------------------------------------- */

/* Whether a rule is for every host of the own site, be it by a star or by a set that has them all.
 * A site's only host is a host that was named. */
static bool own_side_is_all(const struct site_policy *policy, const struct site_policy_rule *rule)
{
	return rule->set == INDEX_NONE
	               ? rule->own_host == EVERY_HOST
	               : policy->host_count > 1 &&
	                         policy->sets[rule->set].member_count == policy->host_count;
}

static bool same_pair(const struct site_policy *policy, const struct site_policy_rule *left,
        const struct site_policy_rule *right)
{
	if (left->refuse || right->refuse || left->outbound != right->outbound ||
	        left->peer_site != right->peer_site || left->peer_host != right->peer_host) {
		return false;
	}
	return left->own_host == right->own_host ||
	       (own_side_is_all(policy, left) && own_side_is_all(policy, right));
}

/* The ports that the rules of one pair open together, whatever their class. */
static size_t count_open_ports(const struct site_policy *policy,
        const struct site_policy_rule *pair, enum protocol protocol)
{
	uint8_t open[(UINT16_MAX + 1) / 8] = { 0 };
	size_t count = 0;

	for (size_t i = 0; i < policy->rule_count; i++) {
		const struct site_policy_rule *rule = &policy->rules[i];

		if (!same_pair(policy, pair, rule) || rule->protocol != protocol) {
			continue;
		}
		for (size_t k = 0; k < rule->port_count; k++) {
			struct port_range range = policy->ranges[rule->ports + k];

			for (unsigned port = range.first; port <= range.last; port++) {
				count += !(open[port / 8] & 1 << port % 8);
				open[port / 8] |= (uint8_t)(1 << port % 8);
			}
		}
	}
	return count;
}

static bool is_first_of_pair(const struct site_policy *policy, const struct site_policy_rule *rule)
{
	for (const struct site_policy_rule *at = policy->rules; at < rule; at++) {
		if (same_pair(policy, at, rule)) {
			return false;
		}
	}
	return true;
}

/* The own hosts that sets open to every host of one site in one direction, over all rules: cutting
 * the hosts up into sets does not help. */
static bool sets_join_all(const struct site_policy *policy, const struct site_policy_rule *rule)
{
	bool *opened = mem_new(policy->host_count + 1, sizeof(*opened));
	size_t count = 0;

	for (size_t i = 0; i < policy->rule_count; i++) {
		const struct site_policy_rule *at = &policy->rules[i];
		const struct site_policy_set *set;

		if (at->refuse || at->set == INDEX_NONE || at->peer_host != EVERY_HOST ||
		        at->outbound != rule->outbound || at->peer_site != rule->peer_site) {
			continue;
		}
		set = &policy->sets[at->set];
		for (uint32_t k = 0; k < set->member_count; k++) {
			bool *place = &opened[policy->members[set->members + k]];

			count += !*place;
			*place = true;
		}
	}
	free(opened);
	return policy->host_count > 1 && count == policy->host_count;
}

/* Every host to every host, or a star with every port: then the rules decide nothing any more
 * (A42). Ports are counted over all rules of a pair, so that cutting the range up does not help. */
static int check_any_to_any(
        const struct site_policy *policy, const struct site_policy_rule *rule, struct err *err)
{
	const char *name = name_index_text(&policy->names, rule->name);
	const char *peer = name_index_text(&policy->names, rule->peer_site);
	bool own_every = own_side_is_all(policy, rule), peer_every = rule->peer_host == EVERY_HOST;

	if (peer_every &&
	        (own_every || (rule->set != INDEX_NONE && is_first_of_pair(policy, rule) &&
	                              sets_join_all(policy, rule)))) {
		return err_set(err, 1,
		        "rule %s joins every host of %s with every host here%s (any-to-any): name "
		        "the hosts on one side at least",
		        name, peer, own_every ? "" : ", together with those for other sets");
	}
	if ((!own_every && !peer_every) || !is_first_of_pair(policy, rule) ||
	        (count_open_ports(policy, rule, PROTOCOL_TCP) < UINT16_MAX &&
	                count_open_ports(policy, rule, PROTOCOL_UDP) < UINT16_MAX)) {
		return 0;
	}
	return err_set(err, 1,
	        "rule %s, together with others for the same pair, opens every port between every "
	        "host of %s and %s (any-to-any): name the ports or the hosts",
	        name, own_every ? policy->site : peer, own_every ? peer : policy->site);
}

/* --- lock-out ------------------------------------------------------------ */

/* Whether the own side of a refuse has that of a rule in it. Two different sets are not compared:
 * what is not seen to be refused counts as open. */
static bool own_side_covers(const struct site_policy *policy, const struct site_policy_rule *refuse,
        const struct site_policy_rule *rule)
{
	struct name_key host;

	if (own_side_is_all(policy, refuse) || refuse->own_host == rule->own_host) {
		return true;
	}
	if (rule->set != INDEX_NONE || rule->own_host == EVERY_HOST) {
		return false;
	}
	host = name_key(name_index_text(&policy->names, rule->own_host));
	return site_policy_rule_has_host(policy, refuse, site_policy_position(policy, &host));
}

/* Whether one refuse takes away all that a rule allows. */
static bool is_refused(const struct site_policy *policy, const struct site_policy_rule *rule)
{
	for (size_t i = 0; i < policy->rule_count; i++) {
		const struct site_policy_rule *refuse = &policy->rules[i];

		if (refuse->refuse && refuse->outbound == rule->outbound &&
		        refuse->peer_site == rule->peer_site &&
		        (refuse->peer_host == EVERY_HOST || refuse->peer_host == rule->peer_host) &&
		        (refuse->class == SERVICE_CLASS_NONE || refuse->class == rule->class) &&
		        own_side_covers(policy, refuse, rule)) {
			return true;
		}
	}
	return false;
}

static int check_lock_out(const struct site_policy *policy, struct err *err)
{
	bool opens = false;

	for (size_t i = 0; i < policy->rule_count; i++) {
		const struct site_policy_rule *rule = &policy->rules[i];

		if (rule->refuse) {
			continue;
		}
		if (rule->approval != APPROVAL_STANDING && policy->approver_count == 0) {
			return err_set(err, 1,
			        "rule %s wants an approval and the policy has no approver "
			        "(lock-out): name one, or write \"approval standing\"",
			        name_index_text(&policy->names, rule->name));
		}
		opens = opens || !is_refused(policy, rule);
	}
	return opens ? 0
	             : err_set(err, 1,
	                       "the policy allows nothing and would lock the site out: to close it "
	                       "now, cut its connections");
}

int site_policy_check(const struct site_policy *policy, uint64_t active_version, struct err *err)
{
	struct policy_test_result result;
	int r;

	if (policy->version <= active_version) {
		return err_set(err, 1, "version %ju is not above the active version %ju",
		        (uintmax_t)policy->version, (uintmax_t)active_version);
	}
	r = check_lock_out(policy, err);
	for (size_t i = 0; r == 0 && i < policy->rule_count; i++) {
		if (!policy->rules[i].refuse) {
			r = check_any_to_any(policy, &policy->rules[i], err);
		}
	}
	if (r != 0) {
		return r;
	}
	result = site_policy_test_run(policy, NULL);
	return result.failed == 0 ? 0 : err_set(err, 1, "%s", result.first_failed.text);
}
