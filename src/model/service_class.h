/*
 * The service classes of 004 5.1 a to f (mission A6). Every connection has exactly one.
 *
 * The source speaks of eleven services and lists twelve; all twelve are here.
 */
#pragma once

#include <stddef.h>

#include "base/err.h"

enum service_class {
	SERVICE_CLASS_NONE = 0, /* the zero value: never valid in a request or grant */
	SERVICE_REGIONAL_SHARING,
	SERVICE_PATIENT_INFORMATION,
	SERVICE_PUBLIC_INFORMATION,
	SERVICE_INTERNET,
	SERVICE_MAIL,
	SERVICE_ONLINE_CLAIMS,
	SERVICE_RESULTS_DELIVERY,
	SERVICE_ASP,
	SERVICE_BACKUP,
	SERVICE_REMOTE_MAINTENANCE,
	SERVICE_TIMESTAMP,
	SERVICE_VALIDATION,
	SERVICE_CLASS_COUNT, /* one more than the last */
};

struct service_class_info {
	const char *name; /* as in policies and grants */
	char letter;      /* the group of 004 5.1: 'a' to 'f' */
	const char *english, *japanese;
};

/* Outcome 1: there is no such class. */
int service_class_parse(const char *text, enum service_class *ret_class) must_use;

/* "" for SERVICE_CLASS_NONE and values outside the list. */
const char *service_class_name(enum service_class class);

/* NULL for SERVICE_CLASS_NONE and values outside the list. */
const struct service_class_info *service_class_info(enum service_class class);

/* English and Japanese title of the group 'a' to 'f', or NULL. */
const char *service_group_english(char letter);
const char *service_group_japanese(char letter);
