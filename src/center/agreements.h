/*
 * Agreements at the center (protocol.md 6.1, mission H): the index that decisions look into, what
 * an agreement lacks here and now, and which version of a site's policy an organization has
 * acknowledged (H11).
 */
#pragma once

#include "center/core.h"
#include "model/agreement.h"

/* Reads everything from the store. */
int agreements_open(struct center *center, struct err *err) must_use;

/* Facts of the layer "agreement" for a request. */
struct policy_agreement agreements_fact(
        struct center *center, const struct policy_request *request, int64_t now);

/* A stored row, read. NULL: it is damaged. The caller owns it. */
struct agreement *agreements_read(const struct store_agreement *row);
/* What it lacks, and (if it does not lack demarcation) nothing else. */
size_t agreements_missing(const struct center *center, const struct agreement *agreement,
        struct agreement_lack out[AGREEMENT_LACKS_MAX]);
/* Takes over what was just stored; `agreement` gives its scope away. */
void agreements_take(
        struct center *center, const struct store_agreement *row, struct agreement *agreement);
/* Every live connection at the sites of an agreement is decided again. */
void agreements_review(struct center *center, const struct agreement_scope *scope);

/* Ends what has reached its time. Once a second. */
void agreements_tick(struct center *center);

/* What `organization` has acknowledged of a site's policy. */
struct acknowledged {
	uint64_t version; /* 0: none */
	uint64_t active;  /* the site's; 0: none */
	int64_t due_usec; /* until then the newer one must be; 0: nothing is owed */
};
struct acknowledged agreements_acknowledged(
        struct center *center, const char *organization, const char *site);
/* Writes that `person` acknowledged the version for the organization. */
void agreements_acknowledge(struct center *center, const char *organization, const char *site,
        uint64_t version, const char *person);
