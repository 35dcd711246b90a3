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
	LAYER_AGREEMENT,
	LAYER_INITIATOR_SITE,
	LAYER_RESPONDER_SITE,
	LAYER_PERSON,
	LAYER_WORK_ORDER,
	LAYER_EXCLUSION,
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
	char person[PERSON_BYTES_MAX + 1]; /* who asks; "": nobody, the gateway itself */
	char work_order[ID_BYTES_MAX + 1]; /* or "" */
	bool emergency;
	bool traffic; /* a first packet asks: nobody, and for no work */
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

/* Whether the gateway of an end runs what is supported now. Asked for by rules of the other end. */
enum policy_posture {
	POSTURE_UNKNOWN = 0, /* not enough where a rule wants "current" */
	POSTURE_OUTDATED,    /* likewise */
	POSTURE_CURRENT,
	POSTURE_FOREIGN, /* another's to know: enough */
};

/* What is live at the site of an end besides this connection, which is never in the list itself.
 * Connections of other sites in the list do not count, so both ends may have the same one. */
struct policy_beside {
	enum policy_fact known;         /* YES or FOREIGN (another's site); else it denies */
	const struct policy_live *live; /* borrowed */
	size_t count;
};

/* What the approvers of one site said of the work order of the request. Only looked at where a
 * rule of that site wants an approval. Whoever says GIVEN has checked seal, worker and target. */
enum policy_approval_state {
	APPROVAL_UNKNOWN = 0,
	APPROVAL_NONE,    /* none of the site's approvers has signed it */
	APPROVAL_REFUSED, /* one of them has refused it */
	APPROVAL_INVALID, /* signed, but by the worker, by a former approver or for something else
	                   */
	APPROVAL_GIVEN,
	APPROVAL_FOREIGN, /* another's to know: enough */
};

/* Where something lies in time. Zero: not known. */
struct policy_window {
	int64_t not_before, not_after; /* microseconds of wall time */
};

struct policy_approval {
	enum policy_approval_state state;
	struct policy_window window; /* with GIVEN: the approver's, which holds the connection */
};

struct policy_end_facts {
	enum certificate_state device, service; /* tier 1 and tier 2 certificate of the gateway */
	enum policy_fact maker_accredited;
	enum gateway_state gateway;
	enum policy_fact
	        behind_nat; /* unknown denies; both yes is refused; FOREIGN counts as unknown */
	enum policy_posture posture;
	struct policy_beside beside;
	struct policy_approval approval;
};

/* The agreement that covers class, hosts, protocol and port now; or the one that comes closest, and
 * what it lacks. */
enum policy_agreement_state {
	AGREEMENT_UNKNOWN = 0,
	AGREEMENT_SAME_ORGANIZATION, /* none is needed */
	AGREEMENT_IN_FORCE,
	AGREEMENT_NONE,           /* the two organizations have none */
	AGREEMENT_CLASS,          /* not for this class */
	AGREEMENT_HOSTS,          /* not for these hosts */
	AGREEMENT_SERVICE,        /* not for this protocol and port */
	AGREEMENT_INCOMPLETE,     /* a clause is missing */
	AGREEMENT_UNSIGNED,       /* a party has not signed */
	AGREEMENT_NOT_YET,        /* begins later */
	AGREEMENT_OVER,           /* its time is over */
	AGREEMENT_ENDED,          /* a party has ended it */
	AGREEMENT_UNACKNOWLEDGED, /* the initiator's side has not acknowledged the other's policy
	                             (H11) */
};

struct policy_agreement {
	enum policy_agreement_state state;
	const char *name;  /* borrowed; NULL where there is none */
	int64_t not_after; /* of one IN_FORCE, microseconds of wall time; 0: no end */
};

enum policy_person_state {
	PERSON_UNKNOWN = 0,
	PERSON_UNREGISTERED,
	PERSON_INACTIVE, /* has left, or is locked */
	PERSON_ACTIVE,
};

/* Who asks; not looked at where the request names nobody. */
struct policy_person {
	enum policy_person_state state;
	enum policy_fact of_organization; /* of the initiator site's organization */
	enum policy_fact role_allows;     /* has a role that may request the class */
	enum policy_factor factor;        /* by how many factors the session was opened */
};

enum policy_work_order_state {
	WORK_ORDER_UNKNOWN = 0,
	WORK_ORDER_MISSING,      /* there is none with this id */
	WORK_ORDER_OTHER_WORKER, /* it is another person's */
	WORK_ORDER_OTHER_TARGET, /* hosts, protocol or port are not among its targets */
	WORK_ORDER_NOT_OPEN,     /* neither approved nor working: see `status` */
	WORK_ORDER_OPEN,
	WORK_ORDER_FOREIGN, /* another's to know: enough */
};

/* The work order that the request names; `state` is not looked at when it names none. */
struct policy_work_order {
	enum policy_work_order_state state;
	const char *status; /* borrowed: "applied", "ended", …; may be NULL */
	/* No review of an earlier emergency is overdue, so another one may begin. Only looked at
	 * when `emergency` is asked for. */
	enum policy_fact emergency_allowed;
};

struct policy_facts {
	unsigned foreign;                       /* LAYER_BIT()s of the layers another decides */
	const struct provider_policy *provider; /* borrowed; NULL: none active */
	const struct site_policy *initiator_policy, *responder_policy; /* likewise */
	enum policy_fact provider_accredited, device_ca_accredited, service_ca_accredited;
	struct policy_end_facts initiator, responder;
	struct policy_agreement agreement;
	struct policy_person person;
	struct policy_work_order work_order;
	struct policy_window window; /* where the connection must lie in time */
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

	REASON_AGREEMENT_OK,
	REASON_AGREEMENT_SAME_ORGANIZATION,
	REASON_AGREEMENT_UNKNOWN,
	REASON_AGREEMENT_NONE,
	REASON_AGREEMENT_CLASS,
	REASON_AGREEMENT_HOSTS,
	REASON_AGREEMENT_SERVICE,
	REASON_AGREEMENT_INCOMPLETE,
	REASON_AGREEMENT_UNSIGNED,
	REASON_AGREEMENT_NOT_YET,
	REASON_AGREEMENT_OVER,
	REASON_AGREEMENT_ENDED,
	REASON_AGREEMENT_UNACKNOWLEDGED,
	REASON_AGREEMENT_DURATION, /* what is asked for goes beyond its end */

	REASON_SITE_OK,
	REASON_SITE_RULE_CONDITIONAL, /* a rule has it; a later layer says which condition fails */
	REASON_SITE_POLICY_MISSING,
	REASON_SITE_POLICY_FOREIGN, /* the policy given is another site's */
	REASON_SITE_HOST_UNKNOWN,
	REASON_SITE_HOST_ADDRESS, /* its service address is outside the site's prefix */
	REASON_SITE_HSZ,          /* a host of the HSZ, and not remote maintenance (F1) */
	REASON_SITE_REFUSED,      /* a rule refuses it */
	REASON_SITE_NO_RULE,
	REASON_SITE_RULE_CLASS,
	REASON_SITE_RULE_PROTOCOL,
	REASON_SITE_RULE_PORT,
	REASON_SITE_RULE_HOURS,     /* outside the rule's hours */
	REASON_SITE_RULE_HOURS_END, /* what is asked for goes beyond their end */
	REASON_SITE_RULE_POSTURE,
	REASON_SITE_RULE_TRAFFIC, /* opens on request only */
	REASON_SITE_DURATION,
	REASON_SITE_LEASE,

	REASON_PERSON_OK,
	REASON_PERSON_NOBODY_OK, /* the gateway itself asks, and may */
	REASON_PERSON_NOBODY,    /* a person has to be named */
	REASON_PERSON_UNKNOWN,
	REASON_PERSON_UNREGISTERED,
	REASON_PERSON_INACTIVE,
	REASON_PERSON_ORGANIZATION,
	REASON_PERSON_ROLE,
	REASON_PERSON_FACTOR, /* fewer factors than a rule or the class wants */

	REASON_WORK_ORDER_NONE_NEEDED,
	REASON_WORK_ORDER_OK,
	REASON_WORK_ORDER_EMERGENCY_OK,
	REASON_WORK_ORDER_NOT_NAMED, /* a rule wants an approved one */
	REASON_WORK_ORDER_UNKNOWN,
	REASON_WORK_ORDER_MISSING,
	REASON_WORK_ORDER_WORKER,
	REASON_WORK_ORDER_TARGET,
	REASON_WORK_ORDER_NOT_OPEN,
	REASON_WORK_ORDER_EMERGENCY_REVIEW, /* the review of an earlier emergency is overdue */
	REASON_WORK_ORDER_EMERGENCY_RULE,   /* the rule is not for emergencies */
	REASON_WORK_ORDER_EMERGENCY_ONLY,   /* the rule is for nothing else */
	REASON_WORK_ORDER_APPROVAL_UNKNOWN,
	REASON_WORK_ORDER_APPROVAL_NONE,
	REASON_WORK_ORDER_APPROVAL_REFUSED,
	REASON_WORK_ORDER_APPROVAL_INVALID,
	REASON_WORK_ORDER_APPROVAL_EARLY,
	REASON_WORK_ORDER_APPROVAL_OVER,
	REASON_WORK_ORDER_APPROVAL_DURATION, /* what is asked for goes beyond the approval */

	REASON_EXCLUSION_OK,
	REASON_EXCLUSION_UNKNOWN,
	REASON_EXCLUSION_CLASS,   /* a class that excludes this one is live at a site (F4) */
	REASON_EXCLUSION_RULE,    /* as many connections of a rule as it allows are live */
	REASON_EXCLUSION_NOTHING, /* of neither site is known what is live */

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

/* The thing of a reason: a rule, a group, a state, a limit; or nothing. */
enum policy_detail_kind {
	DETAIL_NONE = 0,
	DETAIL_TEXT,  /* text */
	DETAIL_LIMIT, /* number of seconds; text is the rule it stands in, or NULL */
	DETAIL_TIME,  /* number: microseconds of wall time */
	DETAIL_NEXT, /* the same in the time zone of `zone_sec`, when hours begin; text is a rule */
	DETAIL_UNTIL, /* likewise, when they end */
	DETAIL_COUNT, /* number; text is a rule */
};

struct policy_layer_result {
	bool consulted;    /* false: another's (REASON_FOREIGN) */
	bool of_initiator; /* of the two sites it could be about, it is the initiator's */
	enum verdict verdict;
	enum policy_reason reason;
	enum policy_detail_kind kind;
	int32_t zone_sec; /* of DETAIL_NEXT and DETAIL_UNTIL */
	const char *text; /* borrowed from policies, facts or static; or NULL */
	int64_t number;
};

/* What is borrowed is of the policies and facts the decision was made with: a decision is not to be
 * read after them. */
struct decision {
	enum verdict
	        verdict; /* permit only if every consulted layer permits and one was consulted */
	struct policy_layer_result layers[LAYER_COUNT];
	/* What holds of the connection. All zero or empty where nothing that was consulted says so;
	 * not to be used when the verdict is deny. */
	int64_t duration_sec; /* the least of request, class, agreement, rules, hours, approvals,
	                         window and GRANT_SEC_MAX */
	uint32_t lease_sec;   /* the least of request, class, rules and LEASE_SEC_MAX */
	enum grant_side ike;  /* who starts IKE; decided by LAYER_GATEWAYS */
	uint64_t provider_version, initiator_version, responder_version;
	const char *group;                           /* borrowed; "" where none */
	const char *initiator_rule, *responder_rule; /* likewise */
	uint32_t idle_sec;                           /* the least that a rule says; 0: no limit */
	bool outage;         /* each rule that was consulted survives an outage and the class may */
	bool emergency;      /* opened by an emergency rule */
	uint32_t review_sec; /* then: the time for its review, the least of the rules */
};

/* Decides at the time `now` (microseconds of wall time). Never fails: the answer is the value. A
 * window counts from CLOCK_SKEW_SEC_MAX before its start, never after its end. */
struct decision policy_decide(
        const struct policy_request *request, const struct policy_facts *facts, int64_t now);

/* Asks for the memory that policy_decide() reads first, and changes nothing: a decision mostly
 * waits for memory, so whoever looks for facts meanwhile calls this before, and site_policy_want()
 * as soon as a site's policy is known. `provider` may be NULL. */
void policy_decide_want(
        const struct policy_request *request, const struct provider_policy *provider);

/* The first layer that denies, or LAYER_COUNT. */
enum policy_layer decision_denied_by(const struct decision *decision);

/* A live connection as policies see it; borrows from the grant. */
struct policy_live policy_live_of(const struct grant *grant);
