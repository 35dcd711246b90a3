#include "audit/merkle.h"

#include <string.h>

static bool has_level(uint64_t size, unsigned level)
{
	return size >> level & 1;
}

int merkle_open(const struct merkle_store *store, uint64_t size, struct merkle_tree *ret_tree,
        struct err *err)
{
	struct merkle_tree tree = { .size = size };
	uint64_t at = size;

	assert_always(size <= INT64_MAX);
	for (unsigned level = 0; level < MERKLE_LEVELS; level++) {
		int r;

		if (!has_level(size, level)) {
			continue;
		}
		at -= UINT64_C(1) << level;
		r = store->get(store->context, level, at >> level, &tree.peaks[level], err);
		if (r < 0) {
			return FAULT(r);
		}
	}
	*ret_tree = tree;
	return 0;
}

int merkle_append(struct merkle_tree *tree, const struct merkle_store *store,
        const struct hash *leaf, struct err *err)
{
	uint64_t index = tree->size;
	struct hash hash = *leaf;
	unsigned level = 0;

	assert_always(tree->size < INT64_MAX);
	for (;; level++, index >>= 1) {
		int r = store ? store->put(store->context, level, index, &hash, err) : 0;

		if (r < 0) {
			return FAULT(r);
		}
		if (!(index & 1)) {
			break;
		}
		hash = hash_node(&tree->peaks[level], &hash);
	}
	tree->peaks[level] = hash;
	tree->size++;
	return 0;
}

void merkle_add_subtree(struct merkle_tree *tree, unsigned level, const struct hash *subtree)
{
	uint64_t leaves = UINT64_C(1) << level;
	struct hash hash = *subtree;
	unsigned at = level;

	assert_always(tree->size % leaves == 0 && tree->size <= INT64_MAX - leaves);
	for (; has_level(tree->size, at); at++) {
		hash = hash_node(&tree->peaks[at], &hash);
	}
	tree->peaks[at] = hash;
	tree->size += leaves;
}

void merkle_add(struct merkle_tree *tree, const struct hash *leaf)
{
	merkle_add_subtree(tree, 0, leaf);
}

struct hash merkle_root(const struct merkle_tree *tree)
{
	struct hash root = { 0 };
	bool have = false;

	for (unsigned level = 0; level < MERKLE_LEVELS; level++) {
		if (has_level(tree->size, level)) {
			root = have ? hash_node(&tree->peaks[level], &root) : tree->peaks[level];
			have = true;
		}
	}
	return have ? root : hash_of("", 0);
}

int merkle_root_at(
        const struct merkle_store *store, uint64_t size, struct hash *ret_root, struct err *err)
{
	struct merkle_tree tree;
	int r = merkle_open(store, size, &tree, err);

	if (r < 0) {
		return FAULT(r);
	}
	*ret_root = merkle_root(&tree);
	return 0;
}

/* MTH(D[start:start+count]). `start` is a multiple of a power of two that is at least `count`, as
 * in every range that the RFC's recursions make. */
static int range_hash(const struct merkle_store *store, uint64_t start, uint64_t count,
        struct hash *ret_hash, struct err *err)
{
	uint64_t at = start + count;
	bool have = false;

	for (unsigned level = 0; level < MERKLE_LEVELS; level++) {
		struct hash node;
		int r;

		if (!has_level(count, level)) {
			continue;
		}
		at -= UINT64_C(1) << level;
		r = store->get(store->context, level, at >> level, &node, err);
		if (r < 0) {
			return FAULT(r);
		}
		*ret_hash = have ? hash_node(&node, ret_hash) : node;
		have = true;
	}
	return 0;
}

/* The largest power of two below count; count is at least 2. */
static uint64_t split_of(uint64_t count)
{
	return UINT64_C(1) << (63 - __builtin_clzll(count - 1));
}

static int proof_add(struct merkle_proof *proof, const struct merkle_store *store, uint64_t start,
        uint64_t count, struct err *err)
{
	assert_always(proof->count < MERKLE_PROOF_COUNT_MAX);
	return range_hash(store, start, count, &proof->hashes[proof->count++], err);
}

/* The recursions are walked from the root down; a proof is read from the leaf up. */
static void proof_reverse(struct merkle_proof *proof)
{
	for (size_t i = 0; i < proof->count / 2; i++) {
		struct hash hash = proof->hashes[i];

		proof->hashes[i] = proof->hashes[proof->count - 1 - i];
		proof->hashes[proof->count - 1 - i] = hash;
	}
}

int merkle_prove_inclusion(const struct merkle_store *store, uint64_t index, uint64_t size,
        struct merkle_proof *ret_proof, struct err *err)
{
	uint64_t start = 0, count = size;

	ret_proof->count = 0;
	if (index >= size || size > INT64_MAX) {
		return err_set(err, 1, "there is no entry %llu in a ledger of %llu entries",
		        (unsigned long long)index, (unsigned long long)size);
	}
	while (count > 1) {
		uint64_t split = split_of(count);
		int r;

		if (index - start < split) {
			r = proof_add(ret_proof, store, start + split, count - split, err);
			count = split;
		} else {
			r = proof_add(ret_proof, store, start, split, err);
			start += split;
			count -= split;
		}
		if (r < 0) {
			return FAULT(r);
		}
	}
	proof_reverse(ret_proof);
	return 0;
}

int merkle_prove_consistency(const struct merkle_store *store, uint64_t first, uint64_t second,
        struct merkle_proof *ret_proof, struct err *err)
{
	uint64_t start = 0, count = second;
	bool known = true; /* the verifier has the hash of D[start:first]: it is its own root */
	int r = 0;

	ret_proof->count = 0;
	if (first > second || second > INT64_MAX) {
		return err_set(err, 1,
		        "a ledger of %llu entries is not the beginning of one of %llu",
		        (unsigned long long)first, (unsigned long long)second);
	}
	if (first == 0) {
		return 0;
	}
	while (r == 0 && first - start != count) {
		uint64_t split = split_of(count);

		if (first - start <= split) {
			r = proof_add(ret_proof, store, start + split, count - split, err);
			count = split;
		} else {
			r = proof_add(ret_proof, store, start, split, err);
			start += split;
			count -= split;
			known = false;
		}
	}
	if (r == 0 && !known) {
		r = proof_add(ret_proof, store, start, count, err);
	}
	if (r < 0) {
		return FAULT(r);
	}
	proof_reverse(ret_proof);
	return 0;
}

/* Climbs over the levels at which the node is the last one and has no sibling. */
static void skip_lonely(uint64_t *node, uint64_t *last)
{
	while (*node != 0 && !(*node & 1)) {
		*node >>= 1;
		*last >>= 1;
	}
}

bool merkle_check_inclusion(const struct hash *leaf, uint64_t index, uint64_t size,
        const struct hash *root, const struct merkle_proof *proof)
{
	uint64_t node = index, last = size - 1;
	struct hash hash = *leaf;

	if (index >= size || proof->count > MERKLE_PROOF_COUNT_MAX) {
		return false;
	}
	for (size_t i = 0; i < proof->count; i++) {
		if (last == 0) {
			return false;
		}
		if ((node & 1) || node == last) {
			hash = hash_node(&proof->hashes[i], &hash);
			skip_lonely(&node, &last);
		} else {
			hash = hash_node(&hash, &proof->hashes[i]);
		}
		node >>= 1;
		last >>= 1;
	}
	return last == 0 && hash_equal(&hash, root);
}

bool merkle_check_consistency(const struct merkle_head *first, const struct merkle_head *second,
        const struct merkle_proof *proof)
{
	uint64_t node = first->size - 1, last = second->size - 1;
	struct hash empty = hash_of("", 0), first_hash, second_hash;
	size_t at = 0;

	if (first->size > second->size || proof->count > MERKLE_PROOF_COUNT_MAX) {
		return false;
	}
	if (first->size == second->size) {
		return proof->count == 0 && hash_equal(&first->root, &second->root);
	}
	if (first->size == 0) {
		return proof->count == 0 && hash_equal(&first->root, &empty);
	}
	if ((first->size & (first->size - 1)) == 0) {
		first_hash = first->root; /* a complete subtree of the second tree as it is */
	} else if (proof->count > 0) {
		first_hash = proof->hashes[at++];
	} else {
		return false;
	}
	second_hash = first_hash;
	while (node & 1) {
		node >>= 1;
		last >>= 1;
	}
	for (; at < proof->count; at++) {
		if (last == 0) {
			return false;
		}
		if ((node & 1) || node == last) {
			first_hash = hash_node(&proof->hashes[at], &first_hash);
			second_hash = hash_node(&proof->hashes[at], &second_hash);
			skip_lonely(&node, &last);
		} else {
			second_hash = hash_node(&second_hash, &proof->hashes[at]);
		}
		node >>= 1;
		last >>= 1;
	}
	return last == 0 && hash_equal(&first_hash, &first->root) &&
	       hash_equal(&second_hash, &second->root);
}
