/*
 * What core and the mail process say to each other, over loop/channel. The tag pairs a result with
 * its mail; one mail is on its way at a time.
 *
 *     core → mail    send      block recipient, block message (wire/mail.h), ready for DATA
 *     mail → core    result    u8 enum mail_result, block reason
 */
#pragma once

enum mail_message { MAIL_SEND = 1, MAIL_RESULT };

enum mail_result {
	MAIL_TAKEN,       /* the server has it */
	MAIL_SERVER_AWAY, /* nothing can be sent now */
	MAIL_LATER,       /* the server does not take this one now */
	MAIL_REFUSED,     /* nor ever */
};
