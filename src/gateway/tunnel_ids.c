#include "gateway/tunnel_ids.h"

#include <string.h>

#include "base/mem.h"

/* The place of `id`, or where it would have to stand. */
static size_t find(const struct tunnel_ids *ids, const char *id)
{
	size_t low = 0, high = ids->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(ids->items[middle].id.text, id) < 0) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low;
}

bool tunnel_ids_has(const struct tunnel_ids *ids, const char *id)
{
	size_t at = find(ids, id);

	return at < ids->count && strcmp(ids->items[at].id.text, id) == 0;
}

void tunnel_ids_add(struct tunnel_ids *ids, const char *id, int64_t not_after)
{
	size_t at = find(ids, id);

	if (at < ids->count && strcmp(ids->items[at].id.text, id) == 0) {
		if (ids->items[at].not_after < not_after) {
			ids->items[at].not_after = not_after;
		}
		return;
	}
	if (ids->count == ids->room) {
		ids->room = ids->room ? 2 * ids->room : 64;
		ids->items = mem_resize(ids->items, ids->room, sizeof(*ids->items));
	}
	memmove(ids->items + at + 1, ids->items + at, (ids->count - at) * sizeof(*ids->items));
	ids->items[at] = (struct tunnel_seen){ .not_after = not_after };
	assert_always(text_copy(ids->items[at].id.text, sizeof(ids->items[at].id.text), id) == 0);
	ids->count++;
}

void tunnel_ids_prune(struct tunnel_ids *ids, int64_t issued_floor)
{
	size_t kept = 0;

	for (size_t i = 0; i < ids->count; i++) {
		if (ids->items[i].not_after > issued_floor) {
			ids->items[kept] = ids->items[i];
			kept++;
		}
	}
	ids->count = kept;
}

void tunnel_ids_clear(struct tunnel_ids *ids)
{
	free(ids->items);
	*ids = (struct tunnel_ids){ 0 };
}
