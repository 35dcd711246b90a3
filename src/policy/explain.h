/*
 * A decision in words, in one screen, in English and Japanese: what the operator, the hospital and
 * the ledger see (mission F: every denial can be explained).
 */
#pragma once

#include "base/buf.h"
#include "policy/decide.h"

enum policy_language { LANGUAGE_ENGLISH, LANGUAGE_JAPANESE };

/* Stable names for interfaces and the ledger: "initiator-site", "site.no-rule". "" outside. */
const char *policy_layer_name(enum policy_layer layer);
const char *policy_reason_name(enum policy_reason reason);

#define POLICY_DETAIL_BYTES_MAX 128

struct policy_detail {
	char text[POLICY_DETAIL_BYTES_MAX];
};

/* The detail of a layer as a text: "ct-dicom: 1h", "offline", "" where there is none. */
struct policy_detail policy_detail(const struct decision *decision, enum policy_layer layer);

/* Adds the sentence for one layer, without an end of line. */
void policy_reason_print(const struct decision *decision, enum policy_layer layer,
        const struct policy_request *request, enum policy_language language, struct buf *out);

/* Adds the whole answer: what was asked, the verdict, one line a layer, and for a permit what
 * holds. At most 20 lines. */
void policy_explain_print(const struct decision *decision, const struct policy_request *request,
        enum policy_language language, struct buf *out);
