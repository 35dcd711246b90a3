/* The queue, chance, the clocks and the network. */
#include "world.h"

#include <stdio.h>
#include <string.h>

/* --- chance (splitmix64) ------------------------------------------------- */

static uint64_t next_random(struct prng *prng)
{
	uint64_t z = prng->state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

uint64_t chance(struct world *world, uint64_t below)
{
	return next_random(&world->prng) % below;
}

bool chance_of(struct world *world, int per_thousand)
{
	return per_thousand > 0 && chance(world, 1000) < (uint64_t)per_thousand;
}

int64_t chance_time(struct world *world, int64_t least, int64_t most)
{
	return least + (int64_t)chance(world, (uint64_t)(most - least + 1));
}

/* --- clocks -------------------------------------------------------------- */

struct moment world_moment(const struct world *world, int box)
{
	const struct clock_sim *clock = box < 0 ? &world->head.clock : &world->boxes[box].clock;
	int64_t drift = world->now / 1000000 * clock->drift_ppm;

	return (struct moment){
		.wall_usec = world->now + drift + clock->wall_offset,
		.monotonic_usec = world->now + drift - clock->start,
	};
}

/* --- queue (binary heap) ------------------------------------------------- */

static bool before(const struct event *left, const struct event *right)
{
	return left->at != right->at ? left->at < right->at : left->order < right->order;
}

/* The event must be filled in before the next call. */
struct event *world_at(struct world *world, int64_t at, event_run *run, int box)
{
	struct event event = {
		.at = at < world->now ? world->now : at,
		.order = ++world->order,
		.run = run,
		.box = box,
	};
	size_t i = world->heap_count;

	if (world->heap_count == world->heap_room) {
		world->heap_room = world->heap_room ? 2 * world->heap_room : 1024;
		world->heap = mem_resize(world->heap, world->heap_room, sizeof(*world->heap));
	}
	world->heap_count++;
	while (i > 0 && before(&event, &world->heap[(i - 1) / 2])) {
		world->heap[i] = world->heap[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	world->heap[i] = event;
	return &world->heap[i];
}

static struct event take(struct world *world)
{
	struct event first = world->heap[0], last = world->heap[--world->heap_count];
	size_t i = 0;

	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= world->heap_count) {
			break;
		}
		if (child + 1 < world->heap_count &&
		        before(&world->heap[child + 1], &world->heap[child])) {
			child++;
		}
		if (!before(&world->heap[child], &last)) {
			break;
		}
		world->heap[i] = world->heap[child];
		i = child;
	}
	if (world->heap_count > 0) {
		world->heap[i] = last;
	}
	return first;
}

static void message_free(struct message *message)
{
	if (message) {
		free(message->sealed);
		free(message->approval);
		free(message);
	}
}

static bool is_stale(const struct world *world, const struct event *event)
{
	unsigned now =
	        event->box < 0 ? world->head.incarnation : world->boxes[event->box].incarnation;

	return event->incarnation != 0 && event->incarnation != now;
}

void world_run(struct world *world, int64_t until)
{
	while (!world->failure[0] && world->heap_count > 0 && world->heap[0].at <= until) {
		struct event event = take(world);

		world->now = event.at;
		if (!is_stale(world, &event)) {
			world->events++;
			event.run(world, &event);
			if (event.box >= 0 && !world->failure[0]) {
				watch_box(&world->boxes[event.box]);
			}
		}
		message_free(event.message);
	}
	if (!world->failure[0]) {
		world->now = until;
	}
}

/* --- network ------------------------------------------------------------- */

static void deliver(struct world *world, struct event *event)
{
	const struct message *message = event->message;

	if (message->to_center) {
		head_deliver(world, message);
	} else {
		box_deliver(&world->boxes[message->box], message);
	}
}

static void send_once(struct world *world, const struct message *message)
{
	const struct link *link = &world->boxes[message->box].link;
	struct message *copy = mem_copy(message, sizeof(*message));
	int64_t at = world->now + chance_time(world, link->delay_min, link->delay_max);
	struct event *event;

	copy->sealed = mem_string(message->sealed);
	copy->approval = mem_string(message->approval);
	/* A message to the center changes no box, but the watcher looks at its box anyway. */
	event = world_at(world, at, deliver, message->box);
	event->message = copy;
}

void message_certificate(struct message *message, const struct grant *grant, const char *gateway)
{
	bool initiator = strcmp(grant->initiator.gateway, gateway) == 0;

	snprintf(message->certificate, sizeof(message->certificate), "%s",
	        initiator ? grant->responder.serial : grant->initiator.serial);
}

void world_send(struct world *world, const struct message *message)
{
	const struct link *link = &world->boxes[message->box].link;

	if ((message->to_center ? link->down_to_center : link->down_to_box) ||
	        chance_of(world, link->loss)) {
		return;
	}
	send_once(world, message);
	if (chance_of(world, link->twice)) {
		send_once(world, message);
	}
}

/* --- the rest ------------------------------------------------------------ */

void world_say(const struct world *world, const char *format, ...)
{
	va_list args;

	if (!world->verbose) {
		return;
	}
	printf("%10.3f  ", (double)world->now / 1e6);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

void world_fail(struct world *world, const char *format, ...)
{
	size_t used;
	va_list args;

	if (world->failure[0]) {
		return;
	}
	used = (size_t)snprintf(
	        world->failure, sizeof(world->failure), "at %.3f s: ", (double)world->now / 1e6);
	va_start(args, format);
	vsnprintf(world->failure + used, sizeof(world->failure) - used, format, args);
	va_end(args);
	world_say(world, "FAILED %s", world->failure);
}

struct id world_id(struct world *world, int64_t wall_usec)
{
	static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
	uint64_t msec = (uint64_t)(wall_usec / MSEC), count = ++world->head.ids;
	struct id id = { 0 };

	for (int i = 9; i >= 0; i--, msec >>= 5) {
		id.text[i] = digits[msec & 31];
	}
	for (int i = ID_BYTES_MAX - 1; i >= 10; i--, count >>= 5) {
		id.text[i] = digits[count & 31];
	}
	return id;
}

void world_start(struct world *world, uint64_t seed)
{
	bool verbose = world->verbose;

	*world = (struct world){ .verbose = verbose, .seed = seed };
	world->prng.state = seed * 0x2545f4914f6cdd1dULL + 0x1234567;
	world->now = 1000 * SEC; /* so that clocks can start before */
	head_prepare(world);
	for (int i = 0; i < BOXES; i++) {
		box_prepare(world, i);
	}
}

void world_clear(struct world *world)
{
	for (size_t i = 0; i < world->heap_count; i++) {
		message_free(world->heap[i].message);
	}
	free(world->heap);
	for (int i = 0; i < BOXES; i++) {
		box_clear(&world->boxes[i]);
	}
	head_clear(&world->head);
	for (size_t i = 0; i < world->grant_count; i++) {
		free(world->grants[i].sealed);
	}
	free(world->grants);
	for (size_t i = 0; i < world->old_lease_count; i++) {
		free(world->old_leases[i]);
	}
	free(world->old_leases);
	for (size_t i = 0; i < world->work_count; i++) {
		free(world->works[i].sealed);
	}
	free(world->works);
	world->works = NULL;
	world->work_count = world->work_room = 0;
	world->heap = NULL;
	world->grants = NULL;
	world->old_leases = NULL;
	world->heap_count = world->grant_count = world->old_lease_count = 0;
}
