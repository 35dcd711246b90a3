/*
 * Process priv: what the center says, as agent handed it on. Every event is checked for itself; an
 * event that is not understood is recorded and changes nothing (promise 7).
 */
#include "gateway/priv.h"

#include <string.h>

#include "audit/record.h"
#include "base/log.h"
#include "gateway/message.h"
#include "wire/json.h"

struct fields {
	struct buf certificate;
	const char *sealed, *id, *by, *reason;
	const json_t *approvals;
	uint64_t epoch, heartbeat;
	int64_t time;
};

static const struct json_field grant_fields[] = {
	{ JSON_FIELD("grant", FIELD_STRING, struct fields, sealed), .required = true,
	        .max = JWS_SMALL_BYTES_MAX },
	{ JSON_FIELD("certificate", FIELD_BASE64, struct fields, certificate), .required = true,
	        .min = 1, .max = SERVICE_CERT_DER_BYTES_MAX },
	{ JSON_FIELD("approvals", FIELD_LIST, struct fields, approvals),
	        .max = WORK_REVISIONS_MAX },
	{ 0 },
};

static const struct json_field lease_fields[] = {
	{ JSON_FIELD("lease", FIELD_STRING, struct fields, sealed), .required = true,
	        .max = JWS_SMALL_BYTES_MAX },
	{ 0 },
};

static const struct json_field go_fields[] = {
	{ JSON_FIELD("id", FIELD_STRING, struct fields, id), .required = true,
	        .max = ID_BYTES_MAX },
	{ 0 },
};

static const struct json_field cut_fields[] = {
	{ JSON_FIELD("id", FIELD_STRING, struct fields, id), .required = true,
	        .max = ID_BYTES_MAX },
	{ JSON_FIELD("reason", FIELD_STRING, struct fields, reason), .required = true, .max = 256 },
	{ JSON_FIELD("by", FIELD_STRING, struct fields, by), .required = true, .max = 128 },
	{ 0 },
};

static const struct json_field hello_fields[] = {
	{ JSON_FIELD("time", FIELD_TIME, struct fields, time), .required = true },
	{ JSON_FIELD("epoch", FIELD_COUNT, struct fields, epoch), .required = true },
	{ JSON_FIELD("heartbeat_sec", FIELD_COUNT, struct fields, heartbeat), .required = true,
	        .min = 1, .max = 600 },
	{ 0 },
};

/* A clock that is off by more than this is told of (F12). */
#define CLOCK_NOTE_USEC (5 * USEC_PER_SEC)

static void take_hello(struct priv *priv, const struct fields *fields)
{
	struct tunnel_actions actions = { 0 };
	int64_t off = clock_wall_usec() - fields->time;

	if (off > CLOCK_NOTE_USEC || off < -CLOCK_NOTE_USEC) {
		AUTO_STRING char *text = mem_format(
		        "the clock is %lld ms off the center's", (long long)(off / USEC_PER_MSEC));

		log_warning("%s", text);
		priv_note(priv, "gateway", "clock.stepped", "", text);
	}
	tunnel_epoch(priv->machine, fields->epoch, clock_now(), &actions);
	priv_act(priv, &actions);
}

static void take_trust_event(struct priv *priv, const char *data, size_t count)
{
	struct tunnel_actions actions = { 0 };
	struct err err = { 0 };
	bool changed;

	if (trust_take(priv->trust, data, count, &changed, &err) != 0) {
		log_warning("trust: %s", err.text);
		priv_note(priv, "gateway", "accreditation.refused", "", err.text);
	}
	if (changed) {
		tunnel_trust_changed(priv->machine, clock_now(), &actions);
		priv_act(priv, &actions);
	}
}

static void report_policy(struct priv *priv)
{
	const struct site_policy *site = trust_site_policy(priv->trust);
	AUTO_JSON json_t *report = json_pack("{s:s,s:I}", "type", "policy", "version",
	        (json_int_t)(site ? site_policy_version(site) : 0));
	AUTO_BUF struct buf text = BUF(4096);
	AUTO_BUF struct buf payload = BUF(4096);

	json_print(report, &text);
	buf_add_block(&payload, text.bytes, text.count);
	priv_send(priv, MESSAGE_REPORT, 0, &payload);
}

static void take_policy_event(struct priv *priv, const char *data, size_t count)
{
	struct tunnel_actions actions = { 0 };
	struct err err = { 0 };
	bool changed;

	if (trust_policy_take(priv->trust, data, count, clock_wall_usec(), &changed, &err) != 0) {
		log_warning("%s; the active policy stays", err.text);
		priv_note(priv, "gateway", "policy.refused", "", err.text);
	}
	if (changed) {
		const struct site_policy *site = trust_site_policy(priv->trust);
		AUTO_STRING char *text = mem_format(
		        "version %llu", (unsigned long long)(site ? site_policy_version(site) : 0));

		priv_note(priv, "gateway", "policy.activated", trust_site(priv->trust), text);
		priv_apply_policy(priv);
		tunnel_policy_set(priv->machine, trust_provider_policy(priv->trust), site,
		        clock_now(), &actions);
		priv_act(priv, &actions);
	}
	report_policy(priv);
}

static bool is_live(const struct priv *priv, const char *id)
{
	for (size_t i = 0; i < tunnel_count(priv->machine); i++) {
		if (strcmp(tunnel_at(priv->machine, i).grant->id.text, id) == 0) {
			return true;
		}
	}
	return false;
}

static void report_refused(struct priv *priv, const char *id, const char *reason)
{
	AUTO_JSON json_t *report =
	        json_pack("{s:s,s:s,s:s}", "type", "refused", "id", id, "reason", reason);
	AUTO_BUF struct buf text = BUF(4096);
	AUTO_BUF struct buf payload = BUF(4096);

	json_print(report, &text);
	buf_add_block(&payload, text.bytes, text.count);
	priv_send(priv, MESSAGE_REPORT, 0, &payload);
}

/* A disk without room takes on nothing new; what is there can still be cut and recorded (F07). Only
 * a grant that is sealed is answered; the rest is the machine's to refuse. */
static bool disk_refuses(struct priv *priv, const char *sealed)
{
	static const char reason[] = "the gateway's disk is nearly full";
	struct tunnel_trust trust = trust_for_tunnels(priv->trust);
	AUTO_BUF struct buf payload = BUF(JWS_SMALL_BYTES_MAX);
	AUTO_BUF struct buf bytes = BUF(JOURNAL_RECORD_BYTES_MAX);
	int64_t now = clock_monotonic_usec();
	struct grant grant;
	struct record *record;

	if (!journal_full(priv->journal) ||
	        trust.seal_open(trust.context, priv->config->provider, "sekisho-grant", sealed,
	                strlen(sealed), clock_wall_usec(), &payload, NULL) != 0 ||
	        grant_parse(payload.bytes, payload.count, &grant, NULL) != 0 ||
	        is_live(priv, grant.id.text)) {
		return false;
	}
	report_refused(priv, grant.id.text, reason);
	log_warning("connection %s is refused: %s", grant.id.text, reason);
	if (now - priv->grant_usec < USEC_PER_SEC) {
		priv->unrecorded++; /* of many, one a second */
		return true;
	}
	priv->grant_usec = now;
	record = record_begin("grant.refused", clock_wall_usec());
	record_actor(record, "gateway", trust_gateway(priv->trust));
	record_subject(record, grant.id.text);
	record_text(record, "reason", reason);
	if (record_end(record, &bytes) == 0) {
		priv_record(priv, bytes.bytes, bytes.count);
	}
	return true;
}

/* An item that is no text, or too long to be one, is none. */
static size_t read_approvals(const json_t *list, const char *out[WORK_REVISIONS_MAX])
{
	size_t count = 0;

	for (size_t i = 0; i < json_array_size(list) && count < WORK_REVISIONS_MAX; i++) {
		if (json_item_string(
		            list, "approvals", i, JWS_SMALL_BYTES_MAX, &out[count], NULL) == 0) {
			count++;
		}
	}
	return count;
}

static void take_grant(
        struct priv *priv, const struct fields *fields, struct tunnel_actions *actions)
{
	const char *approvals[WORK_REVISIONS_MAX];
	struct tunnel_offer offer = {
		.sealed = fields->sealed,
		.sealed_bytes = strlen(fields->sealed),
		.certificate = fields->certificate.bytes,
		.certificate_bytes = fields->certificate.count,
		.approvals = approvals,
		.approval_count = read_approvals(fields->approvals, approvals),
	};

	tunnel_grant(priv->machine, &offer, clock_now(), actions);
}

void priv_event(struct priv *priv, const char *name, const char *data, size_t count)
{
	struct fields fields = { 0 };
	struct tunnel_actions actions = { 0 };
	AUTO_JSON json_t *object = NULL;
	struct err err = { 0 };
	int r = 0;

	if (!priv->machine) {
		return; /* agent sends the identity first */
	}
	tunnel_link(priv->machine, true, clock_now(), &actions);
	if (strcmp(name, "trust") == 0) {
		take_trust_event(priv, data, count);
	} else if (strcmp(name, "policy") == 0) {
		take_policy_event(priv, data, count);
	} else if (strcmp(name, "hello") == 0) {
		r = json_read(data, count, hello_fields, &fields, &object, &err);
		if (r == 0) {
			take_hello(priv, &fields);
		}
	} else if (strcmp(name, "grant") == 0) {
		r = json_read(data, count, grant_fields, &fields, &object, &err);
		if (r == 0 && !disk_refuses(priv, fields.sealed)) {
			take_grant(priv, &fields, &actions);
		}
		json_fields_clear(grant_fields, &fields);
	} else if (strcmp(name, "go") == 0) {
		r = json_read(data, count, go_fields, &fields, &object, &err);
		if (r == 0) {
			tunnel_go(priv->machine, fields.id, clock_now(), &actions);
		}
	} else if (strcmp(name, "lease") == 0) {
		r = json_read(data, count, lease_fields, &fields, &object, &err);
		if (r == 0) {
			tunnel_lease(priv->machine, fields.sealed, strlen(fields.sealed),
			        clock_now(), &actions);
		}
	} else if (strcmp(name, "cut") == 0) {
		r = json_read(data, count, cut_fields, &fields, &object, &err);
		if (r == 0) {
			tunnel_cut(priv->machine, fields.id, fields.by, fields.reason, clock_now(),
			        &actions);
		}
	} else {
		r = err_set(&err, 1, "there is no such event");
	}
	if (r != 0) {
		log_warning("the center's event \"%s\" is refused: %s", name, err.text);
		priv_note(priv, "gateway", "request.refused", name, err.text);
	}
	priv_act(priv, &actions);
}
