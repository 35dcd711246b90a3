#include "audit/tile.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

struct tile_path tile_path(const struct tile *tile)
{
	struct tile_path path;
	uint64_t groups[7], index = tile->index;
	int group = 0, count;

	do {
		groups[group++] = index % 1000;
		index /= 1000;
	} while (index > 0);
	if (tile->entries) {
		count = snprintf(path.text, sizeof(path.text), "tile/entries");
	} else {
		count = snprintf(path.text, sizeof(path.text), "tile/%u", tile->level);
	}
	while (--group >= 0) {
		count += snprintf(path.text + count, sizeof(path.text) - (size_t)count,
		        group > 0 ? "/x%03" PRIu64 : "/%03" PRIu64, groups[group]);
	}
	if (tile->width < TILE_WIDTH) {
		count += snprintf(
		        path.text + count, sizeof(path.text) - (size_t)count, ".p/%u", tile->width);
	}
	assert_always((size_t)count < sizeof(path.text));
	return path;
}

/* "xNNN/" groups and the last "NNN". Returns where it ends, or NULL. */
static const char *parse_index(const char *text, uint64_t *ret_index)
{
	uint64_t index = 0;

	for (int group = 0; group < 7; group++) {
		bool more = *text == 'x';

		text += more;
		if (!isdigit((unsigned char)text[0]) || !isdigit((unsigned char)text[1]) ||
		        !isdigit((unsigned char)text[2])) {
			return NULL;
		}
		if (__builtin_mul_overflow(index, 1000, &index) ||
		        __builtin_add_overflow(index,
		                (uint64_t)((text[0] - '0') * 100 + (text[1] - '0') * 10 + text[2] -
		                           '0'),
		                &index)) {
			return NULL;
		}
		text += 3;
		if (!more) {
			*ret_index = index;
			return text;
		}
		if (*text++ != '/') {
			return NULL;
		}
	}
	return NULL;
}

int tile_parse(const char *path, struct tile *ret_tile)
{
	struct tile tile = { .width = TILE_WIDTH };
	const char *whole = path;
	uint64_t width;

	if (!text_starts(path, "tile/")) {
		return 1;
	}
	path += strlen("tile/");
	if (text_starts(path, "entries/")) {
		tile.entries = true;
		path += strlen("entries/");
	} else {
		if (path[0] < '0' || path[0] >= '0' + TILE_LEVELS || path[1] != '/') {
			return 1;
		}
		tile.level = (unsigned)(path[0] - '0');
		path += 2;
	}
	path = parse_index(path, &tile.index);
	if (!path || tile.index > INT64_MAX / TILE_WIDTH) {
		return 1;
	}
	if (text_starts(path, ".p/")) {
		if (unsigned_parse(path + 3, TILE_WIDTH - 1, &width) != 0 || width == 0) {
			return 1;
		}
		tile.width = (unsigned)width;
	} else if (*path != '\0') {
		return 1;
	}
	/* One name for each tile: leading groups of zeros are another spelling of the same index.
	 */
	if (strcmp(tile_path(&tile).text, whole) != 0) {
		return 1;
	}
	*ret_tile = tile;
	return 0;
}

uint64_t tile_hashes(uint64_t size, unsigned level)
{
	return level * TILE_HEIGHT >= 64 ? 0 : size >> (level * TILE_HEIGHT);
}

unsigned tile_width(uint64_t size, unsigned level, uint64_t index)
{
	uint64_t hashes = tile_hashes(size, level);

	if (index > UINT64_MAX / TILE_WIDTH || index * TILE_WIDTH >= hashes) {
		return 0;
	}
	hashes -= index * TILE_WIDTH;
	return hashes < TILE_WIDTH ? (unsigned)hashes : TILE_WIDTH;
}

int tile_build(
        const struct merkle_store *store, const struct tile *tile, struct buf *out, struct err *err)
{
	for (unsigned i = 0; i < tile->width; i++) {
		struct hash hash;
		int r = store->get(store->context, tile->level * TILE_HEIGHT,
		        tile->index * TILE_WIDTH + i, &hash, err);

		if (r < 0) {
			return FAULT(r);
		}
		buf_add(out, hash.bytes, HASH_BYTES);
	}
	return 0;
}

int bundle_add(struct buf *out, const void *entry, size_t count)
{
	if (count == 0 || count > LEDGER_RECORD_BYTES_MAX) {
		return 1;
	}
	buf_add_u16(out, (uint16_t)count);
	buf_add(out, entry, count);
	return 0;
}

int bundle_next(struct cursor *bundle, const uint8_t **ret_entry, size_t *ret_count)
{
	size_t count;

	if (cursor_left(bundle) == 0) {
		return 1;
	}
	count = cursor_u16(bundle);
	*ret_entry = cursor_take(bundle, count);
	*ret_count = count;
	return *ret_entry && count > 0 ? 0 : 2;
}
