/*
 * The common form of both policy texts (protocol.md 2): statements of words, one a line, `#`
 * comments, continued where a line starts with a blank. Words are printable ASCII; comments may be
 * in any script, but without controls that could make a text look like another.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "model/address.h"
#include "model/service.h"
#include "model/service_class.h"

struct policy_word {
	const char *text;
	unsigned line, column; /* from 1; columns count bytes */
};

/* A reader over one text. The words are those of the current statement; `at` is the next one. */
struct policy_text {
	char *bytes; /* a copy, with zeros behind the words */
	size_t count, offset;
	unsigned line;
	struct policy_word *words;
	size_t word_count, word_room, at;
};

/* Outcome 1: not text of this form, or longer than `bytes_max`; err names line and column. */
int policy_text_open(struct policy_text *text, const char *bytes, size_t count, size_t bytes_max,
        struct err *err) must_use;
void policy_text_close(struct policy_text *text);

/* Goes to the next statement. Outcomes: 1 it is wrong; 2 there is none. */
int policy_text_next(struct policy_text *text, struct err *err) must_use;

/* The next word, or NULL at the end of the statement. */
const char *policy_text_peek(const struct policy_text *text);
/* Takes the next word when it is `keyword`. */
bool policy_text_take(struct policy_text *text, const char *keyword);

/* Each takes one word. Outcome 1: it is another; err says "line 7, column 12: expected …, found …".
 * `what` says what it would be, with its article. */
int policy_text_keyword(struct policy_text *text, const char *keyword, struct err *err) must_use;
int policy_text_name(struct policy_text *text, const char *what, const char **ret_name,
        struct err *err) must_use;
int policy_text_count(struct policy_text *text, const char *what, uint64_t max, uint64_t *ret_count,
        struct err *err) must_use;
int policy_text_duration(
        struct policy_text *text, int64_t sec_max, int64_t *ret_sec, struct err *err) must_use;
int policy_text_address(
        struct policy_text *text, struct address *ret_address, struct err *err) must_use;
int policy_text_prefix(
        struct policy_text *text, struct prefix *ret_prefix, struct err *err) must_use;
int policy_text_class(
        struct policy_text *text, enum service_class *ret_class, struct err *err) must_use;
int policy_text_protocol(
        struct policy_text *text, enum protocol *ret_protocol, struct err *err) must_use;
/* One of `words`, which end with NULL: its position. `what` lists them for the reader. */
int policy_text_choice(struct policy_text *text, const char *const *words, const char *what,
        uint8_t *ret_choice, struct err *err) must_use;
/* "permit" or "deny". */
int policy_text_expectation(struct policy_text *text, bool *ret_permit, struct err *err) must_use;
/* No word is left. */
int policy_text_end(struct policy_text *text, struct err *err) must_use;

/* The first three statements: "sekisho KIND 1", "OWNER NAME", "version N". */
int policy_text_heading(struct policy_text *text, const char *kind, const char *owner,
        char *out_name, uint64_t *ret_version, struct err *err) must_use;

/* "[duration D] [lease D]", in this order; what is not there stays as it was. */
int policy_text_limits(struct policy_text *text, int64_t *duration_sec, uint32_t *lease_sec,
        struct err *err) must_use;
void policy_limits_print(int64_t duration_sec, uint32_t lease_sec, struct buf *out);

/* "2h", "90s": the largest unit that divides. */
void policy_duration_print(int64_t sec, struct buf *out);

/* The next word, or the end of the statement, is not what was expected. Returns 1. */
int policy_text_expected(
        const struct policy_text *text, struct err *err, const char *what) must_use;

/* Sets "line L, column C: " and the text, for the word that was taken last. Returns 1. */
int policy_text_wrong(const struct policy_text *text, struct err *err, const char *format, ...)
        printf_like(3, 4) must_use;
/* The same for a place. */
int policy_place_wrong(unsigned line, unsigned column, struct err *err, const char *format, ...)
        printf_like(4, 5) must_use;
