#include "center/agreements.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "center/ledger.h"
#include "center/live.h"
#include "center/registry.h"

/* One organization's acknowledgement of one site's policy. `since_usec` is when the first version
 * after it was taken, as far as `active` was looked at. */
struct acknowledgement {
	uint64_t version, active;
	int64_t since_usec;
};

struct pair_key {
	char text[2 * NAME_BYTES_MAX + 2];
};

static struct pair_key pair_key(const char *organization, const char *site)
{
	struct pair_key key;

	snprintf(key.text, sizeof(key.text), "%s %s", organization, site);
	return key;
}

struct agreement *agreements_read(const struct store_agreement *row)
{
	struct agreement *agreement = NULL;
	struct err err = { 0 };

	if (agreement_parse(row->text, strlen(row->text), &agreement, &err) != 0 ||
	        agreement_state_parse(row->state, &agreement->scope.state) != 0) {
		log_error("agreement %s: %s", row->name, err.text);
		return agreement_free(agreement);
	}
	return agreement;
}

size_t agreements_missing(const struct center *center, const struct agreement *agreement,
        struct agreement_lack out[AGREEMENT_LACKS_MAX])
{
	const struct agreement_scope *scope = &agreement->scope;
	bool has_host[2] = { false, false };

	for (size_t i = 0; i < scope->host_count; i++) {
		const struct site_entry *site = registry_site(center, scope->hosts[i].site);

		for (int party = 0; party < 2 && site; party++) {
			has_host[party] |= text_equal(site->organization, scope->parties[party]);
		}
	}
	return agreement_missing(agreement, has_host, out);
}

void agreements_take(
        struct center *center, const struct store_agreement *row, struct agreement *agreement)
{
	struct agreement_lack lacks[AGREEMENT_LACKS_MAX];

	if (agreement_state_parse(row->state, &agreement->scope.state) != 0) {
		agreement->scope.state = AGREEMENT_STATE_ENDED;
	}
	agreement->scope.complete = agreement->scope.state != AGREEMENT_STATE_DRAFT ||
	                            agreements_missing(center, agreement, lacks) == 0;
	if (agreement->scope.state == AGREEMENT_STATE_IN_FORCE &&
	        agreement->scope.not_after < center->agreements_end) {
		center->agreements_end = agreement->scope.not_after;
	}
	agreement_index_put(center->agreements, &agreement->scope);
}

static int take(void *context, const void *data)
{
	const struct store_agreement *row = data;
	AUTO(agreement) struct agreement *agreement = agreements_read(row);

	if (!agreement) {
		return FAULT(-EBADMSG);
	}
	agreements_take(context, row, agreement);
	return 0;
}

static struct acknowledgement *acknowledgement_of(
        struct center *center, const char *organization, const char *site)
{
	struct pair_key key = pair_key(organization, site);
	struct acknowledgement *own = names_get(center->acknowledged, key.text);

	if (!own) {
		own = mem_new(1, sizeof(*own));
		names_put(center->acknowledged, key.text, own);
	}
	return own;
}

static int take_acknowledgement(void *context, const void *data)
{
	const struct store_acknowledgement *row = data;

	acknowledgement_of(context, row->organization, row->site)->version = row->version;
	return 0;
}

int agreements_open(struct center *center, struct err *err)
{
	int r;

	center->agreements = agreement_index_new();
	center->acknowledged = names_new();
	r = store_agreement_list(center->store, NULL, "", INT64_MAX, take, center);
	if (r == 0) {
		r = store_acknowledgement_list(center->store, take_acknowledgement, center);
	}
	return r < 0 ? err_set(err, FAULT(r), "agreements cannot be read") : 0;
}

/* The store is asked once a new version of a policy, for an organization that uses the site. */
struct acknowledged agreements_acknowledged(
        struct center *center, const char *organization, const char *name)
{
	const struct site_entry *site = registry_site(center, name);
	struct acknowledgement *own = acknowledgement_of(center, organization, name);
	struct acknowledged out = { .version = own->version };

	out.active = site && site->policy ? site_policy_version(site->policy) : 0;
	if (out.active <= own->version) {
		return out;
	}
	if (own->active != out.active) {
		core_must(store_policy_get_since(
		                  center->store, "site", name, own->version, &own->since_usec),
		        "look for a policy's first day");
		own->active = out.active;
	}
	out.due_usec = own->since_usec + center->config.acknowledge_sec * USEC_PER_SEC;
	return out;
}

void agreements_acknowledge(struct center *center, const char *organization, const char *site,
        uint64_t version, const char *person)
{
	struct acknowledgement *own = acknowledgement_of(center, organization, site);
	struct store_acknowledgement row = { .version = version, .at_usec = clock_wall_usec() };

	if (version < own->version) {
		return;
	}
	snprintf(row.organization, sizeof(row.organization), "%s", organization);
	snprintf(row.site, sizeof(row.site), "%s", site);
	snprintf(row.person, sizeof(row.person), "%s", person);
	ledger_begin(center);
	core_must(store_acknowledgement_put(center->store, &row), "keep an acknowledgement");
	*own = (struct acknowledgement){ .version = version };
}

struct policy_agreement agreements_fact(
        struct center *center, const struct policy_request *request, int64_t now)
{
	static const enum policy_agreement_state states[] = {
		[MATCH_NONE] = AGREEMENT_NONE,
		[MATCH_CLASS] = AGREEMENT_CLASS,
		[MATCH_HOSTS] = AGREEMENT_HOSTS,
		[MATCH_SERVICE] = AGREEMENT_SERVICE,
		[MATCH_INCOMPLETE] = AGREEMENT_INCOMPLETE,
		[MATCH_UNSIGNED] = AGREEMENT_UNSIGNED,
		[MATCH_ENDED] = AGREEMENT_ENDED,
		[MATCH_OVER] = AGREEMENT_OVER,
		[MATCH_NOT_YET] = AGREEMENT_NOT_YET,
		[MATCH_IN_FORCE] = AGREEMENT_IN_FORCE,
	};
	const struct site_entry *from = registry_site(center, request->from.site);
	const struct site_entry *to = registry_site(center, request->to.site);
	struct agreement_question question = { .from = &request->from,
		.to = &request->to,
		.class = request->class,
		.protocol = request->protocol,
		.port = request->port };
	struct agreement_answer answer;
	struct acknowledged known;

	if (!from || !to) {
		return (struct policy_agreement){ .state = AGREEMENT_NONE };
	}
	if (text_equal(from->organization, to->organization)) {
		return (struct policy_agreement){ .state = AGREEMENT_SAME_ORGANIZATION };
	}
	question.from_organization = from->organization;
	question.to_organization = to->organization;
	answer = agreement_index_find(center->agreements, &question, now);
	if (answer.match == MATCH_IN_FORCE) {
		known = agreements_acknowledged(center, from->organization, to->name);
		if (known.due_usec > 0 && known.due_usec <= now) {
			return (struct policy_agreement){ .state = AGREEMENT_UNACKNOWLEDGED,
				.name = answer.scope->name };
		}
	}
	return (struct policy_agreement){ .state = states[answer.match],
		.name = answer.scope ? answer.scope->name : NULL,
		.not_after = answer.match == MATCH_IN_FORCE ? answer.scope->not_after : 0 };
}

void agreements_review(struct center *center, const struct agreement_scope *scope)
{
	for (size_t i = 0; i < scope->host_count; i++) {
		bool seen = false;

		for (size_t j = 0; j < i; j++) {
			seen |= text_equal(scope->hosts[i].site, scope->hosts[j].site);
		}
		if (!seen) {
			live_review(center, scope->hosts[i].site);
		}
	}
}

struct over {
	char (*names)[NAME_BYTES_MAX + 1];
	size_t count, room;
};

static void collect(void *context, const struct agreement_scope *scope)
{
	struct over *over = context;

	if (over->count == over->room) {
		over->room = over->room ? 2 * over->room : 8;
		over->names = mem_resize(over->names, over->room, sizeof(*over->names));
	}
	memcpy(over->names[over->count++], scope->name, NAME_BYTES_MAX + 1);
}

static void expire(struct center *center, const char *name, int64_t now)
{
	struct store_agreement row = { 0 };
	AUTO(agreement) struct agreement *agreement = NULL;
	struct record *record = ledger_record(center, "agreement.changed", name);
	int r = store_agreement_get(center->store, name, &row);

	core_must(r != 0 ? -EBADMSG : 0, "read an agreement");
	record_text(record, "step", "ended");
	record_text(record, "reason", "its time is over");
	snprintf(row.state, sizeof(row.state), "ended");
	snprintf(row.ended_by, sizeof(row.ended_by), "center");
	snprintf(row.ended_reason, sizeof(row.ended_reason), "its time is over");
	row.ended_usec = now;
	row.leaf = ledger_append(center, record);
	core_must(store_agreement_put(center->store, &row), "end an agreement");
	agreement = agreements_read(&row);
	if (agreement) {
		agreements_take(center, &row, agreement);
		agreements_review(center, agreement_index_get(center->agreements, name));
	}
	store_row_clear(STORE_AGREEMENT, &row);
}

void agreements_tick(struct center *center)
{
	int64_t now = clock_wall_usec();
	struct over over = { 0 };

	if (center->agreements_end > now) {
		return;
	}
	agreement_index_each_over(center->agreements, now, collect, &over);
	for (size_t i = 0; i < over.count; i++) {
		expire(center, over.names[i], now);
	}
	free(over.names);
	center->agreements_end = agreement_index_next_end(center->agreements, now);
}
