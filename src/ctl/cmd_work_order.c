/* Work orders: applied for, approved, worked, reported, closed. Each step is its party's own. */
#include "ctl/nouns.h"

#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "ctl/api.h"
#include "ctl/material.h"
#include "ctl/work_order.h"
#include "model/deletion.h"
#include "model/work_terms.h"
#include "pki/seal.h"

static int step(struct ctl *ctl, const char *verb, json_t *body)
{
	AUTO_STRING char *path = mem_format("/work-orders/%s/%s", ctl_text(ctl, "ID"), verb);

	return api_do(ctl, path, body);
}

/* "FROM,TO,PROTOCOL[,PORT]" */
static int add_target(struct ctl *ctl, json_t *list, const char *text)
{
	AUTO_STRING char *copy = mem_string(text);
	char *rest = copy, *parts[4] = { 0 };
	struct host_ref from, to;
	enum protocol protocol;
	uint64_t port = 0;

	for (size_t i = 0; i < ARRAY_COUNT(parts) && rest; i++) {
		parts[i] = strsep(&rest, ",");
	}
	if (rest || !parts[2] || host_ref_parse(parts[0], &from) != 0 ||
	        host_ref_parse(parts[1], &to) != 0 || protocol_parse(parts[2], &protocol) != 0 ||
	        (parts[3] && unsigned_parse(parts[3], 65535, &port) != 0) ||
	        !protocol_port_valid(protocol, (uint16_t)port)) {
		return ctl_fail(ctl, CTL_USAGE,
		        "--target: \"%s\" is not SITE/HOST,SITE/HOST,PROTOCOL,PORT", text);
	}
	json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:i}", "from", parts[0], "to",
	                                    parts[1], "protocol", parts[2], "port", (int)port));
	return CTL_OK;
}

static int run_apply(struct ctl *ctl)
{
	const struct argument *targets = arguments_all(&ctl->arguments, "target");
	json_t *list = json_array();
	AUTO_JSON json_t *body = json_pack("{s:s, s:s, s:s, s:s, s:b, s:b, s:b, s:o}", "site",
	        ctl_text(ctl, "site"), "job", ctl_text(ctl, "job"), "class", ctl_text(ctl, "class"),
	        "purpose", ctl_text(ctl, "purpose"), "personal_data",
	        (int)ctl_flag(ctl, "personal-data"), "test_data", (int)ctl_flag(ctl, "test-data"),
	        "emergency", (int)ctl_flag(ctl, "emergency"), "targets", list);
	int64_t begin = 0, end = 0;
	int r = work_order_window(ctl, clock_wall_usec(), 0, &begin, &end);

	if (r == CTL_OK && !body) {
		r = ctl_fail(ctl, CTL_USAGE, "--purpose: not UTF-8");
	}
	for (size_t i = 0; r == CTL_OK && targets && i < targets->count; i++) {
		r = add_target(ctl, list, targets->values[i]);
	}
	if (r != CTL_OK) {
		return r;
	}
	json_object_set_new(body, "not_before", json_string(time_print(begin).text));
	json_object_set_new(body, "not_after", json_string(time_print(end).text));
	if (ctl_text(ctl, "worker")) {
		json_object_set_new(body, "worker", json_string(ctl_text(ctl, "worker")));
	}
	if (ctl_text(ctl, "notice")) {
		json_object_set_new(body, "notice", json_string(ctl_text(ctl, "notice")));
	}
	return api_post(ctl, "/work-orders", body, &ctl->result);
}

static int run_list(struct ctl *ctl)
{
	return api_list(ctl, "/work-orders");
}

static int run_show(struct ctl *ctl)
{
	AUTO_STRING char *path = mem_format("/work-orders/%s", ctl_text(ctl, "ID"));

	return api_show(ctl, path);
}

static int run_approve(struct ctl *ctl)
{
	AUTO_BUF struct buf seal = BUF(JWS_SMALL_BYTES_MAX);
	int r = material_seal(ctl, ctl_text(ctl, "approval"), &seal);

	return r == CTL_OK ? step(ctl, "approve", json_pack("{s:s}", "approval", buf_text(&seal)))
	                   : r;
}

static int run_refuse(struct ctl *ctl)
{
	json_t *body = json_pack("{s:s}", "reason", ctl_text(ctl, "reason"));

	return body ? step(ctl, "refuse", body) : ctl_fail(ctl, CTL_USAGE, "--reason: not UTF-8");
}

static int run_withdraw(struct ctl *ctl)
{
	return step(ctl, "withdraw", NULL);
}

static int run_begin(struct ctl *ctl)
{
	return step(ctl, "begin", NULL);
}

static int run_extend(struct ctl *ctl)
{
	int64_t end = 0;
	int r = work_order_time(ctl, "until", &end);

	return r == CTL_OK
	               ? step(ctl, "extend", json_pack("{s:s}", "not_after", time_print(end).text))
	               : r;
}

static int run_end(struct ctl *ctl)
{
	return step(ctl, "end", NULL);
}

static int fill_deletion(struct ctl *ctl, struct deletion *deletion)
{
	const struct argument *items = arguments_all(&ctl->arguments, "item");
	struct err err;

	deletion->deleted_at = clock_wall_usec();
	if (text_copy(deletion->work_order.text, sizeof(deletion->work_order.text),
	            ctl_text(ctl, "ID")) != 0 ||
	        text_copy(deletion->worker, sizeof(deletion->worker), ctl_text(ctl, "worker")) !=
	                0 ||
	        text_copy(deletion->method, sizeof(deletion->method), ctl_text(ctl, "method")) !=
	                0) {
		return ctl_fail(
		        ctl, CTL_USAGE, "--method: at most %d bytes", DELETION_TEXT_BYTES_MAX);
	}
	for (size_t i = 0; items && i < items->count; i++) {
		if (text_copy(deletion->items[i], sizeof(deletion->items[i]), items->values[i]) !=
		        0) {
			return ctl_fail(ctl, CTL_USAGE, "--item: at most %d bytes",
			        DELETION_TEXT_BYTES_MAX);
		}
		deletion->item_count++;
	}
	return deletion_check(deletion, &err) == 0 ? CTL_OK
	                                           : ctl_fail(ctl, CTL_USAGE, "%s", err.text);
}

static int run_deleted(struct ctl *ctl)
{
	AUTO(token) struct token *token = NULL;
	AUTO(token_key) struct token_key *key = NULL;
	AUTO_BUF struct buf payload = BUF(JWS_SMALL_BYTES_MAX), seal = BUF(JWS_SMALL_BYTES_MAX);
	struct deletion deletion = { 0 };
	int r = fill_deletion(ctl, &deletion);

	if (r == CTL_OK) {
		r = material_token(ctl, &token);
	}
	if (r == CTL_OK) {
		r = material_token_key(ctl, token, ctl_text(ctl, "key"), &key);
	}
	if (r == CTL_OK) {
		deletion_print(&deletion, &payload);
		r = ctl_token_result(ctl, seal_sign(key, DELETION_SEAL_TYPE, payload.bytes,
		                                  payload.count, &seal, &ctl->err));
	}
	return r == CTL_OK
	               ? step(ctl, "deleted", json_pack("{s:s}", "certificate", buf_text(&seal)))
	               : r;
}

static int run_report(struct ctl *ctl)
{
	const struct argument *records = arguments_all(&ctl->arguments, "record");
	const char *file = ctl_text(ctl, "file"), *text = ctl_text(ctl, "text");
	AUTO_BUF struct buf bytes = BUF(WORK_REPORT_BYTES_MAX);
	json_t *list = json_array(), *body;
	int r = CTL_OK;

	if (!file == !text) {
		r = ctl_fail(ctl, CTL_USAGE, "give one of --text and --file");
	} else if (file) {
		r = material_read(ctl, file, &bytes);
		text = buf_text(&bytes);
	}
	for (size_t i = 0; records && i < records->count; i++) {
		json_array_append_new(list, json_string(records->values[i]));
	}
	body = r == CTL_OK ? json_pack("{s:s, s:o}", "text", text, "records", list) : NULL;
	if (!body) {
		return r == CTL_OK ? ctl_fail(ctl, CTL_USAGE, "the report is not UTF-8") : r;
	}
	return step(ctl, "report", body);
}

static int run_close(struct ctl *ctl)
{
	return step(ctl, "close", NULL);
}

#define ID_OPTION                                                                                  \
	{                                                                                          \
		OPTION("ID", OPTION_ID), "the work order", .required = true, .operand = true       \
	}

static const char *const jobs[] = { "repair", "preventive", "software", NULL };

static const struct option apply_options[] = {
	{ OPTION("site", OPTION_NAME), "the site whose approver is asked", .required = true },
	{ OPTION("job", OPTION_CHOICE), "kind of work", "JOB", .required = true, .choices = jobs },
	{ OPTION("class", OPTION_NAME), "service class", "CLASS", "remote-maintenance" },
	{ OPTION("target", OPTION_TEXT), "a connection that is needed",
	        "SITE/HOST,SITE/HOST,PROTOCOL,PORT", .required = true, .repeated = true },
	{ OPTION("purpose", OPTION_TEXT), "what for; the approver reads it", .required = true },
	{ OPTION("worker", OPTION_NAME), "who works, if not who applies", "PERSON" },
	{ OPTION("begin", OPTION_TEXT), "not before this time (RFC 3339); else now", "TIME" },
	{ OPTION("until", OPTION_TEXT), "not after this time (RFC 3339)", "TIME" },
	{ OPTION("duration", OPTION_DURATION), "length of the window without --until", NULL, "2h",
	        .min = 1, .max = WORK_WINDOW_SEC_MAX },
	{ OPTION("personal-data", OPTION_FLAG), "personal data are touched" },
	{ OPTION("test-data", OPTION_FLAG), "test data are made" },
	{ OPTION("notice", OPTION_ID), "the notice of a fault that it comes from" },
	{ OPTION("emergency", OPTION_FLAG), "begin now, to be reviewed afterwards" },
	{ 0 },
};
static const struct option id_options[] = { ID_OPTION, { 0 } };
static const struct option approve_options[] = {
	ID_OPTION,
	{ OPTION("approval", OPTION_FILE), "the sealed approval", .required = true },
	{ 0 },
};
static const struct option refuse_options[] = {
	ID_OPTION,
	{ OPTION("reason", OPTION_TEXT), "why; it is recorded", .required = true },
	{ 0 },
};
static const struct option extend_options[] = {
	ID_OPTION,
	{ OPTION("until", OPTION_TEXT), "the later end (RFC 3339)", "TIME", .required = true },
	{ 0 },
};
static const struct option deleted_options[] = {
	ID_OPTION,
	{ OPTION("worker", OPTION_NAME), "who certifies: the worker", "PERSON", .required = true },
	{ OPTION("method", OPTION_TEXT), "how the data were deleted", .required = true },
	{ OPTION("item", OPTION_TEXT), "what was deleted; none: no data were taken",
	        .repeated = true },
	{ OPTION("key", OPTION_TEXT), "label of the worker's registered key", "LABEL", "person" },
	{ 0 },
};
static const struct option report_options[] = {
	ID_OPTION,
	{ OPTION("text", OPTION_TEXT), "the report, in one line" },
	{ OPTION("file", OPTION_FILE), "the report, as a text file" },
	{ OPTION("record", OPTION_TEXT), "where a record of the work lies", .repeated = true },
	{ 0 },
};

static const struct command work_order_commands[] = {
	{ "apply", "Applies for work; an emergency begins at once.", GROUP_CENTER, apply_options,
	        run_apply },
	{ "list", "Lists the work orders of the own organization, newest first.",
	        GROUP_CENTER | GROUP_PAGE, NULL, run_list },
	{ "show", "Shows one with its approvals.", GROUP_CENTER, id_options, run_show },
	{ "approve", "Hands in a sealed approval (approval sign makes it).", GROUP_CENTER,
	        approve_options, run_approve },
	{ "refuse", "Refuses work, before it or during it; what is open is cut.", GROUP_CENTER,
	        refuse_options, run_refuse },
	{ "withdraw", "Takes an application back.", GROUP_CENTER, id_options, run_withdraw },
	{ "begin", "Begins: a connection for each target is asked for.", GROUP_CENTER, id_options,
	        run_begin },
	{ "extend", "Asks for a later end, which has to be approved.", GROUP_CENTER, extend_options,
	        run_extend },
	{ "end", "Ends the work and its connections.", GROUP_CENTER, id_options, run_end },
	{ "deleted", "Seals and hands in the certificate that the data were deleted.",
	        GROUP_CENTER | GROUP_TOKEN, deleted_options, run_deleted },
	{ "report", "Reports the work.", GROUP_CENTER, report_options, run_report },
	{ "close", "Accepts the report; the approver's last step.", GROUP_CENTER, id_options,
	        run_close },
	{ 0 },
};
const struct noun noun_work_order = { "work-order", "work that is applied for and approved",
	work_order_commands };
