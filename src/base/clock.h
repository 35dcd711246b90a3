/*
 * Time. Wall-clock time is microseconds since 1970-01-01T00:00:00Z, monotonic time is microseconds
 * since some point in the past; both int64_t. Pure code never asks for the time: it is handed in.
 */
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "base/limits.h"

#define USEC_PER_SEC 1000000LL
#define USEC_PER_MSEC 1000LL

/* Both clocks at one moment, as handed to pure code: deadlines run on the monotonic one, dates that
 * a peer signed are compared with the other. */
struct moment {
	int64_t wall_usec;
	int64_t monotonic_usec;
};

struct moment clock_now(void);
int64_t clock_wall_usec(void);
int64_t clock_monotonic_usec(void);

struct time_text {
	char text[TIME_TEXT_BYTES_MAX];
};

/* RFC 3339 in UTC with milliseconds: 2026-11-20T09:30:00.000Z. */
struct time_text time_print(int64_t wall_usec);

/* RFC 3339, UTC ("Z") only, with 0 to 6 digits of fraction. Outcome 1: not such a time. */
int time_parse(const char *text, int64_t *ret_wall_usec) must_use;

/* "90s", "15m", "2h", "1d"; a number and one unit. Outcome 1: not a duration or more than a year.
 */
int duration_parse(const char *text, int64_t *ret_sec) must_use;
