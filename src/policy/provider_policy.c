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
	*ret_site = (struct policy_site){ .name = name_index_text(&policy->names, site->name),
		.prefix_count = site->prefix_count };
	for (size_t i = 0; i < site->prefix_count; i++) {
		ret_site->prefixes[i] = policy->prefixes[site->prefixes + i].prefix;
	}
}

uint32_t provider_policy_site_find(const struct provider_policy *policy, const char *site)
{
	uint32_t name = name_index_find(&policy->names, site);

	return name == INDEX_NONE ? INDEX_NONE : pair_index_find(&policy->site_by_name, name);
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

bool provider_policy_site_contains(
        const struct provider_policy *policy, const char *site, struct address address)
{
	uint32_t position = provider_policy_site_find(policy, site);

	if (position == INDEX_NONE) {
		return false;
	}
	for (uint32_t i = 0; i < policy->sites[position].prefix_count; i++) {
		const struct prefix *prefix =
		        &policy->prefixes[policy->sites[position].prefixes + i].prefix;

		if (prefix_contains(*prefix, address)) {
			return true;
		}
	}
	return false;
}

int provider_policy_class_get(const struct provider_policy *policy, enum service_class class,
        struct policy_class *ret_class)
{
	const struct provider_policy_class *found;

	if (!service_class_info(class) || !policy->classes[class].offered) {
		return 1;
	}
	found = &policy->classes[class];
	ret_class->duration_sec = found->duration_sec > 0 ? found->duration_sec : GRANT_SEC_MAX;
	ret_class->lease_sec = found->lease_sec > 0 ? found->lease_sec : LEASE_SEC_DEFAULT;
	return 0;
}

enum policy_group_match provider_policy_group_find(const struct provider_policy *policy,
        const char *site, const char *other, enum service_class class, const char **ret_group)
{
	uint32_t fewer = provider_policy_site_find(policy, site);
	uint32_t more = provider_policy_site_find(policy, other);
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
		uint32_t at = policy->site_groups[policy->sites[fewer].groups + i];
		const struct provider_policy_group *group = &policy->groups[at];

		if (pair_index_find(&policy->memberships, provider_policy_key(more, at)) ==
		        INDEX_NONE) {
			continue;
		}
		if (service_class_info(class) && (group->classes & 1U << class)) {
			*ret_group = name_index_text(&policy->names, group->name);
			return POLICY_GROUP_FOUND;
		}
		if (match == POLICY_GROUP_NONE) {
			match = POLICY_GROUP_CLASSLESS;
			*ret_group = name_index_text(&policy->names, group->name);
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

static void print_group(const struct provider_policy *policy,
        const struct provider_policy_group *group, struct buf *out)
{
	size_t line_start = out->count;

	buf_add_format(out, "group %s sites", name_index_text(&policy->names, group->name));
	for (uint32_t i = 0; i < group->member_count; i++) {
		const struct provider_policy_site *site =
		        &policy->sites[policy->members[group->members + i]];

		print_word(name_index_text(&policy->names, site->name), &line_start, out);
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

		buf_add_format(out, "site %s prefix", name_index_text(&policy->names, site->name));
		for (uint32_t k = 0; k < site->prefix_count; k++) {
			buf_add_format(out, " %s",
			        prefix_print(policy->prefixes[site->prefixes + k].prefix).text);
		}
		buf_add_text(out, "\n");
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
			buf_add_text(out, "\n");
		}
	}
	for (size_t i = 0; i < policy->group_count; i++) {
		print_group(policy, &policy->groups[i], out);
	}
	for (size_t i = 0; i < policy->test_count; i++) {
		const struct provider_policy_test *test = &policy->tests[i];

		buf_add_format(out, "test %s from %s to %s class %s\n",
		        test->permit ? "permit" : "deny",
		        name_index_text(&policy->names, policy->sites[test->from].name),
		        name_index_text(&policy->names, policy->sites[test->to].name),
		        service_class_name(test->class));
	}
}
