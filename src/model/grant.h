/*
 * A grant: the signed permission for one connection (protocol.md 1.3). This is the payload of the
 * seal `sekisho-grant`, as a plain value without pointers.
 *
 * The payload is canonical: json_print() of the members, times with milliseconds. Any other
 * spelling of the same grant is refused, so that nothing can be hidden in what is signed.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/str.h"
#include "model/address.h"
#include "model/service.h"
#include "model/service_class.h"

enum grant_side { GRANT_INITIATOR, GRANT_RESPONDER };

struct grant_end {
	char site[NAME_BYTES_MAX + 1];
	char gateway[NAME_BYTES_MAX + 1];
	char identity[IDENTITY_BYTES_MAX +
	              1]; /* DNS name in the service certificate, IKE identity */
	char serial[SERIAL_TEXT_BYTES_MAX +
	            1];         /* of the service certificate: lower-case hex, even */
	struct address address; /* of the gateway; ADDRESS_NONE is "any" (behind NAT) */
	char host[NAME_BYTES_MAX + 1];
	struct address service; /* service address of the host */
};

struct grant {
	struct id id;
	uint32_t number; /* 1 to 2^31-1 */
	char provider[NAME_BYTES_MAX + 1];
	uint64_t epoch;
	enum service_class class;
	char person[PERSON_BYTES_MAX + 1]; /* one line of text; "": the gateway itself asked */
	struct grant_end initiator, responder;
	enum grant_side ike; /* the one gateway that starts IKE */
	enum protocol protocol;
	uint16_t port;                     /* of the responder's host; 0 with icmp */
	char work_order[ID_BYTES_MAX + 1]; /* or "" */
	bool emergency;                    /* opened without an approval */
	bool outage;       /* outlives an absent center, where the site says so too */
	uint32_t idle_sec; /* closed when nothing passed for so long; 0: no limit */
	int64_t issued_at, not_before, not_after; /* microseconds of wall time */
	uint32_t lease_sec;                       /* 1 to LEASE_SEC_MAX */
	uint64_t policy_provider, policy_initiator,
	        policy_responder; /* versions decided by, from 1 */
};

/* Reads and checks the payload of a grant. The seal is the caller's business.
 * Outcome 1: refused, err names the field. *ret_grant is then not to be used. */
int grant_parse(
        const void *payload, size_t count, struct grant *ret_grant, struct err *err) must_use;

/* Adds the canonical payload. Times lose what is below a millisecond: grant_round() first. */
void grant_print(const struct grant *grant, struct buf *out);

/* Cuts the times to milliseconds, as they are in the payload. */
void grant_round(struct grant *grant);

/* What must hold of a grant wherever it is: two different sites and gateways, service addresses
 * usable, different and of one family, the gateway behind NAT is the one named in `ike` and not
 * both are, port goes with the protocol, a person is named for remote maintenance, a work order and
 * an emergency, times in order, not longer than GRANT_SEC_MAX, lease, idle time and number in their
 * ranges. Pure. Outcome 1: it does not, err says what. */
int grant_check(const struct grant *grant, struct err *err) must_use;

const struct grant_end *grant_end(const struct grant *grant, enum grant_side side);

/* The side of the gateway with this identity. Outcome 1: neither is. */
int grant_side_of(
        const struct grant *grant, const char *identity, enum grant_side *ret_side) must_use;

/* Whether `left` was issued before `right`: by time, and within a millisecond by number. A total
 * order of what one center granted, the same for it and for both gateways, in whatever order they
 * heard. */
bool grant_older(const struct grant *left, const struct grant *right);

const char *grant_side_name(enum grant_side side); /* "initiator", "responder" */
