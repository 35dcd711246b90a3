/*
 * Configuration files: `key = value` lines, `[section]` and `[section name]` headers, `#` comments.
 *
 * A program describes its keys in one table; the sample file, the manual page and the checks come
 * from it. An unknown key or section, a repeated key, a missing required key or a value that does
 * not parse is an error that names file, line and key; nothing of the file is then used (F39).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum config_type {
	CONFIG_TEXT,     /* char *, owned by the target structure */
	CONFIG_NAME,     /* char *, name_valid() */
	CONFIG_PATH,     /* char *, absolute */
	CONFIG_BOOL,     /* bool: yes or no */
	CONFIG_COUNT,    /* uint64_t, min to max */
	CONFIG_DURATION, /* int64_t seconds, min to max */
};

struct config_key {
	const char *section; /* "" for the keys in front of the first section */
	const char *key;
	enum config_type type;
	size_t offset;       /* of the field in the target structure */
	const char *initial; /* default as text; NULL with `required` false leaves the field zero */
	bool required;
	uint64_t min, max; /* for counts and durations; max 0 means no bound */
	const char *help;  /* one sentence for the sample file and the manual */
};

/* Reads `path` into `target` (zeroed by the caller) by the table `keys`, ended by a row with key
 * NULL. Outcome 1: the file is wrong, err says "FILE:LINE: KEY: …"; target may be half filled and
 * is to be given to config_clear(). */
int config_read(
        const char *path, const struct config_key *keys, void *target, struct err *err) must_use;

/* Frees the texts in `target` and zeroes the fields of the table. */
void config_clear(const struct config_key *keys, void *target);

/* Writes a sample file with every key, its default and its help on stdout. */
void config_print_sample(const struct config_key *keys);
