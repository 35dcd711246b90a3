/*
 * What priv believes, and why: the accreditor's root and the site owner's key are pinned from files
 * that were put there by hand; everything else comes through the center and is believed only as far
 * as its own signature goes.
 *
 *     root (pinned) ── device CA, service CA ── CRLs
 *       └── statements: provider (grant and policy keys), makers, issuers
 *     owner (pinned) ── site policy
 *
 * Nothing goes back: statements, CRLs and policies are replaced only by newer ones, and the newest
 * are kept on disk as they were received, so that a restart without a center, or with a hostile
 * one, starts from the same knowledge (I12).
 */
#pragma once

#include "gateway/tunnel.h"
#include "model/address.h"
#include "pki/cert.h"

struct trust;

struct trust_config {
	const char *provider;
	const char *root_path, *owner_path; /* PEM files */
	const char *state_dir;              /* where the newest documents are kept */
	/* A provider policy with sites outside of all of them is refused. */
	struct prefix services[2];
	size_t services_count;
};

/* Reads the pinned keys and what was kept. Outcome 1: a pinned file is missing or wrong. */
int trust_open(
        const struct trust_config *config, struct trust **ret_trust, struct err *err) must_use;
struct trust *trust_free(struct trust *trust);
AUTO_DEFINE(trust)

#define TRUST_IDENTITY_OTHER 2

/* The own service certificate, which says who this gateway is. It is set once: what is borrowed
 * from it stays. Its issuer need not be known yet; nothing opens before it is. A kept policy of
 * another site is dropped. Outcome 1: it is not one, or not for our provider, or it shall replace
 * the one that is set and no issuer of ours made it; TRUST_IDENTITY_OTHER: a good one, but another
 * is set. */
int trust_identity_set(struct trust *trust, const uint8_t *der, size_t count, int64_t wall_usec,
        struct err *err) must_use;
const struct cert *trust_identity(const struct trust *trust); /* NULL before */
const char *trust_site(const struct trust *trust);
const char *trust_gateway(const struct trust *trust);
/* The pinned root. */
const struct cert *trust_root(const struct trust *trust);
/* The service CA that issued the own certificate. NULL while it is not known. */
const struct cert *trust_service_ca(const struct trust *trust);

/* Takes the data of a `trust` event. `*ret_changed`: whether anything is new. Outcome 1: a part was
 * refused (err says which and why); what was good is taken all the same. */
int trust_take(struct trust *trust, const char *data, size_t count, bool *ret_changed,
        struct err *err) must_use;

/* Takes the data of a `policy` event; a policy becomes active when its owner's seal, its version
 * and the tests inside are good. Outcome 1: refused; the active ones stay. */
int trust_policy_take(struct trust *trust, const char *data, size_t count, int64_t wall_usec,
        bool *ret_changed, struct err *err) must_use;

/* The active policies; NULL for none. Borrowed until the next trust_policy_take(). */
const struct provider_policy *trust_provider_policy(const struct trust *trust);
const struct site_policy *trust_site_policy(const struct trust *trust);

/* tunnel_trust.approval_open; `context` is not looked at. */
int trust_approval_open(void *context, const struct site_policy *site, const char *sealed,
        struct buf *payload, struct policy_approver *ret_approver, struct err *err) must_use;

/* For the tunnel machine. */
struct tunnel_trust trust_for_tunnels(struct trust *trust);
