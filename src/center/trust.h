/* Whom the center trusts now: roots and CAs of its configuration, the accreditor's statements, the
 * revocation lists; and who the peer behind a certificate is. */
#pragma once

#include "center/core.h"

/* Reads the files of the configuration, and statements and lists from the store. Outcome 1: a file
 * is wrong. */
int trust_open(struct center *center, struct err *err) must_use;

/* Takes a statement: checks the seal, keeps it, publishes. Outcome 1: refused, err says why. */
int trust_take_statement(struct center *center, const char *jws, size_t count, uint64_t *ret_leaf,
        struct err *err) must_use;

/* Takes a revocation list of the root or the device CA. Outcome 1: refused, err says why. */
int trust_take_crl(struct center *center, const void *der, size_t count, uint64_t *ret_leaf,
        struct err *err) must_use;

/* Makes, keeps and publishes a new list of the service CA. Outcome 1: the signer is away. */
int trust_publish_crl(struct center *center, struct err *err) must_use;
/* Does that if the list is past half of its life. */
void trust_renew(struct center *center);

/* The gateway behind a peer's certificates. `kinds` is a set of CERT_SET(). Outcome 1: err says why
 * this peer is nobody. `ret_kind` tells of which tier its certificate is. */
int trust_peer(struct center *center, const struct request *request, unsigned kinds,
        struct gateway **ret_gateway, enum cert_kind *ret_kind, struct err *err) must_use;

/* What policy_decide() asks. */
bool trust_provider(const struct center *center, int64_t now_usec);
bool trust_device_ca(const struct center *center, int64_t now_usec);
bool trust_service_ca(const struct center *center, int64_t now_usec);
bool trust_maker(const struct center *center, const char *maker, int64_t now_usec);
enum certificate_state trust_certificate(const struct center *center, unsigned tier,
        const struct gateway_certificate *certificate, int64_t now_usec);

/* The event `trust` of the stream; the caller owns it. */
json_t *trust_event(const struct center *center);
void trust_broadcast(struct center *center);
