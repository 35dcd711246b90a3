/*
 * Certificate revocation lists (RFC 5280 5): built and read by our own code so that one of 100,000
 * entries takes well under a second (L7); version 2, with number, reason and authority key id.
 */
#pragma once

#include "pki/ca.h"
#include "pki/cert.h"

struct crl;

/* RFC 5280 5.3.1. */
enum crl_reason {
	CRL_UNSPECIFIED = 0,
	CRL_KEY_COMPROMISE = 1,
	CRL_CA_COMPROMISE = 2,
	CRL_AFFILIATION_CHANGED = 3,
	CRL_SUPERSEDED = 4,
	CRL_CESSATION = 5,
	CRL_HOLD = 6, /* suspension: the only one that can be taken back */
	CRL_PRIVILEGE_WITHDRAWN = 9,
};

/* "unspecified", "key-compromise", …; "unknown" for other values. */
const char *crl_reason_name(int reason);
/* Outcome 1: no such reason. */
int crl_reason_parse(const char *name, enum crl_reason *ret_reason) must_use;

struct crl_entry {
	char serial[2 * CERT_SERIAL_BYTES_MAX + 1]; /* lower-case hex as cert_serial() */
	int64_t revoked_usec;
	enum crl_reason reason;
};

/* Builds and signs; adds DER to `out` (maximum CRL_DER_BYTES_MAX). `number` must grow with every
 * list of this CA. Outcome CA_REFUSED: a serial is not one, or the list would be too long; CA_TOKEN
 * + outcome of token.h. */
int crl_build(const struct ca *ca, const struct crl_entry *entries, size_t count, uint64_t number,
        int64_t this_update_usec, int64_t next_update_usec, struct buf *out,
        struct err *err) must_use;

/* Reads DER or PEM. Outcome 1: not a version 2 list in canonical DER with number and both dates, or
 * with a critical extension (partial, indirect and delta lists have one). Not verified. */
int crl_parse(const void *bytes, size_t count, struct crl **ret_crl, struct err *err) must_use;
struct crl *crl_free(struct crl *crl);
AUTO_DEFINE(crl)

/* Outcome 1: not signed by this CA, or by its name with another key. */
int crl_verify(const struct crl *crl, const struct cert *issuer, struct err *err) must_use;

/* Whether the list is about certificates of the issuer of `cert`. */
bool crl_covers(const struct crl *crl, const struct cert *cert);
/* The entry, or NULL when the serial is not on the list. Borrowed. */
const struct crl_entry *crl_find(const struct crl *crl, const char *serial);
size_t crl_count(const struct crl *crl);
const struct crl_entry *crl_entry(const struct crl *crl, size_t index); /* ordered by serial */
uint64_t crl_number(const struct crl *crl);
struct key_hash crl_issuer_hash(const struct crl *crl); /* as cert_issuer_hash() */
int64_t crl_this_update_usec(const struct crl *crl);
int64_t crl_next_update_usec(const struct crl *crl);
/* Seconds since this update; the metric that says how stale we are. */
int64_t crl_age_sec(const struct crl *crl, int64_t now_usec);
const uint8_t *crl_der(const struct crl *crl, size_t *ret_count);
