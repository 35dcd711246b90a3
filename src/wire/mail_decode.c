#include "wire/mail_decode.h"

#include <ctype.h>
#include <errno.h>
#include <iconv.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"

#define REPLACEMENT "\xEF\xBF\xBD" /* U+FFFD */

static int base64_value(char c)
{
	if (c >= 'A' && c <= 'Z') {
		return c - 'A';
	}
	if (c >= 'a' && c <= 'z') {
		return c - 'a' + 26;
	}
	if (c >= '0' && c <= '9') {
		return c - '0' + 52;
	}
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* RFC 2045 6.8: what is not of the alphabet is passed over. */
static void decode_base64(const char *text, size_t count, struct buf *out)
{
	uint32_t bits = 0;
	unsigned have = 0;

	for (size_t i = 0; i < count && text[i] != '='; i++) {
		int value = base64_value(text[i]);

		if (value < 0) {
			continue;
		}
		bits = bits << 6 | (uint32_t)value;
		have += 6;
		if (have >= 8) {
			have -= 8;
			buf_add_u8(out, (uint8_t)(bits >> have));
		}
	}
}

static int hex_value(char c)
{
	return isdigit((unsigned char)c) ? c - '0'
	       : c >= 'A' && c <= 'F'    ? c - 'A' + 10
	       : c >= 'a' && c <= 'f'    ? c - 'a' + 10
	                                 : -1;
}

/* RFC 2045 6.7, and RFC 2047 4.2 where an underscore is a blank. */
static void decode_quoted(const char *text, size_t count, bool word, struct buf *out)
{
	for (size_t i = 0; i < count; i++) {
		if (text[i] == '_' && word) {
			buf_add_u8(out, ' ');
		} else if (text[i] != '=') {
			buf_add_u8(out, (uint8_t)text[i]);
		} else if (i + 2 < count && hex_value(text[i + 1]) >= 0 &&
		           hex_value(text[i + 2]) >= 0) {
			buf_add_u8(out,
			        (uint8_t)(hex_value(text[i + 1]) << 4 | hex_value(text[i + 2])));
			i += 2;
		} else if (i + 1 < count && text[i + 1] == '\n') {
			i++; /* a soft line break */
		} else if (i + 2 < count && text[i + 1] == '\r' && text[i + 2] == '\n') {
			i += 2;
		} else {
			buf_add_u8(out, '=');
		}
	}
}

void mail_body_decode(const char *text, size_t count, enum mail_encoding encoding, struct buf *out)
{
	switch (encoding) {
	case MAIL_BASE64:
		decode_base64(text, count, out);
		return;
	case MAIL_QUOTED_PRINTABLE:
		decode_quoted(text, count, false, out);
		return;
	case MAIL_AS_IT_IS:
		break;
	}
	buf_add(out, text, count);
}

/* The code point at `bytes`, and how many bytes it took; 0: not UTF-8 (RFC 3629). */
static size_t utf8_read(const uint8_t *bytes, size_t count, uint32_t *ret_code)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t length = bytes[0] < 0x80   ? 1
	                : bytes[0] < 0xc2 ? 0
	                : bytes[0] < 0xe0 ? 2
	                : bytes[0] < 0xf0 ? 3
	                : bytes[0] < 0xf5 ? 4
	                                  : 0;
	uint32_t code;

	if (length == 0 || length > count) {
		return 0;
	}
	code = length == 1 ? bytes[0] : bytes[0] & (0x7fu >> length);
	for (size_t i = 1; i < length; i++) {
		if ((bytes[i] & 0xc0) != 0x80) {
			return 0;
		}
		code = code << 6 | (bytes[i] & 0x3fu);
	}
	if (code < least[length] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) {
		return 0;
	}
	*ret_code = code;
	return length;
}

/* Controls, and what would show text in another order than it is written (mail.h). */
static bool hides(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x200e || code == 0x200f ||
	       code == 0x2028 || code == 0x2029 || (code >= 0x202a && code <= 0x202e) ||
	       (code >= 0x2066 && code <= 0x2069) || code == 0xfeff;
}

static void add_clean(const uint8_t *bytes, size_t count, enum mail_layout layout, struct buf *out)
{
	while (count > 0) {
		uint32_t code = 0;
		size_t step = utf8_read(bytes, count, &code);

		if (step == 0) {
			buf_add_text(out, REPLACEMENT);
			step = 1;
		} else if (code == '\n' && layout == MAIL_LINES) {
			buf_add_u8(out, '\n');
		} else if (code == '\r' && layout == MAIL_LINES && count > 1 && bytes[1] == '\n') {
			/* The line feed behind it stands for both. */
		} else if (hides(code)) {
			buf_add_u8(out, ' ');
		} else {
			buf_add(out, bytes, step);
		}
		bytes += step;
		count -= step;
	}
}

/* The C library's name, or NULL for what is read as UTF-8. Only what is expected in such mails:
 * an unusual converter is more code than its mails are worth. */
static const char *converter_of(const char *charset)
{
	static const struct {
		const char *name, *converter;
	} known[] = {
		{ "iso-2022-jp", "ISO-2022-JP" },
		{ "shift_jis", "CP932" }, /* what is called so in practice */
		{ "shift-jis", "CP932" },
		{ "windows-31j", "CP932" },
		{ "cp932", "CP932" },
		{ "euc-jp", "EUC-JP" },
		{ "iso-8859-1", "ISO-8859-1" },
		{ "windows-1252", "CP1252" },
	};

	for (size_t i = 0; i < ARRAY_COUNT(known); i++) {
		if (strcasecmp(charset, known[i].name) == 0) {
			return known[i].converter;
		}
	}
	return NULL;
}

/* Adds what of `bytes` can be converted; one byte that cannot be is one U+FFFD. */
static void convert(iconv_t converter, const char *bytes, size_t count, struct buf *out)
{
	char *in = (char *)bytes;
	char room[512];

	for (bool flush = false; !flush || count > 0;) {
		char *to = room;
		size_t left = sizeof(room);
		size_t r;

		flush = count == 0;
		r = iconv(converter, flush ? NULL : &in, flush ? NULL : &count, &to, &left);
		buf_add(out, room, sizeof(room) - left);
		if (r == (size_t)-1 && errno != E2BIG) {
			if (flush) {
				return;
			}
			/* Not a character, or the end is missing. */
			buf_add_text(out, REPLACEMENT);
			in++;
			count--;
		}
	}
}

void mail_charset_decode(const char *bytes, size_t count, const char *charset,
        enum mail_layout layout, struct buf *out)
{
	AUTO_BUF struct buf text = BUF(4 * MAIL_BYTES_MAX);
	const char *name = converter_of(charset);
	iconv_t converter = name ? iconv_open("UTF-8", name) : (iconv_t)-1;

	if (converter == (iconv_t)-1) {
		add_clean((const uint8_t *)bytes, count, layout, out);
		return;
	}
	convert(converter, bytes, count, &text);
	iconv_close(converter);
	add_clean((const uint8_t *)buf_text(&text), text.count, layout, out);
}

/* "=?charset?B|Q?text?=" at `text` (RFC 2047 2). Returns its length, or 0 when it is none. */
static size_t word_decode(const char *text, struct buf *out)
{
	AUTO_BUF struct buf bytes = BUF(MAIL_HEADER_BYTES_MAX);
	char charset[32];
	const char *at = text + 2, *end;
	size_t count = strcspn(at, "?* \t");
	size_t skip = strcspn(at, "? \t"); /* with RFC 2231's language */

	if (count == 0 || count >= sizeof(charset) || at[skip] != '?') {
		return 0;
	}
	memcpy(charset, at, count);
	charset[count] = '\0';
	at += skip + 1;
	if (!*at || !strchr("BbQq", *at) || at[1] != '?') {
		return 0;
	}
	end = strstr(at + 2, "?=");
	if (!end) {
		return 0;
	}
	if (strchr("Bb", *at)) {
		decode_base64(at + 2, (size_t)(end - at - 2), &bytes);
	} else {
		decode_quoted(at + 2, (size_t)(end - at - 2), true, &bytes);
	}
	mail_charset_decode(buf_text(&bytes), bytes.count, charset, MAIL_LINE, out);
	return (size_t)(end + 2 - text);
}

void mail_words_decode(const char *value, struct buf *out)
{
	bool after_word = false;

	while (*value) {
		size_t blanks = strspn(value, " \t");
		size_t plain, taken;

		/* Blanks between two encoded words are not shown (RFC 2047 6.2). */
		if (after_word && blanks > 0 && text_starts(value + blanks, "=?")) {
			AUTO_BUF struct buf word = BUF(out->count_max);

			taken = word_decode(value + blanks, &word);
			if (taken > 0) {
				buf_add(out, buf_text(&word), word.count);
				value += blanks + taken;
				continue;
			}
		}
		if (text_starts(value, "=?") && (taken = word_decode(value, out)) > 0) {
			value += taken;
			after_word = true;
			continue;
		}
		plain = 1;
		while (value[plain] && !text_starts(value + plain, "=?") &&
		        !strchr(" \t", value[plain])) {
			plain++;
		}
		mail_charset_decode(value, plain, "utf-8", MAIL_LINE, out);
		after_word = after_word && strspn(value, " \t") == plain;
		value += plain;
	}
}
