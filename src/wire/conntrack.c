#include "wire/conntrack.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

#include "wire/attr.h"

#define NSEC_PER_USEC 1000

static void encode_request(
        struct buf *out, uint16_t type, uint16_t flags, uint32_t mark, uint32_t sequence)
{
	uint8_t *room = buf_reserve(out, 128);
	struct nlmsghdr *message;
	struct nfgenmsg *general;

	assert_always(room);
	message = mnl_nlmsg_put_header(room);
	message->nlmsg_type = (uint16_t)(NFNL_SUBSYS_CTNETLINK << 8 | type);
	message->nlmsg_flags = NLM_F_REQUEST | flags;
	message->nlmsg_seq = sequence;
	general = mnl_nlmsg_put_extra_header(message, sizeof(*general));
	*general = (struct nfgenmsg){ .nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0 };
	if (mark != 0) {
		mnl_attr_put_u32(message, CTA_MARK, htonl(mark));
		mnl_attr_put_u32(message, CTA_MARK_MASK, htonl(UINT32_MAX));
	}
	out->count += message->nlmsg_len;
}

void conntrack_cut_encode(struct buf *out, uint32_t mark, uint32_t sequence)
{
	assert_always(mark != 0);
	encode_request(out, IPCTNL_MSG_CT_DELETE, NLM_F_ACK, mark, sequence);
}

void conntrack_list_encode(struct buf *out, uint32_t mark, uint32_t sequence)
{
	encode_request(out, IPCTNL_MSG_CT_GET, NLM_F_DUMP, mark, sequence);
}

static int decode_protocol(const struct nlattr *nest, struct conntrack_tuple *tuple)
{
	struct attr_table table;
	bool echo, echo6;

	if (attr_nested(nest, &table) != 0 || !attr_has(&table, CTA_PROTO_NUM, 1)) {
		return 1;
	}
	tuple->protocol = attr_u8(&table, CTA_PROTO_NUM);
	echo = attr_has(&table, CTA_PROTO_ICMP_TYPE, 1);
	echo6 = attr_has(&table, CTA_PROTO_ICMPV6_TYPE, 1);
	if (echo6) {
		tuple->port = (uint16_t)(attr_u8(&table, CTA_PROTO_ICMPV6_TYPE) << 8 |
		                         attr_u8(&table, CTA_PROTO_ICMPV6_CODE));
		tuple->source_port = attr_u16(&table, CTA_PROTO_ICMPV6_ID);
	} else if (echo) {
		tuple->port = (uint16_t)(attr_u8(&table, CTA_PROTO_ICMP_TYPE) << 8 |
		                         attr_u8(&table, CTA_PROTO_ICMP_CODE));
		tuple->source_port = attr_u16(&table, CTA_PROTO_ICMP_ID);
	} else {
		tuple->port = attr_u16(&table, CTA_PROTO_DST_PORT);
		tuple->source_port = attr_u16(&table, CTA_PROTO_SRC_PORT);
	}
	return 0;
}

static struct ip take_ip(const struct attr_table *table, unsigned type, uint8_t family)
{
	return ip_make(family, mnl_attr_get_payload(table->attrs[type]));
}

/* Outcome 1: malformed; outcome 2: no IP addresses. */
static int decode_tuple(const struct nlattr *nest, struct conntrack_tuple *tuple)
{
	struct attr_table table, ip;

	if (attr_nested(nest, &table) != 0 || !table.attrs[CTA_TUPLE_IP] ||
	        attr_nested(table.attrs[CTA_TUPLE_IP], &ip) != 0) {
		return 1;
	}
	if (attr_has(&ip, CTA_IP_V4_SRC, 4) && attr_has(&ip, CTA_IP_V4_DST, 4)) {
		tuple->source = take_ip(&ip, CTA_IP_V4_SRC, IP_V4);
		tuple->destination = take_ip(&ip, CTA_IP_V4_DST, IP_V4);
	} else if (attr_has(&ip, CTA_IP_V6_SRC, 16) && attr_has(&ip, CTA_IP_V6_DST, 16)) {
		tuple->source = take_ip(&ip, CTA_IP_V6_SRC, IP_V6);
		tuple->destination = take_ip(&ip, CTA_IP_V6_DST, IP_V6);
	} else {
		return 2;
	}
	return table.attrs[CTA_TUPLE_PROTO] ? decode_protocol(table.attrs[CTA_TUPLE_PROTO], tuple)
	                                    : 1;
}

static int decode_counters(const struct nlattr *nest, uint64_t *ret_packets, uint64_t *ret_bytes)
{
	struct attr_table table;

	if (!nest) {
		return 0;
	}
	if (attr_nested(nest, &table) != 0) {
		return 1;
	}
	*ret_packets = attr_u64(&table, CTA_COUNTERS_PACKETS);
	*ret_bytes = attr_u64(&table, CTA_COUNTERS_BYTES);
	return 0;
}

static int decode_flow(const struct nlmsghdr *message, struct conntrack_flow *flow)
{
	struct attr_table table, times;
	int r;

	if (attr_message(message, sizeof(struct nfgenmsg), &table) != 0) {
		return 2;
	}
	if (!table.attrs[CTA_TUPLE_ORIG] || !table.attrs[CTA_TUPLE_REPLY]) {
		flow->kind = CONNTRACK_OTHER;
		return 0;
	}
	r = decode_tuple(table.attrs[CTA_TUPLE_ORIG], &flow->original);
	if (r == 0) {
		r = decode_tuple(table.attrs[CTA_TUPLE_REPLY], &flow->reply);
	}
	if (r == 2) {
		flow->kind = CONNTRACK_OTHER;
		return 0;
	}
	flow->mark = attr_u32(&table, CTA_MARK);
	flow->id = attr_u32(&table, CTA_ID);
	if (r != 0 ||
	        decode_counters(
	                table.attrs[CTA_COUNTERS_ORIG], &flow->packets_out, &flow->bytes_out) ||
	        decode_counters(
	                table.attrs[CTA_COUNTERS_REPLY], &flow->packets_in, &flow->bytes_in)) {
		return 2;
	}
	if (table.attrs[CTA_TIMESTAMP]) {
		if (attr_nested(table.attrs[CTA_TIMESTAMP], &times) != 0) {
			return 2;
		}
		flow->start_usec = (int64_t)(attr_u64(&times, CTA_TIMESTAMP_START) / NSEC_PER_USEC);
		flow->stop_usec = (int64_t)(attr_u64(&times, CTA_TIMESTAMP_STOP) / NSEC_PER_USEC);
	}
	return 0;
}

static int decode(const struct nlmsghdr *message, struct conntrack_flow *flow)
{
	flow->sequence = message->nlmsg_seq;
	flow->kind = CONNTRACK_OTHER;
	if (message->nlmsg_type == NLMSG_ERROR || message->nlmsg_type == NLMSG_DONE) {
		flow->kind = message->nlmsg_type == NLMSG_ERROR ? CONNTRACK_ACK : CONNTRACK_DONE;
		return attr_error(message, &flow->error) == 0 ? 0 : 2;
	}
	if (message->nlmsg_type >> 8 != NFNL_SUBSYS_CTNETLINK) {
		return 0;
	}
	switch (message->nlmsg_type & 0xff) {
	case IPCTNL_MSG_CT_DELETE:
		flow->kind = CONNTRACK_DESTROY;
		return decode_flow(message, flow);
	case IPCTNL_MSG_CT_NEW:
		flow->kind = message->nlmsg_flags & (NLM_F_CREATE | NLM_F_EXCL) ? CONNTRACK_NEW
		                                                                : CONNTRACK_UPDATE;
		return decode_flow(message, flow);
	default:
		return 0;
	}
}

int conntrack_next(const uint8_t **bytes, size_t *count, struct conntrack_flow *ret)
{
	const struct nlmsghdr *message;
	int r = attr_message_next(bytes, count, &message);

	*ret = (struct conntrack_flow){ .kind = CONNTRACK_OTHER };
	return r == 0 ? decode(message, ret) : r;
}
