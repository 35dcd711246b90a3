/*
 * A whole system in one process: one center, ten gateways, and everything between and below them
 * made of values. The two machines are the daemons' own code; network, clocks, charon, packet
 * filter, journal and database are stand-ins that do what the real ones do, and fail as they do.
 *
 * All that happens is an event in one queue, ordered by time and then by the order of its making;
 * all chance comes from one generator seeded by the run's number. So a seed is a whole run, and
 * the same seed is the same run.
 *
 * Files: world (queue, chance, clocks, network), site (names, addresses, policies), charon, box (a
 * gateway: process, packet filter, journal), head (the center and its database), hostile (a
 * center gone bad), watch (the promises), script (what goes wrong when), main (the command line).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "center/connection.h"
#include "gateway/tunnel.h"
#include "model/approval.h"

#define BOXES 10
/* a to e of each site; nothing is allowed with c. From e to d goes what needs more than a standing
 * rule: see site.c. */
#define HOSTS 5
#define SEC USEC_PER_SEC
#define MSEC USEC_PER_MSEC
#define CEILING_SEC 7200
#define SA_MAX 64
#define CONF_MAX BOXES
#define ELEMENTS_MAX 128

struct world;
struct event;

typedef void event_run(struct world *world, struct event *event);

struct event {
	int64_t at;
	uint64_t order;
	event_run *run;
	int box;              /* or -1 */
	unsigned incarnation; /* of the process it is for; 0: whichever is there */
	uint32_t a;
	bool flag;
	char name[64];
	char other[TUNNEL_CHILD_NAME_BYTES_MAX + 1];
	struct message *message; /* owned */
};

enum message_type {
	MESSAGE_PING,  /* gateway to center: a keepalive; flag: a new stream */
	MESSAGE_HELLO, /* center to gateway: epoch */
	MESSAGE_GRANT,
	MESSAGE_GO,
	MESSAGE_LEASE,
	MESSAGE_CUT,
	MESSAGE_REPORT,
};

struct message {
	enum message_type type;
	int box;
	bool to_center, flag;
	uint64_t epoch;
	struct id id;
	enum tunnel_report report;
	char *sealed, *approval; /* owned; the latter may be NULL */
	/* Beside a grant: the peer's certificate, which here is its serial. */
	char certificate[SERIAL_TEXT_BYTES_MAX + 1];
};

struct prng {
	uint64_t state;
};

struct clock_sim {
	int64_t wall_offset; /* wall = time * rate + offset */
	int64_t start;       /* of the monotonic clock, in time */
	int32_t drift_ppm;
};

/* How a link behaves, per thousand messages and in microseconds. */
struct link {
	bool down_to_center, down_to_box;
	int loss, twice;
	int64_t delay_min, delay_max;
};

struct conf {
	char peer[64], certificate[SERIAL_TEXT_BYTES_MAX + 1];
	struct tunnel_child children[32];
	size_t child_count;
};

struct sa {
	char peer[64], child[TUNNEL_CHILD_NAME_BYTES_MAX + 1];
	struct address local, remote;
};

struct charon_sim {
	bool alive, hung;
	unsigned incarnation;
	struct conf confs[CONF_MAX];
	size_t conf_count;
	struct sa sas[SA_MAX];
	size_t sa_count;
	struct {
		char child[TUNNEL_CHILD_NAME_BYTES_MAX + 1];
		int64_t last_up; /* time at which the SA was last there */
	} seen[256];
	size_t seen_count;
	int64_t event_at; /* the socket keeps the order of events */
	int event_loss;
};

struct element {
	struct nft_lease lease;
	int64_t expires; /* monotonic of its gateway */
	struct id id;    /* the watcher's, "" when others put it there */
	uint64_t packets;
	int64_t used; /* monotonic: when it was opened, or something passed */
};

struct filter_sim {
	bool table;
	struct element elements[ELEMENTS_MAX];
	size_t count;
	uint32_t flows[ELEMENTS_MAX];
	size_t flow_count;
	int open_failure; /* per thousand */
};

/* What the watcher knows of a grant that a gateway accepted. */
struct accepted {
	struct grant grant;
	struct nft_lease lease;
	char child[TUNNEL_CHILD_NAME_BYTES_MAX + 1];
	int64_t end;       /* monotonic */
	int64_t lease_end; /* monotonic; of the element */
	bool ended;        /* its end is in the journal */
	int openings, opens, renewals, renews;
};

struct entry {
	uint8_t *bytes;
	size_t count;
};

struct box {
	struct world *world;
	int number;
	char gateway[32], site[32], identity[96], serial[16], boot[16];
	unsigned boots, serials;
	struct clock_sim clock;
	struct link link;
	struct charon_sim charon;
	struct filter_sim filter;
	struct entry *journal;
	size_t journal_count, journal_room;
	struct accepted *accepted;
	size_t accepted_count, accepted_room;
	struct id *cut; /* ids whose cut reached the process */
	size_t cut_count, cut_room;
	uint64_t epoch_recorded;
	struct tunnel_machine *machine; /* NULL: the process is down */
	unsigned incarnation;
	int64_t heard;   /* time of the last word from the center */
	int64_t linked;  /* time at which this process last heard of the center, or 0 */
	int64_t started; /* monotonic; of the process */
	bool broken;     /* the stream: the next ping begins a new one */
	/* On disk. */
	int site_policy, provider_policy; /* variant */
	unsigned revoked_below[BOXES];    /* serial counts that are revoked, by gateway */
	bool provider_accredited, service_ca_accredited, second_key;
	int crash; /* per thousand actions */
};

struct ledger_grant {
	struct grant grant;
	char *sealed; /* owned; NULL before it was first sent */
	bool honest, committed, going, closing, finished;
	int openings;
};

/* A work order, and what was signed of it. The watcher's truth: `good` says whether the approver of
 * the site really agreed to it. */
struct work {
	struct id id;
	int site;
	bool good;
	int64_t not_before, not_after;
	char *sealed; /* owned; NULL: nobody signed */
};

struct head {
	struct clock_sim clock;
	struct connection_machine *machine; /* NULL: down */
	unsigned incarnation;
	uint64_t epoch;
	struct connection_row *rows;
	size_t row_count, row_room;
	uint32_t number_highest;
	size_t ledger_count;
	bool online[BOXES];
	int64_t heard[BOXES];
	int site_policy[BOXES], provider_policy;
	unsigned revoked_below[BOXES];
	bool provider_accredited;
	int crash;
	uint64_t ids;
	struct id answer_id;
	enum connection_answer answer;
};

struct world {
	struct prng prng;
	uint64_t seed;
	bool verbose;
	int64_t now;
	uint64_t order, events;
	struct event *heap;
	size_t heap_count, heap_room;
	struct head head;
	struct box boxes[BOXES];
	bool path_down[BOXES][BOXES];
	struct ledger_grant *grants;
	size_t grant_count, grant_room;
	char **old_leases; /* sealed leases that were sent: for replays */
	size_t old_lease_count, old_lease_room;
	struct work *works;
	size_t work_count, work_room;
	bool hostile, calm;                /* calm: no more faults, the end of the run */
	int opened, refused, cut, crashed; /* what the run saw */
	char failure[512];
};

/* --- world.c ------------------------------------------------------------- */

uint64_t chance(struct world *world, uint64_t below); /* 0 to below - 1 */
bool chance_of(struct world *world, int per_thousand);
int64_t chance_time(struct world *world, int64_t least, int64_t most);

/* The clocks of a box, or (-1) of the center. */
struct moment world_moment(const struct world *world, int box);

struct event *world_at(struct world *world, int64_t at, event_run *run, int box);
void world_run(struct world *world, int64_t until);
void world_send(struct world *world, const struct message *message);
/* The certificate that comes with the grant to `gateway`: its peer's. */
void message_certificate(struct message *message, const struct grant *grant, const char *gateway);
void world_say(const struct world *world, const char *format, ...) printf_like(2, 3);
/* Notes the first failure; the run stops. */
void world_fail(struct world *world, const char *format, ...) printf_like(2, 3);
struct id world_id(struct world *world, int64_t wall_usec);
void world_start(struct world *world, uint64_t seed);
void world_clear(struct world *world);

/* --- site.c -------------------------------------------------------------- */

#define POLICY_VARIANTS 3   /* of a site: full, narrow, none of the odd sites */
#define PROVIDER_VARIANTS 2 /* everybody together; without site 0 */

void site_load(void);
void site_unload(void);
const struct site_policy *site_policy_of(int site, int variant);
const struct provider_policy *site_provider_policy(int variant);
/* What is asked for from a host e to a host d. */
enum site_kind { KIND_WORK, KIND_EMERGENCY, KIND_ASP, KIND_MAIL, KIND_OUTAGE, KIND_COUNT };
enum service_class site_kind_class(enum site_kind kind);
uint16_t site_kind_port(enum site_kind kind, int which); /* two of asp, else one */
/* What a variant of every site's policy says. */
bool site_has_approver(int variant);
bool site_survives(int variant);
#define SITE_APPROVER_KEY(site) (10 + (site))
#define SITE_IDLE_SEC 40

struct address site_service(int site, int host);
struct address site_real(int host);
const char *site_host_name(int host);
int site_number(const char *name); /* -1: none */
bool site_behind_nat(int site);
void site_fill_end(const struct box *box, int host, struct grant_end *ret_end);

/* A seal's stand-in: key number and a hash over the key's secret. Key 1 and 2 are the provider's
 * grant keys, 3 is nobody's. Owned text. */
char *seal_make(int key, const char *typ, const struct buf *payload);
/* Outcome 1: not by this key, or not of this type. */
int seal_check(int key, const char *typ, const char *sealed, struct buf *payload);

/* --- charon.c ------------------------------------------------------------ */

void charon_load(struct box *box, const struct tunnel_peer *peer, uint32_t tag);
void charon_initiate(struct box *box, const char *peer, const char *child, uint32_t tag);
void charon_terminate(struct box *box, const char *peer, const char *child); /* "": the peer */
void charon_unload(struct box *box, const char *peer);
void charon_kill(struct box *box);
void charon_start(struct box *box);
void charon_hang(struct box *box, int64_t how_long);
bool charon_has(const struct box *box, const char *child);
/* When the SA was last there, or -1. */
int64_t charon_last_up(const struct box *box, const char *child);
/* An SA goes away by itself. */
void charon_lose_one(struct box *box);

/* --- box.c --------------------------------------------------------------- */

void box_prepare(struct world *world, int number);
void box_clear(struct box *box);
void box_start(struct box *box);
void box_crash(struct box *box); /* the process; kernel and charon go on */
void box_reboot(struct box *box);
void box_deliver(struct box *box, const struct message *message);
/* Hands a grant to the machine. */
void box_grant(struct box *box, const struct message *message, struct tunnel_actions *actions);
/* Carries a list out and what follows from it; empties it. */
void box_carry_out(struct box *box, struct tunnel_actions *actions);
void box_reconcile(struct box *box);
void box_flush(struct box *box);
void box_policy(struct box *box);
void box_trust(struct box *box);
struct element *box_element(struct box *box, const struct nft_lease *lease);
struct accepted *box_accepted(struct box *box, const char *id);
void event_box_policy(struct world *world, struct event *event);
void event_box_trust(struct world *world, struct event *event);

/* --- head.c -------------------------------------------------------------- */

void head_prepare(struct world *world);
void head_clear(struct head *head);
void head_start(struct world *world);
void head_crash(struct world *world);
void head_deliver(struct world *world, const struct message *message);
void head_ask(struct world *world, int from, int to, int host, bool other_class);
void head_ask_more(struct world *world, int from, int to, enum site_kind kind);
/* A work order for this grant-to-be; `how` 0: approved, 1: nobody signed, 2: signed for another
 * work order, 3: by a key of nobody, 4: for another person. */
struct work *head_work(struct world *world, int from, int to, int how);
struct work *head_work_find(struct world *world, const char *id); /* or NULL */
void head_cut_any(struct world *world);
void head_review(struct world *world);
void head_raise_epoch(struct world *world);
struct ledger_grant *head_grant(struct world *world, const char *id);
struct ledger_grant *head_note(struct world *world, const struct grant *grant, bool honest);

/* --- hostile.c ----------------------------------------------------------- */

void hostile_step(struct world *world);

/* --- watch.c ------------------------------------------------------------- */

void watch_record(struct box *box, const struct tunnel_action *action);
void watch_open(struct box *box, const struct tunnel_action *action);
void watch_renew(struct box *box, const struct tunnel_action *action);
void watch_terminate(struct box *box, const char *peer, const char *child);
void watch_cut(struct box *box, const char *id);
void watch_box(struct box *box);
/* After a reconcile: nothing unknown may be left. */
void watch_known(struct box *box);
/* The promises of the end: everything agrees, and a connection can be made. */
void watch_converged(struct world *world);

/* --- script.c ------------------------------------------------------------ */

/* One whole run. 0: all promises held; 1: world.failure says what did not. */
int script_run(struct world *world, uint64_t seed);
