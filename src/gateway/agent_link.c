/*
 * Process agent: the link to the center. One stream of events comes in; reports and the journal go
 * out on a second connection, so that neither waits for the other.
 *
 * Reports go at once when none is under way; what comes meanwhile goes together with the next. The
 * journal is sent from the number on that the center acknowledged last, and a gap or a fork is the
 * center's to tell.
 */
#include "gateway/agent.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "gateway/message.h"
#include "pki/tls_context.h"
#include "wire/json.h"

#define BACK_OFF_MSEC_MIN 200
#define BACK_OFF_MSEC_MAX 30000
#define STREAM_DEADLINE_MSEC 10000
#define SILENCE_MSEC 30000 /* three heartbeats */
#define CALL_DEADLINE_MSEC 10000
#define JOURNAL_DELAY_MSEC                                                                         \
	200 /* lets what belongs together go together, and a tunnel come up first */
#define JOURNAL_RETRY_MSEC 2000
#define REPORT_RETRY_MSEC 500
#define REPORT_WAIT_MSEC                                                                           \
	20 /* for one that may wait: as long as a tunnel needs to come up nearby                   \
	    */
#define REPORTS_BYTES_MAX (HTTP_BODY_BYTES_MAX / 2) /* the center takes a body of twice as much */
#define STEADY_USEC (10 * USEC_PER_SEC) /* a stream that lived so long is worth a quick retry */

static void try_connect(void *context);
static void send_reports(struct agent *agent);
static void send_journal(void *context);

static void retry_reports(void *context)
{
	send_reports(context);
}

void agent_link_new(struct agent *agent)
{
	agent->connect_timer = loop_timer_new(agent->loop, try_connect, agent);
	agent->journal_timer = loop_timer_new(agent->loop, send_journal, agent);
	agent->report_timer = loop_timer_new(agent->loop, retry_reports, agent);
	agent->reports = BUF(REPORTS_BYTES_MAX);
	agent->back_off_msec = BACK_OFF_MSEC_MIN;
}

void agent_link_free(struct agent *agent)
{
	agent->stream = http_client_free(agent->stream);
	agent->calls = http_client_free(agent->calls);
	loop_timer_free(agent->connect_timer);
	loop_timer_free(agent->journal_timer);
	loop_timer_free(agent->report_timer);
	buf_clear(&agent->reports);
	tls_context_free(agent->tls);
}

/* Whoever waits for an answer over one of them is told that none will come. */
static void drop_clients(struct agent *agent, const char *why)
{
	agent->stream = http_client_free(agent->stream);
	agent->calls = http_client_free(agent->calls);
	agent->reports_sent = 0; /* they go once more */
	agent->journal_busy = false;
	free(TAKE(agent->checkpoint_next));
	agent_local_lost(agent, false, why);
	agent_traffic_lost(agent, why);
}

void agent_link_stop(struct agent *agent)
{
	drop_clients(agent, "the link to the center is made anew; ask again in a moment");
	loop_timer_stop(agent->connect_timer);
	if (agent->state == AGENT_ONLINE) {
		agent_state_set(agent, AGENT_CONNECTING, "connecting to %s", agent->config->center);
	}
}

void agent_link_start(struct agent *agent)
{
	loop_timer_set(agent->connect_timer, 0);
}

/* Twice as long each time, and never two gateways at the same moment. */
static void back_off(struct agent *agent)
{
	uint16_t random;
	int64_t wait = agent->back_off_msec;

	random_fill(&random, sizeof(random));
	wait = wait / 2 + wait * random / 65536;
	loop_timer_set(agent->connect_timer, wait);
	agent->back_off_msec = 2 * agent->back_off_msec;
	if (agent->back_off_msec > BACK_OFF_MSEC_MAX) {
		agent->back_off_msec = BACK_OFF_MSEC_MAX;
	}
}

/* False for one that is of no use beyond the link. */
static bool take_address(const struct ifaddrs *one, char out[INET6_ADDRSTRLEN])
{
	const struct sockaddr_in *four = (const void *)one->ifa_addr;
	const struct sockaddr_in6 *six = (const void *)one->ifa_addr;

	if (one->ifa_addr->sa_family == AF_INET) {
		return inet_ntop(AF_INET, &four->sin_addr, out, INET6_ADDRSTRLEN) != NULL;
	}
	return !IN6_IS_ADDR_LINKLOCAL(&six->sin6_addr) &&
	       inet_ntop(AF_INET6, &six->sin6_addr, out, INET6_ADDRSTRLEN) != NULL;
}

/* The gateway's own idea of its address: if the center sees another, there is a NAT between. */
static void find_address(const struct agent *agent, char out[INET6_ADDRSTRLEN])
{
	/* Of the family that the center is reached by: it compares. */
	bool six = strchr(agent->config->center, ':') != NULL;
	struct ifaddrs *all, *one;

	strcpy(out, six ? "any" : "0.0.0.0");
	if (getifaddrs(&all) < 0) {
		return;
	}
	for (one = all; one; one = one->ifa_next) {
		if (one->ifa_addr && one->ifa_addr->sa_family == (six ? AF_INET6 : AF_INET) &&
		        strcmp(one->ifa_name, agent->config->wan) == 0 && take_address(one, out)) {
			break;
		}
	}
	freeifaddrs(all);
}

static void on_opened(void *context)
{
	struct agent *agent = context;

	agent_state_set(agent, AGENT_ONLINE, "connected to %s", agent->config->center);
	agent->opened_usec = clock_monotonic_usec();
	if (!agent->link_said) {
		agent->link_said = true;
		agent_note(agent, "center.found", agent->config->center, "the stream is open");
	}
	send_reports(agent);
	loop_timer_set(agent->journal_timer, JOURNAL_DELAY_MSEC);
}

/* If it failed, the report's own call says so. */
static void on_warm(void *context, const struct http_response *response)
{
}

/* A grant is answered within milliseconds, and a connection that was idle is closed by now: it is
 * opened while priv checks the grant. An empty report is the smallest call there is. */
static void warm_calls(struct agent *agent)
{
	static const char body[] = "{\"reports\":[]}";
	struct http_client_request request = { .method = "POST",
		.path = "/device/v1/report",
		.content_type = "application/json",
		.body = body,
		.body_bytes = sizeof(body) - 1,
		.deadline_msec = CALL_DEADLINE_MSEC,
		.handler = on_warm,
		.context = agent };
	int64_t now = clock_monotonic_usec();

	if (now - agent->called_usec < (HTTP_CLIENT_IDLE_MSEC - 1000) * USEC_PER_MSEC ||
	        !agent->calls || agent->state != AGENT_ONLINE) {
		return;
	}
	if (http_client_request(agent->calls, &request) == 0) {
		agent->called_usec = now;
	}
}

/* priv renews by itself what survives an outage, and has to know of one. */
static void tell_link(struct agent *agent, bool up)
{
	AUTO_BUF struct buf payload = BUF(1);

	buf_add_u8(&payload, up);
	if (agent_send(agent, MESSAGE_LINK, 0, &payload) != 0) {
		log_debug("priv takes an agent that is gone for a lost link itself");
	}
}

static int on_event(void *context, const struct sse_event *event)
{
	struct agent *agent = context;
	AUTO_BUF struct buf payload = BUF(MESSAGE_BYTES_MAX);

	if (!event->name) {
		tell_link(agent, true); /* a heartbeat */
		return 0;
	}
	if (strcmp(event->name, "checkpoint") == 0) {
		agent_ledger_take(agent, event->data, event->data_bytes);
		return 0;
	}
	if (strcmp(event->name, "trust") == 0) {
		agent_ledger_trust(agent, event->data, event->data_bytes);
	}
	buf_add_block(&payload, event->name, strlen(event->name));
	buf_add_block(&payload, event->data, event->data_bytes);
	/* An event that cannot be handed on ends the stream: the next one says everything again. */
	if (agent_send(agent, MESSAGE_EVENT, 0, &payload) != 0) {
		return 1;
	}
	if (strcmp(event->name, "grant") == 0) {
		warm_calls(agent);
	}
	return 0;
}

static void on_stream_closed(void *context, const struct http_response *response)
{
	struct agent *agent = context;
	bool was_online = agent->state == AGENT_ONLINE;
	int64_t lived = was_online ? clock_monotonic_usec() - agent->opened_usec : 0;

	if (response->fault < 0) {
		agent_state_set(agent, AGENT_CONNECTING, "%s", response->reason);
	} else {
		agent_state_set(agent, AGENT_CONNECTING, "the center refuses (%d): %.300s",
		        response->message->status,
		        response->message->body ? (const char *)response->message->body : "");
	}
	if (lived >= STEADY_USEC) {
		agent->back_off_msec = BACK_OFF_MSEC_MIN;
	}
	tell_link(agent, false);
	if (was_online && agent->link_said) {
		agent->link_said = false;
		agent_note(agent, "center.lost", agent->config->center, agent->state_text);
	}
	back_off(agent);
}

static void try_connect(void *context)
{
	struct agent *agent = context;
	struct http_client_options options = { .host = agent->config->center,
		.port = (uint16_t)agent->config->device_port,
		.tls = agent->tls };
	char address[INET6_ADDRSTRLEN];
	AUTO_STRING char *path = NULL;
	struct http_client_stream stream = { .deadline_msec = STREAM_DEADLINE_MSEC,
		.silence_msec = SILENCE_MSEC,
		.opened = on_opened,
		.event = on_event,
		.closed = on_stream_closed,
		.context = agent };

	if (!agent->tls || !agent->priv) {
		return;
	}
	find_address(agent, address);
	path = mem_format("/device/v1/stream?address=%s&version=%s&dataplane=%s&journal=%llu"
	                  "&checkpoint=%llu",
	        address, SEKISHO_VERSION, dataplane_name(agent->dataplane),
	        (unsigned long long)agent->journal_newest,
	        (unsigned long long)agent->checkpoint_size);
	stream.path = path;
	drop_clients(agent, "the link to the center was lost; ask again in a moment");
	if (http_client_new(agent->loop, &options, &agent->stream) < 0 ||
	        http_client_new(agent->loop, &options, &agent->calls) < 0 ||
	        http_client_stream(agent->stream, &stream) != 0) {
		log_error("cannot start the link to the center");
		back_off(agent);
	}
}

/* --- reports --- */

/* What the center took goes; what did not get there is sent once more. A report that it refuses
 * would be refused for ever. */
static void on_reported(void *context, const struct http_response *response)
{
	struct agent *agent = context;
	int status = response->fault < 0 ? 0 : response->message->status;
	bool again = status == 0 || status >= 500 || status == 408 || status == 429;

	if (status != 200) {
		log_warning("a report to the center failed (%d): %s", status,
		        status == 0 ? response->reason
		        : again     ? "it is sent again"
		                    : "it was refused");
	}
	if (!again) {
		/* Behind what was sent is the comma, where more came since. */
		size_t gone = agent->reports_sent;

		buf_drop(&agent->reports,
		        gone < agent->reports.count ? gone + 1 : agent->reports.count);
	}
	agent->reports_sent = 0;
	if (agent->reports.count > 0) {
		loop_timer_set(agent->report_timer, again ? REPORT_RETRY_MSEC : 0);
	} else if (agent->stopping) {
		loop_stop(agent->loop, GATEWAY_EXIT_RESTART);
	}
}

static void send_reports(struct agent *agent)
{
	AUTO_BUF struct buf body = BUF(REPORTS_BYTES_MAX + 64);
	struct http_client_request request = { .method = "POST",
		.path = "/device/v1/report",
		.content_type = "application/json",
		.deadline_msec = CALL_DEADLINE_MSEC,
		.handler = on_reported,
		.context = agent };

	if (agent->reports_sent > 0 || agent->reports.count == 0 || !agent->calls ||
	        agent->state != AGENT_ONLINE) {
		return;
	}
	buf_add_text(&body, "{\"reports\":[");
	buf_add(&body, agent->reports.bytes, agent->reports.count);
	buf_add_text(&body, "]}");
	request.body = body.bytes;
	request.body_bytes = body.count;
	if (http_client_request(agent->calls, &request) == 0) {
		agent->called_usec = clock_monotonic_usec();
		agent->reports_sent = agent->reports.count;
	} else {
		loop_timer_set(agent->report_timer, REPORT_RETRY_MSEC);
	}
}

bool agent_reports_wait(const struct agent *agent)
{
	return agent->reports.count > 0 && agent->state == AGENT_ONLINE;
}

void agent_report(struct agent *agent, const char *report, size_t count, bool may_wait)
{
	if (agent->reports.count + count + 1 > REPORTS_BYTES_MAX) {
		/* A new stream makes the center ask for everything once more. */
		log_warning("too many reports wait for the center: they are dropped, and the link "
		            "made anew");
		buf_reset(&agent->reports);
		agent_link_stop(agent);
		back_off(agent);
		return;
	}
	if (agent->reports.count > 0) {
		buf_add_text(&agent->reports, ",");
	}
	buf_add(&agent->reports, report, count);
	if (may_wait) {
		loop_timer_set(agent->report_timer, REPORT_WAIT_MSEC);
	} else {
		send_reports(agent);
	}
}

/* --- journal --- */

static void acknowledge(struct agent *agent, uint64_t seq)
{
	AUTO_BUF struct buf payload = BUF(16);

	agent->journal_sent = seq;
	buf_add_u64(&payload, seq);
	if (agent_send(agent, MESSAGE_JOURNAL_ACK, 0, &payload) != 0) {
		log_debug("record %llu will be acknowledged again", (unsigned long long)seq);
	}
}

static void on_journal_sent(void *context, const struct http_response *response)
{
	struct agent *agent = context;
	AUTO_JSON json_t *answer = NULL;
	int64_t after = JOURNAL_RETRY_MSEC;

	agent->journal_busy = false;
	if (response->fault == 0 && response->message->body &&
	        json_parse(response->message->body, response->message->body_bytes, &answer, NULL) ==
	                0) {
		const json_t *acknowledged = json_object_get(answer, "acknowledged");
		const json_t *expected = json_object_get(answer, "expected");

		if (response->message->status == 200 && json_is_integer(acknowledged) &&
		        json_integer_value(acknowledged) >= 0) {
			acknowledge(agent, (uint64_t)json_integer_value(acknowledged));
			after = JOURNAL_DELAY_MSEC;
		} else if (response->message->status == 409 && json_is_integer(expected) &&
		           json_integer_value(expected) > 0) {
			agent->journal_sent = (uint64_t)json_integer_value(expected) - 1;
		} else {
			log_warning("the center refuses the journal (%d): %.300s",
			        response->message->status, (const char *)response->message->body);
		}
	}
	if (agent->journal_newest > agent->journal_sent) {
		loop_timer_set(agent->journal_timer, after);
	}
}

/* Asks priv for the records that come next. */
static void send_journal(void *context)
{
	struct agent *agent = context;
	AUTO_BUF struct buf payload = BUF(16);

	if (agent->journal_busy || agent->state != AGENT_ONLINE || !agent->priv ||
	        agent->journal_newest <= agent->journal_sent) {
		return;
	}
	if (agent->journal_sent + 1 < agent->journal_oldest) {
		agent->journal_sent =
		        agent->journal_oldest - 1; /* acknowledged and deleted long ago */
	}
	buf_add_u64(&payload, agent->journal_sent + 1);
	agent->journal_busy = agent_send(agent, MESSAGE_JOURNAL_READ, 0, &payload) == 0;
}

void agent_journal_take(struct agent *agent, const uint8_t *payload, size_t count)
{
	struct cursor cursor = CURSOR(payload, count);
	uint64_t first = cursor_u64(&cursor);
	uint32_t links = cursor_u32(&cursor);
	AUTO_BUF struct buf body = BUF(MESSAGE_BYTES_MAX);
	struct http_client_request request = { .method = "POST",
		.path = "/device/v1/journal",
		.content_type = "application/json",
		.deadline_msec = CALL_DEADLINE_MSEC,
		.handler = on_journal_sent,
		.context = agent };

	buf_add_format(&body, "{\"first\":%llu,\"records\":[", (unsigned long long)first);
	for (uint32_t i = 0; i < links; i++) {
		size_t link_count;
		const uint8_t *link = cursor_block(&cursor, &link_count);

		buf_add_text(&body, i > 0 ? ",\"" : "\"");
		base64_add(&body, link, link_count);
		buf_add_text(&body, "\"");
	}
	buf_add_text(&body, "]}");
	request.body = body.bytes;
	request.body_bytes = body.count;
	if (!cursor_done(&cursor) || links == 0 || body.overflowed || !agent->calls ||
	        http_client_request(agent->calls, &request) != 0) {
		agent->journal_busy = false;
		loop_timer_set(agent->journal_timer, JOURNAL_RETRY_MSEC);
	} else {
		agent->called_usec = clock_monotonic_usec();
	}
}

void agent_journal_grew(struct agent *agent, uint64_t newest, uint64_t oldest)
{
	agent->journal_newest = newest;
	agent->journal_oldest = oldest;
	if (newest > agent->journal_sent && !agent->journal_busy) {
		loop_timer_set(agent->journal_timer, JOURNAL_DELAY_MSEC);
	}
}
