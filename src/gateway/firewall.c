/*
 * Three sockets: one asks and waits for the kernel's answer, one hears of changes to nftables, one
 * of flows. Our own changes are told apart from others' by the netlink port they came from, which
 * for a forked nft is its process id.
 */
#include "gateway/firewall.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/str.h"
#include "gateway/firewall_private.h"

#define NFT_PROGRAM "/usr/sbin/nft"
#define NFT_MSEC_MAX 10000
#define LIST_ATTEMPTS_MAX 8 /* a list that changes while it is read is asked for again */

static void tell_foreign(void *context)
{
	struct firewall *firewall = context;

	for (int change = 0; change < CHANGE_COUNT; change++) {
		if (firewall->pending[change]) {
			firewall->pending[change] = false;
			firewall->handlers.foreign(
			        firewall->context, (enum firewall_change)change, firewall->process);
		}
	}
}

static void note_foreign(
        struct firewall *firewall, enum firewall_change change, const char *process)
{
	firewall->pending[change] = true;
	if (text_copy(firewall->process, sizeof(firewall->process), process) != 0) {
		firewall->process[0] = '\0';
	}
	loop_timer_set(firewall->tell, 0);
}

static void take_change(struct firewall *firewall, const struct nft_message *message)
{
	bool ours = message->port == firewall->ask.port ||
	            (firewall->loader > 0 && message->port == (uint32_t)firewall->loader);

	if (message->kind == NFT_GENERATION) {
		for (int change = 0; change < CHANGE_COUNT; change++) {
			if (firewall->touched[change]) {
				note_foreign(
				        firewall, (enum firewall_change)change, message->process);
			}
			firewall->touched[change] = false;
		}
		return;
	}
	if (ours || strcmp(message->table, firewall->table) != 0) {
		return;
	}
	switch (message->kind) {
	case NFT_TABLE_GONE:
		firewall->touched[FIREWALL_TABLE_GONE] = true;
		break;
	case NFT_ELEMENTS:
	case NFT_ELEMENTS_GONE:
		firewall->touched[FIREWALL_ELEMENTS_CHANGED] = true;
		break;
	default:
		firewall->touched[FIREWALL_RULES_CHANGED] = true;
		break;
	}
}

static void read_changes(struct firewall *firewall)
{
	int r;

	while ((r = netlink_receive(&firewall->changes, &firewall->in)) != 1) {
		const uint8_t *at = firewall->in.bytes;
		size_t left = firewall->in.count;
		struct nft_message message;

		if (r != 0) {
			note_foreign(firewall, FIREWALL_UNKNOWN, "");
			if (r < 0) {
				return;
			}
			continue;
		}
		while ((r = nft_message_next(&at, &left, &message)) == 0) {
			take_change(firewall, &message);
		}
		if (r == 2) {
			note_foreign(firewall, FIREWALL_UNKNOWN, "");
		}
	}
}

static void changes_ready(void *context, uint32_t events)
{
	read_changes(context);
}

static void flows_ready(void *context, uint32_t events)
{
	struct firewall *firewall = context;
	int r;

	while ((r = netlink_receive(&firewall->flows, &firewall->in)) != 1) {
		const uint8_t *at = firewall->in.bytes;
		size_t left = firewall->in.count;
		struct conntrack_flow flow;

		if (r != 0) {
			firewall->handlers.flows_lost(firewall->context);
			if (r < 0) {
				return;
			}
			continue;
		}
		/* The handler may ask us things, and that uses the buffer: hand out of a copy. */
		AUTO_BUF struct buf copy = BUF(NETLINK_READ_BYTES);

		buf_add(&copy, at, left);
		at = copy.bytes;
		while ((r = conntrack_next(&at, &left, &flow)) == 0) {
			if (flow.mark != 0 &&
			        (flow.kind == CONNTRACK_NEW || flow.kind == CONNTRACK_DESTROY)) {
				firewall->handlers.flow(firewall->context, &flow);
			}
		}
		if (r == 2) {
			firewall->handlers.flows_lost(firewall->context);
		}
	}
}

static int open_sockets(struct firewall *firewall)
{
	int r = netlink_open(NETLINK_NETFILTER, false, &firewall->ask);

	if (r == 0) {
		r = netlink_open(NETLINK_NETFILTER, true, &firewall->changes);
	}
	if (r == 0) {
		r = netlink_join(&firewall->changes, NFNLGRP_NFTABLES);
	}
	if (r == 0) {
		r = netlink_open(NETLINK_NETFILTER, true, &firewall->flows);
	}
	if (r == 0) {
		r = netlink_join(&firewall->flows, NFNLGRP_CONNTRACK_NEW);
	}
	if (r == 0) {
		r = netlink_join(&firewall->flows, NFNLGRP_CONNTRACK_DESTROY);
	}
	if (r == 0) {
		r = loop_watch(firewall->loop, firewall->changes.fd, EPOLLIN, changes_ready,
		        firewall, &firewall->changes_watch);
	}
	if (r == 0) {
		r = loop_watch(firewall->loop, firewall->flows.fd, EPOLLIN, flows_ready, firewall,
		        &firewall->flows_watch);
	}
	return r;
}

int firewall_new(struct loop *loop, const struct firewall_config *config,
        const struct firewall_handlers *handlers, void *context, struct firewall **ret_firewall,
        struct err *err)
{
	AUTO(firewall) struct firewall *firewall = mem_new(1, sizeof(*firewall));
	AUTO_BUF struct buf ruleset = BUF(RULESET_BYTES_MAX);
	int r;

	*firewall = (struct firewall){ .loop = loop,
		.handlers = *handlers,
		.context = context,
		.ask = NETLINK_CLOSED,
		.changes = NETLINK_CLOSED,
		.flows = NETLINK_CLOSED,
		.in = BUF(NETLINK_READ_BYTES) };
	firewall->tell = loop_timer_new(loop, tell_foreign, firewall);
	r = firewall_print(config, &ruleset, err);
	if (r != 0) {
		return r;
	}
	assert_always(text_copy(firewall->table, sizeof(firewall->table), config->table) == 0);
	firewall->ruleset = buf_take_text(&ruleset);
	firewall->families_count = config->services_count;
	for (size_t i = 0; i < config->services_count; i++) {
		firewall->families[i] = config->services[i].ip.family;
	}
	r = open_sockets(firewall);
	if (r < 0) {
		return err_set(err, FAULT(r), "netfilter's netlink sockets: %s", strerror(-r));
	}
	*ret_firewall = TAKE(firewall);
	return 0;
}

struct firewall *firewall_free(struct firewall *firewall)
{
	if (!firewall) {
		return NULL;
	}
	loop_unwatch(firewall->changes_watch);
	loop_unwatch(firewall->flows_watch);
	loop_timer_free(firewall->tell);
	netlink_close(&firewall->ask);
	netlink_close(&firewall->changes);
	netlink_close(&firewall->flows);
	buf_clear(&firewall->in);
	free(firewall->ruleset);
	free(firewall->away);
	free(firewall);
	return NULL;
}

_Noreturn static void run_nft(int input, int output)
{
	char *const argv[] = { (char *)NFT_PROGRAM, (char *)"-f", (char *)"-", NULL };
	char *const environment[] = { (char *)"PATH=/usr/sbin:/usr/bin", NULL };
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (dup2(input, 0) == 0 && dup2(output, 1) == 1 && dup2(output, 2) == 2) {
		execve(NFT_PROGRAM, argv, environment);
	}
	_exit(127);
}

/* Waits for nft to end. Outcome 1: it failed. */
static int await_nft(pid_t pid)
{
	AUTO_FD int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd wait = { .fd = pidfd, .events = POLLIN };
	int64_t end_usec = clock_monotonic_usec() + NFT_MSEC_MAX * USEC_PER_MSEC;
	int status = 0, ready;

	do {
		int64_t left = (end_usec - clock_monotonic_usec()) / USEC_PER_MSEC;

		ready = poll(&wait, 1, left > 0 ? (int)left : 0);
	} while (ready < 0 && errno == EINTR);
	if (pidfd < 0 || ready != 1) {
		kill(pid, SIGKILL);
	}
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR) {
			return FAULT(-errno);
		}
	}
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : 1;
}

static void take_words(int output, struct err *err)
{
	char words[400];
	ssize_t count = pread(output, words, sizeof(words) - 1, 0);

	words[count > 0 ? count : 0] = '\0';
	for (char *at = words; *at; at++) {
		*at = (unsigned char)*at < 0x20 ? ' ' : *at;
	}
	err_set(err, 1, "nft refused the ruleset: %s",
	        words[0] ? words : "it said nothing (is " NFT_PROGRAM " there?)");
}

int firewall_text_load(struct firewall *firewall, const char *text, struct err *err)
{
	AUTO_FD int input = memfd_create("ruleset", MFD_CLOEXEC);
	AUTO_FD int output = memfd_create("words", MFD_CLOEXEC);
	size_t count = strlen(text);
	pid_t pid;
	int r;

	if (input < 0 || output < 0 || pwrite(input, text, count, 0) != (ssize_t)count) {
		return err_set(
		        err, FAULT(-errno), "cannot hand the ruleset to nft: %s", strerror(errno));
	}
	pid = fork();
	if (pid < 0) {
		return err_set(err, FAULT(-errno), "cannot start nft: %s", strerror(errno));
	}
	if (pid == 0) {
		run_nft(input, output);
	}
	firewall->loader = pid;
	r = await_nft(pid);
	/* Its notifications are all here, as it has ended; its number may soon be another's. */
	read_changes(firewall);
	firewall->loader = 0;
	if (r == 1) {
		take_words(output, err);
	}
	return r < 0 ? FAULT(r) : r;
}

/* The sets may have gone: they are read and written anew at the next firewall_away_set(). */
static void away_unknown(struct firewall *firewall)
{
	firewall->bridge = firewall->away_known = false;
}

int firewall_load(struct firewall *firewall, struct err *err)
{
	away_unknown(firewall);
	return firewall_text_load(firewall, firewall->ruleset, err);
}

int firewall_unload(struct firewall *firewall, struct err *err)
{
	/* Adding first, so that a table that is not there is no error. */
	AUTO_STRING char *text = mem_format("add table ip %s\ndelete table ip %s\n"
	                                    "add table ip6 %s\ndelete table ip6 %s\n",
	        firewall->table, firewall->table, firewall->table, firewall->table);

	away_unknown(firewall);
	return firewall_text_load(firewall, text, err);
}

/* Looks through one datagram of answers to a batch. Outcome 1: the end is not in it. */
static int take_acks(const struct buf *in, const struct nft_batch *batch, uint32_t last, int *error)
{
	const uint8_t *at = in->bytes;
	size_t left = in->count;
	struct nft_message message;
	bool ended = false;
	int r;

	while ((r = nft_message_next(&at, &left, &message)) == 0) {
		if (message.kind != NFT_ACK || message.sequence < batch->first_sequence ||
		        message.sequence > last) {
			continue;
		}
		if (*error == 0) {
			*error = message.error;
		}
		ended |= message.sequence == last || message.sequence == batch->first_sequence;
	}
	if (r == 2) {
		return FAULT(-EBADMSG);
	}
	return ended ? 0 : 1;
}

/* Sends the batch and waits. Returns the kernel's answer or, negative as well, what went wrong on
 * the way there. */
int firewall_commit(struct firewall *firewall, struct nft_batch *batch)
{
	uint32_t last = batch->sequence - 1; /* the last change: the end message comes after it */
	int error = 0, r;

	nft_batch_end(batch);
	firewall->ask.sequence = batch->sequence;
	r = netlink_send(&firewall->ask, batch->out.bytes, batch->out.count);
	if (r < 0) {
		return FAULT(r);
	}
	do {
		r = netlink_receive(&firewall->ask, &firewall->in);
		if (r != 0) {
			return r < 0 ? FAULT(r) : FAULT(-ETIMEDOUT);
		}
		r = take_acks(&firewall->in, batch, last, &error);
	} while (r == 1);
	return r < 0 ? FAULT(r) : error;
}

void firewall_batch_start(struct firewall *firewall, struct nft_batch *batch)
{
	/* Far from wrapping, so that sequences of one batch compare. */
	if (firewall->ask.sequence > UINT32_MAX / 2) {
		firewall->ask.sequence = 1;
	}
	nft_batch_start(batch, firewall->table, firewall->ask.sequence);
}

static int outcome_of(int error)
{
	switch (error) {
	case 0:
		return 0;
	case -EEXIST:
	case -EBUSY:
		return FIREWALL_TAKEN;
	case -ENOENT:
		return FIREWALL_MISSING;
	case -ENFILE:
		return FIREWALL_FULL;
	default:
		return FAULT(error);
	}
}

static size_t part_of(size_t count)
{
	return count < NFT_BATCH_CHANGES_MAX ? count : NFT_BATCH_CHANGES_MAX;
}

/* Makes `count` changes, as many at once as the kernel takes; ends at the first that fails. */
int firewall_commit_list(
        struct firewall *firewall, firewall_change_add *add, const void *list, size_t count)
{
	for (size_t done = 0, part; done < count; done += part) {
		struct nft_batch batch;
		int r;

		part = part_of(count - done);
		firewall_batch_start(firewall, &batch);
		for (size_t i = 0; i < part; i++) {
			add(&batch, list, done + i);
		}
		r = outcome_of(firewall_commit(firewall, &batch));
		nft_batch_clear(&batch);
		if (r != 0) {
			return r;
		}
	}
	return 0;
}

struct lease_list {
	const struct nft_lease *leases;
	uint64_t timeout_msec;
};

static void add_lease(struct nft_batch *batch, const void *list, size_t place)
{
	const struct lease_list *set = list;

	nft_lease_set(batch, FIREWALL_LEASE_MAP, &set->leases[place], set->timeout_msec);
}

int firewall_lease_set(struct firewall *firewall, const struct nft_lease *leases, size_t count,
        uint64_t timeout_msec)
{
	struct lease_list list = { leases, timeout_msec };

	assert_always(timeout_msec > 0 && timeout_msec <= LEASE_SEC_MAX * 1000);
	return firewall_commit_list(firewall, add_lease, &list, count);
}

/* The way that does not depend on marks or on room in the map; dearer. */
static int remove_one(struct firewall *firewall, const struct nft_lease *lease)
{
	struct nft_batch batch;
	int r;

	firewall_batch_start(firewall, &batch);
	nft_lease_delete(&batch, FIREWALL_LEASE_MAP, lease);
	r = firewall_commit(firewall, &batch);
	nft_batch_clear(&batch);
	return r == -ENOENT ? 0 : r;
}

int firewall_lease_remove(struct firewall *firewall, const struct nft_lease *leases, size_t count)
{
	while (count > 0) {
		size_t part = part_of(count);
		struct nft_batch batch;
		int r;

		firewall_batch_start(firewall, &batch);
		for (size_t i = 0; i < part; i++) {
			nft_lease_remove(&batch, FIREWALL_LEASE_MAP, &leases[i]);
		}
		r = outcome_of(firewall_commit(firewall, &batch));
		nft_batch_clear(&batch);
		if (r == FIREWALL_MISSING) {
			return r;
		}
		for (size_t i = 0; r != 0 && i < part; i++) {
			int fault = remove_one(firewall, &leases[i]);

			if (fault < 0) {
				return FAULT(fault);
			}
		}
		leases += part;
		count -= part;
	}
	return 0;
}

typedef void element_each(void *context, const struct nft_element *element);

/* Takes what one datagram says of a list. Outcome 1: it goes on; outcome 2: it ended; outcome 3: it
 * changed meanwhile and is to be asked for again. */
static int take_list(
        const struct buf *in, uint32_t sequence, element_each *each, void *context, int *error)
{
	const uint8_t *at = in->bytes;
	size_t left = in->count;
	struct nft_message message;
	int r;

	while ((r = nft_message_next(&at, &left, &message)) == 0) {
		struct nft_element element;

		if (message.sequence != sequence) {
			continue;
		}
		if (message.interrupted) {
			return 3;
		}
		if (message.kind == NFT_ACK || message.kind == NFT_DONE) {
			*error = message.error;
			return 2;
		}
		while (message.kind == NFT_ELEMENTS &&
		        (r = nft_element_next(&message, &element)) == 0) {
			each(context, &element);
		}
		if (r == 2) {
			return FAULT(-EBADMSG);
		}
	}
	return r == 1 ? 1 : FAULT(-EBADMSG);
}

/* Lists once. Outcome FIREWALL_MISSING; outcome 3 as take_list(). */
static int list_once(struct firewall *firewall, enum ip_family family, const char *map,
        element_each *each, void *context)
{
	AUTO_BUF struct buf request = BUF(1024);
	uint32_t sequence = firewall->ask.sequence++;
	int error = 0, r;

	nft_list_encode(&request, family, firewall->table, map, sequence);
	r = netlink_send(&firewall->ask, request.bytes, request.count);
	if (r < 0) {
		return FAULT(r);
	}
	do {
		r = netlink_receive(&firewall->ask, &firewall->in);
		if (r != 0) {
			return r < 0 ? FAULT(r) : FAULT(-ETIMEDOUT);
		}
		r = take_list(&firewall->in, sequence, each, context, &error);
	} while (r == 1);
	if (r == 2) {
		return error == -ENOENT ? FIREWALL_MISSING : error < 0 ? FAULT(error) : 0;
	}
	return r < 0 ? FAULT(r) : r;
}

static void add_item(void *context, const struct nft_element *element)
{
	struct firewall_list *list = context;

	/* More than the map's size cannot come. */
	if (list->count < ELEMENTS_MAX &&
	        list->take(element, (uint8_t *)list->items + list->count * list->item_bytes) == 0) {
		list->count++;
	}
}

/* Of one family, added to the list. */
int firewall_list_family(struct firewall *firewall, enum ip_family family, const char *map,
        struct firewall_list *list)
{
	size_t before = list->count;
	int r = 3;

	for (int i = 0; r == 3 && i < LIST_ATTEMPTS_MAX; i++) {
		list->count = before;
		r = list_once(firewall, family, map, add_item, list);
	}
	return r == 3 ? FAULT(-EAGAIN) : r;
}

/* A list that is whole, and of each family of one moment. The caller frees list->items. */
int firewall_list_whole(struct firewall *firewall, const char *map, struct firewall_list *list)
{
	int r = 0;

	list->items = mem_new(ELEMENTS_MAX, list->item_bytes);
	list->count = 0;
	for (size_t i = 0; r == 0 && i < firewall->families_count; i++) {
		r = firewall_list_family(firewall, firewall->families[i], map, list);
	}
	return r;
}

static int take_lease(const struct nft_element *element, void *item)
{
	struct firewall_lease *lease = item;

	*lease = (struct firewall_lease){ .timeout_msec = element->timeout_msec,
		.left_msec = element->left_msec,
		.packets = element->packets,
		.bytes = element->bytes };
	return nft_element_lease(element, &lease->lease);
}

int firewall_lease_list(struct firewall *firewall, firewall_lease_each *each, void *context)
{
	struct firewall_list list = { .item_bytes = sizeof(struct firewall_lease),
		.take = take_lease };
	int r = firewall_list_whole(firewall, FIREWALL_LEASE_MAP, &list);

	for (size_t i = 0; r == 0 && i < list.count; i++) {
		each(context, (struct firewall_lease *)list.items + i);
	}
	free(list.items);
	return r < 0 ? FAULT(r) : r;
}

static int take_tuple(const struct nft_element *element, void *item)
{
	return nft_element_tuple(element, item);
}

int firewall_seen_list(struct firewall *firewall, firewall_seen_each *each, void *context)
{
	struct firewall_list list = { .item_bytes = sizeof(struct nft_lease), .take = take_tuple };
	int r = firewall_list_whole(firewall, FIREWALL_SEEN_SET, &list);

	for (size_t i = 0; r == 0 && i < list.count; i++) {
		each(context, (struct nft_lease *)list.items + i);
	}
	free(list.items);
	return r < 0 ? FAULT(r) : r;
}

int firewall_check(struct firewall *firewall)
{
	struct firewall_list list = { .item_bytes = sizeof(struct firewall_lease),
		.take = take_lease };
	int r = firewall_list_whole(firewall, FIREWALL_LEASE_MAP, &list);

	free(list.items);
	return r == FIREWALL_MISSING ? 1 : r < 0 ? FAULT(r) : 0;
}

/* Reads the answer to a conntrack request up to its end. */
static int take_flows(
        struct firewall *firewall, uint32_t sequence, firewall_flow_each *each, void *context)
{
	for (;;) {
		const uint8_t *at;
		size_t left;
		struct conntrack_flow flow;
		int r = netlink_receive(&firewall->ask, &firewall->in);

		if (r != 0) {
			return r < 0 ? FAULT(r) : FAULT(-ETIMEDOUT);
		}
		at = firewall->in.bytes;
		left = firewall->in.count;
		while ((r = conntrack_next(&at, &left, &flow)) == 0) {
			if (flow.sequence != sequence) {
				continue;
			}
			if (flow.kind == CONNTRACK_ACK || flow.kind == CONNTRACK_DONE) {
				return flow.error;
			}
			if (each && flow.kind != CONNTRACK_OTHER && flow.mark != 0) {
				each(context, &flow);
			}
		}
		if (r == 2) {
			return FAULT(-EBADMSG);
		}
	}
}

int firewall_flows_cut(struct firewall *firewall, uint32_t mark)
{
	AUTO_BUF struct buf request = BUF(1024);
	uint32_t sequence = firewall->ask.sequence++;
	int r;

	conntrack_cut_encode(&request, mark, sequence);
	r = netlink_send(&firewall->ask, request.bytes, request.count);
	if (r == 0) {
		r = take_flows(firewall, sequence, NULL, NULL);
	}
	return r < 0 && r != -ENOENT ? FAULT(r) : 0;
}

int firewall_flows_list(
        struct firewall *firewall, uint32_t mark, firewall_flow_each *each, void *context)
{
	AUTO_BUF struct buf request = BUF(1024);
	uint32_t sequence = firewall->ask.sequence++;
	int r;

	conntrack_list_encode(&request, mark, sequence);
	r = netlink_send(&firewall->ask, request.bytes, request.count);
	if (r == 0) {
		r = take_flows(firewall, sequence, each, context);
	}
	return r < 0 ? FAULT(r) : 0;
}
