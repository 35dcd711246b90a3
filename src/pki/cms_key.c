/* How the key of a sealed file reaches a recipient: agreeing, deriving, wrapping (RFC 5753). */
#include "pki/cms_private.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <string.h>

#include "pki/cert_private.h"
#include "pki/tbs.h"

#define KARI_VERSION 3

const char *cms_outcome_name(int outcome)
{
	static const char *const names[] = {
		[0] = "good",
		[CMS_MALFORMED] = "malformed",
		[CMS_WEAK] = "weak",
		[CMS_OTHER_RECIPIENT] = "other-recipient",
		[CMS_ALTERED] = "altered",
		[CMS_UNSIGNED] = "unsigned",
		[CMS_FORGED] = "forged",
		[CMS_READ] = "unread",
	};

	return outcome >= 0 && (size_t)outcome < ARRAY_COUNT(names) ? names[outcome]
	       : outcome >= CMS_TOKEN                               ? "token"
	                                                            : "fault";
}

bool cms_point_of(const uint8_t *spki, size_t count, struct cms_point *ret_point)
{
	struct der in = DER(spki, count), outer = der_take(&in, DER_SEQUENCE);
	struct der algorithm = der_take(&outer, DER_SEQUENCE), point;

	if (der_take_oid(&algorithm) != OID_EC_PUBLIC_KEY) {
		return false;
	}
	ret_point->curve = der_take_oid(&algorithm);
	point = der_take_bits(&outer);
	ret_point->bytes = point.at;
	ret_point->count = point.left;
	return der_end(&algorithm) && der_end(&outer) && der_end(&in) &&
	       (ret_point->curve == OID_CURVE_P256 || ret_point->curve == OID_CURVE_P384);
}

void cms_point_wrap(struct buf *out, enum oid curve, const uint8_t *point, size_t count)
{
	size_t outer = der_open(out, DER_SEQUENCE), algorithm = der_open(out, DER_SEQUENCE);

	der_add_oid(out, OID_EC_PUBLIC_KEY);
	der_add_oid(out, curve);
	der_close(out, algorithm);
	der_add_bits(out, point, count);
	der_close(out, outer);
}

void cms_add_issuer_serial(struct buf *out, const struct cert *cert)
{
	size_t mark = der_open(out, DER_SEQUENCE), count;
	const uint8_t *issuer = cert_issuer_der(cert, &count);
	struct der serial = cert_tbs(cert)->serial;

	buf_add(out, issuer, count);
	der_add_unsigned(out, serial.at, serial.left);
	der_close(out, mark);
}

bool cms_is_issuer_serial(struct der in, const struct cert *cert)
{
	size_t count;
	const uint8_t *issuer = cert_issuer_der(cert, &count);
	struct der name, serial;

	der_take_whole(&in, DER_SEQUENCE, &name);
	serial = der_take_unsigned(&in);
	return der_end(&in) && der_equal(name, DER(issuer, count)) &&
	       der_equal(serial, cert_tbs(cert)->serial);
}

/* ECC-CMS-SharedInfo (RFC 5753 7.2). */
static void add_shared_info(struct buf *out, const struct cms_agreement *agreement)
{
	size_t outer = der_open(out, DER_SEQUENCE), mark;
	uint8_t bits[4] = { 0, 0, (uint8_t)(agreement->key_bytes * 8 >> 8),
		(uint8_t)(agreement->key_bytes * 8) };

	buf_add(out, agreement->wrap, agreement->wrap_bytes);
	if (agreement->ukm) {
		mark = der_open(out, DER_CONTEXT_MADE(0));
		der_add(out, DER_OCTET_STRING, agreement->ukm, agreement->ukm_bytes);
		der_close(out, mark);
	}
	mark = der_open(out, DER_CONTEXT_MADE(2));
	der_add(out, DER_OCTET_STRING, bits, sizeof(bits));
	der_close(out, mark);
	der_close(out, outer);
}

/* One round of the function is enough: its hash is never shorter than the key. */
void cms_key_derive(const struct cms_agreement *agreement, const uint8_t *agreed,
        size_t agreed_bytes, uint8_t out[CMS_KEY_BYTES_MAX])
{
	static const uint8_t first[] = { 0, 0, 0, 1 };
	AUTO_BUF struct buf input = BUF(FILE_PART_BYTES_MAX);
	uint8_t digest[SHA384_DIGEST_LENGTH];

	assert_always(agreement->key_bytes <= CMS_KEY_BYTES_MAX);
	buf_add(&input, agreed, agreed_bytes);
	buf_add(&input, first, sizeof(first));
	add_shared_info(&input, agreement);
	assert_always(!input.overflowed);
	if (agreement->sha384) {
		SHA384(input.bytes, input.count, digest);
	} else {
		SHA256(input.bytes, input.count, digest);
	}
	memcpy(out, digest, agreement->key_bytes);
	mem_wipe(input.bytes, input.count);
	mem_wipe(digest, sizeof(digest));
}

static int wrap_run(const uint8_t *wrapping, size_t wrapping_bytes, const uint8_t *in, size_t count,
        uint8_t *out, bool encrypt)
{
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
	int written = 0;
	bool done;

	assert_always(context);
	EVP_CIPHER_CTX_set_flags(context, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
	done = EVP_CipherInit_ex(context,
	               wrapping_bytes == 16 ? EVP_aes_128_wrap() : EVP_aes_256_wrap(), NULL,
	               wrapping, NULL, encrypt) == 1 &&
	       EVP_CipherUpdate(context, out, &written, in, (int)count) == 1;
	EVP_CIPHER_CTX_free(context);
	ERR_clear_error();
	return done && (size_t)written ==
	                               (encrypt ? count + WRAP_MORE_BYTES : count - WRAP_MORE_BYTES)
	               ? 0
	               : 1;
}

void cms_key_wrap(const uint8_t *wrapping, const uint8_t key[CMS_KEY_BYTES_MAX], uint8_t *out)
{
	assert_always(wrap_run(wrapping, 32, key, CMS_KEY_BYTES_MAX, out, true) == 0);
}

int cms_key_unwrap(const uint8_t *wrapping, size_t wrapping_bytes, const uint8_t *wrapped,
        size_t count, uint8_t out[CMS_KEY_BYTES_MAX])
{
	/* The library may write a whole block more than the key. */
	uint8_t room[CMS_KEY_BYTES_MAX + 16];
	int r;

	if (count != 16 + WRAP_MORE_BYTES && count != 32 + WRAP_MORE_BYTES) {
		return 1;
	}
	r = wrap_run(wrapping, wrapping_bytes, wrapped, count, room, false);
	memcpy(out, room, CMS_KEY_BYTES_MAX);
	mem_wipe(room, sizeof(room));
	return r;
}

/* OriginatorPublicKey: parameters absent, NULL, or the curve of the recipient. Then the point must
 * be on that curve, else it could be chosen to give the private key away bit by bit. */
static int read_originator(
        struct der in, enum oid curve, struct cms_agreement *agreement, struct err *err)
{
	struct der choice = der_take(&in, DER_CONTEXT_MADE(1));
	struct der algorithm = der_take(&choice, DER_SEQUENCE), point, skipped;
	AUTO_BUF struct buf spki = BUF(KEY_SPKI_BYTES_MAX);
	AUTO(key) struct key *key = NULL;
	enum oid oid = der_take_oid(&algorithm);

	if (der_peek(&algorithm) == DER_OID) {
		if (der_take_oid(&algorithm) != curve) {
			return err_set(err, CMS_MALFORMED,
			        "the sender's key is of another curve than the recipient's");
		}
	} else if (der_try(&algorithm, DER_NULL, &skipped) && skipped.left > 0) {
		algorithm.broken = true;
	}
	point = der_take_bits(&choice);
	if (oid != OID_EC_PUBLIC_KEY || !der_end(&algorithm) || !der_end(&choice) ||
	        !der_end(&in)) {
		return err_set(err, CMS_MALFORMED,
		        "the sender's key is not given as an elliptic-curve point");
	}
	cms_point_wrap(&spki, curve, point.at, point.left);
	if (spki.overflowed || key_parse(spki.bytes, spki.count, &key, err) != 0) {
		return err_set(err, CMS_MALFORMED,
		        "the sender's point is not on the curve of the recipient's key");
	}
	agreement->point = point.at;
	agreement->point_bytes = point.left;
	return 0;
}

/* Which key derivation and which wrapping. */
static int read_algorithm(struct der in, struct cms_agreement *agreement, struct err *err)
{
	enum oid scheme = der_take_oid(&in), wrap;
	struct der whole, inner, skipped;

	if (scheme != OID_ECDH_SHA256_KDF && scheme != OID_ECDH_SHA384_KDF) {
		return err_set(
		        err, CMS_WEAK, "the key was not agreed on by ECDH with SHA-256 or SHA-384");
	}
	inner = der_take_whole(&in, DER_SEQUENCE, &whole);
	wrap = der_take_oid(&inner);
	if (der_try(&inner, DER_NULL, &skipped) && skipped.left > 0) {
		inner.broken = true;
	}
	if (!der_end(&in) || !der_end(&inner)) {
		return err_set(err, CMS_MALFORMED, "the algorithm that wraps the key");
	}
	if (wrap != OID_AES128_WRAP && wrap != OID_AES256_WRAP) {
		return err_set(err, CMS_WEAK, "the key is wrapped by another cipher than AES");
	}
	agreement->sha384 = scheme == OID_ECDH_SHA384_KDF;
	agreement->wrap = whole.at;
	agreement->wrap_bytes = whole.left;
	agreement->key_bytes = wrap == OID_AES128_WRAP ? 16 : 32;
	return 0;
}

static bool is_recipient(struct der *id, const struct cert *certificate)
{
	size_t count;
	const uint8_t *key_id = cert_key_id(certificate, &count);
	struct der content, whole;

	if (der_peek(id) == DER_SEQUENCE) {
		content = der_take(id, DER_SEQUENCE);
		return cms_is_issuer_serial(content, certificate);
	}
	/* RecipientKeyIdentifier: date and other attribute are of no use here. */
	content = der_take_whole(id, DER_CONTEXT_MADE(0), &whole);
	return count > 0 && der_equal(der_take(&content, DER_OCTET_STRING), DER(key_id, count));
}

/* The key that is wrapped for this certificate, among those that share one ephemeral key. */
static bool find_wrapped(
        struct der in, const struct cert *certificate, struct cms_agreement *agreement)
{
	bool found = false;

	while (!der_end(&in) && !in.broken) {
		struct der one = der_take(&in, DER_SEQUENCE);
		bool own = is_recipient(&one, certificate);
		struct der wrapped = der_take(&one, DER_OCTET_STRING);

		if (own && !found && der_end(&one)) {
			agreement->wrapped = wrapped.at;
			agreement->wrapped_bytes = wrapped.left;
			found = true;
		}
	}
	return found;
}

/* KeyAgreeRecipientInfo. `*ret_own` tells whether it is for the certificate. */
static int read_agree(struct der in, const struct cert *certificate, enum oid curve,
        struct cms_agreement *agreement, bool *ret_own, struct err *err)
{
	uint64_t version = der_take_u64(&in);
	struct der originator = der_take(&in, DER_CONTEXT_MADE(0));
	struct der ukm = DER(NULL, 0), wrapper, algorithm, keys;
	int r;

	*agreement = (struct cms_agreement){ 0 };
	if (der_try(&in, DER_CONTEXT_MADE(1), &wrapper)) {
		ukm = der_take(&wrapper, DER_OCTET_STRING);
		agreement->ukm = ukm.at;
		agreement->ukm_bytes = ukm.left;
		in.broken |= !der_end(&wrapper);
	}
	algorithm = der_take(&in, DER_SEQUENCE);
	keys = der_take(&in, DER_SEQUENCE);
	if (version != KARI_VERSION || !der_end(&in)) {
		return err_set(err, CMS_MALFORMED, "a recipient of the file");
	}
	*ret_own = find_wrapped(keys, certificate, agreement);
	if (!*ret_own) {
		return 0;
	}
	r = read_algorithm(algorithm, agreement, err);
	return r != 0 ? r : read_originator(originator, curve, agreement, err);
}

int cms_recipient_find(const uint8_t *bytes, size_t count, const struct cert *certificate,
        struct cms_agreement *ret_agreement, struct err *err)
{
	size_t spki_bytes, seen = 0;
	const uint8_t *spki = cert_spki(certificate, &spki_bytes);
	struct der in = DER(bytes, count), set;
	struct cms_point own;

	if (!cms_point_of(spki, spki_bytes, &own)) {
		return err_set(err, CMS_WEAK,
		        "%s has no elliptic-curve key: files cannot be "
		        "opened with it",
		        cert_subject(certificate));
	}
	if (!der_canonical(bytes, count)) {
		return err_set(err, CMS_MALFORMED, "the list of recipients is not canonical DER");
	}
	set = der_take(&in, DER_SET);
	while (!der_end(&set) && !set.broken) {
		bool is_own = false;
		struct der one;
		int r;

		if (++seen > FILE_RECIPIENTS_MAX) {
			return err_set(
			        err, CMS_MALFORMED, "more than %d recipients", FILE_RECIPIENTS_MAX);
		}
		/* Key transport, shared keys and passwords are not for us. */
		if (!der_try(&set, DER_CONTEXT_MADE(1), &one)) {
			der_take_any(&set);
			continue;
		}
		r = read_agree(one, certificate, own.curve, ret_agreement, &is_own, err);
		if (r != 0 || is_own) {
			return r;
		}
	}
	return err_set(err, CMS_OTHER_RECIPIENT, "the file is sealed for somebody else, not for %s",
	        cert_subject(certificate));
}
