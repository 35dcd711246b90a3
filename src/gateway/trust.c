#include "gateway/trust.h"

#include <string.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "pki/seal.h"
#include "pki/statement.h"
#include "pki/verify.h"
#include "wire/json.h"

#define KEPT_TRUST "trust"
#define KEPT_POLICY "policy.json"

/* Every statement, CA and list there can be at once is less; more is not kept. */
#define KEPT_BYTES_MAX (64 << 20)

/* Reading a certificate takes about half a millisecond; a gateway that has more peers than this at
 * a time reads some again. */
#define PEERS_KNOWN_MAX 16

/* The newest statement about one party, as it was received. */
struct kept {
	enum statement_role role;
	char id[NAME_BYTES_MAX + 1];
	char *sealed;
};

struct trust {
	char *provider, *state_dir;
	struct cert *root;
	struct key *root_key, *owner;
	struct prefix services[2];
	size_t services_count;
	struct verifier *verifier;
	struct statement_set *statements;
	struct kept *kept;
	size_t kept_count, kept_room;
	struct cert *identity;
	struct cert *peers[PEERS_KNOWN_MAX]; /* read before; a ring */
	size_t peer_next;
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
	for (size_t i = 0; i < PEERS_KNOWN_MAX; i++) {
		cert_free(trust->peers[i]);
	}
	verifier_free(trust->verifier);
	statement_set_free(trust->statements);
	key_free(trust->owner);
	key_free(trust->root_key);
	cert_free(trust->root);
	for (size_t i = 0; i < trust->kept_count; i++) {
		free(trust->kept[i].sealed);
	}
	free(trust->kept);
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
	static const char head[] = "-----BEGIN PUBLIC KEY-----",
	                  tail[] = "-----END PUBLIC KEY-----";
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

/* If this fails, the next start knows less, or older things: somebody has to look at the disk. */
static void keep(const struct trust *trust, const char *name, const char *data, size_t count)
{
	AUTO_STRING char *path = kept_path(trust, name);
	struct err err = { 0 };

	if (file_replace(path, data, count, 0600, &err) < 0) {
		log_error("%s", err.text);
	}
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

static void remember(struct trust *trust, const struct statement *statement, const char *sealed)
{
	struct kept *kept = NULL;

	for (size_t i = 0; i < trust->kept_count && !kept; i++) {
		if (trust->kept[i].role == statement->role &&
		        strcmp(trust->kept[i].id, statement->id) == 0) {
			kept = &trust->kept[i];
		}
	}
	if (!kept && trust->kept_count == trust->kept_room) {
		trust->kept_room = trust->kept_room ? 2 * trust->kept_room : 16;
		trust->kept = mem_resize(trust->kept, trust->kept_room, sizeof(*trust->kept));
	}
	if (!kept) {
		kept = &trust->kept[trust->kept_count++];
		*kept = (struct kept){ .role = statement->role };
		memcpy(kept->id, statement->id, sizeof(kept->id));
	}
	free(kept->sealed);
	kept->sealed = mem_string(sealed);
}

static int take_statement(struct trust *trust, const char *sealed, bool *changed, struct err *err)
{
	const struct key *const roots[] = { trust->root_key };
	struct statement *statement;
	const struct statement *held;
	enum statement_role role;
	char id[NAME_BYTES_MAX + 1];

	if (statement_open(sealed, strlen(sealed), roots, 1, &statement, err) != 0) {
		return 1;
	}
	role = statement->role;
	memcpy(id, statement->id, sizeof(id));
	if (statement_set_take(trust->statements, statement) != 0) {
		return 0; /* not newer */
	}
	held = statement_set_find(trust->statements, role, id);
	assert_always(held != NULL);
	remember(trust, held, sealed);
	*changed = true;
	return 0;
}

static int take_statements(struct trust *trust, const json_t *list, bool *changed, struct err *err)
{
	int result = 0;

	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *text;

		if (json_item_string(list, "statements", i, JWS_SMALL_BYTES_MAX, &text, err) != 0 ||
		        take_statement(trust, text, changed, err) != 0) {
			result = err_wrap(err, 1, "statement %zu", i);
		}
	}
	return result;
}

static int take_crl(struct trust *trust, const char *base64, bool *changed, struct err *err)
{
	AUTO_BUF struct buf der = BUF(CRL_DER_BYTES_MAX);
	struct crl *crl;
	int r;

	if (base64_parse(base64, strlen(base64), &der) != 0) {
		return err_set(err, 1, "not base64");
	}
	if (crl_parse(der.bytes, der.count, &crl, err) != 0) {
		return 1;
	}
	r = verifier_take_crl(trust->verifier, crl, err);
	*changed |= r == 0;
	return r == 1 ? 1 : 0;
}

static int take_crls(struct trust *trust, const json_t *list, bool *changed, struct err *err)
{
	int result = 0;

	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *text;

		if (json_item_string(list, "crls", i, JSON_BYTES_MAX, &text, err) != 0 ||
		        take_crl(trust, text, changed, err) != 0) {
			result = err_wrap(err, 1, "revocation list %zu", i);
		}
	}
	return result;
}

static int take_ca(
        struct trust *trust, const void *bytes, size_t count, bool *changed, struct err *err)
{
	AUTO(cert) struct cert *cert = NULL;
	struct key_hash hash;

	if (cert_parse(bytes, count, &cert, err) != 0) {
		return 1;
	}
	hash = cert_fingerprint(cert);
	for (size_t i = 0; verifier_ca(trust->verifier, i); i++) {
		if (key_hash_equal(cert_fingerprint(verifier_ca(trust->verifier, i)), hash)) {
			return 0;
		}
	}
	if (verifier_add_ca(trust->verifier, cert, err) != 0) {
		return 1;
	}
	*changed = true;
	return 0;
}

/* --- kept over a restart --- */

/* All that is held goes into the file, and not the event that brought the last of it: an event that
 * leaves something out must not make the gateway forget it at its next start. */
static void keep_trust(const struct trust *trust)
{
	AUTO_BUF struct buf out = BUF(KEPT_BYTES_MAX);
	const struct cert *cert;
	const struct crl *crl;
	const uint8_t *der;
	size_t count;

	for (size_t i = 0; i < trust->kept_count; i++) {
		buf_add_text(&out, "statement ");
		buf_add_text(&out, trust->kept[i].sealed);
		buf_add_text(&out, "\n");
	}
	for (size_t i = 0; (cert = verifier_ca(trust->verifier, i)); i++) {
		der = cert_der(cert, &count);
		buf_add_text(&out, "ca ");
		base64_add(&out, der, count);
		buf_add_text(&out, "\n");
	}
	for (size_t i = 0; (crl = verifier_crl(trust->verifier, i)); i++) {
		der = crl_der(crl, &count);
		buf_add_text(&out, "crl ");
		base64_add(&out, der, count);
		buf_add_text(&out, "\n");
	}
	if (out.overflowed) {
		log_error(
		        "what is trusted is more than %d bytes: it is not kept for the next start",
		        KEPT_BYTES_MAX);
		return;
	}
	keep(trust, KEPT_TRUST, buf_text(&out), out.count);
}

static int recall_line(struct trust *trust, const char *word, const char *value, struct err *err)
{
	AUTO_BUF struct buf der = BUF(CERT_DER_BYTES_MAX);
	bool changed = false;

	if (text_equal(word, "statement")) {
		return take_statement(trust, value, &changed, err);
	}
	if (text_equal(word, "crl")) {
		return take_crl(trust, value, &changed, err);
	}
	if (!text_equal(word, "ca") || base64_parse(value, strlen(value), &der) != 0) {
		return err_set(err, 1, "not a line of ours");
	}
	return take_ca(trust, der.bytes, der.count, &changed, err);
}

/* What is on disk passes the same checks as what the center sends. A line that does not is as good
 * as none: the center sends it again. */
static void recall_trust(struct trust *trust)
{
	AUTO_STRING char *path = kept_path(trust, KEPT_TRUST);
	AUTO_BUF struct buf data = BUF(KEPT_BYTES_MAX);
	AUTO_STRING char *text = NULL;
	char *rest, *line;

	if (file_read(path, &data, NULL) != 0) {
		return;
	}
	text = buf_take_text(&data);
	rest = text;
	while ((line = strsep(&rest, "\n"))) {
		char *value = line;
		const char *word = strsep(&value, " ");
		struct err err = { 0 };

		if (*line != '\0' && recall_line(trust, word, value ? value : "", &err) != 0) {
			log_warning("%s: a line is not used: %s", path, err.text);
		}
	}
}

/* --- the `trust` event --- */

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

int trust_take(
        struct trust *trust, const char *data, size_t count, bool *ret_changed, struct err *err)
{
	struct trust_event event = { 0 };
	AUTO_JSON json_t *object = NULL;
	int result = 0;

	*ret_changed = false;
	if (json_read(data, count, trust_fields, &event, &object, err) != 0) {
		return 1;
	}
	if (take_statements(trust, event.statements, ret_changed, err) != 0) {
		result = 1;
	}
	/* An issuer is there before its list is checked against it. */
	if (take_ca(trust, event.service_ca, strlen(event.service_ca), ret_changed, err) != 0) {
		result = err_wrap(err, 1, "service_ca");
	}
	if (take_ca(trust, event.device_ca, strlen(event.device_ca), ret_changed, err) != 0) {
		result = err_wrap(err, 1, "device_ca");
	}
	if (take_crls(trust, event.crls, ret_changed, err) != 0) {
		result = 1;
	}
	if (*ret_changed) {
		keep_trust(trust);
	}
	return result;
}

/* --- policies --- */

static int open_policy(const char *sealed, const char *typ, const struct key *const *keys,
        size_t key_count, struct buf *text, struct err *err)
{
	int r = seal_open(sealed, strlen(sealed), typ, keys, key_count, text, NULL, err);

	return r == 0 ? 0 : 1;
}

static bool is_guarded(const struct trust *trust, struct prefix prefix)
{
	bool guarded = false;

	for (size_t i = 0; i < trust->services_count; i++) {
		guarded |= prefix_contains_prefix(trust->services[i], prefix);
	}
	return guarded;
}

/* The packet filter guards the prefixes of the configuration: a site outside would not be. */
static int judge_prefixes(
        const struct trust *trust, const struct provider_policy *policy, struct err *err)
{
	for (size_t i = 0; i < provider_policy_site_count(policy); i++) {
		struct policy_site site;

		provider_policy_site_at(policy, i, &site);
		for (size_t j = 0; j < site.prefix_count; j++) {
			if (!is_guarded(trust, site.prefixes[j])) {
				return err_set(err, 1,
				        "site %s has %s, which is outside of this gateway's "
				        "service-prefix",
				        site.name, prefix_print(site.prefixes[j]).text);
			}
		}
	}
	return 0;
}

/* Outcome 1: refused. A version that is active already is passed over. */
static int take_provider_policy(
        struct trust *trust, const char *sealed, int64_t wall_usec, bool *changed, struct err *err)
{
	const struct key *keys[STATEMENT_KEYS_MAX];
	AUTO(provider_policy) struct provider_policy *policy = NULL;
	AUTO_BUF struct buf text = BUF(POLICY_TEXT_BYTES_MAX);
	uint64_t active =
	        trust->provider_policy ? provider_policy_version(trust->provider_policy) : 0;
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
		return err_set(
		        err, 1, "provider policy: it is of %s", provider_policy_provider(policy));
	}
	if (judge_prefixes(trust, policy, err) != 0 ||
	        provider_policy_check(policy, active, err) != 0) {
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
	/* Only the pinned owner: a center that is not ours any more cannot put its own in (promise
	 * 2). */
	if (open_policy(sealed, "sekisho-site-policy", keys, 1, &text, err) != 0 ||
	        site_policy_parse(buf_text(&text), text.count, &policy, err) != 0) {
		return err_wrap(err, 1, "site policy");
	}
	if (trust->identity && strcmp(site_policy_site(policy), trust_site(trust)) != 0) {
		return err_set(
		        err, 1, "site policy: it is of the site %s", site_policy_site(policy));
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

static int take_policy(struct trust *trust, const char *data, size_t count, int64_t wall_usec,
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

static void keep_policies(const struct trust *trust)
{
	AUTO_JSON json_t *kept = json_pack(
	        "{s:s?,s:s?}", "provider", trust->provider_sealed, "site", trust->site_sealed);
	AUTO_BUF struct buf out = BUF(2 * JWS_BYTES_MAX + 64);

	json_print(kept, &out);
	keep(trust, KEPT_POLICY, buf_text(&out), out.count);
}

int trust_policy_take(struct trust *trust, const char *data, size_t count, int64_t wall_usec,
        bool *ret_changed, struct err *err)
{
	int r = take_policy(trust, data, count, wall_usec, ret_changed, err);

	if (*ret_changed) {
		keep_policies(trust);
	}
	return r;
}

static void recall_policy(struct trust *trust)
{
	AUTO_STRING char *path = kept_path(trust, KEPT_POLICY);
	AUTO_BUF struct buf data = BUF(JSON_BYTES_MAX);
	struct err err = { 0 };
	bool changed;

	if (file_read(path, &data, NULL) == 0 && take_policy(trust, buf_text(&data), data.count,
	                                                 clock_wall_usec(), &changed, &err) != 0) {
		log_warning("%s: a policy is not used: %s", path, err.text);
	}
}

/* --- start and identity --- */

int trust_open(const struct trust_config *config, struct trust **ret_trust, struct err *err)
{
	AUTO(trust) struct trust *trust = mem_new(1, sizeof(*trust));

	trust->provider = mem_string(config->provider);
	trust->state_dir = mem_string(config->state_dir);
	memcpy(trust->services, config->services, sizeof(trust->services));
	trust->services_count = config->services_count;
	/* A gateway that has no CRL yet has no statement either, and opens nothing without one. */
	trust->verifier = verifier_new((struct verify_rules){
	        .revocation_required = true, .accreditation_required = true });
	trust->statements = statement_set_new();
	verifier_set_statements(trust->verifier, trust->statements);
	if (read_root(trust, config->root_path, err) != 0 ||
	        read_owner(trust, config->owner_path, err) != 0) {
		return 1;
	}
	recall_trust(trust);
	recall_policy(trust);
	*ret_trust = TAKE(trust);
	return 0;
}

/* Whether a further certificate may take the place of the one that is there: as far as it can be
 * told without a fresh list, it has to be one of an issuer of ours. Outcome 1: no. */
static int judge_other(
        const struct trust *trust, const struct cert *cert, int64_t wall_usec, struct err *err)
{
	int r = verify_cert(trust->verifier, cert, NULL, 0, CERT_SET(CERT_SERVICE), wall_usec, err);

	return r == 0 || r == VERIFY_STALE || r == VERIFY_NOT_ACCREDITED ? 0 : 1;
}

int trust_identity_set(
        struct trust *trust, const uint8_t *der, size_t count, int64_t wall_usec, struct err *err)
{
	AUTO(cert) struct cert *cert = NULL;
	char gateway[NAME_BYTES_MAX + 1], provider[NAME_BYTES_MAX + 1];

	if (cert_parse(der, count, &cert, err) != 0 || cert_lint(cert, CERT_SERVICE, err) != 0) {
		return 1;
	}
	if (cert_identity(cert, gateway, provider) != 0 || strcmp(provider, trust->provider) != 0) {
		return err_set(
		        err, 1, "the certificate is not for the provider %s", trust->provider);
	}
	if (trust->identity &&
	        key_hash_equal(cert_fingerprint(trust->identity), cert_fingerprint(cert))) {
		return 0;
	}
	if (trust->identity) {
		return judge_other(trust, cert, wall_usec, err) == 0 ? TRUST_IDENTITY_OTHER : 1;
	}
	memcpy(trust->gateway, gateway, sizeof(gateway));
	trust->identity = TAKE(cert);
	if (trust->site_policy &&
	        !text_equal(site_policy_site(trust->site_policy), trust_site(trust))) {
		log_warning("the site policy on this disk is of %s, and this gateway stands at %s: "
		            "it is "
		            "not used",
		        site_policy_site(trust->site_policy), trust_site(trust));
		trust->site_policy = site_policy_free(trust->site_policy);
		free(TAKE(trust->site_sealed));
	}
	return 0;
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

static int check_grant(void *context, const struct grant *grant, int64_t wall_usec, struct err *err)
{
	const struct trust *trust = context;
	/* By the name: the own certificate may be a newer one than the grant's. */
	const struct grant_end *peer = text_equal(grant->initiator.gateway, trust->gateway)
	                                       ? &grant->responder
	                                       : &grant->initiator;

	if (!statement_set_accredited(
	            trust->statements, STATEMENT_PROVIDER, trust->provider, wall_usec)) {
		return err_set(err, 1, "the provider is not accredited now");
	}
	/* Own certificate: chain, dates, revocation, and the service CA's accreditation. */
	if (verify_cert(trust->verifier, trust->identity, NULL, 0, CERT_SET(CERT_SERVICE),
	            wall_usec, err) != 0) {
		return err_wrap(err, 1, "own service certificate");
	}
	if (serial_revoked(trust, peer->serial)) {
		return err_set(err, 1, "the service certificate of %s is revoked", peer->gateway);
	}
	return 0;
}

/* That it is the peer's own, and the one that the grant names. The service CA signs for every
 * gateway: a center must not pass one off as another. */
static int judge_peer(const struct trust *trust, const struct grant_end *peer,
        const struct cert *cert, struct err *err)
{
	char gateway[NAME_BYTES_MAX + 1], provider[NAME_BYTES_MAX + 1];

	if (cert_identity(cert, gateway, provider) != 0 || !text_equal(provider, trust->provider) ||
	        !text_equal(gateway, peer->gateway) || !text_equal(cert_unit(cert), peer->site) ||
	        !text_equal(cert_dns_name(cert, 0), peer->identity)) {
		return err_set(err, 1, "it is another gateway's");
	}
	return text_equal(cert_serial(cert), peer->serial)
	               ? 0
	               : err_set(err, 1, "the grant names another one");
}

static bool has_der(const struct cert *cert, const uint8_t *der, size_t count)
{
	size_t own_count;
	const uint8_t *own = cert_der(cert, &own_count);

	return own_count == count && memcmp(own, der, count) == 0;
}

/* The certificate of these bytes. One that was read before is not read again; what it is good for
 * is judged each time. */
static int read_peer(struct trust *trust, const uint8_t *der, size_t count,
        const struct cert **ret_cert, struct err *err)
{
	AUTO(cert) struct cert *cert = NULL;
	size_t place = trust->peer_next;

	for (size_t i = 0; i < PEERS_KNOWN_MAX; i++) {
		if (trust->peers[i] && has_der(trust->peers[i], der, count)) {
			*ret_cert = trust->peers[i];
			return 0;
		}
	}
	if (cert_parse(der, count, &cert, err) != 0) {
		return 1;
	}
	if (!has_der(cert, der, count)) {
		return err_set(err, 1, "it is not DER");
	}
	cert_free(trust->peers[place]);
	*ret_cert = trust->peers[place] = TAKE(cert);
	trust->peer_next = (place + 1) % PEERS_KNOWN_MAX;
	return 0;
}

static int check_peer(void *context, const struct grant_end *peer, const uint8_t *der, size_t count,
        int64_t wall_usec, struct err *err)
{
	struct trust *trust = context;
	const struct cert *cert;
	int r = read_peer(trust, der, count, &cert, err);

	if (r == 0) {
		r = judge_peer(trust, peer, cert, err);
	}
	if (r == 0) {
		r = verify_cert(
		        trust->verifier, cert, NULL, 0, CERT_SET(CERT_SERVICE), wall_usec, err);
	}
	/* charon knows no issuer but this gateway's own. */
	if (r == 0 && verifier_issuer(trust->verifier, cert) != trust_service_ca(trust)) {
		r = err_set(err, 1, "it is of another issuer than this gateway's own");
	}
	return r == 0 ? 0 : err_wrap(err, 1, "service certificate of %s", peer->gateway);
}

struct tunnel_trust trust_for_tunnels(struct trust *trust)
{
	return (struct tunnel_trust){ .context = trust,
		.seal_open = open_seal,
		.grant_check = check_grant,
		.peer_check = check_peer,
		.approval_open = trust_approval_open };
}
