/*
 * The mail that goes out, in core: rows of the outbox, written in the transaction of the change
 * they tell of, and handed one after the other to the mail process. Each is sent at least once,
 * always with the same Message-ID, so that a mail that is sent again is known as the same. Core
 * never waits for the mail process.
 */
#pragma once

#include "center/core.h"

/* One mail that is to go out. Nothing happens where no mail server is configured. Call it inside
 * the change's transaction. `recipient` that is no address is passed over. */
struct mailbox_mail {
	const char *recipient, *subject, *text; /* UTF-8 */
	const char *about, *kind;               /* a work order or notice; a word */
};
void mailbox_put(struct center *center, const struct mailbox_mail *mail);

/* Adopts the mail process's channel. */
void mailbox_connect(struct center *center, int fd);
/* Hands over the next mail whose time has come; once a second and after each result. */
void mailbox_tick(struct center *center);
