/* The shell around the connection machine: facts in, actions out. */
#pragma once

#include "center/core.h"

/* Restores what was live, and ends what may not be any more. */
int live_open(struct center *center, struct err *err) must_use;

void live_gateway_online(struct center *center, struct gateway *gateway);
void live_gateway_offline(struct center *center, struct gateway *gateway);
void live_report(struct center *center, struct gateway *gateway, enum connection_report report,
        const char *id, const char *reason);
/* A person cut it at this gateway: to be told before the report that it is closed. */
void live_hold(struct center *center, const struct gateway *gateway, const char *id);
void live_review(struct center *center, const char *site);
void live_tick(struct center *center);

struct live_answer {
	enum connection_answer answer;
	struct id id;
	uint64_t leaf;
};

/* Asks for a connection. The decision is in center->decision. */
struct live_answer live_ask(struct center *center, const struct connection_request *request);
/* What would be decided, without asking. */
struct decision live_explain(struct center *center, const struct policy_request *request);
/* Outcome 1: there is no such live connection. */
int live_cut(struct center *center, const char *id, const char *by, const char *reason,
        uint64_t *ret_leaf) must_use;

/* Makes every older grant void and ends all connections. Returns the new epoch. */
uint64_t live_raise_epoch(struct center *center);

/* A row as JSON, as lists and answers show it; the caller owns it. */
json_t *live_print(const struct connection_row *row);
/* A stored row back as the machine's. Outcome 1: it is damaged. */
int live_unpack(const struct store_connection *stored, struct connection_row *ret_row) must_use;
/* The answer's reasons, a list of {"layer","verdict","reason","detail"}; the caller owns it. */
json_t *live_layers(const struct decision *decision, const struct policy_request *request);
