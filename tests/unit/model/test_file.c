#include "../check.h"

#include "base/clock.h"
#include "base/mem.h"
#include "model/file_kind.h"
#include "model/file_label.h"

static enum file_kind kind_of(const void *bytes, size_t count, const char *name)
{
	enum file_kind kind = FILE_UNKNOWN;

	CHECK(file_kind_of_bytes(bytes, count, name, 0, &kind, NULL) == 0);
	return kind;
}

#define KIND(literal, name) kind_of(literal, sizeof(literal) - 1, name)

/* SDS 49: by the content, whatever the name is; and by the name, whatever the content is. */
TEST(programs_and_scripts_are_known_by_content_and_by_name)
{
	CHECK(KIND("", "empty.txt") == FILE_PLAIN);
	CHECK(KIND("a report\n", "report.txt") == FILE_PLAIN);
	CHECK(KIND("MZ\x90", "report.txt") == FILE_PROGRAM);
	CHECK(KIND("\x7f"
	           "ELF",
	              "report.txt") == FILE_PROGRAM);
	CHECK(KIND("\xef\xbb\xbf#!/bin/sh", "report.txt") == FILE_SCRIPT);
	CHECK(KIND("@echo off\r\ngoto :end", "report.txt") == FILE_SCRIPT);
	CHECK(KIND("a report", "report.txt.EXE") == FILE_PROGRAM);
	CHECK(KIND("a report", "report.Docm") == FILE_MACRO);
	CHECK(KIND("\x1f\x8b\x08", "logs") == FILE_ARCHIVE);
	CHECK(KIND("PK\3\4 and no directory", "a.zip") == FILE_ARCHIVE);
	CHECK(KIND("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 cut", "a.doc") == FILE_ARCHIVE);
	CHECK_TEXT(file_kind_name(FILE_UNKNOWN), "unknown");
}

static const char *cleaned(const char *path)
{
	static char name[FILE_NAME_BYTES_MAX + 1];

	file_name_clean(path, name);
	CHECK(file_name_check(name, NULL) == 0);
	return name;
}

TEST(names_are_one_name_and_no_path)
{
	CHECK_TEXT(cleaned("/home/a/測定 結果.dcm"), "測定 結果.dcm");
	CHECK_TEXT(cleaned("C:\\data\\a.txt"), "a.txt");
	CHECK_TEXT(cleaned("../.."), "_");
	CHECK_TEXT(cleaned("/"), "file");
	CHECK_TEXT(cleaned("a\nb\x7f.txt"), "a_b_.txt");
	CHECK_TEXT(cleaned("a\xe2\x80\xae"
	                   "txt.exe"),
	        "a_txt.exe");
	CHECK_TEXT(cleaned("bad\xff\xfe"), "bad__");
	CHECK_TEXT(cleaned("con.txt"), "_on.txt");
	CHECK_TEXT(cleaned("-rf"), "_rf");
	CHECK_TEXT(cleaned("a. . "), "a");
	CHECK(file_name_check("..", NULL) != 0 && file_name_check("a/b", NULL) != 0);
	CHECK(file_name_check("", NULL) != 0 && file_name_check("lpt1", NULL) != 0);
	CHECK(file_name_check("\xed\xa0\x80", NULL) != 0); /* a surrogate */
}

TEST(a_long_name_is_cut_between_two_characters)
{
	AUTO_BUF struct buf name = BUF(2048);

	for (int i = 0; i < 300; i++) {
		buf_add_text(&name, "字");
	}
	CHECK(strlen(cleaned(buf_text(&name))) == FILE_NAME_BYTES_MAX);
}

TEST(a_label_comes_back_as_it_was_and_in_no_other_spelling)
{
	struct file_label label = { .bytes = 7, .recipient_count = 1, .recorded = true }, back;
	AUTO_BUF struct buf text = BUF(FILE_LABEL_BYTES_MAX);

	label.id = id_new(clock_wall_usec());
	memset(label.sha256, 'a', 64);
	memset(label.recipients[0].key, 'k', FILE_KEY_TEXT_BYTES);
	strcpy(label.recipients[0].person, "tanaka");
	strcpy(label.name, "測定.dcm");
	strcpy(label.sender, "suzuki");
	strcpy(label.from, "device-maker");
	strcpy(label.to, "core-hospital");
	strcpy(label.purpose, "校正");
	strcpy(label.scanner, "ClamAV");
	file_label_print(&label, &text);
	CHECK(file_label_parse(text.bytes, text.count, &back, NULL) == 0);
	CHECK_TEXT(back.name, label.name);
	CHECK_TEXT(back.scanner, "ClamAV");
	CHECK(back.recorded && back.bytes == 7 && back.recipient_count == 1);
	buf_add_text(&text, " ");
	CHECK(file_label_parse(text.bytes, text.count, &back, NULL) != 0);
}

TEST_MAIN()
