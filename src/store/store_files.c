/* Files that went to another organization: the store's functions for them. */
#include "store/store.h"

#include "store/store_private.h"

const struct column file_columns[] = { ROW_CHARS(store_file, id), ROW_CHARS(store_file, state),
	ROW_CHARS(store_file, name), ROW_CHARS(store_file, sha256), ROW_NUMBER(store_file, bytes),
	ROW_CHARS(store_file, sender), ROW_CHARS(store_file, from_site),
	ROW_CHARS(store_file, from_organization), ROW_CHARS(store_file, to_site),
	ROW_CHARS(store_file, to_organization), ROW_TEXT(store_file, recipients),
	ROW_CHARS(store_file, purpose), ROW_CHARS(store_file, work_order),
	ROW_CHARS(store_file, scanner), ROW_NUMBER(store_file, scanner_usec),
	ROW_NUMBER(store_file, sent_usec), ROW_CHARS(store_file, receiver),
	ROW_CHARS(store_file, reason), ROW_NUMBER(store_file, leaf), ROW_END };

int store_file_put(struct store *store, const struct store_file *row)
{
	return database_put(store->database, SQL_FILE_PUT, file_columns, row);
}

int store_file_get(struct store *store, const char *id, struct store_file *row)
{
	return database_get(store->database, SQL_FILE_GET, VALUES(TEXT(id)), file_columns, row);
}

int store_file_list(struct store *store, const char *organization, const char *before,
        uint64_t limit, store_each *each, void *context)
{
	struct store_file row = { 0 };

	/* A tilde sorts behind every id. */
	before = before && *before ? before : "~";
	if (!organization) {
		return database_list(store->database, SQL_FILE_LIST,
		        VALUES(TEXT(before), NUMBER(limit)), file_columns, &row, each, context);
	}
	return database_list(store->database, SQL_FILE_LIST_PARTY,
	        VALUES(TEXT(organization), TEXT(before), NUMBER(limit)), file_columns, &row, each,
	        context);
}
