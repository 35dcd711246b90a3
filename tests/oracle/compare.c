/*
 * Runs the evaluator of src/policy and the oracle side by side and says where they differ.
 *
 *     compare [--pairs N] [--seed S] [--world W] [--show]
 *
 * A pair is a request with its facts and the policies it is asked of; PAIRS_PER_WORLD of them share
 * one world. Compared are the reading of the texts, the verdict, of a denial the first layer that
 * denies with its reason, of a permission everything that holds of the connection. Prints TAP; a
 * difference names the world, and `--world W --show` prints its texts and all of its differences.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ask.h"
#include "oracle.h"

#include "base/clock.h"
#include "policy/explain.h"

#define PAIRS_PER_WORLD 50
#define DIFFERENCES_SHOWN 10
#define DIFFERENCES_MAX 1000
/* From this many pairs on every reason has to have been met. */
#define PAIRS_FOR_ALL 200000

struct compare {
	int64_t pairs, worlds, permits, differences, unread, spoilt;
	int64_t layers[LAYER_COUNT + 1], reasons[REASON_COUNT];
	bool show;
};

/* One world, read by both. */
struct pair_of_readers {
	struct provider_policy *provider;
	struct site_policy *site[2];
	struct oracle_provider oracle_provider;
	struct oracle_site oracle_site[2];
};

static void texts_print(const struct gen_world *world)
{
	const struct gen_text *texts[] = { &world->provider, &world->site[0], &world->site[1] };

	for (int i = 0; i < 3; i++) {
		printf("# ----\n");
		for (const char *line = texts[i]->text; *line != '\0';) {
			int length = (int)strcspn(line, "\n");

			printf("# %.*s\n", length, line);
			line += length + (line[length] == '\n');
		}
	}
}

/* What was generated has to be right for both. */
static bool world_read(struct compare *compare, const struct gen_world *world, uint64_t number,
        struct pair_of_readers *readers)
{
	struct err err = { 0 };
	const char *why = NULL;
	bool first, second;

	first = provider_policy_parse(
	                world->provider.text, world->provider.count, &readers->provider, &err) == 0;
	second = oracle_provider_read(world->provider.text, &readers->oracle_provider, &why);
	for (int side = 0; side < 2 && first && second; side++) {
		first = site_policy_parse(world->site[side].text, world->site[side].count,
		                &readers->site[side], &err) == 0;
		second =
		        oracle_site_read(world->site[side].text, &readers->oracle_site[side], &why);
	}
	if (!first || !second) {
		compare->unread++;
		printf("# world %llu: src/policy: %s; oracle: %s\n", (unsigned long long)number,
		        first ? "read" : err.text, second ? "read" : why);
		if (compare->show) {
			texts_print(world);
		}
		return false;
	}
	return true;
}

/* A text with one mistake that the page names: neither may take it. */
static void spoilt_compare(struct compare *compare, struct gen_world *world, uint64_t number)
{
	static struct oracle_provider oracle_provider;
	static struct oracle_site oracle_site;
	AUTO(provider_policy) struct provider_policy *provider = NULL;
	AUTO(site_policy) struct site_policy *site = NULL;
	struct err err = { 0 };
	const char *why = NULL;
	int which = 0;
	const char *line = gen_world_spoil(world, &which);
	struct gen_text *text = which == 0 ? &world->provider : &world->site[which - 1];
	bool first = which == 0
	                     ? provider_policy_parse(text->text, text->count, &provider, &err) == 0
	                     : site_policy_parse(text->text, text->count, &site, &err) == 0;
	bool second = which == 0 ? oracle_provider_read(text->text, &oracle_provider, &why)
	                         : oracle_site_read(text->text, &oracle_site, &why);

	compare->spoilt++;
	if (first || second) {
		compare->unread++;
		printf("# world %llu: \"%s\" is wrong, but src/policy: %s; oracle: %s\n",
		        (unsigned long long)number, line, first ? "read" : err.text,
		        second ? "read" : why);
	}
}

static void readers_free(struct pair_of_readers *readers)
{
	readers->provider = provider_policy_free(readers->provider);
	for (int side = 0; side < 2; side++) {
		readers->site[side] = site_policy_free(readers->site[side]);
	}
}

/* What of a permission differs, or NULL. */
static const char *permission_differs(
        const struct decision *decision, const struct oracle_answer *answer)
{
	if (decision->duration_sec != answer->duration) {
		return "duration";
	}
	if (decision->lease_sec != answer->lease) {
		return "lease";
	}
	if (decision->idle_sec != answer->idle) {
		return "idle";
	}
	if (decision->outage != answer->outage) {
		return "outage";
	}
	if (decision->emergency != answer->emergency) {
		return "emergency";
	}
	if (decision->review_sec != answer->review) {
		return "review";
	}
	if (answer->ike >= 0 && (int)decision->ike != answer->ike) {
		return "ike";
	}
	if (decision->provider_version != answer->versions[0] ||
	        decision->initiator_version != answer->versions[1] ||
	        decision->responder_version != answer->versions[2]) {
		return "version";
	}
	if (strcmp(decision->group, answer->group) != 0) {
		return "group";
	}
	if (strcmp(decision->initiator_rule, answer->rules[0]) != 0 ||
	        strcmp(decision->responder_rule, answer->rules[1]) != 0) {
		return "rule";
	}
	return NULL;
}

static void difference_print(const struct ask *ask, const struct decision *decision,
        const struct oracle_answer *answer, const char *what)
{
	const struct policy_request *request = &ask->request;
	enum policy_layer by = decision_denied_by(decision);

	printf("#   %s; from %s to %s class %s protocol %s port %d duration %lld lease %u person "
	       "\"%s\" work "
	       "order \"%s\" emergency %d traffic %d foreign %x now %s\n",
	        what, host_ref_print(&request->from).text, host_ref_print(&request->to).text,
	        service_class_name(request->class), protocol_name(request->protocol), request->port,
	        (long long)request->duration_sec, request->lease_sec, request->person,
	        request->work_order, request->emergency, request->traffic, ask->facts.foreign,
	        time_print(ask->now).text);
	printf("#   window %lld %lld us from now; agreement %d %lld; work order %d; emergency "
	       "allowed %d; "
	       "person %d factor %d\n",
	        (long long)(ask->facts.window.not_before - ask->now),
	        (long long)(ask->facts.window.not_after - ask->now), ask->facts.agreement.state,
	        (long long)(ask->facts.agreement.not_after - ask->now), ask->facts.work_order.state,
	        ask->facts.work_order.emergency_allowed, ask->facts.person.state,
	        ask->facts.person.factor);
	for (int side = 0; side < 2; side++) {
		const struct policy_end_facts *end =
		        side == 0 ? &ask->facts.initiator : &ask->facts.responder;

		printf("#   end %d: posture %d approval %d %lld %lld beside %d\n", side,
		        end->posture, end->approval.state,
		        (long long)(end->approval.window.not_before - ask->now),
		        (long long)(end->approval.window.not_after - ask->now), end->beside.known);
		for (size_t i = 0; i < end->beside.count; i++) {
			const struct policy_live *live = &end->beside.live[i];

			printf("#     live %s/%s %s/%s %s %s %d\n", live->from_site,
			        live->from_host, live->to_site, live->to_host,
			        service_class_name(live->class), protocol_name(live->protocol),
			        live->port);
		}
	}
	printf("#   src/policy: %s layer %s reason %s duration %lld lease %u idle %u outage %d "
	       "emergency %d "
	       "review %u rules %s %s group %s\n",
	        decision->verdict == VERDICT_PERMIT ? "permit" : "deny",
	        by < LAYER_COUNT ? policy_layer_name(by) : "-",
	        by < LAYER_COUNT ? policy_reason_name(decision->layers[by].reason) : "-",
	        (long long)decision->duration_sec, decision->lease_sec, decision->idle_sec,
	        decision->outage, decision->emergency, decision->review_sec,
	        decision->initiator_rule, decision->responder_rule, decision->group);
	printf("#   oracle:     %s layer %s reason %s duration %lld lease %lld idle %lld outage %d "
	       "emergency "
	       "%d review %lld rules %s %s group %s\n",
	        answer->permit ? "permit" : "deny",
	        answer->layer < LAYER_COUNT ? policy_layer_name((enum policy_layer)answer->layer)
	                                    : "-",
	        answer->layer < LAYER_COUNT ? policy_reason_name((enum policy_reason)answer->reason)
	                                    : "-",
	        (long long)answer->duration, (long long)answer->lease, (long long)answer->idle,
	        answer->outage, answer->emergency, (long long)answer->review, answer->rules[0],
	        answer->rules[1], answer->group);
}

static void pair_compare(struct compare *compare, struct gen_world *world, uint64_t number,
        const struct pair_of_readers *readers)
{
	struct ask ask;
	struct oracle_case oracle = { .request = &ask.request, .facts = &ask.facts };
	struct oracle_answer answer;
	struct decision decision;
	const char *what = NULL;
	enum policy_layer by;

	ask_make(world, &ask);
	oracle.now = ask.now;
	if (ask.has_policy[0]) {
		ask.facts.provider = readers->provider;
		oracle.provider = &readers->oracle_provider;
	}
	for (int side = 0; side < 2; side++) {
		if (ask.has_policy[1 + side]) {
			*(side == 0 ? &ask.facts.initiator_policy : &ask.facts.responder_policy) =
			        readers->site[ask.policy_of[side]];
			oracle.site[side] = &readers->oracle_site[ask.policy_of[side]];
		}
	}
	decision = policy_decide(&ask.request, &ask.facts, ask.now);
	answer = oracle_decide(&oracle);
	by = decision_denied_by(&decision);
	if ((decision.verdict == VERDICT_PERMIT) != answer.permit) {
		what = "verdict";
	} else if (!answer.permit && (int)by != answer.layer) {
		what = "layer";
	} else if (!answer.permit && by < LAYER_COUNT &&
	           (int)decision.layers[by].reason != answer.reason) {
		what = "reason";
	} else if (!answer.permit && answer.side >= 0 &&
	           decision.layers[by].of_initiator != (answer.side == 0)) {
		what = "side";
	} else if (!answer.permit && answer.moment != 0 &&
	           (decision.layers[by].number != answer.moment ||
	                   (answer.moment < ask.now && decision.layers[by].kind == DETAIL_NEXT))) {
		what = "moment";
	} else if (answer.permit) {
		what = permission_differs(&decision, &answer);
	}
	compare->pairs++;
	compare->permits += answer.permit;
	compare->layers[answer.layer]++;
	compare->reasons[answer.reason]++;
	if (what) {
		compare->differences++;
		if (compare->show || compare->differences <= DIFFERENCES_SHOWN) {
			printf("# world %llu differs:\n", (unsigned long long)number);
			difference_print(&ask, &decision, &answer, what);
		}
	}
}

static bool reason_denies(enum policy_reason reason)
{
	static const enum policy_reason permits[] = { REASON_PROVIDER_OK, REASON_GROUP_OK,
		REASON_CLASS_OK, REASON_AGREEMENT_OK, REASON_AGREEMENT_SAME_ORGANIZATION,
		REASON_SITE_OK, REASON_SITE_RULE_CONDITIONAL, REASON_PERSON_OK,
		REASON_PERSON_NOBODY_OK, REASON_WORK_ORDER_NONE_NEEDED, REASON_WORK_ORDER_OK,
		REASON_WORK_ORDER_EMERGENCY_OK, REASON_EXCLUSION_OK, REASON_ACCREDITATION_OK,
		REASON_CERTIFICATES_OK, REASON_GATEWAYS_OK, REASON_WINDOW_OK };

	for (size_t i = 0; i < sizeof(permits) / sizeof(permits[0]); i++) {
		if (permits[i] == reason) {
			return false;
		}
	}
	return true;
}

/* Every reason that the oracle can give has to be met in a run that is long enough, or the
 * generator no longer makes what it should. */
static int reasons_missing(const struct compare *compare)
{
	int missing = 0;

	for (int reason = REASON_FOREIGN + 1; reason < REASON_COUNT; reason++) {
		enum policy_reason value = (enum policy_reason)reason;

		if (reason_denies(value) && compare->reasons[reason] == 0) {
			printf("# never met: %s\n", policy_reason_name(value));
			missing++;
		}
	}
	return missing;
}

static int report(const struct compare *compare, double seconds)
{
	bool read = compare->unread == 0, same = compare->differences == 0;
	bool all = compare->pairs < PAIRS_FOR_ALL || reasons_missing(compare) == 0;

	printf("# %lld pairs in %lld worlds, %.1f s; %.1f %% permits\n", (long long)compare->pairs,
	        (long long)compare->worlds, seconds,
	        100.0 * (double)compare->permits /
	                (double)(compare->pairs > 0 ? compare->pairs : 1));
	for (int layer = 0; layer < LAYER_COUNT; layer++) {
		printf("# denied by %s: %lld\n", policy_layer_name((enum policy_layer)layer),
		        (long long)compare->layers[layer]);
	}
	for (int reason = 1; compare->show && reason < REASON_COUNT; reason++) {
		printf("# %s: %lld\n", policy_reason_name((enum policy_reason)reason),
		        (long long)compare->reasons[reason]);
	}
	printf("%s 1 both read every right text and no wrong one (%lld wrong)\n",
	        read ? "ok" : "not ok", (long long)compare->spoilt);
	printf("%s 2 both decide the same (%lld pairs, %lld differences)\n", same ? "ok" : "not ok",
	        (long long)compare->pairs, (long long)compare->differences);
	printf("%s 3 every reason to deny was met\n1..3\n", all ? "ok" : "not ok");
	printf("figure oracle_pairs %lld pairs\nfigure oracle_differences %lld\n",
	        (long long)compare->pairs, (long long)compare->differences);
	return read && same && all ? 0 : 1;
}

static void world_compare(struct compare *compare, uint64_t number, int64_t pairs)
{
	static struct gen_world world;
	static struct pair_of_readers readers;

	gen_world_make(&world, number);
	compare->worlds++;
	if (world_read(compare, &world, number, &readers)) {
		int64_t before = compare->differences;

		for (int i = 0; i < PAIRS_PER_WORLD && compare->pairs < pairs; i++) {
			pair_compare(compare, &world, number, &readers);
		}
		if (compare->show && compare->differences > before && compare->worlds == 1) {
			texts_print(&world);
		}
	}
	readers_free(&readers);
	spoilt_compare(compare, &world, number);
}

int main(int argc, char **argv)
{
	struct compare compare = { 0 };
	long long pairs = 200000, seed = 1, world = -1;
	struct timespec start, end;

	for (int i = 1; i < argc; i++) {
		long long *number = strcmp(argv[i], "--pairs") == 0   ? &pairs
		                    : strcmp(argv[i], "--seed") == 0  ? &seed
		                    : strcmp(argv[i], "--world") == 0 ? &world
		                                                      : NULL;

		if (strcmp(argv[i], "--show") == 0) {
			compare.show = true;
		} else if (number && i + 1 < argc) {
			*number = atoll(argv[++i]);
		} else {
			fprintf(stderr, "compare [--pairs N] [--seed S] [--world W] [--show]\n");
			return 2;
		}
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	clock_gettime(CLOCK_MONOTONIC, &start);
	if (world >= 0) {
		world_compare(&compare, (uint64_t)world, PAIRS_PER_WORLD);
	}
	/* A seed stands for the worlds from seed * 2^32 on. */
	for (uint64_t number = (uint64_t)seed << 32;
	        world < 0 && compare.pairs < pairs &&
	        compare.differences + compare.unread < DIFFERENCES_MAX;
	        number++) {
		world_compare(&compare, number, pairs);
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	return report(&compare,
	        (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9);
}
