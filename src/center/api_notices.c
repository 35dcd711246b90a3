/*
 * Notices of faults (the first step of the use case of mission G2): mails that devices send, handed
 * in by a program or a mail server. A notice is kept and shown; it opens nothing and changes
 * nothing, whoever wrote it. A person may make an application of it. What is no notice is kept and
 * shown as well, so that nothing is lost, and never acted on.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "center/ledger.h"
#include "center/mailbox.h"
#include "center/persons.h"
#include "center/registry.h"
#include "center/routes.h"
#include "wire/mail.h"

struct notice_fields {
	char from[MAIL_ADDRESS_BYTES_MAX + 1];
	char subject[MAIL_SUBJECT_BYTES_MAX + 1];
	const char *text;
};

static const struct json_field notice_table[] = {
	{ JSON_FIELD("from", FIELD_TEXT, struct notice_fields, from), .required = true,
	        .max = MAIL_ADDRESS_BYTES_MAX },
	{ JSON_FIELD("subject", FIELD_TEXT, struct notice_fields, subject), .required = true,
	        .max = MAIL_SUBJECT_BYTES_MAX },
	{ JSON_FIELD("text", FIELD_STRING, struct notice_fields, text), .required = true,
	        .max = MAIL_TEXT_BYTES_MAX },
	{ 0 },
};

/* The site of a device, when both are known; else "". */
static const char *site_of(struct center *center, const char *device)
{
	const struct site_entry *site;
	struct policy_host host;
	struct host_ref ref;

	if (host_ref_parse(device, &ref) != 0) {
		return "";
	}
	site = registry_site(center, ref.site);
	return site && site->policy && site_policy_host_get(site->policy, ref.host, &host) == 0
	               ? site->name
	               : "";
}

/* Reads the body, JSON or a mail. Outcome 1: answered. */
static int read_notice(struct exchange *exchange, struct mail *mail)
{
	const struct request *request = exchange->request;
	struct notice_fields fields = { 0 };
	AUTO_JSON json_t *body = NULL;
	struct err err = { "" };
	int r;

	if (strncasecmp(request->content_type, "message/rfc822", 14) == 0) {
		r = mail_parse(request->body, request->body_bytes, mail, &err);
	} else {
		r = json_read(
		        request->body, request->body_bytes, notice_table, &fields, &body, &err);
		*mail = (struct mail){ .text = BUF(MAIL_TEXT_BYTES_MAX) };
		if (r == 0) {
			memcpy(mail->from, fields.from, sizeof(mail->from));
			memcpy(mail->subject, fields.subject, sizeof(mail->subject));
			buf_add_text(&mail->text, fields.text);
		}
	}
	if (r != 0) {
		answer_problem(exchange, 400, "%s", err.text);
	}
	return r;
}

/* The approvers of the site hear of the fault. Who repairs it hears from the device itself, or from
 * them. */
static void tell(struct center *center, const struct store_notice *row)
{
	const struct site_entry *site = registry_site(center, row->site);
	AUTO_STRING char *subject = mem_format("[Sekisho] 障害通知を受信しました / Fault notice "
	                                       "received: %s",
	        row->device);
	AUTO_STRING char *text =
	        mem_format("障害通知を受信しました。\nA notice of a fault came in.\n\n"
	                   "通知 / notice: %s\n機器 / device: %s\n障害 / fault: %s\n"
	                   "差出人 / from: %s\n件名 / subject: %s\n受信 / received: %s\n\n"
	                   "作業申請は人が行います（sekisho work-order apply --notice %s）。\n"
	                   "A person applies for work: sekisho work-order apply --notice %s.\n",
	                row->id, row->device, row->fault, row->sender, row->subject,
	                time_print(row->received_usec).text, row->id, row->id);

	for (size_t i = 0; site && site->policy && i < site_policy_approver_count(site->policy);
	        i++) {
		struct store_person person = { 0 };
		struct policy_approver approver;
		int r;

		site_policy_approver_at(site->policy, i, &approver);
		r = store_person_get(center->store, approver.name, &person);
		core_must(r < 0 ? r : 0, "read a person");
		if (r == 0 && text_equal(person.state, "active")) {
			mailbox_put(center, &(struct mailbox_mail){ person.mail, subject, text,
			                            row->id, "notice" });
		}
		store_row_clear(STORE_PERSON, &person);
	}
}

static void keep(struct exchange *exchange, struct store_notice *row)
{
	struct center *center = exchange->center;
	bool fault = text_equal(row->kind, "fault");
	struct record *record = ledger_record(center, "notice.received", row->id);

	record_text(record, "kind", row->kind);
	record_text(record, "device", row->device);
	record_text(record, "fault", row->fault);
	record_text(record, "from", row->sender);
	record_text(record, "message_id", row->message_id);
	ledger_begin(center);
	row->leaf = ledger_append(center, record);
	core_must(store_notice_put(center->store, row), "keep a notice");
	if (fault) {
		tell(center, row);
	}
	answer_leaf(exchange, 201, row->leaf,
	        json_pack("{ss ss ss ss}", "id", row->id, "kind", row->kind, "device", row->device,
	                "fault", row->fault));
}

/* A mail that comes a second time (its server was not sure) is the same notice. Outcome 1:
 * answered. */
static int find_same(struct exchange *exchange, const char *message_id)
{
	struct store_notice known = { 0 };
	int r = *message_id ? store_notice_get_message(exchange->center->store, message_id, &known)
	                    : 1;

	core_must(r < 0 ? r : 0, "look for a notice");
	if (r == 0) {
		answer_json(exchange, 200,
		        json_pack("{ss ss ss ss}", "id", known.id, "kind", known.kind, "device",
		                known.device, "fault", known.fault));
	}
	store_row_clear(STORE_NOTICE, &known);
	return r == 0;
}

void notices_post(struct exchange *exchange)
{
	struct store_notice row = { .received_usec = clock_wall_usec() };
	struct mail_notice found;
	struct mail mail;
	bool fault;

	if (read_notice(exchange, &mail) != 0) {
		return;
	}
	if (find_same(exchange, mail.message_id) == 0) {
		mail_notice_find(buf_text(&mail.text), &found);
		/* An automatic answer quotes what it answers: it is no notice, whatever it quotes.
		 */
		fault = !mail.is_automatic && (mail.is_notice || (*found.device && *found.fault));
		snprintf(row.id, sizeof(row.id), "%s", id_new(row.received_usec).text);
		snprintf(row.kind, sizeof(row.kind), "%s", fault ? "fault" : "other");
		snprintf(row.device, sizeof(row.device), "%s", found.device);
		snprintf(row.site, sizeof(row.site), "%s", site_of(exchange->center, found.device));
		snprintf(row.fault, sizeof(row.fault), "%s",
		        *found.fault ? found.fault : mail.subject);
		memcpy(row.sender, mail.from, sizeof(row.sender));
		memcpy(row.subject, mail.subject, sizeof(row.subject));
		memcpy(row.message_id, mail.message_id, sizeof(row.message_id));
		memcpy(row.received_by, exchange->operator_name, sizeof(row.received_by));
		row.text = (char *)buf_text(&mail.text);
		keep(exchange, &row);
	}
	mail_clear(&mail);
}

static json_t *print_notice(const struct store_notice *row, bool whole)
{
	json_t *json = json_pack("{ss ss ss ss ss ss ss ss ss sI}", "id", row->id, "kind",
	        row->kind, "device", row->device, "fault", row->fault, "from", row->sender,
	        "subject", row->subject, "received_at", time_print(row->received_usec).text,
	        "received_by", row->received_by, "work_order", row->work_order, "leaf",
	        (json_int_t)row->leaf);

	if (whole) {
		json_object_set_new(json, "text", json_string(row->text));
	}
	return json;
}

static int add_row(void *context, const void *data)
{
	const struct store_notice *row = data;

	list_add(context, row->id, print_notice(row, false));
	return 0;
}

void notices_list(struct exchange *exchange)
{
	bool all = exchange->roles.set & (ROLE_PROVIDER | ROLE_AUDITOR);
	struct list list;

	if (list_begin(exchange, &list) == 0) {
		core_must(store_notice_list(exchange->center->store,
		                  all ? NULL : exchange->person->organization, list.after,
		                  list.limit, add_row, &list),
		        "list notices");
		list_end(&list);
	}
}

static bool may_see(const struct exchange *exchange, const struct store_notice *row)
{
	const struct person *person = exchange->person;
	const struct site_entry *site = registry_site(exchange->center, row->site);
	const struct person *bringer = persons_get(exchange->center, row->received_by);

	if (exchange->roles.set & (ROLE_PROVIDER | ROLE_AUDITOR)) {
		return true;
	}
	return person &&
	       ((site && text_equal(site->organization, person->organization)) ||
	               (bringer && text_equal(bringer->organization, person->organization)));
}

void notices_get(struct exchange *exchange)
{
	struct store_notice row = { 0 };
	int r = store_notice_get(exchange->center->store, exchange->parameter, &row);

	core_must(r < 0 ? r : 0, "read a notice");
	if (r != 0 || !may_see(exchange, &row)) {
		answer_problem(exchange, 404, "there is no such notice");
	} else {
		answer_json(exchange, 200, print_notice(&row, true));
	}
	store_row_clear(STORE_NOTICE, &row);
}
