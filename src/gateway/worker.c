/*
 * sekisho-gateway-worker: the processes of the gateway that read what others send: priv and agent.
 * Process main (main.c) starts it, once for each; it is not for the command line.
 *
 * A program apart from main's, because main stays root and needs none of this: neither the parsers
 * nor OpenSSL, which takes half a megabyte of each process that has it, used or not.
 */
#include <getopt.h>
#include <openssl/crypto.h>
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "gateway/process.h"

static int usage(void)
{
	fputs("sekisho-gateway-worker is started by sekisho-gateway\n", stderr);
	return GATEWAY_EXIT_CONFIG;
}

int main(int argc, char **argv)
{
	static const struct option options[] = { { "config", required_argument, NULL, 'c' },
		{ "process", required_argument, NULL, 'p' },
		{ "dataplane", required_argument, NULL, 'D' }, { 0 } };
	/* Static, as it lives as long as the process: what no longer hangs on it at the end is
	 * lost. */
	static struct gateway_config config;
	struct gateway_process process = { .config = &config };
	const char *path = NULL, *name = NULL, *dataplane = NULL;
	struct err err = { 0 };
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			path = optarg;
			break;
		case 'p':
			name = optarg;
			break;
		case 'D':
			dataplane = optarg;
			break;
		default:
			return usage();
		}
	}
	if (!path || !name || !dataplane || dataplane_parse(dataplane, &process.dataplane) != 0) {
		return usage();
	}
	mem_give_back();
	if (gateway_config_read(path, &config, &err) != 0) {
		fprintf(stderr, "sekisho-gateway: %s\n", err.text);
		return GATEWAY_EXIT_CONFIG;
	}
	log_open(name, gateway_log_level(&config));
	if (text_equal(name, "priv")) {
		/* Its texts for errors are for agent, which has TLS; here nobody reads them. */
		OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CRYPTO_STRINGS, NULL);
		return gateway_priv_main(&process);
	}
	return text_equal(name, "agent") ? gateway_agent_main(&process) : usage();
}
