/* The procedure of a gateway, steps a to g (004 D.6): who applies for what, in its order. */
#include "ctl/nouns.h"

#include "ctl/api.h"

static int run_join(struct ctl *ctl)
{
	return api_do(ctl, "/procedures",
	        json_pack("{s:s, s:s}", "gateway", ctl_text(ctl, "GATEWAY"), "site",
	                ctl_text(ctl, "site")));
}

/* b may come before a; the center then has to be told whose gateway it will be. */
static int run_purchase(struct ctl *ctl)
{
	AUTO_STRING char *path = mem_format("/procedures/%s/purchase", ctl_text(ctl, "GATEWAY"));
	json_t *body = json_pack("{s:s}", "maker", ctl_text(ctl, "maker"));

	if (ctl_text(ctl, "site")) {
		json_object_set_new(body, "site", json_string(ctl_text(ctl, "site")));
	}
	return api_do(ctl, path, body);
}

static int run_use(struct ctl *ctl)
{
	AUTO_STRING char *path = mem_format("/procedures/%s/use", ctl_text(ctl, "GATEWAY"));

	return api_do(ctl, path, NULL);
}

static int run_list(struct ctl *ctl)
{
	return api_list(ctl, "/procedures");
}

static int run_show(struct ctl *ctl)
{
	AUTO_STRING char *path = mem_format("/procedures/%s", ctl_text(ctl, "GATEWAY"));

	return api_show(ctl, path);
}

static const struct option join_options[] = {
	{ OPTION("GATEWAY", OPTION_NAME), "the gateway's name", .required = true, .operand = true },
	{ OPTION("site", OPTION_NAME), "the site it is for", .required = true },
	{ 0 },
};
static const struct option purchase_options[] = {
	{ OPTION("GATEWAY", OPTION_NAME), "the gateway's name", .required = true, .operand = true },
	{ OPTION("maker", OPTION_NAME), "who makes it", .required = true },
	{ OPTION("site", OPTION_NAME), "the site it is for, when it has not applied to join yet" },
	{ 0 },
};
static const struct option gateway_options[] = {
	{ OPTION("GATEWAY", OPTION_NAME), "the gateway's name", .required = true, .operand = true },
	{ 0 },
};

static const struct command application_commands[] = {
	{ "join", "Applies to the provider for a site's gateway (step a).", GROUP_CENTER,
	        join_options, run_join },
	{ "purchase", "Orders the gateway from a maker (step b).", GROUP_CENTER, purchase_options,
	        run_purchase },
	{ "use", "Applies to use the service with a delivered gateway (step g).", GROUP_CENTER,
	        gateway_options, run_use },
	{ "list", "Lists the gateways' procedures.", GROUP_CENTER | GROUP_PAGE, NULL, run_list },
	{ "show", "Shows one procedure with its steps and their records.", GROUP_CENTER,
	        gateway_options, run_show },
	{ 0 },
};
const struct noun noun_application = { "application", "applications of a site: join, purchase, use",
	application_commands };
