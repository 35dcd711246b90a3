#include "center/config.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"
#include "wire/mail.h"

#define AT(field) offsetof(struct center_config, field)
#define DAYS(n) ((uint64_t)(n)*24 * 3600)

/* clang-format off */
const struct config_key center_config_keys[] = {
	{ "", "provider", CONFIG_NAME, AT(provider), NULL, true, 0, 0, "The provider's name, as in its accreditation." },
	{ "", "state", CONFIG_PATH, AT(state), "/var/lib/sekisho/center", false, 0, 0, "Directory of the database; it must exist and be writable." },
	{ "", "database", CONFIG_PATH, AT(database), NULL, false, 0, 0, "The database file; without this key center.db in the state directory." },
	{ "", "checkpoint-copy", CONFIG_PATH, AT(checkpoint_copy), NULL, true, 0, 0, "Copy of the newest published checkpoint; best on another disk than the database." },
	{ "", "fronts", CONFIG_COUNT, AT(fronts), "2", false, 1, 64, "Processes that serve the network; about one for each core." },
	{ "", "log-level", CONFIG_TEXT, AT(log_level), "info", false, 0, 0, "error, warning, info or debug." },
	{ "", "first-token", CONFIG_PATH, AT(first_token), NULL, false, 0, 0, "Where the first operator token (role provider) is written at the first start." },

	{ "listen", "device", CONFIG_TEXT, AT(listen_device), "0.0.0.0:8443", false, 0, 0, "Gateways, with their service certificate." },
	{ "listen", "enrol", CONFIG_TEXT, AT(listen_enrol), "0.0.0.0:8444", false, 0, 0, "Enrolment (EST), with the device or service certificate." },
	{ "listen", "operator", CONFIG_TEXT, AT(listen_operator), "127.0.0.1:8445", false, 0, 0, "Operators, makers, sites and auditors, with a token." },
	{ "listen", "public", CONFIG_TEXT, AT(listen_public), "0.0.0.0:8080", false, 0, 0, "OCSP, revocation lists, ledger tiles, health; plain HTTP." },
	{ "listen", "metrics", CONFIG_TEXT, AT(listen_metrics), "127.0.0.1:9464", false, 0, 0, "Metrics; plain HTTP, keep it on loopback." },

	{ "tls", "chain", CONFIG_PATH, AT(tls_chain), NULL, true, 0, 0, "The center's server certificate and its CA, PEM, leaf first." },
	{ "tls", "module", CONFIG_PATH, AT(tls_token.module), NULL, true, 0, 0, "PKCS#11 module of the token with the server key." },
	{ "tls", "label", CONFIG_TEXT, AT(tls_token.label), NULL, true, 0, 0, "Label of that token." },
	{ "tls", "pin-file", CONFIG_PATH, AT(tls_token.pin_file), NULL, true, 0, 0, "File with its PIN, mode 0600." },
	{ "tls", "softhsm-conf", CONFIG_PATH, AT(tls_token.softhsm_conf), NULL, false, 0, 0, "SOFTHSM2_CONF of the front processes." },
	{ "tls", "key", CONFIG_TEXT, AT(tls_key), "tls", false, 0, 0, "Label of the server key." },

	{ "ca-token", "module", CONFIG_PATH, AT(ca_token.module), NULL, true, 0, 0, "PKCS#11 module of the token with the service CA's key." },
	{ "ca-token", "label", CONFIG_TEXT, AT(ca_token.label), NULL, true, 0, 0, "Label of that token." },
	{ "ca-token", "pin-file", CONFIG_PATH, AT(ca_token.pin_file), NULL, true, 0, 0, "File with its PIN, mode 0600." },
	{ "ca-token", "softhsm-conf", CONFIG_PATH, AT(ca_token.softhsm_conf), NULL, false, 0, 0, "SOFTHSM2_CONF of the signer process." },
	{ "ca-token", "key", CONFIG_TEXT, AT(ca_key), "service-ca", false, 0, 0, "Label of the service CA's key." },

	{ "provider-token", "module", CONFIG_PATH, AT(provider_token.module), NULL, true, 0, 0, "PKCS#11 module of the token with the provider's keys." },
	{ "provider-token", "label", CONFIG_TEXT, AT(provider_token.label), NULL, true, 0, 0, "Label of that token." },
	{ "provider-token", "pin-file", CONFIG_PATH, AT(provider_token.pin_file), NULL, true, 0, 0, "File with its PIN, mode 0600." },
	{ "provider-token", "grant-key", CONFIG_TEXT, AT(grant_key), "grant", false, 0, 0, "Label of the key that seals grants and leases (P-256)." },
	{ "provider-token", "checkpoint-key", CONFIG_TEXT, AT(checkpoint_key), "checkpoint", false, 0, 0, "Label of the key that signs checkpoints (Ed25519)." },
	{ "provider-token", "ocsp-key", CONFIG_TEXT, AT(ocsp_key), "ocsp", false, 0, 0, "Label of the OCSP responder's key." },

	{ "trust", "root", CONFIG_PATH, AT(root), NULL, true, 0, 0, "The accreditor's root certificate, PEM or DER." },
	{ "trust", "device-ca", CONFIG_PATH, AT(device_ca), NULL, true, 0, 0, "The device CA's certificate." },
	{ "trust", "service-ca", CONFIG_PATH, AT(service_ca), NULL, true, 0, 0, "The service CA's certificate." },
	{ "trust", "ocsp-certificate", CONFIG_PATH, AT(ocsp_certificate), NULL, false, 0, 0, "The OCSP responder's certificate; without it OCSP is off." },
	{ "trust", "require-crl", CONFIG_BOOL, AT(require_crl), "yes", false, 0, 0, "Refuse certificates whose revocation list is missing or stale." },

	{ "certificates", "life", CONFIG_DURATION, AT(certificate_sec), "90d", false, 30, DAYS(366), "How long a service certificate is valid." },
	{ "certificates", "crl-life", CONFIG_DURATION, AT(crl_sec), "1d", false, 60, CRL_SEC_MAX, "How long a revocation list is valid; a new one comes at half of it." },
	{ "certificates", "ocsp-life", CONFIG_DURATION, AT(ocsp_sec), "1h", false, 60, OCSP_SEC_MAX, "How long an OCSP answer is valid." },
	{ "certificates", "crl-url", CONFIG_TEXT, AT(crl_url), NULL, false, 0, 0, "Address of the revocation list in certificates, http://…/crl/service.crl." },
	{ "certificates", "ocsp-url", CONFIG_TEXT, AT(ocsp_url), NULL, false, 0, 0, "Address of the OCSP responder in certificates, http://…/ocsp." },
	{ "certificates", "approval", CONFIG_BOOL, AT(approve_enrolments), "yes", false, 0, 0, "Whether a person has to approve a first enrolment." },

	{ "agreements", "acknowledge", CONFIG_DURATION, AT(acknowledge_sec), "14d", false, 1, DAYS(366), "How long an organization may connect to a site whose newer policy it has not acknowledged." },

	{ "work-orders", "report-due", CONFIG_DURATION, AT(report_due_sec), "24h", false, 1, DAYS(31), "How long after its end a work order must be reported." },
	{ "work-orders", "review-due", CONFIG_DURATION, AT(review_due_sec), "24h", false, 1, DAYS(31), "How long after its begin an emergency must be reviewed, where the site's rule says nothing." },
	{ "work-orders", "remind", CONFIG_DURATION, AT(remind_sec), "1h", false, 1, DAYS(31), "How often what is overdue is asked for at first: 24 times." },
	{ "work-orders", "remind-later", CONFIG_DURATION, AT(remind_later_sec), "1d", false, 1, DAYS(31), "How often after that." },

	{ "mail", "server", CONFIG_TEXT, AT(mail_server), NULL, false, 0, 0, "Mail server, HOST:PORT; without this key no mail is sent." },
	{ "mail", "from", CONFIG_TEXT, AT(mail_from), NULL, false, 0, 0, "Sender's address; wanted with a server." },
	{ "mail", "name", CONFIG_TEXT, AT(mail_name), "localhost.localdomain", false, 0, 0, "How the center introduces itself to the mail server: its DNS name." },
	{ "mail", "tls", CONFIG_TEXT, AT(mail_tls), "offered", false, 0, 0, "STARTTLS: required, offered (used where the server has it) or never. The certificate must be good." },
	{ "mail", "ca", CONFIG_PATH, AT(mail_ca), "/etc/ssl/certs/ca-certificates.crt", false, 0, 0, "Certificates that the mail server's may come from, PEM." },
	{ "mail", "login-file", CONFIG_PATH, AT(mail_login), NULL, false, 0, 0, "File with one line USER:PASSWORD, mode 0600, for servers that want it." },
	{ "mail", "retry", CONFIG_DURATION, AT(mail_retry_sec), "30s", false, 1, 3600, "Wait after the first failure; it doubles up to an hour." },
	{ "mail", "give-up", CONFIG_DURATION, AT(mail_give_up_sec), "5d", false, 1, DAYS(31), "How long one mail is tried." },
	{ 0 },
};
/* clang-format on */

int center_config_address(
        const char *text, char *ret_address, size_t address_bytes, uint16_t *ret_port)
{
	const char *colon = strrchr(text, ':');
	uint64_t port;
	size_t count;

	if (!colon || unsigned_parse(colon + 1, 65535, &port) != 0 || port == 0) {
		return 1;
	}
	count = (size_t)(colon - text);
	if (count >= 2 && text[0] == '[' && text[count - 1] == ']') {
		text++;
		count -= 2;
	}
	if (count == 0 || count >= address_bytes) {
		return 1;
	}
	memcpy(ret_address, text, count);
	ret_address[count] = '\0';
	*ret_port = (uint16_t)port;
	return 0;
}

static int check_addresses(const char *path, const struct center_config *config, struct err *err)
{
	const char *const values[] = { config->listen_device, config->listen_enrol,
		config->listen_operator, config->listen_public, config->listen_metrics };
	static const char *const names[] = { "device", "enrol", "operator", "public", "metrics" };

	for (size_t i = 0; i < ARRAY_COUNT(values); i++) {
		char address[64];
		uint16_t port;

		if (center_config_address(values[i], address, sizeof(address), &port) != 0) {
			return err_set(err, 1, "%s: [listen] %s: \"%s\" is not ADDRESS:PORT", path,
			        names[i], values[i]);
		}
	}
	return 0;
}

static int check_mail(const char *path, const struct center_config *config, struct err *err)
{
	char host[256];
	uint16_t port;

	if (!config->mail_server) {
		return 0;
	}
	if (center_config_address(config->mail_server, host, sizeof(host), &port) != 0) {
		return err_set(err, 1, "%s: [mail] server: \"%s\" is not HOST:PORT", path,
		        config->mail_server);
	}
	if (!config->mail_from || !mail_address_valid(config->mail_from)) {
		return err_set(err, 1, "%s: [mail] from: must be an address", path);
	}
	if (!text_equal(config->mail_tls, "required") && !text_equal(config->mail_tls, "offered") &&
	        !text_equal(config->mail_tls, "never")) {
		return err_set(err, 1, "%s: [mail] tls: must be required, offered or never", path);
	}
	return 0;
}

int center_config_read(const char *path, struct center_config *config, struct err *err)
{
	int r = config_read(path, center_config_keys, config, err);

	if (r == 0) {
		r = check_addresses(path, config, err);
	}
	if (r == 0 && !text_equal(config->log_level, "error") &&
	        !text_equal(config->log_level, "warning") &&
	        !text_equal(config->log_level, "info") && !text_equal(config->log_level, "debug")) {
		r = err_set(err, 1, "%s: log-level: must be error, warning, info or debug", path);
	}
	if (r == 0) {
		r = check_mail(path, config, err);
	}
	if (r == 0 && !config->database) {
		config->database = mem_format("%s/center.db", config->state);
	}
	if (r != 0) {
		center_config_clear(config);
	}
	return r;
}

void center_config_clear(struct center_config *config)
{
	config_clear(center_config_keys, config);
}
