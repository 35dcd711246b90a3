#include "audit/checkpoint.h"

#include <inttypes.h>
#include <string.h>

#include "base/str.h"

void checkpoint_print(const struct checkpoint *checkpoint, struct buf *out)
{
	buf_add_format(out, "%s\n%" PRIu64 "\n", checkpoint->origin, checkpoint->head.size);
	base64_add(out, checkpoint->head.root.bytes, HASH_BYTES);
	buf_add_text(out, "\n");
}

/* The next line without its newline; NULL at the end. */
static const char *take_line(const char **at, const char *end, size_t *ret_count)
{
	const char *line = *at, *newline;

	if (line == end) {
		return NULL;
	}
	newline = memchr(line, '\n', (size_t)(end - line));
	*ret_count = (size_t)(newline - line);
	*at = newline + 1;
	return line;
}

int checkpoint_parse(const struct note *note, struct checkpoint *ret_checkpoint, struct err *err)
{
	AUTO_BUF struct buf root = BUF(HASH_BYTES);
	const char *at = (const char *)note->text, *end = at + note->text_bytes, *line;
	struct checkpoint checkpoint = { 0 };
	char size[24];
	size_t count;

	line = take_line(&at, end, &count);
	if (!line || count == 0 || count > NOTE_NAME_BYTES_MAX) {
		return err_set(
		        err, 1, "not a checkpoint: the first line is to be the origin of the log");
	}
	memcpy(checkpoint.origin, line, count);
	line = take_line(&at, end, &count);
	if (!line || count >= sizeof(size)) {
		return err_set(
		        err, 1, "not a checkpoint: the second line is to be the number of entries");
	}
	memcpy(size, line, count);
	size[count] = '\0';
	if (unsigned_parse(size, INT64_MAX, &checkpoint.head.size) != 0) {
		return err_set(
		        err, 1, "not a checkpoint: the second line is to be the number of entries");
	}
	line = take_line(&at, end, &count);
	if (!line || base64_parse(line, count, &root) != 0 || root.count != HASH_BYTES) {
		return err_set(err, 1,
		        "not a checkpoint: the third line is to be the root hash in base64");
	}
	memcpy(checkpoint.head.root.bytes, root.bytes, HASH_BYTES);
	while ((line = take_line(&at, end, &count))) {
		if (count == 0) {
			return err_set(err, 1, "not a checkpoint: an extension line is empty");
		}
	}
	*ret_checkpoint = checkpoint;
	return 0;
}

int checkpoint_sign(const struct merkle_head *head, const struct note_signer *signer,
        struct buf *out, struct err *err)
{
	AUTO_BUF struct buf text = BUF(NOTE_BYTES_MAX);
	struct checkpoint checkpoint = { .head = *head };

	if (text_copy(checkpoint.origin, sizeof(checkpoint.origin), signer->key.name) != 0) {
		assert_always(!"a key's name always fits");
	}
	checkpoint_print(&checkpoint, &text);
	return note_sign(buf_text(&text), signer, 0, out, err);
}

int checkpoint_open(const void *bytes, size_t count, const struct note_key *key,
        struct checkpoint *ret_checkpoint, struct err *err)
{
	struct note note;

	if (note_parse(bytes, count, &note, err) != 0 ||
	        checkpoint_parse(&note, ret_checkpoint, err) != 0) {
		return CHECKPOINT_MALFORMED;
	}
	if (strcmp(ret_checkpoint->origin, key->name) != 0) {
		return err_set(err, CHECKPOINT_ORIGIN,
		        "the checkpoint is of the log %s and the key of %s", ret_checkpoint->origin,
		        key->name);
	}
	switch (note_check(&note, key, NULL)) {
	case 0:
		return 0;
	case NOTE_UNSIGNED:
		return err_set(err, CHECKPOINT_UNSIGNED,
		        "the checkpoint has no signature by the key %s+%08" PRIx32, key->name,
		        key->id);
	default:
		return err_set(err, CHECKPOINT_FORGED,
		        "the checkpoint's signature is wrong: it was changed, or not signed by %s",
		        key->name);
	}
}

size_t checkpoint_cosigners(
        const void *bytes, size_t count, const struct note_key *keys, size_t key_count)
{
	struct note note;
	size_t cosigners = 0;

	if (note_parse(bytes, count, &note, NULL) != 0) {
		return 0;
	}
	for (size_t i = 0; i < key_count; i++) {
		cosigners +=
		        keys[i].type == NOTE_COSIGNATURE && note_check(&note, &keys[i], NULL) == 0;
	}
	return cosigners;
}
