/*
 * What core may ask of the signer: typed requests, each of which the signer checks itself before it
 * signs (never free bytes). One call, one reply with the same tag.
 *
 *     grant, lease   canonical JSON payload          → compact JWS
 *     checkpoint     size u64 | root 32              → signed note
 *     certificate    approved hash 32 | TBS block    → certificate DER
 *     crl entries    (serial block | time u64 | reason u8)…          → nothing; kept for the next
 *     crl            number u64 | this u64 | next u64                → length u32 of the list
 *     fetch          offset u32                                      → up to SIGNER_PIECE_BYTES of
 * it ocsp           now u64 | next u64 | request block | statuses   → OCSP answer, or "asks" ping
 * nothing                                         → nothing
 *
 * statuses: (serial block | state u8 | time u64 | reason u8)… of the certificates asked about. If
 * one is missing the reply is "asks" with the serials (blocks), and the call is to be made again.
 */
#pragma once

#include <stdint.h>

enum signer_call {
	SIGNER_GRANT = 1,
	SIGNER_LEASE,
	SIGNER_CHECKPOINT,
	SIGNER_CERTIFICATE,
	SIGNER_CRL_ENTRIES,
	SIGNER_CRL,
	SIGNER_FETCH,
	SIGNER_OCSP,
	SIGNER_PING,
};

enum signer_reply {
	SIGNER_OK = 64,
	SIGNER_REFUSED, /* text: the request breaks a rule; asking again will not help */
	SIGNER_FAILED,  /* text: the token or something else below is not able to */
	SIGNER_ASKS,
};

#define SIGNER_PIECE_BYTES (1 << 20)
