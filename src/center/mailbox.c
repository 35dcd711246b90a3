#include "center/mailbox.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "center/ledger.h"
#include "center/mail_message.h"
#include "wire/mail.h"

#define WAIT_SEC_MAX 3600

struct mailbox {
	struct channel *channel;        /* NULL: the mail process is away */
	char sending[ID_BYTES_MAX + 1]; /* what it has now, or "" */
	uint32_t tag;
	struct loop_timer *timer; /* the next mail, when this round is committed */
	uint64_t failures;        /* of the server, in a row */
	int64_t pause_until;      /* wall; the server was away */
};

static void on_timer(void *context)
{
	mailbox_tick(context);
}

static struct mailbox *mailbox_of(struct center *center)
{
	if (!center->mailbox) {
		center->mailbox = mem_new(1, sizeof(*center->mailbox));
		center->mailbox->timer = loop_timer_new(center->loop, on_timer, center);
	}
	return center->mailbox;
}

void mailbox_put(struct center *center, const struct mailbox_mail *mail)
{
	struct store_outbox row = { .created_usec = clock_wall_usec(),
		.subject = (char *)mail->subject,
		.text = (char *)mail->text };

	if (!center->config.mail_server || !mail_address_valid(mail->recipient)) {
		return;
	}
	row.next_usec = row.created_usec;
	snprintf(row.id, sizeof(row.id), "%s", id_new(row.created_usec).text);
	snprintf(row.recipient, sizeof(row.recipient), "%s", mail->recipient);
	snprintf(row.about, sizeof(row.about), "%s", mail->about);
	snprintf(row.kind, sizeof(row.kind), "%s", mail->kind);
	snprintf(row.state, sizeof(row.state), "waiting");
	ledger_begin(center);
	core_must(store_outbox_put(center->store, &row), "keep a mail");
}

/* 1, 2, 4, … times the first wait, at most an hour. */
static int64_t wait_usec(const struct center *center, uint64_t failures)
{
	int64_t seconds = center->config.mail_retry_sec;

	while (--failures > 0 && failures < 64 && seconds < WAIT_SEC_MAX) {
		seconds *= 2;
	}
	return (seconds < WAIT_SEC_MAX ? seconds : WAIT_SEC_MAX) * USEC_PER_SEC;
}

static void record_outcome(struct center *center, const struct store_outbox *row, const char *kind)
{
	struct record *record = ledger_record(center, kind, row->id);

	record_text(record, "about", row->about);
	record_text(record, "what", row->kind);
	record_number(record, "tries", (int64_t)row->tries);
	if (*row->reason) {
		record_text(record, "reason", row->reason);
	}
	ledger_append(center, record);
}

/* The text goes once it is not needed any more: it names persons. */
static void finish(struct center *center, struct store_outbox *row, const char *state)
{
	snprintf(row->state, sizeof(row->state), "%s", state);
	free(row->text);
	row->text = mem_string("");
}

static void take_result(struct center *center, struct store_outbox *row, enum mail_result result)
{
	struct mailbox *mailbox = mailbox_of(center);
	int64_t now = clock_wall_usec();

	row->tries++;
	mailbox->failures = result == MAIL_SERVER_AWAY ? mailbox->failures + 1 : 0;
	ledger_begin(center);
	if (result == MAIL_TAKEN) {
		finish(center, row, "sent");
		record_outcome(center, row, "mail.sent");
	} else if (result == MAIL_REFUSED ||
	           now > row->created_usec + center->config.mail_give_up_sec * USEC_PER_SEC) {
		log_warning("mail %s is given up: %s", row->id, row->reason);
		finish(center, row, "failed");
		record_outcome(center, row, "mail.failed");
	} else if (result == MAIL_SERVER_AWAY) {
		mailbox->pause_until = now + wait_usec(center, mailbox->failures);
		row->next_usec = mailbox->pause_until;
		log_warning("mail waits: %s", row->reason);
	} else {
		row->next_usec = now + wait_usec(center, row->tries);
	}
	core_must(store_outbox_put(center->store, row), "keep a mail");
}

static int on_result(
        void *context, uint16_t type, uint32_t tag, const uint8_t *payload, size_t payload_bytes)
{
	struct center *center = context;
	struct mailbox *mailbox = mailbox_of(center);
	struct cursor cursor = CURSOR(payload, payload_bytes);
	unsigned result = cursor_u8(&cursor);
	size_t count = 0;
	const char *reason = (const char *)cursor_block(&cursor, &count);
	struct store_outbox row = { 0 };
	int r;

	if (type != MAIL_RESULT || !cursor_done(&cursor) || result > MAIL_REFUSED || count == 0 ||
	        reason[count - 1] != '\0' || tag != mailbox->tag || !*mailbox->sending) {
		return 1;
	}
	r = store_outbox_get(center->store, mailbox->sending, &row);
	core_must(r < 0 ? r : 0, "read a mail");
	*mailbox->sending = '\0';
	if (r == 0) {
		snprintf(row.reason, sizeof(row.reason), "%s", reason);
		take_result(center, &row, (enum mail_result)result);
	}
	store_row_clear(STORE_OUTBOX, &row);
	loop_timer_set(mailbox->timer, 1);
	return 0;
}

static void on_closed(void *context)
{
	struct mailbox *mailbox = mailbox_of(context);

	log_warning("the mail process is gone");
	mailbox->channel = channel_free(mailbox->channel);
	*mailbox->sending = '\0';
}

void mailbox_connect(struct center *center, int fd)
{
	struct mailbox *mailbox = mailbox_of(center);
	int r;

	mailbox->channel = channel_free(mailbox->channel);
	*mailbox->sending = '\0';
	r = channel_new(center->loop, fd, on_result, on_closed, center, &mailbox->channel);
	if (r < 0) {
		log_error("the mail process cannot be joined: %s", strerror(-r));
	}
	mailbox_tick(center);
}

static void send_row(struct center *center, const struct store_outbox *row)
{
	struct mailbox *mailbox = mailbox_of(center);
	AUTO_BUF struct buf message = BUF(MESSAGE_BYTES_MAX / 2);
	AUTO_BUF struct buf frame = BUF(MESSAGE_BYTES_MAX - 16);
	AUTO_STRING char *message_id =
	        mem_format("%s%s", row->id, strrchr(center->config.mail_from, '@'));

	mail_print(&(struct mail_out){ .from = center->config.mail_from,
	                   .to = row->recipient,
	                   .message_id = message_id,
	                   .subject = row->subject,
	                   .text = row->text,
	                   .date_usec = row->created_usec },
	        &message);
	buf_add_block(&frame, row->recipient, strlen(row->recipient) + 1);
	buf_add_block(&frame, message.bytes, message.count);
	memcpy(mailbox->sending, row->id, sizeof(mailbox->sending));
	if (message.overflowed || frame.overflowed ||
	        channel_send(mailbox->channel, MAIL_SEND, ++mailbox->tag, frame.bytes,
	                frame.count) != 0) {
		on_closed(center);
	}
}

static int take_due(void *context, const void *data)
{
	struct center *center = context;

	send_row(center, data);
	return 0;
}

void mailbox_tick(struct center *center)
{
	struct mailbox *mailbox = mailbox_of(center);
	int64_t now = clock_wall_usec();

	/* What is not committed yet is not sent: it may never have happened. */
	if (!mailbox->channel || *mailbox->sending || now < mailbox->pause_until) {
		return;
	}
	if (store_in_transaction(center->store)) {
		loop_timer_set(mailbox->timer, 1);
		return;
	}
	core_must(store_outbox_list_due(center->store, now, 1, take_due, center), "read mails");
}
