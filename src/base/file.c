#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define READ_BYTES 4096

int file_read(const char *path, struct buf *out, struct err *err)
{
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		return err_set(err, -errno, "cannot read %s: %s", path, strerror(errno));
	}
	for (;;) {
		uint8_t piece[READ_BYTES]; /* on the stack of each process for as long as it runs */
		size_t room = out->count_max - out->count;
		size_t want = room < sizeof(piece) ? room + 1 : sizeof(piece);
		ssize_t got = read(fd, piece, want);

		if (got < 0 && errno == EINTR) {
			continue;
		}
		if (got < 0) {
			return err_set(err, -errno, "cannot read %s: %s", path, strerror(errno));
		}
		if (got == 0) {
			return 0;
		}
		buf_add(out, piece, (size_t)got);
		if (out->overflowed) {
			return err_set(err, -EFBIG,
			        "%s is larger than the %zu bytes that are read of such a file",
			        path, out->count_max);
		}
	}
}

static int write_whole(int fd, const uint8_t *bytes, size_t count)
{
	while (count > 0) {
		ssize_t done = write(fd, bytes, count);

		if (done < 0 && errno == EINTR) {
			continue;
		}
		if (done < 0) {
			return -errno;
		}
		bytes += done;
		count -= (size_t)done;
	}
	return 0;
}

static int sync_directory_of(const char *path)
{
	AUTO_STRING char *copy = mem_string(path);
	AUTO_FD int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fsync(fd) < 0) {
		return -errno;
	}
	return 0;
}

int file_replace(const char *path, const void *bytes, size_t count, unsigned mode, struct err *err)
{
	AUTO_STRING char *beside = mem_format("%s.new", path);
	AUTO_FD int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	int r = 0;

	if (fd < 0) {
		return err_set(err, -errno, "cannot write %s: %s", beside, strerror(errno));
	}
	if (fchmod(fd, mode) < 0) {
		r = -errno;
	}
	if (r == 0) {
		r = write_whole(fd, bytes, count);
	}
	if (r == 0 && fsync(fd) < 0) {
		r = -errno;
	}
	if (r == 0 && rename(beside, path) < 0) {
		r = -errno;
	}
	if (r == 0) {
		r = sync_directory_of(path);
	}
	if (r < 0) {
		unlink(beside);
		return err_set(err, r, "cannot write %s: %s", path, strerror(-r));
	}
	return 0;
}

int file_read_secret(const char *path, char *out, size_t out_bytes, struct err *err)
{
	struct buf text = BUF(out_bytes);
	struct stat status;
	size_t count;
	int r;

	if (stat(path, &status) < 0) {
		return err_set(err, -errno, "cannot read %s: %s", path, strerror(errno));
	}
	if (status.st_mode & S_IRWXO) {
		return err_set(
		        err, 1, "%s can be read by everybody: set its mode to 0600 or 0640", path);
	}
	r = file_read(path, &text, err);
	if (r == 0) {
		count = strcspn(buf_text(&text), "\r\n");
		if (count == 0 || count >= out_bytes) {
			r = err_set(err, 1, "%s must hold one line of 1 to %zu characters", path,
			        out_bytes - 1);
		} else {
			memcpy(out, buf_text(&text), count);
			out[count] = '\0';
		}
	}
	if (text.bytes) {
		mem_wipe(text.bytes, text.room);
	}
	buf_clear(&text);
	return r;
}

int directory_make(const char *path, unsigned mode, struct err *err)
{
	AUTO_STRING char *copy = mem_string(path);

	for (char *at = copy + 1;; at++) {
		char saved = *at;

		if (saved != '/' && saved != '\0') {
			continue;
		}
		*at = '\0';
		/* The mode is the caller's, not that of whoever's umask we run with. */
		if (mkdir(copy, mode) == 0 ? chmod(copy, mode) < 0 : errno != EEXIST) {
			return err_set(err, -errno, "cannot make the directory %s: %s", copy,
			        strerror(errno));
		}
		if (saved == '\0') {
			return 0;
		}
		*at = saved;
	}
}

uint64_t disk_free_bytes(const char *path)
{
	struct statvfs status;

	if (statvfs(path, &status) < 0) {
		return 0;
	}
	return (uint64_t)status.f_bavail * status.f_frsize;
}
