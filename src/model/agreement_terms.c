/* What an agreement lacks, and what follows from what it says. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "model/agreement.h"

struct lacks {
	struct agreement_lack *out;
	size_t count;
};

static void printf_like(4, 5)
        lack(struct lacks *lacks, const char *item, unsigned number, const char *format, ...)
{
	struct agreement_lack *out;
	va_list args;

	if (lacks->count == AGREEMENT_LACKS_MAX) {
		return;
	}
	out = &lacks->out[lacks->count++];
	out->item = item;
	out->number = number;
	va_start(args, format);
	vsnprintf(out->text, sizeof(out->text), format, args);
	va_end(args);
}

static const struct agreement_point *find_point(const struct agreement *agreement, const char *name)
{
	for (size_t i = 0; i < agreement->point_count; i++) {
		if (text_equal(agreement->points[i].point, name)) {
			return &agreement->points[i];
		}
	}
	return NULL;
}

/* The whole path has to be somebody's: from the first party's host to the second party's. */
static void check_points(const struct agreement *agreement, struct lacks *lacks)
{
	const struct agreement_point *points = agreement->points;
	size_t count = agreement->point_count;

	if (count < 2) {
		lack(lacks, "demarcation", 0,
		        "at least two points on the path are needed: where each party's "
		        "responsibility begins");
		return;
	}
	if (points[0].place != PLACE_HOST_A ||
	        !text_equal(points[0].responsible, agreement->scope.parties[0])) {
		lack(lacks, "demarcation", 0, "the first point has to be at host-a, with %s",
		        agreement->scope.parties[0]);
	}
	for (size_t i = 1; i < count; i++) {
		if (points[i].place <= points[i - 1].place) {
			lack(lacks, "demarcation", 0,
			        "point %s does not come behind %s on the path from host-a to "
			        "host-b",
			        points[i].point, points[i - 1].point);
		}
	}
	if (!text_equal(points[count - 1].responsible, agreement->scope.parties[1])) {
		lack(lacks, "demarcation", 0, "the last stretch has to be of %s",
		        agreement->scope.parties[1]);
	}
}

static void check_encryption(const struct agreement *agreement, struct lacks *lacks)
{
	const struct agreement_point *from = find_point(agreement, agreement->encrypted_from);
	const struct agreement_point *to = find_point(agreement, agreement->encrypted_to);

	if (!*agreement->encrypted_from) {
		lack(lacks, "encrypted", 0, "where encryption starts and ends is not said");
	} else if (!from || !to) {
		lack(lacks, "encrypted", 0, "%s is no point of the demarcation",
		        from ? agreement->encrypted_to : agreement->encrypted_from);
	} else if (to <= from) {
		lack(lacks, "encrypted", 0, "encryption ends before it starts");
	}
}

/* H2: who receives must be known, unless the law says otherwise; a third party needs the consent of
 * the persons concerned. */
static void check_recipients(const struct agreement *agreement, struct lacks *lacks)
{
	if (agreement->recipients == RECIPIENTS_UNIDENTIFIED && !*agreement->legal_basis) {
		lack(lacks, "recipients", 0,
		        "information must not go to recipients that cannot be identified, unless "
		        "a law says so (legal_basis)");
	}
	if (agreement->relation == RELATION_THIRD_PARTY && agreement->consent == CONSENT_NONE &&
	        !*agreement->legal_basis) {
		lack(lacks, "consent", 0,
		        "a third party needs the persons' consent, implicit or explicit, or a "
		        "legal_basis");
	}
}

size_t agreement_missing(const struct agreement *agreement, const bool has_host[2],
        struct agreement_lack out[AGREEMENT_LACKS_MAX])
{
	struct lacks lacks = { .out = out };

	for (unsigned i = 0; i < AGREEMENT_CLAUSES; i++) {
		if (!agreement->clauses[i].text) {
			lack(&lacks, "clause", i + 1, "clause %u: %s", i + 1,
			        agreement_clause_info(i + 1)->english);
		}
	}
	for (size_t i = 0; i < 2; i++) {
		if (!has_host[i]) {
			lack(&lacks, "hosts", 0, "no host of %s is named",
			        agreement->scope.parties[i]);
		}
	}
	if (agreement->scope.protocol_count == 0) {
		lack(&lacks, "protocols", 0, "no protocol is named");
	}
	check_points(agreement, &lacks);
	check_encryption(agreement, &lacks);
	for (size_t i = 0; i < 2; i++) {
		if (!*agreement->policies[i].organization) {
			lack(&lacks, "policies", 0,
			        "the privacy policy of %s was not exchanged (G5)",
			        agreement->scope.parties[i]);
		}
	}
	check_recipients(agreement, &lacks);
	return lacks.count;
}

/* --- responsibility ------------------------------------------------------ */

static void fill_stretch(const struct agreement *agreement, const struct agreement_point *start,
        const struct agreement_point *end, struct agreement_stretch *out)
{
	const struct agreement_point *point = out->from;

	out->party = text_equal(point->responsible, agreement->scope.parties[0]) ||
	             text_equal(point->responsible, agreement->scope.parties[1]);
	out->encrypted = point >= start && point < end;
	out->entrustment_needed = !out->party && !out->encrypted;
	for (int i = 0; i < THREAT_COUNT; i++) {
		out->by[i] = point->responsible;
	}
	if (!out->party && out->encrypted) {
		out->by[THREAT_EAVESDROPPING] = start->responsible;
	}
}

int agreement_responsibility(
        const struct agreement *agreement, struct agreement_responsibility *ret_responsibility)
{
	struct agreement_responsibility *out = ret_responsibility;
	struct agreement_lack found[AGREEMENT_LACKS_MAX];
	struct lacks lacks = { .out = found };
	bool entrusted = agreement->relation == RELATION_ENTRUSTMENT;

	check_points(agreement, &lacks);
	check_encryption(agreement, &lacks);
	if (lacks.count > 0) {
		return 1;
	}
	*out = (struct agreement_responsibility){ .count = agreement->point_count };
	for (size_t i = 0; i < out->count; i++) {
		out->stretches[i].from = &agreement->points[i];
		out->stretches[i].to = i + 1 < out->count ? &agreement->points[i + 1] : NULL;
		fill_stretch(agreement, find_point(agreement, agreement->encrypted_from),
		        find_point(agreement, agreement->encrypted_to), &out->stretches[i]);
	}
	/* 004 B.2: with entrustment all stays with who provides, who also supervises; with a third
	 * party the provider explains and asks for consent, the receiver answers for what follows.
	 */
	out->explains = agreement->scope.parties[0];
	out->result = agreement->scope.parties[entrusted ? 0 : 1];
	out->supervises = entrusted ? agreement->scope.parties[0] : NULL;
	out->supervised = entrusted ? agreement->scope.parties[1] : NULL;
	out->complies = agreement->scope.parties[1];
	return 0;
}

const char *agreement_incident_owner(const struct agreement *agreement, const char *incident)
{
	unsigned number = agreement_clause_of(incident);

	return number > 0 && agreement->clauses[number - 1].text
	               ? agreement->clauses[number - 1].owner
	               : NULL;
}

/* 004 6.2: a closed network does not do away with encrypting the content; two of them joined, and
 * the open one, have risks of their own. */
const char *agreement_duty(const struct agreement *agreement, size_t index)
{
	static const char *const closed[] = {
		"encrypt the content: a closed network is not encrypted by itself",
		"detect alteration of the content",
		"where two closed networks are joined, ask both operators what happens between "
		"them",
	};
	static const char *const open[] = {
		"encrypt the path and the content",
		"authenticate both ends before anything is sent",
		"protect the entrance: intrusion and disturbance come from everywhere",
		"review the risk regularly; the parties answer for the security of the path",
	};
	static const char *const assured[] = {
		"keep the contract in which the providers take over the security of the path",
		"encrypt the content",
		"supervise the providers",
	};
	const char *const *duties = closed;
	size_t count = ARRAY_COUNT(closed);

	if (agreement->network == NETWORK_UNSAID) {
		return NULL;
	}
	if (agreement->network_assured) {
		duties = assured;
		count = ARRAY_COUNT(assured);
	} else if (agreement->network == NETWORK_OPEN) {
		duties = open;
		count = ARRAY_COUNT(open);
	}
	return index < count ? duties[index] : NULL;
}
