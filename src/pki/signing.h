/* What certificates, requests, CRLs and OCSP answers have in common: a part to be signed, the
 * algorithm, the signature. Inside src/pki only. */
#pragma once

#include "base/buf.h"
#include "pki/der.h"
#include "pki/key.h"
#include "pki/token.h"

/* The AlgorithmIdentifier that token_sign() produces for this kind of key. */
void signing_add_algorithm(struct buf *out, enum token_key_type type);

/* SEQUENCE { tbs, algorithm, signature } added to `out`. Outcomes of token.h. */
int signing_wrap(struct token_key *key, const uint8_t *tbs, size_t count, struct buf *out,
        struct err *err) must_use;

/* The parts of such a thing as read. */
struct signing {
	struct der tbs;       /* whole, with tag */
	struct der algorithm; /* whole */
	struct der signature;
};

/* False: not of this form, or not canonical. */
bool signing_split(const uint8_t *bytes, size_t count, struct signing *ret);

/* Outcome 1: the signature does not fit. */
int signing_verify(const struct signing *signing, const struct key *key) must_use;
