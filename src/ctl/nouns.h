/* The nouns, one a file. */
#pragma once

#include "ctl/command.h"
#include "ctl/ctl.h"

extern const struct noun noun_token, noun_key, noun_ceremony, noun_accreditation, noun_device_ca,
        noun_maker, noun_application, noun_enrolment, noun_organization, noun_site, noun_gateway,
        noun_host, noun_group, noun_certificate, noun_operator, noun_policy, noun_connection,
        noun_person, noun_login, noun_logout, noun_agreement, noun_file, noun_work_order,
        noun_approval, noun_notice, noun_ledger, noun_status, noun_configuration, noun_version,
        noun_help, noun_completion;
