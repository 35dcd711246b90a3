/*
 * `sekisho`: the command line. Reads its arguments by the table, runs one command, prints its
 * result (standard output) or why there is none (standard error), and ends with a documented
 * status.
 *
 * May touch: the files and tokens it is told of, the center, a gateway's local socket. It keeps no
 * state but what a command is told to write.
 */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "ctl/ctl.h"
#include "ctl/help.h"
#include "ctl/output.h"

#define OUTPUT_BYTES_MAX (64 << 20)

static const char *const exit_names[CTL_EXIT_COUNT] = {
	[CTL_OK] = "ok",
	[CTL_REFUSED] = "refused",
	[CTL_USAGE] = "usage",
	[CTL_UNREACHABLE] = "unreachable",
	[CTL_NOT_FOUND] = "not-found",
	[CTL_TOKEN] = "token",
	[CTL_FAILED] = "failed",
};

static void print_layers(const json_t *layers, struct buf *out)
{
	const json_t *layer;
	size_t index;

	json_array_foreach(layers, index, layer)
	{
		const char *name = json_string_value(json_object_get(layer, "layer"));
		const char *verdict = json_string_value(json_object_get(layer, "verdict"));
		const char *reason = json_string_value(json_object_get(layer, "reason"));
		const char *detail = json_string_value(json_object_get(layer, "detail"));

		buf_add_format(out, "  %-16s %-8s %s%s%s\n", name ? name : "",
		        verdict ? verdict : "", reason ? reason : "", detail && *detail ? ": " : "",
		        detail ? detail : "");
	}
}

static void print_error(const struct ctl *ctl, int status, bool json)
{
	AUTO_BUF struct buf out = BUF(OUTPUT_BYTES_MAX);
	AUTO_BUF struct buf safe = BUF(OUTPUT_BYTES_MAX);
	const json_t *layers = json_object_get(ctl->reason, "layers");

	if (json) {
		AUTO_JSON json_t *object = NULL;

		output_escape(&safe, ctl->err.text, strlen(ctl->err.text), ESCAPE_LINE);
		object = json_pack("{s:s, s:s, s:i}", "error", buf_text(&safe), "kind",
		        exit_names[status], "exit", status);
		if (ctl->reason) {
			json_object_set(object, "reason", ctl->reason);
		}
		output_json(&out, object);
		fputs(buf_text(&out), stderr);
		return;
	}
	fputs("sekisho: ", stderr);
	output_write(stderr, ctl->err.text, ESCAPE_LINE);
	fputc('\n', stderr);
	if (json_is_array(layers)) {
		print_layers(layers, &out);
		output_write(stderr, buf_text(&out), ESCAPE_LINES);
	}
}

static int print_result(const struct ctl *ctl, bool json)
{
	AUTO_BUF struct buf out = BUF(OUTPUT_BYTES_MAX);

	if (ctl->report.count > 0 && !json) {
		output_escape(&out, buf_text(&ctl->report), ctl->report.count, ESCAPE_LINES);
	} else if (ctl->result && json) {
		output_json(&out, ctl->result);
	} else if (ctl->result) {
		output_text(&out, ctl->result);
	}
	fwrite(buf_text(&out), 1, out.count, stdout);
	return fflush(stdout) == 0 ? CTL_OK : CTL_FAILED;
}

static int run(struct ctl *ctl)
{
	int r = settings_read(ctl);

	return r == CTL_OK ? ctl->arguments.command->run(ctl) : r;
}

int main(int argc, char **argv)
{
	struct ctl ctl = { .report = BUF(REPORT_BYTES_MAX) };
	bool json = false;
	int status = CTL_USAGE, r = arguments_parse(argc, argv, &ctl.arguments, &ctl.err);

	log_open("sekisho", LOG_ERROR);
	if (ctl.arguments.count > 0) {
		json = text_equal(ctl_text(&ctl, "output"), "json");
	}
	if (r == 0 && ctl.arguments.version) {
		printf("sekisho %s\n", SEKISHO_VERSION);
		return CTL_OK;
	}
	if (r == 0 && ctl.arguments.help) {
		help_print(stdout, ctl.arguments.noun, ctl.arguments.command);
		return CTL_OK;
	}
	if (r == 0) {
		status = run(&ctl);
		/* A check that failed still shows what it found. */
		if ((status == CTL_OK || status == CTL_REFUSED) &&
		        print_result(&ctl, json) != CTL_OK) {
			status = CTL_FAILED;
			err_set(&ctl.err, 0, "the result could not be written");
		}
	}
	if (status != CTL_OK) {
		print_error(&ctl, status, json);
	}
	json_decref(ctl.result);
	json_decref(ctl.reason);
	buf_clear(&ctl.report);
	settings_clear(&ctl.settings);
	return status;
}
