/*
 * Process priv: what agent says. Agent is on the network: whoever takes it over says anything here,
 * in any order and as often as he likes. So every message is checked by itself, one that is
 * malformed ends the sender, and none of them can do more than a hostile center could, which is
 * nothing that opens; a cut only ever shuts.
 */
#include "gateway/priv.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "gateway/message.h"
#include "wire/json.h"

#define CUT_REASON_BYTES_MAX 160
#define NOTE_TEXT_BYTES_MAX 1024
#define CONNECTIONS_SHOWN_MAX 512 /* of some 400 bytes each; all of them are counted */

void priv_newest_send(struct priv *priv)
{
	AUTO_BUF struct buf payload = BUF(64);

	buf_add_u64(&payload, journal_newest(priv->journal));
	buf_add_u64(&payload, journal_oldest(priv->journal));
	priv_send(priv, MESSAGE_JOURNAL_NEWEST, 0, &payload);
}

/* Outcome 1: longer than `count_max`, or with a zero byte inside. The caller frees. */
static int take_text(struct cursor *cursor, size_t count_max, char **ret_text)
{
	size_t count;
	const uint8_t *bytes = cursor_block(cursor, &count);

	*ret_text = mem_new(bytes ? count + 1 : 1, 1);
	if (!bytes || count > count_max || memchr(bytes, '\0', count)) {
		return 1;
	}
	memcpy(*ret_text, bytes, count);
	return 0;
}

static int take_identity(struct priv *priv, struct cursor *cursor)
{
	struct err err = { 0 };
	uint8_t key = cursor_u8(cursor);
	size_t count;
	const uint8_t *der = cursor_block(cursor, &count);
	int r;

	if (!cursor_done(cursor) || count > CERT_DER_BYTES_MAX) {
		return 1;
	}
	r = trust_identity_set(priv->trust, der, count, clock_wall_usec(), &err);
	if (r == TRUST_IDENTITY_OTHER) {
		log_info("a new service certificate: starting again with it; leases stay in the "
		         "kernel");
		loop_stop(priv->loop, GATEWAY_EXIT_RESTART);
		return 0;
	}
	if (r != 0) {
		log_error("the own service certificate is refused: %s", err.text);
		return 0;
	}
	if (priv->token_key == 0) {
		priv->token_key = key;
	}
	priv->token_tries = 0;
	priv_credentials_load(priv);
	if (!priv->machine) {
		priv_machine_start(priv);
	}
	return 0;
}

static int take_event(struct priv *priv, struct cursor *cursor)
{
	AUTO_STRING char *name = NULL;
	AUTO_STRING char *data = NULL;

	if (take_text(cursor, NAME_BYTES_MAX, &name) != 0 ||
	        take_text(cursor, JSON_BYTES_MAX, &data) != 0 || !cursor_done(cursor)) {
		return 1;
	}
	priv_event(priv, name, data, strlen(data));
	priv_newest_send(priv);
	return 0;
}

static int take_cut(struct priv *priv, struct cursor *cursor)
{
	AUTO_STRING char *id = NULL;
	AUTO_STRING char *by = NULL;
	AUTO_STRING char *reason = NULL;
	struct tunnel_actions actions = { 0 };

	/* The center's cuts are events: nobody here speaks in its name. */
	if (take_text(cursor, ID_BYTES_MAX, &id) != 0 ||
	        take_text(cursor, NAME_BYTES_MAX, &by) != 0 ||
	        take_text(cursor, CUT_REASON_BYTES_MAX, &reason) != 0 || !cursor_done(cursor) ||
	        !text_equal(by, "local") || (*id && !id_valid(id))) {
		return 1;
	}
	if (*id == '\0' || !priv->machine) {
		priv_shut(priv, by, reason);
	} else {
		tunnel_cut(priv->machine, id, by, reason, clock_now(), &actions);
		priv_act(priv, &actions);
	}
	priv_newest_send(priv);
	return 0;
}

/* What agent may put on record. Everything else in the journal is priv's own word, which whoever
 * takes agent over cannot give. */
static bool is_note_of_agent(const char *kind)
{
	static const char *const kinds[] = { "center.found", "center.lost", "checkpoint.refused",
		"enrolment.refused", "service.certificate-installed", "token.found",
		"token.missing" };

	for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
		if (text_equal(kinds[i], kind)) {
			return true;
		}
	}
	return false;
}

static int take_note(struct priv *priv, struct cursor *cursor)
{
	AUTO_STRING char *kind = NULL;
	AUTO_STRING char *subject = NULL;
	AUTO_STRING char *text = NULL;

	if (take_text(cursor, NAME_BYTES_MAX, &kind) != 0 ||
	        take_text(cursor, IDENTITY_BYTES_MAX, &subject) != 0 ||
	        take_text(cursor, NOTE_TEXT_BYTES_MAX, &text) != 0 || !cursor_done(cursor) ||
	        !is_note_of_agent(kind)) {
		return 1;
	}
	priv_note(priv, "agent", kind, subject, text);
	return 0;
}

struct batch {
	struct buf payload;
	uint32_t count;
};

static int add_link(
        void *context, const struct chain_link *link, const uint8_t *link_bytes, size_t link_count)
{
	struct batch *batch = context;

	if (batch->payload.count + link_count > MESSAGE_BYTES_MAX / 4) {
		return 1;
	}
	buf_add_block(&batch->payload, link_bytes, link_count);
	batch->count++;
	return 0;
}

static int take_journal_read(struct priv *priv, struct cursor *cursor)
{
	uint64_t from = cursor_u64(cursor);
	struct batch batch = { .payload = BUF(MESSAGE_BYTES_MAX) };
	AUTO_BUF struct buf payload = BUF(MESSAGE_BYTES_MAX);

	if (!cursor_done(cursor)) {
		return 1;
	}
	if (journal_read(priv->journal, from, JOURNAL_BATCH_COUNT_MAX, add_link, &batch) < 0) {
		log_error(
		        "the journal cannot be read from record %llu on", (unsigned long long)from);
		buf_reset(&batch.payload);
		batch.count = 0; /* agent asks again */
	}
	buf_add_u64(&payload, from);
	buf_add_u32(&payload, batch.count);
	buf_add(&payload, batch.payload.bytes, batch.payload.count);
	priv_send(priv, MESSAGE_JOURNAL, 0, &payload);
	buf_clear(&batch.payload);
	return 0;
}

static int take_journal_ack(struct priv *priv, struct cursor *cursor)
{
	uint64_t seq = cursor_u64(cursor);

	if (!cursor_done(cursor)) {
		return 1;
	}
	journal_acknowledge(priv->journal, seq, clock_wall_usec());
	return 0;
}

static json_t *connection_status(const struct tunnel_view *view)
{
	const struct grant *grant = view->grant;
	int64_t now = clock_monotonic_usec();

	return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:i,s:s,s:I,s:I}", "id", grant->id.text, "state",
	        tunnel_state_name(view->state), "from", grant->initiator.site, "from_host",
	        grant->initiator.host, "to", grant->responder.site, "to_host",
	        grant->responder.host, "port", (int)grant->port, "person", grant->person,
	        "seconds_left", (json_int_t)((view->grant_end_usec - now) / USEC_PER_SEC),
	        "lease_seconds_left",
	        (json_int_t)(view->lease_end_usec > now
	                             ? (view->lease_end_usec - now) / USEC_PER_SEC
	                             : 0));
}

static json_t *whole_status(struct priv *priv)
{
	const struct site_policy *site = trust_site_policy(priv->trust);
	size_t count = priv->machine ? tunnel_count(priv->machine) : 0;
	json_t *connections = json_array();
	int64_t last_usec;
	const char *last = log_last_error(&last_usec);

	for (size_t i = 0; i < count && i < CONNECTIONS_SHOWN_MAX; i++) {
		struct tunnel_view view = tunnel_at(priv->machine, i);

		json_array_append_new(connections, connection_status(&view));
	}
	return json_pack("{s:o,s:o,s:I,s:b,s:b,s:b,s:s,s:I,s:I,s:I,s:b,s:s,s:s}", "first_traffic",
	        priv_traffic_status(priv), "connections", connections, "connection_count",
	        (json_int_t)count, "identity", priv->machine != NULL, "charon",
	        charon_alive(priv->charon) && priv->charon_loaded, "filter",
	        firewall_check(priv->firewall) == 0, "dataplane", dataplane_name(priv->dataplane),
	        "policy_version", (json_int_t)(site ? site_policy_version(site) : 0),
	        "journal_newest", (json_int_t)journal_newest(priv->journal), "journal_acknowledged",
	        (json_int_t)journal_acknowledged(priv->journal), "disk_full",
	        journal_full(priv->journal), "last_error", last, "last_error_at",
	        *last ? time_print(last_usec).text : "");
}

/* What agent says of the stream only ever matters for what the own policy lets survive. */
static int take_link(struct priv *priv, struct cursor *cursor)
{
	struct tunnel_actions actions = { 0 };
	bool up = cursor_u8(cursor) != 0;

	if (!cursor_done(cursor)) {
		return 1;
	}
	if (priv->machine) {
		tunnel_link(priv->machine, up, clock_now(), &actions);
		priv_act(priv, &actions);
	}
	return 0;
}

static int answer_status(struct priv *priv, uint32_t tag)
{
	AUTO_JSON json_t *status = whole_status(priv);
	AUTO_BUF struct buf text = BUF(MESSAGE_BYTES_MAX / 2);
	AUTO_BUF struct buf payload = BUF(MESSAGE_BYTES_MAX);

	json_print(status, &text);
	buf_add_block(&payload, text.bytes, text.count);
	priv_send(priv, MESSAGE_STATUS_REPLY, tag, &payload);
	return 0;
}

static int on_message(
        void *context, uint16_t type, uint32_t tag, const uint8_t *payload, size_t payload_bytes)
{
	struct priv *priv = context;
	struct cursor cursor = CURSOR(payload, payload_bytes);
	int r;

	switch (type) {
	case MESSAGE_EVENT:
		r = take_event(priv, &cursor);
		break;
	case MESSAGE_IDENTITY:
		r = take_identity(priv, &cursor);
		break;
	case MESSAGE_LINK:
		r = take_link(priv, &cursor);
		break;
	case MESSAGE_CUT:
		r = take_cut(priv, &cursor);
		break;
	case MESSAGE_NOTE:
		r = take_note(priv, &cursor);
		break;
	case MESSAGE_JOURNAL_READ:
		r = take_journal_read(priv, &cursor);
		break;
	case MESSAGE_JOURNAL_ACK:
		r = take_journal_ack(priv, &cursor);
		break;
	case MESSAGE_TRAFFIC_ANSWER:
		r = priv_traffic_answer(priv, tag, &cursor);
		break;
	case MESSAGE_STATUS:
		r = payload_bytes == 0 ? answer_status(priv, tag) : 1;
		break;
	default:
		r = 1;
	}
	if (r != 0) {
		log_error("agent sent a message of type %u that cannot be: it is dropped", type);
	}
	return r;
}

static void on_agent_closed(void *context)
{
	struct priv *priv = context;
	struct tunnel_actions actions = { 0 };

	log_warning("agent is gone; what is open stays until its lease ends");
	priv->agent = channel_free(priv->agent);
	if (priv->machine) {
		tunnel_link(priv->machine, false, clock_now(), &actions);
		priv_act(priv, &actions);
	}
}

/* One agent at a time; a new one takes the place of the old. Who may connect is the socket's mode.
 */
static void on_connect(void *context, uint32_t events)
{
	struct priv *priv = context;
	int fd = accept4(priv->listen_fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0) {
		return;
	}
	priv->agent = channel_free(priv->agent);
	if (channel_new(priv->loop, fd, on_message, on_agent_closed, priv, &priv->agent) < 0) {
		log_error("cannot talk to agent");
		return;
	}
	priv_newest_send(priv);
}

int priv_agent_listen(struct priv *priv, struct err *err)
{
	AUTO_STRING char *path = gateway_run_path(priv->config, GATEWAY_PRIV_SOCKET);
	const struct passwd *user = getpwnam(priv->config->user);
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	mode_t old;
	int r;

	if (!user) {
		return err_set(err, 1, "there is no user \"%s\"", priv->config->user);
	}
	if (text_copy(address.sun_path, sizeof(address.sun_path), path) != 0) {
		return err_set(err, 1, "run_dir: %s is too long for a socket", path);
	}
	unlink(path);
	priv->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	old = umask(0177);
	r = priv->listen_fd < 0 ? -1 : bind(priv->listen_fd, (void *)&address, sizeof(address));
	umask(old);
	if (r < 0 || chown(path, user->pw_uid, user->pw_gid) < 0 ||
	        listen(priv->listen_fd, 4) < 0) {
		return err_set(err, 1, "cannot listen on %s: %s", path, strerror(errno));
	}
	return loop_watch(
	        priv->loop, priv->listen_fd, EPOLLIN, on_connect, priv, &priv->listen_watch);
}

void priv_agent_close(struct priv *priv)
{
	priv->agent = channel_free(priv->agent);
	priv->listen_watch = loop_unwatch(priv->listen_watch);
	if (priv->listen_fd >= 0) {
		close(priv->listen_fd);
		priv->listen_fd = -1;
	}
}
