/* Help, manual pages and shell completion, all printed from the table of commands. */
#pragma once

#include <stdio.h>

#include "ctl/command.h"

/* Of one command, of a noun (command NULL), or of the program (both NULL). */
void help_print(FILE *file, const struct noun *noun, const struct command *command);

/* A manual page in roff (man 7): of the program with all nouns, or of one noun. */
void man_print(FILE *file, const struct noun *noun);

/* The completion script for bash. */
void completion_print(FILE *file);
