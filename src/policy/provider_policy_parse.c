/* From text to the compiled form. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/policy_text.h"
#include "policy/provider_policy_impl.h"

static int parse_pool(struct provider_policy *policy, struct policy_text *text, struct err *err)
{
	struct prefix pool;
	int r;

	r = policy_text_prefix(text, &pool, err);
	if (r != 0) {
		return r;
	}
	if (policy->pool_count == POLICY_POOLS_MAX) {
		return policy_text_wrong(
		        text, err, "a policy has at most %d pools", POLICY_POOLS_MAX);
	}
	for (size_t i = 0; i < policy->pool_count; i++) {
		if (prefix_overlaps(policy->pools[i], pool)) {
			return policy_text_wrong(text, err, "this overlaps the pool %s",
			        prefix_print(policy->pools[i]).text);
		}
	}
	policy->pools[policy->pool_count++] = pool;
	return policy_text_end(text, err);
}

static int add_prefix(struct provider_policy *policy, struct policy_text *text,
        struct provider_policy_site *site, struct err *err)
{
	const struct policy_word *word = &text->words[text->at];
	struct provider_policy_prefix prefix = { .site = (uint32_t)policy->site_count };
	bool inside = false;
	int r;

	r = policy_text_prefix(text, &prefix.prefix, err);
	if (r != 0) {
		return r;
	}
	prefix.line = word->line;
	prefix.column = word->column;
	for (size_t i = 0; i < policy->pool_count; i++) {
		inside |= prefix_contains_prefix(policy->pools[i], prefix.prefix);
	}
	if (!inside) {
		return policy_text_wrong(text, err, "the prefix is in no pool above");
	}
	if (site->prefix_count == POLICY_PREFIXES_MAX) {
		return policy_text_wrong(
		        text, err, "a site has at most %d prefixes", POLICY_PREFIXES_MAX);
	}
	policy->prefixes = index_grow(
	        policy->prefixes, policy->prefix_count, &policy->prefix_room, sizeof(prefix));
	policy->prefixes[policy->prefix_count++] = prefix;
	site->prefix_count++;
	return 0;
}

static int parse_site(struct provider_policy *policy, struct policy_text *text, struct err *err)
{
	struct provider_policy_site site = { .prefixes = (uint32_t)policy->prefix_count };
	const char *name = NULL;
	int r;

	r = policy_text_name(text, "the name of a site", &name, err);
	if (r != 0) {
		return r;
	}
	if (name_index_add(&policy->site_names, name) != policy->site_count) {
		return policy_text_wrong(text, err, "site %s is already there", name);
	}
	r = policy_text_keyword(text, "prefix", err);
	do {
		if (r == 0) {
			r = add_prefix(policy, text, &site, err);
		}
	} while (r == 0 && policy_text_peek(text));
	if (r != 0) {
		return r;
	}
	policy->sites =
	        index_grow(policy->sites, policy->site_count, &policy->site_room, sizeof(site));
	policy->sites[policy->site_count++] = site;
	return 0;
}

/* "KEYWORD WORD" with one of two words, if it is there: whether it is the second one. */
static int parse_class_word(struct policy_text *text, const char *keyword,
        const char *const words[3], bool *ret_second, struct err *err)
{
	char what[2 * NAME_BYTES_MAX];
	uint8_t choice = 0;
	int r = 0;

	if (policy_text_take(text, keyword)) {
		snprintf(what, sizeof(what), "%s or %s", words[0], words[1]);
		r = policy_text_choice(text, words, what, &choice, err);
	}
	*ret_second = choice == 1;
	return r;
}

static int parse_class(struct provider_policy *policy, struct policy_text *text, struct err *err)
{
	static const char *const approvals[] = { "standing", "required", NULL };
	static const char *const factors[] = { "one", "two", NULL };
	static const char *const outages[] = { "survive", "never", NULL };
	enum service_class class = SERVICE_CLASS_NONE;
	struct provider_policy_class *place;
	int64_t duration = 0;
	uint32_t lease = 0;
	int r;

	r = policy_text_class(text, &class, err);
	if (r != 0) {
		return r;
	}
	if (policy->classes[class].offered) {
		return policy_text_wrong(
		        text, err, "class %s is already there", service_class_name(class));
	}
	place = &policy->classes[class];
	if ((r = policy_text_limits(text, &duration, &lease, err)) != 0 ||
	        (r = parse_class_word(
	                 text, "approval", approvals, &place->approval_required, err)) != 0 ||
	        (r = parse_class_word(text, "factor", factors, &place->factor_two, err)) != 0 ||
	        (r = parse_class_word(text, "outage", outages, &place->outage_never, err)) != 0) {
		return r;
	}
	place->offered = true;
	place->duration_sec = (uint32_t)duration;
	place->lease_sec = lease;
	return policy_text_peek(text)
	               ? policy_text_expected(text, err,
	                         "duration, lease, approval, factor, outage (in this order) or the "
	                         "end of the statement")
	               : 0;
}

static int parse_exclude(struct provider_policy *policy, struct policy_text *text, struct err *err)
{
	enum service_class classes[2] = { SERVICE_CLASS_NONE, SERVICE_CLASS_NONE };

	for (int i = 0; i < 2; i++) {
		int r = policy_text_class(text, &classes[i], err);

		if (r != 0) {
			return r;
		}
	}
	if (classes[0] == classes[1]) {
		return policy_text_wrong(text, err,
		        "a class does not exclude itself; concurrency of a site's rule limits how "
		        "many there are");
	}
	policy->classes[classes[0]].excludes |= 1U << classes[1];
	policy->classes[classes[1]].excludes |= 1U << classes[0];
	return policy_text_end(text, err);
}

static int add_member(struct provider_policy *policy, struct policy_text *text,
        struct provider_policy_group *group, struct err *err)
{
	const char *name = NULL;
	uint32_t site;
	int r;

	r = policy_text_name(text, "the name of a site", &name, err);
	if (r != 0) {
		return r;
	}
	site = provider_policy_site_find(policy, name);
	if (site == INDEX_NONE) {
		return policy_text_wrong(text, err, "there is no site %s above", name);
	}
	if (policy->sites[site].last_group == policy->group_count + 1) {
		return policy_text_wrong(text, err, "site %s is already in this group", name);
	}
	policy->sites[site].last_group = (uint32_t)policy->group_count + 1;
	policy->members = index_grow(policy->members, policy->member_count, &policy->member_room,
	        sizeof(*policy->members));
	policy->members[policy->member_count++] = site;
	policy->sites[site].group_count++;
	group->member_count++;
	return 0;
}

static int add_group_class(struct provider_policy *policy, struct policy_text *text,
        struct provider_policy_group *group, struct err *err)
{
	enum service_class class = SERVICE_CLASS_NONE;
	int r;

	r = policy_text_class(text, &class, err);
	if (r != 0) {
		return r;
	}
	if (!policy->classes[class].offered) {
		return policy_text_wrong(
		        text, err, "there is no class %s above", service_class_name(class));
	}
	if (group->classes & 1U << class) {
		return policy_text_wrong(
		        text, err, "class %s is already in this group", service_class_name(class));
	}
	group->classes |= 1U << class;
	return 0;
}

static int parse_group(struct provider_policy *policy, struct policy_text *text, struct err *err)
{
	struct provider_policy_group group = { .members = (uint32_t)policy->member_count };
	const char *name = NULL;
	int r;

	r = policy_text_name(text, "the name of a group", &name, err);
	if (r != 0) {
		return r;
	}
	if (name_index_add(&policy->group_names, name) != policy->group_count) {
		return policy_text_wrong(text, err, "group %s is already there", name);
	}
	r = policy_text_keyword(text, "sites", err);
	while (r == 0 && !(group.member_count >= 2 && policy_text_take(text, "classes"))) {
		r = group.member_count >= 2 && !policy_text_peek(text)
		            ? policy_text_keyword(text, "classes", err)
		            : add_member(policy, text, &group, err);
	}
	do {
		if (r == 0) {
			r = add_group_class(policy, text, &group, err);
		}
	} while (r == 0 && policy_text_peek(text));
	if (r != 0) {
		return r;
	}
	policy->groups =
	        index_grow(policy->groups, policy->group_count, &policy->group_room, sizeof(group));
	policy->groups[policy->group_count++] = group;
	return 0;
}

static int parse_test_site(struct provider_policy *policy, struct policy_text *text,
        const char *keyword, uint32_t *ret_site, struct err *err)
{
	const char *name = NULL;
	int r;

	if ((r = policy_text_keyword(text, keyword, err)) != 0 ||
	        (r = policy_text_name(text, "the name of a site", &name, err)) != 0) {
		return r;
	}
	*ret_site = provider_policy_site_find(policy, name);
	if (*ret_site == INDEX_NONE) {
		return policy_text_wrong(text, err, "there is no site %s above", name);
	}
	return 0;
}

static int parse_test(struct provider_policy *policy, struct policy_text *text, struct err *err)
{
	struct provider_policy_test test = { .line = text->words[0].line };
	int r;

	if (policy->test_count == POLICY_TESTS_MAX) {
		return policy_text_wrong(
		        text, err, "a policy has at most %d tests", POLICY_TESTS_MAX);
	}
	if ((r = policy_text_expectation(text, &test.permit, err)) != 0 ||
	        (r = parse_test_site(policy, text, "from", &test.from, err)) != 0 ||
	        (r = parse_test_site(policy, text, "to", &test.to, err)) != 0 ||
	        (r = policy_text_keyword(text, "class", err)) != 0 ||
	        (r = policy_text_class(text, &test.class, err)) != 0) {
		return r;
	}
	policy->tests =
	        index_grow(policy->tests, policy->test_count, &policy->test_room, sizeof(test));
	policy->tests[policy->test_count++] = test;
	return policy_text_end(text, err);
}

static const struct {
	const char *keyword;
	int (*parse)(struct provider_policy *policy, struct policy_text *text, struct err *err);
} statements[] = {
	{ "pool", parse_pool },
	{ "site", parse_site },
	{ "class", parse_class },
	{ "exclude", parse_exclude },
	{ "group", parse_group },
	{ "test", parse_test },
};

static int parse_statement(
        struct provider_policy *policy, struct policy_text *text, struct err *err)
{
	for (size_t i = 0; i < ARRAY_COUNT(statements); i++) {
		if (policy_text_take(text, statements[i].keyword)) {
			return statements[i].parse(policy, text, err);
		}
	}
	return policy_text_expected(text, err, "pool, site, class, exclude, group or test");
}

static int compare_prefixes(const void *left, const void *right)
{
	const struct prefix *a = &(*(struct provider_policy_prefix *const *)left)->prefix;
	const struct prefix *b = &(*(struct provider_policy_prefix *const *)right)->prefix;

	int order = (int)a->address.family - (int)b->address.family;

	if (order == 0) {
		order = memcmp(a->address.bytes, b->address.bytes, sizeof(a->address.bytes));
	}
	return order != 0 ? order : (int)a->bits - (int)b->bits;
}

/* No two prefixes overlap, also of one site. Sorted by address and length, a prefix that overlaps
 * any before it overlaps the one just before it or that one overlaps too. */
static int check_overlaps(const struct provider_policy *policy, struct err *err)
{
	size_t count = policy->prefix_count;
	const struct provider_policy_prefix **sorted = mem_new(count + 1, sizeof(*sorted));
	int r = 0;

	for (size_t i = 0; i < count; i++) {
		sorted[i] = &policy->prefixes[i];
	}
	qsort(sorted, count, sizeof(*sorted), compare_prefixes);
	for (size_t i = 1; i < count && r == 0; i++) {
		bool in_order = sorted[i - 1] < sorted[i];
		const struct provider_policy_prefix *first = sorted[in_order ? i - 1 : i];
		const struct provider_policy_prefix *second = sorted[in_order ? i : i - 1];

		if (prefix_overlaps(first->prefix, second->prefix)) {
			r = policy_place_wrong(second->line, second->column, err,
			        "this overlaps %s of site %s", prefix_print(first->prefix).text,
			        name_index_text(&policy->site_names, first->site));
		}
	}
	free(sorted);
	return r;
}

/* Turns the members of the groups into the groups of each site. */
static void list_site_groups(struct provider_policy *policy)
{
	uint32_t at = 0;

	policy->site_groups = mem_new(policy->member_count + 1, sizeof(*policy->site_groups));
	for (size_t i = 0; i < policy->site_count; i++) {
		policy->sites[i].groups = at;
		at += policy->sites[i].group_count;
		policy->sites[i].group_count = 0;
	}
	for (uint32_t i = 0; i < policy->group_count; i++) {
		const struct provider_policy_group *group = &policy->groups[i];

		for (uint32_t k = 0; k < group->member_count; k++) {
			struct provider_policy_site *site =
			        &policy->sites[policy->members[group->members + k]];

			if (site->group_count < SITE_GROUPS_NEAR) {
				site->near_groups[site->group_count] = i;
			}
			policy->site_groups[site->groups + site->group_count++] = i;
		}
	}
}

/* Gives back the room that was kept for more: it will not grow again. */
static void fit(struct provider_policy *policy)
{
	struct provider_policy_site *sites = mem_new_table(policy->site_count, sizeof(*sites));

	name_index_fit(&policy->site_names);
	name_index_fit(&policy->group_names);
	for (size_t i = 0; i < policy->site_count; i++) {
		sites[i] = policy->sites[i];
		sites[i].prefix = policy->prefixes[sites[i].prefixes].prefix;
	}
	free(policy->sites);
	policy->sites = sites;
	policy->prefixes =
	        mem_resize(policy->prefixes, policy->prefix_count + 1, sizeof(*policy->prefixes));
	policy->groups =
	        mem_resize(policy->groups, policy->group_count + 1, sizeof(*policy->groups));
	policy->members =
	        mem_resize(policy->members, policy->member_count + 1, sizeof(*policy->members));
}

int provider_policy_parse(
        const char *bytes, size_t count, struct provider_policy **ret_policy, struct err *err)
{
	AUTO(provider_policy) struct provider_policy *policy = mem_new(1, sizeof(*policy));
	struct policy_text text;
	int r;

	r = policy_text_open(&text, bytes, count, POLICY_PROVIDER_BYTES_MAX, err);
	if (r != 0) {
		return r;
	}
	r = policy_text_heading(
	        &text, "provider-policy", "provider", policy->provider, &policy->version, err);
	while (r == 0) {
		r = policy_text_next(&text, err);
		if (r == 0) {
			r = parse_statement(policy, &text, err);
		}
	}
	policy_text_close(&text);
	if (r != 2) {
		return r;
	}
	r = check_overlaps(policy, err);
	if (r != 0) {
		return r;
	}
	list_site_groups(policy);
	fit(policy);
	*ret_policy = TAKE(policy);
	return 0;
}

struct provider_policy *provider_policy_free(struct provider_policy *policy)
{
	if (policy) {
		name_index_clear(&policy->site_names);
		name_index_clear(&policy->group_names);
		free(policy->sites);
		free(policy->prefixes);
		free(policy->groups);
		free(policy->members);
		free(policy->site_groups);
		free(policy->tests);
		free(policy);
	}
	return NULL;
}
