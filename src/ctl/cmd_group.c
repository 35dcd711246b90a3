/* Groups: the sites among which a service class may be used. */
#include "ctl/nouns.h"

#include <string.h>

#include "base/str.h"
#include "ctl/connection.h"

/* "group NAME sites A B classes C D", as the policy prints itself: one statement a line. */
static json_t *read_group(char *line)
{
	json_t *sites = json_array(), *classes = json_array(), *list = NULL;
	const char *name = NULL;
	char *word;

	while ((word = strsep(&line, " "))) {
		if (text_equal(word, "group") && !name && !list) {
			continue;
		}
		if (!name) {
			name = word;
		} else if (text_equal(word, "sites") && !list) {
			list = sites;
		} else if (text_equal(word, "classes") && list == sites) {
			list = classes;
		} else if (list && *word) {
			json_array_append_new(list, json_string(word));
		}
	}
	return json_pack(
	        "{s:s, s:o, s:o}", "group", name ? name : "", "sites", sites, "classes", classes);
}

static int run_list(struct ctl *ctl)
{
	const char *path = ctl_text(ctl, "policy");
	AUTO_BUF struct buf text = BUF(2 * POLICY_TEXT_BYTES_MAX);
	struct policy_file file;
	json_t *items;
	char *at, *line;
	int r = path ? policy_file_read(ctl, path, &file) : policy_fetch(ctl, NULL, &file);

	if (r != CTL_OK) {
		return r;
	}
	if (!file.provider) {
		policy_file_clear(&file);
		return ctl_fail(ctl, CTL_REFUSED, "%s: a site's policy has no groups", path);
	}
	provider_policy_print(file.provider, &text);
	policy_file_clear(&file);
	items = json_array();
	at = text.count ? (char *)text.bytes : NULL;
	while ((line = strsep(&at, "\n"))) {
		if (text_starts(line, "group ")) {
			json_array_append_new(items, read_group(line));
		}
	}
	ctl_put_json(ctl, "items", items);
	return CTL_OK;
}

static const struct option list_options[] = {
	{ OPTION("policy", OPTION_FILE),
	        "a policy file; without it the center's active one is read" },
	{ 0 },
};

static const struct command group_commands[] = {
	{ "list", "Lists the groups of the provider's policy with their sites and classes.",
	        GROUP_CENTER, list_options, run_list },
	{ 0 },
};
const struct noun noun_group = { "group", "sites among which a service may be used",
	group_commands };
