#include "center/trust.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "center/ledger.h"
#include "center/live.h"
#include "center/registry.h"

/* A certificate that was verified under this generation of trust. */
struct peer {
	uint64_t generation;
	int64_t until_usec;
	enum cert_kind kind;
	char gateway[NAME_BYTES_MAX + 1];
	char serial[STORE_SERIAL_BYTES_MAX + 1];
};

#define PEERS_MAX 300000 /* one for each gateway of the country, and some */
/* A verdict is good for this long; dates and lists that run out are noticed by then. */
#define PEER_USEC (30 * USEC_PER_SEC)

static int read_certificate(const char *path, struct cert **ret_cert, struct err *err)
{
	AUTO_BUF struct buf bytes = BUF(4 * CERT_DER_BYTES_MAX);
	int r = file_read(path, &bytes, err);

	if (r == 0) {
		r = cert_parse(bytes.bytes, bytes.count, ret_cert, err);
	}
	return r == 0 ? 0 : err_wrap(err, 1, "[trust] %s", path);
}

static int read_files(struct center *center, struct err *err)
{
	int r = read_certificate(center->config.root, &center->root, err);

	if (r == 0) {
		r = read_certificate(center->config.device_ca, &center->device_ca, err);
	}
	if (r == 0) {
		r = read_certificate(center->config.service_ca, &center->service_ca, err);
	}
	if (r == 0) {
		r = verifier_add_root(center->verifier, center->root, err);
	}
	if (r == 0) {
		r = verifier_add_ca(center->verifier, center->device_ca, err);
	}
	if (r == 0) {
		r = verifier_add_ca(center->verifier, center->service_ca, err);
	}
	return r;
}

static int open_statement(const struct center *center, const char *jws, size_t count,
        struct statement **ret, struct err *err)
{
	size_t spki_count;
	const uint8_t *spki = cert_spki(center->root, &spki_count);
	AUTO(key) struct key *accreditor = NULL;
	int r = key_parse(spki, spki_count, &accreditor, err);

	return r != 0 ? r
	              : statement_open(
	                        jws, count, (const struct key *const *)&accreditor, 1, ret, err);
}

static void keep_statement_text(
        struct center *center, const struct statement *statement, const char *jws)
{
	char name[NAME_BYTES_MAX + 32];

	snprintf(name, sizeof(name), "%s/%s", statement_role_name(statement->role), statement->id);
	free(names_put(center->statement_texts, name, mem_string(jws)));
}

static int load_statement(void *context, const void *row)
{
	struct center *center = context;
	const struct store_statement *stored = row;
	struct statement *statement = NULL;
	struct err err = { 0 };
	int r = open_statement(center, stored->text, strlen(stored->text), &statement, &err);

	/* The root of the configuration was replaced: statements of the old one do not count. */
	if (r != 0) {
		log_warning("statement about %s %s: %s", stored->role, stored->id, err.text);
		return r < 0 ? r : 0;
	}
	keep_statement_text(center, statement, stored->text);
	r = statement_set_take(center->statements, statement);
	return r < 0 ? r : 0;
}

/* Which list this is: 0 the root's, 1 the device CA's, 2 the service CA's; -1 nobody's of ours. */
static int tier_of(const struct center *center, const struct crl *crl)
{
	const struct cert *const issuers[TIERS] = { center->root, center->device_ca,
		center->service_ca };
	struct err err;

	for (int tier = 0; tier < TIERS; tier++) {
		if (crl_verify(crl, issuers[tier], &err) == 0) {
			return tier;
		}
	}
	return -1;
}

/* Adopts a list: one copy for the verifier, one for look-ups. Outcome 1: not newer. */
static int adopt_crl(
        struct center *center, unsigned tier, const void *der, size_t count, struct err *err)
{
	struct crl *for_verifier = NULL;
	AUTO(crl) struct crl *own = NULL;
	int r = crl_parse(der, count, &for_verifier, err);

	if (r == 0) {
		r = verifier_take_crl(center->verifier, for_verifier, err);
	}
	if (r == 0) {
		r = crl_parse(der, count, &own, err);
	}
	if (r == 0) {
		crl_free(center->crls[tier]);
		center->crls[tier] = TAKE(own);
		center->trust_generation++;
	}
	return r < 0 ? r : r != 0;
}

static int load_crls(struct center *center)
{
	for (unsigned tier = 0; tier < TIERS; tier++) {
		struct store_crl row = { 0 };
		struct err err = { 0 };
		int r = store_crl_get(center->store, tier, &row);

		if (r == 0) {
			r = adopt_crl(center, tier, row.der.bytes, row.der.count, &err);
			if (r != 0) {
				log_warning("the stored revocation list of tier %u is not used: %s",
				        tier, err.text);
			}
		}
		store_row_clear(STORE_CRL, &row);
		if (r < 0) {
			return r;
		}
	}
	return 0;
}

int trust_open(struct center *center, struct err *err)
{
	struct verify_rules rules = { .revocation_required = center->config.require_crl,
		.accreditation_required = true };
	int r;

	center->verifier = verifier_new(rules);
	center->statements = statement_set_new();
	center->statement_texts = names_new();
	center->peers = names_new();
	verifier_set_statements(center->verifier, center->statements);
	r = read_files(center, err);
	if (r == 0) {
		r = store_statement_list(center->store, load_statement, center);
	}
	if (r == 0) {
		r = load_crls(center);
	}
	return r;
}

/* Everything that rests on trust is looked at again. */
static void trust_changed(struct center *center)
{
	center->trust_generation++;
	trust_broadcast(center);
	live_review(center, NULL);
}

/* A box whose tier 1 is revoked has no business here with tier 2 either, nor on the stream that it
 * opened before (promise 9). */
static void drop_revoked(void *context, const char *name, void *value)
{
	struct center *center = context;
	const struct gateway *gateway = value;

	if (!gateway->front || trust_certificate(center, 1, &gateway->device, clock_wall_usec()) !=
	                               CERTIFICATE_REVOKED) {
		return;
	}
	for (size_t i = 0; i < gateway->service_count; i++) {
		core_send(center, NULL, MESSAGE_DROP, 0, gateway->service[i].fingerprint.bytes,
		        HASH_BYTES);
	}
}

static uint64_t record_statement(struct center *center, const struct statement *statement)
{
	struct record *record = ledger_record(center, "accreditation.published", statement->id);

	record_text(record, "role", statement_role_name(statement->role));
	record_text(record, "state", statement_state_name(statement->state));
	record_number(record, "seq", (int64_t)statement->seq);
	record_time(record, "not_after", statement->not_after);
	return ledger_append(center, record);
}

int trust_take_statement(
        struct center *center, const char *jws, size_t count, uint64_t *ret_leaf, struct err *err)
{
	AUTO(statement) struct statement *statement = NULL;
	const struct statement *held;
	struct store_statement row = { .received_usec = clock_wall_usec() };
	AUTO_STRING char *text = mem_format("%.*s", (int)count, jws);
	int r = open_statement(center, jws, count, &statement, err);

	if (r != 0) {
		return r < 0 ? r : 1;
	}
	held = statement_set_find(center->statements, statement->role, statement->id);
	if (held && held->seq >= statement->seq) {
		return err_set(err, 1, "seq: there is a statement with number %llu already",
		        (unsigned long long)held->seq);
	}
	if (!held && statement_set_count(center->statements) >= STATEMENT_SET_MAX) {
		return err_set(err, 1, "there are %d statements already", STATEMENT_SET_MAX);
	}
	snprintf(row.role, sizeof(row.role), "%s", statement_role_name(statement->role));
	snprintf(row.id, sizeof(row.id), "%s", statement->id);
	row.seq = statement->seq;
	row.text = text;
	*ret_leaf = record_statement(center, statement);
	core_must(store_statement_put(center->store, &row), "keep a statement");
	keep_statement_text(center, statement, text);
	assert_always(statement_set_take(center->statements, TAKE(statement)) == 0);
	trust_changed(center);
	return 0;
}

static uint64_t store_crl(
        struct center *center, unsigned tier, const struct crl *crl, const void *der, size_t count)
{
	static const char *const issuers[TIERS] = { "root", "device-ca", "service-ca" };
	struct record *record = ledger_record(center, "crl.published", issuers[tier]);
	struct store_crl row = { .tier = tier,
		.number = crl_number(crl),
		.this_update_usec = crl_this_update_usec(crl),
		.next_update_usec = crl_next_update_usec(crl) };
	struct hash hash = hash_of(der, count);
	uint64_t leaf;

	record_number(record, "number", (int64_t)row.number);
	record_number(record, "entries", (int64_t)crl_count(crl));
	record_time(record, "next_update", row.next_update_usec);
	record_bytes(record, "sha256", hash.bytes, sizeof(hash.bytes));
	leaf = ledger_append(center, record);
	row.der = BUF(CRL_DER_BYTES_MAX);
	buf_add(&row.der, der, count);
	core_must(store_crl_put(center->store, &row), "keep a revocation list");
	store_row_clear(STORE_CRL, &row);
	return leaf;
}

int trust_take_crl(
        struct center *center, const void *der, size_t count, uint64_t *ret_leaf, struct err *err)
{
	AUTO(crl) struct crl *crl = NULL;
	const uint8_t *bytes;
	size_t byte_count;
	int tier, r = crl_parse(der, count, &crl, err);

	if (r != 0) {
		return r < 0 ? r : 1;
	}
	tier = tier_of(center, crl);
	if (tier < 0 || tier == 2) {
		return err_set(err, 1, "the list is not signed by the root or the device CA");
	}
	if (center->crls[tier] && crl_number(center->crls[tier]) >= crl_number(crl)) {
		return err_set(err, 1, "there is a list with number %llu already",
		        (unsigned long long)crl_number(center->crls[tier]));
	}
	bytes = crl_der(crl, &byte_count);
	*ret_leaf = store_crl(center, (unsigned)tier, crl, bytes, byte_count);
	r = adopt_crl(center, (unsigned)tier, bytes, byte_count, err);
	core_must(r < 0 ? r : 0, "take a revocation list");
	trust_changed(center);
	names_each(center->gateways, drop_revoked, center);
	return r;
}

struct gathering {
	struct center *center;
	struct buf group;
	int r;
	struct err *err;
};

static int gather_revoked(void *context, const void *row)
{
	struct gathering *gathering = context;
	const struct store_certificate *certificate = row;
	struct crl_entry entry = { .revoked_usec = certificate->revoked_usec,
		.reason = (enum crl_reason)certificate->reason };

	/* What has expired needs no entry any more. */
	if (certificate->not_after_usec < clock_wall_usec()) {
		return 0;
	}
	memcpy(entry.serial, certificate->serial, sizeof(entry.serial));
	gathering->r = signer_crl_entry(
	        gathering->center->signer, &entry, &gathering->group, gathering->err);
	return gathering->r != 0 ? 1 : 0;
}

int trust_publish_crl(struct center *center, struct err *err)
{
	struct gathering gathering = {
		.center = center, .group = BUF(MESSAGE_BYTES_MAX - 64), .err = err
	};
	AUTO_BUF struct buf der = BUF(CRL_DER_BYTES_MAX);
	AUTO(crl) struct crl *crl = NULL;
	int64_t now = clock_wall_usec();
	uint64_t number = 0;
	int r;

	core_must(store_counter_get(center->store, "crl", &number), "read the list's number");
	r = store_certificate_list_revoked(center->store, 2, gather_revoked, &gathering);
	core_must(r < 0 ? r : 0, "read what is revoked");
	r = gathering.r;
	if (r == 0) {
		r = signer_crl(center->signer, &gathering.group, number + 1, now,
		        now + center->config.crl_sec * USEC_PER_SEC, &der, err);
	}
	buf_clear(&gathering.group);
	if (r != 0) {
		return 1;
	}
	core_must(crl_parse(der.bytes, der.count, &crl, err), "read our own revocation list");
	ledger_begin(center);
	core_must(store_counter_put(center->store, "crl", number + 1), "keep the list's number");
	store_crl(center, 2, crl, der.bytes, der.count);
	core_must(adopt_crl(center, 2, der.bytes, der.count, err), "take our own revocation list");
	trust_changed(center);
	return 0;
}

void trust_renew(struct center *center)
{
	const struct crl *crl = center->crls[2];
	struct err err = { 0 };
	int64_t now = clock_wall_usec();

	if (crl && now < crl_this_update_usec(crl) +
	                           (crl_next_update_usec(crl) - crl_this_update_usec(crl)) / 2) {
		return;
	}
	if (signer_client_up(center->signer) && trust_publish_crl(center, &err) != 0) {
		log_warning("no new revocation list: %s", err.text);
	}
}

static int verify_chain(struct center *center, const struct request *request, unsigned kinds,
        struct cert **ret_leaf, struct err *err)
{
	struct cert *chain[CERT_CHAIN_COUNT_MAX] = { 0 };
	int r = 0;

	for (size_t i = 0; r == 0 && i < request->chain_count; i++) {
		r = cert_parse(request->chain[i].der, request->chain[i].bytes, &chain[i], err);
	}
	if (r == 0) {
		r = verify_cert(center->verifier, chain[0], (const struct cert *const *)chain + 1,
		        request->chain_count - 1, kinds, clock_wall_usec(), err);
		if (r > 0) {
			err_wrap(err, 1, "%s", verify_outcome_name(r));
			r = 1;
		}
	}
	if (r == 0) {
		*ret_leaf = TAKE(chain[0]);
	}
	for (size_t i = 0; i < request->chain_count; i++) {
		cert_free(chain[i]);
	}
	return r;
}

static int find_gateway(struct center *center, const struct cert *leaf,
        struct gateway **ret_gateway, struct err *err)
{
	char name[NAME_BYTES_MAX + 1], provider[NAME_BYTES_MAX + 1];
	struct gateway *gateway;

	if (cert_kind(leaf) == CERT_DEVICE) {
		gateway = registry_device(center, cert_fingerprint(leaf));
		if (!gateway) {
			return err_set(err, 1, "this device certificate is not registered");
		}
		*ret_gateway = gateway;
		return 0;
	}
	if (cert_identity(leaf, name, provider) != 0 ||
	        !text_equal(provider, center->config.provider)) {
		return err_set(err, 1, "this certificate is not for this provider");
	}
	gateway = registry_gateway(center, name);
	if (!gateway || !registry_certificate(gateway, cert_serial(leaf))) {
		return err_set(err, 1, "this certificate is not on record here");
	}
	*ret_gateway = gateway;
	return 0;
}

static struct peer *remember(struct center *center, const char *fingerprint,
        const struct gateway *gateway, const struct cert *leaf)
{
	struct peer *peer = names_get(center->peers, fingerprint);

	if (!peer && names_count(center->peers) < PEERS_MAX) {
		peer = mem_new(1, sizeof(*peer));
		names_put(center->peers, fingerprint, peer);
	}
	if (peer) {
		peer->generation = center->trust_generation;
		peer->until_usec = clock_monotonic_usec() + PEER_USEC;
		peer->kind = cert_kind(leaf);
		snprintf(peer->gateway, sizeof(peer->gateway), "%s", gateway->name);
		snprintf(peer->serial, sizeof(peer->serial), "%s", cert_serial(leaf));
	}
	return peer;
}

/* What the register knows beyond the certificate: that it was revoked here, or blocked. */
static int check_register(const struct center *center, struct gateway *gateway, enum cert_kind kind,
        const char *serial, struct err *err)
{
	const struct gateway_certificate *own =
	        kind == CERT_DEVICE ? &gateway->device : registry_certificate(gateway, serial);
	int64_t now = clock_wall_usec();

	if (!own || trust_certificate(center, kind == CERT_DEVICE ? 1 : 2, own, now) !=
	                    CERTIFICATE_VALID) {
		return err_set(err, 1, "this certificate is revoked or not valid now");
	}
	/* Revoking tier 1 ends the use of tier 2 as well: the box is not trusted any more (promise
	 * 9). */
	if (trust_certificate(center, 1, &gateway->device, now) == CERTIFICATE_REVOKED) {
		return err_set(err, 1, "the device certificate of this gateway is revoked");
	}
	return 0;
}

int trust_peer(struct center *center, const struct request *request, unsigned kinds,
        struct gateway **ret_gateway, enum cert_kind *ret_kind, struct err *err)
{
	AUTO(cert) struct cert *leaf = NULL;
	struct gateway *gateway = NULL;
	char fingerprint[2 * HASH_BYTES + 1];
	const struct peer *peer;
	struct hash hash;
	int r;

	if (request->chain_count == 0) {
		return err_set(err, 1, "there is no client certificate");
	}
	hash = hash_of(request->chain[0].der, request->chain[0].bytes);
	hex_print(hash.bytes, HASH_BYTES, fingerprint);
	peer = names_get(center->peers, fingerprint);
	if (peer && peer->generation == center->trust_generation &&
	        peer->until_usec > clock_monotonic_usec() && (kinds & CERT_SET(peer->kind))) {
		*ret_kind = peer->kind;
		*ret_gateway = registry_gateway(center, peer->gateway);
		return check_register(center, *ret_gateway, peer->kind, peer->serial, err);
	}
	r = verify_chain(center, request, kinds, &leaf, err);
	if (r == 0) {
		r = find_gateway(center, leaf, &gateway, err);
	}
	if (r == 0) {
		r = check_register(center, gateway, cert_kind(leaf), cert_serial(leaf), err);
	}
	if (r != 0) {
		return r < 0 ? r : 1;
	}
	remember(center, fingerprint, gateway, leaf);
	*ret_kind = cert_kind(leaf);
	*ret_gateway = gateway;
	return 0;
}

bool trust_provider(const struct center *center, int64_t now_usec)
{
	return statement_set_accredited(
	        center->statements, STATEMENT_PROVIDER, center->config.provider, now_usec);
}

static bool ca_accredited(const struct center *center, enum statement_role role,
        const struct cert *ca, int64_t now_usec)
{
	return statement_set_find_key(center->statements, role, STATEMENT_USE_CA, cert_key_hash(ca),
	               now_usec) != NULL;
}

bool trust_device_ca(const struct center *center, int64_t now_usec)
{
	return ca_accredited(center, STATEMENT_DEVICE_CA, center->device_ca, now_usec);
}

bool trust_service_ca(const struct center *center, int64_t now_usec)
{
	return ca_accredited(center, STATEMENT_SERVICE_CA, center->service_ca, now_usec);
}

bool trust_maker(const struct center *center, const char *maker, int64_t now_usec)
{
	return statement_set_accredited(center->statements, STATEMENT_MAKER, maker, now_usec);
}

enum certificate_state trust_certificate(const struct center *center, unsigned tier,
        const struct gateway_certificate *certificate, int64_t now_usec)
{
	const struct crl *crl = center->crls[tier];
	const struct crl_entry *entry;

	if (!*certificate->serial) {
		return CERTIFICATE_MISSING;
	}
	entry = crl ? crl_find(crl, certificate->serial) : NULL;
	if (certificate->revoked_usec > 0 || entry) {
		bool held = entry ? entry->reason == CRL_HOLD : certificate->reason == CRL_HOLD;

		return held ? CERTIFICATE_SUSPENDED : CERTIFICATE_REVOKED;
	}
	/* A list that is missing or stale says nothing, and nothing is no (F28). */
	if (center->config.require_crl && (!crl || crl_next_update_usec(crl) < now_usec)) {
		return CERTIFICATE_UNKNOWN;
	}
	if (now_usec < certificate->not_before_usec) {
		return CERTIFICATE_NOT_YET;
	}
	return now_usec > certificate->not_after_usec ? CERTIFICATE_EXPIRED : CERTIFICATE_VALID;
}

static void add_statement(void *context, const char *name, void *value)
{
	json_array_append_new(context, json_string(value));
}

static void add_pem(json_t *event, const char *key, const struct cert *cert)
{
	AUTO_BUF struct buf pem = BUF(4 * CERT_DER_BYTES_MAX);

	cert_print_pem(cert, &pem);
	json_object_set_new(event, key, json_string(buf_text(&pem)));
}

json_t *trust_event(const struct center *center)
{
	json_t *event = json_object(), *statements = json_array(), *crls = json_array();

	names_each(center->statement_texts, add_statement, statements);
	for (int tier = 0; tier < TIERS; tier++) {
		AUTO_BUF struct buf text = BUF(2 * CRL_DER_BYTES_MAX);
		size_t count;
		const uint8_t *der;

		if (center->crls[tier]) {
			der = crl_der(center->crls[tier], &count);
			base64_add(&text, der, count);
			json_array_append_new(crls, json_string(buf_text(&text)));
		}
	}
	json_object_set_new(event, "statements", statements);
	json_object_set_new(event, "crls", crls);
	add_pem(event, "service_ca", center->service_ca);
	add_pem(event, "device_ca", center->device_ca);
	return event;
}

void trust_broadcast(struct center *center)
{
	AUTO_JSON json_t *event = trust_event(center);

	registry_broadcast(center, "trust", event);
}
