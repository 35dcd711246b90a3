/* The pure half: what is written for nft and charon, and what charon's messages mean. */
#include "../check.h"

#include <arpa/inet.h>
#include <stdlib.h>

#include "gateway/charon_config.h"
#include "gateway/charon_message.h"
#include "gateway/dataplane.h"
#include "gateway/firewall.h"

static const char *const wan[] = { "wan0", "ppp0" };
static const char *const lan[] = { "lan0" };
static const struct firewall_prefix services[] = {
	{ { IP_V4, { 100, 64 } }, 10 },
	{ { IP_V6, { 0xfd, 0, 0, 0x64 } }, 32 },
};
static const struct firewall_prefix no_bits[] = { { { IP_V4, { 100, 64 } }, 0 } };

static struct firewall_config sample(void)
{
	return (struct firewall_config){ .table = "sekisho",
		.wan = wan,
		.wan_count = 2,
		.lan = lan,
		.lan_count = 1,
		.tunnel = "ipsec0",
		.services = services,
		.services_count = 1 };
}

TEST(rules_drop_by_default_and_have_no_bypass_in_forwarding)
{
	AUTO_BUF struct buf out = BUF(65536);
	struct firewall_config config = sample();
	struct err err = { 0 };
	const char *forward;

	CHECK(firewall_print(&config, &out, &err) == 0);
	CHECK(strstr(buf_text(&out), "hook forward priority filter; policy drop;") != NULL);
	CHECK(strstr(buf_text(&out), "hook input priority filter; policy drop;") != NULL);
	CHECK(strstr(buf_text(&out), "define WAN = { \"wan0\", \"ppp0\" }") != NULL);
	CHECK(strstr(buf_text(&out), "define SVC = 100.64.0.0/10") != NULL);
	forward = strstr(buf_text(&out), "  chain forw {\n");
	CHECK(forward != NULL);
	CHECK(strstr(forward, "  chain leased {") < strstr(forward, "established"));
}

/* First traffic is looked at and nothing else: no verdict, no mark, and only as much as fits. */
TEST(rules_that_look_at_first_packets_let_nothing_pass)
{
	AUTO_BUF struct buf out = BUF(65536);
	struct firewall_config config = sample();
	struct err err = { 0 };
	char *chain, *end;

	CHECK(firewall_print(&config, &out, &err) == 0);
	CHECK(strstr(buf_text(&out), "size 1024\n    flags dynamic,timeout\n    timeout 2s") !=
	        NULL);
	chain = strstr((char *)buf_text(&out), "  chain first {\n");
	CHECK(chain != NULL);
	end = strstr(chain, "\n  }");
	CHECK(end != NULL);
	*end = '\0';
	CHECK(!strstr(chain, "accept") && !strstr(chain, "drop") && !strstr(chain, "mark") &&
	        !strstr(chain, "jump") && !strstr(chain, "nat"));
	CHECK(strstr(chain, "iifname $LAN ip daddr $SVC ct state new") != NULL);
	CHECK(strstr(chain, "ip saddr @first update @pace { ip saddr limit rate 32/second") !=
	        NULL);
}

/* Of one table: from its name on. */
static const char *table_of(struct buf *out, const char *name)
{
	return strstr(buf_text(out), name);
}

TEST(ipv6_is_forwarded_only_where_it_has_a_prefix)
{
	AUTO_BUF struct buf out = BUF(65536);
	struct firewall_config config = sample();
	struct err err = { 0 };
	const char *six;

	CHECK(firewall_print(&config, &out, &err) == 0);
	six = table_of(&out, "table ip6 sekisho");
	CHECK(six != NULL && strstr(six, "jump leased") == NULL &&
	        strstr(six, "map lease") == NULL);
	CHECK(strstr(six, "hook forward priority filter; policy drop;") != NULL);
	buf_reset(&out);
	config.services_count = 2;
	CHECK(firewall_print(&config, &out, &err) == 0);
	six = table_of(&out, "table ip6 sekisho");
	CHECK(six != NULL && strstr(six, "jump leased") != NULL);
	CHECK(strstr(six, "ct original ip6 saddr . ct original ip6 daddr") != NULL);
}

TEST(zones_have_their_interfaces_and_their_hosts)
{
	static const char *const hsz[] = { "hsz0" };
	AUTO_BUF struct buf out = BUF(65536);
	struct firewall_config config = sample();
	struct err err = { 0 };

	config.zones[FIREWALL_HSZ].names = hsz;
	config.zones[FIREWALL_HSZ].count = 1;
	CHECK(firewall_print(&config, &out, &err) == 0);
	CHECK(strstr(buf_text(&out), "define LAN = { \"lan0\", \"hsz0\" }") != NULL);
	CHECK(strstr(buf_text(&out), "iifname $LAN oifname $LAN counter name c_zone drop") != NULL);
	CHECK(strstr(buf_text(&out), "oifname $ZONE_hsz ip daddr != @hsz") != NULL);
	CHECK(strstr(buf_text(&out), "$ZONE_dmz") == NULL);
}

TEST(loading_again_keeps_elements)
{
	AUTO_BUF struct buf out = BUF(65536);
	struct firewall_config config = sample();
	struct err err = { 0 };

	CHECK(firewall_print(&config, &out, &err) == 0);
	CHECK(strstr(buf_text(&out), "flush ruleset") == NULL);
	CHECK(strstr(buf_text(&out), "flush table") == NULL);
	CHECK(strstr(buf_text(&out), "flush map") == NULL);
	CHECK(strstr(buf_text(&out), "delete") == NULL);
}

TEST(kernel_esp_lets_esp_in)
{
	AUTO_BUF struct buf out = BUF(65536);
	struct firewall_config config = sample();
	struct err err = { 0 };

	CHECK(firewall_print(&config, &out, &err) == 0);
	CHECK(strstr(buf_text(&out), "l4proto esp") == NULL);
	buf_reset(&out);
	config.kernel_esp = true;
	config.tunnel = DATAPLANE_TUNNEL_KERNEL;
	CHECK(firewall_print(&config, &out, &err) == 0);
	CHECK(strstr(buf_text(&out), "iifname $WAN meta l4proto esp accept") != NULL);
	CHECK(strstr(buf_text(&out), "define TUN = \"skx*\"") != NULL);
}

TEST(names_cannot_smuggle_rules)
{
	static const char *const bad[] = { "a\" accept", "a\n", "", "*", "wan0*",
		"much-too-long-a-name" };
	AUTO_BUF struct buf out = BUF(65536);
	struct firewall_config config;
	struct err err = { 0 };

	for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
		config = sample();
		config.lan = &bad[i];
		CHECK(firewall_print(&config, &out, &err) == 1 && out.count == 0 && err.text[0]);
	}
	config = sample();
	config.table = "a b";
	CHECK(firewall_print(&config, &out, &err) == 1);
	config = sample();
	config.tunnel = "*";
	CHECK(firewall_print(&config, &out, &err) == 1);
	config = sample();
	config.services = no_bits;
	CHECK(firewall_print(&config, &out, &err) == 1);
	config = sample();
	config.wan_count = 0;
	CHECK(firewall_print(&config, &out, &err) == 1 && out.count == 0);
}

TEST(charon_gets_the_plugins_in_order)
{
	AUTO_BUF struct buf out = BUF(8192);
	struct charon_config config = { .directory = "/run/x",
		.userspace_esp = true,
		.pkcs11_module = "/usr/lib/p11.so",
		.ignored_interface = "svc0" };
	struct err err = { 0 };
	const char *user, *kernel;

	CHECK(charon_config_print(&config, &out, &err) == 0);
	user = strstr(buf_text(&out), "kernel-libipsec");
	kernel = strstr(buf_text(&out), "kernel-netlink");
	CHECK(user && kernel && user < kernel);
	CHECK(strstr(buf_text(&out), " kdf ") != NULL);
	CHECK(strstr(buf_text(&out), "path = /usr/lib/p11.so\n") != NULL);
	buf_reset(&out);
	config.userspace_esp = false;
	config.pkcs11_module = NULL;
	CHECK(charon_config_print(&config, &out, &err) == 0);
	CHECK(strstr(buf_text(&out), "libipsec") == NULL &&
	        strstr(buf_text(&out), "pkcs11") == NULL);
	CHECK(strstr(buf_text(&out), "install_routes = no\n") != NULL);
	buf_reset(&out);
	config.directory = "/run/x }\n load = everything";
	CHECK(charon_config_print(&config, &out, &err) == 1 && out.count == 0);
}

struct told {
	int count;
	struct charon_sa last;
};

static void tell(void *context, const struct charon_sa *sa)
{
	struct told *told = context;

	told->count++;
	told->last = *sa;
}

static int read_sas(struct buf *out, struct told *told, bool *ret_up)
{
	struct vici_packet packet;
	size_t used;

	CHECK(vici_packet_parse(out->bytes, out->count, &packet, &used) == 0);
	return charon_message_sas(packet.message, packet.message_bytes, tell, told, ret_up);
}

TEST(sas_are_read_with_their_children)
{
	AUTO_BUF struct buf out = BUF(4096);
	struct vici_writer writer = vici_packet_start(&out, VICI_EVENT, "list-sa");
	struct told told = { 0 };
	bool up;

	vici_section_start(&writer, "gb");
	vici_text(&writer, "uniqueid", "3");
	vici_text(&writer, "state", "ESTABLISHED");
	vici_text(&writer, "remote-id", "bad\ntext");
	vici_section_start(&writer, "child-sas");
	for (int i = 0; i < 2; i++) {
		vici_section_start(&writer, i == 0 ? "c1-7" : "c2-8");
		vici_text(&writer, "name", i == 0 ? "c1" : "c2");
		if (i == 0) {
			vici_text(&writer, "bytes-in", "5000000000");
			vici_text(&writer, "spi-in", "c0ffee01");
		}
		vici_list_text(&writer, "local-ts", "100.64.1.10/32");
		vici_section_end(&writer);
	}
	vici_section_end(&writer);
	vici_section_end(&writer);
	vici_section_start(&writer, "gc");
	vici_section_end(&writer);
	CHECK(vici_packet_end(&writer) == 0);
	CHECK(read_sas(&out, &told, &up) == 0 && told.count == 3 && !up);
	CHECK_TEXT(told.last.peer, "gc");
	CHECK(told.last.child[0] == '\0' && told.last.ike_number == 0);
}

TEST(fields_of_one_child_do_not_reach_the_next)
{
	AUTO_BUF struct buf out = BUF(4096);
	struct vici_writer writer = vici_packet_start(&out, VICI_EVENT, "list-sa");
	struct told told = { 0 };
	bool up;

	vici_section_start(&writer, "gb");
	vici_text(&writer, "remote-id", "bad\ntext");
	vici_section_start(&writer, "child-sas");
	vici_section_start(&writer, "c1-7");
	vici_text(&writer, "bytes-in", "5000000000");
	vici_section_end(&writer);
	vici_section_start(&writer, "c2-8");
	vici_text(&writer, "name", "c2");
	vici_section_end(&writer);
	vici_section_end(&writer);
	vici_section_end(&writer);
	CHECK(vici_packet_end(&writer) == 0);
	CHECK(read_sas(&out, &told, &up) == 0 && told.count == 2);
	CHECK(told.last.bytes_in == 0);
	CHECK_TEXT(told.last.remote_id, "?");
}

TEST(a_rekeying_tells_the_new_child)
{
	AUTO_BUF struct buf out = BUF(4096);
	struct vici_writer writer = vici_packet_start(&out, VICI_EVENT, "child-rekey");
	enum charon_event_type type;
	struct told told = { 0 };
	bool up;

	vici_section_start(&writer, "gb");
	vici_section_start(&writer, "child-sas");
	vici_section_start(&writer, "c1");
	vici_section_start(&writer, "new");
	vici_text(&writer, "name", "c1");
	vici_text(&writer, "uniqueid", "8");
	vici_section_end(&writer);
	vici_section_start(&writer, "old");
	vici_text(&writer, "uniqueid", "7");
	vici_section_end(&writer);
	vici_section_end(&writer);
	vici_section_end(&writer);
	vici_section_end(&writer);
	CHECK(vici_packet_end(&writer) == 0);
	CHECK(read_sas(&out, &told, &up) == 0 && told.count == 1 && told.last.child_number == 8);
	CHECK_TEXT(told.last.child, "c1");
	CHECK(charon_message_event("child-rekey", up, &type) == 0 && type == CHARON_CHILD_REKEYED);
	CHECK(charon_message_event("list-sa", up, &type) == 1);
}

TEST(dataplanes_have_names)
{
	enum dataplane dataplane;

	CHECK(dataplane_parse("libipsec", &dataplane) == 0 && dataplane == DATAPLANE_USERSPACE);
	CHECK(dataplane_parse(dataplane_name(DATAPLANE_KERNEL), &dataplane) == 0);
	CHECK(dataplane == DATAPLANE_KERNEL);
	CHECK(dataplane_parse("Kernel", &dataplane) == 1);
}

TEST_MAIN()
