/*
 * Fuzzes the journal's file and links. Reading always ends, never goes backwards, names what is
 * damaged inside the file, and what it reads whole is a chain that the center would accept. The
 * same bytes are also read as a record, where only the canonical spelling may pass.
 */
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "audit/chain.h"
#include "audit/record.h"

static void require(bool condition)
{
	if (!condition) {
		abort();
	}
}

static void fuzz_file(const uint8_t *data, size_t size)
{
	struct chain_reader reader = { .bytes = data, .count = size };
	struct chain center = { 0 };
	struct chain_link link, taken;
	bool whole = true;

	for (;;) {
		size_t before = reader.at;
		struct err err = { 0 };
		int r = chain_read(&reader, &link, &err);

		require(r == 0 || r == CHAIN_END || err.text[0] != '\0');
		if (r == CHAIN_END) {
			require(reader.at == size);
			return;
		}
		if (r == CHAIN_TORN) {
			require(reader.at == before && before < size);
			return;
		}
		require(reader.at > before && reader.at <= size);
		whole = whole && r == 0;
		if (r != 0) {
			require(reader.damage_start == before && reader.damage_end == reader.at);
		}
		if (whole) {
			require(chain_accept(&center, data + before + CHAIN_FRAME_HEAD_BYTES,
			                reader.at - before - CHAIN_FRAME_HEAD_BYTES, &taken,
			                NULL) == 0);
			require(taken.seq == link.seq && taken.record == link.record);
			require(memcmp(&center, &reader.chain, sizeof(center)) == 0);
		}
	}
}

/* The input as records of a journal, with one byte of the file changed: always found. */
static void fuzz_damage(const uint8_t *data, size_t size)
{
	AUTO_BUF struct buf file = BUF(1 << 20);
	struct chain chain = { 0 };
	struct chain_reader reader;
	struct chain_link link;
	uint64_t read = 0;
	size_t at;
	int r;

	if (size < 4) {
		return;
	}
	for (size_t start = 3; start < size; start += 1 + data[2]) {
		AUTO_BUF struct buf bytes = BUF(CHAIN_LINK_BYTES_MAX);
		size_t count = size - start < 1u + data[2] ? size - start : 1u + data[2];
		char record[256];

		/* A record is text (record.h), so no frame can stand inside one. */
		for (size_t i = 0; i < count; i++) {
			record[i] = (char)(' ' + data[start + i] % 95);
		}
		require(chain_append(&chain, record, count, &bytes) == 0);
		chain_frame(bytes.bytes, bytes.count, &file);
	}
	at = ((size_t)data[0] << 8 | data[1]) % file.count;
	file.bytes[at] ^= (uint8_t)(1 + data[2] % 255);
	reader = (struct chain_reader){
		.bytes = file.bytes, .count = file.count, .durable_count = chain.count
	};
	while ((r = chain_read(&reader, &link, NULL)) == 0) {
		read++;
	}
	require(r == CHAIN_DAMAGED && reader.damage_start <= at && at < reader.damage_end);
	require(reader.damage_first_seq == read + 1);
}

static void fuzz_record(const uint8_t *data, size_t size)
{
	struct record_head head;
	json_t *root;
	char *text;

	if (record_check(data, size, &head, NULL) != 0) {
		return;
	}
	root = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
	require(root);
	text = json_dumps(root, JSON_SORT_KEYS | JSON_COMPACT);
	require(text && strlen(text) == size && memcmp(text, data, size) == 0);
	free(text);
	json_decref(root);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_file(data, size);
	fuzz_damage(data, size);
	fuzz_record(data, size);
	return 0;
}
