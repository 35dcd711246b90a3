#include "gateway/netlink.h"

#include <errno.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "wire/attr.h"

#define ANSWER_SEC_MAX 5
/* The flow events of one cut of ten thousand flows. */
#define LISTEN_BYTES (8 << 20)

static void set_options(int fd, bool listens)
{
	int one = 1, bytes = LISTEN_BYTES;
	struct timeval wait = { .tv_sec = ANSWER_SEC_MAX };

	/* None of them is needed to be right, only to be good: a kernel that lacks one is fine. */
	setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	if (listens) {
		setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	}
}

int netlink_open(int family, bool listens, struct netlink *ret)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK };
	socklen_t address_bytes = sizeof(address);
	int fd =
	        socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | (listens ? SOCK_NONBLOCK : 0), family);

	if (fd < 0) {
		return FAULT(-errno);
	}
	set_options(fd, listens);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	        getsockname(fd, (struct sockaddr *)&address, &address_bytes) < 0) {
		int fault = -errno;

		close(fd);
		return FAULT(fault);
	}
	*ret = (struct netlink){ .fd = fd, .port = address.nl_pid, .sequence = 1 };
	return 0;
}

int netlink_join(struct netlink *netlink, unsigned group)
{
	int number = (int)group;

	return setsockopt(netlink->fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &number,
	               sizeof(number)) < 0
	               ? FAULT(-errno)
	               : 0;
}

void netlink_close(struct netlink *netlink)
{
	if (netlink->fd >= 0) {
		close(netlink->fd);
	}
	*netlink = NETLINK_CLOSED;
}

int netlink_send(struct netlink *netlink, const void *bytes, size_t count)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	ssize_t sent = sendto(
	        netlink->fd, bytes, count, 0, (const struct sockaddr *)&kernel, sizeof(kernel));

	if (sent < 0) {
		return FAULT(-errno);
	}
	return (size_t)sent == count ? 0 : FAULT(-EMSGSIZE);
}

int netlink_receive(struct netlink *netlink, struct buf *in)
{
	struct sockaddr_nl sender;
	struct iovec part;
	struct msghdr message = { .msg_name = &sender, .msg_iov = &part, .msg_iovlen = 1 };
	ssize_t count;

	buf_reset(in);
	part.iov_base = buf_reserve(in, NETLINK_READ_BYTES);
	part.iov_len = NETLINK_READ_BYTES;
	assert_always(part.iov_base);
	do {
		message.msg_namelen = sizeof(sender);
		count = recvmsg(netlink->fd, &message, 0);
		/* Another process may send to us too. */
	} while ((count < 0 && errno == EINTR) || (count >= 0 && sender.nl_pid != 0));
	if (count < 0 && errno == ENOBUFS) {
		return 2;
	}
	if (count < 0) {
		return errno == EAGAIN ? 1 : FAULT(-errno);
	}
	if (message.msg_flags & MSG_TRUNC) {
		return 2;
	}
	in->count = (size_t)count;
	return 0;
}

int netlink_ask(struct netlink *netlink, const void *bytes, size_t count, uint32_t sequence)
{
	AUTO_BUF struct buf in = BUF(NETLINK_READ_BYTES);
	int r = netlink_send(netlink, bytes, count);

	while (r == 0) {
		const uint8_t *at;
		size_t left;
		const struct nlmsghdr *message;

		r = netlink_receive(netlink, &in);
		if (r != 0) {
			return r < 0 ? FAULT(r) : FAULT(-ETIMEDOUT);
		}
		at = in.bytes;
		left = in.count;
		while ((r = attr_message_next(&at, &left, &message)) == 0) {
			int error;

			if (message->nlmsg_type == NLMSG_ERROR && message->nlmsg_seq == sequence) {
				return attr_error(message, &error) == 0 ? error : FAULT(-EBADMSG);
			}
		}
		r = r == 1 ? 0 : FAULT(-EBADMSG);
	}
	return r;
}
