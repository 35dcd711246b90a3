/* The calendar of src/policy against the oracle's, day by day, and its rules where none of the
 * policies that compare makes goes. */
#include "../unit/check.h"

#include "oracle.h"

#include "policy/hours.h"

#define USEC 1000000LL
#define DAY 86400LL

static bool date_taken(int year, int month, int day, int32_t *days)
{
	char text[32];

	snprintf(text, sizeof(text), "%04d-%02d-%02d", year, month, day);
	return hours_date_parse(text, days) == 0;
}

TEST(every_date_is_the_same_day_and_prints_as_it_was)
{
	AUTO_BUF struct buf out = BUF(64);
	char text[32];
	int32_t days = 0;

	for (int year = 1970; year < 2405; year++) {
		for (int month = 1; month <= 12; month++) {
			int64_t next = month == 12 ? oracle_days(year + 1, 1, 1)
			                           : oracle_days(year, month + 1, 1);
			int length = (int)(next - oracle_days(year, month, 1));

			for (int day = 1; day <= length; day++) {
				CHECK(date_taken(year, month, day, &days));
				CHECK(days == oracle_days(year, month, day));
				snprintf(text, sizeof(text), "%04d-%02d-%02d", year, month, day);
				buf_reset(&out);
				hours_date_print(days, &out);
				CHECK_TEXT(buf_text(&out), text);
			}
			CHECK(!date_taken(year, month, length + 1, &days));
		}
	}
}

TEST(the_last_date_has_four_digits)
{
	int32_t days = 0;

	CHECK(date_taken(9999, 12, 31, &days) && days == oracle_days(9999, 12, 31));
}

TEST(what_is_no_date_is_refused)
{
	static const char *const wrong[] = { "1969-12-31", "2026-00-01", "2026-13-01", "2026-01-00",
		"2026-01-32", "20a6-01-01", "202/-01-01", "2026-01-/1", "2026-1a-01", "2026-01-1a",
		"2026-01-011", "2026/01/01", "", "2026-01" };
	int32_t days;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		CHECK(hours_date_parse(wrong[i], &days) != 0);
	}
}

TEST(a_time_counts_in_its_zone)
{
	static const int32_t zones[] = { 0, 32400, -43200, 50400, -12600 };
	int64_t usec = 0;

	for (size_t i = 0; i < 5; i++) {
		CHECK(hours_time_parse("2026-11-24T10:01", zones[i], &usec) == 0);
		CHECK(usec ==
		        ((oracle_days(2026, 11, 24) * DAY + 10 * 3600 + 60) - zones[i]) * USEC);
	}
	CHECK(hours_time_parse("2026-11-24", 0, &usec) != 0);
	CHECK(hours_time_parse("2026-11-24T24:00", 0, &usec) != 0);
	CHECK(hours_time_parse("2026-11-24T10:60", 0, &usec) != 0);
	CHECK(hours_time_parse("2026-11-24T10:00Z", 0, &usec) != 0);
	CHECK(hours_time_parse("2026-02-30T10:00", 0, &usec) != 0);
}

TEST(zones_go_as_far_as_there_are_places)
{
	static const char *const wrong[] = { "+14:01", "-12:01", "JST", "x09:00", "009:00", "+9:00",
		"+09:60", "" };
	int32_t zone = 1;

	CHECK(hours_zone_parse("UTC", &zone) == 0 && zone == 0);
	CHECK(hours_zone_parse("Asia/Tokyo", &zone) == 0 && zone == 32400);
	CHECK(hours_zone_parse("+14:00", &zone) == 0 && zone == 14 * 3600);
	CHECK(hours_zone_parse("-12:00", &zone) == 0 && zone == -12 * 3600);
	CHECK(hours_zone_parse("+12:01", &zone) == 0 && zone == 12 * 3600 + 60);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		CHECK(hours_zone_parse(wrong[i], &zone) != 0);
	}
}

static bool is_holiday(const struct hours *hours, int64_t day)
{
	for (size_t i = 0; i < hours->holiday_count; i++) {
		if (hours->holidays[i].first <= day && day <= hours->holidays[i].last) {
			return true;
		}
	}
	return false;
}

/* The first Monday from 2026-01-05 on that neither a holiday nor the night of one reaches. */
TEST(a_plain_monday_is_behind_every_holiday)
{
	int32_t first = (int32_t)oracle_days(2025, 12, 1);

	for (int32_t last = first; last < first + 90; last++) {
		struct hours_holiday holidays[] = { { first - 400, first - 300 }, { first, last } };
		struct hours hours = {
			.zone_sec = 32400, .holidays = holidays, .holiday_count = 2
		};
		int64_t second = hours_plain_monday(&hours) / USEC + 32400, day = second / DAY;
		int64_t want = oracle_days(2026, 1, 5);

		CHECK(second % DAY == 0);
		while (is_holiday(&hours, want) || is_holiday(&hours, want - 1) || want <= last) {
			want += 7;
		}
		CHECK(oracle_weekday(day) == 0);
		CHECK(day == want);
	}
}

TEST(without_holidays_the_plain_week_is_the_first_of_2026)
{
	struct hours hours = { .zone_sec = -12600 };

	CHECK(hours_plain_monday(&hours) == (oracle_days(2026, 1, 5) * DAY + 12600) * USEC);
}

TEST(spans_of_the_plain_week_begin_each_once)
{
	struct hours_span spans[] = { { .from_min = 540, .length_min = 60, .days = 0x7f },
		{ .name = 1, .from_min = 1320, .length_min = 480, .days = 0x1f } };
	struct hours hours = { .zone_sec = 3600, .spans = spans, .span_count = 2 };
	int64_t monday = hours_plain_monday(&hours), usec = 0;

	for (size_t i = 0; i < 14; i++) {
		CHECK(hours_start_at(&hours, i, &usec));
		CHECK(usec ==
		        monday + ((int64_t)(i % 7) * DAY + spans[i / 7].from_min * 60LL) * USEC);
	}
	CHECK(!hours_start_at(&hours, 14, &usec));
	CHECK(!hours_start_at(&hours, 15, &usec));
}

TEST(before_1970_days_go_on)
{
	/* 1969-12-31 was a Wednesday. */
	struct hours_span spans[] = { { .from_min = 0, .length_min = 1439, .days = 1 << 2 } };
	struct hours hours = { .spans = spans, .span_count = 1 };
	int64_t usec = 0;

	CHECK(hours_within(&hours, 0, -61 * USEC, &usec) && usec == -60 * USEC);
	CHECK(hours_within(&hours, 0, -60 * USEC - 1, &usec) && usec == -60 * USEC);
	CHECK(!hours_within(&hours, 0, -60 * USEC, &usec));
	CHECK(usec == 6 * DAY * USEC);
	CHECK(!hours_within(&hours, 1, -61 * USEC, &usec) && usec == 0);
	/* So was 1969-12-24, and the day before it was none. */
	CHECK(hours_within(&hours, 0, -8 * DAY * USEC, &usec));
	CHECK(!hours_within(&hours, 0, -8 * DAY * USEC - 1, &usec) && usec == -8 * DAY * USEC);
	CHECK(hours_within(&hours, 0, -DAY * USEC, &usec));
	CHECK(!hours_within(&hours, 0, -DAY * USEC - 1, &usec) && usec == -DAY * USEC);
}

TEST(the_next_begin_is_looked_for_two_weeks_ahead)
{
	struct hours_span spans[] = {
		{ .from_min = 60, .length_min = 60, .days = 1, .except_holidays = true }
	};
	int32_t monday = (int32_t)oracle_days(2026, 1, 5);
	struct hours_holiday holidays[] = { { monday, monday + 7 } };
	struct hours hours = {
		.spans = spans, .span_count = 1, .holidays = holidays, .holiday_count = 1
	};
	int64_t usec = 0;

	CHECK(!hours_within(&hours, 0, monday * DAY * USEC, &usec));
	CHECK(usec == ((monday + 14) * DAY + 3600) * USEC);
	holidays[0].last = monday + 14;
	CHECK(!hours_within(&hours, 0, monday * DAY * USEC, &usec) && usec == 0);
}

TEST(holidays_are_sorted_and_joined)
{
	struct hours_holiday holidays[] = { { 30, 31 }, { 10, 20 }, { 12, 13 }, { 21, 22 },
		{ 24, 25 }, { 10, 11 } };
	struct hours hours = { .holidays = holidays, .holiday_count = 6 };

	hours_arrange(&hours);
	CHECK(hours.holiday_count == 3);
	CHECK(holidays[0].first == 10 && holidays[0].last == 22);
	CHECK(holidays[1].first == 24 && holidays[1].last == 25);
	CHECK(holidays[2].first == 30 && holidays[2].last == 31);
}

TEST_MAIN()
