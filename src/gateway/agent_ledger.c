/*
 * Process agent: a witness of the ledger. The newest checkpoint that was checked is kept on disk; a
 * new one must be signed by the provider and extend it, proven by a consistency proof. One that
 * does not is refused and recorded, and kept beside the old one as evidence (A34, I7).
 */
#include "gateway/agent.h"

#include <stdio.h>
#include <string.h>

#include "audit/checkpoint.h"
#include "audit/merkle.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "pki/key.h"
#include "pki/statement.h"
#include "wire/json.h"

#define KEPT "checkpoint"
#define EVIDENCE "checkpoint.refused"
#define PROOF_DEADLINE_MSEC 10000
#define REFUSED_USEC (60 * USEC_PER_SEC) /* a center that goes on like this fills no journal */
#define REFUSED_COUNT_MAX 10             /* records in that time */
#define ED25519_SPKI_BYTES 44            /* RFC 8410: 12 bytes of header, then the key */

static char *kept_path(const struct agent *agent, const char *name)
{
	return mem_format("%s/agent/%s", agent->config->state_dir, name);
}

void agent_ledger_open(struct agent *agent)
{
	AUTO_STRING char *path = kept_path(agent, KEPT);
	AUTO_BUF struct buf text = BUF(NOTE_BYTES_MAX);
	struct checkpoint checkpoint;
	struct note note;

	if (file_read(path, &text, NULL) != 0 ||
	        note_parse(text.bytes, text.count, &note, NULL) != 0 ||
	        checkpoint_parse(&note, &checkpoint, NULL) != 0) {
		return;
	}
	agent->checkpoint_size = checkpoint.head.size;
	agent->checkpoint = buf_take_text(&text);
}

/* Keeps the checkpoint keys of our provider's accreditation, as base64 lines of their SPKI. */
void agent_ledger_trust(struct agent *agent, const char *data, size_t count)
{
	AUTO_JSON json_t *event = NULL;
	AUTO(key) struct key *root = NULL;
	AUTO(statement_set) struct statement_set *set = statement_set_new();
	const struct key *keys[STATEMENT_KEYS_MAX];
	AUTO_BUF struct buf lines = BUF(JWS_SMALL_BYTES_MAX);
	const json_t *list;
	size_t spki_bytes, key_count;
	const uint8_t *spki = cert_spki(agent->root, &spki_bytes);

	if (key_parse(spki, spki_bytes, &root, NULL) != 0 ||
	        json_parse(data, count, &event, NULL) != 0) {
		return;
	}
	list = json_object_get(event, "statements");
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *text = json_string_value(json_array_get(list, i));
		const struct key *roots[] = { root };
		struct statement *statement;

		if (text && statement_open(text, strlen(text), roots, 1, &statement, NULL) == 0 &&
		        statement_set_take(set, statement) < 0) {
			return;
		}
	}
	key_count = statement_set_keys(set, STATEMENT_PROVIDER, agent->config->provider,
	        STATEMENT_USE_CHECKPOINT, clock_wall_usec(), keys);
	for (size_t i = 0; i < key_count; i++) {
		spki = key_spki(keys[i], &spki_bytes);
		if (spki_bytes == ED25519_SPKI_BYTES) {
			buf_add(&lines, spki + ED25519_SPKI_BYTES - NOTE_PUBLIC_KEY_BYTES,
			        NOTE_PUBLIC_KEY_BYTES);
		}
	}
	free(agent->verifier_keys);
	agent->verifier_keys = mem_copy(lines.bytes, lines.count);
	agent->verifier_key_count = lines.count / NOTE_PUBLIC_KEY_BYTES;
}

/* Outcome 1: not signed by the provider. */
static int open_checkpoint(
        const struct agent *agent, const char *text, struct checkpoint *ret, struct err *err)
{
	struct checkpoint shown;
	struct note_key key;
	struct note note;

	if (note_parse(text, strlen(text), &note, err) != 0 ||
	        checkpoint_parse(&note, &shown, err) != 0) {
		return 1;
	}
	err_set(err, 1, "the provider's accreditation names no checkpoint key");
	for (size_t i = 0; i < agent->verifier_key_count; i++) {
		const uint8_t *bytes =
		        (const uint8_t *)agent->verifier_keys + i * NOTE_PUBLIC_KEY_BYTES;

		if (note_key_make(shown.origin, NOTE_SIGNATURE, bytes, &key) == 0 &&
		        checkpoint_open(text, strlen(text), &key, ret, err) == 0) {
			return 0;
		}
	}
	return 1;
}

static void refuse(struct agent *agent, const char *text, const char *why)
{
	AUTO_STRING char *path = kept_path(agent, EVIDENCE);
	int64_t now = clock_monotonic_usec();

	if (agent->refused_count == 0 || now - agent->refused_usec >= REFUSED_USEC) {
		agent->refused_usec = now;
		agent->refused_count = 0;
		agent->refused_why[0] = '\0';
	}
	if (strncmp(agent->refused_why, why, sizeof(agent->refused_why) - 1) == 0 ||
	        agent->refused_count >= REFUSED_COUNT_MAX) {
		return; /* told a moment ago, or a center that wants to fill the journal */
	}
	agent->refused_count++;
	snprintf(agent->refused_why, sizeof(agent->refused_why), "%s", why);
	log_error(
	        "the ledger's checkpoint is refused: %s. It is kept in %s beside the one that was "
	        "accepted before",
	        why, path);
	agent_note(agent, "checkpoint.refused", agent->config->provider, why);
	if (file_replace(path, text, strlen(text), 0600, NULL) != 0) {
		log_error("%s cannot be written", path);
	}
}

static void take_over(struct agent *agent, const char *text, uint64_t size)
{
	AUTO_STRING char *path = kept_path(agent, KEPT);
	struct err err = { 0 };

	if (file_replace(path, text, strlen(text), 0600, &err) != 0) {
		log_error("%s", err.text);
		return;
	}
	free(agent->checkpoint);
	agent->checkpoint = mem_string(text);
	agent->checkpoint_size = size;
}

static int parse_proof(const struct http1_message *message, struct merkle_proof *proof)
{
	AUTO_JSON json_t *answer = NULL;
	const json_t *list;

	if (!message->body || json_parse(message->body, message->body_bytes, &answer, NULL) != 0) {
		return 1;
	}
	list = json_object_get(answer, "proof");
	if (!json_is_array(list) || json_array_size(list) > MERKLE_PROOF_COUNT_MAX) {
		return 1;
	}
	*proof = (struct merkle_proof){ 0 };
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *text = json_string_value(json_array_get(list, i));
		AUTO_BUF struct buf hash = BUF(HASH_BYTES);

		if (!text || base64_parse(text, strlen(text), &hash) != 0 ||
		        hash.count != HASH_BYTES) {
			return 1;
		}
		memcpy(proof->hashes[proof->count++].bytes, hash.bytes, HASH_BYTES);
	}
	return 0;
}

static void on_proof(void *context, const struct http_response *response)
{
	struct agent *agent = context;
	AUTO_STRING char *text = TAKE(agent->checkpoint_next);
	struct checkpoint first, second;
	struct merkle_proof proof;
	struct err err = { 0 };

	if (!text || response->fault < 0) {
		return; /* the next checkpoint tries again */
	}
	/* A center that will not or cannot answer has not shown another history: accusing it needs
	 * an answer. The checkpoint is not accepted either. */
	if (response->message->status != 200) {
		log_warning("the center gives no proof (%d) that the ledger only grew; the "
		            "checkpoint of %llu records stays the newest accepted",
		        response->message->status, (unsigned long long)agent->checkpoint_size);
		return;
	}
	if (open_checkpoint(agent, agent->checkpoint, &first, &err) != 0 ||
	        open_checkpoint(agent, text, &second, &err) != 0) {
		refuse(agent, text, err.text);
		return;
	}
	if (parse_proof(response->message, &proof) != 0 ||
	        !merkle_check_consistency(&first.head, &second.head, &proof)) {
		refuse(agent, text,
		        "it does not extend the one accepted before: records were changed or "
		        "removed");
		return;
	}
	take_over(agent, text, second.head.size);
}

static void ask_proof(struct agent *agent, const char *text, uint64_t size)
{
	AUTO_STRING char *path = mem_format("/device/v1/consistency?from=%llu&to=%llu",
	        (unsigned long long)agent->checkpoint_size, (unsigned long long)size);
	struct http_client_request request = { .method = "GET",
		.path = path,
		.deadline_msec = PROOF_DEADLINE_MSEC,
		.handler = on_proof,
		.context = agent };

	if (agent->checkpoint_next || !agent->calls) {
		return; /* one at a time; the next checkpoint covers this one */
	}
	agent->checkpoint_next = mem_string(text);
	if (http_client_request(agent->calls, &request) != 0) {
		free(TAKE(agent->checkpoint_next));
	}
}

void agent_ledger_take(struct agent *agent, const char *data, size_t count)
{
	AUTO_JSON json_t *event = NULL;
	struct checkpoint known, fresh;
	struct err err = { 0 };
	const char *text;

	if (json_parse(data, count, &event, NULL) != 0 ||
	        !(text = json_string_value(json_object_get(event, "note")))) {
		return;
	}
	if (open_checkpoint(agent, text, &fresh, &err) != 0) {
		refuse(agent, text, err.text);
		return;
	}
	if (!agent->checkpoint) {
		take_over(agent, text, fresh.head.size);
		return;
	}
	if (open_checkpoint(agent, agent->checkpoint, &known, &err) != 0) {
		refuse(agent, text, err.text);
		return;
	}
	if (strcmp(known.origin, fresh.origin) != 0) {
		refuse(agent, text, "it is of another ledger");
	} else if (fresh.head.size < known.head.size) {
		refuse(agent, text, "the ledger became shorter: it was rolled back");
	} else if (fresh.head.size == known.head.size) {
		if (memcmp(&fresh.head.root, &known.head.root, sizeof(fresh.head.root)) != 0) {
			refuse(agent, text, "the ledger shows another history of the same length");
		}
	} else {
		ask_proof(agent, text, fresh.head.size);
	}
}
