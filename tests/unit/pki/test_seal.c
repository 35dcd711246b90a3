#include "../check.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/obj_mac.h>

#include "base/str.h"
#include "pki/device_information.h"
#include "pki/seal.h"
#include "pki/statement.h"
#include "wire/jws.h"
#include "world.h"

static char *sealed(struct token_key *key, const char *typ, const char *payload)
{
	struct buf text = BUF(JWS_SMALL_BYTES_MAX);

	CHECK(seal_sign(key, typ, payload, strlen(payload), &text, NULL) == 0);
	return buf_take_text(&text);
}

static int opened(const char *text, const char *typ, const struct key *key, struct buf *payload)
{
	const struct key *keys[] = { key };

	buf_reset(payload);
	return seal_open(text, strlen(text), typ, keys, 1, payload, NULL, NULL);
}

TEST(a_seal_opens_as_what_it_was_sealed)
{
	struct world *world = world_get();
	AUTO(key)
	struct key *key = world_key(world->device_key), *other = world_key(world->service_key);
	AUTO_STRING char *text = sealed(world->device_key, "sekisho-grant", "{\"a\":1}");
	AUTO_BUF struct buf payload = BUF(256);
	const struct key *keys[] = { other, key }, *who = NULL;
	struct key_id id;

	CHECK(seal_open(text, strlen(text), "sekisho-grant", keys, 2, &payload, &who, NULL) == 0);
	CHECK_TEXT(buf_text(&payload), "{\"a\":1}");
	CHECK(who == key);
	CHECK(opened(text, "sekisho-lease", key, &payload) == SEAL_WRONG_TYPE);
	CHECK(opened(text, "sekisho-grant", other, &payload) == SEAL_UNKNOWN_KEY);
	buf_reset(&payload);
	CHECK(seal_peek(text, strlen(text), "sekisho-grant", &payload, &id, NULL) == 0);
	CHECK_TEXT(id.text, key_id(key).text);
}

TEST(any_change_of_a_seal_is_refused)
{
	struct world *world = world_get();
	AUTO(key) struct key *key = world_key(world->device_key);
	AUTO_STRING char *text = sealed(world->device_key, "sekisho-grant", "{\"a\":1}");
	AUTO_BUF struct buf payload = BUF(256);

	for (size_t i = 0; text[i]; i++) {
		char kept = text[i];

		text[i] = kept == 'A' ? 'B' : 'A';
		CHECK(opened(text, "sekisho-grant", key, &payload) > 0 && payload.count == 0);
		text[i] = '\0';
		CHECK(opened(text, "sekisho-grant", key, &payload) > 0 && payload.count == 0);
		text[i] = kept;
	}
	CHECK(opened(text, "sekisho-grant", key, &payload) == 0);
}

/* A header as `format` has it, with the key id put in, over the good payload and signed well. */
static int with_header(const char *before, const char *after)
{
	struct world *world = world_get();
	AUTO(key) struct key *key = world_key(world->device_key);
	AUTO_BUF struct buf text = BUF(1024), signature = BUF(1024), payload = BUF(256);
	AUTO_STRING char *header = mem_format("%s%s%s", before, key_id(key).text, after);
	uint8_t digest[32];
	struct key_hash made;

	base64url_add(&text, header, strlen(header));
	buf_add_text(&text, ".e30");
	made = key_hash_of(text.bytes, text.count);
	memcpy(digest, made.bytes, sizeof(digest));
	CHECK(token_sign_digest(world->device_key, TOKEN_SHA256, digest, &signature, NULL) == 0);
	jws_print_signature(signature.bytes, &text);
	return opened(buf_text(&text), "t", key, &payload);
}

TEST(there_is_one_header)
{
	CHECK(with_header("{\"alg\":\"ES256\",\"kid\":\"", "\",\"typ\":\"t\"}") == 0);
	CHECK(with_header("{\"alg\":\"none\",\"kid\":\"", "\",\"typ\":\"t\"}") == SEAL_MALFORMED);
	CHECK(with_header("{\"alg\":\"HS256\",\"kid\":\"", "\",\"typ\":\"t\"}") == SEAL_MALFORMED);
	CHECK(with_header("{\"alg\":\"ES256\",\"kid\":\"", "\",\"typ\":\"t\",\"crit\":[]}") ==
	        SEAL_MALFORMED);
	CHECK(with_header("{\"alg\":\"ES256\",\"jwk\":{},\"kid\":\"", "\",\"typ\":\"t\"}") ==
	        SEAL_MALFORMED);
	CHECK(with_header("{ \"alg\":\"ES256\",\"kid\":\"", "\",\"typ\":\"t\"}") == SEAL_MALFORMED);
	CHECK(with_header("{\"alg\":\"ES256\",\"kid\":\"", "\",\"typ\":\"T\"}") == SEAL_MALFORMED);
	CHECK(with_header("{\"alg\":\"ES256\",\"kid\":\"", "\",\"typ\":\"\"}") == SEAL_MALFORMED);
	CHECK(with_header("{\"alg\":\"ES256\",\"kid\":\"", "\"}") == SEAL_MALFORMED);
	CHECK(with_header("", "") == SEAL_MALFORMED);
}

/* s and n - s both verify: that is ECDSA, and why nothing may be identified by a signature (A05).
 */
TEST(a_mirrored_signature_gives_the_same_payload)
{
	struct world *world = world_get();
	AUTO(key) struct key *key = world_key(world->device_key);
	AUTO_STRING char *text = sealed(world->device_key, "t", "{\"id\":7}");
	AUTO_BUF struct buf payload = BUF(256), again = BUF(JWS_SMALL_BYTES_MAX);
	EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
	BIGNUM *s = NULL;
	struct jws jws;

	CHECK(jws_split(text, strlen(text), &jws, &payload) == 0);
	s = BN_bin2bn(jws.signature + 32, 32, NULL);
	CHECK(BN_sub(s, EC_GROUP_get0_order(group), s) &&
	        BN_bn2binpad(s, jws.signature + 32, 32) == 32);
	BN_free(s);
	EC_GROUP_free(group);
	buf_add(&again, text, jws.signed_count);
	jws_print_signature(jws.signature, &again);
	CHECK(strcmp(buf_text(&again), text) != 0);
	CHECK(opened(buf_text(&again), "t", key, &payload) == 0);
	CHECK_TEXT(buf_text(&payload), "{\"id\":7}");
}

TEST(only_p256_keys_seal)
{
	struct world *world = world_get();
	AUTO_BUF struct buf text = BUF(JWS_SMALL_BYTES_MAX);
	struct err err = { 0 };

	CHECK(seal_sign(world->root_key, "t", "{}", 2, &text, &err) == TOKEN_NOT_OFFERED);
	CHECK(seal_sign(world->service_ca_key, "t", "{}", 2, &text, &err) == TOKEN_NOT_OFFERED);
}

static struct statement *make_statement(uint64_t seq, enum statement_state state)
{
	struct world *world = world_get();
	struct statement *statement = mem_new(1, sizeof(*statement));

	statement->seq = seq;
	statement->role = STATEMENT_PROVIDER;
	statement->state = state;
	strcpy(statement->id, "kanto");
	statement->not_before = world->now;
	statement->not_after = world->now + 86400 * USEC_PER_SEC;
	statement->issued_at = world->now;
	statement->keys[0] =
	        (struct statement_key){ STATEMENT_USE_GRANT, world_key(world->service_key) };
	statement->keys[1] =
	        (struct statement_key){ STATEMENT_USE_POLICY, world_key(world->device_key) };
	statement->key_count = 2;
	return statement;
}

TEST(statements_seal_and_open)
{
	struct world *world = world_get();
	AUTO(statement) struct statement *made = make_statement(3, STATEMENT_GRANTED), *read = NULL;
	AUTO(key) struct key *accreditor = world_key(world->device_ca_key);
	AUTO(key) struct key *other = world_key(world->server_key);
	const struct key *keys[] = { accreditor }, *wrong[] = { other };
	AUTO_BUF struct buf text = BUF(JWS_SMALL_BYTES_MAX), first = BUF(8192), second = BUF(8192);

	CHECK(statement_sign(made, world->device_ca_key, &text, NULL) == 0);
	CHECK(statement_open(buf_text(&text), text.count, wrong, 1, &read, NULL) ==
	        SEAL_UNKNOWN_KEY);
	CHECK(statement_open(buf_text(&text), text.count, keys, 1, &read, NULL) == 0);
	statement_print(made, &first);
	statement_print(read, &second);
	CHECK_TEXT(buf_text(&second), buf_text(&first));
	CHECK(read->seq == 3 && read->role == STATEMENT_PROVIDER && read->key_count == 2);
}

TEST(a_set_never_goes_back)
{
	struct world *world = world_get();
	AUTO(statement_set) struct statement_set *set = statement_set_new();
	const struct key *keys[STATEMENT_KEYS_MAX];
	AUTO(key) struct key *grant = world_key(world->service_key);
	int64_t now = world->now + 1;

	CHECK(!statement_set_accredited(set, STATEMENT_PROVIDER, "kanto", now));
	CHECK(statement_set_take(set, make_statement(2, STATEMENT_GRANTED)) == 0);
	CHECK(statement_set_accredited(set, STATEMENT_PROVIDER, "kanto", now));
	CHECK(!statement_set_accredited(set, STATEMENT_PROVIDER, "kansai", now));
	CHECK(!statement_set_accredited(set, STATEMENT_MAKER, "kanto", now));
	CHECK(!statement_set_accredited(set, STATEMENT_PROVIDER, "kanto", world->now - 1));
	CHECK(!statement_set_accredited(
	        set, STATEMENT_PROVIDER, "kanto", world->now + 86400 * USEC_PER_SEC));
	CHECK(statement_set_keys(
	              set, STATEMENT_PROVIDER, "kanto", STATEMENT_USE_GRANT, now, keys) == 1);
	CHECK(key_hash_equal(key_hash(keys[0]), key_hash(grant)));
	CHECK(statement_set_keys(
	              set, STATEMENT_PROVIDER, "kanto", STATEMENT_USE_CHECKPOINT, now, keys) == 0);
	CHECK(statement_set_find_key(
	        set, STATEMENT_PROVIDER, STATEMENT_USE_GRANT, key_hash(grant), now));
	CHECK(!statement_set_find_key(
	        set, STATEMENT_PROVIDER, STATEMENT_USE_POLICY, key_hash(grant), now));
	CHECK(statement_set_take(set, make_statement(4, STATEMENT_WITHDRAWN)) == 0);
	CHECK(!statement_set_accredited(set, STATEMENT_PROVIDER, "kanto", now));
	CHECK(statement_set_keys(
	              set, STATEMENT_PROVIDER, "kanto", STATEMENT_USE_GRANT, now, keys) == 0);
	CHECK(statement_set_take(set, make_statement(3, STATEMENT_GRANTED)) == 1);
	CHECK(statement_set_take(set, make_statement(4, STATEMENT_GRANTED)) == 1);
	CHECK(!statement_set_accredited(set, STATEMENT_PROVIDER, "kanto", now));
	CHECK(statement_set_count(set) == 1);
}

/* Replaces the first `from` in the payload of a good statement; it must be refused, naming `why`.
 */
static bool refused(const char *from, const char *to, const char *why)
{
	AUTO(statement) struct statement *made = make_statement(3, STATEMENT_GRANTED), *read = NULL;
	AUTO_BUF struct buf payload = BUF(8192);
	AUTO_STRING char *changed = NULL;
	struct err err = { 0 };
	const char *at;

	statement_print(made, &payload);
	at = strstr(buf_text(&payload), from);
	CHECK(at != NULL);
	changed = mem_format("%.*s%s%s", (int)(at - buf_text(&payload)), buf_text(&payload), to,
	        at + strlen(from));
	if (statement_parse(changed, strlen(changed), &read, &err) != 1 || !strstr(err.text, why)) {
		printf("# %s -> %s: %s\n", from, to, err.text);
		return false;
	}
	return true;
}

TEST(statements_are_read_strictly)
{
	CHECK(refused("\"v\":1", "\"v\":2", "v"));
	CHECK(refused("\"seq\":3", "\"seq\":0", "seq"));
	CHECK(refused("\"seq\":3", "\"seq\":3,\"seq\":4", "already"));
	CHECK(refused("\"provider\"", "\"god\"", "role"));
	CHECK(refused("\"kanto\"", "\"Kanto\"", "id"));
	CHECK(refused("\"granted\"", "\"granted\",\"note\":1", "note"));
	CHECK(refused("\"use\":\"grant\"", "\"use\":\"ca\"", "use"));
	CHECK(refused("\"spki\":\"M", "\"spki\":\"N", "spki"));
	CHECK(refused("{\"", "{ \"", "canonical"));
	CHECK(refused(",\"v\":1", "", "v"));
}

TEST(device_information_is_bound_to_its_box)
{
	struct world *world = world_get();
	struct device_information made = { .maker = "acme",
		.model = "SG-1",
		.serial = "AC000017",
		.firmware = "1.0",
		.made_at = world->now },
	                          read;
	AUTO(key) struct key *maker = world_key(world->server_key);
	const struct key *keys[] = { maker };
	AUTO_BUF struct buf text = BUF(JWS_SMALL_BYTES_MAX), stored = BUF(JWS_SMALL_BYTES_MAX);
	struct err err = { 0 };
	const uint8_t *spki = token_key_spki(world->device_key, &made.spki_count);
	size_t count;

	memcpy(made.spki, spki, made.spki_count);
	CHECK(device_information_sign(&made, world->server_key, &text, &err) == 0);
	CHECK(token_data_put(world->gateway_token, DEVICE_INFORMATION_LABEL, text.bytes, text.count,
	              &err) == 0);
	CHECK(token_data_get(world->gateway_token, DEVICE_INFORMATION_LABEL, &stored, &err) == 0);
	CHECK(device_information_open(buf_text(&stored), stored.count, keys, 1, &read, &err) == 0);
	CHECK(device_information_check(&read, world->device, &err) == 0);

	made = read;
	strcpy(read.serial, "AC000018");
	CHECK(device_information_check(&read, world->device, &err) == 1 &&
	        strstr(err.text, "AC000018"));
	read = made;
	strcpy(read.maker, "evil");
	CHECK(device_information_check(&read, world->device, &err) == 1);
	read = made;
	strcpy(read.model, "SG-2");
	CHECK(device_information_check(&read, world->device, &err) == 1);
	read = made;
	spki = token_key_spki(world->service_key, &count);
	memcpy(read.spki, spki, count);
	CHECK(device_information_check(&read, world->device, &err) == 1 && strstr(err.text, "key"));
	for (size_t i = 0; i < stored.count; i += 7) {
		uint8_t kept = stored.bytes[i];

		stored.bytes[i] = kept == 'A' ? 'B' : 'A';
		CHECK(device_information_open(
		              buf_text(&stored), stored.count, keys, 1, &read, &err) > 0);
		stored.bytes[i] = kept;
	}
	strcpy(made.model, "SG\n1");
	CHECK(device_information_sign(&made, world->server_key, &text, &err) == 100);
}

TEST_MAIN()
