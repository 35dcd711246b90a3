/* Writing a sealed file (cms.h): every length is known before the first byte goes out, so that the
 * whole is DER and nothing is held but one piece of the file. */
#include "pki/cms_private.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "pki/signing.h"

struct cms_digester {
	EVP_MD_CTX *sha256, *sha384;
	uint64_t bytes;
};

struct cms_digester *cms_digester_new(void)
{
	struct cms_digester *digester = mem_new(1, sizeof(*digester));

	digester->sha256 = EVP_MD_CTX_new();
	digester->sha384 = EVP_MD_CTX_new();
	assert_always(digester->sha256 && digester->sha384 &&
	              EVP_DigestInit_ex(digester->sha256, EVP_sha256(), NULL) == 1 &&
	              EVP_DigestInit_ex(digester->sha384, EVP_sha384(), NULL) == 1);
	return digester;
}

struct cms_digester *cms_digester_free(struct cms_digester *digester)
{
	if (digester) {
		EVP_MD_CTX_free(digester->sha256);
		EVP_MD_CTX_free(digester->sha384);
		free(digester);
	}
	return NULL;
}

void cms_digester_add(struct cms_digester *digester, const uint8_t *bytes, size_t count)
{
	assert_always(EVP_DigestUpdate(digester->sha256, bytes, count) == 1 &&
	              EVP_DigestUpdate(digester->sha384, bytes, count) == 1);
	digester->bytes += count;
}

void cms_digester_end(struct cms_digester *digester, struct cms_digests *ret_digests)
{
	ret_digests->bytes = digester->bytes;
	assert_always(EVP_DigestFinal_ex(digester->sha256, ret_digests->sha256, NULL) == 1 &&
	              EVP_DigestFinal_ex(digester->sha384, ret_digests->sha384, NULL) == 1);
}

/* --- what is signed ------------------------------------------------------ */

static void add_attribute(
        struct buf *out, enum oid oid, uint8_t tag, const void *value, size_t count)
{
	size_t attribute = der_open(out, DER_SEQUENCE), values;

	der_add_oid(out, oid);
	values = der_open(out, DER_SET);
	der_add(out, tag, value, count);
	der_close(out, values);
	der_close(out, attribute);
}

/* UTCTime to 2049 and GeneralizedTime from then on, as der_add_time() knows. */
static void add_time(struct buf *out, int64_t seconds)
{
	size_t attribute = der_open(out, DER_SEQUENCE), values;

	der_add_oid(out, OID_SIGNING_TIME);
	values = der_open(out, DER_SET);
	der_add_time(out, seconds);
	der_close(out, values);
	der_close(out, attribute);
}

static bool is_384(const struct cms_seal *seal)
{
	return token_key_type(seal->key) == TOKEN_KEY_EC_P384;
}

/* DER orders the elements of a SET OF by their bytes: equal lengths first byte by byte, which for
 * ours comes to the order of their lengths. They are put down one by one and then sorted. */
static void add_attributes(struct buf *out, const struct cms_seal *seal)
{
	struct buf parts[4] = { BUF(128), BUF(128), BUF(128), BUF(FILE_LABEL_BYTES_MAX + 128) };
	size_t count, order[4] = { 0, 1, 2, 3 };
	const uint8_t *data = oid_bytes(OID_PKCS7_DATA, &count);

	add_attribute(&parts[0], OID_CONTENT_TYPE, DER_OID, data, count);
	add_time(&parts[1], seal->sealed_usec / USEC_PER_SEC);
	add_attribute(&parts[2], OID_MESSAGE_DIGEST, DER_OCTET_STRING,
	        is_384(seal) ? seal->digests.sha384 : seal->digests.sha256,
	        is_384(seal) ? CMS_SHA384_BYTES : CMS_SHA256_BYTES);
	add_attribute(&parts[3], OID_FILE_LABEL, DER_UTF8_STRING, seal->label, strlen(seal->label));
	for (size_t i = 1; i < ARRAY_COUNT(order); i++) {
		for (size_t j = i; j > 0; j--) {
			struct buf *left = &parts[order[j - 1]], *right = &parts[order[j]];
			size_t least = left->count < right->count ? left->count : right->count;
			int order_is = memcmp(left->bytes, right->bytes, least);

			if (order_is > 0 || (order_is == 0 && left->count > right->count)) {
				size_t swapped = order[j];

				order[j] = order[j - 1];
				order[j - 1] = swapped;
			}
		}
	}
	for (size_t i = 0; i < ARRAY_COUNT(order); i++) {
		buf_add(out, parts[order[i]].bytes, parts[order[i]].count);
	}
	for (size_t i = 0; i < ARRAY_COUNT(parts); i++) {
		buf_clear(&parts[i]);
	}
}

static void add_digest_algorithm(struct buf *out, const struct cms_seal *seal)
{
	size_t mark = der_open(out, DER_SEQUENCE);

	der_add_oid(out, is_384(seal) ? OID_SHA384 : OID_SHA256);
	der_close(out, mark);
}

/* Certificates and the one SignerInfo: what stands behind the content. */
static int add_signers(struct buf *out, const struct cms_seal *seal, struct err *err)
{
	AUTO_BUF struct buf attributes = BUF(FILE_PART_BYTES_MAX);
	AUTO_BUF struct buf set = BUF(FILE_PART_BYTES_MAX);
	AUTO_BUF struct buf signature = BUF(1024);
	size_t mark, signer, count;
	const uint8_t *der;
	int r;

	add_attributes(&attributes, seal);
	der_add(&set, DER_SET, attributes.bytes, attributes.count);
	r = token_sign(seal->key, set.bytes, set.count, &signature, err);
	if (r != 0) {
		return r > 0 ? CMS_TOKEN + r : r;
	}
	mark = der_open(out, DER_CONTEXT_MADE(0));
	der = cert_der(seal->certificate, &count);
	buf_add(out, der, count);
	if (seal->issuer) {
		der = cert_der(seal->issuer, &count);
		buf_add(out, der, count);
	}
	der_close(out, mark);
	mark = der_open(out, DER_SET);
	signer = der_open(out, DER_SEQUENCE);
	der_add_u64(out, 1);
	cms_add_issuer_serial(out, seal->certificate);
	add_digest_algorithm(out, seal);
	der_add(out, DER_CONTEXT_MADE(0), attributes.bytes, attributes.count);
	signing_add_algorithm(out, token_key_type(seal->key));
	der_add(out, DER_OCTET_STRING, signature.bytes, signature.count);
	der_close(out, signer);
	der_close(out, mark);
	return out->overflowed ? err_set(err, -EFBIG, "certificates and signature: too long") : 0;
}

/* --- for whom ------------------------------------------------------------ */

static int agree(const struct cert *recipient, const struct cms_point *point, struct buf *ret_point,
        uint8_t out[AGREED_BYTES_MAX], size_t *ret_count, struct err *err)
{
	AUTO(key) struct key *theirs = NULL;
	size_t count, room = AGREED_BYTES_MAX;
	const uint8_t *spki = cert_spki(recipient, &count);
	EVP_PKEY *own = NULL;
	EVP_PKEY_CTX *context = NULL;
	uint8_t *bytes = NULL;
	bool done;
	int r = key_parse(spki, count, &theirs, err);

	if (r != 0) {
		return err_wrap(err, CMS_WEAK, "the key of %s", cert_subject(recipient));
	}
	own = EVP_EC_gen(point->curve == OID_CURVE_P256 ? "P-256" : "P-384");
	context = own ? EVP_PKEY_CTX_new(own, NULL) : NULL;
	done = context && EVP_PKEY_derive_init(context) == 1 &&
	       EVP_PKEY_derive_set_peer(context, key_pkey(theirs)) == 1 &&
	       EVP_PKEY_derive(context, out, &room) == 1 &&
	       (count = EVP_PKEY_get1_encoded_public_key(own, &bytes)) > 0;
	if (done) {
		buf_add(ret_point, bytes, count);
		*ret_count = room;
	}
	OPENSSL_free(bytes);
	EVP_PKEY_CTX_free(context);
	EVP_PKEY_free(own);
	ERR_clear_error();
	return done ? 0
	            : err_set(err, -EIO, "agreeing on a key with %s failed",
	                      cert_subject(recipient));
}

static void add_wrap_algorithm(struct buf *out)
{
	size_t mark = der_open(out, DER_SEQUENCE);

	der_add_oid(out, OID_AES256_WRAP);
	der_close(out, mark);
}

static void add_agreed(struct buf *out, const struct cert *recipient, const struct buf *point,
        const struct cms_agreement *agreement, const uint8_t *wrapped, size_t wrapped_bytes)
{
	size_t info = der_open(out, DER_CONTEXT_MADE(1)), mark, inner, one;

	der_add_u64(out, 3);
	mark = der_open(out, DER_CONTEXT_MADE(0));
	inner = der_open(out, DER_CONTEXT_MADE(1));
	one = der_open(out, DER_SEQUENCE);
	der_add_oid(out, OID_EC_PUBLIC_KEY);
	der_close(out, one);
	der_add_bits(out, point->bytes, point->count);
	der_close(out, inner);
	der_close(out, mark);
	mark = der_open(out, DER_SEQUENCE);
	der_add_oid(out, agreement->sha384 ? OID_ECDH_SHA384_KDF : OID_ECDH_SHA256_KDF);
	add_wrap_algorithm(out);
	der_close(out, mark);
	mark = der_open(out, DER_SEQUENCE);
	one = der_open(out, DER_SEQUENCE);
	cms_add_issuer_serial(out, recipient);
	der_add(out, DER_OCTET_STRING, wrapped, wrapped_bytes);
	der_close(out, one);
	der_close(out, mark);
	der_close(out, info);
}

static int add_recipient(
        struct buf *out, const struct cert *recipient, const uint8_t *key, struct err *err)
{
	uint8_t agreed[AGREED_BYTES_MAX], wrapping[CMS_KEY_BYTES_MAX];
	uint8_t wrapped[CMS_KEY_BYTES_MAX + WRAP_MORE_BYTES];
	AUTO_BUF struct buf point = BUF(256), wrap = BUF(32);
	struct cms_agreement agreement = { .key_bytes = CMS_KEY_BYTES_MAX };
	size_t count;
	const uint8_t *spki = cert_spki(recipient, &count);
	struct cms_point theirs;
	int r;

	if (!cms_point_of(spki, count, &theirs)) {
		return err_set(err, CMS_WEAK, "%s has no elliptic-curve key to seal for",
		        cert_subject(recipient));
	}
	agreement.sha384 = theirs.curve == OID_CURVE_P384;
	add_wrap_algorithm(&wrap);
	agreement.wrap = wrap.bytes;
	agreement.wrap_bytes = wrap.count;
	r = agree(recipient, &theirs, &point, agreed, &count, err);
	if (r == 0) {
		cms_key_derive(&agreement, agreed, count, wrapping);
		cms_key_wrap(wrapping, key, wrapped);
		add_agreed(out, recipient, &point, &agreement, wrapped, sizeof(wrapped));
	}
	mem_wipe(agreed, sizeof(agreed));
	mem_wipe(wrapping, sizeof(wrapping));
	return r;
}

/* Again a SET OF in its order. */
static int add_recipients(
        struct buf *out, const struct cms_seal *seal, const uint8_t *key, struct err *err)
{
	struct buf infos[FILE_RECIPIENTS_MAX] = { 0 };
	size_t mark = der_open(out, DER_SET);
	int r = 0;

	for (size_t i = 0; i < seal->recipient_count && r == 0; i++) {
		infos[i] = BUF(CERT_DER_BYTES_MAX);
		r = add_recipient(&infos[i], seal->recipients[i], key, err);
		for (size_t j = i; j > 0 && r == 0; j--) {
			size_t least = infos[j].count < infos[j - 1].count ? infos[j].count
			                                                   : infos[j - 1].count;
			struct buf swapped = infos[j];

			if (memcmp(infos[j - 1].bytes, infos[j].bytes, least) <= 0) {
				break;
			}
			infos[j] = infos[j - 1];
			infos[j - 1] = swapped;
		}
	}
	for (size_t i = 0; i < seal->recipient_count; i++) {
		buf_add(out, infos[i].bytes, infos[i].count);
		buf_clear(&infos[i]);
	}
	der_close(out, mark);
	return r == 0 && out->overflowed ? err_set(err, -EFBIG, "recipients: too long") : r;
}

/* --- the whole ----------------------------------------------------------- */

static size_t length_bytes(uint64_t length)
{
	size_t count = 1;

	for (uint64_t rest = length; length > 0x7f && rest > 0; rest >>= 8) {
		count++;
	}
	return count;
}

/* The bytes of a value with this content, tag and length included. */
static uint64_t whole(uint64_t length)
{
	return 1 + length_bytes(length) + length;
}

static void add_head(struct buf *out, uint8_t tag, uint64_t length)
{
	size_t count = length_bytes(length);

	buf_add_u8(out, tag);
	if (count == 1) {
		buf_add_u8(out, (uint8_t)length);
		return;
	}
	buf_add_u8(out, (uint8_t)(0x80 | (count - 1)));
	for (size_t i = count - 1; i > 0; i--) {
		buf_add_u8(out, (uint8_t)(length >> (8 * (i - 1))));
	}
}

/* Everything of the inner ContentInfo in front of the file's bytes; returns the length of all of
 * it, file and `tail_bytes` behind it included. */
static uint64_t add_inner_head(struct buf *out, const struct cms_seal *seal, size_t tail_bytes)
{
	AUTO_BUF struct buf algorithms = BUF(64), data = BUF(32), type = BUF(32);
	uint64_t file = seal->digests.bytes, content, encapsulated, signed_data;
	size_t mark = der_open(&algorithms, DER_SET);

	add_digest_algorithm(&algorithms, seal);
	der_close(&algorithms, mark);
	der_add_oid(&data, OID_PKCS7_DATA);
	der_add_oid(&type, OID_PKCS7_SIGNED);
	content = whole(file);
	encapsulated = data.count + whole(content);
	signed_data = 3 + algorithms.count + whole(encapsulated) + tail_bytes;
	add_head(out, DER_SEQUENCE, type.count + whole(whole(signed_data)));
	buf_add(out, type.bytes, type.count);
	add_head(out, DER_CONTEXT_MADE(0), whole(signed_data));
	add_head(out, DER_SEQUENCE, signed_data);
	der_add_u64(out, 1);
	buf_add(out, algorithms.bytes, algorithms.count);
	add_head(out, DER_SEQUENCE, encapsulated);
	buf_add(out, data.bytes, data.count);
	add_head(out, DER_CONTEXT_MADE(0), content);
	add_head(out, DER_OCTET_STRING, file);
	return whole(type.count + whole(whole(signed_data)));
}

/* Everything in front of the encrypted bytes. */
static void add_outer_head(
        struct buf *out, const struct buf *recipients, const uint8_t *nonce, uint64_t encrypted)
{
	AUTO_BUF struct buf data = BUF(128), type = BUF(32);
	size_t algorithm, parameters;
	uint64_t info, enveloped;

	der_add_oid(&data, OID_PKCS7_DATA);
	algorithm = der_open(&data, DER_SEQUENCE);
	der_add_oid(&data, OID_AES256_GCM);
	parameters = der_open(&data, DER_SEQUENCE);
	der_add(&data, DER_OCTET_STRING, nonce, GCM_NONCE_BYTES);
	der_add_u64(&data, GCM_TAG_BYTES);
	der_close(&data, parameters);
	der_close(&data, algorithm);
	der_add_oid(&type, OID_CMS_AUTH_ENVELOPED);
	info = data.count + whole(encrypted);
	enveloped = 3 + recipients->count + whole(info) + whole(GCM_TAG_BYTES);
	add_head(out, DER_SEQUENCE, type.count + whole(whole(enveloped)));
	buf_add(out, type.bytes, type.count);
	add_head(out, DER_CONTEXT_MADE(0), whole(enveloped));
	add_head(out, DER_SEQUENCE, enveloped);
	der_add_u64(out, 0);
	buf_add(out, recipients->bytes, recipients->count);
	add_head(out, DER_SEQUENCE, info);
	buf_add(out, data.bytes, data.count);
	add_head(out, DER_CONTEXT(0), encrypted);
}

struct output {
	const struct cms_stream *stream;
	EVP_CIPHER_CTX *cipher;
	uint8_t *room;
};

static int put(struct output *output, const uint8_t *bytes, size_t count, struct err *err)
{
	int r = count > 0 ? output->stream->write(output->stream->context, bytes, count, err) : 0;

	return r > 0 ? CMS_READ : r;
}

static int put_encrypted(struct output *output, const uint8_t *bytes, size_t count, struct err *err)
{
	int r = 0;

	while (count > 0 && r == 0) {
		size_t part = count < FILE_CHUNK_BYTES ? count : FILE_CHUNK_BYTES;
		int written = 0;

		assert_always(EVP_EncryptUpdate(output->cipher, output->room, &written, bytes,
		                      (int)part) == 1);
		r = put(output, output->room, (size_t)written, err);
		bytes += part;
		count -= part;
	}
	return r;
}

/* The file once more, and it has to be the same. */
static int put_file(struct output *output, const struct cms_digests *digests, struct err *err)
{
	AUTO(cms_digester) struct cms_digester *digester = cms_digester_new();
	AUTO_STRING char *bytes = mem_new(1, FILE_CHUNK_BYTES);
	struct cms_digests seen;
	size_t count = 1;
	int r = 0;

	while (r == 0 && count > 0 && digester->bytes <= digests->bytes) {
		r = output->stream->read(
		        output->stream->context, (uint8_t *)bytes, FILE_CHUNK_BYTES, &count, err);
		r = r > 0 ? CMS_READ : r;
		if (r == 0 && count > 0) {
			cms_digester_add(digester, (const uint8_t *)bytes, count);
			if (digester->bytes <= digests->bytes) {
				r = put_encrypted(output, (const uint8_t *)bytes, count, err);
			}
		}
	}
	if (r != 0) {
		return r;
	}
	cms_digester_end(digester, &seen);
	return seen.bytes == digests->bytes &&
	                       memcmp(seen.sha256, digests->sha256, CMS_SHA256_BYTES) == 0
	               ? 0
	               : err_set(err, CMS_ALTERED, "the file changed while it was being sealed");
}

static int put_all(struct output *output, const struct cms_seal *seal, const struct buf *recipients,
        const struct buf *signers, const uint8_t key[CMS_KEY_BYTES_MAX], struct err *err)
{
	AUTO_BUF struct buf inner = BUF(512), outer = BUF(2 * FILE_PART_BYTES_MAX);
	AUTO_BUF struct buf end = BUF(64);
	uint8_t nonce[GCM_NONCE_BYTES], tag[GCM_TAG_BYTES];
	uint64_t encrypted = add_inner_head(&inner, seal, signers->count);
	int written, r;

	random_fill(nonce, sizeof(nonce));
	add_outer_head(&outer, recipients, nonce, encrypted);
	assert_always(!inner.overflowed && !outer.overflowed);
	assert_always(EVP_EncryptInit_ex(output->cipher, EVP_aes_256_gcm(), NULL, key, nonce) == 1);
	r = put(output, outer.bytes, outer.count, err);
	if (r == 0) {
		r = put_encrypted(output, inner.bytes, inner.count, err);
	}
	if (r == 0) {
		r = put_file(output, &seal->digests, err);
	}
	if (r == 0) {
		r = put_encrypted(output, signers->bytes, signers->count, err);
	}
	if (r != 0) {
		return r;
	}
	assert_always(
	        EVP_EncryptFinal_ex(output->cipher, output->room, &written) == 1 &&
	        EVP_CIPHER_CTX_ctrl(output->cipher, EVP_CTRL_AEAD_GET_TAG, sizeof(tag), tag) == 1);
	der_add(&end, DER_OCTET_STRING, tag, sizeof(tag));
	return put(output, end.bytes, end.count, err);
}

static int check(const struct cms_seal *seal, struct err *err)
{
	size_t count, own_count;
	const uint8_t *spki = cert_spki(seal->certificate, &count);
	const uint8_t *own = token_key_spki(seal->key, &own_count);

	assert_always(seal->recipient_count > 0 && seal->recipient_count <= FILE_RECIPIENTS_MAX &&
	              strlen(seal->label) <= FILE_LABEL_BYTES_MAX);
	if (token_key_type(seal->key) == TOKEN_KEY_ED25519) {
		return err_set(err, CMS_WEAK, "files are signed with ECDSA or RSA keys");
	}
	return count == own_count && memcmp(spki, own, count) == 0
	               ? 0
	               : err_set(err, CMS_FORGED, "the key \"%s\" is not the one that %s certifies",
	                         token_key_label(seal->key), cert_subject(seal->certificate));
}

int cms_seal(const struct cms_seal *seal, const struct cms_stream *stream, struct err *err)
{
	AUTO_BUF struct buf recipients = BUF(FILE_PART_BYTES_MAX);
	AUTO_BUF struct buf signers = BUF(FILE_PART_BYTES_MAX);
	uint8_t key[CMS_KEY_BYTES_MAX];
	struct output output = { .stream = stream };
	int r = check(seal, err);

	if (r != 0) {
		return r;
	}
	random_fill(key, sizeof(key));
	r = add_signers(&signers, seal, err);
	if (r == 0) {
		r = add_recipients(&recipients, seal, key, err);
	}
	if (r == 0) {
		output.cipher = EVP_CIPHER_CTX_new();
		output.room = mem_new(1, FILE_CHUNK_BYTES + 16);
		assert_always(output.cipher);
		r = put_all(&output, seal, &recipients, &signers, key, err);
		EVP_CIPHER_CTX_free(output.cipher);
		free(output.room);
	}
	mem_wipe(key, sizeof(key));
	return r;
}
