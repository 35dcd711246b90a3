#include "ctl/nouns.h"

#include <stddef.h>

/* In the order of help: what people do every day first, ceremonies last. */
const struct noun *const ctl_nouns[] = {
	&noun_login,
	&noun_logout,
	&noun_status,
	&noun_connection,
	&noun_work_order,
	&noun_approval,
	&noun_notice,
	&noun_gateway,
	&noun_policy,
	&noun_application,
	&noun_enrolment,
	&noun_certificate,
	&noun_organization,
	&noun_site,
	&noun_host,
	&noun_group,
	&noun_operator,
	&noun_person,
	&noun_agreement,
	&noun_file,
	&noun_ledger,
	&noun_accreditation,
	&noun_maker,
	&noun_device_ca,
	&noun_ceremony,
	&noun_token,
	&noun_key,
	&noun_configuration,
	&noun_completion,
	&noun_version,
	&noun_help,
	NULL,
};

const struct alias ctl_aliases[] = {
	{ "connect", "connection", "request" },
	{ "explain", "connection", "explain" },
	{ 0 },
};
