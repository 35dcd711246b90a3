/* VICI has one encoding of each message: what the reader takes whole, the writer must give back
 * byte for byte. What it does not take, it must refuse without reading on. */
#include <stdlib.h>
#include <string.h>

#include "wire/vici.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static void copy_element(struct vici_writer *writer, const struct vici_element *element)
{
	switch (element->type) {
	case VICI_SECTION_START:
		vici_section_start(writer, element->name);
		break;
	case VICI_SECTION_END:
		vici_section_end(writer);
		break;
	case VICI_KEY_VALUE:
		vici_value(writer, element->name, element->value, element->value_bytes);
		break;
	case VICI_LIST_START:
		vici_list_start(writer, element->name);
		break;
	case VICI_LIST_ITEM:
		vici_item(writer, element->value, element->value_bytes);
		break;
	case VICI_LIST_END:
		vici_list_end(writer);
		break;
	}
}

/* Reads to the end; outcome as vici_read()'s last. */
static int count_depth(const struct vici_packet *packet, unsigned *ret_depth)
{
	struct vici_reader reader = VICI_READER(packet->message, packet->message_bytes);
	struct vici_element element;
	int r;

	while ((r = vici_read(&reader, &element)) == 0) {
		assert_always(reader.depth <= VICI_DEPTH_MAX);
		*ret_depth = reader.depth > *ret_depth ? reader.depth : *ret_depth;
	}
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
	AUTO_BUF struct buf out = BUF(VICI_MESSAGE_BYTES_MAX + 4);
	struct vici_packet packet;
	struct vici_reader reader;
	struct vici_element element;
	struct vici_writer writer;
	unsigned depth = 0;
	size_t used;
	char text[64];

	if (vici_packet_parse(bytes, count, &packet, &used) != 0) {
		return 0;
	}
	assert_always(used <= count && packet.message + packet.message_bytes == bytes + used);
	if (count_depth(&packet, &depth) != 1) {
		assert_always(vici_find(packet.message, packet.message_bytes, "success", text,
		                      sizeof(text)) == 1);
		return 0;
	}
	reader = VICI_READER(packet.message, packet.message_bytes);
	writer = vici_packet_start(&out, packet.type, packet.name[0] ? packet.name : NULL);
	while (vici_read(&reader, &element) == 0) {
		copy_element(&writer, &element);
	}
	assert_always(vici_packet_end(&writer) == 0);
	/* A packet without a name may still carry bytes that a named one would not. */
	assert_always(out.count == used && memcmp(out.bytes, bytes, used) == 0);
	return 0;
}
