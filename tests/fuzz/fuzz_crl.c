/*
 * CRLs. What we accept has its entries in order, each of which is found, and OpenSSL counts as many
 * (Z05).
 */
#include <openssl/err.h>
#include <openssl/x509.h>
#include <string.h>

#include "pki/crl.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
	AUTO(crl) struct crl *crl = NULL;
	X509_CRL *other;
	const uint8_t *at;
	size_t der_count;

	if (crl_parse(bytes, count, &crl, NULL) != 0) {
		return 0;
	}
	for (size_t i = 0; i < crl_count(crl); i++) {
		const struct crl_entry *entry = crl_entry(crl, i);

		assert_always(crl_find(crl, entry->serial) == entry);
		assert_always(i == 0 || strcmp(crl_entry(crl, i - 1)->serial, entry->serial) < 0);
	}
	assert_always(crl_this_update_usec(crl) < crl_next_update_usec(crl));
	at = crl_der(crl, &der_count);
	other = d2i_X509_CRL(NULL, &at, (long)der_count);
	if (other) {
		int entries = sk_X509_REVOKED_num(X509_CRL_get_REVOKED(other));

		assert_always((size_t)(entries < 0 ? 0 : entries) == crl_count(crl));
		X509_CRL_free(other);
	}
	ERR_clear_error();
	return 0;
}
