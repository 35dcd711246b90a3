/*
 * Process token: hands the token to one client, agent or charon, and to nobody else.
 *
 * It is p11-kit's own server, started inside our sandbox: it may read libraries and the token's
 * files and serve one unix socket, and has no capability and no network. There is one for each
 * client, so that main can tell when the one behind charon is gone: charon has to be started again
 * then, because it cannot log in a second time.
 */
#include "gateway/process.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/sandbox.h"

#define P11_KIT "/usr/bin/p11-kit"

/* The directory SoftHSM keeps its tokens in, from its configuration file; "" when it has none. */
static void find_token_dir(const char *config_path, char *out, size_t out_bytes)
{
	AUTO_BUF struct buf text = BUF(CONFIG_BYTES_MAX);
	const char *at;
	size_t count;

	out[0] = '\0';
	if (!config_path || file_read(config_path, &text, NULL) != 0) {
		return;
	}
	at = strstr(buf_text(&text), "directories.tokendir");
	at = at ? strchr(at, '=') : NULL;
	if (!at) {
		return;
	}
	at += 1 + strspn(at + 1, " \t");
	count = strcspn(at, "\r\n");
	if (count > 0 && count < out_bytes) {
		memcpy(out, at, count);
		out[count] = '\0';
	}
}

static int enter_sandbox(const struct gateway_config *config, struct err *err)
{
	char token_dir[4096];
	struct sandbox_path paths[] = {
		{ "/usr", SANDBOX_READ | SANDBOX_EXECUTE },
		{ "/lib", SANDBOX_READ | SANDBOX_EXECUTE },
		{ "/lib64", SANDBOX_READ | SANDBOX_EXECUTE },
		{ "/etc/ld.so.cache", SANDBOX_READ },
		{ "/etc/pkcs11", SANDBOX_READ },
		{ "/etc/softhsm", SANDBOX_READ },
		{ "/dev/null", SANDBOX_READ | SANDBOX_WRITE },
		{ "/dev/urandom", SANDBOX_READ },
		{ "/dev/bus/usb", SANDBOX_READ | SANDBOX_WRITE }, /* tokens that are plugged in */
		{ "/run/pcscd", SANDBOX_READ | SANDBOX_WRITE },
		{ config->run_dir, SANDBOX_READ | SANDBOX_WRITE },
		{ config->token_config ? config->token_config : "/etc/softhsm", SANDBOX_READ },
		{ token_dir, SANDBOX_READ | SANDBOX_WRITE },
		{ 0 },
	};

	find_token_dir(config->token_config, token_dir, sizeof(token_dir));
	if (token_dir[0] == '\0') {
		paths[ARRAY_COUNT(paths) - 2].path = NULL;
	}
	/* No system call list: a vendor's module may need what ours does not. */
	return sandbox_enter(&(struct sandbox){ .paths = paths }, err);
}

int gateway_token_main(const struct gateway_config *config, const char *name)
{
	AUTO_STRING char *socket_path = mem_format("%s/%s.socket", config->run_dir, name);
	AUTO_STRING char *uri = mem_format("pkcs11:token=%s", config->token_label);
	struct err err = { 0 };

	log_open(name, LOG_INFO);
	unlink(socket_path);
	if (config->token_config) {
		setenv("SOFTHSM2_CONF", config->token_config, 1);
	}
	if (sandbox_prepare(&err) < 0 || enter_sandbox(config, &err) < 0) {
		log_error("sandbox: %s", err.text);
		return 1;
	}
	execl(P11_KIT, "p11-kit", "server", "--foreground", "--provider", config->token_module,
	        "--name", socket_path, uri, NULL);
	log_error("cannot start %s: %s. Install the package p11-kit.", P11_KIT, strerror(errno));
	return 1;
}
