/* Policies: written as text, tested, sealed by their owner, activated at the center. */
#include "ctl/nouns.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "ctl/api.h"
#include "ctl/connection.h"
#include "pki/seal.h"
#include "policy/diff.h"
#include "policy/explain.h"
#include "policy/policy_test.h"

static void put_policy(struct ctl *ctl, const struct policy_file *file)
{
	ctl_put(ctl, "kind", policy_file_kind(file));
	ctl_put(ctl, "owner", policy_file_owner(file));
	ctl_put_count(ctl, "version", policy_file_version(file));
	if (file->sealed) {
		ctl_put(ctl, "sealed_by", file->sealed_by.text);
	}
}

/* The seal of a sealed file, by the key of --key-file if there is one. */
static int check_seal(struct ctl *ctl, const char *path, const struct policy_file *file)
{
	const char *key_path = ctl_text(ctl, "signer");
	AUTO_BUF struct buf text = BUF(JWS_BYTES_MAX), payload = BUF(POLICY_TEXT_BYTES_MAX);
	AUTO(key) struct key *key = NULL;
	const struct key *keys[1];
	int r;

	if (!key_path) {
		return CTL_OK;
	}
	if (!file->sealed) {
		return ctl_fail(
		        ctl, CTL_REFUSED, "%s: is not sealed, so nobody has signed it", path);
	}
	r = material_key(ctl, key_path, &key);
	if (r == CTL_OK) {
		r = material_seal(ctl, path, &text);
	}
	if (r != CTL_OK) {
		return r;
	}
	keys[0] = key;
	r = ctl_result(ctl, seal_open(buf_text(&text), text.count, policy_file_typ(file), keys, 1,
	                            &payload, NULL, &ctl->err));
	if (r == CTL_OK) {
		ctl_put_bool(ctl, "seal_good", true);
	}
	return r == CTL_OK ? CTL_OK : err_wrap(&ctl->err, r, "%s", path);
}

static int run_check(struct ctl *ctl)
{
	const char *path = ctl_text(ctl, "FILE");
	struct policy_file file;
	int r = policy_file_read(ctl, path, &file);

	if (r != CTL_OK) {
		return r;
	}
	put_policy(ctl, &file);
	r = policy_file_check(ctl, &file, ctl_count(ctl, "active"), path);
	if (r == CTL_OK) {
		r = check_seal(ctl, path, &file);
	}
	ctl_put_bool(ctl, "may_become_active", r == CTL_OK);
	policy_file_clear(&file);
	return r;
}

static int run_test(struct ctl *ctl)
{
	const char *path = ctl_text(ctl, "FILE");
	struct policy_file file;
	struct policy_test_result result;
	int r = policy_file_read(ctl, path, &file);

	if (r != CTL_OK) {
		return r;
	}
	result = file.site ? site_policy_test_run(file.site, &ctl->report)
	                   : provider_policy_test_run(file.provider, &ctl->report);
	put_policy(ctl, &file);
	ctl_put_count(ctl, "passed", result.passed);
	ctl_put_count(ctl, "failed", result.failed);
	ctl_put(ctl, "report", buf_text(&ctl->report));
	buf_add_format(&ctl->report, "%zu passed, %zu failed\n", result.passed, result.failed);
	policy_file_clear(&file);
	return result.failed == 0
	               ? CTL_OK
	               : ctl_fail(ctl, CTL_REFUSED, "%s: %s", path, result.first_failed.text);
}

/* Seals the very bytes of the text, after the same check that center and gateways make. */
static int seal_file(
        struct ctl *ctl, const char *path, const struct policy_file *file, struct buf *text)
{
	const char *key_label = ctl_text(ctl, "key");
	AUTO(token) struct token *token = NULL;
	AUTO(token_key) struct token_key *key = NULL;
	int r = policy_file_check(ctl, file, ctl_count(ctl, "active"), path);

	if (r == CTL_OK) {
		r = material_token(ctl, &token);
	}
	if (r == CTL_OK) {
		key_label = key_label ? key_label : file->site ? "owner" : "policy";
		r = material_token_key(ctl, token, key_label, &key);
	}
	if (r == CTL_OK) {
		r = ctl_token_result(ctl, seal_sign(key, policy_file_typ(file), file->text.bytes,
		                                  file->text.count, text, &ctl->err));
	}
	if (r == CTL_OK) {
		buf_add_text(text, "\n");
	}
	return r;
}

static int run_sign(struct ctl *ctl)
{
	const char *path = ctl_text(ctl, "FILE"), *out = ctl_text(ctl, "out");
	struct policy_file file;
	AUTO_BUF struct buf text = BUF(JWS_BYTES_MAX);
	int r = policy_file_read(ctl, path, &file);

	if (r != CTL_OK) {
		return r;
	}
	if (file.sealed) {
		r = ctl_fail(ctl, CTL_REFUSED,
		        "%s: is sealed already; sign the text it was made from", path);
	}
	if (r == CTL_OK) {
		r = seal_file(ctl, path, &file, &text);
	}
	if (r == CTL_OK) {
		r = material_write(ctl, out, text.bytes, text.count);
	}
	if (r == CTL_OK) {
		put_policy(ctl, &file);
		ctl_put(ctl, "sealed", out);
	}
	policy_file_clear(&file);
	return r;
}

/* The text sealed with the token that is named; without one nobody has said by whom. */
static int seal_to_publish(
        struct ctl *ctl, const char *path, const struct policy_file *file, struct buf *text)
{
	const char *out = ctl_text(ctl, "out");
	int r;

	if (!ctl->settings.token) {
		return ctl_fail(ctl, CTL_REFUSED,
		        "%s: is not sealed; name the token with its owner's key (--token), or use "
		        "\"sekisho policy sign\"",
		        path);
	}
	r = seal_file(ctl, path, file, text);
	return r == CTL_OK && out ? material_write(ctl, out, text->bytes, text->count) : r;
}

static int run_publish(struct ctl *ctl)
{
	const char *path = ctl_text(ctl, "FILE");
	struct policy_file file;
	AUTO_BUF struct buf text = BUF(JWS_BYTES_MAX);
	AUTO_STRING char *target = NULL;
	int r = policy_file_read(ctl, path, &file);

	if (r != CTL_OK) {
		return r;
	}
	if (!file.sealed) {
		r = seal_to_publish(ctl, path, &file, &text);
	} else if (ctl_text(ctl, "key") || ctl_text(ctl, "out") || ctl_count(ctl, "active") > 0) {
		r = ctl_fail(ctl, CTL_USAGE,
		        "%s: is sealed already, so --key, --active and --out have no use", path);
	} else {
		r = material_read(ctl, path, &text);
	}
	target = file.site ? mem_format("/policies/site/%s", policy_file_owner(&file))
	                   : mem_string("/policies/provider");
	policy_file_clear(&file);
	return r == CTL_OK ? api_post_bytes(ctl, target, text.bytes, text.count, &ctl->result) : r;
}

static int show_file(struct ctl *ctl, const struct policy_file *file)
{
	put_policy(ctl, file);
	ctl_put(ctl, "text", buf_text(&file->text));
	buf_add(&ctl->report, buf_text(&file->text), file->text.count);
	return CTL_OK;
}

static int run_show(struct ctl *ctl)
{
	const char *path = ctl_text(ctl, "FILE");
	struct policy_file file;
	int r;

	if (path) {
		r = policy_file_read(ctl, path, &file);
	} else {
		r = policy_fetch(ctl, ctl_text(ctl, "site"), &file);
	}
	if (r == CTL_OK) {
		r = show_file(ctl, &file);
		policy_file_clear(&file);
	}
	return r;
}

/* --- explain offline ------------------------------------------------------ */

static int read_one(struct ctl *ctl, const char *option, bool site, struct policy_file *file)
{
	const char *path = ctl_text(ctl, option);
	int r = path ? policy_file_read(ctl, path, file) : CTL_OK;

	if (path && r == CTL_OK && site != (file->site != NULL)) {
		policy_file_clear(file);
		return ctl_fail(ctl, CTL_USAGE, "--%s: %s is the policy of a %s", option, path,
		        site ? "provider" : "site");
	}
	return r;
}

/* Where a decision by files alone knows nothing, another decides; what the options say of person,
 * work order and what is live is assumed. */
static int assume(struct ctl *ctl, const struct policy_file files[3],
        struct policy_request *request, struct policy_facts *facts, struct policy_live *live)
{
	const char *beside = ctl_text(ctl, "beside"), *person = ctl_text(ctl, "person");
	bool two = text_equal(ctl_text(ctl, "factor"), "two");

	*facts = (struct policy_facts){ .provider = files[0].provider,
		.initiator_policy = files[1].site,
		.responder_policy = files[2].site,
		.foreign = LAYER_BIT(LAYER_AGREEMENT) | LAYER_BIT(LAYER_ACCREDITATION) |
		           LAYER_BIT(LAYER_CERTIFICATES) | LAYER_BIT(LAYER_GATEWAYS) |
		           LAYER_BIT(LAYER_WINDOW),
		.person = { PERSON_ACTIVE, FACT_YES, FACT_YES, two ? FACTOR_TWO : FACTOR_ONE },
		.work_order = { WORK_ORDER_OPEN, NULL, FACT_YES },
		.initiator.beside = { FACT_YES, live, 0 },
		.responder.beside = { FACT_YES, live, 0 } };
	request->emergency = ctl_flag(ctl, "emergency");
	if (text_copy(request->person, sizeof(request->person), person ? person : "") != 0) {
		return ctl_fail(ctl, CTL_USAGE, "--person: is too long");
	}
	request->traffic = ctl_flag(ctl, "traffic");
	if (request->traffic) {
		request->person[0] = '\0'; /* whoever is named */
	}
	facts->initiator.approval.state = facts->responder.approval.state = APPROVAL_NONE;
	if (ctl_flag(ctl, "approved")) {
		facts->initiator.approval.state = facts->responder.approval.state =
		        APPROVAL_FOREIGN;
		snprintf(request->work_order, sizeof(request->work_order), "%026d", 0);
	}
	if (text_equal(ctl_text(ctl, "posture"), "current")) {
		facts->initiator.posture = facts->responder.posture = POSTURE_CURRENT;
	}
	*live = (struct policy_live){ request->from.site, request->from.host, request->to.site,
		request->to.host, SERVICE_CLASS_NONE, request->protocol, request->port };
	if (beside && service_class_parse(beside, &live->class) != 0) {
		return ctl_fail(
		        ctl, CTL_USAGE, "--beside: there is no service class \"%s\"", beside);
	}
	facts->initiator.beside.count = facts->responder.beside.count = beside != NULL;
	if (!files[0].provider) {
		facts->foreign |=
		        LAYER_BIT(LAYER_PROVIDER) | LAYER_BIT(LAYER_GROUP) | LAYER_BIT(LAYER_CLASS);
	}
	if (!files[1].site) {
		facts->foreign |= LAYER_BIT(LAYER_INITIATOR_SITE);
	}
	if (!files[2].site) {
		facts->foreign |= LAYER_BIT(LAYER_RESPONDER_SITE);
	}
	return CTL_OK;
}

/* The moment of --at, or now. */
static int moment_of(struct ctl *ctl, int64_t *ret_usec)
{
	const char *at = ctl_text(ctl, "at");

	*ret_usec = clock_wall_usec();
	if (at && time_parse(at, ret_usec) != 0) {
		return ctl_fail(ctl, CTL_USAGE,
		        "--at: \"%s\" is no time in UTC such as 2026-11-24T01:00:00Z", at);
	}
	return CTL_OK;
}

static enum policy_language language_of(struct ctl *ctl)
{
	return text_equal(ctl_text(ctl, "language"), "ja") ? LANGUAGE_JAPANESE : LANGUAGE_ENGLISH;
}

static int explain(struct ctl *ctl, const struct policy_file files[3])
{
	struct policy_request request = { 0 };
	struct policy_facts facts;
	struct policy_live live;
	struct decision decision;
	int64_t at;
	int r = connection_request_of(ctl, &request);

	if (r == CTL_OK) {
		r = moment_of(ctl, &at);
	}
	if (r == CTL_OK) {
		r = assume(ctl, files, &request, &facts, &live);
	}
	if (r != CTL_OK) {
		return r;
	}
	decision = policy_decide(&request, &facts, at);
	policy_explain_print(&decision, &request, language_of(ctl), &ctl->report);
	ctl_put(ctl, "verdict", decision.verdict == VERDICT_PERMIT ? "permit" : "deny");
	ctl_put(ctl, "explanation", buf_text(&ctl->report));
	return decision.verdict == VERDICT_PERMIT
	               ? CTL_OK
	               : ctl_fail(ctl, CTL_REFUSED, "denied by layer %s",
	                         policy_layer_name(decision_denied_by(&decision)));
}

static int run_explain(struct ctl *ctl)
{
	static const char *const options[] = { "provider-policy", "from-policy", "to-policy" };
	struct policy_file files[3] = { 0 };
	int r = CTL_OK;

	for (size_t i = 0; i < ARRAY_COUNT(files) && r == CTL_OK; i++) {
		r = read_one(ctl, options[i], i > 0, &files[i]);
	}
	if (r == CTL_OK && !files[0].provider && !files[1].site && !files[2].site) {
		r = ctl_fail(ctl, CTL_USAGE,
		        "give at least one of --provider-policy, --from-policy and --to-policy; "
		        "\"sekisho "
		        "connection explain\" asks the center");
	}
	if (r == CTL_OK) {
		r = explain(ctl, files);
	}
	for (size_t i = 0; i < ARRAY_COUNT(files); i++) {
		policy_file_clear(&files[i]);
	}
	return r;
}

/* --- diff and simulate --------------------------------------------------- */

static int run_diff(struct ctl *ctl)
{
	struct policy_file old = { 0 }, new = { 0 };
	struct policy_difference found = { 0 };
	int r = policy_file_read(ctl, ctl_text(ctl, "OLD"), &old);

	if (r == CTL_OK) {
		r = policy_file_read(ctl, ctl_text(ctl, "NEW"), &new);
	}
	if (r == CTL_OK && (!old.site != !new.site ||
	                           !text_equal(policy_file_owner(&old), policy_file_owner(&new)))) {
		r = ctl_fail(ctl, CTL_USAGE, "the two are of different owners: %s %s and %s %s",
		        policy_file_kind(&old), policy_file_owner(&old), policy_file_kind(&new),
		        policy_file_owner(&new));
	}
	if (r == CTL_OK) {
		found = new.site ? site_policy_diff(old.site, new.site, &ctl->report)
		                 : provider_policy_diff(old.provider, new.provider, &ctl->report);
		put_policy(ctl, &new);
		ctl_put_count(ctl, "more", found.more);
		ctl_put_count(ctl, "less", found.less);
		ctl_put_count(ctl, "other", found.other);
		ctl_put(ctl, "report", buf_text(&ctl->report));
		buf_add_format(&ctl->report, "%zu more, %zu less, %zu other differences\n",
		        found.more, found.less, found.other);
	}
	policy_file_clear(&old);
	policy_file_clear(&new);
	return r;
}

/* A request as it was, and how it was answered. */
struct past {
	struct policy_request request;
	int64_t at;
	bool permitted;
	char id[ID_BYTES_MAX + 1];
};

static const char *member(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static bool take_text(const json_t *object, const char *key, char *out, size_t out_bytes)
{
	const char *text = member(object, key);

	return text && text_copy(out, out_bytes, text) == 0;
}

/* What both forms have: class, protocol, port; and the ends as references. */
static bool take_request(const json_t *object, const char *from, const char *to, struct past *past)
{
	const char *class = member(object, "class"), *protocol = member(object, "protocol");
	const json_t *port = json_object_get(object, "port");

	past->request.port = (uint16_t)json_integer_value(port);
	past->request.emergency = json_is_true(json_object_get(object, "emergency"));
	past->request.traffic = text_equal(member(object, "cause"), "first traffic");
	take_text(object, "work_order", past->request.work_order, sizeof(past->request.work_order));
	return from && to && class && protocol && json_integer_value(port) >= 0 &&
	       json_integer_value(port) <= UINT16_MAX &&
	       host_ref_parse(from, &past->request.from) == 0 &&
	       host_ref_parse(to, &past->request.to) == 0 &&
	       service_class_parse(class, &past->request.class) == 0 &&
	       protocol_parse(protocol, &past->request.protocol) == 0;
}

/* A row of `connection list`: what was granted. */
static bool read_connection(const json_t *row, struct past *past)
{
	const json_t *ends[2] = { json_object_get(row, "initiator"),
		json_object_get(row, "responder") };
	char references[2][HOST_REF_BYTES_MAX + 1] = { "", "" };
	int64_t until = 0;

	for (int i = 0; i < 2; i++) {
		const char *site = member(ends[i], "site"), *host = member(ends[i], "host");

		if (site && host) {
			snprintf(references[i], sizeof(references[i]), "%s/%s", site, host);
		}
	}
	if (!take_request(row, references[0], references[1], past) ||
	        !take_text(row, "person", past->request.person, sizeof(past->request.person)) ||
	        !member(row, "issued_at") || time_parse(member(row, "issued_at"), &past->at) != 0 ||
	        !member(row, "not_after") || time_parse(member(row, "not_after"), &until) != 0) {
		return false;
	}
	past->request.duration_sec = (until - past->at) / USEC_PER_SEC;
	past->permitted = true;
	return take_text(row, "id", past->id, sizeof(past->id));
}

/* A record of the ledger about a request. */
static bool read_record(const json_t *record, struct past *past)
{
	const json_t *data = json_object_get(record, "data");
	const char *kind = member(record, "kind"), *time = member(record, "time");

	past->permitted = text_equal(kind, "connection.requested");
	if ((!past->permitted && !text_equal(kind, "connection.refused")) || !time ||
	        time_parse(time, &past->at) != 0 ||
	        !take_request(data, member(data, "from"), member(data, "to"), past)) {
		return false;
	}
	past->request.duration_sec = json_integer_value(json_object_get(data, "duration_sec"));
	if (!past->request.traffic) {
		take_text(json_object_get(record, "actor"), "name", past->request.person,
		        sizeof(past->request.person));
	}
	take_text(record, "subject", past->id, sizeof(past->id));
	return past->request.duration_sec >= 0;
}

static bool read_past(const json_t *item, struct past *past)
{
	const json_t *record = json_object_get(item, "record");

	*past = (struct past){ 0 };
	return json_object_get(item, "initiator") ? read_connection(item, past)
	                                          : read_record(record ? record : item, past);
}

struct simulation {
	const struct policy_file *file;
	size_t requests, other, permitted, denied; /* other: in the file, but no requests */
	size_t opened, closed;                     /* answered differently now */
	enum policy_language language;
};

static const char *const was_words[][2] = {
	[LANGUAGE_ENGLISH] = { "was denied; ", "was permitted; " },
	[LANGUAGE_JAPANESE] = { "以前は拒否。", "以前は許可。" },
};

static void print_summary(const struct simulation *simulation, struct buf *out)
{
	if (simulation->language == LANGUAGE_JAPANESE) {
		buf_add_format(out,
		        "申請%zu件: 許可%zu件、拒否%zu件。新たに許可%zu件、新たに拒否%zu件\n",
		        simulation->requests, simulation->permitted, simulation->denied,
		        simulation->opened, simulation->closed);
		return;
	}
	buf_add_format(out,
	        "%zu requests: %zu would be permitted, %zu denied; %zu newly permitted, "
	        "%zu newly denied\n",
	        simulation->requests, simulation->permitted, simulation->denied, simulation->opened,
	        simulation->closed);
}

/* The past request again, by the new policy alone: what was agreed, who it was and what was live is
 * taken as it was, so only the rules themselves can make a difference. */
static void simulate_one(struct ctl *ctl, struct simulation *simulation, const struct past *past)
{
	const struct policy_file *file = simulation->file;
	const char *site = file->site ? site_policy_site(file->site) : NULL;
	bool outbound = site && strcmp(past->request.from.site, site) == 0;
	struct policy_facts facts = { .foreign = LAYERS_ALL,
		.provider = file->provider,
		.initiator_policy = outbound ? file->site : NULL,
		.responder_policy = outbound ? NULL : file->site,
		.initiator.posture = POSTURE_FOREIGN,
		.responder.posture = POSTURE_FOREIGN };
	struct decision decision;
	enum policy_layer layer;
	bool permits;

	if (site && !outbound && strcmp(past->request.to.site, site) != 0) {
		simulation->other++;
		return;
	}
	facts.foreign &= site ? ~LAYER_BIT(outbound ? LAYER_INITIATOR_SITE : LAYER_RESPONDER_SITE)
	                      : ~(LAYER_BIT(LAYER_PROVIDER) | LAYER_BIT(LAYER_GROUP) |
	                                LAYER_BIT(LAYER_CLASS));
	decision = policy_decide(&past->request, &facts, past->at);
	permits = decision.verdict == VERDICT_PERMIT;
	simulation->requests++;
	*(permits ? &simulation->permitted : &simulation->denied) += 1;
	if (permits == past->permitted) {
		return;
	}
	*(permits ? &simulation->opened : &simulation->closed) += 1;
	buf_add_format(&ctl->report, "%c %s %s %s -> %s, %s, %s", permits ? '+' : '-',
	        time_print(past->at).text, past->request.person[0] ? past->request.person : "-",
	        host_ref_print(&past->request.from).text, host_ref_print(&past->request.to).text,
	        service_class_name(past->request.class), protocol_name(past->request.protocol));
	if (past->request.port > 0) {
		buf_add_format(&ctl->report, " port %u", past->request.port);
	}
	buf_add_format(&ctl->report, ": %s", was_words[simulation->language][past->permitted]);
	layer = decision_denied_by(&decision);
	if (layer == LAYER_COUNT) {
		layer = !site      ? LAYER_GROUP
		        : outbound ? LAYER_INITIATOR_SITE
		                   : LAYER_RESPONDER_SITE;
	}
	policy_reason_print(&decision, layer, &past->request, simulation->language, &ctl->report);
	buf_add_text(&ctl->report, "\n");
}

/* A document with `items`, a list, or one record a line. */
static int simulate_log(struct ctl *ctl, const char *path, struct simulation *simulation)
{
	AUTO_BUF struct buf bytes = BUF(JSON_BYTES_MAX);
	AUTO_JSON json_t *document = NULL;
	const json_t *items;
	size_t index;
	json_t *item;
	int r = material_read(ctl, path, &bytes);

	if (r != CTL_OK) {
		return r;
	}
	r = json_parse(bytes.bytes, bytes.count, &document, &ctl->err);
	if (r != 0) {
		return err_wrap(&ctl->err, ctl_result(ctl, r), "%s", path);
	}
	items = json_is_array(document) ? document : json_object_get(document, "items");
	if (!json_is_array(items)) {
		return ctl_fail(ctl, CTL_REFUSED,
		        "%s: is neither a list nor an object with \"items\", as \"connection "
		        "list\" and \"ledger list\" print them with --output json",
		        path);
	}
	json_array_foreach(items, index, item)
	{
		struct past past;

		if (read_past(item, &past)) {
			simulate_one(ctl, simulation, &past);
		} else {
			simulation->other++;
		}
	}
	return CTL_OK;
}

static int run_simulate(struct ctl *ctl)
{
	struct policy_file file;
	struct simulation simulation = { .file = &file, .language = language_of(ctl) };
	int r = policy_file_read(ctl, ctl_text(ctl, "FILE"), &file);

	if (r != CTL_OK) {
		return r;
	}
	r = simulate_log(ctl, ctl_text(ctl, "LOG"), &simulation);
	if (r == CTL_OK && simulation.requests == 0) {
		r = ctl_fail(ctl, CTL_REFUSED,
		        "%s: has no request that concerns this policy (%zu other entries)",
		        ctl_text(ctl, "LOG"), simulation.other);
	}
	if (r == CTL_OK) {
		put_policy(ctl, &file);
		ctl_put_count(ctl, "requests", simulation.requests);
		ctl_put_count(ctl, "permitted", simulation.permitted);
		ctl_put_count(ctl, "denied", simulation.denied);
		ctl_put_count(ctl, "newly_permitted", simulation.opened);
		ctl_put_count(ctl, "newly_denied", simulation.closed);
		ctl_put(ctl, "report", buf_text(&ctl->report));
		print_summary(&simulation, &ctl->report);
	}
	policy_file_clear(&file);
	return r;
}

static const struct option check_options[] = {
	{ OPTION("FILE", OPTION_FILE), "a policy as text or sealed", .required = true,
	        .operand = true },
	{ OPTION("active", OPTION_COUNT),
	        "version that is active now; the new one must be above it", NULL, "0" },
	{ OPTION("signer", OPTION_FILE), "public key that must have sealed it" },
	{ 0 },
};
static const struct option test_options[] = {
	{ OPTION("FILE", OPTION_FILE), "a policy as text or sealed", .required = true,
	        .operand = true },
	{ 0 },
};
static const struct option sign_options[] = {
	{ OPTION("FILE", OPTION_FILE), "a policy as text", .required = true, .operand = true },
	{ OPTION("key", OPTION_TEXT),
	        "label of the key (owner for a site's, policy for a provider's)", "LABEL" },
	{ OPTION("active", OPTION_COUNT),
	        "version that is active now; the new one must be above it", NULL, "0" },
	{ OPTION("out", OPTION_FILE), "where the sealed policy is written", .required = true },
	{ 0 },
};
static const struct option publish_options[] = {
	{ OPTION("FILE", OPTION_FILE),
	        "a sealed policy; or its text, which is sealed first by the token's key",
	        .required = true, .operand = true },
	{ OPTION("key", OPTION_TEXT),
	        "label of the key (owner for a site's, policy for a provider's)", "LABEL" },
	{ OPTION("active", OPTION_COUNT),
	        "version that is active now; the new one must be above it", NULL, "0" },
	{ OPTION("out", OPTION_FILE), "where the policy is kept as it was sealed" },
	{ 0 },
};
static const struct option show_options[] = {
	{ OPTION("FILE", OPTION_FILE),
	        "a policy as text or sealed; without it the center's active one", .operand = true },
	{ OPTION("site", OPTION_NAME),
	        "the site whose active policy is shown, else the provider's" },
	{ 0 },
};
static const char *const languages[] = { "en", "ja", NULL };
static const char *const factor_words[] = { "one", "two", NULL };
static const char *const posture_words[] = { "unknown", "current", NULL };
static const struct option explain_options[] = {
	CONNECTION_OPTIONS,
	{ OPTION("provider-policy", OPTION_FILE), "the provider's policy" },
	{ OPTION("from-policy", OPTION_FILE), "policy of the asking site" },
	{ OPTION("to-policy", OPTION_FILE), "policy of the asked site" },
	{ OPTION("at", OPTION_TEXT), "when, in UTC; without it now", "TIME" },
	{ OPTION("person", OPTION_TEXT), "who asks; \"\" is the gateway itself", "NAME", "somebody",
	        .empty = true },
	{ OPTION("factor", OPTION_CHOICE), "by how many factors it is known who asks", "WORD",
	        "one", .choices = factor_words },
	{ OPTION("approved", OPTION_FLAG), "the sites have approved the work" },
	{ OPTION("emergency", OPTION_FLAG), "it is an emergency" },
	{ OPTION("traffic", OPTION_FLAG), "nobody asks: a host's first packet does" },
	{ OPTION("posture", OPTION_CHOICE), "what is known of the gateways' software", "WORD",
	        "unknown", .choices = posture_words },
	{ OPTION("beside", OPTION_NAME), "service class that is in use between the two hosts",
	        "CLASS" },
	{ OPTION("language", OPTION_CHOICE), "of the explanation", "LANGUAGE", "en",
	        .choices = languages },
	{ 0 },
};

static const struct option diff_options[] = {
	{ OPTION("OLD", OPTION_FILE), "the policy before, as text or sealed", .required = true,
	        .operand = true },
	{ OPTION("NEW", OPTION_FILE), "the policy after", .required = true, .operand = true },
	{ 0 },
};
static const struct option simulate_options[] = {
	{ OPTION("FILE", OPTION_FILE), "a policy as text or sealed", .required = true,
	        .operand = true },
	{ OPTION("LOG", OPTION_FILE),
	        "what was asked: \"connection list\" or \"ledger list\" with --output json",
	        .required = true, .operand = true },
	{ OPTION("language", OPTION_CHOICE), "of the reasons", "LANGUAGE", "en",
	        .choices = languages },
	{ 0 },
};

static const struct command policy_commands[] = {
	{ "check", "Says whether a policy may become active: its text, its version, its tests.", 0,
	        check_options, run_check },
	{ "test", "Runs the tests inside a policy and shows each.", 0, test_options, run_test },
	{ "sign", "Seals a policy with its owner's key, after the check.", GROUP_TOKEN,
	        sign_options, run_sign },
	{ "publish", "Activates a policy at the center; seals it first where it is not.",
	        GROUP_CENTER | GROUP_TOKEN, publish_options, run_publish },
	{ "show", "Shows a policy.", GROUP_CENTER, show_options, run_show },
	{ "diff", "Says what two versions of a policy permit differently, rule by rule.", 0,
	        diff_options, run_diff },
	{ "simulate", "Says which requests of the past a policy would answer differently, and why.",
	        0, simulate_options, run_simulate },
	{ "explain", "Decides a request by policy files alone and says why.", 0, explain_options,
	        run_explain },
	{ 0 },
};
const struct noun noun_policy = { "policy", "what provider and sites allow", policy_commands };
