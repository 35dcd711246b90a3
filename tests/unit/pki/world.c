#include "world.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"

#define MUST(call)                                                                                 \
	do {                                                                                       \
		struct err err = { 0 };                                                            \
		if ((call) != 0) {                                                                 \
			printf("Bail out! %s:%d: %s: %s\n", __FILE__, __LINE__, #call, err.text);  \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

static char directory[64];
static pid_t maker;

static void remove_directory(void)
{
	if (directory[0] && getpid() == maker) {
		AUTO_STRING char *command = mem_format("rm -rf %s", directory);

		if (system(command) != 0) {
			printf("# %s is left over\n", directory);
		}
	}
}

int world_run(const char *format, ...)
{
	AUTO_STRING char *inner = NULL, *command = NULL;
	va_list args;
	int status;

	va_start(args, format);
	assert_always(vasprintf(&inner, format, args) >= 0);
	va_end(args);
	/* A sanitizer's library in front of programs that are not built with it is no use. */
	command = mem_format(
	        "cd %s && unset LD_PRELOAD && ( %s ) > out.txt 2>&1", world_directory(), inner);
	status = system(command);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

char *world_write(const char *name, const void *bytes, size_t count)
{
	char *path = mem_format("%s/%s", world_directory(), name);

	MUST(file_replace(path, bytes, count, 0600, &err));
	return path;
}

char *world_write_cert(const char *name, const struct cert *cert)
{
	AUTO_BUF struct buf pem = BUF(2 * CERT_DER_BYTES_MAX);

	cert_print_pem(cert, &pem);
	return world_write(name, pem.bytes, pem.count);
}

const char *world_directory(void)
{
	AUTO_STRING char *conf = NULL, *text = NULL, *tokens = NULL;

	if (directory[0]) {
		return directory;
	}
	snprintf(directory, sizeof(directory), "/tmp/sekisho-pki-XXXXXX");
	assert_always(mkdtemp(directory) != NULL);
	maker = getpid();
	atexit(remove_directory);
	tokens = mem_format("%s/tokens", directory);
	assert_always(mkdir(tokens, 0700) == 0);
	text = mem_format(
	        "directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n"
	        "slots.removable = false\n",
	        tokens);
	conf = world_write("softhsm2.conf", text, strlen(text));
	assert_always(setenv("SOFTHSM2_CONF", conf, 1) == 0);
	return directory;
}

void world_make_token(const char *label)
{
	if (world_run("softhsm2-util --init-token --free --label %s --so-pin " WORLD_SO_PIN
	              " --pin " WORLD_PIN,
	            label) != 0) {
		printf("Bail out! softhsm2-util cannot make the token %s\n", label);
		exit(1);
	}
}

struct key *world_key(const struct token_key *token_key)
{
	struct key *key = NULL;
	size_t count;
	const uint8_t *spki = token_key_spki(token_key, &count);

	MUST(key_parse(spki, count, &key, &err));
	return key;
}

struct ca_request world_request(enum cert_kind kind, const struct key *key, int days)
{
	struct world *world = world_get();
	struct ca_request request = {
		.kind = kind,
		.key = key,
		.organization = "Test Accreditor",
		.common_name = cert_kind_name(kind),
		.not_before_usec = world->now - 3600 * USEC_PER_SEC,
		.not_after_usec = world->now + days * 86400 * USEC_PER_SEC,
	};

	if (kind == CERT_DEVICE) {
		request.organization = "acme";
		request.common_name = "SG-1";
		request.serial_number = "AC000017";
	} else if (kind == CERT_SERVICE) {
		request.organization = "core-hospital";
		request.unit = "main-campus";
		request.common_name = "gw-core";
		request.dns_names[0] = "gw-core.kanto.sekisho.internal";
		request.crl_url = "http://crl.example/service.crl";
		request.ocsp_url = "http://ocsp.example/ocsp";
	} else if (kind == CERT_SERVER) {
		request.common_name = "center";
		request.dns_names[0] = "center.example";
		request.addresses[0] = "127.0.0.1";
		request.addresses[1] = "::1";
	}
	return request;
}

static struct cert *issue(
        const struct ca *ca, enum cert_kind kind, const struct token_key *key, int days)
{
	AUTO(key) struct key *public = world_key(key);
	struct ca_request request = world_request(kind, public, days);
	struct cert *cert = NULL;

	MUST(ca_issue(ca, &request, &cert, &err));
	return cert;
}

static void make_authorities(struct world *world)
{
	AUTO(key) struct key *root = NULL;
	struct ca_request request;

	MUST(token_key_generate(
	        world->ca_token, TOKEN_KEY_EC_P384, 1, "root", &world->root_key, &err));
	MUST(token_key_generate(
	        world->ca_token, TOKEN_KEY_EC_P256, 2, "device-ca", &world->device_ca_key, &err));
	MUST(token_key_generate(world->ca_token, TOKEN_KEY_RSA_2048, 3, "service-ca",
	        &world->service_ca_key, &err));
	MUST(token_key_generate(
	        world->ca_token, TOKEN_KEY_EC_P256, 4, "center-tls", &world->server_key, &err));
	root = world_key(world->root_key);
	request = world_request(CERT_ROOT, root, 7300);
	MUST(ca_make_root(world->root_key, &request, &world->root, &err));
	MUST(ca_new(world->root, world->root_key, &world->root_authority, &err));
	world->device_ca = issue(world->root_authority, CERT_DEVICE_CA, world->device_ca_key, 3650);
	world->service_ca =
	        issue(world->root_authority, CERT_SERVICE_CA, world->service_ca_key, 3650);
	MUST(ca_new(world->device_ca, world->device_ca_key, &world->device_authority, &err));
	MUST(ca_new(world->service_ca, world->service_ca_key, &world->service_authority, &err));
}

struct world *world_get(void)
{
	static struct world world;

	if (world.now) {
		return &world;
	}
	world.now = clock_wall_usec() / USEC_PER_SEC * USEC_PER_SEC;
	snprintf(world.dir, sizeof(world.dir), "%s", world_directory());
	world_make_token("authorities");
	world_make_token("gateway");
	world_make_token("guarded"); /* SoftHSM sees only tokens that were there when it started */
	MUST(token_new(WORLD_MODULE, "authorities", WORLD_PIN, &world.ca_token));
	MUST(token_new(WORLD_MODULE, "gateway", WORLD_PIN, &world.gateway_token));
	make_authorities(&world);
	MUST(token_key_generate(world.gateway_token, TOKEN_KEY_EC_P256, TOKEN_ID_DEVICE, "device",
	        &world.device_key, &err));
	MUST(token_key_generate(world.gateway_token, TOKEN_KEY_EC_P256, TOKEN_ID_SERVICE_FIRST,
	        "kanto", &world.service_key, &err));
	world.device = issue(world.device_authority, CERT_DEVICE, world.device_key, 3000);
	world.service = issue(world.service_authority, CERT_SERVICE, world.service_key, 365);
	world.server = issue(world.service_authority, CERT_SERVER, world.server_key, 365);
	return &world;
}
