/*
 * The tunnel machine after a restart, and at any time when it has to find out what is really there:
 * the journal says what was permitted and begun, the kernel and charon say what is.
 *
 * The kernel's element is the truth about a lease: an element that is there runs on and its
 * connection with it; one that is gone has run out, and its connection is closed. An element or SA
 * that no live grant names is removed.
 */
#include "gateway/tunnel_turn.h"

#include <string.h>

#include "gateway/tunnel_judge.h"
#include "wire/json.h"

#define ELEMENT_SLACK_USEC (1 * USEC_PER_SEC) /* near its end an element may be gone by itself */

/* --- recall -------------------------------------------------------------- */

struct recalled {
	const char *kind, *subject;
	const json_t *data;
};

/* A record without one is of an earlier version; its peer cannot be loaded again. Outcome 1: one
 * that cannot be. */
static int recall_certificate(struct tunnel *tunnel, const json_t *data)
{
	const json_t *text = json_object_get(data, "peer_certificate");
	struct buf der = BUF(sizeof(tunnel->certificate));
	int r = 0;

	if (text) {
		r = json_is_string(text)
		            ? base64_parse(json_string_value(text), json_string_length(text), &der)
		            : 1;
	}
	if (r == 0 && der.count > 0) {
		memcpy(tunnel->certificate, der.bytes, der.count);
		tunnel->certificate_bytes = der.count;
	}
	buf_clear(&der);
	return r;
}

/* A record without one stands on a standing rule, or is of an earlier version. Outcome 1: one that
 * cannot be read. */
static int recall_approval(struct tunnel_approval *approval, const json_t *data)
{
	const json_t *tree = json_object_get(data, "approval");
	const char *approver = json_string_value(json_object_get(tree, "approver"));
	const char *key = json_string_value(json_object_get(tree, "key"));
	const char *digest = json_string_value(json_object_get(tree, "digest"));
	const char *from = json_string_value(json_object_get(tree, "not_before"));
	const char *to = json_string_value(json_object_get(tree, "not_after"));

	if (!tree) {
		return 0;
	}
	approval->given = true;
	return !approver || !key || !digest || !from || !to ||
	       text_copy(approval->approver, sizeof(approval->approver), approver) ||
	       text_copy(approval->spki, sizeof(approval->spki), key) ||
	       text_copy(approval->digest, sizeof(approval->digest), digest) ||
	       time_parse(from, &approval->not_before) || time_parse(to, &approval->not_after);
}

static int recall_accepted(
        struct tunnel_machine *machine, const struct recalled *record, struct err *err)
{
	const char *boot = json_string_value(json_object_get(record->data, "boot"));
	const char *from = json_string_value(json_object_get(record->data, "source"));
	const json_t *end = json_object_get(record->data, "end_monotonic");
	const json_t *up = json_object_get(record->data, "up_monotonic");
	const json_t *grant = json_object_get(record->data, "grant");
	AUTO_BUF struct buf payload = BUF(JWS_SMALL_BYTES_MAX);
	struct tunnel *tunnel = mem_new(1, sizeof(*tunnel));
	struct address source;

	if (grant) {
		json_print(grant, &payload);
	}
	if (!boot || !from || address_parse(from, &source) || !json_is_integer(end) ||
	        !json_is_integer(up) || recall_certificate(tunnel, record->data) ||
	        recall_approval(&tunnel->terms.approval, record->data) ||
	        grant_parse(payload.bytes, payload.count, &tunnel->grant, err)) {
		free(tunnel);
		return err_wrap(err, 1, "journal: grant.accepted of %s", record->subject);
	}
	tunnel->side = text_equal(tunnel->grant.initiator.gateway, machine->config.gateway)
	                       ? GRANT_INITIATOR
	                       : GRANT_RESPONDER;
	tunnel->lease = tunnel_judge_key(&tunnel->grant, source);
	tunnel->child = turn_child_of(tunnel);
	tunnel->old_boot = !text_equal(boot, machine->config.boot);
	tunnel->grant_end = json_integer_value(end);
	tunnel->up_deadline = json_integer_value(up);
	if (tunnel->grant.epoch > machine->epoch) {
		machine->epoch = tunnel->grant.epoch;
	}
	if (turn_find(machine, tunnel->grant.id.text)) {
		free(tunnel); /* the same record twice */
	} else {
		turn_enter(machine, tunnel);
	}
	return 0;
}

static int recall_opening(
        struct tunnel_machine *machine, const struct recalled *record, struct err *err)
{
	struct tunnel *tunnel = turn_find(machine, record->subject);

	if (tunnel) {
		tunnel->opened = tunnel->go = true;
	}
	return 0;
}

static int recall_renewed(
        struct tunnel_machine *machine, const struct recalled *record, struct err *err)
{
	const json_t *seq = json_object_get(record->data, "seq");
	struct tunnel *tunnel = turn_find(machine, record->subject);

	if (!json_is_integer(seq)) {
		return err_set(err, 1, "journal: lease.renewed of %s has no seq", record->subject);
	}
	if (tunnel && (uint64_t)json_integer_value(seq) > tunnel->lease_seq) {
		tunnel->lease_seq = (uint64_t)json_integer_value(seq);
	}
	return 0;
}

static int recall_ending(
        struct tunnel_machine *machine, const struct recalled *record, struct err *err)
{
	struct tunnel *tunnel = turn_find(machine, record->subject);

	if (tunnel) {
		tunnel->ended = true;
	} else if (id_valid(record->subject)) {
		/* A cut that overtook its grant. The date is only when it may be forgotten. */
		tunnel_ids_add(&machine->ids, record->subject,
		        machine->issued_floor + 3 * GRANT_SEC_MAX * USEC_PER_SEC);
	}
	return 0;
}

static int recall_closed(
        struct tunnel_machine *machine, const struct recalled *record, struct err *err)
{
	struct tunnel *tunnel = turn_find(machine, record->subject);

	if (tunnel) {
		turn_leave_out(machine, tunnel);
	}
	return 0;
}

static int recall_epoch(
        struct tunnel_machine *machine, const struct recalled *record, struct err *err)
{
	const json_t *epoch = json_object_get(record->data, "epoch");

	if (!json_is_integer(epoch)) {
		return err_set(err, 1, "journal: epoch.raised has no epoch");
	}
	if ((uint64_t)json_integer_value(epoch) > machine->epoch && !SIM_BUG(epoch_forgotten)) {
		machine->epoch = (uint64_t)json_integer_value(epoch);
	}
	return 0;
}

static const struct {
	const char *kind;
	int (*recall)(
	        struct tunnel_machine *machine, const struct recalled *record, struct err *err);
} recall_kinds[] = {
	{ "grant.accepted", recall_accepted },
	{ "connection.opening", recall_opening },
	{ "lease.renewed", recall_renewed },
	{ "connection.cut", recall_ending },
	{ "connection.expired", recall_ending },
	{ "lease.expired", recall_ending },
	{ "connection.closed", recall_closed },
	{ "epoch.raised", recall_epoch },
};

int tunnel_recall(struct tunnel_machine *machine, const void *record, size_t count, struct err *err)
{
	AUTO_JSON json_t *root = NULL;
	struct recalled recalled;

	if (json_parse(record, count, &root, err)) {
		return err_wrap(err, 1, "journal");
	}
	recalled = (struct recalled){
		.kind = json_string_value(json_object_get(root, "kind")),
		.subject = json_string_value(json_object_get(root, "subject")),
		.data = json_object_get(root, "data"),
	};
	if (!recalled.kind || !recalled.subject || !json_is_object(recalled.data)) {
		return err_set(err, 1, "journal: not a record");
	}
	for (size_t i = 0; i < ARRAY_COUNT(recall_kinds); i++) {
		if (strcmp(recall_kinds[i].kind, recalled.kind) == 0) {
			return recall_kinds[i].recall(machine, &recalled, err);
		}
	}
	return 0;
}

void tunnel_start(struct tunnel_machine *machine, struct moment now, struct tunnel_actions *actions)
{
	struct turn turn = { machine, now, actions };

	machine->recall_deadline = now.monotonic_usec + RECALL_WAIT_USEC;
	for (size_t i = machine->count; i-- > 0;) {
		struct tunnel *tunnel = machine->items[i];

		if (tunnel->old_boot) {
			turn_close_own(&turn, tunnel, "the gateway was started anew");
		} else if (tunnel->ended) {
			turn_close_own(&turn, tunnel, "its end was interrupted by a restart");
		}
	}
}

/* --- comparing ----------------------------------------------------------- */

/* NONE ─▶ UP, LOADING or gone. `element` is what the kernel has of it, or NULL. */
static void settle(
        struct turn *turn, struct tunnel *tunnel, const struct tunnel_found_element *element)
{
	int64_t now = turn->now.monotonic_usec;

	if (tunnel->opened && !element) {
		turn_close(turn, tunnel, "lease.expired", NULL,
		        "nothing of it was open any more after a restart");
		return;
	}
	tunnel->state = TUNNEL_LOADING;
	tunnel->retry_at = now;
	tunnel->passed_at = now; /* nobody looked meanwhile */
	if (element) {
		tunnel->lease_end =
		        turn_least(now + element->left_msec * USEC_PER_MSEC, tunnel->grant_end);
	}
	if (element && !tunnel->child_up) {
		turn_lose(turn, tunnel, TUNNEL_LOADING, "its CHILD SA is gone");
	} else if (element) {
		tunnel->state = TUNNEL_UP;
		turn_report_again(turn, tunnel);
	}
}

static const struct tunnel_found_element *find_element(
        const struct tunnel_found *found, const struct tunnel *tunnel)
{
	for (size_t i = 0; i < found->element_count; i++) {
		if (turn_same_key(&found->elements[i].lease, &tunnel->lease) &&
		        found->elements[i].lease.mark == tunnel->lease.mark) {
			return &found->elements[i];
		}
	}
	return NULL;
}

static bool find_child(const struct tunnel_found *found, const struct tunnel *tunnel)
{
	for (size_t i = 0; i < found->child_count; i++) {
		if (turn_same_child(tunnel, found->children[i].peer, found->children[i].child)) {
			return true;
		}
	}
	return false;
}

/* An element that no open tunnel has: left over from before a restart, or not ours at all. */
static void drop_unknown(struct turn *turn, const struct nft_lease *lease)
{
	struct tunnel_machine *machine = turn->machine;
	struct tunnel_action *action;
	bool mark_used = false;

	for (size_t i = 0; i < machine->count; i++) {
		const struct tunnel *tunnel = machine->items[i];
		bool may_be_open =
		        turn_is_open(tunnel) || (tunnel->state == TUNNEL_NONE && tunnel->opened);

		mark_used |= tunnel->lease.mark == lease->mark;
		if (may_be_open && turn_same_key(&tunnel->lease, lease) &&
		        tunnel->lease.mark == lease->mark) {
			return;
		}
	}
	if (SIM_BUG(keep_unknown)) {
		return;
	}
	turn_record_reason(turn, "gateway.repaired", "", NULL,
	        "a packet filter element without a live grant was removed");
	action = turn_push(turn, TUNNEL_LEASE_CLOSE);
	action->lease = *lease;
	if (!mark_used) {
		action = turn_push(turn, TUNNEL_FLOWS_FORGET);
		action->lease = *lease;
	}
}

static void compare_elements(struct turn *turn, const struct tunnel_found *found)
{
	struct tunnel_machine *machine = turn->machine;
	int64_t now = turn->now.monotonic_usec;

	for (size_t i = 0; i < found->element_count; i++) {
		drop_unknown(turn, &found->elements[i].lease);
	}
	for (size_t i = 0; i < machine->count; i++) {
		struct tunnel *tunnel = machine->items[i];

		if (tunnel->state == TUNNEL_UP && now + ELEMENT_SLACK_USEC < tunnel->lease_end &&
		        !find_element(found, tunnel)) {
			turn_lose(turn, tunnel, TUNNEL_ARMED,
			        "its packet filter element was removed by others");
			turn_open(turn, tunnel);
		}
	}
}

/* Whether something passed since the last look. A renewal sets the element's counter to 0. */
static void see_passing(
        struct tunnel *tunnel, const struct tunnel_found_element *element, int64_t now)
{
	if ((element->packets != tunnel->packets && element->packets > 0) ||
	        element->flow_packets > tunnel->flow_packets) {
		tunnel->passed_at = now;
	}
	tunnel->packets = element->packets;
	tunnel->flow_packets = element->flow_packets;
}

/* Only here, right after a look, is it known that nothing passed. */
static void close_idle(struct turn *turn, const struct tunnel_found *found)
{
	struct tunnel_machine *machine = turn->machine;
	int64_t now = turn->now.monotonic_usec;

	for (size_t i = machine->count; i-- > 0;) {
		struct tunnel *tunnel = machine->items[i];
		const struct tunnel_found_element *element =
		        tunnel->terms.idle_sec > 0 && tunnel->state == TUNNEL_UP
		                ? find_element(found, tunnel)
		                : NULL;

		if (!element) {
			continue;
		}
		see_passing(tunnel, element, now);
		if (now - tunnel->passed_at >= tunnel->terms.idle_sec * USEC_PER_SEC &&
		        !SIM_BUG(idle_ignored)) {
			turn_close_own(turn, tunnel, "idle");
		}
	}
}

static void compare_children(struct turn *turn, const struct tunnel_found *found)
{
	struct tunnel_machine *machine = turn->machine;

	for (size_t i = 0; i < machine->count; i++) {
		struct tunnel *tunnel = machine->items[i];
		bool up = find_child(found, tunnel);

		if (tunnel->state == TUNNEL_NONE) {
			tunnel->child_up = up;
		} else if (up != tunnel->child_up) {
			turn_child_changed(turn, tunnel, up);
		}
	}
	for (size_t i = 0; i < found->child_count; i++) {
		const struct tunnel_found_child *child = &found->children[i];
		bool named = false;

		for (size_t j = 0; j < machine->count && !named; j++) {
			named = turn_same_child(machine->items[j], child->peer, child->child);
		}
		if (!named) {
			turn_drop_stray(turn, child->peer, child->child);
		}
	}
}

static void settle_all(struct turn *turn, const struct tunnel_found *found)
{
	struct tunnel_machine *machine = turn->machine;

	for (size_t i = machine->count; i-- > 0;) {
		if (machine->items[i]->state == TUNNEL_NONE) {
			settle(turn, machine->items[i], find_element(found, machine->items[i]));
		}
	}
	machine->compared = true;
	turn_load_peers(turn, true);
}

void tunnel_reconcile(struct tunnel_machine *machine, const struct tunnel_found *found,
        struct moment now, struct tunnel_actions *actions)
{
	struct turn turn = { machine, now, actions };

	/* Elements first: what is closed below is still in the list that was made before. */
	if (found->elements_known) {
		compare_elements(&turn, found);
	}
	if (found->children_known) {
		compare_children(&turn, found);
	}
	if (found->elements_known && !machine->compared &&
	        (found->children_known || now.monotonic_usec >= machine->recall_deadline)) {
		settle_all(&turn, found);
	}
	/* Last: what it closes is still in both lists. */
	if (found->elements_known) {
		close_idle(&turn, found);
	}
}
