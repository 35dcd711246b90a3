/*
 * ZIP archives (APPNOTE 6.3), and the documents that are ZIP archives. The directory at the end
 * names the entries; each must also stand where it says, one behind the other without a gap, since
 * some programs unpack from the front and would find what the directory does not name.
 */
#include "model/file_kind_private.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

#include "base/limits.h"
#include "base/mem.h"

#define END_BYTES 22
#define END_SEARCH_BYTES (END_BYTES + 65535) /* with the longest comment */
#define DIRECTORY_BYTES 46
#define LOCAL_BYTES 30
#define DESCRIPTOR_BYTES_MAX 24
#define ZIP_NAME_BYTES_MAX 1024
#define STORED 0
#define DEFLATED 8
#define FLAG_ENCRYPTED 1
#define FLAG_DESCRIPTOR 8

struct entry {
	char name[ZIP_NAME_BYTES_MAX + 1];
	unsigned flags, method;
	uint64_t packed, bytes, at; /* at: of the local header */
};

static unsigned u16(const uint8_t *at)
{
	return at[0] | (unsigned)at[1] << 8;
}

static uint32_t u32(const uint8_t *at)
{
	return u16(at) | (uint32_t)u16(at + 2) << 16;
}

struct zip {
	const struct file_view *view;
	struct file_walk *walk;
	uint64_t directory, directory_bytes, end;
	unsigned count;
};

/* Outcome 1: there is no end of an archive. */
static int find_end(struct zip *zip, struct err *err)
{
	const struct file_view *view = zip->view;
	size_t count = view->bytes < END_SEARCH_BYTES ? (size_t)view->bytes : END_SEARCH_BYTES;
	AUTO_STRING char *memory = NULL;
	uint8_t *tail;
	int r;

	if (count < END_BYTES) {
		return 1;
	}
	memory = mem_new(1, count);
	tail = (uint8_t *)memory;
	r = view->read(view->context, view->bytes - count, tail, count, err);
	for (size_t i = count - END_BYTES + 1; r == 0 && i-- > 0;) {
		if (memcmp(tail + i, "PK\5\6", 4) == 0 &&
		        i + END_BYTES + u16(tail + i + 20) <= count) {
			zip->end = view->bytes - count + i;
			zip->count = u16(tail + i + 10);
			zip->directory_bytes = u32(tail + i + 12);
			zip->directory = u32(tail + i + 16);
			return 0;
		}
	}
	return r < 0 ? r : 1;
}

/* --- one entry ----------------------------------------------------------- */

/* What is known by names: parts of documents that carry a program, whatever they contain. */
static enum file_kind part_kind(const struct entry *entry, struct err *err)
{
	const char *slash = strrchr(entry->name, '/'), *last = slash ? slash + 1 : entry->name;

	if (strcasecmp(last, "vbaProject.bin") == 0) {
		return file_found(err, FILE_MACRO, "a document with macros (VBA)");
	}
	if (strncmp(entry->name, "Basic/", 6) == 0 || strncmp(entry->name, "Scripts/", 8) == 0) {
		return file_found(err, FILE_MACRO, "a document with macros (OpenDocument)");
	}
	if (strcasecmp(entry->name, "META-INF/MANIFEST.MF") == 0) {
		return file_found(err, FILE_PROGRAM, "a Java program");
	}
	if (strstr(entry->name, "xl/macrosheets/")) {
		return file_found(err, FILE_MACRO, "a document with macros (Excel 4)");
	}
	return FILE_PLAIN;
}

struct unpack {
	struct zip *zip;
	const struct entry *entry;
	uint64_t data; /* where the packed bytes begin */
	uint8_t *out;
	size_t room, count;
};

static int unpack_stored(struct unpack *unpack, struct err *err)
{
	const struct file_view *view = unpack->zip->view;

	unpack->count =
	        unpack->entry->packed < unpack->room ? (size_t)unpack->entry->packed : unpack->room;
	return view->read(view->context, unpack->data, unpack->out, unpack->count, err);
}

/* Outcome 1: damaged. */
static int unpack_deflated(struct unpack *unpack, struct err *err)
{
	const struct file_view *view = unpack->zip->view;
	uint64_t at = unpack->data, left = unpack->entry->packed;
	uint8_t bytes[FILE_HEAD_BYTES];
	z_stream stream = { 0 };
	int status = Z_OK, r = 0;

	assert_always(inflateInit2(&stream, -MAX_WBITS) == Z_OK);
	stream.next_out = unpack->out;
	stream.avail_out = (uInt)unpack->room;
	while (r == 0 && status == Z_OK && stream.avail_out > 0) {
		if (stream.avail_in == 0) {
			size_t count = left < sizeof(bytes) ? (size_t)left : sizeof(bytes);

			if (count == 0) {
				break;
			}
			r = view->read(view->context, at, bytes, count, err);
			at += count;
			left -= count;
			stream.next_in = bytes;
			stream.avail_in = (uInt)count;
		}
		if (r == 0) {
			status = inflate(&stream, Z_NO_FLUSH);
		}
	}
	unpack->count = unpack->room - stream.avail_out;
	inflateEnd(&stream);
	return r != 0 ? r : status == Z_STREAM_END || stream.avail_out == 0 ? 0 : 1;
}

static int unpack_entry(struct unpack *unpack, struct err *err)
{
	return unpack->entry->method == STORED ? unpack_stored(unpack, err)
	                                       : unpack_deflated(unpack, err);
}

/* [Content_Types].xml names the parts of a document: a renamed one with macros is still one. */
static enum file_kind types_kind(const uint8_t *bytes, size_t count, struct err *err)
{
	static const char *const words[] = { "vbaProject", "macroEnabled", "vbaData",
		"macrosheet" };

	for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
		if (memmem(bytes, count, words[i], strlen(words[i]))) {
			return file_found(err, FILE_MACRO, "a document with macros (%s)", words[i]);
		}
	}
	return FILE_PLAIN;
}

struct memory {
	const uint8_t *bytes;
	size_t count;
};

static int read_memory(void *context, uint64_t offset, void *bytes, size_t count, struct err *err)
{
	const struct memory *memory = context;

	assert_always(offset <= memory->count && count <= memory->count - offset);
	if (count > 0) {
		memcpy(bytes, memory->bytes + offset, count);
	}
	return 0;
}

/* The whole of the entry is in memory: an archive, a document, or a list of types. */
static int whole_kind(struct unpack *unpack, enum file_kind *ret_kind, struct err *err)
{
	struct memory memory = { unpack->out, unpack->count };
	struct file_view view = { read_memory, &memory, unpack->count };
	struct file_walk *walk = unpack->zip->walk;
	int r;

	if (walk->depth >= FILE_ARCHIVE_DEPTH_MAX && file_head_is_zip(unpack->out, unpack->count)) {
		*ret_kind = file_found(err, FILE_ARCHIVE,
		        "an archive deeper than %d inside another, which is not looked into",
		        FILE_ARCHIVE_DEPTH_MAX);
		return 0;
	}
	if (strcmp(unpack->entry->name, "[Content_Types].xml") == 0) {
		*ret_kind = types_kind(unpack->out, unpack->count, err);
		return 0;
	}
	walk->depth++;
	r = file_walk_kind(&view, unpack->entry->name, walk, ret_kind, err);
	walk->depth--;
	return r;
}

/* The head is enough for most; what has more in it is unpacked whole. A stored or badly named
 * archive shows itself by its head; one behind something else only as a whole, and a program that
 * would find it there has to be started first. */
static int content_kind(struct zip *zip, const struct entry *entry, uint64_t data,
        enum file_kind *ret_kind, struct err *err)
{
	uint8_t head[FILE_HEAD_BYTES];
	struct unpack unpack = { zip, entry, data, head, sizeof(head), 0 };
	int r = unpack_entry(&unpack, err);

	if (r == 0) {
		*ret_kind = file_head_kind(head, unpack.count, err);
	}
	if (r != 0 || *ret_kind != FILE_PLAIN) {
		return r;
	}
	if (!file_head_is_ole(head, unpack.count) && !file_head_is_zip(head, unpack.count) &&
	        strcmp(entry->name, "[Content_Types].xml") != 0) {
		return 0;
	}
	if (entry->bytes > FILE_ARCHIVE_INNER_BYTES_MAX) {
		*ret_kind = file_found(err, FILE_ARCHIVE,
		        "an archive or document of more than %d bytes inside an archive",
		        FILE_ARCHIVE_INNER_BYTES_MAX);
		return 0;
	}
	/* One byte more than announced: that one is there is a lie about the size. */
	unpack.room = (size_t)entry->bytes + 1;
	unpack.out = mem_new(1, unpack.room);
	r = unpack_entry(&unpack, err);
	if (r == 0) {
		r = unpack.count != entry->bytes ? 1 : whole_kind(&unpack, ret_kind, err);
	}
	free(unpack.out);
	return r;
}

/* The local header must say what the directory says, and the packed bytes lie in front of `end`. */
static int check_local(
        struct zip *zip, const struct entry *entry, uint64_t *ret_data, struct err *err)
{
	uint8_t local[LOCAL_BYTES + ZIP_NAME_BYTES_MAX];
	size_t name = strlen(entry->name);
	int r;

	if (entry->at > zip->directory || zip->directory - entry->at < LOCAL_BYTES + name) {
		return 1;
	}
	r = zip->view->read(zip->view->context, entry->at, local, LOCAL_BYTES + name, err);
	if (r != 0) {
		return r;
	}
	if (memcmp(local, "PK\3\4", 4) != 0 || u16(local + 26) != name ||
	        memcmp(local + LOCAL_BYTES, entry->name, name) != 0 ||
	        u16(local + 8) != entry->method ||
	        ((u16(local + 6) ^ entry->flags) & (FLAG_ENCRYPTED | FLAG_DESCRIPTOR)) ||
	        (!(entry->flags & FLAG_DESCRIPTOR) &&
	                (u32(local + 18) != entry->packed || u32(local + 22) != entry->bytes))) {
		return 1;
	}
	*ret_data = entry->at + LOCAL_BYTES + name + u16(local + 28);
	return *ret_data <= zip->directory && zip->directory - *ret_data >= entry->packed ? 0 : 1;
}

static int entry_kind(struct zip *zip, const struct entry *entry, uint64_t *ret_end,
        enum file_kind *ret_kind, struct err *err)
{
	uint64_t data;
	int r = check_local(zip, entry, &data, err);

	*ret_kind = FILE_PLAIN;
	if (r != 0) {
		return r;
	}
	*ret_end =
	        data + entry->packed + (entry->flags & FLAG_DESCRIPTOR ? DESCRIPTOR_BYTES_MAX : 0);
	if (entry->flags & FLAG_ENCRYPTED) {
		*ret_kind = file_found(err, FILE_ARCHIVE, "encrypted: it cannot be looked into");
	} else if (entry->method != STORED && entry->method != DEFLATED) {
		*ret_kind = file_found(err, FILE_ARCHIVE,
		        "packed by a method (%u) that is not looked into", entry->method);
	} else if (entry->bytes > (uint64_t)FILE_ARCHIVE_BYTES_MAX - zip->walk->unpacked ||
	           entry->bytes / FILE_ARCHIVE_RATIO_MAX > entry->packed) {
		*ret_kind = file_found(err, FILE_BOMB, "unpacks to %llu bytes from %llu",
		        (unsigned long long)entry->bytes, (unsigned long long)entry->packed);
	}
	if (*ret_kind == FILE_PLAIN) {
		zip->walk->unpacked += entry->bytes;
		*ret_kind = part_kind(entry, err);
	}
	if (*ret_kind == FILE_PLAIN) {
		*ret_kind = file_name_kind(entry->name, err);
	}
	return *ret_kind == FILE_PLAIN && entry->bytes > 0
	               ? content_kind(zip, entry, data, ret_kind, err)
	               : 0;
}

/* --- the directory ------------------------------------------------------- */

/* Outcome 1: not an entry. */
static int read_entry(struct zip *zip, uint64_t *at, struct entry *entry, struct err *err)
{
	uint8_t bytes[DIRECTORY_BYTES];
	size_t name;
	int r;

	if (zip->end - *at < DIRECTORY_BYTES) {
		return 1;
	}
	r = zip->view->read(zip->view->context, *at, bytes, sizeof(bytes), err);
	if (r != 0) {
		return r;
	}
	name = u16(bytes + 28);
	if (memcmp(bytes, "PK\1\2", 4) != 0 || name > ZIP_NAME_BYTES_MAX ||
	        zip->end - *at - DIRECTORY_BYTES < name) {
		return 1;
	}
	r = zip->view->read(zip->view->context, *at + DIRECTORY_BYTES, entry->name, name, err);
	entry->name[name] = '\0';
	entry->flags = u16(bytes + 8);
	entry->method = u16(bytes + 10);
	entry->packed = u32(bytes + 20);
	entry->bytes = u32(bytes + 24);
	entry->at = u32(bytes + 42);
	*at += DIRECTORY_BYTES + name + u16(bytes + 30) + u16(bytes + 32);
	return r != 0 ? r : strlen(entry->name) != name || *at > zip->end ? 1 : 0;
}

/* Puts where the archive was found in front of what was found. */
static int finish(int r, const struct entry *entry, enum file_kind *ret_kind, struct err *err)
{
	if (r > 0) {
		*ret_kind = file_found(err, FILE_ARCHIVE, "a damaged ZIP archive");
		r = 0;
	}
	if (r == 0 && *ret_kind != FILE_PLAIN) {
		r = err_wrap(err, 0, "%.100s", entry->name);
	}
	return r;
}

static int walk_entries(struct zip *zip, enum file_kind *ret_kind, struct err *err)
{
	uint64_t at = zip->directory, next = 0, slack = 0;
	struct entry *entry = mem_new(1, sizeof(*entry));
	int r = 0;

	*ret_kind = FILE_PLAIN;
	for (unsigned i = 0; i < zip->count && r == 0 && *ret_kind == FILE_PLAIN; i++) {
		uint64_t end = 0;

		r = read_entry(zip, &at, entry, err);
		/* The next entry begins where the last one ended, or a descriptor later. */
		if (r == 0 && (entry->at > next || next - entry->at > slack)) {
			r = 1;
		}
		if (r == 0) {
			r = entry_kind(zip, entry, &end, ret_kind, err);
		}
		next = end;
		slack = entry->flags & FLAG_DESCRIPTOR ? DESCRIPTOR_BYTES_MAX : 0;
		r = finish(r, entry, ret_kind, err);
	}
	free(entry);
	if (r == 0 && *ret_kind == FILE_PLAIN &&
	        (at != zip->end || zip->directory > next || next - zip->directory > slack)) {
		*ret_kind = file_found(err, FILE_ARCHIVE,
		        "a ZIP archive with something in it that its directory does not name");
	}
	return r;
}

static int check_moved(struct zip *zip, enum file_kind *ret_kind, struct err *err)
{
	uint8_t bytes[4];
	int r;

	if (zip->directory_bytes < DIRECTORY_BYTES || zip->directory_bytes > zip->end) {
		return 1;
	}
	r = zip->view->read(
	        zip->view->context, zip->end - zip->directory_bytes, bytes, sizeof(bytes), err);
	if (r != 0 || memcmp(bytes, "PK\1\2", 4) != 0) {
		return r < 0 ? r : 1;
	}
	*ret_kind = file_found(err, FILE_ARCHIVE, "a ZIP archive behind something else");
	return 0;
}

int file_zip_kind(const struct file_view *view, struct file_walk *walk, enum file_kind *ret_kind,
        struct err *err)
{
	struct zip zip = { .view = view, .walk = walk };
	int r = find_end(&zip, err);

	if (r != 0) {
		return r;
	}
	if (zip.count == 0xffff || zip.directory == 0xffffffff ||
	        zip.directory_bytes == 0xffffffff) {
		*ret_kind = file_found(err, FILE_ARCHIVE,
		        "a ZIP archive in its 64 bit form, which is not looked into");
		return 0;
	}
	/* Something else with the four letters in it is no archive. One that was put behind another
	 * file has the directory where its length says, not where its offset says. */
	if (zip.directory > zip.end || zip.end - zip.directory != zip.directory_bytes) {
		return check_moved(&zip, ret_kind, err);
	}
	return walk_entries(&zip, ret_kind, err);
}
