/*
 * First traffic (protocol.md 3.1): a host behind a gateway has sent a packet to a service address,
 * and the gateway's policy says that this opens a connection. Nobody asks, so more is looked at
 * than for a request: both sites' rules have to say so, and no person may have cut it since
 * somebody asked for it last. Who asks is the gateway, by its service certificate.
 */
#include <stdio.h>
#include <string.h>

#include "center/api_connections.h"
#include "center/live.h"
#include "center/policies.h"
#include "center/registry.h"
#include "center/routes.h"

#define MINUTE_USEC (60 * USEC_PER_SEC)

struct asking {
	char from[NAME_BYTES_MAX + 1], site[NAME_BYTES_MAX + 1];
	char address[ADDRESS_TEXT_BYTES_MAX], protocol[16];
	uint64_t port;
};

static const struct json_field asking_fields[] = {
	{ JSON_FIELD("from", FIELD_NAME, struct asking, from), .required = true },
	{ JSON_FIELD("site", FIELD_NAME, struct asking, site), .required = true },
	{ JSON_FIELD("address", FIELD_TEXT, struct asking, address), .required = true, .min = 1,
	        .max = ADDRESS_TEXT_BYTES_MAX - 1 },
	{ JSON_FIELD("protocol", FIELD_TEXT, struct asking, protocol), .required = true, .min = 1,
	        .max = 15 },
	{ JSON_FIELD("port", FIELD_COUNT, struct asking, port), .max = 65535 },
	{ 0 },
};

/* False: this gateway has asked too often in this minute. */
static bool count_question(struct gateway *gateway, int64_t now)
{
	if (now - gateway->traffic_usec >= MINUTE_USEC) {
		gateway->traffic_usec = now;
		gateway->traffic_count = 0;
	}
	gateway->traffic_count++;
	return gateway->traffic_count <= TRAFFIC_ASKS_PER_MINUTE_MAX;
}

/* The host that has this service address. Outcome 1: the site has none. */
static int find_host(const struct site_entry *site, struct address address, struct host_ref *ref)
{
	size_t count = site && site->policy ? site_policy_host_count(site->policy) : 0;

	for (size_t i = 0; i < count; i++) {
		struct policy_host host;

		site_policy_host_at(site->policy, i, &host);
		if (address_equal(host.service, address)) {
			snprintf(ref->site, sizeof(ref->site), "%s", site->name);
			snprintf(ref->host, sizeof(ref->host), "%s", host.name);
			return 0;
		}
	}
	return 1;
}

/* The class is that of the first rule of the asking site that opens it on traffic. */
static enum service_class find_class(
        const struct site_entry *site, const struct policy_request *request)
{
	struct site_policy_traffic traffic;
	size_t at = 0;

	while (site && site->policy &&
	        site_policy_traffic_next(site->policy, request->from.host, request->protocol,
	                request->port, &at, &traffic) == 0) {
		if (text_equal(traffic.peer_site, request->to.site) &&
		        (!traffic.peer_host || text_equal(traffic.peer_host, request->to.host))) {
			return traffic.class;
		}
	}
	return SERVICE_CLASS_NONE;
}

static int read_asking(struct exchange *exchange, struct connection_request *request)
{
	struct center *center = exchange->center;
	const struct gateway *gateway = exchange->gateway;
	struct policy_request *policy = &request->policy;
	struct asking asking = { 0 };
	struct address address;

	if (exchange_body(exchange, asking_fields, &asking) != 0) {
		return 1;
	}
	if (address_parse(asking.address, &address) != 0 ||
	        protocol_parse(asking.protocol, &policy->protocol) != 0 ||
	        !protocol_port_valid(policy->protocol, (uint16_t)asking.port)) {
		answer_problem(exchange, 400, "address, protocol, port: are none");
		return 1;
	}
	policy->port = (uint16_t)asking.port;
	policy->traffic = true;
	memcpy(policy->from.site, gateway->site, sizeof(policy->from.site));
	memcpy(policy->from.host, asking.from, sizeof(policy->from.host));
	memcpy(request->gateway, gateway->name, sizeof(request->gateway));
	if (find_host(registry_site(center, asking.site), address, &policy->to) == 0) {
		policy->class = find_class(registry_site(center, gateway->site), policy);
	}
	if (policy->class == SERVICE_CLASS_NONE) {
		answer_problem(exchange, 403,
		        "first traffic of %s/%s to %s at %s, %s port %u: no host there, or no rule "
		        "of %s that opens it",
		        gateway->site, asking.from, asking.address, asking.site, asking.protocol,
		        (unsigned)asking.port, gateway->site);
		return 1;
	}
	return 0;
}

/* --- what a person cut --------------------------------------------------- */

#define PAGE_ROWS 256
/* Of one site; beyond, it cannot be told whether somebody cut it, and that is a no. */
#define ROWS_MAX 4096

struct search {
	const struct policy_request *request;
	int64_t now;
	size_t count;
	bool done, held;
	char last[ID_BYTES_MAX + 1];
	struct connection_row row;
};

static bool is_same(const struct connection_row *row, const struct policy_request *request)
{
	const struct grant *grant = &row->grant;

	return text_equal(grant->initiator.site, request->from.site) &&
	       text_equal(grant->initiator.host, request->from.host) &&
	       text_equal(grant->responder.site, request->to.site) &&
	       text_equal(grant->responder.host, request->to.host) &&
	       grant->protocol == request->protocol && grant->port == request->port;
}

static int look_at(void *context, const void *row)
{
	const struct store_connection *stored = row;
	struct search *search = context;

	search->count++;
	memcpy(search->last, stored->id, sizeof(search->last));
	if (search->done || !text_equal(stored->responder_site, search->request->to.site)) {
		return 0;
	}
	if (live_unpack(stored, &search->row) != 0) {
		search->done = search->held = true;
		return 0;
	}
	/* Nothing lives longer than a day, so what began two days ago was cut a day ago. */
	if (search->now - search->row.grant.issued_at >
	        (GRANT_SEC_MAX + TRAFFIC_HOLD_SEC) * USEC_PER_SEC) {
		search->done = true;
	} else if (is_same(&search->row, search->request)) {
		search->held = search->row.held && search->now - search->row.changed_at <
		                                           TRAFFIC_HOLD_SEC * USEC_PER_SEC;
		/* What somebody asked for since is his word. */
		search->done = search->held || !search->row.traffic;
	}
	return 0;
}

/* Whether a person cut it and nobody has asked for it since. */
static bool is_held(struct center *center, struct search *search)
{
	for (size_t before = SIZE_MAX; !search->done && search->count != before;) {
		before = search->count;
		if (before >= ROWS_MAX) {
			search->row = (struct connection_row){ .by = "somebody, perhaps" };
			return true;
		}
		core_must(store_connection_list(center->store, search->request->from.site,
		                  search->last, PAGE_ROWS, look_at, search),
		        "read the connections of a site");
	}
	return search->held;
}

void device_traffic(struct exchange *exchange)
{
	struct connection_request request = { 0 };
	struct search search = { .request = &request.policy, .now = clock_wall_usec() };

	if (!count_question(exchange->gateway, clock_monotonic_usec())) {
		answer_problem(exchange, 429,
		        "more than %d questions for first traffic in a minute",
		        TRAFFIC_ASKS_PER_MINUTE_MAX);
		return;
	}
	if (read_asking(exchange, &request) != 0) {
		return;
	}
	if (is_held(exchange->center, &search)) {
		answer_problem(exchange, 403,
		        "first traffic of %s to %s: %s has cut this connection; it opens when "
		        "somebody asks for it, and on traffic a day after the cut",
		        host_ref_print(&request.policy.from).text,
		        host_ref_print(&request.policy.to).text, search.row.by);
		return;
	}
	connection_request_serve(exchange, &request);
}
