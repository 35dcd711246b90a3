/*
 * The kernel and charon side of one gateway, driven by lines on stdin: what run.py uses to show
 * that filter, leases, addresses and VICI client work together on real parts.
 *
 *     gateway_driver DIRECTORY DATAPLANE PKCS11_MODULE PKCS11_SERVER
 *
 * Every command is answered by one line "reply RESULT TEXT [USEC us]"; what comes by itself are
 * lines that begin with "event".
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "gateway/address.h"
#include "gateway/charon.h"
#include "gateway/charon_config.h"
#include "gateway/dataplane.h"
#include "gateway/firewall.h"

#define WORDS_MAX 32
#define CERTIFICATE_BYTES_MAX 8192

static const char *directory, *module, *server;
static enum dataplane wanted;
static struct dataplane_choice choice;
static struct loop *loop;
static struct charon *charon;
static struct firewall *firewall;
static struct address *address;
static struct process *process;
static int64_t started_usec;

static void reply(int r, const char *text)
{
	printf("reply %d %s %lld us\n", r, text[0] ? text : "-",
	        (long long)(clock_monotonic_usec() - started_usec));
}

static void reply_done(void *context, enum charon_outcome outcome, const char *text)
{
	static const char *const names[] = { "refused", "ok", "timeout", "gone" };

	printf("reply %s %s %lld us\n", names[outcome], text[0] ? text : "-",
	        (long long)(clock_monotonic_usec() - started_usec));
}

static void show_event(void *context, enum charon_event_type type, const struct charon_sa *sa)
{
	static const char *const names[] = { "ike-up", "ike-down", "ike-rekeyed", "child-up",
		"child-down", "child-rekeyed" };

	printf("event %s %s %s %s %s in=%llu\n", names[type], sa->peer,
	        sa->child[0] ? sa->child : "-", sa->local_selector, sa->remote_selector,
	        (unsigned long long)sa->bytes_in);
}

static void show_state(void *context, bool alive, const char *why)
{
	printf("event charon %s %s\n", alive ? "alive" : "down", why);
}

static void show_sa(void *context, const struct charon_sa *sa)
{
	printf("event sa %s %s %s %s %s %s %s out=%llu if=%u\n", sa->peer,
	        sa->child[0] ? sa->child : "-", sa->ike_state,
	        sa->child_state[0] ? sa->child_state : "-", sa->remote_id, sa->local_selector,
	        sa->remote_selector, (unsigned long long)sa->bytes_out, sa->if_id);
}

static void show_foreign(void *context, enum firewall_change change, const char *name)
{
	static const char *const names[] = { "table-gone", "rules-changed", "elements-changed",
		"unknown" };

	printf("event foreign %s %s %lld\n", names[change], name,
	        (long long)clock_monotonic_usec());
}

static void show_flow(void *context, const struct conntrack_flow *flow)
{
	printf("event flow %s %s %s %u %u mark=%u out=%llu/%llu in=%llu/%llu %s\n",
	        flow->kind == CONNTRACK_NEW       ? "new"
	        : flow->kind == CONNTRACK_DESTROY ? "end"
	                                          : "listed",
	        ip_print(flow->original.source).text, ip_print(flow->original.destination).text,
	        flow->original.protocol, flow->original.port, flow->mark,
	        (unsigned long long)flow->packets_out, (unsigned long long)flow->bytes_out,
	        (unsigned long long)flow->packets_in, (unsigned long long)flow->bytes_in,
	        flow->start_usec > 0 && (flow->kind != CONNTRACK_DESTROY ||
	                                        flow->stop_usec >= flow->start_usec)
	                ? "timed"
	                : "untimed");
}

static void show_lost(void *context)
{
	printf("event flows-lost\n");
}

static void show_lease(void *context, const struct firewall_lease *lease)
{
	printf("event lease mark=%u port=%u timeout=%llu left=%llu packets=%llu bytes=%llu\n",
	        lease->lease.mark, lease->lease.port, (unsigned long long)lease->timeout_msec,
	        (unsigned long long)lease->left_msec, (unsigned long long)lease->packets,
	        (unsigned long long)lease->bytes);
}

static bool quitting;

static void charon_ended(void *context, struct process *ended, int status)
{
	printf("event charon-ended %d\n", status);
	process = process_free(ended);
	if (quitting) {
		loop_stop(loop, 0);
	}
}

static struct ip ip(const char *text)
{
	uint8_t bytes[16];
	bool six = strchr(text, ':') != NULL;

	if (inet_pton(six ? AF_INET6 : AF_INET, text, bytes) != 1) {
		fprintf(stderr, "not an address: %s\n", text);
		exit(2);
	}
	return ip_make(six ? IP_V6 : IP_V4, bytes);
}

/* setup: what a gateway does before the network is up. */
static void command_setup(char **words, struct err *err)
{
	static const char *const wan[] = { "wan0" };
	static const char *const lan[] = { "lan0" };
	static const struct firewall_input inputs[] = { { "lan0", IPPROTO_TCP, 22 } };
	static const struct firewall_handlers handlers = { show_foreign, show_flow, show_lost };
	const struct firewall_prefix services[] = { { ip("100.64.0.0"), 10 },
		{ ip("fd00:64::"), 32 } };
	struct firewall_config config = { .table = "sekisho",
		.wan = wan,
		.wan_count = 1,
		.lan = lan,
		.lan_count = 1,
		.services = services,
		.services_count = ARRAY_COUNT(services),
		.inputs = inputs,
		.inputs_count = 1 };
	int r = dataplane_choose(wanted, &choice, err);

	config.tunnel = choice.tunnel;
	config.kernel_esp = choice.dataplane == DATAPLANE_KERNEL;
	if (r == 0) {
		r = address_open(&address, err);
	}
	if (r == 0) {
		r = firewall_new(loop, &config, &handlers, NULL, &firewall, err);
	}
	if (r == 0) {
		r = firewall_load(firewall, err);
	}
	if (r == 0) {
		r = address_bridge_make(address, "svc0", err);
	}
	if (r == 0) {
		r = address_blackhole_add(address, services[0].ip, services[0].bits, err);
	}
	if (r == 0) {
		r = address_blackhole_add(address, services[1].ip, services[1].bits, err);
	}
	if (r == 0) {
		r = address_settings_apply("wan0", err);
	}
	reply(r, r == 0 ? choice.why : err->text);
}

/* wan: the address charon is to use. */
static void command_wan(char **words, struct err *err)
{
	struct ip found = { 0 };
	int r = address_find(address, words[1], IP_V4, &found, err);

	reply(r, r == 0 ? ip_print(found).text : err->text);
}

static void command_load(char **words, struct err *err)
{
	int r = firewall_load(firewall, err);

	reply(r, err->text);
}

static void command_start(char **words, struct err *err)
{
	static const struct charon_handlers handlers = { show_event, show_state };
	AUTO_STRING char *path = mem_format("%s/charon.vici", directory);
	struct charon_config config = { .directory = directory,
		.userspace_esp = choice.dataplane == DATAPLANE_USERSPACE,
		.pkcs11_module = module,
		.pkcs11_server = server,
		.ignored_interface = "svc0" };
	int r = charon_spawn(loop, &config, charon_ended, NULL, &process, err);

	if (r == 0 && !charon) {
		r = charon_new(loop, path, &handlers, NULL, &charon);
	}
	reply(r, err->text);
}

/* signal NUMBER: to charon. */
static void command_signal(char **words, struct err *err)
{
	process_signal(process, atoi(words[1]));
	reply(0, "");
}

static int call_failed(int r)
{
	if (r != 0) {
		reply(r, "not sent");
	}
	return r;
}

/* token ID PIN */
static void command_token(char **words, struct err *err)
{
	call_failed(charon_load_token(charon, words[1], words[2], -1, reply_done, NULL));
}

static void command_version(char **words, struct err *err)
{
	call_failed(charon_version(charon, reply_done, NULL));
}

static void command_flush(char **words, struct err *err)
{
	call_failed(charon_flush_certificates(charon, reply_done, NULL));
}

static void only_failure(void *context, enum charon_outcome outcome, const char *text)
{
	if (outcome != CHARON_OK) {
		reply_done(context, outcome, text);
	}
}

/* peer NAME LOCAL REMOTE LOCAL_ID REMOTE_ID CERTIFICATE PEER_CERTIFICATE AUTHORITY IF_ID
 * {CHILD LOCAL REMOTE} */
static void command_peer(char **words, struct err *err)
{
	AUTO_BUF struct buf certificate = BUF(CERTIFICATE_BYTES_MAX);
	AUTO_BUF struct buf peer_certificate = BUF(CERTIFICATE_BYTES_MAX);
	AUTO_BUF struct buf authority = BUF(CERTIFICATE_BYTES_MAX);
	struct charon_child children[8];
	struct charon_peer peer = { .name = words[1],
		.local_address = words[2],
		.remote_address = words[3],
		.local_id = words[4],
		.remote_id = words[5],
		.if_id = (uint32_t)atoi(words[9]),
		.children = children };

	for (char **word = words + 10; word[0] && peer.children_count < 8; word += 3) {
		children[peer.children_count++] = (struct charon_child){
			.name = word[0], .local = ip(word[1]), .remote = ip(word[2])
		};
	}
	if (file_read(words[6], &certificate, err) != 0 ||
	        file_read(words[7], &peer_certificate, err) != 0 ||
	        file_read(words[8], &authority, err) != 0) {
		reply(-1, err->text);
		return;
	}
	peer.peer_certificate = peer_certificate.bytes;
	peer.peer_certificate_bytes = peer_certificate.count;
	if (call_failed(charon_load_certificate(
	            charon, certificate.bytes, certificate.count, only_failure, NULL)) == 0 &&
	        call_failed(charon_load_authority(
	                charon, authority.bytes, authority.count, only_failure, NULL)) == 0) {
		call_failed(charon_load_peer(charon, &peer, reply_done, NULL));
	}
}

static void command_unload(char **words, struct err *err)
{
	call_failed(charon_unload_peer(charon, words[1], reply_done, NULL));
}

/* initiate PEER CHILD MSEC, terminate PEER CHILD|- MSEC */
static void command_initiate(char **words, struct err *err)
{
	call_failed(charon_initiate(charon, words[1], words[2], atoi(words[3]), reply_done, NULL));
}

static void command_terminate(char **words, struct err *err)
{
	const char *child = strcmp(words[2], "-") == 0 ? NULL : words[2];

	call_failed(charon_terminate(charon, words[1], child, atoi(words[3]), reply_done, NULL));
}

static void command_list(char **words, struct err *err)
{
	call_failed(charon_list(charon, show_sa, reply_done, NULL));
}

/* tunnel NAME IF_ID ADDRESS: kernel ESP only. */
static void command_tunnel(char **words, struct err *err)
{
	int r = address_tunnel_make(address, words[1], "wan0", (uint32_t)atoi(words[2]), err);

	if (r == 0) {
		r = address_route_add(address, ip(words[3]), words[1], err);
	}
	reply(r, err->text);
}

/* pairs {SERVICE REAL}: also puts the service addresses on the bridge. */
static void command_pairs(char **words, struct err *err)
{
	struct nft_pair pairs[WORDS_MAX];
	struct ip services[WORDS_MAX];
	size_t count = 0;
	int r;

	for (char **word = words + 1; word[0]; word += 2) {
		pairs[count] = (struct nft_pair){ ip(word[0]), ip(word[1]) };
		services[count++] = ip(word[0]);
	}
	r = address_set(address, "svc0", services, count, err);
	if (r == 0) {
		r = firewall_addresses_set(firewall, pairs, count);
	}
	reply(r, err->text);
}

static struct nft_lease lease(char **words)
{
	return (struct nft_lease){ .source = ip(words[1]),
		.destination = ip(words[2]),
		.protocol = (uint8_t)atoi(words[3]),
		.port = (uint16_t)atoi(words[4]),
		.mark = (uint32_t)atoi(words[5]) };
}

/* open SOURCE DESTINATION PROTOCOL PORT MARK MSEC: also renews. */
static void command_open(char **words, struct err *err)
{
	struct nft_lease one = lease(words);

	reply(firewall_lease_set(firewall, &one, 1, strtoull(words[6], NULL, 10)), "");
}

static void command_close(char **words, struct err *err)
{
	struct nft_lease one = lease(words);

	reply(firewall_lease_remove(firewall, &one, 1), "");
}

static void command_cut(char **words, struct err *err)
{
	reply(firewall_flows_cut(firewall, (uint32_t)atoi(words[1])), "");
}

static void command_leases(char **words, struct err *err)
{
	reply(firewall_lease_list(firewall, show_lease, NULL), "");
}

static void command_flows(char **words, struct err *err)
{
	reply(firewall_flows_list(firewall, (uint32_t)atoi(words[1]), show_flow, NULL), "");
}

static void command_check(char **words, struct err *err)
{
	reply(firewall_check(firewall), "");
}

static int compare_times(const void *left, const void *right)
{
	return *(const int64_t *)left < *(const int64_t *)right ? -1 : 1;
}

/* bench COUNT: medians of open, renew and close. */
static void command_bench(char **words, struct err *err)
{
	enum { ROUNDS_MAX = 1000 };
	static int64_t times[3][ROUNDS_MAX];
	int count = atoi(words[1]) < ROUNDS_MAX ? atoi(words[1]) : ROUNDS_MAX;
	char text[100];
	int r = 0;

	for (int i = 0; r == 0 && i < count; i++) {
		struct nft_lease one = { .source = { IP_V4,
			                         { 10, 0, (uint8_t)(i >> 8), (uint8_t)i } },
			.destination = ip("100.64.9.9"),
			.protocol = 6,
			.port = 104,
			.mark = 77 };

		for (int step = 0; r == 0 && step < 3; step++) {
			int64_t begin = clock_monotonic_usec();

			r = step < 2 ? firewall_lease_set(firewall, &one, 1, 60000)
			             : firewall_lease_remove(firewall, &one, 1);
			times[step][i] = clock_monotonic_usec() - begin;
		}
	}
	for (int step = 0; step < 3; step++) {
		qsort(times[step], (size_t)count, sizeof(int64_t), compare_times);
	}
	snprintf(text, sizeof(text), "median us: open %lld renew %lld close %lld",
	        (long long)times[0][count / 2], (long long)times[1][count / 2],
	        (long long)times[2][count / 2]);
	reply(r, text);
}

static void command_quit(char **words, struct err *err)
{
	quitting = true;
	if (process) {
		process_stop(process);
	} else {
		loop_stop(loop, 0);
	}
}

static const struct {
	const char *name;
	int words_min;
	void (*run)(char **words, struct err *err);
} commands[] = {
	{ "setup", 1, command_setup },
	{ "wan", 2, command_wan },
	{ "load", 1, command_load },
	{ "start", 1, command_start },
	{ "signal", 2, command_signal },
	{ "token", 3, command_token },
	{ "version", 1, command_version },
	{ "flush", 1, command_flush },
	{ "peer", 12, command_peer },
	{ "unload", 2, command_unload },
	{ "initiate", 4, command_initiate },
	{ "terminate", 4, command_terminate },
	{ "list", 1, command_list },
	{ "tunnel", 4, command_tunnel },
	{ "pairs", 1, command_pairs },
	{ "open", 7, command_open },
	{ "close", 6, command_close },
	{ "cut", 2, command_cut },
	{ "leases", 1, command_leases },
	{ "flows", 2, command_flows },
	{ "check", 1, command_check },
	{ "bench", 2, command_bench },
	{ "quit", 1, command_quit },
};

static void run_line(char *line)
{
	char *words[WORDS_MAX + 1] = { NULL };
	struct err err = { 0 };
	int count = 0;

	for (char *word = strtok(line, " "); word && count < WORDS_MAX; word = strtok(NULL, " ")) {
		words[count++] = word;
	}
	started_usec = clock_monotonic_usec();
	for (size_t i = 0; count > 0 && i < ARRAY_COUNT(commands); i++) {
		if (strcmp(commands[i].name, words[0]) == 0 && count >= commands[i].words_min) {
			commands[i].run(words, &err);
			return;
		}
	}
	reply(-1, "no such command");
}

static void read_lines(void *context, uint32_t events)
{
	static struct buf input = BUF(65536);
	char *end;
	uint8_t *room = buf_reserve(&input, 4096);
	ssize_t count = room ? read(0, room, 4096) : -1;

	if (count <= 0) {
		if (count == 0 || errno != EAGAIN) {
			loop_stop(loop, count == 0 ? 0 : 1);
		}
		return;
	}
	input.count += (size_t)count;
	while ((end = memchr(input.bytes, '\n', input.count))) {
		*end = '\0';
		run_line((char *)input.bytes);
		buf_drop(&input, (size_t)(end - (char *)input.bytes) + 1);
	}
}

int main(int argc, char **argv)
{
	struct loop_fd *watch;
	int r;

	if (argc != 5 || dataplane_parse(argv[2], &wanted) != 0) {
		fprintf(stderr,
		        "usage: gateway_driver DIRECTORY DATAPLANE PKCS11_MODULE PKCS11_SERVER\n");
		return 2;
	}
	directory = argv[1];
	module = argv[3];
	server = argv[4];
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	if (loop_new(&loop) != 0 || loop_watch(loop, 0, EPOLLIN, read_lines, NULL, &watch) != 0) {
		return 1;
	}
	r = loop_run(loop);
	charon_free(charon);
	process_free(process);
	firewall_free(firewall);
	address_free(address);
	loop_unwatch(watch);
	loop_free(loop);
	return r;
}
