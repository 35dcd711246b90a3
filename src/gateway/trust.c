#include "gateway/trust.h"

#include <string.h>

#include "base/file.h"
#include "base/limits.h"
#include "pki/seal.h"
#include "pki/statement.h"
#include "pki/verify.h"
#include "wire/json.h"

#define KEPT_TRUST "trust.json"
#define KEPT_POLICY "policy.json"

struct trust {
	char *provider, *state_dir;
	struct cert *root;
	struct key *root_key, *owner;
	struct verifier *verifier;
	struct statement_set *statements;
	struct cert *identity;
	char gateway[NAME_BYTES_MAX + 1];
	struct provider_policy *provider_policy;
	struct site_policy *site_policy;
	char *provider_sealed, *site_sealed; /* as received, for the next start */
};

struct trust *trust_free(struct trust *trust)
{
	if (!trust) {
		return NULL;
	}
	site_policy_free(trust->site_policy);
	provider_policy_free(trust->provider_policy);
	cert_free(trust->identity);
	verifier_free(trust->verifier);
	statement_set_free(trust->statements);
	key_free(trust->owner);
	key_free(trust->root_key);
	cert_free(trust->root);
	free(trust->provider_sealed);
	free(trust->site_sealed);
	free(trust->provider);
	free(trust->state_dir);
	free(trust);
	return NULL;
}

static int read_root(struct trust *trust, const char *path, struct err *err)
{
	AUTO_BUF struct buf text = BUF(CERT_DER_BYTES_MAX * 2);
	const uint8_t *spki;
	size_t spki_bytes;
	int r;

	r = file_read(path, &text, err);
	if (r < 0) {
		return 1;
	}
	r = cert_parse(text.bytes, text.count, &trust->root, err);
	if (r == 0) {
		r = verifier_add_root(trust->verifier, trust->root, err);
	}
	if (r == 0) {
		spki = cert_spki(trust->root, &spki_bytes);
		r = key_parse(spki, spki_bytes, &trust->root_key, err);
	}
	return r == 0 ? 0 : err_wrap(err, r, "%s", path);
}

/* The owner's public key: a PEM file, of which only the base64 between its lines is wanted. */
static int read_owner(struct trust *trust, const char *path, struct err *err)
{
	static const char head[] = "-----BEGIN PUBLIC KEY-----", tail[] = "-----END PUBLIC KEY-----";
	AUTO_BUF struct buf text = BUF(8192);
	AUTO_BUF struct buf body = BUF(8192);
	const char *from, *to;

	if (file_read(path, &text, err) < 0) {
		return 1;
	}
	from = strstr(buf_text(&text), head);
	to = from ? strstr(from, tail) : NULL;
	if (!to) {
		return err_set(err, 1, "%s holds no public key in PEM form", path);
	}
	for (from += strlen(head); from < to; from++) {
		if (*from != '\n' && *from != '\r') {
			buf_add(&body, from, 1);
		}
	}
	if (key_parse_base64(buf_text(&body), &trust->owner, err) != 0) {
		return err_wrap(err, 1, "%s", path);
	}
	return 0;
}

static char *kept_path(const struct trust *trust, const char *name)
{
	return mem_format("%s/%s", trust->state_dir, name);
}

static void keep(const struct trust *trust, const char *name, const char *data, size_t count)
{
	AUTO_STRING char *path = kept_path(trust, name);

	/* If this fails, the next start knows less and permits less. */
	if (file_replace(path, data, count, 0600, NULL) < 0) {
		return;
	}
}

static int take_trust(struct trust *trust, const char *data, size_t count, bool *ret_changed,
	struct err *err);
static int take_policy(struct trust *trust, const char *data, size_t count, bool *ret_changed,
	struct err *err);

static void recall(struct trust *trust, const char *name,
	int (*take)(struct trust *, const char *, size_t, bool *, struct err *))
{
	AUTO_STRING char *path = kept_path(trust, name);
	AUTO_BUF struct buf data = BUF(JSON_BYTES_MAX);
	bool changed;

	/* A kept document that cannot be used is as good as none: the center sends it again. */
	if (file_read(path, &data, NULL) != 0 ||
		take(trust, buf_text(&data), data.count, &changed, NULL) != 0) {
		return;
	}
}

int trust_open(const struct trust_config *config, struct trust **ret_trust, struct err *err)
{
	AUTO(trust) struct trust *trust = mem_new(1, sizeof(*trust));

	trust->provider = mem_string(config->provider);
	trust->state_dir = mem_string(config->state_dir);
	/* A gateway that has no CRL yet has no statement either, and opens nothing without one. */
	trust->verifier = verifier_new((struct verify_rules){ .revocation_required = true,
		.accreditation_required = true });
	trust->statements = statement_set_new();
	verifier_set_statements(trust->verifier, trust->statements);
	if (read_root(trust, config->root_path, err) != 0 ||
		read_owner(trust, config->owner_path, err) != 0) {
		return 1;
	}
	recall(trust, KEPT_TRUST, take_trust);
	recall(trust, KEPT_POLICY, take_policy);
	*ret_trust = TAKE(trust);
	return 0;
}

int trust_identity_set(struct trust *trust, const uint8_t *der, size_t count, struct err *err)
{
	AUTO(cert) struct cert *cert = NULL;
	char provider[NAME_BYTES_MAX + 1];

	if (cert_parse(der, count, &cert, err) != 0 || cert_lint(cert, CERT_SERVICE, err) != 0) {
		return 1;
	}
	if (cert_identity(cert, trust->gateway, provider) != 0 ||
		strcmp(provider, trust->provider) != 0) {
		return err_set(err, 1, "the certificate is not for the provider %s", trust->provider);
	}
	cert_free(trust->identity);
	trust->identity = TAKE(cert);
	return 0;
}

const struct cert *trust_identity(const struct trust *trust)
{
	return trust->identity;
}

const char *trust_site(const struct trust *trust)
{
	return cert_unit(trust->identity);
}

const char *trust_gateway(const struct trust *trust)
{
	return trust->gateway;
}

const struct cert *trust_root(const struct trust *trust)
{
	return trust->root;
}

const struct cert *trust_service_ca(const struct trust *trust)
{
	return trust->identity ? verifier_issuer(trust->verifier, trust->identity) : NULL;
}

static int take_statements(struct trust *trust, const json_t *list, bool *changed, struct err *err)
{
	const struct key *const roots[] = { trust->root_key };
	int result = 0;

	for (size_t i = 0; i < json_array_size(list); i++) {
		struct statement *statement;
		const char *text;

		if (json_item_string(list, "statements", i, JWS_SMALL_BYTES_MAX, &text, err) != 0 ||
			statement_open(text, strlen(text), roots, 1, &statement, err) != 0) {
			result = err_wrap(err, 1, "statement %zu", i);
			continue;
		}
		*changed |= statement_set_take(trust->statements, statement) == 0;
	}
	return result;
}

static int take_crls(struct trust *trust, const json_t *list, bool *changed, struct err *err)
{
	int result = 0;

	for (size_t i = 0; i < json_array_size(list); i++) {
		AUTO_BUF struct buf der = BUF(CRL_DER_BYTES_MAX);
		struct crl *crl;
		const char *text;
		int r;

		if (json_item_string(list, "crls", i, JSON_BYTES_MAX, &text, err) != 0 ||
			base64_parse(text, strlen(text), &der) != 0 ||
			crl_parse(der.bytes, der.count, &crl, err) != 0) {
			result = err_wrap(err, 1, "revocation list %zu", i);
			continue;
		}
		r = verifier_take_crl(trust->verifier, crl, err);
		if (r == 1) {
			result = err_wrap(err, 1, "revocation list %zu", i);
		}
		*changed |= r == 0;
	}
	return result;
}

static int take_ca(struct trust *trust, const char *pem, const char *name, bool *changed,
	struct err *err)
{
	AUTO(cert) struct cert *cert = NULL;
	struct key_hash hash;

	if (cert_parse(pem, strlen(pem), &cert, err) != 0) {
		return err_wrap(err, 1, "%s", name);
	}
	hash = cert_fingerprint(cert);
	for (size_t i = 0; verifier_ca(trust->verifier, i); i++) {
		if (key_hash_equal(cert_fingerprint(verifier_ca(trust->verifier, i)), hash)) {
			return 0;
		}
	}
	if (verifier_add_ca(trust->verifier, cert, err) != 0) {
		return err_wrap(err, 1, "%s", name);
	}
	*changed = true;
	return 0;
}

struct trust_event {
	json_t *statements, *crls;
	const char *service_ca, *device_ca;
};

static const struct json_field trust_fields[] = {
	{ JSON_FIELD("statements", FIELD_LIST, struct trust_event, statements), .required = true,
		.max = STATEMENT_SET_MAX },
	{ JSON_FIELD("crls", FIELD_LIST, struct trust_event, crls), .required = true, .max = 8 },
	{ JSON_FIELD("service_ca", FIELD_STRING, struct trust_event, service_ca), .required = true,
		.max = 2 * CERT_DER_BYTES_MAX },
	{ JSON_FIELD("device_ca", FIELD_STRING, struct trust_event, device_ca), .required = true,
		.max = 2 * CERT_DER_BYTES_MAX },
	{ 0 },
};

static int take_trust(struct trust *trust, const char *data, size_t count, bool *ret_changed,
	struct err *err)
{
	struct trust_event event = { 0 };
	AUTO_JSON json_t *object = NULL;
	int result = 0;

	*ret_changed = false;
	if (json_read(data, count, trust_fields, &event, &object, err) != 0) {
		return 1;
	}
	/* In this order: an issuer is there before its list is checked against it. */
	if (take_statements(trust, event.statements, ret_changed, err) != 0 ||
		take_ca(trust, event.service_ca, "service_ca", ret_changed, err) != 0 ||
		take_ca(trust, event.device_ca, "device_ca", ret_changed, err) != 0) {
		result = 1;
	}
	if (take_crls(trust, event.crls, ret_changed, err) != 0) {
		result = 1;
	}
	return result;
}

int trust_take(struct trust *trust, const char *data, size_t count, int64_t wall_usec,
	bool *ret_changed, struct err *err)
{
	int r = take_trust(trust, data, count, ret_changed, err);

	if (r == 0 && *ret_changed) {
		keep(trust, KEPT_TRUST, data, count);
	}
	return r;
}

static int open_policy(const char *sealed, const char *typ, const struct key *const *keys,
	size_t key_count, struct buf *text, struct err *err)
{
	int r = seal_open(sealed, strlen(sealed), typ, keys, key_count, text, NULL, err);

	return r == 0 ? 0 : 1;
}

/* Outcome 1: refused. A version that is active already is passed over. */
static int take_provider_policy(
	struct trust *trust, const char *sealed, int64_t wall_usec, bool *changed, struct err *err)
{
	const struct key *keys[STATEMENT_KEYS_MAX];
	AUTO(provider_policy) struct provider_policy *policy = NULL;
	AUTO_BUF struct buf text = BUF(POLICY_TEXT_BYTES_MAX);
	uint64_t active = trust->provider_policy ? provider_policy_version(trust->provider_policy) : 0;
	size_t count = statement_set_keys(trust->statements, STATEMENT_PROVIDER, trust->provider,
		STATEMENT_USE_POLICY, wall_usec, keys);

	if (trust->provider_sealed && strcmp(trust->provider_sealed, sealed) == 0) {
		return 0;
	}
	if (open_policy(sealed, "sekisho-provider-policy", keys, count, &text, err) != 0 ||
		provider_policy_parse(buf_text(&text), text.count, &policy, err) != 0) {
		return err_wrap(err, 1, "provider policy");
	}
	if (strcmp(provider_policy_provider(policy), trust->provider) != 0) {
		return err_set(err, 1, "provider policy: it is of %s", provider_policy_provider(policy));
	}
	if (provider_policy_check(policy, active, err) != 0) {
		return err_wrap(err, 1, "provider policy");
	}
	provider_policy_free(trust->provider_policy);
	trust->provider_policy = TAKE(policy);
	free(trust->provider_sealed);
	trust->provider_sealed = mem_string(sealed);
	*changed = true;
	return 0;
}

static int take_site_policy(struct trust *trust, const char *sealed, bool *changed, struct err *err)
{
	const struct key *const keys[] = { trust->owner };
	AUTO(site_policy) struct site_policy *policy = NULL;
	AUTO_BUF struct buf text = BUF(POLICY_TEXT_BYTES_MAX);
	uint64_t active = trust->site_policy ? site_policy_version(trust->site_policy) : 0;

	if (trust->site_sealed && strcmp(trust->site_sealed, sealed) == 0) {
		return 0;
	}
	/* Only the pinned owner: a center that is not ours any more cannot put its own in (promise 2). */
	if (open_policy(sealed, "sekisho-site-policy", keys, 1, &text, err) != 0 ||
		site_policy_parse(buf_text(&text), text.count, &policy, err) != 0) {
		return err_wrap(err, 1, "site policy");
	}
	if (trust->identity && strcmp(site_policy_site(policy), trust_site(trust)) != 0) {
		return err_set(err, 1, "site policy: it is of the site %s", site_policy_site(policy));
	}
	if (site_policy_check(policy, active, err) != 0) {
		return err_wrap(err, 1, "site policy");
	}
	site_policy_free(trust->site_policy);
	trust->site_policy = TAKE(policy);
	free(trust->site_sealed);
	trust->site_sealed = mem_string(sealed);
	*changed = true;
	return 0;
}

struct policy_event {
	const char *provider, *site;
};

static const struct json_field policy_fields[] = {
	{ JSON_FIELD("provider", FIELD_STRING, struct policy_event, provider), .max = JWS_BYTES_MAX,
		.nullable = true },
	{ JSON_FIELD("site", FIELD_STRING, struct policy_event, site), .max = JWS_BYTES_MAX,
		.nullable = true },
	{ 0 },
};

static int take_policy_at(struct trust *trust, const char *data, size_t count, int64_t wall_usec,
	bool *ret_changed, struct err *err)
{
	struct policy_event event = { 0 };
	AUTO_JSON json_t *object = NULL;
	int result = 0;

	*ret_changed = false;
	if (json_read(data, count, policy_fields, &event, &object, err) != 0) {
		return 1;
	}
	if (event.provider &&
		take_provider_policy(trust, event.provider, wall_usec, ret_changed, err) != 0) {
		result = 1;
	}
	if (event.site && take_site_policy(trust, event.site, ret_changed, err) != 0) {
		result = 1;
	}
	return result;
}

static int take_policy(struct trust *trust, const char *data, size_t count, bool *ret_changed,
	struct err *err)
{
	return take_policy_at(trust, data, count, clock_wall_usec(), ret_changed, err);
}

static void keep_policies(const struct trust *trust)
{
	AUTO_JSON json_t *kept = json_pack("{s:s?,s:s?}", "provider", trust->provider_sealed, "site",
		trust->site_sealed);
	AUTO_BUF struct buf out = BUF(2 * JWS_BYTES_MAX + 64);

	json_print(kept, &out);
	keep(trust, KEPT_POLICY, buf_text(&out), out.count);
}

int trust_policy_take(struct trust *trust, const char *data, size_t count, int64_t wall_usec,
	bool *ret_changed, struct err *err)
{
	int r = take_policy_at(trust, data, count, wall_usec, ret_changed, err);

	if (*ret_changed) {
		keep_policies(trust);
	}
	return r;
}

const struct provider_policy *trust_provider_policy(const struct trust *trust)
{
	return trust->provider_policy;
}

const struct site_policy *trust_site_policy(const struct trust *trust)
{
	return trust->site_policy;
}

static int open_seal(void *context, const char *provider, const char *typ, const char *sealed,
	size_t count, int64_t wall_usec, struct buf *payload, struct err *err)
{
	const struct trust *trust = context;
	const struct key *keys[STATEMENT_KEYS_MAX];
	size_t key_count = statement_set_keys(trust->statements, STATEMENT_PROVIDER, provider,
		STATEMENT_USE_GRANT, wall_usec, keys);

	if (key_count == 0) {
		return err_set(err, 1, "the provider %s is not accredited now", provider);
	}
	return seal_open(sealed, count, typ, keys, key_count, payload, NULL, err) == 0 ? 0 : 1;
}

/* Whether the peer's serial is on the list of our common issuer. */
static bool serial_revoked(const struct trust *trust, const char *serial)
{
	for (size_t i = 0; verifier_crl(trust->verifier, i); i++) {
		const struct crl *crl = verifier_crl(trust->verifier, i);

		if (crl_covers(crl, trust->identity) && crl_find(crl, serial)) {
			return true;
		}
	}
	return false;
}

static int check_grant(
	void *context, const struct grant *grant, int64_t wall_usec, struct err *err)
{
	const struct trust *trust = context;
	const char *own = cert_serial(trust->identity);
	const struct grant_end *peer =
		strcmp(grant->initiator.serial, own) == 0 ? &grant->responder : &grant->initiator;

	if (!statement_set_accredited(
		    trust->statements, STATEMENT_PROVIDER, trust->provider, wall_usec)) {
		return err_set(err, 1, "the provider is not accredited now");
	}
	/* Own certificate: chain, dates, revocation, and the service CA's accreditation. */
	if (verify_cert(trust->verifier, trust->identity, NULL, 0, CERT_SET(CERT_SERVICE), wall_usec,
		    err) != 0) {
		return err_wrap(err, 1, "own service certificate");
	}
	if (serial_revoked(trust, peer->serial)) {
		return err_set(err, 1, "the service certificate of %s is revoked", peer->gateway);
	}
	return 0;
}

struct tunnel_trust trust_for_tunnels(struct trust *trust)
{
	return (struct tunnel_trust){ .context = trust, .seal_open = open_seal,
		.grant_check = check_grant };
}
