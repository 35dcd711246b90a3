/* The texts of a world: see generate.h. */
#include "generate.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "oracle.h"

const char *const gen_site_names[GEN_SITES] = { "core-hospital", "device-maker", "clinic",
	"test-center" };
const char *const gen_class_names[12] = { "remote-maintenance", "results-delivery", "asp", "mail",
	"internet", "online-claims", "regional-sharing", "patient-information",
	"public-information", "backup", "timestamp", "validation" };
const char *const gen_protocol_names[3] = { "tcp", "udp", "icmp" };

static const char *const duration_words[] = { "1s", "2s", "59s", "1m", "15m", "30m", "1h", "59m",
	"90m", "2h", "8h", "9h", "23h", "1d", "86399s", "3601s" };
static const int64_t duration_values[] = { 1, 2, 59, 60, 900, 1800, 3600, 3540, 5400, 7200, 28800,
	32400, 82800, 86400, 86399, 3601 };
#define DURATIONS (int)(sizeof(duration_values) / sizeof(duration_values[0]))

static const char *const lease_words[] = { "1s", "30s", "60s", "61s", "299s", "5m" };
static const int64_t lease_values[] = { 1, 30, 60, 61, 299, 300 };

static const char *const port_words[] = { "104", "104,11112", "5000-5010", "1", "65535", "1-65535",
	"22,80-90,443", "5000-5010,104", "1-1023", "1024-65535", "103-105", "2,4,6,8,10,12,14,16" };
static const int port_edges[] = { 104, 11112, 5000, 5010, 1, 65535, 22, 80, 90, 443, 1023, 1024,
	103, 105, 2, 16 };

uint64_t gen_random(uint64_t *state)
{
	/* splitmix64 */
	uint64_t value = (*state += 0x9e3779b97f4a7c15ULL);

	value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
	value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
	return value ^ (value >> 31);
}

int gen_below(struct gen_world *world, int below)
{
	return (int)(gen_random(&world->random) % (uint64_t)below);
}

bool gen_chance(struct gen_world *world, int percent)
{
	return gen_below(world, 100) < percent;
}

int64_t gen_near(struct gen_world *world, int64_t value, int64_t step)
{
	return value + step * (gen_below(world, 3) - 1);
}

__attribute__((format(printf, 2, 3))) static void add(struct gen_text *out, const char *format, ...)
{
	va_list arguments;
	int count;

	va_start(arguments, format);
	count = vsnprintf(out->text + out->count, GEN_TEXT - out->count, format, arguments);
	va_end(arguments);
	if (count < 0 || (size_t)count >= GEN_TEXT - out->count) {
		abort(); /* the generator's own mistake: a text is far below its room */
	}
	out->count += (size_t)count;
}

static void duration_note(struct gen_world *world, int64_t seconds)
{
	if (world->duration_count < GEN_LIST) {
		world->durations[world->duration_count++] = seconds;
	}
}

static void lease_note(struct gen_world *world, int64_t seconds)
{
	if (world->lease_count < GEN_LIST) {
		world->leases[world->lease_count++] = seconds;
	}
}

/* " duration D" and " lease D", each perhaps. */
static void limits_add(struct gen_world *world, struct gen_text *out)
{
	if (gen_chance(world, 45)) {
		/* Two tries of three from the long half, so that something else decides. */
		int pick = gen_chance(world, 66) ? 4 + gen_below(world, DURATIONS - 4)
		                                 : gen_below(world, DURATIONS);

		add(out, " duration %s", duration_words[pick]);
		duration_note(world, duration_values[pick]);
	}
	if (gen_chance(world, 30)) {
		int pick = gen_below(world, 6);

		add(out, " lease %s", lease_words[pick]);
		lease_note(world, lease_values[pick]);
	}
}

static void themes_make(struct gen_world *world)
{
	world->theme_count = 1 + gen_below(world, GEN_THEMES);
	for (int i = 0; i < world->theme_count; i++) {
		struct gen_theme *theme = &world->themes[i];

		for (int side = 0; side < 2; side++) {
			theme->hosts[side] = gen_below(world, world->host_count[side]);
		}
		/* Themes that differ in one thing only tell most. */
		if (i > 0 && gen_chance(world, 60)) {
			*theme = world->themes[gen_below(world, i)];
		}
		theme->class = world->classes[gen_below(world, world->class_count)];
		for (int side = 0; side < 2; side++) {
			if (strcmp(world->hosts[side][theme->hosts[side]].zone, "hsz") == 0 &&
			        gen_chance(world, 80)) {
				theme->class = 0;
			}
		}
		theme->protocol = gen_chance(world, 70) ? 0 : gen_below(world, 3);
		snprintf(theme->ports, sizeof(theme->ports), "%s",
		        theme->protocol == 2 ? "" : port_words[gen_below(world, 12)]);
	}
	for (int i = 0; i < 16; i++) {
		world->ports[i] = port_edges[i];
	}
	world->port_count = 16;
}

static void provider_classes(struct gen_world *world, struct gen_text *out)
{
	for (int i = 0; i < world->class_count; i++) {
		add(out, "class %s", gen_class_names[world->classes[i]]);
		limits_add(world, out);
		if (gen_chance(world, 25)) {
			add(out, " approval %s", gen_chance(world, 60) ? "standing" : "required");
		}
		if (gen_chance(world, 20)) {
			add(out, " factor %s", gen_chance(world, 75) ? "two" : "one");
		}
		if (gen_chance(world, 25)) {
			add(out, " outage %s", gen_chance(world, 60) ? "never" : "survive");
		}
		add(out, "\n");
	}
	for (int i = gen_below(world, 3); i > 0; i--) {
		int left = world->classes[gen_below(world, world->class_count)];
		int right = gen_below(world, 12);

		if (gen_chance(world, 40) && left != right) {
			add(out, "exclude %s %s\n", gen_class_names[left], gen_class_names[right]);
		}
	}
}

static void provider_groups(struct gen_world *world, struct gen_text *out)
{
	for (int i = 1 + gen_below(world, 3); i > 0; i--) {
		bool named[GEN_SITES] = { false };
		int count = 0;

		add(out, "group g%d sites", i);
		for (int site = 0; site < GEN_SITES; site++) {
			bool ours = site == world->sites[0] || site == world->sites[1];

			named[site] = gen_chance(world, ours ? 97 : 30);
			count += named[site];
		}
		for (int site = 0; site < GEN_SITES && count < 2; site++) {
			count += !named[site];
			named[site] = true;
		}
		for (int site = 0; site < GEN_SITES; site++) {
			if (named[site]) {
				add(out, " %s", gen_site_names[site]);
			}
		}
		add(out, " classes");
		count = 0;
		for (int class = 0; class < world->class_count; class ++) {
			if (gen_chance(world, 85) ||
			        (class == world->class_count - 1 && count == 0)) {
				add(out, " %s", gen_class_names[world->classes[class]]);
				count++;
			}
		}
		add(out, "\n");
	}
}

static void provider_make(struct gen_world *world)
{
	struct gen_text *out = &world->provider;

	add(out, "sekisho provider-policy 1\nprovider regional-vpn\nversion %d\n",
	        1 + gen_below(world, 9));
	add(out, "pool 100.64.0.0/10\npool fd00:5e::/32\n");
	for (int site = 0; site < GEN_SITES; site++) {
		bool ours = site == world->sites[0] || site == world->sites[1];

		if (!gen_chance(world, ours ? 99 : 80)) {
			/* Groups name all four. */
			add(out, "site %s prefix 100.70.%d.0/24\n", gen_site_names[site], site);
			continue;
		}
		add(out, "site %s prefix 100.64.%d.0/25 fd00:5e:%d::/48%s\n", gen_site_names[site],
		        site + 1, site + 1, gen_chance(world, 20) ? " # ours" : "");
	}
	provider_classes(world, out);
	provider_groups(world, out);
}

/* The civil date of a day; the way back from oracle_days(), by trying. */
static void date_add(struct gen_text *out, int64_t days)
{
	for (int year = 2024; year < 2032; year++) {
		for (int month = 1; month <= 12; month++) {
			int64_t first = oracle_days(year, month, 1);
			int64_t next = month == 12 ? oracle_days(year + 1, 1, 1)
			                           : oracle_days(year, month + 1, 1);

			if (first <= days && days < next) {
				add(out, "%04d-%02d-%02d", year, month, (int)(days - first) + 1);
				return;
			}
		}
	}
	abort();
}

/* Days near which a calendar goes wrong: leap days, ends of years and of months. */
static int64_t date_pick(struct gen_world *world)
{
	static const int dates[][3] = { { 2026, 11, 23 }, { 2026, 12, 31 }, { 2027, 1, 1 },
		{ 2028, 2, 28 }, { 2028, 2, 29 }, { 2028, 3, 1 }, { 2027, 2, 28 }, { 2027, 3, 1 },
		{ 2026, 6, 30 }, { 2027, 3, 28 } };
	const int *date = dates[gen_below(world, 10)];

	return oracle_days(date[0], date[1], date[2]) + gen_below(world, 3) - 1;
}

static void site_calendar(struct gen_world *world, int side, struct gen_text *out)
{
	static const struct {
		const char *word;
		int64_t seconds;
	} zones[] = { { "+09:00", 32400 }, { "Asia/Tokyo", 32400 }, { "UTC", 0 },
		{ "-03:30", -12600 }, { "+05:45", 20700 }, { "+12:30", 45000 },
		{ "-12:00", -43200 }, { "+14:00", 50400 } };
	int64_t day = date_pick(world);

	if (gen_chance(world, 85)) {
		int pick = gen_chance(world, 40) ? 0 : gen_below(world, 8);

		add(out, "time-zone %s\n", zones[pick].word);
		world->offset[side] = zones[pick].seconds;
	}
	world->holiday[side] = day;
	if (gen_chance(world, 75)) {
		add(out, "holidays ");
		date_add(out, day);
		if (gen_chance(world, 40)) {
			add(out, "..");
			date_add(out, day + gen_below(world, 4));
		}
		if (gen_chance(world, 40)) {
			add(out, " ");
			date_add(out, day + 5);
		}
		add(out, "\n");
		/* Overlapping, nested, touching, in any order. */
		for (int i = gen_chance(world, 40) ? gen_below(world, 4) : 0; i > 0; i--) {
			int64_t first = day - 6 + gen_below(world, 14);

			add(out, "holidays ");
			date_add(out, first);
			if (gen_chance(world, 60)) {
				add(out, "..");
				date_add(out, first + gen_below(world, 6));
			}
			add(out, "\n");
		}
	}
}

static void site_hours(struct gen_world *world, int side, struct gen_text *out)
{
	static const char *const days[] = { "mon-fri", "mon-sun", "sat", "sun", "mon", "fri-sat",
		"wed", "tue-thu", "mon,wed,fri", "sat-sun" };
	static const int edges[] = { 0, 1, 539, 540, 541, 720, 1050, 1051, 1320, 360, 1439 };

	for (int i = gen_below(world, 5); i > 0; i--) {
		struct gen_hours *hours = &world->hours[side][world->hours_count[side]++];

		hours->from = edges[gen_below(world, 11)];
		hours->to = edges[gen_below(world, 11)];
		if (world->hours_count[side] > 1 && gen_chance(world, 40)) {
			hours->from = hours[-1].to; /* spans that touch */
		}
		/* Two names, so that lines add up. */
		snprintf(hours->name, sizeof(hours->name), "%s",
		        gen_chance(world, 60) ? "workdays" : "night");
		add(out, "hours %s %s %02d:%02d-%02d:%02d%s\n", hours->name,
		        days[gen_chance(world, 50) ? gen_below(world, 2) : gen_below(world, 10)],
		        hours->from / 60, hours->from % 60, hours->to / 60, hours->to % 60,
		        gen_chance(world, 50) ? " except holidays" : "");
	}
}

static void site_hosts(struct gen_world *world, int side, struct gen_text *out)
{
	int site = world->sites[side];

	for (int i = 0; i < world->host_count[side]; i++) {
		struct gen_host *host = &world->hosts[side][i];

		add(out, "host %s address %s%d service %s", host->name,
		        strchr(host->service, ':') ? "fd12:3456::" : "192.168.10.", 20 + i,
		        host->service);
		if (host->zone[0] != '\0') {
			add(out, " zone %s", host->zone);
		}
		add(out, "%s\n", gen_chance(world, 10) ? " changeover" : "");
		(void)site;
	}
	/* Sets: of all hosts that are not hsz, and of two neighbours. */
	for (int i = 0; i + 1 < world->host_count[side]; i++) {
		add(out, "set set-%d %s %s\n", i, world->hosts[side][i].name,
		        world->hosts[side][i + 1].name);
	}
}

/* A reference of the own side that takes the theme's host in, or nearly. */
static void own_ref_add(struct gen_world *world, int side, const struct gen_theme *theme,
        struct gen_text *out, bool *star)
{
	int host = theme->hosts[side], count = world->host_count[side];
	bool maintenance = theme->class == 0;

	*star = false;
	if (gen_chance(world, 8)) {
		host = gen_below(world, count);
	}
	if (!maintenance && strcmp(world->hosts[side][host].zone, "hsz") == 0) {
		/* Naming it would be refused (F1). */
		*star = true;
		add(out, "*");
		return;
	}
	if (gen_chance(world, 20) && count > 1) {
		int set = host > 0 && gen_chance(world, 50) ? host - 1 : host;

		set = set > count - 2 ? count - 2 : set;
		if (maintenance || (strcmp(world->hosts[side][set].zone, "hsz") != 0 &&
		                           strcmp(world->hosts[side][set + 1].zone, "hsz") != 0)) {
			add(out, "set-%d", set);
			return;
		}
	}
	if (gen_chance(world, 12)) {
		*star = true;
		add(out, "%s", gen_chance(world, 50) ? "*" : "");
		if (out->text[out->count - 1] == ' ') {
			add(out, "%s/*", gen_site_names[world->sites[side]]);
		}
		return;
	}
	add(out, "%s%s%s", gen_chance(world, 15) ? gen_site_names[world->sites[side]] : "", "", "");
	if (out->text[out->count - 1] != ' ') {
		add(out, "/");
	}
	add(out, "%s", world->hosts[side][host].name);
}

static void other_ref_add(struct gen_world *world, int side, const struct gen_theme *theme,
        struct gen_text *out, bool star_allowed)
{
	int site = world->sites[side];

	if (gen_chance(world, 6)) {
		do {
			site = gen_below(world, GEN_SITES);
		} while (site == world->sites[1 - side]);
	}
	if (star_allowed && gen_chance(world, 15)) {
		add(out, "%s/*", gen_site_names[site]);
		return;
	}
	add(out, "%s/%s", gen_site_names[site],
	        world->hosts[side]
	                    [gen_chance(world, 95) ? theme->hosts[side]
	                                           : gen_below(world, world->host_count[side])]
	                            .name);
}

/* "from REF to REF" of a theme in the policy of one side. */
static void sides_add(struct gen_world *world, int own, const struct gen_theme *theme,
        struct gen_text *out, bool any_to_any)
{
	bool backwards = gen_chance(world, 5);
	int from = backwards ? 1 : 0;
	bool star = false;
	struct gen_text other = { 0 }, mine = { 0 };

	add(&mine, " ");
	own_ref_add(world, own, theme, &mine, &star);
	add(&other, " ");
	other_ref_add(world, 1 - own, theme, &other, !star || any_to_any);
	add(out, " from%s to%s", own == from ? mine.text : other.text,
	        own == from ? other.text : mine.text);
}

static void rule_words(
        struct gen_world *world, int side, const struct gen_theme *theme, struct gen_text *out)
{
	/* "open traffic" goes with few of the other words. */
	bool traffic = theme->class != 0 && gen_chance(world, 30);
	int approval = traffic ? 9 * gen_below(world, 2) : gen_below(world, 10);

	limits_add(world, out);
	if (approval < 4) {
		add(out, " approval standing");
	} else if (approval < 6) {
		add(out, " approval required");
	} else if (approval < 8) {
		add(out, " approval emergency%s",
		        gen_chance(world, 60)   ? ""
		        : gen_chance(world, 50) ? " review 2h"
		                                : " review 1s");
	}
	if (world->hours_count[side] > 0 && gen_chance(world, 40)) {
		add(out, " hours %s",
		        world->hours[side][gen_below(world, world->hours_count[side])].name);
	}
	if (traffic || gen_chance(world, 20)) {
		add(out, " idle %s", duration_words[2 + gen_below(world, 5)]);
	}
	if (gen_chance(world, 25)) {
		add(out, " concurrency %d", 1 + gen_below(world, 3));
	}
	if (gen_chance(world, 30)) {
		add(out, " outage %s", gen_chance(world, 75) ? "survive" : "never");
	}
	if (gen_chance(world, 50)) {
		add(out, " factor %s", traffic || gen_chance(world, 70) ? "one" : "two");
	}
	if (gen_chance(world, 25)) {
		add(out, " posture %s", gen_chance(world, 60) ? "current" : "any");
	}
	if (traffic || gen_chance(world, 10)) {
		add(out, " open %s", traffic ? "traffic" : "request");
	}
}

static void site_make(struct gen_world *world, int side)
{
	struct gen_text *out = &world->site[side];
	int rule = 0;

	add(out, "sekisho site-policy 1\nsite %s\nversion %d\n", gen_site_names[world->sites[side]],
	        1 + gen_below(world, 99));
	site_calendar(world, side, out);
	site_hours(world, side, out);
	site_hosts(world, side, out);
	for (int i = 0; i < world->theme_count; i++) {
		for (int more = gen_chance(world, 97) + gen_chance(world, 50) +
		                gen_chance(world, 25);
		        more > 0; more--) {
			const struct gen_theme *theme = &world->themes[i];

			add(out, "allow r%d", rule++);
			sides_add(world, side, theme, out, false);
			add(out, "%s class %s protocol %s", gen_chance(world, 15) ? "\n " : "",
			        gen_class_names[theme->class], gen_protocol_names[theme->protocol]);
			if (theme->protocol != 2) {
				add(out, " port %s",
				        gen_chance(world, 90) ? theme->ports
				                              : port_words[gen_below(world, 12)]);
			}
			if (gen_chance(world, 10)) {
				add(out, " # as agreed\n\t");
			}
			rule_words(world, side, theme, out);
			add(out, "\n%s", gen_chance(world, 5) ? "\n# and\n" : "");
		}
	}
	for (int i = gen_chance(world, 15) + gen_chance(world, 5); i > 0; i--) {
		/* Maintenance, so that a host in hsz may be named, or no class. */
		struct gen_theme theme = world->themes[gen_below(world, world->theme_count)];

		add(out, "refuse n%d", i);
		sides_add(world, side, &theme, out, true);
		if (gen_chance(world, 60)) {
			add(out, " class %s", gen_class_names[theme.class]);
		}
		add(out, "\n");
	}
}

void gen_world_make(struct gen_world *world, uint64_t seed)
{
	static const char *const zones[] = { "", "dmz", "sz", "hsz" };
	static const char *const names[2][GEN_HOSTS] = { { "terminal", "server", "console", "ct" },
		{ "ct", "console", "mr", "terminal" } };
	static const int edges[] = { 1, 0, 127, 128, 20 };
	bool six;

	world->random = seed * 0x2545f4914f6cdd1dULL + 1;
	world->provider.count = world->site[0].count = world->site[1].count = 0;
	world->duration_count = world->lease_count = world->port_count = 0;
	world->class_count = 0;
	world->sites[0] = gen_below(world, GEN_SITES);
	world->sites[1] = (world->sites[0] + 1 + gen_below(world, GEN_SITES - 1)) % GEN_SITES;
	six = gen_chance(world, 8);
	for (int side = 0; side < 2; side++) {
		world->hours_count[side] = 0;
		world->offset[side] = 0;
		world->holiday[side] = 0;
		world->host_count[side] = 1 + gen_below(world, GEN_HOSTS);
		for (int i = 0; i < world->host_count[side]; i++) {
			struct gen_host *host = &world->hosts[side][i];
			int last = gen_chance(world, 96) ? 2 + i : edges[gen_below(world, 4)];

			snprintf(host->name, sizeof(host->name), "%s", names[side][i]);
			snprintf(host->zone, sizeof(host->zone), "%s",
			        zones[gen_chance(world, 50) ? 0 : gen_below(world, 4)]);
			/* Two hosts may not share an address. */
			if (last != 2 + i) {
				last = edges[i];
			}
			if (six) {
				snprintf(host->service, sizeof(host->service), "fd00:5e:%d::%x",
				        world->sites[side] + 1, 16 + i);
			} else {
				snprintf(host->service, sizeof(host->service), "100.64.%d.%d",
				        world->sites[side] + 1, last == 0 ? 130 : last);
			}
		}
	}
	for (int class = 0; class < 12; class ++) {
		if (gen_chance(world, class == 0 ? 70 : class < 6 ? 35 : 12)) {
			world->classes[world->class_count++] = class;
		}
	}
	if (world->class_count == 0) {
		world->classes[world->class_count++] = gen_below(world, 12);
	}
	themes_make(world);
	provider_make(world);
	for (int side = 0; side < 2; side++) {
		site_make(world, side);
	}
}
