/* From text to the compiled form: the statements. Rules and tests are in site_policy_rule.c. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "policy/policy_text.h"
#include "policy/site_policy_impl.h"
#include "policy/site_policy_rule.h"

static int parse_time_zone(struct site_policy *policy, struct policy_text *text, struct err *err)
{
	const char *word = policy_text_peek(text);

	if (policy->zone_said || policy->test_count > 0) {
		return policy_place_wrong(text->words[0].line, text->words[0].column, err,
		        "time-zone is said once, before every test");
	}
	if (!word || hours_zone_parse(word, &policy->hours.zone_sec) != 0) {
		return policy_text_expected(
		        text, err, "UTC, Asia/Tokyo or an offset such as +09:00");
	}
	policy->zone_said = true;
	text->at++;
	return policy_text_end(text, err);
}

/* "2026-11-23" or "2026-12-29..2027-01-03". */
static int take_holiday(
        struct policy_text *text, struct hours_holiday *ret_holiday, struct err *err)
{
	const char *word = policy_text_peek(text);
	const char *dots = word ? strstr(word, "..") : NULL;
	char first[16] = "";
	int r = 1;

	if (word && !dots) {
		r = hours_date_parse(word, &ret_holiday->first);
		ret_holiday->last = ret_holiday->first;
	} else if (word && (size_t)(dots - word) < sizeof(first)) {
		memcpy(first, word, (size_t)(dots - word));
		r = hours_date_parse(first, &ret_holiday->first) != 0 ||
		    hours_date_parse(dots + 2, &ret_holiday->last) != 0 ||
		    ret_holiday->last < ret_holiday->first;
	}
	if (r != 0) {
		return policy_text_expected(
		        text, err, "a date such as 2026-11-23 or 2026-12-29..2027-01-03");
	}
	text->at++;
	return 0;
}

static int parse_holidays(struct site_policy *policy, struct policy_text *text, struct err *err)
{
	struct hours *hours = &policy->hours;

	do {
		struct hours_holiday holiday;
		int r = take_holiday(text, &holiday, err);

		if (r != 0) {
			return r;
		}
		if (hours->holiday_count == POLICY_HOLIDAYS_MAX) {
			return policy_text_wrong(
			        text, err, "a policy has at most %d holidays", POLICY_HOLIDAYS_MAX);
		}
		hours->holidays = index_grow(hours->holidays, hours->holiday_count,
		        &policy->holiday_room, sizeof(holiday));
		hours->holidays[hours->holiday_count++] = holiday;
	} while (policy_text_peek(text));
	return 0;
}

static int parse_hours(struct site_policy *policy, struct policy_text *text, struct err *err)
{
	struct hours *hours = &policy->hours;
	struct hours_span span = { 0 };
	const char *name = NULL, *word;
	int r;

	r = policy_text_name(text, "a name for the hours", &name, err);
	if (r != 0) {
		return r;
	}
	if (hours->span_count == POLICY_HOURS_MAX) {
		return policy_text_wrong(
		        text, err, "a policy has at most %d lines of hours", POLICY_HOURS_MAX);
	}
	span.name = name_index_add(&policy->names, name);
	word = policy_text_peek(text);
	if (!word || hours_days_parse(word, &span.days) != 0) {
		return policy_text_expected(text, err, "days such as mon-fri or mon,wed");
	}
	text->at++;
	word = policy_text_peek(text);
	if (!word || hours_minutes_parse(word, &span.from_min, &span.length_min) != 0) {
		return policy_text_expected(text, err, "times such as 09:00-17:30");
	}
	text->at++;
	if (policy_text_take(text, "except")) {
		r = policy_text_keyword(text, "holidays", err);
		if (r != 0) {
			return r;
		}
		span.except_holidays = true;
	} else if (policy_text_peek(text)) {
		return policy_text_expected(
		        text, err, "\"except holidays\" or the end of the statement");
	}
	hours->spans =
	        index_grow(hours->spans, hours->span_count, &policy->span_room, sizeof(span));
	hours->spans[hours->span_count++] = span;
	return policy_text_end(text, err);
}

/* A new name of the one name space of hosts and sets. */
static int take_new_name(struct site_policy *policy, struct policy_text *text, const char *what,
        uint32_t *ret_name, struct err *err)
{
	const char *name = NULL;
	int r = policy_text_name(text, what, &name, err);

	if (r != 0) {
		return r;
	}
	*ret_name = name_index_add(&policy->names, name);
	if (pair_index_find(&policy->host_by_name, *ret_name) != INDEX_NONE) {
		return policy_text_wrong(text, err, "host %s is already there", name);
	}
	if (pair_index_find(&policy->set_by_name, *ret_name) != INDEX_NONE) {
		return policy_text_wrong(text, err, "set %s is already there", name);
	}
	return 0;
}

static int parse_host_address(struct site_policy *policy, struct policy_text *text,
        struct site_policy_host *host, struct err *err)
{
	int r;

	if ((r = policy_text_keyword(text, "address", err)) != 0 ||
	        (r = policy_text_address(text, &host->address, err)) != 0) {
		return r;
	}
	for (size_t i = 0; i < policy->host_count; i++) {
		if (address_equal(policy->hosts[i].address, host->address)) {
			return policy_text_wrong(text, err, "host %s has this address already",
			        name_index_text(&policy->names, policy->hosts[i].name));
		}
	}
	if ((r = policy_text_keyword(text, "service", err)) != 0 ||
	        (r = policy_text_address(text, &host->service, err)) != 0) {
		return r;
	}
	for (size_t i = 0; i < policy->host_count; i++) {
		if (address_equal(policy->hosts[i].service, host->service)) {
			return policy_text_wrong(text, err,
			        "host %s has this service address already",
			        name_index_text(&policy->names, policy->hosts[i].name));
		}
	}
	return host->address.family == host->service.family
	               ? 0
	               : policy_text_wrong(text, err,
	                         "the address and the service address must be of one family: they "
	                         "are mapped one to one");
}

static int parse_host(struct site_policy *policy, struct policy_text *text, struct err *err)
{
	static const char *const zones[] = {
		[ZONE_DMZ] = "dmz", [ZONE_SZ] = "sz", [ZONE_HSZ] = "hsz"
	};
	struct site_policy_host host = { 0 };
	int r = take_new_name(policy, text, "the name of a host", &host.name, err);

	if (r != 0) {
		return r;
	}
	if (policy->host_count == POLICY_HOSTS_MAX) {
		return policy_text_wrong(
		        text, err, "a policy has at most %d hosts", POLICY_HOSTS_MAX);
	}
	r = parse_host_address(policy, text, &host, err);
	if (r != 0) {
		return r;
	}
	if (policy_text_take(text, "zone")) {
		for (uint8_t zone = ZONE_DMZ; zone <= ZONE_HSZ; zone++) {
			if (host.zone == ZONE_NONE && policy_text_take(text, zones[zone])) {
				host.zone = zone;
			}
		}
		if (host.zone == ZONE_NONE) {
			return policy_text_expected(text, err, "dmz, sz or hsz");
		}
	}
	host.changeover = policy_text_take(text, "changeover");
	if (policy_text_peek(text)) {
		return policy_text_expected(text, err,
		        host.changeover          ? "the end of the statement"
		        : host.zone != ZONE_NONE ? "changeover or the end of the statement"
		                                 : "zone, changeover or the end of the statement");
	}
	*pair_index_add(&policy->host_by_name, host.name) = (uint32_t)policy->host_count;
	policy->hosts =
	        index_grow(policy->hosts, policy->host_count, &policy->host_room, sizeof(host));
	policy->hosts[policy->host_count++] = host;
	return 0;
}

static int add_member(struct site_policy *policy, struct policy_text *text,
        struct site_policy_set *set, struct err *err)
{
	const char *name = NULL;
	uint32_t number, position = INDEX_NONE;
	int r = policy_text_name(text, "the name of a host", &name, err);

	if (r != 0) {
		return r;
	}
	number = name_index_find(&policy->names, name);
	if (number != INDEX_NONE) {
		position = pair_index_find(&policy->host_by_name, number);
	}
	if (position == INDEX_NONE) {
		return policy_text_wrong(text, err, "there is no host %s above", name);
	}
	for (uint32_t i = 0; i < set->member_count; i++) {
		if (policy->members[set->members + i] == position) {
			return policy_text_wrong(text, err, "host %s is already in this set", name);
		}
	}
	policy->members = index_grow(policy->members, policy->member_count, &policy->member_room,
	        sizeof(*policy->members));
	policy->members[policy->member_count++] = position;
	set->member_count++;
	return 0;
}

static int parse_set(struct site_policy *policy, struct policy_text *text, struct err *err)
{
	struct site_policy_set set = { .members = (uint32_t)policy->member_count };
	int r = take_new_name(policy, text, "the name of a set", &set.name, err);

	if (r == 0 && policy->set_count == POLICY_SETS_MAX) {
		return policy_text_wrong(
		        text, err, "a policy has at most %d sets", POLICY_SETS_MAX);
	}
	do {
		if (r == 0) {
			r = add_member(policy, text, &set, err);
		}
	} while (r == 0 && policy_text_peek(text));
	if (r != 0) {
		return r;
	}
	*pair_index_add(&policy->set_by_name, set.name) = (uint32_t)policy->set_count;
	policy->sets = index_grow(policy->sets, policy->set_count, &policy->set_room, sizeof(set));
	policy->sets[policy->set_count++] = set;
	return 0;
}

/* Base64 of something that can be a SubjectPublicKeyInfo: a DER sequence that fills it. Whether it
 * is a key is seen where it is used; a seal that it should verify fails otherwise. */
static bool spki_valid(const char *word)
{
	AUTO_BUF struct buf der = BUF(POLICY_SPKI_BYTES_MAX);
	size_t head;

	if (base64_parse(word, strlen(word), &der) != 0 || der.count < 32 || der.bytes[0] != 0x30) {
		return false;
	}
	head = der.bytes[1] < 0x80 ? 2 : 2 + (der.bytes[1] & 0x7fU);
	if (head > 4) {
		return false;
	}
	return der.count - head == (head == 2          ? der.bytes[1]
	                                   : head == 3 ? der.bytes[2]
	                                               : der.bytes[2] * 256U + der.bytes[3]);
}

static int parse_approver(struct site_policy *policy, struct policy_text *text, struct err *err)
{
	struct site_policy_approver approver;
	const char *name = NULL, *word;
	int r = policy_text_name(text, "the name of an approver", &name, err);

	if (r != 0) {
		return r;
	}
	if (policy->approver_count == POLICY_APPROVERS_MAX) {
		return policy_text_wrong(
		        text, err, "a policy has at most %d approvers", POLICY_APPROVERS_MAX);
	}
	approver.name = name_index_add(&policy->names, name);
	for (size_t i = 0; i < policy->approver_count; i++) {
		if (policy->approvers[i].name == approver.name) {
			return policy_text_wrong(text, err, "approver %s is already there", name);
		}
	}
	r = policy_text_keyword(text, "key", err);
	if (r != 0) {
		return r;
	}
	word = policy_text_peek(text);
	if (!word || !spki_valid(word)) {
		return policy_text_expected(
		        text, err, "a public key (SubjectPublicKeyInfo in base64)");
	}
	text->at++;
	approver.spki = name_index_add(&policy->names, word);
	for (size_t i = 0; i < policy->approver_count; i++) {
		if (policy->approvers[i].spki == approver.spki) {
			return policy_text_wrong(text, err, "approver %s has this key already",
			        name_index_text(&policy->names, policy->approvers[i].name));
		}
	}
	policy->approvers = index_grow(policy->approvers, policy->approver_count,
	        &policy->approver_room, sizeof(approver));
	policy->approvers[policy->approver_count++] = approver;
	return policy_text_end(text, err);
}

static const struct {
	const char *keyword;
	int (*parse)(struct site_policy *policy, struct policy_text *text, struct err *err);
} statements[] = {
	{ "time-zone", parse_time_zone },
	{ "holidays", parse_holidays },
	{ "hours", parse_hours },
	{ "host", parse_host },
	{ "set", parse_set },
	{ "approver", parse_approver },
	{ "allow", site_policy_allow_parse },
	{ "refuse", site_policy_refuse_parse },
	{ "test", site_policy_test_parse },
};

static int parse_statement(struct site_policy *policy, struct policy_text *text, struct err *err)
{
	for (size_t i = 0; i < ARRAY_COUNT(statements); i++) {
		if (policy_text_take(text, statements[i].keyword)) {
			return statements[i].parse(policy, text, err);
		}
	}
	return policy_text_expected(text, err,
	        "time-zone, holidays, hours, host, set, approver, allow, refuse or test");
}

/* One array of a policy: where its address is kept, and how long it is. */
struct part {
	void *address;
	size_t bytes;
};

/* A copy of the policy in one block of memory, what a look-up reads first: it lies on a few pages
 * and has no room for more. What only the parser needs is left behind. */
static struct site_policy *pack(const struct site_policy *policy)
{
	struct site_policy copy = *policy, *packed;
	const struct part parts[] = {
		{ &copy.slots, (copy.slot_mask + 1) * sizeof(*copy.slots) },
		{ &copy.rules, copy.rule_count * sizeof(*copy.rules) },
		{ &copy.hosts, copy.host_count * sizeof(*copy.hosts) },
		{ &copy.names.pool, copy.names.pool_count },
		{ &copy.names.offsets, copy.names.count * sizeof(*copy.names.offsets) },
		{ &copy.ranges, copy.range_count * sizeof(*copy.ranges) },
		{ &copy.hours.spans, copy.hours.span_count * sizeof(*copy.hours.spans) },
		{ &copy.hours.holidays, copy.hours.holiday_count * sizeof(*copy.hours.holidays) },
		{ &copy.set_hosts, copy.set_count * set_row_bytes(copy.host_count) },
		{ &copy.members, copy.member_count * sizeof(*copy.members) },
		{ &copy.sets, copy.set_count * sizeof(*copy.sets) },
		{ &copy.approvers, copy.approver_count * sizeof(*copy.approvers) },
		{ &copy.tests, copy.test_count * sizeof(*copy.tests) },
	};
	/* Slots and rules are whole lines. */
	size_t bytes = SITE_POLICY_BYTES;
	char *at;

	for (size_t i = 0; i < ARRAY_COUNT(parts); i++) {
		bytes += (parts[i].bytes + 15) & ~(size_t)15;
	}
	packed = mem_new_table(bytes, 1);
	at = (char *)packed + SITE_POLICY_BYTES;
	for (size_t i = 0; i < ARRAY_COUNT(parts); i++) {
		void *array;

		memcpy(&array, parts[i].address, sizeof(array));
		if (parts[i].bytes > 0) {
			memcpy(at, array, parts[i].bytes);
		}
		array = at;
		memcpy(parts[i].address, &array, sizeof(array));
		at += (parts[i].bytes + 15) & ~(size_t)15;
	}
	copy.host_by_name = copy.set_by_name = copy.rule_by_name = (struct pair_index){ 0 };
	copy.pool = copy.names.pool;
	copy.names.slots = NULL;
	copy.names.slot_count = 0;
	copy.packed = true;
	*packed = copy;
	return packed;
}

int site_policy_parse(
        const char *bytes, size_t count, struct site_policy **ret_policy, struct err *err)
{
	AUTO(site_policy) struct site_policy *policy = mem_new(1, sizeof(*policy));
	struct policy_text text;
	int r;

	r = policy_text_open(&text, bytes, count, POLICY_TEXT_BYTES_MAX, err);
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
	hours_arrange(&policy->hours);
	site_policy_table_make(policy);
	*ret_policy = pack(policy);
	return 0;
}

struct site_policy *site_policy_free(struct site_policy *policy)
{
	if (policy && !policy->packed) {
		name_index_clear(&policy->names);
		pair_index_clear(&policy->host_by_name);
		pair_index_clear(&policy->set_by_name);
		pair_index_clear(&policy->rule_by_name);
		free(policy->hours.spans);
		free(policy->hours.holidays);
		free(policy->hosts);
		free(policy->sets);
		free(policy->approvers);
		free(policy->rules);
		free(policy->slots);
		free(policy->set_hosts);
		free(policy->ranges);
		free(policy->members);
		free(policy->tests);
	}
	free(policy);
	return NULL;
}
