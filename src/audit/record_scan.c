/*
 * The strict reader of canonical records. It accepts exactly what the builder writes and allocates
 * nothing, so that an auditor's offline check of ten years of records is bound by hashing.
 */
#include "audit/record_scan.h"

#include <string.h>

#include "audit/record.h"
#include "audit/utf8.h"
#include "base/clock.h"

struct scan {
	const uint8_t *bytes;
	size_t count;
	size_t at;
};

static bool scan_value(struct scan *scan, unsigned depth);

static bool scan_literal(struct scan *scan, const char *literal)
{
	size_t count = strlen(literal);

	if (scan->count - scan->at < count || memcmp(scan->bytes + scan->at, literal, count) != 0) {
		return false;
	}
	scan->at += count;
	return true;
}

static uint8_t scan_peek(const struct scan *scan)
{
	return scan->at < scan->count ? scan->bytes[scan->at] : 0;
}

/* The part of a string's escape behind the backslash, in its one spelling. */
static bool scan_escape(struct scan *scan)
{
	static const char without_short[] = "\b\t\n\f\r";
	uint8_t c = scan_peek(scan);
	uint8_t code;

	if (c != 0 && strchr("\"\\bfnrt", c)) {
		scan->at++;
		return true;
	}
	if (!scan_literal(scan, "u00") || scan->count - scan->at < 2) {
		return false;
	}
	c = scan->bytes[scan->at + 1];
	if ((scan->bytes[scan->at] != '0' && scan->bytes[scan->at] != '1') ||
	        !((c >= '0' && c <= '9') || (c >= 'A' && c <= 'F'))) {
		return false;
	}
	code = (uint8_t)((scan->bytes[scan->at] - '0') << 4 | (c <= '9' ? c - '0' : c - 'A' + 10));
	scan->at += 2;
	return code != 0 && !strchr(without_short, code);
}

static bool scan_string(struct scan *scan)
{
	if (!scan_literal(scan, "\"")) {
		return false;
	}
	while (scan->at < scan->count) {
		uint8_t c = scan->bytes[scan->at];
		uint32_t code;
		size_t step;

		if (c == '"') {
			scan->at++;
			return true;
		}
		if (c == '\\') {
			scan->at++;
			if (!scan_escape(scan)) {
				return false;
			}
			continue;
		}
		step = c >= 0x20 ? utf8_next(scan->bytes + scan->at, scan->count - scan->at, &code)
		                 : 0;
		if (step == 0) {
			return false;
		}
		scan->at += step;
	}
	return false;
}

/* -9223372036854775808 to 9223372036854775807, no leading zero, no minus zero. */
static bool scan_number(struct scan *scan)
{
	bool negative = scan_literal(scan, "-");
	uint64_t value = 0, max = (uint64_t)INT64_MAX + negative;
	size_t start = scan->at;

	while (scan_peek(scan) >= '0' && scan_peek(scan) <= '9') {
		uint64_t digit = (uint64_t)(scan->bytes[scan->at] - '0');

		if (scan->at > start && value == 0) {
			return false;
		}
		if (value > (max - digit) / 10) {
			return false;
		}
		value = value * 10 + digit;
		scan->at++;
	}
	return scan->at > start && !(negative && value == 0);
}

static bool key_is_above(
        const struct scan *scan, size_t last, size_t last_bytes, size_t key, size_t key_bytes)
{
	size_t common = last_bytes < key_bytes ? last_bytes : key_bytes;
	int order = memcmp(scan->bytes + last, scan->bytes + key, common);

	return order < 0 || (order == 0 && last_bytes < key_bytes);
}

static bool scan_object(struct scan *scan, unsigned depth)
{
	size_t last = 0, last_bytes = 0;

	if (depth >= RECORD_DEPTH_MAX || !scan_literal(scan, "{")) {
		return false;
	}
	if (scan_literal(scan, "}")) {
		return true;
	}
	do {
		size_t key = scan->at + 1, key_bytes;

		if (!scan_literal(scan, "\"")) {
			return false;
		}
		while (record_key_byte(scan_peek(scan))) {
			scan->at++;
		}
		key_bytes = scan->at - key;
		if (key_bytes == 0 || !scan_literal(scan, "\":") ||
		        (last > 0 && !key_is_above(scan, last, last_bytes, key, key_bytes)) ||
		        !scan_value(scan, depth + 1)) {
			return false;
		}
		last = key;
		last_bytes = key_bytes;
	} while (scan_literal(scan, ","));
	return scan_literal(scan, "}");
}

static bool scan_array(struct scan *scan, unsigned depth)
{
	if (depth >= RECORD_DEPTH_MAX || !scan_literal(scan, "[")) {
		return false;
	}
	if (scan_literal(scan, "]")) {
		return true;
	}
	do {
		if (!scan_value(scan, depth + 1)) {
			return false;
		}
	} while (scan_literal(scan, ","));
	return scan_literal(scan, "]");
}

static bool scan_value(struct scan *scan, unsigned depth)
{
	switch (scan_peek(scan)) {
	case '{':
		return scan_object(scan, depth);
	case '[':
		return scan_array(scan, depth);
	case '"':
		return scan_string(scan);
	case 't':
		return scan_literal(scan, "true");
	case 'f':
		return scan_literal(scan, "false");
	case 'n':
		return scan_literal(scan, "null");
	default:
		return scan_number(scan);
	}
}

/* A string without escapes of at most out_bytes - 1 bytes. */
static bool scan_plain(struct scan *scan, char *out, size_t out_bytes)
{
	size_t start = scan->at + 1, count;

	if (!scan_string(scan)) {
		return false;
	}
	count = scan->at - 1 - start;
	if (count >= out_bytes || memchr(scan->bytes + start, '\\', count)) {
		return false;
	}
	memcpy(out, scan->bytes + start, count);
	out[count] = '\0';
	return true;
}

int record_check(const void *bytes, size_t count, struct record_head *ret_head, struct err *err)
{
	struct scan scan = { .bytes = bytes, .count = count };
	char kind[64], time[TIME_TEXT_BYTES_MAX];
	bool good;

	*ret_head = (struct record_head){ 0 };
	good = count <= LEDGER_RECORD_BYTES_MAX && scan_literal(&scan, "{\"actor\":") &&
	       scan_object(&scan, 0) && scan_literal(&scan, ",\"data\":") &&
	       scan_object(&scan, 0) && scan_literal(&scan, ",\"kind\":") &&
	       scan_plain(&scan, kind, sizeof(kind)) && scan_literal(&scan, ",\"subject\":") &&
	       scan_string(&scan) && scan_literal(&scan, ",\"time\":") &&
	       scan_plain(&scan, time, sizeof(time)) &&
	       time_parse(time, &ret_head->time_usec) == 0 &&
	       strcmp(time_print(ret_head->time_usec).text, time) == 0 &&
	       scan_literal(&scan, ",\"v\":1}") && scan.at == count;
	if (!good) {
		return err_set(err, RECORD_MALFORMED,
		        "not a canonical record: wrong at byte %zu of %zu", scan.at, count);
	}
	ret_head->kind = record_kind_find(kind);
	if (!ret_head->kind) {
		return err_set(err, RECORD_UNKNOWN, "a record of the unknown kind %s", kind);
	}
	return 0;
}
