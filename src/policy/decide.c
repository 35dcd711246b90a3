#include "policy/decide_impl.h"

#include <string.h>

#include "base/str.h"

/* --- provider, group, class ---------------------------------------------- */

static void decide_provider(struct question *question, struct policy_layer_result *result)
{
	const struct policy_request *request = question->request;
	const struct provider_policy *policy = question->facts->provider;

	if (!policy) {
		deny(result, REASON_PROVIDER_POLICY_MISSING, NULL);
		return;
	}
	question->decision->provider_version = provider_policy_version(policy);
	if (strcmp(request->from.site, request->to.site) == 0) {
		deny(result, REASON_SAME_SITE, NULL);
	} else if (question->sides[GRANT_INITIATOR].position == INDEX_NONE) {
		deny(result, REASON_INITIATOR_UNKNOWN, NULL);
	} else if (question->sides[GRANT_RESPONDER].position == INDEX_NONE) {
		deny(result, REASON_RESPONDER_UNKNOWN, NULL);
	} else {
		permit(result, REASON_PROVIDER_OK, provider_policy_provider(policy));
	}
}

static void decide_group(struct question *question, struct policy_layer_result *result)
{
	const struct policy_request *request = question->request;
	const char *group = NULL;

	if (!question->facts->provider) {
		deny(result, REASON_PROVIDER_POLICY_MISSING, NULL);
		return;
	}
	switch (provider_policy_group_at(question->facts->provider,
	        question->sides[GRANT_INITIATOR].position,
	        question->sides[GRANT_RESPONDER].position, request->class, &group)) {
	case POLICY_GROUP_FOUND:
		question->decision->group = group;
		permit(result, REASON_GROUP_OK, group);
		break;
	case POLICY_GROUP_CLASSLESS:
		deny(result, REASON_GROUP_CLASS, group);
		break;
	case POLICY_GROUP_NONE:
		deny(result, REASON_GROUP_NONE, NULL);
		break;
	}
}

static void decide_class(struct question *question, struct policy_layer_result *result)
{
	const struct policy_request *request = question->request;
	const struct policy_class *class = &question->class;

	if (!question->facts->provider) {
		deny(result, REASON_PROVIDER_POLICY_MISSING, NULL);
	} else if (class->duration_sec == 0) {
		deny(result, REASON_CLASS_NOT_OFFERED, NULL);
	} else if (request->duration_sec > class->duration_sec) {
		deny_number(result, REASON_CLASS_DURATION, DETAIL_LIMIT, NULL, class->duration_sec);
	} else if (request->lease_sec > class->lease_sec) {
		deny_number(result, REASON_CLASS_LEASE, DETAIL_LIMIT, NULL, class->lease_sec);
	} else {
		tighten(question->decision, class->duration_sec, class->lease_sec);
		permit(result, REASON_CLASS_OK, service_class_name(request->class));
	}
}

/* --- agreement ----------------------------------------------------------- */

static void decide_agreement(struct question *question, struct policy_layer_result *result)
{
	static const enum policy_reason reasons[] = {
		[AGREEMENT_UNKNOWN] = REASON_AGREEMENT_UNKNOWN,
		[AGREEMENT_SAME_ORGANIZATION] = REASON_AGREEMENT_SAME_ORGANIZATION,
		[AGREEMENT_IN_FORCE] = REASON_AGREEMENT_OK,
		[AGREEMENT_NONE] = REASON_AGREEMENT_NONE,
		[AGREEMENT_CLASS] = REASON_AGREEMENT_CLASS,
		[AGREEMENT_HOSTS] = REASON_AGREEMENT_HOSTS,
		[AGREEMENT_SERVICE] = REASON_AGREEMENT_SERVICE,
		[AGREEMENT_INCOMPLETE] = REASON_AGREEMENT_INCOMPLETE,
		[AGREEMENT_UNSIGNED] = REASON_AGREEMENT_UNSIGNED,
		[AGREEMENT_NOT_YET] = REASON_AGREEMENT_NOT_YET,
		[AGREEMENT_OVER] = REASON_AGREEMENT_OVER,
		[AGREEMENT_ENDED] = REASON_AGREEMENT_ENDED,
		[AGREEMENT_UNACKNOWLEDGED] = REASON_AGREEMENT_UNACKNOWLEDGED,
	};
	const struct policy_agreement *agreement = &question->facts->agreement;
	enum fit fit;

	if ((unsigned)agreement->state >= ARRAY_COUNT(reasons)) {
		deny(result, REASON_AGREEMENT_UNKNOWN, NULL);
	} else if (agreement->state == AGREEMENT_SAME_ORGANIZATION) {
		permit(result, REASON_AGREEMENT_SAME_ORGANIZATION, NULL);
	} else if (agreement->state != AGREEMENT_IN_FORCE) {
		deny(result, reasons[agreement->state], agreement->name);
	} else if (agreement->not_after == 0) {
		permit(result, REASON_AGREEMENT_OK, agreement->name);
	} else if ((fit = fit_before(question, agreement->not_after)) != FIT_GOOD) {
		deny_number(result,
		        fit == FIT_OVER ? REASON_AGREEMENT_OVER : REASON_AGREEMENT_DURATION,
		        DETAIL_UNTIL, agreement->name, agreement->not_after);
	} else {
		tighten_until(question, agreement->not_after);
		permit(result, REASON_AGREEMENT_OK, agreement->name);
	}
}

/* --- the two sites ------------------------------------------------------- */

/* By how many factors it is known who asks. A gateway that asks for itself has its certificate. */
static enum policy_factor factor_given(const struct question *question)
{
	if (is_foreign(question, LAYER_PERSON)) {
		return FACTOR_TWO;
	}
	return question->request->person[0] == '\0' ? FACTOR_ONE : question->facts->person.factor;
}

static void ask_rules(struct question *question, enum grant_side at)
{
	struct side *side = &question->sides[at];
	const struct side *other = &question->sides[at == GRANT_INITIATOR];
	const struct policy_request *request = question->request;
	const struct policy_beside *beside = &side->end->beside;
	bool beside_known = !is_foreign(question, LAYER_EXCLUSION) && beside->known == FACT_YES;
	const struct site_policy_question asked = {
		.look = &side->look,
		.from = &request->from,
		.to = &request->to,
		.class = request->class,
		.protocol = request->protocol,
		.port = request->port,
		.begin = question->begin,
		.now = question->start,
		.duration_sec = request->duration_sec,
		.lease_sec = request->lease_sec,
		.posture_current = other->end->posture == POSTURE_CURRENT ||
		                   other->end->posture == POSTURE_FOREIGN,
		.factor = factor_given(question),
		.factor_least = question->class.factor_two ? FACTOR_TWO : FACTOR_NONE,
		.approved = side->approved,
		.emergency = decide_emergency_holds(question),
		.traffic = request->traffic,
		.approval_required = question->class.approval_required && at == GRANT_RESPONDER,
		.live = beside_known ? beside->live : NULL,
		.live_count = beside_known ? beside->count : 0,
	};

	side->match = site_policy_find(side->policy, &asked, &side->answer);
	side->has_rule = side->match >= SITE_POLICY_FACTOR && side->match != SITE_POLICY_REFUSED;
}

/* What holds of the connection by the rule that allows it. */
static void take_rule(struct question *question, const struct side *side)
{
	const struct site_policy_answer *answer = &side->answer;
	struct decision *decision = question->decision;

	tighten(decision, answer->duration_sec, answer->lease_sec);
	if (answer->has_hours) {
		tighten_until(question, answer->hours_end);
	}
	decision->idle_sec = least(decision->idle_sec, answer->idle_sec);
	decision->outage = decision->outage && answer->outage;
	if (answer->approval == APPROVAL_EMERGENCY && question->request->emergency) {
		decision->emergency = true;
		decision->review_sec = least(decision->review_sec, answer->review_sec);
	}
}

/* The answer of the rules as the layer's. */
static void report_rules(
        struct question *question, const struct side *side, struct policy_layer_result *result)
{
	static const enum policy_reason reasons[] = {
		[SITE_POLICY_NO_PAIR] = REASON_SITE_NO_RULE,
		[SITE_POLICY_OTHER_CLASS] = REASON_SITE_RULE_CLASS,
		[SITE_POLICY_OTHER_PROTOCOL] = REASON_SITE_RULE_PROTOCOL,
		[SITE_POLICY_OTHER_PORT] = REASON_SITE_RULE_PORT,
		[SITE_POLICY_OTHER_HOURS] = REASON_SITE_RULE_HOURS,
		[SITE_POLICY_HOURS_END] = REASON_SITE_RULE_HOURS_END,
		[SITE_POLICY_POSTURE] = REASON_SITE_RULE_POSTURE,
		[SITE_POLICY_TRAFFIC] = REASON_SITE_RULE_TRAFFIC,
		[SITE_POLICY_DURATION] = REASON_SITE_DURATION,
		[SITE_POLICY_LEASE] = REASON_SITE_LEASE,
		[SITE_POLICY_REFUSED] = REASON_SITE_REFUSED,
	};
	const struct site_policy_answer *answer = &side->answer;

	switch (side->match) {
	case SITE_POLICY_ALLOWED:
		take_rule(question, side);
		permit(result, REASON_SITE_OK, answer->rule);
		break;
	case SITE_POLICY_FACTOR:
	case SITE_POLICY_CONCURRENCY:
	case SITE_POLICY_APPROVAL:
		/* The layer whose condition it is denies, and names what is missing. */
		permit(result, REASON_SITE_RULE_CONDITIONAL, answer->rule);
		question->conditional = true;
		break;
	case SITE_POLICY_OTHER_HOURS:
	case SITE_POLICY_HOURS_END:
		/* A connection whose hours are over by now, or in a moment, began within them. */
		deny_number(result, reasons[side->match],
		        !answer->within_hours && answer->hours_end > question->start ? DETAIL_NEXT
		                                                                     : DETAIL_UNTIL,
		        answer->rule, answer->hours_end);
		result->zone_sec = site_policy_zone_sec(side->policy);
		break;
	case SITE_POLICY_DURATION:
		deny_number(result, REASON_SITE_DURATION, DETAIL_LIMIT, answer->rule,
		        answer->duration_sec);
		break;
	case SITE_POLICY_LEASE:
		deny_number(
		        result, REASON_SITE_LEASE, DETAIL_LIMIT, answer->rule, answer->lease_sec);
		break;
	default:
		deny(result, reasons[side->match], answer->rule);
		break;
	}
}

static void decide_site(
        struct question *question, enum grant_side at, struct policy_layer_result *result)
{
	struct side *side = &question->sides[at];
	const struct provider_policy *provider = question->facts->provider;
	struct policy_host host;

	result->of_initiator = at == GRANT_INITIATOR;
	if (!side->policy) {
		deny(result, REASON_SITE_POLICY_MISSING, NULL);
		return;
	}
	*(at == GRANT_INITIATOR ? &question->decision->initiator_version
	                        : &question->decision->responder_version) =
	        site_policy_version(side->policy);
	site_policy_look(side->policy, &side->look, SITE_POLICY_LOOK_STEPS - 1);
	if (strcmp(site_policy_site(side->policy), side->own->site) != 0) {
		deny(result, REASON_SITE_POLICY_FOREIGN, site_policy_site(side->policy));
	} else if (site_policy_look_host(side->policy, &side->look, &host) != 0) {
		deny(result, REASON_SITE_HOST_UNKNOWN, NULL);
	} else if (provider &&
	           !provider_policy_contains_at(provider, side->position, &host.service)) {
		deny(result, REASON_SITE_HOST_ADDRESS, host.name);
	} else if (host.zone == ZONE_HSZ &&
	           question->request->class != SERVICE_REMOTE_MAINTENANCE) {
		deny(result, REASON_SITE_HSZ, host.name);
	} else {
		ask_rules(question, at);
		report_rules(question, side, result);
	}
	if (side->match == SITE_POLICY_ALLOWED) {
		*(at == GRANT_INITIATOR ? &question->decision->initiator_rule
		                        : &question->decision->responder_rule) = side->answer.rule;
	}
}

static void decide_initiator_site(struct question *question, struct policy_layer_result *result)
{
	decide_site(question, GRANT_INITIATOR, result);
}

static void decide_responder_site(struct question *question, struct policy_layer_result *result)
{
	decide_site(question, GRANT_RESPONDER, result);
}

/* In the order of enum policy_layer. A new layer is a row here, its turn below, one in explain.c,
 * its facts and its reasons. */
static void (*const layers[LAYER_COUNT])(
        struct question *question, struct policy_layer_result *result) = {
	[LAYER_PROVIDER] = decide_provider,
	[LAYER_GROUP] = decide_group,
	[LAYER_CLASS] = decide_class,
	[LAYER_AGREEMENT] = decide_agreement,
	[LAYER_INITIATOR_SITE] = decide_initiator_site,
	[LAYER_RESPONDER_SITE] = decide_responder_site,
	[LAYER_PERSON] = decide_person,
	[LAYER_WORK_ORDER] = decide_work_order,
	[LAYER_EXCLUSION] = decide_exclusion,
	[LAYER_ACCREDITATION] = decide_accreditation,
	[LAYER_CERTIFICATES] = decide_certificates,
	[LAYER_GATEWAYS] = decide_gateways,
	[LAYER_WINDOW] = decide_window,
};

/* The order they are asked in, which no answer depends on: what needs nothing of the sites'
 * policies is asked while these are fetched (look_up()). */
static const uint8_t turns[LAYER_COUNT] = { LAYER_PROVIDER, LAYER_GROUP, LAYER_CLASS,
	LAYER_AGREEMENT, LAYER_ACCREDITATION, LAYER_CERTIFICATES, LAYER_GATEWAYS, LAYER_WINDOW,
	LAYER_INITIATOR_SITE, LAYER_RESPONDER_SITE, LAYER_PERSON, LAYER_WORK_ORDER,
	LAYER_EXCLUSION };

/* A request that no layer may be asked about. */
static bool request_valid(const struct policy_request *request)
{
	return name_valid(request->from.site) && name_valid(request->from.host) &&
	       name_valid(request->to.site) && name_valid(request->to.host) &&
	       service_class_info(request->class) &&
	       protocol_port_valid(request->protocol, request->port) &&
	       request->duration_sec >= 0 && request->lease_sec <= LEASE_SEC_MAX &&
	       memchr(request->person, '\0', sizeof(request->person)) &&
	       (request->work_order[0] == '\0' || id_valid(request->work_order)) &&
	       !(request->traffic &&
	               (request->person[0] || request->work_order[0] || request->emergency));
}

/* Begins to look for the names in the three policies. They may be anywhere in memory, and most of
 * the time of a decision goes into waiting for it: so the steps of all look-ups go side by side,
 * each asking for what its next step reads. The last step for the sites is taken when their layer
 * is reached: until then their rules are on their way. */
static void look_up(struct question *question)
{
	const struct provider_policy *provider = question->facts->provider;

	for (int i = 0; provider && i < 2; i++) {
		provider_policy_want_site(provider, &question->sites[i]);
	}
	for (int step = 0; step < SITE_POLICY_LOOK_STEPS - 1; step++) {
		for (int i = 0; i < 2; i++) {
			struct side *side = &question->sides[i];

			if (side->policy) {
				site_policy_look(side->policy, &side->look, step);
			}
		}
	}
	for (int i = 0; provider && i < 2; i++) {
		question->sides[i].position =
		        provider_policy_position(provider, &question->sites[i]);
	}
}

void policy_decide_want(
        const struct policy_request *request, const struct provider_policy *provider)
{
	const char *const names[] = { request->from.site, request->to.site };

	for (size_t i = 0; provider && i < ARRAY_COUNT(names); i++) {
		struct name_key key = name_key(names[i]);

		provider_policy_want(provider, &key);
	}
}

static void prepare_side(struct question *question, enum grant_side at)
{
	const struct policy_facts *facts = question->facts;
	struct side *side = &question->sides[at];
	bool initiator = at == GRANT_INITIATOR;

	side->policy = initiator ? facts->initiator_policy : facts->responder_policy;
	side->own = initiator ? &question->request->from : &question->request->to;
	side->end = initiator ? &facts->initiator : &facts->responder;
	side->approved = decide_is_approved(question, &side->end->approval);
	side->position = INDEX_NONE;
	question->sites[at] = name_key(side->own->site);
	question->hosts[at] = name_key(side->own->host);
	side->look.own = &question->hosts[at];
	side->look.peer_site = &question->sites[initiator];
	side->look.peer = &question->hosts[initiator];
	side->look.outbound = initiator;
}

/* What more than one layer asks for. */
static void prepare(struct question *question)
{
	const struct policy_facts *facts = question->facts;

	question->begin = question->now;
	if (!is_foreign(question, LAYER_WINDOW) && facts->window.not_before > 0) {
		question->begin = facts->window.not_before;
	}
	question->start = question->now > question->begin ? question->now : question->begin;
	if (!facts->provider || is_foreign(question, LAYER_CLASS) ||
	        provider_policy_class_get(
	                facts->provider, question->request->class, &question->class) != 0) {
		question->class = (struct policy_class){ 0 };
	}
	prepare_side(question, GRANT_INITIATOR);
	prepare_side(question, GRANT_RESPONDER);
	look_up(question);
	question->decision->outage = !question->class.outage_never &&
	                             !(is_foreign(question, LAYER_INITIATOR_SITE) &&
	                                     is_foreign(question, LAYER_RESPONDER_SITE));
}

struct decision policy_decide(
        const struct policy_request *request, const struct policy_facts *facts, int64_t now)
{
	struct decision decision = { .duration_sec = GRANT_SEC_MAX,
		.lease_sec = LEASE_SEC_MAX,
		.group = "",
		.initiator_rule = "",
		.responder_rule = "" };
	struct question question = {
		.request = request, .facts = facts, .decision = &decision, .now = now
	};
	bool all = true, any = false, valid;

	site_policy_want(facts->initiator_policy);
	site_policy_want(facts->responder_policy);
	valid = request_valid(request);
	if (valid) {
		prepare(&question);
	}
	if (request->duration_sec > 0) {
		tighten(&decision, request->duration_sec, LEASE_SEC_MAX);
	}
	if (request->lease_sec > 0) {
		tighten(&decision, GRANT_SEC_MAX, request->lease_sec);
	}
	for (int i = 0; i < LAYER_COUNT; i++) {
		struct policy_layer_result *result = &decision.layers[turns[i]];

		if (is_foreign(&question, turns[i])) {
			result->reason = REASON_FOREIGN;
			continue;
		}
		result->consulted = true;
		if (valid) {
			layers[turns[i]](&question, result);
		} else {
			deny(result, REASON_REQUEST_MALFORMED, NULL);
		}
	}
	/* Who had no turn has said nothing, and denies. */
	for (int i = 0; i < LAYER_COUNT; i++) {
		bool asked = !(facts->foreign & LAYER_BIT(i));

		any = any || asked;
		all = all && (!asked || decision.layers[i].verdict == VERDICT_PERMIT);
	}
	decision.verdict = any && all && !question.conditional ? VERDICT_PERMIT : VERDICT_DENY;
	return decision;
}

enum policy_layer decision_denied_by(const struct decision *decision)
{
	for (int i = 0; i < LAYER_COUNT; i++) {
		if (decision->layers[i].consulted &&
		        decision->layers[i].verdict != VERDICT_PERMIT) {
			return (enum policy_layer)i;
		}
	}
	return LAYER_COUNT;
}

struct policy_live policy_live_of(const struct grant *grant)
{
	return (struct policy_live){ grant->initiator.site, grant->initiator.host,
		grant->responder.site, grant->responder.host, grant->class, grant->protocol,
		grant->port };
}
