#include "audit/export.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

static int write_bundle(const struct export_source *source, const struct export_sink *sink,
        const struct tile *tile, struct err *err)
{
	AUTO_BUF struct buf bundle = BUF(BUNDLE_BYTES_MAX);
	AUTO_BUF struct buf entry = BUF(LEDGER_RECORD_BYTES_MAX);

	for (unsigned i = 0; i < tile->width; i++) {
		uint64_t index = tile->index * TILE_WIDTH + i;
		int r;

		buf_reset(&entry);
		r = source->entry(source->context, index, &entry, err);
		if (r < 0) {
			return FAULT(r);
		}
		if (entry.overflowed || bundle_add(&bundle, entry.bytes, entry.count) != 0) {
			return FAULT(err_set(err, -EMSGSIZE,
			        "entry %llu is empty or longer than %d bytes",
			        (unsigned long long)index, LEDGER_RECORD_BYTES_MAX));
		}
	}
	return sink->write(sink->context, tile_path(tile).text, bundle.bytes, bundle.count, err);
}

static int write_tile(const struct export_source *source, const struct export_sink *sink,
        const struct tile *tile, struct err *err)
{
	AUTO_BUF struct buf bytes = BUF(TILE_BYTES_MAX);
	int r = tile_build(source->store, tile, &bytes, err);

	if (r < 0) {
		return FAULT(r);
	}
	return sink->write(sink->context, tile_path(tile).text, bytes.bytes, bytes.count, err);
}

static int write_level(const struct export_source *source, const struct export_sink *sink,
        uint64_t size, unsigned level, const struct export_progress *progress, struct err *err)
{
	struct tile tile = { .level = level };

	for (; (tile.width = tile_width(size, level, tile.index)) > 0; tile.index++) {
		int r = write_tile(source, sink, &tile, err);

		if (r == 0 && level == 0) {
			tile.entries = true;
			r = write_bundle(source, sink, &tile, err);
			tile.entries = false;
		}
		if (r < 0) {
			return FAULT(r);
		}
		if (progress && level == 0) {
			progress->step(
			        progress->context, tile.index * TILE_WIDTH + tile.width, size);
		}
	}
	return 0;
}

int export_write(const struct export_source *source, const struct export_sink *sink,
        const struct export_progress *progress, struct err *err)
{
	struct checkpoint checkpoint;
	struct note note;
	int r;

	if (note_parse(source->checkpoint, source->checkpoint_bytes, &note, err) != 0 ||
	        checkpoint_parse(&note, &checkpoint, err) != 0) {
		return 1;
	}
	for (unsigned level = 0; level < TILE_LEVELS; level++) {
		r = write_level(source, sink, checkpoint.head.size, level, progress, err);
		if (r < 0) {
			return FAULT(r);
		}
	}
	return sink->write(
	        sink->context, "checkpoint", source->checkpoint, source->checkpoint_bytes, err);
}

static int directory_write(
        void *context, const char *path, const void *bytes, size_t count, struct err *err)
{
	AUTO_STRING char *whole = mem_format("%s/%s", (const char *)context, path);
	char *slash = strrchr(whole, '/');
	FILE *file;
	bool good;
	int r;

	*slash = '\0';
	r = directory_make(whole, 0755, err);
	*slash = '/';
	if (r < 0) {
		return FAULT(r);
	}
	file = fopen(whole, "we");
	if (!file) {
		return FAULT(err_set(err, -errno, "cannot write %s: %s", whole, strerror(errno)));
	}
	good = fwrite(bytes, 1, count, file) == count;
	good = fclose(file) == 0 && good;
	if (!good) {
		r = errno > 0 ? -errno : -EIO;
		return FAULT(err_set(err, r, "cannot write %s: %s", whole, strerror(-r)));
	}
	return 0;
}

int export_write_directory(const struct export_source *source, const char *directory,
        const struct export_progress *progress, struct err *err)
{
	struct export_sink sink = { .write = directory_write, .context = (void *)directory };
	int r = export_write(source, &sink, progress, err);

	if (r == 0) {
		AUTO_FD int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (fd < 0 || syncfs(fd) < 0) {
			r = err_set(err, -errno, "cannot sync %s: %s", directory, strerror(errno));
		}
	}
	return r < 0 ? FAULT(r) : r;
}

static int directory_read(void *context, const char *path, struct buf *out, struct err *err)
{
	AUTO_STRING char *whole = mem_format("%s/%s", (const char *)context, path);
	struct stat status;

	if (stat(whole, &status) < 0) {
		if (errno == ENOENT || errno == ENOTDIR) {
			return 1;
		}
		return FAULT(err_set(err, -errno, "cannot read %s: %s", whole, strerror(errno)));
	}
	return file_read(whole, out, err);
}

struct export_reader export_directory(const char *directory)
{
	return (struct export_reader){ .read = directory_read, .context = (void *)directory };
}
