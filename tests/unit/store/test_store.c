#include "../check.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "store/schema.h"
#include "store/store.h"

struct place {
	char directory[64], database[96], checkpoint[96];
};

static struct place place_new(void)
{
	struct place place = { .directory = "/tmp/sekisho-store-XXXXXX" };

	CHECK(mkdtemp(place.directory) != NULL);
	snprintf(place.database, sizeof(place.database), "%s/center.db", place.directory);
	snprintf(place.checkpoint, sizeof(place.checkpoint), "%s/checkpoint", place.directory);
	return place;
}

static void place_remove(const struct place *place)
{
	static const char *const ends[] = { "", "-wal", "-shm", ".old" };

	for (size_t i = 0; i < 4; i++) {
		char path[128];

		snprintf(path, sizeof(path), "%s%s", place->database, ends[i]);
		unlink(path);
	}
	unlink(place->checkpoint);
	rmdir(place->directory);
}

static struct store *open_store(const struct place *place)
{
	struct store *store = NULL;
	struct err err = { 0 };
	int r = store_open(place->database, place->checkpoint, &store, &err);

	if (r != 0) {
		printf("# %s\n", err.text);
	}
	CHECK(r == 0);
	return store;
}

/* Appends `count` leaves in one transaction and publishes the head. */
static void grow(struct store *store, unsigned count, bool publish)
{
	struct merkle_store nodes = store_merkle(store);
	struct merkle_tree tree;
	struct err err;
	uint64_t size = 0;

	CHECK(store_begin(store) == 0 && store_leaf_count(store, &size) == 0);
	CHECK(merkle_open(&nodes, size, &tree, &err) == 0);
	for (unsigned i = 0; i < count; i++) {
		char bytes[32];
		int length = snprintf(
		        bytes, sizeof(bytes), "record %llu", (unsigned long long)tree.size);
		struct hash leaf = hash_leaf(bytes, (size_t)length);

		CHECK(store_leaf_append(store, tree.size, bytes, (size_t)length) == 0);
		CHECK(merkle_append(&tree, &nodes, &leaf, &err) == 0);
	}
	if (publish) {
		struct hash root = merkle_root(&tree);
		AUTO_BUF struct buf note = BUF(1024);
		struct store_checkpoint row = { .size = tree.size, .signed_usec = 1 };

		buf_add_format(&note, "test.example\n%llu\n", (unsigned long long)tree.size);
		base64_add(&note, root.bytes, HASH_BYTES);
		buf_add_text(&note, "\n\n- test.example AAAA\n");
		memcpy(row.root, root.bytes, HASH_BYTES);
		row.note = (char *)note.bytes;
		CHECK(store_checkpoint_put(store, &row) == 0);
	}
	CHECK(store_commit(store) == 0);
}

TEST(rows_come_back_as_they_were)
{
	struct place place = place_new();
	struct store *store = open_store(&place);
	struct store_procedure row = {
		.gateway = "gw-a", .site = "a", .steps = 3, .created_usec = 7
	};
	struct store_procedure back = { 0 };
	uint8_t fingerprint[STORE_HASH_BYTES] = { 1, 2, 3 };

	row.information = mem_string("x.y.z");
	row.device_fingerprint = BUF(64);
	buf_add(&row.device_fingerprint, fingerprint, sizeof(fingerprint));
	CHECK(store_procedure_put(store, &row) == 0);
	CHECK(store_procedure_get(store, "gw-b", &back) == 1);
	CHECK(store_procedure_get_device(store, fingerprint, &back) == 0);
	CHECK_TEXT(back.gateway, "gw-a");
	CHECK_TEXT(back.information, "x.y.z");
	CHECK(back.steps == 3 && back.created_usec == 7 && back.device_certificate.count == 0);
	store_row_clear(STORE_PROCEDURE, &back);
	CHECK(back.information == NULL && back.steps == 0);
	store_row_clear(STORE_PROCEDURE, &row);
	store_free(store);
	place_remove(&place);
}

static int count_row(void *context, const void *row)
{
	(*(int *)context)++;
	return 0;
}

TEST(lists_page_by_key)
{
	struct place place = place_new();
	struct store *store = open_store(&place);
	int count = 0;

	for (int i = 0; i < 10; i++) {
		struct store_organization row = { .kind = "hospital", .title = "H" };

		snprintf(row.name, sizeof(row.name), "org-%d", i);
		CHECK(store_organization_put(store, &row) == 0);
	}
	CHECK(store_organization_list(store, "org-6", 10, count_row, &count) == 0 && count == 3);
	count = 0;
	CHECK(store_organization_list(store, "", 4, count_row, &count) == 0 && count == 4);
	store_free(store);
	place_remove(&place);
}

TEST(newest_statement_and_policy_count)
{
	struct place place = place_new();
	struct store *store = open_store(&place);
	struct store_policy back = { 0 };
	int count = 0;

	for (uint64_t version = 1; version <= 3; version++) {
		struct store_policy row = { .kind = "site", .owner = "a", .version = version };
		struct store_statement statement = {
			.role = "maker", .id = "acme", .seq = version
		};

		row.text = statement.text = (char *)"jws";
		CHECK(store_policy_put(store, &row) == 0 &&
		        store_statement_put(store, &statement) == 0);
	}
	CHECK(store_policy_get(store, "site", "a", &back) == 0 && back.version == 3);
	store_row_clear(STORE_POLICY, &back);
	CHECK(store_statement_list(store, count_row, &count) == 0 && count == 1);
	count = 0;
	CHECK(store_policy_list(store, "site", count_row, &count) == 0 && count == 1);
	store_free(store);
	place_remove(&place);
}

TEST(leaves_have_no_gaps)
{
	struct place place = place_new();
	struct store *store = open_store(&place);

	grow(store, 3, false);
	CHECK(store_leaf_append(store, 5, "x", 1) < 0);
	CHECK(store_leaf_append(store, 2, "x", 1) < 0);
	CHECK(store_leaf_append(store, 3, "x", 1) == 0);
	store_free(store);
	place_remove(&place);
}

/* A child writes transactions and tells each commit through a pipe; it is killed in the middle.
 * What it told must be there, and nothing of a transaction may be there in part. */
TEST(killed_writer_loses_nothing_it_acknowledged)
{
	struct place place = place_new();
	unsigned acknowledged = 0;
	int ends[2], status;
	struct store *store;
	uint64_t size = 0;
	char byte;
	pid_t pid;

	CHECK(pipe(ends) == 0);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		store = open_store(&place);
		for (;;) {
			grow(store, 4, false);
			if (write(ends[1], "a", 1) != 1) {
				_exit(1);
			}
		}
	}
	close(ends[1]);
	while (acknowledged < 25 && read(ends[0], &byte, 1) == 1) {
		acknowledged++;
	}
	kill(pid, SIGKILL);
	CHECK(waitpid(pid, &status, 0) == pid);
	while (read(ends[0], &byte, 1) == 1) {
		acknowledged++;
	}
	close(ends[0]);
	store = open_store(&place);
	CHECK(store_leaf_count(store, &size) == 0);
	CHECK(acknowledged >= 25 && size >= 4 * acknowledged && size <= 4 * acknowledged + 4);
	CHECK(size % 4 == 0);
	grow(store, 1, true); /* the tree of the nodes goes on from there */
	store_free(store);
	store = open_store(&place); /* root of leaves and nodes is the published one */
	store_free(store);
	place_remove(&place);
}

static void copy_file(const char *from, const char *to)
{
	AUTO_BUF struct buf bytes = BUF(8 << 20);
	struct err err;

	CHECK(file_read(from, &bytes, &err) == 0);
	CHECK(file_replace(to, bytes.bytes, bytes.count, 0600, &err) == 0);
}

TEST(older_copy_is_refused)
{
	struct place place = place_new();
	struct store *store = open_store(&place);
	char old[128];
	struct err err = { 0 };

	snprintf(old, sizeof(old), "%s.old", place.database);
	grow(store, 5, true);
	store_free(store);
	copy_file(place.database, old);
	store = open_store(&place);
	grow(store, 2, true);
	store_free(store);
	copy_file(old, place.database);
	CHECK(store_open(place.database, place.checkpoint, &store, &err) == STORE_BEHIND);
	CHECK(strstr(err.text, "older copy") != NULL);
	/* Nor does it help to take the copy of the checkpoint away. */
	unlink(place.checkpoint);
	CHECK(store_open(place.database, place.checkpoint, &store, &err) == STORE_BEHIND);
	CHECK(strstr(err.text, "is missing") != NULL);
	place_remove(&place);
}

TEST(other_history_of_the_same_length_is_refused)
{
	struct place place = place_new();
	struct store *store = open_store(&place);
	sqlite3 *handle;
	struct err err = { 0 };

	grow(store, 4, true);
	store_free(store);
	CHECK(sqlite3_open(place.database, &handle) == SQLITE_OK);
	CHECK(sqlite3_exec(handle, "UPDATE nodes SET hash = zeroblob(32) WHERE level = 2", 0, 0,
	              0) == SQLITE_OK);
	sqlite3_close(handle);
	CHECK(store_open(place.database, place.checkpoint, &store, &err) == STORE_BEHIND);
	place_remove(&place);
}

TEST(newer_schema_is_refused_and_left_alone)
{
	struct place place = place_new();
	struct store *store = open_store(&place);
	sqlite3 *handle;
	struct err err = { 0 };

	store_free(store);
	CHECK(sqlite3_open(place.database, &handle) == SQLITE_OK);
	CHECK(sqlite3_exec(handle, "PRAGMA user_version = 999", 0, 0, 0) == SQLITE_OK);
	sqlite3_close(handle);
	CHECK(store_open(place.database, place.checkpoint, &store, &err) == STORE_NEWER);
	CHECK(strstr(err.text, "schema 999") != NULL);
	place_remove(&place);
}

/* A migration that was killed leaves the schema before it: version 0 with nothing in it. */
TEST(migration_starts_again_from_an_empty_file)
{
	struct place place = place_new();
	struct store *store;
	sqlite3 *handle;

	CHECK(sqlite3_open(place.database, &handle) == SQLITE_OK);
	CHECK(sqlite3_exec(handle, "BEGIN; CREATE TABLE counters (x); ROLLBACK", 0, 0, 0) ==
	        SQLITE_OK);
	sqlite3_close(handle);
	store = open_store(&place);
	store_free(store);
	place_remove(&place);
}

/* A database as schema 1 left it is brought up, and what it held is still there. */
TEST(first_schema_is_brought_up)
{
	struct place place = place_new();
	struct store_organization organization = { 0 };
	struct store_person person = { .name = "suzuki",
		.organization = "org-a",
		.roles = "service-engineer",
		.natural_person = "4711",
		.state = "active",
		.totp_step = 7 };
	struct store_person back = { 0 };
	struct store *store;
	sqlite3 *handle;

	CHECK(sqlite3_open(place.database, &handle) == SQLITE_OK);
	CHECK(sqlite3_exec(handle, store_schema[0], 0, 0, 0) == SQLITE_OK);
	CHECK(sqlite3_exec(handle,
	              "INSERT INTO organizations VALUES ('org-a', 'hospital', 'A', 7);"
	              "PRAGMA user_version = 1",
	              0, 0, 0) == SQLITE_OK);
	sqlite3_close(handle);
	store = open_store(&place);
	CHECK(store_organization_get(store, "org-a", &organization) == 0);
	CHECK_TEXT(organization.title, "A");
	CHECK_TEXT(organization.subcontractor_of, "");
	CHECK(store_person_put(store, &person) == 0);
	CHECK(store_person_get_natural(store, "org-a", "4711", &back) == 0);
	CHECK_TEXT(back.name, "suzuki");
	CHECK(back.totp_step == 7 && back.totp.count == 0);
	store_row_clear(STORE_PERSON, &back);
	store_free(store);
	store = open_store(&place); /* and once more, with nothing to do */
	CHECK(store_person_get(store, "suzuki", &back) == 0);
	store_row_clear(STORE_PERSON, &back);
	store_free(store);
	place_remove(&place);
}

TEST(person_is_one_account_of_an_organization)
{
	struct place place = place_new();
	struct store *store = open_store(&place);
	struct store_organization organization = { .name = "org-a", .kind = "hospital" };
	struct store_person person = { .name = "suzuki",
		.token_hash = { 1 },
		.organization = "org-a",
		.natural_person = "4711",
		.state = "active" };
	struct store_person back = { 0 };
	struct store_session session = { .person = "suzuki", .expires_usec = 100 };
	uint64_t count = 0;

	CHECK(store_organization_put(store, &organization) == 0);
	CHECK(store_person_put(store, &person) == 0);
	snprintf(person.name, sizeof(person.name), "suzuki-2");
	person.token_hash[0] = 2;
	CHECK(store_person_put(store, &person) < 0); /* the index refuses what nobody checked */
	CHECK(store_person_get(store, "suzuki", &back) == 0);
	store_row_clear(STORE_PERSON, &back);
	CHECK(store_session_put(store, &session) == 0);
	CHECK(store_session_count(store, "suzuki", 99, &count) == 0 && count == 1);
	CHECK(store_session_count(store, "suzuki", 100, &count) == 0 && count == 0);
	CHECK(store_session_delete_person(store, "suzuki") == 0);
	CHECK(store_session_get(store, session.token_hash, &session) == 1);
	store_free(store);
	place_remove(&place);
}

TEST(damaged_row_is_a_fault_not_data)
{
	struct place place = place_new();
	struct store *store = open_store(&place);
	struct store_organization row = { .name = "a", .kind = "hospital", .title = "t" };
	sqlite3 *handle;

	CHECK(store_organization_put(store, &row) == 0);
	store_free(store);
	CHECK(sqlite3_open(place.database, &handle) == SQLITE_OK);
	CHECK(sqlite3_exec(handle, "UPDATE organizations SET kind = printf('%1000c', 'x')", 0, 0,
	              0) == SQLITE_OK);
	sqlite3_close(handle);
	store = open_store(&place);
	CHECK(store_organization_get(store, "a", &row) < 0);
	store_free(store);
	place_remove(&place);
}

TEST_MAIN()
