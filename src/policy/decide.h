/*
 * The decision: may this connection be, now?
 *
 * Pure: values and `now` in, a value out, nothing allocated. The center calls it with all facts
 * before it makes a grant; each gateway calls it again with its own (protocol.md 2.3). Layers are
 * consulted in the order of enum policy_layer, all of them, so that an answer can name every
 * reason. What is not known is a no: a missing policy, an unknown state and a zeroed structure
 * deny, unless the caller marked the layer as another's to decide.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/limits.h"
#include "model/grant.h"
#include "model/host_ref.h"
#include "policy/provider_policy.h"
#include "policy/site_policy.h"

enum verdict { VERDICT_DENY = 0, VERDICT_PERMIT };

enum policy_layer {
	LAYER_PROVIDER,
	LAYER_GROUP,
	LAYER_CLASS,
	LAYER_INITIATOR_SITE,
	LAYER_RESPONDER_SITE,
	LAYER_ACCREDITATION,
	LAYER_CERTIFICATES,
	LAYER_GATEWAYS,
	LAYER_WINDOW,
	LAYER_COUNT,
};

#define LAYER_BIT(layer) (1U << (layer))
#define LAYERS_ALL ((1U << LAYER_COUNT) - 1)

/* What is asked. For the center what a person asks for; for a gateway what a grant says. */
struct policy_request {
	struct host_ref from, to;
	enum service_class class;
	enum protocol protocol;
	uint16_t port;
	int64_t duration_sec; /* 0: as long as is allowed; more than is allowed is denied */
	uint32_t lease_sec;   /* 0: as is allowed; more than is allowed is denied */
};

/* A yes that somebody had to find out. */
enum policy_fact {
	FACT_UNKNOWN = 0, /* denies */
	FACT_NO,          /* denies */
	FACT_YES,
	FACT_FOREIGN, /* another has to know this; a layer with nothing but these denies */
};

enum certificate_state {
	CERTIFICATE_UNKNOWN = 0,
	CERTIFICATE_VALID,
	CERTIFICATE_NOT_YET,
	CERTIFICATE_EXPIRED,
	CERTIFICATE_REVOKED,
	CERTIFICATE_SUSPENDED,
	CERTIFICATE_MISSING, /* there is none */
	CERTIFICATE_FOREIGN, /* as FACT_FOREIGN */
};

enum gateway_state {
	GATEWAY_UNKNOWN = 0,
	GATEWAY_OFFLINE,
	GATEWAY_NOT_READY, /* its data plane is not, or it is not delivered for use yet */
	GATEWAY_ONLINE,
};

struct policy_end_facts {
	enum certificate_state device, service; /* tier 1 and tier 2 certificate of the gateway */
	enum policy_fact maker_accredited;
	enum gateway_state gateway;
	enum policy_fact
	        behind_nat; /* unknown denies; both yes is refused; FOREIGN counts as unknown */
};

/* Where the connection must lie in time. Zero: not known. */
struct policy_window {
	int64_t not_before, not_after; /* microseconds of wall time */
};

struct policy_facts {
	unsigned foreign;                       /* LAYER_BIT()s of the layers another decides */
	const struct provider_policy *provider; /* borrowed; NULL: none active */
	const struct site_policy *initiator_policy, *responder_policy; /* likewise */
	enum policy_fact provider_accredited, device_ca_accredited, service_ca_accredited;
	struct policy_end_facts initiator, responder;
	struct policy_window window;
};

/* Why. Each belongs to one layer; names and sentences are in the table of explain.c. */
enum policy_reason {
	REASON_NONE = 0, /* not decided; denies */
	REASON_FOREIGN,  /* another's to decide */

	REASON_PROVIDER_OK,
	REASON_PROVIDER_POLICY_MISSING,
	REASON_REQUEST_MALFORMED, /* names, class, protocol or port are not of a valid request */
	REASON_SAME_SITE,
	REASON_INITIATOR_UNKNOWN,
	REASON_RESPONDER_UNKNOWN,

	REASON_GROUP_OK,
	REASON_GROUP_NONE,
	REASON_GROUP_CLASS,

	REASON_CLASS_OK,
	REASON_CLASS_NOT_OFFERED,
	REASON_CLASS_DURATION,
	REASON_CLASS_LEASE,

	REASON_SITE_OK,
	REASON_SITE_POLICY_MISSING,
	REASON_SITE_POLICY_FOREIGN, /* the policy given is another site's */
	REASON_SITE_HOST_UNKNOWN,
	REASON_SITE_HOST_ADDRESS, /* its service address is outside the site's prefix */
	REASON_SITE_NO_RULE,
	REASON_SITE_RULE_CLASS,
	REASON_SITE_RULE_PROTOCOL,
	REASON_SITE_RULE_PORT,
	REASON_SITE_DURATION,
	REASON_SITE_LEASE,

	REASON_ACCREDITATION_OK,
	REASON_ACCREDITATION_PROVIDER,
	REASON_ACCREDITATION_DEVICE_CA,
	REASON_ACCREDITATION_SERVICE_CA,
	REASON_ACCREDITATION_INITIATOR_MAKER,
	REASON_ACCREDITATION_RESPONDER_MAKER,
	REASON_ACCREDITATION_NOTHING, /* no part of it was known */

	REASON_CERTIFICATES_OK,
	REASON_CERTIFICATES_INITIATOR_DEVICE,
	REASON_CERTIFICATES_INITIATOR_SERVICE,
	REASON_CERTIFICATES_RESPONDER_DEVICE,
	REASON_CERTIFICATES_RESPONDER_SERVICE,
	REASON_CERTIFICATES_NOTHING,

	REASON_GATEWAYS_OK,
	REASON_GATEWAYS_INITIATOR,
	REASON_GATEWAYS_RESPONDER,
	REASON_GATEWAYS_NAT_UNKNOWN,
	REASON_GATEWAYS_BOTH_NAT,

	REASON_WINDOW_OK,
	REASON_WINDOW_MISSING,
	REASON_WINDOW_EARLY,
	REASON_WINDOW_OVER,
	REASON_WINDOW_LENGTH,   /* longer than GRANT_SEC_MAX */
	REASON_WINDOW_DURATION, /* what is asked for does not fit into it */

	REASON_COUNT,
};

#define POLICY_DETAIL_BYTES_MAX 80

struct policy_layer_result {
	bool consulted; /* false: another's (REASON_FOREIGN) */
	enum verdict verdict;
	enum policy_reason reason;
	char detail[POLICY_DETAIL_BYTES_MAX]; /* the thing: a rule, a group, a state, a limit; or ""
	                                       */
};

struct decision {
	enum verdict
	        verdict; /* permit only if every consulted layer permits and one was consulted */
	struct policy_layer_result layers[LAYER_COUNT];
	/* What holds of the connection. All zero or empty where nothing that was consulted says so;
	 * not to be used when the verdict is deny. */
	int64_t duration_sec; /* the least of request, class, rules, window and GRANT_SEC_MAX */
	uint32_t lease_sec;   /* the least of request, class, rules and LEASE_SEC_MAX */
	enum grant_side ike;  /* who starts IKE; decided by LAYER_GATEWAYS */
	uint64_t provider_version, initiator_version, responder_version;
	char group[NAME_BYTES_MAX + 1];
	char initiator_rule[NAME_BYTES_MAX + 1], responder_rule[NAME_BYTES_MAX + 1];
};

/* Decides at the time `now` (microseconds of wall time). Never fails: the answer is the value. A
 * window counts from CLOCK_SKEW_SEC_MAX before its start, never after its end. */
struct decision policy_decide(
        const struct policy_request *request, const struct policy_facts *facts, int64_t now);

/* The first layer that denies, or LAYER_COUNT. */
enum policy_layer decision_denied_by(const struct decision *decision);
