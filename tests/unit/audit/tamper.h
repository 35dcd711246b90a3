/* Ways to tamper with an export, each with what must then be found. */
#pragma once

#include "ledger.h"

struct tamper_random {
	uint64_t state;
};

static inline uint64_t tamper_below(struct tamper_random *random, uint64_t bound)
{
	random->state ^= random->state << 13;
	random->state ^= random->state >> 7;
	random->state ^= random->state << 17;
	return random->state % bound;
}

enum tamper {
	TAMPER_ENTRY_BYTE,
	TAMPER_TILE_BYTE,
	TAMPER_CHECKPOINT_BYTE,
	TAMPER_REMOVE,       /* one record; its bundle gets shorter */
	TAMPER_REMOVE_SHIFT, /* one record; all later ones move up */
	TAMPER_INSERT,
	TAMPER_SWAP,
	TAMPER_TRUNCATE,
	TAMPER_LOSE_FILE,
	TAMPER_ENTRY_AND_TILE, /* a record and its hash in the tile below a parent */
	TAMPERS,
};

/* What was done: entries first to last, or a file. */
struct tampered {
	enum tamper what;
	uint64_t first, last;
	char path[TILE_PATH_BYTES_MAX];
	size_t offset; /* in the file */
};

/* The records of an export in a row, as a tamperer handles them. */
struct row_of_entries {
	struct {
		const uint8_t *bytes;
		size_t count;
	} entry[LEDGER_SIZE_MAX];
	uint64_t count;
};

static inline void row_make(struct row_of_entries *row, const struct ledger *ledger)
{
	row->count = ledger->tree.size;
	for (uint64_t i = 0; i < row->count; i++) {
		row->entry[i].bytes = ledger->entries[i].bytes;
		row->entry[i].count = ledger->entries[i].count;
	}
}

/* Writes the records into the bundles; bundle `short_chunk` gets `delta` more than it should. */
static inline void row_write(struct row_of_entries *row, struct files *files, uint64_t size,
        uint64_t odd_chunk, int delta)
{
	struct tile tile = { .entries = true };
	uint64_t at = 0;

	for (; (tile.width = tile_width(size, 0, tile.index)) > 0; tile.index++) {
		AUTO_BUF struct buf bundle = BUF(2 * BUNDLE_BYTES_MAX);
		uint64_t count = tile.width + (uint64_t)(tile.index == odd_chunk ? delta : 0);
		int r = 0;

		for (uint64_t i = 0; i < count && at < row->count && r == 0; i++, at++) {
			r = bundle_add(&bundle, row->entry[at].bytes, row->entry[at].count);
		}
		assert_always(r == 0);
		files_write(files, tile_path(&tile).text, bundle.bytes, bundle.count, NULL);
	}
}

/* Which entry of the bundle a byte belongs to. */
static inline uint64_t entry_of_byte(const struct ledger *ledger, uint64_t index, size_t offset)
{
	size_t at = 0;

	for (;; index++) {
		at += 2 + ledger->entries[index].count;
		if (offset < at) {
			return index;
		}
	}
}

static inline void tamper_byte(struct tamper_random *random, const struct ledger *ledger,
        struct files *files, struct tampered *done)
{
	struct buf *file;
	struct tile tile;

	for (;;) {
		size_t i = tamper_below(random, files->count);
		bool is_tile = tile_parse(files->file[i].path, &tile) == 0;

		if (done->what == TAMPER_CHECKPOINT_BYTE
		                ? !is_tile
		                : is_tile && tile.entries == (done->what == TAMPER_ENTRY_BYTE)) {
			file = &files->file[i].bytes;
			snprintf(done->path, sizeof(done->path), "%s", files->file[i].path);
			break;
		}
	}
	done->offset = tamper_below(random, file->count);
	file->bytes[done->offset] ^= (uint8_t)(1 << tamper_below(random, 8));
	if (done->what == TAMPER_ENTRY_BYTE) {
		done->first = entry_of_byte(ledger, tile.index * TILE_WIDTH, done->offset);
		done->last = done->first;
	}
}

static inline void tamper_order(struct tamper_random *random, struct row_of_entries *row,
        struct files *files, uint64_t size, struct tampered *done)
{
	uint64_t i = tamper_below(random, size), j = tamper_below(random, size);
	static const uint8_t forged[] = "{\"forged\":true}";

	done->first = done->last = i;
	switch (done->what) {
	case TAMPER_SWAP:
		j = i == j ? (i + 1) % size : j;
		done->first = i < j ? i : j;
		done->last = i < j ? j : i;
		__typeof__(row->entry[0]) entry = row->entry[i];
		row->entry[i] = row->entry[j];
		row->entry[j] = entry;
		row_write(row, files, size, 0, 0);
		break;
	case TAMPER_INSERT:
		memmove(&row->entry[i + 1], &row->entry[i],
		        (row->count - i) * sizeof(row->entry[0]));
		row->count++;
		if (tamper_below(random, 2) == 0) {
			row->entry[i].bytes = forged;
			row->entry[i].count = sizeof(forged) - 1;
		}
		row_write(row, files, size, i / TILE_WIDTH, 1);
		break;
	default:
		memmove(&row->entry[i], &row->entry[i + 1],
		        (row->count - i - 1) * sizeof(row->entry[0]));
		row->count--;
		row_write(row, files, size, i / TILE_WIDTH, done->what == TAMPER_REMOVE ? -1 : 0);
	}
}

/* Cuts the records from `first` on, by making the last bundle there is a shorter one. */
static inline void tamper_truncate(struct tamper_random *random, const struct ledger *ledger,
        struct files *files, uint64_t size, struct tampered *done)
{
	struct tile tile = { .entries = true };
	struct row_of_entries *row = mem_new(1, sizeof(*row));

	done->first = tamper_below(random, size);
	done->last = size - 1;
	for (; (tile.width = tile_width(size, 0, tile.index)) > 0; tile.index++) {
		files_remove(files, tile_path(&tile).text);
	}
	row_make(row, ledger);
	row_write(row, files, done->first, 0, 0);
	free(row);
}

static inline void tamper_entry_and_tile(struct tamper_random *random, const struct ledger *ledger,
        struct files *files, struct tampered *done)
{
	struct buf *bundle = files_find(files, "tile/entries/000");
	struct buf *tile = files_find(files, "tile/0/000");
	uint64_t index = tamper_below(random, TILE_WIDTH);
	struct hash leaf;
	size_t at = 0;

	for (uint64_t i = 0; i < index; i++) {
		at += 2 + ledger->entries[i].count;
	}
	bundle->bytes[at + 2 + tamper_below(random, ledger->entries[index].count)] ^= 1;
	leaf = hash_leaf(bundle->bytes + at + 2, ledger->entries[index].count);
	memcpy(tile->bytes + index * HASH_BYTES, leaf.bytes, HASH_BYTES);
	done->first = done->last = index;
}

/* Does one thing to a copy of an export. The log must have more than TILE_WIDTH entries. */
static inline struct tampered tamper(struct tamper_random *random, enum tamper what,
        const struct ledger *ledger, struct files *files)
{
	struct tampered done = { .what = what };
	uint64_t size = ledger->tree.size;

	switch (what) {
	case TAMPER_ENTRY_BYTE:
	case TAMPER_TILE_BYTE:
	case TAMPER_CHECKPOINT_BYTE:
		tamper_byte(random, ledger, files, &done);
		break;
	case TAMPER_TRUNCATE:
		tamper_truncate(random, ledger, files, size, &done);
		break;
	case TAMPER_LOSE_FILE:
		snprintf(done.path, sizeof(done.path), "%s",
		        files->file[tamper_below(random, files->count)].path);
		files_remove(files, done.path);
		break;
	case TAMPER_ENTRY_AND_TILE:
		tamper_entry_and_tile(random, ledger, files, &done);
		break;
	default: {
		struct row_of_entries *row = mem_new(1, sizeof(*row));

		row_make(row, ledger);
		tamper_order(random, row, files, size, &done);
		free(row);
	}
	}
	return done;
}
