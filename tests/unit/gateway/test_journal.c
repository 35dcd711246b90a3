#include "../check.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "gateway/journal.h"

static char directory[64];

static void make_directory(void)
{
	strcpy(directory, "/tmp/sekisho-journal-XXXXXX");
	CHECK(mkdtemp(directory) != NULL);
}

static void remove_directory(void)
{
	AUTO_STRING char *command = mem_format("rm -rf %s", directory);

	CHECK(system(command) == 0);
}

struct recalled {
	uint64_t count, last;
	char text[64];
};

static int recall(void *context, const struct chain_link *link, const uint8_t *bytes, size_t count)
{
	struct recalled *recalled = context;

	recalled->count++;
	CHECK(link->seq == recalled->last + 1 || recalled->count == 1);
	recalled->last = link->seq;
	snprintf(recalled->text, sizeof(recalled->text), "%.*s", (int)link->record_bytes,
	        (const char *)link->record);
	CHECK(count == CHAIN_LINK_HEAD_BYTES + link->record_bytes &&
	        bytes + count == link->record + link->record_bytes);
	return 0;
}

static struct journal *open_journal(struct recalled *recalled)
{
	struct journal *journal = NULL;
	struct err err = { 0 };
	int r;

	*recalled = (struct recalled){ 0 };
	r = journal_open(directory, recall, recalled, &journal, &err);
	if (r != 0) {
		printf("# %s\n", err.text);
	}
	CHECK(r == 0);
	return journal;
}

TEST(records_are_there_after_a_restart)
{
	struct recalled recalled;
	struct journal *journal;

	make_directory();
	journal = open_journal(&recalled);
	CHECK(journal_newest(journal) == 0);
	CHECK(journal_append(journal, "{\"a\":1}", 7) == 0 &&
	        journal_append(journal, "{\"b\":2}", 7) == 0);
	journal_free(journal);
	journal = open_journal(&recalled);
	CHECK(recalled.count == 2 && journal_newest(journal) == 2);
	CHECK_TEXT(recalled.text, "{\"b\":2}");
	CHECK(journal_append(journal, "{\"c\":3}", 7) == 0);
	recalled = (struct recalled){ .last = 1 };
	CHECK(journal_read(journal, 2, 10, recall, &recalled) == 0 && recalled.count == 2);
	journal_free(journal);
	remove_directory();
}

TEST(many_segments_chain_and_go_when_acknowledged_and_old)
{
	static char record[4000];
	struct recalled recalled;
	struct journal *journal;
	int64_t later = clock_wall_usec() + 3 * 86400 * USEC_PER_SEC;

	memset(record, 'x', sizeof(record));
	make_directory();
	journal = open_journal(&recalled);
	for (int i = 0; i < 200; i++) {
		CHECK(journal_append(journal, record, sizeof(record)) == 0);
	}
	journal_acknowledge(journal, 150, clock_wall_usec());
	CHECK(journal_oldest(journal) == 1); /* acknowledged, but a grant in it may still live */
	journal_acknowledge(journal, 160, later);
	CHECK(journal_oldest(journal) > 100 && journal_oldest(journal) <= 161);
	journal_free(journal);
	journal = open_journal(&recalled);
	CHECK(recalled.last == 200 && journal_newest(journal) == 200);
	CHECK(journal_append(journal, record, 100) == 0);
	journal_free(journal);
	journal = open_journal(&recalled);
	CHECK(recalled.last == 201);
	journal_free(journal);
	remove_directory();
}

/* What was acknowledged reaches into the newest segment; the older ones end before it and are
 * whole. */
TEST(acknowledged_segments_that_stay_are_read_again)
{
	static char record[4000];
	struct recalled recalled;
	struct journal *journal;

	memset(record, 'x', sizeof(record));
	make_directory();
	journal = open_journal(&recalled);
	for (int i = 0; i < 200; i++) {
		CHECK(journal_append(journal, record, sizeof(record)) == 0);
	}
	journal_acknowledge(journal, 200, clock_wall_usec());
	CHECK(journal_oldest(journal) == 1);
	journal_free(journal);
	journal = open_journal(&recalled);
	CHECK(recalled.count == 200 && journal_acknowledged(journal) == 200);
	recalled = (struct recalled){ .last = 9 };
	CHECK(journal_read(journal, 10, 100, recall, &recalled) == 0 && recalled.count == 100);
	journal_free(journal);
	remove_directory();
}

TEST(records_that_share_one_sync_are_there)
{
	struct recalled recalled;
	struct journal *journal;

	make_directory();
	journal = open_journal(&recalled);
	CHECK(journal_write(journal, "{\"a\":1}", 7) == 0 &&
	        journal_write(journal, "{\"b\":2}", 7) == 0);
	CHECK(journal_sync(journal) == 0);
	journal_free(journal);
	journal = open_journal(&recalled);
	CHECK(recalled.count == 2 && journal_newest(journal) == 2);
	journal_free(journal);
	remove_directory();
}

static void segment_file(char *out, size_t bytes)
{
	snprintf(out, bytes, "%s/%020d", directory, 1);
}

TEST(a_torn_tail_is_cut_off_at_every_byte)
{
	struct recalled recalled;
	struct journal *journal;
	char path[128];
	AUTO_BUF struct buf whole = BUF(65536);
	size_t first_bytes;

	make_directory();
	segment_file(path, sizeof(path));
	journal = open_journal(&recalled);
	CHECK(journal_append(journal, "{\"first\":1}", 11) == 0);
	CHECK(file_read(path, &whole, NULL) == 0);
	first_bytes = whole.count;
	CHECK(journal_append(journal, "{\"second\":2}", 12) == 0);
	journal_free(journal);
	buf_reset(&whole);
	CHECK(file_read(path, &whole, NULL) == 0);
	for (size_t cut = first_bytes; cut < whole.count; cut++) {
		CHECK(file_replace(path, whole.bytes, cut, 0600, NULL) == 0);
		journal = open_journal(&recalled);
		CHECK(recalled.count == 1 && journal_newest(journal) == 1);
		CHECK(journal_append(journal, "{\"again\":2}", 11) == 0);
		journal_free(journal);
		journal = open_journal(&recalled);
		CHECK(recalled.count == 2);
		journal_free(journal);
	}
	remove_directory();
}

TEST(damage_in_the_middle_is_refused_and_named)
{
	struct recalled recalled;
	struct journal *journal;
	char path[128];
	AUTO_BUF struct buf whole = BUF(65536);
	struct err err = { 0 };

	make_directory();
	segment_file(path, sizeof(path));
	journal = open_journal(&recalled);
	CHECK(journal_append(journal, "{\"first\":1}", 11) == 0 &&
	        journal_append(journal, "{\"second\":2}", 12) == 0);
	journal_free(journal);
	CHECK(file_read(path, &whole, NULL) == 0);
	whole.bytes[CHAIN_FRAME_HEAD_BYTES + CHAIN_LINK_HEAD_BYTES + 2] ^= 1;
	CHECK(file_replace(path, whole.bytes, whole.count, 0600, NULL) == 0);
	journal = NULL;
	CHECK(journal_open(directory, recall, &recalled, &journal, &err) == 1 && !journal);
	CHECK(strstr(err.text, path) != NULL);
	remove_directory();
}

TEST_MAIN()
