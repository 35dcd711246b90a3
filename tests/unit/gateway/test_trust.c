/* What priv believes, with real seals and certificates out of a SoftHSM token. */
#include "../check.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "../pki/world.h"
#include "base/file.h"
#include "base/str.h"
#include "gateway/trust.h"
#include "model/approval.h"
#include "pki/crl.h"
#include "pki/seal.h"
#include "pki/statement.h"
#include "wire/json.h"

#define DAY (86400 * USEC_PER_SEC)
#define PROVIDER "kanto"
#define SITE "main-campus" /* the unit of the world's service certificates */

#define PROVIDER_TEXT(version, prefix)                                                             \
	"sekisho provider-policy 1\nprovider " PROVIDER "\nversion " version                       \
	"\npool 100.64.0.0/10\npool 10.0.0.0/8\nsite " SITE " prefix " prefix                      \
	"\nsite maker prefix 100.64.3.0/24\nclass remote-maintenance duration 2h lease 60s\n"      \
	"group a sites " SITE " maker classes remote-maintenance\n"
#define SITE_TEXT(site, version)                                                                   \
	"sekisho site-policy 1\nsite " site "\nversion " version                                   \
	"\nhost ct address 192.168.10.20 service 100.64.2.20\n"                                    \
	"allow ct from maker/terminal to ct class remote-maintenance protocol tcp port 104"        \
	" approval standing factor one\n"

/* A root that can seal (P-256), a service CA below it, and the parties' keys; made once. */
struct cast {
	struct token_key *root_key, *ca_key, *grant_key, *policy_key, *owner_key, *other_key;
	struct cert *root, *ca;
	struct ca *root_authority, *ca_authority;
	char *root_path, *owner_path;
};

static struct token_key *new_key(uint8_t id, const char *label)
{
	struct token_key *key = NULL;

	CHECK(token_key_generate(world_get()->ca_token, TOKEN_KEY_EC_P256, id, label, &key, NULL) ==
	        0);
	return key;
}

static char *write_public(const char *name, const struct token_key *key)
{
	AUTO_BUF struct buf pem = BUF(4096);
	size_t count;
	const uint8_t *spki = token_key_spki(key, &count);

	buf_add_text(&pem, "-----BEGIN PUBLIC KEY-----\n");
	base64_add(&pem, spki, count);
	buf_add_text(&pem, "\n-----END PUBLIC KEY-----\n");
	return world_write(name, pem.bytes, pem.count);
}

static struct cast *cast_get(void)
{
	static struct cast cast;
	AUTO(key) struct key *root = NULL, *ca = NULL;
	struct ca_request request;

	if (cast.root_path) {
		return &cast;
	}
	cast.root_key = new_key(0x30, "trust-root");
	cast.ca_key = new_key(0x31, "trust-ca");
	cast.grant_key = new_key(0x32, "trust-grant");
	cast.policy_key = new_key(0x33, "trust-policy");
	cast.owner_key = new_key(0x34, "trust-owner");
	cast.other_key = new_key(0x35, "trust-other");
	root = world_key(cast.root_key);
	request = world_request(CERT_ROOT, root, 7300);
	CHECK(ca_make_root(cast.root_key, &request, &cast.root, NULL) == 0);
	CHECK(ca_new(cast.root, cast.root_key, &cast.root_authority, NULL) == 0);
	ca = world_key(cast.ca_key);
	request = world_request(CERT_SERVICE_CA, ca, 3650);
	CHECK(ca_issue(cast.root_authority, &request, &cast.ca, NULL) == 0);
	CHECK(ca_new(cast.ca, cast.ca_key, &cast.ca_authority, NULL) == 0);
	cast.owner_path = write_public("owner.pem", cast.owner_key);
	cast.root_path = world_write_cert("trust-root.pem", cast.root);
	return &cast;
}

static struct cert *issue(const struct ca *ca, const char *dns_name, const char *unit)
{
	AUTO(key) struct key *key = world_key(cast_get()->other_key);
	struct ca_request request = world_request(CERT_SERVICE, key, 90);
	struct cert *cert = NULL;
	AUTO_STRING char *gateway = mem_string(dns_name);

	*strchr(gateway, '.') = '\0';
	request.common_name = gateway;
	request.dns_names[0] = dns_name;
	request.unit = unit;
	CHECK(ca_issue(ca, &request, &cert, NULL) == 0);
	return cert;
}

static struct cert *own_cert(void)
{
	return issue(cast_get()->ca_authority, "gw-core." PROVIDER ".sekisho.internal", SITE);
}

static struct trust *open_trust(const char *name)
{
	struct cast *cast = cast_get();
	AUTO_STRING char *directory = mem_format("%s/%s", world_directory(), name);
	struct trust_config config = { .provider = PROVIDER,
		.root_path = cast->root_path,
		.owner_path = cast->owner_path,
		.state_dir = directory };
	struct trust *trust = NULL;
	struct err err = { 0 };
	int r;

	CHECK(prefix_parse("100.64.0.0/10", &config.services[0]) == 0);
	config.services_count = 1;
	CHECK(directory_make(directory, 0700, NULL) == 0);
	r = trust_open(&config, &trust, &err);
	if (r != 0) {
		printf("# %s\n", err.text);
	}
	CHECK(r == 0);
	return trust;
}

/* --- what the center says --- */

static void add_use(
        struct statement *statement, enum statement_use use, const struct token_key *key)
{
	statement->keys[statement->key_count++] =
	        (struct statement_key){ .use = use, .key = world_key(key) };
}

static char *statement_text(enum statement_role role, const char *id, uint64_t seq,
        enum statement_state state, struct token_key *signer)
{
	AUTO(statement) struct statement *statement = mem_new(1, sizeof(*statement));
	AUTO_BUF struct buf text = BUF(JWS_SMALL_BYTES_MAX);
	int64_t now = world_get()->now;

	*statement = (struct statement){ .seq = seq,
		.role = role,
		.state = state,
		.not_before = now - DAY,
		.not_after = now + DAY,
		.issued_at = now - DAY };
	CHECK(text_copy(statement->id, sizeof(statement->id), id) == 0);
	if (role == STATEMENT_PROVIDER) {
		add_use(statement, STATEMENT_USE_GRANT, cast_get()->grant_key);
		add_use(statement, STATEMENT_USE_POLICY, cast_get()->policy_key);
	} else {
		add_use(statement, STATEMENT_USE_CA, cast_get()->ca_key);
	}
	CHECK(statement_sign(statement, signer, &text, NULL) == 0);
	return buf_take_text(&text);
}

static void add_crl(json_t *list, const struct ca *ca, uint64_t number, const char *revoked)
{
	AUTO_BUF struct buf der = BUF(CRL_DER_BYTES_MAX), text = BUF(JSON_BYTES_MAX);
	struct crl_entry entry = { .revoked_usec = world_get()->now - DAY,
		.reason = CRL_SUPERSEDED };

	if (revoked) {
		CHECK(text_copy(entry.serial, sizeof(entry.serial), revoked) == 0);
	}
	CHECK(crl_build(ca, &entry, revoked ? 1 : 0, number, world_get()->now - DAY,
	              world_get()->now + DAY, &der, NULL) == 0);
	base64_add(&text, der.bytes, der.count);
	json_array_append_new(list, json_string(buf_text(&text)));
}

struct said {
	uint64_t seq;
	enum statement_state state;
	struct token_key *signer; /* of the provider's statement */
	uint64_t crl_number;      /* 0: no lists at all */
	const char *revoked;
	bool nothing; /* no statement at all */
};

static int say(struct trust *trust, const struct said *said, bool *ret_changed, struct err *err)
{
	struct cast *cast = cast_get();
	json_t *statements = json_array(), *crls = json_array();
	AUTO_STRING char *provider = statement_text(STATEMENT_PROVIDER, PROVIDER, said->seq,
	        said->state, said->signer ? said->signer : cast->root_key);
	AUTO_STRING char *issuer = statement_text(
	        STATEMENT_SERVICE_CA, "service-ca", 1, STATEMENT_GRANTED, cast->root_key);
	AUTO_BUF struct buf pem = BUF(2 * CERT_DER_BYTES_MAX), text = BUF(JSON_BYTES_MAX);
	AUTO_JSON json_t *event = NULL;

	if (!said->nothing) {
		json_array_append_new(statements, json_string(provider));
		json_array_append_new(statements, json_string(issuer));
	}
	if (said->crl_number > 0) {
		add_crl(crls, cast->root_authority, said->crl_number, NULL);
		add_crl(crls, cast->ca_authority, said->crl_number, said->revoked);
	}
	cert_print_pem(cast->ca, &pem);
	event = json_pack("{s:o,s:o,s:s,s:s}", "statements", statements, "crls", crls, "service_ca",
	        buf_text(&pem), "device_ca", buf_text(&pem));
	json_print(event, &text);
	return trust_take(trust, buf_text(&text), text.count, ret_changed, err);
}

static const struct said granted = { .seq = 1, .state = STATEMENT_GRANTED, .crl_number = 1 };

static char *sealed(const char *typ, const char *text, struct token_key *key)
{
	AUTO_BUF struct buf out = BUF(JWS_BYTES_MAX);

	CHECK(seal_sign(key, typ, text, strlen(text), &out, NULL) == 0);
	return buf_take_text(&out);
}

static int say_policies(struct trust *trust, const char *provider, const char *site,
        struct token_key *owner, struct err *err)
{
	AUTO_STRING char *provider_sealed =
	        provider ? sealed("sekisho-provider-policy", provider, cast_get()->policy_key)
	                 : NULL;
	AUTO_STRING char *site_sealed = site ? sealed("sekisho-site-policy", site, owner) : NULL;
	AUTO_JSON json_t *event =
	        json_pack("{s:s?,s:s?}", "provider", provider_sealed, "site", site_sealed);
	AUTO_BUF struct buf text = BUF(JSON_BYTES_MAX);
	bool changed;

	json_print(event, &text);
	return trust_policy_take(
	        trust, buf_text(&text), text.count, world_get()->now, &changed, err);
}

static int open_grant(struct trust *trust)
{
	AUTO_STRING char *text = sealed("sekisho-grant", "{}", cast_get()->grant_key);
	AUTO_BUF struct buf payload = BUF(1024);
	struct tunnel_trust tunnels = trust_for_tunnels(trust);

	return tunnels.seal_open(tunnels.context, PROVIDER, "sekisho-grant", text, strlen(text),
	        world_get()->now, &payload, NULL);
}

static int set_identity(struct trust *trust, const struct cert *cert, struct err *err)
{
	size_t count;
	const uint8_t *der = cert_der(cert, &count);

	return trust_identity_set(trust, der, count, world_get()->now, err);
}

/* --- tests --- */

TEST(what_was_accepted_is_there_after_a_restart)
{
	AUTO(trust) struct trust *trust = open_trust("kept");
	AUTO(cert) struct cert *own = own_cert();
	struct err err = { 0 };
	bool changed = false;

	CHECK(open_grant(trust) != 0);
	CHECK(say(trust, &granted, &changed, &err) == 0 && changed);
	CHECK(say_policies(trust, PROVIDER_TEXT("3", "100.64.2.0/24"), SITE_TEXT(SITE, "9"),
	              cast_get()->owner_key, &err) == 0);
	CHECK(say(trust, &granted, &changed, &err) == 0 && !changed);
	trust_free(trust);
	trust = open_trust("kept");
	CHECK(open_grant(trust) == 0);
	CHECK(trust_provider_policy(trust) && trust_site_policy(trust));
	CHECK(site_policy_version(trust_site_policy(trust)) == 9);
	CHECK(set_identity(trust, own, &err) == 0);
	CHECK(trust_site_policy(trust) != NULL);
	CHECK_TEXT(trust_site(trust), SITE);
	CHECK_TEXT(trust_gateway(trust), "gw-core");
}

TEST(nothing_goes_back_neither_now_nor_after_a_restart)
{
	AUTO(trust) struct trust *trust = open_trust("back");
	struct said suspended = { .seq = 2, .state = STATEMENT_SUSPENDED, .crl_number = 1 };
	struct said nothing = { .nothing = true, .crl_number = 2 };
	bool changed;

	CHECK(say(trust, &granted, &changed, NULL) == 0);
	CHECK(open_grant(trust) == 0);
	CHECK(say(trust, &suspended, &changed, NULL) == 0 && changed);
	CHECK(open_grant(trust) != 0);
	/* An event that says less must not make the next start know less. */
	CHECK(say(trust, &nothing, &changed, NULL) == 0 && changed);
	CHECK(say(trust, &granted, &changed, NULL) == 0 && !changed);
	CHECK(open_grant(trust) != 0);
	trust_free(trust);
	trust = open_trust("back");
	CHECK(say(trust, &granted, &changed, NULL) == 0 && !changed);
	CHECK(open_grant(trust) != 0);
}

TEST(a_revocation_lasts_over_a_restart_and_an_older_list)
{
	AUTO(trust) struct trust *trust = open_trust("revoked");
	AUTO(cert) struct cert *own = own_cert();
	AUTO(cert)
	struct cert *peer =
	        issue(cast_get()->ca_authority, "gw-maker." PROVIDER ".sekisho.internal", "maker");
	struct said revoked = {
		.seq = 1, .state = STATEMENT_GRANTED, .crl_number = 2, .revoked = cert_serial(peer)
	};
	struct grant grant = { 0 };
	struct tunnel_trust tunnels;
	bool changed;

	CHECK(text_copy(grant.initiator.serial, sizeof(grant.initiator.serial),
	              cert_serial(peer)) == 0);
	CHECK(text_copy(grant.initiator.gateway, sizeof(grant.initiator.gateway), "gw-maker") == 0);
	CHECK(text_copy(grant.responder.gateway, sizeof(grant.responder.gateway), "gw-core") == 0);
	/* The own certificate was renewed since: whose peer it is goes by the name. */
	CHECK(text_copy(grant.responder.serial, sizeof(grant.responder.serial), "0a01") == 0);
	CHECK(set_identity(trust, own, NULL) == 0);
	CHECK(say(trust, &granted, &changed, NULL) == 0);
	tunnels = trust_for_tunnels(trust);
	CHECK(tunnels.grant_check(tunnels.context, &grant, world_get()->now, NULL) == 0);
	CHECK(say(trust, &revoked, &changed, NULL) == 0 && changed);
	CHECK(tunnels.grant_check(tunnels.context, &grant, world_get()->now, NULL) != 0);
	trust_free(trust);
	trust = open_trust("revoked");
	CHECK(set_identity(trust, own, NULL) == 0);
	CHECK(say(trust, &granted, &changed, NULL) == 0 && !changed);
	tunnels = trust_for_tunnels(trust);
	CHECK(tunnels.grant_check(tunnels.context, &grant, world_get()->now, NULL) != 0);
}

static struct grant_end end_of(const struct cert *cert, const char *gateway, const char *site)
{
	struct grant_end end = { 0 };

	CHECK(text_copy(end.site, sizeof(end.site), site) == 0);
	CHECK(text_copy(end.gateway, sizeof(end.gateway), gateway) == 0);
	snprintf(end.identity, sizeof(end.identity), "%s." PROVIDER ".sekisho.internal", gateway);
	CHECK(text_copy(end.serial, sizeof(end.serial), cert_serial(cert)) == 0);
	return end;
}

static int check_peer(
        struct trust *trust, const struct grant_end *end, const struct cert *cert, struct err *err)
{
	struct tunnel_trust tunnels = trust_for_tunnels(trust);
	size_t count;
	const uint8_t *der = cert_der(cert, &count);

	*err = (struct err){ 0 };
	return tunnels.peer_check(tunnels.context, end, der, count, world_get()->now, err);
}

TEST(only_the_peers_own_current_certificate_is_its_certificate)
{
	AUTO(trust) struct trust *trust = open_trust("peer");
	const struct ca *ca = cast_get()->ca_authority;
	AUTO(cert) struct cert *own = own_cert();
	AUTO(cert) struct cert *old = issue(ca, "gw-maker." PROVIDER ".sekisho.internal", "maker");
	AUTO(cert) struct cert *now = issue(ca, "gw-maker." PROVIDER ".sekisho.internal", "maker");
	AUTO(cert)
	struct cert *other = issue(ca, "gw-other." PROVIDER ".sekisho.internal", "maker");
	AUTO(cert)
	struct cert *rogue = issue(
	        world_get()->service_authority, "gw-maker." PROVIDER ".sekisho.internal", "maker");
	struct said revoked = {
		.seq = 1, .state = STATEMENT_GRANTED, .crl_number = 2, .revoked = cert_serial(old)
	};
	struct grant_end end = end_of(now, "gw-maker", "maker"), wrong;
	AUTO_BUF struct buf pem = BUF(2 * CERT_DER_BYTES_MAX);
	struct tunnel_trust tunnels = trust_for_tunnels(trust);
	struct err err;
	bool changed;

	CHECK(set_identity(trust, own, NULL) == 0);
	CHECK(check_peer(trust, &end, now, &err) == 1); /* no list yet: unknown means no */
	CHECK(say(trust, &granted, &changed, NULL) == 0);
	CHECK(check_peer(trust, &end, now, &err) == 0);
	CHECK(check_peer(trust, &end, old, &err) == 1 && strstr(err.text, "names another one"));
	wrong = end_of(old, "gw-maker", "maker");
	CHECK(check_peer(trust, &wrong, old, &err) == 0);
	CHECK(say(trust, &revoked, &changed, NULL) == 0 && changed);
	CHECK(check_peer(trust, &wrong, old, &err) == 1 && strstr(err.text, "revoked"));
	CHECK(check_peer(trust, &end, now, &err) == 0);
	/* Good ones that the service CA signed for others, or for another site. */
	wrong = end_of(other, "gw-maker", "maker");
	CHECK(check_peer(trust, &wrong, other, &err) == 1 && strstr(err.text, "another gateway's"));
	wrong = end_of(now, "gw-maker", "clinic");
	CHECK(check_peer(trust, &wrong, now, &err) == 1 && strstr(err.text, "another gateway's"));
	wrong = end_of(rogue, "gw-maker", "maker");
	CHECK(check_peer(trust, &wrong, rogue, &err) == 1);
	/* What charon gets is DER and nothing else. */
	cert_print_pem(now, &pem);
	CHECK(tunnels.peer_check(
	              tunnels.context, &end, pem.bytes, pem.count, world_get()->now, &err) == 1);
	CHECK(tunnels.peer_check(tunnels.context, &end, NULL, 0, world_get()->now, &err) == 1);
}

TEST(a_forged_statement_is_refused_and_the_rest_is_taken)
{
	AUTO(trust) struct trust *trust = open_trust("forged");
	AUTO(cert) struct cert *own = own_cert();
	struct said forged = { .seq = 1,
		.state = STATEMENT_GRANTED,
		.crl_number = 1,
		.signer = cast_get()->other_key };
	struct err err = { 0 };
	bool changed;

	CHECK(say(trust, &forged, &changed, &err) == 1 && changed);
	CHECK(strstr(err.text, "statement 0"));
	CHECK(open_grant(trust) != 0);
	CHECK(set_identity(trust, own, NULL) == 0);
	CHECK(trust_service_ca(trust) != NULL);
}

TEST(only_the_pinned_owner_makes_the_site_policy_and_its_version_rises)
{
	AUTO(trust) struct trust *trust = open_trust("owner");
	struct err err = { 0 };

	CHECK(say_policies(trust, NULL, SITE_TEXT(SITE, "2"), cast_get()->other_key, &err) == 1);
	CHECK(trust_site_policy(trust) == NULL);
	CHECK(say_policies(trust, NULL, SITE_TEXT(SITE, "2"), cast_get()->owner_key, &err) == 0);
	CHECK(say_policies(trust, NULL, SITE_TEXT(SITE, "1"), cast_get()->owner_key, &err) == 1);
	CHECK(site_policy_version(trust_site_policy(trust)) == 2);
}

TEST(a_kept_policy_of_another_site_is_dropped_when_the_identity_is_known)
{
	AUTO(trust) struct trust *trust = open_trust("moved");
	AUTO(cert) struct cert *own = own_cert();
	struct err err = { 0 };

	CHECK(say_policies(trust, NULL, SITE_TEXT("elsewhere", "7"), cast_get()->owner_key, &err) ==
	        0);
	trust_free(trust);
	trust = open_trust("moved");
	CHECK(trust_site_policy(trust) != NULL);
	CHECK(set_identity(trust, own, &err) == 0);
	CHECK(trust_site_policy(trust) == NULL);
	CHECK(say_policies(trust, NULL, SITE_TEXT("elsewhere", "8"), cast_get()->owner_key, &err) ==
	        1);
	CHECK(say_policies(trust, NULL, SITE_TEXT(SITE, "1"), cast_get()->owner_key, &err) == 0);
}

TEST(a_site_outside_of_the_guarded_prefix_is_refused)
{
	AUTO(trust) struct trust *trust = open_trust("outside");
	struct err err = { 0 };
	bool changed;

	CHECK(say(trust, &granted, &changed, &err) == 0);
	CHECK(say_policies(trust, PROVIDER_TEXT("1", "10.1.0.0/24"), NULL, NULL, &err) == 1);
	CHECK(strstr(err.text, "service-prefix"));
	CHECK(trust_provider_policy(trust) == NULL);
	CHECK(say_policies(trust, PROVIDER_TEXT("1", "100.64.2.0/24"), NULL, NULL, &err) == 0);
}

TEST(the_identity_is_set_once)
{
	AUTO(trust) struct trust *trust = open_trust("identity");
	AUTO(cert) struct cert *own = own_cert(), *renewed = own_cert();
	AUTO(cert)
	struct cert *foreign =
	        issue(cast_get()->ca_authority, "gw-core.other.sekisho.internal", SITE);
	AUTO(cert)
	struct cert *self_made = issue(world_get()->service_authority,
	        "gw-evil." PROVIDER ".sekisho.internal", "elsewhere");
	const struct cert *set;
	struct err err = { 0 };
	bool changed;

	CHECK(set_identity(trust, foreign, &err) == 1);
	CHECK(trust_identity(trust) == NULL);
	CHECK(set_identity(trust, own, &err) == 0);
	set = trust_identity(trust);
	CHECK(set_identity(trust, own, &err) == 0);
	CHECK(trust_identity(trust) == set);
	CHECK(say(trust, &granted, &changed, &err) == 0);
	CHECK(set_identity(trust, renewed, &err) == TRUST_IDENTITY_OTHER);
	CHECK(set_identity(trust, foreign, &err) == 1);
	/* Of a CA that our root knows nothing of. */
	CHECK(set_identity(trust, self_made, &err) == 1);
	CHECK(trust_identity(trust) == set);
	CHECK_TEXT(trust_gateway(trust), "gw-core");
	CHECK_TEXT(trust_site(trust), SITE);
}

/* --- approvals --- */

static char *seal_text(struct token_key *key, const char *typ, const char *approver)
{
	AUTO_BUF struct buf terms = BUF(WORK_TERMS_BYTES_MAX), payload = BUF(JWS_SMALL_BYTES_MAX);
	AUTO_BUF struct buf sealed = BUF(JWS_SMALL_BYTES_MAX);
	int64_t now = world_get()->now;
	struct approval *approval = mem_new(1, sizeof(*approval));

	*approval = (struct approval){ .approved_at = now,
		.kind = APPROVAL_OF_WORK,
		.not_before = now,
		.not_after = now + DAY,
		.terms = { .work_order = { "01HF7Z9MB8000000000000000W" },
		        .revision = 1,
		        .site = SITE,
		        .worker = "suzuki",
		        .job = WORK_REPAIR,
		        .class = SERVICE_REMOTE_MAINTENANCE,
		        .not_before = now,
		        .not_after = now + DAY,
		        .purpose = "repair",
		        .target_count = 1,
		        .targets = { { .from = { "maker", "terminal" },
		                .to = { SITE, "ct" },
		                .protocol = PROTOCOL_TCP,
		                .port = 104 } } } };
	CHECK(text_copy(approval->approver, sizeof(approval->approver), approver) == 0);
	work_terms_print(&approval->terms, &terms);
	CHECK(text_copy(approval->terms_text, sizeof(approval->terms_text), buf_text(&terms)) == 0);
	approval_print(approval, &payload);
	free(approval);
	CHECK(seal_sign(key, typ, payload.bytes, payload.count, &sealed, NULL) == 0);
	return buf_take_text(&sealed);
}

/* Only a key that the site's own policy lists opens an approval; else it is said who is missing. */
TEST(an_approval_is_opened_with_the_keys_of_the_own_policys_approvers_only)
{
	struct cast *cast = cast_get();
	AUTO(trust) struct trust *trust = open_trust("approvals");
	struct tunnel_trust hooks = trust_for_tunnels(trust);
	AUTO(site_policy) struct site_policy *policy = NULL;
	AUTO_BUF struct buf text = BUF(POLICY_TEXT_BYTES_MAX);
	struct policy_approver approver;
	size_t count;
	const uint8_t *spki = token_key_spki(cast->owner_key, &count);
	const struct {
		struct token_key *key;
		const char *typ, *name, *says; /* NULL: it opens */
	} cases[] = {
		{ cast->owner_key, APPROVAL_SEAL_TYPE, "tanaka", NULL },
		{ cast->grant_key, APPROVAL_SEAL_TYPE, "tanaka", "not by the key of tanaka" },
		{ cast->grant_key, APPROVAL_SEAL_TYPE, "mallory", "mallory is none" },
		{ cast->owner_key, "sekisho-grant", "tanaka", "sekisho-grant" },
	};

	buf_add_text(&text, SITE_TEXT(SITE, "1") "\napprover tanaka key ");
	base64_add(&text, spki, count);
	buf_add_text(&text, "\n");
	CHECK(site_policy_parse(buf_text(&text), text.count, &policy, NULL) == 0);
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		AUTO_STRING char *sealed = seal_text(cases[i].key, cases[i].typ, cases[i].name);
		AUTO_BUF struct buf payload = BUF(JWS_SMALL_BYTES_MAX);
		struct err err = { 0 };
		int r = hooks.approval_open(
		        hooks.context, policy, sealed, &payload, &approver, &err);

		CHECK(r == (cases[i].says ? 1 : 0));
		if (cases[i].says) {
			CHECK(strstr(err.text, cases[i].says));
		} else {
			CHECK_TEXT(approver.name, "tanaka");
			CHECK(payload.count > 0);
		}
	}
}

TEST(damaged_lines_on_disk_are_passed_over)
{
	AUTO(trust) struct trust *trust = open_trust("damaged");
	AUTO_STRING char *path = mem_format("%s/damaged/trust", world_directory());
	AUTO_BUF struct buf text = BUF(1 << 20);
	bool changed;

	CHECK(say(trust, &granted, &changed, NULL) == 0);
	CHECK(file_read(path, &text, NULL) == 0);
	buf_add_text(&text, "statement x.y.z\nca ////\ncrl\nnonsense\n\n");
	CHECK(file_replace(path, text.bytes, text.count, 0600, NULL) == 0);
	trust_free(trust);
	trust = open_trust("damaged");
	CHECK(open_grant(trust) == 0);
}

TEST_MAIN()
