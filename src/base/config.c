#include "base/config.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/str.h"

struct reader {
	const char *path;
	const struct config_key *keys;
	void *target;
	bool *seen; /* one flag a row of keys */
	int line;
	struct err *err;
};

static int parse_value(
        const struct config_key *key, const char *text, void *target, struct err *err)
{
	void *field = (uint8_t *)target + key->offset;
	uint64_t count;
	int64_t sec;

	switch (key->type) {
	case CONFIG_TEXT:
	case CONFIG_NAME:
	case CONFIG_PATH:
		if (key->type == CONFIG_NAME && !name_valid(text)) {
			return err_set(err, 1,
			        "\"%s\" is not a name (lower-case letters, digits, hyphens; at "
			        "most %d)",
			        text, NAME_BYTES_MAX);
		}
		if (key->type == CONFIG_PATH && text[0] != '/') {
			return err_set(err, 1, "\"%s\" is not an absolute path", text);
		}
		free(*(char **)field);
		*(char **)field = mem_string(text);
		return 0;
	case CONFIG_BOOL:
		if (!text_equal(text, "yes") && !text_equal(text, "no")) {
			return err_set(err, 1, "must be yes or no, not \"%s\"", text);
		}
		*(bool *)field = text_equal(text, "yes");
		return 0;
	case CONFIG_COUNT:
		if (unsigned_parse(text, UINT64_MAX, &count) || count < key->min ||
		        (key->max && count > key->max)) {
			return err_set(err, 1,
			        "must be a whole number from %llu to %llu, not \"%s\"",
			        (unsigned long long)key->min, (unsigned long long)key->max, text);
		}
		*(uint64_t *)field = count;
		return 0;
	case CONFIG_DURATION:
		if (duration_parse(text, &sec) || (uint64_t)sec < key->min ||
		        (key->max && (uint64_t)sec > key->max)) {
			return err_set(err, 1,
			        "must be a duration such as 90s, 15m, 2h or 1d, from %llus to "
			        "%llus, not \"%s\"",
			        (unsigned long long)key->min, (unsigned long long)key->max, text);
		}
		*(int64_t *)field = sec;
		return 0;
	}
	return err_set(err, 1, "has no type");
}

static char *trim(char *text)
{
	char *end;

	while (isspace((unsigned char)*text)) {
		text++;
	}
	end = text + strlen(text);
	while (end > text && isspace((unsigned char)end[-1])) {
		*--end = '\0';
	}
	return text;
}

static int read_line(struct reader *reader, char *line, char *section, size_t section_bytes)
{
	char *text = trim(line), *value;

	if (*text == '\0' || *text == '#') {
		return 0;
	}
	if (*text == '[') {
		char *end = strchr(text, ']');

		if (!end || end[1] != '\0' || text_copy(section, section_bytes, "") != 0) {
			return err_set(reader->err, 1, "%s:%d: a section is written [name]",
			        reader->path, reader->line);
		}
		*end = '\0';
		for (const struct config_key *key = reader->keys; key->key; key++) {
			if (text_equal(key->section, text + 1)) {
				return text_copy(section, section_bytes, text + 1);
			}
		}
		return err_set(reader->err, 1, "%s:%d: there is no section [%s]", reader->path,
		        reader->line, text + 1);
	}
	value = strchr(text, '=');
	if (!value) {
		return err_set(reader->err, 1, "%s:%d: expected \"key = value\"", reader->path,
		        reader->line);
	}
	*value++ = '\0';
	text = trim(text);
	value = trim(value);
	for (size_t i = 0; reader->keys[i].key; i++) {
		const struct config_key *key = &reader->keys[i];

		if (!text_equal(key->section, section) || !text_equal(key->key, text)) {
			continue;
		}
		if (reader->seen[i]) {
			return err_set(reader->err, 1, "%s:%d: %s: is set a second time",
			        reader->path, reader->line, text);
		}
		reader->seen[i] = true;
		if (parse_value(key, value, reader->target, reader->err) != 0) {
			return err_wrap(
			        reader->err, 1, "%s:%d: %s", reader->path, reader->line, text);
		}
		return 0;
	}
	return err_set(reader->err, 1, "%s:%d: %s: there is no such key%s%s%s", reader->path,
	        reader->line, text, *section ? " in [" : "", section, *section ? "]" : "");
}

static int fill_initial(struct reader *reader)
{
	for (size_t i = 0; reader->keys[i].key; i++) {
		const struct config_key *key = &reader->keys[i];

		if (reader->seen[i]) {
			continue;
		}
		if (key->required) {
			return err_set(reader->err, 1, "%s: %s%s%s%s: is missing (%s)",
			        reader->path, *key->section ? "[" : "", key->section,
			        *key->section ? "] " : "", key->key, key->help);
		}
		if (key->initial &&
		        parse_value(key, key->initial, reader->target, reader->err) != 0) {
			return err_wrap(reader->err, 1, "default of %s", key->key);
		}
	}
	return 0;
}

int config_read(const char *path, const struct config_key *keys, void *target, struct err *err)
{
	struct reader reader = { .path = path, .keys = keys, .target = target, .err = err };
	AUTO_BUF struct buf text = BUF(CONFIG_BYTES_MAX);
	char section[NAME_BYTES_MAX + 1] = "";
	size_t rows = 0;
	char *line, *rest;
	int r;

	r = file_read(path, &text, err);
	if (r < 0) {
		return r;
	}
	if (strlen(buf_text(&text)) != text.count) {
		return err_set(err, 1, "%s: holds a zero byte", path);
	}
	while (keys[rows].key) {
		rows++;
	}
	reader.seen = mem_new(rows, sizeof(bool));
	rest = text.count > 0 ? (char *)text.bytes : NULL;
	while (r == 0 && rest && (line = strsep(&rest, "\n"))) {
		reader.line++;
		r = read_line(&reader, line, section, sizeof(section));
	}
	if (r == 0) {
		r = fill_initial(&reader);
	}
	free(reader.seen);
	return r;
}

void config_clear(const struct config_key *keys, void *target)
{
	for (; keys->key; keys++) {
		void *field = (uint8_t *)target + keys->offset;

		switch (keys->type) {
		case CONFIG_TEXT:
		case CONFIG_NAME:
		case CONFIG_PATH:
			free(*(char **)field);
			*(char **)field = NULL;
			break;
		case CONFIG_BOOL:
			*(bool *)field = false;
			break;
		case CONFIG_COUNT:
		case CONFIG_DURATION:
			*(uint64_t *)field = 0;
			break;
		}
	}
}

void config_print_sample(const struct config_key *keys)
{
	const char *section = "";

	for (; keys->key; keys++) {
		if (!text_equal(section, keys->section)) {
			section = keys->section;
			printf("\n[%s]\n", section);
		}
		printf("\n# %s%s\n%s%s = %s\n", keys->help, keys->required ? " Required." : "",
		        keys->required ? "" : "# ", keys->key, keys->initial ? keys->initial : "");
	}
}
