/* The shell around the work order machine: persons, sites and policies in; records, rows, mails,
 * connections and cuts out. */
#pragma once

#include "center/core.h"
#include "center/work_order.h"

/* Restores what was open. Before live_open(), whose connections rest on work orders. */
int work_orders_open(struct center *center, struct err *err) must_use;
/* Takes over the configuration's times. */
void work_orders_configure(struct center *center);
void work_orders_tick(struct center *center);

/* What an input's actions came to. */
struct work_result {
	uint64_t leaf;
	json_t *connections; /* for each target asked for {"from","to",…,"id"} or {…,"layers"};
	                        NULL: none; the caller's */
};
/* Carries out the actions of one input and empties the list. */
void work_orders_run(
        struct center *center, struct work_actions *actions, struct work_result *ret_result);

/* A stored order that is not open any more, or is: whole. Outcome 1: there is none. */
int work_orders_read(struct center *center, const char *id, struct work_order **ret_order) must_use;
/* A row of the store as an order. Outcome 1: damaged. */
int work_orders_unpack(struct center *center, const struct store_work_order *stored,
        struct work_order **ret_order) must_use;

/* Fills the work order and the approvals of the facts of a connection. `grant` as in
 * connection_world.facts. */
void work_orders_fact(struct center *center, const struct policy_request *request,
        const struct grant *grant, int64_t now, struct policy_facts *facts);
/* The approvals that travel with a grant of this work order (protocol.md 3); the caller's. */
json_t *work_orders_approvals(struct center *center, const char *id);
/* A connection that names this order was granted. */
void work_orders_connected(struct center *center, const char *id);
/* What connection_ask() needs for a target of the order. */
void work_orders_request(const struct work_order *order, const struct work_target *target,
        struct policy_request *ret_request);
