/* See ask.h. */
#include "ask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "oracle.h"

#define USEC 1000000LL
#define DAY (24 * 3600LL)

static enum service_class class_of(int number)
{
	enum service_class class = SERVICE_CLASS_NONE;

	if (service_class_parse(gen_class_names[number], &class) != 0) {
		abort(); /* the generator's own list */
	}
	return class;
}

static enum protocol protocol_of(int number)
{
	static const enum protocol protocols[] = { PROTOCOL_TCP, PROTOCOL_UDP, PROTOCOL_ICMP };

	return protocols[number];
}

static void ref_set(struct host_ref *ref, const char *site, const char *host)
{
	snprintf(ref->site, sizeof(ref->site), "%s", site);
	snprintf(ref->host, sizeof(ref->host), "%s", host);
}

static int64_t duration_pick(struct gen_world *world)
{
	static const int64_t others[] = { 1, 60, 1800, 3600, 86400, 86401, 7200 };

	return world->duration_count > 0 && gen_chance(world, 75)
	               ? world->durations[gen_below(world, world->duration_count)]
	               : others[gen_below(world, 7)];
}

static void request_make(struct gen_world *world, struct ask *ask)
{
	const struct gen_theme *theme = &world->themes[gen_below(world, world->theme_count)];
	struct policy_request *request = &ask->request;
	int hosts[2] = { theme->hosts[0], theme->hosts[1] };
	int protocol = theme->protocol, sites[2] = { world->sites[0], world->sites[1] };
	int class = theme->class;

	memset(request, 0, sizeof(*request));
	for (int side = 0; side < 2; side++) {
		if (gen_chance(world, 5)) {
			hosts[side] = gen_below(world, world->host_count[side]);
		}
	}
	if (gen_chance(world, 4)) {
		class = world->classes[gen_below(world, world->class_count)];
	} else if (gen_chance(world, 2)) {
		class = gen_below(world, 12);
	}
	if (gen_chance(world, 3)) {
		protocol = gen_below(world, 3);
	}
	request->class = class_of(class);
	request->protocol = protocol_of(protocol);
	if (protocol != 2) {
		long port = strtol(theme->ports, NULL, 10);

		if (gen_chance(world, 15)) {
			port = gen_near(
			        world, world->ports[gen_below(world, world->port_count)], 1);
		}
		request->port = (uint16_t)port; /* 65536 becomes 0, which is malformed */
	}
	ref_set(&request->from, gen_site_names[sites[0]], world->hosts[0][hosts[0]].name);
	ref_set(&request->to, gen_site_names[sites[1]], world->hosts[1][hosts[1]].name);
	if (gen_chance(world, 35)) {
		request->duration_sec = gen_near(world, duration_pick(world), 1);
		request->duration_sec += request->duration_sec <= 0;
		if (request->duration_sec > DAY &&
		        world->hours_count[0] + world->hours_count[1] > 0) {
			request->duration_sec = DAY; /* whichever denies what is never given */
		}
	}
	if (gen_chance(world, 15)) {
		request->lease_sec = (uint32_t)gen_near(world,
		        world->lease_count > 0 ? world->leases[gen_below(world, world->lease_count)]
		                               : 60,
		        1);
	}
	if (gen_chance(world, 88)) {
		snprintf(request->person, sizeof(request->person), "suzuki");
		request->emergency = gen_chance(world, 20);
		if (gen_chance(world, 85)) {
			snprintf(request->work_order, sizeof(request->work_order),
			        "01JD0000000000000000000000");
		}
	} else {
		request->traffic = gen_chance(world, 70);
	}
}

/* What nobody asks for by accident. */
static void request_spoil(struct gen_world *world, struct ask *ask)
{
	struct policy_request *request = &ask->request;
	struct host_ref other;

	switch (gen_below(world, 16)) {
	case 8:
		request->duration_sec = -1;
		break;
	case 9:
		snprintf(request->work_order, sizeof(request->work_order), "01JD");
		break;
	case 10:
		memset(request->person, 'a', sizeof(request->person));
		break;
	case 11:
		ref_set(&request->from, "Clinic", "terminal");
		break;
	case 12:
		snprintf(request->to.host, sizeof(request->to.host), "*");
		break;
	case 13:
		request->from.host[0] = '\0';
		break;
	case 14:
		ref_set(&request->to, "*", "terminal");
		break;
	case 15:
		request->lease_sec = (uint32_t)gen_near(world, LEASE_SEC_MAX, 1);
		break;
	case 0:
		request->port ^= 1;
		break;
	case 1:
		request->class = SERVICE_CLASS_NONE;
		break;
	case 2:
		request->class = SERVICE_CLASS_COUNT;
		break;
	case 3:
		other = request->from;
		request->to = other;
		break;
	case 4:
		ref_set(&request->from, "nowhere", "terminal");
		break;
	case 5:
		ref_set(&request->to, "nowhere", "terminal");
		break;
	case 6:
		other = request->from;
		request->from = request->to;
		request->to = other;
		ask->policy_of[0] = 1;
		ask->policy_of[1] = 0;
		break;
	default:
		snprintf(request->to.host, sizeof(request->to.host), "elsewhere");
		break;
	}
}

/* A moment near which something changes. */
static int64_t moment_pick(struct gen_world *world, const struct ask *ask)
{
	int side = gen_below(world, 2);
	int64_t day, second;

	if (world->hours_count[side] == 0) {
		side = 1 - side;
	}
	day = world->holiday[side] + gen_below(world, 9) - 3;
	if (world->hours_count[side] == 0 || gen_chance(world, 20)) {
		second = day * DAY + 36000 + gen_below(world, 20000);
	} else {
		const struct gen_hours *hours =
		        &world->hours[side][gen_below(world, world->hours_count[side])];
		int minutes = gen_chance(world, 50) ? hours->from : hours->to;

		if (gen_chance(world, 40)) {
			/* Well within. */
			minutes = hours->from + 5;
		}
		second = day * DAY - world->offset[side] + minutes * 60;
		if (gen_chance(world, 30)) {
			second -= ask->request.duration_sec > 0 ? ask->request.duration_sec
			                                        : duration_pick(world);
		}
	}
	return gen_near(world, gen_near(world, second * USEC, gen_chance(world, 30) ? USEC : 0),
	        gen_chance(world, 50) ? 1 : 0);
}

/* A window of time around `now` that usually holds it. */
static struct policy_window window_pick(struct gen_world *world, int64_t now, int64_t skew)
{
	struct policy_window window = { 0 };
	int64_t length = gen_chance(world, 40) ? DAY : duration_pick(world);

	switch (gen_below(world, 12)) {
	case 0:
		window.not_before = gen_near(world, now + skew, 1);
		break;
	case 1:
		window.not_before = gen_near(world, now, 1);
		break;
	case 2:
		window.not_before = now - gen_below(world, 7200) * USEC;
		break;
	case 3:
		window.not_before = gen_near(world, now - length * USEC, 1);
		break;
	case 4:
		window.not_before = now - 3600 * USEC - gen_below(world, 1000000);
		break;
	default:
		window.not_before = now;
		break;
	}
	if (window.not_before < now - (DAY - 1) * USEC) {
		window.not_before = now - (DAY - 1) * USEC; /* no grant is longer */
	}
	window.not_after = window.not_before + length * USEC;
	if (gen_chance(world, 15)) {
		window.not_after = gen_near(world, window.not_after, 1);
	}
	return window;
}

static enum policy_fact fact_pick(struct gen_world *world, int foreign_percent)
{
	if (gen_chance(world, foreign_percent)) {
		return FACT_FOREIGN;
	}
	return gen_chance(world, 98) ? FACT_YES : gen_below(world, 4);
}

static enum certificate_state certificate_pick(struct gen_world *world, int foreign_percent)
{
	if (gen_chance(world, foreign_percent)) {
		return CERTIFICATE_FOREIGN;
	}
	return gen_chance(world, 98) ? CERTIFICATE_VALID : gen_below(world, 8);
}

/* What is live at a site: other connections of the themes' hosts. */
static void beside_make(
        struct gen_world *world, struct ask *ask, int side, struct policy_beside *beside)
{
	beside->known = fact_pick(world, 5);
	beside->live = ask->live[side];
	beside->count = gen_chance(world, 55) ? 0 : (size_t)(1 + gen_below(world, ASK_LIVE));
	for (size_t i = 0; i < beside->count; i++) {
		struct policy_live *live = &ask->live[side][i];
		const struct gen_theme *theme =
		        &world->themes[gen_below(world, world->theme_count)];

		*live = (struct policy_live){ .from_site = gen_site_names[world->sites[0]],
			.from_host = world->hosts[0][theme->hosts[0]].name,
			.to_site = gen_site_names[world->sites[1]],
			.to_host = world->hosts[1][theme->hosts[1]].name,
			.class = class_of(
			        gen_chance(world, 80) ? theme->class : gen_below(world, 12)),
			.protocol = protocol_of(theme->protocol),
			.port = (uint16_t)strtol(theme->ports, NULL, 10) };
		if (gen_chance(world, 25)) {
			/* Another one of the same kind as is asked for. */
			live->from_host = ask->request.from.host;
			live->to_host = ask->request.to.host;
			live->class = ask->request.class;
			live->protocol = ask->request.protocol;
			live->port = ask->request.port;
		}
		if (gen_chance(world, 25)) {
			live->class = class_of(gen_below(world, 6));
		}
		if (gen_chance(world, 1)) {
			live->class = SERVICE_CLASS_COUNT;
		}
		if (gen_chance(world, 15)) {
			live->to_site = gen_site_names[gen_below(world, GEN_SITES)];
		}
		if (gen_chance(world, 15)) {
			live->from_site = gen_site_names[gen_below(world, GEN_SITES)];
		}
		if (gen_chance(world, 10)) {
			struct policy_live back = *live;

			live->from_site = back.to_site;
			live->from_host = back.to_host;
			live->to_site = back.from_site;
			live->to_host = back.from_host;
		}
		if (gen_chance(world, 15)) {
			live->to_host =
			        world->hosts[1][gen_below(world, world->host_count[1])].name;
		}
	}
}

static void approval_make(struct gen_world *world, int64_t now, struct policy_approval *approval)
{
	if (gen_chance(world, 85)) {
		approval->state = APPROVAL_GIVEN;
	} else {
		approval->state = gen_below(world, APPROVAL_FOREIGN + 1);
	}
	if (approval->state == APPROVAL_GIVEN) {
		approval->window = window_pick(world, now, 0);
		if (gen_chance(world, 2)) {
			approval->window.not_before = 0;
		}
	}
}

static void end_make(
        struct gen_world *world, struct ask *ask, int side, struct policy_end_facts *end)
{
	end->device = certificate_pick(world, 3);
	end->service = certificate_pick(world, 3);
	end->maker_accredited = fact_pick(world, 3);
	end->gateway = gen_chance(world, 98) ? GATEWAY_ONLINE : gen_below(world, 4);
	end->behind_nat = gen_chance(world, 80)   ? FACT_NO
	                  : gen_chance(world, 80) ? FACT_YES
	                                          : gen_below(world, 4);
	end->posture = gen_chance(world, 75) ? POSTURE_CURRENT : gen_below(world, 4);
	beside_make(world, ask, side, &end->beside);
	approval_make(world, ask->now, &end->approval);
}

/* A layer of which nothing is known here. */
static void facts_forget(struct gen_world *world, struct policy_facts *facts)
{
	if (gen_chance(world, 50)) {
		facts->provider_accredited = facts->device_ca_accredited = FACT_FOREIGN;
		facts->service_ca_accredited = FACT_FOREIGN;
		facts->initiator.maker_accredited = facts->responder.maker_accredited =
		        FACT_FOREIGN;
	} else {
		facts->initiator.device = facts->initiator.service = CERTIFICATE_FOREIGN;
		facts->responder.device = facts->responder.service = CERTIFICATE_FOREIGN;
	}
}

static void facts_make(struct gen_world *world, struct ask *ask)
{
	struct policy_facts *facts = &ask->facts;

	memset(facts, 0, sizeof(*facts));
	facts->provider_accredited = fact_pick(world, 3);
	facts->device_ca_accredited = fact_pick(world, 3);
	facts->service_ca_accredited = fact_pick(world, 3);
	for (int side = 0; side < 2; side++) {
		end_make(world, ask, side, side == 0 ? &facts->initiator : &facts->responder);
	}
	facts->agreement.state =
	        gen_chance(world, 60) ? AGREEMENT_SAME_ORGANIZATION : AGREEMENT_IN_FORCE;
	if (gen_chance(world, 3)) {
		facts->agreement.state = gen_below(world, AGREEMENT_UNACKNOWLEDGED + 2);
	}
	if (facts->agreement.state == AGREEMENT_IN_FORCE && gen_chance(world, 50)) {
		facts->agreement.not_after = window_pick(world, ask->now, 0).not_after;
	}
	facts->person.state = gen_chance(world, 98) ? PERSON_ACTIVE : gen_below(world, 4);
	facts->person.of_organization = fact_pick(world, 1);
	facts->person.role_allows = fact_pick(world, 1);
	facts->person.factor = gen_chance(world, 80) ? FACTOR_TWO : gen_below(world, 3);
	facts->work_order.state =
	        gen_chance(world, 92) ? WORK_ORDER_OPEN : gen_below(world, WORK_ORDER_FOREIGN + 1);
	facts->work_order.emergency_allowed =
	        gen_chance(world, 80) ? FACT_YES : gen_below(world, 4);
	facts->window = window_pick(world, ask->now, 60 * USEC);
	if (world->hours_count[0] + world->hours_count[1] > 0 &&
	        facts->window.not_after > facts->window.not_before + DAY * USEC) {
		/* No grant is longer, and behind a day hours need not be exact (policy/hours.h). */
		facts->window.not_after = facts->window.not_before + DAY * USEC;
	}
	if (gen_chance(world, 2)) {
		facts->window.not_before = gen_chance(world, 50) ? 0 : facts->window.not_before;
		facts->window.not_after = gen_chance(world, 50) ? 0 : facts->window.not_after;
	}
	if (gen_chance(world, 1)) {
		facts_forget(world, facts);
	}
}

/* Who decides: the center with all layers, a gateway with its own, or somebody odd. */
static void layers_make(struct gen_world *world, struct ask *ask)
{
	const unsigned provider =
	        LAYER_BIT(LAYER_PROVIDER) | LAYER_BIT(LAYER_GROUP) | LAYER_BIT(LAYER_CLASS);
	const unsigned gateway = provider | LAYER_BIT(LAYER_AGREEMENT) | LAYER_BIT(LAYER_PERSON) |
	                         LAYER_BIT(LAYER_CERTIFICATES) | LAYER_BIT(LAYER_GATEWAYS);
	int who = gen_below(world, 100);

	for (int i = 0; i < 3; i++) {
		ask->has_policy[i] = !gen_chance(world, 1);
	}
	if (who < 65) {
		ask->facts.foreign = 0;
	} else if (who < 90) {
		int other = gen_below(world, 2);

		ask->facts.foreign = gateway | LAYER_BIT(other == 0 ? LAYER_INITIATOR_SITE
		                                                    : LAYER_RESPONDER_SITE);
		ask->has_policy[0] = false;
		ask->has_policy[1 + other] = false;
		(other == 0 ? &ask->facts.initiator : &ask->facts.responder)->beside.known =
		        FACT_FOREIGN;
		(other == 0 ? &ask->facts.initiator : &ask->facts.responder)->approval.state =
		        APPROVAL_FOREIGN;
		ask->facts.work_order.state = WORK_ORDER_FOREIGN;
	} else {
		for (int layer = LAYER_AGREEMENT; layer < LAYER_COUNT; layer++) {
			ask->facts.foreign |= gen_chance(world, 25) ? LAYER_BIT(layer) : 0;
		}
		if (gen_chance(world, 40)) {
			ask->facts.foreign |= provider;
			ask->has_policy[0] = false;
		}
		if (gen_chance(world, 10)) {
			/* Asked for groups and classes without a policy that says so. */
			ask->facts.foreign |= LAYER_BIT(LAYER_PROVIDER);
			ask->facts.foreign &= ~(LAYER_BIT(LAYER_GROUP) | LAYER_BIT(LAYER_CLASS));
			ask->facts.foreign |= gen_chance(world, 50) ? LAYER_BIT(LAYER_GROUP) : 0;
			ask->has_policy[0] = false;
		}
		for (int side = 0; side < 2; side++) {
			int layer = side == 0 ? LAYER_INITIATOR_SITE : LAYER_RESPONDER_SITE;

			if (ask->facts.foreign & LAYER_BIT(layer)) {
				ask->has_policy[1 + side] = false;
			}
		}
		if (gen_chance(world, 10)) {
			ask->facts.foreign |= LAYER_BIT(LAYER_GROUP);
		}
		if (gen_chance(world, 3)) {
			ask->facts.foreign = LAYERS_ALL;
		}
		if (gen_chance(world, 5)) {
			/* Nobody but the clock. */
			ask->facts.foreign = LAYERS_ALL & ~LAYER_BIT(LAYER_WINDOW);
			ask->request.duration_sec = gen_near(world, DAY, 1);
		}
	}
}

void ask_make(struct gen_world *world, struct ask *ask)
{
	ask->policy_of[0] = 0;
	ask->policy_of[1] = 1;
	request_make(world, ask);
	ask->now = moment_pick(world, ask);
	facts_make(world, ask);
	layers_make(world, ask);
	if (gen_chance(world, 3)) {
		request_spoil(world, ask);
	}
	if (gen_chance(world, 1)) {
		ask->policy_of[gen_below(world, 2)] = gen_below(world, 2);
	}
}
