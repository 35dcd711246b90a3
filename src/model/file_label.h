/*
 * The label of a sealed file (protocol.md 1.7, mission J2 to J4, SDS 49): what it is, who sends it
 * to whom and why, and that it was looked at before it left. It travels as a signed attribute;
 * canonical JSON, so that nothing hides in what is signed. And names of files, which come from
 * others and are never trusted. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/str.h"

#define FILE_KEY_TEXT_BYTES 43 /* base64url of a SHA-256 */
#define FILE_SCANNER_BYTES_MAX 63

struct file_recipient {
	char person[NAME_BYTES_MAX + 1];
	char key[FILE_KEY_TEXT_BYTES + 1]; /* the id of the key it is sealed for */
};

struct file_label {
	struct id id;
	char name[FILE_NAME_BYTES_MAX + 1];
	uint64_t bytes;
	char sha256[65];
	char sender[NAME_BYTES_MAX + 1]; /* the account, as in the sender's certificate */
	char from[NAME_BYTES_MAX + 1];   /* sites */
	char to[NAME_BYTES_MAX + 1];
	struct file_recipient recipients[FILE_RECIPIENTS_MAX];
	size_t recipient_count;
	char purpose[FILE_PURPOSE_BYTES_MAX + 1];
	char work_order[ID_BYTES_MAX + 1]; /* or "" */
	bool recorded;                     /* the center has permitted and recorded it */
	int64_t sealed_at;
	char scanner[FILE_SCANNER_BYTES_MAX + 1];
	int64_t scanner_database; /* when its data base was made */
};

/* Outcome 1: refused, err names the field. */
int file_label_parse(
        const void *payload, size_t count, struct file_label *ret_label, struct err *err) must_use;
void file_label_print(const struct file_label *label, struct buf *out);

/* Whether a file may be made with this name: UTF-8, 1 to FILE_NAME_BYTES_MAX bytes, one name and no
 * path, nothing that a terminal, a shell's user or another system would read as something else.
 * Outcome 1: err says what is wrong. */
int file_name_check(const char *name, struct err *err) must_use;

/* The last part of a path as such a name: what may not be in it becomes "_". Never fails. */
void file_name_clean(const char *path, char out[FILE_NAME_BYTES_MAX + 1]);
