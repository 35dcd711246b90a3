#include "pki/statement.h"

#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "wire/json.h"

static const char *const roles[] = { "provider", "maker", "device-ca", "service-ca", NULL };
static const char *const states[] = { "withdrawn", "suspended", "granted", NULL };
static const char *const uses[] = { "grant", "policy", "checkpoint", "device-information", "ca",
	NULL };

static int word_parse(const char *const *words, const char *name, int *ret_index)
{
	for (int i = 0; words[i]; i++) {
		if (strcmp(words[i], name) == 0) {
			*ret_index = i;
			return 0;
		}
	}
	return 1;
}

const char *statement_role_name(enum statement_role role)
{
	return roles[role];
}

const char *statement_state_name(enum statement_state state)
{
	return states[state];
}

const char *statement_use_name(enum statement_use use)
{
	return uses[use];
}

int statement_role_parse(const char *name, enum statement_role *ret_role)
{
	int index, r = word_parse(roles, name, &index);

	if (r == 0) {
		*ret_role = (enum statement_role)index;
	}
	return r;
}

int statement_state_parse(const char *name, enum statement_state *ret_state)
{
	int index, r = word_parse(states, name, &index);

	if (r == 0) {
		*ret_state = (enum statement_state)index;
	}
	return r;
}

int statement_use_parse(const char *name, enum statement_use *ret_use)
{
	int index, r = word_parse(uses, name, &index);

	if (r == 0) {
		*ret_use = (enum statement_use)index;
	}
	return r;
}

bool statement_use_fits(enum statement_role role, enum statement_use use)
{
	switch (role) {
	case STATEMENT_PROVIDER:
		return use == STATEMENT_USE_GRANT || use == STATEMENT_USE_POLICY ||
		       use == STATEMENT_USE_CHECKPOINT;
	case STATEMENT_MAKER:
		return use == STATEMENT_USE_DEVICE_INFORMATION;
	case STATEMENT_DEVICE_CA:
	case STATEMENT_SERVICE_CA:
		return use == STATEMENT_USE_CA;
	}
	return false;
}

struct statement *statement_free(struct statement *statement)
{
	for (size_t i = 0; statement && i < statement->key_count; i++) {
		key_free(statement->keys[i].key);
	}
	free(statement);
	return NULL;
}

void statement_print(const struct statement *statement, struct buf *out)
{
	AUTO_JSON json_t *keys = json_array();
	AUTO_JSON json_t *object = NULL;

	for (size_t i = 0; i < statement->key_count; i++) {
		AUTO_BUF struct buf text = BUF(KEY_SPKI_BYTES_MAX * 2);
		size_t count;
		const uint8_t *spki = key_spki(statement->keys[i].key, &count);

		base64_add(&text, spki, count);
		assert_always(json_array_append_new(keys,
		                      json_pack("{ss,ss}", "use", uses[statement->keys[i].use],
		                              "spki", buf_text(&text))) == 0);
	}
	object = json_pack("{si,sI,ss,ss,ss,ss,ss,ss,sO}", "v", 1, "seq",
	        (json_int_t)statement->seq, "role", roles[statement->role], "id", statement->id,
	        "state", states[statement->state], "not_before",
	        time_print(statement->not_before).text, "not_after",
	        time_print(statement->not_after).text, "issued_at",
	        time_print(statement->issued_at).text, "keys", keys);
	assert_always(object != NULL);
	json_print(object, out);
}

/* The members as the table reads them. */
struct statement_fields {
	uint64_t v, seq;
	int role, state;
	char id[NAME_BYTES_MAX + 1];
	int64_t not_before, not_after, issued_at;
	json_t *keys;
};

static const struct json_field fields[] = {
	{ JSON_FIELD("v", FIELD_COUNT, struct statement_fields, v), .required = true, .min = 1,
	        .max = 1 },
	{ JSON_FIELD("seq", FIELD_COUNT, struct statement_fields, seq), .required = true,
	        .min = 1 },
	{ JSON_FIELD("role", FIELD_CHOICE, struct statement_fields, role), .required = true,
	        .choices = roles },
	{ JSON_FIELD("id", FIELD_NAME, struct statement_fields, id), .required = true },
	{ JSON_FIELD("state", FIELD_CHOICE, struct statement_fields, state), .required = true,
	        .choices = states },
	{ JSON_FIELD("not_before", FIELD_TIME, struct statement_fields, not_before),
	        .required = true },
	{ JSON_FIELD("not_after", FIELD_TIME, struct statement_fields, not_after),
	        .required = true },
	{ JSON_FIELD("issued_at", FIELD_TIME, struct statement_fields, issued_at),
	        .required = true },
	{ JSON_FIELD("keys", FIELD_LIST, struct statement_fields, keys), .required = true,
	        .max = STATEMENT_KEYS_MAX },
	{ 0 },
};

struct key_fields {
	int use;
	struct buf spki;
};

static const struct json_field key_fields[] = {
	{ JSON_FIELD("use", FIELD_CHOICE, struct key_fields, use), .required = true,
	        .choices = uses },
	{ JSON_FIELD("spki", FIELD_BASE64, struct key_fields, spki), .required = true, .min = 1,
	        .max = KEY_SPKI_BYTES_MAX },
	{ 0 },
};

static int parse_key(const json_t *keys, size_t index, struct statement *statement, struct err *err)
{
	struct statement_key *key = &statement->keys[index];
	struct key_fields item = { 0 };
	int r = json_item_fields(keys, "keys", index, key_fields, &item, err);

	if (r != 0) {
		return r;
	}
	key->use = (enum statement_use)item.use;
	r = key_parse(item.spki.bytes, item.spki.count, &key->key, err);
	json_fields_clear(key_fields, &item);
	if (r != 0) {
		return err_wrap(err, 1, "keys[%zu].spki", index);
	}
	statement->key_count = index + 1;
	if (!statement_use_fits(statement->role, key->use)) {
		return err_set(err, 1, "keys[%zu].use: a %s has no key for %s", index,
		        roles[statement->role], uses[key->use]);
	}
	return 0;
}

int statement_parse(
        const char *json, size_t count, struct statement **ret_statement, struct err *err)
{
	AUTO(statement) struct statement *statement = mem_new(1, sizeof(*statement));
	struct statement_fields values = { 0 };
	AUTO_JSON json_t *object = NULL;
	AUTO_BUF struct buf again = BUF(JWS_SMALL_BYTES_MAX);
	int r = json_read(json, count, fields, &values, &object, err);

	if (r != 0) {
		return r;
	}
	statement->seq = values.seq;
	statement->role = (enum statement_role)values.role;
	statement->state = (enum statement_state)values.state;
	memcpy(statement->id, values.id, sizeof(statement->id));
	statement->not_before = values.not_before;
	statement->not_after = values.not_after;
	statement->issued_at = values.issued_at;
	if (statement->not_before >= statement->not_after) {
		return err_set(err, 1, "not_after: must be later than not_before");
	}
	for (size_t i = 0; i < json_array_size(values.keys); i++) {
		r = parse_key(values.keys, i, statement, err);
		if (r != 0) {
			return r;
		}
	}
	statement_print(statement, &again);
	if (again.count != count || memcmp(again.bytes, json, count) != 0) {
		return err_set(
		        err, 1, "not in canonical form (sorted members, no blanks, milliseconds)");
	}
	*ret_statement = TAKE(statement);
	return 0;
}

int statement_sign(const struct statement *statement, struct token_key *accreditor,
        struct buf *ret_text, struct err *err)
{
	AUTO_BUF struct buf payload = BUF(JWS_SMALL_BYTES_MAX);

	statement_print(statement, &payload);
	return seal_sign(accreditor, STATEMENT_TYP, payload.bytes, payload.count, ret_text, err);
}

int statement_open(const char *text, size_t count, const struct key *const *accreditors,
        size_t accreditor_count, struct statement **ret_statement, struct err *err)
{
	AUTO_BUF struct buf payload = BUF(JWS_SMALL_BYTES_MAX);
	int r = seal_open(
	        text, count, STATEMENT_TYP, accreditors, accreditor_count, &payload, NULL, err);

	if (r != 0) {
		return r;
	}
	r = statement_parse(buf_text(&payload), payload.count, ret_statement, err);
	return r > 0 ? SEAL_MALFORMED : r;
}

struct statement_set {
	struct statement *statements[STATEMENT_SET_MAX];
	size_t count;
};

struct statement_set *statement_set_new(void)
{
	return mem_new(1, sizeof(struct statement_set));
}

struct statement_set *statement_set_free(struct statement_set *set)
{
	for (size_t i = 0; set && i < set->count; i++) {
		statement_free(set->statements[i]);
	}
	free(set);
	return NULL;
}

static size_t find(const struct statement_set *set, enum statement_role role, const char *id)
{
	size_t i = 0;

	while (i < set->count &&
	        !(set->statements[i]->role == role && strcmp(set->statements[i]->id, id) == 0)) {
		i++;
	}
	return i;
}

int statement_set_take(struct statement_set *set, struct statement *statement)
{
	size_t index = find(set, statement->role, statement->id);
	int r = 0;

	if (index == STATEMENT_SET_MAX) {
		r = 2;
	} else if (index < set->count && set->statements[index]->seq >= statement->seq) {
		r = 1;
	}
	if (r != 0) {
		statement_free(statement);
		return r;
	}
	if (index == set->count) {
		set->count++;
	} else {
		statement_free(set->statements[index]);
	}
	set->statements[index] = statement;
	return 0;
}

const struct statement *statement_set_find(
        const struct statement_set *set, enum statement_role role, const char *id)
{
	size_t index = find(set, role, id);

	return index < set->count ? set->statements[index] : NULL;
}

size_t statement_set_count(const struct statement_set *set)
{
	return set->count;
}

const struct statement *statement_set_at(const struct statement_set *set, size_t index)
{
	return index < set->count ? set->statements[index] : NULL;
}

static bool in_force(const struct statement *statement, int64_t now_usec)
{
	return statement->state == STATEMENT_GRANTED && now_usec >= statement->not_before &&
	       now_usec < statement->not_after;
}

bool statement_set_accredited(
        const struct statement_set *set, enum statement_role role, const char *id, int64_t now_usec)
{
	const struct statement *statement = statement_set_find(set, role, id);

	return statement && in_force(statement, now_usec);
}

size_t statement_set_keys(const struct statement_set *set, enum statement_role role, const char *id,
        enum statement_use use, int64_t now_usec, const struct key *ret_keys[STATEMENT_KEYS_MAX])
{
	const struct statement *statement = statement_set_find(set, role, id);
	size_t count = 0;

	if (!statement || !in_force(statement, now_usec)) {
		return 0;
	}
	for (size_t i = 0; i < statement->key_count; i++) {
		if (statement->keys[i].use == use) {
			ret_keys[count++] = statement->keys[i].key;
		}
	}
	return count;
}

const struct statement *statement_set_find_key(const struct statement_set *set,
        enum statement_role role, enum statement_use use, struct key_hash hash, int64_t now_usec)
{
	for (size_t i = 0; i < set->count; i++) {
		const struct statement *statement = set->statements[i];

		if (statement->role != role || !in_force(statement, now_usec)) {
			continue;
		}
		for (size_t j = 0; j < statement->key_count; j++) {
			if (statement->keys[j].use == use &&
			        key_hash_equal(key_hash(statement->keys[j].key), hash)) {
				return statement;
			}
		}
	}
	return NULL;
}
