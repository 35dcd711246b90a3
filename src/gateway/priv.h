/* Inside of process priv: the state that its three files share. */
#pragma once

#include "gateway/address.h"
#include "gateway/charon.h"
#include "gateway/firewall.h"
#include "gateway/journal.h"
#include "gateway/process.h"
#include "gateway/trust.h"
#include "gateway/tunnel.h"
#include "loop/channel.h"
#include "loop/loop.h"

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
	bool charon_loaded;             /* the token's key and the issuer are loaded */
	struct in_addr wan;

	int listen_fd;
	struct loop_fd *listen_watch;
	struct channel *agent; /* NULL while there is none */
	struct loop_timer *tick, *reconcile;
	bool reconciling, disk_said;
};

/* --- priv.c -------------------------------------------------------------------------------------- */

/* Tells agent; lost while there is none: the center asks again when the link is back. */
void priv_send(struct priv *priv, uint16_t type, uint32_t tag, const struct buf *payload);
/* Appends a record; a record that cannot be kept ends the process. */
void priv_record(struct priv *priv, const void *record, size_t count);
/* Records something that is not the tunnel machine's: "kind.verb", a subject, a text. */
void priv_note(struct priv *priv, const char *kind, const char *subject, const char *text);

/* --- priv_act.c ------------------------------------------------------------------------------------ */

/* Carries out `actions` in their order, then what follows from their results, and empties it. */
void priv_act(struct priv *priv, struct tunnel_actions *actions);
/* Lists elements and SAs and hands them to the machine. */
void priv_reconcile(struct priv *priv);
/* Makes bridge, addresses, maps and routes what the active policies say. */
void priv_apply_policy(struct priv *priv);

/* --- priv_event.c ---------------------------------------------------------------------------------- */

/* An event of the center's stream. */
void priv_event(struct priv *priv, const char *name, const char *data, size_t count);
