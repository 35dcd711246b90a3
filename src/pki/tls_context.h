/*
 * TLS contexts over token keys and our own idea of which peer is good (A01, A02).
 *
 * Peers are verified in the handshake by verify_cert(), so a wrong tier, an expired or revoked
 * certificate or an unaccredited issuer ends it with an alert before a byte of HTTP is read. The
 * verifier may be fed while the context is in use; the next handshake sees it.
 *
 * Protocol versions, suites, session and ALPN settings are the caller's (loop/tls.h).
 */
#pragma once

#include "pki/cert.h"
#include "pki/token.h"
#include "pki/verify.h"

struct ssl_ctx_st;
struct ssl_st;

enum tls_ask {
	TLS_ASK_NONE,     /* the peer is not asked for a certificate (browsers, public listener) */
	TLS_ASK_OPTIONAL, /* one that is sent must be good */
	TLS_ASK_REQUIRED,
	TLS_ASK_ANY, /* one may be sent, of whatever issuer: whose it is the caller finds by its key
	              */
};

struct tls_identity {
	struct token_key *key;           /* must outlive the context */
	const struct cert *const *chain; /* leaf first, root not needed; copied */
	size_t chain_count;
};

/* Makes a server context. `peer_kinds`: set of CERT_SET() a client may be. `verifier` is borrowed
 * and must outlive the context (NULL with TLS_ASK_NONE and TLS_ASK_ANY). Outcome 1: key and
 * certificate do not belong together or the key cannot be used for TLS. The caller frees with
 * tls_context_free(). */
int tls_context_server(const struct tls_identity *identity, enum tls_ask peer,
        const struct verifier *verifier, unsigned peer_kinds, struct ssl_ctx_st **ret_context,
        struct err *err) must_use;

/* Makes a client context; `identity` NULL: no client certificate. The server must be a CERT_SERVER
 * by `verifier`, and have the name given to tls_context_expect(), without which it is refused. */
int tls_context_client(const struct tls_identity *identity, const struct verifier *verifier,
        struct ssl_ctx_st **ret_context, struct err *err) must_use;

void tls_context_free(struct ssl_ctx_st *context);

/* Before connecting: the host name or address the server must prove; also sent as SNI if a name.
 * Outcome 1: not a host name or address. */
int tls_context_expect(struct ssl_st *ssl, const char *host) must_use;

/* The peer's certificate after the handshake. Outcome 1: it sent none. */
int tls_context_peer(struct ssl_st *ssl, struct cert **ret_cert) must_use;

/* Why the last handshake of this connection refused the peer (a verify_outcome), 0 if it did not.
 */
int tls_context_refusal(struct ssl_st *ssl);
