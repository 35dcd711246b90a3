#include "pki/device_information.h"

#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "wire/json.h"

void device_information_print(const struct device_information *information, struct buf *out)
{
	AUTO_BUF struct buf spki = BUF(2 * KEY_SPKI_BYTES_MAX);
	AUTO_JSON json_t *object = NULL;

	base64_add(&spki, information->spki, information->spki_count);
	object = json_pack("{si,ss,ss,ss,ss,ss,ss}", "v", 1, "maker", information->maker, "model",
	        information->model, "serial", information->serial, "firmware",
	        information->firmware, "spki", buf_text(&spki), "made_at",
	        time_print(information->made_at).text);
	assert_always(object != NULL);
	json_print(object, out);
}

struct information_fields {
	uint64_t v;
	struct device_information information;
	struct buf spki;
};

#define TEXT_FIELD(member)                                                                         \
	{                                                                                          \
		JSON_FIELD(#member, FIELD_TEXT, struct information_fields, information.member),    \
		        .required = true, .min = 1, .max = CERT_NAME_BYTES_MAX                     \
	}

static const struct json_field fields[] = {
	{ JSON_FIELD("v", FIELD_COUNT, struct information_fields, v), .required = true, .min = 1,
	        .max = 1 },
	{ JSON_FIELD("maker", FIELD_NAME, struct information_fields, information.maker),
	        .required = true },
	TEXT_FIELD(model),
	TEXT_FIELD(serial),
	TEXT_FIELD(firmware),
	{ JSON_FIELD("spki", FIELD_BASE64, struct information_fields, spki), .required = true,
	        .min = 1, .max = KEY_SPKI_BYTES_MAX },
	{ JSON_FIELD("made_at", FIELD_TIME, struct information_fields, information.made_at),
	        .required = true },
	{ 0 },
};

/* These texts stand in certificates and on screens as they are. */
static bool is_plain(const char *text)
{
	size_t count = strlen(text);

	if (count < 1 || count > CERT_NAME_BYTES_MAX) {
		return false;
	}
	for (size_t i = 0; i < count; i++) {
		if (text[i] < 0x20 || text[i] > 0x7e) {
			return false;
		}
	}
	return true;
}

static int check(const struct device_information *information, struct err *err)
{
	AUTO(key) struct key *key = NULL;
	int r;

	if (!name_valid(information->maker)) {
		return err_set(err, 1, "maker: not a name");
	}
	if (!is_plain(information->model) || !is_plain(information->serial) ||
	        !is_plain(information->firmware)) {
		return err_set(err, 1,
		        "model, serial and firmware: 1 to %d printable ASCII characters",
		        CERT_NAME_BYTES_MAX);
	}
	r = key_parse(information->spki, information->spki_count, &key, err);
	return r != 0 ? err_wrap(err, r, "spki") : 0;
}

int device_information_parse(
        const char *json, size_t count, struct device_information *ret, struct err *err)
{
	struct information_fields values = { 0 };
	AUTO_BUF struct buf again = BUF(JWS_SMALL_BYTES_MAX);
	int r = json_read(json, count, fields, &values, NULL, err);

	if (r != 0) {
		return r;
	}
	*ret = values.information;
	memcpy(ret->spki, values.spki.bytes, values.spki.count);
	ret->spki_count = values.spki.count;
	json_fields_clear(fields, &values);
	r = check(ret, err);
	if (r != 0) {
		return r;
	}
	device_information_print(ret, &again);
	if (again.count != count || memcmp(again.bytes, json, count) != 0) {
		return err_set(
		        err, 1, "not in canonical form (sorted members, no blanks, milliseconds)");
	}
	return 0;
}

int device_information_sign(const struct device_information *information, struct token_key *maker,
        struct buf *out, struct err *err)
{
	AUTO_BUF struct buf payload = BUF(JWS_SMALL_BYTES_MAX);
	int r = check(information, err);

	if (r != 0) {
		return r > 0 ? 100 : r;
	}
	device_information_print(information, &payload);
	return seal_sign(maker, DEVICE_INFORMATION_TYP, payload.bytes, payload.count, out, err);
}

int device_information_open(const char *text, size_t count, const struct key *const *makers,
        size_t maker_count, struct device_information *ret, struct err *err)
{
	AUTO_BUF struct buf payload = BUF(JWS_SMALL_BYTES_MAX);
	int r = seal_open(
	        text, count, DEVICE_INFORMATION_TYP, makers, maker_count, &payload, NULL, err);

	if (r != 0) {
		return r;
	}
	r = device_information_parse(buf_text(&payload), payload.count, ret, err);
	return r > 0 ? SEAL_MALFORMED : r;
}

int device_information_check(
        const struct device_information *information, const struct cert *device, struct err *err)
{
	size_t count;
	const uint8_t *spki = cert_spki(device, &count);

	if (count != information->spki_count || memcmp(spki, information->spki, count) != 0) {
		return err_set(err, 1,
		        "the device certificate has another key than the device information");
	}
	if (strcmp(cert_serial_number(device), information->serial) != 0) {
		return err_set(err, 1,
		        "the device certificate is for serial \"%s\", the information for \"%s\"",
		        cert_serial_number(device), information->serial);
	}
	if (strcmp(cert_organization(device), information->maker) != 0) {
		return err_set(err, 1,
		        "the device certificate is of maker \"%s\", the information of \"%s\"",
		        cert_organization(device), information->maker);
	}
	if (strcmp(cert_common_name(device), information->model) != 0) {
		return err_set(err, 1,
		        "the device certificate is for model \"%s\", the information for \"%s\"",
		        cert_common_name(device), information->model);
	}
	return 0;
}
