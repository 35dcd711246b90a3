/* From text to the compiled form. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "policy/policy_text.h"
#include "policy/site_policy_impl.h"

/* A side of a rule or test as it is written; `site` and `host` are numbers of names. */
struct side {
	bool own, every;
	uint32_t site, host;
};

static int parse_host(struct site_policy *policy, struct policy_text *text, struct err *err)
{
	struct site_policy_host host = { 0 };
	const char *name = NULL;
	uint32_t *place;
	int r;

	r = policy_text_name(text, "the name of a host", &name, err);
	if (r != 0) {
		return r;
	}
	host.name = name_index_add(&policy->names, name);
	place = pair_index_add(&policy->host_by_name, host.name);
	if (*place != INDEX_NONE) {
		return policy_text_wrong(text, err, "host %s is already there", name);
	}
	if (policy->host_count == POLICY_HOSTS_MAX) {
		return policy_text_wrong(
		        text, err, "a policy has at most %d hosts", POLICY_HOSTS_MAX);
	}
	*place = (uint32_t)policy->host_count;
	if ((r = policy_text_keyword(text, "address", err)) != 0 ||
	        (r = policy_text_address(text, &host.address, err)) != 0) {
		return r;
	}
	for (size_t i = 0; i < policy->host_count; i++) {
		if (address_equal(policy->hosts[i].address, host.address)) {
			return policy_text_wrong(text, err, "host %s has this address already",
			        name_index_text(&policy->names, policy->hosts[i].name));
		}
	}
	if ((r = policy_text_keyword(text, "service", err)) != 0 ||
	        (r = policy_text_address(text, &host.service, err)) != 0) {
		return r;
	}
	for (size_t i = 0; i < policy->host_count; i++) {
		if (address_equal(policy->hosts[i].service, host.service)) {
			return policy_text_wrong(text, err,
			        "host %s has this service address already",
			        name_index_text(&policy->names, policy->hosts[i].name));
		}
	}
	if (host.address.family != host.service.family) {
		return policy_text_wrong(text, err,
		        "the address and the service address must be of one family: they are "
		        "mapped one to one");
	}
	policy->hosts =
	        index_grow(policy->hosts, policy->host_count, &policy->host_room, sizeof(host));
	policy->hosts[policy->host_count++] = host;
	return policy_text_end(text, err);
}

/* Splits SITE/HOST, SITE/ with a star, HOST and *; `own_site` where there is no slash. Outcome 1:
 * not a reference. */
static int split_reference(
        const char *word, const char *own_site, struct host_ref *ret_ref, bool *ret_every)
{
	const char *slash = strchr(word, '/');
	const char *host = slash ? slash + 1 : word;
	struct host_ref ref = { 0 };
	size_t site_bytes = slash ? (size_t)(slash - word) : strlen(own_site);

	if (site_bytes > NAME_BYTES_MAX) {
		return 1;
	}
	memcpy(ref.site, slash ? word : own_site, site_bytes);
	*ret_every = strcmp(host, "*") == 0;
	if (!name_valid(ref.site) || (!*ret_every && !name_valid(host))) {
		return 1;
	}
	memcpy(ref.host, host, strlen(host));
	*ret_ref = ref;
	return 0;
}

static int parse_side(struct site_policy *policy, struct policy_text *text, bool star_allowed,
        struct side *ret_side, struct err *err)
{
	const char *word = policy_text_peek(text);
	struct side side = { 0 };
	struct host_ref ref;

	if (word && strncmp(word, "*/", 2) == 0) {
		text->at++;
		return policy_text_wrong(text, err,
		        "the site must be named: a rule for every site would be any-to-any");
	}
	if (!word || split_reference(word, policy->site, &ref, &side.every) != 0 ||
	        (side.every && !star_allowed)) {
		return policy_text_expected(text, err,
		        star_allowed ? "a host as SITE/HOST, SITE/*, HOST or *"
		                     : "a host as SITE/HOST or HOST");
	}
	text->at++;
	side.own = strcmp(ref.site, policy->site) == 0;
	if (side.own && !side.every) {
		uint32_t name = name_index_find(&policy->names, ref.host);

		if (name == INDEX_NONE ||
		        pair_index_find(&policy->host_by_name, name) == INDEX_NONE) {
			return policy_text_wrong(text, err, "there is no host %s above", ref.host);
		}
	}
	side.site = name_index_add(&policy->names, ref.site);
	side.host = side.every ? EVERY_HOST : name_index_add(&policy->names, ref.host);
	*ret_side = side;
	return 0;
}

/* "from REF to REF class", exactly one of the two of the own site. */
static int parse_pair(struct site_policy *policy, struct policy_text *text, bool star_allowed,
        struct side sides[2], struct err *err)
{
	int r;

	if ((r = policy_text_keyword(text, "from", err)) != 0 ||
	        (r = parse_side(policy, text, star_allowed, &sides[0], err)) != 0 ||
	        (r = policy_text_keyword(text, "to", err)) != 0 ||
	        (r = parse_side(policy, text, star_allowed, &sides[1], err)) != 0) {
		return r;
	}
	if (sides[0].own == sides[1].own) {
		return policy_text_wrong(text, err, "%s",
		        sides[0].own ? "both sides are of this site: a connection joins two sites"
		                     : "one side must be of this site");
	}
	return policy_text_keyword(text, "class", err);
}

static int parse_ports(struct site_policy *policy, struct policy_text *text,
        struct site_policy_rule *rule, struct err *err)
{
	struct port_set set;
	int r;

	if (rule->protocol == PROTOCOL_ICMP) {
		return 0;
	}
	r = policy_text_keyword(text, "port", err);
	if (r != 0) {
		return r;
	}
	if (!policy_text_peek(text) || port_set_parse(policy_text_peek(text), &set) != 0) {
		return policy_text_expected(
		        text, err, "ports such as 104 or 104,11112 or 5000-5010 (at most 16)");
	}
	text->at++;
	rule->ports = (uint32_t)policy->range_count;
	rule->port_count = (uint8_t)set.count;
	for (size_t i = 0; i < set.count; i++) {
		policy->ranges = index_grow(policy->ranges, policy->range_count,
		        &policy->range_room, sizeof(*policy->ranges));
		policy->ranges[policy->range_count++] = set.ranges[i];
	}
	return 0;
}

/* A chain is always walked whole, so its order does not matter. */
static void add_rule(struct site_policy *policy, struct site_policy_rule rule)
{
	uint32_t *chain = pair_index_add(&policy->chains,
	        site_policy_key(rule.outbound, rule.own_host, rule.peer_site, rule.peer_host));

	rule.next = *chain;
	*chain = (uint32_t)policy->rule_count;
	policy->rules =
	        index_grow(policy->rules, policy->rule_count, &policy->rule_room, sizeof(rule));
	policy->rules[policy->rule_count++] = rule;
}

static int parse_rule(struct site_policy *policy, struct policy_text *text, struct err *err)
{
	enum service_class class = SERVICE_CLASS_NONE;
	enum protocol protocol = PROTOCOL_NONE;
	struct side sides[2] = { 0 };
	struct site_policy_rule rule = { 0 };
	const char *name = NULL;
	int64_t duration = 0;
	uint32_t lease = 0;
	uint32_t *place;
	int r;

	r = policy_text_name(text, "the name of the rule", &name, err);
	if (r != 0) {
		return r;
	}
	rule.name = name_index_add(&policy->names, name);
	place = pair_index_add(&policy->rule_by_name, rule.name);
	if (*place != INDEX_NONE) {
		return policy_text_wrong(text, err, "rule %s is already there", name);
	}
	if (policy->rule_count == POLICY_RULES_MAX) {
		return policy_text_wrong(
		        text, err, "a policy has at most %d rules", POLICY_RULES_MAX);
	}
	*place = (uint32_t)policy->rule_count;
	if ((r = parse_pair(policy, text, true, sides, err)) != 0 ||
	        (r = policy_text_class(text, &class, err)) != 0 ||
	        (r = policy_text_keyword(text, "protocol", err)) != 0 ||
	        (r = policy_text_protocol(text, &protocol, err)) != 0) {
		return r;
	}
	rule.outbound = sides[0].own;
	rule.own_host = sides[rule.outbound ? 0 : 1].host;
	rule.peer_site = sides[rule.outbound ? 1 : 0].site;
	rule.peer_host = sides[rule.outbound ? 1 : 0].host;
	rule.class = (uint8_t) class;
	rule.protocol = (uint8_t)protocol;
	if ((r = parse_ports(policy, text, &rule, err)) != 0 ||
	        (r = policy_text_limits(text, &duration, &lease, err)) != 0) {
		return r;
	}
	rule.duration_sec = (uint32_t)duration;
	rule.lease_sec = (uint16_t)lease;
	add_rule(policy, rule);
	return policy_text_end(text, err);
}

static int parse_test(struct site_policy *policy, struct policy_text *text, struct err *err)
{
	struct site_policy_test test = { .line = text->words[0].line };
	struct side sides[2] = { 0 };
	uint64_t port = 0;
	int r;

	if (policy->test_count == POLICY_TESTS_MAX) {
		return policy_text_wrong(
		        text, err, "a policy has at most %d tests", POLICY_TESTS_MAX);
	}
	if ((r = policy_text_expectation(text, &test.permit, err)) != 0 ||
	        (r = parse_pair(policy, text, false, sides, err)) != 0 ||
	        (r = policy_text_class(text, &test.class, err)) != 0 ||
	        (r = policy_text_keyword(text, "protocol", err)) != 0 ||
	        (r = policy_text_protocol(text, &test.protocol, err)) != 0) {
		return r;
	}
	if (test.protocol != PROTOCOL_ICMP &&
	        ((r = policy_text_keyword(text, "port", err)) != 0 ||
	                (r = policy_text_count(
	                         text, "one port from 1 to 65535", UINT16_MAX, &port, err)) != 0)) {
		return r;
	}
	test.port = (uint16_t)port;
	for (int i = 0; i < 2; i++) {
		test.sites[i] = sides[i].site;
		test.hosts[i] = sides[i].host;
	}
	policy->tests =
	        index_grow(policy->tests, policy->test_count, &policy->test_room, sizeof(test));
	policy->tests[policy->test_count++] = test;
	return policy_text_end(text, err);
}

static int parse_statement(struct site_policy *policy, struct policy_text *text, struct err *err)
{
	if (policy_text_take(text, "host")) {
		return parse_host(policy, text, err);
	}
	if (policy_text_take(text, "allow")) {
		return parse_rule(policy, text, err);
	}
	if (policy_text_take(text, "test")) {
		return parse_test(policy, text, err);
	}
	return policy_text_expected(text, err, "host, allow or test");
}

int site_policy_parse(
        const char *bytes, size_t count, struct site_policy **ret_policy, struct err *err)
{
	AUTO(site_policy) struct site_policy *policy = mem_new(1, sizeof(*policy));
	struct policy_text text;
	int r;

	r = policy_text_open(&text, bytes, count, err);
	if (r != 0) {
		return r;
	}
	r = policy_text_heading(&text, "site-policy", "site", policy->site, &policy->version, err);
	while (r == 0) {
		r = policy_text_next(&text, err);
		if (r == 0) {
			r = parse_statement(policy, &text, err);
		}
	}
	policy_text_close(&text);
	if (r != 2) {
		return r;
	}
	*ret_policy = TAKE(policy);
	return 0;
}

struct site_policy *site_policy_free(struct site_policy *policy)
{
	if (policy) {
		name_index_clear(&policy->names);
		pair_index_clear(&policy->host_by_name);
		pair_index_clear(&policy->rule_by_name);
		pair_index_clear(&policy->chains);
		free(policy->hosts);
		free(policy->rules);
		free(policy->ranges);
		free(policy->tests);
		free(policy);
	}
	return NULL;
}
