/* Terms, approvals and deletion certificates: canonical, complete, and what an approval covers. */
#include "../check.h"

#include "base/clock.h"
#include "model/approval.h"
#include "model/deletion.h"

#define T0 (1800000000LL * USEC_PER_SEC)
#define SEC USEC_PER_SEC

static struct err err;

static struct work_terms terms(void)
{
	struct work_terms made = { .work_order = { "01K8ZZZZZZZZZZZZZZZZZZZZZZ" },
		.revision = 1,
		.site = "core-hospital",
		.worker = "suzuki",
		.job = WORK_REPAIR,
		.class = SERVICE_REMOTE_MAINTENANCE,
		.not_before = T0,
		.not_after = T0 + 3600 * SEC,
		.purpose = "管球 \"quoted\" \\",
		.target_count = 2 };

	for (int i = 0; i < 2; i++) {
		CHECK(host_ref_parse("device-maker/terminal", &made.targets[i].from) == 0);
		CHECK(host_ref_parse("core-hospital/ct", &made.targets[i].to) == 0);
		made.targets[i].protocol = PROTOCOL_TCP;
		made.targets[i].port = (uint16_t)(104 + i);
	}
	return made;
}

static struct approval approval(void)
{
	struct approval made = { .approver = "tanaka",
		.approved_at = T0,
		.kind = APPROVAL_OF_WORK,
		.not_before = T0,
		.not_after = T0 + 600 * SEC,
		.terms = terms() };
	AUTO_BUF struct buf text = BUF(2 * WORK_TERMS_BYTES_MAX);

	work_terms_print(&made.terms, &text);
	snprintf(made.terms_text, sizeof(made.terms_text), "%s", buf_text(&text));
	return made;
}

/* Parses `text` with one part replaced. */
static int parse_with(const char *from, const char *to)
{
	AUTO_BUF struct buf text = BUF(1 << 16), changed = BUF(1 << 16);
	struct work_terms made = terms(), read;
	const char *at;

	work_terms_print(&made, &text);
	at = strstr(buf_text(&text), from);
	CHECK(at != NULL);
	buf_add(&changed, text.bytes, (size_t)(at - buf_text(&text)));
	buf_add_text(&changed, to);
	buf_add_text(&changed, at + strlen(from));
	return work_terms_parse(changed.bytes, changed.count, &read, &err);
}

TEST(terms_come_back_as_they_were)
{
	AUTO_BUF struct buf first = BUF(1 << 16), second = BUF(1 << 16);
	struct work_terms made = terms(), read;

	work_terms_print(&made, &first);
	CHECK(work_terms_parse(first.bytes, first.count, &read, &err) == 0);
	work_terms_print(&read, &second);
	CHECK_TEXT(buf_text(&second), buf_text(&first));
	CHECK(work_terms_has(&read, &made.targets[1]));
	made.targets[1].port = 22;
	CHECK(!work_terms_has(&read, &made.targets[1]));
}

TEST(another_spelling_or_wrong_terms_are_refused)
{
	CHECK(parse_with("\"v\":1", "\"v\":1 ") == 1 && strstr(err.text, "canonical"));
	CHECK(parse_with("\"v\":1", "\"v\":2") == 1);
	CHECK(parse_with("\"repair\"", "\"other\"") == 1 && strstr(err.text, "job"));
	CHECK(parse_with("remote-maintenance", "remote") == 1 && strstr(err.text, "class"));
	CHECK(parse_with("core-hospital/ct", "other-site/ct") == 1 &&
	        strstr(err.text, "targets[0]"));
	CHECK(parse_with("\"port\":105", "\"port\":104") == 1 && strstr(err.text, "same as"));
	CHECK(parse_with("\"port\":105", "\"port\":0") == 1 && strstr(err.text, "port"));
	CHECK(parse_with("T09:00:00.000Z", "T07:00:00.000Z") == 1 && strstr(err.text, "not_after"));
	CHECK(parse_with("\"revision\":1", "\"revision\":33") == 1);
	CHECK(parse_with("\"worker\":\"suzuki\"", "\"worker\":\"suzuki\",\"x\":1") == 1);
}

TEST(an_approval_keeps_what_was_shown)
{
	AUTO_BUF struct buf first = BUF(1 << 16), second = BUF(1 << 16);
	struct approval made = approval(), read;

	approval_print(&made, &first);
	CHECK(approval_parse(first.bytes, first.count, &read, &err) == 0);
	CHECK_TEXT(read.terms_text, made.terms_text);
	approval_print(&read, &second);
	CHECK_TEXT(buf_text(&second), buf_text(&first));
	buf_reset(&first);
	snprintf(made.approver, sizeof(made.approver), "suzuki");
	approval_print(&made, &first);
	CHECK(approval_parse(first.bytes, first.count, &read, &err) == 1);
	CHECK(strstr(err.text, "own work"));
}

TEST(what_an_approval_covers)
{
	struct approval made = approval();
	const struct approval_use good = { "core-hospital", "01K8ZZZZZZZZZZZZZZZZZZZZZZ", "suzuki",
		SERVICE_REMOTE_MAINTENANCE, made.terms.targets[0], T0, T0 + 600 * SEC };
	struct approval_use use = good;

	CHECK(approval_covers(&made, &use, &err) == 0);
	use.site = "clinic";
	CHECK(approval_covers(&made, &use, &err) == 1 && strstr(err.text, "not of clinic"));
	use = good;
	use.work_order = "01K8ZZZZZZZZZZZZZZZZZZZZZY";
	CHECK(approval_covers(&made, &use, &err) == 1);
	use = good;
	use.person = "sato";
	CHECK(approval_covers(&made, &use, &err) == 1 && strstr(err.text, "not for sato"));
	use = good;
	use.class = SERVICE_MAIL;
	CHECK(approval_covers(&made, &use, &err) == 1);
	use = good;
	use.target.port = 22;
	CHECK(approval_covers(&made, &use, &err) == 1 && strstr(err.text, "port 22"));
	use = good;
	use.not_after++;
	CHECK(approval_covers(&made, &use, &err) == 1);
	use = good;
	use.not_before--;
	CHECK(approval_covers(&made, &use, &err) == 1);
	made.kind = APPROVAL_OF_REVIEW;
	CHECK(approval_covers(&made, &good, &err) == 1 && strstr(err.text, "review"));
}

TEST(a_deletion_certificate)
{
	struct deletion made = { .work_order = { "01K8ZZZZZZZZZZZZZZZZZZZZZZ" },
		.worker = "suzuki",
		.deleted_at = T0,
		.method = "shred" };
	AUTO_BUF struct buf text = BUF(1 << 16);
	struct deletion read;

	deletion_print(&made, &text);
	CHECK(deletion_parse(text.bytes, text.count, &read, &err) == 0 && read.item_count == 0);
	made.item_count = 1;
	CHECK(deletion_check(&made, &err) == 1 && strstr(err.text, "items[0]"));
	snprintf(made.items[0], sizeof(made.items[0]), "a\nb");
	CHECK(deletion_check(&made, &err) == 1);
	*made.method = '\0';
	CHECK(deletion_check(&made, &err) == 1 && strstr(err.text, "method"));
}

TEST_MAIN()
