/* Reading the files of an export. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "audit/record.h"
#include "audit/verify_parts.h"

static int read_file(struct verify *verify, const struct tile *tile, struct err *err)
{
	buf_reset(&verify->file);
	return verify->reader->read(
	        verify->reader->context, tile_path(tile).text, &verify->file, err);
}

/* A log may drop a partial file once the full one is there (C2SP tlog-tiles), so that is looked for
 * as well. Outcome 1: neither is there. */
static int read_file_or_full(struct verify *verify, const struct tile *tile, struct err *err)
{
	int r = read_file(verify, tile, err);

	if (r == 1 && tile->width < TILE_WIDTH) {
		struct tile full = *tile;

		full.width = TILE_WIDTH;
		r = read_file(verify, &full, err);
	}
	return r;
}

static int read_shorter(struct verify *verify, const struct tile *tile, struct err *err)
{
	struct tile shorter = *tile;

	while (--shorter.width > 0) {
		int r = read_file(verify, &shorter, err);

		if (r != 1) {
			return r;
		}
	}
	return 1;
}

static void find_in_record(
        struct verify *verify, enum export_fault fault, uint64_t index, const char *what)
{
	struct export_finding *finding;

	if (verify->record_finding_count == RECORD_FINDINGS_MAX) {
		verify->record_findings_left_out++;
		return;
	}
	finding = &verify->record_findings[verify->record_finding_count++];
	*finding = (struct export_finding){ .fault = fault, .first = index, .last = index };
	snprintf(finding->text, sizeof(finding->text), "entry %" PRIu64 ": %.200s", index, what);
}

static void check_record(struct verify *verify, uint64_t index, const uint8_t *entry, size_t count)
{
	struct record_head head;
	struct err err = { 0 };
	int r = record_check(entry, count, &head, &err);

	if (r == RECORD_MALFORMED) {
		find_in_record(verify, EXPORT_RECORD_MALFORMED, index, err.text);
		return;
	}
	if (r == RECORD_UNKNOWN) {
		find_in_record(verify, EXPORT_RECORD_UNKNOWN, index, err.text);
	}
	/* A stepped clock is recorded as such by whoever noticed it. */
	if (head.time_usec < verify->last_time_usec &&
	        !(head.kind && strcmp(head.kind->name, "clock.stepped") == 0)) {
		find_in_record(
		        verify, EXPORT_TIME_BACK, index, "dated before the record in front of it");
	}
	verify->last_time_usec = head.time_usec;
}

int verify_read_entries(struct verify *verify, uint64_t chunk, bool check,
        struct leaves *ret_leaves, struct err *err)
{
	struct tile tile = { .entries = true, .index = chunk };
	struct cursor cursor;
	const uint8_t *entry;
	bool cut = false; /* the file is the full one and only its beginning is of this tree */
	size_t count;
	int r;

	ret_leaves->there = false;
	ret_leaves->clean = false;
	ret_leaves->count = 0;
	tile.width = tile_width(verify->size, 0, chunk);
	if (tile.width == 0) {
		return 0;
	}
	r = read_file(verify, &tile, err);
	if (r == 1) {
		r = read_file_or_full(verify, &tile, err);
		cut = r == 0;
	}
	if (r == 1) {
		r = read_shorter(verify, &tile, err);
	}
	if (r != 0) {
		return r < 0 ? FAULT(r) : 0;
	}
	ret_leaves->there = true;
	cursor = CURSOR(verify->file.bytes, verify->file.count);
	while (ret_leaves->count < LEAVES_MAX && !(cut && ret_leaves->count == tile.width)) {
		r = bundle_next(&cursor, &entry, &count);
		if (r != 0) {
			ret_leaves->clean = r == 1;
			break;
		}
		if (check && ret_leaves->count < tile.width) {
			check_record(verify, chunk * TILE_WIDTH + ret_leaves->count, entry, count);
		}
		ret_leaves->hashes[ret_leaves->count++] = hash_leaf(entry, count);
	}
	ret_leaves->clean |= cut && ret_leaves->count == tile.width;
	return 0;
}

int verify_read_tile(
        struct verify *verify, const struct tile *tile, struct leaves *ret_leaves, struct err *err)
{
	int r;

	ret_leaves->there = false;
	ret_leaves->clean = false;
	ret_leaves->count = 0;
	r = read_file_or_full(verify, tile, err);
	if (r != 0) {
		return r < 0 ? FAULT(r) : 0;
	}
	ret_leaves->there = true;
	ret_leaves->clean = verify->file.count == tile->width * HASH_BYTES ||
	                    verify->file.count == TILE_BYTES_MAX;
	while (ret_leaves->count < tile->width &&
	        (ret_leaves->count + 1) * HASH_BYTES <= verify->file.count) {
		memcpy(ret_leaves->hashes[ret_leaves->count].bytes,
		        verify->file.bytes + ret_leaves->count * HASH_BYTES, HASH_BYTES);
		ret_leaves->count++;
	}
	return 0;
}

struct hash verify_chunk_hash(const struct leaves *leaves)
{
	struct merkle_tree tree = { 0 };

	for (size_t i = 0; i < leaves->count; i++) {
		merkle_add(&tree, &leaves->hashes[i]);
	}
	return merkle_root(&tree);
}
