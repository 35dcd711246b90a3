/*
 * Compound documents (MS-CFB): the names of their storages and streams tell whether a program is in
 * them. Only the directory is read, along the chain of sectors that the allocation table gives.
 */
#include "model/file_kind_private.h"

#include <string.h>

#include "base/limits.h"
#include "base/mem.h"

#define HEADER_BYTES 512
#define ENTRY_BYTES 128
#define ENTRIES_MAX 65536 /* a document with a thousand embedded objects has some 10,000 */
#define NONE 0xfffffffau  /* this and above are marks and no sectors */
#define DIFAT_IN_HEADER 109

struct ole {
	const struct file_view *view;
	uint64_t sector_bytes;
	uint32_t sectors;
	uint8_t header[HEADER_BYTES];
	uint8_t sector[4096];
};

static uint32_t u32(const uint8_t *at)
{
	return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
	       (uint32_t)at[3] << 24;
}

/* Outcome 1: outside the file. The last sector may be cut short by the writer. */
static int read_sector(struct ole *ole, uint32_t sector, struct err *err)
{
	uint64_t at = ((uint64_t)sector + 1) * ole->sector_bytes, count = ole->sector_bytes;

	if (sector >= NONE || at >= ole->view->bytes) {
		return 1;
	}
	if (count > ole->view->bytes - at) {
		count = ole->view->bytes - at;
		memset(ole->sector, 0, sizeof(ole->sector));
	}
	return ole->view->read(ole->view->context, at, ole->sector, (size_t)count, err);
}

/* The sector that has part `index` of the allocation table. Outcome 1: there is none. */
static int table_sector(struct ole *ole, uint32_t index, uint32_t *ret_sector, struct err *err)
{
	uint32_t per = (uint32_t)(ole->sector_bytes / 4) - 1, next = u32(ole->header + 68);

	if (index < DIFAT_IN_HEADER) {
		*ret_sector = u32(ole->header + 76 + 4 * (size_t)index);
		return *ret_sector >= NONE;
	}
	index -= DIFAT_IN_HEADER;
	for (uint32_t step = 0; step <= ole->sectors; step++) {
		int r = read_sector(ole, next, err);

		if (r != 0) {
			return r;
		}
		if (index < per) {
			*ret_sector = u32(ole->sector + 4 * (size_t)index);
			return *ret_sector >= NONE;
		}
		index -= per;
		next = u32(ole->sector + 4 * (size_t)per);
	}
	return 1;
}

static int next_sector(struct ole *ole, uint32_t sector, uint32_t *ret_next, struct err *err)
{
	uint32_t per = (uint32_t)(ole->sector_bytes / 4), table = 0;
	int r = table_sector(ole, sector / per, &table, err);

	if (r == 0) {
		r = read_sector(ole, table, err);
	}
	if (r == 0) {
		*ret_next = u32(ole->sector + 4 * (size_t)(sector % per));
	}
	return r;
}

/* The entry's name in small ASCII letters; other characters as '?'. */
static void entry_name(const uint8_t *entry, char out[32])
{
	size_t bytes = (size_t)(entry[64] | entry[65] << 8), count = 0;

	for (size_t i = 0; i + 2 < bytes && i < 62; i += 2) {
		uint8_t byte = entry[i];

		out[count++] = (char)(entry[i + 1] != 0            ? '?'
		                      : byte >= 'A' && byte <= 'Z' ? byte + 'a' - 'A'
		                                                   : byte);
	}
	out[count] = '\0';
}

static enum file_kind entry_kind(const uint8_t *entry, struct err *err)
{
	static const struct {
		const char *name;
		enum file_kind kind;
		const char *what;
	} names[] = {
		{ "_vba_project", FILE_MACRO, "a document with macros (VBA)" },
		{ "_vba_project_cur", FILE_MACRO, "a document with macros (VBA)" },
		{ "vba", FILE_MACRO, "a document with macros (VBA)" },
		{ "macros", FILE_MACRO, "a document with macros (VBA)" },
		{ "\1ole10native", FILE_MACRO, "a document with a file embedded as a package" },
		{ "\5digitalsignature", FILE_INSTALLER, "an installation package (MSI)" },
	};
	/* CLSIDs of an installation package, a patch and a transform: {000C108x-0000-…46}. */
	static const uint8_t installer[] = { 0x10, 0x0c, 0x00, 0, 0, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0,
		0x46 };
	char name[32];

	if (entry[66] == 0) {
		return FILE_PLAIN; /* not in use */
	}
	entry_name(entry, name);
	for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
		if (strcmp(name, names[i].name) == 0) {
			return file_found(err, names[i].kind, "%s", names[i].what);
		}
	}
	if (memcmp(entry + 81, installer, sizeof(installer)) == 0 && (entry[80] & 0xf8) == 0x80) {
		return file_found(err, FILE_INSTALLER, "an installation package (MSI)");
	}
	return FILE_PLAIN;
}

static int walk_directory(struct ole *ole, enum file_kind *ret_kind, struct err *err)
{
	uint32_t sector = u32(ole->header + 48), seen = 0;

	*ret_kind = FILE_PLAIN;
	while (sector < NONE) {
		int r = read_sector(ole, sector, err);

		if (r != 0) {
			return r;
		}
		for (uint64_t at = 0; at < ole->sector_bytes; at += ENTRY_BYTES) {
			*ret_kind = entry_kind(ole->sector + at, err);
			if (*ret_kind != FILE_PLAIN) {
				return 0;
			}
			if (++seen > ENTRIES_MAX) {
				return 1;
			}
		}
		r = next_sector(ole, sector, &sector, err);
		if (r != 0) {
			return r;
		}
	}
	return seen > 0 ? 0 : 1;
}

int file_ole_kind(const struct file_view *view, enum file_kind *ret_kind, struct err *err)
{
	struct ole ole = { .view = view };
	unsigned shift;
	int r = 1;

	if (view->bytes >= HEADER_BYTES) {
		r = view->read(view->context, 0, ole.header, HEADER_BYTES, err);
		shift = ole.header[30] | (unsigned)ole.header[31] << 8;
		if (r == 0 && shift != 9 && shift != 12) {
			r = 1;
		}
		if (r == 0) {
			ole.sector_bytes = 1ULL << shift;
			ole.sectors = (uint32_t)(view->bytes >> shift);
			r = walk_directory(&ole, ret_kind, err);
		}
	}
	if (r > 0) {
		*ret_kind = file_found(err, FILE_ARCHIVE,
		        "a damaged compound document, which cannot be looked into");
	}
	return r < 0 ? r : 0;
}
