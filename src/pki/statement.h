/*
 * Accreditation statements (A2): what the accreditor says about a provider, a maker or an issuer,
 * sealed by the accreditor's root key (protocol.md 1.1), dated, and replaced by a newer one to
 * suspend or withdraw.
 *
 *     {"v":1,"seq":7,"role":"provider","id":"kanto","state":"granted","not_before":T,"not_after":T,
 *      "issued_at":T,"keys":[{"use":"grant","spki":"base64"},…]}
 *
 * The seal's typ is "sekisho-statement". A set keeps the newest statement per role and id; an older
 * or equal number never replaces it, so a withdrawn accreditation cannot be brought back by replay.
 * The answer to "is X accredited" is no for everything that is not granted, dated and present.
 */
#pragma once

#include "base/limits.h"
#include "pki/key.h"
#include "pki/seal.h"
#include "pki/token.h"

#define STATEMENT_TYP "sekisho-statement"
#define STATEMENT_KEYS_MAX 16
#define STATEMENT_SET_MAX 4096 /* makers, providers and issuers of one accreditor */

enum statement_role {
	STATEMENT_PROVIDER,
	STATEMENT_MAKER,
	STATEMENT_DEVICE_CA,
	STATEMENT_SERVICE_CA
};
enum statement_state { STATEMENT_WITHDRAWN, STATEMENT_SUSPENDED, STATEMENT_GRANTED };
enum statement_use {
	STATEMENT_USE_GRANT,
	STATEMENT_USE_POLICY,
	STATEMENT_USE_CHECKPOINT,
	STATEMENT_USE_DEVICE_INFORMATION,
	STATEMENT_USE_CA,
};

const char *statement_role_name(enum statement_role role);
const char *statement_state_name(enum statement_state state);
const char *statement_use_name(enum statement_use use);
/* Outcome 1: no such word. */
int statement_role_parse(const char *name, enum statement_role *ret_role) must_use;
int statement_state_parse(const char *name, enum statement_state *ret_state) must_use;
int statement_use_parse(const char *name, enum statement_use *ret_use) must_use;

/* Which role may have keys for which use: a maker's key never signs a grant. */
bool statement_use_fits(enum statement_role role, enum statement_use use);

struct statement_key {
	enum statement_use use;
	struct key *key; /* an owner of its own, see key_copy() */
};

struct statement {
	uint64_t seq; /* from 1 */
	enum statement_role role;
	char id[NAME_BYTES_MAX + 1];
	enum statement_state state;
	int64_t not_before, not_after, issued_at; /* microseconds; whole milliseconds are kept */
	struct statement_key keys[STATEMENT_KEYS_MAX];
	size_t key_count;
};

/* A heap object; statement_free() frees the keys too. */
struct statement *statement_free(struct statement *statement);
AUTO_DEFINE(statement)

/* The payload. Adds JSON to `out`, always the same bytes for the same statement. */
void statement_print(const struct statement *statement, struct buf *out);
/* Strict. Outcome 1: err names the member. */
int statement_parse(
        const char *json, size_t count, struct statement **ret_statement, struct err *err) must_use;

/* Prints and seals with the accreditor's key. Outcomes of token.h. */
int statement_sign(const struct statement *statement, struct token_key *accreditor,
        struct buf *ret_text, struct err *err) must_use;
/* Opens the seal with one of the accreditor's keys. Outcomes of seal.h; a payload that does not
 * parse is SEAL_MALFORMED. */
int statement_open(const char *text, size_t count, const struct key *const *accreditors,
        size_t accreditor_count, struct statement **ret_statement, struct err *err) must_use;

struct statement_set;
struct statement_set *statement_set_new(void);
struct statement_set *statement_set_free(struct statement_set *set);
AUTO_DEFINE(statement_set)

/* Adopts an opened statement. Outcomes: 1 not newer than the one held, 2 the set is full; it is
 * freed then. */
int statement_set_take(struct statement_set *set, struct statement *statement) must_use;
/* The newest statement about role and id, whatever it says; NULL if there is none. Borrowed. */
const struct statement *statement_set_find(
        const struct statement_set *set, enum statement_role role, const char *id);
size_t statement_set_count(const struct statement_set *set);
const struct statement *statement_set_at(const struct statement_set *set, size_t index);

/* Whether `id` is accredited in `role` now. */
bool statement_set_accredited(const struct statement_set *set, enum statement_role role,
        const char *id, int64_t now_usec);
/* The keys of an accredited `id` for one use, written to `ret_keys` (borrowed). Returns how many; 0
 * when it is not accredited. */
size_t statement_set_keys(const struct statement_set *set, enum statement_role role, const char *id,
        enum statement_use use, int64_t now_usec, const struct key *ret_keys[STATEMENT_KEYS_MAX]);
/* Whether somebody accredited in `role` has this key for this use now (an issuer by its key).
 * Returns that statement, or NULL. Borrowed. */
const struct statement *statement_set_find_key(const struct statement_set *set,
        enum statement_role role, enum statement_use use, struct key_hash hash, int64_t now_usec);
