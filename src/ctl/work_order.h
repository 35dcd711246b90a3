/* Times and windows as commands about work orders take them. Results are enum ctl_exit. */
#pragma once

#include "ctl/ctl.h"

/* The option as a time (RFC 3339 in UTC); *ret_time stays when it was not given. */
int work_order_time(struct ctl *ctl, const char *option, int64_t *ret_time) must_use;

/* --begin (else `begin`) and --until (else `end`, or with 0 --duration after the begin). */
int work_order_window(
        struct ctl *ctl, int64_t begin, int64_t end, int64_t *ret_begin, int64_t *ret_end) must_use;
