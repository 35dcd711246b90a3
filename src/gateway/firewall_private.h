/* Inside of the packet filter: what firewall.c (sockets, leases, flows) and firewall_sets.c
 * (address maps, zones, hosts that are away) share. */
#pragma once

#include <sys/types.h>

#include "base/limits.h"
#include "gateway/firewall.h"
#include "gateway/netlink.h"

#define RULESET_BYTES_MAX (64 << 10)
#define ELEMENTS_MAX (4 * TUNNELS_PER_GATEWAY_MAX)
#define CHANGE_COUNT (FIREWALL_UNKNOWN + 1)

struct firewall {
	struct loop *loop;
	char table[NFT_NAME_BYTES_MAX + 1];
	char *ruleset;
	enum ip_family families[2]; /* those that are forwarded */
	size_t families_count;
	bool bridge;     /* its table was loaded */
	bool away_known; /* what follows is what the sets hold */
	struct ip *away;
	size_t away_count;
	struct firewall_handlers handlers;
	void *context;
	struct netlink ask, changes, flows;
	struct loop_fd *changes_watch, *flows_watch;
	struct buf in;
	pid_t loader; /* the nft that is running for us */
	/* Foreign changes; told by a timer, so that a handler may call anything here. */
	struct loop_timer *tell;
	bool touched[CHANGE_COUNT]; /* by the change that is being read */
	bool pending[CHANGE_COUNT];
	char process[32];
};

/* Runs nft with this text and waits. Outcome 1: refused, err has nft's words. */
int firewall_text_load(struct firewall *firewall, const char *text, struct err *err) must_use;

void firewall_batch_start(struct firewall *firewall, struct nft_batch *batch);
/* Sends the batch and waits. Returns the kernel's answer: 0 or a negative errno. */
int firewall_commit(struct firewall *firewall, struct nft_batch *batch) must_use;

/* Puts the change that stands at a place of a list into the batch. */
typedef void firewall_change_add(struct nft_batch *batch, const void *list, size_t place);

/* Makes `count` changes, as many at once as the kernel takes. Outcomes as in firewall.h. */
int firewall_commit_list(struct firewall *firewall, firewall_change_add *add, const void *list,
        size_t count) must_use;

struct firewall_list {
	void *items;
	size_t count, item_bytes;
	int (*take)(const struct nft_element *element, void *item);
};

/* Adds the elements of one family's map or set, as of one moment. Outcome FIREWALL_MISSING. */
int firewall_list_family(struct firewall *firewall, enum ip_family family, const char *map,
        struct firewall_list *list) must_use;
/* Of every family that is forwarded. The caller frees list->items. */
int firewall_list_whole(
        struct firewall *firewall, const char *map, struct firewall_list *list) must_use;
