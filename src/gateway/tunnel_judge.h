/*
 * Whether a gateway may accept a grant (protocol.md 1.3): the part that needs no state of the
 * tunnel machine but its configuration, its policies and the time. Pure.
 */
#pragma once

#include "gateway/tunnel.h"

/* What a grant is held against. */
struct tunnel_standing {
	const struct tunnel_config *config;
	const struct provider_policy *provider; /* NULL: none active */
	const struct site_policy *site;         /* NULL: none active */
	uint64_t epoch;                         /* the highest seen */
	int64_t issued_floor; /* the newest issued_at that was ever accepted: the center's own time
	                         was that late, so what ended before it has ended */
};

/* The side of `grant` that this gateway is: site, gateway, identity and serial are its own.
 * Outcome 1: it is neither. */
int tunnel_judge_side(const struct tunnel_config *config, const struct grant *grant,
        enum grant_side *ret_side, struct err *err) must_use;

/* A grant that is new: all conditions but those on ids, numbers and the data plane. On 0
 * `*ret_side` is the own side and `*ret_source` the source that its packets have in the filter: at
 * the initiator the host's real address, at the responder the remote service address. Outcome 1:
 * refused; err has the reason, a different one for each condition. */
int tunnel_judge_grant(const struct tunnel_standing *standing, const struct grant *grant,
        int64_t wall_usec, enum grant_side *ret_side, struct address *ret_source,
        struct err *err) must_use;

/* The element that lets the grant's packets pass, IPv4. */
struct nft_lease tunnel_judge_key(const struct grant *grant, struct address source);

/* What may change while a grant lives: policies and trust. Outcome 1: it has to end. */
int tunnel_judge_again(const struct tunnel_standing *standing, const struct grant *grant,
        int64_t wall_usec, struct err *err) must_use;
