#include "pki/tls_context.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "base/clock.h"
#include "pki/cert_private.h"
#include "pki/tbs.h"

/* What a context was made for; lives in the context. */
struct peer_rules {
	const struct verifier *verifier;
	bool any; /* no verifier: whatever was sent */
	unsigned kinds;
	bool is_client;
};

/* OpenSSL's slot numbers, one per process. */
static int rules_slot = -1, refusal_slot = -1;

static void rules_free(
        void *parent, void *pointer, CRYPTO_EX_DATA *data, int index, long number, void *argument)
{
	free(pointer);
}

static void make_slots(void)
{
	if (rules_slot < 0) {
		rules_slot = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, rules_free);
		refusal_slot = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
		assert_always(rules_slot >= 0 && refusal_slot >= 0);
	}
}

static int cert_of(X509 *x509, struct cert **ret_cert)
{
	unsigned char *der = NULL;
	int count = i2d_X509(x509, &der), r;

	if (count <= 0) {
		return 1;
	}
	r = cert_parse(der, (size_t)count, ret_cert, NULL);
	OPENSSL_free(der);
	return r;
}

/* Whether the server is who tls_context_expect() said. */
static bool host_fits(X509_STORE_CTX *context, X509 *server)
{
	X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(context);
	const char *host = X509_VERIFY_PARAM_get0_host(param, 0);
	char *address = X509_VERIFY_PARAM_get1_ip_asc(param);
	bool fits = false;

	if (host) {
		fits = X509_check_host(server, host, 0,
		               X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_WILDCARDS,
		               NULL) == 1;
	} else if (address) {
		fits = X509_check_ip_asc(server, address, 0) == 1;
	}
	OPENSSL_free(address);
	return fits;
}

/* The alert that the peer gets to see says no more than the standard's reasons do. */
static int x509_error(int outcome)
{
	switch (outcome) {
	case VERIFY_NOT_YET_VALID:
		return X509_V_ERR_CERT_NOT_YET_VALID;
	case VERIFY_EXPIRED:
		return X509_V_ERR_CERT_HAS_EXPIRED;
	case VERIFY_REVOKED:
		return X509_V_ERR_CERT_REVOKED;
	case VERIFY_UNKNOWN_ISSUER:
		return X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY;
	case VERIFY_WRONG_KIND:
		return X509_V_ERR_INVALID_PURPOSE;
	default:
		return X509_V_ERR_APPLICATION_VERIFICATION;
	}
}

static int verify_peer(X509_STORE_CTX *context, const struct peer_rules *rules)
{
	X509 *peer = X509_STORE_CTX_get0_cert(context);
	STACK_OF(X509) *sent = X509_STORE_CTX_get0_untrusted(context);
	AUTO(cert) struct cert *leaf = NULL;
	struct cert *extra[CERT_CHAIN_COUNT_MAX];
	size_t count = 0;
	int r;

	if (!peer || cert_of(peer, &leaf) != 0) {
		return VERIFY_MALFORMED;
	}
	for (int i = 0; i < sk_X509_num(sent) && count < CERT_CHAIN_COUNT_MAX; i++) {
		count += cert_of(sk_X509_value(sent, i), &extra[count]) == 0;
	}
	r = verify_cert(rules->verifier, leaf, (const struct cert *const *)extra, count,
	        rules->kinds, clock_wall_usec(), NULL);
	for (size_t i = 0; i < count; i++) {
		cert_free(extra[i]);
	}
	return r;
}

static int on_verify(X509_STORE_CTX *context, void *argument)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(context, SSL_get_ex_data_X509_STORE_CTX_idx());
	const struct peer_rules *rules = argument;
	/* With TLS_ASK_ANY a certificate only carries a key, which the handshake proves. */
	int r = rules->any ? 0 : verify_peer(context, rules), error = x509_error(r);

	if (r == 0 && rules->is_client && !host_fits(context, X509_STORE_CTX_get0_cert(context))) {
		r = VERIFY_WRONG_KIND;
		error = X509_V_ERR_HOSTNAME_MISMATCH;
	}
	if (r != 0) {
		SSL_set_ex_data(ssl, refusal_slot, (void *)(intptr_t)r);
		X509_STORE_CTX_set_error(context, error);
		return 0;
	}
	X509_STORE_CTX_set_error(context, X509_V_OK);
	return 1;
}

static int use_identity(SSL_CTX *context, const struct tls_identity *identity, struct err *err)
{
	EVP_PKEY *pkey;
	int r = token_key_pkey(identity->key, &pkey, err);

	if (r != 0) {
		return r > 0 ? 1 : r;
	}
	if (identity->chain_count < 1 ||
	        SSL_CTX_use_certificate(context, cert_x509(identity->chain[0])) != 1 ||
	        SSL_CTX_use_PrivateKey(context, pkey) != 1 ||
	        SSL_CTX_check_private_key(context) != 1) {
		ERR_clear_error();
		return err_set(err, 1,
		        "the token key \"%s\" and the certificate %s do not belong together",
		        token_key_label(identity->key),
		        identity->chain_count > 0 ? cert_subject(identity->chain[0]) : "(none)");
	}
	for (size_t i = 1; i < identity->chain_count; i++) {
		assert_always(SSL_CTX_add1_chain_cert(context, cert_x509(identity->chain[i])) == 1);
	}
	return 0;
}

static int make_context(const SSL_METHOD *method, const struct tls_identity *identity, int mode,
        struct peer_rules rules, SSL_CTX **ret_context, struct err *err)
{
	SSL_CTX *context = SSL_CTX_new(method);
	struct peer_rules *kept;
	int r = 0;

	assert_always(context != NULL);
	make_slots();
	if (identity) {
		r = use_identity(context, identity, err);
	}
	if (r != 0) {
		SSL_CTX_free(context);
		return r;
	}
	SSL_CTX_set_verify(context, mode, NULL);
	if (mode != SSL_VERIFY_NONE) {
		kept = mem_copy(&rules, sizeof(rules));
		assert_always(SSL_CTX_set_ex_data(context, rules_slot, kept) == 1);
		SSL_CTX_set_cert_verify_callback(context, on_verify, kept);
		/* A resumed session would not ask again whether the peer was revoked since (B8). */
		SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
		SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
		SSL_CTX_set_num_tickets(context, 0);
	}
	*ret_context = context;
	return 0;
}

int tls_context_server(const struct tls_identity *identity, enum tls_ask peer,
        const struct verifier *verifier, unsigned peer_kinds, SSL_CTX **ret_context,
        struct err *err)
{
	struct peer_rules rules = {
		.verifier = verifier, .kinds = peer_kinds, .any = peer == TLS_ASK_ANY
	};
	int mode = peer == TLS_ASK_REQUIRED ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT
	           : peer == TLS_ASK_NONE   ? SSL_VERIFY_NONE
	                                    : SSL_VERIFY_PEER;

	assert_always(identity && (peer == TLS_ASK_NONE || peer == TLS_ASK_ANY || verifier));
	return make_context(TLS_server_method(), identity, mode, rules, ret_context, err);
}

int tls_context_client(const struct tls_identity *identity, const struct verifier *verifier,
        SSL_CTX **ret_context, struct err *err)
{
	struct peer_rules rules = {
		.verifier = verifier,
		.kinds = CERT_SET(CERT_SERVER),
		.is_client = true,
	};

	assert_always(verifier != NULL);
	return make_context(
	        TLS_client_method(), identity, SSL_VERIFY_PEER, rules, ret_context, err);
}

void tls_context_free(SSL_CTX *context)
{
	SSL_CTX_free(context);
}

int tls_context_expect(SSL *ssl, const char *host)
{
	uint8_t address[16];

	if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1) {
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1 ? 0 : 1;
	}
	if (!host_name_valid(host)) {
		return 1;
	}
	return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1 ? 0 : 1;
}

int tls_context_peer(SSL *ssl, struct cert **ret_cert)
{
	X509 *peer = SSL_get1_peer_certificate(ssl);
	int r = peer ? cert_of(peer, ret_cert) : 1;

	X509_free(peer);
	return r;
}

int tls_context_refusal(SSL *ssl)
{
	return refusal_slot < 0 ? 0 : (int)(intptr_t)SSL_get_ex_data(ssl, refusal_slot);
}
