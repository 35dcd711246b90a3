/*
 * A PKCS#11 module with tokens that real ones only turn into after wrong PINs: "final" has one try
 * left, "locked" has none, "wrong" refuses the PIN. The first two end the program if somebody logs
 * in all the same. Loaded by test_token.c.
 */
#include <p11-kit/pkcs11.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *label;
	CK_FLAGS flags;
} tokens[] = {
	{ "final", CKF_USER_PIN_FINAL_TRY },
	{ "locked", CKF_USER_PIN_LOCKED },
	{ "wrong", 0 },
};

#define TOKEN_COUNT (sizeof(tokens) / sizeof(tokens[0]))

static CK_RV initialize(void *arguments)
{
	return CKR_OK;
}

static CK_RV finalize(void *arguments)
{
	return CKR_OK;
}

static CK_RV get_slot_list(CK_BBOOL present, CK_SLOT_ID *slots, CK_ULONG *count)
{
	for (CK_ULONG i = 0; slots && i < TOKEN_COUNT && i < *count; i++) {
		slots[i] = i;
	}
	*count = TOKEN_COUNT;
	return CKR_OK;
}

static CK_RV get_token_info(CK_SLOT_ID slot, CK_TOKEN_INFO *information)
{
	memset(information, 0, sizeof(*information));
	memset(information->label, ' ', sizeof(information->label));
	memcpy(information->label, tokens[slot].label, strlen(tokens[slot].label));
	information->flags = CKF_TOKEN_INITIALIZED | CKF_LOGIN_REQUIRED | tokens[slot].flags;
	return CKR_OK;
}

static CK_RV open_session(CK_SLOT_ID slot, CK_FLAGS flags, void *application, CK_NOTIFY notify,
        CK_SESSION_HANDLE *session)
{
	*session = slot;
	return CKR_OK;
}

static CK_RV close_session(CK_SESSION_HANDLE session)
{
	return CKR_OK;
}

static CK_RV login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR *pin, CK_ULONG count)
{
	if (tokens[session].flags != 0) {
		abort();
	}
	return CKR_PIN_INCORRECT;
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list)
{
	static CK_FUNCTION_LIST functions = {
		.version = { 2, 40 },
		.C_Initialize = initialize,
		.C_Finalize = finalize,
		.C_GetFunctionList = C_GetFunctionList,
		.C_GetSlotList = get_slot_list,
		.C_GetTokenInfo = get_token_info,
		.C_OpenSession = open_session,
		.C_CloseSession = close_session,
		.C_Login = login,
	};

	*list = &functions;
	return CKR_OK;
}
