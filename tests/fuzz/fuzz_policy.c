/*
 * Any bytes as a site policy and as a provider policy. A refusal has a text of one line; what is
 * accepted prints to a text that is accepted, prints the same, is judged the same and differs in
 * nothing; a policy denies a host that it does not name; and whatever it says, a host of the high
 * security zone has remote maintenance only (F1).
 */
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "policy/decide.h"
#include "policy/diff.h"
#include "policy/policy_test.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_stranger(const struct site_policy *policy)
{
	struct policy_request request = {
		.from = { "stranger", "stranger" }, .class = SERVICE_MAIL, .protocol = PROTOCOL_ICMP
	};
	struct policy_facts facts = { .foreign = LAYERS_ALL & ~LAYER_BIT(LAYER_RESPONDER_SITE),
		.responder_policy = policy };
	struct policy_host host;

	strcpy(request.to.site, site_policy_site(policy));
	strcpy(request.to.host, "not-a-host-of-this-site");
	if (site_policy_host_get(policy, request.to.host, &host) != 0) {
		assert_always(policy_decide(&request, &facts, 0).verdict == VERDICT_DENY);
	}
}

/* Everything is permitted that a policy can permit: all conditions are another's. */
static void check_zones(const struct site_policy *policy)
{
	for (size_t i = 0; i < site_policy_host_count(policy); i++) {
		struct policy_request request = { .to.host = "stranger",
			.to.site = "stranger",
			.class = SERVICE_MAIL,
			.protocol = PROTOCOL_TCP,
			.port = 25 };
		struct policy_facts facts = { .foreign =
			                              LAYERS_ALL & ~LAYER_BIT(LAYER_INITIATOR_SITE),
			.responder.posture = POSTURE_FOREIGN,
			.initiator_policy = policy };
		struct policy_host host;

		site_policy_host_at(policy, i, &host);
		strcpy(request.from.site, site_policy_site(policy));
		strcpy(request.from.host, host.name);
		assert_always(host.zone != ZONE_HSZ ||
		              policy_decide(&request, &facts, 0).verdict == VERDICT_DENY);
	}
}

static void check_site(const uint8_t *data, size_t size)
{
	AUTO_BUF struct buf once = BUF(1 << 22), twice = BUF(1 << 22);
	AUTO(site_policy) struct site_policy *policy = NULL, *again = NULL;
	struct err err = { "" }, err_again = { "" };
	int r;

	if (site_policy_parse((const char *)data, size, &policy, &err) != 0) {
		assert_always(err.text[0] != '\0' && !strchr(err.text, '\n') && !policy);
		return;
	}
	check_stranger(policy);
	check_zones(policy);
	site_policy_print(policy, &once);
	if (once.count > POLICY_TEXT_BYTES_MAX) {
		return;
	}
	assert_always(site_policy_parse(buf_text(&once), once.count, &again, &err) == 0);
	site_policy_print(again, &twice);
	assert_always(strcmp(buf_text(&once), buf_text(&twice)) == 0);
	buf_reset(&twice);
	site_policy_diff(policy, again, &twice);
	assert_always(twice.count == 0);
	r = site_policy_check(policy, 3, &err);
	assert_always(site_policy_check(again, 3, &err_again) == r);
}

static void check_provider(const uint8_t *data, size_t size)
{
	AUTO_BUF struct buf once = BUF(1 << 22), twice = BUF(1 << 22);
	AUTO(provider_policy) struct provider_policy *policy = NULL, *again = NULL;
	struct err err = { "" }, err_again = { "" };
	int r;

	if (provider_policy_parse((const char *)data, size, &policy, &err) != 0) {
		assert_always(err.text[0] != '\0' && !strchr(err.text, '\n') && !policy);
		return;
	}
	provider_policy_print(policy, &once);
	if (once.count > POLICY_TEXT_BYTES_MAX) {
		return;
	}
	assert_always(provider_policy_parse(buf_text(&once), once.count, &again, &err) == 0);
	provider_policy_print(again, &twice);
	assert_always(strcmp(buf_text(&once), buf_text(&twice)) == 0);
	buf_reset(&twice);
	provider_policy_diff(policy, again, &twice);
	assert_always(twice.count == 0);
	r = provider_policy_check(policy, 3, &err);
	assert_always(provider_policy_check(again, 3, &err_again) == r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_site(data, size);
	check_provider(data, size);
	return 0;
}
