#include "policy/policy_test.h"

#include <string.h>

#include "policy/decide.h"
#include "policy/explain.h"
#include "policy/provider_policy_impl.h"
#include "policy/site_policy_impl.h"

/* Adds "line 12: FAILED: expected permit: reason" for one test and counts it. */
static void count_test(const struct policy_request *request, const struct policy_facts *facts,
        bool permit, unsigned line, struct policy_test_result *result, struct buf *report)
{
	struct decision decision = policy_decide(request, facts, 0);
	bool passed = (decision.verdict == VERDICT_PERMIT) == permit;
	AUTO_BUF struct buf text = BUF(ERR_TEXT_BYTES_MAX - 1);
	enum policy_layer layer = decision_denied_by(&decision);

	buf_add_format(&text, "line %u: %s%s", line, passed ? "ok: " : "FAILED: expected ",
	        permit ? "permit" : "deny");
	for (int i = 0; layer == LAYER_COUNT && i < LAYER_COUNT; i++) {
		if (decision.layers[i].consulted) {
			layer = (enum policy_layer)i;
		}
	}
	buf_add_text(&text, ": ");
	policy_reason_print(&decision, layer, request, LANGUAGE_ENGLISH, &text);
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

		set_name(request.from.site,
		        name_index_text(&policy->names, policy->sites[test->from].name));
		set_name(request.to.site,
		        name_index_text(&policy->names, policy->sites[test->to].name));
		count_test(&request, &facts, test->permit, test->line, &result, report);
	}
	return result;
}

struct policy_test_result site_policy_test_run(const struct site_policy *policy, struct buf *report)
{
	struct policy_test_result result = { 0 };

	for (size_t i = 0; i < policy->test_count; i++) {
		const struct site_policy_test *test = &policy->tests[i];
		struct policy_request request = {
			.class = test->class, .protocol = test->protocol, .port = test->port
		};
		struct policy_facts facts = { 0 };
		bool outbound;

		set_name(request.from.site, name_index_text(&policy->names, test->sites[0]));
		set_name(request.from.host, name_index_text(&policy->names, test->hosts[0]));
		set_name(request.to.site, name_index_text(&policy->names, test->sites[1]));
		set_name(request.to.host, name_index_text(&policy->names, test->hosts[1]));
		outbound = strcmp(request.from.site, policy->site) == 0;
		*(outbound ? &facts.initiator_policy : &facts.responder_policy) = policy;
		facts.foreign = LAYERS_ALL &
		                ~LAYER_BIT(outbound ? LAYER_INITIATOR_SITE : LAYER_RESPONDER_SITE);
		count_test(&request, &facts, test->permit, test->line, &result, report);
	}
	return result;
}
