/* Connections as operators see them, and what they share with gateways. A site's token sees and
 * ends what has one end at its site; another's connection does not exist for it (A20). */
#include <stdio.h>
#include <string.h>

#include "center/api_connections.h"
#include "center/ledger.h"
#include "center/live.h"
#include "center/persons.h"
#include "center/routes.h"
#include "center/sessions.h"

struct asking {
	char from[HOST_REF_BYTES_MAX + 1], to[HOST_REF_BYTES_MAX + 1];
	char class[NAME_BYTES_MAX + 1], protocol[16];
	uint64_t port, duration_sec;
	char person[PERSON_BYTES_MAX + 1];
	char work_order[ID_BYTES_MAX + 1];
	bool emergency;
	char code[16], terminal[ADDRESS_TEXT_BYTES_MAX]; /* through a gateway only */
};

#define ASKING_FIELDS                                                                              \
	{ JSON_FIELD("from", FIELD_TEXT, struct asking, from), .required = true, .min = 1,         \
		.max = HOST_REF_BYTES_MAX },                                                       \
	        { JSON_FIELD("to", FIELD_TEXT, struct asking, to), .required = true, .min = 1,     \
		        .max = HOST_REF_BYTES_MAX },                                               \
	        { JSON_FIELD("class", FIELD_NAME, struct asking, class), .required = true },       \
	        { JSON_FIELD("protocol", FIELD_TEXT, struct asking, protocol), .required = true,   \
		        .min = 1, .max = 15 },                                                     \
	        { JSON_FIELD("port", FIELD_COUNT, struct asking, port), .max = 65535 },            \
	        { JSON_FIELD("duration_sec", FIELD_COUNT, struct asking, duration_sec),            \
		        .max = GRANT_SEC_MAX },                                                    \
	        { JSON_FIELD("person", FIELD_TEXT, struct asking, person),                         \
		        .max = PERSON_BYTES_MAX },                                                 \
	        { JSON_FIELD("work_order", FIELD_TEXT, struct asking, work_order),                 \
		        .max = ID_BYTES_MAX },                                                     \
	{                                                                                          \
		JSON_FIELD("emergency", FIELD_BOOL, struct asking, emergency)                      \
	}

static const struct json_field asking_fields[] = { ASKING_FIELDS, { 0 } };

static const struct json_field device_asking_fields[] = { ASKING_FIELDS,
	{ JSON_FIELD("code", FIELD_TEXT, struct asking, code), .max = 15 },
	{ JSON_FIELD("terminal", FIELD_TEXT, struct asking, terminal),
	        .max = ADDRESS_TEXT_BYTES_MAX - 1 },
	{ 0 } };

/* Who asks, where from, and how far that is proved. */
static int fill_person(const struct exchange *exchange, const struct asking *asking,
        struct connection_request *request, struct err *err)
{
	struct address terminal;

	if (*asking->terminal && address_parse(asking->terminal, &terminal) != 0) {
		return err_set(err, 1, "terminal: must be an address");
	}
	snprintf(request->terminal, sizeof(request->terminal), "%s",
	        exchange->gateway ? asking->terminal : exchange->request->peer_address);
	memcpy(request->policy.person, asking->person, sizeof(request->policy.person));
	if (exchange->person && !*asking->person) {
		memcpy(request->policy.person, exchange->person->name,
		        sizeof(exchange->person->name));
	}
	exchange->center->factor =
	        exchange->session && text_equal(request->policy.person, exchange->person->name)
	                ? FACTOR_TWO
	        : *request->policy.person ? FACTOR_ONE
	                                  : FACTOR_NONE;
	return 0;
}

static int fill_request(const struct asking *asking, const char *own_site,
        struct connection_request *request, struct err *err)
{
	int r = own_site ? host_ref_parse_at(asking->from, own_site, &request->policy.from)
	                 : host_ref_parse(asking->from, &request->policy.from);

	if (r != 0) {
		return err_set(err, 1, "from: must be SITE/HOST");
	}
	if (host_ref_parse(asking->to, &request->policy.to) != 0) {
		return err_set(err, 1, "to: must be SITE/HOST");
	}
	if (service_class_parse(asking->class, &request->policy.class) != 0) {
		return err_set(err, 1, "class: there is no service class \"%s\"", asking->class);
	}
	if (protocol_parse(asking->protocol, &request->policy.protocol) != 0) {
		return err_set(err, 1, "protocol: must be tcp, udp or icmp");
	}
	if (!protocol_port_valid(request->policy.protocol, (uint16_t)asking->port)) {
		return err_set(err, 1, "port: must be 1 to 65535, and 0 for icmp");
	}
	request->policy.port = (uint16_t)asking->port;
	request->policy.duration_sec = (int64_t)asking->duration_sec;
	if (*asking->work_order && !id_valid(asking->work_order)) {
		return err_set(err, 1, "work_order: is not an id");
	}
	memcpy(request->policy.work_order, asking->work_order, sizeof(request->policy.work_order));
	request->policy.emergency = asking->emergency;
	return 0;
}

/* A host behind a gateway sends the person's code with the request. Outcome 1: answered. */
static int take_code(struct exchange *exchange, const struct asking *asking)
{
	struct err err = { 0 };

	if (!*asking->code) {
		return 0;
	}
	if (session_code_take(exchange->center, asking->person, asking->code, &err) != 0) {
		answer_problem(exchange, 403, "person %s: %s", asking->person, err.text);
		return 1;
	}
	exchange->center->factor = FACTOR_TWO;
	return 0;
}

int connection_request_read(
        struct exchange *exchange, const char *own_site, struct connection_request *request)
{
	struct asking asking = { 0 };
	struct err err = { 0 };

	if (exchange_body(exchange, exchange->gateway ? device_asking_fields : asking_fields,
	            &asking) != 0) {
		return 1;
	}
	if (fill_request(&asking, own_site, request, &err) != 0 ||
	        fill_person(exchange, &asking, request, &err) != 0) {
		answer_problem(exchange, 400, "%s", err.text);
		return 1;
	}
	return take_code(exchange, &asking);
}

void connection_request_serve(struct exchange *exchange, const struct connection_request *request)
{
	struct center *center = exchange->center;
	struct live_answer answer;
	struct err err = { 0 };

	if (!core_may_grant(center, &err)) {
		answer_problem(exchange, 503, "no connection can be granted now: %s", err.text);
		return;
	}
	/* A source that is denied again and again is answered, but its denials are recorded
	 * together. */
	center->decision = live_explain(center, &request->policy);
	if (center->decision.verdict != VERDICT_PERMIT &&
	        !refusals_count(center->refusals,
	                exchange->gateway ? exchange->gateway->name : exchange->operator_name,
	                clock_monotonic_usec())) {
		center->counts.denied++;
		answer_denied(exchange, &center->decision, &request->policy);
		return;
	}
	answer = live_ask(center, request);
	switch (answer.answer) {
	case CONNECTION_ACCEPTED:
		answer_leaf(exchange, 201, answer.leaf, json_pack("{ss}", "id", answer.id.text));
		return;
	case CONNECTION_EXISTS:
		answer_json(exchange, 200, json_pack("{ss}", "id", answer.id.text));
		return;
	case CONNECTION_BUSY:
		answer_problem(exchange, 409, "the same connection is being closed: ask again");
		return;
	case CONNECTION_FULL:
		answer_problem(exchange, 503, "the center holds as many connections as it can");
		return;
	case CONNECTION_DENIED:
		break;
	}
	if (center->decision.layers[0].reason == REASON_NONE) {
		/* Permitted, but what would be signed is no grant: two gateways at addresses that
		 * do not fit. */
		answer_problem(
		        exchange, 409, "no grant can be made of the two gateways' addresses");
		return;
	}
	answer_denied(exchange, &center->decision, &request->policy);
}

static const struct json_field cut_fields[] = {
	{ "reason", FIELD_TEXT, 0, false, 0, CONNECTION_REASON_BYTES_MAX - 1, NULL, NULL, false },
	{ 0 },
};

void connection_cut_serve(struct exchange *exchange, const char *by)
{
	char reason[CONNECTION_REASON_BYTES_MAX] = "";
	uint64_t leaf = 0;

	if (exchange->request->body_bytes > 0 && exchange_body(exchange, cut_fields, reason) != 0) {
		return;
	}
	if (live_cut(exchange->center, exchange->parameter, by, *reason ? reason : "cut", &leaf) !=
	        0) {
		answer_problem(exchange, 404, "there is no such live connection");
		return;
	}
	answer_leaf(exchange, 200, leaf, NULL);
}

static bool is_party(const struct exchange *exchange, const char *from, const char *to)
{
	return (exchange->roles.set & ROLE_AUDITOR) || roles_of_site(&exchange->roles, from) ||
	       roles_of_site(&exchange->roles, to);
}

void connections_post(struct exchange *exchange)
{
	struct connection_request request = { 0 };

	if (connection_request_read(exchange, NULL, &request) != 0) {
		return;
	}
	if (!roles_of_site(&exchange->roles, request.policy.from.site) &&
	        !roles_of_site(&exchange->roles, request.policy.to.site)) {
		answer_problem(exchange, 403, "from, to: neither is a host of this token's site");
		return;
	}
	if (exchange->person && !text_equal(exchange->person->name, request.policy.person)) {
		answer_problem(exchange, 403, "person: a person asks in the own name only");
		return;
	}
	connection_request_serve(exchange, &request);
}

void connections_explain(struct exchange *exchange)
{
	struct connection_request request = { 0 };
	struct decision decision;

	if (connection_request_read(exchange, NULL, &request) != 0) {
		return;
	}
	if (!roles_of_site(&exchange->roles, request.policy.from.site) &&
	        !roles_of_site(&exchange->roles, request.policy.to.site)) {
		answer_problem(exchange, 403, "from, to: neither is a host of this token's site");
		return;
	}
	decision = live_explain(exchange->center, &request.policy);
	answer_json(exchange, 200,
	        json_pack("{ss so sI si}", "verdict",
	                decision.verdict == VERDICT_PERMIT ? "permit" : "deny", "layers",
	                live_layers(&decision, &request.policy), "duration_sec",
	                (json_int_t)decision.duration_sec, "lease_sec", (int)decision.lease_sec));
}

static json_t *print_stored(const struct store_connection *stored)
{
	struct connection_row row;
	json_t *json;

	if (live_unpack(stored, &row) != 0) {
		return json_pack("{ss ss}", "id", stored->id, "state", "damaged");
	}
	json = live_print(&row);
	json_object_set_new(json, "leaf", json_integer((json_int_t)stored->leaf));
	return json;
}

static int add_row(void *context, const void *row)
{
	struct list *list = context;
	const struct store_connection *stored = row;

	list_add(list, stored->id, print_stored(stored));
	return 0;
}

void connections_list(struct exchange *exchange)
{
	const char *site = roles_any(&exchange->roles, ROLE_PROVIDER | ROLE_AUDITOR)
	                           ? NULL
	                           : roles_name(&exchange->roles, ROLE_SITE);
	struct list list;

	if (list_begin(exchange, &list) != 0) {
		return;
	}
	if (exchange->person && !roles_any(&exchange->roles, ROLE_PROVIDER | ROLE_AUDITOR)) {
		core_must(store_connection_list_organization(exchange->center->store,
		                  exchange->person->organization, list.after, list.limit, add_row,
		                  &list),
		        "list connections");
	} else if (site || roles_any(&exchange->roles, ROLE_PROVIDER | ROLE_AUDITOR)) {
		core_must(store_connection_list(exchange->center->store, site, list.after,
		                  list.limit, add_row, &list),
		        "list connections");
	}
	list_end(&list);
}

/* Outcome 1: answered with 404. */
static int get_connection(struct exchange *exchange, struct store_connection *stored)
{
	int r = store_connection_get(exchange->center->store, exchange->parameter, stored);

	core_must(r < 0 ? r : 0, "read a connection");
	if (r != 0 || !is_party(exchange, stored->initiator_site, stored->responder_site)) {
		store_row_clear(STORE_CONNECTION, stored);
		answer_problem(exchange, 404, "there is no such connection");
		return 1;
	}
	return 0;
}

void connections_get(struct exchange *exchange)
{
	struct store_connection stored = { 0 };

	if (get_connection(exchange, &stored) == 0) {
		answer_json(exchange, 200, print_stored(&stored));
		store_row_clear(STORE_CONNECTION, &stored);
	}
}

void connections_cut(struct exchange *exchange)
{
	struct store_connection stored = { 0 };

	if (get_connection(exchange, &stored) == 0) {
		store_row_clear(STORE_CONNECTION, &stored);
		connection_cut_serve(exchange, exchange->operator_name);
	}
}
