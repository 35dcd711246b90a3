/*
 * The connections in memory and how they are found: by id, and by each of their two gateways.
 * Chained hash tables that grow; nothing depends on how many connections there are.
 */
#pragma once

#include "center/connection.h"

/* A connection's place in the chain of one of its gateways. */
struct connection_link {
	struct connection *connection;
	struct connection_link *next;
};

struct connection {
	struct connection_row row;
	bool online[2]; /* by enum grant_side: its gateway's stream is there */
	uint64_t lease_seq;
	int64_t deadline; /* monotonic, as all below: of GRANTED and GOING */
	int64_t end_at;   /* of the grant */
	int64_t renew_at, resend_at;
	int64_t alive_until[2]; /* the last lease that was sent to a side */
	int64_t dead_at;        /* no gateway can hold anything of it any more */
	struct connection *next_id;
	struct connection_link links[2]; /* by enum grant_side */
};

struct connection_index {
	struct connection **by_id;
	struct connection_link **by_gateway;
	size_t bucket_count; /* a power of two, of each table */
	size_t count;
};

void connection_index_clear(struct connection_index *index); /* frees the connections too */
/* Adopts it. The id must not be there yet. */
void connection_index_add(struct connection_index *index, struct connection *connection);
/* Hands it back to the caller. */
void connection_index_remove(struct connection_index *index, struct connection *connection);

struct connection *connection_index_find(const struct connection_index *index, const char *id);
/* The first of a gateway's connections (`after` NULL), or the next one. */
struct connection *connection_index_next(
        const struct connection_index *index, const char *gateway, const struct connection *after);
bool connection_index_has_number(const struct connection_index *index, uint32_t number);

const char *connection_gateway(const struct connection *connection, enum grant_side side);
/* Outcome 1: it is neither of the two. */
int connection_side(const struct connection *connection, const char *gateway,
        enum grant_side *ret_side) must_use;
