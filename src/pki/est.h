/*
 * Bodies of EST (RFC 7030, RFC 8951): bytes to structs and back, no HTTP.
 *
 * Everything travels as base64 of DER. RFC 8951 says: no Content-Transfer-Encoding, line breaks are
 * to be tolerated; some clients still send PEM armour or raw DER, and both are read too. What we
 * send has no line breaks (RFC 4648 3.1): strongSwan's client takes nothing else.
 */
#pragma once

#include "pki/cert.h"
#include "pki/csr.h"

#define EST_TYPE_CSR "application/pkcs10"
#define EST_TYPE_CERTS "application/pkcs7-mime; smime-type=certs-only"
#define EST_TYPE_CSRATTRS "application/csrattrs"

/* The answer of /cacerts and /simpleenroll: a degenerate PKCS#7 SignedData with these certificates,
 * base64 on one line. */
void est_certs_print(const struct cert *const *certs, size_t count, struct buf *out);

/* The same read back (for our own client, and as oracle of the tests). The caller frees each.
 * Outcome 1: not a certs-only message, or with more than `max`. */
int est_certs_parse(const void *body, size_t count, struct cert **ret_certs, size_t max,
        size_t *ret_count, struct err *err) must_use;

/* The body of /simpleenroll and /simplereenroll. Outcomes of csr_parse(). */
int est_csr_parse(const void *body, size_t count, struct csr **ret_csr, struct err *err) must_use;
/* The body our own client sends. */
void est_csr_print(const uint8_t *der, size_t count, struct buf *out);

/* The answer of /csrattrs: that a P-256 key and ecdsa-with-SHA256 are wished for. */
void est_csrattrs_print(struct buf *out);
