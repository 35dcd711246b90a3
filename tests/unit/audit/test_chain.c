#include "../check.h"

#include "audit/chain.h"

#define RECORDS 6

/* Appends a record to a chain and its frame to a file. */
static void add(struct chain *chain, const char *record, struct buf *file)
{
	AUTO_BUF struct buf link = BUF(CHAIN_LINK_BYTES_MAX);

	CHECK(chain_append(chain, record, strlen(record), &link) == 0);
	chain_frame(link.bytes, link.count, file);
}

/* The file, and where each frame of it ends. */
static struct chain make(struct buf *file, size_t *ends)
{
	struct chain chain = { 0 };

	for (int i = 0; i < RECORDS; i++) {
		char record[32];

		snprintf(record, sizeof(record), "{\"record\":%0*d}", i * 3, i);
		add(&chain, record, file);
		ends[i] = file->count;
	}
	return chain;
}

TEST(a_journal_reads_back)
{
	AUTO_BUF struct buf file = BUF(1 << 16);
	struct chain_reader reader;
	struct chain_link link;
	struct chain chain;
	size_t ends[RECORDS];

	chain = make(&file, ends);
	reader = (struct chain_reader){ .bytes = file.bytes, .count = file.count };
	for (uint64_t i = 1; i <= RECORDS; i++) {
		CHECK(chain_read(&reader, &link, NULL) == 0 && link.seq == i);
	}
	CHECK(chain_read(&reader, &link, NULL) == CHAIN_END);
	CHECK(memcmp(&reader.chain, &chain, sizeof(chain)) == 0);
}

TEST(a_tail_torn_at_any_byte_is_cut_off_and_nothing_else)
{
	AUTO_BUF struct buf file = BUF(1 << 16);
	struct chain_link link;
	size_t ends[RECORDS];

	(void)make(&file, ends);
	for (size_t cut = 0; cut <= file.count; cut++) {
		struct chain_reader reader = { .bytes = file.bytes, .count = cut };
		uint64_t whole = 0;

		while (whole < RECORDS && ends[whole] <= cut) {
			whole++;
		}
		for (uint64_t i = 0; i < whole; i++) {
			CHECK(chain_read(&reader, &link, NULL) == 0);
		}
		if (cut == (whole > 0 ? ends[whole - 1] : 0)) {
			CHECK(chain_read(&reader, &link, NULL) == CHAIN_END);
		} else {
			CHECK(chain_read(&reader, &link, NULL) == CHAIN_TORN);
			CHECK(reader.at == (whole > 0 ? ends[whole - 1] : 0));
		}
		CHECK(reader.chain.count == whole);
	}
}

TEST(a_tail_of_zeros_or_garbage_is_torn)
{
	AUTO_BUF struct buf file = BUF(1 << 16);
	struct chain_link link;
	size_t ends[RECORDS];

	(void)make(&file, ends);
	for (int byte = 0; byte < 256; byte++) {
		uint8_t garbage[100];
		struct chain_reader reader;
		size_t before = file.count;

		memset(garbage, byte, sizeof(garbage));
		buf_add(&file, garbage, sizeof(garbage));
		reader = (struct chain_reader){ .bytes = file.bytes, .count = file.count };
		for (int i = 0; i < RECORDS; i++) {
			CHECK(chain_read(&reader, &link, NULL) == 0);
		}
		CHECK(chain_read(&reader, &link, NULL) == CHAIN_TORN && reader.at == before);
		file.count = before;
	}
}

TEST(every_flipped_bit_is_found_and_located)
{
	AUTO_BUF struct buf file = BUF(1 << 16);
	size_t ends[RECORDS];

	(void)make(&file, ends);
	for (size_t at = 0; at < ends[RECORDS - 2]; at++) {
		struct chain_reader reader = { .bytes = file.bytes, .count = file.count };
		struct chain_link link;
		struct err err = { 0 };
		uint64_t hit = 0;
		int r;

		while (ends[hit] <= at) {
			hit++;
		}
		file.bytes[at] ^= (uint8_t)(1 << at % 8);
		while ((r = chain_read(&reader, &link, &err)) == 0) {
		}
		CHECK(r == CHAIN_DAMAGED && err.text[0] != '\0');
		CHECK(reader.damage_first_seq == hit + 1 && reader.damage_last_seq == hit + 1);
		CHECK(reader.damage_start <= at && at < reader.damage_end);
		CHECK(reader.damage_end == ends[hit]);
		/* What is behind the damage can still be read. */
		for (uint64_t i = hit + 2; i <= RECORDS; i++) {
			CHECK(chain_read(&reader, &link, NULL) == 0 && link.seq == i);
		}
		CHECK(chain_read(&reader, &link, NULL) == CHAIN_END);
		file.bytes[at] ^= (uint8_t)(1 << at % 8);
	}
}

TEST(a_lost_tail_that_was_durable_is_damage)
{
	AUTO_BUF struct buf file = BUF(1 << 16);
	struct chain_reader reader;
	struct chain_link link;
	size_t ends[RECORDS];

	(void)make(&file, ends);
	for (size_t cut = ends[1]; cut < file.count; cut++) {
		int r;

		reader = (struct chain_reader){
			.bytes = file.bytes, .count = cut, .durable_count = RECORDS
		};
		while ((r = chain_read(&reader, &link, NULL)) == 0) {
		}
		CHECK(r == CHAIN_DAMAGED && reader.damage_last_seq == RECORDS);
		CHECK(chain_read(&reader, &link, NULL) == CHAIN_END);
	}
}

TEST(removed_swapped_and_rewritten_records_are_found)
{
	AUTO_BUF struct buf file = BUF(1 << 16);
	AUTO_BUF struct buf altered = BUF(1 << 16);
	struct chain_reader reader;
	struct chain_link link;
	struct chain chain = { 0 };
	size_t ends[RECORDS];

	(void)make(&file, ends);
	/* Record 3 is taken out. */
	buf_add(&altered, file.bytes, ends[1]);
	buf_add(&altered, file.bytes + ends[2], file.count - ends[2]);
	reader = (struct chain_reader){ .bytes = altered.bytes, .count = altered.count };
	CHECK(chain_read(&reader, &link, NULL) == 0 && chain_read(&reader, &link, NULL) == 0);
	CHECK(chain_read(&reader, &link, NULL) == CHAIN_BROKEN);
	CHECK(reader.damage_first_seq == 2 && reader.damage_last_seq == 4 && link.seq == 4);
	CHECK(chain_read(&reader, &link, NULL) == 0);
	/* Record 1 is made anew with a right frame. */
	buf_reset(&altered);
	add(&chain, "{\"record\":\"false\"}", &altered);
	buf_add(&altered, file.bytes + ends[0], file.count - ends[0]);
	reader = (struct chain_reader){ .bytes = altered.bytes, .count = altered.count };
	CHECK(chain_read(&reader, &link, NULL) == 0);
	CHECK(chain_read(&reader, &link, NULL) == CHAIN_BROKEN && link.seq == 2);
}

TEST(the_center_takes_links_in_order_and_names_gaps_and_forks)
{
	AUTO_BUF struct buf one = BUF(1024), two = BUF(1024), three = BUF(1024), fork = BUF(1024);
	struct chain gateway = { 0 }, center = { 0 }, other = { 0 };
	struct chain_link link;
	struct err err = { 0 };

	CHECK(chain_append(&gateway, "a", 1, &one) == 0);
	CHECK(chain_append(&gateway, "b", 1, &two) == 0);
	CHECK(chain_append(&gateway, "c", 1, &three) == 0);
	CHECK(chain_append(&other, "x", 1, &fork) == 0);
	buf_reset(&fork);
	CHECK(chain_append(&other, "b", 1, &fork) == 0);
	CHECK(chain_accept(&center, two.bytes, two.count, &link, &err) == CHAIN_GAP);
	CHECK_TEXT(err.text, "journal links 1 to 1 are missing");
	CHECK(chain_accept(&center, one.bytes, one.count, &link, NULL) == 0);
	CHECK(link.record_bytes == 1 && link.record[0] == 'a');
	CHECK(chain_accept(&center, one.bytes, one.count, &link, NULL) == CHAIN_AGAIN);
	CHECK(chain_accept(&center, fork.bytes, fork.count, &link, NULL) == CHAIN_FORK);
	CHECK(center.count == 1);
	CHECK(chain_accept(&center, two.bytes, two.count, &link, NULL) == 0);
	CHECK(chain_accept(&center, three.bytes, three.count, &link, NULL) == 0);
	CHECK(memcmp(&center, &gateway, sizeof(center)) == 0);
	CHECK(chain_accept(&center, three.bytes, CHAIN_LINK_HEAD_BYTES, &link, NULL) ==
	        CHAIN_MALFORMED);
	CHECK(chain_append(&gateway, "", 0, &three) == 1);
}

TEST_MAIN()
