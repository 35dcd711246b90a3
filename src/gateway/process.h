/* The gateway's processes: token is main's program again, priv and agent are the program worker. */
#pragma once

#include <signal.h>

#include "gateway/config.h"
#include "gateway/dataplane.h"

#define GATEWAY_TOKEN_AGENT "token"         /* serves the token to agent */
#define GATEWAY_TOKEN_CHARON "token-charon" /* serves the token to charon */

#define GATEWAY_BRIDGE "sekisho0"            /* holds the service addresses */
#define GATEWAY_PKCS11_CLIENT P11_KIT_CLIENT /* the build knows where p11-kit keeps its modules */

/* Exit statuses that main reads. */
#define GATEWAY_EXIT_RESTART 0
#define GATEWAY_EXIT_CONFIG 2 /* cannot run with this configuration: no restart */

/* From priv to main: charon does not find the key in its token. charon and its forwarder look for
 * tokens only when they start, so main starts them again. */
#define GATEWAY_SIGNAL_CHARON SIGUSR1

struct gateway_process {
	const struct gateway_config *config;
	enum dataplane dataplane; /* what main found: KERNEL or USERSPACE */
};

/* Each returns the exit status. */
int gateway_agent_main(const struct gateway_process *process);
int gateway_priv_main(const struct gateway_process *process);
int gateway_token_main(const struct gateway_config *config, const char *name);
