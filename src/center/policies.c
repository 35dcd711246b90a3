#include "center/policies.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "center/ledger.h"
#include "center/live.h"
#include "center/registry.h"
#include "pki/seal.h"
#include "policy/provider_policy.h"
#include "policy/site_policy.h"

#define PROVIDER_TYP "sekisho-provider-policy"
#define SITE_TYP "sekisho-site-policy"

static int load_site(void *context, const void *row)
{
	struct center *center = context;
	const struct store_policy *stored = row;
	struct site_entry *site = registry_take_site(center, stored->owner);
	AUTO_BUF struct buf text = BUF(POLICY_TEXT_BYTES_MAX);
	struct err err = { 0 };
	int r = seal_peek(stored->text, strlen(stored->text), SITE_TYP, &text, NULL, &err);

	if (r == 0) {
		r = site_policy_parse(buf_text(&text), text.count, &site->policy, &err);
	}
	if (r != 0) {
		/* It was good when it was taken; a site whose policy cannot be read reaches nobody.
		 */
		log_error("policy of site %s: %s", stored->owner, err.text);
		return r < 0 ? r : 0;
	}
	site->policy_text = mem_string(stored->text);
	return 0;
}

static int load_provider(struct center *center)
{
	AUTO_BUF struct buf text = BUF(POLICY_TEXT_BYTES_MAX);
	struct store_policy row = { 0 };
	struct err err = { 0 };
	int r = store_policy_get(center->store, "provider", center->config.provider, &row);

	if (r != 0) {
		return r < 0 ? r : 0;
	}
	r = seal_peek(row.text, strlen(row.text), PROVIDER_TYP, &text, NULL, &err);
	if (r == 0) {
		r = provider_policy_parse(
		        buf_text(&text), text.count, &center->provider_policy, &err);
	}
	if (r == 0) {
		center->provider_policy_text = TAKE(row.text);
	} else {
		log_error("provider policy: %s", err.text);
	}
	store_row_clear(STORE_POLICY, &row);
	return r < 0 ? r : 0;
}

int policies_open(struct center *center, struct err *err)
{
	int r = load_provider(center);

	if (r == 0) {
		r = store_policy_list(center->store, "site", load_site, center);
	}
	return r < 0 ? err_set(err, FAULT(r), "the policies cannot be read") : 0;
}

static uint64_t keep(struct center *center, const char *kind, const char *owner, uint64_t version,
        const char *jws)
{
	struct record *record = ledger_record(center, "policy.activated", owner);
	struct store_policy row = { .version = version, .received_usec = clock_wall_usec() };
	struct hash hash = hash_of(jws, strlen(jws));

	snprintf(row.kind, sizeof(row.kind), "%s", kind);
	snprintf(row.owner, sizeof(row.owner), "%s", owner);
	row.text = (char *)jws;
	record_text(record, "kind", kind);
	record_number(record, "version", (int64_t)version);
	record_bytes(record, "sha256", hash.bytes, sizeof(hash.bytes));
	ledger_begin(center);
	core_must(store_policy_put(center->store, &row), "keep a policy");
	return ledger_append(center, record);
}

static void push(void *context, const char *name, void *value)
{
	struct center *center = context;
	const struct gateway *gateway = value;
	AUTO_JSON json_t *event = NULL;

	if (gateway->front) {
		event = policies_event(center, registry_site(center, gateway->site));
		if (event) {
			registry_event(center, gateway, "policy", event);
		}
	}
}

int policies_take_provider(
        struct center *center, const char *jws, size_t count, uint64_t *ret_leaf, struct err *err)
{
	AUTO_BUF struct buf text = BUF(POLICY_TEXT_BYTES_MAX);
	AUTO(provider_policy) struct provider_policy *policy = NULL;
	const struct key *keys[STATEMENT_KEYS_MAX];
	AUTO_STRING char *copy = mem_format("%.*s", (int)count, jws);
	size_t key_count = statement_set_keys(center->statements, STATEMENT_PROVIDER,
	        center->config.provider, STATEMENT_USE_POLICY, clock_wall_usec(), keys);
	int r = key_count > 0
	                ? seal_open(jws, count, PROVIDER_TYP, keys, key_count, &text, NULL, err)
	                : err_set(err, 1, "the provider is not accredited now");

	if (r == 0) {
		r = provider_policy_parse(buf_text(&text), text.count, &policy, err);
	}
	if (r == 0 && !text_equal(provider_policy_provider(policy), center->config.provider)) {
		r = err_set(err, 1, "provider: is \"%s\", but this center is \"%s\"",
		        provider_policy_provider(policy), center->config.provider);
	}
	if (r == 0) {
		r = provider_policy_check(policy,
		        center->provider_policy ? provider_policy_version(center->provider_policy)
		                                : 0,
		        err);
	}
	if (r != 0) {
		return r < 0 ? r : 1;
	}
	*ret_leaf = keep(
	        center, "provider", center->config.provider, provider_policy_version(policy), copy);
	provider_policy_free(center->provider_policy);
	center->provider_policy = TAKE(policy);
	free(center->provider_policy_text);
	center->provider_policy_text = TAKE(copy);
	names_each(center->gateways, push, center);
	live_review(center, NULL);
	return 0;
}

static int open_site_seal(struct center *center, const char *site, const char *jws, size_t count,
        struct buf *text, struct err *err)
{
	struct store_site row = { 0 };
	AUTO(key) struct key *owner = NULL;
	int r = store_site_get(center->store, site, &row);

	if (r == 0) {
		r = key_parse(row.owner_spki.bytes, row.owner_spki.count, &owner, err);
	} else {
		err_set(err, r, "there is no such site");
	}
	if (r == 0) {
		r = seal_open(jws, count, SITE_TYP, (const struct key *const *)&owner, 1, text,
		        NULL, err);
	}
	store_row_clear(STORE_SITE, &row);
	return r;
}

int policies_take_site(struct center *center, const char *name, const char *jws, size_t count,
        uint64_t *ret_leaf, struct err *err)
{
	struct site_entry *site = registry_site(center, name);
	AUTO_BUF struct buf text = BUF(POLICY_TEXT_BYTES_MAX);
	AUTO(site_policy) struct site_policy *policy = NULL;
	AUTO_STRING char *copy = mem_format("%.*s", (int)count, jws);
	int r = open_site_seal(center, name, jws, count, &text, err);

	if (r == 0) {
		r = site_policy_parse(buf_text(&text), text.count, &policy, err);
	}
	if (r == 0 && !text_equal(site_policy_site(policy), name)) {
		r = err_set(err, 1, "site: the policy is of \"%s\"", site_policy_site(policy));
	}
	if (r == 0) {
		r = site_policy_check(
		        policy, site->policy ? site_policy_version(site->policy) : 0, err);
	}
	if (r != 0) {
		return r < 0 ? r : 1;
	}
	*ret_leaf = keep(center, "site", name, site_policy_version(policy), copy);
	site_policy_free(site->policy);
	site->policy = TAKE(policy);
	free(site->policy_text);
	site->policy_text = TAKE(copy);
	if (site->gateway) {
		push(center, site->gateway->name, site->gateway);
	}
	live_review(center, name);
	return 0;
}

json_t *policies_event(const struct center *center, const struct site_entry *site)
{
	json_t *event;

	if (!center->provider_policy_text) {
		return NULL;
	}
	event = json_pack("{ss}", "provider", center->provider_policy_text);
	json_object_set_new(event, "site",
	        site && site->policy_text ? json_string(site->policy_text) : json_null());
	return event;
}
