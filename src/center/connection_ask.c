/*
 * The connection machine: deciding about a request, and making the grant. A denial is an answer
 * like any other, with its record.
 */
#include <stdio.h>
#include <string.h>

#include "base/sim_bug.h"
#include "center/connection_step.h"
#include "policy/explain.h"
#include "wire/json.h"

static void answer(struct connection_turn *turn, const struct connection_request *request,
        enum connection_answer what, const char *id, const struct decision *decision)
{
	struct connection_action *action = step_push(turn, CONNECTION_ANSWER);

	action->tag = request->tag;
	action->answer = what;
	snprintf(action->id.text, sizeof(action->id.text), "%s", id);
	if (decision) {
		action->decision = mem_copy(decision, sizeof(*decision));
	}
}

static struct record *request_record(struct connection_turn *turn, const char *kind, const char *id,
        const struct connection_request *request)
{
	const struct policy_request *policy = &request->policy;
	struct record *record = step_record_new(turn, kind, id);

	if (*policy->person) {
		record_actor(record, "person", policy->person);
	} else if (policy->traffic) {
		record_actor(record, "gateway", request->gateway);
		record_text(record, "cause", "first traffic");
	}
	record_text(record, "person", policy->person);
	record_text(record, "terminal", request->terminal);
	record_text(record, "from", host_ref_print(&policy->from).text);
	record_text(record, "to", host_ref_print(&policy->to).text);
	record_text(record, "class", service_class_name(policy->class));
	record_text(record, "protocol", protocol_name(policy->protocol));
	record_number(record, "port", policy->port);
	record_number(record, "duration_sec", policy->duration_sec);
	return record;
}

static void refuse(struct connection_turn *turn, const struct connection_request *request,
        enum connection_answer what, const char *id, const struct decision *decision)
{
	static const char *const reasons[] = {
		[CONNECTION_DENIED] = "denied",
		[CONNECTION_ACCEPTED] = "",
		[CONNECTION_EXISTS] = "the same connection exists",
		[CONNECTION_BUSY] = "the same connection is being closed",
		[CONNECTION_FULL] = "no more connections fit",
	};
	struct record *record = request_record(turn, "connection.refused", id, request);

	record_text(record, "reason", reasons[what]);
	record_open(record, "layers");
	for (int i = 0; decision && i < LAYER_COUNT; i++) {
		if (decision->layers[i].consulted) {
			record_text(record, policy_layer_name(i),
			        policy_reason_name(decision->layers[i].reason));
		}
	}
	record_close(record);
	step_record_push(turn, "connection.refused", id, record);
	answer(turn, request, what, id, decision);
}

/* The live connection that would have the same element in a packet filter. */
static struct connection *find_same(
        const struct connection_machine *machine, const struct grant *grant)
{
	struct connection *at = NULL;

	while ((at = connection_index_next(&machine->index, grant->initiator.gateway, at))) {
		const struct grant *other = &at->row.grant;

		if (address_equal(other->initiator.service, grant->initiator.service) &&
		        address_equal(other->responder.service, grant->responder.service) &&
		        other->protocol == grant->protocol && other->port == grant->port) {
			return at;
		}
	}
	return NULL;
}

static uint32_t next_number(struct connection_machine *machine)
{
	if (SIM_BUG(number_collision)) {
		return 1;
	}
	do {
		machine->number = machine->number < INT32_MAX ? machine->number + 1 : 1;
	} while (connection_index_has_number(&machine->index, machine->number));
	return machine->number;
}

/* Outcome 1: the world has no such ends, or what comes out is no grant. */
static int make_grant(struct connection_turn *turn, const struct connection_request *request,
        const struct decision *decision, struct grant *grant)
{
	const struct connection_world *world = &turn->machine->world;
	int64_t now = turn->now.wall_usec - turn->now.wall_usec % USEC_PER_MSEC;

	*grant = (struct grant){
		.id = world->id(world->context, turn->now),
		.number = 1, /* the real one when everything else is right */
		.epoch = turn->machine->epoch,
		.class = request->policy.class,
		.ike = decision->ike,
		.protocol = request->policy.protocol,
		.port = request->policy.port,
		.issued_at = now,
		.not_before = now,
		.not_after = now + decision->duration_sec * USEC_PER_SEC,
		.emergency = request->policy.emergency,
		.outage = decision->outage,
		.idle_sec = decision->idle_sec,
		.lease_sec = decision->lease_sec,
		.policy_provider = decision->provider_version,
		.policy_initiator = decision->initiator_version,
		.policy_responder = decision->responder_version,
	};
	memcpy(grant->provider, turn->machine->provider, sizeof(grant->provider));
	memcpy(grant->person, request->policy.person, sizeof(grant->person));
	memcpy(grant->work_order, request->policy.work_order, sizeof(grant->work_order));
	if (world->end(world->context, &request->policy.from, &grant->initiator) ||
	        world->end(world->context, &request->policy.to, &grant->responder)) {
		return 1;
	}
	return grant_check(grant, NULL) != 0;
}

static void grant_connection(struct connection_turn *turn, const struct connection_request *request,
        const struct decision *decision, const struct grant *grant)
{
	struct connection *connection = mem_new(1, sizeof(*connection));
	int64_t now = turn->now.monotonic_usec;
	AUTO_BUF struct buf payload = BUF(JWS_SMALL_BYTES_MAX);
	struct record *record;
	json_t *tree;

	connection->row = (struct connection_row){ .grant = *grant, .state = CONNECTION_GRANTED };
	connection->row.traffic = request->policy.traffic;
	connection->row.grant.number = next_number(turn->machine);
	connection->online[0] = connection->online[1] = true; /* else it would have been denied */
	connection->deadline = now + CONNECTION_ARM_SEC_MAX * USEC_PER_SEC;
	connection->end_at = now + grant->not_after - turn->now.wall_usec;
	connection->dead_at = connection_dead_at(grant, turn->now);
	connection->renew_at = now + grant->lease_sec * USEC_PER_SEC / 3;
	connection_index_add(&turn->machine->index, connection);

	grant_print(&connection->row.grant, &payload);
	assert_always(json_parse(payload.bytes, payload.count, &tree, NULL) == 0);
	step_record_push(turn, "connection.requested", grant->id.text,
	        request_record(turn, "connection.requested", grant->id.text, request));
	record = step_record_new(turn, "connection.granted", grant->id.text);
	record_text(record, "person", request->policy.person);
	record_text(record, "terminal", request->terminal);
	record_text(record, "group", decision->group);
	record_text(record, "initiator_rule", decision->initiator_rule);
	record_text(record, "responder_rule", decision->responder_rule);
	record_json(record, "grant", tree);
	step_record_push(turn, "connection.granted", grant->id.text, record);
	step_store(turn, connection);
	answer(turn, request, CONNECTION_ACCEPTED, grant->id.text, decision);
	step_send_desired(turn, connection);
}

void connection_ask(struct connection_machine *machine, const struct connection_request *request,
        struct moment now, struct connection_actions *actions)
{
	struct connection_turn turn = { machine, now, actions, NULL };
	struct policy_facts facts = { 0 };
	struct connection *same;
	struct decision decision;
	struct grant grant;

	machine->world.facts(machine->world.context, &request->policy, NULL, now, &facts);
	decision = policy_decide(&request->policy, &facts, now.wall_usec);
	if (decision.verdict != VERDICT_PERMIT) {
		refuse(&turn, request, CONNECTION_DENIED, "", &decision);
		return;
	}
	if (make_grant(&turn, request, &decision, &grant)) {
		refuse(&turn, request, CONNECTION_DENIED, "", NULL);
		return;
	}
	same = find_same(machine, &grant);
	if (same) {
		refuse(&turn, request,
		        same->row.state == CONNECTION_CLOSING ? CONNECTION_BUSY : CONNECTION_EXISTS,
		        same->row.grant.id.text, NULL);
	} else if (machine->index.count >= CONNECTION_LIVE_MAX) {
		refuse(&turn, request, CONNECTION_FULL, "", NULL);
	} else {
		grant_connection(&turn, request, &decision, &grant);
	}
}
