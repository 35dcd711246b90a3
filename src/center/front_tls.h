/* The TLS contexts of a front: its server key in a token, its certificates, and what clients must
 * show on each listener. Apart from front.c because only src/pki knows certificates. */
#pragma once

#include "base/err.h"
#include "base/mem.h"
#include "center/config.h"
#include "center/message.h"

struct front_tls;
struct ssl_ctx_st;

/* Opens the token and reads certificates. Outcome 1: the token, a file or a certificate is wrong.
 */
int front_tls_open(
        const struct center_config *config, struct front_tls **ret_tls, struct err *err) must_use;
struct front_tls *front_tls_free(struct front_tls *tls);
AUTO_DEFINE(front_tls)

/* Reads the certificates again; the token stays. Outcome 1 as above; nothing has changed then. */
int front_tls_reload(
        struct front_tls *tls, const struct center_config *config, struct err *err) must_use;

/* The context of one TLS listener (device, enrol, operator); the caller frees it with
 * front_tls_context_free(). Outcome 1: key and certificate do not fit. */
int front_tls_context(struct front_tls *tls, enum listener listener,
        struct ssl_ctx_st **ret_context, struct err *err) must_use;
void front_tls_context_free(struct ssl_ctx_st *context);
