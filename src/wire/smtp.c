#include "wire/smtp.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/str.h"

void smtp_begin(struct smtp *smtp, const struct smtp_plan *plan)
{
	*smtp = (struct smtp){ .plan = plan };
}

static enum smtp_next say(
        struct smtp *smtp, enum smtp_state state, struct buf *command, const char *text)
{
	smtp->state = state;
	buf_add_text(command, text);
	buf_add_text(command, "\r\n");
	return SMTP_SEND;
}

static enum smtp_next say_hello(struct smtp *smtp, struct buf *command)
{
	AUTO_STRING char *text = mem_format("EHLO %s", smtp->plan->name);

	smtp->offers_tls = smtp->offers_plain = false;
	return say(smtp, SMTP_HELLO, command, text);
}

static enum smtp_next say_mail(struct smtp *smtp, struct buf *command)
{
	AUTO_STRING char *text = mem_format("MAIL FROM:<%s>", smtp->plan->from);

	return say(smtp, SMTP_MAIL, command, text);
}

/* RFC 4616: nothing, NUL, user, NUL, password. */
static enum smtp_next say_auth(struct smtp *smtp, struct buf *command)
{
	AUTO_BUF struct buf secret = BUF(SMTP_LINE_BYTES_MAX);

	buf_add_u8(&secret, 0);
	buf_add_text(&secret, smtp->plan->user);
	buf_add_u8(&secret, 0);
	buf_add_text(&secret, smtp->plan->password);
	smtp->state = SMTP_AUTH;
	buf_add_text(command, "AUTH PLAIN ");
	base64_add(command, secret.bytes, secret.count);
	buf_add_text(command, "\r\n");
	mem_wipe(secret.bytes, secret.count);
	return SMTP_SEND;
}

static enum smtp_next after_hello(struct smtp *smtp, struct buf *command, struct err *err)
{
	const struct smtp_plan *plan = smtp->plan;

	if (!smtp->tls && plan->tls != SMTP_TLS_NEVER && smtp->offers_tls) {
		return say(smtp, SMTP_STARTTLS, command, "STARTTLS");
	}
	if (!smtp->tls && plan->tls == SMTP_TLS_REQUIRED) {
		return err_set(err, SMTP_LATER, "the mail server offers no STARTTLS");
	}
	if (!plan->user) {
		return say_mail(smtp, command);
	}
	/* A password is never sent in the clear. */
	if (!smtp->tls || !smtp->offers_plain) {
		return err_set(err, SMTP_LATER, "the mail server offers no AUTH PLAIN over TLS");
	}
	return say_auth(smtp, command);
}

/* What the reply that is complete leads to. */
static enum smtp_next advance(struct smtp *smtp, struct buf *command, struct err *err)
{
	AUTO_STRING char *text = NULL;

	switch (smtp->state) {
	case SMTP_GREETING:
		return say_hello(smtp, command);
	case SMTP_HELLO:
		return after_hello(smtp, command, err);
	case SMTP_STARTTLS:
		return SMTP_TLS_START;
	case SMTP_AUTH:
		return say_mail(smtp, command);
	case SMTP_MAIL:
		text = mem_format("RCPT TO:<%s>", smtp->plan->to);
		return say(smtp, SMTP_RCPT, command, text);
	case SMTP_RCPT:
		return say(smtp, SMTP_DATA, command, "DATA");
	case SMTP_DATA:
		smtp->state = SMTP_BODY;
		return SMTP_SEND_BODY;
	case SMTP_BODY:
		smtp->state = SMTP_OVER;
		return SMTP_TAKEN;
	case SMTP_OVER:
		break;
	}
	return err_set(err, SMTP_LATER, "the mail server says more than it was asked");
}

static void take_extension(struct smtp *smtp, const char *text)
{
	if (strncasecmp(text, "STARTTLS", 8) == 0 && (text[8] == '\0' || text[8] == ' ')) {
		smtp->offers_tls = true;
	} else if (strncasecmp(text, "AUTH ", 5) == 0) {
		for (const char *at = text + 5; *at;) {
			size_t word = strcspn(at, " ");

			smtp->offers_plain |= word == 5 && strncasecmp(at, "PLAIN", 5) == 0;
			at += word;
			at += strspn(at, " ");
		}
	}
}

static int wanted_class(enum smtp_state state)
{
	return state == SMTP_DATA ? '3' : '2';
}

enum smtp_next smtp_reply(
        struct smtp *smtp, const char *line, size_t count, struct buf *command, struct err *err)
{
	char text[SMTP_LINE_BYTES_MAX + 1];
	bool good;

	if (count > SMTP_LINE_BYTES_MAX || ++smtp->lines > SMTP_LINES_MAX) {
		return err_set(err, SMTP_LATER, "the mail server's answer is too long");
	}
	for (size_t i = 0; i < count; i++) {
		text[i] = line[i] >= 0x20 && line[i] < 0x7f ? line[i] : '?';
	}
	text[count] = '\0';
	good = count >= 3 && text[0] >= '2' && text[0] <= '5' && isdigit((unsigned char)text[1]) &&
	       isdigit((unsigned char)text[2]) && (count == 3 || strchr(" -", text[3]));
	if (!good) {
		return err_set(
		        err, SMTP_LATER, "what answers there is no mail server: \"%.80s\"", text);
	}
	if (smtp->state == SMTP_HELLO && text[0] == '2' && count > 4) {
		take_extension(smtp, text + 4);
	}
	if (count > 3 && text[3] == '-') {
		return SMTP_READ;
	}
	smtp->lines = 0;
	if (text[0] == wanted_class(smtp->state)) {
		return advance(smtp, command, err);
	}
	/* A refusal of the login, of our name or of TLS is not about this message: a person can put
	 * it right, and the message waits. */
	return err_set(err, text[0] == '5' && smtp->state >= SMTP_MAIL ? SMTP_NEVER : SMTP_LATER,
	        "the mail server answered \"%.200s\"", text);
}

void smtp_tls_started(struct smtp *smtp, struct buf *command)
{
	smtp->tls = true;
	say_hello(smtp, command);
}

void smtp_body_print(const void *message, size_t count, struct buf *out)
{
	const char *text = message;
	bool line_start = true;

	for (size_t i = 0; i < count; i++) {
		if (line_start && text[i] == '.') {
			buf_add_u8(out, '.');
		}
		buf_add_u8(out, (uint8_t)text[i]);
		line_start = text[i] == '\n';
	}
	buf_add_text(out, line_start ? ".\r\n" : "\r\n.\r\n");
}
