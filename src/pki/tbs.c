#include "pki/tbs.h"

#include <string.h>

#include "base/str.h"

bool name_read(struct der *in, struct name *ret_name)
{
	struct der rdns = der_take_whole(in, DER_SEQUENCE, &ret_name->whole);

	ret_name->count = 0;
	ret_name->multiple = false;
	while (!der_end(&rdns)) {
		struct der set = der_take(&rdns, DER_SET);
		size_t in_set = 0;

		do {
			struct der pair = der_take(&set, DER_SEQUENCE), value;
			enum oid oid = der_take_oid(&pair);

			if (pair.broken || pair.left == 0 ||
			        ret_name->count == NAME_ATTRIBUTES_MAX) {
				return false;
			}
			ret_name->attributes[ret_name->count].oid = oid;
			ret_name->attributes[ret_name->count].tag = der_peek(&pair);
			value = der_take(&pair, der_peek(&pair));
			if (!der_end(&pair)) {
				return false;
			}
			ret_name->attributes[ret_name->count++].value = value;
			in_set++;
		} while (!der_end(&set));
		ret_name->multiple |= in_set > 1;
	}
	return !in->broken;
}

void name_add(struct buf *out, enum oid oid, uint8_t tag, const char *text)
{
	size_t set, pair;

	if (!text) {
		return;
	}
	set = der_open(out, DER_SET);
	pair = der_open(out, DER_SEQUENCE);
	der_add_oid(out, oid);
	der_add_text(out, tag, text);
	der_close(out, pair);
	der_close(out, set);
}

void name_text(const struct name *name, enum oid oid, char out[CERT_NAME_BYTES_MAX + 1])
{
	const struct der *found = NULL;

	out[0] = '\0';
	for (size_t i = 0; i < name->count; i++) {
		uint8_t tag = name->attributes[i].tag;

		if (name->attributes[i].oid != oid) {
			continue;
		}
		if (found || (tag != DER_UTF8_STRING && tag != DER_PRINTABLE_STRING &&
		                     tag != DER_IA5_STRING)) {
			return;
		}
		found = &name->attributes[i].value;
	}
	if (!found || found->left > CERT_NAME_BYTES_MAX) {
		return;
	}
	for (size_t i = 0; i < found->left; i++) {
		if (found->at[i] < 0x20 || found->at[i] > 0x7e) {
			return;
		}
	}
	memcpy(out, found->at, found->left);
	out[found->left] = '\0';
}

static const enum oid extension_oids[EXTENSION_COUNT] = {
	[EXTENSION_SUBJECT_KEY_ID] = OID_SUBJECT_KEY_IDENTIFIER,
	[EXTENSION_AUTHORITY_KEY_ID] = OID_AUTHORITY_KEY_IDENTIFIER,
	[EXTENSION_BASIC_CONSTRAINTS] = OID_BASIC_CONSTRAINTS,
	[EXTENSION_KEY_USAGE] = OID_KEY_USAGE,
	[EXTENSION_EXTENDED_KEY_USAGE] = OID_EXTENDED_KEY_USAGE,
	[EXTENSION_POLICIES] = OID_CERTIFICATE_POLICIES,
	[EXTENSION_ALT_NAME] = OID_SUBJECT_ALT_NAME,
	[EXTENSION_CRL_POINTS] = OID_CRL_DISTRIBUTION_POINTS,
	[EXTENSION_AUTHORITY_INFORMATION] = OID_AUTHORITY_INFORMATION,
	[EXTENSION_OCSP_NOCHECK] = OID_OCSP_NOCHECK,
};

static void note_extension(
        struct extensions *extensions, enum oid oid, bool critical, struct der value)
{
	for (int i = 0; i < EXTENSION_COUNT; i++) {
		if (extension_oids[i] == oid) {
			extensions->repeated |= extensions->values[i].present;
			extensions->values[i] = (struct extension_value){
				.present = true, .critical = critical, .value = value
			};
			return;
		}
	}
	extensions->unknown++;
	extensions->unknown_critical |= critical;
}

bool extensions_read(struct der in, struct extensions *ret)
{
	*ret = (struct extensions){ 0 };
	if (der_end(&in)) {
		return false; /* SIZE (1..MAX) */
	}
	while (!der_end(&in)) {
		struct der one = der_take(&in, DER_SEQUENCE), flag = DER(NULL, 0), value;
		enum oid oid = der_take_oid(&one);
		bool critical = der_try(&one, DER_BOOLEAN, &flag);

		value = der_take(&one, DER_OCTET_STRING);
		/* FALSE is the default and DER leaves defaults out. */
		if (!der_end(&one) || (critical && flag.at[0] != 0xff) ||
		        !der_canonical(value.at, value.left)) {
			return false;
		}
		note_extension(ret, oid, critical, value);
	}
	return true;
}

bool tbs_read(const uint8_t *bytes, size_t count, struct tbs *ret_tbs)
{
	struct der in = DER(bytes, count), tbs, part;

	*ret_tbs = (struct tbs){ 0 };
	if (!der_canonical(bytes, count)) {
		return false;
	}
	tbs = der_take_whole(&in, DER_SEQUENCE, &ret_tbs->whole);
	if (der_try(&tbs, DER_CONTEXT_MADE(0), &part)) {
		ret_tbs->version = der_take_u64(&part);
		if (!der_end(&part)) {
			return false;
		}
	}
	ret_tbs->serial = der_take_unsigned(&tbs);
	der_take_whole(&tbs, DER_SEQUENCE, &ret_tbs->algorithm);
	if (!name_read(&tbs, &ret_tbs->issuer)) {
		return false;
	}
	part = der_take(&tbs, DER_SEQUENCE);
	ret_tbs->not_before_sec = der_take_time(&part);
	ret_tbs->not_after_sec = der_take_time(&part);
	if (!der_end(&part) || !name_read(&tbs, &ret_tbs->subject)) {
		return false;
	}
	der_take_whole(&tbs, DER_SEQUENCE, &ret_tbs->spki);
	if (der_try(&tbs, DER_CONTEXT_MADE(3), &part)) {
		struct der list = der_take(&part, DER_SEQUENCE);

		if (!der_end(&part) || !extensions_read(list, &ret_tbs->extensions)) {
			return false;
		}
	}
	return der_end(&tbs) && der_end(&in) && ret_tbs->serial.left > 0 &&
	       ret_tbs->serial.left <= CERT_SERIAL_BYTES_MAX;
}

bool basic_constraints_read(struct der value, bool *ret_ca, int *ret_path_length)
{
	struct der in = der_take(&value, DER_SEQUENCE), flag;

	*ret_ca = false;
	*ret_path_length = -1;
	if (der_try(&in, DER_BOOLEAN, &flag)) {
		*ret_ca = flag.at[0] == 0xff;
		if (!*ret_ca) {
			return false; /* a default that DER leaves out */
		}
	}
	if (der_peek(&in) == DER_INTEGER) {
		uint64_t length = der_take_u64(&in);

		if (length > 255) {
			return false;
		}
		*ret_path_length = (int)length;
	}
	return der_end(&in) && der_end(&value);
}

bool key_usage_read(struct der value, unsigned *ret_usage)
{
	struct der bits = der_take(&value, DER_BIT_STRING);

	*ret_usage = 0;
	if (bits.broken || !der_end(&value) || bits.left < 2 || bits.left > 3) {
		return false;
	}
	for (size_t i = 0; i < 8 * (bits.left - 1); i++) {
		if (bits.at[1 + i / 8] & (0x80 >> (i % 8))) {
			*ret_usage |= 1u << i;
		}
	}
	return true;
}

bool usages_are(struct der value, const enum oid *wanted, size_t count)
{
	struct der in = der_take(&value, DER_SEQUENCE);
	unsigned seen = 0;

	while (!der_end(&in)) {
		enum oid oid = der_take_oid(&in);
		size_t i = 0;

		while (i < count && wanted[i] != oid) {
			i++;
		}
		if (in.broken || i == count || (seen & (1u << i))) {
			return false;
		}
		seen |= 1u << i;
	}
	return der_end(&value) && seen == (1u << count) - 1;
}

enum oid policy_read(struct der value)
{
	struct der list = der_take(&value, DER_SEQUENCE);
	struct der one = der_take(&list, DER_SEQUENCE);
	enum oid oid = der_take_oid(&one);

	return der_end(&one) && der_end(&list) && der_end(&value) ? oid : OID_NONE;
}

bool policies_have(struct der value, enum oid policy)
{
	struct der list = der_take(&value, DER_SEQUENCE);

	while (!list.broken && list.left > 0) {
		struct der one = der_take(&list, DER_SEQUENCE);

		if (der_take_oid(&one) == policy) {
			return true;
		}
	}
	return false;
}

uint8_t alt_name_next(struct der *names, struct der *ret_value)
{
	uint8_t tag = der_peek(names);

	if (tag != 0) {
		*ret_value = der_take(names, tag);
	}
	return names->broken ? 0 : tag;
}

bool hardware_name_read(struct der other, struct der *ret_type, struct der *ret_serial)
{
	enum oid oid = der_take_oid(&other);
	struct der wrapped = der_take(&other, DER_CONTEXT_MADE(0));
	struct der name = der_take(&wrapped, DER_SEQUENCE);

	*ret_type = der_take(&name, DER_OID);
	*ret_serial = der_take(&name, DER_OCTET_STRING);
	return oid == OID_HARDWARE_MODULE_NAME && der_end(&name) && der_end(&wrapped) &&
	       der_end(&other) && ret_serial->left > 0;
}

bool host_name_valid(const char *text)
{
	size_t count = strlen(text), label = 0;

	if (count < 1 || count > IDENTITY_BYTES_MAX) {
		return false;
	}
	for (size_t i = 0; i <= count; i++) {
		char c = text[i];

		if (c == '.' || c == '\0') {
			if (label < 1 || label > NAME_BYTES_MAX || text[i - 1] == '-') {
				return false;
			}
			label = 0;
			continue;
		}
		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
		            (c == '-' && label > 0))) {
			return false;
		}
		label++;
	}
	return true;
}
