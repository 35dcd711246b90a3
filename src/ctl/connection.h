/* A request for a connection as options of the command line. */
#pragma once

#include "ctl/policy_file.h"
#include "policy/decide.h"

extern const char *const connection_protocols[];

#define CONNECTION_OPTIONS                                                                         \
	{ OPTION("from", OPTION_HOST), "the host that asks", .required = true },                   \
	        { OPTION("to", OPTION_HOST), "the host that is asked", .required = true },         \
	        { OPTION("class", OPTION_NAME), "service class", "CLASS", .required = true },      \
	        { OPTION("protocol", OPTION_CHOICE), "protocol", "WORD", "tcp",                    \
		        .choices = connection_protocols },                                         \
	        { OPTION("port", OPTION_COUNT), "port of the asked host; none with icmp", "PORT",  \
		        .min = 1, .max = 65535 },                                                  \
	{                                                                                          \
		OPTION("duration", OPTION_DURATION), "how long; without it as long as is allowed", \
		        .min = 1, .max = GRANT_SEC_MAX                                             \
	}

/* The options as a request. CTL_USAGE: class or port is wrong. */
int connection_request_of(struct ctl *ctl, struct policy_request *ret_request) must_use;

/* The active policy of a site (NULL: of the provider), from the center. */
int policy_fetch(struct ctl *ctl, const char *site, struct policy_file *ret_file) must_use;
