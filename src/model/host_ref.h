/* "site/host": a host behind the gateway of a site. */
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "base/limits.h"

struct host_ref {
	char site[NAME_BYTES_MAX + 1];
	char host[NAME_BYTES_MAX + 1];
};

struct host_ref_text {
	char text[HOST_REF_BYTES_MAX + 1];
};

/* Outcome 1: not two names with one slash between them. */
int host_ref_parse(const char *text, struct host_ref *ret_ref) must_use;

/* The same, but a text without a slash is a host of `own_site` (protocol.md 2.2). */
int host_ref_parse_at(const char *text, const char *own_site, struct host_ref *ret_ref) must_use;

struct host_ref_text host_ref_print(const struct host_ref *ref);
bool host_ref_equal(const struct host_ref *left, const struct host_ref *right);
