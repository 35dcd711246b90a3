/* Lines that no policy may have (protocol.md 2.1, 2.2). */
#include "generate.h"

#include <stdlib.h>
#include <string.h>

/* @own is a host of the own site, @site the own site, @other the other one; each line is wrong by
 * one thing. Words that are right stand around it, so that nothing else can be what is refused. */
static const char *const site_lines[] = {
	"allow x from @other/a to @site/nobody class mail protocol icmp",
	"allow x from @other/a to nobody class mail protocol icmp",
	"allow x from @other/a to test-center/b class remote-maintenance protocol icmp",
	"allow x from @own to @site/* class remote-maintenance protocol icmp",
	"allow x from @other/a to @own class remote-maintenance protocol icmp port 104",
	"allow x from @other/a to @own class remote-maintenance protocol tcp",
	"allow x from @other/a to @own class remote-maintenance protocol tcp port 0",
	"allow x from @other/a to @own class remote-maintenance protocol tcp port 65536",
	"allow x from @other/a to @own class remote-maintenance protocol tcp port 20-10",
	"allow x from @other/a to @own class remote-maintenance protocol sctp port 20",
	"allow x from @other/a to @own class maintenance protocol icmp",
	"allow x from @other/a to @own protocol icmp",
	"allow x from @other/a to @own class remote-maintenance",
	"allow x from @other/a to @own class remote-maintenance protocol icmp lease 30s duration "
	"1h",
	"allow x from @other/a to @own class remote-maintenance protocol icmp duration 1h duration "
	"1h",
	"allow x from @other/a to @own class remote-maintenance protocol icmp approval required "
	"review 2h",
	"allow x from @other/a to @own class remote-maintenance protocol icmp review 2h",
	"allow x from @other/a to @own class remote-maintenance protocol icmp approval always",
	"allow x from @other/a to @own class remote-maintenance protocol icmp hours never-named",
	"allow x from @other/a to @own class remote-maintenance protocol icmp concurrency 0",
	"allow x from @other/a to @own class remote-maintenance protocol icmp idle 5m hours "
	"workdays",
	"allow x from @other/a to @own class remote-maintenance protocol icmp outage maybe",
	"allow x from @other/a to @own class remote-maintenance protocol icmp factor three",
	"allow x from @other/a to @own class remote-maintenance protocol icmp posture old",
	"allow x from @other/a to @own class mail protocol icmp idle 5m open always",
	"allow x from @other/a to @own class mail protocol icmp open traffic",
	"allow x from @other/a to @own class mail protocol icmp open traffic idle 5m",
	"allow x from @other/a to @own class mail protocol icmp approval required idle 5m open "
	"traffic",
	"allow x from @other/a to @own class mail protocol icmp idle 5m factor two open traffic",
	"allow x from @other/a to @own class remote-maintenance protocol icmp approval standing "
	"idle 5m "
	"factor one open traffic",
	"allow x from @other/a to @own class remote-maintenance protocol icmp posture any factor "
	"one",
	"allow x from @other/a to @own class remote-maintenance protocol icmp duration 0s",
	"allow x from @other/a to @own class remote-maintenance protocol icmp duration 1w",
	"allow x from */a to @own class remote-maintenance protocol icmp",
	"host zoned address 10.1.1.1 service 100.64.9.77 zone hsz\n"
	"allow x from @other/a to zoned class mail protocol icmp",
	"host zoned address 10.1.1.1 service 100.64.9.77 zone hsz\nset zones @own zoned\n"
	"allow x from zones to @other/a class backup protocol icmp",
	"host zoned address 10.1.1.1 service 100.64.9.77 zone lan",
	"host zoned address 10.1.1.1 service fd00:5e:9::77",
	"host zoned address 10.1.1.1",
	"host @own address 10.1.1.1 service 100.64.9.77",
	"set @own @own",
	"set more nobody",
	"set more",
	"hours more mon-fri 09:00",
	"hours more mon-fri 09:60-10:00",
	"hours more mon-fri 25:00-10:00",
	"hours more days 09:00-10:00",
	"hours more mon-day 09:00-10:00",
	"hours more mon- 09:00-10:00",
	"hours more tue, 09:00-10:00",
	"hours more mon-fri 09:00-10:00 but holidays",
	"hours more mon-fri 9:00-10:00",
	"hours more mon-frx 09:00-10:00",
	"hours more mon-fri 09:00-10:00 except",
	"refuse x from @other/a to nobody",
	"refuse x from @other/a to test-center/b",
	"refuse x from @other/a to @own class maintenance",
	"refuse x from @other/a to @own class remote-maintenance protocol icmp",
	"refuse x from @other/a to @own\nrefuse x from @other/b to @own",
	"allow x from @other/a to @own class remote-maintenance protocol icmp duration 86401s",
	"allow x from @other/a to @own class remote-maintenance protocol icmp duration 25h",
	"allow x from @other/a to @own class remote-maintenance protocol icmp lease 301s",
	"allow x from @other/a to @own class remote-maintenance protocol icmp approval emergency "
	"review 8d",
	"allow x from @other/a to @own class remote-maintenance protocol icmp concurrency 4097",
	"allow x from @other/a to @own class remote-maintenance protocol icmp idle 86401s",
	"time-zone +09:00\ntime-zone +09:00",
	"time-zone +14:01",
	"time-zone -12:01",
	"time-zone JST",
	"hours more mon,mon 09:00-10:00",
	"hours more fri-mon 09:00-10:00",
	"hours more mon-fri 09:00-24:00",
	"hours more mon,tue, 09:00-10:00",
	"hours more mon-wed,wed 09:00-10:00",
	"holidays 2026-02-29",
	"holidays 20a6-10-10",
	"holidays 2026-00-10",
	"holidays 2026-10-00",
	"holidays 2026-10-011",
	"holidays 2026/10/01",
	"holidays 1969-12-31",
	"hours more mon-fri 09:00-10:000",
	"hours more mon-fri 09.00-10:00",
	"hours more mon-fri 09:00-10:00-11:00",
	"hours more mon-fri 09:00-1a:00",
	"holidays 2028-02-30",
	"holidays 2026-04-31",
	"holidays 2027-01-03..2027-01-02",
	"holidays",
	"holidays 2026-13-01",
	"permit x from @other/a to @own",
	"Allow x from @other/a to @own class remote-maintenance protocol icmp",
};

static const char *const provider_lines[] = {
	"class mail duration 1h\nclass mail duration 1h",
	"class everything",
	"group more sites core-hospital nowhere classes remote-maintenance",
	"group more sites core-hospital clinic",
	"group more sites core-hospital clinic classes everything",
	"site core-hospital prefix 100.99.0.0/24",
	"site more",
	"site more prefix",
	"exclude mail",
	"exclude mail mail",
	"class mail duration 25h",
	"class mail lease 301s",
	"class mail factor two approval required",
	"exclude mail everything",
	"pool 100.64.0.0/33",
	"class mail approval emergency",
	"class mail factor three",
	"class mail outage maybe",
	"deny all",
};

#define COUNT(array) (int)(sizeof(array) / sizeof(array[0]))

static void text_add(struct gen_text *text, const char *bytes, size_t count)
{
	if (text->count + count + 1 > GEN_TEXT) {
		abort();
	}
	memcpy(text->text + text->count, bytes, count);
	text->count += count;
	text->text[text->count] = '\0';
}

const char *gen_world_spoil(struct gen_world *world, int *which)
{
	const char *line;
	struct gen_text *text;

	*which = gen_below(world, 3);
	if (*which == 0) {
		line = provider_lines[gen_below(world, COUNT(provider_lines))];
		text_add(&world->provider, line, strlen(line));
		text_add(&world->provider, "\n", 1);
		return line;
	}
	line = site_lines[gen_below(world, COUNT(site_lines))];
	text = &world->site[*which - 1];
	for (const char *at = line; *at != '\0';) {
		const char *word =
		        strncmp(at, "@own", 4) == 0     ? world->hosts[*which - 1][0].name
		        : strncmp(at, "@site", 5) == 0  ? gen_site_names[world->sites[*which - 1]]
		        : strncmp(at, "@other", 6) == 0 ? gen_site_names[world->sites[2 - *which]]
		                                        : NULL;

		if (word) {
			text_add(text, word, strlen(word));
			at += strncmp(at, "@own", 4) == 0    ? 4
			      : strncmp(at, "@site", 5) == 0 ? 5
			                                     : 6;
		} else {
			text_add(text, at++, 1);
		}
	}
	text_add(text, "\n", 1);
	return line;
}
