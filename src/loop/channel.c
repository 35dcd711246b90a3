#include "loop/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"

#define FRAME_HEAD_BYTES 10
#define READ_BYTES 65536

struct channel {
	int fd;
	struct loop_fd *watch;
	channel_handler *handler;
	channel_closed *closed;
	void *context;
	struct buf in, out;
	bool held;  /* by channel_hold() */
	bool *gone; /* set when the channel was freed in one of its own callbacks */
};

static void print_head(uint8_t head[FRAME_HEAD_BYTES], uint16_t type, uint32_t tag, size_t bytes)
{
	uint32_t length = (uint32_t)bytes + FRAME_HEAD_BYTES - 4;

	for (int i = 0; i < 4; i++) {
		head[i] = (uint8_t)(length >> (24 - 8 * i));
		head[6 + i] = (uint8_t)(tag >> (24 - 8 * i));
	}
	head[4] = (uint8_t)(type >> 8);
	head[5] = (uint8_t)type;
}

static int parse_head(const uint8_t *head, uint16_t *ret_type, uint32_t *ret_tag, size_t *ret_bytes)
{
	struct cursor cursor = CURSOR(head, FRAME_HEAD_BYTES);
	uint32_t length = cursor_u32(&cursor);

	if (length < FRAME_HEAD_BYTES - 4 || length > MESSAGE_BYTES_MAX) {
		return -EBADMSG;
	}
	*ret_bytes = length - (FRAME_HEAD_BYTES - 4);
	*ret_type = cursor_u16(&cursor);
	*ret_tag = cursor_u32(&cursor);
	return 0;
}

static void flush_out(struct channel *channel)
{
	while (channel->out.count > 0) {
		ssize_t sent = send(channel->fd, channel->out.bytes, channel->out.count,
		        MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent < 0 && errno == EINTR) {
			continue;
		}
		if (sent <= 0) {
			break; /* A broken socket is reported by the reading side. */
		}
		buf_drop(&channel->out, (size_t)sent);
	}
	loop_watch_events(channel->watch, channel->out.count > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

/* Hands on every whole frame. Returns false when the channel is to be closed. */
static bool deliver(struct channel *channel, bool *gone)
{
	size_t at = 0;

	while (channel->in.count - at >= FRAME_HEAD_BYTES) {
		uint16_t type;
		uint32_t tag;
		size_t bytes;
		int r;

		if (parse_head(channel->in.bytes + at, &type, &tag, &bytes) < 0) {
			return false;
		}
		if (channel->in.count - at - FRAME_HEAD_BYTES < bytes) {
			break;
		}
		r = channel->handler(channel->context, type, tag,
		        channel->in.bytes + at + FRAME_HEAD_BYTES, bytes);
		if (*gone) {
			return true;
		}
		if (r != 0) {
			return false;
		}
		at += FRAME_HEAD_BYTES + bytes;
	}
	buf_drop(&channel->in, at);
	return true;
}

static bool receive(struct channel *channel)
{
	uint8_t *room = buf_reserve(&channel->in, READ_BYTES);
	ssize_t got;

	if (!room) {
		return false;
	}
	got = recv(channel->fd, room, READ_BYTES, MSG_DONTWAIT);
	if (got < 0) {
		return errno == EAGAIN || errno == EINTR;
	}
	channel->in.count += (size_t)got;
	return got > 0;
}

static void on_events(void *context, uint32_t events)
{
	struct channel *channel = context;
	bool gone = false, open = true;

	channel->gone = &gone;
	if (events & EPOLLOUT) {
		flush_out(channel);
	}
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
		open = receive(channel) && deliver(channel, &gone);
	}
	if (gone) {
		return;
	}
	if (!open) {
		channel->watch = loop_unwatch(channel->watch);
		channel->closed(channel->context);
		if (gone) {
			return;
		}
	}
	channel->gone = NULL;
}

int channel_new(struct loop *loop, int fd, channel_handler *handler, channel_closed *closed,
        void *context, struct channel **ret_channel)
{
	struct channel *channel = mem_new(1, sizeof(*channel));
	int r;

	*channel = (struct channel){ .fd = fd,
		.handler = handler,
		.closed = closed,
		.context = context,
		.in = BUF(MESSAGE_BYTES_MAX + READ_BYTES + FRAME_HEAD_BYTES),
		.out = BUF(MESSAGE_QUEUE_BYTES_MAX) };
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	r = loop_watch(loop, fd, EPOLLIN, on_events, channel, &channel->watch);
	if (r < 0) {
		close(fd);
		free(channel);
		return FAULT(r);
	}
	*ret_channel = channel;
	return 0;
}

struct channel *channel_free(struct channel *channel)
{
	if (!channel) {
		return NULL;
	}
	if (channel->gone) {
		*channel->gone = true;
	}
	loop_unwatch(channel->watch);
	close(channel->fd);
	buf_clear(&channel->in);
	buf_clear(&channel->out);
	free(channel);
	return NULL;
}

int channel_send(struct channel *channel, uint16_t type, uint32_t tag, const void *payload,
        size_t payload_bytes)
{
	uint8_t head[FRAME_HEAD_BYTES];

	assert_always(payload_bytes <= MESSAGE_BYTES_MAX - FRAME_HEAD_BYTES);
	if (!channel->watch) {
		return 0; /* Closing: the owner is being told. */
	}
	if (channel->out.count + payload_bytes + FRAME_HEAD_BYTES > channel->out.count_max) {
		return 1;
	}
	print_head(head, type, tag, payload_bytes);
	buf_add(&channel->out, head, sizeof(head));
	buf_add(&channel->out, payload, payload_bytes);
	if (!channel->held) {
		flush_out(channel);
	}
	return 0;
}

void channel_hold(struct channel *channel, bool hold)
{
	channel->held = hold;
	if (!hold && channel->watch && channel->out.count > 0) {
		flush_out(channel);
	}
}

static int wait_for(int fd, short events, int64_t until_usec)
{
	struct pollfd poll_fd = { .fd = fd, .events = events };

	for (;;) {
		int64_t left =
		        until_usec < 0 ? -1 : (until_usec - clock_monotonic_usec() + 999) / 1000;
		int r;

		if (until_usec >= 0 && left <= 0) {
			return -ETIMEDOUT;
		}
		r = poll(&poll_fd, 1, (int)left);
		if (r > 0) {
			return 0;
		}
		if (r < 0 && errno != EINTR) {
			return -errno;
		}
	}
}

/* Moves exactly `count` bytes. Outcome 1: the other side closed before the first of them. */
static int move_whole(int fd, uint8_t *bytes, size_t count, bool sending, int64_t until_usec)
{
	size_t done = 0;

	while (done < count) {
		ssize_t step;
		int r = wait_for(fd, sending ? POLLOUT : POLLIN, until_usec);

		if (r < 0) {
			return FAULT(r);
		}
		step = sending ? send(fd, bytes + done, count - done, MSG_NOSIGNAL)
		               : recv(fd, bytes + done, count - done, 0);
		if (step < 0 && (errno == EINTR || errno == EAGAIN)) {
			continue;
		}
		if (step < 0) {
			return FAULT(-errno);
		}
		if (step == 0) {
			return done == 0 ? 1 : FAULT(-EPIPE);
		}
		done += (size_t)step;
	}
	return 0;
}

static int receive_frame(
        int fd, uint16_t *ret_type, uint32_t *ret_tag, struct buf *payload, int64_t until_usec)
{
	uint8_t head[FRAME_HEAD_BYTES];
	uint8_t *room;
	size_t bytes;
	int r;

	r = move_whole(fd, head, sizeof(head), false, until_usec);
	if (r != 0) {
		return r;
	}
	r = parse_head(head, ret_type, ret_tag, &bytes);
	if (r < 0) {
		return FAULT(r);
	}
	buf_reset(payload);
	room = buf_reserve(payload, bytes);
	if (!room) {
		return FAULT(-EMSGSIZE);
	}
	r = move_whole(fd, room, bytes, false, until_usec);
	if (r != 0) {
		return FAULT(r > 0 ? -EPIPE : r);
	}
	payload->count = bytes;
	payload->bytes[bytes] = '\0';
	return 0;
}

static int send_frame(int fd, uint16_t type, uint32_t tag, const void *payload,
        size_t payload_bytes, int64_t until_usec)
{
	AUTO_BUF struct buf frame = BUF(MESSAGE_BYTES_MAX + FRAME_HEAD_BYTES);
	uint8_t head[FRAME_HEAD_BYTES];
	int r;

	print_head(head, type, tag, payload_bytes);
	buf_add(&frame, head, sizeof(head));
	buf_add(&frame, payload, payload_bytes);
	assert_always(!frame.overflowed);
	r = move_whole(fd, frame.bytes, frame.count, true, until_usec);
	return r == 0 ? 0 : FAULT(r > 0 ? -EPIPE : r);
}

int frame_receive(int fd, uint16_t *ret_type, uint32_t *ret_tag, struct buf *payload)
{
	return receive_frame(fd, ret_type, ret_tag, payload, -1);
}

int frame_send(int fd, uint16_t type, uint32_t tag, const void *payload, size_t payload_bytes)
{
	return send_frame(fd, type, tag, payload, payload_bytes, -1);
}

int channel_ask(int fd, uint16_t type, uint32_t tag, const void *payload, size_t payload_bytes,
        int deadline_msec)
{
	int64_t until = clock_monotonic_usec() + deadline_msec * USEC_PER_MSEC;
	int r = send_frame(fd, type, tag, payload, payload_bytes, until);

	return r < 0 ? FAULT(r) : 0;
}

int channel_answer(int fd, uint32_t tag, int deadline_msec, uint16_t *ret_type, struct buf *reply)
{
	int64_t until = clock_monotonic_usec() + deadline_msec * USEC_PER_MSEC;
	uint32_t reply_tag;
	int r = 0;

	while (r == 0) {
		r = receive_frame(fd, ret_type, &reply_tag, reply, until);
		if (r == 0 && reply_tag == tag) {
			return 0;
		}
		/* The reply to a call that was given up: passed over. */
	}
	return FAULT(r > 0 ? -EPIPE : r);
}

int channel_pair(int ret_fds[2])
{
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ret_fds) < 0) {
		return FAULT(-errno);
	}
	return 0;
}
