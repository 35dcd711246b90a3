/* The compiled form as text. */
#include <string.h>

#include "policy/policy_text.h"
#include "policy/site_policy_impl.h"

/* A printed line goes on in the next one from here on. */
#define PRINT_COLUMNS 90

/* In place of the number of its name. */
#define OWN_SITE INDEX_NONE

static const char *name_of(const struct site_policy *policy, uint32_t number)
{
	return name_index_text(&policy->names, number);
}

static void print_hours(const struct site_policy *policy, struct buf *out)
{
	const struct hours *hours = &policy->hours;

	if (policy->zone_said) {
		buf_add_text(out, "time-zone ");
		hours_zone_print(hours->zone_sec, out);
		buf_add_text(out, "\n");
	}
	for (size_t i = 0; i < hours->holiday_count; i++) {
		buf_add_text(out, "holidays ");
		hours_date_print(hours->holidays[i].first, out);
		if (hours->holidays[i].last != hours->holidays[i].first) {
			buf_add_text(out, "..");
			hours_date_print(hours->holidays[i].last, out);
		}
		buf_add_text(out, "\n");
	}
	for (size_t i = 0; i < hours->span_count; i++) {
		const struct hours_span *span = &hours->spans[i];

		buf_add_format(out, "hours %s ", name_of(policy, span->name));
		hours_days_print(span->days, out);
		buf_add_text(out, " ");
		hours_minutes_print(span->from_min, span->length_min, out);
		buf_add_format(out, "%s\n", span->except_holidays ? " except holidays" : "");
	}
}

static void print_hosts(const struct site_policy *policy, struct buf *out)
{
	static const char *const zones[] = { [ZONE_NONE] = "",
		[ZONE_DMZ] = " zone dmz",
		[ZONE_SZ] = " zone sz",
		[ZONE_HSZ] = " zone hsz" };

	for (size_t i = 0; i < policy->host_count; i++) {
		const struct site_policy_host *host = &policy->hosts[i];

		buf_add_format(out, "host %s address %s service %s%s%s\n",
		        name_of(policy, host->name), address_print(host->address).text,
		        address_print(host->service).text, zones[host->zone],
		        host->changeover ? " changeover" : "");
	}
	for (size_t i = 0; i < policy->set_count; i++) {
		const struct site_policy_set *set = &policy->sets[i];
		size_t line_start = out->count;

		buf_add_format(out, "set %s", name_of(policy, set->name));
		for (uint32_t k = 0; k < set->member_count; k++) {
			const char *name = name_of(
			        policy, policy->hosts[policy->members[set->members + k]].name);

			if (out->count - line_start + 1 + strlen(name) > PRINT_COLUMNS) {
				buf_add_text(out, "\n ");
				line_start = out->count - 1;
			}
			buf_add_format(out, " %s", name);
		}
		buf_add_text(out, "\n");
	}
}

static void print_reference(
        const struct site_policy *policy, uint32_t site, uint32_t host, struct buf *out)
{
	if (site != OWN_SITE && strcmp(name_of(policy, site), policy->site) != 0) {
		buf_add_format(out, "%s/", name_of(policy, site));
	}
	buf_add_text(out, host == EVERY_HOST ? "*" : name_of(policy, host));
}

static void print_seconds(const char *word, uint32_t sec, struct buf *out)
{
	if (sec > 0) {
		buf_add_format(out, " %s ", word);
		policy_duration_print(sec, out);
	}
}

/* What an allow has behind its pair; only what is not so by default. */
static void print_words(
        const struct site_policy *policy, const struct site_policy_rule *rule, struct buf *out)
{
	static const char *const approvals[] = { [APPROVAL_STANDING] = "standing",
		[APPROVAL_EMERGENCY] = "emergency",
		[APPROVAL_REQUIRED] = "required" };
	enum service_class class = (enum service_class)rule->class;

	buf_add_format(out, " class %s protocol %s", service_class_name(class),
	        protocol_name((enum protocol)rule->protocol));
	if (rule->port_count > 0) {
		buf_add_text(out, " port ");
		port_set_print(policy->ranges + rule->ports, rule->port_count, out);
	}
	policy_limits_print(rule->duration_sec, rule->lease_sec, out);
	if (rule->approval != site_policy_approval_default(class)) {
		buf_add_format(out, " approval %s", approvals[rule->approval]);
	}
	print_seconds("review", rule->review_sec, out);
	if (rule->hours != INDEX_NONE) {
		buf_add_format(out, " hours %s", name_of(policy, rule->hours));
	}
	print_seconds("idle", rule->idle_sec, out);
	if (rule->concurrency > 0) {
		buf_add_format(out, " concurrency %u", rule->concurrency);
	}
	if (rule->outage) {
		buf_add_text(out, " outage survive");
	}
	if (rule->factor != site_policy_factor_default(class)) {
		buf_add_format(out, " factor %s", rule->factor == FACTOR_TWO ? "two" : "one");
	}
	if (rule->posture_current) {
		buf_add_text(out, " posture current");
	}
	if (rule->traffic) {
		buf_add_text(out, " open traffic");
	}
}

static void print_rule(
        const struct site_policy *policy, const struct site_policy_rule *rule, struct buf *out)
{
	buf_add_format(
	        out, "%s %s from ", rule->refuse ? "refuse" : "allow", name_of(policy, rule->name));
	print_reference(policy, rule->outbound ? OWN_SITE : rule->peer_site,
	        rule->outbound ? rule->own_host : rule->peer_host, out);
	buf_add_text(out, " to ");
	print_reference(policy, rule->outbound ? rule->peer_site : OWN_SITE,
	        rule->outbound ? rule->peer_host : rule->own_host, out);
	if (!rule->refuse) {
		print_words(policy, rule, out);
	} else if (rule->class != SERVICE_CLASS_NONE) {
		buf_add_format(
		        out, " class %s", service_class_name((enum service_class)rule->class));
	}
	buf_add_text(out, "\n");
}

static void print_test(
        const struct site_policy *policy, const struct site_policy_test *test, struct buf *out)
{
	buf_add_format(out, "test %s from ", test->permit ? "permit" : "deny");
	print_reference(policy, test->sites[0], test->hosts[0], out);
	buf_add_text(out, " to ");
	print_reference(policy, test->sites[1], test->hosts[1], out);
	buf_add_format(out, " class %s protocol %s", service_class_name(test->class),
	        protocol_name(test->protocol));
	if (test->port > 0) {
		buf_add_format(out, " port %u", test->port);
	}
	if (test->timed) {
		buf_add_text(out, " at ");
		hours_time_print(test->at, policy->hours.zone_sec, out);
	}
	buf_add_format(out, "%s%s%s%s", test->approved ? " approved" : "",
	        test->emergency ? " emergency" : "",
	        test->factor == FACTOR_TWO ? " factor two" : "",
	        test->posture_current ? " posture current" : "");
	if (test->beside != SERVICE_CLASS_NONE) {
		buf_add_format(out, " beside %s", service_class_name(test->beside));
	}
	buf_add_text(out, test->traffic ? " traffic\n" : "\n");
}

void site_policy_print(const struct site_policy *policy, struct buf *out)
{
	buf_add_format(out, "sekisho site-policy 1\nsite %s\nversion %ju\n", policy->site,
	        (uintmax_t)policy->version);
	print_hours(policy, out);
	print_hosts(policy, out);
	for (size_t i = 0; i < policy->approver_count; i++) {
		buf_add_format(out, "approver %s key %s\n",
		        name_of(policy, policy->approvers[i].name),
		        name_of(policy, policy->approvers[i].spki));
	}
	for (size_t i = 0; i < policy->rule_count; i++) {
		print_rule(policy, &policy->rules[i], out);
	}
	for (size_t i = 0; i < policy->test_count; i++) {
		print_test(policy, &policy->tests[i], out);
	}
}
