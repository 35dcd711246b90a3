#include "../check.h"

#include "base/clock.h"
#include "base/str.h"
#include "model/agreement.h"
#include "wire/json.h"

#define T0 1795000000000000LL

static const bool both[2] = { true, true };

/* A complete agreement; `without` leaves out a clause (0: none). */
static char *document(unsigned without, const char *more)
{
	AUTO_BUF struct buf text = BUF(16384);

	buf_add_text(&text, "{\"name\":\"ct-care\",\"parties\":[\"hospital\",\"maker\"],"
	                    "\"class\":\"remote-maintenance\",\"hosts\":[\"core/ct\",\"maker/"
	                    "terminal\"],\"protocols\":[{\"protocol\":\"tcp\",\"ports\":\"104,"
	                    "11112\"},{\"protocol\":\"icmp\"}],\"not_before\":\"2026-01-01T00:00:"
	                    "00Z\",\"not_after\":\"2027-01-01T00:00:00Z\",\"clauses\":[");
	for (unsigned i = 1; i <= AGREEMENT_CLAUSES; i++) {
		if (i != without) {
			buf_add_format(&text,
			        "%s{\"number\":%u,\"text\":\"as agreed\",\"owner\":\"%s\"}",
			        i == 1 || (i == 2 && without == 1) ? "" : ",", i,
			        i % 2 ? "hospital" : "maker");
		}
	}
	buf_add_format(&text, "]%s}", more);
	return buf_take_text(&text);
}

#define REST                                                                                       \
	",\"relation\":\"entrustment\",\"recipients\":\"one\"," POINTS ",\"encrypted\":{\"from\":" \
	"\"p2\",\"to\":\"p4\"}," POLICIES
#define POINTS                                                                                     \
	"\"demarcation\":[{\"point\":\"p1\",\"place\":\"host-a\",\"responsible\":\"hospital\"},"   \
	"{\"point\":\"p2\",\"place\":\"gateway-a\",\"responsible\":\"hospital\"},"                 \
	"{\"point\":\"p3\",\"place\":\"line-a\",\"responsible\":\"carrier\"},"                     \
	"{\"point\":\"p4\",\"place\":\"gateway-b\",\"responsible\":\"maker\"}]"
#define DIGEST "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define POLICIES                                                                                   \
	"\"policies\":[{\"organization\":\"maker\",\"digest\":\"" DIGEST                           \
	"\",\"received\":\"2025-12-01T00:00:00Z\"},{\"organization\":\"hospital\",\"digest\":"     \
	"\"" DIGEST "\",\"received\":\"2025-12-01T00:00:00Z\"}]"

static struct agreement *parse(unsigned without, const char *more)
{
	AUTO_STRING char *text = document(without, more);
	struct agreement *agreement = NULL;
	struct err err = { 0 };

	if (agreement_parse(text, strlen(text), &agreement, &err) != 0) {
		printf("# %s\n", err.text);
	}
	CHECK(agreement != NULL);
	return agreement;
}

static void refused(unsigned without, const char *more, const char *why)
{
	AUTO_STRING char *text = document(without, more);
	struct agreement *agreement = NULL;
	struct err err = { 0 };

	CHECK(agreement_parse(text, strlen(text), &agreement, &err) == 1);
	if (!strstr(err.text, why)) {
		printf("# %s\n", err.text);
	}
	CHECK(strstr(err.text, why) != NULL);
}

TEST(complete_agreement_lacks_nothing)
{
	AUTO(agreement) struct agreement *agreement = parse(0, REST);
	struct agreement_lack lacks[AGREEMENT_LACKS_MAX];

	CHECK(agreement_missing(agreement, both, lacks) == 0);
	CHECK(agreement->scope.host_count == 2 && agreement->scope.protocol_count == 2);
}

/* H4: each of the fourteen is missed by its number. */
TEST(every_clause_is_missed_by_number)
{
	for (unsigned i = 1; i <= AGREEMENT_CLAUSES; i++) {
		AUTO(agreement) struct agreement *agreement = parse(i, REST);
		struct agreement_lack lacks[AGREEMENT_LACKS_MAX];

		CHECK(agreement_missing(agreement, both, lacks) == 1);
		CHECK_TEXT(lacks[0].item, "clause");
		CHECK(lacks[0].number == i);
		CHECK(agreement_incident_owner(agreement, agreement_clause_info(i)->incident) ==
		        NULL);
	}
}

TEST(clause_owner_deals_with_the_incident)
{
	AUTO(agreement) struct agreement *agreement = parse(0, REST);

	CHECK_TEXT(agreement_incident_owner(agreement, "start"), "hospital");
	CHECK_TEXT(agreement_incident_owner(agreement, "encryption-fault"), "maker");
	CHECK(agreement_incident_owner(agreement, "weather") == NULL);
}

static size_t lacks_of(const char *more, const char *item)
{
	AUTO(agreement) struct agreement *agreement = parse(0, more);
	struct agreement_lack lacks[AGREEMENT_LACKS_MAX];
	size_t count = agreement_missing(agreement, both, lacks), found = 0;

	for (size_t i = 0; i < count; i++) {
		found += text_equal(lacks[i].item, item);
		printf("# %s: %s\n", lacks[i].item, lacks[i].text);
	}
	CHECK(count == found); /* and nothing else */
	return found;
}

TEST(what_else_is_missing_is_named)
{
	CHECK(lacks_of(",\"relation\":\"entrustment\",\"recipients\":\"unidentified\"," POINTS
	               ",\"encrypted\":{\"from\":\"p2\",\"to\":\"p4\"}," POLICIES,
	              "recipients") == 1); /* H2 */
	CHECK(lacks_of(",\"relation\":\"entrustment\",\"recipients\":\"unidentified\",\"legal_"
	               "basis\":\"act 1\"," POINTS
	               ",\"encrypted\":{\"from\":\"p2\",\"to\":\"p4\"}," POLICIES,
	              "recipients") == 0);
	CHECK(lacks_of(",\"relation\":\"third-party\",\"recipients\":\"one\"," POINTS
	               ",\"encrypted\":{\"from\":\"p2\",\"to\":\"p4\"}," POLICIES,
	              "consent") == 1);
	CHECK(lacks_of(",\"relation\":\"entrustment\",\"recipients\":\"one\"," POINTS
	               ",\"encrypted\":{\"from\":\"p4\",\"to\":\"p2\"}," POLICIES,
	              "encrypted") == 1);
	CHECK(lacks_of(",\"relation\":\"entrustment\",\"recipients\":\"one\"," POINTS
	               ",\"encrypted\":{\"from\":\"p2\",\"to\":\"p4\"}",
	              "policies") == 2); /* G5 */
	/* H1: out of the order of the path. */
	CHECK(lacks_of(",\"relation\":\"entrustment\",\"recipients\":\"one\",\"demarcation\":[{"
	               "\"point\":\"p1\",\"place\":\"host-a\",\"responsible\":\"hospital\"},{"
	               "\"point\":\"p2\",\"place\":\"line-b\",\"responsible\":\"carrier\"},{"
	               "\"point\":\"p4\",\"place\":\"line-a\",\"responsible\":\"maker\"}],"
	               "\"encrypted\":{\"from\":\"p1\",\"to\":\"p4\"}," POLICIES,
	              "demarcation") == 1);
}

TEST(nonsense_is_refused_by_field)
{
	refused(0, REST ",\"more\":1", "more");
	refused(0, ",\"relation\":\"friends\",\"recipients\":\"one\"", "relation");
	refused(0, REST ",\"network\":{\"kind\":\"air\"}", "network.kind");
	refused(0,
	        ",\"relation\":\"entrustment\",\"recipients\":\"one\",\"policies\":[{"
	        "\"organization\":\"other\",\"digest\":\"" DIGEST
	        "\",\"received\":\"2025-12-01T00:00:00Z\"}]",
	        "other is no party");
}

/* H3: the carrier between the ends of encryption answers for all but eavesdropping. */
TEST(responsibility_follows_encryption)
{
	AUTO(agreement) struct agreement *agreement = parse(0, REST);
	AUTO(agreement)
	struct agreement *open = parse(0,
	        ",\"relation\":\"third-party\",\"consent\":\"implicit\",\"recipients\":"
	        "\"one\"," POINTS ",\"encrypted\":{\"from\":\"p1\",\"to\":\"p2\"}," POLICIES);
	struct agreement_responsibility matrix;
	const struct agreement_stretch *carrier = &matrix.stretches[2];

	CHECK(agreement_responsibility(agreement, &matrix) == 0 && matrix.count == 4);
	CHECK(!carrier->party && carrier->encrypted && !carrier->entrustment_needed);
	CHECK_TEXT(carrier->by[THREAT_EAVESDROPPING], "hospital");
	CHECK_TEXT(carrier->by[THREAT_TAMPERING], "carrier");
	CHECK_TEXT(carrier->by[THREAT_QUALITY], "carrier");
	CHECK_TEXT(matrix.stretches[3].by[THREAT_EAVESDROPPING], "maker");
	CHECK_TEXT(matrix.result, "hospital"); /* H8: entrusted */
	CHECK_TEXT(matrix.supervised, "maker");
	CHECK(agreement_responsibility(open, &matrix) == 0);
	CHECK(!carrier->encrypted && carrier->entrustment_needed);
	CHECK_TEXT(carrier->by[THREAT_EAVESDROPPING], "carrier");
	CHECK_TEXT(matrix.result, "maker");
	CHECK(matrix.supervises == NULL);
}

TEST(closed_network_still_needs_encryption)
{
	AUTO(agreement)
	struct agreement *agreement = parse(0, REST ",\"network\":{\"kind\":\"closed-ip\"}");

	CHECK(strstr(agreement_duty(agreement, 0), "encrypt the content") != NULL); /* H7 */
	CHECK(agreement_duty(agreement, 10) == NULL);
}

static struct agreement_scope scope_of(
        const char *name, const char *left, const char *right, const char *from, const char *to)
{
	struct agreement_scope scope = { .class = SERVICE_REMOTE_MAINTENANCE,
		.host_count = 2,
		.protocol_count = 1,
		.not_before = T0,
		.not_after = T0 + 1000,
		.state = AGREEMENT_STATE_IN_FORCE };

	scope.hosts = mem_new(2, sizeof(*scope.hosts));
	scope.protocols = mem_new(1, sizeof(*scope.protocols));
	snprintf(scope.name, sizeof(scope.name), "%s", name);
	snprintf(scope.parties[0], sizeof(scope.parties[0]), "%s", left);
	snprintf(scope.parties[1], sizeof(scope.parties[1]), "%s", right);
	CHECK(host_ref_parse(from, &scope.hosts[0]) == 0 &&
	        host_ref_parse(to, &scope.hosts[1]) == 0);
	scope.protocols[0].protocol = PROTOCOL_TCP;
	CHECK(port_set_parse("104", &scope.protocols[0].ports) == 0);
	return scope;
}

static struct agreement_answer ask(const struct agreement_index *index, const char *from,
        const char *to, enum service_class class, uint16_t port, int64_t now)
{
	struct host_ref left, right;
	struct agreement_question question = {
		.from = &left, .to = &right, .class = class, .protocol = PROTOCOL_TCP, .port = port
	};

	CHECK(host_ref_parse(from, &left) == 0 && host_ref_parse(to, &right) == 0);
	question.from_organization = left.site;
	question.to_organization = right.site;
	return agreement_index_find(index, &question, now);
}

/* A7: the contracted device, and no other. */
TEST(index_finds_exactly_what_is_agreed)
{
	AUTO(agreement_index) struct agreement_index *index = agreement_index_new();
	struct agreement_scope scope =
	        scope_of("one", "hospital", "maker", "hospital/ct", "maker/t");
	const enum service_class care = SERVICE_REMOTE_MAINTENANCE;

	CHECK(ask(index, "maker/t", "hospital/ct", care, 104, T0).match == MATCH_NONE);
	agreement_index_put(index, &scope);
	CHECK(scope.hosts == NULL); /* taken over */
	CHECK(ask(index, "maker/t", "hospital/ct", care, 104, T0).match == MATCH_IN_FORCE);
	CHECK(ask(index, "hospital/ct", "maker/t", care, 104, T0).match == MATCH_IN_FORCE);
	CHECK(ask(index, "maker/t", "hospital/mri", care, 104, T0).match == MATCH_HOSTS);
	CHECK(ask(index, "maker/t", "hospital/ct", SERVICE_ASP, 104, T0).match == MATCH_CLASS);
	CHECK(ask(index, "maker/t", "hospital/ct", care, 22, T0).match == MATCH_SERVICE);
	CHECK(ask(index, "maker/t", "clinic/ct", care, 104, T0).match == MATCH_NONE);
	CHECK(ask(index, "hospital/ct", "hospital/ct", care, 104, T0).match == MATCH_NONE);
	CHECK(ask(index, "maker/t", "hospital/ct", care, 104, T0 - 1).match == MATCH_NOT_YET);
	CHECK(ask(index, "maker/t", "hospital/ct", care, 104, T0 + 1000).match == MATCH_OVER);
	CHECK(agreement_index_next_end(index, T0) == T0 + 1000);
	CHECK(agreement_index_next_end(index, T0 + 1000) == INT64_MAX);

	scope = scope_of("one", "hospital", "maker", "hospital/ct", "maker/t");
	scope.state = AGREEMENT_STATE_ENDED;
	agreement_index_put(index, &scope);
	CHECK(agreement_index_count(index) == 1);
	CHECK(ask(index, "maker/t", "hospital/ct", care, 104, T0).match == MATCH_ENDED);
}

/* Ten thousand pairs: each finds its own, and a replaced one is found as it is now. */
TEST(index_keeps_many_apart)
{
	AUTO(agreement_index) struct agreement_index *index = agreement_index_new();
	char hospital[32], host[64];

	for (int i = 0; i < 10000; i++) {
		struct agreement_scope scope;
		char name[32];

		snprintf(name, sizeof(name), "a-%d", i);
		snprintf(hospital, sizeof(hospital), "h-%d", i);
		snprintf(host, sizeof(host), "h-%d/ct", i);
		scope = scope_of(name, hospital, "maker", host, "maker/t");
		agreement_index_put(index, &scope);
	}
	for (int i = 0; i < 10000; i += 7) {
		struct agreement_answer answer;

		snprintf(host, sizeof(host), "h-%d/ct", i);
		answer = ask(index, host, "maker/t", SERVICE_REMOTE_MAINTENANCE, 104, T0);
		CHECK(answer.match == MATCH_IN_FORCE);
		snprintf(host, sizeof(host), "a-%d", i);
		CHECK_TEXT(answer.scope->name, host);
	}
}

TEST_MAIN()
