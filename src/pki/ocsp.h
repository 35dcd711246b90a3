/*
 * The OCSP responder (RFC 6960), with a delegated key per CA.
 *
 * One question holds up to OCSP_QUESTIONS_MAX certificates; a nonce of 1 to 128 bytes is echoed
 * (RFC 9654), other extensions are passed over. Answers without a nonce depend only on the
 * certificate and the time and may be made ahead and kept (RFC 5019).
 */
#pragma once

#include "pki/cert.h"
#include "pki/crl.h"
#include "pki/token.h"

#define OCSP_REQUEST_BYTES_MAX 4096
#define OCSP_QUESTIONS_MAX 16
#define OCSP_ANSWER_BYTES_MAX (64 << 10)

struct ocsp; /* a responder: CA certificate, responder certificate and key */

/* Copies the certificates; the key must outlive it. Outcome 1: the responder certificate is not one
 * of this CA or its key is another. */
int ocsp_new(const struct cert *issuer, const struct cert *responder, struct token_key *key,
        struct ocsp **ret_ocsp, struct err *err) must_use;
struct ocsp *ocsp_free(struct ocsp *ocsp);
AUTO_DEFINE(ocsp)

enum ocsp_state { OCSP_UNKNOWN, OCSP_GOOD, OCSP_REVOKED };

struct ocsp_status {
	enum ocsp_state state;
	int64_t revoked_usec;
	enum crl_reason reason;
};

/* Tells the state of one serial of this CA. A serial it never issued is OCSP_UNKNOWN. */
typedef struct ocsp_status ocsp_lookup(void *context, const char *serial);

/* Answers `request`; adds the DER OCSPResponse to `out`. A request that cannot be read gets the
 * answer malformedRequest, one about another CA only gets unauthorized, both unsigned: they are
 * answers, not outcomes. If the token fails the answer is tryLater and the result its outcome or
 * fault, so that it can be sent and the fault recorded. */
int ocsp_answer(const struct ocsp *ocsp, const uint8_t *request, size_t count, ocsp_lookup *lookup,
        void *context, int64_t now_usec, int64_t next_update_usec, struct buf *out,
        struct err *err) must_use;

/* The answer about one serial without a nonce, to be kept until next_update. */
int ocsp_presign(const struct ocsp *ocsp, const char *serial, struct ocsp_status status,
        int64_t now_usec, int64_t next_update_usec, struct buf *out, struct err *err) must_use;

/* For a front that keeps answers: whether the request asks for one serial, of this issuer, without
 * nonce. Writes the serial. Outcome 1: it does not, ask ocsp_answer(). */
int ocsp_request_simple(const struct cert *issuer, const uint8_t *request, size_t count,
        char ret_serial[2 * CERT_SERIAL_BYTES_MAX + 1]) must_use;

/* A request for one certificate with an optional nonce (count 0: none), for our own checks. */
void ocsp_request_print(const struct cert *issuer, const char *serial, const uint8_t *nonce,
        size_t nonce_count, struct buf *out);
