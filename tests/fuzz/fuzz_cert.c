/*
 * Certificates. What we accept, OpenSSL must read as the same bytes; what passes the profile of an
 * end certificate must not be a CA to OpenSSL either, and carry no extension it calls invalid
 * (Z04).
 */
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "base/buf.h"
#include "pki/cert.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static void check_against_openssl(const struct cert *cert)
{
	size_t count;
	const uint8_t *der = cert_der(cert, &count), *at = der;
	X509 *x509 = d2i_X509(NULL, &at, (long)count);
	enum cert_kind kind = cert_kind(cert);
	uint8_t *again = NULL;

	assert_always(x509 && at == der + count);
	assert_always(i2d_X509(x509, &again) == (int)count && memcmp(again, der, count) == 0);
	OPENSSL_free(again);
	if (kind != CERT_OTHER && cert_lint(cert, kind, NULL) == 0) {
		uint32_t flags = X509_get_extension_flags(x509);

		assert_always(!(flags & (EXFLAG_INVALID | EXFLAG_CRITICAL)));
		assert_always((X509_check_ca(x509) == 1) == cert_is_ca(cert));
		assert_always(X509_get_version(x509) == 2);
		assert_always(X509_get0_pubkey(x509) != NULL);
	}
	X509_free(x509);
	ERR_clear_error();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
	AUTO(cert) struct cert *cert = NULL, *again = NULL;
	AUTO_BUF struct buf pem = BUF(4 * CERT_DER_BYTES_MAX);
	struct cert *chain[2];
	size_t chain_count;

	if (cert_parse_chain((const char *)bytes, count, chain, 2, &chain_count, NULL) == 0) {
		for (size_t i = 0; i < chain_count; i++) {
			cert_free(chain[i]);
		}
	}
	if (cert_parse(bytes, count, &cert, NULL) != 0) {
		return 0;
	}
	cert_print_pem(cert, &pem);
	assert_always(cert_parse(pem.bytes, pem.count, &again, NULL) == 0);
	assert_always(key_hash_equal(cert_fingerprint(cert), cert_fingerprint(again)));
	check_against_openssl(cert);
	return 0;
}
