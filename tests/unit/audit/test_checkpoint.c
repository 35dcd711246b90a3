#include "../check.h"

#include "audit/checkpoint.h"
#include "ledger.h"

/* The example of the Go implementation from which the format comes. */
static const char neumann_key[] =
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
static const char neumann_note[] =
        "If you think cryptography is the answer to your problem,\n"
        "then you don't know what your problem is.\n"
        "\n"
        "\xe2\x80\x94 PeterNeumann "
        "x08go/ZJkuBS9UG/"
        "SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

TEST(the_published_example_verifies)
{
	AUTO_BUF struct buf text = BUF(256);
	struct note_key key;
	struct note note;

	CHECK(note_key_parse(neumann_key, &key, NULL) == 0 && key.id == 0xc74f20a3);
	note_key_print(&key, &text);
	CHECK_TEXT(buf_text(&text), neumann_key);
	CHECK(note_parse(neumann_note, strlen(neumann_note), &note, NULL) == 0);
	CHECK(note.signature_count == 1 && note_check(&note, &key, NULL) == 0);
	CHECK(note.text_bytes == strlen("If you think cryptography is the answer to your problem,\n"
	                                "then you don't know what your problem is.\n"));
}

TEST(no_changed_byte_of_a_note_passes)
{
	char text[sizeof(neumann_note)];
	struct note_key key;
	struct note note;

	CHECK(note_key_parse(neumann_key, &key, NULL) == 0);
	for (size_t i = 0; i < sizeof(neumann_note) - 1; i++) {
		for (int bit = 0; bit < 8; bit++) {
			memcpy(text, neumann_note, sizeof(text));
			text[i] = (char)(text[i] ^ 1 << bit);
			CHECK(note_parse(text, sizeof(text) - 1, &note, NULL) != 0 ||
			        note_check(&note, &key, NULL) != 0);
		}
	}
}

TEST(verifier_keys_are_strict)
{
	static const char *const bad[] = {
		"",
		"PeterNeumann",
		"PeterNeumann+c74f20a3",
		"PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
		"PeterNeumanx+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
		"PeterNeumann+c74f20a3+AhpC2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
		"PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10T",
		"PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWAA==",
		"+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
		"Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
		"PeterNeumann+74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
	};
	struct note_key key;

	for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
		struct err err = { 0 };

		CHECK(note_key_parse(bad[i], &key, &err) == 1 && err.text[0] != '\0');
	}
}

#define SIGNATURE "\xe2\x80\x94 a AAAAAAA=\n"

TEST(notes_are_strict)
{
	static const char *const bad[] = {
		"",
		"\n",
		"text\n",
		"text\n\n",
		"text\n" SIGNATURE,
		"text\n\n" SIGNATURE "\n",
		"text\n\n" SIGNATURE "x\n",
		"text\n\n\xe2\x80\x94 a AAAAAAA=",
		"text\r\n\n" SIGNATURE,
		"te\txt\n\n" SIGNATURE,
		"te\xff\n\n" SIGNATURE,
		"te\xc0\x80\n\n" SIGNATURE,
		"te\xed\xa0\x80\n\n" SIGNATURE,
		"text\n\n- a AAAAAAA=\n",
		"text\n\n\xe2\x80\x94 a  AAAAAAA=\n",
		"text\n\n\xe2\x80\x94 a AAAAAA==\n",
		"text\n\n\xe2\x80\x94 a AAAAAAA\n",
		"text\n\n\xe2\x80\x94 a AAAAAAB=\n",
		"text\n\n\xe2\x80\x94  AAAAAAA=\n",
		"text\n\n\xe2\x80\x94 a+b AAAAAAA=\n",
		"text\n\n\xe2\x80\x94 a\xe3\x80\x80 AAAAAAA=\n",
		"text\n\n\xe2\x80\x94 a AAAAAAA= \n",
		"text\n\n\xe2\x80\x94 a\n",
	};
	struct note note;

	CHECK(note_parse("text\n\n" SIGNATURE, strlen("text\n\n" SIGNATURE), &note, NULL) == 0);
	CHECK(note_parse("a\n\nb\n\n" SIGNATURE, strlen("a\n\nb\n\n" SIGNATURE), &note, NULL) == 0);
	CHECK(note.text_bytes == 5);
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
		struct err err = { 0 };

		CHECK(note_parse(bad[i], strlen(bad[i]), &note, &err) == 1 && err.text[0] != '\0');
	}
	CHECK(note_parse("te\0xt\n\n" SIGNATURE, strlen("text\n\n" SIGNATURE) + 1, &note, NULL) ==
	        1);
}

TEST(a_note_has_at_most_64_signatures)
{
	AUTO_BUF struct buf text = BUF(NOTE_BYTES_MAX);
	struct note note;

	buf_add_text(&text, "text\n\n");
	for (int i = 0; i < NOTE_SIGNATURES_MAX; i++) {
		buf_add_text(&text, SIGNATURE);
	}
	CHECK(note_parse(text.bytes, text.count, &note, NULL) == 0);
	buf_add_text(&text, SIGNATURE);
	CHECK(note_parse(text.bytes, text.count, &note, NULL) == 1);
}

static uint8_t seed[32] = { 1 }, other_seed[32] = { 2 };

TEST(checkpoints_are_signed_cosigned_and_opened)
{
	struct note_signer signer = signer_make("vpn.example/ledger", NOTE_SIGNATURE, seed);
	struct note_signer stranger = signer_make("vpn.example/ledger", NOTE_SIGNATURE, other_seed);
	struct note_signer elsewhere = signer_make("other.example", NOTE_SIGNATURE, seed);
	struct note_signer witness = signer_make("hospital.example", NOTE_COSIGNATURE, other_seed);
	struct merkle_head head = { .size = 20852163, .root = hash_of("root", 4) };
	struct note_key keys[2];
	AUTO_BUF struct buf bytes = BUF(NOTE_BYTES_MAX);
	struct checkpoint checkpoint;
	struct note note;
	uint64_t time;

	CHECK(checkpoint_sign(&head, &signer, &bytes, NULL) == 0);
	CHECK(checkpoint_open(bytes.bytes, bytes.count, &signer.key, &checkpoint, NULL) == 0);
	CHECK(checkpoint.head.size == head.size && hash_equal(&checkpoint.head.root, &head.root));
	CHECK_TEXT(checkpoint.origin, "vpn.example/ledger");
	CHECK(checkpoint_open(bytes.bytes, bytes.count, &stranger.key, &checkpoint, NULL) ==
	        CHECKPOINT_UNSIGNED);
	CHECK(checkpoint_open(bytes.bytes, bytes.count, &elsewhere.key, &checkpoint, NULL) ==
	        CHECKPOINT_ORIGIN);
	CHECK(note_cosign(&bytes, &witness, 1800000000, NULL) == 0);
	CHECK(note_cosign(&bytes, &witness, 1800000060, NULL) == 0);
	CHECK(checkpoint_open(bytes.bytes, bytes.count, &signer.key, &checkpoint, NULL) == 0);
	CHECK(note_parse(bytes.bytes, bytes.count, &note, NULL) == 0 && note.signature_count == 3);
	CHECK(note_check(&note, &witness.key, &time) == 0 && time == 1800000060);
	keys[0] = witness.key;
	keys[1] = stranger.key;
	CHECK(checkpoint_cosigners(bytes.bytes, bytes.count, keys, 2) == 1);
	bytes.bytes[strlen("vpn.example/ledger\n")] = '3'; /* the size */
	CHECK(checkpoint_open(bytes.bytes, bytes.count, &signer.key, &checkpoint, NULL) ==
	        CHECKPOINT_FORGED);
	CHECK(checkpoint_cosigners(bytes.bytes, bytes.count, keys, 2) == 0);
}

TEST(a_token_that_signs_with_another_key_is_noticed)
{
	struct note_signer signer = signer_make("vpn.example", NOTE_SIGNATURE, seed);
	struct merkle_head head = { .size = 1 };
	AUTO_BUF struct buf bytes = BUF(NOTE_BYTES_MAX);
	struct err err = { 0 };

	signer.context = other_seed;
	CHECK(checkpoint_sign(&head, &signer, &bytes, &err) < 0);
	CHECK(strstr(err.text, "vpn.example"));
}

TEST(checkpoint_texts_are_strict)
{
#define ROOT "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
	static const char *const bad[] = {
		"\n1\n" ROOT,
		"a\n\n" ROOT,
		"a\n01\n" ROOT,
		"a\n-1\n" ROOT,
		"a\n1 \n" ROOT,
		"a\n9223372036854775808\n" ROOT,
		"a\n1\n",
		"a\n1\nAAAA\n",
		"a\n1\n" ROOT "\nextension\n",
		"a\n18446744073709551617\n" ROOT,
		"a\n+1\n" ROOT,
		"a\n1\n=" ROOT,
	};
	AUTO_BUF struct buf bytes = BUF(NOTE_BYTES_MAX);
	struct checkpoint checkpoint;
	struct note note;

	for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
		buf_reset(&bytes);
		buf_add_format(&bytes, "%s\n" SIGNATURE, bad[i]);
		CHECK(note_parse(bytes.bytes, bytes.count, &note, NULL) != 0 ||
		        checkpoint_parse(&note, &checkpoint, NULL) == 1);
	}
	buf_reset(&bytes);
	buf_add_text(&bytes, "a\n9223372036854775807\n" ROOT "extension\n\n" SIGNATURE);
	CHECK(note_parse(bytes.bytes, bytes.count, &note, NULL) == 0);
	CHECK(checkpoint_parse(&note, &checkpoint, NULL) == 0 && checkpoint.head.size == INT64_MAX);
}

TEST_MAIN()
