/*
 * The operational log: one JSON object a line on standard error, for systemd or a file to take.
 *
 * Only processes log, at the point where something is decided; libraries return results. Values are
 * escaped, so a peer's text can never start a new record (attack A36). Nothing here is evidence:
 * evidence goes to the ledger and the journal.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define LOG_LAST_BYTES_MAX 256 /* enough for the thing and the reason, little in a status */

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

/* Names the process in every line and sets the least important level that is written.
 * `process` is borrowed and must live as long as the process. */
void log_open(const char *process, enum log_level level);

/* Writes `text` as message. Never blocks for longer than the pipe does, never fails. */
void log_write(enum log_level level, const char *format, ...) printf_like(2, 3);

#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_WARNING, __VA_ARGS__)
#define log_info(...) log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)

/* The newest error of this process, whole characters of its beginning, at most LOG_LAST_BYTES_MAX
 * with the end; "" when there was none. `ret_wall_usec` is when. Borrowed until the next error. */
const char *log_last_error(int64_t *ret_wall_usec);

/* One step of a fault's way up; only FAULT() calls this. */
void log_trace(const char *file, int line, const char *function, int fault);
