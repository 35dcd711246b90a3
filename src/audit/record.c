#include "audit/record.h"

#include <jansson.h>
#include <string.h>

#include "audit/record_scan.h"
#include "audit/utf8.h"
#include "base/clock.h"
#include "base/str.h"

const struct record_kind record_kinds[] = {
	/* Procedure a to l of 004 D.6 (mission C), in its order. */
	{ "application.join", 'a', "A user applied to the provider to join." },
	{ "application.purchase", 'b', "A user ordered a gateway from a maker." },
	{ "device.registered", 'c', "A maker registered a gateway with the device CA." },
	{ "device.certificate-issued", 'd', "The device CA issued a device certificate." },
	{ "device.installed", 'e', "The maker put the device certificate on the gateway's token." },
	{ "device.delivered", 'f', "The gateway was delivered to its user." },
	{ "application.use", 'g', "A user applied to use the service with a gateway." },
	{ "service.certificate-requested", 'h', "The provider asked for a service certificate." },
	{ "service.certificate-issued", 'i', "The service CA issued a service certificate." },
	{ "service.certificate-installed", 'j',
	        "A gateway put its service certificate on its token." },
	{ "connection.requested", 'k', "Somebody asked for a connection." },
	{ "service.provided", 'l', "A gateway had its first connection: the service is provided." },
	/* Connections. */
	{ "connection.granted", 0, "A connection was permitted, and the grant was sealed." },
	{ "connection.refused", 0, "A connection was refused." },
	{ "connection.approved", 0, "The approver of a site approved a connection." },
	{ "connection.emergency", 0,
	        "A gateway accepted a connection that an emergency rule opens without an "
	        "approval." },
	{ "connection.armed", 0, "A gateway checked the grant and is ready for the connection." },
	{ "connection.opening", 0, "A gateway is about to open its packet filter." },
	{ "connection.up", 0, "The connection is open: packets can pass." },
	{ "connection.down", 0, "The tunnel of a connection is gone." },
	{ "connection.cut", 0, "Somebody ended a connection at once." },
	{ "connection.closed", 0, "A connection ended and both packet filters are shut." },
	{ "connection.expired", 0, "A connection reached the end of its time." },
	{ "epoch.raised", 0, "Every grant of an older epoch became void." },
	{ "lease.renewed", 0, "The lease of a connection was renewed." },
	{ "lease.expired", 0, "A lease ran out without renewal, and the packet filter shut." },
	{ "lease.refused", 0, "A gateway refused a lease renewal." },
	{ "grant.accepted", 0, "A gateway checked a grant and accepted it." },
	{ "grant.refused", 0, "A gateway refused a grant." },
	{ "flow.seen", 0, "Packets of a connection passed: addresses, ports and byte counts." },
	{ "transit.refused", 0, "Traffic from one tunnel into another was refused." },
	/* Policies. */
	{ "policy.published", 0, "A policy was published by its owner." },
	{ "policy.activated", 0, "A policy is in force." },
	{ "policy.refused", 0, "A policy was refused." },
	{ "owner.pinned", 0, "A site owner's key was pinned at the gateway, on the spot." },
	/* Certificates and trust. */
	{ "certificate.registered", 0, "A person's certificate was registered." },
	{ "certificate.revoked", 0, "A certificate was revoked." },
	{ "certificate.deleted", 0, "A certificate was deleted from a token." },
	{ "crl.published", 0, "A list of revoked certificates was published." },
	{ "crl.refused", 0, "A list of revoked certificates was refused." },
	{ "accreditation.published", 0,
	        "The accreditor granted, suspended or withdrew an accreditation." },
	{ "accreditation.refused", 0, "A statement of accreditation was refused." },
	/* Who and what takes part. */
	{ "organization.added", 0, "An organization was added." },
	{ "site.added", 0, "A site was added." },
	{ "site.withdrawn", 0, "A site was withdrawn." },
	{ "gateway.registered", 0, "A gateway was registered for a site." },
	{ "gateway.refused", 0, "A gateway was not let in." },
	{ "gateway.online", 0, "A gateway is connected to the center." },
	{ "gateway.offline", 0, "A gateway is no longer connected to the center." },
	{ "gateway.started", 0, "A gateway's agent started." },
	{ "gateway.stopped", 0, "A gateway's agent stopped." },
	{ "gateway.journal", 0, "The center took a segment of a gateway's journal." },
	{ "gateway.repaired", 0, "A gateway put its packet filter or tunnels right again." },
	{ "journal.refused", 0, "A segment of a gateway's journal had a gap or a second history." },
	{ "journal.damaged", 0, "Records of the journal were damaged or lost on disk." },
	{ "host.added", 0, "A host behind a gateway was added." },
	{ "host.removed", 0, "A host behind a gateway was removed." },
	{ "group.changed", 0, "A group or its members changed." },
	{ "person.added", 0, "A person was given an account." },
	{ "person.changed", 0, "A person's roles, key or other access changed." },
	{ "person.left", 0, "A person has left, and all of the person's rights ended." },
	{ "person.locked", 0, "An account was locked for a while after too many wrong codes." },
	{ "person.refused", 0, "A change of a person was refused." },
	{ "session.opened", 0, "A person logged in with a second factor." },
	{ "session.refused", 0, "A login was refused." },
	{ "session.ended", 0, "A person logged out." },
	{ "policy.acknowledged", 0, "An organization acknowledged the policy of another's site." },
	{ "agreement.refused", 0, "A step of an agreement was refused." },
	{ "agreement.changed", 0,
	        "An agreement between two organizations was made, changed or ended." },
	{ "workorder.changed", 0,
	        "A work order was applied for, approved, worked on, reported or closed." },
	{ "workorder.refused", 0, "A step of a work order was refused." },
	{ "workorder.reminded", 0, "A report or a review that is late was asked for again." },
	{ "notice.received", 0, "A notice of a fault, or another mail, came in." },
	{ "file.sent", 0, "A file was permitted to be sealed for another organization." },
	{ "file.received", 0, "A sealed file was opened by its recipient." },
	{ "file.refused", 0, "A file was not sealed, or not accepted." },
	{ "mail.sent", 0, "A mail was handed to the mail server." },
	{ "mail.failed", 0, "A mail could not be sent and was given up." },
	{ "operator.added", 0, "An operator was given a token." },
	{ "operator.removed", 0, "An operator's token was withdrawn." },
	{ "operator.refused", 0,
	        "An operator was not let in or asked for more than the role allows." },
	/* Enrolment. */
	{ "enrolment.pending", 0,
	        "A gateway's request for a service certificate waits for a person." },
	{ "enrolment.approved", 0, "A gateway's request for a service certificate was approved." },
	{ "enrolment.refused", 0, "A gateway's request for a service certificate was refused." },
	{ "token.missing", 0, "The token with the keys was not there." },
	{ "token.found", 0, "The token with the keys is there again." },
	/* The machines themselves. */
	{ "center.started", 0, "The center started." },
	{ "center.stopped", 0, "The center stopped." },
	{ "center.lost", 0, "A gateway lost its center." },
	{ "center.found", 0, "A gateway reached its center again." },
	{ "clock.stepped", 0, "A clock was set." },
	{ "disk.full", 0, "The disk is nearly full, and no new connection is permitted." },
	{ "disk.recovered", 0, "The disk has room again." },
	{ "checkpoint.accepted", 0,
	        "A gateway checked that the ledger only grew, and kept its head." },
	{ "checkpoint.refused", 0, "A gateway was shown a ledger that lost or changed records." },
	{ "request.refused", 0, "A request was malformed or not allowed." },
	{ "configuration.changed", 0, "The configuration was read again." },
	{ "witness.observed", 0, "The witness saw a host being accessed." },
	{ 0 },
};

const struct record_kind *record_kind_find(const char *name)
{
	for (const struct record_kind *kind = record_kinds; kind->name; kind++) {
		if (strcmp(kind->name, name) == 0) {
			return kind;
		}
	}
	return NULL;
}

struct record {
	json_t *root;
	json_t *open[RECORD_DEPTH_MAX]; /* borrowed; [0] is "data" */
	size_t open_count;
};

static void set(json_t *object, const char *key, json_t *value)
{
	for (const char *at = key; *at; at++) {
		assert_always(record_key_byte((uint8_t)*at));
	}
	assert_always(key[0] != '\0' && value && json_object_set_new(object, key, value) == 0);
}

/* Texts come from peers and other programs. What is not UTF-8 is still evidence, so it is kept in
 * a readable form and not dropped. */
static json_t *text_value(const char *text)
{
	AUTO_BUF struct buf clean = BUF(4 * (size_t)JSON_BYTES_MAX);
	size_t left;

	if (!text) {
		return json_null();
	}
	left = strlen(text);
	while (left > 0) {
		uint32_t code;
		size_t step = utf8_next((const uint8_t *)text, left, &code);

		if (step > 0) {
			buf_add(&clean, text, step);
		} else {
			buf_add_format(&clean, "\\x%02X", (uint8_t)*text);
			step = 1;
		}
		text += step;
		left -= step;
	}
	return json_string_nocheck(buf_text(&clean));
}

static json_t *top(struct record *record)
{
	return record->open[record->open_count - 1];
}

struct record *record_begin(const char *kind, int64_t now_usec)
{
	struct record *record = mem_new(1, sizeof(*record));

	assert_always(record_kind_find(kind));
	record->root = json_object();
	assert_always(record->root);
	set(record->root, "v", json_integer(1));
	set(record->root, "time", json_string(time_print(now_usec).text));
	set(record->root, "kind", json_string(kind));
	set(record->root, "subject", json_string(""));
	set(record->root, "actor", json_object());
	set(json_object_get(record->root, "actor"), "type", json_string("center"));
	set(record->root, "data", json_object());
	record->open[0] = json_object_get(record->root, "data");
	record->open_count = 1;
	return record;
}

struct record *record_free(struct record *record)
{
	if (record) {
		json_decref(record->root);
		free(record);
	}
	return NULL;
}

void record_actor(struct record *record, const char *type, const char *name)
{
	json_t *actor = json_object_get(record->root, "actor");

	set(actor, "type", text_value(type));
	set(actor, "name", text_value(name));
}

void record_subject(struct record *record, const char *subject)
{
	set(record->root, "subject", text_value(subject ? subject : ""));
}

void record_text(struct record *record, const char *key, const char *text)
{
	set(top(record), key, text_value(text));
}

void record_number(struct record *record, const char *key, int64_t number)
{
	set(top(record), key, json_integer(number));
}

void record_flag(struct record *record, const char *key, bool flag)
{
	set(top(record), key, json_boolean(flag));
}

void record_time(struct record *record, const char *key, int64_t wall_usec)
{
	set(top(record), key, json_string(time_print(wall_usec).text));
}

void record_bytes(struct record *record, const char *key, const void *bytes, size_t count)
{
	AUTO_BUF struct buf base64 = BUF(4 + count / 3 * 4 + 4);

	base64_add(&base64, bytes, count);
	set(top(record), key, json_string(buf_text(&base64)));
}

void record_texts(struct record *record, const char *key, const char *const *texts, size_t count)
{
	json_t *list = json_array();

	assert_always(list);
	for (size_t i = 0; i < count; i++) {
		assert_always(json_array_append_new(list, text_value(texts[i])) == 0);
	}
	set(top(record), key, list);
}

void record_json(struct record *record, const char *key, struct json_t *value)
{
	set(top(record), key, value);
}

void record_open(struct record *record, const char *key)
{
	assert_always(record->open_count < RECORD_DEPTH_MAX);
	set(top(record), key, json_object());
	record->open[record->open_count] = json_object_get(top(record), key);
	record->open_count++;
}

void record_close(struct record *record)
{
	assert_always(record->open_count > 1);
	record->open_count--;
}

int record_end(struct record *record, struct buf *out)
{
	AUTO_STRING char *text = NULL;
	struct record_head head;
	size_t count;

	assert_always(record->open_count == 1);
	text = json_dumps(record->root, JSON_SORT_KEYS | JSON_COMPACT);
	assert_always(text);
	record_free(record);
	count = strlen(text);
	if (count > LEDGER_RECORD_BYTES_MAX || count > out->count_max - out->count) {
		return 1;
	}
	/* The check of the verifier is the definition of canonical; what does not pass it is our
	 * own mistake (a real number, a key of a peer's making) and must not become evidence. */
	assert_always(record_check(text, count, &head, NULL) == 0);
	buf_add(out, text, count);
	return 0;
}
