/*
 * Finding out what was done to the records, given the true leaf hashes: the two rows are walked
 * side by side, and where they part, the nearest place where they meet again says whether records
 * were altered, taken out, put in or swapped.
 */
#include <string.h>

#include "audit/verify_parts.h"

/* How far apart the two may meet again: two bundles and a bit, so that a missing bundle is seen. */
#define REACH 600
#define WINDOW (4 * REACH)
#define SWAP_CANDIDATES_MAX 64
/* After so many in a row that fit nowhere the rest is not searched for them any more. */
#define HOPELESS_COUNT 2048

/* A row of leaf hashes of which a window is held. */
struct row {
	bool true_leaves;
	uint64_t next_chunk;
	uint64_t base; /* index of window[0] */
	size_t count;
	struct hash window[WINDOW];
};

struct altered {
	uint64_t index;
	struct hash truth, have;
};

struct align {
	struct verify *verify;
	struct row truth, have;
	struct altered altered[SWAP_CANDIDATES_MAX];
	size_t altered_count;
	uint64_t hopeless;
	int fault;
	struct err *err;
};

/* The true leaves of a chunk: from its tile or its entries, whichever is genuine. Where neither is,
 * hashes that equal nothing stand for them. */
static int read_truth(
        struct verify *verify, uint64_t chunk, struct leaves *ret_leaves, struct err *err)
{
	struct tile tile = { .index = chunk, .width = tile_width(verify->size, 0, chunk) };
	const struct chunk *has = &verify->chunks[chunk];
	struct hash truth;
	int r;

	if (verify_chunk_from(verify, verify->truth, chunk, &truth) == 0) {
		if (has->tile_whole && hash_equal(&has->tile, &truth)) {
			return verify_read_tile(verify, &tile, ret_leaves, err);
		}
		if (has->entries_whole && hash_equal(&has->entries, &truth)) {
			r = verify_read_entries(verify, chunk, false, ret_leaves, err);
			return r;
		}
	}
	ret_leaves->count = tile.width;
	memset(ret_leaves->hashes, 0, tile.width * sizeof(ret_leaves->hashes[0]));
	return 0;
}

/* The hash at an index at or after the row's floor, or NULL behind its end. */
static const struct hash *row_at(
        struct align *align, struct row *row, uint64_t floor, uint64_t index)
{
	while (index >= row->base + row->count && row->next_chunk < align->verify->chunk_count &&
	        align->fault == 0) {
		struct leaves leaves;

		align->fault =
		        row->true_leaves
		                ? read_truth(align->verify, row->next_chunk, &leaves, align->err)
		                : verify_read_entries(align->verify, row->next_chunk, false,
		                          &leaves, align->err);
		if (align->fault < 0) {
			return NULL;
		}
		row->next_chunk++;
		if (row->count + leaves.count > WINDOW) {
			size_t drop = (size_t)(floor - row->base);

			memmove(row->window, row->window + drop,
			        (row->count - drop) * sizeof(row->window[0]));
			row->base += drop;
			row->count -= drop;
		}
		assert_always(row->count + leaves.count <= WINDOW);
		memcpy(row->window + row->count, leaves.hashes,
		        leaves.count * sizeof(row->window[0]));
		row->count += leaves.count;
	}
	return index < row->base + row->count ? &row->window[index - row->base] : NULL;
}

static bool meet(struct align *align, uint64_t at, uint64_t truth, uint64_t have_at, uint64_t have)
{
	const struct hash *left = row_at(align, &align->truth, at, truth);
	const struct hash *right = row_at(align, &align->have, have_at, have);

	return left && right && hash_equal(left, right);
}

/* One record is not the true one. Two of them that stand in each other's place were swapped. */
static void find_altered(
        struct align *align, uint64_t index, const struct hash *truth, const struct hash *have)
{
	struct export_report *report = align->verify->report;

	for (size_t i = 0; i < align->altered_count; i++) {
		const struct altered *other = &align->altered[i];

		if (!hash_equal(&other->truth, have) || !hash_equal(&other->have, truth)) {
			continue;
		}
		for (size_t j = 0; j < report->finding_count; j++) {
			struct export_finding *finding = &report->findings[j];

			if (finding->fault == EXPORT_ENTRY_ALTERED &&
			        finding->first == other->index && finding->last == other->index) {
				finding->fault = EXPORT_ENTRIES_SWAPPED;
				finding->last = index;
				return;
			}
		}
	}
	if (align->altered_count < SWAP_CANDIDATES_MAX) {
		align->altered[align->altered_count++] =
		        (struct altered){ .index = index, .truth = *truth, .have = *have };
	}
	verify_find(align->verify, EXPORT_ENTRY_ALTERED, index, index);
}

/* Both rows have a hash here and they differ. Moves both on to where they may meet again. */
static void find_difference(struct align *align, uint64_t *truth, uint64_t *have)
{
	const struct hash *true_hash = row_at(align, &align->truth, *truth, *truth);
	const struct hash *have_hash = row_at(align, &align->have, *have, *have);
	struct hash left, right;
	uint64_t t = *truth, h = *have;
	bool last;

	assert_always(true_hash && have_hash);
	left = *true_hash; /* the rows move on below */
	right = *have_hash;
	last = !row_at(align, &align->truth, t, t + 1) && !row_at(align, &align->have, h, h + 1);
	if (!last && !meet(align, t, t + 1, h, h + 1) && align->hopeless < HOPELESS_COUNT) {
		if (meet(align, t, t + 1, h, h) && meet(align, t, t, h, h + 1)) {
			verify_find(align->verify, EXPORT_ENTRIES_SWAPPED, t, t + 1);
			*truth += 2;
			*have += 2;
			return;
		}
		for (uint64_t distance = 1; distance <= REACH; distance++) {
			if (meet(align, t, t + distance, h, h)) {
				verify_find(
				        align->verify, EXPORT_ENTRY_REMOVED, t, t + distance - 1);
				*truth += distance;
				return;
			}
			if (meet(align, t, t, h, h + distance)) {
				verify_find(align->verify, EXPORT_ENTRY_INSERTED, t, t);
				*have += distance;
				return;
			}
		}
		align->hopeless++;
	}
	find_altered(align, t, &left, &right);
	++*truth;
	++*have;
}

int verify_align(struct verify *verify, uint64_t chunk, struct err *err)
{
	struct align *align = mem_new(1, sizeof(*align));
	uint64_t truth = chunk * TILE_WIDTH, have = truth;
	int fault;

	align->verify = verify;
	align->err = err;
	align->truth = (struct row){ .true_leaves = true, .next_chunk = chunk, .base = truth };
	align->have = (struct row){ .next_chunk = chunk, .base = have };
	while (align->fault == 0) {
		const struct hash *left = row_at(align, &align->truth, truth, truth);
		const struct hash *right = row_at(align, &align->have, have, have);

		if (!left && right) {
			verify_find(verify, EXPORT_ENTRY_INSERTED, truth, truth);
		}
		if (!right && truth < verify->size) {
			verify_find(verify, EXPORT_TRUNCATED, truth, verify->size - 1);
		}
		if (!left || !right) {
			break;
		}
		if (hash_equal(left, right)) {
			truth++;
			have++;
			align->hopeless = 0;
		} else {
			find_difference(align, &truth, &have);
		}
	}
	fault = align->fault;
	free(align);
	return fault < 0 ? FAULT(fault) : 0;
}
