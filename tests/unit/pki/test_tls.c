#include "../check.h"

#include <openssl/cms.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "base/str.h"
#include "pki/crl.h"
#include "pki/tls_context.h"
#include "world.h"

struct ends {
	SSL_CTX *server_context, *client_context;
	SSL *server, *client;
	int client_result, server_result;
};

/* Shakes hands in memory, without a socket, until both are done or one gives up. */
static void shake(struct ends *ends)
{
	BIO *left = NULL, *right = NULL;

	assert_always(BIO_new_bio_pair(&left, 0, &right, 0) == 1);
	SSL_set_bio(ends->server, left, left);
	SSL_set_bio(ends->client, right, right);
	SSL_set_accept_state(ends->server);
	SSL_set_connect_state(ends->client);
	for (int i = 0; i < 20; i++) {
		ends->client_result = SSL_do_handshake(ends->client);
		ends->server_result = SSL_do_handshake(ends->server);
	}
	/* In TLS 1.3 the client is done before the server has seen its certificate. */
	if (ends->client_result == 1 && ends->server_result != 1) {
		char byte;

		ends->client_result = SSL_read(ends->client, &byte, 1);
	}
}

static void ends_clear(struct ends *ends)
{
	SSL_free(ends->server);
	SSL_free(ends->client);
	tls_context_free(ends->server_context);
	tls_context_free(ends->client_context);
}

static struct verifier *make_verifier(void)
{
	struct world *world = world_get();
	struct verifier *verifier = verifier_new((struct verify_rules){ 0 });

	CHECK(verifier_add_root(verifier, world->root, NULL) == 0);
	CHECK(verifier_add_ca(verifier, world->device_ca, NULL) == 0);
	CHECK(verifier_add_ca(verifier, world->service_ca, NULL) == 0);
	return verifier;
}

/* A client with `key` and `cert` (NULL: none) meets a server that wants `kinds`, and expects
 * `host`. */
static void meet(struct ends *ends, struct token_key *key, const struct cert *cert, unsigned kinds,
        enum tls_ask peer, const struct verifier *verifier, const char *host, int version)
{
	struct world *world = world_get();
	const struct cert *server_chain[] = { world->server, world->service_ca },
	                  *client_chain[] = { cert };
	struct tls_identity server = { world->server_key, server_chain, 2 };
	struct tls_identity client = { key, client_chain, 1 };
	struct err err = { 0 };

	CHECK(tls_context_server(&server, peer, verifier, kinds, &ends->server_context, &err) == 0);
	CHECK(tls_context_client(cert ? &client : NULL, verifier, &ends->client_context, &err) ==
	        0);
	CHECK(SSL_CTX_set_min_proto_version(ends->client_context, version) &&
	        SSL_CTX_set_max_proto_version(ends->client_context, version));
	ends->server = SSL_new(ends->server_context);
	ends->client = SSL_new(ends->client_context);
	if (host) {
		CHECK(tls_context_expect(ends->client, host) == 0);
	}
	shake(ends);
}

TEST(both_ends_with_token_keys)
{
	struct world *world = world_get();
	AUTO(verifier) struct verifier *verifier = make_verifier();
	static const int versions[] = { TLS1_3_VERSION, TLS1_2_VERSION };

	for (size_t i = 0; i < ARRAY_COUNT(versions); i++) {
		struct ends ends = { 0 };
		AUTO(cert) struct cert *seen = NULL;

		meet(&ends, world->service_key, world->service, CERT_SET(CERT_SERVICE),
		        TLS_ASK_REQUIRED, verifier, "center.example", versions[i]);
		CHECK(ends.client_result == 1 && ends.server_result == 1);
		CHECK(tls_context_peer(ends.server, &seen) == 0);
		CHECK_TEXT(cert_serial(seen), cert_serial(world->service));
		CHECK(tls_context_refusal(ends.server) == 0 &&
		        tls_context_refusal(ends.client) == 0);
		ends_clear(&ends);
	}
}

TEST(the_wrong_ones_end_in_an_alert)
{
	struct world *world = world_get();
	AUTO(verifier) struct verifier *verifier = make_verifier();
	static const int versions[] = { TLS1_3_VERSION, TLS1_2_VERSION };

	for (size_t i = 0; i < ARRAY_COUNT(versions); i++) {
		struct ends ends = { 0 };

		/* A01: the wrong tier in both directions, and none at all. */
		meet(&ends, world->device_key, world->device, CERT_SET(CERT_SERVICE),
		        TLS_ASK_REQUIRED, verifier, "center.example", versions[i]);
		CHECK(ends.server_result != 1 && ends.client_result != 1);
		CHECK(tls_context_refusal(ends.server) == VERIFY_WRONG_KIND);
		ends_clear(&ends);
		memset(&ends, 0, sizeof(ends));
		meet(&ends, world->service_key, world->service, CERT_SET(CERT_DEVICE),
		        TLS_ASK_OPTIONAL, verifier, "center.example", versions[i]);
		CHECK(ends.server_result != 1 &&
		        tls_context_refusal(ends.server) == VERIFY_WRONG_KIND);
		ends_clear(&ends);
		memset(&ends, 0, sizeof(ends));
		meet(&ends, NULL, NULL, CERT_SET(CERT_DEVICE), TLS_ASK_REQUIRED, verifier,
		        "center.example", versions[i]);
		CHECK(ends.server_result != 1 && ends.client_result != 1);
		ends_clear(&ends);
	}
}

TEST(a_certificate_may_be_left_out_where_it_is_optional)
{
	AUTO(verifier) struct verifier *verifier = make_verifier();
	struct ends ends = { 0 };
	struct cert *seen = NULL;

	meet(&ends, NULL, NULL, CERT_SET(CERT_DEVICE), TLS_ASK_OPTIONAL, verifier, "127.0.0.1",
	        TLS1_3_VERSION);
	CHECK(ends.server_result == 1 && ends.client_result == 1);
	CHECK(tls_context_peer(ends.server, &seen) == 1);
	ends_clear(&ends);
}

TEST(the_client_wants_the_server_it_named)
{
	AUTO(verifier) struct verifier *verifier = make_verifier();
	static const char *const hosts[] = { "other.example", "127.0.0.2", NULL };

	for (size_t i = 0; i < ARRAY_COUNT(hosts); i++) {
		struct ends ends = { 0 };

		meet(&ends, NULL, NULL, CERT_SET(CERT_DEVICE), TLS_ASK_NONE, verifier, hosts[i],
		        TLS1_3_VERSION);
		CHECK(ends.client_result != 1 && tls_context_refusal(ends.client) != 0);
		ends_clear(&ends);
	}
}

TEST(a_revocation_counts_from_the_next_handshake)
{
	struct world *world = world_get();
	AUTO(verifier) struct verifier *verifier = make_verifier();
	AUTO_BUF struct buf der = BUF(CRL_DER_BYTES_MAX);
	struct crl_entry entry = { .revoked_usec = world->now };
	struct ends ends = { 0 };
	struct crl *crl = NULL;

	meet(&ends, world->service_key, world->service, CERT_SET(CERT_SERVICE), TLS_ASK_REQUIRED,
	        verifier, "center.example", TLS1_3_VERSION);
	CHECK(ends.server_result == 1);
	ends_clear(&ends);
	memset(&ends, 0, sizeof(ends));
	CHECK(text_copy(entry.serial, sizeof(entry.serial), cert_serial(world->service)) == 0);
	CHECK(crl_build(world->service_authority, &entry, 1, 1, world->now,
	              world->now + 3600 * USEC_PER_SEC, &der, NULL) == 0);
	CHECK(crl_parse(der.bytes, der.count, &crl, NULL) == 0);
	CHECK(verifier_take_crl(verifier, crl, NULL) == 0);
	meet(&ends, world->service_key, world->service, CERT_SET(CERT_SERVICE), TLS_ASK_REQUIRED,
	        verifier, "center.example", TLS1_3_VERSION);
	CHECK(ends.server_result != 1 && tls_context_refusal(ends.server) == VERIFY_REVOKED);
	ends_clear(&ends);
}

TEST(rsa_and_p384_keys_serve_too)
{
	struct world *world = world_get();
	AUTO(verifier) struct verifier *verifier = make_verifier();
	static const enum token_key_type types[] = { TOKEN_KEY_RSA_2048, TOKEN_KEY_EC_P384 };

	for (size_t i = 0; i < ARRAY_COUNT(types); i++) {
		AUTO(token_key) struct token_key *key = NULL;
		AUTO(key) struct key *public = NULL;
		AUTO(cert) struct cert *cert = NULL;
		struct ca_request request;

		CHECK(token_key_generate(world->gateway_token, types[i], 0x80, "t", &key, NULL) ==
		        0);
		public = world_key(key);
		request = world_request(CERT_SERVICE, public, 30);
		CHECK(ca_issue(world->service_authority, &request, &cert, NULL) == 0);
		for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
			struct ends ends = { 0 };

			meet(&ends, key, cert, CERT_SET(CERT_SERVICE), TLS_ASK_REQUIRED, verifier,
			        "center.example", version);
			CHECK(ends.server_result == 1 && ends.client_result == 1);
			ends_clear(&ends);
		}
		CHECK(token_delete(world->gateway_token, 0x80, NULL) == 0);
	}
}

TEST(key_and_certificate_must_belong_together)
{
	struct world *world = world_get();
	const struct cert *chain[] = { world->server };
	struct tls_identity mixed = { world->device_key, chain, 1 };
	struct ssl_ctx_st *context = NULL;
	struct err err = { 0 };

	CHECK(tls_context_server(&mixed, TLS_ASK_NONE, NULL, 0, &context, &err) == 1);
	CHECK(strstr(err.text, "belong together") != NULL);
}

TEST(cms_signs_through_the_bridge)
{
	struct world *world = world_get();
	size_t count;
	const uint8_t *at = cert_der(world->service, &count);
	X509 *x509 = d2i_X509(NULL, &at, (long)count);
	BIO *data = BIO_new_mem_buf("report", 6);
	EVP_PKEY *pkey = NULL;
	CMS_ContentInfo *cms;

	CHECK(token_key_pkey(world->service_key, &pkey, NULL) == 0);
	cms = CMS_sign(x509, pkey, NULL, data, CMS_BINARY);
	CHECK(cms != NULL);
	CHECK(CMS_verify(cms, NULL, NULL, NULL, NULL, CMS_NO_SIGNER_CERT_VERIFY) == 1);
	CMS_ContentInfo_free(cms);
	BIO_free(data);
	X509_free(x509);
}

TEST_MAIN()
