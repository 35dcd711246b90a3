/* From text to the compiled form: allow, refuse and test. */
#include "policy/site_policy_rule.h"

#include <string.h>

#include "base/str.h"
#include "policy/site_policy_impl.h"

/* A side of a rule or test as it is written; `site` and `host` are numbers of names. */
struct side {
	bool own, every;
	uint32_t site, host;
	uint32_t position; /* of a host or set of the own site, else INDEX_NONE */
	bool set;
};

enum side_kind {
	SIDE_OF_RULE, /* also a set or a star */
	SIDE_OF_TEST, /* one host */
};

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

/* A host or set of the own site. */
static int find_own(const struct site_policy *policy, struct policy_text *text, const char *name,
        enum side_kind kind, struct side *side, struct err *err)
{
	uint32_t number = name_index_find(&policy->names, name);

	if (number != INDEX_NONE) {
		side->position = pair_index_find(&policy->host_by_name, number);
		if (side->position == INDEX_NONE && kind == SIDE_OF_RULE) {
			side->position = pair_index_find(&policy->set_by_name, number);
			side->set = side->position != INDEX_NONE;
		}
	}
	if (side->position == INDEX_NONE) {
		return policy_text_wrong(text, err, "there is no host %s%s above",
		        kind == SIDE_OF_RULE ? "or set " : "", name);
	}
	return 0;
}

static int parse_side(struct site_policy *policy, struct policy_text *text, enum side_kind kind,
        struct side *ret_side, struct err *err)
{
	const char *word = policy_text_peek(text);
	struct side side = { .position = INDEX_NONE };
	struct host_ref ref;
	int r;

	if (word && strncmp(word, "*/", 2) == 0) {
		text->at++;
		return policy_text_wrong(text, err,
		        "the site must be named: a rule for every site would be any-to-any");
	}
	if (!word || split_reference(word, policy->site, &ref, &side.every) != 0 ||
	        (side.every && kind == SIDE_OF_TEST)) {
		return policy_text_expected(text, err,
		        kind == SIDE_OF_RULE ? "a host as SITE/HOST, SITE/*, HOST, SET or *"
		                             : "a host as SITE/HOST or HOST");
	}
	text->at++;
	side.own = strcmp(ref.site, policy->site) == 0;
	if (side.own && !side.every) {
		r = find_own(policy, text, ref.host, kind, &side, err);
		if (r != 0) {
			return r;
		}
	}
	side.site = name_index_add(&policy->names, ref.site);
	side.host = side.every ? EVERY_HOST : name_index_add(&policy->names, ref.host);
	*ret_side = side;
	return 0;
}

/* "from REF to REF", exactly one of the two of the own site. */
static int parse_pair(struct site_policy *policy, struct policy_text *text, enum side_kind kind,
        struct side sides[2], struct err *err)
{
	int r;

	if ((r = policy_text_keyword(text, "from", err)) != 0 ||
	        (r = parse_side(policy, text, kind, &sides[0], err)) != 0 ||
	        (r = policy_text_keyword(text, "to", err)) != 0 ||
	        (r = parse_side(policy, text, kind, &sides[1], err)) != 0) {
		return r;
	}
	if (sides[0].own == sides[1].own) {
		return policy_text_wrong(text, err, "%s",
		        sides[0].own ? "both sides are of this site: a connection joins two sites"
		                     : "one side must be of this site");
	}
	return 0;
}

/* F1: a host of the high security zone has remote maintenance and nothing else. A star does not
 * name it, and opens nothing else for it either (policy_decide()). */
static int check_zone(const struct site_policy *policy, struct policy_text *text,
        const struct side *own, enum service_class class, struct err *err)
{
	const struct site_policy_set *set;
	uint32_t first = own->position, count = 1;

	if (class == SERVICE_REMOTE_MAINTENANCE || own->every) {
		return 0;
	}
	set = own->set ? &policy->sets[own->position] : NULL;
	if (set) {
		count = set->member_count;
	}
	for (uint32_t i = 0; i < count; i++) {
		const struct site_policy_host *host =
		        &policy->hosts[set ? policy->members[set->members + i] : first];

		if (host->zone == ZONE_HSZ) {
			return policy_text_wrong(text, err,
			        "host %s is in zone hsz, which has remote-maintenance only (F1)",
			        name_index_text(&policy->names, host->name));
		}
	}
	return 0;
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

/* --- what may follow the ports of an allow, in this order ---------------- */

static int parse_seconds(
        struct policy_text *text, int64_t sec_max, uint32_t *ret_sec, struct err *err)
{
	int64_t sec = 0;
	int r = policy_text_duration(text, sec_max, &sec, err);

	*ret_sec = (uint32_t)sec;
	return r;
}

static int parse_duration(struct site_policy *policy, struct policy_text *text,
        struct site_policy_rule *rule, struct err *err)
{
	return parse_seconds(text, GRANT_SEC_MAX, &rule->duration_sec, err);
}

static int parse_lease(struct site_policy *policy, struct policy_text *text,
        struct site_policy_rule *rule, struct err *err)
{
	uint32_t sec = 0;
	int r = parse_seconds(text, LEASE_SEC_MAX, &sec, err);

	rule->lease_sec = (uint16_t)sec;
	return r;
}

static int parse_approval(struct site_policy *policy, struct policy_text *text,
        struct site_policy_rule *rule, struct err *err)
{
	static const char *const words[] = { [APPROVAL_STANDING] = "standing",
		[APPROVAL_EMERGENCY] = "emergency",
		[APPROVAL_REQUIRED] = "required",
		NULL };

	return policy_text_choice(
	        text, words, "standing, required or emergency", &rule->approval, err);
}

static int parse_review(struct site_policy *policy, struct policy_text *text,
        struct site_policy_rule *rule, struct err *err)
{
	if (rule->approval != APPROVAL_EMERGENCY) {
		return policy_text_wrong(text, err, "only a rule for emergencies has a review");
	}
	return parse_seconds(text, POLICY_REVIEW_SEC_MAX, &rule->review_sec, err);
}

static int parse_rule_hours(struct site_policy *policy, struct policy_text *text,
        struct site_policy_rule *rule, struct err *err)
{
	const char *name = NULL;
	int r = policy_text_name(text, "the name of hours", &name, err);

	if (r != 0) {
		return r;
	}
	rule->hours = name_index_find(&policy->names, name);
	for (size_t i = 0; i < policy->hours.span_count; i++) {
		if (policy->hours.spans[i].name == rule->hours) {
			return 0;
		}
	}
	return policy_text_wrong(text, err, "there are no hours %s above", name);
}

static int parse_idle(struct site_policy *policy, struct policy_text *text,
        struct site_policy_rule *rule, struct err *err)
{
	return parse_seconds(text, GRANT_SEC_MAX, &rule->idle_sec, err);
}

static int parse_concurrency(struct site_policy *policy, struct policy_text *text,
        struct site_policy_rule *rule, struct err *err)
{
	uint64_t count = 0;
	int r = policy_text_count(text, "a number of connections from 1 to 4096",
	        TUNNELS_PER_GATEWAY_MAX, &count, err);

	rule->concurrency = (uint16_t)count;
	return r;
}

static int parse_outage(struct site_policy *policy, struct policy_text *text,
        struct site_policy_rule *rule, struct err *err)
{
	static const char *const words[] = { "never", "survive", NULL };
	uint8_t choice = 0;
	int r = policy_text_choice(text, words, "never or survive", &choice, err);

	rule->outage = choice != 0;
	return r;
}

static int parse_factor(struct site_policy *policy, struct policy_text *text,
        struct site_policy_rule *rule, struct err *err)
{
	static const char *const words[] = { "one", "two", NULL };
	uint8_t choice = 0;
	int r = policy_text_choice(text, words, "one or two", &choice, err);

	rule->factor = choice == 0 ? FACTOR_ONE : FACTOR_TWO;
	return r;
}

static int parse_posture(struct site_policy *policy, struct policy_text *text,
        struct site_policy_rule *rule, struct err *err)
{
	static const char *const words[] = { "any", "current", NULL };
	uint8_t choice = 0;
	int r = policy_text_choice(text, words, "any or current", &choice, err);

	rule->posture_current = choice != 0;
	return r;
}

/* What opens without anybody asking may open nothing that a person has to answer for, and must
 * close by itself when it is not used. */
static int parse_open(struct site_policy *policy, struct policy_text *text,
        struct site_policy_rule *rule, struct err *err)
{
	static const char *const words[] = { "request", "traffic", NULL };
	uint8_t choice = 0;
	int r = policy_text_choice(text, words, "request or traffic", &choice, err);

	rule->traffic = choice != 0;
	if (r != 0 || !rule->traffic) {
		return r;
	}
	if (rule->class == SERVICE_REMOTE_MAINTENANCE) {
		return policy_text_wrong(text, err,
		        "remote-maintenance never opens on traffic: a person asks, and is named");
	}
	if (rule->approval != APPROVAL_STANDING) {
		return policy_text_wrong(
		        text, err, "only a rule with approval standing opens on traffic");
	}
	if (rule->factor == FACTOR_TWO) {
		return policy_text_wrong(text, err,
		        "a rule that wants two factors never opens on traffic: a person asks");
	}
	if (rule->idle_sec == 0) {
		return policy_text_wrong(text, err,
		        "what opens on traffic closes when idle: say \"idle\", such as idle 15m");
	}
	return 0;
}

static const struct {
	const char *keyword;
	int (*parse)(struct site_policy *policy, struct policy_text *text,
	        struct site_policy_rule *rule, struct err *err);
} rule_words[] = {
	{ "duration", parse_duration },
	{ "lease", parse_lease },
	{ "approval", parse_approval },
	{ "review", parse_review },
	{ "hours", parse_rule_hours },
	{ "idle", parse_idle },
	{ "concurrency", parse_concurrency },
	{ "outage", parse_outage },
	{ "factor", parse_factor },
	{ "posture", parse_posture },
	{ "open", parse_open },
};

static int parse_rule_words(struct site_policy *policy, struct policy_text *text,
        struct site_policy_rule *rule, struct err *err)
{
	AUTO_BUF struct buf expected = BUF(ERR_TEXT_BYTES_MAX);
	size_t next = 0;

	for (size_t i = 0; i < ARRAY_COUNT(rule_words); i++) {
		int r = 0;

		if (policy_text_take(text, rule_words[i].keyword)) {
			r = rule_words[i].parse(policy, text, rule, err);
			next = i + 1;
		}
		if (r != 0) {
			return r;
		}
	}
	if (!policy_text_peek(text)) {
		return 0;
	}
	for (size_t i = next; i < ARRAY_COUNT(rule_words); i++) {
		buf_add_format(&expected, "%s%s", rule_words[i].keyword,
		        i + 1 < ARRAY_COUNT(rule_words) ? ", " : " or ");
	}
	buf_add_text(&expected, "the end of the statement");
	return policy_text_expected(text, err, buf_text(&expected));
}

/* --- rules --------------------------------------------------------------- */

static void add_rule(struct site_policy *policy, const struct site_policy_rule *rule)
{
	*pair_index_add(&policy->rule_by_name, rule->name) = (uint32_t)policy->rule_count;
	policy->rules =
	        index_grow(policy->rules, policy->rule_count, &policy->rule_room, sizeof(*rule));
	policy->rules[policy->rule_count++] = *rule;
}

/* "NAME from REF to REF". */
static int parse_rule_head(struct site_policy *policy, struct policy_text *text,
        struct site_policy_rule *rule, struct side *ret_own, struct err *err)
{
	struct side sides[2] = { 0 };
	const char *name = NULL;
	int r = policy_text_name(text, "the name of the rule", &name, err);

	if (r != 0) {
		return r;
	}
	*rule = (struct site_policy_rule){
		.name = name_index_add(&policy->names, name), .set = INDEX_NONE, .hours = INDEX_NONE
	};
	if (pair_index_find(&policy->rule_by_name, rule->name) != INDEX_NONE) {
		return policy_text_wrong(text, err, "rule %s is already there", name);
	}
	if (policy->rule_count == POLICY_RULES_MAX) {
		return policy_text_wrong(
		        text, err, "a policy has at most %d rules", POLICY_RULES_MAX);
	}
	r = parse_pair(policy, text, SIDE_OF_RULE, sides, err);
	if (r != 0) {
		return r;
	}
	rule->outbound = sides[0].own;
	*ret_own = sides[rule->outbound ? 0 : 1];
	rule->own_host = ret_own->host;
	rule->set = ret_own->set ? ret_own->position : INDEX_NONE;
	rule->peer_site = sides[rule->outbound ? 1 : 0].site;
	rule->peer_host = sides[rule->outbound ? 1 : 0].host;
	return 0;
}

int site_policy_allow_parse(struct site_policy *policy, struct policy_text *text, struct err *err)
{
	enum service_class class = SERVICE_CLASS_NONE;
	enum protocol protocol = PROTOCOL_NONE;
	struct site_policy_rule rule = { 0 };
	struct side own = { 0 };
	int r;

	if ((r = parse_rule_head(policy, text, &rule, &own, err)) != 0 ||
	        (r = policy_text_keyword(text, "class", err)) != 0 ||
	        (r = policy_text_class(text, &class, err)) != 0 ||
	        (r = check_zone(policy, text, &own, class, err)) != 0 ||
	        (r = policy_text_keyword(text, "protocol", err)) != 0 ||
	        (r = policy_text_protocol(text, &protocol, err)) != 0) {
		return r;
	}
	rule.class = (uint8_t) class;
	rule.protocol = (uint8_t)protocol;
	rule.approval = site_policy_approval_default(class);
	rule.factor = site_policy_factor_default(class);
	if ((r = parse_ports(policy, text, &rule, err)) != 0 ||
	        (r = parse_rule_words(policy, text, &rule, err)) != 0) {
		return r;
	}
	add_rule(policy, &rule);
	return 0;
}

int site_policy_refuse_parse(struct site_policy *policy, struct policy_text *text, struct err *err)
{
	enum service_class class = SERVICE_CLASS_NONE;
	struct site_policy_rule rule = { 0 };
	struct side own = { 0 };
	int r = parse_rule_head(policy, text, &rule, &own, err);

	if (r == 0 && policy_text_take(text, "class")) {
		r = policy_text_class(text, &class, err);
	} else if (r == 0 && policy_text_peek(text)) {
		r = policy_text_expected(text, err, "class or the end of the statement");
	}
	if (r != 0) {
		return r;
	}
	rule.refuse = true;
	rule.class = (uint8_t) class;
	add_rule(policy, &rule);
	return policy_text_end(text, err);
}

/* --- tests --------------------------------------------------------------- */

/* "at", "approved", "emergency", "factor", "posture", "beside", "traffic", in this order. */
static int parse_assumptions(struct site_policy *policy, struct policy_text *text,
        struct site_policy_test *test, struct err *err)
{
	static const char *const factors[] = { "one", "two", NULL };
	static const char *const postures[] = { "unknown", "current", NULL };
	uint8_t choice = 0;
	int r = 0;

	if (policy_text_take(text, "at")) {
		const char *word = policy_text_peek(text);

		if (!word || hours_time_parse(word, policy->hours.zone_sec, &test->at) != 0) {
			return policy_text_expected(text, err, "a time such as 2026-11-24T10:00");
		}
		text->at++;
		test->timed = true;
	}
	test->approved = policy_text_take(text, "approved");
	test->emergency = policy_text_take(text, "emergency");
	test->factor = FACTOR_ONE;
	if (policy_text_take(text, "factor")) {
		r = policy_text_choice(text, factors, "one or two", &choice, err);
		test->factor = choice == 0 ? FACTOR_ONE : FACTOR_TWO;
	}
	if (r == 0 && policy_text_take(text, "posture")) {
		choice = 0;
		r = policy_text_choice(text, postures, "current or unknown", &choice, err);
		test->posture_current = choice != 0;
	}
	if (r == 0 && policy_text_take(text, "beside")) {
		r = policy_text_class(text, &test->beside, err);
	}
	if (r == 0) {
		test->traffic = policy_text_take(text, "traffic");
	}
	if (r == 0 && policy_text_peek(text)) {
		r = policy_text_expected(text, err,
		        "at, approved, emergency, factor, posture, beside, traffic (in this order) "
		        "or the end of the statement");
	}
	if (r == 0 && test->traffic && (test->approved || test->emergency)) {
		r = policy_text_wrong(
		        text, err, "traffic asks for no work: neither approved nor emergency");
	}
	return r;
}

int site_policy_test_parse(struct site_policy *policy, struct policy_text *text, struct err *err)
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
	        (r = parse_pair(policy, text, SIDE_OF_TEST, sides, err)) != 0 ||
	        (r = policy_text_keyword(text, "class", err)) != 0 ||
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
	r = parse_assumptions(policy, text, &test, err);
	if (r != 0) {
		return r;
	}
	policy->tests =
	        index_grow(policy->tests, policy->test_count, &policy->test_room, sizeof(test));
	policy->tests[policy->test_count++] = test;
	return 0;
}
