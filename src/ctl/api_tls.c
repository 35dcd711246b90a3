#include "ctl/api_tls.h"

#include "ctl/material.h"
#include "pki/tls_context.h"
#include "pki/verify.h"

struct api_tls {
	struct verifier *verifier;
	struct ssl_ctx_st *context;
};

int api_tls_new(struct ctl *ctl, const char *root_path, struct api_tls **ret_tls)
{
	/* An operator's desk keeps no revocation lists; the center's certificate is short-lived and
	 * the token it could steal is what the center knows anyway. */
	struct verify_rules rules = { .revocation_required = false,
		.accreditation_required = false };
	AUTO(api_tls) struct api_tls *tls = mem_new(1, sizeof(*tls));
	AUTO(cert) struct cert *root = NULL;
	int r = material_cert_kind(ctl, root_path, CERT_SET(CERT_ROOT), &root);

	if (r != CTL_OK) {
		return r;
	}
	tls->verifier = verifier_new(rules);
	r = verifier_add_root(tls->verifier, root, &ctl->err);
	if (r == 0) {
		r = tls_context_client(NULL, tls->verifier, &tls->context, &ctl->err);
	}
	if (r == 0) {
		*ret_tls = TAKE(tls);
	}
	return ctl_result(ctl, r);
}

struct api_tls *api_tls_free(struct api_tls *tls)
{
	if (tls) {
		tls_context_free(tls->context);
		verifier_free(tls->verifier);
		free(tls);
	}
	return NULL;
}

struct ssl_ctx_st *api_tls_context(const struct api_tls *tls)
{
	return tls->context;
}
