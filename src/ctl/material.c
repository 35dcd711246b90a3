#include "ctl/material.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/str.h"
#include "pki/der.h"

#define HOUR_USEC (3600 * USEC_PER_SEC)
#define PIN_BYTES_MAX 256
#define ED25519_SPKI_BYTES 44 /* RFC 8410 4 */

static int read_input(struct ctl *ctl, struct buf *out)
{
	uint8_t chunk[4096];
	ssize_t count;

	while ((count = read(STDIN_FILENO, chunk, sizeof(chunk))) > 0) {
		buf_add(out, chunk, (size_t)count);
	}
	if (count < 0) {
		return ctl_fail(ctl, CTL_FAILED, "standard input: %s", strerror(errno));
	}
	return out->overflowed ? ctl_fail(ctl, CTL_REFUSED, "standard input: longer than %zu bytes",
	                                 out->count_max)
	                       : CTL_OK;
}

int material_read(struct ctl *ctl, const char *path, struct buf *out)
{
	return text_equal(path, "-") ? read_input(ctl, out)
	                             : ctl_result(ctl, file_read(path, out, &ctl->err));
}

int material_write(struct ctl *ctl, const char *path, const void *bytes, size_t count)
{
	return ctl_result(ctl, file_replace(path, bytes, count, 0644, &ctl->err));
}

int material_directory(struct ctl *ctl, const char *path)
{
	return ctl_result(ctl, directory_make(path, 0755, &ctl->err));
}

static int wrap(struct ctl *ctl, int status, const char *path)
{
	return status == CTL_OK ? CTL_OK : err_wrap(&ctl->err, status, "%s", path);
}

int material_cert(struct ctl *ctl, const char *path, struct cert **ret_cert)
{
	AUTO_BUF struct buf bytes = BUF(4 * CERT_DER_BYTES_MAX);
	int r = material_read(ctl, path, &bytes);

	if (r != CTL_OK) {
		return r;
	}
	r = ctl_result(ctl, cert_parse(bytes.bytes, bytes.count, ret_cert, &ctl->err));
	return wrap(ctl, r, path);
}

int material_cert_kind(struct ctl *ctl, const char *path, unsigned kinds, struct cert **ret_cert)
{
	AUTO(cert) struct cert *cert = NULL;
	int r = material_cert(ctl, path, &cert);

	if (r != CTL_OK) {
		return r;
	}
	if (!(CERT_SET(cert_kind(cert)) & kinds)) {
		return ctl_fail(ctl, CTL_REFUSED,
		        "%s: a certificate of kind %s cannot be used here", path,
		        cert_kind_name(cert_kind(cert)));
	}
	r = wrap(ctl, ctl_result(ctl, cert_lint(cert, cert_kind(cert), &ctl->err)), path);
	if (r == CTL_OK) {
		*ret_cert = TAKE(cert);
	}
	return r;
}

int material_write_cert(struct ctl *ctl, const char *path, const struct cert *cert)
{
	AUTO_BUF struct buf pem = BUF(4 * CERT_DER_BYTES_MAX);

	cert_print_pem(cert, &pem);
	return material_write(ctl, path, pem.bytes, pem.count);
}

int material_key(struct ctl *ctl, const char *path, struct key **ret_key)
{
	AUTO_BUF struct buf bytes = BUF(4 * CERT_DER_BYTES_MAX);
	AUTO_BUF struct buf spki = BUF(2 * KEY_SPKI_BYTES_MAX);
	AUTO(cert) struct cert *cert = NULL;
	AUTO(csr) struct csr *csr = NULL;
	size_t count;
	const uint8_t *own;
	int r = material_read(ctl, path, &bytes);

	if (r != CTL_OK) {
		return r;
	}
	if (cert_parse(bytes.bytes, bytes.count, &cert, NULL) == 0) {
		own = cert_spki(cert, &count);
	} else if (csr_parse(bytes.bytes, bytes.count, &csr, NULL) == 0) {
		own = key_spki(csr_key(csr), &count);
	} else if (der_from_pem(bytes.bytes, bytes.count, "PUBLIC KEY", &spki) == 0) {
		own = spki.bytes;
		count = spki.count;
	} else {
		return ctl_fail(ctl, CTL_REFUSED,
		        "%s: neither a public key nor a certificate nor a request, in PEM or DER",
		        path);
	}
	return wrap(ctl, ctl_result(ctl, key_parse(own, count, ret_key, &ctl->err)), path);
}

int material_write_spki(struct ctl *ctl, const char *path, const uint8_t *spki, size_t count)
{
	AUTO_BUF struct buf pem = BUF(4 * KEY_SPKI_BYTES_MAX);

	der_print_pem(spki, count, "PUBLIC KEY", &pem);
	return material_write(ctl, path, pem.bytes, pem.count);
}

int material_write_csr(struct ctl *ctl, const char *path, const uint8_t *der, size_t count)
{
	AUTO_BUF struct buf pem = BUF(4 * CSR_DER_BYTES_MAX);

	der_print_pem(der, count, "CERTIFICATE REQUEST", &pem);
	return material_write(ctl, path, pem.bytes, pem.count);
}

int material_csr(struct ctl *ctl, const char *path, struct csr **ret_csr)
{
	AUTO_BUF struct buf bytes = BUF(4 * CSR_DER_BYTES_MAX);
	int r = material_read(ctl, path, &bytes);

	if (r != CTL_OK) {
		return r;
	}
	return wrap(ctl, ctl_result(ctl, csr_parse(bytes.bytes, bytes.count, ret_csr, &ctl->err)),
	        path);
}

int material_seal(struct ctl *ctl, const char *path, struct buf *out)
{
	int r = material_read(ctl, path, out);

	while (r == CTL_OK && out->count > 0 && strchr(" \t\r\n", out->bytes[out->count - 1])) {
		out->bytes[--out->count] = '\0';
	}
	return r;
}

static int open_token(
        struct ctl *ctl, const char *label, const char *pin_file, struct token **ret_token)
{
	AUTO(token) struct token *token = NULL;
	char pin[PIN_BYTES_MAX];
	int r = file_read_secret(pin_file, pin, sizeof(pin), &ctl->err);

	if (r != 0) {
		return ctl_result(ctl, r);
	}
	r = token_new(ctl->settings.module, label, pin, &token);
	mem_wipe(pin, sizeof(pin));
	if (r == 0) {
		r = token_open(token, &ctl->err);
	}
	/* TOKEN_NOT_FOUND is about objects; a token that is not there is a token problem. */
	if (r != 0) {
		r = ctl_token_result(ctl, r);
		return r == CTL_OK ? CTL_TOKEN : r;
	}
	*ret_token = TAKE(token);
	return CTL_OK;
}

static int need(struct ctl *ctl, const char *value, const char *option, const char *environment)
{
	return value ? CTL_OK
	             : ctl_fail(ctl, CTL_USAGE,
	                       "no token is named: give --%s, or set %s or client.conf", option,
	                       environment);
}

int material_token(struct ctl *ctl, struct token **ret_token)
{
	const struct settings *settings = &ctl->settings;
	int r = need(ctl, settings->module, "module", "SEKISHO_MODULE");

	if (r == CTL_OK) {
		r = need(ctl, settings->token, "token", "SEKISHO_TOKEN");
	}
	if (r == CTL_OK) {
		r = need(ctl, settings->pin_file, "pin-file", "SEKISHO_PIN_FILE");
	}
	return r == CTL_OK ? open_token(ctl, settings->token, settings->pin_file, ret_token) : r;
}

int material_token_other(
        struct ctl *ctl, const char *label, const char *pin_file, struct token **ret_token)
{
	int r = need(ctl, ctl->settings.module, "module", "SEKISHO_MODULE");

	return r == CTL_OK ? open_token(ctl, label, pin_file, ret_token) : r;
}

int material_token_key(
        struct ctl *ctl, struct token *token, const char *label, struct token_key **ret_key)
{
	return ctl_token_result(ctl, token_key_find_label(token, label, ret_key, &ctl->err));
}

static int free_id(struct ctl *ctl, struct token *token, uint8_t *ret_id)
{
	struct token_slot *slots = NULL;
	bool used[256] = { true };
	size_t count = 0;
	int r = token_list(token, &slots, &count, &ctl->err);

	if (r != 0) {
		return ctl_token_result(ctl, r);
	}
	for (size_t i = 0; i < count; i++) {
		if (slots[i].id_bytes == 1) {
			used[slots[i].id[0]] = true;
		}
	}
	free(slots);
	for (unsigned id = 1; id < 256; id++) {
		if (!used[id]) {
			*ret_id = (uint8_t)id;
			return CTL_OK;
		}
	}
	return ctl_fail(ctl, CTL_TOKEN, "token \"%s\" has no free key id", token_label(token));
}

int material_token_key_make(struct ctl *ctl, struct token *token, enum token_key_type type,
        const char *label, struct token_key **ret_key, bool *ret_made)
{
	AUTO(token_key) struct token_key *key = NULL;
	uint8_t id = 0;
	int r = token_key_find_label(token, label, &key, &ctl->err);

	*ret_made = r == TOKEN_NOT_FOUND;
	if (r == TOKEN_NOT_FOUND) {
		ctl->err = (struct err){ 0 };
		r = free_id(ctl, token, &id);
		if (r != CTL_OK) {
			return r;
		}
		r = token_key_generate(token, type, id, label, &key, &ctl->err);
	}
	if (r != 0) {
		return ctl_token_result(ctl, r);
	}
	if (token_key_type(key) != type) {
		return ctl_fail(ctl, CTL_REFUSED,
		        "token \"%s\" has a key \"%s\" of type %s, and %s is needed: give another "
		        "label",
		        token_label(token), label, token_key_type_name(token_key_type(key)),
		        token_key_type_name(type));
	}
	*ret_key = TAKE(key);
	return CTL_OK;
}

bool material_key_is_ed25519(const struct key *key)
{
	size_t count;

	key_spki(key, &count);
	return count == ED25519_SPKI_BYTES;
}

struct key_id material_key_id(const uint8_t *spki, size_t count)
{
	return key_hash_print(key_hash_of(spki, count));
}

json_t *material_cert_json(const struct cert *cert)
{
	struct key_hash hash = cert_fingerprint(cert);
	char fingerprint[2 * sizeof(hash.bytes) + 1];
	size_t count;
	const uint8_t *spki = cert_spki(cert, &count);
	json_t *names = json_array();

	hex_print(hash.bytes, sizeof(hash.bytes), fingerprint);
	for (size_t i = 0; cert_dns_name(cert, i); i++) {
		json_array_append_new(names, json_string(cert_dns_name(cert, i)));
	}
	return json_pack("{s:s, s:s, s:s, s:s, s:o, s:s, s:s, s:s, s:s}", "kind",
	        cert_kind_name(cert_kind(cert)), "serial", cert_serial(cert), "subject",
	        cert_subject(cert), "issuer", cert_issuer(cert), "names", names, "not_before",
	        time_print(cert_not_before_usec(cert)).text, "not_after",
	        time_print(cert_not_after_usec(cert)).text, "key",
	        material_key_id(spki, count).text, "fingerprint", fingerprint);
}

void material_validity(
        const struct cert *issuer, uint64_t days, int64_t *ret_not_before, int64_t *ret_not_after)
{
	int64_t now = clock_wall_usec();

	*ret_not_before = now - HOUR_USEC;
	*ret_not_after = now + (int64_t)days * 24 * HOUR_USEC;
	if (issuer && *ret_not_before < cert_not_before_usec(issuer)) {
		*ret_not_before = cert_not_before_usec(issuer);
	}
	if (issuer && *ret_not_after > cert_not_after_usec(issuer)) {
		*ret_not_after = cert_not_after_usec(issuer);
	}
}

int material_signing_key(struct ctl *ctl)
{
	AUTO(token) struct token *token = NULL;
	AUTO(token_key) struct token_key *key = NULL;
	const char *out = ctl_text(ctl, "out");
	const uint8_t *spki;
	size_t count;
	bool made;
	int r = material_token(ctl, &token);

	if (r == CTL_OK) {
		r = material_token_key_make(
		        ctl, token, TOKEN_KEY_EC_P256, ctl_text(ctl, "key"), &key, &made);
	}
	if (r != CTL_OK) {
		return r;
	}
	spki = token_key_spki(key, &count);
	ctl_put(ctl, "public_key", out);
	ctl_put(ctl, "key_id", material_key_id(spki, count).text);
	ctl_put_bool(ctl, "made", made);
	return material_write_spki(ctl, out, spki, count);
}

int material_statement(struct ctl *ctl, const char *path, struct statement **ret_statement)
{
	AUTO_BUF struct buf text = BUF(JWS_SMALL_BYTES_MAX);
	AUTO(key) struct key *root = NULL;
	const struct key *roots[1];
	int r = material_key(ctl, ctl_text(ctl, "root"), &root);

	if (r == CTL_OK) {
		r = material_seal(ctl, path, &text);
	}
	if (r != CTL_OK) {
		return r;
	}
	roots[0] = root;
	r = ctl_result(ctl,
	        statement_open(buf_text(&text), text.count, roots, 1, ret_statement, &ctl->err));
	return r == CTL_OK ? r : err_wrap(&ctl->err, r, "%s", path);
}
