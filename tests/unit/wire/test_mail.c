/* Mails in and out, and the dialogue with a mail server (wire/mail.h, wire/smtp.h). */
#include "../check.h"

#include "base/clock.h"
#include "wire/mail.h"
#include "wire/smtp.h"

static struct mail mail;
static struct err err;

static int parse(const char *text)
{
	mail_clear(&mail);
	return mail_parse(text, strlen(text), &mail, &err);
}

TEST(a_plain_mail)
{
	CHECK(parse("From: CT <ct@h.example>\r\nSubject: a\r\n folded\r\nMessage-ID: <1@x>\r\n"
	            "X-Sekisho-Notice: 1\r\n\r\ndevice: core-hospital/ct\r\n") == 0);
	CHECK_TEXT(mail.from, "ct@h.example");
	CHECK_TEXT(mail.subject, "a folded");
	CHECK_TEXT(mail.message_id, "1@x");
	CHECK(mail.is_notice && !mail.is_automatic);
	CHECK_TEXT(buf_text(&mail.text), "device: core-hospital/ct\n");
}

TEST(japanese_in_three_character_sets)
{
	CHECK(parse("From: a@b\nSubject: =?ISO-2022-JP?B?GyRCPmMzMhsoQg==?= "
	            "=?utf-8?Q?=E6=A9=9F=5F_x?=\n"
	            "Content-Type: text/plain; charset=iso-2022-jp\n\n\033$B5!4o\033(B: s/h\n") ==
	        0);
	CHECK_TEXT(mail.subject, "障害機_ x");
	CHECK_TEXT(buf_text(&mail.text), "機器: s/h\n");
	CHECK(parse("From: a@b\nContent-Type: text/plain; charset=\"Shift_JIS\"\n"
	            "Content-Transfer-Encoding: base64\n\ni0CK7ToK") == 0);
	CHECK_TEXT(buf_text(&mail.text), "機器:\n");
	CHECK(parse("From: a@b\nContent-Type: text/plain; charset=utf-8\n"
	            "Content-Transfer-Encoding: quoted-printable\n\n=E6=A9=\n=9F=XX\n") == 0);
	CHECK_TEXT(buf_text(&mail.text), "機=XX\n");
}

TEST(the_first_text_of_parts_within_parts)
{
	CHECK(parse("From: a@b\nContent-Type: multipart/mixed; boundary=\"o\"\n\npreamble\n--o\n"
	            "Content-Type: multipart/alternative; boundary=i\n\n--i\n"
	            "Content-Type: text/html\n\n<b>no</b>\n--i\nContent-Type: text/plain\n\nyes\n"
	            "--i--\n--o\nContent-Type: text/plain\n\nsecond\n--o--\n") == 0);
	CHECK_TEXT(buf_text(&mail.text), "yes\n");
}

TEST(what_hides_is_shown_as_a_blank)
{
	CHECK(parse("From: a@b\nSubject: =?utf-8?B?YQ1iCmMbXQ==?=\n\n\x1b[31mred \xE2\x80\xAE"
	            "x\xff\n") == 0);
	CHECK_TEXT(mail.subject, "a b c ]");
	CHECK_TEXT(buf_text(&mail.text), " [31mred  x\xEF\xBF\xBD\n");
}

TEST(automatic_answers_and_bounces_are_known)
{
	CHECK(parse("From: a@b\nAuto-Submitted: auto-replied\n\nx\n") == 0 && mail.is_automatic);
	CHECK(parse("Return-Path: <>\nFrom: a@b\n\nx\n") == 0 && mail.is_automatic);
	CHECK(parse("From: a@b\nAuto-Submitted: auto-generated\n\nx\n") == 0 && !mail.is_automatic);
}

TEST(what_is_no_mail_is_refused)
{
	AUTO_BUF struct buf deep = BUF(MAIL_BYTES_MAX);

	CHECK(parse("") == 1 && *err.text);
	CHECK(parse("no header at all\n\nbody\n") == 1);
	buf_add_text(&deep, "From: a@b\n");
	for (int i = 0; i < MAIL_DEPTH_MAX + 2; i++) {
		buf_add_format(
		        &deep, "Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n", i, i);
	}
	CHECK(parse(buf_text(&deep)) == 1 && strstr(err.text, "deeper"));
	buf_reset(&deep);
	buf_add_text(&deep, "Subject: ");
	for (int i = 0; i < MAIL_HEADER_BYTES_MAX; i++) {
		buf_add_text(&deep, "x");
	}
	CHECK(parse(buf_text(&deep)) == 1);
}

TEST(the_lines_of_a_notice)
{
	struct mail_notice notice;

	mail_notice_find(
	        "hello\n Device : core-hospital/ct \nFAULT: hot\ndevice: second/one\n", &notice);
	CHECK_TEXT(notice.device, "core-hospital/ct");
	CHECK_TEXT(notice.fault, "hot");
	mail_notice_find("機器：a/b\n障害: 管球\n", &notice);
	CHECK_TEXT(notice.device, "a/b");
	CHECK_TEXT(notice.fault, "管球");
	mail_notice_find("> device: a/b\ndevices: c/d\n", &notice);
	CHECK_TEXT(notice.device, "");
}

TEST(no_subject_adds_a_header)
{
	AUTO_BUF struct buf bytes = BUF(1 << 20);
	const struct mail_out out = { "a@b.example", "c@d.example", "1@x.example",
		"承認\r\nBcc: evil@x.example\r\n\r\nbody とても長い件名はいくつもの行に分かれる",
		"一行目\n.\n", 1800000000LL * USEC_PER_SEC };

	mail_print(&out, &bytes);
	CHECK(!strstr(buf_text(&bytes), "Bcc") && !strstr(buf_text(&bytes), "evil"));
	CHECK(strstr(buf_text(&bytes), "Date: Fri, 15 Jan 2027 08:00:00 +0000\r\n"));
	CHECK(parse(buf_text(&bytes)) == 0);
	CHECK_TEXT(mail.subject,
	        "承認  Bcc: evil@x.example    body とても長い件名はいくつもの行に分かれる");
	CHECK_TEXT(buf_text(&mail.text), "一行目\n.\n");
	CHECK(mail_address_valid("a.b+c@x-y.example"));
	CHECK(!mail_address_valid("a@b\r\nRCPT TO:<c@d>") && !mail_address_valid("a b@c") &&
	        !mail_address_valid("@b") && !mail_address_valid("a@") &&
	        !mail_address_valid("<a@b>") && !mail_address_valid("-a@b") &&
	        !mail_address_valid("a@b@c"));
}

static struct smtp smtp;

static enum smtp_next reply(const char *line, const char *expected)
{
	AUTO_BUF struct buf command = BUF(4096);
	enum smtp_next next = smtp_reply(&smtp, line, strlen(line), &command, &err);

	CHECK_TEXT(buf_text(&command), expected);
	return next;
}

TEST(a_dialogue_with_tls_and_login)
{
	static const struct smtp_plan plan = { "me.example", "a@b.example", "c@d.example", "user",
		"secret", SMTP_TLS_OFFERED };
	AUTO_BUF struct buf command = BUF(4096), body = BUF(4096);

	smtp_begin(&smtp, &plan);
	CHECK(reply("220 hello", "EHLO me.example\r\n") == SMTP_SEND);
	CHECK(reply("250-server", "") == SMTP_READ);
	CHECK(reply("250 STARTTLS", "STARTTLS\r\n") == SMTP_SEND);
	CHECK(reply("220 go", "") == SMTP_TLS_START);
	smtp_tls_started(&smtp, &command);
	CHECK_TEXT(buf_text(&command), "EHLO me.example\r\n");
	CHECK(reply("250-server", "") == SMTP_READ);
	CHECK(reply("250 AUTH LOGIN PLAIN", "AUTH PLAIN AHVzZXIAc2VjcmV0\r\n") == SMTP_SEND);
	CHECK(reply("235 in", "MAIL FROM:<a@b.example>\r\n") == SMTP_SEND);
	CHECK(reply("250 ok", "RCPT TO:<c@d.example>\r\n") == SMTP_SEND);
	CHECK(reply("250 ok", "DATA\r\n") == SMTP_SEND);
	CHECK(reply("354 go", "") == SMTP_SEND_BODY);
	CHECK(reply("250 taken", "") == SMTP_TAKEN);
	smtp_body_print(".a\r\n..\r\nb", 9, &body);
	CHECK_TEXT(buf_text(&body), "..a\r\n...\r\nb\r\n.\r\n");
}

TEST(a_server_that_cannot_is_tried_later_and_one_that_refuses_not)
{
	static const struct smtp_plan tls = { "m", "a@b", "c@d", NULL, NULL, SMTP_TLS_REQUIRED };
	static const struct smtp_plan login = { "m", "a@b", "c@d", "u", "p", SMTP_TLS_NEVER };
	static const struct smtp_plan plain = { "m", "a@b", "c@d", NULL, NULL, SMTP_TLS_OFFERED };

	smtp_begin(&smtp, &tls);
	CHECK(reply("220 x", "EHLO m\r\n") == SMTP_SEND && reply("250 x", "") == SMTP_LATER);
	smtp_begin(&smtp, &login);
	CHECK(reply("220 x", "EHLO m\r\n") == SMTP_SEND);
	CHECK(reply("250 AUTH PLAIN", "") == SMTP_LATER && strstr(err.text, "over TLS"));
	smtp_begin(&smtp, &plain);
	CHECK(reply("554 go away", "") == SMTP_LATER);
	smtp_begin(&smtp, &plain);
	CHECK(reply("220 x", "EHLO m\r\n") == SMTP_SEND);
	CHECK(reply("250 x", "MAIL FROM:<a@b>\r\n") == SMTP_SEND);
	CHECK(reply("250 x", "RCPT TO:<c@d>\r\n") == SMTP_SEND);
	CHECK(reply("550 nobody \x1b[1m", "") == SMTP_NEVER && !strchr(err.text, 0x1b));
	smtp_begin(&smtp, &plain);
	CHECK(reply("SSH-2.0-OpenSSH", "") == SMTP_LATER && strstr(err.text, "no mail server"));
}

TEST_MAIN()
