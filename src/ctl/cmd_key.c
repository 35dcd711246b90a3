/* Keys in a token: made there, shown, and asked certificates for. */
#include "ctl/nouns.h"

#include "ctl/material.h"

static const char *const key_types[] = { "ec-p256", "ec-p384", "rsa-2048", "rsa-3072", "ed25519",
	NULL };

static int show_key(struct ctl *ctl, struct token_key *key)
{
	const char *out = ctl_text(ctl, "out");
	size_t count;
	const uint8_t *spki = token_key_spki(key, &count);

	ctl_put(ctl, "label", token_key_label(key));
	ctl_put(ctl, "type", token_key_type_name(token_key_type(key)));
	ctl_put(ctl, "key_id", material_key_id(spki, count).text);
	ctl_put(ctl, "public_key", out);
	return out ? material_write_spki(ctl, out, spki, count) : CTL_OK;
}

static int run_key_generate(struct ctl *ctl)
{
	AUTO(token) struct token *token = NULL;
	AUTO(token_key) struct token_key *key = NULL;
	enum token_key_type type = TOKEN_KEY_EC_P256;
	bool made = false;
	int r = material_token(ctl, &token);

	if (r == CTL_OK) {
		r = ctl_result(ctl, token_key_type_parse(ctl_text(ctl, "type"), &type));
	}
	if (r == CTL_OK) {
		r = material_token_key_make(ctl, token, type, ctl_text(ctl, "key"), &key, &made);
	}
	if (r == CTL_OK && !made) {
		r = ctl_fail(ctl, CTL_REFUSED,
		        "token \"%s\" has a key \"%s\" already: choose another label, or destroy "
		        "that one "
		        "with \"sekisho token delete\"",
		        token_label(token), ctl_text(ctl, "key"));
	}
	return r == CTL_OK ? show_key(ctl, key) : r;
}

static int run_key_export(struct ctl *ctl)
{
	AUTO(token) struct token *token = NULL;
	AUTO(token_key) struct token_key *key = NULL;
	int r = material_token(ctl, &token);

	if (r == CTL_OK) {
		r = material_token_key(ctl, token, ctl_text(ctl, "key"), &key);
	}
	return r == CTL_OK ? show_key(ctl, key) : r;
}

static int run_key_request(struct ctl *ctl)
{
	AUTO(token) struct token *token = NULL;
	AUTO(token_key) struct token_key *key = NULL;
	AUTO_BUF struct buf csr = BUF(CSR_DER_BYTES_MAX);
	struct csr_wanted wanted = { .kind = CERT_SERVER };
	enum token_key_type type = TOKEN_KEY_EC_P256;
	bool made = false;
	int r = material_token(ctl, &token);

	if (r == CTL_OK) {
		r = ctl_result(ctl, token_key_type_parse(ctl_text(ctl, "type"), &type));
	}
	if (r == CTL_OK) {
		r = material_token_key_make(ctl, token, type, ctl_text(ctl, "key"), &key, &made);
	}
	if (r == CTL_OK) {
		r = ctl_token_result(ctl, csr_make(key, &wanted, &csr, &ctl->err));
	}
	if (r == CTL_OK) {
		r = material_write_csr(ctl, ctl_text(ctl, "csr"), csr.bytes, csr.count);
	}
	if (r == CTL_OK) {
		ctl_put(ctl, "request", ctl_text(ctl, "csr"));
		ctl_put_bool(ctl, "made", made);
		r = show_key(ctl, key);
	}
	return r;
}

static const struct option generate_options[] = {
	{ OPTION("key", OPTION_TEXT), "label of the new key", "LABEL", .required = true },
	{ OPTION("type", OPTION_CHOICE), "kind of key", "TYPE", "ec-p256", .choices = key_types },
	{ OPTION("out", OPTION_FILE), "where the public key is written (PEM)" },
	{ 0 },
};
static const struct option export_options[] = {
	{ OPTION("key", OPTION_TEXT), "label of the key", "LABEL", .required = true },
	{ OPTION("out", OPTION_FILE), "where the public key is written (PEM)" },
	{ 0 },
};
static const struct option request_options[] = {
	{ OPTION("key", OPTION_TEXT), "label of the key; made if there is none", "LABEL",
	        .required = true },
	{ OPTION("type", OPTION_CHOICE), "kind of key", "TYPE", "ec-p256", .choices = key_types },
	{ OPTION("csr", OPTION_FILE), "where the request is written (PEM)", .required = true },
	{ OPTION("out", OPTION_FILE), "where the public key is written (PEM)" },
	{ 0 },
};

static const struct command key_commands[] = {
	{ "generate", "Makes a key pair in the token; the private key never leaves it.",
	        GROUP_TOKEN, generate_options, run_key_generate },
	{ "export", "Writes the public half of a key.", GROUP_TOKEN, export_options,
	        run_key_export },
	{ "request",
	        "Makes a request (PKCS#10) that proves who holds the key, to be carried to a CA.",
	        GROUP_TOKEN, request_options, run_key_request },
	{ 0 },
};
const struct noun noun_key = { "key", "keys in a token", key_commands };
