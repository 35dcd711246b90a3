#include "wire/ip.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/mem.h"

_Static_assert(IP_TEXT_BYTES_MAX >= INET6_ADDRSTRLEN, "the longest address has its room");

size_t ip_bytes(struct ip ip)
{
	return ip.family == IP_V4 ? 4 : ip.family == IP_V6 ? 16 : 0;
}

struct ip ip_make(uint8_t family, const void *bytes)
{
	struct ip ip = { .family = family };

	memcpy(ip.bytes, bytes, ip_bytes(ip));
	return ip;
}

uint8_t ip_socket_family(struct ip ip)
{
	return ip.family == IP_V4 ? AF_INET : ip.family == IP_V6 ? AF_INET6 : AF_UNSPEC;
}

bool ip_equal(struct ip left, struct ip right)
{
	return left.family == right.family && memcmp(left.bytes, right.bytes, ip_bytes(left)) == 0;
}

struct ip_text ip_print(struct ip ip)
{
	struct ip_text text = { "" };

	if (ip_bytes(ip) > 0) {
		assert_always(
		        inet_ntop(ip_socket_family(ip), ip.bytes, text.text, sizeof(text.text)));
	}
	return text;
}
