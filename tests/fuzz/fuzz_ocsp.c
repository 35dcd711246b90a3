/*
 * OCSP requests, from anybody. A request that counts as simple must be one to OpenSSL, and asking
 * again for the serial that was read must read as that serial.
 */
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/x509.h>
#include <string.h>

#include "base/str.h"
#include "pki/ocsp.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

/* The issuer of the seeds: its ids depend on the name "fuzz" and on the key, which is the base
 * point of P-256. */
static struct cert *make_issuer(void)
{
	static const char spki[] =
	        "3059301306072a8648ce3d020106082a8648ce3d03010703420004"
	        "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
	        "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";
	uint8_t key_bytes[91], *der = NULL;
	const uint8_t *at = key_bytes;
	X509 *x509 = X509_new();
	EVP_PKEY *signer = EVP_EC_gen("P-256"), *key;
	struct cert *cert = NULL;
	int der_count;

	assert_always(hex_parse(spki, key_bytes, sizeof(key_bytes)) == 0);
	key = d2i_PUBKEY(NULL, &at, sizeof(key_bytes));
	assert_always(x509 && signer && key && X509_set_version(x509, 2));
	assert_always(ASN1_INTEGER_set_uint64(X509_get_serialNumber(x509), 1));
	assert_always(X509_NAME_add_entry_by_NID(X509_get_subject_name(x509), NID_commonName,
	        MBSTRING_UTF8, (const unsigned char *)"fuzz", -1, -1, 0));
	assert_always(X509_set_issuer_name(x509, X509_get_subject_name(x509)));
	assert_always(X509_gmtime_adj(X509_getm_notBefore(x509), 0) &&
	              X509_gmtime_adj(X509_getm_notAfter(x509), 86400));
	assert_always(X509_set_pubkey(x509, key) && X509_sign(x509, signer, EVP_sha256()));
	der_count = i2d_X509(x509, &der);
	assert_always(der_count > 0 && cert_parse(der, (size_t)der_count, &cert, NULL) == 0);
	OPENSSL_free(der);
	EVP_PKEY_free(signer);
	EVP_PKEY_free(key);
	X509_free(x509);
	return cert;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
	static struct cert *issuer;
	char serial[2 * CERT_SERIAL_BYTES_MAX + 1], again[2 * CERT_SERIAL_BYTES_MAX + 1];
	AUTO_BUF struct buf request = BUF(OCSP_REQUEST_BYTES_MAX);
	const uint8_t *at = bytes;
	OCSP_REQUEST *other;

	if (!issuer) {
		issuer = make_issuer();
	}
	if (ocsp_request_simple(issuer, bytes, count, serial) != 0) {
		return 0;
	}
	other = d2i_OCSP_REQUEST(NULL, &at, (long)count);
	assert_always(!other || OCSP_request_onereq_count(other) == 1);
	OCSP_REQUEST_free(other);
	ocsp_request_print(issuer, serial, NULL, 0, &request);
	assert_always(ocsp_request_simple(issuer, request.bytes, request.count, again) == 0);
	assert_always(strcmp(serial, again) == 0);
	ERR_clear_error();
	return 0;
}
