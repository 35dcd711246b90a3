/* Look-ups in the compiled form, and the form as text. */
#include "policy/site_policy.h"

#include <string.h>

#include "base/mem.h"
#include "policy/policy_test.h"
#include "policy/policy_text.h"
#include "policy/site_policy_impl.h"

const char *site_policy_site(const struct site_policy *policy)
{
	return policy->site;
}

uint64_t site_policy_version(const struct site_policy *policy)
{
	return policy->version;
}

size_t site_policy_host_count(const struct site_policy *policy)
{
	return policy->host_count;
}

void site_policy_host_at(
        const struct site_policy *policy, size_t index, struct policy_host *ret_host)
{
	const struct site_policy_host *host = &policy->hosts[index];

	assert_always(index < policy->host_count);
	*ret_host = (struct policy_host){ name_index_text(&policy->names, host->name),
		host->address, host->service };
}

int site_policy_host_get(
        const struct site_policy *policy, const char *name, struct policy_host *ret_host)
{
	uint32_t number = name_index_find(&policy->names, name);
	uint32_t position;

	if (number == INDEX_NONE) {
		return 1;
	}
	position = pair_index_find(&policy->host_by_name, number);
	if (position == INDEX_NONE) {
		return 1;
	}
	site_policy_host_at(policy, position, ret_host);
	return 0;
}

static enum site_policy_match match_rule(const struct site_policy *policy,
        const struct site_policy_rule *rule, const struct site_policy_question *question)
{
	if (rule->class != question->class) {
		return SITE_POLICY_OTHER_CLASS;
	}
	if (rule->protocol != question->protocol) {
		return SITE_POLICY_OTHER_PROTOCOL;
	}
	if (!protocol_port_valid(question->protocol, question->port) ||
	        (rule->protocol != PROTOCOL_ICMP && !port_set_contains(policy->ranges + rule->ports,
	                                                    rule->port_count, question->port))) {
		return SITE_POLICY_OTHER_PORT;
	}
	return SITE_POLICY_ALLOWED;
}

static uint32_t rule_duration_sec(const struct site_policy_rule *rule)
{
	return rule->duration_sec > 0 ? rule->duration_sec : GRANT_SEC_MAX;
}

/* The closest rule so far. */
struct search {
	enum site_policy_match match;
	const struct site_policy_rule *rule;
};

static bool rule_is_better(const struct search *search, enum site_policy_match match,
        const struct site_policy_rule *rule)
{
	if (match != search->match) {
		return match > search->match;
	}
	if (match == SITE_POLICY_ALLOWED &&
	        rule_duration_sec(rule) != rule_duration_sec(search->rule)) {
		return rule_duration_sec(rule) > rule_duration_sec(search->rule);
	}
	return rule < search->rule;
}

static void search_chain(const struct site_policy *policy, uint64_t key,
        const struct site_policy_question *question, struct search *search)
{
	uint32_t at = pair_index_find(&policy->chains, key);

	while (at != INDEX_NONE) {
		const struct site_policy_rule *rule = &policy->rules[at];
		enum site_policy_match match = match_rule(policy, rule, question);

		if (rule_is_better(search, match, rule)) {
			*search = (struct search){ match, rule };
		}
		at = rule->next;
	}
}

enum site_policy_match site_policy_find(const struct site_policy *policy,
        const struct site_policy_question *question, struct site_policy_answer *ret_answer)
{
	bool outbound = strcmp(question->from->site, policy->site) == 0;
	const struct host_ref *own = outbound ? question->from : question->to;
	const struct host_ref *peer = outbound ? question->to : question->from;
	uint32_t own_host, peer_site, peer_host;
	struct search search = { SITE_POLICY_NO_PAIR, NULL };

	*ret_answer = (struct site_policy_answer){ 0 };
	if (strcmp(own->site, policy->site) != 0 || strcmp(peer->site, policy->site) == 0) {
		return SITE_POLICY_NO_PAIR;
	}
	own_host = name_index_find(&policy->names, own->host);
	peer_site = name_index_find(&policy->names, peer->site);
	peer_host = name_index_find(&policy->names, peer->host);
	/* "Every host" means every host that the policy names itself. */
	if (own_host == INDEX_NONE || peer_site == INDEX_NONE ||
	        pair_index_find(&policy->host_by_name, own_host) == INDEX_NONE) {
		return SITE_POLICY_NO_PAIR;
	}
	for (int i = 0; i < 4; i++) {
		uint32_t own_or_every = i & 1 ? EVERY_HOST : own_host;
		uint32_t peer_or_every = i & 2 ? EVERY_HOST : peer_host;

		if (peer_or_every != INDEX_NONE) {
			search_chain(policy,
			        site_policy_key(outbound, own_or_every, peer_site, peer_or_every),
			        question, &search);
		}
	}
	if (search.rule) {
		ret_answer->rule = name_index_text(&policy->names, search.rule->name);
		ret_answer->duration_sec = rule_duration_sec(search.rule);
		ret_answer->lease_sec =
		        search.rule->lease_sec > 0 ? search.rule->lease_sec : LEASE_SEC_MAX;
	}
	return search.match;
}

/* The ports that the rules of one chain open together, whatever their class. */
static size_t count_open_ports(
        const struct site_policy *policy, uint32_t chain, enum protocol protocol)
{
	uint8_t open[(UINT16_MAX + 1) / 8] = { 0 };
	size_t count = 0;

	for (uint32_t at = chain; at != INDEX_NONE; at = policy->rules[at].next) {
		const struct site_policy_rule *rule = &policy->rules[at];

		for (size_t i = 0; rule->protocol == protocol && i < rule->port_count; i++) {
			struct port_range range = policy->ranges[rule->ports + i];

			for (unsigned port = range.first; port <= range.last; port++) {
				count += !(open[port / 8] & 1 << port % 8);
				open[port / 8] |= (uint8_t)(1 << port % 8);
			}
		}
	}
	return count;
}

/* Every host to every host, or a star with every port: then the rules decide nothing any more
 * (A42). Ports are counted over all rules of a pair, so that cutting the range up does not help. */
static int check_any_to_any(const struct site_policy *policy, uint32_t position, struct err *err)
{
	const struct site_policy_rule *rule = &policy->rules[position];
	const char *name = name_index_text(&policy->names, rule->name);
	const char *peer = name_index_text(&policy->names, rule->peer_site);
	bool own_every = rule->own_host == EVERY_HOST, peer_every = rule->peer_host == EVERY_HOST;
	uint32_t chain;

	if (own_every && peer_every) {
		return err_set(err, 1,
		        "rule %s joins every host of %s with every host here (any-to-any): name "
		        "the hosts on one side at least",
		        name, peer);
	}
	chain = pair_index_find(&policy->chains,
	        site_policy_key(rule->outbound, rule->own_host, rule->peer_site, rule->peer_host));
	if ((!own_every && !peer_every) || chain != position ||
	        (count_open_ports(policy, chain, PROTOCOL_TCP) < UINT16_MAX &&
	                count_open_ports(policy, chain, PROTOCOL_UDP) < UINT16_MAX)) {
		return 0;
	}
	return err_set(err, 1,
	        "rule %s, together with others for the same pair, opens every port between every "
	        "host of %s and %s (any-to-any): name the ports or the hosts",
	        name, own_every ? policy->site : peer, own_every ? peer : policy->site);
}

int site_policy_check(const struct site_policy *policy, uint64_t active_version, struct err *err)
{
	struct policy_test_result result;
	int r;

	if (policy->version <= active_version) {
		return err_set(err, 1, "version %ju is not above the active version %ju",
		        (uintmax_t)policy->version, (uintmax_t)active_version);
	}
	if (policy->rule_count == 0) {
		return err_set(err, 1,
		        "the policy allows nothing and would lock the site out: to close it now, "
		        "cut its connections");
	}
	for (size_t i = 0; i < policy->rule_count; i++) {
		r = check_any_to_any(policy, (uint32_t)i, err);
		if (r != 0) {
			return r;
		}
	}
	result = site_policy_test_run(policy, NULL);
	return result.failed == 0 ? 0 : err_set(err, 1, "%s", result.first_failed.text);
}

static void print_reference(
        const struct site_policy *policy, uint32_t site, uint32_t host, struct buf *out)
{
	const char *name = name_index_text(&policy->names, site);

	if (strcmp(name, policy->site) != 0) {
		buf_add_format(out, "%s/", name);
	}
	buf_add_text(out, host == EVERY_HOST ? "*" : name_index_text(&policy->names, host));
}

static void print_rule(
        const struct site_policy *policy, const struct site_policy_rule *rule, struct buf *out)
{
	uint32_t own_site = name_index_find(&policy->names, policy->site);

	buf_add_format(out, "allow %s from ", name_index_text(&policy->names, rule->name));
	print_reference(policy, rule->outbound ? own_site : rule->peer_site,
	        rule->outbound ? rule->own_host : rule->peer_host, out);
	buf_add_text(out, " to ");
	print_reference(policy, rule->outbound ? rule->peer_site : own_site,
	        rule->outbound ? rule->peer_host : rule->own_host, out);
	buf_add_format(out, " class %s protocol %s",
	        service_class_name((enum service_class)rule->class),
	        protocol_name((enum protocol)rule->protocol));
	if (rule->port_count > 0) {
		buf_add_text(out, " port ");
		port_set_print(policy->ranges + rule->ports, rule->port_count, out);
	}
	policy_limits_print(rule->duration_sec, rule->lease_sec, out);
	buf_add_text(out, "\n");
}

void site_policy_print(const struct site_policy *policy, struct buf *out)
{
	buf_add_format(out, "sekisho site-policy 1\nsite %s\nversion %ju\n", policy->site,
	        (uintmax_t)policy->version);
	for (size_t i = 0; i < policy->host_count; i++) {
		const struct site_policy_host *host = &policy->hosts[i];

		buf_add_format(out, "host %s address %s service %s\n",
		        name_index_text(&policy->names, host->name),
		        address_print(host->address).text, address_print(host->service).text);
	}
	for (size_t i = 0; i < policy->rule_count; i++) {
		print_rule(policy, &policy->rules[i], out);
	}
	for (size_t i = 0; i < policy->test_count; i++) {
		const struct site_policy_test *test = &policy->tests[i];

		buf_add_format(out, "test %s from ", test->permit ? "permit" : "deny");
		print_reference(policy, test->sites[0], test->hosts[0], out);
		buf_add_text(out, " to ");
		print_reference(policy, test->sites[1], test->hosts[1], out);
		buf_add_format(out, " class %s protocol %s", service_class_name(test->class),
		        protocol_name(test->protocol));
		if (test->port > 0) {
			buf_add_format(out, " port %u", test->port);
		}
		buf_add_text(out, "\n");
	}
}
