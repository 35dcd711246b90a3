/*
 * The offline verifier as an auditor uses it on the export of a provider that is not to be trusted:
 * a good export of 261 records, with any of its files changed, cut, replaced, removed or made anew.
 * It always ends, stays within its report, and calls an export intact only when every record is
 * what the good one has. The first byte decides whether the checkpoint may be touched as well.
 *
 * Input: u8 flags, then changes: u8 file, u8 what, u16 where, u8 count, count bytes.
 */
#include "../unit/audit/ledger.h"

#define RECORDS 261 /* a whole tile and a part of one */
#define CHANGES_MAX 16

enum change { CHANGE_BYTES, CHANGE_CUT, CHANGE_INSERT, CHANGE_REMOVE, CHANGE_COPY, CHANGES };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct note_signer signer;
static struct files good;

static void make_good(void)
{
	static uint8_t seed[32] = { 7 };
	struct ledger *ledger = ledger_make(RECORDS, 0);

	signer = signer_make("regional-vpn.sekisho.internal", NOTE_SIGNATURE, seed);
	ledger_export(ledger, RECORDS, &signer, &good);
	ledger_free(ledger);
}

static void change_file(struct files *files, size_t index, enum change what, size_t where,
        const uint8_t *bytes, size_t count)
{
	AUTO_BUF struct buf fresh = BUF(1 << 20);
	struct buf *file = &files->file[index].bytes;
	size_t at = file->count > 0 ? where % file->count : 0;

	if (what == CHANGE_REMOVE) {
		files_remove(files, files->file[index].path);
		return;
	}
	if (what == CHANGE_COPY) {
		file = &files->file[where % files->count].bytes;
		at = file->count;
	}
	if (at > 0) {
		buf_add(&fresh, file->bytes, at);
	}
	buf_add(&fresh, bytes, count);
	if (what == CHANGE_BYTES && at + count < file->count) {
		buf_add(&fresh, file->bytes + at + count, file->count - at - count);
	} else if (what == CHANGE_INSERT && at < file->count) {
		buf_add(&fresh, file->bytes + at, file->count - at);
	}
	files_write(files, files->file[index].path, fresh.bytes, fresh.count, NULL);
}

static bool same_records(struct files *files)
{
	for (size_t i = 0; i < good.count; i++) {
		const struct buf *have = files_find(files, good.file[i].path);
		const struct buf *want = &good.file[i].bytes;

		if (strstr(good.file[i].path, "tile/entries/") &&
		        (!have || have->count != want->count ||
		                memcmp(have->bytes, want->bytes, want->count) != 0)) {
			return false;
		}
	}
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor cursor = CURSOR(data, size);
	struct files files = { 0 };
	struct export_report report;
	bool touch_checkpoint = cursor_u8(&cursor) & 1;

	if (good.count == 0) {
		make_good();
	}
	files_copy(&files, &good);
	for (int i = 0; i < CHANGES_MAX && cursor_left(&cursor) >= 5 && files.count > 0; i++) {
		size_t index = cursor_u8(&cursor) % files.count;
		enum change what = (enum change)(cursor_u8(&cursor) % CHANGES);
		size_t where = cursor_u16(&cursor), count = cursor_u8(&cursor);

		count = count < cursor_left(&cursor) ? count : cursor_left(&cursor);
		if (touch_checkpoint || strcmp(files.file[index].path, "checkpoint") != 0) {
			change_file(&files, index, what, where, cursor_take(&cursor, count), count);
		}
	}
	report = files_verify(&files, &signer.key, NULL, 0);
	assert_always(report.finding_count <= EXPORT_FINDINGS_MAX);
	for (size_t i = 0; i < report.finding_count; i++) {
		const struct export_finding *finding = &report.findings[i];

		assert_always(finding->fault < EXPORT_FAULTS);
		assert_always(memchr(finding->text, '\0', sizeof(finding->text)));
		assert_always(!report.intact || export_fault_is_notice(finding->fault));
	}
	assert_always(!report.intact || same_records(&files));
	files_clear(&files);
	return 0;
}
