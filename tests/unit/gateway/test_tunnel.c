/*
 * The tunnel machine, input by input: which actions come, and in which order. What happens when
 * everything goes wrong at once is for tests/sim.
 */
#include "../check.h"

#include <arpa/inet.h>
#include <stdlib.h>

#include "base/buf.h"
#include "gateway/tunnel.h"
#include "model/approval.h"
#include "model/lease.h"
#include "wire/json.h"

#define SEC USEC_PER_SEC
#define WALL (1800000000LL * SEC)
#define MONO (5000LL * SEC)

static struct moment at(int64_t sec)
{
	return (struct moment){ WALL + sec * SEC, MONO + sec * SEC };
}

/* --- the gateway under test: the hospital's, which has the CT scanner ---- */

static const char provider_text[] =
        "sekisho provider-policy 1\nprovider regional-vpn\nversion 4\npool 100.64.0.0/10\n"
        "site core-hospital prefix 100.64.2.0/24\nsite device-maker prefix 100.64.3.0/24\n"
        "site clinic prefix 100.64.4.0/24\n"
        "class remote-maintenance duration 12h lease 60s\nclass mail duration 1h\n"
        "group a sites core-hospital device-maker clinic classes remote-maintenance mail\n";
static const char site_text[] =
        "sekisho site-policy 1\nsite core-hospital\nversion 9\n"
        "host ct address 192.168.10.20 service 100.64.2.20\n"
        "host console address 192.168.10.30 service 100.64.2.30\n"
        "allow ct from device-maker/terminal to ct class remote-maintenance"
        " protocol tcp port 104,11112 duration 12h lease 60s approval standing factor one\n"
        "allow clinic from clinic/terminal to ct class remote-maintenance protocol tcp port 104"
        " duration 12h approval standing factor one\n";
static const char closed_text[] =
        "sekisho site-policy 1\nsite core-hospital\nversion 10\n"
        "host ct address 192.168.10.20 service 100.64.2.20\n"
        "allow ct from device-maker/terminal to ct class mail protocol tcp port 25\n";

struct fixture {
	struct tunnel_machine *machine;
	struct tunnel_actions actions;
	struct provider_policy *provider;
	struct site_policy *site, *closed;
	bool untrusted;
	struct grant grant;
	struct buf journal; /* records, each followed by a line end */
	char trace[2048];
	char reason[256]; /* of the last record that has one */
};

static struct fixture f;

static int open_seal(void *context, const char *provider, const char *typ, const char *sealed,
        size_t count, int64_t wall_usec, struct buf *payload, struct err *err)
{
	size_t typ_count = strlen(typ);

	if (count < typ_count || strncmp(sealed, typ, typ_count) != 0) {
		return err_set(err, 1, "forged");
	}
	buf_add(payload, sealed + typ_count, count - typ_count);
	return 0;
}

static int check_trust(void *context, const struct grant *grant, int64_t wall_usec, struct err *err)
{
	return f.untrusted ? err_set(err, 1, "the service CA is not accredited") : 0;
}

/* The stand-in of a certificate is its serial. */
static int check_peer(void *context, const struct grant_end *peer, const uint8_t *der, size_t count,
        int64_t wall_usec, struct err *err)
{
	return count == strlen(peer->serial) && memcmp(der, peer->serial, count) == 0
	               ? 0
	               : err_set(err, 1, "the grant names another one");
}

/* The stand-in of a seal: the key, a colon, the payload. */
static int open_approval(void *context, const struct site_policy *site, const char *sealed,
        struct buf *payload, struct policy_approver *ret_approver, struct err *err)
{
	size_t key_count = strcspn(sealed, ":");

	for (size_t i = 0; i < site_policy_approver_count(site); i++) {
		site_policy_approver_at(site, i, ret_approver);
		if (strlen(ret_approver->spki) == key_count &&
		        strncmp(ret_approver->spki, sealed, key_count) == 0) {
			buf_add_text(payload, sealed + key_count + 1);
			return 0;
		}
	}
	return err_set(err, 1, "mallory is none");
}

static struct tunnel_machine *machine_new(const char *boot)
{
	struct tunnel_config config = {
		.provider = "regional-vpn",
		.site = "core-hospital",
		.gateway = "gw-core",
		.identity = "gw-core.regional-vpn.sekisho.internal",
		.serial = "0a01",
		.boot = boot,
		.grant_sec_max = 4 * 3600,
		.trust = { .seal_open = open_seal,
		        .grant_check = check_trust,
		        .peer_check = check_peer,
		        .approval_open = open_approval },
	};

	return tunnel_machine_new(&config);
}

/* Takes the actions out of the list: names to f.trace, records to f.journal. */
static const char *take(void)
{
	static const char *const names[] = { "record", "load", "initiate", "open", "renew", "close",
		"forget", "terminate", "terminate-peer", "unload", "report" };
	AUTO_BUF struct buf out = BUF(sizeof(f.trace) - 1);

	for (size_t i = 0; i < f.actions.count; i++) {
		const struct tunnel_action *action = &f.actions.items[i];

		buf_add_format(&out, "%s%s", i ? " " : "", names[action->type]);
		if (action->type == TUNNEL_RECORD) {
			AUTO_JSON json_t *root = NULL;
			const char *reason;

			buf_add_format(&out, ":%s", action->kind);
			buf_add(&f.journal, action->record.bytes, action->record.count);
			buf_add_text(&f.journal, "\n");
			CHECK(json_parse(action->record.bytes, action->record.count, &root, NULL) ==
			        0);
			reason = json_string_value(
			        json_object_get(json_object_get(root, "data"), "reason"));
			snprintf(f.reason, sizeof(f.reason), "%s", reason ? reason : "");
		} else if (action->type == TUNNEL_REPORT) {
			buf_add_format(&out, ":%s", tunnel_report_name(action->report));
		} else if (action->type == TUNNEL_PEER_LOAD) {
			buf_add_format(&out, ":%zu", action->peer->child_count);
		}
	}
	snprintf(f.trace, sizeof(f.trace), "%s", buf_text(&out));
	tunnel_actions_reset(&f.actions);
	return f.trace;
}

static void clean(void)
{
	tunnel_machine_free(f.machine);
	tunnel_actions_clear(&f.actions);
	provider_policy_free(f.provider);
	site_policy_free(f.site);
	site_policy_free(f.closed);
	buf_clear(&f.journal);
	memset(&f, 0, sizeof(f));
}

static void found_nothing(int64_t sec)
{
	struct tunnel_found found = { .elements_known = true, .children_known = true };

	tunnel_reconcile(f.machine, &found, at(sec), &f.actions);
}

static void begin(const char *boot, int64_t sec)
{
	f.machine = machine_new(boot);
	for (char *line = f.journal.count ? (char *)f.journal.bytes : NULL; line && *line;) {
		char *end = strchr(line, '\n');

		CHECK(tunnel_recall(f.machine, line, (size_t)(end - line), NULL) == 0);
		line = end + 1;
	}
	tunnel_policy_set(f.machine, f.provider, f.site, at(sec), &f.actions);
	tunnel_charon(f.machine, true, at(sec), &f.actions);
	tunnel_filter(f.machine, true, at(sec), &f.actions);
	tunnel_start(f.machine, at(sec), &f.actions);
}

static struct address address(const char *text)
{
	struct address value;

	CHECK(address_parse(text, &value) == 0);
	return value;
}

static void setup(void)
{
	struct grant *grant = &f.grant;

	clean();
	f.journal = BUF(1 << 20);
	CHECK(provider_policy_parse(provider_text, strlen(provider_text), &f.provider, NULL) == 0);
	CHECK(site_policy_parse(site_text, strlen(site_text), &f.site, NULL) == 0);
	CHECK(site_policy_parse(closed_text, strlen(closed_text), &f.closed, NULL) == 0);
	begin("boot-1", 0);
	found_nothing(0);
	CHECK_TEXT(take(), "");
	*grant = (struct grant){
		.id = { "01HF7Z9MB80000000000000001" },
		.number = 4711,
		.provider = "regional-vpn",
		.epoch = 3,
		.class = SERVICE_REMOTE_MAINTENANCE,
		.person = "suzuki",
		.initiator = { "device-maker", "gw-maker", "gw-maker.regional-vpn.sekisho.internal",
		        "0b01", address("192.0.2.2"), "terminal", address("100.64.3.10") },
		.responder = { "core-hospital", "gw-core", "gw-core.regional-vpn.sekisho.internal",
		        "0a01", address("192.0.2.3"), "ct", address("100.64.2.20") },
		.ike = GRANT_RESPONDER,
		.protocol = PROTOCOL_TCP,
		.port = 104,
		.issued_at = WALL,
		.not_before = WALL,
		.not_after = WALL + 3600 * SEC,
		.lease_sec = 60,
		.policy_provider = 4,
		.policy_initiator = 2,
		.policy_responder = 9,
	};
}

static const char *give_with(
        const struct grant *grant, const void *certificate, size_t count, int64_t sec)
{
	AUTO_BUF struct buf text = BUF(JWS_SMALL_BYTES_MAX);
	struct tunnel_offer offer = { .certificate = certificate, .certificate_bytes = count };

	buf_add_text(&text, "sekisho-grant");
	grant_print(grant, &text);
	offer.sealed = buf_text(&text);
	offer.sealed_bytes = text.count;
	tunnel_grant(f.machine, &offer, at(sec), &f.actions);
	return take();
}

static const char *give(const struct grant *grant, int64_t sec)
{
	const struct grant_end *peer = strcmp(grant->initiator.gateway, "gw-core") == 0
	                                       ? &grant->responder
	                                       : &grant->initiator;

	return give_with(grant, peer->serial, strlen(peer->serial), sec);
}

static const char *give_lease(uint64_t seq, int64_t issued_sec, uint32_t ttl_sec, int64_t sec)
{
	struct lease lease = { .grant = f.grant.id,
		.provider = "regional-vpn",
		.epoch = 3,
		.seq = seq,
		.issued_at = WALL + issued_sec * SEC,
		.ttl_sec = ttl_sec };
	AUTO_BUF struct buf text = BUF(JWS_SMALL_BYTES_MAX);

	buf_add_text(&text, "sekisho-lease");
	lease_print(&lease, &text);
	tunnel_lease(f.machine, buf_text(&text), text.count, at(sec), &f.actions);
	return f.actions.count > 1 && f.actions.items[1].type == TUNNEL_LEASE_RENEW ? "renewed"
	                                                                            : take();
}

static const char child_name[] = "c64400214-6440030a";

/* All the way to UP at 1 s; the lease runs to 61 s. */
static void bring_up(void)
{
	uint32_t tag;

	give(&f.grant, 0);
	tunnel_loaded(f.machine, 1, true, "", at(0), &f.actions);
	CHECK_TEXT(take(), "report:armed record:connection.armed record:connection.opening");
	tunnel_go(f.machine, f.grant.id.text, at(0), &f.actions);
	CHECK(f.actions.count == 1 && f.actions.items[0].type == TUNNEL_CHILD_INITIATE);
	tag = f.actions.items[0].tag;
	CHECK_TEXT(take(), "initiate");
	tunnel_initiated(f.machine, tag, true, "", at(1), &f.actions);
	CHECK_TEXT(take(), "");
	tunnel_child(f.machine, "gw-maker", child_name, true, at(1), &f.actions);
	CHECK(f.actions.count == 1 && f.actions.items[0].ttl_msec == 60000);
	CHECK_TEXT(take(), "open"); /* what it opens is on disk since it was armed */
	tunnel_opened(f.machine, f.grant.id.text, true, at(1), &f.actions);
	CHECK_TEXT(take(), "record:connection.up report:up");
}

/* --- tests --------------------------------------------------------------- */

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

TEST(restart_adopts_what_runs_and_removes_what_nobody_knows)
{
	struct tunnel_found_element elements[2];
	struct tunnel_found_child children[2] = { { "gw-maker", child_name }, { "gw-x", "c1" } };
	struct tunnel_found found = { elements, 2, true, children, 2, true };

	setup();
	bring_up();
	elements[0] = (struct tunnel_found_element){ .lease = tunnel_at(f.machine, 0).lease,
		.left_msec = 30000 };
	elements[1] = elements[0];
	elements[1].lease.port = 22;
	elements[1].lease.mark = 99;
	tunnel_machine_free(f.machine);
	begin("boot-1", 30);
	CHECK_TEXT(take(), "load:1");
	CHECK(tunnel_at(f.machine, 0).state == TUNNEL_NONE);
	tunnel_reconcile(f.machine, &found, at(30), &f.actions);
	CHECK_TEXT(take(), "record:gateway.repaired close forget record:gateway.repaired "
	                   "terminate-peer unload report:armed report:up load:1");
	CHECK(tunnel_at(f.machine, 0).state == TUNNEL_UP);
	CHECK(tunnel_at(f.machine, 0).lease_end_usec == MONO + 60 * SEC);
	clean();
}

TEST(restart_closes_what_ran_out)
{
	setup();
	bring_up();
	tunnel_machine_free(f.machine);
	begin("boot-1", 90);
	take();
	found_nothing(90);
	CHECK_TEXT(take(), "record:lease.expired close forget terminate-peer unload "
	                   "record:connection.closed report:closed");
	clean();
}

TEST(restart_waits_for_charon_but_not_for_ever)
{
	struct tunnel_found_element element;
	struct tunnel_found found = { &element, 1, true, NULL, 0, false };

	setup();
	bring_up();
	element = (struct tunnel_found_element){ .lease = tunnel_at(f.machine, 0).lease,
		.left_msec = 30000 };
	tunnel_machine_free(f.machine);
	begin("boot-1", 10);
	take();
	tunnel_reconcile(f.machine, &found, at(10), &f.actions);
	CHECK_TEXT(take(), "");
	tunnel_reconcile(f.machine, &found, at(16), &f.actions);
	CHECK_TEXT(take(), "record:connection.down close load:1");
	clean();
}

TEST(reboot_closes_everything)
{
	setup();
	bring_up();
	tunnel_machine_free(f.machine);
	begin("boot-2", 5);
	CHECK_TEXT(take(), "load:1 record:connection.cut close forget terminate-peer unload "
	                   "record:connection.closed report:closed");
	CHECK(tunnel_count(f.machine) == 0);
	found_nothing(5);
	CHECK_TEXT(give(&f.grant, 6), "record:grant.refused report:refused");
	clean();
}

TEST(interrupted_end_is_finished_after_a_restart)
{
	struct buf whole;

	setup();
	bring_up();
	tunnel_cut(f.machine, f.grant.id.text, "local", "pressed", at(2), &f.actions);
	whole = f.actions.items[0].record; /* only the first record got to the disk */
	buf_add(&f.journal, whole.bytes, whole.count);
	buf_add_text(&f.journal, "\n");
	tunnel_actions_reset(&f.actions);
	tunnel_machine_free(f.machine);
	begin("boot-1", 3);
	CHECK_TEXT(take(),
	        "load:1 close forget terminate-peer unload record:connection.closed report:closed");
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

TEST(lost_sa_shuts_the_filter_and_is_made_again)
{
	setup();
	bring_up();
	tunnel_child(f.machine, "gw-maker", child_name, false, at(5), &f.actions);
	CHECK_TEXT(take(), "record:connection.down close");
	tunnel_tick(f.machine, at(6), &f.actions);
	CHECK_TEXT(take(), "initiate");
	tunnel_child(f.machine, "gw-maker", child_name, true, at(7), &f.actions);
	CHECK(f.actions.items[1].ttl_msec == 54000); /* the lease ran on */
	CHECK_TEXT(take(), "record:connection.opening open");
	clean();
}

TEST(charon_gone_and_back)
{
	setup();
	bring_up();
	tunnel_charon(f.machine, false, at(5), &f.actions);
	CHECK_TEXT(take(), "record:connection.down close");
	tunnel_charon(f.machine, true, at(8), &f.actions);
	CHECK_TEXT(take(), "load:1");
	tunnel_cut_all(f.machine, "local", "pressed", at(8), &f.actions);
	CHECK_TEXT(take(), "record:connection.cut close forget terminate-peer unload "
	                   "record:connection.closed report:closed");
	clean();
}

TEST(flushed_table_is_filled_again_for_the_rest_of_the_lease)
{
	setup();
	bring_up();
	tunnel_filter(f.machine, false, at(5), &f.actions);
	CHECK_TEXT(take(), "record:connection.down close");
	tunnel_filter(f.machine, true, at(6), &f.actions);
	CHECK(f.actions.items[1].ttl_msec == 55000);
	CHECK_TEXT(take(), "record:connection.opening open");
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

TEST(damaged_journal_is_not_used)
{
	struct err err = { 0 };
	static const char bad[] = "{\"kind\":\"grant.accepted\",\"subject\":\"x\",\"data\":{}}";
	static const char foreign[] = "{\"kind\":\"flow.seen\",\"subject\":\"x\",\"data\":{}}";

	setup();
	CHECK(tunnel_recall(f.machine, bad, strlen(bad), &err) == 1 && err.text[0]);
	CHECK(tunnel_recall(f.machine, "{", 1, &err) == 1);
	CHECK(tunnel_recall(f.machine, foreign, strlen(foreign), &err) == 0);
	clean();
}

/* --- the own site's word ------------------------------------------------- */

#define TANAKA_KEY "MB4AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE="
#define SATO_KEY "MB4AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAI="
#define ORDER "01HF7Z9MB8000000000000000W"

static const char wider_provider_text[] =
        "sekisho provider-policy 1\nprovider regional-vpn\nversion 5\npool 100.64.0.0/10\n"
        "site core-hospital prefix 100.64.2.0/24\nsite device-maker prefix 100.64.3.0/24\n"
        "class remote-maintenance duration 12h lease 60s\nclass asp duration 12h\n"
        "class results-delivery duration 12h\n"
        "group a sites core-hospital device-maker"
        " classes remote-maintenance asp results-delivery\n";

/* WALL is Friday, 2027-01-15, 08:00 UTC. */
#define CAREFUL_TEXT(approvers, words)                                                             \
	"sekisho site-policy 1\nsite core-hospital\nversion 10\n"                                  \
	"hours work fri 07:30-08:30\n"                                                             \
	"host ct address 192.168.10.20 service 100.64.2.20 zone sz\n"                              \
	"host console address 192.168.10.30 service 100.64.2.30 zone sz\n" approvers               \
	"allow ct from device-maker/terminal to ct class remote-maintenance protocol tcp port 104" \
	" duration 2h lease 60s " words "\n"                                                       \
	"allow ssh from device-maker/terminal to console class remote-maintenance protocol tcp"    \
	" port 22 duration 30m approval emergency factor one\n"                                    \
	"allow asp from device-maker/terminal to console class asp protocol tcp port 8080-8089"    \
	" duration 2h concurrency 1\n"                                                             \
	"allow out from ct to device-maker/terminal class results-delivery protocol tcp port 7"    \
	" duration 2h\n"
#define TANAKA "approver tanaka key " TANAKA_KEY "\n"
#define SATO "approver sato key " SATO_KEY "\n"

static void use_policy(const char *text, int64_t sec)
{
	struct site_policy *old = f.site;
	struct err err = { 0 };

	CHECK(site_policy_parse(text, strlen(text), &f.site, &err) == 0 && err.text[0] == '\0');
	tunnel_policy_set(f.machine, f.provider, f.site, at(sec), &f.actions);
	site_policy_free(old);
}

static void setup_careful(const char *text)
{
	struct provider_policy *old;

	setup();
	old = f.provider;
	CHECK(provider_policy_parse(
	              wider_provider_text, strlen(wider_provider_text), &f.provider, NULL) == 0);
	use_policy(text, 0);
	provider_policy_free(old);
	take();
	f.grant.epoch = 0;
	snprintf(f.grant.work_order, sizeof(f.grant.work_order), ORDER);
}

static struct approval *approval_new(const char *name)
{
	struct approval *approval = mem_new(1, sizeof(*approval));
	struct work_terms *terms = &approval->terms;

	*approval = (struct approval){ .approved_at = WALL - 60 * SEC,
		.kind = APPROVAL_OF_WORK,
		.not_before = WALL - 60 * SEC,
		.not_after = WALL + 7200 * SEC };
	snprintf(approval->approver, sizeof(approval->approver), "%s", name);
	*terms = (struct work_terms){ .work_order = { ORDER },
		.revision = 1,
		.site = "core-hospital",
		.worker = "suzuki",
		.job = WORK_REPAIR,
		.class = SERVICE_REMOTE_MAINTENANCE,
		.not_before = approval->not_before,
		.not_after = approval->not_after,
		.purpose = "repair",
		.target_count = 1,
		.targets = { { .from = { "device-maker", "terminal" },
		        .to = { "core-hospital", "ct" },
		        .protocol = PROTOCOL_TCP,
		        .port = 104 } } };
	return approval;
}

/* The grant with one approval, which is freed. */
static const char *give_approved(struct approval *approval, const char *key, int64_t sec)
{
	AUTO_BUF struct buf sealed = BUF(JWS_SMALL_BYTES_MAX);
	AUTO_BUF struct buf terms = BUF(WORK_TERMS_BYTES_MAX);
	AUTO_BUF struct buf text = BUF(JWS_SMALL_BYTES_MAX);
	const char *approvals[] = { "nonsense", NULL };
	struct tunnel_offer offer = { .certificate = (const uint8_t *)"0b01",
		.certificate_bytes = 4,
		.approvals = approvals,
		.approval_count = 2 };

	work_terms_print(&approval->terms, &terms);
	snprintf(approval->terms_text, sizeof(approval->terms_text), "%s", buf_text(&terms));
	buf_add_format(&sealed, "%s:", key);
	approval_print(approval, &sealed);
	approvals[1] = buf_text(&sealed);
	buf_add_text(&text, "sekisho-grant");
	grant_print(&f.grant, &text);
	offer.sealed = buf_text(&text);
	offer.sealed_bytes = text.count;
	tunnel_grant(f.machine, &offer, at(sec), &f.actions);
	free(approval);
	return take();
}

#define REFUSED "record:grant.refused report:refused"
#define ACCEPTED "record:grant.accepted load:1"
#define MISSING "approval: no approver of core-hospital has signed work order " ORDER

TEST(approval_is_verified_at_the_gateway)
{
	struct approval *approval;

	setup_careful(CAREFUL_TEXT(TANAKA SATO, "approval required factor one"));
	CHECK_TEXT(give(&f.grant, 1), REFUSED);
	CHECK_TEXT(f.reason, MISSING);
	f.grant.work_order[0] = '\0';
	CHECK_TEXT(give(&f.grant, 1), REFUSED);
	CHECK_TEXT(f.reason,
	        "approval: rule ct of core-hospital wants one, and the grant names no work order");
	snprintf(f.grant.work_order, sizeof(f.grant.work_order), ORDER);
	CHECK_TEXT(give_approved(approval_new("tanaka"), "x", 1), REFUSED);
	CHECK_TEXT(f.reason, MISSING ": mallory is none");
	CHECK_TEXT(give_approved(approval_new("tanaka"), SATO_KEY, 1), REFUSED);
	CHECK_TEXT(f.reason, MISSING ": sato signed in the name of tanaka");
	approval = approval_new("tanaka");
	approval->terms.work_order = f.grant.id;
	CHECK_TEXT(give_approved(approval, TANAKA_KEY, 1), REFUSED);
	CHECK_TEXT(f.reason, MISSING ": the approval is of work order 01HF7Z9MB80000000000000001, "
	                             "not of " ORDER);
	approval = approval_new("tanaka");
	snprintf(approval->terms.worker, sizeof(approval->terms.worker), "kato");
	CHECK_TEXT(give_approved(approval, TANAKA_KEY, 1), REFUSED);
	CHECK_TEXT(f.reason, MISSING ": the approval is for kato, not for suzuki");
	approval = approval_new("tanaka");
	approval->terms.targets[0].port = 105;
	CHECK_TEXT(give_approved(approval, TANAKA_KEY, 1), REFUSED);
	approval = approval_new("tanaka");
	approval->not_after = f.grant.not_after - SEC;
	CHECK_TEXT(give_approved(approval, TANAKA_KEY, 1), REFUSED);
	approval = approval_new("tanaka");
	approval->not_before = f.grant.not_before + SEC;
	CHECK_TEXT(give_approved(approval, TANAKA_KEY, 1), REFUSED);
	approval = approval_new("tanaka");
	approval->kind = APPROVAL_OF_REVIEW;
	CHECK_TEXT(give_approved(approval, TANAKA_KEY, 1), REFUSED);
	CHECK_TEXT(give_approved(approval_new("tanaka"), TANAKA_KEY, 1), ACCEPTED);
	CHECK_TEXT(tunnel_at(f.machine, 0).approver, "tanaka");
	clean();
}

/* Over a restart, and when the policy changes: who was removed approves no longer. */
TEST(approval_is_kept_and_judged_again)
{
	setup_careful(CAREFUL_TEXT(TANAKA SATO, "approval required factor one"));
	CHECK_TEXT(give_approved(approval_new("tanaka"), TANAKA_KEY, 1), ACCEPTED);
	tunnel_machine_free(f.machine);
	begin("boot-1", 2);
	CHECK_TEXT(take(), "load:1");
	CHECK(tunnel_count(f.machine) == 1);
	CHECK_TEXT(tunnel_at(f.machine, 0).approver, "tanaka");
	use_policy(CAREFUL_TEXT(TANAKA, "approval required factor one"), 3);
	CHECK(tunnel_count(f.machine) == 1);
	take();
	/* The name stays, the key is another one. */
	use_policy(
	        CAREFUL_TEXT("approver tanaka key " SATO_KEY "\n", "approval required factor one"),
	        4);
	take();
	CHECK(tunnel_count(f.machine) == 0);
	CHECK_TEXT(f.reason, "approval: tanaka is no approver of core-hospital any more");
	clean();
}

TEST(emergency_only_where_the_rule_is_one)
{
	setup_careful(CAREFUL_TEXT(TANAKA, "approval required factor one"));
	f.grant.emergency = true;
	CHECK_TEXT(give(&f.grant, 1), REFUSED);
	CHECK_TEXT(f.reason, MISSING);
	snprintf(f.grant.responder.host, sizeof(f.grant.responder.host), "console");
	f.grant.responder.service = address("100.64.2.30");
	f.grant.port = 22;
	CHECK_TEXT(give(&f.grant, 1), REFUSED); /* an hour, and the rule has 30 minutes */
	f.grant.not_after = WALL + 1800 * SEC;
	f.grant.emergency = false;
	CHECK_TEXT(give(&f.grant, 1), REFUSED);
	f.grant.emergency = true;
	CHECK_TEXT(give(&f.grant, 1), "record:grant.accepted record:connection.emergency load:1");
	CHECK(tunnel_at(f.machine, 0).emergency);
	clean();
}

static struct grant asp_grant(uint16_t port, uint32_t number)
{
	struct grant grant = f.grant;

	grant.id.text[25] = (char)('0' + number % 10);
	grant.number = number;
	grant.class = SERVICE_ASP;
	grant.port = port;
	snprintf(grant.responder.host, sizeof(grant.responder.host), "console");
	grant.responder.service = address("100.64.2.30");
	return grant;
}

/* At another host of the same zone, whoever granted, in both orders (F4). */
TEST(services_exclude_each_other)
{
	struct grant asp;

	setup_careful(CAREFUL_TEXT(TANAKA, "approval standing factor one"));
	asp = asp_grant(8080, 5);
	CHECK_TEXT(give(&f.grant, 1), ACCEPTED);
	CHECK_TEXT(give(&asp, 1), REFUSED);
	CHECK_TEXT(f.reason, "the policies do not permit it: exclusion.class remote-maintenance");
	tunnel_cut_all(f.machine, "local", "pressed", at(2), &f.actions);
	take();
	CHECK_TEXT(give(&asp, 3), ACCEPTED);
	f.grant.id.text[25] = '9';
	CHECK_TEXT(give(&f.grant, 3), REFUSED);
	CHECK_TEXT(f.reason, "the policies do not permit it: exclusion.class asp");
	asp = asp_grant(8081, 6);
	CHECK_TEXT(give(&asp, 4), REFUSED); /* concurrency 1 */
	CHECK(strstr(f.reason, "exclusion.rule asp"));
	CHECK(tunnel_count(f.machine) == 1);
	clean();
}

TEST(hours_and_refusals_of_the_own_policy)
{
	setup_careful(CAREFUL_TEXT(TANAKA, "approval standing hours work factor one"));
	CHECK_TEXT(give(&f.grant, 1), REFUSED); /* until 09:00, and they end at 08:30 */
	f.grant.not_after = WALL + 1800 * SEC;
	CHECK_TEXT(give(&f.grant, 1), ACCEPTED);
	tunnel_loaded(f.machine, 1, true, "", at(1), &f.actions);
	tunnel_child(f.machine, "gw-maker", child_name, true, at(1), &f.actions);
	tunnel_opened(f.machine, f.grant.id.text, true, at(1), &f.actions);
	take();
	CHECK(tunnel_at(f.machine, 0).grant_end_usec == MONO + 1800 * SEC);
	use_policy(CAREFUL_TEXT(TANAKA "refuse stop from device-maker/* to *\n",
	                   "approval standing hours work factor one"),
	        2);
	take();
	CHECK(tunnel_count(f.machine) == 0);
	CHECK(strstr(f.reason, "site.refused"));
	clean();
}

static void bring_up_careful(const char *words)
{
	setup_careful(words);
	f.grant.work_order[0] = '\0';
	f.grant.outage = true;
	CHECK_TEXT(give(&f.grant, 0), ACCEPTED);
	tunnel_loaded(f.machine, 1, true, "", at(0), &f.actions);
	tunnel_child(f.machine, "gw-maker", child_name, true, at(0), &f.actions);
	tunnel_opened(f.machine, f.grant.id.text, true, at(0), &f.actions);
	take();
	CHECK(tunnel_at(f.machine, 0).state == TUNNEL_UP);
}

TEST(outage_is_survived_where_both_say_so)
{
	int64_t sec = 31;

	bring_up_careful(CAREFUL_TEXT(TANAKA, "approval standing outage survive factor one"));
	tunnel_link(f.machine, true, at(20), &f.actions);
	tunnel_tick(f.machine, at(31), &f.actions);
	CHECK_TEXT(take(), ""); /* the center was heard 11 s ago */
	tunnel_tick(f.machine, at(36), &f.actions);
	CHECK(f.actions.items[1].ttl_msec == 60000);
	CHECK_TEXT(take(), "record:lease.renewed renew");
	tunnel_link(f.machine, false, at(40), &f.actions);
	CHECK_TEXT(take(), ""); /* more than half of it is left */
	for (sec = 66; sec < 3600; sec += 30) {
		tunnel_tick(f.machine, at(sec), &f.actions);
		if (f.actions.count == 0) {
			continue;
		}
		CHECK(f.actions.items[1].ttl_msec <= (3600 - sec) * 1000);
		CHECK_TEXT(take(), "record:lease.renewed renew");
	}
	CHECK(tunnel_at(f.machine, 0).lease_end_usec == MONO + 3600 * SEC);
	tunnel_tick(f.machine, at(3600), &f.actions);
	CHECK(strncmp(take(), "record:connection.expired close", 31) == 0);
	clean();
	/* The own rule does not say so. */
	bring_up_careful(CAREFUL_TEXT(TANAKA, "approval standing factor one"));
	tunnel_link(f.machine, false, at(40), &f.actions);
	CHECK_TEXT(take(), "");
	tunnel_tick(f.machine, at(60), &f.actions);
	CHECK(strncmp(take(), "record:lease.expired close", 26) == 0);
	clean();
}

TEST(idle_connections_are_closed)
{
	struct tunnel_found_element element;
	struct tunnel_found_child child = { "gw-maker", child_name };
	struct tunnel_found found = { &element, 1, true, &child, 1, true };

	bring_up_careful(CAREFUL_TEXT(TANAKA, "approval standing idle 20s factor one"));
	CHECK(tunnel_wants_flows(f.machine));
	element = (struct tunnel_found_element){
		.lease = tunnel_at(f.machine, 0).lease, .left_msec = 30000, .packets = 3
	};
	tunnel_reconcile(f.machine, &found, at(5), &f.actions);
	element.packets = 0; /* renewed since */
	tunnel_reconcile(f.machine, &found, at(20), &f.actions);
	element.flow_packets = 7;
	tunnel_reconcile(f.machine, &found, at(22), &f.actions);
	element.flow_packets = 4; /* a flow ended: nothing passed */
	tunnel_reconcile(f.machine, &found, at(41), &f.actions);
	CHECK_TEXT(take(), "");
	tunnel_tick(f.machine, at(42), &f.actions);
	CHECK_TEXT(take(), ""); /* only right after a look */
	tunnel_reconcile(f.machine, &found, at(42), &f.actions);
	CHECK(strncmp(take(), "record:connection.cut close forget", 34) == 0);
	CHECK_TEXT(f.reason, "idle");
	clean();
}

TEST_MAIN()
