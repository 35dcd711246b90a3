#include "wire/nft.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <string.h>

#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "wire/attr.h"

#define MESSAGE_ROOM 256 /* the longest message we encode is 192 bytes */

/* A concatenation: each field padded to four bytes, network order: two addresses, then these. */
struct key_tail {
	uint8_t protocol, padding[3];
	uint16_t port, more_padding;
};
_Static_assert(sizeof(struct key_tail) == 8, "fields are 4 bytes each");
_Static_assert(NFT_KEY_BYTES_MAX == 2 * 16 + sizeof(struct key_tail), "of two IPv6 addresses");

struct key {
	uint8_t family; /* of nf_tables */
	uint8_t bytes[NFT_KEY_BYTES_MAX];
	size_t count;
};

static struct nlmsghdr *start_message(struct buf *out, uint16_t type, uint16_t flags,
        uint32_t sequence, uint8_t family, uint16_t resource)
{
	uint8_t *room = buf_reserve(out, MESSAGE_ROOM);
	struct nlmsghdr *message;
	struct nfgenmsg *general;

	assert_always(room);
	message = mnl_nlmsg_put_header(room);
	message->nlmsg_type = type;
	message->nlmsg_flags = NLM_F_REQUEST | flags;
	message->nlmsg_seq = sequence;
	general = mnl_nlmsg_put_extra_header(message, sizeof(*general));
	*general = (struct nfgenmsg){ .nfgen_family = family, .version = NFNETLINK_V0 };
	general->res_id = htons(resource);
	return message;
}

static void end_message(struct buf *out, const struct nlmsghdr *message)
{
	assert_always(message->nlmsg_len <= MESSAGE_ROOM);
	out->count += message->nlmsg_len;
}

void nft_batch_start(struct nft_batch *batch, const char *table, uint32_t sequence)
{
	assert_always(sequence != 0 && strlen(table) <= NFT_NAME_BYTES_MAX);
	*batch = (struct nft_batch){
		.out = BUF(NFT_BATCH_BYTES_MAX), .first_sequence = sequence, .sequence = sequence
	};
	memcpy(batch->table, table, strlen(table));
	end_message(&batch->out, start_message(&batch->out, NFNL_MSG_BATCH_BEGIN, 0,
	                                 batch->sequence++, AF_UNSPEC, NFNL_SUBSYS_NFTABLES));
}

static void put_data(struct nlmsghdr *message, uint16_t type, const void *bytes, size_t count)
{
	struct nlattr *nest = mnl_attr_nest_start(message, type);

	mnl_attr_put(message, NFTA_DATA_VALUE, count, bytes);
	mnl_attr_nest_end(message, nest);
}

struct change {
	const char *map;
	const struct key *key;
	bool remove;
	const void *data; /* of a map, when an element is added */
	size_t data_bytes;
	uint64_t timeout_msec;
};

static void put_change(struct nft_batch *batch, const struct change *change)
{
	uint16_t type = change->remove ? NFT_MSG_DELSETELEM : NFT_MSG_NEWSETELEM;
	struct nlattr *list, *element;
	struct nlmsghdr *message;

	assert_always(strlen(change->map) <= NFT_NAME_BYTES_MAX);
	batch->last = batch->out.count;
	/* Without NLM_F_EXCL: an element that is there already is not a failed batch. */
	message = start_message(&batch->out, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type),
	        change->remove ? 0 : NLM_F_CREATE, batch->sequence++,
	        batch->bridge ? NFPROTO_BRIDGE : change->key->family, 0);
	mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_TABLE, batch->table);
	mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_SET, change->map);
	list = mnl_attr_nest_start(message, NFTA_SET_ELEM_LIST_ELEMENTS);
	element = mnl_attr_nest_start(message, NFTA_LIST_ELEM);
	put_data(message, NFTA_SET_ELEM_KEY, change->key->bytes, change->key->count);
	if (change->data) {
		put_data(message, NFTA_SET_ELEM_DATA, change->data, change->data_bytes);
	}
	if (change->timeout_msec > 0) {
		mnl_attr_put_u64(message, NFTA_SET_ELEM_TIMEOUT, htobe64(change->timeout_msec));
	}
	mnl_attr_nest_end(message, element);
	mnl_attr_nest_end(message, list);
	end_message(&batch->out, message);
}

static uint8_t table_family(enum ip_family family)
{
	return family == IP_V6 ? NFPROTO_IPV6 : NFPROTO_IPV4;
}

static struct key address_key(struct ip ip)
{
	struct key key = { .family = table_family(ip.family), .count = ip_bytes(ip) };

	assert_always(key.count > 0);
	memcpy(key.bytes, ip.bytes, key.count);
	return key;
}

static struct key lease_key(const struct nft_lease *lease)
{
	struct key key = address_key(lease->source);
	struct key_tail tail = { .protocol = lease->protocol, .port = htons(lease->port) };

	assert_always(lease->mark != 0 && lease->port != 0 &&
	              lease->source.family == lease->destination.family);
	memcpy(key.bytes + key.count, lease->destination.bytes, key.count);
	key.count *= 2;
	memcpy(key.bytes + key.count, &tail, sizeof(tail));
	key.count += sizeof(tail);
	return key;
}

static void count_change(struct nft_batch *batch)
{
	assert_always(++batch->changes <= NFT_BATCH_CHANGES_MAX);
}

void nft_lease_set(struct nft_batch *batch, const char *map, const struct nft_lease *lease,
        uint64_t timeout_msec)
{
	struct key key = lease_key(lease);
	struct change add = { .map = map,
		.key = &key,
		.data = &lease->mark,
		.data_bytes = sizeof(lease->mark),
		.timeout_msec = timeout_msec };
	struct change delete = { .map = map, .key = &key, .remove = true };

	assert_always(timeout_msec > 0);
	count_change(batch);
	put_change(batch, &add);
	put_change(batch, &delete);
	put_change(batch, &add);
}

void nft_lease_remove(struct nft_batch *batch, const char *map, const struct nft_lease *lease)
{
	struct key key = lease_key(lease);
	/* If it is not there, this one lives until the end of the batch, which is never. */
	struct change add = { .map = map,
		.key = &key,
		.data = &lease->mark,
		.data_bytes = sizeof(lease->mark),
		.timeout_msec = 1000 };

	count_change(batch);
	put_change(batch, &add);
	put_change(batch, &(struct change){ .map = map, .key = &key, .remove = true });
}

void nft_lease_delete(struct nft_batch *batch, const char *map, const struct nft_lease *lease)
{
	struct key key = lease_key(lease);

	count_change(batch);
	put_change(batch, &(struct change){ .map = map, .key = &key, .remove = true });
}

void nft_pair_add(struct nft_batch *batch, const char *map, struct nft_pair pair)
{
	struct key key = address_key(pair.from);

	bool map_element = pair.to.family != IP_NONE;

	assert_always(!map_element || pair.from.family == pair.to.family);
	count_change(batch);
	put_change(batch, &(struct change){ .map = map,
	                          .key = &key,
	                          .data = map_element ? pair.to.bytes : NULL,
	                          .data_bytes = ip_bytes(pair.to) });
}

void nft_pair_delete(struct nft_batch *batch, const char *map, struct nft_pair pair)
{
	struct key key = address_key(pair.from);

	count_change(batch);
	put_change(batch, &(struct change){ .map = map, .key = &key, .remove = true });
}

void nft_batch_end(struct nft_batch *batch)
{
	struct nlmsghdr *last;

	assert_always(batch->last > 0);
	last = (struct nlmsghdr *)(void *)(batch->out.bytes + batch->last);
	/* One ack for all: hundreds would overflow the socket's receive buffer. It is sent after
	 * the commit, so it speaks for the whole batch. */
	last->nlmsg_flags |= NLM_F_ACK;
	end_message(&batch->out, start_message(&batch->out, NFNL_MSG_BATCH_END, 0,
	                                 batch->sequence++, AF_UNSPEC, NFNL_SUBSYS_NFTABLES));
}

void nft_batch_clear(struct nft_batch *batch)
{
	buf_clear(&batch->out);
}

void nft_list_encode(struct buf *out, enum ip_family family, const char *table, const char *map,
        uint32_t sequence)
{
	struct nlmsghdr *message =
	        start_message(out, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETSETELEM, NLM_F_DUMP,
	                sequence, table_family(family), 0);

	mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_TABLE, table);
	mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_SET, map);
	end_message(out, message);
}

/* Which kind a message is, and the attribute that names its table. */
static const struct {
	uint8_t type;
	enum nft_kind kind;
	uint8_t table_attr;
} kinds[] = {
	{ NFT_MSG_NEWTABLE, NFT_TABLE_NEW, NFTA_TABLE_NAME },
	{ NFT_MSG_DELTABLE, NFT_TABLE_GONE, NFTA_TABLE_NAME },
	{ NFT_MSG_NEWCHAIN, NFT_RULES_CHANGED, NFTA_CHAIN_TABLE },
	{ NFT_MSG_DELCHAIN, NFT_RULES_CHANGED, NFTA_CHAIN_TABLE },
	{ NFT_MSG_NEWRULE, NFT_RULES_CHANGED, NFTA_RULE_TABLE },
	{ NFT_MSG_DELRULE, NFT_RULES_CHANGED, NFTA_RULE_TABLE },
	{ NFT_MSG_NEWSET, NFT_RULES_CHANGED, NFTA_SET_TABLE },
	{ NFT_MSG_DELSET, NFT_RULES_CHANGED, NFTA_SET_TABLE },
	{ NFT_MSG_NEWOBJ, NFT_RULES_CHANGED, NFTA_OBJ_TABLE },
	{ NFT_MSG_DELOBJ, NFT_RULES_CHANGED, NFTA_OBJ_TABLE },
	{ NFT_MSG_NEWSETELEM, NFT_ELEMENTS, NFTA_SET_ELEM_LIST_TABLE },
	{ NFT_MSG_DELSETELEM, NFT_ELEMENTS_GONE, NFTA_SET_ELEM_LIST_TABLE },
};

static int decode_nftables(const struct nlmsghdr *message, struct nft_message *ret)
{
	const struct nfgenmsg *general = mnl_nlmsg_get_payload(message);
	uint8_t type = message->nlmsg_type & 0xff;
	struct attr_table table;

	if (attr_message(message, sizeof(*general), &table) != 0) {
		return 2;
	}
	if (type == NFT_MSG_NEWGEN) {
		ret->kind = NFT_GENERATION;
		attr_text(&table, NFTA_GEN_PROC_NAME, ret->process, sizeof(ret->process));
		return 0;
	}
	for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
		if (kinds[i].type == type && (general->nfgen_family == NFPROTO_IPV4 ||
		                                     general->nfgen_family == NFPROTO_IPV6 ||
		                                     general->nfgen_family == NFPROTO_BRIDGE)) {
			ret->kind = kinds[i].kind;
			attr_text(&table, kinds[i].table_attr, ret->table, sizeof(ret->table));
		}
	}
	if (ret->kind == NFT_ELEMENTS || ret->kind == NFT_ELEMENTS_GONE) {
		const struct nlattr *list = table.attrs[NFTA_SET_ELEM_LIST_ELEMENTS];

		attr_text(&table, NFTA_SET_ELEM_LIST_SET, ret->set, sizeof(ret->set));
		ret->elements = list ? mnl_attr_get_payload(list) : NULL;
		ret->elements_bytes = list ? mnl_attr_get_payload_len(list) : 0;
	}
	return 0;
}

int nft_message_next(const uint8_t **bytes, size_t *count, struct nft_message *ret)
{
	const struct nlmsghdr *message;
	int r = attr_message_next(bytes, count, &message);

	*ret = (struct nft_message){ .kind = NFT_OTHER };
	if (r != 0) {
		return r;
	}
	ret->sequence = message->nlmsg_seq;
	ret->port = message->nlmsg_pid;
	ret->interrupted = message->nlmsg_flags & NLM_F_DUMP_INTR;
	if (message->nlmsg_type == NLMSG_ERROR || message->nlmsg_type == NLMSG_DONE) {
		ret->kind = message->nlmsg_type == NLMSG_ERROR ? NFT_ACK : NFT_DONE;
		return attr_error(message, &ret->error) == 0 ? 0 : 2;
	}
	return message->nlmsg_type >> 8 == NFNL_SUBSYS_NFTABLES ? decode_nftables(message, ret) : 0;
}

/* A counter, in whichever of the two ways the kernel says it: one expression or a list of them. */
static int decode_expression(const struct nlattr *nest, struct nft_element *element)
{
	struct attr_table table, counter;
	char name[16];

	if (attr_nested(nest, &table) != 0) {
		return 2;
	}
	attr_text(&table, NFTA_EXPR_NAME, name, sizeof(name));
	if (strcmp(name, "counter") != 0 || !table.attrs[NFTA_EXPR_DATA]) {
		return 0;
	}
	if (attr_nested(table.attrs[NFTA_EXPR_DATA], &counter) != 0) {
		return 2;
	}
	element->bytes = attr_u64(&counter, NFTA_COUNTER_BYTES);
	element->packets = attr_u64(&counter, NFTA_COUNTER_PACKETS);
	return 0;
}

static int decode_expressions(const struct nlattr *list, struct nft_element *element)
{
	const uint8_t *bytes = mnl_attr_get_payload(list);
	size_t count = mnl_attr_get_payload_len(list);
	const struct nlattr *attr;
	int r;

	while ((r = attr_next(&bytes, &count, &attr)) == 0) {
		if (decode_expression(attr, element) != 0) {
			return 2;
		}
	}
	return r == 1 ? 0 : 2;
}

static int decode_element(const struct attr_table *table, struct nft_element *element)
{
	struct attr_table data;

	if (table->attrs[NFTA_SET_ELEM_KEY]) {
		const struct nlattr *value;

		if (attr_nested(table->attrs[NFTA_SET_ELEM_KEY], &data) != 0) {
			return 2;
		}
		value = data.attrs[NFTA_DATA_VALUE];
		element->key_bytes = value ? mnl_attr_get_payload_len(value) : 0;
		if (element->key_bytes > sizeof(element->key)) {
			return 2;
		}
		if (value) {
			memcpy(element->key, mnl_attr_get_payload(value), element->key_bytes);
		}
	}
	if (table->attrs[NFTA_SET_ELEM_DATA]) {
		if (attr_nested(table->attrs[NFTA_SET_ELEM_DATA], &data) != 0) {
			return 2;
		}
		if (data.attrs[NFTA_DATA_VALUE]) {
			const struct nlattr *value = data.attrs[NFTA_DATA_VALUE];

			element->data_bytes = mnl_attr_get_payload_len(value);
			if (element->data_bytes > sizeof(element->data)) {
				return 2;
			}
			memcpy(element->data, mnl_attr_get_payload(value), element->data_bytes);
		}
	}
	element->timeout_msec = attr_u64(table, NFTA_SET_ELEM_TIMEOUT);
	element->left_msec = attr_u64(table, NFTA_SET_ELEM_EXPIRATION);
	if (table->attrs[NFTA_SET_ELEM_EXPRESSIONS]) {
		return decode_expressions(table->attrs[NFTA_SET_ELEM_EXPRESSIONS], element);
	}
	return table->attrs[NFTA_SET_ELEM_EXPR]
	               ? decode_expression(table->attrs[NFTA_SET_ELEM_EXPR], element)
	               : 0;
}

int nft_element_next(struct nft_message *message, struct nft_element *ret)
{
	const struct nlattr *attr;
	struct attr_table table;
	int r = attr_next(&message->elements, &message->elements_bytes, &attr);

	*ret = (struct nft_element){ 0 };
	if (r != 0) {
		return r;
	}
	return attr_nested(attr, &table) == 0 ? decode_element(&table, ret) : 2;
}

int nft_element_tuple(const struct nft_element *element, struct nft_lease *ret)
{
	size_t each = element->key_bytes == 40 ? 16 : 4;
	uint8_t family = each == 16 ? IP_V6 : IP_V4;
	struct key_tail tail;

	if (element->key_bytes != 2 * each + sizeof(tail)) {
		return 1;
	}
	memcpy(&tail, element->key + 2 * each, sizeof(tail));
	*ret = (struct nft_lease){ .source = ip_make(family, element->key),
		.destination = ip_make(family, element->key + each),
		.protocol = tail.protocol,
		.port = ntohs(tail.port) };
	return 0;
}

int nft_element_lease(const struct nft_element *element, struct nft_lease *ret)
{
	if (element->data_bytes != sizeof(ret->mark) || nft_element_tuple(element, ret) != 0) {
		return 1;
	}
	memcpy(&ret->mark, element->data, sizeof(ret->mark));
	return 0;
}

int nft_element_pair(const struct nft_element *element, struct nft_pair *ret)
{
	uint8_t family = element->key_bytes == 16 ? IP_V6 : IP_V4;

	if ((element->key_bytes != 4 && element->key_bytes != 16) ||
	        (element->data_bytes > 0 && element->data_bytes != element->key_bytes)) {
		return 1;
	}
	*ret = (struct nft_pair){ .from = ip_make(family, element->key) };
	if (element->data_bytes > 0) {
		ret->to = ip_make(family, element->data);
	}
	return 0;
}
