/*
 * The world of the PKI tests: a directory of its own with real SoftHSM tokens in it, and the whole
 * ceremony (accreditor root, device CA, service CA, one gateway with both tiers, a center), made
 * once per test program and removed when it ends.
 */
#pragma once

#include <stdint.h>

#include "base/clock.h"
#include "pki/ca.h"
#include "pki/cert.h"
#include "pki/token.h"

#define WORLD_MODULE "/usr/lib/softhsm/libsofthsm2.so"
#define WORLD_PIN "493817"
#define WORLD_SO_PIN "82716354"

struct world {
	char dir[64];
	int64_t now; /* whole seconds of wall time when the program started */
	struct token *ca_token, *gateway_token;
	struct token_key *root_key, *device_ca_key, *service_ca_key;
	struct token_key *device_key, *service_key, *server_key;
	struct cert *root, *device_ca, *service_ca, *device, *service, *server;
	struct ca *root_authority, *device_authority, *service_authority;
};

/* Makes it at the first call. A failure ends the program: nothing can be tested then. */
struct world *world_get(void);
/* Only the directory and the environment, no token in use yet. */
const char *world_directory(void);
/* Initializes a token there. */
void world_make_token(const char *label);

/* A request with everything filled in for `kind`, valid from an hour ago for `days`. The key must
 * live as long as the request. */
struct ca_request world_request(enum cert_kind kind, const struct key *key, int days);
/* The public half of a token key. */
struct key *world_key(const struct token_key *token_key);

/* Writes a file into the directory; returns its path (to be freed). */
char *world_write(const char *name, const void *bytes, size_t count);
char *world_write_cert(const char *name, const struct cert *cert);
/* Runs a shell command in the directory and returns its exit status; its output goes to out.txt
 * there. */
int world_run(const char *format, ...) __attribute__((format(printf, 1, 2)));
