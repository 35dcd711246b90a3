/*
 * A deletion certificate (protocol.md 1.6, mission G2): the payload of the seal `sekisho-deletion`,
 * by which a worker says that the data taken during a job are gone. Canonical like a grant.
 */
#pragma once

#include <stdint.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/str.h"

#define DELETION_SEAL_TYPE "sekisho-deletion"

struct deletion {
	struct id work_order;
	char worker[NAME_BYTES_MAX + 1];
	int64_t deleted_at; /* microseconds of wall time */
	char method[DELETION_TEXT_BYTES_MAX + 1];
	size_t item_count; /* 0: no data were taken */
	char items[DELETION_ITEMS_MAX][DELETION_TEXT_BYTES_MAX + 1];
};

/* Reads and checks the payload. The seal is the caller's business. Outcome 1: refused, err names
 * the field. *ret_deletion is then not to be used. */
int deletion_parse(
        const void *payload, size_t count, struct deletion *ret_deletion, struct err *err) must_use;

/* Adds the canonical payload. */
void deletion_print(const struct deletion *deletion, struct buf *out);

/* Pure. Outcome 1: something is missing, err says what. */
int deletion_check(const struct deletion *deletion, struct err *err) must_use;
