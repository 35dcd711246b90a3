/*
 * A center gone bad, with the provider's grant key in its hands: it sends gateways what it likes.
 * One grant that the sites do permit is taken and one thing is made wrong about it. The gateway has
 * to refuse it with a record and change nothing (promises 2 and 7).
 */
#include "world.h"

#include <stdio.h>
#include <string.h>

/* What is wrong. HOSTILE_NOTHING is permitted by everybody but the honest center. */
enum hostile {
	HOSTILE_NOTHING,
	HOSTILE_HOST,
	HOSTILE_PORT,
	HOSTILE_OWN_ADDRESS,
	HOSTILE_TRANSIT,
	HOSTILE_FOREIGN_PREFIX,
	HOSTILE_LONG,
	HOSTILE_LEASE,
	HOSTILE_UNKNOWN_KEY,
	HOSTILE_TORN_SEAL,
	HOSTILE_OTHER_GATEWAY,
	HOSTILE_OLD_EPOCH,
	HOSTILE_SERIAL,
	HOSTILE_CERTIFICATE, /* of the peer, but not the one that the grant names */
	HOSTILE_EARLY,
	HOSTILE_OVER,
	HOSTILE_STALE,
	HOSTILE_PROVIDER,
	HOSTILE_NUMBER,
	HOSTILE_REPLAY,
	HOSTILE_ID_AGAIN,
	HOSTILE_LEASE_REPLAY,
	HOSTILE_LEASE_UNKNOWN,
	HOSTILE_LEASE_LONG, /* taken, but for no longer than the grant's lease */
	HOSTILE_GO,
	HOSTILE_EPOCH_BACK,
	/* What follows is asked of host d, whose rules want more than a center's word. */
	HOSTILE_NO_APPROVAL,
	HOSTILE_NO_ORDER,
	HOSTILE_OTHER_ORDER,
	HOSTILE_OTHER_PERSON,
	HOSTILE_FORGED_APPROVAL,
	HOSTILE_EMERGENCY,    /* where the rule is for none */
	HOSTILE_NO_EMERGENCY, /* where it is for nothing else */
	HOSTILE_COUNT,
};

/* The answer to what must be refused: a record, perhaps a report, nothing else. */
static void judge(struct box *box, const struct tunnel_actions *actions, size_t count,
        uint64_t epoch, enum hostile what)
{
	size_t records = 0;

	for (size_t i = 0; i < actions->count; i++) {
		const struct tunnel_action *action = &actions->items[i];
		const char *end = action->type == TUNNEL_RECORD ? strrchr(action->kind, '.') : NULL;

		if (action->type == TUNNEL_RECORD && strcmp(end, ".refused") == 0) {
			records++;
		} else if (action->type != TUNNEL_REPORT ||
		           (action->report != TUNNEL_REPORT_REFUSED &&
		                   action->report != TUNNEL_REPORT_CLOSED)) {
			world_fail(box->world, "7: %s does something about a bad message (%d)",
			        box->gateway, what);
		}
	}
	if (records != 1) {
		world_fail(box->world, "7: %s makes %zu records of a bad message (%d)",
		        box->gateway, records, what);
	}
	if (tunnel_count(box->machine) != count || tunnel_epoch_highest(box->machine) != epoch) {
		world_fail(
		        box->world, "7: %s is changed by a bad message (%d)", box->gateway, what);
	}
}

static void hand(struct box *box, const struct message *message, enum hostile what, bool bad)
{
	struct world *world = box->world;
	struct moment now = world_moment(world, box->number);
	size_t count = tunnel_count(box->machine);
	uint64_t epoch = tunnel_epoch_highest(box->machine);
	struct tunnel_actions actions = { 0 };

	world_say(world, "hostile center: %d to %s", what, box->gateway);
	switch (message->type) {
	case MESSAGE_GRANT:
		box_grant(box, message, &actions);
		break;
	case MESSAGE_LEASE:
		tunnel_lease(box->machine, message->sealed, strlen(message->sealed), now, &actions);
		break;
	case MESSAGE_GO:
		tunnel_go(box->machine, message->id.text, now, &actions);
		break;
	default:
		tunnel_epoch(box->machine, message->epoch, now, &actions);
	}
	if (bad) {
		judge(box, &actions, count, epoch, what);
	}
	box_carry_out(box, &actions);
	tunnel_actions_clear(&actions);
}

static void hand_grant(
        struct box *box, int key, const struct grant *grant, enum hostile what, bool bad)
{
	AUTO_BUF struct buf payload = BUF(JWS_SMALL_BYTES_MAX);
	struct message message = { .type = MESSAGE_GRANT };
	const struct work *work = head_work_find(box->world, grant->work_order);

	grant_print(grant, &payload);
	message.sealed = seal_make(key, "sekisho-grant", &payload);
	message_certificate(&message, grant, box->gateway);
	if (work) {
		message.approval = mem_string(work->sealed);
	}
	if (what == HOSTILE_CERTIFICATE) {
		message.certificate[strlen(message.certificate) - 1] ^= 1;
	}
	if (what == HOSTILE_TORN_SEAL) {
		message.sealed[strlen(message.sealed) / 2] ^= 1;
	}
	hand(box, &message, what, bad);
	free(message.sealed);
	free(message.approval);
}

/* A grant that both sites permit as far as the addresses go. */
static void make_good(struct world *world, struct box *from, struct box *to, struct grant *grant)
{
	int64_t now = world_moment(world, -1).wall_usec / MSEC * MSEC;

	*grant = (struct grant){
		.id = world_id(world, now),
		.number = (uint32_t)chance_time(world, 1000000, 2000000),
		.epoch = world->head.epoch,
		.class = SERVICE_REMOTE_MAINTENANCE,
		.ike = site_behind_nat(to->number) ? GRANT_RESPONDER : GRANT_INITIATOR,
		.protocol = PROTOCOL_TCP,
		.port = 104,
		.issued_at = now,
		.not_before = now,
		.not_after = now + 60 * SEC,
		.lease_sec = 12,
		.policy_provider = 1,
		.policy_initiator = 1,
		.policy_responder = 1,
	};
	snprintf(grant->provider, sizeof(grant->provider), "sim");
	snprintf(grant->person, sizeof(grant->person), "mallory");
	site_fill_end(from, 0, &grant->initiator);
	site_fill_end(to, 1, &grant->responder);
}

static struct grant_end *own_end(const struct box *box, struct grant *grant)
{
	return strcmp(grant->initiator.gateway, box->gateway) == 0 ? &grant->initiator
	                                                           : &grant->responder;
}

/* Makes one thing wrong. False: it cannot be done here and now. */
static bool spoil(struct world *world, struct box *box, enum hostile what, struct grant *grant)
{
	struct grant_end *own = own_end(box, grant);
	struct grant_end *peer = own == &grant->initiator ? &grant->responder : &grant->initiator;
	size_t count = tunnel_count(box->machine);

	switch (what) {
	case HOSTILE_HOST:
		snprintf(own->host, sizeof(own->host), "c");
		own->service = site_service(box->number, 2);
		return true;
	case HOSTILE_PORT:
		grant->port = 3389;
		return true;
	case HOSTILE_OWN_ADDRESS: /* a permitted name over another machine */
		own->service = site_service(box->number, 2);
		return true;
	case HOSTILE_TRANSIT: /* both ends in remote sites */
		own->service = site_service((box->number + 1) % BOXES, 1);
		return !address_equal(own->service, peer->service);
	case HOSTILE_FOREIGN_PREFIX:
		peer->service = site_service(
		        chance(world, 2) ? box->number : (site_number(peer->site) + 1) % BOXES, 2);
		return !address_equal(own->service, peer->service);
	case HOSTILE_LONG:
		grant->class = SERVICE_RESULTS_DELIVERY;
		grant->port = 22;
		grant->not_after = grant->not_before + (CEILING_SEC + 60) * SEC;
		return true;
	case HOSTILE_LEASE:
		grant->lease_sec = LEASE_SEC_MAX;
		return true;
	case HOSTILE_OLD_EPOCH:
		grant->epoch = tunnel_epoch_highest(box->machine) - 1;
		return tunnel_epoch_highest(box->machine) > 0;
	case HOSTILE_SERIAL:
		snprintf(own->serial, sizeof(own->serial), "00ffffff");
		return true;
	case HOSTILE_EARLY:
		grant->not_before += 30 * 86400 * SEC; /* more than any clock is wrong */
		grant->not_after += 30 * 86400 * SEC;
		return true;
	case HOSTILE_OVER:
		grant->issued_at -= 7200 * SEC;
		grant->not_before -= 7200 * SEC;
		grant->not_after -= 7200 * SEC;
		return true;
	case HOSTILE_STALE:
		grant->issued_at -= 1000 * SEC;
		grant->not_before -= 1000 * SEC;
		grant->not_after = grant->not_before + 1100 * SEC;
		grant->class = SERVICE_RESULTS_DELIVERY;
		grant->port = 22;
		return true;
	case HOSTILE_PROVIDER:
		snprintf(grant->provider, sizeof(grant->provider), "other");
		return true;
	case HOSTILE_NUMBER:
		if (count == 0) {
			return false;
		}
		grant->number = tunnel_at(box->machine, chance(world, count)).grant->number;
		return true;
	case HOSTILE_ID_AGAIN:
		if (box->accepted_count == 0) {
			return false;
		}
		grant->id = box->accepted[chance(world, box->accepted_count)].grant.id;
		return true;
	default:
		return true;
	}
}

/* Of the hosts e and d, with a work order that nobody approved like this. */
static void ask_more(struct world *world, struct box *from, struct box *to, enum hostile what,
        struct grant *grant)
{
	int how = what == HOSTILE_OTHER_ORDER       ? 2
	          : what == HOSTILE_FORGED_APPROVAL ? 3
	          : what == HOSTILE_OTHER_PERSON    ? 4
	                                            : 1;

	site_fill_end(from, 4, &grant->initiator);
	site_fill_end(to, 3, &grant->responder);
	snprintf(grant->person, sizeof(grant->person), "suzuki");
	if (what != HOSTILE_NO_ORDER && what != HOSTILE_NO_EMERGENCY) {
		grant->work_order[0] = '\0';
		snprintf(grant->work_order, sizeof(grant->work_order), "%s",
		        head_work(world, from->number, to->number, how)->id.text);
	}
	grant->emergency = what == HOSTILE_EMERGENCY;
	if (what == HOSTILE_NO_EMERGENCY) {
		grant->port = site_kind_port(KIND_EMERGENCY, 0);
	}
}

static bool pick_pair(struct world *world, struct box **ret_from, struct box **ret_to)
{
	int from = (int)chance(world, BOXES), to = (int)chance(world, BOXES);

	*ret_from = &world->boxes[from];
	*ret_to = &world->boxes[to];
	return from != to && (from + to) % 3 != 0 &&
	       !(site_behind_nat(from) && site_behind_nat(to));
}

static void send_grant(struct world *world, enum hostile what)
{
	struct box *from, *to, *box;
	struct grant grant;
	int key = what == HOSTILE_UNKNOWN_KEY ? 3 : 1;

	if (!pick_pair(world, &from, &to)) {
		return;
	}
	box = chance(world, 2) ? from : to;
	make_good(world, from, to, &grant);
	if (what >= HOSTILE_NO_APPROVAL) {
		box = to;
		ask_more(world, from, to, what, &grant);
	}
	if (!box->machine || !spoil(world, box, what, &grant)) {
		return;
	}
	if (what == HOSTILE_OTHER_GATEWAY) {
		do {
			box = &world->boxes[chance(world, BOXES)];
		} while (box == from || box == to);
	}
	if (box->machine) {
		hand_grant(box, key, &grant, what, what != HOSTILE_NOTHING);
	}
	if (what == HOSTILE_NOTHING && from->machine && to->machine) {
		struct message go = { .type = MESSAGE_GO, .id = grant.id };

		head_note(world, &grant, false);
		hand_grant(box == from ? to : from, key, &grant, what, false);
		for (int i = 0; i < 2; i++) {
			go.box = i ? to->number : from->number;
			world_send(world, &go);
		}
	}
}

/* A grant or lease as it was really sent, once more. */
static void send_again(struct world *world, struct box *box, enum hostile what)
{
	struct message message = { .type = MESSAGE_GRANT };
	struct accepted *accepted;

	if (what == HOSTILE_REPLAY && world->grant_count > 0) {
		struct ledger_grant *noted = &world->grants[chance(world, world->grant_count)];

		accepted = box_accepted(box, noted->grant.id.text);
		message.sealed = noted->sealed;
		message_certificate(&message, &noted->grant, box->gateway);
		if (message.sealed && accepted && accepted->ended) {
			hand(box, &message, what, true);
		}
	} else if (what == HOSTILE_LEASE_REPLAY && world->old_lease_count > 0) {
		message.type = MESSAGE_LEASE;
		message.sealed = world->old_leases[chance(world, world->old_lease_count)];
		hand(box, &message, what, false);
		/* By now the machine has seen this number, or refused it: again is once too much.
		 */
		if (box->machine) {
			hand(box, &message, what, true);
		}
	}
}

static void send_lease(struct world *world, struct box *box, enum hostile what)
{
	AUTO_BUF struct buf payload = BUF(JWS_SMALL_BYTES_MAX);
	int64_t now = world_moment(world, -1).wall_usec / MSEC * MSEC;
	struct lease lease = {
		.epoch = world->head.epoch,
		.seq = INT64_MAX / 2 + chance(world, 1000),
		.issued_at = now,
		.ttl_sec = LEASE_SEC_MAX,
	};
	struct message message = { .type = MESSAGE_LEASE };
	size_t count = tunnel_count(box->machine);

	snprintf(lease.provider, sizeof(lease.provider), "sim");
	if (what == HOSTILE_LEASE_UNKNOWN) {
		lease.grant = world_id(world, now);
		if (lease.epoch > tunnel_epoch_highest(box->machine)) {
			return; /* it would rightly raise the epoch */
		}
	} else if (count > 0) {
		const struct grant *grant = tunnel_at(box->machine, chance(world, count)).grant;

		lease.grant = grant->id;
		/* Just above what an honest center sends by now, so that it can go on. */
		lease.seq = (uint64_t)((now - grant->issued_at) / MSEC) + 1;
	} else {
		return;
	}
	lease_print(&lease, &payload);
	message.sealed = seal_make(1, "sekisho-lease", &payload);
	hand(box, &message, what, what == HOSTILE_LEASE_UNKNOWN);
	free(message.sealed);
}

void hostile_step(struct world *world)
{
	enum hostile what = (enum hostile)chance(world, HOSTILE_COUNT);
	struct box *box = &world->boxes[chance(world, BOXES)];
	struct message message = { .type = MESSAGE_GO };

	if (!box->machine) {
		return;
	}
	switch (what) {
	case HOSTILE_REPLAY:
	case HOSTILE_LEASE_REPLAY:
		send_again(world, box, what);
		break;
	case HOSTILE_LEASE_UNKNOWN:
	case HOSTILE_LEASE_LONG:
		send_lease(world, box, what);
		break;
	case HOSTILE_GO:
		message.id = world_id(world, world_moment(world, -1).wall_usec);
		hand(box, &message, what, true);
		break;
	case HOSTILE_EPOCH_BACK:
		message.type = MESSAGE_HELLO;
		if (tunnel_epoch_highest(box->machine) > 0) {
			message.epoch = tunnel_epoch_highest(box->machine) - 1;
			hand(box, &message, what, true);
		}
		break;
	default:
		send_grant(world, what);
	}
}
