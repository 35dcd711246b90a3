#include "center/connection_index.h"

#include <string.h>

#define BUCKETS_MIN 64

/* FNV-1a; ids and gateway names are the center's own choice, nobody can aim at a bucket. */
static size_t hash(const char *text)
{
	uint64_t value = 0xcbf29ce484222325ULL;

	for (; *text; text++) {
		value = (value ^ (uint8_t)*text) * 0x100000001b3ULL;
	}
	return (size_t)(value ^ value >> 32);
}

const char *connection_gateway(const struct connection *connection, enum grant_side side)
{
	return grant_end(&connection->row.grant, side)->gateway;
}

int connection_side(
        const struct connection *connection, const char *gateway, enum grant_side *ret_side)
{
	for (int side = 0; side < 2; side++) {
		if (strcmp(connection_gateway(connection, side), gateway) == 0) {
			*ret_side = side;
			return 0;
		}
	}
	return 1;
}

static size_t bucket_of(const struct connection_index *index, const char *text)
{
	return hash(text) & (index->bucket_count - 1);
}

static void link_in(struct connection_index *index, struct connection *connection)
{
	struct connection **by_id = &index->by_id[bucket_of(index, connection->row.grant.id.text)];

	connection->next_id = *by_id;
	*by_id = connection;
	for (int side = 0; side < 2; side++) {
		struct connection_link **bucket =
		        &index->by_gateway[bucket_of(index, connection_gateway(connection, side))];

		connection->links[side] =
		        (struct connection_link){ .connection = connection, .next = *bucket };
		*bucket = &connection->links[side];
	}
}

static void grow(struct connection_index *index)
{
	struct connection **old = index->by_id;
	size_t old_count = index->bucket_count;

	index->bucket_count = old_count ? 2 * old_count : BUCKETS_MIN;
	index->by_id = mem_new(index->bucket_count, sizeof(*index->by_id));
	free(index->by_gateway);
	index->by_gateway = mem_new(index->bucket_count, sizeof(*index->by_gateway));
	for (size_t i = 0; i < old_count; i++) {
		struct connection *next;

		for (struct connection *at = old[i]; at; at = next) {
			next = at->next_id;
			link_in(index, at);
		}
	}
	free(old);
}

void connection_index_clear(struct connection_index *index)
{
	for (size_t i = 0; i < index->bucket_count; i++) {
		while (index->by_id[i]) {
			struct connection *connection = index->by_id[i];

			index->by_id[i] = connection->next_id;
			free(connection);
		}
	}
	free(index->by_id);
	free(index->by_gateway);
	*index = (struct connection_index){ 0 };
}

void connection_index_add(struct connection_index *index, struct connection *connection)
{
	assert_always(!connection_index_find(index, connection->row.grant.id.text));
	if (index->count == index->bucket_count) {
		grow(index);
	}
	link_in(index, connection);
	index->count++;
}

void connection_index_remove(struct connection_index *index, struct connection *connection)
{
	struct connection **by_id = &index->by_id[bucket_of(index, connection->row.grant.id.text)];

	while (*by_id != connection) {
		by_id = &(*by_id)->next_id;
	}
	*by_id = connection->next_id;
	for (int side = 0; side < 2; side++) {
		struct connection_link **link =
		        &index->by_gateway[bucket_of(index, connection_gateway(connection, side))];

		while (*link != &connection->links[side]) {
			link = &(*link)->next;
		}
		*link = connection->links[side].next;
	}
	index->count--;
}

struct connection *connection_index_find(const struct connection_index *index, const char *id)
{
	struct connection *at = index->count > 0 ? index->by_id[bucket_of(index, id)] : NULL;

	while (at && strcmp(at->row.grant.id.text, id) != 0) {
		at = at->next_id;
	}
	return at;
}

struct connection *connection_index_next(
        const struct connection_index *index, const char *gateway, const struct connection *after)
{
	const struct connection_link *link = NULL;
	enum grant_side side;

	if (!after) {
		link = index->count > 0 ? index->by_gateway[bucket_of(index, gateway)] : NULL;
	} else if (connection_side(after, gateway, &side) == 0) {
		link = after->links[side].next;
	}
	for (; link; link = link->next) {
		/* The chain has other gateways' connections too, and both links of one whose
		 * gateways share the bucket: only the gateway's own link counts. */
		if (connection_side(link->connection, gateway, &side) == 0 &&
		        link == &link->connection->links[side]) {
			return link->connection;
		}
	}
	return NULL;
}

bool connection_index_has_number(const struct connection_index *index, uint32_t number)
{
	for (size_t i = 0; i < index->bucket_count; i++) {
		for (const struct connection *at = index->by_id[i]; at; at = at->next_id) {
			if (at->row.grant.number == number) {
				return true;
			}
		}
	}
	return false;
}
