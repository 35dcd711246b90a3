/*
 * The tests inside a policy. They are run by policy_decide() itself, with only the layers of the
 * policy's own, before it may become active.
 */
#pragma once

#include <stddef.h>

#include "base/buf.h"
#include "policy/provider_policy.h"
#include "policy/site_policy.h"

struct policy_test_result {
	size_t passed, failed;
	struct err first_failed; /* the report's line of the first that failed */
};

/* Runs all tests and adds one line for each to `report` (which may be NULL):
 * "line 12: ok: deny from …" or "line 12: FAILED: expected permit: …" with the reason. */
struct policy_test_result provider_policy_test_run(
        const struct provider_policy *policy, struct buf *report);
struct policy_test_result site_policy_test_run(
        const struct site_policy *policy, struct buf *report);
