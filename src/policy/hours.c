#include "policy/hours.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"

/* How far ahead the next begin of a span is looked for. */
#define AHEAD_DAYS_MAX 14
#define DAY_MIN (24 * 60)

static const char *const weekdays[] = { "mon", "tue", "wed", "thu", "fri", "sat", "sun" };

/* Rounds down, also below zero. */
static int64_t divide_down(int64_t value, int64_t by)
{
	return value / by - (value % by < 0);
}

static int64_t local_sec(const struct hours *hours, int64_t usec)
{
	return divide_down(usec, USEC_PER_SEC) + hours->zone_sec;
}

static int64_t wall_usec(const struct hours *hours, int64_t local)
{
	return (local - hours->zone_sec) * USEC_PER_SEC;
}

/* 1970-01-01 was a Thursday. */
static unsigned weekday_of(int64_t day)
{
	int64_t weekday = (day + 3) % 7;

	return (unsigned)(weekday < 0 ? weekday + 7 : weekday);
}

static int compare_holidays(const void *left, const void *right)
{
	const struct hours_holiday *a = left, *b = right;

	return a->first != b->first ? (a->first > b->first) - (a->first < b->first)
	                            : (a->last > b->last) - (a->last < b->last);
}

void hours_arrange(struct hours *hours)
{
	size_t used = 0;

	if (hours->holiday_count == 0) {
		return;
	}
	qsort(hours->holidays, hours->holiday_count, sizeof(*hours->holidays), compare_holidays);
	for (size_t i = 1; i < hours->holiday_count; i++) {
		struct hours_holiday *last = &hours->holidays[used], next = hours->holidays[i];

		if (next.first > last->last + 1) {
			hours->holidays[++used] = next;
		} else if (next.last > last->last) {
			last->last = next.last;
		}
	}
	hours->holiday_count = used + 1;
}

static bool is_holiday(const struct hours *hours, int64_t day)
{
	size_t low = 0, high = hours->holiday_count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (hours->holidays[middle].last < day) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low < hours->holiday_count && hours->holidays[low].first <= day;
}

static bool span_on(const struct hours *hours, const struct hours_span *span, int64_t day)
{
	return (span->days & 1U << weekday_of(day)) &&
	       !(span->except_holidays && is_holiday(hours, day));
}

/* The latest end of a span that `at` (local seconds) is in, or `at`. */
static int64_t span_end(const struct hours *hours, uint32_t name, int64_t at)
{
	int64_t today = divide_down(at, HOURS_DAY_SEC), end = at;

	for (size_t i = 0; i < hours->span_count; i++) {
		const struct hours_span *span = &hours->spans[i];

		if (span->name != name) {
			continue;
		}
		for (int64_t day = today - 1; day <= today; day++) {
			int64_t from = day * HOURS_DAY_SEC + span->from_min * 60;
			int64_t to = from + span->length_min * 60;

			if (from <= at && to > end && span_on(hours, span, day)) {
				end = to;
			}
		}
	}
	return end;
}

/* The next begin of a span after `at` (local seconds), or `at`. */
static int64_t next_begin(const struct hours *hours, uint32_t name, int64_t at)
{
	int64_t today = divide_down(at, HOURS_DAY_SEC), best = at;

	for (int64_t day = today; day <= today + AHEAD_DAYS_MAX && best == at; day++) {
		for (size_t i = 0; i < hours->span_count; i++) {
			const struct hours_span *span = &hours->spans[i];
			int64_t from = day * HOURS_DAY_SEC + span->from_min * 60;

			if (span->name == name && from > at && (best == at || from < best) &&
			        span_on(hours, span, day)) {
				best = from;
			}
		}
	}
	return best;
}

bool hours_within(const struct hours *hours, uint32_t name, int64_t at, int64_t *ret_usec)
{
	int64_t local = local_sec(hours, at), end = span_end(hours, name, local), next;

	if (end == local) {
		next = next_begin(hours, name, local);
		*ret_usec = next == local ? 0 : wall_usec(hours, next);
		return false;
	}
	while (end - local <= GRANT_SEC_MAX && (next = span_end(hours, name, end)) > end) {
		end = next;
	}
	*ret_usec = wall_usec(hours, end);
	return true;
}

int64_t hours_plain_monday(const struct hours *hours)
{
	int64_t day = 20458; /* 2026-01-05, a Monday */

	/* A span of the day before may reach into it. */
	if (hours->holiday_count > 0 && hours->holidays[hours->holiday_count - 1].last + 2 > day) {
		day = (int64_t)hours->holidays[hours->holiday_count - 1].last + 2;
	}
	return wall_usec(hours, (day + (7 - weekday_of(day)) % 7) * HOURS_DAY_SEC);
}

bool hours_start_at(const struct hours *hours, size_t index, int64_t *ret_usec)
{
	size_t span = index / 7, day = index % 7;

	if (span >= hours->span_count) {
		return false;
	}
	*ret_usec =
	        hours_plain_monday(hours) +
	        ((int64_t)day * HOURS_DAY_SEC + hours->spans[span].from_min * 60) * USEC_PER_SEC;
	return true;
}

/* Exactly `digits` digits at `*text`, which then points behind them and behind `after` (0: the end
 * of the text). Outcome 1: something else. */
static int take_number(const char **text, int digits, char after, int max, int *ret_value)
{
	int value = 0;

	for (int i = 0; i < digits; i++) {
		if ((*text)[i] < '0' || (*text)[i] > '9') {
			return 1;
		}
		value = 10 * value + ((*text)[i] - '0');
	}
	if (value > max || (*text)[digits] != after) {
		return 1;
	}
	*text += digits + (after != '\0');
	*ret_value = value;
	return 0;
}

/* Days from 1970-01-01 to a date of the proleptic Gregorian calendar; March is the first month of
 * the year that is counted, so that the leap day is its last. */
static int32_t day_of(int year, int month, int day)
{
	int shifted = month > 2 ? month - 3 : month + 9;
	int years = month > 2 ? year : year - 1;

	return 365 * years + years / 4 - years / 100 + years / 400 + (153 * shifted + 2) / 5 + day -
	       1 - 719468;
}

static void date_of(int32_t day, int *ret_year, int *ret_month, int *ret_day)
{
	int years = (int)((day + 719468LL) * 400 / 146097) + 1;
	int rest, shifted;

	/* day_of() of March 1st: the first estimate is at most one or two years too late. */
	while (day_of(years, 3, 1) > day) {
		years--;
	}
	rest = day - day_of(years, 3, 1);
	shifted = (5 * rest + 2) / 153;
	*ret_day = rest - (153 * shifted + 2) / 5 + 1;
	*ret_month = shifted < 10 ? shifted + 3 : shifted - 9;
	*ret_year = shifted < 10 ? years : years + 1;
}

static int take_date(const char **text, char after, int32_t *ret_day)
{
	int year, month, day, back_year, back_month, back_day;

	if (take_number(text, 4, '-', 9999, &year) || take_number(text, 2, '-', 12, &month) ||
	        take_number(text, 2, after, 31, &day) || year < 1970 || month < 1 || day < 1) {
		return 1;
	}
	*ret_day = day_of(year, month, day);
	date_of(*ret_day, &back_year, &back_month, &back_day);
	return back_day != day;
}

int hours_date_parse(const char *text, int32_t *ret_day)
{
	return take_date(&text, '\0', ret_day);
}

static int take_minutes(const char **text, char after, int *ret_minutes)
{
	int hour, minute;

	if (take_number(text, 2, ':', 23, &hour) || take_number(text, 2, after, 59, &minute)) {
		return 1;
	}
	*ret_minutes = 60 * hour + minute;
	return 0;
}

int hours_time_parse(const char *text, int32_t zone_sec, int64_t *ret_usec)
{
	int32_t day;
	int minutes;

	if (take_date(&text, 'T', &day) || take_minutes(&text, '\0', &minutes)) {
		return 1;
	}
	*ret_usec = ((int64_t)day * HOURS_DAY_SEC + minutes * 60 - zone_sec) * USEC_PER_SEC;
	return 0;
}

/* The number of the day that the next three letters name; 7 is none. */
static unsigned take_weekday(const char **text)
{
	unsigned day = 0;

	while (day < 7 && strncmp(*text, weekdays[day], 3) != 0) {
		day++;
	}
	*text += day < 7 ? 3 : 0;
	return day;
}

int hours_days_parse(const char *text, uint8_t *ret_days)
{
	unsigned days = 0;

	for (;; text++) {
		unsigned first = take_weekday(&text), last = first;

		if (*text == '-') {
			text++;
			last = take_weekday(&text);
		}
		if (first > 6 || last > 6 || last < first) {
			return 1;
		}
		for (; first <= last; first++) {
			if (days & 1U << first) {
				return 1;
			}
			days |= 1U << first;
		}
		if (*text != ',') {
			break;
		}
	}
	*ret_days = (uint8_t)days;
	return *text != '\0';
}

int hours_minutes_parse(const char *text, uint16_t *ret_from, uint16_t *ret_length)
{
	int from, to;

	if (take_minutes(&text, '-', &from) || take_minutes(&text, '\0', &to)) {
		return 1;
	}
	*ret_from = (uint16_t)from;
	*ret_length = (uint16_t)(to > from ? to - from : to - from + DAY_MIN);
	return 0;
}

int hours_zone_parse(const char *text, int32_t *ret_zone_sec)
{
	int minutes;

	if (strcmp(text, "UTC") == 0 || strcmp(text, "Asia/Tokyo") == 0) {
		*ret_zone_sec = text[0] == 'U' ? 0 : 9 * 3600;
		return 0;
	}
	if (text[0] != '+' && text[0] != '-') {
		return 1;
	}
	*ret_zone_sec = text[0] == '-' ? -60 : 60;
	text++;
	/* From -12:00 to +14:00 there are places. */
	if (take_minutes(&text, '\0', &minutes) || minutes > (*ret_zone_sec < 0 ? 720 : 840)) {
		return 1;
	}
	*ret_zone_sec *= minutes;
	return 0;
}

void hours_date_print(int32_t day, struct buf *out)
{
	int year, month, day_of_month;

	date_of(day, &year, &month, &day_of_month);
	buf_add_format(out, "%04d-%02d-%02d", year, month, day_of_month);
}

void hours_time_print(int64_t usec, int32_t zone_sec, struct buf *out)
{
	int64_t local = divide_down(usec, USEC_PER_SEC) + zone_sec;
	int64_t day = divide_down(local, HOURS_DAY_SEC);
	int sec = (int)(local - day * HOURS_DAY_SEC);

	hours_date_print((int32_t)day, out);
	buf_add_format(out, "T%02d:%02d", sec / 3600, sec / 60 % 60);
	if (sec % 60 != 0) {
		buf_add_format(out, ":%02d", sec % 60);
	}
}

void hours_days_print(uint8_t days, struct buf *out)
{
	const char *comma = "";

	for (unsigned first = 0; first < 7; first++) {
		unsigned last = first;

		if (!(days & 1U << first)) {
			continue;
		}
		while (last < 6 && (days & 1U << (last + 1))) {
			last++;
		}
		buf_add_format(out, "%s%s", comma, weekdays[first]);
		if (last > first) {
			buf_add_format(out, "-%s", weekdays[last]);
		}
		comma = ",";
		first = last;
	}
}

void hours_minutes_print(uint16_t from_min, uint16_t length_min, struct buf *out)
{
	unsigned to = (from_min + length_min) % DAY_MIN;

	buf_add_format(
	        out, "%02u:%02u-%02u:%02u", from_min / 60U, from_min % 60U, to / 60, to % 60);
}

void hours_zone_print(int32_t zone_sec, struct buf *out)
{
	int32_t minutes = zone_sec / 60;

	if (zone_sec == 0) {
		buf_add_text(out, "UTC");
		return;
	}
	buf_add_format(
	        out, "%c%02d:%02d", minutes < 0 ? '-' : '+', abs(minutes) / 60, abs(minutes) % 60);
}
