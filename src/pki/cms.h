/*
 * Sealed files (mission J2 to J4, 8.1e, B.5e): signed by the sender, then encrypted for each
 * recipient, as CMS (RFC 5652), so that every S/MIME program can look inside.
 *
 *     ContentInfo AuthEnvelopedData (RFC 5083; AES-256-GCM, RFC 5084)
 *       recipients: ECDH with a key of the moment, X9.63 KDF with SHA-256 or SHA-384, AES-256 key
 *       wrap (RFC 5753)
 *       content: ContentInfo SignedData
 *         signed attributes: content type, digest, time, and the label (OID_FILE_LABEL)
 *         content: the file
 *
 * Both are written and read as streams in constant memory, in canonical DER with definite lengths
 * (the library's CMS keeps a message whole in memory when it reads one). What comes out of
 * cms_open() before it has returned 0 is not authenticated yet: the caller keeps it out of sight.
 *
 * Read: AES-128 or AES-256 in GCM; SHA-256, SHA-384; ECDSA, RSA PKCS#1 v1.5. Of the
 * e-Government list these have integrity and a key of 128 bits or more; everything else, 3DES,
 * SHA-1 and modes without authentication included, is CMS_WEAK.
 */
#pragma once

#include "pki/cert.h"
#include "pki/token.h"

enum cms_outcome {
	CMS_MALFORMED = 1,   /* not such a file, or cut short */
	CMS_WEAK,            /* sealed with an algorithm that is not in the list */
	CMS_OTHER_RECIPIENT, /* not for this certificate */
	CMS_ALTERED,         /* what was encrypted is not what is there */
	CMS_UNSIGNED,        /* encrypted, and nobody signed it */
	CMS_FORGED,          /* the signature does not fit, or its certificate is missing */
	CMS_READ,            /* the reader or writer said no (> 0); it set err */
	CMS_TOKEN = 100,     /* + outcome of token.h */
};

/* One word for records and JSON: "malformed", "weak", … */
const char *cms_outcome_name(int outcome);

/* Fills up to `room` bytes; 0 bytes is the end. A fault or an outcome ends the work. */
typedef int cms_reader(
        void *context, uint8_t *bytes, size_t room, size_t *ret_count, struct err *err);
typedef int cms_writer(void *context, const uint8_t *bytes, size_t count, struct err *err);

struct cms_stream {
	cms_reader *read;
	cms_writer *write;
	void *context;
};

/* The digests of a file, both, since the signer's key decides which is signed. */
#define CMS_SHA256_BYTES 32
#define CMS_SHA384_BYTES 48
struct cms_digests {
	uint64_t bytes;
	uint8_t sha256[CMS_SHA256_BYTES];
	uint8_t sha384[CMS_SHA384_BYTES];
};

struct cms_digester;
struct cms_digester *cms_digester_new(void);
struct cms_digester *cms_digester_free(struct cms_digester *digester);
AUTO_DEFINE(cms_digester)
void cms_digester_add(struct cms_digester *digester, const uint8_t *bytes, size_t count);
/* Once; nothing can be added after it. */
void cms_digester_end(struct cms_digester *digester, struct cms_digests *ret_digests);

struct cms_seal {
	struct token_key *key;          /* the sender's: EC P-256, P-384 or RSA */
	const struct cert *certificate; /* of that key */
	const struct cert *issuer;      /* travels along; NULL: does not */
	const struct cert *const *recipients;
	size_t recipient_count;     /* 1 to FILE_RECIPIENTS_MAX, all EC */
	const char *label;          /* at most FILE_LABEL_BYTES_MAX */
	struct cms_digests digests; /* of what will be read */
	int64_t sealed_usec;
};

/* Reads the file a second time (the first made the digests) and writes it sealed. CMS_ALTERED: it
 * was not the same the second time; CMS_FORGED: the key is not the certificate's; CMS_WEAK: a key
 * that cannot be used; CMS_READ; CMS_TOKEN + outcome of token.h. */
int cms_seal(
        const struct cms_seal *seal, const struct cms_stream *stream, struct err *err) must_use;

#define CMS_EXTRA_MAX 4

/* What was in the seal. The caller verifies `signer` (verify_cert()): here only its key counted. */
struct cms_opened {
	struct cert *signer;
	struct cert *extra[CMS_EXTRA_MAX]; /* other certificates that came along */
	size_t extra_count;
	struct buf label;    /* empty: signed without one */
	int64_t signed_usec; /* -1: not said */
	uint64_t bytes;      /* of the file */
	uint8_t sha256[CMS_SHA256_BYTES];
};
void cms_opened_clear(struct cms_opened *opened);

/* Opens with the recipient's key in the token. Outcomes above. */
int cms_open(struct token_key *key, const struct cert *certificate, const struct cms_stream *stream,
        struct cms_opened *ret_opened, struct err *err) must_use;

/* The part behind the content of SignedData, for cms_open() and for fuzzing: certificates and
 * signatures, `bytes` the rest of SignedData behind encapContentInfo. `digests` has what the file
 * came to. CMS_MALFORMED, CMS_WEAK, CMS_UNSIGNED, CMS_FORGED. */
int cms_signers_check(const uint8_t *bytes, size_t count, const struct cms_digests *digests,
        struct cms_opened *opened, struct err *err) must_use;

/* Finds the recipient in a SET OF RecipientInfo and checks what is agreed there: for cms_open()
 * and for fuzzing. The ephemeral point is one of the certificate's curve and on it. CMS_MALFORMED,
 * CMS_WEAK, CMS_OTHER_RECIPIENT. All borrowed from `bytes`. */
struct cms_agreement {
	const uint8_t *point, *ukm, *wrap, *wrapped; /* ukm NULL: none; wrap: AlgorithmIdentifier */
	size_t point_bytes, ukm_bytes, wrap_bytes, wrapped_bytes;
	bool sha384;
	size_t key_bytes; /* of the key that wraps */
};
int cms_recipient_find(const uint8_t *bytes, size_t count, const struct cert *certificate,
        struct cms_agreement *ret_agreement, struct err *err) must_use;
