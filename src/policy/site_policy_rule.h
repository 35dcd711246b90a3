/* The statements of a site policy that speak of a pair; for site_policy_parse.c. Each reads what
 * follows its keyword. Outcome 1: wrong, err says where and what was expected. */
#pragma once

#include "policy/policy_text.h"

struct site_policy;

int site_policy_allow_parse(
        struct site_policy *policy, struct policy_text *text, struct err *err) must_use;
int site_policy_refuse_parse(
        struct site_policy *policy, struct policy_text *text, struct err *err) must_use;
int site_policy_test_parse(
        struct site_policy *policy, struct policy_text *text, struct err *err) must_use;
