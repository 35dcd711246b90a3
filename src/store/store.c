/*
 * The domain's functions over sqlite.c. A table of columns per kind of row says how it lies in its
 * table; everything else here is one call each.
 */
#include "store/store.h"

#include <errno.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "store/store_private.h"

static const struct column operator_columns[] = { ROW_CHARS(store_operator, name),
	ROW_HASH(store_operator, token_hash), ROW_CHARS(store_operator, roles),
	ROW_NUMBER(store_operator, created_usec), ROW_NUMBER(store_operator, expires_usec),
	ROW_END };

static const struct column organization_columns[] = { ROW_CHARS(store_organization, name),
	ROW_CHARS(store_organization, kind), ROW_CHARS(store_organization, title),
	ROW_NUMBER(store_organization, created_usec),
	ROW_CHARS(store_organization, subcontractor_of), ROW_END };

static const struct column site_columns[] = { ROW_CHARS(store_site, name),
	ROW_CHARS(store_site, organization), ROW_BYTES(store_site, owner_spki),
	ROW_NUMBER(store_site, created_usec), ROW_END };

static const struct column statement_columns[] = { ROW_CHARS(store_statement, role),
	ROW_CHARS(store_statement, id), ROW_NUMBER(store_statement, seq),
	ROW_TEXT(store_statement, text), ROW_NUMBER(store_statement, received_usec), ROW_END };

static const struct column policy_columns[] = { ROW_CHARS(store_policy, kind),
	ROW_CHARS(store_policy, owner), ROW_NUMBER(store_policy, version),
	ROW_TEXT(store_policy, text), ROW_NUMBER(store_policy, received_usec), ROW_END };

static const struct column procedure_columns[] = { ROW_CHARS(store_procedure, gateway),
	ROW_CHARS(store_procedure, site), ROW_CHARS(store_procedure, maker),
	ROW_NUMBER(store_procedure, steps), ROW_CHARS(store_procedure, device_serial),
	ROW_TEXT(store_procedure, information), ROW_BYTES(store_procedure, device_certificate),
	ROW_BYTES(store_procedure, device_fingerprint), ROW_NUMBER(store_procedure, created_usec),
	ROW_END };

static const struct column step_columns[] = { ROW_CHARS(store_step, gateway),
	ROW_NUMBER(store_step, step), ROW_CHARS(store_step, by), ROW_NUMBER(store_step, at_usec),
	ROW_NUMBER(store_step, leaf), ROW_END };

static const struct column enrolment_columns[] = { ROW_CHARS(store_enrolment, id),
	ROW_CHARS(store_enrolment, gateway), ROW_BYTES(store_enrolment, csr),
	ROW_HASH(store_enrolment, csr_hash), ROW_BYTES(store_enrolment, tbs),
	ROW_CHARS(store_enrolment, state), ROW_NUMBER(store_enrolment, created_usec),
	ROW_NUMBER(store_enrolment, decided_usec), ROW_CHARS(store_enrolment, decided_by),
	ROW_CHARS(store_enrolment, certificate_serial), ROW_END };

static const struct column certificate_columns[] = { ROW_NUMBER(store_certificate, tier),
	ROW_CHARS(store_certificate, serial), ROW_CHARS(store_certificate, gateway),
	ROW_BYTES(store_certificate, der), ROW_HASH(store_certificate, key_hash),
	ROW_NUMBER(store_certificate, not_before_usec),
	ROW_NUMBER(store_certificate, not_after_usec), ROW_NUMBER(store_certificate, revoked_usec),
	ROW_NUMBER(store_certificate, reason), ROW_NUMBER(store_certificate, leaf), ROW_END };

static const struct column crl_columns[] = { ROW_NUMBER(store_crl, tier),
	ROW_NUMBER(store_crl, number), ROW_BYTES(store_crl, der),
	ROW_NUMBER(store_crl, this_update_usec), ROW_NUMBER(store_crl, next_update_usec), ROW_END };

static const struct column connection_columns[] = { ROW_CHARS(store_connection, id),
	ROW_NUMBER(store_connection, number), ROW_CHARS(store_connection, state),
	ROW_NUMBER(store_connection, reports), ROW_CHARS(store_connection, initiator_site),
	ROW_CHARS(store_connection, responder_site), ROW_NUMBER(store_connection, changed_usec),
	ROW_NUMBER(store_connection, live), ROW_CHARS(store_connection, by),
	ROW_CHARS(store_connection, reason), ROW_TEXT(store_connection, grant),
	ROW_NUMBER(store_connection, leaf), ROW_END };

static const struct column journal_columns[] = { ROW_CHARS(store_journal, gateway),
	ROW_NUMBER(store_journal, next_seq), ROW_HASH(store_journal, head), ROW_END };

static const struct column journal_record_columns[] = { ROW_CHARS(store_journal_record, gateway),
	ROW_NUMBER(store_journal_record, seq), ROW_BYTES(store_journal_record, bytes), ROW_END };

static const struct column leaf_columns[] = { ROW_NUMBER(store_leaf, leaf),
	ROW_BYTES(store_leaf, bytes), ROW_END };

static const struct column checkpoint_columns[] = { ROW_NUMBER(store_checkpoint, size),
	ROW_HASH(store_checkpoint, root), ROW_TEXT(store_checkpoint, note),
	ROW_NUMBER(store_checkpoint, signed_usec), ROW_END };

static const struct column person_columns[] = { ROW_CHARS(store_person, name),
	ROW_HASH(store_person, token_hash), ROW_CHARS(store_person, organization),
	ROW_CHARS(store_person, title), ROW_CHARS(store_person, roles),
	ROW_CHARS(store_person, natural_person), ROW_CHARS(store_person, mail),
	ROW_BYTES(store_person, spki), ROW_BYTES(store_person, totp),
	ROW_NUMBER(store_person, totp_step), ROW_NUMBER(store_person, wrong),
	ROW_NUMBER(store_person, locked_usec), ROW_CHARS(store_person, state),
	ROW_NUMBER(store_person, created_usec), ROW_NUMBER(store_person, left_usec),
	ROW_CHARS(store_person, left_reason), ROW_NUMBER(store_person, login_usec),
	ROW_NUMBER(store_person, confirmed_usec), ROW_END };

static const struct column session_columns[] = { ROW_HASH(store_session, token_hash),
	ROW_CHARS(store_session, person), ROW_CHARS(store_session, factor),
	ROW_CHARS(store_session, address), ROW_NUMBER(store_session, created_usec),
	ROW_NUMBER(store_session, expires_usec), ROW_END };

static const struct column agreement_columns[] = { ROW_CHARS(store_agreement, name),
	ROW_CHARS(store_agreement, state), ROW_CHARS(store_agreement, party_a),
	ROW_CHARS(store_agreement, party_b), ROW_TEXT(store_agreement, text),
	ROW_CHARS(store_agreement, signer_a), ROW_NUMBER(store_agreement, signed_a_usec),
	ROW_CHARS(store_agreement, signer_b), ROW_NUMBER(store_agreement, signed_b_usec),
	ROW_CHARS(store_agreement, created_by), ROW_NUMBER(store_agreement, created_usec),
	ROW_CHARS(store_agreement, ended_by), ROW_CHARS(store_agreement, ended_reason),
	ROW_NUMBER(store_agreement, ended_usec), ROW_NUMBER(store_agreement, leaf), ROW_END };

static const struct column acknowledgement_columns[] = {
	ROW_CHARS(store_acknowledgement, organization), ROW_CHARS(store_acknowledgement, site),
	ROW_NUMBER(store_acknowledgement, version), ROW_CHARS(store_acknowledgement, person),
	ROW_NUMBER(store_acknowledgement, at_usec), ROW_END
};

static const struct column number_columns[] = { { COLUMN_NUMBER, 0, 0 }, ROW_END };
static const struct column hash_columns[] = { { COLUMN_HASH, 0, 0 }, ROW_END };

static const struct column *const row_columns[STORE_KIND_COUNT] = {
	[STORE_OPERATOR] = operator_columns,
	[STORE_ORGANIZATION] = organization_columns,
	[STORE_SITE] = site_columns,
	[STORE_STATEMENT] = statement_columns,
	[STORE_POLICY] = policy_columns,
	[STORE_PROCEDURE] = procedure_columns,
	[STORE_STEP] = step_columns,
	[STORE_ENROLMENT] = enrolment_columns,
	[STORE_CERTIFICATE] = certificate_columns,
	[STORE_CRL] = crl_columns,
	[STORE_CONNECTION] = connection_columns,
	[STORE_JOURNAL] = journal_columns,
	[STORE_JOURNAL_RECORD] = journal_record_columns,
	[STORE_LEAF] = leaf_columns,
	[STORE_CHECKPOINT] = checkpoint_columns,
	[STORE_WORK_ORDER] = work_order_columns,
	[STORE_WORK_APPROVAL] = work_approval_columns,
	[STORE_NOTICE] = notice_columns,
	[STORE_OUTBOX] = outbox_columns,
	[STORE_FILE] = file_columns,
	[STORE_PERSON] = person_columns,
	[STORE_SESSION] = session_columns,
	[STORE_AGREEMENT] = agreement_columns,
	[STORE_ACKNOWLEDGEMENT] = acknowledgement_columns,
};

void store_row_clear(enum store_kind kind, void *row)
{
	row_clear(row_columns[kind], row);
}

/* The second and third line of a checkpoint note (C2SP tlog-checkpoint): size and root. */
static int read_note(const char *note, uint64_t *ret_size, struct hash *ret_root)
{
	AUTO_STRING char *copy = mem_string(note);
	AUTO_BUF struct buf root = BUF(HASH_BYTES);
	char *rest = copy, *size, *text;

	strsep(&rest, "\n");
	size = strsep(&rest, "\n");
	text = strsep(&rest, "\n");
	if (!size || !text || unsigned_parse(size, INT64_MAX, ret_size) != 0 ||
	        base64_parse(text, strlen(text), &root) != 0 || root.count != HASH_BYTES) {
		return 1;
	}
	memcpy(ret_root->bytes, root.bytes, HASH_BYTES);
	return 0;
}

/* The copy of the newest published checkpoint must be a beginning of this database (F35). */
static int check_published(struct store *store, struct err *err)
{
	AUTO_BUF struct buf note = BUF(64 << 10);
	struct store_checkpoint known = { 0 };
	struct merkle_store nodes = store_merkle(store);
	struct hash published, own;
	uint64_t size, count = 0;
	int r;

	r = store_checkpoint_get(store, &known);
	store_row_clear(STORE_CHECKPOINT, &known);
	if (r < 0) {
		return r;
	}
	if (file_read(store->checkpoint_path, &note, err) < 0) {
		/* A database without a checkpoint has published none. */
		return r == 1 ? 0
		              : err_set(err, STORE_BEHIND,
		                        "%s is missing: without the copy of the newest published "
		                        "checkpoint it "
		                        "cannot be told whether this database is older than what "
		                        "was published; "
		                        "restore the file",
		                        store->checkpoint_path);
	}
	if (read_note(buf_text(&note), &size, &published) != 0) {
		return err_set(
		        err, STORE_BEHIND, "%s does not hold a checkpoint", store->checkpoint_path);
	}
	r = store_leaf_count(store, &count);
	if (r < 0) {
		return r;
	}
	if (count < size) {
		return err_set(err, STORE_BEHIND,
		        "the database has %llu ledger records, but a checkpoint of %llu was "
		        "published (%s): it is "
		        "an older copy; restore the newest one",
		        (unsigned long long)count, (unsigned long long)size,
		        store->checkpoint_path);
	}
	r = merkle_root_at(&nodes, size, &own, err);
	if (r < 0) {
		return FAULT(r);
	}
	if (!hash_equal(&own, &published)) {
		return err_set(err, STORE_BEHIND,
		        "the first %llu ledger records are not those of the published checkpoint "
		        "(%s)",
		        (unsigned long long)size, store->checkpoint_path);
	}
	return 0;
}

int store_open(
        const char *path, const char *checkpoint_path, struct store **ret_store, struct err *err)
{
	struct store *store = mem_new(1, sizeof(*store));
	int r;

	store->checkpoint_path = mem_string(checkpoint_path);
	r = database_open(path, &store->database, err);
	if (r == 0) {
		err_set(err, 0, "%s", "");
		r = check_published(store, err);
	}
	if (r != 0) {
		store_free(store);
		return r;
	}
	*ret_store = store;
	return 0;
}

struct store *store_free(struct store *store)
{
	if (store) {
		database_free(store->database);
		free(store->checkpoint_path);
		free(store);
	}
	return NULL;
}

int store_begin(struct store *store)
{
	return database_run(store->database, SQL_BEGIN, NO_VALUES);
}

int store_commit(struct store *store)
{
	return database_run(store->database, SQL_COMMIT, NO_VALUES);
}

int store_rollback(struct store *store)
{
	return database_run(store->database, SQL_ROLLBACK, NO_VALUES);
}

bool store_in_transaction(const struct store *store)
{
	return database_in_transaction(store->database);
}

int store_counter_get(struct store *store, const char *name, uint64_t *ret_value)
{
	int r = database_get(
	        store->database, SQL_COUNTER_GET, VALUES(TEXT(name)), number_columns, ret_value);

	if (r == 1) {
		*ret_value = 0;
	}
	return r < 0 ? r : 0;
}

int store_counter_put(struct store *store, const char *name, uint64_t value)
{
	return database_run(store->database, SQL_COUNTER_PUT, VALUES(TEXT(name), NUMBER(value)));
}

int store_operator_put(struct store *store, const struct store_operator *row)
{
	return database_put(store->database, SQL_OPERATOR_PUT, operator_columns, row);
}

int store_operator_get(struct store *store, const char *name, struct store_operator *row)
{
	return database_get(
	        store->database, SQL_OPERATOR_GET, VALUES(TEXT(name)), operator_columns, row);
}

int store_operator_get_token(
        struct store *store, const uint8_t hash[STORE_HASH_BYTES], struct store_operator *row)
{
	return database_get(store->database, SQL_OPERATOR_GET_TOKEN,
	        VALUES(BYTES(hash, STORE_HASH_BYTES)), operator_columns, row);
}

int store_operator_delete(struct store *store, const char *name)
{
	return database_run(store->database, SQL_OPERATOR_DELETE, VALUES(TEXT(name)));
}

int store_operator_list(
        struct store *store, const char *after, uint64_t limit, store_each *each, void *context)
{
	struct store_operator row = { 0 };

	return database_list(store->database, SQL_OPERATOR_LIST, VALUES(TEXT(after), NUMBER(limit)),
	        operator_columns, &row, each, context);
}

int store_organization_put(struct store *store, const struct store_organization *row)
{
	return database_put(store->database, SQL_ORGANIZATION_PUT, organization_columns, row);
}

int store_organization_get(struct store *store, const char *name, struct store_organization *row)
{
	return database_get(store->database, SQL_ORGANIZATION_GET, VALUES(TEXT(name)),
	        organization_columns, row);
}

int store_organization_list(
        struct store *store, const char *after, uint64_t limit, store_each *each, void *context)
{
	struct store_organization row = { 0 };

	return database_list(store->database, SQL_ORGANIZATION_LIST,
	        VALUES(TEXT(after), NUMBER(limit)), organization_columns, &row, each, context);
}

int store_person_put(struct store *store, const struct store_person *row)
{
	return database_put(store->database, SQL_PERSON_PUT, person_columns, row);
}

int store_person_get(struct store *store, const char *name, struct store_person *row)
{
	return database_get(
	        store->database, SQL_PERSON_GET, VALUES(TEXT(name)), person_columns, row);
}

int store_person_get_token(
        struct store *store, const uint8_t hash[STORE_HASH_BYTES], struct store_person *row)
{
	return database_get(store->database, SQL_PERSON_GET_TOKEN,
	        VALUES(BYTES(hash, STORE_HASH_BYTES)), person_columns, row);
}

int store_person_get_natural(struct store *store, const char *organization,
        const char *natural_person, struct store_person *row)
{
	return database_get(store->database, SQL_PERSON_GET_NATURAL,
	        VALUES(TEXT(organization), TEXT(natural_person)), person_columns, row);
}

int store_person_list_natural(
        struct store *store, const char *natural_person, store_each *each, void *context)
{
	struct store_person row = { 0 };

	return database_list(store->database, SQL_PERSON_LIST_NATURAL, VALUES(TEXT(natural_person)),
	        person_columns, &row, each, context);
}

int store_person_list(struct store *store, const char *organization, const char *after,
        uint64_t limit, store_each *each, void *context)
{
	struct store_person row = { 0 };

	if (!organization) {
		return database_list(store->database, SQL_PERSON_LIST,
		        VALUES(TEXT(after), NUMBER(limit)), person_columns, &row, each, context);
	}
	return database_list(store->database, SQL_PERSON_LIST_ORGANIZATION,
	        VALUES(TEXT(organization), TEXT(after), NUMBER(limit)), person_columns, &row, each,
	        context);
}

int store_session_put(struct store *store, const struct store_session *row)
{
	return database_put(store->database, SQL_SESSION_PUT, session_columns, row);
}

int store_session_get(
        struct store *store, const uint8_t hash[STORE_HASH_BYTES], struct store_session *row)
{
	return database_get(store->database, SQL_SESSION_GET, VALUES(BYTES(hash, STORE_HASH_BYTES)),
	        session_columns, row);
}

int store_session_delete(struct store *store, const uint8_t hash[STORE_HASH_BYTES])
{
	return database_run(
	        store->database, SQL_SESSION_DELETE, VALUES(BYTES(hash, STORE_HASH_BYTES)));
}

int store_session_delete_person(struct store *store, const char *person)
{
	return database_run(store->database, SQL_SESSION_DELETE_PERSON, VALUES(TEXT(person)));
}

int store_session_delete_expired(struct store *store, int64_t usec)
{
	return database_run(store->database, SQL_SESSION_DELETE_EXPIRED, VALUES(NUMBER(usec)));
}

int store_session_count(struct store *store, const char *person, int64_t usec, uint64_t *ret_count)
{
	return database_get(store->database, SQL_SESSION_COUNT, VALUES(TEXT(person), NUMBER(usec)),
	        number_columns, ret_count);
}

int store_agreement_put(struct store *store, const struct store_agreement *row)
{
	return database_put(store->database, SQL_AGREEMENT_PUT, agreement_columns, row);
}

int store_agreement_get(struct store *store, const char *name, struct store_agreement *row)
{
	return database_get(
	        store->database, SQL_AGREEMENT_GET, VALUES(TEXT(name)), agreement_columns, row);
}

int store_agreement_list(struct store *store, const char *organization, const char *after,
        uint64_t limit, store_each *each, void *context)
{
	struct store_agreement row = { 0 };

	if (!organization) {
		return database_list(store->database, SQL_AGREEMENT_LIST,
		        VALUES(TEXT(after), NUMBER(limit)), agreement_columns, &row, each, context);
	}
	return database_list(store->database, SQL_AGREEMENT_LIST_PARTY,
	        VALUES(TEXT(organization), TEXT(after), NUMBER(limit)), agreement_columns, &row,
	        each, context);
}

int store_acknowledgement_put(struct store *store, const struct store_acknowledgement *row)
{
	return database_put(store->database, SQL_ACKNOWLEDGEMENT_PUT, acknowledgement_columns, row);
}

int store_acknowledgement_list(struct store *store, store_each *each, void *context)
{
	struct store_acknowledgement row = { 0 };

	return database_list(store->database, SQL_ACKNOWLEDGEMENT_LIST, NO_VALUES,
	        acknowledgement_columns, &row, each, context);
}

int store_site_put(struct store *store, const struct store_site *row)
{
	return database_put(store->database, SQL_SITE_PUT, site_columns, row);
}

int store_site_get(struct store *store, const char *name, struct store_site *row)
{
	return database_get(store->database, SQL_SITE_GET, VALUES(TEXT(name)), site_columns, row);
}

int store_site_list(
        struct store *store, const char *after, uint64_t limit, store_each *each, void *context)
{
	struct store_site row = { 0 };

	return database_list(store->database, SQL_SITE_LIST, VALUES(TEXT(after), NUMBER(limit)),
	        site_columns, &row, each, context);
}

int store_statement_put(struct store *store, const struct store_statement *row)
{
	return database_put(store->database, SQL_STATEMENT_PUT, statement_columns, row);
}

int store_statement_list(struct store *store, store_each *each, void *context)
{
	struct store_statement row = { 0 };

	return database_list(store->database, SQL_STATEMENT_LIST, NO_VALUES, statement_columns,
	        &row, each, context);
}

int store_policy_put(struct store *store, const struct store_policy *row)
{
	return database_put(store->database, SQL_POLICY_PUT, policy_columns, row);
}

int store_policy_get(
        struct store *store, const char *kind, const char *owner, struct store_policy *row)
{
	return database_get(store->database, SQL_POLICY_GET, VALUES(TEXT(kind), TEXT(owner)),
	        policy_columns, row);
}

int store_policy_list(struct store *store, const char *kind, store_each *each, void *context)
{
	struct store_policy row = { 0 };

	return database_list(store->database, SQL_POLICY_LIST, VALUES(TEXT(kind)), policy_columns,
	        &row, each, context);
}

int store_policy_get_since(struct store *store, const char *kind, const char *owner,
        uint64_t version, int64_t *ret_usec)
{
	return database_get(store->database, SQL_POLICY_GET_SINCE,
	        VALUES(TEXT(kind), TEXT(owner), NUMBER(version)), number_columns, ret_usec);
}

int store_procedure_put(struct store *store, const struct store_procedure *row)
{
	return database_put(store->database, SQL_PROCEDURE_PUT, procedure_columns, row);
}

int store_procedure_get(struct store *store, const char *gateway, struct store_procedure *row)
{
	return database_get(
	        store->database, SQL_PROCEDURE_GET, VALUES(TEXT(gateway)), procedure_columns, row);
}

int store_procedure_get_device(struct store *store, const uint8_t fingerprint[STORE_HASH_BYTES],
        struct store_procedure *row)
{
	return database_get(store->database, SQL_PROCEDURE_GET_DEVICE,
	        VALUES(BYTES(fingerprint, STORE_HASH_BYTES)), procedure_columns, row);
}

int store_procedure_get_serial(
        struct store *store, const char *maker, const char *serial, struct store_procedure *row)
{
	return database_get(store->database, SQL_PROCEDURE_GET_SERIAL,
	        VALUES(TEXT(maker), TEXT(serial)), procedure_columns, row);
}

int store_procedure_list(struct store *store, const char *site, const char *maker,
        const char *after, uint64_t limit, store_each *each, void *context)
{
	struct store_procedure row = { 0 };

	if (!site && !maker) {
		return database_list(store->database, SQL_PROCEDURE_LIST,
		        VALUES(TEXT(after), NUMBER(limit)), procedure_columns, &row, each, context);
	}
	return database_list(store->database,
	        site ? SQL_PROCEDURE_LIST_SITE : SQL_PROCEDURE_LIST_MAKER,
	        VALUES(TEXT(site ? site : maker), TEXT(after), NUMBER(limit)), procedure_columns,
	        &row, each, context);
}

int store_step_put(struct store *store, const struct store_step *row)
{
	return database_put(store->database, SQL_STEP_PUT, step_columns, row);
}

int store_step_list(struct store *store, const char *gateway, store_each *each, void *context)
{
	struct store_step row = { 0 };

	return database_list(store->database, SQL_STEP_LIST, VALUES(TEXT(gateway)), step_columns,
	        &row, each, context);
}

int store_enrolment_put(struct store *store, const struct store_enrolment *row)
{
	return database_put(store->database, SQL_ENROLMENT_PUT, enrolment_columns, row);
}

int store_enrolment_get(struct store *store, const char *id, struct store_enrolment *row)
{
	return database_get(
	        store->database, SQL_ENROLMENT_GET, VALUES(TEXT(id)), enrolment_columns, row);
}

int store_enrolment_get_gateway(
        struct store *store, const char *gateway, struct store_enrolment *row)
{
	return database_get(store->database, SQL_ENROLMENT_GET_GATEWAY, VALUES(TEXT(gateway)),
	        enrolment_columns, row);
}

int store_enrolment_list(
        struct store *store, const char *after, uint64_t limit, store_each *each, void *context)
{
	struct store_enrolment row = { 0 };

	return database_list(store->database, SQL_ENROLMENT_LIST,
	        VALUES(TEXT(after), NUMBER(limit)), enrolment_columns, &row, each, context);
}

int store_certificate_put(struct store *store, const struct store_certificate *row)
{
	return database_put(store->database, SQL_CERTIFICATE_PUT, certificate_columns, row);
}

int store_certificate_get(
        struct store *store, uint64_t tier, const char *serial, struct store_certificate *row)
{
	return database_get(store->database, SQL_CERTIFICATE_GET,
	        VALUES(NUMBER(tier), TEXT(serial)), certificate_columns, row);
}

int store_certificate_get_gateway(
        struct store *store, uint64_t tier, const char *gateway, struct store_certificate *row)
{
	return database_get(store->database, SQL_CERTIFICATE_GET_GATEWAY,
	        VALUES(NUMBER(tier), TEXT(gateway)), certificate_columns, row);
}

int store_certificate_get_key(struct store *store, const uint8_t key_hash[STORE_HASH_BYTES],
        struct store_certificate *row)
{
	return database_get(store->database, SQL_CERTIFICATE_GET_KEY,
	        VALUES(BYTES(key_hash, STORE_HASH_BYTES)), certificate_columns, row);
}

int store_certificate_list(struct store *store, uint64_t tier, const char *after, uint64_t limit,
        store_each *each, void *context)
{
	struct store_certificate row = { 0 };

	return database_list(store->database, SQL_CERTIFICATE_LIST,
	        VALUES(NUMBER(tier), TEXT(after), NUMBER(limit)), certificate_columns, &row, each,
	        context);
}

int store_certificate_list_revoked(
        struct store *store, uint64_t tier, store_each *each, void *context)
{
	struct store_certificate row = { 0 };

	return database_list(store->database, SQL_CERTIFICATE_LIST_REVOKED, VALUES(NUMBER(tier)),
	        certificate_columns, &row, each, context);
}

int store_crl_put(struct store *store, const struct store_crl *row)
{
	return database_put(store->database, SQL_CRL_PUT, crl_columns, row);
}

int store_crl_get(struct store *store, uint64_t tier, struct store_crl *row)
{
	return database_get(store->database, SQL_CRL_GET, VALUES(NUMBER(tier)), crl_columns, row);
}

int store_connection_put(struct store *store, const struct store_connection *row)
{
	return database_put(store->database, SQL_CONNECTION_PUT, connection_columns, row);
}

int store_connection_get(struct store *store, const char *id, struct store_connection *row)
{
	return database_get(
	        store->database, SQL_CONNECTION_GET, VALUES(TEXT(id)), connection_columns, row);
}

int store_connection_list(struct store *store, const char *site, const char *before, uint64_t limit,
        store_each *each, void *context)
{
	struct store_connection row = { 0 };

	/* A tilde sorts behind every id. */
	if (!before || !*before) {
		before = "~";
	}
	if (!site) {
		return database_list(store->database, SQL_CONNECTION_LIST,
		        VALUES(TEXT(before), NUMBER(limit)), connection_columns, &row, each,
		        context);
	}
	return database_list(store->database, SQL_CONNECTION_LIST_SITE,
	        VALUES(TEXT(site), TEXT(before), NUMBER(limit)), connection_columns, &row, each,
	        context);
}

int store_connection_list_organization(struct store *store, const char *organization,
        const char *before, uint64_t limit, store_each *each, void *context)
{
	struct store_connection row = { 0 };

	return database_list(store->database, SQL_CONNECTION_LIST_ORGANIZATION,
	        VALUES(TEXT(organization), TEXT(before && *before ? before : "~"), NUMBER(limit)),
	        connection_columns, &row, each, context);
}

int store_connection_list_live(struct store *store, store_each *each, void *context)
{
	struct store_connection row = { 0 };

	return database_list(store->database, SQL_CONNECTION_LIST_LIVE, NO_VALUES,
	        connection_columns, &row, each, context);
}

int store_connection_number(struct store *store, uint64_t *ret_number)
{
	return database_get(
	        store->database, SQL_CONNECTION_NUMBER, NO_VALUES, number_columns, ret_number);
}

int store_journal_put(struct store *store, const struct store_journal *row)
{
	return database_put(store->database, SQL_JOURNAL_PUT, journal_columns, row);
}

int store_journal_get(struct store *store, const char *gateway, struct store_journal *row)
{
	return database_get(
	        store->database, SQL_JOURNAL_GET, VALUES(TEXT(gateway)), journal_columns, row);
}

int store_journal_record_put(struct store *store, const struct store_journal_record *row)
{
	return database_put(store->database, SQL_JOURNAL_RECORD_PUT, journal_record_columns, row);
}

int store_journal_record_list(struct store *store, const char *gateway, uint64_t from,
        uint64_t limit, store_each *each, void *context)
{
	struct store_journal_record row = { 0 };

	return database_list(store->database, SQL_JOURNAL_RECORD_LIST,
	        VALUES(TEXT(gateway), NUMBER(from), NUMBER(limit)), journal_record_columns, &row,
	        each, context);
}

int store_leaf_append(struct store *store, uint64_t leaf, const void *bytes, size_t count)
{
	uint64_t next = 0;
	int r = store_leaf_count(store, &next);

	if (r < 0) {
		return r;
	}
	if (leaf != next) {
		log_error("ledger: leaf %llu cannot follow %llu", (unsigned long long)leaf,
		        (unsigned long long)next);
		return FAULT(-EBADMSG);
	}
	return database_run(
	        store->database, SQL_LEAF_APPEND, VALUES(NUMBER(leaf), BYTES(bytes, count)));
}

int store_leaf_count(struct store *store, uint64_t *ret_count)
{
	return database_get(store->database, SQL_LEAF_COUNT, NO_VALUES, number_columns, ret_count);
}

int store_leaf_list(
        struct store *store, uint64_t from, uint64_t limit, store_each *each, void *context)
{
	struct store_leaf row = { 0 };

	return database_list(store->database, SQL_LEAF_LIST, VALUES(NUMBER(from), NUMBER(limit)),
	        leaf_columns, &row, each, context);
}

static int node_get(
        void *context, unsigned level, uint64_t index, struct hash *ret_hash, struct err *err)
{
	struct store *store = context;
	int r = database_get(store->database, SQL_NODE_GET, VALUES(NUMBER(level), NUMBER(index)),
	        hash_columns, ret_hash->bytes);

	return r == 0 ? 0
	              : err_set(err, FAULT(r < 0 ? r : -ENODATA),
	                        "ledger node %u/%llu cannot be read", level,
	                        (unsigned long long)index);
}

static int node_put(
        void *context, unsigned level, uint64_t index, const struct hash *hash, struct err *err)
{
	struct store *store = context;
	int r = database_run(store->database, SQL_NODE_PUT,
	        VALUES(NUMBER(level), NUMBER(index), BYTES(hash->bytes, HASH_BYTES)));

	return r == 0 ? 0
	              : err_set(err, FAULT(r), "ledger node %u/%llu cannot be written", level,
	                        (unsigned long long)index);
}

struct merkle_store store_merkle(struct store *store)
{
	return (struct merkle_store){ .get = node_get, .put = node_put, .context = store };
}

int store_checkpoint_put(struct store *store, const struct store_checkpoint *row)
{
	struct err err = { 0 };
	int r = file_replace(store->checkpoint_path, row->note, strlen(row->note), 0600, &err);

	if (r < 0) {
		log_error("%s", err.text);
		return FAULT(r);
	}
	return database_put(store->database, SQL_CHECKPOINT_PUT, checkpoint_columns, row);
}

int store_checkpoint_get(struct store *store, struct store_checkpoint *row)
{
	return database_get(
	        store->database, SQL_CHECKPOINT_GET, NO_VALUES, checkpoint_columns, row);
}
