/* Bytes of mails into UTF-8 text: encodings and character sets. Part of mail.c. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

enum mail_encoding { MAIL_AS_IT_IS, MAIL_BASE64, MAIL_QUOTED_PRINTABLE };

/* Takes the transfer encoding off (RFC 2045 6). What does not belong is passed over. */
void mail_body_decode(const char *text, size_t count, enum mail_encoding encoding, struct buf *out);

enum mail_layout {
	MAIL_LINE,  /* one line: line ends become blanks */
	MAIL_LINES, /* \n stays, \r goes */
};

/* Adds `bytes` of this character set as clean UTF-8 (mail.h). An unknown set is read as UTF-8. */
void mail_charset_decode(const char *bytes, size_t count, const char *charset,
        enum mail_layout layout, struct buf *out);

/* Adds a header's value with its encoded words decoded (RFC 2047), as one line. */
void mail_words_decode(const char *value, struct buf *out);
