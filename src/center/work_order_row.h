/* A work order as it is stored, and as it is shown. Pure. */
#pragma once

#include "center/work_order.h"
#include "wire/json.h"

/* Everything but approvals, certificate and report, as canonical JSON. */
void work_order_pack(const struct work_order *order, struct buf *out);
/* Outcome 1: damaged, err says what. Approvals, certificate and report are put in by the caller. */
int work_order_unpack(const char *text, struct work_order **ret_order, struct err *err) must_use;

/* Puts an approval behind the others: from its seal's payload. Outcome 1: damaged. */
int work_order_add_approval(struct work_order *order, const void *payload, size_t count,
        const char *seal, const char *key_id, const uint8_t digest[WORK_DIGEST_BYTES],
        struct err *err) must_use;

/* As answers show it; the caller owns it. `terms` is the text to be signed next: of the revision
 * that is asked for, else of the one in force. */
json_t *work_order_print(const struct work_order *order);
