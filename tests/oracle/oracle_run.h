/*
 * What the oracle's layers and its choice of a rule share: one run of oracle_decide().
 */
#pragma once

#include "oracle.h"

#include <string.h>

#include "policy/decide.h"

#define USEC 1000000LL
#define DAY (24 * 3600LL)

struct choice {
	const struct oracle_rule *rule; /* that counts or came furthest */
	enum oracle_approval approval;
	int stage, factors;
	int64_t duration, lease, hours_end;
};

/* How far a rule came (2.2): the order of the page. */
enum stage {
	STAGE_NONE,
	STAGE_CLASS,
	STAGE_PROTOCOL,
	STAGE_PORT,
	STAGE_HOURS,
	STAGE_HOURS_END,
	STAGE_POSTURE,
	STAGE_TRAFFIC,
	STAGE_FACTOR,
	STAGE_CONCURRENCY,
	STAGE_APPROVAL,
	STAGE_DURATION,
	STAGE_LEASE,
	STAGE_HOLDS,
};

struct run {
	const struct oracle_case *the;
	const struct policy_request *request;
	const struct policy_facts *facts;
	struct choice choice[2];
	const struct oracle_class *class; /* of the provider, when its layer is asked */
	int64_t begin, from;              /* of the connection; from when on it counts */
	struct oracle_answer answer;
};

static inline bool asked(const struct run *run, int layer)
{
	return !(run->facts->foreign & LAYER_BIT(layer));
}

static inline const struct policy_end_facts *end_facts(const struct run *run, int side)
{
	return side == 0 ? &run->facts->initiator : &run->facts->responder;
}

static inline const struct host_ref *end_ref(const struct run *run, int side)
{
	return side == 0 ? &run->request->from : &run->request->to;
}

static inline bool same(const char *left, const char *right)
{
	return strcmp(left, right) == 0;
}

/* What is left until a moment, in whole seconds. */
static inline int64_t left_until(const struct run *run, int64_t moment)
{
	return moment > run->from ? (moment - run->from) / USEC : 0;
}

/* Whether what is asked for, which counts from the begin on, goes beyond a moment. */
static inline bool longer_than(const struct run *run, int64_t moment)
{
	return run->request->duration_sec > (moment - run->begin) / USEC;
}

static inline bool maintenance(const struct run *run)
{
	return run->request->class == SERVICE_REMOTE_MAINTENANCE;
}

/* Reason why the work order that is named is not open, or 0. */
int oracle_work_order_shut(const struct run *run);
/* Reason why a site has not approved, or 0. */
int oracle_approval_lacks(const struct run *run, int side);
/* Whether emergency may be used where a rule is for it. */
bool oracle_emergency_possible(const struct run *run);
/* Whether a rule of the side's site takes it away. */
bool oracle_refused(const struct run *run, int side);
/* The allow of the side's site that counts, or that came furthest. */
struct choice oracle_rule_choose(const struct run *run, int side);
