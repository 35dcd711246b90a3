#include "pki/ca.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "pki/cert_private.h"
#include "pki/signing.h"
#include "pki/tbs.h"

#define TBS_BYTES_MAX (CERT_DER_BYTES_MAX - 700) /* room for an RSA-4096 signature around it */

struct ca {
	struct cert *cert;
	struct token_key *key; /* borrowed */
};

/* Which kinds a CA may issue. */
static unsigned kinds_of(enum cert_kind ca)
{
	switch (ca) {
	case CERT_ROOT:
		return CERT_SET(CERT_DEVICE_CA) | CERT_SET(CERT_SERVICE_CA);
	case CERT_DEVICE_CA:
		return CERT_SET(CERT_DEVICE) | CERT_SET(CERT_OCSP_RESPONDER);
	case CERT_SERVICE_CA:
		return CERT_SET(CERT_SERVICE) | CERT_SET(CERT_SERVER) |
		       CERT_SET(CERT_OCSP_RESPONDER) | CERT_SET(CERT_PERSON) |
		       CERT_SET(CERT_RECIPIENT);
	default:
		return 0;
	}
}

static void add_subject(struct buf *out, const struct ca_request *request)
{
	size_t name = der_open(out, DER_SEQUENCE);

	name_add(out, OID_ORGANIZATION, DER_UTF8_STRING, request->organization);
	name_add(out, OID_ORGANIZATIONAL_UNIT, DER_UTF8_STRING, request->unit);
	name_add(out, OID_COMMON_NAME, DER_UTF8_STRING, request->common_name);
	name_add(out, OID_NAME_SERIAL_NUMBER, DER_PRINTABLE_STRING, request->serial_number);
	der_close(out, name);
}

/* Opens Extension and its OCTET STRING; both marks are needed to close it. */
struct opened {
	size_t extension, value;
};

static struct opened open_extension(struct buf *out, enum oid oid, bool critical)
{
	struct opened opened;

	opened.extension = der_open(out, DER_SEQUENCE);
	der_add_oid(out, oid);
	if (critical) {
		der_add_bool(out, true);
	}
	opened.value = der_open(out, DER_OCTET_STRING);
	return opened;
}

static void close_extension(struct buf *out, struct opened opened)
{
	der_close(out, opened.value);
	der_close(out, opened.extension);
}

static void add_usage_extensions(struct buf *out, enum cert_kind kind)
{
	bool is_root = kind == CERT_ROOT;
	bool is_ca = is_root || kind == CERT_DEVICE_CA || kind == CERT_SERVICE_CA;
	struct opened opened = open_extension(out, OID_BASIC_CONSTRAINTS, true);
	size_t mark = der_open(out, DER_SEQUENCE);

	if (is_ca) {
		der_add_bool(out, true);
		der_add_u64(out, is_root ? 1 : 0);
	}
	der_close(out, mark);
	close_extension(out, opened);
	opened = open_extension(out, OID_KEY_USAGE, true);
	/* Unused bits and the bits themselves: keyCertSign and cRLSign are 5 and 6, keyAgreement is
	 * 4, or bit 0. */
	der_add(out, DER_BIT_STRING,
	        is_ca                    ? "\x01\x06"
	        : kind == CERT_RECIPIENT ? "\x03\x08"
	                                 : "\x07\x80",
	        2);
	close_extension(out, opened);
	if (kind == CERT_DEVICE || kind == CERT_SERVICE || kind == CERT_SERVER ||
	        kind == CERT_OCSP_RESPONDER || kind == CERT_PERSON || kind == CERT_RECIPIENT) {
		opened = open_extension(out, OID_EXTENDED_KEY_USAGE, false);
		mark = der_open(out, DER_SEQUENCE);
		der_add_oid(out, kind == CERT_SERVER           ? OID_SERVER_AUTH
		                 : kind == CERT_OCSP_RESPONDER ? OID_OCSP_SIGNING
		                 : kind == CERT_DEVICE || kind == CERT_SERVICE
		                         ? OID_CLIENT_AUTH
		                         : OID_EMAIL_PROTECTION);
		if (kind == CERT_SERVICE) {
			der_add_oid(out, OID_IPSEC_IKE);
		}
		der_close(out, mark);
		close_extension(out, opened);
	}
	if (kind == CERT_OCSP_RESPONDER) {
		opened = open_extension(out, OID_OCSP_NOCHECK, false);
		der_add(out, DER_NULL, NULL, 0);
		close_extension(out, opened);
	}
}

static void add_policy(struct buf *out, enum cert_kind kind)
{
	bool device = kind == CERT_DEVICE || kind == CERT_DEVICE_CA;
	struct opened opened;
	size_t list, one;

	if (!device && kind != CERT_SERVICE && kind != CERT_SERVICE_CA) {
		return;
	}
	opened = open_extension(out, OID_CERTIFICATE_POLICIES, false);
	list = der_open(out, DER_SEQUENCE);
	one = der_open(out, DER_SEQUENCE);
	der_add_oid(out, device ? OID_POLICY_DEVICE : OID_POLICY_SERVICE);
	der_close(out, one);
	der_close(out, list);
	close_extension(out, opened);
}

static void add_hardware_name(struct buf *out, const char *serial)
{
	size_t other = der_open(out, DER_CONTEXT_MADE(0)), wrapped, name;

	der_add_oid(out, OID_HARDWARE_MODULE_NAME);
	wrapped = der_open(out, DER_CONTEXT_MADE(0));
	name = der_open(out, DER_SEQUENCE);
	der_add_oid(out, OID_HARDWARE_GATEWAY);
	der_add_text(out, DER_OCTET_STRING, serial ? serial : "");
	der_close(out, name);
	der_close(out, wrapped);
	der_close(out, other);
}

/* Outcome 1: an address that is none. */
static int add_alt_names(struct buf *out, const struct ca_request *request, struct err *err)
{
	struct opened opened;
	size_t names;
	int r = 0;

	if (request->kind != CERT_DEVICE && request->kind != CERT_SERVICE &&
	        request->kind != CERT_SERVER) {
		return 0;
	}
	opened = open_extension(out, OID_SUBJECT_ALT_NAME, false);
	names = der_open(out, DER_SEQUENCE);
	if (request->kind == CERT_DEVICE) {
		add_hardware_name(out, request->serial_number);
	}
	for (size_t i = 0; i < CERT_DNS_NAMES_MAX && request->dns_names[i]; i++) {
		der_add_text(out, DER_CONTEXT(2), request->dns_names[i]);
	}
	for (size_t i = 0; i < CERT_DNS_NAMES_MAX && request->addresses[i]; i++) {
		uint8_t address[16];

		if (inet_pton(AF_INET, request->addresses[i], address) == 1) {
			der_add(out, DER_CONTEXT(7), address, 4);
		} else if (inet_pton(AF_INET6, request->addresses[i], address) == 1) {
			der_add(out, DER_CONTEXT(7), address, 16);
		} else {
			r = err_set(err, 1, "\"%s\" is not an IP address", request->addresses[i]);
		}
	}
	der_close(out, names);
	close_extension(out, opened);
	return r;
}

static void add_locations(struct buf *out, const struct ca_request *request)
{
	struct opened opened;
	size_t list, one, point, name;

	if (request->crl_url) {
		opened = open_extension(out, OID_CRL_DISTRIBUTION_POINTS, false);
		list = der_open(out, DER_SEQUENCE);
		one = der_open(out, DER_SEQUENCE);
		point = der_open(out, DER_CONTEXT_MADE(0));
		name = der_open(out, DER_CONTEXT_MADE(0));
		der_add_text(out, DER_CONTEXT(6), request->crl_url);
		der_close(out, name);
		der_close(out, point);
		der_close(out, one);
		der_close(out, list);
		close_extension(out, opened);
	}
	if (request->ocsp_url) {
		opened = open_extension(out, OID_AUTHORITY_INFORMATION, false);
		list = der_open(out, DER_SEQUENCE);
		one = der_open(out, DER_SEQUENCE);
		der_add_oid(out, OID_ACCESS_OCSP);
		der_add_text(out, DER_CONTEXT(6), request->ocsp_url);
		der_close(out, one);
		der_close(out, list);
		close_extension(out, opened);
	}
}

/* Key ids are the first 20 bytes of the hash of the whole SPKI (RFC 7093 2, method 4). */
static void add_key_ids(struct buf *out, const struct key *key, const struct cert *issuer)
{
	struct key_hash hash = key_hash(key);
	struct opened opened = open_extension(out, OID_SUBJECT_KEY_IDENTIFIER, false);
	size_t mark, count;
	const uint8_t *id;

	der_add(out, DER_OCTET_STRING, hash.bytes, 20);
	close_extension(out, opened);
	if (!issuer) {
		return;
	}
	id = cert_key_id(issuer, &count);
	opened = open_extension(out, OID_AUTHORITY_KEY_IDENTIFIER, false);
	mark = der_open(out, DER_SEQUENCE);
	der_add(out, DER_CONTEXT(0), id, count);
	der_close(out, mark);
	close_extension(out, opened);
}

/* 159 random bits, positive (RFC 5280 4.1.2.2). */
static void add_serial(struct buf *out)
{
	uint8_t serial[CERT_SERIAL_BYTES_MAX];

	random_fill(serial, sizeof(serial));
	serial[0] &= 0x7f;
	der_add_unsigned(out, serial, sizeof(serial));
}

/* `issuer` NULL: self-signed. */
static int build_tbs(const struct cert *issuer, enum token_key_type signer,
        const struct ca_request *request, struct buf *out, struct err *err)
{
	size_t tbs = der_open(out, DER_SEQUENCE), mark, list, count;
	const uint8_t *bytes;
	int r;

	mark = der_open(out, DER_CONTEXT_MADE(0));
	der_add_u64(out, 2);
	der_close(out, mark);
	add_serial(out);
	signing_add_algorithm(out, signer);
	if (issuer) {
		bytes = cert_subject_der(issuer, &count);
		buf_add(out, bytes, count);
	} else {
		add_subject(out, request);
	}
	mark = der_open(out, DER_SEQUENCE);
	der_add_time(out, request->not_before_usec / USEC_PER_SEC);
	der_add_time(out, request->not_after_usec / USEC_PER_SEC);
	der_close(out, mark);
	add_subject(out, request);
	bytes = key_spki(request->key, &count);
	buf_add(out, bytes, count);
	mark = der_open(out, DER_CONTEXT_MADE(3));
	list = der_open(out, DER_SEQUENCE);
	add_usage_extensions(out, request->kind);
	add_policy(out, request->kind);
	r = add_alt_names(out, request, err);
	add_key_ids(out, request->key, issuer);
	add_locations(out, request);
	der_close(out, list);
	der_close(out, mark);
	der_close(out, tbs);
	if (r == 0 && out->overflowed) {
		r = err_set(err, 1, "the certificate would be larger than %d bytes",
		        CERT_DER_BYTES_MAX);
	}
	return r;
}

/* The latest time a certificate can say, 9999-12-31T23:59:59Z; the earliest we use is 1970. */
#define LAST_USEC (253402300799LL * USEC_PER_SEC)

static int check_times(const struct ca_request *request, struct err *err)
{
	if (request->not_before_usec < 0 || request->not_after_usec > LAST_USEC ||
	        request->not_before_usec / USEC_PER_SEC >= request->not_after_usec / USEC_PER_SEC) {
		return err_set(err, 1, "the validity is not a span between 1970 and 9999");
	}
	return 0;
}

static bool key_is_token_key(const struct key *key, const struct token_key *token_key)
{
	size_t count, token_count;
	const uint8_t *spki = key_spki(key, &count);
	const uint8_t *token_spki = token_key_spki(token_key, &token_count);

	return count == token_count && memcmp(spki, token_spki, count) == 0;
}

int ca_make_root(struct token_key *key, const struct ca_request *request, struct cert **ret_cert,
        struct err *err)
{
	AUTO_BUF struct buf tbs = BUF(TBS_BYTES_MAX), der = BUF(CERT_DER_BYTES_MAX);
	struct tbs read;
	int r;

	if (request->kind != CERT_ROOT || !key_is_token_key(request->key, key)) {
		return err_set(err, CA_REFUSED, "a root signs its own key and no other");
	}
	r = check_times(request, err);
	if (r == 0) {
		r = build_tbs(NULL, token_key_type(key), request, &tbs, err);
	}
	if (r == 0) {
		assert_always(tbs_read(tbs.bytes, tbs.count, &read));
		r = tbs_lint(&read, CERT_ROOT, err);
	}
	if (r != 0) {
		return r;
	}
	r = signing_wrap(key, tbs.bytes, tbs.count, &der, err);
	if (r != 0) {
		return r > 0 ? CA_TOKEN + r : r;
	}
	return cert_parse(der.bytes, der.count, ret_cert, err);
}

int ca_new(const struct cert *cert, struct token_key *key, struct ca **ret_ca, struct err *err)
{
	enum cert_kind kind = cert_kind(cert);
	size_t count, token_count;
	const uint8_t *spki = cert_spki(cert, &count);
	const uint8_t *token_spki = token_key_spki(key, &token_count);
	int r;

	if (kinds_of(kind) == 0) {
		return err_set(
		        err, 1, "%s is not a CA certificate of this system", cert_subject(cert));
	}
	r = cert_lint(cert, kind, err);
	if (r != 0) {
		return r;
	}
	if (count != token_count || memcmp(spki, token_spki, count) != 0) {
		return err_set(err, 1, "the key \"%s\" is not the key of the certificate %s",
		        token_key_label(key), cert_subject(cert));
	}
	*ret_ca = mem_new(1, sizeof(**ret_ca));
	(*ret_ca)->cert = cert_copy(cert);
	(*ret_ca)->key = key;
	return 0;
}

struct ca *ca_free(struct ca *ca)
{
	if (ca) {
		cert_free(ca->cert);
		free(ca);
	}
	return NULL;
}

const struct cert *ca_cert(const struct ca *ca)
{
	return ca->cert;
}

struct token_key *ca_key(const struct ca *ca)
{
	return ca->key;
}

/* The way token_sign() signs with a CA key of this form. */
static int signer_type(const struct cert *issuer, enum token_key_type *ret_type)
{
	size_t count;
	struct der in, outer, algorithm;
	enum oid oid;

	in.at = cert_spki(issuer, &count);
	in = DER(in.at, count);
	outer = der_take(&in, DER_SEQUENCE);
	algorithm = der_take(&outer, DER_SEQUENCE);
	oid = der_take_oid(&algorithm);
	if (oid == OID_EC_PUBLIC_KEY) {
		oid = der_take_oid(&algorithm);
	}
	switch (oid) {
	case OID_CURVE_P256:
		*ret_type = TOKEN_KEY_EC_P256;
		return 0;
	case OID_CURVE_P384:
		*ret_type = TOKEN_KEY_EC_P384;
		return 0;
	case OID_RSA:
		*ret_type = TOKEN_KEY_RSA_2048;
		return 0;
	case OID_ED25519:
		*ret_type = TOKEN_KEY_ED25519;
		return 0;
	default:
		return 1;
	}
}

/* Whether the authority key identifier (its form is linted) is the issuer's key id. */
static bool names_key(const struct tbs *tbs, const struct cert *issuer)
{
	struct der in = tbs->extensions.values[EXTENSION_AUTHORITY_KEY_ID].value;
	struct der content = der_take(&in, DER_SEQUENCE);
	struct der have = der_take(&content, DER_CONTEXT(0));
	size_t count;
	const uint8_t *id = cert_key_id(issuer, &count);

	return count > 0 && der_equal(have, DER(id, count));
}

/* The rules that hold between a CA and what it issues. */
static int check_under(const struct cert *issuer, const struct tbs *tbs, struct err *err)
{
	const struct tbs *ca = cert_tbs(issuer);
	enum cert_kind kind = tbs_kind(tbs);
	AUTO_BUF struct buf algorithm = BUF(32);
	enum token_key_type type;
	int r;

	if (!(kinds_of(cert_kind(issuer)) & CERT_SET(kind))) {
		return err_set(err, 1, "a %s does not issue %s certificates",
		        cert_kind_name(cert_kind(issuer)), cert_kind_name(kind));
	}
	r = tbs_lint(tbs, kind, err);
	if (r != 0) {
		return r;
	}
	if (!der_equal(tbs->issuer.whole, ca->subject.whole)) {
		return err_set(err, 1, "issuer: another name than the CA's");
	}
	if (tbs->not_after_sec > ca->not_after_sec || tbs->not_before_sec < ca->not_before_sec) {
		return err_set(err, 1, "validity: goes beyond the CA's");
	}
	if (der_equal(tbs->spki, ca->spki)) {
		return err_set(err, 1, "public key: is the CA's own");
	}
	if (!names_key(tbs, issuer)) {
		return err_set(err, 1, "authorityKeyIdentifier: not the CA's key");
	}
	if (signer_type(issuer, &type) != 0) {
		return err_set(err, 1, "the CA's key is of an unknown form");
	}
	signing_add_algorithm(&algorithm, type);
	if (!der_equal(tbs->algorithm, DER(algorithm.bytes, algorithm.count))) {
		return err_set(err, 1, "signature algorithm: not the CA's");
	}
	return 0;
}

int ca_prepare(const struct cert *issuer, const struct ca_request *request, struct buf *ret_tbs,
        struct err *err)
{
	AUTO_BUF struct buf tbs = BUF(TBS_BYTES_MAX);
	enum token_key_type type;
	struct tbs read;
	int r = check_times(request, err);

	if (r != 0) {
		return r;
	}
	if (signer_type(issuer, &type) != 0) {
		return err_set(err, 1, "the CA's key is of an unknown form");
	}
	r = build_tbs(issuer, type, request, &tbs, err);
	if (r != 0) {
		return r;
	}
	/* What was asked may not even be a certificate (an attribute of a megabyte, say). */
	if (!tbs_read(tbs.bytes, tbs.count, &read)) {
		return err_set(err, 1, "the request does not make a certificate");
	}
	if (tbs_kind(&read) != request->kind) {
		return err_set(err, 1, "the request does not make a %s certificate",
		        cert_kind_name(request->kind));
	}
	r = check_under(issuer, &read, err);
	if (r == 0) {
		buf_add(ret_tbs, tbs.bytes, tbs.count);
		assert_always(!ret_tbs->overflowed);
	}
	return r;
}

int ca_sign(const struct ca *ca, const uint8_t *tbs, size_t count, struct key_hash approved,
        struct cert **ret_cert, struct err *err)
{
	AUTO_BUF struct buf der = BUF(CERT_DER_BYTES_MAX);
	struct tbs read;
	int r;

	if (!key_hash_equal(key_hash_of(tbs, count), approved)) {
		return err_set(err, CA_NOT_APPROVED, "these are not the bytes that were approved");
	}
	if (count > TBS_BYTES_MAX || !tbs_read(tbs, count, &read)) {
		return err_set(err, CA_REFUSED, "not the inside of a certificate in canonical DER");
	}
	r = check_under(ca->cert, &read, err);
	if (r != 0) {
		return r < 0 ? r : CA_REFUSED;
	}
	r = signing_wrap(ca->key, tbs, count, &der, err);
	if (r != 0) {
		return r > 0 ? CA_TOKEN + r : r;
	}
	r = cert_parse(der.bytes, der.count, ret_cert, err);
	return r > 0 ? CA_REFUSED : r;
}

int ca_issue(const struct ca *ca, const struct ca_request *request, struct cert **ret_cert,
        struct err *err)
{
	AUTO_BUF struct buf tbs = BUF(CERT_DER_BYTES_MAX);
	int r = ca_prepare(ca->cert, request, &tbs, err);

	if (r != 0) {
		return r;
	}
	return ca_sign(ca, tbs.bytes, tbs.count, key_hash_of(tbs.bytes, tbs.count), ret_cert, err);
}
