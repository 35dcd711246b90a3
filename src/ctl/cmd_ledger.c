/* The ledger, for auditors: fetched, and checked with nothing but a key and what was kept before.
 */
#include "ctl/nouns.h"

#include <string.h>

#include "audit/verify.h"
#include "base/file.h"
#include "base/str.h"
#include "ctl/api.h"
#include "ctl/issue.h"

#define ENTRIES_A_CALL 100 /* some 100 KB; a longer answer is asked for again in smaller pieces */
#define ANSWER_KEY_BYTES_MAX 4096

/* A verifier key: C2SP text, or the public key (PEM) with --provider for its name. */
static int read_key(struct ctl *ctl, struct note_key *ret_key)
{
	const char *path = ctl_text(ctl, "key"), *provider = ctl_text(ctl, "provider");
	AUTO_BUF struct buf text = BUF(ANSWER_KEY_BYTES_MAX);
	AUTO_STRING char *name = NULL;
	AUTO(key) struct key *key = NULL;
	const uint8_t *spki;
	size_t count;
	int r = material_seal(ctl, path, &text);

	if (r != CTL_OK) {
		return r;
	}
	if (strchr(buf_text(&text), '+') && !text_starts(buf_text(&text), "-----")) {
		r = ctl_result(ctl, note_key_parse(buf_text(&text), ret_key, &ctl->err));
		return r == CTL_OK ? CTL_OK : err_wrap(&ctl->err, r, "%s", path);
	}
	r = material_key(ctl, path, &key);
	if (r != CTL_OK) {
		return r;
	}
	if (!material_key_is_ed25519(key) || !provider) {
		return ctl_fail(ctl, provider ? CTL_REFUSED : CTL_USAGE, "%s: %s", path,
		        provider ? "not an Ed25519 key"
		                 : "a bare public key needs --provider for the ledger's name");
	}
	spki = key_spki(key, &count);
	name = mem_format("%s.%s", provider, CERT_IDENTITY_SUFFIX);
	return ctl_result(ctl,
	        note_key_make(name, NOTE_SIGNATURE, spki + count - NOTE_PUBLIC_KEY_BYTES, ret_key));
}

static void put_checkpoint(struct ctl *ctl, const struct checkpoint *checkpoint)
{
	char root[2 * HASH_BYTES + 1];

	hex_print(checkpoint->head.root.bytes, HASH_BYTES, root);
	ctl_put(ctl, "origin", checkpoint->origin);
	ctl_put_count(ctl, "size", checkpoint->head.size);
	ctl_put(ctl, "root", root);
}

static int open_note(struct ctl *ctl, const struct buf *note, bool check, struct checkpoint *ret)
{
	struct note parsed;
	struct note_key key;
	int r;

	if (check) {
		r = read_key(ctl, &key);
		return r != CTL_OK ? r
		                   : ctl_result(ctl, checkpoint_open(note->bytes, note->count, &key,
		                                             ret, &ctl->err));
	}
	r = note_parse(note->bytes, note->count, &parsed, &ctl->err);
	if (r == 0) {
		r = checkpoint_parse(&parsed, ret, &ctl->err);
	}
	return ctl_result(ctl, r);
}

static int run_checkpoint(struct ctl *ctl)
{
	const char *out = ctl_text(ctl, "out");
	bool check = ctl_text(ctl, "key") != NULL;
	AUTO_BUF struct buf note = BUF(NOTE_BYTES_MAX);
	struct checkpoint checkpoint;
	int r = public_get(ctl, "/ledger/checkpoint", &note);

	if (r == CTL_OK) {
		r = open_note(ctl, &note, check, &checkpoint);
	}
	if (r == CTL_OK && out) {
		r = material_write(ctl, out, note.bytes, note.count);
	}
	if (r == CTL_OK) {
		put_checkpoint(ctl, &checkpoint);
		ctl_put_bool(ctl, "signature_checked", check);
		ctl_put(ctl, "note", buf_text(&note));
	}
	return r;
}

/* --- verify
 * ------------------------------------------------------------------------------------------- */

static json_t *findings_json(const struct export_report *report)
{
	json_t *items = json_array();

	for (size_t i = 0; i < report->finding_count; i++) {
		const struct export_finding *finding = &report->findings[i];

		json_array_append_new(
		        items, json_pack("{s:s, s:I, s:I, s:s*}", "fault",
		                       export_fault_name(finding->fault), "first",
		                       (json_int_t)finding->first, "last",
		                       (json_int_t)finding->last, "text", finding->text));
	}
	return items;
}

static void verify_step(void *context, uint64_t done, uint64_t total)
{
	ctl_progress("%llu of %llu", (unsigned long long)done, (unsigned long long)total);
}

/* Notes that the command line names, read into memory; the caller clears `count` of them. */
static int read_known(
        struct ctl *ctl, struct buf *notes, struct export_known *known, size_t *ret_count)
{
	const struct argument *older = arguments_all(&ctl->arguments, "older");
	int r = CTL_OK;

	*ret_count = 0;
	if (older->count > EXPORT_KNOWN_MAX) {
		return ctl_fail(ctl, CTL_USAGE, "--older: at most %d", EXPORT_KNOWN_MAX);
	}
	for (size_t i = 0; i < older->count && r == CTL_OK; i++) {
		notes[i] = BUF(NOTE_BYTES_MAX);
		r = material_read(ctl, older->values[i], &notes[i]);
		known[i] = (struct export_known){ notes[i].bytes, notes[i].count, NULL };
		*ret_count = i + 1;
	}
	return r;
}

static int put_report(struct ctl *ctl, const struct export_report *report)
{
	put_checkpoint(ctl, &report->checkpoint);
	ctl_put_bool(ctl, "intact", report->intact);
	ctl_put_count(ctl, "entries", report->entries);
	ctl_put_count(ctl, "older_continued", report->known_good);
	ctl_put_json(ctl, "findings", findings_json(report));
	export_report_print(report, &ctl->report);
	return report->intact ? CTL_OK
	                      : ctl_fail(ctl, CTL_REFUSED, "%s: the ledger is not what was signed",
	                                ctl_text(ctl, "DIR"));
}

static int run_verify(struct ctl *ctl)
{
	struct buf notes[EXPORT_KNOWN_MAX];
	struct export_known known[EXPORT_KNOWN_MAX] = { 0 };
	struct export_reader reader = export_directory(ctl_text(ctl, "DIR"));
	struct export_progress progress = { .step = verify_step };
	struct export_report *report = mem_new(1, sizeof(*report));
	struct note_key key;
	struct verify_options options = { .key = &key, .known = known, .progress = &progress };
	int r = read_key(ctl, &key);

	if (r == CTL_OK) {
		r = read_known(ctl, notes, known, &options.known_count);
	}
	if (r == CTL_OK) {
		r = ctl_result(ctl, verify_export(&reader, &options, report, &ctl->err));
	}
	if (r == CTL_OK) {
		r = put_report(ctl, report);
	}
	for (size_t i = 0; i < options.known_count; i++) {
		buf_clear(&notes[i]);
	}
	free(report);
	return r;
}

/* --- fetch
 * -------------------------------------------------------------------------------------------- */

struct fetch {
	struct ctl *ctl;
	const char *directory;
	uint64_t size;
	uint64_t files;
};

/* The directory of a file in the export, made when it is missing. */
static int make_parent(struct fetch *fetch, const char *path)
{
	AUTO_STRING char *copy = mem_string(path);
	char *slash = strrchr(copy, '/');

	if (!slash) {
		return CTL_OK;
	}
	*slash = '\0';
	return material_directory(fetch->ctl, copy);
}

static int put_file(struct fetch *fetch, const char *name, const struct buf *bytes)
{
	AUTO_STRING char *path = mem_format("%s/%s", fetch->directory, name);
	int r = make_parent(fetch, path);

	fetch->files++;
	return r == CTL_OK ? material_write(fetch->ctl, path, bytes->bytes, bytes->count) : r;
}

/* A full tile never changes: one that is there already from an earlier fetch is left. */
static bool have_file(const struct fetch *fetch, const char *name, struct buf *bytes)
{
	AUTO_STRING char *path = mem_format("%s/%s", fetch->directory, name);

	return file_read(path, bytes, NULL) == 0 && bytes->count > 0;
}

static int fetch_tile(struct fetch *fetch, const struct tile *tile)
{
	struct tile_path path = tile_path(tile);
	AUTO_STRING char *url = mem_format("/ledger/%s", path.text);
	AUTO_BUF struct buf bytes = BUF(TILE_BYTES_MAX);
	int r;

	if (have_file(fetch, path.text, &bytes)) {
		return CTL_OK;
	}
	buf_reset(&bytes);
	r = public_get(fetch->ctl, url, &bytes);
	return r == CTL_OK ? put_file(fetch, path.text, &bytes) : r;
}

/* Adds what the answer holds, from `*next` on, to the bundle. */
static int take_entries(
        struct ctl *ctl, const json_t *items, uint64_t *next, uint64_t end, struct buf *bundle)
{
	const json_t *item;
	size_t index;

	json_array_foreach(items, index, item)
	{
		const char *text = json_string_value(json_object_get(item, "entry"));
		AUTO_BUF struct buf entry = BUF(LEDGER_RECORD_BYTES_MAX);

		if (*next == end) {
			return CTL_OK;
		}
		if ((uint64_t)json_integer_value(json_object_get(item, "leaf")) != *next || !text ||
		        base64_parse(text, strlen(text), &entry) != 0 ||
		        bundle_add(bundle, entry.bytes, entry.count) != 0) {
			return ctl_fail(ctl, CTL_UNREACHABLE,
			        "the center's answer holds no entry %llu",
			        (unsigned long long)*next);
		}
		(*next)++;
	}
	return CTL_OK;
}

static int fetch_bundle(struct fetch *fetch, const struct tile *tile)
{
	struct tile_path path = tile_path(tile);
	AUTO_BUF struct buf bundle = BUF(BUNDLE_BYTES_MAX);
	uint64_t next = tile->index * TILE_WIDTH, end = next + tile->width;
	unsigned many = ENTRIES_A_CALL;
	int r = CTL_OK;

	if (have_file(fetch, path.text, &bundle)) {
		return CTL_OK;
	}
	buf_reset(&bundle);
	while (r == CTL_OK && next < end) {
		AUTO_STRING char *query = mem_format(
		        "/ledger/entries?from=%llu&limit=%u", (unsigned long long)next, many);
		AUTO_JSON json_t *answer = NULL;
		uint64_t before = next;

		r = api_get(fetch->ctl, query, &answer);
		if (r == CTL_UNREACHABLE && many > 1) {
			many /= 4; /* longer than an answer may be: large records */
			many = many ? many : 1;
			fetch->ctl->err = (struct err){ 0 };
			r = CTL_OK;
			continue;
		}
		if (r == CTL_OK) {
			r = take_entries(
			        fetch->ctl, json_object_get(answer, "items"), &next, end, &bundle);
		}
		if (r == CTL_OK && next == before) {
			r = ctl_fail(fetch->ctl, CTL_UNREACHABLE,
			        "the center has no entry %llu of %llu", (unsigned long long)next,
			        (unsigned long long)fetch->size);
		}
	}
	return r == CTL_OK ? put_file(fetch, path.text, &bundle) : r;
}

static int fetch_level(struct fetch *fetch, unsigned level)
{
	uint64_t tiles = (tile_hashes(fetch->size, level) + TILE_WIDTH - 1) / TILE_WIDTH;
	int r = CTL_OK;

	for (uint64_t i = 0; i < tiles && r == CTL_OK; i++) {
		struct tile tile = {
			.level = level, .index = i, .width = tile_width(fetch->size, level, i)
		};

		r = fetch_tile(fetch, &tile);
		if (r == CTL_OK && level == 0) {
			tile.entries = true;
			r = fetch_bundle(fetch, &tile);
			ctl_progress("%llu of %llu entries",
			        (unsigned long long)(i * TILE_WIDTH + tile.width),
			        (unsigned long long)fetch->size);
		}
	}
	return r;
}

static int run_fetch(struct ctl *ctl)
{
	struct fetch fetch = { .ctl = ctl, .directory = ctl_text(ctl, "DIR") };
	AUTO_BUF struct buf note = BUF(NOTE_BYTES_MAX);
	struct checkpoint checkpoint;
	int r = public_get(ctl, "/ledger/checkpoint", &note);

	if (r == CTL_OK) {
		r = open_note(ctl, &note, ctl_text(ctl, "key") != NULL, &checkpoint);
	}
	if (r == CTL_OK) {
		fetch.size = checkpoint.head.size;
		r = material_directory(ctl, fetch.directory);
	}
	for (unsigned level = 0; level < TILE_LEVELS && r == CTL_OK; level++) {
		r = fetch_level(&fetch, level);
	}
	/* The checkpoint last: an export that was broken off has none, or the one before. */
	if (r == CTL_OK) {
		r = put_file(&fetch, "checkpoint", &note);
	}
	if (r == CTL_OK) {
		put_checkpoint(ctl, &checkpoint);
		ctl_put(ctl, "directory", fetch.directory);
		ctl_put_count(ctl, "files_fetched", fetch.files);
	}
	return r;
}

/* --- single records
 * ----------------------------------------------------------------------------------- */

static int run_list(struct ctl *ctl)
{
	AUTO_STRING char *path =
	        mem_format("/ledger/entries?from=%llu", (unsigned long long)ctl_count(ctl, "from"));
	json_t *item;
	size_t index;
	int r = api_list(ctl, path);

	if (r == CTL_OK) {
		json_array_foreach(json_object_get(ctl->result, "items"), index, item)
		{
			json_object_del(
			        item, "entry"); /* the same as "record", for machines that hash */
		}
	}
	return r;
}

static int take_proof(struct ctl *ctl, const json_t *answer, struct merkle_proof *proof)
{
	const json_t *list = json_object_get(answer, "proof"), *item;
	size_t index;

	*proof = (struct merkle_proof){ 0 };
	json_array_foreach(list, index, item)
	{
		const char *text = json_string_value(item);
		AUTO_BUF struct buf hash = BUF(HASH_BYTES);

		if (!text || base64_parse(text, strlen(text), &hash) != 0 ||
		        hash.count != HASH_BYTES || proof->count == MERKLE_PROOF_COUNT_MAX) {
			return ctl_fail(ctl, CTL_UNREACHABLE, "the center's answer holds no proof");
		}
		memcpy(proof->hashes[proof->count++].bytes, hash.bytes, HASH_BYTES);
	}
	return CTL_OK;
}

/* The record with this leaf, as the center has it. */
static int fetch_entry(struct ctl *ctl, uint64_t leaf, struct buf *entry, json_t **ret_answer)
{
	AUTO_STRING char *query =
	        mem_format("/ledger/entries?from=%llu&limit=1", (unsigned long long)leaf);
	const json_t *item;
	const char *text;
	int r = api_get(ctl, query, ret_answer);

	if (r != CTL_OK) {
		return r;
	}
	item = json_array_get(json_object_get(*ret_answer, "items"), 0);
	text = json_string_value(json_object_get(item, "entry"));
	if (!text || (uint64_t)json_integer_value(json_object_get(item, "leaf")) != leaf ||
	        base64_parse(text, strlen(text), entry) != 0) {
		return ctl_fail(ctl, CTL_NOT_FOUND, "the ledger has no record %llu",
		        (unsigned long long)leaf);
	}
	return CTL_OK;
}

/* The record, its proof and the checkpoint are checked here, against the key: the center's word
 * that they fit is not enough. */
static int run_proof(struct ctl *ctl)
{
	uint64_t leaf = ctl_count(ctl, "leaf");
	AUTO_STRING char *path = mem_format("/ledger/proof?leaf=%llu", (unsigned long long)leaf);
	AUTO_BUF struct buf entry = BUF(LEDGER_RECORD_BYTES_MAX), note = BUF(NOTE_BYTES_MAX);
	AUTO_JSON json_t *answer = NULL, *entries = NULL;
	struct checkpoint checkpoint;
	struct merkle_proof proof;
	struct hash hash;
	const char *text;
	bool good;
	int r = api_get(ctl, path, &answer);

	if (r == CTL_OK) {
		text = json_string_value(json_object_get(answer, "checkpoint"));
		buf_add_text(&note, text ? text : "");
		r = open_note(ctl, &note, true, &checkpoint);
	}
	if (r == CTL_OK) {
		r = take_proof(ctl, answer, &proof);
	}
	if (r == CTL_OK) {
		r = fetch_entry(ctl, leaf, &entry, &entries);
	}
	if (r != CTL_OK) {
		return r;
	}
	hash = hash_leaf(entry.bytes, entry.count);
	good = merkle_check_inclusion(
	        &hash, leaf, checkpoint.head.size, &checkpoint.head.root, &proof);
	put_checkpoint(ctl, &checkpoint);
	ctl_put_count(ctl, "leaf", leaf);
	ctl_put_bool(ctl, "included", good);
	ctl_put_json(ctl, "record",
	        json_incref(json_object_get(
	                json_array_get(json_object_get(entries, "items"), 0), "record")));
	return good ? CTL_OK
	            : ctl_fail(ctl, CTL_REFUSED,
	                      "the proof does not lead from record %llu to the signed checkpoint: "
	                      "keep what was "
	                      "received and call an auditor",
	                      (unsigned long long)leaf);
}

static int run_key(struct ctl *ctl)
{
	AUTO_BUF struct buf text = BUF(ANSWER_KEY_BYTES_MAX);
	struct note_key key;
	int r = read_key(ctl, &key);

	if (r == CTL_OK) {
		note_key_print(&key, &text);
		ctl_put(ctl, "verifier_key", buf_text(&text));
	}
	return r;
}

#define KEY_OPTIONS                                                                                \
	{ OPTION("key", OPTION_FILE), "the ledger's verifier key (checkpoint.vkey) or public key", \
		.required = true },                                                                \
	{                                                                                          \
		OPTION("provider", OPTION_NAME), "the provider's name, for a bare public key"      \
	}
static const struct option checkpoint_options[] = {
	{ OPTION("key", OPTION_FILE),
	        "the ledger's verifier key; without it the signature is not checked" },
	{ OPTION("provider", OPTION_NAME), "the provider's name, for a bare public key" },
	{ OPTION("out", OPTION_FILE),
	        "where the checkpoint is kept, for a later \"ledger verify --older\"" },
	{ 0 },
};
static const struct option verify_options_table[] = {
	{ OPTION("DIR", OPTION_FILE), "an export, as \"ledger fetch\" writes it", .required = true,
	        .operand = true },
	KEY_OPTIONS,
	{ OPTION("older", OPTION_FILE), "a checkpoint that was kept; the export must continue it",
	        .repeated = true },
	{ 0 },
};
static const struct option fetch_options[] = {
	{ OPTION("DIR", OPTION_FILE),
	        "directory for the export; what is there already is carried on", .required = true,
	        .operand = true },
	{ OPTION("key", OPTION_FILE),
	        "the ledger's verifier key, to refuse a forged checkpoint at once" },
	{ OPTION("provider", OPTION_NAME), "the provider's name, for a bare public key" },
	{ 0 },
};
static const struct option list_options[] = {
	{ OPTION("from", OPTION_COUNT), "the first record", NULL, "0" },
	{ 0 },
};
static const struct option proof_options[] = {
	{ OPTION("leaf", OPTION_COUNT), "number of the record", .required = true },
	KEY_OPTIONS,
	{ 0 },
};
static const struct option key_options[] = { KEY_OPTIONS, { 0 } };

static const struct command ledger_commands[] = {
	{ "checkpoint", "Fetches the newest signed head of the ledger.", GROUP_PUBLIC,
	        checkpoint_options, run_checkpoint },
	{ "fetch", "Fetches the whole ledger into a directory that can be verified anywhere.",
	        GROUP_PUBLIC | GROUP_CENTER, fetch_options, run_fetch },
	{ "verify",
	        "Checks an export without any network: every record, every hash, the signature, "
	        "and "
	        "that it continues earlier checkpoints.",
	        0, verify_options_table, run_verify },
	{ "list", "Lists records.", GROUP_CENTER | GROUP_PAGE, list_options, run_list },
	{ "proof", "Fetches a record with the proof that it is in the ledger, and checks it.",
	        GROUP_CENTER, proof_options, run_proof },
	{ "key", "Shows a ledger's verifier key as text.", 0, key_options, run_key },
	{ 0 },
};
const struct noun noun_ledger = { "ledger", "the audit ledger: fetched and verified",
	ledger_commands };
