/*
 * What ceremonies handle: files with keys, certificates, lists and seals, and keys in tokens.
 * Everything returns an enum ctl_exit with the reason in ctl->err.
 */
#pragma once

#include "ctl/ctl.h"
#include "pki/ca.h"
#include "pki/cert.h"
#include "pki/csr.h"
#include "pki/key.h"
#include "pki/statement.h"
#include "pki/token.h"

/* Reads a file of at most `out`'s maximum. "-" is standard input. */
int material_read(struct ctl *ctl, const char *path, struct buf *out) must_use;
/* Replaces a file; puts nothing in its place before all of it is there. */
int material_write(struct ctl *ctl, const char *path, const void *bytes, size_t count) must_use;

/* Makes a directory (mode 0755) where it is missing. */
int material_directory(struct ctl *ctl, const char *path) must_use;

int material_cert(struct ctl *ctl, const char *path, struct cert **ret_cert) must_use;
/* A certificate of one of these kinds (a set of CERT_SET()) that keeps to its profile. */
int material_cert_kind(
        struct ctl *ctl, const char *path, unsigned kinds, struct cert **ret_cert) must_use;
int material_write_cert(struct ctl *ctl, const char *path, const struct cert *cert) must_use;
/* A public key: PEM or DER of it, a certificate's, or a request's. */
int material_key(struct ctl *ctl, const char *path, struct key **ret_key) must_use;
/* Writes a public key as PEM. */
int material_write_spki(
        struct ctl *ctl, const char *path, const uint8_t *spki, size_t count) must_use;
/* Writes a request as PEM. */
int material_write_csr(
        struct ctl *ctl, const char *path, const uint8_t *der, size_t count) must_use;
int material_csr(struct ctl *ctl, const char *path, struct csr **ret_csr) must_use;
/* A sealed text without the white space at its end. */
int material_seal(struct ctl *ctl, const char *path, struct buf *out) must_use;

/* Opens the token of --module, --token and --pin-file. */
int material_token(struct ctl *ctl, struct token **ret_token) must_use;
/* Another token of the same module. */
int material_token_other(struct ctl *ctl, const char *label, const char *pin_file,
        struct token **ret_token) must_use;
int material_token_key(struct ctl *ctl, struct token *token, const char *label,
        struct token_key **ret_key) must_use;
/* Finds the key with this label, or makes one of this type with the lowest free id. A key of
 * another type is refused. */
int material_token_key_make(struct ctl *ctl, struct token *token, enum token_key_type type,
        const char *label, struct token_key **ret_key, bool *ret_made) must_use;

/* The whole of a command: finds or makes the P-256 key --key and writes its public half to --out.
 */
int material_signing_key(struct ctl *ctl) must_use;

/* Reads a statement that the root key --root has sealed. */
int material_statement(
        struct ctl *ctl, const char *path, struct statement **ret_statement) must_use;

bool material_key_is_ed25519(const struct key *key);
/* Essentials of a certificate in a new object. */
json_t *material_cert_json(const struct cert *cert);
/* The key's id (base64url of the SHA-256 of its SubjectPublicKeyInfo). */
struct key_id material_key_id(const uint8_t *spki, size_t count);

/* From --days, cut to the issuer's end: the end of a certificate that begins an hour before now
 * (but not before its issuer). */
void material_validity(
        const struct cert *issuer, uint64_t days, int64_t *ret_not_before, int64_t *ret_not_after);
