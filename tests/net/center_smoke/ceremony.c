/*
 * A tiny accreditor, maker and site owner for the smoke test of the center: keys in a SoftHSM
 * token, everything else in files. Not for anything but tests.
 *
 *     ceremony STORE OUT all PROVIDER          keys, CAs, server and OCSP certificates, root's and
 *                                              device CA's revocation lists, public keys
 * (NAME.spki) ceremony STORE OUT seal KEY TYP          seals standard input with that key ceremony
 * STORE OUT device NAME SERIAL    NAME.spki.der → NAME.device.pem, NAME.information.jws
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/str.h"
#include "pki/ca.h"
#include "pki/crl.h"
#include "pki/device_information.h"
#include "pki/seal.h"
#include "pki/token.h"

#define MODULE "/usr/lib/softhsm/libsofthsm2.so"
#define DAY (86400 * USEC_PER_SEC)

static const char *store, *out;
static struct err err;

#define MUST(call)                                                                                 \
	do {                                                                                       \
		int result_ = (call);                                                              \
		if (result_ != 0) {                                                                \
			fprintf(stderr, "%s: %d: %s\n", #call, result_, err.text);                 \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

static struct token *token(const char *label)
{
	AUTO_STRING char *path = mem_format("%s/%s.pin", store, label);
	struct token *opened = NULL;
	char pin[64];

	MUST(file_read_secret(path, pin, sizeof(pin), &err));
	MUST(token_new(MODULE, label, pin, &opened));
	MUST(token_open(opened, &err));
	return opened;
}

static void write_file(const char *name, const void *bytes, size_t count)
{
	AUTO_STRING char *path = mem_format("%s/%s", out, name);

	MUST(file_replace(path, bytes, count, 0644, &err));
}

static void write_cert(const char *name, const struct cert *cert, const struct cert *above)
{
	AUTO_BUF struct buf pem = BUF(4 * CERT_DER_BYTES_MAX);

	cert_print_pem(cert, &pem);
	if (above) {
		cert_print_pem(above, &pem);
	}
	write_file(name, pem.bytes, pem.count);
}

static struct token_key *make_key(
        struct token *in, enum token_key_type type, uint8_t id, const char *label)
{
	AUTO_STRING char *name = mem_format("%s.spki", label);
	AUTO_BUF struct buf text = BUF(4096);
	struct token_key *key = NULL;
	size_t count;
	const uint8_t *spki;

	MUST(token_key_generate(in, type, id, label, &key, &err));
	spki = token_key_spki(key, &count);
	base64_add(&text, spki, count);
	write_file(name, text.bytes, text.count);
	return key;
}

static struct key *public_key(const struct token_key *of)
{
	struct key *key = NULL;
	size_t count;
	const uint8_t *spki = token_key_spki(of, &count);

	MUST(key_parse(spki, count, &key, &err));
	return key;
}

static struct ca_request request_of(enum cert_kind kind, const struct key *key, const char *name)
{
	int64_t now = clock_wall_usec();
	/* Nothing outlives what is above it. */
	int days = kind == CERT_ROOT                                   ? 90
	           : kind == CERT_DEVICE_CA || kind == CERT_SERVICE_CA ? 60
	                                                               : 30;

	return (struct ca_request){ .kind = kind,
		.key = key,
		.common_name = name,
		.organization = "Smoke Test",
		.not_before_usec = now - DAY,
		.not_after_usec = now + days * DAY };
}

static struct cert *issue(
        const struct ca *ca, enum cert_kind kind, const struct token_key *key, const char *name)
{
	AUTO(key) struct key *public = public_key(key);
	struct ca_request request = request_of(kind, public, name);
	struct cert *cert = NULL;

	if (kind == CERT_SERVER) {
		request.dns_names[0] = "localhost";
		request.addresses[0] = "127.0.0.1";
	}
	MUST(ca_issue(ca, &request, &cert, &err));
	return cert;
}

static void write_crl(const char *name, const struct ca *ca)
{
	AUTO_BUF struct buf der = BUF(CRL_DER_BYTES_MAX);
	int64_t now = clock_wall_usec();

	MUST(crl_build(ca, NULL, 0, 1, now - 60 * USEC_PER_SEC, now + DAY, &der, &err));
	write_file(name, der.bytes, der.count);
}

static void make_all(void)
{
	struct token *offline = token("offline"), *ca = token("ca"), *provider = token("provider"),
	             *tls = token("tls");
	struct token_key *root_key = make_key(offline, TOKEN_KEY_EC_P256, 1, "root");
	struct token_key *device_key = make_key(offline, TOKEN_KEY_EC_P256, 2, "device-ca");
	struct token_key *service_key = make_key(ca, TOKEN_KEY_EC_P256, 1, "service-ca");
	struct token_key *server_key = make_key(tls, TOKEN_KEY_EC_P256, 1, "tls");
	struct token_key *ocsp_key = make_key(provider, TOKEN_KEY_EC_P256, 3, "ocsp");
	AUTO(key) struct key *root_public = public_key(root_key);
	struct ca_request request = request_of(CERT_ROOT, root_public, "Smoke Root");
	struct cert *root = NULL, *device_ca, *service_ca;
	struct ca *root_authority = NULL, *device_authority = NULL, *service_authority = NULL;

	make_key(provider, TOKEN_KEY_EC_P256, 1, "grant");
	make_key(provider, TOKEN_KEY_ED25519, 2, "checkpoint");
	make_key(offline, TOKEN_KEY_EC_P256, 3, "policy");
	make_key(offline, TOKEN_KEY_EC_P256, 4, "maker");
	make_key(offline, TOKEN_KEY_EC_P256, 5, "owner");
	MUST(ca_make_root(root_key, &request, &root, &err));
	MUST(ca_new(root, root_key, &root_authority, &err));
	device_ca = issue(root_authority, CERT_DEVICE_CA, device_key, "Smoke Device CA");
	service_ca = issue(root_authority, CERT_SERVICE_CA, service_key, "Smoke Service CA");
	MUST(ca_new(device_ca, device_key, &device_authority, &err));
	MUST(ca_new(service_ca, service_key, &service_authority, &err));
	write_cert("root.pem", root, NULL);
	write_cert("device-ca.pem", device_ca, NULL);
	write_cert("service-ca.pem", service_ca, NULL);
	write_cert("server.pem", issue(service_authority, CERT_SERVER, server_key, "center"),
	        service_ca);
	write_cert("ocsp.pem",
	        issue(service_authority, CERT_OCSP_RESPONDER, ocsp_key, "ocsp responder"), NULL);
	write_crl("root.crl", root_authority);
	write_crl("device.crl", device_authority);
}

static void seal(const char *label, const char *typ)
{
	struct token_key *key = NULL;
	AUTO_BUF struct buf payload = BUF(1 << 20), text = BUF(1 << 20);
	uint8_t piece[4096];
	ssize_t got;

	while ((got = read(0, piece, sizeof(piece))) > 0) {
		buf_add(&payload, piece, (size_t)got);
	}
	MUST(token_key_find_label(token("offline"), label, &key, &err));
	MUST(seal_sign(key, typ, payload.bytes, payload.count, &text, &err));
	printf("%s\n", buf_text(&text));
}

static void make_device(const char *name, const char *serial)
{
	struct token *offline = token("offline");
	struct token_key *ca_key = NULL, *maker_key = NULL;
	AUTO_STRING char *spki_path = mem_format("%s/%s.spki.der", out, name);
	AUTO_STRING char *ca_path = mem_format("%s/device-ca.pem", out);
	AUTO_STRING char *cert_name = mem_format("%s.device.pem", name);
	AUTO_STRING char *information_name = mem_format("%s.information.jws", name);
	AUTO_BUF struct buf spki = BUF(4096), ca_pem = BUF(1 << 16), jws = BUF(1 << 16);
	AUTO(key) struct key *key = NULL;
	struct cert *ca_cert = NULL, *cert = NULL;
	struct ca *ca = NULL;
	struct ca_request request;
	struct device_information information = { .maker = "acme",
		.model = "SG-1",
		.firmware = "1.0",
		.made_at = clock_wall_usec() / 1000 * 1000 };

	MUST(file_read(spki_path, &spki, &err));
	MUST(file_read(ca_path, &ca_pem, &err));
	MUST(key_parse(spki.bytes, spki.count, &key, &err));
	MUST(cert_parse(ca_pem.bytes, ca_pem.count, &ca_cert, &err));
	MUST(token_key_find_label(offline, "device-ca", &ca_key, &err));
	MUST(token_key_find_label(offline, "maker", &maker_key, &err));
	MUST(ca_new(ca_cert, ca_key, &ca, &err));
	request = request_of(CERT_DEVICE, key, "SG-1");
	request.organization = "acme";
	request.serial_number = serial;
	MUST(ca_issue(ca, &request, &cert, &err));
	write_cert(cert_name, cert, NULL);
	MUST(text_copy(information.serial, sizeof(information.serial), serial));
	memcpy(information.spki, spki.bytes, spki.count);
	information.spki_count = spki.count;
	MUST(device_information_sign(&information, maker_key, &jws, &err));
	write_file(information_name, jws.bytes, jws.count);
}

int main(int argc, char **argv)
{
	if (argc < 4) {
		return 2;
	}
	store = argv[1];
	out = argv[2];
	if (text_equal(argv[3], "all")) {
		make_all();
	} else if (text_equal(argv[3], "seal") && argc == 6) {
		seal(argv[4], argv[5]);
	} else if (text_equal(argv[3], "device") && argc == 6) {
		make_device(argv[4], argv[5]);
	} else {
		return 2;
	}
	return 0;
}
