#include "../check.h"

#include <dlfcn.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <p11-kit/pkcs11.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "pki/key.h"
#include "pki/token.h"
#include "world.h"

/* Checks a signature of token_sign() with OpenSSL alone, without our key_parse(). */
static bool fits(const struct token_key *key, const char *text, const struct buf *signature)
{
	size_t count;
	const uint8_t *at = token_key_spki(key, &count);
	EVP_PKEY *pkey = d2i_PUBKEY(NULL, &at, (long)count);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	const EVP_MD *digest = token_key_type(key) == TOKEN_KEY_EC_P384   ? EVP_sha384()
	                       : token_key_type(key) == TOKEN_KEY_ED25519 ? NULL
	                                                                  : EVP_sha256();
	bool ok = pkey && EVP_DigestVerifyInit(context, NULL, digest, NULL, pkey) == 1 &&
	          EVP_DigestVerify(context, signature->bytes, signature->count,
	                  (const uint8_t *)text, strlen(text)) == 1;

	EVP_MD_CTX_free(context);
	EVP_PKEY_free(pkey);
	return ok;
}

TEST(every_key_type_signs)
{
	struct world *world = world_get();

	for (int type = TOKEN_KEY_EC_P256; type <= TOKEN_KEY_ED25519; type++) {
		AUTO(token_key) struct token_key *key = NULL;
		AUTO_BUF struct buf signature = BUF(1024);
		struct err err = { 0 };
		enum token_key_type same;

		CHECK(token_key_generate(world->gateway_token, (enum token_key_type)type,
		              (uint8_t)(0x40 + type), "sample", &key, &err) == 0);
		CHECK(token_key_type(key) == (enum token_key_type)type);
		CHECK(token_key_type_parse(token_key_type_name(token_key_type(key)), &same) == 0 &&
		        same == token_key_type(key));
		CHECK(token_sign(key, "attack at dawn", 14, &signature, &err) == 0);
		CHECK(fits(key, "attack at dawn", &signature));
		CHECK(!fits(key, "attack at dusk", &signature));
		CHECK(token_delete(world->gateway_token, (uint8_t)(0x40 + type), &err) == 0);
	}
}

TEST(keys_cannot_be_read_and_ids_not_overwritten)
{
	struct world *world = world_get();
	struct token_key *key = NULL;
	struct err err = { 0 };

	CHECK(token_key_generate(world->gateway_token, TOKEN_KEY_EC_P256, TOKEN_ID_DEVICE, "again",
	              &key, &err) == TOKEN_EXISTS);
	/* An independent program sees what the token says of the key. */
	CHECK(world_run("pkcs11-tool --module " WORLD_MODULE
	                " --token-label gateway --login --pin " WORLD_PIN
	                " --list-objects --type privkey > objects.txt") == 0);
	CHECK(world_run("grep -q 'sensitive, always sensitive, never extractable' objects.txt") ==
	        0);
	CHECK(world_run("pkcs11-tool --module " WORLD_MODULE
	                " --token-label gateway --login --pin " WORLD_PIN
	                " --read-object --type privkey --id 01 -o stolen.der && test -s "
	                "stolen.der") != 0);
}

TEST(outcomes_of_opening)
{
	AUTO(token) struct token *no_module = NULL, *no_token = NULL;
	AUTO(token_key) struct token_key *key = NULL;
	struct world *world = world_get();
	struct err err = { 0 };

	CHECK(token_new("/nonexistent.so", "gateway", WORLD_PIN, &no_module) == 0);
	CHECK(token_open(no_module, &err) == TOKEN_MISSING);
	CHECK(token_new(WORLD_MODULE, "nobody", WORLD_PIN, &no_token) == 0);
	CHECK(token_open(no_token, &err) == TOKEN_MISSING && strstr(err.text, "nobody"));
	CHECK(token_key_find(world->gateway_token, 0x99, &key, &err) == TOKEN_NOT_FOUND);
	CHECK(token_key_find_label(world->gateway_token, "nokey", &key, &err) == TOKEN_NOT_FOUND);
	CHECK(token_key_find_label(world->gateway_token, "kanto", &key, &err) == 0);
	CHECK_TEXT(token_key_label(key), "kanto");
}

/* SoftHSM reads its tokens when it starts, and only then. */
TEST(a_token_that_comes_later_is_found)
{
	struct world *world = world_get();
	AUTO(token) struct token *token = NULL;
	AUTO(token_key) struct token_key *key = NULL;
	struct err err = { 0 };

	CHECK(token_new(WORLD_MODULE, "late", WORLD_PIN, &token) == 0);
	CHECK(token_open(token, &err) == TOKEN_MISSING);
	CHECK(world_run("softhsm2-util --init-token --free --label late --pin %s --so-pin %s "
	                ">/dev/null",
	              WORLD_PIN, WORLD_PIN) == 0);
	CHECK(token_open(token, &err) == 0);
	/* The other tokens of the module are as usable as before. */
	CHECK(token_key_find_label(world->gateway_token, "kanto", &key, &err) == 0);
}

TEST(a_wrong_pin_is_tried_once)
{
	AUTO(token) struct token *token = NULL;
	struct token_key *key = NULL;
	struct err err = { 0 };

	world_get();
	/* A token that no other test logs in to: the login belongs to the whole process. */
	CHECK(token_new(WORLD_MODULE, "guarded", "000000", &token) == 0);
	CHECK(token_open(token, &err) == TOKEN_PIN_WRONG);
	CHECK(token_login_count(token) == 1);
	for (int i = 0; i < 5; i++) {
		CHECK(token_open(token, &err) == TOKEN_PIN_WRONG);
		CHECK(token_key_find(token, 1, &key, &err) == TOKEN_PIN_WRONG);
	}
	CHECK(token_login_count(token) == 1);
}

TEST(the_last_try_of_a_card_is_not_used_up)
{
	static const struct {
		const char *label;
		int outcome;
		unsigned logins;
	} rows[] = { { "final", TOKEN_PIN_LOCKED, 0 }, { "locked", TOKEN_PIN_LOCKED, 0 },
		{ "wrong", TOKEN_PIN_WRONG, 1 } };

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		AUTO(token) struct token *token = NULL;
		struct err err = { 0 };

		CHECK(token_new(LOCKED_MODULE, rows[i].label, WORLD_PIN, &token) == 0);
		CHECK(token_open(token, &err) == rows[i].outcome);
		CHECK(token_open(token, &err) == rows[i].outcome);
		CHECK(token_login_count(token) == rows[i].logins);
	}
}

TEST(slots_are_listed_and_deleted)
{
	struct world *world = world_get();
	AUTO(token_key) struct token_key *key = NULL;
	AUTO_BUF struct buf der = BUF(CERT_DER_BYTES_MAX);
	struct token_slot *slots = NULL;
	struct err err = { 0 };
	size_t count, der_count;
	const uint8_t *bytes = cert_der(world->service, &der_count);
	uint8_t id = 0;
	bool found = false;

	CHECK(token_free_service_id(world->gateway_token, &id, &err) == 0);
	CHECK(id == TOKEN_ID_SERVICE_FIRST + 1);
	CHECK(token_key_generate(
	              world->gateway_token, TOKEN_KEY_EC_P256, id, "kansai", &key, &err) == 0);
	CHECK(token_certificate_put(world->gateway_token, id, "kansai", bytes, der_count, &err) ==
	        0);
	CHECK(token_certificate_put(world->gateway_token, id, "kansai", bytes, der_count, &err) ==
	        0);
	CHECK(token_certificate_get(world->gateway_token, id, &der, &err) == 0);
	CHECK(der.count == der_count && memcmp(der.bytes, bytes, der_count) == 0);
	CHECK(token_list(world->gateway_token, &slots, &count, &err) == 0);
	for (size_t i = 0; i < count; i++) {
		found |= slots[i].id_bytes == 1 && slots[i].id[0] == id && slots[i].has_key &&
		         slots[i].has_certificate && strcmp(slots[i].label, "kansai") == 0;
	}
	free(slots);
	CHECK(found);
	CHECK(token_delete(world->gateway_token, id, &err) == 0);
	CHECK(token_delete(world->gateway_token, id, &err) == TOKEN_NOT_FOUND);
	buf_reset(&der);
	CHECK(token_certificate_get(world->gateway_token, id, &der, &err) == TOKEN_NOT_FOUND);
	/* The deleted key signs no more, and says so. */
	CHECK(token_sign(key, "x", 1, &der, &err) == TOKEN_NOT_FOUND);
}

TEST(data_objects_are_replaced)
{
	struct world *world = world_get();
	AUTO_BUF struct buf bytes = BUF(4096);
	struct err err = { 0 };

	CHECK(token_data_get(world->gateway_token, "note", &bytes, &err) == TOKEN_NOT_FOUND);
	CHECK(token_data_put(world->gateway_token, "note", "one", 3, &err) == 0);
	CHECK(token_data_put(world->gateway_token, "note", "two!", 4, &err) == 0);
	CHECK(token_data_get(world->gateway_token, "note", &bytes, &err) == 0);
	CHECK_TEXT(buf_text(&bytes), "two!");
	CHECK(token_data_delete(world->gateway_token, "note", &err) == 0);
	CHECK(token_data_delete(world->gateway_token, "note", &err) == TOKEN_NOT_FOUND);
}

/* A second module user in the process ends the module: every handle opens itself again. */
TEST(handles_get_over_a_restart_of_their_module)
{
	struct world *world = world_get();
	AUTO(token) struct token *other = NULL;
	AUTO(token_key) struct token_key *key = NULL;
	AUTO_BUF struct buf signature = BUF(4096);
	CK_RV (*finalize)(void *) = NULL;
	struct err err = { 0 };
	unsigned before;
	void *module = dlopen(WORLD_MODULE, RTLD_NOW | RTLD_LOCAL);

	CHECK(module != NULL);
	finalize = (CK_RV(*)(void *))dlsym(module, "C_Finalize");
	CHECK(finalize != NULL);
	CHECK(token_new(WORLD_MODULE, "authorities", WORLD_PIN, &other) == 0);
	CHECK(token_key_find_label(other, "root", &key, &err) == 0);
	CHECK(token_sign(world->device_key, "w", 1, &signature, &err) == 0);
	before = token_recovery_count(world->gateway_token);
	CHECK(finalize(NULL) == CKR_OK);
	buf_reset(&signature);
	CHECK(token_sign(key, "x", 1, &signature, &err) == 0 && fits(key, "x", &signature));
	CHECK(token_recovery_count(other) == 1);
	buf_reset(&signature);
	CHECK(token_sign(world->device_key, "y", 1, &signature, &err) == 0);
	CHECK(fits(world->device_key, "y", &signature));
	CHECK(token_recovery_count(world->gateway_token) == before);
	dlclose(module);
}

/* The real thing: a forwarder whose child, the one that talks to the token, is killed. */
struct forwarder {
	pid_t pid;
	char socket[96];
};

static void forwarder_start(struct forwarder *forwarder, const char *token)
{
	AUTO_STRING char *uri = mem_format("pkcs11:token=%s", token);

	snprintf(forwarder->socket, sizeof(forwarder->socket), "%s/forward", world_directory());
	unlink(forwarder->socket);
	forwarder->pid = fork();
	if (forwarder->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGTERM); /* a failed check leaves the test by a jump */
		unsetenv("LD_PRELOAD");
		/* It prints shell variables, which are not TAP. */
		if (!freopen("/dev/null", "w", stdout)) {
			_exit(127);
		}
		execlp("p11-kit", "p11-kit", "server", "--foreground", "--provider", WORLD_MODULE,
		        "--name", forwarder->socket, uri, (char *)NULL);
		_exit(127);
	}
	for (int i = 0; i < 200 && access(forwarder->socket, F_OK) != 0; i++) {
		usleep(20000);
	}
}

/* Kills the children of the listener, by their ids. */
static int kill_children(pid_t parent)
{
	AUTO_STRING char *path = mem_format("/proc/%d/task/%d/children", (int)parent, (int)parent);
	FILE *file = fopen(path, "r");
	int killed = 0, child;

	while (file && fscanf(file, "%d", &child) == 1) {
		killed += kill(child, SIGKILL) == 0;
	}
	if (file) {
		fclose(file);
	}
	return killed;
}

TEST(a_dead_forwarder_is_got_over)
{
	AUTO(token) struct token *token = NULL;
	AUTO(token_key) struct token_key *key = NULL;
	struct forwarder forwarder;
	AUTO_STRING char *address = NULL;
	struct err err = { 0 };

	world_get();
	CHECK(access(P11_KIT_CLIENT, R_OK) == 0); /* package p11-kit-modules */
	forwarder_start(&forwarder, "gateway");
	address = mem_format("unix:path=%s", forwarder.socket);
	setenv("P11_KIT_SERVER_ADDRESS", address, 1);
	CHECK(token_new(P11_KIT_CLIENT, "gateway", WORLD_PIN, &token) == 0);
	CHECK(token_key_find(token, TOKEN_ID_DEVICE, &key, &err) == 0);
	for (int round = 0; round < 3; round++) {
		AUTO_BUF struct buf signature = BUF(1024);

		CHECK(token_recovery_count(token) == (unsigned)round);
		CHECK(token_sign(key, "before", 6, &signature, &err) == 0 &&
		        fits(key, "before", &signature));
		CHECK(kill_children(forwarder.pid) >= 1);
		usleep(50000);
		buf_reset(&signature);
		CHECK(token_sign(key, "after", 5, &signature, &err) == 0 &&
		        fits(key, "after", &signature));
		CHECK(token_recovery_count(token) == (unsigned)round + 1);
	}
	/* With the listener gone as well it is an outcome, not a crash; when it is back, so are we.
	 */
	{
		AUTO_BUF struct buf signature = BUF(1024);

		kill_children(forwarder.pid);
		kill(forwarder.pid, SIGTERM);
		waitpid(forwarder.pid, NULL, 0);
		CHECK(token_sign(key, "gone", 4, &signature, &err) == TOKEN_MISSING);
		forwarder_start(&forwarder, "gateway");
		CHECK(token_sign(key, "back", 4, &signature, &err) == 0 &&
		        fits(key, "back", &signature));
	}
	kill_children(forwarder.pid);
	kill(forwarder.pid, SIGTERM);
	waitpid(forwarder.pid, NULL, 0);
}

TEST_MAIN()
