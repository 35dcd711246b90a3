/*
 * The procedure a to l of 004 D.6 (mission C): twelve steps of one gateway, each refused while one
 * before it is missing. Pure: a set of done steps in, an answer out.
 *
 *     a, b in either order; then c, d, e, f, g, h, i, j, k, l, each after all before it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum procedure_step {
	PROCEDURE_JOIN,        /* a: the user applies to the provider */
	PROCEDURE_PURCHASE,    /* b: the user orders from the maker */
	PROCEDURE_REGISTER,    /* c: the maker registers the box */
	PROCEDURE_CERTIFICATE, /* d: the device CA issues tier 1 */
	PROCEDURE_INSTALLED,   /* e: tier 1 is on the token */
	PROCEDURE_DELIVERED,   /* f: the user has the box */
	PROCEDURE_USE,         /* g: the user applies to use the service */
	PROCEDURE_REQUESTED,   /* h: the provider asks the service CA */
	PROCEDURE_ISSUED,      /* i: the service CA issues tier 2 */
	PROCEDURE_LOADED,      /* j: tier 2 is on the token: the gateway speaks with it */
	PROCEDURE_CONNECTION,  /* k: the first request for a connection */
	PROCEDURE_SERVICE,     /* l: the first connection is up */
	PROCEDURE_STEP_COUNT,
};

enum procedure_outcome {
	PROCEDURE_DONE_ALREADY = 1, /* nothing to record; asking again is allowed */
	PROCEDURE_OUT_OF_ORDER = 2, /* err names the first missing step */
};

/* Whether `step` may be done now; `steps` has bit n set for each done step n. */
int procedure_check(uint64_t steps, enum procedure_step step, struct err *err) must_use;

#define PROCEDURE_BIT(step) (1ULL << (step))

/* 'a' to 'l'. */
char procedure_letter(enum procedure_step step);
/* What the step is, in a few words, for texts and lists. */
const char *procedure_title(enum procedure_step step);
/* The kind of its ledger record. */
const char *procedure_record(enum procedure_step step);
