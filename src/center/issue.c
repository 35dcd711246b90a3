#include "center/issue.h"

#include <stdio.h>
#include <string.h>

#include "center/ledger.h"
#include "center/registry.h"
#include "center/steps.h"
#include "pki/ca.h"

/* A certificate is valid from a little before now, for gateways whose clock is behind (F13). */
#define NOT_BEFORE_SEC CLOCK_SKEW_SEC_MAX

void issue_wanted(struct center *center, const struct gateway *gateway, struct issue_names *names,
        struct csr_wanted *ret_wanted)
{
	struct store_site site = { 0 };
	int r = store_site_get(center->store, gateway->site, &site);

	core_must(r < 0 ? r : 0, "read a site");
	snprintf(names->organization, sizeof(names->organization), "%s", site.organization);
	store_row_clear(STORE_SITE, &site);
	assert_always(
	        cert_identity_print(gateway->name, center->config.provider, names->identity) == 0);
	*ret_wanted = (struct csr_wanted){ .kind = CERT_SERVICE,
		.common_name = gateway->name,
		.organization = names->organization,
		.unit = gateway->site,
		.dns_name = names->identity };
}

static int prepare(struct center *center, const struct gateway *gateway, const struct csr *csr,
        struct buf *tbs, struct err *err)
{
	struct issue_names names;
	struct csr_wanted wanted;
	struct ca_request request = { .kind = CERT_SERVICE,
		.key = csr_key(csr),
		.crl_url = center->config.crl_url,
		.ocsp_url = center->config.ocsp_url };
	int64_t now = clock_wall_usec();

	issue_wanted(center, gateway, &names, &wanted);
	request.common_name = wanted.common_name;
	request.organization = wanted.organization;
	request.unit = wanted.unit;
	request.dns_names[0] = wanted.dns_name;
	request.not_before_usec = now - NOT_BEFORE_SEC * USEC_PER_SEC;
	request.not_after_usec = now + center->config.certificate_sec * USEC_PER_SEC;
	/* No certificate outlives its CA: the last ones are shorter. */
	if (request.not_after_usec > cert_not_after_usec(center->service_ca)) {
		request.not_after_usec = cert_not_after_usec(center->service_ca);
	}
	return ca_prepare(center->service_ca, &request, tbs, err);
}

static uint64_t record_step(struct center *center, const struct gateway *gateway,
        enum procedure_step step, const char *again,
        struct record *(*describe)(struct record *, const void *), const void *thing)
{
	struct store_procedure row = { 0 };
	struct record *record;
	uint64_t leaf = 0;
	int r = store_procedure_get(center->store, gateway->name, &row);

	core_must(r < 0 ? r : 0, "read a procedure");
	if (row.steps & PROCEDURE_BIT(step)) {
		/* A renewal: the same record, but the step of the procedure was done long ago. */
		record = describe(ledger_record(center, again, gateway->name), thing);
		leaf = ledger_append(center, record);
	} else {
		record = describe(steps_record(center, &row, step), thing);
		core_must(steps_do(center, &row, step, record, &leaf, NULL), "do a step");
	}
	store_row_clear(STORE_PROCEDURE, &row);
	return leaf;
}

static struct record *describe_request(struct record *record, const void *thing)
{
	const struct store_enrolment *row = thing;
	struct hash hash = hash_of(row->tbs.bytes, row->tbs.count);

	record_text(record, "enrolment", row->id);
	record_bytes(record, "csr_sha256", row->csr_hash, STORE_HASH_BYTES);
	record_bytes(record, "tbs_sha256", hash.bytes, HASH_BYTES);
	return record;
}

static struct record *describe_certificate(struct record *record, const void *thing)
{
	const struct cert *cert = thing;
	struct key_hash hash = cert_fingerprint(cert);

	record_text(record, "serial", cert_serial(cert));
	record_text(record, "identity", cert_dns_name(cert, 0));
	record_time(record, "not_after", cert_not_after_usec(cert));
	record_bytes(record, "sha256", hash.bytes, sizeof(hash.bytes));
	return record;
}

int issue_approve(
        struct center *center, struct store_enrolment *row, uint64_t *ret_leaf, struct err *err)
{
	struct gateway *gateway = registry_gateway(center, row->gateway);
	AUTO(csr) struct csr *csr = NULL;
	struct record *record;
	int r;

	if (!gateway) {
		return err_set(err, 1, "there is no such gateway");
	}
	r = procedure_check(gateway->steps, PROCEDURE_REQUESTED, err);
	if (r == PROCEDURE_OUT_OF_ORDER) {
		return 1;
	}
	r = csr_parse(row->csr.bytes, row->csr.count, &csr, err);
	buf_clear(&row->tbs);
	row->tbs = BUF(2 * CERT_DER_BYTES_MAX);
	if (r == 0) {
		r = prepare(center, gateway, csr, &row->tbs, err);
	}
	if (r != 0) {
		return r < 0 ? r : 1;
	}
	record = ledger_record(center, "enrolment.approved", gateway->name);
	record_text(record, "enrolment", row->id);
	record_bytes(record, "csr_sha256", row->csr_hash, STORE_HASH_BYTES);
	*ret_leaf = ledger_append(center, record);
	record_step(center, gateway, PROCEDURE_REQUESTED, procedure_record(PROCEDURE_REQUESTED),
	        describe_request, row);
	snprintf(row->state, sizeof(row->state), "approved");
	row->decided_usec = clock_wall_usec();
	snprintf(row->decided_by, sizeof(row->decided_by), "%s",
	        center->actor_name ? center->actor_name : "center");
	core_must(store_enrolment_put(center->store, row), "keep an enrolment");
	return 0;
}

static void keep_certificate(struct center *center, const struct gateway *gateway,
        const struct cert *cert, uint64_t leaf)
{
	struct store_certificate row = { .tier = 2,
		.not_before_usec = cert_not_before_usec(cert),
		.not_after_usec = cert_not_after_usec(cert),
		.leaf = leaf };
	struct key_hash hash = cert_key_hash(cert);
	const uint8_t *der;
	size_t count;

	snprintf(row.serial, sizeof(row.serial), "%s", cert_serial(cert));
	snprintf(row.gateway, sizeof(row.gateway), "%s", gateway->name);
	memcpy(row.key_hash, hash.bytes, STORE_HASH_BYTES);
	row.der = BUF(CERT_DER_BYTES_MAX);
	der = cert_der(cert, &count);
	buf_add(&row.der, der, count);
	core_must(store_certificate_put(center->store, &row), "keep a certificate");
	registry_take_certificate(center, &row);
	store_row_clear(STORE_CERTIFICATE, &row);
	center->counts.certificates++;
}

int issue_certificate(
        struct center *center, struct store_enrolment *row, struct cert **ret_cert, struct err *err)
{
	struct gateway *gateway = registry_gateway(center, row->gateway);
	AUTO_BUF struct buf der = BUF(CERT_DER_BYTES_MAX);
	AUTO(cert) struct cert *cert = NULL;
	struct hash hash = hash_of(row->tbs.bytes, row->tbs.count);
	struct key_hash approved;
	uint64_t leaf;
	int r;

	memcpy(approved.bytes, hash.bytes, sizeof(approved.bytes));
	r = signer_certificate(center->signer, &row->tbs, approved, &der, err);
	if (r == 0) {
		r = cert_parse(der.bytes, der.count, &cert, err);
	}
	if (r != 0) {
		return r;
	}
	leaf = record_step(center, gateway, PROCEDURE_ISSUED, procedure_record(PROCEDURE_ISSUED),
	        describe_certificate, cert);
	keep_certificate(center, gateway, cert, leaf);
	snprintf(row->state, sizeof(row->state), "issued");
	snprintf(row->certificate_serial, sizeof(row->certificate_serial), "%s", cert_serial(cert));
	core_must(store_enrolment_put(center->store, row), "keep an enrolment");
	*ret_cert = TAKE(cert);
	return 0;
}
