#include "pki/oid.h"

#include <string.h>

#include "base/err.h"

#define ARC "\x69\x81\xf7\x8e\xdf\xc3\xdd\x9d\xba\x80\xa3\x82\x8a\xea\xcb\xa2\xfc\xc2\xda\x29"

static const struct {
	const char *bytes;
	size_t count;
} oids[OID_COUNT] = {
#define ROW(bytes)                                                                                 \
	{                                                                                          \
		bytes, sizeof(bytes) - 1                                                           \
	}
	[OID_COMMON_NAME] = ROW("\x55\x04\x03"),
	[OID_NAME_SERIAL_NUMBER] = ROW("\x55\x04\x05"),
	[OID_ORGANIZATION] = ROW("\x55\x04\x0a"),
	[OID_ORGANIZATIONAL_UNIT] = ROW("\x55\x04\x0b"),
	[OID_SUBJECT_KEY_IDENTIFIER] = ROW("\x55\x1d\x0e"),
	[OID_KEY_USAGE] = ROW("\x55\x1d\x0f"),
	[OID_SUBJECT_ALT_NAME] = ROW("\x55\x1d\x11"),
	[OID_BASIC_CONSTRAINTS] = ROW("\x55\x1d\x13"),
	[OID_CRL_NUMBER] = ROW("\x55\x1d\x14"),
	[OID_CRL_REASON] = ROW("\x55\x1d\x15"),
	[OID_CRL_DISTRIBUTION_POINTS] = ROW("\x55\x1d\x1f"),
	[OID_CERTIFICATE_POLICIES] = ROW("\x55\x1d\x20"),
	[OID_AUTHORITY_KEY_IDENTIFIER] = ROW("\x55\x1d\x23"),
	[OID_EXTENDED_KEY_USAGE] = ROW("\x55\x1d\x25"),
	[OID_AUTHORITY_INFORMATION] = ROW("\x2b\x06\x01\x05\x05\x07\x01\x01"),
	[OID_SERVER_AUTH] = ROW("\x2b\x06\x01\x05\x05\x07\x03\x01"),
	[OID_CLIENT_AUTH] = ROW("\x2b\x06\x01\x05\x05\x07\x03\x02"),
	[OID_OCSP_SIGNING] = ROW("\x2b\x06\x01\x05\x05\x07\x03\x09"),
	[OID_IPSEC_IKE] = ROW("\x2b\x06\x01\x05\x05\x07\x03\x11"),
	[OID_EMAIL_PROTECTION] = ROW("\x2b\x06\x01\x05\x05\x07\x03\x04"),
	[OID_ACCESS_OCSP] = ROW("\x2b\x06\x01\x05\x05\x07\x30\x01"),
	[OID_OCSP_BASIC] = ROW("\x2b\x06\x01\x05\x05\x07\x30\x01\x01"),
	[OID_OCSP_NONCE] = ROW("\x2b\x06\x01\x05\x05\x07\x30\x01\x02"),
	[OID_OCSP_NOCHECK] = ROW("\x2b\x06\x01\x05\x05\x07\x30\x01\x05"),
	[OID_HARDWARE_MODULE_NAME] = ROW("\x2b\x06\x01\x05\x05\x07\x08\x04"),
	[OID_POLICY_DEVICE] = ROW(ARC "\x01"),
	[OID_POLICY_SERVICE] = ROW(ARC "\x02"),
	[OID_HARDWARE_GATEWAY] = ROW(ARC "\x03"),
	[OID_FILE_LABEL] = ROW(ARC "\x04"),
	[OID_EC_PUBLIC_KEY] = ROW("\x2a\x86\x48\xce\x3d\x02\x01"),
	[OID_CURVE_P256] = ROW("\x2a\x86\x48\xce\x3d\x03\x01\x07"),
	[OID_CURVE_P384] = ROW("\x2b\x81\x04\x00\x22"),
	[OID_RSA] = ROW("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01"),
	[OID_ED25519] = ROW("\x2b\x65\x70"),
	[OID_ECDSA_SHA256] = ROW("\x2a\x86\x48\xce\x3d\x04\x03\x02"),
	[OID_ECDSA_SHA384] = ROW("\x2a\x86\x48\xce\x3d\x04\x03\x03"),
	[OID_ECDSA_SHA512] = ROW("\x2a\x86\x48\xce\x3d\x04\x03\x04"),
	[OID_RSA_SHA256] = ROW("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b"),
	[OID_RSA_SHA384] = ROW("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c"),
	[OID_RSA_SHA512] = ROW("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d"),
	[OID_SHA1] = ROW("\x2b\x0e\x03\x02\x1a"),
	[OID_SHA256] = ROW("\x60\x86\x48\x01\x65\x03\x04\x02\x01"),
	[OID_SHA384] = ROW("\x60\x86\x48\x01\x65\x03\x04\x02\x02"),
	[OID_SHA512] = ROW("\x60\x86\x48\x01\x65\x03\x04\x02\x03"),
	[OID_PKCS7_DATA] = ROW("\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01"),
	[OID_PKCS7_SIGNED] = ROW("\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02"),
	[OID_EXTENSION_REQUEST] = ROW("\x2a\x86\x48\x86\xf7\x0d\x01\x09\x0e"),
	[OID_CHALLENGE_PASSWORD] = ROW("\x2a\x86\x48\x86\xf7\x0d\x01\x09\x07"),
	[OID_CONTENT_TYPE] = ROW("\x2a\x86\x48\x86\xf7\x0d\x01\x09\x03"),
	[OID_MESSAGE_DIGEST] = ROW("\x2a\x86\x48\x86\xf7\x0d\x01\x09\x04"),
	[OID_SIGNING_TIME] = ROW("\x2a\x86\x48\x86\xf7\x0d\x01\x09\x05"),
	[OID_CMS_ENVELOPED] = ROW("\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03"),
	[OID_CMS_AUTH_ENVELOPED] = ROW("\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x17"),
	[OID_ECDH_SHA256_KDF] = ROW("\x2b\x81\x04\x01\x0b\x01"),
	[OID_ECDH_SHA384_KDF] = ROW("\x2b\x81\x04\x01\x0b\x02"),
	[OID_AES128_WRAP] = ROW("\x60\x86\x48\x01\x65\x03\x04\x01\x05"),
	[OID_AES256_WRAP] = ROW("\x60\x86\x48\x01\x65\x03\x04\x01\x2d"),
	[OID_AES128_GCM] = ROW("\x60\x86\x48\x01\x65\x03\x04\x01\x06"),
	[OID_AES256_GCM] = ROW("\x60\x86\x48\x01\x65\x03\x04\x01\x2e"),
#undef ROW
};

const uint8_t *oid_bytes(enum oid oid, size_t *ret_count)
{
	assert_always(oid > OID_NONE && oid < OID_COUNT);
	*ret_count = oids[oid].count;
	return (const uint8_t *)oids[oid].bytes;
}

enum oid oid_find(const uint8_t *bytes, size_t count)
{
	for (int i = OID_NONE + 1; i < OID_COUNT; i++) {
		if (oids[i].count == count && memcmp(oids[i].bytes, bytes, count) == 0) {
			return (enum oid)i;
		}
	}
	return OID_NONE;
}
