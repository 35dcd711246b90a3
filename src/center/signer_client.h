/*
 * Core's side of the signer: each function is one blocking call with a deadline. When the signer is
 * gone or does not answer, the connection to it is given up (which ends it, and main starts
 * another) and everything here is outcome SIGNER_AWAY at once until main hands over a new one.
 */
#pragma once

#include "audit/merkle.h"
#include "base/buf.h"
#include "base/mem.h"
#include "pki/crl.h"
#include "pki/key.h"
#include "pki/ocsp.h"

#define SIGNER_DEADLINE_MSEC 3000

struct signer_client;

enum signer_outcome {
	SIGNER_AWAY = 1,    /* no signer, or its token does not work; err says which */
	SIGNER_SAYS_NO = 2, /* it refuses this request; err has its words */
};

struct signer_client *signer_client_new(void);
struct signer_client *signer_client_free(struct signer_client *client);
/* Adopts a new connection. */
void signer_client_connect(struct signer_client *client, int fd);
bool signer_client_up(const struct signer_client *client);

/* `payload` is canonical JSON; the JWS is added to `out`. */
int signer_grant(struct signer_client *client, const struct buf *payload, struct buf *out,
        struct err *err) must_use;
/* The same in two halves: the token works while core does something else, but no other call here.
 * After outcome 0 of the first half the second one has to follow. */
int signer_grant_begin(
        struct signer_client *client, const struct buf *payload, struct err *err) must_use;
int signer_grant_end(struct signer_client *client, struct buf *out, struct err *err) must_use;
int signer_lease(struct signer_client *client, const struct buf *payload, struct buf *out,
        struct err *err) must_use;
int signer_checkpoint(struct signer_client *client, const struct merkle_head *head, struct buf *out,
        struct err *err) must_use;
int signer_certificate(struct signer_client *client, const struct buf *tbs,
        struct key_hash approved, struct buf *out, struct err *err) must_use;

/* A list is made of entries that are handed over in groups. */
int signer_crl_entry(struct signer_client *client, const struct crl_entry *entry, struct buf *group,
        struct err *err) must_use;
int signer_crl(struct signer_client *client, const struct buf *group, uint64_t number,
        int64_t this_update_usec, int64_t next_update_usec, struct buf *out,
        struct err *err) must_use;

/* `look_up` is asked for the state of the serials in the question. */
int signer_ocsp(struct signer_client *client, const uint8_t *question, size_t count,
        int64_t now_usec, int64_t next_update_usec, ocsp_lookup *look_up, void *context,
        struct buf *out, struct err *err) must_use;

int signer_ping(struct signer_client *client, struct err *err) must_use;
