/*
 * The offline check of an export: everything is computed again from the records and the tiles, with
 * nothing trusted but the log's verifier key and, where there are some, earlier checkpoints.
 *
 * The same tree is in the export up to three times: in the records, in the hash tiles of level 0,
 * and in the hashes of the tiles above. Whichever of them leads to the signed root is the truth,
 * and the others are compared with it, so a fault is found where it is: a record, a place in a
 * tile, the checkpoint. Where nothing leads to the signed root, everything agrees with itself and
 * the log was rewritten as a whole; earlier checkpoints then say between which sizes.
 */
#pragma once

#include "audit/export.h"

enum export_fault {
	EXPORT_CHECKPOINT_MISSING,
	EXPORT_CHECKPOINT_MALFORMED,
	EXPORT_ORIGIN_UNKNOWN,
	EXPORT_UNSIGNED,
	EXPORT_SIGNATURE_BAD,
	EXPORT_ENTRY_ALTERED,  /* entries first to last */
	EXPORT_ENTRY_REMOVED,  /* entries first to last are not there */
	EXPORT_ENTRY_INSERTED, /* something stands in front of entry `first` that was never there */
	EXPORT_ENTRIES_SWAPPED, /* first and last stand in each other's place */
	EXPORT_TRUNCATED,       /* entries from first to the end are not there */
	EXPORT_TILE_ALTERED,    /* tile, hashes first to last of it */
	EXPORT_TILE_MISSING,    /* tile */
	EXPORT_DIFFERS,     /* entries first to last and their hashes differ; cannot tell which */
	EXPORT_REWRITTEN,   /* entries and tiles agree, but not with the signed root */
	EXPORT_ROLLED_BACK, /* an earlier state than a checkpoint that is known */
	EXPORT_FORKED,      /* another history than a checkpoint that is known */
	EXPORT_KNOWN_BAD,   /* the known checkpoint is itself not one of this log */
	EXPORT_RECORD_MALFORMED,
	/* From here on: to be looked at, but the log is what was signed. */
	EXPORT_RECORD_UNKNOWN,
	EXPORT_TIME_BACK,
	EXPORT_FAULTS,
};

/* A short name for programs ("entry-altered") and a sentence on what such a fault means. */
const char *export_fault_name(enum export_fault fault);
const char *export_fault_meaning(enum export_fault fault);
bool export_fault_is_notice(enum export_fault fault);

#define EXPORT_FINDINGS_MAX 64

struct export_finding {
	enum export_fault fault;
	uint64_t first, last; /* entries; for a tile: hashes within it */
	struct tile tile;     /* width 0: not about a tile */
	char text[240];       /* what and where */
};

struct export_report {
	bool intact; /* the zero value is no */
	struct checkpoint checkpoint;
	uint64_t entries;  /* how many were read */
	size_t known_good; /* known checkpoints that this export continues */
	size_t finding_count;
	uint64_t findings_left_out;
	struct export_finding findings[EXPORT_FINDINGS_MAX];
};

#define EXPORT_KNOWN_MAX 16

/* A checkpoint that somebody kept. */
struct export_known {
	const void *note;
	size_t note_bytes;
	/* For one that is newer than the export, the consistency proof between the two if there is
	 * one; without it a rollback can be proved but not that nothing was changed besides. May be
	 * NULL. */
	const struct merkle_proof *proof;
};

struct verify_options {
	const struct note_key *key;
	const struct export_known *known;
	size_t known_count; /* at most EXPORT_KNOWN_MAX */
	const struct export_progress *progress;
};

/* Fills the report, whatever the export holds; a fault only when reading it failed. */
int verify_export(const struct export_reader *reader, const struct verify_options *options,
        struct export_report *ret_report, struct err *err) must_use;

/* The report for people. */
void export_report_print(const struct export_report *report, struct buf *out);
