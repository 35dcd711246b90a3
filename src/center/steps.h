/* Steps of the procedure a to l as they are done: stored and recorded, each with its ledger leaf.
 */
#pragma once

#include "center/core.h"
#include "center/procedure.h"

/* Checks the order and does the step: `row` gets the bit and is stored, the register follows. The
 * record may already have data (made by steps_record()); it is adopted in every case. Outcomes of
 * procedure_check(); for PROCEDURE_DONE_ALREADY `ret_leaf` is the leaf of then. */
int steps_do(struct center *center, struct store_procedure *row, enum procedure_step step,
        struct record *record, uint64_t *ret_leaf, struct err *err) must_use;
struct record *steps_record(
        struct center *center, const struct store_procedure *row, enum procedure_step step);

/* Steps j, k, l happen when the gateway does something; out of order they do not happen. */
void steps_done_by_itself(struct center *center, struct gateway *gateway, enum procedure_step step);

/* The leaf of a step that was done. */
uint64_t steps_leaf(struct center *center, const char *gateway, enum procedure_step step);
