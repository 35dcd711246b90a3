/*
 * The own site's word about a connection: its policy, what its approvers signed (protocol.md 1.5),
 * and what is live at its hosts already (2.4). None of it is the center's to say: a grant carries
 * the approvals, and the keys they must be sealed with are those of the owner's own policy (D5,
 * F4).
 */
#include "gateway/tunnel_judge.h"

#include <stdio.h>
#include <string.h>

#include "audit/hash.h"
#include "base/sim_bug.h"
#include "model/approval.h"
#include "policy/decide.h"
#include "policy/explain.h"

/* --- approvals ----------------------------------------------------------- */

static struct approval_use use_of(const struct tunnel_standing *standing, const struct grant *grant)
{
	struct approval_use use = {
		.site = standing->config->site,
		.work_order = grant->work_order,
		.person = grant->person,
		.class = grant->class,
		.target = { .protocol = grant->protocol, .port = grant->port },
		.not_before = grant->not_before,
		.not_after = grant->not_after,
	};
	struct work_target *target = &use.target;

	memcpy(target->from.site, grant->initiator.site, sizeof(target->from.site));
	memcpy(target->from.host, grant->initiator.host, sizeof(target->from.host));
	memcpy(target->to.site, grant->responder.site, sizeof(target->to.site));
	memcpy(target->to.host, grant->responder.host, sizeof(target->to.host));
	return use;
}

static int take_approval(const struct policy_approver *approver, const struct approval *approval,
        const char *sealed, struct tunnel_approval *ret_approval, struct err *err)
{
	struct tunnel_approval taken = {
		.given = true, .not_before = approval->not_before, .not_after = approval->not_after
	};
	struct hash digest = hash_of(sealed, strlen(sealed));

	if (text_copy(taken.spki, sizeof(taken.spki), approver->spki) != 0) {
		return err_set(err, 1, "the key of %s is none that seals", approver->name);
	}
	memcpy(taken.approver, approval->approver, sizeof(taken.approver));
	for (size_t i = 0; i < sizeof(digest.bytes); i++) {
		snprintf(taken.digest + 2 * i, 3, "%02x", digest.bytes[i]);
	}
	*ret_approval = taken;
	return 0;
}

/* Whether this seal is the approval that the grant needs. Outcome 1: no; err says why. */
static int judge_approval(const struct tunnel_standing *standing, const struct grant *grant,
        const char *sealed, struct tunnel_approval *ret_approval, struct err *err)
{
	const struct tunnel_trust *trust = &standing->config->trust;
	AUTO_BUF struct buf payload = BUF(JWS_SMALL_BYTES_MAX);
	struct approval_use use = use_of(standing, grant);
	struct approval *approval = mem_new(1, sizeof(*approval));
	struct policy_approver approver;
	int r = trust->approval_open(
	        trust->context, standing->site, sealed, &payload, &approver, err);

	if (r == 0) {
		r = approval_parse(payload.bytes, payload.count, approval, err);
	}
	if (r == 0 && !text_equal(approver.name, approval->approver)) {
		r = err_set(
		        err, 1, "%s signed in the name of %s", approver.name, approval->approver);
	}
	if (r == 0) {
		if (SIM_BUG(approval_order)) {
			use.work_order = approval->terms.work_order.text;
		}
		r = approval_covers(approval, &use, err);
	}
	if (r == 0) {
		r = take_approval(&approver, approval, sealed, ret_approval, err);
	}
	free(approval);
	return r == 0 ? 0 : 1;
}

/* The first of the approvals that holds. Outcome 1: none does; err says which signature is missing,
 * and what is wrong with the newest that is there. */
static int find_approval(const struct tunnel_standing *standing, const struct grant *grant,
        const struct tunnel_offer *offer, struct tunnel_approval *ret_approval, struct err *err)
{
	struct err why = { 0 };

	for (size_t i = 0; i < offer->approval_count; i++) {
		struct err one = { 0 };

		if (judge_approval(standing, grant, offer->approvals[i], ret_approval, &one) == 0) {
			return 0;
		}
		why = one;
	}
	return err_set(err, 1, "approval: no approver of %s has signed work order %s%s%.100s",
	        standing->config->site, grant->work_order, why.text[0] ? ": " : "", why.text);
}

/* An approver who was taken out of the policy, or has another key now, approves no longer. Outcome
 * 1: err says so. */
static int judge_approver(const struct tunnel_standing *standing,
        const struct tunnel_approval *approval, struct err *err)
{
	for (size_t i = 0; standing->site && i < site_policy_approver_count(standing->site); i++) {
		struct policy_approver approver;

		site_policy_approver_at(standing->site, i, &approver);
		if (text_equal(approver.name, approval->approver) &&
		        text_equal(approver.spki, approval->spki)) {
			return 0;
		}
	}
	return SIM_BUG(approver_kept)
	               ? 0
	               : err_set(err, 1, "approval: %s is no approver of %s any more",
	                         approval->approver, standing->config->site);
}

/* --- the policies -------------------------------------------------------- */

static struct policy_request request_of(const struct grant *grant, int64_t length_sec)
{
	struct policy_request request = {
		.class = grant->class,
		.protocol = grant->protocol,
		.port = grant->port,
		.duration_sec = length_sec,
		.lease_sec = grant->lease_sec,
		.emergency = grant->emergency,
	};

	memcpy(request.from.site, grant->initiator.site, sizeof(request.from.site));
	memcpy(request.from.host, grant->initiator.host, sizeof(request.from.host));
	memcpy(request.to.site, grant->responder.site, sizeof(request.to.site));
	memcpy(request.to.host, grant->responder.host, sizeof(request.to.host));
	memcpy(request.person, grant->person, sizeof(request.person));
	memcpy(request.work_order, grant->work_order, sizeof(request.work_order));
	return request;
}

/* What this gateway knows. The peer's side is the peer's; persons, agreements and the course of a
 * work order are the center's; accreditation and certificates are tunnel_trust's. */
static struct policy_facts facts_of(const struct tunnel_standing *standing,
        const struct grant *grant, enum grant_side side, int64_t length_sec)
{
	enum policy_layer other =
	        side == GRANT_INITIATOR ? LAYER_RESPONDER_SITE : LAYER_INITIATOR_SITE;
	struct policy_end_facts foreign = { .posture = POSTURE_FOREIGN,
		.beside.known = FACT_FOREIGN,
		.approval.state = APPROVAL_FOREIGN };
	struct policy_end_facts own = { .posture = POSTURE_FOREIGN,
		.beside = { FACT_YES, standing->live,
		        SIM_BUG(exclusion_order) && grant->class == SERVICE_ASP
		                ? 0
		                : standing->live_count },
		.approval.state = APPROVAL_NONE };

	return (struct policy_facts){
		.foreign = LAYER_BIT(other) | LAYER_BIT(LAYER_AGREEMENT) | LAYER_BIT(LAYER_PERSON) |
		           LAYER_BIT(LAYER_ACCREDITATION) | LAYER_BIT(LAYER_CERTIFICATES) |
		           LAYER_BIT(LAYER_GATEWAYS),
		.provider = standing->provider,
		.initiator_policy = side == GRANT_INITIATOR ? standing->site : NULL,
		.responder_policy = side == GRANT_RESPONDER ? standing->site : NULL,
		.initiator = side == GRANT_INITIATOR ? own : foreign,
		.responder = side == GRANT_RESPONDER ? own : foreign,
		.work_order = { .state = WORK_ORDER_FOREIGN, .emergency_allowed = FACT_FOREIGN },
		.window = { .not_before = grant->not_before,
		        .not_after = grant->not_before + length_sec * USEC_PER_SEC },
	};
}

/* Says why not. `missing` is what find_approval() or judge_approver() said, or empty. */
static int deny(const struct decision *decision, const struct tunnel_standing *standing,
        const struct err *missing, struct err *err)
{
	enum policy_layer layer = decision_denied_by(decision);
	struct policy_detail detail;

	if (layer == LAYER_COUNT) {
		return err_set(err, 1, "the policies do not permit it");
	}
	detail = policy_detail(decision, layer);
	if (decision->layers[layer].reason == REASON_WORK_ORDER_APPROVAL_NONE && missing->text[0]) {
		return err_set(err, 1, "%s", missing->text);
	}
	if (decision->layers[layer].reason == REASON_WORK_ORDER_NOT_NAMED) {
		return err_set(err, 1,
		        "approval: rule %s of %s wants one, and the grant names no work order",
		        detail.text, standing->config->site);
	}
	return err_set(err, 1, "the policies do not permit it: %s%s%s",
	        policy_reason_name(decision->layers[layer].reason), detail.text[0] ? " " : "",
	        detail.text);
}

static void take_terms(
        const struct decision *decision, const struct grant *grant, struct tunnel_terms *terms)
{
	uint32_t own = decision->idle_sec, said = grant->idle_sec;

	terms->idle_sec = own == 0 || (said != 0 && said < own) ? said : own;
	terms->outage = grant->outage && (decision->outage || SIM_BUG(outage_own));
	terms->emergency = decision->emergency;
}

int tunnel_judge_policy(const struct tunnel_standing *standing, const struct tunnel_case *what,
        int64_t wall_usec, struct tunnel_terms *terms, struct err *err)
{
	const struct grant *grant = what->grant;
	/* Policies speak of whole seconds: a begun one counts. */
	int64_t length_sec =
	        (grant->not_after - grant->not_before + USEC_PER_SEC - 1) / USEC_PER_SEC;
	struct policy_request request = request_of(grant, length_sec);
	struct policy_facts facts = facts_of(standing, grant, what->side, length_sec);
	struct policy_approval *own = what->side == GRANT_INITIATOR ? &facts.initiator.approval
	                                                            : &facts.responder.approval;
	struct err missing = { 0 };
	struct decision decision = { 0 };

	if (!standing->site) {
		return err_set(err, 1, "this site has no active policy");
	}
	if (!standing->provider) {
		return err_set(err, 1, "there is no active provider policy");
	}
	if (terms->approval.given && judge_approver(standing, &terms->approval, &missing) != 0) {
		terms->approval.given = false;
	}
	if (SIM_BUG(approval_skipped)) {
		*own = (struct policy_approval){ APPROVAL_GIVEN,
			{ grant->not_before, grant->not_after } };
	}
	/* First without: nearly all rules are standing, and reading a seal takes its time. */
	if (!terms->approval.given) {
		decision = policy_decide(&request, &facts, wall_usec);
	}
	if (!terms->approval.given && decision.verdict != VERDICT_PERMIT && what->offer &&
	        grant->work_order[0] != '\0' &&
	        find_approval(standing, grant, what->offer, &terms->approval, &missing) != 0) {
		terms->approval.given = false;
	}
	if (terms->approval.given) {
		*own = (struct policy_approval){ APPROVAL_GIVEN,
			{ terms->approval.not_before, terms->approval.not_after } };
		decision = policy_decide(&request, &facts, wall_usec);
	}
	if (decision.verdict != VERDICT_PERMIT && !SIM_BUG(own_policy)) {
		return deny(&decision, standing, &missing, err);
	}
	take_terms(&decision, grant, terms);
	return 0;
}
