/* The gateway program's processes; each is this program again with another first argument. */
#pragma once

#include "gateway/config.h"
#include "gateway/dataplane.h"

#define GATEWAY_TOKEN_AGENT "token"         /* serves the token to agent */
#define GATEWAY_TOKEN_CHARON "token-charon" /* serves the token to charon */

#define GATEWAY_BRIDGE "sekisho0" /* holds the service addresses */
#define GATEWAY_PKCS11_CLIENT "/usr/lib/x86_64-linux-gnu/pkcs11/p11-kit-client.so"

/* Exit statuses that main reads. */
#define GATEWAY_EXIT_RESTART 0
#define GATEWAY_EXIT_CONFIG 2 /* cannot run with this configuration: no restart */

struct gateway_process {
	const struct gateway_config *config;
	enum dataplane dataplane; /* what main found: KERNEL or USERSPACE */
};

/* Each returns the exit status. */
int gateway_agent_main(const struct gateway_process *process);
int gateway_priv_main(const struct gateway_process *process);
int gateway_token_main(const struct gateway_config *config, const char *name);
