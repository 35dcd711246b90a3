/* A hash table from a text to something that is the caller's. Look-ups are by pair all over the
 * core (DESIGN 10), and all of them are in memory. */
#pragma once

#include <stddef.h>

#include "base/mem.h"

struct names;

struct names *names_new(void);
struct names *names_free(struct names *names); /* the values stay the caller's */
AUTO_DEFINE(names)

/* NULL when the name is not there. */
void *names_get(const struct names *names, const char *name);
/* Two at once, side by side: the memory of one is fetched while the other one's is waited for. Who
 * knows the names before the values are needed asks for the first memory then: names_want(). */
void names_get_both(const struct names *names, const char *const wanted[2], void *ret_values[2]);
void names_want(const struct names *names, const char *name);
/* The name is copied. Returns the value that was there before, or NULL. `value` is not NULL. */
void *names_put(struct names *names, const char *name, void *value);
/* Returns what was there, or NULL. */
void *names_remove(struct names *names, const char *name);
size_t names_count(const struct names *names);

/* Calls `each` for every value in no order. The table must not be changed meanwhile. */
typedef void names_each_call(void *context, const char *name, void *value);
void names_each(const struct names *names, names_each_call *each, void *context);
