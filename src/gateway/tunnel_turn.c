/*
 * The steps of the tunnel machine: what an input means for one tunnel, and the actions it takes.
 * tunnel.c has the picture; the order of the actions here is the promise.
 */
#include "gateway/tunnel_turn.h"

#include <stdio.h>
#include <string.h>

#define PRUNE_FROM 1024 /* ids; below it nothing is gained */

/* --- small helpers ------------------------------------------------------- */

int64_t turn_least(int64_t left, int64_t right)
{
	return left < right ? left : right;
}

static const struct grant_end *own_end(const struct tunnel *tunnel)
{
	return grant_end(&tunnel->grant, tunnel->side);
}

const struct grant_end *turn_peer_end(const struct tunnel *tunnel)
{
	return tunnel->side == GRANT_INITIATOR ? &tunnel->grant.responder
	                                       : &tunnel->grant.initiator;
}

const char *turn_peer_name(const struct tunnel *tunnel)
{
	return turn_peer_end(tunnel)->gateway;
}

struct tunnel *turn_find(const struct tunnel_machine *machine, const char *id)
{
	for (size_t i = 0; i < machine->count; i++) {
		if (strcmp(machine->items[i]->grant.id.text, id) == 0) {
			return machine->items[i];
		}
	}
	return NULL;
}

bool turn_same_child(const struct tunnel *tunnel, const char *peer, const char *child)
{
	return strcmp(tunnel->child.name, child) == 0 && strcmp(turn_peer_name(tunnel), peer) == 0;
}

bool turn_same_key(const struct nft_lease *left, const struct nft_lease *right)
{
	return ip_equal(left->source, right->source) &&
	       ip_equal(left->destination, right->destination) &&
	       left->protocol == right->protocol && left->port == right->port;
}

bool turn_is_open(const struct tunnel *tunnel)
{
	return tunnel->state == TUNNEL_OPENING || tunnel->state == TUNNEL_UP;
}

static size_t put_hex(char *out, struct address address)
{
	size_t count = address_bits(address) / 8;

	for (size_t i = 0; i < count; i++) {
		snprintf(out + 2 * i, 3, "%02x", address.bytes[i]);
	}
	return 2 * count;
}

struct tunnel_child turn_child_of(const struct tunnel *tunnel)
{
	struct tunnel_child child = {
		.name = "c",
		.local = own_end(tunnel)->service,
		.remote = turn_peer_end(tunnel)->service,
	};
	size_t at = 1 + put_hex(child.name + 1, child.local);

	child.name[at++] = '-';
	put_hex(child.name + at, child.remote);
	return child;
}

/* --- actions ------------------------------------------------------------- */

struct tunnel_action *turn_push(struct turn *turn, enum tunnel_action_type type)
{
	struct tunnel_actions *out = turn->out;

	if (out->count == out->room) {
		out->room = out->room ? 2 * out->room : 16;
		out->items = mem_resize(out->items, out->room, sizeof(*out->items));
	}
	out->items[out->count] = (struct tunnel_action){ .type = type };
	out->count++;
	return &out->items[out->count - 1];
}

struct record *turn_record_new(struct turn *turn, const char *kind, const char *id, const char *by)
{
	struct record *record = record_begin(kind, turn->now.wall_usec);

	if (!by) {
		record_actor(record, "gateway", turn->machine->config.gateway);
	} else if (strcmp(by, "center") == 0) {
		record_actor(record, "center", NULL);
	} else {
		record_actor(record, "operator", by);
	}
	record_subject(record, id);
	return record;
}

/* Adopts the record. */
void turn_record_push(struct turn *turn, const char *kind, const char *id, struct record *record)
{
	struct tunnel_action *action = turn_push(turn, TUNNEL_RECORD);

	action->kind = record_kind_find(kind)->name;
	action->record = BUF(JOURNAL_RECORD_BYTES_MAX);
	snprintf(action->id.text, sizeof(action->id.text), "%s", id);
	assert_always(record_end(record, &action->record) == 0);
}

void turn_record_reason(
        struct turn *turn, const char *kind, const char *id, const char *by, const char *reason)
{
	struct record *record = turn_record_new(turn, kind, id, by);

	record_text(record, "reason", reason);
	turn_record_push(turn, kind, id, record);
}

void turn_report(struct turn *turn, enum tunnel_report report, const char *id, const char *reason)
{
	struct tunnel_action *action = turn_push(turn, TUNNEL_REPORT);

	action->report = report;
	snprintf(action->id.text, sizeof(action->id.text), "%s", id);
	snprintf(action->reason, sizeof(action->reason), "%s", reason);
}

/* A grant, lease or word that changes nothing but the journal (promise 7). */
void turn_refuse(struct turn *turn, const char *kind, const char *id, const char *reason)
{
	if (!SIM_BUG(silent_refusal)) {
		turn_record_reason(turn, kind, id, NULL, reason);
	}
}

void turn_push_lease(struct turn *turn, enum tunnel_action_type type, const struct tunnel *tunnel,
        int64_t ttl_usec)
{
	struct tunnel_action *action = turn_push(turn, type);

	action->id = tunnel->grant.id;
	action->lease = tunnel->lease;
	action->ttl_msec = (uint32_t)(ttl_usec / USEC_PER_MSEC);
}

static void push_peer(
        struct turn *turn, enum tunnel_action_type type, const char *peer, const char *child)
{
	struct tunnel_action *action = turn_push(turn, type);

	snprintf(action->peer_name, sizeof(action->peer_name), "%s", peer);
	snprintf(action->child, sizeof(action->child), "%s", child);
}

/* --- charon's configuration ---------------------------------------------- */

static void peer_add_child(struct tunnel_peer *peer, const struct tunnel_child *child)
{
	for (size_t i = 0; i < peer->child_count; i++) {
		if (strcmp(peer->children[i].name, child->name) == 0) {
			return;
		}
	}
	peer->children = mem_resize(peer->children, peer->child_count + 1, sizeof(*peer->children));
	peer->children[peer->child_count] = *child;
	peer->child_count++;
}

/* Loads a peer with all children of its live tunnels. The newest grant says where it is reached and
 * which certificate it has: it may have been renewed since the others. */
void turn_load_peer(struct turn *turn, const char *name)
{
	struct tunnel_machine *machine = turn->machine;
	struct tunnel_peer *peer;
	struct tunnel_action *action;

	if (!machine->charon) {
		return;
	}
	peer = mem_new(1, sizeof(*peer));
	machine->tag++;
	for (size_t i = 0; i < machine->count; i++) {
		struct tunnel *tunnel = machine->items[i];
		const struct grant_end *end = turn_peer_end(tunnel);

		if (strcmp(end->gateway, name) != 0) {
			continue;
		}
		snprintf(peer->identity, sizeof(peer->identity), "%s", end->identity);
		memcpy(peer->certificate, tunnel->certificate, tunnel->certificate_bytes);
		peer->certificate_bytes = tunnel->certificate_bytes;
		peer->address = end->address;
		peer_add_child(peer, &tunnel->child);
		if (tunnel->state == TUNNEL_LOADING && tunnel->load_tag == 0) {
			tunnel->load_tag = machine->tag;
		}
	}
	snprintf(peer->name, sizeof(peer->name), "%s", name);
	action = turn_push(turn, TUNNEL_PEER_LOAD);
	action->peer = peer;
	action->tag = machine->tag;
	snprintf(action->peer_name, sizeof(action->peer_name), "%s", name);
}

/* The peer's gateways' other tunnels, and whether one of them shares the child. */
static void others_of(const struct tunnel_machine *machine, const struct tunnel *tunnel,
        bool *ret_peer, bool *ret_child)
{
	*ret_peer = *ret_child = false;
	for (size_t i = 0; i < machine->count; i++) {
		const struct tunnel *other = machine->items[i];

		if (other != tunnel && strcmp(turn_peer_name(other), turn_peer_name(tunnel)) == 0) {
			*ret_peer = true;
			*ret_child |= strcmp(other->child.name, tunnel->child.name) == 0;
		}
	}
}

void turn_initiate(struct turn *turn, struct tunnel *tunnel)
{
	struct tunnel_machine *machine = turn->machine;

	if (tunnel->grant.ike != tunnel->side || !machine->charon || tunnel->child_up) {
		return;
	}
	machine->tag++;
	push_peer(turn, TUNNEL_CHILD_INITIATE, turn_peer_name(tunnel), tunnel->child.name);
	turn->out->items[turn->out->count - 1].tag = machine->tag;
	turn->out->items[turn->out->count - 1].id = tunnel->grant.id;
	for (size_t i = 0; i < machine->count; i++) {
		struct tunnel *other = machine->items[i];

		if (turn_same_child(other, turn_peer_name(tunnel), tunnel->child.name)) {
			other->initiate_tag = machine->tag;
			other->retry_at = turn->now.monotonic_usec + INITIATE_QUIET_USEC;
		}
	}
}

/* --- transitions --------------------------------------------------------- */

/* When the lease of an opening now would end. */
static int64_t lease_end(const struct turn *turn, const struct tunnel *tunnel)
{
	int64_t whole = turn->now.monotonic_usec + tunnel->grant.lease_sec * USEC_PER_SEC;

	return tunnel->opened ? tunnel->lease_end : turn_least(whole, tunnel->grant_end);
}

/* The record that has to be on disk before the filter opens, made ahead: it is written while the
 * peers find each other, so that nobody waits for the disk once the SA is up. */
static void intend(struct turn *turn, struct tunnel *tunnel)
{
	struct record *record;

	if (tunnel->intended || SIM_BUG(no_open_record)) {
		return;
	}
	record = turn_record_new(turn, "connection.opening", tunnel->grant.id.text, NULL);
	record_number(record, "number", tunnel->grant.number);
	record_number(record, "ttl_msec",
	        (lease_end(turn, tunnel) - turn->now.monotonic_usec) / USEC_PER_MSEC);
	turn_record_push(turn, "connection.opening", tunnel->grant.id.text, record);
	tunnel->intended = true;
}

/* ARMED ─▶ OPENING, when everything is there. */
void turn_open(struct turn *turn, struct tunnel *tunnel)
{
	int64_t now = turn->now.monotonic_usec, end = lease_end(turn, tunnel);

	if (tunnel->state != TUNNEL_ARMED || !turn->machine->filter ||
	        (!tunnel->child_up && !SIM_BUG(open_early)) || end - now < USEC_PER_MSEC ||
	        turn->now.wall_usec >= tunnel->grant.not_after) {
		return;
	}
	intend(turn, tunnel);
	tunnel->intended = false;
	tunnel->state = TUNNEL_OPENING;
	tunnel->opened = true;
	tunnel->passed_at = now;
	tunnel->packets = 0;
	tunnel->go = true; /* an SA lost from now on is made again without being asked */
	tunnel->lease_end = end;
	turn_push_lease(turn, TUNNEL_LEASE_OPEN, tunnel,
	        SIM_BUG(long_open) ? LEASE_SEC_MAX * USEC_PER_SEC : end - now);
}

/* LOADING ─▶ ARMED. */
void turn_arm(struct turn *turn, struct tunnel *tunnel)
{
	tunnel->state = TUNNEL_ARMED;
	tunnel->load_tag = 0;
	tunnel->retry_at = turn->now.monotonic_usec;
	/* The report first: it permits nothing, and the record is written while it is under way.
	 * The center waits only for the gateway that does not start IKE. */
	turn_report(turn, TUNNEL_REPORT_ARMED, tunnel->grant.id.text, "");
	turn->out->items[turn->out->count - 1].may_wait = tunnel->grant.ike == tunnel->side;
	turn_record_push(turn, "connection.armed", tunnel->grant.id.text,
	        turn_record_new(turn, "connection.armed", tunnel->grant.id.text, NULL));
	intend(turn, tunnel);
	if (tunnel->child_up || SIM_BUG(open_early)) {
		turn_open(turn, tunnel);
	} else if (tunnel->go) {
		turn_initiate(turn, tunnel);
	}
}

/* OPENING, UP ─▶ `state`: the SA or the table is gone; the lease runs on. */
void turn_lose(
        struct turn *turn, struct tunnel *tunnel, enum tunnel_state state, const char *reason)
{
	turn_record_reason(turn, "connection.down", tunnel->grant.id.text, NULL, reason);
	turn_push_lease(turn, TUNNEL_LEASE_CLOSE, tunnel, 0);
	tunnel->state = state;
	tunnel->load_tag = 0;
	tunnel->up_deadline = turn->now.monotonic_usec + GRANT_UP_SEC_MAX * USEC_PER_SEC;
	tunnel->retry_at = turn->now.monotonic_usec + RETRY_USEC;
}

void turn_renew(struct turn *turn, struct tunnel *tunnel, const char *by, int64_t ttl_usec)
{
	struct record *record;

	if (!tunnel->opened) {
		return; /* the first opening starts the lease */
	}
	record = turn_record_new(turn, "lease.renewed", tunnel->grant.id.text, by);
	record_number(record, "seq", (int64_t)tunnel->lease_seq);
	record_number(record, "ttl_msec", ttl_usec / USEC_PER_MSEC);
	turn_record_push(turn, "lease.renewed", tunnel->grant.id.text, record);
	tunnel->lease_end = turn->now.monotonic_usec + ttl_usec;
	if (turn_is_open(tunnel)) {
		turn_push_lease(turn, TUNNEL_LEASE_RENEW, tunnel, ttl_usec);
	}
}

void turn_leave_out(struct tunnel_machine *machine, struct tunnel *tunnel)
{
	for (size_t i = 0; i < machine->count; i++) {
		if (machine->items[i] == tunnel) {
			/* The order stays: the newest grant of a peer is the last. */
			memmove(machine->items + i, machine->items + i + 1,
			        (machine->count - i - 1) * sizeof(*machine->items));
			machine->count--;
			break;
		}
	}
	free(tunnel);
}

static void shut(struct turn *turn, const struct tunnel *tunnel)
{
	if (!tunnel->opened || SIM_BUG(keep_on_cut)) {
		return;
	}
	turn_push_lease(turn, TUNNEL_LEASE_CLOSE, tunnel, 0);
	turn_push_lease(turn, TUNNEL_FLOWS_FORGET, tunnel, 0);
}

static void drop_sa(struct turn *turn, const struct tunnel *tunnel)
{
	bool peer_used, child_used;

	others_of(turn->machine, tunnel, &peer_used, &child_used);
	if (!peer_used) {
		push_peer(turn, TUNNEL_PEER_TERMINATE, turn_peer_name(tunnel), "");
		push_peer(turn, TUNNEL_PEER_UNLOAD, turn_peer_name(tunnel), "");
	} else if (!child_used || SIM_BUG(terminate_shared)) {
		push_peer(turn, TUNNEL_CHILD_TERMINATE, turn_peer_name(tunnel), tunnel->child.name);
	}
}

/* Any state ─▶ gone. Filter, conntrack, SA, in this order. `kind` says how it ended. */
void turn_close(struct turn *turn, struct tunnel *tunnel, const char *kind, const char *by,
        const char *reason)
{
	struct id id = tunnel->grant.id;
	char peer[NAME_BYTES_MAX + 1];
	bool peer_used, child_used;

	if (!tunnel->ended) {
		turn_record_reason(turn, kind, id.text, by, reason);
	}
	if (SIM_BUG(close_order)) {
		drop_sa(turn, tunnel);
		shut(turn, tunnel);
	} else {
		shut(turn, tunnel);
		drop_sa(turn, tunnel);
	}
	turn_record_reason(turn, "connection.closed", id.text, by, reason);
	turn_report(turn, TUNNEL_REPORT_CLOSED, id.text, reason);
	turn->out->items[turn->out->count - 1].local = by && strcmp(by, "local") == 0;
	snprintf(peer, sizeof(peer), "%s", turn_peer_name(tunnel));
	others_of(turn->machine, tunnel, &peer_used, &child_used);
	turn_leave_out(turn->machine, tunnel);
	if (peer_used && !child_used) {
		turn_load_peer(turn, peer); /* without the child */
	}
}

void turn_close_own(struct turn *turn, struct tunnel *tunnel, const char *reason)
{
	turn_close(turn, tunnel, "connection.cut", NULL, reason);
}

void turn_raise_epoch(struct turn *turn, uint64_t epoch)
{
	struct tunnel_machine *machine = turn->machine;
	struct record *record = turn_record_new(turn, "epoch.raised", "", "center");
	char reason[TUNNEL_REASON_BYTES_MAX];

	record_number(record, "epoch", (int64_t)epoch);
	turn_record_push(turn, "epoch.raised", "", record);
	snprintf(reason, sizeof(reason), "epoch %llu has begun", (unsigned long long)epoch);
	machine->epoch = epoch;
	for (size_t i = machine->count; i-- > 0;) {
		if (machine->items[i]->grant.epoch < epoch) {
			turn_close(turn, machine->items[i], "connection.cut", "center", reason);
		}
	}
}

/* --- more than one tunnel ------------------------------------------------ */

void turn_enter(struct tunnel_machine *machine, struct tunnel *tunnel)
{
	if (machine->count == machine->room) {
		machine->room = machine->room ? 2 * machine->room : 16;
		machine->items = mem_resize(machine->items, machine->room, sizeof(*machine->items));
	}
	machine->items[machine->count] = tunnel;
	machine->count++;
	tunnel_ids_add(&machine->ids, tunnel->grant.id.text, tunnel->grant.not_after);
	if (tunnel->grant.issued_at > machine->issued_floor) {
		machine->issued_floor = tunnel->grant.issued_at;
		if (machine->ids.count > PRUNE_FROM) {
			tunnel_ids_prune(&machine->ids, machine->issued_floor);
		}
	}
}

void turn_report_again(struct turn *turn, const struct tunnel *tunnel)
{
	if (tunnel->state >= TUNNEL_ARMED) {
		turn_report(turn, TUNNEL_REPORT_ARMED, tunnel->grant.id.text, "");
	}
	if (tunnel->state == TUNNEL_UP) {
		turn_report(turn, TUNNEL_REPORT_UP, tunnel->grant.id.text, "");
	}
}

/* Loads every peer that has a tunnel waiting for it (or all), each once. */
void turn_load_peers(struct turn *turn, bool all)
{
	struct tunnel_machine *machine = turn->machine;

	for (size_t i = 0; i < machine->count; i++) {
		struct tunnel *tunnel = machine->items[i];
		bool first = true;

		for (size_t j = 0; j < i && all; j++) {
			first &= strcmp(turn_peer_name(machine->items[j]),
			                 turn_peer_name(tunnel)) != 0;
		}
		if (all ? first : tunnel->state == TUNNEL_LOADING && tunnel->load_tag == 0) {
			turn_load_peer(turn, turn_peer_name(tunnel));
		}
	}
}

/* An SA that no live grant names: the peer, or charon, has an old configuration. */
void turn_drop_stray(struct turn *turn, const char *peer, const char *child)
{
	bool peer_used = false;

	for (size_t i = 0; i < turn->machine->count; i++) {
		peer_used |= strcmp(turn_peer_name(turn->machine->items[i]), peer) == 0;
	}
	if (peer_used && child[0] == '\0') {
		return; /* an IKE SA between two children */
	}
	turn_record_reason(
	        turn, "gateway.repaired", peer, NULL, "an SA without a live grant was ended");
	if (peer_used) {
		push_peer(turn, TUNNEL_CHILD_TERMINATE, peer, child);
		turn_load_peer(turn, peer);
	} else {
		push_peer(turn, TUNNEL_PEER_TERMINATE, peer, "");
		push_peer(turn, TUNNEL_PEER_UNLOAD, peer, "");
	}
}

void turn_child_changed(struct turn *turn, struct tunnel *tunnel, bool up)
{
	tunnel->child_up = up;
	if (!up && turn_is_open(tunnel)) {
		turn_lose(turn, tunnel, TUNNEL_ARMED, "its CHILD SA is gone");
	} else if (up) {
		turn_open(turn, tunnel);
	}
}
