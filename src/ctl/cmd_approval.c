/* Approvals: the approver reads what is asked for in words, and seals exactly that (A14). */
#include "ctl/nouns.h"

#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "ctl/api.h"
#include "ctl/material.h"
#include "ctl/work_order.h"
#include "model/approval.h"
#include "pki/seal.h"

int work_order_time(struct ctl *ctl, const char *option, int64_t *ret_time)
{
	const char *text = ctl_text(ctl, option);

	if (text && time_parse(text, ret_time) != 0) {
		return ctl_fail(ctl, CTL_USAGE,
		        "--%s: \"%s\" is not a time such as 2026-11-20T09:30:00Z", option, text);
	}
	return CTL_OK;
}

int work_order_window(
        struct ctl *ctl, int64_t begin, int64_t end, int64_t *ret_begin, int64_t *ret_end)
{
	int r;

	*ret_begin = begin;
	*ret_end = end;
	r = work_order_time(ctl, "begin", ret_begin);
	if (r == CTL_OK) {
		r = work_order_time(ctl, "until", ret_end);
	}
	if (r == CTL_OK && *ret_end == 0) {
		*ret_end = *ret_begin + ctl_seconds(ctl, "duration") * USEC_PER_SEC;
	}
	if (r == CTL_OK && *ret_end <= *ret_begin) {
		r = ctl_fail(ctl, CTL_USAGE, "--until: must be later than the begin");
	}
	return r;
}

/* What is signed, for people. */
static void tell(const struct work_terms *terms, struct buf *out)
{
	buf_add_format(out, "work order   %s, revision %llu\n", terms->work_order.text,
	        (unsigned long long)terms->revision);
	buf_add_format(out, "site         %s\nworker       %s\n", terms->site, terms->worker);
	buf_add_format(out, "job          %s / %s, %s\n", work_job_name(terms->job),
	        work_job_japanese(terms->job), service_class_name(terms->class));
	buf_add_format(out, "purpose      %s\n", terms->purpose);
	buf_add_format(out, "asked for    %s to %s\n", time_print(terms->not_before).text,
	        time_print(terms->not_after).text);
	buf_add_format(out, "data         personal: %s, test data: %s\n",
	        terms->personal_data ? "yes" : "no", terms->test_data ? "yes" : "no");
	for (size_t i = 0; i < terms->target_count; i++) {
		const struct work_target *target = &terms->targets[i];

		buf_add_format(out, "connection   %s to %s, %s port %u\n",
		        host_ref_print(&target->from).text, host_ref_print(&target->to).text,
		        protocol_name(target->protocol), (unsigned)target->port);
	}
}

/* The kind that the order waits for. */
static enum approval_kind wanted_kind(const json_t *order)
{
	const char *state = json_string_value(json_object_get(order, "state"));

	if (text_equal(state, "applied")) {
		return APPROVAL_OF_WORK;
	}
	if (json_object_get(order, "asked_not_after")) {
		return APPROVAL_OF_EXTENSION;
	}
	return json_is_true(json_object_get(order, "emergency")) ? APPROVAL_OF_REVIEW
	                                                         : APPROVAL_OF_WORK;
}

static int fetch(struct ctl *ctl, struct approval *approval)
{
	AUTO_STRING char *path = mem_format("/work-orders/%s", ctl_text(ctl, "ID"));
	AUTO_JSON json_t *order = NULL;
	const char *text;
	int r = api_get(ctl, path, &order);

	if (r != CTL_OK) {
		return r;
	}
	text = json_string_value(json_object_get(order, "terms"));
	if (!text || text_copy(approval->terms_text, sizeof(approval->terms_text), text) != 0) {
		return ctl_fail(ctl, CTL_UNREACHABLE, "the center's answer holds no terms");
	}
	/* What cannot be shown is not signed. */
	r = ctl_result(ctl, work_terms_parse(text, strlen(text), &approval->terms, &ctl->err));
	if (r == CTL_OK && !text_equal(approval->terms.work_order.text, ctl_text(ctl, "ID"))) {
		r = ctl_fail(ctl, CTL_REFUSED, "the center answered with terms of work order %s",
		        approval->terms.work_order.text);
	}
	approval->kind = wanted_kind(order);
	return r;
}

static int seal_approval(struct ctl *ctl, const struct approval *approval, struct buf *seal)
{
	AUTO(token) struct token *token = NULL;
	AUTO(token_key) struct token_key *key = NULL;
	AUTO_BUF struct buf payload = BUF(JWS_SMALL_BYTES_MAX);
	int r = material_token(ctl, &token);

	if (r == CTL_OK) {
		r = material_token_key(ctl, token, ctl_text(ctl, "key"), &key);
	}
	if (r == CTL_OK) {
		approval_print(approval, &payload);
		r = ctl_token_result(ctl, seal_sign(key, APPROVAL_SEAL_TYPE, payload.bytes,
		                                  payload.count, seal, &ctl->err));
	}
	return r;
}

static int hand_in(struct ctl *ctl, const struct buf *seal)
{
	AUTO_STRING char *path = mem_format("/work-orders/%s/approve", ctl_text(ctl, "ID"));
	const char *out = ctl_text(ctl, "out");

	if (!out) {
		return api_do(ctl, path, json_pack("{s:s}", "approval", buf_text(seal)));
	}
	ctl_put(ctl, "approval", out);
	return material_write(ctl, out, seal->bytes, seal->count);
}

static int run_sign(struct ctl *ctl)
{
	AUTO_BUF struct buf seal = BUF(JWS_SMALL_BYTES_MAX), words = BUF(REPORT_BYTES_MAX);
	struct approval approval = { .approved_at = clock_wall_usec() };
	struct err err = { "" };
	int r = fetch(ctl, &approval);

	if (r == CTL_OK) {
		r = work_order_window(ctl, approval.terms.not_before, approval.terms.not_after,
		        &approval.not_before, &approval.not_after);
	}
	if (r != CTL_OK) {
		return r;
	}
	if (text_copy(approval.approver, sizeof(approval.approver), ctl_text(ctl, "approver")) !=
	                0 ||
	        approval_check(&approval, &err) != 0) {
		return ctl_fail(ctl, CTL_REFUSED, "%s", err.text);
	}
	tell(&approval.terms, &words);
	buf_add_format(&words, "approved     %s to %s, by %s (%s)\n",
	        time_print(approval.not_before).text, time_print(approval.not_after).text,
	        approval.approver, approval_kind_name(approval.kind));
	r = seal_approval(ctl, &approval, &seal);
	if (r == CTL_OK) {
		r = hand_in(ctl, &seal);
	}
	if (r == CTL_OK) {
		buf_add(&ctl->report, words.bytes, words.count);
		ctl_put(ctl, "kind", approval_kind_name(approval.kind));
		ctl_put(ctl, "words", buf_text(&words));
	}
	return r;
}

static int run_show(struct ctl *ctl)
{
	AUTO_BUF struct buf text = BUF(JWS_SMALL_BYTES_MAX), payload = BUF(JWS_SMALL_BYTES_MAX);
	struct approval approval;
	struct key_id key;
	int r = material_seal(ctl, ctl_text(ctl, "FILE"), &text);

	if (r == CTL_OK) {
		r = ctl_result(ctl, seal_peek(buf_text(&text), text.count, APPROVAL_SEAL_TYPE,
		                            &payload, &key, &ctl->err));
	}
	if (r == CTL_OK) {
		r = ctl_result(
		        ctl, approval_parse(payload.bytes, payload.count, &approval, &ctl->err));
	}
	if (r == CTL_OK) {
		tell(&approval.terms, &ctl->report);
		buf_add_format(&ctl->report, "approved     %s to %s, by %s (%s), key %s\n",
		        time_print(approval.not_before).text, time_print(approval.not_after).text,
		        approval.approver, approval_kind_name(approval.kind), key.text);
		ctl_put(ctl, "approver", approval.approver);
		ctl_put(ctl, "kind", approval_kind_name(approval.kind));
		ctl_put_time(ctl, "not_before", approval.not_before);
		ctl_put_time(ctl, "not_after", approval.not_after);
		ctl_put(ctl, "terms", approval.terms_text);
		ctl_put(ctl, "key_id", key.text);
	}
	return r;
}

static const struct option sign_options[] = {
	{ OPTION("ID", OPTION_ID), "the work order", .required = true, .operand = true },
	{ OPTION("approver", OPTION_NAME), "who approves, as the site's policy names him", "PERSON",
	        .required = true },
	{ OPTION("key", OPTION_TEXT), "label of the approver's key", "LABEL", "approver" },
	{ OPTION("begin", OPTION_TEXT), "the window's begin (RFC 3339), if another than asked for",
	        "TIME" },
	{ OPTION("until", OPTION_TEXT), "the window's end (RFC 3339), if another than asked for",
	        "TIME" },
	{ OPTION("out", OPTION_FILE),
	        "where the sealed approval is written; else it is handed in" },
	{ 0 },
};
static const struct option show_options[] = {
	{ OPTION("FILE", OPTION_FILE), "a sealed approval", .required = true, .operand = true },
	{ 0 },
};

static const struct command approval_commands[] = {
	{ "sign", "Shows what a work order asks for in words, seals it and hands it in.",
	        GROUP_CENTER | GROUP_TOKEN, sign_options, run_sign },
	{ "show", "Shows a sealed approval in words; the seal is not checked.", 0, show_options,
	        run_show },
	{ 0 },
};
const struct noun noun_approval = { "approval", "what an approver seals", approval_commands };
