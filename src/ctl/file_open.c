/*
 * Opening a sealed file: all of it is right, or there is nothing. The plain text goes into a file
 * without a name until decryption, signature, signer, label and the center have agreed; then it
 * gets the name of the label, which is one name and no path, and never another file's place.
 */
#include "ctl/file_trust.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "ctl/api.h"
#include "model/file_label.h"

struct unsealing {
	int in, out;
	struct verifier *verifier;
	struct token *token;
	struct token_key *key;
	struct cert *certificate;
	struct cms_opened opened;
	struct file_label label;
};

static void unsealing_clear(struct unsealing *unsealing)
{
	if (unsealing->in >= 0) {
		close(unsealing->in);
	}
	if (unsealing->out >= 0) {
		close(unsealing->out);
	}
	cms_opened_clear(&unsealing->opened);
	verifier_free(unsealing->verifier);
	token_key_free(unsealing->key);
	token_free(unsealing->token);
	cert_free(unsealing->certificate);
}

static int take_key(struct ctl *ctl, struct unsealing *unsealing)
{
	size_t count, own_count;
	const uint8_t *spki, *own;
	int r = file_trust(ctl, &unsealing->verifier);

	/* The own certificate may have run out since: what was sealed for it is still to be read.
	 */
	if (r == CTL_OK) {
		r = material_cert_kind(ctl, ctl_text(ctl, "certificate"), CERT_SET(CERT_RECIPIENT),
		        &unsealing->certificate);
	}
	if (r == CTL_OK) {
		r = material_token(ctl, &unsealing->token);
	}
	if (r == CTL_OK) {
		r = material_token_key(
		        ctl, unsealing->token, ctl_text(ctl, "key"), &unsealing->key);
	}
	if (r != CTL_OK) {
		return r;
	}
	spki = cert_spki(unsealing->certificate, &count);
	own = token_key_spki(unsealing->key, &own_count);
	return count == own_count && memcmp(spki, own, count) == 0
	               ? CTL_OK
	               : ctl_fail(ctl, CTL_REFUSED,
	                         "the key \"%s\" in the token is not the one that %s certifies",
	                         token_key_label(unsealing->key), ctl_text(ctl, "certificate"));
}

static int decrypt(struct ctl *ctl, struct unsealing *unsealing)
{
	struct file_pipe pipe = { .in_name = ctl_text(ctl, "FILE"), .what = "opening" };
	struct cms_stream stream = { file_pipe_read, file_pipe_write, &pipe };
	struct stat about;
	int r;

	unsealing->in = open(pipe.in_name, O_RDONLY | O_CLOEXEC);
	if (unsealing->in < 0 || fstat(unsealing->in, &about) != 0) {
		return ctl_fail(ctl, errno == ENOENT ? CTL_NOT_FOUND : CTL_FAILED, "%s: %s",
		        pipe.in_name, strerror(errno));
	}
	r = file_hidden(ctl, ctl_text(ctl, "out"), &unsealing->out);
	if (r != CTL_OK) {
		return r;
	}
	pipe.in = unsealing->in;
	pipe.out = unsealing->out;
	pipe.bytes = (uint64_t)about.st_size;
	r = cms_open(
	        unsealing->key, unsealing->certificate, &stream, &unsealing->opened, &ctl->err);
	if (r > 0 && r < CMS_TOKEN) {
		ctl->reason = json_pack("{s:s}", "refused", cms_outcome_name(r));
	}
	return file_cms_result(ctl, r);
}

static int check_signer(struct ctl *ctl, struct unsealing *unsealing)
{
	const struct cms_opened *opened = &unsealing->opened;
	int r = verify_cert(unsealing->verifier, opened->signer,
	        (const struct cert *const *)opened->extra, opened->extra_count,
	        CERT_SET(CERT_PERSON), clock_wall_usec(), &ctl->err);

	if (r > 0) {
		ctl->reason = json_pack("{s:s}", "refused", verify_outcome_name(r));
		return err_wrap(&ctl->err, CTL_REFUSED, "the signer is not accepted");
	}
	return ctl_result(ctl, r);
}

/* What the label says must be what is there: the file, the signer, and that it is for us. A file
 * that one recipient opened and sealed again for others still says for whom it was. */
static int check_label(struct ctl *ctl, struct unsealing *unsealing)
{
	const struct cms_opened *opened = &unsealing->opened;
	struct file_label *label = &unsealing->label;
	struct key_id own = key_hash_print(cert_key_hash(unsealing->certificate));
	char sha256[2 * CMS_SHA256_BYTES + 1];
	bool is_ours = false;
	int r = file_label_parse(opened->label.bytes, opened->label.count, label, &ctl->err);

	if (r != 0) {
		return err_wrap(&ctl->err, ctl_result(ctl, r), "the label of the file");
	}
	hex_print(opened->sha256, CMS_SHA256_BYTES, sha256);
	if (label->bytes != opened->bytes || !text_equal(label->sha256, sha256)) {
		return ctl_fail(ctl, CTL_REFUSED, "the label is of another file than this one");
	}
	if (!text_equal(label->sender, cert_common_name(opened->signer)) ||
	        !text_equal(label->from, cert_unit(opened->signer))) {
		return ctl_fail(ctl, CTL_REFUSED,
		        "the label names %s of %s as sender, and %s of %s has signed",
		        label->sender, label->from, cert_common_name(opened->signer),
		        cert_unit(opened->signer));
	}
	for (size_t i = 0; i < label->recipient_count; i++) {
		is_ours |= text_equal(label->recipients[i].key, own.text);
	}
	if (!is_ours) {
		return ctl_fail(ctl, CTL_REFUSED,
		        "the file was sealed for somebody else, and then passed on: the sender "
		        "named "
		        "%s of %s",
		        label->recipients[0].person, label->to);
	}
	if (label->sealed_at > clock_wall_usec() + CLOCK_SKEW_SEC_MAX * USEC_PER_SEC) {
		return ctl_fail(ctl, CTL_REFUSED, "the file was sealed in the future, at %s",
		        time_print(label->sealed_at).text);
	}
	if (!label->recorded && !ctl_flag(ctl, "offline")) {
		return ctl_fail(ctl, CTL_REFUSED,
		        "the file was sealed without the center's permission (--offline): it is "
		        "opened with --offline only");
	}
	return CTL_OK;
}

static int check_place(struct ctl *ctl, const struct file_label *label)
{
	AUTO_STRING char *path = mem_format("%s/%s", ctl_text(ctl, "out"), label->name);
	struct stat about;

	return lstat(path, &about) != 0
	               ? CTL_OK
	               : ctl_fail(ctl, CTL_REFUSED,
	                         "%s: there is such a file already, and it stays", path);
}

static int tell_received(struct ctl *ctl, const struct file_label *label)
{
	AUTO_STRING char *path = mem_format("/files/%s/received", label->id.text);
	AUTO_JSON json_t *body =
	        json_pack("{s:s, s:I}", "sha256", label->sha256, "bytes", (json_int_t)label->bytes);
	AUTO_JSON json_t *answer = NULL;
	int r = api_post(ctl, path, body, &answer);

	if (r == CTL_OK) {
		ctl_put_json(ctl, "leaf", json_incref(json_object_get(answer, "leaf")));
	}
	return r;
}

static int open_all(struct ctl *ctl, struct unsealing *unsealing)
{
	int r = take_key(ctl, unsealing);

	if (r == CTL_OK) {
		r = decrypt(ctl, unsealing);
	}
	if (r == CTL_OK) {
		r = check_signer(ctl, unsealing);
	}
	if (r == CTL_OK) {
		r = check_label(ctl, unsealing);
	}
	if (r == CTL_OK) {
		r = check_place(ctl, &unsealing->label);
	}
	if (r == CTL_OK && !ctl_flag(ctl, "offline")) {
		r = tell_received(ctl, &unsealing->label);
	}
	return r == CTL_OK ? file_publish(ctl, unsealing->out, ctl_text(ctl, "out"),
	                             unsealing->label.name)
	                   : r;
}

int file_open(struct ctl *ctl)
{
	struct unsealing unsealing = { .in = -1, .out = -1 };
	const struct file_label *label = &unsealing.label;
	AUTO_STRING char *path = NULL;
	int r = open_all(ctl, &unsealing);

	if (r == CTL_OK) {
		path = mem_format("%s/%s", ctl_text(ctl, "out"), label->name);
		ctl_put(ctl, "id", label->id.text);
		ctl_put(ctl, "name", label->name);
		ctl_put_count(ctl, "bytes", label->bytes);
		ctl_put(ctl, "sha256", label->sha256);
		ctl_put(ctl, "sender", label->sender);
		ctl_put(ctl, "from", label->from);
		ctl_put(ctl, "organization", cert_organization(unsealing.opened.signer));
		ctl_put(ctl, "purpose", label->purpose);
		ctl_put(ctl, "work_order", label->work_order);
		ctl_put_bool(ctl, "recorded", label->recorded);
		ctl_put_time(ctl, "sealed_at", label->sealed_at);
		ctl_put(ctl, "scanner", label->scanner);
		ctl_put_time(ctl, "scanner_database", label->scanner_database);
		ctl_put(ctl, "opened", path);
	}
	unsealing_clear(&unsealing);
	return r;
}
