/*
 * Ten strongSwans: loaded connections, SAs between two of them, events that may get lost, and
 * death and hanging. Userspace ESP: the SAs die with the process; the peer notices only after a
 * while.
 */
#include "world.h"

#include <stdio.h>
#include <string.h>

#define DPD_MIN (15 * SEC)
#define DPD_MAX (25 * SEC)

static struct conf *find_conf(struct box *box, const char *peer)
{
	for (size_t i = 0; i < box->charon.conf_count; i++) {
		if (strcmp(box->charon.confs[i].peer, peer) == 0) {
			return &box->charon.confs[i];
		}
	}
	return NULL;
}

static const struct tunnel_child *find_child(const struct conf *conf, const char *name)
{
	for (size_t i = 0; conf && i < conf->child_count; i++) {
		if (strcmp(conf->children[i].name, name) == 0) {
			return &conf->children[i];
		}
	}
	return NULL;
}

static struct sa *find_sa(struct box *box, const char *peer, const char *child)
{
	for (size_t i = 0; i < box->charon.sa_count; i++) {
		struct sa *sa = &box->charon.sas[i];

		if (strcmp(sa->peer, peer) == 0 && strcmp(sa->child, child) == 0) {
			return sa;
		}
	}
	return NULL;
}

bool charon_has(const struct box *box, const char *child)
{
	for (size_t i = 0; i < box->charon.sa_count; i++) {
		if (strcmp(box->charon.sas[i].child, child) == 0) {
			return true;
		}
	}
	return false;
}

static void note_seen(struct box *box, const char *child)
{
	struct charon_sim *charon = &box->charon;

	for (size_t i = 0; i < charon->seen_count; i++) {
		if (strcmp(charon->seen[i].child, child) == 0) {
			charon->seen[i].last_up = box->world->now;
			return;
		}
	}
	assert_always(charon->seen_count < ARRAY_COUNT(charon->seen));
	snprintf(
	        charon->seen[charon->seen_count].child, sizeof(charon->seen[0].child), "%s", child);
	charon->seen[charon->seen_count].last_up = box->world->now;
	charon->seen_count++;
}

int64_t charon_last_up(const struct box *box, const char *child)
{
	for (size_t i = 0; i < box->charon.seen_count; i++) {
		if (strcmp(box->charon.seen[i].child, child) == 0) {
			return box->charon.seen[i].last_up;
		}
	}
	return -1;
}

static struct box *box_named(struct world *world, const char *gateway)
{
	for (int i = 0; i < BOXES; i++) {
		if (strcmp(world->boxes[i].gateway, gateway) == 0) {
			return &world->boxes[i];
		}
	}
	return NULL;
}

/* --- events -------------------------------------------------------------- */

static void event_child(struct world *world, struct event *event)
{
	struct box *box = &world->boxes[event->box];
	struct tunnel_actions actions = { 0 };

	if (box->machine && box->charon.alive) {
		world_say(world, "%s child %s %s", box->gateway, event->other,
		        event->flag ? "up" : "down");
		tunnel_child(box->machine, event->name, event->other, event->flag,
		        world_moment(world, box->number), &actions);
		box_carry_out(box, &actions);
	}
	tunnel_actions_clear(&actions);
}

static void tell_child(struct box *box, const char *peer, const char *child, bool up)
{
	struct world *world = box->world;
	struct event *event;

	if (chance_of(world, box->charon.event_loss)) {
		return;
	}
	if (box->charon.event_at < world->now) {
		box->charon.event_at = world->now;
	}
	box->charon.event_at += chance_time(world, 1 * MSEC, 30 * MSEC);
	event = world_at(world, box->charon.event_at, event_child, box->number);
	event->incarnation = box->incarnation;
	event->flag = up;
	snprintf(event->name, sizeof(event->name), "%s", peer);
	snprintf(event->other, sizeof(event->other), "%s", child);
}

static void remove_sa(struct box *box, struct sa *sa)
{
	struct sa gone = *sa;

	/* The last one takes its place: callers go through the list backwards. */
	note_seen(box, sa->child);
	*sa = box->charon.sas[--box->charon.sa_count];
	tell_child(box, gone.peer, gone.child, false);
}

static void add_sa(struct box *box, const char *peer, const struct tunnel_child *child)
{
	struct sa *sa = find_sa(box, peer, child->name);

	if (!sa) {
		assert_always(box->charon.sa_count < SA_MAX);
		sa = &box->charon.sas[box->charon.sa_count++];
		*sa = (struct sa){ .local = child->local, .remote = child->remote };
		snprintf(sa->peer, sizeof(sa->peer), "%s", peer);
		snprintf(sa->child, sizeof(sa->child), "%s", child->name);
	}
	note_seen(box, sa->child);
	tell_child(box, peer, child->name, true);
}

static struct sa *other_end(struct box *box, const struct sa *sa, struct box **ret_box)
{
	*ret_box = box_named(box->world, sa->peer);
	for (size_t i = 0; i < (*ret_box)->charon.sa_count; i++) {
		struct sa *other = &(*ret_box)->charon.sas[i];

		if (strcmp(other->peer, box->gateway) == 0 &&
		        address_equal(other->local, sa->remote) &&
		        address_equal(other->remote, sa->local)) {
			return other;
		}
	}
	return NULL;
}

static void watch_peer(struct box *box, const struct sa *sa);

/* The peer does not answer any more: its end of the SA goes away as well. One that hangs just then
 * asks the peer again when it goes on. */
static void event_dead_peer(struct world *world, struct event *event)
{
	struct box *box = &world->boxes[event->box], *peer;
	struct sa *sa = find_sa(box, event->name, event->other);

	if (!sa || !box->charon.alive || other_end(box, sa, &peer)) {
		return;
	}
	if (box->charon.hung) {
		watch_peer(box, sa);
	} else {
		remove_sa(box, sa);
	}
}

static void watch_peer(struct box *box, const struct sa *sa)
{
	struct world *world = box->world;
	struct event *event = world_at(world, world->now + chance_time(world, DPD_MIN, DPD_MAX),
	        event_dead_peer, box->number);

	snprintf(event->name, sizeof(event->name), "%s", sa->peer);
	snprintf(event->other, sizeof(event->other), "%s", sa->child);
}

/* Ends an SA here, and there if the word gets through. */
static void end_sa(struct box *box, struct sa *sa)
{
	struct box *peer;
	struct sa *other = other_end(box, sa, &peer);
	struct world *world = box->world;

	if (other && !world->path_down[box->number][peer->number] && peer->charon.alive &&
	        !peer->charon.hung) {
		remove_sa(peer, other);
	} else if (other) {
		watch_peer(peer, other);
	}
	remove_sa(box, sa);
}

/* --- commands ------------------------------------------------------------ */

/* The answer to a command: what was done was done already. */
static void event_loaded(struct world *world, struct event *event)
{
	struct box *box = &world->boxes[event->box];
	struct tunnel_actions actions = { 0 };

	if (box->machine && box->charon.alive) {
		tunnel_loaded(box->machine, event->a, event->flag,
		        event->flag ? "" : "charon failed", world_moment(world, box->number),
		        &actions);
		box_carry_out(box, &actions);
	}
	tunnel_actions_clear(&actions);
}

static void event_initiated(struct world *world, struct event *event)
{
	struct box *box = &world->boxes[event->box];
	struct tunnel_actions actions = { 0 };

	if (box->machine && box->charon.alive) {
		tunnel_initiated(box->machine, event->a, event->flag,
		        event->flag ? "" : "establishing CHILD_SA failed",
		        world_moment(world, box->number), &actions);
		box_carry_out(box, &actions);
	}
	tunnel_actions_clear(&actions);
}

static void answer(struct box *box, event_run *run, uint32_t tag, bool ok, int64_t after)
{
	struct event *event = world_at(box->world, box->world->now + after, run, box->number);

	event->a = tag;
	event->flag = ok;
	event->incarnation = box->incarnation;
}

static bool works(const struct box *box)
{
	return box->charon.alive && !box->charon.hung;
}

void charon_load(struct box *box, const struct tunnel_peer *peer, uint32_t tag)
{
	struct world *world = box->world;
	bool ok = works(box) && (world->calm || !chance_of(world, 10));
	struct conf *conf = find_conf(box, peer->name);

	if (ok && !conf) {
		assert_always(box->charon.conf_count < CONF_MAX);
		conf = &box->charon.confs[box->charon.conf_count++];
	}
	if (ok) {
		*conf = (struct conf){ .child_count = peer->child_count };
		snprintf(conf->peer, sizeof(conf->peer), "%s", peer->name);
		snprintf(conf->certificate, sizeof(conf->certificate), "%.*s",
		        (int)peer->certificate_bytes, (const char *)peer->certificate);
		assert_always(peer->child_count <= ARRAY_COUNT(conf->children));
		memcpy(conf->children, peer->children, peer->child_count * sizeof(*peer->children));
	}
	answer(box, event_loaded, tag, ok,
	        works(box) ? chance_time(world, 1 * MSEC, 10 * MSEC) : 5 * SEC);
}

/* The child of the peer's that is the other end of `child`. */
static const struct tunnel_child *mirror(const struct conf *conf, const struct tunnel_child *child)
{
	for (size_t i = 0; conf && i < conf->child_count; i++) {
		if (address_equal(conf->children[i].local, child->remote) &&
		        address_equal(conf->children[i].remote, child->local)) {
			return &conf->children[i];
		}
	}
	return NULL;
}

/* Whether the peer has the certificate that it is expected with. */
static bool knows(struct box *box, const struct box *peer)
{
	const struct conf *conf = find_conf(box, peer->gateway);

	return conf && strcmp(conf->certificate, peer->serial) == 0;
}

/* The exchange comes to its end. */
static void event_exchange(struct world *world, struct event *event)
{
	struct box *box = &world->boxes[event->box];
	struct box *peer = box_named(world, event->name);
	const struct tunnel_child *child = find_child(find_conf(box, event->name), event->other);
	const struct tunnel_child *other =
	        child ? mirror(find_conf(peer, box->gateway), child) : NULL;
	bool ok = works(box) && works(peer) && other && knows(box, peer) && knows(peer, box) &&
	          !world->path_down[box->number][peer->number] &&
	          (world->calm || !chance_of(world, 20));

	if (ok) {
		add_sa(box, peer->gateway, child);
		add_sa(peer, box->gateway, other);
		watch_box(peer);
	}
	answer(box, event_initiated, event->a, ok, ok ? MSEC : 4 * SEC);
}

void charon_initiate(struct box *box, const char *peer, const char *child, uint32_t tag)
{
	struct world *world = box->world;
	struct event *event = world_at(world, world->now + chance_time(world, 5 * MSEC, 200 * MSEC),
	        event_exchange, box->number);

	snprintf(event->name, sizeof(event->name), "%s", peer);
	snprintf(event->other, sizeof(event->other), "%s", child);
	event->a = tag;
}

void charon_terminate(struct box *box, const char *peer, const char *child)
{
	if (!works(box)) {
		return;
	}
	for (size_t i = box->charon.sa_count; i-- > 0;) {
		struct sa *sa = &box->charon.sas[i];

		if (strcmp(sa->peer, peer) == 0 &&
		        (child[0] == '\0' || strcmp(sa->child, child) == 0)) {
			end_sa(box, sa);
		}
	}
}

void charon_unload(struct box *box, const char *peer)
{
	struct conf *conf = find_conf(box, peer);

	if (works(box) && conf) {
		*conf = box->charon.confs[--box->charon.conf_count];
	}
}

/* --- life and death ------------------------------------------------------ */

static void event_alive(struct world *world, struct event *event)
{
	struct box *box = &world->boxes[event->box];
	struct tunnel_actions actions = { 0 };

	/* A hang that was over before it was noticed; a death is always noticed (a). */
	if (box->machine && (event->flag == works(box) || event->a)) {
		tunnel_charon(
		        box->machine, event->flag, world_moment(world, box->number), &actions);
		box_carry_out(box, &actions);
		if (event->flag) {
			box_reconcile(box);
		}
	}
	tunnel_actions_clear(&actions);
}

static struct event *tell_alive(struct box *box, bool alive, int64_t after)
{
	struct event *event =
	        world_at(box->world, box->world->now + after, event_alive, box->number);

	event->incarnation = box->incarnation;
	event->flag = alive;
	return event;
}

void charon_kill(struct box *box)
{
	struct charon_sim *charon = &box->charon;

	if (!charon->alive) {
		return;
	}
	world_say(box->world, "%s charon dies", box->gateway);
	charon->alive = charon->hung = false;
	charon->conf_count = 0;
	while (charon->sa_count > 0) {
		struct box *peer;
		struct sa *sa = &charon->sas[charon->sa_count - 1];
		struct sa *other = other_end(box, sa, &peer);

		if (other) {
			watch_peer(peer, other);
		}
		note_seen(box, sa->child);
		charon->sa_count--;
	}
	tell_alive(box, false, 50 * MSEC)->a = 1;
}

void charon_start(struct box *box)
{
	if (box->charon.alive) {
		return;
	}
	world_say(box->world, "%s charon starts", box->gateway);
	box->charon.alive = true;
	tell_alive(box, true, 300 * MSEC);
}

static void event_unhang(struct world *world, struct event *event)
{
	struct box *box = &world->boxes[event->box];

	if (box->charon.hung) {
		box->charon.hung = false;
		tell_alive(box, true, 100 * MSEC);
	}
}

void charon_hang(struct box *box, int64_t how_long)
{
	if (!works(box)) {
		return;
	}
	world_say(box->world, "%s charon hangs", box->gateway);
	box->charon.hung = true;
	tell_alive(box, false, 4 * SEC);
	world_at(box->world, box->world->now + how_long, event_unhang, box->number);
}

void charon_lose_one(struct box *box)
{
	if (works(box) && box->charon.sa_count > 0) {
		struct sa *sa = &box->charon.sas[chance(box->world, box->charon.sa_count)];

		world_say(box->world, "%s loses SA %s", box->gateway, sa->child);
		end_sa(box, sa);
	}
}
