/*
 * Ceremonies: the keys and certificates that everything else stands on, made offline.
 *
 *     root ──▶ device CA ──▶ device certificates (device-ca sign)
 *        └───▶ service CA ─▶ server certificate of the center, OCSP responder
 *
 * A CA's key may be in another token of the same machine (--ca-token), or its request (PKCS#10) was
 * carried here from another (--csr).
 */
#include "ctl/nouns.h"

#include "base/clock.h"
#include "ctl/issue.h"
#include "ctl/material.h"

static int run_root(struct ctl *ctl)
{
	AUTO(token) struct token *token = NULL;
	AUTO(token_key) struct token_key *key = NULL;
	AUTO(key) struct key *public_key = NULL;
	AUTO(cert) struct cert *cert = NULL;
	struct ca_request request = { .kind = CERT_ROOT,
		.organization = ctl_text(ctl, "organization"),
		.common_name = ctl_text(ctl, "name") };
	enum token_key_type type = TOKEN_KEY_EC_P256;
	const uint8_t *spki;
	size_t count;
	bool made;
	int r = material_token(ctl, &token);

	if (r == CTL_OK) {
		r = ctl_result(ctl, token_key_type_parse(ctl_text(ctl, "type"), &type));
	}
	if (r == CTL_OK) {
		r = material_token_key_make(ctl, token, type, ctl_text(ctl, "key"), &key, &made);
	}
	if (r != CTL_OK) {
		return r;
	}
	spki = token_key_spki(key, &count);
	r = ctl_result(ctl, key_parse(spki, count, &public_key, &ctl->err));
	request.key = public_key;
	material_validity(
	        NULL, ctl_count(ctl, "days"), &request.not_before_usec, &request.not_after_usec);
	if (r == CTL_OK) {
		r = ctl_ca_result(ctl, ca_make_root(key, &request, &cert, &ctl->err));
	}
	return r == CTL_OK ? issue_finish(ctl, cert, NULL) : r;
}

/* The public key that is to be certified: from a request, or made in the CA's own token here. */
static int applicant_key(struct ctl *ctl, struct key **ret_key)
{
	const char *label = ctl_text(ctl, "ca-token"), *pin_file = ctl_text(ctl, "ca-pin-file");
	const char *csr = ctl_text(ctl, "csr");
	AUTO(token) struct token *token = NULL;
	AUTO(token_key) struct token_key *key = NULL;
	const uint8_t *spki;
	size_t count;
	bool made;
	int r;

	if (csr) {
		return issue_csr_key(ctl, csr, ret_key);
	}
	if (!label || !pin_file) {
		return ctl_fail(ctl, CTL_USAGE,
		        "give --csr, or --ca-token with --ca-pin-file for a key in a "
		        "token of this machine");
	}
	r = material_token_other(ctl, label, pin_file, &token);
	if (r == CTL_OK) {
		r = material_token_key_make(
		        ctl, token, TOKEN_KEY_EC_P256, ctl_text(ctl, "ca-key"), &key, &made);
	}
	if (r != CTL_OK) {
		return r;
	}
	spki = token_key_spki(key, &count);
	return ctl_result(ctl, key_parse(spki, count, ret_key, &ctl->err));
}

static int run_ca(struct ctl *ctl, enum cert_kind kind)
{
	AUTO(key) struct key *key = NULL;
	struct ca_request request = { .kind = kind,
		.organization = ctl_text(ctl, "organization"),
		.common_name = ctl_text(ctl, "name") };
	int r = applicant_key(ctl, &key);

	request.key = key;
	return r == CTL_OK ? issue(ctl, &request, CERT_SET(CERT_ROOT)) : r;
}

static int run_device_ca(struct ctl *ctl)
{
	return run_ca(ctl, CERT_DEVICE_CA);
}

static int run_service_ca(struct ctl *ctl)
{
	return run_ca(ctl, CERT_SERVICE_CA);
}

static int take_names(struct ctl *ctl, const char *option, const char **places)
{
	const struct argument *names = arguments_all(&ctl->arguments, option);

	if (names->count > CERT_DNS_NAMES_MAX) {
		return ctl_fail(ctl, CTL_USAGE, "--%s: at most %d fit a certificate", option,
		        CERT_DNS_NAMES_MAX);
	}
	for (size_t i = 0; i < names->count; i++) {
		places[i] = names->values[i];
	}
	return CTL_OK;
}

static int run_server(struct ctl *ctl)
{
	AUTO(key) struct key *key = NULL;
	struct ca_request request = { .kind = CERT_SERVER,
		.organization = ctl_text(ctl, "organization"),
		.common_name = ctl_text(ctl, "name") };
	int r = take_names(ctl, "dns", request.dns_names);

	if (r == CTL_OK) {
		r = take_names(ctl, "address", request.addresses);
	}
	if (r == CTL_OK && !request.dns_names[0] && !request.addresses[0]) {
		r = ctl_fail(ctl, CTL_USAGE,
		        "give at least one --dns or --address: what the center is reached by");
	}
	if (r == CTL_OK) {
		r = issue_csr_key(ctl, ctl_text(ctl, "csr"), &key);
	}
	request.key = key;
	return r == CTL_OK ? issue(ctl, &request, CERT_SET(CERT_SERVICE_CA)) : r;
}

static int run_ocsp(struct ctl *ctl)
{
	AUTO(key) struct key *key = NULL;
	struct ca_request request = { .kind = CERT_OCSP_RESPONDER,
		.organization = ctl_text(ctl, "organization"),
		.common_name = ctl_text(ctl, "name") };
	int r = issue_csr_key(ctl, ctl_text(ctl, "csr"), &key);

	request.key = key;
	return r == CTL_OK
	               ? issue(ctl, &request, CERT_SET(CERT_SERVICE_CA) | CERT_SET(CERT_DEVICE_CA))
	               : r;
}

/* What a provider needs: for each use a key of its own. */
static const struct {
	const char *label;
	enum token_key_type type;
	bool request; /* for a certificate */
} provider_keys[] = {
	{ "grant", TOKEN_KEY_EC_P256, false },
	{ "policy", TOKEN_KEY_EC_P256, false },
	{ "checkpoint", TOKEN_KEY_ED25519, false },
	{ "ocsp", TOKEN_KEY_EC_P256, true },
};

static int write_request(struct ctl *ctl, struct token_key *key, const char *path)
{
	AUTO_BUF struct buf csr = BUF(CSR_DER_BYTES_MAX);
	struct csr_wanted wanted = { .kind = CERT_OTHER };
	int r = ctl_token_result(ctl, csr_make(key, &wanted, &csr, &ctl->err));

	return r == CTL_OK ? material_write_csr(ctl, path, csr.bytes, csr.count) : r;
}

static int make_provider_key(struct ctl *ctl, struct token *token, size_t index, json_t *items)
{
	const char *label = provider_keys[index].label, *directory = ctl_text(ctl, "out");
	AUTO_STRING char *public_path = mem_format("%s/%s.pem", directory, label);
	AUTO_STRING char *csr_path = mem_format("%s/%s.csr", directory, label);
	AUTO_STRING char *verifier_path = mem_format("%s/checkpoint.vkey", directory);
	AUTO(token_key) struct token_key *key = NULL;
	const uint8_t *spki = NULL;
	size_t count = 0;
	bool made = false;
	int r = material_token_key_make(ctl, token, provider_keys[index].type, label, &key, &made);

	if (r == CTL_OK) {
		spki = token_key_spki(key, &count);
		r = material_write_spki(ctl, public_path, spki, count);
	}
	if (r == CTL_OK && provider_keys[index].request) {
		r = write_request(ctl, key, csr_path);
	}
	if (r == CTL_OK && provider_keys[index].type == TOKEN_KEY_ED25519) {
		r = issue_verifier_key(ctl, ctl_text(ctl, "provider"), spki, count, verifier_path);
	}
	if (r == CTL_OK) {
		json_array_append_new(
		        items, json_pack("{s:s, s:s, s:b, s:s, s:s}", "label", label, "type",
		                       token_key_type_name(provider_keys[index].type), "made", made,
		                       "public_key", public_path, "key_id",
		                       material_key_id(spki, count).text));
	}
	return r;
}

static int run_provider(struct ctl *ctl)
{
	AUTO(token) struct token *token = NULL;
	json_t *items = json_array();
	int r;

	ctl_put_json(ctl, "items", items);
	r = material_directory(ctl, ctl_text(ctl, "out"));
	if (r == CTL_OK) {
		r = material_token(ctl, &token);
	}
	for (size_t i = 0; i < ARRAY_COUNT(provider_keys) && r == CTL_OK; i++) {
		r = make_provider_key(ctl, token, i, items);
	}
	return r;
}

static int run_crl(struct ctl *ctl)
{
	return issue_crl(ctl, CERT_SET(CERT_ROOT), NULL);
}

static int run_revoke(struct ctl *ctl)
{
	return issue_crl(ctl, CERT_SET(CERT_ROOT), ctl_text(ctl, "serial"));
}

static const char *const ca_types[] = { "ec-p256", "ec-p384", "rsa-3072", NULL };
static const struct option root_options[] = {
	{ OPTION("organization", OPTION_TEXT), "the accreditor's organization", .required = true },
	{ OPTION("name", OPTION_TEXT), "common name of the certificate", .required = true },
	{ OPTION("key", OPTION_TEXT), "label of the key in the token", "LABEL", "root" },
	{ OPTION("type", OPTION_CHOICE), "kind of key; seals need ec-p256", "TYPE", "ec-p256",
	        .choices = ca_types },
	{ OPTION("days", OPTION_COUNT), "how long it is valid", NULL, "7300", .min = 1,
	        .max = 36500 },
	{ OPTION("out", OPTION_FILE), "where the certificate is written (PEM)", .required = true },
	{ 0 },
};
#define CA_OPTIONS(label)                                                                          \
	{ OPTION("root", OPTION_FILE), "the root certificate", .required = true },                 \
	        { OPTION("key", OPTION_TEXT), "label of the root key in the token", "LABEL",       \
		        "root" },                                                                  \
	        { OPTION("organization", OPTION_TEXT), "the issuer's organization",                \
		        .required = true },                                                        \
	        { OPTION("name", OPTION_TEXT), "common name of the certificate",                   \
		        .required = true },                                                        \
	        { OPTION("csr", OPTION_FILE),                                                      \
		        "the CA's request, made with \"sekisho key request\" elsewhere" },         \
	        { OPTION("ca-token", OPTION_TEXT), "or: label of the CA's own token here",         \
		        "LABEL" },                                                                 \
	        { OPTION("ca-pin-file", OPTION_FILE), "file with the PIN of that token" },         \
	        { OPTION("ca-key", OPTION_TEXT),                                                   \
		        "label of the CA's key in it; made if there is none", "LABEL", label },    \
	        { OPTION("days", OPTION_COUNT),                                                    \
		        "how long it is valid, at most as long as the root", NULL, "3650",         \
		        .min = 1, .max = 36500 },                                                  \
	        { OPTION("out", OPTION_FILE), "where the certificate is written (PEM)",            \
		        .required = true },                                                        \
	        { 0 },
static const struct option device_ca_options[] = { CA_OPTIONS("device-ca") };
static const struct option service_ca_options[] = { CA_OPTIONS("service-ca") };
static const struct option server_options[] = {
	{ OPTION("ca", OPTION_FILE), "the service CA's certificate", .required = true },
	{ OPTION("key", OPTION_TEXT), "label of its key in the token", "LABEL", "service-ca" },
	{ OPTION("csr", OPTION_FILE), "the center's request, made with \"sekisho key request\"",
	        .required = true },
	{ OPTION("organization", OPTION_TEXT), "the provider's organization", .required = true },
	{ OPTION("name", OPTION_TEXT), "common name of the certificate", .required = true },
	{ OPTION("dns", OPTION_TEXT), "a host name of the center", "NAME", .repeated = true },
	{ OPTION("address", OPTION_TEXT), "an address of the center", "ADDRESS", .repeated = true },
	{ OPTION("days", OPTION_COUNT), "how long it is valid", NULL, "397", .min = 1, .max = 825 },
	{ OPTION("out", OPTION_FILE),
	        "where the certificate is written, with its CA behind it (PEM)", .required = true },
	{ 0 },
};
static const struct option ocsp_options[] = {
	{ OPTION("ca", OPTION_FILE), "certificate of the device CA or the service CA",
	        .required = true },
	{ OPTION("key", OPTION_TEXT), "label of its key in the token", "LABEL", "service-ca" },
	{ OPTION("csr", OPTION_FILE), "the responder's request (ocsp.csr of \"ceremony provider\")",
	        .required = true },
	{ OPTION("organization", OPTION_TEXT), "the provider's organization", .required = true },
	{ OPTION("name", OPTION_TEXT), "common name of the certificate", NULL, "OCSP" },
	{ OPTION("days", OPTION_COUNT), "how long it is valid", NULL, "397", .min = 1, .max = 825 },
	{ OPTION("out", OPTION_FILE), "where the certificate is written (PEM)", .required = true },
	{ 0 },
};
static const struct option provider_options[] = {
	{ OPTION("provider", OPTION_NAME), "the provider's name", .required = true },
	{ OPTION("out", OPTION_FILE),
	        "directory for the public keys, the OCSP request and the ledger's verifier key",
	        "DIR", .required = true },
	{ 0 },
};
static const struct option owner_options[] = {
	{ OPTION("key", OPTION_TEXT), "label of the key in the token", "LABEL", "owner" },
	{ OPTION("out", OPTION_FILE),
	        "where the public key is written (PEM); it is pinned at the gateway",
	        .required = true },
	{ 0 },
};
static const struct option crl_options[] = {
	{ OPTION("ca", OPTION_FILE), "the root certificate", .required = true },
	{ OPTION("key", OPTION_TEXT), "label of the root key in the token", "LABEL", "root" },
	{ OPTION("crl", OPTION_FILE), "the list (DER); the one that is there is carried on",
	        .required = true },
	{ OPTION("days", OPTION_COUNT), "how long the list is valid", NULL, "180", .min = 1,
	        .max = 3650 },
	{ 0 },
};
static const struct option revoke_options[] = {
	{ OPTION("ca", OPTION_FILE), "the root certificate", .required = true },
	{ OPTION("key", OPTION_TEXT), "label of the root key in the token", "LABEL", "root" },
	{ OPTION("crl", OPTION_FILE), "the list (DER); the one that is there is carried on",
	        .required = true },
	{ OPTION("serial", OPTION_HEX), "serial of the CA certificate", .required = true },
	{ OPTION("reason", OPTION_CHOICE), "why", "WORD", "unspecified", .choices = issue_reasons },
	{ OPTION("days", OPTION_COUNT), "how long the list is valid", NULL, "180", .min = 1,
	        .max = 3650 },
	{ 0 },
};

static const struct command ceremony_commands[] = {
	{ "root", "Makes the accreditor's key in the token and its self-signed certificate.",
	        GROUP_TOKEN, root_options, run_root },
	{ "device-ca", "Certifies a device CA (tier 1) with the root key.", GROUP_TOKEN,
	        device_ca_options, run_device_ca },
	{ "service-ca", "Certifies a service CA (tier 2) with the root key.", GROUP_TOKEN,
	        service_ca_options, run_service_ca },
	{ "server", "Certifies the center's TLS key with the service CA's key.", GROUP_TOKEN,
	        server_options, run_server },
	{ "ocsp", "Certifies an OCSP responder's key with a CA's key.", GROUP_TOKEN, ocsp_options,
	        run_ocsp },
	{ "provider",
	        "Makes the provider's keys (grant, policy, checkpoint, ocsp) in its token and "
	        "writes "
	        "what others need of them.",
	        GROUP_TOKEN, provider_options, run_provider },
	{ "owner", "Makes a site owner's key in the owner's token and writes its public half.",
	        GROUP_TOKEN, owner_options, material_signing_key },
	{ "crl", "Signs the root's revocation list again, with a new number and date.", GROUP_TOKEN,
	        crl_options, run_crl },
	{ "revoke", "Puts a CA certificate on the root's revocation list.", GROUP_TOKEN,
	        revoke_options, run_revoke },
	{ 0 },
};
const struct noun noun_ceremony = { "ceremony", "keys and certificates of the authorities, offline",
	ceremony_commands };
