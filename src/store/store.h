/*
 * The center's memory: one SQLite file that only the core process opens.
 *
 * Everything the core decides is written in one transaction with its ledger leaf (promise 4). A
 * caller opens a transaction, makes its changes and commits; what it sends out waits for the
 * commit. A caller checks before it writes: there is no way back from a change but to end the
 * process.
 *
 * Rows are structs with names in fixed fields and longer values owned by the struct; a row is given
 * up with store_row_clear(). Lists call back once a row, in order of the key, after the given key
 * (cursor paging); a row is borrowed for that call; returning anything but 0 ends the list with
 * that result.
 *
 * Outcome 1 of every _get: there is no such row. Everything else that can go wrong is a fault, and
 * a fault in here ends the process: a database that cannot be trusted decides nothing (promise 7,
 * F06).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/merkle.h"
#include "base/buf.h"
#include "base/limits.h"
#include "base/str.h"

struct store;

#define STORE_SCHEMA_VERSION 2
#define STORE_HASH_BYTES 32
#define STORE_SERIAL_BYTES_MAX 40 /* 20 bytes in hex */
#define STORE_WORD_BYTES_MAX 31   /* states, kinds, classes of ours */
#define STORE_TEXT_BYTES_MAX 255  /* titles, lists of roles, serials of boxes */
#define STORE_REASON_BYTES_MAX 159

enum store_outcome {
	STORE_NEWER = 1,  /* the file was written by a newer program; nothing was changed */
	STORE_BEHIND = 2, /* older than a checkpoint this center has published (R3, F35) */
};

/* Opens or makes the database and brings its schema up to date. `checkpoint_path` is the file
 * outside the database that holds a copy of the newest published checkpoint; it must exist when the
 * database has one and must not be ahead of it. Outcomes above; err says what to do. */
int store_open(const char *path, const char *checkpoint_path, struct store **ret_store,
        struct err *err) must_use;
struct store *store_free(struct store *store);

int store_begin(struct store *store) must_use;
int store_commit(struct store *store) must_use;
int store_rollback(struct store *store) must_use;
bool store_in_transaction(const struct store *store);

/* A named number that starts at 0: epoch, connection numbers, CRL numbers. */
int store_counter_get(struct store *store, const char *name, uint64_t *ret_value) must_use;
int store_counter_put(struct store *store, const char *name, uint64_t value) must_use;

struct store_operator {
	char name[NAME_BYTES_MAX + 1];
	uint8_t token_hash[STORE_HASH_BYTES];
	char roles[STORE_TEXT_BYTES_MAX + 1]; /* separated by blanks */
	int64_t created_usec, expires_usec;
};

struct store_organization {
	char name[NAME_BYTES_MAX + 1];
	char kind[STORE_WORD_BYTES_MAX + 1];
	char title[STORE_TEXT_BYTES_MAX + 1];
	int64_t created_usec;
	char subcontractor_of[NAME_BYTES_MAX + 1]; /* or "" */
};

struct store_person {
	char name[NAME_BYTES_MAX + 1];
	uint8_t token_hash[STORE_HASH_BYTES];
	char organization[NAME_BYTES_MAX + 1];
	char title[STORE_TEXT_BYTES_MAX + 1];
	char roles[STORE_TEXT_BYTES_MAX + 1]; /* separated by blanks */
	char natural_person[PERSON_BYTES_MAX + 1];
	char mail[MAIL_ADDRESS_BYTES_MAX + 1];
	struct buf spki; /* the person's own key, or empty */
	struct buf totp; /* the secret of the one-time codes: never into a record, log or export */
	uint64_t totp_step;  /* of the newest code that was taken: each counts once */
	uint64_t wrong;      /* codes in a row */
	int64_t locked_usec; /* until then no code is taken */
	char state[STORE_WORD_BYTES_MAX + 1]; /* "active" or "left" */
	int64_t created_usec, left_usec;
	char left_reason[STORE_REASON_BYTES_MAX + 1];
	int64_t login_usec, confirmed_usec;
};

struct store_session {
	uint8_t token_hash[STORE_HASH_BYTES];
	char person[NAME_BYTES_MAX + 1];
	char factor[STORE_WORD_BYTES_MAX + 1];   /* the second one: "totp" or "certificate" */
	char address[STORE_WORD_BYTES_MAX + 32]; /* where the login came from */
	int64_t created_usec, expires_usec;
};

struct store_agreement {
	char name[NAME_BYTES_MAX + 1];
	char state[STORE_WORD_BYTES_MAX + 1]; /* "draft", "in-force" or "ended" */
	char party_a[NAME_BYTES_MAX + 1], party_b[NAME_BYTES_MAX + 1];
	char *text;                        /* canonical JSON */
	char signer_a[NAME_BYTES_MAX + 1]; /* "": not signed */
	int64_t signed_a_usec;
	char signer_b[NAME_BYTES_MAX + 1];
	int64_t signed_b_usec;
	char created_by[NAME_BYTES_MAX + 1];
	int64_t created_usec;
	char ended_by[NAME_BYTES_MAX + 1];
	char ended_reason[STORE_REASON_BYTES_MAX + 1];
	int64_t ended_usec;
	uint64_t leaf; /* of the newest record about it */
};

struct store_acknowledgement {
	char organization[NAME_BYTES_MAX + 1];
	char site[NAME_BYTES_MAX + 1];
	uint64_t version;
	char person[NAME_BYTES_MAX + 1];
	int64_t at_usec;
};

struct store_site {
	char name[NAME_BYTES_MAX + 1];
	char organization[NAME_BYTES_MAX + 1];
	struct buf owner_spki;
	int64_t created_usec;
};

struct store_statement {
	char role[STORE_WORD_BYTES_MAX + 1];
	char id[NAME_BYTES_MAX + 1];
	uint64_t seq;
	char *text; /* the JWS */
	int64_t received_usec;
};

struct store_policy {
	char kind[STORE_WORD_BYTES_MAX + 1]; /* "provider" or "site" */
	char owner[NAME_BYTES_MAX + 1];
	uint64_t version;
	char *text; /* the JWS */
	int64_t received_usec;
};

struct store_procedure {
	char gateway[NAME_BYTES_MAX + 1];
	char site[NAME_BYTES_MAX + 1];
	char maker[NAME_BYTES_MAX + 1];               /* "" before step b */
	uint64_t steps;                               /* bit n is step n; 0 is a, 11 is l */
	char device_serial[STORE_TEXT_BYTES_MAX + 1]; /* of the box, from the device information */
	char *information;                            /* the JWS of step c */
	struct buf device_certificate;                /* DER, step d */
	struct buf device_fingerprint;                /* its SHA-256, or empty */
	int64_t created_usec;
};

struct store_step {
	char gateway[NAME_BYTES_MAX + 1];
	uint64_t step;
	char by[STORE_TEXT_BYTES_MAX + 1];
	int64_t at_usec;
	uint64_t leaf;
};

struct store_enrolment {
	char id[ID_BYTES_MAX + 1];
	char gateway[NAME_BYTES_MAX + 1];
	struct buf csr;
	uint8_t csr_hash[STORE_HASH_BYTES];
	struct buf tbs; /* what was approved, byte for byte (A07); empty before */
	char state[STORE_WORD_BYTES_MAX + 1]; /* "waiting", "approved", "refused", "issued" */
	int64_t created_usec, decided_usec;
	char decided_by[STORE_TEXT_BYTES_MAX + 1];
	char certificate_serial[STORE_SERIAL_BYTES_MAX + 1];
};

struct store_certificate {
	uint64_t tier;
	char serial[STORE_SERIAL_BYTES_MAX + 1];
	char gateway[NAME_BYTES_MAX + 1];
	struct buf der;
	uint8_t key_hash[STORE_HASH_BYTES];
	int64_t not_before_usec, not_after_usec;
	int64_t revoked_usec; /* 0: not revoked */
	uint64_t reason;      /* RFC 5280 5.3.1 */
	uint64_t leaf;
};

struct store_crl {
	uint64_t tier;
	uint64_t number;
	struct buf der;
	int64_t this_update_usec, next_update_usec;
};

struct store_connection {
	char id[ID_BYTES_MAX + 1];
	uint64_t number;
	char state[STORE_WORD_BYTES_MAX + 1];
	uint64_t reports; /* what each gateway reported; the bits are center/live.c's */
	char initiator_site[NAME_BYTES_MAX + 1];
	char responder_site[NAME_BYTES_MAX + 1];
	int64_t changed_usec;
	uint64_t live; /* 1 until it is closed */
	char by[NAME_BYTES_MAX + 1];
	char reason[STORE_REASON_BYTES_MAX + 1];
	char *grant;   /* the payload, canonical JSON */
	uint64_t leaf; /* of the newest record about it */
};

struct store_journal {
	char gateway[NAME_BYTES_MAX + 1];
	uint64_t next_seq;
	uint8_t head[STORE_HASH_BYTES];
};

struct store_journal_record {
	char gateway[NAME_BYTES_MAX + 1];
	uint64_t seq;
	struct buf bytes;
};

struct store_leaf {
	uint64_t leaf;
	struct buf bytes;
};

struct store_checkpoint {
	uint64_t size;
	uint8_t root[STORE_HASH_BYTES];
	char *note;
	int64_t signed_usec;
};

struct store_work_order {
	char id[ID_BYTES_MAX + 1];
	char state[STORE_WORD_BYTES_MAX + 1];
	char site[NAME_BYTES_MAX + 1];
	char site_organization[NAME_BYTES_MAX + 1];
	char worker[NAME_BYTES_MAX + 1];
	char organization[NAME_BYTES_MAX + 1]; /* the worker's */
	uint64_t open;                         /* 1 while a step can follow */
	int64_t changed_usec;
	char *body;     /* canonical JSON, center/work_order_row.h */
	char *deletion; /* the JWS, or "" */
	char *report;   /* canonical JSON, or "" */
	uint64_t leaf;  /* of the newest record about it */
};

struct store_work_approval {
	char work_order[ID_BYTES_MAX + 1];
	uint64_t number; /* from 0, in the order they came */
	uint8_t digest[STORE_HASH_BYTES];
	char *seal; /* the JWS */
};

struct store_notice {
	char id[ID_BYTES_MAX + 1];
	char kind[STORE_WORD_BYTES_MAX + 1]; /* "fault", or "other": kept and shown only */
	char device[HOST_REF_BYTES_MAX + 1]; /* site/host, or "" */
	char site[NAME_BYTES_MAX + 1];       /* of the device, when it is a known one; or "" */
	char fault[MAIL_SUBJECT_BYTES_MAX + 1];
	char sender[MAIL_ADDRESS_BYTES_MAX + 1];
	char subject[MAIL_SUBJECT_BYTES_MAX + 1];
	char message_id[MAIL_ADDRESS_BYTES_MAX + 1];
	char *text;
	char received_by[NAME_BYTES_MAX + 1]; /* whose token brought it */
	int64_t received_usec;
	char work_order[ID_BYTES_MAX + 1]; /* that was made of it, or "" */
	uint64_t leaf;
};

struct store_outbox {
	char id[ID_BYTES_MAX + 1]; /* also what its Message-ID is made of */
	char recipient[MAIL_ADDRESS_BYTES_MAX + 1];
	char *subject, *text;
	char about[ID_BYTES_MAX + 1];        /* a work order or a notice */
	char kind[STORE_WORD_BYTES_MAX + 1]; /* "applied", … */
	int64_t created_usec;
	char state[STORE_WORD_BYTES_MAX + 1]; /* "waiting", "sent" or "failed" */
	uint64_t tries;
	int64_t next_usec; /* not before this */
	char reason[STORE_REASON_BYTES_MAX + 1];
};

/* A file that went to another organization, or was refused before it did. */
struct store_file {
	char id[ID_BYTES_MAX + 1];
	char state[STORE_WORD_BYTES_MAX + 1]; /* "sent", "received" or "refused" */
	char name[FILE_NAME_BYTES_MAX + 1];
	char sha256[65]; /* or "" */
	uint64_t bytes;
	char sender[NAME_BYTES_MAX + 1];
	char from_site[NAME_BYTES_MAX + 1], from_organization[NAME_BYTES_MAX + 1];
	char to_site[NAME_BYTES_MAX + 1], to_organization[NAME_BYTES_MAX + 1];
	char *recipients; /* accounts, separated by blanks */
	char purpose[FILE_PURPOSE_BYTES_MAX + 1];
	char work_order[ID_BYTES_MAX + 1];
	char scanner[STORE_REASON_BYTES_MAX + 1];
	int64_t scanner_usec; /* of its data base */
	int64_t sent_usec;
	char receiver[NAME_BYTES_MAX + 1];
	char reason[STORE_REASON_BYTES_MAX + 1]; /* why it was refused */
	uint64_t leaf;
};

/* What a row is; store_row_clear() and the lists are told so. */
enum store_kind {
	STORE_OPERATOR,
	STORE_ORGANIZATION,
	STORE_SITE,
	STORE_STATEMENT,
	STORE_POLICY,
	STORE_PROCEDURE,
	STORE_STEP,
	STORE_ENROLMENT,
	STORE_CERTIFICATE,
	STORE_CRL,
	STORE_CONNECTION,
	STORE_JOURNAL,
	STORE_JOURNAL_RECORD,
	STORE_LEAF,
	STORE_CHECKPOINT,
	STORE_PERSON,
	STORE_SESSION,
	STORE_AGREEMENT,
	STORE_ACKNOWLEDGEMENT,
	STORE_WORK_ORDER,
	STORE_WORK_APPROVAL,
	STORE_NOTICE,
	STORE_OUTBOX,
	STORE_FILE,
	STORE_KIND_COUNT,
};

/* Frees what the row owns and zeroes it. */
void store_row_clear(enum store_kind kind, void *row);

/* `row` points to the struct of the list's kind. */
typedef int store_each(void *context, const void *row);

/* _put writes the row whole, replacing one with the same key. */
int store_operator_put(struct store *store, const struct store_operator *row) must_use;
int store_operator_get(struct store *store, const char *name, struct store_operator *row) must_use;
int store_operator_get_token(struct store *store, const uint8_t hash[STORE_HASH_BYTES],
        struct store_operator *row) must_use;
int store_operator_delete(struct store *store, const char *name) must_use;
int store_operator_list(struct store *store, const char *after, uint64_t limit, store_each *each,
        void *context) must_use;

int store_organization_put(struct store *store, const struct store_organization *row) must_use;
int store_organization_get(
        struct store *store, const char *name, struct store_organization *row) must_use;
int store_organization_list(struct store *store, const char *after, uint64_t limit,
        store_each *each, void *context) must_use;

int store_person_put(struct store *store, const struct store_person *row) must_use;
int store_person_get(struct store *store, const char *name, struct store_person *row) must_use;
int store_person_get_token(struct store *store, const uint8_t hash[STORE_HASH_BYTES],
        struct store_person *row) must_use;
/* The active account of a natural person in an organization. */
int store_person_get_natural(struct store *store, const char *organization,
        const char *natural_person, struct store_person *row) must_use;
/* Every account of a natural person, in all organizations. */
int store_person_list_natural(
        struct store *store, const char *natural_person, store_each *each, void *context) must_use;
/* `organization` NULL: of all. */
int store_person_list(struct store *store, const char *organization, const char *after,
        uint64_t limit, store_each *each, void *context) must_use;

int store_session_put(struct store *store, const struct store_session *row) must_use;
int store_session_get(struct store *store, const uint8_t hash[STORE_HASH_BYTES],
        struct store_session *row) must_use;
int store_session_delete(struct store *store, const uint8_t hash[STORE_HASH_BYTES]) must_use;
/* All of a person. */
int store_session_delete_person(struct store *store, const char *person) must_use;
/* All that were over before `usec`. */
int store_session_delete_expired(struct store *store, int64_t usec) must_use;
/* How many a person has that are not over at `usec`. */
int store_session_count(
        struct store *store, const char *person, int64_t usec, uint64_t *ret_count) must_use;

int store_agreement_put(struct store *store, const struct store_agreement *row) must_use;
int store_agreement_get(
        struct store *store, const char *name, struct store_agreement *row) must_use;
/* `organization` NULL: of all. */
int store_agreement_list(struct store *store, const char *organization, const char *after,
        uint64_t limit, store_each *each, void *context) must_use;

int store_acknowledgement_put(
        struct store *store, const struct store_acknowledgement *row) must_use;
int store_acknowledgement_list(struct store *store, store_each *each, void *context) must_use;

int store_site_put(struct store *store, const struct store_site *row) must_use;
int store_site_get(struct store *store, const char *name, struct store_site *row) must_use;
int store_site_list(struct store *store, const char *after, uint64_t limit, store_each *each,
        void *context) must_use;

int store_statement_put(struct store *store, const struct store_statement *row) must_use;
/* The newest statement of every role and id. */
int store_statement_list(struct store *store, store_each *each, void *context) must_use;

int store_policy_put(struct store *store, const struct store_policy *row) must_use;
/* The active one: the highest version. */
int store_policy_get(struct store *store, const char *kind, const char *owner,
        struct store_policy *row) must_use;
/* The active one of every owner. */
int store_policy_list(
        struct store *store, const char *kind, store_each *each, void *context) must_use;

/* When the first version after `version` was taken. Outcome 1: there is none. */
int store_policy_get_since(struct store *store, const char *kind, const char *owner,
        uint64_t version, int64_t *ret_usec) must_use;

int store_procedure_put(struct store *store, const struct store_procedure *row) must_use;
int store_procedure_get(
        struct store *store, const char *gateway, struct store_procedure *row) must_use;
/* By the SHA-256 of the device certificate: which gateway is this box. */
int store_procedure_get_device(struct store *store, const uint8_t fingerprint[STORE_HASH_BYTES],
        struct store_procedure *row) must_use;
/* By maker and the serial printed on the box. */
int store_procedure_get_serial(struct store *store, const char *maker, const char *serial,
        struct store_procedure *row) must_use;
/* `site` and `maker` limit the list when they are not NULL. */
int store_procedure_list(struct store *store, const char *site, const char *maker,
        const char *after, uint64_t limit, store_each *each, void *context) must_use;
int store_step_put(struct store *store, const struct store_step *row) must_use;
int store_step_list(
        struct store *store, const char *gateway, store_each *each, void *context) must_use;

int store_enrolment_put(struct store *store, const struct store_enrolment *row) must_use;
int store_enrolment_get(struct store *store, const char *id, struct store_enrolment *row) must_use;
/* The newest of a gateway. */
int store_enrolment_get_gateway(
        struct store *store, const char *gateway, struct store_enrolment *row) must_use;
int store_enrolment_list(struct store *store, const char *after, uint64_t limit, store_each *each,
        void *context) must_use;

int store_certificate_put(struct store *store, const struct store_certificate *row) must_use;
int store_certificate_get(struct store *store, uint64_t tier, const char *serial,
        struct store_certificate *row) must_use;
/* The newest of a gateway that is not revoked. */
int store_certificate_get_gateway(struct store *store, uint64_t tier, const char *gateway,
        struct store_certificate *row) must_use;
/* Any certificate over this public key. */
int store_certificate_get_key(struct store *store, const uint8_t key_hash[STORE_HASH_BYTES],
        struct store_certificate *row) must_use;
int store_certificate_list(struct store *store, uint64_t tier, const char *after, uint64_t limit,
        store_each *each, void *context) must_use;
int store_certificate_list_revoked(
        struct store *store, uint64_t tier, store_each *each, void *context) must_use;

int store_crl_put(struct store *store, const struct store_crl *row) must_use;
int store_crl_get(struct store *store, uint64_t tier, struct store_crl *row) must_use;

int store_connection_put(struct store *store, const struct store_connection *row) must_use;
int store_connection_get(
        struct store *store, const char *id, struct store_connection *row) must_use;
/* `site` NULL: of all sites. Newest first, below `before` ("" or NULL: from the newest). */
int store_connection_list(struct store *store, const char *site, const char *before, uint64_t limit,
        store_each *each, void *context) must_use;
/* Those with an end at a site of this organization. */
int store_connection_list_organization(struct store *store, const char *organization,
        const char *before, uint64_t limit, store_each *each, void *context) must_use;
int store_connection_list_live(struct store *store, store_each *each, void *context) must_use;
/* The highest number ever given; 0 when none was. */
int store_connection_number(struct store *store, uint64_t *ret_number) must_use;

int store_journal_put(struct store *store, const struct store_journal *row) must_use;
int store_journal_get(struct store *store, const char *gateway, struct store_journal *row) must_use;
int store_journal_record_put(struct store *store, const struct store_journal_record *row) must_use;
int store_journal_record_list(struct store *store, const char *gateway, uint64_t from,
        uint64_t limit, store_each *each, void *context) must_use;

int store_work_order_put(struct store *store, const struct store_work_order *row) must_use;
int store_work_order_get(
        struct store *store, const char *id, struct store_work_order *row) must_use;
/* `organization` NULL: of all; else those it is a party of. Newest first, below `before` ("" or
 * NULL: from the newest). */
int store_work_order_list(struct store *store, const char *organization, const char *before,
        uint64_t limit, store_each *each, void *context) must_use;
int store_work_order_list_open(struct store *store, store_each *each, void *context) must_use;
/* A second one with the same digest is a fault: the caller has looked before. */
int store_work_approval_put(struct store *store, const struct store_work_approval *row) must_use;
/* In the order they came. */
int store_work_approval_list(
        struct store *store, const char *work_order, store_each *each, void *context) must_use;
/* Outcome 1: no approval with this digest was ever taken. */
int store_work_approval_get_digest(struct store *store, const uint8_t digest[STORE_HASH_BYTES],
        struct store_work_approval *row) must_use;

int store_notice_put(struct store *store, const struct store_notice *row) must_use;
int store_notice_get(struct store *store, const char *id, struct store_notice *row) must_use;
/* By the Message-ID of the mail: a mail that comes twice is one notice. */
int store_notice_get_message(
        struct store *store, const char *message_id, struct store_notice *row) must_use;
/* `organization` NULL: of all; else of its sites, and what its accounts brought. Newest first as
 * above. */
int store_notice_list(struct store *store, const char *organization, const char *before,
        uint64_t limit, store_each *each, void *context) must_use;

int store_outbox_put(struct store *store, const struct store_outbox *row) must_use;
int store_outbox_get(struct store *store, const char *id, struct store_outbox *row) must_use;
/* Waiting ones whose time has come, the longest waiting first. */
int store_outbox_list_due(struct store *store, int64_t usec, uint64_t limit, store_each *each,
        void *context) must_use;
int store_outbox_count_waiting(struct store *store, uint64_t *ret_count) must_use;

int store_file_put(struct store *store, const struct store_file *row) must_use;
int store_file_get(struct store *store, const char *id, struct store_file *row) must_use;
/* `organization` NULL: of all; else those it sent or gets. Newest first, as above. */
int store_file_list(struct store *store, const char *organization, const char *before,
        uint64_t limit, store_each *each, void *context) must_use;

/* The ledger's leaves: appended at the end only, without gaps. */
int store_leaf_append(struct store *store, uint64_t leaf, const void *bytes, size_t count) must_use;
int store_leaf_count(struct store *store, uint64_t *ret_count) must_use;
int store_leaf_list(struct store *store, uint64_t from, uint64_t limit, store_each *each,
        void *context) must_use;

/* The tree's nodes, for audit/merkle.h. Written once each. Borrows the store. */
struct merkle_store store_merkle(struct store *store);

/* A signed checkpoint: first into the file outside the database, then into the database, so that
 * what was published is always in the file. Call it in a transaction of its own or of others. */
int store_checkpoint_put(struct store *store, const struct store_checkpoint *row) must_use;
/* The newest. */
int store_checkpoint_get(struct store *store, struct store_checkpoint *row) must_use;
