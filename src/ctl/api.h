/*
 * Talking to the center: its operator interface (TLS, access token) and its public listener (plain
 * HTTP: what comes from there is signed or checked by hash).
 *
 * Everything returns an enum ctl_exit: a refusal is CTL_REFUSED with the center's own reason, 404
 * is CTL_NOT_FOUND, a center that is away or broken is CTL_UNREACHABLE.
 */
#pragma once

#include "ctl/ctl.h"

#define API_JSON "application/json"
#define API_BYTES "application/octet-stream"

/* Paths are below /api/v1. `*ret_answer` is owned by the caller. */
int api_get(struct ctl *ctl, const char *path, json_t **ret_answer) must_use;
/* Borrows `body`; NULL sends {}. */
int api_post(struct ctl *ctl, const char *path, const json_t *body, json_t **ret_answer) must_use;
int api_post_bytes(struct ctl *ctl, const char *path, const void *bytes, size_t count,
        json_t **ret_answer) must_use;
/* The same with a media type of its own. */
int api_post_as(struct ctl *ctl, const char *path, const char *type, const void *bytes,
        size_t count, json_t **ret_answer) must_use;
int api_delete(struct ctl *ctl, const char *path, json_t **ret_answer) must_use;

/* The whole of a simple command: ask, and make the answer the result. */
int api_show(struct ctl *ctl, const char *path) must_use;
/* The same for a list with --after and --limit. */
int api_list(struct ctl *ctl, const char *path) must_use;
/* The items of all pages of a list, for a command that looks through them. `path` has no query. */
int api_all(struct ctl *ctl, const char *path, json_t **ret_items) must_use;
/* Adopts `body`. */
int api_do(struct ctl *ctl, const char *path, json_t *body) must_use;
/* Sends a file as it is. */
int api_send_file(struct ctl *ctl, const char *path, const char *file, size_t bytes_max) must_use;

/* Where the session's token is, beside the file with the access token; NULL when that is not known.
 * Where there is one it is used. The caller owns it. */
char *api_session_file(const struct ctl *ctl);

/* A path on the public listener. */
int public_get(struct ctl *ctl, const char *path, struct buf *out) must_use;

/* Adds `text` percent-encoded for a query. */
void api_escape(struct buf *out, const char *text);
