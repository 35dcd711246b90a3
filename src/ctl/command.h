/*
 * The table that the command line is made of. `--help`, the manual pages and shell completion are
 * printed from it and arguments are read by it, so none of them can know a command or an option
 * that the others do not.
 *
 *     sekisho NOUN [VERB] [--option VALUE | --option=VALUE | --flag]… [operand]…
 *
 * Options may stand before, between and behind the operands; `--` ends them. An option that is not
 * in the table, given twice, without its value or with one of the wrong type is a usage error that
 * names it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct ctl;

/* The exit status of the program. */
enum ctl_exit {
	CTL_OK = 0,
	CTL_REFUSED = 1,     /* refused or denied: by us, by the center, by a check */
	CTL_USAGE = 2,       /* the command line or the configuration is wrong */
	CTL_UNREACHABLE = 3, /* center or gateway cannot be reached, or could not answer */
	CTL_NOT_FOUND = 4,   /* there is no such thing, or no such file */
	CTL_TOKEN = 5,       /* the PKCS#11 token: missing, wrong PIN, locked, cannot do it */
	CTL_FAILED = 6,      /* a file cannot be read or written, or another fault */
	CTL_EXIT_COUNT,
};

/* What an exit status means, for help and manual pages. */
const char *ctl_exit_meaning(enum ctl_exit status);

enum option_type {
	OPTION_FLAG,     /* no value */
	OPTION_TEXT,     /* one line without control characters */
	OPTION_NAME,     /* name_valid() */
	OPTION_HOST,     /* site/host */
	OPTION_ID,       /* id_valid() */
	OPTION_HEX,      /* a serial: hex digits in pairs, read in any case */
	OPTION_FILE,     /* a path */
	OPTION_COUNT,    /* min to max */
	OPTION_DURATION, /* 90s, 15m, 2h, 1d: min to max seconds */
	OPTION_CHOICE,   /* one of `choices` */
};

struct option {
	const char *name; /* without the dashes; of an operand: how help shows it */
	enum option_type type;
	const char *help;    /* one sentence, or a part of one, without its full stop */
	const char *value;   /* what stands for the value in help; NULL: by the type */
	const char *initial; /* the value when it is not given; NULL: none */
	bool required;
	bool repeated;              /* may be given up to ARGUMENT_VALUES_MAX times */
	bool operand;               /* given by its place, without a name */
	uint64_t min, max;          /* counts and durations */
	const char *const *choices; /* ended by NULL */
	bool empty;                 /* a text: "" is a value, too */
};

/* The first part of a row; help follows, then value and initial or the rest by name. */
#define OPTION(option_name, option_type) .name = (option_name), .type = (option_type)

/* Options that several commands share. */
enum option_group {
	GROUP_TOKEN = 1,   /* --module --token --pin-file */
	GROUP_CENTER = 2,  /* --center --operator-port --root --token-file */
	GROUP_PUBLIC = 4,  /* --center --public-port */
	GROUP_GATEWAY = 8, /* --socket */
	GROUP_PAGE = 16,   /* --after --limit */
};
#define GROUP_COUNT 5

struct command {
	const char *verb; /* NULL: the noun is the whole command */
	const char *help; /* what it does, in one sentence */
	unsigned groups;
	const struct option *options; /* ended by name NULL; NULL: none */
	int (*run)(struct ctl *ctl);  /* an enum ctl_exit; the reason is in ctl->err */
};

struct noun {
	const char *name, *help;
	const struct command *commands; /* ended by help NULL */
};

/* Ended by NULL. */
extern const struct noun *const ctl_nouns[];

/* A word that stands for a noun and a verb. Ended by word NULL. */
struct alias {
	const char *word, *noun, *verb;
};
extern const struct alias ctl_aliases[];

/* The options of every command, and those of one group; ended by name NULL. */
extern const struct option command_common[];
const struct option *command_group(unsigned index);

/* Calls `each` for all options of a command in the order of help: its own, its groups', common. */
typedef void option_visitor(void *context, const struct option *option);
void command_options(const struct command *command, option_visitor *each, void *context);

/* What stands for the value in help. */
const char *option_value(const struct option *option);

#define ARGUMENT_VALUES_MAX 32
#define ARGUMENTS_MAX 40

struct argument {
	const struct option *option;
	const char *values[ARGUMENT_VALUES_MAX]; /* borrowed from the command line */
	size_t count;
};

struct arguments {
	const struct noun *noun;       /* NULL: none was given */
	const struct command *command; /* NULL: none was given */
	bool help, version;
	struct argument items[ARGUMENTS_MAX];
	size_t count;
};

/* Reads the command line. With help or version asked for, nothing needs to be complete. Outcome 1:
 * a usage error, err says which and what to do. */
int arguments_parse(
        int argc, char **argv, struct arguments *ret_arguments, struct err *err) must_use;

/* The value of an option or operand, its initial value, or NULL. Asking for a name that is not in
 * the command's table is our own mistake. */
const char *arguments_text(const struct arguments *arguments, const char *name);
bool arguments_flag(const struct arguments *arguments, const char *name);
/* 0 when it was not given and has no initial value. */
uint64_t arguments_count(const struct arguments *arguments, const char *name);
int64_t arguments_seconds(const struct arguments *arguments, const char *name);
/* All values of a repeated one. Borrowed. */
const struct argument *arguments_all(const struct arguments *arguments, const char *name);
