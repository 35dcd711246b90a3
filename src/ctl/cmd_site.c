/* Sites: places of an organization with one access point each. */
#include "ctl/nouns.h"

#include "base/str.h"
#include "ctl/api.h"
#include "ctl/material.h"

static int run_add(struct ctl *ctl)
{
	AUTO(key) struct key *owner = NULL;
	AUTO_BUF struct buf spki = BUF(2 * KEY_SPKI_BYTES_MAX);
	const uint8_t *bytes;
	size_t count;
	int r = material_key(ctl, ctl_text(ctl, "owner"), &owner);

	if (r != CTL_OK) {
		return r;
	}
	bytes = key_spki(owner, &count);
	base64_add(&spki, bytes, count);
	return api_do(ctl, "/sites",
	        json_pack("{s:s, s:s, s:s}", "name", ctl_text(ctl, "NAME"), "organization",
	                ctl_text(ctl, "organization"), "owner_spki", buf_text(&spki)));
}

static int run_list(struct ctl *ctl)
{
	return api_list(ctl, "/sites");
}

static const struct option add_options[] = {
	{ OPTION("NAME", OPTION_NAME), "its name", .required = true, .operand = true },
	{ OPTION("organization", OPTION_NAME), "whose site it is", .required = true },
	{ OPTION("owner", OPTION_FILE), "public key of the site's owner, who signs its policy",
	        .required = true },
	{ 0 },
};

static const struct command site_commands[] = {
	{ "add", "Adds a site with its owner's key.", GROUP_CENTER, add_options, run_add },
	{ "list", "Lists the sites.", GROUP_CENTER | GROUP_PAGE, NULL, run_list },
	{ 0 },
};
const struct noun noun_site = { "site", "places with one access point each", site_commands };
