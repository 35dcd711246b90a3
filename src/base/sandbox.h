/*
 * What a process takes away from itself before it reads the first byte of a peer.
 *
 * Three walls, each enough to stop a different thing: capabilities and no_new_privs (a root process
 * becomes an ordinary one and stays so), Landlock (only the listed paths can be opened) and a
 * seccomp allow-list (a system call that is not listed ends the process). They are put up once, in
 * this order, after everything that needs more was opened. Nothing takes them down again.
 *
 *     static const struct sandbox_path paths[] = { { "/etc/sekisho", SANDBOX_READ }, { 0 } };
 *     static const char *const *const calls[] = { sandbox_calls_base, sandbox_calls_files, NULL };
 *
 *     r = sandbox_enter(&(struct sandbox){ .calls = calls, .paths = paths }, &err);
 */
#pragma once

#include <stdint.h>

#include "base/err.h"

/* Whether this build has AddressSanitizer (clang says it so, gcc so). */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_SANITIZER
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define WITH_SANITIZER
#endif

#define SANDBOX_READ 1u  /* open and list below this path */
#define SANDBOX_WRITE 2u /* change, make, remove and rename below this path; implies reading */
#define SANDBOX_EXECUTE 4u

struct sandbox_path {
	const char *path; /* a file, or a directory with all below it; one that is missing is passed
	                     over */
	unsigned access;
};

struct sandbox {
	const char *const *const
	        *calls; /* sets of system call names, ended by NULL; NULL: no filter */
	const struct sandbox_path *paths; /* ended by path NULL; NULL: no Landlock */
	uint64_t capabilities;            /* bits (1 << CAP_…) that stay, usually 0 */
	const int *families; /* what socket() may be asked for (AF_…), ended by 0; NULL: anything,
	                        where `calls` has socket() */
};

/* The sets, each a list of names ended by NULL. What the C library needs to run at all: memory,
 * time, signals, exit, reading and writing of what is open, epoll and poll. */
extern const char *const sandbox_calls_base[];
/* Opening, syncing, locking, renaming files: what SQLite or a PKCS#11 module does. */
extern const char *const sandbox_calls_files[];
/* Sending, receiving and accepting on sockets that exist or are taken from a listener. */
extern const char *const sandbox_calls_sockets[];
/* Making, binding and connecting new sockets. */
extern const char *const sandbox_calls_network[];
/* Starting and awaiting programs. */
extern const char *const sandbox_calls_processes[];

/* No core dumps, not attachable, no new privileges. Safe to call first thing in every process.
 * Faults: the kernel refused. */
int sandbox_prepare(struct err *err) must_use;

/* Puts up the walls. A kernel without Landlock (before 5.13) is passed over and said so in a log
 * line; a kernel that refuses seccomp is a fault. Builds with sanitizers allow beside it what
 * looking for leaks and reporting take. */
int sandbox_enter(const struct sandbox *sandbox, struct err *err) must_use;

/* Drops every capability but `keep` from all sets, the bounding set included. */
int sandbox_drop_capabilities(uint64_t keep, struct err *err) must_use;
