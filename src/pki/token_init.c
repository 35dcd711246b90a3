#include "pki/token_init.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <p11-kit/pkcs11.h>

#include "base/mem.h"

/* The module is started for one piece of work and stopped after it, so that the other handles of
 * the process (there are none in a command of this kind) never see a half-made token. */
struct module {
	CK_FUNCTION_LIST *call;
	CK_SLOT_ID *slots;
	CK_ULONG count;
};

static int module_open(const char *path, struct module *module, struct err *err)
{
	void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	CK_C_GetFunctionList get_list =
	        object ? (CK_C_GetFunctionList)dlsym(object, "C_GetFunctionList") : NULL;
	CK_RV rv;

	if (!get_list || get_list(&module->call) != CKR_OK || !module->call) {
		const char *reason = dlerror();

		return err_set(err, TOKEN_MISSING, "the PKCS#11 module %s cannot be loaded: %s",
		        path, reason ? reason : "it is no PKCS#11 module");
	}
	rv = module->call->C_Initialize(NULL);
	if (rv != CKR_OK) {
		return err_set(err, TOKEN_MISSING, "the PKCS#11 module %s does not start (0x%lx)",
		        path, rv);
	}
	rv = module->call->C_GetSlotList(CK_TRUE, NULL, &module->count);
	if (rv == CKR_OK) {
		module->slots = mem_new(module->count + 1, sizeof(*module->slots));
		rv = module->call->C_GetSlotList(CK_TRUE, module->slots, &module->count);
	}
	if (rv != CKR_OK) {
		free(module->slots);
		module->call->C_Finalize(NULL);
		return err_set(err, TOKEN_MISSING,
		        "the PKCS#11 module %s does not list its slots (0x%lx)", path, rv);
	}
	return 0;
}

static void module_close(struct module *module)
{
	free(module->slots);
	module->call->C_Finalize(NULL);
}

/* Fixed fields padded with blanks (PKCS#11 3.1). */
static void copy_padded(char *out, const CK_UTF8CHAR *field, size_t count)
{
	while (count > 0 && (field[count - 1] == ' ' || field[count - 1] == '\0')) {
		count--;
	}
	memcpy(out, field, count);
	out[count] = '\0';
}

static bool about(const struct module *module, CK_ULONG index, struct token_about *ret_about)
{
	CK_TOKEN_INFO information = { 0 };

	if (module->call->C_GetTokenInfo(module->slots[index], &information) != CKR_OK) {
		return false;
	}
	copy_padded(ret_about->label, information.label, sizeof(information.label));
	copy_padded(ret_about->model, information.model, sizeof(information.model));
	copy_padded(ret_about->serial, information.serialNumber, sizeof(information.serialNumber));
	ret_about->initialized = information.flags & CKF_TOKEN_INITIALIZED;
	ret_about->pin_locked = information.flags & CKF_USER_PIN_LOCKED;
	return true;
}

int token_each(const char *module_path, token_about_handler *each, void *context, struct err *err)
{
	struct module module = { 0 };
	struct token_about one;
	int r = module_open(module_path, &module, err);

	if (r != 0) {
		return r;
	}
	for (CK_ULONG i = 0; i < module.count; i++) {
		if (about(&module, i, &one)) {
			each(context, &one);
		}
	}
	module_close(&module);
	return 0;
}

static int find_empty(
        const struct module *module, const char *label, CK_SLOT_ID *ret_slot, struct err *err)
{
	struct token_about one;
	bool found = false;

	for (CK_ULONG i = 0; i < module->count; i++) {
		if (!about(module, i, &one)) {
			continue;
		}
		if (one.initialized && strcmp(one.label, label) == 0) {
			return err_set(
			        err, TOKEN_EXISTS, "a token has the label \"%s\" already", label);
		}
		if (!one.initialized && !found) {
			*ret_slot = module->slots[i];
			found = true;
		}
	}
	return found ? 0 : err_set(err, TOKEN_MISSING, "there is no empty token to initialize");
}

static int set_pin(CK_FUNCTION_LIST *call, CK_SLOT_ID slot, const char *so_pin, const char *pin,
        struct err *err)
{
	CK_SESSION_HANDLE session;
	CK_RV rv = call->C_OpenSession(
	        slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session);

	if (rv != CKR_OK) {
		return err_set(err, -EIO, "the new token gives no session (0x%lx)", rv);
	}
	rv = call->C_Login(session, CKU_SO, (CK_UTF8CHAR *)so_pin, strlen(so_pin));
	if (rv == CKR_OK) {
		rv = call->C_InitPIN(session, (CK_UTF8CHAR *)pin, strlen(pin));
		call->C_Logout(session);
	}
	call->C_CloseSession(session);
	return rv == CKR_OK ? 0
	                    : err_set(err, TOKEN_PIN_WRONG,
	                              "the new token does not take the PIN (0x%lx)", rv);
}

int token_initialize(const char *module_path, const char *label, const char *so_pin,
        const char *pin, struct err *err)
{
	struct module module = { 0 };
	CK_UTF8CHAR padded[32];
	CK_SLOT_ID slot = 0;
	size_t count = strlen(label);
	CK_RV rv;
	int r;

	if (count == 0 || count > sizeof(padded)) {
		return err_set(
		        err, TOKEN_MISSING, "a token's label has 1 to %zu bytes", sizeof(padded));
	}
	r = module_open(module_path, &module, err);
	if (r != 0) {
		return r;
	}
	memset(padded, ' ', sizeof(padded));
	memcpy(padded, label, count);
	r = find_empty(&module, label, &slot, err);
	if (r == 0) {
		rv = module.call->C_InitToken(slot, (CK_UTF8CHAR *)so_pin, strlen(so_pin), padded);
		if (rv != CKR_OK) {
			r = err_set(err, TOKEN_PIN_WRONG,
			        "the token does not let itself be initialized (0x%lx)", rv);
		}
	}
	if (r == 0) {
		r = set_pin(module.call, slot, so_pin, pin, err);
	}
	module_close(&module);
	return r;
}
