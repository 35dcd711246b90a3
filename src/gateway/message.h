/*
 * What agent and priv say to each other, over RUN_DIR/priv.socket. Agent is the one exposed to the
 * network: priv believes nothing of what comes from there but what is sealed, and local orders only
 * ever shut.
 */
#pragma once

#define GATEWAY_PRIV_SOCKET "priv.socket"
#define GATEWAY_LOCAL_SOCKET "gateway.socket"

enum gateway_message {
	/* agent to priv */
	MESSAGE_EVENT = 1, /* block name, block data: an event of the center's stream */
	MESSAGE_IDENTITY,  /* u8 key id in the token, block own service certificate (DER) */
	MESSAGE_LINK,      /* u8 up: the stream to the center; at each heartbeat, and when lost */
	MESSAGE_CUT,       /* block id ("" for all), block "local", block reason */
	MESSAGE_NOTE,      /* block kind, block subject, block text: a record of agent's */
	MESSAGE_JOURNAL_READ, /* u64 from */
	MESSAGE_JOURNAL_ACK,  /* u64 seq */
	MESSAGE_STATUS,       /* nothing; answered under the same tag */

	/* Tag of a MESSAGE_TRAFFIC; u8 enum traffic_answer, block reason. */
	MESSAGE_TRAFFIC_ANSWER,

	/* priv to agent */
	MESSAGE_REPORT = 64,    /* block: JSON object for POST /device/v1/report; tag 1: may wait */
	MESSAGE_JOURNAL,        /* u64 first, u32 count, blocks: links */
	MESSAGE_JOURNAL_NEWEST, /* u64 newest, u64 oldest */
	MESSAGE_STATUS_REPLY,   /* block: JSON object */
	MESSAGE_TRAFFIC,        /* block: JSON object for POST /device/v1/traffic; its tag */
};
