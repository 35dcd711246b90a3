/*
 * Process agent: hands priv's questions about first traffic (protocol.md 3.1) to the center, and
 * the answers back. Nothing is decided here.
 */
#include "gateway/agent.h"

#include <string.h>

#include "base/log.h"
#include "gateway/message.h"
#include "wire/json.h"

#define DEADLINE_MSEC 20000
#define REASON_BYTES_MAX 255

static void tell(struct agent *agent, uint32_t tag, enum traffic_answer answer, const char *reason)
{
	AUTO_BUF struct buf payload = BUF(512);

	buf_add_u8(&payload, (uint8_t)answer);
	buf_add_block(&payload, reason, strnlen(reason, REASON_BYTES_MAX));
	if (agent_send(agent, MESSAGE_TRAFFIC_ANSWER, tag, &payload) != 0) {
		log_debug("priv asks again by itself");
	}
}

/* 201: granted; 200: it was there already. Only a 4xx is a decision, and of those not that it is
 * just being closed (409) or was asked for too often (429). */
static enum traffic_answer read_status(int status)
{
	if (status == 201 || status == 200) {
		return TRAFFIC_GRANTED;
	}
	return status >= 400 && status < 500 && status != 409 && status != 429 ? TRAFFIC_REFUSED
	                                                                       : TRAFFIC_LATER;
}

static void on_answered(void *context, const struct http_response *response)
{
	struct asked *asked = context;
	AUTO_JSON json_t *object = NULL;
	uint32_t tag = asked->tag;
	const char *detail = NULL;

	asked->tag = 0;
	if (response->fault < 0) {
		tell(asked->agent, tag, TRAFFIC_LATER, response->reason);
		return;
	}
	if (response->message->body && json_parse(response->message->body,
	                                       response->message->body_bytes, &object, NULL) == 0) {
		detail = json_string_value(json_object_get(object, "detail"));
	}
	tell(asked->agent, tag, read_status(response->message->status), detail ? detail : "");
}

void agent_traffic_ask(struct agent *agent, uint32_t tag, const char *text, size_t count)
{
	struct http_client_request request = { .method = "POST",
		.path = "/device/v1/traffic",
		.content_type = "application/json",
		.body = text,
		.body_bytes = count,
		.deadline_msec = DEADLINE_MSEC,
		.handler = on_answered };
	struct asked *free_one = NULL;

	for (size_t i = 0; i < ARRAY_COUNT(agent->asked); i++) {
		if (agent->asked[i].tag == 0) {
			free_one = &agent->asked[i];
		}
	}
	/* The center has to know first what ended here: a cut forbids to open on traffic. */
	if (agent->state != AGENT_ONLINE || !agent->calls || agent_reports_wait(agent) ||
	        !free_one) {
		tell(agent, tag, TRAFFIC_LATER,
		        agent->state == AGENT_ONLINE ? "other messages to the center come first"
		                                     : agent->state_text);
		return;
	}
	request.context = free_one;
	if (http_client_request(agent->calls, &request) != 0) {
		tell(agent, tag, TRAFFIC_LATER, "too many requests wait for the center");
		return;
	}
	*free_one = (struct asked){ agent, tag };
}

void agent_traffic_lost(struct agent *agent, const char *why)
{
	for (size_t i = 0; i < ARRAY_COUNT(agent->asked); i++) {
		uint32_t tag = agent->asked[i].tag;

		agent->asked[i].tag = 0;
		if (tag != 0) {
			tell(agent, tag, TRAFFIC_LATER, why);
		}
	}
}
