/*
 * The command line (Z12): arguments are read without harm whatever they hold, a usage error has a
 * text, and nothing that is written holds a control byte. JSON stays the same value.
 *
 * The input is arguments separated by zero bytes; all of it is also taken as a text to be shown.
 */
#include <string.h>

#include "base/mem.h"
#include "ctl/command.h"
#include "ctl/output.h"

#define WORDS_MAX 64
#define INPUT_BYTES_MAX 4096

static void check_plain(const struct buf *out, bool lines)
{
	for (size_t i = 0; i < out->count; i++) {
		uint8_t byte = out->bytes[i];

		assert_always(byte >= 0x20 || (lines && byte == '\n'));
		assert_always(byte != 0x7f);
		/* C1 controls in UTF-8 */
		assert_always(byte != 0xc2 || i + 1 == out->count || out->bytes[i + 1] >= 0xa0);
	}
}

static void show(const char *text, size_t count)
{
	AUTO_BUF struct buf line = BUF(8 * INPUT_BYTES_MAX), lines = BUF(8 * INPUT_BYTES_MAX);
	AUTO_BUF struct buf json = BUF(16 * INPUT_BYTES_MAX), again = BUF(16 * INPUT_BYTES_MAX);
	AUTO_JSON json_t *value = NULL, *back = NULL;

	output_escape(&line, text, count, ESCAPE_LINE);
	output_escape(&lines, text, count, ESCAPE_LINES);
	check_plain(&line, false);
	check_plain(&lines, true);
	/* What is safe stays as it is. */
	output_escape(&again, buf_text(&line), line.count, ESCAPE_LINE);
	assert_always(again.count == line.count &&
	              memcmp(buf_text(&again), buf_text(&line), line.count) == 0);
	if (memchr(text, 0, count)) {
		return;
	}
	value = json_pack("{s:[s%]}", "items", text, count);
	if (value) {
		output_json(&json, value);
		json.count--;
		check_plain(&json, false);
		assert_always(json_parse(json.bytes, json.count, &back, NULL) == 0);
		assert_always(json_equal(value, back));
		buf_reset(&json);
		output_text(&json, value);
		check_plain(&json, true);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
	char text[INPUT_BYTES_MAX + 1], program[] = "sekisho", *argv[WORDS_MAX] = { program };
	struct arguments arguments;
	struct err err = { 0 };
	int argc = 1, r;

	if (count > INPUT_BYTES_MAX) {
		return 0;
	}
	memcpy(text, data, count);
	text[count] = '\0';
	show(text, count);
	for (size_t at = 0; at < count && argc < WORDS_MAX; at += strlen(text + at) + 1) {
		argv[argc++] = text + at;
	}
	r = arguments_parse(argc, argv, &arguments, &err);
	assert_always(r == 0 || (r == 1 && *err.text));
	if (r == 0 && !arguments.help && !arguments.version) {
		assert_always(arguments.noun && arguments.command);
		for (size_t i = 0; i < arguments.count; i++) {
			const struct option *option = arguments.items[i].option;

			assert_always(!option->required || arguments.items[i].count > 0);
			assert_always(option->repeated || arguments.items[i].count <= 1);
			if (option->type == OPTION_COUNT) {
				(void)arguments_count(&arguments, option->name);
			} else if (option->type == OPTION_DURATION) {
				(void)arguments_seconds(&arguments, option->name);
			}
		}
	}
	return 0;
}
