/*
 * The tunnel machine: every connection of one gateway, as a pure state machine. It lives in the
 * priv process, which is its shell: each input is one call with the time, each call appends to a
 * list of actions, and the shell carries the list out strictly in its order. No file, socket or
 * clock is touched here, so the same code runs in the daemon and in tests/sim.
 *
 * It trusts nobody but the seals: not the center, not the agent. What it promises (DESIGN.md 2):
 *   1  a lease element is in the packet filter only for a grant that was accepted, has not ended,
 *      and whose CHILD SA was up when the element was opened;
 *   2  a grant is accepted only if the own site's active policy permits it (protocol.md 1.3), with
 *      the signature of one of its approvers where it wants one (1.5), and beside nothing at the
 * own hosts that excludes it (2.4); it lives no longer than all of this holds; 3  a closed id never
 * opens again, and nothing outlives its lease or its grant's end, whatever the wall clock does
 * (both are counted on the monotonic clock once accepted); a lease is renewed without the center
 * only in an outage that grant and own policy survive; 4  each effect comes after its
 * TUNNEL_RECORD, which must be durable before the next action: the filter opens only when
 * grant.accepted and connection.opening are on disk. What opens nothing (the report "armed") stands
 * before its record and overlaps with it; 7  every input that is refused leaves a record with its
 * reason, and nothing else.
 *
 * The shell's part of the contract:
 *   - carry out actions in order. TUNNEL_RECORD: stop here until it is on disk (several in a row
 *     may share one sync). TUNNEL_LEASE_CLOSE and TUNNEL_FLOWS_FORGET need not wait for it, and are
 *     done also when it failed: closing waits for no slow and no full disk. TUNNEL_PEER_LOAD and
 *     TUNNEL_CHILD_INITIATE need not wait either, for they open nothing; but they come behind what
 *     was written, and their result is told only when it is on disk. Else, if it failed, do nothing
 *     that follows and end the process;
 *   - TUNNEL_LEASE_OPEN: afterwards call tunnel_opened() with what the packet filter said;
 *     TUNNEL_PEER_LOAD: tunnel_loaded(); TUNNEL_CHILD_INITIATE: tunnel_initiated(). They
 *     come after the whole list was carried out, never from inside;
 *   - a lease element that could not be closed is an error of the shell: load the empty table;
 *   - call tunnel_tick() at least once a second, and not later than tunnel_next();
 *   - call tunnel_reconcile() once after the start, at least every 10 s, after the packet filter's
 *     table came back and after charon came back.
 *
 * Order at the start: tunnel_machine_new(), tunnel_recall() for every record of the journal, oldest
 * first, tunnel_policy_set() and trust as they are on disk, tunnel_charon(), tunnel_filter(),
 * tunnel_start(), then tunnel_reconcile(). Nothing but tunnel_recall() may come before
 * tunnel_policy_set().
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "model/grant.h"
#include "policy/provider_policy.h"
#include "policy/site_policy.h"
#include "wire/nft.h"

struct tunnel_machine;

/* Ids remembered against replay; an id is forgotten once the center's own signed time is past its
 * grant's end. More: new grants are refused. */
#define TUNNEL_IDS_MAX 65536
#define TUNNEL_CHILD_NAME_BYTES_MAX 68 /* "c" and two IPv6 addresses in hex */
#define TUNNEL_REASON_BYTES_MAX 200
#define TUNNEL_SPKI_BYTES_MAX 127

/* How seals and certificates are judged: by src/pki in the daemon, by a stand-in in tests/sim. */
struct tunnel_trust {
	void *context;
	/* Opens `sealed` of type `typ` ("sekisho-grant", "sekisho-lease") with the keys that have
	 * the use grant in the current accreditation of `provider`, at `wall_usec`. The payload is
	 * added to `payload`. Outcome 1: refused; err says why in a few words. */
	int (*seal_open)(void *context, const char *provider, const char *typ, const char *sealed,
	        size_t count, int64_t wall_usec, struct buf *payload, struct err *err);
	/* Whether the connection may exist as far as certificates and accreditations go: provider
	 * and service CA accredited now, the own and the peer's service certificate (by serial) not
	 * revoked. Outcome 1: no; err says why. */
	int (*grant_check)(
	        void *context, const struct grant *grant, int64_t wall_usec, struct err *err);
	/* Whether `der` is the certificate that a new grant names for its `peer`: of this serial
	 * and identity, issued by our own issuer, good at `wall_usec` and not revoked. Outcome 1:
	 * no; err says why. */
	int (*peer_check)(void *context, const struct grant_end *peer, const uint8_t *der,
	        size_t count, int64_t wall_usec, struct err *err);
	/* Opens an approval with the keys of the approvers that `site` lists. The payload is added
	 * to `payload`; `*ret_approver`, borrowed from `site`, is whose key it was. Outcome 1: by
	 * none of them; err says why in a few words. */
	int (*approval_open)(void *context, const struct site_policy *site, const char *sealed,
	        struct buf *payload, struct policy_approver *ret_approver, struct err *err);
};

/* Texts are borrowed and live as long as the machine. */
struct tunnel_config {
	const char *provider, *site, *gateway;
	const char *identity; /* of the own service certificate */
	const char *serial;   /* the same, lower-case hex */
	/* the kernel's boot id: the monotonic clock and all elements end with it */
	const char *boot;
	int64_t grant_sec_max; /* the owner's ceiling, at most GRANT_SEC_MAX */
	struct tunnel_trust trust;
};

enum tunnel_action_type {
	TUNNEL_RECORD,          /* record: append to the journal, durable before going on */
	TUNNEL_PEER_LOAD,       /* peer, tag: load the connection with exactly these children */
	TUNNEL_CHILD_INITIATE,  /* id, peer_name, child, tag */
	TUNNEL_LEASE_OPEN,      /* id, lease, ttl_msec */
	TUNNEL_LEASE_RENEW,     /* id, lease, ttl_msec: from now */
	TUNNEL_LEASE_CLOSE,     /* lease */
	TUNNEL_FLOWS_FORGET,    /* lease.mark: conntrack entries */
	TUNNEL_CHILD_TERMINATE, /* peer_name, child */
	TUNNEL_PEER_TERMINATE,  /* peer_name: the IKE SA with all children */
	TUNNEL_PEER_UNLOAD,     /* peer_name */
	TUNNEL_REPORT,          /* report, id, reason: to the center, through the agent */
};

enum tunnel_report {
	TUNNEL_REPORT_REFUSED,
	TUNNEL_REPORT_ARMED,
	TUNNEL_REPORT_UP,
	TUNNEL_REPORT_CLOSED
};
const char *tunnel_report_name(enum tunnel_report report); /* as in the device interface */

struct tunnel_child {
	/* One for each pair of hosts; unique in the gateway. */
	char name[TUNNEL_CHILD_NAME_BYTES_MAX + 1];
	struct address local, remote; /* service addresses */
};

/* One peer gateway, with everything that is to be loaded for it. */
struct tunnel_peer {
	char name[NAME_BYTES_MAX + 1]; /* the peer gateway's name */
	char identity[IDENTITY_BYTES_MAX + 1];
	/* The one certificate that it may come with; none (0 bytes): nobody may. */
	uint8_t certificate[SERVICE_CERT_DER_BYTES_MAX];
	size_t certificate_bytes;
	struct address address; /* ADDRESS_NONE: behind NAT, it starts IKE */
	struct tunnel_child *children;
	size_t child_count;
};

struct tunnel_action {
	enum tunnel_action_type type;
	struct id id;             /* the grant's, or "" */
	const char *kind;         /* record: a kind of audit/record.h; static */
	struct buf record;        /* its bytes as they go into the journal; owned by the list */
	struct tunnel_peer *peer; /* owned by the list */
	char peer_name[NAME_BYTES_MAX + 1];
	char child[TUNNEL_CHILD_NAME_BYTES_MAX + 1];
	uint32_t tag; /* to be handed back with the result */
	struct nft_lease lease;
	uint32_t ttl_msec; /* 1 to LEASE_SEC_MAX s */
	enum tunnel_report report;
	bool local;    /* report closed: a person at this gateway ended it */
	bool may_wait; /* report: nobody waits for it, it may go together with the next one */
	char reason[TUNNEL_REASON_BYTES_MAX];
};

/* Owned by the caller; every call appends. */
struct tunnel_actions {
	struct tunnel_action *items;
	size_t count, room;
};

/* Empties the list and keeps its memory; frees all. */
void tunnel_actions_reset(struct tunnel_actions *actions);
void tunnel_actions_clear(struct tunnel_actions *actions);

struct tunnel_machine *tunnel_machine_new(const struct tunnel_config *config);
struct tunnel_machine *tunnel_machine_free(struct tunnel_machine *machine);
AUTO_DEFINE(tunnel_machine)

/* A new service certificate: later grants have to name it. Borrowed as in tunnel_config. */
void tunnel_certificate_set(
        struct tunnel_machine *machine, const char *identity, const char *serial);

/* --- start --------------------------------------------------------------- */

/* One record of the own journal, as it was given with TUNNEL_RECORD. Records of others' kinds are
 * passed over. Outcome 1: a kind that this machine writes, but it cannot be read; err says what:
 * the journal is not ours or is damaged, do not start. */
int tunnel_recall(
        struct tunnel_machine *machine, const void *record, size_t count, struct err *err) must_use;

/* After the recall: connections of an earlier boot are closed; those of this boot wait for
 * tunnel_reconcile(). */
void tunnel_start(
        struct tunnel_machine *machine, struct moment now, struct tunnel_actions *actions);

/* --- from the center, through the agent ---------------------------------- */

/* A grant as it comes: sealed, and beside it the service certificate of the peer, which the grant
 * names by its serial. */
struct tunnel_offer {
	const char *sealed;
	size_t sealed_bytes;
	const uint8_t *certificate; /* DER */
	size_t certificate_bytes;
	const char *const *approvals; /* sealed, of the grant's work order; borrowed */
	size_t approval_count;        /* only looked at where the own site's rule wants one */
};

/* Idempotent: the same grant again makes the same reports again. */
void tunnel_grant(struct tunnel_machine *machine, const struct tunnel_offer *offer,
        struct moment now, struct tunnel_actions *actions);
void tunnel_go(struct tunnel_machine *machine, const char *id, struct moment now,
        struct tunnel_actions *actions);
void tunnel_lease(struct tunnel_machine *machine, const char *sealed, size_t count,
        struct moment now, struct tunnel_actions *actions);
/* The epoch of `hello`: grants of an older one are closed. A lower one than seen before is only
 * recorded. */
void tunnel_epoch(struct tunnel_machine *machine, uint64_t epoch, struct moment now,
        struct tunnel_actions *actions);

/* From the center or from the local socket; `by` is who ("center", "local", a name). An unknown id
 * is remembered, so that its grant, should it come late, stays shut. */
void tunnel_cut(struct tunnel_machine *machine, const char *id, const char *by, const char *reason,
        struct moment now, struct tunnel_actions *actions);
void tunnel_cut_all(struct tunnel_machine *machine, const char *by, const char *reason,
        struct moment now, struct tunnel_actions *actions);

/* The stream to the center: `up` each time anything was heard over it, a heartbeat at least. It
 * counts as down when it is said to be, before it was first up, and when nothing was heard for
 * TUNNEL_LINK_QUIET_SEC. While it is down, the leases of what survives an outage are renewed here,
 * until the grant ends (protocol.md 1.4). A lease shorter than that may end before it is noticed.
 */
#define TUNNEL_LINK_QUIET_SEC 15
void tunnel_link(
        struct tunnel_machine *machine, bool up, struct moment now, struct tunnel_actions *actions);

/* --- own site ------------------------------------------------------------ */

/* The active policies, borrowed until the next call; NULL for none, which permits nothing. Live
 * connections that they do not permit are closed. */
void tunnel_policy_set(struct tunnel_machine *machine, const struct provider_policy *provider,
        const struct site_policy *site, struct moment now, struct tunnel_actions *actions);
/* Statements, CRLs or issuers changed: every live connection is judged again. */
void tunnel_trust_changed(
        struct tunnel_machine *machine, struct moment now, struct tunnel_actions *actions);

/* --- from charon --------------------------------------------------------- */

/* charon answers (or not). After it came back everything is loaded again. */
void tunnel_charon(struct tunnel_machine *machine, bool alive, struct moment now,
        struct tunnel_actions *actions);
/* Result of TUNNEL_PEER_LOAD and TUNNEL_CHILD_INITIATE; `text` is charon's reason. */
void tunnel_loaded(struct tunnel_machine *machine, uint32_t tag, bool ok, const char *text,
        struct moment now, struct tunnel_actions *actions);
void tunnel_initiated(struct tunnel_machine *machine, uint32_t tag, bool ok, const char *text,
        struct moment now, struct tunnel_actions *actions);
/* A CHILD SA went up or down. A rekeyed one did neither. */
void tunnel_child(struct tunnel_machine *machine, const char *peer, const char *child, bool up,
        struct moment now, struct tunnel_actions *actions);

/* --- from the packet filter ---------------------------------------------- */

/* Our table is there and loaded (or not). While not, no grant is accepted, nothing opened. */
void tunnel_filter(struct tunnel_machine *machine, bool ready, struct moment now,
        struct tunnel_actions *actions);
/* Result of TUNNEL_LEASE_OPEN. */
void tunnel_opened(struct tunnel_machine *machine, const char *id, bool ok, struct moment now,
        struct tunnel_actions *actions);

struct tunnel_found_element {
	struct nft_lease lease;
	uint32_t left_msec;
	/* Whether anything passed shows in either: the element's counter, which a renewal sets to
	 * 0, and the sum over the flows that are there now. */
	uint64_t packets, flow_packets;
};

struct tunnel_found_child {
	const char *peer;
	const char *child; /* "" for an IKE SA without one */
};

/* What is in the kernel and in charon now; a list that could not be got is NULL with its `known`
 * false. What belongs to no live grant is removed, what is missing is made again or closed. */
struct tunnel_found {
	const struct tunnel_found_element *elements;
	size_t element_count;
	bool elements_known;
	const struct tunnel_found_child *children;
	size_t child_count;
	bool children_known;
};

void tunnel_reconcile(struct tunnel_machine *machine, const struct tunnel_found *found,
        struct moment now, struct tunnel_actions *actions);

/* --- time and views ------------------------------------------------------ */

void tunnel_tick(struct tunnel_machine *machine, struct moment now, struct tunnel_actions *actions);
/* The monotonic time of the next thing to do; INT64_MAX when there is none. */
int64_t tunnel_next(const struct tunnel_machine *machine);

enum tunnel_state {
	TUNNEL_NONE, /* recalled, and not yet compared with the kernel */
	TUNNEL_LOADING,
	TUNNEL_ARMED,
	TUNNEL_OPENING,
	TUNNEL_UP,
};
const char *tunnel_state_name(enum tunnel_state state);

struct tunnel_view {
	const struct grant *grant; /* borrowed until the next input */
	enum tunnel_state state;
	struct nft_lease lease;
	bool emergency;
	const char *approver; /* whose approval it stands on; "" for none; borrowed likewise */
	/* Monotonic; lease_end_usec 0 before the first opening. */
	int64_t lease_end_usec, grant_end_usec;
};

/* Whether any connection has an idle limit: only then `flow_packets` are asked for. */
bool tunnel_wants_flows(const struct tunnel_machine *machine);

size_t tunnel_count(const struct tunnel_machine *machine);
/* `index` below tunnel_count(). */
struct tunnel_view tunnel_at(const struct tunnel_machine *machine, size_t index);
uint64_t tunnel_epoch_highest(const struct tunnel_machine *machine);
