/*
 * Work orders as persons see them (protocol.md 6.1, mission G2 to G4). The parties are the worker's
 * organization and the site's; to everybody else a work order does not exist (A20). Only persons
 * take part: a machine's token reads.
 */
#include <stdio.h>
#include <string.h>

#include "center/ledger.h"
#include "center/live.h"
#include "center/persons.h"
#include "center/registry.h"
#include "center/routes.h"
#include "center/work_order_row.h"
#include "center/work_orders.h"
#include "pki/seal.h"

/* --- answers ------------------------------------------------------------- */

static void answer_outcome(struct exchange *exchange, enum work_outcome outcome,
        const struct err *err, const struct work_order *order)
{
	static const int statuses[] = { [WORK_UNKNOWN] = 404,
		[WORK_INVALID] = 400,
		[WORK_FORBIDDEN] = 403,
		[WORK_CONFLICT] = 409,
		[WORK_DENIED] = 403,
		[WORK_FULL] = 429 };
	struct policy_request request;

	if (outcome != WORK_DENIED || !order) {
		answer_problem(exchange, statuses[outcome], "%s", err->text);
		return;
	}
	work_orders_request(order, &order->terms.targets[0], &request);
	answer_problem_with(exchange, 403, "layers",
	        live_layers(&exchange->center->decision, &request), "%s", err->text);
}

/* Carries out what the machine wants and answers with the order as it is now. */
static void answer_done(
        struct exchange *exchange, int status, struct work_actions *actions, const char *id)
{
	struct center *center = exchange->center;
	AUTO(work_order) struct work_order *read = NULL;
	const struct work_order *order;
	struct work_result result;
	json_t *body;

	work_orders_run(center, actions, &result);
	order = work_find(center->work, id);
	if (!order && work_orders_read(center, id, &read) == 0) {
		order = read;
	}
	assert_always(order);
	body = work_order_print(order);
	if (result.connections) {
		json_object_set_new(body, "connections", result.connections);
	}
	answer_leaf(exchange, status, result.leaf, body);
}

static bool is_party(const struct exchange *exchange, const struct work_order *order)
{
	const struct person *person = exchange->person;

	if (exchange->roles.set & (ROLE_PROVIDER | ROLE_AUDITOR)) {
		return true;
	}
	return person && (text_equal(person->organization, order->organization) ||
	                         text_equal(person->organization, order->site_organization));
}

/* The order of the path, open or not, for whoever may see it. Outcome 1: answered. */
static int find_order(struct exchange *exchange, struct work_order **ret_owned,
        const struct work_order **ret_order)
{
	const char *id = exchange->parameter;
	const struct work_order *order = work_find(exchange->center->work, id);

	*ret_owned = NULL;
	if (!order && id_valid(id) && work_orders_read(exchange->center, id, ret_owned) == 0) {
		order = *ret_owned;
	}
	if (!order || !is_party(exchange, order)) {
		*ret_owned = work_order_free(*ret_owned);
		answer_problem(exchange, 404, "there is no such work order");
		return 1;
	}
	*ret_order = order;
	return 0;
}

/* The same for a step: who steps is a person, and the order is open. */
static int find_open(struct exchange *exchange)
{
	AUTO(work_order) struct work_order *owned = NULL;
	const struct work_order *order;

	if (!exchange->person) {
		answer_problem(exchange, 403,
		        "only a person takes part in a work order: a token of a program does not");
		return 1;
	}
	if (find_order(exchange, &owned, &order) != 0) {
		return 1;
	}
	if (!work_state_is_open(order->state)) {
		answer_problem(exchange, 409, "work order %s is %s: no step follows",
		        exchange->parameter, work_state_name(order->state));
		return 1;
	}
	return 0;
}

void work_orders_get(struct exchange *exchange)
{
	AUTO(work_order) struct work_order *owned = NULL;
	const struct work_order *order;

	if (find_order(exchange, &owned, &order) == 0) {
		answer_json(exchange, 200, work_order_print(order));
	}
}

struct listing {
	struct exchange *exchange;
	struct list list;
	char (*ids)[ID_BYTES_MAX + 1];
	size_t count;
};

static int note_id(void *context, const void *data)
{
	const struct store_work_order *stored = data;
	struct listing *listing = context;

	listing->ids = mem_resize(listing->ids, listing->count + 1, sizeof(*listing->ids));
	memcpy(listing->ids[listing->count++], stored->id, sizeof(stored->id));
	return 0;
}

void work_orders_list(struct exchange *exchange)
{
	bool all = exchange->roles.set & (ROLE_PROVIDER | ROLE_AUDITOR);
	struct listing listing = { .exchange = exchange };

	if (list_begin(exchange, &listing.list) != 0) {
		return;
	}
	core_must(store_work_order_list(exchange->center->store,
	                  all ? NULL : exchange->person->organization, listing.list.after,
	                  listing.list.limit, note_id, &listing),
	        "list work orders");
	for (size_t i = 0; i < listing.count; i++) {
		AUTO(work_order) struct work_order *order = NULL;

		if (work_orders_read(exchange->center, listing.ids[i], &order) == 0) {
			list_add(&listing.list, listing.ids[i], work_order_print(order));
		}
	}
	free(listing.ids);
	list_end(&listing.list);
}

/* --- applying ------------------------------------------------------------ */

struct application_fields {
	struct work_terms terms;
	int job;
	char class[NAME_BYTES_MAX + 1];
	json_t *targets;
	struct id notice;
	bool emergency;
};

struct target_fields {
	char from[HOST_REF_BYTES_MAX + 1], to[HOST_REF_BYTES_MAX + 1];
	char protocol[16];
	uint64_t port;
};

static const char *const jobs[] = { "repair", "preventive", "software", NULL };

static const struct json_field application_table[] = {
	{ JSON_FIELD("site", FIELD_NAME, struct application_fields, terms.site), .required = true },
	{ JSON_FIELD("worker", FIELD_NAME, struct application_fields, terms.worker) },
	{ JSON_FIELD("job", FIELD_CHOICE, struct application_fields, job), .required = true,
	        .choices = jobs },
	{ JSON_FIELD("class", FIELD_NAME, struct application_fields, class), .required = true },
	{ JSON_FIELD("targets", FIELD_LIST, struct application_fields, targets), .required = true,
	        .min = 1, .max = WORK_TARGETS_MAX },
	{ JSON_FIELD("not_before", FIELD_TIME, struct application_fields, terms.not_before) },
	{ JSON_FIELD("not_after", FIELD_TIME, struct application_fields, terms.not_after),
	        .required = true },
	{ JSON_FIELD("purpose", FIELD_TEXT, struct application_fields, terms.purpose),
	        .required = true, .min = 1, .max = WORK_PURPOSE_BYTES_MAX },
	{ JSON_FIELD("personal_data", FIELD_BOOL, struct application_fields, terms.personal_data) },
	{ JSON_FIELD("test_data", FIELD_BOOL, struct application_fields, terms.test_data) },
	{ JSON_FIELD("notice", FIELD_ID, struct application_fields, notice) },
	{ JSON_FIELD("emergency", FIELD_BOOL, struct application_fields, emergency) },
	{ 0 },
};

static const struct json_field target_table[] = {
	{ JSON_FIELD("from", FIELD_TEXT, struct target_fields, from), .required = true, .min = 1,
	        .max = HOST_REF_BYTES_MAX },
	{ JSON_FIELD("to", FIELD_TEXT, struct target_fields, to), .required = true, .min = 1,
	        .max = HOST_REF_BYTES_MAX },
	{ JSON_FIELD("protocol", FIELD_TEXT, struct target_fields, protocol), .required = true,
	        .min = 1, .max = 15 },
	{ JSON_FIELD("port", FIELD_COUNT, struct target_fields, port), .max = 65535 },
	{ 0 },
};

static int read_target(json_t *list, size_t i, struct work_target *target, struct err *err)
{
	struct target_fields fields = { 0 };

	if (json_item_fields(list, "targets", i, target_table, &fields, err) != 0) {
		return 1;
	}
	if (host_ref_parse(fields.from, &target->from) != 0) {
		return err_set(err, 1, "targets[%zu].from: must be SITE/HOST", i);
	}
	if (host_ref_parse(fields.to, &target->to) != 0) {
		return err_set(err, 1, "targets[%zu].to: must be SITE/HOST", i);
	}
	if (protocol_parse(fields.protocol, &target->protocol) != 0) {
		return err_set(err, 1, "targets[%zu].protocol: must be tcp, udp or icmp", i);
	}
	target->port = (uint16_t)fields.port;
	return 0;
}

static int64_t whole_msec(int64_t usec)
{
	return usec - usec % USEC_PER_MSEC;
}

/* Outcome 1: refused, err says why. */
static int fill_application(struct exchange *exchange, struct application_fields *fields,
        struct work_application *application, int64_t now, struct err *err)
{
	struct work_terms *terms = &fields->terms;

	if (service_class_parse(fields->class, &terms->class) != 0) {
		return err_set(err, 1, "class: there is no service class \"%s\"", fields->class);
	}
	terms->job = (enum work_job)(fields->job + 1);
	terms->work_order = id_new(now);
	terms->revision = 1;
	if (!*terms->worker) {
		snprintf(terms->worker, sizeof(terms->worker), "%s", exchange->person->name);
	}
	terms->not_before = whole_msec(terms->not_before ? terms->not_before : now);
	terms->not_after = whole_msec(terms->not_after);
	terms->target_count = json_array_size(fields->targets);
	for (size_t i = 0; i < terms->target_count; i++) {
		if (read_target(fields->targets, i, &terms->targets[i], err) != 0) {
			return 1;
		}
	}
	application->terms = *terms;
	application->emergency = fields->emergency;
	memcpy(application->notice, fields->notice.text, sizeof(application->notice));
	return 0;
}

/* The notice that an application comes from: of the same site, and used once. Outcome 1: answered.
 */
static int check_notice(struct exchange *exchange, const struct work_application *application,
        struct store_notice *row)
{
	int r;

	if (!*application->notice) {
		return 0;
	}
	r = store_notice_get(exchange->center->store, application->notice, row);
	core_must(r < 0 ? r : 0, "read a notice");
	if (r != 0 || !text_equal(row->kind, "fault") ||
	        (*row->site && !text_equal(row->site, application->terms.site))) {
		answer_problem(exchange, 400, "notice: there is no such notice of a fault at %s",
		        application->terms.site);
		return 1;
	}
	if (*row->work_order) {
		answer_problem(exchange, 409, "notice: work order %s was made of it already",
		        row->work_order);
		return 1;
	}
	return 0;
}

static void apply(struct exchange *exchange, struct work_application *application, int64_t now)
{
	struct center *center = exchange->center;
	struct work_actions actions = { 0 };
	const struct work_order *order = NULL;
	struct store_notice notice = { 0 };
	struct err err = { "" };
	enum work_outcome r;

	if (check_notice(exchange, application, &notice) == 0) {
		r = work_apply(center->work, exchange->person->name, application, now, &actions,
		        &order, &err);
		if (r != WORK_DONE) {
			struct work_order asked = { .terms = application->terms,
				.emergency = application->emergency };

			answer_outcome(exchange, r, &err, &asked);
		} else {
			if (*notice.id) {
				memcpy(notice.work_order, order->terms.work_order.text,
				        sizeof(notice.work_order));
				ledger_begin(center);
				core_must(
				        store_notice_put(center->store, &notice), "keep a notice");
			}
			answer_done(exchange, 201, &actions, application->terms.work_order.text);
		}
	}
	store_row_clear(STORE_NOTICE, &notice);
}

void work_orders_post(struct exchange *exchange)
{
	struct application_fields fields = { 0 };
	struct work_application application = { 0 };
	AUTO_JSON json_t *body = NULL;
	int64_t now = clock_wall_usec();
	struct err err = { "" };
	int r;

	if (!exchange->person) {
		answer_problem(exchange, 403, "only a person applies for work");
		return;
	}
	r = json_read(exchange->request->body, exchange->request->body_bytes, application_table,
	        &fields, &body, &err);
	if (r == 0) {
		r = fill_application(exchange, &fields, &application, now, &err);
	}
	if (r != 0) {
		answer_problem(exchange, 400, "%s", err.text);
		return;
	}
	if (application.emergency && !core_may_grant(exchange->center, &err)) {
		answer_problem(exchange, 503, "no connection can be granted now: %s", err.text);
		return;
	}
	apply(exchange, &application, now);
}

/* --- steps --------------------------------------------------------------- */

/* What a step of the machine came to, as the answer. */
static void answer_step(struct exchange *exchange, enum work_outcome r,
        struct work_actions *actions, struct err *err)
{
	if (r == WORK_DONE) {
		answer_done(exchange, 200, actions, exchange->parameter);
	} else {
		answer_outcome(
		        exchange, r, err, work_find(exchange->center->work, exchange->parameter));
		work_actions_clear(actions);
	}
}

static const struct json_field approval_fields[] = {
	{ "approval", FIELD_STRING, 0, true, 1, JWS_SMALL_BYTES_MAX, NULL, NULL, false },
	{ 0 },
};

#define APPROVERS_MAX 64

/* Opens the seal with the keys that the active policy of the site lists, and no others. Outcome 1:
 * answered. */
static int open_approval(struct exchange *exchange, const struct work_order *order,
        const char *text, struct buf *payload, char *ret_sealed_by, struct key_id *ret_key_id)
{
	const struct site_entry *site = registry_site(exchange->center, order->terms.site);
	size_t count = site && site->policy ? site_policy_approver_count(site->policy) : 0;
	struct key *keys[APPROVERS_MAX] = { 0 };
	const char *names[APPROVERS_MAX];
	const struct key *key = NULL;
	struct err err = { "" };
	size_t used = 0;
	int r;

	for (size_t i = 0; i < count && used < APPROVERS_MAX; i++) {
		struct policy_approver approver;

		site_policy_approver_at(site->policy, i, &approver);
		if (key_parse_base64(approver.spki, &keys[used], &err) == 0) {
			names[used++] = approver.name;
		}
	}
	r = seal_open(text, strlen(text), APPROVAL_SEAL_TYPE, (const struct key *const *)keys, used,
	        payload, &key, &err);
	for (size_t i = 0; i < used; i++) {
		if (r == 0 && keys[i] == key) {
			snprintf(ret_sealed_by, NAME_BYTES_MAX + 1, "%s", names[i]);
			*ret_key_id = key_id(key);
		}
	}
	for (size_t i = 0; i < used; i++) {
		key_free(keys[i]);
	}
	if (r == SEAL_UNKNOWN_KEY) {
		answer_problem(exchange, 403,
		        "approval: sealed by a key that the active policy of %s does not list as "
		        "an "
		        "approver's",
		        order->terms.site);
	} else if (r != 0) {
		answer_problem(exchange, r == SEAL_FORGED ? 403 : 400, "approval: %s", err.text);
	}
	return r != 0;
}

void work_orders_approve(struct exchange *exchange)
{
	struct center *center = exchange->center;
	AUTO_BUF struct buf payload = BUF(JWS_SMALL_BYTES_MAX);
	struct work_actions actions = { 0 };
	char sealed_by[NAME_BYTES_MAX + 1] = "";
	AUTO_JSON json_t *body = NULL;
	struct approval approval;
	struct key_id key_id = { "" };
	struct err err = { "" };
	const char *text = NULL;
	struct hash digest;

	if (find_open(exchange) != 0) {
		return;
	}
	if (json_read(exchange->request->body, exchange->request->body_bytes, approval_fields,
	            &text, &body, &err) != 0) {
		answer_problem(exchange, 400, "%s", err.text);
		return;
	}
	if (open_approval(exchange, work_find(center->work, exchange->parameter), text, &payload,
	            sealed_by, &key_id) != 0) {
		return;
	}
	if (approval_parse(payload.bytes, payload.count, &approval, &err) != 0) {
		answer_problem(exchange, 400, "approval: %s", err.text);
		return;
	}
	digest = hash_of(payload.bytes, payload.count);
	answer_step(exchange,
	        work_approve(center->work, exchange->parameter, exchange->person->name,
	                &(struct work_sealed_approval){
	                        &approval, text, sealed_by, key_id.text, digest.bytes },
	                clock_wall_usec(), &actions, &err),
	        &actions, &err);
}

static const struct json_field reason_fields[] = {
	{ "reason", FIELD_TEXT, 0, true, 1, WORK_REASON_BYTES_MAX, NULL, NULL, false },
	{ 0 },
};

void work_orders_refuse(struct exchange *exchange)
{
	char reason[WORK_REASON_BYTES_MAX + 1] = "";
	struct work_actions actions = { 0 };
	struct err err = { "" };

	if (find_open(exchange) == 0 && exchange_body(exchange, reason_fields, reason) == 0) {
		answer_step(exchange,
		        work_refuse(exchange->center->work, exchange->parameter,
		                exchange->person->name, reason, clock_wall_usec(), &actions, &err),
		        &actions, &err);
	}
}

typedef enum work_outcome plain_step(struct work_machine *machine, const char *id, const char *by,
        int64_t now, struct work_actions *actions, struct err *err);

static void serve_plain(struct exchange *exchange, plain_step *step)
{
	struct work_actions actions = { 0 };
	struct err err = { "" };

	if (find_open(exchange) == 0) {
		answer_step(exchange,
		        step(exchange->center->work, exchange->parameter, exchange->person->name,
		                clock_wall_usec(), &actions, &err),
		        &actions, &err);
	}
}

void work_orders_withdraw(struct exchange *exchange)
{
	serve_plain(exchange, work_withdraw);
}

void work_orders_end(struct exchange *exchange)
{
	serve_plain(exchange, work_end);
}

void work_orders_close(struct exchange *exchange)
{
	serve_plain(exchange, work_close);
}

void work_orders_begin(struct exchange *exchange)
{
	struct err err = { "" };

	if (!core_may_grant(exchange->center, &err)) {
		answer_problem(exchange, 503, "no connection can be granted now: %s", err.text);
		return;
	}
	serve_plain(exchange, work_begin);
}

static const struct json_field extend_fields[] = {
	{ "not_after", FIELD_TIME, 0, true, 0, 0, NULL, NULL, false },
	{ 0 },
};

void work_orders_extend(struct exchange *exchange)
{
	struct work_actions actions = { 0 };
	struct err err = { "" };
	int64_t not_after = 0;

	if (find_open(exchange) == 0 && exchange_body(exchange, extend_fields, &not_after) == 0) {
		answer_step(exchange,
		        work_extend(exchange->center->work, exchange->parameter,
		                exchange->person->name, not_after, clock_wall_usec(), &actions,
		                &err),
		        &actions, &err);
	}
}

/* --- deletion and report ------------------------------------------------- */

static const struct json_field certificate_fields[] = {
	{ "certificate", FIELD_STRING, 0, true, 1, JWS_SMALL_BYTES_MAX, NULL, NULL, false },
	{ 0 },
};

/* Opens the seal with the worker's registered key. Outcome 1: answered. */
static int open_deletion(struct exchange *exchange, const char *text, struct deletion *ret_deletion)
{
	AUTO_BUF struct buf payload = BUF(JWS_SMALL_BYTES_MAX);
	AUTO(key) struct key *key = NULL;
	struct store_person person = { 0 };
	struct err err = { "" };
	int r = store_person_get(exchange->center->store, exchange->person->name, &person);

	core_must(r < 0 ? r : 0, "read a person");
	if (r != 0 || person.spki.count == 0 ||
	        key_parse(person.spki.bytes, person.spki.count, &key, &err) != 0) {
		answer_problem(exchange, 403,
		        "certificate: %s has no registered key to check it with",
		        exchange->person->name);
		r = 1;
	} else {
		const struct key *keys[] = { key };

		r = seal_open(
		        text, strlen(text), DELETION_SEAL_TYPE, keys, 1, &payload, NULL, &err);
		if (r == SEAL_UNKNOWN_KEY || r == SEAL_FORGED) {
			answer_problem(exchange, 403,
			        "certificate: is not sealed by the registered key of %s",
			        exchange->person->name);
		} else if (r != 0) {
			answer_problem(exchange, 400, "certificate: %s", err.text);
		} else if (deletion_parse(payload.bytes, payload.count, ret_deletion, &err) != 0) {
			answer_problem(exchange, 400, "certificate: %s", err.text);
			r = 1;
		}
	}
	store_row_clear(STORE_PERSON, &person);
	return r != 0;
}

void work_orders_deleted(struct exchange *exchange)
{
	struct work_actions actions = { 0 };
	AUTO_JSON json_t *body = NULL;
	struct deletion deletion;
	struct err err = { "" };
	const char *text = NULL;

	if (find_open(exchange) != 0) {
		return;
	}
	if (json_read(exchange->request->body, exchange->request->body_bytes, certificate_fields,
	            &text, &body, &err) != 0) {
		answer_problem(exchange, 400, "%s", err.text);
		return;
	}
	if (open_deletion(exchange, text, &deletion) == 0) {
		answer_step(exchange,
		        work_deleted(exchange->center->work, exchange->parameter,
		                exchange->person->name, &deletion, text, clock_wall_usec(),
		                &actions, &err),
		        &actions, &err);
	}
}

struct report_fields {
	const char *text;
	json_t *records;
};

static const struct json_field report_table[] = {
	{ JSON_FIELD("text", FIELD_STRING, struct report_fields, text), .required = true, .min = 1,
	        .max = WORK_REPORT_BYTES_MAX },
	{ JSON_FIELD("records", FIELD_LIST, struct report_fields, records),
	        .max = WORK_REPORT_RECORDS_MAX },
	{ 0 },
};

/* As canonical JSON. Outcome 1: err says what is wrong. */
static int read_report(struct exchange *exchange, struct buf *report, struct err *err)
{
	struct report_fields fields = { 0 };
	AUTO_JSON json_t *body = NULL, *tree = NULL;
	json_t *records;

	if (json_read(exchange->request->body, exchange->request->body_bytes, report_table, &fields,
	            &body, err) != 0) {
		return 1;
	}
	records = json_array();
	tree = json_pack("{s:s, s:o}", "text", fields.text, "records", records);
	for (size_t i = 0; i < json_array_size(fields.records); i++) {
		const char *text;

		if (json_item_string(fields.records, "records", i, DELETION_TEXT_BYTES_MAX, &text,
		            err) != 0) {
			return 1;
		}
		json_array_append_new(records, json_string(text));
	}
	json_print(tree, report);
	return report->overflowed ? err_set(err, 1, "the report is too long") : 0;
}

void work_orders_report(struct exchange *exchange)
{
	/* Escaped once more in the ledger's record, which must hold it (LEDGER_RECORD_BYTES_MAX).
	 */
	AUTO_BUF struct buf report = BUF(30 << 10);
	struct work_actions actions = { 0 };
	struct err err = { "" };

	if (find_open(exchange) != 0) {
		return;
	}
	if (read_report(exchange, &report, &err) != 0) {
		answer_problem(exchange, 400, "%s", err.text);
		return;
	}
	answer_step(exchange,
	        work_report(exchange->center->work, exchange->parameter, exchange->person->name,
	                buf_text(&report), clock_wall_usec(), &actions, &err),
	        &actions, &err);
}
