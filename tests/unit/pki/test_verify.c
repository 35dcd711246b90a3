#include "../check.h"

#include <openssl/x509.h>

#include "base/str.h"
#include "pki/crl.h"
#include "pki/ocsp.h"
#include "pki/statement.h"
#include "pki/verify.h"
#include "world.h"

#define DAY (86400 * USEC_PER_SEC)

static struct crl *make_crl(const struct ca *ca, const struct crl_entry *entries, size_t count,
        uint64_t number, int64_t from, int64_t to)
{
	AUTO_BUF struct buf der = BUF(CRL_DER_BYTES_MAX);
	struct crl *crl = NULL;
	struct err err = { 0 };

	CHECK(crl_build(ca, entries, count, number, from, to, &der, &err) == 0);
	CHECK(crl_parse(der.bytes, der.count, &crl, &err) == 0);
	return crl;
}

static struct crl_entry entry_of(const struct cert *cert, enum crl_reason reason)
{
	struct crl_entry entry = { .revoked_usec = world_get()->now - DAY, .reason = reason };

	CHECK(text_copy(entry.serial, sizeof(entry.serial), cert_serial(cert)) == 0);
	return entry;
}

/* A verifier of this world; with current and empty CRLs if the rules ask for them. */
static struct verifier *make_verifier(struct verify_rules rules)
{
	struct world *world = world_get();
	struct verifier *verifier = verifier_new(rules);

	CHECK(verifier_add_root(verifier, world->root, NULL) == 0);
	CHECK(verifier_add_ca(verifier, world->device_ca, NULL) == 0);
	CHECK(verifier_add_ca(verifier, world->service_ca, NULL) == 0);
	if (rules.revocation_required) {
		const struct ca *all[] = { world->root_authority, world->device_authority,
			world->service_authority };

		for (size_t i = 0; i < ARRAY_COUNT(all); i++) {
			CHECK(verifier_take_crl(verifier,
			              make_crl(all[i], NULL, 0, 1, world->now - DAY,
			                      world->now + DAY),
			              NULL) == 0);
		}
	}
	return verifier;
}

static const struct verify_rules strict = { .revocation_required = true };

#define BOTH (CERT_SET(CERT_DEVICE) | CERT_SET(CERT_SERVICE))

static int check(
        const struct verifier *verifier, const struct cert *leaf, unsigned kinds, int64_t now)
{
	struct err err = { 0 };
	int r = verify_cert(verifier, leaf, NULL, 0, kinds, now, &err);

	if (r != 0) {
		printf("# %s: %s\n", verify_outcome_name(r), err.text);
	}
	return r;
}

TEST(good_certificates_are_good_and_of_one_tier)
{
	struct world *world = world_get();
	AUTO(verifier) struct verifier *verifier = make_verifier(strict);

	CHECK(check(verifier, world->device, CERT_SET(CERT_DEVICE), world->now) == 0);
	CHECK(check(verifier, world->service, CERT_SET(CERT_SERVICE), world->now) == 0);
	CHECK(check(verifier, world->server, CERT_SET(CERT_SERVER), world->now) == 0);
	CHECK(check(verifier, world->service_ca, CERT_SET(CERT_SERVICE_CA), world->now) == 0);
	CHECK(check(verifier, world->device, CERT_SET(CERT_SERVICE), world->now) ==
	        VERIFY_WRONG_KIND);
	CHECK(check(verifier, world->service, CERT_SET(CERT_DEVICE), world->now) ==
	        VERIFY_WRONG_KIND);
	CHECK(check(verifier, world->server, BOTH, world->now) == VERIFY_WRONG_KIND);
	CHECK(check(verifier, world->root, ~0u, world->now) == VERIFY_WRONG_KIND);
	CHECK(verifier_issuer(verifier, world->service) != NULL);
	CHECK(verifier_crl_age_sec(verifier, world->now) == 86400);
}

TEST(time_is_checked_for_the_whole_chain)
{
	struct world *world = world_get();
	AUTO(verifier) struct verifier *verifier = make_verifier((struct verify_rules){ 0 });

	CHECK(check(verifier, world->service, BOTH, world->now) == 0);
	CHECK(check(verifier, world->service, BOTH, cert_not_before_usec(world->service) - 1) ==
	        VERIFY_NOT_YET_VALID);
	CHECK(check(verifier, world->service, BOTH,
	              cert_not_after_usec(world->service) - USEC_PER_SEC) == 0);
	CHECK(check(verifier, world->service, BOTH, cert_not_after_usec(world->service)) ==
	        VERIFY_EXPIRED);
}

TEST(revoked_ones_are_refused_and_a_hold_can_be_lifted)
{
	struct world *world = world_get();
	AUTO(verifier) struct verifier *verifier = make_verifier(strict);
	struct crl_entry entry = entry_of(world->service, CRL_HOLD);

	CHECK(verifier_take_crl(verifier,
	              make_crl(
	                      world->service_authority, &entry, 1, 2, world->now, world->now + DAY),
	              NULL) == 0);
	CHECK(check(verifier, world->service, BOTH, world->now) == VERIFY_REVOKED);
	CHECK(check(verifier, world->device, BOTH, world->now) == 0); /* B1: the other tier stays */
	CHECK(check(verifier, world->server, CERT_SET(CERT_SERVER), world->now) == 0);
	/* The older list cannot be played back. */
	CHECK(verifier_take_crl(verifier,
	              make_crl(world->service_authority, NULL, 0, 1, world->now, world->now + DAY),
	              NULL) == 2);
	CHECK(check(verifier, world->service, BOTH, world->now) == VERIFY_REVOKED);
	/* Even when the list is too old, who is on it stays out. */
	CHECK(check(verifier, world->service, BOTH, world->now + 2 * DAY) == VERIFY_REVOKED);
	CHECK(verifier_take_crl(verifier,
	              make_crl(world->service_authority, NULL, 0, 3, world->now, world->now + DAY),
	              NULL) == 0);
	CHECK(check(verifier, world->service, BOTH, world->now) == 0);
	entry = entry_of(world->service_ca, CRL_CA_COMPROMISE);
	CHECK(verifier_take_crl(verifier,
	              make_crl(world->root_authority, &entry, 1, 2, world->now, world->now + DAY),
	              NULL) == 0);
	CHECK(check(verifier, world->service, BOTH, world->now) == VERIFY_REVOKED);
	CHECK(check(verifier, world->device, BOTH, world->now) == 0);
}

TEST(stale_fails_closed)
{
	struct world *world = world_get();
	AUTO(verifier)
	struct verifier *verifier = make_verifier(strict), *bare = verifier_new(strict);

	CHECK(check(verifier, world->service, BOTH, world->now + DAY - 1) == 0);
	CHECK(check(verifier, world->service, BOTH, world->now + DAY) == VERIFY_STALE);
	CHECK(check(verifier, world->device, BOTH, world->now + DAY) == VERIFY_STALE);
	CHECK(verifier_add_root(bare, world->root, NULL) == 0);
	CHECK(verifier_add_ca(bare, world->service_ca, NULL) == 0);
	CHECK(check(bare, world->service, BOTH, world->now) == VERIFY_STALE);
	CHECK(verifier_crl_age_sec(bare, world->now) == -1);
}

TEST(strangers_are_unknown)
{
	struct world *world = world_get();
	AUTO(verifier) struct verifier *verifier = make_verifier((struct verify_rules){ 0 });
	AUTO(verifier) struct verifier *empty = verifier_new((struct verify_rules){ 0 });
	AUTO(verifier) struct verifier *root_only = verifier_new((struct verify_rules){ 0 });
	AUTO(token_key) struct token_key *key = NULL;
	AUTO(key) struct key *public = NULL, *leaf_key = world_key(world->service_key);
	AUTO(cert) struct cert *root = NULL, *ca_cert = NULL, *leaf = NULL;
	AUTO(ca) struct ca *root_ca = NULL, *ca = NULL;
	const struct cert *extra[] = { world->service_ca }, *evil[1];
	struct ca_request request;

	CHECK(check(empty, world->service, BOTH, world->now) == VERIFY_UNKNOWN_ISSUER);
	/* Another accreditor with the very same names. */
	CHECK(token_key_generate(world->ca_token, TOKEN_KEY_EC_P384, 0x60, "evil", &key, NULL) ==
	        0);
	public = world_key(key);
	request = world_request(CERT_ROOT, public, 7300);
	CHECK(ca_make_root(key, &request, &root, NULL) == 0);
	CHECK(ca_new(root, key, &root_ca, NULL) == 0);
	{
		AUTO(key) struct key *device_ca_key = world_key(world->device_ca_key);

		request = world_request(CERT_SERVICE_CA, device_ca_key, 3650);
		CHECK(ca_issue(root_ca, &request, &ca_cert, NULL) == 0);
		CHECK(ca_new(ca_cert, world->device_ca_key, &ca, NULL) == 0);
	}
	request = world_request(CERT_SERVICE, leaf_key, 30);
	CHECK(ca_issue(ca, &request, &leaf, NULL) == 0);
	CHECK(check(verifier, leaf, BOTH, world->now) == VERIFY_UNKNOWN_ISSUER);
	evil[0] = ca_cert;
	CHECK(verify_cert(verifier, leaf, evil, 1, BOTH, world->now, NULL) ==
	        VERIFY_UNKNOWN_ISSUER);
	CHECK(verifier_add_ca(verifier, ca_cert, NULL) == 1);
	/* A CA that the peer sends along counts only under a pinned root. */
	CHECK(verifier_add_root(root_only, world->root, NULL) == 0);
	CHECK(check(root_only, world->service, BOTH, world->now) == VERIFY_UNKNOWN_ISSUER);
	CHECK(verify_cert(root_only, world->service, extra, 1, BOTH, world->now, NULL) == 0);
	CHECK(verifier_add_root(root_only, world->service_ca, NULL) == 1);
}

static struct statement *accredit(enum statement_role role, const char *id,
        const struct token_key *key, uint64_t seq, enum statement_state state)
{
	struct world *world = world_get();
	struct statement *statement = mem_new(1, sizeof(*statement));

	statement->seq = seq;
	statement->role = role;
	statement->state = state;
	CHECK(text_copy(statement->id, sizeof(statement->id), id) == 0);
	statement->not_before = world->now - DAY;
	statement->not_after = world->now + DAY;
	statement->issued_at = world->now;
	statement->keys[0] = (struct statement_key){ STATEMENT_USE_CA, world_key(key) };
	statement->key_count = 1;
	return statement;
}

TEST(an_issuer_that_is_not_accredited_is_refused)
{
	struct world *world = world_get();
	AUTO(statement_set) struct statement_set *set = statement_set_new();
	AUTO(verifier)
	struct verifier *verifier =
	        make_verifier((struct verify_rules){ .accreditation_required = true });

	CHECK(check(verifier, world->service, BOTH, world->now) == VERIFY_NOT_ACCREDITED);
	verifier_set_statements(verifier, set);
	CHECK(check(verifier, world->service, BOTH, world->now) == VERIFY_NOT_ACCREDITED);
	CHECK(statement_set_take(set, accredit(STATEMENT_SERVICE_CA, "kanto-ca",
	                                      world->service_ca_key, 1, STATEMENT_GRANTED)) == 0);
	CHECK(check(verifier, world->service, BOTH, world->now) == 0);
	CHECK(check(verifier, world->device, BOTH, world->now) == VERIFY_NOT_ACCREDITED);
	CHECK(check(verifier, world->service, BOTH, world->now + DAY) == VERIFY_NOT_ACCREDITED);
	CHECK(statement_set_take(set, accredit(STATEMENT_SERVICE_CA, "kanto-ca",
	                                      world->service_ca_key, 2, STATEMENT_SUSPENDED)) == 0);
	CHECK(check(verifier, world->service, BOTH, world->now) == VERIFY_NOT_ACCREDITED);
}

TEST(openssl_reads_our_crls)
{
	struct world *world = world_get();
	struct crl_entry entry = entry_of(world->service, CRL_KEY_COMPROMISE);
	AUTO(crl)
	struct crl *list = make_crl(
	        world->service_authority, &entry, 1, 7, world->now - DAY, world->now + DAY);
	AUTO(crl)
	struct crl *top =
	        make_crl(world->root_authority, NULL, 0, 1, world->now - DAY, world->now + DAY);
	AUTO_STRING char *root = world_write_cert("root.pem", world->root);
	AUTO_STRING char *ca = world_write_cert("ca.pem", world->service_ca);
	AUTO_STRING char *revoked = world_write_cert("revoked.pem", world->service);
	AUTO_STRING char *good = world_write_cert("good.pem", world->server);
	AUTO_STRING char *first = NULL, *second = NULL;
	const uint8_t *der;
	size_t count;

	der = crl_der(list, &count);
	first = world_write("list.der", der, count);
	der = crl_der(top, &count);
	second = world_write("top.der", der, count);
	CHECK(world_run("openssl crl -inform DER -in list.der -out list.pem -CAfile ca.pem && "
	                "openssl crl -inform DER -in top.der -out top.pem && cat list.pem top.pem "
	                "> crls.pem") == 0);
	CHECK(world_run("openssl crl -in list.pem -noout -text | grep -q 'Key Compromise'") == 0);
	CHECK(world_run("openssl crl -in list.pem -noout -crlnumber | grep -q 07") == 0);
	CHECK(world_run(
	              "openssl verify -crl_check_all -CAfile %s -untrusted %s -CRLfile crls.pem %s",
	              root, ca, good) == 0);
	CHECK(world_run(
	              "openssl verify -crl_check_all -CAfile %s -untrusted %s -CRLfile crls.pem %s",
	              root, ca, revoked) != 0);
	CHECK(world_run("openssl verify -crl_check_all -CAfile %s -untrusted %s -CRLfile crls.pem "
	                "%s 2>&1 | "
	                "grep -q 'certificate revoked'",
	              root, ca, revoked) == 0);
}

TEST(crls_of_others_and_changed_ones_are_refused)
{
	struct world *world = world_get();
	AUTO(verifier) struct verifier *verifier = make_verifier(strict);
	AUTO_BUF struct buf der = BUF(CRL_DER_BYTES_MAX);
	struct crl_entry entry = entry_of(world->device, CRL_UNSPECIFIED), bad = entry;
	struct err err = { 0 };

	CHECK(crl_build(world->device_authority, &entry, 1, 5, world->now, world->now + DAY, &der,
	              &err) == 0);
	for (size_t i = 0; i < der.count; i += 3) {
		uint8_t kept = der.bytes[i];
		struct crl *crl = NULL;

		der.bytes[i] ^= 0x55;
		if (crl_parse(der.bytes, der.count, &crl, NULL) == 0) {
			CHECK(verifier_take_crl(verifier, crl, NULL) == 1);
		}
		der.bytes[i] = kept;
	}
	bad.serial[0] = 'x';
	CHECK(crl_build(world->device_authority, &bad, 1, 6, world->now, world->now + DAY, &der,
	              &err) == CA_REFUSED);
	CHECK(crl_build(world->device_authority, NULL, 0, 6, world->now, world->now, &der, &err) ==
	        CA_REFUSED);
}

TEST(a_list_of_100000_is_quick)
{
	struct world *world = world_get();
	size_t count = 100000;
	struct crl_entry *entries = mem_new(count, sizeof(*entries));
	AUTO_BUF struct buf der = BUF(CRL_DER_BYTES_MAX);
	AUTO(crl) struct crl *crl = NULL;
	int64_t start, built, parsed;
	struct err err = { 0 };
	char wanted[2 * CERT_SERIAL_BYTES_MAX + 1];

	for (size_t i = 0; i < count; i++) {
		uint8_t serial[20];

		random_fill(serial, sizeof(serial));
		serial[0] = 0x40 | (serial[0] & 0x3f);
		hex_print(serial, sizeof(serial), entries[i].serial);
		entries[i].revoked_usec = world->now;
		entries[i].reason = CRL_SUPERSEDED;
	}
	memcpy(wanted, entries[77777].serial, sizeof(wanted));
	start = clock_monotonic_usec();
	CHECK(crl_build(world->device_authority, entries, count, 9, world->now, world->now + DAY,
	              &der, &err) == 0);
	built = clock_monotonic_usec();
	free(entries);
	CHECK(crl_parse(der.bytes, der.count, &crl, &err) == 0);
	parsed = clock_monotonic_usec();
	printf("# %zu bytes, built in %lld ms, read in %lld ms\n", der.count,
	        (long long)(built - start) / 1000, (long long)(parsed - built) / 1000);
	CHECK(crl_count(crl) == count && crl_find(crl, wanted) && !crl_find(crl, "41"));
	CHECK(crl_verify(crl, world->device_ca, &err) == 0);
	CHECK(crl_verify(crl, world->service_ca, &err) == 1);
	CHECK(built - start <
	        20 * USEC_PER_SEC); /* L7's 2 s, with room for sanitizers and a busy machine */
}

static struct ocsp_status look_up(void *context, const char *serial)
{
	struct world *world = context;

	if (strcmp(serial, cert_serial(world->server)) == 0) {
		return (struct ocsp_status){ .state = OCSP_GOOD };
	}
	if (strcmp(serial, cert_serial(world->service)) == 0) {
		return (struct ocsp_status){ OCSP_REVOKED, world->now - DAY, CRL_KEY_COMPROMISE };
	}
	return (struct ocsp_status){ 0 };
}

struct responder {
	struct token_key *key;
	struct cert *cert;
	struct ocsp *ocsp;
};

static void responder_make(struct responder *responder, uint8_t id)
{
	struct world *world = world_get();
	struct err err = { 0 };
	struct key *key;
	struct ca_request request;

	CHECK(token_key_generate(
	              world->ca_token, TOKEN_KEY_EC_P256, id, "ocsp", &responder->key, &err) == 0);
	key = world_key(responder->key);
	request = world_request(CERT_OCSP_RESPONDER, key, 30);
	CHECK(ca_issue(world->service_authority, &request, &responder->cert, &err) == 0);
	key_free(key);
	CHECK(ocsp_new(world->device_ca, responder->cert, responder->key, &responder->ocsp, &err) ==
	        1);
	CHECK(ocsp_new(world->service_ca, responder->cert, responder->key, &responder->ocsp,
	              &err) == 0);
}

static void responder_end(struct responder *responder)
{
	struct world *world = world_get();
	struct err err = { 0 };

	ocsp_free(responder->ocsp);
	cert_free(responder->cert);
	token_key_free(responder->key);
	CHECK(token_delete(world->ca_token, 0x70, &err) == 0);
}

static int answer_file(const struct responder *responder, const char *request_name)
{
	struct world *world = world_get();
	AUTO_STRING char *path = mem_format("%s/%s", world_directory(), request_name),
	                 *written = NULL;
	AUTO_BUF struct buf answer = BUF(OCSP_ANSWER_BYTES_MAX);
	uint8_t request[OCSP_REQUEST_BYTES_MAX];
	FILE *file = fopen(path, "rb");
	size_t count;
	int r;

	CHECK(file != NULL);
	count = fread(request, 1, sizeof(request), file);
	fclose(file);
	r = ocsp_answer(responder->ocsp, request, count, look_up, world, world->now,
	        world->now + DAY, &answer, NULL);
	written = world_write("answer.der", answer.bytes, answer.count);
	return r;
}

TEST(openssl_asks_and_understands_the_responder)
{
	struct world *world = world_get();
	AUTO_STRING char *root = world_write_cert("root.pem", world->root);
	AUTO_STRING char *ca = world_write_cert("ca.pem", world->service_ca);
	AUTO_STRING char *other_ca = world_write_cert("device-ca.pem", world->device_ca);
	AUTO_STRING char *good = world_write_cert("good.pem", world->server);
	AUTO_STRING char *revoked = world_write_cert("revoked.pem", world->service);
	AUTO_STRING char *foreign = world_write_cert("foreign.pem", world->device);
	AUTO_STRING char *junk = world_write("junk.der", "junk", 4);
	struct responder responder = { 0 };

	responder_make(&responder, 0x70);
	/* With a nonce, SHA-256 ids, both certificates in one question. */
	CHECK(world_run("openssl ocsp -sha256 -issuer ca.pem -cert good.pem -cert revoked.pem "
	                "-reqout q.der") == 0);
	CHECK(answer_file(&responder, "q.der") == 0);
	/* The command makes a new nonce when it is given certificates, so that is checked apart. */
	CHECK(world_run("openssl ocsp -reqin q.der -respin answer.der -CAfile root.pem "
	                "-verify_other ca.pem "
	                "> said.txt 2>&1 && grep -q 'Response verify OK' said.txt && "
	                "! grep -i nonce said.txt") == 0);
	CHECK(world_run(
	              "openssl ocsp -no_nonce -sha256 -issuer ca.pem -cert good.pem -cert "
	              "revoked.pem "
	              "-respin answer.der -CAfile root.pem -verify_other ca.pem > said.txt 2>&1") ==
	        0);
	CHECK(world_run("grep -q 'good.pem: good' said.txt") == 0);
	CHECK(world_run("grep -q 'revoked.pem: revoked' said.txt") == 0);
	CHECK(world_run("grep -q 'Reason: keyCompromise' said.txt") == 0);
	/* About another CA only. */
	CHECK(world_run("openssl ocsp -issuer device-ca.pem -cert foreign.pem -reqout q.der") == 0);
	CHECK(answer_file(&responder, "q.der") == 0);
	CHECK(world_run("openssl ocsp -respin answer.der -noverify 2>&1 | grep -q unauthorized") ==
	        0);
	CHECK(answer_file(&responder, "junk.der") == 0);
	CHECK(world_run("openssl ocsp -respin answer.der -noverify 2>&1 | grep -q "
	                "malformedrequest") == 0);
	responder_end(&responder);
}

TEST(answers_made_ahead_fit_simple_questions)
{
	struct world *world = world_get();
	AUTO_STRING char *root = world_write_cert("root.pem", world->root);
	AUTO_STRING char *ca = world_write_cert("ca.pem", world->service_ca);
	AUTO_STRING char *good = world_write_cert("good.pem", world->server);
	AUTO_BUF struct buf answer = BUF(OCSP_ANSWER_BYTES_MAX), question = BUF(1024),
	                    nonced = BUF(1024);
	AUTO_STRING char *path = NULL;
	struct responder responder = { 0 };
	struct ocsp_status status = { .state = OCSP_GOOD };
	char serial[2 * CERT_SERIAL_BYTES_MAX + 1];

	responder_make(&responder, 0x70);
	CHECK(ocsp_presign(responder.ocsp, cert_serial(world->server), status, world->now,
	              world->now + DAY, &answer, NULL) == 0);
	path = world_write("answer.der", answer.bytes, answer.count);
	CHECK(world_run("openssl ocsp -no_nonce -issuer ca.pem -cert good.pem -reqout q.der && "
	                "openssl ocsp -no_nonce -issuer ca.pem -cert good.pem -respin answer.der "
	                "-CAfile "
	                "root.pem -verify_other ca.pem 2>&1 | grep -q 'good.pem: good'") == 0);
	ocsp_request_print(world->service_ca, cert_serial(world->server), NULL, 0, &question);
	CHECK(ocsp_request_simple(world->service_ca, question.bytes, question.count, serial) == 0);
	CHECK_TEXT(serial, cert_serial(world->server));
	CHECK(ocsp_request_simple(world->device_ca, question.bytes, question.count, serial) == 1);
	ocsp_request_print(world->service_ca, cert_serial(world->server),
	        (const uint8_t *)"0123456789abcdef", 16, &nonced);
	CHECK(ocsp_request_simple(world->service_ca, nonced.bytes, nonced.count, serial) == 1);
	responder_end(&responder);
}

TEST_MAIN()
