/*
 * A second evaluator of the policy language, for tests only.
 *
 * It was written from doc/protocol.md 2 and nothing else, so that a mistake in src/policy and the
 * same mistake here are unlikely. It is naive on purpose: names are compared as texts, lists are
 * searched from their beginning, time is counted in days. It shares no code with src/policy, not
 * even the reading of words, and its limits are only what the generator needs.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ORACLE_NAME 64
#define ORACLE_LIST 48 /* hosts, rules, sets, groups… of one policy */
#define ORACLE_FEW 16  /* members of one set, ports of one rule, roles of one person */

/* What a rule or class says of approvals; NONE: it says nothing. */
enum oracle_approval { ORACLE_SILENT, ORACLE_STANDING, ORACLE_REQUIRED, ORACLE_EMERGENCY };

struct oracle_ref {
	char site[ORACLE_NAME];
	char host[ORACLE_NAME]; /* a host, a set of the own site, or "*" */
};

struct oracle_address {
	int bits; /* 32 or 128; 0: none */
	uint8_t bytes[16];
};

struct oracle_prefix {
	struct oracle_address address;
	int length;
};

struct oracle_host {
	char name[ORACLE_NAME], zone[8];
	struct oracle_address address, service;
	bool changeover;
};

struct oracle_set {
	char name[ORACLE_NAME];
	int count;
	char hosts[ORACLE_FEW][ORACLE_NAME];
};

/* One line `hours`; lines of one name add up. */
struct oracle_hours {
	char name[ORACLE_NAME];
	bool days[7]; /* Monday first */
	int from, to; /* minutes of the day */
	bool except_holidays;
};

struct oracle_days {
	int64_t first, last; /* days since 1970-01-01, both within */
};

struct oracle_rule {
	char name[ORACLE_NAME];
	bool refuse;
	struct oracle_ref from, to;
	char class[ORACLE_NAME]; /* "": every class (refuse) */
	char protocol[8];
	int port_count;
	int first[ORACLE_FEW], last[ORACLE_FEW];
	int64_t duration, lease, review, idle; /* seconds; 0: not said */
	enum oracle_approval approval;
	char hours[ORACLE_NAME]; /* "": any */
	int concurrency;         /* 0: not said */
	bool survive, current, traffic;
	int factors; /* 1 or 2 */
};

struct oracle_test {
	bool permit;
	struct oracle_ref from, to;
	char class[ORACLE_NAME], protocol[8];
	int port;
	bool has_at;
	int64_t at; /* seconds of UTC */
	bool approved, emergency, current, traffic;
	int factors;
	char beside[ORACLE_NAME];
};

struct oracle_site {
	char name[ORACLE_NAME];
	uint64_t version;
	bool has_zone;
	int64_t offset; /* of the local time, seconds east of UTC */
	int host_count, set_count, hours_count, holiday_count, rule_count, approver_count,
	        test_count;
	struct oracle_host hosts[ORACLE_LIST];
	struct oracle_set sets[ORACLE_LIST];
	struct oracle_hours hours[ORACLE_LIST];
	struct oracle_days holidays[ORACLE_LIST];
	struct oracle_rule rules[ORACLE_LIST];
	char approvers[ORACLE_LIST][ORACLE_NAME];
	struct oracle_test tests[ORACLE_LIST];
};

struct oracle_class {
	char name[ORACLE_NAME];
	int64_t duration, lease; /* seconds */
	enum oracle_approval approval;
	bool factor_two, never; /* what the provider tightens */
};

struct oracle_member {
	char name[ORACLE_NAME];
	int prefix_count;
	struct oracle_prefix prefixes[4];
};

struct oracle_group {
	char name[ORACLE_NAME];
	int site_count, class_count;
	char sites[ORACLE_FEW][ORACLE_NAME], classes[ORACLE_FEW][ORACLE_NAME];
};

struct oracle_provider {
	char name[ORACLE_NAME];
	uint64_t version;
	int pool_count, member_count, class_count, group_count, exclude_count, test_count;
	struct oracle_prefix pools[4];
	struct oracle_member members[ORACLE_LIST];
	struct oracle_class classes[ORACLE_FEW];
	struct oracle_group groups[ORACLE_LIST];
	char exclude[ORACLE_LIST][2][ORACLE_NAME];
	struct oracle_test tests[ORACLE_LIST];
};

/* False: the text is wrong; *why is then a word on what (a constant). */
bool oracle_site_read(const char *text, struct oracle_site *site, const char **why);
bool oracle_provider_read(const char *text, struct oracle_provider *provider, const char **why);

/* Days since 1970-01-01 of a date, counted year by year and month by month. */
int64_t oracle_days(int year, int month, int day);
/* 0 is Monday. */
int oracle_weekday(int64_t days);
/* False: the name of these hours does not hold at `now` (microseconds). Else *until is when the
 * span that holds ends, spans that touch being one (microseconds; INT64_MAX for no hours), as far
 * as it matters: not further than two days ahead. */
bool oracle_hours_hold(
        const struct oracle_site *site, const char *hours, int64_t now, int64_t *until);
/* The first begin of a span after `now` within two weeks, or 0. */
int64_t oracle_hours_next(const struct oracle_site *site, const char *hours, int64_t now);

struct policy_request;
struct policy_facts;

/* What the oracle says of a request. Facts are the plain values of policy/decide.h; the policies in
 * them are not looked at, but those read here. */
struct oracle_answer {
	bool permit;
	int layer, reason; /* of a denial: the first in the order of 2.3 (enum policy_layer,
	                      _reason) */
	int64_t duration;  /* of a permission, with all that follows */
	int64_t lease, idle, review;
	bool outage, emergency;
	int ike;  /* enum grant_side, or -1 where nobody was asked */
	int side; /* of a denial that could be about either site: which; else -1 */
	/* Of a denial by hours: when the next span begins (0: none in two weeks), or when the one
	 * that is too short, or over by now, ends. */
	int64_t moment;
	uint64_t versions[3]; /* of the policies that were asked: provider, initiator, responder; or
	                         0 */
	const char *group, *rules[2];
};

struct oracle_case {
	const struct oracle_provider *provider; /* NULL: none */
	const struct oracle_site *site[2];      /* of the initiator and of the responder; or NULL */
	const struct policy_request *request;
	const struct policy_facts *facts;
	int64_t now;
};

struct oracle_answer oracle_decide(const struct oracle_case *the);

/* Whether an own reference (a host, a set, "*") of a rule takes in a host. */
bool oracle_own_has(const struct oracle_site *site, const char *ref, const char *host);
