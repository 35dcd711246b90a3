/*
 * Sealing a file (mission SDS 21, 49): what it is by its content, the virus scanner, the center's
 * permission and record, and only then the seal. A refusal is recorded at the center as well. The
 * bytes that were scanned are the ones that are hashed, and only what has this hash is sealed.
 */
#include "ctl/file_trust.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "ctl/api.h"
#include "ctl/scanner.h"
#include "model/file_kind.h"
#include "model/file_label.h"

struct sealing {
	int in;
	struct stat about;
	struct verifier *verifier;
	struct token *token;
	struct token_key *key;
	struct cert *certificate;
	struct cert *recipients[FILE_RECIPIENTS_MAX];
	struct cms_digests digests;
	struct file_label label;
};

static void sealing_clear(struct sealing *sealing)
{
	if (sealing->in >= 0) {
		close(sealing->in);
	}
	verifier_free(sealing->verifier);
	token_key_free(sealing->key);
	token_free(sealing->token);
	cert_free(sealing->certificate);
	for (size_t i = 0; i < FILE_RECIPIENTS_MAX; i++) {
		cert_free(sealing->recipients[i]);
	}
}

static int open_input(struct ctl *ctl, struct sealing *sealing)
{
	const char *path = ctl_text(ctl, "FILE"), *name = ctl_text(ctl, "name");

	sealing->in = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (sealing->in < 0 || fstat(sealing->in, &sealing->about) != 0) {
		return ctl_fail(ctl, errno == ENOENT ? CTL_NOT_FOUND : CTL_FAILED, "%s: %s", path,
		        strerror(errno));
	}
	if (!S_ISREG(sealing->about.st_mode)) {
		return ctl_fail(ctl, CTL_REFUSED, "%s: not a file", path);
	}
	if (sealing->about.st_size > FILE_BYTES_MAX) {
		return ctl_fail(ctl, CTL_REFUSED,
		        "%s: longer than %lld bytes, which is what a virus scanner can look at: "
		        "split it",
		        path, FILE_BYTES_MAX);
	}
	sealing->label.bytes = (uint64_t)sealing->about.st_size;
	file_name_clean(name ? name : path, sealing->label.name);
	return CTL_OK;
}

/* Certificates and key; sender and recipients go into the label. */
static int take_parties(struct ctl *ctl, struct sealing *sealing)
{
	const struct argument *files = arguments_all(&ctl->arguments, "for");
	struct file_label *label = &sealing->label;
	int r = file_trust(ctl, &sealing->verifier);

	if (r == CTL_OK && files->count > FILE_RECIPIENTS_MAX) {
		r = ctl_fail(ctl, CTL_USAGE, "--for: at most %d recipients", FILE_RECIPIENTS_MAX);
	}
	if (r == CTL_OK) {
		r = file_certificate(ctl, sealing->verifier, ctl_text(ctl, "certificate"),
		        CERT_PERSON, &sealing->certificate);
	}
	for (size_t i = 0; r == CTL_OK && i < files->count; i++) {
		struct file_recipient *recipient = &label->recipients[i];
		const struct cert *cert;

		r = file_certificate(ctl, sealing->verifier, files->values[i], CERT_RECIPIENT,
		        &sealing->recipients[i]);
		if (r != CTL_OK) {
			return r;
		}
		cert = sealing->recipients[i];
		if (i > 0 && !text_equal(cert_unit(cert), label->to)) {
			return ctl_fail(ctl, CTL_USAGE,
			        "--for: %s is of another site than the others: seal once for each "
			        "site",
			        files->values[i]);
		}
		snprintf(label->to, sizeof(label->to), "%.63s", cert_unit(cert));
		snprintf(recipient->person, sizeof(recipient->person), "%.63s",
		        cert_common_name(cert));
		snprintf(recipient->key, sizeof(recipient->key), "%s",
		        key_hash_print(cert_key_hash(cert)).text);
		label->recipient_count = i + 1;
	}
	if (r == CTL_OK) {
		snprintf(label->sender, sizeof(label->sender), "%.63s",
		        cert_common_name(sealing->certificate));
		snprintf(
		        label->from, sizeof(label->from), "%.63s", cert_unit(sealing->certificate));
		r = material_token(ctl, &sealing->token);
	}
	return r == CTL_OK ? material_token_key(
	                             ctl, sealing->token, ctl_text(ctl, "key"), &sealing->key)
	                   : r;
}

static int read_at(void *context, uint64_t offset, void *bytes, size_t count, struct err *err)
{
	int fd = *(int *)context;
	uint8_t *at = bytes;

	while (count > 0) {
		ssize_t got = pread(fd, at, count, (off_t)offset);

		if (got < 0 && errno == EINTR) {
			continue;
		}
		if (got <= 0) {
			return err_set(err, got < 0 ? -errno : -EIO, "the file %s",
			        got < 0 ? strerror(errno) : "became shorter");
		}
		at += got;
		offset += (uint64_t)got;
		count -= (size_t)got;
	}
	return 0;
}

static int check_kind(struct ctl *ctl, struct sealing *sealing)
{
	struct file_view view = { read_at, &sealing->in, sealing->label.bytes };
	enum file_kind kind = FILE_UNKNOWN;
	struct err found = { "" };
	int r = file_kind_of(&view, sealing->label.name, &kind, &found);

	if (r != 0) {
		return ctl_fail(ctl, CTL_FAILED, "%s: %s", ctl_text(ctl, "FILE"), found.text);
	}
	return kind == FILE_PLAIN
	               ? CTL_OK
	               : ctl_fail(ctl, CTL_REFUSED,
	                         "%s is not sealed: programs, and documents that carry one, do not "
	                         "leave (%s): %s",
	                         sealing->label.name, file_kind_name(kind), found.text);
}

/* One pass for scanner and hashes. */
static int scan_and_hash(struct ctl *ctl, struct sealing *sealing)
{
	AUTO(cms_digester) struct cms_digester *digester = cms_digester_new();
	AUTO(scan) struct scan *scan = NULL;
	AUTO_STRING char *bytes = mem_new(1, FILE_CHUNK_BYTES);
	struct file_pipe pipe = { .in = sealing->in,
		.in_name = ctl_text(ctl, "FILE"),
		.what = "looking for viruses",
		.bytes = sealing->label.bytes };
	struct stat after;
	size_t count = 1;
	int r = scan_begin(ctl, ctl_text(ctl, "scanner"), &scan);

	while (r == CTL_OK && count > 0) {
		r = ctl_result(ctl, file_pipe_read(&pipe, (uint8_t *)bytes, FILE_CHUNK_BYTES,
		                            &count, &ctl->err));
		if (r == CTL_OK && count > 0) {
			cms_digester_add(digester, (const uint8_t *)bytes, count);
			r = scan_add(ctl, scan, (const uint8_t *)bytes, count);
		}
	}
	if (r == CTL_OK) {
		r = scan_end(ctl, scan);
	}
	if (r != CTL_OK) {
		return r;
	}
	cms_digester_end(digester, &sealing->digests);
	/* The kind was looked at before: it must still be that file. */
	if (fstat(sealing->in, &after) != 0 || sealing->digests.bytes != sealing->label.bytes ||
	        after.st_mtim.tv_sec != sealing->about.st_mtim.tv_sec ||
	        after.st_mtim.tv_nsec != sealing->about.st_mtim.tv_nsec) {
		return ctl_fail(ctl, CTL_REFUSED, "%s changed while it was looked at",
		        ctl_text(ctl, "FILE"));
	}
	hex_print(sealing->digests.sha256, CMS_SHA256_BYTES, sealing->label.sha256);
	return CTL_OK;
}

static int sanitise(struct ctl *ctl, struct sealing *sealing)
{
	struct scanner_facts facts;
	int r = check_kind(ctl, sealing);

	if (r == CTL_OK) {
		r = scanner_check(ctl, ctl_text(ctl, "scanner"), ctl_text(ctl, "scanner-database"),
		        ctl_seconds(ctl, "scanner-age"), &facts);
	}
	if (r != CTL_OK) {
		return r;
	}
	snprintf(sealing->label.scanner, sizeof(sealing->label.scanner), "%s", facts.name);
	sealing->label.scanner_database = facts.database_usec;
	return scan_and_hash(ctl, sealing);
}

/* The transfer as its own permitted act: the center decides and records before there is a seal.
 * With a reason it records that there will be none. */
static int tell_center(struct ctl *ctl, struct sealing *sealing, const char *refused)
{
	const struct file_label *label = &sealing->label;
	json_t *recipients = json_array();
	AUTO_JSON json_t *body = NULL, *answer = NULL;
	int r;

	for (size_t i = 0; i < label->recipient_count; i++) {
		json_array_append_new(recipients, json_string(label->recipients[i].person));
	}
	body = json_pack("{s:s, s:s, s:s, s:s, s:I, s:s, s:o, s:s, s:s}", "id", label->id.text,
	        "class", ctl_text(ctl, "class"), "from", label->from, "to", label->to, "bytes",
	        (json_int_t)label->bytes, "name", label->name, "recipients", recipients, "purpose",
	        label->purpose, "work_order", label->work_order);
	if (!body) {
		return ctl_fail(ctl, CTL_USAGE, "--purpose: not UTF-8");
	}
	if (refused) {
		json_object_set_new(body, "refused", json_string(refused));
	} else {
		json_object_set_new(body, "sha256", json_string(label->sha256));
		json_object_set_new(body, "scanner", json_string(label->scanner));
		json_object_set_new(body, "scanner_database",
		        json_string(time_print(label->scanner_database).text));
	}
	r = api_post(ctl, "/files", body, &answer);
	if (r == CTL_OK && !refused) {
		ctl_put_json(ctl, "leaf", json_incref(json_object_get(answer, "leaf")));
	}
	return r;
}

/* What refused the file stays the reason, whatever the center answers. */
static void tell_refused(struct ctl *ctl, struct sealing *sealing)
{
	struct err why = ctl->err;
	AUTO_JSON json_t *reason = NULL;

	if (tell_center(ctl, sealing, why.text) != CTL_OK) {
		ctl_progress("the center was not told of this refusal: %s", ctl->err.text);
	}
	reason = TAKE(ctl->reason);
	ctl->err = why;
}

static int write_seal(struct ctl *ctl, struct sealing *sealing)
{
	AUTO_STRING char *out = mem_string(ctl_text(ctl, "out"));
	AUTO_STRING char *copy = mem_string(out);
	const char *directory = dirname(copy), *slash = strrchr(out, '/');
	AUTO_BUF struct buf label = BUF(JSON_BYTES_MAX);
	struct file_pipe pipe = { .in = sealing->in,
		.in_name = ctl_text(ctl, "FILE"),
		.what = "sealing",
		.bytes = sealing->label.bytes };
	struct cms_stream stream = { file_pipe_read, file_pipe_write, &pipe };
	struct cms_seal seal = { .key = sealing->key,
		.certificate = sealing->certificate,
		.issuer = verifier_issuer(sealing->verifier, sealing->certificate),
		.recipients = (const struct cert *const *)sealing->recipients,
		.recipient_count = sealing->label.recipient_count,
		.digests = sealing->digests,
		.sealed_usec = sealing->label.sealed_at };
	AUTO_FD int fd = -1;
	int r;

	file_label_print(&sealing->label, &label);
	if (label.count > FILE_LABEL_BYTES_MAX) {
		return ctl_fail(ctl, CTL_USAGE, "the label is too long: name fewer recipients");
	}
	seal.label = buf_text(&label);
	if (lseek(sealing->in, 0, SEEK_SET) != 0) {
		return ctl_fail(ctl, CTL_FAILED, "%s: %s", pipe.in_name, strerror(errno));
	}
	r = file_hidden(ctl, directory, &fd);
	pipe.out = fd;
	if (r == CTL_OK) {
		r = file_cms_result(ctl, cms_seal(&seal, &stream, &ctl->err));
	}
	return r == CTL_OK ? file_publish(ctl, fd, directory, slash ? slash + 1 : out) : r;
}

static int seal_all(struct ctl *ctl, struct sealing *sealing)
{
	struct file_label *label = &sealing->label;
	const char *work_order = ctl_text(ctl, "work-order");
	bool offline = ctl_flag(ctl, "offline");
	int r = open_input(ctl, sealing);

	label->sealed_at = clock_wall_usec() / USEC_PER_MSEC * USEC_PER_MSEC;
	label->id = id_new(label->sealed_at);
	label->recorded = !offline;
	snprintf(label->work_order, sizeof(label->work_order), "%s", work_order ? work_order : "");
	if (text_copy(label->purpose, sizeof(label->purpose), ctl_text(ctl, "purpose")) != 0) {
		return ctl_fail(
		        ctl, CTL_USAGE, "--purpose: longer than %d bytes", FILE_PURPOSE_BYTES_MAX);
	}
	if (r == CTL_OK && access(ctl_text(ctl, "out"), F_OK) == 0) {
		r = ctl_fail(ctl, CTL_REFUSED, "%s: there is such a file already, and it stays",
		        ctl_text(ctl, "out"));
	}
	if (r == CTL_OK) {
		r = take_parties(ctl, sealing);
	}
	if (r != CTL_OK) {
		return r;
	}
	r = sanitise(ctl, sealing);
	if (r != CTL_OK && !offline) {
		tell_refused(ctl, sealing);
	}
	if (r == CTL_OK && !offline) {
		r = tell_center(ctl, sealing, NULL);
	}
	return r == CTL_OK ? write_seal(ctl, sealing) : r;
}

int file_seal(struct ctl *ctl)
{
	struct sealing sealing = { .in = -1 };
	int r = seal_all(ctl, &sealing);

	if (r == CTL_OK) {
		ctl_put(ctl, "id", sealing.label.id.text);
		ctl_put(ctl, "name", sealing.label.name);
		ctl_put_count(ctl, "bytes", sealing.label.bytes);
		ctl_put(ctl, "sha256", sealing.label.sha256);
		ctl_put(ctl, "scanner", sealing.label.scanner);
		ctl_put_time(ctl, "scanner_database", sealing.label.scanner_database);
		ctl_put_bool(ctl, "recorded", sealing.label.recorded);
		ctl_put(ctl, "sealed", ctl_text(ctl, "out"));
	}
	sealing_clear(&sealing);
	return r;
}
