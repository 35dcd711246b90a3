/*
 * IPv4 and IPv6 addresses and prefixes as plain values.
 *
 * Only the one canonical spelling is read (RFC 5952 for IPv6; no leading zeros, no IPv4-mapped
 * form), so that equal addresses are equal texts everywhere: in policies, grants and logs.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum address_family {
	ADDRESS_NONE = 0, /* the zero value: no address */
	ADDRESS_V4 = 4,
	ADDRESS_V6 = 6,
};

struct address {
	uint8_t family;    /* enum address_family */
	uint8_t bytes[16]; /* network order; IPv4 in the first four, the rest zero */
};

struct prefix {
	struct address address; /* bits behind `bits` are zero */
	uint8_t bits;
};

#define ADDRESS_TEXT_BYTES_MAX 48

struct address_text {
	char text[ADDRESS_TEXT_BYTES_MAX]; /* "" for ADDRESS_NONE */
};

enum address_scope {
	ADDRESS_UNUSABLE, /* none, "this network", loopback, link-local, multicast, reserved,
	                     broadcast */
	ADDRESS_PRIVATE,  /* RFC 1918, RFC 6598 (100.64.0.0/10), RFC 4193 */
	ADDRESS_PUBLIC,   /* every other unicast address, documentation ranges included */
};

/* Outcome 1: not an address in canonical spelling. */
int address_parse(const char *text, struct address *ret_address) must_use;
struct address_text address_print(struct address address);

/* Bits of the family: 32, 128, or 0 for none. */
unsigned address_bits(struct address address);
bool address_equal(struct address left, struct address right); /* none equals none */
enum address_scope address_scope(struct address address);

/* "100.64.2.0/24". Outcome 1: not a prefix, or with bits set behind its length. */
int prefix_parse(const char *text, struct prefix *ret_prefix) must_use;
struct address_text prefix_print(struct prefix prefix);

/* False between families and for the zero prefix. */
bool prefix_contains(struct prefix prefix, struct address address);
bool prefix_contains_prefix(struct prefix outer, struct prefix inner);
bool prefix_overlaps(struct prefix left, struct prefix right);
