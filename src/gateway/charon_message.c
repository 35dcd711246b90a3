#include "gateway/charon_message.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

/* A peer whose charon was started again answers nothing: it is noticed after this much silence and
 * the 11 s of the retransmissions, and the tunnel made again, well within the 60 s that a
 * connection waits for its SA. Where packets pass no probe is sent. */
#define DPD_DELAY "10s"

const char *const charon_event_names[CHARON_EVENT_NAMES_COUNT] = {
	"ike-updown",
	"child-updown",
	"ike-rekey",
	"child-rekey",
};

int charon_message_plain(struct buf *out, const char *command)
{
	struct vici_writer writer = vici_packet_start(out, VICI_COMMAND, command);

	return vici_packet_end(&writer);
}

int charon_message_register(struct buf *out, const char *event)
{
	struct vici_writer writer = vici_packet_start(out, VICI_REGISTER, event);

	return vici_packet_end(&writer);
}

int charon_message_token(struct buf *out, const char *key_id, const char *pin, int slot)
{
	struct vici_writer writer = vici_packet_start(out, VICI_COMMAND, "load-token");

	vici_text(&writer, "module", CHARON_TOKEN_MODULE);
	vici_text(&writer, "handle", key_id);
	if (slot >= 0) {
		vici_format(&writer, "slot", "%d", slot);
	}
	vici_text(&writer, "pin", pin);
	return vici_packet_end(&writer);
}

int charon_message_certificate(
        struct buf *out, const uint8_t *der, size_t der_bytes, bool authority)
{
	struct vici_writer writer = vici_packet_start(out, VICI_COMMAND, "load-cert");

	vici_text(&writer, "type", "X509");
	vici_text(&writer, "flag", authority ? "CA" : "NONE");
	vici_value(&writer, "data", der, der_bytes);
	return vici_packet_end(&writer);
}

/* A list made of what stands between the commas. */
static void put_list(struct vici_writer *writer, const char *name, const char *texts)
{
	vici_list_start(writer, name);
	for (;;) {
		size_t count = strcspn(texts, ",");

		vici_item(writer, texts, count);
		if (texts[count] == '\0') {
			break;
		}
		texts += count + 1;
	}
	vici_list_end(writer);
}

static void put_address(struct vici_writer *writer, const char *name, struct ip ip)
{
	char text[IP_TEXT_BYTES_MAX + 4];

	snprintf(text, sizeof(text), "%s/%zu", ip_print(ip).text, 8 * ip_bytes(ip));
	vici_list_text(writer, name, text);
}

static void put_child(struct vici_writer *writer, const struct charon_peer *peer,
        const struct charon_child *child)
{
	vici_section_start(writer, child->name);
	put_address(writer, "local_ts", child->local);
	put_address(writer, "remote_ts", child->remote);
	put_list(writer, "esp_proposals",
	        peer->esp_proposal ? peer->esp_proposal : CHARON_ESP_PROPOSAL);
	vici_text(writer, "mode", "tunnel");
	vici_text(writer, "dpd_action", "clear");
	vici_text(writer, "start_action", "none");
	vici_text(writer, "close_action", "none");
	if (peer->if_id != 0) {
		vici_format(writer, "if_id_in", "%u", peer->if_id);
		vici_format(writer, "if_id_out", "%u", peer->if_id);
	}
	vici_section_end(writer);
}

static void put_authentication(struct vici_writer *writer, const struct charon_peer *peer)
{
	vici_section_start(writer, "local");
	vici_text(writer, "auth", "pubkey");
	/* Its certificate is found by this name: charon reads every certificate that stands in a
	 * connection anew, for half a millisecond each. */
	vici_text(writer, "id", peer->local_id);
	vici_section_end(writer);

	vici_section_start(writer, "remote");
	vici_text(writer, "auth", "pubkey");
	vici_text(writer, "id", peer->remote_id);
	vici_list_start(writer, "certs");
	vici_item(writer, peer->peer_certificate, peer->peer_certificate_bytes);
	vici_list_end(writer);
	vici_section_end(writer);
}

int charon_message_peer(struct buf *out, const struct charon_peer *peer)
{
	struct vici_writer writer = vici_packet_start(out, VICI_COMMAND, "load-conn");

	vici_section_start(&writer, peer->name);
	vici_text(&writer, "version", "2");
	if (peer->local_address) {
		vici_list_text(&writer, "local_addrs", peer->local_address);
	}
	if (peer->remote_address) {
		vici_list_text(&writer, "remote_addrs", peer->remote_address);
	}
	put_list(&writer, "proposals",
	        peer->ike_proposal ? peer->ike_proposal : CHARON_IKE_PROPOSAL);
	vici_text(&writer, "mobike", "no");
	vici_text(&writer, "encap", peer->encapsulate ? "yes" : "no");
	vici_text(&writer, "dpd_delay", DPD_DELAY);
	vici_text(&writer, "keyingtries", "1");
	/* Several connections of one pair may have different initiators; none replaces the other.
	 */
	vici_text(&writer, "unique", "no");
	put_authentication(&writer, peer);
	vici_section_start(&writer, "children");
	for (size_t i = 0; i < peer->children_count; i++) {
		put_child(&writer, peer, &peer->children[i]);
	}
	vici_section_end(&writer);
	vici_section_end(&writer);
	return vici_packet_end(&writer);
}

int charon_message_unload(struct buf *out, const char *peer)
{
	struct vici_writer writer = vici_packet_start(out, VICI_COMMAND, "unload-conn");

	vici_text(&writer, "name", peer);
	return vici_packet_end(&writer);
}

static void put_target(
        struct vici_writer *writer, const char *peer, const char *child, int timeout_msec)
{
	vici_text(writer, "ike", peer);
	if (child) {
		vici_text(writer, "child", child);
	}
	vici_format(writer, "timeout", "%d", timeout_msec);
	vici_text(writer, "loglevel", "-1");
}

int charon_message_initiate(struct buf *out, const char *peer, const char *child, int timeout_msec)
{
	struct vici_writer writer = vici_packet_start(out, VICI_COMMAND, "initiate");

	put_target(&writer, peer, child, timeout_msec);
	return vici_packet_end(&writer);
}

int charon_message_terminate(struct buf *out, const char *peer, const char *child, int timeout_msec)
{
	struct vici_writer writer = vici_packet_start(out, VICI_COMMAND, "terminate");

	put_target(&writer, peer, child, timeout_msec);
	vici_text(&writer, "force", "yes");
	return vici_packet_end(&writer);
}

int charon_message_event(const char *name, bool up, enum charon_event_type *ret_type)
{
	static const enum charon_event_type types[CHARON_EVENT_NAMES_COUNT][2] = {
		{ CHARON_IKE_DOWN, CHARON_IKE_UP },
		{ CHARON_CHILD_DOWN, CHARON_CHILD_UP },
		{ CHARON_IKE_REKEYED, CHARON_IKE_REKEYED },
		{ CHARON_CHILD_REKEYED, CHARON_CHILD_REKEYED },
	};

	for (size_t i = 0; i < CHARON_EVENT_NAMES_COUNT; i++) {
		if (strcmp(name, charon_event_names[i]) == 0) {
			*ret_type = types[i][up];
			return 0;
		}
	}
	return 1;
}

/*
 * SAs. The message is   up, NAME { ike fields, child-sas { CHILD { child fields } } }, and for
 * rekeyings the fields of an SA stand in sections `old` and `new` below it.
 */
enum place { ROOT, IKE, CHILDREN, CHILD, ELSEWHERE };

enum field_type { FIELD_TEXT, FIELD_UNSIGNED, FIELD_HEX, FIELD_YES };

static const struct field {
	enum place place;
	const char *name;
	enum field_type type;
	size_t offset, bytes;
} fields[] = {
#define FIELD(place, name, type, member)                                                           \
	{                                                                                          \
		place, name, type, offsetof(struct charon_sa, member),                             \
		        sizeof(((struct charon_sa *)0)->member)                                    \
	}
	FIELD(IKE, "uniqueid", FIELD_UNSIGNED, ike_number),
	FIELD(IKE, "state", FIELD_TEXT, ike_state),
	FIELD(IKE, "local-host", FIELD_TEXT, local_address),
	FIELD(IKE, "remote-host", FIELD_TEXT, remote_address),
	FIELD(IKE, "remote-id", FIELD_TEXT, remote_id),
	FIELD(IKE, "initiator", FIELD_YES, initiator),
	FIELD(IKE, "established", FIELD_UNSIGNED, established_sec),
	FIELD(CHILD, "name", FIELD_TEXT, child),
	FIELD(CHILD, "uniqueid", FIELD_UNSIGNED, child_number),
	FIELD(CHILD, "state", FIELD_TEXT, child_state),
	FIELD(CHILD, "encap", FIELD_YES, encapsulated),
	FIELD(CHILD, "if-id-in", FIELD_HEX, if_id),
	FIELD(CHILD, "spi-in", FIELD_HEX, spi_in),
	FIELD(CHILD, "spi-out", FIELD_HEX, spi_out),
	FIELD(CHILD, "bytes-in", FIELD_UNSIGNED, bytes_in),
	FIELD(CHILD, "bytes-out", FIELD_UNSIGNED, bytes_out),
	FIELD(CHILD, "packets-in", FIELD_UNSIGNED, packets_in),
	FIELD(CHILD, "packets-out", FIELD_UNSIGNED, packets_out),
	FIELD(CHILD, "local-ts", FIELD_TEXT, local_selector),
	FIELD(CHILD, "remote-ts", FIELD_TEXT, remote_selector),
};

struct walk {
	struct charon_sa sa;
	enum place places[VICI_DEPTH_MAX + 2];
	bool had_child;
	bool up;
	charon_each *each;
	void *context;
};

/* Text that does not fit or cannot be printed becomes "?", which equals no name of ours. */
static void set_text(const struct vici_element *element, char *out, size_t out_bytes)
{
	if (vici_value_text(element, out, out_bytes) != 0) {
		strcpy(out, "?");
	}
}

static void set_field(
        struct charon_sa *sa, const struct field *field, const struct vici_element *element)
{
	uint8_t *target = (uint8_t *)sa + field->offset;
	char text[24];
	uint64_t value;
	uint32_t hex;

	switch (field->type) {
	case FIELD_TEXT:
		set_text(element, (char *)target, field->bytes);
		break;
	case FIELD_UNSIGNED:
		if (vici_value_unsigned(element, &value) == 0) {
			memcpy(target, &value, sizeof(value));
		}
		break;
	case FIELD_HEX:
		if (vici_value_text(element, text, sizeof(text)) == 0) {
			hex = (uint32_t)strtoul(text, NULL, 16);
			memcpy(target, &hex, sizeof(hex));
		}
		break;
	case FIELD_YES:
		*(bool *)target = vici_value_text(element, text, sizeof(text)) == 0 &&
		                  strcmp(text, "yes") == 0;
		break;
	}
}

static void walk_value(struct walk *walk, enum place place, const struct vici_element *element)
{
	char text[8];

	if (place == ROOT && strcmp(element->name, "up") == 0) {
		walk->up = vici_value_text(element, text, sizeof(text)) == 0 &&
		           strcmp(text, "yes") == 0;
	}
	for (size_t i = 0; i < ARRAY_COUNT(fields); i++) {
		if (fields[i].place == place && strcmp(fields[i].name, element->name) == 0) {
			set_field(&walk->sa, &fields[i], element);
		}
	}
}

static void clear_child(struct charon_sa *sa)
{
	for (size_t i = 0; i < ARRAY_COUNT(fields); i++) {
		if (fields[i].place == CHILD) {
			memset((uint8_t *)sa + fields[i].offset, 0, fields[i].bytes);
		}
	}
}

static enum place walk_enter(struct walk *walk, enum place place, const char *name)
{
	switch (place) {
	case ROOT:
		memset(&walk->sa, 0, sizeof(walk->sa));
		walk->had_child = false;
		if (text_copy(walk->sa.peer, sizeof(walk->sa.peer), name) != 0) {
			strcpy(walk->sa.peer, "?");
		}
		return IKE;
	case IKE:
		if (strcmp(name, "child-sas") == 0) {
			return CHILDREN;
		}
		return strcmp(name, "new") == 0 ? IKE : ELSEWHERE;
	case CHILDREN:
		clear_child(&walk->sa);
		return CHILD;
	case CHILD:
		return strcmp(name, "new") == 0 ? CHILD : ELSEWHERE;
	default:
		return ELSEWHERE;
	}
}

/* `place` is the section that ends, `outer` the one it stands in. */
static void walk_leave(struct walk *walk, enum place place, enum place outer)
{
	if (place == CHILD && outer == CHILDREN) {
		walk->had_child = true;
		walk->each(walk->context, &walk->sa);
	} else if (place == IKE && outer == ROOT && !walk->had_child) {
		walk->each(walk->context, &walk->sa);
	}
}

int charon_message_sas(const uint8_t *message, size_t message_bytes, charon_each *each,
        void *context, bool *ret_up)
{
	struct vici_reader reader = VICI_READER(message, message_bytes);
	struct walk walk = { .each = each, .context = context };
	struct vici_element element;
	int r;

	while ((r = vici_read(&reader, &element)) == 0) {
		switch (element.type) {
		case VICI_SECTION_START:
			walk.places[reader.depth] =
			        walk_enter(&walk, walk.places[reader.depth - 1], element.name);
			break;
		case VICI_SECTION_END:
			walk_leave(&walk, walk.places[reader.depth + 1], walk.places[reader.depth]);
			break;
		case VICI_KEY_VALUE:
		case VICI_LIST_ITEM: /* of several selectors, the last one */
			walk_value(&walk, walk.places[reader.depth], &element);
			break;
		default:
			break;
		}
	}
	*ret_up = walk.up;
	return r == 1 ? 0 : 1;
}

int charon_message_result(const uint8_t *message, size_t message_bytes,
        enum charon_outcome *ret_outcome, char *text, size_t text_bytes)
{
	struct vici_reader reader = VICI_READER(message, message_bytes);
	struct vici_element element;
	char success[8] = "yes"; /* version, list-sas and others only answer with data */
	int r;

	while ((r = vici_read(&reader, &element)) == 0) {
		if (reader.depth == 0 && element.type == VICI_KEY_VALUE &&
		        strcmp(element.name, "success") == 0) {
			set_text(&element, success, sizeof(success));
		}
	}
	if (r != 1) {
		return 1;
	}
	text[0] = '\0';
	*ret_outcome = strcmp(success, "yes") == 0 ? CHARON_OK : CHARON_REFUSED;
	if (*ret_outcome == CHARON_OK) {
		if (vici_find(message, message_bytes, "version", text, text_bytes) != 0) {
			text[0] = '\0';
		}
	} else if (vici_find(message, message_bytes, "errmsg", text, text_bytes) != 0) {
		snprintf(text, text_bytes, "charon gave no reason");
	}
	return 0;
}
