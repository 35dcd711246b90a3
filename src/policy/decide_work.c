/* The layers of who works for what: person, work order, exclusion. */
#include <string.h>

#include "policy/decide_impl.h"

/* An approval that holds the connection, or whose time is another's to know. */
bool decide_is_approved(const struct question *question, const struct policy_approval *approval)
{
	if (is_foreign(question, LAYER_WORK_ORDER)) {
		return true;
	}
	if (question->request->work_order[0] == '\0') {
		return false;
	}
	return approval->state == APPROVAL_FOREIGN ||
	       (approval->state == APPROVAL_GIVEN && approval->window.not_before > 0 &&
	               approval->window.not_before <= question->begin &&
	               fit_before(question, approval->window.not_after) == FIT_GOOD);
}

bool decide_emergency_holds(const struct question *question)
{
	return is_foreign(question, LAYER_WORK_ORDER) ||
	       (question->request->emergency &&
	               fact_yes(question->facts->work_order.emergency_allowed));
}

/* Nobody is named: only where every rule is standing and content with the gateway's certificate. */
static void decide_nobody(struct question *question, struct policy_layer_result *result)
{
	const struct policy_request *request = question->request;

	if (request->class == SERVICE_REMOTE_MAINTENANCE || request->emergency ||
	        request->work_order[0] != '\0' || question->class.factor_two) {
		deny(result, REASON_PERSON_NOBODY, NULL);
		return;
	}
	for (int i = 0; i < 2; i++) {
		const struct side *side = &question->sides[i];

		if (side->has_rule && (side->answer.approval != APPROVAL_STANDING ||
		                              side->answer.factor > FACTOR_ONE)) {
			result->of_initiator = i == GRANT_INITIATOR;
			deny(result, REASON_PERSON_NOBODY, side->answer.rule);
			return;
		}
	}
	permit(result, REASON_PERSON_NOBODY_OK, NULL);
}

/* The factors that rules and class want of a person who may ask otherwise. */
static void decide_factors(struct question *question, struct policy_layer_result *result)
{
	enum policy_factor given = question->facts->person.factor;

	for (int i = 0; i < 2; i++) {
		const struct side *side = &question->sides[i];

		if (side->has_rule && given < side->answer.factor) {
			result->of_initiator = i == GRANT_INITIATOR;
			deny(result, REASON_PERSON_FACTOR, side->answer.rule);
			return;
		}
	}
	if (given < FACTOR_ONE || (question->class.factor_two && given < FACTOR_TWO)) {
		deny(result, REASON_PERSON_FACTOR, NULL);
		return;
	}
	permit(result, REASON_PERSON_OK, NULL);
}

void decide_person(struct question *question, struct policy_layer_result *result)
{
	const struct policy_person *person = &question->facts->person;

	if (question->request->person[0] == '\0') {
		decide_nobody(question, result);
	} else if (person->state == PERSON_UNREGISTERED) {
		deny(result, REASON_PERSON_UNREGISTERED, NULL);
	} else if (person->state == PERSON_INACTIVE) {
		deny(result, REASON_PERSON_INACTIVE, NULL);
	} else if (person->state != PERSON_ACTIVE) {
		deny(result, REASON_PERSON_UNKNOWN, NULL);
	} else if (!fact_yes(person->of_organization)) {
		deny(result, REASON_PERSON_ORGANIZATION, NULL);
	} else if (!fact_yes(person->role_allows)) {
		deny(result, REASON_PERSON_ROLE, NULL);
	} else {
		decide_factors(question, result);
	}
}

/* Why the site's approval does not hold; decide_is_approved() said so. */
static void deny_approval(const struct question *question, const struct policy_approval *approval,
        struct policy_layer_result *result)
{
	const struct policy_window *window = &approval->window;

	switch (approval->state) {
	case APPROVAL_NONE:
		deny(result, REASON_WORK_ORDER_APPROVAL_NONE, NULL);
		return;
	case APPROVAL_REFUSED:
		deny(result, REASON_WORK_ORDER_APPROVAL_REFUSED, NULL);
		return;
	case APPROVAL_INVALID:
		deny(result, REASON_WORK_ORDER_APPROVAL_INVALID, NULL);
		return;
	case APPROVAL_GIVEN:
		break;
	case APPROVAL_UNKNOWN:
	case APPROVAL_FOREIGN:
	default:
		deny(result, REASON_WORK_ORDER_APPROVAL_UNKNOWN, NULL);
		return;
	}
	if (window->not_before <= 0) {
		deny(result, REASON_WORK_ORDER_APPROVAL_UNKNOWN, NULL);
	} else if (window->not_before > question->begin) {
		deny_number(result, REASON_WORK_ORDER_APPROVAL_EARLY, DETAIL_TIME, NULL,
		        window->not_before);
	} else {
		deny_number(result,
		        fit_before(question, window->not_after) == FIT_OVER
		                ? REASON_WORK_ORDER_APPROVAL_OVER
		                : REASON_WORK_ORDER_APPROVAL_DURATION,
		        DETAIL_TIME, NULL, window->not_after);
	}
}

/* Why the rule of a site that wants an approval does not have what it wants. */
static void deny_side(const struct question *question, const struct side *side,
        struct policy_layer_result *result)
{
	if (side->answer.approval == APPROVAL_EMERGENCY) {
		deny(result,
		        question->request->emergency ? REASON_WORK_ORDER_EMERGENCY_REVIEW
		                                     : REASON_WORK_ORDER_EMERGENCY_ONLY,
		        side->answer.rule);
	} else if (question->request->work_order[0] != '\0') {
		deny_approval(question, &side->end->approval, result);
	} else {
		deny(result,
		        question->request->emergency ? REASON_WORK_ORDER_EMERGENCY_RULE
		                                     : REASON_WORK_ORDER_NOT_NAMED,
		        side->answer.rule);
	}
}

/* The work order that is named, whoever wants one. False: denied. */
static bool check_work_order(const struct question *question, struct policy_layer_result *result)
{
	const struct policy_work_order *order = &question->facts->work_order;

	if (question->request->work_order[0] == '\0') {
		return true;
	}
	switch (order->state) {
	case WORK_ORDER_OPEN:
	case WORK_ORDER_FOREIGN:
		return true;
	case WORK_ORDER_MISSING:
		deny(result, REASON_WORK_ORDER_MISSING, NULL);
		return false;
	case WORK_ORDER_OTHER_WORKER:
		deny(result, REASON_WORK_ORDER_WORKER, NULL);
		return false;
	case WORK_ORDER_OTHER_TARGET:
		deny(result, REASON_WORK_ORDER_TARGET, NULL);
		return false;
	case WORK_ORDER_NOT_OPEN:
		deny(result, REASON_WORK_ORDER_NOT_OPEN, order->status);
		return false;
	case WORK_ORDER_UNKNOWN:
		break;
	}
	deny(result, REASON_WORK_ORDER_UNKNOWN, NULL);
	return false;
}

void decide_work_order(struct question *question, struct policy_layer_result *result)
{
	enum policy_reason reason = REASON_WORK_ORDER_NONE_NEEDED;

	if (!check_work_order(question, result)) {
		return;
	}
	for (int i = 0; i < 2; i++) {
		const struct side *side = &question->sides[i];

		if (!side->has_rule || side->answer.approval == APPROVAL_STANDING) {
			continue;
		}
		result->of_initiator = i == GRANT_INITIATOR;
		if (side->answer.approval == APPROVAL_EMERGENCY ? !decide_emergency_holds(question)
		                                                : !side->approved) {
			deny_side(question, side, result);
			return;
		}
		if (side->answer.approval == APPROVAL_EMERGENCY) {
			reason = REASON_WORK_ORDER_EMERGENCY_OK;
		} else {
			reason = reason == REASON_WORK_ORDER_NONE_NEEDED ? REASON_WORK_ORDER_OK
			                                                 : reason;
			if (side->end->approval.state == APPROVAL_GIVEN) {
				tighten_until(question, side->end->approval.window.not_after);
			}
		}
	}
	permit(result, reason, NULL);
}

/* The other host of a live connection's end at this site, or NULL when it is none of its. */
static const char *live_host(const struct policy_live *live, const char *site)
{
	if (strcmp(live->from_site, site) == 0) {
		return live->from_host;
	}
	return strcmp(live->to_site, site) == 0 ? live->to_host : NULL;
}

static enum policy_zone host_zone(const struct side *side, const char *name)
{
	struct policy_host host;

	return side->policy && site_policy_host_get(side->policy, name, &host) == 0 ? host.zone
	                                                                            : ZONE_NONE;
}

/* The live connection whose class excludes what is asked at this end (protocol.md 2.4), or NULL. */
static const struct policy_live *find_excluding(
        const struct question *question, const struct side *side)
{
	const struct policy_beside *beside = &side->end->beside;
	enum policy_zone zone = ZONE_NONE;

	for (size_t i = 0; i < beside->count; i++) {
		const struct policy_live *live = &beside->live[i];
		const char *host;

		if (!policy_classes_exclude(
		            question->facts->provider, question->request->class, live->class) ||
		        !(host = live_host(live, side->own->site))) {
			continue;
		}
		if (strcmp(host, side->own->host) == 0) {
			return live;
		}
		zone = host_zone(side, side->own->host);
		if (zone != ZONE_NONE && host_zone(side, host) == zone) {
			return live;
		}
	}
	return NULL;
}

void decide_exclusion(struct question *question, struct policy_layer_result *result)
{
	bool known = false;

	for (int i = 0; i < 2; i++) {
		const struct side *side = &question->sides[i];
		const struct policy_live *live;

		result->of_initiator = i == GRANT_INITIATOR;
		if (side->end->beside.known == FACT_FOREIGN) {
			continue;
		}
		if (side->end->beside.known != FACT_YES) {
			deny(result, REASON_EXCLUSION_UNKNOWN, NULL);
			return;
		}
		known = true;
		live = find_excluding(question, side);
		if (live) {
			deny(result, REASON_EXCLUSION_CLASS, service_class_name(live->class));
			return;
		}
		if (side->match == SITE_POLICY_CONCURRENCY) {
			deny_number(result, REASON_EXCLUSION_RULE, DETAIL_COUNT, side->answer.rule,
			        side->answer.concurrency);
			return;
		}
	}
	if (known) {
		permit(result, REASON_EXCLUSION_OK, NULL);
	} else {
		deny(result, REASON_EXCLUSION_NOTHING, NULL);
	}
}
