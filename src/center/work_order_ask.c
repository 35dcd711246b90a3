/* The work order machine: applying, approving, extending. */
#include <stdio.h>
#include <string.h>

#include "center/work_order_step.h"

static size_t open_of(const struct work_machine *machine, const char *organization)
{
	size_t count = 0;

	for (size_t i = 0; i < machine->count; i++) {
		count += text_equal(machine->orders[i]->organization, organization);
	}
	return count;
}

/* Who asks, and for whom. */
static enum work_outcome check_people(struct work_turn *turn, struct work_order *order)
{
	struct work_world *world = &turn->machine->world;
	struct work_person applicant = { 0 }, worker = { 0 };

	if (world->person(world->context, turn->by, &applicant) != 0 || !applicant.may_apply) {
		return err_set(turn->err, WORK_FORBIDDEN, "%s has no role that may apply for work",
		        turn->by);
	}
	if (world->person(world->context, order->terms.worker, &worker) != 0) {
		return err_set(turn->err, WORK_FORBIDDEN,
		        "worker: %s is not registered or not active", order->terms.worker);
	}
	if (!worker.may_report) {
		return err_set(turn->err, WORK_FORBIDDEN, "worker: %s has no role that may work",
		        order->terms.worker);
	}
	if (!text_equal(applicant.organization, worker.organization)) {
		return err_set(turn->err, WORK_FORBIDDEN, "worker: %s is not of %s",
		        order->terms.worker, applicant.organization);
	}
	snprintf(order->organization, sizeof(order->organization), "%s", worker.organization);
	if (world->site(world->context, order->terms.site, order->site_organization,
	            sizeof(order->site_organization)) != 0) {
		return err_set(turn->err, WORK_INVALID, "site: there is no site \"%s\"",
		        order->terms.site);
	}
	return WORK_DONE;
}

static enum work_outcome check_new(struct work_turn *turn, const struct work_order *order)
{
	if (work_terms_check(&order->terms, turn->err) != 0) {
		return WORK_INVALID;
	}
	if (order->terms.not_after <= turn->now) {
		return err_set(turn->err, WORK_INVALID, "not_after: is over already");
	}
	if (work_find(turn->machine, order->terms.work_order.text)) {
		return err_set(turn->err, WORK_CONFLICT, "this id is in use");
	}
	if (turn->machine->count >= WORK_ORDERS_OPEN_MAX ||
	        open_of(turn->machine, order->organization) >= WORK_ORDERS_PER_ORGANIZATION_MAX) {
		return err_set(turn->err, WORK_FULL,
		        "%s has as many open work orders as it may: report and close some first",
		        order->organization);
	}
	return WORK_DONE;
}

/* An emergency is begun at once: everything that a begin checks, but for the approval. */
static enum work_outcome check_emergency(struct work_turn *turn, struct work_order *order)
{
	struct work_world *world = &turn->machine->world;
	int64_t review_sec = turn->machine->settings.review_due_sec;

	if (work_review_overdue(turn->machine, order->organization, turn->now)) {
		return err_set(turn->err, WORK_FORBIDDEN,
		        "%s has an emergency whose review is overdue: it must be reviewed before "
		        "another opens",
		        order->organization);
	}
	if (!text_equal(turn->by, order->terms.worker)) {
		return err_set(
		        turn->err, WORK_FORBIDDEN, "an emergency is asked for by its worker alone");
	}
	if (order->terms.not_before > turn->now + CLOCK_SKEW_SEC_MAX * USEC_PER_SEC) {
		return err_set(turn->err, WORK_INVALID, "not_before: an emergency begins now");
	}
	for (size_t i = 0; i < order->terms.target_count; i++) {
		int64_t rule_sec = 0;

		if (!world->permitted(world->context, order, &order->terms.targets[i], turn->now,
		            &rule_sec, turn->err)) {
			return WORK_DENIED;
		}
		if (rule_sec > 0 && (i == 0 || rule_sec < review_sec)) {
			review_sec = rule_sec;
		}
	}
	order->review_due = turn->now + review_sec * USEC_PER_SEC;
	return WORK_DONE;
}

static void record_terms(struct record *record, const struct work_terms *terms)
{
	AUTO_BUF struct buf text = BUF(2 * WORK_TERMS_BYTES_MAX);

	work_terms_print(terms, &text);
	record_text(record, "terms", buf_text(&text));
}

static void admit(struct work_turn *turn, struct work_order *order)
{
	struct record *record;

	work_turn_to(turn, order, order->emergency ? WORK_WORKING : WORK_APPLIED, NULL);
	order->applied_at = turn->now;
	if (order->emergency) {
		order->began_at = turn->now;
	}
	work_turn_add(turn->machine, order);
	record = work_turn_record(
	        turn, order, "workorder.changed", order->emergency ? "emergency" : "apply");
	record_terms(record, &order->terms);
	if (*order->notice) {
		record_text(record, "notice", order->notice);
	}
	if (order->emergency) {
		record_time(record, "review_due", order->review_due);
	}
	work_turn_step(
	        turn, order, record, order->emergency ? WORK_MAIL_EMERGENCY : WORK_MAIL_APPLIED);
	for (size_t i = 0; order->emergency && i < order->terms.target_count; i++) {
		work_turn_push(turn, WORK_ASK, order)->target = i;
	}
}

enum work_outcome work_apply(struct work_machine *machine, const char *by,
        const struct work_application *application, int64_t now, struct work_actions *actions,
        const struct work_order **ret_order, struct err *err)
{
	struct work_turn turn = { machine, now, actions, by, err };
	AUTO(work_order) struct work_order *order = mem_new(1, sizeof(*order));
	enum work_outcome r;

	work_turn_begin(&turn);
	order->terms = application->terms;
	order->terms.revision = 1;
	order->emergency = application->emergency;
	order->state = WORK_APPLIED;
	snprintf(order->applicant, sizeof(order->applicant), "%s", by);
	snprintf(order->notice, sizeof(order->notice), "%s", application->notice);
	r = check_people(&turn, order);
	if (r == WORK_DONE) {
		r = check_new(&turn, order);
	}
	if (r == WORK_DONE && order->emergency) {
		r = check_emergency(&turn, order);
	}
	if (r != WORK_DONE) {
		return r;
	}
	*ret_order = order;
	admit(&turn, TAKE(order));
	return WORK_DONE;
}

/* --- approvals ----------------------------------------------------------- */

/* Whether an approval of this kind is what the order waits for. */
static enum work_outcome check_kind(struct work_turn *turn, const struct work_order *order,
        const struct work_sealed_approval *sealed)
{
	const char *id = order->terms.work_order.text;

	for (size_t i = 0; i < order->approval_count; i++) {
		if (memcmp(order->approvals[i].digest, sealed->digest, WORK_DIGEST_BYTES) == 0) {
			return err_set(turn->err, WORK_CONFLICT,
			        "this approval of %s was used already", id);
		}
	}
	switch (sealed->approval->kind) {
	case APPROVAL_OF_WORK:
		return work_turn_expect(turn, order, WORK_APPLIED, "approve");
	case APPROVAL_OF_EXTENSION:
		if (order->asked &&
		        (order->state == WORK_APPROVED || order->state == WORK_WORKING)) {
			return WORK_DONE;
		}
		return err_set(
		        turn->err, WORK_CONFLICT, "work order %s waits for no extension", id);
	case APPROVAL_OF_REVIEW:
		if (order->emergency && !order->reviewed) {
			return WORK_DONE;
		}
		return err_set(turn->err, WORK_CONFLICT, "work order %s waits for no review", id);
	default:
		return err_set(turn->err, WORK_INVALID, "kind: must be work, extension or review");
	}
}

static enum work_outcome check_window(struct work_turn *turn, const struct work_order *order,
        const struct approval *approval, const struct work_terms *terms)
{
	int64_t skew = CLOCK_SKEW_SEC_MAX * USEC_PER_SEC;

	if (approval->approved_at > turn->now + skew ||
	        approval->approved_at < order->applied_at - skew) {
		return err_set(turn->err, WORK_INVALID,
		        "approved_at: must be between the application and now");
	}
	if (approval->kind == APPROVAL_OF_REVIEW) {
		return WORK_DONE;
	}
	if (terms->not_after <= turn->now) {
		return err_set(turn->err, WORK_CONFLICT, "the window that was asked for is over");
	}
	if (approval->not_after <= turn->now) {
		return err_set(
		        turn->err, WORK_CONFLICT, "not_after: the window of the approval is over");
	}
	if (approval->kind == APPROVAL_OF_EXTENSION &&
	        approval->not_after <= work_order_end(order)) {
		return err_set(turn->err, WORK_INVALID, "not_after: an extension must end later");
	}
	return WORK_DONE;
}

/* The checks of protocol.md 1.5, each with its own words. */
static enum work_outcome check_approval(struct work_turn *turn, const struct work_order *order,
        const struct work_sealed_approval *sealed)
{
	const struct approval *approval = sealed->approval;
	const struct work_terms *terms = approval->kind == APPROVAL_OF_EXTENSION && order->asked
	                                         ? order->asked
	                                         : &order->terms;
	AUTO_BUF struct buf text = BUF(2 * WORK_TERMS_BYTES_MAX);
	enum work_outcome r;

	if (!text_equal(approval->terms.work_order.text, order->terms.work_order.text)) {
		return err_set(turn->err, WORK_INVALID, "terms: are of work order %s",
		        approval->terms.work_order.text);
	}
	r = check_kind(turn, order, sealed);
	if (r != WORK_DONE) {
		return r;
	}
	if (!text_equal(sealed->sealed_by, approval->approver)) {
		return err_set(turn->err, WORK_FORBIDDEN,
		        "approver: says %s, but the seal is by the key of %s", approval->approver,
		        sealed->sealed_by);
	}
	if (!text_equal(turn->by, approval->approver)) {
		return err_set(turn->err, WORK_FORBIDDEN,
		        "approver: %s has to hand in the own approval, not %s", approval->approver,
		        turn->by);
	}
	r = work_turn_approver(turn, order, approval->approver);
	if (r != WORK_DONE) {
		return r;
	}
	work_terms_print(terms, &text);
	if (!text_equal(buf_text(&text), approval->terms_text)) {
		return err_set(turn->err, WORK_CONFLICT,
		        "terms: are not those of revision %llu as it was asked for",
		        (unsigned long long)terms->revision);
	}
	return check_window(turn, order, approval, terms);
}

static void take_approval(struct work_order *order, const struct work_sealed_approval *sealed)
{
	const struct approval *approval = sealed->approval;
	struct work_approval *place;

	order->approvals = mem_resize(order->approvals, order->approval_count + 1, sizeof(*place));
	place = &order->approvals[order->approval_count++];
	*place = (struct work_approval){
		.kind = approval->kind,
		.revision = approval->terms.revision,
		.not_before = approval->not_before,
		.not_after = approval->not_after,
		.approved_at = approval->approved_at,
		.seal = mem_string(sealed->seal),
	};
	memcpy(place->approver, approval->approver, sizeof(place->approver));
	snprintf(place->key_id, sizeof(place->key_id), "%s", sealed->key_id);
	memcpy(place->digest, sealed->digest, WORK_DIGEST_BYTES);
}

enum work_outcome work_approve(struct work_machine *machine, const char *id, const char *by,
        const struct work_sealed_approval *sealed, int64_t now, struct work_actions *actions,
        struct err *err)
{
	static const enum work_mail mails[APPROVAL_KIND_COUNT] = { WORK_MAIL_COUNT,
		WORK_MAIL_APPROVED, WORK_MAIL_EXTENDED, WORK_MAIL_REVIEWED };
	struct work_turn turn = { machine, now, actions, by, err };
	struct work_order *order;
	struct record *record;
	enum work_outcome r;

	work_turn_begin(&turn);
	r = work_turn_find(&turn, id, &order);
	if (r == WORK_DONE) {
		r = check_approval(&turn, order, sealed);
	}
	if (r != WORK_DONE) {
		return r;
	}
	take_approval(order, sealed);
	if (sealed->approval->kind == APPROVAL_OF_EXTENSION) {
		order->terms = *order->asked;
		free(TAKE(order->asked));
	}
	if (sealed->approval->kind == APPROVAL_OF_REVIEW) {
		order->reviewed = true;
	}
	work_turn_to(
	        &turn, order, order->state == WORK_APPLIED ? WORK_APPROVED : order->state, NULL);
	record = work_turn_record(&turn, order, "workorder.changed",
	        sealed->approval->kind == APPROVAL_OF_REVIEW ? "review" : "approve");
	record_text(record, "kind", approval_kind_name(sealed->approval->kind));
	record_text(record, "approval", sealed->seal);
	work_turn_push(&turn, WORK_STORE_APPROVAL, order);
	work_turn_step(&turn, order, record, mails[sealed->approval->kind]);
	return WORK_DONE;
}

/* Another end is another agreement: nothing changes before it is approved. */
enum work_outcome work_extend(struct work_machine *machine, const char *id, const char *by,
        int64_t not_after, int64_t now, struct work_actions *actions, struct err *err)
{
	struct work_turn turn = { machine, now, actions, by, err };
	struct work_order *order;
	struct work_terms asked;
	struct record *record;
	enum work_outcome r;

	work_turn_begin(&turn);
	r = work_turn_find(&turn, id, &order);
	if (r == WORK_DONE) {
		r = work_turn_worker(&turn, order);
	}
	if (r == WORK_DONE && order->state != WORK_APPROVED) {
		r = work_turn_expect(&turn, order, WORK_WORKING, "extend");
	}
	if (r != WORK_DONE) {
		return r;
	}
	if (order->emergency) {
		return err_set(err, WORK_CONFLICT,
		        "an emergency is not extended: apply for work that can be approved");
	}
	asked = order->terms;
	asked.revision = (order->asked ? order->asked->revision : order->terms.revision) + 1;
	asked.not_after = not_after - not_after % USEC_PER_MSEC;
	if (asked.not_after <= work_order_end(order) || asked.not_after <= now) {
		return err_set(err, WORK_INVALID, "not_after: must be later than the present end");
	}
	if (asked.revision > WORK_REVISIONS_MAX) {
		return err_set(err, WORK_CONFLICT,
		        "this work order was extended too often: apply for a new one");
	}
	if (work_terms_check(&asked, err) != 0) {
		return WORK_INVALID;
	}
	free(order->asked);
	order->asked = mem_copy(&asked, sizeof(asked));
	work_turn_to(&turn, order, order->state, NULL);
	record = work_turn_record(&turn, order, "workorder.changed", "extend");
	record_terms(record, order->asked);
	work_turn_step(&turn, order, record, WORK_MAIL_EXTENSION);
	return WORK_DONE;
}
