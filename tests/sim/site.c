/*
 * Ten sites with the same private network, so that only service addresses tell them apart, and
 * their policies in a few variants, compiled once for all runs.
 *
 * Site i may have connections with site j unless (i + j) % 3 == 0: host a asks for host b's port
 * 104 as remote maintenance (at most 4 minutes) and for port 22 as results delivery (a day, which
 * is more than any gateway's own ceiling). Nothing is allowed with host c. From host e to host d go
 * maintenance with a work order (104) or in an emergency (11112), asp (8080, 8081; one at a time)
 * and mail (25), which exclude the others and each other, and a delivery that survives an outage
 * (2222). Variant 1 has no outage, variant 2 another approver, whom nobody in here ever asks.
 */
#include "world.h"

#include <stdio.h>
#include <string.h>

static struct provider_policy *provider_policies[PROVIDER_VARIANTS];
static struct site_policy *site_policies[BOXES][POLICY_VARIANTS];

const struct provider_policy *site_provider_policy(int variant)
{
	return provider_policies[variant];
}

const struct site_policy *site_policy_of(int site, int variant)
{
	return site_policies[site][variant];
}

static struct address address_of(uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
	return (struct address){ .family = ADDRESS_V4, .bytes = { a, b, c, d } };
}

struct address site_service(int site, int host)
{
	return address_of(100, 64, (uint8_t)(site + 1), (uint8_t)(10 + host));
}

struct address site_real(int host)
{
	return address_of(192, 168, 1, (uint8_t)(10 + host));
}

const char *site_host_name(int host)
{
	static const char *const names[HOSTS] = { "a", "b", "c", "d", "e" };

	return names[host];
}

int site_number(const char *name)
{
	return name[0] == 's' && name[1] >= '0' && name[1] <= '9' && !name[2] ? name[1] - '0' : -1;
}

bool site_behind_nat(int site)
{
	return site == 3 || site == 7;
}

void site_fill_end(const struct box *box, int host, struct grant_end *ret_end)
{
	*ret_end = (struct grant_end){ .service = site_service(box->number, host) };
	snprintf(ret_end->site, sizeof(ret_end->site), "%s", box->site);
	snprintf(ret_end->gateway, sizeof(ret_end->gateway), "%s", box->gateway);
	snprintf(ret_end->identity, sizeof(ret_end->identity), "%s", box->identity);
	snprintf(ret_end->serial, sizeof(ret_end->serial), "%s", box->serial);
	snprintf(ret_end->host, sizeof(ret_end->host), "%s", site_host_name(host));
	if (!site_behind_nat(box->number)) {
		ret_end->address = address_of(198, 51, 100, (uint8_t)(box->number + 1));
	}
}

static void load_provider(int variant)
{
	AUTO_BUF struct buf text = BUF(POLICY_TEXT_BYTES_MAX);
	struct err err = { 0 };

	buf_add_format(&text, "sekisho provider-policy 1\nprovider sim\nversion %d\n", variant + 1);
	buf_add_text(&text, "pool 100.64.0.0/10\n");
	for (int i = 0; i < BOXES; i++) {
		buf_add_format(&text, "site s%d prefix 100.64.%d.0/24\n", i, i + 1);
	}
	buf_add_text(&text, "class remote-maintenance duration 2h lease 60s\n"
	                    "class results-delivery duration 24h lease 60s\n"
	                    "class asp duration 1h\nclass mail duration 1h\ngroup all sites");
	for (int i = variant; i < BOXES; i++) {
		buf_add_format(&text, " s%d", i);
	}
	buf_add_text(&text, " classes remote-maintenance results-delivery asp mail\n");
	if (provider_policy_parse(buf_text(&text), text.count, &provider_policies[variant], &err)) {
		fprintf(stderr, "sim: provider policy: %s\n", err.text);
		exit(1);
	}
}

enum service_class site_kind_class(enum site_kind kind)
{
	static const enum service_class classes[KIND_COUNT] = { SERVICE_REMOTE_MAINTENANCE,
		SERVICE_REMOTE_MAINTENANCE, SERVICE_ASP, SERVICE_MAIL, SERVICE_RESULTS_DELIVERY };

	return classes[kind];
}

uint16_t site_kind_port(enum site_kind kind, int which)
{
	static const uint16_t ports[KIND_COUNT] = { 104, 11112, 8080, 25, 2222 };

	return (uint16_t)(ports[kind] + (kind == KIND_ASP ? which : 0));
}

bool site_has_approver(int variant)
{
	return variant != 2;
}

bool site_survives(int variant)
{
	return variant != 1;
}

/* In: the own site is reached. */
static void add_more_rules(struct buf *text, int other, bool in, int variant)
{
	static const struct {
		const char *name, *class, *ports, *in, *out;
	} rules[KIND_COUNT] = {
		[KIND_WORK] = { "work", "remote-maintenance", "104",
		        "duration 4m lease 30s approval required factor one",
		        "duration 4m lease 30s approval standing factor one" },
		[KIND_EMERGENCY] = { "emergency", "remote-maintenance", "11112",
		        "duration 1m lease 30s approval emergency factor one",
		        "duration 4m lease 30s approval standing factor one" },
		[KIND_ASP] = { "asp", "asp", "8080-8081", "duration 4m lease 30s concurrency 1",
		        "duration 4m lease 30s" },
		[KIND_MAIL] = { "mail", "mail", "25", "duration 4m lease 30s",
		        "duration 4m lease 30s" },
	};
	char from[16], to[16];

	snprintf(from, sizeof(from), in ? "s%d/e" : "e", other);
	snprintf(to, sizeof(to), in ? "d" : "s%d/d", other);
	for (int kind = 0; kind < KIND_OUTAGE; kind++) {
		buf_add_format(text,
		        "allow %s-%s%d from %s to %s class %s protocol tcp port %s %s\n",
		        rules[kind].name, in ? "in" : "out", other, from, to, rules[kind].class,
		        rules[kind].ports, in ? rules[kind].in : rules[kind].out);
	}
	buf_add_format(text,
	        "allow outage-%s%d from %s to %s class results-delivery protocol tcp port 2222"
	        " duration 10m lease 30s idle %ds outage %s\n",
	        in ? "in" : "out", other, from, to, SITE_IDLE_SEC,
	        site_survives(variant) ? "survive" : "never");
}

static void add_rules(struct buf *text, int site, int other, int variant)
{
	static const int lease[] = { 20, 30, 12 };

	if (other == site || (site + other) % 3 == 0 || (variant == 2 && other % 2 == 1)) {
		return;
	}
	for (int out = 0; out < 2; out++) {
		const char *word = out ? "out" : "in";
		char from[16], to[16];

		snprintf(from, sizeof(from), out ? "a" : "s%d/a", other);
		snprintf(to, sizeof(to), out ? "s%d/b" : "b", other);
		buf_add_format(text,
		        "allow %s%d from %s to %s class remote-maintenance protocol tcp port %s"
		        " duration %s lease %ds approval standing factor one\n",
		        word, other, from, to, variant == 1 ? "104" : "104,11112",
		        variant == 1 ? "2m" : "4m", lease[other % 3]);
		add_more_rules(text, other, !out, variant);
		if (variant != 1) {
			buf_add_format(text,
			        "allow long-%s%d from %s to %s class results-delivery protocol tcp"
			        " port 22 duration 24h lease 30s\n",
			        word, other, from, to);
		}
	}
}

static void load_site(int site, int variant)
{
	AUTO_BUF struct buf text = BUF(POLICY_TEXT_BYTES_MAX);
	uint8_t key[32] = { 0x30, 30 };
	struct err err = { 0 };

	buf_add_format(&text, "sekisho site-policy 1\nsite s%d\nversion %d\n", site, variant + 1);
	for (int i = 0; i < HOSTS; i++) {
		buf_add_format(&text, "host %s address 192.168.1.%d service 100.64.%d.%d\n",
		        site_host_name(i), 10 + i, site + 1, 10 + i);
	}
	/* The key's number, as a stand-in for a SubjectPublicKeyInfo. */
	key[3] = (uint8_t)(site_has_approver(variant) ? SITE_APPROVER_KEY(site) : 99);
	buf_add_format(&text, "approver %s key ", site_has_approver(variant) ? "tanaka" : "sato");
	base64_add(&text, key, sizeof(key));
	buf_add_text(&text, "\n");
	for (int i = 0; i < BOXES; i++) {
		add_rules(&text, site, i, variant);
	}
	if (site_policy_parse(buf_text(&text), text.count, &site_policies[site][variant], &err)) {
		fprintf(stderr, "sim: site policy: %s\n", err.text);
		exit(1);
	}
}

void site_load(void)
{
	for (int variant = 0; variant < PROVIDER_VARIANTS; variant++) {
		load_provider(variant);
	}
	for (int site = 0; site < BOXES; site++) {
		for (int variant = 0; variant < POLICY_VARIANTS; variant++) {
			load_site(site, variant);
		}
	}
}

void site_unload(void)
{
	for (int variant = 0; variant < PROVIDER_VARIANTS; variant++) {
		provider_policies[variant] = provider_policy_free(provider_policies[variant]);
	}
	for (int site = 0; site < BOXES; site++) {
		for (int variant = 0; variant < POLICY_VARIANTS; variant++) {
			site_policies[site][variant] =
			        site_policy_free(site_policies[site][variant]);
		}
	}
}

/* --- seals --------------------------------------------------------------- */

/* FNV-1a, with the key's secret in front: nothing in the simulation can guess it by chance. */
static uint64_t seal_hash(int key, const char *typ, const uint8_t *bytes, size_t count)
{
	uint64_t value = 0xcbf29ce484222325ULL + (uint64_t)key * 0x9e3779b97f4a7c15ULL;

	for (; *typ; typ++) {
		value = (value ^ (uint8_t)*typ) * 0x100000001b3ULL;
	}
	for (size_t i = 0; i < count; i++) {
		value = (value ^ bytes[i]) * 0x100000001b3ULL;
	}
	return value;
}

char *seal_make(int key, const char *typ, const struct buf *payload)
{
	return mem_format("%016llx.%s",
	        (unsigned long long)seal_hash(key, typ, payload->bytes, payload->count),
	        buf_text(payload));
}

int seal_check(int key, const char *typ, const char *sealed, struct buf *payload)
{
	size_t count = strlen(sealed);
	char expected[32];

	if (count < 17) {
		return 1;
	}
	snprintf(expected, sizeof(expected), "%016llx.",
	        (unsigned long long)seal_hash(key, typ, (const uint8_t *)sealed + 17, count - 17));
	if (strncmp(sealed, expected, 17) != 0) {
		return 1;
	}
	buf_add(payload, sealed + 17, count - 17);
	return 0;
}
