#include "center/live.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "center/agreements.h"
#include "center/ledger.h"
#include "center/persons.h"
#include "center/procedure.h"
#include "center/registry.h"
#include "center/steps.h"
#include "center/trust.h"
#include "center/work_orders.h"
#include "policy/explain.h"

static const char *const end_names[2] = { "initiator", "responder" };

static enum policy_fact fact(bool yes)
{
	return yes ? FACT_YES : FACT_NO;
}

static void fill_end(struct center *center, const struct site_entry *site, const char *serial,
        int64_t now, struct policy_end_facts *end)
{
	struct gateway *gateway = site ? site->gateway : NULL;
	const struct gateway_certificate *service = NULL;

	end->device = end->service = CERTIFICATE_MISSING;
	end->gateway = GATEWAY_OFFLINE;
	end->maker_accredited = FACT_NO;
	end->behind_nat = FACT_UNKNOWN;
	if (!gateway) {
		return;
	}
	end->maker_accredited = fact(trust_maker(center, gateway->maker, now));
	end->device = trust_certificate(center, 1, &gateway->device, now);
	/* A live grant stands on the certificate it names, a new one on the one the gateway uses
	 * now. */
	service = registry_certificate(gateway, serial ? serial : gateway->serial);
	if (service) {
		end->service = trust_certificate(center, 2, service, now);
	}
	if (gateway->front) {
		bool delivered = procedure_check(gateway->steps, PROCEDURE_CONNECTION, NULL) !=
		                 PROCEDURE_OUT_OF_ORDER;

		end->gateway = gateway->ready && delivered ? GATEWAY_ONLINE : GATEWAY_NOT_READY;
		end->behind_nat = fact(gateway->address.family == ADDRESS_NONE);
	}
}

struct beside {
	const struct policy_request *request;
	const struct grant *grant; /* of a live connection that is decided again, or NULL */
	struct live_list *list;
};

/* What may still be alive anywhere counts, also while it is being closed. */
static void add_beside(void *context, const struct connection_row *row)
{
	struct policy_live live = policy_live_of(&row->grant);
	struct beside *beside = context;
	const struct policy_request *request = beside->request;
	struct live_list *list = beside->list;

	if (beside->grant && !grant_older(&row->grant, beside->grant)) {
		return; /* Of two that exclude each other from now on the older one stays. */
	}
	if (text_equal(live.from_site, request->from.site) &&
	        text_equal(live.from_host, request->from.host) &&
	        text_equal(live.to_site, request->to.site) &&
	        text_equal(live.to_host, request->to.host) && live.class == request->class &&
	        live.protocol == request->protocol && live.port == request->port) {
		return; /* This connection itself. */
	}
	if (list->count == list->room) {
		list->room = list->room ? 2 * list->room : 16;
		list->items = mem_resize(list->items, list->room, sizeof(*list->items));
	}
	list->items[list->count++] = live;
}

/* F4: what is live at a site beside what is asked for. Core decides one request after the other, so
 * of two that exclude each other the second sees the first, in either order. */
static void fill_beside(struct center *center, const struct site_entry *site,
        const struct policy_request *request, const struct grant *grant, int side,
        struct policy_beside *ret_beside)
{
	struct beside beside = { request, grant, &center->beside[side] };

	beside.list->count = 0;
	if (site && site->gateway && center->machine) {
		connection_list(center->machine, NULL, site->gateway->name, add_beside, &beside);
	}
	*ret_beside = (struct policy_beside){ FACT_YES, beside.list->items, beside.list->count };
}

static void world_facts(void *context, const struct policy_request *request,
        const struct grant *grant, struct moment now, struct policy_facts *facts)
{
	struct center *center = context;
	const char *const names[2] = { request->from.site, request->to.site };
	struct site_entry *sites[2], *from, *to;

	/* Whatever is asked for here is on its way while the other facts are found. */
	registry_sites_want(center, names);
	policy_decide_want(request, center->provider_policy);
	*facts = (struct policy_facts){
		.provider = center->provider_policy,
		.provider_accredited = fact(trust_provider(center, now.wall_usec)),
		.device_ca_accredited = fact(trust_device_ca(center, now.wall_usec)),
		.service_ca_accredited = fact(trust_service_ca(center, now.wall_usec)),
		.agreement = agreements_fact(center, request, now.wall_usec),
		.person = persons_fact(center, request),
		.window = { now.wall_usec, now.wall_usec + GRANT_SEC_MAX * USEC_PER_SEC },
	};
	registry_sites(center, names, sites);
	from = sites[0];
	to = sites[1];
	facts->initiator_policy = from ? from->policy : NULL;
	facts->responder_policy = to ? to->policy : NULL;
	if (grant) {
		/* The factors were shown when it was opened; a rule that wants more now counts for
		 * the next one. */
		facts->person.factor = FACTOR_TWO;
	}
	fill_end(center, from, grant ? grant->initiator.serial : NULL, now.wall_usec,
	        &facts->initiator);
	fill_end(center, to, grant ? grant->responder.serial : NULL, now.wall_usec,
	        &facts->responder);
	fill_beside(center, from, request, grant, 0, &facts->initiator.beside);
	fill_beside(center, to, request, grant, 1, &facts->responder.beside);
	work_orders_fact(center, request, grant, now.wall_usec, facts);
}

static int world_end(void *context, const struct host_ref *ref, struct grant_end *end)
{
	struct center *center = context;
	const struct site_entry *site = registry_site(center, ref->site);
	struct policy_host host;

	if (!site || !site->policy || !site->gateway || !*site->gateway->serial ||
	        site_policy_host_get(site->policy, ref->host, &host) != 0) {
		return 1;
	}
	*end = (struct grant_end){ .address = site->gateway->address, .service = host.service };
	snprintf(end->site, sizeof(end->site), "%s", site->name);
	snprintf(end->gateway, sizeof(end->gateway), "%s", site->gateway->name);
	snprintf(end->serial, sizeof(end->serial), "%s", site->gateway->serial);
	snprintf(end->host, sizeof(end->host), "%s", ref->host);
	return cert_identity_print(site->gateway->name, center->config.provider, end->identity);
}

static struct id world_id(void *context, struct moment now)
{
	return id_new(now.wall_usec);
}

#define REPORTS_TRAFFIC (1U << 6)
#define REPORTS_HELD (1U << 7)

/* armed, up, closed of both sides, and what else is a yes or a no, in one number. */
static uint64_t pack_reports(const struct connection_row *row)
{
	uint64_t reports = (row->traffic ? REPORTS_TRAFFIC : 0) | (row->held ? REPORTS_HELD : 0);

	for (int side = 0; side < 2; side++) {
		reports |=
		        (uint64_t)(row->armed[side] | row->up[side] << 1 | row->closed[side] << 2)
		        << (3 * side);
	}
	return reports;
}

int live_unpack(const struct store_connection *stored, struct connection_row *ret_row)
{
	struct err err = { 0 };

	*ret_row = (struct connection_row){ .changed_at = stored->changed_usec };
	if (grant_parse(stored->grant, strlen(stored->grant), &ret_row->grant, &err) != 0 ||
	        connection_state_parse(stored->state, &ret_row->state) != 0) {
		log_error("connection %s: %s", stored->id, err.text);
		return 1;
	}
	for (int side = 0; side < 2; side++) {
		uint64_t bits = stored->reports >> (3 * side);

		ret_row->armed[side] = bits & 1;
		ret_row->up[side] = bits & 2;
		ret_row->closed[side] = bits & 4;
	}
	ret_row->traffic = stored->reports & REPORTS_TRAFFIC;
	ret_row->held = stored->reports & REPORTS_HELD;
	snprintf(ret_row->by, sizeof(ret_row->by), "%s", stored->by);
	snprintf(ret_row->reason, sizeof(ret_row->reason), "%s", stored->reason);
	return 0;
}

static void store_row(struct center *center, const struct connection_row *row, uint64_t leaf)
{
	AUTO_BUF struct buf grant = BUF(JWS_SMALL_BYTES_MAX);
	struct store_connection stored = { .number = row->grant.number,
		.reports = pack_reports(row),
		.changed_usec = row->changed_at,
		.live = row->state != CONNECTION_CLOSED,
		.leaf = leaf };

	grant_print(&row->grant, &grant);
	stored.grant = (char *)buf_text(&grant);
	snprintf(stored.id, sizeof(stored.id), "%s", row->grant.id.text);
	snprintf(stored.state, sizeof(stored.state), "%s", connection_state_name(row->state));
	snprintf(stored.initiator_site, sizeof(stored.initiator_site), "%s",
	        row->grant.initiator.site);
	snprintf(stored.responder_site, sizeof(stored.responder_site), "%s",
	        row->grant.responder.site);
	snprintf(stored.by, sizeof(stored.by), "%s", row->by);
	snprintf(stored.reason, sizeof(stored.reason), "%s", row->reason);
	ledger_begin(center);
	core_must(store_connection_put(center->store, &stored), "keep a connection");
}

/* The token seals a new grant while the database writes it. Nothing is let out before both are
 * done. */
static void begin_seal(struct center *center)
{
	const struct connection_actions *actions = &center->actions;
	AUTO_BUF struct buf payload = BUF(JWS_SMALL_BYTES_MAX);
	const struct grant *grant = NULL;

	for (size_t i = 0; i < actions->count && !grant; i++) {
		grant = actions->items[i].grant;
	}
	if (!grant) {
		return;
	}
	grant_print(grant, &payload);
	free(TAKE(center->grant_seal));
	memcpy(center->grant_id, grant->id.text, sizeof(center->grant_id));
	center->sealing = signer_grant_begin(center->signer, &payload, NULL) == 0;
}

static void end_seal(struct center *center)
{
	AUTO_BUF struct buf seal = BUF(JWS_SMALL_BYTES_MAX);
	struct err err = { 0 };

	if (!center->sealing) {
		return;
	}
	ledger_commit(center);
	/* What follows goes out together, at the end of this round. */
	ledger_begin(center);
	center->sealing = false;
	if (signer_grant_end(center->signer, &seal, &err) != 0) {
		log_error("grant %s is not sealed: %s", center->grant_id, err.text);
		return;
	}
	center->grant_seal = mem_string(buf_text(&seal));
}

/* The seal of a grant goes to two gateways, one after the other: it is made once. */
static const char *seal_grant(struct center *center, const struct grant *grant)
{
	AUTO_BUF struct buf payload = BUF(JWS_SMALL_BYTES_MAX), seal = BUF(JWS_SMALL_BYTES_MAX);
	struct err err = { 0 };

	end_seal(center);
	if (center->grant_seal && text_equal(center->grant_id, grant->id.text)) {
		return center->grant_seal;
	}
	grant_print(grant, &payload);
	if (signer_grant(center->signer, &payload, &seal, &err) != 0) {
		log_error("grant %s is not sealed: %s", grant->id.text, err.text);
		return NULL;
	}
	free(center->grant_seal);
	center->grant_seal = mem_string(buf_text(&seal));
	memcpy(center->grant_id, grant->id.text, sizeof(center->grant_id));
	return center->grant_seal;
}

/* The grant names the certificates by serial; each gateway gets its peer's own, which its charon is
 * to accept and no other. */
static json_t *grant_event(struct center *center, const struct connection_action *action)
{
	const struct grant *grant = action->grant;
	const struct grant_end *peer = text_equal(grant->initiator.gateway, action->gateway)
	                                       ? &grant->responder
	                                       : &grant->initiator;
	const char *seal = seal_grant(center, grant);
	struct store_certificate row = { 0 };
	AUTO_BUF struct buf text = BUF(2 * CERT_DER_BYTES_MAX);
	int r = store_certificate_get(center->store, 2, peer->serial, &row);

	core_must(r < 0 ? r : 0, "read a certificate");
	base64_add(&text, row.der.bytes, row.der.count);
	store_row_clear(STORE_CERTIFICATE, &row);
	if (r > 0) {
		log_error("grant %s: certificate %s of %s is not on record", grant->id.text,
		        peer->serial, peer->gateway);
		return NULL;
	}
	return seal ? json_pack("{ss ss}", "grant", seal, "certificate", buf_text(&text)) : NULL;
}

static json_t *seal_lease(struct center *center, const struct lease *lease)
{
	AUTO_BUF struct buf payload = BUF(JWS_SMALL_BYTES_MAX), seal = BUF(JWS_SMALL_BYTES_MAX);
	struct err err = { 0 };

	lease_print(lease, &payload);
	if (signer_lease(center->signer, &payload, &seal, &err) != 0) {
		log_error("lease of %s is not sealed: %s", lease->grant.text, err.text);
		return NULL;
	}
	return json_pack("{ss}", "lease", buf_text(&seal));
}

static void send_action(struct center *center, const struct connection_action *action)
{
	const struct gateway *gateway = registry_gateway(center, action->gateway);
	AUTO_JSON json_t *data = NULL;
	const char *name = "";

	if (!gateway || !gateway->front) {
		return; /* It gets all that is desired when it comes back. */
	}
	switch (action->type) {
	case CONNECTION_SEND_GRANT:
		name = "grant";
		data = grant_event(center, action);
		if (data && *action->grant->work_order) {
			json_object_set_new(data, "approvals",
			        work_orders_approvals(center, action->grant->work_order));
		}
		break;
	case CONNECTION_SEND_GO:
		name = "go";
		data = json_pack("{ss}", "id", action->id.text);
		break;
	case CONNECTION_SEND_LEASE:
		name = "lease";
		data = seal_lease(center, &action->lease);
		break;
	case CONNECTION_SEND_CUT:
		name = "cut";
		data = json_pack("{ss ss ss}", "id", action->id.text, "reason", action->reason,
		        "by", action->by);
		center->counts.cuts++;
		break;
	default:
		break;
	}
	if (data) {
		registry_event(center, gateway, name, data);
	}
}

/* Steps k and l of both ends' procedures happen by themselves. */
static void step_ends(struct center *center, const struct grant *grant, enum procedure_step step)
{
	for (int side = 0; side < 2; side++) {
		struct gateway *gateway =
		        registry_gateway(center, grant_end(grant, (enum grant_side)side)->gateway);

		if (gateway && !(gateway->steps & PROCEDURE_BIT(step))) {
			steps_done_by_itself(center, gateway, step);
		}
	}
}

/* Carries out what the machine wants, in its order. Returns the answer, if one was among it. */
static struct live_answer run(struct center *center)
{
	struct connection_actions *actions = &center->actions;
	struct live_answer answer = { 0 };
	uint64_t leaf = center->tree.size;

	for (size_t i = 0; i < actions->count; i++) {
		const struct connection_action *action = &actions->items[i];

		switch (action->type) {
		case CONNECTION_RECORD:
			leaf = ledger_append_bytes(center, &action->record);
			break;
		case CONNECTION_STORE:
			if (action->row->state == CONNECTION_GRANTED) {
				step_ends(center, &action->row->grant, PROCEDURE_CONNECTION);
			} else if (action->row->state == CONNECTION_UP) {
				step_ends(center, &action->row->grant, PROCEDURE_SERVICE);
			}
			store_row(center, action->row, leaf);
			break;
		case CONNECTION_ANSWER:
			answer = (struct live_answer){ action->answer, action->id, leaf };
			if (action->decision) {
				center->decision = *action->decision;
			}
			break;
		default:
			send_action(center, action);
			break;
		}
	}
	answer.leaf = leaf;
	connection_actions_reset(actions);
	return answer;
}

static int restore(void *context, const void *row)
{
	struct center *center = context;
	const struct store_connection *stored = row;
	struct connection_row live;
	int r = live_unpack(stored, &live);

	if (r == 0) {
		r = connection_restore(center->machine, &live, clock_now());
	}
	if (r > 0) {
		log_error("connection %s cannot be restored", stored->id);
		return FAULT(-EBADMSG);
	}
	return r;
}

int live_open(struct center *center, struct err *err)
{
	uint64_t epoch = 0, number = 0;
	int r = store_counter_get(center->store, "epoch", &epoch);

	center->world = (struct connection_world){ center, world_facts, world_end, world_id };
	if (r == 0) {
		r = store_connection_number(center->store, &number);
	}
	if (r == 0) {
		center->machine = connection_machine_new(
		        center->config.provider, epoch > 0 ? epoch : 1, &center->world);
		r = store_connection_list_live(center->store, restore, center);
	}
	if (r < 0) {
		return err_set(err, FAULT(r), "the live connections cannot be read");
	}
	connection_numbers_from(center->machine, (uint32_t)number);
	connection_start(center->machine, clock_now(), &center->actions);
	run(center);
	return 0;
}

void live_gateway_online(struct center *center, struct gateway *gateway)
{
	connection_gateway_online(
	        center->machine, gateway->name, NULL, 0, clock_now(), &center->actions);
	run(center);
}

void live_gateway_offline(struct center *center, struct gateway *gateway)
{
	connection_gateway_offline(center->machine, gateway->name, clock_now());
}

/* The cut was pressed while the center heard nothing, and the connection is over here by now. */
static void hold_late(struct center *center, const struct gateway *gateway, const char *id)
{
	struct store_connection stored = { 0 };
	struct connection_row row;
	int r = store_connection_get(center->store, id, &stored);
	struct record *record;

	core_must(r < 0 ? r : 0, "read a connection");
	if (r == 0 && live_unpack(&stored, &row) == 0 && !row.held &&
	        (text_equal(row.grant.initiator.gateway, gateway->name) ||
	                text_equal(row.grant.responder.gateway, gateway->name))) {
		row.held = true;
		row.changed_at = clock_wall_usec();
		record = ledger_record(center, "connection.cut", id);
		record_text(record, "by", gateway->name);
		record_text(record, "reason", "was cut at the gateway, which is heard of now");
		store_row(center, &row, ledger_append(center, record));
	}
	store_row_clear(STORE_CONNECTION, &stored);
}

void live_hold(struct center *center, const struct gateway *gateway, const char *id)
{
	if (connection_hold(center->machine, gateway->name, id, clock_now(), &center->actions) !=
	        0) {
		hold_late(center, gateway, id);
		return;
	}
	run(center);
}

void live_report(struct center *center, struct gateway *gateway, enum connection_report report,
        const char *id, const char *reason)
{
	connection_report(
	        center->machine, gateway->name, report, id, reason, clock_now(), &center->actions);
	run(center);
}

void live_review(struct center *center, const char *site)
{
	if (center->machine) {
		connection_review(center->machine, site, clock_now(), &center->actions);
		run(center);
	}
}

void live_tick(struct center *center)
{
	connection_tick(center->machine, clock_now(), &center->actions);
	run(center);
}

struct live_answer live_ask(struct center *center, const struct connection_request *request)
{
	struct live_answer answer;

	center->decision = (struct decision){ 0 };
	connection_ask(center->machine, request, clock_now(), &center->actions);
	begin_seal(center);
	answer = run(center);
	end_seal(center);
	if (answer.answer == CONNECTION_ACCEPTED) {
		center->counts.granted++;
		if (*request->policy.work_order) {
			work_orders_connected(center, request->policy.work_order);
		}
	} else if (answer.answer == CONNECTION_DENIED) {
		center->counts.denied++;
	}
	return answer;
}

struct decision live_explain(struct center *center, const struct policy_request *request)
{
	struct policy_facts facts;
	struct moment now = clock_now();

	world_facts(center, request, NULL, now, &facts);
	return policy_decide(request, &facts, now.wall_usec);
}

int live_cut(struct center *center, const char *id, const char *by, const char *reason,
        uint64_t *ret_leaf)
{
	int r = connection_cut(center->machine, id, by, reason, clock_now(), &center->actions);

	if (r == 0) {
		*ret_leaf = run(center).leaf;
	}
	return r;
}

uint64_t live_raise_epoch(struct center *center)
{
	uint64_t epoch = 0;

	core_must(store_counter_get(center->store, "epoch", &epoch), "read the epoch");
	epoch = epoch > 0 ? epoch + 1 : 2;
	ledger_begin(center);
	core_must(store_counter_put(center->store, "epoch", epoch), "keep the epoch");
	core_must(connection_epoch_raise(center->machine, epoch, clock_now(), &center->actions),
	        "raise the epoch");
	run(center);
	return epoch;
}

static json_t *print_end(const struct grant_end *end)
{
	return json_pack("{ss ss ss ss ss}", "site", end->site, "gateway", end->gateway, "host",
	        end->host, "service", address_print(end->service).text, "address",
	        end->address.family == ADDRESS_NONE ? "any" : address_print(end->address).text);
}

json_t *live_print(const struct connection_row *row)
{
	const struct grant *grant = &row->grant;
	json_t *json = json_pack("{ss si ss ss ss ss si ss ss si}", "id", grant->id.text, "number",
	        (int)grant->number, "state", connection_state_name(row->state), "class",
	        service_class_name(grant->class), "person", grant->person, "protocol",
	        protocol_name(grant->protocol), "port", (int)grant->port, "issued_at",
	        time_print(grant->issued_at).text, "not_after", time_print(grant->not_after).text,
	        "lease_sec", (int)grant->lease_sec);

	for (int side = 0; side < 2; side++) {
		json_t *end = print_end(grant_end(grant, (enum grant_side)side));

		json_object_set_new(end, "armed", json_boolean(row->armed[side]));
		json_object_set_new(end, "up", json_boolean(row->up[side]));
		json_object_set_new(end, "closed", json_boolean(row->closed[side]));
		json_object_set_new(json, end_names[side], end);
	}
	json_object_set_new(json, "changed_at", json_string(time_print(row->changed_at).text));
	if (row->traffic) {
		json_object_set_new(json, "cause", json_string("first traffic"));
	}
	if (*row->by) {
		json_object_set_new(json, "by", json_string(row->by));
		json_object_set_new(json, "reason", json_string(row->reason));
	}
	return json;
}

static json_t *sentence(const struct decision *decision, enum policy_layer layer,
        const struct policy_request *request, enum policy_language language)
{
	AUTO_BUF struct buf text = BUF(ERR_TEXT_BYTES_MAX);

	policy_reason_print(decision, layer, request, language, &text);
	return json_string(buf_text(&text));
}

json_t *live_layers(const struct decision *decision, const struct policy_request *request)
{
	json_t *layers = json_array();

	for (int layer = 0; layer < LAYER_COUNT; layer++) {
		const struct policy_layer_result *result = &decision->layers[layer];

		json_array_append_new(layers,
		        json_pack("{ss ss ss ss so so}", "layer",
		                policy_layer_name((enum policy_layer)layer), "verdict",
		                result->verdict == VERDICT_PERMIT ? "permit" : "deny", "reason",
		                policy_reason_name(result->reason), "detail",
		                policy_detail(decision, (enum policy_layer)layer).text, "text",
		                sentence(decision, (enum policy_layer)layer, request,
		                        LANGUAGE_ENGLISH),
		                "text_ja",
		                sentence(decision, (enum policy_layer)layer, request,
		                        LANGUAGE_JAPANESE)));
	}
	return layers;
}
