/*
 * The signed head of a log (C2SP tlog-checkpoint): a note whose text is
 *
 *     origin                                which log this is
 *     size                                  how many entries it has
 *     base64(root)                          RFC 6962 root at that size
 *     …                                     extension lines: kept, never read
 *
 * Our origin is also the name of the log's key.
 */
#pragma once

#include "audit/merkle.h"
#include "audit/note.h"

struct checkpoint {
	char origin[NOTE_NAME_BYTES_MAX + 1];
	struct merkle_head head;
};

/* Appends the text of the note. */
void checkpoint_print(const struct checkpoint *checkpoint, struct buf *out);

/* Reads the text of a note. Outcome 1: not a checkpoint. */
int checkpoint_parse(
        const struct note *note, struct checkpoint *ret_checkpoint, struct err *err) must_use;

/* Makes and signs the note for a head; the origin is the signer's name. */
int checkpoint_sign(const struct merkle_head *head, const struct note_signer *signer,
        struct buf *out, struct err *err) must_use;

/* The outcomes of checkpoint_open(). */
enum {
	CHECKPOINT_MALFORMED = 1,
	CHECKPOINT_ORIGIN,   /* of another log than the key's */
	CHECKPOINT_UNSIGNED, /* by this key */
	CHECKPOINT_FORGED,   /* carries the key's name and a wrong signature: changed or forged */
};

/* Parses a note and checks origin and signature. `ret_checkpoint` is filled for every outcome but
 * CHECKPOINT_MALFORMED, to be shown, not to be believed. */
int checkpoint_open(const void *bytes, size_t count, const struct note_key *key,
        struct checkpoint *ret_checkpoint, struct err *err) must_use;

/* How many of the cosigners' keys have signed the note (forged ones do not count). A quorum of them
 * is what keeps a log from showing two histories. */
size_t checkpoint_cosigners(
        const void *bytes, size_t count, const struct note_key *keys, size_t key_count);
