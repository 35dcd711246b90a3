/*
 * A site's own policy (protocol.md 2.2): its hosts with their addresses, and who may have which
 * connection with them.
 *
 *     sekisho site-policy 1
 *     site NAME
 *     version N                                              from 1
 *     time-zone UTC|Asia/Tokyo|+HH:MM|-HH:MM                 default UTC
 *     holidays DATE|DATE..DATE…
 *     hours NAME DAYS HH:MM-HH:MM [except holidays]
 *     host NAME address ADDRESS service ADDRESS [zone dmz|sz|hsz] [changeover]
 *     set NAME HOST…
 *     approver NAME key BASE64
 *     allow NAME from REF to REF class CLASS protocol P [port PORTS] [duration D] [lease D]
 *       [approval standing|required|emergency] [review D] [hours NAME] [idle D] [concurrency N]
 *       [outage never|survive] [factor one|two] [posture any|current] [open request|traffic]
 *     refuse NAME from REF to REF [class CLASS]
 *     test permit|deny from REF to REF class CLASS protocol P [port N] [at DATETHH:MM]
 *       [approved] [emergency] [factor one|two] [posture current|unknown] [beside CLASS] [traffic]
 *
 * REF is SITE/HOST, or HOST or SET of the own site; a star in place of HOST is every host of the
 * site. Exactly one side of a rule is the own site. A refuse counts before every allow; of several
 * rules that allow a connection the one with the longest duration counts, of equals the first; all
 * its words count with it.
 *
 * Compiled like the provider's: look-up by (own host, other site, other host) in a hash table. What
 * a decision costs does not depend on how many rules there are, only on how many of them are for
 * the pair that is asked about.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/mem.h"
#include "model/address.h"
#include "model/host_ref.h"
#include "model/service.h"
#include "model/service_class.h"
#include "policy/index.h"

struct site_policy;

/* Syntax and references. The text is not kept. Outcome 1: wrong; err says "line 7, column 12: …"
 * and what was expected there (columns count bytes from 1). */
int site_policy_parse(
        const char *text, size_t count, struct site_policy **ret_policy, struct err *err) must_use;
struct site_policy *site_policy_free(struct site_policy *policy);
AUTO_DEFINE(site_policy)

/* Adds the policy as text, one statement a line; parsing it gives the same policy. */
void site_policy_print(const struct site_policy *policy, struct buf *out);

/* What is asked before a policy becomes active: its version is above `active_version` (0 when
 * there is none), it does not open every host to every host of a site (any-to-any), it allows
 * something (no lock-out), its tests pass. Outcome 1: it may not become active, err says why. */
int site_policy_check(
        const struct site_policy *policy, uint64_t active_version, struct err *err) must_use;

const char *site_policy_site(const struct site_policy *policy);
uint64_t site_policy_version(const struct site_policy *policy);

enum policy_zone {
	ZONE_NONE = 0,
	ZONE_DMZ,
	ZONE_SZ,
	ZONE_HSZ, /* remote maintenance only (F1) */
};

struct policy_host {
	const char *name; /* borrowed from the policy */
	struct address address, service;
	enum policy_zone zone;
	bool changeover; /* never inside and outside at once (protocol.md 2.5) */
};

size_t site_policy_host_count(const struct site_policy *policy);
/* Hosts in the order of the text; index below the count. */
void site_policy_host_at(
        const struct site_policy *policy, size_t index, struct policy_host *ret_host);
/* Outcome 1: not in this policy. */
int site_policy_host_get(
        const struct site_policy *policy, const char *name, struct policy_host *ret_host) must_use;

struct policy_approver {
	const char *name; /* borrowed from the policy */
	const char *spki; /* SubjectPublicKeyInfo in base64; borrowed */
};

size_t site_policy_approver_count(const struct site_policy *policy);
/* In the order of the text; index below the count. */
void site_policy_approver_at(
        const struct site_policy *policy, size_t index, struct policy_approver *ret_approver);

/* How sure it is who asks. */
enum policy_factor {
	FACTOR_NONE = 0,
	FACTOR_ONE,
	FACTOR_TWO,
};

/* What a rule (or the class of the provider) wants before a connection. */
enum policy_approval_word {
	APPROVAL_STANDING,  /* nothing: it was approved with the policy */
	APPROVAL_EMERGENCY, /* an emergency, which is reviewed afterwards */
	APPROVAL_REQUIRED,  /* an approved work order */
};

/* A connection that is live. All borrowed. */
struct policy_live {
	const char *from_site, *from_host, *to_site, *to_host;
	enum service_class class;
	enum protocol protocol;
	uint16_t port;
};

/* Four kinds of chains of rules: for one or every own host, and one or every host of the peer. */
#define CHAIN_KINDS 4

/* What of a policy a question is about, found before it is asked: see site_policy_look(). */
struct site_policy_look {
	const struct name_key *own, *peer_site, *peer; /* borrowed; own and peer are hosts */
	bool outbound;
	unsigned kinds;              /* set of 1 << kind that the policy has at all */
	uint32_t position;           /* of the own host, or INDEX_NONE */
	uint16_t rules[CHAIN_KINDS]; /* where the chains of rules begin */
	uint64_t hashes[CHAIN_KINDS];
};

/* Asks for the memory that the first step below reads; `policy` may be NULL. Changes nothing. To be
 * called as early as the policy is known, for memory is far away. */
void site_policy_want(const struct site_policy *policy);

/* Looks for the own host and the rules in SITE_POLICY_LOOK_STEPS steps, each of which asks for the
 * memory that the next one reads: so who has two policies to look at takes the steps in turns.
 * `step` counts from 0; the keys are set by the caller, with `outbound` for a question from this
 * site. */
#define SITE_POLICY_LOOK_STEPS 3
void site_policy_look(const struct site_policy *policy, struct site_policy_look *look, int step);

/* The own host of a look. Outcome 1: not in this policy. */
int site_policy_look_host(const struct site_policy *policy, const struct site_policy_look *look,
        struct policy_host *ret_host) must_use;

struct site_policy_question {
	const struct site_policy_look *look; /* all steps done, for `from` and `to`; or NULL */
	const struct host_ref *from, *to;
	enum service_class class;
	enum protocol protocol;
	uint16_t port;
	int64_t begin;             /* when the connection begins, microseconds of wall time */
	int64_t now;               /* at or after that; what is left of hours counts from here */
	int64_t duration_sec;      /* asked for; 0: as long as is allowed */
	uint32_t lease_sec;        /* likewise */
	bool posture_current;      /* the other end's is, or is another's to know */
	enum policy_factor factor; /* FACTOR_TWO where it is another's to know */
	enum policy_factor factor_least; /* what the class wants whatever the rule says */
	bool approved;                   /* this site's approvers did, or it is another's to know */
	bool emergency;         /* one is asked for and may be, or it is another's to know */
	bool traffic;           /* nobody asks: a host's first packet does */
	bool approval_required; /* the class wants it of this site whatever the rule says */
	const struct policy_live *live; /* beside this one; NULL: concurrency is not asked about */
	size_t live_count;
};

/* How far the rules went along with a question: the higher, the closer. */
enum site_policy_match {
	SITE_POLICY_NO_PAIR = 0,    /* no rule has this pair in this direction */
	SITE_POLICY_OTHER_CLASS,    /* a rule has the pair, but not for this class */
	SITE_POLICY_OTHER_PROTOCOL, /* nor for this protocol */
	SITE_POLICY_OTHER_PORT,     /* nor for this port */
	SITE_POLICY_OTHER_HOURS,    /* it does not begin within the rule's hours */
	SITE_POLICY_HOURS_END,      /* the duration asked for goes beyond them */
	SITE_POLICY_POSTURE,
	SITE_POLICY_TRAFFIC, /* only on request, and traffic asks */
	SITE_POLICY_FACTOR,
	SITE_POLICY_CONCURRENCY,
	SITE_POLICY_APPROVAL,
	SITE_POLICY_DURATION, /* longer is asked for than the rule allows */
	SITE_POLICY_LEASE,
	SITE_POLICY_ALLOWED,
	SITE_POLICY_REFUSED, /* a refuse takes it away, whatever allows it */
};

struct site_policy_answer {
	const char *rule;     /* the rule that allows or refuses, or the closest; borrowed, NULL for
	                         NO_PAIR. The rest is this rule's, zero when it refuses */
	int64_t duration_sec; /* GRANT_SEC_MAX where the rule says nothing */
	uint32_t lease_sec;   /* LEASE_SEC_MAX where the rule says nothing */
	enum policy_approval_word approval;         /* with approval_required counted in */
	enum policy_factor factor;                  /* with factor_least counted in */
	uint32_t review_sec, idle_sec, concurrency; /* 0: no limit; review_sec: EMERGENCY only */
	bool outage;
	bool has_hours, within_hours; /* the rule has some; `begin` is in a span of them */
	int64_t hours_end; /* when the span that `begin` is in ends; else the next one's begin, or 0
	                    */
};

/* What the rules say, nothing else: hosts and addresses are policy_decide()'s to check. */
enum site_policy_match site_policy_find(const struct site_policy *policy,
        const struct site_policy_question *question, struct site_policy_answer *ret_answer);

/* What a rule says that a first packet of an own host may open. */
struct site_policy_traffic {
	const char *peer_site, *peer_host; /* borrowed; peer_host NULL: every host of that site */
	enum service_class class;
};

/* The next of those for this own host, protocol and port, in the order of the text; `*at` begins
 * with 0. Nothing else is looked at: what may be is policy_decide()'s to say. Outcome 1: there is
 * none any more. */
int site_policy_traffic_next(const struct site_policy *policy, const char *host,
        enum protocol protocol, uint16_t port, size_t *at,
        struct site_policy_traffic *ret_traffic) must_use;
/* Whether any rule opens on traffic from this own host (index as of site_policy_host_at()). */
bool site_policy_traffic_from(const struct site_policy *policy, size_t index);

/* Offset of the site's time zone from UTC. */
int32_t site_policy_zone_sec(const struct site_policy *policy);
