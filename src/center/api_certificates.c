/* Gateways, their certificates, and revoking one: the record, the new list, the end of what rests
 * on it (promise 9, B8), in this order. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "center/ledger.h"
#include "center/live.h"
#include "center/registry.h"
#include "center/routes.h"
#include "center/trust.h"

static void add_gateway(void *context, const char *name, void *value)
{
	struct list *list = context;
	const struct gateway *gateway = value;

	if ((list->exchange->roles.set & ROLE_AUDITOR) ||
	        roles_of_site(&list->exchange->roles, gateway->site)) {
		json_array_append_new(list->items, registry_print(gateway));
	}
}

static int add_page(void *context, const void *data)
{
	struct list *list = context;
	const struct store_procedure *row = data;
	struct gateway *gateway = registry_gateway(list->exchange->center, row->gateway);

	if (gateway) {
		size_t before = json_array_size(list->items);

		add_gateway(list, gateway->name, gateway);
		if (json_array_size(list->items) > before) {
			snprintf(list->last, sizeof(list->last), "%s", gateway->name);
		}
	}
	return json_array_size(list->items) >= list->limit ? 1 : 0;
}

void gateways_list(struct exchange *exchange)
{
	bool all = roles_any(&exchange->roles, ROLE_PROVIDER | ROLE_AUDITOR);
	struct list list;
	int r;

	if (list_begin(exchange, &list) == 0) {
		/* Rows of others are left out: the list ends when the page is full. */
		r = store_procedure_list(exchange->center->store,
		        all ? NULL : roles_name(&exchange->roles, ROLE_SITE), NULL, list.after,
		        INT64_MAX, add_page, &list);
		core_must(r < 0 ? r : 0, "list gateways");
		list_end(&list);
	}
}

static int add_certificate(void *context, const void *data)
{
	const struct store_certificate *row = data;
	json_t *json = json_pack("{si ss ss ss ss sI}", "tier", (int)row->tier, "serial",
	        row->serial, "gateway", row->gateway, "not_before",
	        time_print(row->not_before_usec).text, "not_after",
	        time_print(row->not_after_usec).text, "leaf", (json_int_t)row->leaf);

	if (row->revoked_usec > 0) {
		json_object_set_new(
		        json, "revoked", json_string(time_print(row->revoked_usec).text));
		json_object_set_new(json, "reason", json_string(crl_reason_name((int)row->reason)));
	}
	list_add(context, row->serial, json);
	return 0;
}

void certificates_list(struct exchange *exchange)
{
	struct list list;
	uint64_t tier;

	if (exchange_number(exchange, "tier", 2, 2, &tier) == 0 &&
	        list_begin(exchange, &list) == 0) {
		core_must(store_certificate_list(exchange->center->store, tier, list.after,
		                  list.limit, add_certificate, &list),
		        "list certificates");
		list_end(&list);
	}
}

struct revocation {
	uint64_t tier;
	char serial[STORE_SERIAL_BYTES_MAX + 1];
	char reason[STORE_WORD_BYTES_MAX + 1];
};

static const struct json_field revoke_fields[] = {
	{ "tier", FIELD_COUNT, offsetof(struct revocation, tier), true, 1, 2, NULL, NULL, false },
	{ "serial", FIELD_TEXT, offsetof(struct revocation, serial), true, 1,
	        STORE_SERIAL_BYTES_MAX, NULL, NULL, false },
	{ "reason", FIELD_TEXT, offsetof(struct revocation, reason), false, 1, STORE_WORD_BYTES_MAX,
	        NULL, NULL, false },
	{ 0 },
};

/* Everything of this gateway that rests on the certificate ends. */
static void end_use(struct center *center, const struct store_certificate *row)
{
	struct gateway *gateway = registry_gateway(center, row->gateway);
	struct hash fingerprint = hash_of(row->der.bytes, row->der.count);

	center->trust_generation++;
	if (!gateway) {
		return;
	}
	live_review(center, gateway->site);
	core_send(center, NULL, MESSAGE_DROP, 0, fingerprint.bytes, HASH_BYTES);
	if (row->tier == 1) {
		for (size_t i = 0; i < gateway->service_count; i++) {
			core_send(center, NULL, MESSAGE_DROP, 0,
			        gateway->service[i].fingerprint.bytes, HASH_BYTES);
		}
	}
}

static void revoke(struct exchange *exchange, struct store_certificate *row, enum crl_reason reason)
{
	struct center *center = exchange->center;
	struct record *record = ledger_record(center, "certificate.revoked", row->gateway);
	struct err err = { 0 };
	uint64_t leaf;

	row->revoked_usec = clock_wall_usec();
	row->reason = reason;
	record_number(record, "tier", (int64_t)row->tier);
	record_text(record, "serial", row->serial);
	record_text(record, "reason", crl_reason_name(reason));
	leaf = ledger_append(center, record);
	core_must(store_certificate_put(center->store, row), "revoke a certificate");
	registry_take_certificate(center, row);
	/* The record stands even if the list cannot be signed now: it comes with the signer. */
	if (row->tier == 2 && trust_publish_crl(center, &err) != 0) {
		log_error("no revocation list yet: %s", err.text);
	}
	end_use(center, row);
	answer_leaf(exchange, 200, leaf, NULL);
}

void certificates_revoke(struct exchange *exchange)
{
	struct revocation wanted = { .reason = "unspecified" };
	struct store_certificate row = { 0 };
	enum crl_reason reason;
	int r;

	if (exchange_body(exchange, revoke_fields, &wanted) != 0) {
		return;
	}
	if (crl_reason_parse(wanted.reason, &reason) != 0) {
		answer_problem(exchange, 400, "reason: there is no reason \"%s\"", wanted.reason);
		return;
	}
	r = store_certificate_get(exchange->center->store, wanted.tier, wanted.serial, &row);
	core_must(r < 0 ? r : 0, "look for a certificate");
	if (r != 0) {
		answer_problem(exchange, 404, "serial: there is no such certificate");
	} else if (row.revoked_usec > 0 && row.reason != CRL_HOLD) {
		answer_leaf(exchange, 200, row.leaf, NULL);
	} else {
		revoke(exchange, &row, reason);
	}
	store_row_clear(STORE_CERTIFICATE, &row);
}
