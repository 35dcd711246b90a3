#include "policy/index.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

#define SLOTS_MIN 16

void *index_grow(void *array, size_t count, size_t *room, size_t object_bytes)
{
	if (count < *room) {
		return array;
	}
	*room = *room > 0 ? 2 * *room : SLOTS_MIN;
	return mem_resize(array, *room, object_bytes);
}

/* The finalizer of splitmix64: every bit of the key moves every bit of the slot. */
static uint64_t mix(uint64_t value)
{
	value ^= value >> 30;
	value *= 0xbf58476d1ce4e5b9ULL;
	value ^= value >> 27;
	value *= 0x94d049bb133111ebULL;
	return value ^ value >> 31;
}

/* The slot where a name is, or where it would be. */
static struct name_slot *name_slot(const struct name_index *index, const struct name_key *key)
{
	uint32_t mask = index->slot_count - 1, at = (uint32_t)key->hash & mask;

	while (index->slots[at].offset != 0 &&
	        (index->slots[at].hash != key->hash ||
	                strcmp(index->pool + index->slots[at].offset, key->name) != 0)) {
		at = (at + 1) & mask;
	}
	return &index->slots[at];
}

static void grow_names(struct name_index *index)
{
	struct name_slot *old = index->slots;
	uint32_t old_count = index->slot_count;

	index->slot_count = old_count > 0 ? 2 * old_count : SLOTS_MIN;
	index->slots = mem_new_table(index->slot_count, sizeof(*index->slots));
	for (uint32_t i = 0; i < old_count; i++) {
		uint32_t at = (uint32_t)old[i].hash & (index->slot_count - 1);

		while (old[i].offset != 0 && index->slots[at].offset != 0) {
			at = (at + 1) & (index->slot_count - 1);
		}
		if (old[i].offset != 0) {
			index->slots[at] = old[i];
		}
	}
	free(old);
}

/* The offset of a new name. */
static uint32_t add_text(struct name_index *index, const struct name_key *key)
{
	size_t bytes = key->bytes + 1, at = index->pool_count > 0 ? index->pool_count : 1;

	if (at + bytes > index->pool_room) {
		index->pool_room = 2 * (at + bytes);
		index->pool = mem_resize(index->pool, index->pool_room, 1);
		index->pool[0] = '\0';
	}
	assert_always(at + bytes <= UINT32_MAX);
	memcpy(index->pool + at, key->name, bytes);
	index->pool_count = at + bytes;
	return (uint32_t)at;
}

uint32_t name_index_add(struct name_index *index, const char *name)
{
	struct name_key key = name_key(name);
	struct name_slot *slot;

	if (2 * (index->count + 1) > index->slot_count) {
		grow_names(index);
	}
	slot = name_slot(index, &key);
	if (slot->offset != 0) {
		return slot->number;
	}
	if (index->count == index->room) {
		index->room = index->room > 0 ? 2 * index->room : SLOTS_MIN;
		index->offsets = mem_resize(index->offsets, index->room, sizeof(*index->offsets));
	}
	*slot = (struct name_slot){ key.hash, add_text(index, &key), index->count };
	index->offsets[index->count] = slot->offset;
	return index->count++;
}

uint32_t name_index_find(const struct name_index *index, const char *name)
{
	struct name_key key = name_key(name);

	return name_index_find_key(index, &key);
}

struct name_key name_key(const char *name)
{
	size_t bytes = strlen(name);

	return (struct name_key){ name, (uint32_t)bytes, text_hash(name, bytes, 0) };
}

void name_index_want_slot(const struct name_index *index, const struct name_key *key)
{
	if (index->slot_count > 0) {
		__builtin_prefetch(&index->slots[(uint32_t)key->hash & (index->slot_count - 1)]);
	}
}

uint32_t name_index_want_text(const struct name_index *index, const struct name_key *key)
{
	const struct name_slot *slot;
	uint32_t mask = index->slot_count - 1, at = (uint32_t)key->hash & mask;

	if (index->slot_count == 0) {
		return INDEX_NONE;
	}
	while (index->slots[at].offset != 0 && index->slots[at].hash != key->hash) {
		at = (at + 1) & mask;
	}
	slot = &index->slots[at];
	if (slot->offset == 0) {
		return INDEX_NONE;
	}
	__builtin_prefetch(index->pool + slot->offset);
	__builtin_prefetch(index->pool + slot->offset + key->bytes);
	return slot->number;
}

uint32_t name_index_find_key(const struct name_index *index, const struct name_key *key)
{
	const struct name_slot *slot;

	if (index->slot_count == 0) {
		return INDEX_NONE;
	}
	slot = name_slot(index, key);
	return slot->offset == 0 ? INDEX_NONE : slot->number;
}

void name_index_fit(struct name_index *index)
{
	if (index->count > 0) {
		index->pool = mem_resize(index->pool, index->pool_count, 1);
		index->offsets = mem_resize(index->offsets, index->count, sizeof(*index->offsets));
		index->pool_room = index->pool_count;
		index->room = index->count;
	}
}

const char *name_index_text(const struct name_index *index, uint32_t number)
{
	return index->pool + index->offsets[number];
}

void name_index_clear(struct name_index *index)
{
	free(index->pool);
	free(index->offsets);
	free(index->slots);
	*index = (struct name_index){ 0 };
}

static size_t pair_slot(const struct pair_index *index, uint64_t key)
{
	size_t mask = index->slot_count - 1;
	size_t at = (size_t)mix(key) & mask;

	while (index->slots[at].key != 0 && index->slots[at].key != key + 1) {
		at = (at + 1) & mask;
	}
	return at;
}

static void grow_pairs(struct pair_index *index)
{
	struct pair_slot *old = index->slots;
	size_t old_count = index->slot_count;

	index->slot_count = old_count > 0 ? 2 * old_count : SLOTS_MIN;
	index->slots = mem_new(index->slot_count, sizeof(*index->slots));
	for (size_t i = 0; i < old_count; i++) {
		if (old[i].key != 0) {
			index->slots[pair_slot(index, old[i].key - 1)] = old[i];
		}
	}
	free(old);
}

uint32_t *pair_index_add(struct pair_index *index, uint64_t key)
{
	size_t slot;

	if (2 * (index->count + 1) > index->slot_count) {
		grow_pairs(index);
	}
	slot = pair_slot(index, key);
	if (index->slots[slot].key == 0) {
		index->slots[slot] = (struct pair_slot){ key + 1, INDEX_NONE };
		index->count++;
	}
	return &index->slots[slot].value;
}

uint32_t pair_index_find(const struct pair_index *index, uint64_t key)
{
	size_t slot;

	if (index->count == 0) {
		return INDEX_NONE;
	}
	slot = pair_slot(index, key);
	return index->slots[slot].key == 0 ? INDEX_NONE : index->slots[slot].value;
}

void pair_index_clear(struct pair_index *index)
{
	free(index->slots);
	*index = (struct pair_index){ 0 };
}
