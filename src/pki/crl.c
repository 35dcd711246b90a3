#include "pki/crl.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "pki/cert_private.h"
#include "pki/signing.h"
#include "pki/tbs.h"

struct crl {
	uint8_t *der;
	size_t der_count;
	struct signing signing;
	struct der issuer;
	uint64_t number;
	int64_t this_update_sec, next_update_sec;
	struct crl_entry *entries; /* by serial */
	size_t count;
};

static const struct {
	int reason;
	const char *name;
} reasons[] = {
	{ CRL_UNSPECIFIED, "unspecified" },
	{ CRL_KEY_COMPROMISE, "key-compromise" },
	{ CRL_CA_COMPROMISE, "ca-compromise" },
	{ CRL_AFFILIATION_CHANGED, "affiliation-changed" },
	{ CRL_SUPERSEDED, "superseded" },
	{ CRL_CESSATION, "cessation" },
	{ CRL_HOLD, "hold" },
	{ CRL_PRIVILEGE_WITHDRAWN, "privilege-withdrawn" },
};

const char *crl_reason_name(int reason)
{
	for (size_t i = 0; i < ARRAY_COUNT(reasons); i++) {
		if (reasons[i].reason == reason) {
			return reasons[i].name;
		}
	}
	return "unknown";
}

int crl_reason_parse(const char *name, enum crl_reason *ret_reason)
{
	for (size_t i = 0; i < ARRAY_COUNT(reasons); i++) {
		if (strcmp(reasons[i].name, name) == 0) {
			*ret_reason = (enum crl_reason)reasons[i].reason;
			return 0;
		}
	}
	return 1;
}

static int add_entry(struct buf *out, const struct crl_entry *entry)
{
	uint8_t serial[CERT_SERIAL_BYTES_MAX];
	size_t count = strlen(entry->serial) / 2, mark, list, extension, value;
	uint8_t reason = (uint8_t)entry->reason;

	if (count < 1 || count > sizeof(serial) || hex_parse(entry->serial, serial, count) != 0) {
		return 1;
	}
	mark = der_open(out, DER_SEQUENCE);
	der_add_unsigned(out, serial, count);
	der_add_time(out, entry->revoked_usec / USEC_PER_SEC);
	if (entry->reason != CRL_UNSPECIFIED) { /* RFC 5280 5.3.1: absent rather than unspecified */
		list = der_open(out, DER_SEQUENCE);
		extension = der_open(out, DER_SEQUENCE);
		der_add_oid(out, OID_CRL_REASON);
		value = der_open(out, DER_OCTET_STRING);
		der_add(out, DER_ENUMERATED, &reason, 1);
		der_close(out, value);
		der_close(out, extension);
		der_close(out, list);
	}
	der_close(out, mark);
	return 0;
}

static void add_list_extensions(struct buf *out, const struct cert *issuer, uint64_t number)
{
	size_t outer = der_open(out, DER_CONTEXT_MADE(0)), list = der_open(out, DER_SEQUENCE);
	size_t extension = der_open(out, DER_SEQUENCE), value, mark, count;
	const uint8_t *id = cert_key_id(issuer, &count);

	der_add_oid(out, OID_AUTHORITY_KEY_IDENTIFIER);
	value = der_open(out, DER_OCTET_STRING);
	mark = der_open(out, DER_SEQUENCE);
	der_add(out, DER_CONTEXT(0), id, count);
	der_close(out, mark);
	der_close(out, value);
	der_close(out, extension);
	extension = der_open(out, DER_SEQUENCE);
	der_add_oid(out, OID_CRL_NUMBER);
	value = der_open(out, DER_OCTET_STRING);
	der_add_u64(out, number);
	der_close(out, value);
	der_close(out, extension);
	der_close(out, list);
	der_close(out, outer);
}

int crl_build(const struct ca *ca, const struct crl_entry *entries, size_t count, uint64_t number,
        int64_t this_update_usec, int64_t next_update_usec, struct buf *out, struct err *err)
{
	AUTO_BUF struct buf tbs = BUF(CRL_DER_BYTES_MAX - 1024);
	const struct cert *issuer = ca_cert(ca);
	size_t mark = der_open(&tbs, DER_SEQUENCE), list, name_count;
	const uint8_t *name = cert_subject_der(issuer, &name_count);
	int r;

	if (this_update_usec < 0 || next_update_usec <= this_update_usec) {
		return err_set(err, CA_REFUSED, "the next update must be later than this one");
	}
	der_add_u64(&tbs, 1);
	signing_add_algorithm(&tbs, token_key_type(ca_key(ca)));
	buf_add(&tbs, name, name_count);
	der_add_time(&tbs, this_update_usec / USEC_PER_SEC);
	der_add_time(&tbs, next_update_usec / USEC_PER_SEC);
	if (count > 0) { /* RFC 5280 5.1.2.6: absent rather than empty */
		list = der_open(&tbs, DER_SEQUENCE);
		for (size_t i = 0; i < count; i++) {
			if (entries[i].revoked_usec < 0 || add_entry(&tbs, &entries[i]) != 0) {
				return err_set(err, CA_REFUSED,
				        "entry %zu: \"%s\" is not a serial number", i,
				        entries[i].serial);
			}
		}
		der_close(&tbs, list);
	}
	add_list_extensions(&tbs, issuer, number);
	der_close(&tbs, mark);
	if (tbs.overflowed) {
		return err_set(err, CA_REFUSED,
		        "a list of %zu entries is larger than the %d bytes allowed", count,
		        CRL_DER_BYTES_MAX);
	}
	r = signing_wrap(ca_key(ca), tbs.bytes, tbs.count, out, err);
	if (r == 0 && out->overflowed) {
		r = -EFBIG;
	}
	return r > 0 ? CA_TOKEN + r : r;
}

static int order_by_serial(const void *left, const void *right)
{
	return strcmp(((const struct crl_entry *)left)->serial,
	        ((const struct crl_entry *)right)->serial);
}

/* The extensions of one entry: a reason at most. An unknown one that is critical changes what the
 * entry means (certificateIssuer), so the list is refused. */
static bool read_entry_extensions(struct der list, enum crl_reason *ret_reason)
{
	while (!der_end(&list)) {
		struct der one = der_take(&list, DER_SEQUENCE), flag, value, reason;
		enum oid oid = der_take_oid(&one);
		bool critical = der_try(&one, DER_BOOLEAN, &flag);

		value = der_take(&one, DER_OCTET_STRING);
		if (!der_end(&one) || critical) {
			return false;
		}
		if (oid == OID_CRL_REASON) {
			reason = der_take(&value, DER_ENUMERATED);
			if (!der_end(&value) || reason.left != 1 || reason.at[0] > 10) {
				return false;
			}
			*ret_reason = (enum crl_reason)reason.at[0];
		}
	}
	return true;
}

static bool read_entries(struct der list, struct crl *crl)
{
	size_t room = 0;

	while (!der_end(&list)) {
		struct der one = der_take(&list, DER_SEQUENCE), extensions = DER(NULL, 0);
		struct der serial = der_take_unsigned(&one);
		struct crl_entry *entry;

		if (serial.broken || serial.left < 1 || serial.left > CERT_SERIAL_BYTES_MAX) {
			return false;
		}
		if (crl->count == room) {
			room = room ? 2 * room : 16;
			crl->entries = mem_resize(crl->entries, room, sizeof(*crl->entries));
		}
		entry = &crl->entries[crl->count++];
		hex_print(serial.at, serial.left, entry->serial);
		entry->revoked_usec = der_take_time(&one) * USEC_PER_SEC;
		entry->reason = CRL_UNSPECIFIED;
		if (der_try(&one, DER_SEQUENCE, &extensions) &&
		        !read_entry_extensions(extensions, &entry->reason)) {
			return false;
		}
		if (!der_end(&one)) {
			return false;
		}
	}
	if (crl->count > 0) {
		qsort(crl->entries, crl->count, sizeof(*crl->entries), order_by_serial);
	}
	for (size_t i = 1; i < crl->count; i++) {
		if (strcmp(crl->entries[i - 1].serial, crl->entries[i].serial) == 0) {
			return false;
		}
	}
	return true;
}

static bool read_list_extensions(struct der outer, struct crl *crl)
{
	struct der list = der_take(&outer, DER_SEQUENCE);
	bool numbered = false;

	while (!der_end(&list)) {
		struct der one = der_take(&list, DER_SEQUENCE), flag, value;
		enum oid oid = der_take_oid(&one);
		bool critical = der_try(&one, DER_BOOLEAN, &flag);

		value = der_take(&one, DER_OCTET_STRING);
		if (!der_end(&one) || critical || (oid == OID_CRL_NUMBER && numbered)) {
			return false;
		}
		if (oid == OID_CRL_NUMBER) {
			crl->number = der_take_u64(&value);
			numbered = der_end(&value);
		}
	}
	return der_end(&outer) && numbered;
}

static bool read_list(struct crl *crl)
{
	struct der in, list, part, algorithm;
	struct name issuer;
	uint64_t version;

	if (!signing_split(crl->der, crl->der_count, &crl->signing)) {
		return false;
	}
	in = crl->signing.tbs;
	list = der_take(&in, DER_SEQUENCE);
	version = der_take_u64(&list);
	der_take_whole(&list, DER_SEQUENCE, &algorithm);
	if (!name_read(&list, &issuer)) {
		return false;
	}
	crl->issuer = issuer.whole;
	crl->this_update_sec = der_take_time(&list);
	crl->next_update_sec = der_take_time(&list);
	if (version != 1 || list.broken || !der_equal(algorithm, crl->signing.algorithm) ||
	        crl->this_update_sec >= crl->next_update_sec) {
		return false;
	}
	if (der_try(&list, DER_SEQUENCE, &part) && (part.left == 0 || !read_entries(part, crl))) {
		return false;
	}
	part = der_take(&list, DER_CONTEXT_MADE(0));
	return der_end(&list) && read_list_extensions(part, crl);
}

int crl_parse(const void *bytes, size_t count, struct crl **ret_crl, struct err *err)
{
	AUTO(crl) struct crl *crl = NULL;
	struct buf der = BUF(CRL_DER_BYTES_MAX);

	if (count > 2 * (size_t)CRL_DER_BYTES_MAX ||
	        der_from_pem(bytes, count, "X509 CRL", &der) != 0) {
		buf_clear(&der);
		return err_set(err, 1, "not a CRL in DER or PEM, or larger than %d bytes",
		        CRL_DER_BYTES_MAX);
	}
	crl = mem_new(1, sizeof(*crl));
	crl->der_count = der.count;
	crl->der = TAKE(der.bytes);
	if (!read_list(crl)) {
		return err_set(err, 1,
		        "not a whole version 2 CRL with number and both dates in canonical DER");
	}
	*ret_crl = TAKE(crl);
	return 0;
}

struct crl *crl_free(struct crl *crl)
{
	if (crl) {
		free(crl->entries);
		free(crl->der);
		free(crl);
	}
	return NULL;
}

int crl_verify(const struct crl *crl, const struct cert *issuer, struct err *err)
{
	AUTO(key) struct key *key = NULL;
	const struct tbs *tbs = cert_tbs(issuer);
	int r;

	if (!der_equal(crl->issuer, tbs->subject.whole) || !cert_is_ca(issuer)) {
		return err_set(err, 1, "the CRL is not of %s", cert_subject(issuer));
	}
	r = key_parse(tbs->spki.at, tbs->spki.left, &key, err);
	if (r == 0 && signing_verify(&crl->signing, key) != 0) {
		r = err_set(err, 1, "the signature of the CRL of %s does not fit",
		        cert_subject(issuer));
	}
	return r;
}

bool crl_covers(const struct crl *crl, const struct cert *cert)
{
	return der_equal(crl->issuer, cert_tbs(cert)->issuer.whole);
}

const struct crl_entry *crl_find(const struct crl *crl, const char *serial)
{
	struct crl_entry wanted;

	if (crl->count == 0 || text_copy(wanted.serial, sizeof(wanted.serial), serial) != 0) {
		return NULL;
	}
	return bsearch(&wanted, crl->entries, crl->count, sizeof(*crl->entries), order_by_serial);
}

size_t crl_count(const struct crl *crl)
{
	return crl->count;
}

const struct crl_entry *crl_entry(const struct crl *crl, size_t index)
{
	return index < crl->count ? &crl->entries[index] : NULL;
}

uint64_t crl_number(const struct crl *crl)
{
	return crl->number;
}

struct key_hash crl_issuer_hash(const struct crl *crl)
{
	return key_hash_of(crl->issuer.at, crl->issuer.left);
}

int64_t crl_this_update_usec(const struct crl *crl)
{
	return crl->this_update_sec * USEC_PER_SEC;
}

int64_t crl_next_update_usec(const struct crl *crl)
{
	return crl->next_update_sec * USEC_PER_SEC;
}

int64_t crl_age_sec(const struct crl *crl, int64_t now_usec)
{
	return now_usec / USEC_PER_SEC - crl->this_update_sec;
}

const uint8_t *crl_der(const struct crl *crl, size_t *ret_count)
{
	*ret_count = crl->der_count;
	return crl->der;
}
