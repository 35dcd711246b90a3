#include "center/routes.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "center/ledger.h"
#include "center/sessions.h"
#include "center/trust.h"

#define PS (ROLE_PROVIDER | ROLE_SITE)
#define PSA (ROLE_PROVIDER | ROLE_SITE | ROLE_AUDITOR)
#define PA (ROLE_PROVIDER | ROLE_AUDITOR)
#define EST "/.well-known/est"

/* clang-format off */
static const struct route table[] = {
	{ "GET", "/device/v1/stream", LISTENER_DEVICE, 0, device_stream, NULL, "The event stream of a gateway.", 0, false },
	{ "POST", "/device/v1/report", LISTENER_DEVICE, 0, device_report, NULL, "What a gateway did.", 0, false },
	{ "POST", "/device/v1/journal", LISTENER_DEVICE, 0, device_journal, "journal.refused", "A segment of a gateway's journal.", 0, false },
	{ "POST", "/device/v1/connections", LISTENER_DEVICE, 0, device_connect, "connection.refused", "A host behind a gateway asks for a connection.", 0, false },
	{ "POST", "/device/v1/traffic", LISTENER_DEVICE, 0, device_traffic, "connection.refused", "A host behind a gateway has sent a first packet.", 0, false },
	{ "GET", "/device/v1/connections", LISTENER_DEVICE, 0, device_connections, NULL, "The live connections of this gateway.", 0, false },
	{ "POST", "/device/v1/connections/{id}/cut", LISTENER_DEVICE, 0, device_cut, NULL, "Ends a connection now.", 0, false },
	{ "GET", "/device/v1/consistency", LISTENER_DEVICE, 0, device_consistency, NULL, "The proof that the ledger only grew.", 0, false },

	{ "GET", EST "/cacerts", LISTENER_ENROL, 0, enrol_cacerts, NULL, "EST: the CA certificates.", 0, false },
	{ "GET", EST "/{provider}/cacerts", LISTENER_ENROL, 0, enrol_cacerts, NULL, "EST: the CA certificates.", 0, false },
	{ "GET", EST "/csrattrs", LISTENER_ENROL, 0, enrol_csrattrs, NULL, "EST: what a request should be like.", 0, false },
	{ "GET", EST "/{provider}/csrattrs", LISTENER_ENROL, 0, enrol_csrattrs, NULL, "EST: what a request should be like.", 0, false },
	{ "POST", EST "/simpleenroll", LISTENER_ENROL, 0, enrol_simpleenroll, "enrolment.refused", "EST: asks for the first service certificate.", 0, false },
	{ "POST", EST "/{provider}/simpleenroll", LISTENER_ENROL, 0, enrol_simpleenroll, "enrolment.refused", "EST: asks for the first service certificate.", 0, false },
	{ "POST", EST "/simplereenroll", LISTENER_ENROL, 0, enrol_simplereenroll, "enrolment.refused", "EST: renews a service certificate.", 0, false },
	{ "POST", EST "/{provider}/simplereenroll", LISTENER_ENROL, 0, enrol_simplereenroll, "enrolment.refused", "EST: renews a service certificate.", 0, false },

	{ "POST", "/ocsp", LISTENER_PUBLIC, 0, public_ocsp_post, NULL, "OCSP (RFC 6960).", 0, false },
	{ "GET", "/ocsp/{rest}", LISTENER_PUBLIC, 0, public_ocsp_get, NULL, "OCSP with the request in the path.", 0, false },
	{ "GET", "/crl/{name}", LISTENER_PUBLIC, 0, public_crl, NULL, "Revocation lists: device.crl, service.crl, root.crl.", 0, false },
	{ "GET", "/ledger/checkpoint", LISTENER_PUBLIC, 0, public_checkpoint, NULL, "The newest signed head of the ledger.", 0, false },
	{ "GET", "/ledger/tile/{rest}", LISTENER_PUBLIC, 0, public_tile, NULL, "Tiles of the ledger (C2SP tlog-tiles); no entries.", 0, false },
	{ "GET", "/health", LISTENER_PUBLIC, 0, public_health, NULL, "Whether the center can give grants.", 0, false },
	{ "GET", "/metrics", LISTENER_METRICS, 0, public_metrics, NULL, "Metrics as Prometheus reads them.", 0, false },

	{ "GET", "/api/v1/status", LISTENER_OPERATOR, ROLE_ANY, public_status, NULL, "The state of the center.", PERSON_READ, true },
	{ "POST", "/api/v1/operators", LISTENER_OPERATOR, ROLE_PROVIDER, operators_post, "operator.refused", "Gives a person a token; it is shown once.", 0, false },
	{ "GET", "/api/v1/operators", LISTENER_OPERATOR, PA, operators_list, "operator.refused", "Who has a token.", 0, false },
	{ "DELETE", "/api/v1/operators/{name}", LISTENER_OPERATOR, ROLE_PROVIDER, operators_delete, "operator.refused", "Takes a token away.", 0, false },
	{ "POST", "/api/v1/persons", LISTENER_OPERATOR, ROLE_PROVIDER, persons_post, "person.refused", "Adds a person; token and codes are shown once.", PERSON_MANAGE, false },
	{ "GET", "/api/v1/persons", LISTENER_OPERATOR, PA, persons_list, NULL, "The persons of an organization.", PERSON_READ, true },
	{ "GET", "/api/v1/persons/{name}", LISTENER_OPERATOR, PA, persons_show, NULL, "One person.", PERSON_READ, true },
	{ "POST", "/api/v1/persons/{name}/duty", LISTENER_OPERATOR, ROLE_PROVIDER, persons_duty, "person.refused", "Gives a person other roles; what was open ends.", PERSON_MANAGE, false },
	{ "POST", "/api/v1/persons/{name}/left", LISTENER_OPERATOR, ROLE_PROVIDER, persons_left, "person.refused", "Reports that a person has left; all rights end.", PERSON_MANAGE, false },
	{ "POST", "/api/v1/persons/{name}/key", LISTENER_OPERATOR, ROLE_PROVIDER, persons_key, "person.refused", "Registers a person's own key.", PERSON_MANAGE, false },
	{ "POST", "/api/v1/persons/{name}/renew", LISTENER_OPERATOR, ROLE_PROVIDER, persons_renew, "person.refused", "Gives a person a new token and new codes.", PERSON_MANAGE, false },
	{ "POST", "/api/v1/persons/{name}/confirm", LISTENER_OPERATOR, ROLE_PROVIDER, persons_confirm, "person.refused", "Confirms that a person is still here.", PERSON_MANAGE, false },
	{ "POST", "/api/v1/sessions", LISTENER_OPERATOR, 0, sessions_post, "session.refused", "Logs in with the second factor.", PERSON_LOGIN, true },
	{ "DELETE", "/api/v1/sessions", LISTENER_OPERATOR, 0, sessions_delete, "session.refused", "Logs out.", PERSON_LOGIN, true },
	{ "POST", "/api/v1/agreements", LISTENER_OPERATOR, ROLE_PROVIDER, agreements_post, "agreement.refused", "Drafts an agreement; says what it lacks.", PERSON_SIGN, false },
	{ "GET", "/api/v1/agreements", LISTENER_OPERATOR, PA, agreements_list, NULL, "The agreements.", PERSON_READ, true },
	{ "GET", "/api/v1/agreements/{name}", LISTENER_OPERATOR, PA, agreements_show, NULL, "One agreement, what it lacks and what follows from it.", PERSON_READ, true },
	{ "GET", "/api/v1/agreements/{name}/responsibility", LISTENER_OPERATOR, PA, agreements_responsibility, NULL, "Who answers for what on the path.", PERSON_READ, true },
	{ "POST", "/api/v1/agreements/{name}/sign", LISTENER_OPERATOR, 0, agreements_sign, "agreement.refused", "Signs for the own organization.", PERSON_SIGN, false },
	{ "POST", "/api/v1/agreements/{name}/end", LISTENER_OPERATOR, 0, agreements_end, "agreement.refused", "Ends an agreement and what is open under it.", PERSON_SIGN, false },
	{ "GET", "/api/v1/policies/unacknowledged", LISTENER_OPERATOR, 0, policies_unacknowledged, NULL, "The policies of others that wait for the own organization's acknowledgement.", PERSON_READ, true },
	{ "POST", "/api/v1/policies/site/{site}/acknowledge", LISTENER_OPERATOR, 0, policies_acknowledge, "policy.refused", "Acknowledges the policy of another's site.", PERSON_SIGN, false },
	{ "POST", "/api/v1/files", LISTENER_OPERATOR, 0, files_post, "file.refused", "Asks to send a file, sealed; or records that it was refused.", PERSON_REQUEST | PERSON_REPORT, false },
	{ "GET", "/api/v1/files", LISTENER_OPERATOR, PA, files_list, NULL, "The files that the own organization sent or gets.", PERSON_READ, true },
	{ "GET", "/api/v1/files/{id}", LISTENER_OPERATOR, PA, files_get, NULL, "One of them.", PERSON_READ, true },
	{ "POST", "/api/v1/files/{id}/received", LISTENER_OPERATOR, 0, files_received, "file.refused", "A recipient has opened the file.", PERSON_REQUEST | PERSON_REPORT | PERSON_APPROVE, false },
	{ "POST", "/api/v1/files/{id}/refused", LISTENER_OPERATOR, 0, files_refused, "file.refused", "A recipient does not accept the file.", PERSON_REQUEST | PERSON_REPORT | PERSON_APPROVE, true },
	{ "POST", "/api/v1/certificates/persons", LISTENER_OPERATOR, ROLE_PROVIDER, files_certificate, NULL, "Registers a person's certificate, so that it can be revoked.", 0, false },
	{ "POST", "/api/v1/notices", LISTENER_OPERATOR, ROLE_PROVIDER, notices_post, NULL, "Takes a notice of a fault, as JSON or as a mail (message/rfc822).", PERSON_NOTIFY, true },
	{ "GET", "/api/v1/notices", LISTENER_OPERATOR, PA, notices_list, NULL, "What came in: notices of faults, and what is none.", PERSON_READ, true },
	{ "GET", "/api/v1/notices/{id}", LISTENER_OPERATOR, PA, notices_get, NULL, "One notice with its text.", PERSON_READ, true },
	{ "POST", "/api/v1/work-orders", LISTENER_OPERATOR, 0, work_orders_post, "workorder.refused", "Applies for work; an emergency begins at once.", PERSON_APPLY, false },
	{ "GET", "/api/v1/work-orders", LISTENER_OPERATOR, PA, work_orders_list, NULL, "The work orders the own organization is a party of.", PERSON_READ, true },
	{ "GET", "/api/v1/work-orders/{id}", LISTENER_OPERATOR, PA, work_orders_get, NULL, "One work order, with the terms to be signed.", PERSON_READ, true },
	{ "POST", "/api/v1/work-orders/{id}/approve", LISTENER_OPERATOR, 0, work_orders_approve, "workorder.refused", "Hands in a sealed approval.", PERSON_APPROVE, false },
	{ "POST", "/api/v1/work-orders/{id}/refuse", LISTENER_OPERATOR, 0, work_orders_refuse, "workorder.refused", "Refuses work, before it or during it; what is open is cut.", PERSON_APPROVE, true },
	{ "POST", "/api/v1/work-orders/{id}/withdraw", LISTENER_OPERATOR, 0, work_orders_withdraw, "workorder.refused", "Takes an application back.", PERSON_APPLY | PERSON_REPORT, true },
	{ "POST", "/api/v1/work-orders/{id}/begin", LISTENER_OPERATOR, 0, work_orders_begin, "workorder.refused", "Begins: a connection for each target is asked for.", PERSON_REPORT, false },
	{ "POST", "/api/v1/work-orders/{id}/extend", LISTENER_OPERATOR, 0, work_orders_extend, "workorder.refused", "Asks for a later end; it has to be approved.", PERSON_REPORT, false },
	{ "POST", "/api/v1/work-orders/{id}/end", LISTENER_OPERATOR, 0, work_orders_end, "workorder.refused", "Ends the work and all its connections.", PERSON_REPORT, true },
	{ "POST", "/api/v1/work-orders/{id}/deleted", LISTENER_OPERATOR, 0, work_orders_deleted, "workorder.refused", "Hands in the sealed deletion certificate.", PERSON_REPORT, false },
	{ "POST", "/api/v1/work-orders/{id}/report", LISTENER_OPERATOR, 0, work_orders_report, "workorder.refused", "Reports the work.", PERSON_REPORT, false },
	{ "POST", "/api/v1/work-orders/{id}/close", LISTENER_OPERATOR, 0, work_orders_close, "workorder.refused", "Accepts the report and closes.", PERSON_APPROVE, false },
	{ "POST", "/api/v1/organizations", LISTENER_OPERATOR, ROLE_PROVIDER, organizations_post, NULL, "Adds an organization.", 0, false },
	{ "GET", "/api/v1/organizations", LISTENER_OPERATOR, PA, organizations_list, NULL, "The organizations.", 0, false },
	{ "POST", "/api/v1/sites", LISTENER_OPERATOR, ROLE_PROVIDER, sites_post, NULL, "Adds a site with its owner's key.", 0, false },
	{ "GET", "/api/v1/sites", LISTENER_OPERATOR, PSA, sites_list, NULL, "The sites.", PERSON_READ, true },
	{ "POST", "/api/v1/statements", LISTENER_OPERATOR, ROLE_PROVIDER, statements_post, "accreditation.refused", "Takes a statement of the accreditor (JWS).", 0, false },
	{ "GET", "/api/v1/statements", LISTENER_OPERATOR, PA, statements_list, NULL, "The newest statements.", 0, false },
	{ "POST", "/api/v1/crls", LISTENER_OPERATOR, ROLE_PROVIDER | ROLE_DEVICE_CA, crls_post, "crl.refused", "Takes a revocation list of the root or the device CA (DER).", 0, false },
	{ "POST", "/api/v1/policies/provider", LISTENER_OPERATOR, ROLE_PROVIDER, policies_post_provider, "policy.refused", "Activates a provider policy (JWS).", 0, false },
	{ "GET", "/api/v1/policies/provider", LISTENER_OPERATOR, PA, policies_get_provider, NULL, "The active provider policy.", 0, false },
	{ "POST", "/api/v1/policies/site/{site}", LISTENER_OPERATOR, PS, policies_post_site, "policy.refused", "Activates a site policy (JWS).", PERSON_POLICY, false },
	{ "GET", "/api/v1/policies/site/{site}", LISTENER_OPERATOR, PSA, policies_get_site, NULL, "The active policy of a site.", PERSON_READ, true },
	{ "POST", "/api/v1/procedures", LISTENER_OPERATOR, PS, procedures_post, NULL, "Step a: the user applies to join.", 0, false },
	{ "GET", "/api/v1/procedures", LISTENER_OPERATOR, ROLE_ANY, procedures_list, NULL, "The procedures.", 0, false },
	{ "GET", "/api/v1/procedures/{gateway}", LISTENER_OPERATOR, ROLE_ANY, procedures_get, NULL, "One procedure with its steps and their records.", 0, false },
	{ "POST", "/api/v1/procedures/{gateway}/purchase", LISTENER_OPERATOR, PS, procedures_purchase, NULL, "Step b: the user orders from a maker.", 0, false },
	{ "POST", "/api/v1/procedures/{gateway}/register", LISTENER_OPERATOR, ROLE_MAKER, procedures_register, NULL, "Step c: the maker registers the box.", 0, false },
	{ "POST", "/api/v1/procedures/{gateway}/certificate", LISTENER_OPERATOR, ROLE_DEVICE_CA, procedures_certificate, NULL, "Step d: the device certificate was issued.", 0, false },
	{ "POST", "/api/v1/procedures/{gateway}/installed", LISTENER_OPERATOR, ROLE_MAKER, procedures_installed, NULL, "Step e: the device certificate is on the token.", 0, false },
	{ "POST", "/api/v1/procedures/{gateway}/delivered", LISTENER_OPERATOR, ROLE_MAKER, procedures_delivered, NULL, "Step f: the gateway was delivered.", 0, false },
	{ "POST", "/api/v1/procedures/{gateway}/use", LISTENER_OPERATOR, PS, procedures_use, NULL, "Step g: the user applies to use the service.", 0, false },
	{ "GET", "/api/v1/enrolments", LISTENER_OPERATOR, PA, enrolments_list, NULL, "Requests for service certificates.", 0, false },
	{ "POST", "/api/v1/enrolments/{id}/approve", LISTENER_OPERATOR, ROLE_PROVIDER, enrolments_approve, NULL, "Approves a request for a service certificate.", 0, false },
	{ "POST", "/api/v1/enrolments/{id}/refuse", LISTENER_OPERATOR, ROLE_PROVIDER, enrolments_refuse, NULL, "Refuses a request for a service certificate.", 0, false },
	{ "GET", "/api/v1/gateways", LISTENER_OPERATOR, PSA, gateways_list, NULL, "The gateways and their state.", PERSON_READ, true },
	{ "GET", "/api/v1/gateways/{gateway}/journal", LISTENER_OPERATOR, PSA, gateways_journal, NULL, "A gateway's journal, as far as the center has it.", PERSON_READ, true },
	{ "GET", "/api/v1/certificates", LISTENER_OPERATOR, PA, certificates_list, NULL, "The certificates.", 0, false },
	{ "POST", "/api/v1/certificates/revoke", LISTENER_OPERATOR, ROLE_PROVIDER, certificates_revoke, NULL, "Revokes a certificate and ends what rests on it.", 0, false },
	{ "POST", "/api/v1/connections", LISTENER_OPERATOR, PS, connections_post, "connection.refused", "Asks for a connection.", PERSON_REQUEST, false },
	{ "GET", "/api/v1/connections", LISTENER_OPERATOR, PSA, connections_list, NULL, "The connections, newest first.", PERSON_READ, true },
	{ "GET", "/api/v1/connections/{id}", LISTENER_OPERATOR, PSA, connections_get, NULL, "One connection.", PERSON_READ, true },
	{ "POST", "/api/v1/connections/{id}/cut", LISTENER_OPERATOR, PS, connections_cut, NULL, "Ends a connection now.", PERSON_CUT, true },
	{ "POST", "/api/v1/explain", LISTENER_OPERATOR, PS, connections_explain, NULL, "What would be decided, and why.", PERSON_REQUEST | PERSON_READ, true },
	{ "GET", "/api/v1/ledger/entries", LISTENER_OPERATOR, PA, ledger_entries, NULL, "Records of the ledger.", 0, false },
	{ "GET", "/api/v1/ledger/proof", LISTENER_OPERATOR, PA, ledger_proof, NULL, "The proof that a record is in the ledger.", 0, false },
	{ "POST", "/api/v1/epoch", LISTENER_OPERATOR, ROLE_PROVIDER, ledger_raise_epoch, NULL, "Makes every grant there is void.", 0, false },
};
/* clang-format on */

/* Matches one segment after the other. Writes what stands for {…}. */
static bool match(const char *pattern, const char *path, char *parameter, size_t parameter_bytes)
{
	*parameter = '\0';
	while (*pattern && *path) {
		size_t count;

		if (*pattern != '{') {
			if (*pattern++ != *path++) {
				return false;
			}
			continue;
		}
		count = text_starts(pattern, "{rest}") ? strlen(path) : strcspn(path, "/");
		if (count == 0 || count >= parameter_bytes) {
			return false;
		}
		memcpy(parameter, path, count);
		parameter[count] = '\0';
		path += count;
		pattern += strcspn(pattern, "}") + 1;
	}
	return !*pattern && !*path;
}

/* The route, or NULL; `ret_other` tells whether the path is there with another method. */
static const struct route *find(struct exchange *exchange, bool *ret_other)
{
	*ret_other = false;
	for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
		if (table[i].listener != exchange->request->listener ||
		        !match(table[i].path, exchange->request->path, exchange->parameter,
		                sizeof(exchange->parameter))) {
			continue;
		}
		if (text_equal(table[i].method, exchange->request->method)) {
			return &table[i];
		}
		*ret_other = true;
	}
	*exchange->parameter = '\0';
	return NULL;
}

static bool changes(const struct route *route)
{
	return !text_equal(route->method, "GET");
}

/* Whether a person may: by a role of its own, or as the provider's. Outcome 1: answered. */
static int check_person(struct exchange *exchange)
{
	const struct route *route = exchange->route;
	const struct person *person = exchange->person;

	if (!person_may(person->roles, route->person) && !(exchange->roles.set & route->roles)) {
		AUTO_BUF struct buf roles = BUF(STORE_TEXT_BYTES_MAX);

		person_roles_print(person->roles, &roles);
		answer_problem(exchange, 403, "the person's roles (%s) do not allow this",
		        buf_text(&roles));
		return 1;
	}
	if (changes(route) && !route->bare && !exchange->session) {
		answer_problem(
		        exchange, 403, "this needs a session: log in with the second factor first");
		return 1;
	}
	return 0;
}

static int check_operator(struct exchange *exchange, const struct store_operator *row)
{
	struct center *center = exchange->center;
	struct err err = { 0 };

	if (row->expires_usec < clock_wall_usec() ||
	        roles_parse(row->roles, &exchange->roles, &err) != 0) {
		answer_problem(exchange, 401, "the token is no longer valid");
		return 1;
	}
	memcpy(exchange->operator_name, row->name, sizeof(exchange->operator_name));
	center->actor_type = "operator";
	center->actor_name = exchange->operator_name;
	if (!roles_any(&exchange->roles, exchange->route->roles)) {
		answer_problem(
		        exchange, 403, "the token's roles (%s) do not allow this", row->roles);
		return 1;
	}
	return 0;
}

/* Outcome 1: nobody we know, or not allowed; a problem was answered. */
static int identify_operator(struct exchange *exchange)
{
	const char *header = exchange->request->authorization;
	struct store_operator row = { 0 };
	struct err err = { 0 };
	struct hash hash;
	int r;

	if (!text_starts(header, "Bearer ")) {
		answer_problem(exchange, 401, "a valid bearer token is needed");
		return 1;
	}
	/* Found by its hash, so there is no comparison of the secret to be timed. */
	hash = hash_of(header + 7, strlen(header + 7));
	r = store_operator_get_token(exchange->center->store, hash.bytes, &row);
	core_must(r < 0 ? r : 0, "look for a token");
	if (r == 0) {
		return check_operator(exchange, &row);
	}
	if (session_identify(exchange, hash.bytes, &err) != 0) {
		answer_problem(exchange, 401, "%s", err.text);
		return 1;
	}
	return check_person(exchange);
}

static int identify_gateway(struct exchange *exchange)
{
	static const struct route stranger = { .refused = "gateway.refused" };
	struct center *center = exchange->center;
	struct err err = { 0 };
	int r = trust_peer(center, exchange->request, CERT_SET(CERT_SERVICE), &exchange->gateway,
	        &exchange->kind, &err);

	if (r != 0) {
		exchange->gateway = NULL;
		exchange->route = &stranger;
		answer_problem(exchange, 403, "%s", err.text);
		return 1;
	}
	center->actor_type = "gateway";
	center->actor_name = exchange->gateway->name;
	return 0;
}

void routes_serve(struct center *center, struct front_link *front, uint32_t tag,
        const struct request *request)
{
	struct exchange exchange = {
		.center = center, .front = front, .tag = tag, .request = request
	};
	bool other;
	int r = 0;

	center->counts.requests++;
	center->actor_type = NULL;
	center->actor_name = NULL;
	center->factor = FACTOR_NONE;
	exchange.route = find(&exchange, &other);
	if (!exchange.route) {
		answer_problem(&exchange, other ? 405 : 404, "there is no %s %s here",
		        request->method, request->path);
		return;
	}
	if (request->listener == LISTENER_OPERATOR) {
		r = identify_operator(&exchange);
	} else if (request->listener == LISTENER_DEVICE) {
		r = identify_gateway(&exchange);
	}
	if (r == 0) {
		exchange.route->handler(&exchange);
	}
	center->actor_type = NULL;
	center->actor_name = NULL;
	assert_always(exchange.answered);
}

static void print_roles(unsigned roles)
{
	static const struct {
		enum role role;
		const char *name;
	} names[] = { { ROLE_PROVIDER, "provider" }, { ROLE_SITE, "site" }, { ROLE_MAKER, "maker" },
		{ ROLE_DEVICE_CA, "device-ca" }, { ROLE_AUDITOR, "auditor" } };
	const char *comma = "";

	for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
		if (roles & names[i].role) {
			printf("%s\"%s\"", comma, names[i].name);
			comma = ",";
		}
	}
}

static void print_actions(unsigned actions)
{
	const char *comma = "";

	for (int i = 0; i < PERSON_ACTION_COUNT; i++) {
		if (actions & 1U << i) {
			printf("%s\"%s\"", comma,
			        person_action_name((enum person_action)(1U << i)));
			comma = ",";
		}
	}
}

static void print_operation(const struct route *route)
{
	const char *open = strchr(route->path, '{');
	static const char *const security[LISTENER_COUNT] = { "certificate", "certificate", "token",
		NULL, NULL };
	char lower[8] = "";

	for (size_t i = 0; route->method[i] && i + 1 < sizeof(lower); i++) {
		lower[i] = (char)(route->method[i] | 0x20);
	}
	printf("\"%s\":{\"summary\":\"%s\",\"tags\":[\"%s\"]", lower, route->summary,
	        listener_name(route->listener));
	if (security[route->listener]) {
		printf(",\"security\":[{\"%s\":[]}]", security[route->listener]);
	}
	if (route->roles) {
		printf(",\"x-roles\":[");
		print_roles(route->roles);
		printf("]");
	}
	if (route->person) {
		printf(",\"x-person\":[");
		print_actions(route->person);
		printf("],\"x-session\":%s", changes(route) && !route->bare ? "true" : "false");
	}
	if (open) {
		printf(",\"parameters\":[{\"name\":\"%.*s\",\"in\":\"path\",\"required\":true,"
		       "\"schema\":{\"type\":\"string\"}}]",
		        (int)strcspn(open + 1, "}"), open + 1);
	}
	printf(",\"responses\":{\"2XX\":{\"description\":\"done\"},\"4XX\":{\"description\":"
	       "\"refused\","
	       "\"content\":{\"application/problem+json\":{\"schema\":{\"$ref\":"
	       "\"#/components/schemas/Problem\"}}}}}}");
}

void routes_print_openapi(void)
{
	const char *comma = "";

	printf("{\"openapi\":\"3.1.0\",\"info\":{\"title\":\"Sekisho center\",\"version\":\"%s\"},"
	       "\"paths\":{",
	        SEKISHO_VERSION);
	for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
		bool first = true;

		for (size_t j = 0; j < i; j++) {
			first = first && !text_equal(table[i].path, table[j].path);
		}
		if (!first) {
			continue;
		}
		printf("%s\n\"%s\":{", comma, table[i].path);
		comma = "";
		for (size_t j = i; j < ARRAY_COUNT(table); j++) {
			if (text_equal(table[i].path, table[j].path)) {
				printf("%s", comma);
				print_operation(&table[j]);
				comma = ",";
			}
		}
		printf("}");
		comma = ",";
	}
	printf("},\n\"components\":{\"securitySchemes\":{\"token\":{\"type\":\"http\",\"scheme\":"
	       "\"bearer\"},\"certificate\":{\"type\":\"mutualTLS\"}},\"schemas\":{\"Problem\":{"
	       "\"type\":"
	       "\"object\",\"properties\":{\"title\":{\"type\":\"string\"},\"status\":{\"type\":"
	       "\"integer\"},\"detail\":{\"type\":\"string\"}}}}}}\n");
}
