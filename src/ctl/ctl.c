#include "ctl/ctl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "ctl/output.h"
#include "pki/ca.h"
#include "pki/token.h"

static void explain(struct ctl *ctl, int r)
{
	if (*ctl->err.text == '\0') {
		err_set(&ctl->err, r, "%s", r < 0 ? strerror(-r) : "refused");
	}
}

int ctl_result(struct ctl *ctl, int r)
{
	if (r == 0) {
		return CTL_OK;
	}
	explain(ctl, r);
	return r > 0 ? CTL_REFUSED : r == -ENOENT ? CTL_NOT_FOUND : CTL_FAILED;
}

int ctl_token_result(struct ctl *ctl, int r)
{
	if (r == 0) {
		return CTL_OK;
	}
	explain(ctl, r);
	return r == TOKEN_NOT_FOUND ? CTL_NOT_FOUND : r == TOKEN_EXISTS ? CTL_REFUSED : CTL_TOKEN;
}

int ctl_ca_result(struct ctl *ctl, int r)
{
	return r >= CA_TOKEN ? ctl_token_result(ctl, r - CA_TOKEN) : ctl_result(ctl, r);
}

int ctl_explain(struct ctl *ctl, const char *format, ...)
{
	char text[ERR_TEXT_BYTES_MAX];
	va_list list;

	va_start(list, format);
	vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	return err_print(&ctl->err, "%s", text);
}

void ctl_put_json(struct ctl *ctl, const char *key, json_t *value)
{
	if (!ctl->result) {
		ctl->result = json_object();
	}
	assert_always(value && json_object_set_new(ctl->result, key, value) == 0);
}

void ctl_put(struct ctl *ctl, const char *key, const char *text)
{
	json_t *value = text ? json_string(text) : NULL;

	if (text && !value) { /* not UTF-8: shown, but as what it is */
		AUTO_BUF struct buf safe = BUF(REPORT_BYTES_MAX);

		output_escape(&safe, text, strlen(text), ESCAPE_LINE);
		value = json_string(buf_text(&safe));
	}
	if (value) {
		ctl_put_json(ctl, key, value);
	}
}

void ctl_put_count(struct ctl *ctl, const char *key, uint64_t count)
{
	ctl_put_json(ctl, key, json_integer((json_int_t)count));
}

void ctl_put_bool(struct ctl *ctl, const char *key, bool value)
{
	ctl_put_json(ctl, key, json_boolean(value));
}

void ctl_put_time(struct ctl *ctl, const char *key, int64_t wall_usec)
{
	ctl_put(ctl, key, time_print(wall_usec).text);
}

const char *ctl_text(const struct ctl *ctl, const char *name)
{
	return arguments_text(&ctl->arguments, name);
}

bool ctl_flag(const struct ctl *ctl, const char *name)
{
	return arguments_flag(&ctl->arguments, name);
}

uint64_t ctl_count(const struct ctl *ctl, const char *name)
{
	return arguments_count(&ctl->arguments, name);
}

int64_t ctl_seconds(const struct ctl *ctl, const char *name)
{
	return arguments_seconds(&ctl->arguments, name);
}

void ctl_progress(const char *format, ...)
{
	char text[ERR_TEXT_BYTES_MAX];
	va_list list;

	if (!isatty(STDERR_FILENO)) {
		return;
	}
	va_start(list, format);
	vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	output_write(stderr, text, ESCAPE_LINE);
	fputc('\n', stderr);
}
