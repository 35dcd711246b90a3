/*
 * The hash chain of a gateway's journal, and how it lies in a file.
 *
 *     link:  seq u64 | SHA-256 of the link before (zeros for seq 1) | record
 *     frame: ff 'S' 'J' '1' | bytes of the link u32 | first 8 bytes of SHA-256(length || link) |
 * link
 *
 * The chain makes gaps, forks and changes visible to whoever knows an older head. The frame tells a
 * tail torn by a power cut (cut off, work goes on) from damage in the middle (evidence is lost:
 * reported, located, never repaired silently). The first byte of a frame is never part of UTF-8, so
 * a record cannot imitate one. Everything here is pure; the caller reads and writes the file.
 */
#pragma once

#include "audit/hash.h"
#include "base/buf.h"
#include "base/limits.h"

#define CHAIN_LINK_HEAD_BYTES (8 + HASH_BYTES)
#define CHAIN_LINK_BYTES_MAX (CHAIN_LINK_HEAD_BYTES + JOURNAL_RECORD_BYTES_MAX)
#define CHAIN_FRAME_HEAD_BYTES 16

/* Where a chain stands. The zero value is an empty chain; seq counts from 1. */
struct chain {
	uint64_t count;   /* seq of the last link */
	struct hash head; /* its hash */
};

/* One link, borrowed from where it was read. */
struct chain_link {
	uint64_t seq;
	struct hash before;
	const uint8_t *record;
	size_t record_bytes;
};

/* Appends the next link's bytes to `out` and moves the chain on. Outcome 1: the record is empty or
 * longer than JOURNAL_RECORD_BYTES_MAX (nothing was done). */
int chain_append(struct chain *chain, const void *record, size_t count, struct buf *out) must_use;

/* Outcome 1: too short or too long for a link. */
int chain_link_parse(const void *bytes, size_t count, struct chain_link *ret_link) must_use;

/* The outcomes of chain_accept(). */
enum {
	CHAIN_MALFORMED = 1,
	CHAIN_AGAIN, /* seq is not above the head: sent twice, or a second history below it */
	CHAIN_GAP,   /* links are missing in front of it */
	CHAIN_FORK,  /* the next seq, but it does not follow from our head */
};

/* What the center does with each link of a segment: moves the chain on only if the link follows. */
int chain_accept(struct chain *chain, const void *link, size_t count, struct chain_link *ret_link,
        struct err *err) must_use;

/* Appends the frame of a link. */
void chain_frame(const void *link, size_t count, struct buf *out);

/* Reads a file that is mapped or read whole. */
struct chain_reader {
	const uint8_t *bytes;
	size_t count;
	size_t at; /* offset of the next frame */
	struct chain chain;
	/* How many links are known to have been durable (acknowledged by the center, or synced): if
	 * fewer are found, the tail is not torn but lost. 0 when nothing is known. */
	uint64_t durable_count;
	/* After CHAIN_DAMAGED and CHAIN_BROKEN: which bytes, and which links are lost or in doubt.
	 */
	size_t damage_start, damage_end;
	uint64_t damage_first_seq, damage_last_seq;
};

/* The outcomes of chain_read(). */
enum {
	CHAIN_END = 1, /* everything was read */
	CHAIN_TORN,    /* what follows `at` was never written whole: cut the file there and go on */
	CHAIN_DAMAGED, /* bytes were changed or lost, see damage_*; reading may go on behind them */
	CHAIN_BROKEN, /* a whole link that does not follow the one before; reading may go on from it
	               */
};

/* The next link. For CHAIN_BROKEN `ret_link` is filled as well. */
int chain_read(struct chain_reader *reader, struct chain_link *ret_link, struct err *err) must_use;
