/*
 * forge MODULE TOKEN PIN-FILE KEY: signs whatever it is given with a key of a token, as somebody
 * who took over the holder of that key could. For tests only: no rule of the real signers is kept.
 *
 * One JSON object a line on standard input, one answer a line: {"ok":true,"out":TEXT} or
 * {"ok":false,"error":TEXT}.
 *
 *     {"do":"spki"}                                      base64 of the public key
 *     {"do":"seal","typ":T,"payload":TEXT}               compact JWS over the text as it is
 *     {"do":"root","organization":…,"common_name":…,"not_before":T,"not_after":T}   PEM
 *     {"do":"cert","ca":PEM,"kind":K,"spki":BASE64,…}    PEM; and "unit", "serial_number", …
 *     {"do":"crl","ca":PEM,"number":N,"serials":[HEX…],"reason":R}   base64 of DER, valid for an
 * hour
 *     {"do":"csr","common_name":…}                       base64 of a PKCS#10 request for the key
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/str.h"
#include "pki/ca.h"
#include "pki/crl.h"
#include "pki/csr.h"
#include "pki/seal.h"
#include "pki/token.h"
#include "wire/json.h"

#define LINE_BYTES_MAX (1 << 20)
#define SERIALS_MAX 64
#define HOUR_USEC (3600 * USEC_PER_SEC)

struct order {
	const char *what, *typ, *payload, *ca, *kind, *spki, *reason;
	const char *organization, *unit, *common_name, *serial_number, *dns_name, *address;
	int64_t not_before, not_after;
	uint64_t number;
	json_t *serials;
};

#define TEXT(name)                                                                                 \
	{                                                                                          \
		JSON_FIELD(#name, FIELD_STRING, struct order, name)                                \
	}

static const struct json_field order_fields[] = {
	{ JSON_FIELD("do", FIELD_STRING, struct order, what), .required = true },
	TEXT(typ),
	TEXT(payload),
	TEXT(ca),
	TEXT(kind),
	TEXT(spki),
	TEXT(reason),
	TEXT(organization),
	TEXT(unit),
	TEXT(common_name),
	TEXT(serial_number),
	TEXT(dns_name),
	TEXT(address),
	{ JSON_FIELD("not_before", FIELD_TIME, struct order, not_before) },
	{ JSON_FIELD("not_after", FIELD_TIME, struct order, not_after) },
	{ JSON_FIELD("number", FIELD_COUNT, struct order, number) },
	{ JSON_FIELD("serials", FIELD_LIST, struct order, serials), .max = SERIALS_MAX },
	{ 0 },
};

static int open_key(
        char **argv, struct token **ret_token, struct token_key **ret_key, struct err *err)
{
	char pin[256];
	int r = file_read_secret(argv[3], pin, sizeof(pin), err);

	if (r == 0) {
		r = token_new(argv[1], argv[2], pin, ret_token);
	}
	mem_wipe(pin, sizeof(pin));
	if (r == 0) {
		r = token_open(*ret_token, err);
	}
	return r == 0 ? token_key_find_label(*ret_token, argv[4], ret_key, err) : r;
}

static int kind_parse(const char *name, enum cert_kind *ret_kind)
{
	for (int kind = 0; kind < CERT_KIND_COUNT; kind++) {
		if (text_equal(cert_kind_name((enum cert_kind)kind), name)) {
			*ret_kind = (enum cert_kind)kind;
			return 0;
		}
	}
	return 1;
}

static struct ca_request request_of(
        const struct order *order, const struct key *key, enum cert_kind kind)
{
	struct ca_request request = { .kind = kind,
		.key = key,
		.organization = order->organization,
		.unit = order->unit,
		.common_name = order->common_name,
		.serial_number = order->serial_number,
		.not_before_usec = order->not_before,
		.not_after_usec = order->not_after };

	request.dns_names[0] = order->dns_name;
	request.addresses[0] = order->address;
	return request;
}

static int make_root(
        struct token_key *key, const struct order *order, struct buf *out, struct err *err)
{
	AUTO(key) struct key *public_key = NULL;
	AUTO(cert) struct cert *cert = NULL;
	struct ca_request request;
	size_t count;
	const uint8_t *spki = token_key_spki(key, &count);
	int r = key_parse(spki, count, &public_key, err);

	if (r == 0) {
		request = request_of(order, public_key, CERT_ROOT);
		r = ca_make_root(key, &request, &cert, err);
	}
	if (r == 0) {
		cert_print_pem(cert, out);
	}
	return r;
}

static int open_ca(
        struct token_key *key, const struct order *order, struct ca **ret_ca, struct err *err)
{
	AUTO(cert) struct cert *cert = NULL;
	int r;

	if (!order->ca) {
		return err_set(err, 1, "ca: is missing");
	}
	r = cert_parse(order->ca, strlen(order->ca), &cert, err);
	return r == 0 ? ca_new(cert, key, ret_ca, err) : r;
}

static int make_cert(
        struct token_key *key, const struct order *order, struct buf *out, struct err *err)
{
	AUTO(key) struct key *public_key = NULL;
	AUTO(cert) struct cert *cert = NULL;
	AUTO(ca) struct ca *ca = NULL;
	enum cert_kind kind = CERT_OTHER;
	struct ca_request request;
	int r = open_ca(key, order, &ca, err);

	if (r == 0 && (!order->kind || kind_parse(order->kind, &kind) != 0 || !order->spki)) {
		r = err_set(err, 1, "kind, spki: are missing or wrong");
	}
	if (r == 0) {
		r = key_parse_base64(order->spki, &public_key, err);
	}
	if (r == 0) {
		request = request_of(order, public_key, kind);
		r = ca_issue(ca, &request, &cert, err);
	}
	if (r == 0) {
		cert_print_pem(cert, out);
	}
	return r;
}

static int make_crl(
        struct token_key *key, const struct order *order, struct buf *out, struct err *err)
{
	AUTO(ca) struct ca *ca = NULL;
	AUTO_BUF struct buf der = BUF(CRL_DER_BYTES_MAX);
	struct crl_entry entries[SERIALS_MAX] = { 0 };
	size_t count = order->serials ? json_array_size(order->serials) : 0;
	int64_t now = clock_wall_usec();
	enum crl_reason reason = CRL_KEY_COMPROMISE;
	int r = open_ca(key, order, &ca, err);

	if (r == 0 && order->reason && crl_reason_parse(order->reason, &reason) != 0) {
		r = err_set(err, 1, "reason: there is no such reason");
	}
	for (size_t i = 0; r == 0 && i < count; i++) {
		const char *serial = NULL;

		entries[i] = (struct crl_entry){ .revoked_usec = now, .reason = reason };
		r = json_item_string(
		        order->serials, "serials", i, 2 * CERT_SERIAL_BYTES_MAX, &serial, err);
		if (r == 0) {
			r = text_copy(entries[i].serial, sizeof(entries[i].serial), serial);
		}
	}
	if (r == 0) {
		r = crl_build(ca, entries, count, order->number, now, now + HOUR_USEC, &der, err);
	}
	if (r == 0) {
		base64_add(out, der.bytes, der.count);
	}
	return r;
}

static int make_csr(
        struct token_key *key, const struct order *order, struct buf *out, struct err *err)
{
	AUTO_BUF struct buf der = BUF(CSR_DER_BYTES_MAX);
	struct csr_wanted wanted = { .kind = CERT_SERVICE,
		.common_name = order->common_name,
		.organization = order->organization,
		.unit = order->unit };
	int r = csr_make(key, &wanted, &der, err);

	if (r == 0) {
		base64_add(out, der.bytes, der.count);
	}
	return r;
}

static int obey(struct token_key *key, const struct order *order, struct buf *out, struct err *err)
{
	size_t count;
	const uint8_t *spki = token_key_spki(key, &count);

	if (text_equal(order->what, "spki")) {
		base64_add(out, spki, count);
		return 0;
	}
	if (text_equal(order->what, "seal") && order->typ && order->payload) {
		return seal_sign(key, order->typ, order->payload, strlen(order->payload), out, err);
	}
	if (text_equal(order->what, "root")) {
		return make_root(key, order, out, err);
	}
	if (text_equal(order->what, "cert")) {
		return make_cert(key, order, out, err);
	}
	if (text_equal(order->what, "crl")) {
		return make_crl(key, order, out, err);
	}
	if (text_equal(order->what, "csr")) {
		return make_csr(key, order, out, err);
	}
	return err_set(err, 1, "do: must be spki, seal, root, cert, crl or csr with what it needs");
}

static void answer(struct token_key *key, const char *line, size_t count)
{
	AUTO_BUF struct buf out = BUF(2 * LINE_BYTES_MAX), text = BUF(4 * LINE_BYTES_MAX);
	AUTO_JSON json_t *object = NULL, *result = NULL;
	struct order order = { 0 };
	struct err err = { 0 };
	int r = json_read(line, count, order_fields, &order, &object, &err);

	if (r == 0) {
		r = obey(key, &order, &out, &err);
	}
	result =
	        r == 0 ? json_pack("{s:b,s:s}", "ok", 1, "out", buf_text(&out))
	               : json_pack("{s:b,s:s}", "ok", 0, "error", *err.text ? err.text : "a fault");
	json_print(result, &text);
	printf("%s\n", buf_text(&text));
	fflush(stdout);
}

int main(int argc, char **argv)
{
	AUTO(token) struct token *token = NULL;
	AUTO(token_key) struct token_key *key = NULL;
	char *line = mem_new(1, LINE_BYTES_MAX);
	struct err err = { 0 };

	if (argc != 5) {
		fprintf(stderr, "usage: forge MODULE TOKEN PIN-FILE KEY\n");
		return 2;
	}
	if (open_key(argv, &token, &key, &err) != 0) {
		fprintf(stderr, "forge: %s\n", err.text);
		return 1;
	}
	while (fgets(line, LINE_BYTES_MAX, stdin)) {
		answer(key, line, strcspn(line, "\n"));
	}
	free(line);
	return 0;
}
