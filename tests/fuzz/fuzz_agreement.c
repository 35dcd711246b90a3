/* Any bytes as an agreement. What is accepted keeps its limits; what it lacks is counted alike
 * every time, one clause is missing exactly when its number is among it, and a complete one has a
 * whole path of responsible parties. The index finds it for its own hosts. The same bytes as roles.
 */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "model/agreement.h"
#include "model/person_role.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_missing(const struct agreement *agreement)
{
	struct agreement_lack lacks[AGREEMENT_LACKS_MAX];
	const bool both[2] = { true, true };
	size_t count = agreement_missing(agreement, both, lacks);
	struct agreement_responsibility matrix;
	unsigned clauses = 0;

	assert_always(count <= AGREEMENT_LACKS_MAX);
	for (size_t i = 0; i < count; i++) {
		assert_always(lacks[i].item && lacks[i].text[0]);
		if (lacks[i].number > 0) {
			assert_always(!agreement->clauses[lacks[i].number - 1].text);
			clauses++;
		}
	}
	for (unsigned i = 0; i < AGREEMENT_CLAUSES; i++) {
		clauses += agreement->clauses[i].text != NULL;
	}
	assert_always(clauses == AGREEMENT_CLAUSES);
	if (agreement_responsibility(agreement, &matrix) == 0) {
		assert_always(matrix.count == agreement->point_count && matrix.count >= 2);
		for (size_t i = 0; i < matrix.count; i++) {
			for (int threat = 0; threat < THREAT_COUNT; threat++) {
				assert_always(*matrix.stretches[i].by[threat]);
			}
		}
	} else {
		assert_always(count > 0);
	}
}

static void check_index(struct agreement *agreement)
{
	AUTO(agreement_index) struct agreement_index *index = agreement_index_new();
	struct agreement_scope *scope = &agreement->scope;
	struct host_ref from, to;
	struct agreement_question question = { .from = &from, .to = &to, .class = scope->class };
	char names[2][NAME_BYTES_MAX + 1];
	int64_t middle = scope->not_before;

	if (scope->host_count < 2 || scope->protocol_count < 1) {
		return;
	}
	from = scope->hosts[0];
	to = scope->hosts[1];
	memcpy(names, scope->parties, sizeof(names));
	question.from_organization = names[1];
	question.to_organization = names[0];
	question.protocol = scope->protocols[0].protocol;
	question.port =
	        scope->protocols[0].ports.count ? scope->protocols[0].ports.ranges[0].first : 0;
	scope->state = AGREEMENT_STATE_IN_FORCE;
	agreement_index_put(index, scope);
	assert_always(agreement_index_find(index, &question, middle).match == MATCH_IN_FORCE);
	assert_always(agreement_index_find(index, &question, middle - 1).match == MATCH_NOT_YET);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(agreement) struct agreement *agreement = NULL;
	AUTO_STRING char *text = mem_format("%.*s", (int)(size < 4096 ? size : 4096), data);
	AUTO_BUF struct buf again = BUF(1024);
	struct err err = { "" };
	person_roles roles = 0, same = 0;

	if (agreement_parse(data, size, &agreement, &err) == 0) {
		check_missing(agreement);
		check_index(agreement);
	} else {
		assert_always(err.text[0] != '\0');
	}
	if (person_roles_parse(text, &roles, &err) == 0) {
		person_roles_print(roles, &again);
		assert_always(roles != 0 && person_roles_parse(buf_text(&again), &same, &err) == 0);
		assert_always(roles == same);
	}
	return 0;
}
