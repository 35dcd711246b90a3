/*
 * What a decision costs in process, with everything in memory that a center of every medical
 * institution of Japan would have (L5): 250,000 sites in groups that permit ten million pairs, and
 * 10,000 sites with policies of eleven rules. A decision is measured as the center makes it: the
 * two sites are found by their names, the facts are filled in, policy_decide() is called.
 *
 * The requests are made before; their order is random, half of them are permitted, the rest are
 * refused for the reasons that occur. `small` is the same with a hundredth of everything, for the
 * growth. Usage: bench_decide [SECONDS of each run, 3].
 */
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "policy/decide.h"
#include "policy/index.h"

#define GROUP_SITES 41 /* 820 pairs */
#define NEIGHBOURS 5   /* a policy has rules for so many on either side */
#define REQUESTS 200000
#define SAMPLES 1000000
#define NOW (1764000000 * USEC_PER_SEC)

struct site {
	struct site_policy *policy; /* or NULL */
	struct policy_end_facts end;
};

struct world {
	uint32_t site_count, policy_count;
	struct provider_policy *provider;
	struct name_index names; /* the registry: a name to a position in `sites` */
	struct site *sites;
	struct policy_request *requests;
	double load_provider_sec, load_sites_sec;
	size_t bytes, pairs;
};

static uint64_t state = 20261124;

static uint32_t any(uint32_t below)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (uint32_t)(((state * 0x2545f4914f6cdd1dULL) >> 32) * below >> 32);
}

/* The core's own time: what others do on this machine is not the decision's. */
static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void fail(const char *what, const struct err *err)
{
	fprintf(stderr, "bench_decide: %s: %s\n", what, err->text);
	exit(1);
}

/* Names as they are given: not of one length, and not in the order of anything. */
static void site_name(uint32_t site, char *out, size_t room)
{
	static const char *const kinds[] = { "hospital", "clinic", "pharmacy", "care-home" };

	snprintf(out, room, "%s-%07" PRIu32, kinds[site % 4], site * 2654435761U % 10000019U);
}

/* A site is in a group of its neighbours and in one of sites from all over. */
static uint32_t group_member(const struct world *world, uint32_t group, uint32_t member)
{
	uint32_t groups = world->site_count / GROUP_SITES;

	return group < groups ? group * GROUP_SITES + member : (group - groups) + member * groups;
}

static void add_groups(struct world *world, struct buf *text)
{
	uint32_t groups = 2 * (world->site_count / GROUP_SITES);
	char name[64];

	for (uint32_t i = 0; i < groups; i++) {
		buf_add_format(text, "group g%u sites", i);
		for (uint32_t k = 0; k < GROUP_SITES; k++) {
			site_name(group_member(world, i, k), name, sizeof(name));
			buf_add_format(text, "%s%s", k % 20 == 19 ? "\n " : " ", name);
		}
		buf_add_text(text, " classes remote-maintenance results-delivery\n");
		world->pairs += GROUP_SITES * (GROUP_SITES - 1) / 2;
	}
}

static void load_provider(struct world *world)
{
	AUTO_BUF struct buf text = BUF(POLICY_PROVIDER_BYTES_MAX);
	struct err err = { "" };
	char name[64];
	double start;

	buf_add_text(&text, "sekisho provider-policy 1\nprovider p\nversion 1\npool 10.0.0.0/8\n");
	for (uint32_t i = 0; i < world->site_count; i++) {
		site_name(i, name, sizeof(name));
		buf_add_format(&text, "site %s prefix 10.%u.%u.%u/27\n", name, i >> 11 & 255,
		        i >> 3 & 255, (i & 7) << 5);
	}
	buf_add_text(&text, "class remote-maintenance duration 2h\nclass results-delivery\n"
	                    "class mail\n");
	add_groups(world, &text);
	start = seconds();
	if (text.overflowed ||
	        provider_policy_parse(buf_text(&text), text.count, &world->provider, &err) != 0) {
		fail("provider policy", &err);
	}
	world->load_provider_sec = seconds() - start;
}

/* Who is `step` places further in the same group. */
static uint32_t neighbour(uint32_t site, uint32_t step)
{
	return site / GROUP_SITES * GROUP_SITES + (site % GROUP_SITES + step) % GROUP_SITES;
}

static void site_text(uint32_t site, struct buf *text)
{
	char name[64];

	site_name(site, name, sizeof(name));
	buf_add_format(text,
	        "sekisho site-policy 1\nsite %s\nversion 1\ntime-zone +09:00\n"
	        "hours day mon-sun 00:00-00:00\n",
	        name);
	for (uint32_t k = 0; k < 6; k++) {
		buf_add_format(text, "host h%u address 192.168.1.%u service 10.%u.%u.%u zone %s\n",
		        k, k + 1, site >> 11 & 255, site >> 3 & 255, ((site & 7) << 5) + k + 1,
		        k == 0 ? "hsz" : "sz");
	}
	buf_add_text(text, "approver a key MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE");
	for (int k = 0; k < 86; k++) {
		buf_add_text(text, "A");
	}
	buf_add_text(text, "==\nset others h1 h2 h3\n");
	for (uint32_t step = 1; step <= NEIGHBOURS; step++) {
		site_name(neighbour(site, step), name, sizeof(name));
		buf_add_format(text,
		        "allow out%u from h4 to %s/h0 class remote-maintenance protocol tcp port "
		        "104,11112 approval standing\n",
		        step, name);
		site_name(neighbour(site, GROUP_SITES - step), name, sizeof(name));
		buf_add_format(text,
		        "allow in%u from %s/h4 to h0 class remote-maintenance protocol tcp port "
		        "104 "
		        "duration 1h hours day idle 15m concurrency 2\n",
		        step, name);
	}
	buf_add_format(text, "refuse no from %s/h9 to *\n", name);
}

static void load_sites(struct world *world)
{
	double spent = 0;
	struct err err = { "" };

	world->sites = mem_new(world->site_count, sizeof(*world->sites));
	for (uint32_t i = 0; i < world->site_count; i++) {
		struct site *site = &world->sites[i];
		AUTO_BUF struct buf text = BUF(POLICY_TEXT_BYTES_MAX);
		double start;
		char name[64];

		site_name(i, name, sizeof(name));
		if (name_index_add(&world->names, name) != i) {
			fail("names are not unique", &err);
		}
		site->end = (struct policy_end_facts){ CERTIFICATE_VALID, CERTIFICATE_VALID,
			FACT_YES, GATEWAY_ONLINE, FACT_NO, .beside = { FACT_YES, NULL, 0 } };
		if (i >= world->policy_count) {
			continue;
		}
		site_text(i, &text);
		start = seconds();
		if (site_policy_parse(buf_text(&text), text.count, &site->policy, &err) != 0 ||
		        site_policy_check(site->policy, 0, &err) != 0) {
			fail("site policy", &err);
		}
		spent += seconds() - start;
	}
	world->load_sites_sec = spent;
}

/* Half is permitted; the rest is refused by group, class, site's policy, host, port, approval. */
static void make_requests(struct world *world)
{
	world->requests = mem_new(REQUESTS, sizeof(*world->requests));
	for (uint32_t i = 0; i < REQUESTS; i++) {
		struct policy_request *request = &world->requests[i];
		uint32_t from = any(world->policy_count / GROUP_SITES * GROUP_SITES);
		uint32_t to = neighbour(from, 1 + any(NEIGHBOURS)), kind = any(20);

		*request = (struct policy_request){ .from.host = "h4",
			.to.host = "h0",
			.class = SERVICE_REMOTE_MAINTENANCE,
			.protocol = PROTOCOL_TCP,
			.port = 104,
			.person = "suzuki",
			.work_order = "01JD0000000000000000000000" };
		switch (kind) {
		case 0:
		case 1:
			to = any(world->site_count);
			break;
		case 2:
			request->class = SERVICE_MAIL;
			break;
		case 3:
			request->class = SERVICE_RESULTS_DELIVERY;
			break;
		case 4:
			strcpy(request->to.host, "h9");
			break;
		case 5:
		case 6:
			request->port = 11112;
			break;
		case 7:
			request->duration_sec = 7200;
			break;
		case 8:
		case 9:
			request->work_order[0] = '\0';
			break;
		default:
			break;
		}
		site_name(from, request->from.site, sizeof(request->from.site));
		site_name(to, request->to.site, sizeof(request->to.site));
	}
}

static void load(struct world *world, uint32_t site_count, uint32_t policy_count)
{
	size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;

	*world = (struct world){ .site_count = site_count, .policy_count = policy_count };
	load_provider(world);
	load_sites(world);
	world->bytes = mallinfo2().uordblks + mallinfo2().hblkhd - before;
	make_requests(world);
}

/* Both sites, side by side: see policy_decide(). */
static bool find(const struct world *world, const struct policy_request *request,
        const struct site *ret_sites[2])
{
	struct name_key keys[] = { name_key(request->from.site), name_key(request->to.site) };
	uint32_t positions[2];

	for (int i = 0; i < 2; i++) {
		name_index_want_slot(&world->names, &keys[i]);
	}
	for (int i = 0; i < 2; i++) {
		name_index_want_text(&world->names, &keys[i]);
	}
	for (int i = 0; i < 2; i++) {
		positions[i] = name_index_find_key(&world->names, &keys[i]);
		if (positions[i] == INDEX_NONE) {
			return false;
		}
		ret_sites[i] = &world->sites[positions[i]];
		__builtin_prefetch(ret_sites[i]);
	}
	return true;
}

static enum verdict ask(const struct world *world, const struct policy_request *request)
{
	const struct site *sites[2], *from, *to;
	struct policy_facts facts;

	if (!find(world, request, sites)) {
		return VERDICT_DENY;
	}
	from = sites[0];
	to = sites[1];
	facts = (struct policy_facts){
		.provider = world->provider,
		.initiator_policy = from->policy,
		.responder_policy = to->policy,
		.provider_accredited = FACT_YES,
		.device_ca_accredited = FACT_YES,
		.service_ca_accredited = FACT_YES,
		.initiator = from->end,
		.responder = to->end,
		.agreement = { AGREEMENT_IN_FORCE, "care", 0 },
		.person = { PERSON_ACTIVE, FACT_YES, FACT_YES, FACTOR_TWO },
		.work_order = { WORK_ORDER_OPEN, NULL, FACT_YES },
		.window = { NOW, NOW + GRANT_SEC_MAX * USEC_PER_SEC },
	};
	facts.responder.approval = (struct policy_approval){ APPROVAL_GIVEN,
		{ NOW - 3600 * USEC_PER_SEC, NOW + 36000 * USEC_PER_SEC } };
	return policy_decide(request, &facts, NOW).verdict;
}

/* Decisions a second over `sec`; *ret_permitted is the part that was permitted. */
static double run(const struct world *world, double sec, double *ret_permitted)
{
	double start = seconds(), now = start;
	uint64_t count = 0, permitted = 0;

	while (now - start < sec) {
		for (uint32_t i = 0; i < 20000; i++) {
			permitted +=
			        ask(world, &world->requests[count++ % REQUESTS]) == VERDICT_PERMIT;
		}
		now = seconds();
	}
	*ret_permitted = (double)permitted / (double)count;
	return (double)count / (now - start);
}

static int compare_times(const void *left, const void *right)
{
	const uint32_t *a = left, *b = right;

	return (*a > *b) - (*a < *b);
}

/* The time that 99 of 100 decisions stay below, in microseconds. */
static double percentile_99(const struct world *world)
{
	uint32_t *times = mem_new(SAMPLES, sizeof(*times));
	double result;

	for (uint32_t i = 0; i < SAMPLES; i++) {
		struct timespec start, end;

		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
		ask(world, &world->requests[any(REQUESTS)]);
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
		times[i] = (uint32_t)((end.tv_sec - start.tv_sec) * 1000000000 + end.tv_nsec -
		                      start.tv_nsec);
	}
	qsort(times, SAMPLES, sizeof(*times), compare_times);
	result = times[SAMPLES / 100 * 99] / 1000.0;
	free(times);
	return result;
}

static void close_world(struct world *world)
{
	for (uint32_t i = 0; i < world->policy_count; i++) {
		site_policy_free(world->sites[i].policy);
	}
	provider_policy_free(world->provider);
	name_index_clear(&world->names);
	free(world->sites);
	free(world->requests);
}

int main(int argc, char **argv)
{
	double sec = argc > 1 ? atof(argv[1]) : 3, rate, base, permitted, p99;
	struct world world, small;

	load(&small, 2542, 100);
	run(&small, sec / 4, &permitted);
	base = run(&small, sec, &permitted);
	printf("%u sites, %zu pairs, %u site policies, %u rules: %.0f decisions/s, %.0f %% "
	       "permitted\n",
	        small.site_count, small.pairs, small.policy_count,
	        small.policy_count * (2 * NEIGHBOURS + 1), base, permitted * 100);
	close_world(&small);
	load(&world, 250018, 10000);
	run(&world, sec / 4, &permitted);
	rate = run(&world, sec, &permitted);
	p99 = percentile_99(&world);
	printf("%u sites, %zu pairs, %u site policies, %u rules: %.0f decisions/s, %.0f %% "
	       "permitted\n",
	        world.site_count, world.pairs, world.policy_count,
	        world.policy_count * (2 * NEIGHBOURS + 1), rate, permitted * 100);
	printf("loaded in %.2f s (provider's policy) and %.2f s (sites' policies)\n",
	        world.load_provider_sec, world.load_sites_sec);
	printf("figure decide_per_sec %.0f 1/s\n", rate);
	printf("figure decide_p99_us %.3f us\n", p99);
	printf("figure decide_growth_ratio %.3f ratio\n", base / rate);
	printf("figure decide_state_mb %.1f MB\n", (double)world.bytes / 1e6);
	printf("figure decide_load_sec %.3f s\n", world.load_provider_sec + world.load_sites_sec);
	close_world(&world);
	return permitted > 0.3 && permitted < 0.7 ? 0 : 1;
}
