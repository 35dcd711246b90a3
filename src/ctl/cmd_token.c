/* PKCS#11 tokens. */
#include "ctl/nouns.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "ctl/material.h"
#include "pki/token_init.h"

#define PIN_DIGITS 16 /* 53 bits; typed by nobody, guessed by nobody before a token locks */
#define PIN_BYTES_MAX 256

/* Uses the PIN in the file; where there is no file, draws one and writes it. */
static int pin_make(struct ctl *ctl, const char *path, char pin[PIN_BYTES_MAX])
{
	uint8_t bytes[PIN_DIGITS];
	int r;

	if (access(path, F_OK) == 0) {
		return ctl_result(ctl, file_read_secret(path, pin, PIN_BYTES_MAX, &ctl->err));
	}
	for (size_t i = 0; i < PIN_DIGITS; i++) {
		do { /* every digit equally often */
			random_fill(&bytes[i], 1);
		} while (bytes[i] >= 250);
		pin[i] = (char)('0' + bytes[i] % 10);
	}
	pin[PIN_DIGITS] = '\n';
	r = file_replace(path, pin, PIN_DIGITS + 1, 0600, &ctl->err);
	pin[PIN_DIGITS] = '\0';
	mem_wipe(bytes, sizeof(bytes));
	return ctl_result(ctl, r);
}

static int need_module(struct ctl *ctl)
{
	return ctl->settings.module
	               ? CTL_OK
	               : ctl_fail(ctl, CTL_USAGE,
	                         "no module is named: give --module, or set SEKISHO_MODULE");
}

static int run_init(struct ctl *ctl)
{
	const struct settings *settings = &ctl->settings;
	const char *so_file = ctl_text(ctl, "so-pin-file");
	char pin[PIN_BYTES_MAX], so_pin[PIN_BYTES_MAX];
	int r = need_module(ctl);

	if (r == CTL_OK && (!settings->token || !settings->pin_file)) {
		r = ctl_fail(ctl, CTL_USAGE,
		        "give the new token's label with --token and the file of its "
		        "PIN with --pin-file");
	}
	if (r == CTL_OK) {
		r = pin_make(ctl, settings->pin_file, pin);
	}
	if (r == CTL_OK) {
		r = pin_make(ctl, so_file, so_pin);
	}
	if (r == CTL_OK) {
		r = ctl_token_result(ctl, token_initialize(settings->module, settings->token,
		                                  so_pin, pin, &ctl->err));
	}
	mem_wipe(pin, sizeof(pin));
	mem_wipe(so_pin, sizeof(so_pin));
	if (r == CTL_OK) {
		ctl_put(ctl, "token", settings->token);
		ctl_put(ctl, "pin_file", settings->pin_file);
		ctl_put(ctl, "so_pin_file", so_file);
	}
	return r;
}

static void list_token(void *context, const struct token_about *about)
{
	json_array_append_new(
	        context, json_pack("{s:s, s:s, s:s, s:b, s:b}", "token", about->label, "model",
	                         about->model, "serial", about->serial, "initialized",
	                         about->initialized, "pin_locked", about->pin_locked));
}

static json_t *slot_json(struct token *token, const struct token_slot *slot)
{
	AUTO(token_key) struct token_key *key = NULL;
	char id[2 * sizeof(slot->id) + 1];
	size_t count;
	const uint8_t *spki;
	json_t *row;

	hex_print(slot->id, slot->id_bytes, id);
	row = json_pack("{s:s, s:s, s:b, s:b}", "id", id, "label", slot->label, "key",
	        slot->has_key, "certificate", slot->has_certificate);
	if (slot->has_key && slot->id_bytes == 1 &&
	        token_key_find(token, slot->id[0], &key, NULL) == 0) {
		spki = token_key_spki(key, &count);
		json_object_set_new(
		        row, "type", json_string(token_key_type_name(token_key_type(key))));
		json_object_set_new(row, "key_id", json_string(material_key_id(spki, count).text));
	}
	return row;
}

static int run_list(struct ctl *ctl)
{
	AUTO(token) struct token *token = NULL;
	struct token_slot *slots = NULL;
	json_t *items = json_array();
	size_t count = 0;
	int r = need_module(ctl);

	ctl_put_json(ctl, "items", items);
	if (r != CTL_OK) {
		return r;
	}
	if (!ctl->settings.token) {
		return ctl_token_result(
		        ctl, token_each(ctl->settings.module, list_token, items, &ctl->err));
	}
	r = material_token(ctl, &token);
	if (r != CTL_OK) {
		return r;
	}
	r = token_list(token, &slots, &count, &ctl->err);
	for (size_t i = 0; r == 0 && i < count; i++) {
		json_array_append_new(items, slot_json(token, &slots[i]));
	}
	free(slots);
	return ctl_token_result(ctl, r);
}

static int run_delete(struct ctl *ctl)
{
	AUTO(token) struct token *token = NULL;
	uint8_t id = 0;
	int r;

	if (hex_parse(ctl_text(ctl, "id"), &id, 1) != 0) {
		return ctl_fail(ctl, CTL_USAGE,
		        "--id: must be two hex digits, as \"sekisho token list\" shows");
	}
	r = material_token(ctl, &token);
	if (r != CTL_OK) {
		return r;
	}
	r = ctl_token_result(ctl, token_delete(token, id, &ctl->err));
	if (r == CTL_OK) {
		ctl_put(ctl, "token", token_label(token));
		ctl_put(ctl, "deleted", ctl_text(ctl, "id"));
	}
	return r;
}

static const struct option init_options[] = {
	{ OPTION("so-pin-file", OPTION_FILE),
	        "file with the PIN of the token's security officer; drawn and "
	        "written if there is none",
	        .required = true },
	{ 0 },
};
static const struct option delete_options[] = {
	{ OPTION("id", OPTION_TEXT), "the id of the slot, two hex digits", "ID", .required = true },
	{ 0 },
};

static const struct command token_commands[] = {
	{ "init",
	        "Makes an empty PKCS#11 device into a token with a label and PINs; a PIN file that "
	        "is "
	        "missing is written with a PIN drawn by chance.",
	        GROUP_TOKEN, init_options, run_init },
	{ "list",
	        "Lists the keys and certificates of a token, or without --token the tokens of a "
	        "module.",
	        GROUP_TOKEN, NULL, run_list },
	{ "delete", "Destroys the key pair and the certificate of one id.", GROUP_TOKEN,
	        delete_options, run_delete },
	{ 0 },
};
const struct noun noun_token = { "token", "PKCS#11 tokens", token_commands };
