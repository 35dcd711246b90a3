/* Look-ups in the compiled form, and the form as text. */
#include "policy/provider_policy.h"

#include <string.h>

#include "policy/policy_test.h"
#include "policy/policy_text.h"
#include "policy/provider_policy_impl.h"

/* A printed line goes on in the next one from here on. */
#define PRINT_COLUMNS 90

const char *provider_policy_provider(const struct provider_policy *policy)
{
	return policy->provider;
}

uint64_t provider_policy_version(const struct provider_policy *policy)
{
	return policy->version;
}

bool provider_policy_pool_contains(const struct provider_policy *policy, struct address address)
{
	for (size_t i = 0; i < policy->pool_count; i++) {
		if (prefix_contains(policy->pools[i], address)) {
			return true;
		}
	}
	return false;
}

size_t provider_policy_site_count(const struct provider_policy *policy)
{
	return policy->site_count;
}

void provider_policy_site_at(
        const struct provider_policy *policy, size_t index, struct policy_site *ret_site)
{
	const struct provider_policy_site *site = &policy->sites[index];

	assert_always(index < policy->site_count);
	*ret_site =
	        (struct policy_site){ .name = name_index_text(&policy->site_names, (uint32_t)index),
		        .prefix_count = site->prefix_count };
	for (size_t i = 0; i < site->prefix_count; i++) {
		ret_site->prefixes[i] = policy->prefixes[site->prefixes + i].prefix;
	}
}

uint32_t provider_policy_site_find(const struct provider_policy *policy, const char *site)
{
	return name_index_find(&policy->site_names, site);
}

int provider_policy_site_get(
        const struct provider_policy *policy, const char *site, struct policy_site *ret_site)
{
	uint32_t position = provider_policy_site_find(policy, site);

	if (position == INDEX_NONE) {
		return 1;
	}
	provider_policy_site_at(policy, position, ret_site);
	return 0;
}

bool provider_policy_contains_at(
        const struct provider_policy *policy, uint32_t site, const struct address *address)
{
	const struct provider_policy_site *at;

	if (site == INDEX_NONE) {
		return false;
	}
	at = &policy->sites[site];
	if (prefix_contains(at->prefix, *address)) {
		return true;
	}
	for (uint32_t i = 1; i < at->prefix_count; i++) {
		if (prefix_contains(policy->prefixes[at->prefixes + i].prefix, *address)) {
			return true;
		}
	}
	return false;
}

bool provider_policy_site_contains(
        const struct provider_policy *policy, const char *site, struct address address)
{
	return provider_policy_contains_at(
	        policy, provider_policy_site_find(policy, site), &address);
}

void provider_policy_want(const struct provider_policy *policy, const struct name_key *site)
{
	name_index_want_slot(&policy->site_names, site);
}

void provider_policy_want_site(const struct provider_policy *policy, const struct name_key *site)
{
	uint32_t position = name_index_want_text(&policy->site_names, site);

	if (position != INDEX_NONE) {
		__builtin_prefetch(&policy->sites[position]);
	}
}

uint32_t provider_policy_position(const struct provider_policy *policy, const struct name_key *site)
{
	return name_index_find_key(&policy->site_names, site);
}

int provider_policy_class_get(const struct provider_policy *policy, enum service_class class,
        struct policy_class *ret_class)
{
	const struct provider_policy_class *found;

	if (!service_class_info(class) || !policy->classes[class].offered) {
		return 1;
	}
	found = &policy->classes[class];
	*ret_class = (struct policy_class){
		.duration_sec = found->duration_sec > 0 ? found->duration_sec : GRANT_SEC_MAX,
		.lease_sec = found->lease_sec > 0 ? found->lease_sec : LEASE_SEC_DEFAULT,
		.approval_required = found->approval_required,
		.factor_two = found->factor_two,
		.outage_never = found->outage_never,
	};
	return 0;
}

#define CLASS(name) (1U << SERVICE_##name)

/* Annex C of the checklist (F4): while one is used at a place, the others are not. Each row is the
 * item that says it of its service; the sets are made symmetric below. */
static const struct {
	enum service_class class;
	uint32_t excludes;
} annex_c[] = {
	{ SERVICE_ASP, CLASS(RESULTS_DELIVERY) | CLASS(ONLINE_CLAIMS) | CLASS(MAIL) |
	                       CLASS(INTERNET) | CLASS(REMOTE_MAINTENANCE) }, /* 4-5-3 */
	{ SERVICE_MAIL, CLASS(RESULTS_DELIVERY) | CLASS(ONLINE_CLAIMS) | CLASS(ASP) |
	                        CLASS(REMOTE_MAINTENANCE) }, /* 4-7-5 */
	{ SERVICE_INTERNET,
	        CLASS(RESULTS_DELIVERY) | CLASS(ONLINE_CLAIMS) | CLASS(ASP) },    /* 4-8-3 */
	{ SERVICE_RESULTS_DELIVERY, CLASS(ASP) | CLASS(MAIL) | CLASS(INTERNET) }, /* 4-10-4 */
	{ SERVICE_ONLINE_CLAIMS, CLASS(ASP) | CLASS(MAIL) | CLASS(INTERNET) },    /* 4-10-4 */
};

static bool annex_c_excludes(enum service_class class, enum service_class other)
{
	for (size_t i = 0; i < ARRAY_COUNT(annex_c); i++) {
		if (annex_c[i].class == class) {
			return annex_c[i].excludes & 1U << other;
		}
	}
	return false;
}

bool policy_classes_exclude(
        const struct provider_policy *policy, enum service_class class, enum service_class other)
{
	if (!service_class_info(class) || !service_class_info(other)) {
		return false;
	}
	return annex_c_excludes(class, other) || annex_c_excludes(other, class) ||
	       (policy && (policy->classes[class].excludes & 1U << other));
}

static const uint32_t *groups_of(
        const struct provider_policy *policy, const struct provider_policy_site *site)
{
	return site->group_count <= SITE_GROUPS_NEAR ? site->near_groups
	                                             : policy->site_groups + site->groups;
}

static bool has_group(const struct provider_policy *policy, const struct provider_policy_site *site,
        uint32_t group)
{
	const uint32_t *groups = groups_of(policy, site);
	uint32_t low = 0, high = site->group_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (groups[middle] < group) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low < site->group_count && groups[low] == group;
}

enum policy_group_match provider_policy_group_find(const struct provider_policy *policy,
        const char *site, const char *other, enum service_class class, const char **ret_group)
{
	return provider_policy_group_at(policy, provider_policy_site_find(policy, site),
	        provider_policy_site_find(policy, other), class, ret_group);
}

enum policy_group_match provider_policy_group_at(const struct provider_policy *policy,
        uint32_t fewer, uint32_t more, enum service_class class, const char **ret_group)
{
	enum policy_group_match match = POLICY_GROUP_NONE;

	*ret_group = NULL;
	if (fewer == INDEX_NONE || more == INDEX_NONE || fewer == more) {
		return POLICY_GROUP_NONE;
	}
	if (policy->sites[fewer].group_count > policy->sites[more].group_count) {
		uint32_t swap = fewer;

		fewer = more;
		more = swap;
	}
	for (uint32_t i = 0; i < policy->sites[fewer].group_count; i++) {
		uint32_t at = groups_of(policy, &policy->sites[fewer])[i];
		const struct provider_policy_group *group = &policy->groups[at];

		if (!has_group(policy, &policy->sites[more], at)) {
			continue;
		}
		if (service_class_info(class) && (group->classes & 1U << class)) {
			*ret_group = name_index_text(&policy->group_names, at);
			return POLICY_GROUP_FOUND;
		}
		if (match == POLICY_GROUP_NONE) {
			match = POLICY_GROUP_CLASSLESS;
			*ret_group = name_index_text(&policy->group_names, at);
		}
	}
	return match;
}

int provider_policy_check(
        const struct provider_policy *policy, uint64_t active_version, struct err *err)
{
	struct policy_test_result result;

	if (policy->version <= active_version) {
		return err_set(err, 1, "version %ju is not above the active version %ju",
		        (uintmax_t)policy->version, (uintmax_t)active_version);
	}
	if (policy->group_count == 0) {
		return err_set(err, 1,
		        "the policy has no group: nobody could reach anybody any more (lock-out)");
	}
	result = provider_policy_test_run(policy, NULL);
	return result.failed == 0 ? 0 : err_set(err, 1, "%s", result.first_failed.text);
}

/* Adds a word, on a new line when this one is full. */
static void print_word(const char *word, size_t *line_start, struct buf *out)
{
	if (out->count - *line_start + 1 + strlen(word) > PRINT_COLUMNS) {
		buf_add_text(out, "\n");
		*line_start = out->count;
		buf_add_text(out, " ");
	}
	buf_add_format(out, " %s", word);
}

static void print_group(const struct provider_policy *policy, uint32_t at, struct buf *out)
{
	const struct provider_policy_group *group = &policy->groups[at];
	size_t line_start = out->count;

	buf_add_format(out, "group %s sites", name_index_text(&policy->group_names, at));
	for (uint32_t i = 0; i < group->member_count; i++) {
		uint32_t site = policy->members[group->members + i];

		print_word(name_index_text(&policy->site_names, site), &line_start, out);
	}
	print_word("classes", &line_start, out);
	for (int class = SERVICE_CLASS_NONE + 1; class < SERVICE_CLASS_COUNT; class ++) {
		if (group->classes & 1U << class) {
			print_word(
			        service_class_name((enum service_class) class), &line_start, out);
		}
	}
	buf_add_text(out, "\n");
}

static void print_sites(const struct provider_policy *policy, struct buf *out)
{
	for (size_t i = 0; i < policy->site_count; i++) {
		const struct provider_policy_site *site = &policy->sites[i];

		buf_add_format(
		        out, "site %s prefix", name_index_text(&policy->site_names, (uint32_t)i));
		for (uint32_t k = 0; k < site->prefix_count; k++) {
			buf_add_format(out, " %s",
			        prefix_print(policy->prefixes[site->prefixes + k].prefix).text);
		}
		buf_add_text(out, "\n");
	}
}

static void print_excludes(const struct provider_policy *policy, struct buf *out)
{
	for (int class = SERVICE_CLASS_NONE + 1; class < SERVICE_CLASS_COUNT; class ++) {
		for (int other = class + 1; other < SERVICE_CLASS_COUNT; other++) {
			if (policy->classes[class].excludes & 1U << other) {
				buf_add_format(out, "exclude %s %s\n",
				        service_class_name((enum service_class) class),
				        service_class_name((enum service_class)other));
			}
		}
	}
}

void provider_policy_print(const struct provider_policy *policy, struct buf *out)
{
	buf_add_format(out, "sekisho provider-policy 1\nprovider %s\nversion %ju\n",
	        policy->provider, (uintmax_t)policy->version);
	for (size_t i = 0; i < policy->pool_count; i++) {
		buf_add_format(out, "pool %s\n", prefix_print(policy->pools[i]).text);
	}
	print_sites(policy, out);
	for (int class = SERVICE_CLASS_NONE + 1; class < SERVICE_CLASS_COUNT; class ++) {
		const struct provider_policy_class *offered = &policy->classes[class];

		if (offered->offered) {
			buf_add_format(
			        out, "class %s", service_class_name((enum service_class) class));
			policy_limits_print(offered->duration_sec, offered->lease_sec, out);
			buf_add_format(out, "%s%s%s\n",
			        offered->approval_required ? " approval required" : "",
			        offered->factor_two ? " factor two" : "",
			        offered->outage_never ? " outage never" : "");
		}
	}
	print_excludes(policy, out);
	for (size_t i = 0; i < policy->group_count; i++) {
		print_group(policy, (uint32_t)i, out);
	}
	for (size_t i = 0; i < policy->test_count; i++) {
		const struct provider_policy_test *test = &policy->tests[i];

		buf_add_format(out, "test %s from %s to %s class %s\n",
		        test->permit ? "permit" : "deny",
		        name_index_text(&policy->site_names, test->from),
		        name_index_text(&policy->site_names, test->to),
		        service_class_name(test->class));
	}
}
