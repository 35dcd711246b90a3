#include "audit/utf8.h"

size_t utf8_next(const uint8_t *bytes, size_t count, uint32_t *ret_code)
{
	static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t want;
	uint32_t code;

	if (count == 0) {
		return 0;
	}
	if (bytes[0] < 0x80) {
		*ret_code = bytes[0];
		return 1;
	}
	if ((bytes[0] & 0xe0) == 0xc0) {
		want = 2;
		code = bytes[0] & 0x1f;
	} else if ((bytes[0] & 0xf0) == 0xe0) {
		want = 3;
		code = bytes[0] & 0x0f;
	} else if ((bytes[0] & 0xf8) == 0xf0) {
		want = 4;
		code = bytes[0] & 0x07;
	} else {
		return 0;
	}
	if (count < want) {
		return 0;
	}
	for (size_t i = 1; i < want; i++) {
		if ((bytes[i] & 0xc0) != 0x80) {
			return 0;
		}
		code = code << 6 | (bytes[i] & 0x3f);
	}
	if (code < smallest[want] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
		return 0;
	}
	*ret_code = code;
	return want;
}
