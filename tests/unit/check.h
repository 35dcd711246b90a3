/*
 * The unit tests' frame: TAP on stdout, one line a test.
 *
 *     TEST(policy_refuses_unknown_site)
 *     {
 *             CHECK(decide(…) == VERDICT_DENY);
 *     }
 *     TEST_MAIN()
 *
 * A failed CHECK prints the place and ends its test; the others still run. A program with arguments
 * runs only the tests whose name contains one of them.
 */
#pragma once

#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct check_test {
	const char *name;
	void (*run)(void);
	struct check_test *next;
};

static struct check_test *check_tests, **check_tests_end = &check_tests;
static jmp_buf check_failed;

#define TEST(test_name)                                                                            \
	static void test_##test_name(void);                                                        \
	static struct check_test entry_##test_name = { #test_name, test_##test_name, NULL };       \
	__attribute__((constructor)) static void enter_##test_name(void)                           \
	{                                                                                          \
		*check_tests_end = &entry_##test_name;                                             \
		check_tests_end = &entry_##test_name.next;                                         \
	}                                                                                          \
	static void test_##test_name(void)

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			printf("# %s:%d: %s\n", __FILE__, __LINE__, #condition);                   \
			longjmp(check_failed, 1);                                                  \
		}                                                                                  \
	} while (0)

#define CHECK_TEXT(have, want)                                                                     \
	do {                                                                                       \
		const char *have_ = (have), *want_ = (want);                                       \
		if (!have_ || strcmp(have_, want_) != 0) {                                         \
			printf("# %s:%d: %s is \"%s\", expected \"%s\"\n", __FILE__, __LINE__,     \
			        #have, have_ ? have_ : "(null)", want_);                           \
			longjmp(check_failed, 1);                                                  \
		}                                                                                  \
	} while (0)

static bool check_run(const struct check_test *test)
{
	if (setjmp(check_failed) != 0) {
		return false;
	}
	test->run();
	return true;
}

static int check_main(int argc, char **argv)
{
	int count = 0, failed = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (struct check_test *test = check_tests; test; test = test->next) {
		bool wanted = argc < 2;

		for (int i = 1; i < argc; i++) {
			wanted |= strstr(test->name, argv[i]) != NULL;
		}
		if (!wanted) {
			continue;
		}
		count++;
		if (check_run(test)) {
			printf("ok %d %s\n", count, test->name);
		} else {
			failed++;
			printf("not ok %d %s\n", count, test->name);
		}
	}
	printf("1..%d\n", count);
	return failed > 0;
}

#define TEST_MAIN()                                                                                \
	int main(int argc, char **argv)                                                            \
	{                                                                                          \
		return check_main(argc, argv);                                                     \
	}
