/*
 * The connection machine, input by input: which actions come, and in which order. What happens when
 * everything goes wrong at once is for tests/sim.
 */
#include "../check.h"

#include <stdlib.h>

#include "base/buf.h"
#include "center/connection.h"

#define SEC USEC_PER_SEC
#define WALL (1800000000LL * SEC)
#define MONO (5000LL * SEC)

static struct moment at(int64_t sec)
{
	return (struct moment){ WALL + sec * SEC, MONO + sec * SEC };
}

static const char provider_text[] =
        "sekisho provider-policy 1\nprovider regional-vpn\nversion 4\npool 100.64.0.0/10\n"
        "site core-hospital prefix 100.64.2.0/24\nsite device-maker prefix 100.64.3.0/24\n"
        "class remote-maintenance duration 2h lease 60s\n"
        "group a sites core-hospital device-maker classes remote-maintenance\n";
static const char hospital_text[] =
        "sekisho site-policy 1\nsite core-hospital\nversion 9\n"
        "host ct address 192.168.10.20 service 100.64.2.20\n"
        "allow ct from device-maker/terminal to ct class remote-maintenance"
        " protocol tcp port 104,11112 duration 1h approval standing factor one\n";
static const char maker_text[] =
        "sekisho site-policy 1\nsite device-maker\nversion 2\n"
        "host terminal address 192.168.10.20 service 100.64.3.10\n"
        "allow ct from terminal to core-hospital/ct class remote-maintenance"
        " protocol tcp port 104,11112 duration 2h approval standing factor one\n";

struct fixture {
	struct connection_machine *machine;
	struct connection_actions actions;
	struct provider_policy *provider;
	struct site_policy *hospital, *maker;
	enum gateway_state gateway;
	enum certificate_state certificate;
	unsigned ids;
	struct connection_request request;
	struct connection_row row; /* the last one that was stored */
	struct lease leases[2];    /* the last ones that were sent */
	struct id id;              /* of the last answer */
	char trace[2048];
};

static struct fixture f;

static void facts(void *context, const struct policy_request *request, const struct grant *grant,
        struct moment now, struct policy_facts *ret_facts)
{
	struct policy_end_facts end = {
		.device = CERTIFICATE_VALID,
		.service = f.certificate,
		.maker_accredited = FACT_YES,
		.gateway = f.gateway,
		.behind_nat = FACT_NO,
	};

	*ret_facts = (struct policy_facts){
		.foreign = LAYER_BIT(LAYER_AGREEMENT) | LAYER_BIT(LAYER_PERSON) |
		           LAYER_BIT(LAYER_WORK_ORDER) | LAYER_BIT(LAYER_EXCLUSION),
		.provider = f.provider,
		.initiator_policy = f.maker,
		.responder_policy = f.hospital,
		.provider_accredited = FACT_YES,
		.device_ca_accredited = FACT_YES,
		.service_ca_accredited = FACT_YES,
		.initiator = end,
		.responder = end,
		.window = { now.wall_usec, now.wall_usec + GRANT_SEC_MAX * SEC },
	};
}

static int end_of(void *context, const struct host_ref *ref, struct grant_end *ret_end)
{
	bool maker = strcmp(ref->site, "device-maker") == 0;

	*ret_end = (struct grant_end){ 0 };
	memcpy(ret_end->site, ref->site, sizeof(ret_end->site));
	memcpy(ret_end->host, ref->host, sizeof(ret_end->host));
	snprintf(ret_end->gateway, sizeof(ret_end->gateway), "gw-%.40s", ref->site);
	snprintf(ret_end->identity, sizeof(ret_end->identity), "gw-%.40s.sekisho.internal",
	        ref->site);
	snprintf(ret_end->serial, sizeof(ret_end->serial), "0a0%d", maker);
	return address_parse(maker ? "192.0.2.2" : "192.0.2.3", &ret_end->address) ||
	       address_parse(maker ? "100.64.3.10" : "100.64.2.20", &ret_end->service);
}

static struct id make_id(void *context, struct moment now)
{
	struct id id = { "01HF7Z9MB80000000000000000" };

	id.text[25] = (char)('0' + ++f.ids);
	return id;
}

#define MAKER "gw-device-maker"
#define HOSPITAL "gw-core-hospital"

/* Takes the actions out of the list as words; "m" and "h" are the two gateways. */
static const char *take(void)
{
	static const char *const names[] = { "record", "store", "answer", "grant", "go", "lease",
		"cut" };
	AUTO_BUF struct buf out = BUF(sizeof(f.trace) - 1);

	for (size_t i = 0; i < f.actions.count; i++) {
		const struct connection_action *action = &f.actions.items[i];

		buf_add_format(&out, "%s%s", i ? " " : "", names[action->type]);
		if (action->type == CONNECTION_RECORD) {
			buf_add_format(&out, ":%s", action->kind);
			CHECK(action->record.count > 0);
		} else if (action->type == CONNECTION_STORE) {
			f.row = *action->row;
			buf_add_format(&out, ":%s", connection_state_name(f.row.state));
		} else if (action->type == CONNECTION_ANSWER) {
			f.id = action->id;
			buf_add_format(&out, ":%d", action->answer);
		} else {
			buf_add_format(&out, ":%c", action->gateway[3] == 'd' ? 'm' : 'h');
		}
		if (action->type == CONNECTION_SEND_LEASE) {
			f.leases[action->gateway[3] == 'd'] = action->lease;
		}
	}
	snprintf(f.trace, sizeof(f.trace), "%s", buf_text(&out));
	connection_actions_reset(&f.actions);
	return f.trace;
}

static void clean(void)
{
	connection_machine_free(f.machine);
	connection_actions_clear(&f.actions);
	provider_policy_free(f.provider);
	site_policy_free(f.hospital);
	site_policy_free(f.maker);
	memset(&f, 0, sizeof(f));
}

static void begin(void)
{
	struct connection_world world = { .facts = facts, .end = end_of, .id = make_id };

	connection_machine_free(f.machine);
	f.machine = connection_machine_new("regional-vpn", 3, &world);
}

static void setup(void)
{
	clean();
	CHECK(provider_policy_parse(provider_text, strlen(provider_text), &f.provider, NULL) == 0);
	CHECK(site_policy_parse(hospital_text, strlen(hospital_text), &f.hospital, NULL) == 0);
	CHECK(site_policy_parse(maker_text, strlen(maker_text), &f.maker, NULL) == 0);
	f.gateway = GATEWAY_ONLINE;
	f.certificate = CERTIFICATE_VALID;
	f.request = (struct connection_request){
		.policy = { .from = { "device-maker", "terminal" },
		        .to = { "core-hospital", "ct" },
		        .class = SERVICE_REMOTE_MAINTENANCE,
		        .protocol = PROTOCOL_TCP,
		        .port = 104,
		        .duration_sec = 600,
		        .person = "suzuki" },
		.terminal = "192.0.2.77",
	};
	begin();
}

static const char *ask(int64_t sec)
{
	connection_ask(f.machine, &f.request, at(sec), &f.actions);
	return take();
}

static const char *report(const char *gateway, enum connection_report what, int64_t sec)
{
	connection_report(f.machine, gateway, what, f.id.text, "because", at(sec), &f.actions);
	return take();
}

static const char *tick(int64_t sec)
{
	connection_tick(f.machine, at(sec), &f.actions);
	return take();
}

static void bring_up(void)
{
	ask(0);
	report(MAKER, CONNECTION_REPORT_ARMED, 1);
	report(HOSPITAL, CONNECTION_REPORT_ARMED, 1);
	report(MAKER, CONNECTION_REPORT_UP, 2);
	CHECK_TEXT(report(HOSPITAL, CONNECTION_REPORT_UP, 2), "record:connection.up store:up");
}

/* --- tests --------------------------------------------------------------- */

TEST(grant_is_written_before_it_is_sent)
{
	setup();
	CHECK_TEXT(ask(0), "record:connection.requested record:connection.granted store:granted "
	                   "answer:1 grant:h grant:m");
	CHECK(f.row.grant.number == 1 && f.row.grant.epoch == 3 && f.row.grant.lease_sec == 60);
	CHECK(f.row.grant.not_after - f.row.grant.not_before == 600 * SEC);
	CHECK(f.row.grant.policy_provider == 4 && f.row.grant.policy_initiator == 2 &&
	        f.row.grant.policy_responder == 9);
	CHECK_TEXT(report(MAKER, CONNECTION_REPORT_ARMED, 1), "");
	CHECK(strstr(report(HOSPITAL, CONNECTION_REPORT_ARMED, 1), "go:m"));
	CHECK(f.row.state == CONNECTION_GOING);
	CHECK_TEXT(report(HOSPITAL, CONNECTION_REPORT_ARMED, 1), "");
	CHECK_TEXT(report(MAKER, CONNECTION_REPORT_UP, 2), "");
	CHECK_TEXT(report(HOSPITAL, CONNECTION_REPORT_UP, 2), "record:connection.up store:up");
	clean();
}

TEST(go_waits_for_the_other_gateway_only)
{
	setup();
	ask(0);
	CHECK_TEXT(report(HOSPITAL, CONNECTION_REPORT_ARMED, 1), "go:m");
	CHECK(f.row.state == CONNECTION_GRANTED);
	CHECK_TEXT(report(HOSPITAL, CONNECTION_REPORT_ARMED, 1), "");
	/* A gateway that did not hear of it gets both, in their order. */
	CHECK_TEXT(tick(3), "grant:m go:m");
	CHECK_TEXT(
	        report(MAKER, CONNECTION_REPORT_ARMED, 4), "record:connection.armed store:going");
	CHECK_TEXT(tick(6), "grant:h grant:m go:m");
	report(MAKER, CONNECTION_REPORT_UP, 7);
	CHECK_TEXT(report(HOSPITAL, CONNECTION_REPORT_UP, 7), "record:connection.up store:up");
	clean();
}

TEST(denial_is_recorded_and_answered)
{
	setup();
	f.request.policy.port = 22;
	CHECK_TEXT(ask(0), "record:connection.refused answer:0");
	f.request.policy.port = 104;
	f.gateway = GATEWAY_OFFLINE;
	CHECK_TEXT(ask(0), "record:connection.refused answer:0");
	CHECK(connection_count(f.machine) == 0);
	clean();
}

TEST(same_connection_is_not_made_twice)
{
	struct id first;

	setup();
	bring_up();
	first = f.id;
	CHECK_TEXT(ask(3), "record:connection.refused answer:2");
	CHECK_TEXT(f.id.text, first.text);
	CHECK(connection_cut(f.machine, first.text, "operator", "pressed", at(4), &f.actions) == 0);
	take();
	CHECK_TEXT(ask(5), "record:connection.refused answer:3");
	f.request.policy.port = 11112;
	CHECK(strstr(ask(6), "answer:1"));
	CHECK(f.row.grant.number == 2);
	clean();
}

TEST(leases_are_renewed_every_third)
{
	uint64_t seq;

	setup();
	bring_up();
	CHECK_TEXT(tick(19), "");
	CHECK_TEXT(tick(20), "lease:m lease:h");
	seq = f.leases[0].seq;
	CHECK(f.leases[0].ttl_sec == 60 && f.leases[0].issued_at == WALL + 20 * SEC);
	CHECK_TEXT(tick(39), "");
	CHECK_TEXT(tick(40), "lease:m lease:h");
	CHECK(f.leases[0].seq > seq && f.leases[0].seq == f.leases[1].seq);
	connection_gateway_offline(f.machine, HOSPITAL, at(50));
	CHECK_TEXT(tick(60), "lease:m");
	connection_gateway_online(f.machine, HOSPITAL, NULL, 0, at(70), &f.actions);
	CHECK_TEXT(take(), "grant:h lease:h");
	clean();
}

TEST(cut_is_repeated_until_both_have_closed)
{
	setup();
	bring_up();
	CHECK(connection_cut(f.machine, f.id.text, "operator", "pressed", at(3), &f.actions) == 0);
	CHECK_TEXT(take(), "record:connection.cut store:closing cut:h cut:m");
	CHECK_TEXT(f.row.by, "operator");
	CHECK(connection_cut(f.machine, f.id.text, "operator", "again", at(3), &f.actions) == 0);
	CHECK_TEXT(take(), "");
	CHECK_TEXT(tick(5), "");
	CHECK_TEXT(tick(6), "cut:h cut:m");
	CHECK_TEXT(report(MAKER, CONNECTION_REPORT_CLOSED, 7), "store:closing");
	CHECK_TEXT(tick(9), "cut:h");
	CHECK_TEXT(report(MAKER, CONNECTION_REPORT_UP, 9), ""); /* an old report */
	CHECK_TEXT(report(HOSPITAL, CONNECTION_REPORT_UP, 9), "cut:h");
	CHECK_TEXT(report(HOSPITAL, CONNECTION_REPORT_CLOSED, 10),
	        "record:connection.closed store:closed");
	CHECK(connection_count(f.machine) == 0);
	CHECK_TEXT(report(HOSPITAL, CONNECTION_REPORT_UP, 11), "cut:h"); /* not live here */
	CHECK(connection_cut(f.machine, f.id.text, "operator", "x", at(12), &f.actions) == 1);
	clean();
}

/* protocol.md 3.1: what a person cut is held, what ended otherwise is not. */
TEST(a_cut_by_a_person_is_kept_with_the_connection)
{
	setup();
	bring_up();
	CHECK(!f.row.held && !f.row.traffic);
	CHECK(connection_cut(f.machine, f.id.text, "operator", "pressed", at(3), &f.actions) == 0);
	take();
	CHECK(f.row.held);
	clean();

	setup();
	bring_up();
	CHECK(connection_cut(f.machine, f.id.text, "center", "has left", at(3), &f.actions) == 0);
	take();
	CHECK(!f.row.held);
	clean();

	setup();
	bring_up();
	CHECK(connection_hold(f.machine, "gw-of-another", f.id.text, at(3), &f.actions) == 1);
	CHECK(connection_hold(
	              f.machine, HOSPITAL, "01JD0000000000000000000000", at(3), &f.actions) == 1);
	CHECK(connection_hold(f.machine, HOSPITAL, f.id.text, at(3), &f.actions) == 0);
	CHECK_TEXT(take(), "");
	CHECK_TEXT(report(HOSPITAL, CONNECTION_REPORT_CLOSED, 3),
	        "record:connection.cut store:closing cut:m");
	CHECK(f.row.held);
	/* Who presses while it closes for another reason has cut it, too. */
	clean();

	setup();
	bring_up();
	report(MAKER, CONNECTION_REPORT_CLOSED, 3);
	CHECK(!f.row.held);
	CHECK(connection_cut(f.machine, f.id.text, "operator", "pressed", at(4), &f.actions) == 0);
	CHECK_TEXT(take(), "store:closing");
	CHECK(f.row.held);
	CHECK(connection_cut(f.machine, f.id.text, "operator", "pressed", at(4), &f.actions) == 0);
	CHECK_TEXT(take(), "");
	CHECK_TEXT(report(HOSPITAL, CONNECTION_REPORT_CLOSED, 5),
	        "record:connection.closed store:closed");
	CHECK(f.row.held);
	clean();
}

TEST(silent_gateway_is_waited_for_as_long_as_it_can_hold_anything)
{
	setup();
	bring_up();
	CHECK(connection_cut(f.machine, f.id.text, "operator", "pressed", at(3), &f.actions) == 0);
	take();
	report(MAKER, CONNECTION_REPORT_CLOSED, 4);
	connection_gateway_offline(f.machine, HOSPITAL, at(5));
	/* 120 s until the grant is refused, 60 s for an SA, a lease of 60 s, clocks 60 s apart. */
	CHECK_TEXT(tick(299), "");
	CHECK_TEXT(tick(300), "record:connection.closed store:closed");
	clean();
}

TEST(refused_grant_is_cut_at_both)
{
	setup();
	ask(0);
	CHECK_TEXT(report(HOSPITAL, CONNECTION_REPORT_REFUSED, 1),
	        "record:connection.cut store:closing cut:h cut:m");
	CHECK_TEXT(f.row.by, HOSPITAL);
	CHECK_TEXT(f.row.reason, "refused: because");
	report(MAKER, CONNECTION_REPORT_CLOSED, 2);
	CHECK_TEXT(report(HOSPITAL, CONNECTION_REPORT_CLOSED, 2),
	        "record:connection.closed store:closed");
	clean();
}

TEST(deadlines_end_what_does_not_come_up)
{
	setup();
	ask(0);
	report(MAKER, CONNECTION_REPORT_ARMED, 1);
	CHECK_TEXT(tick(3), "grant:h");
	CHECK_TEXT(tick(10), "record:connection.cut store:closing cut:h cut:m");
	CHECK_TEXT(f.row.reason, "gateway " HOSPITAL " was not armed in time");
	setup();
	ask(0);
	report(MAKER, CONNECTION_REPORT_ARMED, 1);
	report(HOSPITAL, CONNECTION_REPORT_ARMED, 1);
	CHECK_TEXT(tick(4), "grant:h grant:m go:m");
	tick(31);
	CHECK(f.row.state == CONNECTION_CLOSING);
	clean();
}

TEST(grant_and_lease_end)
{
	setup();
	bring_up();
	for (int64_t sec = 20; sec < 600; sec += 20) {
		CHECK_TEXT(tick(sec), "lease:m lease:h");
	}
	CHECK_TEXT(tick(600), "record:connection.expired store:closing cut:h cut:m");
	setup();
	bring_up();
	connection_gateway_offline(f.machine, HOSPITAL, at(3));
	CHECK_TEXT(tick(20), "lease:m");
	CHECK_TEXT(tick(67), "record:lease.expired store:closing cut:m");
	clean();
}

TEST(review_ends_what_is_no_longer_permitted)
{
	setup();
	bring_up();
	f.gateway = GATEWAY_OFFLINE; /* being away for a moment ends nothing */
	connection_review(f.machine, NULL, at(3), &f.actions);
	CHECK_TEXT(take(), "");
	f.certificate = CERTIFICATE_REVOKED;
	connection_review(f.machine, "clinic", at(3), &f.actions);
	CHECK_TEXT(take(), "");
	connection_review(f.machine, "core-hospital", at(3), &f.actions);
	CHECK_TEXT(take(), "record:connection.cut store:closing cut:h cut:m");
	CHECK(strstr(f.row.reason, "no longer permitted"));
	clean();
}

TEST(restart_goes_on_where_it_was)
{
	struct connection_row row;
	uint64_t seq;

	setup();
	bring_up();
	row = f.row;
	tick(20);
	seq = f.leases[0].seq;
	begin();
	CHECK(connection_restore(f.machine, &row, at(25)) == 0);
	CHECK(connection_restore(f.machine, &row, at(25)) == 1);
	row.state = CONNECTION_CLOSED;
	CHECK(connection_restore(f.machine, &row, at(25)) == 1);
	connection_numbers_from(f.machine, 7);
	connection_start(f.machine, at(25), &f.actions);
	CHECK_TEXT(take(), "");
	CHECK_TEXT(tick(26), ""); /* nobody is there yet */
	connection_gateway_online(f.machine, HOSPITAL, NULL, 0, at(27), &f.actions);
	CHECK_TEXT(take(), "grant:h lease:h");
	CHECK(f.leases[0].seq > seq);
	f.request.policy.port = 11112;
	ask(28);
	CHECK(f.row.grant.number == 8);
	clean();
}

TEST(unknown_connections_of_a_gateway_are_cut)
{
	const char *ids[] = { "01HF7Z9MB80000000000000009" };

	setup();
	connection_gateway_online(f.machine, HOSPITAL, ids, 1, at(0), &f.actions);
	CHECK_TEXT(take(), "cut:h");
	/* And another's connection cannot be spoken of. */
	ask(0);
	CHECK_TEXT(report("gw-third", CONNECTION_REPORT_CLOSED, 1), "");
	CHECK(connection_find(f.machine, f.id.text)->state == CONNECTION_GRANTED);
	clean();
}

TEST(raised_epoch_ends_all)
{
	setup();
	bring_up();
	CHECK(connection_epoch_raise(f.machine, 3, at(3), &f.actions) == 1);
	CHECK(connection_epoch_raise(f.machine, 4, at(3), &f.actions) == 0);
	CHECK_TEXT(take(), "record:epoch.raised record:connection.cut store:closing cut:h cut:m");
	f.request.policy.port = 11112;
	ask(4);
	CHECK(f.row.grant.epoch == 4);
	clean();
}

static void count_one(void *context, const struct connection_row *row)
{
	++*(int *)context;
}

TEST(many_connections_are_found_again)
{
	int count = 0;

	setup();
	ask(0);
	for (unsigned i = 0; i < 300; i++) {
		struct connection_row row = f.row;

		snprintf(row.grant.id.text, sizeof(row.grant.id.text), "01HF7Z9MB8000000000000%04u",
		        i + 1000);
		snprintf(row.grant.initiator.gateway, sizeof(row.grant.initiator.gateway), "gw-%u",
		        i % 100);
		row.grant.number = 100 + i;
		CHECK(connection_restore(f.machine, &row, at(0)) == 0);
	}
	CHECK(connection_count(f.machine) == 301);
	CHECK(connection_find(f.machine, "01HF7Z9MB80000000000001299"));
	connection_list(f.machine, NULL, "gw-42", count_one, &count);
	CHECK(count == 3);
	count = 0;
	connection_list(f.machine, NULL, HOSPITAL, count_one, &count);
	CHECK(count == 301);
	count = 0;
	connection_list(f.machine, "device-maker", NULL, count_one, &count);
	CHECK(count == 301);
	clean();
}

TEST_MAIN()
