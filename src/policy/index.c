#include "policy/index.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

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

static uint64_t hash_name(const char *name)
{
	uint64_t hash = 0xcbf29ce484222325ULL; /* FNV-1a */

	for (; *name; name++) {
		hash = (hash ^ (unsigned char)*name) * 0x100000001b3ULL;
	}
	return mix(hash);
}

static uint32_t name_slot(const struct name_index *index, const char *name)
{
	uint32_t mask = index->slot_count - 1;
	uint32_t at = (uint32_t)hash_name(name) & mask;

	while (index->slots[at] != 0 &&
	        strcmp(name_index_text(index, index->slots[at] - 1), name) != 0) {
		at = (at + 1) & mask;
	}
	return at;
}

static void grow_names(struct name_index *index)
{
	uint32_t slot_count = index->slot_count > 0 ? 2 * index->slot_count : SLOTS_MIN;

	free(index->slots);
	index->slots = mem_new(slot_count, sizeof(*index->slots));
	index->slot_count = slot_count;
	for (uint32_t i = 0; i < index->count; i++) {
		index->slots[name_slot(index, name_index_text(index, i))] = i + 1;
	}
}

uint32_t name_index_add(struct name_index *index, const char *name)
{
	size_t bytes = strlen(name) + 1;
	uint32_t slot;

	if (2 * (index->count + 1) > index->slot_count) {
		grow_names(index);
	}
	slot = name_slot(index, name);
	if (index->slots[slot] != 0) {
		return index->slots[slot] - 1;
	}
	if (index->pool_count + bytes > index->pool_room) {
		index->pool_room = 2 * (index->pool_count + bytes);
		index->pool = mem_resize(index->pool, index->pool_room, 1);
	}
	if (index->count == index->room) {
		index->room = index->room > 0 ? 2 * index->room : SLOTS_MIN;
		index->offsets = mem_resize(index->offsets, index->room, sizeof(*index->offsets));
	}
	assert_always(index->pool_count <= UINT32_MAX);
	memcpy(index->pool + index->pool_count, name, bytes);
	index->offsets[index->count] = (uint32_t)index->pool_count;
	index->pool_count += bytes;
	index->slots[slot] = ++index->count;
	return index->count - 1;
}

uint32_t name_index_find(const struct name_index *index, const char *name)
{
	uint32_t entry;

	if (index->count == 0) {
		return INDEX_NONE;
	}
	entry = index->slots[name_slot(index, name)];
	return entry == 0 ? INDEX_NONE : entry - 1;
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
