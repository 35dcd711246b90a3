#include "pki/ocsp.h"

#include <errno.h>
#include <openssl/sha.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "pki/cert_private.h"
#include "pki/signing.h"
#include "pki/tbs.h"

#define NONCE_BYTES_MAX 128 /* RFC 9654 2.1 */

/* OCSPResponseStatus */
enum { SUCCESSFUL = 0, MALFORMED_REQUEST = 1, TRY_LATER = 3, UNAUTHORIZED = 6 };

/* An issuer by its hashes, as requests name it. */
struct issuer_hashes {
	uint8_t name_sha1[SHA_DIGEST_LENGTH], key_sha1[SHA_DIGEST_LENGTH];
	uint8_t name_sha256[SHA256_DIGEST_LENGTH], key_sha256[SHA256_DIGEST_LENGTH];
};

struct ocsp {
	struct cert *responder;
	struct token_key *key; /* borrowed */
	struct issuer_hashes issuer;
	uint8_t responder_key_sha1[SHA_DIGEST_LENGTH];
};

struct question {
	struct der cert_id; /* whole, to be echoed */
	bool is_ours;
	char serial[2 * CERT_SERIAL_BYTES_MAX + 1];
};

struct questions {
	struct question list[OCSP_QUESTIONS_MAX];
	size_t count;
	struct der nonce; /* the extension's value (an OCTET STRING, whole); left 0: none */
};

/* The key's bits without the wrapping: what OCSP hashes (RFC 6960 4.1.1). */
static struct der key_bits(const struct cert *cert)
{
	struct der in = cert_tbs(cert)->spki, outer = der_take(&in, DER_SEQUENCE);

	der_take(&outer, DER_SEQUENCE);
	return der_take_bits(&outer);
}

static void hash_issuer(const struct cert *issuer, struct issuer_hashes *ret)
{
	struct der name = cert_tbs(issuer)->subject.whole, bits = key_bits(issuer);

	SHA1(name.at, name.left, ret->name_sha1);
	SHA1(bits.at, bits.left, ret->key_sha1);
	SHA256(name.at, name.left, ret->name_sha256);
	SHA256(bits.at, bits.left, ret->key_sha256);
}

int ocsp_new(const struct cert *issuer, const struct cert *responder, struct token_key *key,
        struct ocsp **ret_ocsp, struct err *err)
{
	size_t count, token_count;
	const uint8_t *spki = cert_spki(responder, &count);
	const uint8_t *token_spki = token_key_spki(key, &token_count);
	struct der bits;
	struct ocsp *ocsp;
	int r = cert_lint(responder, CERT_OCSP_RESPONDER, err);

	if (r != 0) {
		return r;
	}
	if (cert_signed_by(responder, issuer) != 0) {
		return err_set(err, 1, "the OCSP responder certificate is not issued by %s",
		        cert_subject(issuer));
	}
	if (count != token_count || memcmp(spki, token_spki, count) != 0) {
		return err_set(err, 1,
		        "the key \"%s\" is not the key of the OCSP responder certificate",
		        token_key_label(key));
	}
	ocsp = mem_new(1, sizeof(*ocsp));
	ocsp->responder = cert_copy(responder);
	ocsp->key = key;
	hash_issuer(issuer, &ocsp->issuer);
	bits = key_bits(responder);
	SHA1(bits.at, bits.left, ocsp->responder_key_sha1);
	*ret_ocsp = ocsp;
	return 0;
}

struct ocsp *ocsp_free(struct ocsp *ocsp)
{
	if (ocsp) {
		cert_free(ocsp->responder);
		free(ocsp);
	}
	return NULL;
}

static bool read_question(struct der in, const struct issuer_hashes *issuer, struct question *ret)
{
	struct der id = der_take_whole(&in, DER_SEQUENCE, &ret->cert_id), unused;
	struct der algorithm = der_take(&id, DER_SEQUENCE), name, key, serial;
	enum oid hash = der_take_oid(&algorithm);

	der_try(&algorithm, DER_NULL, &unused);
	name = der_take(&id, DER_OCTET_STRING);
	key = der_take(&id, DER_OCTET_STRING);
	serial = der_take_unsigned(&id);
	der_try(&in, DER_CONTEXT_MADE(0), &unused); /* extensions of one question: passed over */
	if (!der_end(&id) || !der_end(&algorithm) || !der_end(&in) || serial.left < 1 ||
	        serial.left > CERT_SERIAL_BYTES_MAX) {
		return false;
	}
	hex_print(serial.at, serial.left, ret->serial);
	if (hash == OID_SHA1) {
		ret->is_ours = der_equal(name, DER(issuer->name_sha1, SHA_DIGEST_LENGTH)) &&
		               der_equal(key, DER(issuer->key_sha1, SHA_DIGEST_LENGTH));
	} else {
		ret->is_ours = hash == OID_SHA256 &&
		               der_equal(name, DER(issuer->name_sha256, SHA256_DIGEST_LENGTH)) &&
		               der_equal(key, DER(issuer->key_sha256, SHA256_DIGEST_LENGTH));
	}
	return true;
}

static bool read_extensions(struct der in, struct questions *ret)
{
	struct der list = der_take(&in, DER_SEQUENCE);

	while (!der_end(&list)) {
		struct der one = der_take(&list, DER_SEQUENCE), flag, value, nonce;
		enum oid oid = der_take_oid(&one);

		der_try(&one, DER_BOOLEAN, &flag);
		value = der_take(&one, DER_OCTET_STRING);
		if (!der_end(&one)) {
			return false;
		}
		if (oid == OID_OCSP_NONCE) {
			struct der whole = value;

			nonce = der_take(&value, DER_OCTET_STRING);
			if (!der_end(&value) || nonce.left < 1 || nonce.left > NONCE_BYTES_MAX ||
			        ret->nonce.left > 0) {
				return false;
			}
			ret->nonce = whole;
		}
	}
	return der_end(&in);
}

static bool read_request(const uint8_t *bytes, size_t count, const struct issuer_hashes *issuer,
        struct questions *ret)
{
	struct der in = DER(bytes, count), request, tbs, part, list;

	*ret = (struct questions){ 0 };
	if (count > OCSP_REQUEST_BYTES_MAX || !der_canonical(bytes, count)) {
		return false;
	}
	request = der_take(&in, DER_SEQUENCE);
	tbs = der_take(&request, DER_SEQUENCE);
	der_try(&request, DER_CONTEXT_MADE(0), &part); /* a signature; anybody may ask */
	der_try(&tbs, DER_CONTEXT_MADE(0), &part);     /* version, v1 is the default */
	der_try(&tbs, DER_CONTEXT_MADE(1), &part);     /* requestor's name */
	list = der_take(&tbs, DER_SEQUENCE);
	if (list.left == 0 || !der_end(&request)) {
		return false;
	}
	while (!der_end(&list)) {
		struct der one = der_take(&list, DER_SEQUENCE);

		if (ret->count == OCSP_QUESTIONS_MAX || one.broken ||
		        !read_question(one, issuer, &ret->list[ret->count])) {
			return false;
		}
		ret->count++;
	}
	if (der_try(&tbs, DER_CONTEXT_MADE(2), &part) && !read_extensions(part, ret)) {
		return false;
	}
	return der_end(&tbs);
}

static void add_unsigned_answer(struct buf *out, uint8_t status)
{
	size_t mark = der_open(out, DER_SEQUENCE);

	der_add(out, DER_ENUMERATED, &status, 1);
	der_close(out, mark);
}

static void add_status(struct buf *out, struct der cert_id, struct ocsp_status status,
        int64_t now_sec, int64_t next_sec)
{
	size_t single = der_open(out, DER_SEQUENCE), mark, inner;
	uint8_t reason = (uint8_t)status.reason;

	buf_add(out, cert_id.at, cert_id.left);
	switch (status.state) {
	case OCSP_GOOD:
		der_add(out, DER_CONTEXT(0), NULL, 0);
		break;
	case OCSP_REVOKED:
		mark = der_open(out, DER_CONTEXT_MADE(1));
		der_add_generalized_time(out, status.revoked_usec / USEC_PER_SEC);
		if (status.reason != CRL_UNSPECIFIED) {
			inner = der_open(out, DER_CONTEXT_MADE(0));
			der_add(out, DER_ENUMERATED, &reason, 1);
			der_close(out, inner);
		}
		der_close(out, mark);
		break;
	case OCSP_UNKNOWN:
		der_add(out, DER_CONTEXT(2), NULL, 0);
		break;
	}
	der_add_generalized_time(out, now_sec);
	mark = der_open(out, DER_CONTEXT_MADE(0));
	der_add_generalized_time(out, next_sec);
	der_close(out, mark);
	der_close(out, single);
}

static void add_nonce(struct buf *out, struct der nonce)
{
	size_t outer, list, one;

	if (nonce.left == 0) {
		return;
	}
	outer = der_open(out, DER_CONTEXT_MADE(1));
	list = der_open(out, DER_SEQUENCE);
	one = der_open(out, DER_SEQUENCE);
	der_add_oid(out, OID_OCSP_NONCE);
	der_add(out, DER_OCTET_STRING, nonce.at, nonce.left);
	der_close(out, one);
	der_close(out, list);
	der_close(out, outer);
}

/* Signs `data` (ResponseData) and wraps it up to the OCSPResponse. */
static int add_signed_answer(
        const struct ocsp *ocsp, const struct buf *data, struct buf *out, struct err *err)
{
	AUTO_BUF struct buf signature = BUF(1024);
	size_t answer, wrapped, bytes, value, basic, mark, list, count;
	const uint8_t *der = cert_der(ocsp->responder, &count);
	uint8_t status = SUCCESSFUL;
	int r = token_sign(ocsp->key, data->bytes, data->count, &signature, err);

	if (r != 0) {
		add_unsigned_answer(out, TRY_LATER);
		return r;
	}
	answer = der_open(out, DER_SEQUENCE);
	der_add(out, DER_ENUMERATED, &status, 1);
	wrapped = der_open(out, DER_CONTEXT_MADE(0));
	bytes = der_open(out, DER_SEQUENCE);
	der_add_oid(out, OID_OCSP_BASIC);
	value = der_open(out, DER_OCTET_STRING);
	basic = der_open(out, DER_SEQUENCE);
	buf_add(out, data->bytes, data->count);
	signing_add_algorithm(out, token_key_type(ocsp->key));
	der_add_bits(out, signature.bytes, signature.count);
	mark = der_open(out, DER_CONTEXT_MADE(0));
	list = der_open(out, DER_SEQUENCE);
	buf_add(out, der, count);
	der_close(out, list);
	der_close(out, mark);
	der_close(out, basic);
	der_close(out, value);
	der_close(out, bytes);
	der_close(out, wrapped);
	der_close(out, answer);
	return 0;
}

/* Opens ResponseData up to the list of single answers. */
struct data_marks {
	size_t data, list;
};

static struct data_marks open_data(const struct ocsp *ocsp, struct buf *data, int64_t now_sec)
{
	struct data_marks marks;
	size_t mark;

	marks.data = der_open(data, DER_SEQUENCE);
	mark = der_open(data, DER_CONTEXT_MADE(2)); /* responder by key */
	der_add(data, DER_OCTET_STRING, ocsp->responder_key_sha1, SHA_DIGEST_LENGTH);
	der_close(data, mark);
	der_add_generalized_time(data, now_sec);
	marks.list = der_open(data, DER_SEQUENCE);
	return marks;
}

int ocsp_answer(const struct ocsp *ocsp, const uint8_t *request, size_t count, ocsp_lookup *lookup,
        void *context, int64_t now_usec, int64_t next_update_usec, struct buf *out, struct err *err)
{
	AUTO_BUF struct buf data = BUF(OCSP_ANSWER_BYTES_MAX);
	struct questions questions;
	struct data_marks marks;
	size_t ours = 0;

	if (!read_request(request, count, &ocsp->issuer, &questions)) {
		add_unsigned_answer(out, MALFORMED_REQUEST);
		return 0;
	}
	for (size_t i = 0; i < questions.count; i++) {
		ours += questions.list[i].is_ours;
	}
	if (ours == 0) {
		add_unsigned_answer(out, UNAUTHORIZED);
		return 0;
	}
	marks = open_data(ocsp, &data, now_usec / USEC_PER_SEC);
	for (size_t i = 0; i < questions.count; i++) {
		const struct question *question = &questions.list[i];
		struct ocsp_status status = { .state = OCSP_UNKNOWN };

		if (question->is_ours) {
			status = lookup(context, question->serial);
		}
		add_status(&data, question->cert_id, status, now_usec / USEC_PER_SEC,
		        next_update_usec / USEC_PER_SEC);
	}
	der_close(&data, marks.list);
	add_nonce(&data, questions.nonce);
	der_close(&data, marks.data);
	return add_signed_answer(ocsp, &data, out, err);
}

/* A CertID with SHA-1, which is what answers that are kept are asked with (RFC 5019 2.1.1). The
 * hash only names the issuer, nothing rests on its strength. */
static int add_cert_id(struct buf *out, const struct issuer_hashes *issuer, const char *serial)
{
	uint8_t bytes[CERT_SERIAL_BYTES_MAX];
	size_t count = strlen(serial) / 2, id, algorithm;

	if (count < 1 || count > sizeof(bytes) || hex_parse(serial, bytes, count) != 0) {
		return 1;
	}
	id = der_open(out, DER_SEQUENCE);
	algorithm = der_open(out, DER_SEQUENCE);
	der_add_oid(out, OID_SHA1);
	der_add(out, DER_NULL, NULL, 0);
	der_close(out, algorithm);
	der_add(out, DER_OCTET_STRING, issuer->name_sha1, SHA_DIGEST_LENGTH);
	der_add(out, DER_OCTET_STRING, issuer->key_sha1, SHA_DIGEST_LENGTH);
	der_add_unsigned(out, bytes, count);
	der_close(out, id);
	return 0;
}

int ocsp_presign(const struct ocsp *ocsp, const char *serial, struct ocsp_status status,
        int64_t now_usec, int64_t next_update_usec, struct buf *out, struct err *err)
{
	AUTO_BUF struct buf data = BUF(OCSP_ANSWER_BYTES_MAX), id = BUF(256);
	struct data_marks marks;

	if (add_cert_id(&id, &ocsp->issuer, serial) != 0) {
		return err_set(err, -EINVAL, "\"%s\" is not a serial number", serial);
	}
	marks = open_data(ocsp, &data, now_usec / USEC_PER_SEC);
	add_status(&data, DER(id.bytes, id.count), status, now_usec / USEC_PER_SEC,
	        next_update_usec / USEC_PER_SEC);
	der_close(&data, marks.list);
	der_close(&data, marks.data);
	return add_signed_answer(ocsp, &data, out, err);
}

int ocsp_request_simple(const struct cert *issuer, const uint8_t *request, size_t count,
        char ret_serial[2 * CERT_SERIAL_BYTES_MAX + 1])
{
	struct issuer_hashes hashes;
	struct questions questions;
	AUTO_BUF struct buf id = BUF(256);

	hash_issuer(issuer, &hashes);
	if (!read_request(request, count, &hashes, &questions) || questions.count != 1 ||
	        questions.nonce.left > 0 || !questions.list[0].is_ours) {
		return 1;
	}
	/* The kept answer names the certificate by SHA-1; a client that asked otherwise would not
	 * find its own question in it. */
	if (add_cert_id(&id, &hashes, questions.list[0].serial) != 0 ||
	        !der_equal(questions.list[0].cert_id, DER(id.bytes, id.count))) {
		return 1;
	}
	memcpy(ret_serial, questions.list[0].serial, sizeof(questions.list[0].serial));
	return 0;
}

void ocsp_request_print(const struct cert *issuer, const char *serial, const uint8_t *nonce,
        size_t nonce_count, struct buf *out)
{
	struct issuer_hashes hashes;
	size_t request = der_open(out, DER_SEQUENCE), tbs = der_open(out, DER_SEQUENCE);
	size_t list = der_open(out, DER_SEQUENCE), one = der_open(out, DER_SEQUENCE);
	size_t outer, extensions, extension, value;

	hash_issuer(issuer, &hashes);
	assert_always(add_cert_id(out, &hashes, serial) == 0);
	der_close(out, one);
	der_close(out, list);
	if (nonce_count > 0) {
		outer = der_open(out, DER_CONTEXT_MADE(2));
		extensions = der_open(out, DER_SEQUENCE);
		extension = der_open(out, DER_SEQUENCE);
		der_add_oid(out, OID_OCSP_NONCE);
		value = der_open(out, DER_OCTET_STRING);
		der_add(out, DER_OCTET_STRING, nonce, nonce_count);
		der_close(out, value);
		der_close(out, extension);
		der_close(out, extensions);
		der_close(out, outer);
	}
	der_close(out, tbs);
	der_close(out, request);
}
