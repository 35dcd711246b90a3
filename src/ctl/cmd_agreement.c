/* Agreements between two organizations. */
#include "ctl/nouns.h"

#include "base/str.h"
#include "ctl/api.h"

static int run_add(struct ctl *ctl)
{
	return api_send_file(ctl, "/agreements", ctl_text(ctl, "FILE"), AGREEMENT_BYTES_MAX);
}

static int run_list(struct ctl *ctl)
{
	return api_list(ctl, "/agreements");
}

static int run_show(struct ctl *ctl)
{
	AUTO_STRING char *path = mem_format("/agreements/%s", ctl_text(ctl, "NAME"));

	return api_show(ctl, path);
}

/* Succeeds when nothing is missing, so that a script can ask. */
static int run_missing(struct ctl *ctl)
{
	AUTO_STRING char *path = mem_format("/agreements/%s", ctl_text(ctl, "NAME"));
	AUTO_JSON json_t *answer = NULL;
	json_t *missing;
	int r = api_get(ctl, path, &answer);

	if (r != CTL_OK) {
		return r;
	}
	missing = json_object_get(answer, "missing");
	ctl_put_json(ctl, "items", json_incref(missing));
	return json_array_size(missing) == 0
	               ? CTL_OK
	               : ctl_fail(ctl, CTL_REFUSED, "the agreement lacks %zu things",
	                         json_array_size(missing));
}

static int run_sign(struct ctl *ctl)
{
	AUTO_STRING char *path = mem_format("/agreements/%s/sign", ctl_text(ctl, "NAME"));

	return api_do(ctl, path, json_object());
}

static int run_end(struct ctl *ctl)
{
	AUTO_STRING char *path = mem_format("/agreements/%s/end", ctl_text(ctl, "NAME"));
	json_t *body = json_pack("{s:s}", "reason", ctl_text(ctl, "reason"));

	return body ? api_do(ctl, path, body) : ctl_fail(ctl, CTL_USAGE, "--reason: not UTF-8");
}

static int run_responsibility(struct ctl *ctl)
{
	AUTO_STRING char *path = mem_format("/agreements/%s/responsibility", ctl_text(ctl, "NAME"));

	return api_show(ctl, path);
}

static int acknowledge(struct ctl *ctl, const char *site, uint64_t version, json_t **ret_answer)
{
	AUTO_STRING char *path = mem_format("/policies/site/%s/acknowledge", site);
	AUTO_JSON json_t *body = json_pack("{s:I}", "version", (json_int_t)version);

	return api_post(ctl, path, body, ret_answer);
}

/* One row of what waits: the very version that is listed, and not one that came meanwhile. */
static int acknowledge_row(struct ctl *ctl, const json_t *row, json_t *done)
{
	const char *site = json_string_value(json_object_get(row, "site"));
	json_int_t active = json_integer_value(json_object_get(row, "active"));
	AUTO_JSON json_t *answer = NULL;
	int r;

	if (!site || !name_valid(site) || active < 1) {
		return ctl_fail(ctl, CTL_UNREACHABLE, "the center's list cannot be read");
	}
	r = acknowledge(ctl, site, (uint64_t)active, &answer);
	if (r != CTL_OK) {
		return err_wrap(&ctl->err, r, "%s version %lld (%zu others are acknowledged)", site,
		        (long long)active, json_array_size(done));
	}
	json_array_append_new(done,
	        json_pack("{s:s, s:I, s:O?, s:O?}", "site", site, "version", active, "before",
	                json_object_get(row, "version"), "leaf", json_object_get(answer, "leaf")));
	return CTL_OK;
}

static int acknowledge_all(struct ctl *ctl)
{
	AUTO_JSON json_t *rows = NULL;
	json_t *done = json_array(), *row;
	size_t index;
	int r = api_all(ctl, "/policies/unacknowledged", &rows);

	json_array_foreach(rows, index, row)
	{
		r = r == CTL_OK ? acknowledge_row(ctl, row, done) : r;
	}
	ctl_put_json(ctl, "items", done);
	return r;
}

static int run_acknowledge(struct ctl *ctl)
{
	const char *site = ctl_text(ctl, "SITE");
	uint64_t version = ctl_count(ctl, "version");

	if (ctl_flag(ctl, "all")) {
		return site || version > 0
		               ? ctl_fail(ctl, CTL_USAGE,
		                         "--all: is for every site, so give neither a site nor "
		                         "--version with it")
		               : acknowledge_all(ctl);
	}
	if (!site) {
		return ctl_fail(ctl, CTL_USAGE,
		        "SITE is missing: name the site, or say --all for every policy that waits");
	}
	if (version == 0) {
		return ctl_fail(ctl, CTL_USAGE,
		        "--version is missing: the version of the site's policy that you have "
		        "seen");
	}
	return acknowledge(ctl, site, version, &ctl->result);
}

static const struct option file_options[] = {
	{ OPTION("FILE", OPTION_FILE), "the agreement, as JSON", .required = true,
	        .operand = true },
	{ 0 },
};
static const struct option name_options[] = {
	{ OPTION("NAME", OPTION_NAME), "the agreement", .required = true, .operand = true },
	{ 0 },
};
static const struct option end_options[] = {
	{ OPTION("NAME", OPTION_NAME), "the agreement", .required = true, .operand = true },
	{ OPTION("reason", OPTION_TEXT), "why; it is recorded", .required = true },
	{ 0 },
};
static const struct option acknowledge_options[] = {
	{ OPTION("SITE", OPTION_NAME), "the site of the other party", .operand = true },
	{ OPTION("version", OPTION_COUNT), "the version of its policy", .min = 1 },
	{ OPTION("all", OPTION_FLAG),
	        "in place of a site: every active policy that waits for the own organization" },
	{ 0 },
};

static const struct command agreement_commands[] = {
	{ "add", "Drafts an agreement from a JSON file, and says what it lacks.", GROUP_CENTER,
	        file_options, run_add },
	{ "list", "Lists the agreements.", GROUP_CENTER | GROUP_PAGE, NULL, run_list },
	{ "show", "Shows one agreement with its signatures and what follows from it.", GROUP_CENTER,
	        name_options, run_show },
	{ "missing", "Lists what an agreement lacks before it can be signed.", GROUP_CENTER,
	        name_options, run_missing },
	{ "sign", "Signs an agreement for the own organization.", GROUP_CENTER, name_options,
	        run_sign },
	{ "end", "Ends an agreement, and what is open under it.", GROUP_CENTER, end_options,
	        run_end },
	{ "responsibility", "Shows who answers for what, on the path and in which incident.",
	        GROUP_CENTER, name_options, run_responsibility },
	{ "acknowledge", "Acknowledges the policy of the other party's site, or all that wait.",
	        GROUP_CENTER, acknowledge_options, run_acknowledge },
	{ 0 },
};
const struct noun noun_agreement = { "agreement", "what two organizations agreed on",
	agreement_commands };
