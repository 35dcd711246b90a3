/*
 * Files for the other side (protocol.md 6.1, mission J, SDS 21, 49): sending one is an act of its
 * own, permitted and recorded before the file is sealed; that it arrived, or did not, is recorded
 * against the same digest. The center sees neither the file nor its seal.
 */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "center/ledger.h"
#include "center/persons.h"
#include "center/registry.h"
#include "center/routes.h"
#include "center/work_orders.h"
#include "model/agreement.h"
#include "model/file_label.h"
#include "model/service_class.h"

struct file_fields {
	struct id id;
	char class[NAME_BYTES_MAX + 1];
	char from[NAME_BYTES_MAX + 1], to[NAME_BYTES_MAX + 1];
	char name[FILE_NAME_BYTES_MAX + 1];
	char sha256[65];
	uint64_t bytes;
	json_t *recipients;
	char purpose[FILE_PURPOSE_BYTES_MAX + 1];
	char work_order[ID_BYTES_MAX + 1];
	char scanner[FILE_SCANNER_BYTES_MAX + 1];
	int64_t scanner_database;
	char refused[ERR_TEXT_BYTES_MAX + 1];
};

static const struct json_field file_table[] = {
	{ JSON_FIELD("id", FIELD_ID, struct file_fields, id), .required = true },
	{ JSON_FIELD("class", FIELD_NAME, struct file_fields, class), .required = true },
	{ JSON_FIELD("from", FIELD_NAME, struct file_fields, from), .required = true },
	{ JSON_FIELD("to", FIELD_NAME, struct file_fields, to), .required = true },
	{ JSON_FIELD("name", FIELD_TEXT, struct file_fields, name), .required = true, .min = 1,
	        .max = FILE_NAME_BYTES_MAX },
	{ JSON_FIELD("sha256", FIELD_HEX, struct file_fields, sha256), .min = 64, .max = 64 },
	{ JSON_FIELD("bytes", FIELD_COUNT, struct file_fields, bytes), .required = true,
	        .max = FILE_BYTES_MAX },
	{ JSON_FIELD("recipients", FIELD_LIST, struct file_fields, recipients), .required = true,
	        .min = 1, .max = FILE_RECIPIENTS_MAX },
	{ JSON_FIELD("purpose", FIELD_TEXT, struct file_fields, purpose), .required = true,
	        .min = 1, .max = FILE_PURPOSE_BYTES_MAX },
	{ JSON_FIELD("work_order", FIELD_TEXT, struct file_fields, work_order),
	        .max = ID_BYTES_MAX },
	{ JSON_FIELD("scanner", FIELD_TEXT, struct file_fields, scanner),
	        .max = FILE_SCANNER_BYTES_MAX },
	{ JSON_FIELD("scanner_database", FIELD_TIME, struct file_fields, scanner_database) },
	{ JSON_FIELD("refused", FIELD_TEXT, struct file_fields, refused),
	        .max = ERR_TEXT_BYTES_MAX },
	{ 0 },
};

/* Accounts of the receiving organization, active, into one text. Outcome 1: answered. */
static int take_recipients(struct exchange *exchange, const struct file_fields *fields,
        const char *organization, struct buf *out)
{
	for (size_t i = 0; i < json_array_size(fields->recipients); i++) {
		const struct person *person;
		struct err err = { "" };
		const char *name;

		if (json_item_string(fields->recipients, "recipients", i, NAME_BYTES_MAX, &name,
		            &err) != 0) {
			answer_problem(exchange, 400, "%s", err.text);
			return 1;
		}
		person = persons_get(exchange->center, name);
		if (!person || !person->active || !text_equal(person->organization, organization)) {
			answer_problem(exchange, 409, "recipients[%zu]: %s is not a person of %s",
			        i, name, organization);
			return 1;
		}
		buf_add_format(out, "%s%s", i > 0 ? " " : "", name);
	}
	return 0;
}

/* The work order is open, the person one of its two organizations', and the other one gets the
 * file. */
static bool work_order_fits(
        struct center *center, const struct file_fields *fields, const char *from, const char *to)
{
	const struct work_order *order;

	if (!*fields->work_order) {
		return true;
	}
	order = work_find(center->work, fields->work_order);
	return order && ((text_equal(order->organization, from) &&
	                         text_equal(order->site_organization, to)) ||
	                        (text_equal(order->organization, to) &&
	                                text_equal(order->site_organization, from)));
}

/* Whether this person may send from here to there now. Outcome 1: answered. */
static int check_permitted(struct exchange *exchange, const struct file_fields *fields,
        const struct site_entry *from, const struct site_entry *to)
{
	struct center *center = exchange->center;
	enum service_class class;
	struct err err = { "" };

	if (service_class_parse(fields->class, &class) != 0) {
		answer_problem(exchange, 400, "class: there is no class %s", fields->class);
	} else if (file_name_check(fields->name, &err) != 0) {
		answer_problem(exchange, 400, "name: %s", err.text);
	} else if (!text_equal(from->organization, to->organization) &&
	           !agreement_index_between(center->agreements, from->organization,
	                   to->organization, class, clock_wall_usec())) {
		answer_problem(exchange, 403, "agreement: none of %s and %s for %s is in force now",
		        from->organization, to->organization, fields->class);
	} else if (!person_may_request(exchange->person->roles, class)) {
		answer_problem(exchange, 403, "person: no role of %s covers %s",
		        exchange->person->name, fields->class);
	} else if (!work_order_fits(center, fields, from->organization, to->organization)) {
		answer_problem(exchange, 409, "work_order: not an open one between %s and %s",
		        from->organization, to->organization);
	} else if (!*fields->sha256 || !*fields->scanner || fields->scanner_database == 0) {
		answer_problem(exchange, 400, "sha256, scanner, scanner_database: must be given");
	} else if (fields->scanner_database <
	           clock_wall_usec() - FILE_SCANNER_AGE_SEC_MAX * USEC_PER_SEC) {
		answer_problem(exchange, 403,
		        "scanner_database: of %s, which is too old to rely on",
		        time_print(fields->scanner_database).text);
	} else {
		return 0;
	}
	return 1;
}

static void fill_row(struct store_file *row, const struct file_fields *fields,
        const struct exchange *exchange, const struct site_entry *from, const struct site_entry *to)
{
	snprintf(row->id, sizeof(row->id), "%s", fields->id.text);
	snprintf(row->state, sizeof(row->state), "%s", *fields->refused ? "refused" : "sent");
	memcpy(row->name, fields->name, sizeof(row->name));
	memcpy(row->sha256, fields->sha256, sizeof(row->sha256));
	row->bytes = fields->bytes;
	memcpy(row->sender, exchange->person->name, sizeof(row->sender));
	memcpy(row->from_site, from->name, sizeof(row->from_site));
	memcpy(row->from_organization, from->organization, sizeof(row->from_organization));
	memcpy(row->to_site, to->name, sizeof(row->to_site));
	memcpy(row->to_organization, to->organization, sizeof(row->to_organization));
	memcpy(row->purpose, fields->purpose, sizeof(row->purpose));
	memcpy(row->work_order, fields->work_order, sizeof(row->work_order));
	snprintf(row->scanner, sizeof(row->scanner), "%s", fields->scanner);
	row->scanner_usec = fields->scanner_database;
	row->sent_usec = clock_wall_usec();
	snprintf(row->reason, sizeof(row->reason), "%.*s", (int)sizeof(row->reason) - 1,
	        fields->refused);
}

static void record_file(struct record *record, const struct store_file *row)
{
	record_text(record, "name", row->name);
	record_text(record, "sha256", row->sha256);
	record_number(record, "bytes", (int64_t)row->bytes);
	record_text(record, "sender", row->sender);
	record_text(record, "from", row->from_site);
	record_text(record, "to", row->to_site);
	record_text(record, "recipients", row->recipients);
	record_text(record, "purpose", row->purpose);
	record_text(record, "work_order", row->work_order);
	record_text(record, "scanner", row->scanner);
	record_text(record, "scanner_database",
	        row->scanner_usec > 0 ? time_print(row->scanner_usec).text : "");
	record_text(record, "reason", row->reason);
}

/* Writes record and row, and answers. */
static void keep(struct exchange *exchange, int status, const char *kind, struct store_file *row)
{
	struct center *center = exchange->center;
	struct record *record = ledger_record(center, kind, row->id);

	record_file(record, row);
	ledger_begin(center);
	row->leaf = ledger_append(center, record);
	core_must(store_file_put(center->store, row), "keep what was said of a file");
	answer_leaf(exchange, status, row->leaf,
	        json_pack("{ss ss}", "id", row->id, "state", row->state));
}

void files_post(struct exchange *exchange)
{
	struct center *center = exchange->center;
	struct file_fields fields = { 0 };
	AUTO_JSON json_t *body = NULL;
	AUTO_BUF struct buf recipients = BUF(FILE_RECIPIENTS_MAX * (NAME_BYTES_MAX + 1));
	const struct site_entry *from, *to;
	struct store_file row = { 0 };
	struct err err = { "" };
	int r;

	if (json_read(exchange->request->body, exchange->request->body_bytes, file_table, &fields,
	            &body, &err) != 0) {
		answer_problem(exchange, 400, "%s", err.text);
		return;
	}
	from = registry_site(center, fields.from);
	to = registry_site(center, fields.to);
	if (!exchange->person || !from ||
	        !text_equal(from->organization, exchange->person->organization)) {
		answer_problem(
		        exchange, 403, "from: only a person of the site's organization sends");
		return;
	}
	if (!to) {
		answer_problem(exchange, 409, "to: there is no site %s", fields.to);
		return;
	}
	r = store_file_get(center->store, fields.id.text, &row);
	core_must(r < 0 ? r : 0, "look for a file");
	store_row_clear(STORE_FILE, &row);
	if (r == 0) {
		answer_problem(exchange, 409, "id: this file is recorded already");
		return;
	}
	if (!*fields.refused &&
	        (check_permitted(exchange, &fields, from, to) != 0 ||
	                take_recipients(exchange, &fields, to->organization, &recipients) != 0)) {
		return;
	}
	fill_row(&row, &fields, exchange, from, to);
	row.recipients = (char *)buf_text(&recipients);
	keep(exchange, 201, *fields.refused ? "file.refused" : "file.sent", &row);
}

/* --- the other side ------------------------------------------------------ */

static bool is_party(const struct exchange *exchange, const struct store_file *row)
{
	const struct person *person = exchange->person;

	return (exchange->roles.set & (ROLE_PROVIDER | ROLE_AUDITOR)) ||
	       (person && (text_equal(person->organization, row->from_organization) ||
	                          text_equal(person->organization, row->to_organization)));
}

/* Outcome 1: answered. The row is to be cleared in every case. */
static int find_file(struct exchange *exchange, struct store_file *row)
{
	int r = store_file_get(exchange->center->store, exchange->parameter, row);

	core_must(r < 0 ? r : 0, "read a file's row");
	if (r != 0 || !is_party(exchange, row)) {
		answer_problem(exchange, 404, "there is no such file");
		return 1;
	}
	return 0;
}

/* The same for who receives: a person that the sender named, while nothing was said yet. */
static int find_sent(struct exchange *exchange, struct store_file *row)
{
	AUTO_STRING char *around = NULL, *name = NULL;

	if (find_file(exchange, row) != 0) {
		return 1;
	}
	if (exchange->person) {
		around = mem_format(" %s ", row->recipients);
		name = mem_format(" %s ", exchange->person->name);
	}
	if (!name || !strstr(around, name)) {
		answer_problem(exchange, 403, "the file is for %s", row->recipients);
		return 1;
	}
	if (!text_equal(row->state, "sent")) {
		answer_problem(exchange, 409, "the file is %s already, said %s", row->state,
		        row->receiver);
		return 1;
	}
	memcpy(row->receiver, exchange->person->name, sizeof(row->receiver));
	return 0;
}

struct received_fields {
	char sha256[65];
	uint64_t bytes;
	char reason[STORE_REASON_BYTES_MAX + 1];
};

static const struct json_field received_table[] = {
	{ JSON_FIELD("sha256", FIELD_HEX, struct received_fields, sha256), .required = true,
	        .min = 64, .max = 64 },
	{ JSON_FIELD("bytes", FIELD_COUNT, struct received_fields, bytes), .required = true },
	{ 0 },
};

static const struct json_field refused_table[] = {
	{ JSON_FIELD("reason", FIELD_TEXT, struct received_fields, reason), .required = true,
	        .min = 1, .max = STORE_REASON_BYTES_MAX },
	{ 0 },
};

void files_received(struct exchange *exchange)
{
	struct received_fields fields = { 0 };
	struct store_file row = { 0 };

	if (exchange_body(exchange, received_table, &fields) != 0) {
		return;
	}
	if (find_sent(exchange, &row) == 0) {
		if (!text_equal(fields.sha256, row.sha256) || fields.bytes != row.bytes) {
			answer_problem(exchange, 409,
			        "sha256: not the file that %s was permitted to send", row.sender);
		} else {
			snprintf(row.state, sizeof(row.state), "received");
			keep(exchange, 200, "file.received", &row);
		}
	}
	store_row_clear(STORE_FILE, &row);
}

void files_refused(struct exchange *exchange)
{
	struct received_fields fields = { 0 };
	struct store_file row = { 0 };

	if (exchange_body(exchange, refused_table, &fields) != 0) {
		return;
	}
	if (find_sent(exchange, &row) == 0) {
		snprintf(row.state, sizeof(row.state), "refused");
		memcpy(row.reason, fields.reason, sizeof(row.reason));
		keep(exchange, 200, "file.refused", &row);
	}
	store_row_clear(STORE_FILE, &row);
}

/* --- looking ------------------------------------------------------------- */

static json_t *print_file(const struct store_file *row)
{
	return json_pack("{ss ss ss ss sI ss ss ss ss ss ss ss ss ss ss sI}", "id", row->id,
	        "state", row->state, "name", row->name, "sha256", row->sha256, "bytes",
	        (json_int_t)row->bytes, "sender", row->sender, "from", row->from_site, "to",
	        row->to_site, "recipients", row->recipients, "purpose", row->purpose, "work_order",
	        row->work_order, "scanner", row->scanner, "sent_at",
	        time_print(row->sent_usec).text, "receiver", row->receiver, "reason", row->reason,
	        "leaf", (json_int_t)row->leaf);
}

static int add_row(void *context, const void *data)
{
	const struct store_file *row = data;

	list_add(context, row->id, print_file(row));
	return 0;
}

void files_list(struct exchange *exchange)
{
	bool all = exchange->roles.set & (ROLE_PROVIDER | ROLE_AUDITOR);
	struct list list;

	if (list_begin(exchange, &list) == 0) {
		core_must(store_file_list(exchange->center->store,
		                  all ? NULL : exchange->person->organization, list.after,
		                  list.limit, add_row, &list),
		        "list files");
		list_end(&list);
	}
}

void files_get(struct exchange *exchange)
{
	struct store_file row = { 0 };

	if (find_file(exchange, &row) == 0) {
		answer_json(exchange, 200, print_file(&row));
	}
	store_row_clear(STORE_FILE, &row);
}

/* --- persons' certificates ----------------------------------------------- */

/* The service CA certifies persons by ceremony; registered here they can be revoked like others. */
void files_certificate(struct exchange *exchange)
{
	struct center *center = exchange->center;
	AUTO(cert) struct cert *cert = NULL;
	struct store_certificate row = { .tier = 2, .der = BUF(CERT_DER_BYTES_MAX) }, known = { 0 };
	const struct person *person;
	const struct site_entry *site;
	struct record *record;
	struct key_hash hash;
	struct err err = { "" };
	size_t count;
	const uint8_t *der;

	if (cert_parse(exchange->request->body, exchange->request->body_bytes, &cert, &err) != 0 ||
	        verify_cert(center->verifier, cert, NULL, 0,
	                CERT_SET(CERT_PERSON) | CERT_SET(CERT_RECIPIENT), clock_wall_usec(),
	                &err) != 0) {
		answer_problem(exchange, 400, "certificate: %s", err.text);
		return;
	}
	person = persons_get(center, cert_common_name(cert));
	site = registry_site(center, cert_unit(cert));
	if (!person || !site || !text_equal(person->organization, cert_organization(cert)) ||
	        !text_equal(site->organization, cert_organization(cert))) {
		answer_problem(exchange, 409,
		        "certificate: %s is not a person and a site of one "
		        "organization here",
		        cert_subject(cert));
		return;
	}
	hash = cert_key_hash(cert);
	der = cert_der(cert, &count);
	snprintf(row.serial, sizeof(row.serial), "%s", cert_serial(cert));
	buf_add(&row.der, der, count);
	memcpy(row.key_hash, hash.bytes, sizeof(row.key_hash));
	if (store_certificate_get(center->store, 2, row.serial, &known) != 1) {
		/* Also one that was revoked since: it stays so. */
		answer_problem(exchange, 409, "certificate: %s is registered already", row.serial);
		store_row_clear(STORE_CERTIFICATE, &known);
		buf_clear(&row.der);
		return;
	}
	row.not_before_usec = cert_not_before_usec(cert);
	row.not_after_usec = cert_not_after_usec(cert);
	record = ledger_record(center, "certificate.registered", person->name);
	record_number(record, "tier", 2);
	record_text(record, "serial", row.serial);
	record_text(record, "kind", cert_kind_name(cert_kind(cert)));
	ledger_begin(center);
	row.leaf = ledger_append(center, record);
	core_must(store_certificate_put(center->store, &row), "register a certificate");
	answer_leaf(exchange, 201, row.leaf, json_pack("{ss}", "serial", row.serial));
	buf_clear(&row.der);
}
