#include "../check.h"

#include "audit/tile.h"
#include "base/str.h"
#include "ledger.h"

/* The entries and roots with which Certificate Transparency implementations test RFC 6962. */
static const struct {
	const char *bytes;
	size_t count;
	const char *root;
} ct[] = {
	{ "", 0, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d" },
	{ "\0", 1, "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125" },
	{ "\x10", 1, "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77" },
	{ "\x20\x21", 2, "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7" },
	{ "\x30\x31", 2, "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4" },
	{ "\x40\x41\x42\x43", 4,
	        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef" },
	{ "\x50\x51\x52\x53\x54\x55\x56\x57", 8,
	        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c" },
	{ "\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f", 16,
	        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328" },
};

static bool hash_is(const struct hash *hash, const char *hex)
{
	char text[2 * HASH_BYTES + 1];

	hex_print(hash->bytes, HASH_BYTES, text);
	return strcmp(text, hex) == 0;
}

TEST(roots_and_proofs_are_those_of_certificate_transparency)
{
	AUTO(ledger) struct ledger *ledger = ledger_new();
	struct merkle_proof proof;
	struct hash root = merkle_root(&ledger->tree);

	CHECK(hash_is(&root, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
	for (size_t i = 0; i < ARRAY_COUNT(ct); i++) {
		struct hash leaf = hash_leaf(ct[i].bytes, ct[i].count);

		CHECK(merkle_append(&ledger->tree, &ledger->store, &leaf, NULL) == 0);
		root = merkle_root(&ledger->tree);
		CHECK(hash_is(&root, ct[i].root));
	}
	CHECK(merkle_prove_inclusion(&ledger->store, 5, 8, &proof, NULL) == 0 && proof.count == 3);
	CHECK(hash_is(&proof.hashes[0],
	        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"));
	CHECK(hash_is(&proof.hashes[1],
	        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"));
	CHECK(hash_is(&proof.hashes[2], ct[3].root));
	CHECK(merkle_prove_consistency(&ledger->store, 6, 8, &proof, NULL) == 0 &&
	        proof.count == 3);
	CHECK(hash_is(&proof.hashes[0],
	        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"));
	CHECK(hash_is(&proof.hashes[1],
	        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"));
	CHECK(hash_is(&proof.hashes[2], ct[3].root));
	CHECK(merkle_prove_consistency(&ledger->store, 2, 8, &proof, NULL) == 0 &&
	        proof.count == 2);
	CHECK(hash_is(&proof.hashes[0],
	        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"));
	CHECK(hash_is(&proof.hashes[1],
	        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"));
}

#define SIZE_MAX_TESTED 130

/* The definition of RFC 6962 2.1, word for word. */
static struct hash naive_root(const struct hash *leaves, uint64_t count)
{
	struct hash left, right;
	uint64_t split = 1;

	if (count == 0) {
		return hash_of("", 0);
	}
	if (count == 1) {
		return leaves[0];
	}
	while (2 * split < count) {
		split *= 2;
	}
	left = naive_root(leaves, split);
	right = naive_root(leaves + split, count - split);
	return hash_node(&left, &right);
}

/* PATH(index, D[count]) of 2.1.1. */
static void naive_path(
        const struct hash *leaves, uint64_t index, uint64_t count, struct merkle_proof *proof)
{
	uint64_t split = 1;

	if (count <= 1) {
		return;
	}
	while (2 * split < count) {
		split *= 2;
	}
	if (index < split) {
		naive_path(leaves, index, split, proof);
		proof->hashes[proof->count++] = naive_root(leaves + split, count - split);
	} else {
		naive_path(leaves + split, index - split, count - split, proof);
		proof->hashes[proof->count++] = naive_root(leaves, split);
	}
}

/* SUBPROOF(first, D[count], known) of 2.1.2. */
static void naive_subproof(const struct hash *leaves, uint64_t first, uint64_t count, bool known,
        struct merkle_proof *proof)
{
	uint64_t split = 1;

	if (first == count) {
		if (!known) {
			proof->hashes[proof->count++] = naive_root(leaves, count);
		}
		return;
	}
	while (2 * split < count) {
		split *= 2;
	}
	if (first <= split) {
		naive_subproof(leaves, first, split, known, proof);
		proof->hashes[proof->count++] = naive_root(leaves + split, count - split);
	} else {
		naive_subproof(leaves + split, first - split, count - split, false, proof);
		proof->hashes[proof->count++] = naive_root(leaves, split);
	}
}

static bool proof_equal(const struct merkle_proof *left, const struct merkle_proof *right)
{
	return left->count == right->count &&
	       memcmp(left->hashes, right->hashes, left->count * sizeof(left->hashes[0])) == 0;
}

/* A right proof with anything about it changed is a wrong one. */
static void check_inclusion_mangled(const struct hash *leaf, uint64_t index, uint64_t size,
        const struct hash *root, struct merkle_proof proof)
{
	struct hash other = *leaf;

	other.bytes[index % HASH_BYTES] ^= 0x10;
	CHECK(!merkle_check_inclusion(&other, index, size, root, &proof));
	CHECK(!merkle_check_inclusion(leaf, index, size, &other, &proof));
	CHECK(!merkle_check_inclusion(leaf, size, size, root, &proof));
	CHECK(!merkle_check_inclusion(leaf, index, 0, root, &proof));
	CHECK(size == 1 || !merkle_check_inclusion(leaf, (index + 1) % size, size, root, &proof));
	proof.hashes[proof.count++] = *leaf;
	CHECK(!merkle_check_inclusion(leaf, index, size, root, &proof));
	proof.count--;
	if (proof.count > 0) {
		proof.hashes[index % proof.count].bytes[size % HASH_BYTES] ^= 1;
		CHECK(!merkle_check_inclusion(leaf, index, size, root, &proof));
		proof.hashes[index % proof.count].bytes[size % HASH_BYTES] ^= 1;
		proof.count--;
		CHECK(!merkle_check_inclusion(leaf, index, size, root, &proof));
	}
}

static void check_consistency_mangled(
        struct merkle_head first, struct merkle_head second, struct merkle_proof proof)
{
	first.root.bytes[3] ^= 4;
	CHECK(!merkle_check_consistency(&first, &second, &proof));
	first.root.bytes[3] ^= 4;
	if (first.size > 0) {
		second.root.bytes[3] ^= 4;
		CHECK(!merkle_check_consistency(&first, &second, &proof));
		second.root.bytes[3] ^= 4;
	}
	if (first.size < second.size && first.size > 0) {
		CHECK(!merkle_check_consistency(&second, &first, &proof));
	}
	proof.hashes[proof.count++] = first.root;
	CHECK(!merkle_check_consistency(&first, &second, &proof));
	proof.count--;
	if (proof.count > 0) {
		proof.hashes[second.size % proof.count].bytes[7] ^= 0x80;
		CHECK(!merkle_check_consistency(&first, &second, &proof));
		proof.hashes[second.size % proof.count].bytes[7] ^= 0x80;
		proof.count--;
		CHECK(!merkle_check_consistency(&first, &second, &proof));
	}
}

TEST(every_proof_up_to_130_entries_is_the_defined_one_and_no_other_passes)
{
	AUTO(ledger) struct ledger *ledger = ledger_make(SIZE_MAX_TESTED, 0);
	const struct hash *leaves = ledger->nodes[0];
	struct merkle_proof proof, naive;

	for (uint64_t size = 0; size <= SIZE_MAX_TESTED; size++) {
		struct merkle_head second = { .size = size };
		struct hash want = naive_root(leaves, size);

		CHECK(merkle_root_at(&ledger->store, size, &second.root, NULL) == 0);
		CHECK(hash_equal(&second.root, &want));
		for (uint64_t index = 0; index < size; index++) {
			CHECK(merkle_prove_inclusion(&ledger->store, index, size, &proof, NULL) ==
			        0);
			naive.count = 0;
			naive_path(leaves, index, size, &naive);
			CHECK(proof_equal(&proof, &naive));
			CHECK(merkle_check_inclusion(
			        &leaves[index], index, size, &second.root, &proof));
			check_inclusion_mangled(&leaves[index], index, size, &second.root, proof);
		}
		for (uint64_t count = 0; count <= size; count++) {
			struct merkle_head first = { .size = count,
				.root = naive_root(leaves, count) };

			CHECK(merkle_prove_consistency(&ledger->store, count, size, &proof, NULL) ==
			        0);
			naive.count = 0;
			if (count > 0) {
				naive_subproof(leaves, count, size, true, &naive);
			}
			CHECK(proof_equal(&proof, &naive));
			CHECK(merkle_check_consistency(&first, &second, &proof));
			check_consistency_mangled(first, second, proof);
		}
	}
	CHECK(merkle_prove_inclusion(&ledger->store, 130, 130, &proof, NULL) == 1);
	CHECK(merkle_prove_consistency(&ledger->store, 6, 5, &proof, NULL) == 1);
}

static int put_fails_above(
        void *context, unsigned level, uint64_t index, const struct hash *hash, struct err *err)
{
	return level == 1 ? -28 : 0;
}

TEST(a_failed_append_leaves_the_tree_as_it_was)
{
	struct merkle_store store = { .put = put_fails_above };
	struct merkle_tree tree = { 0 }, before;
	struct hash leaf = hash_leaf("a", 1);

	CHECK(merkle_append(&tree, &store, &leaf, NULL) == 0);
	before = tree;
	CHECK(merkle_append(&tree, &store, &leaf, NULL) == -28);
	CHECK(memcmp(&tree, &before, sizeof(tree)) == 0);
}

TEST(a_tree_opened_from_its_nodes_goes_on)
{
	AUTO(ledger) struct ledger *ledger = ledger_make(77, 0);
	struct merkle_tree tree;
	struct hash leaf = hash_leaf("next", 4), left, right;

	CHECK(merkle_open(&ledger->store, 77, &tree, NULL) == 0);
	merkle_add(&tree, &leaf);
	CHECK(merkle_append(&ledger->tree, &ledger->store, &leaf, NULL) == 0);
	left = merkle_root(&tree);
	right = merkle_root(&ledger->tree);
	CHECK(hash_equal(&left, &right));
	ledger->tree.size--; /* the 78th has no entry bytes to be freed */
}

TEST(tile_paths_are_those_of_the_specification)
{
	static const char *const bad[] = { "tile/0/1", "tile/0/0001", "tile/0/x000/001",
		"tile/00/001", "tile/8/001", "tile/0/x001/x234/067.p/256", "tile/0/001.p/0",
		"tile/0/001.p/01", "tile/0/001.p/", "tile/0/001/", "tile/0/x001", "tile/entries/1",
		"tile/entries/0/001", "tile/", "tile/0/001 ", "/tile/0/001",
		"tile/0/x999/x999/x999/x999/x999/x999/999", "tile/0/-01" };
	struct tile tile = { .level = 3, .index = 1234067, .width = 256 }, parsed;

	CHECK_TEXT(tile_path(&tile).text, "tile/3/x001/x234/067");
	tile = (struct tile){ .entries = true, .width = 44 };
	CHECK_TEXT(tile_path(&tile).text, "tile/entries/000.p/44");
	for (uint64_t index = 1; index < INT64_MAX / 1024; index = index * 3 + 1) {
		tile = (struct tile){
			.index = index, .level = 2, .width = 1 + (unsigned)(index % 256)
		};
		CHECK(tile_parse(tile_path(&tile).text, &parsed) == 0);
		CHECK(parsed.index == index && parsed.width == tile.width && parsed.level == 2);
	}
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
		CHECK(tile_parse(bad[i], &parsed) == 1);
	}
}

TEST(tiles_of_a_tree_of_70000_are_those_of_the_specification)
{
	CHECK(tile_width(70000, 0, 272) == 256 && tile_width(70000, 0, 273) == 112);
	CHECK(tile_width(70000, 0, 274) == 0);
	CHECK(tile_width(70000, 1, 0) == 256 && tile_width(70000, 1, 1) == 17);
	CHECK(tile_width(70000, 1, 2) == 0);
	CHECK(tile_width(70000, 2, 0) == 1 && tile_width(70000, 3, 0) == 0);
	CHECK(tile_width(256, 0, 0) == 256 && tile_width(256, 1, 0) == 1);
	CHECK(tile_width(INT64_MAX, 7, UINT64_MAX) == 0 && tile_width(0, 0, 0) == 0);
}

TEST(bundles_are_read_to_their_end_or_to_the_fault)
{
	AUTO_BUF struct buf bundle = BUF(1024);
	struct cursor cursor;
	const uint8_t *entry;
	size_t count;

	CHECK(bundle_add(&bundle, "one", 3) == 0 && bundle_add(&bundle, "2", 1) == 0);
	CHECK(bundle_add(&bundle, "", 0) == 1);
	CHECK(bundle_add(&bundle, "", LEDGER_RECORD_BYTES_MAX + 1) == 1);
	CHECK(bundle.count == 8 && memcmp(bundle.bytes, "\0\3one\0\0012", 8) == 0);
	cursor = CURSOR(bundle.bytes, bundle.count);
	CHECK(bundle_next(&cursor, &entry, &count) == 0 && count == 3);
	CHECK(bundle_next(&cursor, &entry, &count) == 0 && count == 1 && entry[0] == '2');
	CHECK(bundle_next(&cursor, &entry, &count) == 1);
	cursor = CURSOR(bundle.bytes, bundle.count - 1);
	CHECK(bundle_next(&cursor, &entry, &count) == 0);
	CHECK(bundle_next(&cursor, &entry, &count) == 2);
}

TEST_MAIN()
