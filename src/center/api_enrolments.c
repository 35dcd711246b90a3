/* A person's word on requests for service certificates (step h). */
#include <stdio.h>
#include <string.h>

#include "center/issue.h"
#include "center/ledger.h"
#include "center/routes.h"

static json_t *print_enrolment(const struct store_enrolment *row)
{
	char hash[2 * STORE_HASH_BYTES + 1];
	json_t *json;

	hex_print(row->csr_hash, STORE_HASH_BYTES, hash);
	json = json_pack("{ss ss ss ss ss}", "id", row->id, "gateway", row->gateway, "state",
	        row->state, "created", time_print(row->created_usec).text, "csr_sha256", hash);
	if (*row->decided_by) {
		json_object_set_new(json, "decided_by", json_string(row->decided_by));
		json_object_set_new(
		        json, "decided", json_string(time_print(row->decided_usec).text));
	}
	if (*row->certificate_serial) {
		json_object_set_new(json, "serial", json_string(row->certificate_serial));
	}
	return json;
}

static int add_enrolment(void *context, const void *data)
{
	const struct store_enrolment *row = data;

	list_add(context, row->id, print_enrolment(row));
	return 0;
}

void enrolments_list(struct exchange *exchange)
{
	struct list list;

	if (list_begin(exchange, &list) == 0) {
		core_must(store_enrolment_list(exchange->center->store, list.after, list.limit,
		                  add_enrolment, &list),
		        "list enrolments");
		list_end(&list);
	}
}

/* Outcome 1: answered. */
static int get_waiting(struct exchange *exchange, struct store_enrolment *row)
{
	int r = store_enrolment_get(exchange->center->store, exchange->parameter, row);

	core_must(r < 0 ? r : 0, "read an enrolment");
	if (r != 0) {
		answer_problem(exchange, 404, "there is no such enrolment");
		return 1;
	}
	if (!text_equal(row->state, "waiting")) {
		answer_problem(exchange, 409, "the enrolment is %s already", row->state);
		store_row_clear(STORE_ENROLMENT, row);
		return 1;
	}
	return 0;
}

void enrolments_approve(struct exchange *exchange)
{
	struct store_enrolment row = { 0 };
	struct err err = { 0 };
	uint64_t leaf = 0;

	if (get_waiting(exchange, &row) != 0) {
		return;
	}
	if (issue_approve(exchange->center, &row, &leaf, &err) != 0) {
		answer_problem(exchange, 409, "%s", err.text);
	} else {
		answer_leaf(exchange, 200, leaf, print_enrolment(&row));
	}
	store_row_clear(STORE_ENROLMENT, &row);
}

void enrolments_refuse(struct exchange *exchange)
{
	struct center *center = exchange->center;
	struct store_enrolment row = { 0 };
	struct record *record;

	if (get_waiting(exchange, &row) != 0) {
		return;
	}
	snprintf(row.state, sizeof(row.state), "refused");
	snprintf(row.decided_by, sizeof(row.decided_by), "%s", exchange->operator_name);
	row.decided_usec = clock_wall_usec();
	record = ledger_record(center, "enrolment.refused", row.gateway);
	record_text(record, "enrolment", row.id);
	ledger_begin(center);
	core_must(store_enrolment_put(center->store, &row), "keep an enrolment");
	answer_leaf(exchange, 200, ledger_append(center, record), print_enrolment(&row));
	store_row_clear(STORE_ENROLMENT, &row);
}
