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
	/* What is live at this gateway besides the grant in question; borrowed. */
	const struct policy_live *live;
	size_t live_count;
};

/* The approval that a connection stands on. */
struct tunnel_approval {
	bool given;
	char approver[NAME_BYTES_MAX + 1];
	/* The approver's key as the policy had it: base64 of the SubjectPublicKeyInfo. Seals are
	 * of P-256, whose keys have 124 characters. */
	char spki[TUNNEL_SPKI_BYTES_MAX + 1];
	char digest[65];               /* SHA-256 of the sealed approval, hex */
	int64_t not_before, not_after; /* wall */
};

/* What the own site's word makes of a grant. */
struct tunnel_terms {
	struct tunnel_approval approval;
	uint32_t idle_sec; /* the least of grant and rule; 0: no limit */
	bool outage;       /* grant, rule and class survive an absent center */
	bool emergency;    /* an emergency rule counts */
};

/* What is judged. */
struct tunnel_case {
	const struct grant *grant;
	enum grant_side side;             /* the own one */
	const struct tunnel_offer *offer; /* NULL: accepted before */
};

struct tunnel_verdict {
	enum grant_side side;
	struct address source; /* that its packets have in the filter: at the initiator the host's
	                          real address, at the responder the remote service address */
	struct tunnel_terms terms;
};

/* The side of `grant` that this gateway is: site, gateway, identity and serial are its own.
 * Outcome 1: it is neither. */
int tunnel_judge_side(const struct tunnel_config *config, const struct grant *grant,
        enum grant_side *ret_side, struct err *err) must_use;

/* The own site's policy with its approvals and exclusions. An approval that is `given` in `terms`
 * is judged again, by the approvers of now; else one is looked for in the offer, if the rule wants
 * one. Outcome 1: not permitted; err says why, and which signature is missing. */
int tunnel_judge_policy(const struct tunnel_standing *standing, const struct tunnel_case *what,
        int64_t wall_usec, struct tunnel_terms *terms, struct err *err) must_use;

/* A grant that is new: all conditions but those on ids, numbers and the data plane. Outcome 1:
 * refused; err has the reason, a different one for each condition. */
int tunnel_judge_grant(const struct tunnel_standing *standing, const struct grant *grant,
        const struct tunnel_offer *offer, int64_t wall_usec, struct tunnel_verdict *ret_verdict,
        struct err *err) must_use;

/* The element that lets the grant's packets pass. */
struct nft_lease tunnel_judge_key(const struct grant *grant, struct address source);

/* What may change while a grant lives: policies, approvers and trust. `terms` are its own, and are
 * what holds from now on. Outcome 1: it has to end. */
int tunnel_judge_again(const struct tunnel_standing *standing, const struct grant *grant,
        int64_t wall_usec, struct tunnel_terms *terms, struct err *err) must_use;
