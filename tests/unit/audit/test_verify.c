#include "../check.h"

#include "ledger.h"
#include "tamper.h"

static uint8_t seed[32] = { 7 }, other_seed[32] = { 8 };

#define NAME "regional-vpn.example/ledger"

static bool finding_is(const struct export_finding *finding, enum export_fault fault,
        uint64_t first, uint64_t last)
{
	return finding->fault == fault && finding->first == first && finding->last == last;
}

static bool report_has(const struct export_report *report, enum export_fault fault)
{
	for (size_t i = 0; i < report->finding_count; i++) {
		if (report->findings[i].fault == fault) {
			return true;
		}
	}
	return false;
}

/* Is one of the findings on entries about that entry, and which? */
static const struct export_finding *finding_on(const struct export_report *report, uint64_t index)
{
	for (size_t i = 0; i < report->finding_count; i++) {
		const struct export_finding *finding = &report->findings[i];

		if (finding->fault >= EXPORT_ENTRY_ALTERED && finding->fault <= EXPORT_TRUNCATED &&
		        finding->first <= index && index <= finding->last) {
			return finding;
		}
	}
	return NULL;
}

static bool file_is_tile(const char *path)
{
	struct tile tile;

	return tile_parse(path, &tile) == 0 && !tile.entries;
}

static bool tile_is_named(
        const struct export_report *report, const struct tampered *done, enum export_fault fault)
{
	for (size_t i = 0; i < report->finding_count; i++) {
		const struct export_finding *finding = &report->findings[i];

		if (finding->fault == fault &&
		        strcmp(tile_path(&finding->tile).text, done->path) == 0 &&
		        (fault == EXPORT_TILE_MISSING ||
		                (finding->first == done->offset / HASH_BYTES &&
		                        finding->first == finding->last))) {
			return true;
		}
	}
	return false;
}

/* Was what was done found, and in its place? */
static bool located(const struct export_report *report, const struct tampered *done, uint64_t size)
{
	const struct export_finding *finding = finding_on(report, done->first);
	struct tile tile;

	switch (done->what) {
	case TAMPER_ENTRY_BYTE:
	case TAMPER_ENTRY_AND_TILE:
		return finding;
	case TAMPER_TILE_BYTE:
		return report->finding_count == 1 &&
		       tile_is_named(report, done, EXPORT_TILE_ALTERED);
	case TAMPER_CHECKPOINT_BYTE:
		return report_has(report, EXPORT_SIGNATURE_BAD) ||
		       report_has(report, EXPORT_UNSIGNED) ||
		       report_has(report, EXPORT_ORIGIN_UNKNOWN) ||
		       report_has(report, EXPORT_CHECKPOINT_MALFORMED);
	case TAMPER_REMOVE:
	case TAMPER_REMOVE_SHIFT:
		return report->finding_count <= 2 && finding &&
		       (finding->fault == EXPORT_ENTRY_REMOVED ||
		               finding->fault == EXPORT_TRUNCATED) &&
		       finding->first == done->first;
	case TAMPER_INSERT:
		/* A copy in front of its original is the same as one behind it. */
		return report->finding_count == 1 &&
		       report->findings[0].fault == EXPORT_ENTRY_INSERTED &&
		       report->findings[0].first - done->first <= 1;
	case TAMPER_SWAP:
		return report->finding_count == 1 &&
		       finding_is(&report->findings[0], EXPORT_ENTRIES_SWAPPED, done->first,
		               done->last);
	case TAMPER_TRUNCATE:
		return report->finding_count == 1 &&
		       finding_is(&report->findings[0], EXPORT_TRUNCATED, done->first, size - 1);
	case TAMPER_LOSE_FILE:
		if (strcmp(done->path, "checkpoint") == 0) {
			return report_has(report, EXPORT_CHECKPOINT_MISSING);
		}
		if (file_is_tile(done->path)) {
			return report->finding_count == 1 &&
			       tile_is_named(report, done, EXPORT_TILE_MISSING);
		}
		if (tile_parse(done->path, &tile) != 0) {
			return false;
		}
		finding = finding_on(report, tile.index * TILE_WIDTH);
		return finding && finding->last >= tile.index * TILE_WIDTH + tile.width - 1;
	default:
		return false;
	}
}

TEST(an_export_is_intact_at_every_size)
{
	struct note_signer signer = signer_make(NAME, NOTE_SIGNATURE, seed);
	AUTO(ledger) struct ledger *ledger = ledger_make(520, 0);
	struct files files = { 0 };

	for (uint64_t size = 0; size <= 520;
	        size += size < 5 || (size > 250 && size < 260) ? 1 : 51) {
		AUTO_BUF struct buf text = BUF(4096);
		struct export_report report;

		files_clear(&files);
		ledger_export(ledger, size, &signer, &files);
		report = files_verify(&files, &signer.key, NULL, 0);
		CHECK(report.intact && report.finding_count == 0 && report.entries == size);
		export_report_print(&report, &text);
		CHECK(strncmp(buf_text(&text), "intact: ", 8) == 0);
	}
	files_clear(&files);
}

TEST(ten_thousand_tamperings_are_each_found_and_located)
{
	struct note_signer signer = signer_make(NAME, NOTE_SIGNATURE, seed);
	AUTO(ledger) struct ledger *ledger = ledger_make(300, 0);
	struct tamper_random random = { 0x5e6b1504aa17c0deULL };
	struct files original = { 0 }, files = { 0 };

	ledger_export(ledger, 300, &signer, &original);
	for (int i = 0; i < 10000; i++) {
		struct export_report report;
		struct tampered done;
		bool good;

		files_copy(&files, &original);
		done = tamper(&random, (enum tamper)(i % TAMPERS), ledger, &files);
		report = files_verify(&files, &signer.key, NULL, 0);
		good = !report.intact && located(&report, &done, 300);
		if (!good) {
			AUTO_BUF struct buf text = BUF(65536);

			export_report_print(&report, &text);
			printf("# case %d: tampering %d at %llu to %llu, %s offset %zu\n# %s", i,
			        done.what, (unsigned long long)done.first,
			        (unsigned long long)done.last, done.path, done.offset,
			        buf_text(&text));
		}
		CHECK(good);
	}
	files_clear(&files);
	files_clear(&original);
}

/* The signed checkpoint of an export, kept by somebody. */
static void keep(
        struct ledger *ledger, uint64_t size, const struct note_signer *signer, struct buf *note)
{
	struct files files = { 0 };

	ledger_export(ledger, size, signer, &files);
	buf_add(note, files_find(&files, "checkpoint")->bytes,
	        files_find(&files, "checkpoint")->count);
	files_clear(&files);
}

TEST(a_ledger_made_anew_is_found_between_the_checkpoints_that_are_known)
{
	struct note_signer signer = signer_make(NAME, NOTE_SIGNATURE, seed);
	AUTO(ledger) struct ledger *ledger = ledger_make(300, 0);
	struct buf notes[5] = { BUF(4096), BUF(4096), BUF(4096), BUF(4096), BUF(4096) };
	struct export_known known[5] = { 0 };

	for (size_t i = 0; i < 5; i++) {
		keep(ledger, 50 * (i + 1), &signer, &notes[i]);
		known[i] = (struct export_known){ .note = notes[i].bytes,
			.note_bytes = notes[i].count };
	}
	for (uint64_t altered = 0; altered < 300; altered += 7) {
		AUTO(ledger) struct ledger *anew = ledger_new();
		struct files files = { 0 }, genuine = { 0 };
		struct export_report report;
		const struct buf *note;

		for (uint64_t i = 0; i < 300; i++) {
			AUTO_BUF struct buf bytes = BUF(1024);

			buf_add(&bytes, ledger->entries[i].bytes, ledger->entries[i].count);
			bytes.bytes[30] ^= i == altered;
			ledger_append(anew, bytes.bytes, bytes.count);
		}
		ledger_export(ledger, 300, &signer, &genuine);
		ledger_export(anew, 300, &signer, &files);
		note = files_find(&genuine, "checkpoint");
		files_write(&files, "checkpoint", note->bytes, note->count, NULL);
		report = files_verify(&files, &signer.key, known, 5);
		CHECK(!report.intact && report.finding_count == 1);
		CHECK(report.findings[0].fault == EXPORT_REWRITTEN);
		CHECK(report.findings[0].first <= altered && altered <= report.findings[0].last);
		CHECK(report.findings[0].last - report.findings[0].first < 50);
		files_clear(&files);
		files_clear(&genuine);
	}
	for (size_t i = 0; i < 5; i++) {
		buf_clear(&notes[i]);
	}
}

TEST(rollback_and_fork_are_told_apart)
{
	struct note_signer signer = signer_make(NAME, NOTE_SIGNATURE, seed);
	AUTO(ledger) struct ledger *ledger = ledger_make(300, 0), *other = ledger_make(300, 5);
	AUTO_BUF struct buf at_200 = BUF(4096), at_300 = BUF(4096);
	struct export_known known = { 0 };
	struct merkle_proof proof;
	struct export_report report;
	struct files old = { 0 }, new = { 0 }, forked = { 0 }, forked_old = { 0 };

	keep(ledger, 200, &signer, &at_200);
	keep(ledger, 300, &signer, &at_300);
	ledger_export(ledger, 200, &signer, &old);
	ledger_export(ledger, 300, &signer, &new);
	ledger_export(other, 300, &signer, &forked);
	ledger_export(other, 200, &signer, &forked_old);

	known = (struct export_known){ .note = at_200.bytes, .note_bytes = at_200.count };
	report = files_verify(&new, &signer.key, &known, 1);
	CHECK(report.intact && report.known_good == 1);
	report = files_verify(&forked, &signer.key, &known, 1);
	CHECK(!report.intact && report_has(&report, EXPORT_FORKED));

	known = (struct export_known){ .note = at_300.bytes, .note_bytes = at_300.count };
	report = files_verify(&new, &signer.key, &known, 1);
	CHECK(report.intact);
	report = files_verify(&forked, &signer.key, &known, 1); /* of the same size */
	CHECK(!report.intact && report_has(&report, EXPORT_FORKED));
	report = files_verify(&old, &signer.key, &known, 1);
	CHECK(!report.intact && report.finding_count == 1);
	CHECK(report.findings[0].fault == EXPORT_ROLLED_BACK &&
	        strstr(report.findings[0].text, "200"));

	CHECK(merkle_prove_consistency(&ledger->store, 200, 300, &proof, NULL) == 0);
	known.proof = &proof;
	report = files_verify(&old, &signer.key, &known, 1);
	CHECK(!report.intact && report.findings[0].fault == EXPORT_ROLLED_BACK);
	report = files_verify(&forked_old, &signer.key, &known, 1);
	CHECK(!report.intact && report.findings[0].fault == EXPORT_FORKED);

	known = (struct export_known){ .note = "x", .note_bytes = 1 };
	report = files_verify(&new, &signer.key, &known, 1);
	CHECK(!report.intact && report_has(&report, EXPORT_KNOWN_BAD));
	files_clear(&old);
	files_clear(&new);
	files_clear(&forked);
	files_clear(&forked_old);
}

TEST(a_wrong_key_or_origin_is_named)
{
	struct note_signer signer = signer_make(NAME, NOTE_SIGNATURE, seed);
	struct note_signer stranger = signer_make(NAME, NOTE_SIGNATURE, other_seed);
	struct note_signer elsewhere = signer_make("elsewhere.example", NOTE_SIGNATURE, seed);
	AUTO(ledger) struct ledger *ledger = ledger_make(10, 0);
	struct files files = { 0 };
	struct export_report report;

	ledger_export(ledger, 10, &signer, &files);
	report = files_verify(&files, &stranger.key, NULL, 0);
	CHECK(!report.intact && finding_is(&report.findings[0], EXPORT_UNSIGNED, 0, 0));
	report = files_verify(&files, &elsewhere.key, NULL, 0);
	CHECK(!report.intact && finding_is(&report.findings[0], EXPORT_ORIGIN_UNKNOWN, 0, 0));
	files_clear(&files);
}

TEST(bytes_behind_the_last_record_are_found)
{
	struct note_signer signer = signer_make(NAME, NOTE_SIGNATURE, seed);
	AUTO(ledger) struct ledger *ledger = ledger_make(261, 0);
	static const char *const paths[] = { "tile/entries/000", "tile/entries/001.p/5" };
	static const uint64_t ends[] = { 256, 261 };

	for (size_t i = 0; i < ARRAY_COUNT(paths); i++) {
		struct files files = { 0 };
		struct export_report report;
		struct buf *file;

		ledger_export(ledger, 261, &signer, &files);
		file = files_find(&files, paths[i]);
		CHECK(file != NULL);
		buf_add(file,
		        "\x77\x00"
		        "ab",
		        4); /* the beginning of a record that never ends */
		report = files_verify(&files, &signer.key, NULL, 0);
		CHECK(!report.intact);
		CHECK(finding_is(&report.findings[0], EXPORT_ENTRY_INSERTED, ends[i], ends[i]));
		files_clear(&files);
	}
}

TEST(a_forged_size_does_not_keep_the_verifier_busy)
{
	struct note_signer signer = signer_make(NAME, NOTE_SIGNATURE, seed);
	struct merkle_head head = { .size = INT64_MAX };
	AUTO_BUF struct buf note = BUF(4096);
	struct files files = { 0 };
	struct export_report report;

	CHECK(checkpoint_sign(&head, &signer, &note, NULL) == 0);
	files_write(&files, "checkpoint", note.bytes, note.count, NULL);
	report = files_verify(&files, &signer.key, NULL, 0);
	CHECK(!report.intact &&
	        finding_is(&report.findings[0], EXPORT_TRUNCATED, 0, INT64_MAX - 1));
	files_clear(&files);
}

TEST(records_that_are_none_or_out_of_time_are_remarked)
{
	static const char late[] =
	        "{\"actor\":{},\"data\":{},\"kind\":\"disk.full\",\"subject\":\"\","
	        "\"time\":\"2026-11-20T09:30:00.000Z\",\"v\":1}";
	static const char early[] =
	        "{\"actor\":{},\"data\":{},\"kind\":\"disk.eaten\",\"subject\":\"\","
	        "\"time\":\"2026-11-20T09:29:00.000Z\",\"v\":1}";
	struct note_signer signer = signer_make(NAME, NOTE_SIGNATURE, seed);
	AUTO(ledger) struct ledger *ledger = ledger_new();
	struct files files = { 0 };
	struct export_report report;

	ledger_append(ledger, late, strlen(late));
	ledger_append(ledger, early, strlen(early));
	ledger_export(ledger, 2, &signer, &files);
	report = files_verify(&files, &signer.key, NULL, 0);
	CHECK(report.intact && report.finding_count == 2);
	CHECK(finding_is(&report.findings[0], EXPORT_RECORD_UNKNOWN, 1, 1));
	CHECK(finding_is(&report.findings[1], EXPORT_TIME_BACK, 1, 1));
	ledger_append(ledger, "hello", 5);
	files_clear(&files);
	ledger_export(ledger, 3, &signer, &files);
	report = files_verify(&files, &signer.key, NULL, 0);
	CHECK(!report.intact && report_has(&report, EXPORT_RECORD_MALFORMED));
	files_clear(&files);
}

TEST(every_fault_has_a_name_and_a_meaning)
{
	for (int fault = 0; fault < EXPORT_FAULTS; fault++) {
		const char *meaning = export_fault_meaning((enum export_fault)fault);

		CHECK(export_fault_name((enum export_fault)fault) && meaning);
		CHECK(meaning[strlen(meaning) - 1] == '.');
	}
}

TEST_MAIN()
