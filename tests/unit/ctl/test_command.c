#include "../check.h"

#include <stdlib.h>

#include "base/str.h"
#include "ctl/command.h"
#include "ctl/help.h"

static struct arguments arguments;
static struct err err;

/* Splits at blanks; good enough for what stands here. */
static int parse(const char *line)
{
	static char copy[1024];
	char program[] = "sekisho", *argv[64] = { program }, *rest = copy, *word;
	int argc = 1;

	snprintf(copy, sizeof(copy), "%s", line);
	while ((word = strsep(&rest, " ")) && argc < 63) {
		argv[argc++] = word;
	}
	err = (struct err){ 0 };
	return arguments_parse(argc, argv, &arguments, &err);
}

struct seen {
	const char *names[ARGUMENTS_MAX];
	size_t count;
	bool optional; /* an operand that may be left out was seen */
	const struct command *command;
	const struct noun *noun;
};

static void check_option(void *context, const struct option *option)
{
	struct seen *seen = context;

	for (size_t i = 0; i < seen->count; i++) {
		CHECK(!text_equal(seen->names[i], option->name));
	}
	CHECK(seen->count < ARGUMENTS_MAX);
	seen->names[seen->count++] = option->name;
	CHECK(option->help && *option->help);
	CHECK(option->help[strlen(option->help) - 1] != '.');
	CHECK((option->type == OPTION_CHOICE) == (option->choices != NULL));
	CHECK(!(option->required && option->initial));
	CHECK(option->type != OPTION_FLAG || (!option->required && !option->repeated));
	CHECK(!option->operand || !seen->optional || !option->required);
	seen->optional |= option->operand && !option->required;
}

/* An initial value is one that the user could have given. */
static void check_initial(void *context, const struct option *option)
{
	struct seen *seen = context;
	char program[] = "sekisho", help[] = "--help", noun[64], verb[64] = "", text[256];
	char *argv[] = { program, help, noun, verb, text };
	int r;

	if (!option->initial || option->operand) {
		return;
	}
	snprintf(noun, sizeof(noun), "%s", seen->noun->name);
	snprintf(text, sizeof(text), "--%s=%s", option->name, option->initial);
	if (seen->command->verb) {
		snprintf(verb, sizeof(verb), "%s", seen->command->verb);
	} else {
		argv[3] = text;
	}
	r = arguments_parse(seen->command->verb ? 5 : 4, argv, &arguments, &err);
	if (r != 0) {
		printf("# %s --%s: %s\n", noun, option->name, err.text);
	}
	CHECK(r == 0);
}

TEST(every_row_of_the_table_is_whole)
{
	for (size_t i = 0; ctl_nouns[i]; i++) {
		const struct noun *noun = ctl_nouns[i];

		CHECK(name_valid(noun->name) && noun->help && *noun->help);
		for (size_t j = 0; j < i; j++) {
			CHECK(!text_equal(noun->name, ctl_nouns[j]->name));
		}
		for (const struct command *command = noun->commands; command->help; command++) {
			struct seen seen = { .command = command, .noun = noun };

			CHECK(command->run && command->help[strlen(command->help) - 1] == '.');
			CHECK(command->verb ? name_valid(command->verb)
			                    : command == noun->commands);
			for (const struct command *other = noun->commands; other < command;
			        other++) {
				CHECK(!text_equal(other->verb, command->verb));
			}
			command_options(command, check_option, &seen);
			command_options(command, check_initial, &seen);
		}
	}
}

TEST(aliases_name_commands)
{
	for (const struct alias *alias = ctl_aliases; alias->word; alias++) {
		char text[128];

		snprintf(text, sizeof(text), "%s --help", alias->word);
		CHECK(parse(text) == 0);
		CHECK(arguments.command && text_equal(arguments.command->verb, alias->verb));
		CHECK_TEXT(arguments.noun->name, alias->noun);
	}
}

TEST(options_stand_anywhere)
{
	CHECK(parse("--output json token list --module /m --token=t") == 0);
	CHECK_TEXT(arguments.noun->name, "token");
	CHECK_TEXT(arguments.command->verb, "list");
	CHECK_TEXT(arguments_text(&arguments, "output"), "json");
	CHECK_TEXT(arguments_text(&arguments, "module"), "/m");
	CHECK_TEXT(arguments_text(&arguments, "token"), "t");
	CHECK(arguments_text(&arguments, "pin-file") == NULL);
	CHECK(parse("policy check --active 3 -- --file--") == 0);
	CHECK_TEXT(arguments_text(&arguments, "FILE"), "--file--");
	CHECK(arguments_count(&arguments, "active") == 3);
}

TEST(a_text_may_be_empty_where_that_says_something)
{
	CHECK(parse("policy explain --from a/b --to c/d --class x --person=") == 0);
	CHECK_TEXT(arguments_text(&arguments, "person"), "");
	CHECK(parse("connection explain --from a/b --to c/d --class x --person=") == 1);
	CHECK(strstr(err.text, "--person"));
}

TEST(initial_values_count_until_others_are_given)
{
	CHECK(parse("connect --from a/b --to c/d --class x --person p") == 0);
	CHECK_TEXT(arguments_text(&arguments, "protocol"), "tcp");
	CHECK(arguments_seconds(&arguments, "wait") == 60);
	CHECK(arguments_seconds(&arguments, "duration") == 0);
	CHECK(!arguments_flag(&arguments, "no-wait"));
	CHECK(parse("connect --from a/b --to c/d --class x --person p --wait 2m --no-wait") == 0);
	CHECK(arguments_seconds(&arguments, "wait") == 120);
	CHECK(arguments_flag(&arguments, "no-wait"));
}

TEST(repeated_options_keep_their_order)
{
	const struct argument *names;

	CHECK(parse("ceremony server --ca a --csr b --organization o --name n --out f --dns one "
	            "--dns two") == 0);
	names = arguments_all(&arguments, "dns");
	CHECK(names->count == 2);
	CHECK_TEXT(names->values[0], "one");
	CHECK_TEXT(names->values[1], "two");
}

TEST(usage_errors_name_what_is_wrong)
{
	static const struct {
		const char *line, *named;
	} wrong[] = {
		{ "nothing", "nothing" },
		{ "token", "needs a verb" },
		{ "token nothing", "nothing" },
		{ "token list --nothing x", "--nothing" },
		{ "token list -x", "-x" },
		{ "token list --token", "--token needs a value" },
		{ "token list --token a --token b", "second time" },
		{ "token list word", "word" },
		{ "token init", "--so-pin-file is missing" },
		{ "status --operator-port 0", "--operator-port" },
		{ "status --operator-port 65536", "--operator-port" },
		{ "status --operator-port 1x", "--operator-port" },
		{ "connection show", "ID is missing" },
		{ "connection show short", "ID" },
		{ "connect --from a --to c/d --class x --person p", "--from" },
		{ "connect --from a/b --to c/d --class X --person p", "--class" },
		{ "connect --from a/b --to c/d --class x --person p --duration 1", "--duration" },
		{ "connect --from a/b --to c/d --class x --person p --duration 2d", "--duration" },
		{ "connect --from a/b --to c/d --class x --person p --protocol gre",
		        "tcp, udp, icmp" },
		{ "connect --from a/b --to c/d --class x --person p --no-wait=1",
		        "takes no value" },
		{ "connect --from a/b --to c/d --class x --person \x1b[2J", "--person" },
		{ "certificate revoke --serial abc", "--serial" },
		{ "operator add Bad --role auditor", "NAME" },
		{ "--output xml status", "--output" },
		{ "", "" },
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		int r = parse(wrong[i].line);

		if (r != 1 || !strstr(err.text, wrong[i].named)) {
			printf("# %s: %d %s\n", wrong[i].line, r, err.text);
		}
		CHECK(r == 1);
		CHECK(*err.text && strstr(err.text, wrong[i].named));
	}
}

TEST(help_needs_nothing_else)
{
	CHECK(parse("token init --help") == 0 && arguments.help);
	CHECK(parse("token -h") == 0 && arguments.help && !arguments.command);
	CHECK(parse("--help") == 0 && arguments.help && !arguments.noun);
	CHECK(parse("--version") == 0 && arguments.version);
}

/* Help, manual and completion know every option of every command. */
static void find_in(void *context, const struct option *option)
{
	char word[80];

	snprintf(word, sizeof(word), "%s%s", option->operand ? "" : "--", option->name);
	if (!strstr(context, word)) {
		printf("# %s\n", word);
	}
	CHECK(strstr(context, word));
}

static char *printed(
        void (*print)(FILE *file, const struct noun *noun, const struct command *command),
        const struct noun *noun, const struct command *command)
{
	char *text = NULL;
	size_t count = 0;
	FILE *file = open_memstream(&text, &count);

	print(file, noun, command);
	fclose(file);
	return text;
}

/* Takes the escapes of hyphens out again, so that words can be found. */
static void print_man(FILE *file, const struct noun *noun, const struct command *command)
{
	char *text = NULL;
	size_t count = 0;
	FILE *memory = open_memstream(&text, &count);

	man_print(memory, noun);
	fclose(memory);
	for (const char *at = text; *at; at++) {
		if (at[0] == '\\' && at[1] == '-') {
			at++;
		}
		fputc(*at, file);
	}
	free(text);
}

TEST(everything_printed_knows_every_option)
{
	for (size_t i = 0; ctl_nouns[i]; i++) {
		char *manual = printed(print_man, ctl_nouns[i], NULL);

		for (const struct command *command = ctl_nouns[i]->commands; command->help;
		        command++) {
			char *help = printed(help_print, ctl_nouns[i], command);

			CHECK(strstr(help, command->help) && strstr(help, "exit status"));
			command_options(command, find_in, help);
			command_options(command, find_in, manual);
			free(help);
		}
		free(manual);
	}
}

TEST_MAIN()
