#include "gateway/journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/str.h"

#define NAME_DIGITS 20
#define RESERVE_NAME "reserve"
#define ACKNOWLEDGED_NAME "acknowledged"
#define KEEP_USEC (2 * (GRANT_SEC_MAX + 1LL * CLOCK_SKEW_SEC_MAX) * USEC_PER_SEC)
#define ACKNOWLEDGE_SAVE_STEP 64 /* how far the saved number may lag: the center tells again */

struct segment {
	uint64_t first, last;
	int64_t newest_usec; /* when the newest record was written */
};

struct journal {
	char *directory;
	struct segment *segments; /* oldest first; the last one is written to */
	size_t segment_count, segment_room;
	int fd;
	size_t file_bytes;
	struct chain chain;
	uint64_t acknowledged, saved;
	bool has_reserve;
};

static char *segment_path(const struct journal *journal, uint64_t first)
{
	return mem_format("%s/%020llu", journal->directory, (unsigned long long)first);
}

static int sync_directory(const struct journal *journal)
{
	AUTO_FD int fd = open(journal->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

/* Makes the file that becomes the next segment, with its room on disk. */
static void make_reserve(struct journal *journal)
{
	AUTO_STRING char *path = mem_format("%s/%s", journal->directory, RESERVE_NAME);
	AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	journal->has_reserve =
	        fd >= 0 && fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, JOURNAL_SEGMENT_BYTES) == 0 &&
	        fsync(fd) == 0 && disk_free_bytes(journal->directory) >= DISK_FREE_BYTES_MIN;
}

static struct segment *add_segment(struct journal *journal, uint64_t first)
{
	if (journal->segment_count == journal->segment_room) {
		journal->segment_room = journal->segment_room ? 2 * journal->segment_room : 8;
		journal->segments = mem_resize(
		        journal->segments, journal->segment_room, sizeof(struct segment));
	}
	journal->segments[journal->segment_count] =
	        (struct segment){ .first = first, .last = first - 1 };
	return &journal->segments[journal->segment_count++];
}

static int start_segment(struct journal *journal)
{
	AUTO_STRING char *reserve = mem_format("%s/%s", journal->directory, RESERVE_NAME);
	AUTO_STRING char *path = segment_path(journal, journal->chain.count + 1);
	int r;

	/* What the reserve still holds is a file name; its room makes this work on a full disk. */
	if (rename(reserve, path) < 0 && errno != ENOENT) {
		return FAULT(-errno);
	}
	if (journal->fd >= 0) {
		r = journal_sync(journal);
		close(journal->fd);
		journal->fd = -1;
		if (r < 0) {
			return FAULT(r);
		}
	}
	journal->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (journal->fd < 0) {
		return FAULT(-errno);
	}
	r = sync_directory(journal);
	if (r < 0) {
		return FAULT(r);
	}
	journal->file_bytes = 0;
	add_segment(journal, journal->chain.count + 1);
	make_reserve(journal);
	return 0;
}

static int load_file(
        const struct journal *journal, uint64_t first, struct buf *out, struct err *err)
{
	AUTO_STRING char *path = segment_path(journal, first);

	return file_read(path, out, err);
}

/* The last record of this segment that must be there: what was acknowledged may be in a later one.
 */
static uint64_t durable_in(const struct journal *journal, const struct segment *segment)
{
	size_t next = (size_t)(segment - journal->segments) + 1;

	if (next < journal->segment_count &&
	        journal->segments[next].first <= journal->acknowledged) {
		return journal->segments[next].first - 1;
	}
	return journal->acknowledged;
}

/* A reader that starts at a segment. `before` is where the chain stands in front of it; for the
 * oldest file that is left that is in its own first link. */
static struct chain_reader start_reader(const struct journal *journal,
        const struct segment *segment, const struct buf *file, const struct chain *before)
{
	struct chain_reader reader = { .bytes = file->bytes,
		.count = file->count,
		.durable_count = durable_in(journal, segment) };
	struct cursor frame = CURSOR(file->bytes, file->count);
	const uint8_t *bytes;
	size_t count;
	struct chain_link link;

	if (before) {
		reader.chain = *before;
		return reader;
	}
	cursor_u32(&frame); /* mark */
	count = cursor_u32(&frame);
	cursor_u64(&frame); /* check sum: the reader's business */
	bytes = cursor_take(&frame, count);
	if (segment->first > 1 && bytes && chain_link_parse(bytes, count, &link) == 0) {
		reader.chain = (struct chain){ .count = segment->first - 1, .head = link.before };
	}
	return reader;
}

static const uint8_t *link_start(const struct chain_link *link)
{
	return link->record - CHAIN_LINK_HEAD_BYTES;
}

/* Reads one segment, hands every record on and cuts off a torn tail of the newest one. */
static int recall_segment(struct journal *journal, size_t index, const struct chain *before,
        journal_each *recall, void *context, struct err *err)
{
	AUTO_BUF struct buf file = BUF(4 * JOURNAL_SEGMENT_BYTES);
	struct segment *segment = &journal->segments[index];
	AUTO_STRING char *path = segment_path(journal, segment->first);
	bool newest = index + 1 == journal->segment_count;
	struct chain_reader reader;
	struct chain_link link;
	struct stat status;
	int r;

	r = load_file(journal, segment->first, &file, err);
	if (r < 0) {
		return r;
	}
	reader = start_reader(journal, segment, &file, before);
	while ((r = chain_read(&reader, &link, err)) == 0) {
		r = recall(context, &link, link_start(&link),
		        CHAIN_LINK_HEAD_BYTES + link.record_bytes);
		if (r != 0) {
			return r;
		}
	}
	if (r < 0) {
		return FAULT(r);
	}
	if (r == CHAIN_DAMAGED || r == CHAIN_BROKEN || (r == CHAIN_TORN && !newest)) {
		return err_wrap(err, 1,
		        "%s: records are damaged or lost. Nothing is opened with a journal that "
		        "cannot be "
		        "trusted: keep a copy of %s as evidence, then move it away and start again",
		        path, journal->directory);
	}
	if (r == CHAIN_TORN && truncate(path, (off_t)reader.at) < 0) {
		return FAULT(-errno);
	}
	segment->last = reader.chain.count;
	segment->newest_usec = stat(path, &status) == 0 ? status.st_mtim.tv_sec * USEC_PER_SEC : 0;
	journal->chain = reader.chain;
	journal->file_bytes = reader.at;
	return 0;
}

static int compare_segments(const void *left, const void *right)
{
	const struct segment *a = left, *b = right;

	return a->first < b->first ? -1 : a->first > b->first;
}

static int find_segments(struct journal *journal, struct err *err)
{
	DIR *directory = opendir(journal->directory);
	const struct dirent *entry;

	if (!directory) {
		return err_set(err, -errno, "cannot read the directory %s: %s", journal->directory,
		        strerror(errno));
	}
	while ((entry = readdir(directory))) {
		unsigned long long first;

		if (strlen(entry->d_name) == NAME_DIGITS &&
		        sscanf(entry->d_name, "%20llu", &first) == 1 && first > 0) {
			add_segment(journal, first);
		}
	}
	closedir(directory);
	if (journal->segment_count > 1) {
		qsort(journal->segments, journal->segment_count, sizeof(struct segment),
		        compare_segments);
	}
	return 0;
}

static void read_acknowledged(struct journal *journal)
{
	AUTO_STRING char *path = mem_format("%s/%s", journal->directory, ACKNOWLEDGED_NAME);
	AUTO_BUF struct buf text = BUF(64);

	if (file_read(path, &text, NULL) == 0) {
		if (unsigned_parse(buf_text(&text), UINT64_MAX, &journal->saved) != 0) {
			journal->saved = 0; /* The center says it again. */
		}
	}
	journal->acknowledged = journal->saved;
}

int journal_open(const char *directory, journal_each *recall, void *context,
        struct journal **ret_journal, struct err *err)
{
	AUTO(journal) struct journal *journal = mem_new(1, sizeof(*journal));
	int r;

	journal->fd = -1;
	journal->directory = mem_string(directory);
	r = directory_make(directory, 0700, err);
	if (r < 0 || (r = find_segments(journal, err)) < 0) {
		return r;
	}
	read_acknowledged(journal);
	for (size_t i = 0; i < journal->segment_count; i++) {
		struct chain before = journal->chain;

		if (i > 0 && journal->segments[i].first != before.count + 1) {
			return err_set(err, 1, "%s: records %llu to %llu are missing", directory,
			        (unsigned long long)before.count + 1,
			        (unsigned long long)journal->segments[i].first - 1);
		}
		r = recall_segment(journal, i, i > 0 ? &before : NULL, recall, context, err);
		if (r != 0) {
			return r;
		}
	}
	if (journal->segment_count > 0) {
		AUTO_STRING char *path =
		        segment_path(journal, journal->segments[journal->segment_count - 1].first);

		journal->fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
		if (journal->fd < 0) {
			return FAULT(-errno);
		}
	}
	make_reserve(journal);
	*ret_journal = TAKE(journal);
	return 0;
}

struct journal *journal_free(struct journal *journal)
{
	if (journal) {
		if (journal->fd >= 0) {
			close(journal->fd);
		}
		free(journal->segments);
		free(journal->directory);
		free(journal);
	}
	return NULL;
}

int journal_write(struct journal *journal, const void *record, size_t count)
{
	AUTO_BUF struct buf link = BUF(CHAIN_LINK_BYTES_MAX);
	AUTO_BUF struct buf frame = BUF(CHAIN_LINK_BYTES_MAX + CHAIN_FRAME_HEAD_BYTES);
	struct chain next = journal->chain;
	struct segment *segment;
	int r;

	r = chain_append(&next, record, count, &link);
	if (r != 0) {
		return r;
	}
	chain_frame(link.bytes, link.count, &frame);
	if (journal->fd < 0 || journal->file_bytes + frame.count > JOURNAL_SEGMENT_BYTES) {
		r = start_segment(journal);
		if (r < 0) {
			return FAULT(r);
		}
	}
	/* One write: a frame that is not whole is cut off at the next start. */
	if (write(journal->fd, frame.bytes, frame.count) != (ssize_t)frame.count) {
		return FAULT(errno ? -errno : -EIO);
	}
	segment = &journal->segments[journal->segment_count - 1];
	segment->last = next.count;
	segment->newest_usec = clock_wall_usec();
	journal->chain = next;
	journal->file_bytes += frame.count;
	return 0;
}

/* After a failed sync the page may be dropped and a later sync lie (F06): the caller ends. */
int journal_sync(struct journal *journal)
{
	return journal->fd >= 0 && fdatasync(journal->fd) < 0 ? FAULT(-errno) : 0;
}

int journal_append(struct journal *journal, const void *record, size_t count)
{
	int r = journal_write(journal, record, count);

	return r == 0 ? journal_sync(journal) : r;
}

uint64_t journal_newest(const struct journal *journal)
{
	return journal->chain.count;
}

uint64_t journal_oldest(const struct journal *journal)
{
	return journal->segment_count > 0 ? journal->segments[0].first : journal->chain.count + 1;
}

uint64_t journal_acknowledged(const struct journal *journal)
{
	return journal->acknowledged;
}

bool journal_full(const struct journal *journal)
{
	return !journal->has_reserve ||
	       journal->segment_count >= JOURNAL_BYTES_MAX / JOURNAL_SEGMENT_BYTES ||
	       disk_free_bytes(journal->directory) < DISK_FREE_BYTES_MIN;
}

int journal_reserve(struct journal *journal)
{
	if (!journal->has_reserve) {
		make_reserve(journal);
	}
	return journal_full(journal) ? 1 : 0;
}

int journal_read(
        struct journal *journal, uint64_t from, size_t count_max, journal_each *each, void *context)
{
	for (size_t i = 0; i < journal->segment_count && count_max > 0; i++) {
		AUTO_BUF struct buf file = BUF(4 * JOURNAL_SEGMENT_BYTES);
		struct chain_reader reader;
		struct chain_link link;
		int r;

		if (journal->segments[i].last < from) {
			continue;
		}
		r = load_file(journal, journal->segments[i].first, &file, NULL);
		if (r < 0) {
			return FAULT(r);
		}
		reader = start_reader(journal, &journal->segments[i], &file, NULL);
		while (count_max > 0 && chain_read(&reader, &link, NULL) == 0) {
			if (link.seq < from) {
				continue;
			}
			r = each(context, &link, link_start(&link),
			        CHAIN_LINK_HEAD_BYTES + link.record_bytes);
			if (r != 0) {
				return r;
			}
			count_max--;
		}
	}
	return 0;
}

void journal_acknowledge(struct journal *journal, uint64_t seq, int64_t wall_usec)
{
	size_t gone = 0;

	if (seq <= journal->acknowledged || seq > journal->chain.count) {
		return;
	}
	journal->acknowledged = seq;
	while (gone + 1 < journal->segment_count && journal->segments[gone].last <= seq &&
	        journal->segments[gone].newest_usec + KEEP_USEC < wall_usec) {
		AUTO_STRING char *path = segment_path(journal, journal->segments[gone].first);

		unlink(path);
		gone++;
	}
	if (gone > 0) {
		journal->segment_count -= gone;
		memmove(journal->segments, journal->segments + gone,
		        journal->segment_count * sizeof(struct segment));
	}
	if (gone > 0 || seq - journal->saved >= ACKNOWLEDGE_SAVE_STEP) {
		AUTO_STRING char *path = mem_format("%s/%s", journal->directory, ACKNOWLEDGED_NAME);
		AUTO_STRING char *text = mem_format("%llu", (unsigned long long)seq);

		if (file_replace(path, text, strlen(text), 0600, NULL) == 0) {
			journal->saved = seq;
		}
	}
	if (!journal->has_reserve) {
		make_reserve(journal);
	}
}
