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

static int run_acknowledge(struct ctl *ctl)
{
	AUTO_STRING char *path = mem_format("/policies/site/%s/acknowledge", ctl_text(ctl, "SITE"));

	return api_do(
	        ctl, path, json_pack("{s:I}", "version", (json_int_t)ctl_count(ctl, "version")));
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
	{ OPTION("SITE", OPTION_NAME), "the site of the other party", .required = true,
	        .operand = true },
	{ OPTION("version", OPTION_COUNT), "the version of its policy", .required = true,
	        .min = 1 },
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
	{ "acknowledge", "Acknowledges the policy of the other party's site.", GROUP_CENTER,
	        acknowledge_options, run_acknowledge },
	{ 0 },
};
const struct noun noun_agreement = { "agreement", "what two organizations agreed on",
	agreement_commands };
