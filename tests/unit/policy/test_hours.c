/* Spans of the week, holidays, time zones: the edges, and every minute of a year against a list. */
#include "../check.h"

#include <stdlib.h>

#include "base/clock.h"
#include "policy/hours.h"

#define MIN (60 * USEC_PER_SEC)
#define HOUR (60 * MIN)
#define DAY (24 * HOUR)

static int64_t local(const char *text, int32_t zone_sec)
{
	int64_t usec = 0;

	CHECK(hours_time_parse(text, zone_sec, &usec) == 0);
	return usec;
}

static struct hours_span span(const char *days, const char *minutes, bool except_holidays)
{
	struct hours_span span = { .except_holidays = except_holidays };

	CHECK(hours_days_parse(days, &span.days) == 0);
	CHECK(hours_minutes_parse(minutes, &span.from_min, &span.length_min) == 0);
	return span;
}

TEST(words_are_read_and_printed)
{
	static const struct {
		const char *text, *printed;
	} days[] = { { "mon", "mon" }, { "mon-fri", "mon-fri" }, { "sun", "sun" },
		{ "mon,tue", "mon-tue" }, { "wed,mon,sun", "mon,wed,sun" }, { "mon-mon", "mon" },
		{ "fri-sun,mon-wed", "mon-wed,fri-sun" }, { "mon-sun", "mon-sun" } };
	static const char *const bad_days[] = { "", "mo", "Mon", "mon-", "-mon", "fri-mon",
		"mon,mon", "mon,", ",mon", "mon-wed-fri", "mon fri", "mon-fri,wed", "monday" };
	static const char *const bad_minutes[] = { "", "9:00-17:00", "09:00", "09:00-",
		"24:00-01:00", "09:60-10:00", "09:00-17:00 ", "09:00-1700", "09-17", "09:00-24:00",
		"0a:00-10:00" };
	static const char *const zones[] = { "UTC", "+09:00", "-03:30", "+14:00", "-12:00",
		"+00:30" };
	static const char *const bad_zones[] = { "", "utc", "Z", "+9", "+09", "+14:01", "-12:01",
		"09:00", "+09:00x", "Asia/Seoul" };
	static const char *const dates[] = { "1970-01-01", "2000-02-29", "2024-02-29", "2026-12-31",
		"9999-12-31", "2027-03-01", "2100-02-28" };
	static const char *const bad_dates[] = { "", "1969-12-31", "2026-02-29", "2100-02-29",
		"2026-00-01", "2026-13-01", "2026-01-00", "2026-01-32", "2026-04-31", "2026-1-1",
		"2026-01-01T", "20260101", "2026-01-0x" };

	for (size_t i = 0; i < ARRAY_COUNT(days); i++) {
		AUTO_BUF struct buf out = BUF(64);
		uint8_t set = 0;

		CHECK(hours_days_parse(days[i].text, &set) == 0);
		hours_days_print(set, &out);
		CHECK_TEXT(buf_text(&out), days[i].printed);
	}
	for (size_t i = 0; i < ARRAY_COUNT(bad_days); i++) {
		uint8_t set;

		CHECK(hours_days_parse(bad_days[i], &set) == 1);
	}
	for (size_t i = 0; i < ARRAY_COUNT(bad_minutes); i++) {
		uint16_t from, length;

		CHECK(hours_minutes_parse(bad_minutes[i], &from, &length) == 1);
	}
	for (size_t i = 0; i < ARRAY_COUNT(zones); i++) {
		AUTO_BUF struct buf out = BUF(64);
		int32_t zone;

		CHECK(hours_zone_parse(zones[i], &zone) == 0);
		hours_zone_print(zone, &out);
		CHECK_TEXT(buf_text(&out), zones[i]);
	}
	for (size_t i = 0; i < ARRAY_COUNT(bad_zones); i++) {
		int32_t zone;

		CHECK(hours_zone_parse(bad_zones[i], &zone) == 1);
	}
	for (size_t i = 0; i < ARRAY_COUNT(dates); i++) {
		AUTO_BUF struct buf out = BUF(64);
		int32_t day;

		CHECK(hours_date_parse(dates[i], &day) == 0);
		hours_date_print(day, &out);
		CHECK_TEXT(buf_text(&out), dates[i]);
	}
	for (size_t i = 0; i < ARRAY_COUNT(bad_dates); i++) {
		int32_t day;

		CHECK(hours_date_parse(bad_dates[i], &day) == 1);
	}
	for (int32_t day = -800000; day < 800000; day += 17) {
		AUTO_BUF struct buf out = BUF(64);
		int32_t again;

		hours_date_print(day, &out);
		if (day >= 0) {
			CHECK(hours_date_parse(buf_text(&out), &again) == 0 && again == day);
		}
	}
}

TEST(an_end_is_not_within_and_a_night_belongs_to_its_day)
{
	struct hours_span spans[] = { span("mon-fri", "22:00-06:00", true) };
	struct hours_holiday holidays[] = { { 0 } };
	struct hours hours = { .zone_sec = 9 * 3600,
		.spans = spans,
		.span_count = 1,
		.holidays = holidays,
		.holiday_count = 1 };
	int64_t end;

	CHECK(hours_date_parse("2026-11-24", &holidays[0].first) == 0);
	holidays[0].last = holidays[0].first;
	/* Monday's night goes on into the holiday; the holiday has none; Friday's into Saturday. */
	CHECK(hours_within(&hours, 0, local("2026-11-24T05:59", 32400), &end));
	CHECK(end == local("2026-11-24T06:00", 32400));
	CHECK(!hours_within(&hours, 0, local("2026-11-24T06:00", 32400), &end));
	CHECK(end == local("2026-11-25T22:00", 32400));
	CHECK(!hours_within(&hours, 0, local("2026-11-24T22:00", 32400), &end));
	CHECK(!hours_within(&hours, 0, local("2026-11-25T03:00", 32400), &end));
	CHECK(hours_within(&hours, 0, local("2026-11-25T22:00", 32400), &end));
	CHECK(!hours_within(&hours, 0, local("2026-11-25T22:00", 32400) - 1, &end));
	CHECK(end == local("2026-11-25T22:00", 32400));
	CHECK(hours_within(&hours, 0, local("2026-11-28T05:00", 32400), &end));
	CHECK(!hours_within(&hours, 0, local("2026-11-28T22:00", 32400), &end));
	CHECK(!hours_within(&hours, 1, local("2026-11-25T22:00", 32400), &end) && end == 0);
}

TEST(spans_that_touch_count_as_one)
{
	struct hours_span spans[] = { span("mon", "09:00-12:00", false),
		span("mon", "12:00-13:00", false), span("mon", "14:00-15:00", false),
		span("tue", "00:00-00:00", false), span("mon", "12:30-14:00", false),
		span("wed", "00:00-00:00", false) };
	struct hours hours = { .spans = spans, .span_count = 4 };
	int64_t end;

	spans[3].name = spans[5].name = 7;
	CHECK(hours_within(&hours, 0, local("2026-11-23T09:00", 0), &end));
	CHECK(end == local("2026-11-23T13:00", 0));
	hours.span_count = 6;
	CHECK(hours_within(&hours, 0, local("2026-11-23T09:00", 0), &end));
	CHECK(end == local("2026-11-23T15:00", 0));
	CHECK(hours_within(&hours, 7, local("2026-11-24T12:00", 0), &end));
	CHECK(end == local("2026-11-26T00:00", 0));
	CHECK(hours_within(&hours, 7, local("2026-11-25T23:59", 0), &end));
	CHECK(end == local("2026-11-26T00:00", 0));
}

/* Whether any day's span holds a minute, asked the slow way. */
static bool within(const struct hours *hours, int64_t at)
{
	int64_t sec = at / USEC_PER_SEC + hours->zone_sec;

	for (size_t i = 0; i < hours->span_count; i++) {
		const struct hours_span *one = &hours->spans[i];

		for (int64_t day = sec / 86400 - 1; day <= sec / 86400; day++) {
			int64_t from = day * 86400 + one->from_min * 60;
			bool holiday = false;

			for (size_t k = 0; k < hours->holiday_count; k++) {
				holiday |= day >= hours->holidays[k].first &&
				           day <= hours->holidays[k].last;
			}
			if ((one->days & 1 << (day + 3) % 7) &&
			        !(one->except_holidays && holiday) && sec >= from &&
			        sec < from + one->length_min * 60) {
				return true;
			}
		}
	}
	return false;
}

TEST(every_minute_of_some_weeks_is_as_the_list_says)
{
	struct hours_span spans[] = { span("mon-fri", "09:00-17:30", true),
		span("sat,sun", "23:30-01:00", false), span("wed", "17:00-18:00", false),
		span("fri", "00:00-00:00", true) };
	struct hours_holiday holidays[4];
	struct hours hours = { .zone_sec = -(3 * 3600 + 1800),
		.spans = spans,
		.span_count = ARRAY_COUNT(spans),
		.holidays = holidays,
		.holiday_count = ARRAY_COUNT(holidays) };
	int32_t first;
	int64_t start = local("2026-11-15T00:00", hours.zone_sec), inside = 0;

	CHECK(hours_date_parse("2026-11-23", &first) == 0);
	holidays[0] = (struct hours_holiday){ first + 11, first + 13 };
	holidays[1] = (struct hours_holiday){ first, first };
	holidays[2] = (struct hours_holiday){ first + 12, first + 12 };
	holidays[3] = (struct hours_holiday){ first + 14, first + 14 };
	hours_arrange(&hours);
	CHECK(hours.holiday_count == 2 && holidays[1].last == first + 14);
	for (int64_t at = start; at < start + 28 * DAY; at += MIN) {
		int64_t when = 0;
		bool is = hours_within(&hours, 0, at, &when);

		CHECK(is == within(&hours, at));
		inside += is;
		/* The answer holds until `when`, and not at it. */
		CHECK(when > at);
		CHECK(within(&hours, when) != is && within(&hours, when - 1) == is);
	}
	CHECK(inside > 1000 && inside < 28 * 24 * 60);
}

TEST(a_plain_week_is_behind_every_holiday)
{
	struct hours_span spans[] = { span("sun", "22:00-06:00", true) };
	struct hours_holiday holidays[1];
	struct hours hours = {
		.zone_sec = 32400, .spans = spans, .span_count = 1, .holidays = holidays
	};
	int64_t at;

	CHECK(hours_plain_monday(&hours) == local("2026-01-05T00:00", 32400));
	hours.holiday_count = 1;
	CHECK(hours_date_parse("2027-01-03", &holidays[0].last) == 0);
	holidays[0].first = holidays[0].last;
	CHECK(hours_plain_monday(&hours) == local("2027-01-11T00:00", 32400));
	holidays[0].last--;
	CHECK(hours_plain_monday(&hours) == local("2027-01-04T00:00", 32400));
	CHECK(hours_start_at(&hours, 6, &at) && at == local("2027-01-10T22:00", 32400));
	CHECK(!hours_start_at(&hours, 7, &at));
}

TEST_MAIN()
