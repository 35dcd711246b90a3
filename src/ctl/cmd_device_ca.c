/* The device CA: tier 1 certificates for boxes that an accredited maker speaks for (B1, B4). */
#include "ctl/nouns.h"

#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "ctl/api.h"
#include "ctl/issue.h"
#include "pki/device_information.h"
#include "pki/statement.h"

/* The maker's keys, from its accreditation under the root, good now. */
static int open_maker(struct ctl *ctl, struct statement **ret_statement)
{
	const char *path = ctl_text(ctl, "statement");
	AUTO(statement) struct statement *statement = NULL;
	int64_t now = clock_wall_usec();
	int r = material_statement(ctl, path, &statement);

	if (r != CTL_OK) {
		return r;
	}
	if (statement->role != STATEMENT_MAKER || statement->state != STATEMENT_GRANTED ||
	        now < statement->not_before || now >= statement->not_after) {
		return ctl_fail(ctl, CTL_REFUSED,
		        "%s: %s \"%s\" is %s, and not an accredited maker now", path,
		        statement_role_name(statement->role), statement->id,
		        statement_state_name(statement->state));
	}
	*ret_statement = TAKE(statement);
	return CTL_OK;
}

static int open_information(struct ctl *ctl, struct device_information *ret_information)
{
	const char *path = ctl_text(ctl, "information");
	AUTO_BUF struct buf text = BUF(JWS_SMALL_BYTES_MAX);
	AUTO(statement) struct statement *maker = NULL;
	const struct key *keys[STATEMENT_KEYS_MAX];
	size_t count = 0;
	int r = open_maker(ctl, &maker);

	if (r == CTL_OK) {
		r = material_seal(ctl, path, &text);
	}
	if (r != CTL_OK) {
		return r;
	}
	for (size_t i = 0; i < maker->key_count; i++) {
		if (maker->keys[i].use == STATEMENT_USE_DEVICE_INFORMATION) {
			keys[count++] = maker->keys[i].key;
		}
	}
	r = ctl_result(ctl, device_information_open(buf_text(&text), text.count, keys, count,
	                            ret_information, &ctl->err));
	if (r != CTL_OK) {
		return err_wrap(&ctl->err, r, "%s", path);
	}
	return text_equal(ret_information->maker, maker->id)
	               ? CTL_OK
	               : ctl_fail(ctl, CTL_REFUSED,
	                         "%s: sealed by maker \"%s\" in the name of \"%s\"", path,
	                         maker->id, ret_information->maker);
}

/* Where a request came along it must prove possession of the very key the maker speaks of. */
static int check_request(struct ctl *ctl, const struct key *key)
{
	const char *path = ctl_text(ctl, "csr");
	AUTO(key) struct key *requested = NULL;
	int r = path ? issue_csr_key(ctl, path, &requested) : CTL_OK;

	if (r == CTL_OK && path && !key_hash_equal(key_hash(requested), key_hash(key))) {
		r = ctl_fail(ctl, CTL_REFUSED,
		        "%s: the key of the request is not the one in the device information",
		        path);
	}
	return r;
}

static int run_sign(struct ctl *ctl)
{
	AUTO(key) struct key *key = NULL;
	struct device_information information = { 0 };
	struct ca_request request = { .kind = CERT_DEVICE,
		.crl_url = ctl_text(ctl, "crl-url"),
		.ocsp_url = ctl_text(ctl, "ocsp-url") };
	int r = open_information(ctl, &information);

	if (r == CTL_OK) {
		r = ctl_result(
		        ctl, key_parse(information.spki, information.spki_count, &key, &ctl->err));
	}
	if (r == CTL_OK) {
		r = check_request(ctl, key);
	}
	request.key = key;
	request.organization = information.maker;
	request.common_name = information.model;
	request.serial_number = information.serial;
	return r == CTL_OK ? issue(ctl, &request, CERT_SET(CERT_DEVICE_CA)) : r;
}

static int run_crl(struct ctl *ctl)
{
	return issue_crl(ctl, CERT_SET(CERT_DEVICE_CA), NULL);
}

static int run_revoke(struct ctl *ctl)
{
	return issue_crl(ctl, CERT_SET(CERT_DEVICE_CA), ctl_text(ctl, "serial"));
}

static int run_publish(struct ctl *ctl)
{
	return api_send_file(ctl, "/crls", ctl_text(ctl, "FILE"), CRL_DER_BYTES_MAX);
}

static int run_submit(struct ctl *ctl)
{
	AUTO_STRING char *path = mem_format("/procedures/%s/certificate", ctl_text(ctl, "GATEWAY"));
	AUTO_BUF struct buf pem = BUF(4 * CERT_DER_BYTES_MAX);
	AUTO(cert) struct cert *cert = NULL;
	int r = material_cert_kind(ctl, ctl_text(ctl, "certificate"), CERT_SET(CERT_DEVICE), &cert);

	if (r != CTL_OK) {
		return r;
	}
	cert_print_pem(cert, &pem);
	return api_do(ctl, path, json_pack("{s:s}", "certificate", buf_text(&pem)));
}

#define KEY_OPTIONS                                                                                \
	{ OPTION("ca", OPTION_FILE), "the device CA's certificate", .required = true },            \
	{                                                                                          \
		OPTION("key", OPTION_TEXT), "label of its key in the token", "LABEL", "device-ca"  \
	}
static const struct option sign_options[] = {
	KEY_OPTIONS,
	{ OPTION("information", OPTION_FILE), "the sealed device information of the maker",
	        .required = true },
	{ OPTION("statement", OPTION_FILE), "the maker's accreditation", .required = true },
	{ OPTION("root", OPTION_FILE), "the accreditor's root certificate", .required = true },
	{ OPTION("csr", OPTION_FILE), "the box's request, which proves that it holds the key" },
	{ OPTION("crl-url", OPTION_TEXT), "where the revocation list will be", "URL" },
	{ OPTION("ocsp-url", OPTION_TEXT), "where the OCSP responder will be", "URL" },
	{ OPTION("days", OPTION_COUNT), "how long it is valid, at most as long as the CA", NULL,
	        "3650", .min = 1, .max = 36500 },
	{ OPTION("out", OPTION_FILE), "where the certificate is written (PEM)", .required = true },
	{ 0 },
};
static const struct option crl_options[] = {
	KEY_OPTIONS,
	{ OPTION("crl", OPTION_FILE), "the list (DER); the one that is there is carried on",
	        .required = true },
	{ OPTION("days", OPTION_COUNT), "how long the list is valid", NULL, "30", .min = 1,
	        .max = 3650 },
	{ 0 },
};
static const struct option revoke_options[] = {
	KEY_OPTIONS,
	{ OPTION("crl", OPTION_FILE), "the list (DER); the one that is there is carried on",
	        .required = true },
	{ OPTION("serial", OPTION_HEX), "serial of the device certificate", .required = true },
	{ OPTION("reason", OPTION_CHOICE), "why", "WORD", "unspecified", .choices = issue_reasons },
	{ OPTION("days", OPTION_COUNT), "how long the list is valid", NULL, "30", .min = 1,
	        .max = 3650 },
	{ 0 },
};
static const struct option publish_options[] = {
	{ OPTION("FILE", OPTION_FILE), "a revocation list (DER) of the device CA or the root",
	        .required = true, .operand = true },
	{ 0 },
};
static const struct option submit_options[] = {
	{ OPTION("GATEWAY", OPTION_NAME), "the gateway", .required = true, .operand = true },
	{ OPTION("certificate", OPTION_FILE), "its device certificate", .required = true },
	{ 0 },
};

static const struct command device_ca_commands[] = {
	{ "sign",
	        "Issues a device certificate for a box that an accredited maker's sealed device "
	        "information speaks for.",
	        GROUP_TOKEN, sign_options, run_sign },
	{ "submit", "Gives the center the device certificate of a gateway (step d).", GROUP_CENTER,
	        submit_options, run_submit },
	{ "crl", "Signs the revocation list again, with a new number and date.", GROUP_TOKEN,
	        crl_options, run_crl },
	{ "revoke", "Puts a device certificate on the revocation list.", GROUP_TOKEN,
	        revoke_options, run_revoke },
	{ "publish", "Gives the center a revocation list.", GROUP_CENTER, publish_options,
	        run_publish },
	{ 0 },
};
const struct noun noun_device_ca = { "device-ca", "the device CA: tier 1 certificates",
	device_ca_commands };
