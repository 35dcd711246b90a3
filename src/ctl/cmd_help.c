/* Help, manual pages, completion, version, sample configuration: what the program says of itself.
 */
#include "ctl/nouns.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/str.h"
#include "ctl/help.h"

static int write_page(struct ctl *ctl, const char *directory, const struct noun *noun)
{
	AUTO_STRING char *path =
	        mem_format("%s/sekisho%s%s.1", directory, noun ? "-" : "", noun ? noun->name : "");
	FILE *file = fopen(path, "w");

	if (!file) {
		return ctl_fail(ctl, CTL_FAILED, "cannot write %s: %s", path, strerror(errno));
	}
	man_print(file, noun);
	return fclose(file) == 0
	               ? CTL_OK
	               : ctl_fail(ctl, CTL_FAILED, "cannot write %s: %s", path, strerror(errno));
}

static int run_help(struct ctl *ctl)
{
	const char *directory = ctl_text(ctl, "man"), *word = ctl_text(ctl, "NOUN");
	const struct noun *noun = NULL;
	int r = CTL_OK;

	for (size_t i = 0; ctl_nouns[i]; i++) {
		if (word && text_equal(ctl_nouns[i]->name, word)) {
			noun = ctl_nouns[i];
		}
		if (directory && !word && r == CTL_OK) {
			r = write_page(ctl, directory, ctl_nouns[i]);
		}
	}
	if (word && !noun) {
		return ctl_fail(ctl, CTL_NOT_FOUND,
		        "there is no noun \"%.80s\"; \"sekisho --help\" lists them", word);
	}
	if (directory) {
		return r == CTL_OK ? write_page(ctl, directory, noun) : r;
	}
	help_print(stdout, noun, NULL);
	return CTL_OK;
}

static const struct option help_options[] = {
	{ OPTION("NOUN", OPTION_NAME), "what help is wanted about", .operand = true },
	{ OPTION("man", OPTION_FILE), "write manual pages into this directory instead", "DIR" },
	{ 0 },
};
static const struct command help_commands[] = {
	{ NULL, "Says what the program can do, or writes its manual pages.", 0, help_options,
	        run_help },
	{ 0 },
};
const struct noun noun_help = { "help", "what the program can do", help_commands };

static const char *const shells[] = { "bash", NULL };
static const struct option completion_options[] = {
	{ OPTION("SHELL", OPTION_CHOICE), "the shell", .initial = "bash", .operand = true,
	        .choices = shells },
	{ 0 },
};

static int run_completion(struct ctl *ctl)
{
	completion_print(stdout);
	return CTL_OK;
}

static const struct command completion_commands[] = {
	{ NULL, "Prints the completion script for a shell.", 0, completion_options,
	        run_completion },
	{ 0 },
};
const struct noun noun_completion = { "completion", "completion for a shell", completion_commands };

static int run_version(struct ctl *ctl)
{
	ctl_put(ctl, "version", SEKISHO_VERSION);
	return CTL_OK;
}

static const struct command version_commands[] = {
	{ NULL, "Says which version this is.", 0, NULL, run_version },
	{ 0 },
};
const struct noun noun_version = { "version", "which version this is", version_commands };

static int run_configuration(struct ctl *ctl)
{
	settings_print_sample();
	return CTL_OK;
}

static const struct command configuration_commands[] = {
	{ NULL, "Prints a sample of client.conf with every setting and its default.", 0, NULL,
	        run_configuration },
	{ 0 },
};
const struct noun noun_configuration = { "configuration", "a sample of client.conf",
	configuration_commands };
