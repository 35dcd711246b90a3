/* Issuing with a CA key in a token: what ceremonies and the device CA share. The options --ca or
 * --root, --key, --days, --out, --crl and --reason of the command are used. */
#pragma once

#include "ctl/material.h"

/* The public key of a request whose possession was checked. */
int issue_csr_key(struct ctl *ctl, const char *path, struct key **ret_key) must_use;

/* Issues the certificate with the CA of --ca (or --root), which must be of one of `ca_kinds`, and
 * writes it. The dates are filled in. */
int issue(struct ctl *ctl, struct ca_request *request, unsigned ca_kinds) must_use;

/* Writes a certificate to --out, `chain` (may be NULL) behind it, and makes it the result. */
int issue_finish(struct ctl *ctl, const struct cert *cert, const struct cert *chain) must_use;

/* Signs the revocation list of --crl anew, with one more entry if `serial` is not NULL. */
int issue_crl(struct ctl *ctl, unsigned ca_kinds, const char *serial) must_use;
/* The words of --reason. */
extern const char *const issue_reasons[];

/* Writes the verifier key of a provider's ledger (C2SP signed note) for an Ed25519 key. */
int issue_verifier_key(struct ctl *ctl, const char *provider, const uint8_t *spki, size_t count,
        const char *path) must_use;
