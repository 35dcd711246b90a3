/*
 * Agreements between two organizations (protocol.md 6.1, mission H). A draft says what it lacks; it
 * is in force when it lacks nothing and a person of each party has signed it; either party ends it.
 * Who signs acknowledges the policies of the other party's sites as they are (H11).
 */
#include <stdio.h>
#include <string.h>

#include "center/agreements.h"
#include "center/ledger.h"
#include "center/persons.h"
#include "center/registry.h"
#include "center/routes.h"
#include "model/kind.h"

/* 0 or 1 for the party that the asking person is of; -1: neither. */
static int party_of(const struct exchange *exchange, const struct store_agreement *row)
{
	const struct person *person = exchange->person;

	if (!person) {
		return -1;
	}
	return text_equal(person->organization, row->party_a)   ? 0
	       : text_equal(person->organization, row->party_b) ? 1
	                                                        : -1;
}

/* --- showing ------------------------------------------------------------- */

static json_t *print_missing(const struct center *center, const struct agreement *agreement)
{
	struct agreement_lack lacks[AGREEMENT_LACKS_MAX];
	size_t count = agreements_missing(center, agreement, lacks);
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++) {
		json_t *item = json_pack("{ss ss}", "item", lacks[i].item, "text", lacks[i].text);

		if (lacks[i].number > 0) {
			json_object_set_new(item, "number", json_integer((int)lacks[i].number));
		}
		json_array_append_new(list, item);
	}
	return list;
}

static json_t *signature(const char *organization, const char *person, int64_t usec)
{
	return *person ? json_pack("{ss ss ss}", "organization", organization, "person", person,
	                         "at", time_print(usec).text)
	               : json_pack("{ss sn}", "organization", organization, "person");
}

static json_t *print_short(const struct store_agreement *row, const struct agreement_scope *scope)
{
	json_t *json = json_pack("{ss ss s[ss] s[oo]}", "name", row->name, "state", row->state,
	        "parties", row->party_a, row->party_b, "signatures",
	        signature(row->party_a, row->signer_a, row->signed_a_usec),
	        signature(row->party_b, row->signer_b, row->signed_b_usec));

	if (scope) {
		json_object_set_new(json, "class", json_string(service_class_name(scope->class)));
		json_object_set_new(
		        json, "not_before", json_string(time_print(scope->not_before).text));
		json_object_set_new(
		        json, "not_after", json_string(time_print(scope->not_after).text));
	}
	if (row->ended_usec > 0) {
		json_object_set_new(json, "ended",
		        json_pack("{ss ss ss}", "at", time_print(row->ended_usec).text, "by",
		                row->ended_by, "reason", row->ended_reason));
	}
	json_object_set_new(json, "leaf", json_integer((json_int_t)row->leaf));
	return json;
}

static enum organization_kind kind_of(const struct center *center, const char *name)
{
	struct store_organization row = { 0 };
	enum organization_kind kind = ORGANIZATION_NONE;
	int r = store_organization_get(center->store, name, &row);

	core_must(r < 0 ? r : 0, "look for an organization");
	return r == 0 && organization_kind_parse(row.kind, &kind) == 0 ? kind : ORGANIZATION_NONE;
}

/* What each party has acknowledged of the sites of the other. */
static json_t *print_acknowledged(struct center *center, const struct agreement_scope *scope)
{
	json_t *list = json_array();

	for (size_t i = 0; i < scope->host_count; i++) {
		const struct site_entry *site = registry_site(center, scope->hosts[i].site);
		const char *other;
		struct acknowledged known;
		json_t *item;
		bool seen = false;

		for (size_t j = 0; j < i; j++) {
			seen |= text_equal(scope->hosts[i].site, scope->hosts[j].site);
		}
		if (seen || !site) {
			continue;
		}
		other = scope->parties[text_equal(site->organization, scope->parties[0]) ? 1 : 0];
		known = agreements_acknowledged(center, other, site->name);
		item = json_pack("{ss ss sI sI}", "organization", other, "site", site->name,
		        "version", (json_int_t)known.version, "active", (json_int_t)known.active);
		if (known.due_usec > 0) {
			json_object_set_new(
			        item, "due", json_string(time_print(known.due_usec).text));
		}
		json_array_append_new(list, item);
	}
	return list;
}

static json_t *print_whole(
        struct center *center, const struct store_agreement *row, const struct agreement *agreement)
{
	json_t *json = print_short(row, &agreement->scope), *text = NULL, *duties = json_array();
	struct hash digest = hash_of(row->text, strlen(row->text));
	AUTO_BUF struct buf base64 = BUF(64);
	struct err err = { 0 };
	const char *duty;

	base64_add(&base64, digest.bytes, HASH_BYTES);
	if (json_parse(row->text, strlen(row->text), &text, &err) == 0) {
		json_object_set_new(json, "agreement", text);
	}
	json_object_set_new(json, "digest", json_string(buf_text(&base64)));
	json_object_set_new(json, "missing", print_missing(center, agreement));
	json_object_set_new(json, "between",
	        json_string(relation_kind_name(relation_kind_of(
	                kind_of(center, row->party_a), kind_of(center, row->party_b)))));
	for (size_t i = 0; (duty = agreement_duty(agreement, i)); i++) {
		json_array_append_new(duties, json_string(duty));
	}
	json_object_set_new(json, "duties", duties);
	json_object_set_new(json, "acknowledged", print_acknowledged(center, &agreement->scope));
	return json;
}

static int add_row(void *context, const void *data)
{
	struct list *list = context;
	const struct store_agreement *row = data;

	list_add(list, row->name,
	        print_short(
	                row, agreement_index_get(list->exchange->center->agreements, row->name)));
	return 0;
}

void agreements_list(struct exchange *exchange)
{
	bool all = roles_any(&exchange->roles, ROLE_PROVIDER | ROLE_AUDITOR);
	struct list list;

	if (list_begin(exchange, &list) == 0) {
		core_must(store_agreement_list(exchange->center->store,
		                  all ? NULL : exchange->person->organization, list.after,
		                  list.limit, add_row, &list),
		        "list agreements");
		list_end(&list);
	}
}

/* Row and agreement of the path's name, when they concern who asks. Outcome 1: answered. */
static int get_agreement(
        struct exchange *exchange, struct store_agreement *row, struct agreement **ret_agreement)
{
	int r = store_agreement_get(exchange->center->store, exchange->parameter, row);

	core_must(r < 0 ? r : 0, "read an agreement");
	if (r == 0 && !roles_any(&exchange->roles, ROLE_PROVIDER | ROLE_AUDITOR) &&
	        party_of(exchange, row) < 0) {
		r = 1;
	}
	if (r == 0) {
		*ret_agreement = agreements_read(row);
		r = *ret_agreement ? 0 : 1;
	}
	if (r != 0) {
		store_row_clear(STORE_AGREEMENT, row);
		answer_problem(exchange, 404, "there is no such agreement");
	}
	return r;
}

void agreements_show(struct exchange *exchange)
{
	AUTO(agreement) struct agreement *agreement = NULL;
	struct store_agreement row = { 0 };

	if (get_agreement(exchange, &row, &agreement) == 0) {
		answer_json(exchange, 200, print_whole(exchange->center, &row, agreement));
		store_row_clear(STORE_AGREEMENT, &row);
	}
}

static json_t *print_stretch(const struct agreement_stretch *stretch)
{
	json_t *threats = json_object();

	for (int i = 0; i < THREAT_COUNT; i++) {
		json_object_set_new(threats, agreement_threat_name((enum agreement_threat)i),
		        json_string(stretch->by[i]));
	}
	return json_pack("{ss sb ss ss? sb so}", "from", stretch->from->point, "encrypted",
	        stretch->encrypted, "responsible", stretch->from->responsible, "to",
	        stretch->to ? stretch->to->point : NULL, "entrustment_needed",
	        stretch->entrustment_needed, "threats", threats);
}

static json_t *print_responsibility(
        const struct agreement *agreement, const struct agreement_responsibility *matrix)
{
	json_t *path = json_array(), *incidents = json_array();

	for (size_t i = 0; i < matrix->count; i++) {
		json_t *stretch = print_stretch(&matrix->stretches[i]);

		json_object_set_new(stretch, "place",
		        json_string(agreement_place_name(matrix->stretches[i].from->place)));
		json_array_append_new(path, stretch);
	}
	for (unsigned number = 1; number <= AGREEMENT_CLAUSES; number++) {
		const struct agreement_clause_info *info = agreement_clause_info(number);

		json_array_append_new(
		        incidents, json_pack("{ss si ss? ss ss}", "incident", info->incident,
		                           "clause", (int)number, "owner",
		                           agreement_incident_owner(agreement, info->incident),
		                           "text", info->english, "text_ja", info->japanese));
	}
	return json_pack("{ss so so ss ss ss? ss? ss}", "relation",
	        agreement_relation_name(agreement->relation), "path", path, "incidents", incidents,
	        "explains", matrix->explains, "result", matrix->result, "supervises",
	        matrix->supervises, "supervised", matrix->supervised, "complies", matrix->complies);
}

void agreements_responsibility(struct exchange *exchange)
{
	AUTO(agreement) struct agreement *agreement = NULL;
	struct agreement_responsibility matrix;
	struct store_agreement row = { 0 };

	if (get_agreement(exchange, &row, &agreement) != 0) {
		return;
	}
	if (agreement_responsibility(agreement, &matrix) != 0) {
		answer_problem_with(exchange, 409, "missing",
		        print_missing(exchange->center, agreement),
		        "without demarcation points and the ends of encryption nobody can tell who "
		        "answers for what");
	} else {
		answer_json(exchange, 200, print_responsibility(agreement, &matrix));
	}
	store_row_clear(STORE_AGREEMENT, &row);
}

/* --- drafting ------------------------------------------------------------ */

static bool is_organization(const struct center *center, const char *name)
{
	return kind_of(center, name) != ORGANIZATION_NONE;
}

/* Whom and what it names has to be registered, and its hosts be of the parties. Outcome 1:
 * answered.
 */
static int check_names(struct exchange *exchange, const struct agreement *agreement)
{
	const struct agreement_scope *scope = &agreement->scope;
	const struct center *center = exchange->center;

	for (size_t i = 0; i < 2; i++) {
		if (!is_organization(center, scope->parties[i])) {
			answer_problem(exchange, 400, "parties: there is no organization \"%s\"",
			        scope->parties[i]);
			return 1;
		}
	}
	for (size_t i = 0; i < scope->host_count; i++) {
		const struct site_entry *site = registry_site(center, scope->hosts[i].site);

		if (!site || (!text_equal(site->organization, scope->parties[0]) &&
		                     !text_equal(site->organization, scope->parties[1]))) {
			answer_problem(exchange, 400, "hosts[%zu]: %s is no site of a party", i,
			        scope->hosts[i].site);
			return 1;
		}
	}
	for (size_t i = 0; i < agreement->point_count; i++) {
		if (!is_organization(center, agreement->points[i].responsible)) {
			answer_problem(exchange, 400,
			        "demarcation[%zu].responsible: there is no organization \"%s\"", i,
			        agreement->points[i].responsible);
			return 1;
		}
	}
	return 0;
}

/* A draft can be written again; then its signatures are gone. Outcome 1: answered. */
static int check_draft(struct exchange *exchange, const struct agreement_scope *scope)
{
	const struct agreement_scope *known =
	        agreement_index_get(exchange->center->agreements, scope->name);

	if (exchange->person && !text_equal(exchange->person->organization, scope->parties[0]) &&
	        !text_equal(exchange->person->organization, scope->parties[1])) {
		answer_problem(exchange, 403, "parties: %s is none of them",
		        exchange->person->organization);
		return 1;
	}
	if (!known) {
		return 0;
	}
	if (known->state != AGREEMENT_STATE_DRAFT) {
		answer_problem(exchange, 409, "name: agreement %s is %s", known->name,
		        agreement_state_name(known->state));
		return 1;
	}
	for (int i = 0; i < 2; i++) {
		if (!text_equal(known->parties[i], scope->parties[i])) {
			answer_problem(exchange, 409,
			        "name: there is a draft \"%s\" of other parties already",
			        known->name);
			return 1;
		}
	}
	return 0;
}

static void keep_draft(struct exchange *exchange, struct agreement *agreement)
{
	struct center *center = exchange->center;
	AUTO_BUF struct buf text = BUF(2 * AGREEMENT_BYTES_MAX);
	AUTO_JSON json_t *document = NULL;
	struct store_agreement row = { .created_usec = clock_wall_usec() };
	struct record *record = ledger_record(center, "agreement.changed", agreement->scope.name);
	struct hash digest;
	json_t *missing = print_missing(center, agreement);
	struct err err = { 0 };

	assert_always(json_parse(exchange->request->body, exchange->request->body_bytes, &document,
	                      &err) == 0);
	json_print(document, &text);
	digest = hash_of(text.bytes, text.count);
	memcpy(row.name, agreement->scope.name, sizeof(row.name));
	snprintf(row.state, sizeof(row.state), "draft");
	memcpy(row.party_a, agreement->scope.parties[0], sizeof(row.party_a));
	memcpy(row.party_b, agreement->scope.parties[1], sizeof(row.party_b));
	row.text = (char *)buf_text(&text);
	memcpy(row.created_by, exchange->operator_name, sizeof(row.created_by));
	record_text(record, "step", "drafted");
	record_bytes(record, "digest", digest.bytes, HASH_BYTES);
	record_number(record, "missing", (int64_t)json_array_size(missing));
	row.leaf = ledger_append(center, record);
	core_must(store_agreement_put(center->store, &row), "keep an agreement");
	agreements_take(center, &row, agreement);
	answer_leaf(exchange, 201, row.leaf,
	        json_pack("{ss ss so}", "name", row.name, "state", row.state, "missing", missing));
}

void agreements_post(struct exchange *exchange)
{
	AUTO(agreement) struct agreement *agreement = NULL;
	struct err err = { 0 };

	if (agreement_parse(exchange->request->body, exchange->request->body_bytes, &agreement,
	            &err) != 0) {
		answer_problem(exchange, 400, "%s", err.text);
		return;
	}
	if (check_draft(exchange, &agreement->scope) == 0 &&
	        check_names(exchange, agreement) == 0) {
		keep_draft(exchange, agreement);
	}
}

/* --- signing and ending -------------------------------------------------- */

/* "clauses 3, 7; policies: …": what a person reads. */
static void print_lacks(const json_t *missing, struct buf *out)
{
	const char *comma = " clauses ";
	json_t *item;
	size_t i;

	json_array_foreach(missing, i, item)
	{
		if (json_object_get(item, "number")) {
			buf_add_format(out, "%s%d", comma,
			        (int)json_integer_value(json_object_get(item, "number")));
			comma = ", ";
		}
	}
	comma = *comma == ',' ? "; " : " ";
	json_array_foreach(missing, i, item)
	{
		if (!json_object_get(item, "number")) {
			buf_add_format(out, "%s%s", comma,
			        json_string_value(json_object_get(item, "text")));
			comma = "; ";
		}
	}
}

/* Outcome 1: answered. */
static int check_complete(struct exchange *exchange, const struct agreement *agreement)
{
	json_t *missing = print_missing(exchange->center, agreement);
	AUTO_BUF struct buf text = BUF(ERR_TEXT_BYTES_MAX);

	if (json_array_size(missing) == 0) {
		json_decref(missing);
		return 0;
	}
	print_lacks(missing, &text);
	answer_problem_with(
	        exchange, 409, "missing", missing, "the agreement lacks%s", buf_text(&text));
	return 1;
}

/* Whether this person can sign for its party now. Outcome 1: answered. */
static int check_signer(struct exchange *exchange, const struct store_agreement *row, int party)
{
	const char *signer = party == 0 ? row->signer_a : row->signer_b;
	const char *other = party == 0 ? row->signer_b : row->signer_a;

	if (!text_equal(row->state, "draft")) {
		answer_problem(exchange, 409, "the agreement is %s", row->state);
	} else if (*signer) {
		answer_problem(exchange, 409, "%s has signed it already", signer);
	} else if (persons_same(exchange->person, persons_get(exchange->center, other))) {
		answer_problem(exchange, 403, "one person cannot sign for both parties");
	} else {
		return 0;
	}
	return 1;
}

/* Who signs has seen the policies of the other party's sites as they are now (H11). */
static json_t *acknowledge_sites(
        struct exchange *exchange, const struct agreement_scope *scope, const char *organization)
{
	struct center *center = exchange->center;
	json_t *versions = json_object();

	for (size_t i = 0; i < scope->host_count; i++) {
		const struct site_entry *site = registry_site(center, scope->hosts[i].site);
		uint64_t version = site && site->policy ? site_policy_version(site->policy) : 0;

		if (!site || text_equal(site->organization, organization) ||
		        json_object_get(versions, site->name)) {
			continue;
		}
		agreements_acknowledge(
		        center, organization, site->name, version, exchange->person->name);
		json_object_set_new(versions, site->name, json_integer((json_int_t)version));
	}
	return versions;
}

static void sign(struct exchange *exchange, struct store_agreement *row,
        struct agreement *agreement, int party)
{
	struct center *center = exchange->center;
	struct record *record = ledger_record(center, "agreement.changed", row->name);
	struct hash digest = hash_of(row->text, strlen(row->text));
	const char *person = exchange->person->name;
	int64_t now = clock_wall_usec();

	ledger_begin(center);
	if (party == 0) {
		snprintf(row->signer_a, sizeof(row->signer_a), "%s", person);
		row->signed_a_usec = now;
	} else {
		snprintf(row->signer_b, sizeof(row->signer_b), "%s", person);
		row->signed_b_usec = now;
	}
	if (*row->signer_a && *row->signer_b) {
		snprintf(row->state, sizeof(row->state), "in-force");
	}
	record_text(record, "step", "signed");
	record_text(record, "organization", party == 0 ? row->party_a : row->party_b);
	record_text(record, "state", row->state);
	record_bytes(record, "digest", digest.bytes, HASH_BYTES);
	record_json(record, "acknowledged",
	        acknowledge_sites(
	                exchange, &agreement->scope, party == 0 ? row->party_a : row->party_b));
	row->leaf = ledger_append(center, record);
	core_must(store_agreement_put(center->store, row), "keep an agreement");
	agreements_take(center, row, agreement);
	answer_leaf(exchange, 200, row->leaf,
	        json_pack("{ss ss}", "name", row->name, "state", row->state));
}

void agreements_sign(struct exchange *exchange)
{
	AUTO(agreement) struct agreement *agreement = NULL;
	struct store_agreement row = { 0 };
	int party;

	if (get_agreement(exchange, &row, &agreement) != 0) {
		return;
	}
	party = party_of(exchange, &row);
	if (party < 0) {
		answer_problem(exchange, 403, "only the parties sign");
	} else if (check_signer(exchange, &row, party) == 0 &&
	           check_complete(exchange, agreement) == 0) {
		if (agreement->scope.not_after <= clock_wall_usec()) {
			answer_problem(exchange, 409, "not_after: its time is over");
		} else {
			sign(exchange, &row, agreement, party);
		}
	}
	store_row_clear(STORE_AGREEMENT, &row);
}

static const struct json_field end_fields[] = {
	{ "reason", FIELD_TEXT, 0, true, 1, STORE_REASON_BYTES_MAX, NULL, NULL, false },
	{ 0 },
};

static void end(struct exchange *exchange, struct store_agreement *row, struct agreement *agreement,
        const char *reason)
{
	struct center *center = exchange->center;
	struct record *record = ledger_record(center, "agreement.changed", row->name);

	record_text(record, "step", "ended");
	record_text(record, "organization", exchange->person->organization);
	record_text(record, "reason", reason);
	snprintf(row->state, sizeof(row->state), "ended");
	memcpy(row->ended_by, exchange->operator_name, sizeof(row->ended_by));
	snprintf(row->ended_reason, sizeof(row->ended_reason), "%s", reason);
	row->ended_usec = clock_wall_usec();
	row->leaf = ledger_append(center, record);
	core_must(store_agreement_put(center->store, row), "end an agreement");
	agreements_take(center, row, agreement);
	agreements_review(center, agreement_index_get(center->agreements, row->name));
	answer_leaf(exchange, 200, row->leaf,
	        json_pack("{ss ss}", "name", row->name, "state", row->state));
}

void agreements_end(struct exchange *exchange)
{
	char reason[STORE_REASON_BYTES_MAX + 1] = "";
	AUTO(agreement) struct agreement *agreement = NULL;
	struct store_agreement row = { 0 };

	if (get_agreement(exchange, &row, &agreement) != 0) {
		return;
	}
	if (party_of(exchange, &row) < 0) {
		answer_problem(exchange, 403, "only the parties end it");
	} else if (text_equal(row.state, "ended")) {
		answer_problem(exchange, 409, "the agreement is ended already");
	} else if (exchange_body(exchange, end_fields, reason) == 0) {
		end(exchange, &row, agreement, reason);
	}
	store_row_clear(STORE_AGREEMENT, &row);
}

/* --- acknowledging a policy ---------------------------------------------- */

static const struct json_field version_fields[] = {
	{ "version", FIELD_COUNT, 0, true, 1, 0, NULL, NULL, false },
	{ 0 },
};

void policies_acknowledge(struct exchange *exchange)
{
	struct center *center = exchange->center;
	const struct site_entry *site = registry_site(center, exchange->parameter);
	const char *organization = exchange->person->organization;
	struct record *record;
	uint64_t version = 0;

	if (!site || !site->policy || text_equal(site->organization, organization)) {
		answer_problem(exchange, 404, "there is no such site of another organization");
		return;
	}
	if (exchange_body(exchange, version_fields, &version) != 0) {
		return;
	}
	if (version != site_policy_version(site->policy)) {
		answer_problem(exchange, 409, "version: the active policy of %s is version %llu",
		        site->name, (unsigned long long)site_policy_version(site->policy));
		return;
	}
	record = ledger_record(center, "policy.acknowledged", site->name);
	record_text(record, "organization", organization);
	record_number(record, "version", (int64_t)version);
	agreements_acknowledge(center, organization, site->name, version, exchange->person->name);
	answer_leaf(exchange, 200, ledger_append(center, record), NULL);
}

/* The sites that agreements in force let an organization's own hosts meet. */
struct others {
	const struct center *center;
	const char *organization;
	const char **sites; /* borrowed; one may be there several times */
	size_t count, room;
};

static void add_others(void *context, const struct agreement_scope *scope)
{
	struct others *others = context;

	if (!text_equal(scope->parties[0], others->organization) &&
	        !text_equal(scope->parties[1], others->organization)) {
		return;
	}
	for (size_t i = 0; i < scope->host_count; i++) {
		const struct site_entry *site = registry_site(others->center, scope->hosts[i].site);

		if (!site || text_equal(site->organization, others->organization)) {
			continue;
		}
		if (others->count == others->room) {
			others->room = others->room ? 2 * others->room : 16;
			others->sites =
			        mem_resize(others->sites, others->room, sizeof(*others->sites));
		}
		others->sites[others->count++] = site->name;
	}
}

static int order_names(const void *left, const void *right)
{
	return strcmp(*(const char *const *)left, *(const char *const *)right);
}

void policies_unacknowledged(struct exchange *exchange)
{
	struct center *center = exchange->center;
	const char *organization = exchange->person->organization, *before = "";
	struct others others = { center, organization, NULL, 0, 0 };
	struct list list;

	if (list_begin(exchange, &list) != 0) {
		return;
	}
	agreement_index_each_over(center->agreements, INT64_MAX, add_others, &others);
	if (others.count > 0) {
		qsort(others.sites, others.count, sizeof(*others.sites), order_names);
	}
	for (size_t i = 0; i < others.count && json_array_size(list.items) < list.limit; i++) {
		const char *site = others.sites[i];
		struct acknowledged known;

		if (strcmp(site, list.after) <= 0 || text_equal(site, before)) {
			continue;
		}
		before = site;
		known = agreements_acknowledged(center, organization, site);
		if (known.due_usec > 0) {
			list_add(&list, site,
			        json_pack("{ss sI sI ss}", "site", site, "version",
			                (json_int_t)known.version, "active",
			                (json_int_t)known.active, "due",
			                time_print(known.due_usec).text));
		}
	}
	free(others.sites);
	list_end(&list);
}
