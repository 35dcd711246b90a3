/*
 * Agreements by name and by their two organizations. Two hash tables over one chain of entries; a
 * pair of organizations has few agreements, so behind the hash comes a short walk.
 */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "model/agreement.h"

struct entry {
	struct agreement_scope scope;
	struct entry *next_name, *next_pair;
};

struct agreement_index {
	struct entry **by_name, **by_pair;
	size_t bucket_count, count;
	int64_t next_end; /* not later than that of any that is in force; exact after a search */
};

#define BUCKETS_FIRST 64

/* FNV-1a. Names come from registered organizations; who floods the table is one of them. */
static uint64_t hash_text(uint64_t hash, const char *text)
{
	for (; *text; text++) {
		hash = (hash ^ (uint8_t)*text) * 1099511628211ULL;
	}
	return (hash ^ 0x2f) * 1099511628211ULL;
}

#define HASH_START 14695981039346656037ULL

/* The same for both orders of the two. */
static uint64_t hash_pair(const char *left, const char *right)
{
	bool swap = strcmp(left, right) > 0;

	return hash_text(hash_text(HASH_START, swap ? right : left), swap ? left : right);
}

struct agreement_index *agreement_index_new(void)
{
	struct agreement_index *index = mem_new(1, sizeof(*index));

	index->bucket_count = BUCKETS_FIRST;
	index->by_name = mem_new(index->bucket_count, sizeof(*index->by_name));
	index->by_pair = mem_new(index->bucket_count, sizeof(*index->by_pair));
	index->next_end = INT64_MAX;
	return index;
}

struct agreement_index *agreement_index_free(struct agreement_index *index)
{
	for (size_t i = 0; index && i < index->bucket_count; i++) {
		struct entry *next;

		for (struct entry *at = index->by_name[i]; at; at = next) {
			next = at->next_name;
			agreement_scope_clear(&at->scope);
			free(at);
		}
	}
	if (index) {
		free(index->by_name);
		free(index->by_pair);
		free(index);
	}
	return NULL;
}

static void link_entry(struct agreement_index *index, struct entry *entry)
{
	const struct agreement_scope *scope = &entry->scope;
	struct entry **name =
	        &index->by_name[hash_text(HASH_START, scope->name) % index->bucket_count];
	struct entry **pair = &index->by_pair[hash_pair(scope->parties[0], scope->parties[1]) %
	                                      index->bucket_count];

	entry->next_name = *name;
	*name = entry;
	entry->next_pair = *pair;
	*pair = entry;
}

static void grow(struct agreement_index *index)
{
	struct entry **before = index->by_name;
	size_t count = index->bucket_count;

	free(index->by_pair);
	index->bucket_count = 2 * count;
	index->by_name = mem_new(index->bucket_count, sizeof(*index->by_name));
	index->by_pair = mem_new(index->bucket_count, sizeof(*index->by_pair));
	for (size_t i = 0; i < count; i++) {
		struct entry *next;

		for (struct entry *at = before[i]; at; at = next) {
			next = at->next_name;
			link_entry(index, at);
		}
	}
	free(before);
}

static struct entry *find(const struct agreement_index *index, const char *name)
{
	struct entry *at = index->by_name[hash_text(HASH_START, name) % index->bucket_count];

	while (at && strcmp(at->scope.name, name) != 0) {
		at = at->next_name;
	}
	return at;
}

static void remove_entry(struct agreement_index *index, struct entry *entry)
{
	const struct agreement_scope *scope = &entry->scope;
	struct entry **name =
	        &index->by_name[hash_text(HASH_START, scope->name) % index->bucket_count];
	struct entry **pair = &index->by_pair[hash_pair(scope->parties[0], scope->parties[1]) %
	                                      index->bucket_count];

	while (*name != entry) {
		name = &(*name)->next_name;
	}
	*name = entry->next_name;
	while (*pair != entry) {
		pair = &(*pair)->next_pair;
	}
	*pair = entry->next_pair;
	agreement_scope_clear(&entry->scope);
	free(entry);
	index->count--;
}

void agreement_index_put(struct agreement_index *index, struct agreement_scope *scope)
{
	struct entry *entry = find(index, scope->name);

	if (entry) {
		remove_entry(index, entry);
	}
	if (index->count >= index->bucket_count) {
		grow(index);
	}
	entry = mem_new(1, sizeof(*entry));
	entry->scope = *scope;
	*scope = (struct agreement_scope){ 0 };
	link_entry(index, entry);
	index->count++;
	if (entry->scope.state == AGREEMENT_STATE_IN_FORCE &&
	        entry->scope.not_after < index->next_end) {
		index->next_end = entry->scope.not_after;
	}
}

const struct agreement_scope *agreement_index_get(
        const struct agreement_index *index, const char *name)
{
	const struct entry *entry = find(index, name);

	return entry ? &entry->scope : NULL;
}

static bool has_host(const struct agreement_scope *scope, const struct host_ref *host)
{
	for (size_t i = 0; i < scope->host_count; i++) {
		if (strcmp(scope->hosts[i].site, host->site) == 0 &&
		        (strcmp(scope->hosts[i].host, host->host) == 0 ||
		                strcmp(scope->hosts[i].host, "*") == 0)) {
			return true;
		}
	}
	return false;
}

static bool has_service(const struct agreement_scope *scope, enum protocol protocol, uint16_t port)
{
	for (size_t i = 0; i < scope->protocol_count; i++) {
		const struct agreement_protocol *own = &scope->protocols[i];

		if (own->protocol == protocol &&
		        (protocol == PROTOCOL_ICMP ||
		                port_set_contains(own->ports.ranges, own->ports.count, port))) {
			return true;
		}
	}
	return false;
}

static enum agreement_match match_state(const struct agreement_scope *scope, int64_t now)
{
	switch (scope->state) {
	case AGREEMENT_STATE_DRAFT:
		return scope->complete ? MATCH_UNSIGNED : MATCH_INCOMPLETE;
	case AGREEMENT_STATE_ENDED:
		return MATCH_ENDED;
	case AGREEMENT_STATE_IN_FORCE:
		break;
	}
	return now < scope->not_before   ? MATCH_NOT_YET
	       : now >= scope->not_after ? MATCH_OVER
	                                 : MATCH_IN_FORCE;
}

static enum agreement_match match(
        const struct agreement_scope *scope, const struct agreement_question *question, int64_t now)
{
	if (scope->class != question->class) {
		return MATCH_CLASS;
	}
	if (!has_host(scope, question->from) || !has_host(scope, question->to)) {
		return MATCH_HOSTS;
	}
	return has_service(scope, question->protocol, question->port) ? match_state(scope, now)
	                                                              : MATCH_SERVICE;
}

static bool is_pair(const struct agreement_scope *scope, const struct agreement_question *question)
{
	int from = strcmp(scope->parties[0], question->from_organization) == 0 ? 0 : 1;

	return strcmp(scope->parties[from], question->from_organization) == 0 &&
	       strcmp(scope->parties[1 - from], question->to_organization) == 0;
}

struct agreement_answer agreement_index_find(
        const struct agreement_index *index, const struct agreement_question *question, int64_t now)
{
	uint64_t hash = hash_pair(question->from_organization, question->to_organization);
	struct agreement_answer answer = { MATCH_NONE, NULL };

	for (const struct entry *at = index->by_pair[hash % index->bucket_count]; at;
	        at = at->next_pair) {
		enum agreement_match found;

		if (!is_pair(&at->scope, question)) {
			continue;
		}
		found = match(&at->scope, question, now);
		/* Of several in force the one that lasts longest. */
		if (found > answer.match ||
		        (found == MATCH_IN_FORCE && answer.match == MATCH_IN_FORCE &&
		                at->scope.not_after > answer.scope->not_after)) {
			answer = (struct agreement_answer){ found, &at->scope };
		}
	}
	return answer;
}

const struct agreement_scope *agreement_index_between(const struct agreement_index *index,
        const char *left, const char *right, enum service_class class, int64_t now)
{
	uint64_t hash = hash_pair(left, right);

	for (const struct entry *at = index->by_pair[hash % index->bucket_count]; at;
	        at = at->next_pair) {
		const struct agreement_scope *scope = &at->scope;
		bool same = strcmp(scope->parties[0], left) == 0 &&
		            strcmp(scope->parties[1], right) == 0;
		bool turned = strcmp(scope->parties[0], right) == 0 &&
		              strcmp(scope->parties[1], left) == 0;

		if ((same || turned) && scope->class == class &&
		        scope->state == AGREEMENT_STATE_IN_FORCE && scope->not_before <= now &&
		        now < scope->not_after) {
			return scope;
		}
	}
	return NULL;
}

static bool ends_after(const struct agreement_scope *scope, int64_t now)
{
	return scope->state == AGREEMENT_STATE_IN_FORCE && scope->not_after > now;
}

int64_t agreement_index_next_end(struct agreement_index *index, int64_t now)
{
	if (index->next_end > now) {
		return index->next_end;
	}
	index->next_end = INT64_MAX;
	for (size_t i = 0; i < index->bucket_count; i++) {
		for (const struct entry *at = index->by_name[i]; at; at = at->next_name) {
			if (ends_after(&at->scope, now) && at->scope.not_after < index->next_end) {
				index->next_end = at->scope.not_after;
			}
		}
	}
	return index->next_end;
}

size_t agreement_index_count(const struct agreement_index *index)
{
	return index->count;
}

void agreement_index_each_over(
        const struct agreement_index *index, int64_t now, agreement_each *each, void *context)
{
	for (size_t i = 0; i < index->bucket_count; i++) {
		for (const struct entry *at = index->by_name[i]; at; at = at->next_name) {
			if (at->scope.state == AGREEMENT_STATE_IN_FORCE &&
			        at->scope.not_after <= now) {
				each(context, &at->scope);
			}
		}
	}
}
