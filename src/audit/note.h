/*
 * Signed notes (C2SP signed-note v1) and cosignatures on them (C2SP tlog-cosignature v1, Ed25519).
 *
 *     text, which ends with a newline
 *                                             (empty line)
 *     — key-name base64(key id || signature)
 *     …
 *
 * Two types of signature are understood: 0x01 signs the text, 0x04 signs the text together with a
 * time. Signatures of other keys and types are kept and left alone, as the specification asks.
 */
#pragma once

#include "base/buf.h"
#include "base/limits.h"

#define NOTE_PUBLIC_KEY_BYTES 32
#define NOTE_SIGNATURE_BYTES 64

enum note_type {
	NOTE_SIGNATURE = 0x01,   /* by the log itself */
	NOTE_COSIGNATURE = 0x04, /* by somebody who saw that the log only grew, and when */
};

/* A verifier key. Its text form is name+id+base64(type || public key), the id in eight hex digits.
 */
struct note_key {
	char name[NOTE_NAME_BYTES_MAX + 1];
	enum note_type type;
	uint32_t id;
	uint8_t public_key[NOTE_PUBLIC_KEY_BYTES];
};

/* Fills in the id. Outcome 1: not a key name (empty, too long, not UTF-8, with a space, control
 * character or plus sign). */
int note_key_make(const char *name, enum note_type type,
        const uint8_t public_key[NOTE_PUBLIC_KEY_BYTES], struct note_key *ret_key) must_use;

void note_key_print(const struct note_key *key, struct buf *out);

/* Outcome 1: not a verifier key, or the id is not the one of that name and key. */
int note_key_parse(const char *text, struct note_key *ret_key, struct err *err) must_use;

struct note_signature {
	const char *name; /* not zero-terminated */
	size_t name_bytes;
	uint32_t key_id;
	const char *text; /* base64 of key id and signature, not zero-terminated */
	size_t text_bytes;
};

/* Borrows from the bytes it was parsed from. */
struct note {
	const uint8_t *text;
	size_t text_bytes;
	size_t signature_count; /* at least 1 */
	struct note_signature signatures[NOTE_SIGNATURES_MAX];
};

/* Outcome 1: not a signed note, or more than NOTE_BYTES_MAX. No signature is checked here. */
int note_parse(const void *bytes, size_t count, struct note *ret_note, struct err *err) must_use;

enum {
	NOTE_UNSIGNED = 1, /* there is no signature by this key */
	NOTE_FORGED = 2,   /* there is one that carries the key's name and id, and it is wrong */
};

/* Checks every signature that carries this key's name and id. `ret_time_sec` (may be NULL) gets the
 * newest time of a cosignature and 0 for type 0x01. */
int note_check(
        const struct note *note, const struct note_key *key, uint64_t *ret_time_sec) must_use;

/* The private key is somewhere else, in a token: `sign` makes the Ed25519 signature of the message.
 * It returns 0 or a fault. */
struct note_signer {
	struct note_key key;
	int (*sign)(void *context, const uint8_t *message, size_t count,
	        uint8_t ret_signature[NOTE_SIGNATURE_BYTES], struct err *err);
	void *context;
};

/* Writes text, empty line and one signature line to `out`. The text must end with a newline, be
 * UTF-8 and have no other control character (asserted: it is ours). */
int note_sign(const char *text, const struct note_signer *signer, uint64_t time_sec,
        struct buf *out, struct err *err) must_use;

/* Appends one more signature line to a note. Outcome 1: `note_bytes` is not a signed note. */
int note_cosign(struct buf *note_bytes, const struct note_signer *signer, uint64_t time_sec,
        struct err *err) must_use;
