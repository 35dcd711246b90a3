#include "base/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

void err_log(int fault, const char *file, int line, const char *function)
{
	log_trace(file, line, function, fault);
}

int err_print(struct err *err, const char *format, ...)
{
	va_list args;

	if (err) {
		va_start(args, format);
		vsnprintf(err->text, sizeof(err->text), format, args);
		va_end(args);
	}
	return 0;
}

int err_print_before(struct err *err, const char *format, ...)
{
	char context[ERR_TEXT_BYTES_MAX], whole[2 * ERR_TEXT_BYTES_MAX + 2];
	va_list args;

	if (!err) {
		return 0;
	}
	va_start(args, format);
	vsnprintf(context, sizeof(context), format, args);
	va_end(args);
	snprintf(whole, sizeof(whole), "%s: %s", context, err->text);
	memcpy(err->text, whole, sizeof(err->text) - 1);
	err->text[sizeof(err->text) - 1] = '\0';
	return 0;
}

void err_assert_failed(const char *condition, const char *file, int line, const char *function)
{
	fprintf(stderr, "%s:%d: %s: assertion failed: %s\n", file, line, function, condition);
	abort();
}
