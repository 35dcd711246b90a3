/*
 * A channel between two of our own processes: a stream socket that carries framed, typed messages.
 *
 *     u32 length of what follows | u16 type | u32 tag | payload
 *
 * The tag pairs a reply with its request; a process that asks chooses it. A frame that is longer
 * than MESSAGE_BYTES_MAX, or that the receiver calls bad, ends the sender: the channel is closed
 * and its owner told.
 */
#pragma once

#include "base/buf.h"
#include "loop/loop.h"

struct channel;

/* `payload` is borrowed for the call. Returning anything but 0 closes the channel as bad. */
typedef int channel_handler(
        void *context, uint16_t type, uint32_t tag, const uint8_t *payload, size_t payload_bytes);
/* The other side went away or sent something bad. The channel may be freed in here. */
typedef void channel_closed(void *context);

/* Adopts `fd` (made non-blocking). */
int channel_new(struct loop *loop, int fd, channel_handler *handler, channel_closed *closed,
        void *context, struct channel **ret_channel) must_use;
struct channel *channel_free(struct channel *channel);

/* Queues a message; sent at once where the socket takes it. Outcome 1: more than
 * MESSAGE_QUEUE_BYTES_MAX would wait; nothing was queued. */
int channel_send(struct channel *channel, uint16_t type, uint32_t tag, const void *payload,
        size_t payload_bytes) must_use;

/* While held, messages are only queued; letting go sends them in one write. Each write may hand the
 * processor to the reader, so what belongs together is sent together. */
void channel_hold(struct channel *channel, bool hold);

/* For processes that ask and wait (core asks signer): sends one message on a blocking socket, and
 * reads the reply with the same tag, each within `deadline_msec` (else fault -ETIMEDOUT). Between
 * the two the caller may do something else, but ask nothing more. `reply` receives the payload. */
int channel_ask(int fd, uint16_t type, uint32_t tag, const void *payload, size_t payload_bytes,
        int deadline_msec) must_use;
int channel_answer(
        int fd, uint32_t tag, int deadline_msec, uint16_t *ret_type, struct buf *reply) must_use;

/* One blocking receive or send of a frame, for the serving end and for tests.
 * Outcome 1 of the receive: the other side closed. */
int frame_receive(int fd, uint16_t *ret_type, uint32_t *ret_tag, struct buf *payload) must_use;
int frame_send(
        int fd, uint16_t type, uint32_t tag, const void *payload, size_t payload_bytes) must_use;

/* A connected pair of stream sockets, close-on-exec. */
int channel_pair(int ret_fds[2]) must_use;
