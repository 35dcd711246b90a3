/*
 * The ruleset. One text for both kinds of ESP: a tunnel is an interface or a pattern of interfaces.
 *
 * Why the keys are as they are: conntrack holds, for a flow from host a to host b,
 *     at a's gateway  a's real address   -> b's service address
 *     at b's gateway  a's service address -> b's service address (before DNAT)
 * and replies are reversed by conntrack itself, so one element serves both directions.
 */
#include "gateway/firewall.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <net/if.h>
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
	if (config->service_prefix_bits < 1 || config->service_prefix_bits > 32) {
		return err_set(err, 1, "a service prefix has 1 to 32 bits");
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
	if (check_names(config->wan, config->wan_count, err) != 0) {
		return 1;
	}
	return check_names(config->lan, config->lan_count, err);
}

static void print_set(struct buf *out, const char *name, const char *const *items, size_t count)
{
	buf_add_format(out, "define %s = { ", name);
	for (size_t i = 0; i < count; i++) {
		buf_add_format(out, "%s\"%s\"", i > 0 ? ", " : "", items[i]);
	}
	buf_add_text(out, " }\n");
}

static void print_defines(const struct firewall_config *config, struct buf *out)
{
	char prefix[INET_ADDRSTRLEN] = "";

	inet_ntop(AF_INET, &config->service_prefix, prefix, sizeof(prefix));
	print_set(out, "WAN", config->wan, config->wan_count);
	print_set(out, "LAN", config->lan, config->lan_count);
	buf_add_format(out, "define TUN = \"%s\"\n", config->tunnel);
	buf_add_format(out, "define SVC = %s/%u\n", prefix, config->service_prefix_bits);
}

static const struct {
	const char *name, *hook;
} chains[] = {
	{ "pre_raw", "type filter hook prerouting priority raw; policy accept;" },
	{ "out_raw", "type filter hook output priority raw; policy accept;" },
	{ "pre_nat", "type nat hook prerouting priority dstnat; policy accept;" },
	{ "post_nat", "type nat hook postrouting priority srcnat; policy accept;" },
	{ "guard", "type filter hook postrouting priority 110; policy accept;" },
	{ "in", "type filter hook input priority filter; policy drop;" },
	{ "out", "type filter hook output priority filter; policy accept;" },
	{ "forw", "type filter hook forward priority filter; policy drop;" },
	{ "leased", "" },
};

static const char *const counters[] = {
	"c_spoof",
	"c_transit",
	"c_nolease",
	"c_service",
	"c_guard",
	"c_input",
};

/* What is made when missing and otherwise kept, elements above all. */
static void print_frame(const struct firewall_config *config, struct buf *out)
{
	buf_add_format(out, "table ip %s {\n", config->table);
	buf_add_format(out,
	        "  map " FIREWALL_TO_REAL_MAP " { type ipv4_addr : ipv4_addr; size %d; }\n"
	        "  map " FIREWALL_TO_SERVICE_MAP " { type ipv4_addr : ipv4_addr; size %d; }\n",
	        FIREWALL_PAIRS_MAX, FIREWALL_PAIRS_MAX);
	buf_add_format(out,
	        "  map " FIREWALL_LEASE_MAP " {\n"
	        "    type ipv4_addr . ipv4_addr . inet_proto . inet_service : mark\n"
	        "    size %d\n    flags timeout\n    counter\n  }\n",
	        LEASES_MAX);
	for (size_t i = 0; i < ARRAY_COUNT(counters); i++) {
		buf_add_format(out, "  counter %s { }\n", counters[i]);
	}
	for (size_t i = 0; i < ARRAY_COUNT(chains); i++) {
		buf_add_format(out, "  chain %s { %s }\n", chains[i].name, chains[i].hook);
	}
	buf_add_text(out, "}\n");
	for (size_t i = 0; i < ARRAY_COUNT(chains); i++) {
		buf_add_format(out, "flush chain ip %s %s\n", config->table, chains[i].name);
	}
}

static void print_raw(const struct firewall_config *config, struct buf *out)
{
	buf_add_text(out, "  chain pre_raw {\n"
	                  "    iifname != $TUN ip saddr $SVC counter name c_spoof drop\n"
	                  "    iifname $TUN ip saddr != $SVC counter name c_spoof drop\n"
	                  "    iifname $TUN ip daddr != $SVC counter name c_spoof drop\n"
	                  "    iifname != $TUN iifname != $LAN iifname != \"lo\" ip daddr $SVC "
	                  "counter name c_spoof drop\n"
	                  "    iifname $WAN udp dport { 500, 4500 } notrack\n");
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
 * connections, to the center for one; nothing that is forwarded comes by. */
static void print_local(const struct firewall_config *config, struct buf *out)
{
	buf_add_text(out, "  chain in {\n"
	                  "    ip daddr $SVC counter name c_service drop\n"
	                  "    iifname $TUN counter name c_service drop\n"
	                  "    iifname \"lo\" accept\n"
	                  "    iifname $WAN udp dport { 500, 4500 } accept\n");
	if (config->kernel_esp) {
		buf_add_text(out, "    iifname $WAN meta l4proto esp accept\n");
	}
	buf_add_text(out, "    ct state established,related accept\n"
	                  "    iifname $LAN icmp type echo-request accept\n");
	print_inputs(config, out);
	buf_add_text(out, "    counter name c_input\n"
	                  "  }\n"
	                  "  chain out {\n"
	                  "    ip daddr $SVC counter name c_guard drop\n"
	                  "  }\n");
}

static void print_forward(const struct firewall_config *config, struct buf *out)
{
	/* Kernel ESP shows a packet of a tunnel here once more, as leaving by the WAN interface,
	 * before it is encrypted: one that will be is none of the guard's. */
	const char *clear = config->kernel_esp ? "rt ipsec missing " : "";

	buf_add_text(out, "  chain pre_nat {\n"
	                  "    iifname $TUN dnat to ip daddr map @" FIREWALL_TO_REAL_MAP "\n"
	                  "  }\n"
	                  "  chain post_nat {\n"
	                  "    oifname $TUN snat to ip saddr map @" FIREWALL_TO_SERVICE_MAP "\n"
	                  "  }\n");
	buf_add_format(out,
	        "  chain guard {\n"
	        "    oifname $WAN ip daddr $SVC %scounter name c_guard drop\n"
	        "    oifname $WAN ip saddr $SVC %scounter name c_guard drop\n",
	        clear, clear);
	buf_add_text(out,
	        "    oifname $TUN ip saddr != $SVC counter name c_guard drop\n"
	        "  }\n"
	        "  chain forw {\n"
	        "    iifname $TUN oifname $TUN counter name c_transit drop\n"
	        "    iifname $LAN oifname $TUN jump leased\n"
	        "    iifname $TUN oifname $LAN jump leased\n"
	        "    counter name c_nolease\n"
	        "  }\n"
	        "  chain leased {\n"
	        "    ct original protocol { icmp, tcp, udp } ct mark set ct original ip saddr . "
	        "ct original ip daddr . ct original protocol . ct original proto-dst map "
	        "@" FIREWALL_LEASE_MAP " accept\n"
	        "  }\n");
}

/* Service addresses are IPv4; nothing is forwarded over IPv6, and the gateway answers there what it
 * answers here. */
static void print_ipv6(const struct firewall_config *config, struct buf *out)
{
	buf_add_format(out,
	        "table ip6 %s {\n"
	        "  chain in { type filter hook input priority filter; policy drop; }\n"
	        "  chain forw { type filter hook forward priority filter; policy drop; }\n"
	        "}\n"
	        "flush chain ip6 %s in\n"
	        "flush chain ip6 %s forw\n"
	        "table ip6 %s {\n"
	        "  chain in {\n"
	        "    iifname $TUN drop\n"
	        "    iifname \"lo\" accept\n"
	        "    iifname $WAN udp dport { 500, 4500 } accept\n"
	        "    ct state established,related accept\n"
	        "    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert, "
	        "destination-unreachable, packet-too-big, time-exceeded, parameter-problem } "
	        "accept\n",
	        config->table, config->table, config->table, config->table);
	if (config->kernel_esp) {
		buf_add_text(out, "    iifname $WAN meta l4proto esp accept\n");
	}
	print_inputs(config, out);
	buf_add_text(out, "  }\n}\n");
}

int firewall_print(const struct firewall_config *config, struct buf *out, struct err *err)
{
	if (check(config, err) != 0) {
		return 1;
	}
	print_defines(config, out);
	print_frame(config, out);
	buf_add_format(out, "table ip %s {\n", config->table);
	print_raw(config, out);
	print_forward(config, out);
	print_local(config, out);
	buf_add_text(out, "}\n");
	print_ipv6(config, out);
	return out->overflowed ? err_set(err, 1, "the ruleset is too long") : 0;
}
