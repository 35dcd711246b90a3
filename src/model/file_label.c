#include "model/file_label.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "wire/json.h"

struct scanner_fields {
	char name[FILE_SCANNER_BYTES_MAX + 1];
	int64_t database;
};

struct label_fields {
	struct file_label label;
	uint64_t v;
	json_t *recipients;
	struct scanner_fields scanner;
};

static const struct json_field scanner_table[] = {
	{ JSON_FIELD("name", FIELD_TEXT, struct scanner_fields, name), .required = true, .min = 1,
	        .max = FILE_SCANNER_BYTES_MAX },
	{ JSON_FIELD("database", FIELD_TIME, struct scanner_fields, database), .required = true },
	{ 0 },
};

static const struct json_field label_table[] = {
	{ JSON_FIELD("v", FIELD_COUNT, struct label_fields, v), .required = true, .min = 1,
	        .max = 1 },
	{ JSON_FIELD("id", FIELD_ID, struct label_fields, label.id), .required = true },
	{ JSON_FIELD("name", FIELD_TEXT, struct label_fields, label.name), .required = true,
	        .min = 1, .max = FILE_NAME_BYTES_MAX },
	{ JSON_FIELD("bytes", FIELD_COUNT, struct label_fields, label.bytes), .required = true,
	        .max = FILE_BYTES_MAX },
	{ JSON_FIELD("sha256", FIELD_HEX, struct label_fields, label.sha256), .required = true,
	        .min = 64, .max = 64 },
	{ JSON_FIELD("sender", FIELD_NAME, struct label_fields, label.sender), .required = true },
	{ JSON_FIELD("from", FIELD_NAME, struct label_fields, label.from), .required = true },
	{ JSON_FIELD("to", FIELD_NAME, struct label_fields, label.to), .required = true },
	{ JSON_FIELD("recipients", FIELD_LIST, struct label_fields, recipients), .required = true,
	        .min = 1, .max = FILE_RECIPIENTS_MAX },
	{ JSON_FIELD("purpose", FIELD_TEXT, struct label_fields, label.purpose), .required = true,
	        .min = 1, .max = FILE_PURPOSE_BYTES_MAX },
	{ JSON_FIELD("work_order", FIELD_TEXT, struct label_fields, label.work_order),
	        .required = true, .max = ID_BYTES_MAX },
	{ JSON_FIELD("recorded", FIELD_BOOL, struct label_fields, label.recorded),
	        .required = true },
	{ JSON_FIELD("sealed_at", FIELD_TIME, struct label_fields, label.sealed_at),
	        .required = true },
	{ JSON_FIELD("scanner", FIELD_OBJECT, struct label_fields, scanner), .required = true,
	        .fields = scanner_table },
	{ 0 },
};

static const struct json_field recipient_table[] = {
	{ JSON_FIELD("person", FIELD_NAME, struct file_recipient, person), .required = true },
	{ JSON_FIELD("key", FIELD_TEXT, struct file_recipient, key), .required = true,
	        .min = FILE_KEY_TEXT_BYTES, .max = FILE_KEY_TEXT_BYTES },
	{ 0 },
};

static int finish(struct label_fields *fields, struct err *err)
{
	struct file_label *label = &fields->label;
	int r = file_name_check(label->name, err);

	if (r != 0) {
		return err_wrap(err, r, "name");
	}
	if (*label->work_order && !id_valid(label->work_order)) {
		return err_set(err, 1, "work_order: must be an id or empty");
	}
	label->recipient_count = json_array_size(fields->recipients);
	for (size_t i = 0; i < label->recipient_count && r == 0; i++) {
		r = json_item_fields(fields->recipients, "recipients", i, recipient_table,
		        &label->recipients[i], err);
	}
	memcpy(label->scanner, fields->scanner.name, sizeof(label->scanner));
	label->scanner_database = fields->scanner.database;
	return r;
}

int file_label_parse(
        const void *payload, size_t count, struct file_label *ret_label, struct err *err)
{
	AUTO_BUF struct buf canonical = BUF(JSON_BYTES_MAX);
	struct label_fields fields = { 0 };
	AUTO_JSON json_t *tree = NULL;
	int r;

	if (count > FILE_LABEL_BYTES_MAX) {
		return err_set(err, 1, "the label is longer than %d bytes", FILE_LABEL_BYTES_MAX);
	}
	r = json_read(payload, count, label_table, &fields, &tree, err);
	if (r == 0) {
		r = finish(&fields, err);
	}
	if (r != 0) {
		return r;
	}
	file_label_print(&fields.label, &canonical);
	if (canonical.count != count || memcmp(canonical.bytes, payload, count) != 0) {
		return err_set(err, 1, "the label is not in its canonical form");
	}
	*ret_label = fields.label;
	return 0;
}

void file_label_print(const struct file_label *label, struct buf *out)
{
	json_t *recipients = json_array();
	AUTO_JSON json_t *tree = NULL;

	for (size_t i = 0; i < label->recipient_count; i++) {
		json_array_append_new(
		        recipients, json_pack("{s:s, s:s}", "person", label->recipients[i].person,
		                            "key", label->recipients[i].key));
	}
	tree = json_pack(
	        "{s:i, s:s, s:s, s:I, s:s, s:s, s:s, s:s, s:o, s:s, s:s, s:b, s:s, s:{s:s, "
	        "s:s}}",
	        "v", 1, "id", label->id.text, "name", label->name, "bytes",
	        (json_int_t)label->bytes, "sha256", label->sha256, "sender", label->sender, "from",
	        label->from, "to", label->to, "recipients", recipients, "purpose", label->purpose,
	        "work_order", label->work_order, "recorded", label->recorded, "sealed_at",
	        time_print(label->sealed_at).text, "scanner", "name", label->scanner, "database",
	        time_print(label->scanner_database).text);
	assert_always(tree != NULL);
	json_print(tree, out);
}

/* --- names --------------------------------------------------------------- */

/* One character of UTF-8 (RFC 3629): its length, or 0. */
static size_t next_character(const uint8_t *at, uint32_t *ret_code)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t count = at[0] < 0x80             ? 1
	               : (at[0] & 0xe0) == 0xc0 ? 2
	               : (at[0] & 0xf0) == 0xe0 ? 3
	               : (at[0] & 0xf8) == 0xf0 ? 4
	                                        : 0;
	uint32_t code = count == 1 ? at[0] : at[0] & (0x7fu >> count);

	for (size_t i = 1; i < count; i++) {
		if ((at[i] & 0xc0) != 0x80) {
			return 0; /* the zero byte at the end as well */
		}
		code = code << 6 | (at[i] & 0x3f);
	}
	if (count == 0 || code < least[count] || (code >= 0xd800 && code <= 0xdfff) ||
	        code > 0x10ffff) {
		return 0;
	}
	*ret_code = code;
	return count;
}

/* Control characters, what separates paths or means something to a shell or to Windows, and what
 * is not seen or turns the direction of what follows ("exe.txt" that reads "txt.exe"). */
static bool is_bad(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0xad ||
	       (code < 0x80 && strchr("/\\<>:\"|?*", (int)code)) || code == 0x061c ||
	       (code >= 0x200b && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
	       (code >= 0x2060 && code <= 0x206f) || code == 0xfeff ||
	       (code >= 0xfff0 && code <= 0xffff && code != 0xfffd) ||
	       (code >= 0xe0000 && code <= 0xe0fff);
}

/* Names that Windows takes for devices, whatever suffix they have. */
static bool is_device(const char *name)
{
	static const char *const devices[] = { "CON", "PRN", "AUX", "NUL", "COM", "LPT" };
	size_t count = strcspn(name, ".");

	for (size_t i = 0; i < ARRAY_COUNT(devices); i++) {
		if (strncasecmp(name, devices[i], 3) == 0 && (count == (i < 4 ? 3 : 4)) &&
		        (i < 4 || (name[3] >= '0' && name[3] <= '9'))) {
			return true;
		}
	}
	return false;
}

int file_name_check(const char *name, struct err *err)
{
	size_t count = strlen(name);
	uint32_t code = 0;

	if (count == 0 || count > FILE_NAME_BYTES_MAX) {
		return err_set(err, 1, "must have 1 to %d bytes", FILE_NAME_BYTES_MAX);
	}
	for (const uint8_t *at = (const uint8_t *)name; *at;) {
		size_t step = next_character(at, &code);

		if (step == 0) {
			return err_set(err, 1, "is not UTF-8");
		}
		if (is_bad(code)) {
			return err_set(err, 1, "has the character U+%04X, which no name may have",
			        (unsigned)code);
		}
		at += step;
	}
	if (name[0] == '.' || name[0] == '-' || name[0] == ' ' || name[count - 1] == '.' ||
	        name[count - 1] == ' ' || is_device(name)) {
		return err_set(err, 1,
		        "begins with a dot, a hyphen or a blank, ends with a dot or a blank, or is "
		        "the name of a device");
	}
	return 0;
}

void file_name_clean(const char *path, char out[FILE_NAME_BYTES_MAX + 1])
{
	const char *slash = strrchr(path, '/'), *backslash;
	const uint8_t *at;
	size_t count = 0;

	path = slash ? slash + 1 : path;
	backslash = strrchr(path, '\\');
	at = (const uint8_t *)(backslash ? backslash + 1 : path);
	while (*at) {
		uint32_t code = 0;
		size_t step = next_character(at, &code), bytes = step;

		if (step == 0 || is_bad(code) ||
		        (count == 0 && (code == '.' || code == '-' || code == ' '))) {
			bytes = 0;
		}
		if (count + (bytes ? bytes : 1) > FILE_NAME_BYTES_MAX) {
			break;
		}
		if (bytes) {
			memcpy(out + count, at, bytes);
			count += bytes;
		} else {
			out[count++] = '_';
		}
		at += step ? step : 1;
	}
	while (count > 0 && (out[count - 1] == '.' || out[count - 1] == ' ')) {
		count--;
	}
	out[count] = '\0';
	if (count == 0) {
		snprintf(out, FILE_NAME_BYTES_MAX + 1, "file");
	} else if (is_device(out)) {
		out[0] = '_';
	}
}
