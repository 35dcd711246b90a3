/*
 * What a file is, by its content, for the rule that executables and documents with macros do not
 * leave (mission SDS 21, 49): programs, scripts, documents that carry a program, and archives with
 * one of them inside. Pure but for the reader that it is handed.
 *
 * Unknown means no: an archive that cannot be looked into (encrypted, of another form than ZIP,
 * deeper than FILE_ARCHIVE_DEPTH_MAX, damaged, or one that unpacks to far more than it is) is
 * refused like one with a program inside. What this cannot tell, a name can: scripts are text, and
 * a text that is no script by its content is still one by ".vbs".
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct file_view {
	/* Reads exactly `count` bytes at `offset`, both inside the file. Faults only. */
	int (*read)(void *context, uint64_t offset, void *bytes, size_t count, struct err *err);
	void *context;
	uint64_t bytes;
};

enum file_kind {
	FILE_UNKNOWN = 0, /* not looked at yet: never allowed */
	FILE_PLAIN,       /* none of the below */
	FILE_PROGRAM,     /* PE, ELF, Mach-O, Java, Android, WebAssembly */
	FILE_SCRIPT,
	FILE_SHORTCUT,  /* Windows shortcut */
	FILE_INSTALLER, /* MSI and the like */
	FILE_MACRO,     /* a document with a program in it */
	FILE_ARCHIVE,   /* one that cannot be looked into */
	FILE_BOMB,      /* an archive that unpacks to far more than it is */
};

/* One word for records: "plain", "program", … */
const char *file_kind_name(enum file_kind kind);

/* `name` is the file's, without directory. `err` says what was found and where ("a.zip/setup.exe: a
 * Windows program"), also when the kind is not FILE_PLAIN and the result is 0. */
int file_kind_of(const struct file_view *view, const char *name, enum file_kind *ret_kind,
        struct err *err) must_use;

/* Of a piece of memory, for what was unpacked; `depth` 0 is the file itself. Used by the walkers.
 */
int file_kind_of_bytes(const void *bytes, size_t count, const char *name, unsigned depth,
        enum file_kind *ret_kind, struct err *err) must_use;
