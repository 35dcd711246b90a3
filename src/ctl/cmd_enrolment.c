/* Requests for service certificates that wait for a person. */
#include "ctl/nouns.h"

#include "ctl/api.h"

static int run_list(struct ctl *ctl)
{
	return api_list(ctl, "/enrolments");
}

static int run_approve(struct ctl *ctl)
{
	AUTO_STRING char *path = mem_format("/enrolments/%s/approve", ctl_text(ctl, "ID"));

	return api_do(ctl, path, NULL);
}

static int run_refuse(struct ctl *ctl)
{
	AUTO_STRING char *path = mem_format("/enrolments/%s/refuse", ctl_text(ctl, "ID"));

	return api_do(ctl, path, NULL);
}

static const struct option id_options[] = {
	{ OPTION("ID", OPTION_ID), "the enrolment, as listed", .required = true, .operand = true },
	{ 0 },
};

static const struct command enrolment_commands[] = {
	{ "list", "Lists requests for service certificates.", GROUP_CENTER | GROUP_PAGE, NULL,
	        run_list },
	{ "approve", "Approves one; the certificate is issued when the gateway asks next.",
	        GROUP_CENTER, id_options, run_approve },
	{ "refuse", "Refuses one.", GROUP_CENTER, id_options, run_refuse },
	{ 0 },
};
const struct noun noun_enrolment = { "enrolment", "requests for service certificates",
	enrolment_commands };
