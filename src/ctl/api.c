#include "ctl/api.h"

#include <ctype.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "ctl/api_tls.h"
#include "ctl/material.h"
#include "loop/http_client.h"

#define API_DEADLINE_MSEC 30000
#define ACCESS_TOKEN_BYTES_MAX 256
#define PATH_BYTES_MAX HTTP_TARGET_BYTES_MAX
#define PAGE_ITEMS 1000 /* as many as the center gives at once */

struct asked {
	const char *method, *path; /* the path as a whole */
	const char *type;
	const void *body;
	size_t count;
};

static int need(struct ctl *ctl, const char *value, const char *what, const char *option)
{
	return value ? CTL_OK
	             : ctl_fail(ctl, CTL_USAGE,
	                       "%s is not known: give --%s, or set it in client.conf", what,
	                       option);
}

static int unreachable(struct ctl *ctl, int r, uint16_t port)
{
	if (r > 0) {
		return CTL_USAGE;
	}
	return err_wrap(&ctl->err, CTL_UNREACHABLE, "the center at %s port %u cannot be reached",
	        ctl->settings.center, port);
}

/* "field: reason" out of a problem (RFC 9457), with a decision's layers where there are some. */
static int refusal(struct ctl *ctl, const struct http_result *result, json_t *problem)
{
	const char *title = json_string_value(json_object_get(problem, "title"));
	const char *detail = json_string_value(json_object_get(problem, "detail"));
	int status = result->status == 404   ? CTL_NOT_FOUND
	             : result->status >= 500 ? CTL_UNREACHABLE
	                                     : CTL_REFUSED;

	if (result->status == 401) {
		return ctl_fail(ctl, status,
		        "the center does not take this access token (%s): log in again, or ask the "
		        "provider for a new one and put it into the file that --token-file names",
		        detail ? detail : "401");
	}
	ctl->reason = json_incref(problem);
	return ctl_fail(ctl, status, "the center %s: %s",
	        result->status == 404   ? "does not have this"
	        : result->status >= 500 ? "could not answer"
	                                : "refused this",
	        detail  ? detail
	        : title ? title
	                : http1_reason(result->status));
}

static int take_answer(struct ctl *ctl, struct http_result *result, json_t **ret_answer)
{
	AUTO_JSON json_t *answer = NULL;
	struct err err = { 0 };
	int r = 0;

	if (result->body.count > 0) {
		r = json_parse(result->body.bytes, result->body.count, &answer, &err);
	}
	if (result->status >= 400) {
		return refusal(ctl, result, answer);
	}
	if (r != 0 || result->status < 200 || result->status >= 300) {
		return ctl_fail(ctl, CTL_UNREACHABLE,
		        "the center's answer (status %d) cannot be read: %s", result->status,
		        err.text);
	}
	*ret_answer = answer ? TAKE(answer) : json_object();
	return CTL_OK;
}

static int call(struct ctl *ctl, const struct asked *asked, json_t **ret_answer)
{
	const struct settings *settings = &ctl->settings;
	AUTO(api_tls) struct api_tls *tls = NULL;
	char header[ACCESS_TOKEN_BYTES_MAX + sizeof("Bearer ")] = "Bearer ";
	struct http_client_options options = { .host = settings->center,
		.port = (uint16_t)settings->operator_port,
		.server_name = settings->server_name };
	struct http_client_request request = { .method = asked->method,
		.path = asked->path,
		.content_type = asked->type,
		.body = asked->body,
		.body_bytes = asked->count,
		.deadline_msec = API_DEADLINE_MSEC,
		.fields = { { "Authorization", header } } };
	struct http_result result = { 0 };
	AUTO_STRING char *session = api_session_file(ctl);
	bool logged_in = !ctl->own_token && session && access(session, R_OK) == 0;
	int r = need(ctl, settings->center, "the center", "center");

	if (r == CTL_OK) {
		r = need(ctl, settings->root, "the accreditor's root certificate", "root");
	}
	if (r == CTL_OK) {
		r = need(ctl, settings->token_file, "the file with the access token", "token-file");
	}
	if (r == CTL_OK) {
		r = ctl_result(ctl, file_read_secret(logged_in ? session : settings->token_file,
		                            header + strlen(header),
		                            sizeof(header) - strlen(header), &ctl->err));
	}
	if (r == CTL_OK) {
		r = api_tls_new(ctl, settings->root, &tls);
	}
	if (r != CTL_OK) {
		return r;
	}
	options.tls = api_tls_context(tls);
	r = tls_policy_apply(
	        options.tls, &(struct tls_policy){ .peer = TLS_PEER_REQUIRED }, &ctl->err);
	if (r != 0) {
		return ctl_result(ctl, r);
	}
	r = http_call(&options, &request, &result, &ctl->err);
	mem_wipe(header, sizeof(header));
	r = r != 0 ? unreachable(ctl, r, options.port) : take_answer(ctl, &result, ret_answer);
	http_result_clear(&result);
	return r;
}

static int call_api(struct ctl *ctl, const char *method, const char *path, const char *type,
        const void *body, size_t count, json_t **ret_answer)
{
	AUTO_STRING char *whole = mem_format("/api/v1%s", path);
	struct asked asked = { method, whole, type, body, count };

	return call(ctl, &asked, ret_answer);
}

int api_get(struct ctl *ctl, const char *path, json_t **ret_answer)
{
	return call_api(ctl, "GET", path, NULL, NULL, 0, ret_answer);
}

int api_post(struct ctl *ctl, const char *path, const json_t *body, json_t **ret_answer)
{
	AUTO_BUF struct buf text = BUF(HTTP_BODY_BYTES_MAX);

	if (body) {
		json_print(body, &text);
	} else {
		buf_add_text(&text, "{}");
	}
	return call_api(ctl, "POST", path, API_JSON, text.bytes, text.count, ret_answer);
}

int api_post_bytes(
        struct ctl *ctl, const char *path, const void *bytes, size_t count, json_t **ret_answer)
{
	return call_api(ctl, "POST", path, API_BYTES, bytes, count, ret_answer);
}

int api_post_as(struct ctl *ctl, const char *path, const char *type, const void *bytes,
        size_t count, json_t **ret_answer)
{
	return call_api(ctl, "POST", path, type, bytes, count, ret_answer);
}

int api_delete(struct ctl *ctl, const char *path, json_t **ret_answer)
{
	return call_api(ctl, "DELETE", path, NULL, NULL, 0, ret_answer);
}

int api_show(struct ctl *ctl, const char *path)
{
	return api_get(ctl, path, &ctl->result);
}

int api_list(struct ctl *ctl, const char *path)
{
	const char *after = ctl_text(ctl, "after"), *limit = ctl_text(ctl, "limit");
	AUTO_BUF struct buf whole = BUF(PATH_BYTES_MAX);
	char join = strchr(path, '?') ? '&' : '?';

	buf_add_text(&whole, path);
	if (after) {
		buf_add_format(&whole, "%cafter=", join);
		api_escape(&whole, after);
		join = '&';
	}
	if (limit) {
		buf_add_format(&whole, "%climit=%s", join, limit);
	}
	if (whole.overflowed) {
		return ctl_fail(ctl, CTL_USAGE, "--after: too long to be a cursor");
	}
	return api_get(ctl, buf_text(&whole), &ctl->result);
}

/* One page; `after` gets the cursor of the next one, or nothing. */
static int add_page(struct ctl *ctl, const char *path, struct buf *after, json_t *items)
{
	AUTO_BUF struct buf whole = BUF(PATH_BYTES_MAX);
	AUTO_JSON json_t *page = NULL;
	const char *next;
	int r;

	buf_add_format(&whole, "%s?limit=%d", path, PAGE_ITEMS);
	if (after->count > 0) {
		buf_add_text(&whole, "&after=");
		api_escape(&whole, buf_text(after));
	}
	r = api_get(ctl, buf_text(&whole), &page);
	if (r != CTL_OK) {
		return r;
	}
	next = json_string_value(json_object_get(page, "next"));
	if (json_array_extend(items, json_object_get(page, "items")) != 0 ||
	        (next && strcmp(next, buf_text(after)) <= 0)) {
		return ctl_fail(ctl, CTL_UNREACHABLE, "the center's list cannot be read");
	}
	buf_reset(after);
	buf_add_text(after, next ? next : "");
	return CTL_OK;
}

int api_all(struct ctl *ctl, const char *path, json_t **ret_items)
{
	AUTO_BUF struct buf after = BUF(PATH_BYTES_MAX);
	AUTO_JSON json_t *items = json_array();
	int r;

	do {
		r = add_page(ctl, path, &after, items);
	} while (r == CTL_OK && after.count > 0);
	if (r == CTL_OK) {
		*ret_items = TAKE(items);
	}
	return r;
}

int api_do(struct ctl *ctl, const char *path, json_t *body)
{
	int r = api_post(ctl, path, body, &ctl->result);

	json_decref(body);
	return r;
}

int api_send_file(struct ctl *ctl, const char *path, const char *file, size_t bytes_max)
{
	AUTO_BUF struct buf bytes = BUF(bytes_max);
	int r = material_read(ctl, file, &bytes);

	return r == CTL_OK ? api_post_bytes(ctl, path, bytes.bytes, bytes.count, &ctl->result) : r;
}

char *api_session_file(const struct ctl *ctl)
{
	const char *own = ctl->settings.token_file;

	return own ? mem_format("%s.session", own) : NULL;
}

int public_get(struct ctl *ctl, const char *path, struct buf *out)
{
	struct http_client_options options = { .host = ctl->settings.center,
		.port = (uint16_t)ctl->settings.public_port };
	struct http_client_request request = {
		.method = "GET", .path = path, .deadline_msec = API_DEADLINE_MSEC
	};
	struct http_result result = { 0 };
	int r = need(ctl, options.host, "the center", "center");

	if (r != CTL_OK) {
		return r;
	}
	r = http_call(&options, &request, &result, &ctl->err);
	if (r != 0) {
		r = unreachable(ctl, r, options.port);
	} else if (result.status != 200) {
		r = ctl_fail(ctl, result.status == 404 ? CTL_NOT_FOUND : CTL_UNREACHABLE,
		        "the center answers %d to GET %s", result.status, path);
	} else {
		buf_add(out, result.body.bytes, result.body.count);
		r = out->overflowed
		            ? ctl_fail(ctl, CTL_REFUSED, "%s is longer than it may be", path)
		            : CTL_OK;
	}
	http_result_clear(&result);
	return r;
}

void api_escape(struct buf *out, const char *text)
{
	for (; *text; text++) {
		if (isalnum((unsigned char)*text) || strchr("-._~", *text)) {
			buf_add_u8(out, (uint8_t)*text);
		} else {
			buf_add_format(out, "%%%02X", (unsigned char)*text);
		}
	}
}
