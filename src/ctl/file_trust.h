/* What sealing and opening of files share: whose certificates are believed, and the keys used. */
#pragma once

#include "ctl/material.h"
#include "pki/cms.h"
#include "pki/verify.h"

/* A verifier of --root and --ca with the revocation lists of --crl, else those that the center
 * publishes. */
int file_trust(struct ctl *ctl, struct verifier **ret_verifier) must_use;

/* Reads a certificate of this kind and verifies it now; its names are names. */
int file_certificate(struct ctl *ctl, const struct verifier *verifier, const char *path,
        enum cert_kind kind, struct cert **ret_cert) must_use;

/* Of pki/cms.h. */
int file_cms_result(struct ctl *ctl, int r) must_use;

int file_seal(struct ctl *ctl) must_use;
int file_open(struct ctl *ctl) must_use;

/* A temporary file in `directory` that nobody sees before file_publish(). */
int file_hidden(struct ctl *ctl, const char *directory, int *ret_fd) must_use;
/* Gives it its name, whole; never in place of another. */
int file_publish(struct ctl *ctl, int fd, const char *directory, const char *name) must_use;

/* For cms_stream. */
struct file_pipe {
	int in, out;
	const char *in_name, *what;
	uint64_t done, told; /* bytes read; the last time that progress was shown */
	uint64_t bytes;
};
cms_reader file_pipe_read;
cms_writer file_pipe_write;
