#include "audit/chain.h"

#include <inttypes.h>
#include <string.h>

static const uint8_t frame_start[4] = { 0xff, 'S', 'J', '1' };
#define FRAME_CHECK_BYTES 8

int chain_append(struct chain *chain, const void *record, size_t count, struct buf *out)
{
	size_t start = out->count;

	if (count == 0 || count > JOURNAL_RECORD_BYTES_MAX) {
		return 1;
	}
	buf_add_u64(out, chain->count + 1);
	buf_add(out, chain->head.bytes, HASH_BYTES);
	buf_add(out, record, count);
	assert_always(!out->overflowed);
	chain->head = hash_of(out->bytes + start, out->count - start);
	chain->count++;
	return 0;
}

int chain_link_parse(const void *bytes, size_t count, struct chain_link *ret_link)
{
	struct cursor cursor = CURSOR(bytes, count);

	if (count <= CHAIN_LINK_HEAD_BYTES || count > CHAIN_LINK_BYTES_MAX) {
		return 1;
	}
	ret_link->seq = cursor_u64(&cursor);
	memcpy(ret_link->before.bytes, cursor_take(&cursor, HASH_BYTES), HASH_BYTES);
	ret_link->record_bytes = cursor_left(&cursor);
	ret_link->record = cursor_take(&cursor, ret_link->record_bytes);
	return 0;
}

int chain_accept(struct chain *chain, const void *link, size_t count, struct chain_link *ret_link,
        struct err *err)
{
	if (chain_link_parse(link, count, ret_link) != 0) {
		return err_set(err, CHAIN_MALFORMED,
		        "a journal link has %zu bytes; it must have %d to %d", count,
		        CHAIN_LINK_HEAD_BYTES + 1, CHAIN_LINK_BYTES_MAX);
	}
	if (ret_link->seq <= chain->count) {
		return err_set(err, CHAIN_AGAIN,
		        "journal link %" PRIu64 " was here before; the next one is %" PRIu64,
		        ret_link->seq, chain->count + 1);
	}
	if (ret_link->seq != chain->count + 1) {
		return err_set(err, CHAIN_GAP,
		        "journal links %" PRIu64 " to %" PRIu64 " are missing", chain->count + 1,
		        ret_link->seq - 1);
	}
	if (!hash_equal(&ret_link->before, &chain->head)) {
		return err_set(err, CHAIN_FORK,
		        "journal link %" PRIu64 " does not follow from link %" PRIu64
		        ": the journal was altered or has two histories",
		        ret_link->seq, chain->count);
	}
	chain->head = hash_of(link, count);
	chain->count++;
	return 0;
}

static struct hash frame_hash(const uint8_t *length, const uint8_t *link, size_t count)
{
	uint8_t bytes[4 + CHAIN_LINK_BYTES_MAX];

	memcpy(bytes, length, 4);
	memcpy(bytes + 4, link, count);
	return hash_of(bytes, 4 + count);
}

void chain_frame(const void *link, size_t count, struct buf *out)
{
	uint8_t length[4] = { 0, 0, (uint8_t)(count >> 8), (uint8_t)count };
	struct hash check;

	assert_always(count > CHAIN_LINK_HEAD_BYTES && count <= CHAIN_LINK_BYTES_MAX);
	check = frame_hash(length, link, count);
	buf_add(out, frame_start, sizeof(frame_start));
	buf_add(out, length, sizeof(length));
	buf_add(out, check.bytes, FRAME_CHECK_BYTES);
	buf_add(out, link, count);
}

/* A whole frame at the offset: its link, and its bytes with head. 0 bytes: there is none. */
static size_t frame_at(const struct chain_reader *reader, size_t at, struct chain_link *ret_link)
{
	struct cursor cursor = CURSOR(reader->bytes + at, reader->count - at);
	const uint8_t *start = cursor_take(&cursor, sizeof(frame_start));
	const uint8_t *length, *check, *link;
	struct hash hash;
	size_t count;

	if (!start || memcmp(start, frame_start, sizeof(frame_start)) != 0) {
		return 0;
	}
	length = start + sizeof(frame_start);
	count = cursor_u32(&cursor);
	check = cursor_take(&cursor, FRAME_CHECK_BYTES);
	if (count > CHAIN_LINK_BYTES_MAX) {
		return 0;
	}
	link = cursor_take(&cursor, count);
	if (cursor.broken || chain_link_parse(link, count, ret_link) != 0) {
		return 0;
	}
	hash = frame_hash(length, link, count);
	return memcmp(hash.bytes, check, FRAME_CHECK_BYTES) == 0 ? CHAIN_FRAME_HEAD_BYTES + count
	                                                         : 0;
}

/* The next offset behind `at` where a whole frame starts, or 0. */
static size_t find_frame(const struct chain_reader *reader, size_t at, struct chain_link *ret_link)
{
	while (++at < reader->count) {
		const uint8_t *found =
		        memchr(reader->bytes + at, frame_start[0], reader->count - at);

		if (!found) {
			return 0;
		}
		at = (size_t)(found - reader->bytes);
		if (frame_at(reader, at, ret_link) > 0) {
			return at;
		}
	}
	return 0;
}

/* No whole frame at `at`: is it the torn end, or damage with more behind it? */
static int read_damage(struct chain_reader *reader, struct err *err)
{
	struct chain_link next;
	size_t end = find_frame(reader, reader->at, &next);

	reader->damage_start = reader->at;
	reader->damage_first_seq = reader->chain.count + 1;
	if (end == 0 && reader->chain.count >= reader->durable_count) {
		return err_set(err, CHAIN_TORN,
		        "the last %zu bytes, from offset %zu on, were not written whole",
		        reader->count - reader->at, reader->at);
	}
	if (end == 0) {
		reader->damage_end = reader->count;
		reader->damage_last_seq = reader->durable_count;
		reader->at = reader->count;
		return err_set(err, CHAIN_DAMAGED,
		        "bytes %zu to %zu are damaged: links %" PRIu64 " to %" PRIu64
		        " were durable and are lost",
		        reader->damage_start, reader->damage_end, reader->damage_first_seq,
		        reader->damage_last_seq);
	}
	reader->damage_end = end;
	reader->damage_last_seq =
	        next.seq > reader->chain.count ? next.seq - 1 : reader->chain.count;
	reader->at = end;
	if (next.seq > reader->chain.count + 1) {
		/* What the next link says of the one before is all that is left of it. */
		reader->chain = (struct chain){ .count = next.seq - 1, .head = next.before };
	}
	return err_set(err, CHAIN_DAMAGED,
	        "bytes %zu to %zu are damaged: links %" PRIu64 " to %" PRIu64 " are lost",
	        reader->damage_start, reader->damage_end, reader->damage_first_seq,
	        reader->damage_last_seq);
}

static int read_end(struct chain_reader *reader, struct err *err)
{
	if (reader->chain.count >= reader->durable_count) {
		return CHAIN_END;
	}
	reader->damage_start = reader->damage_end = reader->count;
	reader->damage_first_seq = reader->chain.count + 1;
	reader->damage_last_seq = reader->durable_count;
	reader->durable_count = 0; /* said once */
	return err_set(err, CHAIN_DAMAGED,
	        "the journal ends with link %" PRIu64 ", but links up to %" PRIu64 " were durable",
	        reader->chain.count, reader->damage_last_seq);
}

int chain_read(struct chain_reader *reader, struct chain_link *ret_link, struct err *err)
{
	struct chain before = reader->chain;
	size_t frame_bytes, start = reader->at;
	const uint8_t *link;

	if (reader->at == reader->count) {
		return read_end(reader, err);
	}
	frame_bytes = frame_at(reader, reader->at, ret_link);
	if (frame_bytes == 0) {
		int r = read_damage(reader, err);

		if (r == CHAIN_DAMAGED && reader->at == reader->count) {
			reader->durable_count = 0;
		}
		return r;
	}
	link = reader->bytes + start + CHAIN_FRAME_HEAD_BYTES;
	reader->at += frame_bytes;
	reader->chain.count = ret_link->seq;
	reader->chain.head = hash_of(link, frame_bytes - CHAIN_FRAME_HEAD_BYTES);
	if (ret_link->seq == before.count + 1 && hash_equal(&ret_link->before, &before.head)) {
		return 0;
	}
	reader->damage_start = start;
	reader->damage_end = reader->at;
	reader->damage_first_seq = before.count;
	reader->damage_last_seq = ret_link->seq;
	return err_set(err, CHAIN_BROKEN,
	        "link %" PRIu64 " at offset %zu does not follow from link %" PRIu64
	        ": one of them was altered, removed or put in",
	        ret_link->seq, start, before.count);
}
