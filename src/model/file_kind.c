#include "model/file_kind_private.h"

#include <string.h>
#include <strings.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"

#define TEXT(bytes) bytes, sizeof(bytes) - 1

/* What a file begins with. */
static const struct {
	const char *bytes;
	size_t count;
	size_t offset;
	enum file_kind kind;
	const char *what;
} magics[] = {
	{ TEXT("MZ"), 0, FILE_PROGRAM, "a Windows or DOS program" },
	{ TEXT("\x7f"
	       "ELF"),
	        0, FILE_PROGRAM, "a Linux program (ELF)" },
	{ TEXT("\xfe\xed\xfa\xce"), 0, FILE_PROGRAM, "a macOS program (Mach-O)" },
	{ TEXT("\xfe\xed\xfa\xcf"), 0, FILE_PROGRAM, "a macOS program (Mach-O)" },
	{ TEXT("\xce\xfa\xed\xfe"), 0, FILE_PROGRAM, "a macOS program (Mach-O)" },
	{ TEXT("\xcf\xfa\xed\xfe"), 0, FILE_PROGRAM, "a macOS program (Mach-O)" },
	{ TEXT("\xca\xfe\xba\xbe"), 0, FILE_PROGRAM, "a Java class or a macOS program" },
	{ TEXT("\xca\xfe\xba\xbf"), 0, FILE_PROGRAM, "a macOS program" },
	{ TEXT("\xca\xfe\xd0\x0d"), 0, FILE_PROGRAM, "a packed Java program" },
	{ TEXT("dex\n"), 0, FILE_PROGRAM, "an Android program" },
	{ TEXT("\0asm"), 0, FILE_PROGRAM, "a WebAssembly program" },
	{ TEXT("#!"), 0, FILE_SCRIPT, "a script" },
	{ TEXT("\xef\xbb\xbf#!"), 0, FILE_SCRIPT, "a script" },
	{ TEXT("#@~^"), 0, FILE_SCRIPT, "an encoded script" },
	{ TEXT("ITSF"), 0, FILE_SCRIPT, "a compiled help file, which can start programs" },
	{ TEXT("L\0\0\0\x01\x14\x02\0\0\0\0\0\xc0\0\0\0\0\0\0\x46"), 0, FILE_SHORTCUT,
	        "a Windows shortcut" },
	{ TEXT("!<arch>\n"), 0, FILE_INSTALLER, "an archive of programs (ar, deb)" },
	{ TEXT("\xed\xab\xee\xdb"), 0, FILE_INSTALLER, "an installation package (RPM)" },
	{ TEXT("xar!"), 0, FILE_INSTALLER, "an installation package (macOS)" },
	{ TEXT("MSCF"), 0, FILE_ARCHIVE, "a CAB archive" },
	{ TEXT("Rar!\x1a\x07"), 0, FILE_ARCHIVE, "a RAR archive" },
	{ TEXT("7z\xbc\xaf\x27\x1c"), 0, FILE_ARCHIVE, "a 7z archive" },
	{ TEXT("\x1f\x8b"), 0, FILE_ARCHIVE, "a gzip file" },
	{ TEXT("\x1f\x9d"), 0, FILE_ARCHIVE, "a compressed file" },
	{ TEXT("BZh"), 0, FILE_ARCHIVE, "a bzip2 file" },
	{ TEXT("\xfd"
	       "7zXZ\0"),
	        0, FILE_ARCHIVE, "an xz file" },
	{ TEXT("\x28\xb5\x2f\xfd"), 0, FILE_ARCHIVE, "a Zstandard file" },
	{ TEXT("\x04\x22\x4d\x18"), 0, FILE_ARCHIVE, "an LZ4 file" },
	{ TEXT("LZIP"), 0, FILE_ARCHIVE, "an lzip file" },
	{ TEXT("070701"), 0, FILE_ARCHIVE, "a cpio archive" },
	{ TEXT("ustar"), 257, FILE_ARCHIVE, "a tar archive" },
	{ TEXT("-lh"), 2, FILE_ARCHIVE, "an LZH archive" },
	{ TEXT("CONECTIX"), 0, FILE_ARCHIVE, "a disk image" },
	{ TEXT("vhdxfile"), 0, FILE_ARCHIVE, "a disk image" },
};

/* Names that start something whatever their content looks like: Windows goes by the name. */
static const struct {
	const char *suffix;
	enum file_kind kind;
} suffixes[] = {
	{ "exe", FILE_PROGRAM },
	{ "com", FILE_PROGRAM },
	{ "scr", FILE_PROGRAM },
	{ "pif", FILE_PROGRAM },
	{ "cpl", FILE_PROGRAM },
	{ "dll", FILE_PROGRAM },
	{ "sys", FILE_PROGRAM },
	{ "ocx", FILE_PROGRAM },
	{ "jar", FILE_PROGRAM },
	{ "apk", FILE_PROGRAM },
	{ "js", FILE_SCRIPT },
	{ "jse", FILE_SCRIPT },
	{ "mjs", FILE_SCRIPT },
	{ "vbs", FILE_SCRIPT },
	{ "vbe", FILE_SCRIPT },
	{ "wsf", FILE_SCRIPT },
	{ "wsh", FILE_SCRIPT },
	{ "wsc", FILE_SCRIPT },
	{ "sct", FILE_SCRIPT },
	{ "hta", FILE_SCRIPT },
	{ "bat", FILE_SCRIPT },
	{ "cmd", FILE_SCRIPT },
	{ "ps1", FILE_SCRIPT },
	{ "psm1", FILE_SCRIPT },
	{ "psd1", FILE_SCRIPT },
	{ "reg", FILE_SCRIPT },
	{ "inf", FILE_SCRIPT },
	{ "sh", FILE_SCRIPT },
	{ "command", FILE_SCRIPT },
	{ "chm", FILE_SCRIPT },
	{ "lnk", FILE_SHORTCUT },
	{ "url", FILE_SHORTCUT },
	{ "scf", FILE_SHORTCUT },
	{ "desktop", FILE_SHORTCUT },
	{ "library-ms", FILE_SHORTCUT },
	{ "settingcontent-ms", FILE_SHORTCUT },
	{ "appref-ms", FILE_SHORTCUT },
	{ "msi", FILE_INSTALLER },
	{ "msp", FILE_INSTALLER },
	{ "mst", FILE_INSTALLER },
	{ "msix", FILE_INSTALLER },
	{ "appx", FILE_INSTALLER },
	{ "deb", FILE_INSTALLER },
	{ "rpm", FILE_INSTALLER },
	{ "docm", FILE_MACRO },
	{ "dotm", FILE_MACRO },
	{ "xlsm", FILE_MACRO },
	{ "xltm", FILE_MACRO },
	{ "xlam", FILE_MACRO },
	{ "xll", FILE_PROGRAM },
	{ "pptm", FILE_MACRO },
	{ "potm", FILE_MACRO },
	{ "ppam", FILE_MACRO },
	{ "ppsm", FILE_MACRO },
	{ "sldm", FILE_MACRO },
	{ "iso", FILE_ARCHIVE },
	{ "img", FILE_ARCHIVE },
	{ "vhd", FILE_ARCHIVE },
};

/* Words of script languages. One can stand in a report; two of one language make a script. */
static const struct {
	const char *what;
	const char *words[14];
} languages[] = {
	{ "a Visual Basic script", { "createobject(", "wscript.", "end sub", "end function",
	                                   "on error resume next", "option explicit", "getobject(",
	                                   "dim ", "msgbox ", "executeglobal", NULL } },
	{ "a JavaScript", { "activexobject", "wscript.", "function(", "function (", "=> {", "eval(",
	                          "document.", "require(", "console.log(", "use strict", "window.",
	                          "const ", NULL } },
	{ "a Windows batch script", { "@echo off", "setlocal", "goto :", "%~dp0", "%comspec%",
	                                    "powershell -", "errorlevel", "start /b", NULL } },
	{ "a PowerShell script",
	        { "invoke-expression", "invoke-webrequest", "new-object ", "write-host", "param(",
	                "-executionpolicy", "$env:", "set-strictmode", "start-process",
	                "frombase64string", NULL } },
	{ "a page with a script", { "<script", "<hta:application",
	                                  "javascript:", "vbscript:", "onload=", "<html", NULL } },
};

const char *file_kind_name(enum file_kind kind)
{
	static const char *const names[] = {
		[FILE_UNKNOWN] = "unknown",
		[FILE_PLAIN] = "plain",
		[FILE_PROGRAM] = "program",
		[FILE_SCRIPT] = "script",
		[FILE_SHORTCUT] = "shortcut",
		[FILE_INSTALLER] = "installer",
		[FILE_MACRO] = "macro",
		[FILE_ARCHIVE] = "archive",
		[FILE_BOMB] = "bomb",
	};

	return (size_t)kind < ARRAY_COUNT(names) ? names[kind] : "unknown";
}

bool file_head_is_ole(const uint8_t *head, size_t count)
{
	return count >= 8 && memcmp(head, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 8) == 0;
}

bool file_head_is_zip(const uint8_t *head, size_t count)
{
	return count >= 4 && memcmp(head, "PK", 2) == 0 &&
	       (memcmp(head + 2, "\3\4", 2) == 0 || memcmp(head + 2, "\5\6", 2) == 0 ||
	               memcmp(head + 2, "\7\10", 2) == 0);
}

enum file_kind file_name_kind(const char *name, struct err *err)
{
	const char *suffix = strrchr(name, '.');

	for (size_t i = 0; suffix && i < ARRAY_COUNT(suffixes); i++) {
		if (strcasecmp(suffix + 1, suffixes[i].suffix) == 0) {
			return file_found(err, suffixes[i].kind,
			        "a file of the kind \"%s\", which can start a program", suffix);
		}
	}
	return FILE_PLAIN;
}

/* The text in small ASCII letters: of UTF-16 (with a mark) every other byte. "" when it is none. */
static size_t plain_letters(const uint8_t *head, size_t count, char out[FILE_HEAD_BYTES + 1])
{
	bool little = count >= 2 && head[0] == 0xff && head[1] == 0xfe;
	bool big = count >= 2 && head[0] == 0xfe && head[1] == 0xff;
	size_t step = little || big ? 2 : 1, written = 0;

	for (size_t i = little || big ? 2 + big : 0; i < count; i += step) {
		uint8_t byte = head[i];

		if (byte == 0) {
			return 0;
		}
		out[written++] = (char)(byte >= 'A' && byte <= 'Z' ? byte + 'a' - 'A' : byte);
	}
	out[written] = '\0';
	return written;
}

static enum file_kind text_kind(const uint8_t *head, size_t count, struct err *err)
{
	char text[FILE_HEAD_BYTES + 1];

	if (plain_letters(head, count, text) == 0) {
		return FILE_PLAIN;
	}
	for (size_t i = 0; i < ARRAY_COUNT(languages); i++) {
		unsigned seen = 0;

		for (size_t j = 0; languages[i].words[j]; j++) {
			seen += strstr(text, languages[i].words[j]) != NULL;
		}
		if (seen >= 2) {
			return file_found(err, FILE_SCRIPT, "%s", languages[i].what);
		}
	}
	return FILE_PLAIN;
}

enum file_kind file_head_kind(const uint8_t *head, size_t count, struct err *err)
{
	for (size_t i = 0; i < ARRAY_COUNT(magics); i++) {
		if (count >= magics[i].offset + magics[i].count &&
		        memcmp(head + magics[i].offset, magics[i].bytes, magics[i].count) == 0) {
			return file_found(err, magics[i].kind, "%s%s", magics[i].what,
			        magics[i].kind == FILE_ARCHIVE
			                ? ", which is not looked into: pack it as ZIP"
			                : "");
		}
	}
	return text_kind(head, count, err);
}

int file_walk_kind(const struct file_view *view, const char *name, struct file_walk *walk,
        enum file_kind *ret_kind, struct err *err)
{
	uint8_t head[FILE_HEAD_BYTES];
	size_t count = view->bytes < sizeof(head) ? (size_t)view->bytes : sizeof(head);
	int r = view->read(view->context, 0, head, count, err);

	*ret_kind = FILE_UNKNOWN;
	if (r != 0) {
		return FAULT(r);
	}
	*ret_kind = file_head_kind(head, count, err);
	if (*ret_kind == FILE_PLAIN) {
		*ret_kind = file_name_kind(name, err);
	}
	if (*ret_kind != FILE_PLAIN) {
		return 0;
	}
	if (file_head_is_ole(head, count)) {
		return file_ole_kind(view, ret_kind, err);
	}
	/* An archive may stand behind something else: programs find it from the end. */
	r = file_zip_kind(view, walk, ret_kind, err);
	if (r > 0) {
		*ret_kind = file_head_is_zip(head, count)
		                    ? file_found(err, FILE_ARCHIVE, "a damaged ZIP archive")
		                    : FILE_PLAIN;
	}
	return r < 0 ? r : 0;
}

int file_kind_of(
        const struct file_view *view, const char *name, enum file_kind *ret_kind, struct err *err)
{
	struct file_walk walk = { 0 };

	return file_walk_kind(view, name, &walk, ret_kind, err);
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

int file_kind_of_bytes(const void *bytes, size_t count, const char *name, unsigned depth,
        enum file_kind *ret_kind, struct err *err)
{
	struct memory memory = { bytes, count };
	struct file_view view = { read_memory, &memory, count };
	struct file_walk walk = { .depth = depth };

	return file_walk_kind(&view, name, &walk, ret_kind, err);
}
