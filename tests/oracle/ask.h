/* Requests and facts for a world of generate.h: mostly such that the answer could be yes, with one
 * or two things at or over a boundary. */
#pragma once

#include "generate.h"

#include "policy/decide.h"

#define ASK_LIVE 4

struct ask {
	struct policy_request request;
	struct policy_facts facts; /* the policies in it are the caller's to set */
	bool has_policy[3];        /* provider, initiator, responder */
	int policy_of[2];          /* which of the world's sites is given for the side */
	int64_t now;
	struct policy_live live[2][ASK_LIVE];
};

void ask_make(struct gen_world *world, struct ask *ask);
