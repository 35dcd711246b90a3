/* What a gateway says and asks over its service certificate (protocol.md 3). It can only speak of
 * itself: its name comes from its certificate, never from what it sends (A03, A38). */
#include <stdio.h>
#include <string.h>

#include "audit/chain.h"
#include "base/log.h"
#include "center/api_connections.h"
#include "center/ledger.h"
#include "center/live.h"
#include "center/policies.h"
#include "center/procedure.h"
#include "center/registry.h"
#include "center/routes.h"
#include "center/steps.h"
#include "center/trust.h"

#define HEARTBEAT_SEC 10 /* kept by the front */

/* Where a gateway is reached: its own word, unless it came to us from another address; then there
 * is a NAT between, and nobody reaches it ("any"). */
static struct address reached_at(const struct request *request, struct address own)
{
	struct address seen = { 0 };

	if (address_parse(request->peer_address, &seen) != 0 ||
	        address_scope(seen) == ADDRESS_UNUSABLE) {
		return own; /* on this machine: nothing can be told from it */
	}
	return address_equal(own, seen) ? own : (struct address){ 0 };
}

static int read_stream_query(struct exchange *exchange, struct gateway *gateway)
{
	const char *address = request_query(exchange->request, "address");
	const char *version = request_query(exchange->request, "version");
	const char *dataplane = request_query(exchange->request, "dataplane");
	struct address parsed = { 0 };

	if (address && !text_equal(address, "any") &&
	        (address_parse(address, &parsed) != 0 ||
	                address_scope(parsed) == ADDRESS_UNUSABLE)) {
		answer_problem(exchange, 400, "address: must be a usable address or \"any\"");
		return 1;
	}
	if (!address && address_parse(exchange->request->peer_address, &parsed) != 0) {
		parsed = (struct address){ 0 };
	}
	if (exchange_number(exchange, "journal", 0, INT64_MAX, &gateway->journal) != 0 ||
	        exchange_number(exchange, "checkpoint", 0, INT64_MAX, &gateway->checkpoint) != 0) {
		return 1;
	}
	if ((version && text_copy(gateway->version, sizeof(gateway->version), version) != 0) ||
	        (dataplane && text_copy(gateway->dataplane, sizeof(gateway->dataplane),
	                              dataplane) != 0)) {
		answer_problem(exchange, 400, "version, dataplane: are at most 31 characters");
		return 1;
	}
	gateway->address = reached_at(exchange->request, parsed);
	gateway->ready = text_equal(dataplane, "kernel") || text_equal(dataplane, "libipsec");
	return 0;
}

/* The serial of the certificate that this request came with. */
static void note_serial(struct exchange *exchange, struct gateway *gateway)
{
	struct hash hash =
	        hash_of(exchange->request->chain[0].der, exchange->request->chain[0].bytes);

	for (size_t i = 0; i < gateway->service_count; i++) {
		if (memcmp(gateway->service[i].fingerprint.bytes, hash.bytes, sizeof(hash.bytes)) ==
		        0) {
			memcpy(gateway->serial, gateway->service[i].serial,
			        sizeof(gateway->serial));
		}
	}
}

static void send_desired(struct center *center, struct gateway *gateway)
{
	uint64_t epoch = 0;
	AUTO_JSON json_t *hello = NULL, *policy = NULL, *checkpoint = NULL;
	AUTO_JSON json_t *trust = trust_event(center);

	core_must(store_counter_get(center->store, "epoch", &epoch), "read the epoch");
	hello = json_pack("{ss sI si}", "time", time_print(clock_wall_usec()).text, "epoch",
	        (json_int_t)(epoch > 0 ? epoch : 1), "heartbeat_sec", HEARTBEAT_SEC);
	registry_event(center, gateway, "hello", hello);
	registry_event(center, gateway, "trust", trust);
	policy = policies_event(center, registry_site(center, gateway->site));
	if (policy) {
		registry_event(center, gateway, "policy", policy);
	}
	if (center->checkpoint_note) {
		checkpoint = json_pack("{ss}", "note", center->checkpoint_note);
		registry_event(center, gateway, "checkpoint", checkpoint);
	}
	live_gateway_online(center, gateway);
}

void device_stream(struct exchange *exchange)
{
	struct center *center = exchange->center;
	struct gateway *gateway = exchange->gateway;
	struct record *record;

	if (read_stream_query(exchange, gateway) != 0) {
		return;
	}
	note_serial(exchange, gateway);
	registry_online(center, gateway, exchange->front, exchange->tag);
	steps_done_by_itself(center, gateway, PROCEDURE_LOADED);
	record = ledger_record(center, "gateway.online", gateway->name);
	record_text(record, "serial", gateway->serial);
	record_text(record, "address", exchange->request->peer_address);
	record_text(record, "version", gateway->version);
	record_text(record, "dataplane", gateway->dataplane);
	ledger_append(center, record);
	answer_stream(exchange);
	send_desired(center, gateway);
}

struct report {
	char type[16];
	char id[ID_BYTES_MAX + 1];
	char reason[CONNECTION_REASON_BYTES_MAX];
	uint64_t version;
	bool local; /* closed: by a person at the gateway */
};

static const struct json_field report_fields[] = {
	{ "type", FIELD_TEXT, offsetof(struct report, type), true, 1, 15, NULL, NULL, false },
	{ "id", FIELD_TEXT, offsetof(struct report, id), false, 1, ID_BYTES_MAX, NULL, NULL,
	        false },
	{ "reason", FIELD_TEXT, offsetof(struct report, reason), false, 0,
	        CONNECTION_REASON_BYTES_MAX - 1, NULL, NULL, false },
	{ "version", FIELD_COUNT, offsetof(struct report, version), false, 0, 0, NULL, NULL,
	        false },
	{ JSON_FIELD("local", FIELD_BOOL, struct report, local) },
	{ 0 },
};

#define REPORTS_MAX 1024

struct reports {
	json_t *list;
};

static const struct json_field reports_fields[] = {
	{ "reports", FIELD_LIST, offsetof(struct reports, list), true, 0, REPORTS_MAX, NULL, NULL,
	        false },
	{ 0 },
};

static int take_report(struct exchange *exchange, const struct report *report, bool check_only)
{
	enum connection_report type;

	if (text_equal(report->type, "policy")) {
		if (!check_only) {
			exchange->gateway->policy_version = report->version;
		}
		return 0;
	}
	if (connection_report_parse(report->type, &type) != 0 || !id_valid(report->id)) {
		return 1;
	}
	if (!check_only && type == CONNECTION_REPORT_CLOSED && report->local) {
		live_hold(exchange->center, exchange->gateway, report->id);
	}
	if (!check_only) {
		live_report(exchange->center, exchange->gateway, type, report->id, report->reason);
	}
	return 0;
}

void device_report(struct exchange *exchange)
{
	struct reports reports = { 0 };
	AUTO_JSON json_t *body = NULL;
	struct err err = { 0 };
	int r = json_read(exchange->request->body, exchange->request->body_bytes, reports_fields,
	        &reports, &body, &err);

	/* All of a message or nothing of it: first read through, then acted on. */
	for (int pass = 0; r == 0 && pass < 2; pass++) {
		for (size_t i = 0; r == 0 && i < json_array_size(reports.list); i++) {
			struct report report = { 0 };

			r = json_item_fields(
			        reports.list, "reports", i, report_fields, &report, &err);
			if (r == 0 && take_report(exchange, &report, pass == 0) != 0) {
				r = err_set(&err, 1,
				        "reports[%zu]: type must be armed, up, refused, closed "
				        "(with an id) or policy",
				        i);
			}
		}
	}
	if (r != 0) {
		answer_problem(exchange, 400, "%s", err.text);
		return;
	}
	answer_json(exchange, 200, json_object());
}

struct journal {
	uint64_t first;
	json_t *records;
};

static const struct json_field journal_fields[] = {
	{ "first", FIELD_COUNT, offsetof(struct journal, first), true, 1, 0, NULL, NULL, false },
	{ "records", FIELD_LIST, offsetof(struct journal, records), true, 1,
	        JOURNAL_BATCH_COUNT_MAX, NULL, NULL, false },
	{ 0 },
};

/* One link of the gateway's chain. Outcome 1: it does not follow; 2: it was sent before and is the
 * same; 3: not a link. */
static int take_link(struct center *center, struct chain *chain, const struct gateway *gateway,
        const struct buf *link, struct err *err)
{
	struct store_journal_record row = { 0 };
	struct chain_link parsed;
	int r = chain_accept(chain, link->bytes, link->count, &parsed, err);

	if (r != 0) {
		return r < 0 ? r : r == CHAIN_MALFORMED ? 3 : 1;
	}
	snprintf(row.gateway, sizeof(row.gateway), "%s", gateway->name);
	row.seq = parsed.seq;
	row.bytes = *link;
	ledger_begin(center);
	core_must(store_journal_record_put(center->store, &row), "keep a journal record");
	return 0;
}

struct same {
	const struct buf *link;
	bool found;
};

static int compare_link(void *context, const void *row)
{
	struct same *same = context;
	const struct store_journal_record *stored = row;

	same->found = stored->bytes.count == same->link->count &&
	              memcmp(stored->bytes.bytes, same->link->bytes, same->link->count) == 0;
	return 0;
}

/* A record that is stored already must be the same byte for byte; else it is a second history. */
static bool is_stored(struct center *center, const struct gateway *gateway, const struct buf *link)
{
	struct same same = { link, false };
	struct chain_link parsed;

	if (chain_link_parse(link->bytes, link->count, &parsed) != 0) {
		return false;
	}
	core_must(store_journal_record_list(
	                  center->store, gateway->name, parsed.seq, 1, compare_link, &same),
	        "read the journal");
	return same.found;
}

static void answer_expected(struct exchange *exchange, const struct chain *chain, const char *text)
{
	char detail[ERR_TEXT_BYTES_MAX];
	json_t *body;
	AUTO_BUF struct buf bytes = BUF(JSON_BYTES_MAX);

	snprintf(detail, sizeof(detail), "%s", text);
	body = json_pack("{ss si ss sI}", "title", "Conflict", "status", 409, "detail", detail,
	        "expected", (json_int_t)(chain->count + 1));
	json_print(body, &bytes);
	json_decref(body);
	ledger_append(exchange->center, ({
		struct record *record =
		        ledger_record(exchange->center, "journal.refused", exchange->gateway->name);

		record_text(record, "reason", text);
		record_number(record, "expected", (int64_t)chain->count + 1);
		record;
	}));
	answer_bytes(exchange, 409, "application/problem+json", bytes.bytes, bytes.count);
}

static void keep_journal(struct exchange *exchange, const struct chain *chain, uint64_t first)
{
	struct center *center = exchange->center;
	struct record *record = ledger_record(center, "gateway.journal", exchange->gateway->name);
	struct store_journal row = { .next_seq = chain->count + 1 };
	uint64_t leaf;

	record_number(record, "first", (int64_t)first);
	record_number(record, "last", (int64_t)chain->count);
	record_bytes(record, "head", chain->head.bytes, HASH_BYTES);
	leaf = ledger_append(center, record);
	snprintf(row.gateway, sizeof(row.gateway), "%s", exchange->gateway->name);
	memcpy(row.head, chain->head.bytes, HASH_BYTES);
	core_must(store_journal_put(center->store, &row), "keep a journal's head");
	exchange->gateway->journal = chain->count;
	answer_leaf(
	        exchange, 200, leaf, json_pack("{sI}", "acknowledged", (json_int_t)chain->count));
}

static int take_links(
        struct exchange *exchange, struct journal *journal, struct chain *chain, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < json_array_size(journal->records); i++) {
		AUTO_BUF struct buf link = BUF(CHAIN_LINK_BYTES_MAX);
		const char *text;

		r = json_item_string(
		        journal->records, "records", i, 2 * CHAIN_LINK_BYTES_MAX, &text, err);
		if (r == 0 && base64_parse(text, strlen(text), &link) != 0) {
			r = err_set(err, 3, "records[%zu]: is not base64", i);
		}
		if (r == 0 && journal->first + i <= chain->count) {
			r = is_stored(exchange->center, exchange->gateway, &link)
			            ? 0
			            : err_set(err, 1,
			                      "record %llu is another than the one that was sent "
			                      "before",
			                      (unsigned long long)(journal->first + i));
		} else if (r == 0) {
			r = take_link(exchange->center, chain, exchange->gateway, &link, err);
		}
	}
	return r;
}

void device_journal(struct exchange *exchange)
{
	struct center *center = exchange->center;
	struct store_journal row = { 0 };
	struct chain chain = { 0 }, before;
	struct journal journal = { 0 };
	AUTO_JSON json_t *body = NULL;
	struct err err = { 0 };
	int r = json_read(exchange->request->body, exchange->request->body_bytes, journal_fields,
	        &journal, &body, &err);

	if (r != 0) {
		answer_problem(exchange, 400, "%s", err.text);
		return;
	}
	r = store_journal_get(center->store, exchange->gateway->name, &row);
	core_must(r < 0 ? r : 0, "read a journal's head");
	if (r == 0) {
		chain.count = row.next_seq - 1;
		memcpy(chain.head.bytes, row.head, HASH_BYTES);
	}
	before = chain;
	r = take_links(exchange, &journal, &chain, &err);
	core_must(r < 0 ? r : 0, "take a journal");
	/* What came before a bad record was good and is kept; the answer says where to go on. */
	if (chain.count > before.count) {
		keep_journal(exchange, &chain, before.count + 1);
	} else if (r == 0) {
		answer_leaf(exchange, 200, center->tree.size > 0 ? center->tree.size - 1 : 0,
		        json_pack("{sI}", "acknowledged", (json_int_t)chain.count));
	} else {
		answer_expected(exchange, &chain, err.text);
	}
}

void device_connect(struct exchange *exchange)
{
	struct connection_request request = { 0 };

	if (connection_request_read(exchange, exchange->gateway->site, &request) != 0) {
		return;
	}
	if (!text_equal(request.policy.from.site, exchange->gateway->site)) {
		answer_problem(exchange, 403, "from: is not a host of this gateway's site");
		return;
	}
	connection_request_serve(exchange, &request);
}

void device_cut(struct exchange *exchange)
{
	const struct connection_row *row =
	        connection_find(exchange->center->machine, exchange->parameter);

	/* Another's connection does not exist for this gateway (A20, A30). */
	if (!row || (!text_equal(row->grant.initiator.gateway, exchange->gateway->name) &&
	                    !text_equal(row->grant.responder.gateway, exchange->gateway->name))) {
		answer_problem(exchange, 404, "there is no such live connection");
		return;
	}
	connection_cut_serve(exchange, exchange->gateway->name);
}

static void add_live(void *context, const struct connection_row *row)
{
	json_array_append_new(context, live_print(row));
}

void device_connections(struct exchange *exchange)
{
	json_t *items = json_array();

	connection_list(exchange->center->machine, NULL, exchange->gateway->name, add_live, items);
	answer_json(exchange, 200, json_pack("{so sn}", "items", items, "next"));
}

void device_consistency(struct exchange *exchange)
{
	struct center *center = exchange->center;
	struct merkle_store nodes = store_merkle(center->store);
	struct merkle_proof proof;
	struct err err = { 0 };
	json_t *list;
	uint64_t from, to;
	int r;

	if (exchange_number(exchange, "from", 0, INT64_MAX, &from) != 0 ||
	        exchange_number(exchange, "to", center->checkpoint_size, INT64_MAX, &to) != 0) {
		return;
	}
	if (to > center->tree.size || from > to) {
		answer_problem(exchange, 400, "from, to: the ledger has %llu records",
		        (unsigned long long)center->tree.size);
		return;
	}
	r = merkle_prove_consistency(&nodes, from, to, &proof, &err);
	core_must(r, "prove consistency");
	list = json_array();
	for (size_t i = 0; i < proof.count; i++) {
		AUTO_BUF struct buf text = BUF(64);

		base64_add(&text, proof.hashes[i].bytes, HASH_BYTES);
		json_array_append_new(list, json_string(buf_text(&text)));
	}
	answer_json(exchange, 200, json_pack("{so}", "proof", list));
}
