/* One character of UTF-8 (RFC 3629). */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* The number of bytes of the character at `bytes` and its code point, or 0 when it is not well
 * formed: cut short, overlong, a surrogate, above U+10FFFF. */
size_t utf8_next(const uint8_t *bytes, size_t count, uint32_t *ret_code);
