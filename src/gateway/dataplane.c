#include "gateway/dataplane.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/xfrm.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <libmnl/libmnl.h>

#include "base/str.h"
#include "gateway/address.h"
#include "gateway/netlink.h"

/* The trial: a state between two loopback addresses, with an SPI below the range charon draws from
 * (0xc0000000 up), and an interface with a number that no peer gets. */
#define TRIAL_SPI 0x5ec15000u
#define TRIAL_LIFE_SEC 5 /* should we die before it is deleted */
#define TRIAL_INTERFACE "skxtrial"
#define TRIAL_IF_ID 0xfffffffeu
#define KEY_BYTES (32 + 4) /* AES-256 and the salt of RFC 4106 8.1 */
#define TAG_BITS 128

static const char *const names[] = { "auto", "kernel", "libipsec" };

const char *dataplane_name(enum dataplane dataplane)
{
	return names[dataplane];
}

int dataplane_parse(const char *text, enum dataplane *ret)
{
	for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
		if (text_equal(text, names[i])) {
			*ret = (enum dataplane)i;
			return 0;
		}
	}
	return 1;
}

static int add_state(struct netlink *netlink)
{
	uint8_t bytes[1024] __attribute__((aligned(4)));
	uint8_t aead[sizeof(struct xfrm_algo_aead) + KEY_BYTES] __attribute__((aligned(4))) = { 0 };
	struct xfrm_algo_aead *algorithm = (struct xfrm_algo_aead *)(void *)aead;
	struct nlmsghdr *message = mnl_nlmsg_put_header(bytes);
	struct xfrm_usersa_info *state;
	int r;

	message->nlmsg_type = XFRM_MSG_NEWSA;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
	message->nlmsg_seq = netlink->sequence++;
	state = mnl_nlmsg_put_extra_header(message, sizeof(*state));
	state->family = AF_INET;
	state->mode = XFRM_MODE_TUNNEL;
	state->replay_window = 32;
	state->saddr.a4 = htonl(INADDR_LOOPBACK + 1);
	state->id.daddr.a4 = htonl(INADDR_LOOPBACK + 2);
	state->id.spi = htonl(TRIAL_SPI);
	state->id.proto = IPPROTO_ESP;
	state->lft.soft_byte_limit = state->lft.hard_byte_limit = XFRM_INF;
	state->lft.soft_packet_limit = state->lft.hard_packet_limit = XFRM_INF;
	state->lft.hard_add_expires_seconds = TRIAL_LIFE_SEC;
	snprintf(algorithm->alg_name, sizeof(algorithm->alg_name), "rfc4106(gcm(aes))");
	algorithm->alg_key_len = KEY_BYTES * 8;
	algorithm->alg_icv_len = TAG_BITS;
	random_fill(algorithm->alg_key, KEY_BYTES);
	mnl_attr_put(message, XFRMA_ALG_AEAD, sizeof(aead), aead);
	r = netlink_ask(netlink, bytes, message->nlmsg_len, message->nlmsg_seq);
	return r == -EEXIST ? 0 : r;
}

static int delete_state(struct netlink *netlink)
{
	uint8_t bytes[256] __attribute__((aligned(4)));
	struct nlmsghdr *message = mnl_nlmsg_put_header(bytes);
	struct xfrm_usersa_id *id;

	message->nlmsg_type = XFRM_MSG_DELSA;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	message->nlmsg_seq = netlink->sequence++;
	id = mnl_nlmsg_put_extra_header(message, sizeof(*id));
	id->family = AF_INET;
	id->proto = IPPROTO_ESP;
	id->spi = htonl(TRIAL_SPI);
	id->daddr.a4 = htonl(INADDR_LOOPBACK + 2);
	return netlink_ask(netlink, bytes, message->nlmsg_len, message->nlmsg_seq);
}

/* Outcome 1: the kernel cannot; `why` says what is missing. */
static int try_esp(char *why, size_t why_bytes)
{
	struct netlink netlink = NETLINK_CLOSED;
	int r = netlink_open(NETLINK_XFRM, false, &netlink);

	if (r < 0) {
		snprintf(why, why_bytes, "the kernel has no XFRM (%s)", strerror(-r));
		return 1;
	}
	r = add_state(&netlink);
	if (r == 0) {
		r = delete_state(&netlink);
	}
	netlink_close(&netlink);
	if (r < 0) {
		snprintf(why, why_bytes,
		        "the kernel does not take an ESP state with AES-256-GCM (%s)",
		        strerror(-r));
		return 1;
	}
	return 0;
}

static int try_interface(char *why, size_t why_bytes)
{
	AUTO(address) struct address *address = NULL;
	struct err err = { 0 };
	int r = address_open(&address, &err);

	if (r == 0) {
		r = address_tunnel_make(address, TRIAL_INTERFACE, "lo", TRIAL_IF_ID, &err);
	}
	if (r == 0) {
		r = address_link_remove(address, TRIAL_INTERFACE, &err);
	}
	if (r != 0) {
		snprintf(why, why_bytes, "the kernel has no xfrm interfaces (%.120s)", err.text);
		return 1;
	}
	return 0;
}

static int try_tun(char *why, size_t why_bytes)
{
	AUTO_FD int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		snprintf(why, why_bytes, "/dev/net/tun cannot be opened (%s)", strerror(errno));
		return 1;
	}
	return 0;
}

int dataplane_choose(enum dataplane wanted, struct dataplane_choice *ret_choice, struct err *err)
{
	char kernel[200] = "", user[200] = "";
	bool kernel_works = wanted != DATAPLANE_USERSPACE && try_esp(kernel, sizeof(kernel)) == 0 &&
	                    try_interface(kernel, sizeof(kernel)) == 0;

	*ret_choice = (struct dataplane_choice){ .dataplane = DATAPLANE_KERNEL,
		.tunnel = DATAPLANE_TUNNEL_KERNEL };
	if (kernel_works) {
		snprintf(ret_choice->why, sizeof(ret_choice->why),
		        "The kernel encrypts: it has ESP with AES-256-GCM and xfrm interfaces.");
		return 0;
	}
	if (wanted == DATAPLANE_KERNEL) {
		return err_set(
		        err, 1, "dataplane kernel is not possible here: %s; use auto", kernel);
	}
	if (try_tun(user, sizeof(user)) != 0) {
		return err_set(err, 1, "no dataplane is possible here: %s%s%s", kernel,
		        kernel[0] ? ", and " : "", user);
	}
	*ret_choice = (struct dataplane_choice){ .dataplane = DATAPLANE_USERSPACE,
		.tunnel = DATAPLANE_TUNNEL_USERSPACE };
	snprintf(ret_choice->why, sizeof(ret_choice->why), "charon encrypts (kernel-libipsec): %s.",
	        wanted == DATAPLANE_USERSPACE ? "so it is configured" : kernel);
	return 0;
}
