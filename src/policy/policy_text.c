#include "policy/policy_text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"

/* What of a wrong word is repeated to the reader. */
#define FOUND_BYTES_MAX 60

int policy_place_wrong(unsigned line, unsigned column, struct err *err, const char *format, ...)
{
	char text[ERR_TEXT_BYTES_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return err_set(err, 1, "line %u, column %u: %s", line, column, text);
}

int policy_text_wrong(const struct policy_text *text, struct err *err, const char *format, ...)
{
	const struct policy_word *word = &text->words[text->at > 0 ? text->at - 1 : 0];
	char message[ERR_TEXT_BYTES_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	return policy_place_wrong(word->line, word->column, err, "%s", message);
}

int policy_text_expected(const struct policy_text *text, struct err *err, const char *what)
{
	const struct policy_word *last = &text->words[text->word_count - 1];

	if (text->at < text->word_count) {
		const struct policy_word *word = &text->words[text->at];

		return policy_place_wrong(word->line, word->column, err,
		        "expected %s, found \"%.*s\"", what, FOUND_BYTES_MAX, word->text);
	}
	return policy_place_wrong(last->line, last->column + (unsigned)strlen(last->text), err,
	        "expected %s, found the end of the statement", what);
}

/* The length of the UTF-8 sequence at `at` (RFC 3629), 0 when it is none or a directional control
 * (U+202A to U+202E, U+2066 to U+2069), which could make a signed comment read as another text. */
static size_t sequence_bytes(const unsigned char *at, size_t left)
{
	static const struct {
		unsigned char first, last, low, high;
		size_t count;
	} forms[] = {
		{ 0xc2, 0xdf, 0x80, 0xbf, 2 },
		{ 0xe0, 0xe0, 0xa0, 0xbf, 3 },
		{ 0xe1, 0xec, 0x80, 0xbf, 3 },
		{ 0xed, 0xed, 0x80, 0x9f, 3 },
		{ 0xee, 0xef, 0x80, 0xbf, 3 },
		{ 0xf0, 0xf0, 0x90, 0xbf, 4 },
		{ 0xf1, 0xf3, 0x80, 0xbf, 4 },
		{ 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};

	for (size_t i = 0; i < ARRAY_COUNT(forms); i++) {
		if (at[0] < forms[i].first || at[0] > forms[i].last || left < forms[i].count ||
		        at[1] < forms[i].low || at[1] > forms[i].high) {
			continue;
		}
		for (size_t k = 2; k < forms[i].count; k++) {
			if ((at[k] & 0xc0) != 0x80) {
				return 0;
			}
		}
		if (at[0] == 0xe2 && ((at[1] == 0x80 && at[2] >= 0xaa && at[2] <= 0xae) ||
		                             (at[1] == 0x81 && at[2] >= 0xa6 && at[2] <= 0xa9))) {
			return 0;
		}
		return forms[i].count;
	}
	return 0;
}

/* Characters and line lengths, before anything is read. */
static int check_bytes(const char *bytes, size_t count, struct err *err)
{
	unsigned line = 1, column = 1;
	bool in_comment = false;

	for (size_t i = 0; i < count;) {
		unsigned char byte = (unsigned char)bytes[i];
		size_t step = 1;

		if (byte == '\n') {
			line++;
			column = 1;
			in_comment = false;
			i++;
			continue;
		}
		in_comment |= byte == '#';
		if (byte >= 0x80 && in_comment) {
			step = sequence_bytes((const unsigned char *)bytes + i, count - i);
		}
		if (step == 0 || byte == 0x7f || (byte < 0x20 && byte != '\t') ||
		        (byte >= 0x80 && !in_comment)) {
			return policy_place_wrong(
			        line, column, err, "the byte 0x%02x may not be here", byte);
		}
		column += (unsigned)step;
		i += step;
		if (column > POLICY_LINE_BYTES_MAX + 1) {
			return policy_place_wrong(line, POLICY_LINE_BYTES_MAX + 1, err,
			        "a line has at most %d bytes", POLICY_LINE_BYTES_MAX);
		}
	}
	return 0;
}

int policy_text_open(struct policy_text *text, const char *bytes, size_t count, size_t bytes_max,
        struct err *err)
{
	int r;

	if (count > bytes_max) {
		return err_set(err, 1, "a policy has at most %zu bytes", bytes_max);
	}
	r = check_bytes(bytes, count, err);
	if (r != 0) {
		return r;
	}
	*text = (struct policy_text){ .count = count };
	text->bytes = mem_new(count + 1, 1);
	if (count > 0) {
		memcpy(text->bytes, bytes, count);
	}
	return 0;
}

void policy_text_close(struct policy_text *text)
{
	free(text->bytes);
	free(text->words);
	*text = (struct policy_text){ 0 };
}

static void add_word(struct policy_text *text, size_t start, size_t column)
{
	if (text->word_count == text->word_room) {
		text->word_room = text->word_room > 0 ? 2 * text->word_room : 16;
		text->words = mem_resize(text->words, text->word_room, sizeof(*text->words));
	}
	text->words[text->word_count++] = (struct policy_word){
		.text = text->bytes + start, .line = text->line, .column = (unsigned)column
	};
}

/* Adds the words of the line at `offset` and goes behind it. */
static void add_line(struct policy_text *text)
{
	size_t start = text->offset, at = start;

	text->line++;
	for (;;) {
		size_t word;

		while (text->bytes[at] == ' ' || text->bytes[at] == '\t') {
			at++;
		}
		if (at >= text->count || text->bytes[at] == '\n' || text->bytes[at] == '#') {
			break;
		}
		word = at;
		while (at < text->count && !strchr(" \t\n#", text->bytes[at])) {
			at++;
		}
		add_word(text, word, word - start + 1);
		if (text->bytes[at] == ' ' || text->bytes[at] == '\t') {
			text->bytes[at++] = '\0';
		} else {
			break;
		}
	}
	/* The byte that ends the last word becomes its zero only after the line's end was found. */
	start = at;
	while (at < text->count && text->bytes[at] != '\n') {
		at++;
	}
	text->bytes[start] = '\0';
	text->offset = at < text->count ? at + 1 : at;
}

static bool line_continues(const struct policy_text *text)
{
	char first = text->offset < text->count ? text->bytes[text->offset] : '\0';

	return first == ' ' || first == '\t' ||
	       (text->word_count > 0 && (first == '\n' || first == '#'));
}

int policy_text_next(struct policy_text *text, struct err *err)
{
	text->word_count = 0;
	text->at = 0;
	while (text->offset < text->count && text->word_count == 0) {
		bool indented = line_continues(text);

		add_line(text);
		if (indented && text->word_count > 0) {
			return policy_place_wrong(text->line, text->words[0].column, err,
			        "expected a statement, found a line that starts with a blank and "
			        "has none above to go on with");
		}
	}
	while (text->word_count > 0 && line_continues(text)) {
		add_line(text);
	}
	return text->word_count > 0 ? 0 : 2;
}

const char *policy_text_peek(const struct policy_text *text)
{
	return text->at < text->word_count ? text->words[text->at].text : NULL;
}

bool policy_text_take(struct policy_text *text, const char *keyword)
{
	if (!text_equal(policy_text_peek(text), keyword)) {
		return false;
	}
	text->at++;
	return true;
}

int policy_text_keyword(struct policy_text *text, const char *keyword, struct err *err)
{
	char what[NAME_BYTES_MAX + 3];

	if (policy_text_take(text, keyword)) {
		return 0;
	}
	snprintf(what, sizeof(what), "\"%s\"", keyword);
	return policy_text_expected(text, err, what);
}

int policy_text_name(
        struct policy_text *text, const char *what, const char **ret_name, struct err *err)
{
	const char *word = policy_text_peek(text);

	if (!word || !name_valid(word)) {
		return policy_text_expected(text, err, what);
	}
	*ret_name = word;
	text->at++;
	return 0;
}

int policy_text_count(struct policy_text *text, const char *what, uint64_t max, uint64_t *ret_count,
        struct err *err)
{
	const char *word = policy_text_peek(text);

	if (!word || unsigned_parse(word, max, ret_count) != 0 || *ret_count == 0) {
		return policy_text_expected(text, err, what);
	}
	text->at++;
	return 0;
}

int policy_text_duration(
        struct policy_text *text, int64_t sec_max, int64_t *ret_sec, struct err *err)
{
	AUTO_BUF struct buf what = BUF(ERR_TEXT_BYTES_MAX);
	const char *word = policy_text_peek(text);

	if (!word || duration_parse(word, ret_sec) != 0 || *ret_sec < 1 || *ret_sec > sec_max) {
		buf_add_text(&what, "a duration from 1s to ");
		policy_duration_print(sec_max, &what);
		return policy_text_expected(text, err, buf_text(&what));
	}
	text->at++;
	return 0;
}

int policy_text_address(struct policy_text *text, struct address *ret_address, struct err *err)
{
	const char *word = policy_text_peek(text);

	if (!word || address_parse(word, ret_address) != 0 ||
	        address_scope(*ret_address) == ADDRESS_UNUSABLE) {
		return policy_text_expected(text, err, "the IP address of a host");
	}
	text->at++;
	return 0;
}

int policy_text_prefix(struct policy_text *text, struct prefix *ret_prefix, struct err *err)
{
	const char *word = policy_text_peek(text);

	/* Shorter than /8 is never one provider's: it would be everything (A12). */
	if (!word || prefix_parse(word, ret_prefix) != 0 || ret_prefix->bits < 8 ||
	        address_scope(ret_prefix->address) == ADDRESS_UNUSABLE) {
		return policy_text_expected(text, err, "an address prefix such as 100.64.2.0/24");
	}
	text->at++;
	return 0;
}

int policy_text_class(struct policy_text *text, enum service_class *ret_class, struct err *err)
{
	const char *word = policy_text_peek(text);

	if (!word || service_class_parse(word, ret_class) != 0) {
		return policy_text_expected(text, err, "a service class");
	}
	text->at++;
	return 0;
}

int policy_text_protocol(struct policy_text *text, enum protocol *ret_protocol, struct err *err)
{
	const char *word = policy_text_peek(text);

	if (!word || protocol_parse(word, ret_protocol) != 0) {
		return policy_text_expected(text, err, "tcp, udp or icmp");
	}
	text->at++;
	return 0;
}

int policy_text_choice(struct policy_text *text, const char *const *words, const char *what,
        uint8_t *ret_choice, struct err *err)
{
	for (uint8_t i = 0; words[i]; i++) {
		if (policy_text_take(text, words[i])) {
			*ret_choice = i;
			return 0;
		}
	}
	return policy_text_expected(text, err, what);
}

int policy_text_expectation(struct policy_text *text, bool *ret_permit, struct err *err)
{
	*ret_permit = policy_text_take(text, "permit");
	if (*ret_permit || policy_text_take(text, "deny")) {
		return 0;
	}
	return policy_text_expected(text, err, "permit or deny");
}

int policy_text_end(struct policy_text *text, struct err *err)
{
	return text->at == text->word_count
	               ? 0
	               : policy_text_expected(text, err, "the end of the statement");
}

/* Outcome 1: there is no further statement, or it does not start with `keyword`. */
static int open_statement(struct policy_text *text, const char *keyword, struct err *err)
{
	int r = policy_text_next(text, err);

	if (r == 2) {
		return policy_place_wrong(text->line + 1, 1, err,
		        "expected \"%s\", found the end of the text", keyword);
	}
	return r == 0 ? policy_text_keyword(text, keyword, err) : r;
}

int policy_text_heading(struct policy_text *text, const char *kind, const char *owner,
        char *out_name, uint64_t *ret_version, struct err *err)
{
	const char *name = NULL;
	int r;

	if ((r = open_statement(text, "sekisho", err)) != 0 ||
	        (r = policy_text_keyword(text, kind, err)) != 0 ||
	        (r = policy_text_keyword(text, "1", err)) != 0 ||
	        (r = policy_text_end(text, err)) != 0 ||
	        (r = open_statement(text, owner, err)) != 0 ||
	        (r = policy_text_name(text, "a name", &name, err)) != 0 ||
	        (r = policy_text_end(text, err)) != 0) {
		return r;
	}
	memcpy(out_name, name, strlen(name) + 1);
	if ((r = open_statement(text, "version", err)) != 0 ||
	        (r = policy_text_count(text, "a version from 1 on", INT64_MAX, ret_version, err)) !=
	                0) {
		return r;
	}
	return policy_text_end(text, err);
}

int policy_text_limits(
        struct policy_text *text, int64_t *duration_sec, uint32_t *lease_sec, struct err *err)
{
	int64_t lease;
	int r;

	if (policy_text_take(text, "duration")) {
		r = policy_text_duration(text, GRANT_SEC_MAX, duration_sec, err);
		if (r != 0) {
			return r;
		}
	}
	if (policy_text_take(text, "lease")) {
		r = policy_text_duration(text, LEASE_SEC_MAX, &lease, err);
		if (r != 0) {
			return r;
		}
		*lease_sec = (uint32_t)lease;
	}
	return 0;
}

void policy_limits_print(int64_t duration_sec, uint32_t lease_sec, struct buf *out)
{
	if (duration_sec > 0) {
		buf_add_text(out, " duration ");
		policy_duration_print(duration_sec, out);
	}
	if (lease_sec > 0) {
		buf_add_text(out, " lease ");
		policy_duration_print(lease_sec, out);
	}
}

void policy_duration_print(int64_t sec, struct buf *out)
{
	static const struct {
		int64_t sec;
		char letter;
	} units[] = { { 86400, 'd' }, { 3600, 'h' }, { 60, 'm' }, { 1, 's' } };
	size_t unit = 0;

	while (unit + 1 < ARRAY_COUNT(units) && (sec == 0 || sec % units[unit].sec != 0)) {
		unit++;
	}
	buf_add_format(out, "%jd%c", (intmax_t)(sec / units[unit].sec), units[unit].letter);
}
