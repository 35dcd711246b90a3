/*
 * Makes sealed files with OpenSSL's own CMS, which shares nothing with src/pki/cms_*: for tests of
 * what is opened and what is refused. Keys are in files here.
 *
 *     cms_forge IN OUT key=… cert=… ca=… for=… label=… [digest=sha256] [cipher=aes-256-gcm]
 *               [kdf=sha256] [sign=no] [wrong=yes]
 *
 * sign=no leaves the signature out, wrong=yes signs with the certificate of cert= and another key's
 * digest (the content is changed after it was signed).
 */
#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *option(int argc, char **argv, const char *name, const char *initial)
{
	size_t count = strlen(name);

	for (int i = 3; i < argc; i++) {
		if (strncmp(argv[i], name, count) == 0 && argv[i][count] == '=') {
			return argv[i] + count + 1;
		}
	}
	return initial;
}

static void must(int good, const char *what)
{
	if (!good) {
		fprintf(stderr, "cms_forge: %s\n", what);
		ERR_print_errors_fp(stderr);
		exit(1);
	}
}

static X509 *certificate(const char *path)
{
	BIO *file = BIO_new_file(path, "r");
	X509 *cert;

	must(file != NULL, path);
	cert = PEM_read_bio_X509(file, NULL, NULL, NULL);
	must(cert != NULL, path);
	BIO_free(file);
	return cert;
}

static BIO *sign(BIO *in, int argc, char **argv)
{
	const char *label = option(argc, argv, "label", NULL);
	const char *ca = option(argc, argv, "ca", NULL);
	BIO *file = BIO_new_file(option(argc, argv, "key", ""), "r"), *out = BIO_new(BIO_s_mem());
	EVP_PKEY *key = file ? PEM_read_bio_PrivateKey(file, NULL, NULL, NULL) : NULL;
	X509 *cert = certificate(option(argc, argv, "cert", ""));
	CMS_ContentInfo *cms;
	CMS_SignerInfo *signer;

	must(key != NULL, "key");
	cms = CMS_sign(NULL, NULL, NULL, NULL, CMS_PARTIAL | CMS_BINARY);
	must(cms != NULL, "sign");
	signer = CMS_add1_signer(cms, cert, key,
	        EVP_get_digestbyname(option(argc, argv, "digest", "sha256")),
	        CMS_BINARY | CMS_NOSMIMECAP);
	must(signer != NULL, "signer");
	if (ca) {
		X509 *issuer = certificate(ca);

		must(CMS_add1_cert(cms, issuer), "ca");
		X509_free(issuer);
	}
	if (label) {
		must(CMS_signed_add1_attr_by_txt(signer,
		             "2.25.164236224757255399453184983827397782825.4", V_ASN1_UTF8STRING,
		             label, (int)strlen(label)),
		        "label");
	}
	must(CMS_final(cms, in, NULL, CMS_BINARY), "final");
	if (strcmp(option(argc, argv, "wrong", "no"), "yes") == 0) {
		ASN1_OCTET_STRING **content = CMS_get0_content(cms);

		must((*content)->length > 0, "content");
		(*content)->data[0] ^= 1;
	}
	must(i2d_CMS_bio(out, cms), "write");
	CMS_ContentInfo_free(cms);
	EVP_PKEY_free(key);
	X509_free(cert);
	BIO_free(file);
	return out;
}

int main(int argc, char **argv)
{
	BIO *in, *out, *content;
	CMS_ContentInfo *cms;
	CMS_RecipientInfo *recipient;
	X509 *cert;

	must(argc > 3, "usage: cms_forge IN OUT NAME=VALUE…");
	in = BIO_new_file(argv[1], "r");
	out = BIO_new_file(argv[2], "w");
	must(in && out, "IN or OUT");
	content = strcmp(option(argc, argv, "sign", "yes"), "no") == 0 ? in : sign(in, argc, argv);
	cert = certificate(option(argc, argv, "for", ""));
	cms = CMS_encrypt(NULL, NULL,
	        EVP_get_cipherbyname(option(argc, argv, "cipher", "aes-256-gcm")),
	        CMS_PARTIAL | CMS_BINARY);
	must(cms != NULL, "encrypt");
	recipient = CMS_add1_recipient_cert(cms, cert, CMS_KEY_PARAM);
	must(recipient != NULL, "recipient");
	must(EVP_PKEY_CTX_set_ecdh_kdf_md(CMS_RecipientInfo_get0_pkey_ctx(recipient),
	             EVP_get_digestbyname(option(argc, argv, "kdf", "sha256"))) > 0,
	        "kdf");
	must(CMS_final(cms, content, NULL, CMS_BINARY), "final");
	must(i2d_CMS_bio(out, cms), "write");
	CMS_ContentInfo_free(cms);
	X509_free(cert);
	if (content != in) {
		BIO_free(content);
	}
	BIO_free(in);
	BIO_free(out);
	return 0;
}
