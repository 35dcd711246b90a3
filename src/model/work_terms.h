/*
 * The terms of a work order (protocol.md 1.5): what a worker asks for, as the approver is shown it
 * and signs it. As a plain value without pointers.
 *
 * Terms are canonical: json_print() of the members, times with milliseconds. Any other spelling is
 * refused, so that what was shown is, byte for byte, what was signed (attack A14).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/str.h"
#include "model/host_ref.h"
#include "model/service.h"
#include "model/service_class.h"

/* The three kinds of remote service of the first seed (mission G1). */
enum work_job { WORK_JOB_NONE = 0, WORK_REPAIR, WORK_PREVENTIVE, WORK_SOFTWARE, WORK_JOB_COUNT };

struct work_target {
	struct host_ref from, to;
	enum protocol protocol;
	uint16_t port; /* 0 with icmp */
};

struct work_terms {
	struct id work_order;
	uint64_t revision; /* from 1 */
	char site[NAME_BYTES_MAX + 1];
	char worker[NAME_BYTES_MAX + 1];
	enum work_job job;
	enum service_class class;
	int64_t not_before, not_after; /* asked for; microseconds of wall time */
	bool personal_data, test_data; /* whether such data are touched (mission G3) */
	char purpose[WORK_PURPOSE_BYTES_MAX + 1];
	size_t target_count; /* from 1 */
	struct work_target targets[WORK_TARGETS_MAX];
};

/* Reads and checks. Outcome 1: refused, err names the field; *ret_terms is then not to be used. */
int work_terms_parse(
        const void *text, size_t count, struct work_terms *ret_terms, struct err *err) must_use;

/* Adds the canonical text, at most WORK_TERMS_BYTES_MAX of it. Times lose what is below a
 * millisecond. */
void work_terms_print(const struct work_terms *terms, struct buf *out);

/* What must hold of terms wherever they are: names, an end after the start, no window longer than
 * WORK_WINDOW_SEC_MAX, each target with one end at the site and the other elsewhere, its port
 * fitting its protocol, no target twice. Pure. Outcome 1: it does not, err says what. */
int work_terms_check(const struct work_terms *terms, struct err *err) must_use;

/* Whether this very connection is among the targets. */
bool work_terms_has(const struct work_terms *terms, const struct work_target *target);

const char *work_job_name(enum work_job job); /* "repair", "preventive", "software"; else "" */
const char *work_job_japanese(enum work_job job);
/* Outcome 1: no such job. */
int work_job_parse(const char *name, enum work_job *ret_job) must_use;
