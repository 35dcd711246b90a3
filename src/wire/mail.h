/*
 * Mail as bytes: reading a message that came in (RFC 5322, MIME: RFC 2045 to 2047), writing one
 * that goes out.
 *
 * Read is what a person would see first: sender, subject, date, message-id and the first text part,
 * all as UTF-8. Folded headers, encoded words, base64 and quoted-printable, nested multiparts, and
 * the character sets UTF-8, US-ASCII, ISO-8859-1, ISO-2022-JP, Shift_JIS and EUC-JP are understood;
 * what cannot be converted shows as U+FFFD. Control characters, and characters that reorder text
 * (U+202A to U+202E, U+2066 to U+2069), become blanks. A message is never refused for its contents:
 * only for its size (limits.h: MAIL_…), depth, or bytes that are no message.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/limits.h"

struct mail {
	char from[MAIL_ADDRESS_BYTES_MAX + 1]; /* the address alone, "" when there is none */
	char subject[MAIL_SUBJECT_BYTES_MAX + 1];
	char message_id[MAIL_ADDRESS_BYTES_MAX + 1]; /* without the brackets */
	bool is_notice;                              /* header "X-Sekisho-Notice: 1" */
	bool is_automatic; /* answers and bounces: Auto-Submitted or an empty Return-Path */
	bool truncated;    /* the text was longer than MAIL_TEXT_BYTES_MAX */
	struct buf text;   /* UTF-8, lines end with \n; owned */
};

/* Outcome 1: not a message, too long or nested too deep; err says which. */
int mail_parse(const void *bytes, size_t count, struct mail *ret_mail, struct err *err) must_use;
void mail_clear(struct mail *mail);

/* What a fault notice says of itself, from its text: lines "device: SITE/HOST" and "fault: …", in
 * Japanese 機器： and 障害： with either colon. "" where it says nothing. */
struct mail_notice {
	char device[HOST_REF_BYTES_MAX + 1];
	char fault[MAIL_SUBJECT_BYTES_MAX + 1];
};
void mail_notice_find(const char *text, struct mail_notice *ret_notice);

/* A message that goes out. All are borrowed. Subject and text are UTF-8 and may hold anything: a
 * line break in a subject becomes a blank, and neither can add a header (header injection). */
struct mail_out {
	const char *from, *to;  /* addresses, mail_address_valid() */
	const char *message_id; /* without the brackets */
	const char *subject, *text;
	int64_t date_usec;
};

/* Adds the whole message, lines ended by CR LF, ready for DATA but for the doubling of dots. */
void mail_print(const struct mail_out *out, struct buf *bytes);

/* local@domain of printable ASCII without blanks, quotes, brackets, commas or control characters:
 * an address that can stand in a header and in an SMTP command as it is. */
bool mail_address_valid(const char *text);
