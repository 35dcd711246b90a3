#include "ctl/scanner.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"

#define PATIENCE_SEC 600 /* an archive of 2 GB takes a slow machine minutes */
#define ANSWER_BYTES_MAX 1024
#define HEADER_BYTES 512 /* of a data base of ClamAV */
#define TEST_BYTES 68

struct scan {
	int fd;
	bool over; /* the scanner answered before the end */
};

struct scan *scan_free(struct scan *scan)
{
	if (scan) {
		close(scan->fd);
		free(scan);
	}
	return NULL;
}

static int unreachable(struct ctl *ctl, const char *socket, const char *why)
{
	return ctl_fail(ctl, CTL_UNREACHABLE,
	        "the virus scanner at %s: %s; without it no file is sealed", socket, why);
}

static int connect_scanner(struct ctl *ctl, const char *path, struct scan **ret_scan)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct timeval patience = { .tv_sec = PATIENCE_SEC };
	AUTO(scan) struct scan *scan = NULL;

	if (text_copy(address.sun_path, sizeof(address.sun_path), path) != 0) {
		return ctl_fail(ctl, CTL_USAGE, "--scanner: %s is too long for a socket", path);
	}
	scan = mem_new(1, sizeof(*scan));
	scan->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (scan->fd < 0 || connect(scan->fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
		return unreachable(ctl, path, strerror(errno));
	}
	setsockopt(scan->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(scan->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	*ret_scan = TAKE(scan);
	return CTL_OK;
}

/* False: the scanner does not want more, its answer says why. */
static bool send_all(struct scan *scan, const void *bytes, size_t count)
{
	const char *at = bytes;

	while (count > 0) {
		ssize_t sent = send(scan->fd, at, count, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR) {
			continue;
		}
		if (sent <= 0) {
			return false;
		}
		at += sent;
		count -= (size_t)sent;
	}
	return true;
}

/* One answer, to its zero byte or the end. */
static int take_answer(struct ctl *ctl, struct scan *scan, char out[ANSWER_BYTES_MAX])
{
	size_t count = 0;

	while (count + 1 < ANSWER_BYTES_MAX) {
		ssize_t got = recv(scan->fd, out + count, ANSWER_BYTES_MAX - 1 - count, 0);

		if (got < 0 && errno == EINTR) {
			continue;
		}
		if (got < 0) {
			return ctl_fail(ctl, CTL_UNREACHABLE,
			        "the virus scanner does not answer: %s", strerror(errno));
		}
		if (got == 0 || memchr(out + count, 0, (size_t)got)) {
			count += (size_t)got;
			break;
		}
		count += (size_t)got;
	}
	out[count] = '\0';
	if (out[0] == '\0') {
		return ctl_fail(ctl, CTL_UNREACHABLE, "the virus scanner ended without an answer");
	}
	return CTL_OK;
}

int scan_begin(struct ctl *ctl, const char *socket, struct scan **ret_scan)
{
	AUTO(scan) struct scan *scan = NULL;
	int r = connect_scanner(ctl, socket, &scan);

	if (r == CTL_OK && !send_all(scan, "zINSTREAM", sizeof("zINSTREAM"))) {
		r = unreachable(ctl, socket, strerror(errno));
	}
	if (r == CTL_OK) {
		*ret_scan = TAKE(scan);
	}
	return r;
}

int scan_add(struct ctl *ctl, struct scan *scan, const uint8_t *bytes, size_t count)
{
	uint8_t head[4] = { (uint8_t)(count >> 24), (uint8_t)(count >> 16), (uint8_t)(count >> 8),
		(uint8_t)count };

	if (!scan->over && count > 0) {
		scan->over = !send_all(scan, head, sizeof(head)) || !send_all(scan, bytes, count);
	}
	return CTL_OK;
}

int scan_end(struct ctl *ctl, struct scan *scan)
{
	static const uint8_t end[4] = { 0 };
	char answer[ANSWER_BYTES_MAX], *found;
	bool over = scan->over || !send_all(scan, end, sizeof(end));
	int r = take_answer(ctl, scan, answer);

	if (r != CTL_OK) {
		return r;
	}
	if (!over && strcmp(answer, "stream: OK") == 0) {
		return CTL_OK;
	}
	found = strstr(answer, " FOUND");
	if (text_starts(answer, "stream: ") && found) {
		*found = '\0';
		return ctl_fail(ctl, CTL_REFUSED, "the virus scanner found %s", answer + 8);
	}
	return ctl_fail(ctl, CTL_REFUSED,
	        "the virus scanner has not looked at the whole file (%s): raise StreamMaxLength, "
	        "MaxFileSize and MaxScanSize in clamd.conf",
	        answer);
}

/* --- whether it can be relied on ----------------------------------------- */

/* The test string of EICAR, which every scanner finds. It is kept turned around, so that no scanner
 * finds this program. */
static void add_test_string(struct buf *out)
{
	static const char turned[] =
	        "*H+H$!ELIF-TSET-SURIVITNA-DRADNATS-RACIE$}7)CC7)^P(45XZP\\4[PA@%"
	        "P!O5X";
	char text[TEST_BYTES + 1] = "";

	for (size_t i = 0; i < TEST_BYTES; i++) {
		text[i] = turned[TEST_BYTES - 1 - i];
	}
	buf_add(out, text, TEST_BYTES);
}

static int check_finds(struct ctl *ctl, const char *socket)
{
	AUTO_BUF struct buf test = BUF(128);
	AUTO(scan) struct scan *scan = NULL;
	int r = scan_begin(ctl, socket, &scan);

	add_test_string(&test);
	if (r == CTL_OK) {
		r = scan_add(ctl, scan, test.bytes, test.count);
	}
	if (r == CTL_OK) {
		r = scan_end(ctl, scan);
	}
	if (r == CTL_OK) {
		return ctl_fail(ctl, CTL_REFUSED,
		        "the virus scanner at %s does not find the test string of EICAR: its data "
		        "base is empty or broken",
		        socket);
	}
	if (r == CTL_REFUSED && strstr(ctl->err.text, "scanner found")) {
		ctl->err = (struct err){ 0 };
		return CTL_OK;
	}
	return r;
}

static bool read_date(const char *text, const char *format, int64_t *ret_usec)
{
	struct tm parts = { 0 };
	const char *end = strptime(text, format, &parts);

	if (!end) {
		return false;
	}
	*ret_usec = (int64_t)timegm(&parts) * USEC_PER_SEC;
	return true;
}

/* "ClamAV 1.0.7/27468/Fri Nov 20 08:31:02 2026": the last part is missing without a daily data
 * base. The name is what stands in front of it. clamd prints its own time zone; half a day does not
 * matter to an age in days. */
static int ask_version(
        struct ctl *ctl, const char *socket, struct scanner_facts *facts, bool *ret_dated)
{
	char answer[ANSWER_BYTES_MAX], *date, *rest;
	AUTO(scan) struct scan *scan = NULL;
	int r = connect_scanner(ctl, socket, &scan);

	if (r == CTL_OK && !send_all(scan, "zVERSION", sizeof("zVERSION"))) {
		r = unreachable(ctl, socket, strerror(errno));
	}
	if (r == CTL_OK) {
		r = take_answer(ctl, scan, answer);
	}
	if (r != CTL_OK) {
		return r;
	}
	if (!text_starts(answer, "ClamAV ")) {
		return ctl_fail(ctl, CTL_REFUSED, "what answers at %s is not ClamAV", socket);
	}
	rest = strchr(answer, '/');
	date = rest ? strchr(rest + 1, '/') : NULL;
	*ret_dated = date && read_date(date + 1, "%a %b %d %H:%M:%S %Y", &facts->database_usec);
	if (date) {
		*date = '\0';
	}
	snprintf(facts->name, sizeof(facts->name), "%.63s", answer);
	return CTL_OK;
}

/* The date in the header of a data base ("ClamAV-VDB:07 Nov 2026 09-38 +0000:…"), or the file's. */
static bool file_date(int directory, const char *name, int64_t *ret_usec)
{
	static const char *const kinds[] = { ".cvd", ".cld", ".ndb", ".hdb", ".hsb", ".ldb", ".mdb",
		".yar" };
	const char *suffix = strrchr(name, '.');
	char header[HEADER_BYTES + 1] = "";
	struct stat about;
	AUTO_FD int fd = -1;
	bool known = false;

	for (size_t i = 0; suffix && i < ARRAY_COUNT(kinds); i++) {
		known |= strcmp(suffix, kinds[i]) == 0;
	}
	fd = known ? openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) : -1;
	if (fd < 0 || fstat(fd, &about) != 0 || !S_ISREG(about.st_mode)) {
		return false;
	}
	if (read(fd, header, HEADER_BYTES) > 0 && text_starts(header, "ClamAV-VDB:")) {
		return read_date(header + 11, "%d %b %Y %H-%M", ret_usec);
	}
	*ret_usec = (int64_t)about.st_mtime * USEC_PER_SEC;
	return true;
}

static bool newest_date(const char *path, int64_t *ret_usec)
{
	DIR *directory = opendir(path);
	struct dirent *entry;
	bool found = false;

	while (directory && (entry = readdir(directory))) {
		int64_t usec;

		if (file_date(dirfd(directory), entry->d_name, &usec) &&
		        (!found || usec > *ret_usec)) {
			*ret_usec = usec;
			found = true;
		}
	}
	if (directory) {
		closedir(directory);
	}
	return found;
}

int scanner_check(struct ctl *ctl, const char *socket, const char *database, int64_t age_sec_max,
        struct scanner_facts *ret_facts)
{
	int64_t now = clock_wall_usec();
	bool dated = false;
	int r;

	*ret_facts = (struct scanner_facts){ 0 };
	r = ask_version(ctl, socket, ret_facts, &dated);
	if (r != CTL_OK) {
		return r;
	}
	if (!dated && !newest_date(database, &ret_facts->database_usec)) {
		return ctl_fail(ctl, CTL_REFUSED,
		        "how old the virus scanner's data base is cannot be told: it says nothing "
		        "of it, and there is none in %s (--scanner-database)",
		        database);
	}
	if (ret_facts->database_usec < now - age_sec_max * USEC_PER_SEC) {
		return ctl_fail(ctl, CTL_REFUSED,
		        "the virus scanner's data base is of %s and too old: bring it up to date "
		        "(freshclam)",
		        time_print(ret_facts->database_usec).text);
	}
	return check_finds(ctl, socket);
}
