/*
 * Is this certificate good now, and if not, why not (A01 to A05, B8).
 *
 * A verifier holds what one process trusts: pinned roots, the CAs below them, the newest CRL of
 * each CA, and the accreditation statements. It is fed by its owner and asked by everybody; asking
 * changes nothing. Chains are exactly leaf, CA, root. Unknown means no: without a current CRL for
 * every CA of the chain the answer is VERIFY_STALE, unless the verifier was told that revocation is
 * not required (the first contact of a new gateway, which has no CRL yet).
 */
#pragma once

#include "pki/cert.h"
#include "pki/crl.h"
#include "pki/statement.h"

struct verifier;

enum verify_outcome {
	VERIFY_MALFORMED = 1,  /* does not parse */
	VERIFY_WRONG_KIND,     /* of another kind or tier than wanted */
	VERIFY_PROFILE,        /* breaks the profile of its kind */
	VERIFY_UNKNOWN_ISSUER, /* no chain to a root of ours, or a signature that does not fit */
	VERIFY_NOT_YET_VALID,
	VERIFY_EXPIRED,
	VERIFY_REVOKED,        /* it, or its CA */
	VERIFY_STALE,          /* no CRL, or one past its next update */
	VERIFY_NOT_ACCREDITED, /* its CA's key is not accredited for its role now */
};

/* One word for records and JSON: "malformed", "wrong-kind", … */
const char *verify_outcome_name(int outcome);

/* Fixed when made; outcome-free. */
struct verify_rules {
	bool revocation_required;    /* VERIFY_STALE without a current CRL */
	bool accreditation_required; /* VERIFY_NOT_ACCREDITED without a statement */
};

struct verifier *verifier_new(struct verify_rules rules);
struct verifier *verifier_free(struct verifier *verifier);
AUTO_DEFINE(verifier)

/* Pins a root. Outcome 1: not a root by profile. The certificate is copied. */
int verifier_add_root(struct verifier *verifier, const struct cert *root, struct err *err) must_use;
/* Adds a device or service CA. Outcome 1: no CA by profile, or not signed by a pinned root. */
int verifier_add_ca(struct verifier *verifier, const struct cert *ca, struct err *err) must_use;
/* Adopts the list if it is verified by a root or CA here and its number is higher than the one held
 * for that issuer. Outcomes: 1 not signed by one of ours, 2 not newer (the list is freed in every
 * case but 0). */
int verifier_take_crl(struct verifier *verifier, struct crl *crl, struct err *err) must_use;
/* Borrowed from now on; NULL takes it away. */
void verifier_set_statements(struct verifier *verifier, const struct statement_set *statements);

/* Verifies `leaf` at `now_usec`; `kinds` is a set of CERT_SET(). `extra` are certificates the peer
 * sent along (CAs that are not known yet are used if they chain to a pinned root). 0: good. */
int verify_cert(const struct verifier *verifier, const struct cert *leaf,
        const struct cert *const *extra, size_t extra_count, unsigned kinds, int64_t now_usec,
        struct err *err) must_use;

/* The CA certificate of a certificate that was verified, or NULL. Borrowed. */
const struct cert *verifier_issuer(const struct verifier *verifier, const struct cert *leaf);
/* Age of the oldest CRL in use in seconds, -1 when one is missing; the metric. */
int64_t verifier_crl_age_sec(const struct verifier *verifier, int64_t now_usec);
/* Roots and CAs, for /cacerts and for VICI load-cert. NULL past the end. Borrowed. */
const struct cert *verifier_root(const struct verifier *verifier, size_t index);
const struct cert *verifier_ca(const struct verifier *verifier, size_t index);
const struct crl *verifier_crl(const struct verifier *verifier, size_t index);
