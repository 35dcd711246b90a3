#include "../check.h"

#include "base/clock.h"
#include "pki/totp.h"

/* RFC 6238 Appendix B uses eight digits; the last six are what six digits give. */
TEST(vectors_of_rfc_6238)
{
	static const struct {
		uint64_t seconds;
		const char *code;
	} rows[] = { { 59, "287082" }, { 1111111109, "081804" }, { 1111111111, "050471" },
		{ 1234567890, "005924" }, { 2000000000, "279037" }, { 20000000000, "353130" } };
	const uint8_t *secret = (const uint8_t *)"12345678901234567890";

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		struct totp_code code = totp_at(secret, 20, rows[i].seconds / TOTP_STEP_SEC);

		CHECK_TEXT(code.text, rows[i].code);
	}
}

TEST(code_counts_once_and_within_a_step)
{
	uint8_t secret[TOTP_SECRET_BYTES];
	uint64_t now = 60000000, taken = 0;
	int64_t usec = (int64_t)now * TOTP_STEP_SEC * USEC_PER_SEC + 7 * USEC_PER_SEC;
	struct totp_code code, older, oldest;

	totp_secret_new(secret);
	code = totp_at(secret, sizeof(secret), now);
	older = totp_at(secret, sizeof(secret), now - 1);
	oldest = totp_at(secret, sizeof(secret), now - 2);
	CHECK(totp_check(secret, sizeof(secret), oldest.text, usec, 0, &taken) == TOTP_WRONG);
	CHECK(totp_check(secret, sizeof(secret), older.text, usec, 0, &taken) == 0);
	CHECK(taken == now - 1);
	CHECK(totp_check(secret, sizeof(secret), older.text, usec, taken, &taken) == TOTP_USED);
	CHECK(totp_check(secret, sizeof(secret), code.text, usec, taken, &taken) == 0);
	CHECK(taken == now);
	/* An older code does not come back behind a newer one. */
	CHECK(totp_check(secret, sizeof(secret), older.text, usec, taken, &taken) == TOTP_USED);
	CHECK(totp_check(secret, sizeof(secret), "12345", usec, 0, &taken) == TOTP_MALFORMED);
	CHECK(totp_check(secret, sizeof(secret), "12345x", usec, 0, &taken) == TOTP_MALFORMED);
	CHECK(totp_check(secret, sizeof(secret), "1234567", usec, 0, &taken) == TOTP_MALFORMED);
}

TEST(uri_is_what_programs_read)
{
	AUTO_BUF struct buf uri = BUF(512);

	totp_uri_print(
	        (const uint8_t *)"12345678901234567890", 20, "regional-vpn", "su zuki", &uri);
	CHECK_TEXT(buf_text(&uri),
	        "otpauth://totp/regional-vpn:su%20zuki?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
	        "&issuer=regional-vpn&algorithm=SHA1&digits=6&period=30");
}

TEST_MAIN()
