/*
 * Enrolment by EST (RFC 7030, protocol.md 4). A first certificate needs the device certificate and,
 * unless the configuration says otherwise, a person's approval: the client gets 202 and asks again
 * with the same request. Renewal with the service certificate needs nobody.
 */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "center/issue.h"
#include "center/ledger.h"
#include "center/registry.h"
#include "center/routes.h"
#include "center/steps.h"
#include "center/trust.h"
#include "pki/device_information.h"
#include "pki/est.h"

#define RETRY_SEC 5

/* Somebody is likely to look on while a box is set up; one that waits for days needs no haste. */
static const struct {
	int64_t age_sec;
	int retry_sec;
} waits[] = { { 60, 1 }, { 600, RETRY_SEC }, { INT64_MAX / USEC_PER_SEC, 30 } };

/* The EST label, where there is one, is the provider's name. Outcome 1: answered. */
static int check_label(struct exchange *exchange)
{
	if (*exchange->parameter &&
	        !text_equal(exchange->parameter, exchange->center->config.provider)) {
		answer_problem(exchange, 404, "this center is of the provider \"%s\"",
		        exchange->center->config.provider);
		return 1;
	}
	return 0;
}

void enrol_cacerts(struct exchange *exchange)
{
	struct center *center = exchange->center;
	const struct cert *const certs[] = { center->service_ca, center->root };
	AUTO_BUF struct buf body = BUF(8 * CERT_DER_BYTES_MAX);

	if (check_label(exchange) == 0) {
		est_certs_print(certs, 2, &body);
		answer_base64(exchange, EST_TYPE_CERTS, body.bytes, body.count);
	}
}

void enrol_csrattrs(struct exchange *exchange)
{
	AUTO_BUF struct buf body = BUF(CERT_DER_BYTES_MAX);

	if (check_label(exchange) == 0) {
		est_csrattrs_print(&body);
		answer_base64(exchange, EST_TYPE_CSRATTRS, body.bytes, body.count);
	}
}

/* Who asks. Outcome 1: answered. */
static int identify(struct exchange *exchange, unsigned kinds)
{
	struct center *center = exchange->center;
	struct err err = { 0 };

	if (trust_peer(center, exchange->request, kinds, &exchange->gateway, &exchange->kind,
	            &err) != 0) {
		exchange->gateway = NULL;
		answer_problem(
		        exchange, exchange->request->chain_count > 0 ? 403 : 401, "%s", err.text);
		return 1;
	}
	center->actor_type = "gateway";
	center->actor_name = exchange->gateway->name;
	/* Whose maker is not accredited now gets nothing more (A2); its issuers were checked above.
	 */
	if (!trust_maker(center, exchange->gateway->maker, clock_wall_usec())) {
		answer_problem(exchange, 403, "the maker \"%s\" is not accredited now",
		        exchange->gateway->maker);
		return 1;
	}
	return 0;
}

/* A key is certified once: not one of tier 1, not another gateway's, not a revoked one (A06). */
static bool key_blocked(void *context, struct key_hash hash)
{
	struct exchange *exchange = context;
	struct store_certificate row = { 0 };
	int r = store_certificate_get_key(exchange->center->store, hash.bytes, &row);
	bool blocked = r == 0 && (row.tier != 2 || row.revoked_usec > 0 ||
	                                 !text_equal(row.gateway, exchange->gateway->name));

	core_must(r < 0 ? r : 0, "look for a key");
	store_row_clear(STORE_CERTIFICATE, &row);
	return blocked;
}

static int read_csr(struct exchange *exchange, struct csr **ret_csr)
{
	struct issue_names names;
	struct csr_wanted wanted;
	struct err err = { 0 };
	int r = est_csr_parse(
	        exchange->request->body, exchange->request->body_bytes, ret_csr, &err);

	if (r == 0) {
		issue_wanted(exchange->center, exchange->gateway, &names, &wanted);
		wanted.key_blocked = key_blocked;
		wanted.context = exchange;
		r = csr_check(*ret_csr, &wanted, &err);
	}
	if (r != 0) {
		answer_problem(exchange, 400, "%s: %s", csr_refusal_name(r), err.text);
		return 1;
	}
	return 0;
}

/* The device information may come along; then it must be the one of the registration (B4). */
static int check_information(struct exchange *exchange)
{
	const char *information = exchange->request->device_information;
	struct store_procedure row = { 0 };
	bool same;
	int r;

	if (!*information) {
		return 0;
	}
	r = store_procedure_get(exchange->center->store, exchange->gateway->name, &row);
	core_must(r < 0 ? r : 0, "read a procedure");
	same = text_equal(row.information, information);
	store_row_clear(STORE_PROCEDURE, &row);
	if (!same) {
		answer_problem(exchange, 403,
		        "Sekisho-Device-Information: is not the one of the registration");
		return 1;
	}
	return 0;
}

static struct hash hash_of_csr(const struct csr *csr)
{
	size_t count;
	const uint8_t *der = csr_der(csr, &count);

	return hash_of(der, count);
}

static void new_enrolment(
        struct exchange *exchange, const struct csr *csr, struct store_enrolment *row)
{
	struct center *center = exchange->center;
	struct record *record;
	struct hash hash = hash_of_csr(csr);
	const uint8_t *der;
	size_t count;

	store_row_clear(STORE_ENROLMENT, row);
	row->created_usec = clock_wall_usec();
	snprintf(row->id, sizeof(row->id), "%s", id_new(row->created_usec).text);
	snprintf(row->gateway, sizeof(row->gateway), "%s", exchange->gateway->name);
	snprintf(row->state, sizeof(row->state), "waiting");
	memcpy(row->csr_hash, hash.bytes, HASH_BYTES);
	row->csr = BUF(CSR_DER_BYTES_MAX);
	der = csr_der(csr, &count);
	buf_add(&row->csr, der, count);
	record = ledger_record(center, "enrolment.pending", exchange->gateway->name);
	record_text(record, "enrolment", row->id);
	record_bytes(record, "csr_sha256", hash.bytes, HASH_BYTES);
	ledger_append(center, record);
	core_must(store_enrolment_put(center->store, row), "keep an enrolment");
}

static void answer_cert(struct exchange *exchange, const struct cert *cert)
{
	AUTO_BUF struct buf body = BUF(8 * CERT_DER_BYTES_MAX);

	est_certs_print(&cert, 1, &body);
	answer_base64(exchange, EST_TYPE_CERTS, body.bytes, body.count);
}

/* The answer got lost: the same certificate once more. */
static void answer_again(struct exchange *exchange, const struct store_enrolment *row)
{
	struct store_certificate stored = { 0 };
	AUTO(cert) struct cert *cert = NULL;
	struct err err = { 0 };
	int r = store_certificate_get(exchange->center->store, 2, row->certificate_serial, &stored);

	core_must(r, "read a certificate");
	core_must(
	        cert_parse(stored.der.bytes, stored.der.count, &cert, &err), "read a certificate");
	if (stored.revoked_usec > 0) {
		answer_problem(exchange, 403, "the certificate for this request was revoked");
	} else {
		answer_cert(exchange, cert);
	}
	store_row_clear(STORE_CERTIFICATE, &stored);
}

static void issue(struct exchange *exchange, struct store_enrolment *row)
{
	AUTO(cert) struct cert *cert = NULL;
	struct err err = { 0 };
	int r = issue_certificate(exchange->center, row, &cert, &err);

	if (r == 0) {
		answer_cert(exchange, cert);
	} else if (r == SIGNER_SAYS_NO) {
		answer_problem(exchange, 500, "%s", err.text);
	} else {
		answer_later(exchange, RETRY_SEC);
	}
}

static void approve_and_issue(struct exchange *exchange, struct store_enrolment *row)
{
	struct err err = { 0 };
	uint64_t leaf;

	if (issue_approve(exchange->center, row, &leaf, &err) != 0) {
		answer_problem(exchange, 409, "%s", err.text);
		return;
	}
	issue(exchange, row);
}

static int retry_sec(const struct store_enrolment *row)
{
	int64_t age = clock_wall_usec() - row->created_usec;
	size_t at = 0;

	while (age > waits[at].age_sec * USEC_PER_SEC) {
		at++;
	}
	return waits[at].retry_sec;
}

static void go_on(struct exchange *exchange, struct store_enrolment *row)
{
	if (text_equal(row->state, "approved")) {
		issue(exchange, row);
	} else if (text_equal(row->state, "issued")) {
		answer_again(exchange, row);
	} else if (text_equal(row->state, "refused")) {
		answer_problem(exchange, 403, "the request was refused by the provider");
	} else if (exchange->center->config.approve_enrolments) {
		answer_later(exchange, retry_sec(row));
	} else {
		approve_and_issue(exchange, row);
	}
}

static void enrol(struct exchange *exchange)
{
	struct center *center = exchange->center;
	AUTO(csr) struct csr *csr = NULL;
	struct store_enrolment row = { 0 };
	struct err err = { 0 };
	struct hash hash;
	int r;

	if (read_csr(exchange, &csr) != 0 || check_information(exchange) != 0) {
		return;
	}
	if (procedure_check(exchange->gateway->steps, PROCEDURE_REQUESTED, &err) ==
	        PROCEDURE_OUT_OF_ORDER) {
		answer_problem(exchange, 409, "%s", err.text);
		return;
	}
	hash = hash_of_csr(csr);
	r = store_enrolment_get_gateway(center->store, exchange->gateway->name, &row);
	core_must(r < 0 ? r : 0, "read an enrolment");
	if (r != 0 || memcmp(row.csr_hash, hash.bytes, HASH_BYTES) != 0) {
		new_enrolment(exchange, csr, &row);
	}
	go_on(exchange, &row);
	store_row_clear(STORE_ENROLMENT, &row);
}

void enrol_simpleenroll(struct exchange *exchange)
{
	if (check_label(exchange) == 0 && identify(exchange, CERT_SET(CERT_DEVICE)) == 0) {
		enrol(exchange);
	}
}

static void renew(struct exchange *exchange)
{
	AUTO(csr) struct csr *csr = NULL;
	struct store_enrolment row = { 0 };

	if (read_csr(exchange, &csr) == 0) {
		new_enrolment(exchange, csr, &row);
		approve_and_issue(exchange, &row);
		store_row_clear(STORE_ENROLMENT, &row);
	}
}

void enrol_simplereenroll(struct exchange *exchange)
{
	if (check_label(exchange) != 0 ||
	        identify(exchange, CERT_SET(CERT_DEVICE) | CERT_SET(CERT_SERVICE)) != 0) {
		return;
	}
	/* After an expiry the device certificate starts again from a person's approval. */
	if (exchange->kind == CERT_DEVICE) {
		enrol(exchange);
	} else {
		renew(exchange);
	}
}
