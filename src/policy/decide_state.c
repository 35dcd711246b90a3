/* The layers of what the parts are worth now: accreditation, certificates, gateways, time. */
#include "policy/decide_impl.h"

void decide_accreditation(struct question *question, struct policy_layer_result *result)
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
		permit(result, REASON_ACCREDITATION_OK, NULL);
	} else {
		deny(result, REASON_ACCREDITATION_NOTHING, NULL);
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

void decide_certificates(struct question *question, struct policy_layer_result *result)
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
		permit(result, REASON_CERTIFICATES_OK, NULL);
	} else {
		deny(result, REASON_CERTIFICATES_NOTHING, NULL);
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

void decide_gateways(struct question *question, struct policy_layer_result *result)
{
	const struct policy_end_facts *initiator = &question->facts->initiator;
	const struct policy_end_facts *responder = &question->facts->responder;

	if (initiator->gateway != GATEWAY_ONLINE) {
		deny(result, REASON_GATEWAYS_INITIATOR, gateway_state_name(initiator->gateway));
	} else if (responder->gateway != GATEWAY_ONLINE) {
		deny(result, REASON_GATEWAYS_RESPONDER, gateway_state_name(responder->gateway));
	} else if (!fact_known(initiator->behind_nat) || !fact_known(responder->behind_nat)) {
		deny(result, REASON_GATEWAYS_NAT_UNKNOWN, NULL);
	} else if (initiator->behind_nat == FACT_YES && responder->behind_nat == FACT_YES) {
		deny(result, REASON_GATEWAYS_BOTH_NAT, NULL);
	} else {
		question->decision->ike =
		        responder->behind_nat == FACT_YES ? GRANT_RESPONDER : GRANT_INITIATOR;
		permit(result, REASON_GATEWAYS_OK, NULL);
	}
}

void decide_window(struct question *question, struct policy_layer_result *result)
{
	const struct policy_window *window = &question->facts->window;
	int64_t asked_sec = question->request->duration_sec;
	int64_t start, left_sec, length_sec;

	if (window->not_before <= 0 || window->not_after <= window->not_before) {
		deny(result, REASON_WINDOW_MISSING, NULL);
		return;
	}
	start = question->now > window->not_before ? question->now : window->not_before;
	left_sec = (window->not_after - start) / USEC_PER_SEC;
	/* Rounded up, as a gateway does with the length of a grant. */
	length_sec = (window->not_after - window->not_before + USEC_PER_SEC - 1) / USEC_PER_SEC;
	if (question->now < window->not_before - CLOCK_SKEW_SEC_MAX * USEC_PER_SEC) {
		deny_number(result, REASON_WINDOW_EARLY, DETAIL_TIME, NULL, window->not_before);
	} else if (question->now >= window->not_after || left_sec < 1) {
		deny_number(result, REASON_WINDOW_OVER, DETAIL_TIME, NULL, window->not_after);
	} else if (asked_sec > GRANT_SEC_MAX) {
		deny_number(result, REASON_WINDOW_LENGTH, DETAIL_LIMIT, NULL, GRANT_SEC_MAX);
	} else if (asked_sec > length_sec) {
		deny_number(result, REASON_WINDOW_DURATION, DETAIL_LIMIT, NULL, length_sec);
	} else {
		tighten(question->decision, left_sec, LEASE_SEC_MAX);
		permit(result, REASON_WINDOW_OK, NULL);
	}
}
