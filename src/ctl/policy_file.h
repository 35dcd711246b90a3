/* A policy as a file: plain text, or sealed (.jws). */
#pragma once

#include "ctl/material.h"
#include "policy/provider_policy.h"
#include "policy/site_policy.h"

#define POLICY_TYP_PROVIDER "sekisho-provider-policy"
#define POLICY_TYP_SITE "sekisho-site-policy"

struct policy_file {
	struct site_policy *site; /* one of the two */
	struct provider_policy *provider;
	struct buf text; /* the policy text */
	bool sealed;
	struct key_id sealed_by; /* where sealed; not checked */
};

/* Reads and parses. A seal is taken off without checking who made it. */
int policy_file_read(struct ctl *ctl, const char *path, struct policy_file *ret_file) must_use;
/* The same from bytes; `name` is for messages. */
int policy_file_parse(struct ctl *ctl, const char *name, const void *bytes, size_t count,
        struct policy_file *ret_file) must_use;
void policy_file_clear(struct policy_file *file);

const char *policy_file_kind(const struct policy_file *file); /* "site" or "provider" */
const char *policy_file_typ(const struct policy_file *file);
const char *policy_file_owner(const struct policy_file *file);
uint64_t policy_file_version(const struct policy_file *file);
/* The check before activation. */
int policy_file_check(struct ctl *ctl, const struct policy_file *file, uint64_t active_version,
        const char *path) must_use;
