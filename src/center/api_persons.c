/*
 * Persons: accounts, roles, leaving (protocol.md 6.1, mission G3). The provider manages all; a
 * person who may manages those of the own organization, but not the own roles. A principal sees the
 * persons of its subcontractors. Token and secret of the one-time codes are shown once.
 */
#include <stdio.h>
#include <string.h>

#include "center/ledger.h"
#include "center/persons.h"
#include "center/routes.h"
#include "pki/key.h"
#include "pki/totp.h"

#define OTPAUTH_BYTES_MAX 512

static bool may_manage(const struct exchange *exchange, const char *organization)
{
	const struct person *own = exchange->person;

	if (exchange->roles.set & ROLE_PROVIDER) {
		return true;
	}
	return own && person_may(own->roles, PERSON_MANAGE) &&
	       text_equal(own->organization, organization);
}

/* Whether the asking person's organization is this one, or its principal. */
static bool may_see(const struct exchange *exchange, const char *organization)
{
	struct store_organization row = { 0 };
	int r;

	if (exchange->roles.set & (ROLE_PROVIDER | ROLE_AUDITOR)) {
		return true;
	}
	if (!exchange->person) {
		return false;
	}
	if (text_equal(exchange->person->organization, organization)) {
		return true;
	}
	r = store_organization_get(exchange->center->store, organization, &row);
	core_must(r < 0 ? r : 0, "look for an organization");
	return r == 0 && text_equal(row.subcontractor_of, exchange->person->organization);
}

/* --- reading what is wanted ---------------------------------------------- */

struct new_person {
	char name[NAME_BYTES_MAX + 1], organization[NAME_BYTES_MAX + 1];
	char title[STORE_TEXT_BYTES_MAX + 1];
	char natural_person[PERSON_BYTES_MAX + 1];
	char mail[MAIL_ADDRESS_BYTES_MAX + 1];
	json_t *roles;
	struct buf spki;
};

static const struct json_field person_fields[] = {
	{ JSON_FIELD("name", FIELD_NAME, struct new_person, name), .required = true },
	{ JSON_FIELD("organization", FIELD_NAME, struct new_person, organization),
	        .required = true },
	{ JSON_FIELD("title", FIELD_TEXT, struct new_person, title), .max = STORE_TEXT_BYTES_MAX },
	{ JSON_FIELD("roles", FIELD_LIST, struct new_person, roles), .required = true, .min = 1,
	        .max = PERSON_ROLES_MAX },
	{ JSON_FIELD("natural_person", FIELD_TEXT, struct new_person, natural_person),
	        .required = true, .min = 1, .max = PERSON_BYTES_MAX },
	{ JSON_FIELD("mail", FIELD_TEXT, struct new_person, mail), .max = MAIL_ADDRESS_BYTES_MAX },
	{ JSON_FIELD("spki", FIELD_BASE64, struct new_person, spki), .max = 1024 },
	{ 0 },
};

static int read_roles(json_t *list, person_roles *ret_roles, struct err *err)
{
	*ret_roles = 0;
	for (size_t i = 0; i < json_array_size(list); i++) {
		enum person_role role;
		const char *text;

		if (json_item_string(list, "roles", i, NAME_BYTES_MAX, &text, err) != 0) {
			return 1;
		}
		if (person_role_parse(text, &role) != 0) {
			return err_set(err, 1, "roles[%zu]: there is no role \"%s\"", i, text);
		}
		*ret_roles |= 1U << role;
	}
	return 0;
}

/* Whether this asker may give these roles in this organization. Outcome 1: answered. */
static int check_roles(struct exchange *exchange, const char *organization, person_roles roles)
{
	struct store_organization row = { 0 };
	enum organization_kind kind = ORGANIZATION_NONE;
	struct err err = { 0 };
	int r = store_organization_get(exchange->center->store, organization, &row);

	core_must(r < 0 ? r : 0, "look for an organization");
	if (r != 0 || organization_kind_parse(row.kind, &kind) != 0) {
		answer_problem(exchange, 400, "organization: there is no organization \"%s\"",
		        organization);
		return 1;
	}
	if (person_roles_check(roles, kind, &err) != 0) {
		answer_problem(exchange, 400, "roles: %s", err.text);
		return 1;
	}
	if (person_roles_by_provider(roles) && !(exchange->roles.set & ROLE_PROVIDER)) {
		answer_problem(exchange, 403,
		        "roles: provider-operator and auditor are given by the provider only");
		return 1;
	}
	return 0;
}

/* Empty, or a P-256 key: seals are ES256. Outcome 1: answered. */
static int check_key(struct exchange *exchange, const struct buf *spki)
{
	AUTO(key) struct key *key = NULL;
	struct err err = { 0 };

	if (spki->count == 0) {
		return 0;
	}
	if (key_parse(spki->bytes, spki->count, &key, &err) != 0 || !key_is_p256(key)) {
		answer_problem(exchange, 400, "spki: %s",
		        *err.text ? err.text : "must be a P-256 key, as seals are ES256");
		return 1;
	}
	return 0;
}

static bool is_mail(const char *text)
{
	const char *at = strchr(text, '@');

	return !*text ||
	       (at && at > text && at[1] && !strchr(at + 1, '@') && !strpbrk(text, " <>,;\""));
}

/* Only personal accounts: no second active one of the same natural person here (G3). */
static int check_person(struct exchange *exchange, const struct new_person *wanted)
{
	struct center *center = exchange->center;
	struct store_person known = { 0 };
	int r;

	if (!is_mail(wanted->mail)) {
		answer_problem(exchange, 400, "mail: is not an address");
		return 1;
	}
	if (persons_get(center, wanted->name)) {
		answer_problem(
		        exchange, 409, "name: there is a person \"%s\" already", wanted->name);
		return 1;
	}
	r = store_person_get_natural(
	        center->store, wanted->organization, wanted->natural_person, &known);
	core_must(r < 0 ? r : 0, "look for a person");
	if (r == 0) {
		answer_problem(exchange, 409,
		        "natural_person: has an account in %s already: %s; accounts are personal",
		        wanted->organization, known.name);
		store_row_clear(STORE_PERSON, &known);
		return 1;
	}
	return 0;
}

/* --- making -------------------------------------------------------------- */

/* A new token and a new secret, both shown in `body` and nowhere else. */
static void renew_factors(struct exchange *exchange, struct store_person *row, json_t *body)
{
	AUTO_BUF struct buf uri = BUF(OTPAUTH_BYTES_MAX);
	struct token_text token = exchange_token_new(row->token_hash);
	uint8_t secret[TOTP_SECRET_BYTES];

	totp_secret_new(secret);
	buf_clear(&row->totp);
	row->totp = BUF(TOTP_SECRET_BYTES);
	buf_add(&row->totp, secret, sizeof(secret));
	row->totp_step = row->wrong = 0;
	row->locked_usec = 0;
	totp_uri_print(secret, sizeof(secret), exchange->center->config.provider, row->name, &uri);
	json_object_set_new(body, "token", json_string(token.text));
	json_object_set_new(body, "otpauth", json_string(buf_text(&uri)));
	mem_wipe(secret, sizeof(secret));
	mem_wipe(&token, sizeof(token));
	mem_wipe(uri.bytes, uri.room);
}

struct linked {
	const char *name;
	json_t *names;
};

static int add_linked(void *context, const void *data)
{
	struct linked *linked = context;
	const struct store_person *row = data;

	if (!text_equal(row->name, linked->name)) {
		json_array_append_new(
		        linked->names, json_pack("{ss ss ss}", "name", row->name, "organization",
		                               row->organization, "state", row->state));
	}
	return 0;
}

/* The other accounts of the same natural person; the caller owns it. */
static json_t *linked_accounts(struct center *center, const struct store_person *row)
{
	struct linked linked = { row->name, json_array() };

	core_must(
	        store_person_list_natural(center->store, row->natural_person, add_linked, &linked),
	        "look for accounts of one person");
	return linked.names;
}

static void record_key(struct record *record, const struct buf *spki)
{
	struct hash hash = hash_of(spki->bytes, spki->count);

	if (spki->count > 0) {
		record_bytes(record, "key", hash.bytes, HASH_BYTES);
	}
}

static void add_person(
        struct exchange *exchange, const struct new_person *wanted, person_roles roles)
{
	struct center *center = exchange->center;
	AUTO_BUF struct buf text = BUF(STORE_TEXT_BYTES_MAX);
	struct store_person row = { .state = "active", .created_usec = clock_wall_usec() };
	json_t *body = json_pack("{ss}", "name", wanted->name), *linked;
	struct record *record = ledger_record(center, "person.added", wanted->name);

	person_roles_print(roles, &text);
	row.confirmed_usec = row.created_usec;
	memcpy(row.name, wanted->name, sizeof(row.name));
	memcpy(row.organization, wanted->organization, sizeof(row.organization));
	memcpy(row.title, wanted->title, sizeof(row.title));
	memcpy(row.natural_person, wanted->natural_person, sizeof(row.natural_person));
	memcpy(row.mail, wanted->mail, sizeof(row.mail));
	snprintf(row.roles, sizeof(row.roles), "%s", buf_text(&text));
	row.spki = wanted->spki;
	renew_factors(exchange, &row, body);
	record_text(record, "organization", row.organization);
	record_text(record, "roles", row.roles);
	record_key(record, &row.spki);
	ledger_begin(center);
	core_must(store_person_put(center->store, &row), "keep a person");
	persons_take(center, &row);
	linked = linked_accounts(center, &row);
	json_object_set(body, "linked", linked);
	record_json(record, "linked", linked);
	answer_leaf(exchange, 201, ledger_append(center, record), body);
	mem_wipe(row.totp.bytes, row.totp.count);
	buf_clear(&row.totp);
}

void persons_post(struct exchange *exchange)
{
	struct new_person wanted = { 0 };
	AUTO_JSON json_t *object = NULL;
	person_roles roles = 0;
	struct err err = { 0 };
	int r = json_read(exchange->request->body, exchange->request->body_bytes, person_fields,
	        &wanted, &object, &err);

	if (r == 0) {
		r = read_roles(wanted.roles, &roles, &err);
	}
	if (r != 0) {
		answer_problem(exchange, 400, "%s", err.text);
	} else if (!may_manage(exchange, wanted.organization)) {
		answer_problem(exchange, 403, "organization: persons of %s are not yours to manage",
		        wanted.organization);
	} else if (check_roles(exchange, wanted.organization, roles) == 0 &&
	           check_key(exchange, &wanted.spki) == 0 && check_person(exchange, &wanted) == 0) {
		add_person(exchange, &wanted, roles);
	}
	json_fields_clear(person_fields, &wanted);
}

/* --- showing ------------------------------------------------------------- */

static json_t *role_names(const char *text)
{
	AUTO_STRING char *copy = mem_string(text);
	char *rest = copy, *word;
	json_t *names = json_array();

	while ((word = strsep(&rest, " "))) {
		json_array_append_new(names, json_string(word));
	}
	return names;
}

static json_t *time_or_null(int64_t usec)
{
	return usec > 0 ? json_string(time_print(usec).text) : json_null();
}

/* Who was not reported as left is found by the last login and the yearly look (G3). */
static json_t *print_person(const struct exchange *exchange, const struct store_person *row)
{
	int64_t now = clock_wall_usec();
	int64_t due = row->confirmed_usec + (int64_t)PERSON_CONFIRM_SEC * USEC_PER_SEC;
	bool active = text_equal(row->state, "active");
	json_t *json = json_pack("{ss ss ss so ss ss sb}", "name", row->name, "organization",
	        row->organization, "title", row->title, "roles", role_names(row->roles), "state",
	        row->state, "mail", row->mail, "key", row->spki.count > 0);

	json_object_set_new(json, "created", time_or_null(row->created_usec));
	json_object_set_new(json, "last_login", time_or_null(row->login_usec));
	json_object_set_new(json, "confirmation_due", active ? time_or_null(due) : json_null());
	json_object_set_new(json, "confirmation_overdue", json_boolean(active && due <= now));
	if (row->locked_usec > now) {
		json_object_set_new(json, "locked_until", time_or_null(row->locked_usec));
	}
	if (!active) {
		json_object_set_new(json, "left", time_or_null(row->left_usec));
		json_object_set_new(json, "left_reason", json_string(row->left_reason));
	}
	if (may_manage(exchange, row->organization)) {
		json_object_set_new(json, "natural_person", json_string(row->natural_person));
		json_object_set_new(json, "linked", linked_accounts(exchange->center, row));
	}
	return json;
}

static int add_row(void *context, const void *data)
{
	struct list *list = context;
	const struct store_person *row = data;

	list_add(list, row->name, print_person(list->exchange, row));
	return 0;
}

void persons_list(struct exchange *exchange)
{
	const char *organization = request_query(exchange->request, "organization");
	struct list list;

	if (!organization && exchange->person &&
	        !(exchange->roles.set & (ROLE_PROVIDER | ROLE_AUDITOR))) {
		organization = exchange->person->organization;
	}
	if (organization && !may_see(exchange, organization)) {
		answer_problem(exchange, 404, "there is no such organization");
		return;
	}
	if (list_begin(exchange, &list) == 0) {
		core_must(store_person_list(exchange->center->store, organization, list.after,
		                  list.limit, add_row, &list),
		        "list persons");
		list_end(&list);
	}
}

/* Outcome 1: answered with 404. */
static int get_person(struct exchange *exchange, struct store_person *row)
{
	int r = store_person_get(exchange->center->store, exchange->parameter, row);

	core_must(r < 0 ? r : 0, "read a person");
	if (r == 0 && may_see(exchange, row->organization)) {
		return 0;
	}
	store_row_clear(STORE_PERSON, row);
	answer_problem(exchange, 404, "there is no such person");
	return 1;
}

void persons_show(struct exchange *exchange)
{
	struct store_person row = { 0 };

	if (get_person(exchange, &row) == 0) {
		answer_json(exchange, 200, print_person(exchange, &row));
		store_row_clear(STORE_PERSON, &row);
	}
}

/* --- changing ------------------------------------------------------------ */

/* The row, when it may be changed by who asks. Outcome 1: answered. */
static int get_managed(struct exchange *exchange, struct store_person *row)
{
	if (get_person(exchange, row) != 0) {
		return 1;
	}
	if (!may_manage(exchange, row->organization)) {
		answer_problem(
		        exchange, 403, "persons of %s are not yours to manage", row->organization);
	} else if (!text_equal(row->state, "active")) {
		answer_problem(exchange, 409, "%s has left", row->name);
	} else {
		return 0;
	}
	store_row_clear(STORE_PERSON, row);
	return 1;
}

/* Stores the row, records and answers; then rights end when `reason` is not NULL. */
static void change(struct exchange *exchange, struct store_person *row, struct record *record,
        const char *reason, json_t *body)
{
	struct center *center = exchange->center;
	uint64_t leaf;

	ledger_begin(center);
	core_must(store_person_put(center->store, row), "keep a person");
	persons_take(center, row);
	leaf = ledger_append(center, record);
	if (reason) {
		persons_end_rights(center, row->name, reason);
	}
	answer_leaf(exchange, 200, leaf, body);
}

static const struct json_field duty_fields[] = {
	{ "roles", FIELD_LIST, 0, true, 1, PERSON_ROLES_MAX, NULL, NULL, false },
	{ 0 },
};

/* Outcome 1: answered. */
static int read_duty(struct exchange *exchange, const struct store_person *row, person_roles *roles)
{
	AUTO_JSON json_t *object = NULL;
	json_t *list = NULL;
	struct err err = { 0 };
	int r = json_read(exchange->request->body, exchange->request->body_bytes, duty_fields,
	        &list, &object, &err);

	if (r == 0) {
		r = read_roles(list, roles, &err);
	}
	if (r != 0) {
		answer_problem(exchange, 400, "%s", err.text);
		return 1;
	}
	if (exchange->person && text_equal(exchange->person->name, row->name)) {
		answer_problem(exchange, 403, "nobody changes the own roles");
		return 1;
	}
	return check_roles(exchange, row->organization, *roles);
}

void persons_duty(struct exchange *exchange)
{
	AUTO_BUF struct buf text = BUF(STORE_TEXT_BYTES_MAX);
	struct store_person row = { 0 };
	struct record *record;
	person_roles roles;

	if (get_managed(exchange, &row) != 0) {
		return;
	}
	if (read_duty(exchange, &row, &roles) == 0) {
		person_roles_print(roles, &text);
		record = ledger_record(exchange->center, "person.changed", row.name);
		record_text(record, "roles_before", row.roles);
		record_text(record, "roles", buf_text(&text));
		snprintf(row.roles, sizeof(row.roles), "%s", buf_text(&text));
		change(exchange, &row, record, "another duty", NULL);
	}
	store_row_clear(STORE_PERSON, &row);
}

static const struct json_field reason_fields[] = {
	{ "reason", FIELD_TEXT, 0, true, 1, STORE_REASON_BYTES_MAX, NULL, NULL, false },
	{ 0 },
};

void persons_left(struct exchange *exchange)
{
	char reason[STORE_REASON_BYTES_MAX + 1] = "";
	struct store_person row = { 0 };
	struct record *record;

	if (get_managed(exchange, &row) != 0) {
		return;
	}
	if (exchange_body(exchange, reason_fields, reason) == 0) {
		record = ledger_record(exchange->center, "person.left", row.name);
		record_text(record, "organization", row.organization);
		record_text(record, "reason", reason);
		snprintf(row.state, sizeof(row.state), "left");
		memcpy(row.left_reason, reason, sizeof(row.left_reason));
		row.left_usec = clock_wall_usec();
		/* Nothing can be opened with what a person takes along. */
		mem_wipe(row.totp.bytes, row.totp.count);
		buf_reset(&row.totp);
		random_fill(row.token_hash, sizeof(row.token_hash));
		change(exchange, &row, record, "the person has left", NULL);
	}
	store_row_clear(STORE_PERSON, &row);
}

static const struct json_field key_fields[] = {
	{ "spki", FIELD_BASE64, 0, true, 0, 1024, NULL, NULL, false },
	{ 0 },
};

void persons_key(struct exchange *exchange)
{
	struct store_person row = { 0 };
	struct buf spki = { 0 };
	struct record *record;

	if (get_managed(exchange, &row) != 0) {
		return;
	}
	if (exchange_body(exchange, key_fields, &spki) == 0 && check_key(exchange, &spki) == 0) {
		buf_clear(&row.spki);
		row.spki = spki;
		spki = (struct buf){ 0 };
		record = ledger_record(exchange->center, "person.changed", row.name);
		record_text(record, "changed", "key");
		record_key(record, &row.spki);
		change(exchange, &row, record, "another key", NULL);
	}
	buf_clear(&spki);
	store_row_clear(STORE_PERSON, &row);
}

/* A new token and new codes, for who lost them: the old ones are void. */
void persons_renew(struct exchange *exchange)
{
	struct store_person row = { 0 };
	struct record *record;
	json_t *body;

	if (get_managed(exchange, &row) != 0) {
		return;
	}
	body = json_pack("{ss}", "name", row.name);
	renew_factors(exchange, &row, body);
	record = ledger_record(exchange->center, "person.changed", row.name);
	record_text(record, "changed", "factors");
	change(exchange, &row, record, "new token and codes", body);
	store_row_clear(STORE_PERSON, &row);
}

/* The yearly look: this person is still here and still does this. */
void persons_confirm(struct exchange *exchange)
{
	struct store_person row = { 0 };
	struct record *record;

	if (get_managed(exchange, &row) != 0) {
		return;
	}
	record = ledger_record(exchange->center, "person.changed", row.name);
	record_text(record, "changed", "confirmed");
	row.confirmed_usec = clock_wall_usec();
	change(exchange, &row, record, NULL, NULL);
	store_row_clear(STORE_PERSON, &row);
}
