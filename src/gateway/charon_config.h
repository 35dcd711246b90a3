/*
 * strongswan.conf for a gateway, and starting charon with it.
 *
 * Everything private to one charon is in one directory: strongswan.conf, charon.vici (the socket),
 * charon.log. The plugin list is the shortest that works; nothing below /etc is read. IKEv1 cannot
 * be spoken: every connection says version 2 and there is no IKEv1 secret.
 */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "loop/process.h"

struct charon_config {
	const char *directory;     /* absolute; made with mode 0700 if missing */
	bool userspace_esp;        /* kernel-libipsec instead of the kernel's ESP */
	const char *pkcs11_module; /* path of the PKCS#11 library, or NULL for none */
	const char *pkcs11_server; /* p11-kit server address for it ("unix:path=…"), or NULL */
	const char *ignored_interface; /* the bridge of the service addresses; NULL for none */
	bool verbose;                  /* IKE messages in the log; for the lab */
	const char *program;           /* NULL for /usr/sbin/charon-systemd */
};

/* Appends strongswan.conf. Outcome 1: a path or name cannot stand in the file. */
int charon_config_print(
        const struct charon_config *config, struct buf *out, struct err *err) must_use;

/* Writes DIRECTORY/strongswan.conf. Outcomes as charon_config_print(). */
int charon_config_write(const struct charon_config *config, struct err *err) must_use;

/* Writes the configuration, removes a stale socket and starts charon in the current network
 * namespace with an environment of its own. It dies with its parent. */
int charon_spawn(struct loop *loop, const struct charon_config *config, process_ended *ended,
        void *context, struct process **ret_process, struct err *err) must_use;
