/* The blocking call: the same client on a loop of its own. */
#include <string.h>

#include "loop/http_client.h"

struct call {
	struct loop *loop;
	struct http_result *result;
	struct err *err;
	int fault;
};

static void on_response(void *context, const struct http_response *response)
{
	struct call *call = context;
	const struct http1_message *message = response->message;

	call->fault = response->fault;
	if (message) {
		call->result->status = message->status;
		call->result->content_type = mem_string(http1_field(message, "content-type"));
		call->result->location = mem_string(http1_field(message, "location"));
		call->result->retry_after = mem_string(http1_field(message, "retry-after"));
		call->result->authenticate = mem_string(http1_field(message, "www-authenticate"));
		buf_add(&call->result->body, message->body, message->body_bytes);
	} else {
		err_set(call->err, call->fault, "%s", response->reason);
	}
	loop_stop(call->loop, 0);
}

void http_result_clear(struct http_result *result)
{
	free(result->content_type);
	free(result->location);
	free(result->retry_after);
	free(result->authenticate);
	buf_clear(&result->body);
	*result = (struct http_result){ .body = BUF(HTTP_RESPONSE_BODY_BYTES_MAX) };
}

int http_call(const struct http_client_options *options, const struct http_client_request *request,
        struct http_result *ret_result, struct err *err)
{
	AUTO(loop) struct loop *loop = NULL;
	AUTO(http_client) struct http_client *client = NULL;
	struct call call = { .result = ret_result, .err = err };
	struct http_client_request own = *request;
	int r = loop_new(&loop);

	*ret_result = (struct http_result){ .body = BUF(HTTP_RESPONSE_BODY_BYTES_MAX) };
	if (r == 0) {
		r = http_client_new(loop, options, &client);
	}
	if (r < 0) {
		return FAULT(r);
	}
	call.loop = loop;
	own.handler = on_response;
	own.context = &call;
	r = http_client_request(client, &own);
	if (r > 0) {
		return err_set(err, 2,
		        "\"%s\" cannot be asked for: it holds bytes that must be escaped",
		        request->path);
	}
	r = loop_run(loop);
	if (r < 0) {
		return FAULT(r);
	}
	return call.fault < 0 ? FAULT(call.fault) : 0;
}
