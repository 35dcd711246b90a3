/*
 * Reading a sealed file (cms.h) as a stream. Two layers of the same reader: the outer one takes the
 * sealed bytes, the inner one what the outer one decrypts. Whatever goes wrong inside, the rest is
 * decrypted and the tag checked first, so that "altered" is never reported as something else.
 */
#include "pki/cms_private.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <string.h>

struct intake {
	int (*fill)(struct intake *intake, struct err *err);
	uint8_t bytes[FILE_CHUNK_BYTES];
	size_t at, count; /* of what is in bytes */
	uint64_t taken;   /* all that was given out */
	bool ended;
	void *context;
};

/* Makes sure that there is a byte. Outcome CMS_MALFORMED: the end. */
static int intake_some(struct intake *intake, struct err *err)
{
	if (intake->at == intake->count && !intake->ended) {
		int r;

		intake->at = intake->count = 0;
		r = intake->fill(intake, err);
		if (r != 0) {
			return r;
		}
		intake->ended = intake->count == 0;
	}
	return intake->at < intake->count ? 0
	                                  : err_set(err, CMS_MALFORMED, "the file is cut short");
}

static int intake_byte(struct intake *intake, uint8_t *ret_byte, struct err *err)
{
	int r = intake_some(intake, err);

	if (r == 0) {
		*ret_byte = intake->bytes[intake->at++];
		intake->taken++;
	}
	return r;
}

/* The next part of what is still to come, at most `left` bytes. */
static int intake_part(struct intake *intake, uint64_t left, const uint8_t **ret_bytes,
        size_t *ret_count, struct err *err)
{
	int r = intake_some(intake, err);

	if (r == 0) {
		size_t there = intake->count - intake->at;

		*ret_bytes = intake->bytes + intake->at;
		*ret_count = left < there ? (size_t)left : there;
		intake->at += *ret_count;
		intake->taken += *ret_count;
	}
	return r;
}

static int intake_add(struct intake *intake, uint64_t left, struct buf *out, struct err *err)
{
	if (left > out->count_max - out->count) {
		return err_set(err, CMS_MALFORMED, "a part of the sealed file is too long");
	}
	while (left > 0) {
		const uint8_t *bytes;
		size_t count;
		int r = intake_part(intake, left, &bytes, &count, err);

		if (r != 0) {
			return r;
		}
		buf_add(out, bytes, count);
		left -= count;
	}
	return 0;
}

/* Tag and length, canonical: no other spelling of a length, none without. */
static int intake_head(struct intake *intake, uint8_t tag, uint64_t *ret_length, struct err *err)
{
	uint8_t byte = 0, count;
	int r = intake_byte(intake, &byte, err);

	if (r == 0 && byte != tag) {
		return err_set(err, CMS_MALFORMED,
		        "not a sealed file, or one in another form than canonical DER");
	}
	if (r == 0) {
		r = intake_byte(intake, &byte, err);
	}
	if (r != 0 || byte < 0x80) {
		*ret_length = byte;
		return r;
	}
	count = byte & 0x7f;
	*ret_length = 0;
	for (uint8_t i = 0; i < count && count <= 6 && r == 0; i++) {
		r = intake_byte(intake, &byte, err);
		if (i == 0 && byte == 0) {
			count = 0;
		}
		*ret_length = *ret_length << 8 | byte;
	}
	if (r == 0 && (count == 0 || count > 6 || *ret_length < 0x80)) {
		r = err_set(err, CMS_MALFORMED, "a length in the sealed file is not canonical DER");
	}
	return r;
}

/* A head that has to end where the one around it ends. */
static int intake_last(struct intake *intake, uint8_t tag, uint64_t end, struct err *err)
{
	uint64_t length = 0;
	int r = intake_head(intake, tag, &length, err);

	return r == 0 && intake->taken + length != end
	               ? err_set(err, CMS_MALFORMED, "something stands behind the sealed content")
	               : r;
}

/* A small value as a whole, with its head, into `out`. */
static int intake_value(struct intake *intake, uint8_t tag, struct buf *out, struct err *err)
{
	AUTO_BUF struct buf content = BUF(FILE_PART_BYTES_MAX);
	uint64_t length = 0;
	int r = intake_head(intake, tag, &length, err);

	if (r == 0) {
		r = intake_add(intake, length, &content, err);
	}
	if (r == 0) {
		der_add(out, tag, content.bytes, content.count);
	}
	return r == 0 && out->overflowed
	               ? err_set(err, CMS_MALFORMED, "a part of the sealed file is too long")
	               : r;
}

static int intake_oid(struct intake *intake, enum oid *ret_oid, struct err *err)
{
	AUTO_BUF struct buf value = BUF(128);
	struct der in;
	int r = intake_value(intake, DER_OID, &value, err);

	in = DER(value.bytes, value.count);
	*ret_oid = r == 0 ? der_take_oid(&in) : OID_NONE;
	return r;
}

/* --- the outer layer ----------------------------------------------------- */

struct opening {
	const struct cms_stream *stream;
	struct intake outer, inner;
	EVP_CIPHER_CTX *cipher;
	uint64_t encrypted_left;
	struct cms_digester *digester;
};

static int fill_outer(struct intake *intake, struct err *err)
{
	struct opening *opening = intake->context;
	int r = opening->stream->read(opening->stream->context, intake->bytes,
	        sizeof(intake->bytes), &intake->count, err);

	return r > 0 ? CMS_READ : r;
}

static int fill_inner(struct intake *intake, struct err *err)
{
	struct opening *opening = intake->context;
	const uint8_t *bytes;
	size_t count;
	int written = 0, r;

	if (opening->encrypted_left == 0) {
		return 0;
	}
	r = intake_part(&opening->outer, opening->encrypted_left, &bytes, &count, err);
	if (r != 0) {
		return r;
	}
	assert_always(count <= sizeof(intake->bytes));
	opening->encrypted_left -= count;
	if (EVP_DecryptUpdate(opening->cipher, intake->bytes, &written, bytes, (int)count) != 1) {
		ERR_clear_error();
		return err_set(err, -EIO, "decrypting failed");
	}
	intake->count = (size_t)written;
	return 0;
}

/* Which cipher, and its nonce: content of the AlgorithmIdentifier. */
static int read_cipher(struct opening *opening, const struct buf *algorithm, const uint8_t *key,
        size_t key_bytes, struct err *err)
{
	struct der in = DER(algorithm->bytes, algorithm->count);
	struct der outer = der_take(&in, DER_SEQUENCE), parameters, nonce;
	enum oid oid = der_take_oid(&outer);
	uint64_t tag_bytes = 0;

	if (oid != OID_AES128_GCM && oid != OID_AES256_GCM) {
		return err_set(err, CMS_WEAK, "the content is not encrypted with AES in GCM");
	}
	parameters = der_take(&outer, DER_SEQUENCE);
	nonce = der_take(&parameters, DER_OCTET_STRING);
	if (!parameters.broken && parameters.left > 0) {
		tag_bytes = der_take_u64(&parameters);
	}
	if (!der_end(&outer) || !der_end(&parameters) || nonce.left != GCM_NONCE_BYTES ||
	        !der_canonical(algorithm->bytes, algorithm->count)) {
		return err_set(err, CMS_MALFORMED, "the parameters of AES-GCM");
	}
	if (tag_bytes != GCM_TAG_BYTES) {
		return err_set(err, CMS_WEAK, "the tag of AES-GCM is shorter than %d bytes",
		        GCM_TAG_BYTES);
	}
	if (key_bytes != (oid == OID_AES128_GCM ? 16 : 32)) {
		return err_set(err, CMS_ALTERED, "the key is not one of the cipher's length");
	}
	assert_always(EVP_DecryptInit_ex(opening->cipher,
	                      oid == OID_AES128_GCM ? EVP_aes_128_gcm() : EVP_aes_256_gcm(), NULL,
	                      key, nonce.at) == 1);
	return 0;
}

/* The content's key, by the recipient's own. */
static int recover_key(struct token_key *key, const struct cms_agreement *agreement,
        uint8_t out[CMS_KEY_BYTES_MAX], struct err *err)
{
	AUTO_BUF struct buf agreed = BUF(AGREED_BYTES_MAX);
	uint8_t wrapping[CMS_KEY_BYTES_MAX];
	int r = token_agree(key, agreement->point, agreement->point_bytes, &agreed, err);

	if (r != 0) {
		return r > 0 ? CMS_TOKEN + r : r;
	}
	cms_key_derive(agreement, agreed.bytes, agreed.count, wrapping);
	r = cms_key_unwrap(
	        wrapping, agreement->key_bytes, agreement->wrapped, agreement->wrapped_bytes, out);
	mem_wipe(agreed.bytes, agreed.count);
	mem_wipe(wrapping, sizeof(wrapping));
	return r != 0 ? err_set(err, CMS_ALTERED,
	                        "the key of the file does not come out: it was altered")
	              : 0;
}

/* Everything in front of the encrypted bytes. `*ret_end` is where all ends. */
static int read_outer(struct opening *opening, struct token_key *key,
        const struct cert *certificate, uint64_t *ret_end, struct err *err)
{
	AUTO_BUF struct buf recipients = BUF(FILE_PART_BYTES_MAX);
	AUTO_BUF struct buf small = BUF(256);
	struct intake *in = &opening->outer;
	struct cms_agreement agreement;
	uint8_t content_key[CMS_KEY_BYTES_MAX];
	uint64_t length = 0, info = 0;
	enum oid oid;
	int r = intake_head(in, DER_SEQUENCE, &length, err);

	*ret_end = in->taken + length;
	r = r != 0 ? r : intake_oid(in, &oid, err);
	if (r == 0 && oid != OID_CMS_AUTH_ENVELOPED) {
		return oid == OID_CMS_ENVELOPED
		               ? err_set(err, CMS_WEAK,
		                         "encrypted without authentication (EnvelopedData): only "
		                         "AES in GCM is accepted")
		               : err_set(err, CMS_MALFORMED, "the file is not an encrypted one");
	}
	r = r != 0 ? r : intake_last(in, DER_CONTEXT_MADE(0), *ret_end, err);
	r = r != 0 ? r : intake_last(in, DER_SEQUENCE, *ret_end, err);
	r = r != 0 ? r : intake_value(in, DER_INTEGER, &small, err);
	if (r == 0 && (small.count != 3 || small.bytes[2] != 0)) {
		return err_set(err, CMS_MALFORMED, "another version than 0");
	}
	r = r != 0 ? r : intake_value(in, DER_SET, &recipients, err);
	if (r == 0) {
		r = cms_recipient_find(
		        recipients.bytes, recipients.count, certificate, &agreement, err);
	}
	r = r != 0 ? r : intake_head(in, DER_SEQUENCE, &info, err);
	info += in->taken;
	r = r != 0 ? r : intake_oid(in, &oid, err);
	if (r == 0 && oid != OID_PKCS7_DATA) {
		return err_set(err, CMS_MALFORMED, "the encrypted content is not data");
	}
	buf_reset(&small);
	r = r != 0 ? r : intake_value(in, DER_SEQUENCE, &small, err);
	r = r != 0 ? r : intake_head(in, DER_CONTEXT(0), &opening->encrypted_left, err);
	if (r == 0 && in->taken + opening->encrypted_left != info) {
		return err_set(err, CMS_MALFORMED, "something stands behind the encrypted content");
	}
	if (r == 0) {
		r = recover_key(key, &agreement, content_key, err);
	}
	if (r == 0) {
		r = read_cipher(opening, &small, content_key,
		        agreement.wrapped_bytes - WRAP_MORE_BYTES, err);
	}
	mem_wipe(content_key, sizeof(content_key));
	return r;
}

/* --- the inner layer ----------------------------------------------------- */

/* Up to the file's first byte: its length, and where SignedData ends. */
static int read_inner_head(
        struct intake *in, uint64_t *ret_file, uint64_t *ret_end, struct err *err)
{
	AUTO_BUF struct buf small = BUF(256);
	uint64_t length = 0, encapsulated = 0;
	enum oid oid;
	int r = intake_head(in, DER_SEQUENCE, &length, err);

	*ret_end = in->taken + length;
	r = r != 0 ? r : intake_oid(in, &oid, err);
	if (r != 0 || oid != OID_PKCS7_SIGNED) {
		return r < 0 ? r
		             : err_set(err, CMS_UNSIGNED,
		                       "the file is encrypted, but nobody signed it");
	}
	r = intake_last(in, DER_CONTEXT_MADE(0), *ret_end, err);
	r = r != 0 ? r : intake_last(in, DER_SEQUENCE, *ret_end, err);
	r = r != 0 ? r : intake_value(in, DER_INTEGER, &small, err);
	r = r != 0 ? r : intake_value(in, DER_SET, &small, err);
	r = r != 0 ? r : intake_head(in, DER_SEQUENCE, &encapsulated, err);
	encapsulated += in->taken;
	r = r != 0 ? r : intake_oid(in, &oid, err);
	if (r == 0 && oid != OID_PKCS7_DATA) {
		return err_set(err, CMS_MALFORMED, "the signed content is not data");
	}
	r = r != 0 ? r : intake_last(in, DER_CONTEXT_MADE(0), encapsulated, err);
	r = r != 0 ? r : intake_head(in, DER_OCTET_STRING, ret_file, err);
	if (r == 0 && (in->taken + *ret_file != encapsulated || encapsulated > *ret_end)) {
		return err_set(err, CMS_MALFORMED, "something stands behind the signed content");
	}
	if (r == 0 && *ret_file > FILE_BYTES_MAX) {
		return err_set(
		        err, CMS_MALFORMED, "the file is longer than %lld bytes", FILE_BYTES_MAX);
	}
	return r;
}

/* The file itself, out to the writer; then what stands behind it. */
static int read_inner(struct opening *opening, struct buf *tail, struct err *err)
{
	struct intake *in = &opening->inner;
	const struct cms_stream *stream = opening->stream;
	uint64_t left = 0, end = 0;
	int r = read_inner_head(in, &left, &end, err);

	while (r == 0 && left > 0) {
		const uint8_t *bytes;
		size_t count;

		r = intake_part(in, left, &bytes, &count, err);
		if (r == 0) {
			cms_digester_add(opening->digester, bytes, count);
			left -= count;
			r = stream->write(stream->context, bytes, count, err);
			r = r > 0 ? CMS_READ : r;
		}
	}
	if (r == 0) {
		r = intake_add(in, end - in->taken, tail, err);
	}
	if (r == 0 && (intake_some(in, NULL) == 0)) {
		r = err_set(err, CMS_MALFORMED, "something stands behind the signed content");
	}
	return r;
}

/* The rest of the encrypted bytes, then the tag and the end. */
static int check_tag(struct opening *opening, uint64_t end, struct err *err)
{
	AUTO_BUF struct buf mac = BUF(64);
	struct intake *in = &opening->inner;
	uint8_t last[GCM_TAG_BYTES];
	int written = 0, r = 0;

	while (r == 0 && opening->encrypted_left > 0) {
		in->at = in->count = 0;
		r = fill_inner(in, err);
	}
	r = r != 0 ? r : intake_value(&opening->outer, DER_OCTET_STRING, &mac, err);
	if (r == 0 && (mac.count != 2 + GCM_TAG_BYTES || opening->outer.taken != end)) {
		r = err_set(err, CMS_MALFORMED, "the tag of the file, or something behind it");
	}
	if (r == 0 && intake_some(&opening->outer, NULL) == 0) {
		r = err_set(err, CMS_MALFORMED, "something stands behind the sealed file");
	}
	if (r != 0) {
		return r;
	}
	if (EVP_CIPHER_CTX_ctrl(
	            opening->cipher, EVP_CTRL_AEAD_SET_TAG, GCM_TAG_BYTES, mac.bytes + 2) != 1 ||
	        EVP_DecryptFinal_ex(opening->cipher, last, &written) != 1) {
		ERR_clear_error();
		return err_set(err, CMS_ALTERED, "the file was altered after it was sealed");
	}
	return 0;
}

static int open_all(struct opening *opening, struct token_key *key, const struct cert *certificate,
        struct cms_opened *opened, struct err *err)
{
	AUTO_BUF struct buf tail = BUF(FILE_PART_BYTES_MAX);
	struct cms_digests digests;
	struct err inner = { "" };
	uint64_t end = 0;
	int r = read_outer(opening, key, certificate, &end, err), inside;

	if (r != 0) {
		return r;
	}
	inside = read_inner(opening, &tail, &inner);
	if (inside < 0 || inside == CMS_READ) {
		return err_set(err, inside, "%s", inner.text);
	}
	r = check_tag(opening, end, err);
	if (r != 0 || inside != 0) {
		return r != 0 ? r : err_set(err, inside, "%s", inner.text);
	}
	cms_digester_end(opening->digester, &digests);
	return cms_signers_check(tail.bytes, tail.count, &digests, opened, err);
}

int cms_open(struct token_key *key, const struct cert *certificate, const struct cms_stream *stream,
        struct cms_opened *ret_opened, struct err *err)
{
	struct opening *opening = mem_new(1, sizeof(*opening));
	int r;

	*ret_opened = (struct cms_opened){ .label = BUF(FILE_LABEL_BYTES_MAX), .signed_usec = -1 };
	opening->stream = stream;
	opening->outer.fill = fill_outer;
	opening->inner.fill = fill_inner;
	opening->outer.context = opening->inner.context = opening;
	opening->digester = cms_digester_new();
	opening->cipher = EVP_CIPHER_CTX_new();
	assert_always(opening->cipher);
	r = open_all(opening, key, certificate, ret_opened, err);
	EVP_CIPHER_CTX_free(opening->cipher);
	cms_digester_free(opening->digester);
	mem_wipe(opening->inner.bytes, sizeof(opening->inner.bytes));
	free(opening);
	if (r != 0) {
		cms_opened_clear(ret_opened);
	}
	return r;
}
