/* The renewal of one grant's lease (protocol.md 1.4): payload of the seal `sekisho-lease`,
 * canonical as a grant's. */
#pragma once

#include <stdint.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/str.h"

struct lease {
	struct id grant;
	char provider[NAME_BYTES_MAX + 1];
	uint64_t epoch;
	uint64_t seq;      /* from 1; rises by at least one */
	int64_t issued_at; /* microseconds of wall time, whole milliseconds */
	uint32_t ttl_sec;  /* 1 to LEASE_SEC_MAX */
};

/* Outcome 1: refused, err names the field. */
int lease_parse(
        const void *payload, size_t count, struct lease *ret_lease, struct err *err) must_use;
void lease_print(const struct lease *lease, struct buf *out);

/* How long the packet-filter entry may live from `now` on: ttl_sec minus the age of issued_at, at
 * most the grant's lease_sec, never beyond not_after (all in microseconds of wall time, the result
 * in milliseconds). 0 when it is over. An issued_at ahead of `now` counts as of now. */
int64_t lease_left_msec(
        const struct lease *lease, uint32_t grant_lease_sec, int64_t not_after, int64_t now);
