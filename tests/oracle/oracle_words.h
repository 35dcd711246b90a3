/*
 * The oracle's own reading of words: a text becomes statements of words (protocol.md 2), a word
 * becomes a value. Every function that returns bool says false for a word that is not such a one.
 */
#pragma once

#include "oracle.h"

#define WORDS 96
#define WORD_ROOM 512

struct words {
	int count, at;
	char word[WORDS][WORD_ROOM];
};

/* Reads one statement from *text on, with the lines that go on with it. False: the text is over. */
bool words_next(const char **text, struct words *words);
/* The next word, "" at the end of the statement. */
const char *words_take(struct words *words);
bool words_take_if(struct words *words, const char *word);
bool words_over(const struct words *words);

/* Digits only, at most max. */
bool word_number(const char *text, int64_t max, int64_t *value);
bool word_duration(const char *text, int64_t *seconds);
bool word_name(const char *text, char out[ORACLE_NAME]);
bool word_class(const char *text, char out[ORACLE_NAME]);
bool word_address(const char *text, struct oracle_address *address);
bool word_prefix(const char *text, struct oracle_prefix *prefix);
/* At the beginning of a text: "2026-11-23" as days since 1970, "09:00" as minutes. */
bool word_date(const char *text, int64_t *days);
bool word_clock(const char *text, int *minutes);
bool word_days(const char *text, bool days[7]);
/* The offset in seconds. */
bool word_zone(const char *text, int64_t *offset);
bool word_ports(const char *text, struct oracle_rule *rule);
