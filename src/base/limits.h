/*
 * Every limit on what a peer can make us hold or do, each with its reason (style 7).
 */
#pragma once

/* A name (organization, site, gateway, host, group, rule): a DNS label's length, so that names can
 * stand in certificates and IKE identities as they are (RFC 1035 2.3.4). */
#define NAME_BYTES_MAX 63

/* "site/host". */
#define HOST_REF_BYTES_MAX (2 * NAME_BYTES_MAX + 1)

/* A connection, request or record id: 26 characters of Crockford base 32. */
#define ID_BYTES_MAX 26

/* The identity of a gateway: a DNS name (RFC 1035 2.3.4). */
#define IDENTITY_BYTES_MAX 253

/* A certificate's serial number in hex: at most 20 octets (RFC 5280 4.1.2.2). */
#define SERIAL_TEXT_BYTES_MAX 40

/* Who asks: a login name or a personal name, in any script. */
#define PERSON_BYTES_MAX 127

/* RFC 3339 with milliseconds and Z. */
#define TIME_TEXT_BYTES_MAX 32

/* A PEM or DER certificate we accept: a P-384 certificate with every extension of ours is 1.2 KiB.
 */
#define CERT_DER_BYTES_MAX 8192
#define CERT_CHAIN_COUNT_MAX 4
#define CSR_DER_BYTES_MAX 8192

/* A CRL of 100,000 revoked certificates is 3.9 MB (L7). */
#define CRL_DER_BYTES_MAX (8 << 20)

/* The longest that a revocation list and an OCSP answer may be valid: a stolen core must not get
 * one that outlives the theft by much. */
#define CRL_SEC_MAX (31 * 24 * 3600)
#define OCSP_SEC_MAX (7 * 24 * 3600)

/* A compact JWS: the largest are policies of a few hundred lines. */
#define JWS_BYTES_MAX (256 << 10)
#define JWS_SMALL_BYTES_MAX (16 << 10) /* grants, leases, statements */

/* JSON from a peer: depth 32 as in reliability.md Z02. */
#define JSON_DEPTH_MAX 32
#define JSON_BYTES_MAX (1 << 20)

/* HTTP/1.1 (attack A21). */
#define HTTP_HEADER_BYTES_MAX (16 << 10)
#define HTTP_HEADER_COUNT_MAX 64
#define HTTP_TARGET_BYTES_MAX 2048
#define HTTP_BODY_BYTES_MAX (1 << 20)
#define HTTP_STREAM_QUEUE_BYTES_MAX                                                                \
	(256 << 10) /* unread events before a slow reader is dropped                               \
	             */
#define HTTP_HANDSHAKE_DEADLINE_MSEC 10000
#define HTTP_HEADER_DEADLINE_MSEC 10000
#define HTTP_BODY_DEADLINE_MSEC 30000
#define HTTP_IDLE_DEADLINE_MSEC 30000
#define HTTP_CONNECTIONS_PER_PEER_MAX 64 /* L16 */
#define HTTP_QUERY_COUNT_MAX 32
#define HTTP_CONNECTIONS_MAX 16384      /* of one listener; a front's descriptors end near 20,000 */
#define HTTP_HANDSHAKES_MAX 256         /* in flight: 0.2 s of one core's work */
#define HTTP_HANDSHAKES_PER_ROUND_MAX 4 /* steps of 0.4 ms before others get their turn (L16) */
#define HTTP_HANDSHAKE_EVICT_MSEC                                                                  \
	1000                  /* at that maximum, one this old makes room for a new one            \
	                       */
#define HTTP_LINGER_MSEC 1000 /* for the peer to read why it was refused */
#define HTTP_LINGER_BYTES_MAX (256 << 10)
#define HTTP_EVENT_BYTES_MAX                                                                       \
	(256 << 10)                     /* one server-sent event as a client takes it: a policy    \
	                                 */
#define HTTP_CLIENT_QUEUE_COUNT_MAX 64  /* requests that wait for the one in flight */
#define HTTP_CLIENT_IDLE_MSEC 20000     /* less than the server's, so that it never closes first */
#define HTTP_CONNECT_DEADLINE_MSEC 5000 /* one address, handshake included, before the next */
#define HTTP_PEER_SILENCE_MSEC 10000    /* TCP_USER_TIMEOUT: a dead peer is noticed in 15 s */
#define HTTP_RESPONSE_BODY_BYTES_MAX (16 << 20) /* a CRL is 8 MiB (CRL_DER_BYTES_MAX) */

/* A message between two of our own processes. */
#define MESSAGE_BYTES_MAX (2 << 20)
#define MESSAGE_QUEUE_BYTES_MAX (16 << 20)

/* VICI: one message (strongSwan's own limit is 512 KiB), nesting, and name length (u8). */
#define VICI_MESSAGE_BYTES_MAX (512 << 10)
#define VICI_DEPTH_MAX 16

/* Policies. */
#define POLICY_TEXT_BYTES_MAX (128 << 10)
#define POLICY_LINE_BYTES_MAX 1024
#define POLICY_HOSTS_MAX 4096
#define POLICY_RULES_MAX 4096
#define POLICY_TESTS_MAX 1024

/* Connections one gateway holds at once; also the size of the packet filter's lease map / 4. */
#define TUNNELS_PER_GATEWAY_MAX 4096

/* Leases: the default, and the most a gateway accepts whatever the center signs (DESIGN 3). */
#define LEASE_SEC_DEFAULT 60
#define LEASE_SEC_MAX 300

/* The longest grant a gateway accepts unless its own configuration says less (attack A12). */
#define GRANT_SEC_MAX (24 * 3600)

/* Clock difference between center and gateway that is tolerated (fault F12). */
#define CLOCK_SKEW_SEC_MAX 60

/* A grant that reaches a gateway this much later than it was issued (or begins) was held up or
 * kept, and is refused: twice the tolerated clock difference. A grant that was accepted waits this
 * long for its CHILD SA; the center's own deadline (30 s) is shorter and normally decides. From the
 * two the center knows when a connection that it cannot reach is dead for certain. */
#define GRANT_AGE_SEC_MAX (2 * CLOCK_SKEW_SEC_MAX)
#define GRANT_UP_SEC_MAX 60

/* A peer's service certificate as it comes with a grant; it is kept in one journal record with the
 * grant (JOURNAL_RECORD_BYTES_MAX). Ours have 0.8 kB, one over RSA-4096 with long names 2 kB. */
#define SERVICE_CERT_DER_BYTES_MAX 3072

/* Records a gateway keeps while the center is away (F34: 72 hours). */
#define JOURNAL_BYTES_MAX (256 << 20)
#define JOURNAL_RECORD_BYTES_MAX (8 << 10)
#define JOURNAL_BATCH_COUNT_MAX 256

/* One record of the ledger: an entry bundle counts in 16 bits (C2SP tlog-tiles). */
#define LEDGER_RECORD_BYTES_MAX 65535

/* A signed note. A verifier must take 16 signatures (C2SP signed-note); 64 leave room for gateways
 * and auditors that cosign, at some 200 bytes each, and one post-quantum signature of 5 kB. */
#define NOTE_BYTES_MAX (32 << 10)
#define NOTE_SIGNATURES_MAX 64
#define NOTE_NAME_BYTES_MAX 255

/* Below this much free disk no new grant is given; cuts still work (F07). */
#define DISK_FREE_BYTES_MIN (64 << 20)

/* A configuration file. */
#define CONFIG_BYTES_MAX (256 << 10)
