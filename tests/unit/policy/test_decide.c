/* Every way to say no, one fact at a time, and what a permit carries. */
#include "../check.h"

#include <stdlib.h>

#include "base/clock.h"
#include "policy/decide.h"
#include "policy/explain.h"

#define NOW (1700000000 * USEC_PER_SEC)

static const char provider_text[] =
        "sekisho provider-policy 1\nprovider regional-vpn\nversion 4\npool 100.64.0.0/10\n"
        "site core-hospital prefix 100.64.2.0/24\nsite device-maker prefix 100.64.3.0/24\n"
        "site clinic prefix 100.64.4.0/24\n"
        "class remote-maintenance duration 2h lease 60s\nclass mail\nclass asp\n"
        "class results-delivery\nclass regional-sharing\nexclude backup timestamp\n"
        "group a sites core-hospital device-maker"
        " classes remote-maintenance mail results-delivery regional-sharing\n";
/* The same, but tighter for one class. */
static const char strict_text[] =
        "sekisho provider-policy 1\nprovider regional-vpn\nversion 5\npool 100.64.0.0/10\n"
        "site core-hospital prefix 100.64.2.0/24\nsite device-maker prefix 100.64.3.0/24\n"
        "class remote-maintenance duration 2h lease 60s approval required factor two outage never\n"
        "group a sites core-hospital device-maker classes remote-maintenance\n";

#define KEY                                                                                        \
	"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" \
	"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="

static const char hospital_text[] =
        "sekisho site-policy 1\nsite core-hospital\nversion 9\ntime-zone +09:00\n"
        "hours day mon-fri 09:00-17:30 except holidays\n"
        "host ct address 192.168.10.20 service 100.64.2.20 zone hsz\n"
        "host lost address 192.168.10.21 service 100.64.9.21\n"
        "host pacs address 192.168.10.22 service 100.64.2.22 zone sz\n"
        "host view address 192.168.10.23 service 100.64.2.23 zone sz\n"
        "host web address 192.168.10.24 service 100.64.2.24 zone dmz\n"
        "host bare address 192.168.10.25 service 100.64.2.25\n"
        "set console pacs view\napprover tanaka key " KEY "\n"
        "allow ct-dicom from device-maker/terminal to ct class remote-maintenance"
        " protocol tcp port 104,5000-5010 duration 1h lease 30s approval standing factor one\n"
        "allow ct-long from device-maker/* to ct class remote-maintenance"
        " protocol tcp port 104 duration 90m lease 45s approval standing idle 10m outage survive"
        " factor one\n"
        "allow ping from device-maker/terminal to * class remote-maintenance protocol icmp"
        " approval standing factor one\n"
        "allow ask from device-maker/terminal to ct class remote-maintenance protocol tcp port 22"
        " duration 1h\n"
        "allow urgent from device-maker/terminal to ct class remote-maintenance protocol tcp"
        " port 23 duration 20m approval emergency review 12h idle 5m factor one\n"
        "allow daytime from device-maker/terminal to ct class remote-maintenance protocol tcp"
        " port 24 approval standing hours day factor one\n"
        "allow healthy from device-maker/terminal to ct class remote-maintenance protocol tcp"
        " port 26 approval standing factor one posture current\n"
        "allow passing from device-maker/terminal to console class regional-sharing protocol tcp"
        " port 28 idle 5m open traffic\n"
        "allow asked from device-maker/terminal to console class regional-sharing protocol tcp"
        " port 29 idle 5m\n"
        "allow single from device-maker/terminal to console class remote-maintenance protocol tcp"
        " port 27 approval standing concurrency 2 factor one\n"
        "allow share from device-maker/* to console class regional-sharing protocol tcp port 443\n"
        "allow share-all from device-maker/terminal to * class regional-sharing protocol tcp"
        " port 444 factor two\n"
        "allow few from device-maker/terminal to * class regional-sharing protocol tcp"
        " port 446 concurrency 1\n"
        "allow share-ask from device-maker/terminal to console class regional-sharing protocol tcp"
        " port 445 approval required\n"
        "allow results from device-maker/terminal to console class results-delivery protocol tcp"
        " port 22 outage survive\n"
        "refuse no-tablet from device-maker/tablet to ct\n"
        "refuse no-share from device-maker/watch to * class regional-sharing\n";

/* The maker has the same private network as the hospital: only service addresses count. */
static const char maker_text[] =
        "sekisho site-policy 1\nsite device-maker\nversion 2\n"
        "host terminal address 192.168.10.20 service 100.64.3.10\n"
        "host tablet address 192.168.10.21 service 100.64.3.11\n"
        "host watch address 192.168.10.22 service 100.64.3.12\n"
        "approver sato key " KEY "\n"
        "allow out from * to core-hospital/ct class remote-maintenance protocol tcp"
        " port 1-6000 approval standing idle 30m outage survive factor one\n"
        "allow consoles from terminal to core-hospital/* class remote-maintenance protocol tcp"
        " port 27 approval standing factor one\n"
        "allow ping from terminal to core-hospital/* class remote-maintenance protocol icmp"
        " approval standing factor one\n"
        "allow mail from terminal to core-hospital/ct class mail protocol tcp port 25\n"
        "allow own-ask from terminal to core-hospital/pacs class remote-maintenance protocol tcp"
        " port 28 factor one\n"
        "allow share from * to core-hospital/pacs class regional-sharing protocol tcp"
        " port 443-446 outage survive\n"
        "allow share-ct from terminal to core-hospital/ct class regional-sharing protocol tcp"
        " port 443\n"
        "allow passing from terminal to core-hospital/pacs class regional-sharing protocol tcp"
        " port 28-29 idle 10m open traffic\n"
        "allow results from terminal to core-hospital/pacs class results-delivery protocol tcp"
        " port 22\n";

#define ORDER "01JD0000000000000000000000"

/* A question that is permitted, to be spoilt. */
struct scene {
	struct provider_policy *provider, *strict;
	struct site_policy *hospital, *maker;
	struct policy_request request;
	struct policy_facts facts;
	struct policy_live live[2];
	int64_t now;
};

static struct scene scene_open(void)
{
	struct scene scene = {
		.request = { .from = { "device-maker", "terminal" },
		        .to = { "core-hospital", "ct" },
		        .class = SERVICE_REMOTE_MAINTENANCE,
		        .protocol = PROTOCOL_TCP,
		        .port = 104,
		        .person = "suzuki" },
		.facts = { .provider_accredited = FACT_YES,
		        .device_ca_accredited = FACT_YES,
		        .service_ca_accredited = FACT_YES,
		        .initiator = { CERTIFICATE_VALID, CERTIFICATE_VALID, FACT_YES,
		                GATEWAY_ONLINE, FACT_NO, .beside = { FACT_YES, NULL, 0 } },
		        .responder = { CERTIFICATE_VALID, CERTIFICATE_VALID, FACT_YES,
		                GATEWAY_ONLINE, FACT_NO, .beside = { FACT_YES, NULL, 0 } },
		        .agreement = { AGREEMENT_IN_FORCE, "ct-care", 0 },
		        .person = { PERSON_ACTIVE, FACT_YES, FACT_YES, FACTOR_ONE },
		        .window = { NOW, NOW + 8 * 3600 * USEC_PER_SEC } },
		.now = NOW,
	};
	struct err err;

	CHECK(provider_policy_parse(provider_text, strlen(provider_text), &scene.provider, &err) ==
	        0);
	CHECK(provider_policy_parse(strict_text, strlen(strict_text), &scene.strict, &err) == 0);
	CHECK(site_policy_parse(hospital_text, strlen(hospital_text), &scene.hospital, &err) == 0);
	CHECK(site_policy_parse(maker_text, strlen(maker_text), &scene.maker, &err) == 0);
	scene.facts.provider = scene.provider;
	scene.facts.initiator_policy = scene.maker;
	scene.facts.responder_policy = scene.hospital;
	return scene;
}

static void scene_close(struct scene *scene)
{
	provider_policy_free(scene->provider);
	provider_policy_free(scene->strict);
	site_policy_free(scene->hospital);
	site_policy_free(scene->maker);
}

#define AUTO_SCENE __attribute__((cleanup(scene_close)))

static struct decision decide(const struct scene *scene)
{
	return policy_decide(&scene->request, &scene->facts, scene->now);
}

TEST(zero_is_deny)
{
	struct decision zero = { 0 };
	struct policy_request request = { 0 };
	struct policy_facts facts = { 0 };
	struct decision decision = policy_decide(&request, &facts, NOW);

	CHECK(zero.verdict == VERDICT_DENY && zero.layers[0].verdict == VERDICT_DENY);
	CHECK(decision.verdict == VERDICT_DENY);
	for (int i = 0; i < LAYER_COUNT; i++) {
		CHECK(decision.layers[i].consulted && decision.layers[i].verdict == VERDICT_DENY);
	}
}

TEST(a_permit_carries_what_holds)
{
	AUTO_SCENE struct scene scene = scene_open();
	struct decision decision = decide(&scene);

	CHECK(decision.verdict == VERDICT_PERMIT && decision_denied_by(&decision) == LAYER_COUNT);
	CHECK(decision.duration_sec == 5400 && decision.lease_sec == 45);
	CHECK(decision.provider_version == 4 && decision.initiator_version == 2 &&
	        decision.responder_version == 9);
	CHECK(decision.ike == GRANT_INITIATOR);
	CHECK_TEXT(decision.group, "a");
	CHECK_TEXT(decision.initiator_rule, "out");
	CHECK_TEXT(decision.responder_rule, "ct-long");
	CHECK(decision.idle_sec == 600 && decision.outage && !decision.emergency);
	CHECK(decision.review_sec == 0);
	scene.request.duration_sec = 600;
	scene.request.lease_sec = 10;
	decision = decide(&scene);
	CHECK(decision.duration_sec == 600 && decision.lease_sec == 10);
	scene.request.duration_sec = 0;
	scene.now = scene.facts.window.not_after - 90 * USEC_PER_SEC;
	decision = decide(&scene);
	CHECK(decision.verdict == VERDICT_PERMIT && decision.duration_sec == 90);
	scene.facts.responder.behind_nat = FACT_YES;
	CHECK(decide(&scene).ike == GRANT_RESPONDER);
}

/* Spoils one thing; the layer denies with this reason and detail. */
struct row {
	const char *what;
	void (*spoil)(struct scene *scene);
	enum policy_layer layer;
	enum policy_reason reason;
	const char *detail;
};

#define SPOIL(name, statement)                                                                     \
	static void name(struct scene *scene)                                                      \
	{                                                                                          \
		statement;                                                                         \
	}

SPOIL(no_provider_policy, scene->facts.provider = NULL)
SPOIL(bad_class, scene->request.class = SERVICE_CLASS_NONE)
SPOIL(class_beyond, scene->request.class = SERVICE_CLASS_COUNT)
SPOIL(bad_protocol, scene->request.protocol = PROTOCOL_NONE)
SPOIL(tcp_port_zero, scene->request.port = 0)
SPOIL(icmp_port, scene->request.protocol = PROTOCOL_ICMP)
SPOIL(negative_duration, scene->request.duration_sec = -1)
SPOIL(lease_beyond, scene->request.lease_sec = LEASE_SEC_MAX + 1)
SPOIL(star_host, strcpy(scene->request.to.host, "*"))
SPOIL(empty_site, scene->request.to.site[0] = '\0')
SPOIL(same_site, strcpy(scene->request.to.site, "device-maker"))
SPOIL(unknown_from, strcpy(scene->request.from.site, "nowhere"))
SPOIL(unknown_to, strcpy(scene->request.to.site, "nowhere"))
SPOIL(no_group, strcpy(scene->request.to.site, "clinic"))
SPOIL(group_without_class, scene->request.class = SERVICE_ASP)
SPOIL(class_not_offered, scene->request.class = SERVICE_BACKUP)
SPOIL(class_duration, scene->request.duration_sec = 7201)
SPOIL(class_lease, scene->request.lease_sec = 61)
SPOIL(no_initiator_policy, scene->facts.initiator_policy = NULL)
SPOIL(no_responder_policy, scene->facts.responder_policy = NULL)
SPOIL(swapped_policy, scene->facts.responder_policy = scene->maker)
SPOIL(unknown_from_host, strcpy(scene->request.from.host, "laptop"))
SPOIL(unknown_to_host, strcpy(scene->request.to.host, "mr"))
SPOIL(host_outside, strcpy(scene->request.to.host, "lost"))
SPOIL(other_class, scene->request.class = SERVICE_MAIL; scene->request.port = 25;
        strcpy(scene->request.to.host, "bare"))
SPOIL(other_protocol, scene->request.protocol = PROTOCOL_UDP)
SPOIL(port_below, scene->request.port = 4999)
SPOIL(port_above, scene->request.port = 5011)
SPOIL(port_last, scene->request.port = 65535)
SPOIL(rule_duration, scene->request.duration_sec = 5401)
SPOIL(rule_lease, scene->request.lease_sec = 46)
SPOIL(provider_unknown, scene->facts.provider_accredited = FACT_UNKNOWN)
SPOIL(provider_not, scene->facts.provider_accredited = FACT_NO)
SPOIL(device_ca_unknown, scene->facts.device_ca_accredited = FACT_UNKNOWN)
SPOIL(service_ca_not, scene->facts.service_ca_accredited = FACT_NO)
SPOIL(initiator_maker, scene->facts.initiator.maker_accredited = FACT_UNKNOWN)
SPOIL(responder_maker, scene->facts.responder.maker_accredited = FACT_NO)
SPOIL(initiator_device, scene->facts.initiator.device = CERTIFICATE_UNKNOWN)
SPOIL(initiator_service, scene->facts.initiator.service = CERTIFICATE_EXPIRED)
SPOIL(responder_device, scene->facts.responder.device = CERTIFICATE_SUSPENDED)
SPOIL(responder_service, scene->facts.responder.service = CERTIFICATE_REVOKED)
SPOIL(responder_missing, scene->facts.responder.service = CERTIFICATE_MISSING)
SPOIL(certificate_early, scene->facts.responder.service = CERTIFICATE_NOT_YET)
SPOIL(certificate_beyond, scene->facts.responder.service = (enum certificate_state)99)
SPOIL(gateway_unknown, scene->facts.initiator.gateway = GATEWAY_UNKNOWN)
SPOIL(gateway_offline, scene->facts.responder.gateway = GATEWAY_OFFLINE)
SPOIL(gateway_not_ready, scene->facts.responder.gateway = GATEWAY_NOT_READY)
SPOIL(nat_unknown, scene->facts.responder.behind_nat = FACT_UNKNOWN)
SPOIL(nat_foreign, scene->facts.initiator.behind_nat = FACT_FOREIGN)
SPOIL(nat_both, scene->facts.initiator.behind_nat = FACT_YES;
        scene->facts.responder.behind_nat = FACT_YES)
SPOIL(window_missing, scene->facts.window = (struct policy_window){ 0 })
SPOIL(window_backwards, scene->facts.window.not_after = NOW)
SPOIL(window_early, scene->now = NOW - 60 * USEC_PER_SEC - 1)
SPOIL(window_over, scene->now = scene->facts.window.not_after)
SPOIL(window_nearly_over, scene->now = scene->facts.window.not_after - USEC_PER_SEC + 1)
SPOIL(window_length, scene->request.duration_sec = GRANT_SEC_MAX + 1)
SPOIL(window_duration, scene->request.duration_sec = 8 * 3600 + 1)

/* --- agreement, person, work order, exclusion: the rows that follow ------ */

static void port(struct scene *scene, uint16_t number)
{
	scene->request.port = number;
}

/* A live connection besides, between the given hosts, at both ends' lists. */
static void beside(struct scene *scene, const char *from, const char *to, enum service_class class,
        uint16_t at)
{
	struct policy_beside *own = &scene->facts.responder.beside;

	scene->live[own->count] = (struct policy_live){ "device-maker", from, "core-hospital", to,
		class, PROTOCOL_TCP, at };
	own->live = scene->live;
	own->count++;
	scene->facts.initiator.beside = *own;
}

static void share(struct scene *scene, uint16_t number)
{
	scene->request.class = SERVICE_REGIONAL_SHARING;
	scene->request.port = number;
	strcpy(scene->request.to.host, "pacs");
}

static void approve(struct scene *scene, int64_t from_sec, int64_t until_sec)
{
	strcpy(scene->request.work_order, ORDER);
	scene->request.port = 22;
	scene->facts.person.factor = FACTOR_TWO;
	scene->facts.work_order.state = WORK_ORDER_OPEN;
	scene->facts.responder.approval = (struct policy_approval){ APPROVAL_GIVEN,
		{ NOW + from_sec * USEC_PER_SEC, NOW + until_sec * USEC_PER_SEC } };
}

static void order(struct scene *scene, enum policy_work_order_state state)
{
	strcpy(scene->request.work_order, ORDER);
	scene->facts.work_order = (struct policy_work_order){ state, "ended", FACT_UNKNOWN };
}

static void results(struct scene *scene)
{
	scene->request.class = SERVICE_RESULTS_DELIVERY;
	scene->request.port = 22;
	strcpy(scene->request.to.host, "pacs");
}

/* Nobody asks: a packet does. */
static void traffic(struct scene *scene, uint16_t number)
{
	share(scene, number);
	scene->request.traffic = true;
	scene->request.person[0] = scene->request.work_order[0] = '\0';
}

#define AGREEMENT(name, value)                                                                     \
	SPOIL(name, scene->facts.agreement.state = (enum policy_agreement_state)(value))

AGREEMENT(agreement_unknown, AGREEMENT_UNKNOWN)
AGREEMENT(agreement_beyond, 99)
AGREEMENT(agreement_none, AGREEMENT_NONE)
AGREEMENT(agreement_class, AGREEMENT_CLASS)
AGREEMENT(agreement_hosts, AGREEMENT_HOSTS)
AGREEMENT(agreement_service, AGREEMENT_SERVICE)
AGREEMENT(agreement_incomplete, AGREEMENT_INCOMPLETE)
AGREEMENT(agreement_unsigned, AGREEMENT_UNSIGNED)
AGREEMENT(agreement_not_yet, AGREEMENT_NOT_YET)
AGREEMENT(agreement_over, AGREEMENT_OVER)
AGREEMENT(agreement_ended, AGREEMENT_ENDED)
SPOIL(agreement_past, scene->facts.agreement.not_after = NOW + USEC_PER_SEC - 1)
SPOIL(agreement_short, scene->facts.agreement.not_after = NOW + 60 * USEC_PER_SEC;
        scene->request.duration_sec = 61)
SPOIL(hsz_class, results(scene); strcpy(scene->request.to.host, "ct"))
SPOIL(refused_host, strcpy(scene->request.from.host, "tablet"))
SPOIL(refused_class, share(scene, 443); strcpy(scene->request.from.host, "watch"))
SPOIL(after_hours, port(scene, 24); scene->now = NOW - 40 * 60 * USEC_PER_SEC;
        scene->facts.window.not_before = scene->now)
SPOIL(hours_too_long, port(scene, 24); scene->now = NOW + 2 * 3600 * USEC_PER_SEC;
        scene->facts.window.not_before = NOW + 7200 * USEC_PER_SEC;
        scene->request.duration_sec = 29801;
        scene->facts.window.not_after = NOW + 86400 * USEC_PER_SEC)
SPOIL(posture_unknown, port(scene, 26))
SPOIL(posture_outdated, port(scene, 26); scene->facts.initiator.posture = POSTURE_OUTDATED;
        scene->facts.responder.posture = POSTURE_CURRENT)
SPOIL(traffic_asks, traffic(scene, 29))
SPOIL(traffic_person, traffic(scene, 28); strcpy(scene->request.person, "suzuki"))
SPOIL(traffic_order, traffic(scene, 28); order(scene, WORK_ORDER_OPEN))
SPOIL(traffic_emergency, traffic(scene, 28); scene->request.emergency = true)
SPOIL(nobody, scene->request.person[0] = '\0')
SPOIL(nobody_emergency, results(scene); scene->request.person[0] = '\0';
        scene->request.emergency = true)
SPOIL(nobody_order, results(scene); order(scene, WORK_ORDER_OPEN); scene->request.person[0] = '\0')
SPOIL(nobody_strict, results(scene); scene->facts.provider = scene->strict;
        scene->request.person[0] = '\0'; scene->request.class = SERVICE_REMOTE_MAINTENANCE)
SPOIL(nobody_factor, share(scene, 444); scene->request.person[0] = '\0')
SPOIL(nobody_ask, share(scene, 445); scene->request.person[0] = '\0')
SPOIL(person_unknown, scene->facts.person.state = PERSON_UNKNOWN)
SPOIL(person_beyond, scene->facts.person.state = (enum policy_person_state)9)
SPOIL(person_unregistered, scene->facts.person.state = PERSON_UNREGISTERED)
SPOIL(person_inactive, scene->facts.person.state = PERSON_INACTIVE)
SPOIL(person_organization, scene->facts.person.of_organization = FACT_UNKNOWN)
SPOIL(person_elsewhere, scene->facts.person.of_organization = FACT_NO)
SPOIL(person_role, scene->facts.person.role_allows = FACT_NO)
SPOIL(no_factor, results(scene); scene->facts.person.factor = FACTOR_NONE)
SPOIL(one_factor, approve(scene, 0, 7200); scene->facts.person.factor = FACTOR_ONE)
SPOIL(class_factor, scene->facts.provider = scene->strict)
SPOIL(class_factor_alone, scene->facts.provider = scene->strict;
        scene->facts.foreign = LAYER_BIT(LAYER_INITIATOR_SITE) | LAYER_BIT(LAYER_RESPONDER_SITE))
SPOIL(order_unknown, order(scene, WORK_ORDER_UNKNOWN))
SPOIL(order_beyond, order(scene, (enum policy_work_order_state)99))
SPOIL(order_missing, order(scene, WORK_ORDER_MISSING))
SPOIL(order_worker, order(scene, WORK_ORDER_OTHER_WORKER))
SPOIL(order_target, order(scene, WORK_ORDER_OTHER_TARGET))
SPOIL(order_closed, order(scene, WORK_ORDER_NOT_OPEN))
SPOIL(order_bad_id, strcpy(scene->request.work_order, "x"))
SPOIL(person_unended, memset(scene->request.person, 'x', sizeof(scene->request.person)))
SPOIL(not_named, approve(scene, 0, 7200); scene->request.work_order[0] = '\0')
SPOIL(approval_unknown, approve(scene, 0, 7200);
        scene->facts.responder.approval.state = APPROVAL_UNKNOWN)
SPOIL(approval_beyond, approve(scene, 0, 7200);
        scene->facts.responder.approval.state = (enum policy_approval_state)99)
SPOIL(approval_none, approve(scene, 0, 7200); scene->facts.responder.approval.state = APPROVAL_NONE)
SPOIL(approval_refused, approve(scene, 0, 7200);
        scene->facts.responder.approval.state = APPROVAL_REFUSED)
SPOIL(approval_invalid, approve(scene, 0, 7200);
        scene->facts.responder.approval.state = APPROVAL_INVALID)
SPOIL(approval_timeless, approve(scene, 0, 7200);
        scene->facts.responder.approval.window = (struct policy_window){ 0 })
SPOIL(approval_early, approve(scene, 1, 7200))
SPOIL(approval_over, approve(scene, -7200, 0))
SPOIL(approval_short, approve(scene, 0, 600); scene->request.duration_sec = 601)
SPOIL(approval_of_class, approve(scene, 0, 7200); port(scene, 104);
        scene->facts.provider = scene->strict;
        scene->facts.responder.approval.state = APPROVAL_NONE)
SPOIL(approval_own, approve(scene, 0, 7200); port(scene, 28);
        strcpy(scene->request.to.host, "pacs");
        scene->facts.initiator.approval.state = APPROVAL_NONE)
SPOIL(emergency_required, approve(scene, 0, 7200); scene->request.work_order[0] = '\0';
        scene->request.emergency = true; scene->facts.work_order.emergency_allowed = FACT_YES)
SPOIL(emergency_unreviewed, port(scene, 23); scene->request.emergency = true;
        scene->facts.work_order.emergency_allowed = FACT_NO)
SPOIL(emergency_unknown, port(scene, 23); scene->request.emergency = true)
SPOIL(emergency_unasked, port(scene, 23); scene->facts.work_order.emergency_allowed = FACT_YES)
SPOIL(beside_unknown, scene->facts.responder.beside.known = FACT_UNKNOWN)
SPOIL(beside_no, scene->facts.initiator.beside.known = FACT_NO)
SPOIL(beside_nothing, scene->facts.initiator.beside.known = FACT_FOREIGN;
        scene->facts.responder.beside.known = FACT_FOREIGN)
SPOIL(excluded_host, beside(scene, "tablet", "ct", SERVICE_ASP, 80))
SPOIL(excluded_own, beside(scene, "terminal", "bare", SERVICE_MAIL, 80))
SPOIL(excluded_zone, results(scene); beside(scene, "tablet", "view", SERVICE_INTERNET, 80))
SPOIL(too_many, port(scene, 27); strcpy(scene->request.to.host, "pacs");
        beside(scene, "terminal", "pacs", SERVICE_REMOTE_MAINTENANCE, 27);
        beside(scene, "terminal", "view", SERVICE_REMOTE_MAINTENANCE, 27))

static const struct row rows[] = {
	{ "agreement unknown", agreement_unknown, LAYER_AGREEMENT, REASON_AGREEMENT_UNKNOWN,
	        "ct-care" },
	{ "agreement beyond", agreement_beyond, LAYER_AGREEMENT, REASON_AGREEMENT_UNKNOWN, "" },
	{ "no agreement", agreement_none, LAYER_AGREEMENT, REASON_AGREEMENT_NONE, "ct-care" },
	{ "its class", agreement_class, LAYER_AGREEMENT, REASON_AGREEMENT_CLASS, "ct-care" },
	{ "its hosts", agreement_hosts, LAYER_AGREEMENT, REASON_AGREEMENT_HOSTS, "ct-care" },
	{ "its ports", agreement_service, LAYER_AGREEMENT, REASON_AGREEMENT_SERVICE, "ct-care" },
	{ "incomplete", agreement_incomplete, LAYER_AGREEMENT, REASON_AGREEMENT_INCOMPLETE,
	        "ct-care" },
	{ "unsigned", agreement_unsigned, LAYER_AGREEMENT, REASON_AGREEMENT_UNSIGNED, "ct-care" },
	{ "later", agreement_not_yet, LAYER_AGREEMENT, REASON_AGREEMENT_NOT_YET, "ct-care" },
	{ "over", agreement_over, LAYER_AGREEMENT, REASON_AGREEMENT_OVER, "ct-care" },
	{ "ended", agreement_ended, LAYER_AGREEMENT, REASON_AGREEMENT_ENDED, "ct-care" },
	{ "agreement past", agreement_past, LAYER_AGREEMENT, REASON_AGREEMENT_OVER,
	        "ct-care (until 2023-11-14T22:13:20Z)" },
	{ "agreement short", agreement_short, LAYER_AGREEMENT, REASON_AGREEMENT_DURATION,
	        "ct-care (until 2023-11-14T22:14:20Z)" },
	{ "hsz", hsz_class, LAYER_RESPONDER_SITE, REASON_SITE_HSZ, "ct" },
	{ "refused", refused_host, LAYER_RESPONDER_SITE, REASON_SITE_REFUSED, "no-tablet" },
	{ "refused class", refused_class, LAYER_RESPONDER_SITE, REASON_SITE_REFUSED, "no-share" },
	{ "hours", after_hours, LAYER_RESPONDER_SITE, REASON_SITE_RULE_HOURS,
	        "daytime (next 2023-11-15T09:00+09:00)" },
	{ "hours' end", hours_too_long, LAYER_RESPONDER_SITE, REASON_SITE_RULE_HOURS_END,
	        "daytime (until 2023-11-15T17:30+09:00)" },
	{ "traffic", traffic_asks, LAYER_RESPONDER_SITE, REASON_SITE_RULE_TRAFFIC, "asked" },
	{ "traffic of a person", traffic_person, LAYER_PROVIDER, REASON_REQUEST_MALFORMED, "" },
	{ "traffic for work", traffic_order, LAYER_PROVIDER, REASON_REQUEST_MALFORMED, "" },
	{ "traffic, urgently", traffic_emergency, LAYER_PROVIDER, REASON_REQUEST_MALFORMED, "" },
	{ "posture", posture_unknown, LAYER_RESPONDER_SITE, REASON_SITE_RULE_POSTURE, "healthy" },
	{ "outdated", posture_outdated, LAYER_RESPONDER_SITE, REASON_SITE_RULE_POSTURE, "healthy" },
	{ "nobody", nobody, LAYER_PERSON, REASON_PERSON_NOBODY, "" },
	{ "nobody's emergency", nobody_emergency, LAYER_PERSON, REASON_PERSON_NOBODY, "" },
	{ "nobody's order", nobody_order, LAYER_PERSON, REASON_PERSON_NOBODY, "" },
	{ "nobody, strict", nobody_strict, LAYER_PERSON, REASON_PERSON_NOBODY, "" },
	{ "nobody, two factors", nobody_factor, LAYER_PERSON, REASON_PERSON_NOBODY, "share-all" },
	{ "nobody, approval", nobody_ask, LAYER_PERSON, REASON_PERSON_NOBODY, "share-ask" },
	{ "person unknown", person_unknown, LAYER_PERSON, REASON_PERSON_UNKNOWN, "" },
	{ "person beyond", person_beyond, LAYER_PERSON, REASON_PERSON_UNKNOWN, "" },
	{ "unregistered", person_unregistered, LAYER_PERSON, REASON_PERSON_UNREGISTERED, "" },
	{ "inactive", person_inactive, LAYER_PERSON, REASON_PERSON_INACTIVE, "" },
	{ "organization", person_organization, LAYER_PERSON, REASON_PERSON_ORGANIZATION, "" },
	{ "elsewhere", person_elsewhere, LAYER_PERSON, REASON_PERSON_ORGANIZATION, "" },
	{ "role", person_role, LAYER_PERSON, REASON_PERSON_ROLE, "" },
	{ "no factor", no_factor, LAYER_PERSON, REASON_PERSON_FACTOR, "results" },
	{ "one factor", one_factor, LAYER_PERSON, REASON_PERSON_FACTOR, "ask" },
	{ "class factor", class_factor, LAYER_PERSON, REASON_PERSON_FACTOR, "out" },
	{ "class factor alone", class_factor_alone, LAYER_PERSON, REASON_PERSON_FACTOR, "" },
	{ "order unknown", order_unknown, LAYER_WORK_ORDER, REASON_WORK_ORDER_UNKNOWN, "" },
	{ "order beyond", order_beyond, LAYER_WORK_ORDER, REASON_WORK_ORDER_UNKNOWN, "" },
	{ "no order", order_missing, LAYER_WORK_ORDER, REASON_WORK_ORDER_MISSING, "" },
	{ "worker", order_worker, LAYER_WORK_ORDER, REASON_WORK_ORDER_WORKER, "" },
	{ "target", order_target, LAYER_WORK_ORDER, REASON_WORK_ORDER_TARGET, "" },
	{ "order ended", order_closed, LAYER_WORK_ORDER, REASON_WORK_ORDER_NOT_OPEN, "ended" },
	{ "order id", order_bad_id, LAYER_WORK_ORDER, REASON_REQUEST_MALFORMED, "" },
	{ "person's end", person_unended, LAYER_PERSON, REASON_REQUEST_MALFORMED, "" },
	{ "not named", not_named, LAYER_WORK_ORDER, REASON_WORK_ORDER_NOT_NAMED, "ask" },
	{ "approval unknown", approval_unknown, LAYER_WORK_ORDER,
	        REASON_WORK_ORDER_APPROVAL_UNKNOWN, "" },
	{ "approval beyond", approval_beyond, LAYER_WORK_ORDER, REASON_WORK_ORDER_APPROVAL_UNKNOWN,
	        "" },
	{ "approval none", approval_none, LAYER_WORK_ORDER, REASON_WORK_ORDER_APPROVAL_NONE, "" },
	{ "approval refused", approval_refused, LAYER_WORK_ORDER,
	        REASON_WORK_ORDER_APPROVAL_REFUSED, "" },
	{ "approval invalid", approval_invalid, LAYER_WORK_ORDER,
	        REASON_WORK_ORDER_APPROVAL_INVALID, "" },
	{ "approval timeless", approval_timeless, LAYER_WORK_ORDER,
	        REASON_WORK_ORDER_APPROVAL_UNKNOWN, "" },
	{ "approval early", approval_early, LAYER_WORK_ORDER, REASON_WORK_ORDER_APPROVAL_EARLY,
	        "2023-11-14T22:13:21.000Z" },
	{ "approval over", approval_over, LAYER_WORK_ORDER, REASON_WORK_ORDER_APPROVAL_OVER,
	        "2023-11-14T22:13:20.000Z" },
	{ "approval short", approval_short, LAYER_WORK_ORDER, REASON_WORK_ORDER_APPROVAL_DURATION,
	        "2023-11-14T22:23:20.000Z" },
	{ "class approval", approval_of_class, LAYER_WORK_ORDER, REASON_WORK_ORDER_APPROVAL_NONE,
	        "" },
	{ "own approval", approval_own, LAYER_WORK_ORDER, REASON_WORK_ORDER_APPROVAL_NONE, "" },
	{ "emergency elsewhere", emergency_required, LAYER_WORK_ORDER,
	        REASON_WORK_ORDER_EMERGENCY_RULE, "ask" },
	{ "emergency unreviewed", emergency_unreviewed, LAYER_WORK_ORDER,
	        REASON_WORK_ORDER_EMERGENCY_REVIEW, "urgent" },
	{ "emergency unknown", emergency_unknown, LAYER_WORK_ORDER,
	        REASON_WORK_ORDER_EMERGENCY_REVIEW, "urgent" },
	{ "emergency unasked", emergency_unasked, LAYER_WORK_ORDER,
	        REASON_WORK_ORDER_EMERGENCY_ONLY, "urgent" },
	{ "beside unknown", beside_unknown, LAYER_EXCLUSION, REASON_EXCLUSION_UNKNOWN, "" },
	{ "beside no", beside_no, LAYER_EXCLUSION, REASON_EXCLUSION_UNKNOWN, "" },
	{ "beside nothing", beside_nothing, LAYER_EXCLUSION, REASON_EXCLUSION_NOTHING, "" },
	{ "excluded host", excluded_host, LAYER_EXCLUSION, REASON_EXCLUSION_CLASS, "asp" },
	{ "excluded own", excluded_own, LAYER_EXCLUSION, REASON_EXCLUSION_CLASS, "mail" },
	{ "excluded zone", excluded_zone, LAYER_EXCLUSION, REASON_EXCLUSION_CLASS, "internet" },
	{ "too many", too_many, LAYER_EXCLUSION, REASON_EXCLUSION_RULE, "single: 2" },

	{ "no provider policy", no_provider_policy, LAYER_PROVIDER, REASON_PROVIDER_POLICY_MISSING,
	        "" },
	{ "no class", bad_class, LAYER_PROVIDER, REASON_REQUEST_MALFORMED, "" },
	{ "class beyond", class_beyond, LAYER_WINDOW, REASON_REQUEST_MALFORMED, "" },
	{ "no protocol", bad_protocol, LAYER_GROUP, REASON_REQUEST_MALFORMED, "" },
	{ "tcp port 0", tcp_port_zero, LAYER_RESPONDER_SITE, REASON_REQUEST_MALFORMED, "" },
	{ "icmp port", icmp_port, LAYER_PROVIDER, REASON_REQUEST_MALFORMED, "" },
	{ "negative", negative_duration, LAYER_PROVIDER, REASON_REQUEST_MALFORMED, "" },
	{ "lease beyond", lease_beyond, LAYER_PROVIDER, REASON_REQUEST_MALFORMED, "" },
	{ "star", star_host, LAYER_RESPONDER_SITE, REASON_REQUEST_MALFORMED, "" },
	{ "empty site", empty_site, LAYER_PROVIDER, REASON_REQUEST_MALFORMED, "" },
	{ "same site", same_site, LAYER_PROVIDER, REASON_SAME_SITE, "" },
	{ "unknown from", unknown_from, LAYER_PROVIDER, REASON_INITIATOR_UNKNOWN, "" },
	{ "unknown to", unknown_to, LAYER_PROVIDER, REASON_RESPONDER_UNKNOWN, "" },
	{ "no group", no_group, LAYER_GROUP, REASON_GROUP_NONE, "" },
	{ "unknown in group", unknown_to, LAYER_GROUP, REASON_GROUP_NONE, "" },
	{ "group class", group_without_class, LAYER_GROUP, REASON_GROUP_CLASS, "a" },
	{ "not offered", class_not_offered, LAYER_CLASS, REASON_CLASS_NOT_OFFERED, "" },
	{ "class duration", class_duration, LAYER_CLASS, REASON_CLASS_DURATION, "2h" },
	{ "class lease", class_lease, LAYER_CLASS, REASON_CLASS_LEASE, "1m" },
	{ "no policy from", no_initiator_policy, LAYER_INITIATOR_SITE, REASON_SITE_POLICY_MISSING,
	        "" },
	{ "no policy to", no_responder_policy, LAYER_RESPONDER_SITE, REASON_SITE_POLICY_MISSING,
	        "" },
	{ "swapped", swapped_policy, LAYER_RESPONDER_SITE, REASON_SITE_POLICY_FOREIGN,
	        "device-maker" },
	{ "unknown from host", unknown_from_host, LAYER_INITIATOR_SITE, REASON_SITE_HOST_UNKNOWN,
	        "" },
	{ "unknown from host there", unknown_from_host, LAYER_RESPONDER_SITE, REASON_NONE, NULL },
	{ "unknown to host", unknown_to_host, LAYER_RESPONDER_SITE, REASON_SITE_HOST_UNKNOWN, "" },
	{ "host outside", host_outside, LAYER_RESPONDER_SITE, REASON_SITE_HOST_ADDRESS, "lost" },
	{ "other class", other_class, LAYER_RESPONDER_SITE, REASON_SITE_RULE_CLASS, "ping" },
	{ "other protocol", other_protocol, LAYER_RESPONDER_SITE, REASON_SITE_RULE_PROTOCOL,
	        "ping" },
	{ "port below", port_below, LAYER_RESPONDER_SITE, REASON_SITE_RULE_PORT, "daytime" },
	{ "port above", port_above, LAYER_RESPONDER_SITE, REASON_SITE_RULE_PORT, "daytime" },
	{ "port last", port_last, LAYER_INITIATOR_SITE, REASON_SITE_RULE_PORT, "out" },
	{ "rule duration", rule_duration, LAYER_RESPONDER_SITE, REASON_SITE_DURATION,
	        "ct-long: 90m" },
	{ "rule lease", rule_lease, LAYER_RESPONDER_SITE, REASON_SITE_LEASE, "ct-long: 45s" },
	{ "provider unknown", provider_unknown, LAYER_ACCREDITATION, REASON_ACCREDITATION_PROVIDER,
	        "not known" },
	{ "provider not", provider_not, LAYER_ACCREDITATION, REASON_ACCREDITATION_PROVIDER,
	        "not accredited" },
	{ "device CA", device_ca_unknown, LAYER_ACCREDITATION, REASON_ACCREDITATION_DEVICE_CA,
	        "not known" },
	{ "service CA", service_ca_not, LAYER_ACCREDITATION, REASON_ACCREDITATION_SERVICE_CA,
	        "not accredited" },
	{ "maker from", initiator_maker, LAYER_ACCREDITATION, REASON_ACCREDITATION_INITIATOR_MAKER,
	        "not known" },
	{ "maker to", responder_maker, LAYER_ACCREDITATION, REASON_ACCREDITATION_RESPONDER_MAKER,
	        "not accredited" },
	{ "device from", initiator_device, LAYER_CERTIFICATES, REASON_CERTIFICATES_INITIATOR_DEVICE,
	        "not known" },
	{ "service from", initiator_service, LAYER_CERTIFICATES,
	        REASON_CERTIFICATES_INITIATOR_SERVICE, "expired" },
	{ "device to", responder_device, LAYER_CERTIFICATES, REASON_CERTIFICATES_RESPONDER_DEVICE,
	        "suspended" },
	{ "service to", responder_service, LAYER_CERTIFICATES,
	        REASON_CERTIFICATES_RESPONDER_SERVICE, "revoked" },
	{ "missing", responder_missing, LAYER_CERTIFICATES, REASON_CERTIFICATES_RESPONDER_SERVICE,
	        "missing" },
	{ "not yet", certificate_early, LAYER_CERTIFICATES, REASON_CERTIFICATES_RESPONDER_SERVICE,
	        "not valid yet" },
	{ "beyond", certificate_beyond, LAYER_CERTIFICATES, REASON_CERTIFICATES_RESPONDER_SERVICE,
	        "not known" },
	{ "gateway unknown", gateway_unknown, LAYER_GATEWAYS, REASON_GATEWAYS_INITIATOR,
	        "not known" },
	{ "gateway offline", gateway_offline, LAYER_GATEWAYS, REASON_GATEWAYS_RESPONDER,
	        "offline" },
	{ "not ready", gateway_not_ready, LAYER_GATEWAYS, REASON_GATEWAYS_RESPONDER, "not ready" },
	{ "NAT unknown", nat_unknown, LAYER_GATEWAYS, REASON_GATEWAYS_NAT_UNKNOWN, "" },
	{ "NAT foreign", nat_foreign, LAYER_GATEWAYS, REASON_GATEWAYS_NAT_UNKNOWN, "" },
	{ "NAT both", nat_both, LAYER_GATEWAYS, REASON_GATEWAYS_BOTH_NAT, "" },
	{ "window missing", window_missing, LAYER_WINDOW, REASON_WINDOW_MISSING, "" },
	{ "window backwards", window_backwards, LAYER_WINDOW, REASON_WINDOW_MISSING, "" },
	{ "early", window_early, LAYER_WINDOW, REASON_WINDOW_EARLY, "2023-11-14T22:13:20.000Z" },
	{ "over", window_over, LAYER_WINDOW, REASON_WINDOW_OVER, "2023-11-15T06:13:20.000Z" },
	{ "nearly over", window_nearly_over, LAYER_WINDOW, REASON_WINDOW_OVER,
	        "2023-11-15T06:13:20.000Z" },
	{ "length", window_length, LAYER_WINDOW, REASON_WINDOW_LENGTH, "1d" },
	{ "window duration", window_duration, LAYER_WINDOW, REASON_WINDOW_DURATION, "8h" },
};

TEST(each_missing_or_bad_fact_denies_alone)
{
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		AUTO_SCENE struct scene scene = scene_open();
		struct policy_layer_result result;
		struct policy_detail detail;
		struct decision decision;

		CHECK(decide(&scene).verdict == VERDICT_PERMIT);
		rows[i].spoil(&scene);
		decision = decide(&scene);
		result = decision.layers[rows[i].layer];
		detail = policy_detail(&decision, rows[i].layer);
		printf("# %s: %s %s\n", rows[i].what, policy_reason_name(result.reason),
		        detail.text);
		CHECK(decision.verdict == VERDICT_DENY);
		if (!rows[i].detail) {
			/* Denied by another layer; a star there does cover it here. */
			CHECK(result.verdict == VERDICT_PERMIT);
			continue;
		}
		CHECK(result.consulted && result.verdict == VERDICT_DENY);
		CHECK(result.reason == rows[i].reason);
		CHECK_TEXT(detail.text, rows[i].detail);
	}
}

TEST(an_approval_opens_and_bounds)
{
	AUTO_SCENE struct scene scene = scene_open();
	struct decision decision;

	approve(&scene, 0, 600);
	decision = decide(&scene);
	CHECK(decision.verdict == VERDICT_PERMIT && decision.duration_sec == 600);
	CHECK(decision.layers[LAYER_WORK_ORDER].reason == REASON_WORK_ORDER_OK);
	CHECK_TEXT(decision.responder_rule, "ask");
	scene.request.duration_sec = 600;
	CHECK(decide(&scene).verdict == VERDICT_PERMIT);
	/* Whose word it is does not matter where another has it; time is then not ours to count. */
	scene.facts.responder.approval = (struct policy_approval){ .state = APPROVAL_FOREIGN };
	scene.facts.work_order.state = WORK_ORDER_FOREIGN;
	scene.request.duration_sec = 0;
	decision = decide(&scene);
	CHECK(decision.verdict == VERDICT_PERMIT && decision.duration_sec == 3600);
	/* The class wants one of the site that is reached, and of no other. */
	scene.request.port = 104;
	scene.facts.provider = scene.strict;
	decision = decide(&scene);
	CHECK(decision.verdict == VERDICT_PERMIT && !decision.outage);
	CHECK(decision.layers[LAYER_WORK_ORDER].reason == REASON_WORK_ORDER_OK);
	CHECK(!decision.layers[LAYER_WORK_ORDER].of_initiator);
	/* An approved work order opens no emergency rule. */
	scene.facts.provider = scene.provider;
	scene.request.port = 23;
	decision = decide(&scene);
	CHECK(decision.layers[LAYER_WORK_ORDER].reason == REASON_WORK_ORDER_EMERGENCY_ONLY);
	CHECK(decision.verdict == VERDICT_DENY && !decision.emergency);
}

TEST(an_emergency_opens_what_may_be_opened_so)
{
	AUTO_SCENE struct scene scene = scene_open();
	struct decision decision;

	port(&scene, 23);
	scene.request.emergency = true;
	scene.facts.work_order.emergency_allowed = FACT_YES;
	decision = decide(&scene);
	CHECK(decision.verdict == VERDICT_PERMIT && decision.emergency);
	CHECK(decision.review_sec == 12 * 3600 && decision.duration_sec == 1200);
	CHECK(decision.idle_sec == 300 && !decision.outage);
	CHECK(decision.layers[LAYER_WORK_ORDER].reason == REASON_WORK_ORDER_EMERGENCY_OK);
	scene.facts.work_order.emergency_allowed = FACT_FOREIGN;
	CHECK(decide(&scene).verdict == VERDICT_PERMIT);
	/* Where it is not needed it changes nothing. */
	port(&scene, 104);
	scene.facts.work_order.emergency_allowed = FACT_NO;
	decision = decide(&scene);
	CHECK(decision.verdict == VERDICT_PERMIT && !decision.emergency);
	CHECK(decision.layers[LAYER_WORK_ORDER].reason == REASON_WORK_ORDER_NONE_NEEDED);
	/* A work order that is named has to hold also where none is wanted. */
	order(&scene, WORK_ORDER_OPEN);
	CHECK(decide(&scene).verdict == VERDICT_PERMIT);
}

TEST(nobody_and_everybody)
{
	AUTO_SCENE struct scene scene = scene_open();
	struct decision decision;

	results(&scene);
	CHECK(decide(&scene).layers[LAYER_PERSON].reason == REASON_PERSON_OK);
	scene.request.person[0] = '\0';
	scene.facts.person = (struct policy_person){ 0 };
	decision = decide(&scene);
	CHECK(decision.verdict == VERDICT_PERMIT && !decision.outage);
	CHECK(decision.layers[LAYER_PERSON].reason == REASON_PERSON_NOBODY_OK);
	strcpy(scene.request.person, "suzuki");
	scene.facts.person =
	        (struct policy_person){ PERSON_ACTIVE, FACT_FOREIGN, FACT_FOREIGN, FACTOR_TWO };
	CHECK(decide(&scene).verdict == VERDICT_PERMIT);
	share(&scene, 444);
	decision = decide(&scene);
	CHECK(decision.verdict == VERDICT_PERMIT);
	CHECK_TEXT(decision.responder_rule, "share-all");
	/* A star opens remote maintenance for a host of the high security zone, nothing else. */
	scene = (strcpy(scene.request.to.host, "ct"), scene);
	CHECK(decide(&scene).layers[LAYER_RESPONDER_SITE].reason == REASON_SITE_HSZ);
	scene.facts.agreement = (struct policy_agreement){ .state = AGREEMENT_SAME_ORGANIZATION };
	CHECK(decide(&scene).layers[LAYER_AGREEMENT].verdict == VERDICT_PERMIT);
}

TEST(an_agreement_ends_the_connection_with_it)
{
	AUTO_SCENE struct scene scene = scene_open();
	struct decision decision;

	scene.facts.agreement.not_after = NOW + 60 * USEC_PER_SEC;
	decision = decide(&scene);
	CHECK(decision.verdict == VERDICT_PERMIT && decision.duration_sec == 60);
	scene.request.duration_sec = 60;
	CHECK(decide(&scene).verdict == VERDICT_PERMIT);
	scene.request.duration_sec = 0;
	scene.facts.agreement.not_after = NOW + USEC_PER_SEC;
	CHECK(decide(&scene).duration_sec == 1);
}

/* NOW is 07:13:20 of a Wednesday in Japan. */
TEST(hours_begin_and_end_a_connection)
{
	AUTO_SCENE struct scene scene = scene_open();
	int64_t nine = NOW + (106 * 60 + 40) * USEC_PER_SEC;
	struct decision decision;

	port(&scene, 24);
	scene.facts.foreign = LAYER_BIT(LAYER_WINDOW);
	scene.now = nine - 1;
	CHECK(decide(&scene).layers[LAYER_RESPONDER_SITE].reason == REASON_SITE_RULE_HOURS);
	scene.now = nine;
	decision = decide(&scene);
	CHECK(decision.verdict == VERDICT_PERMIT && decision.duration_sec == 7200);
	scene.now = nine + (8 * 3600 + 1800 - 60) * USEC_PER_SEC;
	decision = decide(&scene);
	CHECK(decision.verdict == VERDICT_PERMIT && decision.duration_sec == 60);
	scene.request.duration_sec = 60;
	CHECK(decide(&scene).verdict == VERDICT_PERMIT);
	scene.request.duration_sec = 61;
	CHECK(decide(&scene).layers[LAYER_RESPONDER_SITE].reason == REASON_SITE_RULE_HOURS_END);
	scene.request.duration_sec = 0;
	scene.now = nine + (8 * 3600 + 1800) * USEC_PER_SEC - USEC_PER_SEC;
	CHECK(decide(&scene).verdict == VERDICT_PERMIT);
	scene.now++;
	CHECK(decide(&scene).layers[LAYER_RESPONDER_SITE].reason == REASON_SITE_RULE_HOURS);
	/* In a review the begin is the grant's, and what is left counts from now. */
	scene.facts.foreign = 0;
	scene.facts.window = (struct policy_window){ nine, nine + 7200 * USEC_PER_SEC };
	scene.request.duration_sec = 7200;
	scene.now = nine + 7000 * USEC_PER_SEC;
	decision = decide(&scene);
	CHECK(decision.verdict == VERDICT_PERMIT && decision.duration_sec == 200);
}

TEST(first_traffic_opens_what_both_rules_say)
{
	AUTO_SCENE struct scene scene = scene_open();
	struct decision decision;

	traffic(&scene, 28);
	decision = decide(&scene);
	CHECK(decision.verdict == VERDICT_PERMIT && decision.idle_sec == 300);
	CHECK(decision.layers[LAYER_PERSON].reason == REASON_PERSON_NOBODY_OK);
	/* It opens on request as well. */
	scene.request.traffic = false;
	CHECK(decide(&scene).verdict == VERDICT_PERMIT);
	/* What the class wants of the reached site takes it away. */
	scene.request.traffic = true;
	scene.facts.initiator.gateway = GATEWAY_OFFLINE;
	CHECK(decide(&scene).verdict == VERDICT_DENY);
}

TEST(the_rules_for_a_first_packet)
{
	AUTO_SCENE struct scene scene = scene_open();
	const struct site_policy *maker = scene.facts.initiator_policy;
	struct site_policy_traffic found;
	size_t at = 0;

	CHECK(site_policy_traffic_next(maker, "terminal", PROTOCOL_TCP, 28, &at, &found) == 0);
	CHECK_TEXT(found.peer_site, "core-hospital");
	CHECK(found.peer_host && strcmp(found.peer_host, "pacs") == 0);
	CHECK(found.class == SERVICE_REGIONAL_SHARING);
	CHECK(site_policy_traffic_next(maker, "terminal", PROTOCOL_TCP, 28, &at, &found) == 1);
	/* Another port, protocol or host, a rule without the word, an inbound one. */
	at = 0;
	CHECK(site_policy_traffic_next(maker, "terminal", PROTOCOL_TCP, 30, &at, &found) == 1);
	at = 0;
	CHECK(site_policy_traffic_next(maker, "terminal", PROTOCOL_UDP, 28, &at, &found) == 1);
	at = 0;
	CHECK(site_policy_traffic_next(maker, "tablet", PROTOCOL_TCP, 28, &at, &found) == 1);
	at = 0;
	CHECK(site_policy_traffic_next(maker, "nobody", PROTOCOL_TCP, 28, &at, &found) == 1);
	at = 0;
	CHECK(site_policy_traffic_next(maker, "terminal", PROTOCOL_TCP, 443, &at, &found) == 1);
	at = 0;
	CHECK(site_policy_traffic_next(
	              scene.facts.responder_policy, "pacs", PROTOCOL_TCP, 28, &at, &found) == 1);
	CHECK(site_policy_traffic_from(maker, 0) && !site_policy_traffic_from(maker, 1));
	CHECK(!site_policy_traffic_from(scene.facts.responder_policy, 1));
}

TEST(posture_is_the_other_end_s)
{
	AUTO_SCENE struct scene scene = scene_open();

	port(&scene, 26);
	scene.facts.initiator.posture = POSTURE_CURRENT;
	CHECK(decide(&scene).verdict == VERDICT_PERMIT);
	scene.facts.initiator.posture = POSTURE_FOREIGN;
	CHECK(decide(&scene).verdict == VERDICT_PERMIT);
}

/* F4: each pair in both directions, at the same host and in the same zone, at either end. */
TEST(services_that_exclude_each_other)
{
	static const char annex_c[][2][24] = {
		{ "asp", "results-delivery" },
		{ "asp", "online-claims" },
		{ "asp", "mail" },
		{ "asp", "internet" },
		{ "asp", "remote-maintenance" },
		{ "mail", "results-delivery" },
		{ "mail", "online-claims" },
		{ "mail", "remote-maintenance" },
		{ "internet", "results-delivery" },
		{ "internet", "online-claims" },
	};
	AUTO_SCENE struct scene scene = scene_open();
	int count = 0;

	for (int i = SERVICE_CLASS_NONE; i <= SERVICE_CLASS_COUNT; i++) {
		for (int k = SERVICE_CLASS_NONE; k <= SERVICE_CLASS_COUNT; k++) {
			const char *one = service_class_name((enum service_class)i);
			const char *other = service_class_name((enum service_class)k);
			bool listed = false;

			for (size_t row = 0; row < ARRAY_COUNT(annex_c); row++) {
				listed |= (!strcmp(one, annex_c[row][0]) &&
				                  !strcmp(other, annex_c[row][1])) ||
				          (!strcmp(other, annex_c[row][0]) &&
				                  !strcmp(one, annex_c[row][1]));
			}
			CHECK(policy_classes_exclude(NULL, (enum service_class)i,
			              (enum service_class)k) == listed);
			count += policy_classes_exclude(
			        scene.provider, (enum service_class)i, (enum service_class)k);
		}
	}
	CHECK(count == 22); /* ten pairs, and the provider's own one */
	CHECK(policy_classes_exclude(scene.provider, SERVICE_TIMESTAMP, SERVICE_BACKUP));
	/* Another zone, no zone, another site: nothing. */
	results(&scene);
	beside(&scene, "tablet", "web", SERVICE_INTERNET, 80);
	beside(&scene, "tablet", "bare", SERVICE_MAIL, 80);
	CHECK(decide(&scene).verdict == VERDICT_PERMIT);
	scene.live[0].to_site = "clinic";
	scene.live[0].to_host = "pacs";
	CHECK(decide(&scene).verdict == VERDICT_PERMIT);
	scene.live[0].to_site = "core-hospital";
	scene.live[0].to_host = "unnamed";
	CHECK(decide(&scene).verdict == VERDICT_PERMIT);
	/* What another has to know is not asked here. */
	scene.live[0].to_host = "pacs";
	CHECK(decide(&scene).verdict == VERDICT_DENY);
	scene.facts.responder.beside.known = FACT_FOREIGN;
	CHECK(decide(&scene).verdict == VERDICT_PERMIT);
	scene.live[0].from_host = "terminal";
	CHECK(decide(&scene).layers[LAYER_EXCLUSION].of_initiator);
	CHECK(decide(&scene).verdict == VERDICT_DENY);
}

TEST(concurrency_counts_the_rule_s_own)
{
	AUTO_SCENE struct scene scene = scene_open();

	port(&scene, 27);
	strcpy(scene.request.to.host, "pacs");
	beside(&scene, "terminal", "view", SERVICE_REMOTE_MAINTENANCE, 27);
	CHECK(decide(&scene).verdict == VERDICT_PERMIT);
	beside(&scene, "terminal", "pacs", SERVICE_REMOTE_MAINTENANCE, 28);
	CHECK(decide(&scene).verdict == VERDICT_PERMIT);
	scene.live[1] = (struct policy_live){ "device-maker", "tablet", "core-hospital", "pacs",
		SERVICE_REMOTE_MAINTENANCE, PROTOCOL_TCP, 27 };
	CHECK(decide(&scene).verdict == VERDICT_PERMIT);
	scene.live[1].from_host = "terminal";
	CHECK(decide(&scene).verdict == VERDICT_DENY);
	scene.live[1].protocol = PROTOCOL_UDP;
	CHECK(decide(&scene).verdict == VERDICT_PERMIT);
	scene.live[1].protocol = PROTOCOL_TCP;
	scene.live[1].class = SERVICE_BACKUP;
	CHECK(decide(&scene).verdict == VERDICT_PERMIT);
	scene.live[1].class = SERVICE_REMOTE_MAINTENANCE;
	scene.live[1].to_host = "bare";
	CHECK(decide(&scene).verdict == VERDICT_PERMIT);
	scene.live[1].to_host = "gone";
	CHECK(decide(&scene).verdict == VERDICT_PERMIT);
	scene.live[1].to_host = "pacs";
	scene.live[1].to_site = "clinic";
	CHECK(decide(&scene).verdict == VERDICT_PERMIT);
	scene.live[1].to_site = "core-hospital";
	scene.live[1].from_site = "clinic";
	CHECK(decide(&scene).verdict == VERDICT_PERMIT);
	scene.live[1].from_site = "device-maker";
	/* At a gateway that is not asked, or whose list another has, it does not count. */
	scene.facts.responder.beside.known = FACT_FOREIGN;
	CHECK(decide(&scene).verdict == VERDICT_PERMIT);
	scene.facts.responder.beside.known = FACT_YES;
	scene.facts.foreign = LAYER_BIT(LAYER_EXCLUSION);
	CHECK(decide(&scene).verdict == VERDICT_PERMIT);
}

TEST(concurrency_for_every_host_counts_one_that_is_not_named_any_more)
{
	AUTO_SCENE struct scene scene = scene_open();

	share(&scene, 446);
	CHECK(decide(&scene).verdict == VERDICT_PERMIT);
	beside(&scene, "terminal", "gone", SERVICE_REGIONAL_SHARING, 446);
	CHECK(decide(&scene).verdict == VERDICT_DENY);
	scene.live[0].to_site = "clinic";
	CHECK(decide(&scene).verdict == VERDICT_PERMIT);
}

TEST(what_is_another_s_holds_in_the_rules)
{
	AUTO_SCENE struct scene scene = scene_open();

	port(&scene, 22);
	scene.facts.foreign = LAYER_BIT(LAYER_PERSON) | LAYER_BIT(LAYER_WORK_ORDER);
	CHECK(decide(&scene).verdict == VERDICT_PERMIT);
	CHECK(!decide(&scene).emergency);
	port(&scene, 23);
	CHECK(decide(&scene).verdict == VERDICT_PERMIT && !decide(&scene).emergency);
	port(&scene, 22);
	scene.facts.foreign = LAYER_BIT(LAYER_PERSON);
	CHECK(decide(&scene).verdict == VERDICT_DENY);
	scene.facts.foreign = LAYER_BIT(LAYER_WORK_ORDER);
	CHECK(decide(&scene).verdict == VERDICT_DENY);
	port(&scene, 23);
	scene.request.emergency = true;
	CHECK(decide(&scene).verdict == VERDICT_PERMIT && decide(&scene).emergency);
	/* Words of a class whose layer is another's do not count. */
	port(&scene, 104);
	scene.facts.provider = scene.strict;
	scene.facts.foreign = LAYER_BIT(LAYER_CLASS);
	CHECK(decide(&scene).verdict == VERDICT_PERMIT && decide(&scene).outage);
	scene.facts.foreign |= LAYER_BIT(LAYER_INITIATOR_SITE);
	CHECK(decide(&scene).outage && decide(&scene).idle_sec == 600);
	scene.facts.foreign |= LAYER_BIT(LAYER_RESPONDER_SITE);
	CHECK(!decide(&scene).outage);
}

TEST(a_rule_that_asks_for_less_serves_where_a_longer_one_does_not)
{
	AUTO_SCENE struct scene scene = scene_open();
	struct decision decision;

	/* ct-long has 90m but a lease of 45s at most; ct-dicom 30s, ping is not asked. */
	scene.request.lease_sec = 45;
	decision = decide(&scene);
	CHECK_TEXT(decision.responder_rule, "ct-long");
	scene.request.lease_sec = 30;
	scene.request.duration_sec = 3601;
	CHECK_TEXT(decide(&scene).responder_rule, "ct-long");
	strcpy(scene.request.from.host, "tablet");
	CHECK(decide(&scene).layers[LAYER_RESPONDER_SITE].reason == REASON_SITE_REFUSED);
	strcpy(scene.request.from.host, "watch");
	CHECK_TEXT(decide(&scene).responder_rule, "ct-long");
}

/* The rules are asked without what policy_decide() looks up before. */
TEST(rules_answer_by_themselves)
{
	AUTO_SCENE struct scene scene = scene_open();
	struct host_ref from = { "device-maker", "terminal" }, to = { "core-hospital", "ct" };
	struct site_policy_question question = { .from = &from,
		.to = &to,
		.class = SERVICE_REMOTE_MAINTENANCE,
		.protocol = PROTOCOL_TCP,
		.port = 23,
		.begin = NOW,
		.now = NOW,
		.factor = FACTOR_TWO,
		.emergency = true };
	struct site_policy_answer answer;

	CHECK(site_policy_find(scene.hospital, &question, &answer) == SITE_POLICY_ALLOWED);
	CHECK_TEXT(answer.rule, "urgent");
	CHECK(answer.review_sec == 12 * 3600 && answer.idle_sec == 300 && !answer.has_hours);
	CHECK(site_policy_find(scene.maker, &question, &answer) == SITE_POLICY_ALLOWED);
	CHECK_TEXT(answer.rule, "out");
	question.emergency = false;
	CHECK(site_policy_find(scene.hospital, &question, &answer) == SITE_POLICY_APPROVAL);
	question.port = 0;
	CHECK(site_policy_find(scene.hospital, &question, &answer) == SITE_POLICY_OTHER_PORT);
	strcpy(from.host, "tablet");
	CHECK(site_policy_find(scene.hospital, &question, &answer) == SITE_POLICY_REFUSED);
	CHECK_TEXT(answer.rule, "no-tablet");
	CHECK(answer.duration_sec == 0);
	strcpy(from.site, "clinic");
	CHECK(site_policy_find(scene.hospital, &question, &answer) == SITE_POLICY_NO_PAIR);
	CHECK(answer.rule == NULL);
	CHECK(site_policy_find(scene.maker, &question, &answer) == SITE_POLICY_NO_PAIR);
	strcpy(from.site, "core-hospital");
	CHECK(site_policy_find(scene.hospital, &question, &answer) == SITE_POLICY_NO_PAIR);
}

TEST(corners_of_the_conditions)
{
	static const char text[] =
	        "sekisho site-policy 1\nsite device-maker\nversion 3\n"
	        "host terminal address 192.168.10.20 service 100.64.3.10 zone sz\n"
	        "host tablet address 192.168.10.21 service 100.64.3.11 zone sz\n"
	        "approver sato key " KEY "\n"
	        "allow out from terminal to core-hospital/ct class remote-maintenance protocol tcp"
	        " port 23,104 approval standing idle 2m concurrency 1 factor one\n"
	        "allow slow from * to core-hospital/ct class remote-maintenance protocol tcp"
	        " port 23 duration 1h approval emergency factor one\n";
	AUTO(site_policy) struct site_policy *maker = NULL;
	AUTO_SCENE struct scene scene = scene_open();
	struct decision decision;
	struct err err;

	CHECK(site_policy_parse(text, strlen(text), &maker, &err) == 0);
	scene.facts.initiator_policy = maker;
	/* The least idle time is either side's. */
	CHECK(decide(&scene).idle_sec == 120);
	/* Outbound rules count as well, and where the longer one is full the next one serves. */
	beside(&scene, "terminal", "ct", SERVICE_REMOTE_MAINTENANCE, 104);
	decision = decide(&scene);
	CHECK(decision.layers[LAYER_EXCLUSION].reason == REASON_EXCLUSION_RULE);
	CHECK(decision.layers[LAYER_EXCLUSION].of_initiator && decision.verdict == VERDICT_DENY);
	port(&scene, 23);
	scene.request.emergency = true;
	scene.facts.work_order.emergency_allowed = FACT_YES;
	decision = decide(&scene);
	CHECK(decision.verdict == VERDICT_PERMIT && decision.emergency);
	CHECK_TEXT(decision.initiator_rule, "slow");
	CHECK(decision.review_sec == 12 * 3600); /* the other's is a day */
	/* Nobody, where only the class wants more. */
	port(&scene, 104);
	scene.facts.initiator_policy = scene.maker;
	scene.request.emergency = false;
	scene.request.person[0] = '\0';
	scene.request.class = SERVICE_MAIL;
	scene.facts.foreign = LAYERS_ALL & ~LAYER_BIT(LAYER_PERSON);
	CHECK(decide(&scene).verdict == VERDICT_PERMIT);
	/* What excludes is seen at the same host also where the site has no policy. */
	scene.facts.foreign = LAYERS_ALL & ~LAYER_BIT(LAYER_EXCLUSION);
	scene.facts.responder_policy = NULL;
	scene.live[0].class = SERVICE_ASP;
	scene.live[0].from_host = "other";
	CHECK(decide(&scene).layers[LAYER_EXCLUSION].reason == REASON_EXCLUSION_CLASS);
	scene.live[0].to_host = "view";
	CHECK(decide(&scene).verdict == VERDICT_PERMIT);
}

TEST(a_live_connection_is_that_of_its_grant)
{
	static const struct grant grant = { .class = SERVICE_ASP,
		.protocol = PROTOCOL_UDP,
		.port = 7,
		.initiator = { .site = "a", .host = "b" },
		.responder = { .site = "c", .host = "d" } };
	struct policy_live live = policy_live_of(&grant);

	CHECK_TEXT(live.from_site, "a");
	CHECK_TEXT(live.from_host, "b");
	CHECK_TEXT(live.to_site, "c");
	CHECK_TEXT(live.to_host, "d");
	CHECK(live.class == SERVICE_ASP && live.protocol == PROTOCOL_UDP && live.port == 7);
}

TEST(edges_that_still_permit)
{
	AUTO_SCENE struct scene scene = scene_open();
	static const uint16_t ports[] = { 104, 5000, 5005, 5010 };

	for (size_t i = 0; i < ARRAY_COUNT(ports); i++) {
		scene.request.port = ports[i];
		CHECK(decide(&scene).verdict == VERDICT_PERMIT);
	}
	scene.request.port = 104;
	scene.now = NOW - 60 * USEC_PER_SEC;
	CHECK(decide(&scene).verdict == VERDICT_PERMIT);
	scene.now = scene.facts.window.not_after - USEC_PER_SEC;
	CHECK(decide(&scene).verdict == VERDICT_PERMIT);
	scene.now = NOW;
	scene.request.duration_sec = 5400;
	scene.request.lease_sec = 45;
	CHECK(decide(&scene).verdict == VERDICT_PERMIT);
	scene.request = (struct policy_request){ .from = scene.request.from,
		.to = scene.request.to,
		.person = "suzuki",
		.class = SERVICE_REMOTE_MAINTENANCE,
		.protocol = PROTOCOL_ICMP };
	CHECK(decide(&scene).verdict == VERDICT_PERMIT);
	/* What may go one way may not go the other. */
	scene.request.from = scene.request.to;
	scene.request.to = (struct host_ref){ "device-maker", "terminal" };
	scene.facts.initiator_policy = scene.hospital;
	scene.facts.responder_policy = scene.maker;
	CHECK(decide(&scene).layers[LAYER_INITIATOR_SITE].reason == REASON_SITE_NO_RULE);
	CHECK(decide(&scene).layers[LAYER_RESPONDER_SITE].reason == REASON_SITE_NO_RULE);
}

TEST(a_gateway_decides_with_its_own_facts)
{
	AUTO_SCENE struct scene scene = scene_open();
	struct policy_facts all = scene.facts;
	struct decision decision;

	scene.facts = (struct policy_facts){
		.foreign = LAYERS_ALL &
		           ~(LAYER_BIT(LAYER_RESPONDER_SITE) | LAYER_BIT(LAYER_ACCREDITATION) |
		                   LAYER_BIT(LAYER_WINDOW)),
		.responder_policy = scene.hospital,
		.provider_accredited = FACT_YES,
		.service_ca_accredited = FACT_YES,
		.device_ca_accredited = FACT_FOREIGN,
		.initiator.maker_accredited = FACT_FOREIGN,
		.responder.maker_accredited = FACT_FOREIGN,
		.window = { NOW - USEC_PER_SEC, NOW + 3599 * USEC_PER_SEC },
	};
	scene.request.duration_sec = 3600;
	scene.request.lease_sec = 30;
	decision = decide(&scene);
	CHECK(decision.verdict == VERDICT_PERMIT);
	CHECK(!decision.layers[LAYER_GROUP].consulted);
	CHECK(decision.layers[LAYER_GROUP].reason == REASON_FOREIGN);
	scene.request.port = 21;
	CHECK(decide(&scene).verdict == VERDICT_DENY);
	scene.request.port = 104;
	scene.facts.provider_accredited = FACT_FOREIGN;
	scene.facts.service_ca_accredited = FACT_FOREIGN;
	CHECK(decide(&scene).layers[LAYER_ACCREDITATION].reason == REASON_ACCREDITATION_NOTHING);
	/* With everything handed to others nobody decided anything. */
	scene.facts = all;
	scene.facts.foreign = LAYERS_ALL;
	CHECK(decide(&scene).verdict == VERDICT_DENY);
	scene.facts.foreign = 0;
	scene.facts.initiator.device = CERTIFICATE_FOREIGN;
	scene.request.duration_sec = 0;
	CHECK(decide(&scene).verdict == VERDICT_PERMIT);
}

TEST(every_reason_has_a_name_and_two_sentences)
{
	AUTO_SCENE struct scene scene = scene_open();

	for (int reason = 0; reason < REASON_COUNT; reason++) {
		AUTO_BUF struct buf english = BUF(4096), japanese = BUF(4096);
		struct decision decision = { 0 };

		decision.layers[LAYER_RESPONDER_SITE].reason = (enum policy_reason)reason;
		decision.layers[LAYER_RESPONDER_SITE].kind = DETAIL_TEXT;
		decision.layers[LAYER_RESPONDER_SITE].text = "revoked";
		policy_reason_print(&decision, LAYER_RESPONDER_SITE, &scene.request,
		        LANGUAGE_ENGLISH, &english);
		policy_reason_print(&decision, LAYER_RESPONDER_SITE, &scene.request,
		        LANGUAGE_JAPANESE, &japanese);
		printf("# %s: %s %s\n", policy_reason_name((enum policy_reason)reason),
		        buf_text(&english), buf_text(&japanese));
		CHECK(policy_reason_name((enum policy_reason)reason)[0] != '\0');
		CHECK(english.count > 0 && english.bytes[english.count - 1] == '.');
		CHECK(japanese.count > 3 &&
		        strcmp(buf_text(&japanese) + japanese.count - 3, "。") == 0);
		CHECK(!strchr(buf_text(&english), '{') && !strchr(buf_text(&japanese), '{'));
		for (int other = 0; other < reason; other++) {
			CHECK(strcmp(policy_reason_name((enum policy_reason)other),
			              policy_reason_name((enum policy_reason)reason)) != 0);
		}
	}
}

TEST(an_answer_fits_one_screen)
{
	AUTO_SCENE struct scene scene = scene_open();
	AUTO_BUF struct buf out = BUF(8192);
	struct decision decision;
	int lines = 0;

	scene.facts.responder.service = CERTIFICATE_REVOKED;
	scene.request.port = 21;
	decision = decide(&scene);
	policy_explain_print(&decision, &scene.request, LANGUAGE_ENGLISH, &out);
	CHECK_TEXT(buf_text(&out),
	        "device-maker/terminal -> core-hospital/ct, remote-maintenance, tcp port 21: "
	        "DENIED\n"
	        "  provider       permit  regional-vpn knows both sites.\n"
	        "  group          permit  Both sites are in group a, which has this class.\n"
	        "  service class  permit  The provider offers remote-maintenance.\n"
	        "  agreement      permit  Agreement ct-care covers it.\n"
	        "  asking site    permit  Rule out of device-maker allows it.\n"
	        "  asked site     deny    Rule daytime of core-hospital does not allow tcp port "
	        "21.\n"
	        "  person         permit  suzuki may ask for remote-maintenance.\n"
	        "  work order     permit  No approval is wanted for it.\n"
	        "  exclusion      permit  Nothing that excludes it is live.\n"
	        "  accreditation  permit  Everybody involved is accredited.\n"
	        "  certificates   deny    Service certificate of core-hospital: revoked.\n"
	        "  gateways       permit  Both gateways are online.\n"
	        "  time           permit  Within its time.\n");
	buf_reset(&out);
	policy_explain_print(&decision, &scene.request, LANGUAGE_JAPANESE, &out);
	CHECK(strstr(
	        buf_text(&out), "  証明書         拒否  core-hospitalのサービス証明書: 失効。\n"));
	/* A state is translated, a rule that happens to have the name of one is not. */
	decision.layers[LAYER_RESPONDER_SITE].text = "revoked";
	buf_reset(&out);
	policy_explain_print(&decision, &scene.request, LANGUAGE_JAPANESE, &out);
	CHECK(strstr(
	        buf_text(&out), "core-hospitalの規則revokedはtcp 21番ポートを許していません。"));
	buf_reset(&out);
	scene.facts.responder.service = CERTIFICATE_VALID;
	scene.request.port = 104;
	decision = decide(&scene);
	policy_explain_print(&decision, &scene.request, LANGUAGE_ENGLISH, &out);
	CHECK(strstr(buf_text(&out), "At most 90m, leased for 45s, closed when idle for 10m, "
	                             "survives an outage of the center; policy versions 4/2/9\n"));
	for (const char *at = buf_text(&out); *at; at++) {
		lines += *at == '\n';
	}
	CHECK(lines <= 20);
}

/* The longest names, more hosts than a byte of a set has bits, and several sets: a rule for a set
 * is for its hosts and for no other. */
TEST(a_set_is_its_hosts_and_no_other)
{
	AUTO_BUF struct buf text = BUF(POLICY_TEXT_BYTES_MAX);
	AUTO(site_policy) struct site_policy *policy = NULL;
	struct err err = { "" };
	char site[NAME_BYTES_MAX + 1], host[NAME_BYTES_MAX + 1];

	memset(site, 's', NAME_BYTES_MAX);
	memset(host, 'h', NAME_BYTES_MAX);
	site[NAME_BYTES_MAX] = host[NAME_BYTES_MAX] = '\0';
	buf_add_text(&text, "sekisho site-policy 1\nsite own\nversion 1\n");
	for (int i = 0; i < 20; i++) {
		buf_add_format(&text, "host h%d address 192.168.1.%d service 10.0.0.%d\n", i, i + 1,
		        i + 1);
	}
	buf_add_text(&text, "set low h0 h7 h8\nset high h9 h17 h19\n");
	for (int i = 0; i < 2; i++) {
		buf_add_format(&text,
		        "allow r%d from %s to %s/%s class mail protocol tcp port %d\n", i,
		        i == 0 ? "low" : "high", site, host, 25 + i);
	}
	CHECK(site_policy_parse(buf_text(&text), text.count, &policy, &err) == 0);
	for (int i = 0; i < 40; i++) {
		struct policy_request request = {
			.from.site = "own", .class = SERVICE_MAIL, .protocol = PROTOCOL_TCP
		};
		struct policy_facts facts = { .foreign =
			                              LAYERS_ALL & ~LAYER_BIT(LAYER_INITIATOR_SITE),
			.initiator_policy = policy };
		int at = i / 2;
		bool low = at == 0 || at == 7 || at == 8, high = at == 9 || at == 17 || at == 19;
		struct decision decision;

		request.port = (uint16_t)(25 + i % 2);
		snprintf(request.from.host, sizeof(request.from.host), "h%d", at);
		strcpy(request.to.site, site);
		strcpy(request.to.host, host);
		decision = policy_decide(&request, &facts, NOW);
		CHECK((decision.verdict == VERDICT_PERMIT) == (i % 2 == 0 ? low : high));
		request.to.host[NAME_BYTES_MAX - 1] = 'x';
		CHECK(policy_decide(&request, &facts, NOW).verdict == VERDICT_DENY);
	}
}

TEST_MAIN()
