/*
 * The tunnel machine under test: that of the hospital's gateway, which has the CT scanner.
 * Everything of it is in `f`; seals, trust and certificates are stand-ins.
 *
 *     setup();
 *     CHECK_TEXT(give(&f.grant, 0), "record:grant.accepted load:1");
 *     clean();
 */
#pragma once

#include "../check.h"

#include <arpa/inet.h>
#include <stdlib.h>

#include "base/buf.h"
#include "gateway/tunnel.h"
#include "model/approval.h"
#include "model/lease.h"
#include "wire/json.h"

#define SEC USEC_PER_SEC
#define WALL (1800000000LL * SEC)
#define MONO (5000LL * SEC)

static inline struct moment at(int64_t sec)
{
	return (struct moment){ WALL + sec * SEC, MONO + sec * SEC };
}

static const char provider_text[] =
        "sekisho provider-policy 1\nprovider regional-vpn\nversion 4\npool 100.64.0.0/10\n"
        "site core-hospital prefix 100.64.2.0/24\nsite device-maker prefix 100.64.3.0/24\n"
        "site clinic prefix 100.64.4.0/24\n"
        "class remote-maintenance duration 12h lease 60s\nclass mail duration 1h\n"
        "group a sites core-hospital device-maker clinic classes remote-maintenance mail\n";
static const char site_text[] =
        "sekisho site-policy 1\nsite core-hospital\nversion 9\n"
        "host ct address 192.168.10.20 service 100.64.2.20\n"
        "host console address 192.168.10.30 service 100.64.2.30\n"
        "allow ct from device-maker/terminal to ct class remote-maintenance"
        " protocol tcp port 104,11112 duration 12h lease 60s approval standing factor one\n"
        "allow clinic from clinic/terminal to ct class remote-maintenance protocol tcp port 104"
        " duration 12h approval standing factor one\n";
static const char closed_text[] =
        "sekisho site-policy 1\nsite core-hospital\nversion 10\n"
        "host ct address 192.168.10.20 service 100.64.2.20\n"
        "allow ct from device-maker/terminal to ct class mail protocol tcp port 25\n";

struct fixture {
	struct tunnel_machine *machine;
	struct tunnel_actions actions;
	struct provider_policy *provider;
	struct site_policy *site, *closed;
	bool untrusted;
	struct grant grant;
	struct buf journal; /* records, each followed by a line end */
	char trace[2048];
	char reason[256]; /* of the last record that has one */
};

static struct fixture f;

static inline int open_seal(void *context, const char *provider, const char *typ,
        const char *sealed, size_t count, int64_t wall_usec, struct buf *payload, struct err *err)
{
	size_t typ_count = strlen(typ);

	if (count < typ_count || strncmp(sealed, typ, typ_count) != 0) {
		return err_set(err, 1, "forged");
	}
	buf_add(payload, sealed + typ_count, count - typ_count);
	return 0;
}

static inline int check_trust(
        void *context, const struct grant *grant, int64_t wall_usec, struct err *err)
{
	return f.untrusted ? err_set(err, 1, "the service CA is not accredited") : 0;
}

/* The stand-in of a certificate is its serial. */
static inline int check_peer(void *context, const struct grant_end *peer, const uint8_t *der,
        size_t count, int64_t wall_usec, struct err *err)
{
	return count == strlen(peer->serial) && memcmp(der, peer->serial, count) == 0
	               ? 0
	               : err_set(err, 1, "the grant names another one");
}

/* The stand-in of a seal: the key, a colon, the payload. */
static inline int open_approval(void *context, const struct site_policy *site, const char *sealed,
        struct buf *payload, struct policy_approver *ret_approver, struct err *err)
{
	size_t key_count = strcspn(sealed, ":");

	for (size_t i = 0; i < site_policy_approver_count(site); i++) {
		site_policy_approver_at(site, i, ret_approver);
		if (strlen(ret_approver->spki) == key_count &&
		        strncmp(ret_approver->spki, sealed, key_count) == 0) {
			buf_add_text(payload, sealed + key_count + 1);
			return 0;
		}
	}
	return err_set(err, 1, "mallory is none");
}

static inline struct tunnel_machine *machine_new(const char *boot)
{
	struct tunnel_config config = {
		.provider = "regional-vpn",
		.site = "core-hospital",
		.gateway = "gw-core",
		.identity = "gw-core.regional-vpn.sekisho.internal",
		.serial = "0a01",
		.boot = boot,
		.grant_sec_max = 4 * 3600,
		.trust = { .seal_open = open_seal,
		        .grant_check = check_trust,
		        .peer_check = check_peer,
		        .approval_open = open_approval },
	};

	return tunnel_machine_new(&config);
}

/* Takes the actions out of the list: names to f.trace, records to f.journal. */
static inline const char *take(void)
{
	static const char *const names[] = { "record", "load", "initiate", "open", "renew", "close",
		"forget", "terminate", "terminate-peer", "unload", "report" };
	AUTO_BUF struct buf out = BUF(sizeof(f.trace) - 1);

	for (size_t i = 0; i < f.actions.count; i++) {
		const struct tunnel_action *action = &f.actions.items[i];

		buf_add_format(&out, "%s%s", i ? " " : "", names[action->type]);
		if (action->type == TUNNEL_RECORD) {
			AUTO_JSON json_t *root = NULL;
			const char *reason;

			buf_add_format(&out, ":%s", action->kind);
			buf_add(&f.journal, action->record.bytes, action->record.count);
			buf_add_text(&f.journal, "\n");
			CHECK(json_parse(action->record.bytes, action->record.count, &root, NULL) ==
			        0);
			reason = json_string_value(
			        json_object_get(json_object_get(root, "data"), "reason"));
			snprintf(f.reason, sizeof(f.reason), "%s", reason ? reason : "");
		} else if (action->type == TUNNEL_REPORT) {
			buf_add_format(&out, ":%s", tunnel_report_name(action->report));
		} else if (action->type == TUNNEL_PEER_LOAD) {
			buf_add_format(&out, ":%zu", action->peer->child_count);
		}
	}
	snprintf(f.trace, sizeof(f.trace), "%s", buf_text(&out));
	tunnel_actions_reset(&f.actions);
	return f.trace;
}

static inline void clean(void)
{
	tunnel_machine_free(f.machine);
	tunnel_actions_clear(&f.actions);
	provider_policy_free(f.provider);
	site_policy_free(f.site);
	site_policy_free(f.closed);
	buf_clear(&f.journal);
	memset(&f, 0, sizeof(f));
}

static inline void found_nothing(int64_t sec)
{
	struct tunnel_found found = { .elements_known = true, .children_known = true };

	tunnel_reconcile(f.machine, &found, at(sec), &f.actions);
}

static inline void begin(const char *boot, int64_t sec)
{
	f.machine = machine_new(boot);
	for (char *line = f.journal.count ? (char *)f.journal.bytes : NULL; line && *line;) {
		char *end = strchr(line, '\n');

		CHECK(tunnel_recall(f.machine, line, (size_t)(end - line), NULL) == 0);
		line = end + 1;
	}
	tunnel_policy_set(f.machine, f.provider, f.site, at(sec), &f.actions);
	tunnel_charon(f.machine, true, at(sec), &f.actions);
	tunnel_filter(f.machine, true, at(sec), &f.actions);
	tunnel_start(f.machine, at(sec), &f.actions);
}

static inline struct address address(const char *text)
{
	struct address value;

	CHECK(address_parse(text, &value) == 0);
	return value;
}

static inline void setup(void)
{
	struct grant *grant = &f.grant;

	clean();
	f.journal = BUF(1 << 20);
	CHECK(provider_policy_parse(provider_text, strlen(provider_text), &f.provider, NULL) == 0);
	CHECK(site_policy_parse(site_text, strlen(site_text), &f.site, NULL) == 0);
	CHECK(site_policy_parse(closed_text, strlen(closed_text), &f.closed, NULL) == 0);
	begin("boot-1", 0);
	found_nothing(0);
	CHECK_TEXT(take(), "");
	*grant = (struct grant){
		.id = { "01HF7Z9MB80000000000000001" },
		.number = 4711,
		.provider = "regional-vpn",
		.epoch = 3,
		.class = SERVICE_REMOTE_MAINTENANCE,
		.person = "suzuki",
		.initiator = { "device-maker", "gw-maker", "gw-maker.regional-vpn.sekisho.internal",
		        "0b01", address("192.0.2.2"), "terminal", address("100.64.3.10") },
		.responder = { "core-hospital", "gw-core", "gw-core.regional-vpn.sekisho.internal",
		        "0a01", address("192.0.2.3"), "ct", address("100.64.2.20") },
		.ike = GRANT_RESPONDER,
		.protocol = PROTOCOL_TCP,
		.port = 104,
		.issued_at = WALL,
		.not_before = WALL,
		.not_after = WALL + 3600 * SEC,
		.lease_sec = 60,
		.policy_provider = 4,
		.policy_initiator = 2,
		.policy_responder = 9,
	};
}

static inline const char *give_with(
        const struct grant *grant, const void *certificate, size_t count, int64_t sec)
{
	AUTO_BUF struct buf text = BUF(JWS_SMALL_BYTES_MAX);
	struct tunnel_offer offer = { .certificate = certificate, .certificate_bytes = count };

	buf_add_text(&text, "sekisho-grant");
	grant_print(grant, &text);
	offer.sealed = buf_text(&text);
	offer.sealed_bytes = text.count;
	tunnel_grant(f.machine, &offer, at(sec), &f.actions);
	return take();
}

static inline const char *give(const struct grant *grant, int64_t sec)
{
	const struct grant_end *peer = strcmp(grant->initiator.gateway, "gw-core") == 0
	                                       ? &grant->responder
	                                       : &grant->initiator;

	return give_with(grant, peer->serial, strlen(peer->serial), sec);
}

static inline const char *give_lease(
        uint64_t seq, int64_t issued_sec, uint32_t ttl_sec, int64_t sec)
{
	struct lease lease = { .grant = f.grant.id,
		.provider = "regional-vpn",
		.epoch = 3,
		.seq = seq,
		.issued_at = WALL + issued_sec * SEC,
		.ttl_sec = ttl_sec };
	AUTO_BUF struct buf text = BUF(JWS_SMALL_BYTES_MAX);

	buf_add_text(&text, "sekisho-lease");
	lease_print(&lease, &text);
	tunnel_lease(f.machine, buf_text(&text), text.count, at(sec), &f.actions);
	return f.actions.count > 1 && f.actions.items[1].type == TUNNEL_LEASE_RENEW ? "renewed"
	                                                                            : take();
}

static const char child_name[] = "c64400214-6440030a";

/* All the way to UP at 1 s; the lease runs to 61 s. */
static inline void bring_up(void)
{
	uint32_t tag;

	give(&f.grant, 0);
	tunnel_loaded(f.machine, 1, true, "", at(0), &f.actions);
	CHECK_TEXT(take(), "report:armed record:connection.armed record:connection.opening");
	tunnel_go(f.machine, f.grant.id.text, at(0), &f.actions);
	CHECK(f.actions.count == 1 && f.actions.items[0].type == TUNNEL_CHILD_INITIATE);
	tag = f.actions.items[0].tag;
	CHECK_TEXT(take(), "initiate");
	tunnel_initiated(f.machine, tag, true, "", at(1), &f.actions);
	CHECK_TEXT(take(), "");
	tunnel_child(f.machine, "gw-maker", child_name, true, at(1), &f.actions);
	CHECK(f.actions.count == 1 && f.actions.items[0].ttl_msec == 60000);
	CHECK_TEXT(take(), "open"); /* what it opens is on disk since it was armed */
	tunnel_opened(f.machine, f.grant.id.text, true, at(1), &f.actions);
	CHECK_TEXT(take(), "record:connection.up report:up");
}
