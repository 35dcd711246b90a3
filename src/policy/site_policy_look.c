/*
 * The table of a site policy that leads from names to hosts and rules.
 *
 * A slot has 28 more bits of the hash of what it is for, so what is not there costs nothing but the
 * slot. A hash never decides: the names, the direction and the kind of the chain are compared
 * before anything is taken.
 *
 * Look-ups wait for memory more than for the processor: the steps ask for the lines of the next
 * one, and no line is behind more than two others: the structure, with which the slots of a small
 * policy come, then the host and the rules with their texts.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "policy/site_policy.h"
#include "policy/site_policy_impl.h"

/* In place of the hash of a name. */
#define EVERY_OWN_HASH 0x9ae16a3b2f90404fULL
#define EVERY_PEER_HASH 0xc949c7defebe6639ULL

static uint64_t chain_hash(bool outbound, uint64_t own_host, uint64_t site, uint64_t peer_host)
{
	uint64_t hash = (site ^ outbound) * 0xff51afd7ed558ccdULL;

	hash = (hash ^ hash >> 32 ^ own_host) * 0xc4ceb9fe1a85ec53ULL;
	hash = (hash ^ hash >> 32 ^ peer_host) * 0x9fb21c651e98df25ULL;
	return hash ^ hash >> 32;
}

/* Tests have fewer bits, so that everything collides. */
#ifndef HASH_MASK
#define HASH_MASK UINT64_MAX
#endif

/* What of a hash stands in a slot, and which slot is looked at first. */
static uint64_t tag_of(uint64_t hash)
{
	return (hash & HASH_MASK) >> 36;
}

static uint32_t place_of(const struct site_policy *policy, uint64_t hash)
{
	return (uint32_t)(hash & HASH_MASK) & policy->slot_mask;
}

/* The first slot from place `at` on that has this tag, or is free. */
static struct site_policy_slot *slot_from(
        const struct site_policy *policy, uint64_t tag, uint32_t at)
{
	while (policy->slots[at].text != 0 && policy->slots[at].tag != tag) {
		at = (at + 1) & policy->slot_mask;
	}
	return &policy->slots[at];
}

static struct site_policy_slot *first_slot(const struct site_policy *policy, uint64_t hash)
{
	return slot_from(policy, tag_of(hash), place_of(policy, hash));
}

static struct site_policy_slot *next_slot(
        const struct site_policy *policy, const struct site_policy_slot *slot)
{
	uint32_t at = (uint32_t)(slot - policy->slots);

	return slot_from(policy, slot->tag, (at + 1) & policy->slot_mask);
}

/* The rule that a slot leads to, or NULL where it is a host's. */
static struct site_policy_rule *rule_of(
        const struct site_policy *policy, const struct site_policy_slot *slot)
{
	return slot->number < policy->host_count
	               ? NULL
	               : &policy->rules[slot->number - policy->host_count];
}

/* --- made when the text was read ----------------------------------------- */

static bool same_chain(const struct site_policy_rule *left, const struct site_policy_rule *right)
{
	unsigned kind = chain_kind(left);

	return left->outbound == right->outbound && left->peer_site == right->peer_site &&
	       left->peer_host == right->peer_host && kind == chain_kind(right) &&
	       (kind & CHAIN_EVERY_OWN || left->own_host == right->own_host);
}

static uint64_t hash_of(const struct site_policy *policy, uint32_t name)
{
	return name_key(name_index_text(&policy->names, name)).hash;
}

/* Where "site/host" of the other side lies in the pool; a star is every host of it. */
static uint32_t add_peer_text(struct site_policy *policy, const struct site_policy_rule *rule)
{
	char text[HOST_REF_BYTES_MAX + 1];
	uint32_t number;

	snprintf(text, sizeof(text), "%s/%s", name_index_text(&policy->names, rule->peer_site),
	        rule->peer_host == EVERY_HOST ? "*"
	                                      : name_index_text(&policy->names, rule->peer_host));
	number = name_index_add(&policy->names, text);
	return policy->names.offsets[number];
}

static void add_host(struct site_policy *policy, uint32_t position)
{
	struct site_policy_host *host = &policy->hosts[position];
	uint64_t hash = hash_of(policy, host->name);
	struct site_policy_slot *slot = first_slot(policy, hash);

	while (slot->text != 0) {
		slot = next_slot(policy, slot);
	}
	host->label = policy->names.offsets[host->name];
	*slot = (struct site_policy_slot){ tag_of(hash), position, host->label };
}

/* Puts a rule into its chain. A chain is always walked whole, so its order does not matter. */
static void add_rule(struct site_policy *policy, uint32_t position)
{
	struct site_policy_rule *rule = &policy->rules[position], *first = NULL;
	unsigned kind = chain_kind(rule);
	uint64_t hash = chain_hash(rule->outbound,
	        kind & CHAIN_EVERY_OWN ? EVERY_OWN_HASH : hash_of(policy, rule->own_host),
	        hash_of(policy, rule->peer_site),
	        kind & CHAIN_EVERY_PEER ? EVERY_PEER_HASH : hash_of(policy, rule->peer_host));
	struct site_policy_slot *slot = first_slot(policy, hash);

	while (slot->text != 0 && !((first = rule_of(policy, slot)) && same_chain(first, rule))) {
		slot = next_slot(policy, slot);
	}
	rule->label = policy->names.offsets[rule->name];
	rule->next = RULE_NONE;
	if (slot->text != 0) {
		rule->next = (uint16_t)(first - policy->rules);
	} else {
		*slot = (struct site_policy_slot){ tag_of(hash), 0, add_peer_text(policy, rule) };
	}
	slot->number = (policy->host_count + position) & 0x3fff;
	policy->chain_kinds |= 1U << (kind + CHAIN_KINDS * rule->outbound);
	for (uint32_t i = 0; i < PORT_RANGES_NEAR && i < rule->port_count; i++) {
		rule->near_ranges[i] = policy->ranges[rule->ports + i];
	}
}

void site_policy_table_make(struct site_policy *policy)
{
	uint32_t slots = SLOTS_MIN;
	size_t row = set_row_bytes(policy->host_count);

	/* Three of four are taken at most, so a search for what is not there ends soon. */
	while (3 * slots < 4 * (policy->host_count + policy->rule_count)) {
		slots *= 2;
	}
	policy->slot_mask = slots - 1;
	policy->slots = mem_new(slots, sizeof(*policy->slots));
	for (uint32_t i = 0; i < policy->host_count; i++) {
		add_host(policy, i);
	}
	for (uint32_t i = 0; i < policy->rule_count; i++) {
		add_rule(policy, i);
	}
	policy->set_hosts = mem_new(policy->set_count * row, 1);
	for (size_t i = 0; i < policy->set_count; i++) {
		const struct site_policy_set *set = &policy->sets[i];

		for (uint32_t k = 0; k < set->member_count; k++) {
			uint32_t host = policy->members[set->members + k];

			policy->set_hosts[i * row + host / 8] |= (uint8_t)(1U << host % 8);
		}
	}
}

/* --- looking ------------------------------------------------------------- */

uint32_t site_policy_position(const struct site_policy *policy, const struct name_key *host)
{
	const struct site_policy_slot *slot = first_slot(policy, host->hash);

	while (slot->text != 0 && (slot->number >= policy->host_count ||
	                                  strcmp(policy->pool + slot->text, host->name) != 0)) {
		slot = next_slot(policy, slot);
	}
	return slot->text == 0 ? INDEX_NONE : slot->number;
}

void site_policy_want(const struct site_policy *policy)
{
	const char *at = (const char *)policy;

	if (!policy) {
		return;
	}
	for (size_t i = 0; i < HOT_BYTES; i += CACHE_LINE_BYTES) {
		__builtin_prefetch(at + i);
	}
	for (size_t i = 0; i < SLOTS_FETCHED * sizeof(*policy->slots); i += CACHE_LINE_BYTES) {
		__builtin_prefetch(at + SITE_POLICY_BYTES + i);
	}
}

static void want_slots(const struct site_policy *policy, struct site_policy_look *look)
{
	look->kinds = policy->chain_kinds >> (look->outbound ? CHAIN_KINDS : 0) &
	              ((1U << CHAIN_KINDS) - 1);
	__builtin_prefetch(&policy->slots[place_of(policy, look->own->hash)]);
	for (unsigned kind = 0; kind < CHAIN_KINDS; kind++) {
		if (look->kinds & 1U << kind) {
			look->hashes[kind] = chain_hash(look->outbound,
			        kind & CHAIN_EVERY_OWN ? EVERY_OWN_HASH : look->own->hash,
			        look->peer_site->hash,
			        kind & CHAIN_EVERY_PEER ? EVERY_PEER_HASH : look->peer->hash);
			__builtin_prefetch(&policy->slots[place_of(policy, look->hashes[kind])]);
		}
	}
}

/* What a slot leads to, and the text of so many bytes that it is compared by. */
static void want_slot(const struct site_policy *policy, uint64_t hash, size_t text_bytes)
{
	const struct site_policy_slot *slot = first_slot(policy, hash);
	const struct site_policy_rule *rule;

	if (slot->text == 0) {
		return;
	}
	rule = rule_of(policy, slot);
	if (rule) {
		__builtin_prefetch(rule);
	} else {
		__builtin_prefetch(&policy->hosts[slot->number]);
		__builtin_prefetch(&policy->hosts[slot->number].changeover);
	}
	__builtin_prefetch(policy->pool + slot->text);
	__builtin_prefetch(policy->pool + slot->text + text_bytes);
}

/* Where the chain of a kind begins: each name is compared, and what the rule says of itself. */
static uint16_t find_chain(
        const struct site_policy *policy, const struct site_policy_look *look, unsigned kind)
{
	uint64_t hash = look->hashes[kind];
	const struct site_policy_slot *slot = first_slot(policy, hash);

	for (; slot->text != 0; slot = next_slot(policy, slot)) {
		const struct site_policy_rule *rule = rule_of(policy, slot);
		const char *text = policy->pool + slot->text;

		if (rule && rule->outbound == look->outbound && chain_kind(rule) == kind &&
		        (kind & CHAIN_EVERY_OWN ||
		                rule->own_host == policy->hosts[look->position].name) &&
		        strncmp(text, look->peer_site->name, look->peer_site->bytes) == 0 &&
		        text[look->peer_site->bytes] == '/' &&
		        (kind & CHAIN_EVERY_PEER ||
		                strcmp(text + look->peer_site->bytes + 1, look->peer->name) == 0)) {
			return (uint16_t)(rule - policy->rules);
		}
	}
	return RULE_NONE;
}

static void find_chains(const struct site_policy *policy, struct site_policy_look *look)
{
	look->position = site_policy_position(policy, look->own);
	for (unsigned kind = 0; kind < CHAIN_KINDS; kind++) {
		/* "Every host" means every host that the policy names itself. */
		look->rules[kind] = look->position != INDEX_NONE && look->kinds & 1U << kind
		                            ? find_chain(policy, look, kind)
		                            : RULE_NONE;
	}
}

void site_policy_look(const struct site_policy *policy, struct site_policy_look *look, int step)
{
	if (step == 0) {
		want_slots(policy, look);
	} else if (step == 1) {
		want_slot(policy, look->own->hash, look->own->bytes);
		for (unsigned kind = 0; kind < CHAIN_KINDS; kind++) {
			if (look->kinds & 1U << kind) {
				want_slot(policy, look->hashes[kind],
				        look->peer_site->bytes + look->peer->bytes);
			}
		}
		if (policy->hours.span_count > 0) {
			__builtin_prefetch(policy->hours.spans);
		}
	} else {
		find_chains(policy, look);
	}
}
