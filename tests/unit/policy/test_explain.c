/*
 * Explanations as people read them: every tests/data/explain/NAME.case is a question, what was
 * known when it was asked, and behind "== en" and "== ja" the whole answer in both languages. A
 * case says only what differs from a request that is permitted. With SEKISHO_WRITE=1 the answers
 * are written into the files instead, for somebody to read before they are kept.
 */
#include "../check.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/str.h"
#include "policy/decide.h"
#include "policy/explain.h"

#define CASES_MIN 30
#define REASONS_MIN 60
#define WORDS_MAX 8
#define LIVE_MAX 4

struct scene {
	struct provider_policy *provider;
	struct site_policy *maker, *hospital;
	struct policy_request request;
	struct policy_facts facts;
	struct policy_live live[LIVE_MAX];
	size_t live_count;
	char kept[16][128]; /* words that facts borrow */
	size_t kept_count;
	int64_t now;
};

static bool seen[REASON_COUNT];

static const char *const facts[] = { "unknown", "no", "yes", "foreign", NULL };
static const char *const agreements[] = { "unknown", "same-organization", "in-force", "none",
	"class", "hosts", "service", "incomplete", "unsigned", "not-yet", "over", "ended", NULL };
static const char *const persons[] = { "unknown", "unregistered", "inactive", "active", NULL };
static const char *const orders[] = { "unknown", "missing", "other-worker", "other-target",
	"not-open", "open", "foreign", NULL };
static const char *const approvals[] = { "unknown", "none", "refused", "invalid", "given",
	"foreign", NULL };
static const char *const postures[] = { "unknown", "outdated", "current", "foreign", NULL };
static const char *const certificates[] = { "unknown", "valid", "not-yet", "expired", "revoked",
	"suspended", "missing", "foreign", NULL };
static const char *const gateways[] = { "unknown", "offline", "not-ready", "online", NULL };
static const char *const factors[] = { "none", "one", "two", NULL };

static int one_of(const char *const *names, const char *word)
{
	for (int i = 0; names[i]; i++) {
		if (strcmp(names[i], word) == 0) {
			return i;
		}
	}
	printf("# there is no \"%s\"\n", word);
	CHECK(false);
	return 0;
}

static int64_t when(const char *text)
{
	int64_t usec = 0;

	CHECK(time_parse(text, &usec) == 0);
	return usec;
}

static const char *keep(struct scene *scene, const char *word)
{
	CHECK(scene->kept_count < ARRAY_COUNT(scene->kept));
	snprintf(scene->kept[scene->kept_count], sizeof(scene->kept[0]), "%s", word);
	return scene->kept[scene->kept_count++];
}

/* live FROM TO CLASS PROTOCOL PORT */
static void set_live(struct scene *scene, char **words)
{
	struct policy_live *live = &scene->live[scene->live_count++];
	struct host_ref from, to;

	CHECK(host_ref_parse(words[1], &from) == 0 && host_ref_parse(words[2], &to) == 0);
	live->from_site = keep(scene, from.site);
	live->from_host = keep(scene, from.host);
	live->to_site = keep(scene, to.site);
	live->to_host = keep(scene, to.host);
	CHECK(service_class_parse(words[3], &live->class) == 0);
	CHECK(protocol_parse(words[4], &live->protocol) == 0);
	live->port = (uint16_t)atoi(words[5]);
	scene->facts.initiator.beside =
	        (struct policy_beside){ FACT_YES, scene->live, scene->live_count };
	scene->facts.responder.beside = scene->facts.initiator.beside;
}

static void set_request(struct scene *scene, char **words)
{
	struct policy_request *request = &scene->request;

	if (strcmp(words[0], "from") == 0) {
		CHECK(host_ref_parse(words[1], &request->from) == 0);
	} else if (strcmp(words[0], "to") == 0) {
		CHECK(host_ref_parse(words[1], &request->to) == 0);
	} else if (strcmp(words[0], "class") == 0) {
		CHECK(service_class_parse(words[1], &request->class) == 0);
	} else if (strcmp(words[0], "protocol") == 0) {
		CHECK(protocol_parse(words[1], &request->protocol) == 0);
		request->port = words[2] ? (uint16_t)atoi(words[2]) : 0;
	} else if (strcmp(words[0], "duration") == 0) {
		CHECK(duration_parse(words[1], &request->duration_sec) == 0);
	} else if (strcmp(words[0], "lease") == 0) {
		request->lease_sec = (uint32_t)atoi(words[1]);
	} else if (strcmp(words[0], "person") == 0) {
		snprintf(request->person, sizeof(request->person), "%s", words[1] ? words[1] : "");
	} else if (strcmp(words[0], "work-order") == 0) {
		snprintf(request->work_order, sizeof(request->work_order), "%s",
		        strcmp(words[1], "none") == 0 ? "" : words[1]);
	} else if (strcmp(words[0], "traffic") == 0) {
		request->traffic = true;
	} else {
		CHECK_TEXT(words[0], "emergency");
		request->emergency = true;
	}
}

/* KEY initiator|responder VALUE… */
static void set_end(struct scene *scene, char **words)
{
	struct policy_end_facts *end = strcmp(words[1], "initiator") == 0 ? &scene->facts.initiator
	                                                                  : &scene->facts.responder;

	if (strcmp(words[0], "approval") == 0) {
		end->approval.state = (enum policy_approval_state)one_of(approvals, words[2]);
		if (words[3]) {
			end->approval.window =
			        (struct policy_window){ when(words[3]), when(words[4]) };
		}
	} else if (strcmp(words[0], "posture") == 0) {
		end->posture = (enum policy_posture)one_of(postures, words[2]);
	} else if (strcmp(words[0], "device") == 0) {
		end->device = (enum certificate_state)one_of(certificates, words[2]);
	} else if (strcmp(words[0], "service") == 0) {
		end->service = (enum certificate_state)one_of(certificates, words[2]);
	} else if (strcmp(words[0], "gateway") == 0) {
		end->gateway = (enum gateway_state)one_of(gateways, words[2]);
	} else if (strcmp(words[0], "nat") == 0) {
		end->behind_nat = (enum policy_fact)one_of(facts, words[2]);
	} else if (strcmp(words[0], "maker") == 0) {
		end->maker_accredited = (enum policy_fact)one_of(facts, words[2]);
	} else {
		CHECK_TEXT(words[0], "beside");
		end->beside.known = (enum policy_fact)one_of(facts, words[2]);
	}
}

static void set_fact(struct scene *scene, char **words)
{
	struct policy_facts *at = &scene->facts;

	if (strcmp(words[0], "agreement") == 0) {
		at->agreement.state = (enum policy_agreement_state)one_of(agreements, words[1]);
		at->agreement.name = words[2] ? keep(scene, words[2]) : NULL;
		at->agreement.not_after = words[2] && words[3] ? when(words[3]) : 0;
	} else if (strcmp(words[0], "person-is") == 0) {
		at->person.state = (enum policy_person_state)one_of(persons, words[1]);
	} else if (strcmp(words[0], "organization") == 0) {
		at->person.of_organization = (enum policy_fact)one_of(facts, words[1]);
	} else if (strcmp(words[0], "role") == 0) {
		at->person.role_allows = (enum policy_fact)one_of(facts, words[1]);
	} else if (strcmp(words[0], "factor") == 0) {
		at->person.factor = (enum policy_factor)one_of(factors, words[1]);
	} else if (strcmp(words[0], "order") == 0) {
		at->work_order.state = (enum policy_work_order_state)one_of(orders, words[1]);
		at->work_order.status = words[2] ? keep(scene, words[2]) : NULL;
	} else if (strcmp(words[0], "emergency-allowed") == 0) {
		at->work_order.emergency_allowed = (enum policy_fact)one_of(facts, words[1]);
	} else if (strcmp(words[0], "provider-accredited") == 0) {
		at->provider_accredited = (enum policy_fact)one_of(facts, words[1]);
	} else if (strcmp(words[0], "device-ca-accredited") == 0) {
		at->device_ca_accredited = (enum policy_fact)one_of(facts, words[1]);
	} else {
		CHECK_TEXT(words[0], "service-ca-accredited");
		at->service_ca_accredited = (enum policy_fact)one_of(facts, words[1]);
	}
}

static void set_world(struct scene *scene, char **words)
{
	struct policy_facts *at = &scene->facts;

	if (strcmp(words[0], "at") == 0) {
		scene->now = when(words[1]);
		at->window = (struct policy_window){ scene->now,
			scene->now + GRANT_SEC_MAX * USEC_PER_SEC };
	} else if (strcmp(words[0], "window") == 0) {
		at->window = words[1] ? (struct policy_window){ when(words[1]), when(words[2]) }
		                      : (struct policy_window){ 0 };
	} else if (strcmp(words[0], "swap") == 0) {
		at->responder_policy = scene->maker;
	} else if (strcmp(words[0], "foreign") == 0) {
		for (int i = 0; i < LAYER_COUNT; i++) {
			at->foreign |= strcmp(policy_layer_name((enum policy_layer)i), words[1])
			                       ? 0
			                       : LAYER_BIT(i);
		}
	} else {
		CHECK_TEXT(words[0], "without");
		if (strcmp(words[1], "provider") == 0) {
			at->provider = NULL;
		} else {
			*(strcmp(words[1], "initiator") == 0 ? &at->initiator_policy
			                                     : &at->responder_policy) = NULL;
		}
	}
}

static void set(struct scene *scene, char **words)
{
	static const char *const ends[] = { "approval", "posture", "device", "service", "gateway",
		"nat", "maker", "beside", NULL };
	static const char *const asked[] = { "from", "to", "class", "protocol", "duration", "lease",
		"person", "work-order", "emergency", "traffic", NULL };
	static const char *const worlds[] = { "at", "window", "swap", "foreign", "without", NULL };

	for (int i = 0; ends[i]; i++) {
		if (strcmp(words[0], ends[i]) == 0) {
			set_end(scene, words);
			return;
		}
	}
	for (int i = 0; asked[i]; i++) {
		if (strcmp(words[0], asked[i]) == 0) {
			set_request(scene, words);
			return;
		}
	}
	for (int i = 0; worlds[i]; i++) {
		if (strcmp(words[0], worlds[i]) == 0) {
			set_world(scene, words);
			return;
		}
	}
	if (strcmp(words[0], "live") == 0) {
		set_live(scene, words);
	} else {
		set_fact(scene, words);
	}
}

static void read_text(const char *name, struct buf *out)
{
	AUTO_STRING char *path = mem_format("%s/%s", EXPLAIN_DATA, name);

	*out = BUF(1 << 20);
	CHECK(file_read(path, out, NULL) == 0);
}

static void scene_open(struct scene *scene)
{
	AUTO_BUF struct buf provider, maker, hospital;
	struct policy_end_facts end = { CERTIFICATE_VALID, CERTIFICATE_VALID, FACT_YES,
		GATEWAY_ONLINE, FACT_NO, .beside = { FACT_YES, NULL, 0 } };
	struct err err = { "" };

	read_text("provider.policy", &provider);
	read_text("maker.policy", &maker);
	read_text("hospital.policy", &hospital);
	*scene = (struct scene){
		.request = { .from = { "device-maker", "terminal" },
		        .to = { "core-hospital", "ct" },
		        .class = SERVICE_REMOTE_MAINTENANCE,
		        .protocol = PROTOCOL_TCP,
		        .port = 104,
		        .person = "suzuki",
		        .work_order = "01JD0000000000000000000000" },
		.now = when("2026-11-24T01:00:00Z"),
		.facts = { .provider_accredited = FACT_YES,
		        .device_ca_accredited = FACT_YES,
		        .service_ca_accredited = FACT_YES,
		        .initiator = end,
		        .responder = end,
		        .agreement = { AGREEMENT_IN_FORCE, "ct-care", 0 },
		        .person = { PERSON_ACTIVE, FACT_YES, FACT_YES, FACTOR_TWO },
		        .work_order = { WORK_ORDER_OPEN, NULL, FACT_YES } },
	};
	scene->facts.responder.approval = (struct policy_approval){ APPROVAL_GIVEN,
		{ when("2026-11-24T00:00:00Z"), when("2026-11-24T06:00:00Z") } };
	scene->facts.window =
	        (struct policy_window){ scene->now, scene->now + GRANT_SEC_MAX * USEC_PER_SEC };
	CHECK(provider_policy_parse(buf_text(&provider), provider.count, &scene->provider, &err) ==
	        0);
	CHECK(site_policy_parse(buf_text(&maker), maker.count, &scene->maker, &err) == 0);
	CHECK(site_policy_parse(buf_text(&hospital), hospital.count, &scene->hospital, &err) == 0);
	CHECK(provider_policy_check(scene->provider, 0, &err) == 0);
	CHECK(site_policy_check(scene->maker, 0, &err) == 0);
	CHECK(site_policy_check(scene->hospital, 0, &err) == 0);
	scene->facts.provider = scene->provider;
	scene->facts.initiator_policy = scene->maker;
	scene->facts.responder_policy = scene->hospital;
}

static void scene_close(struct scene *scene)
{
	provider_policy_free(scene->provider);
	site_policy_free(scene->maker);
	site_policy_free(scene->hospital);
}

/* The question in front of "== en"; adds the whole file as it should be to `out`. */
static void answer_case(char *text, struct buf *out)
{
	struct scene scene;
	struct decision decision;
	char *save = NULL, *answer = strstr(text, "== en\n");

	scene_open(&scene);
	if (answer) {
		*answer = '\0';
	}
	buf_add_text(out, text);
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *words[WORDS_MAX] = { NULL }, *inner = NULL;
		int count = 0;

		for (char *word = strtok_r(line, " ", &inner); word && *line != '#';
		        word = strtok_r(NULL, " ", &inner)) {
			CHECK(count < WORDS_MAX - 1);
			words[count++] = word;
		}
		if (count > 0) {
			set(&scene, words);
		}
	}
	decision = policy_decide(&scene.request, &scene.facts, scene.now);
	for (int i = 0; i < LAYER_COUNT; i++) {
		seen[decision.layers[i].reason] = true;
	}
	buf_add_text(out, "== en\n");
	policy_explain_print(&decision, &scene.request, LANGUAGE_ENGLISH, out);
	buf_add_text(out, "== ja\n");
	policy_explain_print(&decision, &scene.request, LANGUAGE_JAPANESE, out);
	scene_close(&scene);
}

TEST(every_answer_is_explained_in_these_words)
{
	bool write = getenv("SEKISHO_WRITE") != NULL;
	DIR *directory = opendir(EXPLAIN_DATA);
	struct dirent *entry;
	int cases = 0, reasons = 0;

	CHECK(directory != NULL);
	while ((entry = readdir(directory))) {
		AUTO_BUF struct buf text = BUF(1 << 16), out = BUF(1 << 16);
		AUTO_STRING char *path = mem_format("%s/%s", EXPLAIN_DATA, entry->d_name);
		AUTO_STRING char *copy = NULL;
		const char *dot = strrchr(entry->d_name, '.');

		if (!dot || strcmp(dot, ".case") != 0) {
			continue;
		}
		printf("# %s\n", entry->d_name);
		CHECK(file_read(path, &text, NULL) == 0);
		copy = mem_string(buf_text(&text));
		answer_case(copy, &out);
		cases++;
		if (write) {
			FILE *file = fopen(path, "w");

			CHECK(file && fwrite(out.bytes, 1, out.count, file) == out.count);
			CHECK(fclose(file) == 0);
		} else {
			CHECK_TEXT(buf_text(&out), buf_text(&text));
		}
	}
	closedir(directory);
	for (int i = 0; i < REASON_COUNT; i++) {
		reasons += seen[i];
	}
	printf("# %d cases, %d of %d reasons\n", cases, reasons, REASON_COUNT);
	CHECK(cases >= CASES_MIN && reasons >= REASONS_MIN);
}

TEST_MAIN()
