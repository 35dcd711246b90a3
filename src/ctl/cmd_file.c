/* Files that go to the other side (mission J, SDS 21, 49): sealed, opened, recorded. */
#include "ctl/nouns.h"

#include "base/str.h"
#include "ctl/api.h"
#include "ctl/file_trust.h"
#include "ctl/issue.h"

/* The key that others seal for, with its request. A signing key is "sekisho key request". */
static int run_request(struct ctl *ctl)
{
	AUTO(token) struct token *token = NULL;
	AUTO(token_key) struct token_key *key = NULL;
	AUTO_BUF struct buf csr = BUF(CSR_DER_BYTES_MAX);
	struct csr_wanted wanted = { .kind = CERT_OTHER };
	enum token_key_type type = TOKEN_KEY_EC_P256;
	size_t count;
	const uint8_t *spki;
	uint8_t id = 0;
	int r = material_token(ctl, &token);

	if (r == CTL_OK) {
		r = ctl_result(ctl, token_key_type_parse(ctl_text(ctl, "type"), &type));
	}
	if (r == CTL_OK && token_key_find_label(token, ctl_text(ctl, "key"), &key, NULL) == 0) {
		r = ctl_fail(ctl, CTL_REFUSED,
		        "token \"%s\" has a key \"%s\" already: choose another label",
		        token_label(token), ctl_text(ctl, "key"));
	}
	if (r == CTL_OK) {
		r = ctl_token_result(ctl, token_free_service_id(token, &id, &ctl->err));
	}
	if (r == CTL_OK) {
		r = ctl_token_result(ctl, token_key_generate_agreement(token, type, id,
		                                  ctl_text(ctl, "key"), &key, &ctl->err));
	}
	if (r == CTL_OK) {
		r = ctl_token_result(ctl, csr_make(key, &wanted, &csr, &ctl->err));
	}
	if (r == CTL_OK) {
		r = material_write_csr(ctl, ctl_text(ctl, "csr"), csr.bytes, csr.count);
	}
	if (r == CTL_OK) {
		spki = token_key_spki(key, &count);
		ctl_put(ctl, "label", token_key_label(key));
		ctl_put(ctl, "type", token_key_type_name(token_key_type(key)));
		ctl_put(ctl, "key_id", material_key_id(spki, count).text);
		ctl_put(ctl, "request", ctl_text(ctl, "csr"));
	}
	return r;
}

static int run_certify(struct ctl *ctl)
{
	AUTO(key) struct key *key = NULL;
	struct ca_request request = {
		.kind = text_equal(ctl_text(ctl, "use"), "sign") ? CERT_PERSON : CERT_RECIPIENT,
		.organization = ctl_text(ctl, "organization"),
		.unit = ctl_text(ctl, "site"),
		.common_name = ctl_text(ctl, "person")
	};
	int r = issue_csr_key(ctl, ctl_text(ctl, "csr"), &key);

	request.key = key;
	return r == CTL_OK ? issue(ctl, &request, CERT_SET(CERT_SERVICE_CA)) : r;
}

static int run_list(struct ctl *ctl)
{
	return api_list(ctl, "/files");
}

static int run_show(struct ctl *ctl)
{
	AUTO_STRING char *path = mem_format("/files/%s", ctl_text(ctl, "ID"));

	return api_show(ctl, path);
}

static int run_refuse(struct ctl *ctl)
{
	AUTO_STRING char *path = mem_format("/files/%s/refused", ctl_text(ctl, "ID"));
	json_t *body = json_pack("{s:s}", "reason", ctl_text(ctl, "reason"));

	return body ? api_do(ctl, path, body) : ctl_fail(ctl, CTL_USAGE, "--reason: not UTF-8");
}

static const char *const agreement_types[] = { "ec-p256", "ec-p384", NULL };
static const char *const uses[] = { "sign", "open", NULL };

#define TRUST_OPTIONS                                                                              \
	{ OPTION("ca", OPTION_FILE), "the service CA's certificate", .required = true },           \
	        { OPTION("crl", OPTION_FILE),                                                      \
		        "a revocation list of the root or the service CA; without one, those "     \
		        "that "                                                                    \
		        "the center publishes",                                                    \
		        .repeated = true },                                                        \
	{                                                                                          \
		OPTION("offline", OPTION_FLAG), "without the center: not permitted, not recorded"  \
	}

static const struct option seal_options[] = {
	{ OPTION("FILE", OPTION_FILE), "what is to be sent", .required = true, .operand = true },
	{ OPTION("for", OPTION_FILE), "certificate of a recipient (\"file certify --use open\")",
	        "CERT", .required = true, .repeated = true },
	{ OPTION("certificate", OPTION_FILE), "the sender's certificate", .required = true },
	{ OPTION("key", OPTION_TEXT), "label of the sender's signing key in the token", "LABEL",
	        "sign" },
	{ OPTION("purpose", OPTION_TEXT), "what the file is sent for; the recipient reads it",
	        .required = true },
	{ OPTION("work-order", OPTION_ID), "the work order that it belongs to" },
	{ OPTION("class", OPTION_NAME), "service class of the agreement that permits it", "CLASS",
	        "remote-maintenance" },
	{ OPTION("name", OPTION_TEXT), "its name at the other side; else its own" },
	{ OPTION("scanner", OPTION_FILE), "socket of the virus scanner (clamd)", "SOCKET",
	        "/run/clamav/clamd.ctl" },
	{ OPTION("scanner-database", OPTION_FILE), "directory of its data base", "DIR",
	        "/var/lib/clamav" },
	{ OPTION("scanner-age", OPTION_DURATION), "how old its data base may be", NULL, "7d",
	        .min = 1, .max = FILE_SCANNER_AGE_SEC_MAX },
	{ OPTION("out", OPTION_FILE), "where the sealed file is written (.p7m)", .required = true },
	TRUST_OPTIONS,
	{ 0 },
};
static const struct option open_options[] = {
	{ OPTION("FILE", OPTION_FILE), "the sealed file (.p7m)", .required = true,
	        .operand = true },
	{ OPTION("certificate", OPTION_FILE), "the recipient's own certificate", .required = true },
	{ OPTION("key", OPTION_TEXT), "label of its key in the token", "LABEL", "open" },
	{ OPTION("out", OPTION_FILE), "directory for the file; nothing in it is replaced", "DIR",
	        .required = true },
	TRUST_OPTIONS,
	{ 0 },
};
static const struct option request_options[] = {
	{ OPTION("key", OPTION_TEXT), "label of the new key", "LABEL", "open" },
	{ OPTION("type", OPTION_CHOICE), "kind of key", "TYPE", "ec-p256",
	        .choices = agreement_types },
	{ OPTION("csr", OPTION_FILE), "where the request is written (PEM)", .required = true },
	{ 0 },
};
static const struct option certify_options[] = {
	{ OPTION("ca", OPTION_FILE), "the service CA's certificate", .required = true },
	{ OPTION("key", OPTION_TEXT), "label of its key in the token", "LABEL", "service-ca" },
	{ OPTION("csr", OPTION_FILE), "the person's request", .required = true },
	{ OPTION("use", OPTION_CHOICE), "sign files, or open them", "WORD", .required = true,
	        .choices = uses },
	{ OPTION("organization", OPTION_NAME), "the person's organization", .required = true },
	{ OPTION("site", OPTION_NAME), "the site that the person is of", .required = true },
	{ OPTION("person", OPTION_NAME), "the person's account", .required = true },
	{ OPTION("days", OPTION_COUNT), "how long it is valid", NULL, "397", .min = 1, .max = 825 },
	{ OPTION("out", OPTION_FILE), "where the certificate is written (PEM)", .required = true },
	{ 0 },
};
static const struct option id_options[] = {
	{ OPTION("ID", OPTION_ID), "the file's id", .required = true, .operand = true },
	{ 0 },
};
static const struct option refuse_options[] = {
	{ OPTION("ID", OPTION_ID), "the file's id", .required = true, .operand = true },
	{ OPTION("reason", OPTION_TEXT), "why; it is recorded", .required = true },
	{ 0 },
};

static const struct command file_commands[] = {
	{ "seal",
	        "Looks for viruses and programs, asks the center, and seals a file for its "
	        "recipients.",
	        GROUP_TOKEN | GROUP_CENTER | GROUP_PUBLIC, seal_options, file_seal },
	{ "open", "Opens a sealed file, if all of it is right.",
	        GROUP_TOKEN | GROUP_CENTER | GROUP_PUBLIC, open_options, file_open },
	{ "refuse", "Records that a file was not accepted.", GROUP_CENTER, refuse_options,
	        run_refuse },
	{ "list", "Lists the files that the own organization sent or gets.",
	        GROUP_CENTER | GROUP_PAGE, NULL, run_list },
	{ "show", "Shows one of them.", GROUP_CENTER, id_options, run_show },
	{ "request", "Makes the key that others seal for, and a request for its certificate.",
	        GROUP_TOKEN, request_options, run_request },
	{ "certify", "Certifies a person's key with the service CA's key.", GROUP_TOKEN,
	        certify_options, run_certify },
	{ 0 },
};
const struct noun noun_file = { "file", "files for the other side: sealed, opened, recorded",
	file_commands };
