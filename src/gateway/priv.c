/*
 * Process priv: the only one that can open a gateway.
 *
 * It holds CAP_NET_ADMIN for the packet filter, addresses and conntrack, talks to charon over its
 * socket, and writes the journal. It has no network and no key. What comes from agent may be anybody's
 * words: a grant opens only by its seal, the pinned owner's policy and the rules of tunnel.c.
 *
 * Sandbox: opens files below its state directory and charon's socket, runs nft to load the table,
 * and has CAP_NET_ADMIN and nothing else.
 */
#include "gateway/priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "audit/record.h"
#include "base/file.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "base/str.h"
#include "gateway/message.h"
#include "wire/json.h"

#define RECONCILE_MSEC 5000
#define TABLE "sekisho"

void priv_send(struct priv *priv, uint16_t type, uint32_t tag, const struct buf *payload)
{
	if (priv->agent &&
		channel_send(priv->agent, type, tag, payload->bytes, payload->count) != 0) {
		log_warning("agent does not listen: it is dropped");
		priv->agent = channel_free(priv->agent);
	}
}

void priv_record(struct priv *priv, const void *record, size_t count)
{
	if (journal_append(priv->journal, record, count) != 0) {
		log_error("the journal cannot be written");
		loop_stop(priv->loop, 1);
	}
}

void priv_note(struct priv *priv, const char *kind, const char *subject, const char *text)
{
	struct record *record = record_begin(kind, clock_wall_usec());
	AUTO_BUF struct buf bytes = BUF(JOURNAL_RECORD_BYTES_MAX);

	record_actor(record, "gateway", trust_identity(priv->trust) ? trust_gateway(priv->trust) : "");
	record_subject(record, subject);
	record_text(record, "text", text);
	if (record_end(record, &bytes) == 0) {
		priv_record(priv, bytes.bytes, bytes.count);
	}
}

static void send_newest(struct priv *priv)
{
	AUTO_BUF struct buf payload = BUF(64);

	buf_add_u64(&payload, journal_newest(priv->journal));
	buf_add_u64(&payload, journal_oldest(priv->journal));
	priv_send(priv, MESSAGE_JOURNAL_NEWEST, 0, &payload);
}

/* --- charon ------------------------------------------------------------------------------------ */

static void charon_ready(struct priv *priv)
{
	struct tunnel_actions actions = { 0 };

	priv->charon_loaded = true;
	log_info("charon is ready");
	if (priv->machine) {
		tunnel_charon(priv->machine, true, clock_now(), &actions);
		priv_act(priv, &actions);
		priv_reconcile(priv);
	}
}

static void on_token(void *context, enum charon_outcome outcome, const char *text)
{
	struct priv *priv = context;

	if (outcome != CHARON_OK) {
		log_error("charon cannot use the key in the token: %s", text);
		priv_note(priv, "token.missing", "charon", text);
		return;
	}
	charon_ready(priv);
}

static void on_root(void *context, enum charon_outcome outcome, const char *text)
{
	if (outcome != CHARON_OK) {
		log_error("charon does not take the accreditor's root: %s", text);
	}
}

/* The pinned root and the key in the token, once both charon and the own certificate are there. */
static void load_credentials(struct priv *priv)
{
	char key_id[3];
	size_t root_bytes;
	const uint8_t *root = cert_der(trust_root(priv->trust), &root_bytes);

	if (!charon_alive(priv->charon) || priv->token_key == 0 || priv->charon_loaded) {
		return;
	}
	snprintf(key_id, sizeof(key_id), "%02x", priv->token_key);
	if (charon_load_authority(priv->charon, root, root_bytes, on_root, priv) != 0 ||
		charon_load_token(priv->charon, key_id, priv->pin, -1, on_token, priv) != 0) {
		log_error("charon's queue is full");
	}
}

static void on_charon_state(void *context, bool alive, const char *why)
{
	struct priv *priv = context;
	struct tunnel_actions actions = { 0 };

	if (alive) {
		load_credentials(priv);
		return;
	}
	log_warning("charon: %s", why);
	priv->charon_loaded = false;
	if (priv->machine) {
		tunnel_charon(priv->machine, false, clock_now(), &actions);
		priv_act(priv, &actions);
	}
}

static void on_charon_event(void *context, enum charon_event_type type, const struct charon_sa *sa)
{
	struct priv *priv = context;
	struct tunnel_actions actions = { 0 };

	if (!priv->machine || (type != CHARON_CHILD_UP && type != CHARON_CHILD_DOWN)) {
		return;
	}
	tunnel_child(
		priv->machine, sa->peer, sa->child, type == CHARON_CHILD_UP, clock_now(), &actions);
	priv_act(priv, &actions);
	send_newest(priv);
}

/* --- packet filter ------------------------------------------------------------------------------- */

static void load_filter(struct priv *priv)
{
	struct tunnel_actions actions = { 0 };
	struct err err = { 0 };
	bool ready = firewall_load(priv->firewall, &err) == 0;

	if (!ready) {
		log_error("the packet filter cannot be loaded: %s", err.text);
	} else {
		priv_apply_policy(priv);
	}
	if (priv->machine) {
		tunnel_filter(priv->machine, ready, clock_now(), &actions);
		priv_act(priv, &actions);
		priv_reconcile(priv);
	}
}

static void on_foreign(void *context, enum firewall_change change, const char *process)
{
	struct priv *priv = context;

	log_warning("\"%s\" changed the packet filter; it is put right", process);
	priv_note(priv, "gateway.repaired", process, "the packet filter was changed by another program");
	if (change != FIREWALL_ELEMENTS_CHANGED) {
		load_filter(priv);
	}
	priv_reconcile(priv);
}

/* Log 2: who sent how much through which connection, as the kernel counted it (I1). */
static void on_flow(void *context, const struct conntrack_flow *flow)
{
	struct priv *priv = context;
	char source[INET_ADDRSTRLEN], destination[INET_ADDRSTRLEN];
	AUTO_BUF struct buf bytes = BUF(JOURNAL_RECORD_BYTES_MAX);
	struct record *record;

	if (flow->kind != CONNTRACK_DESTROY || journal_full(priv->journal)) {
		return;
	}
	inet_ntop(AF_INET, &flow->original.source, source, sizeof(source));
	inet_ntop(AF_INET, &flow->original.destination, destination, sizeof(destination));
	record = record_begin("flow.seen", clock_wall_usec());
	record_actor(record, "host", source);
	record_number(record, "connection", flow->mark);
	record_text(record, "destination", destination);
	record_number(record, "protocol", flow->original.protocol);
	record_number(record, "port", flow->original.port);
	record_number(record, "bytes_out", (int64_t)flow->bytes_out);
	record_number(record, "bytes_in", (int64_t)flow->bytes_in);
	if (record_end(record, &bytes) == 0) {
		priv_record(priv, bytes.bytes, bytes.count);
		send_newest(priv);
	}
}

static void on_flows_lost(void *context)
{
	log_warning("flow events were lost: byte counts of the journal are incomplete");
}

/* --- the machine ------------------------------------------------------------------------------------ */

static int recall_record(void *context, const struct chain_link *link, const uint8_t *link_bytes,
	size_t link_count)
{
	struct priv *priv = context;
	struct err err = { 0 };

	if (tunnel_recall(priv->machine, link->record, link->record_bytes, &err) != 0) {
		log_error("journal record %llu: %s", (unsigned long long)link->seq, err.text);
		return 1;
	}
	return 0;
}

static int recall_nothing(void *context, const struct chain_link *link, const uint8_t *link_bytes,
	size_t link_count)
{
	return 0;
}

/* The machine is made once the own certificate is known. A later certificate is another identity:
 * the process ends and main starts one that has it; leases stay in the kernel meanwhile. */
static void start_machine(struct priv *priv)
{
	struct tunnel_actions actions = { 0 };
	struct tunnel_config config = { .provider = priv->config->provider,
		.site = trust_site(priv->trust), .gateway = trust_gateway(priv->trust),
		.identity = cert_dns_name(trust_identity(priv->trust), 0),
		.serial = cert_serial(trust_identity(priv->trust)), .boot = priv->boot,
		.grant_sec_max = priv->config->grant_sec_max,
		.trust = trust_for_tunnels(priv->trust) };

	priv->machine = tunnel_machine_new(&config);
	if (journal_read(priv->journal, 1, SIZE_MAX, recall_record, priv) != 0) {
		loop_stop(priv->loop, 1);
		return;
	}
	tunnel_policy_set(priv->machine, trust_provider_policy(priv->trust),
		trust_site_policy(priv->trust), clock_now(), &actions);
	tunnel_charon(priv->machine, priv->charon_loaded, clock_now(), &actions);
	tunnel_filter(priv->machine, firewall_check(priv->firewall) == 0, clock_now(), &actions);
	tunnel_start(priv->machine, clock_now(), &actions);
	priv_act(priv, &actions);
	priv_reconcile(priv);
	loop_timer_set(priv->reconcile, RECONCILE_MSEC);
}

static void on_tick(void *context)
{
	struct priv *priv = context;
	struct tunnel_actions actions = { 0 };

	if (priv->machine) {
		tunnel_tick(priv->machine, clock_now(), &actions);
		priv_act(priv, &actions);
	}
}

static void on_reconcile(void *context)
{
	struct priv *priv = context;

	priv_reconcile(priv);
	send_newest(priv);
	loop_timer_set(priv->reconcile, RECONCILE_MSEC);
}

/* --- agent -------------------------------------------------------------------------------------------- */

static int take_identity(struct priv *priv, struct cursor *cursor)
{
	struct err err = { 0 };
	uint8_t key = cursor_u8(cursor);
	size_t count;
	const uint8_t *der = cursor_block(cursor, &count);
	const struct cert *had = trust_identity(priv->trust);
	AUTO_STRING char *serial = had ? mem_string(cert_serial(had)) : NULL;

	if (!cursor_done(cursor)) {
		return 1;
	}
	if (trust_identity_set(priv->trust, der, count, &err) != 0) {
		log_error("the own service certificate is refused: %s", err.text);
		return 0;
	}
	if (serial && strcmp(serial, cert_serial(trust_identity(priv->trust))) != 0) {
		log_info("a new service certificate: starting again with it");
		loop_stop(priv->loop, GATEWAY_EXIT_RESTART);
		return 0;
	}
	priv->token_key = key;
	load_credentials(priv);
	if (!priv->machine) {
		start_machine(priv);
	}
	return 0;
}

static char *take_text(struct cursor *cursor)
{
	size_t count;
	const uint8_t *bytes = cursor_block(cursor, &count);
	char *text = mem_new(count + 1, 1);

	if (bytes) {
		memcpy(text, bytes, count);
	}
	return text;
}

static int take_event(struct priv *priv, struct cursor *cursor)
{
	AUTO_STRING char *name = take_text(cursor);
	AUTO_STRING char *data = take_text(cursor);

	if (!cursor_done(cursor)) {
		return 1;
	}
	priv_event(priv, name, data, strlen(data));
	send_newest(priv);
	return 0;
}

static int take_cut(struct priv *priv, struct cursor *cursor)
{
	AUTO_STRING char *id = take_text(cursor);
	AUTO_STRING char *by = take_text(cursor);
	AUTO_STRING char *reason = take_text(cursor);
	struct tunnel_actions actions = { 0 };

	if (!cursor_done(cursor)) {
		return 1;
	}
	if (priv->machine && *id == '\0') {
		tunnel_cut_all(priv->machine, by, reason, clock_now(), &actions);
	} else if (priv->machine) {
		tunnel_cut(priv->machine, id, by, reason, clock_now(), &actions);
	}
	priv_act(priv, &actions);
	send_newest(priv);
	return 0;
}

/* What agent may put on record. Everything else in the journal is priv's own word, which whoever
 * takes agent over cannot give. */
static bool is_note_of_agent(const char *kind)
{
	static const char *const kinds[] = { "center.found", "center.lost", "checkpoint.refused",
		"enrolment.refused", "token.missing" };

	for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
		if (text_equal(kinds[i], kind)) {
			return true;
		}
	}
	return false;
}

static int take_note(struct priv *priv, struct cursor *cursor)
{
	AUTO_STRING char *kind = take_text(cursor);
	AUTO_STRING char *subject = take_text(cursor);
	AUTO_STRING char *text = take_text(cursor);

	if (!cursor_done(cursor) || !is_note_of_agent(kind)) {
		return 1;
	}
	priv_note(priv, kind, subject, text);
	return 0;
}

struct batch {
	struct buf payload;
	uint32_t count;
};

static int add_link(void *context, const struct chain_link *link, const uint8_t *link_bytes,
	size_t link_count)
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
	if (journal_read(priv->journal, from, JOURNAL_BATCH_COUNT_MAX, add_link, &batch) >= 0) {
		buf_add_u64(&payload, from);
		buf_add_u32(&payload, batch.count);
		buf_add(&payload, batch.payload.bytes, batch.payload.count);
		priv_send(priv, MESSAGE_JOURNAL, 0, &payload);
	}
	buf_clear(&batch.payload);
	return 0;
}

static json_t *connection_status(const struct tunnel_view *view)
{
	const struct grant *grant = view->grant;

	return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:i,s:s,s:I}", "id", grant->id.text, "state",
		tunnel_state_name(view->state), "from", grant->initiator.site, "from_host",
		grant->initiator.host, "to", grant->responder.site, "to_host", grant->responder.host,
		"port", (int)grant->port, "person", grant->person, "seconds_left",
		(json_int_t)((view->grant_end_usec - clock_monotonic_usec()) / USEC_PER_SEC));
}

static int answer_status(struct priv *priv, uint32_t tag)
{
	const struct site_policy *site = trust_site_policy(priv->trust);
	AUTO_JSON json_t *connections = json_array();
	AUTO_JSON json_t *status = NULL;
	AUTO_BUF struct buf text = BUF(MESSAGE_BYTES_MAX / 2);
	AUTO_BUF struct buf payload = BUF(MESSAGE_BYTES_MAX);

	for (size_t i = 0; priv->machine && i < tunnel_count(priv->machine); i++) {
		struct tunnel_view view = tunnel_at(priv->machine, i);

		json_array_append_new(connections, connection_status(&view));
	}
	status = json_pack("{s:O,s:b,s:b,s:s,s:I,s:I,s:I,s:b}", "connections", connections, "charon",
		charon_alive(priv->charon) && priv->charon_loaded, "filter",
		firewall_check(priv->firewall) == 0, "dataplane", dataplane_name(priv->dataplane),
		"policy_version", (json_int_t)(site ? site_policy_version(site) : 0), "journal_newest",
		(json_int_t)journal_newest(priv->journal), "journal_acknowledged",
		(json_int_t)journal_acknowledged(priv->journal), "disk_full",
		journal_full(priv->journal));
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

	switch (type) {
	case MESSAGE_EVENT:
		return take_event(priv, &cursor);
	case MESSAGE_IDENTITY:
		return take_identity(priv, &cursor);
	case MESSAGE_CUT:
		return take_cut(priv, &cursor);
	case MESSAGE_NOTE:
		return take_note(priv, &cursor);
	case MESSAGE_JOURNAL_READ:
		return take_journal_read(priv, &cursor);
	case MESSAGE_JOURNAL_ACK:
		journal_acknowledge(priv->journal, cursor_u64(&cursor), clock_wall_usec());
		return cursor_done(&cursor) ? 0 : 1;
	case MESSAGE_STATUS:
		return answer_status(priv, tag);
	default:
		return 1;
	}
}

static void on_agent_closed(void *context)
{
	struct priv *priv = context;

	log_warning("agent is gone");
	priv->agent = channel_free(priv->agent);
}

/* One agent at a time; a new one takes the place of the old. Who may connect is the socket's mode. */
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
	send_newest(priv);
}

/* --- start ---------------------------------------------------------------------------------------------- */

static int listen_for_agent(struct priv *priv, struct err *err)
{
	AUTO_STRING char *path = gateway_run_path(priv->config, GATEWAY_PRIV_SOCKET);
	const struct passwd *user = getpwnam(priv->config->user);
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	mode_t old;
	int r;

	if (!user || text_copy(address.sun_path, sizeof(address.sun_path), path) != 0) {
		return err_set(err, 1, "no user %s, or %s is too long", priv->config->user, path);
	}
	unlink(path);
	priv->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	old = umask(0177);
	r = priv->listen_fd < 0 ? -1 : bind(priv->listen_fd, (void *)&address, sizeof(address));
	umask(old);
	if (r < 0 || chown(path, user->pw_uid, user->pw_gid) < 0 || listen(priv->listen_fd, 4) < 0) {
		return err_set(err, 1, "cannot listen on %s: %s", path, strerror(errno));
	}
	return loop_watch(
		priv->loop, priv->listen_fd, EPOLLIN, on_connect, priv, &priv->listen_watch);
}

static int open_firewall(struct priv *priv, struct err *err)
{
	static const struct firewall_handlers handlers = { .foreign = on_foreign, .flow = on_flow,
		.flows_lost = on_flows_lost };
	const char *wan[] = { priv->config->wan }, *lan[] = { priv->config->lan };
	struct firewall_input inputs[16];
	size_t input_count = 0;
	AUTO_STRING char *ports = mem_string(priv->config->allow_local);
	char *rest = ports, *word;
	struct firewall_config config = { .table = TABLE, .wan = wan, .wan_count = 1, .lan = lan,
		.lan_count = 1,
		.tunnel = priv->dataplane == DATAPLANE_KERNEL ? DATAPLANE_TUNNEL_KERNEL :
								DATAPLANE_TUNNEL_USERSPACE,
		.kernel_esp = priv->dataplane == DATAPLANE_KERNEL, .service_prefix_bits = 10,
		.inputs = inputs };

	inet_pton(AF_INET, "100.64.0.0", &config.service_prefix);
	while (rest && (word = strsep(&rest, ", ")) && input_count < ARRAY_COUNT(inputs)) {
		uint64_t port;

		if (*word && unsigned_parse(word, 65535, &port) == 0) {
			inputs[input_count++] = (struct firewall_input){ .interface = priv->config->lan,
				.protocol = IPPROTO_TCP, .port = (uint16_t)port };
		}
	}
	config.inputs_count = input_count;
	if (firewall_new(priv->loop, &config, &handlers, priv, &priv->firewall, err) != 0 ||
		firewall_load(priv->firewall, err) != 0) {
		return 1;
	}
	return 0;
}

static int open_network(struct priv *priv, struct err *err)
{
	static const struct charon_handlers handlers = { .event = on_charon_event,
		.state = on_charon_state };
	AUTO_STRING char *socket_path = gateway_run_path(priv->config, "charon/charon.vici");
	struct in_addr pool;

	inet_pton(AF_INET, "100.64.0.0", &pool);
	/* Forwarding is turned on only behind the filter and the blackhole route. */
	if (address_open(&priv->address, err) != 0 || open_firewall(priv, err) != 0 ||
		address_bridge_make(priv->address, GATEWAY_BRIDGE, err) != 0 ||
		address_blackhole_add(priv->address, pool, 10, err) != 0 ||
		address_settings_apply(err) != 0 ||
		address_find(priv->address, priv->config->wan, &priv->wan, err) != 0) {
		return 1;
	}
	if (charon_new(priv->loop, socket_path, &handlers, priv, &priv->charon) < 0) {
		return err_set(err, 1, "cannot make the client of charon");
	}
	return 0;
}

static int read_boot(struct priv *priv, struct err *err)
{
	AUTO_BUF struct buf text = BUF(sizeof(priv->boot));

	if (file_read("/proc/sys/kernel/random/boot_id", &text, err) != 0) {
		return 1;
	}
	snprintf(priv->boot, sizeof(priv->boot), "%.36s", buf_text(&text));
	return 0;
}

static int open_all(struct priv *priv, struct err *err)
{
	AUTO_STRING char *state = gateway_state_path(priv->config, "priv");
	AUTO_STRING char *journal = gateway_state_path(priv->config, "priv/journal");
	struct trust_config trust = { .provider = priv->config->provider,
		.root_path = priv->config->trust_root, .owner_path = priv->config->site_owner,
		.state_dir = state };

	if (read_boot(priv, err) != 0 ||
		file_read_secret(priv->config->token_pin_file, priv->pin, sizeof(priv->pin), err) != 0 ||
		trust_open(&trust, &priv->trust, err) != 0 ||
		journal_open(journal, recall_nothing, priv, &priv->journal, err) != 0) {
		return GATEWAY_EXIT_CONFIG;
	}
	if (open_network(priv, err) != 0 || listen_for_agent(priv, err) != 0) {
		return 1;
	}
	priv_apply_policy(priv);
	return 0;
}

static int enter_sandbox(const struct priv *priv, struct err *err)
{
	AUTO_STRING char *state = gateway_state_path(priv->config, "priv");
	const struct sandbox_path paths[] = {
		{ state, SANDBOX_READ | SANDBOX_WRITE },
		{ priv->config->run_dir, SANDBOX_READ | SANDBOX_WRITE },
		{ "/usr", SANDBOX_READ | SANDBOX_EXECUTE },
		{ "/lib", SANDBOX_READ | SANDBOX_EXECUTE },
		{ "/lib64", SANDBOX_READ | SANDBOX_EXECUTE },
		{ "/etc/ld.so.cache", SANDBOX_READ },
		{ "/etc/iproute2", SANDBOX_READ },
		{ "/proc", SANDBOX_READ },
		{ "/dev/null", SANDBOX_READ | SANDBOX_WRITE },
		{ 0 },
	};
	static const char *const *const calls[] = { sandbox_calls_base, sandbox_calls_files,
		sandbox_calls_sockets, sandbox_calls_network, sandbox_calls_processes, NULL };

	return sandbox_enter(&(struct sandbox){ .calls = calls, .paths = paths,
				     .capabilities = 1ULL << CAP_NET_ADMIN },
		err);
}

/* Stopping shuts every connection; SIGHUP leaves them to the next process. */
static void on_signal(void *context, int signal)
{
	struct priv *priv = context;
	struct tunnel_actions actions = { 0 };

	if (signal == SIGTERM && priv->machine) {
		tunnel_cut_all(priv->machine, "gateway", "the gateway is stopped", clock_now(), &actions);
		priv_act(priv, &actions);
	}
	loop_stop(priv->loop, GATEWAY_EXIT_RESTART);
}

static void close_all(struct priv *priv)
{
	channel_free(priv->agent);
	loop_unwatch(priv->listen_watch);
	loop_timer_free(priv->tick);
	loop_timer_free(priv->reconcile);
	tunnel_machine_free(priv->machine);
	charon_free(priv->charon);
	firewall_free(priv->firewall);
	address_free(priv->address);
	journal_free(priv->journal);
	trust_free(priv->trust);
	loop_free(priv->loop);
	mem_wipe(priv->pin, sizeof(priv->pin));
}

int gateway_priv_main(const struct gateway_process *process)
{
	struct priv priv = { .config = process->config, .dataplane = process->dataplane,
		.listen_fd = -1 };
	struct err err = { 0 };
	int status;

	signal(SIGPIPE, SIG_IGN);
	json_object_seed(0); /* reads /dev/urandom, which the sandbox shuts */
	if (sandbox_prepare(&err) < 0 || loop_new(&priv.loop) < 0 ||
		loop_signal(priv.loop, SIGTERM, on_signal, &priv) < 0 ||
		loop_signal(priv.loop, SIGHUP, on_signal, &priv) < 0) {
		log_error("cannot start: %s", err.text);
		return 1;
	}
	priv.tick = loop_timer_new(priv.loop, on_tick, &priv);
	priv.reconcile = loop_timer_new(priv.loop, on_reconcile, &priv);
	status = open_all(&priv, &err);
	if (status != 0) {
		log_error("%s", err.text);
		close_all(&priv);
		return status;
	}
	if (enter_sandbox(&priv, &err) < 0) {
		log_error("sandbox: %s", err.text);
		close_all(&priv);
		return 1;
	}
	loop_timer_set(priv.tick, 1000);
	status = loop_run(priv.loop);
	close_all(&priv);
	return status < 0 ? 1 : status;
}
