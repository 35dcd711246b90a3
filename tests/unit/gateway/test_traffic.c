/* When a gateway asks for what a first packet wants (protocol.md 3.1), and when it does not. */
#include "../check.h"

#include <netinet/in.h>
#include <string.h>

#include "base/clock.h"
#include "gateway/traffic.h"

#define SEC USEC_PER_SEC

static struct nft_lease tuple(uint8_t host, uint8_t other, uint16_t port)
{
	uint8_t source[4] = { 192, 168, 1, host }, destination[4] = { 100, 64, 2, other };

	return (struct nft_lease){ .source = ip_make(IP_V4, source),
		.destination = ip_make(IP_V4, destination),
		.protocol = IPPROTO_TCP,
		.port = port };
}

static uint32_t asked(struct traffic *traffic, struct nft_lease what, int64_t now)
{
	uint32_t tag = 0;

	return traffic_seen(traffic, &what, now, &tag) ? tag : 0;
}

static bool answer(struct traffic *traffic, uint32_t tag, enum traffic_answer answer, int64_t now)
{
	struct nft_lease found;

	return traffic_answered(traffic, tag, answer, "because", now, &found);
}

TEST(a_tuple_is_asked_for_once)
{
	AUTO(traffic) struct traffic *traffic = traffic_new();
	struct nft_lease what = tuple(10, 40, 7), other = tuple(10, 40, 8);
	struct traffic_view view;
	uint32_t tag = asked(traffic, what, 1);

	CHECK(tag != 0);
	CHECK(asked(traffic, what, 2) == 0 && asked(traffic, what, 20 * SEC) == 0);
	CHECK(asked(traffic, other, 2) != 0);
	CHECK(traffic_count(traffic) == 2);
	view = traffic_at(traffic, 0);
	CHECK(view.asking && view.tuple.port == 7);
	/* Another protocol or address is another tuple. */
	what.protocol = IPPROTO_UDP;
	CHECK(asked(traffic, what, 3) != 0);
	CHECK(asked(traffic, tuple(11, 40, 7), 3) != 0);
}

TEST(a_refusal_is_not_asked_about_again_for_longer_and_longer)
{
	AUTO(traffic) struct traffic *traffic = traffic_new();
	struct nft_lease what = tuple(10, 40, 7), found;
	int64_t now = 1, waits[] = { 30, 60, 120, 240, 480, 900, 900 };
	struct traffic_view view;

	for (size_t i = 0; i < ARRAY_COUNT(waits); i++) {
		uint32_t tag = asked(traffic, what, now);

		CHECK(tag != 0);
		CHECK(traffic_answered(
		        traffic, tag, TRAFFIC_REFUSED, "it has cut it", now, &found));
		CHECK(found.port == 7 && ip_equal(found.source, what.source));
		view = traffic_at(traffic, 0);
		CHECK(!view.asking && view.answer == TRAFFIC_REFUSED);
		CHECK_TEXT(view.reason, "it has cut it");
		CHECK(view.next_usec == now + waits[i] * SEC);
		CHECK(asked(traffic, what, now + waits[i] * SEC - 1) == 0);
		now += waits[i] * SEC;
	}
	/* Long after the last one nothing of it is known. */
	now += 3 * TRAFFIC_BACK_OFF_SEC_MAX * SEC;
	CHECK(asked(traffic, tuple(11, 40, 7), now) != 0);
	CHECK(traffic_count(traffic) == 1);
}

TEST(granted_is_not_up)
{
	AUTO(traffic) struct traffic *traffic = traffic_new();
	struct nft_lease what = tuple(10, 40, 7);

	CHECK(answer(traffic, asked(traffic, what, 1), TRAFFIC_GRANTED, 2));
	CHECK(asked(traffic, what, 3) == 0);
	CHECK(answer(traffic, asked(traffic, what, 31 * SEC), TRAFFIC_GRANTED, 31 * SEC));
	CHECK(asked(traffic, what, 90 * SEC) == 0); /* the other gateway does not open */
	/* Up: when it has ended it may be asked for at once. */
	traffic_opened(traffic, &what);
	CHECK(traffic_count(traffic) == 0);
	CHECK(asked(traffic, what, 90 * SEC) != 0);
	/* A question that is open stays so. */
	traffic_opened(traffic, &what);
	CHECK(traffic_count(traffic) == 1);
}

TEST(what_nobody_decided_is_asked_again_soon)
{
	AUTO(traffic) struct traffic *traffic = traffic_new();
	struct nft_lease what = tuple(10, 40, 7);
	int64_t now = 1;

	for (int i = 0; i < 50; i++) {
		CHECK(answer(traffic, asked(traffic, what, now), TRAFFIC_LATER, now));
		CHECK(asked(traffic, what, now + TRAFFIC_LATER_SEC * SEC - 1) == 0);
		now += TRAFFIC_LATER_SEC * SEC;
	}
	/* An answer that got lost. */
	CHECK(asked(traffic, what, now) != 0);
	CHECK(asked(traffic, what, now + TRAFFIC_ANSWER_SEC_MAX * SEC - 1) == 0);
	CHECK(asked(traffic, what, now + TRAFFIC_ANSWER_SEC_MAX * SEC) != 0);
}

TEST(an_answer_that_nobody_waits_for_changes_nothing)
{
	AUTO(traffic) struct traffic *traffic = traffic_new();
	struct nft_lease what = tuple(10, 40, 7);
	uint32_t tag = asked(traffic, what, 1);

	CHECK(!answer(traffic, 0, TRAFFIC_GRANTED, 2) &&
	        !answer(traffic, tag + 1, TRAFFIC_GRANTED, 2));
	CHECK(traffic_at(traffic, 0).asking);
	CHECK(answer(traffic, tag, TRAFFIC_REFUSED, 2) &&
	        !answer(traffic, tag, TRAFFIC_GRANTED, 2));
	CHECK(traffic_at(traffic, 0).answer == TRAFFIC_REFUSED);
}

/* One host that scans: five questions, then one a minute; others are asked for all the same. */
TEST(a_scan_makes_a_handful_of_questions)
{
	AUTO(traffic) struct traffic *traffic = traffic_new();
	int64_t now = SEC;
	int questions = 0;

	for (int second = 0; second < 600; second++, now += SEC) {
		for (int i = 0; i < 32; i++) {
			uint32_t tag = asked(traffic,
			        tuple(66, (uint8_t)(i + 32 * (second % 8)), (uint16_t)(second + 1)),
			        now);

			questions += tag != 0;
			CHECK(tag == 0 || answer(traffic, tag, TRAFFIC_REFUSED, now));
		}
		if (second == 58) {
			CHECK(questions == TRAFFIC_REFUSALS_PER_HOST_MAX);
		}
	}
	CHECK(questions >= 13 && questions <= TRAFFIC_REFUSALS_PER_HOST_MAX + 10);
	CHECK(traffic_count(traffic) <= TRAFFIC_TUPLES_PER_HOST_MAX);
	CHECK(asked(traffic, tuple(10, 40, 7), now) != 0);
}

/* While the center does not answer. */
TEST(open_questions_are_few)
{
	AUTO(traffic) struct traffic *traffic = traffic_new();
	int of_one = 0, questions = 0;

	for (int i = 1; i < 200; i++) {
		of_one += asked(traffic, tuple(66, (uint8_t)i, 7), 1) != 0;
	}
	CHECK(of_one == TRAFFIC_REFUSALS_PER_HOST_MAX);
	for (int i = 1; i < 60; i++) {
		questions += asked(traffic, tuple((uint8_t)i, 40, 7), 1) != 0;
	}
	CHECK(of_one + questions == TRAFFIC_OPEN_MAX);
}

TEST(memory_has_an_end)
{
	AUTO(traffic) struct traffic *traffic = traffic_new();
	int64_t now = 1;
	int kept = 0;

	for (int host = 0; host < 256; host++) {
		for (int i = 0; i < TRAFFIC_REFUSALS_PER_HOST_MAX; i++, now++) {
			uint32_t tag =
			        asked(traffic, tuple((uint8_t)host, 40, (uint16_t)(i + 1)), now);

			kept += tag != 0;
			CHECK(tag == 0 || answer(traffic, tag, TRAFFIC_REFUSED, now));
		}
	}
	CHECK(kept == TRAFFIC_TUPLES_MAX && traffic_count(traffic) == TRAFFIC_TUPLES_MAX);
	/* What opened makes room for who comes. */
	for (int host = 0; host < 256; host++) {
		struct nft_lease gone = tuple((uint8_t)host, 40, 1);

		traffic_opened(traffic, &gone);
	}
	CHECK(traffic_count(traffic) < TRAFFIC_TUPLES_MAX);
}

/* A host that has its connections is not slowed down by them. */
TEST(many_servers_are_no_scan)
{
	AUTO(traffic) struct traffic *traffic = traffic_new();

	for (int i = 1; i < 250; i++) {
		struct nft_lease what = tuple(10, (uint8_t)i, 7);

		CHECK(answer(traffic, asked(traffic, what, i), TRAFFIC_GRANTED, i));
		traffic_opened(traffic, &what);
	}
	CHECK(traffic_count(traffic) == 0);
}

TEST_MAIN()
