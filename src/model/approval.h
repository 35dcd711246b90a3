/*
 * An approval (protocol.md 1.5): the payload of the seal `sekisho-approval`, by which the approver
 * of a site agrees to the terms of a work order. As a plain value without pointers; canonical like
 * a grant. Center and gateways read and judge it with these same functions.
 */
#pragma once

#include "model/work_terms.h"

#define APPROVAL_SEAL_TYPE "sekisho-approval"

enum approval_kind {
	APPROVAL_KIND_NONE = 0,
	APPROVAL_OF_WORK,      /* of the work order as it was applied for */
	APPROVAL_OF_EXTENSION, /* of its next revision, with a later end */
	APPROVAL_OF_REVIEW,    /* of an emergency, after the fact */
	APPROVAL_KIND_COUNT,
};

struct approval {
	char approver[NAME_BYTES_MAX + 1];
	int64_t approved_at;
	enum approval_kind kind;
	int64_t not_before, not_after;             /* absolute, set by the approver; these count */
	char terms_text[WORK_TERMS_BYTES_MAX + 1]; /* as it was shown and signed */
	struct work_terms terms;                   /* the same, read */
};

/* Reads and checks the payload, the terms inside included. The seal is the caller's business.
 * Outcome 1: refused, err names the field. *ret_approval is then not to be used. */
int approval_parse(
        const void *payload, size_t count, struct approval *ret_approval, struct err *err) must_use;

/* Adds the canonical payload; `terms` is not looked at, terms_text is what counts. */
void approval_print(const struct approval *approval, struct buf *out);

/* What must hold of an approval wherever it is: an end after the start, no longer than
 * WORK_WINDOW_SEC_MAX, the approver not the worker (A14). Pure. Outcome 1: err says what. */
int approval_check(const struct approval *approval, struct err *err) must_use;

/* One connection, as a grant names it. */
struct approval_use {
	const char *site; /* whose approval is wanted */
	const char *work_order, *person;
	enum service_class class;
	struct work_target target;
	int64_t not_before, not_after;
};

/* Whether this approval covers it: its site, work order, worker, class and a target, its window
 * holding the other whole, and of a kind that permits ahead (a review does not). Pure. Outcome 1:
 * it does not, err says why. */
int approval_covers(
        const struct approval *approval, const struct approval_use *use, struct err *err) must_use;

const char *approval_kind_name(enum approval_kind kind); /* "work", "extension", "review" */
