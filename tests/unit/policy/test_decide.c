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
        "group a sites core-hospital device-maker classes remote-maintenance mail\n";

static const char hospital_text[] =
        "sekisho site-policy 1\nsite core-hospital\nversion 9\n"
        "host ct address 192.168.10.20 service 100.64.2.20\n"
        "host lost address 192.168.10.21 service 100.64.9.21\n"
        "allow ct-dicom from device-maker/terminal to ct class remote-maintenance"
        " protocol tcp port 104,5000-5010 duration 1h lease 30s\n"
        "allow ct-long from device-maker/* to ct class remote-maintenance"
        " protocol tcp port 104 duration 90m lease 45s\n"
        "allow ping from device-maker/terminal to * class remote-maintenance protocol icmp\n";

/* The maker has the same private network as the hospital: only service addresses count. */
static const char maker_text[] =
        "sekisho site-policy 1\nsite device-maker\nversion 2\n"
        "host terminal address 192.168.10.20 service 100.64.3.10\n"
        "allow out from terminal to core-hospital/* class remote-maintenance protocol tcp"
        " port 1-6000\n"
        "allow ping from terminal to core-hospital/* class remote-maintenance protocol icmp\n"
        "allow mail from terminal to core-hospital/ct class mail protocol tcp port 25\n";

/* A question that is permitted, to be spoilt. */
struct scene {
	struct provider_policy *provider;
	struct site_policy *hospital, *maker;
	struct policy_request request;
	struct policy_facts facts;
	int64_t now;
};

static struct scene scene_open(void)
{
	struct scene scene = {
		.request = { .from = { "device-maker", "terminal" },
		        .to = { "core-hospital", "ct" },
		        .class = SERVICE_REMOTE_MAINTENANCE,
		        .protocol = PROTOCOL_TCP,
		        .port = 104 },
		.facts = { .provider_accredited = FACT_YES,
		        .device_ca_accredited = FACT_YES,
		        .service_ca_accredited = FACT_YES,
		        .initiator = { CERTIFICATE_VALID, CERTIFICATE_VALID, FACT_YES,
		                GATEWAY_ONLINE, FACT_NO },
		        .responder = { CERTIFICATE_VALID, CERTIFICATE_VALID, FACT_YES,
		                GATEWAY_ONLINE, FACT_NO },
		        .window = { NOW, NOW + 8 * 3600 * USEC_PER_SEC } },
		.now = NOW,
	};
	struct err err;

	CHECK(provider_policy_parse(provider_text, strlen(provider_text), &scene.provider, &err) ==
	        0);
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
SPOIL(other_class, scene->request.class = SERVICE_MAIL; scene->request.port = 25)
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

static const struct row rows[] = {
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
	{ "same site", same_site, LAYER_PROVIDER, REASON_SAME_SITE, "device-maker" },
	{ "unknown from", unknown_from, LAYER_PROVIDER, REASON_INITIATOR_UNKNOWN, "nowhere" },
	{ "unknown to", unknown_to, LAYER_PROVIDER, REASON_RESPONDER_UNKNOWN, "nowhere" },
	{ "no group", no_group, LAYER_GROUP, REASON_GROUP_NONE, "" },
	{ "unknown in group", unknown_to, LAYER_GROUP, REASON_GROUP_NONE, "" },
	{ "group class", group_without_class, LAYER_GROUP, REASON_GROUP_CLASS, "a" },
	{ "not offered", class_not_offered, LAYER_CLASS, REASON_CLASS_NOT_OFFERED, "" },
	{ "class duration", class_duration, LAYER_CLASS, REASON_CLASS_DURATION, "2h" },
	{ "class lease", class_lease, LAYER_CLASS, REASON_CLASS_LEASE, "1m" },
	{ "no policy from", no_initiator_policy, LAYER_INITIATOR_SITE, REASON_SITE_POLICY_MISSING,
	        "device-maker" },
	{ "no policy to", no_responder_policy, LAYER_RESPONDER_SITE, REASON_SITE_POLICY_MISSING,
	        "core-hospital" },
	{ "swapped", swapped_policy, LAYER_RESPONDER_SITE, REASON_SITE_POLICY_FOREIGN,
	        "device-maker" },
	{ "unknown from host", unknown_from_host, LAYER_INITIATOR_SITE, REASON_SITE_HOST_UNKNOWN,
	        "laptop" },
	{ "unknown from host there", unknown_from_host, LAYER_RESPONDER_SITE, REASON_NONE, NULL },
	{ "unknown to host", unknown_to_host, LAYER_RESPONDER_SITE, REASON_SITE_HOST_UNKNOWN,
	        "mr" },
	{ "host outside", host_outside, LAYER_RESPONDER_SITE, REASON_SITE_HOST_ADDRESS,
	        "100.64.9.21" },
	{ "other class", other_class, LAYER_RESPONDER_SITE, REASON_SITE_RULE_CLASS, "ct-dicom" },
	{ "other protocol", other_protocol, LAYER_RESPONDER_SITE, REASON_SITE_RULE_PROTOCOL,
	        "ct-dicom" },
	{ "port below", port_below, LAYER_RESPONDER_SITE, REASON_SITE_RULE_PORT, "ct-dicom" },
	{ "port above", port_above, LAYER_RESPONDER_SITE, REASON_SITE_RULE_PORT, "ct-dicom" },
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
		struct decision decision;

		CHECK(decide(&scene).verdict == VERDICT_PERMIT);
		rows[i].spoil(&scene);
		decision = decide(&scene);
		result = decision.layers[rows[i].layer];
		printf("# %s: %s %s\n", rows[i].what, policy_reason_name(result.reason),
		        result.detail);
		CHECK(decision.verdict == VERDICT_DENY);
		if (!rows[i].detail) {
			/* Denied by another layer; a star there does cover it here. */
			CHECK(result.verdict == VERDICT_PERMIT);
			continue;
		}
		CHECK(result.consulted && result.verdict == VERDICT_DENY);
		CHECK(result.reason == rows[i].reason);
		CHECK_TEXT(result.detail, rows[i].detail);
	}
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
	scene.request.port = 22;
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
		strcpy(decision.layers[LAYER_RESPONDER_SITE].detail, "revoked");
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
	scene.request.port = 22;
	decision = decide(&scene);
	policy_explain_print(&decision, &scene.request, LANGUAGE_ENGLISH, &out);
	CHECK_TEXT(buf_text(&out),
	        "device-maker/terminal -> core-hospital/ct, remote-maintenance, tcp port 22: "
	        "DENIED\n"
	        "  provider       permit  regional-vpn knows both sites.\n"
	        "  group          permit  Both sites are in group a, which has this class.\n"
	        "  service class  permit  The provider offers remote-maintenance.\n"
	        "  asking site    permit  Rule out of device-maker allows it.\n"
	        "  asked site     deny    Rule ct-dicom of core-hospital does not allow tcp port "
	        "22.\n"
	        "  accreditation  permit  Everybody involved is accredited.\n"
	        "  certificates   deny    Service certificate of core-hospital: revoked.\n"
	        "  gateways       permit  Both gateways are online.\n"
	        "  time           permit  Within its time.\n");
	buf_reset(&out);
	policy_explain_print(&decision, &scene.request, LANGUAGE_JAPANESE, &out);
	CHECK(strstr(
	        buf_text(&out), "  証明書         拒否  core-hospitalのサービス証明書: 失効。\n"));
	/* A state is translated, a rule that happens to have the name of one is not. */
	strcpy(decision.layers[LAYER_RESPONDER_SITE].detail, "revoked");
	buf_reset(&out);
	policy_explain_print(&decision, &scene.request, LANGUAGE_JAPANESE, &out);
	CHECK(strstr(
	        buf_text(&out), "core-hospitalの規則revokedはtcp 22番ポートを許していません。"));
	buf_reset(&out);
	scene.facts.responder.service = CERTIFICATE_VALID;
	scene.request.port = 104;
	decision = decide(&scene);
	policy_explain_print(&decision, &scene.request, LANGUAGE_ENGLISH, &out);
	CHECK(strstr(buf_text(&out), "At most 90m, leased for 45s; policy versions 4/2/9\n"));
	for (const char *at = buf_text(&out); *at; at++) {
		lines += *at == '\n';
	}
	CHECK(lines <= 20);
}

TEST_MAIN()
