#include "model/grant.h"

#include <string.h>

#include "base/clock.h"
#include "wire/json.h"

/* The payload as it is read; the texts become values afterwards. */
struct end_fields {
	struct grant_end end;
	char address[ADDRESS_TEXT_BYTES_MAX], service[ADDRESS_TEXT_BYTES_MAX];
};

struct grant_fields {
	struct grant grant;
	uint64_t v, number, port, lease_sec, idle_sec;
	char class[NAME_BYTES_MAX + 1];
	int protocol, ike;
	struct end_fields initiator, responder;
};

static const char *const side_names[] = { "initiator", "responder", NULL };
static const char *const protocol_names[] = { "tcp", "udp", "icmp", NULL };
static const enum protocol protocol_values[] = { PROTOCOL_TCP, PROTOCOL_UDP, PROTOCOL_ICMP };

static const struct json_field end_fields[] = {
	{ JSON_FIELD("site", FIELD_NAME, struct end_fields, end.site), .required = true },
	{ JSON_FIELD("gateway", FIELD_NAME, struct end_fields, end.gateway), .required = true },
	{ JSON_FIELD("identity", FIELD_TEXT, struct end_fields, end.identity), .required = true,
	        .min = 1, .max = IDENTITY_BYTES_MAX },
	{ JSON_FIELD("serial", FIELD_HEX, struct end_fields, end.serial), .required = true,
	        .min = 2, .max = SERIAL_TEXT_BYTES_MAX },
	{ JSON_FIELD("address", FIELD_TEXT, struct end_fields, address), .required = true, .min = 1,
	        .max = ADDRESS_TEXT_BYTES_MAX - 1 },
	{ JSON_FIELD("host", FIELD_NAME, struct end_fields, end.host), .required = true },
	{ JSON_FIELD("service", FIELD_TEXT, struct end_fields, service), .required = true, .min = 1,
	        .max = ADDRESS_TEXT_BYTES_MAX - 1 },
	{ 0 },
};

static const struct json_field policy_fields[] = {
	{ JSON_FIELD("provider", FIELD_COUNT, struct grant_fields, grant.policy_provider),
	        .required = true, .min = 1 },
	{ JSON_FIELD("initiator", FIELD_COUNT, struct grant_fields, grant.policy_initiator),
	        .required = true, .min = 1 },
	{ JSON_FIELD("responder", FIELD_COUNT, struct grant_fields, grant.policy_responder),
	        .required = true, .min = 1 },
	{ 0 },
};

static const struct json_field grant_fields[] = {
	{ JSON_FIELD("v", FIELD_COUNT, struct grant_fields, v), .required = true, .min = 1,
	        .max = 1 },
	{ JSON_FIELD("id", FIELD_ID, struct grant_fields, grant.id), .required = true },
	{ JSON_FIELD("number", FIELD_COUNT, struct grant_fields, number), .required = true,
	        .min = 1, .max = INT32_MAX },
	{ JSON_FIELD("provider", FIELD_NAME, struct grant_fields, grant.provider),
	        .required = true },
	{ JSON_FIELD("epoch", FIELD_COUNT, struct grant_fields, grant.epoch), .required = true },
	{ JSON_FIELD("class", FIELD_NAME, struct grant_fields, class), .required = true },
	{ JSON_FIELD("person", FIELD_TEXT, struct grant_fields, grant.person), .required = true,
	        .max = PERSON_BYTES_MAX },
	{ JSON_FIELD("initiator", FIELD_OBJECT, struct grant_fields, initiator), .required = true,
	        .fields = end_fields },
	{ JSON_FIELD("responder", FIELD_OBJECT, struct grant_fields, responder), .required = true,
	        .fields = end_fields },
	{ JSON_FIELD("ike", FIELD_CHOICE, struct grant_fields, ike), .required = true,
	        .choices = side_names },
	{ JSON_FIELD("protocol", FIELD_CHOICE, struct grant_fields, protocol), .required = true,
	        .choices = protocol_names },
	{ JSON_FIELD("port", FIELD_COUNT, struct grant_fields, port), .required = true,
	        .max = UINT16_MAX },
	{ JSON_FIELD("work_order", FIELD_TEXT, struct grant_fields, grant.work_order),
	        .required = true, .max = ID_BYTES_MAX },
	{ JSON_FIELD("emergency", FIELD_BOOL, struct grant_fields, grant.emergency),
	        .required = true },
	{ JSON_FIELD("outage", FIELD_BOOL, struct grant_fields, grant.outage), .required = true },
	{ JSON_FIELD("idle_sec", FIELD_COUNT, struct grant_fields, idle_sec), .required = true,
	        .max = GRANT_SEC_MAX },
	{ JSON_FIELD("issued_at", FIELD_TIME, struct grant_fields, grant.issued_at),
	        .required = true },
	{ JSON_FIELD("not_before", FIELD_TIME, struct grant_fields, grant.not_before),
	        .required = true },
	{ JSON_FIELD("not_after", FIELD_TIME, struct grant_fields, grant.not_after),
	        .required = true },
	{ JSON_FIELD("lease_sec", FIELD_COUNT, struct grant_fields, lease_sec), .required = true,
	        .min = 1, .max = LEASE_SEC_MAX },
	{ .key = "policy", .type = FIELD_OBJECT, .required = true, .fields = policy_fields },
	{ 0 },
};

/* Outcome 1: an address is not one. */
static int end_finish(
        struct end_fields *fields, const char *side, struct grant_end *ret_end, struct err *err)
{
	if (strcmp(fields->address, "any") != 0 &&
	        address_parse(fields->address, &fields->end.address) != 0) {
		return err_set(err, 1, "%s.address: must be an IP address or \"any\"", side);
	}
	if (address_parse(fields->service, &fields->end.service) != 0) {
		return err_set(err, 1, "%s.service: must be an IP address", side);
	}
	*ret_end = fields->end;
	return 0;
}

static int grant_finish(struct grant_fields *fields, struct grant *ret_grant, struct err *err)
{
	struct grant *grant = &fields->grant;
	int r;

	if (service_class_parse(fields->class, &grant->class) != 0) {
		return err_set(err, 1, "class: there is no such service class");
	}
	r = end_finish(&fields->initiator, "initiator", &grant->initiator, err);
	if (r == 0) {
		r = end_finish(&fields->responder, "responder", &grant->responder, err);
	}
	if (r != 0) {
		return r;
	}
	grant->number = (uint32_t)fields->number;
	grant->port = (uint16_t)fields->port;
	grant->lease_sec = (uint32_t)fields->lease_sec;
	grant->idle_sec = (uint32_t)fields->idle_sec;
	grant->ike = (enum grant_side)fields->ike;
	grant->protocol = protocol_values[fields->protocol];
	*ret_grant = *grant;
	return 0;
}

int grant_parse(const void *payload, size_t count, struct grant *ret_grant, struct err *err)
{
	AUTO_BUF struct buf canonical = BUF(JSON_BYTES_MAX);
	struct grant_fields fields = { 0 };
	struct grant grant;
	int r;

	r = json_read(payload, count, grant_fields, &fields, NULL, err);
	if (r == 0) {
		r = grant_finish(&fields, &grant, err);
	}
	if (r == 0) {
		r = grant_check(&grant, err);
	}
	if (r != 0) {
		return r;
	}
	grant_print(&grant, &canonical);
	if (canonical.count != count || memcmp(canonical.bytes, payload, count) != 0) {
		return err_set(err, 1, "the grant is not in its canonical form");
	}
	*ret_grant = grant;
	return 0;
}

static json_t *end_tree(const struct grant_end *end)
{
	bool any = end->address.family == ADDRESS_NONE;

	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "site", end->site, "gateway",
	        end->gateway, "identity", end->identity, "serial", end->serial, "address",
	        any ? "any" : address_print(end->address).text, "host", end->host, "service",
	        address_print(end->service).text);
}

void grant_print(const struct grant *grant, struct buf *out)
{
	AUTO_JSON json_t *tree = json_pack(
	        "{s:i, s:s, s:I, s:s, s:I, s:s, s:s, s:o, s:o, s:s, s:s, s:i, s:s, s:b, s:b, s:I,"
	        " s:s, s:s, s:s, s:I, s:{s:I, s:I, s:I}}",
	        "v", 1, "id", grant->id.text, "number", (json_int_t)grant->number, "provider",
	        grant->provider, "epoch", (json_int_t)grant->epoch, "class",
	        service_class_name(grant->class), "person", grant->person, "initiator",
	        end_tree(&grant->initiator), "responder", end_tree(&grant->responder), "ike",
	        grant_side_name(grant->ike), "protocol", protocol_name(grant->protocol), "port",
	        (int)grant->port, "work_order", grant->work_order, "emergency",
	        (int)grant->emergency, "outage", (int)grant->outage, "idle_sec",
	        (json_int_t)grant->idle_sec, "issued_at", time_print(grant->issued_at).text,
	        "not_before", time_print(grant->not_before).text, "not_after",
	        time_print(grant->not_after).text, "lease_sec", (json_int_t)grant->lease_sec,
	        "policy", "provider", (json_int_t)grant->policy_provider, "initiator",
	        (json_int_t)grant->policy_initiator, "responder",
	        (json_int_t)grant->policy_responder);

	assert_always(tree != NULL);
	json_print(tree, out);
}

static int64_t round_msec(int64_t usec)
{
	return usec - usec % USEC_PER_MSEC;
}

void grant_round(struct grant *grant)
{
	grant->issued_at = round_msec(grant->issued_at);
	grant->not_before = round_msec(grant->not_before);
	grant->not_after = round_msec(grant->not_after);
}

/* Labels as in name_valid(), joined by dots (RFC 1035 2.3.1 without capitals). */
static bool identity_valid(const char *text)
{
	char label[NAME_BYTES_MAX + 1];

	for (;; text++) {
		size_t count = strcspn(text, ".");

		if (count > NAME_BYTES_MAX) {
			return false;
		}
		memcpy(label, text, count);
		label[count] = '\0';
		if (!name_valid(label)) {
			return false;
		}
		text += count;
		if (*text == '\0') {
			return true;
		}
	}
}

static int check_end(const struct grant_end *end, const char *side, struct err *err)
{
	if (!name_valid(end->site) || !name_valid(end->gateway) || !name_valid(end->host)) {
		return err_set(err, 1, "%s: site, gateway and host must be names", side);
	}
	if (!identity_valid(end->identity)) {
		return err_set(err, 1, "%s.identity: must be a DNS name in lower case", side);
	}
	if (end->serial[0] == '\0') {
		return err_set(err, 1, "%s.serial: is missing", side);
	}
	if (end->address.family != ADDRESS_NONE &&
	        address_scope(end->address) == ADDRESS_UNUSABLE) {
		return err_set(err, 1, "%s.address: no gateway can be at this address", side);
	}
	if (address_scope(end->service) == ADDRESS_UNUSABLE) {
		return err_set(err, 1, "%s.service: no host can be at this address", side);
	}
	return 0;
}

static int check_ends(const struct grant *grant, struct err *err)
{
	const struct grant_end *initiator = &grant->initiator, *responder = &grant->responder;
	bool initiator_any = initiator->address.family == ADDRESS_NONE;
	bool responder_any = responder->address.family == ADDRESS_NONE;

	if (strcmp(initiator->site, responder->site) == 0 ||
	        strcmp(initiator->gateway, responder->gateway) == 0 ||
	        strcmp(initiator->identity, responder->identity) == 0) {
		return err_set(err, 1, "the two ends must differ in site, gateway and identity");
	}
	if (initiator->service.family != responder->service.family ||
	        address_equal(initiator->service, responder->service)) {
		return err_set(err, 1,
		        "the two service addresses must differ and be of one address family");
	}
	if (initiator_any && responder_any) {
		return err_set(err, 1, "both gateways are behind NAT: neither can reach the other");
	}
	if ((initiator_any && grant->ike != GRANT_INITIATOR) ||
	        (responder_any && grant->ike != GRANT_RESPONDER)) {
		return err_set(err, 1, "ike: the gateway behind NAT has to start");
	}
	if (!initiator_any && !responder_any &&
	        initiator->address.family != responder->address.family) {
		return err_set(err, 1, "the two gateways must be reached by one address family");
	}
	return 0;
}

/* Who asked, and for which job. */
static int check_person(const struct grant *grant, struct err *err)
{
	if (grant->work_order[0] != '\0' && !id_valid(grant->work_order)) {
		return err_set(err, 1, "work_order: must be an id or empty");
	}
	if (grant->person[0] == '\0' && (grant->class == SERVICE_REMOTE_MAINTENANCE ||
	                                        grant->work_order[0] != '\0' || grant->emergency)) {
		return err_set(err, 1,
		        "person: must be named for remote maintenance, a work order and an "
		        "emergency");
	}
	return 0;
}

int grant_check(const struct grant *grant, struct err *err)
{
	int r = check_end(&grant->initiator, "initiator", err);

	if (r == 0) {
		r = check_end(&grant->responder, "responder", err);
	}
	if (r == 0) {
		r = check_ends(grant, err);
	}
	if (r != 0) {
		return r;
	}
	if (!id_valid(grant->id.text) || !name_valid(grant->provider)) {
		return err_set(err, 1, "id and provider must be given");
	}
	r = check_person(grant, err);
	if (r != 0) {
		return r;
	}
	if (grant->number < 1 || grant->number > INT32_MAX) {
		return err_set(err, 1, "number: must be from 1 to %d", INT32_MAX);
	}
	if (!service_class_info(grant->class)) {
		return err_set(err, 1, "class: there is no such service class");
	}
	if (!protocol_port_valid(grant->protocol, grant->port)) {
		return err_set(
		        err, 1, "port: must be 0 with icmp and from 1 to 65535 with tcp and udp");
	}
	if (grant->not_after <= grant->not_before || grant->not_after <= grant->issued_at) {
		return err_set(err, 1, "not_after: must be later than not_before and issued_at");
	}
	if (grant->not_after - grant->not_before > GRANT_SEC_MAX * USEC_PER_SEC) {
		return err_set(err, 1, "not_after: a grant lasts at most %d s", GRANT_SEC_MAX);
	}
	if (grant->lease_sec < 1 || grant->lease_sec > LEASE_SEC_MAX) {
		return err_set(err, 1, "lease_sec: must be from 1 to %d", LEASE_SEC_MAX);
	}
	if (grant->idle_sec > GRANT_SEC_MAX) {
		return err_set(err, 1, "idle_sec: must be at most %d", GRANT_SEC_MAX);
	}
	if (grant->policy_provider < 1 || grant->policy_initiator < 1 ||
	        grant->policy_responder < 1) {
		return err_set(err, 1, "policy: the versions must be given");
	}
	return 0;
}

const struct grant_end *grant_end(const struct grant *grant, enum grant_side side)
{
	return side == GRANT_INITIATOR ? &grant->initiator : &grant->responder;
}

int grant_side_of(const struct grant *grant, const char *identity, enum grant_side *ret_side)
{
	if (strcmp(grant->initiator.identity, identity) == 0) {
		*ret_side = GRANT_INITIATOR;
		return 0;
	}
	if (strcmp(grant->responder.identity, identity) == 0) {
		*ret_side = GRANT_RESPONDER;
		return 0;
	}
	return 1;
}

bool grant_older(const struct grant *left, const struct grant *right)
{
	return left->issued_at != right->issued_at ? left->issued_at < right->issued_at
	                                           : left->number < right->number;
}

const char *grant_side_name(enum grant_side side)
{
	return side_names[side == GRANT_RESPONDER];
}
