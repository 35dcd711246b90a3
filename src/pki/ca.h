/*
 * Certification authorities: accreditor root, device CA, service CA.
 *
 * Issuing is two steps, with the ledger between them:
 *
 *     ca_prepare()  request → the exact bytes to be signed (TBSCertificate), linted
 *     …             the bytes are approved and recorded
 *     ca_sign()     the same bytes → certificate; nothing is filled in or changed any more (A07)
 *
 * A request is made from the records; of the applicant's PKCS#10 it has only the public key.
 * Serials are 159 random bits. Both steps lint on their own, so that the process that holds the key
 * does not depend on the one that asks.
 */
#pragma once

#include "pki/cert.h"
#include "pki/key.h"
#include "pki/token.h"

struct ca; /* a CA certificate with its key in a token */

enum ca_outcome { CA_REFUSED = 1, CA_NOT_APPROVED = 2, CA_TOKEN = 100 };

struct ca_request {
	enum cert_kind kind;
	const struct key *key;
	const char *organization;                  /* device: the maker */
	const char *unit;                          /* service: the site; else NULL */
	const char *common_name;                   /* device: the model; service: the gateway */
	const char *serial_number;                 /* device: as printed on the box; else NULL */
	const char *dns_names[CERT_DNS_NAMES_MAX]; /* up to the first NULL */
	const char *addresses[CERT_DNS_NAMES_MAX]; /* server: IPv4 and IPv6, up to the first NULL */
	const char *crl_url;                       /* NULL: no distribution point */
	const char *ocsp_url;                      /* NULL: no authority information */
	int64_t not_before_usec;                   /* whole seconds count */
	int64_t not_after_usec;
};

/* The self-signed root (the ceremony's first step); `request->key` is the public half of `key`.
 * CA_REFUSED: the request breaks the profile; CA_TOKEN + outcome of token.h. */
int ca_make_root(struct token_key *key, const struct ca_request *request, struct cert **ret_cert,
        struct err *err) must_use;

/* Adopts neither: certificate is copied, the key must outlive the CA. Outcome 1: the certificate is
 * not a CA of ours, or the key is another. */
int ca_new(const struct cert *cert, struct token_key *key, struct ca **ret_ca,
        struct err *err) must_use;
struct ca *ca_free(struct ca *ca);
AUTO_DEFINE(ca)

const struct cert *ca_cert(const struct ca *ca);
struct token_key *ca_key(const struct ca *ca);

/* Adds the TBSCertificate to `ret_tbs`. Needs no key: `issuer` is the CA's certificate. Outcome 1:
 * the request breaks the profile of its kind, the CA may not issue that kind, or it would outlive
 * its CA; err says which. */
int ca_prepare(const struct cert *issuer, const struct ca_request *request, struct buf *ret_tbs,
        struct err *err) must_use;

/* Signs `tbs` as it is. `approved` is the SHA-256 that was recorded when it was approved. Outcomes:
 * CA_NOT_APPROVED, CA_REFUSED (the bytes break the profile of every kind this CA may issue, or name
 * another issuer or algorithm); CA_TOKEN + outcome of token.h. */
int ca_sign(const struct ca *ca, const uint8_t *tbs, size_t count, struct key_hash approved,
        struct cert **ret_cert, struct err *err) must_use;

/* Both steps at once, for ceremonies and tests. CA_REFUSED; CA_TOKEN + outcome of token.h. */
int ca_issue(const struct ca *ca, const struct ca_request *request, struct cert **ret_cert,
        struct err *err) must_use;
