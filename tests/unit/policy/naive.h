/*
 * A second evaluator of the two policies, written from protocol.md alone and for clarity only: it
 * goes through the text line by line for every question and shares nothing with src/policy/. It
 * knows the words that pick a rule and its limits; tests/oracle/ knows all of them.
 */
#pragma once

#include <stdbool.h>

struct naive_question {
	const char *from_site, *from_host, *to_site, *to_host, *class, *protocol;
	int port;
	long duration, lease; /* asked for, 0: whatever is allowed */
};

struct naive_answer {
	bool provider, group, class, from, to; /* does this layer permit? */
	long duration, lease;                  /* the least of what the permitting layers say */
	char from_rule[64], to_rule[64];
};

/* NULL stands for no active policy. */
struct naive_answer naive_decide(const char *provider, const char *from_policy,
        const char *to_policy, const struct naive_question *question);
