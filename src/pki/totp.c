#include "pki/totp.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"

#define SHA1_BYTES 20

void totp_secret_new(uint8_t secret[TOTP_SECRET_BYTES])
{
	random_fill(secret, TOTP_SECRET_BYTES);
}

struct totp_code totp_at(const uint8_t *secret, size_t secret_bytes, uint64_t step)
{
	uint8_t counter[8], digest[SHA1_BYTES];
	unsigned digest_bytes = sizeof(digest), at;
	struct totp_code code;
	uint32_t number;

	for (int i = 0; i < 8; i++) {
		counter[i] = (uint8_t)(step >> (56 - 8 * i));
	}
	assert_always(HMAC(EVP_sha1(), secret, (int)secret_bytes, counter, sizeof(counter), digest,
	                      &digest_bytes) != NULL &&
	              digest_bytes == SHA1_BYTES);
	at = digest[SHA1_BYTES - 1] & 0x0f; /* RFC 4226 5.3: dynamic truncation */
	number = (uint32_t)(digest[at] & 0x7f) << 24 | (uint32_t)digest[at + 1] << 16 |
	         (uint32_t)digest[at + 2] << 8 | digest[at + 3];
	snprintf(code.text, sizeof(code.text), "%06u", number % 1000000);
	mem_wipe(digest, sizeof(digest));
	return code;
}

static bool is_code(const char *text)
{
	size_t count = 0;

	while (count < TOTP_DIGITS && isdigit((unsigned char)text[count])) {
		count++;
	}
	return count == TOTP_DIGITS && text[count] == '\0';
}

int totp_check(const uint8_t *secret, size_t secret_bytes, const char *text, int64_t wall_usec,
        uint64_t after, uint64_t *ret_step)
{
	uint64_t now = (uint64_t)(wall_usec / USEC_PER_SEC / TOTP_STEP_SEC);
	uint64_t found = 0;

	if (!is_code(text)) {
		return TOTP_MALFORMED;
	}
	for (uint64_t step = now - TOTP_WINDOW_STEPS; step <= now + TOTP_WINDOW_STEPS; step++) {
		struct totp_code code = totp_at(secret, secret_bytes, step);

		if (bytes_equal(code.text, text, TOTP_DIGITS)) {
			found = step;
		}
		mem_wipe(&code, sizeof(code));
	}
	if (found == 0) {
		return TOTP_WRONG;
	}
	if (found <= after) {
		return TOTP_USED;
	}
	*ret_step = found;
	return 0;
}

/* RFC 4648 6, without padding, as authenticator programs want it. */
static void add_base32(struct buf *out, const uint8_t *bytes, size_t count)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
	unsigned bits = 0, have = 0;

	for (size_t i = 0; i < count; i++) {
		bits = bits << 8 | bytes[i];
		have += 8;
		while (have >= 5) {
			have -= 5;
			buf_add_u8(out, (uint8_t)letters[bits >> have & 31]);
		}
	}
	if (have > 0) {
		buf_add_u8(out, (uint8_t)letters[bits << (5 - have) & 31]);
	}
}

static void add_escaped(struct buf *out, const char *text)
{
	for (; *text; text++) {
		if (isalnum((unsigned char)*text) || strchr("-._~", *text)) {
			buf_add_u8(out, (uint8_t)*text);
		} else {
			buf_add_format(out, "%%%02X", (unsigned char)*text);
		}
	}
}

void totp_uri_print(const uint8_t *secret, size_t secret_bytes, const char *issuer,
        const char *account, struct buf *out)
{
	buf_add_text(out, "otpauth://totp/");
	add_escaped(out, issuer);
	buf_add_text(out, ":");
	add_escaped(out, account);
	buf_add_text(out, "?secret=");
	add_base32(out, secret, secret_bytes);
	buf_add_text(out, "&issuer=");
	add_escaped(out, issuer);
	buf_add_format(out, "&algorithm=SHA1&digits=%d&period=%d", TOTP_DIGITS, TOTP_STEP_SEC);
}
