/*
 * An IPv4 or IPv6 address as the kernel's messages have it. What people write and read is
 * model/address.h's; the two have the same numbers for the families and the same bytes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ip_family { IP_NONE = 0, IP_V4 = 4, IP_V6 = 6 };

struct ip {
	uint8_t family;    /* enum ip_family */
	uint8_t bytes[16]; /* network order; IPv4 in the first four, the rest zero */
};

#define IP_TEXT_BYTES_MAX 48

struct ip_text {
	char text[IP_TEXT_BYTES_MAX]; /* "" for none */
};

/* `family` as in enum ip_family; takes 4 or 16 of the bytes. */
struct ip ip_make(uint8_t family, const void *bytes);
/* 4, 16, or 0 for none. */
size_t ip_bytes(struct ip ip);
/* AF_INET, AF_INET6 or AF_UNSPEC. */
uint8_t ip_socket_family(struct ip ip);
bool ip_equal(struct ip left, struct ip right);
struct ip_text ip_print(struct ip ip);
