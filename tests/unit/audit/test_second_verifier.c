/*
 * The verifier in C and the one in Python (dev/verify_ledger.py), which share no code, must say the
 * same of the same exports (T20). Exports are written to a directory, so the files of both are
 * real.
 */
#include "../check.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "ledger.h"
#include "tamper.h"

/* Tampered ones, and after them an intact, a forked and an old one. */
#define CASES (12 * TAMPERS)
#define CASE_FORKED (CASES + 1)
#define CASE_OLD (CASES + 2)

static uint8_t seed[32] = { 9 };

static void write_files(const char *directory, const struct files *files)
{
	for (size_t i = 0; i < files->count; i++) {
		AUTO_STRING char *path = mem_format("%s/%s", directory, files->file[i].path);
		const struct buf *bytes = &files->file[i].bytes;
		char *slash = strrchr(path, '/');

		*slash = '\0';
		CHECK(directory_make(path, 0755, NULL) == 0);
		*slash = '/';
		FILE *file = fopen(path, "w");

		CHECK(file && fwrite(bytes->bytes, 1, bytes->count, file) == bytes->count);
		CHECK(fclose(file) == 0);
	}
}

/* The checkpoint that somebody kept, as a file. */
static void keep(const char *root, const char *name, const struct export_known *known)
{
	AUTO_STRING char *path = mem_format("%s/%s", root, name);

	CHECK(file_replace(path, known->note, known->note_bytes, 0644, NULL) == 0);
}

/* What verify_ledger.py is expected to print for a directory. */
static void print_expected(
        const char *directory, const struct export_report *report, struct buf *out)
{
	for (size_t i = 0; i < report->finding_count; i++) {
		const struct export_finding *finding = &report->findings[i];

		buf_add_format(out, "%s\t%s\t%llu\t%llu\t%s\n", directory,
		        export_fault_name(finding->fault), (unsigned long long)finding->first,
		        (unsigned long long)finding->last,
		        finding->tile.width > 0 ? tile_path(&finding->tile).text : "");
	}
	buf_add_format(out, "%s\t%s\n", directory, report->intact ? "intact" : "not-intact");
}

/* Altered neighbours are one finding for us and one each for the other. Also a record together with
 * its hash in the tile below a parent is located only by the C verifier. */
static void print_expected_entries(
        const char *directory, struct export_report *report, struct buf *out)
{
	for (size_t i = 0; i < report->finding_count; i++) {
		struct export_finding *finding = &report->findings[i];

		while (finding->fault == EXPORT_ENTRY_ALTERED && finding->first < finding->last) {
			buf_add_format(out, "%s\tentry-altered\t%llu\t%llu\t\n", directory,
			        (unsigned long long)finding->first,
			        (unsigned long long)finding->first);
			finding->first++;
		}
	}
	print_expected(directory, report, out);
}

static void run_second(const char *key, const char *root, struct buf *out)
{
	AUTO_STRING char *command =
	        mem_format("cd '%s' && python3 '%s' --known known '%s' $(ls -d case-* | sort)",
	                root, VERIFY_LEDGER, key);
	FILE *pipe = popen(command, "r");
	char bytes[4096];
	size_t count;
	int status;

	CHECK(pipe);
	while ((count = fread(bytes, 1, sizeof(bytes), pipe)) > 0) {
		buf_add(out, bytes, count);
	}
	status = pclose(pipe);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 1);
}

/* Both texts line by line; says where they part. */
static bool same_lines(const char *have, const char *want)
{
	while (*have || *want) {
		size_t have_bytes = strcspn(have, "\n"), want_bytes = strcspn(want, "\n");

		if (have_bytes != want_bytes || memcmp(have, want, have_bytes) != 0) {
			printf("# the second verifier says: %.*s\n# this one says: %.*s\n",
			        (int)have_bytes, have, (int)want_bytes, want);
			return false;
		}
		have += have_bytes + (have[have_bytes] == '\n');
		want += want_bytes + (want[want_bytes] == '\n');
	}
	return true;
}

TEST(two_verifiers_agree_on_what_and_where)
{
	struct note_signer signer = signer_make("regional-vpn.example", NOTE_SIGNATURE, seed);
	AUTO(ledger) struct ledger *ledger = ledger_make(300, 0), *other = ledger_make(300, 5);
	AUTO_BUF struct buf key = BUF(512), expected = BUF(1 << 20), said = BUF(1 << 20);
	struct tamper_random random = { 0x0a6c7bd4ff0182e5ULL };
	struct files original = { 0 }, files = { 0 }, at_200 = { 0 };
	struct export_known known;
	char root[] = "/tmp/sekisho-verify-XXXXXX";
	AUTO_STRING char *clean = NULL;

	CHECK(mkdtemp(root));
	note_key_print(&signer.key, &key);
	ledger_export(ledger, 300, &signer, &original);
	ledger_export(ledger, 200, &signer, &at_200);
	known = (struct export_known){ .note = files_find(&at_200, "checkpoint")->bytes,
		.note_bytes = files_find(&at_200, "checkpoint")->count };
	keep(root, "known", &known);
	for (int i = 0; i <= CASE_OLD; i++) {
		enum tamper what = (enum tamper)(i % TAMPERS);
		AUTO_STRING char *name = mem_format("case-%03d", i);
		AUTO_STRING char *directory = mem_format("%s/%s", root, name);
		struct export_report report;
		struct export_reader reader = export_directory(directory);
		struct verify_options options = {
			.key = &signer.key, .known = &known, .known_count = 1
		};

		files_clear(&files);
		if (i == CASE_FORKED) {
			ledger_export(other, 300, &signer, &files);
		} else if (i == CASE_OLD) {
			ledger_export(ledger, 150, &signer, &files);
		} else {
			files_copy(&files, &original);
		}
		if (i < CASES && what != TAMPER_ENTRY_AND_TILE) {
			tamper(&random, what, ledger, &files);
		}
		write_files(directory, &files);
		CHECK(verify_export(&reader, &options, &report, NULL) == 0);
		CHECK(report.intact ==
		        (i == CASES || (i < CASES && what == TAMPER_ENTRY_AND_TILE)));
		CHECK(i != CASE_FORKED || report.findings[0].fault == EXPORT_FORKED);
		CHECK(i != CASE_OLD || report.findings[0].fault == EXPORT_ROLLED_BACK);
		print_expected_entries(name, &report, &expected);
	}
	run_second(buf_text(&key), root, &said);
	clean = mem_format("rm -rf '%s'", root);
	CHECK(system(clean) == 0);
	files_clear(&files);
	files_clear(&original);
	files_clear(&at_200);
	CHECK(same_lines(buf_text(&said), buf_text(&expected)));
}

TEST_MAIN()
