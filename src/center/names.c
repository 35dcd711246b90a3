/* Open addressing with linear probing; a removed place is refilled from its cluster, so there are
 * no tombstones. The seed is random: a peer that chooses names cannot choose collisions. */
#include "center/names.h"

#include <stdint.h>
#include <string.h>

#include "base/str.h"

struct place {
	char *name;
	void *value;
	uint64_t hash;
};

struct names {
	struct place *places; /* `room` of them, a power of two, at most 3/4 taken */
	size_t count, room;
	uint64_t seed;
};

static uint64_t hash_of_name(const struct names *names, const char *name)
{
	return text_hash(name, strlen(name), names->seed);
}

static void fetch_ahead(const void *memory, size_t bytes)
{
	__builtin_prefetch(memory);
	__builtin_prefetch((const char *)memory + bytes - 1);
}

struct names *names_new(void)
{
	struct names *names = mem_new(1, sizeof(*names));

	names->room = 16;
	names->places = mem_new_table(names->room, sizeof(struct place));
	random_fill(&names->seed, sizeof(names->seed));
	return names;
}

struct names *names_free(struct names *names)
{
	if (names) {
		for (size_t i = 0; i < names->room; i++) {
			free(names->places[i].name);
		}
		free(names->places);
		free(names);
	}
	return NULL;
}

/* The place of the name, or the empty one where it would go. */
static struct place *find(const struct names *names, const char *name, uint64_t hash)
{
	size_t at = hash & (names->room - 1);

	while (names->places[at].name &&
	        (names->places[at].hash != hash || strcmp(names->places[at].name, name) != 0)) {
		at = (at + 1) & (names->room - 1);
	}
	return &names->places[at];
}

void *names_get(const struct names *names, const char *name)
{
	return find(names, name, hash_of_name(names, name))->value;
}

void names_want(const struct names *names, const char *name)
{
	uint64_t hash = hash_of_name(names, name);

	fetch_ahead(&names->places[hash & (names->room - 1)], sizeof(struct place));
}

void names_get_both(const struct names *names, const char *const wanted[2], void *ret_values[2])
{
	uint64_t hashes[2];

	for (int i = 0; i < 2; i++) {
		hashes[i] = hash_of_name(names, wanted[i]);
		fetch_ahead(&names->places[hashes[i] & (names->room - 1)], sizeof(struct place));
	}
	for (int i = 0; i < 2; i++) {
		size_t at = hashes[i] & (names->room - 1);

		while (names->places[at].name && names->places[at].hash != hashes[i]) {
			at = (at + 1) & (names->room - 1);
		}
		if (names->places[at].name) {
			fetch_ahead(names->places[at].name, strlen(wanted[i]) + 1);
			__builtin_prefetch(names->places[at].value);
		}
	}
	for (int i = 0; i < 2; i++) {
		ret_values[i] = find(names, wanted[i], hashes[i])->value;
	}
}

static void grow(struct names *names)
{
	struct place *before = names->places;
	size_t count = names->room;

	names->room *= 2;
	names->places = mem_new_table(names->room, sizeof(struct place));
	for (size_t i = 0; i < count; i++) {
		if (before[i].name) {
			*find(names, before[i].name, before[i].hash) = before[i];
		}
	}
	free(before);
}

void *names_put(struct names *names, const char *name, void *value)
{
	uint64_t hash = hash_of_name(names, name);
	struct place *place;
	void *was;

	assert_always(value != NULL);
	if (4 * (names->count + 1) > 3 * names->room) {
		grow(names);
	}
	place = find(names, name, hash);
	was = place->value;
	if (!place->name) {
		*place = (struct place){ .name = mem_string(name), .hash = hash };
		names->count++;
	}
	place->value = value;
	return was;
}

void *names_remove(struct names *names, const char *name)
{
	struct place *hole = find(names, name, hash_of_name(names, name));
	void *was = hole->value;
	size_t at;

	if (!hole->name) {
		return NULL;
	}
	free(hole->name);
	*hole = (struct place){ 0 };
	names->count--;
	at = (size_t)(hole - names->places);
	for (;;) {
		struct place moved;

		at = (at + 1) & (names->room - 1);
		if (!names->places[at].name) {
			return was;
		}
		moved = names->places[at];
		names->places[at] = (struct place){ 0 };
		*find(names, moved.name, moved.hash) = moved;
	}
}

size_t names_count(const struct names *names)
{
	return names->count;
}

void names_each(const struct names *names, names_each_call *each, void *context)
{
	for (size_t i = 0; i < names->room; i++) {
		if (names->places[i].name) {
			each(context, names->places[i].name, names->places[i].value);
		}
	}
}
