#include "center/front_tls.h"

#include <string.h>

#include "base/file.h"
#include "pki/cert.h"
#include "pki/tls_context.h"
#include "pki/token.h"
#include "pki/verify.h"

#define PIN_BYTES_MAX 256

/* What a reload replaces. An older one is kept, because handshakes in flight may still ask it. */
struct trust {
	struct cert *chain[CERT_CHAIN_COUNT_MAX];
	size_t chain_count;
	struct verifier *verifier;
	struct trust *older;
};

struct front_tls {
	struct token *token;
	struct token_key *key;
	struct trust *trust;
};

static struct trust *trust_free(struct trust *trust)
{
	while (trust) {
		struct trust *older = trust->older;

		for (size_t i = 0; i < trust->chain_count; i++) {
			cert_free(trust->chain[i]);
		}
		verifier_free(trust->verifier);
		free(trust);
		trust = older;
	}
	return NULL;
}

static int read_cert(const char *path, struct cert **ret_cert, struct err *err)
{
	AUTO_BUF struct buf bytes = BUF(4 * CERT_DER_BYTES_MAX);
	int r = file_read(path, &bytes, err);

	if (r < 0) {
		return 1;
	}
	r = cert_parse(bytes.bytes, bytes.count, ret_cert, err);
	return r == 0 ? 0 : err_wrap(err, 1, "%s", path);
}

/* The front checks chains only; revocation and accreditation are the core's to decide, which sees
 * the certificate with every request. */
static int read_verifier(
        const struct center_config *config, struct verifier *verifier, struct err *err)
{
	const char *const paths[] = { config->root, config->device_ca, config->service_ca };

	for (size_t i = 0; i < ARRAY_COUNT(paths); i++) {
		AUTO(cert) struct cert *cert = NULL;
		int r = read_cert(paths[i], &cert, err);

		if (r == 0) {
			r = i == 0 ? verifier_add_root(verifier, cert, err)
			           : verifier_add_ca(verifier, cert, err);
		}
		if (r != 0) {
			return err_wrap(err, 1, "[trust] %s", paths[i]);
		}
	}
	return 0;
}

static int read_trust(const struct center_config *config, struct trust **ret_trust, struct err *err)
{
	AUTO_BUF struct buf pem = BUF(CERT_CHAIN_COUNT_MAX * 2 * CERT_DER_BYTES_MAX);
	struct trust *trust = mem_new(1, sizeof(*trust));
	int r = file_read(config->tls_chain, &pem, err) < 0 ? 1 : 0;

	if (r == 0) {
		r = cert_parse_chain(buf_text(&pem), pem.count, trust->chain, CERT_CHAIN_COUNT_MAX,
		        &trust->chain_count, err);
		if (r != 0) {
			err_wrap(err, 1, "[tls] chain %s", config->tls_chain);
		}
	}
	if (r == 0) {
		trust->verifier = verifier_new((struct verify_rules){ 0 });
		r = read_verifier(config, trust->verifier, err);
	}
	if (r != 0) {
		trust_free(trust);
		return 1;
	}
	*ret_trust = trust;
	return 0;
}

int front_tls_open(const struct center_config *config, struct front_tls **ret_tls, struct err *err)
{
	AUTO(front_tls) struct front_tls *tls = mem_new(1, sizeof(*tls));
	char pin[PIN_BYTES_MAX];
	int r = file_read_secret(config->tls_token.pin_file, pin, sizeof(pin), err);

	if (r == 0) {
		r = token_new(config->tls_token.module, config->tls_token.label, pin, &tls->token);
	}
	mem_wipe(pin, sizeof(pin));
	if (r == 0) {
		r = token_open(tls->token, err);
	}
	if (r == 0) {
		r = token_key_find_label(tls->token, config->tls_key, &tls->key, err);
	}
	if (r == 0) {
		r = read_trust(config, &tls->trust, err);
	}
	if (r != 0) {
		return err_wrap(err, 1, "server key");
	}
	*ret_tls = TAKE(tls);
	return 0;
}

struct front_tls *front_tls_free(struct front_tls *tls)
{
	if (tls) {
		trust_free(tls->trust);
		token_key_free(tls->key);
		token_free(tls->token);
		free(tls);
	}
	return NULL;
}

int front_tls_reload(struct front_tls *tls, const struct center_config *config, struct err *err)
{
	struct trust *trust = NULL;
	int r = read_trust(config, &trust, err);

	if (r != 0) {
		return r;
	}
	trust->older = tls->trust;
	tls->trust = trust;
	return 0;
}

int front_tls_context(struct front_tls *tls, enum listener listener,
        struct ssl_ctx_st **ret_context, struct err *err)
{
	static const struct {
		enum tls_ask peer;
		unsigned kinds;
	} wanted[LISTENER_COUNT] = {
		[LISTENER_DEVICE] = { TLS_ASK_REQUIRED, CERT_SET(CERT_SERVICE) },
		[LISTENER_ENROL] = { TLS_ASK_OPTIONAL,
		        CERT_SET(CERT_DEVICE) | CERT_SET(CERT_SERVICE) },
		[LISTENER_OPERATOR] = { TLS_ASK_ANY, 0 }, /* a person's second factor (D9) */
	};
	struct tls_identity identity = { .key = tls->key,
		.chain = (const struct cert *const *)tls->trust->chain,
		.chain_count = tls->trust->chain_count };

	return tls_context_server(&identity, wanted[listener].peer,
	        wanted[listener].peer == TLS_ASK_ANY ? NULL : tls->trust->verifier,
	        wanted[listener].kinds, ret_context, err);
}

void front_tls_context_free(struct ssl_ctx_st *context)
{
	tls_context_free(context);
}
