/*
 * An agreement between two organizations (protocol.md 6.1, mission H1 to H4, H7, H8, H10): whom it
 * binds and what may be connected under it, the points on the path where responsibility changes
 * hands, and the fourteen clauses of 004 B.5 f. Pure.
 *
 * The first party is the one that provides the information, the second the one that receives it or
 * works on it for the first. A draft may lack anything but name, parties, class and dates;
 * agreement_missing() says what it lacks, and only an agreement that lacks nothing can be signed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/limits.h"
#include "base/mem.h"
#include "model/host_ref.h"
#include "model/service.h"
#include "model/service_class.h"

/* Where on the path from host to host; a is the first party's side. In this order. */
enum agreement_place {
	PLACE_HOST_A,
	PLACE_NETWORK_A,
	PLACE_GATEWAY_A, /* the one access point */
	PLACE_LINE_A,
	PLACE_INTERNET,
	PLACE_LINE_B,
	PLACE_GATEWAY_B,
	PLACE_NETWORK_B,
	PLACE_HOST_B,
	PLACE_COUNT,
};

enum agreement_relation { RELATION_ENTRUSTMENT, RELATION_THIRD_PARTY };
enum agreement_recipients { RECIPIENTS_ONE, RECIPIENTS_IDENTIFIED, RECIPIENTS_UNIDENTIFIED };
/* How the persons concerned agreed; needed where information goes to a third party (H2). */
enum agreement_consent { CONSENT_NONE, CONSENT_IMPLICIT, CONSENT_EXPLICIT };
/* 004 6.2: closed networks and the open one (H7). */
enum agreement_network {
	NETWORK_UNSAID,
	NETWORK_LEASED_LINE,
	NETWORK_PUBLIC_LINE,
	NETWORK_CLOSED_IP,
	NETWORK_OPEN,
};
enum agreement_state { AGREEMENT_STATE_DRAFT, AGREEMENT_STATE_IN_FORCE, AGREEMENT_STATE_ENDED };

/* Clauses 1 to 9 are between the two, 10 to 14 within the first party. */
#define AGREEMENT_CLAUSES 14
#define AGREEMENT_CLAUSES_BETWEEN 9

/* What the clause with this number settles; NULL outside 1 to 14. */
struct agreement_clause_info {
	const char *incident; /* the word for what happens and has this clause's owner */
	const char *english, *japanese;
};
const struct agreement_clause_info *agreement_clause_info(unsigned number);
/* The number of the clause for an incident, or 0. */
unsigned agreement_clause_of(const char *incident);

const char *agreement_place_name(enum agreement_place place);
const char *agreement_relation_name(enum agreement_relation relation);
const char *agreement_state_name(enum agreement_state state); /* "draft", "in-force", "ended" */
/* Outcome 1: no such word. */
int agreement_state_parse(const char *text, enum agreement_state *ret_state) must_use;

struct agreement_protocol {
	enum protocol protocol;
	struct port_set ports; /* none with icmp */
};

/* What an agreement covers: all that the index needs. */
struct agreement_scope {
	char name[NAME_BYTES_MAX + 1];
	char parties[2][NAME_BYTES_MAX + 1];
	enum service_class class;
	struct host_ref
	        *hosts; /* host "*": every host of the site; never for remote maintenance (A7) */
	size_t host_count;
	struct agreement_protocol *protocols;
	size_t protocol_count;
	int64_t not_before, not_after; /* microseconds of wall time */
	enum agreement_state state;
	bool complete; /* nothing is missing; of a draft */
};

struct agreement_point {
	char point[NAME_BYTES_MAX + 1];
	enum agreement_place place;
	char responsible[NAME_BYTES_MAX + 1]; /* from here to the next point */
};

struct agreement_clause {
	char *text; /* NULL: missing */
	char owner[NAME_BYTES_MAX + 1];
};

struct agreement_policy {
	char organization[NAME_BYTES_MAX + 1];
	char digest[65];
	int64_t received;
};

struct agreement {
	struct agreement_scope scope;
	enum agreement_relation relation;
	enum agreement_recipients recipients;
	enum agreement_consent consent;
	enum agreement_network network;
	bool network_assured;  /* its security is guaranteed by carrier and online service provider
	                        */
	char legal_basis[256]; /* of recipients that cannot be identified; or "" */
	struct agreement_point points[AGREEMENT_POINTS_MAX];
	size_t point_count;
	char encrypted_from[NAME_BYTES_MAX + 1], encrypted_to[NAME_BYTES_MAX + 1]; /* or "" */
	struct agreement_clause clauses[AGREEMENT_CLAUSES];                        /* number - 1 */
	struct agreement_policy policies[2]; /* of the parties; organization "": none */
};

/* Reads the JSON of protocol.md 6.1. Outcome 1: refused, err names the field. */
int agreement_parse(const void *bytes, size_t count, struct agreement **ret_agreement,
        struct err *err) must_use;
struct agreement *agreement_free(struct agreement *agreement);
AUTO_DEFINE(agreement)
void agreement_scope_clear(struct agreement_scope *scope);

/* What an agreement lacks. */
struct agreement_lack {
	const char *item; /* "clause", "demarcation", "encrypted", "policies", "recipients", … */
	unsigned number;  /* of a clause; else 0 */
	char text[160];
};
#define AGREEMENT_LACKS_MAX 40

/* Returns how many. `has_host` tells of each party whether one of its hosts is named. */
size_t agreement_missing(const struct agreement *agreement, const bool has_host[2],
        struct agreement_lack out[AGREEMENT_LACKS_MAX]);

/* Who answers for what on the path (H3). A stretch that lies between where encryption starts and
 * where it ends is nobody's to eavesdrop on but the one's who encrypts: line and service providers
 * do not answer for it there, and still for the rest. */
enum agreement_threat {
	THREAT_EAVESDROPPING,
	THREAT_TAMPERING,
	THREAT_INTRUSION,
	THREAT_DISTURBANCE,
	THREAT_QUALITY,
	THREAT_COUNT,
};
const char *agreement_threat_name(enum agreement_threat threat);

struct agreement_stretch {
	const struct agreement_point *from, *to; /* to NULL: the end of the path */
	bool encrypted;
	bool party;              /* the responsible one is a party, not a provider between */
	bool entrustment_needed; /* a provider sees it in the clear: needs a contract of entrustment
	                          */
	const char *by[THREAT_COUNT];
};

struct agreement_responsibility {
	size_t count;
	struct agreement_stretch stretches[AGREEMENT_POINTS_MAX];
	/* H2, H8: who answers to the persons concerned, for the result, and who supervises whom. */
	const char *explains, *result, *supervises, *supervised; /* the latter two NULL: nobody */
	const char *complies; /* keeps the contract and reports */
};

/* Borrows from the agreement, which has to lack no demarcation point and no encryption. Outcome 1:
 * it does. */
int agreement_responsibility(const struct agreement *agreement,
        struct agreement_responsibility *ret_responsibility) must_use;

/* Who deals with an incident: the owner of its clause; NULL when there is no such clause (H4). */
const char *agreement_incident_owner(const struct agreement *agreement, const char *incident);

/* Duties that follow from the kind of network (H7), `index` from 0; NULL after the last. */
const char *agreement_duty(const struct agreement *agreement, size_t index);

/* --- index --------------------------------------------------------------- */

/* What the agreements of two organizations say of one connection, the later the closer. */
enum agreement_match {
	MATCH_NONE,
	MATCH_CLASS,      /* there is one, not for this class */
	MATCH_HOSTS,      /* not for these hosts */
	MATCH_SERVICE,    /* not for this protocol and port */
	MATCH_INCOMPLETE, /* a draft that lacks something */
	MATCH_UNSIGNED,   /* a draft that lacks signatures only */
	MATCH_ENDED,
	MATCH_OVER,
	MATCH_NOT_YET,
	MATCH_IN_FORCE,
};

struct agreement_question {
	const char *from_organization, *to_organization;
	const struct host_ref *from, *to;
	enum service_class class;
	enum protocol protocol;
	uint16_t port;
};

struct agreement_answer {
	enum agreement_match match;
	const struct agreement_scope *scope; /* borrowed; NULL with MATCH_NONE */
};

/* Every agreement by name and by its two organizations: a look-up is one hash and a walk over what
 * these two have. */
struct agreement_index;

struct agreement_index *agreement_index_new(void);
struct agreement_index *agreement_index_free(struct agreement_index *index);
AUTO_DEFINE(agreement_index)

/* Takes what the scope owns and leaves it empty; one of the same name is replaced. */
void agreement_index_put(struct agreement_index *index, struct agreement_scope *scope);
const struct agreement_scope *agreement_index_get(
        const struct agreement_index *index, const char *name);
struct agreement_answer agreement_index_find(const struct agreement_index *index,
        const struct agreement_question *question, int64_t now);
/* An agreement of the two organizations for the class that is in force, whatever hosts and
 * protocols it names; NULL: none. For what no host is named for, a file. Borrowed. */
const struct agreement_scope *agreement_index_between(const struct agreement_index *index,
        const char *left, const char *right, enum service_class class, int64_t now);
/* When the next one that is in force after `now` ends, or earlier when one was replaced meanwhile;
 * INT64_MAX when there is none. Searched only when the time that was known has passed. */
int64_t agreement_index_next_end(struct agreement_index *index, int64_t now);
size_t agreement_index_count(const struct agreement_index *index);
/* Calls `each` for all that count as in force and have their end at or before `now`. The index must
 * not be changed meanwhile. */
typedef void agreement_each(void *context, const struct agreement_scope *scope);
void agreement_index_each_over(
        const struct agreement_index *index, int64_t now, agreement_each *each, void *context);
