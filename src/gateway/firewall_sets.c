/*
 * What the packet filter knows of hosts: the address maps, who is in which zone, who is away from
 * his LAN. Each is made to hold exactly what it is told, by adding and removing the differences.
 */
#include "gateway/firewall_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int take_pair(const struct nft_element *element, void *item)
{
	return nft_element_pair(element, item);
}

static int compare_pairs(const void *left, const void *right)
{
	return memcmp(left, right, sizeof(struct nft_pair));
}

/* The next step of a walk through two sorted lists: < 0 only in `have`, > 0 only in `want`. */
static int step(
        const struct firewall_list *have, size_t h, const struct firewall_list *want, size_t w)
{
	if (h == have->count) {
		return 1;
	}
	if (w == want->count) {
		return -1;
	}
	return compare_pairs(
	        (struct nft_pair *)have->items + h, (struct nft_pair *)want->items + w);
}

/* Collects what is in one list and not in the other. */
static size_t differ(const struct firewall_list *have, const struct firewall_list *want, int sign,
        struct nft_pair *out)
{
	size_t h = 0, w = 0, count = 0;

	while (h < have->count || w < want->count) {
		int side = step(have, h, want, w);

		if (side < 0 && sign < 0) {
			out[count++] = ((struct nft_pair *)have->items)[h];
		} else if (side > 0 && sign > 0) {
			out[count++] = ((struct nft_pair *)want->items)[w];
		}
		h += side <= 0;
		w += side >= 0;
	}
	return count;
}

typedef void change_pair(struct nft_batch *batch, const char *map, struct nft_pair pair);

struct pair_list {
	const char *map;
	change_pair *change;
	const struct nft_pair *pairs;
};

static void add_pair(struct nft_batch *batch, const void *list, size_t place)
{
	const struct pair_list *set = list;

	set->change(batch, set->map, set->pairs[place]);
}

static int change_pairs(struct firewall *firewall, const char *map, change_pair *change,
        const struct nft_pair *pairs, size_t count)
{
	struct pair_list list = { map, change, pairs };

	return firewall_commit_list(firewall, add_pair, &list, count);
}

/* Makes one map hold exactly `want`, sorted here. What is wrong goes first: a key that maps to
 * something else now has to be free before it is added. */
static int sync_pairs(struct firewall *firewall, const char *map, struct firewall_list *want)
{
	struct firewall_list have = { .item_bytes = sizeof(struct nft_pair), .take = take_pair };
	struct nft_pair *pairs = mem_new(ELEMENTS_MAX, sizeof(*pairs));
	size_t count;
	int r = firewall_list_whole(firewall, map, &have);

	if (r == 0) {
		qsort(have.items, have.count, sizeof(struct nft_pair), compare_pairs);
		qsort(want->items, want->count, sizeof(struct nft_pair), compare_pairs);
		count = differ(&have, want, -1, pairs);
		r = change_pairs(firewall, map, nft_pair_delete, pairs, count);
	}
	if (r == 0) {
		count = differ(&have, want, 1, pairs);
		r = change_pairs(firewall, map, nft_pair_add, pairs, count);
	}
	free(have.items);
	free(pairs);
	return r;
}

static bool forwards(const struct firewall *firewall, struct ip ip)
{
	bool found = false;

	for (size_t i = 0; i < firewall->families_count; i++) {
		found |= firewall->families[i] == ip.family;
	}
	return found;
}

/* Makes a set of addresses hold exactly these, as far as their family is forwarded. */
static int sync_members(
        struct firewall *firewall, const char *set, const struct ip *ips, size_t count)
{
	struct firewall_list want = { .item_bytes = sizeof(struct nft_pair) };
	struct nft_pair *items = mem_new(count + 1, sizeof(*items));
	int r;

	assert_always(count <= FIREWALL_PAIRS_MAX);
	for (size_t i = 0; i < count; i++) {
		if (forwards(firewall, ips[i])) {
			items[want.count++] = (struct nft_pair){ .from = ips[i] };
		}
	}
	want.items = items;
	r = sync_pairs(firewall, set, &want);
	free(items);
	return r < 0 ? FAULT(r) : r;
}

int firewall_zone_set(
        struct firewall *firewall, enum firewall_zone zone, const struct ip *ips, size_t count)
{
	return sync_members(firewall, firewall_zone_names[zone], ips, count);
}

int firewall_first_set(struct firewall *firewall, const struct ip *ips, size_t count)
{
	return sync_members(firewall, FIREWALL_FIRST_SET, ips, count);
}

static void add_member(struct nft_batch *batch, struct ip ip, bool remove)
{
	static const char *const names[] = { FIREWALL_AWAY_SET, FIREWALL_AWAY_SET "6" };
	const char *name = names[batch->bridge && ip.family == IP_V6];

	if (remove) {
		nft_pair_add(batch, name, (struct nft_pair){ .from = ip }); /* there or not */
		nft_pair_delete(batch, name, (struct nft_pair){ .from = ip });
	} else {
		nft_pair_add(batch, name, (struct nft_pair){ .from = ip });
	}
}

/* Puts in or takes out at the gateway itself and on the bridges, in one change. */
static int change_away(struct firewall *firewall, struct ip ip, bool remove)
{
	struct nft_batch batch;
	int r;

	firewall_batch_start(firewall, &batch);
	add_member(&batch, ip, remove);
	batch.bridge = true;
	add_member(&batch, ip, remove);
	r = firewall_commit(firewall, &batch);
	nft_batch_clear(&batch);
	return r < 0 ? FAULT(r) : 0;
}

static bool is_in(const struct ip *ips, size_t count, struct ip ip)
{
	for (size_t i = 0; i < count; i++) {
		if (ip_equal(ips[i], ip)) {
			return true;
		}
	}
	return false;
}

static int load_bridge(struct firewall *firewall, struct err *err)
{
	AUTO_BUF struct buf text = BUF(RULESET_BYTES_MAX);
	int r;

	firewall_bridge_print(firewall->table, &text);
	r = firewall_text_load(firewall, buf_text(&text), err);
	firewall->bridge = r == 0;
	return r < 0 ? FAULT(r) : r;
}

/* What a process before this one left; it stays until somebody says who is away now. */
static int read_away(struct firewall *firewall)
{
	static const enum ip_family families[] = { IP_V4, IP_V6 };
	struct firewall_list list = { .item_bytes = sizeof(struct nft_pair), .take = take_pair };
	int r = 0;

	list.items = mem_new(ELEMENTS_MAX, list.item_bytes);
	for (size_t i = 0; r == 0 && i < ARRAY_COUNT(families); i++) {
		r = firewall_list_family(firewall, families[i], FIREWALL_AWAY_SET, &list);
	}
	free(firewall->away);
	firewall->away = mem_new(list.count + 1, sizeof(*firewall->away));
	firewall->away_count = list.count;
	for (size_t i = 0; i < list.count; i++) {
		firewall->away[i] = ((struct nft_pair *)list.items)[i].from;
	}
	free(list.items);
	return r == FIREWALL_MISSING ? FAULT(-ENOENT) : r < 0 ? FAULT(r) : 0;
}

/* Adding again what is there is no fault, so after a start everybody is added to every set. */
static int change_all(struct firewall *firewall, const struct ip *ips, size_t count, bool anew)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++) {
		if (anew || !is_in(firewall->away, firewall->away_count, ips[i])) {
			r = change_away(firewall, ips[i], false);
		}
	}
	for (size_t i = 0; r == 0 && i < firewall->away_count; i++) {
		if (!is_in(ips, count, firewall->away[i])) {
			r = change_away(firewall, firewall->away[i], true);
		}
	}
	return r < 0 ? FAULT(r) : 0;
}

int firewall_away_set(
        struct firewall *firewall, const struct ip *ips, size_t count, struct err *err)
{
	bool anew = !firewall->away_known;
	int r = anew ? read_away(firewall) : 0;

	if (r == 0 && (count > 0 || firewall->away_count > 0) && !firewall->bridge) {
		r = load_bridge(firewall, err);
		if (r == 1) {
			return 1;
		}
	}
	if (r == 0) {
		r = change_all(firewall, ips, count, anew);
	}
	firewall->away_known = r == 0;
	if (r < 0) {
		return err_set(err, FAULT(r), "hosts that are away: %s", strerror(-r));
	}
	free(firewall->away);
	firewall->away = mem_copy(ips, count * sizeof(*ips));
	firewall->away_count = count;
	return 0;
}

int firewall_addresses_set(struct firewall *firewall, const struct nft_pair *pairs, size_t count)
{
	struct firewall_list want = { .count = count, .item_bytes = sizeof(*pairs) };
	struct nft_pair *items = mem_new(count + 1, sizeof(*items));
	int r;

	assert_always(count <= FIREWALL_PAIRS_MAX);
	want.items = items;
	if (count > 0) {
		memcpy(items, pairs, count * sizeof(*pairs));
	}
	r = sync_pairs(firewall, FIREWALL_TO_REAL_MAP, &want);
	for (size_t i = 0; i < count; i++) {
		struct ip service = items[i].from;

		items[i].from = items[i].to;
		items[i].to = service;
	}
	if (r == 0) {
		r = sync_pairs(firewall, FIREWALL_TO_SERVICE_MAP, &want);
	}
	free(items);
	return r < 0 ? FAULT(r) : r;
}
