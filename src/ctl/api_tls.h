/* The TLS context of the client: the center must show a server certificate below the pinned root.
 */
#pragma once

#include "ctl/ctl.h"

struct ssl_ctx_st;
struct api_tls;

int api_tls_new(struct ctl *ctl, const char *root_path, struct api_tls **ret_tls) must_use;
struct api_tls *api_tls_free(struct api_tls *tls);
AUTO_DEFINE(api_tls)

/* Borrowed. */
struct ssl_ctx_st *api_tls_context(const struct api_tls *tls);
