/*
 * Every text of tests/data/policy: NAME.site and NAME.provider are read and asked to become active
 * over version 3. With a file NAME.refused beside it, this must be refused with exactly its words;
 * without one it must pass, and print to a text that gives the same policy.
 */
#include "../check.h"

#include <dirent.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/str.h"
#include "policy/policy_test.h"
#include "policy/provider_policy.h"
#include "policy/site_policy.h"

#define ACTIVE_VERSION 3

struct kind {
	const char *ending;
	int (*accept)(const char *text, size_t count, struct buf *printed, struct err *err);
	int seen, refused;
};

static int accept_site(const char *text, size_t count, struct buf *printed, struct err *err)
{
	AUTO(site_policy) struct site_policy *policy = NULL;
	int r = site_policy_parse(text, count, &policy, err);

	if (r == 0) {
		site_policy_print(policy, printed);
		r = site_policy_check(policy, ACTIVE_VERSION, err);
	}
	return r;
}

static int accept_provider(const char *text, size_t count, struct buf *printed, struct err *err)
{
	AUTO(provider_policy) struct provider_policy *policy = NULL;
	int r = provider_policy_parse(text, count, &policy, err);

	if (r == 0) {
		provider_policy_print(policy, printed);
		r = provider_policy_check(policy, ACTIVE_VERSION, err);
	}
	return r;
}

static void check_file(struct kind *kind, const char *name)
{
	AUTO_BUF struct buf text = BUF(POLICY_TEXT_BYTES_MAX), refused = BUF(ERR_TEXT_BYTES_MAX);
	AUTO_BUF struct buf printed = BUF(POLICY_TEXT_BYTES_MAX),
	                    again = BUF(POLICY_TEXT_BYTES_MAX);
	AUTO_STRING char *path = mem_format("%s/%s", POLICY_DATA, name);
	AUTO_STRING char *refused_path = mem_format("%s.refused", path);
	struct err err = { "" };

	CHECK(file_read(path, &text, &err) == 0);
	kind->seen++;
	if (file_read(refused_path, &refused, NULL) == 0) {
		kind->refused++;
		printf("# %s\n", name);
		CHECK(kind->accept(buf_text(&text), text.count, &printed, &err) == 1);
		CHECK(refused.count > 0);
		refused.bytes[refused.count - 1] = '\0';
		CHECK_TEXT(err.text, (char *)refused.bytes);
		return;
	}
	if (kind->accept(buf_text(&text), text.count, &printed, &err) != 0) {
		printf("# %s: %s\n", name, err.text);
		CHECK(false);
	}
	CHECK(kind->accept(buf_text(&printed), printed.count, &again, &err) == 0);
	CHECK_TEXT(buf_text(&again), buf_text(&printed));
}

static void check_kind(struct kind *kind)
{
	DIR *directory = opendir(POLICY_DATA);
	struct dirent *entry;

	CHECK(directory != NULL);
	while ((entry = readdir(directory))) {
		const char *dot = strrchr(entry->d_name, '.');

		if (dot && strcmp(dot, kind->ending) == 0) {
			check_file(kind, entry->d_name);
		}
	}
	closedir(directory);
}

TEST(site_policies_are_accepted_or_refused_in_these_words)
{
	struct kind kind = { ".site", accept_site, 0, 0 };

	check_kind(&kind);
	CHECK(kind.refused >= 40 && kind.seen > kind.refused);
}

TEST(provider_policies_are_accepted_or_refused_in_these_words)
{
	struct kind kind = { ".provider", accept_provider, 0, 0 };

	check_kind(&kind);
	CHECK(kind.refused >= 20 && kind.seen > kind.refused);
}

TEST(long_groups_print_to_text_that_is_read_again)
{
	AUTO_BUF struct buf text = BUF(POLICY_TEXT_BYTES_MAX), printed = BUF(POLICY_TEXT_BYTES_MAX);
	struct err err = { "" };

	buf_add_text(
	        &text, "sekisho provider-policy 1\nprovider p\nversion 4\npool 100.64.0.0/10\n");
	for (int i = 0; i < 250; i++) {
		buf_add_format(&text, "site site-number-%d prefix 100.64.%d.0/24\n", i, i);
	}
	buf_add_text(&text, "class mail\ngroup all sites");
	for (int i = 0; i < 250; i++) {
		buf_add_format(&text, "\n site-number-%d", i);
	}
	buf_add_text(&text, " classes mail\n");
	CHECK(accept_provider(buf_text(&text), text.count, &printed, &err) == 0);
	buf_reset(&text);
	CHECK(accept_provider(buf_text(&printed), printed.count, &text, &err) == 0);
	CHECK_TEXT(buf_text(&text), buf_text(&printed));
}

TEST(too_much_is_refused)
{
	AUTO_BUF struct buf text = BUF(2 * POLICY_TEXT_BYTES_MAX), printed = BUF(1 << 20);
	struct err err = { "" };

	buf_add_text(&text, "sekisho site-policy 1\nsite s\nversion 4\n"
	                    "host h address 10.0.0.1 service 100.64.0.1\n");
	for (int i = 0; i <= POLICY_TESTS_MAX; i++) {
		buf_add_text(&text, "test deny from a/b to h class mail protocol icmp\n");
	}
	CHECK(accept_site(buf_text(&text), text.count, &printed, &err) == 1);
	CHECK_TEXT(err.text, "line 1029, column 1: a policy has at most 1024 tests");
	while (text.count <= POLICY_TEXT_BYTES_MAX) {
		buf_add_text(&text, "# more\n");
	}
	CHECK(accept_site(buf_text(&text), text.count, &printed, &err) == 1);
	CHECK_TEXT(err.text, "a policy has at most 131072 bytes");
}

TEST(the_report_has_a_line_for_every_test)
{
	AUTO(site_policy) struct site_policy *policy = NULL;
	AUTO_BUF struct buf report = BUF(4096);
	static const char text[] = "sekisho site-policy 1\nsite s\nversion 4\n"
	                           "host h address 10.0.0.1 service 100.64.0.1\n"
	                           "allow r from a/b to h class mail protocol icmp\n"
	                           "test permit from a/b to h class mail protocol icmp\n"
	                           "test permit from a/c to h class mail protocol icmp\n"
	                           "test deny from h to a/b class mail protocol icmp\n";
	struct policy_test_result result;
	struct err err = { "" };

	CHECK(site_policy_parse(text, sizeof(text) - 1, &policy, &err) == 0);
	result = site_policy_test_run(policy, &report);
	CHECK(result.passed == 2 && result.failed == 1);
	CHECK_TEXT(result.first_failed.text,
	        "line 7: FAILED: expected permit: No rule of s allows a/c to reach s/h.");
	CHECK_TEXT(buf_text(&report),
	        "line 6: ok: permit: Rule r of s allows it.\n"
	        "line 7: FAILED: expected permit: No rule of s allows a/c to reach s/h.\n"
	        "line 8: ok: deny: No rule of s allows s/h to reach a/b.\n");
}

TEST_MAIN()
