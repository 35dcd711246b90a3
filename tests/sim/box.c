/*
 * One gateway: the priv process around the tunnel machine, its packet filter and conntrack, its
 * journal and what it has on disk. A crash may come between any two actions; the kernel and charon
 * go on without the process.
 */
#include "world.h"

#include <stdio.h>
#include <string.h>

#define PING_USEC (10 * SEC)
#define SILENCE_USEC (30 * SEC)

/* --- trust --------------------------------------------------------------- */

static int trust_open(void *context, const char *provider, const char *typ, const char *sealed,
        size_t count, int64_t wall_usec, struct buf *payload, struct err *err)
{
	struct box *box = context;

	if (!box->provider_accredited) {
		return err_set(err, 1, "the provider is not accredited now");
	}
	if (seal_check(1, typ, sealed, payload) &&
	        !(box->second_key && seal_check(2, typ, sealed, payload) == 0)) {
		return err_set(err, 1, "not by an accredited key");
	}
	return 0;
}

static bool revoked(const struct box *box, const struct grant_end *end)
{
	int site = site_number(end->site);
	unsigned serial = 0;

	/* Serials are "00", the gateway's number and a count; see box_prepare(). */
	return site < 0 || sscanf(end->serial + 4, "%x", &serial) != 1 ||
	       serial < box->revoked_below[site];
}

static int trust_check(void *context, const struct grant *grant, int64_t wall_usec, struct err *err)
{
	struct box *box = context;

	if (!box->provider_accredited || !box->service_ca_accredited) {
		return err_set(err, 1, "the provider or the service CA is not accredited now");
	}
	if (revoked(box, &grant->initiator) || revoked(box, &grant->responder)) {
		return err_set(err, 1, "a service certificate is revoked");
	}
	return 0;
}

static int trust_peer(void *context, const struct grant_end *peer, const uint8_t *der, size_t count,
        int64_t wall_usec, struct err *err)
{
	if (count != strlen(peer->serial) || memcmp(der, peer->serial, count) != 0) {
		return err_set(err, 1, "the grant names another certificate");
	}
	return 0;
}

static int trust_approval(void *context, const struct site_policy *site, const char *sealed,
        struct buf *payload, struct policy_approver *ret_approver, struct err *err)
{
	for (size_t i = 0; i < site_policy_approver_count(site); i++) {
		AUTO_BUF struct buf key = BUF(32);

		site_policy_approver_at(site, i, ret_approver);
		if (base64_parse(ret_approver->spki, strlen(ret_approver->spki), &key) == 0 &&
		        seal_check(key.bytes[3], APPROVAL_SEAL_TYPE, sealed, payload) == 0) {
			return 0;
		}
	}
	return err_set(err, 1, "not by an approver");
}

/* --- memory -------------------------------------------------------------- */

static void set_serial(struct box *box)
{
	snprintf(box->serial, sizeof(box->serial), "00%02x%04x", box->number, box->serials);
}

void box_prepare(struct world *world, int number)
{
	struct box *box = &world->boxes[number];

	*box = (struct box){ .world = world, .number = number };
	snprintf(box->site, sizeof(box->site), "s%d", number);
	snprintf(box->gateway, sizeof(box->gateway), "gw-s%d", number);
	snprintf(box->identity, sizeof(box->identity), "gw-s%d.sim.sekisho.internal", number);
	snprintf(box->boot, sizeof(box->boot), "boot-0");
	set_serial(box);
	box->clock.wall_offset = 1700000000 * SEC + chance_time(world, -3 * SEC, 3 * SEC);
	box->clock.drift_ppm = (int32_t)chance_time(world, -200, 200);
	box->clock.start = chance_time(world, 0, 900 * SEC);
	box->link = (struct link){ .delay_min = 1 * MSEC, .delay_max = 20 * MSEC };
	box->charon.alive = true;
	box->filter.table = true;
	box->provider_accredited = box->service_ca_accredited = true;
	box->incarnation = 1;
}

void box_clear(struct box *box)
{
	box->machine = tunnel_machine_free(box->machine);
	for (size_t i = 0; i < box->journal_count; i++) {
		free(box->journal[i].bytes);
	}
	free(box->journal);
	free(box->accepted);
	free(box->cut);
}

struct accepted *box_accepted(struct box *box, const char *id)
{
	for (size_t i = box->accepted_count; i-- > 0;) {
		if (strcmp(box->accepted[i].grant.id.text, id) == 0) {
			return &box->accepted[i];
		}
	}
	return NULL;
}

/* --- packet filter ------------------------------------------------------- */

static bool same_key(const struct nft_lease *left, const struct nft_lease *right)
{
	return ip_equal(left->source, right->source) &&
	       ip_equal(left->destination, right->destination) &&
	       left->protocol == right->protocol && left->port == right->port;
}

/* As the kernel does: what has run out is not there. */
static void filter_expire(struct box *box)
{
	int64_t now = world_moment(box->world, box->number).monotonic_usec;

	for (size_t i = box->filter.count; i-- > 0;) {
		if (box->filter.elements[i].expires <= now) {
			box->filter.elements[i] = box->filter.elements[--box->filter.count];
		}
	}
}

struct element *box_element(struct box *box, const struct nft_lease *lease)
{
	filter_expire(box);
	for (size_t i = 0; i < box->filter.count; i++) {
		if (same_key(&box->filter.elements[i].lease, lease)) {
			return &box->filter.elements[i];
		}
	}
	return NULL;
}

static bool filter_set(struct box *box, const struct tunnel_action *action)
{
	struct element *element = box_element(box, &action->lease);

	if (!box->filter.table || (element && element->lease.mark != action->lease.mark)) {
		return false;
	}
	if (!element) {
		assert_always(box->filter.count < ELEMENTS_MAX);
		element = &box->filter.elements[box->filter.count++];
		*element = (struct element){ .lease = action->lease,
			.used = world_moment(box->world, box->number).monotonic_usec };
	}
	element->id = action->id;
	element->packets = 0;
	element->expires =
	        world_moment(box->world, box->number).monotonic_usec + action->ttl_msec * MSEC;
	return true;
}

static void filter_close(struct box *box, const struct nft_lease *lease)
{
	struct element *element = box_element(box, lease);

	if (element) {
		*element = box->filter.elements[--box->filter.count];
	}
}

static void flows_forget(struct box *box, uint32_t mark)
{
	for (size_t i = box->filter.flow_count; i-- > 0;) {
		if (box->filter.flows[i] == mark) {
			box->filter.flows[i] = box->filter.flows[--box->filter.flow_count];
		}
	}
}

static void event_filter_back(struct world *world, struct event *event)
{
	struct box *box = &world->boxes[event->box];
	struct tunnel_actions actions = { 0 };

	box->filter.table = true;
	if (box->machine) {
		tunnel_filter(box->machine, true, world_moment(world, box->number), &actions);
		box_carry_out(box, &actions);
		box_reconcile(box);
	}
	tunnel_actions_clear(&actions);
}

static void event_filter_gone(struct world *world, struct event *event)
{
	struct box *box = &world->boxes[event->box];
	struct tunnel_actions actions = { 0 };

	if (box->machine && !box->filter.table) {
		tunnel_filter(box->machine, false, world_moment(world, box->number), &actions);
		box_carry_out(box, &actions);
	}
	tunnel_actions_clear(&actions);
	world_at(world, world->now + chance_time(world, 10 * MSEC, 500 * MSEC), event_filter_back,
	        box->number);
}

/* Somebody flushes the whole ruleset (F25): noticed by the monitor, loaded again. */
void box_flush(struct box *box)
{
	struct world *world = box->world;

	world_say(world, "%s somebody flushes the packet filter", box->gateway);
	box->filter.table = false;
	box->filter.count = 0;
	world_at(world, world->now + chance_time(world, 10 * MSEC, 1500 * MSEC), event_filter_gone,
	        box->number);
}

/* --- process ------------------------------------------------------------- */

static void journal_add(struct box *box, const struct buf *record)
{
	if (box->journal_count == box->journal_room) {
		box->journal_room = box->journal_room ? 2 * box->journal_room : 64;
		box->journal = mem_resize(box->journal, box->journal_room, sizeof(*box->journal));
	}
	box->journal[box->journal_count++] = (struct entry){
		.bytes = mem_copy(record->bytes, record->count),
		.count = record->count,
	};
}

static void report(struct box *box, const struct tunnel_action *action)
{
	struct message message = {
		.type = MESSAGE_REPORT,
		.box = box->number,
		.to_center = true,
		.id = action->id,
		.report = action->report,
	};

	world_say(box->world, "%s reports %s %s %s", box->gateway,
	        tunnel_report_name(action->report), action->id.text, action->reason);
	box->world->refused += action->report == TUNNEL_REPORT_REFUSED;
	world_send(box->world, &message);
}

static void record(struct box *box, const struct tunnel_action *action)
{
	world_say(box->world, "%s record %.*s", box->gateway, (int)action->record.count,
	        (const char *)action->record.bytes);
	journal_add(box, &action->record);
	watch_record(box, action);
}

static void open_lease(
        struct box *box, const struct tunnel_action *action, struct tunnel_actions *next)
{
	struct world *world = box->world;
	bool ok = (world->calm || !chance_of(world, box->filter.open_failure)) &&
	          filter_set(box, action);

	world_say(world, "%s OPEN %s mark %u for %u ms: %s", box->gateway, action->id.text,
	        action->lease.mark, action->ttl_msec, ok ? "ok" : "failed");
	watch_open(box, action);
	world->opened += ok;
	tunnel_opened(box->machine, action->id.text, ok, world_moment(world, box->number), next);
}

static void carry_out_one(
        struct box *box, const struct tunnel_action *action, struct tunnel_actions *next)
{
	struct world *world = box->world;

	switch (action->type) {
	case TUNNEL_RECORD:
		record(box, action);
		break;
	case TUNNEL_PEER_LOAD:
		charon_load(box, action->peer, action->tag);
		break;
	case TUNNEL_CHILD_INITIATE:
		world_say(world, "%s initiates %s", box->gateway, action->child);
		charon_initiate(box, action->peer_name, action->child, action->tag);
		break;
	case TUNNEL_LEASE_OPEN:
		open_lease(box, action, next);
		break;
	case TUNNEL_LEASE_RENEW:
		watch_renew(box, action);
		(void)filter_set(box, action);
		break;
	case TUNNEL_LEASE_CLOSE:
		world_say(world, "%s CLOSE mark %u", box->gateway, action->lease.mark);
		filter_close(box, &action->lease);
		break;
	case TUNNEL_FLOWS_FORGET:
		flows_forget(box, action->lease.mark);
		break;
	case TUNNEL_CHILD_TERMINATE:
	case TUNNEL_PEER_TERMINATE:
		watch_terminate(box, action->peer_name, action->child);
		charon_terminate(box, action->peer_name, action->child);
		break;
	case TUNNEL_PEER_UNLOAD:
		charon_unload(box, action->peer_name);
		break;
	case TUNNEL_REPORT:
		report(box, action);
		break;
	}
}

void box_carry_out(struct box *box, struct tunnel_actions *actions)
{
	struct tunnel_actions next = { 0 };

	while (actions->count > 0 && box->machine) {
		for (size_t i = 0; i < actions->count; i++) {
			if (!box->world->calm && chance_of(box->world, box->crash)) {
				box_crash(box);
				break;
			}
			carry_out_one(box, &actions->items[i], &next);
		}
		tunnel_actions_reset(actions);
		if (next.count > 0) {
			struct tunnel_actions swap = *actions;

			*actions = next;
			next = swap;
		}
	}
	tunnel_actions_reset(actions);
	tunnel_actions_clear(&next);
}

static void event_tick(struct world *world, struct event *event)
{
	struct box *box = &world->boxes[event->box];
	struct tunnel_actions actions = { 0 };

	/* First, for the process may die in here. */
	world_at(world, world->now + SEC, event_tick, box->number)->incarnation = box->incarnation;
	tunnel_tick(box->machine, world_moment(world, box->number), &actions);
	box_carry_out(box, &actions);
	tunnel_actions_clear(&actions);
}

static void event_reconcile(struct world *world, struct event *event)
{
	struct box *box = &world->boxes[event->box];
	int64_t next = world->now + chance_time(world, 5 * SEC, 9 * SEC);

	world_at(world, next, event_reconcile, box->number)->incarnation = box->incarnation;
	box_reconcile(box);
}

static void event_ping(struct world *world, struct event *event)
{
	struct box *box = &world->boxes[event->box];
	struct message message = { .type = MESSAGE_PING, .box = box->number, .to_center = true };
	bool silent = world->now - box->heard > SILENCE_USEC;

	/* First, for the process may die in here. */
	world_at(world, world->now + (silent ? 2 * SEC : PING_USEC), event_ping, box->number)
	        ->incarnation = box->incarnation;
	if (silent) {
		struct tunnel_actions actions = { 0 };

		box->linked = 0;
		tunnel_link(box->machine, false, world_moment(world, box->number), &actions);
		box_carry_out(box, &actions);
		tunnel_actions_clear(&actions);
		if (!box->machine) {
			return;
		}
	}
	message.flag = event->flag || silent || box->broken;
	box->broken = false;
	world_send(world, &message);
}

void box_reconcile(struct box *box)
{
	struct tunnel_found_element elements[ELEMENTS_MAX];
	struct tunnel_found_child children[SA_MAX];
	struct charon_sim *charon = &box->charon;
	struct tunnel_actions actions = { 0 };
	struct tunnel_found found = {
		.elements = elements,
		.children = children,
		.elements_known = box->filter.table,
		.children_known = charon->alive && !charon->hung,
	};
	struct moment now = world_moment(box->world, box->number);

	if (!box->machine) {
		return;
	}
	filter_expire(box);
	for (size_t i = 0; i < box->filter.count; i++) {
		elements[i] = (struct tunnel_found_element){ .lease = box->filter.elements[i].lease,
			.packets = box->filter.elements[i].packets };
		elements[i].left_msec =
		        (uint32_t)((box->filter.elements[i].expires - now.monotonic_usec) / MSEC);
	}
	for (size_t i = 0; i < charon->sa_count; i++) {
		children[i].peer = charon->sas[i].peer;
		children[i].child = charon->sas[i].child;
	}
	found.element_count = box->filter.count;
	found.child_count = charon->sa_count;
	tunnel_reconcile(box->machine, &found, now, &actions);
	box_carry_out(box, &actions);
	tunnel_actions_clear(&actions);
	if (box->machine && found.elements_known) {
		watch_known(box);
	}
}

static void event_start(struct world *world, struct event *event)
{
	box_start(&world->boxes[event->box]);
}

void box_crash(struct box *box)
{
	struct world *world = box->world;

	if (!box->machine) {
		return;
	}
	world_say(world, "%s process dies", box->gateway);
	world->crashed++;
	box->machine = tunnel_machine_free(box->machine);
	box->incarnation++;
	world_at(world, world->now + chance_time(world, 100 * MSEC, 8 * SEC), event_start,
	        box->number);
}

static void event_charon_start(struct world *world, struct event *event)
{
	charon_start(&world->boxes[event->box]);
}

void box_reboot(struct box *box)
{
	struct world *world = box->world;

	if (!box->machine) {
		return;
	}
	world_say(world, "%s reboots", box->gateway);
	charon_kill(box);
	box_crash(box);
	box->filter.count = box->filter.flow_count = 0;
	box->filter.table = true; /* loaded at boot, empty, before the network */
	box->boots++;
	snprintf(box->boot, sizeof(box->boot), "boot-%u", box->boots);
	box->clock.start = world->now + world->now / 1000000 * box->clock.drift_ppm;
	for (size_t i = 0; i < box->accepted_count; i++) {
		box->accepted[i].end = INT64_MIN; /* counted on a clock that is no more */
	}
	world_at(world, world->now + chance_time(world, SEC, 3 * SEC), event_charon_start,
	        box->number);
}

static void recall(struct box *box)
{
	for (size_t i = 0; i < box->journal_count; i++) {
		struct err err = { 0 };

		if (tunnel_recall(
		            box->machine, box->journal[i].bytes, box->journal[i].count, &err)) {
			world_fail(box->world, "%s cannot read its own journal: %s", box->gateway,
			        err.text);
		}
	}
	if (tunnel_epoch_highest(box->machine) < box->epoch_recorded) {
		world_fail(box->world, "I12: %s forgot epoch %llu", box->gateway,
		        (unsigned long long)box->epoch_recorded);
	}
}

void box_start(struct box *box)
{
	struct world *world = box->world;
	struct tunnel_config config = {
		.provider = "sim",
		.site = box->site,
		.gateway = box->gateway,
		.identity = box->identity,
		.serial = box->serial,
		.boot = box->boot,
		.grant_sec_max = CEILING_SEC,
		.trust = { .context = box,
		        .seal_open = trust_open,
		        .grant_check = trust_check,
		        .peer_check = trust_peer,
		        .approval_open = trust_approval },
	};
	struct tunnel_actions actions = { 0 };
	struct moment now = world_moment(world, box->number);
	struct event *event;

	if (box->machine) {
		return;
	}
	world_say(world, "%s process starts", box->gateway);
	box->machine = tunnel_machine_new(&config);
	box->linked = 0;
	recall(box);
	tunnel_policy_set(box->machine, site_provider_policy(box->provider_policy),
	        site_policy_of(box->number, box->site_policy), now, &actions);
	tunnel_charon(box->machine, box->charon.alive && !box->charon.hung, now, &actions);
	tunnel_filter(box->machine, box->filter.table, now, &actions);
	tunnel_start(box->machine, now, &actions);
	box_carry_out(box, &actions);
	tunnel_actions_clear(&actions);
	box_reconcile(box);
	if (!box->machine) {
		return;
	}
	box->heard = world->now;
	box->started = now.monotonic_usec;
	event = world_at(world, world->now + chance(world, SEC), event_tick, box->number);
	event->incarnation = box->incarnation;
	event = world_at(world, world->now + 5 * SEC, event_reconcile, box->number);
	event->incarnation = box->incarnation;
	event = world_at(world, world->now + chance(world, SEC), event_ping, box->number);
	event->incarnation = box->incarnation;
	event->flag = true;
}

void box_grant(struct box *box, const struct message *message, struct tunnel_actions *actions)
{
	struct tunnel_offer offer = {
		.sealed = message->sealed,
		.sealed_bytes = strlen(message->sealed),
		.certificate = (const uint8_t *)message->certificate,
		.certificate_bytes = strlen(message->certificate),
		.approvals = (const char *const *)&message->approval,
		.approval_count = message->approval != NULL,
	};

	tunnel_grant(box->machine, &offer, world_moment(box->world, box->number), actions);
}

static void hand_in(struct box *box, const struct message *message, struct tunnel_actions *actions)
{
	struct moment now = world_moment(box->world, box->number);

	switch (message->type) {
	case MESSAGE_HELLO:
		tunnel_epoch(box->machine, message->epoch, now, actions);
		break;
	case MESSAGE_GRANT:
		box_grant(box, message, actions);
		break;
	case MESSAGE_GO:
		tunnel_go(box->machine, message->id.text, now, actions);
		break;
	case MESSAGE_LEASE:
		tunnel_lease(box->machine, message->sealed, strlen(message->sealed), now, actions);
		break;
	case MESSAGE_CUT:
		tunnel_cut(box->machine, message->id.text, "center", "told so", now, actions);
		break;
	default:
		break;
	}
}

void box_deliver(struct box *box, const struct message *message)
{
	struct tunnel_actions actions = { 0 };

	if (!box->machine) {
		return;
	}
	box->heard = box->linked = box->world->now;
	tunnel_link(box->machine, true, world_moment(box->world, box->number), &actions);
	hand_in(box, message, &actions);
	box_carry_out(box, &actions);
	tunnel_actions_clear(&actions);
	if (message->type == MESSAGE_CUT && box->machine) {
		watch_cut(box, message->id.text);
	}
}

void box_policy(struct box *box)
{
	struct tunnel_actions actions = { 0 };

	if (box->machine) {
		tunnel_policy_set(box->machine, site_provider_policy(box->provider_policy),
		        site_policy_of(box->number, box->site_policy),
		        world_moment(box->world, box->number), &actions);
		box_carry_out(box, &actions);
	}
	tunnel_actions_clear(&actions);
}

void box_trust(struct box *box)
{
	struct tunnel_actions actions = { 0 };

	set_serial(box);
	if (box->machine) {
		tunnel_certificate_set(box->machine, box->identity, box->serial);
		tunnel_trust_changed(box->machine, world_moment(box->world, box->number), &actions);
		box_carry_out(box, &actions);
	}
	tunnel_actions_clear(&actions);
}

void event_box_policy(struct world *world, struct event *event)
{
	box_policy(&world->boxes[event->box]);
}

void event_box_trust(struct world *world, struct event *event)
{
	box_trust(&world->boxes[event->box]);
}
