/*
 * Making an empty PKCS#11 device into a token with a label and PINs (C_InitToken, C_InitPIN), for
 * ceremonies. Apart from token.h, because no daemon ever does this.
 */
#pragma once

#include "base/err.h"
#include "pki/token.h"

/* Takes the first slot whose token is not initialized. PINs are never kept. Outcomes: TOKEN_EXISTS
 * (a token has this label), TOKEN_MISSING (no module, or no empty token in it), TOKEN_PIN_WRONG
 * (the device refuses these PINs, for instance by their length). */
int token_initialize(const char *module_path, const char *label, const char *so_pin,
        const char *pin, struct err *err) must_use;

/* Calls `each` for every token of the module. Outcome TOKEN_MISSING: the module cannot be used. */
struct token_about {
	char label[33], model[17], serial[17];
	bool initialized, pin_locked;
};
typedef void token_about_handler(void *context, const struct token_about *about);
int token_each(const char *module_path, token_about_handler *each, void *context,
        struct err *err) must_use;
