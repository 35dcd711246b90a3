/*
 * The center: core around the connection machine, its database and the ledger. Records and rows
 * that follow each other are one transaction; a crash may come before each transaction and between
 * any two other actions.
 */
#include "world.h"

#include <stdio.h>
#include <string.h>

#define SILENCE_USEC (35 * SEC)

/* --- what the center knows ----------------------------------------------- */

static bool serial_valid(const struct head *head, int site, const char *serial)
{
	unsigned number = 0;

	return sscanf(serial + 4, "%x", &number) == 1 && number >= head->revoked_below[site];
}

static struct policy_end_facts end_facts(struct world *world, int site, const char *serial)
{
	const struct head *head = &world->head;

	return (struct policy_end_facts){
		.device = CERTIFICATE_VALID,
		.service =
		        serial_valid(head, site, serial) ? CERTIFICATE_VALID : CERTIFICATE_REVOKED,
		.maker_accredited = FACT_YES,
		.gateway = head->online[site] ? GATEWAY_ONLINE : GATEWAY_OFFLINE,
		.behind_nat = site_behind_nat(site) ? FACT_YES : FACT_NO,
	};
}

static void world_facts(void *context, const struct policy_request *request,
        const struct grant *grant, struct moment now, struct policy_facts *ret_facts)
{
	struct world *world = context;
	struct head *head = &world->head;
	int from = site_number(request->from.site), to = site_number(request->to.site);

	*ret_facts = (struct policy_facts){
		.foreign = LAYER_BIT(LAYER_AGREEMENT) | LAYER_BIT(LAYER_PERSON) |
		           LAYER_BIT(LAYER_WORK_ORDER) | LAYER_BIT(LAYER_EXCLUSION),
		.provider = site_provider_policy(head->provider_policy),
		.initiator_policy = site_policy_of(from, head->site_policy[from]),
		.responder_policy = site_policy_of(to, head->site_policy[to]),
		.provider_accredited = head->provider_accredited ? FACT_YES : FACT_NO,
		.device_ca_accredited = FACT_YES,
		.service_ca_accredited = FACT_YES,
		.initiator = end_facts(
		        world, from, grant ? grant->initiator.serial : world->boxes[from].serial),
		.responder = end_facts(
		        world, to, grant ? grant->responder.serial : world->boxes[to].serial),
		.window = { .not_before = now.wall_usec,
		        .not_after = now.wall_usec + GRANT_SEC_MAX * SEC },
	};
}

static int world_end(void *context, const struct host_ref *ref, struct grant_end *ret_end)
{
	struct world *world = context;
	int site = site_number(ref->site), host = ref->host[0] - 'a';

	if (site < 0 || host < 0 || host >= HOSTS) {
		return 1;
	}
	site_fill_end(&world->boxes[site], host, ret_end);
	return 0;
}

static struct id world_make_id(void *context, struct moment now)
{
	return world_id(context, now.wall_usec);
}

/* --- memory -------------------------------------------------------------- */

void head_prepare(struct world *world)
{
	struct head *head = &world->head;

	head->clock.wall_offset = 1700000000 * SEC;
	head->clock.drift_ppm = (int32_t)chance_time(world, -50, 50);
	head->epoch = 1;
	head->incarnation = 1;
	head->provider_accredited = true;
}

void head_clear(struct head *head)
{
	head->machine = connection_machine_free(head->machine);
	free(head->rows);
	head->rows = NULL;
	head->row_count = head->row_room = 0;
}

struct ledger_grant *head_grant(struct world *world, const char *id)
{
	for (size_t i = world->grant_count; i-- > 0;) {
		if (strcmp(world->grants[i].grant.id.text, id) == 0) {
			return &world->grants[i];
		}
	}
	return NULL;
}

struct ledger_grant *head_note(struct world *world, const struct grant *grant, bool honest)
{
	for (size_t i = 0; i < world->grant_count && honest; i++) {
		const struct ledger_grant *other = &world->grants[i];

		if (other->honest && !other->finished && other->grant.number == grant->number) {
			world_fail(world, "number %u is given to %s and to %s", grant->number,
			        other->grant.id.text, grant->id.text);
		}
	}
	if (world->grant_count == world->grant_room) {
		world->grant_room = world->grant_room ? 2 * world->grant_room : 64;
		world->grants =
		        mem_resize(world->grants, world->grant_room, sizeof(*world->grants));
	}
	world->grants[world->grant_count] =
	        (struct ledger_grant){ .grant = *grant, .honest = honest };
	return &world->grants[world->grant_count++];
}

/* --- actions ------------------------------------------------------------- */

static void commit_row(struct world *world, const struct connection_row *row)
{
	struct head *head = &world->head;
	struct ledger_grant *grant = head_grant(world, row->grant.id.text);
	size_t i = 0;

	if (!grant) {
		grant = head_note(world, &row->grant, true);
	}
	grant->committed = true;
	grant->going |= row->state == CONNECTION_GOING;
	grant->closing |= row->state >= CONNECTION_CLOSING;
	grant->finished |= row->state == CONNECTION_CLOSED;
	while (i < head->row_count &&
	        strcmp(head->rows[i].grant.id.text, row->grant.id.text) != 0) {
		i++;
	}
	if (i == head->row_room) {
		head->row_room = head->row_room ? 2 * head->row_room : 64;
		head->rows = mem_resize(head->rows, head->row_room, sizeof(*head->rows));
	}
	head->row_count += i == head->row_count;
	head->rows[i] = *row;
	if (head->number_highest < row->grant.number) {
		head->number_highest = row->grant.number;
	}
	world_say(world, "center stores %s %s %s", row->grant.id.text,
	        connection_state_name(row->state), row->reason);
	for (int b = 0; b < BOXES && grant->finished; b++) {
		watch_box(&world->boxes[b]);
	}
}

static void seal_grant(struct world *world, const struct grant *grant, char **ret_sealed)
{
	struct ledger_grant *noted = head_grant(world, grant->id.text);
	AUTO_BUF struct buf payload = BUF(JWS_SMALL_BYTES_MAX);

	if (!noted->sealed) {
		grant_print(grant, &payload);
		noted->sealed = seal_make(1, "sekisho-grant", &payload);
	}
	*ret_sealed = mem_string(noted->sealed);
}

static void seal_lease(struct world *world, const struct lease *lease, char **ret_sealed)
{
	AUTO_BUF struct buf payload = BUF(JWS_SMALL_BYTES_MAX);

	lease_print(lease, &payload);
	*ret_sealed = seal_make(1, "sekisho-lease", &payload);
	if (world->old_lease_count == world->old_lease_room) {
		world->old_lease_room = world->old_lease_room ? 2 * world->old_lease_room : 64;
		world->old_leases = mem_resize(
		        world->old_leases, world->old_lease_room, sizeof(*world->old_leases));
	}
	world->old_leases[world->old_lease_count++] = mem_string(*ret_sealed);
}

/* Promise 4 at the center: nothing is said that is not written. */
static void watch_send(struct world *world, const struct connection_action *action)
{
	const struct ledger_grant *grant = head_grant(world, action->id.text);

	switch (action->type) {
	case CONNECTION_SEND_GRANT:
		if (!grant || !grant->committed || grant->closing) {
			world_fail(
			        world, "4: grant %s is sent without its record", action->id.text);
		}
		break;
	case CONNECTION_SEND_GO: /* its intent is the grant (connection.h) */
		if (!grant || !grant->committed || grant->closing) {
			world_fail(world, "4: go of %s is sent without its grant's record",
			        action->id.text);
		}
		break;
	case CONNECTION_SEND_LEASE:
		if (!grant || !grant->going || grant->closing) {
			world_fail(world, "4: a lease of %s is sent without its record",
			        action->id.text);
		}
		break;
	default:
		if (grant && grant->honest && !grant->closing) {
			world_fail(world, "4: %s is cut without its record", action->id.text);
		}
	}
}

static void send_out(struct world *world, const struct connection_action *action)
{
	struct message message = { .box = site_number(action->gateway + 3), .id = action->id };
	const struct work *work;

	watch_send(world, action);
	switch (action->type) {
	case CONNECTION_SEND_GRANT:
		message.type = MESSAGE_GRANT;
		seal_grant(world, action->grant, &message.sealed);
		message_certificate(&message, action->grant, action->gateway);
		work = head_work_find(world, action->grant->work_order);
		message.approval = work ? mem_string(work->sealed) : NULL;
		break;
	case CONNECTION_SEND_GO:
		message.type = MESSAGE_GO;
		break;
	case CONNECTION_SEND_LEASE:
		message.type = MESSAGE_LEASE;
		seal_lease(world, &action->lease, &message.sealed);
		break;
	default:
		message.type = MESSAGE_CUT;
		world_say(world, "center cuts %s at %s: %s", action->id.text, action->gateway,
		        action->reason);
	}
	world_send(world, &message);
	free(message.sealed);
	free(message.approval);
}

static void carry_out(struct world *world, struct connection_actions *actions)
{
	struct head *head = &world->head;
	bool in_transaction = false;

	for (size_t i = 0; i < actions->count && !world->failure[0]; i++) {
		const struct connection_action *action = &actions->items[i];
		bool durable =
		        action->type == CONNECTION_RECORD || action->type == CONNECTION_STORE;

		if (!(durable && in_transaction) && !world->calm && chance_of(world, head->crash)) {
			head_crash(world);
			break;
		}
		in_transaction = durable;
		if (action->type == CONNECTION_RECORD) {
			head->ledger_count++;
			world_say(world, "ledger %.*s", (int)action->record.count,
			        (const char *)action->record.bytes);
		} else if (action->type == CONNECTION_STORE) {
			commit_row(world, action->row);
		} else if (action->type == CONNECTION_ANSWER) {
			head->answer = action->answer;
			head->answer_id = action->id;
		} else {
			send_out(world, action);
		}
	}
	connection_actions_clear(actions);
}

/* --- process ------------------------------------------------------------- */

static struct moment head_now(struct world *world)
{
	return world_moment(world, -1);
}

static void event_head_tick(struct world *world, struct event *event)
{
	struct head *head = &world->head;
	struct connection_actions actions = { 0 };

	/* First, for the process may die in here. */
	world_at(world, world->now + SEC / 2, event_head_tick, -1)->incarnation = head->incarnation;
	for (int i = 0; i < BOXES; i++) {
		if (head->online[i] && world->now - head->heard[i] > SILENCE_USEC) {
			head->online[i] = false;
			connection_gateway_offline(
			        head->machine, world->boxes[i].gateway, head_now(world));
		}
	}
	connection_tick(head->machine, head_now(world), &actions);
	carry_out(world, &actions);
}

static void event_head_start(struct world *world, struct event *event)
{
	head_start(world);
}

void head_crash(struct world *world)
{
	struct head *head = &world->head;

	if (!head->machine) {
		return;
	}
	world_say(world, "center dies");
	world->crashed++;
	head->machine = connection_machine_free(head->machine);
	head->incarnation++;
	memset(head->online, 0, sizeof(head->online));
	world_at(world, world->now + chance_time(world, SEC / 2, 12 * SEC), event_head_start, -1);
}

void head_start(struct world *world)
{
	struct head *head = &world->head;
	struct connection_world known = {
		.context = world,
		.facts = world_facts,
		.end = world_end,
		.id = world_make_id,
	};
	struct connection_actions actions = { 0 };

	if (head->machine) {
		return;
	}
	world_say(world, "center starts");
	head->machine = connection_machine_new("sim", head->epoch, &known);
	for (size_t i = 0; i < head->row_count; i++) {
		if (head->rows[i].state != CONNECTION_CLOSED &&
		        connection_restore(head->machine, &head->rows[i], head_now(world))) {
			world_fail(
			        world, "the center cannot restore %s", head->rows[i].grant.id.text);
		}
	}
	connection_numbers_from(head->machine, head->number_highest);
	connection_start(head->machine, head_now(world), &actions);
	world_at(world, world->now + SEC / 4, event_head_tick, -1)->incarnation = head->incarnation;
	carry_out(world, &actions);
}

static void gateway_came(struct world *world, int number)
{
	struct head *head = &world->head;
	struct box *box = &world->boxes[number];
	const char *ids[TUNNELS_PER_GATEWAY_MAX];
	struct connection_actions actions = { 0 };
	size_t count = 0;

	for (size_t i = 0; box->machine && i < tunnel_count(box->machine); i++) {
		ids[count++] = tunnel_at(box->machine, i).grant->id.text;
	}
	head->online[number] = true;
	connection_gateway_online(
	        head->machine, box->gateway, ids, count, head_now(world), &actions);
	carry_out(world, &actions);
}

void head_deliver(struct world *world, const struct message *message)
{
	struct head *head = &world->head;
	struct connection_actions actions = { 0 };
	struct message hello = {
		.type = MESSAGE_HELLO,
		.box = message->box,
		.epoch = head->epoch,
	};

	if (!head->machine) {
		return;
	}
	head->heard[message->box] = world->now;
	if (message->type == MESSAGE_PING) {
		world_send(world, &hello);
		if (message->flag || !head->online[message->box]) {
			gateway_came(world, message->box);
		}
		return;
	}
	connection_report(head->machine, world->boxes[message->box].gateway,
	        (enum connection_report)message->report, message->id.text, "as reported",
	        head_now(world), &actions);
	carry_out(world, &actions);
}

/* --- what people do ------------------------------------------------------ */

void head_ask(struct world *world, int from, int to, int host, bool other_class)
{
	struct head *head = &world->head;
	struct connection_request request = { 0 };
	struct connection_actions actions = { 0 };
	uint16_t port = chance(world, 2) ? 104 : 11112;

	head->answer_id.text[0] = '\0';
	head->answer = CONNECTION_DENIED;
	if (!head->machine) {
		return;
	}
	request.policy.class = other_class ? SERVICE_RESULTS_DELIVERY : SERVICE_REMOTE_MAINTENANCE;
	request.policy.protocol = PROTOCOL_TCP;
	request.policy.port = other_class ? 22 : port;
	request.policy.duration_sec =
	        other_class ? chance_time(world, 60, 600) : chance_time(world, 20, 120);
	snprintf(request.policy.from.site, sizeof(request.policy.from.site), "s%d", from);
	snprintf(request.policy.from.host, sizeof(request.policy.from.host), "a");
	snprintf(request.policy.to.site, sizeof(request.policy.to.site), "s%d", to);
	snprintf(
	        request.policy.to.host, sizeof(request.policy.to.host), "%s", site_host_name(host));
	snprintf(request.policy.person, sizeof(request.policy.person), "suzuki");
	connection_ask(head->machine, &request, head_now(world), &actions);
	carry_out(world, &actions);
}

struct work *head_work_find(struct world *world, const char *id)
{
	for (size_t i = world->work_count; i-- > 0;) {
		if (strcmp(world->works[i].id.text, id) == 0) {
			return &world->works[i];
		}
	}
	return NULL;
}

static void seal_approval(const struct approval *approval, int key, char **ret_sealed)
{
	AUTO_BUF struct buf payload = BUF(JWS_SMALL_BYTES_MAX);

	approval_print(approval, &payload);
	*ret_sealed = seal_make(key, APPROVAL_SEAL_TYPE, &payload);
}

struct work *head_work(struct world *world, int from, int to, int how)
{
	int64_t now = head_now(world).wall_usec / MSEC * MSEC;
	struct work work = { .id = world_id(world, now),
		.site = to,
		.good = how == 0,
		.not_before = now - 300 * SEC,
		.not_after = now + 600 * SEC };
	struct approval *approval = mem_new(1, sizeof(*approval));
	struct work_terms *terms = &approval->terms;
	AUTO_BUF struct buf text = BUF(WORK_TERMS_BYTES_MAX);

	*approval = (struct approval){ .approver = "tanaka",
		.approved_at = now,
		.kind = APPROVAL_OF_WORK,
		.not_before = work.not_before,
		.not_after = work.not_after };
	*terms = (struct work_terms){ .work_order = how == 2 ? world_id(world, now) : work.id,
		.revision = 1,
		.job = WORK_REPAIR,
		.class = SERVICE_REMOTE_MAINTENANCE,
		.not_before = work.not_before,
		.not_after = work.not_after,
		.purpose = "repair",
		.target_count = 1,
		.targets = { { .from.host = "e",
		        .to.host = "d",
		        .protocol = PROTOCOL_TCP,
		        .port = site_kind_port(KIND_WORK, 0) } } };
	snprintf(terms->site, sizeof(terms->site), "s%d", to);
	snprintf(terms->worker, sizeof(terms->worker), "%s", how == 4 ? "kato" : "suzuki");
	snprintf(terms->targets[0].from.site, sizeof(terms->site), "s%d", from);
	snprintf(terms->targets[0].to.site, sizeof(terms->site), "s%d", to);
	work_terms_print(terms, &text);
	snprintf(approval->terms_text, sizeof(approval->terms_text), "%s", buf_text(&text));
	if (how != 1) {
		seal_approval(approval, how == 3 ? 3 : SITE_APPROVER_KEY(to), &work.sealed);
	}
	free(approval);
	if (world->work_count == world->work_room) {
		world->work_room = world->work_room ? 2 * world->work_room : 64;
		world->works = mem_resize(world->works, world->work_room, sizeof(*world->works));
	}
	world->works[world->work_count] = work;
	return &world->works[world->work_count++];
}

void head_ask_more(struct world *world, int from, int to, enum site_kind kind)
{
	struct head *head = &world->head;
	struct connection_request request = { 0 };
	struct connection_actions actions = { 0 };
	struct policy_request *policy = &request.policy;

	if (!head->machine || from == to) {
		return;
	}
	policy->class = site_kind_class(kind);
	policy->protocol = PROTOCOL_TCP;
	policy->port = site_kind_port(kind, (int)chance(world, 2));
	policy->duration_sec =
	        kind == KIND_OUTAGE ? chance_time(world, 60, 400) : chance_time(world, 20, 60);
	policy->emergency = kind == KIND_EMERGENCY;
	if (kind == KIND_WORK || kind == KIND_EMERGENCY) {
		int how = chance(world, 3) ? 0 : (int)chance(world, 5);

		snprintf(policy->work_order, sizeof(policy->work_order), "%s",
		        head_work(world, from, to, kind == KIND_EMERGENCY ? 1 : how)->id.text);
	}
	snprintf(policy->from.site, sizeof(policy->from.site), "s%d", from);
	snprintf(policy->from.host, sizeof(policy->from.host), "e");
	snprintf(policy->to.site, sizeof(policy->to.site), "s%d", to);
	snprintf(policy->to.host, sizeof(policy->to.host), "d");
	snprintf(policy->person, sizeof(policy->person), "suzuki");
	connection_ask(head->machine, &request, head_now(world), &actions);
	carry_out(world, &actions);
}

struct pick {
	struct world *world;
	struct id id;
	uint64_t seen;
};

static void pick_one(void *context, const struct connection_row *row)
{
	struct pick *pick = context;

	pick->seen++;
	if (row->state != CONNECTION_CLOSING && chance(pick->world, pick->seen) == 0) {
		pick->id = row->grant.id;
	}
}

void head_cut_any(struct world *world)
{
	struct head *head = &world->head;
	struct connection_actions actions = { 0 };
	struct pick pick = { .world = world };

	if (!head->machine) {
		return;
	}
	connection_list(head->machine, NULL, NULL, pick_one, &pick);
	if (pick.id.text[0] != '\0') {
		world->cut++;
		assert_always(connection_cut(head->machine, pick.id.text, "operator", "pressed",
		                      head_now(world), &actions) == 0);
		carry_out(world, &actions);
	}
}

void head_review(struct world *world)
{
	struct connection_actions actions = { 0 };

	if (world->head.machine) {
		connection_review(world->head.machine, NULL, head_now(world), &actions);
		carry_out(world, &actions);
	}
}

void head_raise_epoch(struct world *world)
{
	struct head *head = &world->head;
	struct connection_actions actions = { 0 };

	if (!head->machine) {
		return;
	}
	world_say(world, "the center raises the epoch");
	head->epoch++;
	assert_always(
	        connection_epoch_raise(head->machine, head->epoch, head_now(world), &actions) == 0);
	carry_out(world, &actions);
	for (int i = 0; i < BOXES && head->machine; i++) {
		struct message hello = { .type = MESSAGE_HELLO, .box = i, .epoch = head->epoch };

		world_send(world, &hello);
	}
}
