#include "pki/token.h"

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "base/sandbox.h"
#include "pki/token_private.h"

/* Loaded modules, for the life of the process (a module's state is the process's state, see
 * token_private.h; unloading one is not safe while its threads or exit handlers are there). */
static struct token_module *modules;

static struct token_module *module_load(const char *path, struct err *err)
{
	struct token_module *module;
	CK_C_GetFunctionList get_list = NULL;
	CK_FUNCTION_LIST *list = NULL;
	void *object;

	for (module = modules; module; module = module->next) {
		if (strcmp(module->path, path) == 0) {
			return module;
		}
	}
	object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (object) {
		get_list = (CK_C_GetFunctionList)dlsym(object, "C_GetFunctionList");
	}
	if (!object || !get_list || get_list(&list) != CKR_OK || !list) {
		const char *reason = dlerror();

		err_set(err, 0, "the PKCS#11 module %s cannot be loaded: %s", path,
		        reason ? reason : "it is no PKCS#11 module");
		return NULL;
	}
	module = mem_new(1, sizeof(*module));
	module->path = mem_string(path);
	module->call = list;
	module->next = modules;
	modules = module;
	return module;
}

static int module_start(struct token_module *module, struct err *err)
{
	CK_RV rv;

	if (module->generation != 0) {
		return 0;
	}
	rv = module->call->C_Initialize(NULL);
	if (rv != CKR_OK && rv != CKR_CRYPTOKI_ALREADY_INITIALIZED) {
		return err_set(err, TOKEN_MISSING,
		        "the PKCS#11 module %s does not start (0x%lx): is its token forwarder "
		        "running?",
		        module->path, rv);
	}
	module->generation = ++module->next_generation;
	return 0;
}

/* A forwarder that died raises SIGPIPE on the next write to it. */
static void ignore_sigpipe(void)
{
	struct sigaction action;

	if (sigaction(SIGPIPE, NULL, &action) == 0 && !(action.sa_flags & SA_SIGINFO) &&
	        action.sa_handler == SIG_DFL) {
		signal(SIGPIPE, SIG_IGN);
	}
}

int token_new(const char *module_path, const char *label, const char *pin, struct token **ret_token)
{
	struct token *token = mem_new(1, sizeof(*token));

	token->module_path = mem_string(module_path);
	token->label = mem_string(label);
	token->pin = mem_string(pin);
	token->pin_bytes = pin ? strlen(pin) : 0;
	*ret_token = token;
	return 0;
}

struct token *token_free(struct token *token)
{
	if (!token) {
		return NULL;
	}
	if (token->generation != 0 && token->module->generation == token->generation) {
		token->module->call->C_CloseSession(token->session);
	}
	if (token->pin) {
		mem_wipe(token->pin, token->pin_bytes);
	}
	free(token->pin);
	free(token->label);
	free(token->module_path);
	free(token);
	return NULL;
}

const char *token_label(const struct token *token)
{
	return token->label;
}

unsigned token_login_count(const struct token *token)
{
	return token->login_count;
}

unsigned token_recovery_count(const struct token *token)
{
	return token->recovery_count;
}

/* Token labels are 32 characters, padded with blanks. */
static bool label_fits(const CK_TOKEN_INFO *information, const char *label)
{
	size_t count = strlen(label);

	if (count > sizeof(information->label) || memcmp(information->label, label, count) != 0) {
		return false;
	}
	for (size_t i = count; i < sizeof(information->label); i++) {
		if (information->label[i] != ' ' && information->label[i] != '\0') {
			return false;
		}
	}
	return true;
}

static int find_slot(struct token *token, CK_TOKEN_INFO *ret_information, struct err *err)
{
	CK_FUNCTION_LIST *call = token->module->call;
	CK_SLOT_ID *slots;
	CK_ULONG count = 0;
	unsigned found = 0;
	CK_RV rv;

	/* Asking without a buffer is what makes a module look for tokens that came since. */
	rv = call->C_GetSlotList(CK_TRUE, NULL, &count);
	if (rv != CKR_OK || count == 0) {
		/* p11-kit's client starts without its forwarder and then has no token for ever.
		 * Nobody can have a session in a module without tokens, so it is safe to start it
		 * afresh next time. */
		call->C_Finalize(NULL);
		token->module->generation = 0;
		return err_set(err, TOKEN_MISSING,
		        "the PKCS#11 module %s has no token, \"%s\" is looked for",
		        token->module_path, token->label);
	}
	slots = mem_new(count, sizeof(*slots));
	rv = call->C_GetSlotList(CK_TRUE, slots, &count);
	for (CK_ULONG i = 0; rv == CKR_OK && i < count; i++) {
		CK_TOKEN_INFO information;

		if (call->C_GetTokenInfo(slots[i], &information) == CKR_OK &&
		        (information.flags & CKF_TOKEN_INITIALIZED) &&
		        label_fits(&information, token->label)) {
			token->slot = slots[i];
			*ret_information = information;
			found++;
		}
	}
	free(slots);
	if (found == 0) {
		/* SoftHSM looks for tokens only when it starts, and sees none whose file another
		 * process is writing just then (a login does). Handles on other tokens of the
		 * module log in again, as after a recovery. */
		call->C_Finalize(NULL);
		token->module->generation = 0;
		return err_set(err, TOKEN_MISSING, "no token has the label \"%s\" (module %s)",
		        token->label, token->module_path);
	}
	if (found > 1) {
		return err_set(err, -EEXIST, "%u tokens have the label \"%s\": give each its own",
		        found, token->label);
	}
	return 0;
}

static int login(struct token *token, const CK_TOKEN_INFO *information, struct err *err)
{
	CK_RV rv;

	if (information->flags & (CKF_USER_PIN_LOCKED | CKF_USER_PIN_FINAL_TRY)) {
		token->refused = TOKEN_PIN_LOCKED;
		return err_set(err, TOKEN_PIN_LOCKED,
		        (information->flags & CKF_USER_PIN_LOCKED)
		                ? "the PIN of token \"%s\" is locked: unlock it with its SO PIN"
		                : "token \"%s\" has one PIN try left, which is not used up here: "
		                  "log in "
		                  "once by hand with the right PIN",
		        token->label);
	}
	token->login_count++;
	rv = token->module->call->C_Login(
	        token->session, CKU_USER, (CK_UTF8CHAR *)token->pin, token->pin_bytes);
	switch (rv) {
	case CKR_OK:
	case CKR_USER_ALREADY_LOGGED_IN:
		return 0;
	case CKR_PIN_LOCKED:
		token->refused = TOKEN_PIN_LOCKED;
		return err_set(err, TOKEN_PIN_LOCKED,
		        "the PIN of token \"%s\" is locked: unlock it with its SO PIN",
		        token->label);
	case CKR_PIN_INCORRECT:
	case CKR_PIN_INVALID:
	case CKR_PIN_LEN_RANGE:
	case CKR_PIN_EXPIRED:
		token->refused = TOKEN_PIN_WRONG;
		return err_set(err, TOKEN_PIN_WRONG,
		        "token \"%s\" refused the PIN; it is not tried again: correct the PIN file "
		        "and "
		        "restart",
		        token->label);
	default:
		return err_set(err, -EIO, "token \"%s\": login failed (0x%lx)", token->label, rv);
	}
}

int token_open(struct token *token, struct err *err)
{
	CK_TOKEN_INFO information = { 0 };
	CK_FUNCTION_LIST *call;
	CK_RV rv;
	int r;

	if (token->refused) {
		return err_set(err, token->refused,
		        "token \"%s\" refused the PIN earlier; it is not tried again: correct the "
		        "PIN "
		        "file and restart",
		        token->label);
	}
	if (token->generation != 0 && token->module->generation == token->generation) {
		return 0;
	}
	token->generation = 0;
	ignore_sigpipe();
	token->module = module_load(token->module_path, err);
	if (!token->module) {
		return TOKEN_MISSING;
	}
	call = token->module->call;
	r = module_start(token->module, err);
	if (r == 0) {
		r = find_slot(token, &information, err);
	}
	if (r != 0) {
		return r;
	}
	rv = call->C_OpenSession(
	        token->slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &token->session);
	if (rv == CKR_TOKEN_WRITE_PROTECTED) {
		rv = call->C_OpenSession(
		        token->slot, CKF_SERIAL_SESSION, NULL, NULL, &token->session);
	}
	if (rv != CKR_OK) {
		return err_set(err, -EIO, "token \"%s\": no session (0x%lx)", token->label, rv);
	}
	if (token->pin) {
		r = login(token, &information, err);
		if (r != 0) {
			call->C_CloseSession(token->session);
			return r;
		}
	}
	token->generation = token->module->generation;
	return 0;
}

/* Whether the answer means that the way to the token is lost, rather than that the work is wrong.
 */
static bool is_lost(CK_RV rv)
{
	switch (rv) {
	case CKR_DEVICE_ERROR:
	case CKR_DEVICE_REMOVED:
	case CKR_TOKEN_NOT_PRESENT:
	case CKR_SESSION_CLOSED:
	case CKR_SESSION_HANDLE_INVALID:
	case CKR_CRYPTOKI_NOT_INITIALIZED:
	case CKR_USER_NOT_LOGGED_IN:
	case CKR_KEY_HANDLE_INVALID:
	case CKR_OBJECT_HANDLE_INVALID:
		return true;
	default:
		return false;
	}
}

static int recover(struct token *token, struct err *err)
{
	token->recovery_count++;
	token->generation = 0;
	token->module->call->C_Finalize(NULL);
	token->module->generation = 0;
	return token_open(token, err);
}

static int map(struct token *token, CK_RV rv, const char *what, struct err *err)
{
	switch (rv) {
	case CKR_OK:
		return 0;
	case CKR_OURS_NOT_FOUND:
		return err_set(
		        err, TOKEN_NOT_FOUND, "%s: not found in token \"%s\"", what, token->label);
	case CKR_OURS_EXISTS:
		return err_set(err, TOKEN_EXISTS, "%s: exists already in token \"%s\"", what,
		        token->label);
	case CKR_OURS_AMBIGUOUS:
		return err_set(
		        err, -EEXIST, "%s: token \"%s\" has more than one", what, token->label);
	case CKR_OURS_TOO_LARGE:
		return err_set(err, -EFBIG, "%s: larger or more than is read of token \"%s\"", what,
		        token->label);
	case CKR_OURS_NOT_OFFERED:
	case CKR_MECHANISM_INVALID:
	case CKR_MECHANISM_PARAM_INVALID:
	case CKR_KEY_TYPE_INCONSISTENT:
	case CKR_KEY_FUNCTION_NOT_PERMITTED:
		return err_set(err, TOKEN_NOT_OFFERED,
		        "%s: token \"%s\" does not offer this (0x%lx)", what, token->label, rv);
	default:
		if (is_lost(rv)) {
			return err_set(err, TOKEN_MISSING, "%s: token \"%s\" is gone (0x%lx)", what,
			        token->label, rv);
		}
		return err_set(err, -EIO, "%s: token \"%s\" answers 0x%lx", what, token->label, rv);
	}
}

int token_do(
        struct token *token, token_work *work, void *context, const char *what, struct err *err)
{
	CK_RV rv;
	int r;

	r = token_open(token, err);
	if (r != 0) {
		return r;
	}
	rv = work(token, context);
	if (is_lost(rv)) {
		r = recover(token, err);
		if (r != 0) {
			return r;
		}
		rv = work(token, context);
	}
	return map(token, rv, what, err);
}

CK_RV token_objects(struct token *token, CK_ATTRIBUTE *template, CK_ULONG count,
        CK_OBJECT_HANDLE *ret_objects, CK_ULONG max, CK_ULONG *ret_count)
{
	CK_FUNCTION_LIST *call = token->module->call;
	CK_OBJECT_HANDLE spare;
	CK_ULONG got, more = 0;
	CK_RV rv, end;

	*ret_count = 0;
	rv = call->C_FindObjectsInit(token->session, template, count);
	if (rv != CKR_OK) {
		return rv;
	}
	do {
		got = 0;
		rv = call->C_FindObjects(
		        token->session, ret_objects + *ret_count, max - *ret_count, &got);
		*ret_count += got;
	} while (rv == CKR_OK && got > 0 && *ret_count < max);
	if (rv == CKR_OK && *ret_count == max) {
		rv = call->C_FindObjects(token->session, &spare, 1, &more);
	}
	end = call->C_FindObjectsFinal(token->session);
	if (rv == CKR_OK && more > 0) {
		return CKR_OURS_TOO_LARGE;
	}
	return rv != CKR_OK ? rv : end;
}

CK_RV token_attribute(
        struct token *token, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type, struct buf *out)
{
	CK_FUNCTION_LIST *call = token->module->call;
	CK_ATTRIBUTE attribute = { .type = type };
	CK_RV rv = call->C_GetAttributeValue(token->session, object, &attribute, 1);

	if (rv == CKR_ATTRIBUTE_TYPE_INVALID || rv == CKR_ATTRIBUTE_SENSITIVE) {
		return CKR_OK;
	}
	if (rv != CKR_OK || attribute.ulValueLen == CK_UNAVAILABLE_INFORMATION) {
		return rv;
	}
	if (attribute.ulValueLen > TOKEN_ATTRIBUTE_BYTES_MAX ||
	        !(attribute.pValue = buf_reserve(out, attribute.ulValueLen))) {
		return CKR_OURS_TOO_LARGE;
	}
	rv = call->C_GetAttributeValue(token->session, object, &attribute, 1);
	if (rv == CKR_OK) {
		out->count += attribute.ulValueLen;
		out->bytes[out->count] = '\0';
	}
	return rv;
}

#if defined(WITH_SANITIZER)
/* SoftHSM 2.6.1 loses 37 bytes at each Ed25519 signature; that is its leak, not ours. Telling it
 * apart needs whole stacks. */
const char *__asan_default_options(void);
const char *__lsan_default_options(void);
const char *__lsan_default_suppressions(void);

const char *__asan_default_options(void)
{
	return "fast_unwind_on_malloc=0";
}

/* Who reads what a program says must not find the count of what was passed over in it. */
const char *__lsan_default_options(void)
{
	return "print_suppressions=0";
}

const char *__lsan_default_suppressions(void)
{
	return "leak:libsofthsm2.so\n";
}
#endif
