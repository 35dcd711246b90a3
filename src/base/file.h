/* Whole files. */
#pragma once

#include "base/buf.h"

/* Reads a file into `out` (whose maximum is the limit). Faults carry text that names the file. */
int file_read(const char *path, struct buf *out, struct err *err) must_use;

/* Replaces a file so that after a power cut it holds either the old or the new bytes whole: written
 * beside it, synced, renamed, directory synced. `mode` as in open(2). */
int file_replace(
        const char *path, const void *bytes, size_t count, unsigned mode, struct err *err) must_use;

/* Reads a secret (a PIN, a token): the first line, without its end. Outcome 1: empty, longer than
 * `out_bytes` - 1, or readable by others than its owner and group. */
int file_read_secret(const char *path, char *out, size_t out_bytes, struct err *err) must_use;

/* Makes a directory and its parents, with this mode, where they are missing. */
int directory_make(const char *path, unsigned mode, struct err *err) must_use;

/* Free bytes on the file system of `path`, or 0 if that cannot be told. */
uint64_t disk_free_bytes(const char *path);
