/* Files before they leave: what kind they are, their names, their labels. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/file_kind.h"
#include "model/file_label.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static void check(bool held)
{
	if (!held) {
		abort();
	}
}

static void fuzz_kind(const uint8_t *bytes, size_t count)
{
	enum file_kind kind = FILE_UNKNOWN, again = FILE_UNKNOWN;
	struct err err = { "" };

	check(file_kind_of_bytes(bytes, count, "x.dat", 0, &kind, &err) == 0);
	check(kind != FILE_UNKNOWN && kind <= FILE_BOMB);
	check((kind == FILE_PLAIN) == (*err.text == '\0'));
	/* A name can only take away; and what begins like a program is one, whatever follows. */
	check(file_kind_of_bytes(bytes, count, "x.exe", 0, &again, NULL) == 0);
	check(again != FILE_PLAIN);
	check(count < 4 ||
	        memcmp(bytes,
	                "\x7f"
	                "ELF",
	                4) != 0 ||
	        kind == FILE_PROGRAM);
}

static void fuzz_name(const uint8_t *bytes, size_t count)
{
	AUTO_STRING char *text = mem_new(1, count + 1);
	char name[FILE_NAME_BYTES_MAX + 1], again[FILE_NAME_BYTES_MAX + 1];

	memcpy(text, bytes, count);
	file_name_clean(text, name);
	check(file_name_check(name, NULL) == 0 && !strchr(name, '/'));
	file_name_clean(name, again);
	check(strcmp(name, again) == 0);
	/* What is right already stays as it is. */
	check(file_name_check(text, NULL) != 0 || strcmp(text, name) == 0);
}

static void fuzz_label(const uint8_t *bytes, size_t count)
{
	AUTO_BUF struct buf out = BUF(2 * FILE_LABEL_BYTES_MAX);
	struct file_label label;
	struct err err = { "" };

	if (file_label_parse(bytes, count, &label, &err) != 0) {
		check(*err.text != '\0');
		return;
	}
	file_label_print(&label, &out);
	check(out.count == count && memcmp(out.bytes, bytes, count) == 0);
	check(file_name_check(label.name, NULL) == 0 && label.recipient_count > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
	if (count > 0) {
		switch (bytes[0] % 3) {
		case 0:
			fuzz_kind(bytes + 1, count - 1);
			break;
		case 1:
			fuzz_name(bytes + 1, count - 1);
			break;
		default:
			fuzz_label(bytes + 1, count - 1);
			break;
		}
	}
	return 0;
}
