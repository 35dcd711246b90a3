/*
 * PKCS#10 requests, as a body of EST. What we accept, OpenSSL must accept with the same key and a
 * good proof of possession.
 */
#include <openssl/err.h>
#include <openssl/x509.h>
#include <string.h>

#include "pki/est.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
	static const struct csr_wanted wanted = {
		.kind = CERT_SERVICE,
		.common_name = "gw-core",
		.organization = "core-hospital",
		.unit = "main-campus",
		.dns_name = "gw-core.kanto.sekisho.internal",
	};
	AUTO(csr) struct csr *csr = NULL;
	struct cert *certs[4];
	struct err err = { 0 };
	X509_REQ *request;
	const uint8_t *at;
	size_t der_count;
	int r;

	if (est_certs_parse(bytes, count, certs, 4, &der_count, NULL) == 0) {
		for (size_t i = 0; i < der_count; i++) {
			cert_free(certs[i]);
		}
	}
	r = est_csr_parse(bytes, count, &csr, &err);
	assert_always(r >= 0 && r <= CSR_NO_POSSESSION);
	assert_always((r == 0) == (err.text[0] == '\0'));
	if (r != 0) {
		return 0;
	}
	at = csr_der(csr, &der_count);
	request = d2i_X509_REQ(NULL, &at, (long)der_count);
	assert_always(request && X509_REQ_verify(request, X509_REQ_get0_pubkey(request)) == 1);
	X509_REQ_free(request);
	r = csr_check(csr, &wanted, &err);
	assert_always(r == 0 || (r >= CSR_OTHER_NAME && r <= CSR_BLOCKED_KEY));
	ERR_clear_error();
	return 0;
}
