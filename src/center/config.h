/* The center's configuration file: one table of keys, from which the sample comes too. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/config.h"

/* A PKCS#11 token, as one process opens it. */
struct center_token {
	char *module, *label, *pin_file, *softhsm_conf;
};

struct center_config {
	char *provider;
	char *state; /* directory of the database */
	char *database, *checkpoint_copy;
	uint64_t fronts;
	char *log_level;
	char *first_token;

	char *listen_device, *listen_enrol, *listen_operator, *listen_public, *listen_metrics;
	char *tls_chain, *tls_key;
	struct center_token tls_token;

	struct center_token ca_token;
	char *ca_key;
	struct center_token provider_token;
	char *grant_key, *checkpoint_key, *ocsp_key;

	char *root, *device_ca, *service_ca, *ocsp_certificate;
	bool require_crl;

	int64_t certificate_sec, crl_sec, ocsp_sec;
	char *crl_url, *ocsp_url;
	bool approve_enrolments;

	int64_t acknowledge_sec;

	int64_t report_due_sec, review_due_sec, remind_sec, remind_later_sec;
	char *mail_server, *mail_from, *mail_name, *mail_tls, *mail_ca, *mail_login;
	int64_t mail_retry_sec, mail_give_up_sec;
};

extern const struct config_key center_config_keys[];

/* "192.0.2.1:8443" or "[2001:db8::1]:8443". Outcome 1: not so. */
int center_config_address(
        const char *text, char *ret_address, size_t address_bytes, uint16_t *ret_port) must_use;

/* Reads and checks the file: every key, every address. Outcome 1: it is wrong, err says where and
 * why. `config` is zeroed before. */
int center_config_read(const char *path, struct center_config *config, struct err *err) must_use;
void center_config_clear(struct center_config *config);
