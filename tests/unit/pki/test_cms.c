#include "../check.h"

#include "base/limits.h"
#include "pki/cms.h"
#include "world.h"

/* Memory as a file. */
struct pipe {
	struct buf in, out;
	size_t at;
};

static int take(void *context, uint8_t *bytes, size_t room, size_t *ret_count, struct err *err)
{
	struct pipe *pipe = context;
	size_t left = pipe->in.count - pipe->at;

	/* Odd pieces, so that every border is met in the middle of one. */
	*ret_count = left < 97 ? left : room < 97 ? room : 97;
	memcpy(bytes, pipe->in.bytes + pipe->at, *ret_count);
	pipe->at += *ret_count;
	return 0;
}

static int give(void *context, const uint8_t *bytes, size_t count, struct err *err)
{
	buf_add(&((struct pipe *)context)->out, bytes, count);
	return 0;
}

static struct token_key *open_key, *sign_key;
static struct cert *open_cert, *sign_cert;

static struct cert *certify(struct token_key *token_key, enum cert_kind kind)
{
	struct world *world = world_get();
	struct key *key = world_key(token_key);
	struct ca_request request = world_request(CERT_SERVICE, key, 30);
	struct cert *cert = NULL;

	request.kind = kind;
	memset(request.dns_names, 0, sizeof(request.dns_names));
	CHECK(ca_issue(world->service_authority, &request, &cert, NULL) == 0);
	CHECK(cert_kind(cert) == kind && cert_lint(cert, kind, NULL) == 0);
	key_free(key);
	return cert;
}

static void prepare(void)
{
	struct world *world = world_get();

	if (open_key) {
		return;
	}
	CHECK(token_key_generate(
	              world->gateway_token, TOKEN_KEY_EC_P256, 0x40, "sign", &sign_key, NULL) == 0);
	CHECK(token_key_generate_agreement(
	              world->gateway_token, TOKEN_KEY_EC_P384, 0x41, "open", &open_key, NULL) == 0);
	sign_cert = certify(sign_key, CERT_PERSON);
	open_cert = certify(open_key, CERT_RECIPIENT);
}

static int seal_text(const char *text, const char *other, struct pipe *pipe)
{
	AUTO(cms_digester) struct cms_digester *digester = cms_digester_new();
	const struct cert *recipients[] = { open_cert };
	struct cms_stream stream = { take, give, pipe };
	struct cms_seal seal = { .key = sign_key,
		.certificate = sign_cert,
		.recipients = recipients,
		.recipient_count = 1,
		.label = "{\"a\":1}",
		.sealed_usec = world_get()->now };

	*pipe = (struct pipe){ BUF(1 << 20), BUF(1 << 20), 0 };
	cms_digester_add(digester, (const uint8_t *)text, strlen(text));
	cms_digester_end(digester, &seal.digests);
	buf_add_text(&pipe->in, other);
	return cms_seal(&seal, &stream, NULL);
}

/* Gives what was sealed to be opened. */
static int open_again(struct pipe *pipe, struct cms_opened *opened, struct err *err)
{
	struct cms_stream stream = { take, give, pipe };

	buf_reset(&pipe->out);
	pipe->at = 0;
	return cms_open(open_key, open_cert, &stream, opened, err);
}

static void turn(struct pipe *pipe)
{
	struct buf sealed = pipe->out;

	pipe->out = pipe->in;
	pipe->in = sealed;
}

static void drop(struct pipe *pipe)
{
	buf_clear(&pipe->in);
	buf_clear(&pipe->out);
}

TEST(what_was_sealed_is_opened_with_its_label_and_signer)
{
	struct cms_opened opened;
	struct pipe pipe;
	struct err err = { "" };

	prepare();
	CHECK(seal_text("the file", "the file", &pipe) == 0);
	turn(&pipe);
	CHECK(open_again(&pipe, &opened, &err) == 0);
	CHECK_TEXT(buf_text(&pipe.out), "the file");
	CHECK_TEXT(buf_text(&opened.label), "{\"a\":1}");
	CHECK_TEXT(cert_serial(opened.signer), cert_serial(sign_cert));
	CHECK(opened.bytes == 8 && opened.signed_usec == world_get()->now);
	cms_opened_clear(&opened);
	drop(&pipe);
}

/* J3: every single byte counts. */
TEST(every_byte_of_a_sealed_file_counts)
{
	struct pipe pipe;

	prepare();
	CHECK(seal_text("the file", "the file", &pipe) == 0);
	turn(&pipe);
	for (size_t i = 0; i < pipe.in.count; i++) {
		struct cms_opened opened;
		struct err err = { "" };
		int r;

		pipe.in.bytes[i] ^= (uint8_t)(1u << i % 8);
		r = open_again(&pipe, &opened, &err);
		CHECK(r > 0 && r < CMS_TOKEN && *err.text != '\0');
		pipe.in.bytes[i] ^= (uint8_t)(1u << i % 8);
	}
	drop(&pipe);
}

TEST(a_file_that_changes_while_it_is_sealed_is_refused)
{
	struct pipe pipe;

	prepare();
	CHECK(seal_text("the file", "the fill", &pipe) == CMS_ALTERED);
	drop(&pipe);
	CHECK(seal_text("the file", "the file, and more", &pipe) == CMS_ALTERED);
	drop(&pipe);
	CHECK(seal_text("the file", "the f", &pipe) == CMS_ALTERED);
	drop(&pipe);
}

/* What signs does not agree on keys, and the other way round: not in the token and not by
 * certificate. */
TEST(signing_and_opening_are_two_keys)
{
	struct world *world = world_get();
	struct buf secret = BUF(64);
	struct token_key *none = NULL;

	prepare();
	CHECK(token_agree(sign_key, (const uint8_t *)"", 0, &secret, NULL) != 0);
	CHECK(token_key_generate_agreement(world->gateway_token, TOKEN_KEY_RSA_2048, 0x42, "rsa",
	              &none, NULL) == TOKEN_NOT_OFFERED);
	CHECK(cert_lint(open_cert, CERT_PERSON, NULL) != 0);
	CHECK(cert_lint(sign_cert, CERT_RECIPIENT, NULL) != 0);
	buf_clear(&secret);
	cert_free(open_cert);
	cert_free(sign_cert);
	token_key_free(open_key);
	token_key_free(sign_key);
	open_key = NULL;
}

TEST_MAIN()
