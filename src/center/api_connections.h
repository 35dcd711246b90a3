/* What gateways and operators have in common when they ask for or end a connection. */
#pragma once

#include "center/exchange.h"

/* Reads the body. `own_site`: the site of a host that is named without one; NULL: it must be named.
 * Outcome 1: answered. */
int connection_request_read(struct exchange *exchange, const char *own_site,
        struct connection_request *request) must_use;
/* Decides and answers. */
void connection_request_serve(struct exchange *exchange, const struct connection_request *request);
/* Ends the connection of the path's id and answers. Whether he may was checked by the caller. */
void connection_cut_serve(struct exchange *exchange, const char *by);
