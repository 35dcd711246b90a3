/*
 * The procedure a to l (mission C): a to g come through here, one route a step; h to l happen where
 * their cause is. Who may do a step is the step's own party: the user's site, the maker, the device
 * CA. Doing a step again answers with the leaf of the first time.
 */
#include <stdio.h>
#include <string.h>

#include "center/ledger.h"
#include "center/registry.h"
#include "center/routes.h"
#include "center/steps.h"
#include "center/trust.h"
#include "pki/device_information.h"

static bool is_party(const struct exchange *exchange, const struct store_procedure *row)
{
	return (exchange->roles.set & (ROLE_PROVIDER | ROLE_AUDITOR | ROLE_DEVICE_CA)) ||
	       roles_of_site(&exchange->roles, row->site) ||
	       (*row->maker && roles_of_maker(&exchange->roles, row->maker));
}

/* Outcome 1: answered. */
static int get_procedure(struct exchange *exchange, struct store_procedure *row)
{
	int r = store_procedure_get(exchange->center->store, exchange->parameter, row);

	core_must(r < 0 ? r : 0, "read a procedure");
	if (r != 0 || !is_party(exchange, row)) {
		store_row_clear(STORE_PROCEDURE, row);
		answer_problem(exchange, 404, "there is no procedure of a gateway \"%s\"",
		        exchange->parameter);
		return 1;
	}
	return 0;
}

/* Does the step and answers. `record` is adopted; NULL: the plain one. */
static void do_step(struct exchange *exchange, struct store_procedure *row,
        enum procedure_step step, struct record *record)
{
	struct err err = { 0 };
	uint64_t leaf = 0;
	char letter[2] = { procedure_letter(step), '\0' };
	int r;

	if (!record) {
		record = steps_record(exchange->center, row, step);
	}
	r = steps_do(exchange->center, row, step, record, &leaf, &err);
	if (r == PROCEDURE_OUT_OF_ORDER) {
		answer_problem(exchange, 409, "%s", err.text);
		return;
	}
	core_must(r < 0 ? r : 0, "do a step");
	answer_leaf(exchange, r == 0 ? 201 : 200, leaf, json_pack("{ss}", "step", letter));
}

/* For a step that changes the row: whether it may be done, before anything is changed. Outcome 1:
 * answered (out of order, or done already). */
static int check_step(
        struct exchange *exchange, const struct store_procedure *row, enum procedure_step step)
{
	struct err err = { 0 };
	char letter[2] = { procedure_letter(step), '\0' };
	int r = procedure_check(row->steps, step, &err);

	if (r == PROCEDURE_OUT_OF_ORDER) {
		answer_problem(exchange, 409, "%s", err.text);
	} else if (r == PROCEDURE_DONE_ALREADY) {
		answer_leaf(exchange, 200, steps_leaf(exchange->center, row->gateway, step),
		        json_pack("{ss}", "step", letter));
	}
	return r != 0;
}

struct joining {
	char gateway[NAME_BYTES_MAX + 1], site[NAME_BYTES_MAX + 1];
};

static const struct json_field join_fields[] = {
	{ "gateway", FIELD_NAME, offsetof(struct joining, gateway), true, 0, 0, NULL, NULL, false },
	{ "site", FIELD_NAME, offsetof(struct joining, site), true, 0, 0, NULL, NULL, false },
	{ 0 },
};

/* The row of a gateway that is new, or of one that the same site has applied for or ordered.
 * Outcome 1: answered. */
static int begin_procedure(struct exchange *exchange, const char *gateway, const char *site,
        struct store_procedure *row)
{
	struct center *center = exchange->center;
	char identity[CERT_IDENTITY_BYTES_MAX];
	int r;

	if (!registry_site(center, site) || !roles_of_site(&exchange->roles, site)) {
		answer_problem(exchange, 404, "site: there is no site \"%s\"", site);
		return 1;
	}
	if (cert_identity_print(gateway, center->config.provider, identity) != 0) {
		answer_problem(
		        exchange, 400, "gateway: is not a name that can stand in a certificate");
		return 1;
	}
	r = store_procedure_get(center->store, gateway, row);
	core_must(r < 0 ? r : 0, "read a procedure");
	if (r == 0 && !text_equal(row->site, site)) {
		store_row_clear(STORE_PROCEDURE, row);
		answer_problem(exchange, 409, "gateway: the name \"%s\" is taken", gateway);
		return 1;
	}
	if (r != 0) {
		row->created_usec = clock_wall_usec();
		snprintf(row->gateway, sizeof(row->gateway), "%s", gateway);
		snprintf(row->site, sizeof(row->site), "%s", site);
	}
	return 0;
}

void procedures_post(struct exchange *exchange)
{
	struct joining joining = { 0 };
	struct store_procedure row = { 0 };

	if (exchange_body(exchange, join_fields, &joining) != 0 ||
	        begin_procedure(exchange, joining.gateway, joining.site, &row) != 0) {
		return;
	}
	do_step(exchange, &row, PROCEDURE_JOIN, NULL);
	store_row_clear(STORE_PROCEDURE, &row);
}

struct purchase {
	char maker[NAME_BYTES_MAX + 1], site[NAME_BYTES_MAX + 1];
};

static const struct json_field purchase_fields[] = {
	{ "maker", FIELD_NAME, offsetof(struct purchase, maker), true, 0, 0, NULL, NULL, false },
	{ "site", FIELD_NAME, offsetof(struct purchase, site), false, 0, 0, NULL, NULL, false },
	{ 0 },
};

void procedures_purchase(struct exchange *exchange)
{
	struct purchase purchase = { 0 };
	struct store_procedure row = { 0 };
	int r;

	if (exchange_body(exchange, purchase_fields, &purchase) != 0) {
		return;
	}
	/* b before a: then the site has to be named, because nobody has said it yet. */
	r = *purchase.site ? begin_procedure(exchange, exchange->parameter, purchase.site, &row)
	                   : get_procedure(exchange, &row);
	if (r != 0) {
		return;
	}
	if (!roles_of_site(&exchange->roles, row.site)) {
		answer_problem(exchange, 403, "only the site \"%s\" orders its gateway", row.site);
	} else if (!trust_maker(exchange->center, purchase.maker, clock_wall_usec())) {
		answer_problem(exchange, 409, "maker: \"%s\" is not an accredited maker now",
		        purchase.maker);
	} else if (check_step(exchange, &row, PROCEDURE_PURCHASE) == 0) {
		memcpy(row.maker, purchase.maker, sizeof(row.maker));
		do_step(exchange, &row, PROCEDURE_PURCHASE, NULL);
	}
	store_row_clear(STORE_PROCEDURE, &row);
}

struct registration {
	const char *information;
};

static const struct json_field register_fields[] = {
	{ "information", FIELD_STRING, offsetof(struct registration, information), true, 1,
	        JWS_SMALL_BYTES_MAX, NULL, NULL, false },
	{ 0 },
};

/* Outcome 1: answered. */
static int open_information(struct exchange *exchange, const struct store_procedure *row,
        const char *jws, struct device_information *ret_information)
{
	struct center *center = exchange->center;
	const struct key *keys[STATEMENT_KEYS_MAX];
	struct store_procedure other = { 0 };
	struct err err = { 0 };
	size_t count = statement_set_keys(center->statements, STATEMENT_MAKER, row->maker,
	        STATEMENT_USE_DEVICE_INFORMATION, clock_wall_usec(), keys);
	int r;

	if (count == 0) {
		answer_problem(exchange, 409, "the maker \"%s\" is not accredited now", row->maker);
		return 1;
	}
	if (device_information_open(jws, strlen(jws), keys, count, ret_information, &err) != 0) {
		answer_problem(exchange, 400, "information: %s", err.text);
		return 1;
	}
	if (!text_equal(ret_information->maker, row->maker)) {
		answer_problem(exchange, 400, "information: is of the maker \"%s\"",
		        ret_information->maker);
		return 1;
	}
	r = store_procedure_get_serial(center->store, row->maker, ret_information->serial, &other);
	core_must(r < 0 ? r : 0, "look for a serial");
	store_row_clear(STORE_PROCEDURE, &other);
	if (r == 0) {
		answer_problem(exchange, 409,
		        "information: the serial \"%s\" is registered already",
		        ret_information->serial);
		return 1;
	}
	return 0;
}

void procedures_register(struct exchange *exchange)
{
	struct registration registration = { 0 };
	struct store_procedure row = { 0 };
	struct device_information information;
	AUTO_JSON json_t *body = NULL;
	struct record *record;
	struct err err = { 0 };

	if (get_procedure(exchange, &row) != 0) {
		return;
	}
	if (!roles_of_maker(&exchange->roles, row.maker)) {
		answer_problem(
		        exchange, 403, "only the maker \"%s\" registers this gateway", row.maker);
	} else if (json_read(exchange->request->body, exchange->request->body_bytes,
	                   register_fields, &registration, &body, &err) != 0) {
		answer_problem(exchange, 400, "%s", err.text);
	} else if (check_step(exchange, &row, PROCEDURE_REGISTER) == 0 &&
	           open_information(exchange, &row, registration.information, &information) == 0) {
		free(row.information);
		row.information = mem_string(registration.information);
		snprintf(row.device_serial, sizeof(row.device_serial), "%s", information.serial);
		record = steps_record(exchange->center, &row, PROCEDURE_REGISTER);
		record_text(record, "serial", information.serial);
		record_text(record, "model", information.model);
		do_step(exchange, &row, PROCEDURE_REGISTER, record);
	}
	store_row_clear(STORE_PROCEDURE, &row);
}

struct certificate_body {
	const char *certificate;
};

static const struct json_field certificate_fields[] = {
	{ "certificate", FIELD_STRING, offsetof(struct certificate_body, certificate), true, 1,
	        4 * CERT_DER_BYTES_MAX, NULL, NULL, false },
	{ 0 },
};

/* The certificate against the device CA, its profile and the registration. Outcome 1: answered. */
static int check_certificate(
        struct exchange *exchange, const struct store_procedure *row, const struct cert *cert)
{
	struct center *center = exchange->center;
	AUTO_BUF struct buf payload = BUF(JWS_SMALL_BYTES_MAX);
	struct device_information information;
	struct store_certificate known = { 0 };
	struct key_hash hash = cert_key_hash(cert);
	struct err err = { 0 };
	int r = verify_cert(
	        center->verifier, cert, NULL, 0, CERT_SET(CERT_DEVICE), clock_wall_usec(), &err);

	if (r == 0) {
		r = seal_peek(row->information, strlen(row->information), DEVICE_INFORMATION_TYP,
		        &payload, NULL, &err);
	}
	if (r == 0) {
		r = device_information_parse(buf_text(&payload), payload.count, &information, &err);
	}
	if (r == 0) {
		r = device_information_check(&information, cert, &err);
	}
	if (r != 0) {
		answer_problem(exchange, 400, "certificate: %s", err.text);
		return 1;
	}
	r = store_certificate_get_key(center->store, hash.bytes, &known);
	core_must(r < 0 ? r : 0, "look for a key");
	store_row_clear(STORE_CERTIFICATE, &known);
	if (r == 0 || registry_device(center, cert_fingerprint(cert))) {
		answer_problem(exchange, 409,
		        "certificate: this key or certificate is registered already");
		return 1;
	}
	return 0;
}

static void keep_device_certificate(struct center *center, const struct store_procedure *row,
        const struct cert *cert, uint64_t leaf)
{
	struct store_certificate stored = { .tier = 1,
		.not_before_usec = cert_not_before_usec(cert),
		.not_after_usec = cert_not_after_usec(cert),
		.leaf = leaf };
	struct key_hash hash = cert_key_hash(cert);

	snprintf(stored.serial, sizeof(stored.serial), "%s", cert_serial(cert));
	snprintf(stored.gateway, sizeof(stored.gateway), "%s", row->gateway);
	memcpy(stored.key_hash, hash.bytes, STORE_HASH_BYTES);
	stored.der = BUF(CERT_DER_BYTES_MAX);
	buf_add(&stored.der, row->device_certificate.bytes, row->device_certificate.count);
	core_must(store_certificate_put(center->store, &stored), "keep a certificate");
	registry_take_certificate(center, &stored);
	store_row_clear(STORE_CERTIFICATE, &stored);
}

static void take_certificate(
        struct exchange *exchange, struct store_procedure *row, const struct cert *cert)
{
	struct center *center = exchange->center;
	struct key_hash fingerprint = cert_fingerprint(cert);
	struct record *record = steps_record(center, row, PROCEDURE_CERTIFICATE);
	const uint8_t *der;
	size_t count;

	record_text(record, "serial", cert_serial(cert));
	record_bytes(record, "sha256", fingerprint.bytes, sizeof(fingerprint.bytes));
	der = cert_der(cert, &count);
	buf_clear(&row->device_certificate);
	row->device_certificate = BUF(CERT_DER_BYTES_MAX);
	buf_add(&row->device_certificate, der, count);
	buf_clear(&row->device_fingerprint);
	row->device_fingerprint = BUF(64);
	buf_add(&row->device_fingerprint, fingerprint.bytes, sizeof(fingerprint.bytes));
	do_step(exchange, row, PROCEDURE_CERTIFICATE, record);
	keep_device_certificate(center, row, cert, center->tree.size - 1);
}

void procedures_certificate(struct exchange *exchange)
{
	struct certificate_body wanted = { 0 };
	struct store_procedure row = { 0 };
	AUTO_JSON json_t *body = NULL;
	AUTO(cert) struct cert *cert = NULL;
	struct err err = { 0 };
	int r;

	if (get_procedure(exchange, &row) != 0) {
		return;
	}
	r = json_read(exchange->request->body, exchange->request->body_bytes, certificate_fields,
	        &wanted, &body, &err);
	if (r == 0) {
		r = cert_parse(wanted.certificate, strlen(wanted.certificate), &cert, &err);
		if (r != 0) {
			err_wrap(&err, r, "certificate");
		}
	}
	if (r != 0) {
		answer_problem(exchange, 400, "%s", err.text);
	} else if (check_step(exchange, &row, PROCEDURE_CERTIFICATE) == 0 &&
	           check_certificate(exchange, &row, cert) == 0) {
		take_certificate(exchange, &row, cert);
	}
	store_row_clear(STORE_PROCEDURE, &row);
}

static void maker_step(struct exchange *exchange, enum procedure_step step)
{
	struct store_procedure row = { 0 };

	if (get_procedure(exchange, &row) != 0) {
		return;
	}
	if (!roles_of_maker(&exchange->roles, row.maker)) {
		answer_problem(exchange, 403, "only the maker \"%s\" does this step", row.maker);
	} else {
		do_step(exchange, &row, step, NULL);
	}
	store_row_clear(STORE_PROCEDURE, &row);
}

void procedures_installed(struct exchange *exchange)
{
	maker_step(exchange, PROCEDURE_INSTALLED);
}

void procedures_delivered(struct exchange *exchange)
{
	maker_step(exchange, PROCEDURE_DELIVERED);
}

void procedures_use(struct exchange *exchange)
{
	struct store_procedure row = { 0 };

	if (get_procedure(exchange, &row) != 0) {
		return;
	}
	if (!roles_of_site(&exchange->roles, row.site)) {
		answer_problem(exchange, 403, "only the site \"%s\" applies for use", row.site);
	} else {
		do_step(exchange, &row, PROCEDURE_USE, NULL);
	}
	store_row_clear(STORE_PROCEDURE, &row);
}

static json_t *print_procedure(const struct store_procedure *row)
{
	char steps[PROCEDURE_STEP_COUNT + 1] = "";

	for (int step = 0, at = 0; step < PROCEDURE_STEP_COUNT; step++) {
		if (row->steps & PROCEDURE_BIT(step)) {
			steps[at++] = procedure_letter((enum procedure_step)step);
		}
	}
	return json_pack("{ss ss ss ss ss ss}", "gateway", row->gateway, "site", row->site, "maker",
	        row->maker, "serial", row->device_serial, "steps", steps, "created",
	        time_print(row->created_usec).text);
}

static int add_procedure(void *context, const void *data)
{
	struct list *list = context;
	const struct store_procedure *row = data;

	if (is_party(list->exchange, row)) {
		list_add(list, row->gateway, print_procedure(row));
	}
	return 0;
}

void procedures_list(struct exchange *exchange)
{
	bool all = roles_any(&exchange->roles, ROLE_PROVIDER | ROLE_AUDITOR | ROLE_DEVICE_CA);
	struct list list;

	if (list_begin(exchange, &list) == 0) {
		core_must(store_procedure_list(exchange->center->store,
		                  all ? NULL : roles_name(&exchange->roles, ROLE_SITE),
		                  all ? NULL : roles_name(&exchange->roles, ROLE_MAKER), list.after,
		                  list.limit, add_procedure, &list),
		        "list procedures");
		list_end(&list);
	}
}

static int add_step(void *context, const void *data)
{
	const struct store_step *row = data;
	char letter[2] = { procedure_letter((enum procedure_step)row->step), '\0' };

	json_array_append_new(context,
	        json_pack("{ss ss ss ss sI}", "step", letter, "title",
	                procedure_title((enum procedure_step)row->step), "by", row->by, "at",
	                time_print(row->at_usec).text, "leaf", (json_int_t)row->leaf));
	return 0;
}

void procedures_get(struct exchange *exchange)
{
	struct store_procedure row = { 0 };
	json_t *body, *steps = json_array();

	if (get_procedure(exchange, &row) != 0) {
		json_decref(steps);
		return;
	}
	core_must(store_step_list(exchange->center->store, row.gateway, add_step, steps),
	        "read the steps");
	body = print_procedure(&row);
	json_object_set_new(body, "done", steps);
	store_row_clear(STORE_PROCEDURE, &row);
	answer_json(exchange, 200, body);
}
