/* The ledger for auditors: its records, and the proof that one of them is in it; and the gateways'
 * journals, whose heads it has. */
#include <stdio.h>
#include <stdlib.h>

#include "audit/chain.h"
#include "center/ledger.h"
#include "center/live.h"
#include "center/registry.h"
#include "center/routes.h"

static int add_entry(void *context, const void *data)
{
	struct list *list = context;
	const struct store_leaf *row = data;
	struct hash hash = hash_leaf(row->bytes.bytes, row->bytes.count);
	AUTO_BUF struct buf hash_text = BUF(64), entry = BUF(2 * LEDGER_RECORD_BYTES_MAX);
	AUTO_STRING char *key = mem_format("%llu", (unsigned long long)row->leaf + 1);
	struct err err;
	json_t *record = NULL, *item;

	base64_add(&hash_text, hash.bytes, HASH_BYTES);
	if (json_parse(row->bytes.bytes, row->bytes.count, &record, &err) != 0) {
		record = json_null();
	}
	/* The record to be read, and its bytes to be hashed. */
	base64_add(&entry, row->bytes.bytes, row->bytes.count);
	item = json_pack("{sI so ss ss}", "leaf", (json_int_t)row->leaf, "record", record, "hash",
	        buf_text(&hash_text), "entry", buf_text(&entry));
	list_add(list, key, item);
	return 0;
}

void ledger_entries(struct exchange *exchange)
{
	struct list list;
	uint64_t from, next;

	if (exchange_number(exchange, "from", 0, INT64_MAX, &from) != 0 ||
	        list_begin(exchange, &list) != 0) {
		return;
	}
	/* The cursor of the last page is the next leaf. */
	if (*list.after && unsigned_parse(list.after, INT64_MAX, &next) == 0) {
		from = next;
	}
	core_must(store_leaf_list(exchange->center->store, from, list.limit, add_entry, &list),
	        "read records");
	list_end(&list);
}

void ledger_proof(struct exchange *exchange)
{
	struct center *center = exchange->center;
	struct merkle_store nodes = store_merkle(center->store);
	struct merkle_proof proof;
	struct err err = { 0 };
	json_t *list;
	uint64_t leaf;
	int r;

	if (exchange_number(exchange, "leaf", 0, INT64_MAX, &leaf) != 0) {
		return;
	}
	/* A record is provable under a signed head; the newest is at most a second behind. */
	ledger_publish(center);
	if (leaf >= center->checkpoint_size) {
		answer_problem(exchange, 404, "leaf: the newest checkpoint covers %llu records",
		        (unsigned long long)center->checkpoint_size);
		return;
	}
	r = merkle_prove_inclusion(&nodes, leaf, center->checkpoint_size, &proof, &err);
	core_must(r, "prove a record");
	list = json_array();
	for (size_t i = 0; i < proof.count; i++) {
		AUTO_BUF struct buf text = BUF(64);

		base64_add(&text, proof.hashes[i].bytes, HASH_BYTES);
		json_array_append_new(list, json_string(buf_text(&text)));
	}
	answer_json(exchange, 200,
	        json_pack("{sI sI so ss}", "leaf", (json_int_t)leaf, "size",
	                (json_int_t)center->checkpoint_size, "proof", list, "checkpoint",
	                center->checkpoint_note ? center->checkpoint_note : ""));
}

static int add_link(void *context, const void *data)
{
	struct list *list = context;
	const struct store_journal_record *row = data;
	AUTO_BUF struct buf text = BUF(2 * CHAIN_LINK_BYTES_MAX);
	AUTO_STRING char *key = mem_format("%llu", (unsigned long long)row->seq + 1);
	struct chain_link link;
	json_t *record = NULL;
	struct err err;

	if (chain_link_parse(row->bytes.bytes, row->bytes.count, &link) != 0 ||
	        json_parse(link.record, link.record_bytes, &record, &err) != 0) {
		record = json_null();
	}
	/* The record to be read, and the link to be hashed: its head is in a record gateway.journal
	 * of the ledger. */
	base64_add(&text, row->bytes.bytes, row->bytes.count);
	list_add(list, key,
	        json_pack("{sI so ss}", "seq", (json_int_t)row->seq, "record", record, "link",
	                buf_text(&text)));
	return 0;
}

/* Who was connected with whom, when, and how much went through, as the gateway itself saw it (I1,
 * I2): for the site that it is of, and for auditors. */
void gateways_journal(struct exchange *exchange)
{
	const struct gateway *gateway = registry_gateway(exchange->center, exchange->parameter);
	struct list list;
	uint64_t from, next;

	if (!gateway || (!roles_any(&exchange->roles, ROLE_PROVIDER | ROLE_AUDITOR) &&
	                        !roles_of_site(&exchange->roles, gateway->site))) {
		answer_problem(exchange, 404, "gateway: there is none %s", exchange->parameter);
		return;
	}
	if (exchange_number(exchange, "from", 1, INT64_MAX, &from) != 0 ||
	        list_begin(exchange, &list) != 0) {
		return;
	}
	if (*list.after && unsigned_parse(list.after, INT64_MAX, &next) == 0) {
		from = next;
	}
	core_must(store_journal_record_list(exchange->center->store, gateway->name, from,
	                  list.limit, add_link, &list),
	        "read a journal");
	list_end(&list);
}

void ledger_raise_epoch(struct exchange *exchange)
{
	struct center *center = exchange->center;
	struct record *record = ledger_record(center, "configuration.changed", "epoch");
	uint64_t epoch = live_raise_epoch(center);

	record_number(record, "epoch", (int64_t)epoch);
	answer_leaf(exchange, 200, ledger_append(center, record),
	        json_pack("{sI}", "epoch", (json_int_t)epoch));
}
