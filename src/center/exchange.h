/*
 * One request on its way through core: what was asked, by whom, and the one answer it gets.
 *
 * A handler answers exactly once, by one of the answer functions. A refusal (status 4xx) is a
 * record in the ledger, counted together when one source makes many (refusals.h). Answers wait for
 * the commit of what the handler changed (core_send()).
 */
#pragma once

#include "center/core.h"
#include "center/roles.h"

struct route;
struct person;

struct exchange {
	struct center *center;
	struct front_link *front;
	uint32_t tag;
	const struct request *request;
	const struct route *route;
	char parameter[HTTP_TARGET_BYTES_MAX +
	               1]; /* what stands for {…} in the route's path; or "" */
	bool answered;

	/* Who asks: an operator, a person, or a gateway, or nobody in particular. */
	char operator_name[NAME_BYTES_MAX + 1]; /* of a person as well */
	struct roles roles;
	const struct person *person; /* NULL: no person */
	bool session;                /* with a second factor */
	uint8_t session_hash[STORE_HASH_BYTES];
	struct gateway *gateway;
	enum cert_kind kind; /* of the gateway's certificate */
};

/* `body` is adopted. */
void answer_json(struct exchange *exchange, int status, json_t *body);
/* {"leaf":N} and what else is in `body` (adopted; NULL: nothing else). */
void answer_leaf(struct exchange *exchange, int status, uint64_t leaf, json_t *body);
void answer_bytes(
        struct exchange *exchange, int status, const char *type, const void *bytes, size_t count);
/* 200 with base64 text as EST carries it: in one line (RFC 4648 3.1) and with the header of RFC
 * 7030. RFC 8951 lets clients do without both, but strongSwan's decodes neither otherwise. */
void answer_base64(struct exchange *exchange, const char *type, const void *bytes, size_t count);
/* 202 with Retry-After. */
void answer_later(struct exchange *exchange, unsigned retry_sec);
/* A problem (RFC 9457). Recorded when it is a refusal. */
void answer_problem(struct exchange *exchange, int status, const char *format, ...)
        printf_like(3, 4);
/* The same with one more member, which is adopted. */
void answer_problem_with(struct exchange *exchange, int status, const char *key, json_t *value,
        const char *format, ...) printf_like(5, 6);
/* The same with the layers of a decision. */
void answer_denied(struct exchange *exchange, const struct decision *decision,
        const struct policy_request *request);
/* Turns the exchange into the gateway's stream. */
void answer_stream(struct exchange *exchange);

/* Reads the JSON body by a table. Outcome 1: a problem that names the field was answered. */
int exchange_body(
        struct exchange *exchange, const struct json_field *fields, void *target) must_use;
/* The body as a text (a JWS): white space at its ends is left out. Borrowed. Outcome 1 as above. */
int exchange_text(struct exchange *exchange, const char **ret_text, size_t *ret_count) must_use;
/* Query parameter as a number. Outcome 1: answered. */
int exchange_number(struct exchange *exchange, const char *name, uint64_t initial, uint64_t max,
        uint64_t *ret_number) must_use;

/* A list with paging: rows are added by the handler's callback, which then names the row's key. */
#define LIST_LIMIT_DEFAULT 100
#define LIST_LIMIT_MAX 1000

struct list {
	struct exchange *exchange;
	const char *after;
	uint64_t limit;
	json_t *items;
	char last[HTTP_TARGET_BYTES_MAX + 1];
	void *context;
};

/* Outcome 1: answered. */
int list_begin(struct exchange *exchange, struct list *ret_list) must_use;
/* Adopts `item`. */
void list_add(struct list *list, const char *key, json_t *item);
void list_end(struct list *list);

/* A new bearer token: text for its owner, hash for us. */
struct token_text {
	char text[64];
};
struct token_text exchange_token_new(uint8_t ret_hash[STORE_HASH_BYTES]);
