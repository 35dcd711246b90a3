/*
 * Process agent: the service certificate (tier 2). What the token holds says what to do:
 *
 *     no token, wrong PIN        say so; a wrong PIN is not tried again until a restart
 *     no device certificate      the maker has not finished this box
 *     no service certificate     EST simpleenroll with tier 1, as often as the center says "later"
 *     past two thirds of life    EST simplereenroll with tier 2; the link stays as it is meanwhile
 *     expired                    the link is ended, and simpleenroll again
 *
 * Keys are made in the token, one for each provider (B1, B5). Of several certificates for our
 * provider the one that ends last counts; the others are deleted once the link is up with it, so
 * that a power cut at any point leaves one that works.
 */
#include "gateway/agent.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "gateway/message.h"
#include "pki/csr.h"
#include "pki/device_information.h"
#include "pki/est.h"
#include "pki/tls_context.h"

#define TOKEN_RETRY_MSEC 5000
#define ENROL_DEADLINE_MSEC 20000
#define ENROL_RETRY_SEC_MAX 300
#define LOOK_MSEC_MAX (60 * 1000)

static int client_tls(struct agent *agent, struct token_key *key, const struct cert *cert,
        struct ssl_ctx_st **ret_tls, struct err *err)
{
	const struct cert *chain[] = { cert };
	struct tls_identity identity = { .key = key, .chain = chain, .chain_count = 1 };

	if (tls_context_client(&identity, agent->verifier, ret_tls, err) != 0) {
		return 1;
	}
	if (tls_policy_apply(*ret_tls, &(struct tls_policy){ .peer = TLS_PEER_REQUIRED }, err) !=
	        0) {
		tls_context_free(*ret_tls);
		*ret_tls = NULL;
		return 1;
	}
	return 0;
}

static void try_later(struct agent *agent, int64_t after_msec)
{
	loop_timer_set(agent->token_timer, after_msec);
}

static int read_pair(struct agent *agent, uint8_t id, struct token_key **ret_key,
        struct cert **ret_cert, struct err *err)
{
	AUTO_BUF struct buf der = BUF(CERT_DER_BYTES_MAX);
	int r = token_certificate_get(agent->token, id, &der, err);

	if (r != 0) {
		return r;
	}
	r = cert_parse(der.bytes, der.count, ret_cert, err);
	if (r != 0) {
		return r;
	}
	return token_key_find(agent->token, id, ret_key, err);
}

/* Whether `cert` is to be used rather than the one that was found before. */
static bool is_newer(const struct cert *cert, const struct cert *than)
{
	return !than || cert_not_after_usec(cert) > cert_not_after_usec(than);
}

/* Looks at one slot with a certificate. The pair in use stays the same object as long as it is the
 * newest: the TLS context uses its key. */
static int look_at(struct agent *agent, uint8_t id, struct token_key **key, struct cert **cert,
        uint8_t *ret_id, struct err *err)
{
	AUTO(cert) struct cert *one = NULL;
	AUTO(token_key) struct token_key *one_key = NULL;
	int r = read_pair(agent, id, &one_key, &one, err);

	if (r != 0) {
		return r;
	}
	if (*cert) {
		agent->old_ids[agent->old_count++] = is_newer(one, *cert) ? *ret_id : id;
	}
	if (is_newer(one, *cert)) {
		cert_free(*cert);
		token_key_free(*key);
		*cert = TAKE(one);
		*key = TAKE(one_key);
		*ret_id = id;
	}
	return 0;
}

/* The slots labelled with our provider; a key without a certificate is one whose enrolment was not
 * finished, and is used again. */
static int find_service(struct agent *agent, struct err *err)
{
	AUTO(cert) struct cert *cert = NULL;
	AUTO(token_key) struct token_key *key = NULL;
	struct token_slot *slots = NULL;
	size_t count;
	uint8_t id = 0;
	int r;

	agent->old_count = 0;
	r = token_list(agent->token, &slots, &count, err);
	for (size_t i = 0; r == 0 && i < count; i++) {
		uint8_t at = slots[i].id[0];

		if (slots[i].id_bytes != 1 || at < TOKEN_ID_SERVICE_FIRST || !slots[i].has_key ||
		        strcmp(slots[i].label, agent->config->provider) != 0) {
			continue;
		}
		if (slots[i].has_certificate) {
			r = look_at(agent, at, &key, &cert, &id, err);
		} else if (!agent->new_key) {
			r = token_key_find(agent->token, at, &agent->new_key, err);
			agent->new_id = at;
		}
	}
	free(slots);
	if (r != 0) {
		return r;
	}
	if (!cert || !agent->service || id != agent->service_id ||
	        !key_hash_equal(cert_fingerprint(cert), cert_fingerprint(agent->service))) {
		/* Nothing may use the old key any more. */
		agent_link_stop(agent);
		tls_context_free(agent->tls);
		agent->tls = NULL;
		agent->enrol = http_client_free(agent->enrol);
		cert_free(agent->service);
		token_key_free(agent->service_key);
		agent->service = TAKE(cert);
		agent->service_key = TAKE(key);
		agent->service_id = id;
	}
	return 0;
}

/* What the certificate in use made superfluous. */
static void delete_old(struct agent *agent)
{
	struct err err = { 0 };

	for (size_t i = 0; i < agent->old_count; i++) {
		if (token_delete(agent->token, agent->old_ids[i], &err) != 0) {
			log_warning("the old service key %02x could not be deleted: %s",
			        agent->old_ids[i], err.text);
		} else {
			log_info("the old service key %02x is deleted", agent->old_ids[i]);
		}
	}
	agent->old_count = 0;
}

static int find_device(struct agent *agent, struct err *err)
{
	if (agent->device) {
		return 0;
	}
	return read_pair(agent, TOKEN_ID_DEVICE, &agent->device_key, &agent->device, err);
}

static int make_key(struct agent *agent, struct err *err)
{
	int r;

	if (agent->new_key) {
		return 0;
	}
	r = token_free_service_id(agent->token, &agent->new_id, err);
	if (r != 0) {
		return r;
	}
	return token_key_generate(agent->token, TOKEN_KEY_EC_P256, agent->new_id,
	        agent->config->provider, &agent->new_key, err);
}

/* Not by the answer's own word: a certificate that the gateway could not use must not take the
 * place of one that works. */
static int judge(const struct agent *agent, const struct cert *cert, struct err *err)
{
	char gateway[NAME_BYTES_MAX + 1], provider[NAME_BYTES_MAX + 1];
	int64_t now = clock_wall_usec();

	if (cert_lint(cert, CERT_SERVICE, err) != 0) {
		return 1;
	}
	if (cert_identity(cert, gateway, provider) != 0 ||
	        strcmp(provider, agent->config->provider) != 0) {
		return err_set(err, 1, "it is not for the provider %s", agent->config->provider);
	}
	if (agent->service &&
	        strcmp(cert_dns_name(cert, 0), cert_dns_name(agent->service, 0)) != 0) {
		return err_set(err, 1, "it makes this gateway %s", cert_dns_name(cert, 0));
	}
	if (now < cert_not_before_usec(cert) || now >= cert_not_after_usec(cert)) {
		return err_set(err, 1, "it is not valid now (is the clock right?)");
	}
	return 0;
}

/* Keeps the certificate that belongs to the key we asked for. */
static int install(struct agent *agent, const struct http1_message *answer, struct err *err)
{
	struct cert *certs[CERT_CHAIN_COUNT_MAX];
	size_t count = 0, key_bytes, cert_bytes;
	const uint8_t *key = token_key_spki(agent->new_key, &key_bytes), *der;
	bool found = false;
	int r = 1;

	if (!answer->body || est_certs_parse(answer->body, answer->body_bytes, certs,
	                             CERT_CHAIN_COUNT_MAX, &count, err) != 0) {
		return 1;
	}
	for (size_t i = 0; i < count && !found; i++) {
		const uint8_t *spki = cert_spki(certs[i], &cert_bytes);

		if (cert_bytes != key_bytes || memcmp(spki, key, key_bytes) != 0) {
			continue;
		}
		found = true;
		r = judge(agent, certs[i], err);
		if (r == 0) {
			der = cert_der(certs[i], &cert_bytes);
			r = token_certificate_put(agent->token, agent->new_id,
			        agent->config->provider, der, cert_bytes, err);
		}
		if (r == 0) {
			agent_note(agent, "service.certificate-installed", cert_serial(certs[i]),
			        agent->renewing ? "renewed" : "enrolled");
		}
	}
	for (size_t i = 0; i < count; i++) {
		cert_free(certs[i]);
	}
	return found ? r : err_set(err, 1, "the center's answer holds no certificate for our key");
}

/* What enrolment came to. A renewal that fails is no news for the link, which is up. */
static void say(struct agent *agent, const char *text)
{
	if (agent->renewing) {
		log_warning("the service certificate could not be renewed yet: %s", text);
	} else {
		agent_state_set(agent, AGENT_ENROLLING, "%s", text);
	}
}

static void take_refusal(struct agent *agent, const struct http1_message *message)
{
	char text[ERR_TEXT_BYTES_MAX];

	snprintf(text, sizeof(text), "the center refuses (%d): %.300s", message->status,
	        message->body ? (const char *)message->body : "");
	say(agent, text);
}

static void on_enrolled(void *context, const struct http_response *response)
{
	struct agent *agent = context;
	const char *retry =
	        response->message ? http1_field(response->message, "Retry-After") : NULL;
	uint64_t after_sec = 5;
	struct err err = { 0 };

	if (!response->message) {
		say(agent, response->reason);
	} else if (response->message->status == 200) {
		if (install(agent, response->message, &err) == 0) {
			log_info("service certificate installed");
			agent->new_key = token_key_free(agent->new_key);
			try_later(agent, 0); /* which finds it in the token */
			return;
		}
		err_wrap(&err, 1, "the certificate is refused");
		say(agent, err.text);
		agent_note(agent, "enrolment.refused", agent->config->provider, err.text);
		after_sec = 60;
	} else if (response->message->status == 202) {
		say(agent, "the provider has not approved this gateway yet; asking again from time "
		           "to time");
	} else {
		take_refusal(agent, response->message);
		after_sec = 30;
	}
	if (retry && unsigned_parse(retry, ENROL_RETRY_SEC_MAX, &after_sec) != 0) {
		after_sec = ENROL_RETRY_SEC_MAX;
	}
	try_later(agent, (int64_t)(after_sec > 0 ? after_sec : 1) * 1000);
}

/* The request is made once for a key and kept: what a person approves is these bytes, so asking
 * again has to be with the same. */
static int find_request(struct agent *agent, struct buf *der, struct err *err)
{
	AUTO_STRING char *path = gateway_state_path(agent->config, "agent/request.der");
	struct csr_wanted nothing = { .kind = CERT_SERVICE };
	AUTO(csr) struct csr *kept = NULL;
	size_t own_bytes, kept_bytes;
	const uint8_t *own = token_key_spki(agent->new_key, &own_bytes), *spki;

	if (file_read(path, der, NULL) == 0 &&
	        csr_parse(der->bytes, der->count, &kept, NULL) == 0) {
		spki = key_spki(csr_key(kept), &kept_bytes);
		if (kept_bytes == own_bytes && memcmp(spki, own, own_bytes) == 0) {
			return 0;
		}
	}
	buf_reset(der);
	if (csr_make(agent->new_key, &nothing, der, err) != 0) {
		return 1;
	}
	return file_replace(path, der->bytes, der->count, 0600, err) == 0 ? 0 : 1;
}

static int ask(struct agent *agent, bool renew, struct err *err)
{
	AUTO_STRING char *path = mem_format("/.well-known/est/%s/%s", agent->config->provider,
	        renew ? "simplereenroll" : "simpleenroll");
	AUTO_BUF struct buf der = BUF(CSR_DER_BYTES_MAX);
	AUTO_BUF struct buf body = BUF(2 * CSR_DER_BYTES_MAX);
	AUTO_BUF struct buf information = BUF(AGENT_DEVICE_INFORMATION_BYTES_MAX);
	struct http_client_options options = { .host = agent->config->center,
		.port = (uint16_t)agent->config->enrol_port };
	struct http_client_request request = { .method = "POST",
		.path = path,
		.content_type = EST_TYPE_CSR,
		.deadline_msec = ENROL_DEADLINE_MSEC,
		.handler = on_enrolled,
		.context = agent };

	if (make_key(agent, err) != 0 || find_request(agent, &der, err) != 0) {
		return 1;
	}
	est_csr_print(der.bytes, der.count, &body);
	request.body = body.bytes;
	request.body_bytes = body.count;
	if (!renew &&
	        token_data_get(agent->token, DEVICE_INFORMATION_LABEL, &information, NULL) == 0) {
		request.fields[0] = (struct http1_field){ "Sekisho-Device-Information",
			buf_text(&information) };
	}
	agent->enrol = http_client_free(agent->enrol);
	if (client_tls(agent, renew ? agent->service_key : agent->device_key,
	            renew ? agent->service : agent->device, &options.tls, err) != 0) {
		return 1;
	}
	if (http_client_new(agent->loop, &options, &agent->enrol) < 0 ||
	        http_client_request(agent->enrol, &request) != 0) {
		tls_context_free(options.tls);
		return err_set(err, 1, "the request for a certificate cannot be sent");
	}
	tls_context_free(options.tls);
	return 0;
}

static void tell_identity(struct agent *agent)
{
	AUTO_BUF struct buf payload = BUF(2 * CERT_DER_BYTES_MAX);
	size_t count;
	const uint8_t *der = cert_der(agent->service, &count);

	buf_add_u8(&payload, agent->service_id);
	buf_add_block(&payload, der, count);
	agent->priv_told = agent_send(agent, MESSAGE_IDENTITY, 0, &payload) == 0;
}

/* When the certificate is to be looked at next: it is renewed, or ends, in time whatever its life.
 */
static int64_t look_msec(const struct agent *agent)
{
	int64_t now = clock_wall_usec(), renew = cert_renew_usec(agent->service);
	int64_t at = now < renew ? renew : cert_not_after_usec(agent->service);
	int64_t msec = (at - now) / USEC_PER_MSEC + 1;

	return msec < LOOK_MSEC_MAX ? (msec > 1 ? msec : 1) : LOOK_MSEC_MAX;
}

static void use_service(struct agent *agent)
{
	struct err err = { 0 };

	tell_identity(agent);
	tls_context_free(agent->tls);
	agent->tls = NULL;
	if (client_tls(agent, agent->service_key, agent->service, &agent->tls, &err) != 0) {
		agent_state_set(agent, AGENT_NO_TOKEN, "%s", err.text);
		try_later(agent, TOKEN_RETRY_MSEC);
		return;
	}
	if (agent->state < AGENT_CONNECTING) {
		agent_state_set(agent, AGENT_CONNECTING, "connecting to %s", agent->config->center);
	}
	agent_link_start(agent);
	try_later(agent, look_msec(agent));
}

static void start_enrolment(struct agent *agent, bool renew)
{
	struct err err = { 0 };

	agent->renewing = renew;
	if (!renew) {
		/* Without a valid certificate there is no link. */
		agent_link_stop(agent);
		tls_context_free(agent->tls);
		agent->tls = NULL;
	}
	if (!renew && find_device(agent, &err) != 0) {
		agent_state_set(agent, AGENT_NO_DEVICE,
		        "the token holds no device certificate; the maker has to install it (%s)",
		        err.text);
		try_later(agent, TOKEN_RETRY_MSEC);
		return;
	}
	if (!renew) {
		agent_state_set(agent, AGENT_ENROLLING, "asking %s for a service certificate",
		        agent->config->center);
	}
	if (ask(agent, renew, &err) != 0) {
		log_error("enrolment: %s", err.text);
		if (!renew) {
			agent_state_set(agent, AGENT_ENROLLING, "cannot ask for a certificate: %s",
			        err.text);
		}
		try_later(agent, TOKEN_RETRY_MSEC);
	}
}

/* Said in the journal once, however often it is looked. */
static void token_lost(struct agent *agent, int outcome, const char *text)
{
	agent_link_stop(agent);
	agent_state_set(agent, AGENT_NO_TOKEN, "%s", text);
	if (!agent->token_said && agent->priv) {
		agent->token_said = true;
		agent_note(agent, "token.missing", agent->config->token_label, text);
	}
	/* The handle remembers a PIN that was refused and makes no second try (B9). */
	try_later(agent, outcome == TOKEN_PIN_WRONG || outcome == TOKEN_PIN_LOCKED
	                         ? LOOK_MSEC_MAX
	                         : TOKEN_RETRY_MSEC);
}

void agent_token_look(void *context)
{
	struct agent *agent = context;
	int64_t now = clock_wall_usec();
	struct err err = { 0 };
	int r;

	r = token_open(agent->token, &err);
	if (r == 0) {
		r = find_service(agent, &err);
	}
	if (r != 0) {
		token_lost(agent, r, err.text);
		return;
	}
	if (agent->token_said) {
		agent->token_said = false;
		agent_note(agent, "token.found", agent->config->token_label,
		        "the token is there again");
	}
	if (!agent->service || now >= cert_not_after_usec(agent->service)) {
		start_enrolment(agent, false);
		return;
	}
	if (agent->state == AGENT_ONLINE) {
		delete_old(agent);
	} else if (!agent->tls || agent->state < AGENT_CONNECTING || !agent->priv_told) {
		use_service(agent);
	}
	if (now >= cert_renew_usec(agent->service)) {
		start_enrolment(agent, true);
		return;
	}
	try_later(agent, agent->old_count > 0 ? TOKEN_RETRY_MSEC : look_msec(agent));
}
