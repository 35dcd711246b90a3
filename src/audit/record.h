/*
 * One record of the center's ledger or a gateway's journal: what happened, in canonical JSON.
 *
 *     {"actor":{"name":"suzuki","type":"person"},"data":{…},"kind":"connection.granted",
 *      "subject":"01J…","time":"2026-11-20T09:30:00.000Z","v":1}
 *
 * Canonical: UTF-8, no white space, keys sorted and unique, integers only, and no escape but the
 * ones JSON demands (\b \f \n \r \t \" \\ and \u00XX in upper-case hex). So one record has one
 * spelling, a line break in a peer's text can never start a second one (attack A36), and whoever
 * re-makes a record gets the same hash.
 *
 *     struct record *record = record_begin("connection.granted", now);
 *     record_actor(record, "person", person);
 *     record_subject(record, id.text);
 *     record_text(record, "class", "remote-maintenance");
 *     record_open(record, "initiator");
 *     record_text(record, "site", "device-maker");
 *     record_close(record);
 *     r = record_end(record, &bytes);
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/limits.h"

struct json_t;

struct record_kind {
	const char *name;     /* noun.verb */
	char step;            /* of procedure a to l (004 D.6), or 0 */
	const char *sentence; /* what such a record says, for people */
};

/* Every kind there is, ended by a row with name NULL. */
extern const struct record_kind record_kinds[];

/* NULL when there is no such kind. */
const struct record_kind *record_kind_find(const char *name);

struct record;

/* The kind must be in the catalogue and keys must be printable ASCII (both asserted: they are
 * ours). Texts may be anything; a byte that is not UTF-8 is kept as \xNN. A NULL text is null. A
 * key that is set twice keeps the later value. */
struct record *record_begin(const char *kind, int64_t now_usec);
struct record *record_free(struct record *record);
AUTO_DEFINE(record)

/* Who did it: type is person, operator, gateway, center, host … Left out: {"type":"center"}. */
void record_actor(struct record *record, const char *type, const char *name);
/* What it was done to: a connection's id, a gateway's name, a certificate's serial … */
void record_subject(struct record *record, const char *subject);

void record_text(struct record *record, const char *key, const char *text);
void record_number(struct record *record, const char *key, int64_t number);
void record_flag(struct record *record, const char *key, bool flag);
void record_time(struct record *record, const char *key, int64_t wall_usec);
void record_bytes(struct record *record, const char *key, const void *bytes, size_t count);
void record_texts(struct record *record, const char *key, const char *const *texts, size_t count);
/* A value made elsewhere; adopted. It must have no real numbers and be at most 8 deep. */
void record_json(struct record *record, const char *key, struct json_t *value);

/* What is set between the two goes into an object under `key`. */
void record_open(struct record *record, const char *key);
void record_close(struct record *record);

/* Appends the bytes to `out`; adopts the record. Outcome 1: longer than LEDGER_RECORD_BYTES_MAX or
 * than the room in `out` (for the journal: JOURNAL_RECORD_BYTES_MAX), and nothing was appended. */
int record_end(struct record *record, struct buf *out) must_use;

struct record_head {
	int64_t time_usec;
	const struct record_kind *kind;
};

enum {
	RECORD_MALFORMED = 1, /* not a canonical record */
	RECORD_UNKNOWN,       /* canonical, of a kind that is not in the catalogue */
};

/* Reads and checks a record without making anything of it: half a microsecond a record (L9). */
int record_check(
        const void *bytes, size_t count, struct record_head *ret_head, struct err *err) must_use;
