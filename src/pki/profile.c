/*
 * The profiles of cert.h as rules over our own reading of the certificate (A04, A06, Z04). Whatever
 * a profile does not name is refused, so an extension that appears in the world later is refused
 * too.
 */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "pki/signing.h"
#include "pki/tbs.h"

/* What differs between the kinds. */
struct profile {
	bool is_ca;
	int path_length;
	enum oid policy;    /* OID_NONE: none */
	enum oid usages[2]; /* OID_NONE: no (further) extended key usage */
	bool has_alt_name;
	bool nocheck;
	bool agrees;         /* keys are agreed on with it, nothing is signed */
	enum oid subject[4]; /* the attributes, each exactly once, in this order */
};

static const struct profile profiles[CERT_KIND_COUNT] = {
	[CERT_ROOT] = { .is_ca = true,
	        .path_length = 1,
	        .subject = { OID_ORGANIZATION, OID_COMMON_NAME } },
	[CERT_DEVICE_CA] = { .is_ca = true,
	        .path_length = 0,
	        .policy = OID_POLICY_DEVICE,
	        .subject = { OID_ORGANIZATION, OID_COMMON_NAME } },
	[CERT_SERVICE_CA] = { .is_ca = true,
	        .path_length = 0,
	        .policy = OID_POLICY_SERVICE,
	        .subject = { OID_ORGANIZATION, OID_COMMON_NAME } },
	[CERT_DEVICE] = { .policy = OID_POLICY_DEVICE,
	        .usages = { OID_CLIENT_AUTH },
	        .has_alt_name = true,
	        .subject = { OID_ORGANIZATION, OID_COMMON_NAME, OID_NAME_SERIAL_NUMBER } },
	[CERT_SERVICE] = { .policy = OID_POLICY_SERVICE,
	        .usages = { OID_CLIENT_AUTH, OID_IPSEC_IKE },
	        .has_alt_name = true,
	        .subject = { OID_ORGANIZATION, OID_ORGANIZATIONAL_UNIT, OID_COMMON_NAME } },
	[CERT_SERVER] = { .usages = { OID_SERVER_AUTH },
	        .has_alt_name = true,
	        .subject = { OID_ORGANIZATION, OID_COMMON_NAME } },
	[CERT_OCSP_RESPONDER] = { .usages = { OID_OCSP_SIGNING },
	        .nocheck = true,
	        .subject = { OID_ORGANIZATION, OID_COMMON_NAME } },
	[CERT_PERSON] = { .usages = { OID_EMAIL_PROTECTION },
	        .subject = { OID_ORGANIZATION, OID_ORGANIZATIONAL_UNIT, OID_COMMON_NAME } },
	[CERT_RECIPIENT] = { .usages = { OID_EMAIL_PROTECTION },
	        .agrees = true,
	        .subject = { OID_ORGANIZATION, OID_ORGANIZATIONAL_UNIT, OID_COMMON_NAME } },
};

static const struct extension_value *extension(const struct tbs *tbs, enum extension which)
{
	return &tbs->extensions.values[which];
}

static int lint_frame(const struct tbs *tbs, struct err *err)
{
	AUTO(key) struct key *key = NULL;
	int r;

	if (tbs->version != 2) {
		return err_set(err, 1, "version: must be 3");
	}
	if (tbs->serial.left < 8) {
		return err_set(
		        err, 1, "serial: shorter than 64 bits, so it cannot have been random");
	}
	if (tbs->not_before_sec >= tbs->not_after_sec) {
		return err_set(err, 1, "validity: ends before it begins");
	}
	r = key_parse(tbs->spki.at, tbs->spki.left, &key, err);
	if (r != 0) {
		return err_wrap(err, r, "public key");
	}
	if (tbs->extensions.repeated) {
		return err_set(err, 1, "extensions: one appears twice");
	}
	if (tbs->extensions.unknown > 0) {
		return err_set(err, 1, "extensions: one that the profile does not have%s",
		        tbs->extensions.unknown_critical ? " (critical)" : "");
	}
	return 0;
}

/* The signature algorithm inside must be one that key_verify_x509() takes. */
static int lint_algorithm(const struct tbs *tbs, struct err *err)
{
	for (int type = TOKEN_KEY_EC_P256; type <= TOKEN_KEY_ED25519; type++) {
		AUTO_BUF struct buf known = BUF(32);

		signing_add_algorithm(&known, (enum token_key_type)type);
		if (der_equal(DER(known.bytes, known.count), tbs->algorithm)) {
			return 0;
		}
	}
	return err_set(err, 1, "signature algorithm: not one of the accepted ones");
}

/* Plain text that means the same to every reader: no characters that names are quoted for. */
static bool plain_text(const char *text)
{
	size_t count = strlen(text);

	return count > 0 && text[0] != ' ' && text[count - 1] != ' ' &&
	       strcspn(text, ",+\"\\<>;=#*") == count;
}

/* The characters of a PrintableString (X.680 41.4) that plain_text() leaves. */
static bool printable_string(const char *text)
{
	static const char characters[] =
	        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	        " '()-./:?";

	return strspn(text, characters) == strlen(text);
}

static int lint_subject(const struct tbs *tbs, enum cert_kind kind, struct err *err)
{
	const struct profile *profile = &profiles[kind];
	const struct name *name = &tbs->subject;
	char text[CERT_NAME_BYTES_MAX + 1];
	size_t count = 0;

	while (count < ARRAY_COUNT(profile->subject) && profile->subject[count] != OID_NONE) {
		count++;
	}
	if (name->multiple || name->count != count) {
		return err_set(err, 1, "subject: must have exactly %zu attributes", count);
	}
	for (size_t i = 0; i < count; i++) {
		enum oid oid = profile->subject[i];
		uint8_t tag =
		        oid == OID_NAME_SERIAL_NUMBER ? DER_PRINTABLE_STRING : DER_UTF8_STRING;
		bool is_name = kind == CERT_SERVICE || kind == CERT_PERSON ||
		               kind == CERT_RECIPIENT ||
		               (kind == CERT_DEVICE && oid == OID_ORGANIZATION);

		name_text(name, oid, text);
		if (name->attributes[i].oid != oid || name->attributes[i].tag != tag ||
		        !plain_text(text) ||
		        (tag == DER_PRINTABLE_STRING && !printable_string(text))) {
			return err_set(err, 1,
			        "subject: attribute %zu is not the one or not the text it must be",
			        i + 1);
		}
		if (is_name && !name_valid(text)) {
			return err_set(err, 1,
			        "subject: \"%s\" is not a name (lower-case letters, digits, "
			        "hyphens)",
			        text);
		}
	}
	return 0;
}

static int lint_constraints(const struct tbs *tbs, const struct profile *profile, struct err *err)
{
	const struct extension_value *value = extension(tbs, EXTENSION_BASIC_CONSTRAINTS);
	unsigned usage, wanted = profile->is_ca    ? KEY_USAGE_CERT_SIGN | KEY_USAGE_CRL_SIGN
	                         : profile->agrees ? KEY_USAGE_KEY_AGREEMENT
	                                           : KEY_USAGE_DIGITAL_SIGNATURE;
	int path_length;
	bool is_ca;

	if (!value->present || !value->critical ||
	        !basic_constraints_read(value->value, &is_ca, &path_length)) {
		return err_set(err, 1, "basicConstraints: missing, not critical or malformed");
	}
	if (is_ca != profile->is_ca) {
		return err_set(err, 1,
		        is_ca ? "basicConstraints: is a CA and must not be"
		              : "basicConstraints: must be a CA");
	}
	if (path_length != (is_ca ? profile->path_length : -1)) {
		return err_set(
		        err, 1, "basicConstraints: path length is not %d", profile->path_length);
	}
	value = extension(tbs, EXTENSION_KEY_USAGE);
	if (!value->present || !value->critical || !key_usage_read(value->value, &usage) ||
	        usage != wanted) {
		return err_set(err, 1, "keyUsage: must be critical and exactly %s",
		        profile->is_ca    ? "keyCertSign and cRLSign"
		        : profile->agrees ? "keyAgreement"
		                          : "digitalSignature");
	}
	return 0;
}

static int lint_policy(const struct tbs *tbs, const struct profile *profile, struct err *err)
{
	const struct extension_value *value = extension(tbs, EXTENSION_POLICIES);
	const struct extension_value *usages = extension(tbs, EXTENSION_EXTENDED_KEY_USAGE);
	size_t count = (profile->usages[0] != OID_NONE) + (profile->usages[1] != OID_NONE);

	if (value->present != (profile->policy != OID_NONE) ||
	        (value->present &&
	                (value->critical || policy_read(value->value) != profile->policy))) {
		return err_set(err, 1, "certificatePolicies: not the one of this kind alone");
	}
	if (usages->present != (count > 0) || usages->critical ||
	        (usages->present && !usages_are(usages->value, profile->usages, count))) {
		return err_set(err, 1, "extendedKeyUsage: not exactly the ones of this kind");
	}
	value = extension(tbs, EXTENSION_OCSP_NOCHECK);
	if (value->present != profile->nocheck || value->critical ||
	        (value->present && !(value->value.left == 2 && value->value.at[0] == DER_NULL))) {
		return err_set(err, 1, "ocsp-nocheck: %s",
		        profile->nocheck ? "missing or malformed" : "not for this kind");
	}
	return 0;
}

static int lint_key_ids(const struct tbs *tbs, enum cert_kind kind, struct err *err)
{
	const struct extension_value *value = extension(tbs, EXTENSION_SUBJECT_KEY_ID);
	struct der in = value->value, content, id;

	content = value->present ? der_take(&in, DER_OCTET_STRING) : DER(NULL, 0);
	if (!value->present || value->critical || !der_end(&in) || content.left != 20) {
		return err_set(err, 1, "subjectKeyIdentifier: missing or not of 20 bytes");
	}
	value = extension(tbs, EXTENSION_AUTHORITY_KEY_ID);
	if (kind == CERT_ROOT && !value->present) {
		return 0;
	}
	in = value->value;
	content = value->present ? der_take(&in, DER_SEQUENCE) : DER(NULL, 0);
	id = der_take(&content, DER_CONTEXT(0));
	if (!value->present || value->critical || !der_end(&in) || !der_end(&content) ||
	        id.left != 20) {
		return err_set(
		        err, 1, "authorityKeyIdentifier: missing or not a key id of 20 bytes");
	}
	return 0;
}

/* A dNSName's bytes as text, or "" if they are not a host name of ours. A zero byte inside is the
 * classic trick (A04): the text would end before the name does. */
static void dns_text(struct der value, char out[IDENTITY_BYTES_MAX + 1])
{
	out[0] = '\0';
	if (value.left < 1 || value.left > IDENTITY_BYTES_MAX || memchr(value.at, 0, value.left)) {
		return;
	}
	memcpy(out, value.at, value.left);
	out[value.left] = '\0';
	if (!host_name_valid(out)) {
		out[0] = '\0';
	}
}

static int lint_device_name(const struct tbs *tbs, struct der names, struct err *err)
{
	char serial[CERT_NAME_BYTES_MAX + 1];
	size_t count;
	const uint8_t *gateway = oid_bytes(OID_HARDWARE_GATEWAY, &count);
	struct der value, type, number;
	uint8_t tag = alt_name_next(&names, &value);

	name_text(&tbs->subject, OID_NAME_SERIAL_NUMBER, serial);
	if (tag != DER_CONTEXT_MADE(0) || !der_end(&names) ||
	        !hardware_name_read(value, &type, &number) ||
	        !der_equal(type, DER(gateway, count))) {
		return err_set(
		        err, 1, "subjectAltName: must be one hardwareModuleName of a gateway");
	}
	if (number.left != strlen(serial) || memcmp(number.at, serial, number.left) != 0) {
		return err_set(err, 1, "subjectAltName: another serial number than the subject's");
	}
	return 0;
}

static int lint_service_name(const struct tbs *tbs, struct der names, struct err *err)
{
	char gateway[CERT_NAME_BYTES_MAX + 1], identity[IDENTITY_BYTES_MAX + 1];
	char wanted_start[CERT_NAME_BYTES_MAX + 2], provider[IDENTITY_BYTES_MAX + 1];
	struct der value;
	uint8_t tag = alt_name_next(&names, &value);
	size_t start, middle, suffix = strlen("." CERT_IDENTITY_SUFFIX), count;

	if (tag != DER_CONTEXT(2) || !der_end(&names)) {
		return err_set(err, 1, "subjectAltName: must be one dNSName");
	}
	dns_text(value, identity);
	name_text(&tbs->subject, OID_COMMON_NAME, gateway);
	snprintf(wanted_start, sizeof(wanted_start), "%s.", gateway);
	start = strlen(wanted_start);
	count = strlen(identity);
	if (!text_starts(identity, wanted_start) || count <= start + suffix ||
	        strcmp(identity + count - suffix, "." CERT_IDENTITY_SUFFIX) != 0) {
		return err_set(err, 1,
		        "subjectAltName: not \"%s.PROVIDER." CERT_IDENTITY_SUFFIX "\"", gateway);
	}
	middle = count - start - suffix;
	memcpy(provider, identity + start, middle);
	provider[middle] = '\0';
	if (!name_valid(provider)) {
		return err_set(
		        err, 1, "subjectAltName: \"%s\" is not the name of a provider", provider);
	}
	return 0;
}

static int lint_server_names(struct der names, struct err *err)
{
	size_t count[2] = { 0 };
	struct der value;

	if (der_end(&names)) {
		return err_set(err, 1, "subjectAltName: is empty");
	}
	while (!der_end(&names)) {
		uint8_t tag = alt_name_next(&names, &value);
		char text[IDENTITY_BYTES_MAX + 1];

		if (tag == DER_CONTEXT(2)) {
			dns_text(value, text);
			if (text[0] == '\0') {
				return err_set(
				        err, 1, "subjectAltName: a dNSName that is no host name");
			}
		} else if (tag != DER_CONTEXT(7) || (value.left != 4 && value.left != 16)) {
			return err_set(
			        err, 1, "subjectAltName: only dNSName and iPAddress are allowed");
		}
		if (++count[tag == DER_CONTEXT(7)] > CERT_DNS_NAMES_MAX) {
			return err_set(
			        err, 1, "subjectAltName: more than %d names", CERT_DNS_NAMES_MAX);
		}
	}
	return 0;
}

static int lint_alt_name(const struct tbs *tbs, enum cert_kind kind, struct err *err)
{
	const struct extension_value *value = extension(tbs, EXTENSION_ALT_NAME);
	struct der in = value->value, names;

	if (value->present != profiles[kind].has_alt_name || value->critical) {
		return err_set(err, 1, "subjectAltName: %s",
		        profiles[kind].has_alt_name ? "missing or critical" : "not for this kind");
	}
	if (!value->present) {
		return 0;
	}
	names = der_take(&in, DER_SEQUENCE);
	if (!der_end(&in)) {
		return err_set(err, 1, "subjectAltName: malformed");
	}
	switch (kind) {
	case CERT_DEVICE:
		return lint_device_name(tbs, names, err);
	case CERT_SERVICE:
		return lint_service_name(tbs, names, err);
	default:
		return lint_server_names(names, err);
	}
}

/* An http URL of printable characters. */
static bool is_url(struct der value)
{
	if (value.left < 8 || value.left > 255 || memcmp(value.at, "http", 4) != 0) {
		return false;
	}
	for (size_t i = 0; i < value.left; i++) {
		if (value.at[i] <= 0x20 || value.at[i] > 0x7e) {
			return false;
		}
	}
	return true;
}

static int lint_locations(const struct tbs *tbs, enum cert_kind kind, struct err *err)
{
	const struct extension_value *value = extension(tbs, EXTENSION_CRL_POINTS);
	struct der in, list, one, name, url;

	if (value->present) {
		in = value->value;
		list = der_take(&in, DER_SEQUENCE);
		one = der_take(&list, DER_SEQUENCE);
		name = der_take(&one, DER_CONTEXT_MADE(0));
		url = der_take(&name, DER_CONTEXT_MADE(0));
		in = der_take(&url, DER_CONTEXT(6));
		if (value->critical || !der_end(&list) || !der_end(&one) || !der_end(&name) ||
		        !der_end(&url) || !is_url(in) || kind == CERT_ROOT) {
			return err_set(err, 1, "cRLDistributionPoints: must be one http URL");
		}
	}
	value = extension(tbs, EXTENSION_AUTHORITY_INFORMATION);
	if (value->present) {
		enum oid method;

		in = value->value;
		list = der_take(&in, DER_SEQUENCE);
		one = der_take(&list, DER_SEQUENCE);
		method = der_take_oid(&one);
		url = der_take(&one, DER_CONTEXT(6));
		if (value->critical || !der_end(&list) || !der_end(&one) ||
		        method != OID_ACCESS_OCSP || !is_url(url) || kind == CERT_ROOT) {
			return err_set(err, 1, "authorityInfoAccess: must be one OCSP URL");
		}
	}
	return 0;
}

int tbs_lint(const struct tbs *tbs, enum cert_kind kind, struct err *err)
{
	const struct profile *profile = &profiles[kind];
	int r;

	if (kind == CERT_OTHER || kind >= CERT_KIND_COUNT) {
		return err_set(err, 1, "there is no profile for a certificate of another kind");
	}
	r = lint_frame(tbs, err);
	if (r == 0) {
		r = lint_algorithm(tbs, err);
	}
	if (r == 0) {
		r = lint_subject(tbs, kind, err);
	}
	if (r == 0) {
		r = lint_constraints(tbs, profile, err);
	}
	if (r == 0) {
		r = lint_policy(tbs, profile, err);
	}
	if (r == 0) {
		r = lint_key_ids(tbs, kind, err);
	}
	if (r == 0) {
		r = lint_alt_name(tbs, kind, err);
	}
	if (r == 0) {
		r = lint_locations(tbs, kind, err);
	}
	return r != 0 ? err_wrap(err, r, "%s certificate", cert_kind_name(kind)) : 0;
}

enum cert_kind tbs_kind(const struct tbs *tbs)
{
	const struct extension_value *policies = extension(tbs, EXTENSION_POLICIES);
	const struct extension_value *usages = extension(tbs, EXTENSION_EXTENDED_KEY_USAGE);
	const struct extension_value *constraints = extension(tbs, EXTENSION_BASIC_CONSTRAINTS);
	bool device = policies->present && policies_have(policies->value, OID_POLICY_DEVICE);
	bool service = policies->present && policies_have(policies->value, OID_POLICY_SERVICE);
	bool is_ca = false;
	int path_length;

	if ((constraints->present &&
	            !basic_constraints_read(constraints->value, &is_ca, &path_length)) ||
	        (device && service)) {
		return CERT_OTHER;
	}
	if (is_ca) {
		bool is_self = der_equal(tbs->subject.whole, tbs->issuer.whole);

		return device    ? CERT_DEVICE_CA
		       : service ? CERT_SERVICE_CA
		       : is_self ? CERT_ROOT
		                 : CERT_OTHER;
	}
	if (device || service) {
		return device ? CERT_DEVICE : CERT_SERVICE;
	}
	if (usages->present && usages_are(usages->value, profiles[CERT_SERVER].usages, 1)) {
		return CERT_SERVER;
	}
	if (usages->present && usages_are(usages->value, profiles[CERT_OCSP_RESPONDER].usages, 1)) {
		return CERT_OCSP_RESPONDER;
	}
	if (usages->present && usages_are(usages->value, profiles[CERT_PERSON].usages, 1)) {
		const struct extension_value *usage = extension(tbs, EXTENSION_KEY_USAGE);
		unsigned bits;

		return usage->present && key_usage_read(usage->value, &bits) &&
		                       bits == KEY_USAGE_KEY_AGREEMENT
		               ? CERT_RECIPIENT
		               : CERT_PERSON;
	}
	return CERT_OTHER;
}
