#include "center/work_order_row.h"

#include <string.h>

#include "base/clock.h"

/* The numbers and flags of a row, once, for reading and for writing. */
struct row_fields {
	uint64_t v;
	const char *terms, *asked; /* borrowed from the tree */
	struct work_order order;
	char state[16];
	uint64_t applied_at, began_at, ended_at, changed_at, report_due, review_due, remind_at,
	        review_remind_at;
};

static const struct json_field row_table[] = {
	{ JSON_FIELD("v", FIELD_COUNT, struct row_fields, v), .required = true, .min = 1,
	        .max = 1 },
	{ JSON_FIELD("terms", FIELD_STRING, struct row_fields, terms), .required = true, .min = 2,
	        .max = WORK_TERMS_BYTES_MAX },
	{ JSON_FIELD("asked", FIELD_STRING, struct row_fields, asked), .required = true,
	        .max = WORK_TERMS_BYTES_MAX },
	{ JSON_FIELD("state", FIELD_TEXT, struct row_fields, state), .required = true, .min = 1,
	        .max = 15 },
	{ JSON_FIELD("emergency", FIELD_BOOL, struct row_fields, order.emergency),
	        .required = true },
	{ JSON_FIELD("organization", FIELD_TEXT, struct row_fields, order.organization),
	        .required = true, .max = NAME_BYTES_MAX },
	{ JSON_FIELD("site_organization", FIELD_TEXT, struct row_fields, order.site_organization),
	        .required = true, .max = NAME_BYTES_MAX },
	{ JSON_FIELD("applicant", FIELD_TEXT, struct row_fields, order.applicant), .required = true,
	        .max = NAME_BYTES_MAX },
	{ JSON_FIELD("notice", FIELD_TEXT, struct row_fields, order.notice), .required = true,
	        .max = ID_BYTES_MAX },
	{ JSON_FIELD("by", FIELD_TEXT, struct row_fields, order.by), .required = true,
	        .max = NAME_BYTES_MAX },
	{ JSON_FIELD("reason", FIELD_TEXT, struct row_fields, order.reason), .required = true,
	        .max = WORK_REASON_BYTES_MAX },
	{ JSON_FIELD("applied_at", FIELD_COUNT, struct row_fields, applied_at), .required = true },
	{ JSON_FIELD("began_at", FIELD_COUNT, struct row_fields, began_at), .required = true },
	{ JSON_FIELD("ended_at", FIELD_COUNT, struct row_fields, ended_at), .required = true },
	{ JSON_FIELD("changed_at", FIELD_COUNT, struct row_fields, changed_at), .required = true },
	{ JSON_FIELD("report_due", FIELD_COUNT, struct row_fields, report_due), .required = true },
	{ JSON_FIELD("review_due", FIELD_COUNT, struct row_fields, review_due), .required = true },
	{ JSON_FIELD("reviewed", FIELD_BOOL, struct row_fields, order.reviewed), .required = true },
	{ JSON_FIELD("remind_at", FIELD_COUNT, struct row_fields, remind_at), .required = true },
	{ JSON_FIELD("reminders", FIELD_COUNT, struct row_fields, order.reminders),
	        .required = true },
	{ JSON_FIELD("review_remind_at", FIELD_COUNT, struct row_fields, review_remind_at),
	        .required = true },
	{ JSON_FIELD("review_reminders", FIELD_COUNT, struct row_fields, order.review_reminders),
	        .required = true },
	{ 0 },
};

static json_t *count(int64_t value)
{
	return json_integer((json_int_t)value);
}

static json_t *terms_text(const struct work_terms *terms)
{
	AUTO_BUF struct buf text = BUF(2 * WORK_TERMS_BYTES_MAX);

	if (terms) {
		work_terms_print(terms, &text);
	}
	return json_string(buf_text(&text));
}

void work_order_pack(const struct work_order *order, struct buf *out)
{
	AUTO_JSON json_t *tree = json_pack(
	        "{s:i, s:o, s:o, s:s, s:b, s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:o, s:o}", "v", 1,
	        "terms", terms_text(&order->terms), "asked", terms_text(order->asked), "state",
	        work_state_name(order->state), "emergency", (int)order->emergency, "organization",
	        order->organization, "site_organization", order->site_organization, "applicant",
	        order->applicant, "notice", order->notice, "by", order->by, "reason", order->reason,
	        "reviewed", (int)order->reviewed, "reminders", count((int64_t)order->reminders),
	        "review_reminders", count((int64_t)order->review_reminders));
	const struct {
		const char *key;
		int64_t value;
	} times[] = { { "applied_at", order->applied_at }, { "began_at", order->began_at },
		{ "ended_at", order->ended_at }, { "changed_at", order->changed_at },
		{ "report_due", order->report_due }, { "review_due", order->review_due },
		{ "remind_at", order->remind_at },
		{ "review_remind_at", order->review_remind_at } };

	assert_always(tree != NULL);
	for (size_t i = 0; i < ARRAY_COUNT(times); i++) {
		json_object_set_new(tree, times[i].key, count(times[i].value));
	}
	json_print(tree, out);
}

int work_order_unpack(const char *text, struct work_order **ret_order, struct err *err)
{
	struct row_fields fields = { 0 };
	AUTO(work_order) struct work_order *order = NULL;
	AUTO_JSON json_t *tree = NULL;
	int r = json_read(text, strlen(text), row_table, &fields, &tree, err);

	if (r != 0) {
		return r;
	}
	order = mem_copy(&fields.order, sizeof(fields.order));
	order->applied_at = (int64_t)fields.applied_at;
	order->began_at = (int64_t)fields.began_at;
	order->ended_at = (int64_t)fields.ended_at;
	order->changed_at = (int64_t)fields.changed_at;
	order->report_due = (int64_t)fields.report_due;
	order->review_due = (int64_t)fields.review_due;
	order->remind_at = (int64_t)fields.remind_at;
	order->review_remind_at = (int64_t)fields.review_remind_at;
	if (work_state_parse(fields.state, &order->state) != 0) {
		return err_set(err, 1, "state: there is no state \"%s\"", fields.state);
	}
	r = work_terms_parse(fields.terms, strlen(fields.terms), &order->terms, err);
	if (r == 0 && *fields.asked) {
		order->asked = mem_new(1, sizeof(*order->asked));
		r = work_terms_parse(fields.asked, strlen(fields.asked), order->asked, err);
	}
	if (r == 0) {
		*ret_order = TAKE(order);
	}
	return r;
}

int work_order_add_approval(struct work_order *order, const void *payload, size_t payload_bytes,
        const char *seal, const char *key_id, const uint8_t digest[WORK_DIGEST_BYTES],
        struct err *err)
{
	struct approval approval;
	struct work_approval *place;
	int r = approval_parse(payload, payload_bytes, &approval, err);

	if (r != 0) {
		return r;
	}
	order->approvals = mem_resize(order->approvals, order->approval_count + 1, sizeof(*place));
	place = &order->approvals[order->approval_count++];
	*place = (struct work_approval){
		.kind = approval.kind,
		.revision = approval.terms.revision,
		.not_before = approval.not_before,
		.not_after = approval.not_after,
		.approved_at = approval.approved_at,
		.seal = mem_string(seal),
	};
	memcpy(place->approver, approval.approver, sizeof(place->approver));
	assert_always(text_copy(place->key_id, sizeof(place->key_id), key_id) == 0);
	memcpy(place->digest, digest, WORK_DIGEST_BYTES);
	return 0;
}

static void set_time(json_t *tree, const char *key, int64_t time)
{
	if (time > 0) {
		json_object_set_new(tree, key, json_string(time_print(time).text));
	}
}

static json_t *print_approvals(const struct work_order *order)
{
	json_t *list = json_array();

	for (size_t i = 0; i < order->approval_count; i++) {
		const struct work_approval *at = &order->approvals[i];

		json_array_append_new(
		        list, json_pack("{s:s, s:s, s:I, s:s, s:s, s:s, s:s}", "kind",
		                      approval_kind_name(at->kind), "approver", at->approver,
		                      "revision", (json_int_t)at->revision, "approved_at",
		                      time_print(at->approved_at).text, "not_before",
		                      time_print(at->not_before).text, "not_after",
		                      time_print(at->not_after).text, "approval", at->seal));
	}
	return list;
}

static json_t *print_targets(const struct work_terms *terms)
{
	json_t *list = json_array();

	for (size_t i = 0; i < terms->target_count; i++) {
		const struct work_target *at = &terms->targets[i];

		json_array_append_new(list,
		        json_pack("{s:s, s:s, s:s, s:i}", "from", host_ref_print(&at->from).text,
		                "to", host_ref_print(&at->to).text, "protocol",
		                protocol_name(at->protocol), "port", (int)at->port));
	}
	return list;
}

json_t *work_order_print(const struct work_order *order)
{
	const struct work_terms *terms = &order->terms;
	json_t *tree = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I}", "id",
	        terms->work_order.text, "state", work_state_name(order->state), "state_ja",
	        work_state_japanese(order->state), "site", terms->site, "worker", terms->worker,
	        "organization", order->organization, "applicant", order->applicant, "job",
	        work_job_name(terms->job), "class", service_class_name(terms->class), "purpose",
	        terms->purpose, "revision", (json_int_t)terms->revision);

	assert_always(tree != NULL);
	json_object_set_new(tree, "emergency", json_boolean(order->emergency));
	json_object_set_new(tree, "personal_data", json_boolean(terms->personal_data));
	json_object_set_new(tree, "test_data", json_boolean(terms->test_data));
	json_object_set_new(tree, "targets", print_targets(terms));
	json_object_set_new(tree, "approvals", print_approvals(order));
	json_object_set_new(tree, "terms", terms_text(order->asked ? order->asked : terms));
	set_time(tree, "not_before", terms->not_before);
	set_time(tree, "not_after", terms->not_after);
	set_time(tree, "applied_at", order->applied_at);
	set_time(tree, "began_at", order->began_at);
	set_time(tree, "ended_at", order->ended_at);
	set_time(tree, "changed_at", order->changed_at);
	set_time(tree, "report_due", order->report_due);
	if (order->asked) {
		set_time(tree, "asked_not_after", order->asked->not_after);
	}
	if (order->emergency) {
		set_time(tree, "review_due", order->review_due);
		json_object_set_new(tree, "reviewed", json_boolean(order->reviewed));
	}
	if (*order->notice) {
		json_object_set_new(tree, "notice", json_string(order->notice));
	}
	json_object_set_new(tree, "by", json_string(order->by));
	if (*order->reason) {
		json_object_set_new(tree, "reason", json_string(order->reason));
	}
	if (order->deletion && *order->deletion) {
		json_object_set_new(tree, "deletion", json_string(order->deletion));
	}
	if (order->report && *order->report) {
		json_object_set_new(tree, "report", json_loads(order->report, 0, NULL));
	}
	json_object_set_new(tree, "leaf", count((int64_t)order->leaf));
	return tree;
}
