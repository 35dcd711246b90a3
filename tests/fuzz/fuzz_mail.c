/* Any bytes as a mail that came in. Whatever they are, what is shown is clean UTF-8 within its
 * limits; and any text as the subject and body of a mail that goes out adds no header and comes
 * back as it was. */
#include <stdlib.h>
#include <string.h>

#include "wire/mail.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *text, bool lines)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		assert_always(c >= 0x20 || (lines && c == '\n'));
		assert_always(c != 0x7f);
	}
}

static void check_in(const uint8_t *data, size_t size)
{
	struct mail_notice notice;
	struct err err = { "" };
	struct mail mail;

	if (mail_parse(data, size, &mail, &err) != 0) {
		assert_always(err.text[0] != '\0');
		return;
	}
	check_text(mail.subject, false);
	check_text(mail.from, false);
	check_text(mail.message_id, false);
	check_text(buf_text(&mail.text), true);
	assert_always(*mail.from == '\0' || mail_address_valid(mail.from));
	assert_always(!mail.text.overflowed && mail.text.count <= MAIL_TEXT_BYTES_MAX);
	mail_notice_find(buf_text(&mail.text), &notice);
	check_text(notice.device, false);
	check_text(notice.fault, false);
	mail_clear(&mail);
}

/* Header lines up to the empty one: names that mail_print() writes, and folded lines. */
static void check_headers(const char *text)
{
	static const char *const names[] = { "Date: ", "From: <a@b.example>", "To: <c@d.example>",
		"Message-ID: <e@f.example>", "Subject:", "MIME-Version: 1.0",
		"Content-Type: text/plain", "Content-Transfer-Encoding: base64",
		"Auto-Submitted: auto-generated", " " };

	while (strncmp(text, "\r\n", 2) != 0) {
		const char *end = strstr(text, "\r\n");
		bool known = false;

		assert_always(end && end - text <= 998);
		for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
			known |= strncmp(text, names[i], strlen(names[i])) == 0;
		}
		assert_always(known);
		text = end + 2;
	}
}

static void check_out(const uint8_t *data, size_t size)
{
	AUTO_BUF struct buf bytes = BUF(4 << 20);
	char *text = malloc(size + 1);
	struct err err = { "" };
	struct mail mail;

	memcpy(text, data, size);
	text[size] = '\0';
	mail_print(&(struct mail_out){ "a@b.example", "c@d.example", "e@f.example", text, text,
	                   1800000000000000 },
	        &bytes);
	assert_always(!bytes.overflowed);
	check_headers(buf_text(&bytes));
	if (bytes.count <= MAIL_BYTES_MAX && strlen(text) < MAIL_HEADER_BYTES_MAX / 4) {
		assert_always(mail_parse(bytes.bytes, bytes.count, &mail, &err) == 0);
		assert_always(strcmp(mail.from, "a@b.example") == 0);
		assert_always(strcmp(mail.message_id, "e@f.example") == 0);
		mail_clear(&mail);
	}
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_in(data, size);
	check_out(data, size < 4096 ? size : 4096);
	return 0;
}
