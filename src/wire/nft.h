/*
 * nf_tables over netlink: batches that add and remove elements of our maps, and what the kernel
 * says back. Bytes in, bytes out; no socket here. Message helpers are libmnl's.
 *
 * A lease is an element of a map from the original direction's source, destination, protocol and
 * port to a mark, which is the connection's number. At the initiator's gateway the source is the
 * host's real address and the destination the remote service address; at the responder's gateway
 * both are service addresses (before DNAT).
 *
 * IPv4 and IPv6 have a table each, of the same name; the addresses of a lease or pair (both of one
 * family) say which of them is meant.
 *
 * A batch is all or nothing. A failed one costs 5 to 30 ms in the kernel (it waits for RCU), so the
 * functions here encode such that expected states (already there, not there) do not fail.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "wire/ip.h"

#define NFT_NAME_BYTES_MAX 31 /* our own table and map names */
#define NFT_BATCH_BYTES_MAX (128 << 10)
#define NFT_BATCH_CHANGES_MAX 200 /* elements a batch; three messages of at most 192 bytes each */
#define NFT_KEY_BYTES_MAX 40      /* two IPv6 addresses, protocol, port */

/* "port" of an echo: type << 8 | code */
#define NFT_PORT_ICMP_ECHO (8 << 8)
#define NFT_PORT_ICMP6_ECHO (128 << 8)

struct nft_lease {
	struct ip source, destination;
	uint8_t protocol; /* IPPROTO_TCP, _UDP, _ICMP or _ICMPV6 */
	uint16_t port;    /* destination port, host order; or NFT_PORT_ICMP_ECHO, _ICMP6_ECHO */
	uint32_t mark;    /* number of the connection; never 0 */
};

/* An element of an address to address map or, with `to` none, of a set of addresses. */
struct nft_pair {
	struct ip from, to;
};

struct nft_batch {
	struct buf out;
	char table[NFT_NAME_BYTES_MAX + 1];
	uint32_t first_sequence; /* of the begin message: faults of the batch itself name it */
	uint32_t sequence;
	size_t last; /* offset of the newest change */
	bool bridge; /* set by the caller: the table of this name that filters on bridges */
	unsigned changes;
};

/* `sequence` numbers the messages from here on and must not be 0. */
void nft_batch_start(struct nft_batch *batch, const char *table, uint32_t sequence);
/* Adds a lease, or makes it run `timeout_msec` (> 0) from now if it is there with the same mark
 * (add + delete + add: an add alone leaves the old timeout on Linux 6.1). With another mark the
 * kernel answers -EEXIST. */
void nft_lease_set(struct nft_batch *batch, const char *map, const struct nft_lease *lease,
        uint64_t timeout_msec);
/* Removes a lease, there or not, if it has this mark (-EEXIST with another). */
void nft_lease_remove(struct nft_batch *batch, const char *map, const struct nft_lease *lease);
/* Removes a lease whatever its mark; -ENOENT (and the price of a failed batch) if it is not there.
 */
void nft_lease_delete(struct nft_batch *batch, const char *map, const struct nft_lease *lease);
void nft_pair_add(struct nft_batch *batch, const char *map, struct nft_pair pair);
void nft_pair_delete(struct nft_batch *batch, const char *map, struct nft_pair pair);
/* Ends the batch; the last change asks for the ack. There must have been one. */
void nft_batch_end(struct nft_batch *batch);
void nft_batch_clear(struct nft_batch *batch);

/* A request for all elements of a map or set of one family's table. The reply is many messages,
 * then NFT_DONE. */
void nft_list_encode(struct buf *out, enum ip_family family, const char *table, const char *map,
        uint32_t sequence);

enum nft_kind {
	NFT_OTHER,         /* nothing of ours */
	NFT_ACK,           /* .error: 0 or a negative errno */
	NFT_DONE,          /* the end of a list; .error as above */
	NFT_ELEMENTS,      /* .table, .set, .elements: part of a list, or elements were added */
	NFT_ELEMENTS_GONE, /* .table, .set, .elements: elements were removed */
	NFT_TABLE_NEW,     /* .table */
	NFT_TABLE_GONE,    /* .table */
	NFT_RULES_CHANGED, /* .table: a chain, rule, set or object was made or removed */
	NFT_GENERATION,    /* the end of one committed change; .process */
};

struct nft_message {
	enum nft_kind kind;
	uint32_t sequence;
	uint32_t port;    /* netlink port of who asked or, in notifications, of who changed it */
	bool interrupted; /* a list that changed while it was read: ask again */
	int error;
	char table[64], set[64], process[32];
	const uint8_t *elements; /* borrowed; for nft_element_next() */
	size_t elements_bytes;
};

/* One netlink message at a time from the front of `bytes` (4-byte aligned, as memory from malloc).
 * Outcome 1: nothing more; outcome 2: malformed, the rest is not to be used. */
int nft_message_next(const uint8_t **bytes, size_t *count, struct nft_message *ret) must_use;

struct nft_element {
	uint8_t key[NFT_KEY_BYTES_MAX];
	size_t key_bytes;
	uint8_t data[16];  /* as stored: a mark is in host order, an address in network order */
	size_t data_bytes; /* 0: has none */
	uint64_t timeout_msec, left_msec; /* 0: has none */
	uint64_t packets, bytes;
};

/* Takes one element. Outcome 1: nothing more; outcome 2: malformed. */
int nft_element_next(struct nft_message *message, struct nft_element *ret) must_use;

/* What a lease map's or pair map's element says. Outcome 1: it is none. */
int nft_element_lease(const struct nft_element *element, struct nft_lease *ret) must_use;
/* The same of a set without data: the mark is 0. */
int nft_element_tuple(const struct nft_element *element, struct nft_lease *ret) must_use;
int nft_element_pair(const struct nft_element *element, struct nft_pair *ret) must_use;
