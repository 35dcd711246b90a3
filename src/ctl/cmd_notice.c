/* Notices of faults, as they come in by mail. */
#include "ctl/nouns.h"

#include "ctl/api.h"
#include "ctl/material.h"

static int run_list(struct ctl *ctl)
{
	return api_list(ctl, "/notices");
}

static int run_show(struct ctl *ctl)
{
	AUTO_STRING char *path = mem_format("/notices/%s", ctl_text(ctl, "ID"));

	return api_show(ctl, path);
}

/* A mail server calls this with the mail on standard input. */
static int run_take(struct ctl *ctl)
{
	AUTO_BUF struct buf mail = BUF(MAIL_BYTES_MAX);
	int r = material_read(ctl, ctl_text(ctl, "FILE"), &mail);

	return r == CTL_OK ? api_post_as(ctl, "/notices", "message/rfc822", mail.bytes, mail.count,
	                             &ctl->result)
	                   : r;
}

static const struct option id_options[] = {
	{ OPTION("ID", OPTION_ID), "the notice", .required = true, .operand = true },
	{ 0 },
};
static const struct option take_options[] = {
	{ OPTION("FILE", OPTION_FILE), "the mail; - is standard input", NULL, "-",
	        .operand = true },
	{ 0 },
};

static const struct command notice_commands[] = {
	{ "list", "Lists what came in, newest first.", GROUP_CENTER | GROUP_PAGE, NULL, run_list },
	{ "show", "Shows one with its text.", GROUP_CENTER, id_options, run_show },
	{ "take", "Hands in a mail; for a mail server's pipe, which tries again after status 3.",
	        GROUP_CENTER, take_options, run_take },
	{ 0 },
};
const struct noun noun_notice = { "notice", "notices of faults", notice_commands };
