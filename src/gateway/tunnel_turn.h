/*
 * What the parts of the tunnel machine share; only tunnel*.c include it. tunnel.c has the picture
 * and the invariants.
 */
#pragma once

#include "audit/record.h"
#include "base/sim_bug.h"
#include "gateway/tunnel.h"
#include "gateway/tunnel_ids.h"
#include "gateway/tunnel_judge.h"

#define RETRY_USEC (1 * USEC_PER_SEC)          /* after a failed load, and after an SA went away */
#define INITIATE_RETRY_USEC (2 * USEC_PER_SEC) /* after charon could not reach the peer */
/* After charon said yes but no event came: more than the 10 s in which a reconcile finds the SA. */
#define INITIATE_QUIET_USEC (12 * USEC_PER_SEC)
#define RECALL_WAIT_USEC (5 * USEC_PER_SEC) /* for charon's list after our own restart */

struct tunnel {
	struct grant grant;
	enum grant_side side;
	enum tunnel_state state;
	struct nft_lease lease;
	struct tunnel_child child;
	uint8_t certificate[SERVICE_CERT_DER_BYTES_MAX]; /* the peer's, as it was checked */
	size_t certificate_bytes;
	bool child_up; /* charon's word, the same in all tunnels of one child */
	bool go;       /* the center's word */
	bool intended; /* its next opening is recorded */
	bool opened;   /* an element was, or may have been, in the filter */
	bool old_boot; /* recalled from before the machine was started anew */
	bool ended;    /* recalled: its closing is recorded, its end is not */
	bool found;    /* its element or SA was seen, within one reconcile */
	uint64_t lease_seq;
	uint32_t load_tag, initiate_tag;
	int64_t grant_end, lease_end, up_deadline; /* monotonic */
	int64_t retry_at;                          /* monotonic; of a load, initiate or open */
	char trouble[101];                         /* charon's last words about it */
	struct tunnel_terms terms;
	int64_t passed_at;              /* monotonic: when something was last seen to have passed */
	uint64_t packets, flow_packets; /* as they were seen last */
};

struct tunnel_machine {
	struct tunnel_config config;
	struct tunnel **items;
	size_t count, room;
	struct tunnel_ids ids;
	uint64_t epoch;
	int64_t issued_floor;
	const struct provider_policy *provider;
	const struct site_policy *site;
	bool charon, filter;
	bool compared; /* with the kernel, since the start */
	int64_t recall_deadline;
	uint32_t tag;
	bool link;          /* the stream to the center, as it was last told of */
	int64_t link_heard; /* monotonic */
};

/* One input: everything that a step needs. */
struct turn {
	struct tunnel_machine *machine;
	struct moment now;
	struct tunnel_actions *out;
};

/* --- looking ------------------------------------------------------------- */

int64_t turn_least(int64_t left, int64_t right);
const struct grant_end *turn_peer_end(const struct tunnel *tunnel);
const char *turn_peer_name(const struct tunnel *tunnel);
struct tunnel *turn_find(const struct tunnel_machine *machine, const char *id); /* or NULL */
bool turn_same_child(const struct tunnel *tunnel, const char *peer, const char *child);
/* The same packets, whatever the mark. */
bool turn_same_key(const struct nft_lease *left, const struct nft_lease *right);
bool turn_is_open(const struct tunnel *tunnel); /* OPENING or UP */
struct tunnel_child turn_child_of(const struct tunnel *tunnel);

/* --- actions ------------------------------------------------------------- */

struct tunnel_action *turn_push(struct turn *turn, enum tunnel_action_type type);
/* `by` NULL is this gateway. A record is adopted when it is pushed. */
struct record *turn_record_new(struct turn *turn, const char *kind, const char *id, const char *by);
void turn_record_push(struct turn *turn, const char *kind, const char *id, struct record *record);
void turn_record_reason(
        struct turn *turn, const char *kind, const char *id, const char *by, const char *reason);
void turn_report(struct turn *turn, enum tunnel_report report, const char *id, const char *reason);
/* Makes the reports that the tunnel's state stands for. */
void turn_report_again(struct turn *turn, const struct tunnel *tunnel);
/* A grant, lease or word that changes nothing but the journal (promise 7). */
void turn_refuse(struct turn *turn, const char *kind, const char *id, const char *reason);
void turn_push_lease(struct turn *turn, enum tunnel_action_type type, const struct tunnel *tunnel,
        int64_t ttl_usec);
/* Loads a peer with all children of its live tunnels. The newest grant says where it is reached and
 * which certificate it has. */
void turn_load_peer(struct turn *turn, const char *name);
/* Every peer, or each one that a tunnel is waiting for. */
void turn_load_peers(struct turn *turn, bool all);

/* --- transitions --------------------------------------------------------- */

void turn_leave_out(struct tunnel_machine *machine, struct tunnel *tunnel);
/* A new tunnel comes last; its id is used from now on. */
void turn_enter(struct tunnel_machine *machine, struct tunnel *tunnel);
/* LOADING ─▶ ARMED, and on if it can. */
void turn_arm(struct turn *turn, struct tunnel *tunnel);
/* If this gateway is the one that starts IKE. */
void turn_initiate(struct turn *turn, struct tunnel *tunnel);
/* ARMED ─▶ OPENING, when everything is there; else nothing. */
void turn_open(struct turn *turn, struct tunnel *tunnel);
/* OPENING, UP ─▶ `state`: the SA or the table is gone; the lease runs on. */
void turn_lose(
        struct turn *turn, struct tunnel *tunnel, enum tunnel_state state, const char *reason);
void turn_child_changed(struct turn *turn, struct tunnel *tunnel, bool up);
/* The lease runs for `ttl_usec` from now on. `by` NULL: the gateway itself, in an outage. */
void turn_renew(struct turn *turn, struct tunnel *tunnel, const char *by, int64_t ttl_usec);
/* Any state ─▶ gone, and frees it: filter, conntrack, SA. `kind` says how it ended. */
void turn_close(struct turn *turn, struct tunnel *tunnel, const char *kind, const char *by,
        const char *reason);
void turn_close_own(struct turn *turn, struct tunnel *tunnel, const char *reason);
void turn_raise_epoch(struct turn *turn, uint64_t epoch);
/* Ends an SA that no live grant names: the peer, or charon, has an old configuration. */
void turn_drop_stray(struct turn *turn, const char *peer, const char *child);
