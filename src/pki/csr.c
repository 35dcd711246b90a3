#include "pki/csr.h"

#include <string.h>

#include "base/str.h"
#include "pki/signing.h"
#include "pki/tbs.h"

struct csr {
	uint8_t *der;
	size_t der_count;
	struct key *key;
	struct name subject;
	struct extensions extensions; /* what the extension request asks for */
	bool has_extensions;
	bool unknown_attribute;
	char common_name[CERT_NAME_BYTES_MAX + 1];
	char serial_number[CERT_NAME_BYTES_MAX + 1];
};

const char *csr_refusal_name(int refusal)
{
	switch (refusal) {
	case CSR_MALFORMED:
		return "malformed";
	case CSR_WEAK_KEY:
		return "weak-key";
	case CSR_NO_POSSESSION:
		return "no-possession";
	case CSR_OTHER_NAME:
		return "other-name";
	case CSR_CA:
		return "ca";
	case CSR_OTHER_USE:
		return "other-use";
	case CSR_UNKNOWN_WISH:
		return "unknown-wish";
	case CSR_BLOCKED_KEY:
		return "blocked-key";
	default:
		return "unknown";
	}
}

static void add_name_request(struct buf *out, const char *dns_name)
{
	size_t attributes = der_open(out, DER_CONTEXT_MADE(0));
	size_t attribute, set, list, extension, value, names;

	if (dns_name) {
		attribute = der_open(out, DER_SEQUENCE);
		der_add_oid(out, OID_EXTENSION_REQUEST);
		set = der_open(out, DER_SET);
		list = der_open(out, DER_SEQUENCE);
		extension = der_open(out, DER_SEQUENCE);
		der_add_oid(out, OID_SUBJECT_ALT_NAME);
		value = der_open(out, DER_OCTET_STRING);
		names = der_open(out, DER_SEQUENCE);
		der_add_text(out, DER_CONTEXT(2), dns_name);
		der_close(out, names);
		der_close(out, value);
		der_close(out, extension);
		der_close(out, list);
		der_close(out, set);
		der_close(out, attribute);
	}
	der_close(out, attributes);
}

int csr_make(
        struct token_key *key, const struct csr_wanted *wanted, struct buf *out, struct err *err)
{
	AUTO_BUF struct buf info = BUF(CSR_DER_BYTES_MAX);
	size_t mark = der_open(&info, DER_SEQUENCE), name, count;
	const uint8_t *spki = token_key_spki(key, &count);

	der_add_u64(&info, 0);
	name = der_open(&info, DER_SEQUENCE);
	name_add(&info, OID_ORGANIZATION, DER_UTF8_STRING, wanted->organization);
	name_add(&info, OID_ORGANIZATIONAL_UNIT, DER_UTF8_STRING, wanted->unit);
	name_add(&info, OID_COMMON_NAME, DER_UTF8_STRING, wanted->common_name);
	name_add(&info, OID_NAME_SERIAL_NUMBER, DER_PRINTABLE_STRING, wanted->serial_number);
	der_close(&info, name);
	buf_add(&info, spki, count);
	add_name_request(&info, wanted->dns_name);
	der_close(&info, mark);
	return signing_wrap(key, info.bytes, info.count, out, err);
}

static bool read_attributes(struct der in, struct csr *csr)
{
	while (!der_end(&in)) {
		struct der attribute = der_take(&in, DER_SEQUENCE), values, list;
		enum oid oid = der_take_oid(&attribute);

		values = der_take(&attribute, DER_SET);
		if (!der_end(&attribute)) {
			return false;
		}
		if (oid == OID_EXTENSION_REQUEST) {
			list = der_take(&values, DER_SEQUENCE);
			if (csr->has_extensions || !der_end(&values) ||
			        !extensions_read(list, &csr->extensions)) {
				return false;
			}
			csr->has_extensions = true;
		} else if (oid != OID_CHALLENGE_PASSWORD) {
			/* The challenge password is where EST clients put the binding to the TLS
			 * channel; it asks for nothing. */
			csr->unknown_attribute = true;
		}
	}
	return true;
}

static int read_request(struct csr *csr, struct err *err)
{
	struct signing signing;
	struct der in, info, spki, attributes = DER(NULL, 0);
	uint64_t version;
	int r;

	if (!signing_split(csr->der, csr->der_count, &signing)) {
		return err_set(err, CSR_MALFORMED, "not a PKCS#10 request in canonical DER");
	}
	in = signing.tbs;
	info = der_take(&in, DER_SEQUENCE);
	version = der_take_u64(&info);
	if (!name_read(&info, &csr->subject)) {
		return err_set(err, CSR_MALFORMED, "the subject of the request cannot be read");
	}
	der_take_whole(&info, DER_SEQUENCE, &spki);
	/* Some clients leave an empty list of attributes out. */
	der_try(&info, DER_CONTEXT_MADE(0), &attributes);
	if (version != 0 || !der_end(&info) || !read_attributes(attributes, csr)) {
		return err_set(err, CSR_MALFORMED,
		        "the request is not of version 1 or its attributes cannot be read");
	}
	r = key_parse(spki.at, spki.left, &csr->key, err);
	if (r != 0) {
		return r < 0 ? r : CSR_WEAK_KEY;
	}
	r = signing_verify(&signing, csr->key);
	if (r != 0) {
		return r < 0 ? r
		             : err_set(err, CSR_NO_POSSESSION,
		                       "the signature of the request does not fit its key, or is "
		                       "of a weak kind");
	}
	name_text(&csr->subject, OID_COMMON_NAME, csr->common_name);
	name_text(&csr->subject, OID_NAME_SERIAL_NUMBER, csr->serial_number);
	return 0;
}

int csr_parse(const void *bytes, size_t count, struct csr **ret_csr, struct err *err)
{
	AUTO(csr) struct csr *csr = NULL;
	AUTO_BUF struct buf der = BUF(CSR_DER_BYTES_MAX);
	int r;

	if (count > 2 * CSR_DER_BYTES_MAX ||
	        (der_from_pem(bytes, count, "CERTIFICATE REQUEST", &der) != 0 &&
	                der_from_pem(bytes, count, "NEW CERTIFICATE REQUEST", &der) != 0)) {
		return err_set(err, CSR_MALFORMED,
		        "not a request in DER or PEM, or larger than %d bytes", CSR_DER_BYTES_MAX);
	}
	csr = mem_new(1, sizeof(*csr));
	csr->der = mem_copy(der.bytes, der.count);
	csr->der_count = der.count;
	r = read_request(csr, err);
	if (r != 0) {
		return r;
	}
	*ret_csr = TAKE(csr);
	return 0;
}

struct csr *csr_free(struct csr *csr)
{
	if (csr) {
		key_free(csr->key);
		free(csr->der);
		free(csr);
	}
	return NULL;
}

const uint8_t *csr_der(const struct csr *csr, size_t *ret_count)
{
	*ret_count = csr->der_count;
	return csr->der;
}

const struct key *csr_key(const struct csr *csr)
{
	return csr->key;
}

const char *csr_common_name(const struct csr *csr)
{
	return csr->common_name;
}

const char *csr_serial_number(const struct csr *csr)
{
	return csr->serial_number;
}

/* Each attribute of the subject must be one the applicant gets, with the same text. */
static int check_subject(const struct csr *csr, const struct csr_wanted *wanted, struct err *err)
{
	for (size_t i = 0; i < csr->subject.count; i++) {
		enum oid oid = csr->subject.attributes[i].oid;
		const char *want = oid == OID_COMMON_NAME           ? wanted->common_name
		                   : oid == OID_ORGANIZATION        ? wanted->organization
		                   : oid == OID_ORGANIZATIONAL_UNIT ? wanted->unit
		                   : oid == OID_NAME_SERIAL_NUMBER  ? wanted->serial_number
		                                                    : NULL;
		char text[CERT_NAME_BYTES_MAX + 1];

		name_text(&csr->subject, oid, text);
		if (!want || text[0] == '\0' || strcmp(text, want) != 0) {
			return err_set(err, CSR_OTHER_NAME,
			        "the subject asks for \"%s\" where it would be \"%s\"", text,
			        want ? want : "nothing");
		}
	}
	return 0;
}

static int check_alt_name(const struct csr *csr, const struct csr_wanted *wanted, struct err *err)
{
	struct der in = csr->extensions.values[EXTENSION_ALT_NAME].value, names,
	           value = DER(NULL, 0);
	uint8_t tag;

	names = der_take(&in, DER_SEQUENCE);
	tag = alt_name_next(&names, &value);
	if (!wanted->dns_name || tag != DER_CONTEXT(2) || !der_end(&names) || !der_end(&in) ||
	        value.left != strlen(wanted->dns_name) ||
	        memcmp(value.at, wanted->dns_name, value.left) != 0) {
		return err_set(err, CSR_OTHER_NAME, "asks for other alternative names than \"%s\"",
		        wanted->dns_name ? wanted->dns_name : "none");
	}
	return 0;
}

static int check_usages(const struct csr *csr, enum cert_kind kind, struct err *err)
{
	const struct extension_value *values = csr->extensions.values;
	const struct extension_value *constraints = &values[EXTENSION_BASIC_CONSTRAINTS];
	const struct extension_value *usage = &values[EXTENSION_KEY_USAGE];
	const struct extension_value *extended = &values[EXTENSION_EXTENDED_KEY_USAGE];
	static const enum oid device[] = { OID_CLIENT_AUTH }, server[] = { OID_SERVER_AUTH };
	static const enum oid service[] = { OID_CLIENT_AUTH, OID_IPSEC_IKE };
	bool is_ca = false;
	unsigned bits;
	int path_length = -1;

	if (constraints->present &&
	        (!basic_constraints_read(constraints->value, &is_ca, &path_length) || is_ca ||
	                path_length >= 0)) {
		return err_set(err, CSR_CA, "asks to be a CA");
	}
	if (usage->present && (!key_usage_read(usage->value, &bits) ||
	                              (bits & ~(unsigned)KEY_USAGE_DIGITAL_SIGNATURE))) {
		return err_set(err, CSR_OTHER_USE, "asks for a key usage beyond digitalSignature");
	}
	if (!extended->present) {
		return 0;
	}
	if (kind == CERT_DEVICE       ? usages_are(extended->value, device, 1)
	        : kind == CERT_SERVER ? usages_are(extended->value, server, 1)
	                              : usages_are(extended->value, service, 2) ||
	                                        usages_are(extended->value, service, 1) ||
	                                        usages_are(extended->value, service + 1, 1)) {
		return 0;
	}
	return err_set(err, CSR_OTHER_USE, "asks for an extended key usage that it does not get");
}

/* Extensions that a request may name because they are checked above, or say nothing. */
static bool wish_known(enum extension extension)
{
	return extension == EXTENSION_ALT_NAME || extension == EXTENSION_BASIC_CONSTRAINTS ||
	       extension == EXTENSION_KEY_USAGE || extension == EXTENSION_EXTENDED_KEY_USAGE ||
	       extension == EXTENSION_SUBJECT_KEY_ID;
}

int csr_check(const struct csr *csr, const struct csr_wanted *wanted, struct err *err)
{
	int r = check_subject(csr, wanted, err);

	if (r == 0 && csr->has_extensions) {
		r = check_usages(csr, wanted->kind, err);
	}
	if (r == 0 && csr->extensions.values[EXTENSION_ALT_NAME].present) {
		r = check_alt_name(csr, wanted, err);
	}
	if (r != 0) {
		return r;
	}
	if (csr->unknown_attribute || csr->extensions.unknown > 0 || csr->extensions.repeated) {
		return err_set(err, CSR_UNKNOWN_WISH,
		        "has an attribute or extension that is not known here");
	}
	for (int i = 0; i < EXTENSION_COUNT; i++) {
		if (csr->extensions.values[i].present && !wish_known((enum extension)i)) {
			return err_set(err, CSR_UNKNOWN_WISH,
			        "asks for an extension that only the CA sets");
		}
	}
	if (wanted->key_blocked && wanted->key_blocked(wanted->context, key_hash(csr->key))) {
		return err_set(err, CSR_BLOCKED_KEY,
		        "this key must not be certified (known bad, revoked or in use)");
	}
	return 0;
}
