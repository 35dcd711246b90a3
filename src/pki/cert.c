#include "pki/cert.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "pki/cert_private.h"
#include "pki/signing.h"
#include "pki/tbs.h"

#define NAME_LINE_BYTES_MAX 1024

struct cert {
	unsigned owners;
	uint8_t *der;
	size_t der_count;
	struct signing signing;
	struct tbs tbs; /* borrows from `der` */
	X509 *x509;
	enum cert_kind kind;
	char serial[2 * CERT_SERIAL_BYTES_MAX + 1];
	char *subject, *issuer;
	char common_name[CERT_NAME_BYTES_MAX + 1];
	char organization[CERT_NAME_BYTES_MAX + 1];
	char unit[CERT_NAME_BYTES_MAX + 1];
	char serial_number[CERT_NAME_BYTES_MAX + 1];
	char hardware_serial[CERT_NAME_BYTES_MAX + 1];
	char *dns_names[CERT_DNS_NAMES_MAX];
};

static const char *const kind_names[CERT_KIND_COUNT] = {
	[CERT_OTHER] = "other",
	[CERT_ROOT] = "root",
	[CERT_DEVICE_CA] = "device-ca",
	[CERT_SERVICE_CA] = "service-ca",
	[CERT_DEVICE] = "device",
	[CERT_SERVICE] = "service",
	[CERT_SERVER] = "server",
	[CERT_OCSP_RESPONDER] = "ocsp-responder",
	[CERT_PERSON] = "person",
	[CERT_RECIPIENT] = "recipient",
};

const char *cert_kind_name(enum cert_kind kind)
{
	return kind_names[kind];
}

static char *name_line(const X509_NAME *name)
{
	BIO *memory = BIO_new(BIO_s_mem());
	char *bytes, *line;
	long count;

	assert_always(memory != NULL);
	X509_NAME_print_ex(memory, name, 0, XN_FLAG_RFC2253);
	count = BIO_get_mem_data(memory, &bytes);
	line = mem_format(
	        "%.*s", (int)(count < NAME_LINE_BYTES_MAX ? count : NAME_LINE_BYTES_MAX), bytes);
	BIO_free(memory);
	return line;
}

static void read_alt_names(struct cert *cert)
{
	const struct extension_value *value = &cert->tbs.extensions.values[EXTENSION_ALT_NAME];
	struct der in = value->value, names, one, type, number;
	size_t count = 0;
	uint8_t tag;

	if (!value->present) {
		return;
	}
	names = der_take(&in, DER_SEQUENCE);
	while ((tag = alt_name_next(&names, &one)) != 0) {
		char text[IDENTITY_BYTES_MAX + 1] = "";

		if (tag == DER_CONTEXT(2) && one.left <= IDENTITY_BYTES_MAX &&
		        !memchr(one.at, 0, one.left) && count < CERT_DNS_NAMES_MAX) {
			memcpy(text, one.at, one.left);
			if (host_name_valid(text)) {
				cert->dns_names[count++] = mem_string(text);
			}
		} else if (tag == DER_CONTEXT_MADE(0) && hardware_name_read(one, &type, &number) &&
		           number.left <= CERT_NAME_BYTES_MAX) {
			memcpy(text, number.at, number.left);
			if (strlen(text) == number.left) {
				memcpy(cert->hardware_serial, text, CERT_NAME_BYTES_MAX + 1);
			}
		}
	}
}

static void read_fields(struct cert *cert)
{
	const struct name *subject = &cert->tbs.subject;

	hex_print(cert->tbs.serial.at, cert->tbs.serial.left, cert->serial);
	cert->subject = name_line(X509_get_subject_name(cert->x509));
	cert->issuer = name_line(X509_get_issuer_name(cert->x509));
	name_text(subject, OID_COMMON_NAME, cert->common_name);
	name_text(subject, OID_ORGANIZATION, cert->organization);
	name_text(subject, OID_ORGANIZATIONAL_UNIT, cert->unit);
	name_text(subject, OID_NAME_SERIAL_NUMBER, cert->serial_number);
	read_alt_names(cert);
	cert->kind = tbs_kind(&cert->tbs);
}

/* Adopts the bytes. */
static int parse_der(uint8_t *der, size_t count, struct cert **ret_cert, struct err *err)
{
	AUTO(cert) struct cert *cert = mem_new(1, sizeof(*cert));
	const uint8_t *at = der;

	cert->owners = 1;
	cert->der = der;
	cert->der_count = count;
	if (!signing_split(der, count, &cert->signing) ||
	        !tbs_read(cert->signing.tbs.at, cert->signing.tbs.left, &cert->tbs) ||
	        !der_equal(cert->signing.algorithm, cert->tbs.algorithm)) {
		return err_set(err, 1, "not a certificate in canonical DER");
	}
	cert->x509 = d2i_X509(NULL, &at, (long)count);
	if (!cert->x509 || at != der + count) {
		ERR_clear_error();
		return err_set(err, 1, "a certificate that OpenSSL cannot read");
	}
	read_fields(cert);
	*ret_cert = TAKE(cert);
	return 0;
}

int cert_parse(const void *bytes, size_t count, struct cert **ret_cert, struct err *err)
{
	AUTO_BUF struct buf der = BUF(CERT_DER_BYTES_MAX);

	if (count > 2 * CERT_DER_BYTES_MAX ||
	        der_from_pem(bytes, count, "CERTIFICATE", &der) != 0) {
		return err_set(err, 1, "not one certificate in DER or PEM, or larger than %d bytes",
		        CERT_DER_BYTES_MAX);
	}
	return parse_der(mem_copy(der.bytes, der.count), der.count, ret_cert, err);
}

static bool only_space(const char *text, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (!strchr(" \t\r\n", text[i]) || text[i] == '\0') {
			return false;
		}
	}
	return true;
}

int cert_parse_chain(const char *pem, size_t count, struct cert **ret_certs, size_t max,
        size_t *ret_count, struct err *err)
{
	static const char end[] = "-----END CERTIFICATE-----";
	size_t have = 0, at = 0;
	int r = 0;

	while (r == 0 && at < count) {
		const char *stop = memmem(pem + at, count - at, end, sizeof(end) - 1);
		size_t piece = stop ? (size_t)(stop - pem) + sizeof(end) - 1 - at : count - at;

		if (!stop && only_space(pem + at, count - at)) {
			break;
		}
		r = have == max ? err_set(err, 1, "more than %zu certificates", max)
		                : cert_parse(pem + at, piece, &ret_certs[have], err);
		have += r == 0;
		at += piece;
	}
	if (r == 0 && have == 0) {
		r = err_set(err, 1, "no certificate in PEM");
	}
	if (r != 0) {
		for (size_t i = 0; i < have; i++) {
			ret_certs[i] = cert_free(ret_certs[i]);
		}
		return r;
	}
	*ret_count = have;
	return 0;
}

struct cert *cert_free(struct cert *cert)
{
	if (!cert || --cert->owners > 0) {
		return NULL;
	}
	for (size_t i = 0; i < CERT_DNS_NAMES_MAX; i++) {
		free(cert->dns_names[i]);
	}
	X509_free(cert->x509);
	free(cert->subject);
	free(cert->issuer);
	free(cert->der);
	free(cert);
	return NULL;
}

struct cert *cert_copy(const struct cert *cert)
{
	struct cert *same = (struct cert *)cert; /* the count of owners is not part of its value */

	same->owners++;
	return same;
}

const uint8_t *cert_der(const struct cert *cert, size_t *ret_count)
{
	*ret_count = cert->der_count;
	return cert->der;
}

const char *cert_serial(const struct cert *cert)
{
	return cert->serial;
}

const char *cert_subject(const struct cert *cert)
{
	return cert->subject;
}

const char *cert_issuer(const struct cert *cert)
{
	return cert->issuer;
}

const uint8_t *cert_subject_der(const struct cert *cert, size_t *ret_count)
{
	*ret_count = cert->tbs.subject.whole.left;
	return cert->tbs.subject.whole.at;
}

const uint8_t *cert_issuer_der(const struct cert *cert, size_t *ret_count)
{
	*ret_count = cert->tbs.issuer.whole.left;
	return cert->tbs.issuer.whole.at;
}

const char *cert_common_name(const struct cert *cert)
{
	return cert->common_name;
}

const char *cert_organization(const struct cert *cert)
{
	return cert->organization;
}

const char *cert_unit(const struct cert *cert)
{
	return cert->unit;
}

const char *cert_serial_number(const struct cert *cert)
{
	return cert->serial_number;
}

const char *cert_dns_name(const struct cert *cert, size_t index)
{
	return index < CERT_DNS_NAMES_MAX ? cert->dns_names[index] : NULL;
}

const char *cert_hardware_serial(const struct cert *cert)
{
	return cert->hardware_serial;
}

int64_t cert_not_before_usec(const struct cert *cert)
{
	return cert->tbs.not_before_sec * USEC_PER_SEC;
}

int64_t cert_not_after_usec(const struct cert *cert)
{
	return cert->tbs.not_after_sec * USEC_PER_SEC;
}

bool cert_is_ca(const struct cert *cert)
{
	const struct extension_value *value =
	        &cert->tbs.extensions.values[EXTENSION_BASIC_CONSTRAINTS];
	int path_length;
	bool is_ca;

	return value->present && basic_constraints_read(value->value, &is_ca, &path_length) &&
	       is_ca;
}

const uint8_t *cert_spki(const struct cert *cert, size_t *ret_count)
{
	*ret_count = cert->tbs.spki.left;
	return cert->tbs.spki.at;
}

struct key_hash cert_key_hash(const struct cert *cert)
{
	return key_hash_of(cert->tbs.spki.at, cert->tbs.spki.left);
}

struct key_hash cert_fingerprint(const struct cert *cert)
{
	return key_hash_of(cert->der, cert->der_count);
}

struct key_hash cert_issuer_hash(const struct cert *cert)
{
	return key_hash_of(cert->tbs.issuer.whole.at, cert->tbs.issuer.whole.left);
}

enum cert_kind cert_kind(const struct cert *cert)
{
	return cert->kind;
}

bool cert_is_device_tier(const struct cert *cert)
{
	return cert->kind == CERT_DEVICE || cert->kind == CERT_DEVICE_CA;
}

bool cert_is_service_tier(const struct cert *cert)
{
	return cert->kind == CERT_SERVICE || cert->kind == CERT_SERVICE_CA;
}

void cert_print_pem(const struct cert *cert, struct buf *out)
{
	der_print_pem(cert->der, cert->der_count, "CERTIFICATE", out);
}

int64_t cert_renew_usec(const struct cert *cert)
{
	int64_t life_sec = cert->tbs.not_after_sec - cert->tbs.not_before_sec;

	return (cert->tbs.not_before_sec + life_sec / 3 * 2) * USEC_PER_SEC;
}

int cert_lint(const struct cert *cert, enum cert_kind kind, struct err *err)
{
	return tbs_lint(&cert->tbs, kind, err);
}

int cert_signed_by(const struct cert *cert, const struct cert *issuer)
{
	AUTO(key) struct key *key = NULL;
	int r;

	if (!der_equal(cert->tbs.issuer.whole, issuer->tbs.subject.whole)) {
		return 1;
	}
	r = key_parse(issuer->tbs.spki.at, issuer->tbs.spki.left, &key, NULL);
	return r != 0 ? r : signing_verify(&cert->signing, key);
}

int cert_identity_print(
        const char *gateway, const char *provider, char out[CERT_IDENTITY_BYTES_MAX])
{
	if (!name_valid(gateway) || !name_valid(provider)) {
		return 1;
	}
	snprintf(out, CERT_IDENTITY_BYTES_MAX, "%s.%s." CERT_IDENTITY_SUFFIX, gateway, provider);
	return 0;
}

int cert_identity(const struct cert *cert, char ret_gateway[NAME_BYTES_MAX + 1],
        char ret_provider[NAME_BYTES_MAX + 1])
{
	const char *identity = cert->dns_names[0], *middle;
	size_t gateway, provider;
	char again[CERT_IDENTITY_BYTES_MAX];

	if (!identity || cert->dns_names[1]) {
		return 1;
	}
	gateway = strcspn(identity, ".");
	middle = identity[gateway] ? identity + gateway + 1 : identity + gateway;
	provider = strcspn(middle, ".");
	if (gateway > NAME_BYTES_MAX || provider > NAME_BYTES_MAX) {
		return 1;
	}
	snprintf(ret_gateway, NAME_BYTES_MAX + 1, "%.*s", (int)gateway, identity);
	snprintf(ret_provider, NAME_BYTES_MAX + 1, "%.*s", (int)provider, middle);
	return cert_identity_print(ret_gateway, ret_provider, again) != 0 ||
	       strcmp(again, identity) != 0 || strcmp(ret_gateway, cert->common_name) != 0;
}

X509 *cert_x509(const struct cert *cert)
{
	return cert->x509;
}

const struct tbs *cert_tbs(const struct cert *cert)
{
	return &cert->tbs;
}

const uint8_t *cert_key_id(const struct cert *cert, size_t *ret_count)
{
	const struct extension_value *value =
	        &cert->tbs.extensions.values[EXTENSION_SUBJECT_KEY_ID];
	struct der in = value->value;
	struct der id = value->present ? der_take(&in, DER_OCTET_STRING) : DER(NULL, 0);

	*ret_count = id.left;
	return id.at;
}
