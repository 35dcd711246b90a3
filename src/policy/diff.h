/*
 * What two versions of a policy permit differently, rule by rule, for the person who is to agree to
 * the new one. Each line begins with what it does: "+" more is possible than before, "-" less, "*"
 * something else.
 */
#pragma once

#include <stddef.h>

#include "base/buf.h"
#include "policy/provider_policy.h"
#include "policy/site_policy.h"

struct policy_difference {
	size_t more, less, other; /* lines of each kind */
};

/* Both are policies of one site, or of one provider; the caller has looked. */
struct policy_difference site_policy_diff(
        const struct site_policy *old, const struct site_policy *new, struct buf *out);
struct policy_difference provider_policy_diff(
        const struct provider_policy *old, const struct provider_policy *new, struct buf *out);
