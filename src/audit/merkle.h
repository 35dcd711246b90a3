/*
 * The append-only tree of the ledger (RFC 6962 2.1), over nodes that somebody else keeps.
 *
 *     level 2            (2,0)                   a node (level, index) is the hash of the 2^level
 *                      /       \                 leaves from index * 2^level on; only complete
 *     level 1      (1,0)       (1,1)    (1,2)    subtrees are nodes, so what was put never changes
 *                 /   \        /   \    /   \
 *     level 0   (0,0) (0,1) (0,2) (0,3) …
 *
 * An append puts its leaf and every subtree that it completes: two hashes on average, at most 64.
 * A root or a proof at any earlier size reads at most some hundreds of nodes (log² n).
 */
#pragma once

#include <stdint.h>

#include "audit/hash.h"
#include "base/err.h"

#define MERKLE_LEVELS 63 /* sizes up to 2^63 - 1 */
#define MERKLE_PROOF_COUNT_MAX (MERKLE_LEVELS + 1)

/* Where the nodes are. Both return 0 or a fault; a node that should be there and is not is a fault
 * as well. `context` is handed through. */
struct merkle_store {
	int (*get)(void *context, unsigned level, uint64_t index, struct hash *ret_hash,
	        struct err *err);
	int (*put)(void *context, unsigned level, uint64_t index, const struct hash *hash,
	        struct err *err);
	void *context;
};

/* A value: the size and the hashes of its complete subtrees. Copying it before a transaction and
 * copying it back is how an append is undone when the transaction fails. */
struct merkle_tree {
	uint64_t size;
	struct hash peaks[MERKLE_LEVELS]; /* [level] is valid where size has that bit */
};

/* Reads the peaks of a tree of `size` leaves. */
int merkle_open(const struct merkle_store *store, uint64_t size, struct merkle_tree *ret_tree,
        struct err *err) must_use;

/* Appends one leaf hash. `store` may be NULL when only roots are wanted. The tree is unchanged
 * after a fault; nodes already put are then put again by the next attempt. */
int merkle_append(struct merkle_tree *tree, const struct merkle_store *store,
        const struct hash *leaf, struct err *err) must_use;

/* The same in memory only; cannot fail. */
void merkle_add(struct merkle_tree *tree, const struct hash *leaf);

/* Adds a complete subtree of 2^level leaves; tree->size must be a multiple of that. */
void merkle_add_subtree(struct merkle_tree *tree, unsigned level, const struct hash *subtree);

/* The root; of an empty tree it is the hash of nothing. */
struct hash merkle_root(const struct merkle_tree *tree);

/* The root as it was at an earlier size. */
int merkle_root_at(const struct merkle_store *store, uint64_t size, struct hash *ret_root,
        struct err *err) must_use;

struct merkle_proof {
	size_t count;
	struct hash hashes[MERKLE_PROOF_COUNT_MAX];
};

/* PATH(index, D[size]) of RFC 6962 2.1.1. Outcome 1: there is no such leaf at that size. */
int merkle_prove_inclusion(const struct merkle_store *store, uint64_t index, uint64_t size,
        struct merkle_proof *ret_proof, struct err *err) must_use;

/* PROOF(first, D[second]) of RFC 6962 2.1.2; empty when first is 0 or equals second.
 * Outcome 1: first is larger than second. */
int merkle_prove_consistency(const struct merkle_store *store, uint64_t first, uint64_t second,
        struct merkle_proof *ret_proof, struct err *err) must_use;

/* True only if `leaf` is at `index` of the tree of `size` leaves with `root` (RFC 9162 2.1.3.2).
 * Size and root must come from a checkpoint whose signature was checked. */
bool merkle_check_inclusion(const struct hash *leaf, uint64_t index, uint64_t size,
        const struct hash *root, const struct merkle_proof *proof) must_use;

/* One head of the log. */
struct merkle_head {
	uint64_t size;
	struct hash root;
};

/* True only if the first tree is the beginning of the second (RFC 9162 2.1.4.2). */
bool merkle_check_consistency(const struct merkle_head *first, const struct merkle_head *second,
        const struct merkle_proof *proof) must_use;
