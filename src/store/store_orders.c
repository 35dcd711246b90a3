/* Work orders, notices and the mail that goes out: the store's functions for them. */
#include "store/store.h"

#include "store/store_private.h"

const struct column work_order_columns[] = { ROW_CHARS(store_work_order, id),
	ROW_CHARS(store_work_order, state), ROW_CHARS(store_work_order, site),
	ROW_CHARS(store_work_order, site_organization), ROW_CHARS(store_work_order, worker),
	ROW_CHARS(store_work_order, organization), ROW_NUMBER(store_work_order, open),
	ROW_NUMBER(store_work_order, changed_usec), ROW_TEXT(store_work_order, body),
	ROW_TEXT(store_work_order, deletion), ROW_TEXT(store_work_order, report),
	ROW_NUMBER(store_work_order, leaf), ROW_END };

const struct column work_approval_columns[] = { ROW_CHARS(store_work_approval, work_order),
	ROW_NUMBER(store_work_approval, number), ROW_HASH(store_work_approval, digest),
	ROW_TEXT(store_work_approval, seal), ROW_END };

const struct column notice_columns[] = { ROW_CHARS(store_notice, id), ROW_CHARS(store_notice, kind),
	ROW_CHARS(store_notice, device), ROW_CHARS(store_notice, site),
	ROW_CHARS(store_notice, fault), ROW_CHARS(store_notice, sender),
	ROW_CHARS(store_notice, subject), ROW_CHARS(store_notice, message_id),
	ROW_TEXT(store_notice, text), ROW_CHARS(store_notice, received_by),
	ROW_NUMBER(store_notice, received_usec), ROW_CHARS(store_notice, work_order),
	ROW_NUMBER(store_notice, leaf), ROW_END };

const struct column outbox_columns[] = { ROW_CHARS(store_outbox, id),
	ROW_CHARS(store_outbox, recipient), ROW_TEXT(store_outbox, subject),
	ROW_TEXT(store_outbox, text), ROW_CHARS(store_outbox, about), ROW_CHARS(store_outbox, kind),
	ROW_NUMBER(store_outbox, created_usec), ROW_CHARS(store_outbox, state),
	ROW_NUMBER(store_outbox, tries), ROW_NUMBER(store_outbox, next_usec),
	ROW_CHARS(store_outbox, reason), ROW_END };

/* A tilde sorts behind every id. */
static const char *behind_all(const char *before)
{
	return before && *before ? before : "~";
}

int store_work_order_put(struct store *store, const struct store_work_order *row)
{
	return database_put(store->database, SQL_WORK_ORDER_PUT, work_order_columns, row);
}

int store_work_order_get(struct store *store, const char *id, struct store_work_order *row)
{
	return database_get(
	        store->database, SQL_WORK_ORDER_GET, VALUES(TEXT(id)), work_order_columns, row);
}

int store_work_order_list(struct store *store, const char *organization, const char *before,
        uint64_t limit, store_each *each, void *context)
{
	struct store_work_order row = { 0 };

	before = behind_all(before);
	if (!organization) {
		return database_list(store->database, SQL_WORK_ORDER_LIST,
		        VALUES(TEXT(before), NUMBER(limit)), work_order_columns, &row, each,
		        context);
	}
	return database_list(store->database, SQL_WORK_ORDER_LIST_PARTY,
	        VALUES(TEXT(organization), TEXT(before), NUMBER(limit)), work_order_columns, &row,
	        each, context);
}

int store_work_order_list_open(struct store *store, store_each *each, void *context)
{
	struct store_work_order row = { 0 };

	return database_list(store->database, SQL_WORK_ORDER_LIST_OPEN, NO_VALUES,
	        work_order_columns, &row, each, context);
}

int store_work_approval_put(struct store *store, const struct store_work_approval *row)
{
	return database_put(store->database, SQL_WORK_APPROVAL_PUT, work_approval_columns, row);
}

int store_work_approval_list(
        struct store *store, const char *work_order, store_each *each, void *context)
{
	struct store_work_approval row = { 0 };

	return database_list(store->database, SQL_WORK_APPROVAL_LIST, VALUES(TEXT(work_order)),
	        work_approval_columns, &row, each, context);
}

int store_work_approval_get_digest(struct store *store, const uint8_t digest[STORE_HASH_BYTES],
        struct store_work_approval *row)
{
	return database_get(store->database, SQL_WORK_APPROVAL_GET_DIGEST,
	        VALUES(BYTES(digest, STORE_HASH_BYTES)), work_approval_columns, row);
}

int store_notice_put(struct store *store, const struct store_notice *row)
{
	return database_put(store->database, SQL_NOTICE_PUT, notice_columns, row);
}

int store_notice_get(struct store *store, const char *id, struct store_notice *row)
{
	return database_get(store->database, SQL_NOTICE_GET, VALUES(TEXT(id)), notice_columns, row);
}

int store_notice_get_message(struct store *store, const char *message_id, struct store_notice *row)
{
	return database_get(store->database, SQL_NOTICE_GET_MESSAGE, VALUES(TEXT(message_id)),
	        notice_columns, row);
}

int store_notice_list(struct store *store, const char *organization, const char *before,
        uint64_t limit, store_each *each, void *context)
{
	struct store_notice row = { 0 };

	before = behind_all(before);
	if (!organization) {
		return database_list(store->database, SQL_NOTICE_LIST,
		        VALUES(TEXT(before), NUMBER(limit)), notice_columns, &row, each, context);
	}
	return database_list(store->database, SQL_NOTICE_LIST_ORGANIZATION,
	        VALUES(TEXT(organization), TEXT(before), NUMBER(limit)), notice_columns, &row, each,
	        context);
}

int store_outbox_put(struct store *store, const struct store_outbox *row)
{
	return database_put(store->database, SQL_OUTBOX_PUT, outbox_columns, row);
}

int store_outbox_get(struct store *store, const char *id, struct store_outbox *row)
{
	return database_get(store->database, SQL_OUTBOX_GET, VALUES(TEXT(id)), outbox_columns, row);
}

int store_outbox_list_due(
        struct store *store, int64_t usec, uint64_t limit, store_each *each, void *context)
{
	struct store_outbox row = { 0 };

	return database_list(store->database, SQL_OUTBOX_LIST_DUE,
	        VALUES(NUMBER(usec), NUMBER(limit)), outbox_columns, &row, each, context);
}

int store_outbox_count_waiting(struct store *store, uint64_t *ret_count)
{
	static const struct column number_columns[] = { { COLUMN_NUMBER, 0, 0 },
		{ COLUMN_END, 0, 0 } };

	return database_get(
	        store->database, SQL_OUTBOX_COUNT_WAITING, NO_VALUES, number_columns, ret_count);
}
