#include "loop/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* With the dates, the usage and the signatures OpenSSL has decided; there is nothing that could
 * make a refused chain good. Installed so that nobody has to ask what the default does. */
static int keep_verdict(int accepted, X509_STORE_CTX *store)
{
	return accepted;
}

/* We speak HTTP/1.1 only; a peer that asks for something else is told so in the handshake. */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_bytes,
        const unsigned char *offered, unsigned offered_bytes, void *context)
{
	static const unsigned char ours[] = "\x08http/1.1";

	if (SSL_select_next_proto((unsigned char **)out, out_bytes, ours, sizeof(ours) - 1, offered,
	            offered_bytes) != OPENSSL_NPN_NEGOTIATED) {
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	}
	return SSL_TLSEXT_ERR_OK;
}

static void reason_text(char *out, size_t out_bytes)
{
	unsigned long code = ERR_peek_last_error();
	const char *reason = code ? ERR_reason_error_string(code) : NULL;

	snprintf(out, out_bytes, "%s", reason ? reason : "no reason given");
}

int tls_policy_apply(SSL_CTX *context, const struct tls_policy *policy, struct err *err)
{
	static const uint8_t session_id_context[] = "sekisho";
	static const char ciphers_12[] = "ECDHE+AESGCM:ECDHE+CHACHA20";
	int verify = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
	char reason[128];

	ERR_clear_error();
	if (SSL_CTX_set_min_proto_version(
	            context, policy->version_12 ? TLS1_2_VERSION : TLS1_3_VERSION) != 1 ||
	        SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) != 1 ||
	        SSL_CTX_set1_groups_list(context, "X25519:P-256") != 1 ||
	        SSL_CTX_set_cipher_list(context, ciphers_12) != 1 ||
	        SSL_CTX_set_num_tickets(context, 0) != 1 ||
	        SSL_CTX_set_max_early_data(context, 0) != 1 ||
	        SSL_CTX_set_session_id_context(
	                context, session_id_context, sizeof(session_id_context) - 1) != 1) {
		reason_text(reason, sizeof(reason));
		return err_set(err, FAULT(-EPROTO), "TLS cannot be set up: %s", reason);
	}
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION |
	                                     SSL_OP_NO_COMPRESSION |
	                                     SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
	                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
	if (policy->peer == TLS_PEER_OPTIONAL) {
		verify = SSL_VERIFY_PEER;
	} else if (policy->peer == TLS_PEER_NONE) {
		verify = SSL_VERIFY_NONE;
	}
	SSL_CTX_set_verify(context, verify, keep_verdict);
	SSL_CTX_set_verify_depth(context, CERT_CHAIN_COUNT_MAX);
	return 0;
}

int tls_roots_context(const char *roots_file, SSL_CTX **ret_context, struct err *err)
{
	static const struct tls_policy policy = { TLS_PEER_REQUIRED, true };
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	int r = context ? tls_policy_apply(context, &policy, err) : FAULT(-ENOMEM);

	if (r == 0 && SSL_CTX_load_verify_file(context, roots_file) != 1) {
		ERR_clear_error();
		r = err_set(err, 1, "%s: holds no certificates in PEM", roots_file);
	}
	if (r != 0) {
		SSL_CTX_free(context);
		return r;
	}
	*ret_context = context;
	return 0;
}

static int stream_new(int fd, SSL_CTX *context, struct tls_stream *ret_stream)
{
	*ret_stream = (struct tls_stream){ .fd = fd };
	if (!context) {
		return 0;
	}
	ret_stream->ssl = SSL_new(context);
	if (!ret_stream->ssl || SSL_set_fd(ret_stream->ssl, fd) != 1) {
		tls_stream_close(ret_stream);
		return FAULT(-ENOMEM);
	}
	return 0;
}

int tls_stream_accept(int fd, SSL_CTX *context, struct tls_stream *ret_stream)
{
	int r = stream_new(fd, context, ret_stream);

	if (r == 0 && context) {
		SSL_set_accept_state(ret_stream->ssl);
	}
	return r;
}

int tls_stream_connect(
        int fd, SSL_CTX *context, const char *server_name, struct tls_stream *ret_stream)
{
	struct in6_addr address;
	SSL *ssl;
	bool named;
	int r = stream_new(fd, context, ret_stream);

	if (r != 0 || !context) {
		return r;
	}
	ssl = ret_stream->ssl;
	SSL_set_connect_state(ssl);
	if (inet_pton(AF_INET, server_name, &address) == 1 ||
	        inet_pton(AF_INET6, server_name, &address) == 1) {
		named = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), server_name) == 1;
	} else {
		named = SSL_set1_host(ssl, server_name) == 1 &&
		        SSL_set_tlsext_host_name(ssl, server_name) == 1;
	}
	if (!named) {
		tls_stream_close(ret_stream);
		return FAULT(-EINVAL);
	}
	return 0;
}

void tls_stream_close(struct tls_stream *stream)
{
	if (stream->ssl) {
		if (SSL_is_init_finished(stream->ssl)) {
			ERR_clear_error();
			SSL_shutdown(stream->ssl);
		}
		SSL_free(stream->ssl);
		stream->ssl = NULL;
	}
	if (stream->fd >= 0) {
		close(stream->fd);
		stream->fd = -1;
	}
}

void tls_stream_end_writing(struct tls_stream *stream)
{
	if (stream->ssl && SSL_is_init_finished(stream->ssl)) {
		ERR_clear_error();
		SSL_shutdown(stream->ssl);
	}
	shutdown(stream->fd, SHUT_WR);
}

/* Reasons that are about a certificate, ours or the peer's. */
static bool about_certificate(int reason)
{
	switch (reason) {
	case SSL_R_CERTIFICATE_VERIFY_FAILED:
	case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
	case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
	case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
	case SSL_R_TLSV1_ALERT_DECRYPT_ERROR: /* a signature on or by a certificate is wrong */
	case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
	case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
	case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
		return true;
	default:
		return false;
	}
}

/* What an SSL call that did not succeed means. `error_number` is errno right after the call. */
static int outcome(struct tls_stream *stream, int returned, int error_number, struct err *err)
{
	unsigned long code;
	long verdict;
	char reason[128];

	switch (SSL_get_error(stream->ssl, returned)) {
	case SSL_ERROR_WANT_READ:
		return TLS_WANT_READ;
	case SSL_ERROR_WANT_WRITE:
		return TLS_WANT_WRITE;
	case SSL_ERROR_ZERO_RETURN:
		return TLS_CLOSED;
	case SSL_ERROR_SYSCALL:
		if (error_number == 0) {
			return err_set(err, -ECONNRESET, "the connection was cut");
		}
		return err_set(err, -error_number, "%s", strerror(error_number));
	default:
		break;
	}
	code = ERR_peek_last_error();
	verdict = SSL_get_verify_result(stream->ssl);
	reason_text(reason, sizeof(reason));
	if (ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED && verdict != X509_V_OK) {
		return err_set(err, -EACCES, "the peer's certificate was refused: %s",
		        X509_verify_cert_error_string(verdict));
	}
	if (ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
		return err_set(err, -ECONNRESET, "the connection was cut");
	}
	return err_set(err, about_certificate(ERR_GET_REASON(code)) ? -EACCES : -EPROTO, "TLS: %s",
	        reason);
}

int tls_stream_handshake(struct tls_stream *stream, struct err *err)
{
	int r;

	if (!stream->ssl) {
		return TLS_DONE;
	}
	ERR_clear_error();
	errno = 0;
	r = SSL_do_handshake(stream->ssl);
	return r == 1 ? TLS_DONE : outcome(stream, r, errno, err);
}

int tls_stream_read(
        struct tls_stream *stream, void *bytes, size_t room, size_t *ret_count, struct err *err)
{
	*ret_count = 0;
	errno = 0;
	if (stream->ssl) {
		int r;

		ERR_clear_error();
		r = SSL_read_ex(stream->ssl, bytes, room, ret_count);
		return r == 1 ? TLS_DONE : outcome(stream, r, errno, err);
	}
	for (;;) {
		ssize_t got = recv(stream->fd, bytes, room, 0);

		if (got > 0) {
			*ret_count = (size_t)got;
			return TLS_DONE;
		}
		if (got == 0) {
			return TLS_CLOSED;
		}
		if (errno == EAGAIN) {
			return TLS_WANT_READ;
		}
		if (errno != EINTR) {
			return err_set(err, -errno, "%s", strerror(errno));
		}
	}
}

/* One step of writing: at most a TLS record, or what the socket takes. */
static int write_step(struct tls_stream *stream, const void *bytes, size_t count, size_t *ret_count,
        struct err *err)
{
	ssize_t sent;

	*ret_count = 0;
	errno = 0;
	if (stream->ssl) {
		int r;

		ERR_clear_error();
		r = SSL_write_ex(stream->ssl, bytes, count, ret_count);
		return r == 1 ? TLS_DONE : outcome(stream, r, errno, err);
	}
	sent = send(stream->fd, bytes, count, MSG_NOSIGNAL);
	if (sent >= 0) {
		*ret_count = (size_t)sent;
		return TLS_DONE;
	}
	if (errno == EAGAIN) {
		return TLS_WANT_WRITE;
	}
	return errno == EINTR ? TLS_DONE : err_set(err, -errno, "%s", strerror(errno));
}

int tls_stream_write(struct tls_stream *stream, const void *bytes, size_t count, size_t *ret_count,
        struct err *err)
{
	*ret_count = 0;
	while (*ret_count < count) {
		size_t step;
		int r = write_step(stream, (const uint8_t *)bytes + *ret_count, count - *ret_count,
		        &step, err);

		*ret_count += step;
		if (r != TLS_DONE) {
			return r;
		}
	}
	return TLS_DONE;
}

static int chain_add(struct tls_chain *chain, X509 *certificate)
{
	unsigned char *der = NULL;
	int bytes = chain->count < CERT_CHAIN_COUNT_MAX ? i2d_X509(certificate, &der) : 0;

	if (bytes <= 0 || bytes > CERT_DER_BYTES_MAX) {
		OPENSSL_free(der);
		return 1;
	}
	chain->certificates[chain->count].der = der;
	chain->certificates[chain->count].bytes = (size_t)bytes;
	chain->count++;
	return 0;
}

int tls_chain_new(const struct tls_stream *stream, struct tls_chain **ret_chain)
{
	AUTO(tls_chain) struct tls_chain *chain = mem_new(1, sizeof(*chain));
	X509 *own = stream->ssl ? SSL_get0_peer_certificate(stream->ssl) : NULL;
	STACK_OF(X509) *sent = own ? SSL_get_peer_cert_chain(stream->ssl) : NULL;

	chain->verify_result = own ? SSL_get_verify_result(stream->ssl) : X509_V_OK;
	if (own && chain_add(chain, own) > 0) {
		return 1;
	}
	/* A client gets the peer's own certificate once more in front of the rest, a server does
	 * not. */
	for (int i = sent && !SSL_is_server(stream->ssl) ? 1 : 0; i < sk_X509_num(sent); i++) {
		if (chain_add(chain, sk_X509_value(sent, i)) > 0) {
			return 1;
		}
	}
	*ret_chain = TAKE(chain);
	return 0;
}

struct tls_chain *tls_chain_free(struct tls_chain *chain)
{
	if (chain) {
		for (size_t i = 0; i < chain->count; i++) {
			OPENSSL_free(chain->certificates[i].der);
		}
		free(chain);
	}
	return NULL;
}
