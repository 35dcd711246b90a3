/* The messages of mail.h: reading. Writing is in mail_print.c, bytes of a body in mail_decode.c. */
#include "wire/mail.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/str.h"
#include "wire/mail_decode.h"

/* A piece of the message; borrowed. */
struct slice {
	const char *text;
	size_t count;
};

struct reading {
	struct mail *mail;
	size_t parts;
	bool found; /* the first text part was taken */
	struct err *err;
};

/* One line without its end; advances. */
static struct slice next_line(struct slice *rest)
{
	const char *end = memchr(rest->text, '\n', rest->count);
	struct slice line = { rest->text, end ? (size_t)(end - rest->text) : rest->count };
	size_t step = end ? line.count + 1 : line.count;

	rest->text += step;
	rest->count -= step;
	if (line.count > 0 && line.text[line.count - 1] == '\r') {
		line.count--;
	}
	return line;
}

/* One header field, unfolded (RFC 5322 2.2.3), as "Name: value". Outcome 1: the header is over. */
static int next_field(struct slice *rest, struct buf *field)
{
	struct slice line;

	buf_reset(field);
	if (rest->count == 0) {
		return 1;
	}
	line = next_line(rest);
	if (line.count == 0) {
		return 1;
	}
	buf_add(field, line.text, line.count);
	while (rest->count > 0 && (*rest->text == ' ' || *rest->text == '\t')) {
		line = next_line(rest);
		buf_add_text(field, " ");
		while (line.count > 0 && (*line.text == ' ' || *line.text == '\t')) {
			line.text++;
			line.count--;
		}
		buf_add(field, line.text, line.count);
	}
	return 0;
}

/* The value of a field with this name, or NULL. */
static const char *value_of(const struct buf *field, const char *name)
{
	const char *text = buf_text(field);
	size_t count = strlen(name);

	if (strncasecmp(text, name, count) != 0) {
		return NULL;
	}
	text += count;
	text += strspn(text, " \t");
	if (*text != ':') {
		return NULL;
	}
	text++;
	return text + strspn(text, " \t");
}

static void copy_clipped(char *out, size_t room, const char *text)
{
	size_t count = strlen(text);

	if (count >= room) {
		count = room - 1;
		/* Not in the middle of a character. */
		while (count > 0 && ((unsigned char)text[count] & 0xc0) == 0x80) {
			count--;
		}
	}
	memcpy(out, text, count);
	out[count] = '\0';
}

/* The address of "Name <a@b>", of "a@b (Name)" and of "a@b"; "" when none of it is one. */
static void take_address(const char *value, char *out, size_t room)
{
	const char *open = strrchr(value, '<');
	const char *from = open ? open + 1 : value;
	size_t count = strcspn(from, open ? ">" : " \t(,;");
	AUTO_STRING char *text = NULL;

	*out = '\0';
	if (count == 0 || count >= room) {
		return;
	}
	text = mem_new(count + 1, 1);
	memcpy(text, from, count);
	if (mail_address_valid(text)) {
		memcpy(out, text, count + 1);
	}
}

static void take_message_id(const char *value, char *out, size_t room)
{
	size_t count;

	value += strspn(value, " \t<");
	count = strcspn(value, "> \t");
	*out = '\0';
	if (count < room) {
		for (size_t i = 0; i < count; i++) {
			if (!isgraph((unsigned char)value[i])) {
				return;
			}
		}
		memcpy(out, value, count);
		out[count] = '\0';
	}
}

static void take_header(struct mail *mail, const struct buf *field)
{
	AUTO_BUF struct buf text = BUF(MAIL_HEADER_BYTES_MAX * 4);
	const char *value;

	if ((value = value_of(field, "Subject")) && !*mail->subject) {
		mail_words_decode(value, &text);
		copy_clipped(mail->subject, sizeof(mail->subject), buf_text(&text));
	} else if ((value = value_of(field, "From")) && !*mail->from) {
		take_address(value, mail->from, sizeof(mail->from));
	} else if ((value = value_of(field, "Message-ID")) && !*mail->message_id) {
		take_message_id(value, mail->message_id, sizeof(mail->message_id));
	} else if ((value = value_of(field, "X-Sekisho-Notice"))) {
		mail->is_notice = value[0] == '1' && value[1 + strspn(value + 1, " \t")] == '\0';
	} else if ((value = value_of(field, "Auto-Submitted"))) {
		/* RFC 3834 5: a device's own report is "auto-generated", which is what we want. */
		mail->is_automatic |= strncasecmp(value, "auto-replied", 12) == 0;
	} else if ((value = value_of(field, "Return-Path"))) {
		mail->is_automatic |= text_starts(value, "<>");
	}
}

/* What says how a body is to be read. */
struct content {
	char type[64], charset[32], boundary[80];
	enum mail_encoding encoding;
	bool attachment;
};

static void lower(char *text)
{
	for (; *text; text++) {
		*text = (char)tolower((unsigned char)*text);
	}
}

/* A parameter of a structured field: name=value or name="value" (RFC 2045 5.1). */
static void take_parameter(const char *value, const char *name, char *out, size_t room)
{
	size_t name_count = strlen(name);

	for (const char *at = strchr(value, ';'); at; at = strchr(at, ';')) {
		size_t used = 0;

		at++;
		at += strspn(at, " \t");
		if (strncasecmp(at, name, name_count) != 0) {
			continue;
		}
		at += name_count;
		at += strspn(at, " \t");
		if (*at != '=') {
			continue;
		}
		at++;
		at += strspn(at, " \t");
		if (*at == '"') {
			for (at++; *at && *at != '"' && used + 1 < room; at++) {
				if (*at == '\\' && at[1]) {
					at++;
				}
				out[used++] = *at;
			}
		} else {
			for (; *at && !strchr(" \t;", *at) && used + 1 < room; at++) {
				out[used++] = *at;
			}
		}
		out[used] = '\0';
		return;
	}
}

static void take_content(struct content *content, const struct buf *field)
{
	const char *value;
	size_t count;

	if ((value = value_of(field, "Content-Type"))) {
		count = strcspn(value, " \t;");
		if (count < sizeof(content->type)) {
			memcpy(content->type, value, count);
			content->type[count] = '\0';
			lower(content->type);
		}
		take_parameter(value, "charset", content->charset, sizeof(content->charset));
		take_parameter(value, "boundary", content->boundary, sizeof(content->boundary));
	} else if ((value = value_of(field, "Content-Transfer-Encoding"))) {
		content->encoding = strncasecmp(value, "base64", 6) == 0 ? MAIL_BASE64
		                    : strncasecmp(value, "quoted-printable", 16) == 0
		                            ? MAIL_QUOTED_PRINTABLE
		                            : MAIL_AS_IT_IS;
	} else if ((value = value_of(field, "Content-Disposition"))) {
		content->attachment = strncasecmp(value, "attachment", 10) == 0;
	}
}

static void take_text(struct reading *reading, const struct content *content, struct slice body)
{
	AUTO_BUF struct buf bytes = BUF(MAIL_BYTES_MAX);
	AUTO_BUF struct buf text = BUF(4 * MAIL_BYTES_MAX);
	struct mail *mail = reading->mail;
	size_t count;

	mail_body_decode(body.text, body.count, content->encoding, &bytes);
	mail_charset_decode(buf_text(&bytes), bytes.count, content->charset, MAIL_LINES, &text);
	count = text.count;
	if (count > MAIL_TEXT_BYTES_MAX) {
		count = MAIL_TEXT_BYTES_MAX;
		while (count > 0 && (text.bytes[count] & 0xc0) == 0x80) {
			count--;
		}
		mail->truncated = true;
	}
	mail->text.count_max = MAIL_TEXT_BYTES_MAX;
	buf_add(&mail->text, buf_text(&text), count);
	reading->found = true;
}

static int read_part(struct reading *reading, struct slice part, unsigned depth, bool top);

static bool is_boundary(struct slice line, const char *boundary, bool *ret_last)
{
	size_t count = strlen(boundary);

	if (line.count < count + 2 || memcmp(line.text, "--", 2) != 0 ||
	        memcmp(line.text + 2, boundary, count) != 0) {
		return false;
	}
	*ret_last = line.count >= count + 4 && memcmp(line.text + 2 + count, "--", 2) == 0;
	return true;
}

/* The parts between the boundaries (RFC 2046 5.1), until the first text is found. */
static int read_multipart(
        struct reading *reading, const struct content *content, struct slice body, unsigned depth)
{
	const char *start = NULL;
	bool last = false;

	while (body.count > 0 && !last) {
		const char *line_start = body.text;
		struct slice line = next_line(&body);
		int r;

		if (!is_boundary(line, content->boundary, &last)) {
			continue;
		}
		if (start) {
			r = read_part(reading,
			        (struct slice){ start, (size_t)(line_start - start) }, depth + 1,
			        false);
			if (r != 0 || reading->found) {
				return r;
			}
		}
		start = body.text;
	}
	if (start && !last) {
		/* Cut off on its way: what is there is shown. */
		return read_part(reading,
		        (struct slice){ start, (size_t)(body.text + body.count - start) },
		        depth + 1, false);
	}
	return 0;
}

static int read_part(struct reading *reading, struct slice part, unsigned depth, bool top)
{
	AUTO_BUF struct buf field = BUF(MAIL_HEADER_BYTES_MAX);
	struct content content = { .type = "text/plain", .charset = "us-ascii" };
	size_t fields = 0;

	if (depth > MAIL_DEPTH_MAX || ++reading->parts > MAIL_PARTS_MAX) {
		return err_set(reading->err, 1,
		        "the mail has parts in parts deeper than %d, or more than %d",
		        MAIL_DEPTH_MAX, MAIL_PARTS_MAX);
	}
	while (next_field(&part, &field) == 0) {
		if (field.overflowed) {
			return err_set(reading->err, 1, "a header field is longer than %d bytes",
			        MAIL_HEADER_BYTES_MAX);
		}
		fields += memchr(field.bytes, ':', field.count) != NULL;
		if (top) {
			take_header(reading->mail, &field);
		}
		take_content(&content, &field);
	}
	if (top && fields == 0) {
		return err_set(reading->err, 1, "there are no header fields: this is not a mail");
	}
	if (text_starts(content.type, "multipart/") && *content.boundary) {
		return read_multipart(reading, &content, part, depth);
	}
	if (!content.attachment && text_equal(content.type, "text/plain")) {
		take_text(reading, &content, part);
	}
	return 0;
}

int mail_parse(const void *bytes, size_t count, struct mail *ret_mail, struct err *err)
{
	struct reading reading = { .mail = ret_mail, .err = err };
	struct slice whole = { bytes, count };
	int r;

	*ret_mail = (struct mail){ .text = BUF(MAIL_TEXT_BYTES_MAX) };
	if (count == 0 || count > MAIL_BYTES_MAX) {
		return err_set(err, 1, "a mail must have 1 to %d bytes", MAIL_BYTES_MAX);
	}
	/* The line that an mbox starts with is no header. */
	if (count > 5 && memcmp(whole.text, "From ", 5) == 0) {
		next_line(&whole);
	}
	r = read_part(&reading, whole, 0, true);
	if (r != 0) {
		mail_clear(ret_mail);
	}
	return r;
}

void mail_clear(struct mail *mail)
{
	buf_clear(&mail->text);
}

/* "key: value" with an ASCII or a full-width colon; NULL when the line is another. */
static const char *keyed(const char *line, const char *key)
{
	size_t count = strlen(key);

	line += strspn(line, " \t");
	if (strncasecmp(line, key, count) != 0) {
		return NULL;
	}
	line += count;
	line += strspn(line, " \t");
	if (*line == ':') {
		line++;
	} else if (text_starts(line, "：")) {
		line += strlen("：");
	} else {
		return NULL;
	}
	return line + strspn(line, " \t");
}

void mail_notice_find(const char *text, struct mail_notice *ret_notice)
{
	static const char *const devices[] = { "device", "機器" }, *const faults[] = { "fault",
		"障害" };

	*ret_notice = (struct mail_notice){ 0 };
	while (*text) {
		size_t count = strcspn(text, "\n");
		AUTO_STRING char *line = mem_new(count + 1, 1);
		size_t end = count;

		memcpy(line, text, count);
		while (end > 0 && isspace((unsigned char)line[end - 1])) {
			line[--end] = '\0';
		}
		for (int i = 0; i < 2; i++) {
			const char *device = keyed(line, devices[i]),
			           *fault = keyed(line, faults[i]);

			if (device && !*ret_notice->device &&
			        text_copy(ret_notice->device, sizeof(ret_notice->device), device)) {
				*ret_notice->device = '\0';
			}
			if (fault && !*ret_notice->fault) {
				copy_clipped(ret_notice->fault, sizeof(ret_notice->fault), fault);
			}
		}
		text += count + (text[count] == '\n');
	}
}

bool mail_address_valid(const char *text)
{
	const char *at = strrchr(text, '@');

	if (!at || at == text || !at[1] || strlen(text) > MAIL_ADDRESS_BYTES_MAX || *text == '-' ||
	        at[1] == '.' || at[1] == '-') {
		return false;
	}
	for (const char *c = text; *c; c++) {
		if (!isgraph((unsigned char)*c) || strchr("\"<>()[],;:\\", *c) ||
		        (*c == '@' && c != at)) {
			return false;
		}
	}
	return true;
}
