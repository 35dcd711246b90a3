/*
 * Core: decides. It holds the state, the compiled policies, the database and the ledger, and takes
 * requests from the fronts one after the other; there is no second writer and so no race between
 * looking and doing.
 *
 * May touch: the database, the copy of the newest checkpoint, its channels. May not: the network,
 * any token or key, other files, programs.
 */
#include "center/core.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "center/agreements.h"
#include "center/exchange.h"
#include "center/ledger.h"
#include "center/live.h"
#include "center/mailbox.h"
#include "center/persons.h"
#include "center/policies.h"
#include "center/registry.h"
#include "center/routes.h"
#include "center/trust.h"
#include "center/work_orders.h"

#define SECOND_MSEC 1000
#define TICK_MSEC_MAX 1000
#define FIRST_TOKEN_DAYS 30

void core_must(int r, const char *what)
{
	if (r < 0) {
		log_error(
		        "cannot %s (%s): core ends, nothing of this was sent", what, strerror(-r));
		_exit(1);
	}
}

static void send_one(
        struct front_link *front, uint16_t type, uint32_t tag, const void *bytes, size_t count)
{
	/* A front that takes no more is as good as dead: it is cut off, and main starts another. */
	if (front->channel && channel_send(front->channel, type, tag, bytes, count) != 0) {
		log_error("front %u takes no more messages", front->index);
		front->channel = channel_free(front->channel);
	}
}

static void keep(struct center *center, struct front_link *front, enum message_type type,
        uint32_t tag, const void *bytes, size_t count)
{
	if (center->outbox_count == center->outbox_room) {
		center->outbox_room = center->outbox_room ? 2 * center->outbox_room : 64;
		center->outbox =
		        mem_resize(center->outbox, center->outbox_room, sizeof(struct outbox_item));
	}
	center->outbox[center->outbox_count++] = (struct outbox_item){ front, (uint16_t)type, tag,
		count > 0 ? mem_copy(bytes, count) : NULL, count };
}

void core_send(struct center *center, struct front_link *front, enum message_type type,
        uint32_t tag, const void *bytes, size_t count)
{
	if (store_in_transaction(center->store)) {
		keep(center, front, type, tag, bytes, count);
		return;
	}
	for (unsigned i = 0; i < FRONTS_MAX; i++) {
		if (!front || front == &center->fronts[i]) {
			send_one(&center->fronts[i], (uint16_t)type, tag, bytes, count);
		}
	}
}

bool core_may_grant(const struct center *center, struct err *err)
{
	if (!signer_client_up(center->signer)) {
		err_set(err, 0, "the signer is not there");
		return false;
	}
	if (center->disk_low) {
		err_set(err, 0, "the disk is nearly full");
		return false;
	}
	return true;
}

static int take_refused(struct center *center, const uint8_t *payload, size_t count)
{
	struct cursor cursor = CURSOR(payload, count);
	unsigned listener = cursor_u8(&cursor);
	uint64_t times = cursor_u64(&cursor);
	size_t address_count = 0, text_count = 0;
	const char *address = (const char *)cursor_block(&cursor, &address_count);
	const char *text = (const char *)cursor_block(&cursor, &text_count);
	struct record *record;

	if (!cursor_done(&cursor) || listener >= LISTENER_COUNT || address_count == 0 ||
	        text_count == 0 || address[address_count - 1] || text[text_count - 1]) {
		return 1;
	}
	center->counts.refusals += times > 0 ? times : 1;
	record = ledger_record(center, "gateway.refused", NULL);
	record_text(record, "listener", listener_name((enum listener)listener));
	record_text(record, "address", address);
	record_text(record, "reason", text);
	if (times > 0) {
		record_number(record, "count", (int64_t)times);
	}
	ledger_append(center, record);
	return 0;
}

static int on_front(
        void *context, uint16_t type, uint32_t tag, const uint8_t *payload, size_t payload_bytes)
{
	struct front_link *front = context;
	struct center *center = front->center;
	struct request request;

	switch (type) {
	case MESSAGE_REQUEST:
		if (request_unpack(payload, payload_bytes, &request) != 0) {
			return 1;
		}
		routes_serve(center, front, tag, &request);
		return 0;
	case MESSAGE_GONE:
		registry_stream_gone(center, front, tag);
		return 0;
	case MESSAGE_REFUSED:
		return take_refused(center, payload, payload_bytes);
	}
	return 1;
}

static void on_front_closed(void *context)
{
	struct front_link *front = context;

	log_warning("front %u is gone", front->index);
	front->channel = channel_free(front->channel);
	registry_front_gone(front->center, front);
}

static void drop_waiting_signer(struct center *center)
{
	if (center->signer_fd >= 0) {
		center->signer_watch = loop_unwatch(center->signer_watch);
		close(center->signer_fd);
		center->signer_fd = -1;
	}
}

/* The signer's first frame says that its tokens are open; before that a call would wait for it. */
static void on_signer_ready(void *context, uint32_t events)
{
	struct center *center = context;
	AUTO_BUF struct buf hello = BUF(16);
	uint16_t type;
	uint32_t tag;
	int fd = center->signer_fd;

	if (frame_receive(fd, &type, &tag, &hello) != 0) {
		drop_waiting_signer(center);
		return;
	}
	center->signer_watch = loop_unwatch(center->signer_watch);
	center->signer_fd = -1;
	signer_client_connect(center->signer, fd);
	center->signer_was_up = true;
	log_info("the signer is there");
	trust_renew(center);
	if (center->tree.size > center->checkpoint_size) {
		loop_timer_set(center->checkpoint_timer, 0);
	}
}

static void on_control(void *context, uint32_t events)
{
	struct center *center = context;
	struct front_link *front;
	enum control_kind kind;
	unsigned index;
	int fd, r = control_receive(PROCESS_CHANNEL_FD, &kind, &index, &fd);

	if (r != 0) {
		loop_stop(center->loop, 0);
		return;
	}
	if (kind == CONTROL_SIGNER) {
		drop_waiting_signer(center);
		center->signer_fd = fd;
		r = loop_watch(
		        center->loop, fd, EPOLLIN, on_signer_ready, center, &center->signer_watch);
		core_must(r, "wait for the signer");
		return;
	}
	if (kind == CONTROL_MAIL) {
		mailbox_connect(center, fd);
		return;
	}
	if (kind != CONTROL_FRONT || index >= FRONTS_MAX) {
		close(fd);
		return;
	}
	front = &center->fronts[index];
	front->channel = channel_free(front->channel);
	registry_front_gone(center, front);
	r = channel_new(center->loop, fd, on_front, on_front_closed, front, &front->channel);
	if (r < 0) {
		log_error("front %u cannot be joined: %s", index, strerror(-r));
	}
}

static void on_commit(void *context)
{
	ledger_commit(context);
}

static void on_checkpoint(void *context)
{
	ledger_publish(context);
}

static void set_tick(struct center *center)
{
	int64_t next = connection_next(center->machine), now = clock_monotonic_usec();
	int64_t wait = next == INT64_MAX ? TICK_MSEC_MAX : (next - now) / USEC_PER_MSEC + 1;

	loop_timer_set(center->tick_timer, wait < 0               ? 0
	                                   : wait > TICK_MSEC_MAX ? TICK_MSEC_MAX
	                                                          : wait);
}

static void on_tick(void *context)
{
	struct center *center = context;

	live_tick(center);
	set_tick(center);
}

static void flush_refusals(void *context, const char *source, uint64_t count)
{
	struct record *record = ledger_record(context, "request.refused", NULL);

	record_text(record, "source", source);
	record_number(record, "count", (int64_t)count);
	ledger_append(context, record);
}

/* The reserve is for cuts and their records (F07). */
static void watch_disk(struct center *center)
{
	uint64_t space = disk_free_bytes(center->config.state);
	bool low = space < DISK_FREE_BYTES_MIN;
	struct record *record;

	if (low == center->disk_low) {
		return;
	}
	center->disk_low = low;
	record = ledger_record(center, low ? "disk.full" : "disk.recovered", NULL);
	record_number(record, "free_bytes", (int64_t)space);
	ledger_append(center, record);
	log_write(low ? LOG_ERROR : LOG_INFO, "%llu bytes are free beside the database: %s",
	        (unsigned long long)space, low ? "no new grants" : "grants are given again");
}

static void on_second(void *context)
{
	struct center *center = context;
	struct err err;

	watch_disk(center);
	agreements_tick(center);
	work_orders_tick(center);
	mailbox_tick(center);
	refusals_flush(center->refusals, clock_monotonic_usec(), false, flush_refusals, center);
	if (signer_client_up(center->signer)) {
		/* Notices a signer that died or hangs between two calls. */
		if (signer_ping(center->signer, &err) != 0) {
			log_error("%s", err.text);
		}
		trust_renew(center);
	} else if (center->signer_was_up) {
		/* One that hangs is ended by main and started again. */
		static const char word = CONTROL_SIGNER;

		if (send(PROCESS_CHANNEL_FD, &word, 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
			log_warning("main cannot be told about the signer");
		}
		center->signer_was_up = false;
	}
	loop_timer_set(center->second_timer, SECOND_MSEC);
}

static void on_stop(void *context, int signal)
{
	loop_stop(((struct center *)context)->loop, 0);
}

/* The files of trust and the policies of the database stay; the switches of the file are read
 * again. */
static void on_reload(void *context, int signal)
{
	struct center *center = context;
	struct center_config config = { 0 };

	if (process_configure(center->arguments, "core", &config) != 0) {
		log_error("the old configuration stays");
		return;
	}
	center->config.certificate_sec = config.certificate_sec;
	center->config.crl_sec = config.crl_sec;
	center->config.ocsp_sec = config.ocsp_sec;
	center->config.approve_enrolments = config.approve_enrolments;
	center->config.acknowledge_sec = config.acknowledge_sec;
	center->config.report_due_sec = config.report_due_sec;
	center->config.review_due_sec = config.review_due_sec;
	center->config.remind_sec = config.remind_sec;
	center->config.remind_later_sec = config.remind_later_sec;
	work_orders_configure(center);
	ledger_append(center, ledger_record(center, "configuration.changed", NULL));
	center_config_clear(&config);
	log_info("the configuration was read again");
}

static int find_operator(void *context, const void *row)
{
	*(bool *)context = true;
	return 0;
}

/* The first token is the only one that nobody gave: made once, when there is no operator yet. */
static int make_first_token(struct center *center, const char *path, struct err *err)
{
	struct store_operator row = { .name = "first", .roles = "provider" };
	AUTO_STRING char *line = NULL;
	struct token_text token;
	bool any = false;
	int r = store_operator_list(center->store, "", 1, find_operator, &any);

	if (r < 0 || any) {
		return r;
	}
	row.created_usec = clock_wall_usec();
	row.expires_usec = row.created_usec + FIRST_TOKEN_DAYS * 24LL * 3600 * USEC_PER_SEC;
	token = exchange_token_new(row.token_hash);
	line = mem_format("%s\n", token.text);
	r = file_replace(path, line, strlen(line), 0600, err);
	mem_wipe(line, strlen(line));
	mem_wipe(&token, sizeof(token));
	if (r == 0) {
		struct record *record = ledger_record(center, "operator.added", row.name);

		record_text(record, "roles", row.roles);
		record_time(record, "expires", row.expires_usec);
		ledger_begin(center);
		core_must(store_operator_put(center->store, &row), "keep an operator");
		ledger_append(center, record);
		log_info("the first operator token is in %s", path);
	}
	return r;
}

static int open_state(struct center *center, struct err *err)
{
	int r = store_open(
	        center->config.database, center->config.checkpoint_copy, &center->store, err);

	if (r == 0) {
		r = ledger_open(center, err);
	}
	if (r == 0) {
		r = trust_open(center, err);
	}
	if (r == 0) {
		r = registry_open(center, err);
	}
	if (r == 0) {
		r = policies_open(center, err);
	}
	if (r == 0) {
		r = persons_open(center, err);
	}
	if (r == 0) {
		r = agreements_open(center, err);
	}
	return r;
}

static int start_loop(struct center *center)
{
	int r = loop_new(&center->loop);

	if (r == 0) {
		r = loop_watch(center->loop, PROCESS_CHANNEL_FD, EPOLLIN, on_control, center,
		        &center->control);
	}
	if (r == 0) {
		r = loop_signal(center->loop, SIGTERM, on_stop, center);
	}
	if (r == 0) {
		r = loop_signal(center->loop, SIGHUP, on_reload, center);
	}
	if (r == 0) {
		center->commit_timer = loop_timer_new(center->loop, on_commit, center);
		center->checkpoint_timer = loop_timer_new(center->loop, on_checkpoint, center);
		center->tick_timer = loop_timer_new(center->loop, on_tick, center);
		center->second_timer = loop_timer_new(center->loop, on_second, center);
	}
	return r;
}

static int start(struct center *center, struct err *err)
{
	static const char *const *const calls[] = { sandbox_calls_base, sandbox_calls_files,
		sandbox_calls_sockets, NULL };
	const char *first = center->arguments->first_token ? center->arguments->first_token
	                                                   : center->config.first_token;
	int r = sandbox_enter(
	        &(struct sandbox){ .calls = calls,
	                .paths = process_paths(center->arguments, &center->config, false, true) },
	        err);

	if (r == 0) {
		r = start_loop(center);
	}
	if (r == 0) {
		r = open_state(center, err);
	}
	if (r == 0) {
		watch_disk(center);
		r = work_orders_open(center, err);
	}
	if (r == 0) {
		r = live_open(center, err);
	}
	if (r == 0 && first) {
		r = make_first_token(center, first, err);
	}
	return r;
}

/* Nothing is closed in order: the kernel does it, and the store needs no good-bye. Streams end with
 * their fronts, gateways keep what their leases allow. */
static int end(struct center *center, int code)
{
	refusals_flush(center->refusals, clock_monotonic_usec(), true, flush_refusals, center);
	ledger_append(center, ledger_record(center, "center.stopped", NULL));
	ledger_publish(center);
	store_free(center->store);
	log_info("core ended");
	return code;
}

int core_main(const struct process_arguments *arguments)
{
	/* Static, as it lives as long as the process: at the end only what is lost leaks. */
	static struct center *center;
	struct record *record;
	struct err err = { 0 };
	int r;

	center = mem_new(1, sizeof(*center));
	center->arguments = arguments;
	center->signer_fd = -1;
	center->started_usec = clock_wall_usec();
	center->signer = signer_client_new();
	center->refusals = refusals_new();
	for (unsigned i = 0; i < FRONTS_MAX; i++) {
		center->fronts[i] = (struct front_link){ .center = center, .index = i };
	}
	if (sandbox_prepare(&err) < 0 ||
	        process_configure(arguments, "core", &center->config) != 0) {
		return 1;
	}
	signal(SIGPIPE, SIG_IGN);
	r = start(center, &err);
	if (r != 0) {
		log_error("core cannot start: %s",
		        *err.text ? err.text : strerror(r < 0 ? -r : EINVAL));
		return 1;
	}
	record = ledger_record(center, "center.started", NULL);
	record_text(record, "version", SEKISHO_VERSION);
	ledger_append(center, record);
	set_tick(center);
	loop_timer_set(center->second_timer, SECOND_MSEC);
	log_info("core serves: %llu records in the ledger", (unsigned long long)center->tree.size);
	return end(center, loop_run(center->loop));
}
