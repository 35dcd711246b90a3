/*
 * One-time codes by time: TOTP (RFC 6238) with HMAC-SHA-1, six digits and steps of 30 seconds, as
 * every authenticator program knows it. Pure but for the making of a secret; who checks keeps the
 * step of the newest code taken, so that each code counts once (RFC 6238 5.2).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define TOTP_SECRET_BYTES 20 /* as long as the hash (RFC 4226 4, R6) */
#define TOTP_DIGITS 6
#define TOTP_STEP_SEC 30
#define TOTP_WINDOW_STEPS 1 /* before and after: clocks of telephones, and slow fingers */

void totp_secret_new(uint8_t secret[TOTP_SECRET_BYTES]);

/* The code of a step, as text. */
struct totp_code {
	char text[TOTP_DIGITS + 1];
};
struct totp_code totp_at(const uint8_t *secret, size_t secret_bytes, uint64_t step);

enum totp_outcome {
	TOTP_MALFORMED = 1, /* not six digits */
	TOTP_WRONG,
	TOTP_USED, /* right, but of a step that is not newer than `after` */
};

/* Checks `text` at the time `wall_usec` against the steps of the window. `after`: the step of the
 * newest code that was taken (0: none). *ret_step is the step to keep. Takes the same time for
 * every wrong code. Outcomes above. */
int totp_check(const uint8_t *secret, size_t secret_bytes, const char *text, int64_t wall_usec,
        uint64_t after, uint64_t *ret_step) must_use;

/* The otpauth: URI that authenticator programs read as a QR code: label "ISSUER:ACCOUNT". */
void totp_uri_print(const uint8_t *secret, size_t secret_bytes, const char *issuer,
        const char *account, struct buf *out);
