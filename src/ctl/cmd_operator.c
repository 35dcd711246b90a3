/* Operators: persons with an access token of the center. */
#include "ctl/nouns.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "ctl/api.h"

/* The access token goes into a file where one is named, and never onto the screen then. */
static int keep_token(struct ctl *ctl, const char *path)
{
	const char *token = json_string_value(json_object_get(ctl->result, "token"));
	AUTO_STRING char *line = token ? mem_format("%s\n", token) : NULL;
	int r;

	if (!path || !line) {
		return CTL_OK;
	}
	r = ctl_result(ctl, file_replace(path, line, strlen(line), 0600, &ctl->err));
	mem_wipe(line, strlen(line));
	if (r == CTL_OK) {
		json_object_del(ctl->result, "token");
		ctl_put(ctl, "token_file", path);
	}
	return r;
}

static int run_add(struct ctl *ctl)
{
	const struct argument *roles = arguments_all(&ctl->arguments, "role");
	json_t *list = json_array();
	int r;

	for (size_t i = 0; i < roles->count; i++) {
		json_array_append_new(list, json_string(roles->values[i]));
	}
	r = api_do(ctl, "/operators",
	        json_pack("{s:s, s:o, s:I}", "name", ctl_text(ctl, "NAME"), "roles", list, "days",
	                (json_int_t)ctl_count(ctl, "days")));
	return r == CTL_OK ? keep_token(ctl, ctl_text(ctl, "out")) : r;
}

static int run_list(struct ctl *ctl)
{
	return api_list(ctl, "/operators");
}

static int run_remove(struct ctl *ctl)
{
	AUTO_STRING char *path = mem_format("/operators/%s", ctl_text(ctl, "NAME"));

	return api_delete(ctl, path, &ctl->result);
}

static const struct option add_options[] = {
	{ OPTION("NAME", OPTION_NAME), "the person", .required = true, .operand = true },
	{ OPTION("role", OPTION_TEXT), "provider, site:NAME, maker:NAME, device-ca or auditor",
	        "ROLE", .required = true, .repeated = true },
	{ OPTION("days", OPTION_COUNT), "how long the access token is valid", NULL, "90", .min = 1,
	        .max = 3650 },
	{ OPTION("out", OPTION_FILE),
	        "file for the access token (mode 0600); else it is printed, once" },
	{ 0 },
};
static const struct option name_options[] = {
	{ OPTION("NAME", OPTION_NAME), "the person", .required = true, .operand = true },
	{ 0 },
};

static const struct command operator_commands[] = {
	{ "add", "Gives a person an access token with roles.", GROUP_CENTER, add_options, run_add },
	{ "list", "Lists who has an access token.", GROUP_CENTER | GROUP_PAGE, NULL, run_list },
	{ "remove", "Takes a person's access token away.", GROUP_CENTER, name_options, run_remove },
	{ 0 },
};
const struct noun noun_operator = { "operator", "persons with an access token", operator_commands };
