#include "base/log.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define LOG_LINE_BYTES_MAX 4096

static const char *log_process = "sekisho";
static enum log_level log_level_max = LOG_INFO;
static char log_last[LOG_LAST_BYTES_MAX];
static int64_t log_last_usec;
static const char *const level_names[] = { "error", "warning", "info", "debug" };

void log_open(const char *process, enum log_level level)
{
	log_process = process;
	log_level_max = level;
}

/* Appends `text` to `line` as the inside of a JSON string; what does not fit is cut off. */
static size_t append_escaped(char *line, size_t used, size_t line_bytes_max, const char *text)
{
	for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
		char piece[8];
		int bytes;

		if (*c == '"' || *c == '\\') {
			bytes = snprintf(piece, sizeof(piece), "\\%c", *c);
		} else if (*c < 0x20 || *c == 0x7f) {
			bytes = snprintf(piece, sizeof(piece), "\\u%04x", *c);
		} else {
			bytes = snprintf(piece, sizeof(piece), "%c", *c);
		}
		if (used + (size_t)bytes >= line_bytes_max) {
			break;
		}
		memcpy(line + used, piece, (size_t)bytes);
		used += (size_t)bytes;
	}
	return used;
}

static void write_line(enum log_level level, const char *text)
{
	char line[LOG_LINE_BYTES_MAX];
	struct timespec now;
	struct tm utc;
	size_t used;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	used = strftime(line, sizeof(line), "{\"time\":\"%Y-%m-%dT%H:%M:%S", &utc);
	used += (size_t)snprintf(line + used, sizeof(line) - used,
	        ".%03ldZ\",\"level\":\"%s\",\"process\":\"%s\",\"pid\":%d,\"message\":\"",
	        now.tv_nsec / 1000000, level_names[level], log_process, (int)getpid());
	used = append_escaped(line, used, sizeof(line) - 4, text);
	memcpy(line + used, "\"}\n", 3);
	if (write(STDERR_FILENO, line, used + 3) < 0) {
		return; /* There is nobody left to tell. */
	}
}

static void keep_last(const char *text)
{
	size_t count = strnlen(text, sizeof(log_last));

	if (count == sizeof(log_last)) {
		/* Not in the middle of a character (UTF-8). */
		for (count--; count > 0 && ((unsigned char)text[count] & 0xc0) == 0x80; count--) {
		}
	}
	memcpy(log_last, text, count);
	log_last[count] = '\0';
	log_last_usec = clock_wall_usec();
}

const char *log_last_error(int64_t *ret_wall_usec)
{
	*ret_wall_usec = log_last_usec;
	return log_last;
}

void log_write(enum log_level level, const char *format, ...)
{
	char text[LOG_LINE_BYTES_MAX];
	va_list args;

	if (level > log_level_max) {
		return;
	}
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (level == LOG_ERROR) {
		keep_last(text);
	}
	write_line(level, text);
}

void log_trace(const char *file, int line, const char *function, int fault)
{
	log_write(LOG_DEBUG, "fault %d (%s) at %s:%d %s", fault, strerror(-fault), file, line,
	        function);
}
