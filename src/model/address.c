#include "model/address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

static const uint8_t mapped_v4[12] = { [10] = 0xff, [11] = 0xff };

int address_parse(const char *text, struct address *ret_address)
{
	struct address address = { 0 };

	if (inet_pton(AF_INET, text, address.bytes) == 1) {
		address.family = ADDRESS_V4;
	} else if (inet_pton(AF_INET6, text, address.bytes) == 1) {
		address.family = ADDRESS_V6;
		/* An IPv4 address in IPv6 clothes would have two spellings. */
		if (memcmp(address.bytes, mapped_v4, sizeof(mapped_v4)) == 0) {
			return 1;
		}
	} else {
		return 1;
	}
	if (strcmp(address_print(address).text, text) != 0) {
		return 1;
	}
	*ret_address = address;
	return 0;
}

struct address_text address_print(struct address address)
{
	struct address_text out = { "" };

	if (address.family != ADDRESS_NONE) {
		int family = address.family == ADDRESS_V4 ? AF_INET : AF_INET6;

		assert_always(inet_ntop(family, address.bytes, out.text, sizeof(out.text)) != NULL);
	}
	return out;
}

unsigned address_bits(struct address address)
{
	switch (address.family) {
	case ADDRESS_V4:
		return 32;
	case ADDRESS_V6:
		return 128;
	default:
		return 0;
	}
}

bool address_equal(struct address left, struct address right)
{
	return left.family == right.family &&
	       memcmp(left.bytes, right.bytes, sizeof(left.bytes)) == 0;
}

/* True when the first `bits` bits are the same. */
static bool bits_equal(const uint8_t *left, const uint8_t *right, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;

	if (memcmp(left, right, whole) != 0) {
		return false;
	}
	return rest == 0 || ((left[whole] ^ right[whole]) & (0xff00 >> rest) & 0xff) == 0;
}

struct special {
	uint8_t family;
	uint8_t bytes[4];
	uint8_t bits;
	enum address_scope scope;
};

/* IANA special-purpose registries, as far as they say that nobody, or only insiders, can be
 * there. The first match counts. */
static const struct special specials[] = {
	{ ADDRESS_V4, { 0 }, 8, ADDRESS_UNUSABLE },         /* this network */
	{ ADDRESS_V4, { 127 }, 8, ADDRESS_UNUSABLE },       /* loopback */
	{ ADDRESS_V4, { 169, 254 }, 16, ADDRESS_UNUSABLE }, /* link-local */
	{ ADDRESS_V4, { 224 }, 4, ADDRESS_UNUSABLE },       /* multicast */
	{ ADDRESS_V4, { 240 }, 4, ADDRESS_UNUSABLE },       /* reserved, broadcast */
	{ ADDRESS_V4, { 10 }, 8, ADDRESS_PRIVATE },         /* RFC 1918 */
	{ ADDRESS_V4, { 172, 16 }, 12, ADDRESS_PRIVATE },   /* RFC 1918 */
	{ ADDRESS_V4, { 192, 168 }, 16, ADDRESS_PRIVATE },  /* RFC 1918 */
	{ ADDRESS_V4, { 100, 64 }, 10, ADDRESS_PRIVATE },   /* RFC 6598 */
	{ ADDRESS_V6, { 0 }, 8, ADDRESS_UNUSABLE },         /* unspecified, loopback, compatible */
	{ ADDRESS_V6, { 0xfe, 0x80 }, 10, ADDRESS_UNUSABLE }, /* link-local */
	{ ADDRESS_V6, { 0xff }, 8, ADDRESS_UNUSABLE },        /* multicast */
	{ ADDRESS_V6, { 0xfc }, 7, ADDRESS_PRIVATE },         /* RFC 4193 */
};

enum address_scope address_scope(struct address address)
{
	if (address.family == ADDRESS_NONE) {
		return ADDRESS_UNUSABLE;
	}
	for (size_t i = 0; i < ARRAY_COUNT(specials); i++) {
		if (specials[i].family == address.family &&
		        bits_equal(specials[i].bytes, address.bytes, specials[i].bits)) {
			return specials[i].scope;
		}
	}
	return ADDRESS_PUBLIC;
}

int prefix_parse(const char *text, struct prefix *ret_prefix)
{
	char address[ADDRESS_TEXT_BYTES_MAX];
	const char *slash = strchr(text, '/');
	struct prefix prefix;
	uint64_t bits;

	if (!slash || (size_t)(slash - text) >= sizeof(address)) {
		return 1;
	}
	memcpy(address, text, (size_t)(slash - text));
	address[slash - text] = '\0';
	if (address_parse(address, &prefix.address) != 0 ||
	        unsigned_parse(slash + 1, address_bits(prefix.address), &bits) != 0) {
		return 1;
	}
	prefix.bits = (uint8_t)bits;
	for (unsigned bit = prefix.bits; bit < address_bits(prefix.address); bit++) {
		if (prefix.address.bytes[bit / 8] & (0x80 >> bit % 8)) {
			return 1;
		}
	}
	*ret_prefix = prefix;
	return 0;
}

struct address_text prefix_print(struct prefix prefix)
{
	struct address_text out = address_print(prefix.address);

	if (prefix.address.family != ADDRESS_NONE) {
		size_t used = strlen(out.text);

		snprintf(out.text + used, sizeof(out.text) - used, "/%u", prefix.bits);
	}
	return out;
}

bool prefix_contains(struct prefix prefix, struct address address)
{
	return prefix.address.family != ADDRESS_NONE && prefix.address.family == address.family &&
	       bits_equal(prefix.address.bytes, address.bytes, prefix.bits);
}

bool prefix_contains_prefix(struct prefix outer, struct prefix inner)
{
	return inner.bits >= outer.bits && prefix_contains(outer, inner.address);
}

bool prefix_overlaps(struct prefix left, struct prefix right)
{
	return prefix_contains_prefix(left, right) || prefix_contains_prefix(right, left);
}
