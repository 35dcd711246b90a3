/* Look-ups in the compiled form. */
#include "policy/site_policy.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "policy/site_policy_impl.h"

const char *site_policy_site(const struct site_policy *policy)
{
	return policy->site;
}

uint64_t site_policy_version(const struct site_policy *policy)
{
	return policy->version;
}

int32_t site_policy_zone_sec(const struct site_policy *policy)
{
	return policy->hours.zone_sec;
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
	*ret_host = (struct policy_host){
		.name = policy->pool + host->label,
		.address = host->address,
		.service = host->service,
		.zone = (enum policy_zone)host->zone,
		.changeover = host->changeover,
	};
}

/* Position of a host, or INDEX_NONE. */
static uint32_t find_host(const struct site_policy *policy, const char *name)
{
	struct name_key key = name_key(name);

	return site_policy_position(policy, &key);
}

int site_policy_host_get(
        const struct site_policy *policy, const char *name, struct policy_host *ret_host)
{
	uint32_t position = find_host(policy, name);

	if (position == INDEX_NONE) {
		return 1;
	}
	site_policy_host_at(policy, position, ret_host);
	return 0;
}

size_t site_policy_approver_count(const struct site_policy *policy)
{
	return policy->approver_count;
}

void site_policy_approver_at(
        const struct site_policy *policy, size_t index, struct policy_approver *ret_approver)
{
	const struct site_policy_approver *approver = &policy->approvers[index];

	assert_always(index < policy->approver_count);
	*ret_approver = (struct policy_approver){ name_index_text(&policy->names, approver->name),
		name_index_text(&policy->names, approver->spki) };
}

bool site_policy_rule_has_host(
        const struct site_policy *policy, const struct site_policy_rule *rule, uint32_t position)
{
	size_t row = set_row_bytes(policy->host_count);

	if (rule->set == INDEX_NONE) {
		return rule->own_host == EVERY_HOST ||
		       rule->own_host == policy->hosts[position].name;
	}
	return policy->set_hosts[rule->set * row + position / 8] & 1U << position % 8;
}

static bool rule_has_port(
        const struct site_policy *policy, const struct site_policy_rule *rule, uint16_t port)
{
	if (rule->protocol == PROTOCOL_ICMP) {
		return true;
	}
	return rule->port_count <= PORT_RANGES_NEAR
	               ? port_set_contains(rule->near_ranges, rule->port_count, port)
	               : port_set_contains(policy->ranges + rule->ports, rule->port_count, port);
}

/* Whether a live connection is one that this rule has, whatever the time. */
static bool rule_has_live(const struct site_policy *policy, const struct site_policy_rule *rule,
        const struct policy_live *live)
{
	const char *own_site = rule->outbound ? live->from_site : live->to_site;
	const char *own_host = rule->outbound ? live->from_host : live->to_host;
	const char *peer_site = rule->outbound ? live->to_site : live->from_site;
	const char *peer_host = rule->outbound ? live->to_host : live->from_host;
	uint32_t position;

	if (rule->class != live->class || rule->protocol != live->protocol ||
	        !rule_has_port(policy, rule, live->port) || strcmp(own_site, policy->site) != 0 ||
	        strcmp(peer_site, name_index_text(&policy->names, rule->peer_site)) != 0 ||
	        (rule->peer_host != EVERY_HOST &&
	                strcmp(peer_host, name_index_text(&policy->names, rule->peer_host)) != 0)) {
		return false;
	}
	if (rule->own_host == EVERY_HOST) {
		return true; /* also a host that the policy has ceased to name since */
	}
	position = find_host(policy, own_host);
	return position != INDEX_NONE && site_policy_rule_has_host(policy, rule, position);
}

static bool rule_is_full(const struct site_policy *policy, const struct site_policy_rule *rule,
        const struct site_policy_question *question)
{
	uint32_t count = 0;

	if (rule->concurrency == 0 || !question->live) {
		return false;
	}
	for (size_t i = 0; i < question->live_count; i++) {
		count += rule_has_live(policy, rule, &question->live[i]);
	}
	return count >= rule->concurrency;
}

static int64_t rule_duration_sec(const struct site_policy_rule *rule)
{
	return rule->duration_sec > 0 ? rule->duration_sec : GRANT_SEC_MAX;
}

static uint32_t rule_lease_sec(const struct site_policy_rule *rule)
{
	return rule->lease_sec > 0 ? rule->lease_sec : LEASE_SEC_MAX;
}

static enum policy_approval_word rule_approval(
        const struct site_policy_rule *rule, const struct site_policy_question *question)
{
	return rule->approval == APPROVAL_STANDING && question->approval_required
	               ? APPROVAL_REQUIRED
	               : (enum policy_approval_word)rule->approval;
}

static enum policy_factor rule_factor(
        const struct site_policy_rule *rule, const struct site_policy_question *question)
{
	return rule->factor > question->factor_least ? (enum policy_factor)rule->factor
	                                             : question->factor_least;
}

static bool rule_is_approved(
        const struct site_policy_rule *rule, const struct site_policy_question *question)
{
	switch (rule_approval(rule, question)) {
	case APPROVAL_STANDING:
		return true;
	case APPROVAL_EMERGENCY:
		return question->emergency;
	case APPROVAL_REQUIRED:
		break;
	}
	return question->approved;
}

/* The hours of a rule: ALLOWED, OTHER_HOURS or HOURS_END. */
static enum site_policy_match match_hours(const struct site_policy *policy,
        const struct site_policy_rule *rule, const struct site_policy_question *question)
{
	int64_t end;

	if (rule->hours == INDEX_NONE) {
		return SITE_POLICY_ALLOWED;
	}
	/* What is left of a span is counted in whole seconds, and one has to be left. */
	if (!hours_within(&policy->hours, rule->hours, question->begin, &end) ||
	        end - question->now < USEC_PER_SEC) {
		return SITE_POLICY_OTHER_HOURS;
	}
	return question->duration_sec > (end - question->begin) / USEC_PER_SEC
	               ? SITE_POLICY_HOURS_END
	               : SITE_POLICY_ALLOWED;
}

/* The conditions of a rule that has the pair, class, protocol and port. */
static enum site_policy_match match_conditions(const struct site_policy *policy,
        const struct site_policy_rule *rule, const struct site_policy_question *question)
{
	enum site_policy_match match = match_hours(policy, rule, question);

	if (match != SITE_POLICY_ALLOWED) {
		return match;
	}
	if (rule->posture_current && !question->posture_current) {
		return SITE_POLICY_POSTURE;
	}
	if (question->traffic && !rule->traffic) {
		return SITE_POLICY_TRAFFIC;
	}
	if (question->factor < rule_factor(rule, question)) {
		return SITE_POLICY_FACTOR;
	}
	if (rule_is_full(policy, rule, question)) {
		return SITE_POLICY_CONCURRENCY;
	}
	if (!rule_is_approved(rule, question)) {
		return SITE_POLICY_APPROVAL;
	}
	if (question->duration_sec > rule_duration_sec(rule)) {
		return SITE_POLICY_DURATION;
	}
	return question->lease_sec > rule_lease_sec(rule) ? SITE_POLICY_LEASE : SITE_POLICY_ALLOWED;
}

static enum site_policy_match match_rule(const struct site_policy *policy,
        const struct site_policy_rule *rule, const struct site_policy_question *question)
{
	if (rule->refuse) {
		return rule->class == SERVICE_CLASS_NONE || rule->class == question->class
		               ? SITE_POLICY_REFUSED
		               : SITE_POLICY_NO_PAIR;
	}
	if (rule->class != question->class) {
		return SITE_POLICY_OTHER_CLASS;
	}
	if (rule->protocol != question->protocol) {
		return SITE_POLICY_OTHER_PROTOCOL;
	}
	if (!protocol_port_valid(question->protocol, question->port) ||
	        !rule_has_port(policy, rule, question->port)) {
		return SITE_POLICY_OTHER_PORT;
	}
	return match_conditions(policy, rule, question);
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
	if (match == SITE_POLICY_NO_PAIR) {
		return false; /* a refuse of another class */
	}
	if (rule_duration_sec(rule) != rule_duration_sec(search->rule)) {
		return rule_duration_sec(rule) > rule_duration_sec(search->rule);
	}
	return rule < search->rule;
}

static void search_chain(const struct site_policy *policy, const struct site_policy_look *look,
        uint16_t at, const struct site_policy_question *question, struct search *search)
{
	while (at != RULE_NONE) {
		const struct site_policy_rule *rule = &policy->rules[at];

		/* In the chain of every own host there are the rules for sets, too. */
		if (site_policy_rule_has_host(policy, rule, look->position)) {
			enum site_policy_match match = match_rule(policy, rule, question);

			if (rule_is_better(search, match, rule)) {
				*search = (struct search){ match, rule };
			}
		}
		at = rule->next;
	}
}

static void fill_answer(const struct site_policy *policy, const struct search *search,
        const struct site_policy_question *question, struct site_policy_answer *ret_answer)
{
	const struct site_policy_rule *rule = search->rule;

	*ret_answer = (struct site_policy_answer){ .rule = policy->pool + rule->label };
	if (search->match == SITE_POLICY_REFUSED) {
		return;
	}
	ret_answer->duration_sec = rule_duration_sec(rule);
	ret_answer->lease_sec = rule_lease_sec(rule);
	ret_answer->approval = rule_approval(rule, question);
	ret_answer->factor = rule_factor(rule, question);
	if (rule->approval == APPROVAL_EMERGENCY) {
		ret_answer->review_sec =
		        rule->review_sec > 0 ? rule->review_sec : REVIEW_SEC_DEFAULT;
	}
	ret_answer->idle_sec = rule->idle_sec;
	ret_answer->concurrency = rule->concurrency;
	ret_answer->outage = rule->outage;
	ret_answer->has_hours = rule->hours != INDEX_NONE;
	if (ret_answer->has_hours) {
		ret_answer->within_hours = hours_within(
		        &policy->hours, rule->hours, question->begin, &ret_answer->hours_end);
	}
}

int site_policy_look_host(const struct site_policy *policy, const struct site_policy_look *look,
        struct policy_host *ret_host)
{
	if (look->position == INDEX_NONE) {
		return 1;
	}
	site_policy_host_at(policy, look->position, ret_host);
	return 0;
}

static enum site_policy_match find_by(const struct site_policy *policy,
        const struct site_policy_question *question, const struct site_policy_look *look,
        struct site_policy_answer *ret_answer)
{
	struct search search = { SITE_POLICY_NO_PAIR, NULL };

	for (int i = 0; i < CHAIN_KINDS; i++) {
		search_chain(policy, look, look->rules[i], question, &search);
	}
	if (search.rule) {
		fill_answer(policy, &search, question, ret_answer);
	}
	return search.match;
}

enum site_policy_match site_policy_find(const struct site_policy *policy,
        const struct site_policy_question *question, struct site_policy_answer *ret_answer)
{
	bool outbound = strcmp(question->from->site, policy->site) == 0;
	const struct host_ref *own = outbound ? question->from : question->to;
	const struct host_ref *peer = outbound ? question->to : question->from;
	struct name_key own_key, peer_site_key, peer_key;
	struct site_policy_look look = { .outbound = outbound };

	*ret_answer = (struct site_policy_answer){ 0 };
	if (question->look) {
		return find_by(policy, question, question->look, ret_answer);
	}
	if (strcmp(own->site, policy->site) != 0 || strcmp(peer->site, policy->site) == 0) {
		return SITE_POLICY_NO_PAIR;
	}
	own_key = name_key(own->host);
	peer_site_key = name_key(peer->site);
	peer_key = name_key(peer->host);
	look.own = &own_key;
	look.peer_site = &peer_site_key;
	look.peer = &peer_key;
	for (int step = 0; step < SITE_POLICY_LOOK_STEPS; step++) {
		site_policy_look(policy, &look, step);
	}
	return find_by(policy, question, &look, ret_answer);
}

/* --- first traffic ------------------------------------------------------- */

int site_policy_traffic_next(const struct site_policy *policy, const char *host,
        enum protocol protocol, uint16_t port, size_t *at, struct site_policy_traffic *ret_traffic)
{
	uint32_t position = find_host(policy, host);

	if (position == INDEX_NONE || !protocol_port_valid(protocol, port)) {
		return 1;
	}
	while (*at < policy->rule_count) {
		const struct site_policy_rule *rule = &policy->rules[(*at)++];

		if (rule->traffic && rule->outbound && rule->protocol == protocol &&
		        rule_has_port(policy, rule, port) &&
		        site_policy_rule_has_host(policy, rule, position)) {
			*ret_traffic = (struct site_policy_traffic){
				.peer_site = name_index_text(&policy->names, rule->peer_site),
				.peer_host =
				        rule->peer_host == EVERY_HOST
				                ? NULL
				                : name_index_text(&policy->names, rule->peer_host),
				.class = (enum service_class)rule->class,
			};
			return 0;
		}
	}
	return 1;
}

bool site_policy_traffic_from(const struct site_policy *policy, size_t index)
{
	assert_always(index < policy->host_count);
	for (size_t i = 0; i < policy->rule_count; i++) {
		const struct site_policy_rule *rule = &policy->rules[i];

		if (rule->traffic && rule->outbound &&
		        site_policy_rule_has_host(policy, rule, (uint32_t)index)) {
			return true;
		}
	}
	return false;
}
