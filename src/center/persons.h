/*
 * Persons at the center (protocol.md 2.6, mission G3, G6, D9): in memory what decisions ask for;
 * tokens, second factors and the rest stay in the store. Only personal accounts: a natural person
 * has one active account in an organization, and accounts of one natural person in several
 * organizations are known to be one person.
 */
#pragma once

#include "center/core.h"
#include "model/person_role.h"

struct person {
	char name[NAME_BYTES_MAX + 1];
	char organization[NAME_BYTES_MAX + 1];
	char natural_person[PERSON_BYTES_MAX + 1];
	person_roles roles;
	bool active; /* has not left */
};

/* Reads everybody from the store. */
int persons_open(struct center *center, struct err *err) must_use;

/* NULL when there is no such account. Those who left are there, inactive. Borrowed. */
const struct person *persons_get(const struct center *center, const char *name);
/* Takes over what was just stored. */
const struct person *persons_take(struct center *center, const struct store_person *row);

/* Whether two accounts are of one natural person. Either may be NULL: then not. */
bool persons_same(const struct person *left, const struct person *right);

/* Rights end at once (G3): the person's sessions, what is live in the person's name, and through
 * center->on_person_ended the open work orders. */
void persons_end_rights(struct center *center, const char *name, const char *reason);

/* Facts of the layer "person" for who is named in the request. */
struct policy_person persons_fact(struct center *center, const struct policy_request *request);
