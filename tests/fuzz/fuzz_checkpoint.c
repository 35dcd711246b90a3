/*
 * Fuzzes signed notes, checkpoints, verifier keys, tile paths and bundles. What is accepted prints
 * back to the same bytes, and no signature is ever accepted but the ones made here.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "audit/checkpoint.h"
#include "audit/record.h"
#include "audit/tile.h"
#include "base/str.h"

/* Both verify the published example of a note (tests/unit/audit/test_checkpoint.c), and nothing
 * else in this program knows the private key. */
static const char known_key[] =
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
static const char known_text[] = "If you think cryptography is the answer to your problem,\n"
                                 "then you don't know what your problem is.\n";

static void require(bool condition)
{
	if (!condition) {
		abort();
	}
}

static void fuzz_note(const uint8_t *data, size_t size, const struct note_key *key)
{
	AUTO_BUF struct buf text = BUF(NOTE_BYTES_MAX);
	struct checkpoint checkpoint;
	struct err err = { 0 };
	struct note note;

	if (note_parse(data, size, &note, &err) != 0) {
		require(err.text[0] != '\0');
		return;
	}
	require(note.signature_count >= 1 && note.signature_count <= NOTE_SIGNATURES_MAX);
	require(note.text_bytes > 0 && note.text[note.text_bytes - 1] == '\n');
	if (note_check(&note, key, NULL) == 0) {
		require(note.text_bytes == strlen(known_text) &&
		        memcmp(note.text, known_text, note.text_bytes) == 0);
	}
	require(checkpoint_open(data, size, key, &checkpoint, &err) != 0);
	if (checkpoint_parse(&note, &checkpoint, &err) == 0) {
		checkpoint_print(&checkpoint, &text);
		/* Extension lines may follow. */
		require(text.count <= note.text_bytes &&
		        memcmp(text.bytes, note.text, text.count) == 0);
	}
}

static void fuzz_texts(const char *text)
{
	AUTO_BUF struct buf again = BUF(1 << 16);
	struct note_key key;
	struct tile tile;
	struct err err = { 0 };

	if (note_key_parse(text, &key, &err) == 0) {
		note_key_print(&key, &again);
		require(strcmp(buf_text(&again), text) == 0);
	} else {
		require(err.text[0] != '\0');
	}
	if (tile_parse(text, &tile) == 0) {
		require(strcmp(tile_path(&tile).text, text) == 0);
	}
}

static void fuzz_bundle(const uint8_t *data, size_t size)
{
	AUTO_BUF struct buf again = BUF(1 << 20);
	struct cursor cursor = CURSOR(data, size);
	const uint8_t *entry;
	size_t count;
	int r;

	while ((r = bundle_next(&cursor, &entry, &count)) == 0) {
		require(bundle_add(&again, entry, count) == 0);
	}
	require(again.count <= size &&
	        memcmp(again.bytes ? again.bytes : data, data, again.count) == 0);
	require(r == 2 || again.count == size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_STRING char *text = mem_new(size + 1, 1);
	struct note_key key;

	require(note_key_parse(known_key, &key, NULL) == 0);
	if (size > 0) {
		memcpy(text, data, size);
	}
	fuzz_note(data, size, &key);
	fuzz_texts(text);
	fuzz_bundle(data, size);
	return 0;
}
