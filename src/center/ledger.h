/* The ledger in core: records, transactions, checkpoints. */
#pragma once

#include "center/core.h"

/* Reads the tree's head from the store. */
int ledger_open(struct center *center, struct err *err) must_use;

/* Opens the transaction of this round if there is none. */
void ledger_begin(struct center *center);
/* Commits it, if there is one, and lets out what waited for it. */
void ledger_commit(struct center *center);

/* A record of now, by whoever is acting (center->actor_…). */
struct record *ledger_record(struct center *center, const char *kind, const char *subject);
/* Adopts the record, appends it in the transaction of this round and returns its leaf. */
uint64_t ledger_append(struct center *center, struct record *record);
/* The same for a record that was made elsewhere. */
uint64_t ledger_append_bytes(struct center *center, const struct buf *bytes);

/* Signs and publishes a checkpoint if the ledger grew. */
void ledger_publish(struct center *center);
