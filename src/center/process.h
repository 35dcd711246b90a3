/* The processes of the center. Each is entered by main.c in a process of its own, with its
 * channel on descriptor 3, and returns the exit status. */
#pragma once

#include "base/sandbox.h"
#include "center/config.h"

#define PROCESS_CHANNEL_FD 3

struct process_arguments {
	const char *config_path;
	const char *first_token; /* where the first operator token goes; NULL: as configured */
	unsigned index;          /* of the front */
};

int front_main(const struct process_arguments *arguments);
int core_main(const struct process_arguments *arguments);
int signer_main(const struct process_arguments *arguments);
int mail_main(const struct process_arguments *arguments);

/* Reads the configuration and sets the log's level. Returns 0, or says why not and returns 1. */
int process_configure(
        const struct process_arguments *arguments, const char *name, struct center_config *config);

/* The paths that a process may reach, as its sandbox wants them. The list is never freed: it lives
 * as long as the process. `tokens`: with what a PKCS#11 module needs. `state`: with the database.
 */
const struct sandbox_path *process_paths(const struct process_arguments *arguments,
        const struct center_config *config, bool tokens, bool state);

/* What main tells core: one byte of kind and the descriptor that goes with it (SCM_RIGHTS). */
enum control_kind { CONTROL_SIGNER = 'S', CONTROL_FRONT = 'F', CONTROL_MAIL = 'M' };
int control_send(int fd, enum control_kind kind, unsigned index, int passed) must_use;
/* Outcome 1: main is gone. */
int control_receive(
        int fd, enum control_kind *ret_kind, unsigned *ret_index, int *ret_passed) must_use;
