#include "center/sessions.h"

#include <stdio.h>
#include <string.h>

#include "center/ledger.h"
#include "center/registry.h"
#include "center/routes.h"
#include "pki/cert.h"
#include "pki/totp.h"

/* The sites of the person's organization are the person's own (roles.h). */
static bool own_site(const void *context, const char *name)
{
	const struct exchange *exchange = context;
	const struct site_entry *site = registry_site(exchange->center, name);

	return site && text_equal(site->organization, exchange->person->organization);
}

static void become(struct exchange *exchange, const struct person *person, bool session)
{
	exchange->person = person;
	exchange->session = session;
	exchange->center->factor = session ? FACTOR_TWO : FACTOR_ONE;
	exchange->roles = (struct roles){ .owns = own_site, .context = exchange };
	if (person->roles & 1U << PERSON_PROVIDER_OPERATOR) {
		exchange->roles.set |= ROLE_PROVIDER;
	}
	if (person->roles & 1U << PERSON_AUDITOR) {
		exchange->roles.set |= ROLE_AUDITOR;
	}
	memcpy(exchange->operator_name, person->name, sizeof(exchange->operator_name));
	exchange->center->actor_type = "person";
	exchange->center->actor_name = exchange->operator_name;
}

static int become_active(struct exchange *exchange, const char *name, bool session, struct err *err)
{
	const struct person *person = persons_get(exchange->center, name);

	if (!person || !person->active) {
		return err_set(err, 1, "the token is no longer valid");
	}
	become(exchange, person, session);
	return 0;
}

int session_identify(
        struct exchange *exchange, const uint8_t hash[STORE_HASH_BYTES], struct err *err)
{
	struct store *store = exchange->center->store;
	struct store_session session = { 0 };
	struct store_person row = { 0 };
	int r = store_session_get(store, hash, &session);

	core_must(r < 0 ? r : 0, "look for a session");
	if (r == 0) {
		if (session.expires_usec <= clock_wall_usec()) {
			return err_set(err, 1, "the session is over: log in again");
		}
		memcpy(exchange->session_hash, hash, STORE_HASH_BYTES);
		return become_active(exchange, session.person, true, err);
	}
	r = store_person_get_token(store, hash, &row);
	core_must(r < 0 ? r : 0, "look for a person");
	if (r == 0) {
		r = become_active(exchange, row.name, false, err);
		store_row_clear(STORE_PERSON, &row);
		return r;
	}
	return err_set(err, 1, "a valid bearer token is needed");
}

static void lock(struct center *center, struct store_person *row, int64_t now)
{
	struct record *record = ledger_record(center, "person.locked", row->name);

	row->locked_usec = now + (int64_t)SESSION_LOCK_SEC * USEC_PER_SEC;
	row->wrong = 0;
	record_number(record, "wrong", SESSION_CODES_WRONG_MAX);
	record_time(record, "until", row->locked_usec);
	ledger_append(center, record);
}

static int take_code(
        struct center *center, struct store_person *row, const char *code, struct err *err)
{
	int64_t now = clock_wall_usec();
	int r;

	if (row->locked_usec > now) {
		return err_set(err, 1, "the account is locked until %s",
		        time_print(row->locked_usec).text);
	}
	r = totp_check(
	        row->totp.bytes, row->totp.count, code, now, row->totp_step, &row->totp_step);
	if (r == TOTP_MALFORMED) {
		return err_set(err, 1, "code: must be six digits");
	}
	if (r == TOTP_USED) {
		return err_set(err, 1, "code: this code was used before: wait for the next one");
	}
	ledger_begin(center);
	if (r == TOTP_WRONG) {
		if (++row->wrong >= SESSION_CODES_WRONG_MAX) {
			lock(center, row, now);
		}
		core_must(store_person_put(center->store, row), "count a wrong code");
		return err_set(err, 1, "code: is wrong");
	}
	row->wrong = 0;
	core_must(store_person_put(center->store, row), "take a code");
	return 0;
}

int session_code_take(struct center *center, const char *person, const char *code, struct err *err)
{
	struct store_person row = { 0 };
	int r = store_person_get(center->store, person, &row);

	core_must(r < 0 ? r : 0, "read a person");
	if (r != 0 || !text_equal(row.state, "active")) {
		r = err_set(err, 1, "there is no such person");
	} else {
		r = take_code(center, &row, code, err);
	}
	store_row_clear(STORE_PERSON, &row);
	return r;
}

/* The other second factor: the TLS client certificate of this connection is over the person's own
 * key. Its issuer does not matter, possession of the key was proved in the handshake. */
static bool has_own_key(const struct exchange *exchange)
{
	const struct request *request = exchange->request;
	AUTO(cert) struct cert *cert = NULL;
	struct store_person row = { 0 };
	int64_t now = clock_wall_usec();
	struct err err = { 0 };
	const uint8_t *spki;
	size_t count;
	bool same;
	int r;

	if (request->chain_count == 0 ||
	        cert_parse(request->chain[0].der, request->chain[0].bytes, &cert, &err) != 0 ||
	        now < cert_not_before_usec(cert) || now >= cert_not_after_usec(cert)) {
		return false;
	}
	r = store_person_get(exchange->center->store, exchange->person->name, &row);
	core_must(r < 0 ? r : 0, "read a person");
	spki = cert_spki(cert, &count);
	same = r == 0 && row.spki.count > 0 && row.spki.count == count &&
	       memcmp(row.spki.bytes, spki, count) == 0;
	store_row_clear(STORE_PERSON, &row);
	return same;
}

struct login {
	char code[16];
};

static const struct json_field login_fields[] = {
	{ JSON_FIELD("code", FIELD_TEXT, struct login, code), .min = 1, .max = 15 },
	{ 0 },
};

/* Which second factor there is. Outcome 1: answered. */
static int second_factor(struct exchange *exchange, const char **ret_factor)
{
	struct login login = { 0 };
	struct err err = { 0 };

	if (exchange->request->body_bytes > 0 &&
	        exchange_body(exchange, login_fields, &login) != 0) {
		return 1;
	}
	if (*login.code) {
		*ret_factor = "totp";
		if (session_code_take(exchange->center, exchange->person->name, login.code, &err) !=
		        0) {
			answer_problem(exchange, 403, "%s", err.text);
			return 1;
		}
		return 0;
	}
	*ret_factor = "certificate";
	if (!has_own_key(exchange)) {
		answer_problem(exchange, 403,
		        "a second factor is needed: code, or a client certificate over the "
		        "person's own key");
		return 1;
	}
	return 0;
}

/* Notes the login and returns when the one before was. */
static int64_t note_login(struct center *center, const char *person, int64_t now)
{
	struct store_person row = { 0 };
	int64_t before;

	core_must(store_person_get(center->store, person, &row), "read a person");
	before = row.login_usec;
	row.login_usec = now;
	core_must(store_person_put(center->store, &row), "note a login");
	store_row_clear(STORE_PERSON, &row);
	return before;
}

void sessions_post(struct exchange *exchange)
{
	struct center *center = exchange->center;
	const struct person *person = exchange->person;
	struct store_session row = { .created_usec = clock_wall_usec() };
	struct token_text token;
	struct record *record;
	const char *factor;
	uint64_t count = 0;
	int64_t before;
	json_t *body;

	core_must(store_session_count(center->store, person->name, row.created_usec, &count),
	        "count sessions");
	if (count >= SESSIONS_PER_PERSON_MAX) {
		answer_problem(exchange, 409, "%s has %u sessions: log out of one of them",
		        person->name, (unsigned)count);
		return;
	}
	if (second_factor(exchange, &factor) != 0) {
		return;
	}
	row.expires_usec = row.created_usec + (int64_t)SESSION_SEC_MAX * USEC_PER_SEC;
	memcpy(row.person, person->name, sizeof(row.person));
	snprintf(row.factor, sizeof(row.factor), "%s", factor);
	snprintf(row.address, sizeof(row.address), "%s", exchange->request->peer_address);
	token = exchange_token_new(row.token_hash);
	ledger_begin(center);
	core_must(store_session_delete_expired(center->store, row.created_usec), "clear sessions");
	core_must(store_session_put(center->store, &row), "keep a session");
	before = note_login(center, person->name, row.created_usec);
	record = ledger_record(center, "session.opened", person->name);
	record_text(record, "factor", factor);
	record_text(record, "address", row.address);
	record_time(record, "expires", row.expires_usec);
	body = json_pack("{ss ss ss ss ss}", "token", token.text, "person", person->name,
	        "organization", person->organization, "factor", factor, "expires",
	        time_print(row.expires_usec).text);
	json_object_set_new(body, "last_login",
	        before > 0 ? json_string(time_print(before).text) : json_null());
	answer_leaf(exchange, 201, ledger_append(center, record), body);
	mem_wipe(&token, sizeof(token));
}

/* With a session's token that one, with the person's own token all of them. */
void sessions_delete(struct exchange *exchange)
{
	struct center *center = exchange->center;
	struct record *record = ledger_record(center, "session.ended", exchange->person->name);

	record_text(record, "reason", "logout");
	record_flag(record, "all", !exchange->session);
	ledger_begin(center);
	core_must(exchange->session
	                  ? store_session_delete(center->store, exchange->session_hash)
	                  : store_session_delete_person(center->store, exchange->person->name),
	        "end a session");
	answer_leaf(exchange, 200, ledger_append(center, record), NULL);
}
