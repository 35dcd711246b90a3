/*
 * The hours of a site (protocol.md 2.2): spans of the week in the site's own time, and its
 * holidays. Pure: a time in, what holds of it out. A span belongs to the day it begins on, also
 * when it ends on the next one. Days count from 1970-01-01, local.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define HOURS_DAY_SEC 86400

struct hours_span {
	uint32_t name;       /* lines of one name add up */
	uint8_t days;        /* 1 << weekday, Monday is 0 */
	uint16_t from_min;   /* of the day: 0 to 1439 */
	uint16_t length_min; /* 1 to 1440 */
	bool except_holidays;
};

struct hours_holiday {
	int32_t first, last; /* days, both in it */
};

struct hours {
	int32_t zone_sec; /* east of UTC */
	struct hours_span *spans;
	struct hours_holiday *holidays; /* sorted and apart after hours_arrange() */
	size_t span_count, holiday_count;
};

/* Sorts and joins the holidays. */
void hours_arrange(struct hours *hours);

/* Whether `at` (microseconds of wall time) is within the hours of this name. *ret_usec is when they
 * end, spans that touch counted as one (exact up to GRANT_SEC_MAX from `at`); or, when it is not
 * within, when they next begin, 0 where they do not within two weeks. */
bool hours_within(const struct hours *hours, uint32_t name, int64_t at, int64_t *ret_usec);

/* When the first Monday begins that is behind every holiday (and their nights). */
int64_t hours_plain_monday(const struct hours *hours);

/* The `index`th moment at which some span begins in that week, whatever its name; false past the
 * last. Whatever hours allow at any time they allow at one of these. */
bool hours_start_at(const struct hours *hours, size_t index, int64_t *ret_usec);

/* "2026-11-23", "2026-11-24T10:00", "mon-fri" or "mon,wed", "09:00-17:30" as they stand in a
 * policy. Outcome 1: not one. Times of a day are minutes; a date-time is a wall time. */
int hours_date_parse(const char *text, int32_t *ret_day) must_use;
int hours_time_parse(const char *text, int32_t zone_sec, int64_t *ret_usec) must_use;
int hours_days_parse(const char *text, uint8_t *ret_days) must_use;
int hours_minutes_parse(const char *text, uint16_t *ret_from, uint16_t *ret_length) must_use;
/* "UTC", "Asia/Tokyo", "+09:00". */
int hours_zone_parse(const char *text, int32_t *ret_zone_sec) must_use;

void hours_date_print(int32_t day, struct buf *out);
/* "2026-11-24T10:00", and ":30" behind it where the seconds are not 0. The date is within the years
 * that an int32_t of days can tell. */
void hours_time_print(int64_t usec, int32_t zone_sec, struct buf *out);
void hours_days_print(uint8_t days, struct buf *out);
void hours_minutes_print(uint16_t from_min, uint16_t length_min, struct buf *out);
void hours_zone_print(int32_t zone_sec, struct buf *out);
