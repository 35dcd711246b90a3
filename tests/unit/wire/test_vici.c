#include "../check.h"

#include <stdlib.h>

#include "wire/vici.h"

static struct vici_writer start(struct buf *out)
{
	return vici_packet_start(out, VICI_COMMAND, "load-conn");
}

/* strongSwan's README shows this encoding byte by byte. */
TEST(encoding_is_the_documented_one)
{
	static const char want[] = "\0\0\0\x37"
	                           "\x07\x04test"
	                           "\x03\x04key1\0\x06value1"
	                           "\x01\x08section1"
	                           "\x04\x05list1\x05\0\x05item1\x06"
	                           "\x02";
	AUTO_BUF struct buf out = BUF(1000);
	struct vici_writer writer = vici_packet_start(&out, VICI_EVENT, "test");

	vici_text(&writer, "key1", "value1");
	vici_section_start(&writer, "section1");
	vici_list_text(&writer, "list1", "item1");
	vici_section_end(&writer);
	CHECK(vici_packet_end(&writer) == 0);
	CHECK(out.count == sizeof(want) - 1);
	CHECK(out.bytes[3] == out.count - 4);
	CHECK(memcmp(out.bytes + 4, want + 4, out.count - 4) == 0);
}

TEST(reader_gives_back_what_was_written)
{
	AUTO_BUF struct buf out = BUF(1000);
	struct vici_writer writer = start(&out);
	struct vici_packet packet;
	struct vici_element element;
	struct vici_reader reader;
	uint64_t number;
	size_t used;

	vici_section_start(&writer, "gb");
	vici_format(&writer, "timeout", "%d", 250);
	vici_list_start(&writer, "certs");
	vici_item(&writer, "\0\1", 2);
	vici_list_end(&writer);
	vici_section_end(&writer);
	CHECK(vici_packet_end(&writer) == 0);
	buf_add_text(&out, "rest");
	CHECK(vici_packet_parse(out.bytes, out.count, &packet, &used) == 0 &&
	        used == out.count - 4);
	CHECK(packet.type == VICI_COMMAND);
	CHECK_TEXT(packet.name, "load-conn");
	reader = VICI_READER(packet.message, packet.message_bytes);
	CHECK(vici_read(&reader, &element) == 0 && element.type == VICI_SECTION_START);
	CHECK(vici_read(&reader, &element) == 0 && vici_value_unsigned(&element, &number) == 0);
	CHECK(number == 250);
	CHECK(vici_read(&reader, &element) == 0 && element.type == VICI_LIST_START);
	CHECK(vici_read(&reader, &element) == 0 && element.type == VICI_LIST_ITEM);
	CHECK(element.value_bytes == 2 && memcmp(element.value, "\0\1", 2) == 0);
	CHECK_TEXT(element.name, "certs");
	CHECK(vici_read(&reader, &element) == 0 && vici_read(&reader, &element) == 0);
	CHECK(vici_read(&reader, &element) == 1);
}

TEST(packets_come_in_pieces)
{
	AUTO_BUF struct buf out = BUF(1000);
	struct vici_writer writer = start(&out);
	struct vici_packet packet;
	size_t used;

	CHECK(vici_packet_end(&writer) == 0);
	for (size_t count = 0; count < out.count; count++) {
		CHECK(vici_packet_parse(out.bytes, count, &packet, &used) == 1);
	}
	out.bytes[0] = 1; /* 16 MiB */
	CHECK(vici_packet_parse(out.bytes, out.count, &packet, &used) == 2);
	CHECK(vici_packet_parse((const uint8_t *)"\0\0\0\1\x09", 5, &packet, &used) == 2);
	CHECK(vici_packet_parse((const uint8_t *)"\0\0\0\2\x07\0", 6, &packet, &used) == 2);
	CHECK(vici_packet_parse((const uint8_t *)"\0\0\0\3\x07\1\n", 7, &packet, &used) == 2);
}

static int read_all(const char *message, size_t count)
{
	struct vici_reader reader = VICI_READER((const uint8_t *)message, count);
	struct vici_element element;
	int r;

	while ((r = vici_read(&reader, &element)) == 0) {
	}
	return r;
}

#define READ(text) read_all(text, sizeof(text) - 1)

TEST(malformed_messages_are_refused)
{
	CHECK(READ("") == 1);
	CHECK(READ("\x01\1a\x02") == 1);
	CHECK(READ("\x01\1a") == 2);                /* a section that does not end */
	CHECK(READ("\x02") == 2);                   /* one that was not begun */
	CHECK(READ("\x04\1a\x04\1b\x06\x06") == 2); /* a list in a list */
	CHECK(READ("\x05\0\1a") == 2);              /* an item without a list */
	CHECK(READ("\x03\1a\0\5abc") == 2);         /* a value past the end */
	CHECK(READ("\x03\0\0\0") == 2);             /* a key without a name */
	CHECK(READ("\x04\1a") == 2);
	CHECK(READ("\x07") == 2);
}

TEST(depth_is_limited_both_ways)
{
	AUTO_BUF struct buf out = BUF(1000);
	struct vici_writer writer = start(&out);
	char deep[3 * (VICI_DEPTH_MAX + 1)];

	for (int i = 0; i <= VICI_DEPTH_MAX; i++) {
		memcpy(deep + 3 * i, "\1\1a", 3);
		vici_section_start(&writer, "a");
	}
	CHECK(read_all(deep, sizeof(deep)) == 2);
	for (int i = 0; i <= VICI_DEPTH_MAX; i++) {
		vici_section_end(&writer);
	}
	CHECK(vici_packet_end(&writer) == 1 && out.count == 0);
}

TEST(what_does_not_fit_is_left_out_whole)
{
	AUTO_BUF struct buf out = BUF(200000);
	struct vici_writer writer;
	char *large = calloc(70000, 1);

	buf_add_text(&out, "before");
	writer = start(&out);
	vici_value(&writer, "data", large, 70000);
	free(large);
	CHECK(vici_packet_end(&writer) == 1 && out.count == 6);
}

TEST(texts_are_printable_and_found_at_the_top_only)
{
	static const char message[] = "\x01\1s\x03\6errmsg\0\1a\x02"
	                              "\x03\6errmsg\0\2no\x03\3bad\0\2a\n";
	char text[3];

	CHECK(vici_find((const uint8_t *)message, sizeof(message) - 1, "errmsg", text, 3) == 0);
	CHECK_TEXT(text, "no");
	CHECK(vici_find((const uint8_t *)message, sizeof(message) - 1, "errmsg", text, 2) == 1);
	CHECK(vici_find((const uint8_t *)message, sizeof(message) - 1, "bad", text, 3) == 1);
	CHECK(vici_find((const uint8_t *)message, sizeof(message) - 1, "none", text, 3) == 1);
	CHECK(vici_find((const uint8_t *)message, sizeof(message) - 2, "errmsg", text, 3) == 1);
}

TEST_MAIN()
