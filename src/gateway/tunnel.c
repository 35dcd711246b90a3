/*
 * The tunnel machine (tunnel.h has the contract).
 *
 *          grant accepted            loaded           SA up           opened
 *   nothing ────────────▶ LOADING ─────────▶ ARMED ──────────▶ OPENING ──────▶ UP
 *                          ▲  ▲               ▲                 │            │
 *   NONE ──────────────────┘  │               └─ SA, table lost ┴────────────┤
 *     compared with kernel    └───────────── charon gone ────────────────────┘
 *
 *   LOADING: the configuration is loaded, and again when that failed or charon is back.
 *   ARMED: after "go" the gateway named in the grant initiates, and again every few seconds.
 *   SA, table or charon lost: the filter is shut first; the lease runs on.
 *   NONE: known from the journal after a restart.
 *
 *   From every state: cut, lease over, grant over, no longer permitted, epoch over, not up in
 *   time: record, element out, flows forgotten, SA and configuration gone, record, report. The
 *   tunnel is then left out of the machine; its id stays in `ids`.
 *
 * Invariants of a `struct tunnel`: OPENING and UP only with child_up; `opened` from the first
 * TUNNEL_LEASE_OPEN on, and from then on lease_end counts; lease_end <= grant_end; no two tunnels
 * have one number, one element key, or one pair of hosts over two peers.
 */
#include "gateway/tunnel.h"

#include <stdio.h>
#include <string.h>

#include "gateway/tunnel_judge.h"
#include "gateway/tunnel_turn.h"
#include "model/lease.h"
#include "policy/decide.h"
#include "wire/json.h"

/* --- grants -------------------------------------------------------------- */

/* `live` is owned by the caller and borrows from the tunnels. */
static struct tunnel_standing standing_of(
        const struct tunnel_machine *machine, struct policy_live **ret_live)
{
	struct policy_live *live = mem_new(machine->count + 1, sizeof(*live));

	for (size_t i = 0; i < machine->count; i++) {
		live[i] = policy_live_of(&machine->items[i]->grant);
	}
	*ret_live = live;
	return (struct tunnel_standing){
		.config = &machine->config,
		.provider = machine->provider,
		.site = machine->site,
		.epoch = machine->epoch,
		.issued_floor = machine->issued_floor,
		.live = live,
		.live_count = machine->count,
	};
}

static bool same_grant(const struct grant *grant, const struct buf *payload)
{
	AUTO_BUF struct buf own = BUF(JWS_SMALL_BYTES_MAX);

	grant_print(grant, &own);
	return own.count == payload->count && memcmp(own.bytes, payload->bytes, own.count) == 0;
}

/* What must be free beside the tunnels that are there. */
static int judge_room(
        const struct tunnel_machine *machine, const struct tunnel *tunnel, struct err *err)
{
	for (size_t i = 0; i < machine->count; i++) {
		const struct tunnel *other = machine->items[i];
		bool same_peer = strcmp(turn_peer_name(other), turn_peer_name(tunnel)) == 0;

		if (other->grant.number == tunnel->grant.number && !SIM_BUG(number_unchecked)) {
			return err_set(err, 1, "number %u is in use", tunnel->grant.number);
		}
		if (turn_same_key(&other->lease, &tunnel->lease)) {
			return err_set(err, 1,
			        "connection %s is for the same hosts, protocol and port",
			        other->grant.id.text);
		}
		if (same_peer && strcmp(turn_peer_end(other)->identity,
		                         turn_peer_end(tunnel)->identity) != 0) {
			return err_set(err, 1, "peer %s has another identity in a live grant",
			        turn_peer_name(tunnel));
		}
		if (!same_peer && strcmp(other->child.name, tunnel->child.name) == 0) {
			return err_set(err, 1, "the same hosts are connected over gateway %s",
			        turn_peer_name(other));
		}
	}
	if (machine->count >= TUNNELS_PER_GATEWAY_MAX) {
		return err_set(err, 1, "this gateway has %d connections, no more fit",
		        TUNNELS_PER_GATEWAY_MAX);
	}
	if (machine->ids.count >= TUNNEL_IDS_MAX) {
		return err_set(err, 1, "too many grants in too short a time");
	}
	if (!machine->compared || !machine->filter || !machine->charon) {
		return err_set(err, 1, "the data plane is not ready: %s",
		        !machine->charon   ? "strongSwan does not answer"
		        : !machine->filter ? "the packet filter is not loaded"
		                           : "the gateway is starting");
	}
	return 0;
}

/* What the approval was, so that it can be judged again after a restart. */
static void record_approval(struct record *record, const struct tunnel_approval *approval)
{
	if (!approval->given) {
		return;
	}
	record_open(record, "approval");
	record_text(record, "approver", approval->approver);
	record_text(record, "key", approval->spki);
	record_text(record, "digest", approval->digest);
	record_time(record, "not_before", approval->not_before);
	record_time(record, "not_after", approval->not_after);
	record_close(record);
}

static void accept_grant(
        struct turn *turn, struct tunnel *tunnel, struct address source, const struct buf *payload)
{
	struct tunnel_machine *machine = turn->machine;
	const char *id = tunnel->grant.id.text;
	struct record *record;
	json_t *tree;

	if (tunnel->grant.epoch > machine->epoch) {
		turn_raise_epoch(turn, tunnel->grant.epoch);
	}
	tunnel->state = TUNNEL_LOADING;
	tunnel->up_deadline = turn->now.monotonic_usec + GRANT_UP_SEC_MAX * USEC_PER_SEC;
	tunnel->grant_end =
	        turn->now.monotonic_usec + tunnel->grant.not_after - turn->now.wall_usec;
	for (size_t i = 0; i < machine->count; i++) {
		if (turn_same_child(
		            machine->items[i], turn_peer_name(tunnel), tunnel->child.name)) {
			tunnel->child_up = machine->items[i]->child_up;
		}
	}
	assert_always(json_parse(payload->bytes, payload->count, &tree, NULL) == 0);
	record = turn_record_new(turn, "grant.accepted", tunnel->grant.id.text, "center");
	record_text(record, "boot", machine->config.boot);
	record_number(record, "end_monotonic", tunnel->grant_end);
	record_number(record, "up_monotonic", tunnel->up_deadline);
	record_text(record, "source", address_print(source).text);
	record_json(record, "grant", tree);
	record_bytes(record, "peer_certificate", tunnel->certificate, tunnel->certificate_bytes);
	record_approval(record, &tunnel->terms.approval);
	turn_record_push(turn, "grant.accepted", id, record);
	if (tunnel->terms.emergency) {
		record = turn_record_new(turn, "connection.emergency", id, "center");
		record_text(record, "person", tunnel->grant.person);
		record_text(record, "work_order", tunnel->grant.work_order);
		turn_record_push(turn, "connection.emergency", id, record);
	}
	turn_enter(machine, tunnel);
	turn_load_peer(turn, turn_peer_name(tunnel));
}

/* Takes the peer's certificate over: charon will accept no other one, so that an earlier one of the
 * same peer opens nothing. Outcome 1: it is not the one that the grant names. */
static int take_certificate(
        struct turn *turn, struct tunnel *tunnel, const struct tunnel_offer *offer, struct err *err)
{
	const struct tunnel_trust *trust = &turn->machine->config.trust;
	const struct grant_end *peer = turn_peer_end(tunnel);

	if (offer->certificate_bytes > sizeof(tunnel->certificate)) {
		return err_set(err, 1, "the service certificate of %s has more than %zu bytes",
		        peer->gateway, sizeof(tunnel->certificate));
	}
	if (trust->peer_check(trust->context, peer, offer->certificate, offer->certificate_bytes,
	            turn->now.wall_usec, err) &&
	        !SIM_BUG(peer_unchecked)) {
		return 1;
	}
	memcpy(tunnel->certificate, offer->certificate, offer->certificate_bytes);
	tunnel->certificate_bytes = offer->certificate_bytes;
	return 0;
}

/* Opens the seal. Outcome 1: refused, the record is made. */
static int open_sealed(
        struct turn *turn, const char *typ, const char *sealed, size_t count, struct buf *payload)
{
	const struct tunnel_config *config = &turn->machine->config;
	bool grant = strcmp(typ, "sekisho-grant") == 0;
	struct err err = { 0 }, text;

	if (config->trust.seal_open(config->trust.context, config->provider, typ, sealed, count,
	            turn->now.wall_usec, payload, &err)) {
		err_set(&text, 0, "the seal does not hold: %.*s", 128, err.text);
		turn_refuse(turn, grant ? "grant.refused" : "lease.refused", "", text.text);
		return 1;
	}
	return 0;
}

static int judge_new(struct turn *turn, struct tunnel *tunnel, const struct tunnel_offer *offer,
        struct tunnel_verdict *ret_verdict, struct err *err)
{
	struct policy_live *live;
	struct tunnel_standing standing = standing_of(turn->machine, &live);
	int r = tunnel_judge_grant(
	        &standing, &tunnel->grant, offer, turn->now.wall_usec, ret_verdict, err);

	free(live);
	tunnel->side = ret_verdict->side;
	tunnel->terms = ret_verdict->terms;
	return r;
}

void tunnel_grant(struct tunnel_machine *machine, const struct tunnel_offer *offer,
        struct moment now, struct tunnel_actions *actions)
{
	struct turn turn = { machine, now, actions };
	AUTO_BUF struct buf payload = BUF(JWS_SMALL_BYTES_MAX);
	struct tunnel_verdict verdict;
	struct tunnel *tunnel, *old;
	struct err err = { 0 };
	int r;

	if (open_sealed(&turn, "sekisho-grant", offer->sealed, offer->sealed_bytes, &payload)) {
		return;
	}
	tunnel = mem_new(1, sizeof(*tunnel));
	if (grant_parse(payload.bytes, payload.count, &tunnel->grant, &err)) {
		turn_refuse(&turn, "grant.refused", "", err.text);
		free(tunnel);
		return;
	}
	old = turn_find(machine, tunnel->grant.id.text);
	if (old && same_grant(&old->grant, &payload)) {
		turn_report_again(&turn, old);
		free(tunnel);
		return;
	}
	r = judge_new(&turn, tunnel, offer, &verdict, &err);
	if (r == 0 && (old || (tunnel_ids_has(&machine->ids, tunnel->grant.id.text) &&
	                              !SIM_BUG(closed_id)))) {
		r = err_set(&err, 1, "the id was used before");
	}
	if (r == 0) {
		tunnel->lease = tunnel_judge_key(&tunnel->grant, verdict.source);
		tunnel->child = turn_child_of(tunnel);
		r = judge_room(machine, tunnel, &err);
	}
	if (r == 0) {
		r = take_certificate(&turn, tunnel, offer, &err);
	}
	if (r == 0) {
		accept_grant(&turn, tunnel, verdict.source, &payload);
		return;
	}
	turn_refuse(&turn, "grant.refused", tunnel->grant.id.text, err.text);
	if (!old) {
		turn_report(&turn, TUNNEL_REPORT_REFUSED, tunnel->grant.id.text, err.text);
	}
	free(tunnel);
}

void tunnel_go(struct tunnel_machine *machine, const char *id, struct moment now,
        struct tunnel_actions *actions)
{
	struct turn turn = { machine, now, actions };
	struct tunnel *tunnel = turn_find(machine, id);

	if (!tunnel) {
		turn_refuse(&turn, "request.refused", id_valid(id) ? id : "",
		        "go: there is no such live connection");
		return;
	}
	if (tunnel->go) {
		/* Sent again: the center misses a report. The first one shows that it has "armed".
		 */
		turn_report_again(&turn, tunnel);
		return;
	}
	tunnel->go = true;
	if (tunnel->state == TUNNEL_ARMED) {
		turn_initiate(&turn, tunnel);
	}
}

/* --- leases -------------------------------------------------------------- */

/* Outcome 1: refused. `*ret_ttl_usec` is how long the entry may live from now on. */
static int judge_lease(const struct turn *turn, const struct tunnel *tunnel,
        const struct lease *lease, int64_t *ret_ttl_usec, struct err *err)
{
	int64_t now = turn->now.monotonic_usec;

	if (lease->seq <= tunnel->lease_seq && !SIM_BUG(lease_replay)) {
		return err_set(err, 1, "seq %llu is not above %llu", (unsigned long long)lease->seq,
		        (unsigned long long)tunnel->lease_seq);
	}
	if (lease->issued_at > turn->now.wall_usec + CLOCK_SKEW_SEC_MAX * USEC_PER_SEC) {
		return err_set(err, 1, "the lease was issued in the future (is the clock right?)");
	}
	if (tunnel->state == TUNNEL_NONE) {
		return err_set(err, 1, "the gateway is starting");
	}
	if (tunnel->opened && now >= tunnel->lease_end && !SIM_BUG(renew_late)) {
		return err_set(err, 1, "the lease before has run out");
	}
	*ret_ttl_usec = USEC_PER_MSEC * lease_left_msec(lease, tunnel->grant.lease_sec,
	                                        tunnel->grant.not_after, turn->now.wall_usec);
	if (SIM_BUG(long_lease)) {
		*ret_ttl_usec = USEC_PER_SEC * lease->ttl_sec;
	}
	if (!SIM_BUG(wall_only)) {
		*ret_ttl_usec = turn_least(*ret_ttl_usec, tunnel->grant_end - now);
	}
	if (*ret_ttl_usec < USEC_PER_MSEC) {
		return err_set(err, 1, "the lease is over already (is the clock right?)");
	}
	return 0;
}

void tunnel_lease(struct tunnel_machine *machine, const char *sealed, size_t count,
        struct moment now, struct tunnel_actions *actions)
{
	struct turn turn = { machine, now, actions };
	AUTO_BUF struct buf payload = BUF(JWS_SMALL_BYTES_MAX);
	struct tunnel *tunnel = NULL;
	struct lease lease;
	struct err err = { 0 };
	int64_t ttl_usec;
	int r;

	if (open_sealed(&turn, "sekisho-lease", sealed, count, &payload)) {
		return;
	}
	if (lease_parse(payload.bytes, payload.count, &lease, &err)) {
		turn_refuse(&turn, "lease.refused", "", err.text);
		return;
	}
	if (!text_equal(lease.provider, machine->config.provider)) {
		r = err_set(&err, 1, "the lease is of another provider");
	} else if (lease.epoch < machine->epoch) {
		r = err_set(&err, 1, "the lease's epoch is over");
	} else {
		if (lease.epoch > machine->epoch) {
			turn_raise_epoch(&turn, lease.epoch);
		}
		tunnel = turn_find(machine, lease.grant.text);
		if (!tunnel && SIM_BUG(foreign_lease) && machine->count > 0) {
			tunnel = machine->items[0];
		}
		r = tunnel ? judge_lease(&turn, tunnel, &lease, &ttl_usec, &err)
		           : err_set(&err, 1, "there is no such live connection");
	}
	if (r) {
		turn_refuse(&turn, "lease.refused", lease.grant.text, err.text);
		if (!tunnel && tunnel_ids_has(&machine->ids, lease.grant.text)) {
			/* The center has not heard of its end. */
			turn_report(&turn, TUNNEL_REPORT_CLOSED, lease.grant.text, err.text);
		}
	} else {
		tunnel->lease_seq = lease.seq;
		turn_renew(&turn, tunnel, "center", ttl_usec);
	}
}

/* --- ending -------------------------------------------------------------- */

void tunnel_epoch(struct tunnel_machine *machine, uint64_t epoch, struct moment now,
        struct tunnel_actions *actions)
{
	struct turn turn = { machine, now, actions };

	if (epoch < machine->epoch) {
		turn_refuse(&turn, "request.refused", "", "the center's epoch went back");
	} else if (epoch > machine->epoch) {
		turn_raise_epoch(&turn, epoch);
	}
}

void tunnel_cut(struct tunnel_machine *machine, const char *id, const char *by, const char *reason,
        struct moment now, struct tunnel_actions *actions)
{
	struct turn turn = { machine, now, actions };
	struct tunnel *tunnel = turn_find(machine, id);

	if (tunnel) {
		turn_close(&turn, tunnel, "connection.cut", by, reason);
		return;
	}
	if (!id_valid(id)) {
		turn_refuse(&turn, "request.refused", "", "cut: not the id of a connection");
		return;
	}
	if (!tunnel_ids_has(&machine->ids, id) && machine->ids.count < TUNNEL_IDS_MAX &&
	        !SIM_BUG(cut_forgotten)) {
		/* The cut overtook its grant: that must not open any more. */
		turn_record_reason(&turn, "connection.cut", id, by, reason);
		tunnel_ids_add(&machine->ids, id, now.wall_usec + 2 * GRANT_SEC_MAX * USEC_PER_SEC);
	}
	turn_report(&turn, TUNNEL_REPORT_CLOSED, id, "there is no such live connection");
}

void tunnel_cut_all(struct tunnel_machine *machine, const char *by, const char *reason,
        struct moment now, struct tunnel_actions *actions)
{
	struct turn turn = { machine, now, actions };

	while (machine->count > 0) {
		turn_close(&turn, machine->items[machine->count - 1], "connection.cut", by, reason);
	}
}

static int compare_age(const void *left, const void *right)
{
	const struct tunnel *const *a = left, *const *b = right;

	return grant_older(&(*a)->grant, &(*b)->grant) ? -1 : 1;
}

static void judge_all(struct turn *turn)
{
	struct tunnel_machine *machine = turn->machine;
	size_t count = machine->count;
	struct tunnel **tunnels = mem_new(count + 1, sizeof(struct tunnel *));
	struct policy_live *live;
	struct tunnel_standing standing = standing_of(machine, &live);

	/* Of two that exclude each other from now on the older one stays: each is judged beside
	 * those that were granted before it. Not those that came before it: a grant that was lost
	 * and sent again comes late, and the center would end the other one. */
	if (count > 0) {
		memcpy(tunnels, machine->items, count * sizeof(struct tunnel *));
	}
	qsort(tunnels, count, sizeof(struct tunnel *), compare_age);
	for (size_t i = 0; i < count; i++) {
		live[i] = policy_live_of(&tunnels[i]->grant);
	}
	for (size_t i = count; i-- > 0;) {
		struct tunnel *tunnel = tunnels[i];
		struct err err = { 0 };

		standing.live_count = i;
		if (tunnel_judge_again(
		            &standing, &tunnel->grant, turn->now.wall_usec, &tunnel->terms, &err)) {
			turn_close_own(turn, tunnel, err.text);
		}
	}
	free(tunnels);
	free(live);
}

void tunnel_policy_set(struct tunnel_machine *machine, const struct provider_policy *provider,
        const struct site_policy *site, struct moment now, struct tunnel_actions *actions)
{
	struct turn turn = { machine, now, actions };

	machine->provider = provider;
	machine->site = site;
	if (!SIM_BUG(policy_ignored)) {
		judge_all(&turn);
	}
}

void tunnel_trust_changed(
        struct tunnel_machine *machine, struct moment now, struct tunnel_actions *actions)
{
	struct turn turn = { machine, now, actions };

	judge_all(&turn);
}

void tunnel_certificate_set(
        struct tunnel_machine *machine, const char *identity, const char *serial)
{
	machine->config.identity = identity;
	machine->config.serial = serial;
}

/* --- charon and packet filter -------------------------------------------- */

void tunnel_charon(struct tunnel_machine *machine, bool alive, struct moment now,
        struct tunnel_actions *actions)
{
	struct turn turn = { machine, now, actions };

	machine->charon = alive;
	for (size_t i = 0; i < machine->count; i++) {
		struct tunnel *tunnel = machine->items[i];

		if (tunnel->state == TUNNEL_NONE) {
			continue;
		}
		if (!alive) {
			if (turn_is_open(tunnel)) {
				turn_lose(&turn, tunnel, TUNNEL_LOADING,
				        "strongSwan does not answer");
			}
			tunnel->state = TUNNEL_LOADING;
			tunnel->child_up = false;
		}
		tunnel->load_tag = tunnel->initiate_tag = 0;
	}
	if (alive) {
		turn_load_peers(&turn, true);
	}
}

void tunnel_loaded(struct tunnel_machine *machine, uint32_t tag, bool ok, const char *text,
        struct moment now, struct tunnel_actions *actions)
{
	struct turn turn = { machine, now, actions };

	for (size_t i = 0; i < machine->count; i++) {
		struct tunnel *tunnel = machine->items[i];

		if (tunnel->state != TUNNEL_LOADING || tunnel->load_tag != tag) {
			continue;
		}
		if (ok) {
			turn_arm(&turn, tunnel);
		} else {
			snprintf(tunnel->trouble, sizeof(tunnel->trouble), "%.100s", text);
			tunnel->load_tag = 0;
			tunnel->retry_at = now.monotonic_usec + RETRY_USEC;
		}
	}
}

void tunnel_initiated(struct tunnel_machine *machine, uint32_t tag, bool ok, const char *text,
        struct moment now, struct tunnel_actions *actions)
{
	/* An SA counts from its event or from a list on, not from here: it may be gone again. */
	for (size_t i = 0; i < machine->count && !ok; i++) {
		struct tunnel *tunnel = machine->items[i];

		if (tunnel->initiate_tag == tag) {
			snprintf(tunnel->trouble, sizeof(tunnel->trouble), "%.100s", text);
			tunnel->retry_at = now.monotonic_usec + INITIATE_RETRY_USEC;
		}
	}
}

void tunnel_child(struct tunnel_machine *machine, const char *peer, const char *child, bool up,
        struct moment now, struct tunnel_actions *actions)
{
	struct turn turn = { machine, now, actions };
	bool known = false;

	for (size_t i = 0; i < machine->count; i++) {
		if (turn_same_child(machine->items[i], peer, child)) {
			known = true;
			turn_child_changed(&turn, machine->items[i], up);
		}
	}
	if (!known && up) {
		turn_drop_stray(&turn, peer, child);
	}
}

void tunnel_filter(struct tunnel_machine *machine, bool ready, struct moment now,
        struct tunnel_actions *actions)
{
	struct turn turn = { machine, now, actions };

	machine->filter = ready;
	for (size_t i = 0; i < machine->count; i++) {
		struct tunnel *tunnel = machine->items[i];

		if (!ready && turn_is_open(tunnel)) {
			turn_lose(&turn, tunnel, TUNNEL_ARMED, "the packet filter's table is gone");
		} else if (ready) {
			turn_open(&turn, tunnel);
		}
	}
}

void tunnel_opened(struct tunnel_machine *machine, const char *id, bool ok, struct moment now,
        struct tunnel_actions *actions)
{
	struct turn turn = { machine, now, actions };
	struct tunnel *tunnel = turn_find(machine, id);

	if (!tunnel || tunnel->state != TUNNEL_OPENING) {
		return;
	}
	if (!ok) {
		turn_lose(&turn, tunnel, TUNNEL_ARMED, "the packet filter did not take the lease");
		return;
	}
	tunnel->state = TUNNEL_UP;
	turn_record_push(
	        &turn, "connection.up", id, turn_record_new(&turn, "connection.up", id, NULL));
	turn_report(&turn, TUNNEL_REPORT_UP, id, "");
}

/* --- outage -------------------------------------------------------------- */

void tunnel_link(
        struct tunnel_machine *machine, bool up, struct moment now, struct tunnel_actions *actions)
{
	machine->link = up;
	machine->link_heard = now.monotonic_usec;
	if (!up) {
		tunnel_tick(machine, now, actions);
	}
}

/* From when on the lease is renewed here; INT64_MAX: never. */
static int64_t outlives_from(const struct tunnel_machine *machine, const struct tunnel *tunnel)
{
	int64_t half = tunnel->lease_end - tunnel->grant.lease_sec * USEC_PER_SEC / 2;
	int64_t quiet = machine->link_heard + TUNNEL_LINK_QUIET_SEC * USEC_PER_SEC;

	if (!tunnel->terms.outage || !tunnel->opened || tunnel->state == TUNNEL_NONE ||
	        (tunnel->lease_end >= tunnel->grant_end && !SIM_BUG(outage_long))) {
		return INT64_MAX;
	}
	if (!machine->link || SIM_BUG(outage_early)) {
		return half;
	}
	return half > quiet ? half : quiet;
}

static void outlive(struct turn *turn, struct tunnel *tunnel)
{
	int64_t now = turn->now.monotonic_usec;
	int64_t ttl_usec = tunnel->grant.lease_sec * USEC_PER_SEC;

	if (now < outlives_from(turn->machine, tunnel) || now >= tunnel->lease_end) {
		return;
	}
	if (!SIM_BUG(outage_long)) {
		ttl_usec = turn_least(ttl_usec, tunnel->grant_end - now);
	}
	if (ttl_usec >= USEC_PER_MSEC) {
		turn_renew(turn, tunnel, NULL, ttl_usec);
	}
}

/* --- time and views ------------------------------------------------------ */

/* Whether the tunnel has to end now; closes it then. */
static bool end_if_due(struct turn *turn, struct tunnel *tunnel)
{
	int64_t now = turn->now.monotonic_usec;
	char reason[TUNNEL_REASON_BYTES_MAX];

	if ((now >= tunnel->grant_end && !SIM_BUG(wall_only)) ||
	        turn->now.wall_usec >= tunnel->grant.not_after) {
		turn_close(turn, tunnel, "connection.expired", NULL, "the grant has ended");
		return true;
	}
	if (tunnel->state == TUNNEL_NONE) {
		return false;
	}
	if (tunnel->opened && now >= tunnel->lease_end) {
		turn_close(turn, tunnel, "lease.expired", NULL, "the lease was not renewed");
		return true;
	}
	if (!turn_is_open(tunnel) && now >= tunnel->up_deadline) {
		snprintf(reason, sizeof(reason), "not up within %d s%s%s", GRANT_UP_SEC_MAX,
		        tunnel->trouble[0] ? ": " : "", tunnel->trouble);
		turn_close_own(turn, tunnel, reason);
		return true;
	}
	return false;
}

/* Whether retry_at is waited for. */
static bool retries(const struct tunnel_machine *machine, const struct tunnel *tunnel)
{
	switch (tunnel->state) {
	case TUNNEL_LOADING:
		return machine->charon && tunnel->load_tag == 0;
	case TUNNEL_ARMED:
		return tunnel->child_up
		               ? machine->filter
		               : machine->charon && tunnel->go && tunnel->grant.ike == tunnel->side;
	default:
		return false;
	}
}

void tunnel_tick(struct tunnel_machine *machine, struct moment now, struct tunnel_actions *actions)
{
	struct turn turn = { machine, now, actions };

	for (size_t i = machine->count; i-- > 0;) {
		struct tunnel *tunnel = machine->items[i];

		outlive(&turn, tunnel);
		if (end_if_due(&turn, tunnel) || now.monotonic_usec < tunnel->retry_at) {
			continue;
		}
		if (!retries(machine, tunnel)) {
			continue;
		}
		if (tunnel->state == TUNNEL_LOADING) {
			turn_load_peer(&turn, turn_peer_name(tunnel));
		} else if (tunnel->child_up) {
			turn_open(&turn, tunnel);
		} else {
			turn_initiate(&turn, tunnel);
		}
	}
}

int64_t tunnel_next(const struct tunnel_machine *machine)
{
	int64_t next = INT64_MAX;

	for (size_t i = 0; i < machine->count; i++) {
		const struct tunnel *tunnel = machine->items[i];

		next = turn_least(next, tunnel->grant_end);
		if (tunnel->opened && tunnel->state != TUNNEL_NONE) {
			next = turn_least(next, tunnel->lease_end);
			next = turn_least(next, outlives_from(machine, tunnel));
		}
		if (tunnel->state == TUNNEL_LOADING || tunnel->state == TUNNEL_ARMED) {
			next = turn_least(next, tunnel->up_deadline);
		}
		if (retries(machine, tunnel)) {
			next = turn_least(next, tunnel->retry_at);
		}
	}
	return next;
}

bool tunnel_wants_flows(const struct tunnel_machine *machine)
{
	for (size_t i = 0; i < machine->count; i++) {
		if (machine->items[i]->terms.idle_sec > 0) {
			return true;
		}
	}
	return false;
}

size_t tunnel_count(const struct tunnel_machine *machine)
{
	return machine->count;
}

struct tunnel_view tunnel_at(const struct tunnel_machine *machine, size_t index)
{
	const struct tunnel *tunnel;

	assert_always(index < machine->count);
	tunnel = machine->items[index];
	return (struct tunnel_view){
		.grant = &tunnel->grant,
		.state = tunnel->state,
		.lease = tunnel->lease,
		.emergency = tunnel->terms.emergency,
		.approver = tunnel->terms.approval.given ? tunnel->terms.approval.approver : "",
		.lease_end_usec = tunnel->opened ? tunnel->lease_end : 0,
		.grant_end_usec = tunnel->grant_end,
	};
}

uint64_t tunnel_epoch_highest(const struct tunnel_machine *machine)
{
	return machine->epoch;
}

struct tunnel_machine *tunnel_machine_new(const struct tunnel_config *config)
{
	struct tunnel_machine *machine = mem_new(1, sizeof(*machine));

	assert_always(config->provider && config->site && config->gateway && config->identity &&
	              config->serial && config->boot && config->trust.seal_open &&
	              config->trust.grant_check && config->trust.approval_open &&
	              config->grant_sec_max >= 1 && config->grant_sec_max <= GRANT_SEC_MAX);
	machine->config = *config;
	return machine;
}

struct tunnel_machine *tunnel_machine_free(struct tunnel_machine *machine)
{
	if (machine) {
		for (size_t i = 0; i < machine->count; i++) {
			free(machine->items[i]);
		}
		free(machine->items);
		tunnel_ids_clear(&machine->ids);
		free(machine);
	}
	return NULL;
}
