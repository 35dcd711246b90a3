/* What the parts of the verifier share; for verify*.c only. */
#pragma once

#include "audit/verify.h"

/* A bundle into which records were put has more than it should; this many more are looked at. */
#define LEAVES_MAX (TILE_WIDTH + 64)

/* The leaf hashes of one bundle, or the hashes of one tile, as the export has them. */
struct leaves {
	bool there;
	bool clean; /* the file was read to its end without a malformed entry */
	size_t count;
	struct hash hashes[LEAVES_MAX];
};

/* The three hashes that the export has for one chunk of 256 entries. */
struct chunk {
	bool entries_whole, tile_whole, parent_there;
	bool entries_there, tile_there;
	struct hash entries, tile, parent;
};

/* Which of them leads to the signed root. The second letter says what stands in for the last,
 * partial chunk, which has no parent, and for a chunk about which there is no majority. */
enum source {
	SOURCE_ENTRIES,
	SOURCE_TILES,
	SOURCE_MAJORITY_ENTRIES,
	SOURCE_MAJORITY_TILES,
	SOURCE_PARENTS_ENTRIES,
	SOURCE_PARENTS_TILES,
	SOURCES,
};

#define RECORD_FINDINGS_MAX 16

struct verify {
	const struct export_reader *reader;
	const struct verify_options *options;
	struct export_report *report;
	uint64_t size;
	struct chunk *chunks;
	uint64_t chunk_count, chunk_room;
	struct leaves parents; /* the tile of level 1 above the chunks being read */
	int64_t last_time_usec;
	/* Remarks on single records, held back until it is known whether the record is genuine. */
	struct export_finding record_findings[RECORD_FINDINGS_MAX];
	size_t record_finding_count;
	uint64_t record_findings_left_out;
	bool head_signed;
	bool have_truth;
	enum source truth;
	struct buf file; /* reused for each file */
};

/* Adds a finding; one that goes on from the last one is joined to it. */
struct export_finding *verify_find(
        struct verify *verify, enum export_fault fault, uint64_t first, uint64_t last);
void verify_find_tile(struct verify *verify, enum export_fault fault, const struct tile *tile,
        uint64_t first, uint64_t last);

/* The leaf hashes of a bundle; `check` looks at the records as well. A bundle that is missing at
 * the end is looked for under the name of a shorter one. */
int verify_read_entries(struct verify *verify, uint64_t chunk, bool check,
        struct leaves *ret_leaves, struct err *err);
int verify_read_tile(
        struct verify *verify, const struct tile *tile, struct leaves *ret_leaves, struct err *err);

/* The hash of up to 256 leaves as a subtree. */
struct hash verify_chunk_hash(const struct leaves *leaves);

/* What a source says about a chunk. Outcome 1: nothing. */
int verify_chunk_from(
        const struct verify *verify, enum source source, uint64_t chunk, struct hash *ret_hash);

/* Compares the entries from `chunk` on with the true leaves and reports what was done to them. */
int verify_align(struct verify *verify, uint64_t chunk, struct err *err);
