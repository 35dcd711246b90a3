/*
 * The compiled form's two tables: names to dense numbers, and exact 64-bit keys to numbers. Flat
 * arrays, open addressing, at most half full; a look-up allocates nothing and touches one cache
 * line for a name that is not there, two for one that is: a slot has the whole hash of its name, so
 * that nearly always only the name itself is read, which is compared whole.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* "Not there", and the value of a new key. */
#define INDEX_NONE UINT32_MAX

/* Makes room for one more object in a growing array of `count`; returns where it is now. */
void *index_grow(void *array, size_t count, size_t *room, size_t object_bytes);

struct name_slot {
	uint64_t hash;
	uint32_t offset; /* of the name in the pool; 0 is free */
	uint32_t number;
};

struct name_index {
	struct name_slot *slots;
	char *pool; /* the names with their zeros, behind one more zero */
	uint32_t slot_count;
	uint32_t count, room;
	uint32_t *offsets; /* into the pool, by number */
	size_t pool_count, pool_room;
};

/* A name that is looked for, with its hash, so that it can be looked for in several indexes. */
struct name_key {
	const char *name; /* borrowed */
	uint32_t bytes;
	uint64_t hash;
};

struct name_key name_key(const char *name);
/* A look-up in three steps, for who has others to do meanwhile: each asks for the memory that the
 * next one reads. The second one says which number it will most likely be, only for asking ahead
 * for what stands behind it: the name was not compared. */
void name_index_want_slot(const struct name_index *index, const struct name_key *key);
uint32_t name_index_want_text(const struct name_index *index, const struct name_key *key);
uint32_t name_index_find_key(const struct name_index *index, const struct name_key *key);

/* The number of a name, which is added when it is new. Numbers count from 0. */
uint32_t name_index_add(struct name_index *index, const char *name);
/* INDEX_NONE when it is not there. */
uint32_t name_index_find(const struct name_index *index, const char *name);
/* Borrowed until the next name_index_add(). */
const char *name_index_text(const struct name_index *index, uint32_t number);
void name_index_clear(struct name_index *index);
/* Gives back the room that was kept for more names. */
void name_index_fit(struct name_index *index);

struct pair_slot {
	uint64_t key; /* key + 1, 0 is free */
	uint32_t value;
};

struct pair_index {
	struct pair_slot *slots;
	size_t slot_count, count;
};

/* The place of a key's value, which is added as INDEX_NONE when it is new. Borrowed until the next
 * call. The key is below 2^64 - 1. */
uint32_t *pair_index_add(struct pair_index *index, uint64_t key);
uint32_t pair_index_find(const struct pair_index *index, uint64_t key);
void pair_index_clear(struct pair_index *index);
