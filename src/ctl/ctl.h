/*
 * What a command works with: its arguments, the settings, where its result goes, and how the
 * results of the folders below become an exit status.
 *
 * Functions of this folder return an enum ctl_exit, with the reason in ctl->err: the thing, what is
 * wrong with it, and what to do.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "ctl/command.h"
#include "wire/json.h"

/* An option before the environment before client.conf before the default. */
struct settings {
	char *center, *root, *token_file, *server_name;
	uint64_t operator_port, public_port;
	char *module, *token, *pin_file;
	char *socket;
};

struct ctl {
	struct arguments arguments;
	struct settings settings;
	json_t *result;    /* printed at the end; NULL: nothing */
	struct buf report; /* for people in place of the result, laid out in lines; may be empty */
	bool own_token;    /* not the session's, but the token itself: to log in */
	json_t *reason;    /* of a refusal, for programs; NULL: only err */
	struct err err;
};

#define REPORT_BYTES_MAX (4 << 20)

/* Reads client.conf and the environment into ctl->settings. CTL_USAGE when something is wrong. */
int settings_read(struct ctl *ctl) must_use;
void settings_clear(struct settings *settings);
/* The sample of client.conf. */
void settings_print_sample(void);

/* Outcome or fault of base, wire, model, policy, audit, of seals and certificates: > 0 is a
 * refusal, a missing file is CTL_NOT_FOUND. */
int ctl_result(struct ctl *ctl, int r) must_use;
/* Of pki/token.h. */
int ctl_token_result(struct ctl *ctl, int r) must_use;
/* Of pki/ca.h and crl_build(). */
int ctl_ca_result(struct ctl *ctl, int r) must_use;
/* Sets the text and returns `status`. */
#define ctl_fail(ctl, status, ...) err_result((status), ctl_explain((ctl), __VA_ARGS__))
int ctl_explain(struct ctl *ctl, const char *format, ...) printf_like(2, 3);

/* A member of the result object, which is made when it is not there; NULL text is left out. */
void ctl_put(struct ctl *ctl, const char *key, const char *text);
void ctl_put_count(struct ctl *ctl, const char *key, uint64_t count);
void ctl_put_bool(struct ctl *ctl, const char *key, bool value);
void ctl_put_time(struct ctl *ctl, const char *key, int64_t wall_usec);
/* Adopts `value`. */
void ctl_put_json(struct ctl *ctl, const char *key, json_t *value);

/* Short forms of arguments_…(&ctl->arguments, …). */
const char *ctl_text(const struct ctl *ctl, const char *name);
bool ctl_flag(const struct ctl *ctl, const char *name);
uint64_t ctl_count(const struct ctl *ctl, const char *name);
int64_t ctl_seconds(const struct ctl *ctl, const char *name);

/* A line on standard error while something long goes on; nothing where nobody watches. */
void ctl_progress(const char *format, ...) printf_like(1, 2);
