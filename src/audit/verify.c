#include "audit/verify.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "audit/verify_parts.h"

/* A checkpoint whose signature is wrong may claim any size: after so many chunks in a row of which
 * nothing is there, nothing more is expected. */
#define MISSING_CHUNKS_MAX 64

struct export_finding *verify_find(
        struct verify *verify, enum export_fault fault, uint64_t first, uint64_t last)
{
	struct export_report *report = verify->report;
	struct export_finding *finding =
	        report->finding_count > 0 ? &report->findings[report->finding_count - 1] : NULL;
	bool joins = fault == EXPORT_ENTRY_ALTERED || fault == EXPORT_ENTRY_REMOVED ||
	             fault == EXPORT_DIFFERS || fault == EXPORT_ENTRY_INSERTED;

	if (finding && joins && finding->fault == fault &&
	        (finding->last + 1 == first ||
	                (finding->last == first && finding->first == first))) {
		finding->last = last;
		return finding;
	}
	if (report->finding_count == EXPORT_FINDINGS_MAX) {
		report->findings_left_out++;
		return NULL;
	}
	finding = &report->findings[report->finding_count++];
	*finding = (struct export_finding){ .fault = fault, .first = first, .last = last };
	return finding;
}

void verify_find_tile(struct verify *verify, enum export_fault fault, const struct tile *tile,
        uint64_t first, uint64_t last)
{
	struct export_finding *finding = verify_find(verify, fault, first, last);

	if (finding) {
		finding->tile = *tile;
	}
}

static void find_text(struct verify *verify, enum export_fault fault, const char *text)
{
	struct export_finding *finding = verify_find(verify, fault, 0, 0);

	if (finding) {
		snprintf(finding->text, sizeof(finding->text), "%.230s", text);
	}
}

/* Texts come last, because findings are joined while they are made. */
static void print_finding(const struct verify *verify, struct export_finding *finding)
{
	const char *verb = finding->fault == EXPORT_ENTRY_ALTERED   ? "not what was signed"
	                   : finding->fault == EXPORT_ENTRY_REMOVED ? "missing"
	                   : finding->fault == EXPORT_TRUNCATED     ? "not there"
	                   : finding->fault == EXPORT_DIFFERS ? "in contradiction to their hashes"
	                                                      : "in question";
	struct tile bundle = { .entries = true, .index = finding->first / TILE_WIDTH };
	struct tile_path name;
	const char *path = name.text;

	if (finding->text[0] != '\0') {
		return;
	}
	bundle.width = tile_width(verify->size, 0, bundle.index);
	bundle.width = bundle.width > 0 ? bundle.width : TILE_WIDTH;
	name = tile_path(finding->tile.width > 0 ? &finding->tile : &bundle);
	switch (finding->fault) {
	case EXPORT_TILE_ALTERED:
		snprintf(finding->text, sizeof(finding->text),
		        "hashes %" PRIu64 " to %" PRIu64 " of %.64s are wrong", finding->first,
		        finding->last, path);
		break;
	case EXPORT_TILE_MISSING:
		snprintf(finding->text, sizeof(finding->text), "%.64s is missing", path);
		break;
	case EXPORT_ENTRY_INSERTED:
		snprintf(finding->text, sizeof(finding->text),
		        "in front of entry %" PRIu64 " (%.64s) stands something that was put in",
		        finding->first, path);
		break;
	case EXPORT_ENTRIES_SWAPPED:
		snprintf(finding->text, sizeof(finding->text),
		        "entries %" PRIu64 " and %" PRIu64 " (%.64s) are in each other's place",
		        finding->first, finding->last, path);
		break;
	default:
		if (finding->first == finding->last) {
			snprintf(finding->text, sizeof(finding->text),
			        "entry %" PRIu64 " (%.64s) is %s", finding->first, path, verb);
		} else {
			snprintf(finding->text, sizeof(finding->text),
			        "entries %" PRIu64 " to %" PRIu64 " (from %.64s on) are %s",
			        finding->first, finding->last, path, verb);
		}
	}
}

/* Outcome 1: there is no checkpoint to check anything against. */
static int open_checkpoint(struct verify *verify, struct err *err)
{
	static const enum export_fault fault_of[] = {
		[CHECKPOINT_MALFORMED] = EXPORT_CHECKPOINT_MALFORMED,
		[CHECKPOINT_ORIGIN] = EXPORT_ORIGIN_UNKNOWN,
		[CHECKPOINT_UNSIGNED] = EXPORT_UNSIGNED,
		[CHECKPOINT_FORGED] = EXPORT_SIGNATURE_BAD,
	};
	AUTO_BUF struct buf note = BUF(BUNDLE_BYTES_MAX);
	struct err why = { 0 };
	int r = verify->reader->read(verify->reader->context, "checkpoint", &note, err);

	if (r < 0) {
		return FAULT(r);
	}
	if (r == 1) {
		find_text(verify, EXPORT_CHECKPOINT_MISSING, "there is no file named checkpoint");
		return 1;
	}
	r = checkpoint_open(
	        note.bytes, note.count, verify->options->key, &verify->report->checkpoint, &why);
	if (r != 0) {
		find_text(verify, fault_of[r], why.text);
	}
	verify->head_signed = r == 0;
	verify->size = verify->report->checkpoint.head.size;
	return r == CHECKPOINT_MALFORMED ? 1 : 0;
}

static int read_chunk(struct verify *verify, uint64_t index, struct err *err)
{
	struct tile tile = { .index = index, .width = tile_width(verify->size, 0, index) };
	struct leaves leaves;
	struct chunk *chunk;
	int r;

	if (verify->chunk_count == verify->chunk_room) {
		verify->chunk_room = verify->chunk_room > 0 ? 2 * verify->chunk_room : 64;
		verify->chunks =
		        mem_resize(verify->chunks, verify->chunk_room, sizeof(*verify->chunks));
	}
	chunk = &verify->chunks[verify->chunk_count++];
	*chunk = (struct chunk){ 0 };
	r = verify_read_entries(verify, index, true, &leaves, err);
	if (r < 0) {
		return FAULT(r);
	}
	chunk->entries_there = leaves.there;
	chunk->entries_whole = leaves.clean && leaves.count == tile.width;
	chunk->entries = verify_chunk_hash(&leaves);
	verify->report->entries += leaves.count < tile.width ? leaves.count : tile.width;
	r = verify_read_tile(verify, &tile, &leaves, err);
	if (r < 0) {
		return FAULT(r);
	}
	chunk->tile_there = leaves.there;
	chunk->tile_whole = leaves.clean;
	chunk->tile = verify_chunk_hash(&leaves);
	if (index % TILE_WIDTH == 0) {
		struct tile parents = { .level = 1, .index = index / TILE_WIDTH };

		parents.width = tile_width(verify->size, 1, parents.index);
		verify->parents.count = 0;
		r = parents.width > 0 ? verify_read_tile(verify, &parents, &verify->parents, err)
		                      : 0;
		if (r < 0) {
			return FAULT(r);
		}
	}
	chunk->parent_there = index % TILE_WIDTH < verify->parents.count;
	if (chunk->parent_there) {
		chunk->parent = verify->parents.hashes[index % TILE_WIDTH];
	}
	return 0;
}

static uint64_t chunks_in(uint64_t size)
{
	return size / TILE_WIDTH + (size % TILE_WIDTH > 0);
}

static int read_chunks(struct verify *verify, struct err *err)
{
	const struct export_progress *progress = verify->options->progress;
	uint64_t chunks = chunks_in(verify->size), missing = 0;

	for (uint64_t i = 0; i < chunks && missing < MISSING_CHUNKS_MAX; i++) {
		int r = read_chunk(verify, i, err);

		if (r < 0) {
			return FAULT(r);
		}
		if (verify->chunks[i].entries_there || verify->chunks[i].tile_there) {
			missing = 0;
		} else {
			missing++;
		}
		if (progress) {
			uint64_t done = (i + 1) * TILE_WIDTH;

			progress->step(progress->context, done < verify->size ? done : verify->size,
			        verify->size);
		}
	}
	return 0;
}

int verify_chunk_from(
        const struct verify *verify, enum source source, uint64_t index, struct hash *ret_hash)
{
	const struct chunk *chunk = &verify->chunks[index];
	bool tiles = source == SOURCE_TILES || source == SOURCE_MAJORITY_TILES ||
	             source == SOURCE_PARENTS_TILES;
	bool e = chunk->entries_whole, t = chunk->tile_whole, p = chunk->parent_there;

	if ((source == SOURCE_PARENTS_ENTRIES || source == SOURCE_PARENTS_TILES) && p) {
		*ret_hash = chunk->parent;
		return 0;
	}
	if (source == SOURCE_MAJORITY_ENTRIES || source == SOURCE_MAJORITY_TILES) {
		bool agree = e && t && hash_equal(&chunk->entries, &chunk->tile);

		if (!agree && p) {
			*ret_hash = chunk->parent;
			return 0;
		}
		/* The last chunk has no parent: what is whole stands in for what is not. */
		tiles = tiles ? t : t && !e;
	}
	if (tiles ? !t : !e) {
		return 1;
	}
	*ret_hash = tiles ? chunk->tile : chunk->entries;
	return 0;
}

/* The root over the chunks as a source has them. The last chunk's hash stands for all of its peaks:
 * it is where the folding of the peaks starts. Outcome 1: the source does not have them all. */
static int root_from(
        const struct verify *verify, enum source source, uint64_t size, struct hash *ret_root)
{
	struct merkle_tree tree = { 0 };
	uint64_t full = size / TILE_WIDTH;
	struct hash root;
	bool have = size % TILE_WIDTH > 0;

	if (verify->chunk_count < chunks_in(size)) {
		return 1;
	}
	for (uint64_t i = 0; i < full; i++) {
		struct hash hash;

		if (verify_chunk_from(verify, source, i, &hash) != 0) {
			return 1;
		}
		merkle_add_subtree(&tree, TILE_HEIGHT, &hash);
	}
	if (have && verify_chunk_from(verify, source, full, &root) != 0) {
		return 1;
	}
	for (unsigned level = TILE_HEIGHT; have && level < MERKLE_LEVELS; level++) {
		if (tree.size >> level & 1) {
			root = hash_node(&tree.peaks[level], &root);
		}
	}
	*ret_root = have ? root : merkle_root(&tree);
	return 0;
}

static void find_truth(struct verify *verify)
{
	for (int source = 0; source < SOURCES && !verify->have_truth; source++) {
		struct hash root;

		if (root_from(verify, (enum source)source, verify->size, &root) == 0 &&
		        hash_equal(&root, &verify->report->checkpoint.head.root)) {
			verify->have_truth = true;
			verify->truth = (enum source)source;
		}
	}
}

/* Compares a tile with what it should be; both hold hashes of the same places. */
static void compare_tile(struct verify *verify, const struct tile *tile, const struct leaves *have,
        const struct hash *want)
{
	size_t first = tile->width, last = 0;

	if (!have->there) {
		verify_find_tile(verify, EXPORT_TILE_MISSING, tile, 0, tile->width - 1);
		return;
	}
	for (size_t i = 0; i < tile->width; i++) {
		if (i >= have->count || !hash_equal(&have->hashes[i], &want[i])) {
			first = i < first ? i : first;
			last = i;
		}
	}
	if (first < tile->width) {
		verify_find_tile(verify, EXPORT_TILE_ALTERED, tile, first, last);
	} else if (!have->clean) {
		verify_find_tile(
		        verify, EXPORT_TILE_ALTERED, tile, tile->width - 1, tile->width - 1);
	}
}

/* A tile of level 0 that is not the true one. */
static int check_leaf_tile(
        struct verify *verify, uint64_t index, bool entries_true, struct err *err)
{
	struct tile tile = { .index = index, .width = tile_width(verify->size, 0, index) };
	struct leaves have, want;
	int r = verify_read_tile(verify, &tile, &have, err);

	if (r == 0 && entries_true) {
		r = verify_read_entries(verify, index, false, &want, err);
	}
	if (r < 0) {
		return FAULT(r);
	}
	if (entries_true) {
		compare_tile(verify, &tile, &have, want.hashes);
	} else {
		verify_find_tile(verify, have.there ? EXPORT_TILE_ALTERED : EXPORT_TILE_MISSING,
		        &tile, 0, tile.width - 1);
	}
	return 0;
}

/* All tiles of one level above the leaves, given the true hashes that stand in them. */
static int check_level(struct verify *verify, unsigned level, const struct hash *want,
        uint64_t count, struct err *err)
{
	for (uint64_t at = 0; at < count; at += TILE_WIDTH) {
		struct tile tile = { .level = level, .index = at / TILE_WIDTH };
		struct leaves have;
		int r;

		tile.width = tile_width(verify->size, level, tile.index);
		r = verify_read_tile(verify, &tile, &have, err);
		if (r < 0) {
			return FAULT(r);
		}
		compare_tile(verify, &tile, &have, want + at);
	}
	return 0;
}

static int check_upper_tiles(struct verify *verify, struct err *err)
{
	uint64_t count = tile_hashes(verify->size, 1);
	struct hash *hashes = mem_new(count + 1, sizeof(*hashes));
	int r = 0;

	for (uint64_t i = 0; i < count; i++) {
		if (verify_chunk_from(verify, verify->truth, i, &hashes[i]) != 0) {
			assert_always(!"the truth has every chunk");
		}
	}
	for (unsigned level = 1; level < TILE_LEVELS && count > 0 && r == 0; level++) {
		r = check_level(verify, level, hashes, count, err);
		for (uint64_t i = 0; i < count / TILE_WIDTH; i++) {
			struct merkle_tree tree = { 0 };

			for (size_t j = 0; j < TILE_WIDTH; j++) {
				merkle_add(&tree, &hashes[i * TILE_WIDTH + j]);
			}
			hashes[i] = merkle_root(&tree);
		}
		count /= TILE_WIDTH;
	}
	free(hashes);
	return r < 0 ? FAULT(r) : 0;
}

/* Something leads to the signed root: everything else is compared with it. */
static int check_against_truth(struct verify *verify, struct err *err)
{
	uint64_t bad = UINT64_MAX;
	int r = 0;

	for (uint64_t i = 0; i < verify->chunk_count && r == 0; i++) {
		const struct chunk *chunk = &verify->chunks[i];
		struct hash truth;
		bool entries_true;

		if (verify_chunk_from(verify, verify->truth, i, &truth) != 0) {
			assert_always(!"the truth has every chunk");
		}
		entries_true = hash_equal(&chunk->entries, &truth);
		if (entries_true && !chunk->entries_whole) {
			/* Every record is there; what stands behind them is none of them. */
			uint64_t end = i * TILE_WIDTH + tile_width(verify->size, 0, i);

			verify_find(verify, EXPORT_ENTRY_INSERTED, end, end);
		} else if (!entries_true && bad == UINT64_MAX) {
			bad = i;
		}
		if (!chunk->tile_whole || !hash_equal(&chunk->tile, &truth)) {
			r = check_leaf_tile(verify, i, entries_true, err);
		}
	}
	if (r == 0) {
		r = check_upper_tiles(verify, err);
	}
	if (r == 0 && bad != UINT64_MAX) {
		r = verify_align(verify, bad, err);
	}
	return r < 0 ? FAULT(r) : 0;
}

/* Nothing leads to the signed root. What contradicts itself is named; if nothing does, the log was
 * made anew somewhere, or it is the head that was changed, which its signature has told. */
static void check_without_truth(struct verify *verify)
{
	uint64_t first_missing = verify->chunk_count;
	bool contradiction = false;

	while (first_missing > 0 && !verify->chunks[first_missing - 1].entries_there) {
		first_missing--;
	}
	for (uint64_t i = 0; i < first_missing; i++) {
		const struct chunk *chunk = &verify->chunks[i];
		unsigned width = tile_width(verify->size, 0, i);

		if (!chunk->entries_whole || !chunk->tile_whole ||
		        !hash_equal(&chunk->entries, &chunk->tile) ||
		        (chunk->parent_there && !hash_equal(&chunk->parent, &chunk->tile))) {
			verify_find(
			        verify, EXPORT_DIFFERS, i * TILE_WIDTH, i * TILE_WIDTH + width - 1);
			contradiction = true;
		}
	}
	if (first_missing < chunks_in(verify->size)) {
		verify_find(verify, EXPORT_TRUNCATED, first_missing * TILE_WIDTH, verify->size - 1);
	} else if (!contradiction && verify->head_signed) {
		verify_find(verify, EXPORT_REWRITTEN, 0, verify->size > 0 ? verify->size - 1 : 0);
	}
}

/* The root that the export's records had at an earlier size. Outcome 1: it does not have them. */
static int root_of_records(
        struct verify *verify, uint64_t size, struct hash *ret_root, struct err *err)
{
	struct merkle_tree tree = { 0 };
	enum source source = verify->have_truth ? verify->truth : SOURCE_ENTRIES;
	struct tile tile = { .index = size / TILE_WIDTH };
	struct leaves leaves;
	struct hash hash;
	int r;

	if (verify->chunk_count < chunks_in(size)) {
		return 1;
	}
	for (uint64_t i = 0; i < size / TILE_WIDTH; i++) {
		if (verify_chunk_from(verify, source, i, &hash) != 0) {
			return 1;
		}
		merkle_add_subtree(&tree, TILE_HEIGHT, &hash);
	}
	if (size % TILE_WIDTH > 0) {
		tile.width = tile_width(verify->size, 0, tile.index);
		r = verify_read_entries(verify, tile.index, false, &leaves, err);
		/* With a truth, leaves that are not of it say nothing about an earlier root. */
		if (r == 0 && verify->have_truth &&
		        verify_chunk_from(verify, source, tile.index, &hash) == 0) {
			struct hash have = verify_chunk_hash(&leaves);

			if (!leaves.clean || !hash_equal(&have, &hash)) {
				r = verify_read_tile(verify, &tile, &leaves, err);
				have = verify_chunk_hash(&leaves);
				leaves.count =
				        r == 0 && hash_equal(&have, &hash) ? leaves.count : 0;
			}
		}
		if (r < 0) {
			return FAULT(r);
		}
		if (leaves.count < size % TILE_WIDTH) {
			return 1;
		}
		for (size_t i = 0; i < size % TILE_WIDTH; i++) {
			merkle_add(&tree, &leaves.hashes[i]);
		}
	}
	*ret_root = merkle_root(&tree);
	return 0;
}

static void find_known(
        struct verify *verify, enum export_fault fault, uint64_t known_size, const char *text)
{
	struct export_finding *finding = verify_find(verify, fault, known_size, known_size);

	if (finding) {
		snprintf(finding->text, sizeof(finding->text),
		        "%s (export: %" PRIu64 " entries, known: %" PRIu64 ")", text, verify->size,
		        known_size);
	}
}

/* A known checkpoint that is larger than the export. */
static void check_newer(struct verify *verify, const struct export_known *known,
        const struct checkpoint *checkpoint)
{
	const struct merkle_head *head = &verify->report->checkpoint.head;

	if (!known->proof) {
		find_known(verify, EXPORT_ROLLED_BACK, checkpoint->head.size,
		        "the export is older than a known checkpoint; without a consistency proof "
		        "it is not known "
		        "whether it was changed as well");
	} else if (merkle_check_consistency(head, &checkpoint->head, known->proof)) {
		find_known(verify, EXPORT_ROLLED_BACK, checkpoint->head.size,
		        "the export is the true beginning of a longer ledger");
	} else {
		find_known(verify, EXPORT_FORKED, checkpoint->head.size,
		        "the export is not the beginning of the longer ledger that is known");
	}
}

/* `low` and `high` narrow down where a rewritten log was changed. */
static int check_known(struct verify *verify, const struct export_known *known, uint64_t *low,
        uint64_t *high, struct err *err)
{
	struct checkpoint checkpoint;
	struct err why = { 0 };
	struct hash root;
	int r = checkpoint_open(
	        known->note, known->note_bytes, verify->options->key, &checkpoint, &why);

	if (r != 0) {
		find_text(verify, EXPORT_KNOWN_BAD, why.text);
		return 0;
	}
	if (checkpoint.head.size > verify->size) {
		check_newer(verify, known, &checkpoint);
		return 0;
	}
	r = root_of_records(verify, checkpoint.head.size, &root, err);
	if (r != 0) {
		return r < 0 ? FAULT(r) : 0;
	}
	if (hash_equal(&root, &checkpoint.head.root)) {
		verify->report->known_good++;
		*low = checkpoint.head.size > *low ? checkpoint.head.size : *low;
		return 0;
	}
	*high = checkpoint.head.size < *high ? checkpoint.head.size : *high;
	/* Records that do not fit their own checkpoint prove nothing about what was signed. */
	if (verify->have_truth && verify->head_signed) {
		find_known(verify, EXPORT_FORKED, checkpoint.head.size,
		        "the export does not continue a checkpoint that is known");
	}
	return 0;
}

static int check_all_known(struct verify *verify, struct err *err)
{
	struct export_report *report = verify->report;
	uint64_t low = 0, high = verify->size;

	for (size_t i = 0; i < verify->options->known_count; i++) {
		int r = check_known(verify, &verify->options->known[i], &low, &high, err);

		if (r < 0) {
			return FAULT(r);
		}
	}
	for (size_t i = 0; i < report->finding_count; i++) {
		struct export_finding *finding = &report->findings[i];

		if (finding->fault == EXPORT_REWRITTEN && verify->size > 0) {
			finding->first = low < verify->size ? low : verify->size - 1;
			finding->last = high > 0 ? high - 1 : 0;
			snprintf(finding->text, sizeof(finding->text),
			        "records and tiles lead to another root than the signed one; the "
			        "first change is "
			        "between entry %" PRIu64 " and entry %" PRIu64,
			        finding->first, finding->last);
		}
	}
	return 0;
}

/* Remarks on records are made of genuine ones only: an altered record is reported as altered. */
static void add_record_findings(struct verify *verify)
{
	for (size_t i = 0; i < verify->record_finding_count; i++) {
		const struct export_finding *held = &verify->record_findings[i];
		const struct chunk *chunk = &verify->chunks[held->first / TILE_WIDTH];
		struct export_finding *finding;
		struct hash truth;

		if (!verify->have_truth || !chunk->entries_whole ||
		        verify_chunk_from(
		                verify, verify->truth, held->first / TILE_WIDTH, &truth) != 0 ||
		        !hash_equal(&truth, &chunk->entries)) {
			continue;
		}
		finding = verify_find(verify, held->fault, held->first, held->last);
		if (finding) {
			*finding = *held;
		}
	}
	verify->report->findings_left_out += verify->record_findings_left_out;
}

static int verify_all(struct verify *verify, struct err *err)
{
	int r = open_checkpoint(verify, err);

	if (r != 0) {
		return r < 0 ? FAULT(r) : 0;
	}
	r = read_chunks(verify, err);
	if (r < 0) {
		return FAULT(r);
	}
	find_truth(verify);
	if (verify->have_truth) {
		r = check_against_truth(verify, err);
	} else {
		check_without_truth(verify);
	}
	if (r == 0) {
		r = check_all_known(verify, err);
	}
	if (r < 0) {
		return FAULT(r);
	}
	add_record_findings(verify);
	return 0;
}

int verify_export(const struct export_reader *reader, const struct verify_options *options,
        struct export_report *ret_report, struct err *err)
{
	struct verify verify = { .reader = reader, .options = options, .report = ret_report };
	int r;

	assert_always(options->known_count <= EXPORT_KNOWN_MAX);
	memset(ret_report, 0, sizeof(*ret_report));
	verify.file = BUF(BUNDLE_BYTES_MAX);
	r = verify_all(&verify, err);
	if (r == 0) {
		ret_report->intact = verify.have_truth && verify.head_signed;
		for (size_t i = 0; i < ret_report->finding_count; i++) {
			print_finding(&verify, &ret_report->findings[i]);
			ret_report->intact &= export_fault_is_notice(ret_report->findings[i].fault);
		}
	}
	buf_clear(&verify.file);
	free(verify.chunks);
	return r < 0 ? FAULT(r) : 0;
}
