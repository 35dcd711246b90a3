#include "pki/der.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"

#define SECONDS_1950 (-631152000LL)
#define SECONDS_2050 2524608000LL
#define SECONDS_10000 253402300800LL

/* Splits the first value off. False when it is not canonical in tag or length. */
static bool split(struct der *in, uint8_t *ret_tag, struct der *ret_content, struct der *ret_whole)
{
	const uint8_t *at = in->at;
	size_t length, header = 2;

	if (in->broken || in->left < 2 || (at[0] & 0x1f) == 0x1f) {
		return false;
	}
	length = at[1];
	if (length >= 0x80) {
		size_t count = length & 0x7f;

		if (count < 1 || count > 4 || in->left < 2 + count || at[2] == 0) {
			return false;
		}
		length = 0;
		for (size_t i = 0; i < count; i++) {
			length = length << 8 | at[2 + i];
		}
		if (length < 0x80) {
			return false;
		}
		header += count;
	}
	if (length > in->left - header) {
		return false;
	}
	*ret_tag = at[0];
	*ret_content = DER(at + header, length);
	*ret_whole = DER(at, header + length);
	in->at += header + length;
	in->left -= header + length;
	return true;
}

static bool primitive_canonical(uint8_t tag, struct der content)
{
	const uint8_t *at = content.at;

	switch (tag) {
	case DER_BOOLEAN:
		return content.left == 1 && (at[0] == 0 || at[0] == 0xff);
	case DER_INTEGER:
	case DER_ENUMERATED:
		return content.left == 1 || (content.left > 1 && !(at[0] == 0 && at[1] < 0x80) &&
		                                    !(at[0] == 0xff && at[1] >= 0x80));
	case DER_BIT_STRING:
		return content.left >= 1 && at[0] < 8 && (content.left > 1 || at[0] == 0) &&
		       (at[content.left - 1] & ((1 << at[0]) - 1)) * (content.left > 1) == 0;
	case DER_NULL:
		return content.left == 0;
	case DER_OID:
		return content.left > 0 && at[content.left - 1] < 0x80 && at[0] != 0x80;
	default:
		return true;
	}
}

/* Universal types that are made of others, and only these, have the constructed bit. */
static bool form_fits(uint8_t tag)
{
	if (tag >= 0x40) {
		return true;
	}
	return (tag & 0x20) ? tag == DER_SEQUENCE || tag == DER_SET : tag != 0x10 && tag != 0x11;
}

static int compare(struct der left, struct der right)
{
	size_t count = left.left < right.left ? left.left : right.left;
	int order = count ? memcmp(left.at, right.at, count) : 0;

	return order ? order : (left.left > right.left) - (left.left < right.left);
}

static bool values_canonical(struct der in, int depth, bool ordered)
{
	struct der last = DER(NULL, 0);

	if (depth > DER_DEPTH_MAX) {
		return false;
	}
	while (in.left > 0) {
		struct der content, whole;
		uint8_t tag;

		if (!split(&in, &tag, &content, &whole) || !form_fits(tag) || tag == 0) {
			return false;
		}
		if (ordered && last.at && compare(last, whole) > 0) {
			return false;
		}
		last = whole;
		if ((tag & 0x20) ? !values_canonical(content, depth + 1, tag == DER_SET)
		                 : !primitive_canonical(tag, content)) {
			return false;
		}
	}
	return true;
}

bool der_canonical(const uint8_t *bytes, size_t count)
{
	struct der in = DER(bytes, count), content, whole;
	uint8_t tag;

	return split(&in, &tag, &content, &whole) && in.left == 0 &&
	       values_canonical(DER(bytes, count), 0, false);
}

uint8_t der_peek(const struct der *in)
{
	return !in->broken && in->left > 0 ? in->at[0] : 0;
}

bool der_end(const struct der *in)
{
	return !in->broken && in->left == 0;
}

struct der der_take_whole(struct der *in, uint8_t tag, struct der *ret_whole)
{
	struct der content, whole, saved = *in;
	uint8_t have;

	if (!split(in, &have, &content, &whole) || (tag != 0 && have != tag)) {
		*in = (struct der){ .at = saved.at, .broken = true };
		content = whole = *in;
	}
	if (ret_whole) {
		*ret_whole = whole;
	}
	return content;
}

struct der der_take(struct der *in, uint8_t tag)
{
	return der_take_whole(in, tag, NULL);
}

struct der der_take_any(struct der *in)
{
	struct der whole;

	der_take_whole(in, 0, &whole);
	return whole;
}

bool der_try(struct der *in, uint8_t tag, struct der *ret_content)
{
	if (der_peek(in) != tag) {
		return false;
	}
	*ret_content = der_take(in, tag);
	return !ret_content->broken;
}

enum oid der_take_oid(struct der *in)
{
	struct der content = der_take(in, DER_OID);

	return content.broken ? OID_NONE : oid_find(content.at, content.left);
}

struct der der_take_unsigned(struct der *in)
{
	struct der content = der_take(in, DER_INTEGER);

	if (content.broken || content.left == 0 || content.at[0] >= 0x80) {
		in->broken = true;
		return (struct der){ .at = in->at, .broken = true };
	}
	if (content.at[0] == 0) {
		content.at++;
		content.left--;
	}
	return content;
}

uint64_t der_take_u64(struct der *in)
{
	struct der content = der_take_unsigned(in);
	uint64_t value = 0;

	if (content.left > 8) {
		in->broken = true;
		return 0;
	}
	for (size_t i = 0; i < content.left; i++) {
		value = value << 8 | content.at[i];
	}
	return value;
}

static int64_t days_of(int64_t year, int month, int day)
{
	static const int before[] = { 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334 };
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	int64_t past = year - 1;

	return past * 365 + past / 4 - past / 100 + past / 400 - 719162 + before[month - 1] +
	       (leap && month > 2) + day - 1;
}

static int days_in(int64_t year, int month)
{
	if (month == 12) {
		return 31;
	}
	return (int)(days_of(year, month + 1, 1) - days_of(year, month, 1));
}

int64_t der_take_time(struct der *in)
{
	bool utc = der_peek(in) == DER_UTC_TIME;
	struct der text = der_take(in, utc ? DER_UTC_TIME : DER_GENERALIZED_TIME);
	size_t digits = utc ? 12 : 14;
	int part[6] = { 0 }; /* month, day, hour, minute, second from [1] */
	int64_t year = 0, seconds;

	if (text.broken || text.left != digits + 1 || text.at[digits] != 'Z') {
		in->broken = true;
		return 0;
	}
	for (size_t i = 0; i < digits; i++) {
		int digit = text.at[i] - '0';

		if (digit < 0 || digit > 9) {
			in->broken = true;
			return 0;
		}
		if (i < digits - 10) {
			year = year * 10 + digit;
		} else {
			int *field = &part[1 + (i - (digits - 10)) / 2];

			*field = *field * 10 + digit;
		}
	}
	if (utc) {
		year += year < 50 ? 2000 : 1900;
	}
	if (year < 1950 || part[1] < 1 || part[1] > 12 || part[2] < 1 ||
	        part[2] > days_in(year, part[1]) || part[3] > 23 || part[4] > 59 || part[5] > 59) {
		in->broken = true;
		return 0;
	}
	seconds = days_of(year, part[1], part[2]) * 86400 + part[3] * 3600 + part[4] * 60 + part[5];
	return seconds;
}

struct der der_take_bits(struct der *in)
{
	struct der content = der_take(in, DER_BIT_STRING);

	if (content.broken || content.left < 1 || content.at[0] != 0) {
		in->broken = true;
		return (struct der){ .at = in->at, .broken = true };
	}
	content.at++;
	content.left--;
	return content;
}

bool der_equal(struct der left, struct der right)
{
	return !left.broken && !right.broken && compare(left, right) == 0;
}

size_t der_open(struct buf *out, uint8_t tag)
{
	buf_add_u8(out, tag);
	return out->count;
}

void der_close(struct buf *out, size_t mark)
{
	uint8_t length[5];
	size_t content, bytes = 1;

	if (out->overflowed) {
		return;
	}
	content = out->count - mark;
	if (content < 0x80) {
		length[0] = (uint8_t)content;
	} else {
		size_t count = content > 0xffffff ? 4
		               : content > 0xffff ? 3
		               : content > 0xff   ? 2
		                                  : 1;

		length[0] = (uint8_t)(0x80 | count);
		for (size_t i = 0; i < count; i++) {
			length[1 + i] = (uint8_t)(content >> (8 * (count - 1 - i)));
		}
		bytes += count;
	}
	if (!buf_reserve(out, bytes)) {
		return;
	}
	memmove(out->bytes + mark + bytes, out->bytes + mark, content);
	memcpy(out->bytes + mark, length, bytes);
	out->count += bytes;
	out->bytes[out->count] = '\0';
}

void der_add(struct buf *out, uint8_t tag, const void *bytes, size_t count)
{
	size_t mark = der_open(out, tag);

	buf_add(out, bytes, count);
	der_close(out, mark);
}

void der_add_text(struct buf *out, uint8_t tag, const char *text)
{
	der_add(out, tag, text, strlen(text));
}

void der_add_oid(struct buf *out, enum oid oid)
{
	size_t count;
	const uint8_t *bytes = oid_bytes(oid, &count);

	der_add(out, DER_OID, bytes, count);
}

void der_add_unsigned(struct buf *out, const uint8_t *bytes, size_t count)
{
	size_t mark = der_open(out, DER_INTEGER);

	while (count > 0 && bytes[0] == 0) {
		bytes++;
		count--;
	}
	if (count == 0 || bytes[0] >= 0x80) {
		buf_add_u8(out, 0);
	}
	buf_add(out, bytes, count);
	der_close(out, mark);
}

void der_add_u64(struct buf *out, uint64_t value)
{
	uint8_t bytes[8];

	for (int i = 0; i < 8; i++) {
		bytes[i] = (uint8_t)(value >> (56 - 8 * i));
	}
	der_add_unsigned(out, bytes, sizeof(bytes));
}

void der_add_bool(struct buf *out, bool value)
{
	der_add(out, DER_BOOLEAN, value ? "\xff" : "\0", 1);
}

void der_add_bits(struct buf *out, const void *bytes, size_t count)
{
	size_t mark = der_open(out, DER_BIT_STRING);

	buf_add_u8(out, 0);
	buf_add(out, bytes, count);
	der_close(out, mark);
}

static void add_time(struct buf *out, int64_t seconds, bool generalized)
{
	int64_t days, year, rest;
	char text[32];
	int month = 1, day;

	assert_always(seconds >= SECONDS_1950 && seconds < SECONDS_10000);
	days = (seconds - SECONDS_1950) / 86400 + SECONDS_1950 / 86400;
	rest = seconds - days * 86400;
	year = 1970 + days / 366 - (days < 0);
	while (days_of(year + 1, 1, 1) <= days) {
		year++;
	}
	while (month < 12 && days_of(year, month + 1, 1) <= days) {
		month++;
	}
	day = (int)(days - days_of(year, month, 1)) + 1;
	snprintf(text, sizeof(text), "%04d%02d%02d%02d%02d%02dZ", (int)(year % 10000), month, day,
	        (int)(rest / 3600), (int)(rest / 60 % 60), (int)(rest % 60));
	der_add_text(out, generalized ? DER_GENERALIZED_TIME : DER_UTC_TIME,
	        generalized ? text : text + 2);
}

void der_add_time(struct buf *out, int64_t seconds)
{
	add_time(out, seconds, seconds >= SECONDS_2050);
}

void der_add_generalized_time(struct buf *out, int64_t seconds)
{
	add_time(out, seconds, true);
}

static size_t skip_space(const char *text, size_t count, size_t at)
{
	while (at < count &&
	        (text[at] == ' ' || text[at] == '\n' || text[at] == '\r' || text[at] == '\t')) {
		at++;
	}
	return at;
}

int der_from_pem(const void *bytes, size_t count, const char *label, struct buf *out)
{
	AUTO_STRING char *begin = mem_format("-----BEGIN %s-----", label);
	AUTO_STRING char *end = mem_format("-----END %s-----", label);
	const char *text = bytes, *stop;
	AUTO_BUF struct buf digits = BUF(count + 1);
	size_t at;

	if (count > 0 && text[0] == DER_SEQUENCE) {
		buf_add(out, bytes, count);
		return out->overflowed ? 1 : 0;
	}
	at = skip_space(text, count, 0);
	if (count - at < strlen(begin) || memcmp(text + at, begin, strlen(begin)) != 0) {
		return 1;
	}
	at += strlen(begin);
	stop = memmem(text + at, count - at, end, strlen(end));
	if (!stop || skip_space(text, count, (size_t)(stop - text) + strlen(end)) != count) {
		return 1;
	}
	for (; text + at < stop; at++) {
		if (skip_space(text, count, at) == at) {
			buf_add(&digits, text + at, 1);
		}
	}
	return digits.count > 0 ? base64_parse(buf_text(&digits), digits.count, out) : 1;
}

void der_print_pem(const uint8_t *bytes, size_t count, const char *label, struct buf *out)
{
	AUTO_BUF struct buf digits = BUF(count / 3 * 4 + 8);

	base64_add(&digits, bytes, count);
	buf_add_format(out, "-----BEGIN %s-----\n", label);
	for (size_t at = 0; at < digits.count; at += 64) {
		buf_add(out, digits.bytes + at, digits.count - at < 64 ? digits.count - at : 64);
		buf_add_text(out, "\n");
	}
	buf_add_format(out, "-----END %s-----\n", label);
}
