#include "center/work_order_mail.h"

#include "base/clock.h"

#define BOTH (WORK_TO_WORKER | WORK_TO_APPROVERS)

static const struct {
	const char *name;
	unsigned to;
	const char *english, *japanese;           /* subject */
	const char *next_english, *next_japanese; /* what is to be done now */
} mails[WORK_MAIL_COUNT] = {
	[WORK_MAIL_APPLIED] = { "applied", BOTH, "Work applied for", "作業申請がありました",
	        "An approver of the site reads the terms and signs them: sekisho approval sign, "
	        "then work-order approve, or work-order refuse.",
	        "承認者は条件を確認し、署名して承認するか（sekisho approval sign、work-order "
	        "approve）、却下してください（work-order refuse）。" },
	[WORK_MAIL_APPROVED] = { "approved", BOTH, "Work approved", "作業申請が承認されました",
	        "The worker begins within the window: sekisho work-order begin.",
	        "作業者は承認された時間内に作業を開始してください（sekisho work-order begin）。" },
	[WORK_MAIL_REFUSED] = { "refused", BOTH, "Work refused", "作業申請が却下されました",
	        "What was open was cut.", "開いていた接続は遮断されました。" },
	[WORK_MAIL_WITHDRAWN] = { "withdrawn", BOTH, "Work withdrawn",
	        "作業申請が取り下げられました", "Nothing more is to be done.",
	        "これ以上の手続きはありません。" },
	[WORK_MAIL_EXPIRED] = { "expired", BOTH, "Work expired", "作業申請の期限が切れました",
	        "The window passed without a begin. Apply again if the work is still needed.",
	        "開始されないまま時間を過ぎました。必要なら改めて申請してください。" },
	[WORK_MAIL_BEGUN] = { "begun", BOTH, "Work has begun", "作業が開始されました",
	        "The site can end it at any time: sekisho work-order refuse, or a cut at the "
	        "gateway.",
	        "医療機関側はいつでも終了できます（sekisho work-order "
	        "refuse、または機器での遮断）。" },
	[WORK_MAIL_EXTENSION] = { "extension", BOTH, "Extension asked for",
	        "作業時間の延長申請がありました",
	        "An approver of the site signs the new terms; until then the old end counts.",
	        "承認者は新しい条件に署名してください。承認までは元の終了時刻が有効です。" },
	[WORK_MAIL_EXTENDED] = { "extended", BOTH, "Work extended", "作業時間が延長されました",
	        "Connections that end are asked for again.",
	        "終了した接続は改めて申請してください。" },
	[WORK_MAIL_ENDED] = { "ended", BOTH, "Work has ended", "作業が終了しました",
	        "The worker deletes what was taken, certifies it (sekisho work-order deleted) and "
	        "reports (sekisho work-order report).",
	        "作業者は取得したデータを削除して証明し（sekisho work-order deleted）、報告して"
	        "ください（sekisho work-order report）。" },
	[WORK_MAIL_DELETED] = { "deleted", BOTH, "Deletion certified",
	        "データの削除が証明されました",
	        "The worker reports next: sekisho work-order report.",
	        "作業者は続いて報告してください（sekisho work-order report）。" },
	[WORK_MAIL_REPORTED] = { "reported", BOTH, "Work reported", "作業報告がありました",
	        "An approver of the site reads the report and closes: sekisho work-order close.",
	        "承認者は報告を確認して完了してください（sekisho work-order close）。" },
	[WORK_MAIL_CLOSED] = { "closed", BOTH, "Work closed", "作業申請が完了しました",
	        "Nothing more is to be done.", "これ以上の手続きはありません。" },
	[WORK_MAIL_REPORT_OVERDUE] = { "report-overdue", BOTH, "Report overdue",
	        "作業報告の期限を過ぎています",
	        "The worker certifies the deletion and reports now. This reminder comes again.",
	        "作業者は至急、削除を証明し、報告してください。この通知は繰り返し送られます。" },
	[WORK_MAIL_EMERGENCY] = { "emergency", BOTH, "EMERGENCY access has begun",
	        "【緊急】緊急接続が開始されました",
	        "Nobody approved this beforehand. An approver of the site reviews it in time "
	        "(sekisho approval sign --kind review) or refuses it, which cuts it.",
	        "事前の承認はありません。承認者は期限内に審査するか（sekisho approval sign --kind "
	        "review）、却下してください。却下すると遮断されます。" },
	[WORK_MAIL_REVIEWED] = { "reviewed", BOTH, "Emergency reviewed", "緊急接続が審査されました",
	        "Report and close as with any other work.",
	        "通常の作業と同じく、報告して完了してください。" },
	[WORK_MAIL_REVIEW_OVERDUE] = { "review-overdue", BOTH, "Review of an emergency overdue",
	        "緊急接続の審査の期限を過ぎています",
	        "Until it is reviewed, the organization opens no further emergency. This reminder "
	        "comes again.",
	        "審査されるまで、この機関は新たな緊急接続を開始できません。この通知は繰り返し送ら"
	        "れます。" },
};

unsigned work_mail_to(enum work_mail mail)
{
	return mails[mail].to;
}

const char *work_mail_name(enum work_mail mail)
{
	return mails[mail].name;
}

static void add_time(struct buf *text, const char *japanese, const char *english, int64_t time)
{
	if (time > 0) {
		buf_add_format(text, "%s / %s: %s\n", japanese, english, time_print(time).text);
	}
}

void work_mail_print(
        enum work_mail mail, const struct work_order *order, struct buf *subject, struct buf *text)
{
	const struct work_terms *terms = &order->terms;

	buf_add_format(subject, "[Sekisho] %s / %s: %s (%s)", mails[mail].japanese,
	        mails[mail].english, terms->site, terms->work_order.text);
	buf_add_format(text, "%s\n%s\n\n", mails[mail].japanese, mails[mail].english);
	buf_add_format(text, "作業申請 / work order: %s\n", terms->work_order.text);
	buf_add_format(text, "状態 / state: %s / %s\n", work_state_japanese(order->state),
	        work_state_name(order->state));
	buf_add_format(text, "拠点 / site: %s\n", terms->site);
	buf_add_format(text, "作業者 / worker: %s (%s)\n", terms->worker, order->organization);
	buf_add_format(text, "種別 / job: %s / %s\n", work_job_japanese(terms->job),
	        work_job_name(terms->job));
	buf_add_format(text, "目的 / purpose: %s\n", terms->purpose);
	for (size_t i = 0; i < terms->target_count; i++) {
		const struct work_target *target = &terms->targets[i];

		buf_add_format(text, "対象 / target: %s -> %s %s %u\n",
		        host_ref_print(&target->from).text, host_ref_print(&target->to).text,
		        protocol_name(target->protocol), (unsigned)target->port);
	}
	add_time(text, "開始希望 / 開始", "from", terms->not_before);
	add_time(text, "終了", "until",
	        order->asked ? order->asked->not_after : work_order_end(order));
	add_time(text, "報告期限", "report due", order->report_due);
	add_time(text, "審査期限", "review due", order->review_due);
	if (*order->reason) {
		buf_add_format(text, "理由 / reason: %s\n", order->reason);
	}
	if (order->by[0]) {
		buf_add_format(text, "操作 / by: %s\n", order->by);
	}
	buf_add_format(text, "\n%s\n%s\n", mails[mail].next_japanese, mails[mail].next_english);
}
