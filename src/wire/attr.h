/*
 * Netlink messages and attributes, read so that no length of the sender is believed. What all users
 * of netlink in this tree share; on top of libmnl's message helpers.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libmnl/libmnl.h>

#include "base/err.h"

#define ATTR_TABLE_COUNT 64

/* The first attribute of each type; those from ATTR_TABLE_COUNT on are left out. */
struct attr_table {
	const struct nlattr *attrs[ATTR_TABLE_COUNT];
};

/* Takes a whole message from the front of `bytes` (4-byte aligned). Outcome 1: nothing more;
 * outcome 2: what is left is not a message. */
int attr_message_next(
        const uint8_t **bytes, size_t *count, const struct nlmsghdr **ret_message) must_use;

/* Attributes behind a header of `header_bytes`, or inside an attribute. Outcome 1: malformed. */
int attr_message(
        const struct nlmsghdr *message, size_t header_bytes, struct attr_table *ret) must_use;
int attr_nested(const struct nlattr *nest, struct attr_table *ret) must_use;

/* The next attribute at the front of `bytes`. Outcome 1: nothing more; outcome 2: malformed. */
int attr_next(const uint8_t **bytes, size_t *count, const struct nlattr **ret) must_use;

/* True when the attribute is there with exactly `count` bytes. */
bool attr_has(const struct attr_table *table, unsigned type, size_t count);

/* Values in host order; 0 when the attribute is missing or has another size. */
uint8_t attr_u8(const struct attr_table *table, unsigned type);
uint16_t attr_u16(const struct attr_table *table, unsigned type);
uint32_t attr_u32(const struct attr_table *table, unsigned type);
uint64_t attr_u64(const struct attr_table *table, unsigned type);
/* The four bytes as they lie there. */
uint32_t attr_raw32(const struct attr_table *table, unsigned type);

/* Copies text, cut at the size of `out`; "" when missing. Control characters become '?'. */
void attr_text(const struct attr_table *table, unsigned type, char *out, size_t out_bytes);

/* The error of NLMSG_ERROR or NLMSG_DONE: 0 or a negative errno. Outcome 1: malformed. */
int attr_error(const struct nlmsghdr *message, int *ret_error) must_use;
