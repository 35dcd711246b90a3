/*
 * SQLite below store.c: opening, migrations, transactions, and the one table of named statements.
 * Rows move by column tables, so that no function binds a column by hand.
 */
#pragma once

#include "store/store.h"

enum column_type {
	COLUMN_END,
	COLUMN_NUMBER, /* uint64_t or int64_t */
	COLUMN_CHARS,  /* char[bytes]: text that must fit */
	COLUMN_TEXT,   /* char *, owned by the row; NULL is "" */
	COLUMN_HASH,   /* uint8_t[32] */
	COLUMN_BYTES,  /* struct buf */
};

struct column {
	enum column_type type;
	size_t offset;
	size_t bytes;
};

/* One parameter of a statement that is not a row's column. */
enum value_type { VALUE_END, VALUE_NUMBER, VALUE_TEXT, VALUE_BYTES };

struct value {
	enum value_type type;
	uint64_t number;
	const void *bytes;
	size_t count;
};

#define VALUES_MAX 5

#define NUMBER(x) ((struct value){ .type = VALUE_NUMBER, .number = (uint64_t)(x) })
#define TEXT(x) ((struct value){ .type = VALUE_TEXT, .bytes = (x) })
#define BYTES(x, n) ((struct value){ .type = VALUE_BYTES, .bytes = (x), .count = (n) })
#define VALUES(...) ((const struct value[]){ __VA_ARGS__, { .type = VALUE_END } })
#define NO_VALUES ((const struct value[]){ { .type = VALUE_END } })

enum statement_name {
	SQL_COUNTER_GET,
	SQL_COUNTER_PUT,
	SQL_OPERATOR_PUT,
	SQL_OPERATOR_GET,
	SQL_OPERATOR_GET_TOKEN,
	SQL_OPERATOR_DELETE,
	SQL_OPERATOR_LIST,
	SQL_ORGANIZATION_PUT,
	SQL_ORGANIZATION_GET,
	SQL_ORGANIZATION_LIST,
	SQL_SITE_PUT,
	SQL_SITE_GET,
	SQL_SITE_LIST,
	SQL_STATEMENT_PUT,
	SQL_STATEMENT_LIST,
	SQL_POLICY_PUT,
	SQL_POLICY_GET,
	SQL_POLICY_LIST,
	SQL_PROCEDURE_PUT,
	SQL_PROCEDURE_GET,
	SQL_PROCEDURE_GET_DEVICE,
	SQL_PROCEDURE_GET_SERIAL,
	SQL_PROCEDURE_LIST,
	SQL_PROCEDURE_LIST_SITE,
	SQL_PROCEDURE_LIST_MAKER,
	SQL_STEP_PUT,
	SQL_STEP_LIST,
	SQL_ENROLMENT_PUT,
	SQL_ENROLMENT_GET,
	SQL_ENROLMENT_GET_GATEWAY,
	SQL_ENROLMENT_LIST,
	SQL_CERTIFICATE_PUT,
	SQL_CERTIFICATE_GET,
	SQL_CERTIFICATE_GET_GATEWAY,
	SQL_CERTIFICATE_GET_KEY,
	SQL_CERTIFICATE_LIST,
	SQL_CERTIFICATE_LIST_REVOKED,
	SQL_CRL_PUT,
	SQL_CRL_GET,
	SQL_CONNECTION_PUT,
	SQL_CONNECTION_GET,
	SQL_CONNECTION_LIST,
	SQL_CONNECTION_LIST_SITE,
	SQL_CONNECTION_LIST_ORGANIZATION,
	SQL_CONNECTION_LIST_LIVE,
	SQL_CONNECTION_NUMBER,
	SQL_JOURNAL_PUT,
	SQL_JOURNAL_GET,
	SQL_JOURNAL_RECORD_PUT,
	SQL_JOURNAL_RECORD_LIST,
	SQL_LEAF_APPEND,
	SQL_LEAF_COUNT,
	SQL_LEAF_LIST,
	SQL_NODE_PUT,
	SQL_NODE_GET,
	SQL_CHECKPOINT_PUT,
	SQL_CHECKPOINT_GET,
	SQL_PERSON_PUT,
	SQL_PERSON_GET,
	SQL_PERSON_GET_TOKEN,
	SQL_PERSON_GET_NATURAL,
	SQL_PERSON_LIST_NATURAL,
	SQL_PERSON_LIST,
	SQL_PERSON_LIST_ORGANIZATION,
	SQL_SESSION_PUT,
	SQL_SESSION_GET,
	SQL_SESSION_DELETE,
	SQL_SESSION_DELETE_PERSON,
	SQL_SESSION_DELETE_EXPIRED,
	SQL_SESSION_COUNT,
	SQL_AGREEMENT_PUT,
	SQL_AGREEMENT_GET,
	SQL_AGREEMENT_LIST,
	SQL_AGREEMENT_LIST_PARTY,
	SQL_ACKNOWLEDGEMENT_PUT,
	SQL_ACKNOWLEDGEMENT_LIST,
	SQL_POLICY_GET_SINCE,
	SQL_WORK_ORDER_PUT,
	SQL_WORK_ORDER_GET,
	SQL_WORK_ORDER_LIST,
	SQL_WORK_ORDER_LIST_PARTY,
	SQL_WORK_ORDER_LIST_OPEN,
	SQL_WORK_APPROVAL_PUT,
	SQL_WORK_APPROVAL_LIST,
	SQL_WORK_APPROVAL_GET_DIGEST,
	SQL_NOTICE_PUT,
	SQL_NOTICE_GET,
	SQL_NOTICE_GET_MESSAGE,
	SQL_NOTICE_LIST,
	SQL_NOTICE_LIST_ORGANIZATION,
	SQL_OUTBOX_PUT,
	SQL_OUTBOX_GET,
	SQL_OUTBOX_LIST_DUE,
	SQL_OUTBOX_COUNT_WAITING,
	SQL_FILE_PUT,
	SQL_FILE_GET,
	SQL_FILE_LIST,
	SQL_FILE_LIST_PARTY,
	SQL_BEGIN,
	SQL_COMMIT,
	SQL_ROLLBACK,
	SQL_COUNT,
};

struct database;

/* STORE_NEWER as in store.h. */
int database_open(const char *path, struct database **ret_database, struct err *err) must_use;
struct database *database_free(struct database *database);
bool database_in_transaction(const struct database *database);

/* Runs a statement that answers with no row. */
int database_run(
        struct database *database, enum statement_name name, const struct value *values) must_use;
/* The same, with a row's columns as its parameters. */
int database_put(struct database *database, enum statement_name name, const struct column *columns,
        const void *row) must_use;
/* The first row into `row` (overwritten). Outcome 1: none. */
int database_get(struct database *database, enum statement_name name, const struct value *values,
        const struct column *columns, void *row) must_use;
/* Every row, one after the other, in `row`, which is given up after each call. */
int database_list(struct database *database, enum statement_name name, const struct value *values,
        const struct column *columns, void *row, store_each *each, void *context) must_use;

void row_clear(const struct column *columns, void *row);
