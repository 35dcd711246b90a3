/* Hosts: what a site's policy names as reachable, with real and service address. */
#include "ctl/nouns.h"

#include "ctl/connection.h"

static int run_list(struct ctl *ctl)
{
	const char *path = ctl_text(ctl, "policy"), *site = ctl_text(ctl, "site");
	struct policy_file file;
	json_t *items;
	int r;

	if (!path && !site) {
		return ctl_fail(
		        ctl, CTL_USAGE, "give --site to ask the center, or --policy for a file");
	}
	r = path ? policy_file_read(ctl, path, &file) : policy_fetch(ctl, site, &file);
	if (r != CTL_OK) {
		return r;
	}
	if (!file.site) {
		policy_file_clear(&file);
		return ctl_fail(ctl, CTL_REFUSED, "%s: a provider's policy has no hosts",
		        path ? path : site);
	}
	items = json_array();
	for (size_t i = 0; i < site_policy_host_count(file.site); i++) {
		struct policy_host host;

		site_policy_host_at(file.site, i, &host);
		json_array_append_new(items,
		        json_pack("{s:s, s:s, s:s, s:s}", "site", site_policy_site(file.site),
		                "host", host.name, "address", address_print(host.address).text,
		                "service", address_print(host.service).text));
	}
	ctl_put_json(ctl, "items", items);
	policy_file_clear(&file);
	return CTL_OK;
}

static const struct option list_options[] = {
	{ OPTION("site", OPTION_NAME), "the site, of which the center's active policy is read" },
	{ OPTION("policy", OPTION_FILE), "or: a policy file" },
	{ 0 },
};

static const struct command host_commands[] = {
	{ "list", "Lists the hosts of a site with their addresses.", GROUP_CENTER, list_options,
	        run_list },
	{ 0 },
};
const struct noun noun_host = { "host", "what may be reached behind a gateway", host_commands };
