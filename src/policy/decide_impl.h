/*
 * What the files decide*.c share: a question with what several layers ask of it, and how a layer
 * answers. Nothing here is for others.
 */
#pragma once

#include "base/clock.h"
#include "policy/decide.h"

/* One side's word, as its rules have it. */
struct side {
	const struct site_policy *policy;
	const struct host_ref *own;
	const struct policy_end_facts *end;
	struct site_policy_look look;
	uint32_t position; /* of the site in the provider's policy, or INDEX_NONE */
	enum site_policy_match match;
	struct site_policy_answer answer;
	bool has_rule; /* one went along at least as far as the factors: `answer` has its words */
	bool approved;
};

struct question {
	const struct policy_request *request;
	const struct policy_facts *facts;
	struct decision *decision;
	int64_t now;
	int64_t begin;             /* of the connection: of its window, or now */
	int64_t start;             /* from when on time is left: the later of the two */
	struct policy_class class; /* what the provider says of it; zero where nobody knows */
	struct name_key sites[2], hosts[2]; /* the names that are asked about */
	struct side sides[2];               /* by enum grant_side */
	bool conditional; /* a site permits only if a later layer does not deny: it does */
};

static inline bool is_foreign(const struct question *question, enum policy_layer layer)
{
	return question->facts->foreign & LAYER_BIT(layer);
}

/* The zero value of a result denies; a layer has to call permit() to do otherwise. */

static inline void permit(
        struct policy_layer_result *result, enum policy_reason reason, const char *detail)
{
	result->verdict = VERDICT_PERMIT;
	result->reason = reason;
	result->kind = detail ? DETAIL_TEXT : DETAIL_NONE;
	result->text = detail;
}

static inline void deny(
        struct policy_layer_result *result, enum policy_reason reason, const char *detail)
{
	result->verdict = VERDICT_DENY;
	result->reason = reason;
	result->kind = detail ? DETAIL_TEXT : DETAIL_NONE;
	result->text = detail;
}

/* A denial whose detail is a number: "1h", or "ct-dicom: 1h". */
static inline void deny_number(struct policy_layer_result *result, enum policy_reason reason,
        enum policy_detail_kind kind, const char *rule, int64_t number)
{
	deny(result, reason, rule);
	result->kind = kind;
	result->number = number;
}

static inline void tighten(struct decision *decision, int64_t duration_sec, uint32_t lease_sec)
{
	if (duration_sec < decision->duration_sec) {
		decision->duration_sec = duration_sec;
	}
	if (lease_sec < decision->lease_sec) {
		decision->lease_sec = lease_sec;
	}
}

/* The least of those that are not 0. */
static inline uint32_t least(uint32_t left, uint32_t right)
{
	return left == 0 || (right != 0 && right < left) ? right : left;
}

/* How a connection lies before an end: what was asked for has to fit, and a second has to be left.
 * Only whole seconds count. */
enum fit { FIT_OVER, FIT_LONGER, FIT_GOOD };

static inline enum fit fit_before(const struct question *question, int64_t end)
{
	if (end - question->start < USEC_PER_SEC) {
		return FIT_OVER;
	}
	return question->request->duration_sec > (end - question->begin) / USEC_PER_SEC ? FIT_LONGER
	                                                                                : FIT_GOOD;
}

static inline void tighten_until(struct question *question, int64_t end)
{
	tighten(question->decision, (end - question->start) / USEC_PER_SEC, LEASE_SEC_MAX);
}

/* A yes, or not ours to say. */
static inline bool fact_yes(enum policy_fact fact)
{
	return fact == FACT_YES || fact == FACT_FOREIGN;
}

/* In decide_work.c: conditions of rules that the layers there decide about. */
bool decide_is_approved(const struct question *question, const struct policy_approval *approval);
bool decide_emergency_holds(const struct question *question);

/* A layer: reports in `result`, which denies until permit() is called, and tightens the decision.
 */
typedef void decide_layer(struct question *question, struct policy_layer_result *result);

decide_layer decide_person, decide_work_order, decide_exclusion;         /* decide_work.c */
decide_layer decide_accreditation, decide_certificates, decide_gateways; /* decide_state.c */
decide_layer decide_window;
