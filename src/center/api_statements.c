/* What the accreditor and the CAs above us say: statements and revocation lists. */
#include "center/routes.h"
#include "center/trust.h"

void statements_post(struct exchange *exchange)
{
	const char *jws;
	size_t count;
	uint64_t leaf;
	struct err err = { 0 };

	if (exchange_text(exchange, &jws, &count) != 0) {
		return;
	}
	if (trust_take_statement(exchange->center, jws, count, &leaf, &err) != 0) {
		answer_problem(exchange, 400, "%s", err.text);
		return;
	}
	answer_leaf(exchange, 201, leaf, NULL);
}

void statements_list(struct exchange *exchange)
{
	const struct statement_set *set = exchange->center->statements;
	json_t *items = json_array();

	for (size_t i = 0; i < statement_set_count(set); i++) {
		const struct statement *statement = statement_set_at(set, i);

		json_array_append_new(
		        items, json_pack("{ss ss sI ss ss ss si}", "role",
		                       statement_role_name(statement->role), "id", statement->id,
		                       "seq", (json_int_t)statement->seq, "state",
		                       statement_state_name(statement->state), "not_before",
		                       time_print(statement->not_before).text, "not_after",
		                       time_print(statement->not_after).text, "keys",
		                       (int)statement->key_count));
	}
	answer_json(exchange, 200, json_pack("{so sn}", "items", items, "next"));
}

void crls_post(struct exchange *exchange)
{
	uint64_t leaf;
	struct err err = { 0 };

	if (trust_take_crl(exchange->center, exchange->request->body, exchange->request->body_bytes,
	            &leaf, &err) != 0) {
		answer_problem(exchange, 400, "%s", err.text);
		return;
	}
	answer_leaf(exchange, 201, leaf, NULL);
}
