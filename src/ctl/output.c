#include "ctl/output.h"

#include <string.h>

#include "base/str.h"

#define OUTPUT_BYTES_MAX (64 << 20)

/* The length of one UTF-8 character in its shortest form, and the character; 0: it is none. */
static size_t decode(const uint8_t *at, size_t left, uint32_t *ret_character)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t count = at[0] < 0x80                    ? 1
	               : at[0] >= 0xf0 && at[0] < 0xf5 ? 4
	               : at[0] >= 0xe0 && at[0] < 0xf0 ? 3
	               : at[0] >= 0xc2 && at[0] < 0xe0 ? 2
	                                               : 0;
	uint32_t character = count == 1 ? at[0] : count ? at[0] & (0xffU >> (count + 1)) : 0;

	if (count == 0 || count > left) {
		return 0;
	}
	for (size_t i = 1; i < count; i++) {
		if ((at[i] & 0xc0) != 0x80) {
			return 0;
		}
		character = character << 6 | (at[i] & 0x3f);
	}
	if (character < least[count] || character > 0x10ffff ||
	        (character >= 0xd800 && character <= 0xdfff)) {
		return 0;
	}
	*ret_character = character;
	return count;
}

/* Controls of C0 and C1, line and paragraph separators, and the marks that turn the direction of
 * writing or take no room: with them a text can look like another. */
static bool is_hidden(uint32_t character)
{
	return character < 0x20 || (character >= 0x7f && character <= 0x9f) || character == 0xad ||
	       character == 0x61c || (character >= 0x200b && character <= 0x200f) ||
	       (character >= 0x2028 && character <= 0x202e) ||
	       (character >= 0x2060 && character <= 0x206f) || character == 0xfeff ||
	       (character >= 0xfff9 && character <= 0xfffb) || character >= 0xe0000;
}

static void add_hidden(struct buf *out, uint32_t character, enum escape how)
{
	if (how == ESCAPE_JSON && character > 0xffff) {
		character -= 0x10000;
		buf_add_format(out, "\\u%04x\\u%04x", (unsigned)(0xd800 + (character >> 10)),
		        (unsigned)(0xdc00 + (character & 0x3ff)));
	} else if (how == ESCAPE_JSON || character > 0xff) {
		buf_add_format(out, "\\u%04x", (unsigned)character);
	} else if (character == '\n' || character == '\t' || character == '\r') {
		buf_add_format(out, "\\%c",
		        character == '\n'   ? 'n'
		        : character == '\t' ? 't'
		                            : 'r');
	} else {
		buf_add_format(out, "\\x%02x", (unsigned)character);
	}
}

void output_escape(struct buf *out, const char *text, size_t count, enum escape how)
{
	const uint8_t *bytes = (const uint8_t *)text;
	size_t used;

	for (size_t at = 0; at < count; at += used) {
		uint32_t character = 0;

		used = decode(bytes + at, count - at, &character);
		if (used == 0) {
			buf_add_format(out, how == ESCAPE_JSON ? "\\ufffd" : "\\x%02x", bytes[at]);
			used = 1;
		} else if (is_hidden(character) && !(how == ESCAPE_LINES && character == '\n')) {
			add_hidden(out, character, how);
		} else {
			buf_add(out, bytes + at, used);
		}
	}
}

size_t output_width(const char *text)
{
	size_t width = 0, left = strlen(text), used;

	for (; left > 0; text += used, left -= used) {
		uint32_t character = 0;

		used = decode((const uint8_t *)text, left, &character);
		used = used ? used : 1;
		/* East Asian wide: from the CJK radicals on, but for the forms of half width. */
		width += character >= 0x2e80 && !(character >= 0xff61 && character <= 0xffdc) ? 2
		                                                                              : 1;
	}
	return width;
}

void output_json(struct buf *out, const json_t *value)
{
	AUTO_BUF struct buf raw = BUF(OUTPUT_BYTES_MAX);

	json_print(value, &raw);
	output_escape(out, buf_text(&raw), raw.count, ESCAPE_JSON);
	buf_add_u8(out, '\n');
}

static void add_scalar(struct buf *out, const json_t *value)
{
	AUTO_BUF struct buf raw = BUF(OUTPUT_BYTES_MAX);

	switch (json_typeof(value)) {
	case JSON_STRING:
		output_escape(
		        out, json_string_value(value), json_string_length(value), ESCAPE_LINE);
		break;
	case JSON_INTEGER:
		buf_add_format(out, "%lld", (long long)json_integer_value(value));
		break;
	case JSON_TRUE:
		buf_add_text(out, "yes");
		break;
	case JSON_FALSE:
		buf_add_text(out, "no");
		break;
	case JSON_NULL:
		buf_add_text(out, "-");
		break;
	default:
		json_print(value, &raw);
		output_escape(out, buf_text(&raw), raw.count, ESCAPE_JSON);
	}
}

static bool is_plain(const json_t *value)
{
	return !json_is_object(value) && !json_is_array(value);
}

/* A value in one line: a list with commas, an object as "key=value". */
static void add_inline(struct buf *out, const json_t *value)
{
	const char *key;
	json_t *item;
	size_t index;
	bool first = true;

	if (json_is_array(value)) {
		json_array_foreach(value, index, item)
		{
			buf_add_text(out, index == 0 ? "" : json_is_object(item) ? "; " : ", ");
			add_inline(out, item);
		}
	} else if (json_is_object(value)) {
		json_object_foreach((json_t *)value, key, item)
		{
			buf_add_text(out, first ? "" : " ");
			output_escape(out, key, strlen(key), ESCAPE_LINE);
			buf_add_text(out, "=");
			add_inline(out, item);
			first = false;
		}
	} else {
		add_scalar(out, value);
	}
}

static void add_padding(struct buf *out, size_t count)
{
	buf_add_format(out, "%*s", (int)count, "");
}

#define TABLE_COLUMNS_MAX 24

/* The columns are the keys of all rows in the order in which they first appear. */
static size_t find_columns(const json_t *rows, const char *columns[TABLE_COLUMNS_MAX])
{
	size_t count = 0, index;
	const char *key;
	json_t *row, *item;

	json_array_foreach(rows, index, row)
	{
		json_object_foreach(row, key, item)
		{
			bool seen = false;

			for (size_t i = 0; i < count; i++) {
				seen |= text_equal(columns[i], key);
			}
			if (!seen && count < TABLE_COLUMNS_MAX) {
				columns[count++] = key;
			}
		}
	}
	return count;
}

static void add_row(struct buf *out, const json_t *row, const char *const *columns, size_t count,
        size_t *widths, size_t indent)
{
	AUTO_BUF struct buf cell = BUF(OUTPUT_BYTES_MAX);

	add_padding(out, indent);
	for (size_t i = 0; i < count; i++) {
		const json_t *value = row ? json_object_get(row, columns[i]) : NULL;
		size_t width;

		buf_reset(&cell);
		if (!row) {
			output_escape(&cell, columns[i], strlen(columns[i]), ESCAPE_LINE);
		} else if (value) {
			add_inline(&cell, value);
		}
		width = output_width(buf_text(&cell));
		buf_add(out, buf_text(&cell), cell.count);
		if (i + 1 < count) {
			add_padding(out, width < widths[i] ? widths[i] - width + 2 : 2);
		}
		widths[i] = width > widths[i] ? width : widths[i];
	}
	buf_add_u8(out, '\n');
}

static void add_table(struct buf *out, const json_t *rows, size_t indent)
{
	AUTO_BUF struct buf unused = BUF(OUTPUT_BYTES_MAX);
	const char *columns[TABLE_COLUMNS_MAX];
	size_t count = find_columns(rows, columns), widths[TABLE_COLUMNS_MAX] = { 0 }, index;
	json_t *row;

	/* Once to measure, once to write. */
	for (int turn = 0; turn < 2; turn++) {
		struct buf *to = turn == 0 ? &unused : out;

		add_row(to, NULL, columns, count, widths, indent);
		json_array_foreach(rows, index, row)
		{
			add_row(to, row, columns, count, widths, indent);
		}
	}
}

static bool is_table(const json_t *value)
{
	return json_is_array(value) && json_array_size(value) > 0 &&
	       json_is_object(json_array_get(value, 0));
}

static bool is_short(const json_t *value)
{
	json_t *item;
	size_t index;

	if (is_plain(value)) {
		return true;
	}
	if (!json_is_array(value) || is_table(value)) {
		return false;
	}
	json_array_foreach(value, index, item)
	{
		if (!is_plain(item)) {
			return false;
		}
	}
	return true;
}

static void add_object(struct buf *out, const json_t *object, size_t indent)
{
	AUTO_BUF struct buf name = BUF(OUTPUT_BYTES_MAX);
	size_t widest = 0;
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)object, key, value)
	{
		size_t width = is_short(value) ? output_width(key) : 0;

		widest = width > widest ? width : widest;
	}
	json_object_foreach((json_t *)object, key, value)
	{
		size_t width;

		buf_reset(&name);
		output_escape(&name, key, strlen(key), ESCAPE_LINE);
		width = output_width(buf_text(&name));
		add_padding(out, indent);
		buf_add(out, buf_text(&name), name.count);
		if (is_short(value)) {
			add_padding(out, (width < widest ? widest - width : 0) + 2);
			add_inline(out, value);
			buf_add_u8(out, '\n');
		} else if (is_table(value)) {
			buf_add_u8(out, '\n');
			add_table(out, value, indent + 2);
		} else if (json_is_object(value)) {
			buf_add_u8(out, '\n');
			add_object(out, value, indent + 2);
		} else {
			buf_add_text(out, "  ");
			add_inline(out, value);
			buf_add_u8(out, '\n');
		}
	}
}

void output_text(struct buf *out, const json_t *value)
{
	const json_t *items = json_object_get(value, "items");
	const json_t *next = json_object_get(value, "next");

	if (json_is_array(items)) {
		if (is_table(items)) {
			add_table(out, items, 0);
		} else if (json_array_size(items) == 0) {
			buf_add_text(out, "none\n");
		} else {
			add_inline(out, items);
			buf_add_u8(out, '\n');
		}
		if (json_is_string(next) || json_is_integer(next)) {
			buf_add_text(out, "there is more: --after ");
			add_scalar(out, next);
			buf_add_u8(out, '\n');
		}
	} else if (json_is_object(value)) {
		add_object(out, value, 0);
	} else {
		add_inline(out, value);
		buf_add_u8(out, '\n');
	}
}

void output_write(FILE *file, const char *text, enum escape how)
{
	AUTO_BUF struct buf out = BUF(OUTPUT_BYTES_MAX);

	output_escape(&out, text, strlen(text), how);
	fwrite(buf_text(&out), 1, out.count, file);
}
