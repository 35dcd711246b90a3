/*
 * The connection machine (connection.h has the picture and the contract).
 *
 * Why a number is safe: it is given again only after all others, and never while its connection is
 * in the machine. A connection leaves the machine when both gateways said closed, or at `dead_at`:
 * then no gateway can still accept the grant (GRANT_AGE_SEC_MAX), wait for its SA
 * (GRANT_UP_SEC_MAX), or hold a lease, even with its clock wrong by CLOCK_SKEW_SEC_MAX.
 */
#include "center/connection_step.h"

#include <stdio.h>
#include <string.h>

#include "base/sim_bug.h"
#include "policy/explain.h"

/* What a gateway that is away may be late with its own end, beside the lease. */
#define AWAY_SLACK_SEC 5
/* After a restart gateways need a while to come back (their back-off goes up to 30 s). */
#define RESTORE_SEC 40

static const enum grant_side sides[] = { GRANT_INITIATOR, GRANT_RESPONDER };

static enum grant_side other_side(enum grant_side side)
{
	return side == GRANT_INITIATOR ? GRANT_RESPONDER : GRANT_INITIATOR;
}

/* --- sending ------------------------------------------------------------- */

static struct connection_action *push_send(struct connection_turn *turn,
        enum connection_action_type type, const struct connection *connection, enum grant_side side)
{
	struct connection_action *action = step_push(turn, type);

	action->id = connection->row.grant.id;
	memcpy(action->gateway, connection_gateway(connection, side), sizeof(action->gateway));
	return action;
}

static void send_grant(
        struct connection_turn *turn, struct connection *connection, enum grant_side side)
{
	struct connection_action *action = push_send(turn, CONNECTION_SEND_GRANT, connection, side);

	action->grant = mem_copy(&connection->row.grant, sizeof(connection->row.grant));
}

static void send_cut(
        struct connection_turn *turn, const struct connection *connection, enum grant_side side)
{
	struct connection_action *action = push_send(turn, CONNECTION_SEND_CUT, connection, side);

	memcpy(action->by, connection->row.by, sizeof(action->by));
	memcpy(action->reason, connection->row.reason, sizeof(action->reason));
}

static void raise_to(int64_t *time, int64_t least)
{
	if (*time < least) {
		*time = least;
	}
}

static void send_lease(
        struct connection_turn *turn, struct connection *connection, enum grant_side side)
{
	const struct grant *grant = &connection->row.grant;
	struct connection_action *action = push_send(turn, CONNECTION_SEND_LEASE, connection, side);
	int64_t now = turn->now.monotonic_usec;
	int64_t ttl_usec = grant->lease_sec * USEC_PER_SEC;

	action->lease = (struct lease){
		.grant = grant->id,
		.epoch = grant->epoch,
		.seq = connection->lease_seq,
		.issued_at = turn->now.wall_usec - turn->now.wall_usec % USEC_PER_MSEC,
		.ttl_sec = grant->lease_sec,
	};
	memcpy(action->lease.provider, grant->provider, sizeof(action->lease.provider));
	raise_to(&connection->alive_until[side], now + ttl_usec);
	raise_to(&connection->dead_at, now + ttl_usec + CLOCK_SKEW_SEC_MAX * USEC_PER_SEC);
}

/* Seq is not stored; time makes it rise also over a restart. */
static void next_seq(struct connection_turn *turn, struct connection *connection)
{
	int64_t msec = (turn->now.wall_usec - connection->row.grant.issued_at) / USEC_PER_MSEC;

	connection->lease_seq++;
	if (msec > 0 && (uint64_t)msec > connection->lease_seq) {
		connection->lease_seq = (uint64_t)msec;
	}
}

static void renew(struct connection_turn *turn, struct connection *connection)
{
	next_seq(turn, connection);
	for (size_t i = 0; i < ARRAY_COUNT(sides); i++) {
		if (connection->row.up[sides[i]] && connection->online[sides[i]]) {
			send_lease(turn, connection, sides[i]);
		}
	}
	connection->renew_at =
	        turn->now.monotonic_usec + connection->row.grant.lease_sec * USEC_PER_SEC / 3;
}

/* --- transitions --------------------------------------------------------- */

int64_t connection_dead_at(const struct grant *grant, struct moment now)
{
	int64_t bound_sec = GRANT_AGE_SEC_MAX + GRANT_UP_SEC_MAX + CLOCK_SKEW_SEC_MAX;
	int64_t usual = (bound_sec + grant->lease_sec) * USEC_PER_SEC;
	int64_t grant_end = grant->not_after - now.wall_usec + CLOCK_SKEW_SEC_MAX * USEC_PER_SEC;

	/* Gateways that hear nothing of us keep one that outlives an outage up to its grant's end.
	 */
	return now.monotonic_usec + (grant->outage && grant_end > usual ? grant_end : usual);
}

/* CLOSING ─▶ CLOSED, and out of the machine. */
static void finish(struct connection_turn *turn, struct connection *connection)
{
	const struct connection_row *row = &connection->row;
	struct record *record = step_record_new(turn, "connection.closed", row->grant.id.text);

	record_text(record, "reason", row->reason);
	record_text(record, "by", row->by);
	record_flag(record, "initiator_answered", row->closed[GRANT_INITIATOR]);
	record_flag(record, "responder_answered", row->closed[GRANT_RESPONDER]);
	step_record_push(turn, "connection.closed", row->grant.id.text, record);
	connection->row.state = CONNECTION_CLOSED;
	step_store(turn, connection);
	connection_index_remove(&turn->machine->index, connection);
	free(connection);
}

/* Sends a side what is desired of it. */
static void send_desired(
        struct connection_turn *turn, struct connection *connection, enum grant_side side)
{
	const struct connection_row *row = &connection->row;

	if (row->state == CONNECTION_CLOSING) {
		if (!row->closed[side]) {
			send_cut(turn, connection, side);
		}
		return;
	}
	if (!row->armed[side] || (row->state == CONNECTION_GOING && !row->up[side])) {
		send_grant(turn, connection, side);
	}
	if (row->grant.ike == side && row->armed[other_side(side)] && !row->up[side]) {
		push_send(turn, CONNECTION_SEND_GO, connection, side);
	}
}

/* First the one that waits for IKE: it is to be armed when the other one starts. */
void step_send_desired(struct connection_turn *turn, struct connection *connection)
{
	enum grant_side ike = connection->row.grant.ike;

	if (connection->online[other_side(ike)]) {
		send_desired(turn, connection, other_side(ike));
	}
	if (connection->online[ike]) {
		send_desired(turn, connection, ike);
	}
	connection->resend_at = turn->now.monotonic_usec + CONNECTION_RESEND_SEC * USEC_PER_SEC;
}

/* GRANTED, GOING, UP ─▶ CLOSING. `kind` says how it ended. */
static void close_connection(struct connection_turn *turn, struct connection *connection,
        const char *kind, const char *by, const char *reason)
{
	struct connection_row *row = &connection->row;
	struct record *record;

	if (row->state == CONNECTION_CLOSING) {
		return;
	}
	snprintf(row->by, sizeof(row->by), "%s", by);
	snprintf(row->reason, sizeof(row->reason), "%s", reason);
	row->state = CONNECTION_CLOSING;
	record = step_record_new(turn, kind, row->grant.id.text);
	record_text(record, "by", by);
	record_text(record, "reason", reason);
	step_record_push(turn, kind, row->grant.id.text, record);
	if (row->closed[GRANT_INITIATOR] && row->closed[GRANT_RESPONDER]) {
		finish(turn, connection);
		return;
	}
	step_store(turn, connection);
	step_send_desired(turn, connection);
}

static void close_own(
        struct connection_turn *turn, struct connection *connection, const char *reason)
{
	close_connection(turn, connection, "connection.cut", "center", reason);
}

/* "go" as soon as the other gateway is ready for IKE: the one that starts it waits by itself until
 * it is armed as well. The intent is on disk since the grant, and a center that forgets this step
 * takes it again: the word need not wait for the disk. */
static void arm(struct connection_turn *turn, struct connection *connection, enum grant_side side)
{
	struct connection_row *row = &connection->row;

	if (!row->armed[side] && row->state == CONNECTION_GRANTED && row->grant.ike != side) {
		push_send(turn, CONNECTION_SEND_GO, connection, row->grant.ike);
	}
	row->armed[side] = true;
}

/* GRANTED ─▶ GOING ─▶ UP, as far as the reports go. True when something changed. */
static void advance(struct connection_turn *turn, struct connection *connection)
{
	struct connection_row *row = &connection->row;
	const char *id = row->grant.id.text;

	if (row->state == CONNECTION_GRANTED && row->armed[0] && row->armed[1]) {
		row->state = CONNECTION_GOING;
		connection->deadline =
		        turn->now.monotonic_usec + CONNECTION_UP_SEC_MAX * USEC_PER_SEC;
		step_record_push(turn, "connection.armed", id,
		        step_record_new(turn, "connection.armed", id));
		step_store(turn, connection);
	}
	if (row->state == CONNECTION_GOING && row->up[0] && row->up[1]) {
		row->state = CONNECTION_UP;
		step_record_push(
		        turn, "connection.up", id, step_record_new(turn, "connection.up", id));
		step_store(turn, connection);
	}
}

/* --- reports ------------------------------------------------------------- */

static void cut_unknown(struct connection_turn *turn, const char *gateway, const char *id)
{
	struct connection_action *action;

	if (!id_valid(id)) {
		return;
	}
	action = step_push(turn, CONNECTION_SEND_CUT);
	snprintf(action->gateway, sizeof(action->gateway), "%s", gateway);
	snprintf(action->id.text, sizeof(action->id.text), "%s", id);
	snprintf(action->by, sizeof(action->by), "center");
	snprintf(action->reason, sizeof(action->reason), "there is no such live connection");
}

/* Only "closed" is final: the gateway keeps the id and will never open it. A refused grant may
 * still be on its way a second time, so that gateway is cut like the other. */
static void report_ended(struct connection_turn *turn, struct connection *connection,
        enum grant_side side, enum connection_report report, const char *reason)
{
	struct connection_row *row = &connection->row;
	bool refused = report == CONNECTION_REPORT_REFUSED;
	char text[CONNECTION_REASON_BYTES_MAX];
	bool known = row->closed[side];

	row->closed[side] |= !refused;
	if (row->state != CONNECTION_CLOSING) {
		snprintf(text, sizeof(text), "%s: %.120s", refused ? "refused" : "closed", reason);
		close_connection(turn, connection, "connection.cut",
		        connection_gateway(connection, side), text);
	} else if (row->closed[GRANT_INITIATOR] && row->closed[GRANT_RESPONDER]) {
		finish(turn, connection);
	} else if (row->closed[side] != known) {
		step_store(turn, connection);
	}
}

void connection_report(struct connection_machine *machine, const char *gateway,
        enum connection_report report, const char *id, const char *reason, struct moment now,
        struct connection_actions *actions)
{
	struct connection_turn turn = { machine, now, actions, NULL };
	bool ended = report == CONNECTION_REPORT_REFUSED || report == CONNECTION_REPORT_CLOSED;
	struct connection *connection = connection_index_find(&machine->index, id);
	enum grant_side side;

	if (!connection) {
		if (!ended) {
			cut_unknown(&turn, gateway, id);
		}
		return;
	}
	if (connection_side(connection, gateway, &side)) {
		return;
	}
	if (ended) {
		report_ended(&turn, connection, side, report, reason);
		return;
	}
	if (connection->row.state == CONNECTION_CLOSING) {
		if (!connection->row.closed[side]) {
			send_cut(&turn, connection, side);
		}
		return;
	}
	arm(&turn, connection, side);
	if (report == CONNECTION_REPORT_UP && !connection->row.up[side]) {
		connection->row.up[side] = true;
		raise_to(&connection->alive_until[side],
		        now.monotonic_usec + connection->row.grant.lease_sec * USEC_PER_SEC);
	}
	advance(&turn, connection);
}

void connection_gateway_online(struct connection_machine *machine, const char *gateway,
        const char *const *ids, size_t id_count, struct moment now,
        struct connection_actions *actions)
{
	struct connection_turn turn = { machine, now, actions, NULL };
	struct connection *connection = NULL;
	enum grant_side side;

	for (size_t i = 0; i < id_count; i++) {
		if (!connection_index_find(&machine->index, ids[i])) {
			cut_unknown(&turn, gateway, ids[i]);
		}
	}
	while ((connection = connection_index_next(&machine->index, gateway, connection))) {
		assert_always(connection_side(connection, gateway, &side) == 0);
		connection->online[side] = true;
		send_desired(&turn, connection, side);
		if (connection->row.state == CONNECTION_UP) {
			/* If it lost what it had it refuses the grant, for the id was used. */
			send_grant(&turn, connection, side);
			next_seq(&turn, connection);
			send_lease(&turn, connection, side);
		}
	}
}

void connection_gateway_offline(
        struct connection_machine *machine, const char *gateway, struct moment now)
{
	struct connection *connection = NULL;
	enum grant_side side;

	while ((connection = connection_index_next(&machine->index, gateway, connection))) {
		assert_always(connection_side(connection, gateway, &side) == 0);
		connection->online[side] = false;
	}
}

/* --- ending -------------------------------------------------------------- */

/* One that is closing for another reason is cut all the same, in the eyes of who pressed. */
static void hold(struct connection_turn *turn, struct connection *connection)
{
	bool late = !connection->row.held && connection->row.state == CONNECTION_CLOSING;

	connection->row.held = true;
	if (late) {
		step_store(turn, connection);
	}
}

int connection_cut(struct connection_machine *machine, const char *id, const char *by,
        const char *reason, struct moment now, struct connection_actions *actions)
{
	struct connection_turn turn = { machine, now, actions, NULL };
	struct connection *connection = connection_index_find(&machine->index, id);

	if (!connection) {
		return 1;
	}
	/* The center itself is nobody: rights that ended are asked about at the next opening. */
	if (strcmp(by, "center") != 0) {
		hold(&turn, connection);
	}
	close_connection(&turn, connection, "connection.cut", by, reason);
	return 0;
}

int connection_hold(struct connection_machine *machine, const char *gateway, const char *id,
        struct moment now, struct connection_actions *actions)
{
	struct connection_turn turn = { machine, now, actions, NULL };
	struct connection *connection = connection_index_find(&machine->index, id);
	enum grant_side side;

	if (!connection || connection_side(connection, gateway, &side)) {
		return 1;
	}
	hold(&turn, connection);
	return 0;
}

/* Whether it is still permitted; closes it when not. */
static void review(struct connection_turn *turn, struct connection *connection)
{
	struct connection_world *world = &turn->machine->world;
	const struct grant *grant = &connection->row.grant;
	struct policy_request request = {
		.class = grant->class,
		.protocol = grant->protocol,
		.port = grant->port,
		.duration_sec = (grant->not_after - grant->not_before) / USEC_PER_SEC,
		.lease_sec = grant->lease_sec,
		.emergency = grant->emergency,
	};
	struct policy_facts facts = { 0 };
	char reason[CONNECTION_REASON_BYTES_MAX];
	struct decision decision;
	enum policy_layer layer;

	memcpy(request.from.site, grant->initiator.site, sizeof(request.from.site));
	memcpy(request.from.host, grant->initiator.host, sizeof(request.from.host));
	memcpy(request.to.site, grant->responder.site, sizeof(request.to.site));
	memcpy(request.to.host, grant->responder.host, sizeof(request.to.host));
	memcpy(request.person, grant->person, sizeof(request.person));
	memcpy(request.work_order, grant->work_order, sizeof(request.work_order));
	world->facts(world->context, &request, grant, turn->now, &facts);
	facts.foreign |= LAYER_BIT(LAYER_GATEWAYS);
	facts.window.not_before = grant->not_before;
	facts.window.not_after = grant->not_after;
	decision = policy_decide(&request, &facts, turn->now.wall_usec);
	if (decision.verdict == VERDICT_PERMIT) {
		return;
	}
	layer = decision_denied_by(&decision);
	snprintf(reason, sizeof(reason), "no longer permitted: %s",
	        layer < LAYER_COUNT ? policy_reason_name(decision.layers[layer].reason) : "");
	close_own(turn, connection, reason);
}

/* Calls `step` for every connection; it may take the connection out of the machine. */
static void for_all(struct connection_turn *turn,
        void (*step)(struct connection_turn *turn, struct connection *connection))
{
	struct connection_index *index = &turn->machine->index;

	for (size_t i = 0; i < index->bucket_count; i++) {
		struct connection *next;

		for (struct connection *at = index->by_id[i]; at; at = next) {
			next = at->next_id;
			step(turn, at);
		}
	}
}

static void review_live(struct connection_turn *turn, struct connection *connection)
{
	const struct grant *grant = &connection->row.grant;

	if (connection->row.state != CONNECTION_CLOSING &&
	        (!turn->site || strcmp(grant->initiator.site, turn->site) == 0 ||
	                strcmp(grant->responder.site, turn->site) == 0)) {
		review(turn, connection);
	}
}

void connection_review(struct connection_machine *machine, const char *site, struct moment now,
        struct connection_actions *actions)
{
	struct connection_turn turn = { machine, now, actions, site };

	for_all(&turn, review_live);
}

static void end_epoch(struct connection_turn *turn, struct connection *connection)
{
	if (connection->row.grant.epoch < turn->machine->epoch) {
		close_own(turn, connection, "its epoch is over");
	}
}

int connection_epoch_raise(struct connection_machine *machine, uint64_t epoch, struct moment now,
        struct connection_actions *actions)
{
	struct connection_turn turn = { machine, now, actions, NULL };
	struct record *record;

	if (epoch <= machine->epoch || epoch > INT64_MAX) {
		return 1;
	}
	machine->epoch = epoch;
	record = step_record_new(&turn, "epoch.raised", "");
	record_number(record, "epoch", (int64_t)epoch);
	step_record_push(&turn, "epoch.raised", "", record);
	for_all(&turn, end_epoch);
	return 0;
}

/* --- time ---------------------------------------------------------------- */

/* What is over by now. True when the connection is no longer live. */
static bool end_if_due(struct connection_turn *turn, struct connection *connection)
{
	const struct connection_row *row = &connection->row;
	int64_t now = turn->now.monotonic_usec;
	char reason[CONNECTION_REASON_BYTES_MAX];

	if (now >= connection->end_at || turn->now.wall_usec >= row->grant.not_after) {
		close_connection(
		        turn, connection, "connection.expired", "center", "the grant has ended");
		return true;
	}
	for (size_t i = 0; i < ARRAY_COUNT(sides); i++) {
		bool late = row->state == CONNECTION_GRANTED ? !row->armed[sides[i]]
		                                             : !row->up[sides[i]];

		if (row->state != CONNECTION_UP && late && now >= connection->deadline) {
			snprintf(reason, sizeof(reason), "gateway %s was not %s in time",
			        connection_gateway(connection, sides[i]),
			        row->state == CONNECTION_GRANTED ? "armed" : "up");
			close_own(turn, connection, reason);
			return true;
		}
		if (row->up[sides[i]] &&
		        now >= connection->alive_until[sides[i]] + AWAY_SLACK_SEC * USEC_PER_SEC) {
			snprintf(reason, sizeof(reason),
			        "gateway %s was away longer than its lease",
			        connection_gateway(connection, sides[i]));
			close_connection(turn, connection, "lease.expired", "center", reason);
			return true;
		}
	}
	return false;
}

static void tick(struct connection_turn *turn, struct connection *connection)
{
	const struct connection_row *row = &connection->row;
	int64_t now = turn->now.monotonic_usec;

	if (row->state == CONNECTION_CLOSING) {
		if (now >= connection->dead_at) {
			finish(turn, connection);
		} else if (now >= connection->resend_at && !SIM_BUG(cut_once)) {
			step_send_desired(turn, connection);
		}
		return;
	}
	if (end_if_due(turn, connection)) {
		return;
	}
	/* With an SA that was there already a gateway may be up before go: that lease is short. */
	if (row->state != CONNECTION_GRANTED && now >= connection->renew_at &&
	        (row->up[0] || row->up[1])) {
		renew(turn, connection);
	}
	if (now >= connection->resend_at && row->state != CONNECTION_UP) {
		step_send_desired(turn, connection);
	}
}

static int64_t next_of(const struct connection *connection)
{
	const struct connection_row *row = &connection->row;
	int64_t next = connection->resend_at;

	if (row->state == CONNECTION_CLOSING) {
		return next < connection->dead_at ? next : connection->dead_at;
	}
	if (row->state == CONNECTION_UP || next > connection->deadline) {
		next = row->state == CONNECTION_UP ? connection->renew_at : connection->deadline;
	}
	if (row->state == CONNECTION_GOING && (row->up[0] || row->up[1]) &&
	        connection->renew_at < next) {
		next = connection->renew_at;
	}
	return next < connection->end_at ? next : connection->end_at;
}

void connection_tick(
        struct connection_machine *machine, struct moment now, struct connection_actions *actions)
{
	struct connection_turn turn = { machine, now, actions, NULL };

	for_all(&turn, tick);
}

int64_t connection_next(const struct connection_machine *machine)
{
	const struct connection_index *index = &machine->index;
	int64_t next = INT64_MAX;

	for (size_t i = 0; i < index->bucket_count; i++) {
		for (const struct connection *at = index->by_id[i]; at; at = at->next_id) {
			int64_t due = next_of(at);

			next = due < next ? due : next;
		}
	}
	return next;
}

/* --- start and views ----------------------------------------------------- */

struct connection_machine *connection_machine_new(
        const char *provider, uint64_t epoch, const struct connection_world *world)
{
	struct connection_machine *machine = mem_new(1, sizeof(*machine));

	assert_always(name_valid(provider) && world->facts && world->end && world->id);
	assert_always(text_copy(machine->provider, sizeof(machine->provider), provider) == 0);
	machine->epoch = epoch;
	machine->world = *world;
	return machine;
}

struct connection_machine *connection_machine_free(struct connection_machine *machine)
{
	if (machine) {
		connection_index_clear(&machine->index);
		free(machine);
	}
	return NULL;
}

int connection_restore(
        struct connection_machine *machine, const struct connection_row *row, struct moment now)
{
	struct connection *connection;
	int64_t restored = now.monotonic_usec + RESTORE_SEC * USEC_PER_SEC;

	if (row->state <= CONNECTION_NONE || row->state >= CONNECTION_CLOSED ||
	        grant_check(&row->grant, NULL) ||
	        connection_index_find(&machine->index, row->grant.id.text) ||
	        connection_index_has_number(&machine->index, row->grant.number)) {
		return 1;
	}
	connection = mem_new(1, sizeof(*connection));
	connection->row = *row;
	connection->deadline = restored;
	connection->end_at = now.monotonic_usec + row->grant.not_after - now.wall_usec;
	connection->renew_at = connection->resend_at = now.monotonic_usec;
	connection->alive_until[0] = connection->alive_until[1] =
	        restored + row->grant.lease_sec * USEC_PER_SEC;
	connection->dead_at = connection_dead_at(&row->grant, now);
	connection_index_add(&machine->index, connection);
	if (machine->number < row->grant.number) {
		machine->number = row->grant.number;
	}
	return 0;
}

void connection_numbers_from(struct connection_machine *machine, uint32_t number)
{
	if (machine->number < number) {
		machine->number = number;
	}
}

void connection_start(
        struct connection_machine *machine, struct moment now, struct connection_actions *actions)
{
	connection_review(machine, NULL, now, actions);
}

size_t connection_count(const struct connection_machine *machine)
{
	return machine->index.count;
}

const struct connection_row *connection_find(
        const struct connection_machine *machine, const char *id)
{
	const struct connection *connection = connection_index_find(&machine->index, id);

	return connection ? &connection->row : NULL;
}

void connection_list(const struct connection_machine *machine, const char *site,
        const char *gateway, connection_each *each, void *context)
{
	const struct connection_index *index = &machine->index;
	const struct connection *at = NULL;

	while (gateway && (at = connection_index_next(index, gateway, at))) {
		each(context, &at->row);
	}
	for (size_t i = 0; !gateway && i < index->bucket_count; i++) {
		for (at = index->by_id[i]; at; at = at->next_id) {
			const struct grant *grant = &at->row.grant;

			if (!site || strcmp(grant->initiator.site, site) == 0 ||
			        strcmp(grant->responder.site, site) == 0) {
				each(context, &at->row);
			}
		}
	}
}
