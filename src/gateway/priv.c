/*
 * Process priv: the only one that can open a gateway.
 *
 * It holds CAP_NET_ADMIN for the packet filter, addresses and conntrack, talks to charon over its
 * socket, and writes the journal. It has no network and no key. What comes from agent may be
 * anybody's words (priv_agent.c): a grant opens only by its seal, the pinned owner's policy and the
 * rules of tunnel.c.
 *
 * Sandbox: CAP_NET_ADMIN and nothing else; opens files below its state directory only; executes nft
 * and nothing else; makes unix and netlink sockets and no others, so that it can reach charon and
 * the kernel and nobody beyond. The PIN, the pinned keys and the configuration are read before.
 */
#include "gateway/priv.h"

#include <arpa/inet.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "audit/record.h"
#include "base/file.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "base/str.h"
#include "gateway/message.h"
#include "wire/json.h"

#define RECONCILE_MSEC 5000
#define JUDGE_USEC                                                                                 \
	(60 * USEC_PER_SEC) /* dates of certificates, lists and statements pass by themselves */
/* charon logs in to the token with the PIN. So many tries follow each other; then they are rare,
 * because a real token counts wrong ones and locks (B9), until agent has found the token anew. */
#define TOKEN_TRIES 3
#define TOKEN_RARE_USEC (600 * USEC_PER_SEC)
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

bool priv_record_wanted(struct priv *priv, const char *kind)
{
	static const char *const kept[] = { "connection.", "lease.", "grant.accepted", "epoch.",
		"policy.activated", "disk." };

	if (!journal_full(priv->journal)) {
		return true;
	}
	for (size_t i = 0; i < ARRAY_COUNT(kept) && !strstr(kind, ".refused"); i++) {
		if (text_starts(kind, kept[i])) {
			return true;
		}
	}
	priv->unrecorded++;
	return false;
}

void priv_note(struct priv *priv, const char *actor, const char *kind, const char *subject,
        const char *text)
{
	AUTO_BUF struct buf bytes = BUF(JOURNAL_RECORD_BYTES_MAX);
	struct record *record;

	if (!priv_record_wanted(priv, kind)) {
		return;
	}
	record = record_begin(kind, clock_wall_usec());
	record_actor(record, actor, trust_identity(priv->trust) ? trust_gateway(priv->trust) : "");
	record_subject(record, subject);
	record_text(record, "text", text);
	if (record_end(record, &bytes) == 0) {
		priv_record(priv, bytes.bytes, bytes.count);
	} else {
		log_error("a record \"%s\" is too long for the journal and is lost", kind);
	}
}

/* The disk was full and has room again, or the other way round. */
static void watch_disk(struct priv *priv)
{
	bool full = journal_reserve(priv->journal) != 0;

	if (full && !priv->disk_said) {
		log_error("the disk is nearly full: no new connection is taken on");
		priv_note(priv, "gateway", "disk.full", "", priv->config->state_dir);
	} else if (!full && priv->disk_said) {
		AUTO_STRING char *text =
		        mem_format("%llu records of what was refused meanwhile were left out",
		                (unsigned long long)priv->unrecorded);

		log_info("the disk has room again; %s", text);
		priv_note(priv, "gateway", "disk.recovered", "", text);
		priv->unrecorded = 0;
	}
	priv->disk_said = full;
}

/* --- charon --- */

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

	priv->charon_loading = false;
	if (outcome != CHARON_OK) {
		log_error("charon cannot use the key in the token: %s", text);
		if (!priv->token_said) {
			priv->token_said = true;
			priv_note(priv, "gateway", "token.missing", "charon", text);
		}
		priv->token_tries++;
		kill(getppid(), GATEWAY_SIGNAL_CHARON);
		return;
	}
	priv->token_tries = 0;
	if (priv->token_said) {
		priv->token_said = false;
		priv_note(priv, "gateway", "token.found", "charon",
		        "charon uses the key in the token");
	}
	charon_ready(priv);
}

static void on_root(void *context, enum charon_outcome outcome, const char *text)
{
	if (outcome != CHARON_OK) {
		log_error("charon does not take the accreditor's root: %s", text);
	}
}

static void on_own(void *context, enum charon_outcome outcome, const char *text)
{
	if (outcome != CHARON_OK) {
		log_error("charon does not take the own service certificate: %s", text);
	}
}

static void on_cleared(void *context, enum charon_outcome outcome, const char *text)
{
	if (outcome != CHARON_OK) {
		log_error("charon does not forget old keys and certificates: %s", text);
	}
}

static void on_authority(void *context, enum charon_outcome outcome, const char *text)
{
	struct priv *priv = context;

	if (outcome != CHARON_OK) {
		log_error("charon does not take the service CA: %s", text);
		priv->authority = (struct key_hash){ 0 };
	}
}

void priv_authority_load(struct priv *priv)
{
	const struct cert *authority = trust_service_ca(priv->trust);
	const uint8_t *der;
	size_t count;

	if (!authority || !charon_alive(priv->charon) ||
	        key_hash_equal(cert_fingerprint(authority), priv->authority)) {
		return;
	}
	der = cert_der(authority, &count);
	if (charon_load_authority(priv->charon, der, count, on_authority, priv) != 0) {
		log_error("charon's queue is full");
		return;
	}
	priv->authority = cert_fingerprint(authority);
}

void priv_credentials_load(struct priv *priv)
{
	char key_id[3];
	size_t root_bytes, own_bytes;
	const uint8_t *root = cert_der(trust_root(priv->trust), &root_bytes), *own;

	if (!charon_alive(priv->charon) || priv->token_key == 0 || priv->charon_loaded ||
	        priv->charon_loading ||
	        (priv->token_tries >= TOKEN_TRIES &&
	                clock_monotonic_usec() - priv->credentials_usec < TOKEN_RARE_USEC)) {
		return;
	}
	snprintf(key_id, sizeof(key_id), "%02x", priv->token_key);
	own = cert_der(trust_identity(priv->trust), &own_bytes);
	priv->authority = (struct key_hash){ 0 };
	/* charon picks its own certificate by the name in it: an earlier one has to go first. */
	if (charon_clear_credentials(priv->charon, on_cleared, priv) != 0 ||
	        charon_load_authority(priv->charon, root, root_bytes, on_root, priv) != 0 ||
	        charon_load_certificate(priv->charon, own, own_bytes, on_own, priv) != 0 ||
	        charon_load_token(priv->charon, key_id, priv->pin, -1, on_token, priv) != 0) {
		log_error("charon's queue is full");
		return;
	}
	priv_authority_load(priv);
	priv->charon_loading = true;
	priv->credentials_usec = clock_monotonic_usec();
}

static void on_charon_state(void *context, bool alive, const char *why)
{
	struct priv *priv = context;
	struct tunnel_actions actions = { 0 };

	if (alive) {
		priv_credentials_load(priv);
		return;
	}
	log_warning("charon: %s", why);
	priv->charon_loaded = priv->charon_loading = false;
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
	priv->child_events++;
	tunnel_child(
	        priv->machine, sa->peer, sa->child, type == CHARON_CHILD_UP, clock_now(), &actions);
	priv_act(priv, &actions);
	priv_newest_send(priv);
}

/* --- packet filter --- */

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
	priv_note(priv, "gateway", "gateway.repaired", process,
	        "the packet filter was changed by another program");
	if (change != FIREWALL_ELEMENTS_CHANGED) {
		load_filter(priv);
	}
	priv_reconcile(priv);
}

/* Log 2: who sent how much through which connection, as the kernel counted it (I1). */
static void on_flow(void *context, const struct conntrack_flow *flow)
{
	struct priv *priv = context;
	AUTO_BUF struct buf bytes = BUF(JOURNAL_RECORD_BYTES_MAX);
	struct record *record;

	if (flow->kind != CONNTRACK_DESTROY || !priv_record_wanted(priv, "flow.seen")) {
		return;
	}
	record = record_begin("flow.seen", clock_wall_usec());
	record_actor(record, "host", ip_print(flow->original.source).text);
	record_number(record, "connection", flow->mark);
	record_text(record, "destination", ip_print(flow->original.destination).text);
	record_number(record, "protocol", flow->original.protocol);
	record_number(record, "port", flow->original.port);
	record_number(record, "bytes_out", (int64_t)flow->bytes_out);
	record_number(record, "bytes_in", (int64_t)flow->bytes_in);
	if (record_end(record, &bytes) == 0) {
		priv_record(priv, bytes.bytes, bytes.count);
		priv_newest_send(priv);
	}
}

static void on_flows_lost(void *context)
{
	log_warning("flow events were lost: byte counts of the journal are incomplete");
}

/* --- the machine --- */

static int recall_record(
        void *context, const struct chain_link *link, const uint8_t *link_bytes, size_t link_count)
{
	struct priv *priv = context;
	struct err err = { 0 };

	if (tunnel_recall(priv->machine, link->record, link->record_bytes, &err) != 0) {
		log_error("journal record %llu: %s", (unsigned long long)link->seq, err.text);
		return 1;
	}
	return 0;
}

static int recall_nothing(
        void *context, const struct chain_link *link, const uint8_t *link_bytes, size_t link_count)
{
	return 0;
}

/* The machine is made once the own certificate is known. A later certificate is another identity:
 * the process ends and main starts one that has it; leases stay in the kernel meanwhile. */
void priv_machine_start(struct priv *priv)
{
	struct tunnel_actions actions = { 0 };
	struct tunnel_config config = { .provider = priv->config->provider,
		.site = trust_site(priv->trust),
		.gateway = trust_gateway(priv->trust),
		.identity = cert_dns_name(trust_identity(priv->trust), 0),
		.serial = cert_serial(trust_identity(priv->trust)),
		.boot = priv->boot,
		.grant_sec_max = priv->config->grant_sec_max,
		.trust = trust_for_tunnels(priv->trust) };

	priv->machine = tunnel_machine_new(&config);
	if (journal_read(priv->journal, 1, SIZE_MAX, recall_record, priv) != 0) {
		/* Not by itself again: it would find the same. Nothing opens meanwhile. */
		log_error("the journal in %s/priv/journal cannot be used: keep a copy as evidence, "
		          "then "
		          "move it away and start again",
		        priv->config->state_dir);
		priv->machine = tunnel_machine_free(priv->machine);
		priv_shut(priv, "gateway", "the journal cannot be used");
		loop_stop(priv->loop, GATEWAY_EXIT_CONFIG);
		return;
	}
	tunnel_policy_set(priv->machine, trust_provider_policy(priv->trust),
	        trust_site_policy(priv->trust), clock_now(), &actions);
	tunnel_charon(priv->machine, priv->charon_loaded, clock_now(), &actions);
	tunnel_filter(priv->machine, firewall_check(priv->firewall) == 0, clock_now(), &actions);
	tunnel_start(priv->machine, clock_now(), &actions);
	/* A kept policy of another site went when the certificate said whose gateway this is. */
	priv_apply_policy(priv);
	priv_act(priv, &actions);
	priv_reconcile(priv);
	log_info("gateway %s of site %s, certificate %s", config.gateway, config.site,
	        config.serial);
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

/* A certificate, a revocation list or an accreditation may have run out: nobody tells of it. */
static void judge_again(struct priv *priv)
{
	struct tunnel_actions actions = { 0 };
	int64_t now = clock_monotonic_usec();

	if (priv->machine && now - priv->judged_usec >= JUDGE_USEC) {
		priv->judged_usec = now;
		tunnel_trust_changed(priv->machine, clock_now(), &actions);
		priv_act(priv, &actions);
	}
}

static void on_reconcile(void *context)
{
	struct priv *priv = context;

	loop_timer_set(priv->reconcile, RECONCILE_MSEC);
	watch_disk(priv);
	priv_credentials_load(priv);
	judge_again(priv);
	priv_reconcile(priv);
	priv_newest_send(priv);
}

/* --- start --- */

static struct firewall_prefix prefix_of(struct prefix prefix)
{
	return (struct firewall_prefix){ .ip = ip_make(prefix.address.family, prefix.address.bytes),
		.bits = prefix.bits };
}

static int open_firewall(struct priv *priv, struct err *err)
{
	static const struct firewall_handlers handlers = {
		.foreign = on_foreign, .flow = on_flow, .flows_lost = on_flows_lost
	};
	const char *wan[] = { priv->config->wan }, *lan[] = { priv->config->lan };
	struct firewall_input inputs[GATEWAY_LOCAL_PORTS_MAX];
	struct firewall_prefix services[2];
	struct firewall_config config = { .table = TABLE,
		.wan = wan,
		.wan_count = 1,
		.lan = lan,
		.lan_count = 1,
		.tunnel = priv->dataplane == DATAPLANE_KERNEL ? DATAPLANE_TUNNEL_KERNEL
		                                              : DATAPLANE_TUNNEL_USERSPACE,
		.kernel_esp = priv->dataplane == DATAPLANE_KERNEL,
		.services = services,
		.services_count = priv->config->services_count,
		.path_mtu = (unsigned)priv->config->path_mtu,
		.inputs = inputs,
		.inputs_count = priv->config->local_port_count };

	for (size_t i = 0; i < config.services_count; i++) {
		services[i] = prefix_of(priv->config->services[i]);
	}
	for (int zone = 0; zone < FIREWALL_ZONE_COUNT; zone++) {
		config.zones[zone].names = (const char *const *)priv->config->zone_interfaces[zone];
		config.zones[zone].count = priv->config->zone_interface_count[zone];
	}
	for (size_t i = 0; i < config.inputs_count; i++) {
		inputs[i] = (struct firewall_input){ .interface = priv->config->lan,
			.protocol = IPPROTO_TCP,
			.port = priv->config->local_ports[i] };
	}
	if (firewall_new(priv->loop, &config, &handlers, priv, &priv->firewall, err) != 0 ||
	        firewall_load(priv->firewall, err) != 0) {
		return 1;
	}
	return 0;
}

static int open_blackholes(struct priv *priv, struct err *err)
{
	for (size_t i = 0; i < priv->config->services_count; i++) {
		struct firewall_prefix prefix = prefix_of(priv->config->services[i]);

		if (address_blackhole_add(priv->address, prefix.ip, prefix.bits, err) != 0) {
			return 1;
		}
	}
	return 0;
}

static int open_network(struct priv *priv, struct err *err)
{
	static const struct charon_handlers handlers = { .event = on_charon_event,
		.state = on_charon_state };
	AUTO_STRING char *socket_path = gateway_run_path(priv->config, "charon/charon.vici");

	/* Forwarding is turned on only behind the filter and the blackhole route. */
	if (address_open(&priv->address, err) != 0 || open_firewall(priv, err) != 0 ||
	        address_bridge_make(priv->address, GATEWAY_BRIDGE, err) != 0 ||
	        open_blackholes(priv, err) != 0 ||
	        address_settings_apply(priv->config->wan, err) != 0) {
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
		.root_path = priv->config->trust_root,
		.owner_path = priv->config->site_owner,
		.state_dir = state,
		.services_count = priv->config->services_count };

	memcpy(trust.services, priv->config->services, sizeof(trust.services));
	if (read_boot(priv, err) != 0 ||
	        file_read_secret(priv->config->token_pin_file, priv->pin, sizeof(priv->pin), err) !=
	                0 ||
	        trust_open(&trust, &priv->trust, err) != 0 ||
	        journal_open(journal, recall_nothing, priv, &priv->journal, err) != 0) {
		return GATEWAY_EXIT_CONFIG;
	}
	if (open_network(priv, err) != 0 || priv_agent_listen(priv, err) != 0) {
		return 1;
	}
	priv_apply_policy(priv);
	return 0;
}

/* What the listed sets have not, and nft or the reading of it needs. */
static const char *const own_calls[] = { "memfd_create", "clone", "clone3", "fork", "vfork",
	"execve", "wait4", "waitid", "kill", "pipe2", "dup2", "pidfd_open", "setpgid", "arch_prctl",
	"set_tid_address", "prctl", "close_range", "setpriority", "getrusage", NULL };

static int enter_sandbox(const struct priv *priv, struct err *err)
{
	AUTO_STRING char *state = gateway_state_path(priv->config, "priv");
	const struct sandbox_path paths[] = {
		{ state, SANDBOX_READ | SANDBOX_WRITE },
		{ "/usr/sbin/nft", SANDBOX_READ | SANDBOX_EXECUTE },
		{ "/usr/lib", SANDBOX_READ },
		{ "/lib", SANDBOX_READ },
		{ "/lib64/ld-linux-x86-64.so.2", SANDBOX_READ | SANDBOX_EXECUTE },
		{ "/lib/ld-linux-aarch64.so.1", SANDBOX_READ | SANDBOX_EXECUTE },
		{ "/etc/ld.so.cache", SANDBOX_READ },
		{ "/etc/iproute2", SANDBOX_READ },
		{ "/dev/null", SANDBOX_READ | SANDBOX_WRITE },
		{ 0 },
	};
	static const char *const *const calls[] = { sandbox_calls_base, sandbox_calls_files,
		sandbox_calls_sockets, sandbox_calls_network, own_calls, NULL };
	static const int families[] = { AF_UNIX, AF_NETLINK, 0 };

	return sandbox_enter(&(struct sandbox){ .calls = calls,
	                             .paths = paths,
	                             .capabilities = 1ULL << CAP_NET_ADMIN,
	                             .families = families },
	        err);
}

/* Stopping shuts every connection; SIGHUP leaves them to the next process. */
static void on_signal(void *context, int signal)
{
	struct priv *priv = context;

	if (signal == SIGTERM) {
		priv_shut(priv, "gateway", "the gateway is stopped");
	}
	loop_stop(priv->loop, GATEWAY_EXIT_RESTART);
}

static void close_all(struct priv *priv)
{
	priv_agent_close(priv);
	priv_traffic_free(priv);
	loop_timer_free(priv->tick);
	loop_timer_free(priv->reconcile);
	tunnel_machine_free(priv->machine);
	charon_free(priv->charon);
	priv_act_close(priv);
	firewall_free(priv->firewall);
	address_free(priv->address);
	journal_free(priv->journal);
	trust_free(priv->trust);
	loop_free(priv->loop);
	mem_wipe(priv->pin, sizeof(priv->pin));
}

int gateway_priv_main(const struct gateway_process *process)
{
	struct priv priv = {
		.config = process->config, .dataplane = process->dataplane, .listen_fd = -1
	};
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
	priv_traffic_new(&priv);
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
	loop_timer_set(priv.reconcile, RECONCILE_MSEC);
	status = loop_run(priv.loop);
	close_all(&priv);
	return status < 0 ? 1 : status;
}
