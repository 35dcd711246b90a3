/*
 * What is said to charon and what it says, as bytes: the pure half of the client in charon.c.
 */
#pragma once

#include "base/buf.h"
#include "gateway/charon.h"
#include "wire/vici.h"

/* Each appends one command packet. Outcome 1: an argument does not fit the format. */
int charon_message_plain(struct buf *out, const char *command) must_use;
int charon_message_token(struct buf *out, const char *key_id, const char *pin, int slot) must_use;
int charon_message_certificate(
        struct buf *out, const uint8_t *der, size_t der_bytes, bool authority) must_use;
int charon_message_peer(struct buf *out, const struct charon_peer *peer) must_use;
int charon_message_unload(struct buf *out, const char *peer) must_use;
int charon_message_initiate(
        struct buf *out, const char *peer, const char *child, int timeout_msec) must_use;
int charon_message_terminate(
        struct buf *out, const char *peer, const char *child, int timeout_msec) must_use;
/* A register or unregister packet for one event. */
int charon_message_register(struct buf *out, const char *event) must_use;

/* Calls `each` for every CHILD SA in a list-sa or event message and for every IKE SA without one;
 * of a rekeying, the new one. `ret_up` is the message's "up". Outcome 1: malformed; what was told
 * before stays told. */
int charon_message_sas(const uint8_t *message, size_t message_bytes, charon_each *each,
        void *context, bool *ret_up) must_use;

/* The events we ask for. Outcome 1: not one of them. */
#define CHARON_EVENT_NAMES_COUNT 4
extern const char *const charon_event_names[CHARON_EVENT_NAMES_COUNT];
int charon_message_event(const char *name, bool up, enum charon_event_type *ret_type) must_use;

/* OK or REFUSED with charon's reason in `text`. Outcome 1: malformed. */
int charon_message_result(const uint8_t *message, size_t message_bytes,
        enum charon_outcome *ret_outcome, char *text, size_t text_bytes) must_use;
