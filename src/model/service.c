#include "model/service.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"

static const struct {
	enum protocol protocol;
	const char *name;
} protocols[] = {
	{ PROTOCOL_TCP, "tcp" },
	{ PROTOCOL_UDP, "udp" },
	{ PROTOCOL_ICMP, "icmp" },
};

int protocol_parse(const char *text, enum protocol *ret_protocol)
{
	for (size_t i = 0; i < ARRAY_COUNT(protocols); i++) {
		if (strcmp(text, protocols[i].name) == 0) {
			*ret_protocol = protocols[i].protocol;
			return 0;
		}
	}
	return 1;
}

const char *protocol_name(enum protocol protocol)
{
	for (size_t i = 0; i < ARRAY_COUNT(protocols); i++) {
		if (protocol == protocols[i].protocol) {
			return protocols[i].name;
		}
	}
	return "";
}

bool protocol_port_valid(enum protocol protocol, uint16_t port)
{
	switch (protocol) {
	case PROTOCOL_ICMP:
		return port == 0;
	case PROTOCOL_TCP:
	case PROTOCOL_UDP:
		return port != 0;
	default:
		return false;
	}
}

/* Reads "104" or "5000-5010" of `count` bytes. Outcome 1: neither. */
static int parse_range(const char *text, size_t count, struct port_range *ret_range)
{
	char part[sizeof("65535-65535")];
	uint64_t first, last;
	char *dash;

	if (count >= sizeof(part)) {
		return 1;
	}
	memcpy(part, text, count);
	part[count] = '\0';
	dash = strchr(part, '-');
	if (dash) {
		*dash = '\0';
	}
	if (unsigned_parse(part, UINT16_MAX, &first) != 0 || first == 0 ||
	        unsigned_parse(dash ? dash + 1 : part, UINT16_MAX, &last) != 0 || last < first) {
		return 1;
	}
	*ret_range = (struct port_range){ (uint16_t)first, (uint16_t)last };
	return 0;
}

/* Puts a range behind those that start before it. Outcome 1: no room. */
static int insert_range(struct port_set *set, struct port_range range)
{
	size_t at = set->count;

	if (set->count == PORT_RANGES_MAX) {
		return 1;
	}
	for (; at > 0 && set->ranges[at - 1].first > range.first; at--) {
		set->ranges[at] = set->ranges[at - 1];
	}
	set->ranges[at] = range;
	set->count++;
	return 0;
}

/* Joins what overlaps or touches in a set sorted by start. */
static void join_ranges(struct port_set *set)
{
	size_t used = 1;

	for (size_t i = 1; i < set->count; i++) {
		struct port_range *last = &set->ranges[used - 1], next = set->ranges[i];

		if (next.first > last->last + 1) {
			set->ranges[used++] = next;
		} else if (next.last > last->last) {
			last->last = next.last;
		}
	}
	set->count = used;
}

int port_set_parse(const char *text, struct port_set *ret_set)
{
	struct port_set set = { 0 };

	for (;;) {
		size_t count = strcspn(text, ",");
		struct port_range range;

		if (parse_range(text, count, &range) != 0 || insert_range(&set, range) != 0) {
			return 1;
		}
		if (text[count] == '\0') {
			break;
		}
		text += count + 1;
	}
	join_ranges(&set);
	*ret_set = set;
	return 0;
}

void port_set_print(const struct port_range *ranges, size_t count, struct buf *out)
{
	for (size_t i = 0; i < count; i++) {
		buf_add_format(out, "%s%u", i > 0 ? "," : "", ranges[i].first);
		if (ranges[i].last != ranges[i].first) {
			buf_add_format(out, "-%u", ranges[i].last);
		}
	}
}

bool port_set_contains(const struct port_range *ranges, size_t count, uint16_t port)
{
	for (size_t i = 0; i < count; i++) {
		if (port >= ranges[i].first && port <= ranges[i].last) {
			return true;
		}
	}
	return false;
}
