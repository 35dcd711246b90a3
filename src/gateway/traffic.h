/*
 * When the gateway asks for a connection by itself (protocol.md 3.1): what it remembers of first
 * packets that its policy would open. Pure: times are handed in, nothing is asked or sent here.
 *
 * A tuple is asked for once; then not again until its back-off is over, which doubles with each
 * question and ends when the connection is up. A host with many refusals is asked for less and
 * less often. So neither a scan nor a program that retries can flood the center, the ledger or
 * memory: only what was asked for is kept, and that at most TRAFFIC_TUPLES_MAX times.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/mem.h"
#include "wire/nft.h"

struct traffic;

struct traffic *traffic_new(void);
struct traffic *traffic_free(struct traffic *traffic);
AUTO_DEFINE(traffic)

#define TRAFFIC_OPEN_MAX 8        /* questions at a time */
#define TRAFFIC_ANSWER_SEC_MAX 30 /* a question that is older got lost */
#define TRAFFIC_LATER_SEC 2       /* before the center is asked again that could not answer */

/* A packet of this tuple (its mark is not looked at) was seen, and the policy would open it: ask
 * now? Then *ret_tag is what the answer has to name. */
bool traffic_seen(struct traffic *traffic, const struct nft_lease *tuple, int64_t monotonic_usec,
        uint32_t *ret_tag) must_use;

enum traffic_answer {
	TRAFFIC_REFUSED, /* the zero value */
	TRAFFIC_GRANTED, /* a connection is on its way, or there already */
	TRAFFIC_LATER,   /* nobody decided: no link, or the center cannot now */
};

/* *ret_tuple is what had been asked for. An answer that no question waits for changes nothing.
 * False: it was such a one. */
bool traffic_answered(struct traffic *traffic, uint32_t tag, enum traffic_answer answer,
        const char *reason, int64_t monotonic_usec, struct nft_lease *ret_tuple) must_use;

/* A connection of this tuple is up: its back-off is over. */
void traffic_opened(struct traffic *traffic, const struct nft_lease *tuple);

/* What is asked for or held back now, for people. */
struct traffic_view {
	struct nft_lease tuple;
	bool asking;
	enum traffic_answer answer; /* the last one, unless asking */
	const char *reason;         /* borrowed until the next call */
	int64_t next_usec;          /* monotonic: not asked before */
};

size_t traffic_count(const struct traffic *traffic);
struct traffic_view traffic_at(const struct traffic *traffic, size_t index);
