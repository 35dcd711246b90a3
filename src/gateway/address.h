/*
 * Addresses, routes and interfaces of a gateway, over rtnetlink, and the kernel settings it needs.
 *
 * With kernel-libipsec the gateway must own each of its service addresses (charon checks), so they
 * lie on a bridge without ports. The blackhole route makes sure that a packet to a service address
 * whose SA is gone does not follow the default route.
 *
 * All calls wait for the kernel, which answers at once. Adding what is there and removing what is
 * not there is ok.
 */
#pragma once

#include <net/if.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"
#include "wire/ip.h"

struct address;

int address_open(struct address **ret_address, struct err *err) must_use;
struct address *address_free(struct address *address);
AUTO_DEFINE(address)

/* A bridge device without ports, up. */
int address_bridge_make(struct address *address, const char *name, struct err *err) must_use;
/* An xfrm interface for one peer (1 <= if_id), up. Outcome 1: the name is there with another if_id.
 */
int address_tunnel_make(struct address *address, const char *name, const char *wan, uint32_t if_id,
        struct err *err) must_use;
int address_link_remove(struct address *address, const char *name, struct err *err) must_use;

/* Addresses of an interface, each alone (/32, /128). */
int address_add(
        struct address *address, const char *interface, struct ip ip, struct err *err) must_use;
int address_remove(
        struct address *address, const char *interface, struct ip ip, struct err *err) must_use;
/* Writes up to `room` addresses; `ret_count` is how many there are. */
int address_list(struct address *address, const char *interface, struct ip *out, size_t room,
        size_t *ret_count, struct err *err) must_use;
/* Makes the interface hold exactly these addresses. */
int address_set(struct address *address, const char *interface, const struct ip *ips, size_t count,
        struct err *err) must_use;
/* The first global address of this family of an interface. Outcome 1: it has none, or there is no
 * such interface. */
int address_find(struct address *address, const char *interface, enum ip_family family,
        struct ip *ret_ip, struct err *err) must_use;

int address_blackhole_add(
        struct address *address, struct ip prefix, unsigned bits, struct err *err) must_use;
/* A route to one service address through a peer's xfrm interface. */
int address_route_add(
        struct address *address, struct ip ip, const char *interface, struct err *err) must_use;
int address_route_remove(
        struct address *address, struct ip ip, const char *interface, struct err *err) must_use;

/* Writes the settings below /proc/sys that the filter relies on: no pick-up of unknown TCP flows,
 * flow counters and times, conntrack events, forwarding, loose reverse path check on the tunnel
 * side. A setting that cannot be written is a fault; without IPv6 or bridge filtering in the kernel
 * their settings are none. `wan` still hears router advertisements, which a kernel that forwards
 * IPv6 does not by itself. */
int address_settings_apply(const char *wan, struct err *err) must_use;
