/*
 * The signer as a core that is taken over sees it: any sequence of requests. The keys are not real;
 * what would be signed with them has to keep the rules, whatever was asked: the provider's own
 * objects, within the ceilings, sizes and numbers that only rise.
 *
 * Input: u8 type, u16 length, request, and again. A text {now} in a request stands for the time, so
 * that a seed does not get old.
 */
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "audit/checkpoint.h"
#include "base/clock.h"
#include "model/grant.h"
#include "model/lease.h"
#include "pki/ca.h"
#include "pki/crl.h"
#include "pki/ocsp.h"
#include "pki/seal.h"
#include "pki/token.h"

static int fake_seal(const char *typ, const void *payload, size_t count, struct buf *out);
static int fake_sign(const uint8_t *bytes, size_t count, struct buf *out);
static int fake_crl(const struct crl_entry *entries, size_t count, uint64_t number, int64_t from,
        int64_t until, struct buf *out);
static int fake_ocsp(
        ocsp_lookup *lookup, void *context, int64_t from, int64_t until, struct buf *out);

#define seal_sign(key, typ, payload, count, out, err) fake_seal(typ, payload, count, out)
#define token_sign(key, bytes, count, out, err) ((void)(key), fake_sign(bytes, count, out))
#define ca_sign(ca, tbs, count, approved, ret_cert, err) err_set(err, CA_REFUSED, "no key")
#define crl_build(ca, entries, count, number, from, until, out, err)                               \
	fake_crl(entries, count, number, from, until, out)
#define ocsp_answer(ocsp, question, count, lookup, context, from, until, out, err)                 \
	fake_ocsp(lookup, context, from, until, out)

#include "center/signer.c"

#define PROVIDER "regional-vpn"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Called by signer_main() only, which is not. */
int process_configure(
        const struct process_arguments *arguments, const char *name, struct center_config *config)
{
	return 1;
}

const struct sandbox_path *process_paths(const struct process_arguments *arguments,
        const struct center_config *config, bool tokens, bool state)
{
	return NULL;
}

static EVP_PKEY *log_key;
static uint64_t epoch, list_number, checkpoint_size;

static int fake_seal(const char *typ, const void *payload, size_t count, struct buf *out)
{
	int64_t now = clock_wall_usec();
	struct grant grant;
	struct lease lease;

	if (strcmp(typ, "sekisho-grant") == 0) {
		assert_always(grant_parse(payload, count, &grant, NULL) == 0);
		assert_always(strcmp(grant.provider, PROVIDER) == 0 && grant.epoch >= epoch);
		assert_always(grant.not_after > now && grant.lease_sec <= LEASE_SEC_MAX);
		assert_always(grant.not_after - now <=
		              (2 * GRANT_SEC_MAX + CLOCK_SKEW_SEC_MAX) * USEC_PER_SEC);
		epoch = grant.epoch;
	} else {
		assert_always(strcmp(typ, "sekisho-lease") == 0);
		assert_always(lease_parse(payload, count, &lease, NULL) == 0);
		assert_always(strcmp(lease.provider, PROVIDER) == 0 && lease.epoch >= epoch);
		assert_always(lease.ttl_sec <= LEASE_SEC_MAX);
		assert_always(lease.issued_at - now <= CLOCK_SKEW_SEC_MAX * USEC_PER_SEC);
	}
	buf_add_text(out, "sealed");
	return 0;
}

static int fake_sign(const uint8_t *bytes, size_t count, struct buf *out)
{
	struct note note = { .text = bytes, .text_bytes = count };
	struct checkpoint checkpoint;
	uint8_t signature[NOTE_SIGNATURE_BYTES];
	size_t signature_count = sizeof(signature);
	EVP_MD_CTX *context = EVP_MD_CTX_new();

	assert_always(checkpoint_parse(&note, &checkpoint, NULL) == 0);
	assert_always(checkpoint.head.size >= checkpoint_size);
	checkpoint_size = checkpoint.head.size;
	assert_always(EVP_DigestSignInit(context, NULL, NULL, NULL, log_key) == 1);
	assert_always(EVP_DigestSign(context, signature, &signature_count, bytes, count) == 1);
	EVP_MD_CTX_free(context);
	buf_add(out, signature, sizeof(signature));
	return 0;
}

static void check_brief(int64_t from, int64_t until, int64_t sec_max)
{
	int64_t off = from - clock_wall_usec();

	assert_always(off < CLOCK_SKEW_SEC_MAX * USEC_PER_SEC);
	assert_always(until > from && until - from <= sec_max * USEC_PER_SEC);
}

static int fake_crl(const struct crl_entry *entries, size_t count, uint64_t number, int64_t from,
        int64_t until, struct buf *out)
{
	assert_always(number > list_number);
	list_number = number;
	check_brief(from, until, CRL_SEC_MAX);
	for (size_t i = 0; i < count; i++) {
		assert_always(memchr(entries[i].serial, '\0', sizeof(entries[i].serial)));
		assert_always(entries[i].revoked_usec >= 0);
	}
	buf_add_format(out, "list of %zu", count);
	return 0;
}

static int fake_ocsp(
        ocsp_lookup *lookup, void *context, int64_t from, int64_t until, struct buf *out)
{
	struct ocsp_status known = lookup(context, "01"),
	                   unknown = lookup(context, "ffffffffffffffff");

	check_brief(from, until, OCSP_SEC_MAX);
	assert_always(known.state < OCSP_REVOKED ||
	              (known.state == OCSP_REVOKED && known.revoked_usec >= 0));
	assert_always(unknown.state <= OCSP_REVOKED);
	buf_add_text(out, "answer");
	return 0;
}

/* {now} becomes the time in microseconds, {day} a day later, as u64. */
static void fill_times(const uint8_t *bytes, size_t count, struct buf *out)
{
	for (size_t i = 0; i < count; i++) {
		int64_t now = clock_wall_usec();

		if (count - i >= 5 && memcmp(bytes + i, "{now}", 5) == 0) {
			buf_add_u64(out, (uint64_t)now);
			i += 4;
		} else if (count - i >= 5 && memcmp(bytes + i, "{day}", 5) == 0) {
			buf_add_u64(out, (uint64_t)now + 86400 * USEC_PER_SEC);
			i += 4;
		} else if (count - i >= 6 && memcmp(bytes + i, "{text}", 6) == 0) {
			buf_add_text(out, time_print(now).text);
			i += 5;
		} else if (count - i >= 6 && memcmp(bytes + i, "{hour}", 6) == 0) {
			buf_add_text(out, time_print(now + 3600 * USEC_PER_SEC).text);
			i += 5;
		} else {
			buf_add_u8(out, bytes[i]);
		}
	}
}

static void ask(struct signer *signer, unsigned type, const uint8_t *bytes, size_t count)
{
	AUTO_BUF struct buf request = BUF(MESSAGE_BYTES_MAX), out = BUF(MESSAGE_BYTES_MAX - 16);
	struct cursor cursor;
	struct err err = { 0 };
	int r;

	if (type >= ARRAY_COUNT(serves) || !serves[type]) {
		return;
	}
	fill_times(bytes, count, &request);
	cursor = CURSOR(request.bytes, request.count);
	r = serves[type](signer, &cursor, &out, &err);
	assert_always(
	        r == SIGNER_OK || r == SIGNER_REFUSED || r == SIGNER_FAILED || r == SIGNER_ASKS);
	assert_always(r != SIGNER_REFUSED || err.text[0] != '\0');
	assert_always(!out.overflowed && signer->entry_count <= CRL_ENTRIES_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char provider[] = PROVIDER;
	struct signer signer = { .config = { .provider = provider },
		.list = BUF(CRL_DER_BYTES_MAX),
		.ocsp = (struct ocsp *)&signer };
	uint8_t public_key[NOTE_PUBLIC_KEY_BYTES] = { 1 };
	size_t key_count = sizeof(public_key);
	struct cursor cursor = CURSOR(data, size);

	if (!log_key) {
		log_key = EVP_PKEY_new_raw_private_key(
		        EVP_PKEY_ED25519, NULL, public_key, sizeof(public_key));
	}
	assert_always(log_key && EVP_PKEY_get_raw_public_key(log_key, public_key, &key_count) == 1);
	epoch = list_number = checkpoint_size = 0;
	assert_always(note_key_make(PROVIDER ".sekisho.internal", NOTE_SIGNATURE, public_key,
	                      &signer.log_key) == 0);
	while (cursor_left(&cursor) > 3) {
		unsigned type = cursor_u8(&cursor);
		size_t count = cursor_u16(&cursor), left = cursor_left(&cursor);

		count = count < left ? count : left;
		ask(&signer, type, cursor_take(&cursor, count), count);
	}
	free(signer.entries);
	buf_clear(&signer.list);
	return 0;
}
