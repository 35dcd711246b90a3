/*
 * The promises of DESIGN.md 2, as they can be seen from outside: what is in the packet filters, in
 * the journals and on the way. The watcher keeps its own books from what was carried out and never
 * asks the machines (but for what they hold, at the end of a run).
 *
 *   1  an element in a packet filter: an unexpired grant, accepted by that gateway, names it, and
 *      its SA was up when it was opened; its time is within the grant and the lease
 *   2  it is what the site's own policy allows now, whatever the center said
 *   3  after a cut reached a gateway nothing passes there; when the center has let a connection go,
 *      nothing passes anywhere
 *   4  each opening, renewal, closing has its record before it
 *   5  what an own site's rule wants approved has been, by an approver of the policy of now; an
 *      emergency rule opens emergencies only
 *   6  no two connections that exclude each other are open at one host, nor more of a rule than it
 *      allows at a time
 *   7  what is refused leaves a record and changes nothing (hostile.c)
 *   9  without the center a lease is renewed only where grant and own policy say so and the stream
 *      is silent, and within the grant; what nobody uses is closed when its idle time is over
 *   8  an element joins the own site and one other, never two others
 */
#include "world.h"

#include <stdio.h>
#include <string.h>

#include "wire/json.h"

#define SLACK (2 * MSEC) /* times in actions are whole milliseconds */
/* An SA may be gone for so long before the machine hears of it: events get lost, a list is made
 * every 9 s at most, and a hanging or dead charon is noticed within 5 s. */
#define SA_STALE (15 * SEC)

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static uint32_t address_number(struct address address)
{
	return (uint32_t)address.bytes[0] << 24 | (uint32_t)address.bytes[1] << 16 |
	       (uint32_t)address.bytes[2] << 8 | address.bytes[3];
}

static void watch_accepted(struct box *box, const json_t *data, const char *id)
{
	struct world *world = box->world;
	AUTO_BUF struct buf payload = BUF(JWS_SMALL_BYTES_MAX);
	struct moment now = world_moment(world, box->number);
	struct accepted *accepted;
	struct err err = { 0 };

	for (size_t i = 0; i < box->cut_count; i++) {
		if (strcmp(box->cut[i].text, id) == 0) {
			world_fail(world, "3: %s accepts %s after its cut", box->gateway, id);
		}
	}
	if (box_accepted(box, id)) {
		world_fail(world, "I4: %s accepts %s twice", box->gateway, id);
	}
	if (box->accepted_count == box->accepted_room) {
		box->accepted_room = box->accepted_room ? 2 * box->accepted_room : 32;
		box->accepted =
		        mem_resize(box->accepted, box->accepted_room, sizeof(*box->accepted));
	}
	accepted = &box->accepted[box->accepted_count++];
	*accepted = (struct accepted){ 0 };
	json_print(json_object_get(data, "grant"), &payload);
	if (grant_parse(payload.bytes, payload.count, &accepted->grant, &err)) {
		world_fail(world, "%s records what is no grant: %s", box->gateway, err.text);
	}
	accepted->end = now.monotonic_usec + accepted->grant.not_after - now.wall_usec;
}

/* A lease is renewed also while its SA is lost: there is nothing to renew in the filter then. */
static void watch_renewed(
        struct box *box, const struct tunnel_action *action, struct accepted *accepted)
{
	AUTO_JSON json_t *root = NULL;
	int64_t now = world_moment(box->world, box->number).monotonic_usec, end;

	assert_always(json_parse(action->record.bytes, action->record.count, &root, NULL) == 0);
	if (now > accepted->lease_end + SLACK) {
		world_fail(box->world, "3: %s renews %s, whose lease ran out %lld ms ago",
		        box->gateway, action->id.text,
		        (long long)((now - accepted->lease_end) / MSEC));
	}
	if (strcmp(text_of(json_object_get(root, "actor"), "type"), "gateway") == 0 &&
	        (!accepted->grant.outage || !site_survives(box->site_policy) ||
	                box->world->now - box->linked < 14 * SEC)) {
		world_fail(box->world, "9: %s renews %s by itself", box->gateway, action->id.text);
	}
	accepted->renewals++;
	/* A renewal may also be shorter; until it is carried out, the one before counts. */
	end = now +
	      MSEC * json_integer_value(json_object_get(json_object_get(root, "data"), "ttl_msec"));
	if (accepted->lease_end < end) {
		accepted->lease_end = end;
	}
}

void watch_record(struct box *box, const struct tunnel_action *action)
{
	struct accepted *accepted = box_accepted(box, action->id.text);
	AUTO_JSON json_t *root = NULL;
	const char *kind = action->kind;

	if (strcmp(kind, "grant.accepted") == 0 || strcmp(kind, "epoch.raised") == 0) {
		const json_t *data;

		assert_always(
		        json_parse(action->record.bytes, action->record.count, &root, NULL) == 0);
		data = json_object_get(root, "data");
		if (kind[0] == 'g') {
			watch_accepted(box, data, action->id.text);
		} else {
			box->epoch_recorded =
			        (uint64_t)json_integer_value(json_object_get(data, "epoch"));
		}
		if (strcmp(text_of(root, "kind"), kind) != 0) {
			world_fail(box->world, "%s: a record is not of its kind", box->gateway);
		}
	} else if (!accepted) {
		return;
	} else if (strcmp(kind, "connection.opening") == 0) {
		accepted->openings++;
	} else if (strcmp(kind, "lease.renewed") == 0) {
		watch_renewed(box, action, accepted);
	} else if (strcmp(kind, "connection.cut") == 0 || strcmp(kind, "lease.expired") == 0 ||
	           strcmp(kind, "connection.expired") == 0) {
		accepted->ended = true;
	}
}

static void watch_ttl(
        struct box *box, const struct tunnel_action *action, const struct accepted *accepted)
{
	struct world *world = box->world;
	int64_t now = world_moment(world, box->number).monotonic_usec;
	int64_t end = now + action->ttl_msec * MSEC;

	if (action->ttl_msec == 0 || action->ttl_msec > accepted->grant.lease_sec * 1000 ||
	        action->ttl_msec > LEASE_SEC_MAX * 1000) {
		world_fail(world, "1: %s gives %s %u ms, its lease is %u s", box->gateway,
		        action->id.text, action->ttl_msec, accepted->grant.lease_sec);
	}
	if (end > accepted->end + SLACK) {
		world_fail(world, "1: %s lets %s outlive its grant by %lld ms", box->gateway,
		        action->id.text, (long long)((end - accepted->end) / MSEC));
	}
}

void watch_open(struct box *box, const struct tunnel_action *action)
{
	struct world *world = box->world;
	struct accepted *accepted = box_accepted(box, action->id.text);
	struct address local, remote;
	int64_t now = world_moment(world, box->number).monotonic_usec, seen;
	bool first;

	if (!accepted) {
		world_fail(world, "1: %s opens %s without a grant", box->gateway, action->id.text);
		return;
	}
	first = accepted->opens == 0;
	accepted->opens++;
	if (accepted->ended) {
		world_fail(world, "3: %s opens %s after its end", box->gateway, action->id.text);
	}
	if (accepted->opens > accepted->openings) {
		world_fail(world, "4: %s opens %s without a record", box->gateway, action->id.text);
	}
	if (!first && now > accepted->lease_end) {
		world_fail(world, "3: %s opens %s again after its lease ran out", box->gateway,
		        action->id.text);
	}
	watch_ttl(box, action, accepted);
	if (first) {
		accepted->lease_end = now + action->ttl_msec * MSEC;
	} else if (now + action->ttl_msec * MSEC > accepted->lease_end + SLACK) {
		world_fail(world, "3: %s opens %s again for longer than its lease", box->gateway,
		        action->id.text);
	}
	local = accepted->grant.initiator.service;
	remote = accepted->grant.responder.service;
	if (strcmp(accepted->grant.initiator.gateway, box->gateway) != 0) {
		struct address swap = local;

		local = remote;
		remote = swap;
	}
	snprintf(accepted->child, sizeof(accepted->child), "c%08x-%08x", address_number(local),
	        address_number(remote));
	seen = charon_has(box, accepted->child) ? world->now : charon_last_up(box, accepted->child);
	if (seen < 0 || world->now - seen > SA_STALE) {
		world_fail(world, "1: %s opens %s, but its SA is not up", box->gateway,
		        action->id.text);
	}
}

void watch_renew(struct box *box, const struct tunnel_action *action)
{
	struct accepted *accepted = box_accepted(box, action->id.text);
	int64_t now = world_moment(box->world, box->number).monotonic_usec;

	if (!accepted || accepted->ended) {
		world_fail(
		        box->world, "3: %s renews %s after its end", box->gateway, action->id.text);
		return;
	}
	accepted->renews++;
	if (accepted->renews > accepted->renewals) {
		world_fail(box->world, "4: %s renews %s without a record", box->gateway,
		        action->id.text);
	}
	if (now + action->ttl_msec * MSEC > accepted->lease_end + SLACK) {
		world_fail(box->world, "4: %s renews %s for longer than it records", box->gateway,
		        action->id.text);
	}
	watch_ttl(box, action, accepted);
	accepted->lease_end = now + action->ttl_msec * MSEC;
}

/* Filter first, then conntrack, then the SA; and never the SA of another connection. */
void watch_terminate(struct box *box, const char *peer, const char *child)
{
	for (size_t i = 0; i < box->filter.count; i++) {
		const struct element *element = &box->filter.elements[i];
		const struct accepted *accepted = box_accepted(box, element->id.text);
		const struct grant_end *initiator, *other;

		if (!accepted || !box_element(box, &element->lease)) {
			continue;
		}
		initiator = &accepted->grant.initiator;
		other = strcmp(initiator->gateway, box->gateway) == 0 ? &accepted->grant.responder
		                                                      : initiator;
		if (child[0] ? strcmp(accepted->child, child) == 0
		             : strcmp(other->gateway, peer) == 0) {
			world_fail(box->world, "%s ends the SA of %s while its filter is open",
			        box->gateway, element->id.text);
		}
	}
}

void watch_cut(struct box *box, const char *id)
{
	if (box->cut_count == box->cut_room) {
		box->cut_room = box->cut_room ? 2 * box->cut_room : 32;
		box->cut = mem_resize(box->cut, box->cut_room, sizeof(*box->cut));
	}
	box->cut[box->cut_count] = (struct id){ 0 };
	snprintf(box->cut[box->cut_count].text, sizeof(box->cut[0].text), "%s", id);
	box->cut_count++;
}

/* --- what is in a filter ------------------------------------------------- */

/* Promise 2, asked of the rules themselves and not of policy_decide(). */
static bool site_allows(const struct box *box, const struct grant *grant)
{
	const struct site_policy *policy = site_policy_of(box->number, box->site_policy);
	struct host_ref from = { 0 }, to = { 0 };
	struct site_policy_question question = {
		.from = &from,
		.to = &to,
		.class = grant->class,
		.protocol = grant->protocol,
		.port = grant->port,
		.begin = grant->not_before,
		.now = grant->not_before,
		.posture_current = true,
		.factor = FACTOR_TWO,
		.approved = true,
		.emergency = grant->emergency,
	};
	struct site_policy_answer answer;

	memcpy(from.site, grant->initiator.site, sizeof(from.site));
	memcpy(from.host, grant->initiator.host, sizeof(from.host));
	memcpy(to.site, grant->responder.site, sizeof(to.site));
	memcpy(to.host, grant->responder.host, sizeof(to.host));
	return site_policy_find(policy, &question, &answer) == SITE_POLICY_ALLOWED &&
	       grant->not_after - grant->not_before <= answer.duration_sec * SEC &&
	       grant->not_after - grant->not_before <= CEILING_SEC * SEC &&
	       grant->lease_sec <= answer.lease_sec;
}

static bool in_site(struct ip address, int site)
{
	struct address own = { .family = address.family };

	memcpy(own.bytes, address.bytes, sizeof(own.bytes));
	return address_number(own) >> 8 == (100U << 16 | 64U << 8 | (unsigned)(site + 1));
}

/* Promise 8, and that the key is this grant's and nothing wider. */
static bool key_right(
        const struct box *box, const struct nft_lease *lease, const struct grant *grant)
{
	int from = site_number(grant->initiator.site), to = site_number(grant->responder.site);
	bool out = from == box->number;
	struct ip source, real, destination;
	struct address real_address = site_real(grant->initiator.host[0] - 'a');

	source = ip_make(IP_V4, grant->initiator.service.bytes);
	real = ip_make(IP_V4, real_address.bytes);
	destination = ip_make(IP_V4, grant->responder.service.bytes);
	return (out || to == box->number) && from != to && lease->port == grant->port &&
	       lease->protocol == grant->protocol && lease->mark == grant->number &&
	       ip_equal(lease->source, out ? real : source) && in_site(source, from) &&
	       in_site(destination, to) && ip_equal(lease->destination, destination);
}

/* Promise 5, from what people really signed. */
static bool is_approved(const struct box *box, const struct grant *grant)
{
	const struct work *work;

	if (grant->class != SERVICE_REMOTE_MAINTENANCE || strcmp(grant->responder.host, "d") != 0 ||
	        strcmp(grant->responder.site, box->site) != 0) {
		return true;
	}
	if (grant->port == site_kind_port(KIND_EMERGENCY, 0)) {
		return grant->emergency && grant->not_after - grant->not_before <= 60 * SEC;
	}
	work = head_work_find(box->world, grant->work_order);
	return work && work->good && work->site == box->number &&
	       strcmp(grant->person, "suzuki") == 0 && work->not_before <= grant->not_before &&
	       grant->not_after <= work->not_after && site_has_approver(box->site_policy);
}

static bool excludes(enum service_class left, enum service_class right)
{
	return (left == SERVICE_ASP && right != SERVICE_ASP) ||
	       (left == SERVICE_MAIL && right != SERVICE_MAIL);
}

/* Promise 6. */
static void watch_pair(struct box *box, const struct grant *left, const struct grant *right)
{
	bool own_left = strcmp(left->initiator.site, box->site) == 0;
	bool own_right = strcmp(right->initiator.site, box->site) == 0;
	const struct grant_end *at_left = own_left ? &left->initiator : &left->responder;
	const struct grant_end *at_right = own_right ? &right->initiator : &right->responder;

	if (strcmp(at_left->host, at_right->host) != 0) {
		return;
	}
	if (excludes(left->class, right->class) || excludes(right->class, left->class)) {
		world_fail(box->world, "6: %s lets %s pass beside %s", box->gateway, left->id.text,
		        right->id.text);
	}
	if (!own_left && !own_right && left->class == SERVICE_ASP &&
	        strcmp(left->initiator.site, right->initiator.site) == 0) {
		world_fail(box->world, "6: %s lets a second asp of one rule pass: %s, %s",
		        box->gateway, left->id.text, right->id.text);
	}
}

static void watch_pairs(struct box *box, size_t index, int64_t now)
{
	const struct element *elements = box->filter.elements;
	const struct accepted *left = box_accepted(box, elements[index].id.text);

	for (size_t i = 0; left && i < index; i++) {
		const struct accepted *right = elements[i].id.text[0] && elements[i].expires > now
		                                       ? box_accepted(box, elements[i].id.text)
		                                       : NULL;

		if (right) {
			watch_pair(box, &left->grant, &right->grant);
		}
	}
}

/* Promise 9. A process looks every 9 s at most, and cannot while it is down. */
static void watch_idle(
        struct box *box, const struct element *element, const struct grant *grant, int64_t now)
{
	int64_t since = element->used > box->started ? element->used : box->started;

	if (grant->idle_sec > 0 && now - since > (grant->idle_sec + 20) * SEC) {
		world_fail(box->world, "9: %s keeps %s, over which nothing passed for %lld s",
		        box->gateway, element->id.text, (long long)((now - since) / SEC));
	}
}

static void watch_element(struct box *box, const struct element *element, int64_t now)
{
	struct world *world = box->world;
	const struct accepted *accepted = box_accepted(box, element->id.text);
	const struct ledger_grant *noted;

	if (!accepted) {
		world_fail(world, "1: %s has an element without a grant", box->gateway);
		return;
	}
	if (now > accepted->end + SLACK) {
		world_fail(world, "1: %s lets %s pass after its grant has ended", box->gateway,
		        element->id.text);
	}
	if (accepted->ended) {
		world_fail(
		        world, "3: %s lets %s pass after its end", box->gateway, element->id.text);
	}
	if (!site_allows(box, &accepted->grant)) {
		world_fail(world, "2: %s lets %s pass, its site's policy does not", box->gateway,
		        element->id.text);
	}
	if (!is_approved(box, &accepted->grant)) {
		world_fail(world, "5: %s lets %s pass, which nobody approved", box->gateway,
		        element->id.text);
	}
	watch_idle(box, element, &accepted->grant, now);
	if (!key_right(box, &element->lease, &accepted->grant)) {
		world_fail(world, "8: %s lets more pass than %s names", box->gateway,
		        element->id.text);
	}
	for (size_t i = 0; i < box->cut_count; i++) {
		if (strcmp(box->cut[i].text, element->id.text) == 0) {
			world_fail(world, "3: %s lets %s pass after its cut", box->gateway,
			        element->id.text);
		}
	}
	noted = head_grant(world, element->id.text);
	if (noted && noted->honest && noted->finished) {
		world_fail(world, "3: %s lets %s pass, the center has let it go", box->gateway,
		        element->id.text);
	}
}

void watch_box(struct box *box)
{
	int64_t now = world_moment(box->world, box->number).monotonic_usec;

	if (!box->machine || box->world->failure[0]) {
		return; /* what a dead process left is judged when it is back, or has run out */
	}
	for (size_t i = 0; i < box->filter.count; i++) {
		if (box->filter.elements[i].expires > now && box->filter.elements[i].id.text[0]) {
			watch_element(box, &box->filter.elements[i], now);
			watch_pairs(box, i, now);
		}
	}
	for (size_t i = 0; i < box->filter.flow_count; i++) {
		bool live = false;

		for (size_t j = 0; j < tunnel_count(box->machine) && !live; j++) {
			live = tunnel_at(box->machine, j).lease.mark == box->filter.flows[i];
		}
		if (!live) {
			world_fail(box->world, "3: %s keeps a flow with mark %u", box->gateway,
			        box->filter.flows[i]);
		}
	}
}

void watch_known(struct box *box)
{
	int64_t now = world_moment(box->world, box->number).monotonic_usec;

	for (size_t i = 0; i < box->filter.count; i++) {
		const struct element *element = &box->filter.elements[i];

		if (!element->id.text[0] && element->expires > now) {
			world_fail(box->world, "1: %s leaves an unknown element in its filter",
			        box->gateway);
		}
	}
}

/* --- the end ------------------------------------------------------------- */

struct agree {
	struct world *world;
	char why[200];
};

static enum tunnel_state state_at(struct world *world, const char *gateway, const char *id)
{
	struct box *box = &world->boxes[site_number(gateway + 3)];

	for (size_t i = 0; box->machine && i < tunnel_count(box->machine); i++) {
		struct tunnel_view view = tunnel_at(box->machine, i);

		if (strcmp(view.grant->id.text, id) == 0) {
			return view.state;
		}
	}
	return TUNNEL_NONE;
}

static void agree_row(void *context, const struct connection_row *row)
{
	struct agree *agree = context;
	const char *id = row->grant.id.text;

	if (row->state != CONNECTION_UP) {
		snprintf(agree->why, sizeof(agree->why), "%s is still %s at the center", id,
		        connection_state_name(row->state));
	}
	for (int side = 0; side < 2; side++) {
		const char *gateway = grant_end(&row->grant, side)->gateway;

		if (state_at(agree->world, gateway, id) != TUNNEL_UP) {
			snprintf(agree->why, sizeof(agree->why), "%s is not up at %s", id, gateway);
		}
	}
}

/* True when all gateways hold what the center wants, and nothing else. */
static bool agrees(struct world *world, struct agree *agree)
{
	*agree = (struct agree){ .world = world };
	if (!world->head.machine) {
		snprintf(agree->why, sizeof(agree->why), "the center is down");
		return false;
	}
	connection_list(world->head.machine, NULL, NULL, agree_row, agree);
	for (int i = 0; i < BOXES; i++) {
		struct box *box = &world->boxes[i];

		if (!box->machine) {
			snprintf(agree->why, sizeof(agree->why), "%s is down", box->gateway);
			return false;
		}
		for (size_t j = 0; j < tunnel_count(box->machine); j++) {
			const char *id = tunnel_at(box->machine, j).grant->id.text;

			if (!connection_find(world->head.machine, id)) {
				snprintf(agree->why, sizeof(agree->why),
				        "%s holds %s, the center does not", box->gateway, id);
			}
		}
	}
	return agree->why[0] == '\0';
}

/* One connection from `from`'s host a to `to`'s host b. */
static void watch_connects(struct world *world, int from, int to)
{
	char id[ID_BYTES_MAX + 1];

	head_ask(world, from, to, 1, true);
	if (world->head.answer == CONNECTION_EXISTS) {
		return;
	}
	if (world->head.answer != CONNECTION_ACCEPTED) {
		world_fail(world, "liveness: s%d may not connect to s%d (answer %d)", from, to,
		        world->head.answer);
		return;
	}
	snprintf(id, sizeof(id), "%s", world->head.answer_id.text);
	world_run(world, world->now + 30 * SEC);
	if (state_at(world, world->boxes[from].gateway, id) != TUNNEL_UP ||
	        state_at(world, world->boxes[to].gateway, id) != TUNNEL_UP) {
		world_fail(
		        world, "liveness: %s from s%d to s%d is not up within 30 s", id, from, to);
	}
}

void watch_converged(struct world *world)
{
	struct agree agree;

	world_run(world, world->now + 30 * SEC);
	/* Grants end at any time; for a moment the two ends of one may not agree. */
	for (int i = 0; i < 8 && !world->failure[0] && !agrees(world, &agree); i++) {
		world_run(world, world->now + SEC / 2);
		if (i == 7) {
			world_fail(world, "liveness: 30 s after all faults %s", agree.why);
		}
	}
	for (int i = 0; i < 3 && !world->failure[0]; i++) {
		int from = (int)chance(world, BOXES), to = (int)chance(world, BOXES);

		if (from != to && (from + to) % 3 != 0 &&
		        !(site_behind_nat(from) && site_behind_nat(to))) {
			watch_connects(world, from, to);
		}
	}
}
