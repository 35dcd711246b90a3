/* Sites, gateways and their certificates in memory, and the gateways' streams. */
#pragma once

#include "center/core.h"

/* Reads everything from the store. */
int registry_open(struct center *center, struct err *err) must_use;

/* NULL when there is none. Borrowed. */
struct gateway *registry_gateway(const struct center *center, const char *name);
struct site_entry *registry_site(const struct center *center, const char *name);
/* The two sites of a request, side by side, with the memory of their policies on its way; for who
 * has more to find out before: registry_sites_want() asks for the memory that this reads first. */
void registry_sites(
        const struct center *center, const char *const names[2], struct site_entry *ret_sites[2]);
void registry_sites_want(const struct center *center, const char *const names[2]);
/* By the SHA-256 of the device certificate. */
struct gateway *registry_device(const struct center *center, struct key_hash fingerprint);
/* The certificate of a gateway with this serial, or NULL. */
struct gateway_certificate *registry_certificate(struct gateway *gateway, const char *serial);

/* Take over what was just stored. */
struct site_entry *registry_take_site(struct center *center, const char *name);
struct gateway *registry_take_procedure(struct center *center, const struct store_procedure *row);
void registry_take_certificate(struct center *center, const struct store_certificate *row);

/* An event for one gateway (nothing happens when it is offline), or for all of them. */
void registry_event(
        struct center *center, const struct gateway *gateway, const char *name, json_t *data);
void registry_broadcast(struct center *center, const char *name, json_t *data);

/* The stream of a gateway begins, or is over. */
void registry_online(
        struct center *center, struct gateway *gateway, struct front_link *front, uint32_t stream);
void registry_offline(struct center *center, struct gateway *gateway, const char *why);
/* The streams of a front that is gone; or the one stream that left (tag not a stream: nothing). */
void registry_front_gone(struct center *center, struct front_link *front);
void registry_stream_gone(struct center *center, struct front_link *front, uint32_t stream);

/* How many gateways are online. */
size_t registry_online_count(const struct center *center);
/* The gateway's state as JSON; the caller owns it. */
json_t *registry_print(const struct gateway *gateway);
