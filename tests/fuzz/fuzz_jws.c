/*
 * Seals as text. There is exactly one text for what a seal says: what is split and printed again is
 * the same characters.
 */
#include <string.h>

#include "wire/jws.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
	AUTO_BUF struct buf payload = BUF(JWS_BYTES_MAX), again = BUF(JWS_BYTES_MAX);
	struct jws jws;

	if (jws_split((const char *)bytes, count, &jws, &payload) != 0) {
		return 0;
	}
	jws_print_signed(jws.kid, jws.typ, buf_text(&payload), payload.count, &again);
	assert_always(again.count == jws.signed_count);
	jws_print_signature(jws.signature, &again);
	assert_always(again.count == count && memcmp(again.bytes, bytes, count) == 0);
	return 0;
}
