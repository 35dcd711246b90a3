/*
 * The static files in which a log is published and exported (C2SP tlog-tiles): hash tiles of up to
 * 256 hashes, and bundles of the up to 256 entries below a tile of level 0.
 *
 *     tile/<level>/<index>[.p/<width>]        tile/entries/<index>[.p/<width>]
 *
 * The index is written in groups of three digits, all but the last with an x in front: 1234067 is
 * x001/x234/067. The suffix is there for the one partial tile at the end of a level only.
 */
#pragma once

#include "audit/merkle.h"
#include "base/buf.h"

#define TILE_WIDTH 256
#define TILE_HEIGHT 8
#define TILE_LEVELS 8 /* 256^8 leaves are more than merkle.h counts */
#define TILE_BYTES_MAX (TILE_WIDTH * HASH_BYTES)
#define TILE_PATH_BYTES_MAX 64
#define BUNDLE_BYTES_MAX (TILE_WIDTH * (2 + LEDGER_RECORD_BYTES_MAX))

struct tile {
	bool entries; /* a bundle; level is 0 */
	unsigned level;
	uint64_t index;
	unsigned width; /* 1 to TILE_WIDTH */
};

struct tile_path {
	char text[TILE_PATH_BYTES_MAX];
};

struct tile_path tile_path(const struct tile *tile);

/* Outcome 1: not exactly what tile_path() writes. */
int tile_parse(const char *path, struct tile *ret_tile) must_use;

/* How many hashes level `level` of a tree of `size` leaves has in all. */
uint64_t tile_hashes(uint64_t size, unsigned level);

/* The width of one tile in a tree of `size` leaves; 0 when the tree has no such tile. */
unsigned tile_width(uint64_t size, unsigned level, uint64_t index);

/* Appends a tile's hashes, read from the nodes of the tree. */
int tile_build(const struct merkle_store *store, const struct tile *tile, struct buf *out,
        struct err *err) must_use;

/* Appends one entry to a bundle. Outcome 1: it is empty or longer than LEDGER_RECORD_BYTES_MAX. */
int bundle_add(struct buf *out, const void *entry, size_t count) must_use;

/* The next entry of a bundle, borrowed. Outcome 1: the end; 2: what is left is not an entry (an
 * empty one counts as that, so that zeroed bytes are never read as entries). */
int bundle_next(struct cursor *bundle, const uint8_t **ret_entry, size_t *ret_count) must_use;
