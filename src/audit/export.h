/*
 * An export: the ledger as a directory of static files, complete and checkable with nothing but the
 * log's verifier key. It is a C2SP tlog-tiles log as it stands, so other tools read it too.
 *
 *     checkpoint                the signed head
 *     tile/<level>/…            hash tiles
 *     tile/entries/…            the records
 *
 * Files are reached through two small interfaces, so that the same code serves a directory, a test
 * in memory and, later, an archive.
 */
#pragma once

#include "audit/checkpoint.h"
#include "audit/tile.h"

/* Called now and then during long work; may be NULL. */
struct export_progress {
	void (*step)(void *context, uint64_t done, uint64_t total);
	void *context;
};

struct export_reader {
	/* Appends a file. Outcome 1: there is no such file. */
	int (*read)(void *context, const char *path, struct buf *out, struct err *err);
	void *context;
};

struct export_sink {
	int (*write)(
	        void *context, const char *path, const void *bytes, size_t count, struct err *err);
	void *context;
};

/* The ledger that is to be written. */
struct export_source {
	const struct merkle_store *store;
	/* Appends entry `index`. Returns 0 or a fault. */
	int (*entry)(void *context, uint64_t index, struct buf *out, struct err *err);
	void *context;
	const void *checkpoint; /* the signed note; its size is how much is written */
	size_t checkpoint_bytes;
};

/* Writes every file, the checkpoint last: an export that was broken off has none.
 * Outcome 1: the checkpoint is not one. */
int export_write(const struct export_source *source, const struct export_sink *sink,
        const struct export_progress *progress, struct err *err) must_use;

/* The same into a directory, which is made; synced at the end. */
int export_write_directory(const struct export_source *source, const char *directory,
        const struct export_progress *progress, struct err *err) must_use;

/* Reads from a directory; the path is borrowed. */
struct export_reader export_directory(const char *directory);
