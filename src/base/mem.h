/*
 * Ownership.
 *
 * AUTO(type) declares a local that frees itself through `type_free` when it goes out of scope;
 * TAKE(p) hands it on and leaves NULL behind. Destructors accept NULL and return NULL.
 *
 *     AUTO(grant) struct grant *grant = NULL;
 *     …
 *     *ret_grant = TAKE(grant);
 *
 * Out of memory is not an outcome we can serve: mem_new() and friends end the process, which is
 * restarted by its parent with the kernel still holding every lease (R9).
 */
#pragma once

#include <stddef.h>
#include <stdlib.h>

/* A cleanup is a use, which clang does not see: hence "unused". */
#define AUTO(type) __attribute__((cleanup(type##_cleanup), unused))

/* Makes the cleanup function for AUTO(name) out of `struct name *name_free(struct name *)`. */
#define AUTO_DEFINE(name)                                                                          \
	static inline void name##_cleanup(struct name **object)                                    \
	{                                                                                          \
		name##_free(*object);                                                              \
	}

#define TAKE(pointer)                                                                              \
	({                                                                                         \
		__typeof__(pointer) taken_ = (pointer);                                            \
		(pointer) = NULL;                                                                  \
		taken_;                                                                            \
	})

#define AUTO_STRING __attribute__((cleanup(mem_string_cleanup), unused))
#define AUTO_FD __attribute__((cleanup(mem_fd_cleanup), unused))

#define ARRAY_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* To be called once, at the start of a process that stays: what was freed goes back to the kernel,
 * also after something large was freed. */
void mem_give_back(void);

/* Zeroed memory for `count` objects; never returns NULL. Freed with free(). */
void *mem_new(size_t count, size_t object_bytes);

#define CACHE_LINE_BYTES 64

/* Zeroed memory that begins with a cache line, for tables that are read here and there; a large one
 * has huge pages where the kernel gives them on request. Freed with free(), never resized. */
void *mem_new_table(size_t count, size_t object_bytes);

/* Grows or shrinks; the new part is not zeroed. Never returns NULL. */
void *mem_resize(void *pointer, size_t count, size_t object_bytes);

/* A copy that the caller owns; NULL stays NULL. */
char *mem_string(const char *text);
void *mem_copy(const void *bytes, size_t count);
char *mem_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Overwrites a secret in a way the compiler may not leave out. */
void mem_wipe(void *bytes, size_t count);

void mem_string_cleanup(char **text);
void mem_fd_cleanup(int *fd);
