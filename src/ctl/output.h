/*
 * Everything the program writes on a terminal goes through here: whatever a file, a certificate or
 * a peer put into a text, no control byte of it reaches the terminal, and no character that hides
 * or reorders what is seen (Z12).
 *
 * A result is one JSON value. For programs it is printed as it is, for people as lines or a table.
 */
#pragma once

#include <stdio.h>

#include "base/buf.h"
#include "wire/json.h"

enum escape {
	ESCAPE_LINE, /* control characters, line ends too, as \n, \x1b, \u202e; a backslash as it is
	              */
	ESCAPE_LINES, /* the same, but line feeds stay: for text that we laid out */
	ESCAPE_JSON,  /* within JSON text: what JSON lets through, as \u007f */
};

/* Adds `text` made safe. Bytes that are not UTF-8 are shown as \xNN (in JSON as U+FFFD). */
void output_escape(struct buf *out, const char *text, size_t count, enum escape how);

/* Columns that a text takes on a terminal. */
size_t output_width(const char *text);

/* As one line of canonical JSON. */
void output_json(struct buf *out, const json_t *value);
/* As lines "key  value"; a member "items" as a table. */
void output_text(struct buf *out, const json_t *value);

/* Writes text of our own making that may hold what others wrote. */
void output_write(FILE *file, const char *text, enum escape how);
