#include "wire/attr.h"

#include <endian.h>
#include <string.h>

int attr_message_next(const uint8_t **bytes, size_t *count, const struct nlmsghdr **ret_message)
{
	const struct nlmsghdr *message = (const void *)*bytes;
	size_t used;

	if (*count == 0) {
		return 1;
	}
	assert_always((uintptr_t)*bytes % NLMSG_ALIGNTO == 0);
	if (*count < sizeof(*message) || message->nlmsg_len < sizeof(*message) ||
	        message->nlmsg_len > *count) {
		return 2;
	}
	/* The last message need not be padded. */
	used = MNL_ALIGN((size_t)message->nlmsg_len);
	used = used < *count ? used : *count;
	*bytes += used;
	*count -= used;
	*ret_message = message;
	return 0;
}

int attr_next(const uint8_t **bytes, size_t *count, const struct nlattr **ret)
{
	const struct nlattr *attr = (const void *)*bytes;
	size_t used;

	if (*count == 0) {
		return 1;
	}
	if (*count < sizeof(*attr) || attr->nla_len < sizeof(*attr) || attr->nla_len > *count) {
		return 2;
	}
	used = MNL_ALIGN((size_t)attr->nla_len);
	used = used < *count ? used : *count;
	*bytes += used;
	*count -= used;
	*ret = attr;
	return 0;
}

static int fill(const uint8_t *bytes, size_t count, struct attr_table *table)
{
	const struct nlattr *attr;
	int r;

	memset(table, 0, sizeof(*table));
	while ((r = attr_next(&bytes, &count, &attr)) == 0) {
		unsigned type = mnl_attr_get_type(attr);

		if (type < ATTR_TABLE_COUNT && !table->attrs[type]) {
			table->attrs[type] = attr;
		}
	}
	return r == 1 ? 0 : 1;
}

int attr_message(const struct nlmsghdr *message, size_t header_bytes, struct attr_table *ret)
{
	size_t skip = MNL_NLMSG_HDRLEN + MNL_ALIGN(header_bytes);

	if (message->nlmsg_len < MNL_NLMSG_HDRLEN + header_bytes) {
		return 1;
	}
	if (message->nlmsg_len <= skip) {
		memset(ret, 0, sizeof(*ret));
		return 0;
	}
	return fill((const uint8_t *)message + skip, message->nlmsg_len - skip, ret);
}

int attr_nested(const struct nlattr *nest, struct attr_table *ret)
{
	return fill(mnl_attr_get_payload(nest), mnl_attr_get_payload_len(nest), ret);
}

bool attr_has(const struct attr_table *table, unsigned type, size_t count)
{
	return table->attrs[type] && mnl_attr_get_payload_len(table->attrs[type]) == count;
}

static void take(const struct attr_table *table, unsigned type, void *out, size_t count)
{
	if (attr_has(table, type, count)) {
		memcpy(out, mnl_attr_get_payload(table->attrs[type]), count);
	} else {
		memset(out, 0, count);
	}
}

uint8_t attr_u8(const struct attr_table *table, unsigned type)
{
	uint8_t value;

	take(table, type, &value, sizeof(value));
	return value;
}

uint16_t attr_u16(const struct attr_table *table, unsigned type)
{
	uint16_t value;

	take(table, type, &value, sizeof(value));
	return be16toh(value);
}

uint32_t attr_raw32(const struct attr_table *table, unsigned type)
{
	uint32_t value;

	take(table, type, &value, sizeof(value));
	return value;
}

uint32_t attr_u32(const struct attr_table *table, unsigned type)
{
	return be32toh(attr_raw32(table, type));
}

uint64_t attr_u64(const struct attr_table *table, unsigned type)
{
	uint64_t value;

	take(table, type, &value, sizeof(value));
	return be64toh(value);
}

void attr_text(const struct attr_table *table, unsigned type, char *out, size_t out_bytes)
{
	const struct nlattr *attr = table->attrs[type];
	size_t count = attr ? mnl_attr_get_payload_len(attr) : 0;
	const uint8_t *bytes = attr ? mnl_attr_get_payload(attr) : NULL;
	size_t i;

	for (i = 0; i < count && i + 1 < out_bytes && bytes[i] != '\0'; i++) {
		out[i] = bytes[i] < 0x20 || bytes[i] == 0x7f ? '?' : (char)bytes[i];
	}
	out[i] = '\0';
}

int attr_error(const struct nlmsghdr *message, int *ret_error)
{
	int32_t error;

	if (message->nlmsg_len < MNL_NLMSG_HDRLEN + sizeof(error)) {
		return 1;
	}
	memcpy(&error, mnl_nlmsg_get_payload(message), sizeof(error));
	/* The kernel sends 0 or a negative errno; what else is there is not believed. */
	if (error > 0 || error < -4095) {
		return 1;
	}
	*ret_error = error;
	return 0;
}
