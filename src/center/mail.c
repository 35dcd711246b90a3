/*
 * Mail: hands one mail after the other to the mail server. It knows what core hands it and nothing
 * else: a hostile or hanging server costs this process and no decision waits for it.
 *
 * May touch: the network (outgoing), its login, the files a resolver reads. May not: the database,
 * any key, other files, programs.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "center/mail_message.h"
#include "center/process.h"
#include "loop/channel.h"
#include "loop/socket.h"
#include "loop/tls.h"
#include "pki/tls_context.h"
#include "wire/smtp.h"

#define CONNECT_MSEC 10000
#define DIALOGUE_MSEC 60000 /* the whole of one mail; RFC 5321 4.5.3.2 is more patient than we */
#define LOGIN_BYTES_MAX 512

struct mailer {
	struct center_config config;
	char host[256], port[8];
	char login[LOGIN_BYTES_MAX]; /* "user\0password" */
	SSL_CTX *context;
	struct smtp_plan plan;
};

/* One dialogue with the server. */
struct dialogue {
	struct tls_stream stream;
	int64_t deadline; /* monotonic */
	char line[SMTP_LINE_BYTES_MAX + 1];
	size_t line_count;
	uint8_t in[1024]; /* read and not yet looked at */
	size_t in_at, in_count;
};

/* Waits until the socket is ready. Fault -ETIMEDOUT. */
static int wait_ready(const struct dialogue *dialogue, short events)
{
	int64_t left = (dialogue->deadline - clock_monotonic_usec()) / USEC_PER_MSEC;
	struct pollfd watched = { dialogue->stream.fd, events, 0 };
	int r = left > 0 ? poll(&watched, 1, (int)left) : 0;

	return r > 0 ? 0 : FAULT(r == 0 ? -ETIMEDOUT : -errno);
}

/* What a TLS outcome wants before the same call is made again; 0 to repeat, else a fault. */
static int wait_for(struct dialogue *dialogue, int r)
{
	switch (r) {
	case TLS_WANT_READ:
		return wait_ready(dialogue, POLLIN);
	case TLS_WANT_WRITE:
		return wait_ready(dialogue, POLLOUT);
	case TLS_CLOSED:
		return FAULT(-ECONNRESET);
	default:
		return r;
	}
}

static int send_all(struct dialogue *dialogue, const void *bytes, size_t count, struct err *err)
{
	const uint8_t *at = bytes;

	while (count > 0) {
		size_t sent = 0;
		int r = tls_stream_write(&dialogue->stream, at, count, &sent, err);

		at += sent;
		count -= sent;
		if (r != TLS_DONE) {
			r = wait_for(dialogue, r);
			if (r != 0) {
				return r;
			}
		}
	}
	return 0;
}

static int read_some(struct dialogue *dialogue, struct err *err)
{
	dialogue->in_at = dialogue->in_count = 0;
	while (dialogue->in_count == 0) {
		int r = tls_stream_read(&dialogue->stream, dialogue->in, sizeof(dialogue->in),
		        &dialogue->in_count, err);

		if (r != TLS_DONE) {
			r = wait_for(dialogue, r);
		}
		if (r != 0) {
			return r;
		}
	}
	return 0;
}

/* The next line without its end. */
static int read_line(struct dialogue *dialogue, struct err *err)
{
	dialogue->line_count = 0;
	for (;;) {
		char c;

		if (dialogue->in_at == dialogue->in_count) {
			int r = read_some(dialogue, err);

			if (r != 0) {
				return r;
			}
		}
		c = (char)dialogue->in[dialogue->in_at++];
		if (c == '\n') {
			break;
		}
		if (dialogue->line_count >= SMTP_LINE_BYTES_MAX) {
			return err_set(err, FAULT(-EMSGSIZE), "a line is too long");
		}
		dialogue->line[dialogue->line_count++] = c;
	}
	if (dialogue->line_count > 0 && dialogue->line[dialogue->line_count - 1] == '\r') {
		dialogue->line_count--;
	}
	return 0;
}

static int start_tls(struct mailer *mailer, struct dialogue *dialogue, struct err *err)
{
	int fd = dialogue->stream.fd, r;

	/* What came in front of the handshake was in the clear, and is nobody's word. */
	if (dialogue->in_at != dialogue->in_count) {
		return err_set(err, FAULT(-EPROTO), "the server speaks before TLS is on");
	}
	r = tls_stream_connect(fd, mailer->context, mailer->host, &dialogue->stream);
	while (r == 0) {
		r = tls_stream_handshake(&dialogue->stream, err);
		if (r == TLS_DONE) {
			return 0;
		}
		r = wait_for(dialogue, r);
	}
	return r;
}

/* Carries out the dialogue; an enum mail_result with its reason. */
static enum mail_result converse(struct mailer *mailer, struct dialogue *dialogue,
        const uint8_t *message, size_t count, struct err *err)
{
	AUTO_BUF struct buf command = BUF(2 * MESSAGE_BYTES_MAX);
	enum smtp_next next = SMTP_READ;
	struct smtp smtp;
	int r = 0;

	smtp_begin(&smtp, &mailer->plan);
	while (r == 0) {
		r = read_line(dialogue, err);
		if (r != 0) {
			break;
		}
		buf_reset(&command);
		next = smtp_reply(&smtp, dialogue->line, dialogue->line_count, &command, err);
		switch (next) {
		case SMTP_TLS_START:
			r = start_tls(mailer, dialogue, err);
			if (r == 0) {
				smtp_tls_started(&smtp, &command);
			}
			break;
		case SMTP_SEND_BODY:
			smtp_body_print(message, count, &command);
			break;
		case SMTP_TAKEN:
			(void)!send_all(dialogue, "QUIT\r\n", 6, NULL);
			return MAIL_TAKEN;
		case SMTP_LATER:
			return smtp.state >= SMTP_MAIL ? MAIL_LATER : MAIL_SERVER_AWAY;
		case SMTP_NEVER:
			return MAIL_REFUSED;
		default:
			break;
		}
		if (r == 0 && command.count > 0) {
			r = send_all(dialogue, command.bytes, command.count, err);
		}
	}
	if (!*err->text) {
		err_set(err, 0, "%s:%s: %s", mailer->host, mailer->port, strerror(-r));
	}
	return MAIL_SERVER_AWAY;
}

/* Connects to the first address that answers. Outcome 1: none does. */
static int connect_server(struct mailer *mailer, struct dialogue *dialogue, struct err *err)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list = NULL;
	int r = getaddrinfo(mailer->host, mailer->port, &hints, &list);

	if (r != 0) {
		return err_set(err, 1, "%s: %s", mailer->host, gai_strerror(r));
	}
	r = 1;
	for (struct addrinfo *at = list; at && r != 0; at = at->ai_next) {
		struct sockaddr_storage address = { 0 };
		int fd = -1;

		memcpy(&address, at->ai_addr, at->ai_addrlen);
		if (socket_connect(&address, NULL, &fd) != 0) {
			continue;
		}
		dialogue->stream = (struct tls_stream){ .fd = fd };
		dialogue->deadline = clock_monotonic_usec() + CONNECT_MSEC * USEC_PER_MSEC;
		r = wait_ready(dialogue, POLLOUT);
		r = r == 0 ? socket_error(fd) : r;
		if (r != 0) {
			err_set(err, 0, "%s:%s: %s", mailer->host, mailer->port, strerror(-r));
			tls_stream_close(&dialogue->stream);
			r = 1;
		}
	}
	freeaddrinfo(list);
	return r;
}

static enum mail_result send_mail(struct mailer *mailer, const char *recipient,
        const uint8_t *message, size_t count, struct err *err)
{
	struct dialogue dialogue = { .stream = { .fd = -1 } };
	enum mail_result result;

	mailer->plan.to = recipient;
	if (connect_server(mailer, &dialogue, err) != 0) {
		return MAIL_SERVER_AWAY;
	}
	dialogue.deadline = clock_monotonic_usec() + DIALOGUE_MSEC * USEC_PER_MSEC;
	result = converse(mailer, &dialogue, message, count, err);
	tls_stream_close(&dialogue.stream);
	return result;
}

/* One mail from core. Outcome 1: core is gone, or what it sent is none. */
static int serve_one(struct mailer *mailer)
{
	AUTO_BUF struct buf in = BUF(MESSAGE_BYTES_MAX);
	AUTO_BUF struct buf out = BUF(2 * ERR_TEXT_BYTES_MAX);
	size_t recipient_count, message_count;
	const uint8_t *recipient, *message;
	enum mail_result result;
	struct err err = { "" };
	struct cursor cursor;
	uint16_t type;
	uint32_t tag;
	int r = frame_receive(PROCESS_CHANNEL_FD, &type, &tag, &in);

	if (r != 0) {
		return r;
	}
	cursor = CURSOR(in.bytes, in.count);
	recipient = cursor_block(&cursor, &recipient_count);
	message = cursor_block(&cursor, &message_count);
	if (type != MAIL_SEND || !cursor_done(&cursor) || recipient_count == 0 ||
	        recipient[recipient_count - 1] != '\0') {
		return 1;
	}
	result = send_mail(mailer, (const char *)recipient, message, message_count, &err);
	buf_add_u8(&out, (uint8_t)result);
	buf_add_block(&out, err.text, strlen(err.text) + 1);
	return frame_send(PROCESS_CHANNEL_FD, MAIL_RESULT, tag, out.bytes, out.count);
}

/* USER:PASSWORD in one line. */
static int read_login(struct mailer *mailer, struct err *err)
{
	char *colon;
	int r;

	if (!mailer->config.mail_login) {
		return 0;
	}
	r = file_read_secret(mailer->config.mail_login, mailer->login, sizeof(mailer->login), err);
	if (r != 0) {
		return r;
	}
	colon = strchr(mailer->login, ':');
	if (!colon) {
		return err_set(err, 1, "%s: must be USER:PASSWORD", mailer->config.mail_login);
	}
	*colon = '\0';
	mailer->plan.user = mailer->login;
	mailer->plan.password = colon + 1;
	return 0;
}

static int open_all(struct mailer *mailer, struct err *err)
{
	const struct center_config *config = &mailer->config;
	uint16_t port = 0;
	int r = 0;

	mailer->plan.name = config->mail_name;
	mailer->plan.from = config->mail_from;
	mailer->plan.tls = text_equal(config->mail_tls, "required") ? SMTP_TLS_REQUIRED
	                   : text_equal(config->mail_tls, "never")  ? SMTP_TLS_NEVER
	                                                            : SMTP_TLS_OFFERED;
	assert_always(center_config_address(
	                      config->mail_server, mailer->host, sizeof(mailer->host), &port) == 0);
	snprintf(mailer->port, sizeof(mailer->port), "%u", port);
	if (mailer->plan.tls != SMTP_TLS_NEVER) {
		r = tls_roots_context(config->mail_ca, &mailer->context, err);
	}
	return r == 0 ? read_login(mailer, err) : r;
}

static int enter_sandbox(struct err *err)
{
	/* glibc's resolver. */
	static const char *const resolver_calls[] = { "sendmmsg", "recvmmsg", NULL };
	static const char *const *const calls[] = { sandbox_calls_base, sandbox_calls_files,
		sandbox_calls_sockets, sandbox_calls_network, resolver_calls, NULL };
	static const int families[] = { AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, 0 };
	static const struct sandbox_path paths[] = { { "/etc/resolv.conf", SANDBOX_READ },
		{ "/etc/hosts", SANDBOX_READ }, { "/etc/nsswitch.conf", SANDBOX_READ },
		{ "/etc/host.conf", SANDBOX_READ }, { "/etc/gai.conf", SANDBOX_READ },
		{ "/etc/services", SANDBOX_READ }, { "/run/systemd/resolve", SANDBOX_READ },
		{ "/usr/lib", SANDBOX_READ | SANDBOX_EXECUTE }, { "/etc/ssl", SANDBOX_READ },
		{ "/etc/ld.so.cache", SANDBOX_READ }, { "/etc/localtime", SANDBOX_READ },
		{ "/usr/share/zoneinfo", SANDBOX_READ }, { "/dev/null", SANDBOX_READ },
		{ "/dev/urandom", SANDBOX_READ }, { 0 } };

	return sandbox_enter(
	        &(struct sandbox){ .calls = calls, .paths = paths, .families = families }, err);
}

static void mailer_clear(struct mailer *mailer)
{
	tls_context_free(mailer->context);
	center_config_clear(&mailer->config);
	explicit_bzero(mailer->login, sizeof(mailer->login));
}

int mail_main(const struct process_arguments *arguments)
{
	struct mailer mailer = { 0 };
	struct err err = { "" };
	int r;

	if (sandbox_prepare(&err) < 0 ||
	        process_configure(arguments, "mail", &mailer.config) != 0) {
		return 1;
	}
	signal(SIGPIPE, SIG_IGN);
	/* A new configuration is read by the process that main starts after this one. */
	signal(SIGHUP, SIG_DFL);
	r = open_all(&mailer, &err);
	if (r == 0) {
		r = enter_sandbox(&err);
	}
	if (r != 0) {
		log_error("mail cannot start: %s",
		        *err.text ? err.text : strerror(r < 0 ? -r : EINVAL));
		mailer_clear(&mailer);
		return 1;
	}
	log_info("mail goes to %s port %s", mailer.host, mailer.port);
	while (r == 0) {
		r = serve_one(&mailer);
	}
	mailer_clear(&mailer);
	return r < 0;
}
