/*
 * The virus scanner that every file has to pass before it is sealed (mission SDS 49): clamd, asked
 * over its local socket. A scanner that is absent, too old, or does not find the test string that
 * every scanner knows, means no.
 *
 * clamd passes what is beyond its own limits; with AlertExceedsMax it says so instead, which is
 * what doc/install.md asks for.
 */
#pragma once

#include "ctl/ctl.h"

#define SCANNER_NAME_BYTES_MAX 63

struct scanner_facts {
	char name[SCANNER_NAME_BYTES_MAX + 1]; /* "ClamAV 1.0.7/27468" */
	int64_t database_usec;                 /* when its data base was made */
};

struct scan; /* one file on its way through the scanner */

/* Asks who it is and whether it works. `database` is the directory of its data base, looked at when
 * it does not say the date itself. CTL_REFUSED: it must not be relied on; CTL_UNREACHABLE: absent.
 */
int scanner_check(struct ctl *ctl, const char *socket, const char *database, int64_t age_sec_max,
        struct scanner_facts *ret_facts) must_use;

/* The bytes of one file, in any pieces; scan_end() has the verdict. CTL_REFUSED: infected, or not
 * looked at whole. */
int scan_begin(struct ctl *ctl, const char *socket, struct scan **ret_scan) must_use;
int scan_add(struct ctl *ctl, struct scan *scan, const uint8_t *bytes, size_t count) must_use;
int scan_end(struct ctl *ctl, struct scan *scan) must_use;
struct scan *scan_free(struct scan *scan);
AUTO_DEFINE(scan)
