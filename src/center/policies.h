/* The active policies, compiled, and taking new ones. */
#pragma once

#include "center/core.h"

/* Compiles what the store has. */
int policies_open(struct center *center, struct err *err) must_use;

/* A new policy: seal by its owner's key, version, tests; then stored, recorded, pushed to gateways,
 * and every live connection decided again. Outcome 1: refused, err says why (the refusal is
 * recorded by the caller). */
int policies_take_provider(struct center *center, const char *jws, size_t count, uint64_t *ret_leaf,
        struct err *err) must_use;
int policies_take_site(struct center *center, const char *site, const char *jws, size_t count,
        uint64_t *ret_leaf, struct err *err) must_use;

/* The event `policy` for a gateway of this site; NULL while there is no provider policy. */
json_t *policies_event(const struct center *center, const struct site_entry *site);
