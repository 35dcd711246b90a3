/* Any bytes as the lines of a mail server. No password leaves before TLS is on, nothing is sent
 * without TLS where it is required, and a mail counts as taken only after its body was sent. */
#include <string.h>

#include "base/mem.h"
#include "wire/smtp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void converse(const uint8_t *data, size_t size, const struct smtp_plan *plan)
{
	AUTO_BUF struct buf command = BUF(1 << 16);
	bool sent_body = false;
	struct smtp smtp;

	smtp_begin(&smtp, plan);
	while (size > 0) {
		const uint8_t *end = memchr(data, '\n', size);
		size_t count = end ? (size_t)(end - data) : size;
		struct err err = { "" };
		enum smtp_next next;

		buf_reset(&command);
		next = smtp_reply(&smtp, (const char *)data, count, &command, &err);
		if (next == SMTP_TLS_START) {
			assert_always(plan->tls != SMTP_TLS_NEVER && !smtp.tls);
			smtp_tls_started(&smtp, &command);
		}
		if (strstr(buf_text(&command), "AUTH ")) {
			assert_always(smtp.tls);
		}
		if (strstr(buf_text(&command), "MAIL FROM") && plan->tls == SMTP_TLS_REQUIRED) {
			assert_always(smtp.tls);
		}
		assert_always((next == SMTP_SEND || next == SMTP_TLS_START) == (command.count > 0));
		sent_body |= next == SMTP_SEND_BODY;
		assert_always(next != SMTP_TAKEN || sent_body);
		if (next == SMTP_TAKEN || next == SMTP_LATER || next == SMTP_NEVER) {
			assert_always(next == SMTP_TAKEN || *err.text);
			return;
		}
		data += end ? count + 1 : count;
		size -= end ? count + 1 : count;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_BUF struct buf body = BUF(1 << 20);

	for (int tls = SMTP_TLS_OFFERED; tls <= SMTP_TLS_NEVER; tls++) {
		converse(data, size,
		        &(struct smtp_plan){ "c.example", "a@b.example", "d@e.example", "user",
		                "secret", (enum smtp_tls)tls });
		converse(data, size,
		        &(struct smtp_plan){ "c.example", "a@b.example", "d@e.example", NULL, NULL,
		                (enum smtp_tls)tls });
	}
	/* Nothing in a message ends it early. */
	smtp_body_print(data, size, &body);
	if (!body.overflowed && body.count >= 5) {
		const char *end = memmem(body.bytes, body.count, "\r\n.\r\n", 5);

		assert_always(!end || end == (const char *)body.bytes + body.count - 5);
	}
	return 0;
}
