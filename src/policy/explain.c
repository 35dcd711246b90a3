#include "policy/explain.h"

#include <string.h>

#include "base/clock.h"
#include "policy/hours.h"
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
	[LAYER_AGREEMENT] = { "agreement", { "agreement", "契約・合意" } },
	[LAYER_INITIATOR_SITE] = { "initiator-site", { "asking site", "接続元拠点" } },
	[LAYER_RESPONDER_SITE] = { "responder-site", { "asked site", "接続先拠点" } },
	[LAYER_PERSON] = { "person", { "person", "利用者" } },
	[LAYER_WORK_ORDER] = { "work-order", { "work order", "作業申請" } },
	[LAYER_EXCLUSION] = { "exclusion", { "exclusion", "同時利用" } },
	[LAYER_ACCREDITATION] = { "accreditation", { "accreditation", "認定" } },
	[LAYER_CERTIFICATES] = { "certificates", { "certificates", "証明書" } },
	[LAYER_GATEWAYS] = { "gateways", { "gateways", "VPN機器" } },
	[LAYER_WINDOW] = { "window", { "time", "時間" } },
};

/* Sentences. In braces: detail, from, to (host references), from-site, to-site, site (the one of
 * the two that the layer, or its reason, is about) and host (its), class, service ("tcp port 104"),
 * person, work-order. */
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
	        { "The request is not a valid one: names, class, protocol, port, lease or work "
	          "order.",
	                "申請の内容(名称、種別、プロトコル、ポート、リース、作業申請)"
	                "が正しくありません。" } },
	[REASON_SAME_SITE] = { "provider.same-site",
	        { "Both hosts are of {from-site}; a connection joins two sites.",
	                "両方とも拠点{from-site}の機器です。接続は異なる拠点の間に限ります。" } },
	[REASON_INITIATOR_UNKNOWN] = { "provider.initiator-unknown",
	        { "The provider's policy has no site {from-site}.",
	                "拠点{from-site}は提供者のポリシーにありません。" } },
	[REASON_RESPONDER_UNKNOWN] = { "provider.responder-unknown",
	        { "The provider's policy has no site {to-site}.",
	                "拠点{to-site}は提供者のポリシーにありません。" } },

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

	[REASON_AGREEMENT_OK] = { "agreement.ok",
	        { "Agreement {detail} covers it.", "契約{detail}の範囲内です。" } },
	[REASON_AGREEMENT_SAME_ORGANIZATION] = { "agreement.same-organization",
	        { "Both sites are of one organization.", "両拠点は同じ機関に属しています。" } },
	[REASON_AGREEMENT_UNKNOWN] = { "agreement.unknown",
	        { "It is not known whether there is an agreement.",
	                "契約の有無が分かりません。" } },
	[REASON_AGREEMENT_NONE] = { "agreement.none",
	        { "The organizations of {from-site} and {to-site} have no agreement.",
	                "{from-site}と{to-site}の機関の間に契約がありません。" } },
	[REASON_AGREEMENT_CLASS] = { "agreement.class",
	        { "Agreement {detail} is not for {class}.",
	                "契約{detail}は{class}を対象としていません。" } },
	[REASON_AGREEMENT_HOSTS] = { "agreement.hosts",
	        { "Agreement {detail} does not have {from} and {to}.",
	                "契約{detail}は{from}と{to}を対象としていません。" } },
	[REASON_AGREEMENT_SERVICE] = { "agreement.service",
	        { "Agreement {detail} does not have {service}.",
	                "契約{detail}は{service}を対象としていません。" } },
	[REASON_AGREEMENT_INCOMPLETE] = { "agreement.incomplete",
	        { "Agreement {detail} lacks a clause.",
	                "契約{detail}に未記入の条項があります。" } },
	[REASON_AGREEMENT_UNSIGNED] = { "agreement.unsigned",
	        { "Agreement {detail} is not signed by both parties.",
	                "契約{detail}に双方の署名がそろっていません。" } },
	[REASON_AGREEMENT_NOT_YET] = { "agreement.not-yet",
	        { "Agreement {detail} begins later.", "契約{detail}は開始前です。" } },
	[REASON_AGREEMENT_OVER] = { "agreement.over",
	        { "Agreement {detail} is over.", "契約{detail}は終了しています。" } },
	[REASON_AGREEMENT_ENDED] = { "agreement.ended",
	        { "Agreement {detail} was ended by a party.",
	                "契約{detail}は当事者により解除されました。" } },
	[REASON_AGREEMENT_UNACKNOWLEDGED] = { "agreement.unacknowledged",
	        { "The organization of {from-site} has not acknowledged the policy of {to-site}.",
	                "{from-site}の機関は{to-site}の運用方針を確認していません。" } },
	[REASON_AGREEMENT_DURATION] = { "agreement.duration",
	        { "Longer than agreement {detail} lasts.", "契約{detail}の期間を超えています。" } },

	[REASON_SITE_OK] = { "site.ok", { "Rule {detail} of {site} allows it.",
	                                        "{site}の規則{detail}により許可されています。" } },
	[REASON_SITE_RULE_CONDITIONAL] = { "site.conditional",
	        { "Rule {detail} of {site} allows it under conditions that are decided below.",
	                "{site}の規則{detail}は条件付きで許しています(条件は下記で判定)。" } },
	[REASON_SITE_POLICY_MISSING] = { "site.policy-missing",
	        { "{site} has no active policy.", "{site}の有効なポリシーがありません。" } },
	[REASON_SITE_POLICY_FOREIGN] = { "site.policy-foreign",
	        { "The policy at hand is of {detail}, not of {site}.",
	                "ポリシーが{site}ではなく{detail}のものです。" } },
	[REASON_SITE_HOST_UNKNOWN] = { "site.host-unknown",
	        { "The policy of {site} has no host {host}.",
	                "{site}のポリシーに機器{host}がありません。" } },
	[REASON_SITE_HOST_ADDRESS] = { "site.host-address",
	        { "The service address of {detail} is not one of {site}.",
	                "{detail}のサービスアドレスは{site}の範囲外です。" } },
	[REASON_SITE_HSZ] = { "site.hsz",
	        { "{detail} of {site} is in the high security zone, which has remote maintenance "
	          "only.",
	                "{site}の{detail}"
	                "は高セキュリティ区域にあり、リモート保守以外は利用できません。" } },
	[REASON_SITE_REFUSED] = { "site.refused",
	        { "Rule {detail} of {site} refuses it.",
	                "{site}の規則{detail}が拒否しています。" } },
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
	[REASON_SITE_RULE_HOURS] = { "site.rule-hours",
	        { "Outside the hours of {site}: rule {detail}.",
	                "{site}の許す時間帯の外です: 規則{detail}。" } },
	[REASON_SITE_RULE_HOURS_END] = { "site.rule-hours-end",
	        { "Longer than the hours of {site} last: rule {detail}.",
	                "{site}の許す時間帯を超えています: 規則{detail}。" } },
	[REASON_SITE_RULE_POSTURE] = { "site.rule-posture",
	        { "Rule {detail} of {site} wants the other gateway to be up to date.",
	                "{site}の規則{detail}は相手のVPN機器が最新であることを求めています。" } },
	[REASON_SITE_RULE_TRAFFIC] = { "site.rule-traffic",
	        { "Rule {detail} of {site} opens on request only, not on traffic.",
	                "{site}の規則{detail}"
	                "は申請によってのみ開き、通信の発生では開きません。" } },
	[REASON_SITE_DURATION] = { "site.duration",
	        { "Longer than {site} allows ({detail} at most).",
	                "{site}の許す時間を超えています(上限 {detail})。" } },
	[REASON_SITE_LEASE] = { "site.lease",
	        { "The lease is longer than {site} allows ({detail} at most).",
	                "{site}の許すリースを超えています(上限 {detail})。" } },

	[REASON_PERSON_OK] = { "person.ok",
	        { "{person} may ask for {class}.", "{person}は{class}を申請できます。" } },
	[REASON_PERSON_NOBODY_OK] = { "person.nobody-ok",
	        { "No person is needed: the gateway asks by itself.",
	                "VPN機器自身による申請で、利用者の指定は不要です。" } },
	[REASON_PERSON_NOBODY] = { "person.nobody",
	        { "A person has to ask; nobody is named.",
	                "利用者の指定が必要ですが、指定されていません。" } },
	[REASON_PERSON_UNKNOWN] = { "person.unknown",
	        { "It is not known who {person} is.", "{person}について分かりません。" } },
	[REASON_PERSON_UNREGISTERED] = { "person.unregistered",
	        { "{person} is not registered.", "{person}は登録されていません。" } },
	[REASON_PERSON_INACTIVE] = { "person.inactive",
	        { "The account of {person} is not active.", "{person}のアカウントは無効です。" } },
	[REASON_PERSON_ORGANIZATION] = { "person.organization",
	        { "{person} is not of the organization of {from-site}.",
	                "{person}は{from-site}の機関に属していません。" } },
	[REASON_PERSON_ROLE] = { "person.role",
	        { "{person} has no role that may ask for {class}.",
	                "{person}には{class}を申請できる役割がありません。" } },
	[REASON_PERSON_FACTOR] = { "person.factor",
	        { "{person} has to log in with a second factor.",
	                "{person}は二要素認証でログインする必要があります。" } },

	[REASON_WORK_ORDER_NONE_NEEDED] = { "work-order.none-needed",
	        { "No approval is wanted for it.", "個別の承認は不要です。" } },
	[REASON_WORK_ORDER_OK] = { "work-order.ok",
	        { "Work order {work-order} is approved.",
	                "作業申請{work-order}は承認済みです。" } },
	[REASON_WORK_ORDER_EMERGENCY_OK] = { "work-order.emergency-ok",
	        { "An emergency: it is to be reviewed afterwards.",
	                "緊急作業です。事後の確認が必要です。" } },
	[REASON_WORK_ORDER_NOT_NAMED] = { "work-order.not-named",
	        { "Rule {detail} of {site} wants an approved work order; none is named.",
	                "{site}の規則{detail}には承認済みの作業申請が必要ですが、"
	                "指定されていません。" } },
	[REASON_WORK_ORDER_UNKNOWN] = { "work-order.unknown",
	        { "The state of work order {work-order} is not known.",
	                "作業申請{work-order}の状態が分かりません。" } },
	[REASON_WORK_ORDER_MISSING] = { "work-order.missing",
	        { "There is no work order {work-order}.", "作業申請{work-order}はありません。" } },
	[REASON_WORK_ORDER_WORKER] = { "work-order.worker",
	        { "Work order {work-order} is not {person}'s.",
	                "作業申請{work-order}の作業者は{person}ではありません。" } },
	[REASON_WORK_ORDER_TARGET] = { "work-order.target",
	        { "Work order {work-order} is not for {from} to {to}, {service}.",
	                "作業申請{work-order}の対象に{from}から{to}への{service}がありません。" } },
	[REASON_WORK_ORDER_NOT_OPEN] = { "work-order.not-open",
	        { "Work order {work-order} is {detail}: nothing opens under it.",
	                "作業申請{work-order}は{detail}のため、接続できません。" } },
	[REASON_WORK_ORDER_EMERGENCY_REVIEW] = { "work-order.emergency-review",
	        { "The review of an earlier emergency is overdue (rule {detail} of {site}).",
	                "以前の緊急作業の確認が期限を過ぎています({site}の規則{detail})。" } },
	[REASON_WORK_ORDER_EMERGENCY_RULE] = { "work-order.emergency-rule",
	        { "Rule {detail} of {site} is not for emergencies: it wants an approved work "
	          "order.",
	                "{site}の規則{detail}は緊急作業を認めていません。"
	                "承認済みの作業申請が必要です。" } },
	[REASON_WORK_ORDER_EMERGENCY_ONLY] = { "work-order.emergency-only",
	        { "Rule {detail} of {site} is for emergencies only.",
	                "{site}の規則{detail}は緊急作業に限られます。" } },
	[REASON_WORK_ORDER_APPROVAL_UNKNOWN] = { "work-order.approval-unknown",
	        { "It is not known whether {site} has approved work order {work-order}.",
	                "{site}が作業申請{work-order}を承認したか分かりません。" } },
	[REASON_WORK_ORDER_APPROVAL_NONE] = { "work-order.approval-none",
	        { "No approver of {site} has signed work order {work-order}.",
	                "{site}の承認者は作業申請{work-order}に署名していません。" } },
	[REASON_WORK_ORDER_APPROVAL_REFUSED] = { "work-order.approval-refused",
	        { "{site} has refused work order {work-order}.",
	                "{site}は作業申請{work-order}を却下しました。" } },
	[REASON_WORK_ORDER_APPROVAL_INVALID] = { "work-order.approval-invalid",
	        { "The approval of work order {work-order} by {site} does not count.",
	                "{site}による作業申請{work-order}の承認は無効です。" } },
	[REASON_WORK_ORDER_APPROVAL_EARLY] = { "work-order.approval-early",
	        { "{site} has approved work order {work-order} from {detail} on.",
	                "{site}による作業申請{work-order}の承認は{detail}からです。" } },
	[REASON_WORK_ORDER_APPROVAL_OVER] = { "work-order.approval-over",
	        { "The approval of work order {work-order} by {site} was over at {detail}.",
	                "{site}による作業申請{work-order}の承認は{detail}に終了しました。" } },
	[REASON_WORK_ORDER_APPROVAL_DURATION] = { "work-order.approval-duration",
	        { "{site} has approved work order {work-order} until {detail} only.",
	                "{site}による作業申請{work-order}の承認は{detail}までです。" } },

	[REASON_EXCLUSION_OK] = { "exclusion.ok",
	        { "Nothing that excludes it is live.", "同時利用できない接続はありません。" } },
	[REASON_EXCLUSION_UNKNOWN] = { "exclusion.unknown",
	        { "It is not known what is live at {site}.",
	                "{site}の利用中の接続が分かりません。" } },
	[REASON_EXCLUSION_CLASS] = { "exclusion.class",
	        { "{detail} is in use at {host} of {site} or in its zone, and excludes {class}.",
	                "{site}の{host}または同じ区域で{detail}を利用中のため、"
	                "{class}は同時に利用できません。" } },
	[REASON_EXCLUSION_RULE] = { "exclusion.rule",
	        { "As many connections as {site} allows at a time are live (rule {detail}).",
	                "{site}の許す同時接続数に達しています(規則 {detail})。" } },
	[REASON_EXCLUSION_NOTHING] = { "exclusion.nothing",
	        { "It is not known what is live at either site.",
	                "両拠点の利用中の接続が分かりません。" } },

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
	{ "applied", "承認待ち" },
	{ "refused", "却下" },
	{ "withdrawn", "取下げ" },
	{ "ended", "作業終了" },
	{ "deleted", "データ消去済み" },
	{ "reported", "報告済み" },
	{ "closed", "完了" },
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

/* A state or class in the reader's language; elsewhere the detail is a name, and a rule may be
 * called "expired". */
static const char *detail_word(
        enum policy_layer layer, const char *detail, enum policy_language language)
{
	bool is_state = layer == LAYER_ACCREDITATION || layer == LAYER_CERTIFICATES ||
	                layer == LAYER_GATEWAYS || layer == LAYER_WORK_ORDER;
	enum service_class class;

	if (language == LANGUAGE_ENGLISH) {
		return detail;
	}
	if (layer == LAYER_EXCLUSION && service_class_parse(detail, &class) == 0) {
		return service_class_info(class)->japanese;
	}
	for (size_t i = 0; is_state && i < ARRAY_COUNT(states); i++) {
		if (strcmp(states[i].english, detail) == 0) {
			return states[i].japanese;
		}
	}
	return detail;
}

/* "ct-dicom: 1h", "ct-dicom (next 2026-11-24T09:00+09:00)": a name, and the number that goes with
 * it. */
static void add_detail(const struct decision *decision, enum policy_layer layer,
        enum policy_language language, struct buf *out)
{
	static const struct words next = { "next ", "次は" }, until = { "until ", "終了は" };
	const struct policy_layer_result *result = &decision->layers[layer];
	bool has_text = result->text && *result->text;

	if (has_text) {
		buf_add_text(out, result->kind == DETAIL_TEXT
		                          ? detail_word(layer, result->text, language)
		                          : result->text);
	}
	switch (result->kind) {
	case DETAIL_LIMIT:
		buf_add_text(out, has_text ? ": " : "");
		policy_duration_print(result->number, out);
		break;
	case DETAIL_TIME:
		buf_add_text(out, has_text ? ": " : "");
		buf_add_text(out, time_print(result->number).text);
		break;
	case DETAIL_COUNT:
		buf_add_format(out, "%s%jd", has_text ? ": " : "", (intmax_t)result->number);
		break;
	case DETAIL_NEXT:
	case DETAIL_UNTIL:
		if (result->number > 0) {
			buf_add_format(out, " (%s",
			        choose(result->kind == DETAIL_NEXT ? &next : &until, language));
			hours_time_print(result->number, result->zone_sec, out);
			if (result->zone_sec == 0) {
				buf_add_text(out, "Z");
			} else {
				hours_zone_print(result->zone_sec, out);
			}
			buf_add_text(out, ")");
		}
		break;
	case DETAIL_NONE:
	case DETAIL_TEXT:
		break;
	}
}

struct policy_detail policy_detail(const struct decision *decision, enum policy_layer layer)
{
	AUTO_BUF struct buf text = BUF(POLICY_DETAIL_BYTES_MAX - 1);
	struct policy_detail detail = { "" };

	add_detail(decision, layer, LANGUAGE_ENGLISH, &text);
	memcpy(detail.text, buf_text(&text), text.count);
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
static void add_field(const char *field, const struct decision *decision, enum policy_layer layer,
        const struct policy_request *request, enum policy_language language, struct buf *out)
{
	const struct host_ref *own =
	        decision->layers[layer].of_initiator ? &request->from : &request->to;

	if (strcmp(field, "detail") == 0) {
		add_detail(decision, layer, language, out);
	} else if (strcmp(field, "from") == 0) {
		buf_add_text(out, host_ref_print(&request->from).text);
	} else if (strcmp(field, "to") == 0) {
		buf_add_text(out, host_ref_print(&request->to).text);
	} else if (strcmp(field, "from-site") == 0) {
		buf_add_text(out, request->from.site);
	} else if (strcmp(field, "to-site") == 0) {
		buf_add_text(out, request->to.site);
	} else if (strcmp(field, "site") == 0) {
		buf_add_text(out, own->site);
	} else if (strcmp(field, "host") == 0) {
		buf_add_text(out, own->host);
	} else if (strcmp(field, "class") == 0) {
		add_class(request->class, language, out);
	} else if (strcmp(field, "person") == 0) {
		buf_add_text(out, request->person);
	} else if (strcmp(field, "work-order") == 0) {
		buf_add_text(out, request->work_order);
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
		add_field(field, decision, layer, request, language, out);
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
	static const struct words idle = { ", closed when idle for ", "、無通信で遮断 " };
	static const struct words outage = { ", survives an outage of the center",
		"、センター停止中も継続" };
	static const struct words review = { ", to be reviewed within ", "、事後確認の期限 " };
	static const struct words versions = { "; policy versions ", "、ポリシー版数 " };

	buf_add_text(out, choose(&at_most, language));
	policy_duration_print(decision->duration_sec, out);
	buf_add_text(out, choose(&lease, language));
	policy_duration_print(decision->lease_sec, out);
	if (decision->idle_sec > 0) {
		buf_add_text(out, choose(&idle, language));
		policy_duration_print(decision->idle_sec, out);
	}
	if (decision->outage) {
		buf_add_text(out, choose(&outage, language));
	}
	if (decision->emergency) {
		buf_add_text(out, choose(&review, language));
		policy_duration_print(decision->review_sec, out);
	}
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
