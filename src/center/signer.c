/*
 * Signer: the only process that can use the service CA's key, the grant key, the checkpoint key and
 * the OCSP key. It answers typed requests of core and checks each by itself, so that a core that is
 * taken over can at worst ask for well-formed things within the ceilings, each of them on record in
 * two places.
 *
 * May touch: its channel to core, the PKCS#11 module and its tokens. May not: the network, the
 * database, other files, programs.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "audit/checkpoint.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "center/process.h"
#include "center/signer_message.h"
#include "loop/channel.h"
#include "model/grant.h"
#include "model/lease.h"
#include "pki/ca.h"
#include "pki/crl.h"
#include "pki/ocsp.h"
#include "pki/seal.h"
#include "pki/token.h"

#define PIN_BYTES_MAX 256
#define CRL_ENTRIES_MAX 200000 /* twice L7 */
#define OCSP_STATUSES_MAX OCSP_QUESTIONS_MAX

struct signer {
	struct center_config config;
	struct token *ca_token, *provider_token;
	struct token_key *ca_key, *grant_key, *checkpoint_key, *ocsp_key;
	struct ca *ca;
	struct ocsp *ocsp;
	struct note_key log_key;
	/* What was signed last in this process: epochs, sizes and list numbers never go back. */
	uint64_t epoch, size, crl_number;
	struct hash root;
	struct crl_entry *entries;
	size_t entry_count, entry_room;
	struct buf list;
};

/* The outcome of a request: the reply's type; `out` and `err` hold what goes with it. */
typedef int signer_serve(
        struct signer *signer, struct cursor *request, struct buf *out, struct err *err);

static int refuse(struct err *err, const char *text)
{
	return err_set(err, SIGNER_REFUSED, "%s", text);
}

static int sealed(int r)
{
	return r == 0 ? SIGNER_OK : SIGNER_FAILED;
}

static bool is_recent(int64_t usec)
{
	int64_t now = clock_wall_usec(), skew = CLOCK_SKEW_SEC_MAX * USEC_PER_SEC;

	return usec > now - skew && usec < now + skew;
}

/* What says "not revoked" must soon be over, whatever core asks for. */
static bool is_brief(int64_t from, int64_t until, int64_t sec_max)
{
	return is_recent(from) && until > from && until - from <= sec_max * USEC_PER_SEC;
}

static bool is_revocation(int64_t revoked_usec, enum crl_reason reason)
{
	int64_t end = clock_wall_usec() + CLOCK_SKEW_SEC_MAX * USEC_PER_SEC;

	return revoked_usec >= 0 && revoked_usec < end &&
	       !text_equal(crl_reason_name((int)reason), "unknown");
}

static int serve_grant(
        struct signer *signer, struct cursor *request, struct buf *out, struct err *err)
{
	AUTO_BUF struct buf payload = BUF(JWS_SMALL_BYTES_MAX);
	struct grant grant;

	if (grant_parse(request->bytes, request->count, &grant, err) != 0 ||
	        grant_check(&grant, err) != 0) {
		return SIGNER_REFUSED;
	}
	if (!text_equal(grant.provider, signer->config.provider)) {
		return refuse(err, "provider: is another's");
	}
	/* A grant is sealed again when a gateway or the center comes back, so it may be older than
	 * now. */
	if (grant.issued_at - clock_wall_usec() > CLOCK_SKEW_SEC_MAX * USEC_PER_SEC ||
	        grant.not_after <= clock_wall_usec()) {
		return refuse(err, "issued_at, not_after: the grant is of the future, or over");
	}
	if (grant.not_after - grant.not_before > GRANT_SEC_MAX * USEC_PER_SEC ||
	        grant.not_after - grant.issued_at > 2 * GRANT_SEC_MAX * USEC_PER_SEC ||
	        grant.lease_sec > LEASE_SEC_MAX) {
		return refuse(err, "not_after, lease_sec: longer than any grant may be");
	}
	if (grant.epoch < signer->epoch) {
		return refuse(err, "epoch: is older than one that was signed");
	}
	signer->epoch = grant.epoch;
	grant_print(&grant, &payload);
	return sealed(seal_sign(
	        signer->grant_key, "sekisho-grant", payload.bytes, payload.count, out, err));
}

static int serve_lease(
        struct signer *signer, struct cursor *request, struct buf *out, struct err *err)
{
	AUTO_BUF struct buf payload = BUF(JWS_SMALL_BYTES_MAX);
	struct lease lease;

	if (lease_parse(request->bytes, request->count, &lease, err) != 0) {
		return SIGNER_REFUSED;
	}
	if (!text_equal(lease.provider, signer->config.provider) || lease.epoch < signer->epoch ||
	        !is_recent(lease.issued_at) || lease.ttl_sec > LEASE_SEC_MAX) {
		return refuse(
		        err, "provider, epoch, issued_at or ttl_sec is not what may be signed");
	}
	lease_print(&lease, &payload);
	return sealed(seal_sign(
	        signer->grant_key, "sekisho-lease", payload.bytes, payload.count, out, err));
}

static int sign_note(void *context, const uint8_t *message, size_t count,
        uint8_t ret_signature[NOTE_SIGNATURE_BYTES], struct err *err)
{
	struct signer *signer = context;
	AUTO_BUF struct buf signature = BUF(4096); /* room for any mechanism */
	int r = token_sign(signer->checkpoint_key, message, count, &signature, err);

	if (r != 0 || signature.count != NOTE_SIGNATURE_BYTES) {
		return FAULT(r < 0 ? r : -EIO);
	}
	memcpy(ret_signature, signature.bytes, NOTE_SIGNATURE_BYTES);
	return 0;
}

static int serve_checkpoint(
        struct signer *signer, struct cursor *request, struct buf *out, struct err *err)
{
	struct note_signer note = { .key = signer->log_key, .sign = sign_note, .context = signer };
	struct merkle_head head = { .size = cursor_u64(request) };
	const uint8_t *root = cursor_take(request, HASH_BYTES);

	if (!root || !cursor_done(request) || head.size > INT64_MAX) {
		return refuse(err, "not a checkpoint");
	}
	memcpy(head.root.bytes, root, HASH_BYTES);
	if (head.size < signer->size ||
	        (head.size == signer->size && !hash_equal(&head.root, &signer->root))) {
		return refuse(err, "size, root: the ledger never shrinks or changes");
	}
	if (checkpoint_sign(&head, &note, out, err) != 0) {
		return SIGNER_FAILED;
	}
	signer->size = head.size;
	signer->root = head.root;
	return SIGNER_OK;
}

static int serve_certificate(
        struct signer *signer, struct cursor *request, struct buf *out, struct err *err)
{
	char gateway[NAME_BYTES_MAX + 1], provider[NAME_BYTES_MAX + 1];
	AUTO(cert) struct cert *cert = NULL;
	struct key_hash approved;
	const uint8_t *hash = cursor_take(request, sizeof(approved.bytes)), *tbs, *der;
	size_t tbs_count = 0, count;
	int r;

	tbs = cursor_block(request, &tbs_count);
	if (!hash || !tbs || !cursor_done(request)) {
		return refuse(err, "not a request for a certificate");
	}
	memcpy(approved.bytes, hash, sizeof(approved.bytes));
	r = ca_sign(signer->ca, tbs, tbs_count, approved, &cert, err);
	if (r == CA_REFUSED || r == CA_NOT_APPROVED) {
		return SIGNER_REFUSED;
	}
	if (r != 0) {
		return SIGNER_FAILED;
	}
	/* The CA's profile also has servers and responders; these are made by ceremony, not here.
	 */
	if (cert_lint(cert, CERT_SERVICE, err) != 0) {
		return SIGNER_REFUSED;
	}
	if (cert_identity(cert, gateway, provider) != 0 ||
	        !text_equal(provider, signer->config.provider)) {
		return refuse(err, "identity: is not of this provider");
	}
	der = cert_der(cert, &count);
	buf_add(out, der, count);
	return SIGNER_OK;
}

static int serve_crl_entries(
        struct signer *signer, struct cursor *request, struct buf *out, struct err *err)
{
	while (cursor_left(request) > 0) {
		size_t count = 0;
		const char *serial = (const char *)cursor_block(request, &count);
		struct crl_entry entry = { .revoked_usec = (int64_t)cursor_u64(request),
			.reason = (enum crl_reason)cursor_u8(request) };

		if (!serial || request->broken || count == 0 || count >= sizeof(entry.serial) ||
		        signer->entry_count >= CRL_ENTRIES_MAX ||
		        !is_revocation(entry.revoked_usec, entry.reason)) {
			return refuse(err, "not entries of a revocation list, or too many");
		}
		memcpy(entry.serial, serial, count);
		if (signer->entry_count == signer->entry_room) {
			signer->entry_room = signer->entry_room ? 2 * signer->entry_room : 64;
			signer->entries = mem_resize(
			        signer->entries, signer->entry_room, sizeof(struct crl_entry));
		}
		signer->entries[signer->entry_count++] = entry;
	}
	return SIGNER_OK;
}

static int serve_crl(
        struct signer *signer, struct cursor *request, struct buf *out, struct err *err)
{
	uint64_t number = cursor_u64(request);
	int64_t this_update = (int64_t)cursor_u64(request),
	        next_update = (int64_t)cursor_u64(request);
	size_t count = signer->entry_count;
	int r;

	signer->entry_count = 0;
	if (!cursor_done(request) || !is_brief(this_update, next_update, CRL_SEC_MAX) ||
	        number <= signer->crl_number) {
		return refuse(err, "number or times are not those of a new list");
	}
	buf_reset(&signer->list);
	r = crl_build(signer->ca, signer->entries, count, number, this_update, next_update,
	        &signer->list, err);
	if (r != 0 || signer->list.overflowed) {
		return r == CA_REFUSED ? SIGNER_REFUSED : SIGNER_FAILED;
	}
	signer->crl_number = number;
	buf_add_u32(out, (uint32_t)signer->list.count);
	return SIGNER_OK;
}

static int serve_fetch(
        struct signer *signer, struct cursor *request, struct buf *out, struct err *err)
{
	size_t from = cursor_u32(request), count;

	if (!cursor_done(request) || !signer->list.bytes || from > signer->list.count) {
		return refuse(err, "not a place in the list");
	}
	count = signer->list.count - from;
	buf_add(out, signer->list.bytes + from,
	        count < SIGNER_PIECE_BYTES ? count : SIGNER_PIECE_BYTES);
	return SIGNER_OK;
}

struct statuses {
	size_t count;
	struct {
		char serial[2 * CERT_SERIAL_BYTES_MAX + 1];
		struct ocsp_status status;
	} items[OCSP_STATUSES_MAX];
	struct buf asked; /* serials that were looked up and are not among the items */
};

static struct ocsp_status look_up(void *context, const char *serial)
{
	struct statuses *statuses = context;

	for (size_t i = 0; i < statuses->count; i++) {
		if (text_equal(statuses->items[i].serial, serial)) {
			return statuses->items[i].status;
		}
	}
	buf_add_block(&statuses->asked, serial, strlen(serial));
	return (struct ocsp_status){ .state = OCSP_UNKNOWN };
}

static int read_statuses(struct cursor *request, struct statuses *statuses)
{
	while (cursor_left(request) > 0) {
		size_t count = 0;
		const char *serial = (const char *)cursor_block(request, &count);
		struct ocsp_status status = { .state = (enum ocsp_state)cursor_u8(request),
			.revoked_usec = (int64_t)cursor_u64(request),
			.reason = (enum crl_reason)cursor_u8(request) };

		if (!serial || request->broken || statuses->count == OCSP_STATUSES_MAX ||
		        count >= sizeof(statuses->items[0].serial) || status.state > OCSP_REVOKED ||
		        (status.state == OCSP_REVOKED &&
		                !is_revocation(status.revoked_usec, status.reason))) {
			return 1;
		}
		memcpy(statuses->items[statuses->count].serial, serial, count);
		statuses->items[statuses->count++].status = status;
	}
	return 0;
}

static int serve_ocsp(
        struct signer *signer, struct cursor *request, struct buf *out, struct err *err)
{
	struct statuses statuses = { .asked = BUF(4096) };
	int64_t now = (int64_t)cursor_u64(request), next = (int64_t)cursor_u64(request);
	size_t count = 0;
	const uint8_t *question = cursor_block(request, &count);
	int r;

	if (!signer->ocsp) {
		return refuse(err, "this center has no OCSP responder");
	}
	if (!question || read_statuses(request, &statuses) != 0 ||
	        !is_brief(now, next, OCSP_SEC_MAX)) {
		return refuse(err, "not a question for the OCSP responder");
	}
	r = ocsp_answer(signer->ocsp, question, count, look_up, &statuses, now, next, out, err);
	if (r == 0 && statuses.asked.count > 0) {
		buf_reset(out);
		buf_add(out, statuses.asked.bytes, statuses.asked.count);
	}
	r = r != 0 ? SIGNER_FAILED : statuses.asked.count > 0 ? SIGNER_ASKS : SIGNER_OK;
	buf_clear(&statuses.asked);
	return r;
}

static int serve_ping(
        struct signer *signer, struct cursor *request, struct buf *out, struct err *err)
{
	return SIGNER_OK;
}

static signer_serve *const serves[] = {
	[SIGNER_GRANT] = serve_grant,
	[SIGNER_LEASE] = serve_lease,
	[SIGNER_CHECKPOINT] = serve_checkpoint,
	[SIGNER_CERTIFICATE] = serve_certificate,
	[SIGNER_CRL_ENTRIES] = serve_crl_entries,
	[SIGNER_CRL] = serve_crl,
	[SIGNER_FETCH] = serve_fetch,
	[SIGNER_OCSP] = serve_ocsp,
	[SIGNER_PING] = serve_ping,
};

static int serve_one(struct signer *signer, int fd)
{
	AUTO_BUF struct buf request = BUF(MESSAGE_BYTES_MAX), out = BUF(MESSAGE_BYTES_MAX - 16);
	struct cursor cursor;
	struct err err = { 0 };
	uint16_t type;
	uint32_t tag;
	int r = frame_receive(fd, &type, &tag, &request);

	if (r != 0) {
		return r;
	}
	cursor = CURSOR(request.bytes, request.count);
	if (type >= ARRAY_COUNT(serves) || !serves[type]) {
		log_error("core sent a request of no type: %u", type);
		return 1;
	}
	r = serves[type](signer, &cursor, &out, &err);
	if (r == SIGNER_REFUSED || r == SIGNER_FAILED) {
		log_error("%s request %u: %s", r == SIGNER_REFUSED ? "refused" : "could not serve",
		        type, err.text);
		buf_reset(&out);
		buf_add_text(&out, err.text);
	}
	return frame_send(fd, (uint16_t)r, tag, out.bytes, out.count);
}

static int open_token(const struct center_token *config, struct token **ret_token, struct err *err)
{
	char pin[PIN_BYTES_MAX];
	int r = file_read_secret(config->pin_file, pin, sizeof(pin), err);

	if (r == 0) {
		r = token_new(config->module, config->label, pin, ret_token);
	}
	mem_wipe(pin, sizeof(pin));
	if (r == 0) {
		r = token_open(*ret_token, err);
	}
	return r == 0 ? 0 : err_wrap(err, 1, "token \"%s\"", config->label);
}

static int open_ca(struct signer *signer, struct err *err)
{
	AUTO_BUF struct buf bytes = BUF(4 * CERT_DER_BYTES_MAX);
	AUTO_BUF struct buf responder = BUF(4 * CERT_DER_BYTES_MAX);
	AUTO(cert) struct cert *cert = NULL;
	AUTO(cert) struct cert *ocsp = NULL;
	int r = file_read(signer->config.service_ca, &bytes, err);

	if (r == 0) {
		r = cert_parse(bytes.bytes, bytes.count, &cert, err);
	}
	if (r == 0) {
		r = ca_new(cert, signer->ca_key, &signer->ca, err);
	}
	if (r != 0 || !signer->config.ocsp_certificate) {
		return r;
	}
	r = file_read(signer->config.ocsp_certificate, &responder, err);
	if (r == 0) {
		r = cert_parse(responder.bytes, responder.count, &ocsp, err);
	}
	if (r == 0) {
		r = token_key_find_label(
		        signer->provider_token, signer->config.ocsp_key, &signer->ocsp_key, err);
	}
	return r == 0 ? ocsp_new(cert, ocsp, signer->ocsp_key, &signer->ocsp, err) : r;
}

/* The log's name is the provider's, in the same zone as its gateways' identities. */
static int open_log_key(struct signer *signer, struct err *err)
{
	AUTO_STRING char *name = mem_format("%s.%s", signer->config.provider, CERT_IDENTITY_SUFFIX);
	size_t count;
	const uint8_t *spki = token_key_spki(signer->checkpoint_key, &count);

	if (token_key_type(signer->checkpoint_key) != TOKEN_KEY_ED25519 ||
	        count < NOTE_PUBLIC_KEY_BYTES) {
		return err_set(err, 1, "the checkpoint key must be Ed25519 (C2SP signed notes)");
	}
	/* The key is the end of its SubjectPublicKeyInfo (RFC 8410 4). */
	return note_key_make(
	        name, NOTE_SIGNATURE, spki + count - NOTE_PUBLIC_KEY_BYTES, &signer->log_key);
}

static int open_all(struct signer *signer, struct err *err)
{
	const struct center_config *config = &signer->config;
	int r = open_token(&config->ca_token, &signer->ca_token, err);

	if (r == 0) {
		r = open_token(&config->provider_token, &signer->provider_token, err);
	}
	if (r == 0) {
		r = token_key_find_label(signer->ca_token, config->ca_key, &signer->ca_key, err);
	}
	if (r == 0) {
		r = open_ca(signer, err);
	}
	if (r == 0) {
		r = token_key_find_label(
		        signer->provider_token, config->grant_key, &signer->grant_key, err);
	}
	if (r == 0) {
		r = token_key_find_label(signer->provider_token, config->checkpoint_key,
		        &signer->checkpoint_key, err);
	}
	return r == 0 ? open_log_key(signer, err) : r;
}

int signer_main(const struct process_arguments *arguments)
{
	static const char *const pipe_calls[] = { "recvfrom", "sendto", NULL };
	static const char *const *const calls[] = { sandbox_calls_base, sandbox_calls_files,
		pipe_calls, NULL };
	/* Static, as it lives as long as the process: at the end only what is lost leaks. */
	static struct signer signer = { .list = BUF(CRL_DER_BYTES_MAX) };
	struct err err = { 0 };
	int r;

	if (sandbox_prepare(&err) < 0 ||
	        process_configure(arguments, "signer", &signer.config) != 0) {
		return 1;
	}
	/* A new configuration means new keys at most, and those need a restart. Who stops the whole
	 * group of processes must not take the signer from core before its last checkpoint. */
	signal(SIGHUP, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	r = open_all(&signer, &err);
	if (r == 0) {
		r = sandbox_enter(
		        &(struct sandbox){ .calls = calls,
		                .paths = process_paths(arguments, &signer.config, true, false) },
		        &err);
	}
	if (r != 0) {
		log_error("signer cannot start: %s",
		        *err.text ? err.text : strerror(r < 0 ? -r : EINVAL));
		return 1;
	}
	log_info("signer serves");
	r = frame_send(PROCESS_CHANNEL_FD, SIGNER_OK, 0, NULL, 0);
	while (r == 0) {
		r = serve_one(&signer, PROCESS_CHANNEL_FD);
	}
	return r < 0;
}
