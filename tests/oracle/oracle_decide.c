/*
 * The oracle's decision (protocol.md 2.3): every layer is asked in order until one denies.
 *
 * Whatever the page says to take "the least" of is gathered in struct run as it is met.
 */
#include "oracle_run.h"

#define SKEW 60 /* seconds */

/* Takes a limit in; true when what is asked for goes beyond it. */
static bool limit_duration(struct run *run, int64_t seconds)
{
	if (seconds < run->answer.duration) {
		run->answer.duration = seconds;
	}
	return run->request->duration_sec > seconds;
}

static void limit_moment(struct run *run, int64_t moment)
{
	(void)limit_duration(run, left_until(run, moment));
}

static bool limit_lease(struct run *run, int64_t seconds)
{
	if (seconds < run->answer.lease) {
		run->answer.lease = seconds;
	}
	return run->request->lease_sec > seconds;
}

static const struct oracle_member *member_of(
        const struct oracle_provider *provider, const char *site)
{
	for (int i = 0; provider && i < provider->member_count; i++) {
		if (same(provider->members[i].name, site)) {
			return &provider->members[i];
		}
	}
	return NULL;
}

/* Names are DNS labels of lower case, ids 26 characters of Crockford base 32 (protocol.md, top). */
static bool is_name(const char *text)
{
	size_t length = strlen(text);

	return length > 0 && length < ORACLE_NAME && text[0] >= 'a' && text[0] <= 'z' &&
	       text[length - 1] != '-' &&
	       strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == length;
}

static bool malformed(const struct policy_request *request)
{
	bool icmp = request->protocol == PROTOCOL_ICMP;
	bool known = icmp || request->protocol == PROTOCOL_TCP || request->protocol == PROTOCOL_UDP;
	size_t id = strspn(request->work_order, "0123456789ABCDEFGHJKMNPQRSTVWXYZ");
	bool order = request->work_order[0] == '\0' ||
	             (id == ID_BYTES_MAX && request->work_order[id] == '\0');

	return !known || icmp != (request->port == 0) || request->class <= SERVICE_CLASS_NONE ||
	       request->class >= SERVICE_CLASS_COUNT || !is_name(request->from.site) ||
	       !is_name(request->from.host) || !is_name(request->to.site) ||
	       !is_name(request->to.host) || request->lease_sec > LEASE_SEC_MAX ||
	       request->duration_sec < 0 || !order ||
	       (request->traffic && (request->person[0] != '\0' || request->work_order[0] != '\0' ||
	                                    request->emergency)) ||
	       strnlen(request->person, sizeof(request->person)) == sizeof(request->person);
}

static int provider_layer(struct run *run)
{
	const struct oracle_provider *provider = run->the->provider;

	if (!provider) {
		return REASON_PROVIDER_POLICY_MISSING;
	}
	if (same(run->request->from.site, run->request->to.site)) {
		return REASON_SAME_SITE;
	}
	if (!member_of(provider, run->request->from.site)) {
		return REASON_INITIATOR_UNKNOWN;
	}
	return member_of(provider, run->request->to.site) ? 0 : REASON_RESPONDER_UNKNOWN;
}

static bool group_names(const struct oracle_group *group, const char *site)
{
	for (int i = 0; i < group->site_count; i++) {
		if (same(group->sites[i], site)) {
			return true;
		}
	}
	return false;
}

static int group_layer(struct run *run)
{
	const struct oracle_provider *provider = run->the->provider;
	bool both = false;

	if (!provider) {
		return REASON_PROVIDER_POLICY_MISSING;
	}
	for (int i = 0; provider && i < provider->group_count; i++) {
		const struct oracle_group *group = &provider->groups[i];

		if (!group_names(group, run->request->from.site) ||
		        !group_names(group, run->request->to.site)) {
			continue;
		}
		both = true;
		for (int k = 0; k < group->class_count; k++) {
			if (same(group->classes[k], service_class_name(run->request->class))) {
				run->answer.group = group->name;
				return 0;
			}
		}
	}
	return both ? REASON_GROUP_CLASS : REASON_GROUP_NONE;
}

static int class_layer(struct run *run)
{
	const struct oracle_provider *provider = run->the->provider;

	if (!provider) {
		return REASON_PROVIDER_POLICY_MISSING;
	}
	for (int i = 0; provider && i < provider->class_count; i++) {
		if (same(provider->classes[i].name, service_class_name(run->request->class))) {
			run->class = &provider->classes[i];
		}
	}
	if (!run->class) {
		return REASON_CLASS_NOT_OFFERED;
	}
	if (limit_duration(run, run->class->duration)) {
		return REASON_CLASS_DURATION;
	}
	return limit_lease(run, run->class->lease) ? REASON_CLASS_LEASE : 0;
}

static int agreement_layer(struct run *run)
{
	static const int reasons[AGREEMENT_UNACKNOWLEDGED + 1] = { [AGREEMENT_UNKNOWN] =
		                                                           REASON_AGREEMENT_UNKNOWN,
		[AGREEMENT_NONE] = REASON_AGREEMENT_NONE,
		[AGREEMENT_CLASS] = REASON_AGREEMENT_CLASS,
		[AGREEMENT_HOSTS] = REASON_AGREEMENT_HOSTS,
		[AGREEMENT_SERVICE] = REASON_AGREEMENT_SERVICE,
		[AGREEMENT_INCOMPLETE] = REASON_AGREEMENT_INCOMPLETE,
		[AGREEMENT_UNSIGNED] = REASON_AGREEMENT_UNSIGNED,
		[AGREEMENT_UNACKNOWLEDGED] = REASON_AGREEMENT_UNACKNOWLEDGED,
		[AGREEMENT_NOT_YET] = REASON_AGREEMENT_NOT_YET,
		[AGREEMENT_OVER] = REASON_AGREEMENT_OVER,
		[AGREEMENT_ENDED] = REASON_AGREEMENT_ENDED };
	const struct policy_agreement *agreement = &run->facts->agreement;

	if (agreement->state == AGREEMENT_SAME_ORGANIZATION) {
		return 0;
	}
	if (agreement->state != AGREEMENT_IN_FORCE) {
		return (unsigned)agreement->state <= AGREEMENT_UNACKNOWLEDGED
		               ? reasons[agreement->state]
		               : REASON_AGREEMENT_UNKNOWN;
	}
	if (agreement->not_after == 0) {
		return 0;
	}
	if (left_until(run, agreement->not_after) == 0) {
		return REASON_AGREEMENT_OVER;
	}
	limit_moment(run, agreement->not_after);
	return longer_than(run, agreement->not_after) ? REASON_AGREEMENT_DURATION : 0;
}

static const struct oracle_host *own_host(const struct oracle_site *site, const char *name)
{
	for (int i = 0; i < site->host_count; i++) {
		if (same(site->hosts[i].name, name)) {
			return &site->hosts[i];
		}
	}
	return NULL;
}

static bool prefix_has(const struct oracle_prefix *prefix, const struct oracle_address *address)
{
	if (prefix->address.bits != address->bits) {
		return false;
	}
	for (int bit = 0; bit < prefix->length; bit++) {
		int mask = 0x80 >> bit % 8;

		if ((prefix->address.bytes[bit / 8] & mask) != (address->bytes[bit / 8] & mask)) {
			return false;
		}
	}
	return true;
}

static int site_layer(struct run *run, int side)
{
	static const int reasons[STAGE_HOLDS + 1] = { [STAGE_NONE] = REASON_SITE_NO_RULE,
		[STAGE_CLASS] = REASON_SITE_RULE_CLASS,
		[STAGE_PROTOCOL] = REASON_SITE_RULE_PROTOCOL,
		[STAGE_PORT] = REASON_SITE_RULE_PORT,
		[STAGE_HOURS] = REASON_SITE_RULE_HOURS,
		[STAGE_HOURS_END] = REASON_SITE_RULE_HOURS_END,
		[STAGE_POSTURE] = REASON_SITE_RULE_POSTURE,
		[STAGE_TRAFFIC] = REASON_SITE_RULE_TRAFFIC,
		[STAGE_DURATION] = REASON_SITE_DURATION,
		[STAGE_LEASE] = REASON_SITE_LEASE };
	const struct oracle_site *site = run->the->site[side];
	const struct oracle_member *member =
	        member_of(run->the->provider, end_ref(run, side)->site);
	const struct oracle_host *host;
	bool inside = !asked(run, LAYER_PROVIDER);
	struct choice *choice = &run->choice[side];

	if (!site) {
		return REASON_SITE_POLICY_MISSING;
	}
	if (!same(site->name, end_ref(run, side)->site)) {
		return REASON_SITE_POLICY_FOREIGN;
	}
	host = own_host(site, end_ref(run, side)->host);
	if (!host) {
		return REASON_SITE_HOST_UNKNOWN;
	}
	for (int i = 0; member && i < member->prefix_count; i++) {
		inside |= prefix_has(&member->prefixes[i], &host->service);
	}
	if (!inside) {
		return REASON_SITE_HOST_ADDRESS;
	}
	if (same(host->zone, "hsz") && !maintenance(run)) {
		return REASON_SITE_HSZ;
	}
	if (oracle_refused(run, side)) {
		return REASON_SITE_REFUSED;
	}
	*choice = oracle_rule_choose(run, side);
	if (choice->stage == STAGE_HOURS) {
		bool within = oracle_hours_hold(
		        site, choice->rule->hours, run->begin, &run->answer.moment);

		if (!within) {
			run->answer.moment =
			        oracle_hours_next(site, choice->rule->hours, run->begin);
		}
	} else if (choice->stage == STAGE_HOURS_END) {
		run->answer.moment = choice->hours_end;
	}
	if (choice->stage == STAGE_HOLDS) {
		(void)limit_duration(run, choice->duration);
		(void)limit_lease(run, choice->lease);
		limit_moment(run, choice->hours_end);
	}
	return reasons[choice->stage]; /* 0: it holds, or a later layer says what is missing */
}

static int initiator_layer(struct run *run)
{
	return site_layer(run, 0);
}

static int responder_layer(struct run *run)
{
	return site_layer(run, 1);
}

/* Rules that were asked; `side` is one whose layer permitted. */
static bool has_rule(const struct run *run, int side)
{
	return run->choice[side].rule != NULL;
}

static int person_layer(struct run *run)
{
	const struct policy_person *person = &run->facts->person;

	if (run->request->person[0] == '\0') {
		bool wanted = maintenance(run) || run->request->emergency ||
		              run->request->work_order[0] != '\0' ||
		              (run->class && run->class->factor_two);

		for (int side = 0; side < 2 && !wanted; side++) {
			wanted = has_rule(run, side) &&
			         (run->choice[side].approval != ORACLE_STANDING ||
			                 run->choice[side].factors == 2);
			run->answer.side = wanted ? side : -1;
		}
		return wanted ? REASON_PERSON_NOBODY : 0;
	} else if (person->state != PERSON_ACTIVE) {
		return person->state == PERSON_UNREGISTERED ? REASON_PERSON_UNREGISTERED
		       : person->state == PERSON_INACTIVE   ? REASON_PERSON_INACTIVE
		                                            : REASON_PERSON_UNKNOWN;
	} else if (person->of_organization != FACT_YES && person->of_organization != FACT_FOREIGN) {
		return REASON_PERSON_ORGANIZATION;
	} else if (person->role_allows != FACT_YES && person->role_allows != FACT_FOREIGN) {
		return REASON_PERSON_ROLE;
	}
	for (int side = 0; side < 2; side++) {
		if (has_rule(run, side) && run->choice[side].stage == STAGE_FACTOR) {
			run->answer.side = side;
			return REASON_PERSON_FACTOR;
		}
	}
	if (person->factor < FACTOR_ONE ||
	        (run->class && run->class->factor_two && person->factor < FACTOR_TWO)) {
		return REASON_PERSON_FACTOR;
	}
	return 0;
}

/* One site that wants an approval or an emergency: 0, or why not. */
static int site_wants(struct run *run, int side)
{
	if (run->choice[side].approval == ORACLE_EMERGENCY) {
		if (!run->request->emergency) {
			return REASON_WORK_ORDER_EMERGENCY_ONLY;
		}
		if (!oracle_emergency_possible(run)) {
			return REASON_WORK_ORDER_EMERGENCY_REVIEW;
		}
		return 0;
	}
	if (run->request->work_order[0] == '\0') {
		return run->request->emergency ? REASON_WORK_ORDER_EMERGENCY_RULE
		                               : REASON_WORK_ORDER_NOT_NAMED;
	}
	if (end_facts(run, side)->approval.state == APPROVAL_GIVEN) {
		limit_moment(run, end_facts(run, side)->approval.window.not_after);
	}
	return oracle_approval_lacks(run, side);
}

static int work_order_layer(struct run *run)
{
	int reason = run->request->work_order[0] == '\0' ? 0 : oracle_work_order_shut(run);

	for (int side = 0; side < 2 && reason == 0; side++) {
		if (has_rule(run, side) && run->choice[side].approval != ORACLE_STANDING) {
			reason = site_wants(run, side);
			run->answer.side = reason != 0 ? side : -1;
		}
	}
	return reason;
}

/* 2.4, by the items of Annex C in its order; classes by name. */
static bool annex_excludes(const char *one, const char *other)
{
	static const char *const items[][2] = {
		/* 4-5-3 */
		{ "asp", "results-delivery" },
		{ "asp", "online-claims" },
		{ "asp", "mail" },
		{ "asp", "internet" },
		{ "asp", "remote-maintenance" },
		/* 4-7-5 */
		{ "mail", "results-delivery" },
		{ "mail", "online-claims" },
		{ "mail", "asp" },
		{ "mail", "remote-maintenance" },
		/* 4-8-3 */
		{ "internet", "results-delivery" },
		{ "internet", "online-claims" },
		{ "internet", "asp" },
		/* 4-10-4 */
		{ "results-delivery", "asp" },
		{ "results-delivery", "mail" },
		{ "results-delivery", "internet" },
		{ "online-claims", "asp" },
		{ "online-claims", "mail" },
		{ "online-claims", "internet" },
	};

	for (size_t i = 0; i < sizeof(items) / sizeof(items[0]); i++) {
		if (same(items[i][0], one) && same(items[i][1], other)) {
			return true;
		}
	}
	return false;
}

static bool excludes(const struct run *run, const char *one, const char *other)
{
	const struct oracle_provider *provider =
	        asked(run, LAYER_PROVIDER) ? run->the->provider : NULL;

	for (int i = 0; provider && i < provider->exclude_count; i++) {
		if ((same(provider->exclude[i][0], one) && same(provider->exclude[i][1], other)) ||
		        (same(provider->exclude[i][0], other) &&
		                same(provider->exclude[i][1], one))) {
			return true;
		}
	}
	return annex_excludes(one, other) || annex_excludes(other, one);
}

/* Whether a host of the own site shares the exclusion with another. */
static bool same_place(const struct oracle_site *site, const char *host, const char *other)
{
	const struct oracle_host *left = site ? own_host(site, host) : NULL;
	const struct oracle_host *right = site ? own_host(site, other) : NULL;

	return same(host, other) ||
	       (left && right && left->zone[0] != '\0' && same(left->zone, right->zone));
}

static int exclusion_layer(struct run *run)
{
	int known = 0;

	for (int side = 0; side < 2; side++) {
		const struct policy_beside *beside = &end_facts(run, side)->beside;
		const struct host_ref *own = end_ref(run, side);

		if (beside->known == FACT_FOREIGN) {
			continue;
		}
		if (beside->known != FACT_YES) {
			return REASON_EXCLUSION_UNKNOWN;
		}
		known++;
		for (size_t i = 0; i < beside->count; i++) {
			const struct policy_live *live = &beside->live[i];
			const char *host = same(live->from_site, own->site) ? live->from_host
			                   : same(live->to_site, own->site) ? live->to_host
			                                                    : NULL;

			if (host && same_place(run->the->site[side], own->host, host) &&
			        excludes(run, service_class_name(run->request->class),
			                service_class_name(live->class))) {
				run->answer.side = side;
				return REASON_EXCLUSION_CLASS;
			}
		}
		if (has_rule(run, side) && run->choice[side].stage == STAGE_CONCURRENCY) {
			run->answer.side = side;
			return REASON_EXCLUSION_RULE;
		}
	}
	return known > 0 ? 0 : REASON_EXCLUSION_NOTHING;
}

static int accreditation_layer(struct run *run)
{
	const struct {
		enum policy_fact fact;
		int reason;
	} facts[] = { { run->facts->provider_accredited, REASON_ACCREDITATION_PROVIDER },
		{ run->facts->device_ca_accredited, REASON_ACCREDITATION_DEVICE_CA },
		{ run->facts->service_ca_accredited, REASON_ACCREDITATION_SERVICE_CA },
		{ run->facts->initiator.maker_accredited, REASON_ACCREDITATION_INITIATOR_MAKER },
		{ run->facts->responder.maker_accredited, REASON_ACCREDITATION_RESPONDER_MAKER } };
	int known = 0;

	for (int i = 0; i < 5; i++) {
		if (facts[i].fact == FACT_YES) {
			known++;
		} else if (facts[i].fact != FACT_FOREIGN) {
			return facts[i].reason;
		}
	}
	return known > 0 ? 0 : REASON_ACCREDITATION_NOTHING;
}

static int certificates_layer(struct run *run)
{
	const struct {
		enum certificate_state state;
		int reason;
	} facts[] = { { run->facts->initiator.device, REASON_CERTIFICATES_INITIATOR_DEVICE },
		{ run->facts->initiator.service, REASON_CERTIFICATES_INITIATOR_SERVICE },
		{ run->facts->responder.device, REASON_CERTIFICATES_RESPONDER_DEVICE },
		{ run->facts->responder.service, REASON_CERTIFICATES_RESPONDER_SERVICE } };
	int known = 0;

	for (int i = 0; i < 4; i++) {
		if (facts[i].state == CERTIFICATE_VALID) {
			known++;
		} else if (facts[i].state != CERTIFICATE_FOREIGN) {
			return facts[i].reason;
		}
	}
	return known > 0 ? 0 : REASON_CERTIFICATES_NOTHING;
}

static int gateways_layer(struct run *run)
{
	const struct policy_end_facts *left = &run->facts->initiator,
	                              *right = &run->facts->responder;

	if (left->gateway != GATEWAY_ONLINE) {
		return REASON_GATEWAYS_INITIATOR;
	}
	if (right->gateway != GATEWAY_ONLINE) {
		return REASON_GATEWAYS_RESPONDER;
	}
	if ((left->behind_nat != FACT_YES && left->behind_nat != FACT_NO) ||
	        (right->behind_nat != FACT_YES && right->behind_nat != FACT_NO)) {
		return REASON_GATEWAYS_NAT_UNKNOWN;
	}
	if (left->behind_nat == FACT_YES && right->behind_nat == FACT_YES) {
		return REASON_GATEWAYS_BOTH_NAT;
	}
	/* 1.3: a gateway behind NAT always starts IKE. */
	run->answer.ike = right->behind_nat == FACT_YES ? GRANT_RESPONDER : GRANT_INITIATOR;
	return 0;
}

static int window_layer(struct run *run)
{
	const struct policy_window *window = &run->facts->window;

	if (window->not_before == 0 || window->not_after == 0) {
		return REASON_WINDOW_MISSING;
	}
	if (run->the->now < window->not_before - SKEW * USEC) {
		return REASON_WINDOW_EARLY;
	}
	if (left_until(run, window->not_after) == 0) {
		return REASON_WINDOW_OVER;
	}
	if (run->request->duration_sec > DAY) {
		return REASON_WINDOW_LENGTH;
	}
	limit_moment(run, window->not_after);
	/* A grant's length is asked for rounded up. */
	return longer_than(run, window->not_after + USEC - 1) ? REASON_WINDOW_DURATION : 0;
}

static void words_gather(struct run *run)
{
	struct oracle_answer *answer = &run->answer;

	answer->outage =
	        !(run->class && run->class->never) && (has_rule(run, 0) || has_rule(run, 1));
	for (int side = 0; side < 2; side++) {
		const struct oracle_rule *rule = run->choice[side].rule;

		if (run->the->site[side] && asked(run, LAYER_INITIATOR_SITE + side)) {
			answer->versions[1 + side] = run->the->site[side]->version;
		}
		answer->rules[side] = rule ? rule->name : "";
		if (rule && rule->approval == ORACLE_EMERGENCY && run->request->emergency) {
			answer->emergency = true;
			if (answer->review == 0 || rule->review < answer->review) {
				answer->review = rule->review;
			}
		}
		if (rule) {
			answer->outage &= rule->survive;
			if (rule->idle > 0 && (answer->idle == 0 || rule->idle < answer->idle)) {
				answer->idle = rule->idle;
			}
		}
	}
	if (run->the->provider && asked(run, LAYER_PROVIDER)) {
		answer->versions[0] = run->the->provider->version;
	}
	if (run->request->duration_sec > 0) {
		(void)limit_duration(run, run->request->duration_sec);
	}
	if (run->request->lease_sec > 0) {
		(void)limit_lease(run, run->request->lease_sec);
	}
}

struct oracle_answer oracle_decide(const struct oracle_case *the)
{
	static int (*const layers[LAYER_COUNT])(struct run *) = { [LAYER_PROVIDER] = provider_layer,
		[LAYER_GROUP] = group_layer,
		[LAYER_CLASS] = class_layer,
		[LAYER_AGREEMENT] = agreement_layer,
		[LAYER_INITIATOR_SITE] = initiator_layer,
		[LAYER_RESPONDER_SITE] = responder_layer,
		[LAYER_PERSON] = person_layer,
		[LAYER_WORK_ORDER] = work_order_layer,
		[LAYER_EXCLUSION] = exclusion_layer,
		[LAYER_ACCREDITATION] = accreditation_layer,
		[LAYER_CERTIFICATES] = certificates_layer,
		[LAYER_GATEWAYS] = gateways_layer,
		[LAYER_WINDOW] = window_layer };
	struct run run = { .the = the, .request = the->request, .facts = the->facts };
	const struct policy_window *window = &the->facts->window;
	bool timed = !(the->facts->foreign & LAYER_BIT(LAYER_WINDOW)) && window->not_before > 0;
	int consulted = 0;

	run.begin = timed ? window->not_before : the->now;
	run.from = run.begin > the->now ? run.begin : the->now;
	run.answer = (struct oracle_answer){ .duration = DAY,
		.lease = LEASE_SEC_MAX,
		.ike = -1,
		.side = -1,
		.group = "",
		.rules = { "", "" } };
	for (int layer = 0; layer < LAYER_COUNT; layer++) {
		int reason = 0;

		if (asked(&run, layer)) {
			reason = malformed(the->request) ? REASON_REQUEST_MALFORMED
			                                 : layers[layer](&run);
		}
		consulted += asked(&run, layer);
		if (reason != 0) {
			run.answer.layer = layer;
			run.answer.reason = reason;
			return run.answer;
		}
	}
	run.answer.layer = LAYER_COUNT;
	run.answer.permit = consulted > 0;
	words_gather(&run);
	return run.answer;
}
