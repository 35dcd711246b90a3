/* Writing a mail (mail.h). Subject and text travel encoded, so that no byte of them can be read as
 * anything but themselves. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "wire/mail.h"

#define WORD_BYTES_MAX 42 /* 56 of base64 and the frame: below the 75 of RFC 2047 2 */
#define LINE_BYTES_MAX 57 /* 76 of base64 (RFC 2045 6.8) */

static size_t character_bytes(const uint8_t *bytes, size_t count)
{
	size_t length = 1;

	while (length < count && (bytes[length] & 0xc0) == 0x80 && length < 4) {
		length++;
	}
	return length;
}

/* As encoded words, each of whole characters, one a line. */
static void print_subject(const char *subject, struct buf *bytes)
{
	const uint8_t *text = (const uint8_t *)subject;
	size_t left = strlen(subject);

	buf_add_text(bytes, "Subject:");
	while (left > 0) {
		uint8_t word[WORD_BYTES_MAX];
		size_t used = 0;

		while (left > 0) {
			size_t step = character_bytes(text, left);

			if (used + step > sizeof(word)) {
				break;
			}
			memcpy(word + used, text, step);
			if (step == 1 && word[used] < 0x20) {
				word[used] = ' ';
			}
			used += step;
			text += step;
			left -= step;
		}
		buf_add_text(bytes, " =?UTF-8?B?");
		base64_add(bytes, word, used);
		buf_add_text(bytes, left > 0 ? "?=\r\n" : "?=");
	}
	buf_add_text(bytes, "\r\n");
}

/* RFC 5322 3.3, in UTC, in English whatever the locale. */
static void print_date(int64_t usec, struct buf *bytes)
{
	static const char *const days[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
	static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul",
		"Aug", "Sep", "Oct", "Nov", "Dec" };
	time_t seconds = (time_t)(usec / USEC_PER_SEC);
	struct tm parts;

	assert_always(gmtime_r(&seconds, &parts));
	buf_add_format(bytes, "Date: %s, %d %s %d %02d:%02d:%02d +0000\r\n", days[parts.tm_wday],
	        parts.tm_mday, months[parts.tm_mon], parts.tm_year + 1900, parts.tm_hour,
	        parts.tm_min, parts.tm_sec);
}

static void print_body(const char *text, struct buf *bytes)
{
	AUTO_BUF struct buf body = BUF(2 * MAIL_BYTES_MAX);

	/* Lines of the text end as mail's lines do. */
	for (; *text; text++) {
		if (*text == '\n') {
			buf_add_u8(&body, '\r');
		}
		buf_add_u8(&body, (uint8_t)*text);
	}
	for (size_t at = 0; at < body.count; at += LINE_BYTES_MAX) {
		size_t count = body.count - at;

		base64_add(bytes, body.bytes + at, count < LINE_BYTES_MAX ? count : LINE_BYTES_MAX);
		buf_add_text(bytes, "\r\n");
	}
}

void mail_print(const struct mail_out *out, struct buf *bytes)
{
	assert_always(mail_address_valid(out->from) && mail_address_valid(out->to));
	assert_always(mail_address_valid(out->message_id));
	print_date(out->date_usec, bytes);
	buf_add_format(bytes, "From: <%s>\r\nTo: <%s>\r\nMessage-ID: <%s>\r\n", out->from, out->to,
	        out->message_id);
	print_subject(out->subject, bytes);
	/* RFC 3834: whoever answers by itself does not answer this. */
	buf_add_text(bytes, "MIME-Version: 1.0\r\n"
	                    "Content-Type: text/plain; charset=UTF-8\r\n"
	                    "Content-Transfer-Encoding: base64\r\n"
	                    "Auto-Submitted: auto-generated\r\n"
	                    "\r\n");
	print_body(out->text, bytes);
}
