/* The work order machine (work_order.h has the picture): the table of orders, and what all of its
 * steps have in common. */
#include "center/work_order.h"

#include <stdio.h>
#include <string.h>

#include "center/work_order_step.h"

static const struct {
	const char *name, *japanese;
	bool open;
} states[WORK_STATE_COUNT] = {
	[WORK_NONE] = { "", "", false },
	[WORK_APPLIED] = { "applied", "申請中", true },
	[WORK_APPROVED] = { "approved", "承認済み", true },
	[WORK_WORKING] = { "working", "作業中", true },
	[WORK_ENDED] = { "ended", "作業終了", true },
	[WORK_DELETED] = { "deleted", "データ削除済み", true },
	[WORK_REPORTED] = { "reported", "報告済み", true },
	[WORK_CLOSED] = { "closed", "完了", false },
	[WORK_REFUSED] = { "refused", "却下", false },
	[WORK_WITHDRAWN] = { "withdrawn", "取下げ", false },
	[WORK_EXPIRED] = { "expired", "期限切れ", false },
};

const char *work_state_name(enum work_state state)
{
	return state > WORK_NONE && state < WORK_STATE_COUNT ? states[state].name : "";
}

const char *work_state_japanese(enum work_state state)
{
	return state > WORK_NONE && state < WORK_STATE_COUNT ? states[state].japanese : "";
}

int work_state_parse(const char *name, enum work_state *ret_state)
{
	for (int i = WORK_APPLIED; i < WORK_STATE_COUNT; i++) {
		if (text_equal(states[i].name, name)) {
			*ret_state = (enum work_state)i;
			return 0;
		}
	}
	return 1;
}

bool work_state_is_open(enum work_state state)
{
	return state > WORK_NONE && state < WORK_STATE_COUNT && states[state].open;
}

struct work_order *work_order_free(struct work_order *order)
{
	if (order) {
		for (size_t i = 0; i < order->approval_count; i++) {
			free(order->approvals[i].seal);
		}
		free(order->approvals);
		free(order->asked);
		free(order->deletion);
		free(order->report);
		free(order);
	}
	return NULL;
}

const struct work_approval *work_order_approval(const struct work_order *order, int64_t now)
{
	const struct work_approval *found = NULL;

	for (size_t i = 0; i < order->approval_count; i++) {
		const struct work_approval *at = &order->approvals[i];

		if (at->kind != APPROVAL_OF_REVIEW && at->not_before <= now &&
		        now < at->not_after && (!found || at->not_after > found->not_after)) {
			found = at;
		}
	}
	return found;
}

int64_t work_order_end(const struct work_order *order)
{
	int64_t end = 0;

	for (size_t i = 0; i < order->approval_count; i++) {
		const struct work_approval *at = &order->approvals[i];

		if (at->kind != APPROVAL_OF_REVIEW && at->not_after > end) {
			end = at->not_after;
		}
	}
	return end > 0 ? end : order->terms.not_after;
}

/* --- actions ------------------------------------------------------------- */

void work_actions_reset(struct work_actions *actions)
{
	for (size_t i = 0; i < actions->count; i++) {
		record_free(actions->items[i].record);
	}
	actions->count = 0;
}

void work_actions_clear(struct work_actions *actions)
{
	work_actions_reset(actions);
	free(actions->items);
	*actions = (struct work_actions){ 0 };
}

struct work_action *work_turn_push(
        struct work_turn *turn, enum work_action_type type, struct work_order *order)
{
	struct work_actions *actions = turn->actions;

	if (actions->count == actions->room) {
		actions->room = actions->room ? 2 * actions->room : 16;
		actions->items =
		        mem_resize(actions->items, actions->room, sizeof(struct work_action));
	}
	actions->items[actions->count] = (struct work_action){ .type = type, .order = order };
	return &actions->items[actions->count++];
}

/* --- the machine --------------------------------------------------------- */

struct work_machine *work_machine_new(
        const struct work_world *world, const struct work_settings *settings)
{
	struct work_machine *machine = mem_new(1, sizeof(*machine));

	machine->world = *world;
	machine->settings = *settings;
	machine->by_id = names_new();
	return machine;
}

void work_machine_set(struct work_machine *machine, const struct work_settings *settings)
{
	machine->settings = *settings;
}

static void free_over(struct work_machine *machine)
{
	for (size_t i = 0; i < machine->over_count; i++) {
		work_order_free(machine->over[i]);
	}
	machine->over_count = 0;
}

struct work_machine *work_machine_free(struct work_machine *machine)
{
	if (machine) {
		free_over(machine);
		for (size_t i = 0; i < machine->count; i++) {
			work_order_free(machine->orders[i]);
		}
		names_free(machine->by_id);
		free(machine->orders);
		free(machine->over);
		free(machine);
	}
	return NULL;
}

static void append(struct work_order ***list, size_t *count, size_t *room, struct work_order *order)
{
	if (*count == *room) {
		*room = *room ? 2 * *room : 16;
		*list = mem_resize(*list, *room, sizeof(struct work_order *));
	}
	(*list)[(*count)++] = order;
}

void work_turn_add(struct work_machine *machine, struct work_order *order)
{
	append(&machine->orders, &machine->count, &machine->room, order);
	names_put(machine->by_id, order->terms.work_order.text, order);
}

int work_restore(struct work_machine *machine, struct work_order *order)
{
	if (!work_state_is_open(order->state) ||
	        names_get(machine->by_id, order->terms.work_order.text)) {
		work_order_free(order);
		return 1;
	}
	work_turn_add(machine, order);
	return 0;
}

const struct work_order *work_find(const struct work_machine *machine, const char *id)
{
	return names_get(machine->by_id, id);
}

size_t work_count(const struct work_machine *machine)
{
	return machine->count;
}

void work_list(const struct work_machine *machine, work_each *each, void *context)
{
	for (size_t i = 0; i < machine->count; i++) {
		each(context, machine->orders[i]);
	}
}

bool work_review_overdue(const struct work_machine *machine, const char *organization, int64_t now)
{
	for (size_t i = 0; i < machine->count; i++) {
		const struct work_order *order = machine->orders[i];

		if (order->emergency && !order->reviewed && order->review_due <= now &&
		        text_equal(order->organization, organization)) {
			return true;
		}
	}
	return false;
}

/* --- what steps share ---------------------------------------------------- */

void work_turn_begin(struct work_turn *turn)
{
	free_over(turn->machine);
}

enum work_outcome work_turn_find(
        struct work_turn *turn, const char *id, struct work_order **ret_order)
{
	*ret_order = names_get(turn->machine->by_id, id);
	return *ret_order ? WORK_DONE
	                  : err_set(turn->err, WORK_UNKNOWN, "there is no open work order %s", id);
}

enum work_outcome work_turn_expect(struct work_turn *turn, const struct work_order *order,
        enum work_state state, const char *step)
{
	if (order->state == state) {
		return WORK_DONE;
	}
	return err_set(turn->err, WORK_CONFLICT, "work order %s is %s: to %s it must be %s",
	        order->terms.work_order.text, work_state_name(order->state), step,
	        work_state_name(state));
}

/* Whether this person may work for the order's organization now. */
static enum work_outcome check_worker(
        struct work_turn *turn, const struct work_order *order, const char *name)
{
	struct work_world *world = &turn->machine->world;
	struct work_person person = { 0 };

	if (world->person(world->context, name, &person) != 0) {
		return err_set(
		        turn->err, WORK_FORBIDDEN, "%s is not registered or not active", name);
	}
	if (!person.may_report) {
		return err_set(turn->err, WORK_FORBIDDEN, "%s has no role that may work", name);
	}
	if (!text_equal(person.organization, order->organization)) {
		return err_set(turn->err, WORK_FORBIDDEN, "%s is no longer of %s", name,
		        order->organization);
	}
	return WORK_DONE;
}

enum work_outcome work_turn_worker(struct work_turn *turn, const struct work_order *order)
{
	if (!text_equal(turn->by, order->terms.worker)) {
		return err_set(turn->err, WORK_FORBIDDEN, "only the worker, %s, may do this",
		        order->terms.worker);
	}
	return check_worker(turn, order, turn->by);
}

enum work_outcome work_turn_reporter(struct work_turn *turn, const struct work_order *order)
{
	if (text_equal(turn->by, order->terms.worker) ||
	        check_worker(turn, order, order->terms.worker) != WORK_DONE) {
		return check_worker(turn, order, turn->by);
	}
	return err_set(
	        turn->err, WORK_FORBIDDEN, "only the worker, %s, may do this", order->terms.worker);
}

/* A14: nobody approves what he asked for himself, whatever account he uses. */
static bool same_person(
        struct work_machine *machine, const char *other, const struct work_person *person)
{
	struct work_person account = { 0 };

	return machine->world.person(machine->world.context, other, &account) == 0 &&
	       *account.natural_person &&
	       text_equal(account.natural_person, person->natural_person);
}

enum work_outcome work_turn_approver(
        struct work_turn *turn, const struct work_order *order, const char *name)
{
	struct work_world *world = &turn->machine->world;
	struct work_person person = { 0 };

	if (text_equal(name, order->terms.worker) || text_equal(name, order->applicant)) {
		return err_set(turn->err, WORK_FORBIDDEN,
		        "%s asked for this: nobody approves the own work", name);
	}
	if (world->person(world->context, name, &person) != 0) {
		return err_set(turn->err, WORK_FORBIDDEN,
		        "approver %s is not registered or not "
		        "active",
		        name);
	}
	if (!person.may_approve) {
		return err_set(
		        turn->err, WORK_FORBIDDEN, "%s has no role that may approve work", name);
	}
	if (!text_equal(person.organization, order->site_organization)) {
		return err_set(turn->err, WORK_FORBIDDEN, "%s is of %s; %s belongs to %s", name,
		        person.organization, order->terms.site, order->site_organization);
	}
	if (same_person(turn->machine, order->terms.worker, &person) ||
	        same_person(turn->machine, order->applicant, &person)) {
		return err_set(turn->err, WORK_FORBIDDEN,
		        "%s and who asked for this are accounts of the same person", name);
	}
	return WORK_DONE;
}

struct record *work_turn_record(
        struct work_turn *turn, const struct work_order *order, const char *kind, const char *step)
{
	struct record *record = record_begin(kind, turn->now);
	bool center = text_equal(turn->by, "center");

	record_actor(record, center ? "center" : "person", center ? NULL : turn->by);
	record_subject(record, order->terms.work_order.text);
	record_text(record, "step", step);
	record_text(record, "state", work_state_name(order->state));
	record_text(record, "site", order->terms.site);
	record_text(record, "worker", order->terms.worker);
	record_text(record, "organization", order->organization);
	record_number(record, "revision", (int64_t)order->terms.revision);
	record_flag(record, "emergency", order->emergency);
	if (*order->reason) {
		record_text(record, "reason", order->reason);
	}
	return record;
}

void work_turn_to(
        struct work_turn *turn, struct work_order *order, enum work_state state, const char *reason)
{
	order->state = state;
	order->changed_at = turn->now;
	snprintf(order->by, sizeof(order->by), "%s", turn->by);
	snprintf(order->reason, sizeof(order->reason), "%s", reason ? reason : "");
}

void work_turn_cut(struct work_turn *turn, struct work_order *order, const char *reason)
{
	work_turn_push(turn, WORK_CUT, order)->reason = reason;
}

static void leave(struct work_machine *machine, struct work_order *order)
{
	for (size_t i = 0; i < machine->count; i++) {
		if (machine->orders[i] == order) {
			machine->orders[i] = machine->orders[--machine->count];
			break;
		}
	}
	names_remove(machine->by_id, order->terms.work_order.text);
	append(&machine->over, &machine->over_count, &machine->over_room, order);
}

void work_turn_step(struct work_turn *turn, struct work_order *order, struct record *record,
        enum work_mail mail)
{
	work_turn_push(turn, WORK_RECORD, order)->record = record;
	work_turn_push(turn, WORK_STORE, order);
	if (mail < WORK_MAIL_COUNT) {
		work_turn_push(turn, WORK_MAIL, order)->mail = mail;
	}
	if (!work_state_is_open(order->state)) {
		leave(turn->machine, order);
	}
}
