/*
 * The work order machine: every open work order of the center, as a pure state machine (mission G1
 * to G3, protocol.md 6.1). Core is its shell: each input is one call with the time, each call
 * answers with an outcome and appends to a list of actions, which core carries out strictly in its
 * order. No file, socket, key or clock is touched here; seals are opened by the caller.
 *
 *   apply ─▶ APPLIED ─approve─▶ APPROVED ─begin─▶ WORKING ─end─▶ ENDED ─deleted─▶ DELETED
 *               │                  │                 ▲ │ window over,      │
 *               │ refuse, withdraw,│                 │ │ refuse            │ report
 *               │ window over      │       emergency ┘ └───────▶ ENDED     ▼
 *               ▼                  ▼                                    REPORTED ─close─▶ CLOSED
 *          REFUSED, WITHDRAWN, EXPIRED
 *
 * What it promises:
 *   - a step out of this order is WORK_CONFLICT and changes nothing; so one approval, one begin and
 *     one certificate has one effect, however often and however many at once they are sent;
 *   - what an approver signed is, byte for byte, what is in force (attack A14): an extension is a
 *     new revision with an approval of its own, and until then the old window counts;
 *   - nobody approves the own work, under no account of the same natural person;
 *   - whatever ends WORKING, or the permission to begin, cuts what is open (WORK_CUT);
 *   - after WORKING a report is owed, with a deletion certificate before it; both sides are
 *     reminded of what is late, first often, then daily;
 *   - an emergency owes a review; while one is overdue, its organization opens no other (E).
 *
 * Everything about persons and policies is asked of the world again at each step, at begin too.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "model/approval.h"
#include "model/deletion.h"

struct record;
struct work_machine;

enum work_state {
	WORK_NONE,
	WORK_APPLIED,
	WORK_APPROVED,
	WORK_WORKING,
	WORK_ENDED,
	WORK_DELETED,
	WORK_REPORTED,
	WORK_CLOSED,
	WORK_REFUSED,
	WORK_WITHDRAWN,
	WORK_EXPIRED,
	WORK_STATE_COUNT,
};
const char *work_state_name(enum work_state state); /* "applied", …; "" for NONE */
const char *work_state_japanese(enum work_state state);
/* Outcome 1: no such word. */
int work_state_parse(const char *name, enum work_state *ret_state) must_use;
bool work_state_is_open(enum work_state state); /* more steps can follow */

#define WORK_KEY_ID_BYTES 43
#define WORK_DIGEST_BYTES 32
#define WORK_REASON_BYTES_MAX 160

/* An approval as it was taken. */
struct work_approval {
	enum approval_kind kind;
	char approver[NAME_BYTES_MAX + 1];
	char key_id[WORK_KEY_ID_BYTES + 1]; /* of the key that sealed it */
	uint8_t digest[WORK_DIGEST_BYTES];  /* SHA-256 of the payload: seals can be re-made (A05) */
	uint64_t revision;
	int64_t not_before, not_after, approved_at;
	char *seal; /* the JWS; owned */
};

struct work_order {
	struct work_terms terms;  /* in force */
	struct work_terms *asked; /* the next revision, not approved yet; or NULL; owned */
	enum work_state state;
	bool emergency;
	char organization[NAME_BYTES_MAX + 1];      /* the worker's */
	char site_organization[NAME_BYTES_MAX + 1]; /* the site's */
	char applicant[NAME_BYTES_MAX + 1];
	char notice[ID_BYTES_MAX + 1]; /* that it came from; or "" */
	char by[NAME_BYTES_MAX + 1];   /* who made the newest step; "center" */
	char reason[WORK_REASON_BYTES_MAX + 1];
	int64_t applied_at, began_at, ended_at, changed_at; /* wall; 0: not yet */
	int64_t report_due, review_due;                     /* 0: none is owed */
	bool reviewed;      /* an emergency, by an approver, whatever the answer was */
	int64_t remind_at;  /* of the report: next reminder; 0: none yet */
	uint64_t reminders; /* sent */
	int64_t review_remind_at;
	uint64_t review_reminders;
	char *deletion; /* the certificate's JWS; owned; or NULL */
	char *report;   /* canonical JSON {"records":[],"text":…}; owned; or NULL */
	struct work_approval *approvals; /* owned; oldest first */
	size_t approval_count;
	uint64_t leaf; /* of the newest record about it; the shell's */
};
struct work_order *work_order_free(struct work_order *order);
AUTO_DEFINE(work_order)

/* The approval whose window holds `now` and ends last, or (NULL) none. */
const struct work_approval *work_order_approval(const struct work_order *order, int64_t now);
/* When the permission ends: the last approval's end; of an emergency that of its terms. */
int64_t work_order_end(const struct work_order *order);

/* A person as registered now. */
struct work_person {
	char organization[NAME_BYTES_MAX + 1];
	char natural_person[PERSON_BYTES_MAX +
	                    1]; /* two accounts with the same one are one person */
	bool may_apply, may_approve, may_report;
};

struct work_settings {
	int64_t report_due_sec, review_due_sec, remind_sec, remind_later_sec;
};
#define WORK_REMINDERS_SOON                                                                        \
	24 /* reminders at remind_sec; those after it come at remind_later_sec */

enum work_outcome {
	WORK_DONE = 0,
	WORK_UNKNOWN,   /* there is no such work order */
	WORK_INVALID,   /* what was sent is wrong in itself */
	WORK_FORBIDDEN, /* this person may not */
	WORK_CONFLICT,  /* not in this state, or not any more */
	WORK_DENIED,    /* a target's connection is not permitted; the world has the decision */
	WORK_FULL,      /* too many are open */
};

/* What is asked of the center. All look-ups; none changes anything. */
struct work_world {
	void *context;
	/* Outcome 1: not registered, or not active. */
	int (*person)(void *context, const char *name, struct work_person *ret_person);
	/* The organization of a site. Outcome 1: there is no such site. */
	int (*site)(void *context, const char *site, char *ret_organization, size_t room);
	/* Whether the active policy of the site lists this approver with this key. */
	bool (*approver)(void *context, const char *site, const char *approver, const char *key_id);
	/* Whether the connection of this target would be permitted now, the order taken as begun.
	 * `*ret_review_sec` is the time for an emergency's review by the rules, 0 when they say
	 * nothing. False: err says why. */
	bool (*permitted)(void *context, const struct work_order *order,
	        const struct work_target *target, int64_t now, int64_t *ret_review_sec,
	        struct err *err);
};

enum work_mail {
	WORK_MAIL_APPLIED,
	WORK_MAIL_APPROVED,
	WORK_MAIL_REFUSED,
	WORK_MAIL_WITHDRAWN,
	WORK_MAIL_EXPIRED,
	WORK_MAIL_BEGUN,
	WORK_MAIL_EXTENSION, /* asked for */
	WORK_MAIL_EXTENDED,
	WORK_MAIL_ENDED,
	WORK_MAIL_DELETED,
	WORK_MAIL_REPORTED,
	WORK_MAIL_CLOSED,
	WORK_MAIL_REPORT_OVERDUE,
	WORK_MAIL_EMERGENCY, /* alarm: begun without an approval */
	WORK_MAIL_REVIEWED,
	WORK_MAIL_REVIEW_OVERDUE,
	WORK_MAIL_COUNT,
};

enum work_action_type {
	WORK_RECORD, /* record: append to the ledger; adopted by the shell, which sets it to NULL */
	WORK_STORE,  /* order: written whole in the same transaction */
	WORK_STORE_APPROVAL, /* order's newest approval */
	WORK_MAIL,           /* mail, order: to both sides as the mail's kind says */
	WORK_ASK,            /* order, target: ask for this connection */
	WORK_CUT,            /* order: end every connection that names it; reason */
};

struct work_action {
	enum work_action_type type;
	struct record *record;
	struct work_order *order; /* until the next input of the machine */
	enum work_mail mail;
	size_t target;
	const char *reason; /* static */
};

/* Owned by the caller; every call appends. */
struct work_actions {
	struct work_action *items;
	size_t count, room;
};
void work_actions_reset(struct work_actions *actions);
void work_actions_clear(struct work_actions *actions);

/* `world` is copied. */
struct work_machine *work_machine_new(
        const struct work_world *world, const struct work_settings *settings);
struct work_machine *work_machine_free(struct work_machine *machine);
AUTO_DEFINE(work_machine)
void work_machine_set(struct work_machine *machine, const struct work_settings *settings);

/* Adopts an open order that was stored. Outcome 1: not open, or there already. */
int work_restore(struct work_machine *machine, struct work_order *order) must_use;

/* NULL: not open. Borrowed until the next input. */
const struct work_order *work_find(const struct work_machine *machine, const char *id);
size_t work_count(const struct work_machine *machine);
typedef void work_each(void *context, const struct work_order *order);
void work_list(const struct work_machine *machine, work_each *each, void *context);
/* Whether this organization has an emergency whose review is overdue. */
bool work_review_overdue(const struct work_machine *machine, const char *organization, int64_t now);

/* --- inputs: `by` is the person who acts; an enum work_outcome, with err -------------------- */

struct work_application {
	struct work_terms terms; /* with an id of the caller's; revision is set here */
	bool emergency;
	char notice[ID_BYTES_MAX + 1];
};
/* `*ret_order` is borrowed until the next input. */
enum work_outcome work_apply(struct work_machine *machine, const char *by,
        const struct work_application *application, int64_t now, struct work_actions *actions,
        const struct work_order **ret_order, struct err *err) must_use;

struct work_sealed_approval {
	const struct approval *approval;
	const char *seal;      /* the JWS */
	const char *sealed_by; /* the approver of the active policy whose key fits */
	const char *key_id;
	const uint8_t *digest;
};
enum work_outcome work_approve(struct work_machine *machine, const char *id, const char *by,
        const struct work_sealed_approval *sealed, int64_t now, struct work_actions *actions,
        struct err *err) must_use;

/* Before the work: REFUSED. During it: ENDED, and all is cut. Of an emergency that is not reviewed
 * it is the review. */
enum work_outcome work_refuse(struct work_machine *machine, const char *id, const char *by,
        const char *reason, int64_t now, struct work_actions *actions, struct err *err) must_use;
enum work_outcome work_withdraw(struct work_machine *machine, const char *id, const char *by,
        int64_t now, struct work_actions *actions, struct err *err) must_use;
enum work_outcome work_begin(struct work_machine *machine, const char *id, const char *by,
        int64_t now, struct work_actions *actions, struct err *err) must_use;
/* Whether that worker may begin at this moment: what work_begin() checks, but for the targets. */
enum work_outcome work_may_begin(const struct work_machine *machine, const char *id, const char *by,
        int64_t now, struct err *err) must_use;
/* A connection that names an approved order was granted: that is its begin. Nothing otherwise. */
void work_connected(
        struct work_machine *machine, const char *id, int64_t now, struct work_actions *actions);
/* The new terms are then order->asked. */
enum work_outcome work_extend(struct work_machine *machine, const char *id, const char *by,
        int64_t not_after, int64_t now, struct work_actions *actions, struct err *err) must_use;
enum work_outcome work_end(struct work_machine *machine, const char *id, const char *by,
        int64_t now, struct work_actions *actions, struct err *err) must_use;
/* The seal was opened with the registered key of `by`: the worker, or a colleague of the same
 * organization where the worker has left; the same for the report. */
enum work_outcome work_deleted(struct work_machine *machine, const char *id, const char *by,
        const struct deletion *deletion, const char *seal, int64_t now,
        struct work_actions *actions, struct err *err) must_use;
/* `report`: canonical JSON as in struct work_order. */
enum work_outcome work_report(struct work_machine *machine, const char *id, const char *by,
        const char *report, int64_t now, struct work_actions *actions, struct err *err) must_use;
enum work_outcome work_close(struct work_machine *machine, const char *id, const char *by,
        int64_t now, struct work_actions *actions, struct err *err) must_use;
/* A person has left or lost the role: what is not begun is withdrawn, what is begun ends. */
void work_person_left(struct work_machine *machine, const char *person, int64_t now,
        struct work_actions *actions);
/* At least once a second. */
void work_tick(struct work_machine *machine, int64_t now, struct work_actions *actions);
