#include "gateway/address.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <libmnl/libmnl.h>

#include "base/str.h"
#include "gateway/netlink.h"
#include "wire/attr.h"

#define MESSAGE_BYTES 512
#define ADDRESSES_MAX 8192
#define IPV6_SETTINGS "/proc/sys/net/ipv6/conf"
#define BRIDGE_SETTINGS "/proc/sys/net/bridge" /* there with the module br_netfilter only */

struct address {
	struct netlink netlink;
	struct buf in;
};

/* One request, built in place; the largest has a handful of attributes. */
struct request {
	uint8_t bytes[MESSAGE_BYTES] __attribute__((aligned(4)));
	struct nlmsghdr *message;
};

int address_open(struct address **ret_address, struct err *err)
{
	struct address *address = mem_new(1, sizeof(*address));
	int r;

	address->in = BUF(NETLINK_READ_BYTES);
	r = netlink_open(NETLINK_ROUTE, false, &address->netlink);
	if (r < 0) {
		free(address);
		return err_set(err, FAULT(r), "rtnetlink: %s", strerror(-r));
	}
	*ret_address = address;
	return 0;
}

struct address *address_free(struct address *address)
{
	if (address) {
		netlink_close(&address->netlink);
		buf_clear(&address->in);
		free(address);
	}
	return NULL;
}

static void request_start(
        struct address *address, struct request *request, uint16_t type, uint16_t flags)
{
	request->message = mnl_nlmsg_put_header(request->bytes);
	request->message->nlmsg_type = type;
	request->message->nlmsg_flags = NLM_F_REQUEST | flags;
	request->message->nlmsg_seq = address->netlink.sequence++;
}

static int request_send(struct address *address, const struct request *request)
{
	assert_always(request->message->nlmsg_len <= MESSAGE_BYTES);
	return netlink_ask(&address->netlink, request->bytes, request->message->nlmsg_len,
	        request->message->nlmsg_seq);
}

static struct ifinfomsg *link_start(
        struct address *address, struct request *request, uint16_t type, uint16_t flags)
{
	struct ifinfomsg *link;

	request_start(address, request, type, NLM_F_ACK | flags);
	link = mnl_nlmsg_put_extra_header(request->message, sizeof(*link));
	link->ifi_family = AF_UNSPEC;
	return link;
}

/* 0 when there is no such interface. */
static unsigned link_index(const char *name)
{
	return if_nametoindex(name);
}

static int link_up(struct address *address, const char *name, struct err *err)
{
	struct request request;
	struct ifinfomsg *link = link_start(address, &request, RTM_NEWLINK, 0);
	int r;

	link->ifi_flags = IFF_UP;
	link->ifi_change = IFF_UP;
	mnl_attr_put_strz(request.message, IFLA_IFNAME, name);
	r = request_send(address, &request);
	return r < 0 ? err_set(err, FAULT(r), "interface %s: cannot set up: %s", name, strerror(-r))
	             : 0;
}

int address_bridge_make(struct address *address, const char *name, struct err *err)
{
	struct request request;
	struct nlattr *info;
	int r;

	assert_always(strlen(name) < IFNAMSIZ);
	link_start(address, &request, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
	mnl_attr_put_strz(request.message, IFLA_IFNAME, name);
	info = mnl_attr_nest_start(request.message, IFLA_LINKINFO);
	mnl_attr_put_strz(request.message, IFLA_INFO_KIND, "bridge");
	mnl_attr_nest_end(request.message, info);
	r = request_send(address, &request);
	if (r < 0 && r != -EEXIST) {
		return err_set(err, FAULT(r), "bridge %s: %s", name, strerror(-r));
	}
	return link_up(address, name, err);
}

/* The if_id of an xfrm interface. Outcome 1: it is none. */
static int tunnel_number(struct address *address, const char *name, uint32_t *ret_number)
{
	struct request request;
	const struct nlmsghdr *message;
	struct attr_table link, info, data;
	const uint8_t *at;
	size_t left;
	char kind[16];
	int r;

	link_start(address, &request, RTM_GETLINK, 0);
	request.message->nlmsg_flags = NLM_F_REQUEST;
	mnl_attr_put_strz(request.message, IFLA_IFNAME, name);
	r = netlink_send(&address->netlink, request.bytes, request.message->nlmsg_len);
	if (r == 0) {
		r = netlink_receive(&address->netlink, &address->in);
	}
	if (r != 0) {
		return r < 0 ? FAULT(r) : FAULT(-ETIMEDOUT);
	}
	at = address->in.bytes;
	left = address->in.count;
	if (attr_message_next(&at, &left, &message) != 0 || message->nlmsg_type != RTM_NEWLINK ||
	        attr_message(message, sizeof(struct ifinfomsg), &link) != 0 ||
	        !link.attrs[IFLA_LINKINFO] || attr_nested(link.attrs[IFLA_LINKINFO], &info) != 0) {
		return 1;
	}
	attr_text(&info, IFLA_INFO_KIND, kind, sizeof(kind));
	if (strcmp(kind, "xfrm") != 0 || !info.attrs[IFLA_INFO_DATA] ||
	        attr_nested(info.attrs[IFLA_INFO_DATA], &data) != 0) {
		return 1;
	}
	*ret_number = attr_raw32(&data, IFLA_XFRM_IF_ID);
	return 0;
}

int address_tunnel_make(
        struct address *address, const char *name, const char *wan, uint32_t if_id, struct err *err)
{
	struct request request;
	struct nlattr *info, *data;
	uint32_t number = 0;
	int r;

	assert_always(strlen(name) < IFNAMSIZ && if_id != 0);
	link_start(address, &request, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
	mnl_attr_put_strz(request.message, IFLA_IFNAME, name);
	info = mnl_attr_nest_start(request.message, IFLA_LINKINFO);
	mnl_attr_put_strz(request.message, IFLA_INFO_KIND, "xfrm");
	data = mnl_attr_nest_start(request.message, IFLA_INFO_DATA);
	mnl_attr_put_u32(request.message, IFLA_XFRM_LINK, link_index(wan));
	mnl_attr_put_u32(request.message, IFLA_XFRM_IF_ID, if_id);
	mnl_attr_nest_end(request.message, data);
	mnl_attr_nest_end(request.message, info);
	r = request_send(address, &request);
	if (r == -EEXIST) {
		r = tunnel_number(address, name, &number);
		if (r == 1 || (r == 0 && number != if_id)) {
			return err_set(err, 1,
			        "interface %s is there already and is not our tunnel %u", name,
			        if_id);
		}
	}
	if (r < 0) {
		return err_set(err, FAULT(r), "xfrm interface %s: %s", name, strerror(-r));
	}
	return link_up(address, name, err);
}

int address_link_remove(struct address *address, const char *name, struct err *err)
{
	struct request request;
	int r;

	link_start(address, &request, RTM_DELLINK, 0);
	mnl_attr_put_strz(request.message, IFLA_IFNAME, name);
	r = request_send(address, &request);
	return r < 0 && r != -ENODEV ? err_set(err, FAULT(r), "interface %s: cannot remove: %s",
	                                       name, strerror(-r))
	                             : 0;
}

/* Adds or removes one address, /32 or /128. Returns the kernel's answer. */
static int change_address(struct address *address, uint16_t type, unsigned index, struct ip ip)
{
	struct request request;
	struct ifaddrmsg *change;

	request_start(address, &request, type,
	        NLM_F_ACK | (type == RTM_NEWADDR ? NLM_F_CREATE | NLM_F_EXCL : 0));
	change = mnl_nlmsg_put_extra_header(request.message, sizeof(*change));
	*change = (struct ifaddrmsg){ .ifa_family = ip_socket_family(ip),
		.ifa_prefixlen = (uint8_t)(8 * ip_bytes(ip)),
		.ifa_scope = RT_SCOPE_UNIVERSE,
		.ifa_index = index };
	mnl_attr_put(request.message, IFA_LOCAL, ip_bytes(ip), ip.bytes);
	mnl_attr_put(request.message, IFA_ADDRESS, ip_bytes(ip), ip.bytes);
	/* A bridge without ports hears no neighbour: it would look for duplicates for ever. */
	mnl_attr_put_u32(request.message, IFA_FLAGS, ip.family == IP_V6 ? IFA_F_NODAD : 0);
	return request_send(address, &request);
}

static int address_fault(int r, const char *interface, struct ip ip, struct err *err)
{
	return err_set(
	        err, FAULT(r), "address %s on %s: %s", ip_print(ip).text, interface, strerror(-r));
}

int address_add(struct address *address, const char *interface, struct ip ip, struct err *err)
{
	int r = change_address(address, RTM_NEWADDR, link_index(interface), ip);

	return r < 0 && r != -EEXIST ? address_fault(r, interface, ip, err) : 0;
}

int address_remove(struct address *address, const char *interface, struct ip ip, struct err *err)
{
	unsigned index = link_index(interface);
	int r = index > 0 ? change_address(address, RTM_DELADDR, index, ip) : 0;

	return r < 0 && r != -EADDRNOTAVAIL ? address_fault(r, interface, ip, err) : 0;
}

typedef void address_each(void *context, const struct ifaddrmsg *head, struct ip ip);

/* The address of one message; IPv6 says it in another attribute. */
static struct ip take_ip(const struct ifaddrmsg *head, const struct attr_table *table)
{
	unsigned type = table->attrs[IFA_LOCAL] ? IFA_LOCAL : IFA_ADDRESS;

	if (head->ifa_family == AF_INET && attr_has(table, type, 4)) {
		return ip_make(IP_V4, mnl_attr_get_payload(table->attrs[type]));
	}
	if (head->ifa_family == AF_INET6 && attr_has(table, type, 16)) {
		return ip_make(IP_V6, mnl_attr_get_payload(table->attrs[type]));
	}
	return (struct ip){ 0 };
}

/* Calls `each` for every address of the gateway. */
static int walk_addresses(struct address *address, address_each *each, void *context)
{
	struct request request;
	struct ifaddrmsg *head;
	int r;

	request_start(address, &request, RTM_GETADDR, NLM_F_DUMP);
	head = mnl_nlmsg_put_extra_header(request.message, sizeof(*head));
	head->ifa_family = AF_UNSPEC;
	r = netlink_send(&address->netlink, request.bytes, request.message->nlmsg_len);
	while (r == 0) {
		const struct nlmsghdr *message;
		const uint8_t *at;
		size_t left;

		r = netlink_receive(&address->netlink, &address->in);
		if (r != 0) {
			return r < 0 ? FAULT(r) : FAULT(-ETIMEDOUT);
		}
		at = address->in.bytes;
		left = address->in.count;
		while ((r = attr_message_next(&at, &left, &message)) == 0) {
			struct attr_table table;

			if (message->nlmsg_type == NLMSG_DONE ||
			        message->nlmsg_type == NLMSG_ERROR) {
				return attr_error(message, &r) == 0 ? r : FAULT(-EBADMSG);
			}
			if (message->nlmsg_type != RTM_NEWADDR ||
			        attr_message(message, sizeof(*head), &table) != 0) {
				continue;
			}
			each(context, mnl_nlmsg_get_payload(message),
			        take_ip(mnl_nlmsg_get_payload(message), &table));
		}
		r = r == 1 ? 0 : FAULT(-EBADMSG);
	}
	return FAULT(r);
}

struct found {
	unsigned index;
	struct ip *out;
	size_t room, count;
	enum ip_family family; /* global ones of this family; none: those that stand alone */
};

static void note_address(void *context, const struct ifaddrmsg *head, struct ip ip)
{
	struct found *found = context;

	if (head->ifa_index != found->index || ip.family == IP_NONE ||
	        head->ifa_scope != RT_SCOPE_UNIVERSE ||
	        (found->family ? ip.family != found->family
	                       : head->ifa_prefixlen != 8 * ip_bytes(ip))) {
		return;
	}
	if (found->count < found->room) {
		found->out[found->count] = ip;
	}
	found->count++;
}

int address_list(struct address *address, const char *interface, struct ip *out, size_t room,
        size_t *ret_count, struct err *err)
{
	struct found found = { .index = link_index(interface), .out = out, .room = room };
	int r = walk_addresses(address, note_address, &found);

	*ret_count = found.count;
	return r < 0 ? err_set(err, FAULT(r), "addresses of %s: %s", interface, strerror(-r)) : 0;
}

static bool holds(const struct ip *ips, size_t count, struct ip ip)
{
	for (size_t i = 0; i < count; i++) {
		if (ip_equal(ips[i], ip)) {
			return true;
		}
	}
	return false;
}

int address_set(struct address *address, const char *interface, const struct ip *ips, size_t count,
        struct err *err)
{
	struct ip *have = mem_new(ADDRESSES_MAX, sizeof(*have));
	size_t have_count;
	int r = address_list(address, interface, have, ADDRESSES_MAX, &have_count, err);

	have_count = have_count < ADDRESSES_MAX ? have_count : ADDRESSES_MAX;
	for (size_t i = 0; r == 0 && i < have_count; i++) {
		if (!holds(ips, count, have[i])) {
			r = address_remove(address, interface, have[i], err);
		}
	}
	for (size_t i = 0; r == 0 && i < count; i++) {
		if (!holds(have, have_count, ips[i])) {
			r = address_add(address, interface, ips[i], err);
		}
	}
	free(have);
	return r < 0 ? FAULT(r) : r;
}

int address_find(struct address *address, const char *interface, enum ip_family family,
        struct ip *ret_ip, struct err *err)
{
	struct found found = {
		.index = link_index(interface), .out = ret_ip, .room = 1, .family = family
	};
	int r = walk_addresses(address, note_address, &found);

	if (r < 0) {
		return err_set(err, FAULT(r), "addresses of %s: %s", interface, strerror(-r));
	}
	return found.count > 0 && found.index > 0
	               ? 0
	               : err_set(err, 1, "interface %s has no IPv%d address", interface,
	                         (int)family);
}

struct route {
	struct ip prefix;
	unsigned bits;
	unsigned index; /* 0: blackhole */
};

static int change_route(struct address *address, uint16_t type, const struct route *route)
{
	struct request request;
	struct rtmsg *change;

	request_start(address, &request, type,
	        NLM_F_ACK | (type == RTM_NEWROUTE ? NLM_F_CREATE | NLM_F_REPLACE : 0));
	change = mnl_nlmsg_put_extra_header(request.message, sizeof(*change));
	*change = (struct rtmsg){ .rtm_family = ip_socket_family(route->prefix),
		.rtm_dst_len = (unsigned char)route->bits,
		.rtm_table = RT_TABLE_MAIN,
		.rtm_protocol = RTPROT_STATIC,
		.rtm_scope = route->index > 0 ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE,
		.rtm_type = route->index > 0 ? RTN_UNICAST : RTN_BLACKHOLE };
	mnl_attr_put(request.message, RTA_DST, ip_bytes(route->prefix), route->prefix.bytes);
	if (route->index > 0) {
		mnl_attr_put_u32(request.message, RTA_OIF, route->index);
	}
	return request_send(address, &request);
}

int address_blackhole_add(struct address *address, struct ip prefix, unsigned bits, struct err *err)
{
	int r = change_route(
	        address, RTM_NEWROUTE, &(struct route){ .prefix = prefix, .bits = bits });

	return r < 0 ? err_set(err, FAULT(r), "blackhole route: %s", strerror(-r)) : 0;
}

int address_route_add(struct address *address, struct ip ip, const char *interface, struct err *err)
{
	struct route route = {
		.prefix = ip, .bits = (unsigned)(8 * ip_bytes(ip)), .index = link_index(interface)
	};
	int r = route.index > 0 ? change_route(address, RTM_NEWROUTE, &route) : -ENODEV;

	return r < 0 ? err_set(err, FAULT(r), "route through %s: %s", interface, strerror(-r)) : 0;
}

int address_route_remove(
        struct address *address, struct ip ip, const char *interface, struct err *err)
{
	struct route route = {
		.prefix = ip, .bits = (unsigned)(8 * ip_bytes(ip)), .index = link_index(interface)
	};
	/* Without the interface its routes are gone too. */
	int r = route.index > 0 ? change_route(address, RTM_DELROUTE, &route) : 0;

	return r < 0 && r != -ESRCH
	               ? err_set(err, FAULT(r), "route through %s: %s", interface, strerror(-r))
	               : 0;
}

static const struct {
	const char *path, *value;
} settings[] = {
	/* A flow that was cut must not be taken up again from the middle. */
	{ "/proc/sys/net/netfilter/nf_conntrack_tcp_loose", "0" },
	{ "/proc/sys/net/netfilter/nf_conntrack_acct", "1" },
	{ "/proc/sys/net/netfilter/nf_conntrack_timestamp", "1" },
	/* Strict checks drop what comes out of a tunnel whose route is in another table. */
	{ "/proc/sys/net/ipv4/conf/all/rp_filter", "0" },
	{ "/proc/sys/net/ipv4/conf/default/rp_filter", "2" },
	/* Nobody on the local network may be told to go around the gateway. */
	{ "/proc/sys/net/ipv4/conf/all/send_redirects", "0" },
	{ "/proc/sys/net/ipv4/conf/all/accept_redirects", "0" },
	{ "/proc/sys/net/ipv4/conf/all/accept_source_route", "0" },
	{ "/proc/sys/net/ipv6/conf/all/accept_redirects", "0" },
	{ "/proc/sys/net/ipv6/conf/all/accept_source_route", "0" },
	/* What a bridge switches within a LAN is for the table of the bridge alone. */
	{ BRIDGE_SETTINGS "/bridge-nf-call-iptables", "0" },
	{ BRIDGE_SETTINGS "/bridge-nf-call-ip6tables", "0" },
	{ BRIDGE_SETTINGS "/bridge-nf-call-arptables", "0" },
	/* Last, when the rest holds. */
	{ "/proc/sys/net/ipv4/ip_forward", "1" },
	{ IPV6_SETTINGS "/all/forwarding", "1" },
};

static bool is_below(const char *path, const char *folder)
{
	return strncmp(path, folder, strlen(folder)) == 0;
}

int address_settings_apply(const char *wan, struct err *err)
{
	AUTO_STRING char *advertised = mem_format(IPV6_SETTINGS "/%s/accept_ra", wan);
	bool has_ipv6 = access(IPV6_SETTINGS, F_OK) == 0;
	bool has_bridge = access(BRIDGE_SETTINGS, F_OK) == 0;
	AUTO_FD int ra = open(advertised, O_WRONLY | O_CLOEXEC);

	if (has_ipv6 && (ra < 0 || write(ra, "2", 1) != 1)) {
		return err_set(
		        err, FAULT(-errno), "%s: cannot write 2: %s", advertised, strerror(errno));
	}
	for (size_t i = 0; i < ARRAY_COUNT(settings); i++) {
		if ((!has_ipv6 && is_below(settings[i].path, IPV6_SETTINGS)) ||
		        (!has_bridge && is_below(settings[i].path, BRIDGE_SETTINGS))) {
			continue;
		}
		AUTO_FD int fd = open(settings[i].path, O_WRONLY | O_CLOEXEC);

		if (fd < 0 || write(fd, settings[i].value, 1) != 1) {
			return err_set(err, FAULT(-errno), "%s: cannot write %s: %s",
			        settings[i].path, settings[i].value, strerror(errno));
		}
	}
	return 0;
}
