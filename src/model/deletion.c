#include "model/deletion.h"

#include <string.h>

#include "base/clock.h"
#include "wire/json.h"

struct deletion_fields {
	struct deletion deletion;
	uint64_t v;
	json_t *items;
};

static const struct json_field deletion_table[] = {
	{ JSON_FIELD("v", FIELD_COUNT, struct deletion_fields, v), .required = true, .min = 1,
	        .max = 1 },
	{ JSON_FIELD("work_order", FIELD_ID, struct deletion_fields, deletion.work_order),
	        .required = true },
	{ JSON_FIELD("worker", FIELD_NAME, struct deletion_fields, deletion.worker),
	        .required = true },
	{ JSON_FIELD("deleted_at", FIELD_TIME, struct deletion_fields, deletion.deleted_at),
	        .required = true },
	{ JSON_FIELD("method", FIELD_TEXT, struct deletion_fields, deletion.method),
	        .required = true, .min = 1, .max = DELETION_TEXT_BYTES_MAX },
	{ JSON_FIELD("items", FIELD_LIST, struct deletion_fields, items), .required = true,
	        .max = DELETION_ITEMS_MAX },
	{ 0 },
};

static bool one_line(const char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text < 0x20 || *text == 0x7f) {
			return false;
		}
	}
	return true;
}

static int finish(struct deletion_fields *fields, struct err *err)
{
	struct deletion *deletion = &fields->deletion;

	deletion->item_count = json_array_size(fields->items);
	for (size_t i = 0; i < deletion->item_count; i++) {
		const char *text;
		int r = json_item_string(
		        fields->items, "items", i, DELETION_TEXT_BYTES_MAX, &text, err);

		if (r != 0) {
			return r;
		}
		assert_always(text_copy(deletion->items[i], sizeof(deletion->items[i]), text) == 0);
	}
	return deletion_check(deletion, err);
}

int deletion_parse(
        const void *payload, size_t count, struct deletion *ret_deletion, struct err *err)
{
	AUTO_BUF struct buf canonical = BUF(JSON_BYTES_MAX);
	struct deletion_fields fields = { 0 };
	AUTO_JSON json_t *tree = NULL;
	int r = json_read(payload, count, deletion_table, &fields, &tree, err);

	if (r == 0) {
		r = finish(&fields, err);
	}
	if (r != 0) {
		return r;
	}
	deletion_print(&fields.deletion, &canonical);
	if (canonical.count != count || memcmp(canonical.bytes, payload, count) != 0) {
		return err_set(err, 1, "the deletion certificate is not in its canonical form");
	}
	*ret_deletion = fields.deletion;
	return 0;
}

void deletion_print(const struct deletion *deletion, struct buf *out)
{
	json_t *items = json_array();
	AUTO_JSON json_t *tree = NULL;

	for (size_t i = 0; i < deletion->item_count; i++) {
		json_array_append_new(items, json_string(deletion->items[i]));
	}
	tree = json_pack("{s:i, s:s, s:s, s:s, s:s, s:o}", "v", 1, "work_order",
	        deletion->work_order.text, "worker", deletion->worker, "deleted_at",
	        time_print(deletion->deleted_at).text, "method", deletion->method, "items", items);
	assert_always(tree != NULL);
	json_print(tree, out);
}

int deletion_check(const struct deletion *deletion, struct err *err)
{
	if (!id_valid(deletion->work_order.text) || !name_valid(deletion->worker)) {
		return err_set(err, 1, "work_order, worker: must be given");
	}
	if (*deletion->method == '\0' || !one_line(deletion->method)) {
		return err_set(err, 1, "method: must be one line of text");
	}
	if (deletion->item_count > DELETION_ITEMS_MAX) {
		return err_set(err, 1, "items: at most %d", DELETION_ITEMS_MAX);
	}
	for (size_t i = 0; i < deletion->item_count; i++) {
		if (*deletion->items[i] == '\0' || !one_line(deletion->items[i])) {
			return err_set(err, 1, "items[%zu]: must be one line of text", i);
		}
	}
	return 0;
}
