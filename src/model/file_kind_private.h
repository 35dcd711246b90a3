/* What the parts of file_kind share: the head and the name (file_kind.c), compound documents
 * (file_ole.c), archives (file_zip.c). */
#pragma once

#include "model/file_kind.h"

#define FILE_HEAD_BYTES 4096

struct file_walk {
	unsigned depth;
	uint64_t unpacked; /* so far, by all archives together */
};

/* The whole of a view, at a depth. */
int file_walk_kind(const struct file_view *view, const char *name, struct file_walk *walk,
        enum file_kind *ret_kind, struct err *err) must_use;
/* By the first bytes alone (at most FILE_HEAD_BYTES); FILE_PLAIN: nothing in them. */
enum file_kind file_head_kind(const uint8_t *head, size_t count, struct err *err);
/* By the name alone. */
enum file_kind file_name_kind(const char *name, struct err *err);
/* Whether more than the head of it is to be looked at. */
bool file_head_is_ole(const uint8_t *head, size_t count);
bool file_head_is_zip(const uint8_t *head, size_t count);

/* A compound document (OLE2, MS-CFB). */
int file_ole_kind(const struct file_view *view, enum file_kind *ret_kind, struct err *err) must_use;
/* A ZIP archive; outcome 1: it is none. */
int file_zip_kind(const struct file_view *view, struct file_walk *walk, enum file_kind *ret_kind,
        struct err *err) must_use;

/* Sets the text and returns the kind. */
#define file_found(err, kind, ...) (err_set((err), 0, __VA_ARGS__), (kind))
