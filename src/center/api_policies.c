/* Activating and reading policies. */
#include "center/policies.h"
#include "center/registry.h"
#include "center/routes.h"

void policies_post_provider(struct exchange *exchange)
{
	const char *jws;
	size_t count;
	uint64_t leaf;
	struct err err = { 0 };

	if (exchange_text(exchange, &jws, &count) != 0) {
		return;
	}
	if (policies_take_provider(exchange->center, jws, count, &leaf, &err) != 0) {
		answer_problem(exchange, 400, "%s", err.text);
		return;
	}
	answer_leaf(exchange, 201, leaf,
	        json_pack("{sI}", "version",
	                (json_int_t)provider_policy_version(exchange->center->provider_policy)));
}

void policies_get_provider(struct exchange *exchange)
{
	struct center *center = exchange->center;

	if (!center->provider_policy) {
		answer_problem(exchange, 404, "there is no active provider policy");
		return;
	}
	answer_json(exchange, 200,
	        json_pack("{sI ss}", "version",
	                (json_int_t)provider_policy_version(center->provider_policy), "policy",
	                center->provider_policy_text));
}

/* Another site's policy is not there for a site's token. */
static struct site_entry *find_site(struct exchange *exchange)
{
	struct site_entry *site = registry_site(exchange->center, exchange->parameter);

	if (!site || (!(exchange->roles.set & ROLE_AUDITOR) &&
	                     !roles_of_site(&exchange->roles, exchange->parameter))) {
		answer_problem(exchange, 404, "there is no such site");
		return NULL;
	}
	return site;
}

void policies_post_site(struct exchange *exchange)
{
	struct site_entry *site = find_site(exchange);
	const char *jws;
	size_t count;
	uint64_t leaf;
	struct err err = { 0 };

	if (!site || exchange_text(exchange, &jws, &count) != 0) {
		return;
	}
	if (policies_take_site(exchange->center, site->name, jws, count, &leaf, &err) != 0) {
		answer_problem(exchange, 400, "%s", err.text);
		return;
	}
	answer_leaf(exchange, 201, leaf,
	        json_pack("{sI}", "version", (json_int_t)site_policy_version(site->policy)));
}

void policies_get_site(struct exchange *exchange)
{
	struct site_entry *site = find_site(exchange);

	if (!site) {
		return;
	}
	if (!site->policy) {
		answer_problem(exchange, 404, "the site has no active policy");
		return;
	}
	answer_json(exchange, 200,
	        json_pack("{sI ss}", "version", (json_int_t)site_policy_version(site->policy),
	                "policy", site->policy_text));
}
