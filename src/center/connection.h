/*
 * The connection machine: every connection of the center, as a pure state machine. Core is its
 * shell: each input is one call with the time, each call appends to a list of actions, and core
 * carries the list out strictly in its order. No file, socket or clock is touched here.
 *
 *                    both armed           both up
 *   request ─▶ GRANTED ──────▶ GOING ──────────▶ UP
 *      │          │ cut, refused, closed, late,   │
 *      │ denied   │ end, no longer permitted      │
 *      ▼          └──────────────┬────────────────┘
 *   (record, answer)             ▼          both closed, or
 *                             CLOSING ───────────────────▶ CLOSED (left out of the machine)
 *                                       dead for certain
 *
 * What it promises (DESIGN.md 2):
 *   3  a connection that is being closed is cut at both gateways again and again until each says
 *      closed, or until no lease or grant of it can be alive any more; nothing renews it;
 *   4  each change comes as CONNECTION_RECORD, CONNECTION_STORE and only then what it causes. The
 *      one word that does not wait is "go": its intent is the grant, which is on disk, and a center
 *      that forgot who was armed finds out again. It is sent as soon as the gateway that waits for
 *      IKE is armed; the one that starts it does so when it is armed itself;
 *   9  connection_review() ends what is no longer permitted.
 * And no number (mark) is used by two connections of which both may be alive anywhere.
 *
 * Every message to a gateway may be lost, doubled or overtaken: what is desired is sent again until
 * the gateway has answered, and all of it when a gateway comes back.
 *
 * The shell's part of the contract:
 *   - all CONNECTION_RECORD and CONNECTION_STORE actions up to the next action of another type are
 *     one transaction. Only when it is committed may the actions behind it run. If it cannot be
 *     committed, nothing behind it may run, and the process ends (it will restore);
 *   - grants and leases are sealed when they are sent: grant_print() or lease_print() of what the
 *     action holds. Sending to a gateway that is not there may be left out;
 *   - call connection_tick() at least once a second, and not later than connection_next();
 *   - at the start: connection_restore() for every stored row that is not closed, and
 *     connection_numbers_from() with the highest number ever stored; then connection_start().
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "model/grant.h"
#include "model/host_ref.h"
#include "model/lease.h"
#include "policy/decide.h"

struct connection_machine;

#define CONNECTION_ARM_SEC_MAX 10   /* from the grant to both armed */
#define CONNECTION_UP_SEC_MAX 30    /* from go to both up: the seeds' figure (DESIGN 3) */
#define CONNECTION_RESEND_SEC 3     /* until a gateway has answered */
#define CONNECTION_LIVE_MAX 1000000 /* what a center holds at once: 250,000 gateways, four each */
#define CONNECTION_REASON_BYTES_MAX 160

enum connection_state {
	CONNECTION_NONE,
	CONNECTION_GRANTED,
	CONNECTION_GOING,
	CONNECTION_UP,
	CONNECTION_CLOSING,
	CONNECTION_CLOSED,
};
const char *connection_state_name(enum connection_state state); /* "granted", … */
/* Outcome 1: no such word. */
int connection_state_parse(const char *name, enum connection_state *ret_state) must_use;

/* What is stored of a connection. */
struct connection_row {
	struct grant grant;
	enum connection_state state;
	bool armed[2], up[2], closed[2]; /* by enum grant_side: what each gateway reported */
	bool traffic;                    /* a first packet asked for it, nobody else */
	bool held; /* somebody cut it: traffic does not open it again (protocol.md 3.1) */
	char by[NAME_BYTES_MAX + 1]; /* who closed it: an operator, a site, a gateway, "center" */
	char reason[CONNECTION_REASON_BYTES_MAX]; /* and why */
	int64_t changed_at;                       /* wall */
};

struct connection_request {
	struct policy_request policy;          /* duration 0: as long as is allowed; lease 0 */
	char terminal[ADDRESS_TEXT_BYTES_MAX]; /* where the person sits, as far as known; or "" */
	char gateway[NAME_BYTES_MAX + 1];      /* that asks for a first packet; else "" */
	uint64_t tag;                          /* handed back in the answer */
};

/* What the center knows beside the connections. Look-ups only; both must answer from memory. */
struct connection_world {
	void *context;
	/* Fills everything that policy_decide() needs for this connection. With a live grant
	 * (review) `grant` is set, the certificates' state is that of the serials it names, and
	 * beside it is what is older only; else NULL. The machine sets the window of a live grant
	 * itself and leaves the gateways' state out of a review. What is pointed to stays the
	 * callee's, until its next call. */
	void (*facts)(void *context, const struct policy_request *request,
	        const struct grant *grant, struct moment now, struct policy_facts *ret_facts);
	/* The end of a grant at `ref`'s site: all fields of struct grant_end as the gateway is
	 * registered now. Outcome 1: no such site, host or gateway. */
	int (*end)(void *context, const struct host_ref *ref, struct grant_end *ret_end);
	/* A new id. In the daemon id_new(). */
	struct id (*id)(void *context, struct moment now);
};

enum connection_action_type {
	CONNECTION_RECORD,     /* record: append to the ledger */
	CONNECTION_STORE,      /* row: written in the same transaction */
	CONNECTION_ANSWER,     /* tag, answer, id: to who asked */
	CONNECTION_SEND_GRANT, /* gateway, grant: seal as sekisho-grant, event grant */
	CONNECTION_SEND_GO,    /* gateway, id */
	CONNECTION_SEND_LEASE, /* gateway, lease: seal as sekisho-lease, event lease */
	CONNECTION_SEND_CUT,   /* gateway, id, by, reason */
};

enum connection_answer {
	CONNECTION_DENIED,   /* zero value; decision has the layers */
	CONNECTION_ACCEPTED, /* id */
	CONNECTION_EXISTS,   /* id is the live connection of the same hosts, protocol and port */
	CONNECTION_BUSY,     /* the same, but it is being closed: ask again */
	CONNECTION_FULL,     /* CONNECTION_LIVE_MAX */
};

struct connection_action {
	enum connection_action_type type;
	struct id id;
	char gateway[NAME_BYTES_MAX + 1];
	const char *kind;           /* record: a kind of audit/record.h; static */
	struct buf record;          /* its bytes as they go into the ledger; owned by the list */
	struct connection_row *row; /* store; owned by the list */
	struct grant *grant;        /* owned by the list */
	struct lease lease;
	char by[NAME_BYTES_MAX + 1];
	char reason[CONNECTION_REASON_BYTES_MAX];
	uint64_t tag;
	enum connection_answer answer;
	struct decision *decision; /* answer; owned by the list */
};

/* Owned by the caller; every call appends. */
struct connection_actions {
	struct connection_action *items;
	size_t count, room;
};

/* Empties the list and keeps its memory; frees all. */
void connection_actions_reset(struct connection_actions *actions);
void connection_actions_clear(struct connection_actions *actions);

/* `provider` and what `world` points to are borrowed and live as long as the machine. */
struct connection_machine *connection_machine_new(
        const char *provider, uint64_t epoch, const struct connection_world *world);
struct connection_machine *connection_machine_free(struct connection_machine *machine);
AUTO_DEFINE(connection_machine)

/* --- start --------------------------------------------------------------- */

/* Outcome 1: not a row that this machine can have stored (id twice, number twice, closed). */
int connection_restore(struct connection_machine *machine, const struct connection_row *row,
        struct moment now) must_use;
/* New numbers come after `number`, the highest ever given (0: none). */
void connection_numbers_from(struct connection_machine *machine, uint32_t number);
/* All gateways count as away until they come. Ends what is no longer permitted. */
void connection_start(
        struct connection_machine *machine, struct moment now, struct connection_actions *actions);

/* --- inputs -------------------------------------------------------------- */

void connection_ask(struct connection_machine *machine, const struct connection_request *request,
        struct moment now, struct connection_actions *actions);

/* Reports of the device interface. One about a connection that is not of this gateway changes
 * nothing; about one that is not live is answered with a cut. */
enum connection_report {
	CONNECTION_REPORT_REFUSED,
	CONNECTION_REPORT_ARMED,
	CONNECTION_REPORT_UP,
	CONNECTION_REPORT_CLOSED,
};
/* Outcome 1: no such word. */
int connection_report_parse(const char *name, enum connection_report *ret_report) must_use;
void connection_report(struct connection_machine *machine, const char *gateway,
        enum connection_report report, const char *id, const char *reason, struct moment now,
        struct connection_actions *actions);

/* A gateway's stream began: all that is desired is sent. `ids` is what it holds live if it said so
 * (what is not live here is cut), else NULL. */
void connection_gateway_online(struct connection_machine *machine, const char *gateway,
        const char *const *ids, size_t id_count, struct moment now,
        struct connection_actions *actions);
void connection_gateway_offline(
        struct connection_machine *machine, const char *gateway, struct moment now);

/* By an operator, a site, a gateway or a revocation: `by` is the name. Who may is checked by the
 * caller. Outcome 1: there is no such live connection. One that is closing already stays so. */
int connection_cut(struct connection_machine *machine, const char *id, const char *by,
        const char *reason, struct moment now, struct connection_actions *actions) must_use;

/* A person at a gateway cut it: traffic is not to open it again. To be called before the report
 * that it is closed. Outcome 1: there is no such live connection of this gateway. */
int connection_hold(struct connection_machine *machine, const char *gateway, const char *id,
        struct moment now, struct connection_actions *actions) must_use;

/* Policies, accreditations, certificates or gateways changed: every live connection, or those of
 * one site (NULL: all), is decided again; what is no longer permitted is closed. */
void connection_review(struct connection_machine *machine, const char *site, struct moment now,
        struct connection_actions *actions);

/* Makes every grant of an older epoch void: all live connections are closed, new grants carry the
 * new epoch. Outcome 1: not higher than the present one. */
int connection_epoch_raise(struct connection_machine *machine, uint64_t epoch, struct moment now,
        struct connection_actions *actions) must_use;

/* --- time and views ------------------------------------------------------ */

void connection_tick(
        struct connection_machine *machine, struct moment now, struct connection_actions *actions);
/* The monotonic time of the next thing to do; INT64_MAX when there is none. */
int64_t connection_next(const struct connection_machine *machine);

size_t connection_count(const struct connection_machine *machine);
/* The live row (closing ones too), or NULL. Borrowed until the next input. */
const struct connection_row *connection_find(
        const struct connection_machine *machine, const char *id);
/* Calls `each` for every live connection, of one site or gateway, or (NULL) of all. */
typedef void connection_each(void *context, const struct connection_row *row);
void connection_list(const struct connection_machine *machine, const char *site,
        const char *gateway, connection_each *each, void *context);
