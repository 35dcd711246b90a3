/*
 * A channel between two processes. Whatever arrives, and however it is cut: the messages handed on
 * are those that a plain reading of the bytes gives, in order, and the channel is closed at the
 * first frame that is not one or that its owner calls bad, and only then.
 *
 * Input: u8 how many bytes are sent at a time, then the bytes.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/limits.h"
#include "loop/channel.h"

#define BAD_TYPE 0xbad0 /* the owner does not want it */
#define HEAD_BYTES 10

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct owner {
	struct loop *loop;
	const uint8_t *bytes;
	size_t count, at; /* what was sent, and how far it was handed on */
	bool closed;
};

static uint32_t read_u32(const uint8_t *bytes)
{
	return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 |
	       bytes[3];
}

static int on_message(
        void *context, uint16_t type, uint32_t tag, const uint8_t *payload, size_t payload_bytes)
{
	struct owner *owner = context;
	const uint8_t *frame = owner->bytes + owner->at;

	assert_always(!owner->closed && owner->count - owner->at >= HEAD_BYTES + payload_bytes);
	assert_always(read_u32(frame) == payload_bytes + HEAD_BYTES - 4);
	assert_always((frame[4] << 8 | frame[5]) == type && read_u32(frame + 6) == tag);
	assert_always(memcmp(frame + HEAD_BYTES, payload, payload_bytes) == 0);
	owner->at += HEAD_BYTES + payload_bytes;
	return type == BAD_TYPE;
}

static void on_closed(void *context)
{
	struct owner *owner = context;

	assert_always(!owner->closed);
	owner->closed = true;
}

static void stop(void *context)
{
	loop_stop(context, 0);
}

/* Everything that came is looked at. */
static void run_once(struct owner *owner)
{
	struct loop_timer *timer = loop_timer_new(owner->loop, stop, owner->loop);

	loop_timer_set(timer, 0);
	assert_always(loop_run(owner->loop) == 0);
	loop_timer_free(timer);
}

/* Where the plain reading ends: all of `count` wanted, or in front of a bad frame. */
static bool must_close(const uint8_t *bytes, size_t count, size_t *ret_handed)
{
	size_t at = 0;

	while (count - at >= HEAD_BYTES) {
		uint32_t length = read_u32(bytes + at);
		uint32_t type = (uint32_t)(bytes[at + 4] << 8 | bytes[at + 5]);

		*ret_handed = at;
		if (length < HEAD_BYTES - 4 || length > MESSAGE_BYTES_MAX) {
			return true;
		}
		if (count - at - 4 < length) {
			return false;
		}
		at += 4 + length;
		*ret_handed = at;
		if (type == BAD_TYPE) {
			return true;
		}
	}
	*ret_handed = at;
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct owner owner = { .bytes = data + 1, .count = size - 1 };
	struct channel *channel;
	size_t step, sent = 0, handed = 0;
	int pair[2];
	bool close_it;

	if (size < 2) {
		return 0;
	}
	step = data[0] == 0 ? size : data[0];
	assert_always(loop_new(&owner.loop) == 0 && channel_pair(pair) == 0);
	assert_always(
	        channel_new(owner.loop, pair[0], on_message, on_closed, &owner, &channel) == 0);
	while (sent < owner.count && !owner.closed) {
		size_t part = owner.count - sent < step ? owner.count - sent : step;

		assert_always(
		        send(pair[1], owner.bytes + sent, part, MSG_NOSIGNAL) == (ssize_t)part);
		sent += part;
		run_once(&owner);
	}
	close_it = must_close(owner.bytes, owner.count, &handed);
	assert_always(owner.at == handed && owner.closed == close_it);
	channel_free(channel);
	close(pair[1]);
	loop_free(owner.loop);
	return 0;
}
