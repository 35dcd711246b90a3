#include "gateway/charon_config.h"

#include <ctype.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "gateway/charon.h"

#define CONF_BYTES_MAX 8192
#define CHARON_PROGRAM "/usr/sbin/charon-systemd"

/* Every gateway behind one NAT shares one address: what charon allows a single address by default
 * (5 half-open SAs, then silence) would lock a hospital's fifty clinics out (mission D.7). Cookies
 * still protect from spoofed addresses. */
#define HALF_OPEN_PER_ADDRESS_MAX 256
#define HALF_OPEN_PER_ADDRESS_COOKIES 64
#define HALF_OPEN_COOKIES 128

/* Each initiate or terminate that waits holds one of charon's threads. */
#define THREAD_COUNT (3 * CHARON_PARALLEL_MAX)

/* kdf: without it no IKEv2 key is derived. kernel-libipsec has to stand before kernel-netlink,
 * which is needed with it for addresses and routes. openssl brings ECDSA, ECDH, X25519 and AES-GCM.
 */
#define PLUGINS_CRYPTO "random nonce openssl pem pkcs1 pkcs8 x509 pubkey constraints kdf"
#define PLUGINS_IKE "kernel-netlink socket-default vici"

static bool value_fits(const char *text)
{
	for (const char *at = text; *at; at++) {
		if (!isalnum((unsigned char)*at) && !strchr("/._-+=:,@~", *at)) {
			return false;
		}
	}
	return *text != '\0';
}

static int check(const struct charon_config *config, struct err *err)
{
	const char *values[] = { config->directory, config->pkcs11_module, config->pkcs11_server,
		config->ignored_interface };

	for (size_t i = 0; i < ARRAY_COUNT(values); i++) {
		if (values[i] && !value_fits(values[i])) {
			return err_set(err, 1,
			        "\"%s\" cannot stand in strongswan.conf: use letters, "
			        "digits and / . _ - only",
			        values[i]);
		}
	}
	return 0;
}

static void print_plugins(const struct charon_config *config, struct buf *out)
{
	buf_add_text(out, "  plugins {\n");
	buf_add_format(out, "    vici {\n      socket = unix://%s/charon.vici\n    }\n",
	        config->directory);
	if (config->pkcs11_module) {
		buf_add_format(out,
		        "    pkcs11 {\n      modules {\n        " CHARON_TOKEN_MODULE " {\n"
		        "          path = %s\n          os_locking = yes\n          load_certs = "
		        "no\n"
		        "        }\n      }\n    }\n",
		        config->pkcs11_module);
	}
	buf_add_text(out, "  }\n");
}

static void print_log(const struct charon_config *config, struct buf *out)
{
	buf_add_format(out,
	        "  filelog {\n    main {\n      path = %s/charon.log\n"
	        "      time_format = %%Y-%%m-%%dT%%H:%%M:%%S\n      time_add_ms = yes\n"
	        "      ike_name = yes\n      append = yes\n      flush_line = yes\n"
	        "      default = %d\n    }\n  }\n",
	        config->directory, config->verbose ? 2 : 1);
	/* What is evidence comes as VICI events; the rest is in the file. */
	buf_add_text(out, "  journal {\n    default = -1\n  }\n");
}

int charon_config_print(const struct charon_config *config, struct buf *out, struct err *err)
{
	int r = check(config, err);

	if (r != 0) {
		return r;
	}
	buf_add_format(out,
	        "# Written by sekisho-gateway at every start; changes are lost.\n"
	        "charon-systemd {\n  load = " PLUGINS_CRYPTO "%s%s " PLUGINS_IKE "\n",
	        config->pkcs11_module ? " pkcs11" : "",
	        config->userspace_esp ? " kernel-libipsec" : "");
	buf_add_format(out, "  threads = %d\n", THREAD_COUNT);
	buf_add_text(out, "  install_virtual_ip = no\n");
	/* With the kernel's ESP the routes lead into xfrm interfaces and are ours (address.h). */
	buf_add_format(out, "  install_routes = %s\n", config->userspace_esp ? "yes" : "no");
	if (config->ignored_interface) {
		buf_add_format(out, "  interfaces_ignore = %s\n", config->ignored_interface);
	}
	buf_add_format(out,
	        "  block_threshold = %d\n  cookie_threshold_ip = %d\n"
	        "  cookie_threshold = %d\n",
	        HALF_OPEN_PER_ADDRESS_MAX, HALF_OPEN_PER_ADDRESS_COOKIES, HALF_OPEN_COOKIES);
	/* 1 + 1.4 + 2 + 2.7 + 3.8 s: a peer that does not answer is given up after 11 s, so that a
	 * person who waits hears why within the 30 s of the mission. */
	buf_add_text(out, "  retransmit_timeout = 1.0\n  retransmit_base = 1.4\n"
	                  "  retransmit_tries = 4\n  half_open_timeout = 20\n");
	buf_add_text(out, "  send_vendor_id = no\n  ikesa_table_size = 256\n"
	                  "  ikesa_table_segments = 4\n");
	print_plugins(config, out);
	print_log(config, out);
	buf_add_text(out, "}\n");
	return out->overflowed ? err_set(err, 1, "strongswan.conf is too long") : 0;
}

int charon_config_write(const struct charon_config *config, struct err *err)
{
	AUTO_BUF struct buf text = BUF(CONF_BYTES_MAX);
	AUTO_STRING char *path = mem_format("%s/strongswan.conf", config->directory);
	int r = charon_config_print(config, &text, err);

	if (r != 0) {
		return r;
	}
	r = directory_make(config->directory, 0700, err);
	if (r == 0) {
		r = file_replace(path, text.bytes, text.count, 0600, err);
	}
	return r < 0 ? FAULT(r) : r;
}

int charon_spawn(struct loop *loop, const struct charon_config *config, process_ended *ended,
        void *context, struct process **ret_process, struct err *err)
{
	AUTO_STRING char *conf =
	        mem_format("STRONGSWAN_CONF=%s/strongswan.conf", config->directory);
	AUTO_STRING char *socket_path = mem_format("%s/charon.vici", config->directory);
	AUTO_STRING char *server = NULL;
	const char *environment[4] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", conf };
	const char *argv[] = { config->program ? config->program : CHARON_PROGRAM, NULL };
	struct process_plan plan = { .name = "charon", .argv = argv, .environment = environment };
	int r = charon_config_write(config, err);

	if (r != 0) {
		return r < 0 ? FAULT(r) : r;
	}
	if (config->pkcs11_server) {
		server = mem_format("P11_KIT_SERVER_ADDRESS=%s", config->pkcs11_server);
		environment[2] = server;
	}
	/* Else the client would connect to what a dead charon left behind. */
	if (unlink(socket_path) < 0 && errno != ENOENT) {
		return err_set(err, FAULT(-errno), "%s: %s", socket_path, strerror(errno));
	}
	r = process_start(loop, &plan, ended, context, ret_process);
	return r < 0 ? err_set(err, FAULT(r), "charon: %s", strerror(-r)) : 0;
}
