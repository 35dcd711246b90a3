#include "model/approval.h"

#include <string.h>

#include "base/clock.h"
#include "wire/json.h"

struct approval_fields {
	struct approval approval;
	uint64_t v;
	int kind;
	const char *terms; /* borrowed from the tree */
};

static const char *const kind_names[] = { "work", "extension", "review", NULL };

static const struct json_field approval_table[] = {
	{ JSON_FIELD("v", FIELD_COUNT, struct approval_fields, v), .required = true, .min = 1,
	        .max = 1 },
	{ JSON_FIELD("approver", FIELD_NAME, struct approval_fields, approval.approver),
	        .required = true },
	{ JSON_FIELD("approved_at", FIELD_TIME, struct approval_fields, approval.approved_at),
	        .required = true },
	{ JSON_FIELD("kind", FIELD_CHOICE, struct approval_fields, kind), .required = true,
	        .choices = kind_names },
	{ JSON_FIELD("not_before", FIELD_TIME, struct approval_fields, approval.not_before),
	        .required = true },
	{ JSON_FIELD("not_after", FIELD_TIME, struct approval_fields, approval.not_after),
	        .required = true },
	{ JSON_FIELD("terms", FIELD_STRING, struct approval_fields, terms), .required = true,
	        .min = 2, .max = WORK_TERMS_BYTES_MAX },
	{ 0 },
};

static int finish(struct approval_fields *fields, struct err *err)
{
	struct approval *approval = &fields->approval;
	int r;

	approval->kind = (enum approval_kind)(fields->kind + 1);
	assert_always(
	        text_copy(approval->terms_text, sizeof(approval->terms_text), fields->terms) == 0);
	r = work_terms_parse(fields->terms, strlen(fields->terms), &approval->terms, err);
	if (r != 0) {
		return err_wrap(err, r, "terms");
	}
	return approval_check(approval, err);
}

int approval_parse(
        const void *payload, size_t count, struct approval *ret_approval, struct err *err)
{
	AUTO_BUF struct buf canonical = BUF(4 * WORK_TERMS_BYTES_MAX);
	struct approval_fields fields = { 0 };
	AUTO_JSON json_t *tree = NULL;
	int r = json_read(payload, count, approval_table, &fields, &tree, err);

	if (r == 0) {
		r = finish(&fields, err);
	}
	if (r != 0) {
		return r;
	}
	approval_print(&fields.approval, &canonical);
	if (canonical.count != count || memcmp(canonical.bytes, payload, count) != 0) {
		return err_set(err, 1, "the approval is not in its canonical form");
	}
	*ret_approval = fields.approval;
	return 0;
}

void approval_print(const struct approval *approval, struct buf *out)
{
	AUTO_JSON json_t *tree = json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:s}", "v", 1,
	        "approver", approval->approver, "approved_at",
	        time_print(approval->approved_at).text, "kind", approval_kind_name(approval->kind),
	        "not_before", time_print(approval->not_before).text, "not_after",
	        time_print(approval->not_after).text, "terms", approval->terms_text);

	assert_always(tree != NULL);
	json_print(tree, out);
}

int approval_check(const struct approval *approval, struct err *err)
{
	if (!name_valid(approval->approver)) {
		return err_set(err, 1, "approver: must be a name");
	}
	if (approval->kind <= APPROVAL_KIND_NONE || approval->kind >= APPROVAL_KIND_COUNT) {
		return err_set(err, 1, "kind: must be work, extension or review");
	}
	if (approval->not_after <= approval->not_before) {
		return err_set(err, 1, "not_after: must be later than not_before");
	}
	if (approval->not_after - approval->not_before > WORK_WINDOW_SEC_MAX * USEC_PER_SEC) {
		return err_set(err, 1, "not_after: an approval lasts at most %d days",
		        WORK_WINDOW_SEC_MAX / (24 * 3600));
	}
	if (text_equal(approval->approver, approval->terms.worker)) {
		return err_set(
		        err, 1, "approver: %s cannot approve the own work", approval->approver);
	}
	return 0;
}

int approval_covers(
        const struct approval *approval, const struct approval_use *use, struct err *err)
{
	const struct work_terms *terms = &approval->terms;

	if (!text_equal(terms->site, use->site)) {
		return err_set(err, 1, "the approval is of %s, not of %s", terms->site, use->site);
	}
	if (!text_equal(terms->work_order.text, use->work_order)) {
		return err_set(err, 1, "the approval is of work order %s, not of %s",
		        terms->work_order.text, use->work_order);
	}
	if (approval->kind == APPROVAL_OF_REVIEW) {
		return err_set(
		        err, 1, "the approval is a review after the fact: it permits nothing");
	}
	if (!text_equal(terms->worker, use->person)) {
		return err_set(
		        err, 1, "the approval is for %s, not for %s", terms->worker, use->person);
	}
	if (terms->class != use->class) {
		return err_set(err, 1, "the approval is for %s, not for %s",
		        service_class_name(terms->class), service_class_name(use->class));
	}
	if (!work_terms_has(terms, &use->target)) {
		return err_set(err, 1, "the approval does not name %s to %s, %s port %u",
		        host_ref_print(&use->target.from).text,
		        host_ref_print(&use->target.to).text, protocol_name(use->target.protocol),
		        (unsigned)use->target.port);
	}
	if (use->not_before < approval->not_before || use->not_after > approval->not_after) {
		return err_set(err, 1,
		        "the approval is from %s to %s, which does not hold %s to %s",
		        time_print(approval->not_before).text, time_print(approval->not_after).text,
		        time_print(use->not_before).text, time_print(use->not_after).text);
	}
	return 0;
}

const char *approval_kind_name(enum approval_kind kind)
{
	return kind > APPROVAL_KIND_NONE && kind < APPROVAL_KIND_COUNT ? kind_names[kind - 1] : "";
}
