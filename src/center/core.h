/*
 * What the core process holds. Every module of core is a part of this one structure and a file of
 * functions with its name in front; all of it runs on one loop, one request after the other.
 *
 * Effects wait for the record: whatever a module sends goes through core_send(), and while a
 * transaction is open it stays in the outbox until the transaction is committed, which happens when
 * the loop has nothing left of its round (so that requests that come together share one sync). A
 * fault of the database ends the process there and then: nothing in the outbox leaves it.
 */
#pragma once

#include "audit/merkle.h"
#include "audit/record.h"
#include "base/clock.h"
#include "center/config.h"
#include "center/connection.h"
#include "center/message.h"
#include "center/names.h"
#include "center/process.h"
#include "center/refusals.h"
#include "center/signer_client.h"
#include "loop/channel.h"
#include "loop/loop.h"
#include "pki/statement.h"
#include "pki/verify.h"
#include "store/store.h"
#include "wire/json.h"

#define FRONTS_MAX 64
#define GATEWAY_CERTIFICATES_MAX 4 /* of tier 2, alive at once: the one in use and renewals */
#define CHECKPOINT_DELAY_MSEC 500  /* at most 1 s after growth, signing included (L8) */
#define TIERS 3                    /* 0 is the root's list, 1 the device CA's, 2 the service CA's */

struct center;

struct front_link {
	struct center *center;
	struct channel *channel; /* NULL while the front is away */
	unsigned index;
};

struct outbox_item {
	struct front_link *front; /* NULL: to all fronts */
	uint16_t type;
	uint32_t tag;
	uint8_t *bytes;
	size_t count;
};

struct gateway_certificate {
	char serial[STORE_SERIAL_BYTES_MAX + 1];
	int64_t not_before_usec, not_after_usec, revoked_usec;
	uint64_t reason;
	struct key_hash fingerprint;
};

/* One gateway as it is registered and, if it is connected, its stream. */
struct gateway {
	char name[NAME_BYTES_MAX + 1];
	char site[NAME_BYTES_MAX + 1];
	char maker[NAME_BYTES_MAX + 1];
	uint64_t steps;
	struct gateway_certificate device; /* tier 1; serial "" when there is none */
	struct gateway_certificate service[GATEWAY_CERTIFICATES_MAX]; /* newest first */
	size_t service_count;

	struct front_link *front; /* of the stream; NULL: offline */
	uint32_t stream;
	char serial[STORE_SERIAL_BYTES_MAX + 1]; /* of the certificate the stream came with */
	struct address address;                  /* where peers reach it; none: behind NAT */
	bool ready;                              /* its data plane is */
	char version[32], dataplane[32];
	uint64_t journal, checkpoint, policy_version;
	int64_t since_usec;
	int64_t traffic_usec; /* since when first packets are counted; monotonic */
	unsigned traffic_count;
};

/* What a decision asks for first comes first. */
struct site_entry {
	struct site_policy *policy; /* NULL: none active */
	struct gateway *gateway;    /* the one access point; NULL: none yet */
	char name[NAME_BYTES_MAX + 1];
	char organization[NAME_BYTES_MAX + 1]; /* "" until it is registered */
	char *policy_text;                     /* the JWS */
};

struct center_counts {
	uint64_t requests, refusals, granted, denied, cuts, certificates, events;
};

/* Live connections beside one that is decided; the memory is kept. */
struct live_list {
	struct policy_live *items;
	size_t count, room;
};

struct center {
	const struct process_arguments *arguments;
	struct center_config config;
	struct loop *loop;
	struct store *store;
	struct signer_client *signer;
	struct front_link fronts[FRONTS_MAX];
	struct loop_fd *control;
	struct loop_timer *commit_timer, *checkpoint_timer, *tick_timer, *second_timer;
	struct center_counts counts;

	/* ledger.c */
	struct merkle_tree tree;
	uint64_t checkpoint_size;
	char *checkpoint_note;
	struct outbox_item *outbox;
	size_t outbox_count, outbox_room;

	/* trust.c */
	struct cert *root, *device_ca, *service_ca;
	struct verifier *verifier;
	struct statement_set *statements;
	struct names *statement_texts; /* "role/id" → char *JWS */
	struct crl *crls[TIERS];
	struct names *peers; /* certificates that were verified: hex fingerprint → struct peer */
	uint64_t trust_generation;

	/* registry.c */
	struct names *gateways, *sites;
	struct names *devices; /* hex fingerprint of tier 1 → gateway */
	struct names *streams; /* "front/tag" → gateway */

	/* policies.c */
	struct provider_policy *provider_policy;
	char *provider_policy_text;

	/* persons.c: name → struct person; who owns the work orders is told when rights end */
	struct names *persons;
	void (*on_person_ended)(struct center *center, const char *person, const char *reason);

	/* work_orders.c */
	struct work_machine *work;
	const struct work_order *work_trial; /* taken as begun while its begin is decided */

	/* mailbox.c */
	struct mailbox *mailbox;

	/* agreements.c */
	struct agreement_index *agreements;
	struct names *acknowledged; /* "organization site" → what was acknowledged */
	int64_t agreements_end;     /* when the next one ends; wall time */

	/* live.c */
	struct connection_world world;
	struct connection_machine *machine;
	struct connection_actions actions;
	char grant_id[ID_BYTES_MAX + 1]; /* the grant sealed last, sent twice in a row */
	char *grant_seal;
	bool sealing;             /* the signer works on the seal of grant_id */
	struct decision decision; /* of the newest answer */
	struct live_list beside[2];
	enum policy_factor factor; /* that the one who asks now has shown; zero: none */

	struct refusals *refusals;
	const char *actor_type, *actor_name; /* of the records made now */
	bool disk_low;
	bool signer_was_up; /* and main was not yet told that it is not */
	int signer_fd;      /* a signer that has not said yet that it is ready; -1: none */
	struct loop_fd *signer_watch;
	int64_t started_usec;
};

/* Ends the process when `r` is a fault: `what` could not be done, so nothing else may be. */
void core_must(int r, const char *what);

/* Sends to a front, or keeps it until the open transaction is committed. `front` NULL: to all. */
void core_send(struct center *center, struct front_link *front, enum message_type type,
        uint32_t tag, const void *bytes, size_t count);

/* Whether new grants can be given: signer there, room on disk. False: err says what is not. */
bool core_may_grant(const struct center *center, struct err *err);
