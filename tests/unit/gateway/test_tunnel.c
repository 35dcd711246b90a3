/*
 * The tunnel machine, input by input: which actions come, and in which order. What happens when
 * everything goes wrong at once is for tests/sim.
 */
#include "tunnel_fixture.h"

TEST(opens_in_the_order_of_the_protocol)
{
	struct tunnel_view view;

	setup();
	CHECK_TEXT(give(&f.grant, 0), "record:epoch.raised record:grant.accepted load:1");
	setup();
	bring_up();
	view = tunnel_at(f.machine, 0);
	CHECK(view.state == TUNNEL_UP);
	CHECK(view.lease.mark == 4711 && view.lease.port == 104);
	/* At the responder both addresses of the key are service addresses. */
	CHECK(strcmp(ip_print(view.lease.source).text, "100.64.3.10") == 0);
	CHECK(strcmp(ip_print(view.lease.destination).text, "100.64.2.20") == 0);
	clean();
}

TEST(go_before_armed_starts_ike_when_armed)
{
	setup();
	give(&f.grant, 0);
	tunnel_go(f.machine, f.grant.id.text, at(0), &f.actions);
	CHECK_TEXT(take(), "");
	tunnel_loaded(f.machine, 1, true, "", at(0), &f.actions);
	CHECK(f.actions.items[0].type == TUNNEL_REPORT && f.actions.items[0].may_wait);
	CHECK_TEXT(
	        take(), "report:armed record:connection.armed record:connection.opening initiate");
	setup();
	f.grant.ike = GRANT_INITIATOR;
	give(&f.grant, 0);
	tunnel_loaded(f.machine, 1, true, "", at(0), &f.actions);
	CHECK(f.actions.items[0].type == TUNNEL_REPORT && !f.actions.items[0].may_wait);
	take();
	clean();
}

TEST(same_grant_again_is_only_reported_again)
{
	setup();
	bring_up();
	CHECK_TEXT(give(&f.grant, 2), "report:armed report:up");
	tunnel_go(f.machine, f.grant.id.text, at(2), &f.actions);
	CHECK_TEXT(take(), "report:armed report:up");
	CHECK(tunnel_count(f.machine) == 1);
	clean();
}

TEST(closes_filter_then_flows_then_sa)
{
	setup();
	bring_up();
	tunnel_cut(f.machine, f.grant.id.text, "center", "pressed", at(2), &f.actions);
	CHECK_TEXT(take(), "record:connection.cut close forget terminate-peer unload "
	                   "record:connection.closed report:closed");
	tunnel_cut(f.machine, f.grant.id.text, "center", "pressed", at(3), &f.actions);
	CHECK_TEXT(take(), "report:closed");
	CHECK_TEXT(give(&f.grant, 4), "record:grant.refused report:refused");
	CHECK_TEXT(f.reason, "the id was used before");
	clean();
}

TEST(shared_child_outlives_one_of_its_grants)
{
	struct grant second;

	setup();
	bring_up();
	second = f.grant;
	second.port = 11112;
	second.number = 4712;
	second.id.text[25] = '2';
	CHECK_TEXT(give(&second, 2), "record:grant.accepted load:1");
	tunnel_loaded(f.machine, 3, true, "", at(2), &f.actions);
	/* The SA is there: it opens at once. */
	CHECK_TEXT(take(), "report:armed record:connection.armed record:connection.opening open");
	tunnel_opened(f.machine, second.id.text, true, at(2), &f.actions);
	take();
	tunnel_cut(f.machine, f.grant.id.text, "local", "pressed", at(3), &f.actions);
	CHECK_TEXT(take(),
	        "record:connection.cut close forget record:connection.closed report:closed");
	tunnel_cut(f.machine, second.id.text, "local", "pressed", at(3), &f.actions);
	CHECK_TEXT(take(), "record:connection.cut close forget terminate-peer unload "
	                   "record:connection.closed report:closed");
	clean();
}

TEST(cut_before_its_grant_keeps_it_shut)
{
	setup();
	tunnel_cut(f.machine, f.grant.id.text, "center", "pressed", at(0), &f.actions);
	CHECK_TEXT(take(), "record:connection.cut report:closed");
	CHECK_TEXT(give(&f.grant, 1), "record:grant.refused report:refused");
	tunnel_machine_free(f.machine);
	begin("boot-1", 2); /* and over a restart */
	found_nothing(2);
	CHECK_TEXT(take(), "");
	CHECK_TEXT(give(&f.grant, 3), "record:grant.refused report:refused");
	clean();
}

/* Every condition of protocol.md 1.3 has a reason of its own, and a refusal changes nothing. */

TEST(refuses_with_a_distinct_reason_each)
{
	char reasons[40][256];
	size_t count = 0;

	for (int what = 0; what < 20; what++) {
		struct grant grant;
		int64_t sec = 0;

		setup();
		grant = f.grant;
		switch (what) {
		case 0:
			snprintf(grant.provider, sizeof(grant.provider), "other");
			break;
		case 1:
			snprintf(grant.responder.identity, sizeof(grant.responder.identity),
			        "gw-other.regional-vpn.sekisho.internal");
			break;
		case 2:
			snprintf(grant.responder.gateway, sizeof(grant.responder.gateway),
			        "gw-second");
			break;
		case 3:
			snprintf(grant.responder.serial, sizeof(grant.responder.serial), "0a02");
			break;
		case 4:
			tunnel_epoch(f.machine, 4, at(0), &f.actions);
			CHECK_TEXT(take(), "record:epoch.raised");
			break;
		case 5:
			grant.not_before += 120 * SEC;
			break;
		case 6:
			sec = 3600;
			break;
		case 7:
			grant.issued_at += 61 * SEC;
			break;
		case 8:
			sec = 200;
			break;
		case 9:
			grant.not_after += 4 * 3600 * SEC;
			break;
		case 10:
			grant.port = 3389;
			break;
		case 11:
			grant.responder.service = address("100.64.2.30");
			break;
		case 12:
			grant.initiator.service = address("100.64.2.99");
			break;
		case 13:
			grant.initiator.service = address("10.0.0.1");
			break;
		case 14:
			grant.initiator.service = address("100.64.4.10");
			break;
		case 15:
			f.untrusted = true;
			break;
		case 16:
			tunnel_charon(f.machine, false, at(0), &f.actions);
			break;
		case 17:
			tunnel_filter(f.machine, false, at(0), &f.actions);
			break;
		case 18:
			tunnel_policy_set(f.machine, f.provider, NULL, at(0), &f.actions);
			break;
		default:
			tunnel_policy_set(f.machine, NULL, f.site, at(0), &f.actions);
		}
		CHECK_TEXT(give(&grant, sec), "record:grant.refused report:refused");
		CHECK(tunnel_count(f.machine) == 0);
		for (size_t i = 0; i < count; i++) {
			CHECK(strcmp(reasons[i], f.reason) != 0);
		}
		memcpy(reasons[count++], f.reason, sizeof(f.reason));
	}
	clean();
}

TEST(numbers_keys_and_peers_are_not_shared)
{
	struct grant other;

	setup();
	bring_up();
	other = f.grant;
	other.id.text[25] = '2';
	CHECK_TEXT(give(&other, 2), "record:grant.refused report:refused");
	CHECK_TEXT(f.reason, "number 4711 is in use");
	other.number = 9;
	CHECK_TEXT(give(&other, 2), "record:grant.refused report:refused");
	CHECK(strstr(f.reason, "same hosts, protocol and port"));
	other.port = 11112;
	snprintf(other.initiator.identity, sizeof(other.initiator.identity),
	        "gw-false.regional-vpn.sekisho.internal");
	CHECK_TEXT(give(&other, 2), "record:grant.refused report:refused");
	CHECK(strstr(f.reason, "another identity"));
	snprintf(other.initiator.gateway, sizeof(other.initiator.gateway), "gw-false");
	CHECK_TEXT(give(&other, 2), "record:grant.refused report:refused");
	CHECK(strstr(f.reason, "over gateway gw-maker"));
	/* A different grant under a live id: the live one is not spoken of. */
	other = f.grant;
	other.port = 11112;
	CHECK_TEXT(give(&other, 2), "record:grant.refused");
	clean();
}

TEST(forged_seal_leaves_a_record_only)
{
	struct tunnel_offer nonsense = { .sealed = "nonsense", .sealed_bytes = 8 };

	setup();
	tunnel_grant(f.machine, &nonsense, at(0), &f.actions);
	CHECK_TEXT(take(), "record:grant.refused");
	tunnel_lease(f.machine, "nonsense", 8, at(0), &f.actions);
	CHECK_TEXT(take(), "record:lease.refused");
	clean();
}

/* The certificate that charon is to accept, in every load among the actions. */
static void check_pinned(const char *certificate)
{
	size_t loads = 0;

	for (size_t i = 0; i < f.actions.count; i++) {
		const struct tunnel_action *action = &f.actions.items[i];

		if (action->type == TUNNEL_PEER_LOAD) {
			loads++;
			CHECK(action->peer->certificate_bytes == strlen(certificate));
			CHECK(memcmp(action->peer->certificate, certificate, strlen(certificate)) ==
			        0);
		}
	}
	CHECK(loads > 0);
}

TEST(only_the_certificate_that_the_grant_names_is_taken)
{
	static uint8_t large[SERVICE_CERT_DER_BYTES_MAX + 1];

	setup();
	CHECK_TEXT(give_with(&f.grant, "0b00", 4, 0), "record:grant.refused report:refused");
	CHECK_TEXT(f.reason, "the grant names another one");
	CHECK_TEXT(give_with(&f.grant, NULL, 0, 0), "record:grant.refused report:refused");
	CHECK_TEXT(give_with(&f.grant, large, sizeof(large), 0),
	        "record:grant.refused report:refused");
	CHECK(strstr(f.reason, "3072 bytes"));
	CHECK(tunnel_count(f.machine) == 0);
	CHECK_TEXT(give(&f.grant, 0), "record:epoch.raised record:grant.accepted load:1");
	/* The live grant once more, beside another certificate: the first one stays. */
	CHECK_TEXT(give_with(&f.grant, "0b00", 4, 0), "");
	tunnel_charon(f.machine, false, at(1), &f.actions);
	tunnel_charon(f.machine, true, at(1), &f.actions);
	check_pinned("0b01");
	clean();
}

TEST(the_newest_grant_says_which_certificate_and_a_restart_keeps_it)
{
	struct grant second;

	setup();
	give(&f.grant, 0);
	second = f.grant;
	second.port = 11112;
	second.number = 4712;
	second.id.text[25] = '2';
	snprintf(second.initiator.serial, sizeof(second.initiator.serial), "0b02");
	CHECK_TEXT(give(&second, 1), "record:grant.accepted load:1");
	f.machine = tunnel_machine_free(f.machine);
	begin("boot-1", 2);
	found_nothing(2);
	check_pinned("0b02");
	clean();
}

TEST(lease_is_renewed_for_what_is_left_of_it)
{
	setup();
	bring_up();
	CHECK_TEXT(give_lease(1, 10, 60, 20), "renewed");
	CHECK(f.actions.items[1].ttl_msec == 50000); /* ten seconds old */
	CHECK_TEXT(take(), "record:lease.renewed renew");
	CHECK_TEXT(give_lease(1, 21, 60, 21), "record:lease.refused"); /* the same seq */
	CHECK_TEXT(give_lease(2, 22, 300, 22), "renewed");
	CHECK(f.actions.items[1].ttl_msec == 60000); /* at most the grant's lease */
	take();
	CHECK_TEXT(give_lease(3, 100, 60, 23), "record:lease.refused"); /* from the future */
	CHECK(tunnel_next(f.machine) == MONO + 82 * SEC);
	tunnel_tick(f.machine, at(81), &f.actions);
	CHECK_TEXT(take(), "");
	CHECK_TEXT(give_lease(4, 82, 60, 82), "record:lease.refused"); /* it has run out */
	tunnel_tick(f.machine, at(82), &f.actions);
	CHECK_TEXT(take(), "record:lease.expired close forget terminate-peer unload "
	                   "record:connection.closed report:closed");
	clean();
}

TEST(wall_clock_does_not_make_a_grant_longer)
{
	struct moment back = { WALL - 86400 * SEC, MONO + 3600 * SEC };

	setup();
	bring_up();
	for (uint64_t i = 1; i < 70; i++) {
		int64_t sec = (int64_t)i * 50;

		CHECK_TEXT(give_lease(i, sec, 60, sec), "renewed");
		CHECK(f.actions.items[1].ttl_msec == 60000);
		take();
	}
	CHECK_TEXT(give_lease(99, 3580, 60, 3500), "record:lease.refused");
	CHECK_TEXT(give_lease(100, 3500, 60, 3500), "renewed");
	take();
	CHECK_TEXT(give_lease(101, 3560, 60, 3559), "renewed");
	CHECK(f.actions.items[1].ttl_msec == 41000); /* to the end of the grant, not 60 s */
	take();
	tunnel_tick(f.machine, back, &f.actions);
	CHECK_TEXT(take(), "record:connection.expired close forget terminate-peer unload "
	                   "record:connection.closed report:closed");
	clean();
}

TEST(epoch_never_goes_back)
{
	setup();
	bring_up();
	tunnel_epoch(f.machine, 7, at(2), &f.actions);
	CHECK_TEXT(take(), "record:epoch.raised record:connection.cut close forget terminate-peer "
	                   "unload record:connection.closed report:closed");
	tunnel_epoch(f.machine, 6, at(2), &f.actions);
	CHECK_TEXT(take(), "record:request.refused");
	tunnel_machine_free(f.machine);
	begin("boot-1", 3);
	found_nothing(3);
	CHECK(tunnel_epoch_highest(f.machine) == 7);
	clean();
}

TEST(policy_and_trust_end_live_connections)
{
	setup();
	bring_up();
	tunnel_policy_set(f.machine, f.provider, f.closed, at(2), &f.actions);
	CHECK_TEXT(take(), "record:connection.cut close forget terminate-peer unload "
	                   "record:connection.closed report:closed");
	setup();
	bring_up();
	tunnel_trust_changed(f.machine, at(2), &f.actions);
	CHECK_TEXT(take(), "");
	f.untrusted = true;
	tunnel_trust_changed(f.machine, at(2), &f.actions);
	CHECK_TEXT(take(), "record:connection.cut close forget terminate-peer unload "
	                   "record:connection.closed report:closed");
	clean();
}

TEST(never_up_is_given_up)
{
	setup();
	give(&f.grant, 0);
	tunnel_loaded(f.machine, 1, false, "no such token", at(0), &f.actions);
	CHECK_TEXT(take(), "");
	tunnel_tick(f.machine, at(1), &f.actions);
	CHECK_TEXT(take(), "load:1");
	tunnel_tick(f.machine, at(60), &f.actions);
	CHECK_TEXT(take(), "record:connection.cut terminate-peer unload record:connection.closed "
	                   "report:closed");
	CHECK_TEXT(f.reason, "not up within 60 s: no such token");
	clean();
}

TEST_MAIN()
