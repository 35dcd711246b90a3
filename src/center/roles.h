/*
 * The roles of an operator's token (protocol.md 6): words separated by blanks. Pure.
 *
 *     provider           everything of the provider
 *     site:NAME          its own site only
 *     maker:NAME         the gateways it makes
 *     device-ca          tier 1 certificates and their revocation list
 *     auditor            reads all
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/limits.h"

enum role {
	ROLE_PROVIDER = 1,
	ROLE_SITE = 2,
	ROLE_MAKER = 4,
	ROLE_DEVICE_CA = 8,
	ROLE_AUDITOR = 16,
};
#define ROLE_ANY (ROLE_PROVIDER | ROLE_SITE | ROLE_MAKER | ROLE_DEVICE_CA | ROLE_AUDITOR)

#define ROLES_COUNT_MAX 8

struct roles {
	unsigned set; /* enum role bits */
	/* Of a person: whether a site is of the own organization. NULL: of a token. */
	bool (*owns)(const void *context, const char *site);
	const void *context;
	size_t count;
	struct {
		enum role role;
		char name[NAME_BYTES_MAX + 1]; /* of the site or maker */
	} items[ROLES_COUNT_MAX];
};

/* Outcome 1: err names the word that is not a role, or there are too many or none. */
int roles_parse(const char *text, struct roles *ret_roles, struct err *err) must_use;

/* Whether a token with these roles is of one of the roles in `allowed`. */
bool roles_any(const struct roles *roles, unsigned allowed);
/* Whether it may act for this site (or maker): the provider may for all. */
bool roles_of_site(const struct roles *roles, const char *site);
bool roles_of_maker(const struct roles *roles, const char *maker);
/* The one site (or maker) it is limited to, or NULL when it is not limited to one (as a person, who
 * is to be asked about each). */
const char *roles_name(const struct roles *roles, enum role role);
