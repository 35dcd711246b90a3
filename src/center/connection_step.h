/*
 * What the parts of the connection machine share; only connection*.c include it. connection.c has
 * the reasons, connection.h the picture.
 */
#pragma once

#include "audit/record.h"
#include "center/connection.h"
#include "center/connection_index.h"

struct connection_machine {
	char provider[NAME_BYTES_MAX + 1];
	uint64_t epoch;
	struct connection_world world;
	struct connection_index index;
	uint32_t number; /* the last one given */
};

/* One input: everything that a step needs. */
struct connection_turn {
	struct connection_machine *machine;
	struct moment now;
	struct connection_actions *out;
	const char *site; /* of a review, or NULL */
};

/* Appends an action. */
struct connection_action *step_push(struct connection_turn *turn, enum connection_action_type type);
/* A record is adopted when it is pushed. */
struct record *step_record_new(struct connection_turn *turn, const char *kind, const char *id);
void step_record_push(
        struct connection_turn *turn, const char *kind, const char *id, struct record *record);
void step_store(struct connection_turn *turn, struct connection *connection);

/* Sends both gateways that are there what is desired of them. */
void step_send_desired(struct connection_turn *turn, struct connection *connection);

/* When no gateway can still hold anything of a grant that is issued, or found in the store, now. */
int64_t connection_dead_at(const struct grant *grant, struct moment now);
