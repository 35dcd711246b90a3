/*
 * Host names to addresses without stopping the loop: the C library's resolver blocks for as long as
 * a dead name server makes it, so it runs in a child process.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "loop/loop.h"

#define RESOLVE_ADDRESSES_MAX 8

struct resolve;

/* `count` 0: not resolved, `reason` says why. The resolve is over and may not be cancelled then. */
typedef void resolve_handler(
        void *context, const struct sockaddr_storage *addresses, size_t count, const char *reason);

/* A numeric address is answered by the loop's next round, too. */
int resolve_start(struct loop *loop, const char *host, uint16_t port, int deadline_msec,
        resolve_handler *handler, void *context, struct resolve **ret_resolve) must_use;

/* Gives up; the handler is not called. Accepts and returns NULL. */
struct resolve *resolve_cancel(struct resolve *resolve);
