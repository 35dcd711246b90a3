/*
 * Process priv: first traffic (protocol.md 3.1). The kernel writes down the first packets of the
 * hosts that the own policy names for it; here it is looked which of them its rules would open, and
 * agent is told to ask the center. Nothing opens by that: what comes back is a grant like any
 * other, checked like any other.
 *
 * Read is a set of tuples with time-outs that the packet filter fills, five times a second and only
 * while the policy has such a rule: no packet comes here, and what a host can make the kernel keep
 * is bounded by the set.
 */
#include "gateway/priv.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "audit/record.h"
#include "base/log.h"
#include "gateway/message.h"

#define LOOK_MSEC 200
#define REASON_BYTES_MAX 256
#define SHOWN_MAX 64

/* An own host that may open something. */
struct traffic_host {
	struct ip ip; /* real */
	char name[NAME_BYTES_MAX + 1];
};

static const struct traffic_host *find_host(const struct priv *priv, struct ip ip)
{
	for (size_t i = 0; i < priv->traffic_host_count; i++) {
		if (ip_equal(priv->traffic_hosts[i].ip, ip)) {
			return &priv->traffic_hosts[i];
		}
	}
	return NULL;
}

/* As policies name it. Outcome 1: nothing that a rule can be for. */
static int read_service(
        const struct nft_lease *tuple, enum protocol *ret_protocol, uint16_t *ret_port)
{
	bool six = tuple->source.family == IP_V6;

	*ret_port = tuple->port;
	switch (tuple->protocol) {
	case IPPROTO_TCP:
		*ret_protocol = PROTOCOL_TCP;
		return 0;
	case IPPROTO_UDP:
		*ret_protocol = PROTOCOL_UDP;
		return 0;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		*ret_protocol = PROTOCOL_ICMP;
		*ret_port = 0;
		return tuple->port == (six ? NFT_PORT_ICMP6_ECHO : NFT_PORT_ICMP_ECHO) ? 0 : 1;
	default:
		return 1;
	}
}

static struct address address_of(struct ip ip)
{
	struct address address = { .family = ip.family == IP_V6 ? ADDRESS_V6 : ADDRESS_V4 };

	memcpy(address.bytes, ip.bytes, ip_bytes(ip));
	return address;
}

/* The site whose service address it is, if a rule of ours opens it on traffic. NULL: nothing does,
 * and then nobody is asked. Which host it is, only the center knows. */
static const char *find_site(const struct priv *priv, const struct traffic_host *host,
        const struct nft_lease *tuple, enum protocol protocol, uint16_t port)
{
	const struct site_policy *site = trust_site_policy(priv->trust);
	const struct provider_policy *provider = trust_provider_policy(priv->trust);
	struct address address = address_of(tuple->destination);
	struct site_policy_traffic traffic;
	size_t at = 0;

	while (site && provider &&
	        site_policy_traffic_next(site, host->name, protocol, port, &at, &traffic) == 0) {
		if (provider_policy_site_contains(provider, traffic.peer_site, address)) {
			return traffic.peer_site;
		}
	}
	return NULL;
}

/* Whether it has its connection already, or is about to. */
static bool is_open(struct priv *priv, const struct nft_lease *tuple)
{
	for (size_t i = 0; i < tunnel_count(priv->machine); i++) {
		struct tunnel_view view = tunnel_at(priv->machine, i);

		if (ip_equal(view.lease.source, tuple->source) &&
		        ip_equal(view.lease.destination, tuple->destination) &&
		        view.lease.protocol == tuple->protocol && view.lease.port == tuple->port) {
			if (view.state == TUNNEL_UP) {
				traffic_opened(priv->traffic, tuple);
			}
			return true;
		}
	}
	return false;
}

static void record(struct priv *priv, const char *kind, const struct traffic_host *host,
        const struct nft_lease *tuple, const char *reason)
{
	AUTO_STRING char *text = mem_format("first traffic of %s to %s protocol %u port %u%s%s",
	        host ? host->name : ip_print(tuple->source).text, ip_print(tuple->destination).text,
	        tuple->protocol, tuple->port, *reason ? ": " : "", reason);

	log_info("%s: %s", kind, text);
	priv_note(priv, "gateway", kind, host ? host->name : "", text);
}

static void ask(struct priv *priv, const struct traffic_host *host, const char *site,
        const struct nft_lease *tuple, uint32_t tag)
{
	AUTO_BUF struct buf text = BUF(4096);
	AUTO_BUF struct buf payload = BUF(4096);
	AUTO_JSON json_t *body = NULL;
	enum protocol protocol;
	uint16_t port;

	if (read_service(tuple, &protocol, &port) != 0) {
		return;
	}
	record(priv, "connection.requested", host, tuple, "");
	body = json_pack("{s:s,s:s,s:s,s:s,s:i}", "from", host->name, "site", site, "address",
	        ip_print(tuple->destination).text, "protocol", protocol_name(protocol), "port",
	        (int)port);
	json_print(body, &text);
	buf_add_block(&payload, text.bytes, text.count);
	priv_send(priv, MESSAGE_TRAFFIC, tag, &payload);
}

static void on_seen(void *context, const struct nft_lease *tuple)
{
	struct priv *priv = context;
	const struct traffic_host *host = find_host(priv, tuple->source);
	enum protocol protocol;
	const char *site;
	uint16_t port;
	uint32_t tag;

	if (!host || read_service(tuple, &protocol, &port) != 0 ||
	        !(site = find_site(priv, host, tuple, protocol, port)) || is_open(priv, tuple)) {
		return;
	}
	if (traffic_seen(priv->traffic, tuple, clock_monotonic_usec(), &tag)) {
		ask(priv, host, site, tuple, tag);
	}
}

struct seen {
	struct nft_lease *tuples;
	size_t count, room;
};

static void keep_seen(void *context, const struct nft_lease *tuple)
{
	struct seen *seen = context;

	if (seen->count == seen->room) {
		seen->room = seen->room ? 2 * seen->room : 64;
		seen->tuples = mem_resize(seen->tuples, seen->room, sizeof(*seen->tuples));
	}
	seen->tuples[seen->count++] = *tuple;
}

/* A gateway that could not open is not asking either: without a machine, an agent, charon or room
 * on the disk nothing would come of it. */
static bool is_ready(const struct priv *priv)
{
	return priv->machine && priv->agent && priv->charon_loaded && !journal_full(priv->journal);
}

static void look(void *context)
{
	struct priv *priv = context;
	struct seen seen = { 0 };

	loop_timer_set(priv->traffic_timer, LOOK_MSEC);
	if (!is_ready(priv) || firewall_seen_list(priv->firewall, keep_seen, &seen) != 0) {
		free(seen.tuples);
		return;
	}
	for (size_t i = 0; i < seen.count; i++) {
		on_seen(priv, &seen.tuples[i]);
	}
	free(seen.tuples);
	/* What is up by now is told apart from what never came up, also when it is silent. */
	for (size_t i = traffic_count(priv->traffic); i-- > 0;) {
		struct nft_lease tuple = traffic_at(priv->traffic, i).tuple;

		(void)is_open(priv, &tuple);
	}
}

void priv_traffic_new(struct priv *priv)
{
	priv->traffic = traffic_new();
	priv->traffic_timer = loop_timer_new(priv->loop, look, priv);
}

void priv_traffic_free(struct priv *priv)
{
	priv->traffic = traffic_free(priv->traffic);
	loop_timer_free(priv->traffic_timer);
	free(TAKE(priv->traffic_hosts));
	priv->traffic_host_count = 0;
}

void priv_traffic_apply(struct priv *priv)
{
	const struct site_policy *site = trust_site_policy(priv->trust);
	size_t count = site ? site_policy_host_count(site) : 0, used = 0;
	struct traffic_host *hosts = mem_new(count + 1, sizeof(*hosts));
	struct ip *ips = mem_new(count + 1, sizeof(*ips));

	for (size_t i = 0; i < count; i++) {
		struct policy_host host;

		if (!site_policy_traffic_from(site, i)) {
			continue;
		}
		site_policy_host_at(site, i, &host);
		ips[used] = ip_make(host.address.family, host.address.bytes);
		hosts[used].ip = ips[used];
		snprintf(hosts[used].name, sizeof(hosts[used].name), "%s", host.name);
		used++;
	}
	free(priv->traffic_hosts);
	priv->traffic_hosts = hosts;
	priv->traffic_host_count = used;
	if (firewall_first_set(priv->firewall, ips, used) != 0) {
		log_error("the hosts whose first traffic is looked at could not be set");
	}
	free(ips);
	if (used > 0) {
		loop_timer_set(priv->traffic_timer, LOOK_MSEC);
	} else {
		loop_timer_stop(priv->traffic_timer);
	}
}

int priv_traffic_answer(struct priv *priv, uint32_t tag, struct cursor *cursor)
{
	uint8_t answer = cursor_u8(cursor);
	size_t count;
	const uint8_t *bytes = cursor_block(cursor, &count);
	char reason[REASON_BYTES_MAX] = "";
	struct nft_lease tuple = { 0 };
	bool known = false;

	if (!cursor_done(cursor) || answer > TRAFFIC_LATER || count >= sizeof(reason) ||
	        memchr(bytes, '\0', count)) {
		return 1;
	}
	memcpy(reason, bytes, count);
	known = traffic_answered(priv->traffic, tag, (enum traffic_answer)answer, reason,
	        clock_monotonic_usec(), &tuple);
	if (known && answer == TRAFFIC_REFUSED) {
		record(priv, "connection.refused", find_host(priv, tuple.source), &tuple, reason);
		priv_newest_send(priv);
	}
	return 0;
}

json_t *priv_traffic_status(const struct priv *priv)
{
	static const char *const words[] = { [TRAFFIC_REFUSED] = "refused",
		[TRAFFIC_GRANTED] = "granted",
		[TRAFFIC_LATER] = "later" };
	int64_t now = clock_monotonic_usec();
	json_t *list = json_array();

	for (size_t i = 0; i < traffic_count(priv->traffic) && i < SHOWN_MAX; i++) {
		struct traffic_view view = traffic_at(priv->traffic, i);
		const struct traffic_host *host = find_host(priv, view.tuple.source);
		enum protocol protocol = PROTOCOL_NONE;
		uint16_t port = 0;

		if (read_service(&view.tuple, &protocol, &port) != 0) {
			continue;
		}
		json_array_append_new(list,
		        json_pack("{s:s,s:s,s:s,s:i,s:s,s:s,s:I}", "from_host",
		                host ? host->name : ip_print(view.tuple.source).text, "address",
		                ip_print(view.tuple.destination).text, "protocol",
		                protocol_name(protocol), "port", (int)port, "state",
		                view.asking ? "asking" : words[view.answer], "reason", view.reason,
		                "seconds_left",
		                (json_int_t)(view.next_usec > now && !view.asking
		                                     ? (view.next_usec - now + USEC_PER_SEC - 1) /
		                                               USEC_PER_SEC
		                                     : 0)));
	}
	return list;
}
