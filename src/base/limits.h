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

/* RFC 3339 with milliseconds and Z. */
#define TIME_TEXT_BYTES_MAX 32

/* A PEM or DER certificate we accept: a P-384 certificate with every extension of ours is 1.2 KiB. */
#define CERT_DER_BYTES_MAX 8192
#define CERT_CHAIN_COUNT_MAX 4
#define CSR_DER_BYTES_MAX 8192

/* A CRL of 100,000 revoked certificates is 3.9 MB (L7). */
#define CRL_DER_BYTES_MAX (8 << 20)

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
#define HTTP_STREAM_QUEUE_BYTES_MAX (256 << 10) /* unread events before a slow reader is dropped */
#define HTTP_HANDSHAKE_DEADLINE_MSEC 10000
#define HTTP_HEADER_DEADLINE_MSEC 10000
#define HTTP_BODY_DEADLINE_MSEC 30000
#define HTTP_IDLE_DEADLINE_MSEC 30000
#define HTTP_CONNECTIONS_PER_PEER_MAX 64 /* L16 */

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

/* Records a gateway keeps while the center is away (F34: 72 hours). */
#define JOURNAL_BYTES_MAX (256 << 20)
#define JOURNAL_RECORD_BYTES_MAX (8 << 10)
#define JOURNAL_BATCH_COUNT_MAX 256

/* Below this much free disk no new grant is given; cuts still work (F07). */
#define DISK_FREE_BYTES_MIN (64 << 20)

/* A configuration file. */
#define CONFIG_BYTES_MAX (256 << 10)
