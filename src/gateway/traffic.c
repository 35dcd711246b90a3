#include "gateway/traffic.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"

#define REASON_BYTES_MAX 256

struct entry {
	struct nft_lease tuple;
	uint32_t tag; /* of the question; 0: none is open */
	unsigned tries;
	int64_t asked_usec, next_usec;
	enum traffic_answer answer;
	char reason[REASON_BYTES_MAX];
};

/* One that sends. `refusals` goes down by one each TRAFFIC_REFILL_SEC. */
struct source {
	struct ip ip;
	unsigned refusals;
	int64_t refill_usec; /* when it goes down next */
};

struct traffic {
	struct entry *entries;
	size_t count;
	struct source *sources;
	size_t source_count;
	uint32_t tag; /* given last */
};

struct traffic *traffic_new(void)
{
	struct traffic *traffic = mem_new(1, sizeof(*traffic));

	traffic->entries = mem_new(TRAFFIC_TUPLES_MAX, sizeof(*traffic->entries));
	traffic->sources = mem_new(TRAFFIC_TUPLES_MAX, sizeof(*traffic->sources));
	return traffic;
}

struct traffic *traffic_free(struct traffic *traffic)
{
	if (traffic) {
		free(traffic->entries);
		free(traffic->sources);
		free(traffic);
	}
	return NULL;
}

static bool same_tuple(const struct nft_lease *left, const struct nft_lease *right)
{
	return left->protocol == right->protocol && left->port == right->port &&
	       ip_equal(left->source, right->source) &&
	       ip_equal(left->destination, right->destination);
}

static struct entry *find(const struct traffic *traffic, const struct nft_lease *tuple)
{
	for (size_t i = 0; i < traffic->count; i++) {
		if (same_tuple(&traffic->entries[i].tuple, tuple)) {
			return &traffic->entries[i];
		}
	}
	return NULL;
}

static struct source *find_source(const struct traffic *traffic, struct ip ip)
{
	for (size_t i = 0; i < traffic->source_count; i++) {
		if (ip_equal(traffic->sources[i].ip, ip)) {
			return &traffic->sources[i];
		}
	}
	return NULL;
}

/* Longer with each question: 30 s, a minute, … a quarter of an hour. */
static int64_t back_off_usec(unsigned tries)
{
	int64_t sec = TRAFFIC_BACK_OFF_SEC_MIN;

	for (unsigned i = 1; i < tries && sec < TRAFFIC_BACK_OFF_SEC_MAX; i++) {
		sec *= 2;
	}
	return (sec < TRAFFIC_BACK_OFF_SEC_MAX ? sec : TRAFFIC_BACK_OFF_SEC_MAX) * USEC_PER_SEC;
}

/* Forgets what plays no part any more. A tuple is remembered for a back-off beyond its own, so that
 * the next one is longer. */
static void tidy(struct traffic *traffic, int64_t now)
{
	for (size_t i = 0; i < traffic->count;) {
		struct entry *entry = &traffic->entries[i];

		if (entry->tag != 0 &&
		        now - entry->asked_usec >= TRAFFIC_ANSWER_SEC_MAX * USEC_PER_SEC) {
			entry->tag = 0;
			entry->answer = TRAFFIC_LATER;
			entry->next_usec = now;
			snprintf(entry->reason, sizeof(entry->reason), "no answer came");
		}
		if (entry->tag == 0 &&
		        now >= entry->next_usec + TRAFFIC_BACK_OFF_SEC_MAX * USEC_PER_SEC) {
			*entry = traffic->entries[--traffic->count];
		} else {
			i++;
		}
	}
	for (size_t i = 0; i < traffic->source_count;) {
		struct source *source = &traffic->sources[i];

		while (source->refusals > 0 && now >= source->refill_usec) {
			source->refusals--;
			source->refill_usec += TRAFFIC_REFILL_SEC * USEC_PER_SEC;
		}
		if (source->refusals == 0) {
			*source = traffic->sources[--traffic->source_count];
		} else {
			i++;
		}
	}
}

/* Whether one more question fits: at a time, of this host, and altogether. */
static bool fits(const struct traffic *traffic, const struct nft_lease *tuple, bool is_new)
{
	const struct source *source = find_source(traffic, tuple->source);
	size_t open = 0, of_host = 0, open_of_host = 0;

	for (size_t i = 0; i < traffic->count; i++) {
		const struct entry *entry = &traffic->entries[i];
		bool same = ip_equal(entry->tuple.source, tuple->source);

		open += entry->tag != 0;
		open_of_host += entry->tag != 0 && same;
		of_host += same;
	}
	/* A question that is open may be refused: it counts like a refusal until it is not. */
	return open < TRAFFIC_OPEN_MAX &&
	       (source ? source->refusals : 0) + open_of_host < TRAFFIC_REFUSALS_PER_HOST_MAX &&
	       (!is_new || (traffic->count < TRAFFIC_TUPLES_MAX &&
	                           of_host < TRAFFIC_TUPLES_PER_HOST_MAX));
}

bool traffic_seen(
        struct traffic *traffic, const struct nft_lease *tuple, int64_t now, uint32_t *ret_tag)
{
	struct entry *entry;

	tidy(traffic, now);
	entry = find(traffic, tuple);
	if ((entry && (entry->tag != 0 || now < entry->next_usec)) ||
	        !fits(traffic, tuple, !entry)) {
		return false;
	}
	if (!entry) {
		entry = &traffic->entries[traffic->count++];
		*entry = (struct entry){ .tuple = *tuple };
	}
	traffic->tag = traffic->tag == UINT32_MAX ? 1 : traffic->tag + 1;
	entry->tag = *ret_tag = traffic->tag;
	entry->asked_usec = now;
	entry->reason[0] = '\0';
	return true;
}

static void count_refusal(struct traffic *traffic, struct ip ip, int64_t now)
{
	struct source *source = find_source(traffic, ip);

	if (!source && traffic->source_count < TRAFFIC_TUPLES_MAX) {
		source = &traffic->sources[traffic->source_count++];
		*source = (struct source){ .ip = ip,
			.refill_usec = now + TRAFFIC_REFILL_SEC * USEC_PER_SEC };
	}
	if (source) {
		source->refusals++;
	}
}

bool traffic_answered(struct traffic *traffic, uint32_t tag, enum traffic_answer answer,
        const char *reason, int64_t now, struct nft_lease *ret_tuple)
{
	struct entry *entry = NULL;

	tidy(traffic, now);
	for (size_t i = 0; tag != 0 && i < traffic->count; i++) {
		if (traffic->entries[i].tag == tag) {
			entry = &traffic->entries[i];
		}
	}
	if (!entry) {
		return false;
	}
	*ret_tuple = entry->tuple;
	entry->tag = 0;
	entry->answer = answer;
	snprintf(entry->reason, sizeof(entry->reason), "%s", reason);
	if (answer == TRAFFIC_LATER) {
		entry->next_usec = now + TRAFFIC_LATER_SEC * USEC_PER_SEC;
		return true;
	}
	/* Granted is not up: what the other gateway refuses is not asked for again at once. */
	entry->tries++;
	entry->next_usec = now + back_off_usec(entry->tries);
	if (answer == TRAFFIC_REFUSED) {
		count_refusal(traffic, entry->tuple.source, now);
	}
	return true;
}

void traffic_opened(struct traffic *traffic, const struct nft_lease *tuple)
{
	struct entry *entry = find(traffic, tuple);

	/* An open question keeps its place: its answer is still to come. */
	if (entry && entry->tag == 0) {
		*entry = traffic->entries[--traffic->count];
	}
}

size_t traffic_count(const struct traffic *traffic)
{
	return traffic->count;
}

struct traffic_view traffic_at(const struct traffic *traffic, size_t index)
{
	const struct entry *entry = &traffic->entries[index];

	assert_always(index < traffic->count);
	return (struct traffic_view){ .tuple = entry->tuple,
		.asking = entry->tag != 0,
		.answer = entry->answer,
		.reason = entry->reason,
		.next_usec = entry->next_usec };
}
