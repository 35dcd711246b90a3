/*
 * The gateway's own log: hash-chained records in append-only segment files, each on disk before the
 * effect that it announces (promise 4).
 *
 * A segment is named by the number of its first record. Its room is reserved when it is made, and
 * the next one is made ahead, so that a full disk can never keep a cut from being recorded (F07).
 * A segment is deleted when the center acknowledged all of it and its newest record is older than
 * any grant can live: until then tunnel_recall() needs it (F31).
 */
#pragma once

#include "audit/chain.h"
#include "base/buf.h"

struct journal;

#define JOURNAL_SEGMENT_BYTES (256 << 10)

/* One record with its number. `link` is what the center is sent: number, hash and record. */
typedef int journal_each(
        void *context, const struct chain_link *link, const uint8_t *link_bytes, size_t link_count);

/* Opens the journal in `directory`, cuts off a torn tail, and calls `recall` for every record that
 * is there, oldest first. `recall` answering anything but 0 ends the opening with that result.
 * Outcome 1: records were damaged or lost; err says which, in which file, and what to do. */
int journal_open(const char *directory, journal_each *recall, void *context,
        struct journal **ret_journal, struct err *err) must_use;
struct journal *journal_free(struct journal *journal);
AUTO_DEFINE(journal)

/* Appends a record and waits until it is on disk. Outcome 1: too long. A fault means that the
 * record may not be there: nothing that depends on it may be done. */
int journal_append(struct journal *journal, const void *record, size_t count) must_use;

/* The two halves of it, for records that share one sync. Nothing may depend on what was written
 * until journal_sync() said 0. */
int journal_write(struct journal *journal, const void *record, size_t count) must_use;
int journal_sync(struct journal *journal) must_use;

uint64_t journal_newest(const struct journal *journal); /* number of the newest record, 0: none */
uint64_t journal_oldest(const struct journal *journal); /* of the oldest one still here */
uint64_t journal_acknowledged(const struct journal *journal);

/* True while the next segment's room could not be reserved, the disk is nearly full, or the journal
 * itself has JOURNAL_BYTES_MAX that nobody acknowledged: take on nothing new. */
bool journal_full(const struct journal *journal);
/* Reserves what is missing, where there is room again. Outcome 1: still full. */
int journal_reserve(struct journal *journal) must_use;

/* Calls `each` for at most `count_max` records from number `from` on. */
int journal_read(struct journal *journal, uint64_t from, size_t count_max, journal_each *each,
        void *context) must_use;

/* The center has every record up to `seq`. Deletes what is not needed any more at `wall_usec`. */
void journal_acknowledge(struct journal *journal, uint64_t seq, int64_t wall_usec);
