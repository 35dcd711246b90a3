/*
 * The ruleset: a table of IPv4 and one of IPv6. One text for both kinds of ESP: a tunnel is an
 * interface or a pattern of interfaces.
 *
 * Why the keys are as they are: conntrack holds, for a flow from host a to host b,
 *     at a's gateway  a's real address   -> b's service address
 *     at b's gateway  a's service address -> b's service address (before DNAT)
 * and replies are reversed by conntrack itself, so one element serves both directions.
 */
#include "gateway/firewall.h"

#include <ctype.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"

/* Several elements a connection: its protocols, and what is renewed. */
#define LEASES_MAX (4 * TUNNELS_PER_GATEWAY_MAX)

/* Quoted by us, so a quote, a backslash, a line break or a wildcard must not be in it. */
static bool name_fits(const char *name, size_t bytes_max)
{
	size_t count = strlen(name);

	for (size_t i = 0; i < count; i++) {
		if (!isalnum((unsigned char)name[i]) && !strchr("._-", name[i])) {
			return false;
		}
	}
	return count > 0 && count <= bytes_max;
}

static int check_names(const char *const *names, size_t count, struct err *err)
{
	if (count == 0) {
		return err_set(
		        err, 1, "the packet filter needs at least one wan and one lan interface");
	}
	for (size_t i = 0; i < count; i++) {
		if (!name_fits(names[i], IFNAMSIZ - 1)) {
			return err_set(err, 1, "\"%s\" is not an interface name", names[i]);
		}
	}
	return 0;
}

static int check_services(const struct firewall_config *config, struct err *err)
{
	unsigned seen = 0;

	for (size_t i = 0; i < config->services_count; i++) {
		const struct firewall_prefix *prefix = &config->services[i];

		if (prefix->bits < 1 || prefix->bits > 8 * ip_bytes(prefix->ip) ||
		        (seen & 1U << prefix->ip.family)) {
			return err_set(err, 1,
			        "a service prefix has at least one bit, and there is one of a "
			        "family");
		}
		seen |= 1U << prefix->ip.family;
	}
	return config->services_count > 0
	               ? 0
	               : err_set(err, 1, "the packet filter needs a service prefix");
}

static int check(const struct firewall_config *config, struct err *err)
{
	char tunnel[IFNAMSIZ] = "";
	size_t count = strlen(config->tunnel);

	if (!name_fits(config->table, NFT_NAME_BYTES_MAX) ||
	        !isalpha((unsigned char)*config->table)) {
		return err_set(err, 1, "\"%s\" is not a table name", config->table);
	}
	/* A pattern may end in one star. */
	if (count > 0 && count < sizeof(tunnel)) {
		memcpy(tunnel, config->tunnel, count - (config->tunnel[count - 1] == '*'));
	}
	if (!name_fits(tunnel, IFNAMSIZ - 1)) {
		return err_set(err, 1, "\"%s\" is not a tunnel interface", config->tunnel);
	}
	if (check_services(config, err) != 0) {
		return 1;
	}
	for (size_t i = 0; i < config->inputs_count; i++) {
		const struct firewall_input *input = &config->inputs[i];

		if ((input->interface && !name_fits(input->interface, IFNAMSIZ - 1)) ||
		        (input->protocol != IPPROTO_TCP && input->protocol != IPPROTO_UDP)) {
			return err_set(err, 1,
			        "allowed input %zu names no interface or neither tcp nor udp",
			        i + 1);
		}
	}
	for (int zone = 0; zone < FIREWALL_ZONE_COUNT; zone++) {
		if (config->zones[zone].count > 0 && check_names(config->zones[zone].names,
		                                             config->zones[zone].count, err) != 0) {
			return 1;
		}
	}
	if (check_names(config->wan, config->wan_count, err) != 0) {
		return 1;
	}
	return check_names(config->lan, config->lan_count, err);
}

/* What differs between the two tables. */
struct family {
	const char *name, *type;
	const char *protocols; /* that pass: some names nft would look up in /etc/protocols */
	const char *pings;
	const struct firewall_prefix *services; /* NULL: nothing of this family is forwarded */
	unsigned mss;
};

/* An address family's headers inside, TCP's, and what ESP in UDP over IPv6 adds at most. */
#define HEADERS_V4 (20 + 20)
#define HEADERS_V6 (40 + 20)
#define TUNNEL_BYTES_MAX (40 + 8 + 8 + 8 + 4 + 2 + 16)

static struct family family_of(const struct firewall_config *config, enum ip_family family)
{
	bool six = family == IP_V6;
	unsigned path = config->path_mtu ? config->path_mtu : FIREWALL_PATH_MTU;
	struct family out = { .name = six ? "ip6" : "ip",
		.type = six ? "ipv6_addr" : "ipv4_addr",
		.protocols = six ? "{ 58, 6, 17 }" : "{ 1, 6, 17 }",
		.pings = six ? "icmpv6 type echo-request" : "icmp type echo-request",
		.mss = path - TUNNEL_BYTES_MAX - (six ? HEADERS_V6 : HEADERS_V4) };

	for (size_t i = 0; i < config->services_count; i++) {
		if (config->services[i].ip.family == family) {
			out.services = &config->services[i];
		}
	}
	return out;
}

static void print_set(struct buf *out, const char *name, const char *const *items, size_t count)
{
	buf_add_format(out, "define %s = { ", name);
	for (size_t i = 0; i < count; i++) {
		buf_add_format(out, "%s\"%s\"", i > 0 ? ", " : "", items[i]);
	}
	buf_add_text(out, " }\n");
}

const char *const firewall_zone_names[FIREWALL_ZONE_COUNT] = { "dmz", "sz", "hsz" };

static void print_defines(const struct firewall_config *config, struct buf *out)
{
	print_set(out, "WAN", config->wan, config->wan_count);
	buf_add_text(out, "define LAN = { ");
	for (size_t i = 0; i < config->lan_count; i++) {
		buf_add_format(out, "%s\"%s\"", i > 0 ? ", " : "", config->lan[i]);
	}
	for (int zone = 0; zone < FIREWALL_ZONE_COUNT; zone++) {
		for (size_t i = 0; i < config->zones[zone].count; i++) {
			buf_add_format(out, ", \"%s\"", config->zones[zone].names[i]);
		}
	}
	buf_add_text(out, " }\n");
	for (int zone = 0; zone < FIREWALL_ZONE_COUNT; zone++) {
		char name[16];

		snprintf(name, sizeof(name), "ZONE_%s", firewall_zone_names[zone]);
		if (config->zones[zone].count > 0) {
			print_set(out, name, config->zones[zone].names, config->zones[zone].count);
		}
	}
	buf_add_format(out, "define TUN = \"%s\"\n", config->tunnel);
}

static const struct {
	const char *name, *hook;
	bool always; /* also where nothing of the family is forwarded */
} chains[] = {
	{ "pre_raw", "type filter hook prerouting priority raw; policy accept;", false },
	{ "out_raw", "type filter hook output priority raw; policy accept;", false },
	{ "first", "type filter hook prerouting priority mangle; policy accept;", false },
	{ "pre_nat", "type nat hook prerouting priority dstnat; policy accept;", false },
	{ "post_nat", "type nat hook postrouting priority srcnat; policy accept;", false },
	{ "guard", "type filter hook postrouting priority 110; policy accept;", false },
	{ "in", "type filter hook input priority filter; policy drop;", true },
	{ "out", "type filter hook output priority filter; policy accept;", true },
	{ "forw", "type filter hook forward priority filter; policy drop;", true },
	{ "leased", "", false },
};

static const char *const counters[] = {
	"c_spoof",
	"c_transit",
	"c_nolease",
	"c_service",
	"c_guard",
	"c_input",
	"c_zone",
	"c_open",
	"c_away",
};

/* What is made when missing and otherwise kept, elements above all. */
static void print_frame(
        const struct firewall_config *config, const struct family *family, struct buf *out)
{
	const char *type = family->type;

	buf_add_format(out, "table %s %s {\n", family->name, config->table);
	if (family->services) {
		buf_add_format(out,
		        "  map " FIREWALL_TO_REAL_MAP " { type %s : %s; size %d; }\n"
		        "  map " FIREWALL_TO_SERVICE_MAP " { type %s : %s; size %d; }\n",
		        type, type, FIREWALL_PAIRS_MAX, type, type, FIREWALL_PAIRS_MAX);
		buf_add_format(out,
		        "  map " FIREWALL_LEASE_MAP " {\n"
		        "    type %s . %s . inet_proto . inet_service : mark\n"
		        "    size %d\n    flags timeout\n    counter\n  }\n",
		        type, type, LEASES_MAX);
		buf_add_format(out,
		        "  set " FIREWALL_FIRST_SET " { type %s; size %d; }\n"
		        "  set pace { type %s; size %d; flags dynamic,timeout; timeout 1m; }\n"
		        "  set " FIREWALL_SEEN_SET " {\n"
		        "    type %s . %s . inet_proto . inet_service\n"
		        "    size %d\n    flags dynamic,timeout\n    timeout %ds\n  }\n",
		        type, FIREWALL_PAIRS_MAX, type, FIREWALL_PAIRS_MAX, type, type,
		        TRAFFIC_SEEN_MAX, TRAFFIC_SEEN_SEC);
	}
	buf_add_format(out, "  set " FIREWALL_AWAY_SET " { type %s; size %d; }\n", type,
	        FIREWALL_PAIRS_MAX);
	for (int zone = 0; zone < FIREWALL_ZONE_COUNT; zone++) {
		buf_add_format(out, "  set %s { type %s; size %d; }\n", firewall_zone_names[zone],
		        type, FIREWALL_PAIRS_MAX);
	}
	for (size_t i = 0; i < ARRAY_COUNT(counters); i++) {
		buf_add_format(out, "  counter %s { }\n", counters[i]);
	}
	for (size_t i = 0; i < ARRAY_COUNT(chains); i++) {
		if (family->services || chains[i].always) {
			buf_add_format(out, "  chain %s { %s }\n", chains[i].name, chains[i].hook);
		}
	}
	buf_add_text(out, "}\n");
	for (size_t i = 0; i < ARRAY_COUNT(chains); i++) {
		if (family->services || chains[i].always) {
			buf_add_format(out, "flush chain %s %s %s\n", family->name, config->table,
			        chains[i].name);
		}
	}
}

static void print_raw(
        const struct firewall_config *config, const struct family *family, struct buf *out)
{
	const char *ip = family->name;

	buf_add_format(out,
	        "  chain pre_raw {\n"
	        "    iifname != $TUN %s saddr $SVC counter name c_spoof drop\n"
	        "    iifname $TUN %s saddr != $SVC counter name c_spoof drop\n"
	        "    iifname $TUN %s daddr != $SVC counter name c_spoof drop\n"
	        "    iifname != $TUN iifname != $LAN iifname != \"lo\" %s daddr $SVC "
	        "counter name c_spoof drop\n"
	        "    iifname $WAN udp dport { 500, 4500 } notrack\n",
	        ip, ip, ip, ip);
	buf_add_text(out,
	        config->kernel_esp ? "    iifname $WAN meta l4proto esp notrack\n  }\n" : "  }\n");
	buf_add_text(out, "  chain out_raw {\n"
	                  "    oifname $WAN udp sport { 500, 4500 } notrack\n");
	buf_add_text(out,
	        config->kernel_esp ? "    oifname $WAN meta l4proto esp notrack\n  }\n" : "  }\n");
}

static void print_inputs(const struct firewall_config *config, struct buf *out)
{
	for (size_t i = 0; i < config->inputs_count; i++) {
		const struct firewall_input *input = &config->inputs[i];

		buf_add_text(out, "    ");
		if (input->interface) {
			buf_add_format(out, "iifname \"%s\" ", input->interface);
		}
		buf_add_format(out, "%s dport %u accept\n",
		        input->protocol == IPPROTO_TCP ? "tcp" : "udp", (unsigned)input->port);
	}
}

/* The gateway itself. Service addresses are local to it (DNAT comes first), so a packet without a
 * mapping would end here: dropped before anything else. "established" is for the gateway's own
 * connections, to the center for one; nothing that is forwarded comes by. A host that is away
 * (changeover) does not talk to the gateway either: the gateway is a part of its LAN. */
static void print_local(
        const struct firewall_config *config, const struct family *family, struct buf *out)
{
	const char *ip = family->name;

	buf_add_text(out, "  chain in {\n");
	if (family->services) {
		buf_add_format(out, "    %s daddr $SVC counter name c_service drop\n", ip);
	}
	buf_add_format(out,
	        "    iifname $TUN counter name c_service drop\n"
	        "    iifname \"lo\" accept\n"
	        "    iifname $WAN udp dport { 500, 4500 } accept\n"
	        "    iifname $LAN %s saddr @" FIREWALL_AWAY_SET " counter name c_away drop\n",
	        ip);
	if (config->kernel_esp) {
		buf_add_text(out, "    iifname $WAN meta l4proto esp accept\n");
	}
	buf_add_text(out, "    ct state established,related accept\n");
	if (strcmp(ip, "ip6") == 0) {
		buf_add_text(out, "    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, "
		                  "nd-router-advert, destination-unreachable, packet-too-big, "
		                  "time-exceeded, parameter-problem } accept\n");
	}
	buf_add_format(out, "    iifname $LAN %s accept\n", family->pings);
	print_inputs(config, out);
	buf_add_text(out, "    counter name c_input\n"
	                  "  }\n"
	                  "  chain out {\n");
	if (family->services) {
		buf_add_format(out, "    %s daddr $SVC counter name c_guard drop\n", ip);
	}
	buf_add_format(out,
	        "    oifname $LAN %s daddr @" FIREWALL_AWAY_SET " counter name c_away drop\n  }\n",
	        ip);
}

/* A host of a zone that has interfaces is behind one of them, and nobody else is (F1, F2). */
static void print_zones(
        const struct firewall_config *config, const struct family *family, struct buf *out)
{
	for (int zone = 0; zone < FIREWALL_ZONE_COUNT; zone++) {
		const char *name = firewall_zone_names[zone];

		if (config->zones[zone].count == 0) {
			continue;
		}
		buf_add_format(out,
		        "    iifname $ZONE_%s %s saddr != @%s counter name c_zone drop\n"
		        "    oifname $ZONE_%s %s daddr != @%s counter name c_zone drop\n",
		        name, family->name, name, name, family->name, name);
		buf_add_format(out,
		        "    iifname != $TUN iifname != $ZONE_%s %s saddr @%s counter name c_zone "
		        "drop\n"
		        "    oifname != $TUN oifname != $ZONE_%s %s daddr @%s counter name c_zone "
		        "drop\n",
		        name, family->name, name, name, family->name, name);
	}
}

/* First traffic: which flows hosts of `first` want to begin is written down, and nothing else
 * happens. It has to be before routing, where what has no tunnel ends (blackhole). Behind conntrack
 * (so that only the first packet of a flow counts), of each host so many a second. A host of a zone
 * counts at the interfaces of its zone only, like there its packets. */
static void print_first(
        const struct firewall_config *config, const struct family *family, struct buf *out)
{
	const char *ip = family->name;

	buf_add_text(out, "  chain first {\n");
	for (int zone = 0; zone < FIREWALL_ZONE_COUNT; zone++) {
		const char *name = firewall_zone_names[zone];

		if (config->zones[zone].count > 0) {
			buf_add_format(out,
			        "    iifname $ZONE_%s %s saddr != @%s return\n"
			        "    iifname != $ZONE_%s %s saddr @%s return\n",
			        name, ip, name, name, ip, name);
		}
	}
	buf_add_format(out,
	        "    iifname $LAN %s daddr $SVC ct state new ct original protocol %s "
	        "%s saddr @" FIREWALL_FIRST_SET " update @pace { %s saddr limit rate %d/second "
	        "burst %d packets } add @" FIREWALL_SEEN_SET
	        " { ct original %s saddr . ct original "
	        "%s daddr . ct original protocol . ct original proto-dst }\n  }\n",
	        ip, family->protocols, ip, ip, TRAFFIC_SEEN_PER_SEC, TRAFFIC_SEEN_PER_SEC, ip, ip);
}

static void print_forward(
        const struct firewall_config *config, const struct family *family, struct buf *out)
{
	/* Kernel ESP shows a packet of a tunnel here once more, as leaving by the WAN interface,
	 * before it is encrypted: one that will be is none of the guard's. */
	const char *clear = config->kernel_esp ? "rt ipsec missing " : "", *ip = family->name;

	buf_add_format(out,
	        "  chain pre_nat {\n"
	        "    iifname $TUN dnat to %s daddr map @" FIREWALL_TO_REAL_MAP "\n"
	        "  }\n"
	        "  chain post_nat {\n"
	        "    oifname $TUN snat to %s saddr map @" FIREWALL_TO_SERVICE_MAP "\n"
	        "  }\n",
	        ip, ip);
	buf_add_format(out,
	        "  chain guard {\n"
	        "    oifname $WAN %s daddr $SVC %scounter name c_guard drop\n"
	        "    oifname $WAN %s saddr $SVC %scounter name c_guard drop\n"
	        "    oifname $TUN %s saddr != $SVC counter name c_guard drop\n"
	        "  }\n",
	        ip, clear, ip, clear, ip);
	/* An MSS only ever gets smaller: what it leaves room for passes a path of `path_mtu` bytes
	 * without a fragment, ESP in UDP over either family included. */
	buf_add_format(out,
	        "  chain leased {\n"
	        "    tcp flags & (syn | rst) == syn tcp option maxseg size set %u\n"
	        "    ct original protocol %s ct mark set ct original %s saddr . "
	        "ct original %s daddr . ct original protocol . ct original proto-dst map "
	        "@" FIREWALL_LEASE_MAP " accept\n"
	        "  }\n",
	        family->mss, family->protocols, ip, ip);
}

/* The three ways that must never be one: from tunnel to tunnel, between parts of the site, and
 * between the open network and the site (E14), counted each for itself. */
static void print_passage(
        const struct firewall_config *config, const struct family *family, struct buf *out)
{
	buf_add_text(out, "  chain forw {\n"
	                  "    iifname $TUN oifname $TUN counter name c_transit drop\n"
	                  "    iifname $LAN oifname $LAN counter name c_zone drop\n"
	                  "    iifname $WAN counter name c_open drop\n"
	                  "    oifname $WAN counter name c_open drop\n");
	if (family->services) {
		print_zones(config, family, out);
		buf_add_text(out, "    iifname $LAN oifname $TUN jump leased\n"
		                  "    iifname $TUN oifname $LAN jump leased\n");
	}
	buf_add_text(out, "    counter name c_nolease\n"
	                  "  }\n");
}

static void print_family(
        const struct firewall_config *config, enum ip_family which, struct buf *out)
{
	struct family family = family_of(config, which);

	if (family.services) {
		buf_add_format(out, "%s SVC = %s/%u\n", which == IP_V4 ? "define" : "redefine",
		        ip_print(family.services->ip).text, family.services->bits);
	}
	print_frame(config, &family, out);
	buf_add_format(out, "table %s %s {\n", family.name, config->table);
	if (family.services) {
		print_raw(config, &family, out);
		print_first(config, &family, out);
		print_forward(config, &family, out);
	}
	print_passage(config, &family, out);
	print_local(config, &family, out);
	buf_add_text(out, "}\n");
}

int firewall_print(const struct firewall_config *config, struct buf *out, struct err *err)
{
	if (check(config, err) != 0) {
		return 1;
	}
	print_defines(config, out);
	print_family(config, IP_V4, out);
	print_family(config, IP_V6, out);
	return out->overflowed ? err_set(err, 1, "the ruleset is too long") : 0;
}

/* Between the ports of a bridge: neither what a host that is away sends nor what is sent to it, and
 * no address resolution that would let them find each other. */
void firewall_bridge_print(const char *table, struct buf *out)
{
	buf_add_format(out,
	        "table bridge %s {\n"
	        "  set " FIREWALL_AWAY_SET " { type ipv4_addr; size %d; }\n"
	        "  set " FIREWALL_AWAY_SET "6 { type ipv6_addr; size %d; }\n"
	        "  counter c_away { }\n"
	        "  chain forw { type filter hook forward priority filter; policy accept; }\n"
	        "}\n"
	        "flush chain bridge %s forw\n"
	        "table bridge %s {\n"
	        "  chain forw {\n",
	        table, FIREWALL_PAIRS_MAX, FIREWALL_PAIRS_MAX, table, table);
	for (int side = 0; side < 2; side++) {
		const char *at = side == 0 ? "saddr" : "daddr";

		buf_add_format(out,
		        "    ip %s @" FIREWALL_AWAY_SET " counter name c_away drop\n"
		        "    arp %s ip @" FIREWALL_AWAY_SET " counter name c_away drop\n"
		        "    ip6 %s @" FIREWALL_AWAY_SET "6 counter name c_away drop\n",
		        at, at, at);
	}
	buf_add_text(out, "  }\n}\n");
}
