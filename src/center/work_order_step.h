/* What the files of the work order machine share; nobody else includes this. */
#pragma once

#include "audit/record.h"
#include "base/clock.h"
#include "center/names.h"
#include "center/work_order.h"

struct work_machine {
	struct work_world world;
	struct work_settings settings;
	struct names *by_id;
	struct work_order **orders; /* all that are open */
	size_t count, room;
	struct work_order **over; /* left the machine in the newest input */
	size_t over_count, over_room;
};

/* One input on its way. */
struct work_turn {
	struct work_machine *machine;
	int64_t now;
	struct work_actions *actions;
	const char *by; /* a person, or "center" */
	struct err *err;
};

/* Frees what left the machine in the input before. Every input begins with it. */
void work_turn_begin(struct work_turn *turn);

/* Outcome WORK_UNKNOWN, with err. */
enum work_outcome work_turn_find(
        struct work_turn *turn, const char *id, struct work_order **ret_order) must_use;

/* Outcome WORK_CONFLICT unless the order is in `state`; `step` names what was tried. */
enum work_outcome work_turn_expect(struct work_turn *turn, const struct work_order *order,
        enum work_state state, const char *step) must_use;

/* Outcome WORK_FORBIDDEN unless `by` is the worker, is active and may report work. */
enum work_outcome work_turn_worker(struct work_turn *turn, const struct work_order *order) must_use;
/* For what is owed after the end: the worker or, when the worker has left or may not work any more,
 * a colleague of the same organization who may (G3: the deletion and the report are owed all the
 * same). */
enum work_outcome work_turn_reporter(
        struct work_turn *turn, const struct work_order *order) must_use;
/* Outcome WORK_FORBIDDEN unless `person` is active, may approve, is of the site's organization and
 * is neither the worker nor the applicant, under any account. */
enum work_outcome work_turn_approver(
        struct work_turn *turn, const struct work_order *order, const char *person) must_use;

struct work_action *work_turn_push(
        struct work_turn *turn, enum work_action_type type, struct work_order *order);
/* A record about the order; what more belongs in it is added before work_turn_step(). */
struct record *work_turn_record(
        struct work_turn *turn, const struct work_order *order, const char *kind, const char *step);
/* The order changed: record (adopted), row, mail; it leaves the machine when it is over. */
void work_turn_step(struct work_turn *turn, struct work_order *order, struct record *record,
        enum work_mail mail);
/* The order goes to `state`, `reason` may be NULL. */
void work_turn_to(struct work_turn *turn, struct work_order *order, enum work_state state,
        const char *reason);
void work_turn_cut(struct work_turn *turn, struct work_order *order, const char *reason);
void work_turn_add(struct work_machine *machine, struct work_order *order);
