/* The oracle's choice among the rules of one site (protocol.md 2.2). */
#include "oracle_run.h"

/* Whether a reference of a rule takes in a host of a site. */
static bool ref_has(const struct oracle_site *own, const struct oracle_ref *ref, const char *site,
        const char *host)
{
	if (!same(ref->site, site)) {
		return false;
	}
	if (same(ref->site, own->name)) {
		return oracle_own_has(own, ref->host, host);
	}
	return same(ref->host, "*") || same(ref->host, host);
}

static bool rule_pair(const struct oracle_site *own, const struct oracle_rule *rule,
        const char *from_site, const char *from_host, const char *to_site, const char *to_host)
{
	return ref_has(own, &rule->from, from_site, from_host) &&
	       ref_has(own, &rule->to, to_site, to_host);
}

static bool rule_port(const struct oracle_rule *rule, int port)
{
	if (same(rule->protocol, "icmp")) {
		return port == 0;
	}
	for (int i = 0; i < rule->port_count; i++) {
		if (rule->first[i] <= port && port <= rule->last[i]) {
			return true;
		}
	}
	return false;
}

/* Live connections that the rule's words take in. */
static int rule_live(const struct run *run, int side, const struct oracle_rule *rule)
{
	const struct policy_beside *beside = &end_facts(run, side)->beside;
	int count = 0;

	if (!asked(run, LAYER_EXCLUSION) || beside->known != FACT_YES) {
		return 0; /* another's to count, or denied by that layer */
	}
	for (size_t i = 0; i < beside->count; i++) {
		const struct policy_live *live = &beside->live[i];

		count += rule_pair(run->the->site[side], rule, live->from_site, live->from_host,
		                 live->to_site, live->to_host) &&
		         same(rule->class, service_class_name(live->class)) &&
		         same(rule->protocol, protocol_name(live->protocol)) &&
		         rule_port(rule, live->port);
	}
	return count;
}

int oracle_work_order_shut(const struct run *run)
{
	if (run->request->work_order[0] == '\0') {
		return REASON_WORK_ORDER_NOT_NAMED;
	}
	switch (run->facts->work_order.state) {
	case WORK_ORDER_OPEN:
	case WORK_ORDER_FOREIGN:
		return 0;
	case WORK_ORDER_MISSING:
		return REASON_WORK_ORDER_MISSING;
	case WORK_ORDER_OTHER_WORKER:
		return REASON_WORK_ORDER_WORKER;
	case WORK_ORDER_OTHER_TARGET:
		return REASON_WORK_ORDER_TARGET;
	case WORK_ORDER_NOT_OPEN:
		return REASON_WORK_ORDER_NOT_OPEN;
	default:
		return REASON_WORK_ORDER_UNKNOWN;
	}
}

int oracle_approval_lacks(const struct run *run, int side)
{
	const struct policy_approval *approval = &end_facts(run, side)->approval;
	const struct policy_window *window = &approval->window;

	switch (approval->state) {
	case APPROVAL_FOREIGN:
		return 0;
	case APPROVAL_NONE:
		return REASON_WORK_ORDER_APPROVAL_NONE;
	case APPROVAL_REFUSED:
		return REASON_WORK_ORDER_APPROVAL_REFUSED;
	case APPROVAL_INVALID:
		return REASON_WORK_ORDER_APPROVAL_INVALID;
	case APPROVAL_GIVEN:
		break;
	default:
		return REASON_WORK_ORDER_APPROVAL_UNKNOWN;
	}
	if (window->not_before == 0) {
		return REASON_WORK_ORDER_APPROVAL_UNKNOWN; /* an approval without a time */
	}
	/* 1.5: it holds the whole connection. */
	if (run->begin < window->not_before) {
		return REASON_WORK_ORDER_APPROVAL_EARLY;
	}
	if (left_until(run, window->not_after) == 0) {
		return REASON_WORK_ORDER_APPROVAL_OVER;
	}
	return longer_than(run, window->not_after) ? REASON_WORK_ORDER_APPROVAL_DURATION : 0;
}

bool oracle_emergency_possible(const struct run *run)
{
	return run->request->emergency &&
	       (run->facts->work_order.emergency_allowed == FACT_YES ||
	               run->facts->work_order.emergency_allowed == FACT_FOREIGN);
}

static bool factors_enough(const struct run *run, int factors)
{
	if (!asked(run, LAYER_PERSON)) {
		return true;
	}
	if (run->request->person[0] == '\0') {
		return factors < 2; /* the gateway's certificate */
	}
	return (int)run->facts->person.factor >= (factors == 2 ? FACTOR_TWO : FACTOR_ONE);
}

/* How far one rule comes with the request. */
static struct choice rule_try(const struct run *run, int side, const struct oracle_rule *rule)
{
	const struct policy_request *request = run->request;
	struct choice choice = {
		.rule = rule, .approval = rule->approval, .factors = rule->factors
	};
	const struct policy_end_facts *other = end_facts(run, 1 - side);
	bool class_wants = run->class && run->class->approval == ORACLE_REQUIRED;

	/* The class of the provider only tightens (2.1). */
	if (class_wants && side == 1 && choice.approval == ORACLE_STANDING) {
		choice.approval = ORACLE_REQUIRED;
	}
	if (run->class && run->class->factor_two) {
		choice.factors = 2;
	}
	choice.duration = rule->duration > 0 ? rule->duration : DAY;
	choice.lease = rule->lease > 0 ? rule->lease : LEASE_SEC_MAX;
	if (!same(rule->class, service_class_name(request->class))) {
		choice.stage = STAGE_CLASS;
	} else if (!same(rule->protocol, protocol_name(request->protocol))) {
		choice.stage = STAGE_PROTOCOL;
	} else if (!rule_port(rule, request->port)) {
		choice.stage = STAGE_PORT;
	} else if (!oracle_hours_hold(
	                   run->the->site[side], rule->hours, run->begin, &choice.hours_end) ||
	           left_until(run, choice.hours_end) == 0) {
		choice.stage = STAGE_HOURS;
	} else if (longer_than(run, choice.hours_end)) {
		choice.stage = STAGE_HOURS_END;
	} else if (rule->current && other->posture != POSTURE_CURRENT &&
	           other->posture != POSTURE_FOREIGN) {
		choice.stage = STAGE_POSTURE;
	} else if (request->traffic && !rule->traffic) {
		choice.stage = STAGE_TRAFFIC;
	} else if (!factors_enough(run, choice.factors)) {
		choice.stage = STAGE_FACTOR;
	} else if (rule->concurrency > 0 && rule_live(run, side, rule) >= rule->concurrency) {
		choice.stage = STAGE_CONCURRENCY;
	} else if (asked(run, LAYER_WORK_ORDER) &&
	           ((choice.approval == ORACLE_EMERGENCY && !oracle_emergency_possible(run)) ||
	                   (choice.approval == ORACLE_REQUIRED &&
	                           (run->request->work_order[0] == '\0' ||
	                                   oracle_approval_lacks(run, side))))) {
		choice.stage = STAGE_APPROVAL;
	} else if (request->duration_sec > choice.duration) {
		choice.stage = STAGE_DURATION;
	} else if (request->lease_sec > choice.lease) {
		choice.stage = STAGE_LEASE;
	} else {
		choice.stage = STAGE_HOLDS;
	}
	return choice;
}

bool oracle_refused(const struct run *run, int side)
{
	const struct oracle_site *site = run->the->site[side];
	const struct policy_request *request = run->request;

	for (int i = 0; i < site->rule_count; i++) {
		const struct oracle_rule *rule = &site->rules[i];

		if (rule->refuse &&
		        rule_pair(site, rule, request->from.site, request->from.host,
		                request->to.site, request->to.host) &&
		        (rule->class[0] == '\0' ||
		                same(rule->class, service_class_name(request->class)))) {
			return true;
		}
	}
	return false;
}

struct choice oracle_rule_choose(const struct run *run, int side)
{
	const struct oracle_site *site = run->the->site[side];
	const struct policy_request *request = run->request;
	struct choice best = { .stage = STAGE_NONE };

	for (int i = 0; i < site->rule_count; i++) {
		const struct oracle_rule *rule = &site->rules[i];
		struct choice tried;

		if (rule->refuse || !rule_pair(site, rule, request->from.site, request->from.host,
		                            request->to.site, request->to.host)) {
			continue;
		}
		tried = rule_try(run, side, rule);
		if (tried.stage > best.stage ||
		        (tried.stage == best.stage && tried.duration > best.duration)) {
			best = tried;
		}
	}
	return best;
}
