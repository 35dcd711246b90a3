/* The maker's side of a gateway: its key, what the maker says of it, its device certificate (B4).
 */
#include "ctl/nouns.h"

#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "ctl/api.h"
#include "ctl/material.h"
#include "pki/device_information.h"

/* Tier 1: slot 01 of the gateway's token. */
static int run_key(struct ctl *ctl)
{
	AUTO(token) struct token *token = NULL;
	AUTO(token_key) struct token_key *key = NULL;
	AUTO_BUF struct buf csr = BUF(CSR_DER_BYTES_MAX);
	struct csr_wanted wanted = { .kind = CERT_DEVICE };
	const char *out = ctl_text(ctl, "out"), *csr_path = ctl_text(ctl, "csr");
	const uint8_t *spki;
	size_t count;
	int r = material_token(ctl, &token);

	if (r == CTL_OK) {
		r = ctl_token_result(ctl, token_key_generate(token, TOKEN_KEY_EC_P256,
		                                  TOKEN_ID_DEVICE, "device", &key, &ctl->err));
	}
	if (r != CTL_OK) {
		return r;
	}
	spki = token_key_spki(key, &count);
	r = material_write_spki(ctl, out, spki, count);
	if (r == CTL_OK && csr_path) {
		r = ctl_token_result(ctl, csr_make(key, &wanted, &csr, &ctl->err));
		if (r == CTL_OK) {
			r = material_write_csr(ctl, csr_path, csr.bytes, csr.count);
		}
	}
	ctl_put(ctl, "token", token_label(token));
	ctl_put(ctl, "public_key", out);
	ctl_put(ctl, "request", csr_path);
	ctl_put(ctl, "key_id", material_key_id(spki, count).text);
	return r;
}

static int copy_field(struct ctl *ctl, const char *option, char *out, size_t out_bytes)
{
	return text_copy(out, out_bytes, ctl_text(ctl, option)) == 0
	               ? CTL_OK
	               : ctl_fail(ctl, CTL_USAGE, "--%s: longer than %zu bytes", option,
	                         out_bytes - 1);
}

static int fill_information(struct ctl *ctl, struct device_information *information)
{
	AUTO(key) struct key *device = NULL;
	const uint8_t *spki;
	int r = copy_field(ctl, "maker", information->maker, sizeof(information->maker));

	if (r == CTL_OK) {
		r = copy_field(ctl, "model", information->model, sizeof(information->model));
	}
	if (r == CTL_OK) {
		r = copy_field(ctl, "serial", information->serial, sizeof(information->serial));
	}
	if (r == CTL_OK) {
		r = copy_field(
		        ctl, "firmware", information->firmware, sizeof(information->firmware));
	}
	if (r == CTL_OK) {
		r = material_key(ctl, ctl_text(ctl, "device"), &device);
	}
	if (r != CTL_OK) {
		return r;
	}
	spki = key_spki(device, &information->spki_count);
	memcpy(information->spki, spki, information->spki_count);
	information->made_at = clock_wall_usec();
	return CTL_OK;
}

static int run_information(struct ctl *ctl)
{
	AUTO(token) struct token *token = NULL;
	AUTO(token_key) struct token_key *key = NULL;
	AUTO_BUF struct buf text = BUF(JWS_SMALL_BYTES_MAX);
	struct device_information information = { 0 };
	const char *out = ctl_text(ctl, "out");
	int r = fill_information(ctl, &information);

	if (r == CTL_OK) {
		r = material_token(ctl, &token);
	}
	if (r == CTL_OK) {
		r = material_token_key(ctl, token, ctl_text(ctl, "key"), &key);
	}
	if (r == CTL_OK) {
		r = device_information_sign(&information, key, &text, &ctl->err);
		r = r == 100 ? ctl_result(ctl, r) : ctl_token_result(ctl, r);
	}
	if (r == CTL_OK) {
		buf_add_text(&text, "\n");
		r = material_write(ctl, out, text.bytes, text.count);
	}
	if (r == CTL_OK) {
		ctl_put(ctl, "information", out);
		ctl_put(ctl, "maker", information.maker);
		ctl_put(ctl, "model", information.model);
		ctl_put(ctl, "serial", information.serial);
		ctl_put(ctl, "device_key_id",
		        material_key_id(information.spki, information.spki_count).text);
	}
	return r;
}

/* Everything that the box will be judged by at registration is checked before it leaves the
 * factory: seal, key, serial, model, maker, and that the token holds the key of the certificate. */
static int check_install(
        struct ctl *ctl, struct token *token, const struct cert *cert, const struct buf *text)
{
	AUTO(key) struct key *maker = NULL;
	AUTO(token_key) struct token_key *key = NULL;
	struct device_information information = { 0 };
	const struct key *makers[1];
	const uint8_t *own, *certified;
	size_t own_count, certified_count;
	int r = material_key(ctl, ctl_text(ctl, "maker-key"), &maker);

	if (r != CTL_OK) {
		return r;
	}
	makers[0] = maker;
	r = ctl_result(ctl, device_information_open(buf_text(text), text->count, makers, 1,
	                            &information, &ctl->err));
	if (r == CTL_OK) {
		r = ctl_result(ctl, device_information_check(&information, cert, &ctl->err));
	}
	if (r != CTL_OK) {
		return err_wrap(&ctl->err, r, "%s", ctl_text(ctl, "information"));
	}
	r = ctl_token_result(ctl, token_key_find(token, TOKEN_ID_DEVICE, &key, &ctl->err));
	if (r != CTL_OK) {
		return r;
	}
	own = token_key_spki(key, &own_count);
	certified = cert_spki(cert, &certified_count);
	return own_count == certified_count && memcmp(own, certified, own_count) == 0
	               ? CTL_OK
	               : ctl_fail(ctl, CTL_REFUSED,
	                         "the certificate %s is for another box: its key is not the one in "
	                         "token \"%s\"",
	                         cert_subject(cert), token_label(token));
}

static int run_install(struct ctl *ctl)
{
	AUTO(token) struct token *token = NULL;
	AUTO(cert) struct cert *cert = NULL;
	AUTO_BUF struct buf text = BUF(JWS_SMALL_BYTES_MAX);
	const uint8_t *der;
	size_t count;
	int r = material_cert_kind(ctl, ctl_text(ctl, "certificate"), CERT_SET(CERT_DEVICE), &cert);

	if (r == CTL_OK) {
		r = material_seal(ctl, ctl_text(ctl, "information"), &text);
	}
	if (r == CTL_OK) {
		r = material_token(ctl, &token);
	}
	if (r == CTL_OK) {
		r = check_install(ctl, token, cert, &text);
	}
	if (r != CTL_OK) {
		return r;
	}
	der = cert_der(cert, &count);
	r = ctl_token_result(ctl,
	        token_certificate_put(token, TOKEN_ID_DEVICE, "device", der, count, &ctl->err));
	if (r == CTL_OK) {
		r = ctl_token_result(ctl, token_data_put(token, DEVICE_INFORMATION_LABEL,
		                                  text.bytes, text.count, &ctl->err));
	}
	if (r == CTL_OK) {
		ctl->result = material_cert_json(cert);
		ctl_put(ctl, "token", token_label(token));
	}
	return r;
}

static int run_register(struct ctl *ctl)
{
	AUTO_STRING char *path = mem_format("/procedures/%s/register", ctl_text(ctl, "GATEWAY"));
	AUTO_BUF struct buf text = BUF(JWS_SMALL_BYTES_MAX);
	json_t *body;
	int r = material_seal(ctl, ctl_text(ctl, "information"), &text);

	if (r != CTL_OK) {
		return r;
	}
	body = json_pack("{s:s}", "information", buf_text(&text));
	return body ? api_do(ctl, path, body)
	            : ctl_fail(ctl, CTL_REFUSED, "%s: not a sealed text",
	                      ctl_text(ctl, "information"));
}

static int run_installed(struct ctl *ctl)
{
	AUTO_STRING char *path = mem_format("/procedures/%s/installed", ctl_text(ctl, "GATEWAY"));

	return api_do(ctl, path, NULL);
}

static int run_delivered(struct ctl *ctl)
{
	AUTO_STRING char *path = mem_format("/procedures/%s/delivered", ctl_text(ctl, "GATEWAY"));

	return api_do(ctl, path, NULL);
}

static const struct option init_options[] = {
	{ OPTION("key", OPTION_TEXT), "label of the key in the maker's token", "LABEL",
	        "device-information" },
	{ OPTION("out", OPTION_FILE),
	        "where the public key is written (PEM), for the accreditation", .required = true },
	{ 0 },
};
static const struct option key_options[] = {
	{ OPTION("out", OPTION_FILE), "where the public key is written (PEM)", .required = true },
	{ OPTION("csr", OPTION_FILE),
	        "where a request (PKCS#10) is written, which proves possession" },
	{ 0 },
};
static const struct option information_options[] = {
	{ OPTION("key", OPTION_TEXT), "label of the key in the maker's token", "LABEL",
	        "device-information" },
	{ OPTION("maker", OPTION_NAME), "the maker's name, as it is accredited", .required = true },
	{ OPTION("model", OPTION_TEXT), "the model", .required = true },
	{ OPTION("serial", OPTION_TEXT), "the serial number on the box", .required = true },
	{ OPTION("firmware", OPTION_TEXT), "the firmware it is delivered with", NULL, "1.0" },
	{ OPTION("device", OPTION_FILE), "the box's public key or request", .required = true },
	{ OPTION("out", OPTION_FILE), "where the sealed information is written", .required = true },
	{ 0 },
};
static const struct option install_options[] = {
	{ OPTION("certificate", OPTION_FILE), "the device certificate", .required = true },
	{ OPTION("information", OPTION_FILE), "the sealed device information", .required = true },
	{ OPTION("maker-key", OPTION_FILE), "the maker's public key", .required = true },
	{ 0 },
};
static const struct option register_options[] = {
	{ OPTION("GATEWAY", OPTION_NAME), "the gateway", .required = true, .operand = true },
	{ OPTION("information", OPTION_FILE), "the sealed device information", .required = true },
	{ 0 },
};
static const struct option gateway_options[] = {
	{ OPTION("GATEWAY", OPTION_NAME), "the gateway", .required = true, .operand = true },
	{ 0 },
};

static const struct command maker_commands[] = {
	{ "init", "Makes the key that seals device information in the maker's token.", GROUP_TOKEN,
	        init_options, material_signing_key },
	{ "key", "Makes the tier 1 key in a gateway's token (id 01).", GROUP_TOKEN, key_options,
	        run_key },
	{ "information", "Seals what the maker says of one box.", GROUP_TOKEN, information_options,
	        run_information },
	{ "install",
	        "Puts device certificate and sealed information on the gateway's token, after "
	        "checking "
	        "that they belong to it.",
	        GROUP_TOKEN, install_options, run_install },
	{ "register", "Registers a gateway's sealed information at the center (step c).",
	        GROUP_CENTER, register_options, run_register },
	{ "installed", "Tells the center that the device certificate is on the token (step e).",
	        GROUP_CENTER, gateway_options, run_installed },
	{ "delivered", "Tells the center that the gateway was delivered (step f).", GROUP_CENTER,
	        gateway_options, run_delivered },
	{ 0 },
};
const struct noun noun_maker = { "maker", "what makers do with a gateway", maker_commands };
