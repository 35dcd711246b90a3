/* The work order machine: beginning, ending, reporting, and what time does. */
#include <stdio.h>
#include <string.h>

#include "center/work_order_step.h"

/* --- beginning ----------------------------------------------------------- */

/* Whether the permission still stands, with everybody who gave it (protocol.md 6.1: everything is
 * decided again at begin). */
static enum work_outcome check_permission(struct work_turn *turn, const struct work_order *order)
{
	const struct work_approval *approval = work_order_approval(order, turn->now);
	struct work_world *world = &turn->machine->world;

	if (!approval) {
		const struct work_approval *first = order->approvals;

		return turn->now < first->not_before
		               ? err_set(turn->err, WORK_CONFLICT, "the window of %s begins at %s",
		                         order->terms.work_order.text,
		                         time_print(first->not_before).text)
		               : err_set(turn->err, WORK_CONFLICT, "the window of %s is over",
		                         order->terms.work_order.text);
	}
	if (!world->approver(
	            world->context, order->terms.site, approval->approver, approval->key_id)) {
		return err_set(turn->err, WORK_FORBIDDEN,
		        "%s is no longer an approver of %s with the key that signed",
		        approval->approver, order->terms.site);
	}
	return work_turn_approver(turn, order, approval->approver);
}

static enum work_outcome check_begin(struct work_turn *turn, const struct work_order *order)
{
	enum work_outcome r = work_turn_expect(turn, order, WORK_APPROVED, "begin");

	if (r == WORK_DONE) {
		r = work_turn_worker(turn, order);
	}
	return r == WORK_DONE ? check_permission(turn, order) : r;
}

enum work_outcome work_may_begin(const struct work_machine *machine, const char *id, const char *by,
        int64_t now, struct err *err)
{
	struct work_turn turn = { (struct work_machine *)machine, now, NULL, by, err };
	struct work_order *order;
	enum work_outcome r = work_turn_find(&turn, id, &order);

	return r == WORK_DONE ? check_begin(&turn, order) : r;
}

static void begin(struct work_turn *turn, struct work_order *order)
{
	struct record *record;

	work_turn_to(turn, order, WORK_WORKING, NULL);
	order->began_at = turn->now;
	record = work_turn_record(turn, order, "workorder.changed", "begin");
	record_time(record, "until", work_order_end(order));
	work_turn_step(turn, order, record, WORK_MAIL_BEGUN);
}

enum work_outcome work_begin(struct work_machine *machine, const char *id, const char *by,
        int64_t now, struct work_actions *actions, struct err *err)
{
	struct work_turn turn = { machine, now, actions, by, err };
	struct work_world *world = &machine->world;
	struct work_order *order;
	enum work_outcome r;

	work_turn_begin(&turn);
	r = work_turn_find(&turn, id, &order);
	if (r == WORK_DONE) {
		r = check_begin(&turn, order);
	}
	if (r != WORK_DONE) {
		return r;
	}
	for (size_t i = 0; i < order->terms.target_count; i++) {
		int64_t review_sec;

		if (!world->permitted(world->context, order, &order->terms.targets[i], now,
		            &review_sec, err)) {
			return WORK_DENIED;
		}
	}
	begin(&turn, order);
	for (size_t i = 0; i < order->terms.target_count; i++) {
		work_turn_push(&turn, WORK_ASK, order)->target = i;
	}
	return WORK_DONE;
}

void work_connected(
        struct work_machine *machine, const char *id, int64_t now, struct work_actions *actions)
{
	struct work_turn turn = { machine, now, actions, NULL, NULL };
	struct work_order *order = names_get(machine->by_id, id);

	if (order && order->state == WORK_APPROVED) {
		work_turn_begin(&turn);
		turn.by = order->terms.worker;
		begin(&turn, order);
	}
}

/* --- ending -------------------------------------------------------------- */

/* WORKING ─▶ ENDED: shut, and a report is owed from now on. */
static void end_work(struct work_turn *turn, struct work_order *order, const char *reason)
{
	struct record *record;

	work_turn_to(turn, order, WORK_ENDED, reason);
	free(TAKE(order->asked));
	order->ended_at = turn->now;
	order->report_due = turn->now + turn->machine->settings.report_due_sec * USEC_PER_SEC;
	record = work_turn_record(turn, order, "workorder.changed", "end");
	record_time(record, "report_due", order->report_due);
	work_turn_step(turn, order, record, WORK_MAIL_ENDED);
	work_turn_cut(turn, order, "the work has ended");
}

/* APPLIED or APPROVED ─▶ a state that is final: nothing was worked, nothing is owed. */
static void give_up(struct work_turn *turn, struct work_order *order, enum work_state state,
        const char *reason, enum work_mail mail)
{
	work_turn_to(turn, order, state, reason);
	/* In front of the step, with which the order leaves the machine. */
	work_turn_cut(turn, order, "the work order is over");
	work_turn_step(turn, order,
	        work_turn_record(turn, order, "workorder.changed", work_state_name(state)), mail);
}

/* An emergency that the approver does not agree with: it counts as reviewed, with that answer. */
static void refuse_review(struct work_turn *turn, struct work_order *order, const char *reason)
{
	order->reviewed = true;
	work_turn_to(turn, order, order->state, reason);
	work_turn_step(turn, order,
	        work_turn_record(turn, order, "workorder.changed", "review-refused"),
	        WORK_MAIL_REFUSED);
}

enum work_outcome work_refuse(struct work_machine *machine, const char *id, const char *by,
        const char *reason, int64_t now, struct work_actions *actions, struct err *err)
{
	struct work_turn turn = { machine, now, actions, by, err };
	struct work_order *order;
	enum work_outcome r;

	work_turn_begin(&turn);
	r = work_turn_find(&turn, id, &order);
	if (r == WORK_DONE) {
		r = work_turn_approver(&turn, order, by);
	}
	if (r != WORK_DONE) {
		return r;
	}
	if (order->state == WORK_APPLIED || order->state == WORK_APPROVED) {
		give_up(&turn, order, WORK_REFUSED, reason, WORK_MAIL_REFUSED);
		return WORK_DONE;
	}
	if (order->emergency && !order->reviewed) {
		refuse_review(&turn, order, reason);
	} else if (order->state != WORK_WORKING) {
		return work_turn_expect(&turn, order, WORK_APPLIED, "refuse");
	}
	if (order->state == WORK_WORKING) {
		end_work(&turn, order, reason);
	}
	return WORK_DONE;
}

enum work_outcome work_withdraw(struct work_machine *machine, const char *id, const char *by,
        int64_t now, struct work_actions *actions, struct err *err)
{
	struct work_turn turn = { machine, now, actions, by, err };
	struct work_order *order;
	enum work_outcome r;

	work_turn_begin(&turn);
	r = work_turn_find(&turn, id, &order);
	if (r == WORK_DONE && !text_equal(by, order->applicant)) {
		r = work_turn_worker(&turn, order);
	}
	if (r == WORK_DONE && order->state != WORK_APPROVED) {
		r = work_turn_expect(&turn, order, WORK_APPLIED, "withdraw");
	}
	if (r == WORK_DONE) {
		give_up(&turn, order, WORK_WITHDRAWN, NULL, WORK_MAIL_WITHDRAWN);
	}
	return r;
}

/* The order, when `by` is its worker and it is in `state`. */
/* What is owed after the end. */
static enum work_outcome owed_step(struct work_turn *turn, const char *id, enum work_state state,
        const char *step, struct work_order **ret_order)
{
	enum work_outcome r;

	work_turn_begin(turn);
	r = work_turn_find(turn, id, ret_order);
	if (r == WORK_DONE) {
		r = work_turn_reporter(turn, *ret_order);
	}
	return r == WORK_DONE ? work_turn_expect(turn, *ret_order, state, step) : r;
}

enum work_outcome work_end(struct work_machine *machine, const char *id, const char *by,
        int64_t now, struct work_actions *actions, struct err *err)
{
	struct work_turn turn = { machine, now, actions, by, err };
	struct work_order *order;
	enum work_outcome r;

	work_turn_begin(&turn);
	r = work_turn_find(&turn, id, &order);
	if (r == WORK_DONE) {
		r = work_turn_worker(&turn, order);
	}
	if (r == WORK_DONE) {
		r = work_turn_expect(&turn, order, WORK_WORKING, "end");
	}
	if (r == WORK_DONE) {
		end_work(&turn, order, NULL);
	}
	return r;
}

/* --- reporting ----------------------------------------------------------- */

enum work_outcome work_deleted(struct work_machine *machine, const char *id, const char *by,
        const struct deletion *deletion, const char *seal, int64_t now,
        struct work_actions *actions, struct err *err)
{
	struct work_turn turn = { machine, now, actions, by, err };
	int64_t skew = CLOCK_SKEW_SEC_MAX * USEC_PER_SEC;
	struct work_order *order;
	struct record *record;
	enum work_outcome r = owed_step(&turn, id, WORK_ENDED, "certify the deletion", &order);

	if (r != WORK_DONE) {
		return r;
	}
	if (!text_equal(deletion->work_order.text, order->terms.work_order.text)) {
		return err_set(err, WORK_INVALID, "work_order: the certificate is of %s",
		        deletion->work_order.text);
	}
	if (!text_equal(deletion->worker, by)) {
		return err_set(
		        err, WORK_INVALID, "worker: the certificate is of %s", deletion->worker);
	}
	if (deletion->deleted_at > now + skew || deletion->deleted_at < order->began_at - skew) {
		return err_set(err, WORK_INVALID,
		        "deleted_at: must be between the begin of the work and now");
	}
	work_turn_to(&turn, order, WORK_DELETED, NULL);
	free(order->deletion);
	order->deletion = mem_string(seal);
	record = work_turn_record(&turn, order, "workorder.changed", "deleted");
	record_text(record, "certificate", seal);
	work_turn_step(&turn, order, record, WORK_MAIL_DELETED);
	return WORK_DONE;
}

enum work_outcome work_report(struct work_machine *machine, const char *id, const char *by,
        const char *report, int64_t now, struct work_actions *actions, struct err *err)
{
	struct work_turn turn = { machine, now, actions, by, err };
	struct work_order *order;
	struct record *record;
	enum work_outcome r = owed_step(&turn, id, WORK_DELETED, "report", &order);

	if (r != WORK_DONE) {
		return r;
	}
	work_turn_to(&turn, order, WORK_REPORTED, NULL);
	free(order->report);
	order->report = mem_string(report);
	record = work_turn_record(&turn, order, "workorder.changed", "report");
	record_text(record, "report", report);
	record_flag(record, "late", now > order->report_due);
	work_turn_step(&turn, order, record, WORK_MAIL_REPORTED);
	return WORK_DONE;
}

enum work_outcome work_close(struct work_machine *machine, const char *id, const char *by,
        int64_t now, struct work_actions *actions, struct err *err)
{
	struct work_turn turn = { machine, now, actions, by, err };
	struct work_order *order;
	enum work_outcome r;

	work_turn_begin(&turn);
	r = work_turn_find(&turn, id, &order);
	if (r == WORK_DONE) {
		r = work_turn_approver(&turn, order, by);
	}
	if (r == WORK_DONE) {
		r = work_turn_expect(&turn, order, WORK_REPORTED, "close");
	}
	if (r != WORK_DONE) {
		return r;
	}
	if (order->emergency && !order->reviewed) {
		return err_set(err, WORK_CONFLICT,
		        "work order %s is an emergency without a review: review it first", id);
	}
	give_up(&turn, order, WORK_CLOSED, NULL, WORK_MAIL_CLOSED);
	return WORK_DONE;
}

/* --- time ---------------------------------------------------------------- */

/* A step may take the order out of the table, so it is walked from its end. */
static void for_all(struct work_turn *turn,
        void (*step)(struct work_turn *turn, struct work_order *order, const void *context),
        const void *context)
{
	for (size_t i = turn->machine->count; i-- > 0;) {
		step(turn, turn->machine->orders[i], context);
	}
}

static void person_left(struct work_turn *turn, struct work_order *order, const void *context)
{
	const char *person = context;

	if (!text_equal(order->terms.worker, person)) {
		return;
	}
	if (order->state == WORK_APPLIED || order->state == WORK_APPROVED) {
		give_up(turn, order, WORK_WITHDRAWN, "the worker has left", WORK_MAIL_WITHDRAWN);
	} else if (order->state == WORK_WORKING) {
		end_work(turn, order, "the worker has left");
	}
}

void work_person_left(
        struct work_machine *machine, const char *person, int64_t now, struct work_actions *actions)
{
	struct work_turn turn = { machine, now, actions, "center", NULL };

	work_turn_begin(&turn);
	for_all(&turn, person_left, person);
}

/* Counts one reminder and sets the time of the next: first often, then seldom. */
static void remind(struct work_turn *turn, struct work_order *order, enum work_mail mail,
        int64_t *remind_at, uint64_t *reminders)
{
	const struct work_settings *settings = &turn->machine->settings;
	struct record *record;
	int64_t wait;

	++*reminders;
	wait = *reminders < WORK_REMINDERS_SOON ? settings->remind_sec : settings->remind_later_sec;
	*remind_at = turn->now + wait * USEC_PER_SEC;
	record = work_turn_record(turn, order, "workorder.reminded",
	        mail == WORK_MAIL_REPORT_OVERDUE ? "report" : "review");
	record_number(record, "reminders", (int64_t)*reminders);
	work_turn_step(turn, order, record, mail);
}

static void tick(struct work_turn *turn, struct work_order *order, const void *context)
{
	int64_t now = turn->now;

	if ((order->state == WORK_APPLIED && now >= order->terms.not_after) ||
	        (order->state == WORK_APPROVED && now >= work_order_end(order))) {
		give_up(turn, order, WORK_EXPIRED, "the window is over", WORK_MAIL_EXPIRED);
		return;
	}
	if (order->state == WORK_WORKING && now >= work_order_end(order)) {
		end_work(turn, order, "the window is over");
	}
	if ((order->state == WORK_ENDED || order->state == WORK_DELETED) &&
	        now >= order->report_due && now >= order->remind_at) {
		remind(turn, order, WORK_MAIL_REPORT_OVERDUE, &order->remind_at, &order->reminders);
	}
	if (order->emergency && !order->reviewed && now >= order->review_due &&
	        now >= order->review_remind_at) {
		remind(turn, order, WORK_MAIL_REVIEW_OVERDUE, &order->review_remind_at,
		        &order->review_reminders);
	}
}

void work_tick(struct work_machine *machine, int64_t now, struct work_actions *actions)
{
	struct work_turn turn = { machine, now, actions, "center", NULL };

	work_turn_begin(&turn);
	for_all(&turn, tick, NULL);
}
