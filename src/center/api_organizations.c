/* Organizations and sites. */
#include <stdio.h>
#include <string.h>

#include "center/ledger.h"
#include "center/registry.h"
#include "center/routes.h"
#include "model/kind.h"
#include "pki/key.h"

struct new_organization {
	char name[NAME_BYTES_MAX + 1];
	char kind[STORE_WORD_BYTES_MAX + 1];
	char title[STORE_TEXT_BYTES_MAX + 1];
	char subcontractor_of[NAME_BYTES_MAX + 1];
};

static const struct json_field organization_fields[] = {
	{ "name", FIELD_NAME, offsetof(struct new_organization, name), true, 0, 0, NULL, NULL,
	        false },
	{ "kind", FIELD_TEXT, offsetof(struct new_organization, kind), true, 1,
	        STORE_WORD_BYTES_MAX, NULL, NULL, false },
	{ "title", FIELD_TEXT, offsetof(struct new_organization, title), false, 0,
	        STORE_TEXT_BYTES_MAX, NULL, NULL, false },
	{ JSON_FIELD("subcontractor_of", FIELD_NAME, struct new_organization, subcontractor_of) },
	{ 0 },
};

/* A principal has to be there before its subcontractor. Outcome 1: answered. */
static int check_principal(struct exchange *exchange, const struct new_organization *wanted)
{
	struct store_organization principal = { 0 };
	int r;

	if (!*wanted->subcontractor_of) {
		return 0;
	}
	r = store_organization_get(exchange->center->store, wanted->subcontractor_of, &principal);
	core_must(r < 0 ? r : 0, "look for an organization");
	if (r != 0) {
		answer_problem(exchange, 400, "subcontractor_of: there is no organization \"%s\"",
		        wanted->subcontractor_of);
	}
	return r;
}

void organizations_post(struct exchange *exchange)
{
	struct center *center = exchange->center;
	struct new_organization wanted = { 0 };
	struct store_organization row = { .created_usec = clock_wall_usec() }, known = { 0 };
	enum organization_kind kind;
	struct record *record;
	int r;

	if (exchange_body(exchange, organization_fields, &wanted) != 0) {
		return;
	}
	if (organization_kind_parse(wanted.kind, &kind) != 0) {
		answer_problem(exchange, 400, "kind: there is no kind of organization \"%s\"",
		        wanted.kind);
		return;
	}
	r = store_organization_get(center->store, wanted.name, &known);
	core_must(r < 0 ? r : 0, "look for an organization");
	if (r == 0) {
		answer_problem(exchange, 409, "name: there is an organization \"%s\" already",
		        wanted.name);
		return;
	}
	if (check_principal(exchange, &wanted) != 0) {
		return;
	}
	memcpy(row.name, wanted.name, sizeof(row.name));
	memcpy(row.kind, wanted.kind, sizeof(row.kind));
	memcpy(row.title, wanted.title, sizeof(row.title));
	memcpy(row.subcontractor_of, wanted.subcontractor_of, sizeof(row.subcontractor_of));
	record = ledger_record(center, "organization.added", row.name);
	record_text(record, "kind", row.kind);
	record_text(record, "subcontractor_of", row.subcontractor_of);
	record_text(record, "title", row.title);
	ledger_begin(center);
	core_must(store_organization_put(center->store, &row), "keep an organization");
	answer_leaf(exchange, 201, ledger_append(center, record), NULL);
}

static int add_organization(void *context, const void *data)
{
	const struct store_organization *row = data;

	list_add(context, row->name,
	        json_pack("{ss ss ss ss}", "name", row->name, "kind", row->kind, "title",
	                row->title, "subcontractor_of", row->subcontractor_of));
	return 0;
}

void organizations_list(struct exchange *exchange)
{
	struct list list;

	if (list_begin(exchange, &list) == 0) {
		core_must(store_organization_list(exchange->center->store, list.after, list.limit,
		                  add_organization, &list),
		        "list organizations");
		list_end(&list);
	}
}

struct new_site {
	char name[NAME_BYTES_MAX + 1];
	char organization[NAME_BYTES_MAX + 1];
	struct buf owner_spki;
};

static const struct json_field site_fields[] = {
	{ "name", FIELD_NAME, offsetof(struct new_site, name), true, 0, 0, NULL, NULL, false },
	{ "organization", FIELD_NAME, offsetof(struct new_site, organization), true, 0, 0, NULL,
	        NULL, false },
	{ "owner_spki", FIELD_BASE64, offsetof(struct new_site, owner_spki), true, 1, 1024, NULL,
	        NULL, false },
	{ 0 },
};

static int check_site(struct exchange *exchange, const struct new_site *wanted)
{
	struct center *center = exchange->center;
	struct store_organization organization = { 0 };
	AUTO(key) struct key *key = NULL;
	struct err err = { 0 };
	int r = key_parse(wanted->owner_spki.bytes, wanted->owner_spki.count, &key, &err);

	if (r != 0 || !key_is_p256(key)) {
		answer_problem(exchange, 400, "owner_spki: %s",
		        r != 0 ? err.text : "must be a P-256 key, as seals are ES256");
		return 1;
	}
	r = store_organization_get(center->store, wanted->organization, &organization);
	core_must(r < 0 ? r : 0, "look for an organization");
	if (r != 0) {
		answer_problem(exchange, 400, "organization: there is no organization \"%s\"",
		        wanted->organization);
		return 1;
	}
	if (registry_site(center, wanted->name)) {
		answer_problem(exchange, 409, "name: there is a site \"%s\" already", wanted->name);
		return 1;
	}
	return 0;
}

void sites_post(struct exchange *exchange)
{
	struct center *center = exchange->center;
	struct new_site wanted = { 0 };
	struct store_site row = { .created_usec = clock_wall_usec() };
	struct site_entry *site;
	struct record *record;
	struct hash hash;

	if (exchange_body(exchange, site_fields, &wanted) != 0) {
		return;
	}
	if (check_site(exchange, &wanted) == 0) {
		hash = hash_of(wanted.owner_spki.bytes, wanted.owner_spki.count);
		memcpy(row.name, wanted.name, sizeof(row.name));
		memcpy(row.organization, wanted.organization, sizeof(row.organization));
		row.owner_spki = wanted.owner_spki;
		record = ledger_record(center, "site.added", row.name);
		record_text(record, "organization", row.organization);
		record_bytes(record, "owner", hash.bytes, HASH_BYTES);
		ledger_begin(center);
		core_must(store_site_put(center->store, &row), "keep a site");
		site = registry_take_site(center, row.name);
		memcpy(site->organization, row.organization, sizeof(site->organization));
		answer_leaf(exchange, 201, ledger_append(center, record), NULL);
	}
	json_fields_clear(site_fields, &wanted);
}

static int add_site(void *context, const void *data)
{
	struct list *list = context;
	const struct store_site *row = data;
	const struct site_entry *site = registry_site(list->exchange->center, row->name);
	AUTO_BUF struct buf spki = BUF(2048);
	json_t *item;

	if (!(list->exchange->roles.set & ROLE_AUDITOR) &&
	        !roles_of_site(&list->exchange->roles, row->name)) {
		return 0;
	}
	base64_add(&spki, row->owner_spki.bytes, row->owner_spki.count);
	item = json_pack("{ss ss ss}", "name", row->name, "organization", row->organization,
	        "owner_spki", buf_text(&spki));
	json_object_set_new(item, "gateway",
	        site && site->gateway ? json_string(site->gateway->name) : json_null());
	json_object_set_new(item, "policy_version",
	        json_integer(site && site->policy ? (json_int_t)site_policy_version(site->policy)
	                                          : (json_int_t)0));
	list_add(list, row->name, item);
	return json_array_size(list->items) >= list->limit ? 1 : 0;
}

void sites_list(struct exchange *exchange)
{
	struct list list;
	int r;

	if (list_begin(exchange, &list) == 0) {
		/* Rows of others are left out: the list ends when the page is full. */
		r = store_site_list(
		        exchange->center->store, list.after, INT64_MAX, add_site, &list);
		core_must(r < 0 ? r : 0, "list sites");
		list_end(&list);
	}
}
