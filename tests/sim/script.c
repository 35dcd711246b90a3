/*
 * What happens in a run: people ask and cut, and everything goes wrong that can. Each seed chooses
 * how bad its world is; at the end all faults are healed, and what was promised for then is
 * checked.
 */
#include "world.h"

#include <string.h>

#define ROUGH_SEC 240

struct script {
	int loss, twice;
	int64_t delay_max;
	int crash, event_loss, open_failure;
	int64_t step_max; /* between two things that happen */
	bool clocks;
};

static void random_fault(struct world *world, const struct script *script);

static struct box *any_box(struct world *world)
{
	return &world->boxes[chance(world, BOXES)];
}

/* --- things that heal by themselves -------------------------------------- */

static void event_link_back(struct world *world, struct event *event)
{
	world->boxes[event->box].link.down_to_box = false;
	world->boxes[event->box].link.down_to_center = false;
}

static void partition(struct world *world)
{
	struct box *box = any_box(world);
	uint64_t how = chance(world, 3);

	box->link.down_to_box = how != 1;
	box->link.down_to_center = how != 2;
	world_say(world, "%s partition %d", box->gateway, (int)how);
	world_at(world, world->now + chance_time(world, 2 * SEC, 90 * SEC), event_link_back,
	        box->number);
}

static void event_path_back(struct world *world, struct event *event)
{
	world->path_down[event->box][event->a] = world->path_down[event->a][event->box] = false;
}

static void break_path(struct world *world)
{
	int left = (int)chance(world, BOXES), right = (int)chance(world, BOXES);
	struct event *event;

	world->path_down[left][right] = world->path_down[right][left] = true;
	event = world_at(
	        world, world->now + chance_time(world, SEC, 40 * SEC), event_path_back, left);
	event->a = (uint32_t)right;
}

static void event_charon_back(struct world *world, struct event *event)
{
	charon_start(&world->boxes[event->box]);
}

static void kill_charon(struct world *world)
{
	struct box *box = any_box(world);

	charon_kill(box);
	world_at(world, world->now + chance_time(world, SEC / 2, 10 * SEC), event_charon_back,
	        box->number);
}

/* F12: also by years, and the gateway does not get it back right at once. */
static void event_clock_right(struct world *world, struct event *event)
{
	world->boxes[event->box].clock.wall_offset =
	        1700000000 * SEC + chance_time(world, -2 * SEC, 2 * SEC);
}

static void step_clock(struct world *world)
{
	static const int64_t steps[] = { -10 * 365 * 86400LL, -3600, -70, -20, -5, 5, 20, 61, 3600,
		10 * 365 * 86400LL };
	struct box *box = any_box(world);
	int64_t step = steps[chance(world, ARRAY_COUNT(steps))];

	world_say(world, "%s clock steps by %lld s", box->gateway, (long long)step);
	box->clock.wall_offset += step * SEC;
	world_at(world, world->now + chance_time(world, SEC, 60 * SEC), event_clock_right,
	        box->number);
}

/* --- what people and administrators do ----------------------------------- */

static void ask(struct world *world)
{
	int host = chance(world, 12) == 0 ? 2 : 1;

	if (chance(world, 2)) {
		head_ask_more(world, (int)chance(world, BOXES), (int)chance(world, BOXES),
		        (enum site_kind)chance(world, KIND_COUNT));
		return;
	}
	head_ask(world, (int)chance(world, BOXES), (int)chance(world, BOXES), host,
	        chance(world, 4) == 0);
}

static void cut_at_gateway(struct world *world)
{
	struct box *box = any_box(world);
	struct tunnel_actions actions = { 0 };
	size_t count = box->machine ? tunnel_count(box->machine) : 0;
	struct moment now = world_moment(world, box->number);

	if (count > 0) {
		world->cut++;
		if (chance(world, 4) == 0) {
			tunnel_cut_all(box->machine, "local", "pressed", now, &actions);
		} else {
			tunnel_cut(box->machine,
			        tunnel_at(box->machine, chance(world, count)).grant->id.text,
			        "local", "pressed", now, &actions);
		}
		box_carry_out(box, &actions);
		watch_box(box);
	}
	tunnel_actions_clear(&actions);
}

static void event_center_policy(struct world *world, struct event *event)
{
	if (world->calm) {
		return; /* there is a newer one by now */
	}
	if (event->flag) {
		world->head.provider_policy = (int)event->a;
	} else {
		world->head.site_policy[event->box] = (int)event->a;
	}
	head_review(world);
}

static void change_policy(struct world *world)
{
	bool provider = chance(world, 4) == 0;
	int site = (int)chance(world, BOXES);
	uint32_t variant = (uint32_t)chance(world, provider ? PROVIDER_VARIANTS : POLICY_VARIANTS);
	struct event *event = world_at(
	        world, world->now + chance_time(world, 0, 3 * SEC), event_center_policy, site);

	event->a = variant;
	event->flag = provider;
	for (int i = 0; i < BOXES; i++) {
		struct box *box = &world->boxes[i];

		if (provider) {
			box->provider_policy = (int)variant;
		} else if (i == site) {
			box->site_policy = (int)variant;
		}
		if (provider || i == site) {
			box_policy(box);
			watch_box(box);
		}
	}
}

static void revoke(struct world *world)
{
	struct box *box = any_box(world);

	world_say(world, "%s gets a new certificate, the old one is revoked", box->gateway);
	box->serials++;
	world->head.revoked_below[box->number] = box->serials;
	box_trust(box);
	head_review(world);
	for (int i = 0; i < BOXES; i++) {
		world->boxes[i].revoked_below[box->number] = box->serials;
		world_at(world, world->now + chance_time(world, 0, 5 * SEC), event_box_trust, i);
	}
}

static void event_accredited(struct world *world, struct event *event)
{
	struct box *box = &world->boxes[event->box];

	box->provider_accredited = box->service_ca_accredited = true;
	box_trust(box);
}

static void suspend(struct world *world)
{
	struct box *box = any_box(world);

	if (chance(world, 2)) {
		box->provider_accredited = false;
	} else {
		box->service_ca_accredited = false;
	}
	box_trust(box);
	world_at(world, world->now + chance_time(world, SEC, 20 * SEC), event_accredited,
	        box->number);
}

static void foreign_element(struct world *world)
{
	struct box *box = any_box(world);
	struct element *element;

	if (!box->filter.table || box->filter.count >= ELEMENTS_MAX / 2) {
		return;
	}
	if (chance(world, 2) && box->filter.count > 0) {
		/* Somebody takes one out. */
		element = &box->filter.elements[chance(world, box->filter.count)];
		box->filter.count--;
		*element = box->filter.elements[box->filter.count];
		return;
	}
	element = &box->filter.elements[box->filter.count++];
	*element = (struct element){
		.lease = { .source = { .family = IP_V4,
		                   .bytes = { 203, 0, 113, (uint8_t)chance(world, 256) } },
		        .destination = { .family = IP_V4,
		                .bytes = { 203, 0, 113, (uint8_t)chance(world, 256) } },
		        .protocol = 6,
		        .port = 80,
		        .mark = (uint32_t)chance_time(world, 3000000, 4000000) },
		.expires = world_moment(world, box->number).monotonic_usec + 600 * SEC,
	};
}

/* Somebody uses what is open. */
static void traffic(struct world *world)
{
	for (int i = 0; i < BOXES; i++) {
		struct box *box = &world->boxes[i];
		int64_t now = world_moment(world, i).monotonic_usec;

		for (size_t j = 0; j < box->filter.count && box->filter.flow_count < 64; j++) {
			const struct element *element = &box->filter.elements[j];

			if (element->expires > now && element->id.text[0] && box->machine) {
				box->filter.flows[box->filter.flow_count++] = element->lease.mark;
				box->filter.elements[j].packets++;
				box->filter.elements[j].used = now;
			}
		}
	}
}

/* --- the run ------------------------------------------------------------- */

static void random_fault(struct world *world, const struct script *script)
{
	switch (chance(world, 16)) {
	case 0:
	case 1:
		partition(world);
		break;
	case 2:
		break_path(world);
		break;
	case 3:
		kill_charon(world);
		break;
	case 4:
		charon_hang(any_box(world), chance_time(world, SEC, 15 * SEC));
		break;
	case 5:
	case 6:
		charon_lose_one(any_box(world));
		break;
	case 7:
		box_crash(any_box(world));
		break;
	case 8:
		box_reboot(any_box(world));
		break;
	case 9:
		head_crash(world);
		break;
	case 10:
		box_flush(any_box(world));
		break;
	case 11:
		foreign_element(world);
		break;
	case 12:
		if (script->clocks) {
			step_clock(world);
		}
		break;
	case 13:
		suspend(world);
		break;
	case 14:
		revoke(world);
		break;
	default:
		change_policy(world);
	}
}

static void one_thing(struct world *world, const struct script *script)
{
	switch (chance(world, 12)) {
	case 0:
		head_cut_any(world);
		break;
	case 1:
		cut_at_gateway(world);
		break;
	case 2:
		traffic(world);
		break;
	case 3:
	case 4:
		random_fault(world, script);
		break;
	case 5:
	case 6:
		if (world->hostile) {
			hostile_step(world);
		}
		break;
	case 7:
		if (chance(world, 6) == 0) {
			head_raise_epoch(world);
		}
		break;
	default:
		ask(world);
	}
}

/* All faults are over, everybody is back and knows the newest. */
static void heal(struct world *world)
{
	bool hostile = world->hostile;

	world_say(world, "all faults are healed");
	world->calm = true;
	world->hostile = false;
	memset(world->path_down, 0, sizeof(world->path_down));
	world->head.provider_policy = 0;
	memset(world->head.site_policy, 0, sizeof(world->head.site_policy));
	world->head.crash = 0;
	head_start(world);
	for (int i = 0; i < BOXES; i++) {
		struct box *box = &world->boxes[i];

		box->link = (struct link){ .delay_min = 1 * MSEC, .delay_max = 20 * MSEC };
		box->clock.wall_offset = 1700000000 * SEC;
		box->crash = 0;
		box->charon.event_loss = 0;
		box->provider_accredited = box->service_ca_accredited = true;
		box->site_policy = box->provider_policy = 0;
		memcpy(box->revoked_below, world->head.revoked_below, sizeof(box->revoked_below));
		box_start(box);
		charon_start(box);
		/* With the honest center back the streams come anew, or its gateways would hold
		 * what the other one gave them until nobody renews it. */
		box->broken = hostile;
		box_policy(box);
		box_trust(box);
	}
	head_review(world);
}

static struct script choose(struct world *world)
{
	struct script script = {
		.loss = chance(world, 2) ? (int)chance(world, 300) : 0,
		.twice = chance(world, 2) ? (int)chance(world, 200) : 0,
		.delay_max = chance(world, 2) ? chance_time(world, 20 * MSEC, 3 * SEC) : 20 * MSEC,
		.crash = chance(world, 3) == 0 ? (int)chance(world, 12) : 0,
		.event_loss = chance(world, 2) ? (int)chance(world, 200) : 0,
		.open_failure = chance(world, 3) == 0 ? (int)chance(world, 100) : 0,
		.step_max = chance_time(world, SEC / 2, 3 * SEC),
		.clocks = chance(world, 2),
	};

	world->hostile = chance(world, 2);
	world->head.crash = script.crash / 2;
	for (int i = 0; i < BOXES; i++) {
		struct box *box = &world->boxes[i];

		box->link.loss = script.loss;
		box->link.twice = script.twice;
		box->link.delay_max = script.delay_max;
		box->crash = script.crash;
		box->charon.event_loss = script.event_loss;
		box->filter.open_failure = script.open_failure;
	}
	return script;
}

int script_run(struct world *world, uint64_t seed)
{
	struct script script;
	int64_t end;

	world_start(world, seed);
	script = choose(world);
	head_start(world);
	for (int i = 0; i < BOXES; i++) {
		box_start(&world->boxes[i]);
	}
	world_run(world, world->now + 5 * SEC);
	end = world->now + ROUGH_SEC * SEC;
	while (world->now < end && !world->failure[0]) {
		world_run(world, world->now + chance_time(world, 10 * MSEC, script.step_max));
		if (!world->failure[0]) {
			one_thing(world, &script);
			world->events++;
		}
	}
	if (!world->failure[0]) {
		heal(world);
		watch_converged(world);
	}
	world_clear(world);
	return world->failure[0] != '\0';
}
