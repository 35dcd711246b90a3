/*
 * What charon says, of which a peer chooses a part (identities, selectors): any bytes as a list of
 * SAs, an event or a result. What is told is made of printable texts that end, and a malformed
 * message is an outcome, never more.
 */
#include <stdlib.h>
#include <string.h>

#include "gateway/charon_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *text, size_t room)
{
	size_t count = strnlen(text, room);

	assert_always(count < room);
	for (size_t i = 0; i < count; i++) {
		assert_always((unsigned char)text[i] >= 0x20 && text[i] != 0x7f);
	}
}

static void on_sa(void *context, const struct charon_sa *sa)
{
	size_t *told = context;

	check_text(sa->peer, sizeof(sa->peer));
	check_text(sa->child, sizeof(sa->child));
	check_text(sa->ike_state, sizeof(sa->ike_state));
	check_text(sa->child_state, sizeof(sa->child_state));
	check_text(sa->local_address, sizeof(sa->local_address));
	check_text(sa->remote_address, sizeof(sa->remote_address));
	check_text(sa->remote_id, sizeof(sa->remote_id));
	check_text(sa->local_selector, sizeof(sa->local_selector));
	check_text(sa->remote_selector, sizeof(sa->remote_selector));
	++*told;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum charon_outcome outcome = CHARON_TIMEOUT;
	enum charon_event_type type;
	struct vici_packet packet;
	char text[128];
	size_t told = 0, used;
	bool up = false;

	if (vici_packet_parse(data, size, &packet, &used) == 0) {
		data = packet.message;
		size = packet.message_bytes;
		if (charon_message_event(packet.name, true, &type) == 0) {
			assert_always(type <= CHARON_CHILD_REKEYED);
		}
	}
	if (charon_message_sas(data, size, on_sa, &told, &up) == 0) {
		assert_always(told <= size);
	}
	if (charon_message_result(data, size, &outcome, text, sizeof(text)) == 0) {
		assert_always(outcome == CHARON_OK || outcome == CHARON_REFUSED);
		check_text(text, sizeof(text));
	}
	return 0;
}
