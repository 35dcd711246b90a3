/*
 * Who a token stands for, and the second factor (protocol.md 6.1, mission D9, G6). A person's own
 * token is the first factor: it reads and cuts. With a one-time code, or the person's own key in a
 * TLS client certificate, it opens a session; a session token counts as both factors until it is
 * over, given up, or taken away (persons_end_rights()).
 */
#pragma once

#include "center/exchange.h"
#include "center/persons.h"

/* Finds the person or session behind a token's hash and fills exchange->person, ->factor, ->roles
 * and ->session. Outcome 1: nobody's; err says why. */
int session_identify(
        struct exchange *exchange, const uint8_t hash[STORE_HASH_BYTES], struct err *err) must_use;

/* Takes a one-time code of a person: each counts once, too many wrong ones lock the account for a
 * while. What changes of the account is stored in the transaction of this round. Outcome 1:
 * refused, err says why. */
int session_code_take(
        struct center *center, const char *person, const char *code, struct err *err) must_use;
