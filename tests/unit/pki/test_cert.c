#include "../check.h"

#include <openssl/conf.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/str.h"
#include "pki/ca.h"
#include "pki/csr.h"
#include "pki/est.h"
#include "pki/tbs.h"
#include "world.h"

TEST(the_ceremony_keeps_its_profiles)
{
	struct world *world = world_get();
	struct err err = { 0 };
	char gateway[NAME_BYTES_MAX + 1], provider[NAME_BYTES_MAX + 1];

	CHECK(cert_lint(world->root, CERT_ROOT, &err) == 0);
	CHECK(cert_lint(world->device_ca, CERT_DEVICE_CA, &err) == 0);
	CHECK(cert_lint(world->service_ca, CERT_SERVICE_CA, &err) == 0);
	CHECK(cert_lint(world->device, CERT_DEVICE, &err) == 0);
	CHECK(cert_lint(world->service, CERT_SERVICE, &err) == 0);
	CHECK(cert_lint(world->server, CERT_SERVER, &err) == 0);
	CHECK(cert_kind(world->device) == CERT_DEVICE && cert_is_device_tier(world->device) &&
	        !cert_is_service_tier(world->device));
	CHECK(cert_kind(world->service) == CERT_SERVICE && cert_is_service_tier(world->service));
	CHECK(cert_kind(world->server) == CERT_SERVER);
	CHECK(cert_lint(world->service, CERT_DEVICE, &err) == 1);
	CHECK(cert_lint(world->device, CERT_SERVICE, &err) == 1);
	CHECK_TEXT(cert_serial_number(world->device), "AC000017");
	CHECK_TEXT(cert_hardware_serial(world->device), "AC000017");
	CHECK_TEXT(cert_common_name(world->service), "gw-core");
	CHECK_TEXT(cert_unit(world->service), "main-campus");
	CHECK_TEXT(cert_subject(world->service), "CN=gw-core,OU=main-campus,O=core-hospital");
	CHECK(cert_identity(world->service, gateway, provider) == 0);
	CHECK_TEXT(gateway, "gw-core");
	CHECK_TEXT(provider, "kanto");
	CHECK(strlen(cert_serial(world->service)) >= 30 &&
	        strlen(cert_serial(world->service)) % 2 == 0);
	CHECK(strcmp(cert_serial(world->service), cert_serial(world->server)) != 0);
	CHECK(cert_renew_usec(world->service) > cert_not_before_usec(world->service) &&
	        cert_renew_usec(world->service) < cert_not_after_usec(world->service));
}

TEST(openssl_agrees_with_the_ceremony)
{
	struct world *world = world_get();
	AUTO_STRING char *root = world_write_cert("root.pem", world->root);
	AUTO_STRING char *device_ca = world_write_cert("device-ca.pem", world->device_ca);
	AUTO_STRING char *service_ca = world_write_cert("service-ca.pem", world->service_ca);
	AUTO_STRING char *device = world_write_cert("device.pem", world->device);
	AUTO_STRING char *service = world_write_cert("service.pem", world->service);
	AUTO_STRING char *server = world_write_cert("server.pem", world->server);

	CHECK(world_run(
	              "openssl verify -x509_strict -CAfile %s -untrusted %s -purpose sslclient %s",
	              root, device_ca, device) == 0);
	CHECK(world_run(
	              "openssl verify -x509_strict -CAfile %s -untrusted %s -purpose sslclient %s",
	              root, service_ca, service) == 0);
	CHECK(world_run("openssl verify -x509_strict -CAfile %s -untrusted %s -purpose sslserver "
	                "-verify_hostname center.example %s",
	              root, service_ca, server) == 0);
	CHECK(world_run("openssl verify -x509_strict -CAfile %s -untrusted %s %s", root, device_ca,
	              service) != 0);
	CHECK(world_run("openssl x509 -in %s -noout -text > service.txt", service) == 0);
	CHECK(world_run("grep -q 'DNS:gw-core.kanto.sekisho.internal' service.txt") == 0);
	CHECK(world_run("grep -q '2.25.164236224757255399453184983827397782825.2' service.txt") ==
	        0);
	CHECK(world_run("grep -q 'ipsec Internet Key Exchange' service.txt") == 0);
	CHECK(world_run("openssl x509 -in %s -noout -text | grep -q 'othername:'", device) == 0);
}

TEST(pem_and_der_read_the_same)
{
	struct world *world = world_get();
	AUTO(cert) struct cert *again = NULL;
	AUTO_BUF struct buf pem = BUF(4 * CERT_DER_BYTES_MAX);
	struct cert *chain[3];
	struct err err = { 0 };
	size_t count, other;
	const uint8_t *der, *same;

	cert_print_pem(world->service, &pem);
	CHECK(cert_parse(pem.bytes, pem.count, &again, &err) == 0);
	der = cert_der(again, &count);
	same = cert_der(world->service, &other);
	CHECK(count == other && memcmp(der, same, count) == 0);
	CHECK(key_hash_equal(cert_fingerprint(again), cert_fingerprint(world->service)));
	cert_print_pem(world->service_ca, &pem);
	CHECK(cert_parse_chain(buf_text(&pem), pem.count, chain, 3, &count, &err) == 0 &&
	        count == 2);
	CHECK(cert_signed_by(chain[0], chain[1]) == 0 && cert_signed_by(chain[1], chain[0]) == 1);
	cert_free(chain[0]);
	cert_free(chain[1]);
	CHECK(cert_parse_chain(buf_text(&pem), pem.count, chain, 1, &count, &err) == 1);
	CHECK(cert_parse(same, other - 1, chain, &err) == 1);
}

/* Certificates that a careless or bought CA might make: changed with OpenSSL after the good one,
 * and signed well by the service CA through the OpenSSL bridge. */
typedef void spoiler(X509 *x509);

static void set_extension(X509 *x509, int nid, const char *value)
{
	int at = X509_get_ext_by_NID(x509, nid, -1);
	X509_EXTENSION *extension;
	X509V3_CTX context;
	CONF *conf = NCONF_new(NULL);

	X509V3_set_ctx(&context, x509, x509, NULL, NULL, 0);
	X509V3_set_nconf(&context, conf);
	if (at >= 0) {
		X509_EXTENSION_free(X509_delete_ext(x509, at));
	}
	if (!value) {
		NCONF_free(conf);
		return;
	}
	extension = X509V3_EXT_nconf_nid(NULL, &context, nid, value);
	assert_always(extension && X509_add_ext(x509, extension, -1));
	X509_EXTENSION_free(extension);
	NCONF_free(conf);
}

static void be_ca(X509 *x509)
{
	set_extension(x509, NID_basic_constraints, "critical,CA:TRUE");
}

static void have_path_length(X509 *x509)
{
	set_extension(x509, NID_basic_constraints, "critical,pathlen:0");
}

static void lose_constraints(X509 *x509)
{
	set_extension(x509, NID_basic_constraints, NULL);
}

static void sign_certificates(X509 *x509)
{
	set_extension(x509, NID_key_usage, "critical,digitalSignature,keyCertSign");
}

static void have_more_usages(X509 *x509)
{
	set_extension(x509, NID_ext_key_usage, "clientAuth,1.3.6.1.5.5.7.3.17,serverAuth");
}

static void have_any_usage(X509 *x509)
{
	set_extension(x509, NID_ext_key_usage, "anyExtendedKeyUsage");
}

static void have_two_names(X509 *x509)
{
	set_extension(x509, NID_subject_alt_name,
	        "DNS:gw-core.kanto.sekisho.internal,DNS:gw-other.kanto.sekisho.internal");
}

static void have_another_name(X509 *x509)
{
	set_extension(x509, NID_subject_alt_name, "DNS:gw-other.kanto.sekisho.internal");
}

static void have_a_wildcard(X509 *x509)
{
	set_extension(x509, NID_subject_alt_name, "DNS:*.kanto.sekisho.internal");
}

static void have_a_mail_name(X509 *x509)
{
	set_extension(x509, NID_subject_alt_name, "email:a@b.example");
}

static void have_a_zero_byte(X509 *x509)
{
	static const char name[] = "gw-core.kanto.sekisho.internal\0.evil.example";
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	GENERAL_NAME *one = GENERAL_NAME_new();
	ASN1_IA5STRING *text = ASN1_IA5STRING_new();

	set_extension(x509, NID_subject_alt_name, NULL);
	assert_always(names && one && text && ASN1_STRING_set(text, name, sizeof(name) - 1));
	GENERAL_NAME_set0_value(one, GEN_DNS, text);
	assert_always(sk_GENERAL_NAME_push(names, one) > 0);
	assert_always(X509_add1_ext_i2d(x509, NID_subject_alt_name, names, 0, 0) == 1);
	GENERAL_NAMES_free(names);
}

static void have_both_policies(X509 *x509)
{
	set_extension(x509, NID_certificate_policies,
	        "2.25.164236224757255399453184983827397782825.1,"
	        "2.25.164236224757255399453184983827397782825.2");
}

static void have_no_policy(X509 *x509)
{
	set_extension(x509, NID_certificate_policies, NULL);
}

static void have_the_other_policy(X509 *x509)
{
	set_extension(
	        x509, NID_certificate_policies, "2.25.164236224757255399453184983827397782825.1");
}

static void have_an_unknown_critical(X509 *x509)
{
	set_extension(x509, NID_name_constraints, "critical,permitted;DNS:example");
}

static void have_an_unknown(X509 *x509)
{
	set_extension(x509, NID_netscape_comment, "hello");
}

static void have_a_short_serial(X509 *x509)
{
	assert_always(ASN1_INTEGER_set_uint64(X509_get_serialNumber(x509), 7));
}

static void end_before_the_beginning(X509 *x509)
{
	assert_always(X509_gmtime_adj(X509_getm_notAfter(x509), -86400) != NULL);
}

static void have_a_capital_name(X509 *x509)
{
	X509_NAME *name = X509_get_subject_name(x509);
	int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);

	X509_NAME_ENTRY_free(X509_NAME_delete_entry(name, at));
	assert_always(X509_NAME_add_entry_by_NID(
	        name, NID_commonName, MBSTRING_UTF8, (const unsigned char *)"GW-Core", -1, -1, 0));
}

static void have_two_common_names(X509 *x509)
{
	assert_always(X509_NAME_add_entry_by_NID(X509_get_subject_name(x509), NID_commonName,
	        MBSTRING_UTF8, (const unsigned char *)"gw-core", -1, -1, 0));
}

static void set_key(X509 *x509, EVP_PKEY *pkey)
{
	assert_always(pkey && X509_set_pubkey(x509, pkey) == 1);
	EVP_PKEY_free(pkey);
}

static void have_a_short_rsa_key(X509 *x509)
{
	set_key(x509, EVP_RSA_gen(1024));
}

static void have_another_curve(X509 *x509)
{
	set_key(x509, EVP_EC_gen("secp256k1"));
}

static void be_version_one(X509 *x509)
{
	while (X509_get_ext_count(x509) > 0) {
		X509_EXTENSION_free(X509_delete_ext(x509, 0));
	}
	assert_always(X509_set_version(x509, 0));
}

static void keep(X509 *x509)
{
	assert_always(X509_get_version(x509) == 2);
}

static const struct {
	const char *name;
	spoiler *spoil;
	const char *why; /* in the refusal; NULL: passes */
} spoils[] = {
	{ "nothing changed", keep, NULL },
	{ "CA:TRUE", be_ca, "basicConstraints" },
	{ "path length in an end certificate", have_path_length, "basicConstraints" },
	{ "no basicConstraints", lose_constraints, "basicConstraints" },
	{ "keyCertSign", sign_certificates, "keyUsage" },
	{ "extra extended key usage", have_more_usages, "extendedKeyUsage" },
	{ "any extended key usage", have_any_usage, "extendedKeyUsage" },
	{ "two names", have_two_names, "subjectAltName" },
	{ "another gateway's name", have_another_name, "subjectAltName" },
	{ "wildcard", have_a_wildcard, "subjectAltName" },
	{ "mail address as name", have_a_mail_name, "subjectAltName" },
	{ "zero byte in the name", have_a_zero_byte, "subjectAltName" },
	{ "both tiers", have_both_policies, "certificatePolicies" },
	{ "neither tier", have_no_policy, "certificatePolicies" },
	{ "the other tier's policy", have_the_other_policy, "certificatePolicies" },
	{ "unknown critical extension", have_an_unknown_critical, "critical" },
	{ "unknown extension", have_an_unknown, "extensions" },
	{ "guessable serial", have_a_short_serial, "serial" },
	{ "validity upside down", end_before_the_beginning, "validity" },
	{ "capital letters", have_a_capital_name, "subject" },
	{ "two common names", have_two_common_names, "subject" },
	{ "RSA 1024", have_a_short_rsa_key, "public key" },
	{ "another curve", have_another_curve, "public key" },
	{ "version 1", be_version_one, "version" },
};

static struct cert *spoiled(spoiler *spoil, struct token_key *signer)
{
	struct world *world = world_get();
	size_t count;
	const uint8_t *at = cert_der(world->service, &count);
	X509 *x509 = d2i_X509(NULL, &at, (long)count);
	struct cert *cert = NULL;
	struct err err = { 0 };
	uint8_t *der = NULL;
	EVP_PKEY *pkey;
	int der_count;

	assert_always(x509 && token_key_pkey(signer, &pkey, &err) == 0);
	spoil(x509);
	assert_always(X509_sign(x509, pkey, EVP_sha256()) > 0);
	der_count = i2d_X509(x509, &der);
	assert_always(der_count > 0);
	if (cert_parse(der, (size_t)der_count, &cert, &err) != 0) {
		printf("# does not parse: %s\n", err.text);
	}
	OPENSSL_free(der);
	X509_free(x509);
	return cert;
}

TEST(the_lint_refuses_each_with_its_reason)
{
	struct world *world = world_get();
	bool all = true;

	for (size_t i = 0; i < ARRAY_COUNT(spoils); i++) {
		AUTO(cert) struct cert *cert = spoiled(spoils[i].spoil, world->service_ca_key);
		struct err err = { 0 };
		int r;

		CHECK(cert != NULL);
		CHECK(cert_signed_by(cert, world->service_ca) == 0);
		r = cert_lint(cert, CERT_SERVICE, &err);
		if (spoils[i].why ? r != 1 || !strstr(err.text, spoils[i].why) : r != 0) {
			printf("# %s: %d \"%s\"\n", spoils[i].name, r, err.text);
			all = false;
		}
	}
	CHECK(all);
}

TEST(the_signer_refuses_what_breaks_the_profile)
{
	struct world *world = world_get();

	for (size_t i = 1; i < ARRAY_COUNT(spoils); i++) {
		AUTO(cert)
		struct cert *cert = spoiled(spoils[i].spoil, world->service_ca_key), *made = NULL;
		size_t count;
		struct der in, outer, tbs;

		CHECK(cert != NULL);
		in.at = cert_der(cert, &count);
		in = DER(in.at, count);
		outer = der_take(&in, DER_SEQUENCE);
		der_take_whole(&outer, DER_SEQUENCE, &tbs);
		CHECK(ca_sign(world->service_authority, tbs.at, tbs.left,
		              key_hash_of(tbs.at, tbs.left), &made, NULL) == CA_REFUSED);
	}
}

TEST(what_was_approved_is_what_is_signed)
{
	struct world *world = world_get();
	AUTO(key) struct key *key = world_key(world->service_key);
	struct ca_request request = world_request(CERT_SERVICE, key, 30);
	AUTO_BUF struct buf approved = BUF(CERT_DER_BYTES_MAX), other = BUF(CERT_DER_BYTES_MAX);
	AUTO(cert) struct cert *cert = NULL;
	struct err err = { 0 };
	struct key_hash hash;
	size_t count;
	const uint8_t *der;

	CHECK(ca_prepare(world->service_ca, &request, &approved, &err) == 0);
	request.common_name = "gw-evil";
	request.dns_names[0] = "gw-evil.kanto.sekisho.internal";
	CHECK(ca_prepare(world->service_ca, &request, &other, &err) == 0);
	hash = key_hash_of(approved.bytes, approved.count);
	CHECK(ca_sign(world->service_authority, other.bytes, other.count, hash, &cert, &err) ==
	        CA_NOT_APPROVED);
	/* The device CA's signer does not sign for the service CA. */
	CHECK(ca_sign(world->device_authority, approved.bytes, approved.count, hash, &cert, &err) ==
	        CA_REFUSED);
	CHECK(ca_sign(world->service_authority, approved.bytes, approved.count, hash, &cert,
	              &err) == 0);
	der = cert_der(cert, &count);
	CHECK(memmem(der, count, approved.bytes, approved.count) != NULL);
}

TEST(a_ca_issues_only_its_kinds)
{
	struct world *world = world_get();
	AUTO(key)
	struct key *key = world_key(world->service_key), *own = world_key(world->service_ca_key);
	struct ca_request request = world_request(CERT_SERVICE, key, 30);
	AUTO(cert) struct cert *cert = NULL;
	struct err err = { 0 };

	CHECK(ca_issue(world->device_authority, &request, &cert, &err) == 1 &&
	        strstr(err.text, "issue"));
	CHECK(ca_issue(world->root_authority, &request, &cert, &err) == 1);
	request = world_request(CERT_DEVICE, key, 30);
	CHECK(ca_issue(world->service_authority, &request, &cert, &err) == 1);
	request = world_request(CERT_SERVICE_CA, key, 30);
	CHECK(ca_issue(world->service_authority, &request, &cert, &err) == 1);
	request = world_request(CERT_SERVICE, key, 36500);
	CHECK(ca_issue(world->service_authority, &request, &cert, &err) == 1 &&
	        strstr(err.text, "validity"));
	request = world_request(CERT_SERVICE, own, 30);
	CHECK(ca_issue(world->service_authority, &request, &cert, &err) == 1);
	request = world_request(CERT_SERVICE, key, 30);
	request.dns_names[1] = "gw-core.kansai.sekisho.internal";
	CHECK(ca_issue(world->service_authority, &request, &cert, &err) == 1);
	request = world_request(CERT_SERVICE, key, 30);
	request.common_name = "gw-core,O=evil";
	CHECK(ca_issue(world->service_authority, &request, &cert, &err) == 1);
	request = world_request(CERT_SERVER, key, 30);
	request.addresses[0] = "300.0.0.1";
	CHECK(ca_issue(world->service_authority, &request, &cert, &err) == 1);
	request = world_request(CERT_DEVICE, key, 30);
	request.serial_number = NULL;
	CHECK(ca_issue(world->device_authority, &request, &cert, &err) == 1);
}

static bool block_all(void *context, struct key_hash hash)
{
	return true;
}

static const struct csr_wanted wanted = {
	.kind = CERT_SERVICE,
	.common_name = "gw-core",
	.organization = "core-hospital",
	.unit = "main-campus",
	.dns_name = "gw-core.kanto.sekisho.internal",
};

TEST(a_request_of_ours_is_read_by_openssl_and_by_us)
{
	struct world *world = world_get();
	AUTO_BUF struct buf der = BUF(CSR_DER_BYTES_MAX), body = BUF(2 * CSR_DER_BYTES_MAX);
	AUTO(csr) struct csr *csr = NULL, *again = NULL;
	AUTO_STRING char *path = NULL;
	struct csr_wanted blocked = wanted;
	struct err err = { 0 };
	size_t count;

	CHECK(csr_make(world->service_key, &wanted, &der, &err) == 0);
	path = world_write("request.der", der.bytes, der.count);
	CHECK(world_run("openssl req -inform DER -in %s -verify -noout -subject", path) == 0);
	CHECK(csr_parse(der.bytes, der.count, &csr, &err) == 0);
	CHECK(csr_check(csr, &wanted, &err) == 0);
	CHECK_TEXT(csr_common_name(csr), "gw-core");
	CHECK(key_hash_equal(key_hash(csr_key(csr)), cert_key_hash(world->service)));
	blocked.key_blocked = block_all;
	CHECK(csr_check(csr, &blocked, &err) == CSR_BLOCKED_KEY);
	est_csr_print(csr_der(csr, &count), der.count, &body);
	CHECK(est_csr_parse(body.bytes, body.count, &again, &err) == 0);
}

/* Requests from outside, made by the openssl command with file keys (which only a test has). */
static int outside(
        const char *key_options, const char *subject, const char *config, struct err *err)
{
	AUTO_BUF struct buf der = BUF(CSR_DER_BYTES_MAX);
	AUTO(csr) struct csr *csr = NULL;
	AUTO_STRING char *conf = mem_format(
	        "[req]\ndistinguished_name=dn\nreq_extensions=ext\n[dn]\n[ext]\n%s\n", config);
	AUTO_STRING char *conf_path = world_write("req.conf", conf, strlen(conf));
	AUTO_STRING char *path = mem_format("%s/outside.der", world_directory());
	int r;

	if (world_run("openssl req -new -batch -nodes %s -keyout outside.key -subj '%s' -config %s "
	              "-outform DER -out %s",
	            key_options, subject, conf_path, path) != 0) {
		return -1;
	}
	CHECK(world_run("openssl req -inform DER -in %s -noout", path) == 0);
	{
		FILE *file = fopen(path, "rb");
		uint8_t *room = buf_reserve(&der, 4096);

		CHECK(file != NULL);
		der.count = fread(room, 1, 4096, file);
		fclose(file);
	}
	r = csr_parse(der.bytes, der.count, &csr, err);
	return r != 0 ? r : csr_check(csr, &wanted, err);
}

#define EC_KEY "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1"

TEST(requests_from_outside_get_what_they_may_or_a_reason)
{
	static const struct {
		const char *key, *subject, *config;
		int outcome;
	} rows[] = {
		{ EC_KEY, "/CN=gw-core", "keyUsage=digitalSignature", 0 },
		{ EC_KEY, "/", "basicConstraints=CA:FALSE", 0 },
		{ "-newkey rsa:2048", "/CN=gw-core",
		        "subjectAltName=DNS:gw-core.kanto.sekisho.internal", 0 },
		{ "-newkey rsa:1024", "/CN=gw-core", "keyUsage=digitalSignature", CSR_WEAK_KEY },
		{ "-newkey rsa:2048 -pkeyopt rsa_keygen_pubexp:3", "/CN=gw-core",
		        "keyUsage=digitalSignature", CSR_WEAK_KEY },
		{ "-newkey ec -pkeyopt ec_paramgen_curve:secp521r1", "/CN=gw-core",
		        "keyUsage=digitalSignature", CSR_WEAK_KEY },
		{ "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -pkeyopt ec_param_enc:explicit",
		        "/CN=gw-core", "keyUsage=digitalSignature", CSR_WEAK_KEY },
		{ EC_KEY " -sha1", "/CN=gw-core", "keyUsage=digitalSignature", CSR_NO_POSSESSION },
		{ EC_KEY, "/CN=gw-other", "keyUsage=digitalSignature", CSR_OTHER_NAME },
		{ EC_KEY, "/C=JP/CN=gw-core", "keyUsage=digitalSignature", CSR_OTHER_NAME },
		{ EC_KEY, "/CN=gw-core", "subjectAltName=DNS:gw-other.kanto.sekisho.internal",
		        CSR_OTHER_NAME },
		{ EC_KEY, "/CN=gw-core",
		        "subjectAltName=DNS:gw-core.kanto.sekisho.internal,DNS:evil.example",
		        CSR_OTHER_NAME },
		{ EC_KEY, "/CN=gw-core", "basicConstraints=critical,CA:TRUE", CSR_CA },
		{ EC_KEY, "/CN=gw-core", "keyUsage=digitalSignature,keyCertSign", CSR_OTHER_USE },
		{ EC_KEY, "/CN=gw-core", "extendedKeyUsage=clientAuth,codeSigning", CSR_OTHER_USE },
		{ EC_KEY, "/CN=gw-core", "extendedKeyUsage=clientAuth", 0 },
		{ EC_KEY, "/CN=gw-core", "nsComment=hello", CSR_UNKNOWN_WISH },
		{ EC_KEY, "/CN=gw-core", "certificatePolicies=1.2.3.4", CSR_UNKNOWN_WISH },
	};
	bool all = true;

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct err err = { 0 };
		int r = outside(rows[i].key, rows[i].subject, rows[i].config, &err);

		if (r != rows[i].outcome) {
			printf("# row %zu (%s, %s): %d (%s) \"%s\"\n", i, rows[i].subject,
			        rows[i].config, r, csr_refusal_name(r), err.text);
			all = false;
		}
	}
	CHECK(all);
}

TEST(a_request_proves_possession)
{
	struct world *world = world_get();
	AUTO_BUF struct buf der = BUF(CSR_DER_BYTES_MAX), mixed = BUF(CSR_DER_BYTES_MAX);
	AUTO(csr) struct csr *csr = NULL;
	size_t count, other_count;
	const uint8_t *key = token_key_spki(world->service_key, &count), *at;
	const uint8_t *other = token_key_spki(world->device_key, &other_count);

	CHECK(csr_make(world->service_key, &wanted, &der, NULL) == 0);
	at = memmem(der.bytes, der.count, key, count);
	CHECK(at != NULL && other_count == count);
	buf_add(&mixed, der.bytes, der.count);
	memcpy(mixed.bytes + (at - der.bytes), other, count);
	CHECK(csr_parse(mixed.bytes, mixed.count, &csr, NULL) == CSR_NO_POSSESSION);
}

TEST(known_bad_rsa_keys_are_refused)
{
	/* p and the next prime after it: Fermat finds them at once. */
	BIGNUM *p = BN_new(), *q = BN_new(), *n = BN_new(), *two = BN_new();
	BN_CTX *context = BN_CTX_new();
	AUTO_BUF struct buf numbers = BUF(1024), spki = BUF(1024);
	uint8_t bytes[256];
	size_t outer, mark;
	struct key *key = NULL;
	struct err err = { 0 };

	CHECK(BN_generate_prime_ex(p, 1024, 0, NULL, NULL, NULL) && BN_copy(q, p) &&
	        BN_set_word(two, 2));
	do {
		CHECK(BN_add(q, q, two));
	} while (BN_check_prime(q, context, NULL) != 1);
	CHECK(BN_mul(n, p, q, context) && BN_bn2binpad(n, bytes, sizeof(bytes)) == sizeof(bytes));
	mark = der_open(&numbers, DER_SEQUENCE);
	der_add_unsigned(&numbers, bytes, sizeof(bytes));
	der_add_u64(&numbers, 65537);
	der_close(&numbers, mark);
	outer = der_open(&spki, DER_SEQUENCE);
	mark = der_open(&spki, DER_SEQUENCE);
	der_add_oid(&spki, OID_RSA);
	der_add(&spki, DER_NULL, NULL, 0);
	der_close(&spki, mark);
	der_add_bits(&spki, numbers.bytes, numbers.count);
	der_close(&spki, outer);
	BN_free(p);
	BN_free(q);
	BN_free(n);
	BN_free(two);
	BN_CTX_free(context);
	CHECK(key_parse(spki.bytes, spki.count, &key, &err) == 1 &&
	        strstr(err.text, "close together"));
}

TEST(points_off_the_curve_are_refused)
{
	struct world *world = world_get();
	struct key *key = NULL;
	struct err err = { 0 };
	size_t count;
	const uint8_t *spki = token_key_spki(world->service_key, &count);
	uint8_t *bad = mem_copy(spki, count);
	int r;

	bad[count - 1] ^= 1;
	r = key_parse(bad, count, &key, &err);
	CHECK(r == 1 && strstr(err.text, "curve"));
	memset(bad + count - 64, 0, 64);
	CHECK(key_parse(bad, count, &key, &err) == 1);
	free(bad);
}

TEST(est_bodies_are_read_by_openssl_and_by_us)
{
	struct world *world = world_get();
	const struct cert *certs[] = { world->service_ca, world->root };
	AUTO_BUF struct buf body = BUF(32768), attributes = BUF(256);
	AUTO_STRING char *path = NULL, *attributes_path = NULL;
	struct cert *read[2];
	struct err err = { 0 };
	size_t count;

	est_certs_print(certs, 2, &body);
	path = world_write("cacerts.b64", body.bytes, body.count);
	CHECK(world_run("openssl base64 -d -A -in %s | openssl pkcs7 -inform DER -print_certs -out "
	                "all.pem && "
	                "test $(grep -c BEGIN all.pem) = 2",
	              path) == 0);
	CHECK(est_certs_parse(body.bytes, body.count, read, 2, &count, &err) == 0 && count == 2);
	CHECK(key_hash_equal(cert_fingerprint(read[1]), cert_fingerprint(world->root)));
	cert_free(read[0]);
	cert_free(read[1]);
	CHECK(est_certs_parse(body.bytes, body.count, read, 1, &count, &err) == 1);
	CHECK(est_certs_parse("AAAA", 4, read, 2, &count, &err) == 1);
	est_csrattrs_print(&attributes);
	attributes_path = world_write("attrs.b64", attributes.bytes, attributes.count);
	CHECK(world_run("openssl base64 -d -A -in %s | openssl asn1parse -inform DER | grep -q "
	                "prime256v1",
	              attributes_path) == 0);
}

TEST_MAIN()
