#include "../check.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/sandbox.h"

/* The filter is left out under AddressSanitizer (sandbox.h). */
#if defined(__SANITIZE_ADDRESS__)
#define FILTERED false
#else
#define FILTERED true
#endif

static const char *const *const all_calls[] = { sandbox_calls_base, sandbox_calls_files, NULL };

/* Runs `body` in a child behind the walls; returns its wait status. */
static int behind(const struct sandbox *sandbox, int (*body)(void))
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		struct err err;

		if (sandbox_prepare(&err) < 0 || sandbox_enter(sandbox, &err) < 0) {
			_exit(99);
		}
		_exit(body());
	}
	CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
	return status;
}

static int do_nothing(void)
{
	return 7;
}

static int open_socket(void)
{
	return socket(AF_INET, SOCK_STREAM, 0) >= 0 ? 1 : 2;
}

static int run_program(void)
{
	execl("/bin/true", "true", (char *)NULL);
	return 2;
}

static int trace_parent(void)
{
	return ptrace(PTRACE_ATTACH, getppid(), NULL, NULL) == 0 ? 1 : 2;
}

static bool killed_by_filter(int status)
{
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
}

TEST(what_is_not_listed_ends_the_process)
{
	struct sandbox sandbox = { .calls = all_calls };

	CHECK(WEXITSTATUS(behind(&sandbox, do_nothing)) == 7);
	if (FILTERED) {
		CHECK(killed_by_filter(behind(&sandbox, open_socket)));
		CHECK(killed_by_filter(behind(&sandbox, run_program)));
		CHECK(killed_by_filter(behind(&sandbox, trace_parent)));
	}
}

static char allowed[96], other[96];

static int try_paths(void)
{
	int fd = open(allowed, O_RDONLY);

	if (fd < 0) {
		return 1;
	}
	if (open(allowed, O_WRONLY) >= 0 || errno != EACCES) {
		return 2;
	}
	if (open(other, O_RDONLY) >= 0 || errno != EACCES) {
		return 3;
	}
	return 0;
}

TEST(only_listed_paths_can_be_opened)
{
	char directory[] = "/tmp/sekisho-sandbox-XXXXXX";
	char here[64], there[64];
	struct sandbox_path paths[] = { { here, SANDBOX_READ }, { "/nowhere/at/all", SANDBOX_READ },
		{ 0 } };
	struct sandbox sandbox = { .paths = paths };

	CHECK(mkdtemp(directory) != NULL);
	snprintf(here, sizeof(here), "%s/here", directory);
	snprintf(there, sizeof(there), "%s/there", directory);
	snprintf(allowed, sizeof(allowed), "%s/file", here);
	snprintf(other, sizeof(other), "%s/file", there);
	CHECK(mkdir(here, 0700) == 0 && mkdir(there, 0700) == 0);
	close(open(allowed, O_CREAT | O_WRONLY, 0600));
	close(open(other, O_CREAT | O_WRONLY, 0600));
	CHECK(WEXITSTATUS(behind(&sandbox, try_paths)) == 0);
	unlink(allowed);
	unlink(other);
	rmdir(here);
	rmdir(there);
	rmdir(directory);
}

static int change_owner(void)
{
	/* Root without capabilities is nobody in particular. */
	return chown("/", 1, 1) < 0 && errno == EPERM ? 0 : 1;
}

TEST(capabilities_are_gone)
{
	struct sandbox sandbox = { 0 };

	CHECK(WEXITSTATUS(behind(&sandbox, change_owner)) == 0);
}

TEST_MAIN()
