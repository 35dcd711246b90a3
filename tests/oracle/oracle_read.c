/*
 * The oracle's reading of both policy texts (protocol.md 2.1, 2.2), statement by statement. What is
 * wrong is answered with one constant text; where it is wrong is not said.
 */
#include "oracle_words.h"

#include <string.h>

static bool ref_word(const char *text, const struct oracle_site *site, struct oracle_ref *ref)
{
	const char *slash = strchr(text, '/');
	const char *host = slash ? slash + 1 : text;
	char copy[WORD_ROOM];

	if (slash) {
		memcpy(copy, text, (size_t)(slash - text));
		copy[slash - text] = '\0';
		if (!word_name(copy, ref->site)) {
			return false;
		}
	} else {
		strcpy(ref->site, site->name);
	}
	if (strcmp(host, "*") == 0) {
		strcpy(ref->host, "*");
		return true;
	}
	return word_name(host, ref->host);
}

static const struct oracle_host *host_find(const struct oracle_site *site, const char *host)
{
	for (int i = 0; i < site->host_count; i++) {
		if (strcmp(site->hosts[i].name, host) == 0) {
			return &site->hosts[i];
		}
	}
	return NULL;
}

static const struct oracle_set *set_find(const struct oracle_site *site, const char *set)
{
	for (int i = 0; i < site->set_count; i++) {
		if (strcmp(site->sets[i].name, set) == 0) {
			return &site->sets[i];
		}
	}
	return NULL;
}

/* "sekisho KIND 1", "OWNER NAME", "version N". */
static bool heading(const char **text, struct words *words, const char *kind, const char *owner,
        char out[ORACLE_NAME], uint64_t *version)
{
	int64_t value;

	if (!words_next(text, words) || words->count != 3 || !words_take_if(words, "sekisho") ||
	        !words_take_if(words, kind) || !words_take_if(words, "1")) {
		return false;
	}
	if (!words_next(text, words) || words->count != 2 || !words_take_if(words, owner) ||
	        !word_name(words_take(words), out)) {
		return false;
	}
	if (!words_next(text, words) || words->count != 2 || !words_take_if(words, "version") ||
	        !word_number(words_take(words), INT64_MAX / 100, &value) || value < 1) {
		return false;
	}
	*version = (uint64_t)value;
	return true;
}

static const char *host_read(struct words *words, struct oracle_site *site)
{
	struct oracle_host *host = &site->hosts[site->host_count];

	memset(host, 0, sizeof(*host));
	if (!word_name(words_take(words), host->name) || !words_take_if(words, "address") ||
	        !word_address(words_take(words), &host->address) ||
	        !words_take_if(words, "service") ||
	        !word_address(words_take(words), &host->service)) {
		return "host";
	}
	if (words_take_if(words, "zone")) {
		const char *zone = words_take(words);

		if (strcmp(zone, "dmz") != 0 && strcmp(zone, "sz") != 0 &&
		        strcmp(zone, "hsz") != 0) {
			return "zone";
		}
		strcpy(host->zone, zone);
	}
	host->changeover = words_take_if(words, "changeover");
	if (host_find(site, host->name) || set_find(site, host->name)) {
		return "host twice";
	}
	if (host->address.bits != host->service.bits) {
		return "two families";
	}
	site->host_count++;
	return NULL;
}

static const char *set_read(struct words *words, struct oracle_site *site)
{
	struct oracle_set *set = &site->sets[site->set_count];

	memset(set, 0, sizeof(*set));
	if (!word_name(words_take(words), set->name) || host_find(site, set->name) ||
	        set_find(site, set->name) || words_over(words)) {
		return "set";
	}
	while (!words_over(words)) {
		const char *host = words_take(words);

		if (!host_find(site, host) || set->count == ORACLE_FEW) {
			return "host of a set";
		}
		strcpy(set->hosts[set->count++], host);
	}
	site->set_count++;
	return NULL;
}

static const char *hours_read(struct words *words, struct oracle_site *site)
{
	struct oracle_hours *hours = &site->hours[site->hours_count];
	const char *span;

	memset(hours, 0, sizeof(*hours));
	if (!word_name(words_take(words), hours->name) ||
	        !word_days(words_take(words), hours->days)) {
		return "hours";
	}
	span = words_take(words);
	if (!word_clock(span, &hours->from) || strlen(span) != 11 || span[5] != '-' ||
	        hours->from == 24 * 60 || !word_clock(span + 6, &hours->to)) {
		return "span";
	}
	if (words_take_if(words, "except")) {
		if (!words_take_if(words, "holidays")) {
			return "except";
		}
		hours->except_holidays = true;
	}
	site->hours_count++;
	return NULL;
}

static const char *holidays_read(struct words *words, struct oracle_site *site)
{
	if (words_over(words)) {
		return "holidays";
	}
	while (!words_over(words)) {
		struct oracle_days *days = &site->holidays[site->holiday_count++];
		const char *text = words_take(words);
		const char *dots = strstr(text, "..");

		if (!word_date(text, &days->first)) {
			return "holiday";
		}
		days->last = days->first;
		if (!dots && strlen(text) != 10) {
			return "holiday";
		}
		if (dots && (strlen(dots) != 12 || !word_date(dots + 2, &days->last) ||
		                    days->last < days->first)) {
			return "holidays";
		}
	}
	return NULL;
}

/* "from REF to REF": one side, and one only, is of the own site. */
static const char *sides_read(struct words *words, const struct oracle_site *site,
        struct oracle_ref *from, struct oracle_ref *to)
{
	const struct oracle_ref *own;

	if (!words_take_if(words, "from") || !ref_word(words_take(words), site, from) ||
	        !words_take_if(words, "to") || !ref_word(words_take(words), site, to)) {
		return "sides";
	}
	if ((strcmp(from->site, site->name) == 0) == (strcmp(to->site, site->name) == 0)) {
		return "one side is own";
	}
	own = strcmp(from->site, site->name) == 0 ? from : to;
	if (strcmp(own->host, "*") != 0 && !host_find(site, own->host) &&
	        !set_find(site, own->host)) {
		return "no such host";
	}
	return NULL;
}

/* Whether an own reference takes in a host. */
bool oracle_own_has(const struct oracle_site *site, const char *ref, const char *host)
{
	const struct oracle_set *set = set_find(site, ref);

	if (strcmp(ref, "*") == 0 || strcmp(ref, host) == 0) {
		return true;
	}
	for (int i = 0; set && i < set->count; i++) {
		if (strcmp(set->hosts[i], host) == 0) {
			return true;
		}
	}
	return false;
}

static bool hours_known(const struct oracle_site *site, const char *hours)
{
	for (int i = 0; i < site->hours_count; i++) {
		if (strcmp(site->hours[i].name, hours) == 0) {
			return true;
		}
	}
	return false;
}

static const char *approval_read(struct words *words, struct oracle_rule *rule)
{
	const char *word = words_take(words);

	if (strcmp(word, "standing") == 0) {
		rule->approval = ORACLE_STANDING;
	} else if (strcmp(word, "required") == 0) {
		rule->approval = ORACLE_REQUIRED;
	} else if (strcmp(word, "emergency") == 0) {
		rule->approval = ORACLE_EMERGENCY;
		rule->review = 24 * 3600;
	} else {
		return "approval";
	}
	return NULL;
}

/* Everything of an `allow` behind the protocol and its ports, in the order of the page. */
static const char *words_read(
        struct words *words, const struct oracle_site *site, struct oracle_rule *rule)
{
	int64_t value;

	if (words_take_if(words, "duration") &&
	        (!word_duration(words_take(words), &rule->duration) ||
	                rule->duration > 24 * 3600)) {
		return "duration";
	}
	if (words_take_if(words, "lease") &&
	        (!word_duration(words_take(words), &rule->lease) || rule->lease > 300)) {
		return "lease";
	}
	if (words_take_if(words, "approval") && approval_read(words, rule)) {
		return "approval";
	}
	if (words_take_if(words, "review") &&
	        (rule->approval != ORACLE_EMERGENCY ||
	                !word_duration(words_take(words), &rule->review) ||
	                rule->review > 7 * 24 * 3600)) {
		return "review";
	}
	if (words_take_if(words, "hours")) {
		if (!word_name(words_take(words), rule->hours) || !hours_known(site, rule->hours)) {
			return "hours";
		}
	}
	if (words_take_if(words, "idle") &&
	        (!word_duration(words_take(words), &rule->idle) || rule->idle > 24 * 3600)) {
		return "idle";
	}
	if (words_take_if(words, "concurrency")) {
		if (!word_number(words_take(words), 4096, &value) || value < 1) {
			return "concurrency";
		}
		rule->concurrency = (int)value;
	}
	if (words_take_if(words, "outage")) {
		rule->survive = words_take_if(words, "survive");
		if (!rule->survive && !words_take_if(words, "never")) {
			return "outage";
		}
	}
	if (words_take_if(words, "factor")) {
		rule->factors = words_take_if(words, "two")   ? 2
		                : words_take_if(words, "one") ? 1
		                                              : 0;
		if (rule->factors == 0) {
			return "factor";
		}
	}
	if (words_take_if(words, "posture")) {
		rule->current = words_take_if(words, "current");
		if (!rule->current && !words_take_if(words, "any")) {
			return "posture";
		}
	}
	if (words_take_if(words, "open")) {
		rule->traffic = words_take_if(words, "traffic");
		if (!rule->traffic && !words_take_if(words, "request")) {
			return "open";
		}
	}
	return NULL;
}

static const char *allow_read(
        struct words *words, struct oracle_site *site, struct oracle_rule *rule)
{
	const char *why, *own;
	bool maintenance;

	if (!words_take_if(words, "class") || !word_class(words_take(words), rule->class)) {
		return "class";
	}
	if (!words_take_if(words, "protocol")) {
		return "protocol";
	}
	strncpy(rule->protocol, words_take(words), sizeof(rule->protocol) - 1);
	if (strcmp(rule->protocol, "icmp") != 0) {
		if ((strcmp(rule->protocol, "tcp") != 0 && strcmp(rule->protocol, "udp") != 0) ||
		        !words_take_if(words, "port") || !word_ports(words_take(words), rule)) {
			return "protocol or port";
		}
	}
	why = words_read(words, site, rule);
	if (why) {
		return why;
	}
	maintenance = strcmp(rule->class, "remote-maintenance") == 0;
	if (rule->approval == ORACLE_SILENT) {
		rule->approval = maintenance ? ORACLE_REQUIRED : ORACLE_STANDING;
	}
	if (rule->factors == 0) {
		rule->factors = maintenance ? 2 : 1;
	}
	if (rule->traffic && (maintenance || rule->approval != ORACLE_STANDING ||
	                             rule->factors == 2 || rule->idle == 0)) {
		return "open traffic";
	}
	own = strcmp(rule->from.site, site->name) == 0 ? rule->from.host : rule->to.host;
	for (int i = 0; i < site->host_count; i++) {
		/* F1: a host in hsz is for maintenance only; "any other rule that names it". */
		if (!maintenance && strcmp(site->hosts[i].zone, "hsz") == 0 &&
		        strcmp(own, "*") != 0 && oracle_own_has(site, own, site->hosts[i].name)) {
			return "hsz";
		}
	}
	return NULL;
}

static const char *rule_read(struct words *words, struct oracle_site *site, bool refuse)
{
	struct oracle_rule *rule = &site->rules[site->rule_count];
	const char *why;

	memset(rule, 0, sizeof(*rule));
	rule->refuse = refuse;
	if (!word_name(words_take(words), rule->name)) {
		return "name of a rule";
	}
	for (int i = 0; i < site->rule_count; i++) {
		if (strcmp(site->rules[i].name, rule->name) == 0) {
			return "rule twice";
		}
	}
	why = sides_read(words, site, &rule->from, &rule->to);
	if (!why && refuse && words_take_if(words, "class") &&
	        !word_class(words_take(words), rule->class)) {
		why = "class";
	}
	if (!why && !refuse) {
		why = allow_read(words, site, rule);
	}
	site->rule_count++;
	return why;
}

static const char *site_statement(struct words *words, struct oracle_site *site)
{
	if (words_take_if(words, "time-zone")) {
		bool again = site->has_zone;

		site->has_zone = true;
		return word_zone(words_take(words), &site->offset) && !again ? NULL : "time-zone";
	}
	if (words_take_if(words, "holidays")) {
		return holidays_read(words, site);
	}
	if (words_take_if(words, "hours")) {
		return hours_read(words, site);
	}
	if (words_take_if(words, "host")) {
		return host_read(words, site);
	}
	if (words_take_if(words, "set")) {
		return set_read(words, site);
	}
	if (words_take_if(words, "approver")) {
		bool right =
		        word_name(words_take(words), site->approvers[site->approver_count++]) &&
		        words_take_if(words, "key") && words_take(words)[0] != '\0';

		return right ? NULL : "approver";
	}
	if (words_take_if(words, "allow")) {
		return rule_read(words, site, false);
	}
	if (words_take_if(words, "refuse")) {
		return rule_read(words, site, true);
	}
	if (words_take_if(words, "test")) {
		words->at = words->count; /* run by src/policy; compared through its decisions */
		return NULL;
	}
	return "statement";
}

static bool site_full(const struct oracle_site *site)
{
	return site->host_count >= ORACLE_LIST - 1 || site->set_count >= ORACLE_LIST - 1 ||
	       site->hours_count >= ORACLE_LIST - 1 || site->holiday_count >= ORACLE_LIST - 8 ||
	       site->rule_count >= ORACLE_LIST - 1 || site->approver_count >= ORACLE_LIST - 1;
}

static bool statement_done(const struct words *words, const char **why)
{
	if (!*why && !words_over(words)) {
		*why = "too many words";
	}
	return !*why;
}

bool oracle_site_read(const char *text, struct oracle_site *site, const char **why)
{
	static struct words words;

	*why = NULL;
	site->offset = 0;
	site->has_zone = false;
	site->host_count = site->set_count = site->hours_count = site->holiday_count = 0;
	site->rule_count = site->approver_count = site->test_count = 0;
	if (!heading(&text, &words, "site-policy", "site", site->name, &site->version)) {
		*why = "heading";
		return false;
	}
	while (words_next(&text, &words)) {
		if (site_full(site)) {
			*why = "more than the oracle holds";
			return false;
		}
		*why = site_statement(&words, site);
		if (!statement_done(&words, why)) {
			return false;
		}
	}
	return true;
}

static const struct oracle_member *member_find(
        const struct oracle_provider *provider, const char *site)
{
	for (int i = 0; i < provider->member_count; i++) {
		if (strcmp(provider->members[i].name, site) == 0) {
			return &provider->members[i];
		}
	}
	return NULL;
}

static bool class_offered(const struct oracle_provider *provider, const char *class)
{
	for (int i = 0; i < provider->class_count; i++) {
		if (strcmp(provider->classes[i].name, class) == 0) {
			return true;
		}
	}
	return false;
}

static const char *class_read(struct words *words, struct oracle_provider *provider)
{
	struct oracle_class *class = &provider->classes[provider->class_count];

	memset(class, 0, sizeof(*class));
	class->duration = 24 * 3600;
	class->lease = 60;
	if (!word_class(words_take(words), class->name) || class_offered(provider, class->name)) {
		return "class";
	}
	if (words_take_if(words, "duration") &&
	        (!word_duration(words_take(words), &class->duration) ||
	                class->duration > 24 * 3600)) {
		return "duration";
	}
	if (words_take_if(words, "lease") &&
	        (!word_duration(words_take(words), &class->lease) || class->lease > 300)) {
		return "lease";
	}
	if (words_take_if(words, "approval")) {
		struct oracle_rule rule = { 0 };

		if (approval_read(words, &rule) || rule.approval == ORACLE_EMERGENCY) {
			return "approval";
		}
		class->approval = rule.approval;
	}
	if (words_take_if(words, "factor")) {
		class->factor_two = words_take_if(words, "two");
		if (!class->factor_two && !words_take_if(words, "one")) {
			return "factor";
		}
	}
	if (words_take_if(words, "outage")) {
		class->never = words_take_if(words, "never");
		if (!class->never && !words_take_if(words, "survive")) {
			return "outage";
		}
	}
	provider->class_count++;
	return NULL;
}

static const char *member_read(struct words *words, struct oracle_provider *provider)
{
	struct oracle_member *member = &provider->members[provider->member_count];

	memset(member, 0, sizeof(*member));
	if (!word_name(words_take(words), member->name) || member_find(provider, member->name) ||
	        !words_take_if(words, "prefix") || words_over(words)) {
		return "site";
	}
	while (!words_over(words)) {
		if (member->prefix_count == 4 ||
		        !word_prefix(
		                words_take(words), &member->prefixes[member->prefix_count++])) {
			return "prefix";
		}
	}
	provider->member_count++;
	return NULL;
}

static const char *group_read(struct words *words, struct oracle_provider *provider)
{
	struct oracle_group *group = &provider->groups[provider->group_count];

	memset(group, 0, sizeof(*group));
	if (!word_name(words_take(words), group->name) || !words_take_if(words, "sites")) {
		return "group";
	}
	while (!words_over(words) && !words_take_if(words, "classes")) {
		const char *site = words_take(words);

		if (group->site_count == ORACLE_FEW || !member_find(provider, site)) {
			return "site of a group";
		}
		strcpy(group->sites[group->site_count++], site);
	}
	while (!words_over(words)) {
		const char *class = words_take(words);

		if (group->class_count == ORACLE_FEW || !class_offered(provider, class)) {
			return "class of a group";
		}
		strcpy(group->classes[group->class_count++], class);
	}
	provider->group_count++;
	return group->site_count > 0 && group->class_count > 0 ? NULL : "empty group";
}

static const char *provider_statement(struct words *words, struct oracle_provider *provider)
{
	if (words_take_if(words, "pool")) {
		return word_prefix(words_take(words), &provider->pools[provider->pool_count++])
		               ? NULL
		               : "pool";
	}
	if (words_take_if(words, "site")) {
		return member_read(words, provider);
	}
	if (words_take_if(words, "class")) {
		return class_read(words, provider);
	}
	if (words_take_if(words, "group")) {
		return group_read(words, provider);
	}
	if (words_take_if(words, "exclude")) {
		char(*pair)[ORACLE_NAME] = provider->exclude[provider->exclude_count++];

		return word_class(words_take(words), pair[0]) &&
		                       word_class(words_take(words), pair[1]) &&
		                       strcmp(pair[0], pair[1]) != 0
		               ? NULL
		               : "exclude";
	}
	if (words_take_if(words, "test")) {
		words->at = words->count;
		return NULL;
	}
	return "statement";
}

bool oracle_provider_read(const char *text, struct oracle_provider *provider, const char **why)
{
	static struct words words;

	*why = NULL;
	provider->pool_count = provider->member_count = provider->class_count = 0;
	provider->group_count = provider->exclude_count = provider->test_count = 0;
	if (!heading(&text, &words, "provider-policy", "provider", provider->name,
	            &provider->version)) {
		*why = "heading";
		return false;
	}
	while (words_next(&text, &words)) {
		if (provider->pool_count >= 4 || provider->member_count >= ORACLE_LIST - 1 ||
		        provider->class_count >= ORACLE_FEW - 1 ||
		        provider->group_count >= ORACLE_LIST - 1 ||
		        provider->exclude_count >= ORACLE_LIST - 1) {
			*why = "more than the oracle holds";
			return false;
		}
		*why = provider_statement(&words, provider);
		if (!statement_done(&words, why)) {
			return false;
		}
	}
	return true;
}
