#include "center/signer_client.h"

#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"
#include "center/signer_message.h"
#include "loop/channel.h"

#define GROUP_BYTES 1000000 /* of list entries in one message */

struct signer_client {
	int fd;
	uint32_t tag;
};

struct signer_client *signer_client_new(void)
{
	struct signer_client *client = mem_new(1, sizeof(*client));

	client->fd = -1;
	return client;
}

static void give_up(struct signer_client *client)
{
	if (client->fd >= 0) {
		close(client->fd);
		client->fd = -1;
	}
}

struct signer_client *signer_client_free(struct signer_client *client)
{
	if (client) {
		give_up(client);
		free(client);
	}
	return NULL;
}

void signer_client_connect(struct signer_client *client, int fd)
{
	give_up(client);
	client->fd = fd;
}

bool signer_client_up(const struct signer_client *client)
{
	return client->fd >= 0;
}

static int no_answer(struct signer_client *client, int fault, struct err *err)
{
	log_error("the signer does not answer (%s)", strerror(-fault));
	give_up(client);
	return err_set(err, SIGNER_AWAY, "the signer does not answer");
}

/* Outcome SIGNER_AWAY. */
static int ask(struct signer_client *client, enum signer_call type, const struct buf *request,
        struct err *err)
{
	int r;

	if (client->fd < 0) {
		return err_set(err, SIGNER_AWAY, "the signer is not there");
	}
	r = channel_ask(client->fd, type, ++client->tag, request->bytes, request->count,
	        SIGNER_DEADLINE_MSEC);
	return r < 0 ? no_answer(client, r, err) : 0;
}

/* The type of the reply to the last ask(), or SIGNER_AWAY. */
static int answer(struct signer_client *client, struct buf *reply, struct err *err)
{
	uint16_t reply_type = 0;
	int r;

	buf_reset(reply);
	if (client->fd < 0) {
		return err_set(err, SIGNER_AWAY, "the signer is not there");
	}
	r = channel_answer(client->fd, client->tag, SIGNER_DEADLINE_MSEC, &reply_type, reply);
	if (r < 0) {
		return no_answer(client, r, err);
	}
	switch (reply_type) {
	case SIGNER_OK:
	case SIGNER_ASKS:
		return reply_type;
	case SIGNER_REFUSED:
		return err_set(err, SIGNER_SAYS_NO, "the signer refuses: %s", buf_text(reply));
	case SIGNER_FAILED:
		return err_set(err, SIGNER_AWAY, "the signer's token fails: %s", buf_text(reply));
	}
	log_error("the signer sent a reply of no type: %u", reply_type);
	give_up(client);
	return err_set(err, SIGNER_AWAY, "the signer is not itself");
}

static int call(struct signer_client *client, enum signer_call type, const struct buf *request,
        struct buf *reply, struct err *err)
{
	int r = ask(client, type, request, err);

	return r == 0 ? answer(client, reply, err) : r;
}

/* For answers that are the result. */
static int answer_for(struct signer_client *client, struct buf *out, struct err *err)
{
	AUTO_BUF struct buf reply = BUF(MESSAGE_BYTES_MAX);
	int r = answer(client, &reply, err);

	if (r != SIGNER_OK) {
		return r == SIGNER_ASKS ? SIGNER_AWAY : r;
	}
	buf_add(out, reply.bytes, reply.count);
	return 0;
}

static int call_for(struct signer_client *client, enum signer_call type, const struct buf *request,
        struct buf *out, struct err *err)
{
	int r = ask(client, type, request, err);

	return r == 0 ? answer_for(client, out, err) : r;
}

int signer_grant_begin(struct signer_client *client, const struct buf *payload, struct err *err)
{
	return ask(client, SIGNER_GRANT, payload, err);
}

int signer_grant_end(struct signer_client *client, struct buf *out, struct err *err)
{
	return answer_for(client, out, err);
}

int signer_grant(
        struct signer_client *client, const struct buf *payload, struct buf *out, struct err *err)
{
	return call_for(client, SIGNER_GRANT, payload, out, err);
}

int signer_lease(
        struct signer_client *client, const struct buf *payload, struct buf *out, struct err *err)
{
	return call_for(client, SIGNER_LEASE, payload, out, err);
}

int signer_checkpoint(struct signer_client *client, const struct merkle_head *head, struct buf *out,
        struct err *err)
{
	AUTO_BUF struct buf request = BUF(64);

	buf_add_u64(&request, head->size);
	buf_add(&request, head->root.bytes, HASH_BYTES);
	return call_for(client, SIGNER_CHECKPOINT, &request, out, err);
}

int signer_certificate(struct signer_client *client, const struct buf *tbs,
        struct key_hash approved, struct buf *out, struct err *err)
{
	AUTO_BUF struct buf request = BUF(2 * CERT_DER_BYTES_MAX);

	buf_add(&request, approved.bytes, sizeof(approved.bytes));
	buf_add_block(&request, tbs->bytes, tbs->count);
	return call_for(client, SIGNER_CERTIFICATE, &request, out, err);
}

int signer_crl_entry(struct signer_client *client, const struct crl_entry *entry, struct buf *group,
        struct err *err)
{
	AUTO_BUF struct buf none = BUF(16);
	int r = 0;

	if (group->count > GROUP_BYTES) {
		r = call_for(client, SIGNER_CRL_ENTRIES, group, &none, err);
		buf_reset(group);
	}
	buf_add_block(group, entry->serial, strlen(entry->serial));
	buf_add_u64(group, (uint64_t)entry->revoked_usec);
	buf_add_u8(group, (uint8_t)entry->reason);
	return r;
}

int signer_crl(struct signer_client *client, const struct buf *group, uint64_t number,
        int64_t this_update_usec, int64_t next_update_usec, struct buf *out, struct err *err)
{
	AUTO_BUF struct buf request = BUF(64), none = BUF(16);
	AUTO_BUF struct buf reply = BUF(64);
	struct cursor cursor;
	size_t total;
	int r = call_for(client, SIGNER_CRL_ENTRIES, group, &none, err);

	buf_add_u64(&request, number);
	buf_add_u64(&request, (uint64_t)this_update_usec);
	buf_add_u64(&request, (uint64_t)next_update_usec);
	if (r == 0) {
		r = call_for(client, SIGNER_CRL, &request, &reply, err);
	}
	if (r != 0) {
		return r;
	}
	cursor = CURSOR(reply.bytes, reply.count);
	total = cursor_u32(&cursor);
	while (out->count < total) {
		size_t before = out->count;

		buf_reset(&request);
		buf_add_u32(&request, (uint32_t)before);
		r = call_for(client, SIGNER_FETCH, &request, out, err);
		if (r != 0 || out->count == before) {
			return r != 0 ? r : err_set(err, SIGNER_AWAY, "the signer lost the list");
		}
	}
	return 0;
}

static void add_status(struct buf *request, const char *serial, struct ocsp_status status)
{
	buf_add_block(request, serial, strlen(serial));
	buf_add_u8(request, (uint8_t)status.state);
	buf_add_u64(request, (uint64_t)status.revoked_usec);
	buf_add_u8(request, (uint8_t)status.reason);
}

int signer_ocsp(struct signer_client *client, const uint8_t *question, size_t count,
        int64_t now_usec, int64_t next_update_usec, ocsp_lookup *look_up, void *context,
        struct buf *out, struct err *err)
{
	AUTO_BUF struct buf request = BUF(OCSP_REQUEST_BYTES_MAX + 4096),
	                    reply = BUF(MESSAGE_BYTES_MAX);
	int r;

	buf_add_u64(&request, (uint64_t)now_usec);
	buf_add_u64(&request, (uint64_t)next_update_usec);
	buf_add_block(&request, question, count);
	r = call(client, SIGNER_OCSP, &request, &reply, err);
	if (r == SIGNER_ASKS) {
		struct cursor cursor = CURSOR(reply.bytes, reply.count);

		while (cursor_left(&cursor) > 0 && !cursor.broken) {
			char serial[2 * CERT_SERIAL_BYTES_MAX + 1] = { 0 };
			size_t bytes = 0;
			const uint8_t *text = cursor_block(&cursor, &bytes);

			if (!text || bytes >= sizeof(serial)) {
				return err_set(err, SIGNER_AWAY, "the signer is not itself");
			}
			memcpy(serial, text, bytes);
			add_status(&request, serial, look_up(context, serial));
		}
		r = call(client, SIGNER_OCSP, &request, &reply, err);
	}
	if (r != SIGNER_OK) {
		return r == SIGNER_ASKS ? SIGNER_AWAY : r;
	}
	buf_add(out, reply.bytes, reply.count);
	return 0;
}

int signer_ping(struct signer_client *client, struct err *err)
{
	AUTO_BUF struct buf none = BUF(16), out = BUF(16);

	return call_for(client, SIGNER_PING, &none, &out, err);
}
