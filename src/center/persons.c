#include "center/persons.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "center/live.h"
#include "center/registry.h"

const struct person *persons_get(const struct center *center, const char *name)
{
	return names_get(center->persons, name);
}

const struct person *persons_take(struct center *center, const struct store_person *row)
{
	struct person *person = names_get(center->persons, row->name);
	struct err err = { 0 };

	if (!person) {
		person = mem_new(1, sizeof(*person));
		memcpy(person->name, row->name, sizeof(person->name));
		names_put(center->persons, row->name, person);
	}
	memcpy(person->organization, row->organization, sizeof(person->organization));
	memcpy(person->natural_person, row->natural_person, sizeof(person->natural_person));
	person->active = text_equal(row->state, "active");
	if (person_roles_parse(row->roles, &person->roles, &err) != 0) {
		/* Of a newer program: without a role nothing is allowed. */
		log_error("person %s: %s", row->name, err.text);
		person->roles = 0;
	}
	return person;
}

static int take(void *context, const void *row)
{
	persons_take(context, row);
	return 0;
}

int persons_open(struct center *center, struct err *err)
{
	int r;

	center->persons = names_new();
	r = store_person_list(center->store, NULL, "", INT64_MAX, take, center);
	return r < 0 ? err_set(err, FAULT(r), "persons cannot be read") : 0;
}

bool persons_same(const struct person *left, const struct person *right)
{
	return left && right &&
	       (left == right || text_equal(left->natural_person, right->natural_person));
}

struct live_of {
	const char *person;
	char (*ids)[ID_BYTES_MAX + 1];
	size_t count, room;
};

static void collect(void *context, const struct connection_row *row)
{
	struct live_of *found = context;

	if (!text_equal(row->grant.person, found->person)) {
		return;
	}
	if (found->count == found->room) {
		found->room = found->room ? 2 * found->room : 8;
		found->ids = mem_resize(found->ids, found->room, sizeof(*found->ids));
	}
	memcpy(found->ids[found->count++], row->grant.id.text, ID_BYTES_MAX + 1);
}

void persons_end_rights(struct center *center, const char *name, const char *reason)
{
	struct live_of found = { .person = name };
	AUTO_STRING char *text = mem_format("%s: %s", name, reason);
	uint64_t leaf;

	core_must(store_session_delete_person(center->store, name), "end sessions");
	connection_list(center->machine, NULL, NULL, collect, &found);
	for (size_t i = 0; i < found.count; i++) {
		/* One that has closed meanwhile needs no cut. */
		if (live_cut(center, found.ids[i], "center", text, &leaf) != 0) {
			log_debug("connection %s was closed already", found.ids[i]);
		}
	}
	free(found.ids);
	if (center->on_person_ended) {
		center->on_person_ended(center, name, reason);
	}
}

struct policy_person persons_fact(struct center *center, const struct policy_request *request)
{
	const struct person *person = persons_get(center, request->person);
	const struct site_entry *site = registry_site(center, request->from.site);
	struct policy_person fact = { .state = PERSON_UNREGISTERED, .factor = center->factor };

	if (person) {
		fact.state = person->active ? PERSON_ACTIVE : PERSON_INACTIVE;
		fact.of_organization = site && text_equal(site->organization, person->organization)
		                               ? FACT_YES
		                               : FACT_NO;
		fact.role_allows =
		        person_may_request(person->roles, request->class) ? FACT_YES : FACT_NO;
	}
	return fact;
}
