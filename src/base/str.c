#include "base/str.h"

#include <ctype.h>
#include <string.h>
#include <sys/random.h>

bool name_valid(const char *text)
{
	static const bool allowed[256] = {
		['a' ... 'z'] = true, ['0' ... '9'] = true, ['-'] = true
	};
	size_t count = strlen(text);
	bool all = true;

	if (count < 1 || count > NAME_BYTES_MAX || text[0] < 'a' || text[0] > 'z' ||
	        text[count - 1] == '-') {
		return false;
	}
	for (size_t i = 0; i < count; i++) {
		all &= allowed[(unsigned char)text[i]];
	}
	return all;
}

static const char crockford[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

void random_fill(void *bytes, size_t count)
{
	size_t done = 0;

	while (done < count) {
		ssize_t got = getrandom((uint8_t *)bytes + done, count - done, 0);

		assert_always(got > 0);
		done += (size_t)got;
	}
}

struct id id_new(int64_t wall_usec)
{
	uint64_t msec = (uint64_t)wall_usec / 1000;
	uint8_t random[16];
	struct id id;

	for (int i = 9; i >= 0; i--, msec >>= 5) {
		id.text[i] = crockford[msec & 31];
	}
	random_fill(random, sizeof(random));
	for (int i = 0; i < 16; i++) {
		id.text[10 + i] = crockford[random[i] & 31];
	}
	id.text[26] = '\0';
	return id;
}

bool id_valid(const char *text)
{
	if (strlen(text) != ID_BYTES_MAX) {
		return false;
	}
	for (; *text; text++) {
		char c = *text; /* one of `crockford`, asked for without a search */

		if (!(c >= '0' && c <= '9') &&
		        (c < 'A' || c > 'Z' || c == 'I' || c == 'L' || c == 'O' || c == 'U')) {
			return false;
		}
	}
	return true;
}

void hex_print(const uint8_t *bytes, size_t count, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < count; i++) {
		out[2 * i] = digits[bytes[i] >> 4];
		out[2 * i + 1] = digits[bytes[i] & 15];
	}
	out[2 * count] = '\0';
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	if (c >= 'a' && c <= 'f') {
		return c - 'a' + 10;
	}
	return -1;
}

int hex_parse(const char *text, uint8_t *out, size_t count)
{
	if (strlen(text) != 2 * count) {
		return 1;
	}
	for (size_t i = 0; i < count; i++) {
		int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);

		if (high < 0 || low < 0) {
			return 1;
		}
		out[i] = (uint8_t)(high << 4 | low);
	}
	return 0;
}

static const char base64_digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char base64url_digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void add_base64(
        struct buf *out, const uint8_t *bytes, size_t count, const char *digits, bool padded)
{
	for (size_t i = 0; i < count; i += 3) {
		size_t have = count - i < 3 ? count - i : 3;
		uint32_t group = (uint32_t)bytes[i] << 16;
		char text[4];

		if (have > 1) {
			group |= (uint32_t)bytes[i + 1] << 8;
		}
		if (have > 2) {
			group |= bytes[i + 2];
		}
		for (int digit = 0; digit < 4; digit++) {
			text[digit] = digits[group >> (18 - 6 * digit) & 63];
		}
		if (padded) {
			memset(text + have + 1, '=', 3 - have);
		}
		buf_add(out, text, padded ? 4 : have + 1);
	}
}

void base64_add(struct buf *out, const void *bytes, size_t count)
{
	add_base64(out, bytes, count, base64_digits, true);
}

void base64url_add(struct buf *out, const void *bytes, size_t count)
{
	add_base64(out, bytes, count, base64url_digits, false);
}

static int parse_base64(const char *text, size_t count, struct buf *out, const char *digits)
{
	uint32_t group = 0;
	size_t have = 0;

	for (size_t i = 0; i < count; i++) {
		const char *digit = text[i] ? strchr(digits, text[i]) : NULL;

		if (!digit) {
			return 1;
		}
		group = group << 6 | (uint32_t)(digit - digits);
		if (++have == 4) {
			buf_add(out,
			        (uint8_t[]){ (uint8_t)(group >> 16), (uint8_t)(group >> 8),
			                (uint8_t)group },
			        3);
			group = 0;
			have = 0;
		}
	}
	if (have == 1 || (have == 2 && (group & 15)) || (have == 3 && (group & 3))) {
		return 1;
	}
	if (have == 2) {
		buf_add_u8(out, (uint8_t)(group >> 4));
	} else if (have == 3) {
		buf_add(out, (uint8_t[]){ (uint8_t)(group >> 10), (uint8_t)(group >> 2) }, 2);
	}
	return out->overflowed ? 1 : 0;
}

int base64_parse(const char *text, size_t count, struct buf *out)
{
	size_t padding = 0;

	if (count % 4 != 0) {
		return 1;
	}
	while (padding < 2 && padding < count && text[count - 1 - padding] == '=') {
		padding++;
	}
	return parse_base64(text, count - padding, out, base64_digits);
}

int base64url_parse(const char *text, size_t count, struct buf *out)
{
	return parse_base64(text, count, out, base64url_digits);
}

bool bytes_equal(const void *left, const void *right, size_t count)
{
	const volatile uint8_t *a = left, *b = right;
	uint8_t difference = 0;

	for (size_t i = 0; i < count; i++) {
		difference |= a[i] ^ b[i];
	}
	return difference == 0;
}

static uint64_t load(const char *bytes, size_t count)
{
	uint64_t word = 0;

	memcpy(&word, bytes, count);
	return word;
}

/* Both halves of the product: each bit of the word moves bits above and below it. */
static uint64_t fold(uint64_t hash, uint64_t word)
{
	__extension__ unsigned __int128 product =
	        (unsigned __int128)(hash ^ word) * 0x9e3779b97f4a7c15ULL;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Eight bytes at a time, the last eight ending where the text does; a text of less is read from
 * both ends. The count is in it, so that none of that makes two texts one. */
uint64_t text_hash(const char *text, size_t count, uint64_t seed)
{
	uint64_t hash = seed ^ (count + 1) * 0xff51afd7ed558ccdULL, last = 0;

	if (count >= 8) {
		for (size_t at = 0; at + 8 < count; at += 8) {
			hash = fold(hash, load(text + at, 8));
		}
		last = load(text + count - 8, 8);
	} else if (count >= 4) {
		last = load(text, 4) | load(text + count - 4, 4) << 32;
	} else if (count > 0) {
		last = load(text, 1) | load(text + count / 2, 1) << 8 |
		       load(text + count - 1, 1) << 16;
	}
	return fold(fold(hash, last), seed + 0xc4ceb9fe1a85ec53ULL);
}

bool text_equal(const char *left, const char *right)
{
	if (!left || !right) {
		return left == right;
	}
	return strcmp(left, right) == 0;
}

bool text_starts(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

int unsigned_parse(const char *text, uint64_t max, uint64_t *ret_value)
{
	uint64_t value = 0;

	if (!isdigit((unsigned char)text[0]) || (text[0] == '0' && text[1] != '\0')) {
		return 1;
	}
	for (; *text; text++) {
		if (!isdigit((unsigned char)*text) || __builtin_mul_overflow(value, 10, &value) ||
		        __builtin_add_overflow(value, (uint64_t)(*text - '0'), &value) ||
		        value > max) {
			return 1;
		}
	}
	*ret_value = value;
	return 0;
}

int text_copy(char *out, size_t out_bytes, const char *text)
{
	size_t count = strlen(text);

	if (count >= out_bytes) {
		return 1;
	}
	memcpy(out, text, count + 1);
	return 0;
}
