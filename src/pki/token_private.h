/* What the parts of the token module share: token.c (module, session, recovery), token_key.c (keys
 * and signatures), token_object.c (other objects), token_pkey.c (the bridge to OpenSSL). */
#pragma once

#include <p11-kit/pkcs11.h>

#include "pki/token.h"

#define TOKEN_ID_BYTES_MAX 16
#define TOKEN_OBJECTS_MAX 2048
#define TOKEN_ATTRIBUTE_BYTES_MAX 16384

/* A module that is loaded. C_Initialize and C_Finalize are for the whole process, so handles on
 * tokens of one module share it; `generation` tells them that their sessions are gone. */
struct token_module {
	char *path;
	CK_FUNCTION_LIST *call;
	unsigned generation; /* 0: not initialized; grows with every C_Initialize */
	unsigned next_generation;
	struct token_module *next;
};

struct token {
	struct token_module *module; /* NULL before the first token_open() */
	char *module_path;
	char *label;
	char *pin; /* NULL: none */
	size_t pin_bytes;
	CK_SESSION_HANDLE session;
	CK_SLOT_ID slot;
	unsigned generation; /* of the module when the session was opened; 0: none */
	int refused;         /* TOKEN_PIN_WRONG or TOKEN_PIN_LOCKED for good, else 0 */
	unsigned login_count;
	unsigned recovery_count;
};

struct token_key {
	struct token *token;
	uint8_t id[TOKEN_ID_BYTES_MAX];
	size_t id_bytes;
	char label[TOKEN_LABEL_BYTES_MAX + 1];
	enum token_key_type type;
	size_t order_bytes; /* of the curve, or of the modulus */
	CK_OBJECT_HANDLE handle;
	unsigned generation; /* of the token when `handle` was looked up */
	uint8_t *spki;
	size_t spki_count;
	struct evp_pkey_st *pkey; /* made when first asked for */
};

/* A piece of work in the token: calls the module and returns its answer, CKR_OK or not. It may be
 * run twice (after a recovery) and must start afresh each time. */
typedef CK_RV token_work(struct token *token, void *context);

/* Opens the token if needed, works, and if the session or the device turns out to be gone, starts
 * the module again and works once more. Maps the answer: 0, an outcome, or a fault with text that
 * begins with `what`. */
int token_do(struct token *token, token_work *work, void *context, const char *what,
        struct err *err) must_use;

/* Our own answer of a work function: it found nothing. Above CKR_VENDOR_DEFINED. */
#define CKR_OURS_NOT_FOUND (CKR_VENDOR_DEFINED | 0x53454b01UL)
#define CKR_OURS_EXISTS (CKR_VENDOR_DEFINED | 0x53454b02UL)
#define CKR_OURS_AMBIGUOUS (CKR_VENDOR_DEFINED | 0x53454b03UL)
#define CKR_OURS_TOO_LARGE (CKR_VENDOR_DEFINED | 0x53454b04UL)
#define CKR_OURS_NOT_OFFERED (CKR_VENDOR_DEFINED | 0x53454b05UL)

/* The objects that fit a template, at most `max` (CKR_OURS_TOO_LARGE above). */
CK_RV token_objects(struct token *token, CK_ATTRIBUTE *template, CK_ULONG count,
        CK_OBJECT_HANDLE *ret_objects, CK_ULONG max, CK_ULONG *ret_count);

/* One attribute of an object, as long as it is at most TOKEN_ATTRIBUTE_BYTES_MAX; added to `out`.
 * CKR_OK with nothing added when the object does not have it. */
CK_RV token_attribute(
        struct token *token, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type, struct buf *out);

/* The raw mechanisms, for the bridge. */
int token_sign_raw(struct token_key *key, CK_MECHANISM *mechanism, const uint8_t *bytes,
        size_t count, struct buf *out, struct err *err) must_use;

/* Cuts the bridge's way back to a key that goes away, so that a late use fails. */
void token_pkey_detach(struct token_key *key);
