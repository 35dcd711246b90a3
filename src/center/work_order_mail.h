/* What the mails about work orders say, in Japanese and English in one text. Pure. */
#pragma once

#include "center/work_order.h"

/* Who gets a mail of this kind: sets of WORK_TO_…. */
#define WORK_TO_WORKER 1u    /* the worker, and who applied for him */
#define WORK_TO_APPROVERS 2u /* all approvers of the site */
unsigned work_mail_to(enum work_mail mail);

/* "report-overdue", … : for records and Message-IDs. */
const char *work_mail_name(enum work_mail mail);

void work_mail_print(
        enum work_mail mail, const struct work_order *order, struct buf *subject, struct buf *text);
