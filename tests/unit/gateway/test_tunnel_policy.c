/*
 * The tunnel machine and the own site's word: approvals, exclusions, hours, outage, idle.
 */
#include "tunnel_fixture.h"

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

/* A new policy has both hosts in one zone. The one that was granted first stays, also where it came
 * second: what the center ends is the other one, and both together must not end. */
static void older_stays(bool asp_is_older, bool older_comes_first)
{
	static const char same[] = CAREFUL_TEXT(TANAKA, "approval standing factor one");
	const char *zone = strstr(same, "100.64.2.30 zone sz") + strlen("100.64.2.30 ");
	AUTO_STRING char *apart =
	        mem_format("%.*szone dmz%s", (int)(zone - same), same, zone + strlen("zone sz"));
	struct grant asp, *older, *younger;

	setup_careful(apart);
	asp = asp_grant(8080, 5);
	older = asp_is_older ? &asp : &f.grant;
	younger = asp_is_older ? &f.grant : &asp;
	older->number = 1000;
	younger->number = 1001; /* in the same millisecond */
	CHECK_TEXT(give(older_comes_first ? older : younger, 1), ACCEPTED);
	CHECK(strstr(give(older_comes_first ? younger : older, 2), "grant.accepted"));
	use_policy(same, 3);
	take();
	CHECK(strstr(f.reason, "exclusion.class"));
	CHECK(tunnel_count(f.machine) == 1);
	CHECK_TEXT(tunnel_at(f.machine, 0).grant->id.text, older->id.text);
	clean();
}

TEST(of_two_that_exclude_each_other_from_now_on_the_older_stays)
{
	for (int i = 0; i < 4; i++) {
		older_stays(i & 1, i & 2);
	}
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
