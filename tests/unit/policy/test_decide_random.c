/*
 * policy_decide() against the naive evaluator: 200,000 random questions over random policies, layer
 * by layer. The seed is fixed; SEKISHO_SEED=n tries another.
 */
#include "../check.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/clock.h"
#include "naive.h"
#include "policy/decide.h"

#define POLICY_SETS 2000
#define QUESTIONS_PER_SET 100
#define SITES 4
/* The layers that the naive evaluator knows nothing of. */
#define OTHERS                                                                                     \
	(LAYER_BIT(LAYER_AGREEMENT) | LAYER_BIT(LAYER_PERSON) | LAYER_BIT(LAYER_WORK_ORDER) |      \
	        LAYER_BIT(LAYER_EXCLUSION))
#define NOW (1700000000 * USEC_PER_SEC)

static uint64_t state;

/* xorshift64*: the same numbers everywhere. */
static unsigned any(unsigned below)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (unsigned)((state * 0x2545f4914f6cdd1dULL) >> 33) % below;
}

/* Often the first, so that policies and questions meet. */
static unsigned first_or_any(unsigned below)
{
	return any(3) ? 0 : any(below);
}

static const char *const sites[] = { "alpha", "beta", "gamma", "delta", "omega" };
static const char *const hosts[] = { "ct", "mr", "pacs", "host" };
static const char *const classes[] = { "remote-maintenance", "mail", "asp" };
static const char *const protocols[] = { "tcp", "udp", "icmp" };
static const char *const ports[] = { "1", "2-4", "1,3,5", "4-5", "65535", "3-3", "1-2,5-6" };
static const char *const durations[] = { "", " duration 10m", " duration 1h", " duration 90s",
	" duration 1d", " duration 1h lease 30s", " lease 45s", " duration 10m lease 5m" };
static const int asked_ports[] = { 1, 2, 3, 4, 5, 6, 65535 };

struct world {
	struct buf provider_text, site_texts[SITES];
	struct provider_policy *provider;
	struct site_policy *policies[SITES];
};

static void make_provider(struct world *world)
{
	struct buf *text = &world->provider_text;
	unsigned count = 2 + any(SITES - 1), groups = any(5), offered = 1 + any(3);

	buf_add_text(
	        text, "sekisho provider-policy 1\nprovider p\nversion 7\npool 100.64.0.0/10\n");
	for (unsigned i = 0; i < count; i++) {
		buf_add_format(text, "site %s prefix 100.64.%u.0/24\n", sites[i], i + 1);
	}
	for (unsigned i = 0; i < offered; i++) {
		buf_add_format(text, "class %s%s\n", classes[i], durations[any(8)]);
	}
	for (unsigned i = 0; i < groups; i++) {
		unsigned members = 3 + any((1U << count) - 3),
		         chosen = 1 + any((1U << offered) - 1);

		if ((members & (members - 1)) == 0) {
			members = (1U << count) - 1;
		}
		buf_add_format(text, "group g%u sites", i);
		for (unsigned k = 0; k < count; k++) {
			if (members & 1U << k) {
				buf_add_format(text, " %s", sites[k]);
			}
		}
		buf_add_text(text, " classes");
		for (unsigned k = 0; k < offered; k++) {
			if (chosen & 1U << k) {
				buf_add_format(text, " %s", classes[k]);
			}
		}
		buf_add_text(text, "\n");
	}
}

static void add_reference(struct buf *text, unsigned site, bool own, unsigned host_count)
{
	unsigned host = any(4) ? first_or_any(host_count + 1) : host_count;

	if (!own || any(3) == 0) {
		buf_add_format(text, "%s/", sites[site]);
	}
	buf_add_text(text, host == host_count ? "*" : hosts[host]);
}

static void make_site(struct world *world, unsigned site)
{
	struct buf *text = &world->site_texts[site];
	unsigned host_count = 1 + any(3), rules = any(30);

	buf_add_format(text, "sekisho site-policy 1\nsite %s\nversion %u\n", sites[site], site + 1);
	for (unsigned i = 0; i < host_count; i++) {
		buf_add_format(text, "host %s address 192.168.1.%u service 100.64.%u.%u\n",
		        hosts[i], i + 1, any(12) == 0 ? 9 : site + 1, i + 1);
	}
	for (unsigned i = 0; i < rules; i++) {
		unsigned peer = (site + 1 + any(SITES)) % 5, protocol = first_or_any(3);
		bool outbound = any(2);

		buf_add_format(text, "allow r%u from ", i);
		add_reference(text, outbound ? site : peer, outbound, outbound ? host_count : 4);
		buf_add_text(text, " to ");
		add_reference(text, outbound ? peer : site, !outbound, outbound ? 4 : host_count);
		buf_add_format(text, " class %s protocol %s", classes[first_or_any(3)],
		        protocols[protocol]);
		if (protocol < 2) {
			buf_add_format(text, " port %s", ports[first_or_any(7)]);
		}
		buf_add_format(text, "%s approval standing factor one\n", durations[any(8)]);
	}
}

static void world_open(struct world *world)
{
	struct err err = { "" };

	world->provider_text = BUF(65536);
	make_provider(world);
	if (provider_policy_parse(buf_text(&world->provider_text), world->provider_text.count,
	            &world->provider, &err) != 0) {
		printf("# %s\n%s", err.text, buf_text(&world->provider_text));
		CHECK(false);
	}
	for (unsigned i = 0; i < SITES; i++) {
		world->site_texts[i] = BUF(65536);
		make_site(world, i);
		if (site_policy_parse(buf_text(&world->site_texts[i]), world->site_texts[i].count,
		            &world->policies[i], &err) != 0) {
			printf("# %s\n%s", err.text, buf_text(&world->site_texts[i]));
			CHECK(false);
		}
	}
}

static void world_close(struct world *world)
{
	buf_clear(&world->provider_text);
	provider_policy_free(world->provider);
	for (unsigned i = 0; i < SITES; i++) {
		buf_clear(&world->site_texts[i]);
		site_policy_free(world->policies[i]);
	}
	*world = (struct world){ 0 };
}

struct tally {
	unsigned permitted, layer_permitted[LAYER_COUNT], layer_denied[LAYER_COUNT];
};

/* States of everything but the policies: mostly good, so that permits occur. */
static void make_facts(struct policy_facts *facts, bool expect[LAYER_COUNT])
{
	enum policy_fact *const accredited[] = { &facts->provider_accredited,
		&facts->device_ca_accredited, &facts->service_ca_accredited,
		&facts->initiator.maker_accredited, &facts->responder.maker_accredited };
	enum certificate_state *const certificates[] = { &facts->initiator.device,
		&facts->initiator.service, &facts->responder.device, &facts->responder.service };
	unsigned foreign = 0;

	expect[LAYER_ACCREDITATION] = true;
	for (int i = 0; i < 5; i++) {
		*accredited[i] = any(40) ? FACT_YES : (enum policy_fact)any(4);
		expect[LAYER_ACCREDITATION] &= *accredited[i] >= FACT_YES;
		foreign += *accredited[i] == FACT_FOREIGN;
	}
	expect[LAYER_ACCREDITATION] &= foreign < 5;
	foreign = 0;
	expect[LAYER_CERTIFICATES] = true;
	for (int i = 0; i < 4; i++) {
		*certificates[i] = any(40) ? CERTIFICATE_VALID : (enum certificate_state)any(8);
		expect[LAYER_CERTIFICATES] &= *certificates[i] == CERTIFICATE_VALID ||
		                              *certificates[i] == CERTIFICATE_FOREIGN;
		foreign += *certificates[i] == CERTIFICATE_FOREIGN;
	}
	expect[LAYER_CERTIFICATES] &= foreign < 4;
	facts->initiator.gateway = any(40) ? GATEWAY_ONLINE : (enum gateway_state)any(4);
	facts->responder.gateway = any(40) ? GATEWAY_ONLINE : (enum gateway_state)any(4);
	facts->initiator.behind_nat = any(40) ? FACT_NO : (enum policy_fact)any(4);
	facts->responder.behind_nat = any(40) ? FACT_NO : (enum policy_fact)any(4);
	expect[LAYER_GATEWAYS] =
	        facts->initiator.gateway == GATEWAY_ONLINE &&
	        facts->responder.gateway == GATEWAY_ONLINE &&
	        (facts->initiator.behind_nat == FACT_NO ||
	                (facts->initiator.behind_nat == FACT_YES &&
	                        facts->responder.behind_nat == FACT_NO)) &&
	        (facts->responder.behind_nat == FACT_NO || facts->responder.behind_nat == FACT_YES);
}

static void make_window(struct policy_facts *facts, struct policy_request *request,
        bool *ret_expect, long *ret_left)
{
	long start = any(8) ? -(long)any(100) : (long)any(200);
	long length = any(8) ? 86400 - (long)any(80000) : (long)any(4000);

	facts->window.not_before = NOW + start * USEC_PER_SEC;
	facts->window.not_after = facts->window.not_before + length * USEC_PER_SEC;
	*ret_left = length - (start < 0 ? -start : 0);
	*ret_expect =
	        length > 0 && start <= 60 && *ret_left >= 1 && request->duration_sec <= length;
}

static void set(char *out, const char *text)
{
	memcpy(out, text, strlen(text) + 1);
}

/* One question; returns whether both evaluators agree. */
static bool ask(const struct world *world, struct tally *tally)
{
	unsigned from = any(12) ? any(SITES) : 4, to = any(12) ? (from + 1 + any(SITES)) % 5 : from;
	unsigned protocol = first_or_any(3), class = first_or_any(3),
	         asked[] = { 0, 0, 60, 600, 3600, 7200 };
	const char *from_host = hosts[first_or_any(4)], *to_host = hosts[first_or_any(4)];
	int port = protocol == 2 ? 0 : asked_ports[first_or_any(7)];
	unsigned from_policy = any(40) ? from : any(SITES), to_policy = any(40) ? to : any(SITES);
	struct policy_request request = { .port = (uint16_t)port,
		.duration_sec = asked[first_or_any(6)],
		.lease_sec = any(4) ? 0 : asked[any(4)] % 301 };
	struct naive_question question = { sites[from], from_host, sites[to], to_host,
		classes[class], protocols[protocol], port, (long)request.duration_sec,
		request.lease_sec };
	struct policy_facts facts = { .foreign = OTHERS | (any(10) ? 0 : any(LAYERS_ALL + 1)) };
	bool expect[LAYER_COUNT], verdict = true, good = true;
	struct naive_answer answer;
	struct decision decision;
	long left;

	set(request.from.site, sites[from]);
	set(request.from.host, from_host);
	set(request.to.site, sites[to]);
	set(request.to.host, to_host);
	CHECK(service_class_parse(classes[class], &request.class) == 0);
	CHECK(protocol_parse(protocols[protocol], &request.protocol) == 0);
	facts.provider = any(50) ? world->provider : NULL;
	facts.initiator_policy = from_policy < SITES ? world->policies[from_policy] : NULL;
	facts.responder_policy = to_policy < SITES ? world->policies[to_policy] : NULL;
	make_facts(&facts, expect);
	make_window(&facts, &request, &expect[LAYER_WINDOW], &left);
	answer = naive_decide(facts.provider ? buf_text(&world->provider_text) : NULL,
	        from_policy < SITES ? buf_text(&world->site_texts[from_policy]) : NULL,
	        to_policy < SITES ? buf_text(&world->site_texts[to_policy]) : NULL, &question);
	expect[LAYER_PROVIDER] = answer.provider;
	expect[LAYER_GROUP] = answer.group;
	expect[LAYER_CLASS] = answer.class;
	expect[LAYER_INITIATOR_SITE] = answer.from;
	expect[LAYER_RESPONDER_SITE] = answer.to;
	decision = policy_decide(&request, &facts, NOW);
	for (int i = 0; i < LAYER_COUNT; i++) {
		bool consulted = !(facts.foreign & LAYER_BIT(i));
		bool permits = decision.layers[i].verdict == VERDICT_PERMIT;

		good &= decision.layers[i].consulted == consulted &&
		        permits == (consulted && expect[i]);
		verdict &= !consulted || expect[i];
		tally->layer_permitted[i] += consulted && permits;
		tally->layer_denied[i] += consulted && !permits;
	}
	verdict &= facts.foreign != LAYERS_ALL;
	good &= (decision.verdict == VERDICT_PERMIT) == verdict;
	if (verdict && facts.foreign == OTHERS) {
		tally->permitted++;
		good &= decision.duration_sec ==
		                (answer.duration < left ? answer.duration : left) &&
		        decision.lease_sec == (uint32_t)answer.lease &&
		        strcmp(decision.initiator_rule, answer.from_rule) == 0 &&
		        strcmp(decision.responder_rule, answer.to_rule) == 0 &&
		        decision.provider_version == 7 && decision.initiator_version == from + 1 &&
		        decision.responder_version == to + 1 &&
		        decision.ike == (facts.responder.behind_nat == FACT_YES ? GRANT_RESPONDER
		                                                                : GRANT_INITIATOR);
	}
	if (!good) {
		printf("# %s/%s to %s/%s %s %s %d\n# policies of %u and %u\n%s%s%s", sites[from],
		        from_host, sites[to], to_host, classes[class], protocols[protocol], port,
		        from_policy, to_policy, buf_text(&world->provider_text),
		        from_policy < SITES ? buf_text(&world->site_texts[from_policy]) : "",
		        to_policy < SITES ? buf_text(&world->site_texts[to_policy]) : "");
	}
	return good;
}

TEST(both_evaluators_say_the_same)
{
	const char *seed = getenv("SEKISHO_SEED");
	struct tally tally = { 0 };

	state = seed ? strtoull(seed, NULL, 10) * 2 + 1 : 20261120;
	for (int i = 0; i < POLICY_SETS; i++) {
		struct world world = { 0 };

		world_open(&world);
		for (int k = 0; k < QUESTIONS_PER_SET; k++) {
			CHECK(ask(&world, &tally));
		}
		world_close(&world);
	}
	printf("# %u of %u permitted by every layer\n", tally.permitted,
	        POLICY_SETS * QUESTIONS_PER_SET);
	/* The comparison is worth something only if every layer went both ways often. */
	CHECK(tally.permitted > 500);
	for (int i = 0; i < LAYER_COUNT; i++) {
		if (OTHERS & LAYER_BIT(i)) {
			continue;
		}
		CHECK(tally.layer_permitted[i] > 1000 && tally.layer_denied[i] > 1000);
	}
}

TEST_MAIN()
