/*
 * Results and error text.
 *
 * Every function that can fail returns an int:
 *   0    it did what it says;
 *   < 0  a fault (a negative errno): something below us broke. Never matched on, only handed up
 *        through FAULT(), which leaves a trace, until a process decides what to do;
 *   > 0  an outcome that the function's header lists and the caller must handle.
 *
 * Text for people is made where the reason is known and travels in one fixed struct err, always the
 * last parameter. A text says what was wrong, with which thing, and what to do about it.
 */
#pragma once

#include <errno.h>
#include <stdarg.h>

#define ERR_TEXT_BYTES_MAX 512

struct err {
	char text[ERR_TEXT_BYTES_MAX]; /* empty while nothing went wrong */
};

#define must_use __attribute__((warn_unused_result))
#define printf_like(format_arg, first_arg) __attribute__((format(printf, format_arg, first_arg)))

/* Hands a fault up and leaves a trace line (level debug) that names the place. Returns `fault`. */
#define FAULT(fault) err_trace((fault), __FILE__, __LINE__, __func__)

/* Sets the text, replacing what was there, and returns `result`, so that a function can end with
 * `return err_set(err, -EINVAL, "…", …)`. `err` may be NULL. */
#define err_set(err, result, ...) err_result((result), err_print((err), __VA_ARGS__))

/* Puts "context: " in front of the text that is there. Returns `result`. */
#define err_wrap(err, result, ...) err_result((result), err_print_before((err), __VA_ARGS__))

/* What is returned stands in this header, so that compiler and analyzer see in the caller that a
 * function which ends this way did not do what it says. */
int err_print(struct err *err, const char *format, ...) printf_like(2, 3);
int err_print_before(struct err *err, const char *format, ...) printf_like(2, 3);
void err_log(int fault, const char *file, int line, const char *function);

static inline int err_result(int result, int printed)
{
	return result;
}

static inline int err_trace(int fault, const char *file, int line, const char *function)
{
	err_log(fault, file, line, function);
	return fault != 0 ? fault : -EIO; /* errno was not set: still not a success */
}

/* An assertion that is always on. For our own mistakes only; input is never asserted. */
#define assert_always(condition)                                                                   \
	((condition) ? (void)0 : err_assert_failed(#condition, __FILE__, __LINE__, __func__))

_Noreturn void err_assert_failed(
        const char *condition, const char *file, int line, const char *function);
