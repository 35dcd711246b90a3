/* Policies: written as text, tested, sealed by their owner, activated at the center. */
#include "ctl/nouns.h"

#include "base/clock.h"
#include "base/str.h"
#include "ctl/api.h"
#include "ctl/connection.h"
#include "pki/seal.h"
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
static int run_sign(struct ctl *ctl)
{
	const char *path = ctl_text(ctl, "FILE"), *out = ctl_text(ctl, "out");
	const char *key_label = ctl_text(ctl, "key");
	struct policy_file file;
	AUTO(token) struct token *token = NULL;
	AUTO(token_key) struct token_key *key = NULL;
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
		r = policy_file_check(ctl, &file, ctl_count(ctl, "active"), path);
	}
	if (r == CTL_OK) {
		r = material_token(ctl, &token);
	}
	if (r == CTL_OK) {
		key_label = key_label ? key_label : file.site ? "owner" : "policy";
		r = material_token_key(ctl, token, key_label, &key);
	}
	if (r == CTL_OK) {
		r = ctl_token_result(ctl, seal_sign(key, policy_file_typ(&file), file.text.bytes,
		                                  file.text.count, &text, &ctl->err));
	}
	if (r == CTL_OK) {
		buf_add_text(&text, "\n");
		r = material_write(ctl, out, text.bytes, text.count);
	}
	if (r == CTL_OK) {
		put_policy(ctl, &file);
		ctl_put(ctl, "sealed", out);
	}
	policy_file_clear(&file);
	return r;
}

static int run_publish(struct ctl *ctl)
{
	const char *path = ctl_text(ctl, "FILE");
	struct policy_file file;
	char *target;
	int r = policy_file_read(ctl, path, &file);

	if (r != CTL_OK) {
		return r;
	}
	if (!file.sealed) {
		policy_file_clear(&file);
		return ctl_fail(ctl, CTL_REFUSED,
		        "%s: is not sealed; \"sekisho policy sign\" does that", path);
	}
	target = file.site ? mem_format("/policies/site/%s", policy_file_owner(&file))
	                   : mem_string("/policies/provider");
	policy_file_clear(&file);
	r = api_send_file(ctl, target, path, JWS_BYTES_MAX);
	free(target);
	return r;
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

/* --- explain offline
 * ---------------------------------------------------------------------------------- */

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

static int explain(struct ctl *ctl, const struct policy_file files[3])
{
	struct policy_request request = { 0 };
	struct policy_facts facts = { .provider = files[0].provider,
		.initiator_policy = files[1].site,
		.responder_policy = files[2].site,
		.foreign = LAYER_BIT(LAYER_ACCREDITATION) | LAYER_BIT(LAYER_CERTIFICATES) |
		           LAYER_BIT(LAYER_GATEWAYS) | LAYER_BIT(LAYER_WINDOW) };
	bool japanese = text_equal(ctl_text(ctl, "language"), "ja");
	struct decision decision;
	int r = connection_request_of(ctl, &request);

	if (r != CTL_OK) {
		return r;
	}
	if (!files[0].provider) {
		facts.foreign |=
		        LAYER_BIT(LAYER_PROVIDER) | LAYER_BIT(LAYER_GROUP) | LAYER_BIT(LAYER_CLASS);
	}
	if (!files[1].site) {
		facts.foreign |= LAYER_BIT(LAYER_INITIATOR_SITE);
	}
	if (!files[2].site) {
		facts.foreign |= LAYER_BIT(LAYER_RESPONDER_SITE);
	}
	decision = policy_decide(&request, &facts, clock_wall_usec());
	policy_explain_print(
	        &decision, &request, japanese ? LANGUAGE_JAPANESE : LANGUAGE_ENGLISH, &ctl->report);
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
	{ OPTION("FILE", OPTION_FILE), "a sealed policy", .required = true, .operand = true },
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
static const struct option explain_options[] = {
	CONNECTION_OPTIONS,
	{ OPTION("provider-policy", OPTION_FILE), "the provider's policy" },
	{ OPTION("from-policy", OPTION_FILE), "policy of the asking site" },
	{ OPTION("to-policy", OPTION_FILE), "policy of the asked site" },
	{ OPTION("language", OPTION_CHOICE), "of the explanation", "LANGUAGE", "en",
	        .choices = languages },
	{ 0 },
};

static const struct command policy_commands[] = {
	{ "check", "Says whether a policy may become active: its text, its version, its tests.", 0,
	        check_options, run_check },
	{ "test", "Runs the tests inside a policy and shows each.", 0, test_options, run_test },
	{ "sign", "Seals a policy with its owner's key, after the check.", GROUP_TOKEN,
	        sign_options, run_sign },
	{ "publish", "Activates a sealed policy at the center.", GROUP_CENTER, publish_options,
	        run_publish },
	{ "show", "Shows a policy.", GROUP_CENTER, show_options, run_show },
	{ "explain", "Decides a request by policy files alone and says why.", 0, explain_options,
	        run_explain },
	{ 0 },
};
const struct noun noun_policy = { "policy", "what provider and sites allow", policy_commands };
