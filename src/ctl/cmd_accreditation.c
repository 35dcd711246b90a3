/* Accreditation (A2): statements of the accreditor, sealed with the root key. */
#include "ctl/nouns.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/str.h"
#include "ctl/api.h"
#include "ctl/material.h"
#include "pki/statement.h"

#define STATE_FILE "accreditation.json"

/* What keys a use asks for: everything but checkpoints (C2SP) and CAs is ES256. */
static int check_key(
        struct ctl *ctl, enum statement_use use, const struct key *key, const char *path)
{
	if (use == STATEMENT_USE_CHECKPOINT && !material_key_is_ed25519(key)) {
		return ctl_fail(ctl, CTL_REFUSED, "%s: a checkpoint key must be Ed25519", path);
	}
	if (use == STATEMENT_USE_CA && material_key_is_ed25519(key)) {
		return ctl_fail(ctl, CTL_REFUSED, "%s: a CA key must be EC or RSA", path);
	}
	if (use != STATEMENT_USE_CHECKPOINT && use != STATEMENT_USE_CA && !key_is_p256(key)) {
		return ctl_fail(ctl, CTL_REFUSED, "%s: a %s key must be EC P-256", path,
		        statement_use_name(use));
	}
	return CTL_OK;
}

/* "grant=grant.pem" */
static int take_key(struct ctl *ctl, const char *text, struct statement *statement)
{
	const char *path = strchr(text, '=');
	struct statement_key *key = &statement->keys[statement->key_count];
	AUTO_STRING char *word = mem_string(text);
	int r;

	if (!path || statement->key_count == STATEMENT_KEYS_MAX) {
		return ctl_fail(
		        ctl, CTL_USAGE, "--key: \"%.80s\" is not USE=FILE, or one too many", text);
	}
	word[path - text] = '\0';
	path++;
	if (statement_use_parse(word, &key->use) != 0 ||
	        !statement_use_fits(statement->role, key->use)) {
		return ctl_fail(ctl, CTL_USAGE, "--key: \"%.40s\" is no use of a %s's key", word,
		        statement_role_name(statement->role));
	}
	r = material_key(ctl, path, &key->key);
	if (r != CTL_OK) {
		return r;
	}
	statement->key_count++;
	return check_key(ctl, key->use, key->key, path);
}

/* --- the numbers that were used: one small file beside the statements
 * ------------------------------- */

static char *state_path(const char *out)
{
	const char *slash = strrchr(out, '/');

	return slash ? mem_format("%.*s/%s", (int)(slash - out), out, STATE_FILE)
	             : mem_string(STATE_FILE);
}

static int state_read(struct ctl *ctl, const char *path, json_t **ret_state)
{
	AUTO_BUF struct buf text = BUF(JSON_BYTES_MAX);
	int r = file_read(path, &text, &ctl->err);

	if (r == -ENOENT) {
		ctl->err = (struct err){ 0 };
		*ret_state = json_object();
		return CTL_OK;
	}
	if (r == 0) {
		r = json_parse(text.bytes, text.count, ret_state, &ctl->err);
	}
	return r == 0 ? CTL_OK : err_wrap(&ctl->err, ctl_result(ctl, r), "%s", path);
}

static int state_write(struct ctl *ctl, const char *path, const json_t *state)
{
	AUTO_BUF struct buf text = BUF(JSON_BYTES_MAX);

	json_print(state, &text);
	buf_add_text(&text, "\n");
	return material_write(ctl, path, text.bytes, text.count);
}

/* Gives the statement its number: the one asked for, which must be new, or the next. */
static int number(struct ctl *ctl, json_t *state, struct statement *statement)
{
	AUTO_STRING char *key =
	        mem_format("%s/%s", statement_role_name(statement->role), statement->id);
	uint64_t last = (uint64_t)json_integer_value(json_object_get(state, key));
	uint64_t asked = ctl_count(ctl, "seq");

	if (asked != 0 && asked <= last) {
		return ctl_fail(ctl, CTL_REFUSED,
		        "--seq: %llu is not above %llu, the last number for %s",
		        (unsigned long long)asked, (unsigned long long)last, key);
	}
	statement->seq = asked ? asked : last + 1;
	json_object_set_new(state, key, json_integer((json_int_t)statement->seq));
	return CTL_OK;
}

static int seal(struct ctl *ctl, struct statement *statement)
{
	const char *out = ctl_text(ctl, "out");
	AUTO_STRING char *path = state_path(out);
	AUTO_JSON json_t *state = NULL;
	AUTO(token) struct token *token = NULL;
	AUTO(token_key) struct token_key *key = NULL;
	AUTO_BUF struct buf text = BUF(JWS_SMALL_BYTES_MAX);
	int r = state_read(ctl, path, &state);

	if (r == CTL_OK) {
		r = number(ctl, state, statement);
	}
	if (r == CTL_OK) {
		r = material_token(ctl, &token);
	}
	if (r == CTL_OK) {
		r = material_token_key(ctl, token, ctl_text(ctl, "root-key"), &key);
	}
	if (r == CTL_OK) {
		r = ctl_token_result(ctl, statement_sign(statement, key, &text, &ctl->err));
	}
	/* The number first: one that is lost does no harm, one that is used twice does. */
	if (r == CTL_OK) {
		r = state_write(ctl, path, state);
	}
	if (r == CTL_OK) {
		buf_add_text(&text, "\n");
		r = material_write(ctl, out, text.bytes, text.count);
	}
	return r;
}

static json_t *statement_json(const struct statement *statement)
{
	json_t *keys = json_array();

	for (size_t i = 0; i < statement->key_count; i++) {
		json_array_append_new(keys,
		        json_pack("{s:s, s:s}", "use", statement_use_name(statement->keys[i].use),
		                "key_id", key_id(statement->keys[i].key).text));
	}
	return json_pack("{s:s, s:s, s:s, s:I, s:s, s:s, s:s, s:o}", "role",
	        statement_role_name(statement->role), "id", statement->id, "state",
	        statement_state_name(statement->state), "seq", (json_int_t)statement->seq,
	        "not_before", time_print(statement->not_before).text, "not_after",
	        time_print(statement->not_after).text, "issued_at",
	        time_print(statement->issued_at).text, "keys", keys);
}

static int make(struct ctl *ctl, enum statement_state state)
{
	AUTO(statement) struct statement *statement = mem_new(1, sizeof(*statement));
	const struct argument *keys = arguments_all(&ctl->arguments, "key");
	int64_t now = clock_wall_usec() / USEC_PER_MSEC * USEC_PER_MSEC;
	int r = ctl_result(ctl, statement_role_parse(ctl_text(ctl, "role"), &statement->role));

	if (r != CTL_OK ||
	        text_copy(statement->id, sizeof(statement->id), ctl_text(ctl, "id")) != 0) {
		return r != CTL_OK ? r : CTL_USAGE;
	}
	statement->state = state;
	statement->issued_at = now;
	statement->not_before = now;
	statement->not_after = now + (int64_t)ctl_count(ctl, "days") * 86400 * USEC_PER_SEC;
	for (size_t i = 0; i < keys->count && r == CTL_OK; i++) {
		r = take_key(ctl, keys->values[i], statement);
	}
	if (r == CTL_OK && state == STATEMENT_GRANTED && statement->key_count == 0) {
		r = ctl_fail(
		        ctl, CTL_USAGE, "--key is missing: which keys are accredited, as USE=FILE");
	}
	if (r == CTL_OK) {
		r = seal(ctl, statement);
	}
	if (r == CTL_OK) {
		ctl->result = statement_json(statement);
		ctl_put(ctl, "statement", ctl_text(ctl, "out"));
	}
	return r;
}

static int run_grant(struct ctl *ctl)
{
	return make(ctl, STATEMENT_GRANTED);
}

static int run_suspend(struct ctl *ctl)
{
	return make(ctl, STATEMENT_SUSPENDED);
}

static int run_withdraw(struct ctl *ctl)
{
	return make(ctl, STATEMENT_WITHDRAWN);
}

static int run_show(struct ctl *ctl)
{
	const char *path = ctl_text(ctl, "FILE");
	AUTO(statement) struct statement *statement = NULL;
	int r = material_statement(ctl, path, &statement);

	if (r == CTL_OK) {
		ctl->result = statement_json(statement);
	}
	return r;
}

static int run_publish(struct ctl *ctl)
{
	return api_send_file(ctl, "/statements", ctl_text(ctl, "FILE"), JWS_SMALL_BYTES_MAX);
}

static int run_list(struct ctl *ctl)
{
	return api_list(ctl, "/statements");
}

static const char *const roles[] = { "provider", "maker", "device-ca", "service-ca", NULL };
static const struct option make_options[] = {
	{ OPTION("role", OPTION_CHOICE), "as what", "ROLE", .required = true, .choices = roles },
	{ OPTION("id", OPTION_NAME), "who", .required = true },
	{ OPTION("key", OPTION_TEXT),
	        "a key it acts with: grant, policy, checkpoint, device-information or ca, and "
	        "a file with the public key or certificate",
	        "USE=FILE", .repeated = true },
	{ OPTION("days", OPTION_COUNT), "how long it holds", NULL, "365", .min = 1, .max = 3650 },
	{ OPTION("seq", OPTION_COUNT),
	        "the statement's number; without it the next by accreditation.json beside "
	        "--out",
	        .min = 1 },
	{ OPTION("root-key", OPTION_TEXT), "label of the root key in the token", "LABEL", "root" },
	{ OPTION("out", OPTION_FILE), "where the statement is written", .required = true },
	{ 0 },
};
static const struct option show_options[] = {
	{ OPTION("FILE", OPTION_FILE), "a statement", .required = true, .operand = true },
	{ OPTION("root", OPTION_FILE), "the accreditor's root certificate", .required = true },
	{ 0 },
};
static const struct option publish_options[] = {
	{ OPTION("FILE", OPTION_FILE), "a statement", .required = true, .operand = true },
	{ 0 },
};

static const struct command accreditation_commands[] = {
	{ "grant", "Accredits a provider, a maker or a CA with its keys.", GROUP_TOKEN,
	        make_options, run_grant },
	{ "suspend", "Suspends an accreditation until it is granted again.", GROUP_TOKEN,
	        make_options, run_suspend },
	{ "withdraw", "Withdraws an accreditation.", GROUP_TOKEN, make_options, run_withdraw },
	{ "show", "Checks a statement's seal and shows what it says.", 0, show_options, run_show },
	{ "publish", "Gives the center a statement.", GROUP_CENTER, publish_options, run_publish },
	{ "list", "Lists the newest statements that the center has.", GROUP_CENTER | GROUP_PAGE,
	        NULL, run_list },
	{ 0 },
};
const struct noun noun_accreditation = { "accreditation", "statements of the accreditor",
	accreditation_commands };
