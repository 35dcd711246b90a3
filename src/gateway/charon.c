/*
 * A session is one connection to charon's socket; a call is one command with its deadline.
 *
 *   role     sessions  carries
 *   CONTROL  1         event registrations, then quick calls one after the other
 *   PING     1         `version` every CHARON_PING_MSEC
 *   WORK     0 to 16   one slow call each, then closed
 *
 * A call that misses its deadline takes its session with it: an answer that comes late could
 * otherwise be taken for that of the next command.
 */
#include "gateway/charon.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/str.h"
#include "gateway/charon_message.h"
#include "wire/vici.h"

#define READ_BYTES 16384
#define PACKET_BYTES_MAX (VICI_MESSAGE_BYTES_MAX + 4)
/* A list of every SA of a gateway arrives as one event each; this is for what has not been read. */
#define INPUT_BYTES_MAX (2 * PACKET_BYTES_MAX)
#define OUTPUT_BYTES_MAX (2 * PACKET_BYTES_MAX)
#define REASON_BYTES_MAX 512
#define SECRET_BYTES_MAX 1024 /* a load-token request */
#define WORK_GRACE_MSEC 1000  /* charon's own timeout answers first */

struct call {
	struct charon *charon;
	struct buf request; /* wiped before it is freed: it may hold a PIN */
	bool slow;
	struct loop_timer *deadline;
	struct session *session; /* NULL while it waits */
	charon_each *each;
	charon_done *done;
	void *context;
	struct call *next;
};

enum role { CONTROL, PING, WORK };

struct session {
	struct charon *charon;
	enum role role;
	int fd;
	struct loop_fd *watch;
	struct buf input, output;
	unsigned confirms; /* registrations that charon has not confirmed yet */
	bool ready;
	struct call *call;
	struct session *next; /* of the WORK sessions */
};

struct charon {
	struct loop *loop;
	struct sockaddr_un address;
	struct charon_handlers handlers;
	void *context;
	struct session *control, *ping, *work;
	size_t work_count;
	struct call *waiting, **waiting_end;
	size_t waiting_count;
	struct loop_timer *retry, *ping_timer, *ping_deadline;
	bool ping_answered, alive;
};

static void session_run(void *context, uint32_t events);
static void start_calls(struct charon *charon);

static void call_free(struct call *call)
{
	if (call->request.bytes) {
		mem_wipe(call->request.bytes, call->request.room);
	}
	buf_clear(&call->request);
	loop_timer_free(call->deadline);
	free(call);
}

static void call_end(struct call *call, enum charon_outcome outcome, const char *text)
{
	charon_done *done = call->done;
	void *context = call->context;

	call_free(call);
	done(context, outcome, text);
}

static void set_alive(struct charon *charon, bool alive, const char *why)
{
	if (charon->alive != alive) {
		charon->alive = alive;
		charon->handlers.state(charon->context, alive, why);
	}
}

/* Alive takes both: events come, and commands are answered. */
static void check_alive(struct charon *charon)
{
	if (charon->control && charon->control->ready && charon->ping_answered) {
		set_alive(charon, true, "charon answers");
	}
}

/* Closes and forgets the session; returns the call that was in flight on it. */
static struct call *session_drop(struct session *session)
{
	struct charon *charon = session->charon;
	struct call *call = session->call;

	if (session->role == CONTROL) {
		charon->control = NULL;
	} else if (session->role == PING) {
		charon->ping = NULL;
		charon->ping_answered = false;
		loop_timer_stop(charon->ping_timer);
		loop_timer_stop(charon->ping_deadline);
	} else {
		struct session **place = &charon->work;

		while (*place != session) {
			place = &(*place)->next;
		}
		*place = session->next;
		charon->work_count--;
	}
	loop_unwatch(session->watch);
	close(session->fd);
	if (session->output.bytes) {
		mem_wipe(session->output.bytes, session->output.room);
	}
	buf_clear(&session->input);
	buf_clear(&session->output);
	free(session);
	if (call) {
		call->session = NULL;
	}
	return call;
}

static void session_fail(struct session *session, const char *why)
{
	struct charon *charon = session->charon;
	bool vital = session->role != WORK;
	struct call *call = session_drop(session);

	loop_timer_set(charon->retry, CHARON_RETRY_MSEC);
	if (vital) {
		set_alive(charon, false, why);
	}
	if (call) {
		call_end(call, CHARON_GONE, why);
	}
}

/* Outcome 1: charon is not there (or has no room for us now); try again later. */
static int session_open(struct charon *charon, enum role role, struct session **ret_session)
{
	struct session *session;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int r;

	if (fd < 0) {
		return FAULT(-errno);
	}
	if (connect(fd, (struct sockaddr *)&charon->address, sizeof(charon->address)) < 0) {
		close(fd);
		return 1;
	}
	session = mem_new(1, sizeof(*session));
	*session = (struct session){ .charon = charon,
		.role = role,
		.fd = fd,
		.input = BUF(INPUT_BYTES_MAX),
		.output = BUF(OUTPUT_BYTES_MAX) };
	buf_reserve(&session->output, SECRET_BYTES_MAX);
	r = loop_watch(charon->loop, fd, EPOLLIN, session_run, session, &session->watch);
	if (r < 0) {
		close(fd);
		buf_clear(&session->output);
		free(session);
		return FAULT(r);
	}
	*ret_session = session;
	return 0;
}

/* Outcome 1: the connection broke; the caller decides what that means. */
static int session_flush(struct session *session)
{
	size_t wiped = session->output.count;

	while (session->output.count > 0) {
		ssize_t sent = send(session->fd, session->output.bytes, session->output.count,
		        MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent < 0 && errno == EAGAIN) {
			break;
		}
		if (sent < 0 && errno != EINTR) {
			return 1;
		}
		buf_drop(&session->output, sent > 0 ? (size_t)sent : 0);
	}
	loop_watch_events(session->watch, EPOLLIN | (session->output.count > 0 ? EPOLLOUT : 0u));
	if (wiped > 0 && session->output.count == 0) {
		mem_wipe(session->output.bytes, session->output.room);
	}
	return 0;
}

/* Written at once, so that charon works while we do something else. That it broke is not told from
 * inside a call: session_run() finds it again. */
static void session_send(struct session *session, const struct buf *packet)
{
	buf_add(&session->output, packet->bytes, packet->count);
	assert_always(!session->output.overflowed);
	if (session_flush(session) != 0) {
		loop_watch_events(session->watch, EPOLLIN | EPOLLOUT);
	}
}

static void session_register(struct session *session, const char *event)
{
	AUTO_BUF struct buf packet = BUF(PACKET_BYTES_MAX);

	assert_always(charon_message_register(&packet, event) == 0);
	session_send(session, &packet);
	session->confirms++;
}

static void send_ping(void *context)
{
	struct charon *charon = context;
	AUTO_BUF struct buf packet = BUF(PACKET_BYTES_MAX);

	assert_always(charon_message_plain(&packet, "version") == 0);
	session_send(charon->ping, &packet);
	loop_timer_set(charon->ping_deadline, CHARON_PING_DEADLINE_MSEC);
}

/* The session stays: should charon come to life again, its late answer is how we learn of it. */
static void ping_missed(void *context)
{
	struct charon *charon = context;

	charon->ping_answered = false;
	set_alive(charon, false, "charon does not answer");
}

static void connect_vital(void *context)
{
	struct charon *charon = context;
	bool again = false;

	if (!charon->control) {
		again |= session_open(charon, CONTROL, &charon->control) != 0;
		for (size_t i = 0; charon->control && i < CHARON_EVENT_NAMES_COUNT; i++) {
			session_register(charon->control, charon_event_names[i]);
		}
	}
	if (!charon->ping) {
		again |= session_open(charon, PING, &charon->ping) != 0;
		if (charon->ping) {
			send_ping(charon);
		}
	}
	if (again) {
		loop_timer_set(charon->retry, CHARON_RETRY_MSEC);
	}
	start_calls(charon);
}

static struct call *take_waiting(struct charon *charon, struct call **place)
{
	struct call *call = *place;

	*place = call->next;
	if (charon->waiting_end == &call->next) {
		charon->waiting_end = place;
	}
	call->next = NULL;
	charon->waiting_count--;
	return call;
}

static void session_start_call(struct session *session, struct call *call)
{
	session->call = call;
	call->session = session;
	session_send(session, &call->request);
	mem_wipe(call->request.bytes, call->request.count);
	buf_reset(&call->request);
}

/* A slow call begins with its own connection; a list first asks for its event. */
static bool start_slow(struct charon *charon, struct call **place)
{
	struct session *session = NULL;
	struct call *call;

	if (charon->work_count >= CHARON_PARALLEL_MAX) {
		return false;
	}
	if (session_open(charon, WORK, &session) != 0 || !session) {
		loop_timer_set(charon->retry, CHARON_RETRY_MSEC);
		return false;
	}
	session->next = charon->work;
	charon->work = session;
	charon->work_count++;
	call = take_waiting(charon, place);
	if (call->each) {
		session_register(session, "list-sa");
	}
	session_start_call(session, call);
	return true;
}

static void start_calls(struct charon *charon)
{
	struct call **place = &charon->waiting;
	bool slow_possible = true;

	while (*place) {
		struct session *control = charon->control;

		if ((*place)->slow) {
			slow_possible = slow_possible && start_slow(charon, place);
			if (slow_possible) {
				continue;
			}
		} else if (control && control->ready && !control->call) {
			session_start_call(control, take_waiting(charon, place));
			continue;
		}
		place = &(*place)->next;
	}
}

static void call_missed(void *context)
{
	struct call *call = context;
	struct charon *charon = call->charon;
	struct session *session = call->session;
	bool vital = false;

	if (session) {
		vital = session->role == CONTROL;
		session_drop(session);
		loop_timer_set(charon->retry, CHARON_RETRY_MSEC);
	} else {
		struct call **place = &charon->waiting;

		while (*place != call) {
			place = &(*place)->next;
		}
		take_waiting(charon, place);
	}
	if (vital) {
		set_alive(charon, false, "charon did not answer a command in time");
	}
	call_end(call, CHARON_TIMEOUT, "charon did not answer in time");
}

static void tell_sa(void *context, const struct charon_sa *sa)
{
	struct call *call = context;

	call->each(call->context, sa);
}

struct event {
	struct charon *charon;
	enum charon_event_type type;
};

static void tell_event(void *context, const struct charon_sa *sa)
{
	struct event *event = context;

	event->charon->handlers.event(event->charon->context, event->type, sa);
}

static void ignore_sa(void *context, const struct charon_sa *sa)
{
}

/* Outcome 1: not as the protocol says. */
static int take_event(struct session *session, const struct vici_packet *packet)
{
	struct event event = { .charon = session->charon };
	bool up;

	if (session->role == WORK) {
		return session->call && session->call->each &&
		                       charon_message_sas(packet->message, packet->message_bytes,
		                               tell_sa, session->call, &up) == 0
		               ? 0
		               : 1;
	}
	/* "up" may stand anywhere in the message: read it before anything is told. */
	if (charon_message_sas(packet->message, packet->message_bytes, ignore_sa, NULL, &up) != 0 ||
	        charon_message_event(packet->name, up, &event.type) != 0) {
		return 1;
	}
	return charon_message_sas(packet->message, packet->message_bytes, tell_event, &event, &up);
}

static void take_confirm(struct session *session)
{
	session->confirms--;
	if (session->confirms == 0 && session->role == CONTROL) {
		session->ready = true;
		check_alive(session->charon);
	}
}

/* Outcome 1: not as the protocol says. Otherwise the session may be gone when this returns; then
 * `ret_gone` is set. */
static int take_response(struct session *session, const struct vici_packet *packet, bool *ret_gone)
{
	struct charon *charon = session->charon;
	enum charon_outcome outcome = CHARON_REFUSED;
	char text[REASON_BYTES_MAX] = "charon does not know this command";
	struct call *call = session->call;

	if (session->role == PING) {
		loop_timer_stop(charon->ping_deadline);
		loop_timer_set(charon->ping_timer, CHARON_PING_MSEC);
		charon->ping_answered = true;
		check_alive(charon);
		return 0;
	}
	if (!call || (packet->type == VICI_RESPONSE &&
	                     charon_message_result(packet->message, packet->message_bytes, &outcome,
	                             text, sizeof(text)) != 0)) {
		return 1;
	}
	session->call = NULL;
	if (session->role == WORK) {
		*ret_gone = true;
		session_drop(session);
	}
	call_end(call, outcome, text);
	return 0;
}

static int take_packet(struct session *session, const struct vici_packet *packet, bool *ret_gone)
{
	switch (packet->type) {
	case VICI_RESPONSE:
	case VICI_COMMAND_UNKNOWN:
		return take_response(session, packet, ret_gone);
	case VICI_EVENT:
		return take_event(session, packet);
	case VICI_EVENT_CONFIRM:
		if (session->confirms == 0) {
			return 1;
		}
		take_confirm(session);
		return 0;
	default: /* an event that charon does not know is one we cannot do without */
		return 1;
	}
}

/* Outcome 1: not as the protocol says. */
static int take_packets(struct session *session, bool *ret_gone)
{
	size_t used = 0;
	int r = 0;

	while (r == 0 && !*ret_gone) {
		struct vici_packet packet;
		size_t count;

		r = vici_packet_parse(
		        session->input.bytes + used, session->input.count - used, &packet, &count);
		if (r == 0) {
			r = take_packet(session, &packet, ret_gone) == 0 ? 0 : 2;
			used += count;
		}
	}
	if (!*ret_gone) {
		buf_drop(&session->input, used);
	}
	return r == 2;
}

/* Outcome 1: charon closed. */
static int session_read(struct session *session)
{
	for (;;) {
		uint8_t *room = buf_reserve(&session->input, READ_BYTES);
		ssize_t count;

		if (!room) {
			/* Full: what is there is taken first, and epoll reports the rest again. */
			session->input.overflowed = false;
			return 0;
		}
		count = recv(session->fd, room, READ_BYTES, MSG_DONTWAIT);
		if (count > 0) {
			session->input.count += (size_t)count;
		} else if (count == 0 || (errno != EAGAIN && errno != EINTR)) {
			return 1;
		} else if (errno == EAGAIN) {
			return 0;
		}
	}
}

static void session_run(void *context, uint32_t events)
{
	struct session *session = context;
	struct charon *charon = session->charon;
	bool closed, gone = false;
	int r;

	closed = (events & EPOLLIN) != 0 && session_read(session) != 0;
	closed = closed || (events & (EPOLLERR | EPOLLHUP) && !(events & EPOLLIN));
	r = session->input.count > 0 ? take_packets(session, &gone) : 0;
	if (!gone && r != 0) {
		session_fail(session, "charon sent something that is not VICI");
	} else if (!gone && closed) {
		session_fail(session, "charon closed the connection");
	} else if (!gone && session_flush(session) != 0) {
		session_fail(session, "charon closed the connection");
	}
	start_calls(charon);
}

int charon_new(struct loop *loop, const char *socket_path, const struct charon_handlers *handlers,
        void *context, struct charon **ret_charon)
{
	struct charon *charon = mem_new(1, sizeof(*charon));

	*charon = (struct charon){ .loop = loop, .handlers = *handlers, .context = context };
	charon->waiting_end = &charon->waiting;
	charon->address.sun_family = AF_UNIX;
	if (text_copy(charon->address.sun_path, sizeof(charon->address.sun_path), socket_path) !=
	        0) {
		free(charon);
		return FAULT(-ENAMETOOLONG);
	}
	charon->retry = loop_timer_new(loop, connect_vital, charon);
	charon->ping_timer = loop_timer_new(loop, send_ping, charon);
	charon->ping_deadline = loop_timer_new(loop, ping_missed, charon);
	loop_timer_set(charon->retry, 0);
	*ret_charon = charon;
	return 0;
}

static void session_forget(struct session *session)
{
	struct call *call = session ? session_drop(session) : NULL;

	if (call) {
		call_free(call);
	}
}

struct charon *charon_free(struct charon *charon)
{
	if (!charon) {
		return NULL;
	}
	session_forget(charon->control);
	session_forget(charon->ping);
	while (charon->work) {
		session_forget(charon->work);
	}
	while (charon->waiting) {
		call_free(take_waiting(charon, &charon->waiting));
	}
	loop_timer_free(charon->retry);
	loop_timer_free(charon->ping_timer);
	loop_timer_free(charon->ping_deadline);
	free(charon);
	return NULL;
}

bool charon_alive(const struct charon *charon)
{
	return charon->alive;
}

static struct call *call_new(struct charon *charon, charon_done *done, void *context)
{
	struct call *call = mem_new(1, sizeof(*call));

	*call = (struct call){
		.charon = charon, .request = BUF(PACKET_BYTES_MAX), .done = done, .context = context
	};
	call->deadline = loop_timer_new(charon->loop, call_missed, call);
	return call;
}

/* Adopts the call. `encoded` is what building its request gave. */
static int call_submit(struct call *call, int encoded, int deadline_msec)
{
	struct charon *charon = call->charon;

	if (encoded != 0 || charon->waiting_count >= CHARON_QUEUE_COUNT_MAX) {
		call_free(call);
		return 1;
	}
	loop_timer_set(call->deadline, deadline_msec);
	*charon->waiting_end = call;
	charon->waiting_end = &call->next;
	charon->waiting_count++;
	start_calls(charon);
	return 0;
}

static int submit_plain(
        struct charon *charon, const char *command, charon_done *done, void *context)
{
	struct call *call = call_new(charon, done, context);

	return call_submit(
	        call, charon_message_plain(&call->request, command), CHARON_COMMAND_DEADLINE_MSEC);
}

int charon_version(struct charon *charon, charon_done *done, void *context)
{
	return submit_plain(charon, "version", done, context);
}

int charon_flush_certificates(struct charon *charon, charon_done *done, void *context)
{
	return submit_plain(charon, "flush-certs", done, context);
}

int charon_clear_credentials(struct charon *charon, charon_done *done, void *context)
{
	return submit_plain(charon, "clear-creds", done, context);
}

int charon_load_token(struct charon *charon, const char *key_id, const char *pin, int slot,
        charon_done *done, void *context)
{
	struct call *call = call_new(charon, done, context);

	/* All of it at once: a buffer that grows leaves copies of the PIN behind. */
	buf_reserve(&call->request, SECRET_BYTES_MAX);
	return call_submit(call, charon_message_token(&call->request, key_id, pin, slot),
	        CHARON_COMMAND_DEADLINE_MSEC);
}

int charon_load_authority(struct charon *charon, const uint8_t *der, size_t der_bytes,
        charon_done *done, void *context)
{
	struct call *call = call_new(charon, done, context);

	return call_submit(call, charon_message_certificate(&call->request, der, der_bytes, true),
	        CHARON_COMMAND_DEADLINE_MSEC);
}

int charon_load_certificate(struct charon *charon, const uint8_t *der, size_t der_bytes,
        charon_done *done, void *context)
{
	struct call *call = call_new(charon, done, context);

	return call_submit(call, charon_message_certificate(&call->request, der, der_bytes, false),
	        CHARON_COMMAND_DEADLINE_MSEC);
}

int charon_load_peer(
        struct charon *charon, const struct charon_peer *peer, charon_done *done, void *context)
{
	struct call *call = call_new(charon, done, context);

	return call_submit(
	        call, charon_message_peer(&call->request, peer), CHARON_COMMAND_DEADLINE_MSEC);
}

int charon_unload_peer(struct charon *charon, const char *peer, charon_done *done, void *context)
{
	struct call *call = call_new(charon, done, context);

	return call_submit(
	        call, charon_message_unload(&call->request, peer), CHARON_COMMAND_DEADLINE_MSEC);
}

int charon_initiate(struct charon *charon, const char *peer, const char *child, int timeout_msec,
        charon_done *done, void *context)
{
	struct call *call = call_new(charon, done, context);

	call->slow = true;
	return call_submit(call, charon_message_initiate(&call->request, peer, child, timeout_msec),
	        timeout_msec + WORK_GRACE_MSEC);
}

int charon_terminate(struct charon *charon, const char *peer, const char *child, int timeout_msec,
        charon_done *done, void *context)
{
	struct call *call = call_new(charon, done, context);

	call->slow = true;
	return call_submit(call,
	        charon_message_terminate(&call->request, peer, child, timeout_msec),
	        timeout_msec + WORK_GRACE_MSEC);
}

int charon_list(struct charon *charon, charon_each *each, charon_done *done, void *context)
{
	struct call *call = call_new(charon, done, context);

	call->slow = true;
	call->each = each;
	return call_submit(call, charon_message_plain(&call->request, "list-sas"),
	        CHARON_COMMAND_DEADLINE_MSEC);
}
