#include "ctl/help.h"

#include <string.h>

#include "base/str.h"

static void print_usage(FILE *file, const struct option *option)
{
	const char *open = option->required ? "" : "[", *close = option->required ? "" : "]";
	const char *more = option->repeated ? " …" : "";

	if (option->operand) {
		fprintf(file, " %s%s%s%s", open, option->name, more, close);
	} else if (option->type == OPTION_FLAG) {
		fprintf(file, " [--%s]", option->name);
	} else {
		fprintf(file, " %s--%s %s%s%s", open, option->name, option_value(option), close,
		        more);
	}
}

static void usage_own(void *context, const struct option *option)
{
	for (const struct option *common = command_common; common->name; common++) {
		if (common == option) {
			return;
		}
	}
	print_usage(context, option);
}

static void print_choices(FILE *file, const struct option *option)
{
	for (size_t i = 0; option->choices[i]; i++) {
		fprintf(file, "%s%s", i == 0 ? "" : ", ", option->choices[i]);
	}
}

static void help_option(void *context, const struct option *option)
{
	FILE *file = context;
	char left[80];

	snprintf(left, sizeof(left), "%s%s%s%s", option->operand ? "" : "--", option->name,
	        option->operand || option->type == OPTION_FLAG ? "" : " ",
	        option->operand ? "" : option_value(option));
	fprintf(file, "  %-26s %s", left, option->help);
	if (option->type == OPTION_CHOICE && !text_equal(option->name, "output")) {
		fputs(": ", file);
		print_choices(file, option);
	}
	if (option->initial) {
		fprintf(file, " (%s)", option->initial);
	}
	fputs(option->repeated ? "; may be repeated\n" : "\n", file);
}

static void help_command(FILE *file, const struct noun *noun, const struct command *command)
{
	fprintf(file, "sekisho %s%s%s", noun->name, command->verb ? " " : "",
	        command->verb ? command->verb : "");
	command_options(command, usage_own, file);
	fprintf(file, "\n\n%s\n\n", command->help);
	command_options(command, help_option, file);
	fputs("\nexit status\n", file);
	for (int status = 0; status < CTL_EXIT_COUNT; status++) {
		fprintf(file, "  %d  %s\n", status, ctl_exit_meaning((enum ctl_exit)status));
	}
}

static void help_noun(FILE *file, const struct noun *noun)
{
	fprintf(file, "sekisho %s VERB\n\n%s\n\n", noun->name, noun->help);
	for (const struct command *command = noun->commands; command->help; command++) {
		fprintf(file, "  %-14s %s\n", command->verb, command->help);
	}
	fprintf(file, "\n\"sekisho %s VERB --help\" says what a verb takes.\n", noun->name);
}

void help_print(FILE *file, const struct noun *noun, const struct command *command)
{
	if (noun && (command || !noun->commands->verb)) {
		help_command(file, noun, command ? command : noun->commands);
		return;
	}
	if (noun) {
		help_noun(file, noun);
		return;
	}
	fputs("sekisho NOUN VERB [option]…\n\nThe command line of operators, sites, makers, "
	      "issuers and "
	      "auditors.\n\n",
	        file);
	for (size_t i = 0; ctl_nouns[i]; i++) {
		fprintf(file, "  %-14s %s\n", ctl_nouns[i]->name, ctl_nouns[i]->help);
	}
	for (const struct alias *alias = ctl_aliases; alias->word; alias++) {
		fprintf(file, "  %-14s short for \"%s %s\"\n", alias->word, alias->noun,
		        alias->verb);
	}
	fputs("\n\"sekisho NOUN --help\" lists its verbs, \"sekisho NOUN VERB --help\" says what "
	      "one takes.\n",
	        file);
}

/* --- manual pages
 * ---------------------------------------------------------------------------------- */

/* Text for roff: no escape, no request, and hyphens that can be copied. */
static void roff(FILE *file, const char *text)
{
	if (*text == '.' || *text == '\'') {
		fputs("\\&", file);
	}
	for (; *text; text++) {
		if (*text == '\\') {
			fputs("\\e", file);
		} else if (*text == '-') {
			fputs("\\-", file);
		} else {
			fputc(*text, file);
		}
	}
}

static void man_option(void *context, const struct option *option)
{
	FILE *file = context;

	for (const struct option *common = command_common; common->name; common++) {
		if (common == option) {
			return;
		}
	}
	fprintf(file, ".TP\n\\fB%s", option->operand ? "" : "\\-\\-");
	roff(file, option->name);
	fputs("\\fR", file);
	if (!option->operand && option->type != OPTION_FLAG) {
		fputs(" \\fI", file);
		roff(file, option_value(option));
		fputs("\\fR", file);
	}
	fputc('\n', file);
	roff(file, option->help);
	if (option->type == OPTION_CHOICE) {
		fputs(": ", file);
		print_choices(file, option);
	}
	if (option->initial) {
		fputs(" (default ", file);
		roff(file, option->initial);
		fputc(')', file);
	}
	fputs(option->required ? "; required.\n" : ".\n", file);
}

static void man_noun(FILE *file, const struct noun *noun)
{
	for (const struct command *command = noun->commands; command->help; command++) {
		fputs(".SS \"sekisho ", file);
		roff(file, noun->name);
		if (command->verb) {
			fputc(' ', file);
			roff(file, command->verb);
		}
		fputs("\"\n", file);
		roff(file, command->help);
		fputc('\n', file);
		command_options(command, man_option, file);
	}
}

static void man_end(FILE *file)
{
	fputs(".SH \"OPTIONS OF EVERY COMMAND\"\n", file);
	for (const struct option *option = command_common; option->name; option++) {
		fputs(".TP\n\\fB\\-\\-", file);
		roff(file, option->name);
		fputs("\\fR\n", file);
		roff(file, option->help);
		fputs(".\n", file);
	}
	fputs(".SH \"EXIT STATUS\"\n", file);
	for (int status = 0; status < CTL_EXIT_COUNT; status++) {
		fprintf(file, ".TP\n%d\n", status);
		roff(file, ctl_exit_meaning((enum ctl_exit)status));
		fputs(".\n", file);
	}
	fputs(".SH ENVIRONMENT\nEvery setting of client.conf can be given by a variable named "
	      "SEKISHO_ and the option's name in capitals. SOFTHSM2_CONF is handed on to SoftHSM.\n"
	      ".SH FILES\n.TP\n~/.config/sekisho/client.conf\nclient configuration; \"sekisho "
	      "configuration\" prints a sample.\n",
	        file);
}

void man_print(FILE *file, const struct noun *noun)
{
	fputs(".TH \"SEKISHO", file);
	if (noun) {
		fputs("\\-", file);
		roff(file, noun->name);
	}
	fprintf(file, "\" 1 \"\" \"sekisho %s\"\n.SH NAME\nsekisho", SEKISHO_VERSION);
	if (noun) {
		fputs("\\-", file);
		roff(file, noun->name);
	}
	fputs(" \\- ", file);
	roff(file,
	        noun ? noun->help : "the command line of a dynamic on-demand VPN for health care");
	fputs("\n.SH SYNOPSIS\n\\fBsekisho\\fR ", file);
	roff(file, noun ? noun->name : "NOUN");
	fputs(noun && !noun->commands->verb ? " [option]...\n" : " VERB [option]...\n", file);
	fputs(noun ? ".SH DESCRIPTION\n" : ".SH NOUNS\n", file);
	if (noun) {
		man_noun(file, noun);
	}
	for (size_t i = 0; !noun && ctl_nouns[i]; i++) {
		fputs(".TP\n\\fBsekisho\\-", file);
		roff(file, ctl_nouns[i]->name);
		fputs("\\fR(1)\n", file);
		roff(file, ctl_nouns[i]->help);
		fputs(".\n", file);
	}
	man_end(file);
}

/* --- completion
 * ------------------------------------------------------------------------------------ */

static void complete_option(void *context, const struct option *option)
{
	if (!option->operand) {
		fprintf(context, " --%s", option->name);
	}
}

static void complete_choices(void *context, const struct option *option)
{
	if (option->type == OPTION_CHOICE && !option->operand) {
		fprintf(context, "\t\t\t--%s) words=\"", option->name);
		for (size_t i = 0; option->choices[i]; i++) {
			fprintf(context, "%s%s", i == 0 ? "" : " ", option->choices[i]);
		}
		fputs("\" ;;\n", context);
	}
}

static void complete_command(FILE *file, const struct command *command, const char *pattern)
{
	fprintf(file, "\t\"%s\")\n\t\twords=\"", pattern);
	command_options(command, complete_option, file);
	fputs("\"\n\t\tcase \"$before\" in\n", file);
	command_options(command, complete_choices, file);
	fputs("\t\tesac ;;\n", file);
}

static void complete_noun(FILE *file, const struct noun *noun)
{
	char pattern[2 * NAME_BYTES_MAX];

	if (!noun->commands->verb) {
		snprintf(pattern, sizeof(pattern), "%s ", noun->name);
		complete_command(file, noun->commands, pattern);
		return;
	}
	fprintf(file, "\t\"%s \") words=\"", noun->name);
	for (const struct command *command = noun->commands; command->help; command++) {
		fprintf(file, " %s", command->verb);
	}
	fputs("\" ;;\n", file);
	for (const struct command *command = noun->commands; command->help; command++) {
		snprintf(pattern, sizeof(pattern), "%s %s", noun->name, command->verb);
		complete_command(file, command, pattern);
	}
}

void completion_print(FILE *file)
{
	fputs("# bash completion for sekisho\n_sekisho() {\n"
	      "\tlocal word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} words=\n"
	      "\tlocal noun=${COMP_WORDS[1]} verb=${COMP_WORDS[2]}\n"
	      "\t[ \"$COMP_CWORD\" -gt 2 ] || verb=\n"
	      "\t[ \"$COMP_CWORD\" -gt 1 ] || noun=\n",
	        file);
	for (const struct alias *alias = ctl_aliases; alias->word; alias++) {
		fprintf(file, "\t[ \"$noun\" != %s ] || { noun=%s; verb=%s; }\n", alias->word,
		        alias->noun, alias->verb);
	}
	fputs("\tcase $noun in\n", file);
	for (size_t i = 0; ctl_nouns[i]; i++) {
		if (!ctl_nouns[i]->commands->verb) {
			fprintf(file, "\t%s) verb= ;;\n", ctl_nouns[i]->name);
		}
	}
	fputs("\tesac\n\tcase \"$noun $verb\" in\n\t\" \") words=\"", file);
	for (size_t i = 0; ctl_nouns[i]; i++) {
		fprintf(file, "%s ", ctl_nouns[i]->name);
	}
	for (const struct alias *alias = ctl_aliases; alias->word; alias++) {
		fprintf(file, "%s ", alias->word);
	}
	fputs("--help --version\" ;;\n", file);
	for (size_t i = 0; ctl_nouns[i]; i++) {
		complete_noun(file, ctl_nouns[i]);
	}
	fputs("\tesac\n\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n}\n"
	      "complete -o default -F _sekisho sekisho\n",
	        file);
}
