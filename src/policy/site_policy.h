/*
 * A site's own policy (protocol.md 2.2): its hosts with their addresses, and who may have which
 * connection with them.
 *
 *     sekisho site-policy 1
 *     site NAME
 *     version N                                              from 1
 *     host NAME address ADDRESS service ADDRESS
 *     allow NAME from REF to REF class CLASS protocol P [port PORTS] [duration D] [lease D]
 *     test permit|deny from REF to REF class CLASS protocol P [port N]
 *
 * REF is SITE/HOST or HOST (the own site's); a star in place of HOST is every host of the site.
 * Exactly one side of a rule is the own site. Of several rules that allow a connection the one with
 * the longest duration counts, of equals the first; its duration and lease count with it.
 *
 * Compiled like the provider's: look-up by (own host, other site, other host) in a hash table.
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

struct policy_host {
	const char *name; /* borrowed from the policy */
	struct address address, service;
};

size_t site_policy_host_count(const struct site_policy *policy);
/* Hosts in the order of the text; index below the count. */
void site_policy_host_at(
        const struct site_policy *policy, size_t index, struct policy_host *ret_host);
/* Outcome 1: not in this policy. */
int site_policy_host_get(
        const struct site_policy *policy, const char *name, struct policy_host *ret_host) must_use;

struct site_policy_question {
	const struct host_ref *from, *to;
	enum service_class class;
	enum protocol protocol;
	uint16_t port;
};

/* How far the rules went along with a question: the higher, the closer. */
enum site_policy_match {
	SITE_POLICY_NO_PAIR = 0,    /* no rule has this pair in this direction */
	SITE_POLICY_OTHER_CLASS,    /* a rule has the pair, but not for this class */
	SITE_POLICY_OTHER_PROTOCOL, /* nor for this protocol */
	SITE_POLICY_OTHER_PORT,     /* nor for this port */
	SITE_POLICY_ALLOWED,
};

struct site_policy_answer {
	const char *rule;     /* the rule that allows, or the closest; borrowed, NULL for NO_PAIR */
	int64_t duration_sec; /* GRANT_SEC_MAX where the rule says nothing */
	uint32_t lease_sec;   /* LEASE_SEC_MAX where the rule says nothing */
};

/* What the rules say, nothing else: hosts and addresses are policy_decide()'s to check. */
enum site_policy_match site_policy_find(const struct site_policy *policy,
        const struct site_policy_question *question, struct site_policy_answer *ret_answer);
