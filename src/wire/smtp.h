/*
 * The client's side of SMTP (RFC 5321) for one message to one recipient, as a pure state machine:
 * reply lines in, commands out. STARTTLS (RFC 3207) when it is offered, AUTH PLAIN (RFC 4954) over
 * TLS only. The transport is the caller's.
 *
 *     GREETING ─▶ HELLO ─┬▶ STARTTLS ─▶ (TLS) ─▶ HELLO ─┬▶ AUTH ─┐
 *                        └───────────────────────────────┴────────┴▶ MAIL ─▶ RCPT ─▶ DATA ─▶ BODY
 *
 * Bytes that a server sends in front of the TLS handshake are refused (the STARTTLS injection of
 * CVE-2011-0411): the caller passes over nothing that came together with the reply.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

#define SMTP_LINE_BYTES_MAX 2048 /* RFC 5321 4.5.3.1.5 says 512; servers exceed it */
#define SMTP_LINES_MAX 100       /* of one reply */

enum smtp_tls {
	SMTP_TLS_OFFERED = 0, /* where the server offers it */
	SMTP_TLS_REQUIRED,    /* nothing is sent without it */
	SMTP_TLS_NEVER,       /* a relay on the same machine */
};

struct smtp_plan {
	const char *name;            /* how we introduce ourselves: a DNS name or "[192.0.2.1]" */
	const char *from, *to;       /* mail_address_valid() */
	const char *user, *password; /* NULL: none */
	enum smtp_tls tls;
};

enum smtp_state {
	SMTP_GREETING,
	SMTP_HELLO,
	SMTP_STARTTLS,
	SMTP_AUTH,
	SMTP_MAIL,
	SMTP_RCPT,
	SMTP_DATA,
	SMTP_BODY,
	SMTP_OVER,
};

struct smtp {
	const struct smtp_plan *plan; /* borrowed */
	enum smtp_state state;
	bool tls;                      /* it is on */
	bool offers_tls, offers_plain; /* in the newest answer to EHLO */
	unsigned lines;                /* of the reply that is coming in */
};

enum smtp_next {
	SMTP_READ,      /* the reply goes on: read the next line */
	SMTP_SEND,      /* send what was added to `command`, then read */
	SMTP_TLS_START, /* make TLS now, then smtp_tls_started() */
	SMTP_SEND_BODY, /* send smtp_body_print() of the message, then read */
	SMTP_TAKEN,     /* the server has the message: over */
	SMTP_LATER,     /* not now: err says why; try again later */
	SMTP_NEVER,     /* the server refuses this message for good: err says why */
};

void smtp_begin(struct smtp *smtp, const struct smtp_plan *plan);
/* One reply line without its end. */
enum smtp_next smtp_reply(struct smtp *smtp, const char *line, size_t count, struct buf *command,
        struct err *err) must_use;
/* TLS is on: the dialogue starts again (RFC 3207 4.2). */
void smtp_tls_started(struct smtp *smtp, struct buf *command);

/* Adds the message with its dots doubled and the line that ends it (RFC 5321 4.5.2). */
void smtp_body_print(const void *message, size_t count, struct buf *out);
