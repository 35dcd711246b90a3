/*
 * TLS as we use it, and one transport for plain and TLS connections alike.
 *
 * The SSL_CTX with its keys and trust is made by the caller (src/pki knows certificates, this
 * folder does not); tls_policy_apply() puts our policy on it: TLS 1.3 (1.2 only where asked for),
 * X25519 and P-256, no tickets, no session cache, no early data, no renegotiation (attack A22), and
 * a verification that never accepts what OpenSSL refused.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <openssl/ssl.h>

#include "base/err.h"
#include "base/limits.h"
#include "base/mem.h"

enum tls_peer {
	TLS_PEER_REQUIRED, /* the peer must show a certificate that verifies */
	TLS_PEER_OPTIONAL, /* servers: it may show none, but one that does not verify is refused */
	TLS_PEER_NONE,     /* servers: it is not asked for one */
};

struct tls_policy {
	enum tls_peer peer;
	bool version_12; /* TLS 1.2 with ECDHE and AEAD as well: third-party EST clients */
};

int tls_policy_apply(SSL_CTX *context, const struct tls_policy *policy, struct err *err) must_use;

/* A client's context that trusts the certificates of a PEM file: for servers that are not ours
 * (mail relays), TLS 1.2 or 1.3. Freed with SSL_CTX_free(). Outcome 1: no such certificates. */
int tls_roots_context(const char *roots_file, SSL_CTX **ret_context, struct err *err) must_use;

/* One connection; a plain one has no ssl. The descriptor and the SSL belong to it. */
struct tls_stream {
	int fd;
	SSL *ssl;
};

enum tls_outcome {
	TLS_DONE = 0,
	TLS_WANT_READ = 1,
	TLS_WANT_WRITE = 2,
	TLS_CLOSED = 3, /* the peer ended it in order */
};

/* Adopts `fd` also when it fails. The SSL holds its own reference to `context`; NULL is plain. */
int tls_stream_accept(int fd, SSL_CTX *context, struct tls_stream *ret_stream) must_use;
/* As above, for the connecting side: the peer's certificate must be for `server_name` (a DNS name
 * or an IP address). */
int tls_stream_connect(
        int fd, SSL_CTX *context, const char *server_name, struct tls_stream *ret_stream) must_use;

/* Says good-bye once, without waiting, and closes. */
void tls_stream_close(struct tls_stream *stream);

/* An enum tls_outcome, or a fault with the reason in `err`: -EPROTO when TLS failed, -EACCES when a
 * certificate was refused by either side, else what the socket said. */
int tls_stream_handshake(struct tls_stream *stream, struct err *err) must_use;
int tls_stream_read(struct tls_stream *stream, void *bytes, size_t room, size_t *ret_count,
        struct err *err) must_use;
/* Writes as much as goes; TLS_DONE when all went. The rest is to be offered again, from its start;
 * it may lie elsewhere then. */
int tls_stream_write(struct tls_stream *stream, const void *bytes, size_t count, size_t *ret_count,
        struct err *err) must_use;

/* Ends our direction: the peer reads an end after what was written. */
void tls_stream_end_writing(struct tls_stream *stream);

/* The peer's certificates as DER, its own first, and what OpenSSL made of them. */
struct tls_chain {
	size_t count;       /* 0: it showed none */
	long verify_result; /* X509_V_OK (0), or why not */
	struct {
		uint8_t *der;
		size_t bytes;
	} certificates[CERT_CHAIN_COUNT_MAX];
};

/* Outcome 1: more certificates, or a longer one, than our limits allow. */
int tls_chain_new(const struct tls_stream *stream, struct tls_chain **ret_chain) must_use;
struct tls_chain *tls_chain_free(struct tls_chain *chain);
AUTO_DEFINE(tls_chain)
