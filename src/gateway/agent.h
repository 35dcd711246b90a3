/* Inside of process agent: the state that its files share. */
#pragma once

#include "gateway/process.h"
#include "gateway/traffic.h"
#include "loop/channel.h"
#include "loop/http_client.h"
#include "loop/loop.h"
#include "pki/cert.h"
#include "pki/token.h"
#include "pki/verify.h"

enum agent_state {
	AGENT_NO_TOKEN,   /* the token is not there, or its PIN is wrong */
	AGENT_NO_DEVICE,  /* the token holds no device certificate */
	AGENT_ENROLLING,  /* asking for a service certificate; perhaps waiting for a person */
	AGENT_CONNECTING, /* has a service certificate, no link to the center */
	AGENT_ONLINE,
};

#define AGENT_DEVICE_INFORMATION_BYTES_MAX 8192

struct agent {
	struct loop *loop;
	const struct gateway_config *config;
	enum dataplane dataplane;
	enum agent_state state;
	char state_text[ERR_TEXT_BYTES_MAX]; /* why, for a person */

	struct token *token;
	struct verifier *verifier; /* the center's TLS certificate against the pinned root */
	struct cert *root;

	/* service certificate and its key */
	struct token_key *service_key;
	struct cert *service;
	uint8_t service_id;
	struct cert *device;
	struct token_key *device_key;
	struct ssl_ctx_st *tls;

	/* enrolment */
	struct http_client *enrol;
	bool renewing;   /* what is asked for takes the place of a certificate that works */
	bool priv_told;  /* this priv has our certificate */
	bool token_said; /* the journal knows that the token is not there */
	uint8_t old_ids[TOKEN_SLOTS_MAX]; /* slots that the newest certificate made superfluous */
	size_t old_count;
	struct token_key *new_key;
	uint8_t new_id;
	struct loop_timer *token_timer; /* looks at the token, tries to enrol, renews */

	/* link to the center */
	struct http_client *stream, *calls;
	struct loop_timer *connect_timer;
	int64_t back_off_msec;
	int64_t opened_usec; /* when the stream was opened */
	int64_t called_usec; /* when a report or the journal was sent last */
	bool stopping;       /* ends as soon as the last reports are out */
	bool link_said;      /* the journal knows that the link is up */

	/* priv */
	struct channel *priv;
	struct loop_timer *priv_timer, *stop_timer;

	/* journal, on its way to the center */
	uint64_t journal_newest, journal_oldest, journal_sent;
	bool journal_busy;
	struct loop_timer *journal_timer;

	/* reports, gathered while one request is under way */
	struct buf reports;  /* JSON objects with commas between; kept until the center took them */
	size_t reports_sent; /* so many bytes of it are on their way; 0: none */
	struct loop_timer *report_timer;

	/* ledger: the newest checkpoint that was checked */
	char *checkpoint; /* signed note */
	uint64_t checkpoint_size;
	char *checkpoint_next; /* the one that is being checked */
	int64_t refused_usec;  /* since when refusals are counted */
	unsigned refused_count;
	char refused_why[ERR_TEXT_BYTES_MAX]; /* the newest that was recorded */
	uint8_t *verifier_keys; /* of the provider's checkpoints, from its accreditation */
	size_t verifier_key_count;

	/* first traffic: questions of priv's that wait for the center, by tag */
	struct asked {
		struct agent *agent;
		uint32_t tag; /* 0: none */
	} asked[TRAFFIC_OPEN_MAX];

	/* local socket */
	int local_fd;
	struct loop_fd *local_watch;
	struct local *locals;
};

/* --- agent.c --- */

void agent_state_set(struct agent *agent, enum agent_state state, const char *format, ...)
        printf_like(3, 4);
const char *agent_state_name(enum agent_state state);
/* Outcome 1: there is no priv, or it does not read; nothing was sent. */
int agent_send(
        struct agent *agent, uint16_t type, uint32_t tag, const struct buf *payload) must_use;
/* A record in the journal, kept by priv. */
void agent_note(struct agent *agent, const char *kind, const char *subject, const char *text);
/* A local cut. Outcome as agent_send(). */
int agent_cut(struct agent *agent, const char *id, const char *reason) must_use;

/* --- agent_enrol.c --- */

/* Looks what the token holds, enrols where a service certificate is missing or old, and starts the
 * link when there is one. Sets its own timer to come again. */
void agent_token_look(void *context);

/* --- agent_link.c --- */

/* Starts (again) to hold the stream. */
void agent_link_start(struct agent *agent);
void agent_link_stop(struct agent *agent);
void agent_report(struct agent *agent, const char *report, size_t count, bool may_wait);
void agent_journal_grew(struct agent *agent, uint64_t newest, uint64_t oldest);
/* Whether reports are still to be sent. */
bool agent_reports_wait(const struct agent *agent);
void agent_journal_take(struct agent *agent, const uint8_t *payload, size_t count);
void agent_link_new(struct agent *agent);
void agent_link_free(struct agent *agent);

/* --- agent_traffic.c --- */

/* priv asks for a connection that a first packet opens (MESSAGE_TRAFFIC). */
void agent_traffic_ask(struct agent *agent, uint32_t tag, const char *text, size_t count);
/* The link to the center is gone, and with it every answer that was awaited. */
void agent_traffic_lost(struct agent *agent, const char *why);

/* --- agent_ledger.c --- */

void agent_ledger_open(struct agent *agent);
/* The data of a `checkpoint` event. */
void agent_ledger_take(struct agent *agent, const char *data, size_t count);
/* The data of a `trust` event: whose checkpoints count. */
void agent_ledger_trust(struct agent *agent, const char *data, size_t count);

/* --- agent_local.c --- */

int agent_local_open(struct agent *agent, struct err *err) must_use;
void agent_local_close(struct agent *agent);
/* priv's answer to MESSAGE_STATUS. */
void agent_local_status(struct agent *agent, uint32_t tag, const char *text, size_t count);
/* The link to the center, or priv, is gone, and with it every answer that was awaited from there.
 */
void agent_local_lost(struct agent *agent, bool priv, const char *why);
