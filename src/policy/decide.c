#include "policy/decide.h"

#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "policy/policy_text.h"

struct question {
	const struct policy_request *request;
	const struct policy_facts *facts;
	int64_t now;
};

/* Everything that is named here fits; what did not would be cut. */
static void set_detail(struct policy_layer_result *result, const char *detail)
{
	size_t count = strlen(detail);

	count = count < sizeof(result->detail) ? count : sizeof(result->detail) - 1;
	memcpy(result->detail, detail, count);
	result->detail[count] = '\0';
}

/* The zero value of a result denies; a layer has to call permit() to do otherwise. */

static void permit(
        struct policy_layer_result *result, enum policy_reason reason, const char *detail)
{
	result->verdict = VERDICT_PERMIT;
	result->reason = reason;
	set_detail(result, detail);
}

static void deny(struct policy_layer_result *result, enum policy_reason reason, const char *detail)
{
	result->verdict = VERDICT_DENY;
	result->reason = reason;
	set_detail(result, detail);
}

/* A denial whose detail is a limit: "1h", or "ct-dicom: 1h". */
static void deny_limit(struct policy_layer_result *result, enum policy_reason reason,
        const char *rule, int64_t limit_sec)
{
	AUTO_BUF struct buf text = BUF(POLICY_DETAIL_BYTES_MAX);

	if (rule) {
		buf_add_format(&text, "%s: ", rule);
	}
	policy_duration_print(limit_sec, &text);
	deny(result, reason, buf_text(&text));
}

/* A name from a policy, at most NAME_BYTES_MAX. */
static void set_name(char *out, const char *name)
{
	memcpy(out, name, strlen(name) + 1);
}

static void tighten(struct decision *decision, int64_t duration_sec, uint32_t lease_sec)
{
	if (duration_sec < decision->duration_sec) {
		decision->duration_sec = duration_sec;
	}
	if (lease_sec < decision->lease_sec) {
		decision->lease_sec = lease_sec;
	}
}

static void decide_provider(const struct question *question, struct policy_layer_result *result,
        struct decision *decision)
{
	const struct policy_request *request = question->request;
	const struct provider_policy *policy = question->facts->provider;
	struct policy_site site;

	if (!policy) {
		deny(result, REASON_PROVIDER_POLICY_MISSING, "");
		return;
	}
	decision->provider_version = provider_policy_version(policy);
	if (strcmp(request->from.site, request->to.site) == 0) {
		deny(result, REASON_SAME_SITE, request->from.site);
	} else if (provider_policy_site_get(policy, request->from.site, &site) != 0) {
		deny(result, REASON_INITIATOR_UNKNOWN, request->from.site);
	} else if (provider_policy_site_get(policy, request->to.site, &site) != 0) {
		deny(result, REASON_RESPONDER_UNKNOWN, request->to.site);
	} else {
		permit(result, REASON_PROVIDER_OK, provider_policy_provider(policy));
	}
}

static void decide_group(const struct question *question, struct policy_layer_result *result,
        struct decision *decision)
{
	const struct policy_request *request = question->request;
	const char *group = NULL;

	if (!question->facts->provider) {
		deny(result, REASON_PROVIDER_POLICY_MISSING, "");
		return;
	}
	switch (provider_policy_group_find(question->facts->provider, request->from.site,
	        request->to.site, request->class, &group)) {
	case POLICY_GROUP_FOUND:
		set_name(decision->group, group);
		permit(result, REASON_GROUP_OK, group);
		break;
	case POLICY_GROUP_CLASSLESS:
		deny(result, REASON_GROUP_CLASS, group);
		break;
	case POLICY_GROUP_NONE:
		deny(result, REASON_GROUP_NONE, "");
		break;
	}
}

static void decide_class(const struct question *question, struct policy_layer_result *result,
        struct decision *decision)
{
	const struct policy_request *request = question->request;
	struct policy_class class;

	if (!question->facts->provider) {
		deny(result, REASON_PROVIDER_POLICY_MISSING, "");
	} else if (provider_policy_class_get(question->facts->provider, request->class, &class) !=
	           0) {
		deny(result, REASON_CLASS_NOT_OFFERED, "");
	} else if (request->duration_sec > class.duration_sec) {
		deny_limit(result, REASON_CLASS_DURATION, NULL, class.duration_sec);
	} else if (request->lease_sec > class.lease_sec) {
		deny_limit(result, REASON_CLASS_LEASE, NULL, class.lease_sec);
	} else {
		tighten(decision, class.duration_sec, class.lease_sec);
		permit(result, REASON_CLASS_OK, service_class_name(request->class));
	}
}

/* What the rules of the site say; its host is known and in its place. */
static void decide_rules(const struct question *question, const struct site_policy *policy,
        struct policy_layer_result *result, struct decision *decision, char *out_rule)
{
	static const enum policy_reason reasons[] = {
		[SITE_POLICY_NO_PAIR] = REASON_SITE_NO_RULE,
		[SITE_POLICY_OTHER_CLASS] = REASON_SITE_RULE_CLASS,
		[SITE_POLICY_OTHER_PROTOCOL] = REASON_SITE_RULE_PROTOCOL,
		[SITE_POLICY_OTHER_PORT] = REASON_SITE_RULE_PORT,
	};
	const struct policy_request *request = question->request;
	const struct site_policy_question asked = { &request->from, &request->to, request->class,
		request->protocol, request->port };
	struct site_policy_answer answer;
	enum site_policy_match match = site_policy_find(policy, &asked, &answer);

	if (match != SITE_POLICY_ALLOWED) {
		deny(result, reasons[match], answer.rule ? answer.rule : "");
	} else if (request->duration_sec > answer.duration_sec) {
		deny_limit(result, REASON_SITE_DURATION, answer.rule, answer.duration_sec);
	} else if (request->lease_sec > answer.lease_sec) {
		deny_limit(result, REASON_SITE_LEASE, answer.rule, answer.lease_sec);
	} else {
		tighten(decision, answer.duration_sec, answer.lease_sec);
		set_name(out_rule, answer.rule);
		permit(result, REASON_SITE_OK, answer.rule);
	}
}

static void decide_site(const struct question *question, bool initiator,
        struct policy_layer_result *result, struct decision *decision)
{
	const struct policy_facts *facts = question->facts;
	const struct site_policy *policy =
	        initiator ? facts->initiator_policy : facts->responder_policy;
	const struct host_ref *own = initiator ? &question->request->from : &question->request->to;
	struct policy_host host;

	if (!policy) {
		deny(result, REASON_SITE_POLICY_MISSING, own->site);
		return;
	}
	*(initiator ? &decision->initiator_version : &decision->responder_version) =
	        site_policy_version(policy);
	if (strcmp(site_policy_site(policy), own->site) != 0) {
		deny(result, REASON_SITE_POLICY_FOREIGN, site_policy_site(policy));
	} else if (site_policy_host_get(policy, own->host, &host) != 0) {
		deny(result, REASON_SITE_HOST_UNKNOWN, own->host);
	} else if (facts->provider &&
	           !provider_policy_site_contains(facts->provider, own->site, host.service)) {
		deny(result, REASON_SITE_HOST_ADDRESS, address_print(host.service).text);
	} else {
		decide_rules(question, policy, result, decision,
		        initiator ? decision->initiator_rule : decision->responder_rule);
	}
}

static void decide_initiator_site(const struct question *question,
        struct policy_layer_result *result, struct decision *decision)
{
	decide_site(question, true, result, decision);
}

static void decide_responder_site(const struct question *question,
        struct policy_layer_result *result, struct decision *decision)
{
	decide_site(question, false, result, decision);
}

static void decide_accreditation(const struct question *question,
        struct policy_layer_result *result, struct decision *decision)
{
	const struct policy_facts *facts = question->facts;
	const struct {
		enum policy_fact fact;
		enum policy_reason reason;
	} parts[] = {
		{ facts->provider_accredited, REASON_ACCREDITATION_PROVIDER },
		{ facts->device_ca_accredited, REASON_ACCREDITATION_DEVICE_CA },
		{ facts->service_ca_accredited, REASON_ACCREDITATION_SERVICE_CA },
		{ facts->initiator.maker_accredited, REASON_ACCREDITATION_INITIATOR_MAKER },
		{ facts->responder.maker_accredited, REASON_ACCREDITATION_RESPONDER_MAKER },
	};
	bool known = false;

	for (size_t i = 0; i < ARRAY_COUNT(parts); i++) {
		if (parts[i].fact == FACT_FOREIGN) {
			continue;
		}
		if (parts[i].fact != FACT_YES) {
			deny(result, parts[i].reason,
			        parts[i].fact == FACT_NO ? "not accredited" : "not known");
			return;
		}
		known = true;
	}
	if (known) {
		permit(result, REASON_ACCREDITATION_OK, "");
	} else {
		deny(result, REASON_ACCREDITATION_NOTHING, "");
	}
}

static const char *certificate_state_name(enum certificate_state state)
{
	switch (state) {
	case CERTIFICATE_VALID:
		return "valid";
	case CERTIFICATE_NOT_YET:
		return "not valid yet";
	case CERTIFICATE_EXPIRED:
		return "expired";
	case CERTIFICATE_REVOKED:
		return "revoked";
	case CERTIFICATE_SUSPENDED:
		return "suspended";
	case CERTIFICATE_MISSING:
		return "missing";
	case CERTIFICATE_UNKNOWN:
	case CERTIFICATE_FOREIGN:
		break;
	}
	return "not known";
}

static void decide_certificates(const struct question *question, struct policy_layer_result *result,
        struct decision *decision)
{
	const struct policy_facts *facts = question->facts;
	const struct {
		enum certificate_state state;
		enum policy_reason reason;
	} parts[] = {
		{ facts->initiator.device, REASON_CERTIFICATES_INITIATOR_DEVICE },
		{ facts->initiator.service, REASON_CERTIFICATES_INITIATOR_SERVICE },
		{ facts->responder.device, REASON_CERTIFICATES_RESPONDER_DEVICE },
		{ facts->responder.service, REASON_CERTIFICATES_RESPONDER_SERVICE },
	};
	bool known = false;

	for (size_t i = 0; i < ARRAY_COUNT(parts); i++) {
		if (parts[i].state == CERTIFICATE_FOREIGN) {
			continue;
		}
		if (parts[i].state != CERTIFICATE_VALID) {
			deny(result, parts[i].reason, certificate_state_name(parts[i].state));
			return;
		}
		known = true;
	}
	if (known) {
		permit(result, REASON_CERTIFICATES_OK, "");
	} else {
		deny(result, REASON_CERTIFICATES_NOTHING, "");
	}
}

static const char *gateway_state_name(enum gateway_state state)
{
	switch (state) {
	case GATEWAY_OFFLINE:
		return "offline";
	case GATEWAY_NOT_READY:
		return "not ready";
	case GATEWAY_ONLINE:
		return "online";
	case GATEWAY_UNKNOWN:
		break;
	}
	return "not known";
}

static bool fact_known(enum policy_fact fact)
{
	return fact == FACT_YES || fact == FACT_NO;
}

static void decide_gateways(const struct question *question, struct policy_layer_result *result,
        struct decision *decision)
{
	const struct policy_end_facts *initiator = &question->facts->initiator;
	const struct policy_end_facts *responder = &question->facts->responder;

	if (initiator->gateway != GATEWAY_ONLINE) {
		deny(result, REASON_GATEWAYS_INITIATOR, gateway_state_name(initiator->gateway));
	} else if (responder->gateway != GATEWAY_ONLINE) {
		deny(result, REASON_GATEWAYS_RESPONDER, gateway_state_name(responder->gateway));
	} else if (!fact_known(initiator->behind_nat) || !fact_known(responder->behind_nat)) {
		deny(result, REASON_GATEWAYS_NAT_UNKNOWN, "");
	} else if (initiator->behind_nat == FACT_YES && responder->behind_nat == FACT_YES) {
		deny(result, REASON_GATEWAYS_BOTH_NAT, "");
	} else {
		decision->ike =
		        responder->behind_nat == FACT_YES ? GRANT_RESPONDER : GRANT_INITIATOR;
		permit(result, REASON_GATEWAYS_OK, "");
	}
}

static void decide_window(const struct question *question, struct policy_layer_result *result,
        struct decision *decision)
{
	const struct policy_window *window = &question->facts->window;
	int64_t asked_sec = question->request->duration_sec;
	int64_t start, left_sec, length_sec;

	if (window->not_before <= 0 || window->not_after <= window->not_before) {
		deny(result, REASON_WINDOW_MISSING, "");
		return;
	}
	start = question->now > window->not_before ? question->now : window->not_before;
	left_sec = (window->not_after - start) / USEC_PER_SEC;
	/* Rounded up, as a gateway does with the length of a grant. */
	length_sec = (window->not_after - window->not_before + USEC_PER_SEC - 1) / USEC_PER_SEC;
	if (question->now < window->not_before - CLOCK_SKEW_SEC_MAX * USEC_PER_SEC) {
		deny(result, REASON_WINDOW_EARLY, time_print(window->not_before).text);
	} else if (question->now >= window->not_after || left_sec < 1) {
		deny(result, REASON_WINDOW_OVER, time_print(window->not_after).text);
	} else if (asked_sec > GRANT_SEC_MAX) {
		deny_limit(result, REASON_WINDOW_LENGTH, NULL, GRANT_SEC_MAX);
	} else if (asked_sec > length_sec) {
		deny_limit(result, REASON_WINDOW_DURATION, NULL, length_sec);
	} else {
		tighten(decision, left_sec, LEASE_SEC_MAX);
		permit(result, REASON_WINDOW_OK, "");
	}
}

/* In the order of enum policy_layer. A new layer is a row here, one in explain.c, its facts and
 * its reasons. */
static void (*const layers[LAYER_COUNT])(const struct question *question,
        struct policy_layer_result *result, struct decision *decision) = {
	[LAYER_PROVIDER] = decide_provider,
	[LAYER_GROUP] = decide_group,
	[LAYER_CLASS] = decide_class,
	[LAYER_INITIATOR_SITE] = decide_initiator_site,
	[LAYER_RESPONDER_SITE] = decide_responder_site,
	[LAYER_ACCREDITATION] = decide_accreditation,
	[LAYER_CERTIFICATES] = decide_certificates,
	[LAYER_GATEWAYS] = decide_gateways,
	[LAYER_WINDOW] = decide_window,
};

/* A request that no layer may be asked about. */
static bool request_valid(const struct policy_request *request)
{
	return name_valid(request->from.site) && name_valid(request->from.host) &&
	       name_valid(request->to.site) && name_valid(request->to.host) &&
	       service_class_info(request->class) &&
	       protocol_port_valid(request->protocol, request->port) &&
	       request->duration_sec >= 0 && request->lease_sec <= LEASE_SEC_MAX;
}

struct decision policy_decide(
        const struct policy_request *request, const struct policy_facts *facts, int64_t now)
{
	struct decision decision = { .duration_sec = GRANT_SEC_MAX, .lease_sec = LEASE_SEC_MAX };
	const struct question question = { request, facts, now };
	bool valid = request_valid(request);
	bool all = true, any = false;

	if (request->duration_sec > 0) {
		tighten(&decision, request->duration_sec, LEASE_SEC_MAX);
	}
	if (request->lease_sec > 0) {
		tighten(&decision, GRANT_SEC_MAX, request->lease_sec);
	}
	for (int i = 0; i < LAYER_COUNT; i++) {
		struct policy_layer_result *result = &decision.layers[i];

		if (facts->foreign & LAYER_BIT(i)) {
			result->reason = REASON_FOREIGN;
			continue;
		}
		result->consulted = true;
		if (valid) {
			layers[i](&question, result, &decision);
		} else {
			deny(result, REASON_REQUEST_MALFORMED, "");
		}
		any = true;
		all = all && result->verdict == VERDICT_PERMIT;
	}
	decision.verdict = any && all ? VERDICT_PERMIT : VERDICT_DENY;
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
