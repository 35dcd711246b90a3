#include "../check.h"

#include <stdlib.h>
#include <string.h>

#include "center/config.h"
#include "center/message.h"
#include "center/names.h"
#include "center/procedure.h"
#include "center/refusals.h"
#include "center/roles.h"

TEST(steps_c_to_l_need_all_before_them)
{
	for (int step = PROCEDURE_REGISTER; step < PROCEDURE_STEP_COUNT; step++) {
		uint64_t before = PROCEDURE_BIT(step) - 1;

		CHECK(procedure_check(before, (enum procedure_step)step, NULL) == 0);
		for (int missing = 0; missing < step; missing++) {
			struct err err = { 0 };
			char text[32];

			CHECK(procedure_check(before & ~PROCEDURE_BIT(missing),
			              (enum procedure_step)step, &err) == PROCEDURE_OUT_OF_ORDER);
			snprintf(text, sizeof(text), "needs step %c ", 'a' + missing);
			CHECK(strstr(err.text, text) != NULL);
		}
	}
}

TEST(steps_a_and_b_come_in_either_order)
{
	struct err err = { 0 };

	CHECK(procedure_check(0, PROCEDURE_JOIN, NULL) == 0);
	CHECK(procedure_check(0, PROCEDURE_PURCHASE, NULL) == 0);
	CHECK(procedure_check(PROCEDURE_BIT(PROCEDURE_PURCHASE), PROCEDURE_JOIN, NULL) == 0);
	CHECK(procedure_check(PROCEDURE_BIT(PROCEDURE_PURCHASE), PROCEDURE_REGISTER, &err) ==
	        PROCEDURE_OUT_OF_ORDER);
	CHECK(strstr(err.text, "step a") != NULL);
}

TEST(a_step_is_done_once)
{
	CHECK(procedure_check(0x7, PROCEDURE_REGISTER, NULL) == PROCEDURE_DONE_ALREADY);
	CHECK(procedure_letter(PROCEDURE_SERVICE) == 'l');
}

TEST(roles_are_read_strictly)
{
	struct roles roles;
	struct err err = { 0 };

	CHECK(roles_parse("site:core-hospital auditor", &roles, &err) == 0);
	CHECK(roles_any(&roles, ROLE_AUDITOR) && !roles_any(&roles, ROLE_PROVIDER | ROLE_MAKER));
	CHECK(roles_of_site(&roles, "core-hospital"));
	CHECK(!roles_of_site(&roles, "core-hospital-2") && !roles_of_site(&roles, "core"));
	CHECK(!roles_of_maker(&roles, "core-hospital"));
	CHECK_TEXT(roles_name(&roles, ROLE_SITE), "core-hospital");
	CHECK(roles_parse("", &roles, &err) == 1);
	CHECK(roles_parse("site", &roles, &err) == 1);
	CHECK(roles_parse("site:", &roles, &err) == 1);
	CHECK(roles_parse("site:Core", &roles, &err) == 1);
	CHECK(roles_parse("provider ", &roles, &err) == 1);
	CHECK(roles_parse("Provider", &roles, &err) == 1);
	CHECK(strstr(err.text, "\"Provider\"") != NULL);
	CHECK(roles_parse("site:a site:b", &roles, &err) == 0 && !roles_name(&roles, ROLE_SITE));
	CHECK(roles_of_site(&roles, "a") && roles_of_site(&roles, "b"));
	CHECK(roles_parse("auditor auditor auditor auditor auditor auditor auditor auditor auditor",
	              &roles, &err) == 1);
}

TEST(the_provider_acts_for_all)
{
	struct roles roles;
	struct err err;

	CHECK(roles_parse("provider", &roles, &err) == 0);
	CHECK(roles_of_site(&roles, "any") && roles_of_maker(&roles, "any"));
}

struct flushed {
	uint64_t count;
	int calls;
	char source[REFUSALS_SOURCE_BYTES_MAX + 1];
};

static void take_flushed(void *context, const char *source, uint64_t count)
{
	struct flushed *flushed = context;

	flushed->count += count;
	flushed->calls++;
	snprintf(flushed->source, sizeof(flushed->source), "%s", source);
}

TEST(the_first_ten_refusals_are_told_apart)
{
	AUTO(refusals) struct refusals *refusals = refusals_new();
	struct flushed flushed = { 0 };
	int told = 0;

	for (int i = 0; i < 1000; i++) {
		told += refusals_count(refusals, "192.0.2.7", i);
	}
	CHECK(told == 10);
	CHECK(refusals_count(refusals, "192.0.2.8", 1000)); /* another source has its own ten */
	refusals_flush(refusals, REFUSALS_WINDOW_USEC - 1, false, take_flushed, &flushed);
	CHECK(flushed.calls == 0);
	refusals_flush(refusals, REFUSALS_WINDOW_USEC + 1, false, take_flushed, &flushed);
	CHECK(flushed.calls == 1 && flushed.count == 990);
	CHECK_TEXT(flushed.source, "192.0.2.7");
	CHECK(refusals_count(refusals, "192.0.2.7", REFUSALS_WINDOW_USEC + 2)); /* a new minute */
}

TEST(no_refusal_is_lost_however_many_sources)
{
	AUTO(refusals) struct refusals *refusals = refusals_new();
	struct flushed flushed = { 0 };
	uint64_t told = 0;

	for (int source = 0; source < 2 * REFUSALS_SOURCES_MAX; source++) {
		for (int i = 0; i < 12; i++) {
			char name[32];

			snprintf(name, sizeof(name), "source-%d", source);
			told += refusals_count(refusals, name, 0);
		}
	}
	refusals_flush(refusals, 0, true, take_flushed, &flushed);
	CHECK(told + flushed.count == 2 * REFUSALS_SOURCES_MAX * 12);
	CHECK(told <= (REFUSALS_SOURCES_MAX + 1) * 10);
}

TEST(names_survive_growth_and_removal)
{
	AUTO(names) struct names *names = names_new();
	static int values[5000];
	void *both[2];
	char name[32];

	for (int i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "gw-%d", i);
		CHECK(names_put(names, name, &values[i]) == NULL);
	}
	for (int i = 0; i < 5000; i += 2) {
		snprintf(name, sizeof(name), "gw-%d", i);
		CHECK(names_remove(names, name) == &values[i]);
	}
	CHECK(names_count(names) == 2500);
	for (int i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "gw-%d", i);
		CHECK(names_get(names, name) == (i % 2 ? &values[i] : NULL));
		names_want(names, name);
		names_get_both(names, (const char *const[]){ name, "absent" }, both);
		CHECK(both[0] == (i % 2 ? &values[i] : NULL) && both[1] == NULL);
	}
	CHECK(names_put(names, "gw-1", &values[0]) == &values[1] && names_count(names) == 2500);
	CHECK(names_remove(names, "nobody") == NULL);
}

TEST(requests_come_back_as_they_were)
{
	struct request request = { .listener = LISTENER_DEVICE,
		.method = "GET",
		.path = "/x",
		.query_count = 1,
		.query = { { "a", "b" } },
		.authorization = "",
		.content_type = "t",
		.device_information = NULL,
		.peer_address = "192.0.2.1",
		.peer_port = 4711,
		.chain_count = 1,
		.chain = { { (const uint8_t *)"\0\1", 2 } },
		.body = (const uint8_t *)"{}",
		.body_bytes = 2 };
	AUTO_BUF struct buf frame = BUF(4096);
	struct request back;

	request_pack(&request, &frame);
	CHECK(request_unpack(frame.bytes, frame.count, &back) == 0);
	CHECK_TEXT(back.path, "/x");
	CHECK_TEXT(back.device_information, "");
	CHECK_TEXT(request_query(&back, "a"), "b");
	CHECK(!request_query(&back, "b"));
	CHECK(back.peer_port == 4711 && back.chain[0].bytes == 2 && back.body_bytes == 2);
	for (size_t count = 0; count < frame.count; count++) {
		CHECK(request_unpack(frame.bytes, count, &back) == 1);
	}
	buf_add_u8(&frame, 0);
	CHECK(request_unpack(frame.bytes, frame.count, &back) == 1);
	frame.bytes[0] = LISTENER_COUNT;
	CHECK(request_unpack(frame.bytes, frame.count - 1, &back) == 1);
}

TEST(listener_addresses)
{
	char address[64];
	uint16_t port;

	CHECK(center_config_address("192.0.2.1:8443", address, sizeof(address), &port) == 0);
	CHECK_TEXT(address, "192.0.2.1");
	CHECK(port == 8443);
	CHECK(center_config_address("[2001:db8::1]:1", address, sizeof(address), &port) == 0);
	CHECK_TEXT(address, "2001:db8::1");
	CHECK(center_config_address("192.0.2.1", address, sizeof(address), &port) == 1);
	CHECK(center_config_address(":80", address, sizeof(address), &port) == 1);
	CHECK(center_config_address("a:0", address, sizeof(address), &port) == 1);
	CHECK(center_config_address("a:65536", address, sizeof(address), &port) == 1);
}

TEST_MAIN()
