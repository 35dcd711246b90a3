/* Who signed a file, and what (RFC 5652 5.3). */
#include "pki/cms_private.h"

#include <openssl/sha.h>
#include <string.h>

#include "base/clock.h"
#include "pki/cert_private.h"

#define SIGNER_VERSION 1 /* named by issuer and serial */

struct digest_kind {
	enum oid oid, ecdsa, rsa;
	size_t bytes;
};

/* SHA-512 is read from a signature, but a file is hashed with it by nobody we know: a second hash
 * of every file for its sake is not worth it. */
static const struct digest_kind digest_kinds[] = {
	{ OID_SHA256, OID_ECDSA_SHA256, OID_RSA_SHA256, CMS_SHA256_BYTES },
	{ OID_SHA384, OID_ECDSA_SHA384, OID_RSA_SHA384, CMS_SHA384_BYTES },
};

static const struct digest_kind *digest_kind_of(enum oid oid)
{
	for (size_t i = 0; i < ARRAY_COUNT(digest_kinds); i++) {
		if (digest_kinds[i].oid == oid) {
			return &digest_kinds[i];
		}
	}
	return NULL;
}

void cms_opened_clear(struct cms_opened *opened)
{
	cert_free(opened->signer);
	for (size_t i = 0; i < opened->extra_count; i++) {
		cert_free(opened->extra[i]);
	}
	buf_clear(&opened->label);
	*opened = (struct cms_opened){ .label = BUF(FILE_LABEL_BYTES_MAX), .signed_usec = -1 };
}

/* An AlgorithmIdentifier without parameters, or with NULL. */
static enum oid take_algorithm(struct der *in)
{
	struct der algorithm = der_take(in, DER_SEQUENCE), skipped;
	enum oid oid = der_take_oid(&algorithm);

	if (der_try(&algorithm, DER_NULL, &skipped) && skipped.left > 0) {
		in->broken = true;
	}
	in->broken |= !der_end(&algorithm);
	return oid;
}

struct attributes {
	struct der content_type, digest, label, time;
	unsigned count[4];
};

/* The attributes that we know, each with one value. Others are signed as well and mean nothing
 * here. */
static bool read_attributes(struct der in, struct attributes *ret)
{
	static const enum oid oids[] = { OID_CONTENT_TYPE, OID_MESSAGE_DIGEST, OID_FILE_LABEL,
		OID_SIGNING_TIME };
	struct der *const places[] = { &ret->content_type, &ret->digest, &ret->label, &ret->time };

	*ret = (struct attributes){ 0 };
	while (!der_end(&in) && !in.broken) {
		struct der one = der_take(&in, DER_SEQUENCE);
		enum oid oid = der_take_oid(&one);
		struct der values = der_take(&one, DER_SET);
		struct der value = der_take_any(&values);

		if (!der_end(&one)) {
			return false;
		}
		for (size_t i = 0; i < ARRAY_COUNT(oids); i++) {
			if (oid == oids[i]) {
				if (!der_end(&values) || ret->count[i]++ > 0) {
					return false;
				}
				*places[i] = value;
			}
		}
	}
	return !in.broken && ret->count[0] == 1 && ret->count[1] == 1;
}

/* What is signed is the file, of this digest, and the label. */
static int check_attributes(struct der in, const struct digest_kind *kind,
        const struct cms_digests *digests, struct cms_opened *opened, struct err *err)
{
	const uint8_t *wanted = kind->oid == OID_SHA256 ? digests->sha256 : digests->sha384;
	struct attributes attributes;
	struct der digest, label;

	if (!read_attributes(in, &attributes) ||
	        der_take_oid(&attributes.content_type) != OID_PKCS7_DATA) {
		return err_set(err, CMS_FORGED,
		        "the signature has not the content type and the digest of a file");
	}
	digest = der_take(&attributes.digest, DER_OCTET_STRING);
	if (digest.left != kind->bytes || memcmp(digest.at, wanted, kind->bytes) != 0) {
		return err_set(err, CMS_FORGED, "the file is not the one that was signed");
	}
	if (attributes.count[2] > 0) {
		label = der_take(&attributes.label, DER_UTF8_STRING);
		buf_add(&opened->label, label.at, label.left);
		if (label.broken || opened->label.overflowed) {
			return err_set(err, CMS_MALFORMED,
			        "the label of the file: longer than "
			        "%d bytes, or no text",
			        FILE_LABEL_BYTES_MAX);
		}
	}
	if (attributes.count[3] > 0) {
		int64_t seconds = der_take_time(&attributes.time);

		opened->signed_usec = attributes.time.broken ? -1 : seconds * USEC_PER_SEC;
	}
	return 0;
}

/* The AlgorithmIdentifier as X.509 spells it: CMS may name a bare RSA key (RFC 3370 3.2). */
static int find_algorithm(
        enum oid named, const struct digest_kind *kind, struct buf *out, struct err *err)
{
	enum oid oid = named == OID_RSA ? kind->rsa : named;
	size_t mark;

	if (oid != kind->ecdsa && oid != kind->rsa) {
		return err_set(err, CMS_WEAK,
		        "the signature is neither ECDSA nor RSA with SHA-256 or SHA-384");
	}
	mark = der_open(out, DER_SEQUENCE);
	der_add_oid(out, oid);
	if (oid == kind->rsa) {
		der_add(out, DER_NULL, NULL, 0);
	}
	der_close(out, mark);
	return 0;
}

static int check_signature(const struct cert *signer, const struct buf *algorithm, struct der set,
        struct der signature, struct err *err)
{
	AUTO_BUF struct buf bytes = BUF(FILE_PART_BYTES_MAX);
	AUTO(key) struct key *key = NULL;
	size_t count;
	const uint8_t *spki = cert_spki(signer, &count);

	/* What is signed has the tag of a SET, not the one it stands under (RFC 5652 5.4). */
	der_add(&bytes, DER_SET, set.at, set.left);
	if (bytes.overflowed || !der_canonical(bytes.bytes, bytes.count)) {
		return err_set(err, CMS_MALFORMED, "the signed attributes are not canonical DER");
	}
	if (key_parse(spki, count, &key, err) != 0) {
		return err_wrap(err, CMS_WEAK, "the signer's key");
	}
	if (key_verify_x509(key, algorithm->bytes, algorithm->count, bytes.bytes, bytes.count,
	            signature.at, signature.left) != 0) {
		return err_set(
		        err, CMS_FORGED, "the signature of %s does not fit", cert_subject(signer));
	}
	return 0;
}

/* The certificates that came along; the one named by the signature is the signer's. */
static int take_certificates(
        struct der in, struct der named, struct cms_opened *opened, struct err *err)
{
	while (!der_end(&in) && !in.broken) {
		AUTO(cert) struct cert *cert = NULL;
		struct der one = der_take_any(&in);

		if (in.broken || cert_parse(one.at, one.left, &cert, err) != 0) {
			return err_set(err, CMS_MALFORMED, "a certificate that came along");
		}
		if (!opened->signer && cms_is_issuer_serial(named, cert)) {
			opened->signer = TAKE(cert);
		} else if (opened->extra_count < CMS_EXTRA_MAX) {
			opened->extra[opened->extra_count++] = TAKE(cert);
		} else {
			return err_set(err, CMS_MALFORMED, "more than %d certificates came along",
			        CMS_EXTRA_MAX + 1);
		}
	}
	return opened->signer
	               ? 0
	               : err_set(err, CMS_FORGED, "the signer's certificate did not come along");
}

static int check_signer(struct der in, struct der certificates, const struct cms_digests *digests,
        struct cms_opened *opened, struct err *err)
{
	uint64_t version = der_take_u64(&in);
	struct der named = der_take(&in, DER_SEQUENCE), set, signature, unsigned_set;
	const struct digest_kind *kind = digest_kind_of(take_algorithm(&in));
	AUTO_BUF struct buf algorithm = BUF(64);
	enum oid oid;
	int r;

	if (version != SIGNER_VERSION || in.broken) {
		return err_set(err, CMS_MALFORMED,
		        "a signature that does not name its certificate by issuer and serial");
	}
	if (!kind) {
		return err_set(
		        err, CMS_WEAK, "the file was signed with a hash that is not in the list");
	}
	if (!der_try(&in, DER_CONTEXT_MADE(0), &set)) {
		return err_set(err, CMS_FORGED, "the signature has no signed attributes");
	}
	oid = take_algorithm(&in);
	signature = der_take(&in, DER_OCTET_STRING);
	der_try(&in, DER_CONTEXT_MADE(1), &unsigned_set);
	if (!der_end(&in)) {
		return err_set(err, CMS_MALFORMED, "the signature of the file");
	}
	r = take_certificates(certificates, named, opened, err);
	if (r == 0) {
		r = find_algorithm(oid, kind, &algorithm, err);
	}
	if (r == 0) {
		r = check_signature(opened->signer, &algorithm, set, signature, err);
	}
	return r != 0 ? r : check_attributes(set, kind, digests, opened, err);
}

int cms_signers_check(const uint8_t *bytes, size_t count, const struct cms_digests *digests,
        struct cms_opened *opened, struct err *err)
{
	struct der in = DER(bytes, count), certificates = DER(NULL, 0), lists, signers, one;

	/* Canonical as a whole: it is checked as the content of a sequence. */
	AUTO_BUF struct buf whole = BUF(FILE_PART_BYTES_MAX + 16);

	der_add(&whole, DER_SEQUENCE, bytes, count);
	if (whole.overflowed || !der_canonical(whole.bytes, whole.count)) {
		return err_set(
		        err, CMS_MALFORMED, "the signature of the file is not canonical DER");
	}
	der_try(&in, DER_CONTEXT_MADE(0), &certificates);
	der_try(&in, DER_CONTEXT_MADE(1), &lists); /* revocation lists come from elsewhere */
	signers = der_take(&in, DER_SET);
	if (!der_end(&in)) {
		return err_set(err, CMS_MALFORMED, "the list of signatures");
	}
	if (der_end(&signers)) {
		return err_set(err, CMS_UNSIGNED, "nobody signed the file");
	}
	one = der_take(&signers, DER_SEQUENCE);
	if (!der_end(&signers)) {
		return err_set(err, CMS_MALFORMED, "the file has more than one signature");
	}
	opened->bytes = digests->bytes;
	memcpy(opened->sha256, digests->sha256, CMS_SHA256_BYTES);
	return check_signer(one, certificates, digests, opened, err);
}
