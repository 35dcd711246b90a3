#include "model/work_terms.h"

#include <string.h>

#include "base/clock.h"
#include "wire/json.h"

/* As it is read; the texts become values afterwards. */
struct terms_fields {
	struct work_terms terms;
	uint64_t v;
	int job;
	char class[NAME_BYTES_MAX + 1];
	json_t *targets;
};

struct target_fields {
	char from[HOST_REF_BYTES_MAX + 1], to[HOST_REF_BYTES_MAX + 1];
	int protocol;
	uint64_t port;
};

static const char *const job_names[] = { "repair", "preventive", "software", NULL };
static const char *const job_japanese[] = { "障害対応", "予防保守", "ソフトウェア改訂" };
static const char *const protocol_names[] = { "tcp", "udp", "icmp", NULL };
static const enum protocol protocol_values[] = { PROTOCOL_TCP, PROTOCOL_UDP, PROTOCOL_ICMP };

static const struct json_field terms_table[] = {
	{ JSON_FIELD("v", FIELD_COUNT, struct terms_fields, v), .required = true, .min = 1,
	        .max = 1 },
	{ JSON_FIELD("work_order", FIELD_ID, struct terms_fields, terms.work_order),
	        .required = true },
	{ JSON_FIELD("revision", FIELD_COUNT, struct terms_fields, terms.revision),
	        .required = true, .min = 1, .max = WORK_REVISIONS_MAX },
	{ JSON_FIELD("site", FIELD_NAME, struct terms_fields, terms.site), .required = true },
	{ JSON_FIELD("worker", FIELD_NAME, struct terms_fields, terms.worker), .required = true },
	{ JSON_FIELD("job", FIELD_CHOICE, struct terms_fields, job), .required = true,
	        .choices = job_names },
	{ JSON_FIELD("class", FIELD_NAME, struct terms_fields, class), .required = true },
	{ JSON_FIELD("not_before", FIELD_TIME, struct terms_fields, terms.not_before),
	        .required = true },
	{ JSON_FIELD("not_after", FIELD_TIME, struct terms_fields, terms.not_after),
	        .required = true },
	{ JSON_FIELD("personal_data", FIELD_BOOL, struct terms_fields, terms.personal_data),
	        .required = true },
	{ JSON_FIELD("test_data", FIELD_BOOL, struct terms_fields, terms.test_data),
	        .required = true },
	{ JSON_FIELD("purpose", FIELD_TEXT, struct terms_fields, terms.purpose), .required = true,
	        .min = 1, .max = WORK_PURPOSE_BYTES_MAX },
	{ JSON_FIELD("targets", FIELD_LIST, struct terms_fields, targets), .required = true,
	        .min = 1, .max = WORK_TARGETS_MAX },
	{ 0 },
};

static const struct json_field target_table[] = {
	{ JSON_FIELD("from", FIELD_TEXT, struct target_fields, from), .required = true, .min = 3,
	        .max = HOST_REF_BYTES_MAX },
	{ JSON_FIELD("to", FIELD_TEXT, struct target_fields, to), .required = true, .min = 3,
	        .max = HOST_REF_BYTES_MAX },
	{ JSON_FIELD("protocol", FIELD_CHOICE, struct target_fields, protocol), .required = true,
	        .choices = protocol_names },
	{ JSON_FIELD("port", FIELD_COUNT, struct target_fields, port), .required = true,
	        .max = UINT16_MAX },
	{ 0 },
};

static int read_target(json_t *list, size_t index, struct work_target *ret_target, struct err *err)
{
	struct target_fields fields = { 0 };
	int r = json_item_fields(list, "targets", index, target_table, &fields, err);

	if (r != 0) {
		return r;
	}
	if (host_ref_parse(fields.from, &ret_target->from) != 0) {
		return err_set(err, 1, "targets[%zu].from: must be SITE/HOST", index);
	}
	if (host_ref_parse(fields.to, &ret_target->to) != 0) {
		return err_set(err, 1, "targets[%zu].to: must be SITE/HOST", index);
	}
	ret_target->protocol = protocol_values[fields.protocol];
	ret_target->port = (uint16_t)fields.port;
	return 0;
}

static int finish(struct terms_fields *fields, struct err *err)
{
	struct work_terms *terms = &fields->terms;

	if (service_class_parse(fields->class, &terms->class) != 0) {
		return err_set(err, 1, "class: there is no such service class");
	}
	terms->job = (enum work_job)(fields->job + 1);
	terms->target_count = json_array_size(fields->targets);
	for (size_t i = 0; i < terms->target_count; i++) {
		int r = read_target(fields->targets, i, &terms->targets[i], err);

		if (r != 0) {
			return r;
		}
	}
	return work_terms_check(terms, err);
}

int work_terms_parse(const void *text, size_t count, struct work_terms *ret_terms, struct err *err)
{
	AUTO_BUF struct buf canonical = BUF(2 * WORK_TERMS_BYTES_MAX);
	struct terms_fields fields = { 0 };
	AUTO_JSON json_t *tree = NULL;
	int r;

	if (count > WORK_TERMS_BYTES_MAX) {
		return err_set(err, 1, "the terms are longer than %d bytes", WORK_TERMS_BYTES_MAX);
	}
	r = json_read(text, count, terms_table, &fields, &tree, err);
	if (r == 0) {
		r = finish(&fields, err);
	}
	if (r != 0) {
		return r;
	}
	work_terms_print(&fields.terms, &canonical);
	if (canonical.count != count || memcmp(canonical.bytes, text, count) != 0) {
		return err_set(err, 1, "the terms are not in their canonical form");
	}
	*ret_terms = fields.terms;
	return 0;
}

void work_terms_print(const struct work_terms *terms, struct buf *out)
{
	json_t *targets = json_array();
	AUTO_JSON json_t *tree = NULL;

	for (size_t i = 0; i < terms->target_count; i++) {
		const struct work_target *target = &terms->targets[i];

		json_array_append_new(targets,
		        json_pack("{s:s, s:s, s:s, s:i}", "from",
		                host_ref_print(&target->from).text, "to",
		                host_ref_print(&target->to).text, "protocol",
		                protocol_name(target->protocol), "port", (int)target->port));
	}
	tree = json_pack("{s:i, s:s, s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:b, s:s, s:o}", "v",
	        1, "work_order", terms->work_order.text, "revision", (json_int_t)terms->revision,
	        "site", terms->site, "worker", terms->worker, "job", work_job_name(terms->job),
	        "class", service_class_name(terms->class), "not_before",
	        time_print(terms->not_before).text, "not_after", time_print(terms->not_after).text,
	        "personal_data", (int)terms->personal_data, "test_data", (int)terms->test_data,
	        "purpose", terms->purpose, "targets", targets);
	assert_always(tree != NULL);
	json_print(tree, out);
}

static bool target_equal(const struct work_target *left, const struct work_target *right)
{
	return host_ref_equal(&left->from, &right->from) && host_ref_equal(&left->to, &right->to) &&
	       left->protocol == right->protocol && left->port == right->port;
}

static int check_targets(const struct work_terms *terms, struct err *err)
{
	if (terms->target_count < 1 || terms->target_count > WORK_TARGETS_MAX) {
		return err_set(err, 1, "targets: must be 1 to %d", WORK_TARGETS_MAX);
	}
	for (size_t i = 0; i < terms->target_count; i++) {
		const struct work_target *target = &terms->targets[i];
		bool from_here = text_equal(target->from.site, terms->site);
		bool to_here = text_equal(target->to.site, terms->site);

		if (from_here == to_here) {
			return err_set(err, 1,
			        "targets[%zu]: one of its two ends must be at %s, and only one", i,
			        terms->site);
		}
		if (!protocol_port_valid(target->protocol, target->port)) {
			return err_set(err, 1,
			        "targets[%zu].port: must be 0 with icmp and from 1 to 65535 with "
			        "tcp and udp",
			        i);
		}
		for (size_t j = 0; j < i; j++) {
			if (target_equal(target, &terms->targets[j])) {
				return err_set(
				        err, 1, "targets[%zu]: is the same as targets[%zu]", i, j);
			}
		}
	}
	return 0;
}

int work_terms_check(const struct work_terms *terms, struct err *err)
{
	if (!id_valid(terms->work_order.text) || terms->revision < 1 ||
	        terms->revision > WORK_REVISIONS_MAX) {
		return err_set(err, 1, "work_order, revision: must be given");
	}
	if (!name_valid(terms->site) || !name_valid(terms->worker)) {
		return err_set(err, 1, "site, worker: must be names");
	}
	if (terms->job <= WORK_JOB_NONE || terms->job >= WORK_JOB_COUNT) {
		return err_set(err, 1, "job: must be repair, preventive or software");
	}
	if (!service_class_info(terms->class)) {
		return err_set(err, 1, "class: there is no such service class");
	}
	if (*terms->purpose == '\0') {
		return err_set(err, 1, "purpose: must be given");
	}
	if (terms->not_after <= terms->not_before) {
		return err_set(err, 1, "not_after: must be later than not_before");
	}
	if (terms->not_after - terms->not_before > WORK_WINDOW_SEC_MAX * USEC_PER_SEC) {
		return err_set(err, 1, "not_after: a work order lasts at most %d days",
		        WORK_WINDOW_SEC_MAX / (24 * 3600));
	}
	return check_targets(terms, err);
}

bool work_terms_has(const struct work_terms *terms, const struct work_target *target)
{
	for (size_t i = 0; i < terms->target_count; i++) {
		if (target_equal(&terms->targets[i], target)) {
			return true;
		}
	}
	return false;
}

const char *work_job_name(enum work_job job)
{
	return job > WORK_JOB_NONE && job < WORK_JOB_COUNT ? job_names[job - 1] : "";
}

const char *work_job_japanese(enum work_job job)
{
	return job > WORK_JOB_NONE && job < WORK_JOB_COUNT ? job_japanese[job - 1] : "";
}

int work_job_parse(const char *name, enum work_job *ret_job)
{
	for (int i = 0; job_names[i]; i++) {
		if (text_equal(job_names[i], name)) {
			*ret_job = (enum work_job)(i + 1);
			return 0;
		}
	}
	return 1;
}
