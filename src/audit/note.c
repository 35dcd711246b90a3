#include "audit/note.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "audit/hash.h"
#include "audit/utf8.h"
#include "base/str.h"

/* Em dash and space, in UTF-8. */
static const char line_start[] = "\xe2\x80\x94 ";
#define LINE_START_BYTES (sizeof(line_start) - 1)

/* A cosignature is a 64 bit time and the signature. */
#define TIME_BYTES 8

/* The Unicode property White_Space; the ASCII ones among the control characters are refused before.
 */
static bool is_space(uint32_t code)
{
	return code == 0x20 || code == 0x85 || code == 0xa0 || code == 0x1680 ||
	       (code >= 0x2000 && code <= 0x200a) || code == 0x2028 || code == 0x2029 ||
	       code == 0x202f || code == 0x205f || code == 0x3000;
}

static bool name_is_valid(const char *name, size_t count)
{
	const uint8_t *at = (const uint8_t *)name, *end = at + count;

	if (count == 0 || count > NOTE_NAME_BYTES_MAX) {
		return false;
	}
	while (at < end) {
		uint32_t code;
		size_t step = utf8_next(at, (size_t)(end - at), &code);

		if (step == 0 || code < 0x20 || code == '+' || is_space(code)) {
			return false;
		}
		at += step;
	}
	return true;
}

static bool text_is_valid(const uint8_t *bytes, size_t count)
{
	while (count > 0) {
		uint32_t code;
		size_t step = utf8_next(bytes, count, &code);

		if (step == 0 || (code < 0x20 && code != '\n')) {
			return false;
		}
		bytes += step;
		count -= step;
	}
	return true;
}

static uint32_t id_of(const char *name, enum note_type type, const uint8_t *public_key)
{
	AUTO_BUF struct buf bytes = BUF(NOTE_NAME_BYTES_MAX + 2 + NOTE_PUBLIC_KEY_BYTES);
	struct hash hash;

	buf_add_text(&bytes, name);
	buf_add_u8(&bytes, '\n');
	buf_add_u8(&bytes, (uint8_t)type);
	buf_add(&bytes, public_key, NOTE_PUBLIC_KEY_BYTES);
	assert_always(!bytes.overflowed);
	hash = hash_of(bytes.bytes, bytes.count);
	return (uint32_t)hash.bytes[0] << 24 | (uint32_t)hash.bytes[1] << 16 |
	       (uint32_t)hash.bytes[2] << 8 | hash.bytes[3];
}

int note_key_make(const char *name, enum note_type type,
        const uint8_t public_key[NOTE_PUBLIC_KEY_BYTES], struct note_key *ret_key)
{
	struct note_key key = { .type = type };

	if (!name_is_valid(name, strlen(name)) ||
	        text_copy(key.name, sizeof(key.name), name) != 0) {
		return 1;
	}
	memcpy(key.public_key, public_key, NOTE_PUBLIC_KEY_BYTES);
	key.id = id_of(name, type, public_key);
	*ret_key = key;
	return 0;
}

void note_key_print(const struct note_key *key, struct buf *out)
{
	uint8_t bytes[1 + NOTE_PUBLIC_KEY_BYTES];

	bytes[0] = (uint8_t)key->type;
	memcpy(bytes + 1, key->public_key, NOTE_PUBLIC_KEY_BYTES);
	buf_add_format(out, "%s+%08" PRIx32 "+", key->name, key->id);
	base64_add(out, bytes, sizeof(bytes));
}

int note_key_parse(const char *text, struct note_key *ret_key, struct err *err)
{
	AUTO_BUF struct buf bytes = BUF(1 + NOTE_PUBLIC_KEY_BYTES);
	const char *id = strchr(text, '+'), *base64 = id ? strchr(id + 1, '+') : NULL;
	char name[NOTE_NAME_BYTES_MAX + 1], wanted[9];
	struct note_key key;

	if (!base64 || (size_t)(id - text) > NOTE_NAME_BYTES_MAX || base64 - id != 9) {
		return err_set(err, 1,
		        "not a verifier key: it has the form name+id+key, id in 8 hex digits");
	}
	memcpy(name, text, (size_t)(id - text));
	name[id - text] = '\0';
	if (base64_parse(base64 + 1, strlen(base64 + 1), &bytes) != 0 ||
	        bytes.count != 1 + NOTE_PUBLIC_KEY_BYTES) {
		return err_set(
		        err, 1, "not a verifier key: the last part is not base64 of 33 bytes");
	}
	if (bytes.bytes[0] != NOTE_SIGNATURE && bytes.bytes[0] != NOTE_COSIGNATURE) {
		return err_set(err, 1,
		        "verifier keys of type 0x%02x are not understood, only Ed25519 ones "
		        "(0x01, and 0x04 for cosignatures)",
		        bytes.bytes[0]);
	}
	if (note_key_make(name, bytes.bytes[0], bytes.bytes + 1, &key) != 0) {
		return err_set(
		        err, 1, "not a verifier key: the name is empty or has a space in it");
	}
	snprintf(wanted, sizeof(wanted), "%08" PRIx32, key.id);
	if (strncmp(wanted, id + 1, 8) != 0) {
		return err_set(err, 1,
		        "the verifier key was copied wrongly: the id of this name and key is %s",
		        wanted);
	}
	*ret_key = key;
	return 0;
}

/* One signature line without its newline. */
static int parse_signature(const char *line, size_t count, struct note_signature *ret_signature)
{
	AUTO_BUF struct buf bytes = BUF(NOTE_BYTES_MAX);
	struct note_signature signature = { 0 };
	struct cursor cursor;
	const char *space;

	if (count < LINE_START_BYTES || memcmp(line, line_start, LINE_START_BYTES) != 0) {
		return 1;
	}
	signature.name = line + LINE_START_BYTES;
	count -= LINE_START_BYTES;
	space = memchr(signature.name, ' ', count);
	if (!space) {
		return 1;
	}
	signature.name_bytes = (size_t)(space - signature.name);
	signature.text = space + 1;
	signature.text_bytes = count - signature.name_bytes - 1;
	if (!name_is_valid(signature.name, signature.name_bytes) ||
	        base64_parse(signature.text, signature.text_bytes, &bytes) != 0 ||
	        bytes.count < 5) {
		return 1;
	}
	cursor = CURSOR(bytes.bytes, bytes.count);
	signature.key_id = cursor_u32(&cursor);
	*ret_signature = signature;
	return 0;
}

int note_parse(const void *bytes, size_t count, struct note *ret_note, struct err *err)
{
	const char *start = bytes, *end = start + count, *line;

	*ret_note = (struct note){ .text = bytes };
	if (count == 0 || count > NOTE_BYTES_MAX || end[-1] != '\n') {
		return err_set(err, 1,
		        "not a signed note: it is empty, longer than %d bytes, or does not end "
		        "with a newline",
		        NOTE_BYTES_MAX);
	}
	if (!text_is_valid(bytes, count)) {
		return err_set(err, 1,
		        "not a signed note: it is not UTF-8 or has a control character in it");
	}
	/* The last empty line separates; there may be others in the text. */
	for (line = end - 1; line > start && !(line[0] == '\n' && line[-1] == '\n'); line--) {
	}
	if (line <= start) {
		return err_set(
		        err, 1, "not a signed note: there is no empty line in front of signatures");
	}
	ret_note->text_bytes = (size_t)(line - start);
	for (line++; line < end;) {
		const char *next = memchr(line, '\n', (size_t)(end - line));

		if (ret_note->signature_count == NOTE_SIGNATURES_MAX) {
			return err_set(err, 1, "the note has more than %d signatures",
			        NOTE_SIGNATURES_MAX);
		}
		if (parse_signature(line, (size_t)(next - line),
		            &ret_note->signatures[ret_note->signature_count]) != 0) {
			return err_set(err, 1,
			        "not a signed note: line %zu after the text is not a signature",
			        ret_note->signature_count + 1);
		}
		ret_note->signature_count++;
		line = next + 1;
	}
	if (ret_note->signature_count == 0) {
		return err_set(err, 1, "not a signed note: there is no signature");
	}
	return 0;
}

static void add_signed_message(struct buf *out, const struct note_key *key, const void *text,
        size_t text_bytes, uint64_t time_sec)
{
	if (key->type == NOTE_COSIGNATURE) {
		buf_add_format(out, "cosignature/v1\ntime %" PRIu64 "\n", time_sec);
	}
	buf_add(out, text, text_bytes);
	assert_always(!out->overflowed);
}

static bool ed25519_check(
        const uint8_t *public_key, const uint8_t *message, size_t count, const uint8_t *signature)
{
	EVP_PKEY *key = EVP_PKEY_new_raw_public_key(
	        EVP_PKEY_ED25519, NULL, public_key, NOTE_PUBLIC_KEY_BYTES);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool good = key && context && EVP_DigestVerifyInit(context, NULL, NULL, NULL, key) == 1 &&
	            EVP_DigestVerify(context, signature, NOTE_SIGNATURE_BYTES, message, count) == 1;

	EVP_MD_CTX_free(context);
	EVP_PKEY_free(key);
	return good;
}

/* Outcome NOTE_FORGED. */
static int check_signature(const struct note *note, const struct note_signature *signature,
        const struct note_key *key, uint64_t *ret_time_sec)
{
	AUTO_BUF struct buf bytes = BUF(NOTE_BYTES_MAX);
	AUTO_BUF struct buf message = BUF(NOTE_BYTES_MAX + 64);
	size_t want = 4 + NOTE_SIGNATURE_BYTES + (key->type == NOTE_COSIGNATURE ? TIME_BYTES : 0);
	struct cursor cursor;
	uint64_t time_sec = 0;

	if (base64_parse(signature->text, signature->text_bytes, &bytes) != 0 ||
	        bytes.count != want) {
		return NOTE_FORGED;
	}
	cursor = CURSOR(bytes.bytes, bytes.count);
	(void)cursor_u32(&cursor);
	if (key->type == NOTE_COSIGNATURE) {
		time_sec = cursor_u64(&cursor);
		if (time_sec > INT64_MAX) {
			return NOTE_FORGED;
		}
	}
	add_signed_message(&message, key, note->text, note->text_bytes, time_sec);
	if (!ed25519_check(key->public_key, message.bytes, message.count,
	            cursor_take(&cursor, NOTE_SIGNATURE_BYTES))) {
		return NOTE_FORGED;
	}
	*ret_time_sec = time_sec;
	return 0;
}

int note_check(const struct note *note, const struct note_key *key, uint64_t *ret_time_sec)
{
	size_t name_bytes = strlen(key->name);
	uint64_t newest = 0;
	bool found = false;

	for (size_t i = 0; i < note->signature_count; i++) {
		const struct note_signature *signature = &note->signatures[i];
		uint64_t time_sec;

		if (signature->key_id != key->id || signature->name_bytes != name_bytes ||
		        memcmp(signature->name, key->name, name_bytes) != 0) {
			continue;
		}
		if (check_signature(note, signature, key, &time_sec) != 0) {
			return NOTE_FORGED;
		}
		found = true;
		newest = time_sec > newest ? time_sec : newest;
	}
	if (!found) {
		return NOTE_UNSIGNED;
	}
	if (ret_time_sec) {
		*ret_time_sec = newest;
	}
	return 0;
}

static int add_signature(struct buf *out, const void *text, size_t text_bytes,
        const struct note_signer *signer, uint64_t time_sec, struct err *err)
{
	AUTO_BUF struct buf message = BUF(NOTE_BYTES_MAX + 64);
	AUTO_BUF struct buf bytes = BUF(4 + TIME_BYTES + NOTE_SIGNATURE_BYTES);
	uint8_t signature[NOTE_SIGNATURE_BYTES];
	int r;

	add_signed_message(&message, &signer->key, text, text_bytes, time_sec);
	r = signer->sign(signer->context, message.bytes, message.count, signature, err);
	if (r < 0) {
		return FAULT(r);
	}
	/* A token that signs with another key than the one we publish is noticed here and not by
	 * whoever reads the log in ten years. */
	if (!ed25519_check(signer->key.public_key, message.bytes, message.count, signature)) {
		return FAULT(err_set(err, -EKEYREJECTED,
		        "the signature made for %s does not fit its public key: is it the right "
		        "key in the token?",
		        signer->key.name));
	}
	buf_add_u32(&bytes, signer->key.id);
	if (signer->key.type == NOTE_COSIGNATURE) {
		buf_add_u64(&bytes, time_sec);
	}
	buf_add(&bytes, signature, sizeof(signature));
	buf_add_text(out, line_start);
	buf_add_format(out, "%s ", signer->key.name);
	base64_add(out, bytes.bytes, bytes.count);
	buf_add_text(out, "\n");
	if (out->overflowed) {
		return FAULT(err_set(
		        err, -EMSGSIZE, "the note would be longer than %zu bytes", out->count_max));
	}
	return 0;
}

int note_sign(const char *text, const struct note_signer *signer, uint64_t time_sec,
        struct buf *out, struct err *err)
{
	size_t text_bytes = strlen(text);

	assert_always(text_bytes > 0 && text_bytes < NOTE_BYTES_MAX &&
	              text[text_bytes - 1] == '\n' &&
	              text_is_valid((const uint8_t *)text, text_bytes));
	buf_add(out, text, text_bytes);
	buf_add_text(out, "\n");
	return add_signature(out, text, text_bytes, signer, time_sec, err);
}

int note_cosign(struct buf *note_bytes, const struct note_signer *signer, uint64_t time_sec,
        struct err *err)
{
	AUTO_BUF struct buf text = BUF(NOTE_BYTES_MAX);
	struct note note;

	if (note_parse(note_bytes->bytes, note_bytes->count, &note, err) != 0) {
		return 1;
	}
	if (note.signature_count == NOTE_SIGNATURES_MAX) {
		return FAULT(err_set(
		        err, -EMSGSIZE, "the note already has %d signatures", NOTE_SIGNATURES_MAX));
	}
	buf_add(&text, note.text,
	        note.text_bytes); /* the note's own bytes may move while it grows */
	return add_signature(note_bytes, text.bytes, text.count, signer, time_sec, err);
}
