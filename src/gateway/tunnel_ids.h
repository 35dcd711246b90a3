/*
 * The grant ids a gateway has seen, so that none opens twice (attack A11, fault F31). Sorted; ids
 * sort by time, so a new one nearly always comes last.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct tunnel_ids {
	struct tunnel_seen {
		struct id id;
		int64_t not_after; /* wall: when the grant cannot be alive any more in any case */
	} * items;
	size_t count, room;
};

bool tunnel_ids_has(const struct tunnel_ids *ids, const char *id);
/* Adds it, or makes it last longer. */
void tunnel_ids_add(struct tunnel_ids *ids, const char *id, int64_t not_after);
/* Forgets ids whose grant ended before `issued_floor`; grants that old are refused by their date.
 */
void tunnel_ids_prune(struct tunnel_ids *ids, int64_t issued_floor);
void tunnel_ids_clear(struct tunnel_ids *ids);
