#include "base/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"

/* What a build with sanitizers needs beside its own business, and no other build gets: looking for
 * leaks at the end, which a thread does that traces the others, and saying where an error is. */
static const char *const sanitizer_calls[] = {
#if defined(WITH_SANITIZER)
	"clone", "ptrace", "wait4", "prctl", "open", "openat", "stat", "readlink", "readlinkat",
	"getdents", "getdents64", "pipe", "dup", "dup2", "getrusage", "ioctl", "access",
#endif
	NULL
};
static const struct sandbox_path sanitizer_paths[] = {
#if defined(WITH_SANITIZER)
	{ "/proc", SANDBOX_READ }, { "/proc/self/exe", SANDBOX_READ },
#endif
	{ 0 }
};

/* Capabilities the kernel may know; numbers past its own are refused with EINVAL and end the loop.
 */
#define CAPABILITY_COUNT_MAX 64

const char *const sandbox_calls_base[] = { "read", "write", "readv", "writev", "pread64",
	"pwrite64", "close", "brk", "mmap", "munmap", "mprotect", "mremap", "madvise", "futex",
	"exit", "exit_group", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack",
	"clock_gettime", "clock_nanosleep", "gettimeofday", "time", "nanosleep", "getrandom",
	"getpid", "gettid", "getppid", "getuid", "geteuid", "getgid", "getegid", "epoll_create1",
	"epoll_ctl", "epoll_wait", "epoll_pwait", "poll", "ppoll", "pselect6", "select", "fstat",
	"newfstatat", "lseek", "fcntl", "restart_syscall", "sched_yield", "uname", "signalfd4",
	"eventfd2", "timerfd_create", "timerfd_settime", "set_robust_list", "rseq",
	"sched_getaffinity", "sysinfo", "getcpu",
	/* glibc's abort(), so that a failed assertion ends as one. */
	"tgkill", "prlimit64", NULL };

const char *const sandbox_calls_files[] = { "open", "openat", "stat", "lstat", "statx", "access",
	"faccessat", "faccessat2", "statfs", "fstatfs", "fsync", "fdatasync", "ftruncate", "rename",
	"renameat", "renameat2", "unlink", "unlinkat", "mkdir", "mkdirat", "rmdir", "getdents64",
	"flock", "readlink", "readlinkat", "fchmod", "fchown", "umask", "getcwd", "utimensat",
	"fallocate", "fadvise64", "dup", "dup3", NULL };

const char *const sandbox_calls_sockets[] = { "sendto", "recvfrom", "sendmsg", "recvmsg", "accept4",
	"accept", "shutdown", "getsockname", "getpeername", "setsockopt", "getsockopt", "ioctl",
	NULL };

const char *const sandbox_calls_network[] = { "socket", "bind", "listen", "connect", "socketpair",
	NULL };

const char *const sandbox_calls_processes[] = { "clone", "clone3", "fork", "vfork", "execve",
	"execveat", "wait4", "waitid", "kill", "pipe2", "dup2", "pidfd_open", "pidfd_send_signal",
	"setsid", "setpgid", "arch_prctl", "set_tid_address", "prctl", "close_range", NULL };

int sandbox_prepare(struct err *err)
{
	static const struct rlimit none = { 0, 0 };

	if (setrlimit(RLIMIT_CORE, &none) < 0) {
		return err_set(
		        err, FAULT(-errno), "cannot turn core dumps off: %s", strerror(errno));
	}
	/* Not dumpable also means that no process of the same user may attach and read keys. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
		return err_set(
		        err, FAULT(-errno), "cannot give up privileges: %s", strerror(errno));
	}
	return 0;
}

int sandbox_drop_capabilities(uint64_t keep, struct err *err)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };

	for (int capability = 0; capability < CAPABILITY_COUNT_MAX; capability++) {
		if (keep & (1ULL << capability)) {
			continue;
		}
		/* EPERM: the process has no CAP_SETPCAP, so it was never privileged. */
		if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0 &&
		        (errno == EINVAL || errno == EPERM)) {
			break;
		}
	}
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (syscall(SYS_capget, &header, data) < 0) {
		return err_set(
		        err, FAULT(-errno), "cannot read the capabilities: %s", strerror(errno));
	}
	for (int half = 0; half < 2; half++) {
		data[half].permitted &= (uint32_t)(keep >> (32 * half));
		data[half].effective &= data[half].permitted;
		data[half].inheritable = 0;
	}
	if (syscall(SYS_capset, &header, data) < 0) {
		return err_set(
		        err, FAULT(-errno), "cannot drop the capabilities: %s", strerror(errno));
	}
	return 0;
}

/* What this kernel's Landlock can restrict; asking it for more than that is an error. */
static uint64_t landlock_known(int version)
{
	uint64_t known = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE |
	                 LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR |
	                 LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
	                 LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR |
	                 LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |
	                 LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |
	                 LANDLOCK_ACCESS_FS_MAKE_SYM;

	if (version >= 2) {
		known |= 1ULL << 13; /* LANDLOCK_ACCESS_FS_REFER */
	}
	if (version >= 3) {
		known |= 1ULL << 14; /* LANDLOCK_ACCESS_FS_TRUNCATE */
	}
	return known;
}

static uint64_t landlock_access(unsigned access, uint64_t known, bool directory)
{
	uint64_t wanted = 0;
	uint64_t of_files = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE |
	                    LANDLOCK_ACCESS_FS_READ_FILE | 1ULL << 14;

	if (access & (SANDBOX_READ | SANDBOX_WRITE)) {
		wanted |= LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
	}
	if (access & SANDBOX_WRITE) {
		wanted |= LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE |
		          LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
		          LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_SOCK | 1ULL << 13 |
		          1ULL << 14;
	}
	if (access & SANDBOX_EXECUTE) {
		wanted |= LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE;
	}
	return wanted & known & (directory ? ~0ULL : of_files);
}

static int add_path(int ruleset, const struct sandbox_path *path, uint64_t known, struct err *err)
{
	struct landlock_path_beneath_attr rule = { .parent_fd = -1 };
	AUTO_FD int fd = open(path->path, O_PATH | O_CLOEXEC);
	struct stat status;

	if (fd < 0 && errno == ENOENT) {
		return 0;
	}
	if (fd < 0 || fstat(fd, &status) < 0) {
		return err_set(
		        err, FAULT(-errno), "cannot open %s: %s", path->path, strerror(errno));
	}
	rule.parent_fd = fd;
	rule.allowed_access = landlock_access(path->access, known, S_ISDIR(status.st_mode));
	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0) {
		return err_set(err, FAULT(-errno), "cannot allow the path %s: %s", path->path,
		        strerror(errno));
	}
	return 0;
}

static int add_paths(int ruleset, const struct sandbox_path *paths, uint64_t known, struct err *err)
{
	int r = 0;

	for (; r == 0 && paths->path; paths++) {
		r = add_path(ruleset, paths, known, err);
	}
	return r;
}

static int enter_landlock(const struct sandbox_path *paths, struct err *err)
{
	struct landlock_ruleset_attr attributes = { 0 };
	AUTO_FD int ruleset = -1;
	int version, r;

	version =
	        (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	if (version < 1) {
		log_warning(
		        "this kernel has no Landlock: the process can open what its user may open");
		return 0;
	}
	attributes.handled_access_fs = landlock_known(version);
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &attributes, sizeof(attributes), 0);
	if (ruleset < 0) {
		return err_set(
		        err, FAULT(-errno), "cannot make a Landlock ruleset: %s", strerror(errno));
	}
	fcntl(ruleset, F_SETFD, FD_CLOEXEC);
	r = add_paths(ruleset, paths, attributes.handled_access_fs, err);
	if (r == 0) {
		r = add_paths(ruleset, sanitizer_paths, attributes.handled_access_fs, err);
	}
	if (r < 0) {
		return r;
	}
	if (syscall(SYS_landlock_restrict_self, ruleset, 0) < 0) {
		return err_set(err, FAULT(-errno), "cannot enter Landlock: %s", strerror(errno));
	}
	return 0;
}

static int add_calls(scmp_filter_ctx filter, const char *const *names, bool any_socket)
{
	for (; *names; names++) {
		int number = seccomp_syscall_resolve_name(*names);
		int r;

		if (!any_socket && number == SCMP_SYS(socket)) {
			continue; /* add_families() allows some */
		}
		/* A call that this machine's architecture does not have (`open` on arm64) is no
		 * loss. */
		if (number == __NR_SCMP_ERROR || number < 0) {
			continue;
		}
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
		if (r < 0 && r != -EEXIST) {
			return FAULT(r);
		}
	}
	return 0;
}

static int add_families(scmp_filter_ctx filter, const int *families)
{
	int r = 0;

	for (; r == 0 && *families != 0; families++) {
		struct scmp_arg_cmp family = {
			.arg = 0, .op = SCMP_CMP_EQ, .datum_a = (scmp_datum_t)*families
		};

		r = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, &family);
	}
	return r;
}

static int enter_seccomp(const char *const *const *sets, const int *families, struct err *err)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int r = filter ? add_calls(filter, sanitizer_calls, !families) : -ENOMEM;

	for (; r == 0 && *sets; sets++) {
		r = add_calls(filter, *sets, !families);
	}
	if (r == 0 && families) {
		r = add_families(filter, families);
	}
	if (r == 0) {
		r = seccomp_load(filter);
	}
	if (filter) {
		seccomp_release(filter);
	}
	return r == 0 ? 0 : err_set(err, FAULT(r), "cannot enter seccomp: %s", strerror(-r));
}

int sandbox_enter(const struct sandbox *sandbox, struct err *err)
{
	int r;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
		return err_set(
		        err, FAULT(-errno), "cannot give up privileges: %s", strerror(errno));
	}
	r = sandbox_drop_capabilities(sandbox->capabilities, err);
	if (r == 0 && sandbox->paths) {
		r = enter_landlock(sandbox->paths, err);
	}
	if (r == 0 && sandbox->calls) {
		r = enter_seccomp(sandbox->calls, sandbox->families, err);
	}
	return r;
}
