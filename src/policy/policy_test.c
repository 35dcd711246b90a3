#include "policy/policy_test.h"

#include <string.h>

#include "policy/decide.h"
#include "policy/explain.h"
#include "policy/provider_policy_impl.h"
#include "policy/site_policy_impl.h"

/* Adds "line 12: FAILED: expected permit: reason" for one test and counts it. */
static void count_test(const struct decision *decision, const struct policy_request *request,
        bool permit, unsigned line, struct policy_test_result *result, struct buf *report)
{
	bool passed = (decision->verdict == VERDICT_PERMIT) == permit;
	AUTO_BUF struct buf text = BUF(ERR_TEXT_BYTES_MAX - 1);
	enum policy_layer layer = decision_denied_by(decision);

	buf_add_format(&text, "line %u: %s%s", line, passed ? "ok: " : "FAILED: expected ",
	        permit ? "permit" : "deny");
	for (int i = 0; layer == LAYER_COUNT && i < LAYER_COUNT; i++) {
		if (decision->layers[i].consulted) {
			layer = (enum policy_layer)i;
		}
	}
	buf_add_text(&text, ": ");
	policy_reason_print(decision, layer, request, LANGUAGE_ENGLISH, &text);
	if (passed) {
		result->passed++;
	} else if (result->failed++ == 0) {
		err_set(&result->first_failed, 0, "%s", buf_text(&text));
	}
	if (report) {
		buf_add_format(report, "%s\n", buf_text(&text));
	}
}

static void set_name(char *out, const char *name)
{
	memcpy(out, name, strlen(name) + 1);
}

struct policy_test_result provider_policy_test_run(
        const struct provider_policy *policy, struct buf *report)
{
	struct policy_facts facts = {
		.foreign = LAYERS_ALL & ~(LAYER_BIT(LAYER_PROVIDER) | LAYER_BIT(LAYER_GROUP) |
		                                LAYER_BIT(LAYER_CLASS)),
		.provider = policy,
	};
	struct policy_test_result result = { 0 };

	for (size_t i = 0; i < policy->test_count; i++) {
		const struct provider_policy_test *test = &policy->tests[i];
		/* The provider's policy speaks of sites; any host and port stands for all. */
		struct policy_request request = { .class = test->class,
			.from.host = "host",
			.to.host = "host",
			.protocol = PROTOCOL_ICMP };
		struct decision decision;

		set_name(request.from.site, name_index_text(&policy->site_names, test->from));
		set_name(request.to.site, name_index_text(&policy->site_names, test->to));
		decision = policy_decide(&request, &facts, 0);
		count_test(&decision, &request, test->permit, test->line, &result, report);
	}
	return result;
}

/* --- tests of a site ----------------------------------------------------- */

/* A work order of a test: any will do, it is assumed to be as the test says. */
#define TEST_WORK_ORDER "00000000000000000000000000"

/* What the test assumes; `live` has room for one connection and is borrowed. */
static void assume(const struct site_policy *policy, const struct site_policy_test *test,
        struct policy_request *request, struct policy_facts *facts, struct policy_live *live)
{
	bool outbound;
	struct policy_end_facts *own, *peer;

	*request = (struct policy_request){ .class = test->class,
		.protocol = test->protocol,
		.port = test->port,
		.emergency = test->emergency,
		.traffic = test->traffic };
	if (!test->traffic) {
		set_name(request->person, "test");
	}
	set_name(request->from.site, name_index_text(&policy->names, test->sites[0]));
	set_name(request->from.host, name_index_text(&policy->names, test->hosts[0]));
	set_name(request->to.site, name_index_text(&policy->names, test->sites[1]));
	set_name(request->to.host, name_index_text(&policy->names, test->hosts[1]));
	outbound = strcmp(request->from.site, policy->site) == 0;
	*facts = (struct policy_facts){
		.foreign = LAYERS_ALL &
		           ~(LAYER_BIT(outbound ? LAYER_INITIATOR_SITE : LAYER_RESPONDER_SITE) |
		                   LAYER_BIT(LAYER_PERSON) | LAYER_BIT(LAYER_WORK_ORDER) |
		                   LAYER_BIT(LAYER_EXCLUSION)),
		.initiator_policy = outbound ? policy : NULL,
		.responder_policy = outbound ? NULL : policy,
		.person = { PERSON_ACTIVE, FACT_YES, FACT_YES, test->factor },
		.work_order = { WORK_ORDER_OPEN, NULL, FACT_YES },
	};
	own = outbound ? &facts->initiator : &facts->responder;
	peer = outbound ? &facts->responder : &facts->initiator;
	peer->posture = test->posture_current ? POSTURE_CURRENT : POSTURE_UNKNOWN;
	peer->beside.known = FACT_FOREIGN;
	own->approval.state = APPROVAL_NONE;
	if (test->approved) {
		set_name(request->work_order, TEST_WORK_ORDER);
		own->approval.state = APPROVAL_FOREIGN; /* given, and its time is not the test's */
	}
	own->beside = (struct policy_beside){ FACT_YES, live, test->beside != SERVICE_CLASS_NONE };
	*live = (struct policy_live){ request->from.site, request->from.host, request->to.site,
		request->to.host, test->beside, test->protocol, test->port };
}

/* Decides at the moments of a test (protocol.md 2.2): the one it names, else each that can differ;
 * a permit at any of them counts, so that a test that denies wants a denial at all. */
static struct decision decide_test(const struct site_policy *policy,
        const struct site_policy_test *test, const struct policy_request *request,
        const struct policy_facts *facts)
{
	int64_t at = test->timed ? test->at : hours_plain_monday(&policy->hours);
	struct decision decision = policy_decide(request, facts, at);

	for (size_t i = 0; !test->timed && decision.verdict != VERDICT_PERMIT &&
	                   hours_start_at(&policy->hours, i, &at);
	        i++) {
		decision = policy_decide(request, facts, at);
	}
	return decision;
}

struct policy_test_result site_policy_test_run(const struct site_policy *policy, struct buf *report)
{
	struct policy_test_result result = { 0 };

	for (size_t i = 0; i < policy->test_count; i++) {
		const struct site_policy_test *test = &policy->tests[i];
		struct policy_request request;
		struct policy_facts facts;
		struct policy_live live;
		struct decision decision;

		assume(policy, test, &request, &facts, &live);
		decision = decide_test(policy, test, &request, &facts);
		count_test(&decision, &request, test->permit, test->line, &result, report);
	}
	return result;
}
