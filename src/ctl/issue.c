#include "ctl/issue.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "audit/note.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/str.h"
#include "pki/crl.h"

const char *const issue_reasons[] = { "unspecified", "key-compromise", "ca-compromise",
	"affiliation-changed", "superseded", "cessation", "hold", "privilege-withdrawn", NULL };

int issue_csr_key(struct ctl *ctl, const char *path, struct key **ret_key)
{
	AUTO(csr) struct csr *csr = NULL;
	int r = material_csr(ctl, path, &csr);

	if (r == CTL_OK) {
		*ret_key = key_copy(csr_key(csr));
	}
	return r;
}

/* A CA with everything it needs, as long as one command lasts. */
struct issuer {
	struct token *token;
	struct token_key *key;
	struct cert *cert;
	struct ca *ca;
};

static void issuer_close(struct issuer *issuer)
{
	ca_free(issuer->ca);
	cert_free(issuer->cert);
	token_key_free(issuer->key);
	token_free(issuer->token);
}

static int issuer_open(struct ctl *ctl, const char *path, unsigned kinds, struct issuer *issuer)
{
	int r = material_cert_kind(ctl, path, kinds, &issuer->cert);

	if (r == CTL_OK) {
		r = material_token(ctl, &issuer->token);
	}
	if (r == CTL_OK) {
		r = material_token_key(ctl, issuer->token, ctl_text(ctl, "key"), &issuer->key);
	}
	if (r == CTL_OK) {
		r = ctl_result(ctl, ca_new(issuer->cert, issuer->key, &issuer->ca, &ctl->err));
	}
	return r;
}

int issue_finish(struct ctl *ctl, const struct cert *cert, const struct cert *chain)
{
	const char *out = ctl_text(ctl, "out");
	AUTO_BUF struct buf pem = BUF(8 * CERT_DER_BYTES_MAX);
	json_t *essentials = material_cert_json(cert);

	cert_print_pem(cert, &pem);
	if (chain) {
		cert_print_pem(chain, &pem);
	}
	json_object_set_new(essentials, "certificate", json_string(out));
	json_decref(ctl->result);
	ctl->result = essentials;
	return material_write(ctl, out, pem.bytes, pem.count);
}

int issue(struct ctl *ctl, struct ca_request *request, unsigned ca_kinds)
{
	const char *path = ctl_text(ctl, ca_kinds == CERT_SET(CERT_ROOT) ? "root" : "ca");
	AUTO(cert) struct cert *cert = NULL;
	struct issuer issuer = { 0 };
	int r = issuer_open(ctl, path, ca_kinds, &issuer);

	if (r == CTL_OK) {
		material_validity(issuer.cert, ctl_count(ctl, "days"), &request->not_before_usec,
		        &request->not_after_usec);
		r = ctl_ca_result(ctl, ca_issue(issuer.ca, request, &cert, &ctl->err));
	}
	if (r == CTL_OK) {
		r = issue_finish(ctl, cert, request->kind == CERT_SERVER ? issuer.cert : NULL);
	}
	issuer_close(&issuer);
	return r;
}

/* The list as it is, or NULL when there is none yet. One of another CA is refused: its entries
 * would be lost. */
static int read_list(struct ctl *ctl, const char *path, const struct cert *ca, struct crl **ret_crl)
{
	AUTO_BUF struct buf der = BUF(CRL_DER_BYTES_MAX);
	int r = file_read(path, &der, &ctl->err);

	if (r == -ENOENT) {
		ctl->err = (struct err){ 0 };
		return CTL_OK;
	}
	if (r == 0) {
		r = crl_parse(der.bytes, der.count, ret_crl, &ctl->err);
	}
	if (r == 0) {
		r = crl_verify(*ret_crl, ca, &ctl->err);
	}
	return r == 0 ? CTL_OK : err_wrap(&ctl->err, ctl_result(ctl, r), "%s", path);
}

/* Fills the next list's entries; the caller frees. */
static int next_entries(struct ctl *ctl, const struct crl *old, const char *serial,
        struct crl_entry **ret_entries, size_t *ret_count)
{
	size_t count = old ? crl_count(old) : 0;
	struct crl_entry *entries = mem_new(count + 1, sizeof(*entries)), *added = &entries[count];
	int r = CTL_OK;

	for (size_t i = 0; i < count; i++) {
		entries[i] = *crl_entry(old, i);
	}
	*ret_entries = entries;
	*ret_count = count;
	if (!serial) {
		return CTL_OK;
	}
	/* As cert_serial() writes it: no leading zero bytes, small letters. */
	while (serial[0] == '0' && serial[1] == '0' && serial[2]) {
		serial += 2;
	}
	for (size_t i = 0; serial[i] && i + 1 < sizeof(added->serial); i++) {
		added->serial[i] = (char)tolower((unsigned char)serial[i]);
	}
	if (old && crl_find(old, added->serial)) {
		return ctl_fail(
		        ctl, CTL_REFUSED, "the certificate %s is on the list already", serial);
	}
	r = ctl_result(ctl, crl_reason_parse(ctl_text(ctl, "reason"), &added->reason));
	added->revoked_usec = clock_wall_usec();
	(*ret_count)++;
	return r;
}

int issue_crl(struct ctl *ctl, unsigned ca_kinds, const char *serial)
{
	const char *path = ctl_text(ctl, "crl");
	AUTO(crl) struct crl *old = NULL;
	AUTO_BUF struct buf der = BUF(CRL_DER_BYTES_MAX);
	struct crl_entry *entries = NULL;
	struct issuer issuer = { 0 };
	int64_t now = clock_wall_usec(),
	        next = now + (int64_t)ctl_count(ctl, "days") * 86400 * USEC_PER_SEC;
	uint64_t number = 0;
	size_t count = 0;
	int r = issuer_open(ctl, ctl_text(ctl, "ca"), ca_kinds, &issuer);

	if (r == CTL_OK) {
		r = read_list(ctl, path, issuer.cert, &old);
	}
	if (r == CTL_OK) {
		r = next_entries(ctl, old, serial, &entries, &count);
	}
	if (r == CTL_OK) {
		number = old ? crl_number(old) + 1 : 1;
		r = ctl_ca_result(ctl,
		        crl_build(issuer.ca, entries, count, number, now, next, &der, &ctl->err));
	}
	if (r == CTL_OK) {
		r = material_write(ctl, path, der.bytes, der.count);
	}
	if (r == CTL_OK) {
		ctl_put(ctl, "crl", path);
		ctl_put(ctl, "issuer", cert_subject(issuer.cert));
		ctl_put_count(ctl, "number", number);
		ctl_put_count(ctl, "revoked", count);
		ctl_put_time(ctl, "next_update", next);
	}
	free(entries);
	issuer_close(&issuer);
	return r;
}

int issue_verifier_key(
        struct ctl *ctl, const char *provider, const uint8_t *spki, size_t count, const char *path)
{
	AUTO_STRING char *name = mem_format("%s.%s", provider, CERT_IDENTITY_SUFFIX);
	AUTO_BUF struct buf text = BUF(1024);
	struct note_key key;

	/* The key is the end of its SubjectPublicKeyInfo (RFC 8410 4). */
	if (count < NOTE_PUBLIC_KEY_BYTES ||
	        note_key_make(name, NOTE_SIGNATURE, spki + count - NOTE_PUBLIC_KEY_BYTES, &key) !=
	                0) {
		return ctl_fail(ctl, CTL_REFUSED, "\"%s\" cannot be the name of a ledger", name);
	}
	note_key_print(&key, &text);
	buf_add_text(&text, "\n");
	ctl_put(ctl, "verifier_key", path);
	return material_write(ctl, path, text.bytes, text.count);
}
