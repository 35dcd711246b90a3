/*
 * Process priv as an agent that is taken over sees it: any messages, with seals that always open
 * and a policy that permits. Whatever agent says, nothing is opened before charon has a CHILD SA;
 * every record is a well-formed one; a malformed message is answered by ending the sender.
 *
 * Input: u8 type, u32 tag, u16 length, payload, and again. {text} and {hour} in a payload become
 * the time now and an hour later, so that a seed does not get old.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/record.h"
#include "gateway/priv.h"

/* Only the machine and the parsers are real. */
#define trust_identity_set(trust, der, count, now, err)                                            \
	((void)(der), err_set(err, 1, "not a certificate"))
#define trust_take(trust, data, count, changed, err) fake_take(data, count, changed, err)
#define trust_policy_take(trust, data, count, now, changed, err)                                   \
	fake_take(data, count, changed, err)
#define trust_site_policy(trust) fake_site
#define trust_provider_policy(trust) fake_provider
#define trust_gateway(trust) "gw-core"
#define trust_site(trust) "core-hospital"
#define trust_for_tunnels(trust) fake_trust
#define journal_newest(journal) 7
#define journal_oldest(journal) 1
#define journal_acknowledged(journal) 5
#define journal_full(journal) false
#define journal_acknowledge(journal, seq, now) ((void)(seq))
#define journal_read(journal, from, count, each, context) fake_read(from, each, context)
#define firewall_check(firewall) 0
#define charon_alive(charon) true
#define firewall_first_set(firewall, ips, count) ((void)(ips), 0)
#define firewall_seen_list(firewall, each, context) fake_seen(each, context)

static struct site_policy *fake_site;
static struct provider_policy *fake_provider;
static struct tunnel_trust fake_trust;

static int fake_take(const char *data, size_t count, bool *ret_changed, struct err *err)
{
	*ret_changed = count % 2;
	return err_set(err, 1, "refused: %.20s", data);
}

static int fake_read(uint64_t from, journal_each *each, void *context)
{
	static const uint8_t bytes[100];
	struct chain_link link = { .seq = from };

	return from == 7 ? each(context, &link, bytes, sizeof(bytes)) : 0;
}

/* A host's first packet that the policy would open, so that there is a question to answer. */
static int fake_seen(firewall_seen_each *each, void *context)
{
	static const uint8_t source[4] = { 192, 168, 10, 20 }, destination[4] = { 100, 64, 3, 10 };
	struct nft_lease tuple = { .source = ip_make(IP_V4, source),
		.destination = ip_make(IP_V4, destination),
		.protocol = IPPROTO_TCP };

	for (tuple.port = 1; tuple.port < 10; tuple.port++) {
		each(context, &tuple);
	}
	return 0;
}

#include "gateway/priv_agent.c"
#include "gateway/priv_event.c"
#include "gateway/priv_traffic.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool accepted; /* some grant was */

void priv_send(struct priv *priv, uint16_t type, uint32_t tag, const struct buf *payload)
{
	assert_always(type >= MESSAGE_REPORT && !payload->overflowed);
}

void priv_record(struct priv *priv, const void *record, size_t count)
{
	struct record_head head;

	assert_always(record_check(record, count, &head, NULL) == 0);
	if (getenv("FUZZ_SHOW")) {
		fprintf(stderr, "%.*s\n", (int)count, (const char *)record);
	}
}

void priv_note(struct priv *priv, const char *actor, const char *kind, const char *subject,
        const char *text)
{
	assert_always(record_kind_find(kind));
	assert_always(strcmp(actor, "gateway") == 0 || strcmp(actor, "agent") == 0);
}

bool priv_record_wanted(struct priv *priv, const char *kind)
{
	return true;
}

void priv_act(struct priv *priv, struct tunnel_actions *actions)
{
	for (size_t i = 0; i < actions->count; i++) {
		const struct tunnel_action *action = &actions->items[i];

		assert_always(
		        action->type != TUNNEL_LEASE_OPEN && action->type != TUNNEL_LEASE_RENEW);
		if (action->type == TUNNEL_RECORD) {
			priv_record(priv, action->record.bytes, action->record.count);
		}
		accepted = accepted || action->type == TUNNEL_PEER_LOAD;
		assert_always(action->type != TUNNEL_PEER_LOAD ||
		              (action->peer->certificate_bytes > 0 &&
		                      action->peer->certificate[0] != 'n'));
	}
	tunnel_actions_clear(actions);
}

void priv_shut(struct priv *priv, const char *by, const char *reason)
{
	struct tunnel_actions actions = { 0 };

	if (priv->machine) {
		tunnel_cut_all(priv->machine, by, reason, clock_now(), &actions);
		priv_act(priv, &actions);
	}
}

void priv_credentials_load(struct priv *priv)
{
}

void priv_machine_start(struct priv *priv)
{
}

void priv_reconcile(struct priv *priv)
{
}

void priv_apply_policy(struct priv *priv)
{
}

/* The text is the payload; an empty one is a broken seal. */
static int open_any(void *context, const char *provider, const char *typ, const char *sealed,
        size_t count, int64_t wall_usec, struct buf *payload, struct err *err)
{
	buf_add(payload, sealed, count);
	return count > 0 ? 0 : err_set(err, 1, "no seal");
}

static int permit_any(void *context, const struct grant *grant, int64_t wall_usec, struct err *err)
{
	return 0;
}

/* Whatever it says was signed by the first approver of the policy; there is none in here. */
static int open_approval(void *context, const struct site_policy *site, const char *sealed,
        struct buf *payload, struct policy_approver *ret_approver, struct err *err)
{
	if (site_policy_approver_count(site) == 0) {
		return err_set(err, 1, "there is no approver");
	}
	site_policy_approver_at(site, 0, ret_approver);
	buf_add_text(payload, sealed);
	return 0;
}

static int permit_peer(void *context, const struct grant_end *peer, const uint8_t *der,
        size_t count, int64_t wall_usec, struct err *err)
{
	assert_always(count > 0 && count <= SERVICE_CERT_DER_BYTES_MAX);
	return der[0] == 'n' ? err_set(err, 1, "not the peer's") : 0;
}

static void make_policies(void)
{
	static const char site[] = "sekisho site-policy 1\nsite core-hospital\nversion 1\n"
	                           "host ct address 192.168.10.30 service 100.64.2.20\n"
	                           "allow ct-dicom from device-maker/* to ct class "
	                           "remote-maintenance protocol tcp port 1-65535 "
	                           "approval standing factor one\n"
	                           "host pc address 192.168.10.20 service 100.64.2.21\n"
	                           "allow out from pc to device-maker/terminal class mail protocol "
	                           "tcp port 2-8 idle 1m open traffic\n"
	                           "test permit from device-maker/terminal to ct class "
	                           "remote-maintenance protocol tcp port 104\n";
	static const char provider[] =
	        "sekisho provider-policy 1\nprovider regional-vpn\nversion 1\npool 100.64.0.0/10\n"
	        "site core-hospital prefix 100.64.2.0/24\nsite device-maker prefix 100.64.3.0/24\n"
	        "class remote-maintenance duration 2h lease 60s\n"
	        "group a sites core-hospital device-maker classes remote-maintenance\n";
	struct err err = { 0 };

	if (site_policy_parse(site, strlen(site), &fake_site, &err) != 0 ||
	        provider_policy_parse(provider, strlen(provider), &fake_provider, &err) != 0) {
		fprintf(stderr, "%s\n", err.text);
		abort();
	}
}

static void make_machine(struct priv *priv)
{
	struct tunnel_config config = { .provider = "regional-vpn",
		.site = "core-hospital",
		.gateway = "gw-core",
		.identity = "gw-core.regional-vpn.sekisho.internal",
		.serial = "ff",
		.boot = "boot",
		.grant_sec_max = GRANT_SEC_MAX,
		.trust = fake_trust };
	struct tunnel_found nothing = { .elements_known = true, .children_known = true };
	struct tunnel_actions actions = { 0 };

	priv->machine = tunnel_machine_new(&config);
	tunnel_policy_set(priv->machine, fake_provider, fake_site, clock_now(), &actions);
	tunnel_charon(priv->machine, true, clock_now(), &actions);
	tunnel_filter(priv->machine, true, clock_now(), &actions);
	tunnel_start(priv->machine, clock_now(), &actions);
	tunnel_reconcile(priv->machine, &nothing, clock_now(), &actions);
	tunnel_actions_clear(&actions);
}

static void fill_times(const uint8_t *bytes, size_t count, struct buf *out)
{
	int64_t now = clock_wall_usec();

	for (size_t i = 0; i < count; i++) {
		if (count - i >= 6 && memcmp(bytes + i, "{text}", 6) == 0) {
			buf_add_text(out, time_print(now).text);
			i += 5;
		} else if (count - i >= 6 && memcmp(bytes + i, "{hour}", 6) == 0) {
			buf_add_text(out, time_print(now + 3600 * USEC_PER_SEC).text);
			i += 5;
		} else {
			buf_add_u8(out, bytes[i]);
		}
	}
}

static void tell(struct priv *priv, uint16_t type, uint32_t tag, const uint8_t *bytes, size_t count)
{
	AUTO_BUF struct buf filled = BUF(MESSAGE_BYTES_MAX), payload = BUF(MESSAGE_BYTES_MAX);
	const char *text, *bar;

	fill_times(bytes, count, &filled);
	/* "|a|b|c" is the blocks a, b and c; anything else is taken as it is. */
	text = buf_text(&filled);
	while (filled.count > 0 && text[0] == '|') {
		bar = strchr(text + 1, '|');
		buf_add_block(
		        &payload, text + 1, bar ? (size_t)(bar - text - 1) : strlen(text + 1));
		text = bar ? bar : "";
	}
	if (payload.count == 0) {
		buf_add(&payload, filled.bytes, filled.count);
	}
	on_message(priv, type, tag, payload.bytes, payload.count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gateway_config config = { .provider = (char *)"regional-vpn" };
	struct priv priv = { .config = &config, .listen_fd = -1 };
	struct cursor cursor = CURSOR(data, size);

	if (!fake_site) {
		make_policies();
		fake_trust = (struct tunnel_trust){ NULL, open_any, permit_any, permit_peer,
			open_approval };
	}
	accepted = false;
	assert_always(loop_new(&priv.loop) == 0);
	if (size > 0 && cursor_u8(&cursor) != 'x') {
		make_machine(&priv);
	}
	/* First traffic: questions are open from here on, tags 1 and up. */
	priv_traffic_new(&priv);
	priv_traffic_apply(&priv);
	priv.agent = (struct channel *)&priv;
	priv.charon_loaded = true;
	look(&priv);
	while (cursor_left(&cursor) > 7) {
		uint16_t type = cursor_u8(&cursor);
		uint32_t tag = cursor_u32(&cursor);
		size_t count = cursor_u16(&cursor), left = cursor_left(&cursor);

		count = count < left ? count : left;
		tell(&priv, type, tag, cursor_take(&cursor, count), count);
	}
	if (getenv("FUZZ_SHOW")) {
		fprintf(stderr, "accepted: %d\n", accepted);
	}
	assert_always(traffic_count(priv.traffic) <= TRAFFIC_OPEN_MAX);
	priv.agent = NULL;
	priv_traffic_free(&priv);
	tunnel_machine_free(priv.machine);
	loop_free(priv.loop);
	return 0;
}
