/*
 * The inside of a certificate (TBSCertificate, RFC 5280 4.1) as our own reader sees it, and the
 * profile of each kind over it. Inside src/pki only; cert.h and ca.h are the way in.
 */
#pragma once

#include "pki/cert.h"
#include "pki/der.h"

#define NAME_ATTRIBUTES_MAX 16

/* A distinguished name. Values are borrowed from the DER. */
struct name {
	struct der whole;
	struct {
		enum oid oid;
		uint8_t tag;
		struct der value;
	} attributes[NAME_ATTRIBUTES_MAX];
	size_t count;
	bool multiple; /* an RDN of more than one attribute */
};

/* False: not a name, or with more than NAME_ATTRIBUTES_MAX attributes. */
bool name_read(struct der *in, struct name *ret_name);
/* Adds an RDN of one attribute to a name that is being written; a NULL text is left out. */
void name_add(struct buf *out, enum oid oid, uint8_t tag, const char *text);
/* The attribute as text if it is there exactly once, is a UTF8String, PrintableString or IA5String,
 * has 1 to CERT_NAME_BYTES_MAX bytes and only printable ASCII in it; else "". */
void name_text(const struct name *name, enum oid oid, char out[CERT_NAME_BYTES_MAX + 1]);

enum extension {
	EXTENSION_SUBJECT_KEY_ID,
	EXTENSION_AUTHORITY_KEY_ID,
	EXTENSION_BASIC_CONSTRAINTS,
	EXTENSION_KEY_USAGE,
	EXTENSION_EXTENDED_KEY_USAGE,
	EXTENSION_POLICIES,
	EXTENSION_ALT_NAME,
	EXTENSION_CRL_POINTS,
	EXTENSION_AUTHORITY_INFORMATION,
	EXTENSION_OCSP_NOCHECK,
	EXTENSION_COUNT,
};

struct extension_value {
	bool present, critical;
	struct der value;
};

/* RFC 5280 4.2.1.3: bit 0 is the first one. */
enum key_usage {
	KEY_USAGE_DIGITAL_SIGNATURE = 1 << 0,
	KEY_USAGE_KEY_AGREEMENT = 1 << 4,
	KEY_USAGE_CERT_SIGN = 1 << 5,
	KEY_USAGE_CRL_SIGN = 1 << 6,
};

struct extensions {
	struct extension_value values[EXTENSION_COUNT];
	unsigned unknown; /* how many we do not know */
	bool unknown_critical;
	bool repeated;
};

struct tbs {
	struct der whole;
	uint64_t version;  /* 2 is v3 */
	struct der serial; /* unsigned, no leading zero */
	struct der algorithm;
	struct name issuer, subject;
	int64_t not_before_sec, not_after_sec;
	struct der spki;
	struct extensions extensions;
};

/* False: not a TBSCertificate in canonical DER. Everything is borrowed from `bytes`. */
bool tbs_read(const uint8_t *bytes, size_t count, struct tbs *ret_tbs);

/* SEQUENCE OF Extension (its content). False: malformed. Also used for requests. */
bool extensions_read(struct der in, struct extensions *ret);

/* The readers of single extensions. False: malformed or absent. */
bool basic_constraints_read(struct der value, bool *ret_ca, int *ret_path_length);
bool key_usage_read(struct der value, unsigned *ret_usage);
/* Whether the sequence of OIDs in `value` is exactly the `count` given ones, in any order. */
bool usages_are(struct der value, const enum oid *wanted, size_t count);
/* The one policy, OID_NONE if there is another number of them, one of others', or qualifiers. */
enum oid policy_read(struct der value);
/* Whether one of the policies is `policy`. */
bool policies_have(struct der value, enum oid policy);

/* A walk through GeneralNames: returns the tag, 0 at the end or when broken. */
uint8_t alt_name_next(struct der *names, struct der *ret_value);
/* Content of an otherName that is a hardwareModuleName. */
bool hardware_name_read(struct der other, struct der *ret_type, struct der *ret_serial);

/* A host name as we put it into certificates: lower-case labels joined by dots, at most 253. */
bool host_name_valid(const char *text);

/* The rules of a kind. Outcome 1: err names the rule that is broken. */
int tbs_lint(const struct tbs *tbs, enum cert_kind kind, struct err *err) must_use;
/* What it claims to be, from its extensions. */
enum cert_kind tbs_kind(const struct tbs *tbs);
