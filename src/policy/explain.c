#include "policy/explain.h"

#include <string.h>

#include "policy/policy_text.h"

struct words {
	const char *english, *japanese;
};

static const struct {
	const char *name;
	struct words title;
} layer_table[LAYER_COUNT] = {
	[LAYER_PROVIDER] = { "provider", { "provider", "提供者" } },
	[LAYER_GROUP] = { "group", { "group", "グループ" } },
	[LAYER_CLASS] = { "class", { "service class", "サービス種別" } },
	[LAYER_INITIATOR_SITE] = { "initiator-site", { "asking site", "接続元拠点" } },
	[LAYER_RESPONDER_SITE] = { "responder-site", { "asked site", "接続先拠点" } },
	[LAYER_ACCREDITATION] = { "accreditation", { "accreditation", "認定" } },
	[LAYER_CERTIFICATES] = { "certificates", { "certificates", "証明書" } },
	[LAYER_GATEWAYS] = { "gateways", { "gateways", "VPN機器" } },
	[LAYER_WINDOW] = { "window", { "time", "時間" } },
};

/* Sentences. In braces: detail, from, to (host references), from-site, to-site, site (the own site
 * of the layer), class, service ("tcp port 104"). */
static const struct {
	const char *name;
	struct words sentence;
} reason_table[REASON_COUNT] = {
	[REASON_NONE] = { "none", { "This was not decided.", "判定されていません。" } },
	[REASON_FOREIGN] = { "foreign", { "Decided elsewhere.", "他の判定者が判定します。" } },

	[REASON_PROVIDER_OK] = { "provider.ok",
	        { "{detail} knows both sites.", "{detail}に両拠点が登録されています。" } },
	[REASON_PROVIDER_POLICY_MISSING] = { "provider.policy-missing",
	        { "The provider has no active policy.", "提供者の有効なポリシーがありません。" } },
	[REASON_REQUEST_MALFORMED] = { "request.malformed",
	        { "The request is not a valid one: names, class, protocol, port or lease.",
	                "申請の内容(名称、種別、プロトコル、ポート、リース)"
	                "が正しくありません。" } },
	[REASON_SAME_SITE] = { "provider.same-site",
	        { "Both hosts are of {detail}; a connection joins two sites.",
	                "両方とも拠点{detail}の機器です。接続は異なる拠点の間に限ります。" } },
	[REASON_INITIATOR_UNKNOWN] = { "provider.initiator-unknown",
	        { "The provider's policy has no site {detail}.",
	                "拠点{detail}は提供者のポリシーにありません。" } },
	[REASON_RESPONDER_UNKNOWN] = { "provider.responder-unknown",
	        { "The provider's policy has no site {detail}.",
	                "拠点{detail}は提供者のポリシーにありません。" } },

	[REASON_GROUP_OK] = { "group.ok",
	        { "Both sites are in group {detail}, which has this class.",
	                "両拠点はこの種別を許すグループ{detail}に属しています。" } },
	[REASON_GROUP_NONE] = { "group.none",
	        { "No group has both {from-site} and {to-site}.",
	                "{from-site}と{to-site}の両方が属するグループがありません。" } },
	[REASON_GROUP_CLASS] = { "group.class",
	        { "Group {detail} has both sites, but not the class {class}.",
	                "グループ{detail}では{class}を利用できません。" } },

	[REASON_CLASS_OK] = { "class.ok",
	        { "The provider offers {class}.", "提供者は{class}を提供しています。" } },
	[REASON_CLASS_NOT_OFFERED] = { "class.not-offered",
	        { "The provider does not offer {class}.", "提供者は{class}を提供していません。" } },
	[REASON_CLASS_DURATION] = { "class.duration",
	        { "Longer than {class} may last: at most {detail}.",
	                "{class}の最長時間{detail}を超えています。" } },
	[REASON_CLASS_LEASE] = { "class.lease",
	        { "The lease is longer than {class} allows: at most {detail}.",
	                "{class}のリース上限{detail}を超えています。" } },

	[REASON_SITE_OK] = { "site.ok", { "Rule {detail} of {site} allows it.",
	                                        "{site}の規則{detail}により許可されています。" } },
	[REASON_SITE_POLICY_MISSING] = { "site.policy-missing",
	        { "{site} has no active policy.", "{site}の有効なポリシーがありません。" } },
	[REASON_SITE_POLICY_FOREIGN] = { "site.policy-foreign",
	        { "The policy at hand is of {detail}, not of {site}.",
	                "ポリシーが{site}ではなく{detail}のものです。" } },
	[REASON_SITE_HOST_UNKNOWN] = { "site.host-unknown",
	        { "The policy of {site} has no host {detail}.",
	                "{site}のポリシーに機器{detail}がありません。" } },
	[REASON_SITE_HOST_ADDRESS] = { "site.host-address",
	        { "The service address {detail} is not one of {site}.",
	                "サービスアドレス{detail}は{site}の範囲外です。" } },
	[REASON_SITE_NO_RULE] = { "site.no-rule",
	        { "No rule of {site} allows {from} to reach {to}.",
	                "{from}から{to}への接続を許す規則が{site}にありません。" } },
	[REASON_SITE_RULE_CLASS] = { "site.rule-class",
	        { "Rule {detail} of {site} is not for {class}.",
	                "{site}の規則{detail}は{class}を許していません。" } },
	[REASON_SITE_RULE_PROTOCOL] = { "site.rule-protocol",
	        { "Rule {detail} of {site} does not allow {service}.",
	                "{site}の規則{detail}は{service}を許していません。" } },
	[REASON_SITE_RULE_PORT] = { "site.rule-port",
	        { "Rule {detail} of {site} does not allow {service}.",
	                "{site}の規則{detail}は{service}を許していません。" } },
	[REASON_SITE_DURATION] = { "site.duration",
	        { "Longer than {site} allows ({detail} at most).",
	                "{site}の許す時間を超えています(上限 {detail})。" } },
	[REASON_SITE_LEASE] = { "site.lease",
	        { "The lease is longer than {site} allows ({detail} at most).",
	                "{site}の許すリースを超えています(上限 {detail})。" } },

	[REASON_ACCREDITATION_OK] = { "accreditation.ok",
	        { "Everybody involved is accredited.", "関係者はすべて認定されています。" } },
	[REASON_ACCREDITATION_PROVIDER] = { "accreditation.provider",
	        { "Accreditation of the provider: {detail}.", "提供者の認定: {detail}。" } },
	[REASON_ACCREDITATION_DEVICE_CA] = { "accreditation.device-ca",
	        { "Accreditation of the device CA: {detail}.",
	                "機器証明書発行機関の認定: {detail}。" } },
	[REASON_ACCREDITATION_SERVICE_CA] = { "accreditation.service-ca",
	        { "Accreditation of the service CA: {detail}.",
	                "サービス証明書発行機関の認定: {detail}。" } },
	[REASON_ACCREDITATION_INITIATOR_MAKER] = { "accreditation.initiator-maker",
	        { "Accreditation of the maker of the gateway of {from-site}: {detail}.",
	                "{from-site}のVPN機器提供者の認定: {detail}。" } },
	[REASON_ACCREDITATION_RESPONDER_MAKER] = { "accreditation.responder-maker",
	        { "Accreditation of the maker of the gateway of {to-site}: {detail}.",
	                "{to-site}のVPN機器提供者の認定: {detail}。" } },
	[REASON_ACCREDITATION_NOTHING] = { "accreditation.nothing",
	        { "Nothing is known of any accreditation.", "認定の状態が分かりません。" } },

	[REASON_CERTIFICATES_OK] = { "certificates.ok",
	        { "The certificates are valid.", "証明書は有効です。" } },
	[REASON_CERTIFICATES_INITIATOR_DEVICE] = { "certificates.initiator-device",
	        { "Device certificate of {from-site}: {detail}.",
	                "{from-site}の機器証明書: {detail}。" } },
	[REASON_CERTIFICATES_INITIATOR_SERVICE] = { "certificates.initiator-service",
	        { "Service certificate of {from-site}: {detail}.",
	                "{from-site}のサービス証明書: {detail}。" } },
	[REASON_CERTIFICATES_RESPONDER_DEVICE] = { "certificates.responder-device",
	        { "Device certificate of {to-site}: {detail}.",
	                "{to-site}の機器証明書: {detail}。" } },
	[REASON_CERTIFICATES_RESPONDER_SERVICE] = { "certificates.responder-service",
	        { "Service certificate of {to-site}: {detail}.",
	                "{to-site}のサービス証明書: {detail}。" } },
	[REASON_CERTIFICATES_NOTHING] = { "certificates.nothing",
	        { "Nothing is known of any certificate.", "証明書の状態が分かりません。" } },

	[REASON_GATEWAYS_OK] = { "gateways.ok",
	        { "Both gateways are online.", "両拠点のVPN機器は動作中です。" } },
	[REASON_GATEWAYS_INITIATOR] = { "gateways.initiator",
	        { "Gateway of {from-site}: {detail}.", "{from-site}のVPN機器: {detail}。" } },
	[REASON_GATEWAYS_RESPONDER] = { "gateways.responder",
	        { "Gateway of {to-site}: {detail}.", "{to-site}のVPN機器: {detail}。" } },
	[REASON_GATEWAYS_NAT_UNKNOWN] = { "gateways.nat-unknown",
	        { "It is not known whether a gateway is behind NAT.",
	                "VPN機器がNAT配下かどうか分かりません。" } },
	[REASON_GATEWAYS_BOTH_NAT] = { "gateways.both-nat",
	        { "Both gateways are behind NAT: neither can reach the other.",
	                "両方のVPN機器がNAT配下のため、互いに到達できません。" } },

	[REASON_WINDOW_OK] = { "window.ok", { "Within its time.", "許可された時間内です。" } },
	[REASON_WINDOW_MISSING] = { "window.missing",
	        { "No time is given for the connection.", "接続の時間が指定されていません。" } },
	[REASON_WINDOW_EARLY] = { "window.early",
	        { "Its time begins at {detail}.", "開始時刻({detail})の前です。" } },
	[REASON_WINDOW_OVER] = { "window.over",
	        { "Its time was over at {detail}.", "終了時刻({detail})を過ぎています。" } },
	[REASON_WINDOW_LENGTH] = { "window.length",
	        { "Longer than any connection may last: at most {detail}.",
	                "接続の最長時間{detail}を超えています。" } },
	[REASON_WINDOW_DURATION] = { "window.duration",
	        { "Longer than its time: at most {detail}.",
	                "指定された時間枠{detail}を超えています。" } },
};

/* What stands as a detail in the layers that look at states. */
static const struct words states[] = {
	{ "not accredited", "認定なし" },
	{ "not known", "不明" },
	{ "not valid yet", "有効期間前" },
	{ "expired", "期限切れ" },
	{ "revoked", "失効" },
	{ "suspended", "停止中" },
	{ "missing", "なし" },
	{ "offline", "停止または未接続" },
	{ "not ready", "準備未完了" },
};

static const char *choose(const struct words *words, enum policy_language language)
{
	return language == LANGUAGE_JAPANESE ? words->japanese : words->english;
}

const char *policy_layer_name(enum policy_layer layer)
{
	return (unsigned)layer < LAYER_COUNT ? layer_table[layer].name : "";
}

const char *policy_reason_name(enum policy_reason reason)
{
	return (unsigned)reason < REASON_COUNT ? reason_table[reason].name : "";
}

static const char *detail_text(
        enum policy_layer layer, const char *detail, enum policy_language language)
{
	/* Elsewhere the detail is a name, and a rule may be called "expired". */
	bool is_state = layer == LAYER_ACCREDITATION || layer == LAYER_CERTIFICATES ||
	                layer == LAYER_GATEWAYS;

	for (size_t i = 0; is_state && language == LANGUAGE_JAPANESE && i < ARRAY_COUNT(states);
	        i++) {
		if (strcmp(states[i].english, detail) == 0) {
			return states[i].japanese;
		}
	}
	return detail;
}

static void add_class(enum service_class class, enum policy_language language, struct buf *out)
{
	const struct service_class_info *info = service_class_info(class);

	if (!info) {
		buf_add_text(out, "?");
	} else if (language == LANGUAGE_JAPANESE) {
		buf_add_text(out, info->japanese);
	} else {
		buf_add_text(out, info->name);
	}
}

static void add_service(
        const struct policy_request *request, enum policy_language language, struct buf *out)
{
	const char *name = protocol_name(request->protocol);

	buf_add_text(out, name[0] ? name : "?");
	if (request->protocol != PROTOCOL_ICMP) {
		buf_add_format(out, language == LANGUAGE_JAPANESE ? " %u番ポート" : " port %u",
		        request->port);
	}
}

/* What stands in braces in a sentence. */
static void add_field(const char *field, const struct policy_layer_result *result,
        enum policy_layer layer, const struct policy_request *request,
        enum policy_language language, struct buf *out)
{
	const char *own_site =
	        layer == LAYER_INITIATOR_SITE ? request->from.site : request->to.site;

	if (strcmp(field, "detail") == 0) {
		buf_add_text(out, detail_text(layer, result->detail, language));
	} else if (strcmp(field, "from") == 0) {
		buf_add_text(out, host_ref_print(&request->from).text);
	} else if (strcmp(field, "to") == 0) {
		buf_add_text(out, host_ref_print(&request->to).text);
	} else if (strcmp(field, "from-site") == 0) {
		buf_add_text(out, request->from.site);
	} else if (strcmp(field, "to-site") == 0) {
		buf_add_text(out, request->to.site);
	} else if (strcmp(field, "site") == 0) {
		buf_add_text(out, own_site);
	} else if (strcmp(field, "class") == 0) {
		add_class(request->class, language, out);
	} else {
		assert_always(strcmp(field, "service") == 0);
		add_service(request, language, out);
	}
}

void policy_reason_print(const struct decision *decision, enum policy_layer layer,
        const struct policy_request *request, enum policy_language language, struct buf *out)
{
	const struct policy_layer_result *result = &decision->layers[layer];
	const char *at;

	assert_always((unsigned)layer < LAYER_COUNT && (unsigned)result->reason < REASON_COUNT);
	at = choose(&reason_table[result->reason].sentence, language);
	for (;;) {
		size_t plain = strcspn(at, "{");
		char field[16];
		size_t count;

		buf_add(out, at, plain);
		at += plain;
		if (*at == '\0') {
			break;
		}
		count = strcspn(at + 1, "}");
		assert_always(count < sizeof(field) && at[1 + count] == '}');
		memcpy(field, at + 1, count);
		field[count] = '\0';
		add_field(field, result, layer, request, language, out);
		at += count + 2;
	}
}

/* Columns on a terminal: one for ASCII, two for the Japanese we write. */
static size_t text_columns(const char *text)
{
	size_t columns = 0;

	for (; *text; text++) {
		if ((unsigned char)*text < 0x80) {
			columns++;
		} else if (((unsigned char)*text & 0xc0) == 0xc0) {
			columns += 2;
		}
	}
	return columns;
}

static void print_layer(const struct decision *decision, enum policy_layer layer,
        const struct policy_request *request, enum policy_language language, struct buf *out)
{
	static const struct words verdicts[] = {
		[VERDICT_DENY] = { "deny  ", "拒否" },
		[VERDICT_PERMIT] = { "permit", "許可" },
	};
	static const struct words foreign = { "-     ", "－  " };
	const struct policy_layer_result *result = &decision->layers[layer];
	const char *title = choose(&layer_table[layer].title, language);

	buf_add_format(out, "  %s%*s", title, (int)(15 - text_columns(title)), "");
	buf_add_format(out, "%s  ",
	        choose(result->consulted ? &verdicts[result->verdict] : &foreign, language));
	policy_reason_print(decision, layer, request, language, out);
	buf_add_text(out, "\n");
}

static void print_limits(
        const struct decision *decision, enum policy_language language, struct buf *out)
{
	static const struct words at_most = { "At most ", "最長 " };
	static const struct words lease = { ", leased for ", "、リース " };
	static const struct words versions = { "; policy versions ", "、ポリシー版数 " };

	buf_add_text(out, choose(&at_most, language));
	policy_duration_print(decision->duration_sec, out);
	buf_add_text(out, choose(&lease, language));
	policy_duration_print(decision->lease_sec, out);
	buf_add_text(out, choose(&versions, language));
	buf_add_format(out, "%ju/%ju/%ju\n", (uintmax_t)decision->provider_version,
	        (uintmax_t)decision->initiator_version, (uintmax_t)decision->responder_version);
}

void policy_explain_print(const struct decision *decision, const struct policy_request *request,
        enum policy_language language, struct buf *out)
{
	static const struct words verdicts[] = {
		[VERDICT_DENY] = { "DENIED", "拒否" },
		[VERDICT_PERMIT] = { "PERMITTED", "許可" },
	};

	buf_add_format(out, "%s -> %s, ", host_ref_print(&request->from).text,
	        host_ref_print(&request->to).text);
	add_class(request->class, language, out);
	buf_add_text(out, ", ");
	add_service(request, language, out);
	buf_add_format(out, ": %s\n", choose(&verdicts[decision->verdict], language));
	for (int layer = 0; layer < LAYER_COUNT; layer++) {
		print_layer(decision, (enum policy_layer)layer, request, language, out);
	}
	if (decision->verdict == VERDICT_PERMIT) {
		print_limits(decision, language, out);
	}
}
