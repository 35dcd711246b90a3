/* See oracle_words.h. */
#include "oracle_words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const class_names[] = { "regional-sharing", "patient-information",
	"public-information", "internet", "mail", "online-claims", "results-delivery", "asp",
	"backup", "remote-maintenance", "timestamp", "validation" };

static const char *const day_names[] = { "mon", "tue", "wed", "thu", "fri", "sat", "sun" };

bool words_next(const char **text, struct words *words)
{
	const char *at = *text;
	bool begun = false;

	words->count = 0;
	words->at = 0;
	while (*at != '\0') {
		const char *line = at;
		bool blank_first = *line == ' ' || *line == '\t';

		if (begun && !blank_first && *line != '\n' && *line != '#') {
			break; /* the next statement */
		}
		while (*at != '\0' && *at != '\n') {
			if (*at == ' ' || *at == '\t') {
				at++;
			} else if (*at == '#') {
				at += strcspn(at, "\n");
			} else {
				size_t length = strcspn(at, " \t\n#");

				if (words->count < WORDS && length < WORD_ROOM) {
					memcpy(words->word[words->count], at, length);
					words->word[words->count][length] = '\0';
					words->count++;
				}
				begun = true;
				at += length;
			}
		}
		at += *at == '\n';
	}
	*text = at;
	return begun;
}

const char *words_take(struct words *words)
{
	return words->at < words->count ? words->word[words->at++] : "";
}

bool words_take_if(struct words *words, const char *word)
{
	if (words->at < words->count && strcmp(words->word[words->at], word) == 0) {
		words->at++;
		return true;
	}
	return false;
}

bool words_over(const struct words *words)
{
	return words->at >= words->count;
}

bool word_number(const char *text, int64_t max, int64_t *value)
{
	*value = 0;
	if (*text == '\0') {
		return false;
	}
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9' || *value > max) {
			return false;
		}
		*value = *value * 10 + (*text - '0');
	}
	return *value <= max;
}

bool word_duration(const char *text, int64_t *seconds)
{
	char digits[16];
	size_t length = strlen(text);
	int64_t unit = 0;

	if (length < 2 || length > 10) {
		return false;
	}
	memcpy(digits, text, length - 1);
	digits[length - 1] = '\0';
	switch (text[length - 1]) {
	case 's':
		unit = 1;
		break;
	case 'm':
		unit = 60;
		break;
	case 'h':
		unit = 3600;
		break;
	case 'd':
		unit = 86400;
		break;
	default:
		return false;
	}
	if (!word_number(digits, 100000000, seconds)) {
		return false;
	}
	*seconds *= unit;
	return *seconds > 0;
}

bool word_name(const char *text, char out[ORACLE_NAME])
{
	size_t length = strlen(text);

	if (length == 0 || length >= ORACLE_NAME || text[0] < 'a' || text[0] > 'z' ||
	        text[length - 1] == '-' ||
	        strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") != length) {
		return false;
	}
	strcpy(out, text);
	return true;
}

bool word_class(const char *text, char out[ORACLE_NAME])
{
	for (size_t i = 0; i < sizeof(class_names) / sizeof(class_names[0]); i++) {
		if (strcmp(class_names[i], text) == 0) {
			strcpy(out, text);
			return true;
		}
	}
	return false;
}

static bool v4(const char *text, struct oracle_address *address)
{
	unsigned part[4];
	int used = 0;

	if (sscanf(text, "%3u.%3u.%3u.%3u%n", &part[0], &part[1], &part[2], &part[3], &used) != 4 ||
	        text[used] != '\0') {
		return false;
	}
	for (int i = 0; i < 4; i++) {
		if (part[i] > 255) {
			return false;
		}
		address->bytes[i] = (uint8_t)part[i];
	}
	address->bits = 32;
	return true;
}

/* Groups of hex digits with one "::" at most. */
static bool v6(const char *text, struct oracle_address *address)
{
	unsigned group[8] = { 0 };
	int count = 0, gap = -1;

	while (*text != '\0') {
		char *end;

		if (text[0] == ':' && text[1] == ':') {
			if (gap >= 0) {
				return false;
			}
			gap = count;
			text += 2;
			continue;
		}
		if (count > 0 && *text == ':') {
			text++;
		}
		if (count == 8) {
			return false;
		}
		group[count++] = (unsigned)strtoul(text, &end, 16);
		if (end == text) {
			return false;
		}
		text = end;
	}
	if (gap < 0 && count != 8) {
		return false;
	}
	for (int i = 0; i < count; i++) {
		int place = gap >= 0 && i >= gap ? 8 - count + i : i;

		address->bytes[2 * place] = (uint8_t)(group[i] >> 8);
		address->bytes[2 * place + 1] = (uint8_t)group[i];
	}
	address->bits = 128;
	return true;
}

bool word_address(const char *text, struct oracle_address *address)
{
	memset(address, 0, sizeof(*address));
	return strchr(text, ':') ? v6(text, address) : v4(text, address);
}

bool word_prefix(const char *text, struct oracle_prefix *prefix)
{
	char copy[WORD_ROOM];
	char *slash;
	int64_t length;

	strcpy(copy, text);
	slash = strchr(copy, '/');
	if (!slash) {
		return false;
	}
	*slash = '\0';
	if (!word_address(copy, &prefix->address) ||
	        !word_number(slash + 1, prefix->address.bits, &length)) {
		return false;
	}
	prefix->length = (int)length;
	return true;
}

bool word_date(const char *text, int64_t *days)
{
	int year, month, day;

	size_t length = strcspn(text, ".");

	if (length != 10 || text[4] != '-' || text[7] != '-' || strspn(text, "0123456789-") != 10 ||
	        sscanf(text, "%4d-%2d-%2d", &year, &month, &day) != 3 || year < 1970 || month < 1 ||
	        month > 12 || day < 1 || day > 31) {
		return false;
	}
	*days = oracle_days(year, month, day);
	/* The first of the next month is behind every day of this one. */
	return *days <
	       (month == 12 ? oracle_days(year + 1, 1, 1) : oracle_days(year, month + 1, 1));
}

bool word_clock(const char *text, int *minutes)
{
	int hour, minute;

	if (strspn(text, "0123456789:") < 5 || text[2] != ':' ||
	        sscanf(text, "%2d:%2d", &hour, &minute) != 2 || hour > 23 || minute > 59) {
		return false;
	}
	*minutes = hour * 60 + minute;
	return true;
}

static int day_start(const char *text)
{
	for (int i = 0; i < 7; i++) {
		if (strncmp(text, day_names[i], 3) == 0) {
			return i;
		}
	}
	return -1;
}

bool word_days(const char *text, bool days[7])
{
	memset(days, 0, 7 * sizeof(days[0]));
	for (;; text++) {
		int first = day_start(text), last = first;

		if (first < 0) {
			return false;
		}
		text += 3;
		if (*text == '-') {
			last = day_start(text + 1);
			if (last < first) {
				return false; /* none, or not in the order of the week */
			}
			text += 4;
		}
		for (int i = first; i <= last; i++) {
			if (days[i]) {
				return false;
			}
			days[i] = true;
		}
		if (*text != ',') {
			return *text == '\0';
		}
	}
}

bool word_zone(const char *text, int64_t *offset)
{
	int hour, minute;

	*offset = 0;
	if (strcmp(text, "UTC") == 0) {
		return true;
	}
	if (strcmp(text, "Asia/Tokyo") == 0) {
		*offset = 9 * 3600;
		return true;
	}
	if ((text[0] != '+' && text[0] != '-') ||
	        sscanf(text + 1, "%2d:%2d", &hour, &minute) != 2) {
		return false;
	}
	*offset = (hour * 60 + minute) * 60 * (text[0] == '-' ? -1 : 1);
	return minute < 60 && *offset >= -12 * 3600 && *offset <= 14 * 3600;
}

bool word_ports(const char *text, struct oracle_rule *rule)
{
	rule->port_count = 0;
	while (*text != '\0') {
		char *end;
		long first = strtol(text, &end, 10), last = first;

		if (end == text || rule->port_count == ORACLE_FEW) {
			return false;
		}
		if (*end == '-') {
			text = end + 1;
			last = strtol(text, &end, 10);
			if (end == text) {
				return false;
			}
		}
		if (first < 1 || last > 65535 || last < first) {
			return false;
		}
		rule->first[rule->port_count] = (int)first;
		rule->last[rule->port_count] = (int)last;
		rule->port_count++;
		text = end + (*end == ',');
	}
	return rule->port_count > 0;
}
