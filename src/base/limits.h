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

/* A person's access: a session's length, codes that may be wrong before the account is locked, and
 * for how long (RFC 4226 7.3: throttling); sessions of one person at once; the look at accounts
 * that nobody reported as left (G3). */
#define SESSION_SEC_MAX (8 * 3600)
#define SESSION_CODES_WRONG_MAX 5
#define SESSION_LOCK_SEC (15 * 60)
#define SESSIONS_PER_PERSON_MAX 16
#define PERSON_CONFIRM_SEC (365 * 24 * 3600)
#define PERSON_ROLES_MAX 10

/* An agreement between two organizations: what a person can still read and sign. */
#define AGREEMENT_BYTES_MAX (64 << 10)
#define AGREEMENT_HOSTS_MAX 64
#define AGREEMENT_PROTOCOLS_MAX 16
#define AGREEMENT_POINTS_MAX 16
#define AGREEMENT_TEXT_BYTES_MAX 2000
#define AGREEMENT_PLACE_BYTES_MAX 31

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
/* Of gateways: each has a stream and a connection for its calls, and a whole town's may be behind
 * the one address of a NAT (F44). Their handshakes are bounded on their own. */
#define HTTP_GATEWAY_CONNECTIONS_PER_PEER_MAX 1024
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
#define POLICY_PROVIDER_BYTES_MAX (64 << 20) /* 250,000 sites with their groups have 25 MB */
#define POLICY_LINE_BYTES_MAX 1024
#define POLICY_HOSTS_MAX 4096
#define POLICY_RULES_MAX 4096
#define POLICY_TESTS_MAX 1024
#define POLICY_SETS_MAX 256
#define POLICY_HOURS_MAX 64       /* lines; each is looked at when a rule has hours */
#define POLICY_HOLIDAYS_MAX 512   /* dates and spans: ten years of them */
#define POLICY_APPROVERS_MAX 64   /* who can approve; each key is tried on a seal */
#define POLICY_SPKI_BYTES_MAX 640 /* a public key of RSA 4096 has 550; fits a line as base64 */
#define POLICY_REVIEW_SEC_MAX (7 * 24 * 3600) /* an emergency is looked at within a week */

/* Connections one gateway holds at once; also the size of the packet filter's lease map / 4. */
#define TUNNELS_PER_GATEWAY_MAX 4096

/* First traffic (protocol.md 3.1). What a host sends must neither flood the center nor fill memory:
 * the kernel keeps what it saw for 2 s, at most this many tuples, and of one host at most this many
 * a second. A gateway remembers so many tuples, so many of one host, asks once for each until the
 * back-off of a refusal is over, and after this many refusals of one host asks for it less often:
 * one more every TRAFFIC_REFILL_SEC. The center takes so many questions of one gateway a minute. */
#define TRAFFIC_SEEN_MAX 1024
#define TRAFFIC_SEEN_SEC 2
#define TRAFFIC_SEEN_PER_SEC 32
#define TRAFFIC_TUPLES_MAX 1024
#define TRAFFIC_TUPLES_PER_HOST_MAX 64
#define TRAFFIC_REFUSALS_PER_HOST_MAX 5
#define TRAFFIC_REFILL_SEC 60
#define TRAFFIC_BACK_OFF_SEC_MIN 30
#define TRAFFIC_BACK_OFF_SEC_MAX 900
#define TRAFFIC_ASKS_PER_MINUTE_MAX 60

/* A cut by a person shuts first traffic out for this long, unless somebody asks before. A day is
 * the longest grant (GRANT_SEC_MAX); who wants it shut for longer says so in a policy. */
#define TRAFFIC_HOLD_SEC (24 * 3600)

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

/* Work orders. Sixteen targets are every port of a modality and its console; with a purpose of a
 * paragraph the terms stay below 8 KiB and their sealed approval below JWS_SMALL_BYTES_MAX. A job
 * that takes longer than a month is another job. */
#define WORK_TARGETS_MAX 16
#define WORK_PURPOSE_BYTES_MAX 1000
#define WORK_TERMS_BYTES_MAX (8 << 10)
#define WORK_WINDOW_SEC_MAX (31 * 24 * 3600)
#define WORK_REVISIONS_MAX 32      /* extensions asked for: after a month of them apply anew */
#define WORK_ORDERS_OPEN_MAX 20000 /* at some 6 KiB each: 120 MB */
#define WORK_ORDERS_PER_ORGANIZATION_MAX 1000
#define WORK_REPORT_BYTES_MAX (16 << 10)
#define WORK_REPORT_RECORDS_MAX 64
#define DELETION_ITEMS_MAX 32
#define DELETION_TEXT_BYTES_MAX 200

/* A mail that comes in as a notice: a fault notice is a page of text. Depth and parts bound what a
 * hostile one costs (wire/mail.h). */
#define MAIL_BYTES_MAX (256 << 10)
#define MAIL_DEPTH_MAX 8
#define MAIL_PARTS_MAX 64
#define MAIL_HEADER_BYTES_MAX (8 << 10) /* one header field, unfolded */
#define MAIL_SUBJECT_BYTES_MAX 500
#define MAIL_TEXT_BYTES_MAX (64 << 10)
#define MAIL_ADDRESS_BYTES_MAX 254 /* RFC 5321 4.5.3.1.3 without the brackets */

/* Sealed files (mission SDS 21, 49). A virus scanner looks at no more than 2 GiB at once; a file
 * that cannot be looked at whole is not sealed. The label travels in a signed attribute; the parts
 * of a sealed file around its content hold a certificate chain and RECIPIENTS_MAX wrapped keys. */
#define FILE_BYTES_MAX (2000LL << 20)
#define FILE_NAME_BYTES_MAX 240 /* NAME_MAX less the room for ".p7m" and a mark */
#define FILE_RECIPIENTS_MAX 16
#define FILE_LABEL_BYTES_MAX (8 << 10)
#define FILE_PURPOSE_BYTES_MAX 500
#define FILE_PART_BYTES_MAX (64 << 10)
#define FILE_CHUNK_BYTES (64 << 10)
#define FILE_SCANNER_AGE_SEC_MAX                                                                   \
	(30 * 24 * 3600) /* of the virus data base, whatever is asked for */
/* Looking into archives: what one sealed archive may make us unpack (a bomb is refused before). */
#define FILE_ARCHIVE_DEPTH_MAX 2
#define FILE_ARCHIVE_ENTRIES_MAX 65535 /* what a ZIP without its 64 bit form can hold */
#define FILE_ARCHIVE_BYTES_MAX (2000LL << 20)
#define FILE_ARCHIVE_RATIO_MAX 200 /* text logs come to 50, DEFLATE's most is 1032 */
#define FILE_ARCHIVE_INNER_BYTES_MAX                                                               \
	(64 << 20) /* an archive or document inside, held in memory                                \
	            */

/* A configuration file. */
#define CONFIG_BYTES_MAX (256 << 10)
