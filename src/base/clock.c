#include "base/clock.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int64_t read_clock(clockid_t clock)
{
	struct timespec now;

	assert_always(clock_gettime(clock, &now) == 0);
	return now.tv_sec * USEC_PER_SEC + now.tv_nsec / 1000;
}

struct moment clock_now(void)
{
	return (struct moment){
		.wall_usec = read_clock(CLOCK_REALTIME),
		.monotonic_usec = read_clock(CLOCK_MONOTONIC),
	};
}

int64_t clock_wall_usec(void)
{
	return read_clock(CLOCK_REALTIME);
}

int64_t clock_monotonic_usec(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

struct time_text time_print(int64_t wall_usec)
{
	int64_t sec = wall_usec / USEC_PER_SEC, usec = wall_usec % USEC_PER_SEC;
	struct time_text out;
	struct tm utc;
	time_t when;
	size_t used;

	if (usec < 0) {
		sec--;
		usec += USEC_PER_SEC;
	}
	when = (time_t)sec;
	gmtime_r(&when, &utc);
	used = strftime(out.text, sizeof(out.text), "%Y-%m-%dT%H:%M:%S", &utc);
	snprintf(out.text + used, sizeof(out.text) - used, ".%03dZ", (int)(usec / 1000));
	return out;
}

/* Reads exactly `digits` decimal digits; -1 if there are not that many. */
static int take_digits(const char **at, int digits)
{
	int value = 0;

	for (int i = 0; i < digits; i++, (*at)++) {
		if (!isdigit((unsigned char)**at)) {
			return -1;
		}
		value = value * 10 + (**at - '0');
	}
	return value;
}

static int take_char(const char **at, char expected)
{
	if (**at != expected) {
		return 1;
	}
	(*at)++;
	return 0;
}

int time_parse(const char *text, int64_t *ret_wall_usec)
{
	const char *at = text;
	int year, month, day, hour, minute, second;
	int64_t fraction = 0;
	struct tm utc = { 0 }, check;
	time_t when;

	year = take_digits(&at, 4);
	if (year < 1970 || take_char(&at, '-') || (month = take_digits(&at, 2)) < 1 || month > 12 ||
	        take_char(&at, '-') || (day = take_digits(&at, 2)) < 1 || day > 31 ||
	        take_char(&at, 'T') || (hour = take_digits(&at, 2)) < 0 || hour > 23 ||
	        take_char(&at, ':') || (minute = take_digits(&at, 2)) < 0 || minute > 59 ||
	        take_char(&at, ':') || (second = take_digits(&at, 2)) < 0 || second > 59) {
		return 1;
	}
	if (*at == '.') {
		int64_t unit = USEC_PER_SEC / 10;

		at++;
		if (!isdigit((unsigned char)*at)) {
			return 1;
		}
		for (; isdigit((unsigned char)*at); at++, unit /= 10) {
			if (unit == 0) {
				return 1;
			}
			fraction += (*at - '0') * unit;
		}
	}
	if (strcmp(at, "Z") != 0) {
		return 1;
	}
	utc.tm_year = year - 1900;
	utc.tm_mon = month - 1;
	utc.tm_mday = day;
	utc.tm_hour = hour;
	utc.tm_min = minute;
	utc.tm_sec = second;
	when = timegm(&utc);
	gmtime_r(&when, &check);
	if (check.tm_mday != day || check.tm_mon != month - 1) {
		return 1; /* 31 February and the like */
	}
	*ret_wall_usec = (int64_t)when * USEC_PER_SEC + fraction;
	return 0;
}

int duration_parse(const char *text, int64_t *ret_sec)
{
	int64_t value = 0, unit;
	const char *at = text;

	if (!isdigit((unsigned char)*at)) {
		return 1;
	}
	for (; isdigit((unsigned char)*at); at++) {
		value = value * 10 + (*at - '0');
		if (value > 366LL * 86400) {
			return 1;
		}
	}
	switch (*at) {
	case 's':
		unit = 1;
		break;
	case 'm':
		unit = 60;
		break;
	case 'h':
		unit = 3600;
		break;
	case 'd':
		unit = 86400;
		break;
	default:
		return 1;
	}
	if (at[1] != '\0' || value * unit > 366LL * 86400) {
		return 1;
	}
	*ret_sec = value * unit;
	return 0;
}
