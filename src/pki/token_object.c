/* Certificates, data objects, listing and deleting. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "pki/der.h"
#include "pki/token_private.h"

#define APPLICATION "sekisho"

static const CK_BBOOL yes = CK_TRUE, no = CK_FALSE;

#define ATTRIBUTE(attribute_type, object)                                                          \
	{                                                                                          \
		.type = (attribute_type), .pValue = (void *)&(object),                             \
		.ulValueLen = sizeof(object)                                                       \
	}
#define ATTRIBUTE_BYTES(attribute_type, bytes, count)                                              \
	{                                                                                          \
		.type = (attribute_type), .pValue = (void *)(bytes), .ulValueLen = (count)         \
	}

struct put {
	uint8_t id;
	const char *label;
	const uint8_t *bytes;
	size_t count;
	struct der subject, issuer, serial;
};

/* Creates the new object, then destroys what fitted `old` before. */
static CK_RV replace(struct token *token, CK_ATTRIBUTE *old, CK_ULONG old_count, CK_ATTRIBUTE *new,
        CK_ULONG new_count)
{
	CK_FUNCTION_LIST *call = token->module->call;
	CK_OBJECT_HANDLE objects[16], made;
	CK_ULONG count;
	CK_RV rv;

	rv = token_objects(token, old, old_count, objects, ARRAY_COUNT(objects), &count);
	if (rv == CKR_OK) {
		rv = call->C_CreateObject(token->session, new, new_count, &made);
	}
	for (CK_ULONG i = 0; rv == CKR_OK && i < count; i++) {
		rv = call->C_DestroyObject(token->session, objects[i]);
	}
	return rv;
}

static CK_RV put_certificate_work(struct token *token, void *context)
{
	struct put *put = context;
	CK_OBJECT_CLASS class = CKO_CERTIFICATE;
	CK_CERTIFICATE_TYPE type = CKC_X_509;
	CK_ATTRIBUTE old[] = { ATTRIBUTE(CKA_CLASS, class), ATTRIBUTE_BYTES(CKA_ID, &put->id, 1) };
	CK_ATTRIBUTE new[] = {
		ATTRIBUTE(CKA_CLASS, class),
		ATTRIBUTE(CKA_CERTIFICATE_TYPE, type),
		ATTRIBUTE(CKA_TOKEN, yes),
		ATTRIBUTE(CKA_PRIVATE, no),
		ATTRIBUTE_BYTES(CKA_ID, &put->id, 1),
		ATTRIBUTE_BYTES(CKA_LABEL, put->label, strlen(put->label)),
		ATTRIBUTE_BYTES(CKA_SUBJECT, put->subject.at, put->subject.left),
		ATTRIBUTE_BYTES(CKA_ISSUER, put->issuer.at, put->issuer.left),
		ATTRIBUTE_BYTES(CKA_SERIAL_NUMBER, put->serial.at, put->serial.left),
		ATTRIBUTE_BYTES(CKA_VALUE, put->bytes, put->count),
	};

	return replace(token, old, ARRAY_COUNT(old), new, ARRAY_COUNT(new));
}

int token_certificate_put(struct token *token, uint8_t id, const char *label, const uint8_t *der,
        size_t count, struct err *err)
{
	struct put put = { .id = id, .label = label, .bytes = der, .count = count };
	struct der in = DER(der, count), outer = der_take(&in, DER_SEQUENCE), version;
	struct der tbs = der_take(&outer, DER_SEQUENCE);
	char what[32];

	snprintf(what, sizeof(what), "storing certificate %02x", id);
	der_try(&tbs, DER_CONTEXT_MADE(0), &version);
	der_take_whole(&tbs, DER_INTEGER, &put.serial);
	der_take(&tbs, DER_SEQUENCE);
	der_take_whole(&tbs, DER_SEQUENCE, &put.issuer);
	der_take(&tbs, DER_SEQUENCE);
	der_take_whole(&tbs, DER_SEQUENCE, &put.subject);
	if (tbs.broken || !der_end(&in) || strlen(label) > TOKEN_LABEL_BYTES_MAX) {
		return err_set(
		        err, -EINVAL, "%s: not a certificate, or a label that is too long", what);
	}
	return token_do(token, put_certificate_work, &put, what, err);
}

static CK_RV put_data_work(struct token *token, void *context)
{
	struct put *put = context;
	CK_OBJECT_CLASS class = CKO_DATA;
	CK_ATTRIBUTE old[] = { ATTRIBUTE(CKA_CLASS, class),
		ATTRIBUTE_BYTES(CKA_LABEL, put->label, strlen(put->label)) };
	CK_ATTRIBUTE new[] = {
		ATTRIBUTE(CKA_CLASS, class),
		ATTRIBUTE(CKA_TOKEN, yes),
		ATTRIBUTE(CKA_PRIVATE, no),
		ATTRIBUTE_BYTES(CKA_APPLICATION, APPLICATION, strlen(APPLICATION)),
		ATTRIBUTE_BYTES(CKA_LABEL, put->label, strlen(put->label)),
		ATTRIBUTE_BYTES(CKA_VALUE, put->bytes, put->count),
	};

	return replace(token, old, ARRAY_COUNT(old), new, ARRAY_COUNT(new));
}

int token_data_put(
        struct token *token, const char *label, const void *bytes, size_t count, struct err *err)
{
	struct put put = { .label = label, .bytes = bytes, .count = count };
	AUTO_STRING char *what = mem_format("storing \"%s\"", label);

	if (strlen(label) > TOKEN_LABEL_BYTES_MAX || count > TOKEN_ATTRIBUTE_BYTES_MAX) {
		return err_set(err, -EINVAL, "%s: label or value are too long", what);
	}
	return token_do(token, put_data_work, &put, what, err);
}

struct get {
	CK_OBJECT_CLASS class;
	uint8_t id;
	const char *label; /* NULL: by id */
	struct buf *out;
	size_t out_count;
};

static CK_RV find_one(struct token *token, const struct get *get, CK_OBJECT_HANDLE *ret_object)
{
	CK_ATTRIBUTE by_id[] = { ATTRIBUTE(CKA_CLASS, get->class),
		ATTRIBUTE_BYTES(CKA_ID, &get->id, 1) };
	CK_ATTRIBUTE by_label[] = { ATTRIBUTE(CKA_CLASS, get->class),
		ATTRIBUTE_BYTES(CKA_LABEL, get->label, get->label ? strlen(get->label) : 0) };
	CK_OBJECT_HANDLE objects[2];
	CK_ULONG count;
	CK_RV rv;

	rv = token_objects(token, get->label ? by_label : by_id, 2, objects, 2, &count);
	if (rv == CKR_OURS_TOO_LARGE || (rv == CKR_OK && count > 1)) {
		return CKR_OURS_AMBIGUOUS;
	}
	if (rv == CKR_OK && count == 0) {
		return CKR_OURS_NOT_FOUND;
	}
	*ret_object = objects[0];
	return rv;
}

static CK_RV get_work(struct token *token, void *context)
{
	struct get *get = context;
	CK_OBJECT_HANDLE object;
	CK_RV rv = find_one(token, get, &object);

	get->out->count = get->out_count;
	return rv != CKR_OK ? rv : token_attribute(token, object, CKA_VALUE, get->out);
}

int token_certificate_get(struct token *token, uint8_t id, struct buf *der, struct err *err)
{
	struct get get = {
		.class = CKO_CERTIFICATE, .id = id, .out = der, .out_count = der->count
	};
	char what[24];

	snprintf(what, sizeof(what), "certificate %02x", id);
	return token_do(token, get_work, &get, what, err);
}

int token_data_get(struct token *token, const char *label, struct buf *bytes, struct err *err)
{
	struct get get = {
		.class = CKO_DATA, .label = label, .out = bytes, .out_count = bytes->count
	};
	AUTO_STRING char *what = mem_format("data object \"%s\"", label);

	return token_do(token, get_work, &get, what, err);
}

static CK_RV data_delete_work(struct token *token, void *context)
{
	struct get *get = context;
	CK_OBJECT_HANDLE object;
	CK_RV rv = find_one(token, get, &object);

	return rv != CKR_OK ? rv : token->module->call->C_DestroyObject(token->session, object);
}

int token_data_delete(struct token *token, const char *label, struct err *err)
{
	struct get get = { .class = CKO_DATA, .label = label };
	AUTO_STRING char *what = mem_format("data object \"%s\"", label);

	return token_do(token, data_delete_work, &get, what, err);
}

static CK_RV delete_work(struct token *token, void *context)
{
	uint8_t *id = context;
	CK_ATTRIBUTE template[] = { ATTRIBUTE_BYTES(CKA_ID, id, 1) };
	CK_OBJECT_HANDLE objects[16];
	CK_ULONG count;
	CK_RV rv;

	rv = token_objects(token, template, 1, objects, ARRAY_COUNT(objects), &count);
	if (rv == CKR_OK && count == 0) {
		return CKR_OURS_NOT_FOUND;
	}
	for (CK_ULONG i = 0; rv == CKR_OK && i < count; i++) {
		rv = token->module->call->C_DestroyObject(token->session, objects[i]);
	}
	return rv;
}

int token_delete(struct token *token, uint8_t id, struct err *err)
{
	char what[24];

	snprintf(what, sizeof(what), "deleting slot %02x", id);
	return token_do(token, delete_work, &id, what, err);
}

struct listing {
	struct token_slot *slots;
	size_t count;
};

static struct token_slot *slot_of(struct listing *listing, const struct buf *id)
{
	struct token_slot *slot;

	for (size_t i = 0; i < listing->count; i++) {
		slot = &listing->slots[i];
		if (slot->id_bytes == id->count && memcmp(slot->id, buf_text(id), id->count) == 0) {
			return slot;
		}
	}
	if (listing->count == TOKEN_SLOTS_MAX) {
		return NULL;
	}
	slot = &listing->slots[listing->count++];
	memset(slot, 0, sizeof(*slot));
	memcpy(slot->id, buf_text(id), id->count);
	slot->id_bytes = id->count;
	return slot;
}

static CK_RV list_class(struct token *token, struct listing *listing, CK_OBJECT_CLASS class)
{
	CK_ATTRIBUTE template[] = { ATTRIBUTE(CKA_CLASS, class) };
	CK_OBJECT_HANDLE *objects = mem_new(TOKEN_OBJECTS_MAX, sizeof(*objects));
	CK_ULONG count;
	CK_RV rv;

	rv = token_objects(token, template, 1, objects, TOKEN_OBJECTS_MAX, &count);
	for (CK_ULONG i = 0; rv == CKR_OK && i < count; i++) {
		AUTO_BUF struct buf id = BUF(TOKEN_ID_BYTES_MAX),
		                    label = BUF(TOKEN_LABEL_BYTES_MAX);
		struct token_slot *slot;

		rv = token_attribute(token, objects[i], CKA_ID, &id);
		if (rv == CKR_OK) {
			rv = token_attribute(token, objects[i], CKA_LABEL, &label);
		}
		if (rv != CKR_OK) {
			break;
		}
		slot = slot_of(listing, &id);
		if (!slot) {
			rv = CKR_OURS_TOO_LARGE;
			break;
		}
		slot->has_key |= class == CKO_PRIVATE_KEY;
		slot->has_certificate |= class == CKO_CERTIFICATE;
		if (slot->label[0] == '\0') {
			memcpy(slot->label, buf_text(&label), label.count + 1);
		}
	}
	free(objects);
	return rv;
}

static CK_RV list_work(struct token *token, void *context)
{
	struct listing *listing = context;
	CK_RV rv;

	listing->count = 0;
	rv = list_class(token, listing, CKO_PRIVATE_KEY);
	return rv != CKR_OK ? rv : list_class(token, listing, CKO_CERTIFICATE);
}

static int order_by_id(const void *left, const void *right)
{
	const struct token_slot *a = left, *b = right;
	int order = memcmp(a->id, b->id, sizeof(a->id));

	return order ? order : (a->id_bytes > b->id_bytes) - (a->id_bytes < b->id_bytes);
}

int token_list(
        struct token *token, struct token_slot **ret_slots, size_t *ret_count, struct err *err)
{
	struct listing listing = { .slots = mem_new(TOKEN_SLOTS_MAX, sizeof(*listing.slots)) };
	int r = token_do(token, list_work, &listing, "listing", err);

	if (r != 0) {
		free(listing.slots);
		return r;
	}
	qsort(listing.slots, listing.count, sizeof(*listing.slots), order_by_id);
	*ret_slots = listing.slots;
	*ret_count = listing.count;
	return 0;
}

int token_free_service_id(struct token *token, uint8_t *ret_id, struct err *err)
{
	struct token_slot *slots;
	bool taken[256] = { false };
	size_t count;
	int r = token_list(token, &slots, &count, err);

	if (r != 0) {
		return r;
	}
	for (size_t i = 0; i < count; i++) {
		if (slots[i].id_bytes == 1) {
			taken[slots[i].id[0]] = true;
		}
	}
	free(slots);
	for (int id = TOKEN_ID_SERVICE_FIRST; id <= TOKEN_ID_SERVICE_LAST; id++) {
		if (!taken[id]) {
			*ret_id = (uint8_t)id;
			return 0;
		}
	}
	return err_set(
	        err, TOKEN_NOT_FOUND, "token \"%s\": every service slot is taken", token->label);
}
