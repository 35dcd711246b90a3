/*
 * Certificates: reading, showing, and our profiles.
 *
 * Every certificate of this system is one of the kinds below and carries exactly what its profile
 * says (cert_lint). The two tiers are told apart twice: by the issuer (device CA or service CA) and
 * by one certificate policy each; one with both or neither policy is of no tier (B1, A01).
 *
 *   kind            issuer              policy   extended key usage    names
 *   root            itself              -        -                     O, CN; pathlen 1
 *   device CA       root                device   -                     O, CN; pathlen 0
 *   service CA      root                service  -                     O, CN; pathlen 0
 *   device          device CA           device   clientAuth            O=maker, CN=model,
 *                                                                      serialNumber; SAN
 *                                                                      hardwareModuleName
 *   service         service CA          service  ipsecIKE, clientAuth  O=organization, OU=site,
 *                                                                      CN=gateway; SAN one dNSName
 *   server          service CA          -        serverAuth            O, CN; SAN dNSName,
 * iPAddress OCSP responder  either CA           -        OCSPSigning           O, CN;
 * id-pkix-ocsp-nocheck
 *   person          service CA          -        emailProtection       O=organization, OU=site,
 *                                                                      CN=account
 *   recipient       service CA          -        emailProtection       the same; key usage
 *                                                                      keyAgreement
 *
 * A person signs files and a recipient opens them (mission J2 to J4): two keys, so that nobody who
 * gets one to decrypt something gets a signature out of it.
 *
 * The device profile is IEEE 802.1AR (subject serialNumber, hardwareModuleName of RFC 4108, key
 * usage digitalSignature, CA:FALSE); it has no ipsecIKE, so that tier 1 never carries traffic.
 * The policy and hardware-type identifiers are in the UUID arc 2.25 (X.667), which needs no
 * registration.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/limits.h"
#include "pki/key.h"

struct cert;

enum cert_kind {
	CERT_OTHER, /* none of ours */
	CERT_ROOT,
	CERT_DEVICE_CA,
	CERT_SERVICE_CA,
	CERT_DEVICE,
	CERT_SERVICE,
	CERT_SERVER,
	CERT_OCSP_RESPONDER,
	CERT_PERSON,
	CERT_RECIPIENT,
};

#define CERT_KIND_COUNT (CERT_RECIPIENT + 1)

/* For sets of kinds: CERT_SET(CERT_DEVICE) | CERT_SET(CERT_SERVICE). */
#define CERT_SET(kind) (1U << (kind))

/* "root", "device-ca", "service-ca", "device", "service", "server", "ocsp-responder", "person",
 * "recipient", "other". */
const char *cert_kind_name(enum cert_kind kind);

#define CERT_SERIAL_BYTES_MAX 20 /* RFC 5280 4.1.2.2 */
#define CERT_NAME_BYTES_MAX 64   /* X.520 upper bounds of CN, O, OU and serialNumber */
#define CERT_DNS_NAMES_MAX 8     /* names of one center */

/* Reads one certificate, DER, or PEM with nothing else in the file. Outcome 1: not one certificate
 * in canonical DER, or larger than CERT_DER_BYTES_MAX. Says nothing about trust or profile. */
int cert_parse(const void *bytes, size_t count, struct cert **ret_cert, struct err *err) must_use;
/* Reads one to `max` PEM certificates, leaf first. The caller frees each. Outcome 1 as above, or
 * more than max. */
int cert_parse_chain(const char *pem, size_t count, struct cert **ret_certs, size_t max,
        size_t *ret_count, struct err *err) must_use;
struct cert *cert_free(struct cert *cert);
AUTO_DEFINE(cert)
/* A second owner. */
struct cert *cert_copy(const struct cert *cert);

/* All of the following are borrowed from the certificate. */
const uint8_t *cert_der(const struct cert *cert, size_t *ret_count);
/* Lower-case hex of whole bytes without leading zero bytes. */
const char *cert_serial(const struct cert *cert);
/* RFC 2253 one-line names for people and logs; escaped, UTF-8. */
const char *cert_subject(const struct cert *cert);
const char *cert_issuer(const struct cert *cert);
/* DER of the names, for comparing. */
const uint8_t *cert_subject_der(const struct cert *cert, size_t *ret_count);
const uint8_t *cert_issuer_der(const struct cert *cert, size_t *ret_count);
/* Subject fields; "" when absent. */
const char *cert_common_name(const struct cert *cert);
const char *cert_organization(const struct cert *cert);
const char *cert_unit(const struct cert *cert);
const char *cert_serial_number(const struct cert *cert); /* of the device, not of the certificate */
/* Names in the SAN; cert_dns_name(0) of a service certificate is its IKE identity. NULL past the
 * end. */
const char *cert_dns_name(const struct cert *cert, size_t index);
/* hardwareModuleName's serial as text; "" when there is none. */
const char *cert_hardware_serial(const struct cert *cert);
int64_t cert_not_before_usec(const struct cert *cert);
int64_t cert_not_after_usec(const struct cert *cert);
bool cert_is_ca(const struct cert *cert);
const uint8_t *cert_spki(const struct cert *cert, size_t *ret_count);
struct key_hash cert_key_hash(const struct cert *cert);
/* SHA-256 of the DER. */
struct key_hash cert_fingerprint(const struct cert *cert);
/* SHA-256 of the issuer's DER name: with the serial, the identity under which a certificate is
 * revoked and blocked (A05). */
struct key_hash cert_issuer_hash(const struct cert *cert);
/* What the certificate claims to be, from its extensions alone. */
enum cert_kind cert_kind(const struct cert *cert);
/* The claims of tier: a CA or end certificate with that policy and not the other. */
bool cert_is_device_tier(const struct cert *cert);
bool cert_is_service_tier(const struct cert *cert);

void cert_print_pem(const struct cert *cert, struct buf *out);

/* When the certificate is to be renewed: after two thirds of its life (DESIGN 5). */
int64_t cert_renew_usec(const struct cert *cert);

/* Holds the certificate against the profile of `kind`, with our own rules over the DER, apart from
 * what OpenSSL thinks of it (A04, A06, Z04). Outcome 1: err names the rule that it breaks. */
int cert_lint(const struct cert *cert, enum cert_kind kind, struct err *err) must_use;

/* Whether `issuer`'s key signed `cert` and the names fit. Outcome 1: no. */
int cert_signed_by(const struct cert *cert, const struct cert *issuer) must_use;

/* The identity a gateway has in IKE and TLS: "<gateway>.<provider>.sekisho.internal". */
#define CERT_IDENTITY_SUFFIX "sekisho.internal"
#define CERT_IDENTITY_BYTES_MAX (2 * (NAME_BYTES_MAX + 1) + sizeof(CERT_IDENTITY_SUFFIX))

/* Outcome 1: one of them is not a name (name_valid), or the whole is longer than a DNS name. */
int cert_identity_print(
        const char *gateway, const char *provider, char out[CERT_IDENTITY_BYTES_MAX]) must_use;
/* Takes a service certificate's identity apart. Outcome 1: it is not of that form, or the gateway
 * in it is not the subject's CN. */
int cert_identity(const struct cert *cert, char ret_gateway[NAME_BYTES_MAX + 1],
        char ret_provider[NAME_BYTES_MAX + 1]) must_use;
