#include "center/refusals.h"

#include <stdio.h>
#include <string.h>

#include "center/names.h"

struct source {
	char name[REFUSALS_SOURCE_BYTES_MAX + 1];
	int64_t began_usec;
	uint64_t count;
	struct source *next;
};

struct refusals {
	struct names *by_name;
	struct source *first;
};

struct refusals *refusals_new(void)
{
	struct refusals *refusals = mem_new(1, sizeof(*refusals));

	refusals->by_name = names_new();
	return refusals;
}

struct refusals *refusals_free(struct refusals *refusals)
{
	if (refusals) {
		while (refusals->first) {
			struct source *source = refusals->first;

			refusals->first = source->next;
			free(source);
		}
		names_free(refusals->by_name);
		free(refusals);
	}
	return NULL;
}

bool refusals_count(struct refusals *refusals, const char *source_name, int64_t monotonic_usec)
{
	char name[REFUSALS_SOURCE_BYTES_MAX + 1];
	struct source *source;

	snprintf(name, sizeof(name), "%s", source_name);
	source = names_get(refusals->by_name, name);
	if (!source && names_count(refusals->by_name) >= REFUSALS_SOURCES_MAX) {
		snprintf(name, sizeof(name), "others");
		source = names_get(refusals->by_name, name);
	}
	if (!source) {
		source = mem_new(1, sizeof(*source));
		memcpy(source->name, name, sizeof(name));
		source->began_usec = monotonic_usec;
		source->next = refusals->first;
		refusals->first = source;
		names_put(refusals->by_name, name, source);
	}
	source->count++;
	return source->count <= REFUSALS_PER_MINUTE_MAX;
}

void refusals_flush(struct refusals *refusals, int64_t monotonic_usec, bool all,
        refusals_each *each, void *context)
{
	struct source **at = &refusals->first;

	while (*at) {
		struct source *source = *at;

		if (!all && monotonic_usec - source->began_usec < REFUSALS_WINDOW_USEC) {
			at = &source->next;
			continue;
		}
		if (source->count > REFUSALS_PER_MINUTE_MAX) {
			each(context, source->name, source->count - REFUSALS_PER_MINUTE_MAX);
		}
		*at = source->next;
		names_remove(refusals->by_name, source->name);
		free(source);
	}
}
