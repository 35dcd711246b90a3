/*
 * Refusals are recorded, but they must not be able to flood the ledger (reliability.md 3.5): of
 * each source the first 10 in a minute are recorded one by one, the rest as one record with their
 * number when the minute is over. Pure: the time is handed in.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"

#define REFUSALS_PER_MINUTE_MAX 10
#define REFUSALS_WINDOW_USEC (60 * 1000000LL)
/* Sources counted apart at once; what comes beyond is counted together under "others". */
#define REFUSALS_SOURCES_MAX 4096
#define REFUSALS_SOURCE_BYTES_MAX 95

struct refusals;

struct refusals *refusals_new(void);
struct refusals *refusals_free(struct refusals *refusals);
AUTO_DEFINE(refusals)

/* Counts one refusal of `source`. True: record it now. */
bool refusals_count(struct refusals *refusals, const char *source, int64_t monotonic_usec);

/* Calls `each` for every source whose minute is over and that had more than was recorded, with the
 * number of those, and forgets the sources whose minute is over. `all`: as if every minute were
 * over (at the end of the process). */
typedef void refusals_each(void *context, const char *source, uint64_t count);
void refusals_flush(struct refusals *refusals, int64_t monotonic_usec, bool all,
        refusals_each *each, void *context);
