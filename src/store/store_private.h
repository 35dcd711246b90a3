/* What the files of the store share; nobody else includes this. */
#pragma once

#include "store/sqlite.h"

struct store {
	struct database *database;
	char *checkpoint_path;
};

#define ROW_NUMBER(type, field)                                                                    \
	{                                                                                          \
		COLUMN_NUMBER, offsetof(struct type, field), 0                                     \
	}
#define ROW_CHARS(type, field)                                                                     \
	{                                                                                          \
		COLUMN_CHARS, offsetof(struct type, field), sizeof(((struct type *)0)->field)      \
	}
#define ROW_TEXT(type, field)                                                                      \
	{                                                                                          \
		COLUMN_TEXT, offsetof(struct type, field), 0                                       \
	}
#define ROW_HASH(type, field)                                                                      \
	{                                                                                          \
		COLUMN_HASH, offsetof(struct type, field), 0                                       \
	}
#define ROW_BYTES(type, field)                                                                     \
	{                                                                                          \
		COLUMN_BYTES, offsetof(struct type, field), 0                                      \
	}
#define ROW_END                                                                                    \
	{                                                                                          \
		COLUMN_END, 0, 0                                                                   \
	}

/* Of store_orders.c. */
extern const struct column work_order_columns[], work_approval_columns[], notice_columns[],
        outbox_columns[];
/* Of store_files.c. */
extern const struct column file_columns[];
