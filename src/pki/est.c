#include "pki/est.h"

#include <string.h>

#include "base/str.h"
#include "pki/cert_private.h"
#include "pki/der.h"

#define EST_CERTS_MAX 16
#define EST_BODY_BYTES_MAX (2 * EST_CERTS_MAX * CERT_DER_BYTES_MAX)

/* The DER of a body that is base64 with line breaks, PEM with `label`, or DER. */
static int body_der(const void *body, size_t count, const char *label, struct buf *der)
{
	const char *text = body;
	AUTO_BUF struct buf digits = BUF(count + 1);

	if (der_from_pem(body, count, label, der) == 0) {
		return 0;
	}
	buf_reset(der);
	for (size_t i = 0; i < count; i++) {
		if (text[i] != '\n' && text[i] != '\r' && text[i] != ' ' && text[i] != '\t') {
			buf_add(&digits, text + i, 1);
		}
	}
	return digits.count > 0 ? base64_parse(buf_text(&digits), digits.count, der) : 1;
}

void est_certs_print(const struct cert *const *certs, size_t count, struct buf *out)
{
	AUTO_BUF struct buf der = BUF(EST_BODY_BYTES_MAX);
	size_t content = der_open(&der, DER_SEQUENCE), wrapped, data, inner, list;

	assert_always(count <= EST_CERTS_MAX);
	der_add_oid(&der, OID_PKCS7_SIGNED);
	wrapped = der_open(&der, DER_CONTEXT_MADE(0));
	data = der_open(&der, DER_SEQUENCE);
	der_add_u64(&der, 1);
	der_add(&der, DER_SET, NULL, 0); /* no digest algorithms */
	inner = der_open(&der, DER_SEQUENCE);
	der_add_oid(&der, OID_PKCS7_DATA);
	der_close(&der, inner);
	list = der_open(&der, DER_CONTEXT_MADE(0));
	for (size_t i = 0; i < count; i++) {
		size_t one_count;
		const uint8_t *one = cert_der(certs[i], &one_count);

		buf_add(&der, one, one_count);
	}
	der_close(&der, list);
	der_add(&der, DER_SET, NULL, 0); /* no signers */
	der_close(&der, data);
	der_close(&der, wrapped);
	der_close(&der, content);
	base64_add(out, der.bytes, der.count);
}

static bool open_certs(struct der in, struct der *ret_list)
{
	struct der content = der_take(&in, DER_SEQUENCE), wrapped, data, inner, unused;
	bool is_signed = der_take_oid(&content) == OID_PKCS7_SIGNED;

	wrapped = der_take(&content, DER_CONTEXT_MADE(0));
	data = der_take(&wrapped, DER_SEQUENCE);
	if (!is_signed || !der_end(&in) || !der_end(&content) || !der_end(&wrapped)) {
		return false;
	}
	der_take_u64(&data);
	der_take(&data, DER_SET);
	inner = der_take(&data, DER_SEQUENCE);
	if (der_take_oid(&inner) != OID_PKCS7_DATA || !der_end(&inner)) {
		return false;
	}
	*ret_list = der_take(&data, DER_CONTEXT_MADE(0));
	der_try(&data, DER_CONTEXT_MADE(1), &unused); /* CRLs that may come along */
	der_take(&data, DER_SET);
	return der_end(&data) && !ret_list->broken;
}

int est_certs_parse(const void *body, size_t count, struct cert **ret_certs, size_t max,
        size_t *ret_count, struct err *err)
{
	AUTO_BUF struct buf der = BUF(EST_BODY_BYTES_MAX);
	struct der list;
	size_t have = 0;
	int r = 0;

	if (count > EST_BODY_BYTES_MAX || body_der(body, count, "PKCS7", &der) != 0 ||
	        !open_certs(DER(der.bytes, der.count), &list)) {
		return err_set(err, 1, "not a certs-only PKCS#7 message");
	}
	while (r == 0 && !der_end(&list)) {
		struct der one = der_take_any(&list);

		r = have == max ? err_set(err, 1, "more than %zu certificates", max)
		                : cert_parse(one.at, one.left, &ret_certs[have], err);
		have += r == 0;
	}
	if (r != 0) {
		for (size_t i = 0; i < have; i++) {
			ret_certs[i] = cert_free(ret_certs[i]);
		}
		return r;
	}
	*ret_count = have;
	return 0;
}

int est_csr_parse(const void *body, size_t count, struct csr **ret_csr, struct err *err)
{
	AUTO_BUF struct buf der = BUF(CSR_DER_BYTES_MAX);

	if (count > 2 * CSR_DER_BYTES_MAX) {
		return err_set(
		        err, CSR_MALFORMED, "a request larger than %d bytes", CSR_DER_BYTES_MAX);
	}
	if (body_der(body, count, "CERTIFICATE REQUEST", &der) != 0) {
		return csr_parse(body, count, ret_csr, err);
	}
	return csr_parse(der.bytes, der.count, ret_csr, err);
}

void est_csr_print(const uint8_t *der, size_t count, struct buf *out)
{
	base64_add(out, der, count);
}

void est_csrattrs_print(struct buf *out)
{
	AUTO_BUF struct buf der = BUF(128);
	size_t list = der_open(&der, DER_SEQUENCE), attribute, set;

	attribute = der_open(&der, DER_SEQUENCE); /* RFC 7030 4.5.2: key type with its curve */
	der_add_oid(&der, OID_EC_PUBLIC_KEY);
	set = der_open(&der, DER_SET);
	der_add_oid(&der, OID_CURVE_P256);
	der_close(&der, set);
	der_close(&der, attribute);
	der_add_oid(&der, OID_ECDSA_SHA256);
	der_close(&der, list);
	base64_add(out, der.bytes, der.count);
}
