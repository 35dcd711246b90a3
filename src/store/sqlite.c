#include "store/sqlite.h"

#include <errno.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "store/schema.h"

struct database {
	sqlite3 *handle;
	sqlite3_stmt *statements[SQL_COUNT]; /* prepared when first used */
};

static const char *const sql[SQL_COUNT] = {
	[SQL_COUNTER_GET] = "SELECT value FROM counters WHERE name = ?",
	[SQL_COUNTER_PUT] = "INSERT OR REPLACE INTO counters VALUES (?, ?)",
	[SQL_OPERATOR_PUT] = "INSERT OR REPLACE INTO operators VALUES (?, ?, ?, ?, ?)",
	[SQL_OPERATOR_GET] = "SELECT * FROM operators WHERE name = ?",
	[SQL_OPERATOR_GET_TOKEN] = "SELECT * FROM operators WHERE token_hash = ?",
	[SQL_OPERATOR_DELETE] = "DELETE FROM operators WHERE name = ?",
	[SQL_OPERATOR_LIST] = "SELECT * FROM operators WHERE name > ? ORDER BY name LIMIT ?",
	[SQL_ORGANIZATION_PUT] = "INSERT OR REPLACE INTO organizations VALUES (?, ?, ?, ?, ?)",
	[SQL_ORGANIZATION_GET] = "SELECT * FROM organizations WHERE name = ?",
	[SQL_ORGANIZATION_LIST] =
	        "SELECT * FROM organizations WHERE name > ? ORDER BY name LIMIT ?",
	[SQL_SITE_PUT] = "INSERT OR REPLACE INTO sites VALUES (?, ?, ?, ?)",
	[SQL_SITE_GET] = "SELECT * FROM sites WHERE name = ?",
	[SQL_SITE_LIST] = "SELECT * FROM sites WHERE name > ? ORDER BY name LIMIT ?",
	[SQL_STATEMENT_PUT] = "INSERT INTO statements VALUES (?, ?, ?, ?, ?)",
	[SQL_STATEMENT_LIST] =
	        "SELECT * FROM statements s WHERE seq = (SELECT max(seq) FROM statements t"
	        " WHERE t.role = s.role AND t.id = s.id) ORDER BY role, id",
	[SQL_POLICY_PUT] = "INSERT INTO policies VALUES (?, ?, ?, ?, ?)",
	[SQL_POLICY_GET] = "SELECT * FROM policies WHERE kind = ? AND owner = ?"
	                   " ORDER BY version DESC LIMIT 1",
	[SQL_POLICY_LIST] = "SELECT * FROM policies p WHERE kind = ? AND version ="
	                    " (SELECT max(version) FROM policies q WHERE q.kind = p.kind"
	                    " AND q.owner = p.owner) ORDER BY owner",
	[SQL_PROCEDURE_PUT] = "INSERT INTO procedures VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
	                      " ON CONFLICT (gateway) DO UPDATE SET site = excluded.site,"
	                      " maker = excluded.maker, steps = excluded.steps,"
	                      " device_serial = excluded.device_serial,"
	                      " information = excluded.information,"
	                      " device_certificate = excluded.device_certificate,"
	                      " device_fingerprint = excluded.device_fingerprint",
	[SQL_PROCEDURE_GET] = "SELECT * FROM procedures WHERE gateway = ?",
	[SQL_PROCEDURE_GET_DEVICE] = "SELECT * FROM procedures WHERE device_fingerprint = ?",
	[SQL_PROCEDURE_GET_SERIAL] = "SELECT * FROM procedures WHERE maker = ? AND device_serial = "
	                             "? AND device_serial <> ''",
	[SQL_PROCEDURE_LIST] =
	        "SELECT * FROM procedures WHERE gateway > ? ORDER BY gateway LIMIT ?",
	[SQL_PROCEDURE_LIST_SITE] =
	        "SELECT * FROM procedures WHERE site = ? AND gateway > ? ORDER BY gateway LIMIT ?",
	[SQL_PROCEDURE_LIST_MAKER] =
	        "SELECT * FROM procedures WHERE maker = ? AND gateway > ? ORDER BY gateway LIMIT ?",
	[SQL_STEP_PUT] = "INSERT INTO procedure_steps VALUES (?, ?, ?, ?, ?)",
	[SQL_STEP_LIST] = "SELECT * FROM procedure_steps WHERE gateway = ? ORDER BY step",
	[SQL_ENROLMENT_PUT] =
	        "INSERT OR REPLACE INTO enrolments VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
	[SQL_ENROLMENT_GET] = "SELECT * FROM enrolments WHERE id = ?",
	[SQL_ENROLMENT_GET_GATEWAY] =
	        "SELECT * FROM enrolments WHERE gateway = ? ORDER BY id DESC LIMIT 1",
	[SQL_ENROLMENT_LIST] = "SELECT * FROM enrolments WHERE id > ? ORDER BY id LIMIT ?",
	[SQL_CERTIFICATE_PUT] =
	        "INSERT OR REPLACE INTO certificates VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
	[SQL_CERTIFICATE_GET] = "SELECT * FROM certificates WHERE tier = ? AND serial = ?",
	[SQL_CERTIFICATE_GET_GATEWAY] =
	        "SELECT * FROM certificates WHERE tier = ? AND gateway = ? AND revoked_usec = 0"
	        " ORDER BY not_after_usec DESC LIMIT 1",
	[SQL_CERTIFICATE_GET_KEY] = "SELECT * FROM certificates WHERE key_hash = ? LIMIT 1",
	[SQL_CERTIFICATE_LIST] =
	        "SELECT * FROM certificates WHERE tier = ? AND serial > ? ORDER BY serial LIMIT ?",
	[SQL_CERTIFICATE_LIST_REVOKED] =
	        "SELECT * FROM certificates WHERE tier = ? AND revoked_usec > 0 ORDER BY serial",
	[SQL_CRL_PUT] = "INSERT OR REPLACE INTO crls VALUES (?, ?, ?, ?, ?)",
	[SQL_CRL_GET] = "SELECT * FROM crls WHERE tier = ?",
	[SQL_CONNECTION_PUT] = "INSERT OR REPLACE INTO connections VALUES"
	                       " (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
	[SQL_CONNECTION_GET] = "SELECT * FROM connections WHERE id = ?",
	[SQL_CONNECTION_LIST] = "SELECT * FROM connections WHERE id < ? ORDER BY id DESC LIMIT ?",
	[SQL_CONNECTION_LIST_SITE] =
	        "SELECT * FROM connections WHERE id IN (SELECT id FROM connections"
	        " WHERE initiator_site = ?1 UNION SELECT id FROM connections WHERE responder_site "
	        "= ?1)"
	        " AND id < ?2 ORDER BY id DESC LIMIT ?3",
	[SQL_CONNECTION_LIST_ORGANIZATION] =
	        "SELECT * FROM connections WHERE id IN (SELECT c.id FROM sites s JOIN connections c"
	        " ON c.initiator_site = s.name WHERE s.organization = ?1 UNION SELECT c.id"
	        " FROM sites s JOIN connections c ON c.responder_site = s.name"
	        " WHERE s.organization = ?1) AND id < ?2 ORDER BY id DESC LIMIT ?3",
	[SQL_CONNECTION_LIST_LIVE] = "SELECT * FROM connections WHERE live = 1 ORDER BY id",
	[SQL_CONNECTION_NUMBER] = "SELECT ifnull(max(number), 0) FROM connections",
	[SQL_JOURNAL_PUT] = "INSERT OR REPLACE INTO journals VALUES (?, ?, ?)",
	[SQL_JOURNAL_GET] = "SELECT * FROM journals WHERE gateway = ?",
	[SQL_JOURNAL_RECORD_PUT] = "INSERT INTO journal_records VALUES (?, ?, ?)",
	[SQL_JOURNAL_RECORD_LIST] =
	        "SELECT * FROM journal_records WHERE gateway = ? AND seq >= ? ORDER BY seq LIMIT ?",
	[SQL_LEAF_APPEND] = "INSERT INTO leaves VALUES (?, ?)",
	[SQL_LEAF_COUNT] = "SELECT ifnull(max(leaf) + 1, 0) FROM leaves",
	[SQL_LEAF_LIST] = "SELECT * FROM leaves WHERE leaf >= ? ORDER BY leaf LIMIT ?",
	[SQL_NODE_PUT] = "INSERT INTO nodes VALUES (?, ?, ?)",
	[SQL_NODE_GET] = "SELECT hash FROM nodes WHERE level = ? AND place = ?",
	[SQL_CHECKPOINT_PUT] = "INSERT OR IGNORE INTO checkpoints VALUES (?, ?, ?, ?)",
	[SQL_CHECKPOINT_GET] = "SELECT * FROM checkpoints ORDER BY size DESC LIMIT 1",
	[SQL_PERSON_PUT] =
	        "INSERT INTO persons VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
	        " ON CONFLICT (name) DO UPDATE SET token_hash = excluded.token_hash,"
	        " title = excluded.title, roles = excluded.roles, mail = excluded.mail,"
	        " spki = excluded.spki, totp = excluded.totp, totp_step = excluded.totp_step,"
	        " wrong = excluded.wrong, locked_usec = excluded.locked_usec,"
	        " state = excluded.state, left_usec = excluded.left_usec,"
	        " left_reason = excluded.left_reason, login_usec = excluded.login_usec,"
	        " confirmed_usec = excluded.confirmed_usec",
	[SQL_PERSON_GET] = "SELECT * FROM persons WHERE name = ?",
	[SQL_PERSON_GET_TOKEN] = "SELECT * FROM persons WHERE token_hash = ?",
	[SQL_PERSON_GET_NATURAL] = "SELECT * FROM persons WHERE organization = ?"
	                           " AND natural_person = ? AND state = 'active'",
	[SQL_PERSON_LIST_NATURAL] = "SELECT * FROM persons WHERE natural_person = ? ORDER BY name",
	[SQL_PERSON_LIST] = "SELECT * FROM persons WHERE name > ? ORDER BY name LIMIT ?",
	[SQL_PERSON_LIST_ORGANIZATION] =
	        "SELECT * FROM persons WHERE organization = ? AND name > ? ORDER BY name LIMIT ?",
	[SQL_SESSION_PUT] = "INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?)",
	[SQL_SESSION_GET] = "SELECT * FROM sessions WHERE token_hash = ?",
	[SQL_SESSION_DELETE] = "DELETE FROM sessions WHERE token_hash = ?",
	[SQL_SESSION_DELETE_PERSON] = "DELETE FROM sessions WHERE person = ?",
	[SQL_SESSION_DELETE_EXPIRED] = "DELETE FROM sessions WHERE expires_usec < ?",
	[SQL_SESSION_COUNT] = "SELECT count(*) FROM sessions WHERE person = ? AND expires_usec > ?",
	[SQL_AGREEMENT_PUT] = "INSERT OR REPLACE INTO agreements VALUES"
	                      " (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
	[SQL_AGREEMENT_GET] = "SELECT * FROM agreements WHERE name = ?",
	[SQL_AGREEMENT_LIST] = "SELECT * FROM agreements WHERE name > ? ORDER BY name LIMIT ?",
	[SQL_AGREEMENT_LIST_PARTY] =
	        "SELECT * FROM agreements WHERE name IN (SELECT name FROM agreements"
	        " WHERE party_a = ?1 UNION SELECT name FROM agreements WHERE party_b = ?1)"
	        " AND name > ?2 ORDER BY name LIMIT ?3",
	[SQL_ACKNOWLEDGEMENT_PUT] =
	        "INSERT OR REPLACE INTO acknowledgements VALUES (?, ?, ?, ?, ?)",
	[SQL_ACKNOWLEDGEMENT_LIST] = "SELECT * FROM acknowledgements ORDER BY site, organization",
	[SQL_POLICY_GET_SINCE] = "SELECT received_usec FROM policies WHERE kind = ? AND owner = ?"
	                         " AND version > ? ORDER BY version LIMIT 1",
	[SQL_WORK_ORDER_PUT] =
	        "INSERT INTO work_orders VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
	        " ON CONFLICT (id) DO UPDATE SET state = excluded.state, open = excluded.open,"
	        " changed_usec = excluded.changed_usec, body = excluded.body,"
	        " deletion = excluded.deletion, report = excluded.report, leaf = excluded.leaf",
	[SQL_WORK_ORDER_GET] = "SELECT * FROM work_orders WHERE id = ?",
	[SQL_WORK_ORDER_LIST] = "SELECT * FROM work_orders WHERE id < ? ORDER BY id DESC LIMIT ?",
	[SQL_WORK_ORDER_LIST_PARTY] =
	        "SELECT * FROM work_orders WHERE id IN (SELECT id FROM work_orders"
	        " WHERE organization = ?1 UNION SELECT id FROM work_orders"
	        " WHERE site_organization = ?1) AND id < ?2 ORDER BY id DESC LIMIT ?3",
	[SQL_WORK_ORDER_LIST_OPEN] = "SELECT * FROM work_orders WHERE open = 1 ORDER BY id",
	[SQL_WORK_APPROVAL_PUT] = "INSERT INTO work_approvals VALUES (?, ?, ?, ?)",
	[SQL_WORK_APPROVAL_LIST] =
	        "SELECT * FROM work_approvals WHERE work_order = ? ORDER BY number",
	[SQL_WORK_APPROVAL_GET_DIGEST] = "SELECT * FROM work_approvals WHERE digest = ?",
	[SQL_NOTICE_PUT] = "INSERT OR REPLACE INTO notices VALUES"
	                   " (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
	[SQL_NOTICE_GET] = "SELECT * FROM notices WHERE id = ?",
	[SQL_NOTICE_GET_MESSAGE] = "SELECT * FROM notices WHERE message_id = ? ORDER BY id LIMIT 1",
	[SQL_NOTICE_LIST] = "SELECT * FROM notices WHERE id < ? ORDER BY id DESC LIMIT ?",
	[SQL_NOTICE_LIST_ORGANIZATION] =
	        "SELECT * FROM notices WHERE (site IN (SELECT name FROM sites WHERE organization = "
	        "?1)"
	        " OR received_by IN (SELECT name FROM persons WHERE organization = ?1))"
	        " AND id < ?2 ORDER BY id DESC LIMIT ?3",
	[SQL_OUTBOX_PUT] = "INSERT OR REPLACE INTO outbox VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
	[SQL_OUTBOX_GET] = "SELECT * FROM outbox WHERE id = ?",
	[SQL_OUTBOX_LIST_DUE] = "SELECT * FROM outbox WHERE state = 'waiting' AND next_usec <= ?"
	                        " ORDER BY next_usec LIMIT ?",
	[SQL_OUTBOX_COUNT_WAITING] = "SELECT count(*) FROM outbox WHERE state = 'waiting'",
	[SQL_FILE_PUT] = "INSERT OR REPLACE INTO files VALUES"
	                 " (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
	[SQL_FILE_GET] = "SELECT * FROM files WHERE id = ?",
	[SQL_FILE_LIST] = "SELECT * FROM files WHERE id < ? ORDER BY id DESC LIMIT ?",
	[SQL_FILE_LIST_PARTY] =
	        "SELECT * FROM files WHERE id IN (SELECT id FROM files WHERE from_organization = ?1"
	        " UNION SELECT id FROM files WHERE to_organization = ?1)"
	        " AND id < ?2 ORDER BY id DESC LIMIT ?3",
	[SQL_BEGIN] = "BEGIN IMMEDIATE",
	[SQL_COMMIT] = "COMMIT",
	[SQL_ROLLBACK] = "ROLLBACK",
};

static int database_fault(struct database *database, int code, const char *what)
{
	log_error("database: %s: %s", what, sqlite3_errmsg(database->handle));
	return FAULT((code & 0xff) == SQLITE_FULL ? -ENOSPC : -EIO);
}

static int run_text(struct database *database, const char *text, struct err *err)
{
	if (sqlite3_exec(database->handle, text, NULL, NULL, NULL) != SQLITE_OK) {
		return err_set(err, FAULT(-EIO), "the database refused a step of its set-up: %s",
		        sqlite3_errmsg(database->handle));
	}
	return 0;
}

static int read_version(struct database *database, unsigned *ret_version)
{
	sqlite3_stmt *statement = NULL;
	int r = -EIO;

	if (sqlite3_prepare_v2(database->handle, "PRAGMA user_version", -1, &statement, NULL) ==
	                SQLITE_OK &&
	        sqlite3_step(statement) == SQLITE_ROW) {
		*ret_version = (unsigned)sqlite3_column_int(statement, 0);
		r = 0;
	}
	sqlite3_finalize(statement);
	return r == 0 ? 0 : FAULT(r);
}

/* Each schema file and its number are one transaction: killed at any statement, the migration
 * starts again from the schema before it (F38). */
static int migrate(struct database *database, struct err *err)
{
	unsigned version = 0;
	int r = read_version(database, &version);

	if (r < 0) {
		return err_set(
		        err, r, "the file is not a database: %s", sqlite3_errmsg(database->handle));
	}
	if (version > STORE_SCHEMA_VERSION) {
		return err_set(err, STORE_NEWER,
		        "the database has schema %u and this program knows %u: start the newer "
		        "program",
		        version, STORE_SCHEMA_VERSION);
	}
	for (; version < STORE_SCHEMA_VERSION; version++) {
		AUTO_STRING char *text =
		        mem_format("BEGIN IMMEDIATE;\n%s\nPRAGMA user_version = %u;\nCOMMIT;",
		                store_schema[version], version + 1);

		r = run_text(database, text, err);
		if (r < 0) {
			return r;
		}
	}
	return 0;
}

int database_open(const char *path, struct database **ret_database, struct err *err)
{
	struct database *database = mem_new(1, sizeof(*database));
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
	            SQLITE_OPEN_EXRESCODE;
	mode_t before = umask(0077);
	int r;

	r = sqlite3_open_v2(path, &database->handle, flags, NULL);
	if (r != SQLITE_OK) {
		r = err_set(err, FAULT(-EIO), "cannot open the database %s: %s", path,
		        database->handle ? sqlite3_errmsg(database->handle) : sqlite3_errstr(r));
	} else {
		sqlite3_db_config(database->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
		sqlite3_db_config(database->handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
		/* FULL: NORMAL loses acknowledged rows in a power cut (reliability: 123 to 833). */
		r = run_text(database,
		        "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA "
		        "synchronous = FULL;"
		        "PRAGMA foreign_keys = ON; PRAGMA wal_autocheckpoint = 2000; PRAGMA "
		        "temp_store = MEMORY;",
		        err);
	}
	if (r == 0) {
		r = migrate(database, err);
	}
	umask(before);
	if (r != 0) {
		database_free(database);
		return r < 0 ? FAULT(r) : r;
	}
	*ret_database = database;
	return 0;
}

struct database *database_free(struct database *database)
{
	if (!database) {
		return NULL;
	}
	for (size_t i = 0; i < SQL_COUNT; i++) {
		sqlite3_finalize(database->statements[i]);
	}
	sqlite3_close(database->handle);
	free(database);
	return NULL;
}

bool database_in_transaction(const struct database *database)
{
	return sqlite3_get_autocommit(database->handle) == 0;
}

static int prepare(struct database *database, enum statement_name name, sqlite3_stmt **ret)
{
	if (!database->statements[name]) {
		int r = sqlite3_prepare_v3(database->handle, sql[name], -1,
		        SQLITE_PREPARE_PERSISTENT, &database->statements[name], NULL);

		if (r != SQLITE_OK) {
			return database_fault(database, r, sql[name]);
		}
	}
	*ret = database->statements[name];
	return 0;
}

static int bind_text(sqlite3_stmt *statement, int place, const char *text)
{
	return sqlite3_bind_text(statement, place, text ? text : "", -1, SQLITE_STATIC);
}

/* A zero pointer would bind NULL, which no column of ours takes. */
static int bind_bytes(sqlite3_stmt *statement, int place, const void *bytes, size_t count)
{
	return sqlite3_bind_blob64(statement, place, count > 0 ? bytes : "", count, SQLITE_STATIC);
}

static int bind_values(sqlite3_stmt *statement, const struct value *values)
{
	int r = SQLITE_OK;

	for (int place = 1; r == SQLITE_OK && values->type != VALUE_END; place++, values++) {
		switch (values->type) {
		case VALUE_NUMBER:
			r = sqlite3_bind_int64(statement, place, (int64_t)values->number);
			break;
		case VALUE_TEXT:
			r = bind_text(statement, place, values->bytes);
			break;
		case VALUE_BYTES:
			r = bind_bytes(statement, place, values->bytes, values->count);
			break;
		case VALUE_END:
			break;
		}
	}
	return r;
}

static int bind_row(sqlite3_stmt *statement, const struct column *columns, const void *row)
{
	int r = SQLITE_OK;

	for (int place = 1; r == SQLITE_OK && columns->type != COLUMN_END; place++, columns++) {
		const void *field = (const uint8_t *)row + columns->offset;

		switch (columns->type) {
		case COLUMN_NUMBER:
			r = sqlite3_bind_int64(statement, place, *(const int64_t *)field);
			break;
		case COLUMN_CHARS:
			r = bind_text(statement, place, field);
			break;
		case COLUMN_TEXT:
			r = bind_text(statement, place, *(char *const *)field);
			break;
		case COLUMN_HASH:
			r = bind_bytes(statement, place, field, STORE_HASH_BYTES);
			break;
		case COLUMN_BYTES:
			r = bind_bytes(statement, place, ((const struct buf *)field)->bytes,
			        ((const struct buf *)field)->count);
			break;
		case COLUMN_END:
			break;
		}
	}
	return r;
}

/* Reads one row. Content that does not fit its field is damage, not data (Z16). */
static int read_row(sqlite3_stmt *statement, const struct column *columns, void *row)
{
	for (int place = 0; columns->type != COLUMN_END; place++, columns++) {
		void *field = (uint8_t *)row + columns->offset;
		const void *bytes = NULL;
		size_t count = 0;

		if (columns->type == COLUMN_NUMBER) {
			*(int64_t *)field = sqlite3_column_int64(statement, place);
			continue;
		}
		bytes = columns->type == COLUMN_CHARS || columns->type == COLUMN_TEXT
		                ? (const void *)sqlite3_column_text(statement, place)
		                : sqlite3_column_blob(statement, place);
		count = (size_t)sqlite3_column_bytes(statement, place);
		switch (columns->type) {
		case COLUMN_CHARS:
			if (!bytes || strlen(bytes) != count || count >= columns->bytes) {
				return FAULT(-EBADMSG);
			}
			memcpy(field, bytes, count + 1);
			break;
		case COLUMN_TEXT:
			*(char **)field = mem_string(bytes ? bytes : "");
			break;
		case COLUMN_HASH:
			if (count != STORE_HASH_BYTES) {
				return FAULT(-EBADMSG);
			}
			memcpy(field, bytes, count);
			break;
		case COLUMN_BYTES:
			*(struct buf *)field = BUF(CRL_DER_BYTES_MAX);
			buf_add((struct buf *)field, bytes, count);
			break;
		case COLUMN_NUMBER:
		case COLUMN_END:
			break;
		}
	}
	return 0;
}

void row_clear(const struct column *columns, void *row)
{
	for (; columns->type != COLUMN_END; columns++) {
		void *field = (uint8_t *)row + columns->offset;

		if (columns->type == COLUMN_TEXT) {
			free(*(char **)field);
			*(char **)field = NULL;
		} else if (columns->type == COLUMN_BYTES) {
			buf_clear(field);
		} else if (columns->type == COLUMN_NUMBER) {
			*(int64_t *)field = 0;
		} else {
			memset(field, 0,
			        columns->type == COLUMN_HASH ? STORE_HASH_BYTES : columns->bytes);
		}
	}
}

static int run_prepared(struct database *database, enum statement_name name, int bound)
{
	sqlite3_stmt *statement = database->statements[name];
	int code = bound == SQLITE_OK ? sqlite3_step(statement) : bound;
	int r = code == SQLITE_DONE ? 0 : database_fault(database, code, sql[name]);

	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
	return r;
}

int database_run(struct database *database, enum statement_name name, const struct value *values)
{
	sqlite3_stmt *statement;
	int r = prepare(database, name, &statement);

	return r < 0 ? r : run_prepared(database, name, bind_values(statement, values));
}

int database_put(struct database *database, enum statement_name name, const struct column *columns,
        const void *row)
{
	sqlite3_stmt *statement;
	int r = prepare(database, name, &statement);

	return r < 0 ? r : run_prepared(database, name, bind_row(statement, columns, row));
}

int database_get(struct database *database, enum statement_name name, const struct value *values,
        const struct column *columns, void *row)
{
	sqlite3_stmt *statement;
	int r = prepare(database, name, &statement);
	int code;

	if (r < 0) {
		return r;
	}
	code = bind_values(statement, values);
	if (code == SQLITE_OK) {
		code = sqlite3_step(statement);
	}
	if (code == SQLITE_ROW) {
		r = read_row(statement, columns, row);
		if (r < 0) {
			row_clear(columns, row);
		}
	} else {
		r = code == SQLITE_DONE ? 1 : database_fault(database, code, sql[name]);
	}
	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
	return r;
}

int database_list(struct database *database, enum statement_name name, const struct value *values,
        const struct column *columns, void *row, store_each *each, void *context)
{
	/* Its own statement, so that a callback can run the same list or any other function here.
	 */
	sqlite3_stmt *statement = NULL;
	int code = sqlite3_prepare_v2(database->handle, sql[name], -1, &statement, NULL);
	int r = 0;

	if (code == SQLITE_OK) {
		code = bind_values(statement, values);
	}
	while (code == SQLITE_OK && r == 0) {
		code = sqlite3_step(statement);
		if (code != SQLITE_ROW) {
			break;
		}
		r = read_row(statement, columns, row);
		if (r == 0) {
			r = each(context, row);
		}
		row_clear(columns, row);
		code = SQLITE_OK;
	}
	if (r == 0 && code != SQLITE_DONE) {
		r = database_fault(database, code, sql[name]);
	}
	sqlite3_finalize(statement);
	return r;
}
