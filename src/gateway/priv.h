/* Inside of process priv: the state that its files share. */
#pragma once

#include "gateway/address.h"
#include "gateway/charon.h"
#include "gateway/firewall.h"
#include "gateway/journal.h"
#include "gateway/process.h"
#include "gateway/traffic.h"
#include "gateway/trust.h"
#include "gateway/tunnel.h"
#include "loop/channel.h"
#include "loop/loop.h"
#include "wire/json.h"

#define PRIV_PIN_BYTES_MAX 256

struct priv {
	struct loop *loop;
	const struct gateway_config *config;
	enum dataplane dataplane;
	char pin[PRIV_PIN_BYTES_MAX];
	char boot[64]; /* the kernel's boot id */

	struct trust *trust;
	struct journal *journal;
	struct address *address;
	struct firewall *firewall;
	struct charon *charon;
	struct tunnel_machine *machine; /* NULL until the own certificate is known */
	uint8_t token_key;              /* id of the service key in the token */
	bool charon_loaded;             /* the token's key and the certificates are loaded */
	bool charon_loading;
	struct key_hash authority; /* the service CA that charon was given, or zero */
	int64_t credentials_usec;  /* when charon was told last */
	int token_tries;           /* by charon that failed, since agent found the token */
	uint64_t child_events;     /* counted: a list of SAs made meanwhile is old */

	int listen_fd;
	struct loop_fd *listen_watch;
	struct channel *agent; /* NULL while there is none */
	struct loop_timer *tick, *reconcile;
	bool disk_said, token_said;
	/* priv_act.c: calls on charon that are not done; found: of a reconciliation */
	struct pending *pendings;
	struct found *found;
	uint64_t unrecorded; /* refusals that were not recorded for want of room */
	int64_t grant_usec;  /* when a grant was refused for want of room, and that recorded */
	int64_t judged_usec; /* when every connection was judged again */

	/* priv_traffic.c */
	struct traffic *traffic;
	struct loop_timer *traffic_timer; /* set while there is something to look for */
	struct traffic_host *traffic_hosts;
	size_t traffic_host_count;
};

/* --- priv.c --------------------------------------------------------------------------------------
 */

/* Tells agent; lost while there is none: the center asks again when the link is back. */
void priv_send(struct priv *priv, uint16_t type, uint32_t tag, const struct buf *payload);
/* Appends a record; a record that cannot be kept ends the process. */
void priv_record(struct priv *priv, const void *record, size_t count);
/* Records something that is not the tunnel machine's: who ("gateway" or "agent"), "kind.verb", a
 * subject, a text. */
void priv_note(struct priv *priv, const char *actor, const char *kind, const char *subject,
        const char *text);
/* False while the disk is nearly full for what a peer could repeat without end: refusals, flows and
 * the like are counted then, and the room is kept for what opens and shuts (F07). */
bool priv_record_wanted(struct priv *priv, const char *kind);
/* Gives charon the pinned root, the own certificate and the key in the token, once both it and the
 * own certificate are there. None of them permits a peer anything. */
void priv_credentials_load(struct priv *priv);
/* Gives charon the service CA, where it is another one than it has. */
void priv_authority_load(struct priv *priv);
/* Makes the tunnel machine; the own certificate is known. */
void priv_machine_start(struct priv *priv);

/* --- priv_agent.c --- */

int priv_agent_listen(struct priv *priv, struct err *err) must_use;
void priv_agent_close(struct priv *priv);
/* Tells agent how far the journal goes. */
void priv_newest_send(struct priv *priv);

/* --- priv_act.c --- */

/* Carries out `actions` in their order, then what follows from their results, and empties it. */
void priv_act(struct priv *priv, struct tunnel_actions *actions);
/* Forgets what charon was asked; after charon_free(). */
void priv_act_close(struct priv *priv);
/* Shuts every connection, also while there is no machine that knows them. */
void priv_shut(struct priv *priv, const char *by, const char *reason);
/* Lists elements and SAs and hands them to the machine. */
void priv_reconcile(struct priv *priv);
/* Makes bridge, addresses, maps and routes what the active policies say. */
void priv_apply_policy(struct priv *priv);

/* --- priv_traffic.c: first traffic (protocol.md 3.1) --- */

void priv_traffic_new(struct priv *priv);
void priv_traffic_free(struct priv *priv);
/* The policy is another one: whose first packets are to be looked at. */
void priv_traffic_apply(struct priv *priv);
/* agent's MESSAGE_TRAFFIC_ANSWER. Outcome 1: malformed. */
int priv_traffic_answer(struct priv *priv, uint32_t tag, struct cursor *cursor) must_use;
/* For `status`: what is asked for or held back; the caller owns it. */
json_t *priv_traffic_status(const struct priv *priv);

/* --- priv_event.c --- */

/* An event of the center's stream. */
void priv_event(struct priv *priv, const char *name, const char *data, size_t count);
