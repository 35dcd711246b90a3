#include "center/ledger.h"

#include <string.h>

#include "base/log.h"
#include "center/registry.h"
#include "wire/sse.h"

int ledger_open(struct center *center, struct err *err)
{
	struct merkle_store nodes = store_merkle(center->store);
	struct store_checkpoint newest = { 0 };
	uint64_t size = 0;
	int r = store_leaf_count(center->store, &size);

	if (r == 0) {
		r = merkle_open(&nodes, size, &center->tree, err);
	}
	if (r == 0) {
		r = store_checkpoint_get(center->store, &newest);
	}
	if (r == 0) {
		center->checkpoint_size = newest.size;
		center->checkpoint_note = TAKE(newest.note);
	}
	store_row_clear(STORE_CHECKPOINT, &newest);
	return r < 0 ? err_set(err, FAULT(r), "the ledger cannot be read") : 0;
}

void ledger_begin(struct center *center)
{
	if (!store_in_transaction(center->store)) {
		core_must(store_begin(center->store), "begin a transaction");
		loop_timer_set(center->commit_timer, 0);
	}
}

static void hold_fronts(struct center *center, bool hold)
{
	for (unsigned i = 0; i < FRONTS_MAX; i++) {
		if (center->fronts[i].channel) {
			channel_hold(center->fronts[i].channel, hold);
		}
	}
}

static void let_out(struct center *center)
{
	size_t count = center->outbox_count;

	hold_fronts(center, true);
	for (size_t i = 0; i < count; i++) {
		struct outbox_item *item = &center->outbox[i];

		core_send(center, item->front, (enum message_type)item->type, item->tag,
		        item->bytes, item->count);
		free(item->bytes);
	}
	center->outbox_count = 0;
	hold_fronts(center, false);
}

void ledger_commit(struct center *center)
{
	if (store_in_transaction(center->store)) {
		core_must(store_commit(center->store), "commit");
		loop_timer_stop(center->commit_timer);
		let_out(center);
	}
}

struct record *ledger_record(struct center *center, const char *kind, const char *subject)
{
	struct record *record = record_begin(kind, clock_wall_usec());

	if (center->actor_type) {
		record_actor(record, center->actor_type, center->actor_name);
	}
	if (subject) {
		record_subject(record, subject);
	}
	return record;
}

uint64_t ledger_append(struct center *center, struct record *record)
{
	AUTO_BUF struct buf bytes = BUF(LEDGER_RECORD_BYTES_MAX);

	/* Our own records are short; what a peer can put into one is bounded where it is read. */
	assert_always(record_end(record, &bytes) == 0);
	return ledger_append_bytes(center, &bytes);
}

uint64_t ledger_append_bytes(struct center *center, const struct buf *bytes)
{
	struct merkle_store nodes = store_merkle(center->store);
	uint64_t leaf = center->tree.size;
	struct err err = { 0 };
	struct hash hash;

	ledger_begin(center);
	hash = hash_leaf(bytes->bytes, bytes->count);
	core_must(store_leaf_append(center->store, leaf, bytes->bytes, bytes->count), "record");
	core_must(merkle_append(&center->tree, &nodes, &hash, &err), "extend the ledger");
	if (center->tree.size == center->checkpoint_size + 1) {
		loop_timer_set(center->checkpoint_timer, CHECKPOINT_DELAY_MSEC);
	}
	return leaf;
}

void ledger_publish(struct center *center)
{
	AUTO_BUF struct buf note = BUF(64 << 10);
	AUTO_JSON json_t *data = NULL;
	struct store_checkpoint row = { 0 };
	struct merkle_head head;
	struct err err = { 0 };

	ledger_commit(center);
	if (center->tree.size == center->checkpoint_size) {
		return;
	}
	head = (struct merkle_head){ center->tree.size, merkle_root(&center->tree) };
	if (signer_checkpoint(center->signer, &head, &note, &err) != 0) {
		log_warning("no checkpoint: %s", err.text);
		loop_timer_set(center->checkpoint_timer, 2 * CHECKPOINT_DELAY_MSEC);
		return;
	}
	row.size = head.size;
	memcpy(row.root, head.root.bytes, HASH_BYTES);
	row.note = (char *)buf_text(&note);
	row.signed_usec = clock_wall_usec();
	core_must(store_checkpoint_put(center->store, &row), "keep the checkpoint");
	center->checkpoint_size = head.size;
	free(center->checkpoint_note);
	center->checkpoint_note = mem_string(buf_text(&note));
	data = json_pack("{ss}", "note", buf_text(&note));
	registry_broadcast(center, "checkpoint", data);
}
