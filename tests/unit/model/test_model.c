#include "../check.h"

#include <stdlib.h>

#include "base/clock.h"
#include "model/address.h"
#include "model/grant.h"
#include "model/host_ref.h"
#include "model/kind.h"
#include "model/lease.h"

static struct address address(const char *text)
{
	struct address parsed = { 0 };

	CHECK(address_parse(text, &parsed) == 0);
	return parsed;
}

static struct prefix prefix(const char *text)
{
	struct prefix parsed = { 0 };

	CHECK(prefix_parse(text, &parsed) == 0);
	CHECK_TEXT(prefix_print(parsed).text, text);
	return parsed;
}

TEST(addresses_have_one_spelling)
{
	static const char *const good[] = { "0.0.0.0", "192.0.2.2", "255.255.255.255", "::", "::1",
		"fd00:5e::2:1", "2001:db8::1", "64:ff9b::c000:202" };
	static const char *const bad[] = { "", "192.0.2", "192.0.2.256", "192.0.2.02", " 192.0.2.2",
		"192.0.2.2/32", "0x7f.0.0.1", "3221225986", "::ffff:192.0.2.2", "::FFFF:c000:202",
		"FD00::1", "fd00:0::1", "fe80::1%eth0", "1::2::3", "[::1]" };
	struct address parsed;

	for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
		CHECK(address_parse(good[i], &parsed) == 0);
		CHECK_TEXT(address_print(parsed).text, good[i]);
	}
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
		printf("# %s\n", bad[i]);
		CHECK(address_parse(bad[i], &parsed) == 1);
	}
	CHECK_TEXT(address_print((struct address){ 0 }).text, "");
}

TEST(scopes_follow_the_registries)
{
	static const struct {
		const char *text;
		enum address_scope scope;
	} rows[] = {
		{ "0.1.2.3", ADDRESS_UNUSABLE },
		{ "127.0.0.1", ADDRESS_UNUSABLE },
		{ "169.254.1.1", ADDRESS_UNUSABLE },
		{ "224.0.0.1", ADDRESS_UNUSABLE },
		{ "240.0.0.1", ADDRESS_UNUSABLE },
		{ "255.255.255.255", ADDRESS_UNUSABLE },
		{ "10.255.0.1", ADDRESS_PRIVATE },
		{ "172.15.0.1", ADDRESS_PUBLIC },
		{ "172.16.0.1", ADDRESS_PRIVATE },
		{ "172.31.255.1", ADDRESS_PRIVATE },
		{ "172.32.0.1", ADDRESS_PUBLIC },
		{ "192.168.10.20", ADDRESS_PRIVATE },
		{ "100.63.0.1", ADDRESS_PUBLIC },
		{ "100.64.2.20", ADDRESS_PRIVATE },
		{ "100.127.0.1", ADDRESS_PRIVATE },
		{ "100.128.0.1", ADDRESS_PUBLIC },
		{ "192.0.2.2", ADDRESS_PUBLIC },
		{ "::", ADDRESS_UNUSABLE },
		{ "::1", ADDRESS_UNUSABLE },
		{ "fe80::1", ADDRESS_UNUSABLE },
		{ "febf::1", ADDRESS_UNUSABLE },
		{ "ff02::1", ADDRESS_UNUSABLE },
		{ "fc00::1", ADDRESS_PRIVATE },
		{ "fdff::1", ADDRESS_PRIVATE },
		{ "2001:db8::1", ADDRESS_PUBLIC },
	};

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		printf("# %s\n", rows[i].text);
		CHECK(address_scope(address(rows[i].text)) == rows[i].scope);
	}
	CHECK(address_scope((struct address){ 0 }) == ADDRESS_UNUSABLE);
}

TEST(prefixes_contain_and_overlap)
{
	struct prefix parsed, none = { 0 };

	CHECK(prefix_parse("100.64.2.0", &parsed) == 1);
	CHECK(prefix_parse("100.64.2.0/33", &parsed) == 1);
	CHECK(prefix_parse("100.64.2.0/024", &parsed) == 1);
	CHECK(prefix_parse("100.64.2.1/24", &parsed) == 1);
	CHECK(prefix_parse("fd00::/129", &parsed) == 1);
	CHECK(prefix_parse("fd00::/-1", &parsed) == 1);
	CHECK(prefix_parse("fd00::1/127", &parsed) == 1);
	CHECK(prefix_contains(prefix("100.64.2.0/24"), address("100.64.2.255")));
	CHECK(!prefix_contains(prefix("100.64.2.0/24"), address("100.64.3.0")));
	CHECK(prefix_contains(prefix("100.64.0.0/10"), address("100.127.255.255")));
	CHECK(!prefix_contains(prefix("100.64.0.0/10"), address("100.128.0.0")));
	CHECK(prefix_contains(prefix("0.0.0.0/0"), address("1.2.3.4")));
	CHECK(!prefix_contains(prefix("0.0.0.0/0"), address("::1")));
	CHECK(prefix_contains(prefix("fd00:5e::/33"), address("fd00:5e:7fff::1")));
	CHECK(!prefix_contains(prefix("fd00:5e::/33"), address("fd00:5e:8000::1")));
	CHECK(prefix_contains(prefix("192.0.2.2/32"), address("192.0.2.2")));
	CHECK(!prefix_contains(none, address("0.0.0.0")) && !prefix_overlaps(none, none));
	CHECK(prefix_overlaps(prefix("10.0.0.0/8"), prefix("10.1.2.0/24")));
	CHECK(prefix_overlaps(prefix("10.1.2.0/24"), prefix("10.0.0.0/8")));
	CHECK(!prefix_overlaps(prefix("10.1.2.0/24"), prefix("10.1.3.0/24")));
	CHECK(!prefix_contains_prefix(prefix("10.1.2.0/24"), prefix("10.0.0.0/8")));
}

TEST(host_references_are_site_and_host)
{
	struct host_ref ref, other;

	CHECK(host_ref_parse("core-hospital/ct", &ref) == 0);
	CHECK_TEXT(host_ref_print(&ref).text, "core-hospital/ct");
	CHECK(host_ref_parse_at("ct", "core-hospital", &other) == 0);
	CHECK(host_ref_equal(&ref, &other));
	CHECK(host_ref_parse_at("clinic/ct", "core-hospital", &other) == 0);
	CHECK(!host_ref_equal(&ref, &other));
	CHECK(host_ref_parse("ct", &ref) == 1);
	CHECK(host_ref_parse("a/b/c", &ref) == 1);
	CHECK(host_ref_parse("/b", &ref) == 1);
	CHECK(host_ref_parse("a/", &ref) == 1);
	CHECK(host_ref_parse("a/*", &ref) == 1);
	CHECK(host_ref_parse_at("*", "a", &ref) == 1);
}

TEST(twelve_service_classes_in_six_groups)
{
	int count = 0;

	for (int i = 0; i <= SERVICE_CLASS_COUNT; i++) {
		const struct service_class_info *info = service_class_info((enum service_class)i);
		enum service_class class;

		if (!info) {
			CHECK(i == 0 || i == SERVICE_CLASS_COUNT);
			CHECK_TEXT(service_class_name((enum service_class)i), "");
			continue;
		}
		count++;
		CHECK(service_class_parse(info->name, &class) == 0 && (int)class == i);
		CHECK(info->english[0] && info->japanese[0]);
		CHECK(service_group_english(info->letter) && service_group_japanese(info->letter));
	}
	CHECK(count == 12);
	CHECK(service_class_info(SERVICE_REMOTE_MAINTENANCE)->letter == 'e');
	CHECK(!service_group_english('g'));
}

TEST(kinds_have_names)
{
	enum organization_kind organization;
	enum site_kind site;
	enum gateway_kind gateway;

	for (int i = 1; i < ORGANIZATION_KIND_COUNT; i++) {
		const char *name = organization_kind_name((enum organization_kind)i);

		CHECK(organization_kind_parse(name, &organization) == 0 && (int)organization == i);
		CHECK(organization_kind_japanese((enum organization_kind)i)[0] != '\0');
	}
	CHECK(organization_kind_parse("", &organization) == 1);
	CHECK(site_kind_parse("hcf", &site) == 0 && site == SITE_HEALTH_CARE_FACILITY);
	CHECK(gateway_kind_parse("behind-nat", &gateway) == 0 && gateway == GATEWAY_BEHIND_NAT);
	CHECK_TEXT(site_kind_english(SITE_KIND_NONE), "");
}

TEST(port_sets_are_sorted_and_joined)
{
	static const struct {
		const char *text, *printed;
	} rows[] = {
		{ "104", "104" },
		{ "11112,104", "104,11112" },
		{ "5000-5010", "5000-5010" },
		{ "5-5", "5" },
		{ "3,1,2", "1-3" },
		{ "1-10,5", "1-10" },
		{ "5,1-10", "1-10" },
		{ "1-3,2-8,9", "1-9" },
		{ "10-20,1-30", "1-30" },
		{ "1,3", "1,3" },
		{ "65535,1-65534", "1-65535" },
		{ "65535,65535", "65535" },
		{ "", NULL },
		{ "0", NULL },
		{ "65536", NULL },
		{ "1,", NULL },
		{ ",1", NULL },
		{ "1-", NULL },
		{ "-1", NULL },
		{ "2-1", NULL },
		{ "1--2", NULL },
		{ "1-2-3", NULL },
		{ "01", NULL },
		{ "1 ", NULL },
		{ "http", NULL },
		{ "*", NULL },
		{ "1,3,5,7,9,11,13,15,17,19,21,23,25,27,29,31,33", NULL },
	};

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		AUTO_BUF struct buf out = BUF(256);
		struct port_set set;
		int r = port_set_parse(rows[i].text, &set);

		printf("# %s\n", rows[i].text);
		CHECK(r == (rows[i].printed ? 0 : 1));
		if (r == 0) {
			port_set_print(set.ranges, set.count, &out);
			CHECK_TEXT(buf_text(&out), rows[i].printed);
			CHECK(port_set_contains(set.ranges, set.count, set.ranges[0].first));
			CHECK(!port_set_contains(set.ranges, set.count, 0));
		}
	}
	CHECK(protocol_port_valid(PROTOCOL_ICMP, 0) && !protocol_port_valid(PROTOCOL_ICMP, 1));
	CHECK(protocol_port_valid(PROTOCOL_TCP, 1) && !protocol_port_valid(PROTOCOL_UDP, 0));
	CHECK(!protocol_port_valid(PROTOCOL_NONE, 0) && !protocol_port_valid(PROTOCOL_NONE, 1));
}

static const char grant_text[] =
        "{\"class\":\"remote-maintenance\",\"emergency\":false,\"epoch\":3,"
        "\"id\":\"01JD0000000000000000000000\",\"idle_sec\":900,"
        "\"ike\":\"initiator\",\"initiator\":{\"address\":\"192.0.2.2\",\"gateway\":"
        "\"gw-device-maker\",\"host\":\"terminal\",\"identity\":"
        "\"gw-device-maker.regional-vpn.sekisho.internal\",\"serial\":\"0a1b\",\"service\":"
        "\"100.64.3.10\",\"site\":\"device-maker\"},\"issued_at\":\"2026-11-20T09:30:00.250Z\","
        "\"lease_sec\":60,\"not_after\":\"2026-11-20T10:30:00.000Z\",\"not_before\":"
        "\"2026-11-20T09:30:00.000Z\",\"number\":4711,\"outage\":false,"
        "\"person\":\"鈴木\",\"policy\":"
        "{\"initiator\":2,\"provider\":4,\"responder\":9},\"port\":104,\"protocol\":\"tcp\","
        "\"provider\":\"regional-vpn\",\"responder\":{\"address\":\"198.51.100.2\",\"gateway\":"
        "\"gw-core\",\"host\":\"ct\",\"identity\":\"gw-core.regional-vpn.sekisho.internal\","
        "\"serial\":\"ff\",\"service\":\"100.64.2.20\",\"site\":\"core-hospital\"},\"v\":1,"
        "\"work_order\":\"01JD0000000000000000000001\"}";

/* The sample with one piece of text replaced. */
static int parse_changed(const char *from, const char *to, struct grant *grant, struct err *err)
{
	AUTO_BUF struct buf text = BUF(1 << 16);
	const char *at = strstr(grant_text, from);

	CHECK(at != NULL);
	buf_add(&text, grant_text, (size_t)(at - grant_text));
	buf_add_text(&text, to);
	buf_add_text(&text, at + strlen(from));
	*err = (struct err){ "" };
	return grant_parse(text.bytes, text.count, grant, err);
}

TEST(a_grant_round_trips)
{
	AUTO_BUF struct buf out = BUF(1 << 16);
	struct err err = { "" };
	enum grant_side side;
	struct grant grant;

	if (grant_parse(grant_text, sizeof(grant_text) - 1, &grant, &err) != 0) {
		printf("# %s\n", err.text);
		CHECK(false);
	}
	CHECK(grant.number == 4711 && grant.epoch == 3 && grant.port == 104);
	CHECK(grant.class == SERVICE_REMOTE_MAINTENANCE && grant.protocol == PROTOCOL_TCP);
	CHECK(grant.not_after - grant.not_before == 3600 * USEC_PER_SEC);
	CHECK(grant.policy_provider == 4 && grant.policy_initiator == 2 &&
	        grant.policy_responder == 9);
	CHECK_TEXT(grant.person, "鈴木");
	CHECK_TEXT(grant_end(&grant, GRANT_RESPONDER)->host, "ct");
	CHECK(grant_side_of(&grant, "gw-core.regional-vpn.sekisho.internal", &side) == 0);
	CHECK(side == GRANT_RESPONDER);
	CHECK(grant_side_of(&grant, "gw-other", &side) == 1);
	grant_print(&grant, &out);
	CHECK_TEXT(buf_text(&out), grant_text);
}

TEST(a_grant_behind_nat_starts_itself)
{
	struct err err;
	struct grant grant;

	CHECK(parse_changed("192.0.2.2", "any", &grant, &err) == 0);
	CHECK(grant.initiator.address.family == ADDRESS_NONE);
	CHECK(parse_changed("198.51.100.2", "any", &grant, &err) == 1);
	CHECK_TEXT(err.text, "ike: the gateway behind NAT has to start");
}

TEST(a_gateway_asks_for_itself_only_where_nobody_has_to)
{
	struct err err;
	struct grant grant;

	CHECK(parse_changed("remote-maintenance", "results-delivery", &grant, &err) == 0);
	CHECK(grant.idle_sec == 900 && !grant.emergency && !grant.outage);
	CHECK_TEXT(grant.work_order, "01JD0000000000000000000001");
	grant.person[0] = '\0';
	CHECK(grant_check(&grant, &err) == 1);
	grant.work_order[0] = '\0';
	CHECK(grant_check(&grant, &err) == 0);
	grant.emergency = true;
	CHECK(grant_check(&grant, &err) == 1);
	grant.emergency = false;
	grant.idle_sec = GRANT_SEC_MAX + 1;
	CHECK(grant_check(&grant, &err) == 1);
	CHECK_TEXT(err.text, "idle_sec: must be at most 86400");
}

TEST(a_wrong_grant_is_refused_with_its_field)
{
	static const struct {
		const char *from, *to, *refused;
	} rows[] = {
		{ "\"v\":1", "\"v\":2", "v: must be a whole number from 1 to 1" },
		{ ",\"v\":1", "", "v: is missing" },
		{ "\"v\":1", "\"v\":1,\"w\":1", "w: there is no such field" },
		{ "\"host\":\"ct\"", "\"host\":\"ct\",\"x\\ny\":1",
		        "responder.x?y: there is no such field" },
		{ "\"host\":\"ct\"", "\"host\":\"*\"",
		        "responder.host: must be a name: lower-case letters, digits and hyphens, "
		        "from a letter on, at most 63" },
		{ "\"port\":104", "\"port\":65536",
		        "port: must be a whole number from 0 to 65535" },
		{ "\"port\":104", "\"port\":\"104\"",
		        "port: must be a whole number from 0 to 65535" },
		{ "\"port\":104", "\"port\":-1", "port: must be a whole number from 0 to 65535" },
		{ "\"port\":104", "\"port\":104.0",
		        "port: must be a whole number from 0 to 65535" },
		{ "\"port\":104", "\"port\":0",
		        "port: must be 0 with icmp and from 1 to 65535 with tcp and udp" },
		{ "\"tcp\"", "\"icmp\"",
		        "port: must be 0 with icmp and from 1 to 65535 with tcp and udp" },
		{ "\"tcp\"", "\"gre\"", "protocol: must be one of: tcp, udp, icmp" },
		{ "\"number\":4711", "\"number\":0",
		        "number: must be a whole number from 1 to 2147483647" },
		{ "\"number\":4711", "\"number\":2147483648",
		        "number: must be a whole number from 1 to 2147483647" },
		{ "\"lease_sec\":60", "\"lease_sec\":301",
		        "lease_sec: must be a whole number from 1 to 300" },
		{ "remote-maintenance", "everything", "class: there is no such service class" },
		{ "01JD", "01jd", "id: must be an id of 26 characters" },
		{ "\"0a1b\"", "\"0A1B\"",
		        "initiator.serial: must be 2 to 40 lower-case hex digits, an even number "
		        "of them" },
		{ "\"0a1b\"", "\"a1b\"",
		        "initiator.serial: must be 2 to 40 lower-case hex digits, an even number "
		        "of them" },
		{ "192.0.2.2", "192.0.2", "initiator.address: must be an IP address or \"any\"" },
		{ "192.0.2.2", "127.0.0.1",
		        "initiator.address: no gateway can be at this address" },
		{ "192.0.2.2", "2001:db8::1",
		        "the two gateways must be reached by one address family" },
		{ "100.64.2.20", "0.0.0.0", "responder.service: no host can be at this address" },
		{ "100.64.2.20", "100.64.2.0/24", "responder.service: must be an IP address" },
		{ "100.64.2.20", "100.64.3.10",
		        "the two service addresses must differ and be of one address family" },
		{ "100.64.2.20", "fd00::1",
		        "the two service addresses must differ and be of one address family" },
		{ "\"core-hospital\"", "\"device-maker\"",
		        "the two ends must differ in site, gateway and identity" },
		{ "gw-core.regional-vpn.sekisho.internal", "gw-core..internal",
		        "responder.identity: must be a DNS name in lower case" },
		{ "鈴木", "",
		        "person: must be named for remote maintenance, a work order and an "
		        "emergency" },
		{ "鈴木", "a\\nb", "person: must be one line of text of 0 to 127 bytes" },
		{ "鈴木", "a\\u202eb", "person: must be one line of text of 0 to 127 bytes" },
		{ "\"emergency\":false", "\"emergency\":0", "emergency: must be true or false" },
		{ "\"emergency\":false,", "", "emergency: is missing" },
		{ "\"outage\":false,", "", "outage: is missing" },
		{ "\"idle_sec\":900,", "", "idle_sec: is missing" },
		{ "\"idle_sec\":900", "\"idle_sec\":86401",
		        "idle_sec: must be a whole number from 0 to 86400" },
		{ ",\"work_order\":\"01JD0000000000000000000001\"", "", "work_order: is missing" },
		{ "0001\"}", "000\"}", "work_order: must be an id or empty" },
		{ "0001\"}", "00011\"}", "work_order: must be one line of text of 0 to 26 bytes" },
		{ "10:30:00.000Z", "09:30:00.000Z",
		        "not_after: must be later than not_before and issued_at" },
		{ "2026-11-20T10:30", "2026-11-21T10:30",
		        "not_after: a grant lasts at most 86400 s" },
		{ "10:30:00.000Z", "10:30:00Z", "the grant is not in its canonical form" },
		{ "{\"class\"", "{ \"class\"", "the grant is not in its canonical form" },
		{ "鈴木", "\\u9234\\u6728", "the grant is not in its canonical form" },
		{ "0001\"}", "0001\"} ", "the grant is not in its canonical form" },
		{ "\"responder\":9", "\"responder\":0",
		        "policy.responder: must be a whole number from 1 to 9223372036854775807" },
		{ "\"policy\":{\"initiator\":2,\"provider\":4,\"responder\":9}", "\"policy\":null",
		        "policy: must be an object" },
	};
	struct grant grant;
	struct err err;

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		printf("# %s -> %s\n", rows[i].from, rows[i].to);
		CHECK(parse_changed(rows[i].from, rows[i].to, &grant, &err) == 1);
		CHECK_TEXT(err.text, rows[i].refused);
	}
}

TEST(a_lease_round_trips_and_runs_out)
{
	static const char text[] = "{\"epoch\":3,\"grant\":\"01JD0000000000000000000000\","
	                           "\"issued_at\":\"2026-11-20T09:30:00.000Z\",\"provider\":"
	                           "\"regional-vpn\",\"seq\":12,\"ttl_sec\":60,\"v\":1}";
	AUTO_BUF struct buf out = BUF(1024);
	struct err err = { "" };
	struct lease lease;
	int64_t at;

	CHECK(lease_parse(text, sizeof(text) - 1, &lease, &err) == 0);
	lease_print(&lease, &out);
	CHECK_TEXT(buf_text(&out), text);
	CHECK(lease.seq == 12 && lease.ttl_sec == 60);
	CHECK(lease_parse(text, sizeof(text) - 2, &lease, &err) == 1);
	at = lease.issued_at;
	CHECK(lease_left_msec(&lease, 60, at + 3600 * USEC_PER_SEC, at) == 60000);
	CHECK(lease_left_msec(&lease, 60, at + 3600 * USEC_PER_SEC, at - 5 * USEC_PER_SEC) ==
	        60000);
	CHECK(lease_left_msec(&lease, 60, at + 3600 * USEC_PER_SEC, at + 59999 * USEC_PER_MSEC) ==
	        1);
	CHECK(lease_left_msec(&lease, 60, at + 3600 * USEC_PER_SEC, at + 60 * USEC_PER_SEC) == 0);
	CHECK(lease_left_msec(&lease, 60, at + 3600 * USEC_PER_SEC, at + 600 * USEC_PER_SEC) == 0);
	CHECK(lease_left_msec(&lease, 30, at + 3600 * USEC_PER_SEC, at) == 30000);
	CHECK(lease_left_msec(&lease, 60, at + 10 * USEC_PER_SEC, at + USEC_PER_SEC) == 9000);
	CHECK(lease_left_msec(&lease, 60, at - 1, at) == 0);
}

TEST_MAIN()
