/*
 * sim: the whole system, simulated from a seed.
 *
 *     sim [--seeds N] [--from S]     runs N seeds from S on (500 from 1)
 *     sim --seed S [--verbose]       runs one seed and says what happens
 *     sim --bug NAME [...]           with a deliberate mistake in the machines: a failure is
 * expected sim --bugs [--seeds N]         looks for each of them in up to N seeds (1,000) sim
 * --list-bugs
 *     --tap                          TAP on stdout
 *
 * Exit status 0: all promises held (or all bugs were found); 1: not; 2: wrong use. The mistakes are
 * only in the program sim-bugs beside this one, which is started for them.
 */
#include "world.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifdef SIM_BUGS
enum sim_bug sim_bug;

#define BUG_ROW(name, text) { #name, text },
static const struct {
	const char *name, *text;
} bugs[] = { { "none", "" }, SIM_BUGS(BUG_ROW) };
#undef BUG_ROW
#endif

struct options {
	uint64_t from, seeds;
	bool one, verbose, tap, all_bugs, seeds_given;
	const char *bug;
};

struct totals {
	uint64_t seeds, events, opened, refused, cut, crashed, least_events;
};

static void add_totals(struct totals *totals, const struct world *world)
{
	totals->seeds++;
	totals->events += world->events;
	totals->opened += (uint64_t)world->opened;
	totals->refused += (uint64_t)world->refused;
	totals->cut += (uint64_t)world->cut;
	totals->crashed += (uint64_t)world->crashed;
	if (totals->least_events == 0 || world->events < totals->least_events) {
		totals->least_events = world->events;
	}
}

/* Runs seeds until one fails. Returns that seed's number, or 0. */
static uint64_t run_seeds(const struct options *options, struct totals *totals, struct world *world)
{
	for (uint64_t i = 0; i < options->seeds; i++) {
		world->verbose = options->verbose;
		if (script_run(world, options->from + i)) {
			return options->from + i;
		}
		add_totals(totals, world);
	}
	return 0;
}

static double now_sec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int run(const struct options *options, struct world *world)
{
	struct totals totals = { 0 };
	double start = now_sec();
	uint64_t failed = run_seeds(options, &totals, world);
	const char *hash = options->tap ? "# " : "";

	if (failed) {
		printf("%sseed %llu: %s\n", hash, (unsigned long long)failed, world->failure);
		printf("%sreplay: make sim SEED=%llu   (or: sim --seed %llu --verbose)\n", hash,
		        (unsigned long long)failed, (unsigned long long)failed);
	}
	printf("%s%llu seeds, %llu events (at least %llu a seed), %llu openings, %llu refusals,"
	       " %llu cuts, %llu crashes, %.1f s\n",
	        hash, (unsigned long long)totals.seeds, (unsigned long long)totals.events,
	        (unsigned long long)totals.least_events, (unsigned long long)totals.opened,
	        (unsigned long long)totals.refused, (unsigned long long)totals.cut,
	        (unsigned long long)totals.crashed, now_sec() - start);
	if (options->tap) {
		printf("%s 1 all promises hold in %llu seeds from %llu\n1..1\n",
		        failed ? "not ok" : "ok", (unsigned long long)options->seeds,
		        (unsigned long long)options->from);
	}
	return failed != 0;
}

#ifdef SIM_BUGS
static int list_bugs(void)
{
	for (size_t i = 1; i < ARRAY_COUNT(bugs); i++) {
		printf("%-18s %s\n", bugs[i].name, bugs[i].text);
	}
	return 0;
}

static int run_bugs(const struct options *options, struct world *world)
{
	int missed = 0;

	for (size_t i = 1; i < ARRAY_COUNT(bugs); i++) {
		struct totals totals = { 0 };
		uint64_t failed;

		sim_bug = (enum sim_bug)i;
		failed = run_seeds(options, &totals, world);
		missed += failed == 0;
		printf("%s %zu %s", failed ? "ok" : "not ok", i, bugs[i].name);
		if (failed) {
			printf(" # seed %llu: %s", (unsigned long long)failed, world->failure);
		}
		printf("\n");
	}
	printf("1..%zu\n", ARRAY_COUNT(bugs) - 1);
	return missed > 0;
}

static int with_bugs(
        const struct options *options, struct world *world, const char *self, char **argv)
{
	if (options->all_bugs) {
		return run_bugs(options, world);
	}
	for (size_t i = 1; i < ARRAY_COUNT(bugs); i++) {
		if (strcmp(bugs[i].name, options->bug) == 0) {
			sim_bug = (enum sim_bug)i;
			return run(options, world);
		}
	}
	fprintf(stderr, "sim: there is no bug %s; see --list-bugs\n", options->bug);
	return 2;
}
#else
static int list_bugs(void)
{
	return -1;
}

static int with_bugs(
        const struct options *options, struct world *world, const char *self, char **argv)
{
	AUTO_STRING char *program = mem_format("%s-bugs", self);

	execv(program, argv);
	fprintf(stderr, "sim: cannot start %s, which has the mistakes\n", program);
	return 2;
}
#endif

static int usage(void)
{
	fprintf(stderr, "usage: sim [--seeds N] [--from S] [--seed S [--verbose]] [--bug NAME]"
	                " [--bugs] [--list-bugs] [--tap]\n");
	return 2;
}

static bool take_number(char **argv, int *at, uint64_t *ret)
{
	if (!argv[*at + 1] || unsigned_parse(argv[*at + 1], INT64_MAX, ret)) {
		return false;
	}
	(*at)++;
	return true;
}

/* False: wrong use. */
static bool read_options(char **argv, struct options *options, bool *ret_list)
{
	for (int i = 1; argv[i]; i++) {
		bool ok = true;

		if (strcmp(argv[i], "--seeds") == 0) {
			ok = options->seeds_given = take_number(argv, &i, &options->seeds);
		} else if (strcmp(argv[i], "--from") == 0) {
			ok = take_number(argv, &i, &options->from);
		} else if (strcmp(argv[i], "--seed") == 0) {
			ok = options->one = take_number(argv, &i, &options->from);
		} else if (strcmp(argv[i], "--verbose") == 0) {
			options->verbose = true;
		} else if (strcmp(argv[i], "--tap") == 0) {
			options->tap = true;
		} else if (strcmp(argv[i], "--bugs") == 0) {
			options->all_bugs = true;
		} else if (strcmp(argv[i], "--list-bugs") == 0) {
			*ret_list = true;
		} else if (strcmp(argv[i], "--bug") == 0 && argv[i + 1]) {
			options->bug = argv[++i];
		} else {
			ok = false;
		}
		if (!ok) {
			return false;
		}
	}
	if (options->one) {
		options->seeds = 1;
	} else if (!options->seeds_given && (options->all_bugs || options->bug)) {
		options->seeds = 1000;
	}
	return true;
}

int main(int argc, char **argv)
{
	struct options options = { .from = 1, .seeds = 500 };
	struct world *world;
	bool list = false;
	int status;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!read_options(argv, &options, &list)) {
		return usage();
	}
	if (list && (status = list_bugs()) >= 0) {
		return status;
	}
	site_load();
	world = mem_new(1, sizeof(*world));
	status = options.bug || options.all_bugs || list ? with_bugs(&options, world, argv[0], argv)
	                                                 : run(&options, world);
	site_unload();
	free(world);
	return status;
}
