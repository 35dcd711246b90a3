/*
 * The roles of persons (protocol.md 2.6, mission A4) and what each may do: one table, the matrix of
 * role and object. Pure; the zero value of everything is "nothing".
 *
 * A role is of one side of the work. A person can only have roles that go with the kind of the own
 * organization, so a maker's service engineer can never be made an approver of a hospital.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/limits.h"
#include "model/kind.h"
#include "model/service_class.h"

enum person_role {
	PERSON_ROLE_NONE = 0,
	PERSON_SYSTEM_ADMINISTRATOR,
	PERSON_NETWORK_ADMINISTRATOR,
	PERSON_CLINICIAN,
	PERSON_SERVICE_ENGINEER,
	PERSON_SERVICE_NETWORK_ADMINISTRATOR,
	PERSON_FIELD_ENGINEER,
	PERSON_PROVIDER_OPERATOR,
	PERSON_AUDITOR,
	PERSON_PATIENT,
	PERSON_SYSTEM, /* a program that may only send notices */
	PERSON_ROLE_COUNT,
};

/* What may be done, each to one kind of object of the own organization. The first is asked with a
 * service class. */
enum person_action {
	PERSON_REQUEST = 1 << 0, /* connections */
	PERSON_APPLY = 1 << 1,   /* for work: work orders */
	PERSON_APPROVE = 1 << 2, /* work orders of the own site */
	PERSON_REPORT = 1 << 3,  /* begin, end and report own work */
	PERSON_SIGN = 1 << 4,    /* agreements, acknowledgements of policies */
	PERSON_MANAGE = 1 << 5,  /* persons of the own organization */
	PERSON_CUT = 1 << 6,     /* connections with an end at an own site */
	PERSON_READ = 1 << 7,    /* all of this that concerns the own organization */
	PERSON_NOTIFY = 1 << 8,  /* notices of failures */
	PERSON_POLICY = 1 << 9,  /* hand in a policy that the owner sealed */
	PERSON_LOGIN = 1 << 10,  /* have a session: every natural person */
};
#define PERSON_ACTION_COUNT 11

/* The side of the work that a role is of, and that an organization is on. */
enum person_side {
	PERSON_SIDE_NONE = 0,
	PERSON_SIDE_FACILITY = 1, /* who is served: HCF */
	PERSON_SIDE_SERVICE = 2,  /* who serves: RSC */
	PERSON_SIDE_PATIENT = 4,
	PERSON_SIDE_ANY = 7,
};

struct person_role_info {
	const char *name, *english, *japanese;
	bool party;       /* of the work (the starred ones of A4) */
	bool by_provider; /* reaches beyond the own organization: only the provider gives it */
	unsigned sides;   /* enum person_side bits */
	unsigned actions; /* enum person_action bits */
	unsigned classes; /* bits 1 << enum service_class that PERSON_REQUEST covers */
};

/* Outcome 1: there is no such role. */
int person_role_parse(const char *text, enum person_role *ret_role) must_use;
/* NULL for PERSON_ROLE_NONE and values outside the list. */
const struct person_role_info *person_role_info(enum person_role role);
const char *person_action_name(enum person_action action); /* "request", … */

enum person_side person_side_of(enum organization_kind kind);

/* Roles together: bits 1 << enum person_role. */
typedef uint32_t person_roles;

/* Words separated by one blank, each once, at least one. Outcome 1: err names the word. */
int person_roles_parse(const char *text, person_roles *ret_roles, struct err *err) must_use;
/* In the order of the catalogue. */
void person_roles_print(person_roles roles, struct buf *out);
/* Whether an organization of this kind can have a person with them. Outcome 1: err names the first
 * that does not go with it. */
int person_roles_check(person_roles roles, enum organization_kind kind, struct err *err) must_use;
/* Whether one of them may do any of these (enum person_action bits). */
bool person_may(person_roles roles, unsigned actions);
/* Whether one of them may ask for connections of this class. */
bool person_may_request(person_roles roles, enum service_class class);
/* Whether one of them is only the provider's to give. */
bool person_roles_by_provider(person_roles roles);
bool person_roles_party(person_roles roles);
