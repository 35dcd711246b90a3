#include "pki/verify.h"

#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <string.h>

#include "base/clock.h"
#include "pki/cert_private.h"

#define ROOTS_MAX 8 /* the accreditor's, and the next ones while they roll over */
#define CAS_MAX 64  /* issuers of one accreditor in use at a time */

struct authority {
	struct cert *cert;
	struct crl *crl;              /* the newest this authority signed, or NULL */
	const struct authority *root; /* of a CA: who signed it, found once when it was added */
};

/* Certificates whose profile and signatures were found good, with who signed them. Neither can
 * change, and authorities are only added: of these only dates, revocation and accreditation are
 * looked at again. That is all but 0.1 ms of the work, and a gateway does it for every grant. */
#define SEEN_MAX 16

struct seen {
	struct {
		struct key_hash leaf;
		const struct authority *ca, *root; /* ca NULL: the leaf is itself a CA */
	} items[SEEN_MAX];
	size_t count, next;
};

struct verifier {
	struct verify_rules rules;
	struct seen *seen;
	struct authority roots[ROOTS_MAX], cas[CAS_MAX];
	size_t root_count, ca_count;
	const struct statement_set *statements;
};

const char *verify_outcome_name(int outcome)
{
	static const char *const names[] = {
		[0] = "good",
		[VERIFY_MALFORMED] = "malformed",
		[VERIFY_WRONG_KIND] = "wrong-kind",
		[VERIFY_PROFILE] = "profile",
		[VERIFY_UNKNOWN_ISSUER] = "unknown-issuer",
		[VERIFY_NOT_YET_VALID] = "not-yet-valid",
		[VERIFY_EXPIRED] = "expired",
		[VERIFY_REVOKED] = "revoked",
		[VERIFY_STALE] = "stale",
		[VERIFY_NOT_ACCREDITED] = "not-accredited",
	};

	return outcome >= 0 && (size_t)outcome < ARRAY_COUNT(names) ? names[outcome] : "fault";
}

struct verifier *verifier_new(struct verify_rules rules)
{
	struct verifier *verifier = mem_new(1, sizeof(*verifier));

	verifier->rules = rules;
	verifier->seen = mem_new(1, sizeof(*verifier->seen));
	return verifier;
}

static void clear(struct authority *authorities, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		cert_free(authorities[i].cert);
		crl_free(authorities[i].crl);
	}
}

struct verifier *verifier_free(struct verifier *verifier)
{
	if (verifier) {
		clear(verifier->roots, verifier->root_count);
		clear(verifier->cas, verifier->ca_count);
		free(verifier->seen);
		free(verifier);
	}
	return NULL;
}

static struct authority *find(struct authority *authorities, size_t count, const struct cert *cert)
{
	struct key_hash wanted = cert_fingerprint(cert);

	for (size_t i = 0; i < count; i++) {
		if (key_hash_equal(cert_fingerprint(authorities[i].cert), wanted)) {
			return &authorities[i];
		}
	}
	return NULL;
}

int verifier_add_root(struct verifier *verifier, const struct cert *root, struct err *err)
{
	int r = cert_lint(root, CERT_ROOT, err);

	if (r != 0) {
		return r;
	}
	if (cert_signed_by(root, root) != 0) {
		return err_set(err, 1, "%s does not sign itself", cert_subject(root));
	}
	if (find(verifier->roots, verifier->root_count, root)) {
		return 0;
	}
	if (verifier->root_count == ROOTS_MAX) {
		return err_set(err, 1, "more than %d roots", ROOTS_MAX);
	}
	verifier->roots[verifier->root_count++].cert = cert_copy(root);
	return 0;
}

static const struct authority *root_of(const struct verifier *verifier, const struct cert *ca)
{
	for (size_t i = 0; i < verifier->root_count; i++) {
		if (cert_signed_by(ca, verifier->roots[i].cert) == 0) {
			return &verifier->roots[i];
		}
	}
	return NULL;
}

static bool is_ca_kind(enum cert_kind kind)
{
	return kind == CERT_DEVICE_CA || kind == CERT_SERVICE_CA;
}

int verifier_add_ca(struct verifier *verifier, const struct cert *ca, struct err *err)
{
	const struct authority *root;
	int r;

	if (!is_ca_kind(cert_kind(ca))) {
		return err_set(
		        err, 1, "%s is neither a device CA nor a service CA", cert_subject(ca));
	}
	r = cert_lint(ca, cert_kind(ca), err);
	if (r != 0) {
		return r;
	}
	root = root_of(verifier, ca);
	if (!root) {
		return err_set(
		        err, 1, "%s is not signed by a root that is pinned here", cert_subject(ca));
	}
	if (find(verifier->cas, verifier->ca_count, ca)) {
		return 0;
	}
	if (verifier->ca_count == CAS_MAX) {
		return err_set(err, 1, "more than %d CAs", CAS_MAX);
	}
	verifier->cas[verifier->ca_count].root = root;
	verifier->cas[verifier->ca_count++].cert = cert_copy(ca);
	return 0;
}

/* The authority whose name and key made the list. */
static struct authority *signer_of(struct verifier *verifier, const struct crl *crl)
{
	for (size_t i = 0; i < verifier->ca_count; i++) {
		if (crl_verify(crl, verifier->cas[i].cert, NULL) == 0) {
			return &verifier->cas[i];
		}
	}
	for (size_t i = 0; i < verifier->root_count; i++) {
		if (crl_verify(crl, verifier->roots[i].cert, NULL) == 0) {
			return &verifier->roots[i];
		}
	}
	return NULL;
}

int verifier_take_crl(struct verifier *verifier, struct crl *crl, struct err *err)
{
	struct authority *authority = signer_of(verifier, crl);
	int r = 0;

	if (!authority) {
		r = err_set(err, 1, "the CRL is signed by no CA that is known here");
	} else if (authority->crl && crl_number(authority->crl) >= crl_number(crl)) {
		r = err_set(err, 2, "CRL %llu of %s is not newer than the one held (%llu)",
		        (unsigned long long)crl_number(crl), cert_subject(authority->cert),
		        (unsigned long long)crl_number(authority->crl));
	}
	if (r != 0) {
		crl_free(crl);
		return r;
	}
	crl_free(authority->crl);
	authority->crl = crl;
	return 0;
}

void verifier_set_statements(struct verifier *verifier, const struct statement_set *statements)
{
	verifier->statements = statements;
}

/* A chain that was found; `ca` NULL when the leaf is itself a CA. */
struct chain {
	const struct authority
	        *known; /* the issuer, where it is one of ours and not the peer's extra */
	const struct cert *ca;
	const struct crl *ca_crl;
	const struct authority *root;
};

static int find_chain(const struct verifier *verifier, const struct cert *leaf,
        const struct cert *const *extra, size_t extra_count, struct chain *ret, struct err *err)
{
	*ret = (struct chain){ 0 };
	if (is_ca_kind(cert_kind(leaf))) {
		ret->root = root_of(verifier, leaf);
	}
	for (size_t i = 0; i < verifier->ca_count && !ret->root; i++) {
		if (cert_signed_by(leaf, verifier->cas[i].cert) == 0) {
			ret->known = &verifier->cas[i];
			ret->ca = verifier->cas[i].cert;
			ret->ca_crl = verifier->cas[i].crl;
			ret->root = verifier->cas[i].root;
		}
	}
	for (size_t i = 0; i < extra_count && !ret->root; i++) {
		if (is_ca_kind(cert_kind(extra[i])) &&
		        cert_lint(extra[i], cert_kind(extra[i]), NULL) == 0 &&
		        cert_signed_by(leaf, extra[i]) == 0) {
			ret->ca = extra[i];
			ret->root = root_of(verifier, extra[i]);
		}
	}
	if (!ret->root) {
		return err_set(err, VERIFY_UNKNOWN_ISSUER,
		        "%s is not issued by a CA that is known here", cert_subject(leaf));
	}
	return 0;
}

/* Tier by issuer must be the same as tier by policy (B1). */
static bool issuer_fits(enum cert_kind leaf, const struct cert *ca)
{
	switch (leaf) {
	case CERT_DEVICE:
		return cert_kind(ca) == CERT_DEVICE_CA;
	case CERT_SERVICE:
	case CERT_SERVER:
	case CERT_PERSON:
	case CERT_RECIPIENT:
		return cert_kind(ca) == CERT_SERVICE_CA;
	default:
		return leaf == CERT_OCSP_RESPONDER;
	}
}

static int check_time(const struct cert *cert, int64_t now_usec, struct err *err)
{
	if (now_usec < cert_not_before_usec(cert)) {
		return err_set(err, VERIFY_NOT_YET_VALID, "%s is valid from %s", cert_subject(cert),
		        time_print(cert_not_before_usec(cert)).text);
	}
	if (now_usec >= cert_not_after_usec(cert)) {
		return err_set(err, VERIFY_EXPIRED, "%s expired at %s", cert_subject(cert),
		        time_print(cert_not_after_usec(cert)).text);
	}
	return 0;
}

/* An entry counts even on a list that is too old to trust its silence. */
static int check_revoked(const struct cert *cert, const struct crl *crl, bool required,
        int64_t now_usec, struct err *err)
{
	const struct crl_entry *entry = crl ? crl_find(crl, cert_serial(cert)) : NULL;

	if (entry) {
		return err_set(err, VERIFY_REVOKED, "%s (serial %s) was revoked at %s: %s",
		        cert_subject(cert), entry->serial, time_print(entry->revoked_usec).text,
		        crl_reason_name(entry->reason));
	}
	if (!required) {
		return 0;
	}
	if (!crl) {
		return err_set(err, VERIFY_STALE, "there is no CRL of %s", cert_issuer(cert));
	}
	if (now_usec >= crl_next_update_usec(crl) ||
	        now_usec < crl_this_update_usec(crl) - CLOCK_SKEW_SEC_MAX * USEC_PER_SEC) {
		return err_set(err, VERIFY_STALE, "the CRL of %s is of %s and not current",
		        cert_issuer(cert), time_print(crl_this_update_usec(crl)).text);
	}
	return 0;
}

static int check_accredited(
        const struct verifier *verifier, const struct cert *ca, int64_t now_usec, struct err *err)
{
	enum statement_role role =
	        cert_kind(ca) == CERT_DEVICE_CA ? STATEMENT_DEVICE_CA : STATEMENT_SERVICE_CA;

	if (!verifier->rules.accreditation_required) {
		return 0;
	}
	if (!verifier->statements || !statement_set_find_key(verifier->statements, role,
	                                     STATEMENT_USE_CA, cert_key_hash(ca), now_usec)) {
		return err_set(err, VERIFY_NOT_ACCREDITED, "%s is not accredited as %s now",
		        cert_subject(ca), statement_role_name(role));
	}
	return 0;
}

/* The second opinion, so that a mistake in our rules alone does not let a certificate in. */
static int check_openssl(
        const struct cert *leaf, const struct chain *chain, int64_t now_usec, struct err *err)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *context = X509_STORE_CTX_new();
	STACK_OF(X509) *untrusted = sk_X509_new_null();
	int r = 0;

	assert_always(store && context && untrusted);
	assert_always(X509_STORE_add_cert(store, cert_x509(chain->root->cert)) == 1);
	if (chain->ca) {
		assert_always(sk_X509_push(untrusted, cert_x509(chain->ca)) > 0);
	}
	assert_always(X509_STORE_CTX_init(context, store, cert_x509(leaf), untrusted) == 1);
	X509_STORE_CTX_set_flags(context, X509_V_FLAG_X509_STRICT);
	X509_STORE_CTX_set_time(context, 0, (time_t)(now_usec / USEC_PER_SEC));
	if (X509_verify_cert(context) != 1) {
		r = err_set(err, VERIFY_UNKNOWN_ISSUER, "%s: %s", cert_subject(leaf),
		        X509_verify_cert_error_string(X509_STORE_CTX_get_error(context)));
	}
	sk_X509_free(untrusted);
	X509_STORE_CTX_free(context);
	X509_STORE_free(store);
	ERR_clear_error();
	return r;
}

static int check_chain(const struct verifier *verifier, const struct cert *leaf,
        const struct chain *chain, int64_t now_usec, struct err *err)
{
	bool required = verifier->rules.revocation_required;
	int r = check_time(leaf, now_usec, err);

	if (r == 0 && chain->ca) {
		r = check_time(chain->ca, now_usec, err);
	}
	if (r == 0) {
		r = check_time(chain->root->cert, now_usec, err);
	}
	if (r == 0) {
		r = check_revoked(leaf, chain->ca ? chain->ca_crl : chain->root->crl, required,
		        now_usec, err);
	}
	if (r == 0 && chain->ca) {
		r = check_revoked(chain->ca, chain->root->crl, required, now_usec, err);
	}
	if (r == 0) {
		r = check_accredited(verifier, chain->ca ? chain->ca : leaf, now_usec, err);
	}
	return r;
}

static bool recall(const struct verifier *verifier, const struct cert *leaf, struct chain *ret)
{
	const struct seen *seen = verifier->seen;
	struct key_hash wanted = cert_fingerprint(leaf);

	for (size_t i = 0; i < seen->count; i++) {
		const struct authority *ca = seen->items[i].ca;

		if (key_hash_equal(seen->items[i].leaf, wanted)) {
			*ret = (struct chain){ .known = ca,
				.ca = ca ? ca->cert : NULL,
				.ca_crl = ca ? ca->crl : NULL,
				.root = seen->items[i].root };
			return true;
		}
	}
	return false;
}

static void remember(
        const struct verifier *verifier, const struct cert *leaf, const struct chain *chain)
{
	struct seen *seen = verifier->seen;

	if (chain->ca && !chain->known) {
		return; /* its CA was shown by the peer and may be gone in the next call */
	}
	seen->items[seen->next].leaf = cert_fingerprint(leaf);
	seen->items[seen->next].ca = chain->known;
	seen->items[seen->next].root = chain->root;
	seen->next = (seen->next + 1) % SEEN_MAX;
	if (seen->count < SEEN_MAX) {
		seen->count++;
	}
}

int verify_cert(const struct verifier *verifier, const struct cert *leaf,
        const struct cert *const *extra, size_t extra_count, unsigned kinds, int64_t now_usec,
        struct err *err)
{
	enum cert_kind kind = cert_kind(leaf);
	struct chain chain;
	int r;

	if (kind == CERT_OTHER || kind == CERT_ROOT || !(kinds & CERT_SET(kind))) {
		return err_set(err, VERIFY_WRONG_KIND,
		        "%s is a %s certificate, which is not accepted here", cert_subject(leaf),
		        cert_kind_name(kind));
	}
	if (recall(verifier, leaf, &chain)) {
		return check_chain(verifier, leaf, &chain, now_usec, err);
	}
	if (cert_lint(leaf, kind, err) != 0) {
		return VERIFY_PROFILE;
	}
	r = find_chain(verifier, leaf, extra, extra_count, &chain, err);
	if (r != 0) {
		return r;
	}
	if (chain.ca && !issuer_fits(kind, chain.ca)) {
		return err_set(err, VERIFY_WRONG_KIND, "%s is a %s certificate issued by a %s",
		        cert_subject(leaf), cert_kind_name(kind),
		        cert_kind_name(cert_kind(chain.ca)));
	}
	r = check_chain(verifier, leaf, &chain, now_usec, err);
	if (r == 0) {
		r = check_openssl(leaf, &chain, now_usec, err);
	}
	if (r == 0) {
		remember(verifier, leaf, &chain);
	}
	return r;
}

const struct cert *verifier_issuer(const struct verifier *verifier, const struct cert *leaf)
{
	struct chain chain;

	if (recall(verifier, leaf, &chain) && chain.ca) {
		return chain.ca;
	}
	for (size_t i = 0; i < verifier->ca_count; i++) {
		if (cert_signed_by(leaf, verifier->cas[i].cert) == 0) {
			return verifier->cas[i].cert;
		}
	}
	return NULL;
}

static void oldest(
        const struct authority *authorities, size_t count, int64_t now_usec, int64_t *age)
{
	for (size_t i = 0; i < count && *age >= 0; i++) {
		int64_t one = authorities[i].crl ? crl_age_sec(authorities[i].crl, now_usec) : -1;

		*age = one < 0 || one > *age ? one : *age;
	}
}

int64_t verifier_crl_age_sec(const struct verifier *verifier, int64_t now_usec)
{
	int64_t age = verifier->root_count > 0 ? 0 : -1;

	oldest(verifier->roots, verifier->root_count, now_usec, &age);
	oldest(verifier->cas, verifier->ca_count, now_usec, &age);
	return age;
}

const struct cert *verifier_root(const struct verifier *verifier, size_t index)
{
	return index < verifier->root_count ? verifier->roots[index].cert : NULL;
}

const struct cert *verifier_ca(const struct verifier *verifier, size_t index)
{
	return index < verifier->ca_count ? verifier->cas[index].cert : NULL;
}

const struct crl *verifier_crl(const struct verifier *verifier, size_t index)
{
	const struct crl *found[ROOTS_MAX + CAS_MAX];
	size_t count = 0;

	for (size_t i = 0; i < verifier->root_count; i++) {
		if (verifier->roots[i].crl) {
			found[count++] = verifier->roots[i].crl;
		}
	}
	for (size_t i = 0; i < verifier->ca_count; i++) {
		if (verifier->cas[i].crl) {
			found[count++] = verifier->cas[i].crl;
		}
	}
	return index < count ? found[index] : NULL;
}
