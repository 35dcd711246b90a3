#include "ctl/file_trust.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "ctl/api.h"

#define PROGRESS_BYTES (64 << 20)

static int add_list(struct ctl *ctl, struct verifier *verifier, const char *name, struct buf *der)
{
	struct crl *crl = NULL;
	int r = crl_parse(der->bytes, der->count, &crl, &ctl->err);

	/* Of the other tier, or not newer: no harm. */
	if (r == 0) {
		r = verifier_take_crl(verifier, crl, &ctl->err);
		r = r < 0 ? r : 0;
	}
	return r == 0 ? CTL_OK : err_wrap(&ctl->err, ctl_result(ctl, r), "%s", name);
}

static int add_lists(struct ctl *ctl, struct verifier *verifier)
{
	static const char *const published[] = { "/crl/root.crl", "/crl/service.crl" };
	const struct argument *files = arguments_all(&ctl->arguments, "crl");
	bool own = files && files->count > 0;
	size_t count = own ? files->count : ARRAY_COUNT(published);
	int r = CTL_OK;

	for (size_t i = 0; i < count && r == CTL_OK; i++) {
		AUTO_BUF struct buf der = BUF(CRL_DER_BYTES_MAX);

		r = own ? material_read(ctl, files->values[i], &der)
		        : public_get(ctl, published[i], &der);
		if (r == CTL_OK) {
			r = add_list(ctl, verifier, own ? files->values[i] : published[i], &der);
		}
	}
	ctl->err = r == CTL_OK ? (struct err){ 0 } : ctl->err;
	return r;
}

int file_trust(struct ctl *ctl, struct verifier **ret_verifier)
{
	AUTO(verifier)
	struct verifier *verifier =
	        verifier_new((struct verify_rules){ .revocation_required = true });
	AUTO(cert) struct cert *root = NULL, *ca = NULL;
	int r;

	if (!ctl->settings.root) {
		return ctl_fail(ctl, CTL_USAGE,
		        "the accreditor's root is not known: give --root, or set it in "
		        "client.conf");
	}
	r = material_cert_kind(ctl, ctl->settings.root, CERT_SET(CERT_ROOT), &root);
	if (r == CTL_OK) {
		r = material_cert_kind(ctl, ctl_text(ctl, "ca"), CERT_SET(CERT_SERVICE_CA), &ca);
	}
	if (r == CTL_OK) {
		r = ctl_result(ctl, verifier_add_root(verifier, root, &ctl->err));
	}
	if (r == CTL_OK) {
		r = ctl_result(ctl, verifier_add_ca(verifier, ca, &ctl->err));
	}
	if (r == CTL_OK) {
		r = add_lists(ctl, verifier);
	}
	if (r == CTL_OK) {
		*ret_verifier = TAKE(verifier);
	}
	return r;
}

int file_certificate(struct ctl *ctl, const struct verifier *verifier, const char *path,
        enum cert_kind kind, struct cert **ret_cert)
{
	AUTO(cert) struct cert *cert = NULL;
	int r = material_cert_kind(ctl, path, CERT_SET(kind), &cert);

	if (r == CTL_OK) {
		r = ctl_result(ctl, verify_cert(verifier, cert, NULL, 0, CERT_SET(kind),
		                            clock_wall_usec(), &ctl->err));
		r = r == CTL_OK ? r : err_wrap(&ctl->err, r, "%s", path);
	}
	if (r == CTL_OK) {
		*ret_cert = TAKE(cert);
	}
	return r;
}

int file_cms_result(struct ctl *ctl, int r)
{
	return r >= CMS_TOKEN  ? ctl_token_result(ctl, r - CMS_TOKEN)
	       : r == CMS_READ ? CTL_FAILED
	                       : ctl_result(ctl, r);
}

int file_hidden(struct ctl *ctl, const char *directory, int *ret_fd)
{
	*ret_fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	return *ret_fd >= 0 ? CTL_OK
	                    : ctl_fail(ctl, errno == ENOENT ? CTL_NOT_FOUND : CTL_FAILED, "%s: %s",
	                              directory, strerror(errno));
}

int file_publish(struct ctl *ctl, int fd, const char *directory, const char *name)
{
	AUTO_FD int target = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char own[64];

	snprintf(own, sizeof(own), "/proc/self/fd/%d", fd);
	if (target < 0 || fsync(fd) != 0 ||
	        linkat(AT_FDCWD, own, target, name, AT_SYMLINK_FOLLOW) != 0 || fsync(target) != 0) {
		return ctl_fail(ctl, errno == EEXIST ? CTL_REFUSED : CTL_FAILED,
		        errno == EEXIST ? "%s/%s: there is such a file already, and it stays (%s)"
		                        : "%s/%s: %s",
		        directory, name, strerror(errno));
	}
	return CTL_OK;
}

int file_pipe_read(void *context, uint8_t *bytes, size_t room, size_t *ret_count, struct err *err)
{
	struct file_pipe *pipe = context;
	ssize_t count;

	do {
		count = read(pipe->in, bytes, room);
	} while (count < 0 && errno == EINTR);
	if (count < 0) {
		return err_set(err, -errno, "%s: %s", pipe->in_name, strerror(errno));
	}
	*ret_count = (size_t)count;
	pipe->done += *ret_count;
	if (pipe->done - pipe->told >= PROGRESS_BYTES) {
		pipe->told = pipe->done;
		ctl_progress("%s: %llu of %llu MiB", pipe->what,
		        (unsigned long long)(pipe->done >> 20),
		        (unsigned long long)(pipe->bytes >> 20));
	}
	return 0;
}

int file_pipe_write(void *context, const uint8_t *bytes, size_t count, struct err *err)
{
	struct file_pipe *pipe = context;

	while (count > 0) {
		ssize_t written = write(pipe->out, bytes, count);

		if (written < 0 && errno == EINTR) {
			continue;
		}
		if (written < 0) {
			return err_set(err, -errno, "writing what %s came to: %s", pipe->in_name,
			        strerror(errno));
		}
		bytes += written;
		count -= (size_t)written;
	}
	return 0;
}
