/* Certificates: shown from a file, listed and revoked at the center. */
#include "ctl/nouns.h"

#include <ctype.h>

#include "base/str.h"
#include "ctl/api.h"
#include "ctl/issue.h"

static int run_show(struct ctl *ctl)
{
	AUTO(cert) struct cert *cert = NULL;
	struct err err = { 0 };
	int r = material_cert(ctl, ctl_text(ctl, "FILE"), &cert);

	if (r != CTL_OK) {
		return r;
	}
	ctl->result = material_cert_json(cert);
	if (cert_kind(cert) == CERT_OTHER || cert_lint(cert, cert_kind(cert), &err) != 0) {
		ctl_put(ctl, "profile", cert_kind(cert) == CERT_OTHER ? "none of ours" : err.text);
	} else {
		ctl_put(ctl, "profile", "kept");
	}
	return CTL_OK;
}

static int run_list(struct ctl *ctl)
{
	return api_list(ctl, "/certificates");
}

static int run_revoke(struct ctl *ctl)
{
	char serial[SERIAL_TEXT_BYTES_MAX + 1] = "";
	const char *text = ctl_text(ctl, "serial");

	for (size_t i = 0; text[i] && i < SERIAL_TEXT_BYTES_MAX; i++) {
		serial[i] = (char)tolower((unsigned char)text[i]);
	}
	return api_do(ctl, "/certificates/revoke",
	        json_pack("{s:I, s:s, s:s}", "tier", (json_int_t)ctl_count(ctl, "tier"), "serial",
	                serial, "reason", ctl_text(ctl, "reason")));
}

static const struct option show_options[] = {
	{ OPTION("FILE", OPTION_FILE), "a certificate, PEM or DER", .required = true,
	        .operand = true },
	{ 0 },
};
static const struct option revoke_options[] = {
	{ OPTION("serial", OPTION_HEX), "its serial number", .required = true },
	{ OPTION("tier", OPTION_COUNT), "1: device certificate, 2: service certificate", NULL, "2",
	        .min = 1, .max = 2 },
	{ OPTION("reason", OPTION_CHOICE), "why", "WORD", "unspecified", .choices = issue_reasons },
	{ 0 },
};

static const struct command certificate_commands[] = {
	{ "list", "Lists the certificates that the center issued.", GROUP_CENTER | GROUP_PAGE, NULL,
	        run_list },
	{ "revoke", "Revokes a certificate; live connections that rest on it end.", GROUP_CENTER,
	        revoke_options, run_revoke },
	{ "show", "Shows the essentials of a certificate file and whether it keeps to its profile.",
	        0, show_options, run_show },
	{ 0 },
};
const struct noun noun_certificate = { "certificate", "certificates: listed, revoked, shown",
	certificate_commands };
