/*
 * Device information (B4): what the maker says about one box, sealed by the maker's key at
 * manufacture, kept in the token beside the device certificate and checked at registration
 * (protocol.md 1.2).
 *
 *     {"v":1,"maker":"acme","model":"SG-1","serial":"AC000017","firmware":"1.0",
 *      "spki":"base64 of the tier 1 public key","made_at":T}
 *
 * The seal's typ is "sekisho-device-information". It is bound to the key, so it cannot be carried
 * to another box, and to the serial that the device certificate carries.
 */
#pragma once

#include "pki/cert.h"
#include "pki/key.h"
#include "pki/seal.h"

#define DEVICE_INFORMATION_TYP "sekisho-device-information"
#define DEVICE_INFORMATION_LABEL "sekisho-device-information" /* of the token's data object */

struct device_information {
	char maker[NAME_BYTES_MAX + 1];
	char model[CERT_NAME_BYTES_MAX + 1];
	char serial[CERT_NAME_BYTES_MAX + 1];
	char firmware[CERT_NAME_BYTES_MAX + 1];
	uint8_t spki[KEY_SPKI_BYTES_MAX];
	size_t spki_count;
	int64_t made_at; /* microseconds; whole milliseconds are kept */
};

void device_information_print(const struct device_information *information, struct buf *out);
/* Strict. Outcome 1: err names the member. */
int device_information_parse(
        const char *json, size_t count, struct device_information *ret, struct err *err) must_use;

/* Adds the sealed text to `out`. Outcomes of token.h; 100: a field is not printable ASCII. */
int device_information_sign(const struct device_information *information, struct token_key *maker,
        struct buf *out, struct err *err) must_use;

/* Opens the seal with the maker's keys (from its accreditation). Outcomes of seal.h; a payload that
 * does not parse is SEAL_MALFORMED. */
int device_information_open(const char *text, size_t count, const struct key *const *makers,
        size_t maker_count, struct device_information *ret, struct err *err) must_use;

/* Holds it against the device certificate: key, serial, model and maker must be the same. Outcome
 * 1: err says which is not. */
int device_information_check(const struct device_information *information,
        const struct cert *device, struct err *err) must_use;
