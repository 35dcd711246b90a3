/* What anybody may read: OCSP, revocation lists, the ledger's head and hashes, health. Entries of
 * the ledger name persons and are for auditors only; their hashes are for everybody. */
#include <stdio.h>
#include <string.h>

#include "audit/tile.h"
#include "base/file.h"
#include "base/log.h"
#include "center/registry.h"
#include "center/routes.h"
#include "center/trust.h"

static struct ocsp_status status_of(void *context, const char *serial)
{
	struct center *center = context;
	struct store_certificate row = { 0 };
	struct ocsp_status status = { .state = OCSP_UNKNOWN };
	int r = store_certificate_get(center->store, 2, serial, &row);

	core_must(r < 0 ? r : 0, "look for a certificate");
	if (r == 0) {
		status.state = row.revoked_usec > 0 ? OCSP_REVOKED : OCSP_GOOD;
		status.revoked_usec = row.revoked_usec;
		status.reason = (enum crl_reason)row.reason;
	}
	store_row_clear(STORE_CERTIFICATE, &row);
	return status;
}

static void answer_ocsp(struct exchange *exchange, const uint8_t *question, size_t count)
{
	struct center *center = exchange->center;
	AUTO_BUF struct buf answer = BUF(OCSP_ANSWER_BYTES_MAX);
	struct err err = { 0 };
	int64_t now = clock_wall_usec();
	int r;

	if (!center->config.ocsp_certificate || count > OCSP_REQUEST_BYTES_MAX) {
		answer_problem(exchange, 404, "there is no OCSP responder here");
		return;
	}
	r = signer_ocsp(center->signer, question, count, now,
	        now + center->config.ocsp_sec * USEC_PER_SEC, status_of, center, &answer, &err);
	if (r != 0) {
		answer_problem(exchange, 503, "%s", err.text);
		return;
	}
	answer_bytes(exchange, 200, "application/ocsp-response", answer.bytes, answer.count);
}

void public_ocsp_post(struct exchange *exchange)
{
	answer_ocsp(exchange, exchange->request->body, exchange->request->body_bytes);
}

void public_ocsp_get(struct exchange *exchange)
{
	AUTO_BUF struct buf question = BUF(OCSP_REQUEST_BYTES_MAX);

	if (base64_parse(exchange->parameter, strlen(exchange->parameter), &question) != 0) {
		answer_problem(exchange, 400, "the path must end in the base64 of an OCSP request");
		return;
	}
	answer_ocsp(exchange, question.bytes, question.count);
}

void public_crl(struct exchange *exchange)
{
	static const char *const names[TIERS] = { "root.crl", "device.crl", "service.crl" };

	for (int tier = 0; tier < TIERS; tier++) {
		const struct crl *crl = exchange->center->crls[tier];
		size_t count;
		const uint8_t *der;

		if (text_equal(exchange->parameter, names[tier]) && crl) {
			der = crl_der(crl, &count);
			answer_bytes(exchange, 200, "application/pkix-crl", der, count);
			return;
		}
	}
	answer_problem(exchange, 404, "there is no such revocation list");
}

void public_checkpoint(struct exchange *exchange)
{
	const char *note = exchange->center->checkpoint_note;

	if (note) {
		answer_bytes(exchange, 200, "text/plain; charset=utf-8", note, strlen(note));
	} else {
		answer_problem(exchange, 404, "no checkpoint was signed yet");
	}
}

void public_tile(struct exchange *exchange)
{
	struct center *center = exchange->center;
	struct merkle_store nodes = store_merkle(center->store);
	AUTO_BUF struct buf bytes = BUF(TILE_BYTES_MAX);
	AUTO_STRING char *path = mem_format("tile/%s", exchange->parameter);
	struct tile tile;
	struct err err = { 0 };
	unsigned width;

	/* Only what the newest checkpoint covers is published. */
	if (tile_parse(path, &tile) != 0 || tile.entries) {
		answer_problem(exchange, 404, "there is no such tile");
		return;
	}
	width = tile_width(center->checkpoint_size, tile.level, tile.index);
	if (tile.width > width) {
		answer_problem(exchange, 404, "there is no such tile");
		return;
	}
	core_must(tile_build(&nodes, &tile, &bytes, &err), "read a tile");
	answer_bytes(exchange, 200, "application/octet-stream", bytes.bytes, bytes.count);
}

static json_t *print_health(const struct center *center)
{
	struct err err = { 0 };
	bool able = core_may_grant(center, &err);
	json_t *json = json_pack("{ss sb ss sI sI si}", "status", able ? "ok" : "degraded",
	        "signer", signer_client_up(center->signer), "disk", center->disk_low ? "low" : "ok",
	        "records", (json_int_t)center->tree.size, "checkpoint",
	        (json_int_t)center->checkpoint_size, "gateways",
	        (int)registry_online_count(center));

	if (!able) {
		json_object_set_new(json, "reason", json_string(err.text));
	}
	return json;
}

void public_health(struct exchange *exchange)
{
	struct err err;

	answer_json(exchange, core_may_grant(exchange->center, &err) ? 200 : 503,
	        print_health(exchange->center));
}

void public_status(struct exchange *exchange)
{
	struct center *center = exchange->center;
	json_t *json = print_health(center);
	int64_t now = clock_wall_usec();

	json_object_set_new(json, "provider", json_string(center->config.provider));
	json_object_set_new(json, "version", json_string(SEKISHO_VERSION));
	json_object_set_new(json, "time", json_string(time_print(now).text));
	json_object_set_new(json, "started", json_string(time_print(center->started_usec).text));
	json_object_set_new(
	        json, "connections", json_integer((json_int_t)connection_count(center->machine)));
	json_object_set_new(json, "provider_accredited", json_boolean(trust_provider(center, now)));
	json_object_set_new(
	        json, "service_ca_accredited", json_boolean(trust_service_ca(center, now)));
	json_object_set_new(
	        json, "device_ca_accredited", json_boolean(trust_device_ca(center, now)));
	json_object_set_new(json, "crl_age_sec",
	        json_integer((json_int_t)verifier_crl_age_sec(center->verifier, now)));
	answer_json(exchange, 200, json);
}

void public_metrics(struct exchange *exchange)
{
	struct center *center = exchange->center;
	AUTO_BUF struct buf text = BUF(64 << 10);
	struct err err;
	const struct {
		const char *name, *type, *help;
		int64_t value;
	} rows[] = {
		{ "sekisho_requests_total", "counter", "HTTP requests.",
		        (int64_t)center->counts.requests },
		{ "sekisho_refusals_total", "counter", "Requests refused.",
		        (int64_t)center->counts.refusals },
		{ "sekisho_granted_total", "counter", "Connections granted.",
		        (int64_t)center->counts.granted },
		{ "sekisho_denied_total", "counter", "Connections denied.",
		        (int64_t)center->counts.denied },
		{ "sekisho_cuts_total", "counter", "Cuts sent.", (int64_t)center->counts.cuts },
		{ "sekisho_certificates_total", "counter", "Certificates issued.",
		        (int64_t)center->counts.certificates },
		{ "sekisho_events_total", "counter", "Events sent to gateways.",
		        (int64_t)center->counts.events },
		{ "sekisho_gateways_online", "gauge", "Gateways with a stream.",
		        (int64_t)registry_online_count(center) },
		{ "sekisho_connections", "gauge", "Live connections.",
		        (int64_t)connection_count(center->machine) },
		{ "sekisho_ledger_records", "gauge", "Records in the ledger.",
		        (int64_t)center->tree.size },
		{ "sekisho_ledger_checkpoint", "gauge", "Records under the newest checkpoint.",
		        (int64_t)center->checkpoint_size },
		{ "sekisho_crl_age_seconds", "gauge",
		        "Age of the oldest revocation list; -1: missing.",
		        verifier_crl_age_sec(center->verifier, clock_wall_usec()) },
		{ "sekisho_signer_up", "gauge", "1 while the signer answers.",
		        signer_client_up(center->signer) },
		{ "sekisho_disk_free_bytes", "gauge", "Free bytes beside the database.",
		        (int64_t)disk_free_bytes(center->config.state) },
		{ "sekisho_can_grant", "gauge", "1 while new connections can be granted.",
		        core_may_grant(center, &err) },
	};

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		buf_add_format(&text, "# HELP %s %s\n# TYPE %s %s\n%s %lld\n", rows[i].name,
		        rows[i].help, rows[i].name, rows[i].type, rows[i].name,
		        (long long)rows[i].value);
	}
	answer_bytes(exchange, 200, "text/plain; version=0.0.4", text.bytes, text.count);
}
