#include "center/steps.h"

#include <stdio.h>

#include "center/ledger.h"
#include "center/registry.h"

struct record *steps_record(
        struct center *center, const struct store_procedure *row, enum procedure_step step)
{
	struct record *record = ledger_record(center, procedure_record(step), row->gateway);
	char letter[2] = { procedure_letter(step), '\0' };

	record_text(record, "step", letter);
	record_text(record, "site", row->site);
	if (*row->maker) {
		record_text(record, "maker", row->maker);
	}
	return record;
}

struct search {
	uint64_t step, leaf;
};

static int match_step(void *context, const void *row)
{
	struct search *search = context;
	const struct store_step *step = row;

	if (step->step == search->step) {
		search->leaf = step->leaf;
	}
	return 0;
}

uint64_t steps_leaf(struct center *center, const char *gateway, enum procedure_step step)
{
	struct search search = { .step = step };

	core_must(store_step_list(center->store, gateway, match_step, &search), "read the steps");
	return search.leaf;
}

int steps_do(struct center *center, struct store_procedure *row, enum procedure_step step,
        struct record *record, uint64_t *ret_leaf, struct err *err)
{
	struct store_step done = { .step = step, .at_usec = clock_wall_usec() };
	int r = procedure_check(row->steps, step, err);

	if (r != 0) {
		record_free(record);
		if (r == PROCEDURE_DONE_ALREADY) {
			*ret_leaf = steps_leaf(center, row->gateway, step);
		}
		return r;
	}
	row->steps |= PROCEDURE_BIT(step);
	*ret_leaf = ledger_append(center, record);
	core_must(store_procedure_put(center->store, row), "keep a procedure");
	snprintf(done.gateway, sizeof(done.gateway), "%s", row->gateway);
	snprintf(
	        done.by, sizeof(done.by), "%s", center->actor_name ? center->actor_name : "center");
	done.leaf = *ret_leaf;
	core_must(store_step_put(center->store, &done), "keep a step");
	registry_take_procedure(center, row);
	return 0;
}

void steps_done_by_itself(struct center *center, struct gateway *gateway, enum procedure_step step)
{
	struct store_procedure row = { 0 };
	uint64_t leaf;
	int r;

	if (procedure_check(gateway->steps, step, NULL) != 0) {
		return;
	}
	r = store_procedure_get(center->store, gateway->name, &row);
	core_must(r < 0 ? r : 0, "read a procedure");
	if (r == 0) {
		r = steps_do(center, &row, step, steps_record(center, &row, step), &leaf, NULL);
		core_must(r < 0 ? r : 0, "do a step");
	}
	store_row_clear(STORE_PROCEDURE, &row);
}
