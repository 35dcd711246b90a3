#include "wire/jws.h"

#include <string.h>

#include "base/str.h"

#define HEADER_START "{\"alg\":\"ES256\",\"kid\":\""
#define HEADER_MIDDLE "\",\"typ\":\""
#define HEADER_END "\"}"
#define HEADER_BYTES_MAX 128

static bool typ_valid(const char *typ, size_t count)
{
	if (count < 1 || count > JWS_TYP_BYTES_MAX) {
		return false;
	}
	for (size_t i = 0; i < count; i++) {
		char c = typ[i];

		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-')) {
			return false;
		}
	}
	return true;
}

static bool kid_valid(const char *kid, size_t count)
{
	AUTO_BUF struct buf bytes = BUF(32);

	return count == JWS_KID_BYTES && base64url_parse(kid, count, &bytes) == 0;
}

static void add_header(struct buf *out, const char *kid, const char *typ)
{
	buf_add_text(out, HEADER_START);
	buf_add_text(out, kid);
	buf_add_text(out, HEADER_MIDDLE);
	buf_add_text(out, typ);
	buf_add_text(out, HEADER_END);
}

/* Takes kid and typ from their places, prints the header from them, and wants the same bytes. */
static int parse_header(const struct buf *header, struct jws *jws)
{
	AUTO_BUF struct buf again = BUF(HEADER_BYTES_MAX);
	const char *text = buf_text(header), *kid = text + strlen(HEADER_START), *typ;
	size_t fixed =
	        strlen(HEADER_START) + JWS_KID_BYTES + strlen(HEADER_MIDDLE) + strlen(HEADER_END);
	size_t typ_count;

	if (header->count <= fixed) {
		return 1;
	}
	typ = kid + JWS_KID_BYTES + strlen(HEADER_MIDDLE);
	typ_count = header->count - fixed;
	if (!kid_valid(kid, JWS_KID_BYTES) || !typ_valid(typ, typ_count)) {
		return 1;
	}
	memcpy(jws->kid, kid, JWS_KID_BYTES);
	jws->kid[JWS_KID_BYTES] = '\0';
	memcpy(jws->typ, typ, typ_count);
	jws->typ[typ_count] = '\0';
	add_header(&again, jws->kid, jws->typ);
	return again.count == header->count && memcmp(again.bytes, header->bytes, again.count) == 0
	               ? 0
	               : 1;
}

int jws_split(const char *text, size_t count, struct jws *ret_jws, struct buf *payload)
{
	AUTO_BUF struct buf header = BUF(HEADER_BYTES_MAX), signature = BUF(JWS_SIGNATURE_BYTES);
	const char *first, *second;

	if (count > JWS_BYTES_MAX) {
		return 1;
	}
	first = memchr(text, '.', count);
	second = first ? memchr(first + 1, '.', count - (size_t)(first + 1 - text)) : NULL;
	if (!second) {
		return 1;
	}
	if (base64url_parse(text, (size_t)(first - text), &header) != 0 ||
	        parse_header(&header, ret_jws) != 0 ||
	        base64url_parse(second + 1, count - (size_t)(second + 1 - text), &signature) != 0 ||
	        signature.count != JWS_SIGNATURE_BYTES ||
	        base64url_parse(first + 1, (size_t)(second - first - 1), payload) != 0) {
		return 1;
	}
	memcpy(ret_jws->signature, signature.bytes, JWS_SIGNATURE_BYTES);
	ret_jws->signed_count = (size_t)(second - text);
	return 0;
}

void jws_print_signed(
        const char *kid, const char *typ, const void *payload, size_t count, struct buf *out)
{
	AUTO_BUF struct buf header = BUF(HEADER_BYTES_MAX);

	assert_always(kid_valid(kid, strlen(kid)) && typ_valid(typ, strlen(typ)));
	add_header(&header, kid, typ);
	base64url_add(out, header.bytes, header.count);
	buf_add_text(out, ".");
	base64url_add(out, payload, count);
}

void jws_print_signature(const uint8_t signature[JWS_SIGNATURE_BYTES], struct buf *out)
{
	buf_add_text(out, ".");
	base64url_add(out, signature, JWS_SIGNATURE_BYTES);
}
