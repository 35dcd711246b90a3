/* The center's state. */
#include "ctl/nouns.h"

#include "ctl/api.h"

static int run_status(struct ctl *ctl)
{
	return api_show(ctl, "/status");
}

static const struct command status_commands[] = {
	{ NULL, "Shows the state of the center.", GROUP_CENTER, NULL, run_status },
	{ 0 },
};
const struct noun noun_status = { "status", "the state of the center", status_commands };
