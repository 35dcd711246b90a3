#include "model/agreement.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "wire/json.h"

static const struct agreement_clause_info clauses[AGREEMENT_CLAUSES] = {
	{ "start", "who starts sending, and when", "送信の時期と開始する者" },
	{ "sender-unreachable", "what happens when the sender cannot connect",
	        "送信元が接続できない場合" },
	{ "receiver-unreachable", "what happens when the receiver cannot connect",
	        "送信先が接続できない場合" },
	{ "path-fault", "what happens when the path is interrupted or very slow",
	        "経路の不通または著しい遅延" },
	{ "received-wrong", "what happens when something was received wrongly",
	        "正しく受信できなかった場合" },
	{ "encryption-fault", "what happens when encryption fails", "暗号化の不具合" },
	{ "authentication-fault", "what happens when the two cannot authenticate each other",
	        "認証の不具合" },
	{ "fault-isolation", "who finds out where a fault lies", "障害部位を切り分ける責任" },
	{ "discontinued", "what happens when either side stops the exchange",
	        "情報交換を中止する場合" },
	{ "equipment", "who manages equipment for communication, encryption and authentication",
	        "機器の管理責任" },
	{ "explanation", "who explains to patients", "患者等への説明責任" },
	{ "recovery", "who is dedicated to recovery and to informing others",
	        "復旧と連絡に当たる専任者" },
	{ "result", "who answers for the result of what was exchanged", "結果責任" },
	{ "inquiry", "how inquiries of patients are passed on and kept confidential",
	        "患者からの照会" },
};

static const char *const places[] = { "host-a", "network-a", "gateway-a", "line-a", "internet",
	"line-b", "gateway-b", "network-b", "host-b", NULL };
static const char *const relations[] = { "entrustment", "third-party", NULL };
static const char *const recipients[] = { "one", "identified", "unidentified", NULL };
static const char *const consents[] = { "none", "implicit", "explicit", NULL };
static const char *const networks[] = { "unsaid", "leased-line", "public-line", "closed-ip", "open",
	NULL };
static const char *const states[] = { "draft", "in-force", "ended", NULL };
static const char *const threats[THREAT_COUNT] = { "eavesdropping", "tampering", "intrusion",
	"disturbance", "quality" };

const struct agreement_clause_info *agreement_clause_info(unsigned number)
{
	return number >= 1 && number <= AGREEMENT_CLAUSES ? &clauses[number - 1] : NULL;
}

unsigned agreement_clause_of(const char *incident)
{
	for (unsigned i = 0; i < AGREEMENT_CLAUSES; i++) {
		if (text_equal(clauses[i].incident, incident)) {
			return i + 1;
		}
	}
	return 0;
}

const char *agreement_place_name(enum agreement_place place)
{
	return place < PLACE_COUNT ? places[place] : "";
}

const char *agreement_relation_name(enum agreement_relation relation)
{
	return relation <= RELATION_THIRD_PARTY ? relations[relation] : "";
}

const char *agreement_state_name(enum agreement_state state)
{
	return state <= AGREEMENT_STATE_ENDED ? states[state] : "";
}

int agreement_state_parse(const char *text, enum agreement_state *ret_state)
{
	for (int i = 0; states[i]; i++) {
		if (text_equal(states[i], text)) {
			*ret_state = (enum agreement_state)i;
			return 0;
		}
	}
	return 1;
}

const char *agreement_threat_name(enum agreement_threat threat)
{
	return threat < THREAT_COUNT ? threats[threat] : "";
}

/* --- reading ------------------------------------------------------------- */

struct network_part {
	int kind;
	bool assured;
};

struct encrypted_part {
	char from[NAME_BYTES_MAX + 1], to[NAME_BYTES_MAX + 1];
};

struct document {
	char name[NAME_BYTES_MAX + 1], class[NAME_BYTES_MAX + 1];
	json_t *parties, *hosts, *protocols, *demarcation, *clauses, *policies;
	int64_t not_before, not_after;
	int relation, recipients, consent;
	char legal_basis[256];
	struct network_part network;
	struct encrypted_part encrypted;
};

static const struct json_field network_fields[] = {
	{ JSON_FIELD("kind", FIELD_CHOICE, struct network_part, kind), .required = true,
	        .choices = networks },
	{ JSON_FIELD("assured", FIELD_BOOL, struct network_part, assured) },
	{ 0 },
};

static const struct json_field encrypted_fields[] = {
	{ JSON_FIELD("from", FIELD_NAME, struct encrypted_part, from), .required = true },
	{ JSON_FIELD("to", FIELD_NAME, struct encrypted_part, to), .required = true },
	{ 0 },
};

static const struct json_field document_fields[] = {
	{ JSON_FIELD("name", FIELD_NAME, struct document, name), .required = true },
	{ JSON_FIELD("parties", FIELD_LIST, struct document, parties), .required = true, .min = 2,
	        .max = 2 },
	{ JSON_FIELD("class", FIELD_NAME, struct document, class), .required = true },
	{ JSON_FIELD("hosts", FIELD_LIST, struct document, hosts), .max = AGREEMENT_HOSTS_MAX },
	{ JSON_FIELD("protocols", FIELD_LIST, struct document, protocols),
	        .max = AGREEMENT_PROTOCOLS_MAX },
	{ JSON_FIELD("not_before", FIELD_TIME, struct document, not_before), .required = true },
	{ JSON_FIELD("not_after", FIELD_TIME, struct document, not_after), .required = true },
	{ JSON_FIELD("relation", FIELD_CHOICE, struct document, relation), .required = true,
	        .choices = relations },
	{ JSON_FIELD("recipients", FIELD_CHOICE, struct document, recipients), .required = true,
	        .choices = recipients },
	{ JSON_FIELD("consent", FIELD_CHOICE, struct document, consent), .choices = consents },
	{ JSON_FIELD("legal_basis", FIELD_TEXT, struct document, legal_basis), .max = 255 },
	{ JSON_FIELD("network", FIELD_OBJECT, struct document, network), .fields = network_fields },
	{ JSON_FIELD("demarcation", FIELD_LIST, struct document, demarcation),
	        .max = AGREEMENT_POINTS_MAX },
	{ JSON_FIELD("encrypted", FIELD_OBJECT, struct document, encrypted),
	        .fields = encrypted_fields },
	{ JSON_FIELD("clauses", FIELD_LIST, struct document, clauses), .max = AGREEMENT_CLAUSES },
	{ JSON_FIELD("policies", FIELD_LIST, struct document, policies), .max = 2 },
	{ 0 },
};

static int read_parties(
        const struct document *document, struct agreement *agreement, struct err *err)
{
	struct agreement_scope *scope = &agreement->scope;

	for (size_t i = 0; i < 2; i++) {
		const char *text;

		if (json_item_string(document->parties, "parties", i, NAME_BYTES_MAX, &text, err) !=
		        0) {
			return 1;
		}
		if (!name_valid(text)) {
			return err_set(err, 1, "parties[%zu]: is not a name", i);
		}
		snprintf(scope->parties[i], sizeof(scope->parties[i]), "%s", text);
	}
	return text_equal(scope->parties[0], scope->parties[1])
	               ? err_set(err, 1, "parties: are one and the same")
	               : 0;
}

/* A host of a site, or a star for every host of it. */
static int read_host(const char *text, struct host_ref *host)
{
	size_t site_bytes = strcspn(text, "/");

	if (strcmp(text + site_bytes, "/*") != 0) {
		return host_ref_parse(text, host);
	}
	if (site_bytes > NAME_BYTES_MAX) {
		return 1;
	}
	memcpy(host->site, text, site_bytes);
	host->site[site_bytes] = '\0';
	memcpy(host->host, "*", 2);
	return name_valid(host->site) ? 0 : 1;
}

static int read_hosts(
        const struct document *document, struct agreement_scope *scope, struct err *err)
{
	size_t count = json_array_size(document->hosts);

	scope->hosts = mem_new(count + 1, sizeof(*scope->hosts));
	for (size_t i = 0; i < count; i++) {
		const char *text;

		if (json_item_string(document->hosts, "hosts", i, HOST_REF_BYTES_MAX, &text, err) !=
		        0) {
			return 1;
		}
		if (read_host(text, &scope->hosts[i]) != 0) {
			return err_set(err, 1, "hosts[%zu]: must be SITE/HOST or SITE/*", i);
		}
		/* A7: a maintenance company reaches the device that was agreed on and no other. */
		if (scope->class == SERVICE_REMOTE_MAINTENANCE &&
		        text_equal(scope->hosts[i].host, "*")) {
			return err_set(err, 1,
			        "hosts[%zu]: remote maintenance needs every device by its name", i);
		}
		for (size_t j = 0; j < i; j++) {
			if (host_ref_equal(&scope->hosts[i], &scope->hosts[j])) {
				return err_set(err, 1, "hosts[%zu]: is there twice", i);
			}
		}
		scope->host_count = i + 1;
	}
	return 0;
}

struct protocol_item {
	char protocol[16];
	char ports[128];
};

static const struct json_field protocol_fields[] = {
	{ JSON_FIELD("protocol", FIELD_TEXT, struct protocol_item, protocol), .required = true,
	        .min = 1, .max = 15 },
	{ JSON_FIELD("ports", FIELD_TEXT, struct protocol_item, ports), .max = 127 },
	{ 0 },
};

static int read_protocols(
        const struct document *document, struct agreement_scope *scope, struct err *err)
{
	size_t count = json_array_size(document->protocols);

	scope->protocols = mem_new(count + 1, sizeof(*scope->protocols));
	for (size_t i = 0; i < count; i++) {
		struct agreement_protocol *out = &scope->protocols[i];
		struct protocol_item item = { 0 };

		if (json_item_fields(document->protocols, "protocols", i, protocol_fields, &item,
		            err) != 0) {
			return 1;
		}
		if (protocol_parse(item.protocol, &out->protocol) != 0) {
			return err_set(
			        err, 1, "protocols[%zu].protocol: must be tcp, udp or icmp", i);
		}
		if (out->protocol == PROTOCOL_ICMP ? *item.ports != '\0'
		                                   : port_set_parse(item.ports, &out->ports) != 0) {
			return err_set(err, 1,
			        "protocols[%zu].ports: must be a list such as 104,11112, and none "
			        "for icmp",
			        i);
		}
		scope->protocol_count = i + 1;
	}
	return 0;
}

struct point_item {
	char point[NAME_BYTES_MAX + 1], responsible[NAME_BYTES_MAX + 1];
	int place;
};

static const struct json_field point_fields[] = {
	{ JSON_FIELD("point", FIELD_NAME, struct point_item, point), .required = true },
	{ JSON_FIELD("place", FIELD_CHOICE, struct point_item, place), .required = true,
	        .choices = places },
	{ JSON_FIELD("responsible", FIELD_NAME, struct point_item, responsible), .required = true },
	{ 0 },
};

static int read_points(
        const struct document *document, struct agreement *agreement, struct err *err)
{
	for (size_t i = 0; i < json_array_size(document->demarcation); i++) {
		struct agreement_point *out = &agreement->points[i];
		struct point_item item = { 0 };

		if (json_item_fields(document->demarcation, "demarcation", i, point_fields, &item,
		            err) != 0) {
			return 1;
		}
		memcpy(out->point, item.point, sizeof(out->point));
		memcpy(out->responsible, item.responsible, sizeof(out->responsible));
		out->place = (enum agreement_place)item.place;
		for (size_t j = 0; j < i; j++) {
			if (text_equal(out->point, agreement->points[j].point)) {
				return err_set(err, 1, "demarcation[%zu].point: is there twice", i);
			}
		}
		agreement->point_count = i + 1;
	}
	return 0;
}

struct clause_item {
	uint64_t number;
	const char *text;
	char owner[NAME_BYTES_MAX + 1];
};

static const struct json_field clause_fields[] = {
	{ JSON_FIELD("number", FIELD_COUNT, struct clause_item, number), .required = true, .min = 1,
	        .max = AGREEMENT_CLAUSES },
	{ JSON_FIELD("text", FIELD_STRING, struct clause_item, text), .required = true, .min = 1,
	        .max = AGREEMENT_TEXT_BYTES_MAX },
	{ JSON_FIELD("owner", FIELD_NAME, struct clause_item, owner), .required = true },
	{ 0 },
};

static bool is_blank(const char *text)
{
	return text[strspn(text, " \t\r\n")] == '\0';
}

static int read_clauses(
        const struct document *document, struct agreement *agreement, struct err *err)
{
	for (size_t i = 0; i < json_array_size(document->clauses); i++) {
		struct clause_item item = { 0 };
		struct agreement_clause *out;

		if (json_item_fields(document->clauses, "clauses", i, clause_fields, &item, err) !=
		        0) {
			return 1;
		}
		out = &agreement->clauses[item.number - 1];
		if (out->text) {
			return err_set(err, 1, "clauses[%zu].number: clause %u is there twice", i,
			        (unsigned)item.number);
		}
		if (is_blank(item.text)) {
			continue; /* says nothing: missing */
		}
		if (!text_equal(item.owner, agreement->scope.parties[0]) &&
		        !text_equal(item.owner, agreement->scope.parties[1])) {
			return err_set(err, 1, "clauses[%zu].owner: %s is no party", i, item.owner);
		}
		out->text = mem_string(item.text);
		memcpy(out->owner, item.owner, sizeof(out->owner));
	}
	return 0;
}

static const struct json_field policy_fields[] = {
	{ JSON_FIELD("organization", FIELD_NAME, struct agreement_policy, organization),
	        .required = true },
	{ JSON_FIELD("digest", FIELD_HEX, struct agreement_policy, digest), .required = true,
	        .min = 64, .max = 64 },
	{ JSON_FIELD("received", FIELD_TIME, struct agreement_policy, received), .required = true },
	{ 0 },
};

static int read_policies(
        const struct document *document, struct agreement *agreement, struct err *err)
{
	for (size_t i = 0; i < json_array_size(document->policies); i++) {
		struct agreement_policy item = { 0 };
		int party;

		if (json_item_fields(
		            document->policies, "policies", i, policy_fields, &item, err) != 0) {
			return 1;
		}
		party = text_equal(item.organization, agreement->scope.parties[0])   ? 0
		        : text_equal(item.organization, agreement->scope.parties[1]) ? 1
		                                                                     : -1;
		if (party < 0 || *agreement->policies[party].organization) {
			return err_set(err, 1, "policies[%zu].organization: %s is %s", i,
			        item.organization, party < 0 ? "no party" : "there twice");
		}
		agreement->policies[party] = item;
	}
	return 0;
}

static int read_document(
        const struct document *document, struct agreement *agreement, struct err *err)
{
	struct agreement_scope *scope = &agreement->scope;

	memcpy(scope->name, document->name, sizeof(scope->name));
	memcpy(agreement->legal_basis, document->legal_basis, sizeof(agreement->legal_basis));
	memcpy(agreement->encrypted_from, document->encrypted.from,
	        sizeof(agreement->encrypted_from));
	memcpy(agreement->encrypted_to, document->encrypted.to, sizeof(agreement->encrypted_to));
	scope->not_before = document->not_before;
	scope->not_after = document->not_after;
	agreement->relation = (enum agreement_relation)document->relation;
	agreement->recipients = (enum agreement_recipients)document->recipients;
	agreement->consent = (enum agreement_consent)document->consent;
	agreement->network = (enum agreement_network)document->network.kind;
	agreement->network_assured = document->network.assured;
	if (service_class_parse(document->class, &scope->class) != 0) {
		return err_set(err, 1, "class: there is no service class \"%s\"", document->class);
	}
	if (scope->not_after <= scope->not_before) {
		return err_set(err, 1, "not_after: must be after not_before");
	}
	if (read_parties(document, agreement, err) != 0 || read_hosts(document, scope, err) != 0 ||
	        read_protocols(document, scope, err) != 0 ||
	        read_points(document, agreement, err) != 0 ||
	        read_clauses(document, agreement, err) != 0 ||
	        read_policies(document, agreement, err) != 0) {
		return 1;
	}
	return 0;
}

int agreement_parse(
        const void *bytes, size_t count, struct agreement **ret_agreement, struct err *err)
{
	AUTO(agreement) struct agreement *agreement = NULL;
	AUTO_JSON json_t *object = NULL;
	struct document document = { 0 };
	int r;

	if (count > AGREEMENT_BYTES_MAX) {
		return err_set(err, 1, "an agreement has at most %d bytes", AGREEMENT_BYTES_MAX);
	}
	r = json_read(bytes, count, document_fields, &document, &object, err);
	if (r != 0) {
		return r;
	}
	agreement = mem_new(1, sizeof(*agreement));
	r = read_document(&document, agreement, err);
	if (r == 0) {
		*ret_agreement = TAKE(agreement);
	}
	return r;
}

void agreement_scope_clear(struct agreement_scope *scope)
{
	free(scope->hosts);
	free(scope->protocols);
	*scope = (struct agreement_scope){ 0 };
}

struct agreement *agreement_free(struct agreement *agreement)
{
	if (agreement) {
		agreement_scope_clear(&agreement->scope);
		for (size_t i = 0; i < AGREEMENT_CLAUSES; i++) {
			free(agreement->clauses[i].text);
		}
		free(agreement);
	}
	return NULL;
}
