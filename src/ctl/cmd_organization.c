/* Organizations: the legal bodies that have sites. */
#include "ctl/nouns.h"

#include "ctl/api.h"
#include "model/kind.h"

static int run_add(struct ctl *ctl)
{
	const char *kind = ctl_text(ctl, "kind"), *title = ctl_text(ctl, "title");
	const char *principal = ctl_text(ctl, "subcontractor-of");
	enum organization_kind parsed;
	json_t *body;

	if (organization_kind_parse(kind, &parsed) != 0) {
		AUTO_BUF struct buf words = BUF(ERR_TEXT_BYTES_MAX);

		for (int i = 1; i < ORGANIZATION_KIND_COUNT; i++) {
			buf_add_format(&words, "%s%s", i == 1 ? "" : ", ",
			        organization_kind_name((enum organization_kind)i));
		}
		return ctl_fail(
		        ctl, CTL_USAGE, "--kind: \"%s\" is not one of %s", kind, buf_text(&words));
	}
	body = json_pack("{s:s, s:s, s:s}", "name", ctl_text(ctl, "NAME"), "kind", kind, "title",
	        title ? title : ctl_text(ctl, "NAME"));
	if (body && principal) {
		json_object_set_new(body, "subcontractor_of", json_string(principal));
	}
	return body ? api_do(ctl, "/organizations", body)
	            : ctl_fail(ctl, CTL_USAGE, "--title: not UTF-8");
}

static int run_list(struct ctl *ctl)
{
	return api_list(ctl, "/organizations");
}

static const struct option add_options[] = {
	{ OPTION("NAME", OPTION_NAME), "its name", .required = true, .operand = true },
	{ OPTION("kind", OPTION_NAME), "what it is, such as hospital, clinic or device-maintenance",
	        "KIND", .required = true },
	{ OPTION("title", OPTION_TEXT), "its name in full, in any script" },
	{ OPTION("subcontractor-of", OPTION_NAME), "the organization it works for" },
	{ 0 },
};

static const struct command organization_commands[] = {
	{ "add", "Adds an organization.", GROUP_CENTER, add_options, run_add },
	{ "list", "Lists the organizations.", GROUP_CENTER | GROUP_PAGE, NULL, run_list },
	{ 0 },
};
const struct noun noun_organization = { "organization", "the legal bodies that have sites",
	organization_commands };
