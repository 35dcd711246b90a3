/* The work order machine: every step in and out of its order (mission G1 to G3, attack A14). */
#include "../check.h"

#include <stdlib.h>

#include "audit/record.h"
#include "base/clock.h"
#include "center/work_order.h"
#include "center/work_order_mail.h"
#include "center/work_order_row.h"

#define T0 (1800000000LL * USEC_PER_SEC)
#define HOUR (3600LL * USEC_PER_SEC)
#define ID "01K8ZZZZZZZZZZZZZZZZZZZZZZ"

/* A small world that the tests turn knobs of. */
struct world {
	bool listed, permitted, worker_active, approver_role;
	const char *approver_natural, *approver_organization;
	int64_t review_sec;
};

static struct world world;
static struct work_machine *machine;
static struct work_actions actions;
static struct err err;

static int on_person(void *context, const char *name, struct work_person *person)
{
	bool colleague = text_equal(name, "yamada"), approver = text_equal(name, "tanaka");
	bool worker = text_equal(name, "suzuki") || colleague;

	*person = (struct work_person){ .may_apply = worker,
		.may_report = worker,
		.may_approve = approver && world.approver_role };
	snprintf(person->organization, sizeof(person->organization), "%s",
	        worker ? "maker" : world.approver_organization);
	snprintf(person->natural_person, sizeof(person->natural_person), "%s",
	        worker ? "n-1" : world.approver_natural);
	return colleague || (worker && world.worker_active) || approver ? 0 : 1;
}

static int on_site(void *context, const char *site, char *organization, size_t room)
{
	snprintf(organization, room, "hospital");
	return text_equal(site, "core-hospital") ? 0 : 1;
}

static bool on_approver(void *context, const char *site, const char *approver, const char *key)
{
	return world.listed && text_equal(key, "k");
}

static bool on_permitted(void *context, const struct work_order *order,
        const struct work_target *target, int64_t now, int64_t *review_sec, struct err *text)
{
	*review_sec = world.review_sec;
	err_set(text, 0, "not permitted");
	return world.permitted;
}

static void start(void)
{
	static const struct work_world calls = { NULL, on_person, on_site, on_approver,
		on_permitted };
	static const struct work_settings settings = { 24 * 3600, 24 * 3600, 3600, 24 * 3600 };

	world = (struct world){ true, true, true, true, "n-2", "hospital", 0 };
	work_actions_clear(&actions);
	work_machine_free(machine);
	machine = work_machine_new(&calls, &settings);
}

static size_t count(enum work_action_type type)
{
	size_t found = 0;

	for (size_t i = 0; i < actions.count; i++) {
		found += actions.items[i].type == type;
	}
	return found;
}

static bool mailed(enum work_mail mail)
{
	for (size_t i = 0; i < actions.count; i++) {
		if (actions.items[i].type == WORK_MAIL && actions.items[i].mail == mail) {
			return true;
		}
	}
	return false;
}

static struct work_application application(void)
{
	struct work_application wanted = { .terms = { .site = "core-hospital",
		                                   .worker = "suzuki",
		                                   .job = WORK_REPAIR,
		                                   .class = SERVICE_REMOTE_MAINTENANCE,
		                                   .not_before = T0,
		                                   .not_after = T0 + 2 * HOUR,
		                                   .purpose = "管球の交換",
		                                   .target_count = 1 } };
	struct work_target *target = &wanted.terms.targets[0];

	snprintf(wanted.terms.work_order.text, sizeof(wanted.terms.work_order.text), "%s", ID);
	host_ref_parse("device-maker/terminal", &target->from) == 0 ? (void)0 : abort();
	host_ref_parse("core-hospital/ct", &target->to) == 0 ? (void)0 : abort();
	target->protocol = PROTOCOL_TCP;
	target->port = 104;
	return wanted;
}

static const struct work_order *order(void)
{
	return work_find(machine, ID);
}

static void apply(bool emergency)
{
	struct work_application wanted = application();
	const struct work_order *made;

	wanted.emergency = emergency;
	work_actions_reset(&actions);
	CHECK(work_apply(machine, "suzuki", &wanted, T0, &actions, &made, &err) == WORK_DONE);
}

static struct approval approval_of(const struct work_terms *terms, enum approval_kind kind)
{
	struct approval approval = { .approver = "tanaka",
		.approved_at = T0,
		.kind = kind,
		.not_before = terms->not_before,
		.not_after = terms->not_after,
		.terms = *terms };
	AUTO_BUF struct buf text = BUF(2 * WORK_TERMS_BYTES_MAX);

	work_terms_print(terms, &text);
	snprintf(approval.terms_text, sizeof(approval.terms_text), "%s", buf_text(&text));
	return approval;
}

static enum work_outcome approve_as(
        const struct approval *approval, const char *by, const char *sealed_by, int64_t now)
{
	static uint8_t digest[WORK_DIGEST_BYTES];
	struct work_sealed_approval sealed = { approval, "seal", sealed_by, "k", digest };

	/* Another payload is another digest. */
	memset(digest, (int)(approval->kind + approval->terms.revision), sizeof(digest));
	work_actions_reset(&actions);
	return work_approve(machine, ID, by, &sealed, now, &actions, &err);
}

static enum work_outcome approve(enum approval_kind kind, int64_t now)
{
	const struct work_order *at = order();
	struct approval approval = approval_of(at->asked ? at->asked : &at->terms, kind);

	return approve_as(&approval, "tanaka", "tanaka", now);
}

static enum work_outcome certify_as(const char *worker, const char *by, int64_t now)
{
	struct deletion deletion = { .deleted_at = now, .method = "shred" };

	snprintf(deletion.worker, sizeof(deletion.worker), "%s", worker);
	snprintf(deletion.work_order.text, sizeof(deletion.work_order.text), "%s", ID);
	work_actions_reset(&actions);
	return work_deleted(machine, ID, by, &deletion, "jws", now, &actions, &err);
}

static enum work_outcome certify(int64_t now)
{
	return certify_as("suzuki", "suzuki", now);
}

typedef enum work_outcome plain(struct work_machine *machine, const char *id, const char *by,
        int64_t now, struct work_actions *actions, struct err *err);

static enum work_outcome step(plain *what, const char *by, int64_t now)
{
	work_actions_reset(&actions);
	return what(machine, ID, by, now, &actions, &err);
}

static enum work_outcome report(int64_t now)
{
	work_actions_reset(&actions);
	return work_report(machine, ID, "suzuki", "{}", now, &actions, &err);
}

static void tick(int64_t now)
{
	work_actions_reset(&actions);
	work_tick(machine, now, &actions);
}

TEST(the_whole_way)
{
	start();
	apply(false);
	CHECK(order()->state == WORK_APPLIED && mailed(WORK_MAIL_APPLIED));
	CHECK(count(WORK_RECORD) == 1 && count(WORK_STORE) == 1 && count(WORK_ASK) == 0);
	CHECK(approve(APPROVAL_OF_WORK, T0 + 1) == WORK_DONE);
	CHECK(order()->state == WORK_APPROVED && count(WORK_STORE_APPROVAL) == 1);
	CHECK(step(work_begin, "suzuki", T0 + HOUR) == WORK_DONE);
	CHECK(order()->state == WORK_WORKING && count(WORK_ASK) == 1 && mailed(WORK_MAIL_BEGUN));
	CHECK(step(work_end, "suzuki", T0 + HOUR) == WORK_DONE);
	CHECK(order()->state == WORK_ENDED && count(WORK_CUT) == 1);
	CHECK(order()->report_due == T0 + 25 * HOUR);
	CHECK(certify(T0 + HOUR) == WORK_DONE && order()->state == WORK_DELETED);
	CHECK(report(T0 + HOUR) == WORK_DONE && order()->state == WORK_REPORTED);
	CHECK(step(work_close, "tanaka", T0 + HOUR) == WORK_DONE);
	CHECK(!order() && work_count(machine) == 0 && mailed(WORK_MAIL_CLOSED));
}

/* Every step in every state: those of the picture go on, all others are 409 and change nothing. */
TEST(every_step_out_of_its_order_is_a_conflict)
{
	enum { APPROVE, BEGIN, END, DELETED, REPORT, CLOSE, WITHDRAW, EXTEND, STEPS };
	static const bool allowed[STEPS][WORK_REPORTED + 1] = {
		[APPROVE][WORK_APPLIED] = true,
		[BEGIN][WORK_APPROVED] = true,
		[END][WORK_WORKING] = true,
		[DELETED][WORK_ENDED] = true,
		[REPORT][WORK_DELETED] = true,
		[CLOSE][WORK_REPORTED] = true,
		[WITHDRAW][WORK_APPLIED] = true,
		[WITHDRAW][WORK_APPROVED] = true,
		[EXTEND][WORK_APPROVED] = true,
		[EXTEND][WORK_WORKING] = true,
	};

	for (int state = WORK_APPLIED; state <= WORK_REPORTED; state++) {
		for (int what = 0; what < STEPS; what++) {
			enum work_outcome r = WORK_DONE;

			start();
			apply(false);
			CHECK(state < WORK_APPROVED || approve(APPROVAL_OF_WORK, T0) == WORK_DONE);
			CHECK(state < WORK_WORKING || step(work_begin, "suzuki", T0) == WORK_DONE);
			CHECK(state < WORK_ENDED || step(work_end, "suzuki", T0) == WORK_DONE);
			CHECK(state < WORK_DELETED || certify(T0) == WORK_DONE);
			CHECK(state < WORK_REPORTED || report(T0) == WORK_DONE);
			CHECK(order()->state == (enum work_state)state);
			switch (what) {
			case APPROVE: {
				struct approval other =
				        approval_of(&order()->terms, APPROVAL_OF_WORK);

				r = approve_as(&other, "tanaka", "tanaka", T0);
				break;
			}
			case BEGIN:
				r = step(work_begin, "suzuki", T0);
				break;
			case END:
				r = step(work_end, "suzuki", T0);
				break;
			case DELETED:
				r = certify(T0);
				break;
			case REPORT:
				r = report(T0);
				break;
			case CLOSE:
				r = step(work_close, "tanaka", T0);
				break;
			case WITHDRAW:
				r = step(work_withdraw, "suzuki", T0);
				break;
			case EXTEND:
				work_actions_reset(&actions);
				r = work_extend(
				        machine, ID, "suzuki", T0 + 9 * HOUR, T0, &actions, &err);
				break;
			}
			CHECK(r == (allowed[what][state] ? WORK_DONE : WORK_CONFLICT));
			if (r != WORK_DONE) {
				CHECK(actions.count == 0 &&
				        order()->state == (enum work_state)state);
				CHECK(*err.text);
			}
		}
	}
}

TEST(one_approval_has_one_effect)
{
	size_t effects = 0;

	start();
	apply(false);
	for (int i = 0; i < 10000; i++) {
		struct approval same = approval_of(&order()->terms, APPROVAL_OF_WORK);

		effects += approve_as(&same, "tanaka", "tanaka", T0) == WORK_DONE;
	}
	CHECK(effects == 1 && order()->approval_count == 1);
	CHECK(strstr(err.text, "used already"));
	effects = 0;
	for (int i = 0; i < 10000; i++) {
		effects += step(work_begin, "suzuki", T0) == WORK_DONE;
	}
	CHECK(effects == 1);
}

TEST(each_refusal_of_an_approval_has_its_own_words)
{
	struct approval good;

	start();
	apply(false);
	good = approval_of(&order()->terms, APPROVAL_OF_WORK);
	CHECK(approve_as(&good, "tanaka", "kimura", T0) == WORK_FORBIDDEN);
	CHECK(strstr(err.text, "key of kimura"));
	CHECK(approve_as(&good, "kimura", "tanaka", T0) == WORK_FORBIDDEN);
	CHECK(strstr(err.text, "own approval"));
	world.approver_role = false;
	CHECK(approve_as(&good, "tanaka", "tanaka", T0) == WORK_FORBIDDEN);
	CHECK(strstr(err.text, "no role"));
	world.approver_role = true;
	world.approver_organization = "other";
	CHECK(approve_as(&good, "tanaka", "tanaka", T0) == WORK_FORBIDDEN);
	CHECK(strstr(err.text, "belongs to hospital"));
	world.approver_organization = "hospital";
	world.approver_natural = "n-1"; /* the worker's second account */
	CHECK(approve_as(&good, "tanaka", "tanaka", T0) == WORK_FORBIDDEN);
	CHECK(strstr(err.text, "same person"));
	world.approver_natural = "n-2";
	snprintf(good.terms_text, sizeof(good.terms_text), "{\"edited\":true}");
	CHECK(approve_as(&good, "tanaka", "tanaka", T0) == WORK_CONFLICT);
	CHECK(strstr(err.text, "not those of revision 1"));
	good = approval_of(&order()->terms, APPROVAL_OF_WORK);
	good.not_after = T0 + 1;
	CHECK(approve_as(&good, "tanaka", "tanaka", T0 + HOUR) == WORK_CONFLICT);
	CHECK(strstr(err.text, "window of the approval is over"));
	good.approved_at = T0 - HOUR;
	CHECK(approve_as(&good, "tanaka", "tanaka", T0) == WORK_INVALID);
	good = approval_of(&order()->terms, APPROVAL_OF_WORK);
	CHECK(approve_as(&good, "tanaka", "tanaka", T0 + 2 * HOUR) == WORK_CONFLICT);
	CHECK(strstr(err.text, "asked for is over"));
	CHECK(order()->state == WORK_APPLIED);
	CHECK(approve_as(&good, "tanaka", "tanaka", T0) == WORK_DONE);
}

TEST(everything_is_asked_again_at_begin)
{
	start();
	apply(false);
	CHECK(approve(APPROVAL_OF_WORK, T0) == WORK_DONE);
	CHECK(step(work_begin, "tanaka", T0) == WORK_FORBIDDEN);
	world.listed = false;
	CHECK(step(work_begin, "suzuki", T0) == WORK_FORBIDDEN && strstr(err.text, "no longer"));
	world.listed = true;
	world.approver_role = false;
	CHECK(step(work_begin, "suzuki", T0) == WORK_FORBIDDEN);
	world.approver_role = true;
	world.worker_active = false;
	CHECK(step(work_begin, "suzuki", T0) == WORK_FORBIDDEN && strstr(err.text, "not active"));
	world.worker_active = true;
	world.permitted = false;
	CHECK(step(work_begin, "suzuki", T0) == WORK_DENIED && actions.count == 0);
	world.permitted = true;
	CHECK(step(work_begin, "suzuki", T0 - 1) == WORK_CONFLICT && strstr(err.text, "begins at"));
	CHECK(step(work_begin, "suzuki", T0 + 2 * HOUR) == WORK_CONFLICT);
	CHECK(order()->state == WORK_APPROVED);
	CHECK(step(work_begin, "suzuki", T0) == WORK_DONE);
}

TEST(an_extension_needs_its_own_approval)
{
	struct approval old;

	start();
	apply(false);
	CHECK(approve(APPROVAL_OF_WORK, T0) == WORK_DONE);
	CHECK(step(work_begin, "suzuki", T0) == WORK_DONE);
	work_actions_reset(&actions);
	CHECK(work_extend(machine, ID, "suzuki", T0 + HOUR, T0, &actions, &err) == WORK_INVALID);
	CHECK(work_extend(machine, ID, "suzuki", T0 + 3 * HOUR, T0, &actions, &err) == WORK_DONE);
	CHECK(order()->asked && order()->asked->revision == 2 && order()->terms.revision == 1);
	CHECK(work_order_end(order()) == T0 + 2 * HOUR);
	old = approval_of(&order()->terms, APPROVAL_OF_EXTENSION);
	CHECK(approve_as(&old, "tanaka", "tanaka", T0) == WORK_CONFLICT);
	CHECK(approve(APPROVAL_OF_EXTENSION, T0) == WORK_DONE && mailed(WORK_MAIL_EXTENDED));
	CHECK(!order()->asked && order()->terms.revision == 2 && order()->state == WORK_WORKING);
	CHECK(work_order_end(order()) == T0 + 3 * HOUR);
}

TEST(the_window_ends_what_is_open)
{
	start();
	apply(false);
	tick(T0 + 2 * HOUR);
	CHECK(!order() && mailed(WORK_MAIL_EXPIRED));

	start();
	apply(false);
	CHECK(approve(APPROVAL_OF_WORK, T0) == WORK_DONE);
	tick(T0 + 2 * HOUR - 1);
	CHECK(order()->state == WORK_APPROVED && actions.count == 0);
	tick(T0 + 2 * HOUR);
	CHECK(!order() && mailed(WORK_MAIL_EXPIRED) && count(WORK_CUT) == 1);

	start();
	apply(false);
	CHECK(approve(APPROVAL_OF_WORK, T0) == WORK_DONE);
	CHECK(step(work_begin, "suzuki", T0) == WORK_DONE);
	tick(T0 + 2 * HOUR);
	CHECK(order()->state == WORK_ENDED && count(WORK_CUT) == 1 && mailed(WORK_MAIL_ENDED));
}

TEST(reminders_come_hourly_and_then_daily)
{
	int64_t due = T0 + 26 * HOUR, now = due;
	int hourly = 0;

	start();
	apply(false);
	CHECK(approve(APPROVAL_OF_WORK, T0) == WORK_DONE);
	CHECK(step(work_begin, "suzuki", T0) == WORK_DONE);
	tick(T0 + 2 * HOUR);
	tick(due - 1);
	CHECK(actions.count == 0);
	for (; hourly < WORK_REMINDERS_SOON; hourly++, now += HOUR) {
		tick(now);
		CHECK(mailed(WORK_MAIL_REPORT_OVERDUE) && count(WORK_MAIL) == 1);
		tick(now + HOUR - 1);
		CHECK(hourly == WORK_REMINDERS_SOON - 1 || actions.count == 0);
	}
	tick(now);
	CHECK(actions.count == 0);
	tick(now + 23 * HOUR);
	CHECK(mailed(WORK_MAIL_REPORT_OVERDUE));
	CHECK(certify(now) == WORK_DONE && report(now) == WORK_DONE);
	tick(now + 1000 * HOUR);
	CHECK(actions.count == 0);
}

TEST(an_emergency_owes_a_review_and_blocks_the_next)
{
	struct work_application second = application();
	const struct work_order *made;

	start();
	world.review_sec = 2 * 3600;
	world.permitted = false;
	second.emergency = true;
	work_actions_reset(&actions);
	CHECK(work_apply(machine, "suzuki", &second, T0, &actions, &made, &err) == WORK_DENIED);
	CHECK(work_count(machine) == 0 && actions.count == 0);
	world.permitted = true;
	apply(true);
	CHECK(order()->state == WORK_WORKING && count(WORK_ASK) == 1);
	CHECK(order()->review_due == T0 + 2 * HOUR && mailed(WORK_MAIL_EMERGENCY));
	CHECK(!work_review_overdue(machine, "maker", T0 + HOUR));
	CHECK(step(work_end, "suzuki", T0 + HOUR) == WORK_DONE);
	tick(T0 + 2 * HOUR);
	CHECK(mailed(WORK_MAIL_REVIEW_OVERDUE));
	CHECK(work_review_overdue(machine, "maker", T0 + 2 * HOUR));
	CHECK(!work_review_overdue(machine, "other", T0 + 2 * HOUR));
	second.terms.work_order.text[25] = 'Y';
	second.terms.not_after = T0 + 9 * HOUR;
	work_actions_reset(&actions);
	CHECK(work_apply(machine, "suzuki", &second, T0 + 2 * HOUR, &actions, &made, &err) ==
	        WORK_FORBIDDEN);
	CHECK(strstr(err.text, "overdue"));
	CHECK(certify(T0 + 2 * HOUR) == WORK_DONE && report(T0 + 2 * HOUR) == WORK_DONE);
	CHECK(step(work_close, "tanaka", T0 + 2 * HOUR) == WORK_CONFLICT);
	CHECK(approve(APPROVAL_OF_REVIEW, T0 + 2 * HOUR) == WORK_DONE && order()->reviewed);
	work_actions_reset(&actions);
	CHECK(work_apply(machine, "suzuki", &second, T0 + 2 * HOUR, &actions, &made, &err) ==
	        WORK_DONE);
	CHECK(step(work_close, "tanaka", T0 + 2 * HOUR) == WORK_DONE);
}

TEST(refusing_during_the_work_cuts_and_a_report_is_owed)
{
	start();
	apply(true);
	work_actions_reset(&actions);
	CHECK(work_refuse(machine, ID, "suzuki", "no", T0, &actions, &err) == WORK_FORBIDDEN);
	CHECK(work_refuse(machine, ID, "tanaka", "no", T0, &actions, &err) == WORK_DONE);
	CHECK(order()->state == WORK_ENDED && order()->reviewed && count(WORK_CUT) == 1);
	CHECK(order()->report_due > 0 && mailed(WORK_MAIL_REFUSED));

	start();
	apply(false);
	work_actions_reset(&actions);
	CHECK(work_refuse(machine, ID, "tanaka", "no", T0, &actions, &err) == WORK_DONE);
	CHECK(!order() && mailed(WORK_MAIL_REFUSED));
}

TEST(who_leaves_loses_the_work)
{
	start();
	apply(false);
	work_actions_reset(&actions);
	work_person_left(machine, "tanaka", T0, &actions);
	CHECK(actions.count == 0);
	work_person_left(machine, "suzuki", T0, &actions);
	CHECK(!order() && mailed(WORK_MAIL_WITHDRAWN));

	start();
	apply(true);
	work_actions_reset(&actions);
	work_person_left(machine, "suzuki", T0, &actions);
	CHECK(order()->state == WORK_ENDED && count(WORK_CUT) == 1);
}

TEST(a_colleague_reports_for_who_has_left)
{
	start();
	apply(false);
	CHECK(approve(APPROVAL_OF_WORK, T0) == WORK_DONE);
	CHECK(step(work_begin, "suzuki", T0 + HOUR) == WORK_DONE);
	CHECK(step(work_end, "yamada", T0 + HOUR) == WORK_FORBIDDEN);
	CHECK(step(work_end, "suzuki", T0 + HOUR) == WORK_DONE);
	CHECK(certify_as("yamada", "yamada", T0 + HOUR) == WORK_FORBIDDEN);
	CHECK_TEXT(err.text, "only the worker, suzuki, may do this");

	world.worker_active = false;
	work_actions_reset(&actions);
	work_person_left(machine, "suzuki", T0 + HOUR, &actions);
	CHECK(order()->state == WORK_ENDED);
	CHECK(certify(T0 + HOUR) == WORK_FORBIDDEN);
	CHECK(certify_as("tanaka", "tanaka", T0 + HOUR) == WORK_FORBIDDEN);
	CHECK(certify_as("suzuki", "yamada", T0 + HOUR) == WORK_INVALID);
	CHECK(certify_as("yamada", "yamada", T0 + HOUR) == WORK_DONE && mailed(WORK_MAIL_DELETED));
	CHECK(step(work_begin, "yamada", T0 + HOUR) == WORK_CONFLICT);
	work_actions_reset(&actions);
	CHECK(work_report(machine, ID, "yamada", "{}", T0 + HOUR, &actions, &err) == WORK_DONE);
	CHECK(step(work_close, "tanaka", T0 + HOUR) == WORK_DONE && !order());
}

TEST(a_row_comes_back_as_it_was)
{
	AUTO_BUF struct buf first = BUF(1 << 20), second = BUF(1 << 20);
	AUTO(work_order) struct work_order *read = NULL;

	start();
	apply(false);
	CHECK(approve(APPROVAL_OF_WORK, T0) == WORK_DONE);
	CHECK(work_extend(machine, ID, "suzuki", T0 + 3 * HOUR, T0, &actions, &err) == WORK_DONE);
	work_order_pack(order(), &first);
	CHECK(work_order_unpack(buf_text(&first), &read, &err) == 0);
	CHECK(read->asked && read->state == WORK_APPROVED && read->applied_at == T0);
	work_order_pack(read, &second);
	CHECK_TEXT(buf_text(&second), buf_text(&first));
	CHECK(work_order_unpack("{\"v\":1}", &read, &err) == 1);
}

TEST(mails_say_it_in_both_languages)
{
	start();
	apply(false);
	for (int mail = 0; mail < WORK_MAIL_COUNT; mail++) {
		AUTO_BUF struct buf subject = BUF(4096), text = BUF(64 << 10);

		work_mail_print((enum work_mail)mail, order(), &subject, &text);
		CHECK(*work_mail_name((enum work_mail)mail) && work_mail_to((enum work_mail)mail));
		CHECK(strstr(buf_text(&subject), ID) && !strchr(buf_text(&subject), '\n'));
		CHECK(strstr(buf_text(&text), "管球の交換") &&
		        strstr(buf_text(&text), "work order"));
		CHECK(!subject.overflowed && !text.overflowed);
	}
}

TEST_MAIN()
