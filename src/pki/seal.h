/*
 * Seals: signed documents as compact JSON Web Signatures (RFC 7515) with ES256 (DESIGN 5).
 *
 * There is one algorithm and one header: {"alg":"ES256","kid":K,"typ":T}, byte for byte, where K
 * names the key (key_id()) and T what the payload is ("sekisho-grant", "sekisho-policy", …), so a
 * document of one kind can never be taken for another. Any other header is refused. The payload is
 * handed out as the bytes that were signed; identity (ids, serials) always comes from the payload
 * and never from the signature, because ECDSA signatures can be re-made by anybody (A05).
 *
 * Reading needs the keys that may have sealed: a list made by the caller for exactly this purpose
 * (this provider's grant keys, this site's owner key, …).
 */
#pragma once

#include "pki/key.h"
#include "pki/token.h"

enum seal_outcome {
	SEAL_MALFORMED = 1, /* not a compact JWS in our form, or too long */
	SEAL_WRONG_TYPE,    /* sealed, but as something else */
	SEAL_UNKNOWN_KEY,   /* by a key that is not in the list */
	SEAL_FORGED,        /* the signature does not fit */
};

/* Seals `payload` with a P-256 key. The text is added to `out`. Outcomes of token.h;
 * TOKEN_NOT_OFFERED for keys that are not P-256. */
int seal_sign(struct token_key *key, const char *typ, const void *payload, size_t count,
        struct buf *out, struct err *err) must_use;

/* Opens `text`. On 0 `payload` (empty before, its maximum is the limit) holds the payload and
 * `*ret_key`, if wanted, is the key of `keys` that sealed it. */
int seal_open(const char *text, size_t count, const char *typ, const struct key *const *keys,
        size_t key_count, struct buf *payload, const struct key **ret_key,
        struct err *err) must_use;

/* The payload without checking who sealed it: only to show a document, or to learn from it which
 * keys to check it with, in front of seal_open(). SEAL_MALFORMED, SEAL_WRONG_TYPE. */
int seal_peek(const char *text, size_t count, const char *typ, struct buf *payload,
        struct key_id *ret_key, struct err *err) must_use;
