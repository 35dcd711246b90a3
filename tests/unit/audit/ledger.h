/*
 * A small ledger in memory for the tests: nodes, records, files of an export, and a signing key
 * made from a fixed seed.
 */
#pragma once

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "audit/export.h"
#include "audit/record.h"
#include "audit/verify.h"
#include "base/mem.h"

#define LEDGER_SIZE_MAX 1024

struct ledger {
	struct hash nodes[12][LEDGER_SIZE_MAX];
	bool there[12][LEDGER_SIZE_MAX];
	struct buf entries[LEDGER_SIZE_MAX];
	struct merkle_tree tree;
	struct merkle_store store;
};

static inline int ledger_get(
        void *context, unsigned level, uint64_t index, struct hash *ret_hash, struct err *err)
{
	struct ledger *ledger = context;

	assert_always(level < 12 && index < LEDGER_SIZE_MAX && ledger->there[level][index]);
	*ret_hash = ledger->nodes[level][index];
	return 0;
}

static inline int ledger_put(
        void *context, unsigned level, uint64_t index, const struct hash *hash, struct err *err)
{
	struct ledger *ledger = context;

	assert_always(level < 12 && index < LEDGER_SIZE_MAX);
	ledger->nodes[level][index] = *hash;
	ledger->there[level][index] = true;
	return 0;
}

static inline int ledger_entry(void *context, uint64_t index, struct buf *out, struct err *err)
{
	struct ledger *ledger = context;

	buf_add(out, ledger->entries[index].bytes, ledger->entries[index].count);
	return 0;
}

static inline void ledger_append(struct ledger *ledger, const void *bytes, size_t count)
{
	struct buf *entry = &ledger->entries[ledger->tree.size];
	struct hash leaf = hash_leaf(bytes, count);
	int r;

	*entry = BUF(LEDGER_RECORD_BYTES_MAX);
	buf_add(entry, bytes, count);
	r = merkle_append(&ledger->tree, &ledger->store, &leaf, NULL);
	assert_always(r == 0);
}

static inline struct ledger *ledger_new(void)
{
	struct ledger *ledger = mem_new(1, sizeof(*ledger));

	ledger->store =
	        (struct merkle_store){ .get = ledger_get, .put = ledger_put, .context = ledger };
	return ledger;
}

/* With that many records; `salt` makes another history. */
static inline struct ledger *ledger_make(uint64_t size, int64_t salt)
{
	struct ledger *ledger = ledger_new();

	for (uint64_t i = 0; i < size; i++) {
		AUTO_BUF struct buf bytes = BUF(LEDGER_RECORD_BYTES_MAX);
		struct record *record =
		        record_begin("lease.renewed", 1800000000000000LL + (int64_t)i * 1000);
		int r;

		record_actor(record, "center", "regional-vpn");
		record_subject(record, "01KAGE00000000000000000000");
		record_number(record, "number", (int64_t)i + salt);
		r = record_end(record, &bytes);
		assert_always(r == 0);
		ledger_append(ledger, bytes.bytes, bytes.count);
	}
	return ledger;
}

static inline struct ledger *ledger_free(struct ledger *ledger)
{
	if (ledger) {
		for (uint64_t i = 0; i < ledger->tree.size; i++) {
			buf_clear(&ledger->entries[i]);
		}
		free(ledger);
	}
	return NULL;
}
AUTO_DEFINE(ledger)

static inline int seed_sign(void *context, const uint8_t *message, size_t count,
        uint8_t ret_signature[NOTE_SIGNATURE_BYTES], struct err *err)
{
	EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, context, 32);
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	size_t bytes = NOTE_SIGNATURE_BYTES;

	assert_always(EVP_DigestSignInit(md, NULL, NULL, NULL, key) == 1 &&
	              EVP_DigestSign(md, ret_signature, &bytes, message, count) == 1);
	EVP_MD_CTX_free(md);
	EVP_PKEY_free(key);
	return 0;
}

/* `seed` is 32 bytes and borrowed. */
static inline struct note_signer signer_make(const char *name, enum note_type type, uint8_t *seed)
{
	struct note_signer signer = { .sign = seed_sign, .context = seed };
	EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, 32);
	uint8_t public_key[32];
	size_t bytes = sizeof(public_key);

	assert_always(EVP_PKEY_get_raw_public_key(key, public_key, &bytes) == 1 &&
	              note_key_make(name, type, public_key, &signer.key) == 0);
	EVP_PKEY_free(key);
	return signer;
}

/* The files of an export. */
#define FILES_MAX 64

struct files {
	struct {
		char path[TILE_PATH_BYTES_MAX];
		struct buf bytes;
	} file[FILES_MAX];
	size_t count;
};

static inline struct buf *files_find(struct files *files, const char *path)
{
	for (size_t i = 0; i < files->count; i++) {
		if (strcmp(files->file[i].path, path) == 0) {
			return &files->file[i].bytes;
		}
	}
	return NULL;
}

static inline int files_read(void *context, const char *path, struct buf *out, struct err *err)
{
	const struct buf *file = files_find(context, path);

	if (!file) {
		return 1;
	}
	buf_add(out, file->bytes, file->count);
	return 0;
}

static inline int files_write(
        void *context, const char *path, const void *bytes, size_t count, struct err *err)
{
	struct files *files = context;
	struct buf *file = files_find(files, path);

	if (!file) {
		assert_always(files->count < FILES_MAX);
		snprintf(files->file[files->count].path, TILE_PATH_BYTES_MAX, "%s", path);
		file = &files->file[files->count++].bytes;
	}
	buf_clear(file);
	*file = BUF(BUNDLE_BYTES_MAX);
	buf_add(file, bytes, count);
	return 0;
}

static inline void files_remove(struct files *files, const char *path)
{
	struct buf *file = files_find(files, path);

	assert_always(file);
	buf_clear(file);
	for (size_t i = 0; i < files->count; i++) {
		if (&files->file[i].bytes == file) {
			files->file[i] = files->file[--files->count];
			files->file[files->count].bytes = (struct buf){ 0 };
			return;
		}
	}
}

static inline void files_clear(struct files *files)
{
	for (size_t i = 0; i < files->count; i++) {
		buf_clear(&files->file[i].bytes);
	}
	files->count = 0;
}

static inline void files_copy(struct files *to, const struct files *from)
{
	files_clear(to);
	for (size_t i = 0; i < from->count; i++) {
		files_write(to, from->file[i].path, from->file[i].bytes.bytes,
		        from->file[i].bytes.count, NULL);
	}
}

/* Signs the head at `size` and writes the export of that size. */
static inline void ledger_export(
        struct ledger *ledger, uint64_t size, const struct note_signer *signer, struct files *files)
{
	AUTO_BUF struct buf note = BUF(NOTE_BYTES_MAX);
	struct merkle_head head = { .size = size };
	struct export_sink sink = { .write = files_write, .context = files };
	struct export_source source = {
		.store = &ledger->store, .entry = ledger_entry, .context = ledger
	};
	int r = merkle_root_at(&ledger->store, size, &head.root, NULL);

	assert_always(r == 0);
	r = checkpoint_sign(&head, signer, &note, NULL);
	assert_always(r == 0);
	source.checkpoint = note.bytes;
	source.checkpoint_bytes = note.count;
	r = export_write(&source, &sink, NULL, NULL);
	assert_always(r == 0);
}

static inline struct export_report files_verify(struct files *files, const struct note_key *key,
        const struct export_known *known, size_t known_count)
{
	struct export_reader reader = { .read = files_read, .context = files };
	struct verify_options options = { .key = key, .known = known, .known_count = known_count };
	struct export_report report;
	int r = verify_export(&reader, &options, &report, NULL);

	assert_always(r == 0);
	return report;
}
