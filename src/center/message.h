/*
 * What front and core say to each other, over loop/channel. The tag names an exchange or a stream
 * of that front; the front chooses it and never uses one again while anything may still speak of
 * it.
 *
 *     front → core   request           a whole HTTP request
 *                    gone              the peer of this exchange or stream has left
 *                    refused           a peer was turned away before it made a request
 *     core → front   part              more of the body of the answer that follows
 *                    answer            ends the exchange
 *                    stream            turns the exchange into a stream
 *                    event             bytes for one stream
 *                    end               closes a stream
 *                    broadcast         bytes for every stream of this front
 *                    drop              closes every connection with this certificate
 *
 * Texts travel with their zero byte, so that what is unpacked can be used as it lies.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/limits.h"

enum message_type {
	MESSAGE_REQUEST = 1,
	MESSAGE_GONE,
	MESSAGE_REFUSED,
	MESSAGE_PART = 16,
	MESSAGE_ANSWER,
	MESSAGE_STREAM,
	MESSAGE_EVENT,
	MESSAGE_END,
	MESSAGE_BROADCAST,
	MESSAGE_DROP,
};

enum listener {
	LISTENER_DEVICE,
	LISTENER_ENROL,
	LISTENER_OPERATOR,
	LISTENER_PUBLIC,
	LISTENER_METRICS,
	LISTENER_COUNT,
};
const char *listener_name(enum listener listener);

struct request_field {
	const char *name, *value;
};

struct request_certificate {
	const uint8_t *der;
	size_t bytes;
};

/* Everything in here is borrowed from where it was unpacked. Absent texts are "". */
struct request {
	enum listener listener;
	const char *method, *path;
	size_t query_count;
	struct request_field query[HTTP_QUERY_COUNT_MAX];
	const char *authorization, *content_type, *device_information;
	const char *peer_address;
	uint16_t peer_port;
	size_t chain_count;
	struct request_certificate chain[CERT_CHAIN_COUNT_MAX];
	const uint8_t *body;
	size_t body_bytes;
};

void request_pack(const struct request *request, struct buf *out);
/* Outcome 1: not a request; the sender is to be ended. */
int request_unpack(const uint8_t *bytes, size_t count, struct request *ret_request) must_use;
/* NULL when it is not there. */
const char *request_query(const struct request *request, const char *name);

#define ANSWER_FIELDS_MAX 4

struct answer {
	uint16_t status;
	const char *content_type; /* "" without a body */
	size_t field_count;
	struct request_field fields[ANSWER_FIELDS_MAX];
	const uint8_t *body;
	size_t body_bytes;
};

/* One answer's body in one frame; what is longer goes ahead in parts of this size. */
#define ANSWER_BODY_BYTES_MAX (1 << 20)

void answer_pack(const struct answer *answer, struct buf *out);
/* Outcome 1 as above. */
int answer_unpack(const uint8_t *bytes, size_t count, struct answer *ret_answer) must_use;
