#include "ctl/command.h"

#include <ctype.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "model/host_ref.h"

static const char *const outputs[] = { "text", "json", NULL };

const struct option command_common[] = {
	{ OPTION("output", OPTION_CHOICE), "how the result is written", "text|json", "text",
	        .choices = outputs },
	{ OPTION("config", OPTION_FILE),
	        "client configuration (else SEKISHO_CONFIG, ~/.config/sekisho/client.conf)" },
	{ OPTION("help", OPTION_FLAG), "says what the command does and what it takes" },
	{ 0 },
};

static const struct option token_group[] = {
	{ OPTION("module", OPTION_FILE), "PKCS#11 module (else SEKISHO_MODULE)" },
	{ OPTION("token", OPTION_TEXT), "label of the token (else SEKISHO_TOKEN)", "LABEL" },
	{ OPTION("pin-file", OPTION_FILE),
	        "file with its PIN, not readable by others (else SEKISHO_PIN_FILE)" },
	{ 0 },
};

static const struct option center_group[] = {
	{ OPTION("center", OPTION_TEXT), "the center's host name or address (else SEKISHO_CENTER)",
	        "HOST" },
	{ OPTION("operator-port", OPTION_COUNT),
	        "its port for operators (else SEKISHO_OPERATOR_PORT)", "PORT", .min = 1,
	        .max = 65535 },
	{ OPTION("root", OPTION_FILE), "the accreditor's root certificate (else SEKISHO_ROOT)" },
	{ OPTION("token-file", OPTION_FILE),
	        "file with the operator's access token (else SEKISHO_TOKEN_FILE)" },
	{ 0 },
};

static const struct option public_group[] = {
	{ OPTION("center", OPTION_TEXT), "the center's host name or address (else SEKISHO_CENTER)",
	        "HOST" },
	{ OPTION("public-port", OPTION_COUNT), "its public port (else SEKISHO_PUBLIC_PORT)", "PORT",
	        .min = 1, .max = 65535 },
	{ 0 },
};

static const struct option gateway_group[] = {
	{ OPTION("socket", OPTION_FILE), "the gateway's local socket (else SEKISHO_SOCKET)" },
	{ 0 },
};

static const struct option page_group[] = {
	{ OPTION("after", OPTION_TEXT), "go on behind this cursor", "CURSOR" },
	{ OPTION("limit", OPTION_COUNT), "at most so many", "N", .min = 1, .max = 1000 },
	{ 0 },
};

const struct option *command_group(unsigned index)
{
	static const struct option *const groups[GROUP_COUNT] = { token_group, center_group,
		public_group, gateway_group, page_group };

	assert_always(index < GROUP_COUNT);
	return groups[index];
}

const char *ctl_exit_meaning(enum ctl_exit status)
{
	static const char *const meanings[CTL_EXIT_COUNT] = {
		[CTL_OK] = "done",
		[CTL_REFUSED] = "refused or denied; the reason is printed",
		[CTL_USAGE] = "the command line or the configuration is wrong",
		[CTL_UNREACHABLE] =
		        "the center or the gateway cannot be reached, or could not answer",
		[CTL_NOT_FOUND] = "there is no such thing or no such file",
		[CTL_TOKEN] =
		        "the PKCS#11 token is missing, refused the PIN, is locked or cannot do it",
		[CTL_FAILED] = "a file cannot be read or written, or something else broke",
	};

	return meanings[status];
}

const char *option_value(const struct option *option)
{
	static const char *const values[] = {
		[OPTION_FLAG] = "",
		[OPTION_TEXT] = "TEXT",
		[OPTION_NAME] = "NAME",
		[OPTION_HOST] = "SITE/HOST",
		[OPTION_ID] = "ID",
		[OPTION_HEX] = "HEX",
		[OPTION_FILE] = "FILE",
		[OPTION_COUNT] = "N",
		[OPTION_DURATION] = "DURATION",
		[OPTION_CHOICE] = "WORD",
	};

	return option->value ? option->value : values[option->type];
}

/* Calls `each` once for every option; one that two groups have counts once. */
static void each_option(const struct command *command, option_visitor *each, void *context)
{
	const struct option *lists[GROUP_COUNT + 2];
	size_t count = 0;

	lists[count++] = command->options;
	for (unsigned i = 0; i < GROUP_COUNT; i++) {
		if (command->groups & (1U << i)) {
			lists[count++] = command_group(i);
		}
	}
	lists[count++] = command_common;
	for (size_t i = 0; i < count; i++) {
		for (const struct option *option = lists[i]; option && option->name; option++) {
			bool seen = false;

			for (size_t j = 0; j < i && !seen; j++) {
				for (const struct option *one = lists[j]; one && one->name; one++) {
					seen |= text_equal(one->name, option->name);
				}
			}
			if (!seen) {
				each(context, option);
			}
		}
	}
}

void command_options(const struct command *command, option_visitor *each, void *context)
{
	each_option(command, each, context);
}

static void enter_option(void *context, const struct option *option)
{
	struct arguments *arguments = context;

	for (size_t i = 0; i < arguments->count; i++) {
		if (arguments->items[i].option == option) {
			return; /* a common one, given in front of the noun */
		}
	}
	assert_always(arguments->count < ARGUMENTS_MAX);
	arguments->items[arguments->count++].option = option;
}

static bool plain_line(const char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text < 0x20 || *text == 0x7f) {
			return false;
		}
	}
	return true;
}

static bool hex_valid(const char *text)
{
	size_t count = strlen(text);

	for (const char *at = text; *at; at++) {
		if (!isxdigit((unsigned char)*at)) {
			return false;
		}
	}
	return count > 0 && count % 2 == 0 && count <= SERIAL_TEXT_BYTES_MAX;
}

static int wrong(struct err *err, const struct option *option, const char *value, const char *what)
{
	return err_set(err, 1, "%s%s: \"%.80s\" is not %s", option->operand ? "" : "--",
	        option->name, value, what);
}

static int check_number(const struct option *option, const char *value, struct err *err)
{
	uint64_t max = option->max ? option->max : INT64_MAX, count = 0;
	int64_t seconds = 0;
	bool bad;

	if (option->type == OPTION_COUNT) {
		bad = unsigned_parse(value, max, &count) != 0 || count < option->min;
		return bad ? err_set(err, 1,
		                     "--%s: must be a whole number from %llu to %llu, not "
		                     "\"%.80s\"",
		                     option->name, (unsigned long long)option->min,
		                     (unsigned long long)max, value)
		           : 0;
	}
	bad = duration_parse(value, &seconds) != 0 || (uint64_t)seconds < option->min ||
	      (uint64_t)seconds > max;
	return bad ? err_set(err, 1,
	                     "--%s: must be a duration such as 90s, 15m, 2h or 30d%s, not "
	                     "\"%.80s\"",
	                     option->name, option->max ? " within the limits of this command" : "",
	                     value)
	           : 0;
}

static int check_choice(const struct option *option, const char *value, struct err *err)
{
	AUTO_BUF struct buf words = BUF(ERR_TEXT_BYTES_MAX);

	for (size_t i = 0; option->choices[i]; i++) {
		if (text_equal(option->choices[i], value)) {
			return 0;
		}
		buf_add_format(&words, "%s%s", i == 0 ? "" : ", ", option->choices[i]);
	}
	return err_set(err, 1, "%s%s: must be one of %s, not \"%.80s\"",
	        option->operand ? "" : "--", option->name, buf_text(&words), value);
}

static int check_value(const struct option *option, const char *value, struct err *err)
{
	struct host_ref ref;

	switch (option->type) {
	case OPTION_TEXT:
		return plain_line(value) && (*value || option->empty)
		               ? 0
		               : wrong(err, option, value, "one line of text");
	case OPTION_NAME:
		return name_valid(value) ? 0
		                         : wrong(err, option, value,
		                                   "a name (lower-case letters, digits, hyphens)");
	case OPTION_HOST:
		return host_ref_parse(value, &ref) == 0
		               ? 0
		               : wrong(err, option, value, "a host, written site/host");
	case OPTION_ID:
		return id_valid(value) ? 0 : wrong(err, option, value, "an id of 26 characters");
	case OPTION_HEX:
		return hex_valid(value) ? 0 : wrong(err, option, value, "a serial number in hex");
	case OPTION_FILE:
		return *value ? 0 : wrong(err, option, value, "a path");
	case OPTION_COUNT:
	case OPTION_DURATION:
		return check_number(option, value, err);
	case OPTION_CHOICE:
		return check_choice(option, value, err);
	case OPTION_FLAG:
		break;
	}
	return 0;
}

static int take_value(struct argument *argument, const char *value, struct err *err)
{
	const struct option *option = argument->option;
	int r = check_value(option, value, err);

	if (r != 0) {
		return r;
	}
	if (argument->count > 0 && !option->repeated) {
		return err_set(err, 1, "--%s is given a second time", option->name);
	}
	if (argument->count == ARGUMENT_VALUES_MAX) {
		return err_set(err, 1, "%s%s is given more than %d times",
		        option->operand ? "" : "--", option->name, ARGUMENT_VALUES_MAX);
	}
	argument->values[argument->count++] = value;
	return 0;
}

/* "sekisho token init" as far as it is known, for messages. */
static int unknown(
        const struct arguments *arguments, struct err *err, const char *what, const char *word)
{
	return err_set(err, 1,
	        "there is no %s \"%.80s\"; \"sekisho %s%s%s%s--help\" lists what there is", what,
	        word, arguments->noun ? arguments->noun->name : "",
	        arguments->command && arguments->command->verb ? " " : "",
	        arguments->command && arguments->command->verb ? arguments->command->verb : "",
	        arguments->noun ? " " : "");
}

static struct argument *find_option(struct arguments *arguments, const char *name, size_t count)
{
	for (size_t i = 0; i < arguments->count; i++) {
		const struct option *option = arguments->items[i].option;

		if (!option->operand && strlen(option->name) == count &&
		        memcmp(option->name, name, count) == 0) {
			return &arguments->items[i];
		}
	}
	return NULL;
}

/* Takes the option at argv[*at] and its value, which may be the next word. */
static int take_option(struct arguments *arguments, int argc, char **argv, int *at, struct err *err)
{
	const char *word = argv[*at] + 2;
	const char *equals = strchr(word, '=');
	size_t count = equals ? (size_t)(equals - word) : strlen(word);
	struct argument *argument = find_option(arguments, word, count);

	if (!argument) {
		return unknown(arguments, err, "option", argv[*at]);
	}
	if (argument->option->type == OPTION_FLAG) {
		if (equals) {
			return err_set(err, 1, "--%s takes no value", argument->option->name);
		}
		argument->count = 1;
		argument->values[0] = "";
		arguments->help |= text_equal(argument->option->name, "help");
		return 0;
	}
	if (equals) {
		return take_value(argument, equals + 1, err);
	}
	if (*at + 1 >= argc) {
		return err_set(err, 1, "--%s needs a value (%s)", argument->option->name,
		        option_value(argument->option));
	}
	return take_value(argument, argv[++*at], err);
}

static int take_operand(struct arguments *arguments, const char *word, struct err *err)
{
	for (size_t i = 0; i < arguments->count; i++) {
		struct argument *argument = &arguments->items[i];

		if (argument->option->operand &&
		        (argument->count == 0 || argument->option->repeated)) {
			return take_value(argument, word, err);
		}
	}
	return err_set(err, 1,
	        "\"%.80s\" is one word too many; \"sekisho %s%s%s --help\" says what is taken",
	        word, arguments->noun->name, arguments->command->verb ? " " : "",
	        arguments->command->verb ? arguments->command->verb : "");
}

static void choose_command(struct arguments *arguments, const struct command *command)
{
	assert_always(command); /* an alias stands for a verb that there is */
	arguments->command = command;
	each_option(command, enter_option, arguments);
}

static const struct command *find_verb(const struct noun *noun, const char *verb)
{
	for (const struct command *command = noun->commands; command->help; command++) {
		if (text_equal(command->verb, verb)) {
			return command;
		}
	}
	return NULL;
}

static int take_noun(struct arguments *arguments, const char *word, struct err *err)
{
	const char *verb = NULL;

	for (const struct alias *alias = ctl_aliases; alias->word; alias++) {
		if (text_equal(alias->word, word)) {
			word = alias->noun;
			verb = alias->verb;
		}
	}
	for (size_t i = 0; ctl_nouns[i]; i++) {
		if (text_equal(ctl_nouns[i]->name, word)) {
			arguments->noun = ctl_nouns[i];
		}
	}
	if (!arguments->noun) {
		return unknown(arguments, err, "command", word);
	}
	if (!arguments->noun->commands->verb || verb) {
		choose_command(arguments,
		        verb ? find_verb(arguments->noun, verb) : arguments->noun->commands);
	}
	return 0;
}

static int take_word(struct arguments *arguments, const char *word, struct err *err)
{
	const struct command *command;

	if (!arguments->noun) {
		return take_noun(arguments, word, err);
	}
	if (!arguments->command) {
		command = find_verb(arguments->noun, word);
		if (!command) {
			return err_set(err, 1,
			        "%s has no verb \"%.80s\"; \"sekisho %s --help\" lists them",
			        arguments->noun->name, word, arguments->noun->name);
		}
		choose_command(arguments, command);
		return 0;
	}
	return take_operand(arguments, word, err);
}

static int check_complete(const struct arguments *arguments, struct err *err)
{
	if (!arguments->noun) {
		return err_set(err, 1, "a command is missing; \"sekisho --help\" lists them");
	}
	if (!arguments->command) {
		return err_set(err, 1, "%s needs a verb; \"sekisho %s --help\" lists them",
		        arguments->noun->name, arguments->noun->name);
	}
	for (size_t i = 0; i < arguments->count; i++) {
		const struct argument *argument = &arguments->items[i];

		if (argument->option->required && argument->count == 0) {
			return err_set(err, 1, "%s%s is missing: %s",
			        argument->option->operand ? "" : "--", argument->option->name,
			        argument->option->help);
		}
	}
	return 0;
}

int arguments_parse(int argc, char **argv, struct arguments *ret_arguments, struct err *err)
{
	struct arguments *arguments = ret_arguments;
	bool options = true;
	int r = 0;

	*arguments = (struct arguments){ 0 };
	for (const struct option *option = command_common; option->name; option++) {
		enter_option(arguments, option);
	}
	for (int i = 1; i < argc && r == 0; i++) {
		if (options && text_equal(argv[i], "--")) {
			options = false;
		} else if (options && text_equal(argv[i], "-h")) {
			arguments->help = true;
		} else if (options && !arguments->noun && text_equal(argv[i], "--version")) {
			arguments->version = true;
		} else if (options && text_starts(argv[i], "--")) {
			r = take_option(arguments, argc, argv, &i, err);
		} else if (options && argv[i][0] == '-' && argv[i][1] != '\0') {
			r = unknown(arguments, err, "option", argv[i]);
		} else {
			r = take_word(arguments, argv[i], err);
		}
	}
	if (r == 0 && !arguments->help && !arguments->version) {
		r = check_complete(arguments, err);
	}
	return r;
}

const struct argument *arguments_all(const struct arguments *arguments, const char *name)
{
	for (size_t i = 0; i < arguments->count; i++) {
		if (text_equal(arguments->items[i].option->name, name)) {
			return &arguments->items[i];
		}
	}
	err_assert_failed(name, __FILE__, __LINE__, __func__);
}

const char *arguments_text(const struct arguments *arguments, const char *name)
{
	const struct argument *argument = arguments_all(arguments, name);

	return argument->count > 0 ? argument->values[0] : argument->option->initial;
}

bool arguments_flag(const struct arguments *arguments, const char *name)
{
	return arguments_all(arguments, name)->count > 0;
}

uint64_t arguments_count(const struct arguments *arguments, const char *name)
{
	const char *text = arguments_text(arguments, name);
	uint64_t count = 0;

	if (text) {
		assert_always(unsigned_parse(text, INT64_MAX, &count) == 0);
	}
	return count;
}

int64_t arguments_seconds(const struct arguments *arguments, const char *name)
{
	const char *text = arguments_text(arguments, name);
	int64_t seconds = 0;

	if (text) {
		assert_always(duration_parse(text, &seconds) == 0);
	}
	return seconds;
}
