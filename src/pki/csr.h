/*
 * Certificate signing requests (PKCS#10, RFC 2986).
 *
 * A request proves that its sender holds a key; that key is the only thing the CA takes from it.
 * What else it asks for must be either nothing or exactly what its sender would get anyway: any
 * other wish is refused with its reason, so that nobody believes to have got something (A06).
 */
#pragma once

#include "pki/cert.h"
#include "pki/key.h"
#include "pki/token.h"

struct csr;

/* What the applicant is going to get, from the records and never from the request. */
struct csr_wanted {
	enum cert_kind kind; /* CERT_DEVICE, CERT_SERVICE or CERT_SERVER */
	const char *common_name;
	const char *organization;
	const char *unit;          /* NULL: none */
	const char *serial_number; /* NULL: none */
	const char *dns_name;      /* NULL: none may be asked for */
	/* Whether this key must not be certified: known bad, revoked, or in use elsewhere. NULL:
	 * all may. */
	bool (*key_blocked)(void *context, struct key_hash hash);
	void *context;
};

enum csr_refusal {
	CSR_MALFORMED = 1, /* not a PKCS#10 request in canonical DER, or too long */
	CSR_WEAK_KEY,      /* key_parse() refuses it */
	CSR_NO_POSSESSION, /* its signature does not fit its key */
	CSR_OTHER_NAME,    /* subject or SAN ask for another name */
	CSR_CA,            /* asks to be a CA */
	CSR_OTHER_USE,     /* asks for a key usage or extended key usage it does not get */
	CSR_UNKNOWN_WISH,  /* an attribute or extension that we do not know */
	CSR_BLOCKED_KEY,   /* key_blocked() said so */
};

/* One word for records and JSON: "malformed", "weak-key", … */
const char *csr_refusal_name(int refusal);

/* Makes a request for the token's key. Adds DER to `out`. Any subject field may be NULL. Outcomes
 * of token.h. */
int csr_make(struct token_key *key, const struct csr_wanted *wanted, struct buf *out,
        struct err *err) must_use;

/* Reads DER (or PEM) and checks key and possession: CSR_MALFORMED, CSR_WEAK_KEY,
 * CSR_NO_POSSESSION. */
int csr_parse(const void *bytes, size_t count, struct csr **ret_csr, struct err *err) must_use;
struct csr *csr_free(struct csr *csr);
AUTO_DEFINE(csr)

const uint8_t *csr_der(const struct csr *csr, size_t *ret_count);
const struct key *csr_key(const struct csr *csr);
/* "" when it asks for none. */
const char *csr_common_name(const struct csr *csr);
const char *csr_serial_number(const struct csr *csr);

/* Holds every wish in the request against `wanted`: CSR_OTHER_NAME to CSR_BLOCKED_KEY. */
int csr_check(const struct csr *csr, const struct csr_wanted *wanted, struct err *err) must_use;
