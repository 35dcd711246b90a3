#include "base/mem.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"

/* What is this large has a mapping of its own: it begins as zeroes at no cost, and is gone when it
 * is freed. */
#define LARGE_BYTES (128 << 10)
/* Free memory at the end of the heap: more than the first is cut down to the second. The distance
 * keeps a buffer of 64 KiB that comes and goes from moving the end each time. */
#define SPARE_BYTES_MAX (128 << 10)
#define SPARE_BYTES (64 << 10)

/* A huge page of x86-64 and arm64, and the smallest table that is given some. */
#define HUGE_PAGE_BYTES ((size_t)2 << 20)
#define TABLE_BYTES_LARGE (2 * HUGE_PAGE_BYTES)

void mem_give_back(void)
{
	/* Left alone, glibc raises both limits to the largest that was ever freed. */
	mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
	mallopt(M_TRIM_THRESHOLD, SPARE_BYTES_MAX);
	mallopt(M_TOP_PAD, SPARE_BYTES);
}

void *mem_new(size_t count, size_t object_bytes)
{
	void *pointer = calloc(count ? count : 1, object_bytes ? object_bytes : 1);

	assert_always(pointer != NULL);
	return pointer;
}

void *mem_new_table(size_t count, size_t object_bytes)
{
	size_t unit, bytes;
	void *table;

	assert_always(!__builtin_mul_overflow(count, object_bytes, &bytes));
	unit = bytes >= TABLE_BYTES_LARGE ? HUGE_PAGE_BYTES : CACHE_LINE_BYTES;
	assert_always(bytes <= SIZE_MAX - unit);
	bytes = bytes > 0 ? (bytes + unit - 1) / unit * unit : unit;
	table = aligned_alloc(unit, bytes);
	assert_always(table != NULL);
	if (unit == HUGE_PAGE_BYTES) {
		/* Only faster: a kernel without them says no, and that is all. */
		(void)madvise(table, bytes, MADV_HUGEPAGE);
	}
	memset(table, 0, bytes);
	return table;
}

void *mem_resize(void *pointer, size_t count, size_t object_bytes)
{
	void *moved = reallocarray(pointer, count ? count : 1, object_bytes ? object_bytes : 1);

	assert_always(moved != NULL);
	return moved;
}

char *mem_string(const char *text)
{
	return text ? mem_copy(text, strlen(text) + 1) : NULL;
}

void *mem_copy(const void *bytes, size_t count)
{
	void *copy = mem_new(count, 1);

	if (count > 0) {
		memcpy(copy, bytes, count);
	}
	return copy;
}

char *mem_format(const char *format, ...)
{
	char *text = NULL;
	va_list args;
	int bytes;

	va_start(args, format);
	bytes = vasprintf(&text, format, args);
	va_end(args);
	assert_always(bytes >= 0);
	return text;
}

void mem_wipe(void *bytes, size_t count)
{
	explicit_bzero(bytes, count);
}

void mem_string_cleanup(char **text)
{
	free(*text);
}

void mem_fd_cleanup(int *fd)
{
	if (*fd >= 0) {
		close(*fd);
	}
}
