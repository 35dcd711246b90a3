#include "../check.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <stdlib.h>

#include <libmnl/libmnl.h>

#include "wire/conntrack.h"
#include "wire/nft.h"

static const struct nft_lease ct = { .protocol = IPPROTO_TCP, .port = 104, .mark = 18 };

static struct nft_lease some_lease(void)
{
	struct nft_lease lease = ct;

	lease.source = ip_make(IP_V4, (const uint8_t[]){ 192, 168, 1, 10 });
	lease.destination = ip_make(IP_V4, (const uint8_t[]){ 100, 64, 2, 10 });
	return lease;
}

static struct nft_lease some_lease6(void)
{
	static const uint8_t host[16] = { 0xfd, 1, [15] = 0x10 },
	                     service[16] = { 0xfd, 2, [15] = 2 };
	struct nft_lease lease = ct;

	lease.source = ip_make(IP_V6, host);
	lease.destination = ip_make(IP_V6, service);
	return lease;
}

/* Reads the messages of a batch into `out`; returns how many. */
static size_t read_batch(const struct nft_batch *batch, struct nft_message *out, size_t room)
{
	const uint8_t *at = batch->out.bytes;
	size_t left = batch->out.count, count = 0;

	while (count < room && nft_message_next(&at, &left, &out[count]) == 0) {
		count++;
	}
	return left == 0 ? count : 0;
}

TEST(renewal_is_add_delete_add_in_one_batch)
{
	struct nft_lease lease = some_lease(), read;
	struct nft_message messages[8];
	struct nft_element element;
	struct nft_batch batch;

	nft_batch_start(&batch, "sekisho", 7);
	nft_lease_set(&batch, "lease", &lease, 60000);
	nft_batch_end(&batch);
	CHECK(read_batch(&batch, messages, 8) == 5);
	CHECK(messages[1].kind == NFT_ELEMENTS && messages[2].kind == NFT_ELEMENTS_GONE &&
	        messages[3].kind == NFT_ELEMENTS);
	CHECK(messages[0].sequence == 7 && messages[4].sequence == 11);
	CHECK_TEXT(messages[3].table, "sekisho");
	CHECK_TEXT(messages[3].set, "lease");
	CHECK(nft_element_next(&messages[3], &element) == 0);
	CHECK(element.timeout_msec == 60000 && nft_element_lease(&element, &read) == 0);
	CHECK(ip_equal(read.source, lease.source) && read.port == 104 && read.mark == 18 &&
	        ip_equal(read.destination, lease.destination) && read.protocol == IPPROTO_TCP);
	CHECK(nft_element_next(&messages[3], &element) == 1);
	nft_batch_clear(&batch);
}

TEST(key_is_padded_to_four_bytes_a_field)
{
	static const uint8_t want[16] = { 192, 168, 1, 10, 100, 64, 2, 10, 6, 0, 0, 0, 0, 104, 0,
		0 };
	struct nft_lease lease = some_lease();
	struct nft_message messages[8];
	struct nft_element element;
	struct nft_batch batch;

	nft_batch_start(&batch, "sekisho", 1);
	nft_lease_delete(&batch, "lease", &lease);
	nft_batch_end(&batch);
	CHECK(read_batch(&batch, messages, 8) == 3);
	CHECK(nft_element_next(&messages[1], &element) == 0);
	CHECK(element.key_bytes == 16 && memcmp(element.key, want, 16) == 0 &&
	        element.data_bytes == 0);
	nft_batch_clear(&batch);
}

TEST(a_lease_of_ipv6_has_a_wider_key_in_its_own_table)
{
	struct nft_lease lease = some_lease6(), read;
	struct nft_message messages[8];
	struct nft_element element;
	struct nft_batch batch;
	const struct nfgenmsg *general;

	nft_batch_start(&batch, "sekisho", 1);
	nft_lease_set(&batch, "lease", &lease, 5000);
	nft_batch_end(&batch);
	CHECK(read_batch(&batch, messages, 8) == 5);
	general = mnl_nlmsg_get_payload((const void *)(batch.out.bytes + batch.last));
	CHECK(general->nfgen_family == NFPROTO_IPV6);
	CHECK(nft_element_next(&messages[3], &element) == 0 && element.key_bytes == 40);
	CHECK(nft_element_lease(&element, &read) == 0 && read.port == 104 && read.mark == 18);
	CHECK(ip_equal(read.source, lease.source) && ip_equal(read.destination, lease.destination));
	nft_batch_clear(&batch);
}

TEST(a_pair_and_a_member_of_a_set)
{
	struct nft_lease lease = some_lease6(), four = some_lease();
	struct nft_pair pair = { lease.destination, lease.source }, read;
	struct nft_message messages[8];
	struct nft_element element;
	struct nft_batch batch;

	nft_batch_start(&batch, "sekisho", 1);
	nft_pair_add(&batch, "svc2real", pair);
	nft_pair_add(&batch, "away", (struct nft_pair){ .from = four.source });
	nft_batch_end(&batch);
	CHECK(read_batch(&batch, messages, 8) == 4);
	CHECK(nft_element_next(&messages[1], &element) == 0);
	CHECK(nft_element_pair(&element, &read) == 0 && nft_element_lease(&element, &lease) == 1);
	CHECK(ip_equal(read.from, pair.from) && ip_equal(read.to, pair.to));
	CHECK(nft_element_next(&messages[2], &element) == 0);
	CHECK(nft_element_pair(&element, &read) == 0);
	CHECK(ip_equal(read.from, four.source) && read.to.family == IP_NONE);
	nft_batch_clear(&batch);
}

TEST(only_the_last_change_asks_for_an_ack)
{
	struct nft_lease lease = some_lease();
	struct nft_batch batch;
	const uint8_t *at;
	unsigned acks = 0;

	nft_batch_start(&batch, "sekisho", 1);
	for (int i = 0; i < NFT_BATCH_CHANGES_MAX; i++) {
		nft_lease_set(&batch, "lease", &lease, 1);
	}
	nft_batch_end(&batch);
	CHECK(!batch.out.overflowed);
	at = batch.out.bytes;
	for (size_t left = batch.out.count; left > 0;) {
		const struct nlmsghdr *message = (const void *)at;

		acks += (message->nlmsg_flags & NLM_F_ACK) != 0;
		left -= message->nlmsg_len;
		at += message->nlmsg_len;
	}
	CHECK(acks == 1);
	nft_batch_clear(&batch);
}

/* Messages as the kernel makes them. */
struct made {
	uint8_t bytes[1024] __attribute__((aligned(4)));
	struct nlmsghdr *head;
};

static void make(struct made *made, uint16_t type, uint16_t flags)
{
	struct nfgenmsg *general;

	memset(made->bytes, 0, sizeof(made->bytes));
	made->head = mnl_nlmsg_put_header(made->bytes);
	made->head->nlmsg_type = type;
	made->head->nlmsg_flags = flags;
	made->head->nlmsg_pid = 4711;
	general = mnl_nlmsg_put_extra_header(made->head, sizeof(*general));
	general->nfgen_family = AF_INET;
}

static int next(const struct made *made, size_t count, struct nft_message *message)
{
	const uint8_t *at = made->bytes;
	size_t left = count;

	return nft_message_next(&at, &left, message);
}

TEST(foreign_changes_name_table_and_process)
{
	struct nft_message message;
	struct made made;

	make(&made, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_DELTABLE, 0);
	mnl_attr_put_strz(made.head, NFTA_TABLE_NAME, "sekisho");
	CHECK(next(&made, made.head->nlmsg_len, &message) == 0 && message.kind == NFT_TABLE_GONE);
	CHECK_TEXT(message.table, "sekisho");
	CHECK(message.port == 4711);
	make(&made, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWGEN, 0);
	mnl_attr_put_strz(made.head, NFTA_GEN_PROC_NAME, "n\nft");
	CHECK(next(&made, made.head->nlmsg_len, &message) == 0 && message.kind == NFT_GENERATION);
	CHECK_TEXT(message.process, "n?ft");
	make(&made, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_DELRULE, 0);
	mnl_attr_put_strz(made.head, NFTA_RULE_TABLE, "other");
	CHECK(next(&made, made.head->nlmsg_len, &message) == 0 &&
	        message.kind == NFT_RULES_CHANGED);
	CHECK_TEXT(message.table, "other");
}

TEST(truncated_messages_are_refused)
{
	struct nft_message message;
	struct made made;
	size_t whole;

	make(&made, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_DELTABLE, 0);
	mnl_attr_put_strz(made.head, NFTA_TABLE_NAME, "sekisho");
	whole = made.head->nlmsg_len;
	CHECK(next(&made, 0, &message) == 1);
	for (size_t count = 1; count < whole; count++) {
		CHECK(next(&made, count, &message) == 2);
	}
	made.head->nlmsg_len = sizeof(*made.head) - 1;
	CHECK(next(&made, whole, &message) == 2);
	made.head->nlmsg_len = (uint32_t)whole;
	/* An attribute that claims to be longer than its message. */
	((struct nlattr *)(void *)(made.bytes + sizeof(*made.head) + sizeof(struct nfgenmsg)))
	        ->nla_len = 200;
	CHECK(next(&made, whole, &message) == 2);
}

TEST(acks_carry_errnos_only)
{
	struct nft_message message;
	struct made made;
	int error = -EEXIST;

	memset(&made, 0, sizeof(made));
	made.head = mnl_nlmsg_put_header(made.bytes);
	made.head->nlmsg_type = NLMSG_ERROR;
	memcpy(mnl_nlmsg_put_extra_header(made.head, sizeof(error)), &error, sizeof(error));
	CHECK(next(&made, made.head->nlmsg_len, &message) == 0);
	CHECK(message.kind == NFT_ACK && message.error == -EEXIST);
	error = 1;
	memcpy(mnl_nlmsg_get_payload(made.head), &error, sizeof(error));
	CHECK(next(&made, made.head->nlmsg_len, &message) == 2);
}

static void put_tuple(
        struct nlmsghdr *head, uint16_t type, const char *source, const char *destination)
{
	struct nlattr *tuple = mnl_attr_nest_start(head, type), *inner;
	struct in_addr ip;

	inner = mnl_attr_nest_start(head, CTA_TUPLE_IP);
	inet_pton(AF_INET, source, &ip);
	mnl_attr_put(head, CTA_IP_V4_SRC, 4, &ip);
	inet_pton(AF_INET, destination, &ip);
	mnl_attr_put(head, CTA_IP_V4_DST, 4, &ip);
	mnl_attr_nest_end(head, inner);
	inner = mnl_attr_nest_start(head, CTA_TUPLE_PROTO);
	mnl_attr_put_u8(head, CTA_PROTO_NUM, IPPROTO_ICMP);
	mnl_attr_put_u8(head, CTA_PROTO_ICMP_TYPE, 8);
	mnl_attr_put_u8(head, CTA_PROTO_ICMP_CODE, 0);
	mnl_attr_put_u16(head, CTA_PROTO_ICMP_ID, htons(7));
	mnl_attr_nest_end(head, inner);
	mnl_attr_nest_end(head, tuple);
}

TEST(flow_end_tells_mark_volume_and_times)
{
	struct conntrack_flow flow;
	struct nlattr *nest;
	struct made made;
	const uint8_t *at = made.bytes;
	size_t left;

	make(&made, NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE, 0);
	put_tuple(made.head, CTA_TUPLE_ORIG, "192.168.1.10", "100.64.2.10");
	put_tuple(made.head, CTA_TUPLE_REPLY, "100.64.2.10", "100.64.1.10");
	mnl_attr_put_u32(made.head, CTA_MARK, htonl(18));
	nest = mnl_attr_nest_start(made.head, CTA_COUNTERS_REPLY);
	mnl_attr_put_u64(made.head, CTA_COUNTERS_BYTES, htobe64(5000000000));
	mnl_attr_nest_end(made.head, nest);
	nest = mnl_attr_nest_start(made.head, CTA_TIMESTAMP);
	mnl_attr_put_u64(made.head, CTA_TIMESTAMP_START, htobe64(1795177248823558236));
	mnl_attr_nest_end(made.head, nest);
	left = made.head->nlmsg_len;
	CHECK(conntrack_next(&at, &left, &flow) == 0 && flow.kind == CONNTRACK_DESTROY);
	CHECK(flow.mark == 18 && flow.bytes_in == 5000000000 && flow.bytes_out == 0);
	CHECK(flow.original.port == NFT_PORT_ICMP_ECHO && flow.original.source_port == 7);
	CHECK(ip_equal(flow.original.source, some_lease().source));
	CHECK(ip_equal(flow.reply.source, some_lease().destination));
	CHECK(flow.start_usec == 1795177248823558 && flow.stop_usec == 0);
	CHECK(conntrack_next(&at, &left, &flow) == 1);
}

TEST(cut_always_names_a_mark)
{
	AUTO_BUF struct buf out = BUF(1000);
	const struct nlattr *attr;
	unsigned found = 0;

	conntrack_cut_encode(&out, 18, 3);
	mnl_attr_for_each(attr, (const struct nlmsghdr *)(void *)out.bytes, sizeof(struct nfgenmsg))
	{
		found += mnl_attr_get_type(attr) == CTA_MARK && mnl_attr_get_u32(attr) == htonl(18);
		found += mnl_attr_get_type(attr) == CTA_MARK_MASK &&
		         mnl_attr_get_u32(attr) == UINT32_MAX;
	}
	CHECK(found == 2);
}

TEST_MAIN()
