/*
 * What a decision costs in process, with everything in memory that a center of every medical
 * institution of Japan would have (L5): 250,000 sites in groups that permit ten million pairs, and
 * 10,000 sites with policies of eleven rules. A decision is measured as the center makes it: the
 * two sites are found by their names in the center's own table, the facts are filled in,
 * policy_decide() is called. A request has its names as text and nothing else. Requests are made
 * shortly before they are asked, some hundred at a time and outside the time that is measured;
 * who asks is random, half of them are permitted, the rest are refused for the reasons that occur.
 *
 * Growth is the time of a decision with a hundred times the rules over that without: two policies
 * of 2 and of 200 rules for each of the same 10,000 sites, everything else equal: sites, groups,
 * the requests one by one, and what is answered to each.
 *
 * Usage: bench_decide [SECONDS of each run, 3].
 */
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "center/names.h"
#include "policy/decide.h"

#define SITES 250018
#define POLICIES 10000
#define GROUP_SITES 41 /* 820 pairs */
#define BATCH 250      /* requests made at once: they lie in the cache, as one that was just read */
#define SAMPLES 1000000
#define GROWTH_ROUNDS 5
#define NOW (1764000000 * USEC_PER_SEC)

/* What the sites' policies are like. */
struct shape {
	uint32_t each_way; /* rules of a policy for connections from it, and as many to it */
	uint32_t asked;    /* requests go to so many of its neighbours */
	bool refuse;       /* and a rule that refuses something */
};

/* What the center keeps of a site and its gateway, as far as a decision asks. */
struct site {
	struct site_policy *policy; /* or NULL */
	uint8_t device, service;    /* enum certificate_state */
	uint8_t gateway;            /* enum gateway_state */
	bool maker_accredited, behind_nat;
};

struct world {
	struct provider_policy *provider;
	struct names *names; /* the registry: a name to one of `sites` */
	struct site *sites;
	struct shape shape;
	double load_provider_sec, load_sites_sec;
	size_t pairs;
};

#define STATE 20261124
static uint64_t state = STATE;

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

static size_t bytes_held(void)
{
	return mallinfo2().uordblks + mallinfo2().hblkhd;
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
static uint32_t group_member(uint32_t group, uint32_t member)
{
	uint32_t groups = SITES / GROUP_SITES;

	return group < groups ? group * GROUP_SITES + member : (group - groups) + member * groups;
}

static void add_groups(struct world *world, struct buf *text)
{
	uint32_t groups = 2 * (SITES / GROUP_SITES);
	char name[64];

	for (uint32_t i = 0; i < groups; i++) {
		buf_add_format(text, "group g%u sites", i);
		for (uint32_t k = 0; k < GROUP_SITES; k++) {
			site_name(group_member(i, k), name, sizeof(name));
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
	for (uint32_t i = 0; i < SITES; i++) {
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

static void load_registry(struct world *world)
{
	struct err err = { "" };
	char name[64];

	world->names = names_new();
	world->sites = mem_new(SITES, sizeof(*world->sites));
	for (uint32_t i = 0; i < SITES; i++) {
		struct site *site = &world->sites[i];

		site_name(i, name, sizeof(name));
		if (names_put(world->names, name, site)) {
			fail("names are not unique", &err);
		}
		*site = (struct site){ NULL, CERTIFICATE_VALID, CERTIFICATE_VALID, GATEWAY_ONLINE,
			true, false };
	}
}

/* Who is `step` places further in the same group. */
static uint32_t neighbour(uint32_t site, uint32_t step)
{
	return site / GROUP_SITES * GROUP_SITES + (site % GROUP_SITES + step) % GROUP_SITES;
}

/* The rules for all neighbours, each with the first host, then with the second of each, … */
static void add_rules(uint32_t site, const struct shape *shape, struct buf *text)
{
	char name[64];

	for (uint32_t i = 0; i < shape->each_way; i++) {
		uint32_t step = 1 + i % (GROUP_SITES - 1), host = i / (GROUP_SITES - 1);

		site_name(neighbour(site, step), name, sizeof(name));
		buf_add_format(text,
		        "allow out%u from h4 to %s/h%u class remote-maintenance protocol tcp port "
		        "104,11112 approval standing\n",
		        i, name, host);
		site_name(neighbour(site, GROUP_SITES - step), name, sizeof(name));
		buf_add_format(text,
		        "allow in%u from %s/h%u to h0 class remote-maintenance protocol tcp port "
		        "104 duration 1h hours day idle 15m concurrency 2\n",
		        i, name, 4 + host);
	}
	if (shape->refuse) {
		buf_add_format(text, "refuse no from %s/h9 to *\n", name);
	}
}

static void site_text(uint32_t site, const struct shape *shape, struct buf *text)
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
	add_rules(site, shape, text);
}

static void load_policies(struct world *world, struct shape shape)
{
	struct err err = { "" };

	world->shape = shape;
	world->load_sites_sec = 0;
	for (uint32_t i = 0; i < POLICIES; i++) {
		struct site *site = &world->sites[i];
		AUTO_BUF struct buf text = BUF(POLICY_TEXT_BYTES_MAX);
		double start;

		site_text(i, &shape, &text);
		site->policy = site_policy_free(site->policy);
		start = seconds();
		if (site_policy_parse(buf_text(&text), text.count, &site->policy, &err) != 0 ||
		        site_policy_check(site->policy, 0, &err) != 0) {
			fail("site policy", &err);
		}
		world->load_sites_sec += seconds() - start;
	}
}

/* Half is permitted; the rest is refused by group, class, site's policy, host, port, approval. */
static void make_request(const struct world *world, struct policy_request *request)
{
	uint32_t from = any(POLICIES / GROUP_SITES * GROUP_SITES);
	uint32_t to = neighbour(from, 1 + any(world->shape.asked)), kind = any(20);

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
		to = any(SITES);
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

static void make_requests(const struct world *world, struct policy_request requests[BATCH])
{
	for (int i = 0; i < BATCH; i++) {
		make_request(world, &requests[i]);
	}
}

static void fill_end(const struct site *site, struct policy_end_facts *end)
{
	end->device = site->device;
	end->service = site->service;
	end->maker_accredited = site->maker_accredited ? FACT_YES : FACT_NO;
	end->gateway = site->gateway;
	end->behind_nat = site->behind_nat ? FACT_YES : FACT_NO;
	end->beside.known = FACT_YES;
}

/* As world_facts() of the center, which has more to find out between the first and the second look
 * at its memory. */
static enum verdict ask(const struct world *world, const struct policy_request *request)
{
	const char *names[2] = { request->from.site, request->to.site };
	const struct site *from, *to;
	struct policy_facts facts;
	void *sites[2];

	names_want(world->names, names[0]);
	names_want(world->names, names[1]);
	policy_decide_want(request, world->provider);
	facts = (struct policy_facts){
		.provider = world->provider,
		.provider_accredited = FACT_YES,
		.device_ca_accredited = FACT_YES,
		.service_ca_accredited = FACT_YES,
		.agreement = { AGREEMENT_IN_FORCE, "care", 0 },
		.person = { PERSON_ACTIVE, FACT_YES, FACT_YES, FACTOR_TWO },
		.work_order = { WORK_ORDER_OPEN, NULL, FACT_YES },
		.window = { NOW, NOW + GRANT_SEC_MAX * USEC_PER_SEC },
	};
	names_get_both(world->names, names, sites);
	from = sites[0];
	to = sites[1];
	if (!from || !to) {
		return VERDICT_DENY;
	}
	site_policy_want(from->policy);
	site_policy_want(to->policy);
	facts.initiator_policy = from->policy;
	facts.responder_policy = to->policy;
	fill_end(from, &facts.initiator);
	fill_end(to, &facts.responder);
	facts.responder.approval = (struct policy_approval){ APPROVAL_GIVEN,
		{ NOW - 3600 * USEC_PER_SEC, NOW + 36000 * USEC_PER_SEC } };
	return policy_decide(request, &facts, NOW).verdict;
}

/* Decisions a second over `sec` of deciding, the same requests in each run; *ret_permitted is the
 * part that was permitted. */
static double run(const struct world *world, double sec, double *ret_permitted)
{
	static struct policy_request requests[BATCH];
	uint64_t count = 0, permitted = 0;
	double spent = 0;

	state = STATE;
	while (spent < sec) {
		double start;

		make_requests(world, requests);
		start = seconds();
		for (int i = 0; i < BATCH; i++) {
			permitted += ask(world, &requests[i]) == VERDICT_PERMIT;
		}
		spent += seconds() - start;
		count += BATCH;
	}
	*ret_permitted = (double)permitted / (double)count;
	return (double)count / spent;
}

static void print_rate(
        const struct world *world, const struct shape *shape, double rate, double permitted)
{
	uint32_t rules = 2 * shape->each_way + shape->refuse;

	printf("%d sites, %zu pairs, %d site policies, %u rules: %.0f decisions/s, %.0f %% "
	       "permitted\n",
	        SITES, world->pairs, POLICIES, POLICIES * rules, rate, permitted * 100);
}

/* Puts other policies in the place of those that the sites have. */
static void swap_policies(struct world *world, struct site_policy **others, struct shape *shape)
{
	struct shape had = world->shape;

	for (uint32_t i = 0; i < POLICIES; i++) {
		struct site_policy *policy = world->sites[i].policy;

		world->sites[i].policy = others[i];
		others[i] = policy;
	}
	world->shape = *shape;
	*shape = had;
}

/* The time of a decision with many rules by that with few, in turns: the machine's own pace, which
 * others change, is the same for both. */
static double measure_growth(struct world *world, double sec)
{
	struct site_policy **others = mem_new(POLICIES, sizeof(struct site_policy *));
	struct shape few = { .each_way = 1, .asked = 1 }, many = { .each_way = 100, .asked = 1 };
	struct shape shape = few;
	double spent[2] = { 0, 0 }, permitted[2];

	load_policies(world, many);
	swap_policies(world, others, &shape);
	load_policies(world, few);
	shape = many;
	for (int i = 0; i < 2 * GROWTH_ROUNDS; i++) {
		run(world, sec / GROWTH_ROUNDS / 4, &permitted[i % 2]);
		spent[i % 2] += 1 / run(world, sec / GROWTH_ROUNDS, &permitted[i % 2]);
		swap_policies(world, others, &shape);
	}
	print_rate(world, &few, GROWTH_ROUNDS / spent[0], permitted[0]);
	print_rate(world, &many, GROWTH_ROUNDS / spent[1], permitted[1]);
	for (uint32_t i = 0; i < POLICIES; i++) {
		site_policy_free(others[i]);
	}
	free(others);
	return spent[1] / spent[0];
}

static int compare_times(const void *left, const void *right)
{
	const uint32_t *a = left, *b = right;

	return (*a > *b) - (*a < *b);
}

/* The time that 99 of 100 decisions stay below, in microseconds. The clock's own call is in it. */
static double percentile_99(const struct world *world)
{
	uint32_t *times = mem_new(SAMPLES, sizeof(*times));
	struct policy_request request;
	double result;

	for (uint32_t i = 0; i < SAMPLES; i++) {
		struct timespec start, end;

		make_request(world, &request);
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
		ask(world, &request);
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
	for (uint32_t i = 0; i < POLICIES; i++) {
		site_policy_free(world->sites[i].policy);
	}
	provider_policy_free(world->provider);
	names_free(world->names);
	free(world->sites);
}

int main(int argc, char **argv)
{
	double sec = argc > 1 ? atof(argv[1]) : 3, rate, growth, p99, permitted, load_sec;
	size_t before = bytes_held(), bytes;
	struct world world = { 0 };

	load_provider(&world);
	load_registry(&world);
	load_policies(&world, (struct shape){ .each_way = 5, .asked = 5, .refuse = true });
	bytes = bytes_held() - before;
	load_sec = world.load_provider_sec + world.load_sites_sec;
	run(&world, sec / 4, &permitted);
	rate = run(&world, sec, &permitted);
	p99 = percentile_99(&world);
	print_rate(&world, &world.shape, rate, permitted);
	printf("loaded in %.2f s (provider's policy) and %.2f s (sites' policies)\n",
	        world.load_provider_sec, world.load_sites_sec);
	growth = measure_growth(&world, sec);
	printf("figure decide_per_sec %.0f 1/s\n", rate);
	printf("figure decide_p99_us %.3f us\n", p99);
	printf("figure decide_growth_ratio %.3f ratio\n", growth);
	printf("figure decide_state_mb %.1f MB\n", (double)bytes / 1e6);
	printf("figure decide_load_sec %.3f s\n", load_sec);
	close_world(&world);
	return permitted > 0.3 && permitted < 0.7 ? 0 : 1;
}
