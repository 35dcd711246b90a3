/*
 * Talking to charon over VICI, without ever waiting for it.
 *
 * Every call that returns 0 ends in exactly one call of its `done`, at the latest at its deadline,
 * never from inside the call itself. Handlers may make calls but not charon_free(). Charon may hang
 * or die at any time: the filter does not depend on it (promise 3), and this client says so within
 * 5 s.
 *
 * One connection carries events and quick commands, one at a time. Commands that wait for a peer
 * (initiate, terminate) and lists run on connections of their own, CHARON_PARALLEL_MAX at a time,
 * so that a peer that does not answer delays nobody else. A third kind asks for charon's version
 * every CHARON_PING_MSEC: the watchdog.
 *
 *            connect ok, events registered, ping answered
 *     DOWN ───────────────────────────────────────────────▶ ALIVE
 *      ▲  ping unanswered for CHARON_PING_DEADLINE_MSEC, or closed  │
 *      └────────────────────────────────────────────────────┘
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/limits.h"
#include "loop/loop.h"
#include "wire/ip.h"

#define CHARON_PARALLEL_MAX 16
#define CHARON_QUEUE_COUNT_MAX 4096 /* calls waiting for their turn */
#define CHARON_COMMAND_DEADLINE_MSEC 5000
#define CHARON_PING_MSEC 1500
#define CHARON_PING_DEADLINE_MSEC 2500
#define CHARON_RETRY_MSEC 100

#define CHARON_TOKEN_MODULE "token" /* how charon_config names the PKCS#11 module */

#define CHARON_NAME_BYTES_MAX 127
#define CHARON_ADDRESS_BYTES_MAX 63

enum charon_outcome {
	CHARON_REFUSED, /* charon said no; the text says why */
	CHARON_OK,
	CHARON_TIMEOUT, /* no answer by the deadline; what charon did is not known */
	CHARON_GONE,    /* the connection broke while charon worked on it; not known either */
};

enum charon_event_type {
	CHARON_IKE_UP,
	CHARON_IKE_DOWN,
	CHARON_IKE_REKEYED,
	CHARON_CHILD_UP,
	CHARON_CHILD_DOWN,
	CHARON_CHILD_REKEYED,
};

/* One IKE SA and, unless child is "", one of its CHILD SAs. Texts are charon's; control characters
 * were refused. */
struct charon_sa {
	char peer[CHARON_NAME_BYTES_MAX + 1];  /* the connection's name */
	char child[CHARON_NAME_BYTES_MAX + 1]; /* the child's configured name */
	uint64_t ike_number, child_number;     /* charon's unique ids */
	char ike_state[24], child_state[24];   /* ESTABLISHED, INSTALLED, … */
	char local_address[CHARON_ADDRESS_BYTES_MAX + 1],
	        remote_address[CHARON_ADDRESS_BYTES_MAX + 1];
	char remote_id[CHARON_NAME_BYTES_MAX + 1];
	char local_selector[CHARON_ADDRESS_BYTES_MAX + 1],
	        remote_selector[CHARON_ADDRESS_BYTES_MAX + 1];
	bool initiator, encapsulated;
	uint32_t if_id;
	uint32_t spi_in, spi_out;
	uint64_t bytes_in, bytes_out, packets_in, packets_out;
	uint64_t established_sec; /* age of the IKE SA */
};

struct charon_peer {
	const char *name;                 /* name_valid(); the VICI connection, one per peer */
	const char *local_address;        /* text, or NULL for any */
	const char *remote_address;       /* text, or NULL for any (the peer then initiates) */
	const char *local_id, *remote_id; /* local_id: charon has its certificate and key */
	/* The one certificate that the peer may come with, DER: charon refuses every other one,
	 * also of the same identity and issuer, so that a revoked earlier one opens nothing. */
	const uint8_t *peer_certificate;
	size_t peer_certificate_bytes;
	uint32_t if_id;   /* of the peer's xfrm interface with kernel ESP, else 0 */
	bool encapsulate; /* force UDP encapsulation */
	const char *ike_proposal, *esp_proposal; /* NULL for the default; comma between several */
	const struct charon_child {
		const char *name;        /* unique among all peers' */
		struct ip local, remote; /* service addresses, each alone */
	} * children;
	size_t children_count;
};

/* The defaults: P-256 and X25519, AES-256-GCM. */
#define CHARON_IKE_PROPOSAL "aes256gcm16-prfsha256-ecp256,aes256gcm16-prfsha256-x25519"
#define CHARON_ESP_PROPOSAL "aes256gcm16"

struct charon;

/* `text`: "" when OK, charon's reason or ours otherwise; for charon_version() the version.
 * Borrowed. */
typedef void charon_done(void *context, enum charon_outcome outcome, const char *text);

struct charon_handlers {
	void (*event)(void *context, enum charon_event_type type, const struct charon_sa *sa);
	/* Every change of charon_alive(). After "alive" all of charon's state is to be loaded and
	 * listed anew: it may have been restarted. */
	void (*state)(void *context, bool alive, const char *why);
};

/* Connects as soon as `socket_path` is there, and again after every loss. */
int charon_new(struct loop *loop, const char *socket_path, const struct charon_handlers *handlers,
        void *context, struct charon **ret_charon) must_use;
/* Calls under way are forgotten; their `done` is not called. */
struct charon *charon_free(struct charon *charon);
AUTO_DEFINE(charon)

bool charon_alive(const struct charon *charon);

/* All calls: outcome 1: CHARON_QUEUE_COUNT_MAX wait already, or an argument cannot be sent (too
 * long); `done` is not called then. Arguments are copied. */
int charon_version(struct charon *charon, charon_done *done, void *context) must_use;
/* Makes charon use the private key `key_id` (CKA_ID in hex) of the token behind
 * CHARON_TOKEN_MODULE. The PIN is wiped from our memory once it was sent. `slot` -1: any. */
int charon_load_token(struct charon *charon, const char *key_id, const char *pin, int slot,
        charon_done *done, void *context) must_use;
/* Trusts a CA certificate. */
int charon_load_authority(struct charon *charon, const uint8_t *der, size_t der_bytes,
        charon_done *done, void *context) must_use;
/* Gives charon an own certificate; the key belongs to it that charon_load_token() named. It permits
 * nothing, so it is loaded ahead and not with every peer. */
int charon_load_certificate(struct charon *charon, const uint8_t *der, size_t der_bytes,
        charon_done *done, void *context) must_use;
/* Adds or replaces a peer with its children. Running SAs stay as they are. */
int charon_load_peer(struct charon *charon, const struct charon_peer *peer, charon_done *done,
        void *context) must_use;
/* Running SAs stay; terminate them. Refused when there is no such peer. */
int charon_unload_peer(
        struct charon *charon, const char *peer, charon_done *done, void *context) must_use;
int charon_initiate(struct charon *charon, const char *peer, const char *child, int timeout_msec,
        charon_done *done, void *context) must_use;
/* Ends one CHILD SA, or with `child` NULL the peer's IKE SA with all children, without waiting for
 * the peer to agree (force). Refused when there is none. */
int charon_terminate(struct charon *charon, const char *peer, const char *child, int timeout_msec,
        charon_done *done, void *context) must_use;
/* Calls `each` for every CHILD SA, and once for every IKE SA without one (child ""), then `done`.
 * What came before an outcome other than OK is incomplete. */
typedef void charon_each(void *context, const struct charon_sa *sa);
int charon_list(
        struct charon *charon, charon_each *each, charon_done *done, void *context) must_use;
/* Forgets cached certificates and CRLs, so that a revocation counts at once. */
int charon_flush_certificates(struct charon *charon, charon_done *done, void *context) must_use;
/* Forgets all loaded private keys, authorities and certificates. Peers stay. */
int charon_clear_credentials(struct charon *charon, charon_done *done, void *context) must_use;
