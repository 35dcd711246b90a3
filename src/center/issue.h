/* From a request for a service certificate to the certificate (mission B2, B6; steps h and i). */
#pragma once

#include "center/core.h"
#include "pki/csr.h"

/* What a gateway's certificate must say, for csr_check(). Borrows from gateway and organization;
 * `identity` is filled and must live as long. */
struct issue_names {
	char identity[CERT_IDENTITY_BYTES_MAX];
	char organization[NAME_BYTES_MAX + 1];
};
void issue_wanted(struct center *center, const struct gateway *gateway, struct issue_names *names,
        struct csr_wanted *ret_wanted);

/* Approves: the bytes to be signed are made from the records and the request's key, and recorded
 * with their hash. The row is changed and stored. Outcome 1: cannot be issued, err says why. */
int issue_approve(struct center *center, struct store_enrolment *row, uint64_t *ret_leaf,
        struct err *err) must_use;

/* Signs what was approved; the certificate is recorded and stored before it can leave. Outcomes of
 * signer_client.h. */
int issue_certificate(struct center *center, struct store_enrolment *row, struct cert **ret_cert,
        struct err *err) must_use;
