/* Who may use the operator interface. A token is shown once; only its hash is kept (A37). */
#include <stdio.h>
#include <string.h>

#include "center/ledger.h"
#include "center/routes.h"

struct new_operator {
	char name[NAME_BYTES_MAX + 1];
	json_t *roles;
	uint64_t days;
};

static const struct json_field fields[] = {
	{ "name", FIELD_NAME, offsetof(struct new_operator, name), true, 0, 0, NULL, NULL, false },
	{ "roles", FIELD_LIST, offsetof(struct new_operator, roles), true, 1, ROLES_COUNT_MAX, NULL,
	        NULL, false },
	{ "days", FIELD_COUNT, offsetof(struct new_operator, days), false, 1, 366, NULL, NULL,
	        false },
	{ 0 },
};

/* The list of roles as the one text that is stored. */
static int join_roles(json_t *list, char *out, size_t out_bytes, struct err *err)
{
	struct roles roles;
	size_t used = 0;

	*out = '\0';
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *text;

		if (json_item_string(list, "roles", i, 2 * NAME_BYTES_MAX, &text, err) != 0) {
			return 1;
		}
		if (used + strlen(text) + 2 > out_bytes || strchr(text, ' ')) {
			return err_set(err, 1, "roles[%zu]: is not a role", i);
		}
		used += (size_t)snprintf(
		        out + used, out_bytes - used, "%s%s", i > 0 ? " " : "", text);
	}
	return roles_parse(out, &roles, err) != 0 ? err_wrap(err, 1, "roles") : 0;
}

void operators_post(struct exchange *exchange)
{
	struct center *center = exchange->center;
	struct new_operator wanted = { .days = 90 };
	struct store_operator row = { .created_usec = clock_wall_usec() }, known = { 0 };
	AUTO_JSON json_t *body = NULL;
	struct token_text token;
	struct record *record;
	struct err err = { 0 };
	int r = json_read(exchange->request->body, exchange->request->body_bytes, fields, &wanted,
	        &body, &err);

	if (r == 0) {
		r = join_roles(wanted.roles, row.roles, sizeof(row.roles), &err);
	}
	if (r != 0) {
		answer_problem(exchange, 400, "%s", err.text);
		return;
	}
	r = store_operator_get(center->store, wanted.name, &known);
	core_must(r < 0 ? r : 0, "look for an operator");
	if (r == 0) {
		answer_problem(
		        exchange, 409, "name: there is an operator \"%s\" already", wanted.name);
		return;
	}
	memcpy(row.name, wanted.name, sizeof(row.name));
	row.expires_usec = row.created_usec + (int64_t)wanted.days * 24 * 3600 * USEC_PER_SEC;
	token = exchange_token_new(row.token_hash);
	record = ledger_record(center, "operator.added", row.name);
	record_text(record, "roles", row.roles);
	record_time(record, "expires", row.expires_usec);
	ledger_begin(center);
	core_must(store_operator_put(center->store, &row), "keep an operator");
	answer_leaf(exchange, 201, ledger_append(center, record),
	        json_pack("{ss ss ss}", "name", row.name, "token", token.text, "expires",
	                time_print(row.expires_usec).text));
	mem_wipe(&token, sizeof(token));
}

static int add_operator(void *context, const void *data)
{
	const struct store_operator *row = data;

	list_add(context, row->name,
	        json_pack("{ss ss ss ss}", "name", row->name, "roles", row->roles, "created",
	                time_print(row->created_usec).text, "expires",
	                time_print(row->expires_usec).text));
	return 0;
}

void operators_list(struct exchange *exchange)
{
	struct list list;

	if (list_begin(exchange, &list) == 0) {
		core_must(store_operator_list(exchange->center->store, list.after, list.limit,
		                  add_operator, &list),
		        "list operators");
		list_end(&list);
	}
}

void operators_delete(struct exchange *exchange)
{
	struct center *center = exchange->center;
	struct store_operator row = { 0 };
	int r = store_operator_get(center->store, exchange->parameter, &row);

	core_must(r < 0 ? r : 0, "look for an operator");
	if (r != 0) {
		answer_problem(exchange, 404, "there is no such operator");
		return;
	}
	if (text_equal(row.name, exchange->operator_name)) {
		answer_problem(
		        exchange, 409, "nobody can take away the own token: ask another provider");
		return;
	}
	ledger_begin(center);
	core_must(store_operator_delete(center->store, row.name), "delete an operator");
	answer_leaf(exchange, 200,
	        ledger_append(center, ledger_record(center, "operator.removed", row.name)), NULL);
}
