/* Throw-away certificate authorities and leaves for the transport tests. */
#pragma once

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "loop/tls.h"

struct identity {
	EVP_PKEY *key;
	X509 *certificate;
};

static void extension_add(X509 *certificate, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX context;
	X509_EXTENSION *extension;

	X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	if (!extension) {
		abort();
	}
	X509_add_ext(certificate, extension, -1);
	X509_EXTENSION_free(extension);
}

/* A CA when `issuer` is NULL, else a leaf for localhost and 127.0.0.1. */
static struct identity identity_new(const char *name, const struct identity *issuer)
{
	static long serial;
	struct identity made = { EVP_EC_gen("P-256"), X509_new() };
	X509_NAME *subject = X509_get_subject_name(made.certificate);

	X509_set_version(made.certificate, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(made.certificate), ++serial);
	X509_gmtime_adj(X509_getm_notBefore(made.certificate), -3600);
	X509_gmtime_adj(X509_getm_notAfter(made.certificate), 3600);
	X509_NAME_add_entry_by_txt(
	        subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(
	        made.certificate, issuer ? X509_get_subject_name(issuer->certificate) : subject);
	X509_set_pubkey(made.certificate, made.key);
	if (issuer) {
		extension_add(made.certificate, issuer->certificate, NID_subject_alt_name,
		        "DNS:localhost,IP:127.0.0.1");
	} else {
		extension_add(made.certificate, made.certificate, NID_basic_constraints,
		        "critical,CA:TRUE");
	}
	X509_sign(made.certificate, issuer ? issuer->key : made.key, EVP_sha256());
	return made;
}

/* A context with our policy; `own` and `trusted` may be NULL. */
static SSL_CTX *context_new(bool server, const struct identity *own, const struct identity *trusted,
        const struct tls_policy *policy)
{
	SSL_CTX *context = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());

	if (own) {
		SSL_CTX_use_certificate(context, own->certificate);
		SSL_CTX_use_PrivateKey(context, own->key);
	}
	if (trusted) {
		X509_STORE_add_cert(SSL_CTX_get_cert_store(context), trusted->certificate);
	}
	if (tls_policy_apply(context, policy, NULL) != 0) {
		abort();
	}
	return context;
}
