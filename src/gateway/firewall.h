/*
 * The packet filter: one nftables table of ours for IPv4 and one for IPv6, their lease maps, and
 * the flows in conntrack. A family without a service prefix forwards nothing.
 *
 * Nothing passes from or to a tunnel but what matches a lease: an element that the kernel drops by
 * itself when its time is over. There is no "established" bypass. Loading the rules again keeps all
 * elements. Changes by others are seen through a netlink monitor.
 *
 * Order (DESIGN 7): open = SA first, lease last; close = lease first, then firewall_flows_cut(),
 * then the SA.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "loop/loop.h"
#include "wire/conntrack.h"
#include "wire/nft.h"

#define FIREWALL_LEASE_MAP "lease"
#define FIREWALL_TO_REAL_MAP "svc2real"
#define FIREWALL_TO_SERVICE_MAP "real2svc"

#define FIREWALL_FIRST_SET "first" /* real addresses whose first packets are looked at */
#define FIREWALL_SEEN_SET "seen"   /* and the tuples of those packets, for TRAFFIC_SEEN_SEC */
#define FIREWALL_AWAY_SET "away"   /* real addresses of hosts that left their LAN (changeover) */

/* The zones that may have interfaces of their own, and a set of real addresses each. */
enum firewall_zone { FIREWALL_DMZ, FIREWALL_SZ, FIREWALL_HSZ, FIREWALL_ZONE_COUNT };
extern const char *const firewall_zone_names[FIREWALL_ZONE_COUNT];

/* What a path between gateways carries at least, outer headers included: DSL and mobile lines. */
#define FIREWALL_PATH_MTU 1400

struct firewall_prefix {
	struct ip ip;
	unsigned bits;
};

struct firewall_input {
	const char *interface; /* NULL for any but a tunnel */
	uint8_t protocol;      /* IPPROTO_TCP or IPPROTO_UDP */
	uint16_t port;
};

struct firewall_config {
	const char *table;      /* up to NFT_NAME_BYTES_MAX; letters, digits, '_', '-' */
	const char *const *wan; /* interface names; at least one */
	size_t wan_count;
	const char *const *lan; /* interface names; at least one */
	size_t lan_count;
	/* Interfaces of zones, beside those of `lan`: none of a zone means that its hosts are
	 * behind any. */
	struct {
		const char *const *names;
		size_t count;
	} zones[FIREWALL_ZONE_COUNT];
	const char *tunnel; /* dataplane_choice.tunnel */
	bool kernel_esp;
	const struct firewall_prefix *services; /* at most one of a family */
	size_t services_count;
	unsigned path_mtu;                   /* 0: FIREWALL_PATH_MTU; MSS are clamped to it */
	const struct firewall_input *inputs; /* what the gateway itself answers, beside IKE */
	size_t inputs_count;
};

/* Appends the ruleset for `nft -f`: one atomic change that makes what is missing, replaces all
 * rules of the table and leaves elements alone. Outcome 1: a name cannot stand in it. */
int firewall_print(const struct firewall_config *config, struct buf *out, struct err *err) must_use;

enum firewall_change {
	FIREWALL_TABLE_GONE,       /* nothing passes the hooks of ours any more: load at once */
	FIREWALL_RULES_CHANGED,    /* load again */
	FIREWALL_ELEMENTS_CHANGED, /* list and compare */
	FIREWALL_UNKNOWN,          /* notifications were lost: load, list and compare */
};

struct firewall_handlers {
	/* Somebody else changed our table; `process` is the kernel's name of the program. */
	void (*foreign)(void *context, enum firewall_change change, const char *process);
	/* A flow with a mark began or ended. */
	void (*flow)(void *context, const struct conntrack_flow *flow);
	/* Flow events were lost: firewall_flows_list(). */
	void (*flows_lost)(void *context);
};

struct firewall;

/* Opens the sockets; loads nothing. `config` is copied. */
int firewall_new(struct loop *loop, const struct firewall_config *config,
        const struct firewall_handlers *handlers, void *context, struct firewall **ret_firewall,
        struct err *err) must_use;
/* Leaves the kernel as it is: leases run on to their end. */
struct firewall *firewall_free(struct firewall *firewall);
AUTO_DEFINE(firewall)

/* Loads the ruleset with nft; waits for it (2 to 20 ms, at most 10 s). Outcome 1: refused, err has
 * nft's words. */
int firewall_load(struct firewall *firewall, struct err *err) must_use;
/* Removes the table with everything in it: leases too. */
int firewall_unload(struct firewall *firewall, struct err *err) must_use;
/* Outcome 1: our table is not there. */
int firewall_check(struct firewall *firewall) must_use;

/* Outcomes of the changes below; then nothing of the call was changed (with more than
 * NFT_BATCH_CHANGES_MAX leases: of the part that failed and what follows it). */
enum {
	FIREWALL_TAKEN = 1,   /* one of the keys belongs to another mark */
	FIREWALL_MISSING = 2, /* the table is not there */
	FIREWALL_FULL = 3,    /* the map has no room */
};

/* Opens or renews leases: each runs `timeout_msec` (1 to LEASE_SEC_MAX s) from now. */
int firewall_lease_set(struct firewall *firewall, const struct nft_lease *leases, size_t count,
        uint64_t timeout_msec) must_use;
/* Removes leases, there or not, whatever their mark. FIREWALL_MISSING: they are gone with the
 * table. */
int firewall_lease_remove(
        struct firewall *firewall, const struct nft_lease *leases, size_t count) must_use;

struct firewall_lease {
	struct nft_lease lease;
	uint64_t timeout_msec, left_msec;
	uint64_t packets, bytes; /* since the element was last set */
};
typedef void firewall_lease_each(void *context, const struct firewall_lease *lease);
/* Outcome FIREWALL_MISSING. */
int firewall_lease_list(
        struct firewall *firewall, firewall_lease_each *each, void *context) must_use;

/* Makes the address maps hold exactly these pairs (from: service address, to: real address).
 * Running flows keep the addresses they began with: cut them. At most FIREWALL_PAIRS_MAX. */
#define FIREWALL_PAIRS_MAX 4096
int firewall_addresses_set(
        struct firewall *firewall, const struct nft_pair *pairs, size_t count) must_use;

/* Makes a zone's sets hold exactly these real addresses. Of a family that is not forwarded none is
 * kept. */
int firewall_zone_set(struct firewall *firewall, enum firewall_zone zone, const struct ip *ips,
        size_t count) must_use;
/* First traffic (protocol.md 3.1): makes it be looked at for exactly these real addresses. */
int firewall_first_set(struct firewall *firewall, const struct ip *ips, size_t count) must_use;
/* Tuples of packets that these hosts sent to service addresses within TRAFFIC_SEEN_SEC, each the
 * first of a flow; with a lease or without. The packets themselves went their way or nowhere: this
 * only looks. At most TRAFFIC_SEEN_MAX of a family; `each` must not call anything here. Outcome
 * FIREWALL_MISSING. */
typedef void firewall_seen_each(void *context, const struct nft_lease *tuple);
int firewall_seen_list(struct firewall *firewall, firewall_seen_each *each, void *context) must_use;
/* Makes exactly these hosts (real addresses) be away from their LAN: nothing passes between them
 * and the other ports of the gateway's bridges, or the gateway itself. Cheap while nothing
 * changes. Outcome 1: this kernel cannot filter on a bridge; err says so. */
int firewall_away_set(
        struct firewall *firewall, const struct ip *ips, size_t count, struct err *err) must_use;
/* The ruleset of the bridge, which is loaded with the first host that is away. */
void firewall_bridge_print(const char *table, struct buf *out);

/* Ends all flows of a connection in conntrack; with nf_conntrack_tcp_loose=0 they cannot resume. */
int firewall_flows_cut(struct firewall *firewall, uint32_t mark) must_use;
/* Lists flows with this mark, or all marked ones (0). `each` must not call anything here. */
typedef void firewall_flow_each(void *context, const struct conntrack_flow *flow);
int firewall_flows_list(
        struct firewall *firewall, uint32_t mark, firewall_flow_each *each, void *context) must_use;
