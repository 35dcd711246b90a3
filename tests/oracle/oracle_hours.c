/* The oracle's calendar and its opening hours (protocol.md 2.2). */
#include "oracle.h"

#include <string.h>

#define DAY_SEC (24 * 3600LL)
#define USEC 1000000LL

static bool leap(int year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

int64_t oracle_days(int year, int month, int day)
{
	static const int lengths[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	int64_t days = 0;

	for (int y = 1970; y < year; y++) {
		days += leap(y) ? 366 : 365;
	}
	for (int m = 1; m < month; m++) {
		days += lengths[m - 1] + (m == 2 && leap(year));
	}
	return days + day - 1;
}

int oracle_weekday(int64_t days)
{
	return (int)((days + 3) % 7); /* 1970-01-01 was a Thursday */
}

static bool holiday(const struct oracle_site *site, int64_t day)
{
	for (int i = 0; i < site->holiday_count; i++) {
		if (site->holidays[i].first <= day && day <= site->holidays[i].last) {
			return true;
		}
	}
	return false;
}

/* The span of one line that begins on a local day, as seconds of UTC. */
static bool span_of(const struct oracle_site *site, const struct oracle_hours *line, int64_t day,
        int64_t *start, int64_t *end)
{
	int64_t midnight = day * DAY_SEC - site->offset;

	if (!line->days[oracle_weekday(day)] || (line->except_holidays && holiday(site, day))) {
		return false;
	}
	*start = midnight + line->from * 60;
	*end = midnight + line->to * 60 + (line->to <= line->from ? DAY_SEC : 0);
	return true;
}

/* The latest end of a span that holds at `moment` or ends there, or `moment`. */
static int64_t latest_end(
        const struct oracle_site *site, const char *hours, int64_t moment, int64_t today)
{
	int64_t latest = moment;

	for (int i = 0; i < site->hours_count; i++) {
		for (int64_t day = today - 3; day <= today + 5; day++) {
			int64_t start, end;

			if (strcmp(site->hours[i].name, hours) == 0 &&
			        span_of(site, &site->hours[i], day, &start, &end) &&
			        start <= moment && end > latest) {
				latest = end;
			}
		}
	}
	return latest;
}

bool oracle_hours_hold(
        const struct oracle_site *site, const char *hours, int64_t now, int64_t *until)
{
	int64_t second = now / USEC; /* spans begin and end on whole seconds */
	int64_t today = (second + site->offset) / DAY_SEC;
	int64_t end;

	*until = INT64_MAX;
	if (hours[0] == '\0') {
		return true;
	}
	end = latest_end(site, hours, second, today);
	if (end == second) {
		return false;
	}
	for (int64_t further = latest_end(site, hours, end, today);
	        further > end && end < second + 2 * DAY_SEC;
	        further = latest_end(site, hours, end, today)) {
		end = further;
	}
	*until = end * USEC;
	return true;
}

int64_t oracle_hours_next(const struct oracle_site *site, const char *hours, int64_t now)
{
	int64_t second = now / USEC, today = (second + site->offset) / DAY_SEC, first = INT64_MAX;

	for (int i = 0; i < site->hours_count; i++) {
		for (int64_t day = today; day <= today + 14; day++) {
			int64_t start, end;

			if (strcmp(site->hours[i].name, hours) == 0 &&
			        span_of(site, &site->hours[i], day, &start, &end) &&
			        start > second && start < first) {
				first = start;
			}
		}
	}
	return first == INT64_MAX ? 0 : first * USEC;
}
